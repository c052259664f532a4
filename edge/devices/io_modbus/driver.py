"""Modbus I/O board: tells its inputs, carries out relay orders. The board ends a pulse, never we.

A relay that must fall when this program dies is held by pulses that are renewed in time: a pulse of a running
pulse's relay starts its time again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, assert_never

from edge.devices.driver import Output
from edge.devices.io_modbus import wire
from edge.devices.io_modbus.session import BoardSession, Timing, Turn
from edge.devices.readings import (
    AnswerDeviceOrder,
    EnergiseOutput,
    Gather,
    Order,
    OrderDone,
    OrderRefused,
    PulseRelay,
    Reading,
    ReleaseOutput,
    SendPictures,
    SetRelay,
    ShowText,
    TriggerRead,
)
from edge.devices.settings import setting


@dataclass(frozen=True, slots=True)
class Settings:
    framing: Literal["rtu", "tcp"] = setting(
        "rtu", "rtu: serial lines and serial servers; tcp: Modbus TCP, with its own header"
    )
    unit_id: int = setting(1, "the board's Modbus address", least=1, most=247)
    inputs: int = setting(16, "digital inputs read with every poll", least=1, most=128)
    input_address: int = setting(0, "address of the first input", least=0, most=65535)
    relays: int = setting(8, "relays of the board, numbered from 0", least=1, most=32)
    relay_style: Literal["waveshare", "r421a08"] = setting("waveshare", "how the board takes relay orders")
    relay_unit_id: int = setting(
        0, "Modbus address of a relay board of its own on the same line; 0: inputs and relays are one board",
        least=0, most=247,
    )  # fmt: skip
    relay_check_s: float = setting(
        1.0, "how often a relay board of its own is asked whether it is there; 0: never", least=0, most=3600
    )
    poll_s: float = setting(0.05, "rest between an answer and the next poll", least=0, most=60)
    reply_timeout_s: float = setting(
        0.2, "silence after which a request counts as unanswered", least=0.005, most=10
    )
    settle_s: float = setting(
        0.05, "stillness asked of the line after an unanswered request", least=0, most=10
    )
    retries: int = setting(2, "how often an unanswered order is sent again", least=0, most=20)
    silent_after: int = setting(3, "unanswered requests in a row until it is told once", least=1, most=1000)


class ModbusDriver:
    """Faults told: the board's exceptions to polling, each once until it clears. Silence is no fault of its
    own telling: a garbled reading without bytes says so once, and the rest is absence.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        timing = Timing(
            settings.poll_s,
            settings.reply_timeout_s,
            settings.settle_s,
            settings.retries,
            settings.silent_after,
            settings.relay_check_s,
        )
        own = settings.relay_unit_id not in (0, settings.unit_id)
        self._relay_unit = settings.relay_unit_id if own else settings.unit_id
        poll = wire.ReadRequest(settings.unit_id, wire.READ_INPUTS, settings.input_address, settings.inputs)
        check = wire.relay_states(settings.relay_style, self._relay_unit, settings.relays) if own else None
        self._session = BoardSession(timing, poll, check, settings.framing)
        self._timed: set[int] = set()
        """Relays that were given a pulse since they were last opened."""

    def opened(self, at_s: float) -> Output:
        return self._output(self._session.opened(at_s))

    def received(self, at_s: float, data: bytes) -> Output:
        return self._output(self._session.received(at_s, data))

    def due(self, at_s: float) -> Output:
        return self._output(self._session.due(at_s))

    def order(self, at_s: float, order_id: str, order: Order) -> Output:
        request = self._request(order)
        if isinstance(request, str):
            return Output((OrderRefused(order_id, request),), wake_at_s=self._session.wake_at_s)
        match order:
            case PulseRelay(channel):
                self._timed.add(channel)
            case SetRelay(channel, on=False) if channel in self._timed:
                self._timed.discard(channel)
                ending = wire.end_of_pulse(self._settings.relay_style, self._relay_unit, channel)
                if ending is not None:
                    # A board that does not know it refuses it, and obeys the order behind it.
                    first = self._session.order(at_s, f"{_ENDING}{order_id}", ending)
                    second = self._session.order(at_s, order_id, request)
                    return self._output(Turn(first.readings + second.readings, first.send + second.send))
            case _:
                pass
        return self._output(self._session.order(at_s, order_id, request))

    def _request(self, order: Order) -> wire.WriteOne | str:
        """The bytes' meaning, or why it cannot be done."""
        unit, style = self._relay_unit, self._settings.relay_style
        match order:
            case PulseRelay(channel, duration_s):
                longest_s = wire.longest_pulse_s(style)
                if not 0 < duration_s <= longest_s:
                    return f"a pulse of {duration_s:g} s: above 0, at most {longest_s:g} s"
                request = wire.pulse(style, unit, channel, duration_s)
            case SetRelay(channel, on):
                request = wire.switch(style, unit, channel, on=on)
            case (
                ShowText()
                | TriggerRead()
                | Gather()
                | SendPictures()
                | AnswerDeviceOrder()
                | EnergiseOutput()
                | ReleaseOutput()
            ):
                return f"an I/O board takes no {type(order).__name__}"
            case _:
                assert_never(order)
        if not 0 <= channel < self._settings.relays:
            return f"relay {channel}: the board has 0 to {self._settings.relays - 1}"
        return request

    def _output(self, turn: Turn) -> Output:
        readings = tuple(each for each in turn.readings if not _is_own(each))
        return Output(readings, turn.send, self._session.wake_at_s)


_ENDING = "end of pulse, then "


def _is_own(reading: Reading) -> bool:
    """The answer to an order that nobody but this driver gave."""
    return isinstance(reading, OrderDone | OrderRefused) and reading.order_id.startswith(_ENDING)
