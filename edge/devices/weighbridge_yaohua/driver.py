"""Yaohua indicator, continuous mode: renames frames to weights. Sends nothing, judges no stability."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from edge.devices.driver import NOTHING, Output
from edge.devices.readings import Order, OrderRefused, ReadGarbled, Reading, ReadTruncated, WeightSeen
from edge.devices.settings import setting
from edge.devices.weighbridge_yaohua import wire


@dataclass(frozen=True, slots=True)
class Settings:
    quiet_s: float = setting(0.2, "silence inside a frame after which it was cut off", least=0.001, most=10)
    unit: Literal["kg", "t"] = setting("kg", "unit the indicator displays; the frame does not say")


_KG_PER_UNIT = {"kg": Decimal(1), "t": Decimal(1000)}


class YaohuaDriver:
    """`WeightSeen.stable` is None: this format cannot say."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._cutter = wire.decoder()
        self._quiet_at_s: float | None = None

    def opened(self, at_s: float) -> Output:
        self._cutter.clear()
        self._quiet_at_s = None
        return NOTHING

    def received(self, at_s: float, data: bytes) -> Output:
        late = self._gone_quiet(at_s)
        readings = late + self._read(self._cutter.feed(data))
        if data:
            self._quiet_at_s = at_s + self._settings.quiet_s if self._cutter.holding else None
        return Output(tuple(readings), wake_at_s=self._quiet_at_s)

    def due(self, at_s: float) -> Output:
        return Output(tuple(self._gone_quiet(at_s)), wake_at_s=self._quiet_at_s)

    def order(self, at_s: float, order_id: str, order: Order) -> Output:
        return Output(
            (OrderRefused(order_id, f"a weighbridge takes no {type(order).__name__}"),),
            wake_at_s=self._quiet_at_s,
        )

    def _gone_quiet(self, at_s: float) -> list[Reading]:
        if self._quiet_at_s is None or at_s < self._quiet_at_s:
            return []
        self._quiet_at_s = None
        return self._read(self._cutter.quiet())

    def _read(self, messages: list[wire.Weight | ReadGarbled | ReadTruncated]) -> list[Reading]:
        factor = _KG_PER_UNIT[self._settings.unit]
        readings: list[Reading] = []
        for message in messages:
            match message:
                case wire.Weight():
                    readings.append(WeightSeen(message.value * factor, stable=None))
                case ReadGarbled() | ReadTruncated():
                    readings.append(message)
        return readings
