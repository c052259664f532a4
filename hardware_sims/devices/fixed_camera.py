"""A camera on a mast beside the lane: draws what stands there, and gives it away as JPEG frames.

How frames travel is `picture_lines`. Plates are drawn with the letter code of their province (GB/T 2260),
since the scene's letters are Latin.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np

from hardware_sims.faults import Fault, FaultKind
from hardware_sims.jpeg import Picture, encode
from hardware_sims.physics import ARM_LOOP, ARRIVAL_LOOP, LANE_END, PLATE, LanePhysics

ROWS, COLUMNS = 360, 640
FIRST_X: Final = -8.0
PIXELS_A_METRE: Final = COLUMNS / (LANE_END - FIRST_X)
GROUND: Final = 270
ARM_PX: Final = 80

_CODES: Final = "BJTJHESXNMLNJLHLSHJSZJAHFJJXSDHAHBHNGDGXHICQSCGZYNXZSNGSQHNXXJ"
PROVINCES: Final = {
    province: _CODES[2 * place : 2 * place + 2]
    for place, province in enumerate("京津冀晋蒙辽吉黑沪苏浙皖闽赣鲁豫鄂湘粤桂琼渝川贵云藏陕甘青宁新")
}

_SKY, _ROAD, _PLATE, _LOOP = (150, 180, 205), (95, 95, 98), (125, 122, 110), (70, 70, 74)
_TRUCKS = ((176, 58, 46), (44, 96, 150), (60, 120, 70), (190, 140, 50), (110, 80, 140))
_LIGHTS = {"green": (40, 200, 60), "red": (220, 40, 40), "both": (220, 200, 40)}


def written_plate(plate: str) -> str:
    """With Latin letters only: 豫A12345 becomes HA A12345; any other character becomes `?`."""
    province = PROVINCES.get(plate[:1])
    text = plate if province is None else f"{province} {plate[1:]}"
    return "".join(letter if letter in _LETTERS else "?" for letter in text.upper())


def scene(physics: LanePhysics, at_s: float, caption: str = "") -> Picture:
    """The lane from the side, (360, 640, 3): vehicles with their plates, arm, light, virtual time."""
    picture = np.empty((ROWS, COLUMNS, 3), np.uint8)
    picture[:] = _SKY
    picture[GROUND:] = _ROAD
    for (begin, end), colour in ((PLATE, _PLATE), (ARRIVAL_LOOP, _LOOP), (ARM_LOOP, _LOOP)):
        picture[GROUND : GROUND + 14, _column(begin) : _column(end)] = colour
    for view in physics.seen_from_the_side():
        plate = written_plate(view.plate) if view.plate is not None else "????"
        colour = _TRUCKS[sum(plate.encode()) % len(_TRUCKS)]
        for number, (front, rear) in enumerate(view.parts):
            left, right = _column(rear), _column(front)
            picture[GROUND - 78 : GROUND - 10, left:right] = colour
            for wheel in (left + 6, right - 18):
                picture[GROUND - 14 : GROUND, max(0, wheel) : max(0, wheel + 12)] = (25, 25, 25)
            if number == 0:
                write(picture, plate, GROUND - 44, right - 12 * len(plate) - 4, 2, (255, 255, 255))
    foot, height = _column(22.0), physics.barrier.height
    stripes = ((220, 40, 40), (250, 250, 250))
    picture[GROUND - 60 : GROUND + 30, foot : foot + 5] = (235, 180, 30)
    for step in range(ARM_PX):
        row = GROUND - 30 - int(step * height)
        column = foot - int(step * (1 - height))
        picture[max(0, row) : row + 4, column : column + 4] = stripes[step // 10 % 2]
    picture[GROUND - 120 : GROUND - 100, foot - 8 : foot + 12] = _LIGHTS.get(physics.light, (30, 30, 30))
    write(picture, f"{caption} T+{at_s:.2f}".strip(), 12, 12, 3, (20, 20, 20))
    return picture


def write(
    picture: Picture, text: str, row: int, column: int, size: int, colour: tuple[int, int, int]
) -> None:
    """Letters of 5 x 7 dots, each `size` pixels; what lies outside the picture is not drawn."""
    for letter in text.upper():
        dots = np.kron(_LETTERS.get(letter, _LETTERS["?"]), np.ones((size, size), np.uint8)).astype(bool)
        top, left = max(0, row), max(0, column)
        shown = dots[top - row : max(0, ROWS - row), left - column : max(0, COLUMNS - column)]
        if shown.size:
            picture[top : top + shown.shape[0], left : left + shown.shape[1]][shown] = colour
        column += 6 * size


class FixedCamera:
    """Draws a frame when asked. Faults: `cut` (every frame ends in the middle, then the stream does), `stuck`
    (the same frame again and again), `black`, `slow` (frames of `delay_s` ago), `silence` (no frames),
    `dead` (nobody answers)."""

    def __init__(self, physics: LanePhysics, *, caption: str = "", quality: int = 80) -> None:
        self._physics = physics
        self._caption = caption
        self._quality = quality
        self._faults: dict[FaultKind, Fault] = {}
        self._last: bytes | None = None
        self._late: deque[tuple[float, bytes]] = deque()

    def set_fault(self, at_s: float, fault: Fault, on: bool) -> None:
        if on:
            self._faults[fault.kind] = fault
        else:
            self._faults.pop(fault.kind, None)
        if fault.kind is FaultKind.SLOW:
            self._late.clear()

    @property
    def is_dead(self) -> bool:
        return FaultKind.DEAD in self._faults

    @property
    def hangs_up(self) -> bool:
        """After the next frame the stream ends."""
        return FaultKind.CUT in self._faults

    def frame(self, at_s: float) -> bytes | None:
        """A JPEG file, perhaps not whole; None where none comes."""
        faults = self._faults
        if FaultKind.DEAD in faults or FaultKind.SILENCE in faults:
            return None
        if FaultKind.STUCK not in faults or self._last is None:
            if FaultKind.BLACK in faults:
                picture: Picture = np.zeros((ROWS, COLUMNS, 3), np.uint8)
            else:
                picture = scene(self._physics, at_s, self._caption)
            self._last = encode(picture, quality=self._quality)
        jpeg: bytes | None = self._last
        slow = faults.get(FaultKind.SLOW)
        if slow is not None:
            self._late.append((at_s + slow.delay_s, self._last))
            jpeg = None
            while self._late and self._late[0][0] <= at_s:
                jpeg = self._late.popleft()[1]
        if jpeg is not None and FaultKind.CUT in faults:
            jpeg = jpeg[: len(jpeg) // 2]
        return jpeg


def _column(x: float) -> int:
    return min(COLUMNS, max(0, round((x - FIRST_X) * PIXELS_A_METRE)))


_DRAWN: Final = """
A EHHVHHH B UHHUHHU C EHGGGHE D UHHHHHU E VGGUGGV F VGGUGGG G EHGNHHF H HHHVHHH I E44444E J 72222IC
K HIKOKIH L GGGGGGV M HRLLHHH N HPLJHHH O EHHHHHE P UHHUGGG Q EHHHLID R UHHUKIH S FGGE11U T V444444
U HHHHHHE V HHHHHA4 W HHHLLLA X HHA4AHH Y HHHA444 Z V1248GV
0 EHJLPHE 1 4C4444E 2 EH1248V 3 V2421HE 4 26AIV22 5 VGU11HE 6 68GUHHE 7 V124888 8 EHHEHHE 9 EHHF12C
: 0CC0CC0 - 000V000 . 00000CC + 044V440 ? EH12404
"""
"""Letters and their seven rows of five dots, a digit of base 32 a row."""


def _letters() -> dict[str, Picture]:
    drawn = _DRAWN.split()
    letters = {" ": np.zeros((7, 6), np.uint8)}
    for letter, rows in zip(drawn[::2], drawn[1::2], strict=True):
        dots = [[int(row, 32) >> 4 - place & 1 for place in range(5)] + [0] for row in rows]
        letters[letter] = np.array(dots, np.uint8)
    return letters


_LETTERS: Final = _letters()
