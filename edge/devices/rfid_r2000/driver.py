"""R2000-style reader: polls, and tells the tags it answers with. An empty field is no reading."""

from __future__ import annotations

from dataclasses import dataclass

from edge.devices.driver import Output
from edge.devices.readings import Order, OrderRefused
from edge.devices.rfid_r2000.session import InventorySession, Timing, Turn
from edge.devices.settings import SettingError, SettingsRefused, setting


@dataclass(frozen=True, slots=True)
class Settings:
    address: int = setting(1, "the reader's address; 255 is any", least=0, most=255)
    antennas: tuple[int, ...] = setting((0,), "antennas to ask in turn, from 0", least=0, most=7)
    poll_s: float = setting(0.1, "rest between an inventory's end and the next", least=0, most=60)
    reply_timeout_s: float = setting(
        0.5, "silence after which a request counts as unanswered", least=0.01, most=60
    )
    silent_after: int = setting(3, "unanswered requests in a row until it is told once", least=1, most=1000)


class R2000Driver:
    """Faults told: `antenna_missing` and the reader's other codes, each once until it clears. Silence is no
    fault of its own telling: a garbled reading without bytes says so once, and the rest is absence.
    """

    def __init__(self, settings: Settings) -> None:
        """Raises `SettingsRefused` where no antenna is named."""
        if not settings.antennas:
            raise SettingsRefused((SettingError("antennas", "at least one antenna", "none"),))
        timing = Timing(settings.poll_s, settings.reply_timeout_s, settings.silent_after)
        self._session = InventorySession(timing, address=settings.address, antennas=settings.antennas)

    def opened(self, at_s: float) -> Output:
        return self._output(self._session.opened(at_s))

    def received(self, at_s: float, data: bytes) -> Output:
        return self._output(self._session.received(at_s, data))

    def due(self, at_s: float) -> Output:
        return self._output(self._session.due(at_s))

    def order(self, at_s: float, order_id: str, order: Order) -> Output:
        refused = OrderRefused(order_id, f"a tag reader takes no {type(order).__name__}")
        return Output((refused,), wake_at_s=self._session.wake_at_s)

    def _output(self, turn: Turn) -> Output:
        return Output(turn.readings, turn.send, self._session.wake_at_s, heard=turn.heard)
