"""Evidence on disk, pictures and sound: `FOLDER/yyyy-mm-dd/SHA256.jpg`, whole or not at all, within a budget.

A file's name is the hash of what it holds, as the fact names it; where a device keeps nothing readable, what
lies there is sealed. Facts are never shed; evidence is, the oldest first.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Final, Protocol

from sync.store.folders import make_folder, sync_folder

_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_UNFINISHED: Final = ".part"

_SHED_TO: Final = 0.95
_SHED_NEEDED_TO: Final = 0.99
"""Of the budget: a little more goes than must, so that not every new picture looks at all old ones."""


class Seal(Protocol):
    """How evidence lies on the disk of a device that keeps nothing readable."""

    def sealed(self, content: bytes, sha256: str) -> bytes: ...

    def opened(self, lying: bytes, sha256: str) -> bytes | None:
        """None: not what was sealed under that name."""


class DiskNearlyFull(OSError):
    """So little disk is left that it belongs to the journal (G8)."""


@dataclass(frozen=True, slots=True)
class Kept:
    sha256: str
    size_bytes: int
    path: Path


@dataclass(frozen=True, slots=True)
class Shed:
    """What went, for the report."""

    pictures: int
    size_bytes: int
    first_day: str
    last_day: str
    needed: int
    """Of these: not yet at the centre."""
    sha256s: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Found:
    day: str
    path: Path
    sha256: str
    size_bytes: int


class EvidenceFiles:
    """Writes from one thread; `read` from any."""

    def __init__(
        self,
        folder: Path,
        *,
        most_bytes: int,
        keep_days: int,
        keep_free_bytes: int,
        may_shed: Callable[[str], bool],
        keep_held_days: int | None = None,
        is_held: Callable[[str], bool] = lambda sha256: False,
        free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
        suffix: str = ".jpg",
        seal: Seal | None = None,
    ) -> None:
        """`may_shed(sha256)`: the centre has it. `is_held(sha256)`: evidence of a hold or an alarm, which is
        kept for `keep_held_days` and goes after all other."""
        self._folder = folder
        self._most_bytes = most_bytes
        self._keep_days = keep_days
        self._keep_held_days = keep_days if keep_held_days is None else keep_held_days
        self._keep_free_bytes = keep_free_bytes
        self._may_shed = may_shed
        self._is_held = is_held
        self._free_bytes = free_bytes
        self._suffix = suffix
        self._name = re.compile(r"([0-9a-f]{64})" + re.escape(suffix))
        self._seal = seal
        self._bytes = 0

    @property
    def size_bytes(self) -> int:
        """Of all pictures."""
        return self._bytes

    def open(self) -> None:
        """Make the folder, clear away what a power cut left unfinished, count the rest. Raises `OSError`."""
        make_folder(self._folder)
        for unfinished in self._folder.glob(f"*/.*{_UNFINISHED}"):
            unfinished.unlink(missing_ok=True)
        self._count()

    def keep(self, content: bytes, utc: str) -> Kept:
        """Durable when this returns. `utc` names the day. Raises `DiskNearlyFull`, or another `OSError`."""
        if self._free_bytes(self._folder) < self._keep_free_bytes + len(content):
            raise DiskNearlyFull(f"less than {self._keep_free_bytes // 1_000_000} MB of disk left")
        sha256 = hashlib.sha256(content).hexdigest()
        lying = content if self._seal is None else self._seal.sealed(content, sha256)
        day = self._folder / utc[:10]
        if not day.is_dir():
            day.mkdir(exist_ok=True)
            sync_folder(self._folder)
        final, unfinished = day / f"{sha256}{self._suffix}", day / f".{sha256}{_UNFINISHED}"
        before = final.stat().st_size if final.exists() else 0
        try:
            with unfinished.open("wb") as file:
                file.write(lying)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(final)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise
        sync_folder(day)
        self._bytes += len(lying) - before
        return Kept(sha256, len(content), final)

    def read(self, sha256: str) -> bytes | None:
        """What it is, its hash proved; None where there is none, or another under its name. Raises `OSError`
        where there may be one that cannot be read now: what is not to be had is never owed again."""
        if not _SHA256.fullmatch(sha256):
            return None
        unread: OSError | None = None
        for day in reversed(self._days()):
            try:
                lying = (day / f"{sha256}{self._suffix}").read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                unread = error
                continue
            content = lying if self._seal is None else self._seal.opened(lying, sha256)
            if content is not None and hashlib.sha256(content).hexdigest() == sha256:
                return content
        if unread is not None:
            raise unread
        return None

    def shed(self, utc: str, *, clock_is_known: bool) -> Shed | None:
        """Bring the pictures back within days and budget. None: nothing had to go. Raises `OSError`.

        By a clock nobody vouches for nothing grows old: one wrong step would take every picture (G7).
        """
        today = date.fromisoformat(utc[:10])
        oldest_day = (today - timedelta(days=self._keep_days)).isoformat()
        oldest_held_day = (today - timedelta(days=self._keep_held_days)).isoformat()
        old = self._all(before_day=max(oldest_day, oldest_held_day)) if clock_is_known else iter(())
        gone = self._remove(
            [
                found
                for found in old
                if found.day < (oldest_held_day if self._is_held(found.sha256) else oldest_day)
                and self._may_shed(found.sha256)
            ]
        )
        if self._free_bytes(self._folder) < self._keep_free_bytes:
            missing = self._keep_free_bytes - self._free_bytes(self._folder)
            gone += self._remove(self._oldest(missing, needed=False))
        needed: list[_Found] = []
        if self._bytes > self._most_bytes:
            self._count()
        if self._bytes > self._most_bytes:
            gone += self._remove(self._oldest(self._above(_SHED_TO), needed=False))
        if self._bytes > self._most_bytes:
            needed = self._remove(self._oldest(self._above(_SHED_NEEDED_TO), needed=True))
        gone += needed
        if not gone:
            return None
        days = sorted(found.day for found in gone)
        return Shed(
            len(gone),
            sum(found.size_bytes for found in gone),
            days[0],
            days[-1],
            len(needed),
            tuple(found.sha256 for found in gone),
        )

    def _above(self, share: float) -> int:
        return self._bytes - int(self._most_bytes * share)

    def _oldest(self, wanted_bytes: int, *, needed: bool) -> list[_Found]:
        """So many bytes of pictures, by class and in it the oldest first; without `needed` only those that
        may go."""
        chosen: list[_Found] = []
        held: list[_Found] = []
        for found in self._all():
            if wanted_bytes <= 0:
                return chosen
            if needed or self._may_shed(found.sha256):
                if self._is_held(found.sha256):
                    held.append(found)
                else:
                    chosen.append(found)
                    wanted_bytes -= found.size_bytes
        for found in held:
            if wanted_bytes <= 0:
                break
            chosen.append(found)
            wanted_bytes -= found.size_bytes
        return chosen

    def _remove(self, pictures: list[_Found]) -> list[_Found]:
        for found in pictures:
            found.path.unlink(missing_ok=True)
            self._bytes -= found.size_bytes
        for day in {found.path.parent for found in pictures}:
            if not any(day.iterdir()):
                day.rmdir()
        return pictures

    def _count(self) -> None:
        self._bytes = sum(found.size_bytes for found in self._all())

    def _days(self) -> list[Path]:
        try:
            return sorted(day for day in self._folder.iterdir() if _DAY.fullmatch(day.name))
        except FileNotFoundError:
            return []

    def _all(self, *, before_day: str = "9999") -> Iterator[_Found]:
        """The oldest first. What else lies in the folder is nobody's, and stays."""
        for day in self._days():
            if day.name >= before_day:
                return
            found = []
            with os.scandir(day) as entries:
                for entry in entries:
                    named = self._name.fullmatch(entry.name)
                    if named is not None:
                        told = entry.stat()
                        found.append((told.st_mtime_ns, entry.name, named[1], told.st_size))
            for _, name, sha256, size in sorted(found):
                yield _Found(day.name, day / name, sha256, size)
