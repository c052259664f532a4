"""The folder of evidence: `yyyy-mm-dd/WAYBILL/PICTURE/` with the files of one picture and `manifest.json`,
whole or not at all, whenever the power goes. Nothing in it is ever written over: what is judged later is
added, named by a further manifest that names the one before. One thread writes; any may read. No picture is
made here.

Beside the days lie `.aside` (what is being written, and what is going) and `.index` (`days.py`).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import msgspec
import structlog

from edge.xray_bridge.evidence.days import DAY, Damaged, Days, Entry, Line, Up
from edge.xray_bridge.evidence.likes import line_of
from edge.xray_bridge.evidence.manifest import (
    FileNamed,
    Manifest,
    encode,
    manifest_name,
    read,
    sha256_of,
)
from sync.store.evidence_files import DiskNearlyFull
from sync.store.folders import make_folder, sync_folder
from sync.store.whole_files import replace_whole
from sync.vocabulary.codec import Malformed, decoder, to_json

MOST_SHED_A_TURN: Final = 500
_REMEMBERED: Final = 50_000
_DAYS_REMEMBERED: Final = 3
_DAYS_UNSURE: Final = 3
"""Written to last: after a kill their index is written anew from the manifests."""
_UNFINISHED: Final = ".part"
_GONE: Final = "gone-"
_OPEN: Final = "open.json"
_MANIFEST: Final = re.compile(r"manifest(?:-([2-9]|[1-9][0-9]{1,3}))?\.json")

_touched = decoder(list[str])
_sums = decoder(dict[str, tuple[int, int]])


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may lie there, and for how long."""

    most_bytes: int
    keep_free_bytes: int
    """Disk that belongs to the journal (G8)."""
    room_bytes: int
    """Evidence still to come of what is on the belt already: with less room than this the feed is
    withheld."""
    keep_days: int
    keep_held_days: int


@dataclass(frozen=True, slots=True)
class Stored:
    """One version, durable."""

    manifest: Manifest
    sha256: str
    size_bytes: int
    """Of all its files, with those of versions before and the manifest."""
    up: tuple[FileNamed, ...]
    """What the centre is to get that no version before named."""
    path: Path


@dataclass(frozen=True, slots=True)
class ShedParcels:
    """What went, of one class."""

    keep_class: str
    pictures: tuple[str, ...]
    size_bytes: int
    first_day: str
    last_day: str
    sha256s: tuple[str, ...]
    """Of the blobs that are no longer there."""


@dataclass(frozen=True, slots=True)
class Space:
    """`ok`: as much as is on the belt can still be kept."""

    ok: bool
    free_bytes: int
    """That evidence may still take."""


def sanitised(name: str) -> str:
    """A name every file system takes, another for every other text."""
    kept = re.sub(r"[^A-Za-z0-9_-]+", "_", name)[:80]
    if kept == name and name and not _RESERVED.fullmatch(name):
        return name
    return f"{kept.strip('_') or 'x'}-{hashlib.sha256(name.encode()).hexdigest()[:10]}"


_RESERVED: Final = re.compile(r"(?i)con|prn|aux|nul|com[0-9]|lpt[0-9]|manifest")


