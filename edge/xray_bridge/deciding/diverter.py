"""The pulse, X2: "pass" is one energised pulse per parcel; unpowered, silent or late means recheck."""

from __future__ import annotations

from edge.runtime.values import replace
from edge.xray_bridge.association import at_eye
from edge.xray_bridge.deciding.judging import decided, not_to_pass, overdue
from edge.xray_bridge.deciding.portal import added, expected_at, inserted, opened
from edge.xray_bridge.deciding.state import (
    Acts,
    Parcel,
    Station,
    parcel_of,
    put,
    surplus,
)
from edge.xray_bridge.deciding.telling import alarm, commit
from edge.xray_bridge.effects import Pulse
from edge.xray_bridge.values import Association, Chute, Verdict
from sync.vocabulary.facts import AlarmCode
from sync.vocabulary.xray_facts import DivertOrdered
from sync.vocabulary.xray_reasons import Because, XRayReason


def at_diverter(station: Station, at_s: float, edge_mm: float, sight_s: float) -> tuple[Station, Acts]:
    """X2: one pulse for one parcel, when its own leading edge is here. Every doubt means none.

    `sight_s`: when the edge was seen, which may be before it was told."""
    settings = station.settings
    at = at_eye(settings.windows.diverter_mm, expected_at(station, settings.layout.diverter_mm), edge_mm)
    parcel = parcel_of(station, at.number) if at.number is not None else None
    if parcel is None:
        return _nobody_for_certain(station, at_s, edge_mm, at.candidates)
    if parcel.diverter_mm is not None:
        # The belt ran back: it has been here before, and had its pulse or not.
        return station, []
    off_mm = at.off_mm if at.off_mm is not None else 0.0
    parcel = replace(parcel, diverter_mm=edge_mm, off_mm=parcel.off_mm + off_mm)
    station = put(station, parcel)
    return _led(station, at_s, parcel, edge_mm, off_mm, sight_s)


def _led(
    station: Station, at_s: float, parcel: Parcel, edge_mm: float, off_mm: float, sight_s: float
) -> tuple[Station, Acts]:
    effects: Acts = []
    if parcel.verdict is None:
        station, effects = overdue(station, at_s, parcel)
        parcel = parcel_of(station, parcel.number) or parcel
    chute = _chute_of(station, parcel)
    if chute is Chute.RECHECK:
        return station, effects
    against = _against(station, at_s, parcel, chute)
    if against is not None:
        station, more = not_to_pass(station, at_s, parcel.number, against)
        return station, effects + more
    ordered = DivertOrdered(
        parcel=parcel.number,
        waybill_no=parcel.waybill_no,
        chute=chute.value,
        belt_mm=edge_mm,
        off_mm=off_mm,
    )
    station = put(station, replace(parcel, ordered=chute))
    pulse = Pulse(chute, parcel.number, sight_s + station.settings.pulse_within_s)
    return station, [*effects, commit(ordered), pulse]


def not_pulsed(station: Station, at_s: float, number: int) -> tuple[Station, Acts]:
    """X2: what was not sent is recheck, and the record says so."""
    parcel = parcel_of(station, number)
    if parcel is None:
        return station, []
    station = put(station, replace(parcel, ordered=None))
    return not_to_pass(station, at_s, number, Because(XRayReason.NOT_PULSED))


def _chute_of(station: Station, parcel: Parcel) -> Chute:
    """Where its verdict sends it."""
    match parcel.verdict:
        case Verdict.PASSED:
            return Chute.PASS
        case Verdict.FLAGGED if station.settings.layout.has_flag_chute:
            return Chute.FLAG
        case _:
            return Chute.RECHECK


def _against(station: Station, at_s: float, parcel: Parcel, chute: Chute) -> Because | None:
    """Why nothing is energised for it, whatever its verdict; None only if nothing speaks against it."""
    belt = station.belt
    if station.closed or station.fault:
        return Because(XRayReason.CLOSED, station.closed or station.fault)
    if station.clearing:
        return Because(XRayReason.CLEARING)
    if not station.journal_ok or station.unwritten:
        return Because(XRayReason.NOT_RECORDED)
    if belt is None or station.belt_mm is None or at_s - station.belt_s > station.settings.belt_stale_s:
        return Because(XRayReason.BELT_UNKNOWN)
    if belt.emergency is not False:
        return Because(XRayReason.EMERGENCY)
    if belt.running is not True:
        return Because(XRayReason.BELT_STOPPED)
    if belt.forward is not True or station.going_back:
        return Because(XRayReason.BELT_REVERSED)
    if parcel.doubt is not None:
        return parcel.doubt
    if parcel.association is not Association.MATCHED:
        return Because(XRayReason.UNMATCHED)
    if surplus(parcel):
        return Because(XRayReason.WAYBILL_TWICE)
    if _held_up_before(station, parcel):
        return Because(XRayReason.TWO_AT_DIVERTER)
    return _neighbours(station, parcel, chute)


def _held_up_before(station: Station, parcel: Parcel) -> bool:
    """One that should have been here before and was not seen: this may be it, held up."""
    place_mm = parcel.leading_mm + parcel.off_mm
    return any(
        other.diverter_mm is None
        and 0.0 < place_mm - other.leading_mm - other.off_mm <= station.settings.windows.slip_mm
        for other in station.parcels
    )


