"""MT-SICS indicator: asks for its weight and tells it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge.devices.driver import Output
from edge.devices.readings import Order
from edge.devices.settings import setting
from edge.devices.weighbridge_mt_sics.session import Timing, Turn, WeightSession
from edge.devices.weighing import no_order, spoken_unit


@dataclass(frozen=True, slots=True)
class Settings:
    request: Literal["SI", "SIR"] = setting(
        "SI", "SI asks every weight, SIR once: the indicator then sends by itself"
    )
    poll_s: float = setting(0.1, "with SI: rest between an answer and the next question", least=0, most=60)
    reply_timeout_s: float = setting(
        0.5, "silence after which a question counts as unanswered", least=0.01, most=60
    )
    silent_after: int = setting(3, "unanswered questions in a row until it is told once", least=1, most=1000)
    unit: Literal["kg", "g", "t", "lb"] = spoken_unit()


class MtSicsDriver:
    """`WeightSeen.kind` is None: a line does not say whether a tare is set. Over- and under-load, error
    answers and a restart of the indicator are told as faults, once.
    """

    def __init__(self, settings: Settings) -> None:
        self._session = WeightSession(
            Timing(settings.poll_s, settings.reply_timeout_s, settings.silent_after),
            repeated=settings.request == "SIR",
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
