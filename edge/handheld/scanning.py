"""One scan, one verdict: a code that was read, looked up, ruled on, shown, sounded and written down.

The verdict is shown and heard first and committed at once after; nobody waits for the link. A garbled read is
never looked up (S7).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final, Literal

import msgspec

from edge.handheld import words
from edge.handheld.context import Context, ScannerSource
from edge.handheld.effects import (
    Commit,
    Effect,
    LookUp,
    Sound,
    Told,
    Tone,
    UseCamera,
    WakeAfter,
    Wanted,
)
from edge.handheld.events import (
    EffectFailed,
    Found,
    KeptBack,
    ParcelFindings,
    ReadGarbled,
    RecordsRead,
    Scanned,
    TimePassed,
)
from edge.handheld.rules import (
    CANCELLED,
    DECLARE_LATER,
    MATCHED,
    RELEASED,
    REQUIRED,
    Opinion,
    judge,
)
from edge.handheld.view import SHAPES, Row, Shape, Sign, both
from sync.policy.ages import is_too_old
from sync.vocabulary.facts import Alarm, AlarmCode, FactData, Stream
from sync.vocabulary.handheld_facts import ParcelJudged, ReadsGarbled, UnknownScanned
from sync.vocabulary.numbers import Carrier, S10No, WaybillNo
from sync.vocabulary.records import (
    Control,
    ControlAction,
    InspectionOrder,
    Mode,
    Waybill,
    XRay,
    XRayVerdict,
    declared_lines,
)
from sync.vocabulary.rulings import Because, Reason, Ruling, Text, Verdict

SAME_LABEL_S: Final = 1.5
"""A label that stays in view is read again and again: nothing happens until it was away for so long."""
AGAIN_S: Final = 30.0
"""The same code within this time is told as scanned again, not counted."""
RECENT: Final = 12
GOODS_SHOWN: Final = 40
GARBLED_TOLD_S: Final = 60.0
"""Garbled reads are counted and told together, so often at most."""
_GARBLED_TIMER: Final = "garbled"


@dataclass(frozen=True, slots=True)
class PutAway:
    """The verdict was read; the next label may come."""


@dataclass(frozen=True, slots=True)
class TorchSet:
    on: bool


@dataclass(frozen=True, slots=True)
class OfferTaken:
    """One of the verdict's `offers` was touched."""

    what: Literal["take_order", "trace", "compare", "read_again"]
    value: str = ""


Intent = PutAway | TorchSet | OfferTaken
"""A typed number, or one of the nearest that was touched, is `Scanned` with source `typed`."""


Event = Intent | Scanned | ReadGarbled | Found | TimePassed | EffectFailed


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A code that is being looked up."""

    text: str
    symbology: str
    source: str


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on the screen, with all it was read from."""

    asked: Asked
    findings: ParcelFindings
    records: RecordsRead
    opinion: Opinion
    is_again: bool
    times: int
    at_s: float


class Recent(msgspec.Struct, frozen=True, kw_only=True):
    text: str
    sign: Sign
    codes: tuple[str, ...]
    """Of the ruling: told again where it has changed."""
    times: int
    at_s: float
    """When it was seen last."""


class State(msgspec.Struct, frozen=True, kw_only=True):
    request: int = 0
    asked: Asked | None = None
    judged: Judged | None = None
    recent: tuple[Recent, ...] = ()
    """The latest first."""
    count: int = 0
    garbled: int = 0
    """Reads that were no code, not told yet."""
    garbled_why: str = ""
    garbled_source: str = ""
    shows_garbled: bool = False
    camera_is_on: bool = False
    torch_is_on: bool = False


@dataclass(frozen=True, slots=True)
class GoodsShown:
    """One declared line."""

    number: str
    name: str
    sku: str
    hs_code: str
    quantity: str
    """With its unit, such as `2 件`."""
    origin: str
    is_recalled: bool = False


