"""图像同屏比对: pictures whose true map and differences are known, goods that are others, linked views."""

from __future__ import annotations

import itertools
import math
import os
import time
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.handheld.comparing import (
    Alignment,
    Comparison,
    Divider,
    Kind,
    NotAligned,
    Pane,
    PanZoom,
    Picture,
    Why,
    align,
    compare,
    linked,
)
from edge.handheld.comparing.aligning import implausible
from edge.handheld.comparing.panes import NEAREST

IS_PROVING = bool(os.environ.get("KAKOU_PROVE"))
OTHERS = range(10, 18) if IS_PROVING else range(10, 13)
Pixels = NDArray[np.uint8] | NDArray[np.uint16]
Matrix = NDArray[np.float64]

SHARED = Path(os.environ.get("KAKOU_SHARED_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")


@cache
def goods(seed: int, columns: int = 960, rows: int = 720) -> NDArray[np.uint8]:
    """An opened parcel from above: boxes, labels, print, on cardboard."""
    draw = np.random.default_rng(seed)
    made = np.full((rows, columns, 3), (110, 150, 190), np.uint8)
    for _ in range(22):
        x, y = int(draw.integers(0, columns - 60)), int(draw.integers(0, rows - 60))
        wide, high = int(draw.integers(50, 260)), int(draw.integers(40, 200))
        colour = tuple(int(each) for each in draw.integers(20, 240, 3))
        cv2.rectangle(made, (x, y), (x + wide, y + high), colour, -1)
        cv2.rectangle(made, (x, y), (x + wide, y + high), (30, 30, 30), 2)
        words = "".join(chr(int(each)) for each in draw.integers(48, 90, 9))
        cv2.putText(made, words, (x + 4, y + 26), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (10, 10, 10), 2)
    grain = draw.normal(0, 4, made.shape)
    return np.clip(made + grain, 0, 255).astype(np.uint8)


@cache
def xray(seed: int, columns: int = 800, rows: int = 600) -> NDArray[np.uint16]:
    """What 12 of 16 bits show behind many things: each takes its share away."""
    draw = np.random.default_rng(seed)
    through = np.ones((rows, columns))
    for _ in range(40):
        shape = np.zeros((rows, columns), np.uint8)
        middle = (int(draw.integers(80, columns - 80)), int(draw.integers(80, rows - 80)))
        size = (int(draw.integers(8, 90)), int(draw.integers(6, 60)))
        if draw.random() < 0.5:
            cv2.ellipse(shape, middle, size, float(draw.integers(0, 180)), 0, 360, 1, -1)
        else:
            corner = (middle[0] + size[0], middle[1] + size[1])
            cv2.rectangle(shape, middle, corner, 1, int(draw.choice([-1, 3, 6])))
        through *= 1 - shape * float(draw.uniform(0.1, 0.45))
    return np.clip(through * 4_000 + draw.normal(0, 12, through.shape), 0, 4_095).astype(np.uint16)


def moved(
    pixels: Pixels,
    *,
    turned: float = 0.0,
    large: float = 1.0,
    by: tuple[float, float] = (0, 0),
    tilt: float = 0.0,
) -> tuple[Pixels, Matrix]:
    """The picture somebody else takes of it, and the true map."""
    rows, columns = pixels.shape[:2]
    matrix = np.eye(3)
    matrix[:2] = cv2.getRotationMatrix2D((columns / 2, rows / 2), turned, large)
    matrix[:2, 2] += by
    tilted = np.eye(3)
    tilted[2, 0] = tilt / columns
    whole = matrix @ tilted
    beyond = int(pixels.max()) if pixels.dtype == np.uint16 else 90
    seen = cv2.warpPerspective(pixels, whole, (columns, rows), borderValue=(beyond,) * 3)
    return (np.asarray(seen, np.uint16) if pixels.dtype == np.uint16 else np.asarray(seen, np.uint8)), whole


def lit(
    pixels: Pixels, *, gain: float, offset: float, gamma: float, shade: float, noise: float = 0.012
) -> Pixels:
    """In another light: brighter on one side, with another camera's curve and noise."""
    most = 255 if pixels.dtype == np.uint8 else int(pixels.max())
    share = np.clip(pixels.astype(np.float64) / most, 0, 1) ** gamma * gain + offset
    across = 1 + shade * (np.arange(pixels.shape[1]) / pixels.shape[1] - 0.5)
    share *= across[:, np.newaxis] if pixels.ndim == 3 else across
    share += np.random.default_rng(5).normal(0, noise, share.shape)
    made = np.clip(share, 0, 1) * most
    return made.astype(np.uint16) if pixels.dtype == np.uint16 else made.astype(np.uint8)


def farthest(found: Alignment, true: Matrix, size: tuple[int, int]) -> float:
    """Dots the map is off, at worst, over the middle of the reference."""
    worst = 0.0
    for x, y in itertools.product((0.25, 0.5, 0.75), repeat=2):
        across, down, weight = true @ (x * size[0], y * size[1], 1)
        where = found.to_picture(x * size[0], y * size[1])
        worst = max(worst, math.dist(where, (across / weight, down / weight)))
    return worst


WAYS = {
    "shifted": {"by": (40.0, -25.0)},
    "turned a little": {"turned": 12.0, "large": 0.9},
    "upside down": {"turned": 180.0, "by": (-20.0, 10.0)},
    "on its side, nearer": {"turned": 90.0, "large": 1.2},
    "seen aslant": {"turned": -20.0, "tilt": 0.15},
    "from further away": {"large": 0.55},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", Kind)
def test_the_same_goods_are_found_however_they_lie(kind: Kind, way: str) -> None:
    pixels: Pixels = goods(1) if kind is Kind.PHOTO else xray(1)
    other, true = moved(pixels, **WAYS[way])  # type: ignore[arg-type]
    other = lit(other, gain=0.85, offset=0.03, gamma=1.15, shade=0.15, noise=0.006)
    found = align(Picture(pixels, kind), Picture(other, kind))
    assert isinstance(found, Alignment)
    assert farthest(found, true, found.reference_size) < 5.0
    assert found.confidence > 0.3
    x, y = found.to_reference(*found.to_picture(100.0, 120.0))
    assert (round(x, 3), round(y, 3)) == (100.0, 120.0)


def test_an_xray_of_the_parcel_on_its_other_face_is_found_and_a_photo_is_not_mirrored() -> None:
    seen = np.ascontiguousarray(xray(2)[:, ::-1])
    found = align(Picture(xray(2), Kind.XRAY), Picture(seen, Kind.XRAY))
    assert isinstance(found, Alignment)
    assert found.mirrored
    assert math.dist(found.to_picture(100.0, 50.0), (seen.shape[1] - 1 - 100.0, 50.0)) < 4.0
    photo = np.ascontiguousarray(goods(2)[:, ::-1])
    assert isinstance(align(Picture(goods(2), Kind.PHOTO), Picture(photo, Kind.PHOTO)), NotAligned)


@pytest.mark.parametrize("kind", Kind)
def test_other_goods_are_never_laid_over_each_other(kind: Kind) -> None:
    made = [Picture(goods(seed) if kind is Kind.PHOTO else xray(seed), kind) for seed in OTHERS]
    found = [align(one, two) for one, two in itertools.permutations(made, 2)]
    assert [each for each in found if isinstance(each, Alignment)] == []


@cache
def _label(seed: int, columns: int, rows: int) -> NDArray[np.uint8]:
    """Dense print, as a courier's."""
    draw = np.random.default_rng(seed)
    made = np.full((rows, columns, 3), 245, np.uint8)
    for y in range(8, rows, 11):
        words = "".join(chr(int(each)) for each in draw.integers(48, 90, columns // 7))
        cv2.putText(made, words, (2, y), cv2.FONT_HERSHEY_SIMPLEX, 0.35, (10, 10, 10), 1)
    return made


def test_a_label_that_is_the_same_does_not_make_other_goods_the_same() -> None:
    # The label is in focus, the goods below it are not.
    one, two = (np.asarray(cv2.GaussianBlur(goods(seed), (0, 0), 2.5), np.uint8) for seed in (21, 22))
    one[300:435, 300:490] = _label(1, 190, 135)
    two[310:445, 320:510] = _label(1, 190, 135)
    found = align(Picture(one, Kind.PHOTO), Picture(two, Kind.PHOTO))
    assert isinstance(found, NotAligned)
    assert found.why is Why.ONLY_A_PART


def test_the_same_stickers_all_over_do_not_make_other_goods_the_same() -> None:
    one, two = goods(21).copy(), goods(22).copy()
    for number, (x, y) in enumerate(itertools.product((30, 430, 830), (30, 560))):
        for picture in (one, two):
            picture[y : y + 110, x : x + 110] = _label(10 + number, 110, 110)
    found = align(Picture(one, Kind.PHOTO), Picture(two, Kind.PHOTO))
    assert isinstance(found, NotAligned)
    assert found.why is Why.UNLIKE


@pytest.mark.parametrize(
    ("matrix", "why"),
    [
        ([[1, 0, 0], [0, 1, 0], [-0.01, 0, 1]], "behind"),
        ([[4, 0, 0], [0, 1, 0], [0, 0, 1]], "stretched"),
        ([[-1, 0, 640], [0, 1, 0], [0, 0, 1]], "inside out"),
        ([[5, 0, 0], [0, 5, 0], [0, 0, 1]], "as large"),
        ([[1, 0, 0], [0, 1, 0], [0, 0, 0]], "behind"),
        ([[1, 0, 0], [0, 0.01, 0], [0, 0, 1]], "stretched"),
    ],
)
def test_nobody_looks_at_goods_like_that(matrix: list[list[float]], why: str) -> None:
    assert why in implausible(np.array(matrix, float), (640, 480))
    assert implausible(np.eye(3), (640, 480)) == ""


def test_a_photo_and_an_xray_are_not_compared_and_it_is_said_why() -> None:
    told = compare(Picture(goods(1), Kind.PHOTO), Picture(xray(1), Kind.XRAY))
    assert (told.heat, told.differs, told.why_not) == (None, None, Why.DIFFERENT_KINDS)
    assert told.laid is None
    assert ("X光" in Why.DIFFERENT_KINDS.zh, "X-ray" in Why.DIFFERENT_KINDS.en) == (True, True)


def test_every_reason_has_words_in_both_languages() -> None:
    assert all(why.zh and why.en for why in Why)


def test_a_wall_says_nothing() -> None:
    wall = Picture(np.full((480, 640, 3), 128, np.uint8), Kind.PHOTO)
    found = align(wall, wall)
    assert isinstance(found, NotAligned)
    assert found.why is Why.NO_DETAIL


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((20, 640), np.uint8),
        np.zeros((100, 100, 4), np.uint8),
        np.zeros((100, 100), np.float32),
        np.zeros((100,), np.uint8),
    ],
    ids=["too small", "four channels", "no whole numbers", "no picture"],
)
def test_what_is_no_picture_is_refused_with_words(pixels: Pixels) -> None:
    with pytest.raises(ValueError, match="expected"):
        Picture(pixels, Kind.PHOTO)


# --- differences ------------------------------------------------------------------------------------------


def _changed(kind: Kind) -> tuple[Pixels, Pixels, NDArray[np.bool_]]:
    """Goods, the same with something added, and where."""
    pixels: Pixels = goods(3) if kind is Kind.PHOTO else xray(3)
    other = pixels.copy()
    rows, columns = pixels.shape[:2]
    where = np.zeros((rows, columns), bool)
    y, x = rows // 2 - 30, columns // 2 - 40
    where[y : y + 60, x : x + 80] = True
    if kind is Kind.PHOTO:
        other[where] = (40, 200, 40) if np.ptp(pixels[y, x]) else (200, 40, 40)
    else:
        other[where] = (pixels[where] * 0.45).astype(np.uint16)
    return pixels, other, where


def _spot(told: Comparison, where: NDArray[np.bool_]) -> tuple[float, float]:
    """(share of the true spot that is hot, share of the rest that is hot)."""
    assert told.heat is not None
    small = cv2.resize(where.astype(np.uint8), told.reference.working.size, interpolation=cv2.INTER_AREA) > 0
    around = cv2.dilate(small.astype(np.uint8), np.ones((13, 13), np.uint8)) > 0
    hot = told.heat > 0
    return float(hot[small].mean()), float(hot[~around].mean())


LIGHTS = {
    "the same light": {"gain": 1.0, "offset": 0.0, "gamma": 1.0, "shade": 0.0},
    "darker": {"gain": 0.6, "offset": 0.0, "gamma": 1.0, "shade": 0.0},
    "hazy": {"gain": 0.7, "offset": 0.18, "gamma": 1.0, "shade": 0.0},
    "another curve": {"gain": 0.95, "offset": 0.0, "gamma": 1.4, "shade": 0.0},
    "from the side": {"gain": 0.85, "offset": 0.03, "gamma": 1.1, "shade": 0.4},
}


@pytest.mark.parametrize("light", LIGHTS)
@pytest.mark.parametrize("kind", Kind)
def test_light_is_no_difference_and_a_thing_that_was_added_is_one(kind: Kind, light: str) -> None:
    pixels, other, where = _changed(kind)
    noise = 0.012 if kind is Kind.PHOTO else 0.006
    same, added = (
        compare(
            Picture(pixels, kind),
            Picture(lit(moved(each, turned=4.0, by=(12.0, 7.0))[0], noise=noise, **LIGHTS[light]), kind),
        )
        for each in (pixels, other)
    )
    assert same.differs is not None
    assert added.differs is not None
    assert same.differs < 0.003
    inside, outside = _spot(added, where)
    assert (inside > 0.6, outside < 0.005) == (True, True)
    assert abs(added.differs - where.mean()) < 0.5 * where.mean()
    assert added.confidence <= same.confidence


def test_goods_that_are_not_quite_flat_and_specks_of_dust_are_no_difference() -> None:
    pixels = goods(3)
    rows, columns = pixels.shape[:2]
    down, across = np.mgrid[0:rows, 0:columns].astype(np.float32)
    bent = cv2.remap(
        pixels, across + 2.5 * np.sin(down / 60), down + 2.5 * np.sin(across / 60), cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    dusty = np.asarray(bent, np.uint8).copy()
    draw = np.random.default_rng(8)
    for y, x in zip(draw.integers(0, rows - 4, 250), draw.integers(0, columns - 4, 250), strict=True):
        dusty[y : y + 3, x : x + 3] = 255 - dusty[y : y + 3, x : x + 3]
    told = compare(Picture(pixels, Kind.PHOTO), Picture(dusty, Kind.PHOTO))
    assert told.differs is not None
    assert told.differs < 0.002


def test_outside_of_what_both_show_nothing_is_hot() -> None:
    other, _ = moved(goods(4), by=(300.0, 0.0))
    told = compare(Picture(goods(4), Kind.PHOTO), Picture(other, Kind.PHOTO))
    assert told.heat is not None
    assert told.common is not None
    assert told.common.mean() < 0.75
    assert not told.heat[~told.common].any()
    on_picture = told.heat_on_picture()
    assert on_picture is not None
    assert on_picture.shape == told.picture.working.grey.shape


def test_the_heat_lies_on_the_thing_in_either_picture() -> None:
    pixels, other, where = _changed(Kind.PHOTO)
    seen, true = moved(other, turned=30.0, large=0.9)
    told = compare(Picture(pixels, Kind.PHOTO), Picture(seen, Kind.PHOTO))
    on_picture = told.heat_on_picture()
    assert on_picture is not None
    there = cv2.warpPerspective(where.astype(np.uint8), true, (seen.shape[1], seen.shape[0]))
    small = cv2.resize(there, told.picture.working.size, interpolation=cv2.INTER_AREA) > 0
    assert on_picture[small].mean() > 20 * max(1e-6, on_picture[~small].mean())
    assert told.laid is not None
    assert told.laid.shape == told.reference.working.colour.shape


def test_a_grey_picture_is_compared_with_a_coloured_one_by_its_brightness() -> None:
    grey = cv2.cvtColor(goods(5), cv2.COLOR_BGR2GRAY)
    told = compare(Picture(goods(5), Kind.PHOTO), Picture(np.asarray(grey, np.uint8), Kind.PHOTO))
    assert told.differs == 0.0


def test_the_same_pictures_always_give_the_same_answer() -> None:
    other, _ = moved(goods(6), turned=15.0)
    one, two = (compare(Picture(goods(6), Kind.PHOTO), Picture(other, Kind.PHOTO)) for _ in range(2))
    assert isinstance(one.alignment, Alignment)
    assert isinstance(two.alignment, Alignment)
    assert np.array_equal(one.alignment.matrix, two.alignment.matrix)
    assert one.heat is not None
    assert two.heat is not None
    assert np.array_equal(one.heat, two.heat)


def test_two_pictures_of_1280_by_960_take_at_most_300_ms_of_one_core() -> None:
    reference = goods(7, 1280, 960)
    other, _ = moved(reference, turned=8.0)
    took_s = []
    for _ in range(3):
        pictures = Picture(reference, Kind.PHOTO), Picture(other, Kind.PHOTO)
        began_s = time.thread_time()
        told = compare(*pictures)
        took_s.append(time.thread_time() - began_s)
        assert told.heat is not None
    assert min(took_s) <= 0.3


# --- views ------------------------------------------------------------------------------------------------

PANE = Pane((600.0, 500.0), (1280, 960))
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["drag", "zoom"]),
        st.floats(-2_000, 2_000),
        st.floats(-2_000, 2_000),
        st.floats(0.01, 50),
    ),
    max_size=20,
)


