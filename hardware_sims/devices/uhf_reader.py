"""UHF readers of the UHFReader18 and UHFReader288 kind: answer inventories, or scan by themselves. No port.

`len addr cmd [status] data CRC16`, len counts the bytes after itself, CRC polynomial 8408 reflected, start
FFFF, low byte first. As the manuals say (UHFReader18 V2.0, UHFReader288MP v1.14) and as captures show: each
tag comes in a frame of its own with status 03, the last frame with status 01 carries none; an 18 with an
empty field says FB. Set to scan (18: command 35, 288: command 76) they send EE frames by themselves and obey
no inventory; the 288 adds heartbeats.
"""

from __future__ import annotations

import random
from typing import Literal

from hardware_sims.barrier import NEVER
from hardware_sims.faults import Fault, FaultKind, FaultyLine
from hardware_sims.physics import LanePhysics

Make = Literal["uhfreader18", "uhfreader288"]

BROADCAST = 0xFF
INVENTORY, INFORMATION, SET_ADDRESS, SET_SCAN_TIME, SET_POWER = 0x01, 0x21, 0x24, 0x25, 0x2F
SET_MODE_18, GET_MODE_18, SET_MODE_288, SET_HEARTBEAT, REPORT = 0x35, 0x36, 0x76, 0x78, 0xEE
DONE, ALL_TOLD, MORE, HEARTBEAT = 0x00, 0x01, 0x03, 0x28
NO_ANTENNA, NO_TAG, WRONG_LENGTH, ILLEGAL, WRONG_PARAMETER = 0xF8, 0xFB, 0xFD, 0xFE, 0xFF

READ_CHANCE = 0.85
ROUND_S = 0.1
"""One round on the air; an inventory ends with it once no new tag answers."""
REPORT_EVERY_S = 0.2
BYTE_GAP_S = 0.015
"""A command whose bytes come further apart is forgotten."""


def crc16(data: bytes | bytearray) -> bytes:
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0x8408 if crc & 1 else crc >> 1
    return bytes((crc & 0xFF, crc >> 8))


def frame(address: int, command: int, data: bytes = b"") -> bytes:
    body = bytes((len(data) + 4, address, command)) + data
    return body + crc16(body)


