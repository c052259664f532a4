"""A strip of words below an evidence picture. Draws; keeps nothing, and knows no customs word.

Nothing of the scene is covered, and no block of a JPEG is shared by picture and strip: what is above the
strip is what it would be without (a decoder blends colours over the seam). Letters and Chinese characters
come from the Unicode font inside OpenCV 5's own wheel (Rubik and WenQuanYi Micro Hei); an older OpenCV has
Latin letters alone, and writes those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any, Final

from edge.devices.fixed_camera.source import cv2

if TYPE_CHECKING:
    from edge.devices.fixed_camera.source import Pixels

_WHITE, _AMBER = (255, 255, 255), (0, 190, 255)
_FONT: Final = "uni"
_MOST_LETTERS: Final = 120
"""Of one item: nothing received makes a strip taller than its picture."""
_BLOCK: Final = 16
"""Rows that JPEG codes together where colours are halved."""
_HERSHEY_HEIGHT: Final = 30.0
"""Of its letters at scale 1, in pixels, with room below."""


@dataclass(frozen=True, slots=True)
class Item:
    """One piece of the strip, never broken over two rows."""

    text: str
    warns: bool = False
    latin: str = ""
    """The same for a device that has no Chinese font here; empty: what is printable of `text`."""


def local_time(utc: str, zone: tzinfo) -> str:
    """`2025-03-01 16:00:00.120 +08:00`"""
    local = datetime.fromisoformat(utc).astimezone(zone)
    return f"{local:%Y-%m-%d %H:%M:%S}.{local.microsecond // 1000:03d} {local.isoformat()[-6:]}"


class _Pen:
    """Writes with what this OpenCV has."""

    def __init__(self, library: Any, size: int) -> None:
        self._library = library
        self._size = size
        face = getattr(library, "FontFace", None)
        self._face = None if face is None else face(_FONT)
        self._scale = size / _HERSHEY_HEIGHT

    def text(self, item: Item) -> str:
        text = item.text if self._face is not None else item.latin or item.text
        printable = "".join(letter if letter.isprintable() else "?" for letter in text[:_MOST_LETTERS])
        if self._face is not None:
            return printable
        return " ".join("".join(letter for letter in printable if letter.isascii()).split())

    def width(self, text: str) -> int:
        library = self._library
        if self._face is None:
            (wide, _), _ = library.getTextSize(text, library.FONT_HERSHEY_SIMPLEX, self._scale, 1)
            return int(wide)
        _, _, wide, _ = library.getTextSize((0, 0), text, (0, 0), self._face, self._size)
        return int(wide)

    def write(self, drawn: Pixels, text: str, where: tuple[int, int], *, warns: bool) -> None:
        library, ink = self._library, _AMBER if warns else _WHITE
        if self._face is None:
            font, smooth = library.FONT_HERSHEY_SIMPLEX, library.LINE_AA
            library.putText(drawn, text, where, font, self._scale, ink, 1, smooth)
        else:
            library.putText(drawn, text, where, ink, self._face, self._size)


def strip(items: Sequence[Item], columns: int) -> Pixels:
    """Rows of text on black, `columns` wide."""
    import numpy

    size = max(12, columns // 52)
    pen = _Pen(cv2(), size)
    row_height, gap = size + size // 2, size
    placed: list[tuple[int, int, str, bool]] = []
    row, left = 0, gap // 2
    for item in items:
        text = pen.text(item)
        wide = pen.width(text)
        if left > gap // 2 and left + wide > columns - gap // 2:
            row, left = row + 1, gap // 2
        placed.append((row, left, text, item.warns))
        left += wide + gap
    drawn: Pixels = numpy.zeros(((row + 1) * row_height + size // 2, columns, 3), numpy.uint8)
    for at, left, text, warns in placed:
        pen.write(drawn, text, (left, (at + 1) * row_height - size // 4), warns=warns)
    return drawn


def with_strip(pixels: Pixels, items: Sequence[Item]) -> Pixels:
    """The frame with its strip below, from the next whole block on."""
    import numpy

    rest = -pixels.shape[0] % _BLOCK
    between = numpy.repeat(pixels[-1:], rest, axis=0)
    whole: Pixels = numpy.vstack((pixels, between, strip(items, pixels.shape[1])))
    return whole
