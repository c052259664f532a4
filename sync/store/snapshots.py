"""A snapshot on its way to being a generation of the records: kept piece by piece, then checked whole (G1).

It is fetched into files of its own beside the generations, which stay as they are. What is on the disk is
asked of the disk: after any stop each piece is hashed again, so nothing rests on what was noted about it.
Nothing here waits long: unpacking and checking go a slice at a time. No network, no clock, no signature.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sqlite3
import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import zstandard

from sync.store.folders import sync_folder
from sync.store.opening import RECORDS, StoreRefused, steps_of
from sync.store.records import Records, generation_path, next_generation

HASH_BYTES = 32
SLICE_BYTES = 4 * 1024 * 1024
"""Unpacked or hashed at once: some 10 ms."""
CHECK_PATIENCE_S = 0.02
SPARE_BYTES = 64 * 1024 * 1024
"""Left free on the disk after the packed and the unpacked file, besides the journal's reserve."""
MAX_WINDOW_BYTES = 32 * 1024 * 1024
"""zstd frames that ask for more memory than this are refused."""

_MANIFEST, _PAGES, _PACKED = "snapshot.manifest", "snapshot.pages", "snapshot.packed"
_UNPACKED = "snapshot.sqlite"


class Manifest(Protocol):
    """`sync.link.messages.SnapshotManifest`, by shape: this room stands below the link."""

    @property
    def scope(self) -> str: ...
    @property
    def epoch(self) -> str: ...
    @property
    def number(self) -> int: ...
    @property
    def rows(self) -> int: ...
    @property
    def digest(self) -> str: ...
    @property
    def schema(self) -> int: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def sha256(self) -> str: ...
    @property
    def packed_bytes(self) -> int: ...
    @property
    def packed_sha256(self) -> str: ...
    @property
    def piece_bytes(self) -> int: ...
    @property
    def pages(self) -> Sequence[str]: ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be fetched next, and how much there is left of it."""

    pages: tuple[tuple[int, int], ...]
    """First and last index of each range."""
    pieces: tuple[tuple[int, int], ...]
    left: int
    """Pages and pieces that are not here yet; pieces of a page that is not here are counted too."""

    @property
    def count(self) -> int:
        return sum(last - first + 1 for first, last in (*self.pages, *self.pieces))


class PartialSnapshot:
    """Pages and pieces as they come, and what becomes of them. One thread."""

    def __init__(self, folder: Path, manifest: Manifest, page_hashes: int) -> None:
        """Use `begin`."""
        self.manifest = manifest
        self._folder = folder
        self._page_hashes = page_hashes
        self._pieces = -(-manifest.packed_bytes // manifest.piece_bytes)
        self._hashes: dict[int, bytes] = {}
        """Page -> its hashes, once the page is here and right."""
        self._have = bytearray(self._pieces)
        self._left = self._pieces + len(manifest.pages)
        self._packed = (folder / _PACKED).open("r+b")
        self._work: Generator[Path | None, None, None] | None = None

    @classmethod
    def begin(
        cls, folder: Path, manifest: Manifest, payload: bytes, *, page_hashes: int, reserve_bytes: int = 0
    ) -> PartialSnapshot:
        """Begin to fetch, or go on where an earlier run was stopped; `payload` is the manifest as signed.
        `reserve_bytes` of the disk are the journal's, and no snapshot takes them (G8).

        Raises `StoreRefused` when the schema is newer than this program's, or the disk has no room.
        """
        known = len(steps_of(RECORDS))
        if not 1 <= manifest.schema <= known:
            raise StoreRefused(
                f"a snapshot of records schema {manifest.schema} is offered, this program knows 1 to "
                f"{known}: the log is taken instead"
            )
        if left_over(folder) != payload:
            drop_snapshot(folder)
            room = shutil.disk_usage(folder).free
            needed = manifest.packed_bytes + manifest.size_bytes + SPARE_BYTES + reserve_bytes
            if room < needed:
                raise StoreRefused(
                    f"{folder} has {room} bytes free, a snapshot takes {needed}: free space; the log is "
                    "taken meanwhile"
                )
            for name in (_PAGES, _PACKED):
                (folder / name).touch()
            half = folder / f"{_MANIFEST}.new"
            half.write_bytes(payload)
            half.rename(folder / _MANIFEST)
        made = cls(folder, manifest, page_hashes)
        made._look()
        return made

    def wanted(self, most: int) -> Wanted:
        """The first `most` pages and pieces that are not here."""
        pages = [page for page in range(len(self.manifest.pages)) if page not in self._hashes][:most]
        pieces: list[int] = []
        at = self._have.find(0)
        while at >= 0 and len(pages) + len(pieces) < most:
            if at // self._page_hashes in self._hashes:
                pieces.append(at)
                at = self._have.find(0, at + 1)
            else:
                at = self._have.find(0, (at // self._page_hashes + 1) * self._page_hashes)
        return Wanted(_ranges(pages), _ranges(pieces), self._left)

    def take_page(self, index: int, data: bytes) -> bool:
        """Whether it is right, and is kept."""
        if not 0 <= index < len(self.manifest.pages) or not self._is_page(index, data):
            return False
        if index not in self._hashes:
            with (self._folder / _PAGES).open("r+b") as file:
                file.seek(index * self._page_hashes * HASH_BYTES)
                file.write(data)
            self._hashes[index] = data
            self._left -= 1
        return True

    def take_piece(self, index: int, data: bytes) -> bool:
        """Whether it is right, and is kept. A piece whose page is not here is not known to be right."""
        if not 0 <= index < self._pieces or not self._is_piece(index, data):
            return False
        if not self._have[index]:
            self._packed.seek(index * self.manifest.piece_bytes)
            self._packed.write(data)
            self._have[index] = 1
            self._left -= 1
        return True

    @property
    def left(self) -> int:
        return self._left

    def work(self) -> Path | None:
        """Unpack and check the next slice; the new generation's path when all is done and found right.

        Raises `StoreRefused` when it is not what the manifest says; then it is of no use and is dropped.
        """
        if self._work is None:
            self._work = self._install()
        try:
            return next(self._work)
        except StoreRefused:
            self.drop()
            raise
        except sqlite3.Error as error:
            self.drop()
            raise StoreRefused(f"the snapshot of {self.manifest.scope} cannot be read ({error})") from error

    def close(self) -> None:
        """Stop, and leave what is here for the next time."""
        if self._work is not None:
            self._work.close()
            self._work = None
        self._packed.close()

    def drop(self) -> None:
        self.close()
        drop_snapshot(self._folder)

    # --- inside -------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """See what an earlier run left."""
        with (self._folder / _PAGES).open("rb") as file:
            for index in range(len(self.manifest.pages)):
                data = file.read(self._page_hashes * HASH_BYTES)
                if self._is_page(index, data):
                    self._hashes[index] = data
                    self._left -= 1
        self._packed.seek(0)
        for index in range(self._pieces):
            data = self._packed.read(self.manifest.piece_bytes)
            if not data:
                break
            if self._is_piece(index, data):
                self._have[index] = 1
                self._left -= 1

    def _is_page(self, index: int, data: bytes) -> bool:
        first = index * self._page_hashes
        size = min(self._page_hashes, self._pieces - first) * HASH_BYTES
        return len(data) == size and hashlib.sha256(data).hexdigest() == self.manifest.pages[index]

    def _is_piece(self, index: int, data: bytes) -> bool:
        page = self._hashes.get(index // self._page_hashes)
        first = index * self.manifest.piece_bytes
        if page is None or len(data) != min(self.manifest.piece_bytes, self.manifest.packed_bytes - first):
            return False
        at = index % self._page_hashes * HASH_BYTES
        return hashlib.sha256(data).digest() == page[at : at + HASH_BYTES]

    def _install(self) -> Generator[Path | None, None, None]:
        manifest = self.manifest
        half = self._folder / _UNPACKED
        _remove(half)
        self._packed.flush()
        packed = self._packed.fileno()
        yield from _hashed(packed, manifest.packed_bytes, manifest.packed_sha256, "the packed snapshot")
        with half.open("w+b") as file:
            yield from self._unpack(file.fileno())
            yield from _hashed(file.fileno(), manifest.size_bytes, manifest.sha256, "the unpacked snapshot")
        check = _QuickCheck(half)
        while not check.done():
            yield None
        check.judge()
        with Records.open(half, writable=True) as records:
            state = records.feed_state()
        told = (state.scope, state.epoch, state.number, state.rows, state.digest)
        if told != (manifest.scope, manifest.epoch, manifest.number, manifest.rows, manifest.digest):
            raise StoreRefused(f"the snapshot says it is {told}: expected what its manifest says")
        _remove(half, only_beside=True)
        # A number nobody else has taken meanwhile: never a rename over a file that may be open.
        path = generation_path(self._folder, next_generation(self._folder))
        half.rename(path)
        sync_folder(self._folder)
        self._packed.close()
        drop_snapshot(self._folder)
        yield path

    def _unpack(self, descriptor: int) -> Generator[None, None, None]:
        """Into the new file, never more than it may be, and onto the disk as it goes."""
        most = self.manifest.size_bytes
        self._packed.seek(0)
        unpacker = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)
        written = 0
        try:
            with unpacker.stream_reader(self._packed, closefd=False) as reader:
                while data := reader.read(SLICE_BYTES):
                    written += len(data)
                    if written > most:
                        raise StoreRefused(f"the snapshot unpacks to more than the {most} bytes it said")
                    _write_all(descriptor, data)
                    os.fsync(descriptor)
                    yield
        except zstandard.ZstdError as error:
            raise StoreRefused(f"the snapshot cannot be unpacked ({error})") from error


class _QuickCheck:
    """SQLite's own look at every page. It takes seconds on a large file, so it has a thread of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: list[str] = []
        self._thread = threading.Thread(target=self._run, name="quick_check", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            # Nobody else knows the file yet; what was received runs nothing: no trigger, no view.
            place = f"{self._path.absolute().as_uri()}?immutable=1"
            with contextlib.closing(sqlite3.connect(place, uri=True, isolation_level=None)) as connection:
                connection.execute("PRAGMA trusted_schema=OFF")
                (version,) = connection.execute("PRAGMA user_version").fetchone()
                if _schema_of(connection) != _schema_at(version):
                    self._found.append("it has other tables than a records file")
                    return
                self._found += [row[0] for row in connection.execute("PRAGMA quick_check(3)")]
        except (StoreRefused, sqlite3.Error) as error:
            self._found.append(str(error))

    def done(self) -> bool:
        self._thread.join(CHECK_PATIENCE_S)
        return not self._thread.is_alive()

    def judge(self) -> None:
        if self._found != ["ok"]:
            raise StoreRefused(f"the snapshot is no sound records file: {'; '.join(self._found)[:400]}")


def _schema_at(version: int) -> list[tuple[str, ...]]:
    with contextlib.closing(sqlite3.connect(":memory:")) as model:
        for step in steps_of(RECORDS)[:version]:
            model.executescript(step)
        return _schema_of(model)


def _schema_of(connection: sqlite3.Connection) -> list[tuple[str, ...]]:
    return connection.execute(
        "SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema ORDER BY 1, 2"
    ).fetchall()


def left_over(folder: Path) -> bytes | None:
    """The signed manifest of a snapshot that was not fetched to its end."""
    try:
        return (folder / _MANIFEST).read_bytes()
    except OSError:
        return None


def drop_snapshot(folder: Path) -> None:
    for name in (_MANIFEST, _PAGES, _PACKED):
        (folder / name).unlink(missing_ok=True)
    _remove(folder / _UNPACKED)


def _remove(path: Path, *, only_beside: bool = False) -> None:
    for name in (path.name + "-wal", path.name + "-shm"):
        path.with_name(name).unlink(missing_ok=True)
    if not only_beside:
        path.unlink(missing_ok=True)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _hashed(descriptor: int, size_bytes: int, expected: str, what: str) -> Generator[None, None, None]:
    """Read back and hash a slice at a time; raises `StoreRefused` when size or hash is another."""
    if os.fstat(descriptor).st_size != size_bytes:
        raise StoreRefused(f"{what} has {os.fstat(descriptor).st_size} bytes, expected {size_bytes}")
    seen = hashlib.sha256()
    os.lseek(descriptor, 0, os.SEEK_SET)
    while data := os.read(descriptor, SLICE_BYTES):
        seen.update(data)
        yield
    if seen.hexdigest() != expected:
        raise StoreRefused(f"{what} has another hash than its manifest says")


def _ranges(numbers: Sequence[int]) -> tuple[tuple[int, int], ...]:
    ranges: list[tuple[int, int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return tuple(ranges)