class UhfReader:
    """One reader over the lane; the 288 has four sockets and an antenna on those in `antennas`."""

    def __init__(
        self,
        physics: LanePhysics,
        *,
        make: Make = "uhfreader18",
        address: int = 0,
        active: bool = False,
        antennas: tuple[int, ...] = (1,),
        seed: str = "rfid",
    ) -> None:
        self._physics = physics
        self._is_288 = make == "uhfreader288"
        self._address = address
        self._antennas = antennas
        self._random = random.Random(seed)
        self._line = FaultyLine(seed)
        self._buffer = bytearray()
        self._heard_s = 0.0
        self._power = 30
        self._scan_time = 20 if self._is_288 else 10
        self._mode = 1 if active else 0
        self._report_s = 0.0 if active else NEVER
        self._quiet_since_s = 0.0
        self._heartbeat_s = 30.0
        self._heartbeats = 0
        self._told = 0
        self._last: list[tuple[str, float]] = []
        self._busy: tuple[float, int] | None = None
        """When the inventory now running ends, and the antenna it runs on."""

    def connect(self, at_s: float) -> None:
        self._line.clear()
        self._buffer.clear()
        self._busy = None
        if self._mode:
            self._report_s = at_s + REPORT_EVERY_S

    def disconnect(self, at_s: float) -> None:
        self.connect(at_s)

    def set_fault(self, at_s: float, fault: Fault, on: bool) -> None:
        self._line.set(at_s, fault, on)
        if on and fault.kind is FaultKind.DEAD:
            self._busy = None

    def next_event_s(self) -> float:
        due = min(self._line.next_event_s(), self._report_s)
        return min(due, self._busy[0]) if self._busy is not None else due

    def advance(self, at_s: float) -> bytes:
        if self._busy is not None and self._busy[0] <= at_s:
            (done_s, antenna), self._busy = self._busy, None
            self._answer_inventory(done_s, antenna)
        while self._report_s <= at_s:
            self._report(self._report_s)
            self._report_s += REPORT_EVERY_S
        return self._line.take(at_s)

    def receive(self, at_s: float, data: bytes) -> None:
        buffer = self._buffer
        if at_s - self._heard_s > BYTE_GAP_S:
            buffer.clear()
        self._heard_s = at_s
        buffer += self._line.heard(data)
        while buffer:
            size = buffer[0] + 1
            if size < 5:
                del buffer[0]
                continue
            if len(buffer) < size:
                return
            if crc16(buffer[: size - 2]) != bytes(buffer[size - 2 : size]):
                del buffer[0]
                continue
            command = bytes(buffer[:size])
            del buffer[:size]
            # Busy with a command, it hears no other.
            if command[1] in (self._address, BROADCAST) and self._busy is None:
                self._obey(at_s, command[2], command[3:-2])

    def _obey(self, at_s: float, command: int, data: bytes) -> None:
        if command == INVENTORY:
            self._begin_inventory(at_s, data)
            return
        status, answer = DONE, b""
        if command == INFORMATION:
            kind = 0x0C if self._is_288 else 0x09
            answer = bytes((2, 36, kind, 0x02, 0x4E, 0x00, self._power, self._scan_time))
            if self._is_288:
                answer += bytes((sum(1 << each - 1 for each in self._antennas), 0, 0, 1))
        elif command == SET_ADDRESS and len(data) == 1 and data[0] != BROADCAST:
            # Answers under its old address.
            self._say(at_s + 0.005, command, DONE)
            self._address = data[0]
            return
        elif command == SET_SCAN_TIME and len(data) == 1:
            self._scan_time = max(3, data[0])
        elif command == SET_POWER and len(data) == 1 and data[0] <= 30:
            self._power = data[0]
        elif (command == SET_MODE_18 and not self._is_288 and len(data) == 6) or (
            command == SET_MODE_288 and self._is_288 and len(data) == 1
        ):
            self._mode = data[0] & 0x03
            self._report_s = at_s + REPORT_EVERY_S if self._mode else NEVER
            self._quiet_since_s = at_s
        elif command == GET_MODE_18 and not self._is_288:
            answer = bytes((2, 30, 10, 15, self._mode, 2, 4, 0, 1, 0, 8, 0))
        elif command == SET_HEARTBEAT and self._is_288 and len(data) == 1:
            if data[0] & 0x80:
                self._heartbeat_s = (data[0] & 0x7F) * 30.0 or NEVER
            answer = data
        else:
            status = ILLEGAL
        self._say(at_s + 0.005, command, status, answer)

    def _say(self, at_s: float, command: int, status: int, data: bytes = b"") -> None:
        self._line.send(at_s, frame(self._address, command, bytes((status,)) + data))

    def _begin_inventory(self, at_s: float, data: bytes) -> None:
        if self._mode:
            return
        antenna = 1
        if self._is_288:
            if len(data) not in (2, 6, 9):
                self._say(at_s + 0.005, INVENTORY, WRONG_LENGTH)
                return
            if len(data) == 9:
                antenna = data[7] - 0x7F
            if not 1 <= antenna <= 4 or data[0] & 0x0F > 15:
                self._say(at_s + 0.005, INVENTORY, WRONG_PARAMETER)
                return
        self._busy = (at_s + ROUND_S, antenna)

    def _answer_inventory(self, at_s: float, antenna: int) -> None:
        bit = bytes((1 << antenna - 1,)) if self._is_288 else b""
        missing = antenna not in self._antennas or self._line.has(FaultKind.NO_ANTENNA)
        if missing and self._is_288:
            self._say(at_s, INVENTORY, NO_ANTENNA)
            return
        seen = [] if missing else self._hear_tags()
        for epc, away_m in seen:
            self._say(at_s, INVENTORY, MORE, bit + b"\x01" + self._tag(epc, away_m))
        if seen or self._is_288:
            self._say(at_s, INVENTORY, ALL_TOLD, bit + b"\x00")
        else:
            self._say(at_s, INVENTORY, NO_TAG)

    def _report(self, at_s: float) -> None:
        seen = [] if self._line.has(FaultKind.NO_ANTENNA) else self._hear_tags()
        for epc, away_m in seen:
            if self._is_288:
                self._say(at_s, REPORT, DONE, b"\x01" + self._tag(epc, away_m))
            else:
                self._say(at_s, REPORT, DONE, bytes.fromhex(epc))
        self._told += len(seen)
        if seen:
            self._quiet_since_s = at_s
        elif self._is_288 and at_s - self._quiet_since_s >= self._heartbeat_s:
            self._quiet_since_s = at_s
            self._heartbeats += 1
            numbers = self._heartbeats.to_bytes(4, "big") + bytes(8) + self._told.to_bytes(4, "big")
            self._say(at_s, REPORT, HEARTBEAT, numbers)

    def _tag(self, epc: str, away_m: float) -> bytes:
        """`length EPC`, and RSSI from a 288."""
        code = bytes.fromhex(epc)
        data = bytes((len(code),)) + code
        if not self._is_288:
            return data
        strength = round(78 - 2.5 * away_m + self._random.gauss(0, 2))
        return data + bytes((max(20, min(110, strength)),))

    def _hear_tags(self) -> list[tuple[str, float]]:
        if self._line.has(FaultKind.STUCK):
            return self._last
        draw = self._random
        seen = [tag for tag in self._physics.tags_in_field() if draw.random() < READ_CHANCE]
        seen += self._physics.tags_heard_from_next_door(draw)
        if seen:
            self._last = seen
        return seen
