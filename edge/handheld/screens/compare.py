"""图像同屏比对: two pictures that move and grow together, a line to draw across, and what differs, in colour.

Which pictures is the view's to say; where a finger has moved them to is the finger's own. Aligning takes up
to 0.3 s: it is done beside the thread that draws, from the same pictures again whenever they are shown.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from kivy.graphics import Color, Mesh, Rectangle, ScissorPop, ScissorPush
from kivy.graphics.texture import Texture
from kivy.lang import Builder
from kivy.metrics import dp
from kivy.properties import BooleanProperty, ObjectProperty, OptionProperty, StringProperty
from kivy.uix.boxlayout import BoxLayout
from kivy.uix.widget import Widget
from numpy.typing import NDArray

from edge.handheld.comparing import (
    Alignment,
    Divider,
    Kind,
    Pane,
    PanZoom,
    Picture,
    Why,
    compare,
    linked,
)
from edge.handheld.comparing_screen import (
    CAMERA,
    ComparingView,
    ComparisonAsked,
    ComparisonEnded,
    DifferencesShown,
    LayChosen,
    PictureChosen,
    PictureShown,
    PictureTaken,
    SidesChanged,
)
from edge.handheld.screens import captions
from edge.handheld.screens.desk import Platform
from edge.handheld.screens.hands import Asked, Hands, Offered
from edge.handheld.screens.listing import button, set_out
from edge.handheld.screens.look import LOOK
from edge.handheld.screens.pictures import pixels_of, texture_from

NEARER: Final = 1.5
"""What one touch of the button does."""
HEAT: Final = (255, 0, 200)
"""No goods and no X-ray colours look like it."""
MOST_HEAT: Final = 0.75
ASK_AGAIN: Final = 8
"""Frames until a picture that is not there yet is asked for again."""

Pixels = NDArray[np.uint8]


class Shown:
    """A picture as it can be drawn; its dots lie in the texture alone."""

    def __init__(self, pixels: Pixels) -> None:
        self.size = (pixels.shape[1], pixels.shape[0])
        self.texture = texture_from(pixels)


@dataclass(frozen=True, eq=False, slots=True)
class Found:
    """What is drawn and said of a comparison. The pictures it was made of are not kept: two of them in
    colour, whole, are more than all the rest of the page."""

    alignment: Alignment | None
    heat: Pixels | None
    heat_on_picture: Pixels | None
    laid: Pixels | None
    differs: float | None
    why_not: Why | None


class Overlays:
    """Textures of what lies over the pictures: made when first drawn, not with every move of a finger."""

    def __init__(self, found: Found) -> None:
        self._found = found
        self._made: dict[str, Any] = {}

    def heat(self) -> Any:
        return self._once("heat", self._found.heat, _heat_texture)

    def heat_on_picture(self) -> Any:
        return self._once("heat_on_picture", self._found.heat_on_picture, _heat_texture)

    def laid(self) -> Any:
        return self._once("laid", self._found.laid, lambda pixels: texture_from(_three(pixels)))

    def _once(self, name: str, pixels: Pixels | None, made: Callable[[Pixels], Any]) -> Any:
        if name not in self._made:
            self._made[name] = None if pixels is None else made(pixels)
        return self._made[name]


class PicturePane(Widget):
    """One picture, moved and enlarged; with another over its right part, and what differs over both."""

    texture = ObjectProperty(None, allownone=True)
    over = ObjectProperty(None, allownone=True)
    """A texture that covers the same goods."""
    heat = ObjectProperty(None, allownone=True)
    name = StringProperty("")
    missing = StringProperty("")
    fill = StringProperty("panel")

    def __init__(self, **given: Any) -> None:
        self.at: PanZoom | None = None
        self.picture_size: tuple[int, int] | None = None
        self.divider: Divider | None = None
        super().__init__(**given)

    @property
    def pane(self) -> Pane | None:
        if self.picture_size is None or self.width < 1 or self.height < 1:
            return None
        return Pane((self.width, self.height), self.picture_size)

    def draw(self) -> None:
        pane = self.pane
        self.canvas.before.clear()
        with self.canvas.before:
            Color(*LOOK.colour("panel", LOOK.theme))
            Rectangle(pos=self.pos, size=self.size)
            if pane is None or self.texture is None or self.at is None:
                return
            corners = self._corners(pane, self.at)
            ScissorPush(x=int(self.x), y=int(self.y), width=int(self.width), height=int(self.height))
            Color(1, 1, 1, 1)
            _quad(self.texture, corners)
            ScissorPop()
            if self.over is not None and self.divider is not None:
                line = int(self.divider.at(self.width))
                ScissorPush(
                    x=int(self.x) + line, y=int(self.y), width=int(self.width) - line, height=int(self.height)
                )
                Color(1, 1, 1, 1)
                _quad(self.over, corners)
                ScissorPop()
            if self.heat is not None:
                ScissorPush(x=int(self.x), y=int(self.y), width=int(self.width), height=int(self.height))
                Color(1, 1, 1, 1)
                _quad(self.heat, corners)
                ScissorPop()
            if self.over is not None and self.divider is not None:
                x = self.x + self.divider.at(self.width)
                for colour, thick in (((0, 0, 0, 1), dp(6)), ((1, 1, 1, 1), dp(3))):
                    Color(*colour)
                    Rectangle(pos=(x - thick / 2, self.y), size=(thick, self.height))
                grip = dp(28)
                Color(0, 0, 0, 1)
                Rectangle(
                    pos=(x - grip / 2 - dp(2), self.center_y - grip - dp(2)),
                    size=(grip + dp(4), 2 * grip + dp(4)),
                )
                Color(1, 1, 1, 1)
                Rectangle(pos=(x - grip / 2, self.center_y - grip), size=(grip, 2 * grip))

    def _corners(self, pane: Pane, at: PanZoom) -> list[tuple[float, float]]:
        """Where the picture's corners lie in the window: top left, top right, bottom right, bottom left."""
        columns, rows = pane.picture_size
        ends = ((-0.5, -0.5), (columns - 0.5, -0.5), (columns - 0.5, rows - 0.5), (-0.5, rows - 0.5))
        placed = (pane.to_pane(at, x, y) for x, y in ends)
        return [(self.x + right, self.top - down) for right, down in placed]


