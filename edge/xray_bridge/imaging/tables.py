"""All that a calibration says, laid out over 256 x 256 cells, so that a picture is only looked up.

A channel becomes one byte, 255 x (1 - square root of what comes through): photon noise is then the same
number of steps everywhere, two to the standard deviation of a dot of 4,000 photons. A logarithm would spend
its steps where there is nothing but noise. Two such bytes are one cell; a cell knows its material, colour and
grams. No picture is held here; tables are made once a calibration and shared.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.xray_bridge.imaging.calibration import Calibration
from edge.xray_bridge.imaging.palettes import Mode, Palette, coloured

AIR, ORGANIC, LIGHT, METAL, IMPENETRABLE, UNSURE = range(6)
CLASSES: Final = 6

DOT_AVERAGES: Final = 4.0
"""By how many photons' worth a 3 x 3 median is quieter than one dot (9 x 2 / pi would be 5.7 on its own; the
detector's own blur leaves less)."""
HALF_AVERAGES: Final = 10.0
"""Likewise of 2 x 2 such medians, which share dots."""

_SLIGHTEST: Final = 0.1
"""A chance of metal below this is none."""

Z_BINS: Final = (5.0, 7.0, 8.5, 10.0, 12.0, 14.5, 17.0, 20.0, 24.0, 28.0)
THICK_BINS: Final = (0.0, 0.12, 0.35, 0.8, 1.6, 3.0)
MATERIAL_BINS: Final = len(Z_BINS) * len(THICK_BINS)


@lru_cache(maxsize=64)
def codes_of(air: int) -> NDArray[np.uint8]:
    """(65536,) counts -> byte, for one air value."""
    counts = np.minimum(np.arange(65_536, dtype=np.float64), air)
    return np.rint(255.0 * (1.0 - np.sqrt(counts / air))).astype(np.uint8)


@lru_cache(maxsize=64)
def halves_of_cells(air_low: int, air_high: int) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """(65536,) counts -> each channel's half of a cell's number."""
    return codes_of(air_low).astype(np.uint16) * np.uint16(256), codes_of(air_high).astype(np.uint16)


def _of_codes() -> NDArray[np.float64]:
    """(256,) byte -> attenuation. The last one is whatever is darker than half a step."""
    through = (1.0 - np.arange(256) / 255.0) ** 2
    through[255] = (0.5 / 255.0) ** 2
    return -np.log(through)


ATTENUATION_OF_CODE: Final = _of_codes()


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """(65536,) each; cell = low byte's code x 256 + high byte's code."""

    material: NDArray[np.uint8]
    """Class of a dot after the 3 x 3 median."""
    material_half: NDArray[np.uint8]
    """Class of a dot of half the resolution, which is less noisy."""
    z: NDArray[np.float32]
    g_cm2: NDArray[np.float32]
    """Of air inside an outline: cardboard. For the impenetrable what the ladder makes of it: a guess."""
    high: NDArray[np.float32]
    high_z: NDArray[np.float32]
    """Attenuation x atomic number: what is averaged, thin dots knowing little of theirs."""
    bins: NDArray[np.intp]
    """(65536, 2): the two of `MATERIAL_BINS` a cell is shared between."""
    bin_share: NDArray[np.float64]
    """Of the second."""


@dataclass(frozen=True, slots=True, eq=False)
class _Cells:
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    z: NDArray[np.float64]
    edges: tuple[NDArray[np.float64], NDArray[np.float64]]
    """Low attenuation at which organic, then light inorganic matter ends."""


@lru_cache(maxsize=16)
def _cells(calibration: Calibration) -> _Cells:
    low, high = (
        part.ravel() for part in np.meshgrid(ATTENUATION_OF_CODE, ATTENUATION_OF_CODE, indexing="ij")
    )
    bounds = (calibration.limits.organic_z, calibration.limits.metal_z)
    edges = tuple(np.tile(calibration.low_of_z(z, ATTENUATION_OF_CODE), 256) for z in bounds)
    return _Cells(low, high, calibration.z_at(low, high), (edges[0], edges[1]))


