"""What a plate camera photographs: a vehicle from before, with its plate, as a JPEG. Drawn once a plate.

The letters in `plate_letters.npy` (one row each, 48 x 26 dots packed) are drawn from Noto Sans CJK Bold (SIL
Open Font License 1.1). Colours of plates: GA 36-2018.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hardware_sims.jpeg import Picture, encode

LETTERS: Final = (
    "京津冀晋蒙辽吉黑沪苏浙皖闽赣鲁豫鄂湘粤桂琼渝川贵云藏陕甘青宁新挂学警港澳"
    "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789IO"
)
HIGH, WIDE = 48, 26
ROWS, COLUMNS = 360, 480
DRAWN_AHEAD: Final = 256
_GAP: Final = 4
_CABS: Final = ((176, 58, 46), (44, 96, 150), (60, 120, 70), (190, 140, 50), (205, 205, 200))
_SKY, _ROAD, _GLASS, _DARK = (166, 186, 202), (92, 92, 95), (48, 62, 74), (34, 36, 40)
_BLUE, _YELLOW, _GREEN = (
    ((18, 66, 160), (255, 255, 255)),
    ((236, 184, 32), (20, 20, 20)),
    ((112, 196, 140), (20, 20, 20)),
)


@lru_cache(DRAWN_AHEAD)
def photograph(plate: str | None) -> bytes:
    """None: a vehicle without a plate."""
    return encode(scene(plate), quality=70)


def scene(plate: str | None) -> Picture:
    """(360, 480, 3)."""
    picture = np.empty((ROWS, COLUMNS, 3), np.uint8)
    picture[:] = np.linspace(_SKY, (206, 214, 220), ROWS)[:, None]
    picture[250:] = np.linspace(_ROAD, (70, 70, 73), ROWS - 250)[:, None]
    picture[250:, 30:38] = picture[250:, -38:-30] = (214, 214, 208)
    cab = _CABS[sum((plate or "").encode()) % len(_CABS)]
    shade = tuple(int(0.72 * each) for each in cab)
    for (top, bottom, left, right), colour in (
        ((316, 334, 80, 400), (60, 60, 63)),
        ((24, 300, 84, 396), shade),
        ((30, 296, 90, 390), cab),
        ((52, 146, 104, 376), _DARK),
        ((56, 142, 108, 372), _GLASS),
        ((56, 142, 236, 244), _DARK),
        ((72, 132, 62, 84), _DARK),
        ((72, 132, 396, 418), _DARK),
        ((160, 196, 150, 330), _DARK),
        ((204, 230, 98, 142), (238, 236, 214)),
        ((204, 230, 338, 382), (238, 236, 214)),
        ((236, 316, 84, 396), (52, 54, 58)),
        ((296, 340, 96, 140), (24, 24, 25)),
        ((296, 340, 340, 384), (24, 24, 25)),
    ):
        picture[top:bottom, left:right] = colour
    for row in range(166, 194, 8):
        picture[row : row + 3, 156:324] = (90, 94, 98)
    picture[60:138, 112:150] = np.minimum(picture[60:138, 112:150].astype(np.int16) + 26, 255)
    if plate:
        _put_plate(picture, plate[:10])
    return picture


def _put_plate(picture: Picture, plate: str) -> None:
    ground, ink = _YELLOW if plate.endswith("挂") else _GREEN if len(plate) == 8 else _BLUE
    wide = len(plate) * (WIDE + _GAP) + 3 * _GAP
    left, top = (COLUMNS - wide) // 2, 246
    picture[top - 3 : top + HIGH + 11, left - 3 : left + wide + 3] = (20, 20, 22)
    picture[top : top + HIGH + 8, left : left + wide] = ground
    letters = _letters()
    at = left + _GAP
    for place, letter in enumerate(plate):
        if place == 2:
            picture[top + 26 : top + 31, at - 1 : at + 4] = ink
            at += 2 * _GAP
        known = LETTERS.find(letter.upper())
        if known >= 0:
            picture[top + 4 : top + 4 + HIGH, at : at + WIDE][letters[known]] = ink
        at += WIDE + _GAP


@lru_cache(1)
def _letters() -> NDArray[np.bool_]:
    """(letters, 48, 26)."""
    with (files("hardware_sims.devices") / "plate_letters.npy").open("rb") as file:
        packed = np.load(file)
    return np.unpackbits(packed, axis=1, count=HIGH * WIDE).reshape(-1, HIGH, WIDE).astype(bool)
