"""Real scans, where they are at hand: a PC of steel is metal, bottles are organic, a bag is one object."""

from __future__ import annotations

import numpy as np
import pytest

from bench.xray_scans import MACHINE, listed, load, scans
from edge.xray_bridge.imaging.analysis import analyse
from edge.xray_bridge.imaging.views import develop, drawn
from edge.xray_bridge.values import Material

FOLDER = scans()
# The noise of end diodes, dark first lines and a stripe are none; a key that lies beside the PC is one.
OBJECTS = {"rj_bag_1": 1, "rj_bag_2": 1, "rj_bag_3": 1, "rj_pc_board": 2}
HERE = pytest.mark.skipif(FOLDER is None, reason="the scans are not here (KAKOU_XRAY)")


def shares(name: str) -> dict[Material, float]:
    assert FOLDER is not None
    analysis, _ = analyse(load(FOLDER, name), MACHINE)
    return {each.material: each.area_share for each in analysis.shares}


@HERE
def test_a_pcs_steel_case_is_metal_where_it_is_thin_and_where_it_is_thick() -> None:
    found = shares("rj_pc_board")
    assert found[Material.METAL] > 0.88
    assert found[Material.ORGANIC] < 0.04
    assert found[Material.LIGHT_INORGANIC] < 0.06


@HERE
def test_a_bag_of_bottles_is_organic_with_a_wrench_in_it() -> None:
    found = shares("rj_bag_3")
    assert found[Material.ORGANIC] > 0.7
    assert 0.02 < found[Material.METAL] < 0.10


@HERE
def test_a_circuit_board_in_a_rucksack_is_light_inorganic_and_metal() -> None:
    found = shares("rj_bag_2")
    assert found[Material.LIGHT_INORGANIC] > 0.15
    assert found[Material.METAL] > 0.05


@HERE
def test_objects_are_counted_as_a_person_counts_them_and_none_is_cut() -> None:
    assert FOLDER is not None
    for name in listed(FOLDER):
        picture = load(FOLDER, name)
        analysis, _ = analyse(picture, MACHINE)
        assert (analysis.objects, analysis.cut) == (OBJECTS[name], False), name
        assert max(analysis.length_mm, analysis.height_mm) > 250, name
        assert analysis.mass_kg is None or analysis.mass_kg > 0.1, name
        seen = drawn(develop(picture), MACHINE)
        # Air is white, and most of the frame is air.
        assert float(np.mean(np.all(seen > 245, axis=-1))) > 0.3, name
