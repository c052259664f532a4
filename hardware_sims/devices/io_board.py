"""A Modbus RTU board, 16 inputs and 8 relays, pulses ended by its own clock. No port.

Modbus over serial line 1.02; relay pulses as Waveshare's Modbus RTU Relay page prints them: FC05 at 0200h
+ channel switches on for n * 100 ms, at 0400h + channel off for n * 100 ms; 00FFh is all relays, 5500h
toggles.
"""

from __future__ import annotations

from hardware_sims.barrier import NEVER
from hardware_sims.faults import Fault, FaultKind, FaultyLine
from hardware_sims.physics import LanePhysics

READ_COILS, READ_INPUTS, WRITE_COIL, WRITE_COILS = 1, 2, 5, 15
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3
ALL_RELAYS, FLASH_ON, FLASH_OFF = 0x00FF, 0x0200, 0x0400
RELAY_COUNT = 8
ANSWER_S = 0.004
SILENCE_S = 0.2
"""Half a request older than this is forgotten (3.5 characters by the standard; hosts are slower)."""


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
        table.append(crc)
    return tuple(table)


_CRC = _crc_table()


def crc16(data: bytes | bytearray) -> bytes:
    """CRC-16/MODBUS, low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    return crc.to_bytes(2, "little")


def framed(body: bytes) -> bytes:
    return body + crc16(body)


def packed(bits: tuple[bool, ...]) -> bytes:
    """Bits as Modbus packs them: the first in the lowest bit of the first byte."""
    value = sum(1 << place for place, bit in enumerate(bits) if bit)
    return value.to_bytes((len(bits) + 7) // 8, "little")


class IoBoard:
    """The board wired to one lane's physics."""

    def __init__(self, physics: LanePhysics, *, unit: int = 1, seed: str = "io") -> None:
        self._physics = physics
        self._unit = unit
        self._line = FaultyLine(seed)
        self._relays = [False] * RELAY_COUNT
        self._until_s = [NEVER] * RELAY_COUNT
        self._next_until_s = NEVER
        self._buffer = bytearray()
        self._heard_s = 0.0
        self._frozen: tuple[bool, ...] | None = None

    @property
    def relays(self) -> tuple[bool, ...]:
        return tuple(self._relays)

    def connect(self, at_s: float) -> None:
        self._line.clear()
        self._buffer.clear()

    def disconnect(self, at_s: float) -> None:
        """Relays keep their state: pulses end by the board's clock, not by the host."""
        self.connect(at_s)

    def set_fault(self, at_s: float, fault: Fault, on: bool) -> None:
        self.advance_relays(at_s)
        self._line.set(at_s, fault, on)
        if fault.kind is FaultKind.BROKEN_WIRE:
            self._physics.break_wire(at_s, fault.input, on)
        if fault.kind is FaultKind.STUCK:
            self._frozen = self._physics.inputs() if on else None
        if fault.kind is FaultKind.DEAD and on:
            for channel in range(RELAY_COUNT):
                self._switch(at_s, channel, False)

    def next_event_s(self) -> float:
        return min(self._next_until_s, self._line.next_event_s())

    def advance(self, at_s: float) -> bytes:
        if self._next_until_s <= at_s:
            self.advance_relays(at_s)
        return self._line.take(at_s)

    def advance_relays(self, at_s: float) -> None:
        """Ends the pulses that are over, in the order of their ends."""
        while (end := min(self._until_s)) <= at_s:
            channel = self._until_s.index(end)
            self._switch(end, channel, not self._relays[channel])

    def receive(self, at_s: float, data: bytes) -> None:
        if at_s - self._heard_s > SILENCE_S:
            self._buffer.clear()
        self._heard_s = at_s
        buffer = self._buffer
        buffer += self._line.heard(data)
        while len(buffer) >= 4:
            size = self._size(buffer)
            if size is None:
                return
            if size and crc16(buffer[: size - 2]) == buffer[size - 2 : size]:
                request = bytes(buffer[: size - 2])
                del buffer[:size]
                self._serve(at_s, request)
            else:
                del buffer[0]

    def _size(self, buffer: bytearray) -> int | None:
        """Bytes of the request at the start; 0: cannot be one; None: not known yet."""
        if buffer[0] not in (self._unit, 0):
            return 0
        function = buffer[1]
        if function in (15, 16):
            if len(buffer) < 7:
                return None
            size = buffer[6] + 9
        elif 1 <= function <= 6:
            size = 8
        else:
            size = len(buffer) if crc16(buffer[:-2]) == buffer[-2:] else 0
        return size if len(buffer) >= size else None

    def _serve(self, at_s: float, request: bytes) -> None:
        self.advance_relays(at_s)
        function = request[1]
        match function:
            case 1:
                answer = self._read(function, request, tuple(self._relays))
            case 2:
                inputs = self._frozen if self._frozen is not None else self._physics.inputs()
                answer = self._read(function, request, inputs)
            case 5:
                answer = self._write_coil(at_s, request)
            case 15:
                answer = self._write_coils(at_s, request)
            case _:
                answer = ILLEGAL_FUNCTION
        if request[0] == 0:
            return
        if isinstance(answer, int):
            answer = bytes((self._unit, function | 0x80, answer))
        self._line.send(at_s + ANSWER_S, framed(answer))

    def _read(self, function: int, request: bytes, bits: tuple[bool, ...]) -> bytes | int:
        first, count = int.from_bytes(request[2:4], "big"), int.from_bytes(request[4:6], "big")
        if not 1 <= count <= 2000:
            return ILLEGAL_VALUE
        if first + count > len(bits):
            return ILLEGAL_ADDRESS
        data = packed(bits[first : first + count])
        return bytes((self._unit, function, len(data))) + data

    def _write_coil(self, at_s: float, request: bytes) -> bytes | int:
        address, value = int.from_bytes(request[2:4], "big"), int.from_bytes(request[4:6], "big")
        flash, channel = address & 0xFF00, address & 0x00FF
        if flash in (FLASH_ON, FLASH_OFF):
            if channel >= RELAY_COUNT:
                return ILLEGAL_ADDRESS
            if not 1 <= value <= 0x7FFF:
                return ILLEGAL_VALUE
            self._switch(at_s, channel, flash == FLASH_ON, value / 10)
            return request
        if address >= RELAY_COUNT and address != ALL_RELAYS:
            return ILLEGAL_ADDRESS
        if value not in (0xFF00, 0x0000, 0x5500):
            return ILLEGAL_VALUE
        for each in range(RELAY_COUNT) if address == ALL_RELAYS else (address,):
            self._switch(at_s, each, not self._relays[each] if value == 0x5500 else value == 0xFF00)
        return request

    def _write_coils(self, at_s: float, request: bytes) -> bytes | int:
        first, count = int.from_bytes(request[2:4], "big"), int.from_bytes(request[4:6], "big")
        if first + count > RELAY_COUNT:
            return ILLEGAL_ADDRESS
        if not count or request[6] != (count + 7) // 8:
            return ILLEGAL_VALUE
        bits = int.from_bytes(request[7:], "little")
        for place in range(count):
            self._switch(at_s, first + place, bool(bits >> place & 1))
        return request[:6]

    def _switch(self, at_s: float, channel: int, on: bool, for_s: float | None = None) -> None:
        """With `for_s` the board itself switches back."""
        self._until_s[channel] = NEVER if for_s is None else at_s + for_s
        self._next_until_s = min(self._until_s)
        self._relays[channel] = on
        self._physics.set_relay(at_s, channel, on, for_s if on else None)