@given(steps=STEPS)
def test_however_it_is_dragged_and_pinched_the_pane_shows_the_picture(
    steps: list[tuple[str, float, float, float]],
) -> None:
    view = PANE.whole
    for what, x, y, factor in steps:
        view = PANE.dragged(view, x, y) if what == "drag" else PANE.zoomed(view, factor, (x % 600, y % 500))
        assert 0 <= view.x <= 1279
        assert 0 <= view.y <= 959
        assert PANE.whole.zoom <= view.zoom <= NEAREST


@given(x=st.floats(0, 600), y=st.floats(0, 500), turned=st.floats(-3, 3), mirrored=st.booleans())
def test_a_point_of_the_pane_is_a_dot_of_the_picture_and_back(
    x: float, y: float, turned: float, mirrored: bool
) -> None:
    view = PanZoom(600.0, 400.0, 2.5, turned, mirrored)
    back = PANE.to_pane(view, *PANE.to_picture(view, x, y))
    assert math.dist(back, (x, y)) < 1e-6


def test_what_is_under_the_fingers_stays_there() -> None:
    near = PANE.zoomed(PANE.whole, 4.0, (200.0, 180.0))
    assert math.dist(PANE.to_picture(near, 200.0, 180.0), PANE.to_picture(PANE.whole, 200.0, 180.0)) < 1e-6
    assert PANE.zoomed(near, float("nan"), (0.0, 0.0)) == near


