"""A picture -> its descriptor: what the library of references keeps, small enough to travel in a record.

Materials over all dots, mass, and a small map of the object turned upright; no pose in the first two, four
poses to try in the third.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Final

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from edge.xray_bridge.imaging.calibration import Calibration
from edge.xray_bridge.imaging.opencv import cv2
from edge.xray_bridge.imaging.segmenting import Outlines
from edge.xray_bridge.imaging.tables import (
    AIR,
    CLASSES,
    MATERIAL_BINS,
    tables_of,
)
from edge.xray_bridge.imaging.views import Developed, looked_up
from edge.xray_bridge.values import Box

VERSION: Final = 1
MAP_COLUMNS: Final = 48
MAP_ROWS: Final = 32
GRID: Final = (6, 4)
MAP_FULL: Final = 8.0
"""Attenuation of a map's 255, at high energy."""
Z_FULL: Final = 32.0
_MAP_TEXT: Final = (MAP_COLUMNS * MAP_ROWS + 2) // 3 * 4
MOST_CHARACTERS: Final = 12_000
_LEAST_DOTS: Final = 8
_FAINT: Final = 0.01

Part = Annotated[float, Meta(ge=0.0, le=1.0)]
Map = Annotated[str, Meta(min_length=_MAP_TEXT, max_length=_MAP_TEXT)]


class DescriptorRefused(ValueError):
    """What was expected of a descriptor's text."""


