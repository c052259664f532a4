"""Two energies and what they mean: the physics, the fit to a wedge, and where materials part."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from edge.xray_bridge.imaging.calibration import (
    Calibration,
    CalibrationRefused,
    Limits,
    StepReading,
    calibrate,
)
from edge.xray_bridge.imaging.physics import Beam, attenuations
from edge.xray_bridge.imaging.tables import (
    AIR,
    IMPENETRABLE,
    LIGHT,
    METAL,
    ORGANIC,
    UNSURE,
    codes_of,
    tables_of,
)

# Transmission ladder of a 160 kV tungsten tube, 2 mm Al, CsI 0.4 mm, Cu 0.6 mm, CsI 2 mm, 150 energies
# (xraydb 4.5.8): (matter, mm, low, high attenuation).
LADDER = [
    ("polyethylene", 20.0, 0.3911, 0.3297),
    ("water", 50.0, 1.1230, 0.8783),
    ("water", 200.0, 4.1847, 3.4763),
    ("glass", 20.0, 1.2680, 0.7955),
    ("aluminium", 10.0, 0.9139, 0.5063),
    ("aluminium", 50.0, 3.5007, 2.4237),
    ("iron", 1.0, 1.0773, 0.3875),
    ("iron", 10.0, 4.5610, 2.8183),
    ("copper", 2.0, 2.2136, 0.9821),
    ("lead", 0.5, 2.7616, 2.0117),
]

# Ratios in the real scan of a PC's steel case, by high attenuation (medians), and of bottles of water: no
# wedge goes with it, so the beam is chosen; that one beam gives all of it says the model is right in kind.
REAL_STEEL = [
    (0.55, 2.14),
    (0.90, 1.99),
    (1.35, 1.84),
    (1.90, 1.70),
    (2.60, 1.56),
    (3.50, 1.45),
    (4.50, 1.32),
]
REAL_WATER = (0.85, 1.21)
REAL_BEAM = Calibration(aluminium_mm=2.0, copper_mm=-0.4, scatter=0.0006)


@pytest.mark.parametrize(("matter", "mm", "low", "high"), LADDER)
def test_ten_energies_give_the_ladder_of_a_hundred_and_fifty(
    matter: str, mm: float, low: float, high: float
) -> None:
    found_low, found_high = attenuations(Beam(), matter, np.array([mm]))
    assert found_high[0] == pytest.approx(high, rel=0.01)
    assert found_low[0] == pytest.approx(low, rel=0.015)


def test_one_beam_gives_the_real_scans_steel_from_thin_to_thick_and_their_water() -> None:
    high = np.array([each for each, _ in REAL_STEEL])
    ratios = REAL_BEAM.low_at("iron", high) / high
    assert ratios == pytest.approx([ratio for _, ratio in REAL_STEEL], rel=0.045)
    at, ratio = REAL_WATER
    assert REAL_BEAM.low_at("water", np.array([at]))[0] / at == pytest.approx(ratio, abs=0.02)


def readings(beam: Beam, wrong: float = 0.0, seed: int = 0) -> list[StepReading]:
    draw = np.random.default_rng(seed)
    steps: list[tuple[str, float]] = [("pmma", mm) for mm in (10, 20, 40, 60, 80)]
    steps += [("aluminium", mm) for mm in (2, 5, 10, 20, 40)] + [("iron", mm) for mm in (0.5, 1, 3, 6, 12)]
    found = []
    for matter, mm in steps:
        low, high = attenuations(beam, matter, np.array([float(mm)]))
        off = 1 + wrong * draw.standard_normal(2)
        found.append(StepReading(matter, float(mm), float(low[0] * off[0]), float(high[0] * off[1])))
    return found


@pytest.mark.parametrize("beam", [Beam(), Beam(3.0, 0.2, 0.002), Beam(1.0, -0.3, 0.0001)])
def test_a_wedge_gives_back_the_beam_that_took_it(beam: Beam) -> None:
    found = calibrate(readings(beam, 0.005), photons_low=4000, photons_high=4000)
    high = np.array([0.3, 1.0, 2.0])
    truth = Calibration(aluminium_mm=beam.aluminium_mm, copper_mm=beam.copper_mm, scatter=beam.scatter)
    for matter in ("water", "glass", "aluminium", "iron"):
        assert found.low_at(matter, high) / truth.low_at(matter, high) == pytest.approx(1.0, abs=0.02)
    assert found.fit.steps == 15
    assert found.measured


def test_readings_that_fit_no_beam_make_no_calibration() -> None:
    with pytest.raises(CalibrationRefused, match="of difference"):
        calibrate(readings(Beam(), 0.25, 3), photons_low=4000, photons_high=4000)
    no_metal = [each for each in readings(Beam()) if each.matter != "iron"]
    with pytest.raises(CalibrationRefused, match="metal: expected two telling steps"):
        calibrate(no_metal, photons_low=4000, photons_high=4000)


def test_a_calibration_is_named_by_its_content_and_comes_back_from_its_text() -> None:
    found = calibrate(readings(Beam(1.0)), photons_low=3900, photons_high=4100, machine="line-1")
    again = Calibration.read(found.text())
    assert again == found
    assert again.id == found.id
    assert msgspec.structs.replace(found, photons_low=3901).id != found.id


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "calibration"),
        ("[]", "Expected `object`"),
        ('{"version": 2}', r"`\$.version`"),
        ('{"scatter": 0.5}', r"`\$.scatter`"),
        ('{"photons_low": NaN}', "calibration"),
        ('{"limits": {"organic_z": 25}}', r"`\$.limits.organic_z`"),
        ('{"surprise": 1}', "unknown field `surprise`"),
        (" " * 30_000, "20000 characters"),
    ],
)
def test_a_calibrations_text_that_is_wrong_is_refused_by_field(text: str, expected: str) -> None:
    with pytest.raises(CalibrationRefused, match=expected):
        Calibration.read(text)


# --- materials ---------------------------------------------------------------------------------------------


def material(low: float, high: float, calibration: Calibration) -> int:
    codes = codes_of(50_000)
    cell = int(codes[round(50_000 * np.exp(-low))]) * 256 + int(codes[round(50_000 * np.exp(-high))])
    return int(tables_of(calibration).material_half[cell])


def told(matter: str, mm: float, calibration: Calibration = REAL_BEAM) -> int:
    low, high = attenuations(calibration.beam, matter, np.array([mm]))
    return material(float(low[0]), float(high[0]), calibration)


@pytest.mark.parametrize(
    ("matter", "thicknesses", "expected"),
    [
        ("polyethylene", (10, 30, 100), ORGANIC),
        ("water", (10, 50, 140), ORGANIC),
        ("paper", (10, 50, 100), ORGANIC),
        ("glass", (6, 10, 40), LIGHT),
        ("aluminium", (4, 10, 40), LIGHT),
        ("salt", (4, 15), LIGHT),
        ("pvc", (6, 15), LIGHT),
        ("iron", (0.5, 1, 5, 10, 15), METAL),
        ("copper", (0.2, 1, 5), METAL),
        ("iron", (40.0, 80.0), IMPENETRABLE),
        ("lead", (1.2, 2, 5, 20), IMPENETRABLE),
        ("gold", (0.8, 2, 4), IMPENETRABLE),
    ],
)
def test_materials_are_told_at_every_thickness_and_lead_and_gold_are_never_organic(
    matter: str, thicknesses: tuple[float, ...], expected: int
) -> None:
    assert [told(matter, mm) for mm in thicknesses] == [expected] * len(thicknesses)


def test_the_ratio_alone_would_have_taken_thick_steel_for_aluminium() -> None:
    thick_low, thick_high = attenuations(REAL_BEAM.beam, "iron", np.array([12.0]))
    thin_low, thin_high = attenuations(REAL_BEAM.beam, "aluminium", np.array([12.0]))
    assert thick_low[0] / thick_high[0] < thin_low[0] / thin_high[0]
    assert [told("iron", 12.0), told("aluminium", 12.0)] == [METAL, LIGHT]


def test_where_the_ratio_is_noise_nothing_is_guessed() -> None:
    thin = [
        told(matter, mm) for matter, mm in (("paper", 2.0), ("aluminium", 0.4), ("glass", 0.6), ("pvc", 0.6))
    ]
    assert thin == [UNSURE] * 4
    assert told("paper", 0.2) == AIR
    clear = Calibration(aluminium_mm=2.0, copper_mm=-0.4, photons_low=1e6, photons_high=1e6)
    assert [told("paper", 2.5, clear), told("aluminium", 0.5, clear)] == [ORGANIC, LIGHT]


def test_steel_seen_by_scatter_alone_is_impenetrable_and_not_organic() -> None:
    scatter = Calibration(scatter=0.01)
    low, high = attenuations(scatter.beam, "iron", np.array([60.0]))
    assert low[0] / high[0] < 1.05
    assert told("iron", 60.0, scatter) == IMPENETRABLE


def test_a_low_channel_that_sees_more_than_the_high_one_is_a_fault_and_no_material() -> None:
    assert material(0.0, 0.6, REAL_BEAM) == UNSURE
    assert material(0.3, 1.2, REAL_BEAM) == UNSURE


def test_a_sites_limit_moves_a_border() -> None:
    strict = Calibration(limits=Limits(thickest_organic_mm=60.0))
    assert [told("water", 100.0, Calibration()), told("water", 100.0, strict)] == [ORGANIC, IMPENETRABLE]


def test_gold_and_lead_are_organic_at_no_thickness() -> None:
    for matter in ("gold", "lead"):
        found = {told(matter, mm) for mm in np.arange(0.05, 6.0, 0.05)}
        assert ORGANIC not in found
        assert found >= {LIGHT, IMPENETRABLE}


def test_thick_steel_in_noise_stays_steel_and_does_not_sparkle() -> None:
    # Two and a half deviations of what a low channel of 4,000 photons still counts behind them.
    for mm, noise in ((12.0, 0.14), (15.0, 0.2), (18.0, 0.25)):
        low, high = attenuations(REAL_BEAM.beam, "iron", np.array([mm]))
        assert [material(float(low[0]) + off, float(high[0]), REAL_BEAM) for off in (-noise, noise)] == [
            METAL
        ] * 2
