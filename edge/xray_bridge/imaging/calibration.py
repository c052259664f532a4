"""What one machine's two energies mean: the beam fitted to a step wedge, its noise, and where materials part.

Everything is a small frozen value with an id made of its own content: a picture judged with a calibration can
be judged again the same way years later.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Final

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from edge.xray_bridge.imaging.physics import LADDER, MATTER, Beam, attenuations, curve

Floats = NDArray[np.float64]

VERSION: Final = 1
TYPICAL_PHOTONS: Final = 4_000
"""Of a dot in air: what real scans show (1,700 to 4,700)."""

Trim = Annotated[float, Meta(ge=0.5, le=2.0)]
Photons = Annotated[float, Meta(ge=100.0, le=1e7)]


class CalibrationRefused(ValueError):
    """Why these readings make no calibration, or what was expected of its text."""


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where materials part. Effective atomic numbers as the trade has them: organic to 10, metal from 18."""

    organic_z: Annotated[float, Meta(ge=8.0, le=11.5)] = 10.0
    metal_z: Annotated[float, Meta(ge=14.0, le=24.0)] = 18.0
    thickest_organic_mm: Annotated[float, Meta(ge=20.0, le=600.0)] = 150.0
    """Of water. What looks organic and is darker is called impenetrable: lead and gold look so (K edges), and
    so does steel through which only scatter comes."""
    thickest_light_mm: Annotated[float, Meta(ge=10.0, le=300.0)] = 60.0
    """Of aluminium, likewise."""
    thickest_metal_mm: Annotated[float, Meta(ge=2.0, le=80.0)] = 25.0
    """Of steel: beyond, nothing is told from anything."""
    sure: Annotated[float, Meta(ge=0.5, le=0.99)] = 0.75
    """A dot's material is said only when it is at least so probable."""
    least_attenuation: Annotated[float, Meta(ge=0.002, le=0.2)] = 0.02
    """Less is air, however little noise there is: belts, dust, gain."""


class Fit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What it was made from."""

    steps: Annotated[int, Meta(ge=0, le=500)] = 0
    """0: nothing was measured, the prior alone."""
    rms: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.0
    """Of the relative difference between the steps' attenuations and the curves."""
    wedge: Annotated[str, Meta(max_length=64)] = ""
    made: Annotated[str, Meta(max_length=40)] = ""
    """UTC, as whoever calibrated says."""
    machine: Annotated[str, Meta(max_length=64)] = ""


