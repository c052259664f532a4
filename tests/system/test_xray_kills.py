"""X3: killed at any instant an X-ray station passes no unjudged parcel.

What the belt's board and the chutes did is the simulator's own log; what was judged is the station's journal.
`KAKOU_STATION_KILLS` says at how many instants the station is killed.
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hardware_sims.xray_belt import BeltSettings
from hardware_sims.xray_scenario import XrayScenario
from sync.vocabulary.facts import FactData
from sync.vocabulary.xray_facts import (
    DivertOrdered,
    ParcelXRayed,
    PictureTold,
    StationStarted,
    XRayEvidenceKept,
    XRayEvidenceMissed,
)
from tests.system.xray_site import WEDGE, XraySite, go, parcel, records_of

POINTS = int(os.environ.get("KAKOU_STATION_KILLS", "1"))
pytestmark = [pytest.mark.system, pytest.mark.xdist_group("xray"), pytest.mark.timeout(300 + 60 * POINTS)]

SHORT_BELT = BeltSettings(
    infeed_mm=-300.0, reader_mm=60.0, xray_eye_mm=700.0, xray_mm=700.0, diverter_mm=1_900.0,
    gate_mm=200.0, chute_mm=500.0,
)  # fmt: skip
PARCELS_A_KILL = 8
SKUS = ("SKU-MASK-10", "SKU-VITC-100", "SKU-DIAPER-L")
WEDGE_EVERY = 5
"""A wedge that was on the belt at a kill was no check."""
SPEED = 2.0


def of_line(site: XraySite, kind: str) -> list[dict[str, Any]]:
    return [each for each in site.physics() if each["kind"] == kind]


def killed(site: XraySite, points: int, seed: int) -> int:
    """Runs the line through `points` kills and to its end. How often it was started."""
    chance = random.Random(seed)
    with site.line() as line:
        go(line)
        starts = 0
        while True:
            with site.station() as station:
                starts += 1
                site.listens(starts)
                seen = len(of_line(site, "picture"))
                if starts <= points:
                    wait_for_pictures(site, station, seen + 1)
                    # From its first picture on: until the second parcel behind it is in a chute.
                    time.sleep(chance.uniform(0.0, 4.0))
                    station.kill()
                    station.wait(10)
                    continue
                line.wait_for("DONE", 240.0 + 10.0 * points)
                time.sleep(1.0)
            return starts


def wait_for_pictures(site: XraySite, station: subprocess.Popen[bytes], count: int) -> None:
    until_s = time.monotonic() + 90.0
    while len(of_line(site, "picture")) < count:
        assert station.poll() is None, "the station ended by itself"
        assert time.monotonic() < until_s, "no picture came"
        time.sleep(0.05)


def passes(facts: Sequence[FactData]) -> list[str]:
    """Waybills that may pass: judged first, then ordered, each in a commit of its own before any pulse."""
    passed: set[str] = set()
    ordered = []
    for data in facts:
        match data:
            case ParcelXRayed(verdict="passed", waybill_no=number):
                passed.add(number)
            case ParcelXRayed(waybill_no=number):
                passed.discard(number)
            case DivertOrdered(chute="pass", waybill_no=number) if number in passed:
                ordered.append(number)
            case _:
                pass
    return ordered


def pulsed_for(physics: Sequence[dict[str, Any]], by_id: Mapping[str, str]) -> Counter[str]:
    """Waybills a pass pulse came for: the parcel in the eye, else the one the arm has just let go by.

    On a machine that does something else for a tenth of a second a pulse comes behind its parcel: it moves
    nobody, and must have been that parcel's own all the same.
    """
    pulsed: Counter[str] = Counter()
    last = "nobody"
    for each in physics:
        match each:
            case {"kind": "gate", "parcel": parcel}:
                last = parcel
            case {"kind": "relay", "relay": "pass", "on": True, "at_eye": parcel}:
                pulsed[by_id.get(parcel or last, "nobody")] += 1
            case _:
                pass
    return pulsed


def silent_holes(facts: Sequence[FactData]) -> set[str]:
    """Pictures told of before the last start of which no fact says whether their evidence is there."""
    last = max(n for n, each in enumerate(facts) if isinstance(each, StationStarted))
    told = {each.picture for each in facts[:last] if isinstance(each, PictureTold)}
    kept = {each.picture for each in facts if isinstance(each, XRayEvidenceKept | XRayEvidenceMissed)}
    return told - kept


def test_killed_at_any_instant_no_unjudged_parcel_passes_and_none_is_pulsed_for_twice(tmp_path: Path) -> None:
    count = PARCELS_A_KILL * (POINTS + 1)
    planned = []
    for n in range(1, count + 1):
        if n % WEDGE_EVERY == 1:
            planned.append(replace(WEDGE, id=f"wedge-{n}"))
        planned.append(parcel(n, SKUS[n % len(SKUS)]))
    site = XraySite(
        tmp_path / "site",
        XrayScenario(parcels=tuple(planned), belt=SHORT_BELT, seed=POINTS),
        speed=SPEED,
        extra="[belt]\nlongest_mm = 500.0\nreaction_mm = 20.0\n\n[judging]\nmargin_s = 0.1\n"
        "\n[pulses]\ndivert_s = 0.9\n",
    )
    site.fill(records_of(planned))
    starts = killed(site, POINTS, seed=POINTS)
    facts = site.facts()
    allowed = Counter(passes(facts))
    by_id = {each.id: each.waybill_no for each in planned}
    pulsed = pulsed_for(site.physics(), by_id)
    gone_through = Counter(
        by_id[each["parcel"]] for each in of_line(site, "chute") if each["chute"] == "pass"
    )

    assert starts == POINTS + 1
    assert sum(isinstance(each, StationStarted) for each in facts) == starts
    assert pulsed - allowed == Counter(), "a pulse for a parcel nobody passed before"
    assert gone_through - allowed == Counter(), "a parcel in the pass chute nobody passed"
    assert [number for number, times in pulsed.items() if times > 1] == []
    assert silent_holes(facts) == set()
    # Otherwise the test would say nothing.
    assert sum(pulsed.values()) >= POINTS
    assert sum(gone_through.values()) >= 1
