"""Bytes of a Yaohua XK3190 indicator in command mode <-> messages. No port, no clock.

Request, 6 bytes: `02 | address 41..5A | command 41..46 | check high, low | 03`; reply to B, C, D, 14 bytes:
`02 | address | command | 2B or 2D | 6 ASCII digits | decimals 30..34, counted from the right | check high,
low | 03`. The check is the XOR of everything between `02` and itself, each half-byte written as 30..39 or
41..46. A shakes hands: its reply is the request again, byte for byte. B asks gross, C tare, D net, E unit
price, F amount (the replies to E and F differ between models and are not read).

There is no unit, no stable flag and no overload mark in this format; gross is gross whatever was tared.

What the check is worth: as in continuous mode, one changed, lost or doubled byte is always found, two digits
swapped are not. On a two-wire line that echoes, a handshake proves nothing.

Source: XK3190-A23p manual p. 26 (requests and replies), XK3190-DS3 manual p. 8 (replies), 8N1.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from operator import xor

from edge.devices.framing import MORE, NO_START, Cutter, NotHere, Unfinished, Whole

STX, ETX = 0x02, 0x03
REQUEST_BYTES, REPLY_BYTES = 6, 14
HANDSHAKE, GROSS, TARE, NET, UNIT_PRICE, AMOUNT = "ABCDEF"
COMMANDS = {
    HANDSHAKE: "handshake",
    GROSS: "read gross",
    TARE: "read tare",
    NET: "read net",
    UNIT_PRICE: "read unit price",
    AMOUNT: "read amount",
}
_WEIGHTS = b"BCD"
_DIGITS = b"0123456789"
_HEX = b"0123456789ABCDEF"
_ADDRESSES = bytes(range(0x41, 0x5B))
_REQUEST = (b"\x02", _ADDRESSES, b"ABCDEF", _HEX, _HEX, b"\x03")
_REPLY = (b"\x02", _ADDRESSES, _WEIGHTS, b"+-", *[_DIGITS] * 6, b"01234", _HEX, _HEX, b"\x03")
_REQUEST_NAMES = ("STX", "address", "command", "check", "check", "ETX")
_REPLY_NAMES = ("STX", "address", "command", "sign", *["digit"] * 6, "decimals", "check", "check", "ETX")


@dataclass(frozen=True, slots=True)
class Request:
    """A request, or the reply to a handshake, which looks the same."""

    address: str
    command: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What was asked for, as displayed, in whatever unit the indicator is set to."""

    address: str
    command: str
    value: Decimal


Message = Request | Reply


def check_of(body: bytes) -> bytes:
    """The two check characters over everything from the address on."""
    return b"%02X" % reduce(xor, body)


def encode(request: Request) -> bytes:
    body = f"{request.address}{request.command}".encode()
    return b"\x02" + body + check_of(body) + b"\x03"


def look(held: bytes, at: int) -> Whole[Message] | NotHere | Unfinished:
    frame = held[at : at + REPLY_BYTES]
    if frame[0] != STX:
        return NO_START
    is_reply = len(frame) > 3 and frame[3] in b"+-"
    allowed, names = (_REPLY, _REPLY_NAMES) if is_reply else (_REQUEST, _REQUEST_NAMES)
    frame = frame[: len(allowed)]
    for place, byte in enumerate(frame):
        if byte not in allowed[place]:
            return NotHere(f"byte {place + 1} is {byte:02X}: not a {names[place]} of this format")
    if len(frame) < len(allowed):
        return MORE
    body, check = frame[1:-3], frame[-3:-1]
    if check != check_of(body):
        return NotHere(f"check is {check.decode()}, computed {check_of(body).decode()}")
    text = body.decode()
    if not is_reply:
        return Whole(REQUEST_BYTES, Request(text[0], text[1]))
    number = Decimal(int(text[3:9])).scaleb(-int(text[9]))
    value = -number if text[2] == "-" and number else number
    return Whole(REPLY_BYTES, Reply(text[0], text[1], value))


def decoder() -> Cutter[Message]:
    return Cutter(look, start=STX)
