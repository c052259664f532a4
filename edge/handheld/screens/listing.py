"""Pieces of a page made from values: headings, words, name and value, panels. Kivy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edge.handheld.screens.look import LOOK
from edge.handheld.screens.widgets import BigButton, Pair, Sheet, Strip, Words
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


def figures(*given: tuple[Text, int, str], fill: str = "panel", across: int = 3) -> Any:
    """Numbers with their names below, some beside each other: (name, number, ink)."""
    strips = []
    for first in range(0, len(given), across):
        strip = Strip()
        for name, number, ink in given[first : first + across]:
            # However many lines a name takes, the numbers stand on one.
            cell = Sheet(spacing=0, pos_hint={"top": 1})
            cell.add_widget(words(str(number), kind="title", bold=True, ink=ink, halign="center"))
            cell.add_widget(words(name, kind="small", ink="soft", halign="center"))
            strip.add_widget(cell)
        for _ in range(across - len(given[first : first + across])):
            strip.add_widget(Sheet())
        strips.append(strip)
    return sheet(*strips, fill=fill)


def button(text: Text, wanted: Callable[[], Any], **given: Any) -> Any:
    return BigButton(text=LOOK.say(text), on_release=lambda _: wanted(), **given)


def beside(*widgets: Any) -> Any:
    """In pairs, each pair on a line of its own."""
    made = Sheet()
    for first in range(0, len(widgets), 2):
        strip = Strip()
        for widget in widgets[first : first + 2]:
            strip.add_widget(widget)
        made.add_widget(strip)
    return made


def duration(seconds: float) -> Text:
    """Rounded to what an officer reckons with."""
    whole = round(abs(seconds))
    if whole < 90:
        return Text(f"{whole} 秒", f"{whole} s")
    if whole < 5_400:
        return Text(f"{round(whole / 60)} 分钟", f"{round(whole / 60)} min")
    return Text(f"{whole / 3600:.1f} 小时", f"{whole / 3600:.1f} h")


def set_out(page: Any, lead: Any, *others: Any) -> None:
    """The page's buttons: the likeliest goes to the thumb, the others above it, in one row if they can."""
    dock = page.ids.dock
    dock.clear_widgets()
    dock.across = 3 if len(others) in (3, 5, 6) else 2
    if dock.across == 3:
        for other in others:
            other.kind = "body"
    if len(others) == 1:
        others[0].weight = 2
    for other in others:
        dock.add_widget(other)
    page.lead = lead
