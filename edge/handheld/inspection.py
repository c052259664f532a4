"""Inspection in three steps: order, carrying out, finding with its handling (查验指令, 实施查验, 异常处置).

A draft is kept at every touch; nothing of it is told to the centre as an inspection before the officer has
seen what is missing and sends it. Evidence is: a picture's hash is in the journal when it is on the disk.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal, assert_never

import msgspec

from edge.handheld import words
from edge.handheld.context import Context
from edge.handheld.effects import (
    CheckPin,
    Commit,
    Effect,
    Evidence,
    LookUp,
    MarkPhoto,
    RecordVoice,
    Sound,
    StopVoice,
    TakePhoto,
    Told,
    Tone,
    Wanted,
)
from edge.handheld.events import (
    Committed,
    EffectFailed,
    EvidenceFailed,
    EvidenceKept,
    FactsAcknowledged,
    Found,
    OrderFindings,
    ParcelFindings,
    PinChecked,
    Scanned,
    SyncChanged,
)
from edge.handheld.said import said
from edge.handheld.view import Row, both
from sync.vocabulary import handheld_facts as fact
from sync.vocabulary.blobs import BlobClass
from sync.vocabulary.codec import to_json
from sync.vocabulary.facts import FactData, FindingMade, InspectionMade, OrderTaken, Stream
from sync.vocabulary.records import (
    InspectionMethod,
    InspectionOrder,
    OrderCause,
    OrderPart,
    OrderStanding,
    OrderState,
    Waybill,
    declared_lines,
    quantity_of,
)
from sync.vocabulary.rulings import Text

Finding = Literal["nothing", "not_declared", "other_goods", "other_quantity", "forbidden", "damaged"]
Handling = Literal["released", "returned", "seized", "destroyed", "sample_sent", "referred"]
EvidenceKind = Literal["photo", "marked", "voice"]

# --- what the officer wants ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OrdersAsked:
    """Look again which orders there are."""


@dataclass(frozen=True, slots=True)
class OrderTakeAsked:
    """In hand from now on: a fact."""

    order_no: str


@dataclass(frozen=True, slots=True)
class DraftOpened:
    """One of several in hand comes to the front."""

    order_no: str


@dataclass(frozen=True, slots=True)
class DraftPutAside:
    """Back to the list; nothing is lost."""


@dataclass(frozen=True, slots=True)
class Begun:
    """The goods are in front of the officer."""


@dataclass(frozen=True, slots=True)
class MethodChosen:
    method: InspectionMethod


@dataclass(frozen=True, slots=True)
class LineCounted:
    """A declared line, or with a new number one that was not declared. Empty `counted` takes it back."""

    waybill_no: str
    no: str
    counted: str
    remark: str = ""
    name: str = ""
    """Of a line that was not declared."""


@dataclass(frozen=True, slots=True)
class AllAsDeclared:
    """Every line of this parcel was found as declared."""

    waybill_no: str


@dataclass(frozen=True, slots=True)
class PhotoAsked:
    subject: str = ""


@dataclass(frozen=True, slots=True)
class PhotoMarked:
    """Drawn on a picture: lines of points, as shares of width and height."""

    sha256: str
    strokes: tuple[tuple[tuple[float, float], ...], ...]


@dataclass(frozen=True, slots=True)
class EvidenceLeftOut:
    """Not named by the inspection; it stays on the disk and in the journal."""

    sha256: str


@dataclass(frozen=True, slots=True)
class VoiceBegun:
    pass


@dataclass(frozen=True, slots=True)
class VoiceEnded:
    pass


@dataclass(frozen=True, slots=True)
class Measured:
    what: str
    value: str
    unit: str


@dataclass(frozen=True, slots=True)
class MeasureTakenBack:
    place: int
    """From 1."""


@dataclass(frozen=True, slots=True)
class SealNoted:
    seal_no: str


@dataclass(frozen=True, slots=True)
class RemarkWritten:
    text: str


@dataclass(frozen=True, slots=True)
class SecondOfficerCame:
    """Looks at the same goods and answers for them with their own PIN."""

    officer_no: str
    pin: str

    def __repr__(self) -> str:
        return f"SecondOfficerCame(officer_no={self.officer_no!r}, pin=...)"


@dataclass(frozen=True, slots=True)
class FindingChosen:
    finding: Finding


@dataclass(frozen=True, slots=True)
class HandlingChosen:
    handling: Handling


@dataclass(frozen=True, slots=True)
class SampleTaken:
    """With handling `sample_sent`: the seal's number and what is to be tested."""

    sample_no: str
    waybill_no: str = ""
    sku: str = ""
    quantity: str = ""
    unit: str = ""
    laboratory: str = ""
    tests: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReadyAsked:
    """Complete in the officer's eyes. Refused with what is missing where something is."""


@dataclass(frozen=True, slots=True)
class ChangeAsked:
    """Ready, but not yet: back to the draft."""


@dataclass(frozen=True, slots=True)
class SendAsked:
    """Now it is told: the only way an inspection ever is."""

    order_no: str


@dataclass(frozen=True, slots=True)
class DropAsked:
    """The draft is thrown away, and that is a fact."""

    order_no: str
    why: str


@dataclass(frozen=True, slots=True)
class ResultEntered:
    """检测结果 of a sample that is out. A failed one opens a recall of what `recall_by` names."""

    sample_no: str
    passed: bool
    report_no: str = ""
    found: str = ""
    handling: Handling = "released"
    recall_by: tuple[Literal["waybill", "sku", "batch", "trace_code", "enterprise"], ...] = ()


@dataclass(frozen=True, slots=True)
class MessagePutAway:
    pass


Intent = (
    OrdersAsked | OrderTakeAsked | DraftOpened | DraftPutAside | Begun | MethodChosen | LineCounted
    | AllAsDeclared | PhotoAsked | PhotoMarked | EvidenceLeftOut | VoiceBegun | VoiceEnded | Measured
    | MeasureTakenBack | SealNoted | RemarkWritten | SecondOfficerCame | FindingChosen | HandlingChosen
    | SampleTaken | ReadyAsked | ChangeAsked | SendAsked | DropAsked | ResultEntered | MessagePutAway
)  # fmt: skip
"""A label read while goods are inspected is `Scanned`: it opens that parcel's lines."""

# --- what is shown ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OrderRow:
    """An order this officer may carry out."""

    order_no: str
    cause: Text
    what: Text
    """Slip, plate or parcels."""
    due: Text | None
    is_due: bool
    """Its time is over."""
    in_hand: Text | None
    """Who else has it, as far as the records tell."""
    may_take: bool
    why_not: Text | None = None


@dataclass(frozen=True, slots=True)
class LineShown:
    waybill_no: str
    no: str
    name: str
    sku: str
    hs_code: str
    origin: str
    declared: str
    unit: str
    counted: str
    """Empty: not counted."""
    remark: str
    differs: bool
    is_extra: bool = False
    """Found, and not declared."""