class Descriptor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """One object in one picture."""

    version: Annotated[int, Meta(ge=VERSION, le=VERSION)] = VERSION
    calibration: Annotated[str, Meta(max_length=16)]
    length_mm: Annotated[float, Meta(ge=0.0, le=20_000.0)]
    """Of the long side, turned upright."""
    height_mm: Annotated[float, Meta(ge=0.0, le=20_000.0)]
    mass_g: Annotated[float, Meta(ge=0, le=1e6)]
    """Estimated; what was not penetrated counts as what the ladder makes of it."""
    area_cm2: Annotated[float, Meta(ge=0, le=1e6)]
    materials: Annotated[tuple[Part, ...], Meta(min_length=MATERIAL_BINS, max_length=MATERIAL_BINS)]
    """Shares of the area over 10 atomic numbers x 6 thicknesses; sums to 1 unless nothing lies there."""
    shares: Annotated[tuple[Part, ...], Meta(min_length=CLASSES, max_length=CLASSES)]
    """Of the area: air, organic, light inorganic, metal, impenetrable, unsure."""
    dark: Map
    """48 x 32 bytes, base64: attenuation at high energy of the object turned upright, 255 = 8."""
    z: Map
    """Likewise its effective atomic number, 255 = 32."""

    def text(self) -> str:
        return msgspec.json.encode(self).decode()

    @classmethod
    def read(cls, text: str | bytes) -> Descriptor:
        """Raises DescriptorRefused, naming the field and what was expected of it."""
        if len(text) > MOST_CHARACTERS:
            raise DescriptorRefused(f"expected {MOST_CHARACTERS} characters at most, got {len(text)}")
        try:
            found = msgspec.json.decode(text, type=cls)
            _unmapped(found.dark), _unmapped(found.z)
        except (msgspec.DecodeError, UnicodeDecodeError, binascii.Error, ValueError) as wrong:
            raise DescriptorRefused(f"descriptor: {wrong}") from wrong
        return found

    @cached_property
    def attenuation_map(self) -> NDArray[np.float32]:
        """(32, 48)"""
        return _unmapped(self.dark).astype(np.float32) * np.float32(MAP_FULL / 255.0)

    @cached_property
    def z_map(self) -> NDArray[np.float32]:
        return _unmapped(self.z).astype(np.float32) * np.float32(Z_FULL / 255.0)

    @cached_property
    def histogram(self) -> NDArray[np.float32]:
        return np.array(self.materials, dtype=np.float32)

    @cached_property
    def layout(self) -> NDArray[np.float32]:
        """(4 poses, 24 cells, 3 kinds of matter): attenuation by kind, over 6 x 4 cells, in the four poses an
        upright box can have."""
        kinds = np.stack([self.attenuation_map * weight for weight in _kinds(self.z_map)])
        columns, rows = GRID
        cells = kinds.reshape(3, rows, MAP_ROWS // rows, columns, MAP_COLUMNS // columns).mean(axis=(2, 4))
        poses = (cells, cells[:, :, ::-1], cells[:, ::-1], cells[:, ::-1, ::-1])
        return np.stack([pose.transpose(1, 2, 0).reshape(columns * rows, 3) for pose in poses])


def _kinds(z: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
    """Organic, light and metal parts of each dot, blending over the borders."""
    metal = np.clip((z - 14.0) / 8.0, 0, 1)
    organic = np.clip((12.0 - z) / 4.0, 0, 1)
    return organic, np.clip(1.0 - organic - metal, 0, 1), metal


def _unmapped(text: str) -> NDArray[np.uint8]:
    found = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
    if found.size != MAP_COLUMNS * MAP_ROWS:
        raise ValueError(f"expected a map of {MAP_COLUMNS * MAP_ROWS} bytes, got {found.size}")
    return found.reshape(MAP_ROWS, MAP_COLUMNS)


def _mapped(values: NDArray[np.float32], full: float) -> str:
    return base64.b64encode(
        np.clip(np.rint(values * (255.0 / full)), 0, 255).astype(np.uint8).tobytes()
    ).decode()


@dataclass(frozen=True, slots=True, eq=False)
class Upright:
    """The smallest box around all things, laid level: where the map's dots lie in the picture."""

    matrix: NDArray[np.float64]
    """(2, 3): column and row of the map -> column and row at half the picture's resolution."""
    length_mm: float
    height_mm: float
    shape: tuple[int, int]
    """Rows and columns at half the resolution."""
    middle_mm: NDArray[np.float64]
    """From the picture's upper left corner, along the belt and across."""
    along: NDArray[np.float64]
    """Unit vectors of the long and of the short side."""
    across: NDArray[np.float64]

    def box(self, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Box:
        """Around these dots of the map, as shares of the picture."""
        corners = np.array(
            [
                (column, row, 1.0)
                for column in (columns.min() - 0.5, columns.max() + 0.5)
                for row in (rows.min() - 0.5, rows.max() + 0.5)
            ]
        )
        x, y = self.matrix @ corners.T / np.array([[self.shape[1]], [self.shape[0]]])
        left, top = float(np.clip(x.min(), 0, 1)), float(np.clip(y.min(), 0, 1))
        return Box(left, top, float(np.clip(x.max(), 0, 1)) - left, float(np.clip(y.max(), 0, 1)) - top)


def described(
    developed: Developed, calibration: Calibration, outlines: Outlines
) -> tuple[Descriptor, Upright | None]:
    """Of everything in the picture; the map is of the box around all its things, None without any."""
    tables = tables_of(calibration)
    dot_cm2 = developed.picture.dot_cm2 * 4.0
    cells, counts = outlines.cells, outlines.dots
    mass_g = float(counts @ tables.g_cm2[cells]) * dot_cm2
    seen = tables.material_half[cells] != AIR
    cells, counts = cells[seen], counts[seen]
    area = counts.sum()
    shares = np.bincount(tables.material_half[cells], weights=counts, minlength=CLASSES)
    bins, second = tables.bins[cells], counts * tables.bin_share[cells]
    materials = np.bincount(bins[:, 0], weights=counts - second, minlength=MATERIAL_BINS)
    materials += np.bincount(bins[:, 1], weights=second, minlength=MATERIAL_BINS)
    whole = max(area, 1.0)
    upright = upright_of(developed, outlines)
    high, z = _maps(developed, calibration, upright)
    descriptor = Descriptor(
        calibration=calibration.id,
        length_mm=round(upright.length_mm, 1) if upright else 0.0,
        height_mm=round(upright.height_mm, 1) if upright else 0.0,
        mass_g=round(mass_g, 2),
        area_cm2=round(float(area * dot_cm2), 2),
        materials=tuple(round(float(each), 5) for each in np.clip(materials / whole, 0, 1)),
        shares=tuple(round(float(each), 5) for each in shares / whole),
        dark=_mapped(high, MAP_FULL),
        z=_mapped(z, Z_FULL),
    )
    return descriptor, upright


def upright_of(developed: Developed, outlines: Outlines) -> Upright | None:
    """None: there is nothing in the picture."""
    library = cv2()
    there = outlines.labels > 0
    if np.count_nonzero(there) < _LEAST_DOTS:
        return None
    # The first and the last dot of each row: the hull of these is the hull of all.
    filled = np.flatnonzero(there.any(axis=1))
    first = there[filled].argmax(axis=1)
    last = there.shape[1] - 1 - there[filled, ::-1].argmax(axis=1)
    rows, columns = np.concatenate([filled, filled]), np.concatenate([first, last])
    pitch = np.array([developed.picture.mm_per_column, developed.picture.mm_per_row]) * 4.0
    points = (np.stack([columns, rows], axis=1) + 0.5) * pitch
    (x, y), (width, height), turned = library.minAreaRect(library.convexHull(points.astype(np.float32)))
    width, height = width + float(pitch[0]), height + float(pitch[1])
    if height > width:
        width, height, turned = height, width, turned + 90.0
    # From the map's dots to millimetres to the half-size picture's dots.
    angle = np.deg2rad(turned)
    long, short = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    along, across = long * width / MAP_COLUMNS, short * height / MAP_ROWS
    start = np.array([x, y]) - along * (MAP_COLUMNS / 2 - 0.5) - across * (MAP_ROWS / 2 - 0.5)
    to_half = 2.0 / pitch
    matrix = np.stack([along * to_half, across * to_half, start * to_half - 0.5], axis=1)
    shape = developed.cells_half.shape
    middle = np.array([x, y], dtype=np.float64)
    return Upright(matrix, float(width), float(height), (int(shape[0]), int(shape[1])), middle, long, short)


def _maps(
    developed: Developed, calibration: Calibration, upright: Upright | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Attenuation and atomic number on the map."""
    if upright is None:
        blank = np.zeros((MAP_ROWS, MAP_COLUMNS), np.float32)
        return blank, blank
    library = cv2()
    tables = tables_of(calibration)
    high = looked_up(tables.high, developed.cells_half)
    weighted = looked_up(tables.high_z, developed.cells_half)
    sides = np.hypot(*upright.matrix[:, :2])
    kernel = (max(1, round(float(sides.max()))),) * 2
    maps = [
        library.warpAffine(
            library.blur(values, kernel),
            upright.matrix,
            (MAP_COLUMNS, MAP_ROWS),
            flags=library.INTER_LINEAR | library.WARP_INVERSE_MAP,
            borderMode=library.BORDER_CONSTANT,
            borderValue=0.0,
        )
        for values in (high, weighted)
    ]
    dark = np.asarray(maps[0], dtype=np.float32)
    return dark, np.where(dark > _FAINT, maps[1] / np.maximum(dark, _FAINT), 0.0).astype(np.float32)
