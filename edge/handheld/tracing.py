"""溯源: the whole path of a code, from what was declared to what became of it; a recall is shown first."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import msgspec

from edge.handheld import words
from edge.handheld.context import Context
from edge.handheld.effects import Effect, LookUp, Sound, Tone, Wanted
from edge.handheld.events import DoneHere, Found, RecordsRead, Scanned, TraceFindings
from edge.handheld.rules import judge
from edge.handheld.view import Row, Sign, both
from sync.vocabulary.facts import FindingMade, InspectionMade
from sync.vocabulary.handheld_facts import ParcelJudged, StockCounted, UnknownScanned
from sync.vocabulary.records import SlipState, XRay, XRayVerdict, declared_lines
from sync.vocabulary.rulings import Text

STEPS_SHOWN: Final = 120


@dataclass(frozen=True, slots=True)
class TraceAsked:
    """A scan on this page asks the same."""

    text: str


@dataclass(frozen=True, slots=True)
class TracePutAway:
    pass


Intent = TraceAsked | TracePutAway
Event = Intent | Scanned | Found


class State(msgspec.Struct, frozen=True, kw_only=True):
    request: int = 0
    code: str = ""
    is_looking: bool = False
    findings: TraceFindings | None = None
    records: RecordsRead | None = None


@dataclass(frozen=True, slots=True)
class StepShown:
    """One station of the path, the earliest first."""

    at: str
    """As the site's clocks show it; empty where the records tell the order but no time."""
    place: Text
    what: Text
    sign: Sign | None = None


@dataclass(frozen=True, slots=True)
class TracingView:
    code: str
    """Empty: nothing asked yet."""
    is_looking: bool
    sign: Sign | None
    """HOLD where a recall hits."""
    recalls: tuple[Row, ...]
    waybills: tuple[str, ...]
    """Several where one trace code covers several parcels."""
    rows: tuple[Row, ...]
    """Origin: goods, enterprise, bill, declarations."""
    steps: tuple[StepShown, ...]
    message: Text | None
    """Nothing known, or the path is only what this device knows."""


def step(state: State, context: Context, event: Event) -> tuple[State, tuple[Effect, ...]]:
    match event:
        case TraceAsked(text) | Scanned(text=text):
            number = state.request + 1
            asked = State(request=number, code=text, is_looking=True)
            return asked, (LookUp(number, Wanted.TRACE, text),)
        case Found(request, TraceFindings() as findings, records) if request == state.request:
            found = msgspec.structs.replace(state, is_looking=False, findings=findings, records=records)
            hit = judge(findings.parcel, records).recalls
            known = findings.parcel.waybills or findings.traces
            tone = Tone.HOLD if hit else Tone.RELEASE if known else Tone.UNKNOWN
            return found, (Sound(tone),)
        case TracePutAway():
            return State(request=state.request + 1), ()
        case _:
            return state, ()


# --- what is shown ------------------------------------------------------------------------------------------


def view(state: State, context: Context) -> TracingView:
    findings, records = state.findings, state.records
    if findings is None or records is None:
        return TracingView(state.code, state.is_looking, None, (), (), (), (), None)
    parcel = findings.parcel
    opinion = judge(parcel, records)
    known = bool(parcel.waybills or findings.traces)
    return TracingView(
        code=state.code,
        is_looking=state.is_looking,
        sign=Sign.HOLD if opinion.recalls else None if known else Sign.UNKNOWN,
        recalls=tuple(
            Row(both(recall.recall_no), Text(recall.reason_zh, recall.reason_en), Sign.HOLD)
            for recall in opinion.recalls
        ),
        waybills=tuple(waybill.waybill_no for waybill in parcel.waybills),
        rows=_rows(findings),
        steps=tuple(
            replace(step, at=words.moment(step.at, context.site)) for step in _steps(findings)[:STEPS_SHOWN]
        ),
        message=_ONLY_HERE if known else _NOTHING,
    )


