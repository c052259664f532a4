"""`kill -9` of a lane, the hub or the broker at random instants: nothing lost, nothing doubled, no arm moved
without cause.

`KAKOU_KILL_POINTS` says how many instants in all; beyond a few, half of the runs go over mosquitto.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from hardware_sims.cast import CASES, LANE_IN, LANE_OUT
from tests.system.conftest import DemoRun, SiteRuns

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("site"), pytest.mark.timeout(600)]

POINTS = int(os.environ.get("KAKOU_KILL_POINTS", "12"))
IN_ONE_RUN = 25
PROGRAMS = (LANE_IN, LANE_OUT, "hub", "broker")


def planned(points: int) -> list[tuple[int, int, str]]:
    """(seed, kills, broker) of each run."""
    runs = max(1, -(-points // IN_ONE_RUN))
    return [
        (100 + run, points // runs + (run < points % runs), ("amqtt", "mosquitto")[run % 2])
        for run in range(runs)
    ]


def kept(database: Path) -> dict[tuple[Any, ...], str]:
    """Identity of every fact in a lane's journal -> its body."""
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as journal:
        rows = journal.execute("SELECT epoch, stream, seq, hash, body FROM facts_named").fetchall()
    return {tuple(row[:4]): row[4] for row in rows}


def stored(run: DemoRun, lane: str) -> dict[tuple[Any, ...], str]:
    """Identity of every fact the hub has of a lane -> its body."""
    archive = run.folder / "data" / "hub" / "archive.sqlite"
    with contextlib.closing(sqlite3.connect(f"file:{archive}?mode=ro", uri=True)) as hub:
        rows = hub.execute(
            "SELECT epoch, stream, seq, hash, body FROM facts WHERE device = ?", (lane,)
        ).fetchall()
    return {tuple(row[:4]): row[4] for row in rows}


@pytest.mark.parametrize(("seed", "kills", "broker"), planned(POINTS))
def test_programs_killed_at_random_instants_lose_nothing_double_nothing_and_move_nothing(
    site_runs: SiteRuns, seed: int, kills: int, broker: str
) -> None:
    if broker == "mosquitto" and shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin") is None:
        pytest.skip("mosquitto is not installed")
    vehicles = max(len(CASES), kills)
    run = site_runs.demo(
        f"kills-{seed}", "--seed", str(seed), "--vehicles", str(vehicles), "--kills", str(kills),
        "--broker", broker, within_s=500.0,
    )  # fmt: skip
    points = run.told("killed")
    for point in points:
        print(f"seed {seed}, {broker}: kill -9 {point['program']} at {point['at_s']:.3f} s")
    # Reconciliation proves it from outside: docs/reconciliation.md, row by row.
    assert (run.code, run.unreconciled()) == (0, []), run.errors
    assert run.told("reconciled") != []
    assert len(points) == kills
    killed = Counter(point["program"] for point in points)
    assert len(killed) == min(kills, len(PROGRAMS))
    for lane in (LANE_IN, LANE_OUT):
        journal = kept(run.folder / "data" / lane / "journal.sqlite")
        assert journal == stored(run, lane)
        assert len(set(journal.values())) == len(journal)
    started = Counter(fact["lane"] for fact in run.facts("lane_started"))
    assert [lane for lane in (LANE_IN, LANE_OUT) if killed[lane] > 0 and started[lane] < 2] == []
    assert run.left == []
