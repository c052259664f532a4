"""Toledo-style indicator, continuous mode: renames frames to weights. Sends nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge.devices.readings import DeviceFault
from edge.devices.settings import setting
from edge.devices.weighbridge_toledo import wire
from edge.devices.weighing import (
    OVERLOAD,
    UNDERLOAD,
    Displayed,
    WeighbridgeLine,
    quiet_time,
    spoken_unit,
)


@dataclass(frozen=True, slots=True)
class Settings:
    checksum: bool = setting(True, "the indicator sends CHK after the CR (18 bytes)")
    append_zeros: bool = setting(
        False,
        "codes XXXX00 and XXXXX0 leave the fixed zeros out: append them (default: digits are as displayed)",
    )
    unit: Literal["kg", "g", "t", "lb"] = spoken_unit()
    quiet_s: float = quiet_time()


def toledo_line(settings: Settings) -> WeighbridgeLine[wire.Weight]:
    """A net weight is told as net. What is no weight in the unit of the settings is a `DeviceFault`."""
    check = wire.Check.SENT if settings.checksum else wire.Check.NOT_SENT
    cutter = wire.decoder(check, append_zeros=settings.append_zeros)
    return WeighbridgeLine(cutter, _displayed, unit=settings.unit, quiet_s=settings.quiet_s)


def _displayed(weight: wire.Weight) -> Displayed | DeviceFault:
    if weight.power_up:
        return DeviceFault("power_up", "the indicator has just started and has no zero yet")
    beyond = UNDERLOAD if weight.negative else OVERLOAD
    return Displayed(
        weight.value,
        weight.unit,
        stable=not weight.motion,
        kind="net" if weight.net else "gross",
        beyond=beyond if weight.out_of_range else None,
    )
