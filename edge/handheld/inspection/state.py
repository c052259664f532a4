"""What is kept of inspections: orders, drafts, what is sent, samples, and how one of many is put in place.
Decides nothing.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final, Literal

import msgspec

from edge.handheld.effects import Commit, Effect, Sound, Told, Tone
from edge.handheld.events import (
    Committed,
    EffectFailed,
    EvidenceFailed,
    EvidenceKept,
    FactsAcknowledged,
    Found,
    PinChecked,
    Scanned,
    SyncChanged,
)
from edge.handheld.inspection.shown import EvidenceKind
from edge.handheld.inspection.wants import Finding, Handling, Intent
from sync.vocabulary.facts import FactData, Stream
from sync.vocabulary.records import InspectionMethod, InspectionOrder, OrderStanding
from sync.vocabulary.rulings import Text

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
    return changed(state, orders=(), standings=(), records_number=-1)


Event = (
    Intent | Scanned | Found | SyncChanged | PinChecked | EvidenceKept | EvidenceFailed | Committed
    | FactsAcknowledged | EffectFailed
)  # fmt: skip
Stepped = tuple[State, tuple[Effect, ...]]


def draft_of(state: State, order_no: str) -> Draft | None:
    return next((draft for draft in state.drafts if draft.order_no == order_no), None)


def put(state: State, draft: Draft) -> State:
    drafts = tuple(draft if each.order_no == draft.order_no else each for each in state.drafts)
    return changed(state, drafts=drafts, told=None)


def edited(
    state: State, draft: Draft, effect: Effect | None = None, number: int = 0, /, **changes: object
) -> Stepped:
    if not changes.keys().isdisjoint(_CONFIRMED):
        # Who answers for it with a PIN has seen it as it is sent.
        changes["second_officer"] = ""
    state = put(state, msgspec.structs.replace(draft, **changes))
    return changed(state, request=max(number, state.request)), () if effect is None else (effect,)


_CONFIRMED: Final = frozenset(
    {"method", "lines", "measures", "seal_no", "remark", "finding", "handling", "sample"}
)
"""What a second officer confirms of a draft."""


def not_done(state: State, told: Text) -> Stepped:
    return changed(state, told=told), (Sound(Tone.ERROR),)


def stopped_words(draft: Draft) -> Text:
    if draft.stopped == "withdrawn":
        return Text("指令已撤回，草稿已保留", "Withdrawn by the centre; the draft is kept")
    return Text(f"已由 {draft.stopped} 处置，草稿已保留", f"Ended by {draft.stopped}; the draft is kept")


def commit(*facts: FactData) -> Commit:
    return Commit(tuple(Told(Stream.ROUTINE, data) for data in facts))


def changed(state: State, **changes: object) -> State:
    return msgspec.structs.replace(state, **changes)
