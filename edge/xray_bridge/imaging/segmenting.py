"""Where things lie in a picture: separate objects, their extents, whether the frame cuts them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.xray_bridge.imaging.calibration import Calibration
from edge.xray_bridge.imaging.opencv import cv2
from edge.xray_bridge.imaging.tables import ATTENUATION_OF_CODE
from edge.xray_bridge.imaging.views import Developed, looked_up
from edge.xray_bridge.values import Box

JOINED_MM: Final = 6.0
"""Dots of one object may be so far apart: film and cardboard are fainter than noise in places."""
SMALLEST_CM2: Final = 2.0
SMALLEST_SUM: Final = 0.15
"""cm2 x attenuation, of the whole: less is dust, or a diode's stripe."""
EDGE_DOTS: Final = 2
_REDUCED: Final = 2
"""Outlines are found at a quarter of the resolution: 16 dots' mean shows cardboard where one is noise."""


@dataclass(frozen=True, slots=True)
class Thing:
    """One object: its upright box as shares of the picture, its size, and what frame cuts it."""

    box: Box
    length_mm: float
    """Along the belt."""
    height_mm: float
    """Across."""
    area_cm2: float
    cut: bool
    """By the first or last line: the rest may be in another picture."""
    beside: bool
    """It touches the end of the detector: part of it was never seen."""


@dataclass(frozen=True, slots=True, eq=False)
class Outlines:
    """All objects of a picture, the largest first."""

    things: tuple[Thing, ...]
    labels: NDArray[np.int32]
    """(rows, columns) at a quarter of the resolution: 0 none, n the n-th thing."""


def outlined(developed: Developed, calibration: Calibration) -> Outlines:
    """Things at least `SMALLEST_CM2` large; what lies within `JOINED_MM` of another is one with it."""
    library = cv2()
    picture = developed.picture
    mean = _mean_attenuation(developed)
    quietest = 1.0 / np.sqrt(4.0 * 16.0 * min(calibration.photons_low, calibration.photons_high))
    mask = (mean > max(0.75 * calibration.limits.least_attenuation, 5.0 * quietest)).astype(np.uint8)
    scale = 2 * _REDUCED
    reach = [
        max(1, round(JOINED_MM / pitch / scale)) | 1 for pitch in (picture.mm_per_column, picture.mm_per_row)
    ]
    # Closed, with a rim: closing at the frame must not pull an object to it.
    rim = max(reach) + 1
    ringed = library.copyMakeBorder(mask, rim, rim, rim, rim, library.BORDER_CONSTANT, value=0)
    closed = library.morphologyEx(ringed, library.MORPH_CLOSE, np.ones((reach[1], reach[0]), np.uint8))
    closed = np.ascontiguousarray(closed[rim:-rim, rim:-rim])
    count, labels, stats, _ = library.connectedComponentsWithStats(
        closed, connectivity=8, ltype=library.CV_32S
    )
    dot_cm2 = picture.dot_cm2 * scale * scale
    sums = np.bincount(labels.ravel(), weights=(mean * mask).ravel(), minlength=count) * dot_cm2
    kept = [
        number
        for number in range(1, count)
        if stats[number, 4] * dot_cm2 >= SMALLEST_CM2 and sums[number] >= SMALLEST_SUM
    ]
    kept = _without_enclosed(kept, stats)
    kept.sort(key=lambda number: -int(stats[number, 4]))
    renumbered = np.zeros(count, np.int32)
    for place, number in enumerate(kept, 1):
        renumbered[number] = place
    things = tuple(
        _thing(stats[number], labels.shape, picture.mm_per_column, picture.mm_per_row) for number in kept
    )
    return Outlines(things, renumbered[labels])


def _mean_attenuation(developed: Developed) -> NDArray[np.float32]:
    """Of both energies, over 16 dots of the picture; (rows / 4, columns / 4)."""
    library = cv2()
    attenuation = looked_up(_TOGETHER, developed.cells_half)
    rows, columns = attenuation.shape
    size = (columns // _REDUCED, rows // _REDUCED)
    even = attenuation[: size[1] * _REDUCED, : size[0] * _REDUCED]
    reduced: NDArray[np.float32] = library.resize(even, size, interpolation=library.INTER_AREA)
    return reduced


_TOGETHER: Final[NDArray[np.float32]] = (
    (0.5 * (ATTENUATION_OF_CODE[:, None] + ATTENUATION_OF_CODE[None, :])).ravel().astype(np.float32)
)


def _without_enclosed(kept: list[int], stats: NDArray[np.int32]) -> list[int]:
    """A thing whose box lies in another's is part of it: goods in a bag too thin to be seen."""

    def inside(inner: int, outer: int) -> bool:
        left, top, width, height, area = (int(each) for each in stats[inner])
        other_left, other_top, other_width, other_height, other_area = (int(each) for each in stats[outer])
        return (
            area < other_area
            and other_left <= left
            and other_top <= top
            and left + width <= other_left + other_width
            and top + height <= other_top + other_height
        )

    return [each for each in kept if not any(inside(each, other) for other in kept if other != each)]


def _thing(stat: NDArray[np.int32], shape: tuple[int, int], mm_per_column: float, mm_per_row: float) -> Thing:
    left, top, width, height, area = (int(each) for each in stat)
    rows, columns = shape
    scale = 2 * _REDUCED
    return Thing(
        Box(left / columns, top / rows, width / columns, height / rows),
        width * scale * mm_per_column,
        height * scale * mm_per_row,
        area * scale * scale * mm_per_column * mm_per_row / 100.0,
        left < EDGE_DOTS or left + width > columns - EDGE_DOTS,
        top < 1 or top + height > rows - 1,
    )
