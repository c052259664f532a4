"""The driver of every scanner that is told when to read. What its bytes are, a make's own `wire` says.

Texts that come without a trigger are told all the same: the scanner may read by itself as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from edge.devices.driver import Output
from edge.devices.readings import (
    CodeSeen,
    DeviceFault,
    NothingRead,
    Order,
    OrderRefused,
    ReadGarbled,
    Reading,
    ReadTruncated,
    TriggerRead,
)
from edge.devices.scanner_line import wire
from edge.devices.scanner_line.session import ReadSession, Trigger, Turn
from edge.devices.settings import SettingError, SettingsRefused

AIMS = {"none": wire.Aim.NONE, "allowed": wire.Aim.ALLOWED, "required": wire.Aim.REQUIRED}
ENDINGS = {
    "cr": wire.Ending.CR,
    "lf": wire.Ending.LF,
    "crlf": wire.Ending.CRLF,
    "tab": wire.Ending.TAB,
    "quiet": wire.Ending.QUIET,
}


def hex_bytes(key: str, text: str) -> bytes:
    """A setting that is bytes in hex. Raises `SettingsRefused`."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise SettingsRefused((SettingError(key, "bytes in hex", repr(text)),)) from None


@dataclass(frozen=True, slots=True)
class Times:
    quiet_s: float
    """Silence that ends or cuts off a line."""
    read_s: float
    reply_s: float


class TriggeredDriver:
    """Frames a host sends, heard from the scanner, are noise: an echo, or another host on the line."""

    def __init__(
        self, lines: Callable[[], wire.LineDecoder[wire.Said]], trigger: Trigger, times: Times
    ) -> None:
        self._lines = lines()
        self._session = ReadSession(trigger, times.read_s, times.reply_s)
        self._quiet_s = times.quiet_s
        self._quiet_at_s: float | None = None

    def opened(self, at_s: float) -> Output:
        self._lines.clear()
        self._quiet_at_s = None
        return self._output(self._session.opened())

    def received(self, at_s: float, data: bytes) -> Output:
        late = self._gone_quiet(at_s)
        told = self._heard(at_s, self._lines.feed(data))
        if data:
            self._quiet_at_s = at_s + self._quiet_s if self._lines.holding else None
        over = self._session.due(at_s)
        if data:
            self._session.bytes_came(at_s)
        return self._output(_joined(late, told, over))

    def due(self, at_s: float) -> Output:
        late = self._gone_quiet(at_s)
        return self._output(_joined(late, self._session.due(at_s)))

    def order(self, at_s: float, order_id: str, order: Order) -> Output:
        if not isinstance(order, TriggerRead):
            why = f"a scanner takes no {type(order).__name__}"
            return self._output(Turn((OrderRefused(order_id, why),)))
        return self._output(self._session.order(at_s, order_id))

    def _gone_quiet(self, at_s: float) -> Turn:
        if self._quiet_at_s is None or at_s < self._quiet_at_s:
            return Turn()
        self._quiet_at_s = None
        return self._heard(at_s, self._lines.quiet())

    def _heard(self, at_s: float, messages: list[wire.Said | ReadGarbled | ReadTruncated]) -> Turn:
        return _joined(*(self._meaning(at_s, message) for message in messages))

    def _meaning(self, at_s: float, message: wire.Said | ReadGarbled | ReadTruncated) -> Turn:
        match message:
            case wire.Code(text, aim):
                return _joined(Turn((CodeSeen(text, aim),)), self._session.code_came(at_s))
            case wire.NoRead():
                return _joined(Turn((NothingRead(),)), self._session.nothing_came(at_s))
            case wire.Answer():
                turn = None if message.other else self._session.answered(at_s, message)
                return turn if turn is not None else _noise(f"{message.text}, which nobody asked for")
            case wire.Fault(code, detail):
                return Turn((DeviceFault(code, detail),))
            case wire.Command():
                return _noise(f"{message.text}, which only a host says")
            case ReadGarbled() | ReadTruncated():
                return Turn((message,))
            case _:
                assert_never(message)

    def _output(self, turn: Turn) -> Output:
        wakes = [at_s for at_s in (self._quiet_at_s, self._session.wake_at_s) if at_s is not None]
        return Output(turn.readings, turn.send, min(wakes, default=None))


def _noise(why: str) -> Turn:
    return Turn((ReadGarbled(b"", why),))


def _joined(*turns: Turn) -> Turn:
    readings: tuple[Reading, ...] = ()
    send = b""
    for turn in turns:
        readings += turn.readings
        send += turn.send
    return Turn(readings, send)
