"""The X-ray machine's end of the line stream: hello, lines, states, from its page. It hears nothing. No port.

Little-endian; a frame is a header of 16 bytes with its CRC-32, a body, and the body's CRC-32. Numbers of
frames go on whether somebody listens or not, so what was missed shows.
"""

from __future__ import annotations

import random
import struct
import zlib

from hardware_sims.barrier import NEVER
from hardware_sims.faults import Fault, FaultKind, FaultyLine
from hardware_sims.xray_machine import LINES_A_BLOCK, Block, XrayMachine

MAGIC = b"KXLS"
VERSION = 1
HELLO, LINES, STATE = 1, 2, 3
OBJECT, BEGIN, END, SOURCE_ON, EMPTY, DARK, CORRECTED = 1, 2, 4, 8, 16, 32, 64
STATE_EVERY_S = 1.0
KILOVOLTS, MICROAMPERES = 160.0, 700


def framed(kind: int, flags: int, number: int, body: bytes) -> bytes:
    """One frame as it goes over the line."""
    head = MAGIC + struct.pack("<BBHII", VERSION, kind, flags, number, len(body))
    return head + struct.pack("<I", zlib.crc32(head)) + body + struct.pack("<I", zlib.crc32(body))


class XrayLineStream:
    """Sends what the machine takes to whoever is connected."""

    def __init__(
        self,
        machine: XrayMachine,
        *,
        first_count: int = 0,
        speed: float = 1.0,
        seed: str = "stream",
    ) -> None:
        """`first_count`: the zero of the machine's own counter, which is not the belt board's. `speed`:
        virtual seconds to the second of its reader: the machine's clock is told in the reader's seconds."""
        self._machine = machine
        self._belt = machine.belt
        self._first_count = first_count
        self._speed = speed
        self._line = FaultyLine(seed)
        self._start = random.Random(f"{seed}/start").getrandbits(64)
        self._number = 0
        self._connected = False
        self._state_s = 0.0
        self._state = -1

    def connect(self, at_s: float) -> None:
        self._line.clear()
        self._connected = True
        detector = self._machine.detector.settings
        body = struct.pack(
            "<QQHHBBHII16s16s",
            self._start,
            self._us(at_s),
            detector.pixels,
            LINES_A_BLOCK,
            16,
            1,
            0,
            round(detector.pixel_mm * 1000),
            self._belt.settings.nanometres_per_count,
            b"SIM-001",
            b"1.0",
        )
        self._line.send(at_s, framed(HELLO, 0, self._number, body))
        self._state_s = at_s
        # A reader that came late has no offset: it is given one as soon as the belt is empty.
        self._machine.calibrate()

    def disconnect(self, at_s: float) -> None:
        self._line.clear()
        self._connected = False

    def receive(self, at_s: float, data: bytes) -> None:
        """It reads nothing: the protocol has no command."""

    def set_fault(self, at_s: float, fault: Fault, on: bool) -> None:
        self._line.set(at_s, fault, on)

    def next_event_s(self) -> float:
        return min(self._line.next_event_s(), self._state_s if self._connected else NEVER)

    def advance(self, at_s: float) -> bytes:
        while self._machine.blocks:
            self._say_lines(at_s, self._machine.blocks.popleft())
        state = self._states()
        if state != self._state or at_s >= self._state_s:
            self._state = state
            self._say_state(at_s, state)
        return self._line.take(at_s)

    def _say(self, at_s: float, kind: int, flags: int, body: bytes) -> None:
        number = self._number
        self._number = (number + 1) & 0xFFFF_FFFF
        if self._connected and not self._line.has(FaultKind.STUCK):
            self._line.send(at_s, framed(kind, flags, number, body))

    def _say_lines(self, at_s: float, block: Block) -> None:
        flags = 0 if block.dark else SOURCE_ON
        if block.picture:
            flags |= OBJECT | (BEGIN if block.begin else 0) | (END if block.end else 0)
        else:
            flags |= DARK if block.dark else EMPTY
        lines, pixels = block.low.shape
        body = struct.pack(
            "<QQIIIHHB3x",
            self._us(block.first_s),
            self._us(block.last_s),
            self._count(block.first_mm),
            self._count(block.last_mm),
            block.picture,
            lines,
            pixels,
            int(block.status) if block.end else 0,
        )
        self._say(
            at_s, LINES, flags, body + block.low.astype("<u2").tobytes() + block.high.astype("<u2").tobytes()
        )

    def _states(self) -> int:
        belt = self._belt
        running = belt.speed_mm_s != 0.0
        return (
            belt.source_on * 0x0001
            | running * 0x0002
            | (belt.speed_mm_s >= 0.0) * 0x0004
            | belt.jammed * 0x0008
            | belt.emergency * 0x0010
            | belt.interlock_open * 0x0020
        )

    def _say_state(self, at_s: float, state: int) -> None:
        self._state_s = at_s + STATE_EVERY_S * self._speed
        kilovolts = round(KILOVOLTS * 10) if self._belt.source_on else 0
        microamperes = MICROAMPERES if self._belt.source_on else 0
        count = self._count(self._belt.belt_mm)
        body = struct.pack("<QIHHHHI", self._us(at_s), count, state, 0, kilovolts, microamperes, 0)
        self._say(at_s, STATE, 0, body)

    def _count(self, belt_mm: float) -> int:
        return (
            self._belt.count_at(belt_mm) - self._belt.settings.first_count + self._first_count
        ) & 0xFFFF_FFFF

    def _us(self, at_s: float) -> int:
        return int(at_s / self._speed * 1e6)
