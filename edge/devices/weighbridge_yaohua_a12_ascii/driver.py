"""Yaohua XK3190-A12, ASCII lines: renames them to weights. Sends nothing, judges no stability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge.devices.weighbridge_yaohua_a12_ascii import wire
from edge.devices.weighing import Displayed, WeighbridgeLine, quiet_time, spoken_unit


@dataclass(frozen=True, slots=True)
class Settings:
    quiet_s: float = quiet_time()
    unit: Literal["kg", "g", "t", "lb"] = spoken_unit()


def a12_ascii_line(settings: Settings) -> WeighbridgeLine[wire.Weight]:
    """`WeightSeen.stable` is None: this format cannot say. A tare line is no weight and gives no reading."""
    return WeighbridgeLine(wire.decoder(), _displayed, unit=settings.unit, quiet_s=settings.quiet_s)


def _displayed(weight: wire.Weight) -> Displayed:
    return Displayed(weight.value, weight.unit, kind=weight.kind, shape=weight.decimals)