def _quad(texture: Any, corners: list[tuple[float, float]]) -> None:
    coords = texture.tex_coords
    # Textures here are flipped: their first corner is the picture's lower left one.
    of = (coords[6:8], coords[4:6], coords[2:4], coords[0:2])
    vertices = [number for (x, y), (u, v) in zip(corners, of, strict=True) for number in (x, y, u, v)]
    Mesh(vertices=vertices, indices=[0, 1, 2, 3], mode="triangle_fan", texture=texture)


class ComparePage(BoxLayout):
    lead = ObjectProperty(None, allownone=True)
    heading = StringProperty("")
    told = StringProperty("")
    left_name = StringProperty("")
    right_name = StringProperty("")
    lay = OptionProperty("beside", options=["beside", "over"])
    has_pictures = BooleanProperty(False)
    theme = StringProperty("")
    """Of now; bound by the .kv."""

    def __init__(self, hands: Hands, **given: Any) -> None:
        self._hands = hands
        self._view: ComparingView | None = None
        self._pictures: dict[str, Shown] = {}
        self._at: PanZoom | None = None
        """None: the whole picture, until a finger moves it."""
        self._divider = Divider()
        self._work = Aligning()
        self._found: Found | None = None
        self._overlays: Overlays | None = None
        self._pair = ("", "")
        self._begun = ("", "")
        """The pair that was given away to be aligned: what cannot be is not tried again."""
        self._frames = 0
        self._touches: dict[Any, tuple[float, float]] = {}
        self._draws_line = False
        super().__init__(**given)
        for side in (self.ids.left, self.ids.right):
            side.fbind("size", self._redraw)
            side.fbind("pos", self._redraw)
        self.fbind("theme", self._redraw)

    # --- the view ---

    def show(self, view: ComparingView) -> None:
        before, self._view = self._view, view
        if before is None or before.code != view.code:
            self.leave()
            self._at, self._pair = None, ("", "")
        self.heading = view.code or LOOK.say(captions.COMPARE_HINT)
        self.has_pictures = bool(view.code) and not view.is_looking
        self.lay = view.lay
        names = {each.key: LOOK.say(each.name) for each in view.pictures}
        self.left_name, self.right_name = names.get(view.left, ""), names.get(view.right, "")
        pair = (view.left, view.right)
        if pair != self._pair:
            self._pair, self._at = pair, None
            self._forget()
        self._set_out(view)
        self._say()
        self._load()
        self._redraw()

    def _say(self) -> None:
        view = self._view
        if view is None:
            return
        if view.is_looking:
            self.told = LOOK.say(captions.LOOKING)
        elif view.told is not None:
            self.told = LOOK.say(view.told)
        elif self._work.is_busy:
            self.told = LOOK.say(captions.ALIGNING)
        elif self._found is not None and self._found.why_not is not None:
            why = self._found.why_not
            self.told = why.zh if LOOK.language == "zh" else why.en
        elif self._found is not None and view.shows_differences and self._found.differs is not None:
            self.told = LOOK.say(captions.filled(captions.DIFFERS, n=f"{100 * self._found.differs:.1f}"))
        else:
            self.told = ""

    def _set_out(self, view: ComparingView) -> None:
        put = self._hands.put
        # Where nothing can be drawn there is nothing to hide, and another try would end the same.
        cannot = self._found is not None and self._found.heat is None
        is_drawn = view.shows_differences and not cannot
        if not view.code or view.is_looking:
            set_out(self, button(captions.TYPE_NUMBER, self._type, role="primary"))
            return
        differences = button(
            captions.HIDE_DIFFERENCES if is_drawn else captions.DIFFERENCES,
            lambda: put(DifferencesShown(not view.shows_differences)),
            role="chosen" if is_drawn else "primary",
            is_shut=cannot or not view.may_show_differences,
        )
        over = view.lay == "over"
        lay = button(
            captions.BESIDE if over else captions.OVER, lambda: put(LayChosen("beside" if over else "over"))
        )
        others = [lay, button(captions.PICTURES, self._choose), button(captions.MORE, self._more)]
        if CAMERA in (view.left, view.right):
            take = button(captions.PHOTO, lambda: put(PictureTaken()), role="primary", is_shut=view.is_taking)
            set_out(self, take, *others)
        else:
            set_out(self, differences, *others)

    # --- the pictures ---

    def leave(self) -> None:
        """Another page is seen: pictures are in memory only while somebody looks at them."""
        self._pictures.clear()
        self._forget()
        self._redraw()

    def _forget(self) -> None:
        self._found, self._overlays, self._begun = None, None, ("", "")
        self._work.forget()

    def fetch(self) -> None:
        """Some times a second, while the page is seen."""
        view = self._view
        if view is None:
            return
        self._frames += 1
        if CAMERA in (view.left, view.right):
            self._load_camera(self._hands.platform)
        if self._frames % ASK_AGAIN == 0:
            self._load()
        found = self._work.take(self._pair)
        if found is not None:
            self._found, self._overlays = found, Overlays(found)
            self._set_out(view)
            self._say()
            self._redraw()

    def _load(self) -> None:
        view = self._view
        if view is None or not view.code:
            return
        by_key = {each.key: each for each in view.pictures}
        for key in {view.left, view.right} - {CAMERA, ""}:
            if key not in self._pictures and key in by_key:
                pixels = self._of(by_key[key]).read()
                if pixels is not None:
                    self._pictures[key] = Shown(pixels)
                    self._redraw()
        for key in set(self._pictures) - {view.left, view.right}:
            del self._pictures[key]
        if (
            view.may_show_differences
            and self._begun != self._pair
            and CAMERA not in self._pair
            and all(key in self._pictures for key in self._pair)
        ):
            one, two = (self._of(by_key[key]) for key in self._pair)
            if self._work.begin(self._pair, one, two):
                self._begun = self._pair
            self._say()

    def _of(self, shown: PictureShown) -> Source:
        whole = self._hands.platform.picture(shown.sha256) if shown.sha256 else None
        return Source(whole, shown.preview, Kind.XRAY if shown.kind == "x_ray" else Kind.PHOTO)

    def _load_camera(self, platform: Platform) -> None:
        frame = platform.frame()
        if frame is None:
            self._pictures.pop(CAMERA, None)
            return
        pixels = frame.pixels if frame.pixels.ndim == 3 else np.repeat(frame.pixels[:, :, None], 3, axis=2)
        before = self._pictures.get(CAMERA)
        if before is not None and before.size == (pixels.shape[1], pixels.shape[0]):
            flat = np.ascontiguousarray(pixels).reshape(-1)
            before.texture.blit_buffer(flat, colorfmt="rgb", bufferfmt="ubyte")
            self.canvas.ask_update()
        else:
            self._pictures[CAMERA] = Shown(pixels)
            self._redraw()

    # --- drawing ---

    def _redraw(self, *_: Any) -> None:
        view = self._view
        if view is None:
            return
        left, right = self.ids.left, self.ids.right
        one, two = self._pictures.get(view.left), self._pictures.get(view.right)
        found = self._found
        aligned = None if found is None else found.alignment
        for side, shown in ((left, one), (right, two)):
            side.texture = None if shown is None else shown.texture
            side.picture_size = None if shown is None else shown.size
            side.over = side.heat = side.divider = None
        left.at = None if left.pane is None else left.pane.kept(self._at or left.pane.whole)
        right.at = None
        if right.pane is not None:
            if left.pane is not None and left.at is not None:
                right.at = linked(left.at, left.pane, right.pane, aligned)
            else:
                right.at = right.pane.whole
        if view.shows_differences and self._overlays is not None:
            left.heat, right.heat = self._overlays.heat(), self._overlays.heat_on_picture()
        if self.lay == "over" and two is not None:
            left.divider = self._divider
            laid = None if self._overlays is None else self._overlays.laid()
            left.over = two.texture if laid is None else laid
        left.missing = "" if one is not None or not view.left else LOOK.say(captions.NOT_HERE)
        right.missing = (
            ""
            if two is not None or not view.right
            else LOOK.say(captions.NO_PICTURE if view.right == CAMERA else captions.NOT_HERE)
        )
        left.draw()
        right.draw()

    # --- fingers ---

    def on_touch_down(self, touch: Any) -> bool:
        side = self._side(touch)
        if side is None or self.ids.left.pane is None:
            return bool(super().on_touch_down(touch))
        if touch.is_double_tap and side.pane is not None:
            self._at = None
            self._redraw()
            return True
        touch.grab(self)
        self._touches[touch.uid] = (touch.x, touch.y)
        if self.lay == "over" and len(self._touches) == 1:
            self._draws_line = abs(touch.x - side.x - self._divider.at(side.width)) <= LOOK.target / 2
        return True

    def on_touch_move(self, touch: Any) -> bool:
        if touch.grab_current is not self or touch.uid not in self._touches:
            return False
        left = self.ids.left
        before = dict(self._touches)
        self._touches[touch.uid] = (touch.x, touch.y)
        if left.pane is None:
            return True
        if self._at is None:
            self._at = left.pane.whole
        if self._draws_line:
            self._divider = self._divider.moved_to(touch.x - left.x, left.width)
        elif len(before) == 1:
            (old_x, old_y) = before[touch.uid]
            self._at = left.pane.dragged(self._at, touch.x - old_x, old_y - touch.y)
        elif len(before) == 2:
            self._pinch(left, before)
        self._redraw()
        return True

    def _pinch(self, left: Any, before: dict[Any, tuple[float, float]]) -> None:
        (one, two), (was_one, was_two) = tuple(self._touches.values()), tuple(before.values())
        was = max(1.0, float(np.hypot(was_one[0] - was_two[0], was_one[1] - was_two[1])))
        now = max(1.0, float(np.hypot(one[0] - two[0], one[1] - two[1])))
        side = self.ids.right if self.lay == "beside" and self.ids.right.collide_point(*one) else left
        at = ((one[0] + two[0]) / 2 - side.x, side.top - (one[1] + two[1]) / 2)
        self._at = left.pane.zoomed(self._at, now / was, at)

    def on_touch_up(self, touch: Any) -> bool:
        if touch.grab_current is self:
            touch.ungrab(self)
            self._touches.pop(touch.uid, None)
            self._draws_line = self._draws_line and bool(self._touches)
            return True
        return bool(super().on_touch_up(touch))

    def _side(self, touch: Any) -> Any:
        for side in (self.ids.left, self.ids.right):
            if side.width > 1 and side.collide_point(*touch.pos):
                return side
        return None

    def nearer(self, factor: float) -> None:
        left = self.ids.left
        if left.pane is not None:
            self._at = left.pane.zoomed(
                self._at or left.pane.whole, factor, (left.width / 2, left.height / 2)
            )
            self._redraw()

    # --- what is wanted ---

    def _type(self) -> None:
        self._hands.ask(
            Asked(
                captions.WAYBILL_NO,
                lambda text: self._hands.put(ComparisonAsked(text)),
                confirm=captions.LOOK_UP,
            )
        )

    def _choose(self) -> None:
        view = self._view
        if view is None:
            return

        def of(side: Any) -> Any:
            return lambda: self._hands.ask(
                Offered(
                    captions.LEFT_PICTURE if side == "left" else captions.RIGHT_PICTURE,
                    tuple(
                        (each.name, lambda key=each.key: self._hands.put(PictureChosen(side, key)))
                        for each in view.pictures
                    ),
                )
            )

        self._hands.ask(
            Offered(
                captions.PICTURES,
                (
                    (captions.LEFT_PICTURE, of("left")),
                    (captions.RIGHT_PICTURE, of("right")),
                    (captions.CHANGE_SIDES, lambda: self._hands.put(SidesChanged())),
                ),
            )
        )

    def _more(self) -> None:
        self._hands.ask(
            Offered(
                captions.MORE,
                (
                    (captions.ZOOM_IN, lambda: self.nearer(NEARER)),
                    (captions.ZOOM_OUT, lambda: self.nearer(1 / NEARER)),
                    (captions.TYPE_NUMBER, self._type),
                    (captions.END_COMPARING, lambda: self._hands.put(ComparisonEnded())),
                ),
            )
        )


