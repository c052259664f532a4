"""Snapshots of a scope: made at an exact number, kept in a folder, given out in pieces. No MQTT, no clock.

`make_snapshot` takes seconds a million rows and runs beside the hub (`sync.hub.aside`); the rest is what the
hub does with what is made. A snapshot is a records file of a device, made by the code a device uses, and is
looked through whole before anybody is offered it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import zstandard

from sync.hub.archive import Archive, Scope
from sync.link.messages import MAX_PAGES, PAGE_HASHES, PIECE_BYTES, PiecesAsked, SnapshotManifest
from sync.link.pieces import Piece, PieceKind, piece_payload, short_name
from sync.store.opening import RECORDS, steps_of
from sync.store.records import SNAPSHOT_RESERVED_BYTES, Records, fill_generation, generation_path
from sync.vocabulary.codec import Malformed, decoder, to_json

LEVEL = 3
"""zstd's own default: a higher one takes longer than it saves on a line."""
USED_LATELY_S = 3600.0
LEFT_BEHIND_S = 86_400.0
"""What no manifest names and nobody has written to for so long was left by a making that was killed."""
MOST_PIECES = 64
"""At once for one device; it asks again when it has them."""

_MAKING = "making-"
_PARTS = frozenset({".zst", ".pages", ".new"})
_READ_BYTES = 4 * 1024 * 1024
_HASH_BYTES = 32
_read_manifest = decoder(SnapshotManifest)


class SnapshotUnsound(Exception):
    """What was made is not what the archive says it should be; it was thrown away."""


def make_snapshot(archive: Archive, scope: str, folder: Path, made_utc: str) -> SnapshotManifest:
    """Make a snapshot of a scope as it stands, and put it in the folder. Others go on reading and writing.

    Number and rows are read in one transaction: the log from exactly that number continues it. Raises
    `SnapshotUnsound`, and what the archive and the disk raise.
    """
    work = folder / f"{_MAKING}{os.getpid()}"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        with archive.snapshot():
            state = archive.scope(scope)
            if state is None:
                raise SnapshotUnsound(f"scope {scope!r} is not in {archive.place}")
            fill_generation(work, 1, scope, state.epoch, state.number, archive.record_rows(scope))
        path = generation_path(work, 1)
        _look_through(path, state)
        return _pack(path, state, folder, made_utc)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _look_through(path: Path, state: Scope) -> None:
    """Every page and every row, as a device would find them."""
    with Records.open(path) as records:
        found = records.feed_state()
        problems = records.verify()
    told = (found.scope, found.epoch, found.number, found.rows, found.digest)
    if told != (state.scope, state.epoch, state.number, state.rows, state.digest):
        problems.append(f"its rows make {found.rows} with digest {found.digest}")
    with contextlib.closing(sqlite3.connect(path)) as db:
        problems += [row[0] for row in db.execute("PRAGMA integrity_check(3)") if row[0] != "ok"]
        # Readers leave a write-ahead log behind, and what is given out is this one file.
        db.execute("PRAGMA journal_mode=DELETE")
    if problems:
        raise SnapshotUnsound(
            f"{state.scope} at {state.number}, {state.rows} rows with digest {state.digest}: "
            + "; ".join(problems)
        )


def _pack(path: Path, state: Scope, folder: Path, made_utc: str) -> SnapshotManifest:
    plain = hashlib.sha256()
    packed = hashlib.sha256()
    packed_path = path.with_suffix(".zst")
    with path.open("rb") as file, packed_path.open("wb") as out:
        packer = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compressobj(
            size=path.stat().st_size
        )
        while data := file.read(_READ_BYTES):
            plain.update(data)
            out.write(packer.compress(data))
        out.write(packer.flush())
        out.flush()
        os.fsync(out.fileno())
    hashes = bytearray()
    with packed_path.open("rb") as file:
        while data := file.read(PIECE_BYTES):
            packed.update(data)
            hashes += hashlib.sha256(data).digest()
    page_bytes = PAGE_HASHES * _HASH_BYTES
    pages = [bytes(hashes[at : at + page_bytes]) for at in range(0, len(hashes), page_bytes)]
    if len(pages) > MAX_PAGES:
        raise SnapshotUnsound(
            f"{state.scope}: {packed_path.stat().st_size} bytes are too many for a snapshot"
        )
    manifest = SnapshotManifest(
        scope=state.scope,
        epoch=state.epoch,
        number=state.number,
        rows=state.rows,
        digest=state.digest,
        schema=len(steps_of(RECORDS)),
        size_bytes=path.stat().st_size,
        sha256=plain.hexdigest(),
        packed_bytes=packed_path.stat().st_size,
        packed_sha256=packed.hexdigest(),
        piece_bytes=PIECE_BYTES,
        pages=tuple(hashlib.sha256(page).hexdigest() for page in pages),
        made=made_utc,
        reserved_bytes=SNAPSHOT_RESERVED_BYTES,
    )
    place = _Place(folder, manifest.packed_sha256)
    _write_durably(place.pages, bytes(hashes))
    packed_path.rename(place.packed)
    half = place.manifest.with_suffix(".new")
    _write_durably(half, to_json(manifest))
    half.rename(place.manifest)
    return manifest


