"""Brokers that acknowledge what they never deliver, and brokers that lose all they had: no fact is lost (G3).

`KAKOU_FORGOTTEN_FACTS` says how many facts, one a message, a mosquitto at its defaults is given with nobody
there to hear them.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.system.conftest import until
from tests.system.crash_site import IN_PROVE, CrashSite, FactsSeen, SingleBroker, crash_site

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("site"), pytest.mark.timeout(600)]

FACTS = int(os.environ.get("KAKOU_FORGOTTEN_FACTS", "200"))
WITHIN_S = 60.0 + FACTS / 20


def at_the_hub(site: CrashSite) -> int:
    if not site.archive.exists():
        return 0
    with closing(sqlite3.connect(f"file:{site.archive}?mode=ro", uri=True)) as archive:
        (count,) = archive.execute("SELECT count(*) FROM facts").fetchone()
        return int(count)


def test_what_mosquitto_acknowledged_and_delivered_to_nobody_reaches_the_hub(tmp_path: Path) -> None:
    with crash_site(tmp_path / "site", lambda folder: SingleBroker("mosquitto", folder)) as site:
        broker = site.broker
        assert isinstance(broker, SingleBroker)
        broker.start()
        site.a_lane(facts=FACTS, together=50, facts_a_message=1, window_bytes=64 << 20, resend_first_s=600.0)
        site.start_lane()
        until(lambda: broker.facts().acknowledged > FACTS, "all are acknowledged", WITHIN_S)
        seen = broker.facts()
        print(f"mosquitto at its defaults, nobody there: {seen}")
        # The epoch's own first fact beside them; sent once each, so one fact is one message.
        assert seen == FactsSeen(published=FACTS + 1, acknowledged=FACTS + 1, delivered=0)
        assert at_the_hub(site) == 0
        site.import_records(10)
        site.start_hub()
        site.until_drained(WITHIN_S)
        site.end()
        assert len(site.told().facts) == FACTS
        assert at_the_hub(site) == FACTS + 1
        assert site.wrong() == []


@pytest.mark.parametrize("kind", [pytest.param("mosquitto that keeps", marks=IN_PROVE), "amqtt"])
def test_a_broker_killed_in_mid_drain_and_its_data_deleted_loses_nothing(tmp_path: Path, kind: str) -> None:
    facts = 2 * FACTS
    with crash_site(tmp_path / "site", lambda folder: SingleBroker(kind, folder)) as site:
        site.a_lane(facts=facts, together=50)
        site.start_lane()
        until(
            lambda: len(site.told().facts) == facts, "an outage's worth of facts is in the journal", WITHIN_S
        )
        site.lane.kill()
        site.a_lane(facts=facts, facts_a_message=3, window_bytes=8 * 1024)
        site.lane.starts = 1
        site.import_records(10)
        site.broker.start()
        site.start_hub()
        site.start_lane()
        drained = []
        for part in (0.2, 0.5):
            until(lambda part=part: at_the_hub(site) >= part * facts, "the drain goes on", WITHIN_S)  # type: ignore[misc]
            site.broker.kill()
            site.broker.forget()
            drained.append(at_the_hub(site))
            site.broker.start()
        site.until_drained(WITHIN_S)
        site.end()
        print(f"{kind}: killed and emptied with {drained} of {facts} facts at the hub")
        assert max(drained) < facts
        assert at_the_hub(site) == facts + 1
        assert site.wrong() == []
