"""The conversation with a Modbus I/O board: one master, one outstanding request. Pure: bytes and time in and
out.

Inputs are polled; orders go before polls, in the order given, never two at once. Every order we send may be
sent twice without harm (a pulse that runs starts again), so an unanswered one is sent again before it is
refused.

An answer is taken only while its request is outstanding, and only if unit, function, address and value or
size fit. After a request went unanswered the line must stay still for `settle_s` before the next one, so a
late answer falls into that gap and is reported as noise instead of being taken for the next answer. What a
board says unasked (the vendor lever board's uploads and heartbeats) is noise too.

Where relays are on a board of their own, that board is asked for its relays every `relay_check_s`, so that
its loss is known before an order needs it. It is told as a fault with the inputs that still come; an
unanswered order to it lets a poll through before it is sent again.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from edge.devices.framing import Cutter
from edge.devices.io_modbus import wire
from edge.devices.readings import (
    DeviceFault,
    InputsSeen,
    OrderDone,
    OrderRefused,
    ReadGarbled,
    Reading,
    ReadTruncated,
)

MOST_WAITING = 64
"""Orders waiting beyond this are refused: the board cannot keep up."""


@dataclass(frozen=True, slots=True)
class Timing:
    poll_s: float
    reply_timeout_s: float
    settle_s: float
    retries: int
    silent_after: int
    relay_check_s: float = 0.0
    """Zero: a separate relay board is not asked."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What a call gave."""

    readings: tuple[Reading, ...] = ()
    send: bytes = b""


@dataclass(frozen=True, slots=True)
class _Order:
    order_id: str
    request: wire.WriteOne


