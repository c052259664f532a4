"""Yaohua indicator in command mode: asks for the gross weight and tells it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge.devices.driver import Output
from edge.devices.readings import Order
from edge.devices.settings import SettingError, SettingsRefused, setting
from edge.devices.weighbridge_yaohua_command.session import GrossSession, Timing, Turn
from edge.devices.weighing import no_order, silent_unit


@dataclass(frozen=True, slots=True)
class Settings:
    address: str = setting("A", "the indicator's address, one letter A to Z", least=1, most=1)
    handshake: bool = setting(True, "begin with a handshake")
    poll_s: float = setting(0.1, "rest between an answer and the next question", least=0, most=60)
    reply_timeout_s: float = setting(
        0.3, "silence after which a question counts as unanswered", least=0.01, most=60
    )
    silent_after: int = setting(3, "unanswered questions in a row until it is told once", least=1, most=1000)
    unit: Literal["kg", "g", "t", "lb"] = silent_unit()


class YaohuaCommandDriver:
    """Every weight is gross, whatever was tared; `WeightSeen.stable` is None: this format cannot say."""

    def __init__(self, settings: Settings) -> None:
        """Raises `SettingsRefused` where the address is no capital letter."""
        if not "A" <= settings.address <= "Z":
            raise SettingsRefused((SettingError("address", "one letter A to Z", repr(settings.address)),))
        self._session = GrossSession(
            Timing(settings.poll_s, settings.reply_timeout_s, settings.silent_after),
            address=settings.address,
            handshake=settings.handshake,
            unit=settings.unit,
        )

    def opened(self, at_s: float) -> Output:
        return self._output(self._session.opened(at_s))

    def received(self, at_s: float, data: bytes) -> Output:
        return self._output(self._session.received(at_s, data))

    def due(self, at_s: float) -> Output:
        return self._output(self._session.due(at_s))

    def order(self, at_s: float, order_id: str, order: Order) -> Output:
        return Output((no_order(order_id, order),), wake_at_s=self._session.wake_at_s)

    def _output(self, turn: Turn) -> Output:
        return Output(turn.readings, turn.send, self._session.wake_at_s, heard=turn.heard)
