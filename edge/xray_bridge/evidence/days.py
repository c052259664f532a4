"""The index of what is kept: a file of JSON lines for each day, which any thread may read while one writes.
It is a help, never the truth: the manifests in the folder are, and from them a lost or damaged day is
written anew."""

from __future__ import annotations

import contextlib
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from sync.store.folders import make_folder
from sync.store.whole_files import replace_whole
from sync.vocabulary.codec import to_json

DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


class Up(msgspec.Struct, frozen=True, array_like=True):
    """A file that the centre gets."""

    name: str
    sha256: str
    size_bytes: int


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One version of what is kept of one picture."""

    picture: str
    place: str = ""
    """Its folder, below the day's."""
    version: int = 1
    parcel: int = 0
    waybill_no: str = ""
    association: str = ""
    verdict: str = ""
    keep_class: str = "routine"
    sha256: str = ""
    """The manifest's."""
    size_bytes: int = 0
    """That this version added."""
    files: int = 0
    up: tuple[Up, ...] = ()
    taken_utc: str = ""
    officer: str = ""
    category: str = ""
    enterprise: str = ""
    skus: tuple[str, ...] = ()
    hs_codes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """All versions of one picture taken together, the first one first."""

    day: str
    lines: tuple[Line, ...]

    @property
    def last(self) -> Line:
        return self.lines[-1]

    @property
    def size_bytes(self) -> int:
        return sum(line.size_bytes for line in self.lines)

    @property
    def up(self) -> tuple[Up, ...]:
        return tuple(up for line in self.lines for up in line.up)


class Damaged(ValueError):
    """A day's index has lines that are none."""


_decode = msgspec.json.Decoder(Line).decode


class Days:
    """Written from one thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open(self) -> None:
        """Raises `OSError`."""
        make_folder(self._folder)

    def days(self) -> list[str]:
        """The oldest first."""
        try:
            names = [path.name.removesuffix(".jsonl") for path in self._folder.iterdir()]
        except FileNotFoundError:
            return []
        return sorted(name for name in names if DAY.fullmatch(name))

    def add(self, day: str, line: Line) -> None:
        """Not synced: after a power cut a day that was written to is read from its manifests. Raises
        `OSError`."""
        with self._path(day).open("ab+") as file:
            end = file.seek(0, os.SEEK_END)
            whole = True
            if end:
                file.seek(end - 1)
                whole = file.read(1) == b"\n"
            file.write(b"" if whole else b"\n")
            file.write(to_json(line) + b"\n")

    def write(self, day: str, lines: Iterable[Line]) -> None:
        """The whole day anew. Raises `OSError`."""
        replace_whole(self._path(day), b"".join(to_json(line) + b"\n" for line in lines))

    def likes(self, day: str) -> Path:
        """What its pictures are found by when one looks like them (`likes.py`)."""
        return self._folder / f"{day}.likes"

    def add_like(self, day: str, line: bytes) -> None:
        """Not synced, and never written anew: a help for searching. Raises `OSError`."""
        with self.likes(day).open("ab") as file:
            # What a power cut left of a line before ends here.
            file.write(b"\n" + line + b"\n")

    def sync(self, day: str) -> None:
        """What was added is on the disk. Raises `OSError`."""
        with contextlib.suppress(FileNotFoundError), self._path(day).open("rb+") as file:
            os.fsync(file.fileno())

    def size_bytes(self, day: str) -> int:
        """Of the index itself: another one is another index. 0: there is none."""
        try:
            return self._path(day).stat().st_size
        except FileNotFoundError:
            return 0

    def mark(self, day: str) -> int:
        """Of the index' bytes: another mark, other bytes. Raises `OSError`."""
        return zlib.crc32(self._path(day).read_bytes())

    def remove(self, day: str) -> None:
        self._path(day).unlink(missing_ok=True)
        self.likes(day).unlink(missing_ok=True)

    def entries(self, day: str, *, strict: bool = False, holding: str = "") -> dict[str, Entry]:
        """By picture, in the order they came; `holding`: only lines in which that text stands somewhere,
        whatever its case. A line that is none is passed over; with `strict` it raises `Damaged`. Raises
        `OSError`."""
        found: dict[str, Entry] = {}
        for line in self._lines(day, strict=strict, holding=holding):
            before = found.get(line.picture)
            found[line.picture] = Entry(day, (line,) if before is None else (*before.lines, line))
        return found

    def _lines(self, day: str, *, strict: bool, holding: str) -> Iterator[Line]:
        try:
            data = self._path(day).read_bytes()
        except FileNotFoundError:
            return
        wanted = msgspec.json.encode(holding)[1:-1].lower()
        if wanted not in data.lower():
            return
        *whole, _rest = data.split(b"\n")
        for number, text in enumerate(whole, 1):
            if holding and wanted not in text.lower():
                continue
            try:
                yield _decode(text)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                if strict:
                    raise Damaged(f"{self._path(day)}: line {number} is none: {error}") from error
        if strict and _rest:
            raise Damaged(f"{self._path(day)}: the last line is cut off")

    def _path(self, day: str) -> Path:
        return self._folder / f"{day}.jsonl"
