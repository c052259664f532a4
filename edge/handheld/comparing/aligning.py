"""Where a point of the reference lies in another picture of the same goods, or why nobody can say. Pure.

Oriented corners (ORB) are matched, a plane's map (homography) is fitted to most of them, and then that
map must be believable: as a way of looking at goods, and by what the two pictures show once they are laid
over each other. A wrong map is worse than none: whoever looks at its differences looks at nothing.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.devices.fixed_camera.source import cv2
from edge.handheld.comparing.pictures import Grey, Kind, Matrix, Picture

CORNERS = 1_500
FEWEST_CORNERS = 40
RATIO = 0.8
"""A match counts where the second best is this much worse (Lowe 2004, section 7.1)."""
FEWEST_MATCHES = 16
NEAR = 3.0
"""Working dots a match may lie beside the map."""
LEAST_AGREEING = 0.25
"""Of the matches; below that a map is found in noise, too."""
LEAST_SPREAD = 0.04
"""Of the common area that the matches must span: a printed label alone says nothing about the goods."""
LEAST_COMMON = 0.25
"""Of the smaller picture."""
MOST_ENLARGED = 3.5
MOST_TILT = 2.5
"""How much nearer the near side may be than the far one, and one direction be stretched against the other."""
PATCH = 17
LIKE = 0.35
LEAST_ALIKE = 0.35
"""Of what has structure in either picture, this share must look alike where it lies over the other:
correlation over patches. Different goods of one shape come to 0.1, changed goods in other light to 0.5."""
LEAST_STRUCTURE = 6.0
"""Standard deviation within a patch, in steps of 255, below which it is a plain surface."""


class Why(enum.StrEnum):
    """Why two pictures are not laid over each other."""

    DIFFERENT_KINDS = "different_kinds"
    """A photograph and an X-ray picture: there is nothing to subtract."""
    NO_DETAIL = "no_detail"
    FEW_MATCHES = "few_matches"
    IMPLAUSIBLE = "implausible"
    """A map was found, but nobody can look at goods like that."""
    LITTLE_COMMON = "little_common"
    ONLY_A_PART = "only_a_part"
    """Only a small part agrees: a label, a logo."""
    UNLIKE = "unlike"
    """Laid over each other they show different things."""

    @property
    def zh(self) -> str:
        return _SAID[self][0]

    @property
    def en(self) -> str:
        return _SAID[self][1]


_SAID = {
    Why.DIFFERENT_KINDS: ("照片与X光图像不能叠加比对", "A photo and an X-ray picture cannot be overlaid"),
    Why.NO_DETAIL: ("图像细节太少，无法对齐", "Too little detail to align"),
    Why.FEW_MATCHES: ("两图无足够相同之处，请目视比对", "Too little in common: compare by eye"),
    Why.IMPLAUSIBLE: ("对齐结果不可信，请目视比对", "Alignment not believable: compare by eye"),
    Why.LITTLE_COMMON: ("两图重叠太少，请重新拍摄", "Too little overlap: take the picture again"),
    Why.ONLY_A_PART: (
        "仅局部（如标签）相同，请目视比对",
        "Only a part agrees, such as a label: compare by eye",
    ),
    Why.UNLIKE: ("对齐后内容不一致，请目视比对", "Laid over each other they differ: compare by eye"),
}


@dataclass(frozen=True, slots=True)
class NotAligned:
    why: Why
    detail: str = ""
    """Figures for the log, in English."""


@dataclass(frozen=True, eq=False, slots=True)
class Alignment:
    """`matrix`: dots of the reference -> dots of the picture, each counted from the middle of the first."""

    matrix: Matrix
    reference_size: tuple[int, int]
    """(columns, rows)."""
    picture_size: tuple[int, int]
    mirrored: bool
    """The parcel lay on its other face: an X-ray looks through it."""
    matches: int
    """Corners that agree."""
    common: float
    """Share of the reference that the picture shows, 0 to 1."""
    alike: float
    """Share of what has structure that looks alike, 0 to 1."""

    def to_picture(self, x: float, y: float) -> tuple[float, float]:
        return apply(self.matrix, x, y)

    def to_reference(self, x: float, y: float) -> tuple[float, float]:
        return apply(np.asarray(np.linalg.inv(self.matrix), np.float64), x, y)

    @property
    def confidence(self) -> float:
        """0 to 1, for showing and for putting pictures in order. Not a probability: how far the weakest of
        matches, common area and likeness lies above the least that was asked."""
        return min(_beyond(self.matches, FEWEST_MATCHES, 120), _beyond(self.common, LEAST_COMMON, 0.8),
                   _beyond(self.alike, LEAST_ALIKE, 0.8))  # fmt: skip


def apply(matrix: Matrix, x: float, y: float) -> tuple[float, float]:
    across, down, weight = matrix @ (x, y, 1.0)
    return float(across / weight), float(down / weight)


def _beyond(value: float, least: float, good: float) -> float:
    return min(1.0, max(0.0, (value - least) / (good - least)))


def align(reference: Picture, picture: Picture) -> Alignment | NotAligned:
    """The same two pictures always give the same answer."""
    if reference.kind is not picture.kind:
        return NotAligned(Why.DIFFERENT_KINDS)
    theirs = _corners(reference.working.grey)
    straight = _aligned(reference, picture, theirs, mirrored=False)
    if reference.kind is not Kind.XRAY or isinstance(straight, Alignment) or straight.why is Why.NO_DETAIL:
        return straight
    turned = _aligned(reference, picture, theirs, mirrored=True)
    return turned if isinstance(turned, Alignment) else straight


@dataclass(frozen=True, eq=False, slots=True)
class _Corners:
    points: NDArray[np.float32]
    """(n, 2): x, y."""
    words: NDArray[np.uint8]
    """(n, 32)."""


def _corners(grey: Grey) -> _Corners:
    library = cv2()
    evened = library.createCLAHE(2.0, (8, 8)).apply(grey)
    found = library.ORB_create(CORNERS, 1.2, 8, 15, 0, 2, library.ORB_HARRIS_SCORE, 31, 10)
    points, words = found.detectAndCompute(evened, None)
    if words is None:
        return _Corners(np.zeros((0, 2), np.float32), np.zeros((0, 32), np.uint8))
    return _Corners(np.array([each.pt for each in points], np.float32), words)


def _aligned(
    reference: Picture, picture: Picture, theirs: _Corners, *, mirrored: bool
) -> Alignment | NotAligned:
    library = cv2()
    small, other = reference.working, picture.working
    grey = np.ascontiguousarray(other.grey[:, ::-1]) if mirrored else other.grey
    ours = _corners(grey)
    if min(len(theirs.points), len(ours.points)) < FEWEST_CORNERS:
        return NotAligned(Why.NO_DETAIL, f"{len(theirs.points)} and {len(ours.points)} corners")
    pairs = _pairs(theirs.words, ours.words)
    if len(pairs) < FEWEST_MATCHES:
        return NotAligned(Why.FEW_MATCHES, f"{len(pairs)} matches")
    begin, end = theirs.points[pairs[:, 0]], ours.points[pairs[:, 1]]
    matrix, kept = library.findHomography(begin, end, library.USAC_MAGSAC, NEAR, None, 2_000, 0.999)
    if matrix is None:
        return NotAligned(Why.FEW_MATCHES, f"{len(pairs)} matches, no map fits them")
    agreeing = begin[kept.ravel() > 0]
    # Several scales find the same corner: one spot is one witness.
    spots = len({(round(float(x) / 2), round(float(y) / 2)) for x, y in agreeing})
    if spots < FEWEST_MATCHES or len(agreeing) < LEAST_AGREEING * len(pairs):
        return NotAligned(Why.FEW_MATCHES, f"{spots} spots, {len(agreeing)} of {len(pairs)} matches agree")
    problem = implausible(matrix, small.size)
    if problem:
        return NotAligned(Why.IMPLAUSIBLE, problem)
    laid, common = laid_over(grey, matrix, small.size)
    covered = float(np.count_nonzero(common))
    smallest = min(small.grey.size, _area(matrix, small.size, other.grey.size))
    if covered < LEAST_COMMON * smallest:
        return NotAligned(Why.LITTLE_COMMON, f"{covered / smallest:.2f} of the smaller picture")
    hull = float(library.contourArea(library.convexHull(agreeing)))
    if hull < LEAST_SPREAD * covered:
        return NotAligned(Why.ONLY_A_PART, f"{hull / covered:.3f} of what is common")
    alike = _alike(small.grey, laid, common)
    if alike < LEAST_ALIKE:
        return NotAligned(Why.UNLIKE, f"{alike:.2f} of what has structure looks alike")
    flipped = np.array([[-1.0, 0, other.size[0] - 1], [0, 1, 0], [0, 0, 1]])
    whole = other.to_full() @ (flipped @ matrix if mirrored else matrix) @ np.linalg.inv(small.to_full())
    return Alignment(
        matrix=whole / whole[2, 2],
        reference_size=reference.size,
        picture_size=picture.size,
        mirrored=mirrored,
        matches=spots,
        common=covered / small.grey.size,
        alike=alike,
    )


def _pairs(theirs: NDArray[np.uint8], ours: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(n, 2): indexes of matches that are clear."""
    matcher = cv2().BFMatcher(cv2().NORM_HAMMING)
    found = [
        (best.queryIdx, best.trainIdx)
        for best, second in matcher.knnMatch(theirs, ours, 2)
        if best.distance < RATIO * second.distance
    ]
    return np.array(found, np.int64).reshape(-1, 2)