def _noise(calibration: Calibration, cells: _Cells, averages: float) -> tuple[NDArray[np.float64], ...]:
    """Standard deviations of the two attenuations, of one byte's step included."""
    deviations = []
    for attenuation, photons in (
        (cells.low, calibration.photons_low),
        (cells.high, calibration.photons_high),
    ):
        through = np.exp(-attenuation)
        counting = 1.0 / np.sqrt(np.maximum(photons * averages * through, 0.5))
        step = 2.0 / 255.0 / np.sqrt(np.maximum(through, (0.5 / 255.0) ** 2)) / np.sqrt(12.0)
        deviations.append(np.hypot(counting, step))
    return tuple(deviations)


def _chances(calibration: Calibration, cells: _Cells, averages: float) -> tuple[NDArray[np.float64], ...]:
    """(organic, light, metal) probabilities of each cell, from its distance to the borders in noises."""
    low_noise, high_noise = _noise(calibration, cells, averages)
    ratio = np.clip(cells.low / np.maximum(cells.high, 1e-3), 1.0, 4.0)
    noise = np.hypot(low_noise, ratio * high_noise)
    # The logistic curve stands for the normal one within 1 %.
    below = [
        1.0 / (1.0 + np.exp(-np.clip(1.702 * (edge - cells.low) / noise, -60, 60))) for edge in cells.edges
    ]
    return below[0], np.maximum(below[1] - below[0], 0.0), 1.0 - below[1]


def _classed(calibration: Calibration, cells: _Cells, averages: float) -> NDArray[np.uint8]:
    limits = calibration.limits
    low_noise, high_noise = _noise(calibration, cells, averages)
    chances = np.stack(_chances(calibration, cells, averages))
    material = (ORGANIC + np.argmax(chances, axis=0)).astype(np.uint8)
    material[chances.max(axis=0) < limits.sure] = UNSURE
    # Physically impossible, by more than noise: a dead diode, a parcel that jerked between the two rows.
    least = calibration.low_at("polyethylene", cells.high)
    apart = np.hypot(low_noise, high_noise)
    material[(cells.low < 0.5 * (least + cells.high) - 4.0 * apart) & (cells.high < 3.0)] = UNSURE
    could_be_metal = chances[2] > _SLIGHTEST
    too_dark = np.where(
        could_be_metal,
        calibration.high_of("iron", limits.thickest_metal_mm),
        np.where(
            cells.z < limits.organic_z,
            calibration.high_of("water", limits.thickest_organic_mm),
            calibration.high_of("aluminium", limits.thickest_light_mm),
        ),
    )
    # Too thick for anything but metal, and metal it may be: steel, not a riddle.
    thick = cells.high > calibration.high_of("aluminium", limits.thickest_light_mm)
    material[thick & could_be_metal & (cells.z >= limits.organic_z)] = METAL
    starved = np.exp(-cells.high) * calibration.photons_high * averages < 9.0
    material[(cells.high > too_dark) | starved] = IMPENETRABLE
    # Dark and of no telling ratio: between the limits of two materials.
    darkest = calibration.high_of("aluminium", limits.thickest_light_mm)
    material[(material == UNSURE) & (cells.high > darkest)] = IMPENETRABLE
    together = 0.5 * (cells.low + cells.high)
    seen = np.maximum(limits.least_attenuation, 3.0 * 0.5 * apart)
    material[together < seen] = AIR
    return np.asarray(material, dtype=np.uint8)


@lru_cache(maxsize=16)
def tables_of(calibration: Calibration) -> Tables:
    cells = _cells(calibration)
    material = _classed(calibration, cells, DOT_AVERAGES)
    half = _classed(calibration, cells, HALF_AVERAGES)
    z = cells.z
    place = np.clip(np.interp(z, Z_BINS, np.arange(len(Z_BINS))), 0, len(Z_BINS) - 1 - 1e-6)
    lower = np.floor(place).astype(np.intp)
    thick = np.searchsorted(THICK_BINS, cells.high, side="right") - 1
    grams = _grams(calibration, cells.high, z)
    # Cardboard is fainter than one dot's noise, and still weighs: within an outline air is taken for paper.
    faint = half == AIR
    grams[faint] = calibration.g_cm2_at("paper", 0.5 * (cells.low + cells.high)[faint])
    return Tables(
        material,
        half,
        z.astype(np.float32),
        grams.astype(np.float32),
        cells.high.astype(np.float32),
        (cells.high * z).astype(np.float32),
        np.stack([lower * len(THICK_BINS) + thick, (lower + 1) * len(THICK_BINS) + thick], axis=1),
        place - lower,
    )


