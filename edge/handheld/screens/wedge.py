"""Characters of a keyboard wedge, put together to codes. Pure: time arrives as an argument; no Kivy.

A wedge is a scanner that types: many characters within milliseconds, then Enter. Caught at the window and
never in a text field, which loses characters and keeps the rest for itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LONGEST: Final = 4_096
"""Characters, as for broadcasts: nothing longer is on a label."""
PAUSE_S: Final = 1.0
"""After that, a character begins a new code: whatever was typed before was no scan. Long, because a window
that is busy hands characters over late."""
BURST_S: Final = 0.05
"""A character at most so long after the last one, on the average: nobody types like that."""
SHORTEST_BURST: Final = 4


@dataclass(frozen=True, slots=True)
class Wedge:
    text: str = ""
    first_s: float = 0.0
    last_s: float = 0.0
    is_too_long: bool = False


@dataclass(frozen=True, slots=True)
class Caught:
    text: str
    is_burst: bool
    """Typed by a machine: also in a text field it is a scan."""


def typed(wedge: Wedge, at_s: float, text: str) -> Wedge:
    if not wedge.text or at_s - wedge.last_s > PAUSE_S:
        return Wedge(text[:LONGEST], at_s, at_s, len(text) > LONGEST)
    whole = wedge.text + text
    return Wedge(whole[:LONGEST], wedge.first_s, at_s, wedge.is_too_long or len(whole) > LONGEST)


def entered(wedge: Wedge, at_s: float) -> tuple[Wedge, Caught | None]:
    """Enter was pressed. What was cut is no code (S7)."""
    whole = wedge.text.strip()
    if not whole or wedge.is_too_long or at_s - wedge.last_s > PAUSE_S:
        return Wedge(), None
    gaps = max(1, len(wedge.text) - 1)
    is_burst = len(whole) >= SHORTEST_BURST and (wedge.last_s - wedge.first_s) / gaps <= BURST_S
    return Wedge(), Caught(whole, is_burst)
