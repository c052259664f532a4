"""Weighbridge indicators on the lane's plate: those that send all the time and those that must be asked. No
port.

Formats in `weighbridge_frames`. What a cheat or a worn plate does to the load (`jump`, `no_zero`, `drift`)
happens between cells and indicator: the indicator believes it.
"""

from __future__ import annotations

import random
from typing import Literal

from hardware_sims.devices.weighbridge_frames import (
    mt_sics,
    st_gs_ascii,
    toledo_continuous,
    yaohua_a12_ascii,
    yaohua_a12e,
    yaohua_a12e_beyond,
    yaohua_command,
    yaohua_tf0,
    yaohua_tf_eq,
)
from hardware_sims.faults import Fault, FaultKind, FaultyLine
from hardware_sims.physics import LanePhysics

__all__ = ["PROTOCOLS", "Protocol", "Weighbridge", "toledo_continuous", "yaohua_tf0"]

Protocol = Literal[
    "yaohua_tf0",
    "toledo_continuous",
    "yaohua_command",
    "yaohua_tf_eq",
    "yaohua_tf_eq_2",
    "yaohua_a12_ascii",
    "yaohua_a12e",
    "mt_sics",
    "st_gs_ascii",
]
PROTOCOLS: tuple[Protocol, ...] = (
    "yaohua_tf0",
    "toledo_continuous",
    "yaohua_command",
    "yaohua_tf_eq",
    "yaohua_tf_eq_2",
    "yaohua_a12_ascii",
    "yaohua_a12e",
    "mt_sics",
    "st_gs_ascii",
)
"""`yaohua_tf_eq` sends format 1 (reversed), `yaohua_tf_eq_2` format 2."""

ASKED = frozenset({"yaohua_command", "mt_sics"})

FRAMES_PER_S = 10
NOISE_DIVISIONS = 0.12
"""Standard deviation of the load cells' noise at rest, in divisions."""
ROLLING_NOISE = 0.008
"""Standard deviation while a vehicle rolls on the plate, share of the load."""
ANSWER_S = 0.02
"""From the last byte of a request to the first of the answer."""
OVER_DIVISIONS, UNDER_DIVISIONS = 9, -20
"""Beyond capacity and below zero an indicator still displays so much."""
VEHICLE_KG = 500
"""From so much on something stands on the plate."""
JUMP_MOTION_S = 0.3
"""How long an indicator takes a sudden load for motion."""
MOST_WAITING_BYTES = 64


