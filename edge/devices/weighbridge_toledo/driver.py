"""Toledo-style indicator, continuous mode: renames frames to weights. Sends nothing."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from edge.devices.driver import NOTHING, Output
from edge.devices.readings import (
    DeviceFault,
    Order,
    OrderRefused,
    ReadGarbled,
    Reading,
    ReadTruncated,
    WeightSeen,
)
from edge.devices.settings import setting
from edge.devices.weighbridge_toledo import wire


@dataclass(frozen=True, slots=True)
class Settings:
    checksum: bool = setting(True, "the indicator sends CHK after the CR (18 bytes)")
    append_zeros: bool = setting(
        False,
        "codes XXXX00 and XXXXX0 leave the fixed zeros out: append them (default: digits are as displayed)",
    )
    quiet_s: float = setting(0.2, "silence inside a frame after which it was cut off", least=0.001, most=10)


_KG_PER_UNIT = {"kg": Decimal(1), "t": Decimal(1000), "g": Decimal("0.001")}


class ToledoDriver:
    """A frame that is no gross weight in a metric unit is a `DeviceFault` (told once per change), never a
    weight: a tared weighbridge does not say what stands on it.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        check = wire.Check.SENT if settings.checksum else wire.Check.NOT_SENT
        self._cutter = wire.decoder(check, append_zeros=settings.append_zeros)
        self._quiet_at_s: float | None = None
        self._fault: DeviceFault | None = None

    def opened(self, at_s: float) -> Output:
        self._cutter.clear()
        self._quiet_at_s = None
        self._fault = None
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
        readings: list[Reading] = []
        for message in messages:
            match message:
                case wire.Weight():
                    seen = _to_reading(message)
                    if isinstance(seen, WeightSeen):
                        self._fault = None
                        readings.append(seen)
                    elif seen != self._fault:
                        self._fault = seen
                        readings.append(seen)
                case ReadGarbled() | ReadTruncated():
                    readings.append(message)
        return readings


def _to_reading(weight: wire.Weight) -> WeightSeen | DeviceFault:
    if weight.power_up:
        return DeviceFault("power_up", "the indicator has just started and has no zero yet")
    if weight.unit not in _KG_PER_UNIT:
        return DeviceFault("unit_not_metric", f"the indicator displays {weight.unit}")
    if weight.net:
        return DeviceFault("net_mode", f"the indicator displays net, tare {weight.tare} {weight.unit}")
    if weight.value is None:
        return DeviceFault("blank_display", "the indicator sends no digits")
    return WeightSeen(
        weight.value * _KG_PER_UNIT[weight.unit], stable=not weight.motion, out_of_range=weight.out_of_range
    )
