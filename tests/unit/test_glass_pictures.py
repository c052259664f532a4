"""Pictures of the core on the side of the screens, the same on a PC and on a phone."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge.handheld.drawing import jpeg_of
from edge.handheld.effects import MarkPhoto
from edge.handheld.events import Captured, EvidenceFailed
from edge.handheld.glass_pictures import PICTURES_KEPT, GlassPictures

LINE = (((0.1, 0.1), (0.9, 0.9)),)


def glass() -> tuple[GlassPictures, list[str], list[Any]]:
    asked: list[str] = []
    said: list[Any] = []

    def fetch(sha256: str) -> int:
        asked.append(sha256)
        return len(asked)

    return GlassPictures(fetch, said.append), asked, said


def test_a_picture_is_asked_for_once_and_there_when_it_has_come() -> None:
    pictures, asked, _ = glass()
    assert [pictures.picture("a"), pictures.picture("a")] == [None, None]
    pictures.fetched(1, b"jpeg", "")
    assert (pictures.picture("a"), asked) == (b"jpeg", ["a"])


def test_the_oldest_goes_and_is_asked_for_again() -> None:
    pictures, asked, _ = glass()
    for number in range(PICTURES_KEPT + 1):
        pictures.picture(str(number))
    pictures.picture("0")
    assert asked.count("0") == 2
    assert asked.count("1") == 1


def test_what_is_drawn_on_a_picture_is_a_picture_of_its_own_or_says_why_not() -> None:
    pictures, _, said = glass()
    pictures.mark(MarkPhoto(7, "a", LINE))
    pictures.fetched(1, jpeg_of(np.full((40, 60, 3), 200, np.uint8)), "")
    pictures.mark(MarkPhoto(8, "a", LINE))
    pictures.fetched(2, None, "")
    pictures.mark(MarkPhoto(9, "b", LINE))
    pictures.fetched(3, b"no jpeg", "")
    assert [type(event) for event in said] == [Captured, EvidenceFailed, EvidenceFailed]
    assert [event.request for event in said] == [7, 8, 9]
    assert said[1].why == "the picture is not there"
