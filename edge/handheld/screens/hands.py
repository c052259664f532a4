"""What every screen may do: say what the officer wants, have something typed, chosen or drawn over the
page. No Kivy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from edge.handheld.screens.desk import Platform
from sync.vocabulary.rulings import Text

Strokes = tuple[tuple[tuple[float, float], ...], ...]
"""Lines of points, as shares of width and height, from the top left."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Something to be typed on a pad."""

    heading: Text
    done: Callable[[str], None]
    """Called once with what was typed, unless the officer goes back."""
    kind: Literal["code", "quantity", "count", "words"] = "code"
    """Letters and digits; digits with a point; digits; words of any language from the system's keyboard."""
    begins: str = ""
    longest: int = 60
    confirm: Text | None = None
    may_be_empty: bool = False


@dataclass(frozen=True, slots=True)
class Offered:
    """One of some ways; with `several`, any number of them, told by place."""

    heading: Text
    ways: tuple[tuple[Text, Callable[[], None]], ...]
    several: Callable[[tuple[int, ...]], None] | None = None


@dataclass(frozen=True, slots=True)
class Marked:
    """A picture to be drawn on."""

    sha256: str
    done: Callable[[Strokes], None]


@dataclass(frozen=True, slots=True)
class OfficerAsked:
    """Another officer's number and PIN."""

    purpose: Text
    done: Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Shot:
    """The camera's whole picture, to aim by; as many photos as the officer wants."""

    heading: Text
    done: Callable[[], None]
    """Called for each."""


Over = Asked | Offered | Marked | OfficerAsked | Shot
"""What may lie over a page, one at a time."""


@dataclass(frozen=True, slots=True)
class Hands:
    put: Callable[[Any], None]
    """Takes an Intent or `Scanned`; never blocks."""
    platform: Platform
    ask: Callable[[Over], None]
