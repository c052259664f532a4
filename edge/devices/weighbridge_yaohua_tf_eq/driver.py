"""Yaohua indicator, continuous mode tF "=": renames frames to weights. Sends nothing, judges no stability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge.devices.settings import setting
from edge.devices.weighbridge_yaohua_tf_eq import wire
from edge.devices.weighing import Displayed, WeighbridgeLine, quiet_time, silent_unit


@dataclass(frozen=True, slots=True)
class Settings:
    digits: Literal["by_shape", "reversed", "forward"] = setting(
        "by_shape",
        "order of the digits: format 1 is reversed, 2 forward; by_shape refuses what reads as two weights",
    )
    quiet_s: float = quiet_time()
    unit: Literal["kg", "g", "t", "lb"] = silent_unit()


def tf_eq_line(settings: Settings) -> WeighbridgeLine[wire.Weight]:
    """`WeightSeen.stable` and `kind` are None: this format cannot say. A weight is told when the next frame
    or silence follows it.
    """
    cutter = wire.decoder(wire.Digits(settings.digits))
    return WeighbridgeLine(cutter, _displayed, unit=settings.unit, quiet_s=settings.quiet_s, doubted=True)


def _displayed(weight: wire.Weight) -> Displayed:
    return Displayed(weight.value, shape=weight.point)
