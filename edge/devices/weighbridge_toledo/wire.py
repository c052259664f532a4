"""Bytes of a Toledo-style weighbridge indicator, continuous mode <-> messages. No port, no clock.

Frame, 17 or 18 bytes: `02 SWA SWB SWC | 6 weight | 6 tare | 0D [CHK]`; CHK = (-(sum of all before)) & 7F,
sent or not by the indicator's setting. Fields are digits, padded on the left with spaces; a blank tare
means none. SWA bits 0-2 decimal position (0 XXXX00, 1 XXXXX0, 2 XXXXXX, 3 one decimal ... 7 five), bits 3-4
increment (01 x1, 10 x2, 11 x5), bit 5 set. SWB bit 0 net, 1 negative, 2 out of range, 3 motion, 4 kg (else
lb), 5 set (Fairbanks: clear, so it is not looked at), 6 just powered up. SWC bits 0-2 unit (0: as SWB bit
4), 3 print request, 4 expanded, 5 set, 6 keyboard tare.

What the check is worth: one changed byte is always found, as are lost or doubled bytes; swapped digits are
not (a sum). Without CHK only the shape is checked: any digit may be another digit. Use CHK where the
indicator can.

Codes 0 and 1: of the indicators seen, the digits already are what is displayed (a printed stream of 200 lb
carries ` 200` under code 1); others leave out the fixed zeros. `append_zeros` is for those.

Source: Rockwell 57C428 guide p. 37, Fairbanks FB2550 p. 149, Mettler Toledo IND445 p. 50, KERN FTC,
ScaleResource manual p. 119 (printed stream).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from decimal import Decimal

from edge.devices.framing import MORE, NO_START, Cutter, Look, NotHere, Unfinished, Whole

STX, CR = 0x02, 0x0D
BODY_BYTES = 17
_SPACE = 0x20
_FIELD_STARTS = (4, 10)
_UNITS = {1: "g", 2: "t", 3: "oz", 4: "ozt", 5: "dwt", 6: "ton", 7: "custom"}
_INCREMENTS = {1: "x1", 2: "x2", 3: "x5"}


class Check(enum.Enum):
    """Whether a CHK byte follows the CR."""

    SENT = enum.auto()
    NOT_SENT = enum.auto()
    EITHER = enum.auto()
    """Only for looking at single frames: a byte after the CR is a check unless it starts a frame."""


@dataclass(frozen=True, slots=True)
class Weight:
    """What one frame shows. `value` is negative where the sign bit says so; None: the display was blank."""

    value: Decimal | None
    tare: Decimal | None
    unit: str
    net: bool
    negative: bool
    motion: bool
    out_of_range: bool
    power_up: bool
    decimal_code: int
    increment: str | None


def check_of(body: bytes) -> int:
    return -sum(body) & 0x7F


def look_with(check: Check, *, append_zeros: bool = False) -> Look[Weight]:
    def look(held: bytes, at: int) -> Whole[Weight] | NotHere | Unfinished:
        body = held[at : at + BODY_BYTES]
        if body[0] != STX:
            return NO_START
        for place, byte in enumerate(body[1:], start=1):
            problem = _misfit(place, byte, body[place - 1])
            if problem:
                return NotHere(problem)
        if len(body) < BODY_BYTES:
            return MORE
        length = BODY_BYTES
        after = held[at + BODY_BYTES : at + BODY_BYTES + 2]
        if check is Check.SENT or (check is Check.EITHER and _is_check(after, check_of(body))):
            if not after:
                return MORE
            if after[0] != check_of(body):
                return NotHere(f"check is {after[0]:02X}, computed {check_of(body):02X}")
            length += 1
        return Whole(length, _weight(body, append_zeros=append_zeros))

    return look


def decoder(check: Check, *, append_zeros: bool = False) -> Cutter[Weight]:
    return Cutter(look_with(check, append_zeros=append_zeros), start=STX)


def _is_check(after: bytes, computed: int) -> bool:
    """Is the byte behind the CR meant as a check? A check of 02 looks like the next frame's start."""
    if not after:
        return False
    if after[0] != STX:
        return True
    return len(after) == 1 or (computed == STX and after[1] == STX)


def _misfit(place: int, byte: int, before: int) -> str:
    if place == 1 and byte & 0xE0 != 0x20:
        return f"status word A is {byte:02X}: bit 5 set and bits 6, 7 clear expected"
    if place == 2 and byte & 0x80:
        return f"status word B is {byte:02X}: bit 7 clear expected"
    if place == 3 and byte & 0xA0 != 0x20:
        return f"status word C is {byte:02X}: bit 5 set and bit 7 clear expected"
    if 4 <= place <= 15 and byte not in b" 0123456789":
        return f"byte {place + 1} is {byte:02X}: neither digit nor space"
    if 4 <= place <= 15 and place not in _FIELD_STARTS and byte == _SPACE != before:
        return f"byte {place + 1} is a space behind a digit: padding is on the left"
    if place == 16 and byte != CR:
        return f"byte 17 is {byte:02X}: CR expected"
    return ""


def _weight(body: bytes, *, append_zeros: bool) -> Weight:
    swa, swb, swc = body[1:4]
    code = swa & 7
    negative = bool(swb & 2)
    value = _number(body[4:10], code, append_zeros=append_zeros)
    return Weight(
        value=-value if negative and value else value,
        tare=_number(body[10:16], code, append_zeros=append_zeros),
        unit=_UNITS.get(swc & 7, "kg" if swb & 0x10 else "lb"),
        net=bool(swb & 1),
        negative=negative,
        motion=bool(swb & 8),
        out_of_range=bool(swb & 4),
        power_up=bool(swb & 0x40),
        decimal_code=code,
        increment=_INCREMENTS.get(swa >> 3 & 3),
    )


def _number(field: bytes, code: int, *, append_zeros: bool) -> Decimal | None:
    digits = field.strip()
    if not digits:
        return None
    if code < 2:
        return Decimal(int(digits)) * (10 ** (2 - code) if append_zeros else 1)
    return Decimal(int(digits)).scaleb(2 - code)
