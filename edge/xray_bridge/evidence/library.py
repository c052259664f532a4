"""The library of labelled pictures (制图—标图—反馈): references of good goods, and finds. One key saves one.

`FOLDER/R-000012/1.json` is an entry's first version, beside it its pictures; a further version (`2.json`)
is what somebody said of it later. Nothing is written over. `index.jsonl` holds every version in a line, so
that a start reads one file; lost or damaged it is written anew from the entries. One thread writes, any may
ask."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from threading import Lock
from typing import Annotated, Final, Literal

import msgspec
import structlog
from msgspec import Meta

from edge.xray_bridge.evidence.manifest import FileNamed, Taken, sha256_of
from edge.xray_bridge.values import Goods, Likeness
from sync.store.folders import make_folder, sync_folder
from sync.store.whole_files import replace_whole, write_new
from sync.vocabulary.bounds import Count, HashOrNone, NameOrNone, Number, Words
from sync.vocabulary.codec import Malformed, strict_decoder, to_json
from sync.vocabulary.records import quantity_of
from sync.vocabulary.xray_facts import MAX_REGIONS, RegionTold

Kind = Literal["reference", "find"]
LETTERS: Final = {"reference": "R", "find": "F"}
MOST_ENTRIES: Final = 200_000
CHAPTER_DIGITS: Final = 2

_NUMBER: Final = re.compile(r"[RF]-(\d{6,9})")
_INDEX: Final = "index.jsonl"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One version of one labelled picture."""

    number: Annotated[str, Meta(pattern=r"^[RF]-\d{6,9}$")]
    version: Number = 1
    former_sha256: HashOrNone = ""
    kind: Kind
    in_force: bool = True
    """False: it was taken back, and is compared with no more."""
    picture: NameOrNone
    parcel: Count = 0
    waybill_no: NameOrNone = ""
    enterprise: NameOrNone = ""
    sku: NameOrNone = ""
    """Empty where the parcel holds several kinds of goods: it looks like none of them."""
    hs_code: NameOrNone = ""
    quantity: NameOrNone = ""
    """How many of them, plain (`2`), in the unit they are declared in; empty: not known."""
    goods: Words = ""
    """Their declared names."""
    category: Words = ""
    note: Words = ""
    regions: Annotated[tuple[RegionTold, ...], Meta(max_length=MAX_REGIONS)] = ()
    officer: NameOrNone = ""
    saved_utc: Words
    calibration: NameOrNone = ""
    taken: Taken
    files: Annotated[tuple[FileNamed, ...], Meta(max_length=8)] = ()
    descriptor: Annotated[str, Meta(max_length=16_000)] = ""
    """JSON, as the analysis made it; empty: nothing can be compared with it."""

    @property
    def key(self) -> str:
        """As facts and screens name it: `R-000012.1`."""
        return f"{self.number}.{self.version}"

    @property
    def picture_sha256(self) -> str:
        """Of its high-energy picture."""
        return next((file.sha256 for file in self.files if file.name == "high.dcs"), "")


_read = strict_decoder(Entry)


