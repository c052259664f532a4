"""Bytes of a Mettler Toledo indicator, MT-SICS <-> messages. No port, no clock.

Requests are lines: `SI` asks the weight now, `SIR` now and again by itself until the next request, `@`
resets. Answers are lines as well, ended by CR LF: `S S` stable or `S D` dynamic, then blanks, the weight
(usually right-aligned in ten characters), a blank and the unit; `S +` over-load, `S -` under-load, `S I` not
executable now, `S L` wrong parameter, `S S Error 10b` a fault of the weighing module; `ES`, `ET`, `EL`
syntax, transmission and logical error. `I4 A "number"` unasked: the indicator has just started. Weights are
net where a tare is set, and the line does not say so.

What the format is worth: it has **no check**. A changed digit or status is never found. A lost or added byte
changes the length of the line, so whoever weighs by it must ask that lengths stay the same.

Source: MT-SICS reference manual (levels 0 and 1), section 2.1, as quoted by manuals and public drivers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from edge.devices.framing import MORE, NO_START, Cutter, NotHere, Unfinished, Whole

MOST_BYTES = 64
END = b"\r\n"
ASK_ONCE, ASK_REPEATED = b"SI\r\n", b"SIR\r\n"
_STARTS = b"SEI"
_WEIGHT = re.compile(r"S ([SD])( {1,14}(-?\d{1,10}(?:\.\d{1,6})?)) ([A-Za-z]{1,4}) {0,3}\Z")
_MODULE_ERROR = re.compile(r"S [SD] +Error (\d{1,3}[a-z]?)\Z")
_STARTED = re.compile(r'I4 A "([^"]{0,40})"\Z')
_UNITS: dict[str, Literal["kg", "g", "t", "lb"]] = {"kg": "kg", "g": "g", "t": "t", "lb": "lb"}
_WORDS = {
    "S I": "not executable",
    "S L": "wrong parameter",
    "ES": "syntax error",
    "ET": "transmission error",
    "EL": "logical error",
}
_PREFIXES = (b"S S ", b"S D ", b"S +\r", b"S -\r", b"S I\r", b"S L\r", b"ES\r", b"ET\r", b"EL\r", b'I4 A "')


@dataclass(frozen=True, slots=True)
class Weight:
    value: Decimal
    unit: Literal["kg", "g", "t", "lb"]
    stable: bool
    width: int
    """Characters between the status and the unit."""

    @property
    def decimals(self) -> int:
        exponent = self.value.as_tuple().exponent
        return -exponent if isinstance(exponent, int) else 0


@dataclass(frozen=True, slots=True)
class Beyond:
    """The indicator cannot weigh what stands on it."""

    what: Literal["overload", "underload"]


@dataclass(frozen=True, slots=True)
class Failed:
    """The indicator could not do what was asked, in the words of its manual."""

    error: str


@dataclass(frozen=True, slots=True)
class Started:
    """The indicator was switched on or reset; it has forgotten `SIR`."""

    serial_no: str


Message = Weight | Beyond | Failed | Started


def look(held: bytes, at: int) -> Whole[Message] | NotHere | Unfinished:
    if held[at] not in _STARTS:
        return NO_START
    line = held[at : at + MOST_BYTES]
    if not any(known.startswith(line[: len(known)]) for known in _PREFIXES):
        return NotHere("no answer to a weight request begins so")
    ends = line.find(END)
    body = line if ends < 0 else line[:ends]
    if not body.removesuffix(b"\r").isascii() or b"\n" in body:
        return NotHere("not ASCII, or a line end without CR")
    if ends < 0:
        return MORE if len(line) < MOST_BYTES else NotHere(f"no line end within {MOST_BYTES} bytes")
    read = _read(body.decode())
    return read if isinstance(read, NotHere) else Whole(ends + len(END), read)


def decoder() -> Cutter[Message]:
    return Cutter(look)


def _read(line: str) -> Message | NotHere:
    if line in _WORDS:
        return Failed(_WORDS[line])
    if line in ("S +", "S -"):
        return Beyond("overload" if line == "S +" else "underload")
    if failed := _MODULE_ERROR.match(line):
        return Failed(f"weighing module error {failed[1]}")
    if started := _STARTED.match(line):
        return Started(started[1])
    weight = _WEIGHT.match(line)
    if weight is None:
        return NotHere("no weight with its unit")
    unit = _UNITS.get(weight[4])
    if unit is None:
        return NotHere(f"unit {weight[4]}: expected kg, g, t or lb")
    number = Decimal(weight[3])
    return Weight(number or abs(number), unit, weight[1] == "S", len(weight[2]))
