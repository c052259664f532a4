"""What the page shows of it."""

from __future__ import annotations

from typing import Final, Literal

from edge.handheld import words
from edge.handheld.context import Context
from edge.handheld.inspection.orders import in_hand, is_for, is_over
from edge.handheld.inspection.readiness import PARTS, is_done, missing
from edge.handheld.inspection.second_officer import officers_needed
from edge.handheld.inspection.shown import (
    Choice,
    DraftRow,
    DraftShown,
    EvidenceShown,
    InspectionView,
    LineShown,
    MeasureShown,
    OrderRow,
    PartShown,
    SampleRow,
)
from edge.handheld.inspection.state import Draft, Line, Outgoing, Sample, State, draft_of, stopped_words
from edge.handheld.inspection.wants import Finding, Handling
from edge.handheld.view import Row, both
from sync.vocabulary.records import InspectionMethod, InspectionOrder, OrderCause
from sync.vocabulary.rulings import Text

_CAUSES: Final = {
    OrderCause.CONTROL: Text("布控", "Control"),
    OrderCause.SPOT_CHECK: Text("随机抽查", "Spot check"),
    OrderCause.CREDIT: Text("信用查验", "Credit"),
    OrderCause.RECALL: Text("召回", "Recall"),
    OrderCause.X_RAY: Text("机检异常", "X-ray"),
    OrderCause.OFFICER: Text("关员指令", "Officer"),
}
_METHODS: Final = {
    InspectionMethod.OPENED: Text("开箱", "Opened"),
    InspectionMethod.X_RAY: Text("机检", "X-ray"),
    InspectionMethod.SEAL: Text("验封", "Seal"),
    InspectionMethod.PAPERS: Text("验单", "Papers"),
    InspectionMethod.SAMPLE: Text("取样", "Sample"),
}
_FINDINGS: Final[dict[Finding, Text]] = {
    "nothing": Text("未见异常", "Nothing"),
    "not_declared": Text("未申报", "Not declared"),
    "other_goods": Text("货物不符", "Other goods"),
    "other_quantity": Text("数量不符", "Other quantity"),
    "forbidden": Text("禁限物品", "Forbidden"),
    "damaged": Text("破损", "Damaged"),
}
_HANDLINGS: Final[dict[Handling, Text]] = {
    "released": Text("放行", "Release"),
    "returned": Text("退运", "Return"),
    "seized": Text("扣留", "Seize"),
    "destroyed": Text("销毁", "Destroy"),
    "sample_sent": Text("送检", "Send a sample"),
    "referred": Text("移交", "Refer"),
}
_RECALL_BY: Final = {
    "waybill": Text("此包裹", "This parcel"),
    "sku": Text("此货号", "This SKU"),
    "batch": Text("此批次", "This batch"),
    "trace_code": Text("此溯源码", "This trace code"),
    "enterprise": Text("此企业", "This enterprise"),
}
_STATES: Final = {
    "draft": Text("草稿", "Draft"),
    "ready": Text("已备好，未发送", "Ready, not sent"),
    "sending": Text("待发送", "Waiting to be sent"),
    "sent": Text("已送达", "Sent"),
    "stopped": Text("已停止，草稿保留", "Stopped, draft kept"),
}
_CAUSE: Final = Text("指令原因", "Why")
_OBJECT: Final = Text("查验对象", "What")
_DETAIL: Final = Text("依据", "Based on")
_DUE: Final = Text("期限", "Due")
_OFFICERS: Final = Text("人数", "Officers")
_TWO_NEEDED: Final = Text("须两名关员", "Two officers needed")
_SEAL: Final = Text("样品封签", "Sample seal")
_SKU: Final = Text("货号", "SKU")


def view(state: State, context: Context) -> InspectionView:
    draft = draft_of(state, state.front)
    rows = tuple(_row(each) for each in state.drafts) + tuple(_out_row(out) for out in reversed(state.outbox))
    return InspectionView(
        page="list" if draft is None else "draft",
        orders=tuple(
            _order_row(state, order, context)
            for order in state.orders
            if is_for(order, context)
            and draft_of(state, order.order_no) is None
            and not is_over(state, order.order_no)
        ),
        drafts=rows,
        draft=None if draft is None else _draft_shown(draft, context),
        samples=tuple(_sample_row(sample, context) for sample in state.samples),
        draft_count=sum(row.state in ("draft", "stopped") for row in rows),
        ready_count=sum(row.state == "ready" for row in rows),
        sending_count=sum(row.state == "sending" for row in rows),
        sent_count=sum(row.state == "sent" for row in rows),
        told=state.told,
        is_looking=bool(state.looking),
        second_officer_wanted=state.checking is not None,
    )


def _row(draft: Draft) -> DraftRow:
    state: Literal["draft", "ready", "stopped"] = "ready" if draft.step == "ready" else "draft"
    state = "stopped" if draft.stopped else state
    return DraftRow(draft.order_no, state, _STATES[state])


