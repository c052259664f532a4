"""`kill -9` of hub workers and of the whole PostgreSQL behind them, with lane and broker: nothing lost or
doubled.

`KAKOU_DATABASE_KILLS` says how often. The database is killed with all its processes, so that it starts by
recovering from its own log.
"""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import psutil
import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from sync.hub.engine_postgres import PostgresPlace
from tests.postgres import IN_ONE_GROUP, Postgres
from tests.system.conftest import until
from tests.system.crash_site import IN_PROVE, CrashSite, SingleBroker, crash_site, wait_s

pytestmark = [pytest.mark.system, IN_ONE_GROUP, IN_PROVE, pytest.mark.timeout(900)]

KILLS = int(os.environ.get("KAKOU_DATABASE_KILLS", "5"))
WORKERS = 2
VICTIMS = ("database", "worker", "lane", "worker", "broker")


def archive_toml(place: PostgresPlace) -> str:
    return (
        f'[store]\n[archive]\nengine = "postgresql"\nport = {place.port}\ndatabase = "{place.database}"\n'
        f'user = "{place.user}"\nwitness_file = "data/hub/witness"\n[workers]\ncount = {WORKERS}\n'
    )


def kill_database(postgres: Postgres) -> None:
    """Its postmaster and every process of it, and up again."""
    master = psutil.Process(int((postgres.cluster / "postmaster.pid").read_text().split("\n")[0]))
    processes = [master, *master.children(recursive=True)]
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=10)
    postgres.start()


def kill_one(site: CrashSite, postgres: Postgres, draw: random.Random, victim: str) -> None:
    match victim:
        case "database":
            kill_database(postgres)
        case "worker":
            worker = draw.choice(site.hubs)
            worker.kill()
            worker.start()
        case "lane":
            site.lane.kill()
            site.lane.start()
        case _:
            site.broker.kill()
            site.broker.forget()
            site.broker.start()


def copied(postgres: Postgres, place: PostgresPlace, path: Path) -> None:
    """Every table as SQLite, for the reconciliation to read; what types there were is not its business."""
    with (
        psycopg.connect(postgres.dsn(place.database)) as database,
        closing(sqlite3.connect(path)) as copy,
    ):
        names = database.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (name,) in names:
            rows = database.execute(SQL("SELECT * FROM {}").format(Identifier(name)))
            columns = [column.name for column in rows.description or ()]
            copy.execute(f"CREATE TABLE {name} ({', '.join(columns)})")
            places = ",".join("?" * len(columns))
            copy.executemany(f"INSERT INTO {name} VALUES ({places})", rows.fetchall())  # noqa: S608
        copy.commit()


def test_database_workers_lane_and_broker_killed_at_any_instant_lose_and_double_nothing(
    tmp_path: Path, postgres: Postgres
) -> None:
    draw = random.Random(f"database/{KILLS}")
    place = postgres.new_place(tmp_path)
    killed: Counter[str] = Counter()
    with crash_site(
        tmp_path / "site", lambda folder: SingleBroker("mosquitto", folder),
        archive_toml=archive_toml(place), workers=WORKERS,
    ) as site:  # fmt: skip
        site.broker.start()
        site.import_records(30, place)
        site.a_lane(facts=10**9, together=3, pause_s=0.01)
        site.start_hub()
        site.start_lane()
        began_s = time.monotonic()
        for number in range(KILLS):
            wait_s(draw.uniform(0.0, 1.5))
            kill_one(site, postgres, draw, VICTIMS[number % len(VICTIMS)])
            killed[VICTIMS[number % len(VICTIMS)]] += 1
        until(lambda: "opened" in site.lane.said(), "the lane is up again")
        site.lane.kill()
        starts = site.lane.starts
        site.a_lane(facts=0).starts = starts
        site.start_lane()
        site.until_drained(240.0)
        site.end()
        took_s, facts = time.monotonic() - began_s, len(site.told().facts)
        print(f"{dict(killed)} killed in {took_s:.0f} s, {facts} facts told")
        copied(postgres, place, site.archive)
        assert site.wrong() == []
        assert killed["database"] > 0
