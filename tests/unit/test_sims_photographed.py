"""What a simulated plate camera photographs."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from hardware_sims.devices.photographed import COLUMNS, LETTERS, ROWS, photograph, scene
from hardware_sims.devices.plate_camera import PICTURE
from hardware_sims.lanes import SimulatedSite
from hardware_sims.scenario import LaneSettings, Scenario
from hardware_sims.vehicles import Vehicle

BLUE, YELLOW, GREEN = (18, 66, 160), (236, 184, 32), (112, 196, 140)


def _has(plate: str, colour: tuple[int, int, int]) -> bool:
    picture = scene(plate)[246:302, 120:360].astype(int)
    return int(np.count_nonzero((abs(picture - colour) < 3).all(axis=2))) > 2_000


def test_a_photograph_is_a_jpeg_that_readers_open_and_two_plates_differ() -> None:
    pictures = [photograph("豫E53711"), photograph("豫E53712"), photograph(None)]
    assert {Image.open(io.BytesIO(each)).size for each in pictures} == {(COLUMNS, ROWS)}
    assert len(set(pictures)) == 3
    assert max(map(len, pictures)) < 30_000
    assert photograph("豫E53711") is pictures[0]


@pytest.mark.parametrize(
    ("plate", "colour"),
    [("豫E53711", BLUE), ("鲁D8PT挂", YELLOW), ("粤AD12345", GREEN)],
    ids=["blue", "yellow", "green"],
)
def test_a_plate_has_the_colour_of_its_kind(plate: str, colour: tuple[int, int, int]) -> None:
    assert [each for each in (BLUE, YELLOW, GREEN) if _has(plate, each)] == [colour]


def test_every_letter_of_a_plate_is_drawn_and_any_other_is_left_out() -> None:
    empty = scene("豫A🚚")
    assert all(np.any(scene(f"豫A{letter}") != empty) for letter in LETTERS)


def test_the_camera_shows_what_is_before_it_whatever_it_reads() -> None:
    asked: list[str | None] = []

    def picture_of(plate: str | None) -> bytes:
        asked.append(plate)
        return PICTURE

    truck = Vehicle(id="v1", lane="in", arrives_s=1.0, plate="豫A12345", gross_kg=20_000, length_m=12.0)
    site = SimulatedSite(Scenario(lanes=(LaneSettings(name="in"),), vehicles=(truck,)), picture_of=picture_of)
    camera = site.lanes["in"].camera
    camera.connect(0.0)
    at_s = 0.0
    while not asked and at_s < 60.0:
        at_s += 0.1
        site.advance(at_s)
    assert asked[0] == "豫A12345"
