"""The conversation with a Yaohua indicator in command mode: shake hands, then ask gross, again and again.
Pure: bytes and time in and out.

One request at a time; a reply counts only while its request is outstanding. An echo of our own request (a
two-wire line) is passed over. After `silent_after` unanswered requests it is told once, and hands are shaken
again: an indicator that was off is greeted before it is asked.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.devices.readings import ReadGarbled, Reading, ReadTruncated
from edge.devices.weighbridge_yaohua_command import wire
from edge.devices.weighing import Displayed, Unit, Weighing


@dataclass(frozen=True, slots=True)
class Timing:
    poll_s: float
    reply_timeout_s: float
    silent_after: int


@dataclass(frozen=True, slots=True)
class Turn:
    """What a call gave."""

    readings: tuple[Reading, ...] = ()
    send: bytes = b""
    heard: bool = False
    """The indicator gave a valid answer."""


class GrossSession:
    """`wake_at_s` is when `due` wants to be called next; None before `opened`."""

    def __init__(self, timing: Timing, *, address: str, handshake: bool, unit: Unit) -> None:
        self._timing = timing
        self._address = address
        self._first = wire.HANDSHAKE if handshake else wire.GROSS
        self._cutter = wire.decoder()
        self._weighing = Weighing(unit)
        self._awaiting: str | None = None
        self._next = self._first
        self._missed = 0
        self._heard = False
        self.wake_at_s: float | None = None

    def opened(self, at_s: float) -> Turn:
        self._cutter.clear()
        self._weighing.clear()
        self._next = self._first
        self._missed = 0
        return Turn(send=self._ask(at_s))

    def received(self, at_s: float, data: bytes) -> Turn:
        readings: list[Reading] = []
        self._heard = False
        for message in self._cutter.feed(data):
            self._take(at_s, message, readings)
        return Turn(tuple(readings), heard=self._heard)

    def due(self, at_s: float) -> Turn:
        if self.wake_at_s is None or at_s < self.wake_at_s:
            return Turn()
        readings: list[Reading] = []
        self._heard = False
        # what is half-read now is never completed: not by an answer to the next question either
        for message in self._cutter.quiet():
            self._take(at_s, message, readings)
        if at_s < self.wake_at_s:
            return Turn(tuple(readings), heard=self._heard)
        if self._awaiting is not None:
            self._missed += 1
            greet = self._awaiting == wire.GROSS and self._missed % self._timing.silent_after == 0
            self._next = self._first if greet else wire.GROSS
            if self._missed == self._timing.silent_after:
                # no DeviceFault: a device that says nothing reports nothing either
                readings.append(ReadGarbled(b"", f"no answer to {self._missed} requests in a row"))
        return Turn(tuple(readings), self._ask(at_s), self._heard)

    def _take(
        self, at_s: float, message: wire.Message | ReadGarbled | ReadTruncated, readings: list[Reading]
    ) -> None:
        match message:
            case ReadGarbled() | ReadTruncated():
                readings.append(message)
            case _ if message.address != self._address:
                why = f"a frame of indicator {message.address}, expected {self._address}"
                readings.append(ReadGarbled(b"", why))
            case wire.Request(command=wire.HANDSHAKE) if self._awaiting == wire.HANDSHAKE:
                self._answered(at_s, at_s)
            case wire.Request():
                pass  # the echo of a request, or of a handshake answered already
            case wire.Reply(command=wire.GROSS) if self._awaiting == wire.GROSS:
                self._answered(at_s, at_s + self._timing.poll_s)
                readings.extend(self._weighing.seen(Displayed(message.value, kind="gross")))
            case wire.Reply():
                readings.append(ReadGarbled(b"", f"an answer to {message.command}, which was not asked"))

    def _answered(self, at_s: float, ask_again_s: float) -> None:
        self._heard = True
        self._missed = 0
        self._awaiting = None
        self._next = wire.GROSS
        self.wake_at_s = ask_again_s

    def _ask(self, at_s: float) -> bytes:
        self._awaiting = self._next
        self.wake_at_s = at_s + self._timing.reply_timeout_s
        return wire.encode(wire.Request(self._address, self._next))
