"""Card readers at the driver's window: EM4100 modules, Wiegand readers behind a serial converter. No port.

EM4100 cards carry 5 bytes. Modules send them all: `02 | 10 digits | 2 digits XOR | 03` (RDM6300), the same
with CR LF before 03 (ID-12), `02 0A 02 | 5 bytes | XOR | 03`, or the 12 digits alone (EM-18). Wiegand readers
send the low 3 bytes with two parities (26 bits) or the low 4 (34 bits); converters print the bits, or a hex
number.
"""

from __future__ import annotations

from typing import Literal

from hardware_sims.barrier import NEVER
from hardware_sims.faults import Fault, FaultKind, FaultyLine
from hardware_sims.physics import LanePhysics

Kind = Literal[
    "em125",
    "em125_crlf",
    "em125_binary",
    "em125_bare",
    "wiegand26",
    "wiegand26_hex",
    "wiegand26_bytes",
    "wiegand26_data",
    "wiegand34",
    "wiegand34_hex",
    "wiegand34_bytes",
    "wiegand34_data",
]
KINDS: tuple[Kind, ...] = (
    "em125",
    "em125_crlf",
    "em125_binary",
    "em125_bare",
    "wiegand26",
    "wiegand26_hex",
    "wiegand26_bytes",
    "wiegand26_data",
    "wiegand34",
    "wiegand34_hex",
    "wiegand34_bytes",
    "wiegand34_data",
)

READ_S = 0.12
"""From the card in the field to the first byte."""
REPEAT_S = 3.0
"""A stuck reader says its last card again so often."""


def as_read(card: str, kind: Kind) -> str:
    """The number a program will know a card by, read by this kind of reader.

    `card` is ten hex digits. EM modules give all of them, Wiegand readers `facility,number` in decimal.
    """
    if kind.startswith("em125"):
        return card
    number = int(card[-4:], 16)
    if kind.startswith("wiegand26"):
        return f"{int(card[-6:-4], 16):03d},{number:05d}"
    return f"{int(card[-8:-4], 16):05d},{number:05d}"


def em_digits(card: str) -> str:
    check = 0
    for byte in bytes.fromhex(card):
        check ^= byte
    return f"{card}{check:02X}"


def em_binary(card: str) -> bytes:
    body = b"\x0a\x02" + bytes.fromhex(card)
    check = 0
    for byte in body:
        check ^= byte
    return b"\x02" + body + bytes((check,)) + b"\x03"


def wiegand_bits(card: str, bits: int) -> str:
    """What goes over the two wires: even parity, data, odd parity."""
    size = bits - 2
    data = f"{int(card, 16):040b}"[-size:]
    first, second = data[: size // 2], data[size // 2 :]
    even = "1" if first.count("1") % 2 else "0"
    odd = "0" if second.count("1") % 2 else "1"
    return even + data + odd


def transmission(card: str, kind: Kind) -> bytes:
    """What a reader of this kind sends for a card."""
    if kind == "em125":
        return b"\x02" + em_digits(card).encode() + b"\x03"
    if kind == "em125_crlf":
        return b"\x02" + em_digits(card).encode() + b"\r\n\x03"
    if kind == "em125_binary":
        return em_binary(card)
    if kind == "em125_bare":
        return em_digits(card).encode()
    size = 26 if kind.startswith("wiegand26") else 34
    bits = wiegand_bits(card, size)
    if kind.endswith("_hex"):
        return f"{int(bits, 2):0{(size + 3) // 4}X}\r\n".encode()
    if kind.endswith("_bytes"):
        return int(bits, 2).to_bytes((size + 7) // 8, "big")
    if kind.endswith("_data"):
        return f"{int(bits[1:-1], 2):0{(size - 2) // 4}X}\r".encode()
    return bits.encode() + b"\r\n"


class CardReader:
    """Reads every card held to it once, each time it is held."""

    def __init__(self, physics: LanePhysics, *, kind: Kind = "em125", seed: str = "card_reader") -> None:
        self._physics = physics
        self._kind = kind
        self._line = FaultyLine(seed)
        self._last: str | None = None
        self._repeat_s = NEVER

    def connect(self, at_s: float) -> None:
        self._line.clear()

    def disconnect(self, at_s: float) -> None:
        self._line.clear()

    def receive(self, at_s: float, data: bytes) -> None:
        """Only sends."""

    def set_fault(self, at_s: float, fault: Fault, on: bool) -> None:
        self._line.set(at_s, fault, on)
        if fault.kind is FaultKind.STUCK:
            self._repeat_s = at_s + REPEAT_S if on else NEVER

    def next_event_s(self) -> float:
        return min(self._line.next_event_s(), self._repeat_s)

    def advance(self, at_s: float) -> bytes:
        for shown in self._physics.take_shown_cards():
            if self._line.is_deaf or self._line.has(FaultKind.STUCK):
                continue
            self._last = shown.number
            self._line.send(shown.at_s + READ_S, transmission(shown.number, self._kind))
        while self._repeat_s <= at_s:
            if self._last is not None:
                self._line.send(self._repeat_s, transmission(self._last, self._kind))
            self._repeat_s += REPEAT_S
        return self._line.take(at_s)
