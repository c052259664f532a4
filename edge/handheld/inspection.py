"""Inspection in three steps: order, carrying out, finding with its handling (查验指令, 实施查验, 异常处置).

A draft is kept at every touch; nothing of it is told to the centre as an inspection before the officer has
seen what is missing and sends it. Evidence is: a picture's hash is in the journal when it is on the disk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge.handheld.view import Row
from sync.vocabulary.records import InspectionMethod
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
