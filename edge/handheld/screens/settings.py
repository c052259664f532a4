"""What the person holding the device chooses. Every choice is a button as large as a glove needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kivy.lang import Builder
from kivy.properties import ObjectProperty, StringProperty
from kivy.uix.boxlayout import BoxLayout

from edge.handheld.events import SettingsChanged, SignOutAsked
from edge.handheld.preferences import PreferencesView
from edge.handheld.screens import captions
from edge.handheld.screens.hands import Hands
from edge.handheld.screens.listing import button, heading, set_out, sheet, words
from edge.handheld.screens.look import LOOK
from edge.handheld.screens.widgets import BigButton, Strip
from edge.handheld.signing_in import LockAsked
from edge.handheld.view import GoTo, Page


class SettingsPage(BoxLayout):
    lead = ObjectProperty(None, allownone=True)
    title = StringProperty("")

    def __init__(self, hands: Hands, **given: Any) -> None:
        self._hands = hands
        super().__init__(**given)

    def show(self, view: PreferencesView) -> None:
        self.title = LOOK.say(view.title)
        made: list[Any] = []
        for row in view.rows:
            strips = []
            for first in range(0, len(row.choices), 2):
                strip = Strip()
                for choice in row.choices[first : first + 2]:
                    strip.add_widget(
                        BigButton(
                            text=LOOK.say(choice.text),
                            kind="body",
                            role="chosen" if choice.is_chosen else "raised",
                            shape="dot" if choice.is_chosen else "ring",
                            halign="left",
                            on_release=lambda _, gives=choice.gives: self._hands.put(SettingsChanged(gives)),
                        )
                    )
                strips.append(strip)
            made.append(sheet(heading(row.name), *strips))
        if view.about:
            made.append(sheet(*(words(text, kind="small", ink="soft") for text in view.about)))
        if view.is_signed_in:
            set_out(
                self,
                button(captions.LOCK, lambda: self._hands.put(LockAsked()), role="primary"),
                button(captions.SIGN_OUT, lambda: self._hands.put(SignOutAsked())),
            )
        else:
            set_out(
                self, button(captions.SIGN_IN, lambda: self._hands.put(GoTo(Page.SIGN_IN)), role="primary")
            )
        at = self.ids.choices.scroll_y
        self.ids.choices.fill_with(made)
        self.ids.choices.scroll_y = at


Builder.load_file(str(Path(__file__).with_suffix(".kv")))
