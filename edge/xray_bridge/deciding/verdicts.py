"""Whether an officer's key counts, what a second look does to the first, and what may be taken back."""

from __future__ import annotations

import msgspec

from edge.runtime.values import replace
from edge.xray_bridge.deciding.desks import desk_of, out_of_hands, paced, put_desk
from edge.xray_bridge.deciding.due import deadline_mm, left_s
from edge.xray_bridge.deciding.judging import decided
from edge.xray_bridge.deciding.state import (
    Acts,
    Desk,
    Judgement,
    Parcel,
    Station,
    parcel_of,
    put,
    surplus,
)
from edge.xray_bridge.deciding.telling import commit, parcel_x_rayed
from edge.xray_bridge.effects import AnswerDesk, KeepEvidence
from edge.xray_bridge.events import Judged, Undone
from edge.xray_bridge.evidence.manifest import Said
from edge.xray_bridge.rules import bars
from edge.xray_bridge.values import Association, Verdict
from sync.policy.draws import second_look_due
from sync.vocabulary import xray_facts as told_of
from sync.vocabulary.codec import to_json
from sync.vocabulary.xray_facts import JudgementUndone
from sync.vocabulary.xray_reasons import Because, XRayReason


def judged(station: Station, at_s: float, said: Judged) -> tuple[Station, Acts]:
    """An officer's key: for the picture that was on the screen, by who is signed in there, in time."""
    desk, parcel = desk_of(station, said.desk), parcel_of(station, said.parcel)
    why = _refused(station, desk, parcel, said)
    if why or desk is None or parcel is None:
        effects: Acts = []
        if why == "late" and desk is not None:
            station, effects = _judged_late(station, at_s, desk, said)
        return station, [*effects, AnswerDesk(said.desk, said.parcel, False, why, said.command_id)]
    shown_s = desk.shown_s if desk.shown_s is not None else at_s
    judgement = Judgement(
        said.officer,
        said.desk,
        said.verdict,
        said.category[:200],
        said.note[:2000],
        said.regions[: told_of.MAX_REGIONS],
        max(0.0, at_s - shown_s),
        at_s,
    )
    station, effects = paced(station, at_s, desk, judgement)
    station, more = _judgement(station, at_s, parcel, judgement)
    return station, [*effects, *more, AnswerDesk(said.desk, said.parcel, True, "", said.command_id)]


def _refused(station: Station, desk: Desk | None, parcel: Parcel | None, said: Judged) -> str:
    """A code of `rules.REFUSALS`; empty where the judgement counts."""
    if desk is None:
        return "desk_unknown"
    if desk.officer != said.officer:
        return "other_officer"
    if not desk.may_judge:
        return "not_authorised"
    if parcel is None:
        was_here = any(o.number == said.parcel and o.picture == said.picture for o in station.over)
        return "late" if was_here and desk.last == said.parcel else "parcel_unknown"
    if parcel.picture != said.picture:
        return "other_picture"
    if parcel.verdict is not None:
        late = desk.last == parcel.number and parcel.by == "default"
        return "late" if late else "judged_already"
    if desk.parcel != parcel.number:
        return "not_in_hand"
    if desk.shown_s is None:
        return "not_shown"
    if station.belt_mm is not None and station.belt_mm >= deadline_mm(station, parcel):
        return "late"
    if said.verdict is Verdict.FLAGGED and not said.category:
        return "category_missing"
    if said.verdict is Verdict.PASSED and not may_pass(station, parcel):
        return "may_not_pass"
    return ""


def may_pass(station: Station, parcel: Parcel) -> bool:
    """Whether an officer could let it pass at all."""
    return (
        parcel.association is Association.MATCHED
        and parcel.doubt is None
        and not bars(parcel.goods)
        and not surplus(parcel)
    )


def _judged_late(station: Station, at_s: float, desk: Desk, said: Judged) -> tuple[Station, Acts]:
    """It moves nothing any more; what the officer saw is told all the same."""
    judgement = Judgement(
        said.officer,
        said.desk,
        said.verdict,
        said.category[:200],
        said.note[:2000],
        said.regions[: told_of.MAX_REGIONS],
        max(0.0, said.took_s),
        at_s,
    )
    station = put_desk(station, replace(desk, last=0))
    parcel = parcel_of(station, said.parcel)
    is_over = parcel is None
    if parcel is None:
        over = next(o for o in station.over if o.number == said.parcel)
        parcel = Parcel(
            number=over.number,
            leading_mm=over.leading_mm,
            trailing_mm=over.trailing_mm,
            waybill_no=over.waybill_no,
            picture=over.picture,
            association=over.association,
        )
    elif parcel.verdict is None:
        station = replace(station, counts=replace(station.counts, late=station.counts.late + 1))
    reasons = (Because(XRayReason.LATE, said.verdict.value), *parcel.reasons)
    told = parcel_x_rayed(station, at_s, parcel, Verdict.RECHECK, "officer", reasons, judgement, late=True)
    if parcel_of(station, parcel.number) is not None:
        parcel = replace(
            parcel,
            verdict=Verdict.RECHECK,
            by="default",
            waits=False,
            judged=judgement,
            told=told,
            told_s=at_s,
        )
        station = out_of_hands(put(station, parcel), parcel.number)
    effects: Acts = [commit(told)]
    if is_over:
        # What else is known of it stands in the evidence already.
        word = to_json(Said(judged=told, judged_ago_s=0.0))
        association = parcel.association or Association.UNMATCHED
        effects.append(
            KeepEvidence(
                parcel.picture,
                parcel.number,
                parcel.waybill_no,
                association,
                Verdict.RECHECK,
                msgspec.Raw(word),
                "held",
            )
        )
    return station, effects


