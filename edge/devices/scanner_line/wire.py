"""Bytes of a scanner that ends every read with a line ending <-> messages. No port, no clock, no trigger.

A line is text, then CR, LF, CR LF or TAB as the scanner is set; an AIM symbology identifier (`]C0`) may
stand before the text. Where the scanner is set to no ending, quiet ends a line, and a cut read cannot be
told from a whole one. Bytes are UTF-8, else GB 18030; control characters other than those of ISO 15434
envelopes are noise. The scanners of other rooms send their texts in the same lines, with their own frames
between them: they give `LineDecoder` their own meaning of a line and say what may stand at the start of one.

What this line is worth: it carries no check. A line cut off by quiet is never a code; a byte changed on the
way can be. `Aim.REQUIRED` refuses every line that does not start with an identifier, so noise before a
read, or a lost ending before it, is found; the cable must do the rest.

Source: Keyence SR and SICK CLV manuals (read-error texts), GM65 manual (endings), zxing-cpp core/src
(identifiers).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from edge.devices.framing import NO_START, NotHere, Unfinished, Whole
from edge.devices.readings import ReadGarbled, ReadTruncated

M = TypeVar("M")

_AIM = re.compile(r"\][A-Za-z][0-9A-Za-z]")
_CONTROL = re.compile(r"[\x00-\x03\x05-\x08\x0b\x0c\x0e-\x1b\x7f]")
"""All of C0 and DEL but TAB, LF, CR, EOT, FS, GS, RS, US."""

KEPT_BYTES = 64
"""So much of a line that is too long is kept for the report."""

Encoding = Literal["auto", "utf-8", "gb18030"]
""""auto" takes for UTF-8 whatever can be: a few short GB 18030 texts can be too (D2 BB is both)."""


class Ending(enum.Enum):
    """What ends a line. Value: the bytes, longest first."""

    CR = (b"\r",)
    LF = (b"\n",)
    CRLF = (b"\r\n",)
    TAB = (b"\t",)
    QUIET = ()
    ANY = (b"\r", b"\n", b"\t")
    """Only for looking at single frames."""
    ETX = (b"\x03",)
    """For frames between STX and ETX; the STX is the line's first byte."""


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


Line = Code | NoRead | ReadGarbled
Message = Line | ReadTruncated


@dataclass(frozen=True, slots=True)
class Answer:
    """What a scanner says to a command."""

    good: bool
    on: bool | None
    """To which: trigger on, trigger off; None where the answer does not say."""
    text: str
    other: bool = False
    """To a command this product never sends."""


@dataclass(frozen=True, slots=True)
class Command:
    """What a host says to a scanner. Only `kakou frames` expects to see one."""

    on: bool | None
    """Trigger on, trigger off; None: another command."""
    text: str


@dataclass(frozen=True, slots=True)
class Fault:
    """The scanner's own word for a fault of its own."""

    code: str
    detail: str = ""


Said = Line | Answer | Command | Fault
"""Whatever may stand on a triggered scanner's line."""


@dataclass(frozen=True, slots=True)
class Rules:
    ending: Ending
    aim: Aim
    no_read: tuple[str, ...]
    max_bytes: int
    encoding: Encoding = "auto"
    prefix: bytes = b""
    """Stands before every text (the identifier follows it); a line without it is noise."""


def read_line(line: bytes, rules: Rules) -> Line:
    """The meaning of one line, ending taken off."""
    if not line.startswith(rules.prefix):
        return ReadGarbled(line, f"does not begin with {rules.prefix.hex(' ')}")
    text = _decoded(line[len(rules.prefix) :], rules.encoding)
    if text is None:
        return ReadGarbled(line, _NO_TEXT[rules.encoding])
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
        return ReadGarbled(line, "an identifier without text" if aim else "a prefix without text")
    return Code(text, aim)


_NO_TEXT = {
    "auto": "neither UTF-8 nor GB 18030",
    "utf-8": "not UTF-8",
    "gb18030": "not GB 18030",
}