@pytest.mark.parametrize("mirrored", [False, True])
def test_linked_panes_show_the_same_spot_as_large_and_the_same_way_up(mirrored: bool) -> None:
    turn, large = math.radians(37), 0.8
    matrix = np.array(
        [
            [large * math.cos(turn), -large * math.sin(turn), 300.0],
            [large * math.sin(turn), large * math.cos(turn), 50.0],
            [0.0, 0.0, 1.0],
        ]
    )
    if mirrored:
        matrix = matrix @ np.diag([-1.0, 1.0, 1.0])
    found = Alignment(matrix, (1280, 960), (1280, 960), mirrored, 100, 1.0, 1.0)
    view = PANE.zoomed(PANE.whole, 5.0, (250.0, 260.0))
    right = linked(view, PANE, PANE, found)
    assert right.mirrored is mirrored
    for point in ((300.0, 250.0), (10.0, 20.0), (590.0, 480.0)):
        here = found.to_picture(*PANE.to_picture(view, *point))
        assert math.dist(PANE.to_pane(right, *here), point) < 1e-6


def test_through_a_tilted_map_the_middle_is_exact_and_its_surroundings_nearly() -> None:
    matrix = np.array([[1.0, 0.05, 20.0], [0.02, 1.1, -10.0], [1e-4, 2e-5, 1.0]])
    found = Alignment(matrix, (1280, 960), (1280, 960), False, 100, 1.0, 1.0)
    view = PANE.zoomed(PANE.whole, 6.0, (300.0, 250.0))
    right = linked(view, PANE, PANE, found)
    for point, off in (((300.0, 250.0), 1e-6), ((340.0, 280.0), 6.0)):
        here = found.to_picture(*PANE.to_picture(view, *point))
        assert math.dist(PANE.to_pane(right, *here), point) < off