class BoardSession:
    """`wake_at_s` is when `due` wants to be called next; None before `opened`."""

    def __init__(
        self,
        timing: Timing,
        poll: wire.ReadRequest,
        relay_check: wire.ReadRequest | None = None,
        framing: wire.Framing = "rtu",
    ) -> None:
        """`relay_check`: what a relay board of its own is asked; None: the relays are on the polled board."""
        self._timing = timing
        self._poll = poll
        self._relay_check = relay_check
        self._framing = framing
        self._transaction = 0
        self._idle: Cutter[wire.Reply] = Cutter(wire.look_for_nothing)
        self._cutter = self._idle
        self._orders: deque[_Order] = deque()
        self._asked: wire.WriteOne | wire.ReadRequest | None = None
        self._attempts = 0
        self._settle_until_s: float | None = None
        self._settle_at_most_s = 0.0
        self._next_poll_s = 0.0
        self._next_check_s = 0.0
        self._missed = 0
        self._relay_missed = 0
        self._relay_fault_told = False
        self._poll_first = False
        self._fault: DeviceFault | None = None
        self._open = False
        self.wake_at_s: float | None = None

    def opened(self, at_s: float) -> Turn:
        """Orders given before are answered as refused: whether they were carried out is not known."""
        lost = tuple(
            OrderRefused(o.order_id, "the line was opened again before an answer") for o in self._orders
        )
        self._orders.clear()
        self._idle.clear()
        self._cutter = self._idle
        self._asked = None
        self._attempts = 0
        self._settle_until_s = None
        self._missed = 0
        self._relay_missed = 0
        self._poll_first = False
        self._fault = None
        self._open = True
        self._next_poll_s = at_s
        self._next_check_s = at_s
        return Turn(lost, self._next(at_s))

    def order(self, at_s: float, order_id: str, request: wire.WriteOne) -> Turn:
        if not self._open:
            return Turn((OrderRefused(order_id, "the line is not open"),))
        if len(self._orders) >= MOST_WAITING:
            return Turn((OrderRefused(order_id, f"{MOST_WAITING} orders are waiting"),))
        self._orders.append(_Order(order_id, request))
        return Turn(send=self._next(at_s))

    def received(self, at_s: float, data: bytes) -> Turn:
        readings: list[Reading] = []
        if self._asked is None and self._settle_until_s is not None:
            self._settle_until_s = min(at_s + self._timing.settle_s, self._settle_at_most_s)
        messages = self._cutter.feed(data)
        if self._asked is None:
            messages += self._cutter.quiet()
        for message in messages:
            if isinstance(message, ReadGarbled | ReadTruncated):
                readings.append(message)
            elif self._asked is not None:
                self._answered(at_s, message, readings)
            else:
                readings.append(ReadGarbled(wire.encode(message), "a second answer to one request"))
        return Turn(tuple(readings), self._next(at_s))

    def due(self, at_s: float) -> Turn:
        if self.wake_at_s is None or at_s < self.wake_at_s:
            return Turn()
        readings: list[Reading] = []
        if self._asked is not None:
            self._unanswered(at_s, readings)
        return Turn(tuple(readings), self._next(at_s))

    def _next(self, at_s: float) -> bytes:
        """The next request if the line is free, and when to be called again."""
        if self._asked is not None:
            return b""
        if self._settle_until_s is not None:
            if at_s < self._settle_until_s:
                self.wake_at_s = self._settle_until_s
                return b""
            self._settle_until_s = None
        request = self._due_request(at_s)
        if request is None:
            check_s = self._next_check_s if self._checks else self._next_poll_s
            self.wake_at_s = min(self._next_poll_s, check_s)
            return b""
        self._asked = request
        self.wake_at_s = at_s + self._timing.reply_timeout_s
        if self._framing == "rtu":
            self._cutter = Cutter(wire.answers_to(request))
            return wire.encode(request)
        self._transaction = (self._transaction + 1) & 0xFFFF
        self._cutter = Cutter(wire.tcp_answers_to(request, self._transaction))
        return wire.encode_tcp(request, self._transaction)

    def _due_request(self, at_s: float) -> wire.WriteOne | wire.ReadRequest | None:
        if self._poll_first:
            self._poll_first = False
            return self._poll
        if self._orders:
            return self._orders[0].request
        if self._checks and at_s >= self._next_check_s:
            return self._relay_check
        return self._poll if at_s >= self._next_poll_s else None

    @property
    def _checks(self) -> bool:
        return self._relay_check is not None and self._timing.relay_check_s > 0

    def _answered(self, at_s: float, reply: wire.Reply, readings: list[Reading]) -> None:
        order = self._orders[0] if self._orders and self._asked is self._orders[0].request else None
        if self._is_for_relays():
            self._relay_missed = 0
            if self._relay_fault_told:
                self._relay_fault_told = False
                readings.append(DeviceFault("relay_board_speaks", "it answers again"))
        else:
            self._missed = 0
        checked = self._asked is self._relay_check
        self._release(readings)
        if checked:
            # whatever it said, it is there
            self._checked(at_s)
            return
        match reply:
            case wire.ExceptionReply() if order is not None:
                if reply.code == wire.BUSY and self._may_retry():
                    self._settle(at_s)
                    return
                self._finish(OrderRefused(order.order_id, f"the board answered {reply.name}"), readings)
            case wire.ExceptionReply():
                self._polled(at_s)
                self._tell(DeviceFault(reply.name, "to reading its inputs"), readings)
            case wire.BitsReply(values=values):
                self._polled(at_s)
                self._fault = None
                readings.append(InputsSeen(values[: self._poll.count]))
                if self._relay_missed >= self._timing.silent_after and not self._relay_fault_told:
                    # told beside the inputs: alone it would make a silent line seem to speak
                    self._relay_fault_told = True
                    detail = f"no answer to {self._relay_missed} requests in a row"
                    readings.append(DeviceFault("relay_board_silent", detail))
            case _ if order is not None:
                self._finish(OrderDone(order.order_id), readings)
            case _:
                pass  # no other request is ever sent

    def _unanswered(self, at_s: float, readings: list[Reading]) -> None:
        order = self._orders[0] if self._orders and self._asked is self._orders[0].request else None
        checked = self._asked is self._relay_check
        if self._is_for_relays():
            self._relay_missed += 1
            self._poll_first = True
        else:
            self._missed += 1
            if self._missed == self._timing.silent_after:
                # no DeviceFault: a device that says nothing reports nothing either
                readings.append(ReadGarbled(b"", f"no answer to {self._missed} requests in a row"))
        self._release(readings)
        self._settle(at_s)
        if checked:
            self._checked(at_s)
        elif order is None:
            self._polled(at_s)
        elif not self._may_retry():
            self._finish(
                OrderRefused(order.order_id, f"no answer after {self._timing.retries + 1} attempts"), readings
            )

    def _may_retry(self) -> bool:
        """Counts an attempt of the order at the head of the queue."""
        self._attempts += 1
        return self._attempts <= self._timing.retries

    def _settle(self, at_s: float) -> None:
        """Ask the line for stillness. A line that is never still is asked again all the same after a while:
        an order must end in an answer.
        """
        self._settle_until_s = at_s + self._timing.settle_s
        self._settle_at_most_s = self._settle_until_s + self._timing.reply_timeout_s

    def _release(self, readings: list[Reading]) -> None:
        """The request is no longer outstanding; half an answer was cut off."""
        readings.extend(m for m in self._cutter.quiet() if isinstance(m, ReadGarbled | ReadTruncated))
        self._asked = None
        self._cutter = self._idle
        self._settle_until_s = None

    def _finish(self, answer: OrderDone | OrderRefused, readings: list[Reading]) -> None:
        self._orders.popleft()
        self._attempts = 0
        readings.append(answer)

    def _is_for_relays(self) -> bool:
        """What is asked goes to a relay board of its own."""
        return self._relay_check is not None and self._asked is not self._poll

    def _checked(self, at_s: float) -> None:
        self._next_check_s = at_s + self._timing.relay_check_s

    def _polled(self, at_s: float) -> None:
        self._next_poll_s = at_s + self._timing.poll_s

    def _tell(self, fault: DeviceFault, readings: list[Reading]) -> None:
        """A fault is told when it begins or changes, not with every poll."""
        if self._fault is None or fault.code != self._fault.code:
            readings.append(fault)
        self._fault = fault