def _decoded(raw: bytes, encoding: Encoding) -> str | None:
    for name in ("utf-8", "gb18030") if encoding == "auto" else (encoding,):
        try:
            return raw.decode(name)
        except UnicodeDecodeError:
            continue
    return None


AtStart = Callable[[bytes, int], Whole[M] | NotHere | Unfinished]


def nothing_else(held: bytes, at: int) -> NotHere:
    """Where a scanner sends lines and nothing else."""
    return NO_START


class LineDecoder(Generic[M]):
    """Feed it whatever the port gave, in any slices; it answers with whole lines.

    A line that means nothing is told whole and never searched for a beginning further on: what follows noise
    is not known to be a text from its start.
    """

    def __init__(
        self,
        rules: Rules,
        read: Callable[[bytes, Rules], M],
        at_start: AtStart[M] = nothing_else,
    ) -> None:
        """`at_start` finds the frames that are no lines; it is asked only where a line would begin."""
        self._rules = rules
        self._read = read
        self._at_start = at_start
        self._kept = min(KEPT_BYTES, rules.max_bytes)
        self._held = b""
        self._overlong = b""

    @property
    def holding(self) -> bool:
        return bool(self._held or self._overlong)

    def clear(self) -> None:
        self._held = b""
        self._overlong = b""

    def feed(self, data: bytes) -> list[M | ReadGarbled | ReadTruncated]:
        out: list[M | ReadGarbled | ReadTruncated] = []
        held = self._held + data
        waits = False
        while held:
            if not self._overlong:
                # the rest of a longer ending than is set, and empty lines
                held = held.lstrip(b"\r\n")
                if not held:
                    break
                match self._at_start(held, 0):
                    case Whole(length, message):
                        out.append(message)
                        held = held[length:]
                        continue
                    case Unfinished.MORE:
                        waits = True
                        break
                    case NotHere():
                        pass
            end, size = self._ending_in(held)
            if end < 0:
                break
            self._line(held[:end], out)
            held = held[end + size :]
        keep = 1 if self._rules.ending is Ending.CRLF and held.endswith(b"\r") else 0
        if not waits and (len(held) - keep > self._rules.max_bytes or self._overlong):
            self._overlong = self._overlong or held[: self._kept]
            held = held[len(held) - keep :]
        self._held = held
        return out

    def quiet(self) -> list[M | ReadGarbled | ReadTruncated]:
        """The line went quiet: an ending that is set and did not come means the read was cut off."""
        out: list[M | ReadGarbled | ReadTruncated] = []
        held, self._held = self._held, b""
        if self._overlong:
            self._line(b"", out)
        elif held and not isinstance(self._at_start(held, 0), NotHere):
            out.append(ReadTruncated(held))
        elif self._rules.ending is Ending.QUIET:
            self._line(held.strip(b"\r\n"), out)
        elif held.strip(b"\r\n"):
            out.append(ReadTruncated(held))
        return out

    def _ending_in(self, held: bytes) -> tuple[int, int]:
        """(place, size) of the first ending, or place -1."""
        found = [(held.find(ending), len(ending)) for ending in self._rules.ending.value]
        return min((place for place in found if place[0] >= 0), default=(-1, 0))

    def _line(self, line: bytes, out: list[M | ReadGarbled | ReadTruncated]) -> None:
        if self._overlong or len(line) > self._rules.max_bytes:
            raw = self._overlong or line[: self._kept]
            self._overlong = b""
            out.append(ReadGarbled(raw, f"a line longer than {self._rules.max_bytes} bytes"))
            return
        line = line.strip(b"\r\n")
        if line:
            out.append(self._read(line, self._rules))


def decoder(rules: Rules) -> LineDecoder[Line]:
    return LineDecoder(rules, read_line)


STX = b"\x02"


def after_stx(frame: bytes) -> bytes | ReadGarbled:
    """What stands between STX and ETX, the ETX taken off already. Bytes before the STX are noise between two
    frames; a second STX means that a frame was cut off here, and which bytes are whose cannot be told."""
    _, start, text = frame.partition(STX)
    if not start:
        return ReadGarbled(frame, "no STX in front")
    if STX in text:
        return ReadGarbled(frame, "two STX before one ETX")
    return text
