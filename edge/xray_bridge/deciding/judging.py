"""What becomes of a parcel that no officer has judged: analysed, triaged, its verdict, and every doubt that
makes it recheck.
"""

from __future__ import annotations

from typing import assert_never

from edge.runtime.values import replace
from edge.xray_bridge.deciding.desks import out_of_hands
from edge.xray_bridge.deciding.state import (
    Acts,
    Judgement,
    Parcel,
    Station,
    parcel_of,
    put,
    surplus,
    wedge_valid,
)
from edge.xray_bridge.deciding.telling import commit, parcel_x_rayed
from edge.xray_bridge.effects import Analyse, CheckWedge
from edge.xray_bridge.rules import Case, Way, triage, whose
from edge.xray_bridge.values import Analysis, Association, Verdict
from sync.vocabulary.xray_reasons import Because, XRayReason


def ready(station: Station, at_s: float, number: int) -> tuple[Station, Acts]:
    """Picture and records are there: it is analysed, and then it is known what becomes of it."""
    parcel = parcel_of(station, number)
    if parcel is None or not parcel.settled or not parcel.looked_up or parcel.verdict is not None:
        return station, []
    if parcel.association is not Association.MATCHED or parcel.picture not in station.pictures:
        return station, []
    if parcel.wedge:
        if parcel.analyse_asked:
            return station, []
        station = put(station, replace(parcel, analyse_asked=True))
        return station, [CheckWedge(parcel.picture)]
    if parcel.analysis is None and not parcel.analysis_failed:
        if parcel.analyse_asked:
            return station, []
        station = put(station, replace(parcel, analyse_asked=True))
        return station, [Analyse(parcel.picture, parcel.number, parcel.goods)]
    if parcel.waits:
        return station, []
    return _triaged(station, at_s, parcel)


def analysed(
    station: Station, at_s: float, picture: str, number: int, analysis: Analysis | None, why: str
) -> tuple[Station, Acts]:
    parcel = parcel_of(station, number)
    if parcel is None or parcel.picture != picture or parcel.analysis is not None:
        return station, []
    if analysis is not None and analysis.picture != picture:
        return station, []
    station = put(station, replace(parcel, analysis=analysis, analysis_failed=why))
    return ready(station, at_s, number)


def case_of(station: Station, at_s: float, parcel: Parcel) -> Case:
    return Case(
        association=parcel.association,
        read=parcel.read,
        goods=parcel.goods,
        analysis=parcel.analysis,
        analysis_failed=parcel.analysis_failed,
        wedge_valid=wedge_valid(station, at_s),
        wedge_calibration=station.wedge_calibration,
        too_close=parcel.too_close,
        composed=parcel.composed,
        added=parcel.entered != "portal",
        twice=surplus(parcel),
    )


def _triaged(station: Station, at_s: float, parcel: Parcel) -> tuple[Station, Acts]:
    ruled = triage(station.settings.triage, case_of(station, at_s, parcel))
    parcel = replace(parcel, reasons=ruled.reasons)
    if ruled.way is Way.PASS and parcel.doubt is not None:
        return decided(station, at_s, parcel, Verdict.RECHECK, "default", (parcel.doubt,))
    match ruled.way:
        case Way.PASS:
            return decided(station, at_s, parcel, Verdict.PASSED, "machine", ruled.reasons)
        case Way.RECHECK:
            return decided(station, at_s, parcel, Verdict.RECHECK, "default", ruled.reasons)
        case Way.OFFICER:
            return put(station, replace(parcel, waits=True)), []
        case _:
            assert_never(ruled.way)


def decided(
    station: Station,
    at_s: float,
    parcel: Parcel,
    verdict: Verdict,
    by: str,
    reasons: tuple[Because, ...],
    judgement: Judgement | None = None,
) -> tuple[Station, Acts]:
    """Told first; it moves something only when its leading edge is at the diverter."""
    told = parcel_x_rayed(station, at_s, parcel, verdict, by, reasons, judgement)
    parcel = replace(
        parcel,
        verdict=verdict,
        by=by,
        waits=False,
        judged=judgement if judgement is not None else parcel.judged,
        machine=told if by == "machine" else parcel.machine,
        told=told,
        told_s=at_s,
    )
    station = out_of_hands(put(station, parcel), parcel.number)
    return station, [commit(told)]


def not_to_pass(station: Station, at_s: float, number: int, because: Because) -> tuple[Station, Acts]:
    """Whatever was judged: it goes to recheck, and that is told. What was flagged stays flagged."""
    parcel = parcel_of(station, number)
    if parcel is None or parcel.ordered is not None:
        return station, []
    if parcel.doubt is None:
        parcel = replace(parcel, doubt=because)
        station = put(station, parcel)
    if parcel.verdict is Verdict.FLAGGED or parcel.verdict is Verdict.RECHECK:
        return station, []
    return decided(station, at_s, parcel, Verdict.RECHECK, "default", (because, *parcel.reasons))


def overdue(station: Station, at_s: float, parcel: Parcel) -> tuple[Station, Acts]:
    """Nobody judged it in time: recheck, and why."""
    reasons: tuple[Because, ...]
    if parcel.wedge:
        reasons = (Because(XRayReason.WEDGE),)
    elif parcel.doubt is not None:
        reasons = (parcel.doubt, *parcel.reasons)
    elif parcel.first is not None:
        reasons = (Because(XRayReason.SECOND_MISSING), *parcel.reasons)
    elif parcel.waits:
        reasons = (Because(XRayReason.OVERDUE), *parcel.reasons)
        station = replace(station, counts=replace(station.counts, late=station.counts.late + 1))
    else:
        reasons = whose(case_of(station, at_s, parcel)) or (Because(XRayReason.NOT_ANALYSED),)
    return decided(station, at_s, parcel, Verdict.RECHECK, "default", reasons)