class Calibration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """One machine. Nothing measured: the prior, and every answer says so."""

    version: Annotated[int, Meta(ge=VERSION, le=VERSION)] = VERSION
    aluminium_mm: Annotated[float, Meta(ge=-1.5, le=10.0)] = 1.0
    copper_mm: Annotated[float, Meta(ge=-0.5, le=2.0)] = 0.0
    scatter: Annotated[float, Meta(ge=0.0, le=0.02)] = 0.0005
    trim_organic: Trim = 1.0
    """Factor of (ratio - 1) that the curves still lacked, by family."""
    trim_light: Trim = 1.0
    trim_metal: Trim = 1.0
    photons_low: Photons = TYPICAL_PHOTONS
    photons_high: Photons = TYPICAL_PHOTONS
    limits: Limits = Limits()
    fit: Fit = Fit()

    @property
    def measured(self) -> bool:
        return self.fit.steps > 0

    @property
    def beam(self) -> Beam:
        return Beam(self.aluminium_mm, self.copper_mm, self.scatter)

    @cached_property
    def id(self) -> str:
        """16 hexadecimal digits over everything it says."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:16]

    def trim(self, z: float) -> float:
        return float(np.interp(z, (7.4, 13.0, 26.0), (self.trim_organic, self.trim_light, self.trim_metal)))

    def low_at(self, matter: str, high: Floats) -> Floats:
        """Low-energy attenuation of one matter where the high-energy one is `high`."""
        known = curve(self.beam, matter)
        untrimmed = np.interp(high, known.high, known.low)
        return np.asarray(high + self.trim(MATTER[matter].z) * (untrimmed - high))

    def high_of(self, matter: str, thickness_mm: float) -> float:
        return float(attenuations(self.beam, matter, np.array([thickness_mm]))[1][0])

    def g_cm2_at(self, matter: str, high: Floats) -> Floats:
        known = curve(self.beam, matter)
        return np.asarray(np.interp(high, known.high, known.g_cm2))

    def z_at(self, low: Floats, high: Floats) -> Floats:
        """Effective atomic number between the ladder's curves; 4 to 30. No noise is thought of."""
        rungs = np.stack([self.low_at(matter, high) for matter in LADDER])
        numbers = np.array([MATTER[matter].z for matter in LADDER])
        z = np.full(np.shape(high), np.nan)
        for lower in range(len(LADDER) - 1):
            # The outer intervals are led on beyond the ladder's ends.
            from_here = low >= rungs[lower] if lower else np.full(np.shape(high), True)
            span = np.maximum(rungs[lower + 1] - rungs[lower], 1e-9)
            between = numbers[lower] + (low - rungs[lower]) / span * (numbers[lower + 1] - numbers[lower])
            z = np.where(from_here, between, z)
        return np.asarray(np.clip(z, 4.0, 30.0))

    def low_of_z(self, z: float, high: Floats) -> Floats:
        """Low-energy attenuation of a matter between the ladder's, where the high-energy one is `high`."""
        numbers = [MATTER[matter].z for matter in LADDER]
        upper = int(np.clip(np.searchsorted(numbers, z), 1, len(numbers) - 1))
        share = (z - numbers[upper - 1]) / (numbers[upper] - numbers[upper - 1])
        below, above = self.low_at(LADDER[upper - 1], high), self.low_at(LADDER[upper], high)
        return np.asarray(below + share * (above - below))

    def text(self) -> str:
        """JSON that `read` takes back."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def read(cls, text: str | bytes) -> Calibration:
        """Raises CalibrationRefused, naming the field and what was expected of it."""
        if len(text) > 20_000:
            raise CalibrationRefused(f"expected 20000 characters at most, got {len(text)}")
        try:
            return msgspec.json.decode(text, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
            raise CalibrationRefused(f"calibration: {wrong}") from wrong


@dataclass(frozen=True, slots=True)
class StepReading:
    """One step of a wedge as a picture shows it."""

    matter: str
    thickness_mm: float
    low: float
    """Attenuation, -ln of what comes through; the median over the step."""
    high: float


FAMILIES: Final = (("organic", 0.0, 10.0), ("light inorganic", 10.0, 18.0), ("metal", 18.0, 60.0))
_PRIOR: Final = np.array([1.0, 0.0, np.log(5e-4)])
_PRIOR_SPREAD: Final = np.array([2.0, 0.3, 1.2])
_LEAST: Final = np.array([-1.5, -0.5, np.log(1e-6)])
_MOST: Final = np.array([10.0, 2.0, np.log(0.02)])
_SAYS_LITTLE: Final = (0.03, 5.5)
"""Attenuations outside are noise or scatter."""
WORST_RMS: Final = 0.08
"""Nominal thickness, alloy and place of a good wedge together stay under 3 %."""


def calibrate(
    readings: Sequence[StepReading],
    *,
    photons_low: float,
    photons_high: float,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    wedge: str = "",
    made: str = "",
    machine: str = "",
) -> Calibration:
    """The beam, and what it still lacks, from the steps of a wedge.

    Raises CalibrationRefused: fewer than two telling steps of a family, or curves that do not fit."""
    telling = [
        each
        for each in readings
        if each.matter in MATTER
        and _SAYS_LITTLE[0] < each.high < _SAYS_LITTLE[1]
        and each.low < _SAYS_LITTLE[1] + 1.5
    ]
    for family, above, to in FAMILIES:
        count = sum(above <= MATTER[each.matter].z < to for each in telling)
        if count < 2:
            raise CalibrationRefused(f"{family}: expected two telling steps at least, found {count}")
    found = _least_squares(telling)
    beam = Beam(float(found[0]), float(found[1]), float(np.exp(found[2])))
    trims = [_trim(telling, beam, above, to) for _, above, to in FAMILIES]
    rms = float(np.sqrt(np.mean(_differences(telling, beam) ** 2)))
    if rms > WORST_RMS:
        raise CalibrationRefused(f"steps and curves: expected {WORST_RMS:.0%} of difference, got {rms:.0%}")
    try:
        return msgspec.convert(
            msgspec.to_builtins(
                Calibration(
                    aluminium_mm=round(beam.aluminium_mm, 4),
                    copper_mm=round(beam.copper_mm, 4),
                    scatter=round(beam.scatter, 7),
                    trim_organic=round(trims[0], 4),
                    trim_light=round(trims[1], 4),
                    trim_metal=round(trims[2], 4),
                    photons_low=round(photons_low, 1),
                    photons_high=round(photons_high, 1),
                    limits=limits,
                    fit=Fit(steps=len(telling), rms=round(rms, 5), wedge=wedge, made=made, machine=machine),
                )
            ),
            Calibration,
        )
    except msgspec.ValidationError as wrong:
        raise CalibrationRefused(f"calibration: {wrong}") from wrong


def _differences(readings: Iterable[StepReading], beam: Beam) -> Floats:
    """Relative, low and high of each step in turn."""
    differences = []
    for each in readings:
        low, high = attenuations(beam, each.matter, np.array([each.thickness_mm]))
        differences += [(each.low - low[0]) / (low[0] + 0.3), (each.high - high[0]) / (high[0] + 0.3)]
    return np.array(differences)


def _least_squares(readings: Sequence[StepReading]) -> Floats:
    """(aluminium mm, copper mm, ln scatter), by Gauss-Newton with a prior and halved steps."""

    def wrong(at: Floats) -> Floats:
        beam = Beam(float(at[0]), float(at[1]), float(np.exp(at[2])))
        return np.concatenate([_differences(readings, beam) / 0.02, (at - _PRIOR) / _PRIOR_SPREAD])

    at, small = _PRIOR.copy(), np.array([1e-3, 1e-4, 1e-3])
    here = wrong(at)
    for _ in range(40):
        slopes = np.stack([(wrong(at + step) - here) / step.sum() for step in np.diag(small)], axis=1)
        move = np.linalg.lstsq(slopes, -here, rcond=None)[0]
        for halving in range(12):
            there = np.clip(at + move * 0.5**halving, _LEAST, _MOST)
            then = wrong(there)
            if then @ then < here @ here:
                break
        else:
            break
        done = float(np.abs(there - at).max()) < 1e-6
        at, here = there, then
        if done:
            break
    return np.asarray(at, dtype=np.float64)


def _trim(readings: Sequence[StepReading], beam: Beam, above: float, to: float) -> float:
    measured, modelled = [], []
    for each in readings:
        if above <= MATTER[each.matter].z < to and each.matter not in ("lead", "gold"):
            known = curve(beam, each.matter)
            measured.append(each.low - each.high)
            modelled.append(float(np.interp(each.high, known.high, known.low)) - each.high)
    have, want = np.array(measured), np.array(modelled)
    # Half a step of belief in the beam: a family of two thin steps does not turn it over.
    belief = 0.5 * float(np.mean(want**2))
    return float((have @ want + belief) / (want @ want + belief))
