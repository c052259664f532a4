"""`kill -9`, again and again, of the lane (writer and link), the hub and the broker: nothing lost or doubled.

`KAKOU_SIGKILLS` says how many in all. The kills come at any instant of a program's life, its start included,
and a broker that dies loses all it had. The lane commits as fast as its disk allows all the while.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path

import pytest

from tests.system.conftest import until
from tests.system.crash_site import CrashSite, SingleBroker, crash_site, wait_s

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("site"), pytest.mark.timeout(900)]

KILLS = int(os.environ.get("KAKOU_SIGKILLS", "5"))
IN_ONE_RUN = 100
VICTIMS = ("lane", "lane", "hub", "hub", "broker")


def planned(kills: int) -> list[tuple[int, int, str]]:
    """(seed, kills, broker) of each run."""
    runs = max(1, -(-kills // IN_ONE_RUN))
    kinds = ("mosquitto that keeps", "amqtt", "mosquitto")
    return [(run, kills // runs + (run < kills % runs), kinds[run % len(kinds)]) for run in range(runs)]


def dealt(kills: int, draw: random.Random) -> list[str]:
    """Victims in random order, each as often as it stands in `VICTIMS`."""
    decks = (draw.sample(VICTIMS, len(VICTIMS)) for _ in range(0, kills, len(VICTIMS)))
    return [victim for deck in decks for victim in deck][:kills]


def kill_one(site: CrashSite, draw: random.Random, victim: str) -> None:
    match victim:
        case "lane":
            site.lane.kill()
            site.lane.start()
        case "hub":
            site.hub.kill()
            site.hub.start()
        case _:
            site.broker.kill()
            site.broker.forget()
            wait_s(draw.choice((0.0, 0.2)))
            site.broker.start()


@pytest.mark.parametrize(("seed", "kills", "kind"), planned(KILLS))
def test_programs_killed_at_any_instant_lose_nothing_and_double_nothing(
    tmp_path: Path, seed: int, kills: int, kind: str
) -> None:
    draw = random.Random(f"sigkills/{seed}")
    killed: Counter[str] = Counter()
    with crash_site(tmp_path / "site", lambda folder: SingleBroker(kind, folder)) as site:
        site.broker.start()
        site.import_records(50)
        site.a_lane(facts=10**9, together=3, pause_s=0.01)
        site.start_hub()
        site.start_lane()
        for victim in dealt(kills, draw):
            wait_s(draw.choice((draw.uniform(0.0, 0.3), draw.uniform(0.3, 1.5))))
            kill_one(site, draw, victim)
            killed[victim] += 1
        until(lambda: "opened" in site.lane.said(), "the lane is up again")
        site.lane.kill()
        starts = site.lane.starts
        site.a_lane(facts=0).starts = starts
        site.start_lane()
        site.until_drained(240.0)
        site.end()
        told = site.told()
        print(f"{kind}: {dict(killed)} killed, {len(told.facts)} facts told, lost 0, doubled 0")
        assert site.wrong() == []
        assert killed.total() == kills
        assert len(told.facts) > 5 * kills
