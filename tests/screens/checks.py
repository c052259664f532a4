"""What must hold on every screen, read from the widgets as they lie in the window and from its dots.

Each check gives its findings as sentences; nothing found is an empty list. Loaded only where Kivy is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from kivy.metrics import Metrics
from kivy.uix.behaviors import ButtonBehavior
from kivy.uix.label import Label
from kivy.uix.scrollview import ScrollView
from kivy.uix.textinput import TextInput
from numpy.typing import NDArray

from edge.handheld.context import Theme
from edge.handheld.screens.breaking import NEVER_FIRST, NEVER_LAST
from edge.handheld.screens.fonts import SYSTEMS, covers
from edge.handheld.screens.look import LOOK
from edge.handheld.screens.themes import COLOURS, LEAST_CONTRAST, contrast
from edge.handheld.screens.widgets import Words

LEAST_TARGET_DP = 48
LEAST_GLOVE_TARGET_DP = 64
SLACK = 2.0
"""Dots: rounding."""

Box = tuple[float, float, float, float]
"""left, bottom, right, top, in the window."""


@dataclass(frozen=True)
class Seen:
    """A widget that somebody can see, at least in part."""

    widget: Any
    box: Box
    """All of it, scrolled out or not."""
    window: Box
    """What of the screen it may show in."""
    above: tuple[Any, ...]
    """Its ancestors, the nearest first."""
    is_scrolled: bool

    @property
    def shown(self) -> Box:
        return _common(self.box, self.window)

    def __str__(self) -> str:
        text = getattr(self.widget, "text", "") or getattr(self.widget, "name", "")
        return f"{type(self.widget).__name__} {text!r}"


def _common(one: Box, two: Box) -> Box:
    return max(one[0], two[0]), max(one[1], two[1]), min(one[2], two[2]), min(one[3], two[3])


def _is_empty(box: Box) -> bool:
    return box[2] - box[0] <= SLACK or box[3] - box[1] <= SLACK


def seen(root: Any, size: tuple[int, int]) -> list[Seen]:
    """Everything in the window, the rearmost first."""
    whole: Box = (0.0, 0.0, float(size[0]), float(size[1]))
    return list(_below(root, (), whole, is_scrolled=False))


def _below(widget: Any, above: tuple[Any, ...], window: Box, *, is_scrolled: bool) -> Iterator[Seen]:
    if widget.opacity == 0:
        return
    left, bottom = widget.to_window(*widget.pos)
    box = (left, bottom, left + widget.width, bottom + widget.height)
    if widget.width > 0 and widget.height > 0:
        yield Seen(widget, box, window, above, is_scrolled)
    if isinstance(widget, ScrollView):
        window, is_scrolled = _common(window, box), True
    for child in reversed(widget.children):
        yield from _below(child, (widget, *above), window, is_scrolled=is_scrolled)


def _texts(everything: list[Seen]) -> list[Seen]:
    return [each for each in everything if isinstance(each.widget, Label) and each.widget.text.strip()]


def _touchable(everything: list[Seen]) -> list[Seen]:
    return [
        each
        for each in everything
        if isinstance(each.widget, (ButtonBehavior, TextInput)) and not each.widget.disabled
    ]


def clipped_texts(everything: list[Seen]) -> list[str]:
    """A text larger than its place, or standing out of what it lies in."""
    found = []
    for each in _texts(everything):
        wide, high = each.widget.texture_size
        if wide > each.widget.width + SLACK or high > each.widget.height + SLACK:
            found.append(f"{each}: {wide}x{high} in {each.widget.width:.0f}x{each.widget.height:.0f}")
        for ancestor in each.above:
            if isinstance(ancestor, ScrollView):
                break
            left, bottom = ancestor.to_window(*ancestor.pos)
            frame = (left, bottom, left + ancestor.width, bottom + ancestor.height)
            if not _lies_in(each.box, frame):
                found.append(f"{each}: stands out of {type(ancestor).__name__}")
                break
    return found


def _lies_in(box: Box, frame: Box) -> bool:
    return (
        box[0] >= frame[0] - SLACK
        and box[1] >= frame[1] - SLACK
        and box[2] <= frame[2] + SLACK
        and box[3] <= frame[3] + SLACK
    )


def broken_words(everything: list[Seen]) -> list[str]:
    """A Latin word or a number that a line's end cuts in two."""
    found = []
    for each in _texts(everything):
        lines = ["".join(word.text for word in line.words) for line in each.widget._label._cached_lines]
        for one, two in pairwise(lines):
            tail, head = one.split()[-1:] or [""], two.split()[:1] or [""]
            joined = tail[0] + head[0]
            ends = one[-1:].isascii() and one[-1:].isalnum() and two[:1].isascii() and two[:1].isalnum()
            if ends and joined in each.widget.text.split() and len(joined) <= 14:
                found.append(f"{each}: {tail[0]}|{head[0]}")
    return found


