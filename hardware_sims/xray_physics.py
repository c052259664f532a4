"""What X-rays do to goods: attenuation, two detector layers, photons counted one by one. No belt, no file.

A line detector of two layers under a 160 kV tungsten tube with 2 mm of aluminium: the front layer (0.4 mm
CsI) takes the softer photons, behind 0.6 mm of copper the back layer (2 mm CsI) takes the harder ones. What a
layer sees is T = sum over energies of weight * exp(-sum over materials of mu * density * thickness).

Lengths in pictures are pixels of `Detector.pixel_mm`, thicknesses centimetres, counts 16 bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]
Counts = NDArray[np.uint16]

ENERGIES_KEV = (22, 28, 34, 40, 46, 52, 58, 64, 70, 78, 86, 95, 105, 120, 135, 150)
LOW_WEIGHTS = (
    0.0222, 0.0484, 0.0714, 0.0883, 0.1045, 0.1230, 0.1347, 0.1245,
    0.0888, 0.0465, 0.0313, 0.0487, 0.0321, 0.0182, 0.0154, 0.0021,
)  # fmt: skip
HIGH_WEIGHTS = (
    0.0, 0.0, 0.0, 0.0009, 0.0050, 0.0152, 0.0387, 0.0736,
    0.0985, 0.0900, 0.0778, 0.1625, 0.1750, 0.1376, 0.0951, 0.0302,
)  # fmt: skip
"""Share of a layer's signal by photon energy, fitted to a ladder of transmissions of ten materials that was
computed with 150 energies: the ladder is met within 0.4 %. Mean energies 59.9 and 96.3 keV."""

_TABLE = """\
polyethylene 0.94  0.3752 0.2867 0.2481 0.2275 0.2147 0.2057 0.1989 0.1934
                   0.1888 0.1835 0.1789 0.1743 0.1697 0.1636 0.1582 0.1534
water        1     0.6557 0.4175 0.3181 0.2683 0.2398 0.2217 0.2092 0.2
                   0.1929 0.1853 0.1792 0.1735 0.1681 0.1614 0.1556 0.1505
paper        0.8   0.5317 0.354  0.2792 0.2413 0.2193 0.2051 0.195  0.1875
                   0.1815 0.175  0.1697 0.1646 0.1598 0.1536 0.1482 0.1435
pvc          1.38  3.495  1.794  1.08   0.7299 0.5381 0.4237 0.3508 0.302
                   0.2677 0.236  0.214  0.1964 0.1822 0.1672 0.1566 0.1486
ptfe         2.2   0.7663 0.4568 0.3284 0.2647 0.229  0.2068 0.1919 0.1812
                   0.1732 0.165  0.1586 0.1528 0.1475 0.141  0.1356 0.131
sugar        1.59  0.5382 0.3573 0.2813 0.2427 0.2204 0.2059 0.1958 0.1881
                   0.1821 0.1755 0.1702 0.1651 0.1602 0.154  0.1486 0.1438
salt         2.16  4.186  2.121  1.256  0.8334 0.6023 0.4649 0.3777 0.3195
                   0.2789 0.2415 0.2159 0.1955 0.1793 0.1625 0.1509 0.1423
glass        2.2   1.955  1.035  0.6523 0.4653 0.3627 0.3011 0.2615 0.2346
                   0.2154 0.1972 0.1841 0.1733 0.1642 0.154  0.1463 0.1402
aluminium    2.7   2.623  1.351  0.825  0.5684 0.4281 0.3446 0.2913 0.2554
                   0.2301 0.2065 0.1899 0.1764 0.1653 0.1533 0.1446 0.1378
titanium     4.506 12.07  6.054  3.485  2.213  1.513  1.096  0.8321 0.6571
                   0.5361 0.4264 0.3527 0.2958 0.2524 0.2102 0.1832 0.1649
iron         7.874 19.65  9.943  5.737  3.629  2.46   1.76   1.316  1.021
                   0.8164 0.6309 0.5067 0.4113 0.339  0.2693 0.2256 0.1964
copper       8.96  25.99  13.25  7.675  4.861  3.291  2.346  1.744  1.342
                   1.064  0.8115 0.6423 0.5123 0.414  0.3195 0.2606 0.2217
tin          7.31  16.58  8.675  30.44  19.43  13.34  9.641  7.194  5.519
                   4.335  3.242  2.497  1.919  1.477  1.049  0.7834 0.6092
gold         19.3  61.48  32.89  19.83  12.98  9.011  6.554  4.941  3.837
                   3.054  2.327  7.573  5.876  4.558  3.252  2.419  1.86
lead         11.35 67.47  36.2   21.88  14.36  9.979  7.263  5.477  4.253
                   3.384  2.577  2.021  6.321  4.905  3.508  2.616  2.015
cell         2.8   13.17  6.71   3.902  2.492  1.709  1.239  0.9391 0.7394
                   0.6009 0.475  0.3903 0.3249 0.2751 0.2264 0.1955 0.1745
pmma         1.18  0.4766 0.3294 0.267  0.235  0.2162 0.2038 0.1948 0.188
                   0.1825 0.1765 0.1714 0.1665 0.1618 0.1557 0.1503 0.1456
ethanol      0.789 0.4849 0.3379 0.2755 0.2434 0.2245 0.212  0.203  0.196
                   0.1904 0.1842 0.179  0.174  0.1691 0.1627 0.1572 0.1523