@dataclass(frozen=True, slots=True)
class EvidenceShown:
    sha256: str
    """Empty while it is being taken."""
    kind: EvidenceKind
    subject: str
    taken: str
    state: Literal["taking", "kept", "failed"]
    why: str = ""
    of: str = ""
    """With `marked`: the untouched picture."""


@dataclass(frozen=True, slots=True)
class MeasureShown:
    what: str
    value: str
    unit: str


@dataclass(frozen=True, slots=True)
class Choice:
    value: str
    text: Text
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class PartShown:
    """Something the order or the site asks for."""

    text: Text
    is_done: bool


@dataclass(frozen=True, slots=True)
class DraftShown:
    order_no: str
    step: Literal["taken", "carrying_out", "ready"]
    stopped: Text | None
    """Withdrawn by the centre, or ended by somebody else: nothing more is done with it; it is kept."""
    rows: tuple[Row, ...]
    """Cause, slip, plate, due, who."""
    instructions: Text | None
    parcels: tuple[str, ...]
    parcel: str
    """Whose lines are shown."""
    lines: tuple[LineShown, ...]
    methods: tuple[Choice, ...]
    evidence: tuple[EvidenceShown, ...]
    measures: tuple[MeasureShown, ...]
    is_recording: bool
    seal_no: str
    remark: str
    officers_needed: int
    second_officer: str
    findings: tuple[Choice, ...]
    handlings: tuple[Choice, ...]
    sample: tuple[Row, ...]
    parts: tuple[PartShown, ...]
    missing: tuple[Text, ...]
    """What keeps it from being ready; empty: nothing does."""
    may_send: bool


@dataclass(frozen=True, slots=True)
class DraftRow:
    order_no: str
    state: Literal["draft", "ready", "sending", "sent", "stopped"]
    """`sending`: in the journal, not acknowledged yet; `sent`: the centre has it."""
    text: Text


@dataclass(frozen=True, slots=True)
class SampleRow:
    """Out at the laboratory."""

    sample_no: str
    order_no: str
    text: Text
    sent: str
    recall_by: tuple[Choice, ...]
    """What a failed result could name, as far as it is known of this sample."""


@dataclass(frozen=True, slots=True)
class InspectionView:
    page: Literal["list", "draft"]
    orders: tuple[OrderRow, ...]
    drafts: tuple[DraftRow, ...]
    """In hand and lately sent."""
    draft: DraftShown | None
    samples: tuple[SampleRow, ...]
    draft_count: int
    ready_count: int
    sending_count: int
    sent_count: int
    """Since sign-in."""
    told: Text | None
    """Why the last touch did nothing."""
    is_looking: bool
    second_officer_wanted: bool
    """The second officer's PIN is being checked."""


# --- what is kept -------------------------------------------------------------------------------------------

MOST_DRAFTS: Final = 12
MOST_ORDERS: Final = 100
MOST_PARCELS: Final = 100
MOST_LINES: Final = 600
MOST_LINES_IN_HAND: Final = 2_400
"""Of all drafts before another order is taken: a memory that grows too long could not be written."""
MOST_EVIDENCE: Final = 60
MOST_STROKES: Final = 40
MOST_POINTS: Final = 400
MOST_MEASURES: Final = 40
MOST_SAMPLES: Final = 100
MOST_SENT: Final = 60
MOST_TEXT: Final = 400
MOST_SHORT: Final = 60
MOST_COUNTED_BYTES: Final = 16_000
"""Of counted lines in one fact."""


class Line(msgspec.Struct, frozen=True, array_like=True):
    waybill_no: str
    no: str
    name: str
    sku: str = ""
    hs_code: str = ""
    origin: str = ""
    declared: str = ""
    unit: str = ""
    batch_no: str = ""
    counted: str = ""
    remark: str = ""
    is_extra: bool = False

    @property
    def differs(self) -> bool:
        if self.is_extra:
            return True
        return bool(self.counted and self.declared) and Decimal(self.counted) != Decimal(self.declared)


class Parcel(msgspec.Struct, frozen=True, array_like=True):
    waybill_no: str
    trace_code: str = ""
    enterprise: str = ""
    batch_no: str = ""


class Item(msgspec.Struct, frozen=True, array_like=True):
    """A photo, a marked copy, a voice note."""

    request: int
    kind: EvidenceKind
    subject: str = ""
    state: Literal["taking", "kept", "failed"] = "taking"
    sha256: str = ""
    taken: str = ""
    of: str = ""
    why: str = ""


class Measure(msgspec.Struct, frozen=True, array_like=True):
    what: str
    value: str
    unit: str
    waybill_no: str = ""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    sample_no: str
    order_no: str
    authorisation: str
    waybill_no: str = ""
    sku: str = ""
    batch_no: str = ""
    trace_code: str = ""
    enterprise: str = ""
    quantity: str = ""
    unit: str = ""
    laboratory: str = ""
    tests: tuple[str, ...] = ()
    sent: str = ""


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    order: InspectionOrder
    step: Literal["taken", "carrying_out", "ready"] = "taken"
    stopped: str = ""
    """`withdrawn`, or who has ended it; nothing is done with it any more, and nothing of it is lost."""
    parcels: tuple[Parcel, ...] = ()
    parcel: str = ""
    lines: tuple[Line, ...] = ()
    method: InspectionMethod | None = None
    evidence: tuple[Item, ...] = ()
    measures: tuple[Measure, ...] = ()
    recording: int = 0
    seal_no: str = ""
    remark: str = ""
    second_officer: str = ""
    finding: Finding | None = None
    handling: Handling | None = None
    sample: Sample | None = None

    @property
    def order_no(self) -> str:
        return self.order.order_no


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """Sent by the officer: in the journal once it has a position, at the centre once that is acknowledged."""

    order_no: str
    finding: str
    handling: str
    utc: str
    request: int
    position: int = 0
    is_sent: bool = False
    draft: Draft | None = None
    """Until it is durable: what comes back where it could not be written."""


class State(msgspec.Struct, frozen=True, kw_only=True):
    """Kept with the memory as it is: a kill at any moment keeps every draft."""

    request: int = 0
    looking: int = 0
    """Request of the look-up of all orders; 0: none is under way."""
    wanted: str = ""
    """Number of an order to take when the look-up has answered: a verdict named it."""
    records_number: int = -1
    is_listed: bool = False
    """Orders were looked up since the program started."""
    orders: tuple[InspectionOrder, ...] = ()
    standings: tuple[OrderStanding, ...] = ()
    drafts: tuple[Draft, ...] = ()
    front: str = ""
    """Order number of the draft that is worked on."""
    filling: tuple[tuple[int, str], ...] = ()
    """Look-ups of parcels under way: request and order."""
    dropping: tuple[tuple[int, Draft], ...] = ()
    """Thrown away, and not durably so yet: request of the commit, and what comes back where it fails."""
    checking: tuple[int, str, str] | None = None
    """The second officer's PIN: request, order, officer."""
    outbox: tuple[Outgoing, ...] = ()
    samples: tuple[Sample, ...] = ()
    entered: tuple[tuple[int, Sample], ...] = ()
    """Results told, and not durably so yet: request of the commit, and what comes back where it fails."""
    told: Text | None = None