def _write_durably(path: Path, data: bytes) -> None:
    """After a power cut nobody must be offered a snapshot whose hashes are not on the disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@dataclass(frozen=True, slots=True)
class _Place:
    folder: Path
    name: str

    @property
    def manifest(self) -> Path:
        return self.folder / f"{self.name}.json"

    @property
    def packed(self) -> Path:
        return self.folder / f"{self.name}.zst"

    @property
    def pages(self) -> Path:
        return self.folder / f"{self.name}.pages"

    def remove(self) -> None:
        # The manifest first: without it nobody looks for the others.
        for path in (self.manifest, self.packed, self.pages):
            path.unlink(missing_ok=True)


class SnapshotFolder:
    """What was made and is still worth something."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._manifests: dict[str, SnapshotManifest] = {}
        self._used_s: dict[str, float] = {}

    def look(self, scopes: tuple[Scope, ...], now_s: float) -> None:
        """See what there is, and throw away what nobody needs: of another epoch, or older than the newest of
        its scope and not asked for lately. Raises `OSError`."""
        if not self._folder.is_dir():
            return
        epochs = {scope.scope: scope.epoch for scope in scopes}
        found: dict[str, SnapshotManifest] = {}
        for path in self._folder.glob("*.json"):
            known = self._manifests.get(path.stem)
            try:
                found[path.stem] = known or _read_manifest(path.read_bytes())
            except (Malformed, FileNotFoundError):
                continue
        newest = {manifest.scope: manifest.number for manifest in found.values()}
        for manifest in found.values():
            newest[manifest.scope] = max(newest[manifest.scope], manifest.number)
        for name, manifest in list(found.items()):
            used_s = self._used_s.setdefault(name, now_s)
            old = manifest.number < newest[manifest.scope] and abs(now_s - used_s) > USED_LATELY_S
            if old or epochs.get(manifest.scope) != manifest.epoch:
                _Place(self._folder, name).remove()
                del found[name], self._used_s[name]
        self._manifests = found
        self._clear_away(found, now_s)

    def _clear_away(self, named: dict[str, SnapshotManifest], now_s: float) -> None:
        """Gigabytes, each time a hub is stopped in the middle of making one."""
        left = [path for path in self._folder.glob("*.*") if path.suffix in _PARTS and path.stem not in named]
        for path in (*left, *self._folder.glob(f"{_MAKING}*")):
            with contextlib.suppress(FileNotFoundError):
                if now_s - path.stat().st_mtime < LEFT_BEHIND_S:
                    continue
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink()

    def newest(self, scope: Scope) -> SnapshotManifest | None:
        """Of a scope, in its epoch of today."""
        of_scope = [
            manifest
            for manifest in self._manifests.values()
            if (manifest.scope, manifest.epoch) == (scope.scope, scope.epoch)
        ]
        return max(of_scope, key=lambda manifest: manifest.number, default=None)

    def named(self, name: str) -> SnapshotManifest | None:
        return self._manifests.get(name)

    def pieces(self, asked: PiecesAsked, now_s: float) -> Iterator[bytes]:
        """Payloads of what is asked for and is there, at most `MOST_PIECES`. Raises `OSError`."""
        manifest = self._manifests.get(asked.snapshot)
        if manifest is None:
            return
        self._used_s[asked.snapshot] = now_s
        place = _Place(self._folder, asked.snapshot)
        count = -(-manifest.packed_bytes // manifest.piece_bytes)
        wanted = [(PieceKind.PAGE, index) for index in _indexes(asked.pages, len(manifest.pages))]
        wanted += [(PieceKind.PIECE, index) for index in _indexes(asked.pieces, count)]
        for kind, index in wanted[:MOST_PIECES]:
            match kind:
                case PieceKind.PAGE:
                    data = _part(place.pages, index, PAGE_HASHES * _HASH_BYTES)
                case PieceKind.PIECE:
                    data = _part(place.packed, index, manifest.piece_bytes)
            yield piece_payload(Piece(short_name(asked.snapshot), kind, index, data))


def _indexes(ranges: tuple[tuple[int, int], ...], count: int) -> Iterator[int]:
    """Of hostile ranges no more than can be asked for."""
    for first, last in ranges[:MOST_PIECES]:
        yield from range(max(0, first), min(last + 1, count, max(0, first) + MOST_PIECES))


def _part(path: Path, index: int, size_bytes: int) -> bytes:
    with path.open("rb") as file:
        file.seek(index * size_bytes)
        return file.read(size_bytes)