"""
"""name, density g/cm3, mass attenuation in cm2/g at `ENERGIES_KEV` (Elam, Ravel and Sieber 2002, through
xraydb 4.5.8; NIST's values at the energies both have). `cell` is LiCoO2, the heavy part of a lithium cell."""


@dataclass(frozen=True, slots=True)
class Material:
    density: float
    """g/cm3"""
    mu: tuple[float, ...]
    """cm2/g at `ENERGIES_KEV`"""


def _materials() -> dict[str, Material]:
    found = {}
    words = _TABLE.split()
    size = 2 + len(ENERGIES_KEV)
    for name, density, *mu in (words[at : at + size] for at in range(0, len(words), size)):
        found[name] = Material(float(density), tuple(map(float, mu)))
    return found


MATERIALS = _materials()

_WEIGHTS = np.array((LOW_WEIGHTS, HIGH_WEIGHTS), np.float32)
_WEIGHTS /= _WEIGHTS.sum(axis=1, keepdims=True)


def transmission(thickness_cm: Mapping[str, Picture]) -> tuple[Picture, Picture]:
    """What is left of the beam in the low and the high layer, 0 to 1.

    `thickness_cm`: by material, all of one shape. Raises `KeyError` for a material the table does not have.
    """
    names = list(thickness_cm)
    shape = thickness_cm[names[0]].shape
    per_cm = np.array([[MATERIALS[n].density * mu for mu in MATERIALS[n].mu] for n in names], np.float32).T
    stack = np.stack([thickness_cm[name].ravel() for name in names])
    left = np.exp(-(per_cm @ stack))
    low, high = (_WEIGHTS @ left).astype(np.float32)
    return low.reshape(shape), high.reshape(shape)


@dataclass(frozen=True, slots=True)
class DetectorSettings:
    """A line detector across the belt."""

    pixels: int = 300
    pixel_mm: float = 2.0
    """Of a diode, projected onto the belt."""
    line_mm: float = 1.5
    """Travel of the belt from line to line."""
    photons: float = 4_000.0
    """Per pixel and line with nothing in the beam, as real scans' noise near air shows."""
    dark: float = 1_600.0
    """Counts without beam, of the mean diode."""
    air: float = 50_000.0
    """Counts with nothing in the beam, of the mean diode."""
    dark_spread: float = 120.0
    gain_spread: float = 0.06
    """Diode to diode, a share of the mean."""
    blur_px: float = 0.5


class Detector:
    """Two layers of diodes, each with its own offset and gain. What it says depends on seed and order."""

    def __init__(self, settings: DetectorSettings, seed: int) -> None:
        self.settings = settings
        draw = np.random.default_rng((seed, 0x5EED))
        shape = (2, settings.pixels)
        self.dark = (settings.dark + settings.dark_spread * draw.standard_normal(shape)).astype(np.float32)
        spread = 1.0 + settings.gain_spread * draw.standard_normal(shape).clip(-2.5, 2.5)
        spread *= 0.94 + 0.06 * np.cos(np.linspace(-1.2, 1.2, settings.pixels))
        self.gain = ((settings.air - settings.dark) * spread).astype(np.float32)

    def counts(self, low: Picture, high: Picture, noise: np.random.Generator) -> tuple[Counts, Counts]:
        """Raw lines (lines x pixels), photon noise in them, for transmissions of the same shape."""
        return self._layer(0, low, noise), self._layer(1, high, noise)

    def air_lines(self, lines: int, noise: np.random.Generator) -> tuple[Counts, Counts]:
        clear = np.ones((lines, self.settings.pixels), np.float32)
        return self.counts(clear, clear, noise)

    def dark_lines(self, lines: int, noise: np.random.Generator) -> tuple[Counts, Counts]:
        nothing = np.zeros((lines, self.settings.pixels), np.float32)
        return self.counts(nothing, nothing, noise)

    def _layer(self, layer: int, seen: Picture, noise: np.random.Generator) -> Counts:
        photons = self.settings.photons
        expected = seen * np.float32(photons)
        drawn = noise.standard_normal(seen.shape, np.float32)
        drawn *= np.sqrt(expected)
        drawn += expected
        # Below a few dozen photons a bell curve would go negative.
        few = expected < 40.0
        if few.any():
            drawn[few] = noise.poisson(expected[few])
        drawn *= self.gain[layer] / np.float32(photons)
        drawn += self.dark[layer]
        drawn += noise.standard_normal(seen.shape, np.float32) * np.float32(4.0)
        counts: Counts = np.rint(drawn).clip(0, 65_535).astype(np.uint16)
        return counts


def flattened(counts: Counts, dark: Picture, gain: Picture, air: float) -> Counts:
    """Offset and gain taken out diode by diode, as a machine that corrects its own pictures does."""
    flat = (counts.astype(np.float32) - dark) / gain * np.float32(air)
    corrected: Counts = np.rint(flat).clip(0, 65_535).astype(np.uint16)
    return corrected


def blurred(seen: Picture, sigma_px: float) -> Picture:
    """The focal spot is no point."""
    if sigma_px <= 0.0:
        return seen
    smooth: Any = cv2.GaussianBlur(seen, (0, 0), sigma_px)
    return np.asarray(smooth, np.float32)