@dataclass(frozen=True, slots=True)
class DocumentShown:
    """One of the three documents (订单, 支付单, 物流单), or the declaration."""

    name: Text
    state: Literal["matched", "missing", "differs", "unknown"]
    text: Text


@dataclass(frozen=True, slots=True)
class ControlShown:
    control_id: str
    mode: Text
    reason: Text
    sign: Sign
    """What it asks for."""
    is_obeyed: bool
    """False: only shown (advisory)."""


@dataclass(frozen=True, slots=True)
class PictureShown:
    """Of the X-ray station or the declared reference; `sha256` empty where only words came."""

    name: Text
    text: Text
    sha256: str = ""
    sign: Sign | None = None


@dataclass(frozen=True, slots=True)
class OrderShown:
    """An open inspection order that names this parcel or its slip."""

    order_no: str
    text: Text
    may_take: bool


@dataclass(frozen=True, slots=True)
class UnknownShown:
    """What can be said of a number no record has."""

    pattern: Text
    """Whether it looks like a waybill number at all."""
    carrier: Text
    checksum: Text
    nearest: tuple[str, ...]
    """Numbers in the records that differ by one character or a swap; touching one looks it up."""


@dataclass(frozen=True, slots=True)
class RecentShown:
    text: str
    sign: Sign
    times: int
    """How often it was scanned within the window."""
    ago: Text


@dataclass(frozen=True, slots=True)
class Offer:
    """What can be done with the parcel next."""

    what: Literal["take_order", "trace", "compare", "read_again"]
    text: Text
    value: str = ""
    """The order's number, or the waybill's."""


@dataclass(frozen=True, slots=True)
class VerdictShown:
    sign: Sign
    shape: Shape
    code: str
    what: Text
    """First: what to do, in a word or two."""
    why: tuple[Text, ...]
    """Then why, the reason told first at the front."""
    to_do: tuple[Text, ...]
    """What an officer does about each reason that holds or inspects, in the order of `why`."""
    age: Text
    """Then how old the records are."""
    age_is_too_old: bool
    again: Text | None
    """Scanned again within the window: not counted as a new scan."""
    rows: tuple[Row, ...]
    """Waybill, declaration, slip, enterprise with its tier, quarantine, recall ..."""
    documents: tuple[DocumentShown, ...]
    goods: tuple[GoodsShown, ...]
    goods_cut: int
    """Declared lines beyond those shown."""
    controls: tuple[ControlShown, ...]
    pictures: tuple[PictureShown, ...]
    """X-ray results and references, for the comparison."""
    orders: tuple[OrderShown, ...]
    unknown: UnknownShown | None
    offers: tuple[Offer, ...]


@dataclass(frozen=True, slots=True)
class ScanningView:
    verdict: VerdictShown | None
    """None: nothing scanned yet, or put away."""
    looking_up: str
    """The code that is looked up right now; shown for longer than a blink only where the disk is slow."""
    garbled: Text | None
    """Something was read that is no code: the label should be read again."""
    source: Text
    """What reads codes at present."""
    camera_is_on: bool
    torch_is_on: bool
    count: int
    """Parcels judged since sign-in, those scanned again not counted."""
    recent: tuple[RecentShown, ...]
    """The latest first."""
    hint: Text


# --- what happens -------------------------------------------------------------------------------------------


def step(state: State, context: Context, event: Event) -> tuple[State, tuple[Effect, ...]]:
    match event:
        case Scanned():
            return _scanned(state, context, event)
        case Found(request, ParcelFindings() as findings, records) if (
            request == state.request and state.asked is not None
        ):
            return _judged(state, context, state.asked, findings, records)
        case ReadGarbled(source, why):
            return _garbled(state, source, why)
        case TimePassed(name) if name == _GARBLED_TIMER and state.garbled:
            told = ReadsGarbled(source=state.garbled_source, count=state.garbled, why=state.garbled_why)
            return _changed(state, garbled=0), (Commit((Told(Stream.ROUTINE, told),)),)
        case EffectFailed(Commit(facts=facts)) if state.judged is not None:
            return _not_written(state, state.judged, facts), (Sound(Tone.ERROR),)
        case PutAway():
            return _changed(state, judged=None, asked=None, shows_garbled=False), ()
        case TorchSet(on):
            return _changed(state, torch_is_on=on), (UseCamera(state.camera_is_on, on),)
        case OfferTaken("read_again"):
            return _changed(state, judged=None), ()
        case _:
            return state, ()


