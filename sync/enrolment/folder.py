"""The site folder on disk: settings, register, and files that are made once. The only file access here.

```
site.toml            settings, written once, yours to edit
register.json        who is enrolled, which certificates were given out, who is revoked
draw.key             key of the spot check, the same on every lane of the site
ca/                  ca.pem (the chain), ca.key (where the authority is made or kept here), crl.pem
hub/ broker/ devices/NAME/
                     sign.key sign.pub keys.json   Ed25519: who said it, and its statements
                     tls.key tls.pem tls.csr       who connects
bundles/NAME.tar     what is carried to a machine
```

It holds every private key of a site: it belongs on a machine of the office, not on a lane or the broker's.
Keys are `0600`, folders `0700`. Nothing that was made is overwritten; register, statements, revocations and
the brokers' lists are replaced whole.
"""

from __future__ import annotations

import contextlib
import tomllib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from sync.enrolment.register import Register, Settings
from sync.store.lock import StoreLock
from sync.store.opening import StoreRefused
from sync.store.whole_files import replace_whole, write_new

SETTINGS = "site.toml"
REGISTER = "register.json"
SECRET_MODE = 0o600
OPEN_MODE = 0o644
FOLDER_MODE = 0o700
BROKER_FOLDER_MODE = 0o755
"""A broker runs as a user of its own; the one secret among its files has its own mode."""


class EnrolmentRefused(Exception):
    """Nothing was done; the text says why and what to do."""


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One command at a time: two registers written from one reading would lose a device. Raises
    `EnrolmentRefused`."""
    if not folder.is_dir():
        raise EnrolmentRefused(f"{folder} is no site folder: begin one with `kakou enrol init`")
    try:
        lock = StoreLock.acquire(folder / ".lock", guards=folder)
    except StoreRefused as error:
        raise EnrolmentRefused(f"{folder}: another `kakou enrol` is at work, or it is not yours") from error
    try:
        yield
    finally:
        lock.release()


def read_settings(folder: Path) -> Settings:
    """Raises `EnrolmentRefused`."""
    path = folder / SETTINGS
    try:
        return msgspec.convert(tomllib.loads(path.read_bytes().decode("utf-8-sig")), Settings)
    except FileNotFoundError as error:
        raise EnrolmentRefused(f"{folder} is no site folder: begin one with `kakou enrol init`") from error
    except OSError as error:
        raise EnrolmentRefused(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, msgspec.ValidationError) as error:
        raise EnrolmentRefused(f"{path}: {error}") from error


def read_register(folder: Path) -> Register:
    """Raises `EnrolmentRefused`."""
    path = folder / REGISTER
    try:
        return msgspec.json.decode(path.read_bytes(), type=Register)
    except OSError as error:
        raise EnrolmentRefused(f"{path}: cannot be read ({error.strerror})") from error
    except msgspec.DecodeError as error:
        raise EnrolmentRefused(f"{path}: is damaged ({error}); put back a copy of it") from error


def write_register(folder: Path, register: Register) -> None:
    text = msgspec.json.format(msgspec.json.encode(register), indent=1)
    replace_file(folder / REGISTER, text + b"\n", SECRET_MODE)


def read_file(path: Path) -> bytes:
    """Raises `EnrolmentRefused`."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise EnrolmentRefused(f"{path}: cannot be read ({error.strerror})") from error


def optional_file(path: Path) -> bytes:
    """Empty where there is none."""
    return read_file(path) if path.exists() else b""


def make_folder(path: Path, mode: int = FOLDER_MODE) -> None:
    """With every folder above it that is not there yet; one that is there stays as it is. Raises
    `EnrolmentRefused`."""
    try:
        missing = [each for each in (path, *path.parents) if not each.exists()]
        for each in reversed(missing):
            # `mkdir` makes those above with the mask's permissions, whatever mode it is given.
            each.mkdir(mode=mode, exist_ok=True)
    except OSError as error:
        raise EnrolmentRefused(f"{path}: cannot be made ({error.strerror})") from error


def new_file(path: Path, content: bytes, mode: int = SECRET_MODE) -> None:
    """A file that is not there yet, durable. Raises `EnrolmentRefused`."""
    make_folder(path.parent)
    try:
        write_new(path, content, mode)
    except FileExistsError as error:
        raise EnrolmentRefused(f"{path} is there already: nothing was overwritten") from error
    except OSError as error:
        raise EnrolmentRefused(f"{path}: cannot be written ({error.strerror})") from error


def replace_file(path: Path, content: bytes, mode: int = SECRET_MODE) -> None:
    """Whole or not at all, durable when it returns. Raises `EnrolmentRefused`."""
    make_folder(path.parent)
    try:
        replace_whole(path, content, mode)
    except OSError as error:
        raise EnrolmentRefused(f"{path}: cannot be written ({error.strerror})") from error


def set_aside(path: Path, stamp: str) -> None:
    """Into the folder `old` beside it, where there is such a file: what is renewed stays for whoever must
    look back. Raises `EnrolmentRefused`."""
    if not path.exists():
        return
    old = path.parent / "old"
    make_folder(old)
    kept = old / f"{stamp}.{path.name}"
    if kept.exists():
        raise EnrolmentRefused(f"{kept} is there already: renew once a second at most")
    try:
        path.rename(kept)
    except OSError as error:
        raise EnrolmentRefused(f"{path}: cannot be moved to {kept} ({error.strerror})") from error