def kept(state: State) -> State:
    """What a memory holds of it: what the records have is looked up again."""
    return _changed(state, orders=(), standings=(), records_number=-1)


Event = (
    Intent | Scanned | Found | SyncChanged | PinChecked | EvidenceKept | EvidenceFailed | Committed
    | FactsAcknowledged | EffectFailed
)  # fmt: skip
Stepped = tuple[State, tuple[Effect, ...]]

# --- steps --------------------------------------------------------------------------------------------------


def step(state: State, context: Context, event: Event) -> Stepped:
    match event:
        case OrdersAsked():
            return _look(state, context)
        case SyncChanged(sync) if sync.records_number != state.records_number and _is_needed(state, context):
            return _look(_changed(state, records_number=sync.records_number), context)
        case Found(request, OrderFindings() as found):
            return _orders_found(state, context, request, found)
        case Found(request, ParcelFindings() as parcels):
            return _parcel_found(state, request, parcels)
        case OrderTakeAsked(order_no):
            return _take(state, context, order_no)
        case DraftOpened(order_no) if any(draft.order_no == order_no for draft in state.drafts):
            return _changed(state, front=order_no, told=None), ()
        case DraftPutAside():
            return _changed(state, front="", told=None), ()
        case SendAsked(order_no):
            return _send(state, context, order_no)
        case DropAsked(order_no, why):
            return _drop(state, context, order_no, why.strip()[:MOST_TEXT])
        case ResultEntered():
            return _result(state, context, event)
        case PinChecked():
            return _second_checked(state, context, event)
        case EvidenceKept():
            return _kept(state, context, event)
        case EvidenceFailed(request, why):
            return _not_kept(state, request, why)
        case Committed(0, position):
            return _looked_up_again(_committed(state, 0, position))
        case Committed(request, position):
            return _committed(state, request, position), ()
        case FactsAcknowledged(up_to):
            return _acknowledged(state, up_to), ()
        case EffectFailed(Commit(request=request), why) if request:
            return _not_sent(state, request, why)
        case EffectFailed(CheckPin(request=request), why) if state.checking is not None:
            told = Text(f"未能验证：{why[:80]}", f"Not checked: {why[:80]}")
            checking = None if state.checking[0] == request else state.checking
            return _said(_changed(state, checking=checking), told)
        case MessagePutAway():
            return _changed(state, told=None), ()
        case Scanned(text):
            return _scanned(state, text.strip())
        case (
            Begun() | MethodChosen() | LineCounted() | AllAsDeclared() | PhotoAsked() | PhotoMarked()
            | EvidenceLeftOut() | VoiceBegun() | VoiceEnded() | Measured() | MeasureTakenBack() | SealNoted()
            | RemarkWritten() | SecondOfficerCame() | FindingChosen() | HandlingChosen() | SampleTaken()
            | ReadyAsked() | ChangeAsked()
        ):  # fmt: skip
            return _work(state, context, event)
        case _:
            return state, ()


# --- orders -------------------------------------------------------------------------------------------------


def _is_needed(state: State, context: Context) -> bool:
    return context.officer is not None or bool(state.drafts)


def _look(state: State, context: Context) -> Stepped:
    if not _is_needed(state, context):
        return state, ()
    number = state.request + 1
    return _changed(state, request=number, looking=number), (LookUp(number, Wanted.ORDERS),)


def _orders_found(state: State, context: Context, request: int, found: OrderFindings) -> Stepped:
    order_no = dict(state.filling).get(request)
    if order_no is not None:
        state = _changed(state, filling=tuple(each for each in state.filling if each[0] != request))
        draft = _draft(state, order_no)
        return (state, ()) if draft is None else (_put(state, _with_parcels(draft, found.waybills)), ())
    if request != state.looking:
        return state, ()
    by_no = {order.order_no: order for order in found.orders}
    standings = {each.order_no: each for each in found.standings}
    drafts = tuple(
        draft
        if draft.stopped
        else msgspec.structs.replace(draft, stopped=_why_stopped(draft, by_no, standings, context))
        for draft in state.drafts
    )
    newly = [
        draft.order_no
        for draft, old in zip(drafts, state.drafts, strict=True)
        if draft.stopped and not old.stopped
    ]
    state = _changed(
        state,
        looking=0,
        is_listed=True,
        orders=tuple(order for order in found.orders if order.state is OrderState.OPEN)[:MOST_ORDERS],
        standings=tuple(standings[no] for no in by_no if no in standings)[:MOST_ORDERS],
        drafts=drafts,
    )
    wanted, state = state.wanted, _changed(state, wanted="")
    if newly:
        nos = " ".join(newly)
        told = Text(f"指令已停止：{nos}", f"Stopped: {nos}")
        return _changed(state, told=told), (Sound(Tone.HOLD),)
    return _take(state, context, wanted) if wanted else (state, ())


def _why_stopped(
    draft: Draft,
    orders: dict[str, InspectionOrder],
    standings: dict[str, OrderStanding],
    context: Context,
) -> str:
    order, standing = orders.get(draft.order_no), standings.get(draft.order_no)
    if order is not None and order.state is OrderState.WITHDRAWN:
        return "withdrawn"
    if standing is not None and standing.step == "found" and standing.device != context.device:
        return f"{', '.join(standing.officers)} {standing.device}".strip()
    return ""


def _in_hand(state: State, order_no: str, context: Context) -> OrderStanding | None:
    """Where somebody else has it, or it is done with."""
    standing = next((each for each in state.standings if each.order_no == order_no), None)
    if standing is None or (standing.not_counted and not standing.officers):
        return None
    mine = context.officer is not None and standing.officers[:1] == (context.officer.officer_no,)
    return None if mine and standing.step != "found" else standing


def _is_for(order: InspectionOrder, context: Context) -> bool:
    """Authorised for it, and named in it where it names anybody."""
    if context.officer is None or not context.may(order.authorisation):
        return False
    return not order.officers or context.officer.officer_no in order.officers