def camera(state: State, on: bool) -> tuple[State, tuple[Effect, ...]]:
    """The page was opened or left: frames are read only while somebody aims."""
    if on == state.camera_is_on:
        return state, ()
    after = _changed(state, camera_is_on=on, torch_is_on=state.torch_is_on and on)
    return after, (UseCamera(on, after.torch_is_on),)


def signed_out(state: State) -> State:
    """What was on the screen was for the officer who has left."""
    return State(
        request=state.request + 1,
        garbled=state.garbled,
        garbled_why=state.garbled_why,
        garbled_source=state.garbled_source,
        camera_is_on=state.camera_is_on,
    )


def _scanned(state: State, context: Context, event: Scanned) -> tuple[State, tuple[Effect, ...]]:
    known = next((recent for recent in state.recent if recent.text == event.text), None)
    if known is not None and event.source != "typed" and context.at_s - known.at_s < SAME_LABEL_S:
        kept = tuple(_seen(recent, context.at_s) if recent is known else recent for recent in state.recent)
        return _changed(state, recent=kept), ()
    number = state.request + 1
    asked = Asked(text=event.text, symbology=event.symbology, source=event.source)
    after = _changed(state, request=number, asked=asked, shows_garbled=False)
    return after, (LookUp(number, Wanted.PARCEL, event.text),)


def _seen(recent: Recent, at_s: float) -> Recent:
    return msgspec.structs.replace(recent, at_s=at_s)


def _judged(
    state: State, context: Context, asked: Asked, findings: ParcelFindings, records: RecordsRead
) -> tuple[State, tuple[Effect, ...]]:
    ended = dict(context.ended_orders)
    # What was found here stands before the records have it; once they have, they say how it is handled.
    kept_back = tuple(
        KeptBack(order, ended[order.order_no])
        for order in findings.orders
        if ended.get(order.order_no, RELEASED) != RELEASED
    )
    still_open = tuple(order for order in findings.orders if order.order_no not in ended)
    findings = replace(findings, orders=still_open, kept_back=(*findings.kept_back, *kept_back))
    opinion = judge(findings, records)
    codes = opinion.ruling.codes()
    known = next((recent for recent in state.recent if recent.text == asked.text), None)
    within = known is not None and context.at_s - known.at_s < AGAIN_S
    times = known.times + 1 if known is not None and within else 1
    is_again = known is not None and within and known.codes == codes
    others = tuple(recent for recent in state.recent if recent.text != asked.text)
    newest = Recent(text=asked.text, sign=opinion.sign, codes=codes, times=times, at_s=context.at_s)
    after = _changed(
        state,
        asked=None,
        judged=Judged(
            asked=asked,
            findings=findings,
            records=records,
            opinion=opinion,
            is_again=is_again,
            times=times,
            at_s=context.at_s,
        ),
        recent=(newest, *others)[:RECENT],
        count=state.count if within else state.count + 1,
    )
    if is_again:
        return after, (Sound(Tone.DUPLICATE),)
    return after, (
        Sound(Tone(opinion.sign.value)),
        Commit(facts_of(context, asked, findings, records, opinion)),
    )