_NOTHING: Final = Text("底账无此溯源码或运单", "No record of this trace code or waybill")
_ONLY_HERE: Final = Text(
    "路径为底账所载及本机所记", "The path as the records tell it, and what this device did"
)
_HERE: Final = Text("本机", "this device")


def _rows(findings: TraceFindings) -> tuple[Row, ...]:
    rows: list[Row] = []
    for waybill in findings.parcel.waybills:
        for line in declared_lines(waybill):
            told = " ".join(part for part in (line.name, line.sku, line.origin, line.batch_no) if part)
            rows.append(Row(Text("货物", "Goods"), both(told)))
        for name, value in (
            (Text("提单", "Bill"), waybill.bill_no),
            (Text("申报清单", "Declaration"), " ".join(waybill.declarations)),
            (Text("订单", "Order"), waybill.order_no),
            (Text("核放单", "Release slip"), waybill.slip_no or ""),
        ):
            if value:
                rows.append(Row(name, both(value)))
    rows += [
        Row(
            Text("企业", "Enterprise"),
            Text(f"{firm.name} {words.TIERS[firm.tier].zh}", f"{firm.name}, {words.TIERS[firm.tier].en}"),
        )
        for firm in findings.parcel.enterprises
    ]
    return tuple(rows)


def _steps(findings: TraceFindings) -> tuple[StepShown, ...]:
    """By time; those without one stand where the records put them, before the first that has one."""
    steps = [
        StepShown(
            step.at,
            Text(step.place_zh, step.place_en or step.place_zh),
            Text(step.what_zh, step.what_en or step.what_zh),
        )
        for trace in findings.traces
        for step in trace.steps
    ]
    steps += [_x_rayed(x_ray) for x_ray in findings.parcel.x_rays]
    steps += [
        StepShown(order.issued, both(order.issued_by), Text("查验指令", "Inspection ordered"), Sign.INSPECT)
        for order in findings.parcel.orders
    ]
    steps += [step for done in findings.done_here if (step := _done_here(done)) is not None]
    undated = [
        StepShown("", both(slip.plate or ""), Text("已过卡", "Passed the gate"))
        for slip in findings.parcel.slips
        if slip.state in (SlipState.PASSED, SlipState.PASSED_FIRST, SlipState.PASSED_SECOND)
    ]
    return (*undated, *sorted(steps, key=lambda step: step.at))


_X_RAYED: Final = {
    XRayVerdict.PASSED: (Text("机检通过", "X-ray passed"), Sign.RELEASE),
    XRayVerdict.FLAGGED: (Text("机检异常", "X-ray flagged"), Sign.INSPECT),
    XRayVerdict.RECHECK: (Text("机检未判", "X-ray not judged"), Sign.INSPECT),
}


def _x_rayed(x_ray: XRay) -> StepShown:
    what, sign = _X_RAYED[x_ray.verdict]
    return StepShown(x_ray.judged, both(x_ray.station), what, sign)


def _done_here(done: DoneHere) -> StepShown | None:
    match done.data:
        case ParcelJudged(verdict=verdict):
            sign = Sign(verdict) if verdict in tuple(Sign) else None
            what = words.WHAT[sign] if sign is not None else both(verdict)
            return StepShown(done.at, _HERE, Text(f"扫描：{what.zh}", f"Scanned: {what.en}"), sign)
        case UnknownScanned():
            return StepShown(done.at, _HERE, Text("扫描：无记录", "Scanned: no record"), Sign.UNKNOWN)
        case InspectionMade(order_no=order_no):
            return StepShown(done.at, _HERE, Text(f"已查验 {order_no}", f"Inspected, {order_no}"))
        case FindingMade(finding=finding, handling=handling):
            told = f"{finding} {handling}".strip()
            return StepShown(done.at, _HERE, Text(f"查验结果：{told}", f"Finding: {told}"))
        case StockCounted(location=location):
            return StepShown(done.at, both(location), Text("盘库", "Counted in a stock-take"))
        case _:
            return None
