"""What screens show, as plain values that every room's view is made of. Words come in both languages; a
screen chooses one. No widget, no colour, no file, no clock.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from sync.vocabulary.rulings import Text


class Page(enum.StrEnum):
    """The screens, one room each."""

    SIGN_IN = "sign_in"
    SCAN = "scan"
    BATCH = "batch"
    INSPECTION = "inspection"
    PATROL = "patrol"
    STOCK_TAKE = "stock_take"
    LANE_HELP = "lane_help"
    TRACE = "trace"
    COMPARE = "compare"
    LIVE = "live"
    SETTINGS = "settings"


@dataclass(frozen=True, slots=True)
class GoTo:
    """The officer wants another page. One that is not open to them stays shut."""

    page: Page


@dataclass(frozen=True, slots=True)
class NoticePutAway:
    text: Text


class Sign(enum.StrEnum):
    """The class of a verdict: colour, shape, tone and vibration follow it."""

    RELEASE = "release"
    INSPECT = "inspect"
    HOLD = "hold"
    UNKNOWN = "unknown"
    """The records say nothing of it."""


class Shape(enum.StrEnum):
    """For eyes that see no colours, and for glare."""

    CIRCLE = "circle"
    TRIANGLE = "triangle"
    OCTAGON = "octagon"
    DIAMOND = "diamond"


SHAPES: dict[Sign, Shape] = {
    Sign.RELEASE: Shape.CIRCLE,
    Sign.INSPECT: Shape.TRIANGLE,
    Sign.HOLD: Shape.OCTAGON,
    Sign.UNKNOWN: Shape.DIAMOND,
}


@dataclass(frozen=True, slots=True)
class Row:
    """A name and what stands behind it, such as 企业 ... / Enterprise ..."""

    name: Text
    value: Text
    sign: Sign | None = None
    """Where the value itself is a reason: marked in the sign's colour and shape."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something every screen shows until it is over or put away: a disk that is full, a revoked device."""

    sign: Sign
    text: Text
    stays: bool = False
    """It cannot be put away."""
    leads_to: Page | None = None
    """Where a touch on it goes."""


@dataclass(frozen=True, slots=True)
class Bar:
    """Always visible: online or not, what is unsent, how old the records are, battery, who is signed in."""

    online: bool
    link: Text
    """在线 / online, 离线 / offline"""
    unsent: int
    """Facts and pictures the centre has not acknowledged."""
    unsent_text: Text
    age: Text
    """底账 3 分钟前 / records 3 min old"""
    age_is_too_old: bool
    battery_per_cent: int | None
    is_charging: bool
    officer: str
    """Number of who is signed in; empty: nobody."""
    is_live: bool
    """Picture or sound goes to the centre right now."""
    live: Text | None = None
    """The words of it: who watches, whether it is kept. Stands on every page while it is not None."""
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True, slots=True)
class Door:
    """A way to another page."""

    page: Page
    text: Text
    is_open: bool
    """False: this officer is not authorised for it; `why` says what is missing."""
    why: Text | None = None
    waiting: int = 0
    """Drafts in that room that are not sent."""


def both(text: str) -> Text:
    """What is the same in every language: numbers, names as declared."""
    return Text(text, text)
