"""Pictures in memory: what is judged, shown and kept under a name is one picture."""

from __future__ import annotations

import numpy as np

from edge.devices.readings import XrayPictureSeen
from edge.runtime.clock import SystemClock
from edge.xray_bridge.events import PictureLost, PictureTaken
from edge.xray_bridge.imaging.calibration import Calibration
from edge.xray_bridge.pictures import Pictures


def seen(picture: str, value: int) -> XrayPictureSeen:
    grey = np.full((40, 60), 60_000, np.uint16)
    grey[10:30, 10:50] = value
    return XrayPictureSeen(
        picture, grey, grey, np.arange(60, dtype=np.int64), 60_000, 60_000, 0.8, 0.8, 0.8, serial="s"
    )


def test_a_name_that_comes_again_changes_nothing_of_the_first_and_is_told() -> None:
    told: list[PictureTaken | PictureLost] = []
    pictures = Pictures(
        plane_mm=1_000.0, most_bytes=1_000_000, calibration=Calibration, clock=SystemClock(), put=told.append
    )
    for value in (20_000, 5_000):
        pictures.take(1.0, seen("run-5", value))
    held = pictures.get("run-5")
    assert held is not None
    assert held.seen.low[20, 20] == 20_000
    assert [type(each) for each in told] == [PictureTaken, PictureLost]
    pictures.drop("run-5")
    assert pictures.size_bytes == 0
