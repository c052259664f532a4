"""Small files that are there whole or not at all, whenever the power goes. No database here."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from sync.store.folders import sync_folder


def write_new(path: Path, content: bytes, mode: int = 0o600) -> None:
    """A file that is not there yet, durable. Raises `FileExistsError`, `OSError`."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
    with os.fdopen(handle, "wb") as file:
        # Whatever mask this process runs under: a broker's user must be able to read what is meant for it.
        if os.name == "posix":
            os.fchmod(file.fileno(), mode)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)


def replace_whole(path: Path, content: bytes, mode: int = 0o600) -> None:
    """The old content or the new, durable when it returns. Raises `OSError`."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        write_new(beside, content, mode)
        beside.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
    sync_folder(path.parent)