def _take(state: State, context: Context, order_no: str) -> Stepped:
    order = next((order for order in state.orders if order.order_no == order_no), None)
    if order is None and not state.wanted and context.officer is not None and not state.is_listed:
        looked, effects = _look(state, context)
        return _changed(looked, wanted=order_no), effects
    if order is None or context.officer is None or not _is_for(order, context):
        return _said(state, Text("无此指令或无授权", "No such order for you"))
    if _draft(state, order_no) is not None:
        return _changed(state, front=order_no), ()
    if _is_over(state, order_no):
        return _said(state, Text("此指令已处置", "This order is done with"))
    standing = _in_hand(state, order_no, context)
    if standing is not None:
        who = ", ".join(standing.officers)
        return _said(state, Text(f"已由 {who} 领取", f"{who} has it in hand"))
    lines = sum(len(draft.lines) for draft in state.drafts)
    if len(state.drafts) >= MOST_DRAFTS or lines >= MOST_LINES_IN_HAND:
        return _said(state, Text("在办过多，请先处置", "Too many in hand: finish some first"))
    parcels = tuple(Parcel(str(waybill_no)) for waybill_no in order.waybill_nos[:MOST_PARCELS])
    draft = Draft(
        order=order, method=order.method, parcels=parcels, parcel=parcels[0].waybill_no if parcels else ""
    )
    number = state.request + 1
    state = _changed(
        state,
        request=number,
        drafts=(*state.drafts, draft),
        front=order_no,
        filling=(*state.filling, (number, order_no))[-MOST_DRAFTS:],
        told=None,
    )
    taken = OrderTaken(order_no=order_no, officers=(context.officer.officer_no,))
    return state, (_commit(taken), LookUp(number, Wanted.ORDERS, f"order {order_no}"))


def _with_parcels(draft: Draft, waybills: tuple[Waybill, ...]) -> Draft:
    """What was counted stays as it is."""
    known = {(line.waybill_no, line.no) for line in draft.lines}
    parcels = {parcel.waybill_no: parcel for parcel in draft.parcels}
    lines = list(draft.lines)
    for waybill in waybills:
        number = str(waybill.waybill_no)
        if number not in parcels and len(parcels) >= MOST_PARCELS:
            continue
        parcels[number] = Parcel(number, waybill.trace_code, waybill.enterprise or "", waybill.batch_no)
        for line in declared_lines(waybill):
            if (number, line.no) in known or len(lines) >= MOST_LINES:
                continue
            declared = "" if line.quantity is None else str(line.quantity)
            lines.append(
                Line(
                    number,
                    line.no,
                    line.name,
                    line.sku,
                    line.hs_code,
                    line.origin,
                    declared,
                    line.unit,
                    line.batch_no,
                )
            )
    front = draft.parcel or next(iter(parcels), "")
    return msgspec.structs.replace(draft, parcels=tuple(parcels.values()), lines=tuple(lines), parcel=front)


def _scanned(state: State, text: str) -> Stepped:
    """A parcel of the draft comes to the front; another one is looked up: it may be on the order's slip."""
    draft = _draft(state, state.front)
    if draft is None:
        return _said(state, Text("请先打开一条指令", "Open an order first"))
    if any(parcel.waybill_no == text for parcel in draft.parcels):
        return _put(state, msgspec.structs.replace(draft, parcel=text)), (Sound(Tone.RELEASE),)
    number = state.request + 1
    filling = (*state.filling, (number, draft.order_no))[-MOST_DRAFTS:]
    return _changed(state, request=number, filling=filling), (LookUp(number, Wanted.PARCEL, text),)


def _parcel_found(state: State, request: int, found: ParcelFindings) -> Stepped:
    order_no = dict(state.filling).get(request)
    if order_no is None:
        return state, ()
    state = _changed(state, filling=tuple(each for each in state.filling if each[0] != request))
    draft = _draft(state, order_no)
    if draft is None:
        return state, ()
    order = draft.order
    its = tuple(
        waybill
        for waybill in found.waybills
        if waybill.waybill_no in order.waybill_nos
        or (not order.waybill_nos and order.slip_no is not None and waybill.slip_no == order.slip_no)
    )
    if len(its) != 1:
        return _said(state, Text("此包裹不在本指令内", "This parcel is not part of the order"))
    draft = msgspec.structs.replace(_with_parcels(draft, its), parcel=str(its[0].waybill_no))
    return _put(state, draft), (Sound(Tone.RELEASE),)


# --- carrying out -------------------------------------------------------------------------------------------

_Touch = (
    Begun | MethodChosen | LineCounted | AllAsDeclared | PhotoAsked | PhotoMarked | EvidenceLeftOut
    | VoiceBegun | VoiceEnded | Measured | MeasureTakenBack | SealNoted | RemarkWritten | SecondOfficerCame
    | FindingChosen | HandlingChosen | SampleTaken | ReadyAsked | ChangeAsked
)  # fmt: skip


def _work(state: State, context: Context, event: _Touch) -> Stepped:
    draft = _draft(state, state.front)
    if draft is None:
        return state, ()
    if draft.stopped:
        return _said(state, _stopped_words(draft))
    if context.officer is None or not _is_for(draft.order, context):
        return _said(state, Text("无此指令授权", "You are not authorised for this order"))
    match draft.step, event:
        case "taken", Begun():
            parcels = tuple(parcel.waybill_no for parcel in draft.parcels)
            begun = fact.InspectionBegun(
                order_no=draft.order_no, officers=(context.officer.officer_no,), waybill_nos=parcels
            )
            return _put(state, msgspec.structs.replace(draft, step="carrying_out")), (_commit(begun),)
        case "carrying_out", ReadyAsked():
            lacks = missing(draft, context)
            if lacks:
                return _said(state, lacks[0])
            return _put(state, msgspec.structs.replace(draft, step="ready")), ()
        case "ready", ChangeAsked():
            return _put(state, msgspec.structs.replace(draft, step="carrying_out")), ()
        case "carrying_out", _:
            return _carry_out(state, context, draft, event)
        case "taken", _:
            return _said(state, Text("请先开始查验", "Begin the inspection first"))
        case _:
            return _said(
                state, Text("已备好，如需更改请退回草稿", "It is ready: go back to the draft to change it")
            )


def _carry_out(state: State, context: Context, draft: Draft, event: _Touch) -> Stepped:
    match event:
        case MethodChosen(method):
            if draft.order.method is not None and method is not draft.order.method:
                return _said(state, Text("指令已指定查验方式", "The order says how"))
            return _edit(state, draft, method=method)
        case LineCounted():
            return _count(state, draft, event)
        case AllAsDeclared(waybill_no):
            lines = tuple(
                msgspec.structs.replace(line, counted=line.declared)
                if line.waybill_no == waybill_no and line.declared and not line.is_extra
                else line
                for line in draft.lines
            )
            return _edit(state, draft, lines=lines)
        case PhotoAsked() | PhotoMarked() | VoiceBegun() | VoiceEnded():
            return _capture(state, draft, context, event)
        case EvidenceLeftOut(sha256):
            left = tuple(item for item in draft.evidence if item.sha256 != sha256 or item.state == "taking")
            return _edit(state, draft, evidence=left)
        case Measured(what, value, unit):
            what, unit = what.strip()[:MOST_SHORT], unit.strip()[:MOST_SHORT]
            if not what or quantity_of(value.strip()) is None or len(draft.measures) >= MOST_MEASURES:
                return _said(state, Text("请输入项目和数值", "Enter what was measured, and a number"))
            measure = Measure(what, value.strip(), unit, draft.parcel)
            return _edit(state, draft, measures=(*draft.measures, measure))
        case MeasureTakenBack(place):
            kept = tuple(each for at, each in enumerate(draft.measures, start=1) if at != place)
            return _edit(state, draft, measures=kept)
        case SealNoted(seal_no):
            return _edit(state, draft, seal_no=seal_no.strip()[:MOST_SHORT])
        case RemarkWritten(text):
            return _edit(state, draft, remark=text.strip()[:MOST_TEXT])
        case SecondOfficerCame(officer_no, pin):
            return _second(state, context, draft, officer_no.strip(), pin)
        case FindingChosen(finding):
            return _edit(state, draft, finding=finding)
        case HandlingChosen(handling):
            sample = draft.sample if handling == "sample_sent" else None
            return _edit(state, draft, handling=handling, sample=sample)
        case SampleTaken():
            return _sample(state, draft, event)
        case _:
            return state, ()


