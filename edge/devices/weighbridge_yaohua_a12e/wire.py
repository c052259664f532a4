"""Bytes of a Yaohua XK3190-A12(E) indicator <-> messages. No port, no clock.

Frame, 15 bytes: `W | G gross or N net | 7 characters of weight with its point | kg | check high, low | CR
LF`. A negative weight has `-` as its first character; one without a point has a blank as its last. The check
is the XOR of bytes 1..11, each half-byte written as 30..39 or 41..46. Above Max + 9e it sends nine blanks and
`OL23`, below -20d nine blanks and `LO23`, in the same 15 bytes (23 is their check). There is no stable flag.

What the check is worth: one changed, lost or doubled byte anywhere is always found. Two digits swapped, or
two equal changes, are not; nor is OL read for LO, the same letters.

Source: XK3190-A12(E) manual p. 13, with one printed frame.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from operator import xor
from typing import Literal

from edge.devices.framing import MORE, NO_START, Cutter, NotHere, Unfinished, Whole

FRAME_BYTES = 15
_HEX = b"0123456789ABCDEF"
_CHECKED = 11
_FIELD = b"0123456789.- "
_WEIGHT = (b"W", b"GN", *[_FIELD] * 7, b"k", b"g", _HEX, _HEX, b"\r", b"\n")
_BEYOND = (*[b" "] * 9, b"OL", b"OL", _HEX, _HEX, b"\r", b"\n")
_NUMBER = re.compile(rb"(?=.{7}\Z)(-?\d+\.\d+|-?\d+ )\Z")


@dataclass(frozen=True, slots=True)
class Weight:
    kind: Literal["gross", "net"]
    value: Decimal
    """In kilograms."""


@dataclass(frozen=True, slots=True)
class Beyond:
    """The indicator cannot weigh what stands on it."""

    what: Literal["overload", "underload"]


Message = Weight | Beyond


def check_of(body: bytes) -> bytes:
    """The two check characters over bytes 1..11."""
    return b"%02X" % reduce(xor, body)


def look(held: bytes, at: int) -> Whole[Message] | NotHere | Unfinished:
    frame = held[at : at + FRAME_BYTES]
    if frame[0] not in b"W ":
        return NO_START
    allowed = _WEIGHT if frame[0] == ord("W") else _BEYOND
    for place, byte in enumerate(frame):
        if byte not in allowed[place]:
            return NotHere(f"byte {place + 1} is {byte:02X}: none that stands there in this format")
    if len(frame) < FRAME_BYTES:
        return MORE
    body, check = frame[:_CHECKED], frame[_CHECKED : _CHECKED + 2]
    if check != check_of(body):
        return NotHere(f"check is {check.decode()}, computed {check_of(body).decode()}")
    if allowed is _BEYOND:
        match body[9:]:
            case b"OL":
                return Whole(FRAME_BYTES, Beyond("overload"))
            case b"LO":
                return Whole(FRAME_BYTES, Beyond("underload"))
            case letters:
                return NotHere(f"{letters.decode()}: expected OL or LO")
    field = body[2:9]
    if not _NUMBER.match(field):
        return NotHere(f"{field.decode()!r} is no weight of seven characters")
    number = Decimal(field.decode().strip())
    return Whole(FRAME_BYTES, Weight("gross" if body[1] == ord("G") else "net", number or abs(number)))


def decoder() -> Cutter[Message]:
    return Cutter(look)
