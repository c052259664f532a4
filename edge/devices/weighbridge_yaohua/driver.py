"""Yaohua indicator, continuous mode: renames frames to weights. Sends nothing, judges no stability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge.devices.weighbridge_yaohua import wire
from edge.devices.weighing import Displayed, WeighbridgeLine, quiet_time, silent_unit


@dataclass(frozen=True, slots=True)
class Settings:
    quiet_s: float = quiet_time()
    unit: Literal["kg", "g", "t", "lb"] = silent_unit()


def yaohua_line(settings: Settings) -> WeighbridgeLine[wire.Weight]:
    """`WeightSeen.stable` and `kind` are None: this format cannot say."""
    return WeighbridgeLine(wire.decoder(), _displayed, unit=settings.unit, quiet_s=settings.quiet_s)


def _displayed(weight: wire.Weight) -> Displayed:
    return Displayed(weight.value)
