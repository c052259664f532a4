"""Yaohua XK3190-A12(E): renames frames to weights. Sends nothing, judges no stability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge.devices.weighbridge_yaohua_a12e import wire
from edge.devices.weighing import Displayed, WeighbridgeLine, quiet_time, spoken_unit


@dataclass(frozen=True, slots=True)
class Settings:
    quiet_s: float = quiet_time()
    unit: Literal["kg", "g", "t", "lb"] = spoken_unit()


def a12e_line(settings: Settings) -> WeighbridgeLine[wire.Message]:
    """`WeightSeen.stable` is None: this format cannot say. OL and LO are told as faults, once."""
    return WeighbridgeLine(wire.decoder(), _displayed, unit=settings.unit, quiet_s=settings.quiet_s)


def _displayed(message: wire.Message) -> Displayed:
    match message:
        case wire.Weight(kind, value):
            return Displayed(value, "kg", kind=kind)
        case wire.Beyond(what):
            return Displayed(None, beyond=what)
