"""Which font says a text: the one we ship, or the device's own where a rare character is not in ours. Kivy.

Shipped: Noto Sans CJK SC cut to Latin and GB 2312 (`fonts/OFL.txt`), because Kivy's own font has no Chinese
at all and an Android's is not promised. A name with a character beyond that is said by the system's font
where one is found.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from kivy.core.text import DEFAULT_FONT, LabelBase

FOLDER: Final = Path(__file__).parent / "fonts"
REGULAR: Final = FOLDER / "NotoSansCJKsc-Regular-subset.otf"
BOLD: Final = FOLDER / "NotoSansCJKsc-Bold-subset.otf"
OURS: Final = DEFAULT_FONT
"""Registered under Kivy's own name for "no font given": no widget can forget it."""
SYSTEMS: Final = "system"

_SYSTEM_FONTS: Final = (
    "/system/fonts/NotoSansCJK-Regular.ttc",
    "/system/fonts/NotoSansSC-Regular.otf",
    "/system/fonts/DroidSansFallback.ttf",
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/noto-cjk/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",
    "C:/Windows/Fonts/msyh.ttc",
)


def register() -> None:
    LabelBase.register(OURS, str(REGULAR), fn_bold=str(BOLD))
    found = _system_font()
    if found is not None:
        LabelBase.register(SYSTEMS, str(found))


def font_for(text: str) -> str:
    """By name, as labels want it."""
    return OURS if text.isascii() or covers(text) or _system_font() is None else SYSTEMS


def covers(text: str) -> bool:
    """Whether the shipped font surely has every character."""
    return all(_has(sign) for sign in text)


@cache
def _has(sign: str) -> bool:
    if sign in "\n\t" or "\u00a0" <= sign < "\u0180" or "\u2010" <= sign < "\u2027":
        return True
    try:
        sign.encode("gb2312")
    except UnicodeEncodeError:
        return False
    return True


@cache
def _system_font() -> Path | None:
    return next((path for name in _SYSTEM_FONTS if (path := Path(name)).exists()), None)
