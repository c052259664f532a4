"""What a desk develops from packed planes and a table is what the analysis draws: dot for dot."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge.runtime.clock import SystemClock
from edge.xray_bridge.imaging.calibration import Calibration
from edge.xray_bridge.imaging.palettes import CHINESE, Mode
from edge.xray_bridge.imaging.pictures import RawPicture
from edge.xray_bridge.imaging.views import View, develop, drawn
from edge.xray_bridge.page.ports import TABLE_BYTES, Differs
from edge.xray_bridge.pictures import Pictures
from edge.xray_bridge.publishing import neutral
from edge.xray_bridge.showing import Shown

DICE = np.random.default_rng(6)
HIGH = DICE.uniform(0.02, 4.0, (64, 80))
PICTURE = RawPicture(
    low=np.rint(60_000 * np.exp(-HIGH * DICE.uniform(1.1, 2.6, HIGH.shape))).astype(np.uint16),
    high=np.rint(60_000 * np.exp(-HIGH)).astype(np.uint16),
    air_low=60_000,
    air_high=60_000,
    mm_per_column=0.8,
    mm_per_row=0.8,
)


@pytest.fixture(scope="module")
def shown() -> Shown:
    pictures = Pictures(
        plane_mm=1_000.0,
        most_bytes=1_000_000,
        calibration=Calibration,
        clock=SystemClock(),
        put=lambda event: None,
    )
    return Shown(
        pictures,
        calibration=Calibration,
        palette=CHINESE,
        kept=lambda picture: PICTURE if picture == "past-1" else None,
    )


@pytest.mark.parametrize("mode", list(Mode))
def test_planes_and_table_give_the_picture_the_analysis_draws(shown: Shown, mode: Mode) -> None:
    looks = shown.looks()
    assert looks is not None
    content, table = shown.planes("past-1"), shown.table(looks.table, mode.value)
    assert content is not None
    assert table is not None
    assert len(table) == TABLE_BYTES
    # As `picture.js` does it: red is the upper byte of a cell, green the lower one.
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    cells = decoded[..., 2].astype(np.uint32) * 256 + decoded[..., 1].astype(np.uint32)
    developed = np.frombuffer(table, np.uint8).reshape(65_536, 4)[cells][..., :3]
    expected = drawn(develop(PICTURE), Calibration(), CHINESE, View(mode=mode))[..., ::-1]
    assert np.array_equal(developed, expected)
    assert len(np.unique(developed.reshape(-1, 3), axis=0)) > 20


def test_what_is_not_there_is_none(shown: Shown) -> None:
    looks = shown.looks()
    assert looks is not None
    assert shown.planes("past-2") is None
    assert shown.preview("past-2") is None
    assert shown.table(looks.table, "upside_down") is None
    assert shown.table("another", "colour") is None


def test_a_difference_is_of_two_pictures_that_are_there(shown: Shown) -> None:
    assert shown.difference("past-1", "past-2") is None
    assert shown.difference("past-2", "past-1") is None
    same = shown.difference("past-1", "past-1")
    assert isinstance(same, Differs)
    decoded = cv2.imdecode(np.frombuffer(same.png, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert (decoded.shape, int(decoded.max()), same.common) == ((32, 40, 3), 0, 1.0)


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("parcel 14 at x_ray", "#14 · x_ray"),
        ("parcel 14 SF1 after portal", "#14 · SF1 after portal"),
        ("parcel 7: 120 mm longer at the diverter", "#7 · 120 mm longer at the diverter"),
        ("parcel 7", "#7"),
        ("belt: timeout", "belt: timeout"),
    ],
)
def test_an_alarm_names_a_parcel_as_the_desk_does(told: str, shown: str) -> None:
    assert neutral(told) == shown