def _judgement(station: Station, at_s: float, parcel: Parcel, judgement: Judgement) -> tuple[Station, Acts]:
    first = parcel.first
    if first is None:
        if not _drawn_for_second(station, parcel, judgement):
            reasons = (Because(XRayReason.JUDGED), *parcel.reasons)
            return decided(station, at_s, parcel, judgement.verdict, "officer", reasons, judgement)
        # Until the other has looked, it is recheck; whoever looks second is not told what the first said.
        reasons = (Because(XRayReason.AWAITING_SECOND, judgement.verdict.value), *parcel.reasons)
        told = parcel_x_rayed(station, at_s, parcel, Verdict.RECHECK, "officer", reasons, judgement)
        parcel = replace(parcel, first=judgement, told=told, told_s=at_s)
        return out_of_hands(put(station, parcel), parcel.number), [commit(told)]
    if first.verdict is judgement.verdict:
        reasons = (Because(XRayReason.JUDGED), *parcel.reasons)
        return decided(station, at_s, parcel, judgement.verdict, "officer", reasons, judgement)
    flagged = Verdict.FLAGGED in (first.verdict, judgement.verdict)
    verdict = Verdict.FLAGGED if flagged else Verdict.RECHECK
    if first.verdict is Verdict.FLAGGED:
        judgement = replace(judgement, category=first.category, note=first.note, regions=first.regions)
    differs = Because(XRayReason.SECOND_DIFFERS, f"{first.verdict.value}, {judgement.verdict.value}")
    return decided(station, at_s, parcel, verdict, "officer", (differs, *parcel.reasons), judgement)


def _drawn_for_second(station: Station, parcel: Parcel, judgement: Judgement) -> bool:
    settings = station.settings
    if not settings.draw_key or not settings.second_per_mille or judgement.verdict is Verdict.RECHECK:
        return False
    return second_look_due(settings.draw_key, parcel.picture, settings.second_per_mille)


def undone(station: Station, at_s: float, asked: Undone) -> tuple[Station, Acts]:
    """Taken back while the belt allows it: the parcel is in the same hands again."""
    desk, parcel = desk_of(station, asked.desk), parcel_of(station, asked.parcel)
    why = _not_undone(station, at_s, desk, parcel, asked)
    if why or desk is None or parcel is None:
        return station, [AnswerDesk(asked.desk, asked.parcel, False, why, asked.command_id)]
    # Only one's own word is taken back: whoever looked first has judged all the same.
    first = parcel.first if parcel.verdict is not None else None
    parcel = replace(parcel, verdict=None, by="", judged=None, first=first, waits=True)
    station = out_of_hands(put(station, parcel), parcel.number)
    desk = desk_of(station, asked.desk) or desk
    desk = replace(desk, parcel=parcel.number, shown_s=None, offered_s=at_s, ahead=desk.parcel)
    station = put_desk(station, desk)
    back = JudgementUndone(
        parcel=parcel.number, waybill_no=parcel.waybill_no, officer=asked.officer, desk=asked.desk
    )
    return station, [commit(back), AnswerDesk(asked.desk, asked.parcel, True, "", asked.command_id)]


def _not_undone(
    station: Station, at_s: float, desk: Desk | None, parcel: Parcel | None, asked: Undone
) -> str:
    if desk is None:
        return "desk_unknown"
    if desk.officer != asked.officer:
        return "other_officer"
    if parcel is None:
        return "parcel_unknown"
    judgement = parcel.judged if parcel.verdict is not None else parcel.first
    if judgement is None or (parcel.verdict is not None and parcel.by != "officer"):
        return "not_judged"
    if judgement.officer != asked.officer:
        return "not_yours"
    too_late = station.belt_mm is None or station.belt_mm >= deadline_mm(station, parcel)
    if too_late or at_s - judgement.at_s > station.settings.undo_s or parcel.diverter_mm is not None:
        return "undo_over"
    return ""


def undo_left_s(station: Station, at_s: float, parcel: Parcel) -> float:
    """Seconds in which its officer may still take the verdict back; 0: it stands."""
    judgement = parcel.judged if parcel.verdict is not None else parcel.first
    if judgement is None or parcel.diverter_mm is not None:
        return 0.0
    limits = [station.settings.undo_s - (at_s - judgement.at_s)]
    belt_s = left_s(station, parcel)
    if belt_s is not None:
        limits.append(belt_s)
    return max(0.0, min(limits))
