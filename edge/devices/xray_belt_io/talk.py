"""The conversation with the belt's board: looks and orders, one outstanding request. Pure: bytes and time in.

A look is two reads, encoder first, inputs at once behind it; both must be answered for it to be one. Orders
go between looks, one at most, so that neither many of them nor one without an answer hide the belt. An order
has a time after which it is of no use: what cannot be sent by then, or sent again, is refused instead.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from edge.devices.framing import Cutter
from edge.devices.io_modbus import wire
from edge.devices.readings import DeviceFault, OrderDone, OrderRefused, ReadGarbled, Reading, ReadTruncated

MOST_WAITING = 64
"""Orders waiting beyond this are refused: the board cannot keep up."""


@dataclass(frozen=True, slots=True)
class Timing:
    poll_s: float
    reply_timeout_s: float
    settle_s: float
    retries: int
    silent_after: int


@dataclass(frozen=True, slots=True)
class Look:
    """What the board answered, both reads."""

    at_s: float
    """When the inputs' answer came."""
    apart_s: float
    """By how much the encoder's answer came before it."""
    registers: tuple[int, ...]
    inputs: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Turn:
    """What a call gave."""

    readings: tuple[Reading, ...] = ()
    look: Look | None = None
    send: bytes = b""


@dataclass(frozen=True, slots=True)
class _Order:
    order_id: str
    request: wire.WriteOne
    not_after_s: float | None

    def late(self, at_s: float) -> bool:
        return self.not_after_s is not None and at_s > self.not_after_s


