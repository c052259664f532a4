"""What is due where the belt is now: codes settled, a verdict overdue, a parcel that did not come."""

from __future__ import annotations

from edge.runtime.values import replace
from edge.xray_bridge.deciding.chutes import due_in_chute, ended, forgotten
from edge.xray_bridge.deciding.codes import settled
from edge.xray_bridge.deciding.judging import not_to_pass, overdue
from edge.xray_bridge.deciding.state import SAME_PLACE_MM, Acts, Parcel, Station, parcel_of
from edge.xray_bridge.deciding.telling import alarm, commit
from edge.xray_bridge.values import Eye, Verdict
from sync.vocabulary.facts import AlarmCode
from sync.vocabulary.xray_facts import ParcelGone
from sync.vocabulary.xray_reasons import Because, XRayReason


def deadline_mm(station: Station, parcel: Parcel) -> float:
    """Where the belt will stand when it is too late to lead this parcel elsewhere."""
    settings = station.settings
    reaction_mm = max(settings.reaction_mm, station.speed_mm_s * settings.margin_s)
    return parcel.leading_mm + parcel.off_mm + settings.layout.diverter_mm - reaction_mm


def left_s(station: Station, parcel: Parcel) -> float | None:
    """Seconds until then at the belt's present speed; None where it stands or is not known."""
    if station.belt_mm is None or station.speed_mm_s < 1.0:
        return None
    return (deadline_mm(station, parcel) - station.belt_mm) / station.speed_mm_s


def due(station: Station, at_s: float) -> tuple[Station, Acts]:
    belt_mm = station.belt_mm
    if belt_mm is None or (station.parcels is station.due_for and belt_mm < station.due_mm):
        return station, []
    effects: Acts = []
    settings, windows = station.settings, station.settings.windows
    # From here on whatever comes is too far behind to bear on this parcel's codes, or to be composed with it.
    behind_mm = max(2 * windows.code_mm, 2 * windows.code_within_mm, windows.least_gap_mm)
    settle_mm = max(0.0, windows.reader_mm) + behind_mm + SAME_PLACE_MM
    reaction_mm = max(settings.reaction_mm, station.speed_mm_s * settings.margin_s)
    diverter_mm = settings.layout.diverter_mm
    for parcel in station.parcels:
        here_mm = belt_mm - parcel.leading_mm - parcel.off_mm
        if (
            not parcel.settled
            and parcel.trailing_mm is not None
            and belt_mm >= parcel.trailing_mm + settle_mm
        ):
            station, more = settled(station, at_s, parcel)
            effects += more
        if here_mm < diverter_mm - reaction_mm:
            continue
        if parcel.diverter_mm is None:
            station, more = _due_at_diverter(station, at_s, parcel.number, here_mm)
        else:
            station, more = due_in_chute(station, at_s, parcel.number, belt_mm)
        effects += more
    if len(station.parcels) > settings.most_parcels:
        station, more = ended(station, at_s, station.parcels[0], "", XRayReason.NOT_AT_DIVERTER)
        effects += more
    return replace(station, due_for=station.parcels, due_mm=_next_due_mm(station, settle_mm)), effects


_LOOK_AGAIN_MM = 300.0
"""At the latest so far on it is looked again, since what is due depends on the belt's speed."""


def _next_due_mm(station: Station, settle_mm: float) -> float:
    """Where the belt may be before anything is due again, if nothing but the belt changes."""
    assert station.belt_mm is not None  # noqa: S101  the caller asked
    settings = station.settings
    diverter_mm, behind_mm = settings.layout.diverter_mm, settings.layout.chute_mm + settings.chute_window_mm
    early_mm = max(settings.reaction_mm, settings.max_speed_mm_s * settings.margin_s)
    due_mm = station.belt_mm + _LOOK_AGAIN_MM
    for parcel in station.parcels:
        if not parcel.settled and parcel.trailing_mm is not None:
            due_mm = min(due_mm, parcel.trailing_mm + settle_mm)
        if parcel.diverter_mm is not None:
            due_mm = min(due_mm, parcel.diverter_mm + behind_mm)
        elif parcel.verdict is not None:
            due_mm = min(due_mm, parcel.leading_mm + parcel.off_mm + diverter_mm + settings.gone_mm)
        else:
            due_mm = min(due_mm, parcel.leading_mm + parcel.off_mm + diverter_mm - early_mm)
    return due_mm


def _due_at_diverter(station: Station, at_s: float, number: int, here_mm: float) -> tuple[Station, Acts]:
    effects: Acts = []
    parcel = parcel_of(station, number)
    if parcel is None:
        return station, effects
    if parcel.verdict is None:
        station, effects = overdue(station, at_s, parcel)
        parcel = parcel_of(station, number) or parcel
    settings = station.settings
    if here_mm <= settings.layout.diverter_mm + settings.gone_mm:
        return station, effects
    if Eye.DIVERTER in station.blocked:
        # Behind another one, without a gap: it was not seen, but it is there.
        station, more = ended(station, at_s, parcel, "", XRayReason.NOT_AT_DIVERTER)
    else:
        station, more = _gone(station, at_s, parcel)
    return station, effects + more


def _gone(station: Station, at_s: float, parcel: Parcel) -> tuple[Station, Acts]:
    """It did not come: taken off by hand, or stuck."""
    after = "x_ray" if parcel.seen_by_xray else "portal"
    effects: Acts = []
    if parcel.verdict is Verdict.PASSED:
        station, effects = not_to_pass(station, at_s, parcel.number, Because(XRayReason.NOT_AT_DIVERTER))
        parcel = parcel_of(station, parcel.number) or parcel
    gone = ParcelGone(parcel=parcel.number, waybill_no=parcel.waybill_no, after=after)
    effects += [
        commit(gone),
        alarm(
            AlarmCode.PARCEL_REMOVED,
            f"parcel {parcel.number} {parcel.waybill_no} after {after}",
            "皮带上少了一个包裹",
            "A parcel is missing from the belt",
        ),
    ]
    station = replace(station, counts=replace(station.counts, gone=station.counts.gone + 1))
    station, more = forgotten(station, at_s, parcel)
    return station, effects + more
