"""A UHF reader that speaks the Impinj R2000 serial protocol. Answers inventory commands; no port.

`A0 len addr cmd data chk`, len counts the bytes after itself, chk makes the sum of all bytes 0 (mod 256).
Frames as printed in public reader manuals; error codes 11 fail, 22 antenna missing.
"""

from __future__ import annotations

import random

from hardware_sims.faults import Fault, FaultKind, FaultyLine
from hardware_sims.physics import LanePhysics

HEAD = 0xA0
BROADCAST = 0xFF
MAX_LENGTH = 128

RESET, SET_ADDRESS, FIRMWARE, SET_ANTENNA, GET_ANTENNA = 0x70, 0x73, 0x72, 0x74, 0x75
SET_POWER, GET_POWER, BEEPER, TEMPERATURE = 0x76, 0x77, 0x7A, 0x7B
REALTIME_INVENTORY, SESSION_INVENTORY = 0x89, 0x8B
SUCCESS, FAIL, ANTENNA_MISSING = 0x10, 0x11, 0x22

ROUND_S = 0.05
"""One inventory round on the air."""
READ_CHANCE = 0.85
SILENCE_S = 0.2
"""Half a command older than this is forgotten."""


def frame(address: int, command: int, data: bytes = b"") -> bytes:
    body = bytes((HEAD, len(data) + 3, address, command)) + data
    return body + bytes((-sum(body) & 0xFF,))


def tag_frame(
    address: int,
    epc: bytes,
    *,
    command: int = REALTIME_INVENTORY,
    antenna: int = 0,
    frequency: int = 7,
    rssi: int = 70,
) -> bytes:
    """`freqAnt PC EPC RSSI`; the protocol-control word carries the EPC's length in words."""
    control = (len(epc) // 2) << 11
    return frame(
        address,
        command,
        bytes((frequency << 2 | antenna,)) + control.to_bytes(2, "big") + epc + bytes((rssi,)),
    )


def end_frame(
    address: int, total: int, *, command: int = REALTIME_INVENTORY, antenna: int = 0, rate: int = 0
) -> bytes:
    return frame(address, command, bytes((antenna,)) + rate.to_bytes(2, "big") + total.to_bytes(4, "big"))


class RfidReader:
    """One reader, one antenna over the lane."""

    def __init__(self, physics: LanePhysics, *, address: int = 1, seed: str = "rfid") -> None:
        self._physics = physics
        self._address = address
        self._random = random.Random(seed)
        self._line = FaultyLine(seed)
        self._buffer = bytearray()
        self._heard_s = 0.0
        self._antenna = 0
        self._power = 30
        self._last: list[str] = []
        self._rounds: list[tuple[float, int]] = []

    def connect(self, at_s: float) -> None:
        self._line.clear()
        self._buffer.clear()
        self._rounds.clear()

    def disconnect(self, at_s: float) -> None:
        self.connect(at_s)

    def set_fault(self, at_s: float, fault: Fault, on: bool) -> None:
        self._line.set(at_s, fault, on)
        if on and fault.kind is FaultKind.DEAD:
            self._antenna, self._power = 0, 30
            self._rounds.clear()

    def next_event_s(self) -> float:
        due = self._line.next_event_s()
        return min(due, self._rounds[0][0]) if self._rounds else due

    def advance(self, at_s: float) -> bytes:
        while self._rounds and self._rounds[0][0] <= at_s:
            done_s, command = self._rounds.pop(0)
            self._answer_inventory(done_s, command)
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
                buffer.clear()
                return
            del buffer[:start]
            if len(buffer) < 2:
                return
            length = buffer[1]
            if not 3 <= length <= MAX_LENGTH:
                del buffer[0]
                continue
            if len(buffer) < length + 2:
                return
            command = bytes(buffer[: length + 2])
            if sum(command) & 0xFF:
                del buffer[0]
                continue
            del buffer[: length + 2]
            if command[2] in (self._address, BROADCAST):
                self._obey(at_s, command[3], command[4:-1])

    def _obey(self, at_s: float, command: int, data: bytes) -> None:
        answer = bytes((SUCCESS,))
        if command in (REALTIME_INVENTORY, SESSION_INVENTORY):
            rounds = 1
            if command == REALTIME_INVENTORY and data:
                rounds = 1 if data[0] == 0xFF else max(1, data[0])
            begin = max([at_s, *(due for due, _ in self._rounds)])
            self._rounds.append((begin + ROUND_S * rounds, command))
            return
        if command == RESET:
            self._rounds.clear()
            self._line.clear()
            return
        if command == FIRMWARE:
            answer = b"\x01\x09"
        elif command == GET_ANTENNA:
            answer = bytes((self._antenna,))
        elif command == GET_POWER:
            answer = bytes((self._power,))
        elif command == TEMPERATURE:
            answer = b"\x01\x23"
        elif command == SET_ANTENNA and len(data) == 1 and data[0] < 4:
            self._antenna = data[0]
        elif command == SET_POWER and data and data[0] <= 33:
            self._power = data[0]
        elif command == SET_ADDRESS and len(data) == 1:
            self._address = data[0]
        elif command != BEEPER:
            answer = bytes((FAIL,))
        self._line.send(at_s + 0.005, frame(self._address, command, answer))

    def _answer_inventory(self, at_s: float, command: int) -> None:
        address = self._address
        if self._line.has(FaultKind.NO_ANTENNA):
            self._line.send(at_s, frame(address, command, bytes((ANTENNA_MISSING,))))
            return
        if self._line.has(FaultKind.STUCK):
            seen = [(epc, 4.0) for epc in self._last]
        else:
            seen = [tag for tag in self._physics.tags_in_field() if self._random.random() < READ_CHANCE]
            seen += self._physics.tags_heard_from_next_door(self._random)
            if seen:
                self._last = [epc for epc, _ in seen]
        for epc, away_m in seen:
            rssi = max(30, min(95, round(78 - 2.5 * away_m + self._random.gauss(0, 2))))
            frequency = self._random.randrange(50)
            self._line.send(
                at_s,
                tag_frame(
                    address,
                    bytes.fromhex(epc),
                    command=command,
                    antenna=self._antenna,
                    frequency=frequency,
                    rssi=rssi,
                ),
            )
        rate = round(len(seen) / ROUND_S)
        self._line.send(
            at_s, end_frame(address, len(seen), command=command, antenna=self._antenna, rate=rate)
        )
