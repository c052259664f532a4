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
FAINT: Final = 0.05
FAINT_SUM: Final = 3.0
"""What is fainter than FAINT on average and less than this in sum is the noise of the end diodes; goods so
faint must be 8 cm square."""
SOLID: Final = 3
"""Dots of the outlines' grid that some part of a thing must be across, both ways."""
MOST_DRIFT: Final = 0.04
"""Attenuation: more on most of a line is goods."""
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
    cells: NDArray[np.intp]
    """Which cells of the half-size picture there are within the things, and how many dots of each."""
    dots: NDArray[np.float64]


def outlined(developed: Developed, calibration: Calibration) -> Outlines:
    """Things at least `SMALLEST_CM2` large; what lies within `JOINED_MM` of another is one with it."""
    library = cv2()
    picture = developed.picture
    half: NDArray[np.float32] = looked_up(_TOGETHER, developed.cells_half)
    mean = _without_drift(_reduced(half))
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
    # A stripe of one diode, a jerk of one line: long, dark, and nowhere as wide as it is thick.
    solid = library.erode(closed, np.ones((SOLID, SOLID), np.uint8))
    cores = np.bincount(labels.ravel(), weights=solid.ravel(), minlength=count)
    kept = [
        number
        for number in range(1, count)
        if stats[number, 4] * dot_cm2 >= SMALLEST_CM2
        and sums[number] >= SMALLEST_SUM
        and (sums[number] >= FAINT_SUM or sums[number] >= FAINT * stats[number, 4] * dot_cm2)
        and cores[number] > 0
    ]
    kept = _without_enclosed(kept, stats)
    kept.sort(key=lambda number: -int(stats[number, 4]))
    renumbered = np.zeros(count, np.int32)
    for place, number in enumerate(kept, 1):
        renumbered[number] = place
    things = tuple(_thing(stats[number], labels.shape, half, developed) for number in kept)
    labels = renumbered[labels]
    return Outlines(things, labels, *_used(developed, labels))


def _without_drift(mean: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a diode or a line shows of the empty belt around the goods is taken off it.

    Real scans: first lines 2 % dark, end diodes noisy, one diode's gain gone since it was measured."""
    for axis in (0, 1):
        some = mean[::3] if axis == 0 else mean[:, ::3]
        empty = np.quantile(some, 0.2, axis=axis, keepdims=True)
        mean = mean - np.where(empty < MOST_DRIFT, empty, 0.0).astype(np.float32)
    return mean


def _used(developed: Developed, labels: NDArray[np.int32]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    library = cv2()
    rows, columns = labels.shape
    size = (columns * _REDUCED, rows * _REDUCED)
    within = library.resize((labels > 0).astype(np.uint8), size, interpolation=library.INTER_NEAREST)
    counts = np.bincount(developed.cells_half[: size[1], : size[0]][within > 0], minlength=65_536)
    cells = np.flatnonzero(counts)
    return cells, counts[cells].astype(np.float64)


def _reduced(half: NDArray[np.float32]) -> NDArray[np.float32]:
    """Over 16 dots of the picture; (rows / 4, columns / 4)."""
    library = cv2()
    rows, columns = half.shape
    size = (columns // _REDUCED, rows // _REDUCED)
    even = half[: size[1] * _REDUCED, : size[0] * _REDUCED]
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


def _thing(
    stat: NDArray[np.int32], shape: tuple[int, int], half: NDArray[np.float32], developed: Developed
) -> Thing:
    left, top, width, height, area = (int(each) for each in stat)
    rows, columns = shape
    picture = developed.picture
    scale = 2 * _REDUCED
    across = half[_REDUCED * top : _REDUCED * (top + height)]
    first, last = _ends(across.mean(axis=0), _REDUCED * left, _REDUCED * (left + width))
    along = half[:, first:last]
    upper, lower = _ends(along.mean(axis=1), _REDUCED * top, _REDUCED * (top + height))
    of_columns, of_rows = 2.0 / picture.low.shape[1], 2.0 / picture.low.shape[0]
    return Thing(
        Box(first * of_columns, upper * of_rows, (last - first) * of_columns, (lower - upper) * of_rows),
        (last - first) * 2.0 * picture.mm_per_column,
        (lower - upper) * 2.0 * picture.mm_per_row,
        area * scale * scale * picture.dot_cm2,
        left < EDGE_DOTS or left + width > columns - EDGE_DOTS,
        top < 1 or top + height > rows - 1,
    )


def _ends(profile: NDArray[np.float32], first: int, last: int) -> tuple[int, int]:
    """The outline's ends, led back to where the mean over its whole side rises from what lies before it.

    Only inwards: outlines are found on coarse dots and reach too far, never not far enough."""
    before, after = profile[max(0, first - 6) : max(0, first - 1)], profile[last + 1 : last + 6]
    empty = np.concatenate([before, after])
    level = float(np.median(empty)) if empty.size else 0.0
    rise = level + max(_RISE, 0.04 * (float(np.median(profile[first:last])) - level))
    inside = np.flatnonzero(profile[first:last] > rise)
    inside = inside[(inside < _INWARDS) | (inside >= last - first - _INWARDS)]
    if inside.size == 0:
        return first, last
    begins = int(inside[0]) if inside[0] < _INWARDS else 0
    ends = int(inside[-1]) + 1 if inside[-1] >= last - first - _INWARDS else last - first
    return first + begins, first + ends


_RISE: Final = 0.004
"""Attenuation, of a mean over a whole side: eight times its noise with a hundred dots."""
_INWARDS: Final = 4
"""Dots of half the resolution."""
