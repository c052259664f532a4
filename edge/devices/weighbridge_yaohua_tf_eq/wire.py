"""Bytes of a Yaohua XK3190 weighbridge indicator, continuous mode tF "=" <-> messages. No port, no clock.

Frame, 9 bytes, in two formats that the indicator's setting chooses: `= | 7 characters, last one first | 0 or
-` (format 1, reversed) and `= | 0 or - | 7 characters` (format 2, forward). The seven characters are the
displayed value with its point; the display has six digits and at most four decimals, so without a point the
first of them is 0. -1.00 is `=00.1000-` and `=-0001.00`. There is no unit, stable flag, kind or overload
mark.

Which format it is, a frame shows only by a minus sign, by a digit where the other has its sign, or by a point
that the other would put behind more than four decimals. `=000.3000` is 3.000 reversed and 0.3000 forward:
`BY_SHAPE` refuses a frame that can be read as two different weights.

What the format is worth: it has **no check and no end**. A changed digit is never found. Lost and added bytes
are, by the `=` that must follow: whoever weighs by this line must wait for it. Where the indicator can, use
tF=0 instead.

Source: XK3190-A26 manual p. 12-13, XK3190-A23p manual p. 23-24 (four printed examples).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from decimal import Decimal

from edge.devices.framing import MORE, NO_START, Cutter, Look, NotHere, Unfinished, Whole

EQUALS = ord("=")
FRAME_BYTES = 9
MOST_DECIMALS = 4
_ALLOWED = (b"=", b"0123456789.-", *[b"0123456789."] * 6, b"0123456789.-")


class Digits(enum.Enum):
    """In which order the digits come."""

    REVERSED = "reversed"
    FORWARD = "forward"
    BY_SHAPE = "by_shape"
    GUESSED = "guessed"
    """Only for looking at single frames: of two possible readings the one with fewer decimals."""


@dataclass(frozen=True, slots=True)
class Weight:
    """What one frame shows: the displayed number, in whatever unit the indicator is set to."""

    value: Decimal
    digits: Digits
    """`REVERSED` or `FORWARD`."""
    point: int
    """Where the point stands among the eight characters; -1: nowhere."""


def look_with(digits: Digits) -> Look[Weight]:
    def look(held: bytes, at: int) -> Whole[Weight] | NotHere | Unfinished:
        frame = held[at : at + FRAME_BYTES]
        if frame[0] != EQUALS:
            return NO_START
        for place, byte in enumerate(frame):
            if byte not in _ALLOWED[place]:
                return NotHere(f"byte {place + 1} is {byte:02X}: none that stands there in this format")
        if len(frame) < FRAME_BYTES:
            return MORE
        text = frame[1:].decode()
        read = _read(text, digits)
        return read if isinstance(read, NotHere) else Whole(FRAME_BYTES, read)

    return look


def decoder(digits: Digits) -> Cutter[Weight]:
    return Cutter(look_with(digits), start=EQUALS)


def _read(text: str, digits: Digits) -> Weight | NotHere:
    backward = None if digits is Digits.FORWARD else _number(text[6::-1], text[7])
    forward = None if digits is Digits.REVERSED else _number(text[1:], text[0])
    both = [
        Weight(number, order, text.find("."))
        for order, number in ((Digits.REVERSED, backward), (Digits.FORWARD, forward))
        if number is not None
    ]
    if not both:
        return NotHere(f"{text!r} is no weight of seven characters with its sign")
    weight = min(both, key=lambda each: -_exponent(each.value))
    if len({each.value for each in both}) == 1:
        return weight
    if digits is Digits.GUESSED and len({_exponent(each.value) for each in both}) == 2:
        return weight
    read = " or ".join(f"{each.value:f} {each.digits.value}" for each in both)
    return NotHere(f"{text!r} can be read as {read}: the settings must say which")


def _exponent(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    return exponent if isinstance(exponent, int) else 0


def _number(characters: str, sign: str) -> Decimal | None:
    if sign not in "0-" or "-" in characters or characters.count(".") > 1:
        return None
    _, point, decimals = characters.partition(".")
    if len(decimals) > MOST_DECIMALS or (not point and characters[0] != "0"):
        return None
    number = Decimal(characters)
    return -number if sign == "-" and number else number
