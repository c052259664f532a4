"""What weighbridge indicators put on the line, one function a format, from their manuals. No plate, no time.

Yaohua XK3190: A26 manual p12-13, A23p p23-24 and p26, DS3 p8, A12(E) p13; A12 lines as public programs read
them. Toledo continuous after MT IND445, Fairbanks FB2550 p149, Rockwell 57C428 p37. MT-SICS reference manual,
section 2.1. Comma lines after CAS and A&D samples.
"""

from __future__ import annotations

from functools import reduce
from operator import xor


def _half_bytes(checked: bytes) -> bytes:
    check = reduce(xor, checked)
    return bytes(half + (0x30 if half <= 9 else 0x37) for half in (check >> 4, check & 15))


def yaohua_tf0(kg: int, decimals: int = 0) -> bytes:
    """One frame: STX, sign, 6 digits, number of decimals, XOR of bytes 2..9 as two characters, ETX."""
    body = b"%s%06d%d" % (b"-" if kg < 0 else b"+", min(abs(kg), 999_999), decimals)
    return b"\x02" + body + _half_bytes(body) + b"\x03"


def yaohua_command(address: bytes, command: bytes, kg: int | None = None, decimals: int = 0) -> bytes:
    """A request or the answer to a handshake (6 bytes), or with a weight the answer to B, C or D (14)."""
    body = address + command
    if kg is not None:
        body += b"%s%06d%d" % (b"-" if kg < 0 else b"+", min(abs(kg), 999_999), decimals)
    return b"\x02" + body + _half_bytes(body) + b"\x03"


def yaohua_tf_eq(weight: int, decimals: int = 0, *, backwards: bool = True) -> bytes:
    """One frame: `=`, then sign and seven characters (format 2), or all of it mirrored (format 1)."""
    digits = f"{min(abs(weight), 999_999):07d}"
    if decimals:
        digits = f"{digits[1 : 7 - decimals]}.{digits[7 - decimals :]}"
    text = ("-" if weight < 0 else "0") + digits
    return b"=" + (text[::-1] if backwards else text).encode()


def _seven_characters(weight: int, decimals: int) -> str:
    """Sign where negative, digits, point; a blank at the end where there is no point."""
    digits = f"{min(abs(weight), 999_999 if weight >= 0 else 99_999):06d}"
    text = f"{digits[: 6 - decimals]}.{digits[6 - decimals :]}" if decimals else digits + " "
    return "-" + text[1:] if weight < 0 else text


def yaohua_a12_ascii(weight: int, decimals: int = 0, *, kind: str = "w", unit: str = "kg") -> bytes:
    """One line: `w`, then w gross, n net or t tare, seven characters, unit."""
    return f"w{kind}{_seven_characters(weight, decimals)}{unit}\r\n".encode()


def yaohua_a12e(weight: int, decimals: int = 0, *, net: bool = False) -> bytes:
    """One frame of 15 bytes with its XOR."""
    body = f"W{'N' if net else 'G'}{_seven_characters(weight, decimals)}kg".encode()
    return body + _half_bytes(body) + b"\r\n"


def yaohua_a12e_beyond(*, over: bool) -> bytes:
    """What an A12(E) sends above Max + 9e, or below -20d."""
    body = b" " * 9 + (b"OL" if over else b"LO")
    return body + _half_bytes(body) + b"\r\n"


def toledo_continuous(
    kg: int,
    *,
    tare: int = 0,
    decimals: int = 0,
    motion: bool = False,
    net: bool = False,
    out_of_range: bool = False,
    increment: int = 1,
    padding: bytes = b" ",
    checksum: bool = True,
) -> bytes:
    """One frame: STX, status A B C, 6 digits of weight, 6 of tare, CR, check sum (7 bits, all add to 0)."""
    status_a = 0x20 | {1: 0x08, 2: 0x10, 5: 0x18}[increment] | (2 + decimals)
    status_b = 0x30 | net | (kg < 0) << 1 | out_of_range << 2 | motion << 3
    weight = b"%d" % min(abs(kg), 999_999)
    digits = weight.rjust(6, padding) + (b"%d" % tare).rjust(6, padding)
    frame = bytes((2, status_a, status_b, 0x20)) + digits + b"\r"
    return frame + bytes((-sum(frame) & 0x7F,)) if checksum else frame


def mt_sics(weight: str, *, stable: bool, unit: str = "kg") -> bytes:
    """One answer with a weight, right-aligned in ten characters."""
    return f"S {'S' if stable else 'D'} {weight:>10} {unit}\r\n".encode()


def st_gs_ascii(weight: str, *, status: str = "ST", kind: str = "GS", unit: str = "kg") -> bytes:
    """One line; `weight` with its sign, which stands before the padding."""
    sign, digits = ("-", weight[1:]) if weight.startswith("-") else ("+", weight)
    return f"{status},{kind},{sign}{digits:>8}{unit}\r\n".encode()