def _count(state: State, draft: Draft, event: LineCounted) -> Stepped:
    counted = event.counted.strip()
    if counted and quantity_of(counted) is None:
        return _said(state, Text("请输入数量，如 12 或 0.5", "Enter a quantity such as 12 or 0.5"))
    remark, name = event.remark.strip()[:MOST_TEXT], event.name.strip()[:MOST_TEXT]
    here = next(
        (line for line in draft.lines if (line.waybill_no, line.no) == (event.waybill_no, event.no)), None
    )
    if here is None:
        if not counted or not name or not event.no or len(draft.lines) >= MOST_LINES:
            return _said(
                state, Text("账外货物请填名称和数量", "Goods not declared: give a name and a quantity")
            )
        extra = Line(
            event.waybill_no, event.no[:MOST_SHORT], name, counted=counted, remark=remark, is_extra=True
        )
        return _edit(state, draft, lines=(*draft.lines, extra))
    if here.is_extra and not counted:
        return _edit(state, draft, lines=tuple(line for line in draft.lines if line is not here))
    changed = msgspec.structs.replace(here, counted=counted, remark=remark)
    return _edit(state, draft, lines=tuple(changed if line is here else line for line in draft.lines))


def _sample(state: State, draft: Draft, event: SampleTaken) -> Stepped:
    sample_no = event.sample_no.strip()[:MOST_SHORT]
    waybill_no = event.waybill_no or draft.parcel
    if not sample_no or any(sample.sample_no == sample_no for sample in state.samples):
        return _said(state, Text("请扫描样品封签（未用过的）", "Scan the sample's seal, one not used before"))
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
    return _edit(state, draft, handling="sample_sent", sample=sample)


# --- evidence -----------------------------------------------------------------------------------------------


def _photo(number: int, subject: str, draft: Draft, context: Context) -> TakePhoto:
    officer = "" if context.officer is None else context.officer.officer_no
    zone = "" if context.site is None else context.site.zone
    return TakePhoto(number, subject, officer, draft.order_no[:MOST_TEXT], zone)


def _capture(
    state: State,
    draft: Draft,
    context: Context,
    event: PhotoAsked | PhotoMarked | VoiceBegun | VoiceEnded,
) -> Stepped:
    if isinstance(event, VoiceEnded):
        return state, (StopVoice(draft.recording),) if draft.recording else ()
    if len(draft.evidence) >= MOST_EVIDENCE:
        return _said(state, Text("证据过多", "Too many pictures for one inspection"))
    number = state.request + 1
    match event:
        case PhotoAsked(subject):
            subject = (subject or draft.parcel or draft.order_no)[:MOST_TEXT]
            item, effect = Item(number, "photo", subject), _photo(number, subject, draft, context)
            return _edit(state, draft, effect, number, evidence=(*draft.evidence, item))
        case PhotoMarked(sha256, strokes):
            plain = next(
                (each for each in draft.evidence if each.sha256 == sha256 and each.kind != "voice"), None
            )
            if plain is None or not 0 < len(strokes) <= MOST_STROKES:
                return _said(state, Text("没有这张照片", "There is no such picture"))
            cut = tuple(stroke[:MOST_POINTS] for stroke in strokes)
            item = Item(number, "marked", plain.subject, of=plain.of or sha256)
            mark = MarkPhoto(number, sha256, cut)
            return _edit(state, draft, mark, number, evidence=(*draft.evidence, item))
        case VoiceBegun():
            if draft.recording:
                return state, ()
            item = Item(number, "voice", draft.parcel or draft.order_no)
            record = RecordVoice(number)
            return _edit(state, draft, record, number, evidence=(*draft.evidence, item), recording=number)


def _kept(state: State, context: Context, event: EvidenceKept) -> Stepped:
    """In the journal as soon as it is on the disk, whatever becomes of the inspection."""
    draft = _with_item(state, event.request)
    if draft is None:
        return state, ()
    item = next(each for each in draft.evidence if each.request == event.request)
    kept = msgspec.structs.replace(item, state="kept", sha256=event.sha256, taken=event.taken, why="")
    told = fact.EvidenceTaken(
        sha256=event.sha256,
        size_bytes=event.size_bytes,
        kind=event.kind,
        of=item.of,
        subject=item.subject,
        officer="" if context.officer is None else context.officer.officer_no,
        order_no=draft.order_no,
        waybill_no=draft.parcel,
        taken=event.taken,
    )
    draft = msgspec.structs.replace(
        draft,
        evidence=tuple(kept if each is item else each for each in draft.evidence),
        recording=0 if draft.recording == event.request else draft.recording,
    )
    owed = Evidence(event.sha256, event.size_bytes, BlobClass.HELD)
    return _put(state, draft), (Commit((Told(Stream.ROUTINE, told),), (owed,), request=event.request),)


def _not_kept(state: State, request: int, why: str) -> Stepped:
    draft = _with_item(state, request)
    if draft is None:
        return state, ()
    words_of_it = said(why)
    told = Text(f"未能保存：{words_of_it.zh[:80]}", f"Not kept: {words_of_it.en[:80]}")
    return _changed(_put(state, _failed(draft, request, why)), told=told), (Sound(Tone.ERROR),)


def _failed(draft: Draft, request: int, why: str) -> Draft:
    evidence = tuple(
        msgspec.structs.replace(each, state="failed", why=why[:MOST_TEXT])
        if each.request == request
        else each
        for each in draft.evidence
    )
    return msgspec.structs.replace(
        draft, evidence=evidence, recording=0 if draft.recording == request else draft.recording
    )


def _with_item(state: State, request: int) -> Draft | None:
    """The draft that waits for it."""
    return next(
        (
            draft
            for draft in state.drafts
            if any(item.request == request and item.state == "taking" for item in draft.evidence)
        ),
        None,
    )


# --- the second officer -------------------------------------------------------------------------------------


def officers_needed(draft: Draft, context: Context) -> int:
    """As the order says, and two where the site wants two for what is done (双人作业)."""
    methods = () if context.site is None else context.site.two_officer_methods
    done = {draft.method} | ({InspectionMethod.SAMPLE} if draft.sample is not None else set())
    return min(2, max(draft.order.officers_needed, 2 if done & set(methods) else 1))


