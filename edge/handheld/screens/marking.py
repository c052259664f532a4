"""Lines drawn by a finger on a picture that was taken; the picture itself stays as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from kivy.graphics import Color, Line
from kivy.lang import Builder
from kivy.properties import BooleanProperty, NumericProperty, ObjectProperty, StringProperty
from kivy.uix.boxlayout import BoxLayout

from edge.handheld.screens import captions
from edge.handheld.screens.desk import Platform
from edge.handheld.screens.hands import Marked
from edge.handheld.screens.look import LOOK
from edge.handheld.screens.pictures import texture_of
from edge.handheld.screens.widgets import Preview

MOST_STROKES: Final = 40
MOST_POINTS: Final = 400
"""A stroke; more come from a finger that rests."""
MOST_FETCHES: Final = 60
"""Frames, some seconds: a picture that has not come by then is told as not here; it is still asked for."""
LEAST_MOVE: Final = 0.004
"""Of the picture: points closer than that are one."""

Stroke = list[tuple[float, float]]


class Drawing(Preview):
    """The picture whole, and what a finger draws on it: points as shares of width and height, from the top
    left.
    """

    count = NumericProperty(0)

    def __init__(self, **given: Any) -> None:
        self.strokes: list[Stroke] = []
        super().__init__(**given)
        self.covers, self.has_aim = False, False
        for name in ("picture_pos", "picture_size"):
            self.fbind(name, self._redraw)

    def on_touch_down(self, touch: Any) -> bool:
        point = self._share(touch)
        if self.texture is None or point is None or len(self.strokes) >= MOST_STROKES:
            return False
        touch.grab(self)
        self.strokes.append([point])
        return True

    def on_touch_move(self, touch: Any) -> bool:
        if touch.grab_current is not self:
            return False
        point = self._share(touch)
        stroke = self.strokes[-1]
        if point is None or len(stroke) >= MOST_POINTS:
            return True
        if abs(point[0] - stroke[-1][0]) + abs(point[1] - stroke[-1][1]) >= LEAST_MOVE:
            stroke.append(point)
            self._redraw()
        return True

    def on_touch_up(self, touch: Any) -> bool:
        if touch.grab_current is not self:
            return False
        touch.ungrab(self)
        if len(self.strokes[-1]) < 2:
            self.strokes.pop()
        self._redraw()
        return True

    def undo(self) -> None:
        if self.strokes:
            self.strokes.pop()
            self._redraw()

    def _share(self, touch: Any) -> tuple[float, float] | None:
        width, height = self.picture_size
        if not width or not height:
            return None
        across = (touch.x - self.picture_pos[0]) / width
        down = 1 - (touch.y - self.picture_pos[1]) / height
        return (across, down) if 0 <= across <= 1 and 0 <= down <= 1 else None

    def _redraw(self, *_: Any) -> None:
        self.count = len(self.strokes)
        (x, y), (width, height) = self.picture_pos, self.picture_size
        self.canvas.after.clear()
        with self.canvas.after:
            for colour, thick in (((0, 0, 0, 1), 5.0), ((1, 0.85, 0.1, 1), 3.0)):
                Color(*colour)
                for stroke in self.strokes:
                    points = [n for a, d in stroke for n in (x + a * width, y + (1 - d) * height)]
                    Line(points=points, width=thick, cap="round", joint="round")


class Marking(BoxLayout):
    heading = StringProperty("")
    has_picture = BooleanProperty(False)
    texture = ObjectProperty(None, allownone=True)
    __events__ = ("on_close",)

    def __init__(self, marked: Marked, platform: Platform, **given: Any) -> None:
        self._marked = marked
        self._platform = platform
        self._fetches = 0
        super().__init__(**given)
        self.fetch()

    def fetch(self) -> None:
        """Every frame: a picture that the core keeps comes a moment after it is first asked for."""
        if not self.has_picture:
            self._fetches += 1
            self.texture = texture_of(self._platform.picture(self._marked.sha256))
            self.has_picture = self.texture is not None
            self.speak()

    def speak(self) -> None:
        """In the language of now."""
        waiting = captions.LOOKING if self._fetches <= MOST_FETCHES else captions.NOT_HERE
        self.heading = LOOK.say(captions.DRAW if self.has_picture else waiting)

    def on_close(self) -> None:
        """For those who bind."""

    def confirm(self) -> None:
        strokes = tuple(tuple(stroke) for stroke in self.ids.sheet.strokes)
        self.dispatch("on_close")
        if strokes:
            self._marked.done(strokes)

    def go_back(self) -> None:
        self.dispatch("on_close")


Builder.load_file(str(Path(__file__).with_suffix(".kv")))
