"""分拣确认: where a parcel was seen at the end, and what is kept of it when it has left the belt."""

from __future__ import annotations

from typing import Final, assert_never

import msgspec

from edge.runtime.values import replace
from edge.xray_bridge.deciding.desks import out_of_hands
from edge.xray_bridge.deciding.judging import decided, not_to_pass, overdue
from edge.xray_bridge.deciding.state import (
    SAME_PLACE_MM,
    Acts,
    Counts,
    Kept,
    Over,
    Parcel,
    Station,
    parcel_of,
)
from edge.xray_bridge.deciding.telling import alarm, commit, said_of
from edge.xray_bridge.effects import AskStop, KeepEvidence
from edge.xray_bridge.values import Association, Chute, Eye, Verdict
from sync.vocabulary.codec import to_json
from sync.vocabulary.facts import AlarmCode
from sync.vocabulary.xray_facts import ParcelSorted
from sync.vocabulary.xray_reasons import Because, XRayReason

_MOST_OVER = 64
_MOST_PASSED = 10_000
"""Five hours of a full line."""
_CHUTE_OF: Final[dict[Eye, Chute]] = {
    Eye.PASS_CHUTE: Chute.PASS,
    Eye.FLAG_CHUTE: Chute.FLAG,
    Eye.RECHECK_CHUTE: Chute.RECHECK,
}
_EYE_OF: Final[dict[Chute, Eye]] = {chute: eye for eye, chute in _CHUTE_OF.items()}


def in_chute(station: Station, at_s: float, eye: Eye, edge_mm: float) -> tuple[Station, Acts]:
    """分拣确认: the parcel whose time it is; where several could be, the one that was sent here."""
    settings, chute = station.settings, _CHUTE_OF[eye]
    if edge_mm <= station.chute_mm.get(eye, float("-inf")):
        return station, []
    near = [
        p
        for p in station.parcels
        if p.diverter_mm is not None
        and abs(edge_mm - p.diverter_mm - settings.layout.chute_mm) <= settings.chute_window_mm
    ]
    sent = [p for p in near if (p.ordered or Chute.RECHECK) is chute]
    if not near:
        return _nobodys_in_chute(station, chute, edge_mm)
    parcel = min(sent or near, key=lambda p: abs(edge_mm - (p.diverter_mm or 0.0) - settings.layout.chute_mm))
    length_mm = max(SAME_PLACE_MM, parcel.length_mm())
    station = replace(station, chute_mm=station.chute_mm | {eye: edge_mm + length_mm})
    return ended(station, at_s, parcel, chute.value, None)


def _nobodys_in_chute(station: Station, chute: Chute, edge_mm: float) -> tuple[Station, Acts]:
    """Nothing was on its way there: nothing passes any more before an officer has looked."""
    if chute is not Chute.PASS or station.clearing or station.fault:
        return station, []
    detail = f"nobody's parcel seen in {chute.value} at {edge_mm:.0f} mm"
    return replace(station, fault="diverter"), [
        alarm(
            AlarmCode.WRONG_CHUTE, detail, "放行滑槽出现来历不明的包裹", "Nobody's parcel in the pass chute"
        ),
        AskStop(detail),
    ]


def due_in_chute(station: Station, at_s: float, number: int, belt_mm: float) -> tuple[Station, Acts]:
    parcel = parcel_of(station, number)
    if parcel is None or parcel.diverter_mm is None:
        return station, []
    settings = station.settings
    if belt_mm <= parcel.diverter_mm + settings.layout.chute_mm + settings.chute_window_mm:
        return station, []
    if parcel.ordered is not None:
        # It may still come.
        eye, late_mm = _EYE_OF[parcel.ordered], belt_mm + settings.chute_window_mm
        station = replace(station, chute_mm=station.chute_mm | {eye: late_mm})
    return ended(station, at_s, parcel, "", None)


