"""Blobs on the hub's disk: `FOLDER/ab/cd/SHA256`, whole or not at all, and the parts of those on their way.

A part is a file of its own named by where it belongs, so that any worker of the hub may take any of them in
any order, and what came before a restart is still there after it. Only the whole, its hash proved, gets the
name.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sync.store.folders import sync_folder

PARTS = "parts"
MAX_PARTS = 8_192
"""Files of one blob on its way; honest chunks of the longest blob are half as many."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_PART = re.compile(r"(\d{8})-(\d{8})")
_OPEN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,63})~([0-9a-f]{64})")
_UNFINISHED = ".new"


class NotItsHash(ValueError):
    """All parts came, and together they are something else."""


class TooManyParts(ValueError):
    """One blob in so many pieces is no upload."""


@dataclass(frozen=True, slots=True)
class OpenBlob:
    """A blob of which a part is here."""

    device: str
    sha256: str
    folder: Path
    touched_s: float


def is_sha256(text: str) -> bool:
    return _SHA256.fullmatch(text) is not None


class BlobFiles:
    """Whole blobs and parts under one folder. Every method may raise `OSError`; then nothing was kept."""

    def __init__(
        self,
        folder: Path,
        *,
        free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """`now_s` is compared with the times the disk gives its files."""
        self._folder = folder
        self._parts = folder / PARTS
        self._free_bytes = free_bytes
        self._now_s = now_s
        self._serial = itertools.count()

    def open(self) -> None:
        """Make the folder; clear away what a power cut left half written."""
        self._parts.mkdir(parents=True, exist_ok=True)
        for unfinished in (*self._parts.glob(f"*/*{_UNFINISHED}"), *self._folder.glob(f"*/*/*{_UNFINISHED}")):
            unfinished.unlink(missing_ok=True)

    def free_bytes(self) -> int:
        return self._free_bytes(self._folder)

    # --- whole --------------------------------------------------------------------------------------------

    def path(self, sha256: str) -> Path:
        return self._folder / sha256[:2] / sha256[2:4] / sha256

    def has(self, sha256: str, size_bytes: int) -> bool:
        try:
            return self.path(sha256).stat().st_size == size_bytes
        except FileNotFoundError:
            return False

    def read(self, sha256: str) -> bytes | None:
        """The blob, its hash proved; None where there is none, or another under its name."""
        if not is_sha256(sha256):
            return None
        try:
            data = self.path(sha256).read_bytes()
        except FileNotFoundError:
            return None
        return data if hashlib.sha256(data).hexdigest() == sha256 else None

    def remove(self, sha256: str) -> None:
        self.path(sha256).unlink(missing_ok=True)

    # --- parts --------------------------------------------------------------------------------------------

    def missing(self, device: str, sha256: str, size_bytes: int) -> tuple[tuple[int, int], ...]:
        """First and last byte of every gap, in order; empty when nothing lacks."""
        gaps: list[tuple[int, int]] = []
        reached = 0
        for first, end in sorted(self._ranges(device, sha256)):
            if first > reached:
                gaps.append((reached, min(first, size_bytes) - 1))
            reached = max(reached, end)
            if reached >= size_bytes:
                break
        if reached < size_bytes:
            gaps.append((reached, size_bytes - 1))
        return tuple(gaps)

    def began(self, device: str, sha256: str) -> bool:
        """Whether a part of it is here."""
        return self._of(device, sha256).is_dir()

    def add(self, device: str, sha256: str, offset: int, data: bytes) -> None:
        """Keep a part. It may be lost with the power; then it is missing, or the whole is not its hash.
        Raises `TooManyParts`, and then no part of this blob is kept."""
        folder = self._of(device, sha256)
        folder.mkdir(exist_ok=True)
        if sum(1 for _ in self._ranges(device, sha256)) >= MAX_PARTS:
            self.abandon(device, sha256)
            raise TooManyParts(f"more than {MAX_PARTS} parts")
        final = folder / f"{offset:08d}-{len(data):08d}"
        fresh = folder / f"{os.getpid()}-{next(self._serial)}{_UNFINISHED}"
        fresh.write_bytes(data)
        fresh.replace(final)

    def complete(self, device: str, sha256: str, size_bytes: int) -> None:
        """Make the whole of its parts; durable when this returns. Raises `NotItsHash`, and then no part of it
        is left: it has to come anew."""
        whole = bytearray(size_bytes)
        for first, end in sorted(self._ranges(device, sha256)):
            data = (self._of(device, sha256) / f"{first:08d}-{end - first:08d}").read_bytes()
            whole[first : first + len(data)] = data
        if len(whole) != size_bytes or hashlib.sha256(whole).hexdigest() != sha256:
            self.abandon(device, sha256)
            raise NotItsHash(f"{size_bytes} bytes that are not {sha256}")
        self._write(sha256, bytes(whole))
        self.abandon(device, sha256)

    def _write(self, sha256: str, data: bytes) -> None:
        final = self.path(sha256)
        for folder in (final.parent.parent, final.parent):
            if not folder.is_dir():
                folder.mkdir(exist_ok=True)
                sync_folder(folder.parent)
        fresh = final.with_name(f"{sha256}-{os.getpid()}-{next(self._serial)}{_UNFINISHED}")
        try:
            with fresh.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(final)
        except OSError:
            fresh.unlink(missing_ok=True)
            raise
        sync_folder(final.parent)

    def abandon(self, device: str, sha256: str) -> None:
        shutil.rmtree(self._of(device, sha256), ignore_errors=True)

    def opened(self) -> list[OpenBlob]:
        """Blobs on their way, the longest untouched first."""
        found = []
        with os.scandir(self._parts) as entries:
            for entry in entries:
                named = _OPEN.fullmatch(entry.name)
                if named is not None and entry.is_dir():
                    found.append(OpenBlob(named[1], named[2], Path(entry.path), entry.stat().st_mtime))
        return sorted(found, key=lambda one: one.touched_s)

    def abandon_old(self, older_than_s: float) -> int:
        """Parts nobody has added to for so long; answers of how many blobs."""
        before_s = self._now_s() - older_than_s
        old = [one for one in self.opened() if one.touched_s < before_s]
        for one in old:
            self.abandon(one.device, one.sha256)
        return len(old)

    def _of(self, device: str, sha256: str) -> Path:
        return self._parts / f"{device}~{sha256}"

    def _ranges(self, device: str, sha256: str) -> Iterator[tuple[int, int]]:
        """First byte, and first byte behind, of every part that is as long as its name says."""
        try:
            with os.scandir(self._of(device, sha256)) as entries:
                for entry in entries:
                    named = _PART.fullmatch(entry.name)
                    if named is not None and entry.stat().st_size == int(named[2]):
                        yield int(named[1]), int(named[1]) + int(named[2])
        except FileNotFoundError:
            return