class BoardTalk:
    """`wake_at_s` is when `due` wants to be called next; None before `opened`."""

    def __init__(
        self, timing: Timing, encoder: wire.ReadRequest, inputs: wire.ReadRequest, framing: wire.Framing
    ) -> None:
        self._timing = timing
        self._encoder = encoder
        self._inputs = inputs
        self._framing = framing
        self._transaction = 0
        self._idle: Cutter[wire.Reply] = Cutter(wire.look_for_nothing)
        self._cutter = self._idle
        self._orders: deque[_Order] = deque()
        self._asked: wire.WriteOne | wire.ReadRequest | None = None
        self._asked_at_s = 0.0
        self._registers: tuple[int, ...] | None = None
        """Answered of the look under way."""
        self._encoder_at_s = 0.0
        self._attempts = 0
        self._look_first = False
        """An order was just served or went unanswered: a look that is due goes before the next."""
        self._settle_until_s: float | None = None
        self._settle_at_most_s = 0.0
        self._next_look_s = 0.0
        self._missed = 0
        self._fault: str = ""
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
        self._registers = None
        self._attempts = 0
        self._look_first = False
        self._settle_until_s = None
        self._missed = 0
        self._fault = ""
        self._open = True
        self._next_look_s = at_s
        readings: list[Reading] = list(lost)
        send = self._next(at_s, readings)
        return Turn(tuple(readings), send=send)

    def order(self, at_s: float, order_id: str, request: wire.WriteOne, not_after_s: float | None) -> Turn:
        if not self._open:
            return Turn((OrderRefused(order_id, "the line is not open", not_done=True),))
        if len(self._orders) >= MOST_WAITING:
            return Turn((OrderRefused(order_id, f"{MOST_WAITING} orders are waiting", not_done=True),))
        self._orders.append(_Order(order_id, request, not_after_s))
        readings: list[Reading] = []
        send = self._next(at_s, readings)
        return Turn(tuple(readings), send=send)

    def received(self, at_s: float, data: bytes) -> Turn:
        readings: list[Reading] = []
        look: Look | None = None
        if self._asked is None and self._settle_until_s is not None:
            self._settle_until_s = min(at_s + self._timing.settle_s, self._settle_at_most_s)
        messages = self._cutter.feed(data)
        if self._asked is None:
            messages += self._cutter.quiet()
        for message in messages:
            if isinstance(message, ReadGarbled | ReadTruncated):
                readings.append(message)
            elif self._asked is not None:
                look = self._answered(at_s, message, readings) or look
            else:
                readings.append(ReadGarbled(wire.encode(message), "a second answer to one request"))
        send = self._next(at_s, readings)
        return Turn(tuple(readings), look, send)

    def due(self, at_s: float) -> Turn:
        if self.wake_at_s is None or at_s < self.wake_at_s:
            return Turn()
        readings: list[Reading] = []
        if self._asked is not None:
            self._unanswered(at_s, readings)
        send = self._next(at_s, readings)
        return Turn(tuple(readings), send=send)

    def _next(self, at_s: float, readings: list[Reading]) -> bytes:
        """The next request if the line is free, and when to be called again."""
        self._refuse_late(at_s, readings)
        if self._asked is not None:
            return b""
        if self._settle_until_s is not None:
            if at_s < self._settle_until_s:
                self.wake_at_s = self._settle_until_s
                return b""
            self._settle_until_s = None
        request = self._due_request(at_s)
        if request is None:
            self.wake_at_s = self._next_look_s
            return b""
        self._asked = request
        self._asked_at_s = at_s
        self.wake_at_s = at_s + self._timing.reply_timeout_s
        if self._framing == "rtu":
            self._cutter = Cutter(wire.answers_to(request))
            return wire.encode(request)
        self._transaction = (self._transaction + 1) & 0xFFFF
        self._cutter = Cutter(wire.tcp_answers_to(request, self._transaction))
        return wire.encode_tcp(request, self._transaction)

    def _due_request(self, at_s: float) -> wire.WriteOne | wire.ReadRequest | None:
        if self._registers is not None:
            # a look is of one moment as nearly as can be: nothing comes between its two reads
            return self._inputs
        look_due = at_s >= self._next_look_s
        if self._orders and not (self._look_first and look_due):
            self._look_first = True
            return self._orders[0].request
        if look_due:
            self._look_first = False
            return self._encoder
        return None

    def _refuse_late(self, at_s: float, readings: list[Reading]) -> None:
        """Orders whose time is over, but for the one that is outstanding."""
        sent = self._orders.popleft() if self._orders and self._asked is self._orders[0].request else None
        tried = self._orders[0] if self._orders and sent is None and self._attempts else None
        for order in [order for order in self._orders if order.late(at_s)]:
            self._orders.remove(order)
            why = "too late to be sent"
            readings.append(OrderRefused(order.order_id, why, not_done=order is not tried))
        if sent is not None:
            self._orders.appendleft(sent)

    def _answered(self, at_s: float, reply: wire.Reply, readings: list[Reading]) -> Look | None:
        order = self._orders[0] if self._orders and self._asked is self._orders[0].request else None
        self._missed = 0
        late = at_s - self._asked_at_s > self._timing.reply_timeout_s
        asked, registers = self._asked, self._registers
        self._release(readings)
        match reply:
            case wire.ExceptionReply() if order is not None:
                if reply.code == wire.BUSY and self._may_retry(at_s, order):
                    self._settle(at_s)
                else:
                    why = f"the board answered {reply.name}"
                    self._finish(OrderRefused(order.order_id, why, not_done=not self._attempts), readings)
            case wire.ExceptionReply():
                self._looked(at_s)
                what = "encoder" if asked is self._encoder else "inputs"
                if self._fault != reply.name:
                    readings.append(DeviceFault(reply.name, f"to reading its {what}"))
                self._fault = reply.name
            case wire.RegistersReply() | wire.BitsReply() if late:
                # It lay there while nobody looked: what it says was so then, and nobody knows when.
                self._looked(at_s)
            case wire.RegistersReply(values=values):
                self._registers, self._encoder_at_s = values, at_s
            case wire.BitsReply(values=values) if registers is not None:
                self._looked(at_s)
                self._fault = ""
                return Look(at_s, at_s - self._encoder_at_s, registers, values[: self._inputs.count])
            case _ if order is not None:
                self._finish(OrderDone(order.order_id), readings)
            case _:
                pass  # no other request is ever sent
        return None

    def _unanswered(self, at_s: float, readings: list[Reading]) -> None:
        order = self._orders[0] if self._orders and self._asked is self._orders[0].request else None
        self._missed += 1
        if self._missed == self._timing.silent_after:
            # no DeviceFault: a device that says nothing reports nothing either
            readings.append(ReadGarbled(b"", f"no answer to {self._missed} requests in a row"))
        self._release(readings)
        self._settle(at_s)
        if order is None:
            self._looked(at_s)
        elif not self._may_retry(at_s + self._timing.settle_s, order):
            why = f"no answer after {self._attempts} attempts; whether it was carried out is not known"
            self._finish(OrderRefused(order.order_id, why), readings)

    def _may_retry(self, again_s: float, order: _Order) -> bool:
        """Counts an attempt of the order at the head of the queue."""
        self._attempts += 1
        return self._attempts <= self._timing.retries and not order.late(again_s)

    def _settle(self, at_s: float) -> None:
        """Ask the line for stillness; one that is never still is asked again all the same after a while."""
        self._settle_until_s = at_s + self._timing.settle_s
        self._settle_at_most_s = self._settle_until_s + self._timing.reply_timeout_s

    def _release(self, readings: list[Reading]) -> None:
        """The request is no longer outstanding; half an answer was cut off."""
        readings.extend(m for m in self._cutter.quiet() if isinstance(m, ReadGarbled | ReadTruncated))
        self._asked = None
        self._registers = None
        self._cutter = self._idle
        self._settle_until_s = None

    def _finish(self, answer: OrderDone | OrderRefused, readings: list[Reading]) -> None:
        self._orders.popleft()
        self._attempts = 0
        readings.append(answer)

    def _looked(self, at_s: float) -> None:
        self._next_look_s = at_s + self._timing.poll_s
