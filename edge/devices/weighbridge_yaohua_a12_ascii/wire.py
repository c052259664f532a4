"""Bytes of a Yaohua XK3190-A12 indicator, ASCII lines <-> messages. No port, no clock.

Line: `w | w weight (gross), n net or t tare | 7 characters of weight with its point | kg or lb | CR LF`, such
as `ww000.000lb`, `wn-0000.1kg`. A negative weight has `-` as its first character. A weight without a point
has a blank as its last character or seven digits; blanked leading zeros are allowed, since programs are
published that take them out. There is no stable flag and no overload mark.

What the format is worth: it has **no check**. A lost or added byte is always found (the length is fixed), a
changed digit, sign or kind never is. Where the indicator can, use another protocol (tF=0, A12(E), command
mode).

Source: XK3190-A12 manual, as quoted by two public programs (11 characters and CR LF, read line by line).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from edge.devices.framing import MORE, NO_START, Cutter, Look, NotHere, Unfinished, Whole

LINE_BYTES = 11
END = b"\r\n"
START = ord("w")
_KINDS: dict[str, Literal["gross", "net", "tare"]] = {"w": "gross", "n": "net", "t": "tare"}
_FIELD = b"0123456789.- "
_ALLOWED = (b"w", b"wnt", *[_FIELD] * 7, b"kl", b"gb")
_NUMBER = re.compile(r"(?=.{7}\Z) *-?(\d+\.\d+|\d+ ?)\Z")


@dataclass(frozen=True, slots=True)
class Weight:
    kind: Literal["gross", "net", "tare"]
    text: str
    """As displayed, zeros and all."""
    unit: Literal["kg", "lb"]

    @property
    def value(self) -> Decimal:
        number = Decimal(self.text)
        return number or abs(number)

    @property
    def decimals(self) -> int:
        return len(self.text.partition(".")[2])


def look_with(*, end_sent: bool) -> Look[Weight]:
    """`end_sent` False is only for looking at single lines: CR LF may be missing."""

    def look(held: bytes, at: int) -> Whole[Weight] | NotHere | Unfinished:
        line = held[at : at + LINE_BYTES]
        if line[0] != START:
            return NO_START
        for place, byte in enumerate(line):
            if byte not in _ALLOWED[place]:
                return NotHere(f"byte {place + 1} is {byte:02X}: none that stands there in this format")
        if len(line) < LINE_BYTES:
            return MORE
        text = line.decode()
        unit: Literal["kg", "lb"]
        match text[9:]:
            case "kg":
                unit = "kg"
            case "lb":
                unit = "lb"
            case other:
                return NotHere(f"unit {other}: expected kg or lb")
        if not _NUMBER.match(text[2:9]):
            return NotHere(f"{text[2:9]!r} is no weight of seven characters")
        weight = Weight(_KINDS[text[1]], text[2:9].strip(), unit)
        end = held[at + LINE_BYTES : at + LINE_BYTES + len(END)]
        if end == END:
            return Whole(LINE_BYTES + len(END), weight)
        if not end_sent:
            return Whole(LINE_BYTES, weight)
        return MORE if END.startswith(end) else NotHere("no CR LF behind the unit")

    return look


def decoder(*, end_sent: bool = True) -> Cutter[Weight]:
    return Cutter(look_with(end_sent=end_sent), start=START)
