"""Colours for materials: one law for brightness, a palette for hue. Values only; no picture passes here.

Practice: organic orange, light inorganic green, metal blue; what was not penetrated red or black in China,
black elsewhere. Sources disagree on glass and aluminium (green or blue), so hues are a site's to set.
"""

from __future__ import annotations

import enum
from typing import Annotated, Final

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Rgb = tuple[
    Annotated[int, Meta(ge=0, le=255)], Annotated[int, Meta(ge=0, le=255)], Annotated[int, Meta(ge=0, le=255)]
]


class Palette(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Full hues at medium attenuation, as red, green, blue."""

    name: Annotated[str, Meta(min_length=1, max_length=40)]
    zh: Annotated[str, Meta(max_length=40)] = ""
    en: Annotated[str, Meta(max_length=40)] = ""
    organic: Rgb = (255, 128, 0)
    light_inorganic: Rgb = (0, 160, 60)
    metal: Rgb = (0, 70, 220)
    impenetrable: Rgb = (0, 0, 0)
    unsure: Rgb = (150, 140, 120)
    """There is something, and its material cannot be told."""


INTERNATIONAL: Final = Palette(name="international", zh="国际", en="International")
CHINESE: Final = Palette(
    name="chinese",
    zh="国内",
    en="Chinese",
    organic=(255, 138, 12),
    light_inorganic=(40, 170, 40),
    metal=(20, 60, 200),
    impenetrable=(176, 0, 0),
)
COLOUR_BLIND: Final = Palette(
    # Orange, teal and indigo of Okabe and Ito, which keep apart with any common deficiency.
    name="colour-blind",
    zh="色弱友好",
    en="Colour-blind friendly",
    organic=(230, 159, 0),
    light_inorganic=(0, 158, 150),
    metal=(60, 40, 150),
    impenetrable=(0, 0, 0),
)
PALETTES: Final = {each.name: each for each in (CHINESE, INTERNATIONAL, COLOUR_BLIND)}


class Mode(enum.StrEnum):
    """What a key on the officer's station switches to."""

    COLOUR = "colour"
    GREY = "grey"
    NEGATIVE = "negative"
    HIGH_PENETRATION = "high_penetration"
    """Dark parts opened (高穿)."""
    LOW_PENETRATION = "low_penetration"
    """Thin parts brought out (低穿)."""
    ORGANIC_ONLY = "organic_only"
    """The rest fades to grey (无机物剔除)."""
    METAL_ONLY = "metal_only"
    """Metal and light inorganic matter keep their hue (有机物剔除)."""


MODE_WORDS: Final = {
    Mode.COLOUR: ("彩色", "Colour"),
    Mode.GREY: ("灰度", "Grey"),
    Mode.NEGATIVE: ("反色", "Negative"),
    Mode.HIGH_PENETRATION: ("高穿", "High penetration"),
    Mode.LOW_PENETRATION: ("低穿", "Low penetration"),
    Mode.ORGANIC_ONLY: ("只看有机物", "Organic only"),
    Mode.METAL_ONLY: ("只看金属", "Metal only"),
}

_HUE_AT: Final = 0.42
"""Attenuation by which two thirds of the hue are there."""
_DARK_AT: Final = {Mode.HIGH_PENETRATION: 7.0, Mode.LOW_PENETRATION: 0.9}
_DARK_USUALLY: Final = 2.4
_DARKEST: Final = 0.12


def shade(attenuation: Floats, mode: Mode) -> tuple[Floats, Floats]:
    """(how much hue, how bright), each 0 to 1, of an attenuation. White where nothing lies."""
    dark = _DARK_AT.get(mode, _DARK_USUALLY)
    hue = 1.0 - np.exp(-attenuation / (_HUE_AT * dark / _DARK_USUALLY))
    bright = _DARKEST + (1.0 - _DARKEST) * np.exp(-((attenuation / dark) ** 1.3))
    return hue, bright


def coloured(full: Floats, attenuation: Floats, mode: Mode) -> NDArray[np.uint8]:
    """(..., 3) full hues and (...) attenuations -> (..., 3) blue, green, red as OpenCV has them."""
    hue, bright = (part[..., None] for part in shade(attenuation, mode))
    if mode in (Mode.GREY, Mode.NEGATIVE):
        grey = 255.0 * np.exp(-0.75 * attenuation)[..., None] * np.ones(3)
        rgb = 255.0 - grey if mode is Mode.NEGATIVE else grey
    else:
        rgb = (255.0 * (1.0 - hue) + full * hue) * bright
    return np.rint(np.clip(rgb, 0, 255)).astype(np.uint8)[..., ::-1]
