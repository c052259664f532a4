"""What is written under an evidence picture: time, lane, plate, weight, slip, moment. Draws; keeps nothing.

The words stand in a strip added below the frame, so that nothing of the scene is covered. Letters and Chinese
characters come from the Unicode font inside OpenCV 5's own wheel (Rubik and WenQuanYi Micro Hei): nothing is
shipped here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any, Final

from edge.devices.fixed_camera.source import cv2

if TYPE_CHECKING:
    from edge.devices.fixed_camera.source import Pixels

MOMENTS_ZH: Final = {"arrival": "到达", "weighing": "称重", "ruling": "判定", "passing": "通过"}

_WHITE, _AMBER = (255, 255, 255), (0, 190, 255)
_FONT: Final = "uni"
_MOST_LETTERS: Final = 120
"""Of one item: nothing received makes a strip taller than its picture."""


@dataclass(frozen=True, slots=True)
class Item:
    """One piece of the strip, never broken over two rows."""

    text: str
    warns: bool = False


@dataclass(frozen=True, slots=True)
class Caption:
    """What a picture is of. Empty texts are left out."""

    utc: str
    """When the frame was seen."""
    lane: str
    passage: int
    moment: str
    camera: str
    plate: str = ""
    gross_kg: str = ""
    slip_no: str = ""
    late_s: float = 0.0
    """How much older than the moment the frame is, where that is worth saying."""
    fault: str = ""

    def items(self, zone: tzinfo) -> tuple[Item, ...]:
        moment = MOMENTS_ZH.get(self.moment, "")
        items = [
            Item(local_time(self.utc, zone)),
            Item(f"通道 {self.lane}"),
            Item(f"过卡 {self.passage}"),
            Item(f"{moment} {self.moment}".strip()),
            Item(f"镜头 {self.camera}"),
        ]
        items += [Item(f"车牌 {self.plate}")] * bool(self.plate)
        items += [Item(f"毛重 {self.gross_kg} kg")] * bool(self.gross_kg)
        items += [Item(f"核放单 {self.slip_no}")] * bool(self.slip_no)
        if self.late_s:
            items.append(Item(f"画面早 {self.late_s:.1f} 秒 {self.late_s:.1f} s before", warns=True))
        if self.fault == "dark":
            items.append(Item("画面过暗 dark", warns=True))
        return tuple(items)


def local_time(utc: str, zone: tzinfo) -> str:
    """`2025-03-01 16:00:00.120 +08:00`"""
    local = datetime.fromisoformat(utc).astimezone(zone)
    return f"{local:%Y-%m-%d %H:%M:%S}.{local.microsecond // 1000:03d} {local.isoformat()[-6:]}"


def earlier(utc: str, seconds: float) -> str:
    """A moment before, in the same form."""
    moment = datetime.fromisoformat(utc) - timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def strip(items: Sequence[Item], columns: int) -> Pixels:
    """Rows of text on black, `columns` wide."""
    import numpy

    library = cv2()
    font = library.FontFace(_FONT)
    size = max(12, columns // 52)
    row_height, gap = size + size // 2, size

    def width(text: str) -> int:
        _, _, wide, _ = library.getTextSize((0, 0), text, (0, 0), font, size)
        return int(wide)

    placed: list[tuple[int, int, Item]] = []
    row, left = 0, gap // 2
    for item in items:
        text = "".join(letter if letter.isprintable() else "?" for letter in item.text[:_MOST_LETTERS])
        wide = width(text)
        if left > gap // 2 and left + wide > columns - gap // 2:
            row, left = row + 1, gap // 2
        placed.append((row, left, Item(text, item.warns)))
        left += wide + gap
    drawn: Pixels = numpy.zeros(((row + 1) * row_height + size // 2, columns, 3), numpy.uint8)
    for at, left, item in placed:
        _write(library, font, drawn, item, (left, (at + 1) * row_height - size // 4), size)
    return drawn


def _write(library: Any, font: Any, drawn: Pixels, item: Item, where: tuple[int, int], size: int) -> None:
    library.putText(drawn, item.text, where, _AMBER if item.warns else _WHITE, font, size)


def evidence(pixels: Pixels, items: Sequence[Item], *, widest: int, quality: int) -> bytes:
    """The frame, no wider than `widest`, with its strip below, as JPEG. Raises `ValueError`."""
    import numpy

    library = cv2()
    rows, columns, _ = pixels.shape
    if columns > widest:
        rows = max(1, rows * widest // columns)
        pixels = library.resize(pixels, (widest, rows), interpolation=library.INTER_AREA)
    whole = numpy.vstack((pixels, strip(items, pixels.shape[1])))
    try:
        done, jpeg = library.imencode(".jpg", whole, [library.IMWRITE_JPEG_QUALITY, quality])
    except library.error as error:
        raise ValueError(f"cannot be encoded: {error}") from error
    if not done:
        raise ValueError("cannot be encoded")
    data: bytes = jpeg.tobytes()
    return data