def ended(
    station: Station, at_s: float, parcel: Parcel, seen: str, why: XRayReason | None
) -> tuple[Station, Acts]:
    """分拣: where it was sent, where it was seen. The end of a parcel."""
    effects: Acts = []
    ordered = parcel.ordered or Chute.RECHECK
    expected_eye = _EYE_OF[ordered] in station.settings.chute_eyes
    if parcel.ordered is None and parcel.verdict is not Verdict.RECHECK:
        if parcel.verdict is None:
            station, effects = overdue(station, at_s, parcel)
        else:
            because = parcel.doubt or Because(why or XRayReason.NOT_AT_DIVERTER)
            station, effects = not_to_pass(station, at_s, parcel.number, because)
        parcel = parcel_of(station, parcel.number) or parcel
    reason = why.value if why is not None else ""
    if seen and seen != ordered.value:
        station, more = _wrong_chute(station, at_s, parcel, ordered, seen)
        effects += more
        parcel = parcel_of(station, parcel.number) or parcel
        reason = XRayReason.WRONG_CHUTE.value
    elif not seen and why is None:
        reason = "not_seen" if expected_eye else "no_eye"
        if expected_eye and parcel.ordered is not None:
            effects.append(
                alarm(
                    AlarmCode.WRONG_CHUTE,
                    f"parcel {parcel.number}: not seen in {ordered.value}",
                    "分拣未确认",
                    "Sorting was not confirmed",
                )
            )
    if not reason and parcel.ordered is None and parcel.doubt is not None:
        reason = parcel.doubt.code.value
    verdict = parcel.verdict or Verdict.RECHECK
    effects.append(
        commit(
            ParcelSorted(
                parcel=parcel.number,
                waybill_no=parcel.waybill_no,
                verdict=verdict.value,
                ordered=ordered.value,
                seen=seen,
                confirmed=seen == ordered.value,
                why=reason,
            )
        )
    )
    station = replace(station, counts=_counted(station.counts, parcel, verdict))
    if (seen or ordered.value) == Chute.PASS.value and parcel.waybill_no:
        passed = (*station.passed_waybills, parcel.waybill_no)
        station = replace(station, passed_waybills=passed[-_MOST_PASSED:])
    station, more = forgotten(station, at_s, parcel)
    return station, effects + more


def _counted(counts: Counts, parcel: Parcel, verdict: Verdict) -> Counts:
    match verdict:
        case Verdict.PASSED:
            by_machine = counts.passed_by_machine + (parcel.by == "machine")
            return replace(counts, passed=counts.passed + 1, passed_by_machine=by_machine)
        case Verdict.FLAGGED:
            return replace(counts, flagged=counts.flagged + 1)
        case Verdict.RECHECK:
            return replace(counts, recheck=counts.recheck + 1)
        case _:
            assert_never(verdict)


def _wrong_chute(
    station: Station, at_s: float, parcel: Parcel, ordered: Chute, seen: str
) -> tuple[Station, Acts]:
    """Seen where nothing that passes should be, the diverter cannot be trusted: nothing passes, and a stop is
    asked for. Seen in recheck instead, nothing is lost, and the record says recheck."""
    detail = f"parcel {parcel.number}: sent to {ordered.value}, seen in {seen}"
    effects: Acts = [alarm(AlarmCode.WRONG_CHUTE, detail, "包裹进错滑槽", "A parcel in the wrong chute")]
    if seen == Chute.PASS.value:
        station = replace(station, fault="diverter")
        effects.append(AskStop(detail))
        return station, effects
    if parcel.verdict is Verdict.PASSED:
        reasons = (Because(XRayReason.WRONG_CHUTE, seen), *parcel.reasons)
        station, more = decided(station, at_s, parcel, Verdict.RECHECK, "default", reasons)
        effects += more
    return station, effects


def forgotten(station: Station, at_s: float, parcel: Parcel) -> tuple[Station, Acts]:
    """It has left the belt; its evidence is kept with what became of it."""
    over = Over(
        parcel.number,
        parcel.waybill_no,
        parcel.leading_mm,
        parcel.end_mm(),
        parcel.picture,
        parcel.association,
    )
    station = replace(
        station,
        parcels=tuple(p for p in station.parcels if p.number != parcel.number),
        over=(*station.over, over)[-_MOST_OVER:],
    )
    station = out_of_hands(station, parcel.number)
    if not parcel.picture or parcel.picture not in station.pictures:
        return station, []
    verdict = parcel.verdict or Verdict.RECHECK
    looked_at = parcel.goods is not None and bool(parcel.goods.control)
    keep_class = "routine" if verdict is Verdict.PASSED and not looked_at else "held"
    kept = Kept(parcel.number, parcel.waybill_no, keep_class)
    station = replace(station, pictures=station.pictures | {parcel.picture: kept})
    manifest = msgspec.Raw(to_json(said_of(station, at_s, parcel)))
    association = parcel.association or Association.UNMATCHED
    return station, [
        KeepEvidence(
            parcel.picture, parcel.number, parcel.waybill_no, association, verdict, manifest, keep_class
        )
    ]