class Library:
    """`open` first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = Lock()
        self._latest: dict[str, Entry] = {}
        self._by_picture: dict[tuple[str, str], str] = {}

    def open(self) -> None:
        """Raises `OSError`."""
        make_folder(self._folder)
        for left in self._folder.glob(".new-*"):
            shutil.rmtree(left, ignore_errors=True)
        found = self._indexed()
        numbers = {path.name for path in self._folder.iterdir() if _NUMBER.fullmatch(path.name)}
        if found is None or {entry.number for entry in found} != numbers:
            found = [entry for number in sorted(numbers) for entry in self.versions(number)]
            replace_whole(self._folder / _INDEX, b"".join(to_json(entry) + b"\n" for entry in found))
        for entry in found:
            self._remember(entry)

    # --- one thread writes ---

    def save(self, draft: Entry, files: Mapping[str, bytes]) -> Entry:
        """A new entry; of a picture that is in the library in this kind already, a further version with the
        new words. `draft`'s number and version are chosen here. Durable when this returns. Raises
        `OSError`."""
        with self._lock:
            known = self._by_picture.get((draft.kind, draft.picture))
        if known is not None:
            return self._again(self._latest[known], draft)
        if len(self._latest) >= MOST_ENTRIES:
            raise OSError(f"{MOST_ENTRIES} entries are in the library already")
        named = tuple(FileNamed(name, sha256_of(data), len(data)) for name, data in files.items())
        entry = msgspec.structs.replace(
            draft, number=self._next(draft.kind), version=1, former_sha256="", files=named
        )
        aside = self._folder / f".new-{secrets.token_hex(4)}"
        try:
            aside.mkdir()
            for name, data in (*files.items(), ("1.json", _encoded(entry))):
                with (aside / name).open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
            sync_folder(aside)
            aside.replace(self._folder / entry.number)
        except OSError:
            shutil.rmtree(aside, ignore_errors=True)
            raise
        sync_folder(self._folder)
        self._note(entry)
        return entry

    def take_back(self, number: str, *, officer: str, utc: str) -> Entry | None:
        """It stays, and is compared with no more. None: there is no such entry. Raises `OSError`."""
        with self._lock:
            entry = self._latest.get(number)
        if entry is None or not entry.in_force:
            return entry
        return self._again(
            entry, msgspec.structs.replace(entry, in_force=False, officer=officer, saved_utc=utc)
        )

    def _again(self, before: Entry, draft: Entry) -> Entry:
        # As it lies there: written by an older program it has fewer fields than we would write.
        former = sha256_of((self._folder / before.number / f"{before.version}.json").read_bytes())
        entry = msgspec.structs.replace(
            draft,
            number=before.number,
            version=before.version + 1,
            former_sha256=former,
            files=before.files,
            taken=before.taken,
            descriptor=draft.descriptor or before.descriptor,
        )
        same = msgspec.structs.replace(
            entry,
            version=before.version,
            former_sha256=before.former_sha256,
            saved_utc=before.saved_utc,
            officer=before.officer,
        )
        if same == before:
            return before
        write_new(self._folder / entry.number / f"{entry.version}.json", _encoded(entry))
        self._note(entry)
        return entry

    # --- any thread asks ---

    def entries(self, kind: Kind | None = None) -> list[Entry]:
        """The newest version of everything in force, the newest entry first."""
        with self._lock:
            found = [entry for entry in self._latest.values() if entry.in_force]
        found.sort(key=lambda entry: (entry.saved_utc, entry.number), reverse=True)
        return [entry for entry in found if kind is None or entry.kind == kind]

    def get(self, key: str) -> Entry | None:
        """By number, or by number and version: then that version."""
        number, _, version = key.partition(".")
        with self._lock:
            entry = self._latest.get(number)
        if entry is None or not version or entry.key == key:
            return entry
        return next((each for each in self.versions(number) if each.key == key), None)

    def of_picture(self, picture: str) -> Entry | None:
        with self._lock:
            for kind in LETTERS:
                number = self._by_picture.get((kind, picture))
                if number is not None:
                    return self._latest[number]
        return None

    def references_of(self, sku: str, hs_code: str) -> dict[Likeness, list[Entry]]:
        """References that can be compared with: of the same article, and of the same chapter of the
        tariff."""
        chapter = hs_code[:CHAPTER_DIGITS]
        usable = [entry for entry in self.entries("reference") if entry.descriptor]
        return {
            Likeness.SKU: [entry for entry in usable if sku and entry.sku == sku],
            Likeness.CHAPTER: [
                entry
                for entry in usable
                if len(chapter) == CHAPTER_DIGITS and entry.hs_code.startswith(chapter)
            ],
        }

    def file(self, entry: Entry, name: str) -> bytes | None:
        """A file of an entry, its hash proved; None where it is not there, or another."""
        named = next((file for file in entry.files if file.name == name), None)
        if named is None:
            return None
        try:
            data = (self._folder / entry.number / name).read_bytes()
        except OSError:
            return None
        return data if sha256_of(data) == named.sha256 else None

    # --- inside ---

    def _next(self, kind: Kind) -> str:
        """Never one that was used: what lies there unread has its number too."""
        letter = LETTERS[kind]
        lying = (path.name for path in self._folder.iterdir() if _NUMBER.fullmatch(path.name))
        with self._lock:
            used = {int(number[2:]) for number in (*lying, *self._latest) if number.startswith(letter)}
        return f"{letter}-{max(used, default=0) + 1:06d}"

    def _note(self, entry: Entry) -> None:
        self._remember(entry)
        try:
            with (self._folder / _INDEX).open("ab") as file:
                file.write(to_json(entry) + b"\n")
        except OSError as error:
            _logger().warning("not in the index until it is written anew", why=str(error))
            with contextlib.suppress(OSError):
                (self._folder / _INDEX).unlink(missing_ok=True)

    def _remember(self, entry: Entry) -> None:
        with self._lock:
            known = self._latest.get(entry.number)
            if known is None or known.version < entry.version:
                self._latest[entry.number] = entry
            self._by_picture[(entry.kind, entry.picture)] = entry.number

    def _indexed(self) -> list[Entry] | None:
        """None: there is no index, or not a whole one, or an entry has a version it does not know."""
        try:
            data = (self._folder / _INDEX).read_bytes()
            *lines, rest = data.split(b"\n")
            found = [_read(line) for line in lines]
        except (OSError, Malformed):
            return None
        if rest:
            return None
        newest = {entry.number: entry.version for entry in found}
        for number, version in newest.items():
            if (self._folder / number / f"{version + 1}.json").exists():
                return None
        return found

    def versions(self, number: str) -> Iterator[Entry]:
        """Of one entry, from the disk, the first one first: as far as each names the one before."""
        former = ""
        version = 1
        while True:
            try:
                data = (self._folder / number / f"{version}.json").read_bytes()
                entry = _read(data)
            except FileNotFoundError:
                return
            except (OSError, Malformed) as error:
                _logger().warning("an entry of the library cannot be read", entry=number, why=str(error))
                return
            if (entry.number, entry.version, entry.former_sha256) != (number, version, former):
                _logger().warning("an entry of the library is not what it should be", entry=number)
                return
            yield entry
            former = sha256_of(data)
            version += 1


def problems_of(folder: Path) -> list[str]:
    """What is missing, changed or foreign in a library's folder."""
    found: list[str] = []
    library = Library(folder)
    for path in sorted(folder.iterdir()):
        if path.name == _INDEX:
            continue
        if not _NUMBER.fullmatch(path.name):
            found.append(f"{path.name}: foreign")
            continue
        row = list(library.versions(path.name))
        if not row:
            found.append(f"{path.name}: its first version cannot be read")
            continue
        expected = {file.name for file in row[0].files} | {f"{each.version}.json" for each in row}
        found += [f"{path.name}/{name}: foreign" for name in sorted(_names(path) - expected)]
        found += [
            f"{path.name}/{file.name}: missing or changed"
            for file in row[0].files
            if library.file(row[0], file.name) is None
        ]
    return found


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def _encoded(entry: Entry) -> bytes:
    return msgspec.json.format(to_json(entry), indent=1) + b"\n"


def plain_quantity(text: str) -> str:
    """Two texts of one number become one (`2`, `2.0`); empty for what is no number, and for none of it."""
    number = quantity_of(text)
    return f"{number.normalize():f}" if number else ""


def quantity_in(goods: Goods | None) -> str:
    """How many of its one kind of goods a parcel declares; empty where that cannot be told: several kinds,
    several units, several parcels under one waybill, a line without a number."""
    if goods is None or goods.pieces > 1 or not goods.lines:
        return ""
    kinds = {(line.sku, line.hs_code, line.unit) for line in goods.lines}
    numbers = [quantity_of(line.quantity) for line in goods.lines]
    if len(kinds) > 1 or None in numbers:
        return ""
    return plain_quantity(f"{sum(number for number in numbers if number is not None):f}")


def goods_key(lines: Iterable[tuple[str, str]]) -> tuple[str, str]:
    """(SKU, HS code) of declared lines: of one kind of goods; empty for several."""
    kinds = set(lines)
    return next(iter(kinds)) if len(kinds) == 1 else ("", "")


def _logger() -> structlog.stdlib.BoundLogger:
    log: structlog.stdlib.BoundLogger = structlog.get_logger("library")
    return log
