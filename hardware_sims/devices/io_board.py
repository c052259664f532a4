"""A Modbus board, 16 inputs and 8 relays, pulses ended by its own clock; some count an encoder. No port.

Modbus over serial line 1.02; relay pulses as Waveshare's Modbus RTU Relay page prints them: FC05 at 0200h
+ channel switches on for n * 100 ms, at 0400h + channel off for n * 100 ms; 00FFh is all relays, 5500h
toggles. Or as the R421A08 is described: FC06, register = channel from 1, 01xx on, 02xx off, 03xx toggle,
04xx on and all others off, 05xx on for one second, 06nn on for nn seconds, while which off does nothing
(measured on an RYN408F, of the same family: ESP32-RYN4 package); FC03 reads a relay. The relays may be a
board of their own on the same line, with another address. Over Modbus TCP a header with transaction and
length replaces the CRC. A vendor's board also uploads unasked: 53h when an input changes, 65h now and then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

from hardware_sims.barrier import NEVER
from hardware_sims.faults import Fault, FaultKind, FaultyLine

READ_COILS, READ_INPUTS, WRITE_COIL, WRITE_COILS = 1, 2, 5, 15
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3
ALL_RELAYS, FLASH_ON, FLASH_OFF = 0x00FF, 0x0200, 0x0400
RELAY_COUNT = 8
ANSWER_S = 0.004
READ_HOLDING, READ_INPUT_REGISTERS, WRITE_REGISTER = 3, 4, 6
UPLOAD, HEARTBEAT = 0x53, 0x65
HEARTBEAT_S = 1.0
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


class Wired(Protocol):
    """What the board's terminals lead to."""

    def inputs(self) -> tuple[bool, ...]: ...

    def set_relay(self, at_s: float, channel: int, on: bool, for_s: float | None = None) -> None: ...

    def break_wire(self, at_s: float, name: str, broken: bool) -> None: ...


