"""A snapshot on its way to being a generation of the records: kept piece by piece, then checked whole (G1).

It is fetched into files of its own beside the generations, which stay as they are. What is on the disk is
asked of the disk: after any stop each piece is hashed again, so nothing rests on what was noted about it.
Nothing here waits long: unpacking and checking go a slice at a time. No network, no clock, no signature.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import sqlite3
import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol, cast

import zstandard

from sync.store.folders import sync_folder
from sync.store.opening import PLAIN, RECORDS, SLICE_BYTES, Opener, Pieces, StoreRefused, steps_of
from sync.store.records import Records, generation_path, next_generation

HASH_BYTES = 32
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
    @property
    def reserved_bytes(self) -> int: ...


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

    def __init__(self, folder: Path, manifest: Manifest, page_hashes: int, opener: Opener) -> None:
        """Use `begin`."""
        self.manifest = manifest
        self._folder = folder
        self._opener = opener
        self._page_hashes = page_hashes
        self._pieces = -(-manifest.packed_bytes // manifest.piece_bytes)
        self._hashes: dict[int, bytes] = {}
        """Page -> its hashes, once the page is here and right."""
        self._have = bytearray(self._pieces)
        self._left = self._pieces + len(manifest.pages)
        self._packed = opener.pieces(folder / _PACKED, manifest.piece_bytes, manifest.packed_sha256)
        self._work: Generator[Path | None, None, None] | None = None

    @classmethod
    def begin(
        cls,
        folder: Path,
        manifest: Manifest,
        payload: bytes,
        *,
        page_hashes: int,
        reserve_bytes: int = 0,
        opener: Opener = PLAIN,
    ) -> PartialSnapshot:
        """Begin to fetch, or go on where an earlier run was stopped; `payload` is the manifest as signed.
        `reserve_bytes` of the disk are the journal's, and no snapshot takes them (G8).

        Raises `StoreRefused` when the schema is newer than this program's, its pages cannot lie here as they
        are, or the disk has no room.
        """
        known = len(steps_of(RECORDS))
        if not 1 <= manifest.schema <= known:
            raise StoreRefused(
                f"a snapshot of records schema {manifest.schema} is offered, this program knows 1 to "
                f"{known}: the log is taken instead"
            )
        if opener.reserved_bytes > manifest.reserved_bytes:
            raise StoreRefused(
                f"a snapshot whose pages leave {manifest.reserved_bytes} bytes free is offered, here they "
                f"need {opener.reserved_bytes}: the log is taken instead"
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
        made = cls(folder, manifest, page_hashes, opener)
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
            self._packed.write(index, data)
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
        for index in range(self._pieces):
            if self._is_piece(index, self._packed.read(index)):
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
        yield from self._check_packed()
        with contextlib.closing(self._opener.unpacked(half)) as file:
            size_bytes = 0
            for data in self._unpacked():
                file.write(data)
                size_bytes += len(data)
                yield None
            sha256 = ""
            for sha256 in file.sha256():  # noqa: B007  the last one is meant
                yield None
            _must_be("the unpacked snapshot", size_bytes, sha256, manifest.size_bytes, manifest.sha256)
        check = _QuickCheck(half, self._opener)
        while not check.done():
            yield None
        check.judge()
        with Records.open(half, writable=True, opener=self._opener) as records:
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

    def _check_packed(self) -> Generator[None, None, None]:
        seen = hashlib.sha256()
        size_bytes = 0
        for index in range(self._pieces):
            data = self._packed.read(index)
            seen.update(data)
            size_bytes += len(data)
            if size_bytes % SLICE_BYTES < len(data):
                yield
        packed_bytes, packed_sha256 = self.manifest.packed_bytes, self.manifest.packed_sha256
        _must_be("the packed snapshot", size_bytes, seen.hexdigest(), packed_bytes, packed_sha256)

    def _unpacked(self) -> Generator[bytes, None, None]:
        """Never more than it may be."""
        most = self.manifest.size_bytes
        unpacker = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)
        # All it asks of a stream is `read`.
        in_order = cast("IO[bytes]", _InOrder(self._packed, self._pieces))
        told = 0
        try:
            with unpacker.stream_reader(in_order, closefd=False) as reader:
                while data := reader.read(SLICE_BYTES):
                    told += len(data)
                    if told > most:
                        raise StoreRefused(f"the snapshot unpacks to more than the {most} bytes it said")
                    yield data
        except zstandard.ZstdError as error:
            raise StoreRefused(f"the snapshot cannot be unpacked ({error})") from error


class _InOrder:
    """Pieces as one stream."""

    def __init__(self, pieces: Pieces, count: int) -> None:
        self._pieces = pieces
        self._count = count
        self._next = 0
        self._left = b""

    def read(self, size: int = -1) -> bytes:
        if not self._left and self._next < self._count:
            self._left = self._pieces.read(self._next)
            self._next += 1
        data, self._left = (self._left, b"") if size < 0 else (self._left[:size], self._left[size:])
        return data


class _QuickCheck:
    """SQLite's own look at every page. It takes seconds on a large file, so it has a thread of its own."""

    def __init__(self, path: Path, opener: Opener) -> None:
        self._path = path
        self._opener = opener
        self._found: list[str] = []
        self._thread = threading.Thread(target=self._run, name="quick_check", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            # Nobody else knows the file yet; what was received runs nothing: no trigger, no view.
            with contextlib.closing(self._opener.connect(self._path, "immutable=1")) as connection:
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


def _must_be(what: str, size_bytes: int, sha256: str, expected_bytes: int, expected_sha256: str) -> None:
    """Raises `StoreRefused` when size or hash is another."""
    if size_bytes != expected_bytes:
        raise StoreRefused(f"{what} has {size_bytes} bytes, expected {expected_bytes}")
    if sha256 != expected_sha256:
        raise StoreRefused(f"{what} has another hash than its manifest says")


def _ranges(numbers: Sequence[int]) -> tuple[tuple[int, int], ...]:
    ranges: list[tuple[int, int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return tuple(ranges)
