"""Where the belt is and what it does: a counter that jumped, a belt nobody hears of, a jam."""

from __future__ import annotations

from edge.runtime.values import replace
from edge.xray_bridge.deciding.chutes import ended
from edge.xray_bridge.deciding.state import SAME_PLACE_MM, Acts, Station, all_in_doubt
from edge.xray_bridge.deciding.telling import alarm, commit
from edge.xray_bridge.effects import AskStop
from edge.xray_bridge.events import BeltRead
from sync.vocabulary.facts import AlarmCode
from sync.vocabulary.xray_facts import BeltChanged
from sync.vocabulary.xray_reasons import Because, XRayReason

_PACE_FORGOTTEN_MM = 20_000.0
"""After so much belt half of a pace is forgotten; standing forgets nothing."""


def belt_read(station: Station, at_s: float, read: BeltRead) -> tuple[Station, Acts]:
    if read.belt_mm is None:
        station = replace(station, belt=read, belt_s=at_s)
        return belt_unknown(station, "not known")
    if station.last_mm is not None and _jumped(station, at_s, read.origin, read.belt_mm):
        station, effects = _belt_lost(station, at_s, f"{station.last_mm:.0f} to {read.belt_mm:.0f} mm")
    else:
        effects = []
    before_mm, before_s = station.last_mm, station.last_s
    back_mm = station.far_mm - read.belt_mm
    far_mm = max(station.far_mm, read.belt_mm)
    speed = station.speed_mm_s
    if before_mm is not None and at_s > before_s:
        share = min(1.0, (at_s - before_s) / 0.5)
        speed += share * ((read.belt_mm - before_mm) / (at_s - before_s) - speed)
    moved_mm = abs(read.belt_mm - before_mm) if before_mm is not None else 0.0
    top = max(speed, station.top_mm_s * 0.5 ** (moved_mm / _PACE_FORGOTTEN_MM))
    station = replace(
        station,
        belt=read,
        belt_s=at_s,
        belt_mm=read.belt_mm,
        last_mm=read.belt_mm,
        last_s=at_s,
        far_mm=far_mm,
        origin=read.origin,
        speed_mm_s=speed,
        top_mm_s=top,
        going_back=read.forward is False or back_mm > SAME_PLACE_MM,
    )
    if station.clearing and station.clear_at_mm is None:
        layout, longest_mm = station.settings.layout, station.settings.windows.longest_mm
        length_mm = layout.diverter_mm + layout.chute_mm + longest_mm
        station = replace(station, clear_at_mm=read.belt_mm + length_mm)
    if station.clear_at_mm is not None and far_mm >= station.clear_at_mm:
        station = replace(station, clear_at_mm=None, clearing=False, leftover=0)
    station, more = _belt_state(station)
    effects += more
    station, more = _jams(station)
    return station, effects + more


def _jumped(station: Station, at_s: float, origin: int, belt_mm: float) -> bool:
    """S7 of a position: a counter that was lost, or moves as no belt does, is no position."""
    if origin != station.origin:
        return True
    assert station.last_mm is not None  # noqa: S101  the caller asked
    allowed_mm = station.settings.max_speed_mm_s * max(0.0, at_s - station.last_s) + 2 * SAME_PLACE_MM
    return abs(belt_mm - station.last_mm) > allowed_mm


def belt_unknown(station: Station, why: str) -> tuple[Station, Acts]:
    """An edge may be missed now: what lies on the belt passes no more."""
    if station.belt_mm is None and station.state_told == "unknown":
        return station, []
    station = replace(station, belt_mm=None, blocked={}, jammed=frozenset(), state_told="unknown")
    station, effects = all_in_doubt(station, Because(XRayReason.BELT_UNKNOWN))
    changed = BeltChanged(state="unknown", detail=why)
    return station, [commit(changed), *effects]


def _belt_lost(station: Station, at_s: float, why: str) -> tuple[Station, Acts]:
    """Positions before and after cannot be compared: nobody knows any more where any parcel is. As after a
    restart, the belt has to be cleared."""
    effects: Acts = [commit(BeltChanged(state="unknown", detail=f"position jumped: {why}"))]
    effects.append(alarm(AlarmCode.BELT_FAULT, why, "皮带位置跳变", "The belt's position jumped"))
    leftover = len(station.parcels)
    for parcel in station.parcels:
        station, more = ended(station, at_s, parcel, "", XRayReason.BELT_UNKNOWN)
        effects += more
    station = replace(
        station,
        over=(),
        codes=(),
        blocked={},
        jammed=frozenset(),
        chute_mm={},
        far_mm=float("-inf"),
        clearing=True,
        clear_at_mm=None,
        leftover=leftover,
    )
    return station, effects


def _belt_state(station: Station) -> tuple[Station, Acts]:
    """What it does is told when it changes."""
    belt = station.belt
    if belt is None:
        return station, []
    if belt.emergency:
        state = "emergency"
    elif belt.running is None or belt.forward is None:
        state = "unknown"
    elif belt.running and station.going_back and not belt.forward:
        state = "reversed"
    elif belt.running:
        state = "running"
    else:
        state = "stopped"
    if state == station.state_told:
        return station, []
    station = replace(station, state_told=state)
    effects: Acts = [commit(BeltChanged(state=state, belt_mm=belt.belt_mm))]
    if state == "emergency":
        effects.append(alarm(AlarmCode.BELT_FAULT, state, "急停", "Emergency stop"))
    return station, effects


def _jams(station: Station) -> tuple[Station, Acts]:
    """An eye that is cut for longer than any parcel: they pile up, or lie over one another."""
    belt_mm = station.belt_mm
    if belt_mm is None or not station.blocked:
        return station, []
    longest_mm = station.settings.windows.longest_mm
    stuck = [eye for eye, since_mm in station.blocked.items() if belt_mm - since_mm > longest_mm]
    new = [eye for eye in stuck if eye not in station.jammed]
    if not new:
        return station, []
    station = replace(station, jammed=station.jammed | frozenset(new))
    station, effects = all_in_doubt(station, Because(XRayReason.JAM, new[0].value))
    where = ", ".join(eye.value for eye in new)
    return station, [
        AskStop(f"jam: {where}"),
        commit(BeltChanged(state="jam", belt_mm=belt_mm, detail=where)),
        alarm(AlarmCode.BELT_FAULT, where, f"卡包：{where}", f"Jam: {where}"),
        *effects,
    ]
