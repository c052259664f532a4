"""Bytes of indicators that send comma lines (CAS, A&D, Rinstrum and many others) <-> messages. No port, no
clock.

Line: status, comma, kind, comma, sign, number, unit, CR LF, such as `ST,GS,+   5.230kg`. ST is stable, US in
motion, OL out of range; GS and GR are gross, NT net, TR tare. Makes differ in padding, in the place of the
unit and in the order of the two words; spaces are allowed anywhere but inside a number. `ST,US` (status in
the second place) is in motion, its kind unknown. OL with a minus sign is under-load. A line with another
word, another unit or without one is refused.

What the format is worth: it has **no check**. A changed digit, sign or status word is never found. A lost or
added byte changes the length of the line, so whoever weighs by it must ask that lengths stay the same. Where
the line is 7E1, set the port to 7 data bits with parity: each byte then has a check of its own.

Source: public sample lines of CAS, A&D and Rinstrum indicators; a maker's table of `ST`, `OL` and `TR` lines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from edge.devices.framing import MORE, NO_START, Cutter, NotHere, Unfinished, Whole

MOST_BYTES = 48
END = b"\r\n"
_STATUS: dict[str, Literal["stable", "unstable", "overload"]] = {
    "ST": "stable",
    "US": "unstable",
    "OL": "overload",
}
_KINDS: dict[str, Literal["gross", "net", "tare"]] = {
    "GS": "gross",
    "GR": "gross",
    "NT": "net",
    "TR": "tare",
}
_UNITS: dict[str, Literal["kg", "g", "t", "lb"]] = {"kg": "kg", "g": "g", "t": "t", "lb": "lb"}
_WORDS = tuple(word.encode() for word in (*_STATUS, *_KINDS))
_STARTS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ "
_PRINTED = bytes(range(0x20, 0x7F))
_LINE = re.compile(
    r" {0,8}(?P<first>[A-Z]{2}) {0,4}, {0,4}(?P<second>[A-Z]{2}) {0,4}, {0,4}(?P<rest>[^,]{0,32})\r\n\Z"
)
_NUMBER = re.compile(r"(?P<sign>[+-]?) *(?P<number>\d{1,10}(\.\d{0,6})?) *(?P<unit>[A-Za-z]{1,3}) *\Z")
_BEYOND = re.compile(r"(?P<sign>[+-]?)[-0-9.E+ ]*(?P<unit>[A-Za-z]{1,3})? *\Z")


@dataclass(frozen=True, slots=True)
class Weight:
    """What one line shows. `value` is None where the indicator is out of range."""

    status: Literal["stable", "unstable", "overload", "underload"]
    kind: Literal["gross", "net", "tare"] | None
    value: Decimal | None
    unit: Literal["kg", "g", "t", "lb"] | None
    length: int
    """Of the whole line, in bytes."""

    @property
    def decimals(self) -> int:
        exponent = self.value.as_tuple().exponent if self.value is not None else 0
        return -exponent if isinstance(exponent, int) else 0


def look(held: bytes, at: int) -> Whole[Weight] | NotHere | Unfinished:
    if held[at] not in _STARTS:
        return NO_START
    line = held[at : at + MOST_BYTES]
    ends = line.find(END)
    body = line if ends < 0 else line[:ends]
    words = body.lstrip(b" ")
    for letters in (words[:1], words[:2]):
        if not any(known.startswith(letters) for known in _WORDS):
            shown = letters.decode(errors="backslashreplace")
            return NotHere(f"{shown!r} begins no status word{_parity_hint(letters)}")
    printed = body if ends >= 0 else body.removesuffix(b"\r")
    strange = printed.translate(None, _PRINTED)[:1]
    if strange:
        return NotHere(f"byte {strange.hex().upper()} is not printable ASCII{_parity_hint(strange)}")
    if ends < 0:
        return MORE if len(line) < MOST_BYTES else NotHere(f"no line end within {MOST_BYTES} bytes")
    length = ends + len(END)
    read = _read(line[:length].decode(), length)
    return read if isinstance(read, NotHere) else Whole(length, read)


def _parity_hint(found: bytes) -> str:
    return "" if found.isascii() else ": 7 data bits with parity?"


def decoder() -> Cutter[Weight]:
    return Cutter(look)


def _read(line: str, length: int) -> Weight | NotHere:
    parts = _LINE.match(line)
    if parts is None:
        return NotHere("no line of two words, a number and a unit")
    first, second, rest = parts["first"], parts["second"], parts["rest"]
    kind = _KINDS.get(second) or _KINDS.get(first)
    if first in _STATUS and second in _KINDS:
        status = _STATUS[first]
    elif first in _KINDS and second in _STATUS:
        status = _STATUS[second]
    elif (first, second) == ("ST", "US"):
        status = "unstable"
    else:
        return NotHere(f"{first},{second}: expected one of ST, US, OL and one of GS, GR, NT, TR")
    found = (_BEYOND if status == "overload" else _NUMBER).match(rest)
    if found is None:
        return NotHere(f"{rest.strip()!r} is no number with a unit")
    unit = _UNITS.get((found["unit"] or "").lower())
    if unit is None and (found["unit"] or status != "overload"):
        return NotHere(f"unit {found['unit']}: expected kg, g, t or lb")
    if status == "overload":
        beyond: Literal["overload", "underload"] = "underload" if found["sign"] == "-" else "overload"
        return Weight(beyond, kind, None, unit, length)
    number = Decimal(found["number"])
    return Weight(status, kind, -number if found["sign"] == "-" and number else number, unit, length)
