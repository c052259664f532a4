"""The simulated X-rays: transmissions of known thicknesses, photon noise, parcels as heavy as their goods."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from hardware_sims.xray_goods import (
    ARTICLES,
    BY_SKU,
    WEDGE_STEPS,
    Thing,
    draw,
    pack,
    wedge,
)
from hardware_sims.xray_physics import (
    ENERGIES_KEV,
    HIGH_WEIGHTS,
    LOW_WEIGHTS,
    MATERIALS,
    Detector,
    DetectorSettings,
    flattened,
    transmission,
)

LADDER = (
    ("polyethylene", 0.5, 0.90642, 0.92083),
    ("polyethylene", 5.0, 0.37918, 0.43901),
    ("polyethylene", 20.0, 0.02306, 0.03790),
    ("water", 1.0, 0.79115, 0.83846),
    ("water", 10.0, 0.11347, 0.17375),
    ("paper", 2.0, 0.71119, 0.76596),
    ("pvc", 1.0, 0.54487, 0.74524),
    ("glass", 0.5, 0.69199, 0.81788),
)
"""Material, cm, low, high: a ladder of transmissions computed with 150 energies by somebody else."""


def seen(material: str, cm: float) -> tuple[float, float]:
    low, high = transmission({material: np.full((1, 1), cm, np.float32)})
    return float(low[0, 0]), float(high[0, 0])


@pytest.mark.parametrize(("material", "cm", "low", "high"), LADDER)
def test_sixteen_energies_see_what_a_hundred_and_fifty_saw(
    material: str, cm: float, low: float, high: float
) -> None:
    assert seen(material, cm) == pytest.approx((low, high), rel=0.01)


def test_the_two_layers_see_photons_of_sixty_and_ninety_six_kev() -> None:
    assert np.dot(ENERGIES_KEV, LOW_WEIGHTS) == pytest.approx(59.9, abs=0.3)
    assert np.dot(ENERGIES_KEV, HIGH_WEIGHTS) == pytest.approx(96.3, abs=0.3)
    assert all(len(each.mu) == len(ENERGIES_KEV) for each in MATERIALS.values())


def test_the_ratio_falls_as_metal_gets_thicker_and_lead_looks_like_food() -> None:
    """Why a threshold of the ratio alone mislabels: the beam hardens, and K-edges turn it over."""

    def ratio(material: str, cm: float) -> float:
        low, high = seen(material, cm)
        return math.log(low) / math.log(high)

    iron = [ratio("iron", cm) for cm in (0.05, 0.2, 0.6)]
    assert iron[0] > iron[1] > iron[2] > ratio("aluminium", 1.0) > ratio("water", 5.0)
    assert ratio("lead", 0.1) < ratio("glass", 0.5)


def test_noise_near_air_is_that_of_four_thousand_photons() -> None:
    detector = Detector(DetectorSettings(), 7)
    low, high = detector.air_lines(400, np.random.default_rng(1))
    for layer, counts in enumerate((low, high)):
        flat = flattened(counts, detector.dark[layer], detector.gain[layer], 60_000.0)
        assert flat.std() / flat.mean() == pytest.approx(1 / math.sqrt(4_000), rel=0.05)
        assert flat.mean() == pytest.approx(60_000, rel=0.002)


def test_diodes_differ_and_dark_lines_tell_the_offset() -> None:
    detector = Detector(DetectorSettings(), 7)
    low, high = detector.dark_lines(200, np.random.default_rng(2))
    assert np.abs(low.mean(axis=0) - detector.dark[0]).max() < 2.0
    assert np.abs(high.mean(axis=0) - detector.dark[1]).max() < 2.0
    assert detector.gain.std() / detector.gain.mean() > 0.03
    assert (detector.gain + detector.dark).max() * 1.05 < 65_535


def test_a_plan_weighs_what_its_things_weigh() -> None:
    """Walls thinner than a pixel and wires included."""
    radius, wall = 5.0, 0.22
    inner = radius * 10 - wall
    tin = Thing("iron", "can", 3, -4, 100, 100, 120, wall=wall)
    cm3 = (math.pi * 50.0**2 * 120 - math.pi * inner**2 * (120 - 2 * wall)) / 1000
    got = draw((tin,), 160, 160, line_mm=1.5, pixel_mm=2.0, seed=1).mass_kg
    assert got == pytest.approx(cm3 * 7.874 / 1000, rel=0.03)
    wire = Thing("copper", "wire", 0, 0, 100, 1.0, 1.0, points=((-50, 0), (50, 0)))
    got = draw((wire,), 160, 160, line_mm=1.5, pixel_mm=2.0, seed=1).mass_kg
    assert got == pytest.approx(math.pi / 4 * 0.01 * 10 * 8.96 / 1000, rel=0.05)


def test_every_article_fits_the_tunnel_and_lets_some_light_through() -> None:
    for place, article in enumerate(ARTICLES):
        packed = pack(place, article.sku, 1)
        assert packed.width_mm < 600
        assert 80 < packed.length_mm < 900
        plan = packed.plan(3.0, 4.0)
        assert 0.1 < plan.mass_kg < 5
        low, high = transmission(plan.thickness_cm)
        assert high.min() > 0.004
        assert (high >= low - 1e-3).all()


def test_the_same_seed_packs_the_same_parcel_and_another_packs_it_otherwise() -> None:
    first, same, other = (pack(seed, "SKU-BRICK-500", 1) for seed in (4, 4, 5))
    assert first == same
    assert first.things != other.things
    assert set(BY_SKU) == {each.sku for each in ARTICLES}


@pytest.mark.parametrize("extra", ["knife", "phones", "lead_box", "powder", "gold", "battery"])
def test_a_hidden_thing_is_in_the_picture(extra: str) -> None:
    honest = pack(9, "SKU-COAT-M", 1, turn=0.0)
    packed = pack(9, "SKU-COAT-M", 1, extra=extra, turn=0.0)  # type: ignore[arg-type]
    assert packed.plan(3.0, 4.0).mass_kg > honest.plan(3.0, 4.0).mass_kg + 0.05


def test_a_missing_piece_leaves_its_place_empty() -> None:
    full = pack(2, "SKU-TEA-250", 4, room_for=4, turn=0.0)
    short = pack(2, "SKU-TEA-250", 3, room_for=4, turn=0.0)
    assert (full.length_mm, full.width_mm) == (short.length_mm, short.width_mm)
    assert short.plan(3.0, 4.0).mass_kg < full.plan(3.0, 4.0).mass_kg - 0.3


def test_each_step_of_the_wedge_is_darker_than_the_one_before() -> None:
    plan = wedge().plan(1.5, 2.0)
    _, high = transmission(plan.thickness_cm)
    lines, pixels = high.shape
    for row, (_, steps) in enumerate(WEDGE_STEPS):
        y = round((-110 + 62 * row + 150) / 2.0)
        at = [round((-80 + 40 * place + 115) / 1.5) for place in range(len(steps))]
        stairs = [float(high[x - 4 : x + 4, y - 4 : y + 4].mean()) for x in at]
        assert all(darker < lighter for lighter, darker in itertools.pairwise(stairs))
    assert (lines, pixels) == (153, 150)
    assert high.min() < 0.001
