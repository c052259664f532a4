"""Bytes of a Wiegand-to-serial converter <-> cards of 26 or 34 bits. No port, no clock.

Wiegand itself is two wires with pulses; a converter in the reader's post makes a line of them. The bits are
`even parity | data | odd parity`, each parity over its half: 12 and 12 data bits (8 facility, 16 number), or
16 and 16 (16 facility, 16 number). Converters differ only in how they write them:
- `bits`: all bits as characters 0 and 1, first bit first.
- `hex`: all bits as one hex number, 7 (or 8) digits of 26 bits, 9 (or 10) of 34.
- `bytes`: all bits as one number of 4 or 5 bytes, spare bits 0 in front; `bytes_left`: spare bits 0 behind.
- `data`: 6 or 8 hex digits of data, both parities checked and thrown away by the converter (WIE232).
Texts end with CR, LF or both, or with silence; bytes with silence. No digit may stand in front of a read;
other bytes in front are noise, reported, and the read behind them counts.

What the check is worth: two bits. One wrong bit is always found, two in the same half never; a read that lost
or gained a digit is found by its length. `data` carries **no** check on this line: take it only where the
converter can do nothing else.

Source: Civintec CN56 manual p. 25-26 (parities, worked examples), Priority 1 Design WIE232-A data sheet
(`XXYYZZ` CR, 9600 8N1); firmware of hobby converters prints `bits` and `hex`.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from edge.devices.lone_lines import LoneLines
from edge.devices.readings import ReadGarbled, ReadTruncated

Size = Literal[26, 34]
HEX_DIGITS = b"0123456789ABCDEF"
ANY_HEX_DIGITS = HEX_DIGITS + b"abcdef"


class Framing(enum.Enum):
    BITS = "bits"
    HEX = "hex"
    BYTES = "bytes"
    BYTES_LEFT = "bytes_left"
    DATA = "data"


TEXTS = (Framing.BITS, Framing.HEX, Framing.DATA)


@dataclass(frozen=True, slots=True)
class Card:
    size: Size
    value: int
    """The data bits: 24 or 32."""
    checked: bool
    """Both parities were there and right."""

    @property
    def facility(self) -> int:
        return self.value >> 16

    @property
    def number(self) -> int:
        return self.value & 0xFFFF

    @property
    def printed(self) -> str:
        """`facility,number` as on cards: 3 (5 of 34 bits) and 5 decimal digits."""
        return f"{self.facility:0{3 if self.size == 26 else 5}d},{self.number:05d}"


Message = Card | ReadGarbled | ReadTruncated


def bits_of(size: Size, value: int) -> str:
    """The bits on the two wires for these data bits."""
    data = f"{value:0{size - 2}b}"
    half = len(data) // 2
    even = data[:half].count("1") % 2
    odd = 1 - data[half:].count("1") % 2
    return f"{even}{data}{odd}"


def encode(size: Size, value: int, framing: Framing) -> bytes:
    """One read, without an ending."""
    whole = int(bits_of(size, value), 2)
    match framing:
        case Framing.BITS:
            return bits_of(size, value).encode("ascii")
        case Framing.HEX:
            return b"%0*X" % (_hex_lengths(size)[0], whole)
        case Framing.BYTES:
            return whole.to_bytes(bytes_in(size))
        case Framing.BYTES_LEFT:
            return (whole << _spare_bits(size)).to_bytes(bytes_in(size))
        case Framing.DATA:
            return b"%0*X" % ((size - 2) // 4, value)


def bytes_in(size: Size) -> int:
    return (size + 7) // 8


def _spare_bits(size: Size) -> int:
    return bytes_in(size) * 8 - size


def _hex_lengths(size: Size) -> tuple[int, ...]:
    return ((size + 3) // 4, bytes_in(size) * 2)


def decoder(size: Size, framings: Sequence[Framing], *, quiet_ends: bool) -> LoneLines[Message]:
    """`quiet_ends`: the converter sends no CR or LF; silence ends a text. Bytes are ended by it always."""
    text = any(framing in TEXTS for framing in framings)
    return LoneLines(
        lambda line: read_line(line, size, framings), line_ends=text, quiet_ends=quiet_ends or not text
    )


def read_line(line: bytes, size: Size, framings: Sequence[Framing]) -> tuple[Message, ...]:
    """One line, ending taken off, in the first of these framings that has its length."""
    for framing in framings:
        start = _starts_at(line, framing)
        if framing is Framing.HEX and Framing.BITS in framings and not line[start:].strip(b"01"):
            continue  # rather bits that were cut off
        if len(line) - start in lengths_of(size, framing):
            noise = (ReadGarbled(line[:start], "no digits in front of a read"),) if start else ()
            return (*noise, _read(line[start:], size, framing))
    expected = " or ".join(str(length) for framing in framings for length in lengths_of(size, framing))
    found = len(line) - _starts_at(line, framings[0])
    return (ReadGarbled(line, f"{found} digits or bytes: {expected} expected"),)


def lengths_of(size: Size, framing: Framing) -> tuple[int, ...]:
    """How many digits or bytes a read may have."""
    match framing:
        case Framing.BITS:
            return (size,)
        case Framing.HEX:
            return _hex_lengths(size)
        case Framing.BYTES | Framing.BYTES_LEFT:
            return (bytes_in(size),)
        case Framing.DATA:
            return ((size - 2) // 4,)


def _starts_at(line: bytes, framing: Framing) -> int:
    """Where the digits at the end of the line begin."""
    digits = {Framing.BITS: b"01", Framing.HEX: ANY_HEX_DIGITS, Framing.DATA: ANY_HEX_DIGITS}.get(framing)
    at = len(line)
    while digits is not None and at and line[at - 1] in digits:
        at -= 1
    return at if digits is not None else 0


def _read(digits: bytes, size: Size, framing: Framing) -> Card | ReadGarbled:
    match framing:
        case Framing.BITS:
            return _checked(digits, size, int(digits, 2))
        case Framing.HEX:
            return _checked(digits, size, int(digits, 16))
        case Framing.BYTES:
            return _checked(digits, size, int.from_bytes(digits))
        case Framing.BYTES_LEFT:
            whole, spare = divmod(int.from_bytes(digits), 1 << _spare_bits(size))
            return (
                ReadGarbled(digits, "spare bits that are not 0") if spare else _checked(digits, size, whole)
            )
        case Framing.DATA:
            return Card(size, int(digits, 16), checked=False)


def _checked(digits: bytes, size: Size, whole: int) -> Card | ReadGarbled:
    if whole >> size:
        return ReadGarbled(digits, "spare bits that are not 0")
    value = whole >> 1 & (1 << size - 2) - 1
    if f"{whole:0{size}b}" != bits_of(size, value):
        return ReadGarbled(digits, "wrong parity")
    return Card(size, value, checked=True)
