"""Our own small set of widgets: words that are never cut, buttons a glove hits, signs for eyes that see no
colour.

Each knows its colours by role (`look.colour`); a widget that paints itself says so in `fill`, which is also
how a check finds what a text stands on. Nothing here knows customs words or a view.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

import numpy as np
import segno
from kivy.clock import Clock
from kivy.core.text import Label as Glyphs
from kivy.graphics import Color, Ellipse, Line, Mesh, Rectangle
from kivy.graphics.texture import Texture
from kivy.lang import Builder
from kivy.properties import (
    BooleanProperty,
    ListProperty,
    NumericProperty,
    ObjectProperty,
    OptionProperty,
    StringProperty,
)
from kivy.uix.behaviors import ButtonBehavior
from kivy.uix.boxlayout import BoxLayout
from kivy.uix.gridlayout import GridLayout
from kivy.uix.label import Label
from kivy.uix.layout import Layout
from kivy.uix.scrollview import ScrollView
from kivy.uix.textinput import TextInput
from kivy.uix.widget import Widget

from edge.handheld.screens.breaking import kept_together
from edge.handheld.screens.desk import Frame, Platform
from edge.handheld.screens.environment import hear_keys
from edge.handheld.screens.fonts import OURS
from edge.handheld.screens.look import LOOK
from edge.handheld.screens.themes import FILLS

KINDS: Final = ("small", "body", "large", "title", "huge")
MOST_MENDED_LINES: Final = 8
"""Of one text: each costs another drawing of it."""
AIM: Final = (0.86, 0.42)
"""Width and height of the aiming frame as shares of the preview: what `edge.reading` looks at first."""


def ink_on(fill: str) -> str:
    """The role of what is written on a fill."""
    return f"on_{fill}" if fill in FILLS else "ink"


class Words(Label):
    """Text that wraps and grows; it is never shortened."""

    kind = OptionProperty("body", options=KINDS)
    ink = StringProperty("ink")

    def texture_update(self, *given: Any) -> None:
        """Drawn as Kivy breaks it, and again where a line would begin with a full stop."""
        self._label.text = self.text
        super().texture_update(*given)
        for _ in range(MOST_MENDED_LINES):
            broken = self._label._cached_lines  # noqa: SLF001  Kivy tells nowhere else where it broke them
            lines = ["".join(word.text for word in line.words) for line in broken]
            mended = kept_together(self._label.text, lines)
            if mended == self._label.text:
                return
            self._label.text = mended
            super().texture_update(*given)


class Sheet(BoxLayout):
    """Things below each other, as high as they are together; painted where it has a `fill`."""

    fill = StringProperty("")


class Strip(BoxLayout):
    """Things beside each other."""


class Emblem(Widget):
    """The shape of a verdict, or of what a button does."""

    shape = StringProperty("")
    fill = StringProperty("ink")
    """The shape's colour, by role."""
    paper = StringProperty("")
    """The colour of the mark within it; none: seen through to what lies behind."""
    theme = StringProperty("")
    """Of now; bound by the .kv, which lets go of a widget that is gone, as `LOOK` would not."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        draw = Clock.create_trigger(self._draw, -1)
        self.fbind("pos", draw)
        self.fbind("size", draw)
        self.fbind("shape", draw)
        self.fbind("fill", draw)
        self.fbind("paper", draw)
        self.fbind("theme", draw)
        draw()

    def _draw(self, *_: Any) -> None:
        self.canvas.clear()
        radius = min(self.width, self.height) / 2
        if not self.shape or radius <= 0:
            return
        x, y = self.center
        with self.canvas:
            Color(*LOOK.colour(self.fill, LOOK.theme))
            match self.shape:
                case "circle":
                    Ellipse(pos=(x - radius, y - radius), size=(2 * radius, 2 * radius))
                    self._mark()
                    Line(
                        points=_at(x, y, radius, (-0.45, 0.02), (-0.12, -0.34), (0.48, 0.36)),
                        width=radius * 0.1,
                    )
                case "triangle":
                    _polygon(x, y - radius * 0.14, radius * 1.12, 3, 90)
                    self._mark()
                    Line(points=_at(x, y, radius, (0, 0.34), (0, -0.22)), width=radius * 0.1)
                    dot = radius * 0.12
                    Ellipse(pos=(x - dot, y - radius * 0.52 - dot), size=(2 * dot, 2 * dot))
                case "octagon":
                    _polygon(x, y, radius, 8, 22.5)
                    self._mark()
                    Line(points=_at(x, y, radius, (-0.48, 0), (0.48, 0)), width=radius * 0.13, cap="square")
                case "diamond":
                    _polygon(x, y, radius, 4, 0)
                    self._mark()
                    _glyph("?", x, y, radius)
                case "menu":
                    for level in (-0.5, 0.0, 0.5):
                        Line(points=_at(x, y, radius, (-0.7, level), (0.7, level)), width=radius * 0.1)
                case "scan":
                    for dx, dy in ((-1, -1), (-1, 1), (1, 1), (1, -1)):
                        corner = ((dx * 0.35, dy * 0.75), (dx * 0.8, dy * 0.75), (dx * 0.8, dy * 0.3))
                        Line(points=_at(x, y, radius, *corner), width=radius * 0.09, cap="square")
                    Line(points=_at(x, y, radius, (-0.6, 0), (0.6, 0)), width=radius * 0.1)
                case "back":
                    Line(points=_at(x, y, radius, (0.3, 0.6), (-0.35, 0), (0.3, -0.6)), width=radius * 0.12)
                case "dot":
                    Ellipse(pos=(x - radius * 0.6, y - radius * 0.6), size=(1.2 * radius, 1.2 * radius))
                case "ring":
                    Line(circle=(x, y, radius * 0.6), width=max(1.0, radius * 0.14))
                case _:
                    raise ValueError(f"expected a shape that can be drawn, got {self.shape}")

    def _mark(self) -> None:
        paper = self.paper or _paper_of(self.parent)
        Color(*LOOK.colour(paper, LOOK.theme))


def _paper_of(widget: Any) -> str:
    while widget is not None and widget is not widget.parent:
        if getattr(widget, "fill", "") and not isinstance(widget, Emblem):
            return str(widget.fill)
        widget = widget.parent
    return "ground"


def _at(x: float, y: float, radius: float, *points: tuple[float, float]) -> list[float]:
    return [number for across, up in points for number in (x + across * radius, y + up * radius)]


def _polygon(x: float, y: float, radius: float, corners: int, first_degrees: float) -> None:
    angles = [math.radians(first_degrees + 360 * n / corners) for n in range(corners)]
    vertices = [
        number for a in angles for number in (x + radius * math.cos(a), y + radius * math.sin(a), 0, 0)
    ]
    Mesh(vertices=vertices, indices=list(range(corners)), mode="triangle_fan")


def _glyph(sign: str, x: float, y: float, radius: float) -> None:
    drawn = Glyphs(text=sign, font_name=OURS, font_size=radius * 1.2, bold=True)
    drawn.refresh()
    width, height = drawn.texture.size
    Rectangle(texture=drawn.texture, pos=(x - width / 2, y - height / 2), size=(width, height))


class BigButton(ButtonBehavior, BoxLayout):
    """At least as high as a finger or glove needs; as high as its words need."""

    text = StringProperty("")
    hint = StringProperty("")
    """A second, smaller line."""
    role = OptionProperty("raised", options=["primary", "danger", "raised", "chosen", "on_hold"])
    shape = StringProperty("")
    kind = OptionProperty("large", options=KINDS)
    halign = OptionProperty("center", options=["left", "center", "right"])
    is_shut = BooleanProperty(False)
    fill = StringProperty("raised")
    ink_role = StringProperty("ink")
    natural_height = NumericProperty(0)
    weight = NumericProperty(1)
    """Its share of a row."""
    is_gone = BooleanProperty(False)
    """It has no place in the dock for now."""

    def on_fill(self, _: Any, fill: str) -> None:
        self.ink_role = ink_on(fill)


class WayButton(ButtonBehavior, BoxLayout):
    """A small one: its shape above its word."""

    text = StringProperty("")
    shape = StringProperty("")
    fill = StringProperty("raised")
    natural_height = NumericProperty(0)
    weight = NumericProperty(1)
    is_gone = BooleanProperty(False)


class Tag(Label):
    """A word on a colour."""

    fill = StringProperty("raised")
    ink = StringProperty("ink")

    def on_fill(self, _: Any, fill: str) -> None:
        self.ink = ink_on(fill)


class Pair(BoxLayout):
    """A name and its value."""

    name = StringProperty("")
    value = StringProperty("")
    value_ink = StringProperty("ink")
    shape = StringProperty("")
    is_strong = BooleanProperty(False)


class RowButton(ButtonBehavior, BoxLayout):
    """A row of a list that can be touched."""

    text = StringProperty("")
    under = StringProperty("")
    trailing = StringProperty("")
    trailing_width = NumericProperty("88dp")
    shape = StringProperty("")
    shape_fill = StringProperty("ink")
    is_chosen = BooleanProperty(False)
    is_shut = BooleanProperty(False)
    fill = StringProperty("raised")
    ink_role = StringProperty("ink")
    soft_role = StringProperty("soft")
    is_plain = BooleanProperty(False)
    """Only shown: a touch does nothing."""

    def on_fill(self, _: Any, fill: str) -> None:
        self.ink_role = ink_on(fill)
        self.soft_role = self.ink_role if fill in FILLS else "soft"


class Body(ScrollView):
    """What scrolls between the bar and the buttons. Everything put in goes into one column."""

    def add_widget(self, widget: Any, *args: Any, **named: Any) -> None:
        column = self.ids.get("column")
        if column is None or widget is column:
            super().add_widget(widget, *args, **named)
        else:
            column.add_widget(widget, *args, **named)

    def fill_with(self, widgets: list[Any]) -> None:
        column = self.ids.column
        column.clear_widgets()
        for widget in widgets:
            column.add_widget(widget)


class Dock(Layout):
    """The buttons: the first one is the one a thumb finds first, in the lowest row on the hand's side.

    In a wide window they stand below each other.
    """

    across = NumericProperty(2)
    stacks = BooleanProperty(True)
    """In a wide window."""
    look_of_now = ObjectProperty(())
    fill = StringProperty("")

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.size_hint_y = None
        again = self._trigger_layout
        self.fbind("pos", again)
        self.fbind("size", again)
        self.fbind("children", self._children_changed)
        self.fbind("look_of_now", again)

    def _children_changed(self, *_: Any) -> None:
        for child in self.children:
            for name in ("natural_height", "is_gone"):
                if child.property(name, True) is not None:
                    child.funbind(name, self._trigger_layout)
                    child.fbind(name, self._trigger_layout)
        self._trigger_layout()

    def rows(self) -> list[list[Any]]:
        """From the lowest up; each from the hand's side inwards."""
        across = 1 if LOOK.is_wide and self.stacks else int(self.across)
        rows: list[list[Any]] = []
        room = 0.0
        for child in reversed(self.children):
            if getattr(child, "is_gone", False):
                child.size, child.opacity = (0, 0), 0
                continue
            child.opacity = 1
            if not rows or room + child.weight > across:
                rows.append([])
                room = 0.0
            rows[-1].append(child)
            room += child.weight
        return rows

    def do_layout(self, *_: Any) -> None:
        gap = LOOK.gap
        rows = self.rows()
        bottom = self.y + gap if rows else self.y
        for row in rows:
            room = self.width - gap * (len(row) + 1)
            height = max(child.natural_height for child in row)
            weights = sum(child.weight for child in row)
            left = self.x + gap
            for child in row if LOOK.is_left else reversed(row):
                child.width = room * child.weight / weights
                child.height = height
                child.pos = (left, bottom)
                left += child.width + gap
            bottom += height + gap
        self.height = bottom - self.y


