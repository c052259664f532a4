"""One scan, one verdict: a code that was read, looked up, ruled on, shown, sounded and written down.

The verdict is shown and heard first and committed at once after; nobody waits for the link. A garbled read is
never looked up (S7).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge.handheld.view import Row, Shape, Sign
from sync.vocabulary.rulings import Text


@dataclass(frozen=True, slots=True)
class PutAway:
    """The verdict was read; the next label may come."""


@dataclass(frozen=True, slots=True)
class TorchSet:
    on: bool


@dataclass(frozen=True, slots=True)
class OfferTaken:
    """One of the verdict's `offers` was touched."""

    what: Literal["take_order", "inspect", "trace", "compare", "read_again"]
    value: str = ""


Intent = PutAway | TorchSet | OfferTaken
"""A typed number, or one of the nearest that was touched, is `Scanned` with source `typed`."""


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

    what: Literal["take_order", "inspect", "trace", "compare", "read_again"]
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
