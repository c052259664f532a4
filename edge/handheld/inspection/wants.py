"""What the officer wants of an inspection: the intents of its page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sync.vocabulary.records import InspectionMethod

Finding = Literal["nothing", "not_declared", "other_goods", "other_quantity", "forbidden", "damaged"]
Handling = Literal["released", "returned", "seized", "destroyed", "sample_sent", "referred"]


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