def lines_begun_wrongly(everything: list[Seen]) -> list[str]:
    """A line of Chinese that begins with a full stop, or ends with an opening bracket (避头尾)."""
    found = []
    for each in _texts(everything):
        if not isinstance(each.widget, Words):
            continue
        lines = ["".join(word.text for word in line.words) for line in each.widget._label._cached_lines]
        for one, two in pairwise(lines):
            if one + two in each.widget.text and (one[-1:] in NEVER_LAST or two[:1] in NEVER_FIRST):
                found.append(f"{each}: {one[-3:]}|{two[:3]}")
    return found


def small_targets(everything: list[Seen], *, gloves: bool) -> list[str]:
    least = (LEAST_GLOVE_TARGET_DP if gloves else LEAST_TARGET_DP) * Metrics.density
    return [
        f"{each}: {each.widget.width / Metrics.density:.0f}x{each.widget.height / Metrics.density:.0f} dp"
        for each in _touchable(everything)
        if min(each.widget.width, each.widget.height) < least - SLACK
    ]


def off_screen(everything: list[Seen], size: tuple[int, int]) -> list[str]:
    """What does not scroll must lie in the window whole."""
    whole: Box = (0.0, 0.0, float(size[0]), float(size[1]))
    kinds = (*_texts(everything), *_touchable(everything))
    return [
        f"{each}: at {each.box}" for each in kinds if not each.is_scrolled and not _lies_in(each.box, whole)
    ]


def overlapping(everything: list[Seen]) -> list[str]:
    """Two texts, two buttons, or a text and a button it is not part of, on the same dots."""
    leaves = [each for each in (*_texts(everything), *_touchable(everything)) if not _is_empty(each.shown)]
    found = []
    for number, one in enumerate(leaves):
        for two in leaves[number + 1 :]:
            if one.widget in two.above or two.widget in one.above or one.widget is two.widget:
                continue
            if not _is_empty(_common(one.shown, two.shown)):
                found.append(f"{one} and {two}")
    return found


def _paper(each: Seen) -> str:
    fills = (getattr(widget, "fill", "") for widget in (each.widget, *each.above))
    return next((fill for fill in fills if fill), "ground")


def weak_contrast(everything: list[Seen]) -> list[str]:
    """From the colours the widgets have."""
    colours = COLOURS[Theme(LOOK.theme)]
    found = []
    for each in _texts(everything):
        paper = _paper(each)
        ink = each.widget.disabled_color if each.widget.disabled else each.widget.color
        far = contrast(tuple(ink), colours[paper])
        if far < LEAST_CONTRAST or ink[3] < 1:
            found.append(f"{each}: {far:.1f}:1 on {paper}")
    return found


def weak_dots(everything: list[Seen], picture: NDArray[np.uint8]) -> list[str]:
    """From the picture: what most of a text's place shows is its paper, and some dots stand out from it.

    `picture`: (rows, columns, 3) red, green, blue, top row first. Dots between ink and paper are there,
    too; the darkest or lightest few tell the ink. Thin strokes at density 1 reach only part of their colour.
    """
    rows = picture.shape[0]
    least = LEAST_CONTRAST if Metrics.density >= 2 else LEAST_CONTRAST / 2
    colours = COLOURS[Theme(LOOK.theme)]
    found = []
    for each in _texts(everything):
        if not _lies_in(each.box, each.window):
            continue
        left, bottom, right, top = (round(n) for n in each.box)
        dots = picture[rows - top : rows - bottom, left:right].reshape(-1, 3)
        if not len(dots):
            continue
        # One number a dot sorts a hundred times faster than three.
        packed, counts = np.unique(dots.astype(np.int32) @ (65_536, 256, 1), return_counts=True)
        values = np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=1)
        most = tuple(values[counts.argmax()] / 255.0)
        paper = colours[_paper(each)]
        if contrast(most, paper) > 1.05:
            found.append(f"{each}: lies on {most}, not on {_paper(each)}")
            continue
        sums = values.sum(axis=1)
        ends = (values[sums.argmin()], values[sums.argmax()])
        farthest = max(contrast(tuple(value / 255.0), paper) for value in ends)
        if farthest < least:
            found.append(f"{each}: {farthest:.1f}:1 in the picture")
    return found


def unknown_characters(everything: list[Seen]) -> list[str]:
    """A character that the font of its text does not have."""
    return [
        f"{each}: not in our font"
        for each in _texts(everything)
        if not covers(each.widget.text) and each.widget.font_name != SYSTEMS
    ]
