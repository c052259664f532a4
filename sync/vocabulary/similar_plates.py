"""Plates that a camera, an officer or a witness may have meant: pure text.

Candidates are written out instead of compared: a few hundred keys of an index, however many plates there are.
"""

from __future__ import annotations

import itertools
from typing import Final

from sync.vocabulary.numbers import Plate

PROVINCES: Final = "京津冀晋蒙辽吉黑沪苏浙皖闽赣鲁豫鄂湘粤桂琼渝川贵云藏陕甘青宁新"
SERIAL: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789"
UNKNOWN: Final = "?？*"
MOST: Final = 3_000
_LIKE: Final = (
    "0ODQ",
    "1ILT7",
    "2Z",
    "5S",
    "8B3",
    "6G",
    "UV",
    "MN",
    "HN",
    "EF",
    "CG",
    "PR",
    "XK",
    "4A",
    "WV",
)
_LETTERS: Final = {
    letter: tuple(dict.fromkeys(each for group in _LIKE if letter in group for each in group))
    for group in _LIKE
    for letter in group
}


def spelled(text: str) -> str:
    """As plates are written: capital letters, no dots, dashes or blanks."""
    return "".join(each for each in text.upper() if each not in " ·.-•・\t")[:12]


def meant(text: str) -> tuple[str, ...]:
    """Every plate a text with up to two unknown characters can be; what begins with a letter or digit lacks
    its province. Empty where that would be too many, or where it is no plate at all."""
    plate = spelled(text)
    if plate and plate[0] in SERIAL and len(plate) in (6, 7):
        plate = f"?{plate}"
    holes = [place for place, each in enumerate(plate) if each in UNKNOWN]
    if not holes or len(plate) not in (7, 8) or len(holes) > 2:
        return ()
    choices = [PROVINCES if place == 0 else SERIAL for place in holes]
    found = []
    for filled in itertools.product(*choices):
        each = list(plate)
        for place, letter in zip(holes, filled, strict=True):
            each[place] = letter
        found.append("".join(each))
    return tuple(each for each in found if Plate.parse(each) is not None)[:MOST]


def similar(text: str) -> tuple[str, ...]:
    """Plates a camera may have made of this one or this one of: any one character another, two next to each
    other exchanged, one lost or added, or several that look alike. Itself is not among them."""
    plate = spelled(text)
    if not 6 <= len(plate) <= 9:
        return ()
    found: dict[str, None] = {}
    for place in range(len(plate)):
        for letter in PROVINCES if place == 0 else SERIAL:
            found[plate[:place] + letter + plate[place + 1 :]] = None
        found[plate[:place] + plate[place + 1 :]] = None
    for place in range(1, len(plate) + 1):
        for letter in SERIAL:
            found[plate[:place] + letter + plate[place:]] = None
    for place in range(1, len(plate) - 1):
        found[plate[:place] + plate[place + 1] + plate[place] + plate[place + 2 :]] = None
    alike = [(plate[0],), *(_LETTERS.get(each, (each,)) for each in plate[1:])]
    for each in itertools.islice(itertools.product(*alike), MOST):
        found["".join(each)] = None
    found.pop(plate, None)
    return tuple(each for each in found if Plate.parse(each) is not None)[:MOST]
