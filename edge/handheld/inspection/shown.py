"""What is shown of inspections: the page's view, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge.handheld.view import Row
from sync.vocabulary.rulings import Text

EvidenceKind = Literal["photo", "marked", "voice"]


@dataclass(frozen=True, slots=True)
class OrderRow:
    """An order this officer may carry out."""

    order_no: str
    cause: Text
    what: Text
    """Slip, plate or parcels."""
    officers: Text | None
    """Where it takes two: nobody goes to the shelf alone for it."""
    due: Text | None
    is_due: bool
    """Its time is over."""
    in_hand: Text | None
    """Who else has it, as far as the records tell."""
    may_take: bool


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
