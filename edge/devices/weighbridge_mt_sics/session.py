"""The conversation with an MT-SICS indicator: ask the weight, again and again, or once for all. Pure: bytes
and time in and out.

One request at a time; asked once (`SI`), an answer counts only while its request is outstanding. Repeated
(`SIR`), every line is an answer, and silence or a restart of the indicator makes us ask again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from edge.devices.readings import DeviceFault, ReadGarbled, Reading, ReadTruncated
from edge.devices.weighbridge_mt_sics import wire
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


class WeightSession:
    """`wake_at_s` is when `due` wants to be called next; None before `opened`."""

    def __init__(self, timing: Timing, *, repeated: bool, unit: Unit) -> None:
        self._timing = timing
        self._repeated = repeated
        self._cutter = wire.decoder()
        self._weighing = Weighing(unit)
        self._waiting = False
        self._missed = 0
        self._heard = False
        self.wake_at_s: float | None = None

    def opened(self, at_s: float) -> Turn:
        self._cutter.clear()
        self._weighing.clear()
        self._missed = 0
        return Turn(send=self._ask(at_s))

    def received(self, at_s: float, data: bytes) -> Turn:
        readings: list[Reading] = []
        self._heard = False
        send = b"".join([self._take(at_s, message, readings) for message in self._cutter.feed(data)])
        return Turn(tuple(readings), send, self._heard)

    def due(self, at_s: float) -> Turn:
        if self.wake_at_s is None or at_s < self.wake_at_s:
            return Turn()
        readings: list[Reading] = []
        self._heard = False
        # what is half-read now is never completed: not by an answer to the next question either
        send = b"".join([self._take(at_s, message, readings) for message in self._cutter.quiet()])
        if at_s < self.wake_at_s:
            return Turn(tuple(readings), send, self._heard)
        if self._waiting:
            self._missed += 1
            if self._missed == self._timing.silent_after:
                # no DeviceFault: a device that says nothing reports nothing either
                readings.append(ReadGarbled(b"", f"no answer to {self._missed} requests in a row"))
        return Turn(tuple(readings), self._ask(at_s), self._heard)

    def _take(
        self, at_s: float, message: wire.Message | ReadGarbled | ReadTruncated, readings: list[Reading]
    ) -> bytes:
        """Returns what to send at once."""
        match message:
            case ReadGarbled() | ReadTruncated():
                readings.append(message)
            case wire.Started(serial_no):
                self._heard = True
                readings.extend(
                    self._weighing.fault(DeviceFault("power_up", f"indicator {serial_no} started"))
                )
                return self._ask(at_s)
            case _ if not self._waiting:
                readings.append(ReadGarbled(b"", "an answer that was not asked"))
            case wire.Weight(value, unit, stable, width):
                self._answered(at_s)
                shown = Displayed(value, unit, stable=stable, shape=(width, message.decimals))
                readings.extend(self._weighing.seen(shown))
            case wire.Beyond(what):
                self._answered(at_s)
                readings.extend(self._weighing.seen(Displayed(None, beyond=what)))
            case wire.Failed(error):
                self._answered(at_s)
                readings.extend(
                    self._weighing.fault(DeviceFault(error.replace(" ", "_"), "to asking its weight"))
                )
            case _:
                assert_never(message)
        return b""

    def _answered(self, at_s: float) -> None:
        self._heard = True
        self._missed = 0
        self._waiting = self._repeated
        self.wake_at_s = at_s + (self._timing.reply_timeout_s if self._repeated else self._timing.poll_s)

    def _ask(self, at_s: float) -> bytes:
        self._waiting = True
        self.wake_at_s = at_s + self._timing.reply_timeout_s
        return wire.ASK_REPEATED if self._repeated else wire.ASK_ONCE
