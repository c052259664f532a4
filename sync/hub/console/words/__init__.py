"""What the console says, in Chinese and English: key -> (zh, en). One file a room."""

from __future__ import annotations

from sync.hub.console.words import (
    access,
    api,
    controls,
    desk,
    frame,
    judging,
    live,
    proof,
    refusals,
    statistics,
    trace,
    wall,
)

WORDS: dict[str, tuple[str, str]] = {
    **api.WORDS,
    **frame.WORDS,
    **access.WORDS,
    **controls.WORDS,
    **desk.WORDS,
    **judging.WORDS,
    **live.WORDS,
    **proof.WORDS,
    **refusals.WORDS,
    **statistics.WORDS,
    **trace.WORDS,
    **wall.WORDS,
}
"""Words of every page."""
