"""A picture file -> grey dots. No code is read here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy

from edge.devices.fixed_camera.source import cv2

if TYPE_CHECKING:
    from edge.reading.decoders import Grey

MOST_FILE_BYTES: Final = 64_000_000


class NotAPicture(Exception):
    """Cannot be read, or is no picture OpenCV knows (PNG, JPEG, WebP, BMP, TIFF ...)."""


def load_grey(path: Path) -> Grey:
    """As stored, whatever a camera noted of how it was held. Raises `NotAPicture`."""
    try:
        if path.stat().st_size > MOST_FILE_BYTES:
            raise NotAPicture(f"{path}: expected a picture of at most {MOST_FILE_BYTES} bytes")
        data = path.read_bytes()
    except OSError as error:
        raise NotAPicture(f"{path}: cannot be read: {error.strerror}") from error
    library = cv2()
    try:
        dots = (
            library.imdecode(numpy.frombuffer(data, numpy.uint8), library.IMREAD_UNCHANGED) if data else None
        )
    except library.error as error:
        raise NotAPicture(f"{path}: expected a picture, which this is too large or too spoilt for") from error
    if dots is None:
        raise NotAPicture(f"{path}: expected a picture such as PNG, JPEG or WebP")
    return grey_of(dots)


def grey_of(dots: Any) -> Grey:
    """Of (rows, columns[, 1, 3 or 4]), 8 or 16 bits, colours in OpenCV's order. What is transparent is white,
    as on paper."""
    library = cv2()
    if dots.dtype == numpy.uint16:
        dots = (dots >> 8).astype(numpy.uint8)
    elif dots.dtype != numpy.uint8:
        dots = library.normalize(dots, None, 0, 255, library.NORM_MINMAX, library.CV_8U)
    if dots.ndim == 2:
        return numpy.ascontiguousarray(dots)
    match dots.shape[2]:
        case 1:
            return numpy.ascontiguousarray(dots[:, :, 0])
        case 3:
            grey: Grey = library.cvtColor(dots, library.COLOR_BGR2GRAY)
            return grey
        case 4:
            opaque = dots[:, :, 3].astype(numpy.uint16)
            grey = library.cvtColor(dots, library.COLOR_BGRA2GRAY)
            on_white: Grey = ((grey * opaque + 255 * (255 - opaque)) // 255).astype(numpy.uint8)
            return on_white
        case other:
            raise NotAPicture(f"expected 1, 3 or 4 channels, got {other}")