@dataclass(frozen=True, slots=True)
class Source:
    """Where a picture's dots come from."""

    whole: Path | bytes | None
    """Where the device has it."""
    preview: bytes
    """The small one of the record."""
    kind: Kind

    def read(self) -> Pixels | None:
        """(rows, columns, 3) red, green, blue."""
        found = pixels_of(self.whole)
        return found if found is not None else pixels_of(self.preview or None)


class Aligning:
    """One comparison at a time, on a thread of its own; the newest pair wins."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted = ("", "")
        self._done: Found | None = None
        self.is_busy = False

    def begin(self, pair: tuple[str, str], left: Source, right: Source) -> bool:
        """False: another pair is still worked on; ask again."""
        with self._lock:
            if self.is_busy:
                return False
            self.is_busy, self._wanted = True, pair
        work = threading.Thread(target=self._compare, args=(pair, left, right), name="comparing", daemon=True)
        work.start()
        return True

    def take(self, pair: tuple[str, str]) -> Found | None:
        with self._lock:
            if pair != self._wanted:
                return None
            done, self._done = self._done, None
        return done

    def forget(self) -> None:
        """Nobody looks at it any more."""
        with self._lock:
            self._wanted, self._done = ("", ""), None

    def _compare(self, pair: tuple[str, str], left: Source, right: Source) -> None:
        found: Found | None = None
        try:
            found = _found(left, right)
        except ValueError:
            found = None
        finally:
            with self._lock:
                self.is_busy = False
                self._done = found if pair == self._wanted else None


def _found(left: Source, right: Source) -> Found | None:
    """Raises `ValueError` where a picture is too small or too large to be compared."""
    pictures = []
    for source in (left, right):
        pixels = source.read()
        if pixels is None:
            return None
        pictures.append(Picture(np.ascontiguousarray(pixels[:, :, ::-1]), source.kind))
    told = compare(*pictures)
    return Found(
        told.alignment if isinstance(told.alignment, Alignment) else None,
        told.heat,
        told.heat_on_picture(),
        told.laid,
        told.differs,
        told.why_not,
    )


def _three(pixels: Pixels) -> Pixels:
    """(rows, columns, 3) red, green, blue from one channel, or from blue, green, red."""
    if pixels.shape[2] == 1:
        return np.repeat(pixels, 3, axis=2)
    return np.ascontiguousarray(pixels[:, :, ::-1])


def _heat_texture(heat: Pixels) -> Any:
    rows, columns = heat.shape
    coloured = np.empty((rows, columns, 4), np.uint8)
    coloured[:, :, :3] = HEAT
    coloured[:, :, 3] = (heat * MOST_HEAT).astype(np.uint8)
    texture = Texture.create(size=(columns, rows), colorfmt="rgba")
    texture.flip_vertical()
    texture.blit_buffer(coloured.reshape(-1), colorfmt="rgba", bufferfmt="ubyte")
    return texture


Builder.load_file(str(Path(__file__).with_suffix(".kv")))
