"""Many parcels, one after the other: counted, each judged, none twice, the last ten seconds can be undone;
or a vehicle's slip against its load (卡口抽核).

What is undone stays a fact and is counted no more. What is not passed stops the count until it lies aside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge.handheld.view import Row, Shape, Sign
from sync.vocabulary.rulings import Text


@dataclass(frozen=True, slots=True)
class CountBegun:
    """A free count (连续扫描)."""


@dataclass(frozen=True, slots=True)
class SlipCheckBegun:
    """The next code is a slip's; then its parcels."""


@dataclass(frozen=True, slots=True)
class ScanUndoAsked:
    """The last scan, or the one of this place, while its ten seconds last."""

    place: int = 0


@dataclass(frozen=True, slots=True)
class LaidAside:
    """What was not passed lies apart: scanning goes on."""


@dataclass(frozen=True, slots=True)
class BatchCloseAsked:
    """With `complete` the officer says that the whole load was scanned."""

    complete: bool = False


@dataclass(frozen=True, slots=True)
class BatchDropped:
    why: str


Intent = CountBegun | SlipCheckBegun | ScanUndoAsked | LaidAside | BatchCloseAsked | BatchDropped
"""A label that was read, or a number that was typed, is `Scanned`."""


@dataclass(frozen=True, slots=True)
class ScanShown:
    place: int
    text: str
    """The waybill, or what was read where it is unknown."""
    sign: Sign
    shape: Shape
    words: Text
    """Why, in a word or two; on a slip check also whether it is on the slip."""
    is_pending: bool = False
    """Looked up right now."""
    is_undone: bool = False
    undo_left_s: float = 0.0
    """Above zero: it can be undone, for so long."""


@dataclass(frozen=True, slots=True)
class SlipCheckShown:
    """卡口抽核: the slip and what of its list was seen."""

    slip_no: str
    rows: tuple[Row, ...]
    """Plate, enterprise, state of the slip."""
    listed: int
    found: int
    missing: int
    extra: int
    elsewhere: int
    """Scanned, on another slip."""
    missing_nos: tuple[str, ...]
    """The first of them."""
    extra_texts: tuple[str, ...]
    elsewhere_nos: tuple[str, ...]
    """`waybill → slip`"""
    list_is_cut: bool = False
    """The slip has more parcels than a handheld carries at once."""


@dataclass(frozen=True, slots=True)
class BatchView:
    phase: Literal["idle", "slip_wanted", "scanning", "aside", "closed"]
    """`aside`: something was not passed and has to be laid apart before the next scan; `closed`: the last
    one, with its figures."""
    is_slip_check: bool
    title: Text
    hint: Text
    """What to do now."""
    counted: int
    passed: int
    flagged: int
    unknown: int
    duplicates: int
    undone: int
    last: ScanShown | None
    """Shown large."""
    log: tuple[ScanShown, ...]
    """The latest first."""
    slip: SlipCheckShown | None
    told: Text | None
    """Said about the last touch or scan: already counted, too late to undo, no such slip."""
    may_undo: bool
    may_close: bool
