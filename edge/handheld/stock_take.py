"""Stock-take (盘库): a shelf's label, then what lies there against the book; what differs is counted twice.

Blind: the counter sees no book quantity before the count is closed. Every count is a fact; the book itself is
the centre's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sync.vocabulary.rulings import Text


@dataclass(frozen=True, slots=True)
class BlindChosen:
    """Before the shelf is scanned."""

    on: bool


@dataclass(frozen=True, slots=True)
class RowCounted:
    row_no: str
    counted: str
    """Decimal text; empty takes it back."""


@dataclass(frozen=True, slots=True)
class GoodsFound:
    """Lies here and is not in the book here."""

    sku: str
    counted: str
    unit: str = ""
    batch_no: str = ""


@dataclass(frozen=True, slots=True)
class RoundClosed:
    """Everything here is counted: rows that differ are asked for once more, then the take can be closed."""


@dataclass(frozen=True, slots=True)
class TakeCloseAsked:
    """`why`: rows that were not counted."""

    why: str = ""


@dataclass(frozen=True, slots=True)
class TakeDropped:
    why: str


Intent = BlindChosen | RowCounted | GoodsFound | RoundClosed | TakeCloseAsked | TakeDropped
"""A shelf's label, and then goods' labels, are `Scanned`: goods come to the front."""


@dataclass(frozen=True, slots=True)
class StockShown:
    row_no: str
    """Empty: not in the book here."""
    sku: str
    name: str
    batch_no: str
    unit: str
    booked: str
    """Empty where the count is blind and not closed."""
    counted: str
    first_count: str
    """In the second round: what was counted first."""
    state: Literal["to_count", "equal", "differs", "to_recount", "counted", "not_in_book"]
    """`counted`: blind, nobody says yet whether it is right."""
    is_in_front: bool = False
    """Its label was read last."""


@dataclass(frozen=True, slots=True)
class StockTakeView:
    phase: Literal["shelf_wanted", "looking_up", "counting", "recounting", "closing", "closed"]
    """`closing`: both rounds are done, the differences are shown."""
    location: str
    is_blind: bool
    round: int
    rows: tuple[StockShown, ...]
    to_count: int
    equal: int
    differing: int
    not_in_book: int
    told: Text | None
    hint: Text
    may_close_round: bool
    may_close: bool
    close_needs_reason: bool