def test_without_an_alignment_both_panes_show_the_same_share() -> None:
    other = Pane((600.0, 500.0), (640, 480))
    view = PANE.zoomed(PANE.whole, 2.0, (100.0, 100.0))
    right = linked(view, PANE, other, None)
    assert math.isclose((right.x + 0.5) / 640, (view.x + 0.5) / 1280)
    assert math.isclose(right.zoom / other.whole.zoom, view.zoom / PANE.whole.zoom)


@given(x=st.floats(-5_000, 5_000), width=st.floats(-10, 2_000))
def test_the_divider_stays_on_the_pane(x: float, width: float) -> None:
    assert 0.0 <= Divider().moved_to(x, width).share <= 1.0


# --- real pictures ----------------------------------------------------------------------------------------


def _real() -> dict[str, Picture]:
    folder = SHARED / "xray"
    names = sorted([*folder.glob("sixray_normal/*.jpg"), *folder.glob("raw_dual_energy_16bit/*_high.png")])
    read = {name.name: cv2.imread(str(name), cv2.IMREAD_UNCHANGED) for name in names}
    return {name: Picture(pixels, Kind.XRAY) for name, pixels in read.items() if pixels is not None}  # type: ignore[arg-type]


def test_real_xray_pictures_are_found_again_and_never_taken_for_each_other() -> None:
    real = _real()
    if not real:
        pytest.skip("no X-ray pictures here; KAKOU_SHARED_DATA may name their folder")
    for picture in list(real.values())[:: 1 if IS_PROVING else 2]:
        other, true = moved(picture.pixels, turned=10.0, large=0.9, by=(15.0, 9.0))
        found = align(picture, Picture(other, Kind.XRAY))
        assert isinstance(found, Alignment)
        assert farthest(found, true, picture.size) < 6.0
    pairs = itertools.permutations(list(real)[:: 1 if IS_PROVING else 3], 2)
    taken = [(one, two) for one, two in pairs if isinstance(align(real[one], real[two]), Alignment)]
    assert taken == []
