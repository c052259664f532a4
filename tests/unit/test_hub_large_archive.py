"""What the hub asks of its archive while alarms wait costs the same in a large one (G9); what is looked up by
is short enough for an index (G11)."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from sync.hub.archive import Archive, RecordChange
from sync.hub.engine_sqlite import SqliteEngine
from sync.vocabulary.facts import CommandTaken, OrderTaken, PassageOpened, Stream, UsesReturned
from tests.postgres import Place
from tests.unit.test_hub_device import AT, TOPICS, Bench, Device, acks

MANY = 3_000
ROUTINE = ("e" * 32, "routine")
WIDE = "".join(map(chr, range(0x20000, 0x2A000)))
"""Characters of four bytes each."""


# --- looks ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """Opened again after it was made, as every hub's archive is one day."""
    path = tmp_path_factory.mktemp("large") / "archive.sqlite"
    device = Device()
    for passage in range(MANY // 2):
        device.ruling(passage + 1, [], [])
        device.say(PassageOpened(passage=passage + 1))
    archive = Archive.open(path)
    with archive.transaction():
        archive.add_scope("site")
        archive.add_facts(device.facts[Stream.ROUTINE], AT)
        changes = [RecordChange("vehicles", f"k{number:05}", "{}") for number in range(MANY)]
        archive.apply_changes("site", changes, AT)
    archive.close()
    return Archive.open(path)


def epoch(archive: Archive) -> str:
    scope = archive.scope("site")
    assert scope is not None
    return scope.epoch


Look = Callable[[Archive], object]
LOOKS: dict[str, Look] = {
    "facts of a passage": lambda a: a.facts_of_passage("lane-in", 7),
    "last version of a record": lambda a: a.last_version("vehicles", "k00007"),
    "last version of what never was": lambda a: a.last_version("vehicles", "nobody"),
    "record at a number": lambda a: a.record_as_of("site", "vehicles", "k00007", MANY),
    "record at a time": lambda a: a.record_at("site", "vehicles", "k00007", AT),
    "versions of a record": lambda a: a.record_versions("site", "vehicles", "k00007"),
    "keys changed lately": lambda a: a.keys_changed("site", epoch(a), MANY - 5),
    "records now and then": lambda a: list(a.records_now_and_then("site", epoch(a), MANY - 5)),
    "a stretch of a stream": lambda a: a.fact_hashes("lane-in", "e" * 32, "routine", 10, 20),
}


@pytest.mark.parametrize("look", LOOKS)
def test_a_look_at_one_thing_does_not_go_through_all_of_them(large: Archive, look: str) -> None:
    engine = large._db
    assert isinstance(engine, SqliteEngine)
    hundreds: list[None] = []
    engine._db.set_progress_handler(lambda: hundreds.append(None), 100)
    LOOKS[look](large)
    engine._db.set_progress_handler(None, 100)
    assert len(hundreds) < 20, "of SQLite's steps; through all rows it is more than 100"


def test_an_archive_that_was_made_before_is_told_what_grows_large(tmp_path: Path) -> None:
    path = tmp_path / "archive.sqlite"
    Archive.open(path).close()
    db = sqlite3.connect(path)
    told = db.execute("SELECT * FROM sqlite_stat1").fetchall()
    db.execute("DELETE FROM sqlite_stat1 WHERE tbl = 'log'")
    db.execute("UPDATE sqlite_stat1 SET stat = '7 7 7 7 1' WHERE idx = 'facts'")
    db.commit()
    Archive.open(path).close()
    again = db.execute("SELECT * FROM sqlite_stat1").fetchall()
    db.close()
    assert {row[:2] for row in again} == {row[:2] for row in told}
    assert ("facts", "facts", "7 7 7 7 1") in again, "what somebody had it measure stays"


def test_what_was_there_at_a_number_is_told_beside_what_is_there(place: Place) -> None:
    archive = Archive.open(place)

    def change(**wanted: str | None) -> None:
        with archive.transaction():
            archive.apply_changes(
                "site", [RecordChange("vehicles", k, body) for k, body in wanted.items()], AT
            )

    with archive.transaction():
        archive.add_scope("site")
    change(a="1", b="1", c="1", d="1")
    change(d=None)
    change(a="2", b=None, e="1", d="2")
    change(a="3")
    with archive.transaction():
        told = set(archive.records_now_and_then("site", epoch(archive), 5))
    assert told == {
        ("vehicles", "a", "3", "1"),
        ("vehicles", "b", None, "1"),
        ("vehicles", "e", "1", None),
        ("vehicles", "d", "2", None),
    }
    archive.close()


# --- what is looked up by ---------------------------------------------------------------------------------


def wide(length: int, seed: int) -> str:
    return "".join(random.Random(seed).choices(WIDE, k=length))


@pytest.mark.parametrize(("length", "parked"), [(200, 0), (2_500, 3)])
def test_ids_as_long_as_may_be_are_stored_and_longer_ones_are_kept_unread(
    place: Place, length: int, parked: int
) -> None:
    """PostgreSQL takes no index entry of more than 2,704 bytes: a fact that needs one would never be taken,
    and its stream would stand still for ever."""
    device = Device()
    bench = Bench(place, device)
    said = [
        device.say(CommandTaken(command_id=wide(length, 1), kind="resync", outcome="done")),
        device.say(OrderTaken(order_no=wide(length, 2), officers=("1",))),
        device.say(UsesReturned(1, (wide(length, 3),), wide(length, 4), "")),
    ]
    answer = bench.receiver.receive(TOPICS.facts(device.name, Stream.ROUTINE), device.batch(said), AT)
    assert acks(answer)[ROUTINE].contiguous == 3
    assert bench.rows("SELECT count(*) FROM parked") == [(parked,)]
    bench.archive.close()


def test_a_long_finding_is_an_alarm_once_and_cut(place: Place) -> None:
    archive = Archive.open(place)
    for _ in range(2):
        with archive.transaction():
            archive.add_alarm_once(AT, "lane-1", "double_use", wide(5_000, 5))
    ((_, _, _, detail),) = archive.alarms(5)
    assert wide(5_000, 5).startswith(detail)
    archive.close()


# --- what a device can make large -------------------------------------------------------------------------


def test_a_device_that_leaves_out_fact_after_fact_is_taken_up_to_a_bound_and_goes_on_when_it_fills_them(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sync.hub.taking.MAX_RUNS", 3)
    device = Device()
    bench = Bench(place, device)
    said = device.chatter(12)
    taken = [bool(bench.facts(device, device.batch([said[index]]))) for index in (1, 3, 5, 7, 9)]
    assert taken == [True, True, True, False, False]
    assert bench.receiver.counts.refused == 2
    assert "expected 1 first" in bench.rows("SELECT detail FROM hub_alarms")[0][0]
    ack = acks(bench.facts(device, device.batch([said[0]])))[ROUTINE]
    assert (ack.contiguous, ack.missing) == (2, ((3, 3), (5, 5)))
    assert acks(bench.facts(device, device.batch(said)))[ROUTINE].contiguous == 12
    bench.archive.close()


def test_the_bytes_of_all_blobs_are_added_up_without_a_look_at_each(tmp_path: Path) -> None:
    archive = Archive.open(tmp_path / "archive.sqlite")
    plan = archive._db.execute(
        "EXPLAIN QUERY PLAN SELECT coalesce(sum(size_bytes), 0) FROM blobs "
        "WHERE state = 'stored' AND (device = ? OR CAST(? AS TEXT) = '')",
        ("", ""),
    ).fetchall()
    assert [row[3] for row in plan] == ["SEARCH blobs USING COVERING INDEX blobs_by_size (state=?)"]
    archive.close()
