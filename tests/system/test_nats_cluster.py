"""A cluster of three NATS nodes between lane and hub: its leader killed, all killed, its data deleted (G3).

Runs in `make prove`: a cluster takes its time to find a leader again.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.conftest import until
from tests.system.crash_site import IN_PROVE, CrashSite, crash_site, wait_s
from tests.system.nats_cluster import NatsCluster

pytestmark = [
    pytest.mark.system,
    pytest.mark.xdist_group("site"),
    pytest.mark.timeout(900),
    IN_PROVE,
]

MORE_FACTS = 300
"""Between one fault and the next."""


def commits_on(site: CrashSite) -> None:
    before = len(site.told().facts)
    until(lambda: len(site.told().facts) > before + MORE_FACTS, "the lane goes on committing", 120.0)


def test_leader_killed_all_killed_and_all_data_deleted_lose_nothing(tmp_path: Path) -> None:
    with crash_site(tmp_path / "site", NatsCluster) as site:
        cluster = site.broker
        assert isinstance(cluster, NatsCluster)
        cluster.start()
        site.import_records(20)
        site.a_lane(facts=10**9, together=2, pause_s=0.02)
        site.start_hub()
        site.start_lane()
        commits_on(site)
        leader = until(cluster.leader, "there is a leader")
        print(f"{leader.name} leads, and is killed")
        leader.kill()
        commits_on(site)
        cluster.start()
        commits_on(site)
        print("all three are killed")
        cluster.kill()
        wait_s(1.0)
        cluster.start()
        commits_on(site)
        print("all three are killed and their data deleted")
        cluster.kill()
        cluster.forget()
        cluster.start()
        commits_on(site)
        site.lane.kill()
        starts = site.lane.starts
        site.a_lane(facts=0).starts = starts
        site.start_lane()
        site.until_drained(240.0)
        site.end()
        print(f"{len(site.told().facts)} facts told")
        assert site.wrong() == []