def _second(state: State, context: Context, draft: Draft, officer_no: str, pin: str) -> Stepped:
    if context.officer is None or not officer_no or officer_no == context.officer.officer_no:
        return _said(state, Text("须由另一位关员确认", "It has to be another officer"))
    number = state.request + 1
    state = _changed(state, request=number, checking=(number, draft.order_no, officer_no), told=None)
    return state, (CheckPin(number, officer_no, pin),)


def _second_checked(state: State, context: Context, answer: PinChecked) -> Stepped:
    if state.checking is None or state.checking[0] != answer.request:
        return state, ()
    _, order_no, officer_no = state.checking
    state = _changed(state, checking=None)
    draft = _draft(state, order_no)
    if answer.outcome != "right":
        refused = fact.SignInRefused(
            officer=officer_no, why=answer.outcome, tries=answer.tries, wait_s=answer.wait_s
        )
        told = Text("第二位关员未通过验证", "The second officer was not proved")
        return _changed(state, told=told), (_commit(refused), Sound(Tone.ERROR))
    if draft is None or draft.step != "carrying_out" or draft.stopped:
        return state, ()
    if draft.order.authorisation not in answer.authorisations:
        return _said(state, Text("第二位关员无此授权", "The second officer is not authorised for this"))
    return _put(state, msgspec.structs.replace(draft, second_officer=officer_no)), (Sound(Tone.RELEASE),)


# --- ready, sent --------------------------------------------------------------------------------------------

_PARTS: Final = {
    OrderPart.QUANTITIES: Text("清点每一行", "Count every line"),
    OrderPart.PHOTOS: Text("拍照", "Take a photo"),
    OrderPart.MEASUREMENTS: Text("测量", "Measure"),
    OrderPart.SEAL: Text("记录封志号", "Note the seal's number"),
    OrderPart.SAMPLE: Text("取样送检", "Take a sample for the laboratory"),
    OrderPart.VOICE: Text("语音记录", "Record a voice note"),
}


def _is_done(draft: Draft, part: OrderPart) -> bool:
    kept = [item.kind for item in draft.evidence if item.state == "kept"]
    match part:
        case OrderPart.QUANTITIES:
            return bool(draft.lines) and all(line.counted for line in draft.lines)
        case OrderPart.PHOTOS:
            return "photo" in kept or "marked" in kept
        case OrderPart.MEASUREMENTS:
            return bool(draft.measures)
        case OrderPart.SEAL:
            return bool(draft.seal_no)
        case OrderPart.SAMPLE:
            return draft.sample is not None
        case OrderPart.VOICE:
            return "voice" in kept
        case _:
            assert_never(part)


def missing(draft: Draft, context: Context) -> tuple[Text, ...]:
    """What keeps it from being ready, the first thing first. Empty: nothing does."""
    officer = "" if context.officer is None else context.officer.officer_no
    differs = any(line.differs for line in draft.lines)
    nothing = draft.finding == "nothing"
    two = officers_needed(draft, context) > 1
    wants = (
        (draft.method is None, Text("选择查验方式", "Choose how it was inspected")),
        *((not _is_done(draft, part), _PARTS[part]) for part in draft.order.parts),
        (bool(draft.recording), Text("结束录音", "End the voice note")),
        (
            any(item.state == "taking" for item in draft.evidence),
            Text("照片正在保存", "A picture is still being kept"),
        ),
        (draft.finding is None, Text("选择查验结果", "Choose what was found")),
        (draft.handling is None, Text("选择处置", "Choose what is done about it")),
        (
            nothing and differs,
            Text("清点与申报不符，结果不能为未见异常", "The count differs: it cannot be nothing found"),
        ),
        (
            nothing and draft.handling in ("returned", "seized", "destroyed"),
            Text(
                "未见异常不能退运、扣留或销毁", "Nothing was found: it is not returned, seized or destroyed"
            ),
        ),
        (
            draft.finding == "forbidden" and draft.handling == "released",
            Text("禁限物品不能放行", "What is forbidden is not released"),
        ),
        (
            draft.finding not in (None, "nothing") and not _is_done(draft, OrderPart.PHOTOS),
            Text("有异常须拍照", "What was found needs a photo"),
        ),
        (
            draft.handling == "sample_sent" and draft.sample is None,
            Text("登记样品封签", "Enter the sample's seal"),
        ),
        (
            two and draft.second_officer in ("", officer),
            Text("须第二位关员确认", "A second officer has to confirm"),
        ),
    )
    return tuple(text for is_missing, text in wants if is_missing)


def _send(state: State, context: Context, order_no: str) -> Stepped:
    """Inspection and finding in one transaction: the order has one end, whenever power goes."""
    draft = _draft(state, order_no)
    if draft is None or context.officer is None or not _is_for(draft.order, context):
        return _said(state, Text("无此草稿或无授权", "No such draft for you"))
    if draft.stopped:
        return _said(state, _stopped_words(draft))
    lacks = missing(draft, context)
    if draft.step != "ready" or lacks:
        return _said(state, lacks[0] if lacks else Text("请先确认备好", "Say first that it is ready"))
    officer = context.officer.officer_no
    number = state.request + 1
    out = Outgoing(
        order_no=order_no,
        finding=draft.finding or "",
        handling=draft.handling or "",
        utc=context.utc,
        request=number,
        draft=draft,
    )
    samples = state.samples
    if draft.sample is not None:
        samples = (*samples, msgspec.structs.replace(draft.sample, sent=context.utc))[-MOST_SAMPLES:]
    state = _changed(
        state,
        request=number,
        drafts=tuple(each for each in state.drafts if each.order_no != order_no),
        front="" if state.front == order_no else state.front,
        outbox=_trimmed((*state.outbox, out)),
        samples=samples,
        told=None,
    )
    facts = tuple(Told(Stream.ROUTINE, data) for data in _facts_of(draft, officer, context))
    return state, (Commit(facts, request=number), Sound(Tone.RELEASE))


