"""Bytes of a scanner that ends every read with a line ending <-> messages. No port, no clock, no trigger.

A line is text, then CR, LF, CR LF or TAB as the scanner is set; an AIM symbology identifier (`]C0`) may
stand before the text. Where the scanner is set to no ending, quiet ends a line, and a cut read cannot be
told from a whole one. Bytes are UTF-8, else GB 18030; control characters other than those of ISO 15434
envelopes are noise.

What this line is worth: it carries no check. A line cut off by quiet is never a code; a byte changed on the
way can be. `Aim.REQUIRED` refuses every line that does not start with an identifier, so noise before a
read, or a lost ending before it, is found; the cable must do the rest.

Source: Keyence SR and SICK CLV manuals (read-error texts), GM65 manual (endings), zxing-cpp core/src
(identifiers).
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from edge.devices.readings import ReadGarbled, ReadTruncated

_AIM = re.compile(r"\][A-Za-z][0-9A-Za-z]")
_CONTROL = re.compile(r"[\x00-\x03\x05-\x08\x0b\x0c\x0e-\x1b\x7f]")
"""All of C0 and DEL but TAB, LF, CR, EOT, FS, GS, RS, US."""

KEPT_BYTES = 64
"""So much of a line that is too long is kept for the report."""


class Ending(enum.Enum):
    """What ends a line. Value: the bytes, longest first."""

    CR = (b"\r",)
    LF = (b"\n",)
    CRLF = (b"\r\n",)
    TAB = (b"\t",)
    QUIET = ()
    ANY = (b"\r", b"\n", b"\t")
    """Only for looking at single frames."""


class Aim(enum.Enum):
    NONE = enum.auto()
    """The scanner sends no identifiers: `]C0` would be text."""
    ALLOWED = enum.auto()
    REQUIRED = enum.auto()


@dataclass(frozen=True, slots=True)
class Code:
    text: str
    aim: str


@dataclass(frozen=True, slots=True)
class NoRead:
    """The scanner's own word for having read nothing."""

    word: str


Message = Code | NoRead | ReadGarbled | ReadTruncated


@dataclass(frozen=True, slots=True)
class Rules:
    ending: Ending
    aim: Aim
    no_read: tuple[str, ...]
    max_bytes: int


def read_line(line: bytes, rules: Rules) -> Code | NoRead | ReadGarbled:
    """The meaning of one line, ending taken off."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        try:
            text = line.decode("gb18030")
        except UnicodeDecodeError:
            return ReadGarbled(line, "neither UTF-8 nor GB 18030")
    if text in rules.no_read:
        return NoRead(text)
    control = _CONTROL.search(text)
    if control:
        return ReadGarbled(line, f"control character {ord(control[0]):02X} in the text")
    aim = ""
    if rules.aim is not Aim.NONE:
        found = _AIM.match(text)
        if found:
            aim, text = found[0], text[found.end() :]
        elif rules.aim is Aim.REQUIRED:
            return ReadGarbled(line, "no AIM identifier in front")
    if text in rules.no_read:
        return NoRead(text)
    if not text:
        return ReadGarbled(line, "an identifier without text")
    return Code(text, aim)


class LineDecoder:
    """Feed it whatever the port gave, in any slices; it answers with whole lines."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._kept = min(KEPT_BYTES, rules.max_bytes)
        self._held = b""
        self._overlong = b""

    @property
    def holding(self) -> bool:
        return bool(self._held or self._overlong)

    def clear(self) -> None:
        self._held = b""
        self._overlong = b""

    def feed(self, data: bytes) -> list[Message]:
        out: list[Message] = []
        held = self._held + data
        while True:
            end, size = self._ending_in(held)
            if end < 0:
                break
            self._line(held[:end], out)
            held = held[end + size :]
        keep = 1 if self._rules.ending is Ending.CRLF and held.endswith(b"\r") else 0
        if len(held) - keep > self._rules.max_bytes or self._overlong:
            self._overlong = self._overlong or held[: self._kept]
            held = held[len(held) - keep :]
        self._held = held
        return out

    def quiet(self) -> list[Message]:
        """The line went quiet: an ending that is set and did not come means the read was cut off."""
        out: list[Message] = []
        held, self._held = self._held, b""
        if self._overlong:
            self._line(b"", out)
        elif self._rules.ending is Ending.QUIET:
            self._line(held.strip(b"\r\n"), out)
        elif held.strip(b"\r\n"):
            out.append(ReadTruncated(held))
        return out

    def _ending_in(self, held: bytes) -> tuple[int, int]:
        """(place, size) of the first ending, or place -1."""
        found = [(held.find(ending), len(ending)) for ending in self._rules.ending.value]
        return min((place for place in found if place[0] >= 0), default=(-1, 0))

    def _line(self, line: bytes, out: list[Message]) -> None:
        if self._overlong or len(line) > self._rules.max_bytes:
            raw = self._overlong or line[: self._kept]
            self._overlong = b""
            out.append(ReadGarbled(raw, f"a line longer than {self._rules.max_bytes} bytes"))
            return
        line = line.strip(b"\r\n")
        if line:
            out.append(read_line(line, self._rules))
