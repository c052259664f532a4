"""Device readings and reports -> station events. Renames and drops; decides nothing.

Pictures, and what tells where they lie, go to `pictures` first: the station is told when one is in memory.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, assert_never

from edge.devices.readings import (
    BeltSeen,
    BeltUnknown,
    CardSeen,
    CodeSeen,
    ContainerSeen,
    DeviceFault,
    EyeEdge,
    InputsSeen,
    NothingRead,
    OrderDone,
    OrderRefused,
    PictureSeen,
    PlateSeen,
    PlatformCommand,
    PlatformDeviceOrder,
    ReadGarbled,
    Reading,
    ReadTruncated,
    TagSeen,
    WeightSeen,
    XrayPictureFailed,
    XrayPictureSeen,
    XrayStateSeen,
)
from edge.reading.scans import symbology_of_aim
from edge.runtime.supervisor import DeviceReport, DeviceSilent, DeviceSpeaking, PortBack, PortLost
from edge.xray_bridge import events
from edge.xray_bridge.events import BeltRead, CodeRead, DeviceBack, DeviceLost, Event, EyeSeen
from edge.xray_bridge.values import Eye

MOST_CODE: Final = 200
"""Longer texts are no waybill's."""
PULSE: Final = re.compile(r"(?:pass|flag)-(?P<parcel>[1-9]\d{0,17})")
"""The name of an order for the diverter: the performer's own."""
PORTALS: Final = frozenset({"portal", "portal_second"})


def is_valid(reading: Reading) -> bool:
    """It shows that the device speaks: not cut off, not garbled, not an order that found no answer."""
    return not isinstance(reading, ReadTruncated | ReadGarbled | OrderRefused)


MACHINE_FRESH_S: Final = 3.0
"""It says its state every second: what it said before is no word on an emergency stop now."""
FRESH_S: Final = 0.5
"""A look at the belt that is older says nothing of where it stands now."""


@dataclass(frozen=True, slots=True)
class _Look:
    at_s: float
    belt_mm: float
    speed_mm_s: float


class Translator:
    """One for a station; used by the ports' threads, each with its own device."""

    def __init__(self) -> None:
        self._look: _Look | None = None
        self._machine: XrayStateSeen | None = None
        self._machine_s = 0.0

    def belt_mm(self, at_s: float) -> float | None:
        """Where the belt stood then; None where nobody knows."""
        look = self._look
        if look is None or not -FRESH_S <= at_s - look.at_s <= FRESH_S:
            return None
        return look.belt_mm + look.speed_mm_s * (at_s - look.at_s)

    def _belt(self, at_s: float, seen: BeltSeen) -> BeltRead:
        """What the board has no wire for, the machine may say."""
        self._look = _Look(at_s, seen.belt_mm, seen.speed_mm_s)
        machine = self._machine
        if machine is not None and at_s - self._machine_s > MACHINE_FRESH_S:
            machine = None
        source_on, emergency = seen.source_on, seen.emergency_stop
        if machine is not None:
            source_on = machine.source_on if source_on is None else source_on
            emergency = machine.emergency_stop if emergency is None else machine.emergency_stop or emergency
        return BeltRead(
            seen.belt_mm,
            running=seen.running,
            forward=seen.forward,
            source_on=source_on,
            emergency=emergency,
            feeding=seen.feed_running,
            origin=seen.origin,
        )

    def to_event(self, at_s: float, device: str, reading: Reading) -> Event | None:
        match reading:
            case BeltSeen():
                return self._belt(at_s, reading)
            case BeltUnknown():
                self._look = None
                return BeltRead(None)
            case EyeEdge(eye, blocked, belt_mm, within_mm, origin, ago_s):
                return EyeSeen(Eye(eye), blocked, belt_mm, within_mm, origin, ago_s)
            case CodeSeen(text, aim):
                return CodeRead(text.strip()[:MOST_CODE], self.belt_mm(at_s), symbology_of_aim(aim))
            case NothingRead():
                return events.NothingRead(self.belt_mm(at_s), "nothing read")
            case ReadTruncated(raw) if device in PORTALS:
                return events.NothingRead(self.belt_mm(at_s), f"cut off after {len(raw)} bytes")
            case ReadGarbled(_, why) if device in PORTALS:
                return events.NothingRead(self.belt_mm(at_s), why[:200])
            case XrayStateSeen():
                self._machine_s = at_s
                self._machine = reading
                return None
            case XrayPictureSeen() | XrayPictureFailed():
                # By way of the pictures' room.
                return None
            case OrderRefused(order_id, _, True) if (pulse := PULSE.fullmatch(order_id)) is not None:
                return events.NotPulsed(int(pulse["parcel"]))
            case ReadTruncated() | ReadGarbled() | DeviceFault() | OrderDone() | OrderRefused():
                return None
            case (
                WeightSeen()
                | TagSeen()
                | PlateSeen()
                | PictureSeen()
                | CardSeen()
                | ContainerSeen()
                | PlatformCommand()
                | PlatformDeviceOrder()
                | InputsSeen()
            ):
                # A lane's device: the config lets none of them be named here.
                return None
            case _:
                assert_never(reading)


def to_report(report: DeviceReport) -> Event | None:
    match report:
        case PortLost(device, why):
            return DeviceLost(device, why[:200])
        case DeviceSilent(device, silent_s):
            return DeviceLost(device, f"no valid reading for {silent_s:.1f} s")
        case DeviceSpeaking(device):
            return DeviceBack(device)
        case PortBack():
            return None
        case _:
            assert_never(report)
