"""Photos: the camera's whole picture, large, and one button; it stays until the officer goes back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kivy.lang import Builder
from kivy.properties import NumericProperty, StringProperty
from kivy.uix.boxlayout import BoxLayout

from edge.handheld.screens import captions
from edge.handheld.screens.desk import Platform
from edge.handheld.screens.hands import Shot
from edge.handheld.screens.look import LOOK


class Shooting(BoxLayout):
    heading = StringProperty("")
    taken = StringProperty("")
    count = NumericProperty(0)
    __events__ = ("on_close",)

    def __init__(self, shot: Shot, platform: Platform, **given: Any) -> None:
        self._shot, self._platform = shot, platform
        super().__init__(**given)
        self.speak()
        self.fetch()

    def speak(self) -> None:
        """In the language of now."""
        self.heading = LOOK.say(self._shot.heading)
        self.taken = LOOK.say(captions.filled(captions.SHOTS, n=int(self.count))) if self.count else ""

    def fetch(self) -> None:
        self.ids.picture.show(self._platform.frame())

    def on_close(self) -> None:
        """For those who bind."""

    def take(self) -> None:
        if self.ids.picture.texture is None:
            return
        self.count += 1
        self.speak()
        self._shot.done()

    def go_back(self) -> None:
        self.dispatch("on_close")


Builder.load_file(str(Path(__file__).with_suffix(".kv")))
