"""The wedge as the simulator photographs it: found, read, made into a calibration, and every fault told."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from edge.xray_bridge.imaging.calibration import Calibration, CalibrationRefused
from edge.xray_bridge.imaging.pictures import RawPicture
from edge.xray_bridge.imaging.wedge import STANDARD, Wedge, WedgeRefused, calibrated, check_wedge, read_steps
from hardware_sims.xray_goods import WEDGE_STEPS, Packed, pack, wedge
from hardware_sims.xray_physics import Detector, DetectorSettings, blurred, flattened, transmission

AIR = 50_000
MARGIN = 40
LINE_MM, PIXEL_MM = 1.5, 2.0


def photograph(packed: Packed, seed: int, photons: float = 4_000.0) -> RawPicture:
    plan = packed.plan(LINE_MM, PIXEL_MM)
    settings = DetectorSettings(pixels=200, pixel_mm=PIXEL_MM, line_mm=LINE_MM, photons=photons)
    detector, noise = Detector(settings, 1), np.random.default_rng(seed)
    channels = []
    for seen in transmission(plan.thickness_cm):
        lines, pixels = seen.shape
        frame = np.ones((lines + 2 * MARGIN, settings.pixels), np.float32)
        top = (settings.pixels - pixels) // 2
        frame[MARGIN : MARGIN + lines, top : top + pixels] = seen
        channels.append(blurred(frame, settings.blur_px))
    counts = detector.counts(channels[0], channels[1], noise)
    low, high = (
        np.ascontiguousarray(flattened(counts[n], detector.dark[n], detector.gain[n], AIR).T) for n in (0, 1)
    )
    return RawPicture(low, high, AIR, AIR, LINE_MM, PIXEL_MM, f"wedge-{seed}")


def darker(picture: RawPicture, low: float = 1.0, high: float = 1.0) -> RawPicture:
    return RawPicture(
        (picture.low * low).astype(np.uint16), (picture.high * high).astype(np.uint16), AIR, AIR, 1.5, 2.0
    )


@cache
def first() -> RawPicture:
    return photograph(wedge(), 1)


@cache
def calibration() -> Calibration:
    return calibrated(first(), machine="sim", made="2026-01-01T00:00:00Z")


def codes(picture: RawPicture, wedge_: Wedge = STANDARD) -> list[str]:
    return [fault.code for fault in check_wedge(picture, calibration(), wedge_).faults]


def test_the_standard_wedge_is_the_one_that_is_photographed() -> None:
    stairs = [(step.matter, step.thickness_mm) for step in STANDARD.steps]
    assert stairs == [(matter, mm) for matter, thicknesses in WEDGE_STEPS for mm in thicknesses]


def test_a_wedge_makes_a_calibration_that_knows_the_beam_and_its_noise() -> None:
    found = calibration()
    assert found.fit.steps == len(STANDARD.steps)
    assert found.fit.rms < 0.02
    assert found.photons_low == pytest.approx(4_000, rel=0.15)
    assert found.photons_high == pytest.approx(4_000, rel=0.15)
    # The simulator's beam is the prior's: 2 mm of aluminium and nothing more.
    assert found.aluminium_mm == pytest.approx(0.0, abs=0.3)


def test_the_next_days_wedge_passes_and_says_what_it_saw() -> None:
    found = check_wedge(photograph(wedge(), 2), calibration())
    assert found.why.en == ""
    assert found.ok
    assert all(step.right_amount and step.right_material for step in found.steps)
    assert found.thinnest_wire_mm == 0.25
    assert abs(found.drift_low) < 0.005


@pytest.mark.parametrize("turned", [178.0, -4.0])
def test_it_may_lie_turned_or_upside_down(turned: float) -> None:
    askew = Packed(tuple(thing.moved(0, 0, turned) for thing in wedge().things), 260.0, 330.0, 90.0, 0)
    there = photograph(askew, 3)
    mirrored = RawPicture(
        np.ascontiguousarray(there.low[::-1]), np.ascontiguousarray(there.high[::-1]), AIR, AIR, 1.5, 2.0
    )
    assert [codes(there), codes(mirrored)] == [[], []]


def test_what_is_no_wedge_is_not_taken_for_one() -> None:
    goods = photograph(pack(1, "SKU-MASK-10", 2), 4)
    empty = RawPicture(
        np.full((100, 100), AIR, np.uint16), np.full((100, 100), AIR, np.uint16), AIR, AIR, 1.5, 2
    )
    assert [codes(goods), codes(empty)] == [["not_found"], ["not_found"]]
    assert read_steps(goods) == ()
    with pytest.raises(CalibrationRefused, match="no wedge"):
        calibrated(goods)


def test_a_tired_tube_is_told_by_its_noise() -> None:
    found = check_wedge(photograph(wedge(), 5, photons=1_200), calibration())
    assert {fault.code for fault in found.faults} >= {"noise"}
    assert not found.ok
    assert "1" in found.why.zh


def test_gain_that_drifted_is_told_as_gain() -> None:
    assert "gain" in codes(darker(first(), low=0.94))
    assert "gain" in codes(darker(first(), high=0.95))


def test_another_beam_is_told_by_its_steps() -> None:
    """A tube at lower voltage: everything absorbs more, at low energy most."""
    low = AIR * (first().low / AIR) ** 1.25
    harder = RawPicture(np.clip(low, 0, 65_535).astype(np.uint16), first().high, AIR, AIR, 1.5, 2.0)
    assert "steps" in codes(harder)


def test_amounts_that_still_pass_may_show_other_materials_and_that_is_told() -> None:
    """Both channels within their tolerance, in opposite directions: every ratio is a fifth too small."""
    low, high = AIR * (first().low / AIR) ** 0.90, AIR * (first().high / AIR) ** 1.10
    shifted = RawPicture(
        np.clip(low, 0, 65_535).astype(np.uint16),
        np.clip(high, 0, 65_535).astype(np.uint16),
        AIR,
        AIR,
        1.5,
        2.0,
    )
    assert codes(shifted) == ["materials"]


def test_channels_that_are_mixed_up_show_other_materials() -> None:
    swapped = RawPicture(first().high, first().low, AIR, AIR, 1.5, 2.0)
    assert codes(swapped)[0] in {"not_found", "steps"}


def test_a_diode_off_its_neighbours_asks_for_a_new_gain() -> None:
    low = first().low.copy()
    low[20] = (low[20] * 0.9).astype(np.uint16)
    assert codes(RawPicture(low, first().high, AIR, AIR, 1.5, 2.0)) == ["stripe"]


def test_wires_and_block_that_are_gone_are_missed() -> None:
    bare = tuple(thing for thing in wedge().things if thing.shape != "wire" and thing.material != "lead")
    assert codes(photograph(Packed(bare, 230.0, 300.0, 90.0, 0), 6)) == ["wire", "block"]


def test_a_sites_own_wedge_comes_back_from_its_text_and_a_wrong_one_is_refused() -> None:
    assert Wedge.read(STANDARD.text()) == STANDARD
    with pytest.raises(WedgeRefused, match="matter: expected one of"):
        Wedge.read(STANDARD.text().replace('"iron"', '"unobtainium"'))
    with pytest.raises(WedgeRefused, match="wedge"):
        Wedge.read("{}")
