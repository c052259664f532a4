"""The conversation with a scanner that is told when to read: one read at a time, with a time limit. Pure.

A read begins with the trigger. It ends with a text, with the scanner's word for nothing read, or at its time
limit: then the trigger is taken back, and what the scanner still says within `reply_s` counts. A read that
ended with nothing at all is told as nothing read. An order given while a read is on joins it and gives it its
full time again; nothing is sent, since some scanners take a second trigger for a mistake.

Where the scanner answers its trigger, an order is done when that answer comes and refused when it says no or
does not come; where it does not, an order is done when its trigger is written.
"""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import dataclass

from edge.devices.readings import NothingRead, OrderDone, OrderRefused, Reading
from edge.devices.scanner_line.wire import Answer

MOST_WAITING = 16
"""Orders waiting for one answer beyond this are refused."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """How a scanner is told to read."""

    on: bytes
    off: bytes
    """Empty: it stops by itself."""
    answered: bool
    """It says whether it took a command."""
    off_after_code: bool = False
    """It goes on reading after a text until the trigger is taken back."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What a call gave."""

    readings: tuple[Reading, ...] = ()
    send: bytes = b""


class _Doing(enum.Enum):
    NOTHING = enum.auto()
    ASKING = enum.auto()
    """The trigger is sent and not yet answered."""
    READING = enum.auto()
    STOPPING = enum.auto()
    """The trigger is taken back; a last word may come."""


class ReadSession:
    """`wake_at_s` is when `due` wants to be called next."""

    def __init__(self, trigger: Trigger, read_s: float, reply_s: float) -> None:
        self._trigger = trigger
        self._read_s = read_s
        self._reply_s = reply_s
        self._doing = _Doing.NOTHING
        self._orders: list[str] = []
        self._latest_s = 0.0
        self._unanswered: deque[bool] = deque()
        """Commands sent whose answers are to come: trigger on or off."""
        self.wake_at_s: float | None = None

    def opened(self) -> Turn:
        lost = tuple(OrderRefused(o, "the line was opened again before an answer") for o in self._orders)
        self._unanswered.clear()
        self._rest(0.0)
        return Turn(lost)

    def order(self, at_s: float, order_id: str) -> Turn:
        match self._doing:
            case _Doing.READING:
                self.wake_at_s = at_s + self._read_s
                return Turn((OrderDone(order_id),))
            case _Doing.ASKING if len(self._orders) >= MOST_WAITING:
                return Turn((OrderRefused(order_id, f"{MOST_WAITING} orders wait for an answer"),))
            case _Doing.ASKING:
                self._orders.append(order_id)
                return Turn()
            case _Doing.STOPPING:
                begun = self._begin(at_s, order_id)
                return Turn((NothingRead(), *begun.readings), begun.send)
            case _Doing.NOTHING:
                return self._begin(at_s, order_id)

    def answered(self, at_s: float, answer: Answer) -> Turn | None:
        """None: nobody asked."""
        on = self._asked(answer.on)
        if on is None:
            return None
        if self._doing is _Doing.ASKING and on:
            if answer.good:
                self._doing = _Doing.READING
                self.wake_at_s = at_s + self._read_s
                return Turn(self._done())
            refused = tuple(OrderRefused(o, f"the scanner answered {answer.text}") for o in self._orders)
            self._rest(at_s)
            return Turn(refused)
        return Turn()

    def bytes_came(self, at_s: float) -> None:
        """A long text takes its time on the line: the last word is waited for, within bounds."""
        if self._doing is _Doing.STOPPING:
            self.wake_at_s = min(at_s + self._reply_s, self._latest_s)

    def code_came(self, at_s: float) -> Turn:
        """A text: the read is over, and the order done even if its answer was lost."""
        match self._doing:
            case _Doing.NOTHING:
                return Turn()
            case _Doing.ASKING | _Doing.READING:
                done = self._done()
                off = self._off() if self._trigger.off_after_code else b""
                self._rest(at_s)
                return Turn(done, off)
            case _Doing.STOPPING:
                self._rest(at_s)
                return Turn()

    def nothing_came(self, at_s: float) -> Turn:
        """The scanner's word for nothing read. One that comes before a trigger is answered is of an older
        read."""
        if self._doing in (_Doing.READING, _Doing.STOPPING):
            self._rest(at_s)
        return Turn()

    def due(self, at_s: float) -> Turn:
        if self.wake_at_s is None or at_s < self.wake_at_s:
            return Turn()
        match self._doing:
            case _Doing.ASKING:
                why = f"no answer to the trigger in {self._reply_s:g} s"
                refused = tuple(OrderRefused(order_id, why) for order_id in self._orders)
                self._unanswered.clear()
                # it may have heard: then it must not go on reading
                off = self._off()
                self._rest(at_s)
                return Turn(refused, off)
            case _Doing.READING:
                self._doing = _Doing.STOPPING
                self.wake_at_s = at_s + self._reply_s
                self._latest_s = self.wake_at_s + self._read_s
                return Turn(send=self._off())
            case _Doing.STOPPING:
                self._unanswered.clear()
                self._rest(at_s)
                return Turn((NothingRead(),))
            case _Doing.NOTHING:
                self._unanswered.clear()
                self._rest(at_s)
                return Turn()

    def _begin(self, at_s: float, order_id: str) -> Turn:
        self._orders = [order_id]
        if self._trigger.answered:
            self._unanswered.append(True)
            self._doing = _Doing.ASKING
            self.wake_at_s = at_s + self._reply_s
            return Turn(send=self._trigger.on)
        self._doing = _Doing.READING
        self.wake_at_s = at_s + self._read_s
        return Turn(self._done(), self._trigger.on)

    def _off(self) -> bytes:
        if self._trigger.off and self._trigger.answered:
            self._unanswered.append(False)
        return self._trigger.off

    def _asked(self, on: bool | None) -> bool | None:
        """Which command an answer belongs to; commands sent before it will not be answered any more."""
        if on is None:
            return self._unanswered.popleft() if self._unanswered else None
        if on not in self._unanswered:
            return None
        while self._unanswered.popleft() is not on:
            pass
        return on

    def _done(self) -> tuple[OrderDone, ...]:
        done = tuple(OrderDone(order_id) for order_id in self._orders)
        self._orders = []
        return done

    def _rest(self, at_s: float) -> None:
        """An answer still to come is waited for, so that it is not taken for one to the next trigger."""
        self._doing = _Doing.NOTHING
        self._orders = []
        self.wake_at_s = at_s + self._reply_s if self._unanswered else None
