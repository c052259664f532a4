"""One or several of a few, over the page: large buttons at the bottom, where the thumb is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kivy.lang import Builder
from kivy.properties import BooleanProperty, StringProperty
from kivy.uix.boxlayout import BoxLayout

from edge.handheld.screens import captions
from edge.handheld.screens.hands import Asked, Offered
from edge.handheld.screens.look import LOOK
from edge.handheld.screens.widgets import RowButton


class Choosing(BoxLayout):
    heading = StringProperty("")
    has_several = BooleanProperty(False)
    has_chosen = BooleanProperty(False)
    __events__ = ("on_close",)

    def __init__(self, offered: Offered, **given: Any) -> None:
        self._offered = offered
        self._chosen: set[int] = set()
        super().__init__(**given)
        self.has_several = offered.several is not None
        self.speak()

    def speak(self) -> None:
        """In the language of now."""
        self.heading = LOOK.say(self._offered.heading)
        rows = []
        for place, (text, _) in enumerate(self._offered.ways):
            row = RowButton(text=LOOK.say(text), is_chosen=place in self._chosen)
            if self.has_several:
                row.shape = "dot" if row.is_chosen else "ring"
                row.shape_fill = row.ink_role
            row.place = place
            row.bind(on_release=self._pressed)
            rows.append(row)
        self.ids.ways.fill_with(rows)

    def on_close(self) -> None:
        """For those who bind."""

    def _pressed(self, row: Any) -> None:
        if self.has_several:
            self._chosen ^= {row.place}
            self.has_chosen = bool(self._chosen)
            self.speak()
            return
        self.dispatch("on_close")
        self._offered.ways[row.place][1]()

    def confirm(self) -> None:
        self.dispatch("on_close")
        if self._offered.several is not None:
            self._offered.several(tuple(sorted(self._chosen)))

    def go_back(self) -> None:
        self.dispatch("on_close")


def reasons(whys: tuple[Any, ...], done: Any, ask: Any, heading: Any) -> Offered:
    """Ready-made reasons, given in the officer's language, and own words."""
    ways = [(why, lambda why=why: done(LOOK.say(why))) for why in whys]
    own = (
        captions.OTHER_WORDS,
        lambda: ask(Asked(heading, lambda text: done(text) if text else None, "words")),
    )
    return Offered(heading, (*ways, own))


Builder.load_file(str(Path(__file__).with_suffix(".kv")))
