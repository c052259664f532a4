"""Pictures from files or bytes as textures, no larger than a screen shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from kivy.graphics.texture import Texture
from numpy.typing import NDArray

from edge.devices.fixed_camera.source import cv2

LONGEST_SIDE: Final = 1_600
"""Dots; what is larger is made smaller first: a texture lies in memory whole."""
MOST_BYTES: Final = 32 * 1_024 * 1_024


def pixels_of(picture: Path | bytes | None, longest: int = LONGEST_SIDE) -> NDArray[np.uint8] | None:
    """(rows, columns, 3) red, green, blue. None: there is none, or it is no picture (G11)."""
    if picture is None:
        return None
    try:
        data = picture if isinstance(picture, bytes) else picture.read_bytes()
    except OSError:
        return None
    if not 0 < len(data) <= MOST_BYTES:
        return None
    library = cv2()
    try:
        read = library.imdecode(np.frombuffer(data, np.uint8), library.IMREAD_COLOR)
    except library.error:
        return None
    if read is None:
        return None
    scale = longest / max(read.shape[:2])
    if scale < 1:
        read = library.resize(read, None, fx=scale, fy=scale, interpolation=library.INTER_AREA)
    return np.ascontiguousarray(read[:, :, ::-1])


def texture_of(picture: Path | bytes | None, longest: int = LONGEST_SIDE) -> Any:
    """None: there is none."""
    pixels = pixels_of(picture, longest)
    return None if pixels is None else texture_from(pixels)


def texture_from(pixels: NDArray[np.uint8]) -> Any:
    """From (rows, columns, 3) red, green, blue, top row first."""
    rows, columns = pixels.shape[:2]
    texture = Texture.create(size=(columns, rows), colorfmt="rgb")
    texture.flip_vertical()
    texture.blit_buffer(np.ascontiguousarray(pixels).reshape(-1), colorfmt="rgb", bufferfmt="ubyte")
    return texture