class EvidenceStore:
    """`open` first."""

    def __init__(
        self,
        folder: Path,
        limits: Limits,
        *,
        at_centre: Callable[[str], bool] = lambda sha256: False,
        told: Callable[[str], bool] = lambda sha256: True,
        free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
    ) -> None:
        """`at_centre(sha256)`: the centre has signed for that blob. `told(sha256)`: a fact names that
        manifest. Both are asked on the writing thread."""
        self._folder = folder
        self._limits = limits
        self._at_centre = at_centre
        self._told = told
        self._free_bytes = free_bytes
        self._days = Days(folder / ".index")
        self._aside = folder / ".aside"
        self._bytes = 0
        self._going_bytes = 0
        self._touched: set[str] = set()
        self._unsure: OrderedDict[str, None] = OrderedDict()
        self._places: OrderedDict[str, Path] = OrderedDict()
        self._reading = threading.Lock()
        self._blobs: OrderedDict[str, tuple[int, dict[str, Path]]] = OrderedDict()
        self._fresh_blobs: OrderedDict[str, Path] = OrderedDict()

    @property
    def size_bytes(self) -> int:
        """Of everything kept."""
        return self._bytes

    @property
    def days(self) -> Days:
        return self._days

    # --- beginning and end ---

    def open(self) -> tuple[Stored, ...]:
        """Finish or clear away what a kill left behind, and count. Returns what is kept without a fact that
        says so. Raises `OSError`."""
        make_folder(self._folder)
        make_folder(self._aside)
        self._days.open()
        touched = self._read_touched()
        for left in sorted(self._aside.iterdir()):
            finished = self._finished(left)
            if finished is not None:
                touched.add(finished)
        for day in sorted(touched):
            self._finish_parts(day)
        there = {path.name for path in self._folder.iterdir() if DAY.fullmatch(path.name) and path.is_dir()}
        indexed = set(self._days.days())
        for day in sorted(touched | there | indexed):
            if day in touched or day not in indexed:
                self._write_anew(day)
        counted = self._counted()
        sums: dict[str, tuple[int, int]] = {}
        untold: list[Stored] = []
        for day in self._days.days():
            mark = self._days.mark(day)
            known = counted.get(day)
            if known is None or known[0] != mark:
                if not self._is_whole(day):
                    self._write_anew(day)
                    mark = self._days.mark(day) if self._days.size_bytes(day) else 0
                known = (mark, sum(entry.size_bytes for entry in self._days.entries(day).values()))
            sums[day] = known
            if day in touched:
                untold += self._untold(self._days.entries(day))
        self._bytes = sum(size for _, size in sums.values())
        replace_whole(self._sums, to_json(sums))
        for day in self._days.days()[-2:]:
            for picture, entry in self._days.entries(day).items():
                self._places[picture] = self.place_of(entry)
        self._touched = set()
        for stored in untold:
            self._touch(stored.manifest.day)
        self._unsure.update({stored.sha256: None for stored in untold})
        if not untold:
            self._marker.unlink(missing_ok=True)
        return tuple(untold)

    def close(self) -> None:
        """What no fact names yet is looked for again at the next start."""
        if all(self._told(sha256) for sha256 in self._unsure):
            self._marker.unlink(missing_ok=True)

    # --- writing ---

    def keep(self, draft: Manifest, files: Mapping[str, tuple[bytes, bool]]) -> Stored:
        """A first version, durable when this returns; `files`: content, and whether it goes to the centre.
        Of a picture that is there already, what is there. Raises `DiskNearlyFull`, or another `OSError`;
        `ValueError` where something else is in its place, which no waiting would change."""
        place = self._place(draft)
        if (place / manifest_name(1)).exists():
            self._places.setdefault(draft.picture, place)
        there = self.latest(draft.picture)
        if there is not None:
            return there
        if place.is_dir() and any(place.iterdir()):
            raise ValueError("expected a place of its own: files nobody can read as evidence lie there")
        named = tuple(
            FileNamed(name, sha256_of(content), len(content), up) for name, (content, up) in files.items()
        )
        manifest = msgspec.structs.replace(draft, version=1, former_sha256="", files=named)
        encoded = encode(manifest)
        self._must_fit(len(encoded) + sum(file.size_bytes for file in named))
        self._touch(manifest.day)
        aside = self._aside / f"{sanitised(manifest.picture)}.{secrets.token_hex(4)}"
        try:
            aside.mkdir()
            for name, (content, _) in files.items():
                _write(aside / name, content)
            _write(aside / manifest_name(1), encoded)
            sync_folder(aside)
            self._move_in(aside, place)
        except OSError:
            shutil.rmtree(aside, ignore_errors=True)
            raise
        return self._noted(Stored(manifest, sha256_of(encoded), 0, _ups(named, ()), place), encoded, named)

    def amend(
        self, draft: Manifest, files: Mapping[str, tuple[bytes, bool]], *, up: frozenset[str]
    ) -> Stored:
        """A further version of a picture that is kept: `files` are added under names not there yet, `up`
        names those of before that go to the centre now. Raises `KeyError` where the picture is not kept,
        `OSError`."""
        former = self.latest(draft.picture)
        if former is None:
            raise KeyError(draft.picture)
        before = former.manifest.files
        added = tuple(
            FileNamed(name, sha256_of(content), len(content), goes_up)
            for name, (content, goes_up) in files.items()
        )
        taken = {file.name for file in before}
        if any(file.name in taken for file in added):
            raise ValueError(f"expected names that are not there yet, got {sorted(files)}")
        named = (
            *(msgspec.structs.replace(file, goes_up=file.goes_up or file.name in up) for file in before),
            *added,
        )
        version = former.manifest.version + 1
        manifest = msgspec.structs.replace(
            draft, version=version, former_sha256=former.sha256, day=former.manifest.day, files=named
        )
        encoded = encode(manifest)
        self._must_fit(len(encoded) + sum(file.size_bytes for file in added))
        self._touch(manifest.day)
        place = former.path
        final = place / manifest_name(version)
        try:
            # The manifest first: from it a start after a kill knows what the other parts were to be.
            _write(_part(final), encoded)
            for name, (content, _) in files.items():
                _write(_part(place / name), content)
            sync_folder(place)
        except OSError:
            for path in (_part(final), *(_part(place / name) for name in files)):
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
            raise
        self._take_parts(place, manifest, _part(final))
        stored = Stored(manifest, sha256_of(encoded), 0, _ups(named, before), place)
        return self._noted(stored, encoded, added)

    # --- reading ---

    def latest(self, picture: str) -> Stored | None:
        """The last version of what is kept of a picture of this run or the last two days."""
        place = self._places.get(picture)
        return None if place is None else self._at(place)

    def stored(self, entry: Entry) -> Stored | None:
        """The same by its line in the index. Any thread."""
        return self._at(self.place_of(entry))

    def file(self, stored: Stored, name: str) -> bytes | None:
        """A file of a picture, its hash proved; None where it is not there, or another. Any thread."""
        named = next((file for file in stored.manifest.files if file.name == name), None)
        try:
            data = None if named is None else (stored.path / named.name).read_bytes()
        except OSError:
            return None
        return data if data is not None and named is not None and sha256_of(data) == named.sha256 else None

    def _at(self, place: Path) -> Stored | None:
        versions = _versions(place)
        if not versions:
            return None
        manifest, sha256, size = versions[-1]
        return Stored(manifest, sha256, size + sum(file.size_bytes for file in manifest.files), (), place)

    def read(self, sha256: str) -> bytes | None:
        """A file that goes to the centre, its hash proved; None where there is none. Any thread. Raises
        `OSError` where it cannot be read now."""
        for path in self._lying(sha256):
            try:
                content = path.read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                continue
            if sha256_of(content) == sha256:
                return content
        return None

    def place_of(self, entry: Entry) -> Path:
        return self._folder / entry.day / entry.last.place

    # --- room ---

    def space(self) -> Space:
        """Raises `OSError`."""
        limits = self._limits
        on_disk = self._free_bytes(self._folder) + self._going_bytes - limits.keep_free_bytes
        free = min(on_disk, limits.most_bytes - self._bytes)
        return Space(free >= limits.room_bytes, max(0, free))

    def shed(self, utc: str, *, clock_is_known: bool) -> tuple[ShedParcels, ...]:
        """Let go of what is beyond its time and at the centre; where room is short also of what is either, by
        class and in it the oldest first. What is neither never goes: then the feed has to wait. A turn takes
        `MOST_SHED_A_TURN` parcels at most; they leave the disk in the turn after, when the fact that names
        them has been written. By a clock nobody vouches for nothing grows old (G7). Raises `OSError`."""
        self._clear_gone()
        today = date.fromisoformat(utc[:10])
        oldest = {
            "routine": (today - timedelta(days=self._limits.keep_days)).isoformat(),
            "held": (today - timedelta(days=self._limits.keep_held_days)).isoformat(),
        }

        def is_beyond(entry: Entry) -> bool:
            return clock_is_known and entry.day < oldest.get(entry.last.keep_class, oldest["held"])

        chosen: OrderedDict[str, Entry] = OrderedDict()
        if clock_is_known:
            for entry in self._oldest(before_day=max(oldest.values())):
                if is_beyond(entry) and self._is_at_centre(entry):
                    chosen[entry.last.picture] = entry
                    if len(chosen) >= MOST_SHED_A_TURN:
                        break
        wanted = self._missing_bytes() - sum(entry.size_bytes for entry in chosen.values())
        if wanted > 0:
            for held in (False, True):
                for entry in self._oldest():
                    if wanted <= 0 or len(chosen) >= MOST_SHED_A_TURN:
                        break
                    if (entry.last.keep_class == "held") is not held or entry.last.picture in chosen:
                        continue
                    if is_beyond(entry) or self._is_at_centre(entry):
                        chosen[entry.last.picture] = entry
                        wanted -= entry.size_bytes
        return self._gone(list(chosen.values()))

    def _missing_bytes(self) -> int:
        """So much has to go for half as much room again as is needed: not at every parcel anew."""
        free = self.space().free_bytes
        needed = self._limits.room_bytes
        return 0 if free >= needed else needed + needed // 2 - free

    def _is_at_centre(self, entry: Entry) -> bool:
        return bool(entry.up) and all(self._at_centre(up.sha256) for up in entry.up)

    def _oldest(self, *, before_day: str = "9999") -> Iterator[Entry]:
        for day in self._days.days():
            if day >= before_day:
                return
            yield from self._days.entries(day).values()

    def _gone(self, entries: list[Entry]) -> tuple[ShedParcels, ...]:
        shed: dict[str, list[Entry]] = {}
        for day in sorted({entry.day for entry in entries}):
            self._touch(day)
        for entry in entries:
            place = self.place_of(entry)
            away = self._aside / f"{_GONE}{entry.day}.{sanitised(entry.last.picture)}"
            if place.exists():
                shutil.rmtree(away, ignore_errors=True)
                place.replace(away)
            with contextlib.suppress(OSError):
                place.parent.rmdir()
            self._bytes -= entry.size_bytes
            self._going_bytes += entry.size_bytes
            self._places.pop(entry.last.picture, None)
            shed.setdefault(entry.last.keep_class, []).append(entry)
        gone = {entry.last.picture for entry in entries}
        for day in {entry.day for entry in entries}:
            rest = [
                line
                for picture, entry in self._days.entries(day).items()
                if picture not in gone
                for line in entry.lines
            ]
            self._days.write(day, rest)
            if not rest:
                self._days.remove(day)
                with contextlib.suppress(OSError):
                    (self._folder / day).rmdir()
        return tuple(
            ShedParcels(
                keep_class,
                tuple(entry.last.picture for entry in some),
                sum(entry.size_bytes for entry in some),
                min(entry.day for entry in some),
                max(entry.day for entry in some),
                tuple(up.sha256 for entry in some for up in entry.up),
            )
            for keep_class, some in shed.items()
        )

    def _clear_gone(self) -> None:
        for path in list(self._aside.iterdir()):
            if path.name.startswith(_GONE):
                shutil.rmtree(path)
        self._going_bytes = 0

    def gone_untold(self) -> tuple[ShedParcels, ...]:
        """What a program that was killed had let go of and perhaps not told. Asked once, after `open`."""
        found: dict[str, list[tuple[str, Manifest, int]]] = {}
        for path in sorted(self._aside.glob(f"{_GONE}*")):
            versions = _versions(path)
            if versions:
                manifest, _, size = versions[-1]
                total = size + sum(file.size_bytes for file in manifest.files)
                found.setdefault(manifest.keep_class, []).append((manifest.day, manifest, total))
        return tuple(
            ShedParcels(
                keep_class,
                tuple(manifest.picture for _, manifest, _ in some),
                sum(size for _, _, size in some),
                min(day for day, _, _ in some),
                max(day for day, _, _ in some),
                tuple(file.sha256 for _, manifest, _ in some for file in manifest.files if file.goes_up),
            )
            for keep_class, some in found.items()
        )

    # --- inside ---

    @property
    def _marker(self) -> Path:
        return self._folder / ".index" / _OPEN

    @property
    def _sums(self) -> Path:
        return self._folder / ".index" / "sums.json"

    def _counted(self) -> dict[str, tuple[int, int]]:
        """(mark of the index, bytes of its pictures) by day, as the last start counted: of days that stayed
        as they were nothing need be read but the mark."""
        try:
            return _sums(self._sums.read_bytes())
        except (OSError, Malformed):
            return {}

    def _read_touched(self) -> set[str]:
        """The days written to by a program that did not end well."""
        try:
            return {day for day in _touched(self._marker.read_bytes()) if DAY.fullmatch(day)}
        except FileNotFoundError:
            return set()
        except Malformed:
            return {path.name for path in self._folder.iterdir() if DAY.fullmatch(path.name)}

    def _touch(self, day: str) -> None:
        if day not in self._touched:
            self._touched.add(day)
            for settled in sorted(self._touched)[:-_DAYS_UNSURE]:
                if settled != day:
                    self._days.sync(settled)
                    self._touched.discard(settled)
            replace_whole(self._marker, to_json(sorted(self._touched)))

    def _must_fit(self, size_bytes: int) -> None:
        if self._free_bytes(self._folder) < self._limits.keep_free_bytes + size_bytes:
            raise DiskNearlyFull(f"less than {self._limits.keep_free_bytes // 1_000_000} MB of disk left")
        if self._bytes + size_bytes > self._limits.most_bytes:
            raise DiskNearlyFull(f"{self._limits.most_bytes // 1_000_000} MB of evidence are there already")

    def _place(self, manifest: Manifest) -> Path:
        whose = manifest.waybill_no or f"{manifest.station}-{manifest.parcel}"
        return self._folder / manifest.day / sanitised(whose) / sanitised(manifest.picture)

    def _move_in(self, aside: Path, place: Path) -> None:
        make_folder(place.parent)
        aside.replace(place)
        sync_folder(place.parent)

    def _noted(self, stored: Stored, encoded: bytes, added: tuple[FileNamed, ...]) -> Stored:
        """It is durable; the index and what is remembered of it follow."""
        size = len(encoded) + sum(file.size_bytes for file in added)
        name = manifest_name(stored.manifest.version)
        ups = (FileNamed(name, stored.sha256, len(encoded), True), *stored.up)
        stored = Stored(
            stored.manifest,
            stored.sha256,
            len(encoded) + sum(file.size_bytes for file in stored.manifest.files),
            ups,
            stored.path,
        )
        self._bytes += size
        line = self._line(stored, size)
        try:
            self._days.add(stored.manifest.day, line)
            like = line_of(line.picture, bytes(stored.manifest.said.descriptor))
            if like is not None and stored.manifest.version == 1:
                self._days.add_like(stored.manifest.day, like)
        except OSError as error:
            _logger().warning("not in the index until the next start", why=str(error))
        self._places[stored.manifest.picture] = stored.path
        self._unsure[stored.sha256] = None
        with self._reading:
            for up in ups:
                self._fresh_blobs[up.sha256] = stored.path / up.name
            while len(self._fresh_blobs) > _REMEMBERED:
                self._fresh_blobs.popitem(last=False)
        while len(self._places) > _REMEMBERED:
            self._places.popitem(last=False)
        while len(self._unsure) > _REMEMBERED:
            self._unsure.popitem(last=False)
        return stored

    def _line(self, stored: Stored, size_bytes: int) -> Line:
        manifest = stored.manifest
        goods, judged = manifest.said.goods, manifest.said.judged
        return Line(
            picture=manifest.picture,
            place=stored.path.relative_to(self._folder / manifest.day).as_posix(),
            version=manifest.version,
            parcel=manifest.parcel,
            waybill_no=manifest.waybill_no,
            association=manifest.association,
            verdict=manifest.verdict,
            keep_class=manifest.keep_class,
            sha256=stored.sha256,
            size_bytes=size_bytes,
            files=len(manifest.files),
            up=tuple(Up(file.name, file.sha256, file.size_bytes) for file in stored.up),
            taken_utc=manifest.taken.taken_utc,
            officer="" if judged is None else judged.officer,
            category="" if judged is None else judged.category,
            enterprise="" if goods is None else goods.enterprise,
            skus=() if goods is None else goods.skus,
            hs_codes=() if goods is None else goods.hs_codes,
        )

    def _lying(self, sha256: str) -> Iterator[Path]:
        with self._reading:
            fresh = self._fresh_blobs.get(sha256)
            known = list(self._blobs)
        if fresh is not None:
            yield fresh
        for day in (*known, *(day for day in reversed(self._days.days()) if day not in known)):
            path = self._blobs_of(day).get(sha256)
            if path is not None:
                yield path

    def _blobs_of(self, day: str) -> dict[str, Path]:
        size = self._days.size_bytes(day)
        with self._reading:
            remembered = self._blobs.get(day)
            if remembered is not None and remembered[0] == size:
                self._blobs.move_to_end(day)
                return remembered[1]
        blobs = {
            up.sha256: self.place_of(entry) / up.name
            for entry in self._days.entries(day).values()
            for up in entry.up
        }
        with self._reading:
            self._blobs[day] = (size, blobs)
            while len(self._blobs) > _DAYS_REMEMBERED:
                self._blobs.popitem(last=False)
        return blobs

    def _is_whole(self, day: str) -> bool:
        try:
            self._days.entries(day, strict=True)
        except Damaged as damaged:
            _logger().warning("an index is written anew", why=str(damaged))
            return False
        return True

    def _write_anew(self, day: str) -> None:
        lines: list[Line] = []
        for place in sorted((self._folder / day).glob("*/*")):
            if not place.is_dir():
                continue
            before: tuple[FileNamed, ...] = ()
            for manifest, sha256, size in _versions(place):
                if manifest.day != day:
                    break
                names = {file.name for file in before}
                added = size + sum(file.size_bytes for file in manifest.files if file.name not in names)
                ups = (
                    FileNamed(manifest_name(manifest.version), sha256, size, True),
                    *_ups(manifest.files, before),
                )
                lines.append(self._line(Stored(manifest, sha256, 0, ups, place), added))
                before = manifest.files
        if lines:
            lines.sort(key=lambda line: (line.taken_utc, line.picture, line.version))
            self._days.write(day, lines)
        else:
            self._days.remove(day)

    def _untold(self, entries: Mapping[str, Entry]) -> list[Stored]:
        untold = []
        for entry in entries.values():
            before: tuple[FileNamed, ...] = ()
            place = self.place_of(entry)
            for manifest, sha256, size in _versions(place):
                if not self._told(sha256):
                    ups = (
                        FileNamed(manifest_name(manifest.version), sha256, size, True),
                        *_ups(manifest.files, before),
                    )
                    total = size + sum(file.size_bytes for file in manifest.files)
                    untold.append(Stored(manifest, sha256, total, ups, place))
                before = manifest.files
        return untold

    def _finished(self, left: Path) -> str | None:
        """The day a folder of `.aside` belongs to, now that it is in its place; None: it was not whole, and
        went, or it is on its way out."""
        if left.name.startswith(_GONE):
            return None
        versions = _versions(left)
        if len(versions) == 1 and _is_whole(left, versions[0][0]):
            manifest = versions[0][0]
            place = self._place(manifest)
            if not place.exists():
                self._move_in(left, place)
                return manifest.day
        shutil.rmtree(left, ignore_errors=True)
        return None

    def _finish_parts(self, day: str) -> None:
        for part in sorted((self._folder / day).glob(f"*/*/.manifest*.json{_UNFINISHED}")):
            place = part.parent
            try:
                manifest = read(part.read_bytes())
            except Malformed:
                continue
            if part == _part(place / manifest_name(manifest.version)) and all(
                _sha_there(_part(place / file.name)) == file.sha256
                or _sha_there(place / file.name) == file.sha256
                for file in manifest.files
            ):
                self._take_parts(place, manifest, part)
        for part in (self._folder / day).glob(f"*/*/.*{_UNFINISHED}"):
            part.unlink(missing_ok=True)

    def _take_parts(self, place: Path, manifest: Manifest, unfinished: Path) -> None:
        for file in manifest.files:
            part = _part(place / file.name)
            if part.exists():
                part.replace(place / file.name)
        sync_folder(place)
        unfinished.replace(place / manifest_name(manifest.version))
        sync_folder(place)