def _facts_of(draft: Draft, officer: str, context: Context) -> tuple[FactData, ...]:
    second = draft.second_officer if officers_needed(draft, context) > 1 else ""
    officers = (officer, second) if second else (officer,)
    waybills = tuple(parcel.waybill_no for parcel in draft.parcels)
    kept = [item for item in draft.evidence if item.state == "kept"]
    counted = _counted(draft)
    made = InspectionMade(
        order_no=draft.order_no,
        officers=officers,
        waybill_nos=waybills,
        method="" if draft.method is None else draft.method.value,
        pictures=tuple(item.sha256 for item in kept if item.kind != "voice"),
        quantities=counted[0],
        parts=len(counted),
        measured=tuple(
            fact.MeasuredValue(what=each.what, value=each.value, unit=each.unit, waybill_no=each.waybill_no)
            for each in draft.measures
        ),
        marked=tuple(item.sha256 for item in kept if item.kind == "marked"),
        voice_notes=tuple(item.sha256 for item in kept if item.kind == "voice"),
        seal_no=draft.seal_no,
        second_officer=second,
        remark=draft.remark,
    )
    further = tuple(
        InspectionMade(
            order_no=draft.order_no,
            officers=officers,
            waybill_nos=tuple(dict.fromkeys(line.waybill_no for line in lines)),
            method=made.method,
            quantities=lines,
            part=part,
            parts=len(counted),
        )
        for part, lines in enumerate(counted[1:], start=2)
    )
    found = FindingMade(
        order_no=draft.order_no,
        officers=officers,
        finding=draft.finding or "",
        handling=draft.handling or "",
        remark=draft.remark,
        waybill_nos=waybills,
        sample_no="" if draft.sample is None else draft.sample.sample_no,
    )
    if draft.sample is None:
        return made, *further, found
    sample = draft.sample
    sent = fact.SampleSent(
        order_no=draft.order_no,
        sample_no=sample.sample_no,
        officers=officers,
        waybill_no=sample.waybill_no,
        sku=sample.sku,
        batch_no=sample.batch_no,
        quantity=sample.quantity,
        unit=sample.unit,
        laboratory=sample.laboratory,
        tests=sample.tests,
    )
    return made, *further, sent, found


def _counted(draft: Draft) -> list[tuple[fact.CountedLine, ...]]:
    """As many at once as one fact can carry beside all else it says."""
    parts: list[tuple[fact.CountedLine, ...]] = [()]
    size_bytes = 0
    for line in draft.lines:
        if not line.counted:
            continue
        told = fact.CountedLine(
            waybill_no=line.waybill_no,
            no=line.no,
            sku=line.sku,
            name=line.name,
            declared=line.declared,
            counted=line.counted,
            unit=line.unit,
            remark=line.remark,
        )
        more_bytes = len(to_json(told))
        if parts[-1] and size_bytes + more_bytes > MOST_COUNTED_BYTES:
            parts.append(())
            size_bytes = 0
        parts[-1] = (*parts[-1], told)
        size_bytes += more_bytes
    return parts


def _trimmed(outbox: tuple[Outgoing, ...]) -> tuple[Outgoing, ...]:
    """What the centre does not have is never forgotten."""
    spare = max(0, len(outbox) - MOST_SENT)
    sent = [out for out in outbox if out.is_sent][:spare]
    return tuple(out for out in outbox if out not in sent)


def _committed(state: State, request: int, position: int) -> State:
    """Request 0 comes once, at the start: whatever the memory holds as sent stands before this position, and
    no picture is being taken."""
    outbox = tuple(
        msgspec.structs.replace(out, position=position, draft=None)
        if out.position == 0 and request in (0, out.request)
        else out
        for out in state.outbox
    )
    if request:
        dropping = tuple(each for each in state.dropping if each[0] != request)
        entered = tuple(each for each in state.entered if each[0] != request)
        return _changed(state, outbox=outbox, dropping=dropping, entered=entered)
    why = "interrupted"
    drafts = tuple(
        msgspec.structs.replace(
            draft,
            recording=0,
            evidence=tuple(
                msgspec.structs.replace(item, state="failed", why=why) if item.state == "taking" else item
                for item in draft.evidence
            ),
        )
        for draft in state.drafts
    )
    return _changed(
        state,
        outbox=outbox,
        drafts=drafts,
        dropping=(),
        entered=(),
        checking=None,
        looking=0,
        wanted="",
        is_listed=False,
        filling=(),
    )


def _looked_up_again(state: State) -> Stepped:
    """What was declared had not come yet for some when the power went."""
    effects: list[Effect] = []
    for draft in state.drafts:
        if not draft.lines and not draft.stopped:
            number = state.request + 1
            state = _changed(state, request=number, filling=(*state.filling, (number, draft.order_no)))
            effects.append(LookUp(number, Wanted.ORDERS, f"order {draft.order_no}"))
    return state, tuple(effects)


def _acknowledged(state: State, up_to: int) -> State:
    outbox = tuple(
        msgspec.structs.replace(out, is_sent=True) if 0 < out.position <= up_to else out
        for out in state.outbox
    )
    return _changed(state, outbox=outbox)


def _not_sent(state: State, request: int, why: str) -> Stepped:
    """Nothing of that transaction happened: the draft is back, ready as it was."""
    dropped = dict(state.dropping).get(request)
    if dropped is not None:
        dropping = tuple(each for each in state.dropping if each[0] != request)
        state = _changed(state, dropping=dropping, drafts=(*state.drafts, dropped))
        return _said(state, Text(f"未能记录：{why[:80]}", f"Not recorded: {why[:80]}"))
    resulted = dict(state.entered).get(request)
    if resulted is not None:
        entered = tuple(each for each in state.entered if each[0] != request)
        state = _changed(state, entered=entered, samples=(*state.samples, resulted))
        return _said(state, Text(f"未能记录：{why[:80]}", f"Not recorded: {why[:80]}"))
    pictured = next(
        (each for each in state.drafts if any(item.request == request for item in each.evidence)), None
    )
    if pictured is not None:
        told = Text(f"未能保存：{why[:80]}", f"Not kept: {why[:80]}")
        return _said(_put(state, _failed(pictured, request, why)), told)
    out = next((each for each in state.outbox if each.request == request and each.position == 0), None)
    if out is None or out.draft is None:
        return state, ()
    sample = out.draft.sample
    state = _changed(
        state,
        outbox=tuple(each for each in state.outbox if each is not out),
        drafts=(*state.drafts, out.draft),
        samples=tuple(each for each in state.samples if sample is None or each.sample_no != sample.sample_no),
    )
    return _said(state, Text(f"未能发送：{why[:80]}", f"Not sent: {why[:80]}"))


def _drop(state: State, context: Context, order_no: str, why: str) -> Stepped:
    draft = _draft(state, order_no)
    if draft is None or context.officer is None:
        return _said(state, Text("没有此草稿", "There is no such draft"))
    if not why:
        return _said(state, Text("请说明作废原因", "Say why it is thrown away"))
    counted = sum(bool(line.counted) for line in draft.lines)
    kept = sum(item.state == "kept" for item in draft.evidence)
    dropped = fact.DraftDropped(
        what="inspection",
        number=order_no,
        officer=context.officer.officer_no,
        why=why,
        held=f"{draft.stopped or draft.step}: {counted} of {len(draft.lines)} lines, {kept} pieces of "
        f"evidence, {len(draft.measures)} measures, finding {draft.finding or 'none'}",
    )
    number = state.request + 1
    state = _changed(
        state,
        request=number,
        drafts=tuple(each for each in state.drafts if each is not draft),
        dropping=(*state.dropping, (number, draft)),
        front="" if state.front == order_no else state.front,
        told=None,
    )
    return state, (Commit((Told(Stream.ROUTINE, dropped),), request=number),)


# --- the laboratory -----------------------------------------------------------------------------------------


