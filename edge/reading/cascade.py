"""Picture -> codes: which decoder looks when, and what is done to the picture for it. Pure over arrays.

The order is by what was measured, docs/reading.md: zxing-cpp first, since it is right the most and wrong the
least; then linear codes found by their texture, stood upright and sharpened; then zbar for EAN and UPC; and
only for a still picture in which nothing was read, other preparations. No guard: what is read here may be
wrong, and `edge.reading.guard` decides what becomes a scan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy

from edge.devices.fixed_camera.source import cv2
from edge.reading.decoders import CodeRead, Decoders, Point, Zxing
from edge.reading.scans import LINEAR, RETAIL

if TYPE_CHECKING:
    from edge.reading.decoders import Grey

    Reads = list[CodeRead]

ROOM_FOR_MORE_DOTS: Final = 640 * 480
"""In a smaller still in which a code was read, a tilted one besides it would be too small to read."""

MOST_PREPARED_DOTS: Final = 1_000_000
"""A larger still is reduced to this before the slow preparations, which double it: memory and time."""

_ENLARGED: Final = 2
"""Codes stood upright are made twice as large, to give the sharpening dots between the bars."""
_BANDS: Final = 6
"""Averaged rows of an upright code: noise falls with the root of their number, a smudge spoils one band."""
_BAND_ROWS: Final = 8
_SHARPENING: Final = ((3.0, 2.0), (5.0, 2.0))
"""(sigma in enlarged dots, amount): one for narrow blur, one for wide. Chosen on synthetic labels of 2 to 4
dots a module, blurred by 0.7 to 2 dots, with noise of 5 to 25 grey levels."""
_LEAST_SIDE: Final = 8.0


def read_still(grey: Grey, decoders: Decoders) -> Reads:
    """Every code of a picture that will not come again."""
    zxing = decoders.zxing
    found = zxing.full(grey) if zxing else _by_zbar_alone(grey, decoders)
    quads = _quads(grey) if decoders.tilt and (not found or grey.size >= ROOM_FOR_MORE_DOTS) else []
    found = _more(found, _stood_upright(grey, quads, decoders, found))
    if not found and zxing and decoders.zbar:
        found = [_placed(each, quads) for each in decoders.zbar.retail(grey)]
    if not found and zxing:
        found = _prepared(grey, zxing)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Which looks a frame gets, by its number: what one does not show another soon does, and none need bear
    every look."""

    aim: tuple[float, float, float, float] = (0.03, 0.2, 0.94, 0.6)
    """Left, top, width and height of the aiming region, as shares of the frame: a little more than a screen
    marks, since nobody aims to the dot."""
    whole_every: int = 3
    """Frames; the looks below follow one frame after another, so 3 gives each frame one of them."""
    tilt_every: int = 3
    retail_every: int = 3
    """0: never."""


def read_frame(grey: Grey, number: int, plan: Plan, decoders: Decoders) -> Reads:
    """Codes in one of many frames; `number` counts the frames read. Ends with the first look that reads."""
    looks: list[Callable[[], Reads]] = []
    zxing, zbar = decoders.zxing, decoders.zbar
    aimed, back = _aimed(grey, plan.aim)
    if zxing:
        looks.append(lambda: _led_back(zxing.fast(aimed), back))
        if _turn(number, plan.whole_every, 0):
            looks.append(lambda: zxing.full(grey))
    elif zbar:
        looks.append(lambda: _led_back(zbar.everything(aimed), back))
    if decoders.tilt and _turn(number, plan.tilt_every, 1):
        looks.append(lambda: _stood_upright(grey, _quads(grey), decoders, []))
    if zxing and zbar and _turn(number, plan.retail_every, 2):
        looks.append(lambda: _led_back(zbar.retail(aimed), back))
    for look in looks:
        found = look()
        if found:
            return found
    return []


def _turn(number: int, every: int, offset: int) -> bool:
    return every > 0 and number % every == offset % every


def _aimed(grey: Grey, aim: tuple[float, float, float, float]) -> tuple[Grey, tuple[int, int]]:
    """The aiming region, and where its first dot lies."""
    rows, columns = grey.shape
    left, top = round(aim[0] * columns), round(aim[1] * rows)
    right, bottom = round((aim[0] + aim[2]) * columns), round((aim[1] + aim[3]) * rows)
    return numpy.ascontiguousarray(grey[top:bottom, left:right]), (left, top)


def _led_back(found: Reads, back: tuple[int, int]) -> Reads:
    left, top = back
    return [replace(each, polygon=tuple((x + left, y + top) for x, y in each.polygon)) for each in found]


def _by_zbar_alone(grey: Grey, decoders: Decoders) -> Reads:
    return decoders.zbar.everything(grey) if decoders.zbar else []


def _more(found: Reads, others: Iterable[CodeRead]) -> Reads:
    """Without those that are there already."""
    known = {(each.symbology, each.text) for each in found}
    more = list(found)
    for each in others:
        if (each.symbology, each.text) not in known:
            known.add((each.symbology, each.text))
            more.append(each)
    return more


# --- linear codes at any angle ----------------------------------------------------------------------------


def _stood_upright(grey: Grey, quads: Sequence[Any], decoders: Decoders, found: Reads) -> Reads:
    """Linear codes besides those found already."""
    read = _level_reader(decoders)
    more: Reads = []
    for quad in quads if read else ():
        if any(_lies_on(each, quad) for each in found + more):
            continue
        for sharpened in _sharpened(_upright(grey, quad)):
            reads = read(sharpened) if read else []
            if reads:
                # What was read was made of bands: the quad tells where the code lies.
                lies = _clockwise(quad)
                more = _more(more, [replace(each, polygon=lies) for each in reads])
                break
    return more