def _ups(named: tuple[FileNamed, ...], before: tuple[FileNamed, ...]) -> tuple[FileNamed, ...]:
    went = {file.sha256 for file in before if file.goes_up}
    return tuple(file for file in named if file.goes_up and file.sha256 not in went)


def _versions(place: Path) -> list[tuple[Manifest, str, int]]:
    """Every manifest in a folder with its hash and size, the first version first, as far as each names the
    one before. What cannot be read ends the row: who proves the evidence says so."""
    found: list[tuple[Manifest, str, int]] = []
    former = ""
    while True:
        try:
            data = (place / manifest_name(len(found) + 1)).read_bytes()
            manifest = read(data)
        except (OSError, Malformed):
            return found
        if manifest.version != len(found) + 1 or manifest.former_sha256 != former:
            return found
        former = sha256_of(data)
        found.append((manifest, former, len(data)))


def _is_whole(place: Path, manifest: Manifest) -> bool:
    return all(_sha_there(place / file.name) == file.sha256 for file in manifest.files)


def _sha_there(path: Path) -> str:
    try:
        return sha256_of(path.read_bytes())
    except OSError:
        return ""


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}{_UNFINISHED}")


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _logger() -> structlog.stdlib.BoundLogger:
    log: structlog.stdlib.BoundLogger = structlog.get_logger("evidence")
    return log