def facts_of(
    context: Context, asked: Asked, findings: ParcelFindings, records: RecordsRead, opinion: Opinion
) -> tuple[Told, ...]:
    """What one scan tells: the verdict, or that nobody knows it; and an alarm where it is recalled."""
    officer = "" if context.officer is None else context.officer.officer_no
    told: list[Told] = []
    if opinion.recalls:
        recall = opinion.recalls[0]
        alarm = Alarm(
            code=AlarmCode.RECALL_HIT,
            detail=f"{recall.recall_no} {asked.text}",
            zh=f"召回货物 {asked.text}",
            en=f"Recalled goods {asked.text}",
        )
        told.append(Told(Stream.ALARM, alarm))
    if not findings.waybills:
        told.append(Told(Stream.ROUTINE, _unknown_fact(asked, findings, records, officer)))
    else:
        told.append(Told(Stream.ROUTINE, _judged_fact(asked, findings, records, opinion, officer)))
    return tuple(told)


def _judged_fact(
    asked: Asked, findings: ParcelFindings, records: RecordsRead, opinion: Opinion, officer: str
) -> FactData:
    waybill = opinion.waybill
    return ParcelJudged(
        waybill_no="" if waybill is None else waybill.waybill_no,
        text=asked.text,
        symbology=asked.symbology,
        source=asked.source,
        verdict=opinion.sign.value,
        reasons=tuple(_reason(because) for because in opinion.ruling.reasons),
        officer=officer,
        slip="" if waybill is None or waybill.slip_no is None else waybill.slip_no,
        records_scope=records.scope,
        records_epoch=records.epoch,
        records_number=records.number,
        records_age_s=records.age_s,
        control_versions=tuple(
            f"{control.control_id}@{control.version}:{control.mode.value}" for control in opinion.controls
        ),
        recall_nos=tuple(recall.recall_no for recall in opinion.recalls),
        order_nos=tuple(order.order_no for order in opinion.orders),
    )


def _unknown_fact(asked: Asked, findings: ParcelFindings, records: RecordsRead, officer: str) -> FactData:
    return UnknownScanned(
        text=asked.text,
        symbology=asked.symbology,
        source=asked.source,
        officer=officer,
        kind=kind_of(asked.text),
        nearest=findings.nearest,
        records_epoch=records.epoch,
        records_number=records.number,
        records_age_s=records.age_s,
    )


def _reason(because: Because) -> str:
    return f"{because.code.value}:{because.detail}" if because.detail else because.code.value


def _garbled(state: State, source: str, why: str) -> tuple[State, tuple[Effect, ...]]:
    """S7: Cut off, garbled and read are three types; only a read becomes a number that is looked up."""
    after = _changed(
        state,
        garbled=state.garbled + 1,
        garbled_why=why,
        garbled_source=source,
        shows_garbled=True,
        judged=None,
        asked=None,
    )
    effects: tuple[Effect, ...] = (Sound(Tone.ERROR),)
    return after, effects if state.garbled else (*effects, WakeAfter(_GARBLED_TIMER, GARBLED_TOLD_S))


def _not_written(state: State, judged: Judged, facts: tuple[Told, ...]) -> State:
    """Scanned again it is judged anew: a verdict nobody wrote down is repeated by none."""
    text = judged.asked.text
    told = any(
        isinstance(each.data, ParcelJudged | UnknownScanned) and each.data.text == text for each in facts
    )
    recent = tuple(each for each in state.recent if not told or each.text != text)
    count = state.count - 1 if told and judged.times == 1 else state.count
    return _changed(state, judged=_not_recorded(judged), recent=recent, count=count)


def _not_recorded(judged: Judged) -> Judged:
    """What could not be written down is not decided (G8): nothing goes on its word."""
    reasons = (Because(Reason.JOURNAL_FULL), *judged.opinion.ruling.reasons)
    opinion = replace(judged.opinion, sign=Sign.HOLD, ruling=Ruling(Verdict.HOLD, reasons))
    return msgspec.structs.replace(judged, opinion=opinion, is_again=False)


def _changed(state: State, **changes: object) -> State:
    return msgspec.structs.replace(state, **changes)


# --- what can be said of a number no record has -------------------------------------------------------------