def laid_over(
    grey: NDArray[np.uint8], matrix: Matrix, size: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A picture drawn on the reference's grid of `size`, and where it has anything to show there."""
    library = cv2()
    how = library.INTER_LINEAR | library.WARP_INVERSE_MAP
    laid = library.warpPerspective(grey, matrix, size, flags=how, borderMode=library.BORDER_REPLICATE)
    full = np.full(grey.shape[:2], 255, np.uint8)
    common = library.warpPerspective(full, matrix, size, flags=how) > 250
    return laid, common


def implausible(matrix: Matrix, size: tuple[int, int]) -> str:
    """What is wrong with a map of a plane seen by two cameras; empty where nothing is."""
    columns, rows = size
    scales = []
    for x, y in ((0, 0), (columns, 0), (columns, rows), (0, rows), (columns / 2, rows / 2)):
        if (matrix @ (x, y, 1.0))[2] <= 0:
            return "a corner lies behind the camera"
        long, short = np.linalg.svd(slope(matrix, x, y), compute_uv=False)
        if short <= 0 or long / short > MOST_TILT:
            return f"stretched {long / max(short, 1e-9):.1f} times"
        if np.linalg.det(slope(matrix, x, y)) <= 0:
            return "turned inside out"
        scales.append(math.sqrt(long * short))
    if max(scales) / min(scales) > MOST_TILT:
        return f"one side {max(scales) / min(scales):.1f} times nearer"
    if not 1 / MOST_ENLARGED <= scales[-1] <= MOST_ENLARGED:
        return f"{scales[-1]:.2f} times as large"
    return ""


def slope(matrix: Matrix, x: float, y: float) -> Matrix:
    """2 x 2: how a small step at a point goes on in the picture."""
    across, down, weight = matrix @ (x, y, 1.0)
    found: Matrix = (matrix[:2, :2] - np.outer((across / weight, down / weight), matrix[2, :2])) / weight
    return found


def _area(matrix: Matrix, size: tuple[int, int], dots: int) -> float:
    """The picture's own area in dots of the reference."""
    columns, rows = size
    scale = abs(float(np.linalg.det(slope(matrix, columns / 2, rows / 2))))
    return dots / scale


def _alike(grey: Grey, laid: Grey, common: NDArray[np.bool_]) -> float:
    library = cv2()

    def mean(of: NDArray[np.float32]) -> NDArray[np.float32]:
        smoothed: NDArray[np.float32] = library.blur(of, (PATCH, PATCH))
        return smoothed

    one, two = grey.astype(np.float32), laid.astype(np.float32)
    mean_one, mean_two = mean(one), mean(two)
    spread_one = mean(one * one) - mean_one**2
    spread_two = mean(two * two) - mean_two**2
    together = mean(one * two) - mean_one * mean_two
    # A patch that reaches over the common area's edge is about what was made up there.
    inner = library.erode(common.astype(np.uint8), np.ones((PATCH, PATCH), np.uint8)) > 0
    structured = inner & (np.maximum(spread_one, spread_two) > LEAST_STRUCTURE**2)
    count = int(np.count_nonzero(structured))
    if not count:
        return 0.0
    likeness = together / np.sqrt(np.maximum(spread_one * spread_two, 1.0))
    return float(np.count_nonzero(likeness[structured] > LIKE)) / count
