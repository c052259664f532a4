"""实施查验: what an officer's touch does to the draft in front."""

from __future__ import annotations

import msgspec

from edge.handheld.context import Context
from edge.handheld.inspection.evidence import capture
from edge.handheld.inspection.orders import is_for
from edge.handheld.inspection.readiness import missing
from edge.handheld.inspection.second_officer import second_officer_came
from edge.handheld.inspection.state import (
    MOST_LINES,
    MOST_MEASURES,
    MOST_SHORT,
    MOST_TEXT,
    Draft,
    Line,
    Measure,
    Parcel,
    Sample,
    State,
    Stepped,
    commit,
    draft_of,
    edited,
    not_done,
    put,
    stopped_words,
)
from edge.handheld.inspection.wants import (
    AllAsDeclared,
    Begun,
    ChangeAsked,
    EvidenceLeftOut,
    FindingChosen,
    HandlingChosen,
    LineCounted,
    Measured,
    MeasureTakenBack,
    MethodChosen,
    PhotoAsked,
    PhotoMarked,
    ReadyAsked,
    RemarkWritten,
    SampleTaken,
    SealNoted,
    SecondOfficerCame,
    VoiceBegun,
    VoiceEnded,
)
from sync.vocabulary import handheld_facts as fact
from sync.vocabulary.records import quantity_of
from sync.vocabulary.rulings import Text

_Touch = (
    Begun | MethodChosen | LineCounted | AllAsDeclared | PhotoAsked | PhotoMarked | EvidenceLeftOut
    | VoiceBegun | VoiceEnded | Measured | MeasureTakenBack | SealNoted | RemarkWritten | SecondOfficerCame
    | FindingChosen | HandlingChosen | SampleTaken | ReadyAsked | ChangeAsked
)  # fmt: skip


def work(state: State, context: Context, event: _Touch) -> Stepped:
    draft = draft_of(state, state.front)
    if draft is None:
        return state, ()
    if draft.stopped:
        return not_done(state, stopped_words(draft))
    if context.officer is None or not is_for(draft.order, context):
        return not_done(state, Text("无此指令授权", "You are not authorised for this order"))
    match draft.step, event:
        case "taken", Begun():
            parcels = tuple(parcel.waybill_no for parcel in draft.parcels)
            begun = fact.InspectionBegun(
                order_no=draft.order_no, officers=(context.officer.officer_no,), waybill_nos=parcels
            )
            return put(state, msgspec.structs.replace(draft, step="carrying_out")), (commit(begun),)
        case "carrying_out", ReadyAsked():
            lacks = missing(draft, context)
            if lacks:
                return not_done(state, lacks[0])
            return put(state, msgspec.structs.replace(draft, step="ready")), ()
        case "ready", ChangeAsked():
            return put(state, msgspec.structs.replace(draft, step="carrying_out")), ()
        case "carrying_out", _:
            return _carry_out(state, context, draft, event)
        case "taken", _:
            return not_done(state, Text("请先开始查验", "Begin the inspection first"))
        case _:
            return not_done(
                state, Text("已备好，如需更改请退回草稿", "It is ready: go back to the draft to change it")
            )


