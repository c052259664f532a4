"""A picture as JPEG or 16-bit PNG, for those who cannot read DICOS. Bytes out; no file, no clock."""

from __future__ import annotations

import numpy as np

from edge.xray_bridge.evidence.dicos import Pixels
from edge.xray_bridge.imaging.opencv import cv2

PREVIEW_COLUMNS = 480
PREVIEW_QUALITY = 80
PNG_LEVEL = 1
"""More would take a second for a few per cent."""


def grey_preview(high: Pixels, air: int) -> bytes:
    """Small, dark where much was in the way; where the analysis made no coloured one."""
    library = cv2()
    rows, columns = high.shape
    width = min(columns, PREVIEW_COLUMNS)
    size = (width, max(1, rows * width // columns))
    small = library.resize(high, size, interpolation=library.INTER_AREA)
    grey = np.clip(small.astype(np.float32) * (255.0 / max(1, air)), 0, 255).astype(np.uint8)
    return _encoded(".jpg", grey, (library.IMWRITE_JPEG_QUALITY, PREVIEW_QUALITY))


def png_of(pixels: Pixels) -> bytes:
    library = cv2()
    return _encoded(".png", pixels, (library.IMWRITE_PNG_COMPRESSION, PNG_LEVEL))


def _encoded(
    suffix: str, pixels: np.ndarray[tuple[int, ...], np.dtype[np.generic]], how: tuple[int, int]
) -> bytes:
    done, encoded = cv2().imencode(suffix, pixels, how)
    if not done:
        raise ValueError(f"expected a picture that can be written as {suffix}, got {pixels.shape}")
    return bytes(encoded.tobytes())