def _result(state: State, context: Context, event: ResultEntered) -> Stepped:
    sample = next((each for each in state.samples if each.sample_no == event.sample_no), None)
    if sample is None or context.officer is None or not context.may(sample.authorisation):
        return _said(state, Text("无此样品或无授权", "No such sample for you"))
    if event.handling in ("sample_sent", "referred") or not event.report_no.strip():
        return _said(state, Text("填写报告号和处置", "Enter the report's number and the handling"))
    if not event.passed and event.handling == "released":
        return _said(state, Text("检测不合格不能放行", "What failed is not released"))
    recall = None if event.passed else _recall_of(sample, event)
    if not event.passed and recall is None:
        return _said(state, Text("选择召回范围", "Choose what is recalled"))
    result = fact.LaboratoryResult(
        sample_no=sample.sample_no,
        order_no=sample.order_no,
        officers=(context.officer.officer_no,),
        passed=event.passed,
        report_no=event.report_no.strip()[:MOST_SHORT],
        found=event.found.strip()[:MOST_TEXT],
        handling=event.handling,
        recall=recall,
    )
    samples = tuple(each for each in state.samples if each is not sample)
    number = state.request + 1
    entered = (*state.entered, (number, sample))
    stream = Stream.ROUTINE if event.passed else Stream.ALARM
    state = _changed(state, request=number, samples=samples, entered=entered, told=None)
    return state, (Commit((Told(stream, result),), request=number),)


def _recall_of(sample: Sample, event: ResultEntered) -> fact.RecallAsked | None:
    by = set(event.recall_by)
    found = event.found.strip()[:200] or event.report_no.strip()
    asked = fact.RecallAsked(
        reason_zh=f"检测不合格：{found}",
        reason_en=f"Laboratory: {found}",
        waybill_nos=(sample.waybill_no,) if "waybill" in by and sample.waybill_no else (),
        trace_codes=(sample.trace_code,) if "trace_code" in by and sample.trace_code else (),
        skus=(sample.sku,) if "sku" in by and sample.sku else (),
        batch_nos=(sample.batch_no,) if "batch" in by and sample.batch_no else (),
        enterprises=(sample.enterprise,) if "enterprise" in by and sample.enterprise else (),
    )
    names = (asked.waybill_nos, asked.trace_codes, asked.skus, asked.batch_nos, asked.enterprises)
    return asked if any(names) else None


# --- small ones ---------------------------------------------------------------------------------------------


def _draft(state: State, order_no: str) -> Draft | None:
    return next((draft for draft in state.drafts if draft.order_no == order_no), None)


def _put(state: State, draft: Draft) -> State:
    drafts = tuple(draft if each.order_no == draft.order_no else each for each in state.drafts)
    return _changed(state, drafts=drafts, told=None)


def _edit(
    state: State, draft: Draft, effect: Effect | None = None, number: int = 0, /, **changes: object
) -> Stepped:
    if not changes.keys().isdisjoint(_CONFIRMED):
        # Who answers for it with a PIN has seen it as it is sent.
        changes["second_officer"] = ""
    state = _put(state, msgspec.structs.replace(draft, **changes))
    return _changed(state, request=max(number, state.request)), () if effect is None else (effect,)


_CONFIRMED: Final = frozenset(
    {"method", "lines", "measures", "seal_no", "remark", "finding", "handling", "sample"}
)
"""What a second officer confirms of a draft."""


def _said(state: State, told: Text) -> Stepped:
    return _changed(state, told=told), (Sound(Tone.ERROR),)


def _stopped_words(draft: Draft) -> Text:
    if draft.stopped == "withdrawn":
        return Text("指令已撤回，草稿已保留", "Withdrawn by the centre; the draft is kept")
    return Text(f"已由 {draft.stopped} 处置，草稿已保留", f"Ended by {draft.stopped}; the draft is kept")


def _commit(*facts: FactData) -> Commit:
    return Commit(tuple(Told(Stream.ROUTINE, data) for data in facts))


def _changed(state: State, **changes: object) -> State:
    return msgspec.structs.replace(state, **changes)


# --- the view -----------------------------------------------------------------------------------------------

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


def view(state: State, context: Context) -> InspectionView:
    draft = _draft(state, state.front)
    rows = tuple(_row(each) for each in state.drafts) + tuple(_out_row(out) for out in reversed(state.outbox))
    return InspectionView(
        page="list" if draft is None else "draft",
        orders=tuple(
            _order_row(state, order, context)
            for order in state.orders
            if _is_for(order, context)
            and _draft(state, order.order_no) is None
            and not _is_over(state, order.order_no)
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


def _is_over(state: State, order_no: str) -> bool:
    """Sent from here, or found by whoever had it."""
    return any(out.order_no == order_no for out in state.outbox) or any(
        each.order_no == order_no and each.step == "found" for each in state.standings
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
    standing = _in_hand(state, order.order_no, context)
    who = None
    if standing is not None:
        names = f"{', '.join(standing.officers)} {standing.device}".strip()
        who = Text(f"已由 {names} 领取", f"In hand: {names}")
    return OrderRow(
        order_no=order.order_no,
        cause=_CAUSES[order.cause],
        what=_what(order),
        due=None if order.due is None else both(words.moment(order.due, context.site)),
        is_due=order.due is not None and context.utc > order.due,
        in_hand=who,
        may_take=standing is None,
        why_not=who,
    )


def _draft_shown(draft: Draft, context: Context) -> DraftShown:
    order = draft.order
    rows = [Row(_CAUSE, _CAUSES[order.cause]), Row(_OBJECT, _what(order))]
    if order.cause_detail:
        rows.append(Row(_DETAIL, both(order.cause_detail)))
    if order.due is not None:
        rows.append(Row(_DUE, both(words.moment(order.due, context.site))))
    chosen = draft.sample
    lacks = missing(draft, context)
    instructions = Text(order.instructions_zh, order.instructions_en)
    return DraftShown(
        order_no=draft.order_no,
        step=draft.step,
        stopped=_stopped_words(draft) if draft.stopped else None,
        rows=tuple(rows),
        instructions=instructions if instructions.zh or instructions.en else None,
        parcels=tuple(parcel.waybill_no for parcel in draft.parcels),
        parcel=draft.parcel,
        lines=tuple(_line_shown(line) for line in draft.lines if line.waybill_no == draft.parcel),
        methods=tuple(
            Choice(method.value, text, method is draft.method) for method, text in _METHODS.items()
        ),
        evidence=tuple(
            EvidenceShown(each.sha256, each.kind, each.subject, each.taken, each.state, each.why, each.of)
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
        parts=tuple(PartShown(_PARTS[part], _is_done(draft, part)) for part in order.parts),
        missing=lacks,
        may_send=draft.step == "ready" and not lacks and not draft.stopped,
    )


_CAUSE: Final = Text("指令原因", "Why")
_OBJECT: Final = Text("查验对象", "What")
_DETAIL: Final = Text("依据", "Based on")
_DUE: Final = Text("期限", "Due")
_SEAL: Final = Text("样品封签", "Sample seal")
_SKU: Final = Text("货号", "SKU")


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