class Stage(Layout):
    """A body and its dock: above each other, or side by side in a wide window, the dock on the hand's
    side.
    """

    share = NumericProperty(0.34)
    """Of the width, for the dock of a wide window."""
    look_of_now = ObjectProperty(())

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        again = self._trigger_layout
        self.fbind("pos", again)
        self.fbind("size", again)
        self.fbind("children", self._children_changed)
        self.fbind("look_of_now", again)

    def _children_changed(self, *_: Any) -> None:
        for child in self.children:
            if isinstance(child, Dock):
                child.unbind(height=self._trigger_layout)
                child.bind(height=self._trigger_layout)
        self._trigger_layout()

    def do_layout(self, *_: Any) -> None:
        docks = [child for child in self.children if isinstance(child, Dock)]
        bodies = [child for child in self.children if not isinstance(child, Dock)]
        dock = docks[0] if docks else None
        has_dock = dock is not None and bool(dock.children)
        aside = round(self.width * self.share) if has_dock and LOOK.is_wide else 0
        below = dock.height if dock is not None and has_dock and not LOOK.is_wide else 0
        if dock is not None:
            dock.width = aside or self.width
            dock.pos = (self.x if LOOK.is_left or not aside else self.right - aside, self.y)
        for body in bodies:
            body.size = (self.width - aside, self.height - below)
            body.pos = (self.x + (aside if LOOK.is_left else 0), self.y + below)


