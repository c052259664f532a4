"""What every screen may do: say what the officer wants, ask for a number or words, see pictures. No Kivy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from edge.handheld.screens.desk import Platform
from sync.vocabulary.rulings import Text


@dataclass(frozen=True, slots=True)
class Asked:
    """Something to be typed on a pad over the page."""

    heading: Text
    done: Callable[[str], None]
    """Called once with what was typed, unless the officer goes back."""
    kind: Literal["code", "quantity", "count", "words"] = "code"
    """Letters and digits; digits with a point; digits; words of any language from the system's keyboard."""
    begins: str = ""
    longest: int = 60
    confirm: Text | None = None


@dataclass(frozen=True, slots=True)
class Hands:
    put: Callable[[Any], None]
    """Takes an Intent or `Scanned`; never blocks."""
    platform: Platform
    ask: Callable[[Asked], None]
