"""Two pictures laid over one another: what one has beyond the other is marked where it lies, or none is."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from bench.xray_goods import packed, photograph
from edge.xray_bridge.imaging.calibration import Calibration
from edge.xray_bridge.imaging.differing import Difference, NoCommonGround, difference
from edge.xray_bridge.imaging.pictures import RawPicture
from edge.xray_bridge.imaging.views import Developed, develop
from hardware_sims.xray_goods import Packed, Thing

CALIBRATION = Calibration(aluminium_mm=0.0)
CARTON = Thing("paper", "box", 0, 0, 300, 200, 120, wall=3.6, share=0.22)
PIECES = (
    Thing("sugar", "box", -80, -30, 70, 60, 60),
    Thing("glass", "box", 40, 40, 60, 50, 12),
    Thing("sugar", "box", 90, -50, 50, 40, 40),
)
KNIFE = Thing("iron", "box", 20, -60, 60, 20, 3.0)


def carton(*things: Thing, turn: float = 0.0) -> Developed:
    turned = tuple(each.moved(0, 0, turn) for each in (CARTON, *things))
    return develop(photograph(Packed(turned, 302.0, 206.0, 120.0, 1), 1))


@cache
def loose(sku: str, seed: int, pieces: int = 2) -> Developed:
    return develop(photograph(packed(sku, seed, pieces=pieces), seed))


def middle(codes: np.ndarray) -> tuple[float, float]:
    """Of what is marked, as shares of the picture's width and height."""
    rows, columns = np.nonzero(codes)
    return float(columns.mean() + 0.5) / codes.shape[1], float(rows.mean() + 0.5) / codes.shape[0]


def at(picture: Developed, thing: Thing, turn: float = 0.0) -> tuple[float, float]:
    """Where a thing of a carton lies in its picture."""
    moved = thing.moved(0, 0, turn)
    raw: RawPicture = picture.picture
    rows, columns = raw.low.shape
    return 0.5 + moved.x / (columns * raw.mm_per_column), 0.5 + moved.y / (rows * raw.mm_per_row)


@pytest.mark.parametrize("turn", [0.0, 4.0, 180.0, 177.0])
def test_what_was_added_is_marked_where_it_lies_whichever_way_round_the_other_lay(turn: float) -> None:
    picture, reference = carton(*PIECES, KNIFE, turn=3.0), carton(*PIECES, turn=turn)
    found = difference(picture, reference, CALIBRATION)
    assert isinstance(found, Difference)
    assert middle(found.more) == pytest.approx(at(picture, KNIFE, 3.0), abs=0.02)
    assert (int(found.less.max()), found.common > 0.5) == (0, True)
    other = difference(reference, picture, CALIBRATION)
    assert isinstance(other, Difference)
    assert middle(other.less) == pytest.approx(at(reference, KNIFE, turn), abs=0.02)
    assert int(other.more.max()) == 0


def test_the_same_goods_photographed_twice_differ_nowhere() -> None:
    found = difference(carton(*PIECES), carton(*PIECES, turn=2.0), CALIBRATION)
    assert isinstance(found, Difference)
    assert (int(found.more.max()), int(found.less.max())) == (0, 0)


def test_a_missing_piece_is_marked_as_missing() -> None:
    picture = loose("SKU-MASK-10", 1, 1)
    found = difference(picture, loose("SKU-MASK-10", 50), CALIBRATION)
    assert isinstance(found, Difference)
    assert float((found.less > 0).mean()) > 5 * float((found.more > 0).mean())


def test_where_there_is_no_common_ground_nothing_is_shown() -> None:
    air = np.full((300, 200), 50_000, np.uint16)
    empty = develop(RawPicture(air, air, 50_000, 50_000, 1.5, 2.0))
    whole = carton(*PIECES)
    bars = [Thing("aluminium", "box", x, 0, 24, 150, 30) for x in range(-100, 101, 50)]
    assert difference(whole, empty, CALIBRATION) == NoCommonGround("empty")
    assert difference(whole, loose("SKU-MASK-10", 1), CALIBRATION) == NoCommonGround("size")
    unlike = difference(whole, carton(*bars), CALIBRATION)
    assert isinstance(unlike, NoCommonGround)
    assert unlike.why == "content"