def _out_row(out: Outgoing) -> DraftRow:
    state: Literal["sending", "sent"] = "sent" if out.is_sent else "sending"
    return DraftRow(out.order_no, state, _STATES[state])


def _what(order: InspectionOrder) -> Text:
    if order.waybill_nos:
        count = len(order.waybill_nos)
        first = str(order.waybill_nos[0])
        return both(first) if count == 1 else Text(f"{first} 等 {count} 件", f"{first} and {count - 1} more")
    return both(str(order.slip_no or order.plate or ""))


def _order_row(state: State, order: InspectionOrder, context: Context) -> OrderRow:
    standing = in_hand(state, order.order_no, context)
    who = None
    if standing is not None:
        names = f"{', '.join(standing.officers)} {standing.device}".strip()
        who = Text(f"已由 {names} 领取", f"In hand: {names}")
    return OrderRow(
        order_no=order.order_no,
        cause=_CAUSES[order.cause],
        what=_what(order),
        officers=_TWO_NEEDED if order.officers_needed > 1 else None,
        due=None if order.due is None else _due(words.moment(order.due, context.site)),
        is_due=order.due is not None and context.utc > order.due,
        in_hand=who,
        may_take=standing is None,
    )


def _due(moment: str) -> Text:
    return Text(f"{_DUE.zh} {moment}", f"{_DUE.en} {moment}")


def _draft_shown(draft: Draft, context: Context) -> DraftShown:
    order = draft.order
    rows = [Row(_CAUSE, _CAUSES[order.cause]), Row(_OBJECT, _what(order))]
    if order.cause_detail:
        rows.append(Row(_DETAIL, both(order.cause_detail)))
    if order.due is not None:
        rows.append(Row(_DUE, both(words.moment(order.due, context.site))))
    if officers_needed(draft, context) > 1:
        rows.append(Row(_OFFICERS, _TWO_NEEDED))
    chosen = draft.sample
    lacks = missing(draft, context)
    instructions = Text(order.instructions_zh, order.instructions_en)
    return DraftShown(
        order_no=draft.order_no,
        step=draft.step,
        stopped=stopped_words(draft) if draft.stopped else None,
        rows=tuple(rows),
        instructions=instructions if instructions.zh or instructions.en else None,
        parcels=tuple(parcel.waybill_no for parcel in draft.parcels),
        parcel=draft.parcel,
        lines=tuple(_line_shown(line) for line in draft.lines if line.waybill_no == draft.parcel),
        methods=tuple(
            Choice(method.value, text, method is draft.method) for method, text in _METHODS.items()
        ),
        evidence=tuple(
            EvidenceShown(
                sha256=each.sha256,
                kind=each.kind,
                subject=each.subject,
                taken=words.moment(each.taken, context.site),
                state=each.state,
                why=each.why,
                of=each.of,
            )
            for each in draft.evidence
        ),
        measures=tuple(MeasureShown(each.what, each.value, each.unit) for each in draft.measures),
        is_recording=bool(draft.recording),
        seal_no=draft.seal_no,
        remark=draft.remark,
        officers_needed=officers_needed(draft, context),
        second_officer=draft.second_officer,
        findings=tuple(Choice(each, text, each == draft.finding) for each, text in _FINDINGS.items()),
        handlings=tuple(Choice(each, text, each == draft.handling) for each, text in _HANDLINGS.items()),
        sample=() if chosen is None else (Row(_SEAL, both(chosen.sample_no)), Row(_SKU, both(chosen.sku))),
        parts=tuple(PartShown(PARTS[part], is_done(draft, part)) for part in order.parts),
        missing=lacks,
        may_send=draft.step == "ready" and not lacks and not draft.stopped,
    )


def _line_shown(line: Line) -> LineShown:
    return LineShown(
        waybill_no=line.waybill_no,
        no=line.no,
        name=line.name,
        sku=line.sku,
        hs_code=line.hs_code,
        origin=line.origin,
        declared=line.declared,
        unit=line.unit,
        counted=line.counted,
        remark=line.remark,
        differs=line.differs,
        is_extra=line.is_extra,
    )


def _sample_row(sample: Sample, context: Context) -> SampleRow:
    known = {
        "waybill": sample.waybill_no,
        "sku": sample.sku,
        "batch": sample.batch_no,
        "trace_code": sample.trace_code,
        "enterprise": sample.enterprise,
    }
    return SampleRow(
        sample_no=sample.sample_no,
        order_no=sample.order_no,
        text=both(f"{sample.waybill_no} {sample.sku}".strip()),
        sent=words.moment(sample.sent, context.site),
        recall_by=tuple(
            Choice(by, Text(f"{_RECALL_BY[by].zh} {what}", f"{_RECALL_BY[by].en}: {what}"), False)
            for by, what in known.items()
            if what
        ),
    )
