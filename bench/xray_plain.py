"""The X-ray analysis as one writes it first: float64 arrays, whole masks, full resolution. The reference of
`kakou bench xray`; the product never runs it.

It answers the same questions from the same calibration: colours, a class for every dot, each class's patches
with their areas and masses, the object's extent, histogram, mass, layout, score. Median, patches and the turn
upright come from OpenCV as they do in the product: nobody writes these in numpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.xray_bridge.imaging.calibration import Calibration
from edge.xray_bridge.imaging.palettes import CHINESE, Mode, coloured
from edge.xray_bridge.imaging.pictures import RawPicture

Floats = NDArray[np.float64]

AIR, ORGANIC, LIGHT, METAL, IMPENETRABLE = range(5)
HISTOGRAM: Final = (10, 6)
GRID: Final = (4, 6)


@dataclass(frozen=True, slots=True, eq=False)
class PlainAnalysis:
    bgr: NDArray[np.uint8]
    classes: NDArray[np.uint8]
    patches: int
    mass_g: float
    length_mm: float
    histogram: Floats
    grid: Floats
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class PlainReferences:
    """What earlier pictures of the same goods gave."""

    histograms: Floats
    grids: Floats
    masses_g: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """Attenuation borders by high-energy attenuation, and grams by material, for numpy.interp."""

    high: Floats
    organic_ends: Floats
    light_ends: Floats
    grams: tuple[Floats, Floats, Floats]
    darkest: tuple[float, float, float]
    colours: NDArray[np.uint8]
    """(5 classes, 256 steps of attenuation, 3)."""


def curves_of(calibration: Calibration) -> Curves:
    high = np.linspace(0.0, 12.0, 600)
    limits = calibration.limits
    return Curves(
        high,
        calibration.low_of_z(limits.organic_z, high),
        calibration.low_of_z(limits.metal_z, high),
        (
            calibration.g_cm2_at("water", high),
            calibration.g_cm2_at("aluminium", high),
            calibration.g_cm2_at("iron", high),
        ),
        (
            calibration.high_of("water", limits.thickest_organic_mm),
            calibration.high_of("aluminium", limits.thickest_light_mm),
            calibration.high_of("iron", limits.thickest_metal_mm),
        ),
        _colours(),
    )


def _colours() -> NDArray[np.uint8]:
    hues = [(255, 255, 255), CHINESE.organic, CHINESE.light_inorganic, CHINESE.metal, CHINESE.impenetrable]
    full = np.repeat(np.array(hues, dtype=np.float64)[:, None], 256, axis=1)
    drawn = coloured(full, np.tile(np.linspace(0.0, 8.0, 256), (5, 1)), Mode.COLOUR).copy()
    drawn[AIR], drawn[IMPENETRABLE] = 255, CHINESE.impenetrable[::-1]
    return drawn


def analyse_plainly(
    picture: RawPicture, calibration: Calibration, curves: Curves, references: PlainReferences | None
) -> PlainAnalysis:
    low_counts, high_counts = cv2.medianBlur(picture.low, 3), cv2.medianBlur(picture.high, 3)
    low = -np.log(np.clip(low_counts / picture.air_low, 1e-5, 1.0))
    high = -np.log(np.clip(high_counts / picture.air_high, 1e-5, 1.0))
    attenuation = (low + high) / 2.0
    organic_ends = np.interp(high, curves.high, curves.organic_ends)
    light_ends = np.interp(high, curves.high, curves.light_ends)
    classes = np.select(
        [attenuation < 0.02, low < organic_ends, low < light_ends], [AIR, ORGANIC, LIGHT], default=METAL
    ).astype(np.uint8)
    for material, darkest in zip((ORGANIC, LIGHT, METAL), curves.darkest, strict=True):
        classes[(classes == material) & (high > darkest)] = IMPENETRABLE
    step = np.minimum((attenuation * (255 / 8.0)).astype(np.intp), 255)
    bgr = curves.colours[classes, step]
    grams = np.zeros_like(high)
    for material, curve in zip((ORGANIC, LIGHT, METAL), curves.grams, strict=True):
        here = classes == material
        grams[here] = np.interp(high[here], curves.high, curve)
    grams *= picture.dot_cm2
    patches = 0
    for material in (ORGANIC, LIGHT, METAL, IMPENETRABLE):
        count, labels, stats, _ = cv2.connectedComponentsWithStats((classes == material).astype(np.uint8))
        masses = np.bincount(labels.ravel(), weights=grams.ravel(), minlength=count)
        patches += int(((stats[1:, 4] > 20) & (masses[1:] > 0.5)).sum())
    body = cv2.morphologyEx((classes != AIR).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(body)
    largest = 1 + int(np.argmax(stats[1:, 4])) if count > 1 else 0
    outlines, _ = cv2.findContours(
        (labels == largest).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    )
    points = max(outlines, key=len)
    upright_high, upright_low = _upright(points, high), _upright(points, low)
    grid_z = np.clip((upright_low - upright_high) / np.maximum(upright_high, 0.02), 0.0, 4.0)
    rows, columns = GRID
    kinds = [grid_z < 0.4, (grid_z >= 0.4) & (grid_z < 0.9), grid_z >= 0.9]
    grid = np.stack(
        [
            (upright_high * kind)
            .reshape(rows, upright_high.shape[0] // rows, columns, upright_high.shape[1] // columns)
            .mean(axis=(1, 3))
            for kind in kinds
        ]
    )
    seen = classes != AIR
    ratio = low[seen] / np.maximum(high[seen], 0.02)
    by_ratio = np.clip((ratio - 1.0) * (HISTOGRAM[0] / 3.0), 0, HISTOGRAM[0] - 1).astype(np.intp)
    by_amount = np.clip(high[seen], 0, HISTOGRAM[1] - 1).astype(np.intp)
    bins = HISTOGRAM[0] * HISTOGRAM[1]
    histogram = np.bincount(by_ratio * HISTOGRAM[1] + by_amount, minlength=bins) / max(1, by_ratio.size)
    mass_g = float(grams.sum())
    length_mm = float(np.ptp(points[:, 0, 0])) * picture.mm_per_column
    score = 0.0 if references is None else _score(histogram, grid, mass_g, references)
    return PlainAnalysis(bgr, classes, patches, mass_g, length_mm, histogram, grid, score)


def _upright(points: Any, values: Floats) -> Floats:
    """(96, 144) of the smallest box around the points."""
    (x, y), (width, height), turned = cv2.minAreaRect(points)
    if height > width:
        width, height, turned = height, width, turned + 90.0
    matrix: Any = cv2.getRotationMatrix2D((x, y), turned, 144.0 / max(width, 1.0))
    matrix[:, 2] += (72.0 - x, 48.0 - y)
    return np.asarray(cv2.warpAffine(values, matrix, (144, 96), flags=cv2.INTER_AREA), dtype=np.float64)


def _score(histogram: Floats, grid: Floats, mass_g: float, references: PlainReferences) -> float:
    poses = [grid, grid[:, ::-1], grid[:, :, ::-1], grid[:, ::-1, ::-1]]

    def distances(
        one: Floats, shapes: list[Floats], others: slice | NDArray[np.bool_]
    ) -> tuple[float, float]:
        histograms, grids = references.histograms[others], references.grids[others]
        chi2 = 0.5 * ((one - histograms) ** 2 / np.maximum(one + histograms, 1e-9)).sum(axis=1)
        apart = np.min([np.abs(pose - grids).mean(axis=(1, 2, 3)) for pose in shapes], axis=0)
        return float(chi2.mean()), float(apart.mean())

    numbers = np.arange(len(references.masses_g))
    spread = np.array(
        [distances(references.histograms[n], [references.grids[n]], numbers != n) for n in numbers]
    )
    found = np.array(distances(histogram, poses, slice(None)))
    z = (found - spread.mean(axis=0)) / np.maximum(spread.std(axis=0), 1e-6)
    mass_z = abs(mass_g - references.masses_g.mean()) / max(float(references.masses_g.std()), 1.0)
    return float(z.sum() + mass_z)
