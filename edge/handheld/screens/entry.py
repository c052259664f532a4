"""A number or words typed over a page, the last resort when nothing can be scanned. Tells what was typed
once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kivy.clock import Clock
from kivy.lang import Builder
from kivy.properties import BooleanProperty, StringProperty
from kivy.uix.boxlayout import BoxLayout

from edge.handheld.screens import captions
from edge.handheld.screens.hands import Asked
from edge.handheld.screens.look import LOOK

_EXTRAS = {"code": "letters", "quantity": ".", "count": "", "words": ""}


class Entry(BoxLayout):
    heading = StringProperty("")
    typed = StringProperty("")
    extra = StringProperty("letters")
    confirm_text = StringProperty("")
    is_words = BooleanProperty(False)
    may_be_empty = BooleanProperty(False)
    __events__ = ("on_close",)

    def __init__(self, asked: Asked, **given: Any) -> None:
        self._asked = asked
        super().__init__(**given)
        self.extra = _EXTRAS[asked.kind]
        self.is_words = asked.kind == "words"
        self.may_be_empty = asked.may_be_empty
        self.typed = asked.begins
        self.speak()
        if self.is_words:
            # Once it is on the window: words need a keyboard, and a phone shows its own with the focus.
            Clock.schedule_once(self._begin_writing)

    def _begin_writing(self, _: float) -> None:
        self.ids.writing.focus = self.get_parent_window() is not None

    def on_parent(self, _: Any, parent: Any) -> None:
        """Whoever closed it, the keyboard is free for the next."""
        if parent is None:
            self.ids.writing.focus = False

    def speak(self) -> None:
        """In the language of now."""
        self.heading = LOOK.say(self._asked.heading)
        self.confirm_text = LOOK.say(self._asked.confirm or captions.CONFIRM)

    def on_close(self) -> None:
        """For those who bind."""

    def on_key(self, key: str) -> None:
        if key == "." and ("." in self.typed or not self.typed):
            return
        self.typed = self.typed[:-1] if key == "erase" else (self.typed + key)[: self._asked.longest]

    def keyboard(self, text: str) -> bool:
        if self.is_words:
            return True
        for key in text.upper():
            if (
                key.isdecimal()
                or (key == "." and self.extra == ".")
                or (key.isprintable() and self.extra == "letters")
            ):
                self.on_key(key)
        return True

    def keyboard_enter(self) -> bool:
        self.confirm()
        return True

    def keyboard_erase(self) -> bool:
        """Words are erased by their own field, which has the keyboard."""
        if not self.is_words:
            self.on_key("erase")
        return not self.is_words

    def confirm(self) -> None:
        typed = self.typed.strip()[: self._asked.longest]
        if typed or self._asked.may_be_empty:
            self.dispatch("on_close")
            self._asked.done(typed)

    def go_back(self) -> None:
        self.dispatch("on_close")


Builder.load_file(str(Path(__file__).with_suffix(".kv")))