def _carry_out(state: State, context: Context, draft: Draft, event: _Touch) -> Stepped:
    match event:
        case MethodChosen(method):
            if draft.order.method is not None and method is not draft.order.method:
                return not_done(state, Text("指令已指定查验方式", "The order says how"))
            return edited(state, draft, method=method)
        case LineCounted():
            return _count(state, draft, event)
        case AllAsDeclared(waybill_no):
            lines = tuple(
                msgspec.structs.replace(line, counted=line.declared)
                if line.waybill_no == waybill_no and line.declared and not line.is_extra
                else line
                for line in draft.lines
            )
            return edited(state, draft, lines=lines)
        case PhotoAsked() | PhotoMarked() | VoiceBegun() | VoiceEnded():
            return capture(state, draft, context, event)
        case EvidenceLeftOut(sha256):
            left = tuple(item for item in draft.evidence if item.sha256 != sha256 or item.state == "taking")
            return edited(state, draft, evidence=left)
        case Measured(what, value, unit):
            what, unit = what.strip()[:MOST_SHORT], unit.strip()[:MOST_SHORT]
            if not what or quantity_of(value.strip()) is None or len(draft.measures) >= MOST_MEASURES:
                return not_done(state, Text("请输入项目和数值", "Enter what was measured, and a number"))
            measure = Measure(what, value.strip(), unit, draft.parcel)
            return edited(state, draft, measures=(*draft.measures, measure))
        case MeasureTakenBack(place):
            kept = tuple(each for at, each in enumerate(draft.measures, start=1) if at != place)
            return edited(state, draft, measures=kept)
        case SealNoted(seal_no):
            return edited(state, draft, seal_no=seal_no.strip()[:MOST_SHORT])
        case RemarkWritten(text):
            return edited(state, draft, remark=text.strip()[:MOST_TEXT])
        case SecondOfficerCame(officer_no, pin):
            return second_officer_came(state, context, draft, officer_no.strip(), pin)
        case FindingChosen(finding):
            return edited(state, draft, finding=finding)
        case HandlingChosen(handling):
            sample = draft.sample if handling == "sample_sent" else None
            return edited(state, draft, handling=handling, sample=sample)
        case SampleTaken():
            return _sample(state, draft, event)
        case _:
            return state, ()


def _count(state: State, draft: Draft, event: LineCounted) -> Stepped:
    counted = event.counted.strip()
    if counted and quantity_of(counted) is None:
        return not_done(state, Text("请输入数量，如 12 或 0.5", "Enter a quantity such as 12 or 0.5"))
    remark, name = event.remark.strip()[:MOST_TEXT], event.name.strip()[:MOST_TEXT]
    here = next(
        (line for line in draft.lines if (line.waybill_no, line.no) == (event.waybill_no, event.no)), None
    )
    if here is None:
        if not counted or not name or not event.no or len(draft.lines) >= MOST_LINES:
            return not_done(
                state, Text("账外货物请填名称和数量", "Goods not declared: give a name and a quantity")
            )
        extra = Line(
            event.waybill_no, event.no[:MOST_SHORT], name, counted=counted, remark=remark, is_extra=True
        )
        return edited(state, draft, lines=(*draft.lines, extra))
    if here.is_extra and not counted:
        return edited(state, draft, lines=tuple(line for line in draft.lines if line is not here))
    changed = msgspec.structs.replace(here, counted=counted, remark=remark)
    return edited(state, draft, lines=tuple(changed if line is here else line for line in draft.lines))


def _sample(state: State, draft: Draft, event: SampleTaken) -> Stepped:
    sample_no = event.sample_no.strip()[:MOST_SHORT]
    waybill_no = event.waybill_no or draft.parcel
    if not sample_no or any(sample.sample_no == sample_no for sample in state.samples):
        return not_done(
            state, Text("请扫描样品封签（未用过的）", "Scan the sample's seal, one not used before")
        )
    parcel = next((each for each in draft.parcels if each.waybill_no == waybill_no), Parcel(waybill_no))
    line = next(
        (each for each in draft.lines if each.waybill_no == waybill_no and each.sku == event.sku), None
    )
    sample = Sample(
        sample_no=sample_no,
        order_no=draft.order_no,
        authorisation=draft.order.authorisation,
        waybill_no=waybill_no,
        sku=event.sku[:MOST_SHORT],
        batch_no=parcel.batch_no if line is None else line.batch_no,
        trace_code=parcel.trace_code,
        enterprise=parcel.enterprise,
        quantity=event.quantity[:MOST_SHORT],
        unit=event.unit[:MOST_SHORT],
        laboratory=event.laboratory[:MOST_TEXT],
        tests=tuple(test[:MOST_TEXT] for test in event.tests[:20]),
    )
    return edited(state, draft, handling="sample_sent", sample=sample)
