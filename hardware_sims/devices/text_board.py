"""A board that shows lines of plain text: `[row][colour]text CR LF`, `[V]text CR LF` for its loudspeaker. It
never answers and knows no check.

Rows count from 1; colours are R, G, Y. Text is GB2312. Lines it cannot make sense of are left out.
"""

from __future__ import annotations

import re

from hardware_sims.barrier import NEVER
from hardware_sims.devices.led_board import SETTLE_S
from hardware_sims.faults import Fault, FaultKind, FaultyLine
from hardware_sims.physics import LanePhysics

ROW_COUNT = 16
MOST_BYTES = 600
COLOURS = {"R": "red", "G": "green", "Y": "amber"}
_LINE = re.compile(r"\[(\d{1,2})\](?:\[([RGY])\])?(.*)", re.DOTALL)


class TextBoard:
    """One board facing the driver; `rows` are what it shows."""

    def __init__(self, physics: LanePhysics, *, seed: str = "led") -> None:
        self._physics = physics
        self._line = FaultyLine(seed)
        self._buffer = b""
        self._rows: dict[int, tuple[str, str]] = {}
        self._show_s = NEVER
        self.spoken: tuple[tuple[float, str], ...] = ()
        """What the loudspeaker said, newest last, at most 20."""
        self.refused = 0

    @property
    def rows(self) -> tuple[str, ...]:
        return tuple(self._rows[row][0] for row in sorted(self._rows))

    @property
    def colour(self) -> str:
        return next((colour for _, (text, colour) in sorted(self._rows.items()) if text), "off")

    def connect(self, at_s: float) -> None:
        self._buffer = b""

    def disconnect(self, at_s: float) -> None:
        self._buffer = b""

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
        self._buffer += self._line.heard(data)
        while b"\r\n" in self._buffer:
            line, _, self._buffer = self._buffer.partition(b"\r\n")
            self._obey(at_s, line)
        self._buffer = self._buffer[-MOST_BYTES:]

    def _obey(self, at_s: float, line: bytes) -> None:
        text = line.decode("gb2312", errors="replace")
        if text.startswith("[V]"):
            self.spoken = (*self.spoken, (at_s, text[3:]))[-20:]
            return
        found = _LINE.fullmatch(text)
        if found is None or not 1 <= int(found[1]) <= ROW_COUNT:
            self.refused += 1
            return
        if self._line.has(FaultKind.STUCK) or self._line.has(FaultKind.SILENCE):
            return
        self._rows[int(found[1])] = (found[3].rstrip(" "), COLOURS.get(found[2] or "", "red"))
        if self._show_s == NEVER:
            slow = self._line.get(FaultKind.SLOW)
            self._show_s = at_s + SETTLE_S + (slow.delay_s if slow else 0.0)
