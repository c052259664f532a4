"""The whole program on a hot folder: pictures come as files that grow before its eyes, and every parcel ends
in the chute its verdict says."""

from __future__ import annotations

import base64
import os
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from edge.xray_bridge.calibrating import read_calibration
from hardware_sims.devices.xray_folder import Way
from hardware_sims.xray_scenario import XrayScenario
from sync.link.keys import shared_secret
from sync.policy.pins import PEPPER_PURPOSE, Cost, PinSecret, made, stretched
from sync.vocabulary.facts import FactData
from sync.vocabulary.numbers import UtcText
from sync.vocabulary.records import Officer
from sync.vocabulary.xray_facts import ParcelSorted, ParcelXRayed, PictureSpoiled, PictureTold, WedgeJudged
from tests.system.test_xray_kills import SHORT_BELT, of_line
from tests.system.xray_site import STATION, WEDGE, XraySite, go, parcel, records_of
from tests.unit.test_xray_page import Client, wait

pytestmark = [
    pytest.mark.system,
    pytest.mark.xdist_group("xray"),
    pytest.mark.timeout(300),
    pytest.mark.skipif("KAKOU_PROVE" not in os.environ, reason="a minute each: in `make prove`"),
]

OFFICER, PIN = "4604009", "4091735"
WAYS: tuple[Way, ...] = ("growing", "tiff", "raw", "renamed")
SKUS = ("SKU-MASK-10", "SKU-DIAPER-L", "SKU-VITC-100")
BEFORE_WEDGE = 2
"""A folder says nothing between pictures: the eye and two pictures must agree before one has a place."""
PARCELS = 7
UNKNOWN = 5
"""Of this parcel no record knows the waybill."""


def ends(facts: Sequence[FactData]) -> dict[str, str]:
    return {each.waybill_no: each.verdict for each in facts if isinstance(each, ParcelSorted)}


def officer_of(site: XraySite) -> Officer:
    """Whose PIN this station can prove."""
    own = load_pem_private_key((site.folder / "keys" / "own.key").read_bytes(), None)
    assert isinstance(own, Ed25519PrivateKey)
    salt = bytes(16)
    cheap = Cost(memory_kib=1024, passes=1)
    return Officer(
        officer_no=OFFICER,
        authorisations=("x_ray",),
        public_key=base64.b64encode(Ed25519PrivateKey.generate().public_key().public_bytes_raw()).decode(),
        valid_until=UtcText("2099-01-01T00:00:00.000000Z"),
        pin=made(
            PinSecret(stretched(PIN, salt, cheap), b""),
            officer_no=OFFICER,
            salt=salt,
            cost=cheap,
            peppers={STATION: shared_secret(own, site.hub_key.public_key(), PEPPER_PURPOSE)},
            nonces={STATION: bytes(12)},
            kept="",
            at_utc="2026-11-22T08:00:00.000000Z",
        ),
    )


def page_port(site: XraySite) -> int:
    found: list[str] = []

    def served() -> bool:
        found[:] = re.findall(
            r'"port": (\d+), "event": "page served"', (site.folder / "station.log").read_text()
        )
        return bool(found)

    wait(served, 20.0)
    return int(found[-1])


def test_the_day_begins_with_the_wedge_an_officer_names_and_nothing_was_measured_before(
    tmp_path: Path,
) -> None:
    """After a start no picture of a folder has a place: `F6` says whose the first one is."""
    planned = [parcel(n, SKUS[n % len(SKUS)]) for n in range(1, 6)]
    planned = [replace(each, gap_mm=650.0 + 70.0 * place) for place, each in enumerate(planned)]
    wedge = replace(WEDGE, labels=(), gap_mm=900.0)
    scenario = XrayScenario(
        parcels=(wedge, replace(planned[0], gap_mm=4_000.0), *planned[1:]),
        belt=SHORT_BELT,
        seed=5,
        pictures="folder",
        folder_way="growing",
    )
    site = XraySite(
        tmp_path / "site",
        scenario,
        extra="[belt]\nlongest_mm = 500.0\nreaction_mm = 20.0\n\n[judging]\nmargin_s = 0.1\n"
        "\n[pulses]\ndivert_s = 0.9\n",
    )
    site.fill({**records_of(planned), "officers": (officer_of(site),)})
    with site.line() as line, site.station() as station:
        site.listens(1)
        desk = Client(cast(Any, SimpleNamespace(port=page_port(site))))
        assert desk.sign_in(OFFICER, PIN)["status"] == 200
        desk.listen()
        assert desk.do("wedge", on=True)[0] == 202
        assert desk.answer_to(1)["ok"]
        wait(lambda: desk.views[-1]["wedge"]["waiting"])
        assert desk.views[-1]["wedge"]["ok"] is False
        go(line)
        wait(lambda: bool(desk.views[-1]["wedge"]["ok"]), 60.0)
        shown = desk.views[-1]["wedge"]
        line.wait_for("DONE", 120.0)
        time.sleep(1.0)
        assert station.poll() is None
        desk.hang_up()
    facts = site.facts()
    (judged,) = [each for each in facts if isinstance(each, WedgeJudged)]
    pictures = [each for each in facts if isinstance(each, PictureTold)]
    assert (judged.ok, judged.why, shown["waiting"]) == (True, "", False)
    measured = read_calibration(site.folder / "calibration" / "calibration.json")
    assert measured is not None
    assert (measured.measured, measured.id) == (True, judged.calibration)
    assert (pictures[0].association, pictures[0].why, pictures[0].leading_mm) == (
        "matched",
        "wedge_asked",
        None,
    )
    told = ends(facts)
    assert [told[each.waybill_no] for each in planned[-2:]] == ["passed", "passed"]


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
