"""What known materials do to the two energies: the prior on which a calibration stands. Numbers and formulas.

Mass attenuation: Elam tables through xraydb 4.5.8, as xraylib 4.3.0 has them within 0.1 %; 30 keV led on
from 40 and 50 keV in logarithms. Weights of the ten energies: fitted by non-negative least squares to the
ladder of a 160 kV tungsten tube behind 2 mm of aluminium, before 0.4 mm CsI, 0.6 mm copper and 2 mm CsI;
they give that ladder within 1.5 % of the ratio from an attenuation of 0.2 on, and its mean energies, 60 and
96 keV. A real machine differs by its filters and its scatter: `Beam` says by how much, and a wedge finds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ENERGIES_KEV: Final = (30, 40, 50, 60, 70, 80, 90, 100, 120, 140)
LOW_WEIGHTS: Final = (0.1795, 0.0596, 0.1957, 0.2930, 0.0537, 0.1041, 0.0063, 0.0704, 0.0234, 0.0143)
HIGH_WEIGHTS: Final = (0.0003, 0.0, 0.0036, 0.1580, 0.0, 0.2342, 0.0604, 0.2489, 0.1834, 0.1112)


@dataclass(frozen=True, slots=True)
class Matter:
    density_g_cm3: float
    z: float
    """Effective atomic number, by the 2.94th power of the electrons' share."""
    cm2_g: tuple[float, ...]
    """At `ENERGIES_KEV`."""


MATTER: Final[dict[str, Matter]] = {
    "polyethylene": Matter(
        0.94, 5.4, (0.2547, 0.2275, 0.2084, 0.197, 0.1888, 0.1823, 0.1768, 0.1719, 0.1636, 0.1566)
    ),
    "pmma": Matter(
        1.18, 6.5, (0.2761, 0.235, 0.2074, 0.1924, 0.1825, 0.1751, 0.1692, 0.1641, 0.1557, 0.1487)
    ),
    "paper": Matter(
        0.8, 6.9, (0.2901, 0.2413, 0.2092, 0.1923, 0.1815, 0.1736, 0.1673, 0.1621, 0.1536, 0.1466)
    ),
    "water": Matter(
        1.0, 7.4, (0.333, 0.2683, 0.2269, 0.2059, 0.1929, 0.1837, 0.1766, 0.1707, 0.1614, 0.1538)
    ),
    "ptfe": Matter(2.2, 8.4, (0.3499, 0.2647, 0.2132, 0.188, 0.1732, 0.1632, 0.1559, 0.15, 0.141, 0.134)),
    "glass": Matter(
        2.2, 11.6, (0.7585, 0.4653, 0.3185, 0.2515, 0.2154, 0.1935, 0.1789, 0.1684, 0.154, 0.1441)
    ),
    "aluminium": Matter(
        2.7, 13.0, (0.9949, 0.5684, 0.3682, 0.2778, 0.2301, 0.2018, 0.1833, 0.1704, 0.1533, 0.1422)
    ),
    "pvc": Matter(
        1.38, 13.9, (1.339, 0.7299, 0.4559, 0.3324, 0.2677, 0.2298, 0.2054, 0.1887, 0.1672, 0.1537)
    ),
    "salt": Matter(
        2.16, 15.2, (1.5955, 0.8334, 0.5036, 0.3558, 0.2789, 0.2342, 0.2059, 0.1867, 0.1625, 0.1478)
    ),
    "iron": Matter(
        7.874, 26.0, (8.0429, 3.6289, 1.9574, 1.2049, 0.8164, 0.5952, 0.4597, 0.3717, 0.2693, 0.2146)
    ),
    "copper": Matter(
        8.96, 29.0, (10.8224, 4.8612, 2.613, 1.5926, 1.0642, 0.763, 0.5783, 0.4585, 0.3195, 0.246)
    ),
    "tin": Matter(
        7.31, 50.0, (41.9054, 19.4268, 10.7012, 6.5663, 4.3354, 3.0294, 2.2133, 1.6769, 1.0491, 0.7175)
    ),
    "gold": Matter(
        19.3, 79.0, (27.466, 12.9807, 7.2581, 4.529, 3.0542, 2.1852, 6.7435, 5.158, 3.2521, 2.2085)
    ),
    "lead": Matter(
        11.35, 82.0, (30.3145, 14.3583, 8.042, 5.0197, 3.3844, 2.4195, 7.2552, 5.5488, 3.5078, 2.3901)
    ),
}

LADDER: Final = ("polyethylene", "water", "glass", "aluminium", "iron")
"""Between these the material of a dot is told by interpolation; gold and lead lie off it (their K edges)."""


@dataclass(frozen=True, slots=True)
class Beam:
    """How a machine differs from the beam of the weights. Zeros: not at all."""

    aluminium_mm: float = 0.0
    """More filter before both detectors; less where negative."""
    copper_mm: float = 0.0
    """More between the two detectors."""
    scatter: float = 0.0
    """Share of the air value that arrives whatever lies before it. Why very thick steel looks organic."""

    def weights(self) -> tuple[Floats, Floats]:
        """Of the ten energies, for low and high; each sums to 1."""
        low, high = np.array(LOW_WEIGHTS), np.array(HIGH_WEIGHTS)
        front = np.exp(-_per_mm("aluminium") * self.aluminium_mm)
        between = np.exp(-_per_mm("copper") * self.copper_mm)
        low, high = low * front, high * front * between
        return low / low.sum(), high / high.sum()


def _per_mm(matter: str) -> Floats:
    known = MATTER[matter]
    return np.array(known.cm2_g) * known.density_g_cm3 / 10.0


def attenuations(
    beam: Beam, matter: str, thickness_mm: Floats, under: tuple[str, float] | None = None
) -> tuple[Floats, Floats]:
    """-ln of what comes through, at low and at high, of so many mm of one matter, `under` it a plate.

    Raises KeyError for a matter that is not in `MATTER`."""
    low, high = beam.weights()
    left = np.exp(-np.outer(np.asarray(thickness_mm, dtype=np.float64), _per_mm(matter)))
    if under is not None:
        left *= np.exp(-_per_mm(under[0]) * under[1])
    through = [(left @ weights + beam.scatter) / (1.0 + beam.scatter) for weights in (low, high)]
    return -np.log(through[0]), -np.log(through[1])


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """One matter at rising thickness."""

    high: Floats
    """Attenuation at high energy, rising."""
    low: Floats
    g_cm2: Floats
    """Areal density that goes with it."""


@lru_cache(maxsize=512)
def curve(beam: Beam, matter: str) -> Curve:
    known = MATTER[matter]
    thickness_mm = np.concatenate([[0.0], np.geomspace(1e-3, 120.0 / known.density_g_cm3 * 10.0, 400)])
    low, high = attenuations(beam, matter, thickness_mm)
    return Curve(high, low, thickness_mm / 10.0 * known.density_g_cm3)