_LOOKS_CUT: Final = re.compile(r"[A-Z0-9-]{1,5}")


def kind_of(text: str) -> str:
    """`sf`, `ems` ... (a carrier's shape), `wrong_check_digit`, `waybill` (may be one), `no_waybill`."""
    number = WaybillNo.parse(text)
    if number is None:
        return "no_waybill"
    if number.check_digit_right is False:
        return "wrong_check_digit"
    return "waybill" if number.carrier is None else number.carrier.value.lower()


def _unknown(findings: ParcelFindings) -> UnknownShown:
    number = WaybillNo.parse(findings.code)
    if number is None:
        cut = _LOOKS_CUT.fullmatch(findings.code) is not None
        pattern = (
            Text("过短，可能未扫全", "Too short, perhaps cut off")
            if cut
            else Text("不是运单号", "Not a waybill number")
        )
        return UnknownShown(pattern, _NO_CARRIER, _NO_RULE, findings.nearest)
    right = number.check_digit_right
    checksum = _NO_RULE if right is None else _CHECK_RIGHT if right else _CHECK_WRONG
    carrier = _NO_CARRIER
    if number.carrier is not None:
        zh = _CARRIERS[number.carrier]
        carrier = Text(f"像{zh}单号", f"Looks like {number.carrier.value}'s")
    elif S10No.pattern.fullmatch(number):
        carrier = Text("像国际邮件单号", "Looks like an international postal item's")
    return UnknownShown(_PATTERN_FITS, carrier, checksum, findings.nearest)


_PATTERN_FITS: Final = Text("符合运单号格式", "Has the form of a waybill number")
_NO_CARRIER: Final = Text("承运人不明", "Carrier not known by its form")
_NO_RULE: Final = Text("无校验规则", "No check digit to test")
_CHECK_RIGHT: Final = Text("校验位正确", "Check digit right")
_CHECK_WRONG: Final = Text("校验位错误，请核对面单", "Check digit wrong, look at the label again")
_CARRIERS: Final = {
    Carrier.SF: "顺丰",
    Carrier.YTO: "圆通",
    Carrier.JT: "极兔",
    Carrier.JD: "京东",
    Carrier.ZTO: "中通",
    Carrier.STO: "申通",
    Carrier.EMS: "邮政",
}


# --- what is shown ------------------------------------------------------------------------------------------

_HINT: Final = Text("对准运单条码", "Aim at the waybill's code")
_SOURCES: Final = {
    ScannerSource.CAMERA: Text("摄像头", "Camera"),
    ScannerSource.SERIAL: Text("串口扫描头", "Serial scan engine"),
    ScannerSource.WEDGE: Text("键盘式扫描枪", "Keyboard scanner"),
    ScannerSource.INTENT: Text("手持机扫描头", "Built-in scan engine"),
}


def view(state: State, context: Context) -> ScanningView:
    return ScanningView(
        verdict=None if state.judged is None else _verdict(state.judged, context),
        looking_up="" if state.asked is None else state.asked.text,
        garbled=Text("条码未读全，请重扫", "Not read whole, scan again") if state.shows_garbled else None,
        source=_SOURCES[context.settings.source],
        camera_is_on=state.camera_is_on,
        torch_is_on=state.torch_is_on,
        count=state.count,
        recent=tuple(
            RecentShown(recent.text, recent.sign, recent.times, words.ago(context.at_s - recent.at_s))
            for recent in state.recent
        ),
        hint=_HINT,
    )


