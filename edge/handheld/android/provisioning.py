"""How a handheld gets its config and keys: a folder put where a cable or the device management can, taken
in and removed there at the first start. No key is kept where another app might read it.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import structlog

from edge.handheld.android.java import context
from sync.store.folders import make_folder, sync_folder
from sync.store.whole_files import replace_whole

FOLDER: Final = "kakou"
CONFIG: Final = "handheld.toml"

_MOST_FILES: Final = 40
_MOST_BYTES: Final = 4_000_000


class ProvisionRefused(Exception):
    """The folder that was put there cannot be taken; the text says why. What was taken before stays."""


def private_folder() -> Path:
    """The app's own, which no other app reads: `/data/user/0/<package>/files/kakou`."""
    return Path(str(context().getFilesDir().getAbsolutePath())) / FOLDER


def put_folder() -> Path | None:
    """Where a cable may write: `/sdcard/Android/data/<package>/files/kakou`. None: no storage is mounted."""
    outside = context().getExternalFilesDir(None)
    return None if outside is None else Path(str(outside.getAbsolutePath())) / FOLDER


def take_in(put: Path | None, private: Path) -> bool:
    """Whether anything was taken. The files of a bundle (`kakou enrol bundle`) and `handheld.toml`, flat.

    Copied whole and durable first, then removed outside; killed in between it is done again. The config comes
    last: a config that is there means that its keys are. Raises `ProvisionRefused`.
    """
    if put is None or not put.is_dir():
        return False
    files = sorted((path for path in put.iterdir()), key=lambda path: (path.name == CONFIG, path.name))
    if not files:
        return False
    _check(files)
    try:
        make_folder(private)
        for file in files:
            replace_whole(private / file.name, file.read_bytes())
        sync_folder(private)
        shutil.rmtree(put)
    except OSError as error:
        raise ProvisionRefused(f"{put}: {error.strerror or error}") from error
    structlog.get_logger("provisioning").info("taken in", files=[file.name for file in files])
    return True


def _check(files: list[Path]) -> None:
    odd = [
        file.name for file in files if file.is_symlink() or not file.is_file() or file.name.startswith(".")
    ]
    if odd:
        raise ProvisionRefused(f"expected plain files alone, found {', '.join(odd)}")
    if len(files) > _MOST_FILES:
        raise ProvisionRefused(f"{len(files)} files, expected at most {_MOST_FILES}")
    size_bytes = sum(file.stat().st_size for file in files)
    if size_bytes > _MOST_BYTES:
        raise ProvisionRefused(f"{size_bytes} bytes, expected at most {_MOST_BYTES}")
