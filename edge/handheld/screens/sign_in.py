"""Who holds the device: officer number and PIN on a pad, also for a second officer over any page.

What is typed is the finger's own: it is given away in one Intent and forgotten.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from kivy.clock import Clock
from kivy.lang import Builder
from kivy.properties import BooleanProperty, NumericProperty, ObjectProperty, StringProperty
from kivy.uix.boxlayout import BoxLayout

from edge.handheld.events import SignInAsked
from edge.handheld.screens import captions
from edge.handheld.screens.hands import Hands
from edge.handheld.screens.look import LOOK
from edge.handheld.signing_in import SecondOfficerDeclined, SecondOfficerSigned, SigningInView
from edge.handheld.view import GoTo, Page

LONGEST_NO = 20
LONGEST_PIN = 12


class SignInPage(BoxLayout):
    lead = ObjectProperty(None, allownone=True)
    heading = StringProperty("")
    message = StringProperty("")
    about = StringProperty("")
    officer_no = StringProperty("")
    pin = StringProperty("")
    current = StringProperty("officer_no")
    """Which field the pad types into."""
    asks_second = BooleanProperty(False)
    is_shut = BooleanProperty(False)
    wait_s = NumericProperty(0)

    def __init__(self, hands: Hands, **given: Any) -> None:
        self._hands = hands
        self._view: SigningInView | None = None
        super().__init__(**given)
        self._tick: Any = None

    def show(self, view: SigningInView) -> None:
        before, self._view = self._view, view
        second = view.second
        if before is None or (before.second is None) != (second is None):
            self.officer_no = "" if second else view.officer_no
            self.pin = ""
            self.current = "pin" if self.officer_no else "officer_no"
        elif view.phase != before.phase:
            self.pin = ""
        self.asks_second = second is not None
        self.heading = LOOK.say(captions.SECOND_OFFICER if second else view.title)
        self.is_shut = view.phase in ("checking", "stopped")
        self.about = "\n".join(
            line
            for line in (
                f"{LOOK.say(captions.DEVICE)} {view.device}" if view.device else "",
                LOOK.say(captions.filled(captions.DRAFTS, n=view.drafts)) if view.drafts else "",
            )
            if line
        )
        if view.phase != "waiting":
            self._stop()
        elif before is None or before.phase != "waiting" or before.wait_s != view.wait_s:
            self.wait_s = math.ceil(view.wait_s)
            self._start()
        self._say()

    def _say(self) -> None:
        view = self._view
        if view is None:
            return
        said = [LOOK.say(view.second.purpose)] if view.second else []
        if view.phase == "checking":
            said.append(LOOK.say(captions.CHECKING))
        elif view.message is not None:
            said.append(LOOK.say(view.message))
        if view.phase == "waiting" and self.wait_s > 0:
            said.append(LOOK.say(captions.filled(captions.WAIT, n=int(self.wait_s))))
        self.message = "\n".join(said)

    def _start(self) -> None:
        self._stop()
        self._tick = Clock.schedule_interval(self._second_passed, 1.0)

    def _stop(self) -> None:
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None
        self.wait_s = 0 if self._view is None or self._view.phase != "waiting" else self.wait_s

    def _second_passed(self, _: float) -> None:
        self.wait_s = max(0, self.wait_s - 1)
        self._say()
        if not self.wait_s:
            self._stop()

    def on_key(self, key: str) -> None:
        longest = LONGEST_PIN if self.current == "pin" else LONGEST_NO
        typed = getattr(self, self.current)
        setattr(self, self.current, typed[:-1] if key == "erase" else (typed + key)[:longest])

    def speak(self) -> None:
        """In the language of now."""
        if self._view is not None:
            self.show(self._view)

    def keyboard(self, text: str) -> bool:
        """A real keyboard, or a badge read by a wedge. True: it was ours."""
        for key in text:
            if key.isprintable() and (self.current == "officer_no" or key.isdecimal()):
                self.on_key(key)
        return True

    def keyboard_enter(self) -> bool:
        if self.current == "officer_no" and self.officer_no:
            self.current = "pin"
        else:
            self.confirm()
        return True

    def keyboard_tab(self) -> None:
        """To the other field: a PIN typed on after a number must not become part of it."""
        self.current = "officer_no" if self.current == "pin" else "pin"

    def keyboard_erase(self) -> bool:
        self.on_key("erase")
        return True

    def confirm(self) -> None:
        if self.is_shut or self.wait_s or not self.officer_no:
            return
        if not self.pin:
            self.current = "pin"
            return
        given = SecondOfficerSigned if self.asks_second else SignInAsked
        self._hands.put(given(self.officer_no, self.pin))
        self.pin = ""

    def go_to_settings(self) -> None:
        """The language, before anybody is in."""
        self._hands.put(GoTo(Page.SETTINGS))

    def decline(self) -> None:
        self.pin = ""
        self._hands.put(SecondOfficerDeclined())


Builder.load_file(str(Path(__file__).with_suffix(".kv")))