def _grams(
    calibration: Calibration, high: NDArray[np.float64], z: NDArray[np.float64]
) -> NDArray[np.float64]:
    """g/cm2 by interpolation over the atomic number between organic matter, aluminium and steel.

    Paper and water are of nearly one number, and paper absorbs 6 % less a gram: between them, 3 % is open."""
    paper, water, *others = (
        calibration.g_cm2_at(matter, high) for matter in ("paper", "water", "aluminium", "iron")
    )
    by_matter = np.stack([0.5 * (paper + water), *others])
    numbers = (7.4, 13.0, 26.0)
    first = np.clip((z - numbers[0]) / (numbers[1] - numbers[0]), 0.0, 1.0)
    then = np.clip((z - numbers[1]) / (numbers[2] - numbers[1]), 0.0, 1.0)
    lower = by_matter[0] + first * (by_matter[1] - by_matter[0])
    return np.asarray(lower + then * (by_matter[2] - lower))


@lru_cache(maxsize=64)
def packed(calibration: Calibration, palette: Palette, mode: Mode) -> NDArray[np.int32]:
    """(65536,) blue, green, red and class of a cell, a byte each: one look-up draws and tells."""
    cells = _cells(calibration)
    tables = tables_of(calibration)
    hues = {
        ORGANIC: palette.organic,
        LIGHT: palette.light_inorganic,
        METAL: palette.metal,
        IMPENETRABLE: palette.impenetrable,
        UNSURE: palette.unsure,
    }
    # Half the picture's noise again, so that hues blend over a border and do not sparkle along it.
    chances = np.stack(_chances(calibration, cells, DOT_AVERAGES / 2.0), axis=1)
    full = chances @ np.array([hues[ORGANIC], hues[LIGHT], hues[METAL]], dtype=np.float64)
    told = np.clip((chances.max(axis=1) - 0.34) / (0.8 - 0.34), 0.0, 1.0)[:, None]
    full = told * full + (1.0 - told) * np.array(palette.unsure, dtype=np.float64)
    dark = (tables.material == IMPENETRABLE)[:, None]
    keep = _kept(chances, mode) * (1.0 - dark * (mode is Mode.ORGANIC_ONLY))
    grey = np.array([190.0, 190.0, 190.0])
    full = keep * full + (1.0 - keep) * grey
    attenuation = 0.5 * (cells.low + cells.high)
    if mode in (Mode.ORGANIC_ONLY, Mode.METAL_ONLY):
        attenuation = np.where(keep[:, 0] > 0.5, attenuation, 0.25 * np.minimum(attenuation, 1.5))
    bgr = coloured(full, attenuation, mode)
    if mode not in (Mode.GREY, Mode.NEGATIVE, Mode.ORGANIC_ONLY):
        bgr = np.where(dark, np.array(palette.impenetrable[::-1], dtype=np.uint8), bgr)
    blank = np.uint8(0 if mode is Mode.NEGATIVE else 255)
    bgr = np.where((tables.material == AIR)[:, None] & (attenuation < 0.05)[:, None], blank, bgr)
    four = np.concatenate([bgr, tables.material[:, None]], axis=1)
    return np.ascontiguousarray(four).view(np.int32).ravel()


def _kept(chances: NDArray[np.float64], mode: Mode) -> NDArray[np.float64]:
    """(cells, 1) how much of a cell's hue a mode keeps."""
    if mode is Mode.ORGANIC_ONLY:
        return chances[:, :1]
    if mode is Mode.METAL_ONLY:
        return 1.0 - chances[:, :1]
    return np.ones((chances.shape[0], 1))