def _level_reader(decoders: Decoders) -> Callable[[Grey], Reads] | None:
    zxing, zbar = decoders.zxing, decoders.zbar
    if zxing:
        return zxing.level
    return (
        (lambda grey: [each for each in zbar.everything(grey) if each.symbology in LINEAR]) if zbar else None
    )


def _quads(grey: Grey) -> list[Any]:
    """(4, 2) float32 each: bottom left, top left, top right, bottom right of what has the texture of bars."""
    whole, corners = cv2().barcode.BarcodeDetector().detect(grey)
    if not whole or corners is None:
        return []
    quads = numpy.asarray(corners, dtype=numpy.float32).reshape(-1, 4, 2)
    return [quad for quad in quads if min(_length(quad), _height(quad)) >= _LEAST_SIDE]


def _length(quad: Any) -> float:
    """Across the bars."""
    return float(numpy.linalg.norm(quad[2] - quad[1]))


def _height(quad: Any) -> float:
    return float(numpy.linalg.norm(quad[1] - quad[0]))


def _clockwise(quad: Any) -> tuple[Point, ...]:
    return tuple((float(quad[n][0]), float(quad[n][1])) for n in (1, 2, 3, 0))


def _lies_on(read: CodeRead, quad: Any) -> bool:
    if not read.polygon or read.symbology not in LINEAR:
        return False
    x, y = (sum(each) / len(read.polygon) for each in zip(*read.polygon, strict=True))
    return bool(cv2().pointPolygonTest(quad, (x, y), False) >= 0)


def _placed(read: CodeRead, quads: Sequence[Any]) -> CodeRead:
    """zbar tells where one of its lines crossed the code, at times a single point."""
    quad = next((each for each in quads if _lies_on(read, each)), None)
    return read if quad is None else replace(read, polygon=_clockwise(quad))


def _upright(grey: Grey, quad: Any) -> Grey:
    """The code with its bars upright, enlarged. A margin beside it gained nothing."""
    library = cv2()
    long, high = _length(quad) * _ENLARGED, _height(quad) * _ENLARGED
    corners = [[0, high], [0, 0], [long, 0], [long, high]]
    to = library.getPerspectiveTransform(quad, numpy.array(corners, dtype=numpy.float32))
    size = (round(long), round(high))
    upright: Grey = library.warpPerspective(
        grey, to, size, flags=library.INTER_CUBIC, borderMode=library.BORDER_REPLICATE
    )
    return upright


def _sharpened(upright: Grey) -> Iterable[Grey]:
    """Averaged along the bars, sharpened across them."""
    library = cv2()
    rows, columns = upright.shape
    edge = rows // 10
    bands = library.resize(upright[edge : rows - edge], (columns, _BANDS), interpolation=library.INTER_AREA)
    bands = numpy.repeat(bands, _BAND_ROWS, axis=0)
    for sigma, amount in _SHARPENING:
        blurred = library.GaussianBlur(bands, (0, 0), sigmaX=sigma, sigmaY=0.01)
        yield library.addWeighted(bands, 1 + amount, blurred, -amount, 0)


# --- slow preparations of a still -------------------------------------------------------------------------


def _prepared(grey: Grey, zxing: Zxing) -> Reads:
    library = cv2()
    share = min(1.0, (MOST_PREPARED_DOTS / grey.size) ** 0.5)
    small = (
        library.resize(grey, None, fx=share, fy=share, interpolation=library.INTER_AREA)
        if share < 1
        else grey
    )
    return first_sure(
        _enlarged(zxing.full(prepare(small), whole_histogram=whole_histogram), 1 / (share * scale))
        for prepare, scale, whole_histogram in _PREPARATIONS
    )


def first_sure(looks: Iterable[Reads]) -> Reads:
    """Of looks at one still, what the first sure one read. EAN and UPC are sure when two looks agree: of
    spoilt pictures one preparation alone made numbers with right check digits."""
    once: set[tuple[str, str]] = set()
    for found in looks:
        sure = [each for each in found if each.symbology not in RETAIL or (each.symbology, each.text) in once]
        if sure:
            return sure
        once.update((each.symbology, each.text) for each in found)
    return []


def _enlarged(found: Reads, by: float) -> Reads:
    return [replace(each, polygon=tuple((x * by, y * by) for x, y in each.polygon)) for each in found]


def _doubled(grey: Grey) -> Grey:
    doubled: Grey = cv2().resize(grey, None, fx=2, fy=2, interpolation=cv2().INTER_CUBIC)
    return doubled


def _doubled_sharp(grey: Grey) -> Grey:
    doubled = _doubled(grey)
    blurred = cv2().GaussianBlur(doubled, (0, 0), 2.0)
    sharp: Grey = cv2().addWeighted(doubled, 2.0, blurred, -1.0, 0)
    return sharp


def _smoothed(grey: Grey) -> Grey:
    smoothed: Grey = cv2().medianBlur(grey, 3)
    return smoothed


def _evened_doubled(grey: Grey) -> Grey:
    return _doubled(cv2().createCLAHE(3.0, (8, 8)).apply(grey))


_PREPARATIONS: Final[tuple[tuple[Callable[[Grey], Grey], int, bool], ...]] = (
    (_doubled, 2, False),
    (_doubled_sharp, 2, False),
    (_smoothed, 1, False),
    (_evened_doubled, 2, False),
    (_doubled, 2, True),
)
"""(preparation, its scale, one threshold for the whole picture), most gained first. Thresholding each
neighbourhood ourselves was left out: it made UPC-E numbers of a blurred one."""
