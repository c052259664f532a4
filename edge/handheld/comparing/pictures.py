"""A picture to be compared, and what the comparison works on: grey, 8 bits, small. No judgement."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from edge.devices.fixed_camera.source import cv2

Grey = NDArray[np.uint8]
"""(rows, columns)."""
Matrix = NDArray[np.float64]
"""3 x 3."""

WORKING_SIDE = 640
"""Dots of the longer side that features and differences are looked for in."""
SMALLEST_SIDE = 48
MOST_DOTS = 40_000_000


class Kind(enum.StrEnum):
    """What made it. Pictures of two kinds show two different things of one parcel."""

    PHOTO = "photo"
    XRAY = "xray"


@dataclass(frozen=True, eq=False)
class Picture:
    """`pixels`: (rows, columns) or (rows, columns, 3) blue, green, red; 8 or 16 bits. Raises `ValueError`."""

    pixels: NDArray[np.uint8] | NDArray[np.uint16]
    kind: Kind

    def __post_init__(self) -> None:
        shape = self.pixels.shape
        if (
            self.pixels.dtype not in (np.uint8, np.uint16)
            or len(shape) not in (2, 3)
            or shape[2:] not in ((), (3,))
        ):
            raise ValueError(
                f"expected 8 or 16 bits, grey or three colours, got {self.pixels.dtype} of {shape}"
            )
        if min(shape[:2]) < SMALLEST_SIDE or shape[0] * shape[1] > MOST_DOTS:
            raise ValueError(
                f"expected sides from {SMALLEST_SIDE} and at most {MOST_DOTS // 1_000_000} million dots, "
                f"got {shape[1]} x {shape[0]}"
            )

    @property
    def size(self) -> tuple[int, int]:
        """(columns, rows)."""
        return self.pixels.shape[1], self.pixels.shape[0]

    @cached_property
    def working(self) -> Working:
        return _working(self)


@dataclass(frozen=True, eq=False)
class Working:
    """The same picture, small, in 8 bits."""

    colour: NDArray[np.uint8]
    """(rows, columns, channels): one channel of a grey picture, three of a coloured one."""
    grey: Grey
    scale: float
    """Small dots a dot of the picture."""

    @property
    def size(self) -> tuple[int, int]:
        return self.grey.shape[1], self.grey.shape[0]

    def to_full(self) -> Matrix:
        """Dots of this -> dots of the picture, each counted from the middle of the first one."""
        moved = 0.5 / self.scale - 0.5
        return np.array([[1 / self.scale, 0, moved], [0, 1 / self.scale, moved], [0, 0, 1]])


def _working(picture: Picture) -> Working:
    library = cv2()
    columns, rows = picture.size
    scale = min(1.0, WORKING_SIDE / max(columns, rows))
    small = picture.pixels
    if scale < 1:
        size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
        small = library.resize(small, size, interpolation=library.INTER_AREA)
    colour = small if small.dtype == np.uint8 else _eight_bits(small)
    if colour.ndim == 3 and picture.kind is Kind.PHOTO and _is_grey(colour):
        colour = colour[:, :, 0]
    grey = colour if colour.ndim == 2 else library.cvtColor(colour, library.COLOR_BGR2GRAY)
    colour = colour[:, :, np.newaxis] if colour.ndim == 2 else colour
    return Working(np.ascontiguousarray(colour, np.uint8), np.ascontiguousarray(grey, np.uint8), scale)


def _is_grey(colour: NDArray[np.generic]) -> bool:
    few = colour[::8, ::8].astype(np.int16)
    return bool(np.ptp(few, axis=2).max() <= 2)


def _eight_bits(deep: NDArray[np.generic]) -> NDArray[np.uint8]:
    """What is behind thick goods is a few hundred of 65,536 steps: the root brings it up, the ends are cut at
    one dot in five hundred."""
    few = deep[::4, ::4].astype(np.float32)
    low, high = (float(each) for each in np.percentile(few, (0.2, 99.8)))
    share = (deep.astype(np.float32) - low) / max(high - low, 1.0)
    # The root in place: the picture has millions of dots.
    np.clip(share, 0.0, 1.0, out=share)
    np.sqrt(share, out=share)
    return np.asarray(share * 255.0 + 0.5, np.uint8)
