"""What is written under an evidence picture: time, lane, plate, weight, slip, moment. Draws; keeps nothing.

How the strip is drawn: `edge.devices.fixed_camera.strips`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Final

from edge.devices.fixed_camera.source import cv2
from edge.devices.fixed_camera.strips import Item, local_time, with_strip
from sync.vocabulary.commands import ASKED
from sync.vocabulary.numbers import utc_text

if TYPE_CHECKING:
    from edge.devices.fixed_camera.source import Pixels

MOMENTS_ZH: Final = {
    "arrival": "到达",
    "weighing": "称重",
    "ruling": "判定",
    "passing": "通过",
    ASKED: "中心调取",
}


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


def earlier(utc: str, seconds: float) -> str:
    """A moment before, in the same form."""
    moment = datetime.fromisoformat(utc) - timedelta(seconds=seconds)
    return utc_text(moment)


def evidence(pixels: Pixels, items: Sequence[Item], *, widest: int, quality: int) -> bytes:
    """The frame, no wider than `widest`, with its strip below, as JPEG. Raises `ValueError`."""
    library = cv2()
    rows, columns, _ = pixels.shape
    if columns > widest:
        rows = max(1, rows * widest // columns)
        pixels = library.resize(pixels, (widest, rows), interpolation=library.INTER_AREA)
    whole = with_strip(pixels, items)
    try:
        done, jpeg = library.imencode(".jpg", whole, [library.IMWRITE_JPEG_QUALITY, quality])
    except library.error as error:
        raise ValueError(f"cannot be encoded: {error}") from error
    if not done:
        raise ValueError("cannot be encoded")
    data: bytes = jpeg.tobytes()
    return data
