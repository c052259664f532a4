"""A code scanner in presentation mode on a serial line: AIM prefix, text, CR. No port."""

from __future__ import annotations

from typing import Protocol

from hardware_sims.barrier import NEVER
from hardware_sims.faults import Fault, FaultKind, FaultyLine
from hardware_sims.physics import ShownCode

TRIGGER = b"\x16T\r"
DECODE_S = 0.08
IN_VIEW_S = 1.0
"""How long a code that was shown can still be read by a trigger."""
REPEAT_S = 3.0
"""A stuck scanner says its last code again so often."""


def transmission(text: str, aim: str = "", suffix: bytes = b"\r") -> bytes:
    return aim.encode("ascii") + text.encode("utf-8") + suffix


class Showing(Protocol):
    """Where codes come into view."""

    def take_shown_codes(self) -> list[ShownCode]: ...


class Scanner:
    """Reads every code that is shown to it once, and again when triggered while the code is in view."""

    def __init__(
        self,
        physics: Showing,
        *,
        aim_prefix: bool = True,
        suffix: bytes = b"\r",
        no_read: str | None = None,
        seed: str = "scanner",
    ) -> None:
        self._physics = physics
        self._aim_prefix = aim_prefix
        self._suffix = suffix
        self._no_read = no_read
        self._line = FaultyLine(seed)
        self._last: ShownCode | None = None
        self._repeat_s = NEVER
        self._heard = b""

    def connect(self, at_s: float) -> None:
        self._line.clear()
        self._heard = b""

    def disconnect(self, at_s: float) -> None:
        self.connect(at_s)

    def set_fault(self, at_s: float, fault: Fault, on: bool) -> None:
        self._line.set(at_s, fault, on)
        if fault.kind is FaultKind.STUCK:
            self._repeat_s = at_s + REPEAT_S if on else NEVER

    def next_event_s(self) -> float:
        return min(self._line.next_event_s(), self._repeat_s)

    def advance(self, at_s: float) -> bytes:
        for code in self._physics.take_shown_codes():
            if self._line.is_deaf or self._line.has(FaultKind.STUCK):
                continue
            self._last = code
            self._say(code.at_s + DECODE_S, code)
        while self._repeat_s <= at_s:
            if self._last is not None:
                self._say(self._repeat_s, self._last)
            self._repeat_s += REPEAT_S
        return self._line.take(at_s)

    def receive(self, at_s: float, data: bytes) -> None:
        self._heard = (self._heard + self._line.heard(data))[-16:]
        if TRIGGER not in self._heard:
            return
        self._heard = b""
        if self._last is not None and at_s - self._last.at_s <= IN_VIEW_S:
            self._say(at_s + DECODE_S, self._last)
        elif self._no_read is not None:
            self._line.send(at_s + DECODE_S, transmission(self._no_read, "", self._suffix))

    def _say(self, at_s: float, code: ShownCode) -> None:
        self._line.send(at_s, transmission(code.text, code.aim if self._aim_prefix else "", self._suffix))
