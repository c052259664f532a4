"""Bytes of a Yaohua XK3190 weighbridge indicator, continuous mode tF=0 <-> messages. No port, no clock.

Frame, 12 bytes: `02 | 2B or 2D | 6 ASCII digits | decimals 30..34, counted from the right | check high, low
| 03`. The check is the XOR of bytes 2..9 (sign to decimals), each half-byte written as 30..39 or 41..46.
8N1; 9600 and 1200 baud are seen. There is no unit, no stable flag, no gross/net flag and no overload mark
in this format.

What the check is worth: one changed, lost or doubled byte anywhere in a frame is always found (tested for
every place and value). Two digits swapped, or two equal changes, are not: 1560 and 1650 carry the same
check. Whoever weighs by this line must ask for several equal frames.

Source: XK3190-A26 manual p. 12-13, XK3190-A23p manual p. 23, XK3190-DS3 manual p. 8.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from operator import xor

from edge.devices.framing import MORE, NO_START, Cutter, NotHere, Unfinished, Whole

STX, ETX = 0x02, 0x03
FRAME_BYTES = 12
_DIGITS = b"0123456789"
_HEX = b"0123456789ABCDEF"
_ALLOWED = (b"\x02", b"+-", *[_DIGITS] * 6, b"01234", _HEX, _HEX, b"\x03")
_NAMES = ("STX", "sign", *["digit"] * 6, "decimals", "check", "check", "ETX")


@dataclass(frozen=True, slots=True)
class Weight:
    """What one frame shows: `value` is the displayed number, in whatever unit the indicator is set to."""

    sign: str
    digits: str
    decimals: int

    @property
    def value(self) -> Decimal:
        number = Decimal(int(self.digits)).scaleb(-self.decimals)
        return -number if self.sign == "-" and number else number


def check_of(body: bytes) -> bytes:
    """The two check characters over sign, digits and decimals."""
    return b"%02X" % reduce(xor, body)


def encode(weight: Weight) -> bytes:
    body = f"{weight.sign}{weight.digits}{weight.decimals}".encode()
    return b"\x02" + body + check_of(body) + b"\x03"


def look(held: bytes, at: int) -> Whole[Weight] | NotHere | Unfinished:
    frame = held[at : at + FRAME_BYTES]
    if frame[0] != STX:
        return NO_START
    for place, byte in enumerate(frame):
        if byte not in _ALLOWED[place]:
            return NotHere(f"byte {place + 1} is {byte:02X}: not a {_NAMES[place]} of this format")
    if len(frame) < FRAME_BYTES:
        return MORE
    body, check = frame[1:9], frame[9:11]
    if check != check_of(body):
        return NotHere(f"check is {check.decode()}, computed {check_of(body).decode()}")
    text = body.decode()
    return Whole(FRAME_BYTES, Weight(text[0], text[1:7], int(text[7])))


def decoder() -> Cutter[Weight]:
    return Cutter(look, start=STX)
