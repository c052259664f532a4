"""Cuts multipart bodies, and multipart streams that never end, into parts. No HTTP, no port, no device word.

A part ends where its Content-Length says; without one, where the next boundary stands. A boundary standing
inside an announced length means that the part was cut off: the part is reported so and the next one is read.
What is held is bounded. A length that is too short is found only by what the part carries: whoever reads a
part must check that it is whole.

Source: RFC 2046 5.1; Content-Length within parts as cameras send it.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass

from edge.devices.readings import ReadGarbled, ReadTruncated

MOST_HEAD_BYTES = 8 * 1024
KEPT_BYTES = 256
_MOST_BOUNDARY_CHARACTERS = 200
_BOUNDARY = re.compile(r';\s*boundary\s*=\s*(?:"([^"\r\n]{1,200})"|([^\s";,]{1,200}))', re.IGNORECASE)
_FIRST_LINE = re.compile(rb"\A\s*--([^\s\r\n-][^\r\n]{0,199}?|-[^\r\n]{0,199}?)[ \t]*\r?\n")
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_LENGTH = re.compile(r"[0-9]{1,9}", re.ASCII)
_NAME = re.compile(r'(?<![a-z])name\s*=\s*"?([^";\r\n]*)', re.IGNORECASE)
_FILE_NAME = re.compile(r'filename\s*=\s*"?([^";\r\n]*)', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Part:
    """One part. Header names are lower-case."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def kind(self) -> str:
        """The media type without its parameters, lower-case; empty where the part does not say."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def name(self) -> str:
        """What it is called: its name, or the name of its file."""
        said = self.headers.get("content-disposition", "")
        found = _NAME.search(said), _FILE_NAME.search(said)
        return next((match[1].strip() for match in found if match and match[1].strip()), "")


class _Place(enum.Enum):
    BETWEEN = enum.auto()
    HEAD = enum.auto()
    BODY = enum.auto()
    BEHIND = enum.auto()


def boundary_of(content_type: str) -> bytes | None:
    """The boundary a Content-Type names; None where it is no multipart or names none."""
    if not content_type.strip().lower().startswith("multipart/"):
        return None
    found = _BOUNDARY.search(content_type)
    return (found[1] or found[2]).strip().encode("latin-1", errors="replace") or None if found else None


def boundary_in(body: bytes) -> bytes | None:
    """The boundary a body begins with, where nothing names it."""
    found = _FIRST_LINE.match(body[: _MOST_BOUNDARY_CHARACTERS + 64])
    return found[1].rstrip() or None if found else None


class PartCutter:
    """Feed it the bytes in any slices; it answers with parts and with what was none, in order."""

    def __init__(self, boundary: bytes, *, most_part_bytes: int) -> None:
        """`most_part_bytes`: a longer part is refused, its bytes are skipped."""
        # some devices name the boundary with its leading dashes
        dashes = rb"(?:--)?" if boundary.startswith(b"--") else rb"--"
        self._delimiter = re.compile(rb"\n" + dashes + re.escape(boundary))
        self._longest_delimiter = len(boundary) + 4
        self._most_part_bytes = most_part_bytes
        # a boundary may stand at the very beginning, where no line ended before it
        self._held = bytearray(b"\n")
        self._place = _Place.BETWEEN
        self._searched = 0
        self._headers: dict[str, str] = {}
        self._length: int | None = None
        self._noise = b""
        self._skips = False

    @property
    def halfway(self) -> bool:
        """Bytes of a part have come that is not whole yet, or bytes that belong to none."""
        between = self._place is _Place.BETWEEN
        return self._place is not _Place.BEHIND and (not between or bool((self._noise + self._held).strip()))

    @property
    def ended(self) -> bool:
        """The closing boundary came: no more parts will."""
        return self._place is _Place.BEHIND

    @property
    def kept(self) -> bytes:
        """The beginning of what is half read, for a report."""
        return bytes(self._held[:KEPT_BYTES]).lstrip(b"\n")

    def feed(self, content: bytes) -> list[Part | ReadGarbled | ReadTruncated]:
        if self._place is _Place.BEHIND:
            return []
        self._held += content
        out: list[Part | ReadGarbled | ReadTruncated] = []
        while self._step(out):
            pass
        return out

    def end(self) -> list[Part | ReadGarbled | ReadTruncated]:
        """No more bytes will come: a part without announced length ends here."""
        out: list[Part | ReadGarbled | ReadTruncated] = []
        if self._place is _Place.BODY and self._length is None:
            out.append(Part(self._headers, bytes(self._held[1:])))
        elif self._place in (_Place.BODY, _Place.HEAD):
            out.append(ReadTruncated(self.kept))
        else:
            self._noise += bytes(self._held)
            self._report_noise(out)
        self._place = _Place.BEHIND
        self._held.clear()
        return out

    # --- one place after another; each step answers whether another may follow at once ---

    def _step(self, out: list[Part | ReadGarbled | ReadTruncated]) -> bool:
        match self._place:
            case _Place.BETWEEN:
                return self._between(out)
            case _Place.HEAD:
                return self._head(out)
            case _Place.BODY:
                return self._body(out)
            case _Place.BEHIND:
                self._held.clear()
                return False

    def _between(self, out: list[Part | ReadGarbled | ReadTruncated]) -> bool:
        found = self._delimiter.search(self._held)
        if found is None:
            # the end of what is held may be the beginning of a boundary
            self._set_aside(max(0, len(self._held) - self._longest_delimiter))
            return False
        line_end = self._held.find(b"\n", found.end())
        rest = bytes(self._held[found.end() : line_end if line_end >= 0 else None])
        if rest.startswith(b"--"):
            self._set_aside(found.start())
            self._report_noise(out)
            self._place = _Place.BEHIND
            return True
        unfinished = line_end < 0 and rest == b"-"
        if rest.strip(b" \t\r") and not unfinished:
            self._set_aside(found.start() + 1)
            return True
        if line_end < 0:
            self._set_aside(found.start())
            if len(rest) <= MOST_HEAD_BYTES:
                return False
            self._set_aside(found.end())
            return True
        self._set_aside(found.start())
        self._report_noise(out)
        # the line's end is kept: a head without lines is a blank line behind it
        del self._held[: line_end - found.start()]
        self._place = _Place.HEAD
        return True

    def _head(self, out: list[Part | ReadGarbled | ReadTruncated]) -> bool:
        blank = _BLANK_LINE.search(self._held)
        if blank is None or blank.start() > MOST_HEAD_BYTES:
            if len(self._held) > MOST_HEAD_BYTES:
                self._refuse("a part's head longer than allowed", out)
                return True
            return False
        head = bytes(self._held[: blank.start()])
        del self._held[: blank.end()]
        why = self._read_head(head)
        if why:
            self._held[:0] = b"\n"
            out.append(ReadGarbled(head[:KEPT_BYTES].strip(), why))
            self._begin_between(skips=True)
            return True
        self._place = _Place.BODY
        self._searched = 0
        # a part may be empty: its boundary then stands right behind the blank line
        self._held[:0] = b"\n"
        return True

    def _read_head(self, head: bytes) -> str:
        """Why it cannot be read; empty when it was."""
        self._headers = {}
        self._length = None
        for line in head.decode("utf-8", errors="replace").splitlines():
            if not line.strip():
                continue
            name, colon, value = line.partition(":")
            name = name.strip().lower()
            if not colon or not name:
                return "a part whose head is no list of headers"
            if name == "content-length" and self._headers.get(name, value.strip()) != value.strip():
                return "a part of two lengths"
            self._headers[name] = value.strip()
        announced = self._headers.get("content-length")
        if announced is None:
            return ""
        if not _LENGTH.fullmatch(announced):
            return "a part whose length is no number"
        self._length = int(announced)
        if self._length > self._most_part_bytes:
            return f"a part of {self._length} bytes, longer than allowed"
        return ""

    def _body(self, out: list[Part | ReadGarbled | ReadTruncated]) -> bool:
        # the held bytes begin with a line's end that is not the body's
        limit = len(self._held) if self._length is None else min(len(self._held), self._length + 1)
        found = self._delimiter.search(self._held, max(0, self._searched - self._longest_delimiter), limit)
        self._searched = limit
        if self._length is None:
            if found is None:
                if len(self._held) > self._most_part_bytes + self._longest_delimiter:
                    self._refuse("a part longer than allowed", out)
                    return True
                return False
            body = bytes(self._held[1 : found.start()]).removesuffix(b"\r")
            if len(body) <= self._most_part_bytes:
                out.append(Part(self._headers, body))
            else:
                out.append(ReadGarbled(body[:KEPT_BYTES], "a part longer than allowed"))
            del self._held[: found.start()]
        elif found is not None:
            out.append(ReadTruncated(bytes(self._held[1 : found.start()][:KEPT_BYTES])))
            del self._held[: found.start()]
        elif len(self._held) > self._length:
            out.append(Part(self._headers, bytes(self._held[1 : self._length + 1])))
            # some devices put the next boundary right behind the last byte
            del self._held[: self._length]
            self._held[:1] = b"\n"
        else:
            return False
        self._begin_between()
        return True

    def _begin_between(self, *, skips: bool = False) -> None:
        """`skips`: what comes before the next boundary was reported already."""
        self._place = _Place.BETWEEN
        self._skips = skips

    def _refuse(self, why: str, out: list[Part | ReadGarbled | ReadTruncated]) -> None:
        out.append(ReadGarbled(self.kept, why))
        self._begin_between(skips=True)

    def _set_aside(self, count: int) -> None:
        room = KEPT_BYTES - len(self._noise)
        self._noise += bytes(self._held[: min(count, room)]).strip() if room > 0 else b""
        del self._held[:count]

    def _report_noise(self, out: list[Part | ReadGarbled | ReadTruncated]) -> None:
        if self._noise.strip() and not self._skips:
            out.append(ReadGarbled(self._noise.strip(), "bytes that belong to no part"))
        self._noise = b""
        self._skips = False
