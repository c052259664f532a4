"""An edge at an eye, for the room that decides what it means."""

from __future__ import annotations

from typing import assert_never

from edge.runtime.values import replace
from edge.xray_bridge.deciding.belt import belt_unknown
from edge.xray_bridge.deciding.chutes import in_chute
from edge.xray_bridge.deciding.diverter import at_diverter, behind_diverter
from edge.xray_bridge.deciding.portal import at_portal, at_xray
from edge.xray_bridge.deciding.state import SAME_PLACE_MM, Acts, Station
from edge.xray_bridge.events import EyeSeen
from edge.xray_bridge.values import Eye


def eye_seen(station: Station, at_s: float, seen: EyeSeen) -> tuple[Station, Acts]:
    effects: Acts = []
    if seen.belt_mm is None or seen.origin != station.origin or station.belt_mm is None:
        # An edge without a place is nobody's.
        return belt_unknown(station, f"{seen.eye.value} without a position")
    edge_mm = seen.belt_mm - seen.within_mm / 2
    old = seen.belt_mm < station.far_mm - SAME_PLACE_MM
    station = replace(station, far_mm=max(station.far_mm, seen.belt_mm))
    blocked = {eye: mm for eye, mm in station.blocked.items() if eye is not seen.eye}
    if seen.blocked:
        blocked[seen.eye] = edge_mm
    station = replace(station, blocked=blocked, jammed=station.jammed - {seen.eye})
    match seen.eye:
        case Eye.PORTAL:
            return at_portal(station, at_s, seen.blocked, edge_mm, old=old)
        case Eye.XRAY:
            return at_xray(station, seen.blocked, edge_mm), effects
        case Eye.DIVERTER:
            if seen.blocked:
                return at_diverter(station, at_s, edge_mm, at_s - seen.ago_s)
            return behind_diverter(station, edge_mm)
        case Eye.PASS_CHUTE | Eye.FLAG_CHUTE | Eye.RECHECK_CHUTE:
            return in_chute(station, at_s, seen.eye, edge_mm) if seen.blocked else (station, effects)
        case _:
            assert_never(seen.eye)
