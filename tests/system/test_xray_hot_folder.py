"""The whole program on a hot folder: pictures come as files that grow before its eyes, and every parcel ends
in the chute its verdict says."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from hardware_sims.devices.xray_folder import Way
from hardware_sims.xray_scenario import XrayScenario
from sync.vocabulary.facts import FactData
from sync.vocabulary.xray_facts import ParcelSorted, ParcelXRayed, PictureSpoiled, PictureTold
from tests.system.test_xray_kills import SHORT_BELT, of_line
from tests.system.xray_site import WEDGE, XraySite, go, parcel, records_of

pytestmark = [
    pytest.mark.system,
    pytest.mark.xdist_group("xray"),
    pytest.mark.timeout(300),
    pytest.mark.skipif("KAKOU_PROVE" not in os.environ, reason="a minute each: in `make prove`"),
]

WAYS: tuple[Way, ...] = ("growing", "tiff", "raw", "renamed")
SKUS = ("SKU-MASK-10", "SKU-DIAPER-L", "SKU-VITC-100")
BEFORE_WEDGE = 2
"""A folder says nothing between pictures: the eye and two pictures must agree before one has a place."""
PARCELS = 7
UNKNOWN = 5
"""Of this parcel no record knows the waybill."""


def ends(facts: Sequence[FactData]) -> dict[str, str]:
    return {each.waybill_no: each.verdict for each in facts if isinstance(each, ParcelSorted)}


@pytest.mark.parametrize("way", WAYS)
def test_parcels_whose_pictures_come_as_files_end_in_the_right_chutes(tmp_path: Path, way: Way) -> None:
    planned = [parcel(n, SKUS[n % len(SKUS)]) for n in range(1, PARCELS + 1)]
    planned = [replace(each, gap_mm=650.0 + 70.0 * place) for place, each in enumerate(planned)]
    first, behind = planned[:BEFORE_WEDGE], planned[BEFORE_WEDGE:]
    scenario = XrayScenario(
        parcels=(*first, replace(WEDGE, gap_mm=900.0), *behind),
        belt=SHORT_BELT,
        seed=5,
        pictures="folder",
        folder_way=way,
    )
    site = XraySite(
        tmp_path / "site",
        scenario,
        extra="[belt]\nlongest_mm = 500.0\nreaction_mm = 20.0\n\n[judging]\nmargin_s = 0.1\n"
        "\n[pulses]\ndivert_s = 0.9\n",
    )
    site.fill(records_of([each for n, each in enumerate(planned, 1) if n != UNKNOWN]))
    with site.line() as line, site.station() as station:
        site.listens(1)
        go(line)
        line.wait_for("DONE", 120.0)
        time.sleep(1.0)
        assert station.poll() is None
    facts = site.facts()
    chutes = {each["parcel"]: each["chute"] for each in of_line(site, "chute") if each["parcel"] != "wedge"}
    told = ends(facts)
    in_chute = {each.waybill_no: chutes[each.id] for each in planned}
    judged = {each.waybill_no: each for each in facts if isinstance(each, ParcelXRayed)}
    pictures = [each for each in facts if isinstance(each, PictureTold)]

    assert [each for each in facts if isinstance(each, PictureSpoiled)] == []
    assert len(pictures) == len(planned) + 1
    assert {number: {"passed": "pass"}.get(told[number], "recheck") for number in in_chute} == in_chute
    assert told[planned[UNKNOWN - 1].waybill_no] == "recheck"
    # Otherwise the test would say nothing: pictures were matched, and parcels passed on them.
    passed = [number for number, verdict in told.items() if verdict == "passed"]
    assert len(passed) >= 3
    assert all(judged[number].association == "matched" for number in passed)
    taken = {path.name for path in (site.folder / "sims" / "pictures" / "xray-1" / "taken").iterdir()}
    assert len({name[:7] for name in taken}) == len(planned) + 1
    assert not list((site.folder / "sims" / "pictures" / "xray-1" / "quarantine").iterdir())
