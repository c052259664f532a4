"""A raw picture -> cells -> what an officer looks at: colours by mode, then tone and edges.

Zooming is the page's. Everything here is a look-up over whole arrays; nothing decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.xray_bridge.imaging.calibration import Calibration
from edge.xray_bridge.imaging.opencv import cv2
from edge.xray_bridge.imaging.palettes import CHINESE, Mode, Palette
from edge.xray_bridge.imaging.pictures import Counts, RawPicture
from edge.xray_bridge.imaging.tables import halves_of_cells, packed

Bgr = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class View:
    """How it is to be shown. Refuses what no key could ask for."""

    mode: Mode = Mode.COLOUR
    brightness: float = 0.0
    """-1 to 1, added."""
    contrast: float = 1.0
    """0.2 to 5, about the middle."""
    gamma: float = 1.0
    """0.2 to 5; above 1 opens the dark."""
    edges: float = 0.0
    """0 to 3: how much of the fine detail is added once more."""

    def __post_init__(self) -> None:
        bounds = (
            ("brightness", self.brightness, -1.0, 1.0),
            ("contrast", self.contrast, 0.2, 5.0),
            ("gamma", self.gamma, 0.2, 5.0),
            ("edges", self.edges, 0.0, 3.0),
        )
        for said, value, least, most in bounds:
            if not least <= value <= most:
                raise ValueError(f"{said}: expected {least:g} to {most:g}, got {value}")


PLAIN: Final = View()
EDGE_SIGMA: Final = 1.4
"""Dots; wires are one or two across."""


@dataclass(frozen=True, slots=True, eq=False)
class Developed:
    """The picture as cells: what every view and the whole analysis are looked up from."""

    picture: RawPicture
    cells: NDArray[np.uint16]
    """(rows, columns): two codes in one, see tables."""
    cells_half: NDArray[np.uint16]
    """Of 2 x 2 dots' mean."""


def develop(picture: RawPicture) -> Developed:
    """3 x 3 median, then codes; and the same of half the size, from the mean of what came through."""
    library = cv2()
    low, high = library.medianBlur(picture.low, 3), library.medianBlur(picture.high, 3)
    rows, columns = low.shape
    size = (columns // 2, rows // 2)
    even = (slice(0, size[1] * 2), slice(0, size[0] * 2))
    halves = [
        library.resize(channel[even], size, interpolation=library.INTER_AREA) for channel in (low, high)
    ]
    tables = halves_of_cells(picture.air_low, picture.air_high)
    return Developed(picture, _cells((low, high), tables), _cells((halves[0], halves[1]), tables))


def _cells(channels: tuple[Counts, Counts], tables: tuple[Counts, Counts]) -> Counts:
    cells: Counts = looked_up(tables[0], channels[0])
    cells |= looked_up(tables[1], channels[1])
    return cells


def looked_up(table: NDArray[Any], cells: Counts) -> Any:
    """table[cells], by OpenCV: a third of numpy's time for a table of 65536."""
    return cv2().LUT(cells, table.reshape(1, -1))


def drawn(
    developed: Developed, calibration: Calibration, palette: Palette = CHINESE, view: View = PLAIN
) -> Bgr:
    """(rows, columns, 3) blue, green, red."""
    library = cv2()
    table = packed(calibration, palette, view.mode)
    four = looked_up(table, developed.cells).view(np.uint8).reshape(*developed.cells.shape, 4)
    shown: Bgr = library.cvtColor(four, library.COLOR_BGRA2BGR)
    if view.edges > 0:
        soft = library.GaussianBlur(shown, (0, 0), EDGE_SIGMA)
        shown = library.addWeighted(shown, 1.0 + view.edges, soft, -view.edges, 0.0)
    if (view.brightness, view.contrast, view.gamma) != (0.0, 1.0, 1.0):
        shown = library.LUT(shown, _tones(view.brightness, view.contrast, view.gamma))
    return shown


def coloured_and_classed(
    developed: Developed, calibration: Calibration, palette: Palette = CHINESE
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """((rows, columns, 4) blue, green, red and class; (rows, columns) class): one look-up for both."""
    table = packed(calibration, palette, Mode.COLOUR)
    four = looked_up(table, developed.cells).view(np.uint8).reshape(*developed.cells.shape, 4)
    return four, four[..., 3]


@lru_cache(maxsize=64)
def _tones(brightness: float, contrast: float, gamma: float) -> NDArray[np.uint8]:
    level = np.arange(256) / 255.0
    changed = (np.clip(level, 0, 1) ** (1.0 / gamma) - 0.5) * contrast + 0.5 + brightness
    return np.rint(np.clip(changed, 0, 1) * 255).astype(np.uint8)