class IoBoard:
    """The board wired to one lane's, or one belt's, physics."""

    def __init__(
        self,
        physics: Wired,
        *,
        unit: int = 1,
        relay_unit: int = 0,
        relay_style: Literal["waveshare", "r421a08"] = "waveshare",
        framing: Literal["rtu", "tcp"] = "rtu",
        uploads: bool = False,
        registers: Callable[[], tuple[int, ...]] | None = None,
        seed: str = "io",
    ) -> None:
        """`relay_unit` 0: one board. `uploads`: it says things nobody asked for. `registers`: its counters,
        as input registers from 0 that are read at one moment."""
        self._physics = physics
        self._unit = unit
        self._relay_unit = relay_unit or unit
        self._relay_style = relay_style
        self._framing = framing
        self._registers = registers
        self._upload_s = 0.0 if uploads else NEVER
        self._uploaded: tuple[bool, ...] = ()
        self.relay_board_dead = False
        """The separate relay board lost its supply: silent, its relays open."""
        self._line = FaultyLine(seed)
        self._relays = [False] * RELAY_COUNT
        self._delays = [False] * RELAY_COUNT
        """Which of them are on by 06nn."""
        self._until_s = [NEVER] * RELAY_COUNT
        self._next_until_s = NEVER
        self._buffer = bytearray()
        self._heard_s = 0.0
        self._frozen: tuple[bool, ...] | None = None
        self.inputs_read: tuple[bool, ...] = ()
        """What they were when they were last asked for."""

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
        return min(self._next_until_s, self._line.next_event_s(), self._upload_s)

    def advance(self, at_s: float) -> bytes:
        if self._next_until_s <= at_s:
            self.advance_relays(at_s)
        if self._upload_s < NEVER:
            self._say_unasked(at_s)
        return self._line.take(at_s)

    def lose_relay_board(self, at_s: float) -> None:
        self.advance_relays(at_s)
        self.relay_board_dead = True
        for channel in range(RELAY_COUNT):
            self._switch(at_s, channel, False)

    def _say_unasked(self, at_s: float) -> None:
        """Layout from a program that reads them: index, inputs before and now, outputs, relay, error."""
        inputs = self._physics.inputs()
        if inputs != self._uploaded:
            before, now = packed(self._uploaded[:8]), packed(inputs[:8])
            outputs = packed(tuple(self._relays))
            self._line.send(at_s, framed(bytes((self._unit, UPLOAD, 0)) + before + now + outputs + b"\0\0"))
            self._uploaded = inputs
        while self._upload_s <= at_s:
            self._line.send(at_s, framed(bytes((self._unit, HEARTBEAT))))
            self._upload_s += HEARTBEAT_S

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
        if self._framing == "tcp":
            self._receive_tcp(at_s)
            return
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

    def _receive_tcp(self, at_s: float) -> None:
        buffer = self._buffer
        while len(buffer) >= 8:
            size = 6 + int.from_bytes(buffer[4:6], "big")
            if buffer[2:4] != b"\0\0" or not 9 <= size <= 260:
                del buffer[0]
            elif len(buffer) < size:
                return
            else:
                header, request = bytes(buffer[:4]), bytes(buffer[6:size])
                del buffer[:size]
                if request[0] in (self._unit, self._relay_unit):
                    self._serve(at_s, request, header)

    def _size(self, buffer: bytearray) -> int | None:
        """Bytes of the request at the start; 0: cannot be one; None: not known yet."""
        if buffer[0] not in (self._unit, self._relay_unit, 0):
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

    def _serve(self, at_s: float, request: bytes, tcp_header: bytes = b"") -> None:
        self.advance_relays(at_s)
        if self.relay_board_dead and request[0] == self._relay_unit != self._unit:
            return
        function = request[1]
        apart = self._relay_unit != self._unit
        has_inputs = request[0] == self._unit or not apart
        has_relays = request[0] in (self._relay_unit, 0)
        r421 = self._relay_style == "r421a08"
        match function:
            case 2 if not has_inputs:
                answer: bytes | int = ILLEGAL_FUNCTION
            case 1 | 5 | 15 if not has_relays or r421:
                answer = ILLEGAL_FUNCTION
            case 3 if has_relays and r421:
                answer = self._read_r421(request)
            case 6 if has_relays and r421:
                answer = self._write_r421(at_s, request)
            case 1:
                answer = self._read(function, request, tuple(self._relays))
            case 2:
                self.inputs_read = self._physics.inputs()
                inputs = self._frozen if self._frozen is not None else self.inputs_read
                answer = self._read(function, request, inputs)
            case 4 if has_inputs and self._registers is not None:
                answer = self._read_registers(request, self._registers())
            case 5:
                answer = self._write_coil(at_s, request)
            case 15:
                answer = self._write_coils(at_s, request)
            case _:
                answer = ILLEGAL_FUNCTION
        if request[0] == 0:
            return
        if isinstance(answer, int):
            answer = bytes((request[0], function | 0x80, answer))
        if tcp_header:
            answer = tcp_header + len(answer).to_bytes(2, "big") + answer
            self._line.send(at_s + ANSWER_S, answer)
        else:
            self._line.send(at_s + ANSWER_S, framed(answer))

    def _read_r421(self, request: bytes) -> bytes | int:
        first, count = int.from_bytes(request[2:4], "big"), int.from_bytes(request[4:6], "big")
        if first < 1 or not count or first + count - 1 > RELAY_COUNT:
            return ILLEGAL_ADDRESS
        states = [int(self._relays[first - 1 + place]) for place in range(count)]
        data = b"".join(state.to_bytes(2, "big") for state in states)
        return request[:2] + bytes((len(data),)) + data

    def _write_r421(self, at_s: float, request: bytes) -> bytes | int:
        register, command, seconds = int.from_bytes(request[2:4], "big"), request[4], request[5]
        if not 1 <= register <= RELAY_COUNT:
            return ILLEGAL_ADDRESS
        channel = register - 1
        match command:
            case 2 if self._delays[channel] and self._relays[channel]:
                # As one was measured: taken, and nothing comes of it before the time is over.
                pass
            case 1 | 2:
                self._switch(at_s, channel, command == 1)
            case 3:
                self._switch(at_s, channel, not self._relays[channel])
            case 4:
                for each in range(RELAY_COUNT):
                    self._switch(at_s, each, each == channel)
            case 5:
                self._switch(at_s, channel, True, 1.0)
            case 6:
                self._switch(at_s, channel, seconds > 0, float(seconds) if seconds else None)
                self._delays[channel] = seconds > 0
            case _:
                return ILLEGAL_VALUE
        return request

    def _read(self, function: int, request: bytes, bits: tuple[bool, ...]) -> bytes | int:
        first, count = int.from_bytes(request[2:4], "big"), int.from_bytes(request[4:6], "big")
        if not 1 <= count <= 2000:
            return ILLEGAL_VALUE
        if first + count > len(bits):
            return ILLEGAL_ADDRESS
        data = packed(bits[first : first + count])
        return bytes((request[0], function, len(data))) + data

    def _read_registers(self, request: bytes, registers: tuple[int, ...]) -> bytes | int:
        first, count = int.from_bytes(request[2:4], "big"), int.from_bytes(request[4:6], "big")
        if not 1 <= count <= 125:
            return ILLEGAL_VALUE
        if first + count > len(registers):
            return ILLEGAL_ADDRESS
        data = b"".join(value.to_bytes(2, "big") for value in registers[first : first + count])
        return request[:2] + bytes((len(data),)) + data

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
        self._delays[channel] = False
        self._relays[channel] = on
        self._physics.set_relay(at_s, channel, on, for_s if on else None)