class Weighbridge:
    """Displays `FRAMES_PER_S` times a second whether anybody listens or not, and sends what its protocol
    does: each display, or the last one when asked.
    """

    def __init__(
        self,
        physics: LanePhysics,
        *,
        protocol: Protocol = "yaohua_tf0",
        division_kg: int = 20,
        capacity_kg: int = 80_000,
        zero_kg: float = 0.0,
        tare_kg: int = 0,
        address: bytes = b"A",
        seed: str = "weighbridge",
    ) -> None:
        self._physics = physics
        self._protocol = protocol
        self._division = division_kg
        self._capacity = capacity_kg
        self._zero = zero_kg
        self._tare = tare_kg
        self._address = address
        self._random = random.Random(seed)
        self._line = FaultyLine(seed)
        self._sent = 0
        self._shown: tuple[int, bool] = (0, False)
        self._sends = protocol not in ASKED
        self._buffer = bytearray()
        self._stood_s: float | None = None
        self._jumped_s: float | None = None
        self._drift_s = 0.0

    def connect(self, at_s: float) -> None:
        self._line.clear()
        self._buffer.clear()

    def disconnect(self, at_s: float) -> None:
        self._line.clear()

    def receive(self, at_s: float, data: bytes) -> None:
        if self._protocol not in ASKED:
            return
        self._buffer += self._line.heard(data)
        while (request := self._next_request()) is not None:
            if self._protocol == "mt_sics":
                self._answer_line(at_s, request)
            else:
                self._answer_command(at_s, request)
        del self._buffer[:-MOST_WAITING_BYTES]

    def set_fault(self, at_s: float, fault: Fault, on: bool) -> None:
        self._line.set(at_s, fault, on)
        if fault.kind is FaultKind.DRIFT:
            self._drift_s = at_s
        if fault.kind is FaultKind.DEAD and self._protocol in ASKED:
            # switched on again it has forgotten that it was asked to repeat
            self._sends = False

    def next_event_s(self) -> float:
        return min((self._sent + 1) / FRAMES_PER_S, self._line.next_event_s())

    def advance(self, at_s: float) -> bytes:
        while (self._sent + 1) / FRAMES_PER_S <= at_s:
            self._sent += 1
            time_s = self._sent / FRAMES_PER_S
            if not self._line.has(FaultKind.STUCK):
                self._shown = self._display(time_s)
            if self._sends:
                self._line.send(time_s, self._frame(*self._shown))
        return self._line.take(at_s)

    # --- what it displays ---

    def _display(self, at_s: float) -> tuple[int, bool]:
        physics = self._physics
        felt = physics.weight_kg(at_s)
        moving = physics.plate_in_motion(at_s, self._division)
        noise = self._division * NOISE_DIVISIONS
        if moving:
            noise += abs(felt) * ROLLING_NOISE
        felt, moving = self._tampered(at_s, felt, moving)
        felt += self._random.gauss(0.0, noise) + self._zero
        return round(felt / self._division) * self._division, moving

    def _tampered(self, at_s: float, felt: float, moving: bool) -> tuple[float, bool]:
        """What stands between cells and indicator makes of the load."""
        residue = self._line.get(FaultKind.NO_ZERO)
        if residue is not None and abs(felt) < abs(residue.load_kg):
            felt = residue.load_kg
        drift = self._line.get(FaultKind.DRIFT)
        if drift is not None:
            felt += drift.load_kg * (at_s - self._drift_s) / 60.0
        if moving or felt < VEHICLE_KG:
            self._stood_s = self._jumped_s = None
            return felt, moving
        if self._stood_s is None:
            self._stood_s = at_s
        jump = self._line.get(FaultKind.JUMP)
        if jump is None or at_s - self._stood_s < jump.delay_s:
            self._jumped_s = None
            return felt, moving
        if self._jumped_s is None:
            self._jumped_s = at_s
        return felt + jump.load_kg, at_s - self._jumped_s < JUMP_MOTION_S

    def _beyond(self, kg: int) -> int:
        """1 where it cannot display so much, -1 where it cannot display so little."""
        over = kg > self._capacity + OVER_DIVISIONS * self._division
        return over - (kg < UNDER_DIVISIONS * self._division)

    def _frame(self, kg: int, moving: bool) -> bytes:
        net = kg - self._tare
        beyond = self._beyond(kg)
        match self._protocol:
            case "yaohua_tf0" | "yaohua_command":
                return yaohua_tf0(net)
            case "toledo_continuous":
                out_of_range = abs(kg) > self._capacity
                return toledo_continuous(
                    net, tare=self._tare, net=bool(self._tare), motion=moving, out_of_range=out_of_range
                )
            case "yaohua_tf_eq" | "yaohua_tf_eq_2":
                return yaohua_tf_eq(net, backwards=self._protocol == "yaohua_tf_eq")
            case "yaohua_a12_ascii":
                return yaohua_a12_ascii(net, kind="n" if self._tare else "w")
            case "yaohua_a12e":
                if beyond:
                    return yaohua_a12e_beyond(over=beyond > 0)
                return yaohua_a12e(net, net=bool(self._tare))
            case "mt_sics":
                if beyond:
                    return b"S +\r\n" if beyond > 0 else b"S -\r\n"
                return mt_sics(str(net), stable=not moving)
            case "st_gs_ascii":
                kind = "NT" if self._tare else "GS"
                if beyond:
                    return st_gs_ascii("9999999" if beyond > 0 else "-9999999", status="OL", kind=kind)
                return st_gs_ascii(str(net), status="US" if moving else "ST", kind=kind)

    # --- what it answers ---

    def _next_request(self) -> bytes | None:
        """The next whole request taken out of what was heard; garbage is passed over."""
        buffer = self._buffer
        if self._protocol == "mt_sics":
            end = buffer.find(b"\r\n")
            if end < 0:
                return None
            line = bytes(buffer[:end])
            del buffer[: end + 2]
            return line
        while (start := buffer.find(2)) >= 0 and len(buffer) >= start + 6:
            frame = bytes(buffer[start : start + 6])
            if frame == yaohua_command(frame[1:2], frame[2:3]):
                del buffer[: start + 6]
                return frame
            del buffer[: start + 1]
        return None

    def _answer_command(self, at_s: float, request: bytes) -> None:
        address, command = request[1:2], request[2:3]
        gross = self._shown[0]
        known = {b"A": None, b"B": gross, b"C": self._tare, b"D": gross - self._tare}
        if address == self._address and command in known:
            self._line.send(at_s + ANSWER_S, yaohua_command(address, command, known[command]))

    def _answer_line(self, at_s: float, line: bytes) -> None:
        self._sends = False
        match line:
            case b"SI":
                answer = self._frame(*self._shown)
            case b"SIR":
                answer = self._frame(*self._shown)
                self._sends = True
            case b"@" | b"I4":
                answer = b'I4 A "1234567890"\r\n'
            case _ if any(byte > 0x7E or byte < 0x20 for byte in line):
                answer = b"ET\r\n"
            case _:
                answer = b"ES\r\n"
        self._line.send(at_s + ANSWER_S, answer)
