"""Characters of a keyboard -> scans. Pure: times come with the keys. No window, no text field.

A keyboard wedge is a scanner that types: many characters within milliseconds, then Enter or Tab. A person
types too, on the same keyboard, and what both typed into one line is no code; nor is the end of a code whose
beginning came before a pause (S7). A window that is busy hands characters over late and in bunches: short
pauses within a burst are borne.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from edge.reading.scans import (
    KEPT_OF_REFUSED,
    LONGEST_TEXT,
    NotACode,
    ScanSeen,
    Source,
    symbology_of_aim,
    typed,
    without_aim,
)

BURST_S: Final = 0.05
"""From key to key: nobody types like that, and every wedge does (0 to 30 ms as they are set)."""
SHORTEST_BURST: Final = 4
_BURST_SHARE: Final = 0.75
"""Of the pauses in a line; the others may be the window's."""
STALL_S: Final = 0.5
"""A window may hold characters back so long; whoever types and then reaches for the trigger takes longer."""
FORGOTTEN_S: Final = 5.0
"""After so long without a key a new line begins, whatever stood in the old one."""


@dataclass(frozen=True, slots=True)
class Keys:
    """A line that is being typed."""

    text: str = ""
    last_s: float = 0.0
    quick: int = 0
    """Pauses of a burst among those between its characters."""
    longest_s: float = 0.0
    """Of its pauses."""
    count: int = 0
    """Characters that came, kept or not."""

    @property
    def is_burst(self) -> bool:
        """Typed by a machine, most of it."""
        return self.count >= SHORTEST_BURST and self.quick >= _BURST_SHARE * (self.count - 1)


def pressed(keys: Keys, text: str, at_s: float) -> tuple[Keys, NotACode | None]:
    """One key, or several that the window hands over at once. The second value: a burst before it that never
    ended."""
    cut = None
    if keys.count and at_s - keys.last_s > FORGOTTEN_S:
        cut = _cut(keys) if keys.is_burst else None
        keys = Keys()
    for char in text:
        pause_s = at_s - keys.last_s if keys.count else 0.0
        keys = replace(
            keys,
            text=(keys.text + char)[:LONGEST_TEXT],
            last_s=at_s,
            quick=keys.quick + (1 if keys.count and pause_s <= BURST_S else 0),
            longest_s=max(keys.longest_s, pause_s),
            count=keys.count + 1,
        )
    return keys, cut


def erased(keys: Keys, at_s: float) -> Keys:
    """The erasing key: a person's."""
    return replace(keys, text=keys.text[:-1], last_s=at_s, quick=0, count=max(0, keys.count - 1))


def entered(keys: Keys, at_s: float) -> tuple[Keys, ScanSeen | NotACode | None]:
    """Enter or Tab. None where nothing was typed."""
    if not keys.text.strip():
        return Keys(), None
    if keys.count > LONGEST_TEXT:
        return Keys(), _refused(keys, f"longer than {LONGEST_TEXT} characters", at_s)
    if not keys.is_burst:
        return Keys(), typed(keys.text, at_s)
    if max(keys.longest_s, at_s - keys.last_s) > STALL_S:
        why = "typed and scanned into one line, or cut off in between: scan again"
        return Keys(), _refused(keys, why, at_s)
    return Keys(), _scanned(keys, at_s)


def silent(keys: Keys, at_s: float) -> tuple[Keys, ScanSeen | NotACode | None]:
    """Only for scanners that are set to send no Enter: time passed, and a burst that has paused is a scan. As
    on a serial line without an ending, a code cut off cannot be told from a whole one."""
    if not keys.is_burst or at_s - keys.last_s <= STALL_S:
        return keys, None
    if keys.longest_s > STALL_S or keys.count > LONGEST_TEXT:
        return Keys(), _refused(keys, "typed and scanned into one line: scan again", at_s)
    return Keys(), _scanned(keys, keys.last_s)


def _scanned(keys: Keys, at_s: float) -> ScanSeen:
    aim, text = without_aim(keys.text.strip())
    return ScanSeen(text, symbology_of_aim(aim), Source.WEDGE, at_s, aim)


def _cut(keys: Keys) -> NotACode:
    return _refused(keys, f"cut off after {keys.count} characters", keys.last_s)


def _refused(keys: Keys, why: str, at_s: float) -> NotACode:
    return NotACode(Source.WEDGE, why, at_s, keys.text[:KEPT_OF_REFUSED].encode("utf-8", "backslashreplace"))
