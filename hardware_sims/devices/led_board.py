"""An LED board of the car-park kind (方控): frames to lit rows. It never answers.

`00 64 FF FF CMD DL DATA CRC` with DL the length of DATA and CRC-16/MODBUS low byte first over all before
it. CMD 62 temporary and 67 permanent text: row, in-mode, in-speed, stay mode, stay time, out-mode,
out-speed, font, times, RGBA of text, RGBA behind it, length LE16, text in GB2312. CMD 30 voice: option,
text.
"""

from __future__ import annotations

from hardware_sims.barrier import NEVER
from hardware_sims.devices.io_board import crc16
from hardware_sims.faults import Fault, FaultKind, FaultyLine
from hardware_sims.physics import LanePhysics

HEAD = b"\x00\x64\xff\xff"
SHOW, SHOW_FOR_GOOD, SPEAK = 0x62, 0x67, 0x30
TEXT_AT = 19
SETTLE_S = 0.1
"""Rows sent within this time come up together."""
SILENCE_S = 0.3
ROW_COUNT = 8


def frame(command: int, data: bytes) -> bytes:
    body = HEAD + bytes((command, len(data))) + data
    return body + crc16(body)


def text_frame(
    row: int,
    text: str,
    rgba: bytes,
    *,
    command: int = SHOW,
    in_mode: int = 0x15,
    stay_s: int = 2,
    times: int = 0,
) -> bytes:
    """What a host would send; the board only decodes, this is for checking it against printed frames."""
    encoded = text.encode("gb2312")
    head = bytes((row, in_mode, 1, 0, stay_s, 0x15, 1, 3, times)) + rgba + bytes(4)
    return frame(command, head + len(encoded).to_bytes(2, "little") + encoded)


def colour_of(rgba: bytes) -> str:
    red, green = rgba[0] >= 0x80, rgba[1] >= 0x80
    if red and green:
        return "amber"
    return "red" if red else "green" if green else "off"


class LedBoard:
    """One board facing the driver; `rows` are what it shows."""

    def __init__(self, physics: LanePhysics, *, seed: str = "led") -> None:
        self._physics = physics
        self._line = FaultyLine(seed)
        self._buffer = bytearray()
        self._heard_s = 0.0
        self._rows: dict[int, tuple[str, str]] = {}
        self._show_s = NEVER
        self.spoken: tuple[tuple[float, str], ...] = ()
        """What the loudspeaker said, newest last, at most 20."""
        self.refused = 0
        """Frames whose check failed."""

    @property
    def rows(self) -> tuple[str, ...]:
        return tuple(self._rows[row][0] for row in sorted(self._rows))

    @property
    def colour(self) -> str:
        """The colour of the first row that has text."""
        return next((colour for _, (text, colour) in sorted(self._rows.items()) if text), "off")

    def connect(self, at_s: float) -> None:
        self._buffer.clear()

    def disconnect(self, at_s: float) -> None:
        self._buffer.clear()

    def set_fault(self, at_s: float, fault: Fault, on: bool) -> None:
        self._line.set(at_s, fault, on)
        if fault.kind is FaultKind.DEAD and on:
            self._rows.clear()
            self._show_s = at_s

    def next_event_s(self) -> float:
        return min(self._show_s, self._line.next_event_s())

    def advance(self, at_s: float) -> bytes:
        if self._show_s <= at_s:
            show_s, self._show_s = self._show_s, NEVER
            self._physics.show_board(show_s, self.rows, self.colour)
        return self._line.take(at_s)

    def receive(self, at_s: float, data: bytes) -> None:
        buffer = self._buffer
        if at_s - self._heard_s > SILENCE_S:
            buffer.clear()
        self._heard_s = at_s
        buffer += self._line.heard(data)
        while True:
            start = buffer.find(HEAD)
            if start < 0:
                del buffer[: max(0, len(buffer) - len(HEAD) + 1)]
                return
            del buffer[:start]
            if len(buffer) < 6 or len(buffer) < buffer[5] + 8:
                return
            size = buffer[5] + 8
            if crc16(buffer[: size - 2]) != buffer[size - 2 : size]:
                self.refused += 1
                del buffer[0]
                continue
            command, data_part = buffer[4], bytes(buffer[6 : size - 2])
            del buffer[:size]
            self._obey(at_s, command, data_part)

    def _obey(self, at_s: float, command: int, data: bytes) -> None:
        if command in (SHOW, SHOW_FOR_GOOD):
            if len(data) < TEXT_AT or data[0] >= ROW_COUNT:
                self.refused += 1
                return
            length = int.from_bytes(data[TEXT_AT - 2 : TEXT_AT], "little")
            text = data[TEXT_AT : TEXT_AT + length].decode("gb18030", errors="replace")
            if self._line.has(FaultKind.STUCK) or self._line.has(FaultKind.SILENCE):
                return
            self._rows[data[0]] = (text.rstrip("\x00 "), colour_of(data[9:13]))
            if self._show_s == NEVER:
                slow = self._line.get(FaultKind.SLOW)
                self._show_s = at_s + SETTLE_S + (slow.delay_s if slow else 0.0)
        elif command == SPEAK and data:
            said = (at_s, data[1:].decode("gb18030", errors="replace"))
            self.spoken = (*self.spoken, said)[-20:]
