"""Where a picture differs from a reference of the same goods: both laid over one another in millimetres, and
what one has beyond the other, dot by dot. Only locates: says nothing about how unusual it is. Pure.

Finer than the residual of descriptors (`comparing.residual`) and against one reference alone, so that an
officer sees in both pictures what lies where.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from edge.xray_bridge.imaging.calibration import Calibration
from edge.xray_bridge.imaging.describing import Upright, upright_of
from edge.xray_bridge.imaging.opencv import cv2
from edge.xray_bridge.imaging.segmenting import outlined
from edge.xray_bridge.imaging.tables import tables_of
from edge.xray_bridge.imaging.views import Developed, looked_up

Floats = NDArray[np.float32]

DOTS: Final = 192
"""Of the common ground's long side: 2 to 3 mm of a parcel."""
LEAST_DOT_MM: Final = 1.5
RIM: Final = 6
"""Dots around it, in which the other is looked for."""
MOST_UNLIKE: Final = 0.18
"""Of the longer: sides that differ by more are of other cartons."""
LEAST_COMMON: Final = 0.40
"""On simulated goods, loosely packed: the same article 0.61 to 0.93, with a thing more from 0.51, with one of
two pieces missing from 0.31 (2 of 13 below); of another article 24 of 26 are refused, 23 by their size."""
FULL: Final = 2.0
"""Attenuation of a difference's 255; also what a dot counts at most where two pictures are laid over one
another, so that a block of lead is not all that is looked at."""
_NEARLY_SQUARE: Final = 0.85
_BLUR_MM: Final = 18.0
"""Of how much both show: pieces that slid a little are the same pieces."""
_SLACK_MM: Final = 8.0
"""A thing may lie so far beside its place: pieces slide in their carton."""
_LEAST: Final = 0.10
"""Attenuation: 3 mm of paper pulp, 0.1 mm of steel."""
_LEAST_CM2: Final = 0.5

_ASKEW: Final = tuple(
    np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    for turn in np.deg2rad([-4.0, -2.0, 2.0, 4.0])
)
"""An upright box is laid level to a few degrees: a carton's corners are fainter than its goods."""

Apart = Literal["empty", "size", "content"]


@dataclass(frozen=True, slots=True, eq=False)
class Difference:
    """In the frame of the first picture, at half its resolution."""

    more: NDArray[np.uint8]
    """(rows, columns) what it has beyond the other: 255 is `FULL`, 0 nothing."""
    less: NDArray[np.uint8]
    """What it lacks of the other."""
    common: float
    """0 to 1: what both show, of all that either shows."""


@dataclass(frozen=True, slots=True)
class NoCommonGround:
    """They cannot be laid over one another, and nothing is shown."""

    why: Apart
    """`empty`: nothing lies in one of them; `size`: other cartons; `content`: in no pose much the same."""
    common: float = 0.0


def difference(
    one: Developed, other: Developed, calibration: Calibration, least_common: float = LEAST_COMMON
) -> Difference | NoCommonGround:
    """Where `one` differs from `other`, in every pose an upright box can have."""
    grounds = [upright_of(each, outlined(each, calibration)) for each in (one, other)]
    own, theirs = grounds
    if own is None or theirs is None:
        return NoCommonGround("empty")
    if _unlike(own.length_mm, theirs.length_mm) or _unlike(own.height_mm, theirs.height_mm):
        return NoCommonGround("size")
    dot_mm = max(own.length_mm / DOTS, LEAST_DOT_MM)
    size = (round(own.length_mm / dot_mm), max(1, round(own.height_mm / dot_mm)))
    straight = _matrix(one, own, np.eye(2), size, dot_mm)
    seen = _warped(_high(one, calibration, dot_mm), straight, size)
    wide = (size[0] + 2 * RIM, size[1] + 2 * RIM)
    high = _high(other, calibration, dot_mm)

    def laid(pose: NDArray[np.float64]) -> tuple[float, Floats]:
        found = _nearest(seen, _warped(high, _matrix(other, theirs, pose, wide, dot_mm), wide))
        return _common(seen, found, dot_mm), found

    tried = [(*laid(pose), pose) for pose in _poses(own)]
    best = max(tried, key=lambda each: each[0])
    tried = [(*laid(best[2] @ turn), best[2]) for turn in _ASKEW]
    common, beside, _ = max([best, *tried], key=lambda each: each[0])
    if common < least_common:
        return NoCommonGround("content", round(common, 3))
    more, less = _beyond(seen, beside, dot_mm), _beyond(beside, seen, dot_mm)
    return Difference(_framed(more, straight, one), _framed(less, straight, one), round(common, 3))