def _verdict(judged: Judged, context: Context) -> VerdictShown:
    opinion, findings = judged.opinion, judged.findings
    waybill = opinion.waybill
    recalled = {sku for recall in opinion.recalls for sku in recall.skus}
    lines = declared_lines(waybill) if waybill is not None else ()
    age_s = judged.records.age_s
    if age_s is not None:
        age_s += max(0.0, context.at_s - judged.at_s)
    todo = [words.to_do(because) for because in opinion.ruling.reasons]
    return VerdictShown(
        sign=opinion.sign,
        shape=SHAPES[opinion.sign],
        code=judged.asked.text,
        what=words.WHAT[opinion.sign],
        why=tuple(words.why(because) for because in opinion.ruling.reasons),
        to_do=tuple(dict.fromkeys(text for text in todo if text is not None)),
        age=words.age(age_s),
        age_is_too_old=is_too_old(age_s, judged.records.site),
        again=_again(judged),
        rows=_rows(opinion),
        documents=() if waybill is None else _documents(waybill),
        goods=tuple(
            GoodsShown(
                number=line.no,
                name=line.name,
                sku=line.sku,
                hs_code=line.hs_code,
                quantity=f"{'' if line.quantity is None else line.quantity} {line.unit}".strip(),
                origin=line.origin,
                is_recalled=line.sku != "" and line.sku in recalled,
            )
            for line in lines[:GOODS_SHOWN]
        ),
        goods_cut=max(0, len(lines) - GOODS_SHOWN),
        controls=tuple(_control(control) for control in opinion.controls if control.mode is not Mode.SHADOW),
        pictures=_pictures(opinion.x_ray, findings),
        orders=tuple(_order(order, context) for order in opinion.orders),
        unknown=None if findings.waybills else _unknown(findings),
        offers=_offers(judged, context),
    )


def _again(judged: Judged) -> Text | None:
    if not judged.is_again:
        return None
    return Text(f"重复扫描 第 {judged.times} 次", f"Scanned again, {judged.times} times")


def _rows(opinion: Opinion) -> tuple[Row, ...]:
    waybill, slip, firm = opinion.waybill, opinion.slip, opinion.enterprise
    rows = [
        Row(
            Text("召回", "Recall"),
            Text(f"{recall.recall_no} {recall.reason_zh}", f"{recall.recall_no} {recall.reason_en}"),
            Sign.HOLD,
        )
        for recall in opinion.recalls
    ]
    if waybill is None:
        return tuple(rows)
    if REQUIRED in (waybill.quarantine, "" if slip is None else slip.quarantine):
        rows.append(Row(Text("检疫", "Quarantine"), Text("应检未检", "due, not done"), Sign.HOLD))
    elif waybill.quarantine:
        rows.append(Row(Text("检疫", "Quarantine"), Text("已检", "done"), Sign.RELEASE))
    rows.append(Row(Text("运单", "Waybill"), both(waybill.waybill_no)))
    if slip is not None:
        state = words.SLIP_STATES[slip.state]
        rows.append(
            Row(
                Text("核放单", "Release slip"),
                Text(f"{slip.slip_no} {state.zh}", f"{slip.slip_no} {state.en}"),
            )
        )
        if slip.plate is not None:
            rows.append(Row(Text("车牌", "Plate"), both(slip.plate)))
    if firm is not None:
        tier = words.TIERS[firm.tier]
        rows.append(
            Row(Text("企业", "Enterprise"), Text(f"{firm.name} {tier.zh}", f"{firm.name}, {tier.en}"))
        )
    elif waybill.enterprise is not None:
        rows.append(Row(Text("企业", "Enterprise"), both(waybill.enterprise)))
    rows.append(Row(Text("件数 毛重", "Pieces, gross"), both(f"{waybill.pieces}, {waybill.gross_kg} kg")))
    for name, value in (
        (Text("监管方式", "Regime"), waybill.regime),
        (Text("溯源码", "Trace code"), waybill.trace_code),
        (Text("批次", "Batch"), waybill.batch_no),
    ):
        if value:
            rows.append(Row(name, both(value)))
    return tuple(rows)


_DOCUMENTS: Final = (
    ("order", Text("订单", "Order")),
    ("payment", Text("支付单", "Payment")),
    ("waybill", Text("物流单", "Waybill")),
)


