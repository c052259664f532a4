"""The file beside a journal that keeps a second program out, and remembers which store was last open here.

The lock is the operating system's: it dies with the process, so a killed lane restarts at once. What is
written in the file outlives a restored database and so tells that it was restored (G4).
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from sync.store.opening import StoreRefused

_LINE_BYTES = 160
_LOCK_AT = 1 << 30
"""Windows locks are mandatory: the locked byte lies far behind the text, which stays readable."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """The journal as it last stood here."""

    store_id: str
    opens: int
    position: int


class StoreLock:
    """Held from `acquire` to `release` or the end of the process."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor: int | None = descriptor

    @classmethod
    def acquire(cls, path: Path, *, guards: Path) -> StoreLock:
        """Raises `StoreRefused` when another program (or another opening in this one) holds it."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o640)
        except OSError as error:
            raise StoreRefused(
                f"{path} cannot be made ({error.strerror}): check that the folder exists and may be written"
            ) from error
        if not _try_lock(descriptor):
            os.close(descriptor)
            raise StoreRefused(
                f"{guards} is in use by another program: stop that one, or give this one its own journal"
            )
        return cls(path, descriptor)

    def remembered(self) -> Remembered | None:
        """None when the file is new or its text cannot be read."""
        descriptor = self._held()
        os.lseek(descriptor, 0, os.SEEK_SET)
        return _parsed(os.read(descriptor, _LINE_BYTES))

    def remember(self, now: Remembered) -> None:
        """One write of fixed length, so that a power cut leaves the old line or the new one."""
        descriptor = self._held()
        words = f"kakou-store {now.store_id} {now.opens} {now.position}"
        line = words.encode("ascii").ljust(_LINE_BYTES - 1) + b"\n"
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, line)
        os.fsync(descriptor)

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _held(self) -> int:
        if self._descriptor is None:
            raise StoreRefused(f"{self._path} was released")
        return self._descriptor


def lock_path(journal: Path) -> Path:
    return journal.with_name(journal.name + ".lock")


def remembered_beside(journal: Path) -> Remembered | None:
    """What the lock file of a journal says, without taking the lock."""
    try:
        with lock_path(journal).open("rb") as file:
            return _parsed(file.read(_LINE_BYTES))
    except OSError:
        return None


def is_held(path: Path) -> bool:
    """Whether a program holds this lock right now. Takes it for no moment, so that nobody is kept from
    starting; where the system does not list its locks, the answer is no."""
    try:
        there = path.stat()
        listed = Path("/proc/locks").read_text("ascii").split()
    except (OSError, UnicodeDecodeError):
        return False
    place = f"{os.major(there.st_dev):02x}:{os.minor(there.st_dev):02x}:{there.st_ino}"
    return place in listed


def _parsed(text: bytes) -> Remembered | None:
    words = text.decode("ascii", "replace").split()
    if len(words) != 4 or words[0] != "kakou-store":
        return None
    try:
        return Remembered(words[1], int(words[2]), int(words[3]))
    except ValueError:
        return None


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        os.lseek(descriptor, _LOCK_AT, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
