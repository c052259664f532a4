"""The window of a PC: a phone's, as large as the screen has room for."""

from __future__ import annotations

import pytest

from edge.handheld.screens.environment import DESKTOP_DENSITY, DESKTOP_SIZE, FRAME, fitted


@pytest.mark.parametrize("room", [(1920, 1040), (1366, 728), (1280, 760), (1024, 900), (600, 1400)])
def test_a_window_lies_on_the_screen_with_its_frame_and_shows_the_same(room: tuple[int, int]) -> None:
    (width, height), density = fitted(room)
    assert width + FRAME[0] <= room[0]
    assert height + FRAME[1] <= room[1]
    assert (width / density, height / density) == pytest.approx((360, 640), abs=2)


@pytest.mark.parametrize("room", [None, (2560, 1400), (720, 1280), (0, 0), (-1, 50)])
def test_where_there_is_room_or_nobody_knows_it_is_a_phones_size(room: tuple[int, int] | None) -> None:
    assert fitted(room) == (DESKTOP_SIZE, DESKTOP_DENSITY)