class QrCode(Widget):
    """Black on white in every theme, with its quiet zone, each module a whole number of dots."""

    text = StringProperty("")
    texture = ObjectProperty(None, allownone=True)
    side = NumericProperty(0)

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        again = Clock.create_trigger(self._refresh, -1)
        self.fbind("size", again)
        self.fbind("text", again)
        again()

    def _refresh(self, *_: Any) -> None:
        if not self.text:
            self.texture, self.side = None, 0
            return
        code = segno.make_qr(self.text, error="m")
        modules = np.array([list(row) for row in code.matrix_iter(border=4)], np.uint8)
        count = len(modules)
        texture = Texture.create(size=(count, count), colorfmt="luminance")
        texture.mag_filter = texture.min_filter = "nearest"
        texture.blit_buffer(
            ((1 - modules[::-1]) * 255).astype(np.uint8).tobytes(), colorfmt="luminance", bufferfmt="ubyte"
        )
        self.texture = texture
        self.side = max(1, int(min(self.width, self.height)) // count) * count


class Preview(Widget):
    """A picture filling its place, cut at the edges; with the frame to aim by."""

    texture = ObjectProperty(None, allownone=True)
    has_aim = BooleanProperty(True)
    fill = StringProperty("ground")
    part = ListProperty([0, 1, 1, 1, 1, 0, 0, 0])
    """What of the texture is seen."""
    picture_pos = ListProperty([0, 0])
    picture_size = ListProperty([0, 0])
    aim_pos = ListProperty([0, 0])
    aim_size = ListProperty([0, 0])
    covers = BooleanProperty(True)
    """True: fills its place and loses the edges; False: whole picture, with bands."""

    def __init__(self, **given: Any) -> None:
        self._number = -1
        super().__init__(**given)
        for name in ("pos", "size", "texture", "covers"):
            self.fbind(name, self._place)

    def show(self, frame: Frame | None) -> None:
        if frame is None:
            self.texture, self._number = None, -1
            return
        if frame.number == self._number:
            self._place()
            return
        self._number = frame.number
        rows, columns = frame.pixels.shape[:2]
        fmt = "rgb" if frame.pixels.ndim == 3 else "luminance"
        texture = self.texture
        if texture is None or texture.size != (columns, rows) or texture.colorfmt != fmt:
            texture = Texture.create(size=(columns, rows), colorfmt=fmt)
            texture.flip_vertical()
        texture.blit_buffer(np.ascontiguousarray(frame.pixels).reshape(-1), colorfmt=fmt, bufferfmt="ubyte")
        self.texture = texture
        self.canvas.ask_update()

    def _place(self, *_: Any) -> None:
        self.aim_size = [self.width * AIM[0], self.height * AIM[1]]
        self.aim_pos = [self.x + self.width * (1 - AIM[0]) / 2, self.y + self.height * (1 - AIM[1]) / 2]
        if self.texture is None:
            return
        columns, rows = self.texture.size
        across, down = self.width / columns, self.height / rows
        scale = max(across, down) if self.covers else min(across, down)
        if not scale:
            return
        width, height = min(self.width, columns * scale), min(self.height, rows * scale)
        self.picture_size = [width, height]
        self.picture_pos = [self.center_x - width / 2, self.center_y - height / 2]
        left, top = (1 - width / scale / columns) / 2, (1 - height / scale / rows) / 2
        u, v, du, dv = self.texture.uvpos + self.texture.uvsize
        low, high = v + dv * top, v + dv * (1 - top)
        near, far = u + du * left, u + du * (1 - left)
        self.part = [near, low, far, low, far, high, near, high]

    def corner(self, n: int, pos: list[float], size: list[float]) -> list[float]:
        """One of the four angles of the aiming frame."""
        (x, y), (width, height) = pos, size
        arm = min(width, height) * 0.2
        right, top = n in (1, 2), n in (2, 3)
        at_x, at_y = x + width * right, y + height * top
        inward_x, inward_y = (-arm if right else arm), (-arm if top else arm)
        return [at_x + inward_x, at_y, at_x, at_y, at_x, at_y + inward_y]


class Finder(Preview):
    """The camera as it looks now, while it looks; no place taken while it does not."""

    share = NumericProperty(0.3)
    """Of its parent's height."""

    def fetch(self, platform: Platform) -> None:
        """The window asks for it while the page is seen."""
        self.show(platform.frame())


class Field(ButtonBehavior, BoxLayout):
    """Shows what a pad has typed; touched, the pad types into it."""

    name = StringProperty("")
    value = StringProperty("")
    is_secret = BooleanProperty(False)
    is_current = BooleanProperty(False)
    shown = StringProperty("")
    fill = StringProperty("panel")

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.fbind("value", self._show)
        self.fbind("is_secret", self._show)
        self._show()

    def _show(self, *_: Any) -> None:
        self.shown = "*" * len(self.value) if self.is_secret else self.value


class WordsInput(TextInput):
    """Words of any language, from the system's own keyboard."""

    is_gone = BooleanProperty(False)
    fill = StringProperty("raised")

    def on_focus(self, *_: Any) -> None:
        if not self.focus:
            # After Kivy has let go of the keyboard.
            Clock.schedule_once(lambda _: hear_keys())


_PAGES: Final = {
    "123": ("123456789", "0"),
    "A-M": ("ABCDEFGHIJKLM-", ""),
    "N-Z": ("NOPQRSTUVWXYZ/", ""),
}
"""Four rows each: a glove needs keys of this size, so letters come in two halves."""
_AFTER: Final = {"123": "A-M", "A-M": "N-Z", "N-Z": "123"}


class NumberPad(GridLayout):
    """Keys for numbers, PINs and waybills; tells each through `on_key`: a character, or `erase`."""

    extra = OptionProperty("", options=["", "letters", "."])
    """What the key beside 0 does: nothing, leads to the letters, or types a point."""
    page = OptionProperty("123", options=list(_PAGES))
    natural_height = NumericProperty(0)
    weight = NumericProperty(2)
    is_gone = BooleanProperty(False)
    __events__ = ("on_key",)

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.fbind("extra", self._refill)
        self.fbind("page", self._refill)
        self._refill()

    def on_key(self, key: str) -> None:
        """For those who bind."""

    def on_extra(self, _: Any, extra: str) -> None:
        if extra != "letters":
            self.page = "123"

    def _refill(self, *_: Any) -> None:
        self.clear_widgets()
        signs, zero = _PAGES[self.page]
        extra = _AFTER[self.page] if self.extra == "letters" else self.extra
        self.cols = 3 if self.page == "123" else 4
        for key in (*signs, extra, *zero, "erase"):
            button = BigButton(
                text="" if key == "erase" else key,
                shape="back" if key == "erase" else "",
                kind="large" if len(key) > 1 else "title",
            )
            button.padding = [0, 0]
            button.key = key
            button.is_shut = not key
            button.bind(on_release=self._pressed)
            self.add_widget(button)

    def _pressed(self, button: Any) -> None:
        if button.key in _PAGES:
            self.page = button.key
        else:
            self.dispatch("on_key", button.key)


Builder.load_file(str(Path(__file__).with_name("widgets.kv")))