def _documents(waybill: Waybill) -> tuple[DocumentShown, ...]:
    told = waybill.three_documents
    shown = [_document(name, text, told) for name, text in _DOCUMENTS]
    name = Text("申报清单", "Declaration")
    numbers = both("\n".join(waybill.declarations[:4]))
    if waybill.state == CANCELLED:
        shown.append(DocumentShown(name, "differs", Text("已撤销", "cancelled")))
    elif waybill.declarations:
        shown.append(DocumentShown(name, "matched", numbers))
    elif waybill.state == DECLARE_LATER:
        shown.append(DocumentShown(name, "matched", Text("先出后报", "to be declared later, in a batch")))
    else:
        shown.append(DocumentShown(name, "missing", Text("未申报", "not declared")))
    return tuple(shown)


def _document(name: str, text: Text, told: str) -> DocumentShown:
    """`three_documents`: `matched`; `no_payment` and the like where one is missing; other words differ."""
    if told == MATCHED:
        return DocumentShown(text, "matched", Text("已对碰", "matched"))
    if not told:
        return DocumentShown(text, "unknown", Text("无信息", "not told"))
    if "no_" not in told:
        return DocumentShown(text, "differs", both(told))
    if f"no_{name}" in told:
        return DocumentShown(text, "missing", Text("缺失", "missing"))
    return DocumentShown(text, "matched", Text("已收到", "received"))


def _control(control: Control) -> ControlShown:
    return ControlShown(
        control_id=control.control_id,
        mode=words.MODES[control.mode],
        reason=Text(control.reason_zh, control.reason_en),
        sign=Sign.HOLD if control.action is ControlAction.HOLD else Sign.INSPECT,
        is_obeyed=control.mode is Mode.LIVE,
    )


_X_RAY_SIGNS: Final = {
    XRayVerdict.PASSED: (Sign.RELEASE, Text("机检通过", "X-ray passed")),
    XRayVerdict.FLAGGED: (Sign.INSPECT, Text("机检异常", "X-ray flagged")),
    XRayVerdict.RECHECK: (Sign.INSPECT, Text("机检未判", "X-ray not judged")),
}


def _pictures(x_ray: XRay | None, findings: ParcelFindings) -> tuple[PictureShown, ...]:
    shown = []
    if x_ray is not None:
        sign, text = _X_RAY_SIGNS[x_ray.verdict]
        told = Text(f"{text.zh} {x_ray.words_zh}".strip(), f"{text.en} {x_ray.words_en}".strip())
        shown.append(PictureShown(Text("机检图像", "X-ray"), told, x_ray.sha256, sign))
    for reference in findings.references:
        title = Text(reference.title_zh or reference.sku, reference.title_en or reference.sku)
        shown.append(PictureShown(Text("参考图像", "Reference"), title, reference.sha256))
    return tuple(shown)


def _order(order: InspectionOrder, context: Context) -> OrderShown:
    text = Text(order.instructions_zh or order.order_no, order.instructions_en or order.order_no)
    return OrderShown(order.order_no, text, _may_take(order, context))


def _may_take(order: InspectionOrder, context: Context) -> bool:
    officer = context.officer
    if officer is None or not context.may(order.authorisation):
        return False
    return not order.officers or officer.officer_no in order.officers


def _offers(judged: Judged, context: Context) -> tuple[Offer, ...]:
    opinion, findings = judged.opinion, judged.findings
    offers = [
        Offer("take_order", Text("实施查验", "Inspect"), order.order_no)
        for order in opinion.orders
        if _may_take(order, context)
    ]
    if opinion.waybill is not None:
        if opinion.x_ray is not None or findings.references:
            offers.append(Offer("compare", Text("图像比对", "Compare"), opinion.waybill.waybill_no))
        traced = opinion.waybill.trace_code or opinion.waybill.waybill_no
        offers.append(Offer("trace", Text("溯源", "Trace"), traced))
    else:
        offers.append(Offer("read_again", Text("重扫", "Scan again")))
    return tuple(offers)
