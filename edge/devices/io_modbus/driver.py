"""Modbus I/O board: tells its inputs, carries out relay orders. The board ends a pulse, never we."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from edge.devices.driver import Output
from edge.devices.io_modbus import wire
from edge.devices.io_modbus.session import BoardSession, Timing, Turn
from edge.devices.readings import (
    AnswerDeviceOrder,
    Gather,
    Order,
    OrderRefused,
    PulseRelay,
    SendPictures,
    SetRelay,
    ShowText,
    TriggerRead,
)
from edge.devices.settings import setting


@dataclass(frozen=True, slots=True)
class Settings:
    unit_id: int = setting(1, "the board's Modbus address", least=1, most=247)
    inputs: int = setting(16, "digital inputs read with every poll", least=1, most=128)
    input_address: int = setting(0, "address of the first input", least=0, most=65535)
    relays: int = setting(8, "relays of the board, numbered from 0", least=1, most=32)
    poll_s: float = setting(0.05, "rest between an answer and the next poll", least=0, most=60)
    reply_timeout_s: float = setting(
        0.2, "silence after which a request counts as unanswered", least=0.005, most=10
    )
    settle_s: float = setting(
        0.05, "stillness asked of the line after an unanswered request", least=0, most=10
    )
    retries: int = setting(2, "how often an unanswered order is sent again", least=0, most=20)
    silent_after: int = setting(3, "unanswered requests in a row until it is told once", least=1, most=1000)


_LONGEST_PULSE_S = wire.FLASH_MOST * wire.FLASH_UNIT_S


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
        )
        poll = wire.ReadRequest(settings.unit_id, wire.READ_INPUTS, settings.input_address, settings.inputs)
        self._session = BoardSession(timing, poll)

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
        return self._output(self._session.order(at_s, order_id, request))

    def _request(self, order: Order) -> wire.WriteOne | str:
        """The bytes' meaning, or why it cannot be done."""
        unit = self._settings.unit_id
        match order:
            case PulseRelay(channel, duration_s):
                if not 0 < duration_s <= _LONGEST_PULSE_S:
                    return f"a pulse of {duration_s:g} s: above 0, at most {_LONGEST_PULSE_S:g} s"
                request = wire.WriteOne(
                    unit, wire.WRITE_COIL, wire.FLASH_ON + channel, wire.flash_units(duration_s)
                )
            case SetRelay(channel, on):
                request = wire.WriteOne(unit, wire.WRITE_COIL, channel, wire.ON if on else wire.OFF)
            case ShowText() | TriggerRead() | Gather() | SendPictures() | AnswerDeviceOrder():
                return f"an I/O board takes no {type(order).__name__}"
            case _:
                assert_never(order)
        if not 0 <= channel < self._settings.relays:
            return f"relay {channel}: the board has 0 to {self._settings.relays - 1}"
        return request

    def _output(self, turn: Turn) -> Output:
        return Output(turn.readings, turn.send, self._session.wake_at_s)