def _neighbours(station: Station, parcel: Parcel, chute: Chute) -> Because | None:
    """What lies so near goes along: only if it goes there anyway."""
    settings = station.settings
    gap_mm = settings.divert_gap_mm
    pulse_mm = max(station.speed_mm_s, station.top_mm_s) * (settings.divert_s + settings.pulse_within_s)
    leading_mm, trailing_mm = parcel.leading_mm + parcel.off_mm, parcel.end_mm() + parcel.off_mm
    for other in station.parcels:
        if other.number == parcel.number:
            continue
        before = leading_mm - other.end_mm() - other.off_mm
        behind = other.leading_mm + other.off_mm - trailing_mm
        during = 0.0 <= other.leading_mm + other.off_mm - leading_mm < pulse_mm
        if max(before, behind) >= gap_mm and not during:
            continue
        goes = other.ordered if other.diverter_mm is not None else _goes(station, other)
        if goes is not chute:
            return Because(XRayReason.NEIGHBOUR_ELSEWHERE, str(other.number))
    return None


def _goes(station: Station, parcel: Parcel) -> Chute:
    return Chute.RECHECK if parcel.doubt is not None else _chute_of(station, parcel)


def _nobody_for_certain(
    station: Station, at_s: float, edge_mm: float, candidates: tuple[int, ...]
) -> tuple[Station, Acts]:
    """An edge that is not certainly one parcel's moves nothing. Who it most likely was is only booked."""
    effects: Acts = []
    why = Because(XRayReason.TWO_AT_DIVERTER if len(candidates) > 1 else XRayReason.NOT_AT_DIVERTER)
    for number in candidates:
        station, more = not_to_pass(station, at_s, number, why)
        effects += more
    settings = station.settings
    place_mm = edge_mm - settings.layout.diverter_mm
    if _seen_again(station, edge_mm):
        return station, effects
    likely = [
        p
        for p in station.parcels
        if p.diverter_mm is None
        and p.leading_mm + p.off_mm - settings.windows.diverter_mm <= place_mm
        and place_mm <= p.leading_mm + p.off_mm + settings.gone_mm
    ]
    if likely:
        parcel = min(likely, key=lambda p: abs(p.leading_mm + p.off_mm - place_mm))
        station, more = not_to_pass(station, at_s, parcel.number, why)
        effects += more
        parcel = parcel_of(station, parcel.number) or parcel
        slipped_mm = place_mm - parcel.leading_mm
        station = put(station, replace(parcel, diverter_mm=edge_mm, off_mm=slipped_mm))
        return station, effects
    if station.clearing and station.leftover > 0:
        return replace(station, leftover=station.leftover - 1), effects
    station, parcel = opened(station, at_s, place_mm, "diverter")
    parcel = replace(
        parcel, trailing_mm=place_mm, settled=True, looked_up=True, read="no_read", diverter_mm=edge_mm
    )
    station, more = added(inserted(station, parcel), parcel)
    effects += more
    reasons = (Because(XRayReason.ADDED), Because(XRayReason.NO_PICTURE))
    station, more = decided(station, at_s, parcel, Verdict.RECHECK, "default", reasons)
    return station, effects + more


def _seen_again(station: Station, edge_mm: float) -> bool:
    """An edge of one that was here before: the leading one, and on a belt that runs back the trailing one."""
    near_mm = station.settings.windows.diverter_mm
    return any(
        abs(parcel.diverter_mm - edge_mm) <= near_mm
        or (station.going_back and abs(parcel.diverter_mm + parcel.length_mm() - edge_mm) <= near_mm)
        for parcel in station.parcels
        if parcel.diverter_mm is not None
    )


def behind_diverter(station: Station, edge_mm: float) -> tuple[Station, Acts]:
    """The trailing edge: one that is longer than it was hides another, which may have gone along."""
    here = [p for p in station.parcels if p.diverter_mm is not None]
    if not here or station.going_back:
        return station, []
    parcel = max(here, key=lambda p: p.diverter_mm or 0.0)
    if parcel.entered == "diverter" and parcel.diverter_mm is not None:
        length_mm = edge_mm - parcel.diverter_mm
        return put(station, replace(parcel, trailing_mm=parcel.leading_mm + max(0.0, length_mm))), []
    length_mm = edge_mm - (parcel.diverter_mm or 0.0)
    longer_mm = length_mm - parcel.length_mm()
    if parcel.ordered is None or longer_mm <= station.settings.windows.length_mm:
        return station, []
    expected = [p for p in station.parcels if p.diverter_mm is None and _goes(station, p) is parcel.ordered]
    if any(p.leading_mm + p.off_mm + station.settings.layout.diverter_mm < edge_mm for p in expected):
        return station, []
    detail = f"parcel {parcel.number}: {longer_mm:.0f} mm longer at the diverter"
    return station, [
        alarm(
            AlarmCode.PARCEL_ADDED,
            detail,
            "分拣口包裹变长，可能有包裹随行",
            "Longer at the diverter: another parcel may have gone along",
        )
    ]
