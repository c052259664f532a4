"""Pieces of a page made from values: headings, words, name and value, panels. Kivy."""

from __future__ import annotations

from typing import Any

from edge.handheld.screens.look import LOOK
from edge.handheld.screens.widgets import Pair, Sheet, Words
from edge.handheld.view import SHAPES, Row, Sign
from sync.vocabulary.rulings import Text


def words(said: Text | str, **given: Any) -> Any:
    return Words(text=said if isinstance(said, str) else LOOK.say(said), **given)


def heading(said: Text) -> Any:
    return words(said, kind="small", ink="soft", bold=True)


def sheet(*widgets: Any, fill: str = "panel") -> Any:
    made = Sheet(fill=fill)
    for widget in widgets:
        made.add_widget(widget)
    return made


def ink_of(sign: Sign) -> str:
    """The ink of a sign where it stands on an ordinary panel."""
    return {Sign.RELEASE: "good", Sign.INSPECT: "warn", Sign.HOLD: "bad", Sign.UNKNOWN: "ink"}[sign]


def pair(row: Row) -> Any:
    return Pair(
        name=LOOK.say(row.name),
        value=LOOK.say(row.value),
        value_ink="ink" if row.sign is None else ink_of(row.sign),
        shape="" if row.sign is None else SHAPES[row.sign].value,
        is_strong=row.sign is not None,
    )
