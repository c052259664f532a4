"""A camera as the portal's barcode reader: codes of the strip below it, with the time of their frame."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import zxingcpp
from numpy.typing import NDArray

from edge.devices.fixed_camera.source import FileAddress
from edge.devices.readings import CodeSeen, Reading
from edge.xray_bridge.portal_camera import Along, PortalCamera, strip_of

ROWS, COLUMNS = 480, 1280


def label(text: str) -> NDArray[Any]:
    made = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.Code128)
    drawn = np.array(zxingcpp.write_barcode_to_image(made, scale=2))
    bars = drawn[drawn.shape[0] // 2]
    # bars across the belt's direction, with white around them
    return np.pad(np.repeat(np.repeat(bars[None, :], 90, axis=0), 1, axis=1), 20, constant_values=255)


def scene(*labels: tuple[str, int]) -> NDArray[Any]:
    """A grey belt; each label with the column of its middle."""
    picture = np.full((ROWS, COLUMNS, 3), 120, np.uint8)
    for text, middle in labels:
        drawn = label(text)
        top, left = 150, middle - drawn.shape[1] // 2
        picture[top : top + drawn.shape[0], left : left + drawn.shape[1]] = drawn[:, :, None]
    return picture


class Heard:
    def __init__(self) -> None:
        self.codes: list[tuple[float, str]] = []
        self.news: list[str] = []

    def reading(self, at_s: float, name: str, reading: Reading) -> None:
        assert name == "portal_camera"
        assert isinstance(reading, CodeSeen)
        self.codes.append((at_s, reading.text))


@contextmanager
def watching(folder: Path, along: Along = "columns", strip_share: float = 0.5) -> Iterator[Heard]:
    heard = Heard()
    camera = PortalCamera(
        FileAddress(folder),
        along=along,
        strip_share=strip_share,
        monotonic_s=time.monotonic,
        delay_s=lambda failures: 0.05,
        on_reading=heard.reading,
        on_news=lambda at_s, name, why: heard.news.append(why),
    )
    camera.start()
    try:
        yield heard
    finally:
        camera.stop()


def until(holds: Callable[[], bool], within_s: float = 10.0) -> bool:
    end_s = time.monotonic() + within_s
    while not holds() and time.monotonic() < end_s:
        time.sleep(0.01)
    return holds()


def show(folder: Path, number: int, picture: NDArray[Any]) -> None:
    whole = folder / f"{number}.part"
    whole.write_bytes(bytes(cv2.imencode(".png", picture)[1]))
    whole.rename(folder / f"{number}.png")


def test_a_code_that_passes_under_the_camera_is_read_once_with_the_time_of_its_frame(tmp_path: Path) -> None:
    with watching(tmp_path) as heard:
        before_s = time.monotonic()
        for number, place in enumerate((-40, -10, 20, 50, 80)):
            show(tmp_path, number, scene(("SF1234567890123", COLUMNS // 2 + place)))
            time.sleep(0.3)
    assert [text for _, text in heard.codes] == ["SF1234567890123"]
    assert before_s - 1.0 <= heard.codes[0][0] <= time.monotonic()
    assert heard.news == [""]


def test_one_frame_is_not_enough_for_a_code_that_any_wrong_read_could_be(tmp_path: Path) -> None:
    show(tmp_path, 1, scene(("SF1234567890123", COLUMNS // 2)))
    with watching(tmp_path) as heard:
        assert until(lambda: heard.news == [""])
        time.sleep(0.5)
    assert heard.codes == []


def test_a_code_of_the_parcel_before_or_behind_is_not_read(tmp_path: Path) -> None:
    """It would be put where the reader stands, and so on the wrong parcel."""
    with watching(tmp_path, strip_share=0.35) as heard:
        for number in range(3):
            show(
                tmp_path, number, scene(("SF1111111111111", 190 + number), ("SF2222222222222", COLUMNS - 190))
            )
            time.sleep(0.3)
        assert heard.codes == []
        for number in range(3, 6):
            show(
                tmp_path, number, scene(("SF3333333333333", COLUMNS // 2 + number), ("SF1111111111111", 190))
            )
            time.sleep(0.3)
    assert [text for _, text in heard.codes] == ["SF3333333333333"]


def test_the_strip_lies_across_the_belt_whichever_way_the_camera_is_turned() -> None:
    grey = np.zeros((400, 1000), np.uint8)
    assert strip_of(grey, "columns", 0.5).shape == (400, 500)
    assert strip_of(grey, "rows", 0.25).shape == (100, 1000)
    assert strip_of(grey, "rows", 1.0).shape == (400, 1000)
    assert strip_of(grey[:10], "rows", 0.05).shape == (10, 1000)


@pytest.mark.parametrize("gone", ["nothing there", "went away"])
def test_a_camera_without_pictures_is_told_as_lost(
    tmp_path: Path, gone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.xray_bridge.portal_camera._SILENT_S", 0.3)
    folder = tmp_path / "camera"
    if gone == "went away":
        folder.mkdir()
        show(folder, 1, scene())
    with watching(folder) as heard:
        assert until(lambda: any(heard.news))
    assert heard.news[-1].startswith("no picture for")
    assert len(heard.news) == (2 if gone == "went away" else 1)
