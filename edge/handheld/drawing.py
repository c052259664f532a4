"""Pictures as bytes: a frame becomes a JPEG, lines an officer drew are laid over one. Pure but for OpenCV."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge.devices.fixed_camera.source import cv2
from edge.devices.fixed_camera.strips import Item, local_time, with_strip
from edge.handheld.effects import TakePhoto
from edge.handheld.ports import Spot
from edge.handheld.words import zone_of

if TYPE_CHECKING:
    from edge.devices.fixed_camera.source import Pixels

QUALITY: Final = 90
_RED: Final = (40, 40, 230)
_SHARE: Final = 0.006
"""Of the longer side: how thick a line is."""

Strokes = tuple[tuple[tuple[float, float], ...], ...]


class NoPicture(ValueError):
    """The bytes are no picture, or the frame cannot become one."""


def jpeg_of(pixels: Pixels) -> bytes:
    """Raises `NoPicture`."""
    library = cv2()
    try:
        done, jpeg = library.imencode(".jpg", pixels, (library.IMWRITE_JPEG_QUALITY, QUALITY))
    except library.error as error:
        raise NoPicture(str(error)) from error
    if not done:
        raise NoPicture("the picture could not be written as JPEG")
    return bytes(jpeg)


def photo_of(pixels: Pixels, wanted: TakePhoto, utc: str, spot: Spot | None = None) -> bytes:
    """A photo as it is kept: of evidence with its strip below, made before it is hashed. Raises
    `NoPicture`."""
    if not wanted.officer:
        return jpeg_of(pixels)
    colours = pixels if pixels.ndim == 3 else cv2().cvtColor(pixels, cv2().COLOR_GRAY2BGR)
    return jpeg_of(with_strip(colours, caption(wanted, utc, spot)))


def caption(wanted: TakePhoto, utc: str, spot: Spot | None = None) -> tuple[Item, ...]:
    """Time, officer, what is on it, order; the place where the device knows it."""
    items = [
        Item(local_time(utc, zone_of(wanted.zone))),
        Item(f"关员 {wanted.officer}", latin=f"officer {wanted.officer}"),
    ]
    if wanted.subject != wanted.order_no:
        items.append(Item(wanted.subject))
    if wanted.order_no:
        items.append(Item(f"指令 {wanted.order_no}", latin=f"order {wanted.order_no}"))
    if spot is not None:
        items.append(Item(f"{spot.latitude:.5f}, {spot.longitude:.5f} ±{spot.accuracy_m:.0f} m"))
    return tuple(items)


def marked(jpeg: bytes, strokes: Strokes) -> bytes:
    """A new JPEG with the lines drawn; points are shares of width and height from the upper left. Raises
    `NoPicture`."""
    import numpy

    library = cv2()
    try:
        pixels = library.imdecode(numpy.frombuffer(jpeg, numpy.uint8), library.IMREAD_COLOR)
    except library.error as error:
        raise NoPicture(str(error)) from error
    if pixels is None:
        raise NoPicture("expected a JPEG")
    rows, columns = pixels.shape[:2]
    thick = max(2, round(_SHARE * max(rows, columns)))
    for stroke in strokes:
        points = [(_dot(x, columns), _dot(y, rows)) for x, y in stroke]
        if points:
            line = numpy.array(points, numpy.int32).reshape(-1, 1, 2)
            library.polylines(pixels, [line], False, _RED, thick, library.LINE_AA)
    return jpeg_of(pixels)


def _dot(share: float, size: int) -> int:
    return round(min(1.0, max(0.0, share)) * (size - 1))
