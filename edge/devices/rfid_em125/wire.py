"""Bytes of 125 kHz EM4100 card readers <-> messages. No port, no clock.

Three framings, all 9600 8N1, all with the XOR of what stands before the check:
- `ascii`: `02 | 10 hex digits | 2 hex digits XOR of the 5 bytes | [0D 0A] | 03` (RDM6300, Seeed; ID-12 with
  CR LF).
- `binary`: `02 | 0A | 02 | 5 bytes | XOR of all between | 03`; 0A counts the whole frame, 02 is an EM card.
- `bare`: the 12 digits of `ascii` alone (EM-18), between silences or ended by CR or LF.

What the check is worth: one changed byte is always found, so is one lost or added. Two bytes swapped, or two
equal changes, are not: it is an XOR of 8 bits. A bare read is one only where exactly twelve digits stand
alone. A Mifare card (type 01 of the binary framing) is refused: its number is another kind of number.

Source: Seeed Studio 125 kHz module page (62E3086CED, 08), EM-18 data sheet, ID-2/12/20 data sheet (CR LF),
the maker's page of the binary reader (02 0A 02 06 00 8E 6D 5D B0 03).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from functools import reduce
from operator import xor

from edge.devices.framing import MORE, NO_START, Cutter, NotHere, Unfinished, Whole
from edge.devices.lone_lines import LoneLines
from edge.devices.readings import ReadGarbled, ReadTruncated

STX, ETX = 0x02, 0x03
BINARY_BYTES = 10
EM_CARD, MIFARE_CARD = 0x02, 0x01
DIGITS = b"0123456789ABCDEF"
BARE_DIGITS = 12
_DIGITS_AT = range(1, 13)


class Framing(enum.Enum):
    ASCII = "ascii"
    BINARY = "binary"
    BARE = "bare"


@dataclass(frozen=True, slots=True)
class Card:
    number: str
    """Ten hex digits, upper case."""
    check: str
    framing: Framing


Message = Card | ReadGarbled | ReadTruncated


def check_of(data: bytes) -> int:
    return reduce(xor, data)


def encode(number: str, framing: Framing = Framing.ASCII) -> bytes:
    card = bytes.fromhex(number)
    digits = b"%s%02X" % (number.encode("ascii"), check_of(card))
    match framing:
        case Framing.ASCII:
            return b"\x02" + digits + b"\x03"
        case Framing.BARE:
            return digits
        case Framing.BINARY:
            body = bytes([BINARY_BYTES, EM_CARD]) + card
            return b"\x02" + body + bytes([check_of(body)]) + b"\x03"


def decoder(framing: Framing) -> Cutter[Card | ReadGarbled] | LoneLines[Message]:
    match framing:
        case Framing.ASCII:
            return Cutter(look_ascii, start=STX)
        case Framing.BINARY:
            return Cutter(look_binary, start=STX)
        case Framing.BARE:
            return LoneLines(read_bare)


def look_ascii(held: bytes, at: int) -> Whole[Card | ReadGarbled] | NotHere | Unfinished:
    if held[at] != STX:
        return NO_START
    frame = held[at : at + 16]
    for place in _DIGITS_AT:
        if place == len(frame):
            return MORE
        if frame[place] not in DIGITS:
            return NotHere(f"byte {place + 1} is {frame[place]:02X}: not a hex digit")
    ending = frame[13:]
    if ending[:1] == b"\x03":
        length = 14
    elif ending == b"\r\n\x03":
        length = 16
    elif b"\r\n\x03".startswith(ending):
        return MORE
    else:
        return NotHere("no ETX behind the digits")
    found = read_digits(frame[1:13], Framing.ASCII)
    return NotHere(found) if isinstance(found, str) else Whole(length, found)


def look_binary(held: bytes, at: int) -> Whole[Card | ReadGarbled] | NotHere | Unfinished:
    if held[at] != STX:
        return NO_START
    frame = held[at : at + BINARY_BYTES]
    if len(frame) > 1 and frame[1] != BINARY_BYTES:
        return NotHere(f"length {frame[1]}: {BINARY_BYTES} expected")
    if len(frame) > 2 and frame[2] not in (EM_CARD, MIFARE_CARD):
        return NotHere(f"card type {frame[2]:02X} is unknown")
    if len(frame) < BINARY_BYTES:
        return MORE
    if frame[9] != ETX:
        return NotHere(f"{frame[9]:02X} instead of ETX")
    check = check_of(frame[1:8])
    if frame[8] != check:
        return NotHere(f"check is {frame[8]:02X}, computed {check:02X}")
    if frame[2] == MIFARE_CARD:
        return Whole(BINARY_BYTES, ReadGarbled(frame, "a Mifare card, not one of 125 kHz"))
    return Whole(BINARY_BYTES, Card(frame[3:8].hex().upper(), f"{check:02X}", Framing.BINARY))


def look_any(held: bytes, at: int) -> Whole[Card | ReadGarbled] | NotHere | Unfinished:
    """Either framing that has a start; for looking at single frames."""
    second = held[at + 1 : at + 2]
    return look_binary(held, at) if second == b"\x0a" else look_ascii(held, at)


def read_digits(digits: bytes, framing: Framing) -> Card | str:
    """The card of twelve digits, or what is wrong with them."""
    number, check = digits[:10].decode("ascii"), digits[10:].decode("ascii")
    computed = f"{check_of(bytes.fromhex(number)):02X}"
    if check != computed:
        return f"check is {check}, computed {computed}"
    return Card(number, check, framing)


def read_bare(line: bytes) -> tuple[Message]:
    """A line of digits alone."""
    wrong = [byte for byte in line if byte not in DIGITS]
    if wrong:
        return (ReadGarbled(line, f"{wrong[0]:02X} is not a hex digit"),)
    if len(line) < BARE_DIGITS:
        return (ReadTruncated(line),)
    if len(line) > BARE_DIGITS:
        return (ReadGarbled(line, f"{len(line)} digits: {BARE_DIGITS} expected"),)
    found = read_digits(line, Framing.BARE)
    return (ReadGarbled(line, found) if isinstance(found, str) else found,)
