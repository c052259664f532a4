"""Indicator that sends comma lines (`ST,GS,+…`): renames them to weights. Sends nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge.devices.weighbridge_st_gs import wire
from edge.devices.weighing import Displayed, WeighbridgeLine, quiet_time, spoken_unit


@dataclass(frozen=True, slots=True)
class Settings:
    quiet_s: float = quiet_time()
    unit: Literal["kg", "g", "t", "lb"] = spoken_unit()


def st_gs_line(settings: Settings) -> WeighbridgeLine[wire.Weight]:
    """OL is told as a fault, once. A tare line is no weight and gives no reading."""
    return WeighbridgeLine(wire.decoder(), _displayed, unit=settings.unit, quiet_s=settings.quiet_s)


def _displayed(weight: wire.Weight) -> Displayed:
    if weight.status == "overload" or weight.status == "underload":
        return Displayed(None, kind=weight.kind, beyond=weight.status)
    return Displayed(
        weight.value,
        weight.unit,
        stable=weight.status == "stable",
        kind=weight.kind,
        shape=(weight.length, weight.decimals),
    )
