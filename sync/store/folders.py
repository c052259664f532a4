"""Folders whose names are on the disk, not only in memory. No file's content and no database here."""

from __future__ import annotations

import os
from pathlib import Path


def make_folder(folder: Path) -> None:
    """Make it, and those above it that are not there; a power cut takes none of them away again.

    Without it a journal, synced as it is, may hang on a name that was never written. Raises `OSError`.
    """
    missing = []
    above = folder
    while not above.is_dir():
        missing.append(above)
        above = above.parent
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        sync_folder(each.parent)


def sync_folder(folder: Path) -> None:
    """Its names are on the disk. Windows keeps names by itself, and cannot open folders."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
