"""Weighbridge indicators that send all the time: Yaohua tF=0 and Toledo continuous. No port.

Yaohua XK3190-A26 manual p12, A23p p23; Toledo continuous after MT IND445, Fairbanks FB2550 p149, Rockwell
57C428 p37.
"""

from __future__ import annotations

import random
from typing import Literal

from hardware_sims.faults import Fault, FaultKind, FaultyLine
from hardware_sims.physics import LanePhysics

Protocol = Literal["yaohua_tf0", "toledo_continuous"]
PROTOCOLS: tuple[Protocol, ...] = ("yaohua_tf0", "toledo_continuous")

FRAMES_PER_S = 10
NOISE_DIVISIONS = 0.12
"""Standard deviation of the load cells' noise at rest, in divisions."""
ROLLING_NOISE = 0.008
"""Standard deviation while a vehicle rolls on the plate, share of the load."""


def yaohua_tf0(kg: int, decimals: int = 0) -> bytes:
    """One frame: STX, sign, 6 digits, number of decimals, XOR of bytes 2..9 as two characters, ETX."""
    body = b"%s%06d%d" % (b"-" if kg < 0 else b"+", min(abs(kg), 999_999), decimals)
    check = 0
    for byte in body:
        check ^= byte
    return b"\x02" + body + b"%X%X" % (check >> 4, check & 15) + b"\x03"


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


class Weighbridge:
    """An indicator on the lane's plate: `FRAMES_PER_S` frames a second whether anybody listens or not."""

    def __init__(
        self,
        physics: LanePhysics,
        *,
        protocol: Protocol = "yaohua_tf0",
        division_kg: int = 20,
        capacity_kg: int = 80_000,
        zero_kg: float = 0.0,
        seed: str = "weighbridge",
    ) -> None:
        self._physics = physics
        self._protocol = protocol
        self._division = division_kg
        self._capacity = capacity_kg
        self._zero = zero_kg
        self._random = random.Random(seed)
        self._line = FaultyLine(seed)
        self._sent = 0
        self._shown: tuple[int, bool] = (0, False)

    def connect(self, at_s: float) -> None:
        self._line.clear()

    def disconnect(self, at_s: float) -> None:
        self._line.clear()

    def receive(self, at_s: float, data: bytes) -> None:
        """Sends in this mode and does not listen."""

    def set_fault(self, at_s: float, fault: Fault, on: bool) -> None:
        self._line.set(at_s, fault, on)

    def next_event_s(self) -> float:
        return min((self._sent + 1) / FRAMES_PER_S, self._line.next_event_s())

    def advance(self, at_s: float) -> bytes:
        while (self._sent + 1) / FRAMES_PER_S <= at_s:
            self._sent += 1
            time_s = self._sent / FRAMES_PER_S
            if not self._line.has(FaultKind.STUCK):
                self._shown = self._display(time_s)
            self._line.send(time_s, self._frame(*self._shown))
        return self._line.take(at_s)

    def _display(self, at_s: float) -> tuple[int, bool]:
        physics = self._physics
        felt = physics.weight_kg(at_s)
        moving = physics.plate_in_motion(at_s, self._division)
        noise = self._division * NOISE_DIVISIONS
        if moving:
            noise += abs(felt) * ROLLING_NOISE
        felt += self._random.gauss(0.0, noise) + self._zero
        return round(felt / self._division) * self._division, moving

    def _frame(self, kg: int, moving: bool) -> bytes:
        if self._protocol == "yaohua_tf0":
            return yaohua_tf0(kg)
        return toledo_continuous(kg, motion=moving, out_of_range=abs(kg) > self._capacity)