def _unlike(one_mm: float, other_mm: float) -> bool:
    return abs(one_mm - other_mm) > MOST_UNLIKE * max(one_mm, other_mm)


def _poses(own: Upright) -> list[NDArray[np.float64]]:
    """Both ways round, on either face; a square one also a quarter turned."""
    found = [np.diag([float(a), float(b)]) for a in (1, -1) for b in (1, -1)]
    if own.height_mm >= _NEARLY_SQUARE * own.length_mm:
        found += [pose[::-1].copy() for pose in found]
    return found


def _matrix(
    developed: Developed, ground: Upright, pose: NDArray[np.float64], size: tuple[int, int], dot_mm: float
) -> NDArray[np.float64]:
    """(2, 3): column and row of the common ground -> column and row at half the picture's resolution."""
    pitch = np.array([developed.picture.mm_per_column, developed.picture.mm_per_row]) * 2.0
    axes = np.stack([ground.along, ground.across], axis=1) @ pose * dot_mm
    start = ground.middle_mm - axes @ ((np.array(size) - 1.0) / 2.0)
    return np.asarray(np.concatenate([axes, start[:, None]], axis=1) / pitch[:, None] - [[0, 0, 0.5]] * 2)


def _high(developed: Developed, calibration: Calibration, dot_mm: float) -> Floats:
    """(rows, columns) attenuation at high energy at half the resolution, no finer than the common ground."""
    library = cv2()
    high = looked_up(tables_of(calibration).high, developed.cells_half)
    pitch = (developed.picture.mm_per_column * 2.0, developed.picture.mm_per_row * 2.0)
    return np.asarray(library.blur(high, tuple(max(1, round(dot_mm / each)) for each in pitch)))


def _warped(high: Floats, matrix: NDArray[np.float64], size: tuple[int, int]) -> Floats:
    library = cv2()
    return np.asarray(
        library.warpAffine(high, matrix, size, flags=library.INTER_LINEAR | library.WARP_INVERSE_MAP)
    )


def _nearest(seen: Floats, laid: Floats) -> Floats:
    """Of the wider map the part that fits best: outlines are a few millimetres off."""
    library = cv2()
    apart = library.matchTemplate(np.minimum(laid, FULL), np.minimum(seen, FULL), library.TM_SQDIFF)
    _, _, (column, row), _ = library.minMaxLoc(apart)
    return laid[row : row + seen.shape[0], column : column + seen.shape[1]]


def _common(seen: Floats, laid: Floats, dot_mm: float) -> float:
    library = cv2()
    kernel = (max(1, round(_BLUR_MM / dot_mm)),) * 2
    one, other = (library.blur(np.minimum(each, FULL), kernel) for each in (seen, laid))
    return float(np.minimum(one, other).sum() / max(float(np.maximum(one, other).sum()), 1e-6))


def _beyond(one: Floats, other: Floats, dot_mm: float) -> Floats:
    """What `one` has beyond anything of the other's within the slack."""
    library = cv2()
    side = 2 * max(1, round(_SLACK_MM / dot_mm)) + 1
    most = library.dilate(other, library.getStructuringElement(library.MORPH_ELLIPSE, (side, side)))
    beyond = np.clip(one - most - (0.05 + 0.08 * most), 0, None)
    mask = (beyond > _LEAST).astype(np.uint8)
    _, labels, stats, _ = library.connectedComponentsWithStats(mask, connectivity=8, ltype=library.CV_32S)
    kept = stats[:, 4] >= max(2.0, _LEAST_CM2 * 100.0 / dot_mm**2)
    kept[0] = False
    return np.where(kept[labels], beyond, 0.0).astype(np.float32)


def _framed(beyond: Floats, matrix: NDArray[np.float64], developed: Developed) -> NDArray[np.uint8]:
    """The ground's map back in the picture, at half its resolution."""
    library = cv2()
    rows, columns = developed.cells_half.shape
    codes = np.clip(np.rint(beyond * (255.0 / FULL)), 0, 255).astype(np.uint8)
    return np.asarray(library.warpAffine(codes, matrix, (columns, rows), flags=library.INTER_LINEAR))
