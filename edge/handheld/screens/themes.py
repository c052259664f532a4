"""Colours by what they are for, in both themes, and how far two of them stand apart. Pure: no Kivy.

Every pair a text may stand in is listed in `PAIRS`; each has a contrast of at least 7:1 in both themes
(WCAG 2.2, 1.4.6), because a screen is read in the sun and through scratched glass.
"""

from __future__ import annotations

from typing import Final

from edge.handheld.context import Theme

Colour = tuple[float, float, float, float]
"""Red, green, blue, opacity: 0 to 1."""

LEAST_CONTRAST: Final = 7.0

_SIGNS: Final = {
    "release": "#0a5228",
    "on_release": "#ffffff",
    "inspect": "#ffc43d",
    "on_inspect": "#1c1300",
    "hold": "#960c14",
    "on_hold": "#ffffff",
    "unknown": "#3f2f8c",
    "on_unknown": "#ffffff",
    "code": "#ffffff",
    "on_code": "#000000",
}
"""A verdict looks the same in every theme: nobody learns it twice."""

_DARK: Final = {
    "ground": "#0a1016",
    "panel": "#16212b",
    "raised": "#22303d",
    "line": "#6d8598",
    "ink": "#f5f9fc",
    "soft": "#c3d0db",
    "primary": "#86ccff",
    "on_primary": "#03111d",
    "danger": "#ffb0a8",
    "on_danger": "#2a0503",
    "good": "#86eda9",
    "warn": "#ffd56e",
    "bad": "#ffbeb7",
    "chosen": "#f5f9fc",
    "on_chosen": "#0a1016",
    "shut": "#16212b",
    "on_shut": "#a9b8c5",
}
_SUNLIGHT: Final = {
    "ground": "#ffffff",
    "panel": "#f1f4f6",
    "raised": "#e0e7ec",
    "line": "#41525f",
    "ink": "#000000",
    "soft": "#22303b",
    "primary": "#0a3a63",
    "on_primary": "#ffffff",
    "danger": "#7d0b12",
    "on_danger": "#ffffff",
    "good": "#07421d",
    "warn": "#4f3300",
    "bad": "#720910",
    "chosen": "#000000",
    "on_chosen": "#ffffff",
    "shut": "#f1f4f6",
    "on_shut": "#3f4d59",
}

PAPERS: Final = ("ground", "panel", "raised")
INKS: Final = ("ink", "soft", "good", "warn", "bad")
FILLS: Final = ("primary", "danger", "chosen", "shut", "release", "inspect", "hold", "unknown", "code")
PAIRS: Final = (
    *((ink, paper) for ink in INKS for paper in PAPERS),
    *((f"on_{fill}", fill) for fill in FILLS),
)
"""(text, what it stands on), by role."""


def _parsed(table: dict[str, str]) -> dict[str, Colour]:
    return {
        role: (int(text[1:3], 16) / 255, int(text[3:5], 16) / 255, int(text[5:7], 16) / 255, 1.0)
        for role, text in table.items()
    }


COLOURS: Final[dict[Theme, dict[str, Colour]]] = {
    Theme.DARK: _parsed(_DARK | _SIGNS),
    Theme.SUNLIGHT: _parsed(_SUNLIGHT | _SIGNS),
}


def luminance(colour: tuple[float, ...]) -> float:
    """Relative luminance, 0 black to 1 white (WCAG 2.2, sRGB)."""
    red, green, blue = (
        share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in colour[:3]
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """1 (the same) to 21 (black on white)."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)
