"""Which parcels there are: each is an interval cut out of the portal's eye, or was put on behind it."""

from __future__ import annotations

from edge.runtime.values import replace
from edge.xray_bridge.association import Expected, Near, Windows, at_eye
from edge.xray_bridge.deciding.state import Acts, Parcel, Station, parcel_of, put
from edge.xray_bridge.deciding.telling import alarm, commit, parcel_seen
from edge.xray_bridge.effects import TriggerPortal
from sync.vocabulary.facts import AlarmCode
from sync.vocabulary.xray_reasons import Because, XRayReason


def at_portal(
    station: Station, at_s: float, blocked: bool, edge_mm: float, *, old: bool
) -> tuple[Station, Acts]:
    windows = station.settings.windows
    last = _last_of_portal(station)
    if old or station.going_back:
        # The belt ran back: what is seen again is no other parcel (no re-trigger).
        known = [p for p in station.parcels if p.entered == "portal" and _edge_near(p, edge_mm, windows)]
        if known or not blocked:
            return station, []
        station, parcel = opened(station, at_s, edge_mm, "portal")
        parcel = replace(parcel, doubt=Because(XRayReason.BELT_REVERSED))
        return inserted(station, parcel), [TriggerPortal(True)]
    if not blocked:
        if last is None or last.trailing_mm is not None:
            return station, []
        if edge_mm - last.leading_mm < windows.shortest_mm:
            gone = tuple(p for p in station.parcels if p.number != last.number)
            return replace(station, parcels=gone, wedge_next=station.wedge_next or last.wedge), []
        return put(station, replace(last, trailing_mm=edge_mm)), []
    if last is not None and last.trailing_mm is None:
        return station, []
    gap_mm = edge_mm - last.end_mm() if last is not None else float("inf")
    close = gap_mm < windows.least_gap_mm
    if close and last is not None and windows.near is Near.COMPOSE and not last.settled:
        return put(station, replace(last, trailing_mm=None, composed=True)), []
    station, parcel = opened(station, at_s, edge_mm, "portal")
    if close and last is not None and windows.near is Near.DISCARD:
        parcel = replace(parcel, too_close=True)
        station = put(station, replace(last, too_close=True))
    return inserted(station, parcel), [TriggerPortal(True)]


def _edge_near(parcel: Parcel, edge_mm: float, windows: Windows) -> bool:
    near_mm = windows.window_mm / 2
    return abs(edge_mm - parcel.leading_mm) <= near_mm or abs(edge_mm - parcel.end_mm()) <= near_mm


def _last_of_portal(station: Station) -> Parcel | None:
    for parcel in reversed(station.parcels):
        if parcel.entered == "portal":
            return parcel
    return None


def opened(station: Station, at_s: float, leading_mm: float, entered: str) -> tuple[Station, Parcel]:
    wedge = station.wedge_next and entered == "portal"
    parcel = Parcel(
        number=station.next_parcel,
        leading_mm=leading_mm,
        entered=entered,
        wedge=wedge,
        wedge_asked=wedge,
        seen_s=at_s,
    )
    station = replace(
        station, next_parcel=station.next_parcel + 1, wedge_next=station.wedge_next and not wedge
    )
    return station, parcel


def inserted(station: Station, parcel: Parcel) -> Station:
    """At its place: usually the last."""
    before = [p for p in station.parcels if p.leading_mm <= parcel.leading_mm]
    behind = [p for p in station.parcels if p.leading_mm > parcel.leading_mm]
    return replace(station, parcels=(*before, parcel, *behind))


def added(station: Station, parcel: Parcel) -> tuple[Station, Acts]:
    where = parcel.entered
    station = replace(station, counts=replace(station.counts, added=station.counts.added + 1))
    return station, [
        commit(parcel_seen(parcel)),
        alarm(
            AlarmCode.PARCEL_ADDED,
            f"parcel {parcel.number} at {where}",
            "皮带上多出一个未过条码门的包裹",
            "A parcel was put on the belt behind the portal",
        ),
    ]


def at_xray(station: Station, blocked: bool, edge_mm: float) -> Station:
    """It was still there: a picture that does not come was lost, not the parcel."""
    if not blocked:
        return station
    at = at_eye(
        station.settings.windows.window_mm, expected_at(station, station.settings.layout.xray_mm), edge_mm
    )
    parcel = parcel_of(station, at.number) if at.number is not None else None
    return station if parcel is None else put(station, replace(parcel, seen_by_xray=True))


def expected_at(station: Station, place_mm: float) -> list[Expected]:
    return [
        Expected(p.number, p.leading_mm + p.off_mm + place_mm, p.end_mm() + p.off_mm + place_mm)
        for p in station.parcels
    ]
