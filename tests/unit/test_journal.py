"""The journal on a temporary disk: commits, acknowledgements, epochs, retention, refusals, proof."""

from __future__ import annotations

import dataclasses
import itertools
import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sync.link.envelope import runs
from sync.store.journal import (
    AckOutcome,
    BlobOwed,
    Journal,
    JournalFull,
    SpotCheckPending,
    StoreRefused,
    verify_journal,
)
from sync.store.lock import lock_path
from sync.store.opening import JOURNAL, RECORDS, statements, steps_of
from sync.store.places import first_place
from sync.store.records import new_generation
from sync.vocabulary.blobs import BlobClass
from sync.vocabulary.facts import (
    GENESIS,
    Alarm,
    AlarmCode,
    EpochBegan,
    Fact,
    FactDraft,
    FactTooLong,
    LaneClosed,
    PassageOpened,
    Stream,
    check_length,
    hash_of,
    read_body,
    seal,
)
from sync.vocabulary.numbers import SlipNo
from sync.vocabulary.uses import SlipUse, UseState

SLIP = SlipNo("Z3111I240728000000000003")
OTHER_SLIP = SlipNo("Z3111E240728000000000004")
UTC = "2026-01-31T08:00:00Z"

_counter = itertools.count(1)


def routine(passage: int = 1, time: str = UTC) -> FactDraft:
    return FactDraft(f"event-{next(_counter):09d}", Stream.ROUTINE, time, "boot", 5, PassageOpened(passage))


def alarm(time: str = UTC) -> FactDraft:
    return FactDraft(
        f"event-{next(_counter):09d}",
        Stream.ALARM,
        time,
        "boot",
        5,
        Alarm(code=AlarmCode.TAILGATER, passage=1),
    )


def closed(why: str) -> FactDraft:
    return FactDraft(f"event-{next(_counter):09d}", Stream.ROUTINE, UTC, "boot", 5, LaneClosed(why))


def seal_of(why: str) -> Fact:
    return seal(closed(why), device="lane-1", epoch="e" * 32, seq=1, position=1, prev=GENESIS)


def use(use_id: str, state: UseState = UseState.RESERVED, slip: SlipNo = SLIP, passage: int = 1) -> SlipUse:
    return SlipUse(use_id, slip, passage, "claim", state)


def open_journal(path: Path, **more: object) -> Journal:
    return Journal.open(path, device="lane-1", utc=lambda: UTC, **more)  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    with open_journal(path) as journal:
        yield journal


def held(journal: Journal, stream: Stream, epoch: str | None = None) -> tuple[Fact, ...]:
    return journal.facts_from(stream, 1, max_facts=100_000, max_bytes=10**9, epoch=epoch)


def acknowledge(
    journal: Journal, fact: Fact, *, counter: int, archive_id: str = "archive-a", **wrong: object
) -> AckOutcome:
    """By the first archive there is, or by the one the journal has met since."""
    if not journal.archive_id():
        journal.meet_archive(archive_id)
    fields = {
        "archive_id": archive_id,
        "counter": counter,
        "epoch": fact.epoch,
        "stream": fact.stream,
        "contiguous": fact.seq,
        "hash": fact.hash,
    }
    return journal.apply_ack(**(fields | wrong))  # type: ignore[arg-type]


# --- commits ----------------------------------------------------------------------------------------------


def test_acknowledgements_are_written_unsynced_and_what_a_lane_commits_always_synced(path: Path) -> None:
    with open_journal(path) as journal:
        (fact,) = journal.commit([routine(1)])
        assert acknowledge(journal, fact, counter=1) is AckOutcome.APPLIED
        assert journal._writer is not None
        assert journal._noter is not None
        said: list[str] = []
        journal._writer.set_trace_callback(said.append)
        (later,) = journal.commit([routine(2)])
        assert acknowledge(journal, later, counter=2) is AckOutcome.APPLIED
        journal._writer.set_trace_callback(None)
        assert [sql for sql in said if sql.startswith("UPDATE heads SET acked")] == []
        levels = [db.execute("PRAGMA synchronous").fetchone()[0] for db in (journal._writer, journal._noter)]
        assert levels == [2, 1]
    with open_journal(path) as journal:
        assert journal.acked()[Stream.ROUTINE] == 2
    assert verify_journal(path) == []


def test_an_acknowledgement_that_says_nothing_new_touches_no_disk(journal: Journal, path: Path) -> None:
    (fact,) = journal.commit([routine(1)])
    acknowledge(journal, fact, counter=1)
    with closing(sqlite3.connect(path)) as onlooker:
        before = onlooker.execute("PRAGMA data_version").fetchone()
        assert acknowledge(journal, fact, counter=7) is AckOutcome.APPLIED
        assert onlooker.execute("PRAGMA data_version").fetchone() == before
    assert acknowledge(journal, fact, counter=5) is AckOutcome.OLDER
    (later,) = journal.commit([routine(2)])
    assert acknowledge(journal, later, counter=8) is AckOutcome.APPLIED
    assert journal.acked()[Stream.ROUTINE] == 2


def test_uses_and_pending_checks_of_many_slips_and_plates_are_read_together(journal: Journal) -> None:
    slips = [SlipNo(f"Z3111I240728{number:012d}") for number in range(120)]
    uses = [use(f"u{number:03d}", slip=slip, passage=number) for number, slip in enumerate(slips)]
    pending = [SpotCheckPending(f"豫A{number:05d}", "330260A000", "2026-01-31") for number in range(60)]
    journal.commit([], uses=uses, spot_checks=pending)
    found, checks = journal.known_of(slips[1:], [check.plate for check in pending] + ["豫B00001"])
    assert found == tuple(uses[1:])
    assert checks == {check.plate: check for check in pending}
    assert journal.known_of((), ()) == ((), {})


def test_a_new_journal_begins_an_epoch_whose_first_fact_says_so(journal: Journal) -> None:
    (first,) = held(journal, Stream.ALARM)
    body = read_body(first.body)
    assert body.data == EpochBegan(why="store made", old_epoch="", old_heads={})
    assert (first.seq, first.position, body.prev) == (1, 1, GENESIS)
    assert journal.heads()[Stream.ROUTINE].seq == 0
    assert len(journal.epoch) == len(journal.store_id) == 32


def test_facts_are_chained_per_stream_and_numbered_over_all(journal: Journal) -> None:
    first, second, third = journal.commit([routine(1), alarm(), routine(2)])
    assert [fact.position for fact in (first, second, third)] == [2, 3, 4]
    assert [fact.seq for fact in (first, second, third)] == [1, 2, 2]
    assert read_body(first.body).prev == GENESIS
    assert read_body(third.body).prev == first.hash
    assert third.hash == hash_of(third.body)
    assert journal.heads()[Stream.ROUTINE].hash == third.hash
    assert journal.position() == 4
    assert held(journal, Stream.ROUTINE) == (first, third)


def test_what_was_committed_is_there_after_opening_again(path: Path) -> None:
    with open_journal(path) as journal:
        facts = journal.commit(
            [routine(7)],
            uses=[use("u1")],
            lane_state=b"\x00state",
            spot_checks=[SpotCheckPending("豫A12345", "4101234567", "2026-01-31")],
        )
        before = journal.standing()
    with open_journal(path) as journal:
        assert journal.standing() == before
        assert held(journal, Stream.ROUTINE) == facts
        assert journal.uses_of([SLIP]) == (use("u1"),)
        assert journal.lane_state() == b"\x00state"
        assert journal.pending_spot_check("豫A12345") == SpotCheckPending(
            "豫A12345", "4101234567", "2026-01-31"
        )


def test_a_use_is_replaced_by_its_id_and_is_open_until_crossed_or_returned(journal: Journal) -> None:
    journal.commit([], uses=[use("u2", passage=2), use("u1"), use("u3", slip=OTHER_SLIP, passage=3)])
    journal.commit([], uses=[use("u1", UseState.RAISED), use("u2", UseState.RETURNED, passage=2)])
    assert [open_.use_id for open_ in journal.open_uses()] == ["u1", "u3"]
    assert journal.uses_of([SLIP]) == (use("u1", UseState.RAISED), use("u2", UseState.RETURNED, passage=2))
    assert [found.use_id for found in journal.uses_of([OTHER_SLIP, SLIP, SLIP])] == ["u1", "u2", "u3"]
    journal.commit([], uses=[use("u1", UseState.CROSSED)])
    assert [open_.use_id for open_ in journal.open_uses()] == ["u3"]


def test_a_pending_spot_check_stays_until_it_is_discharged(journal: Journal) -> None:
    pending = SpotCheckPending("豫A12345", "4101234567", "2026-01-31")
    journal.commit([], spot_checks=[pending])
    journal.commit([routine()])
    assert journal.pending_spot_check("豫A12345") == pending
    assert journal.pending_spot_check("豫A99999") is None
    renewed = dataclasses.replace(pending, day="2026-02-01")
    journal.commit([], discharged=["豫A12345"], spot_checks=[renewed])
    assert journal.pending_spot_check("豫A12345") == renewed
    journal.commit([], discharged=["豫A12345"])
    assert journal.pending_spot_check("豫A12345") is None


def test_a_commit_of_nothing_writes_nothing(journal: Journal) -> None:
    before = journal.standing()
    assert journal.commit([]) == ()
    assert journal.standing() == before


def test_the_lane_state_alone_may_be_replaced(journal: Journal) -> None:
    assert journal.lane_state() is None
    journal.commit([], lane_state=b"one")
    journal.commit([], lane_state=b"")
    assert journal.lane_state() == b""


def test_a_page_of_facts_is_bounded_by_count_and_bytes_but_never_empty(journal: Journal) -> None:
    facts = journal.commit([routine(n) for n in range(1, 11)])
    size = len(facts[0].body.encode())
    assert journal.facts_from(Stream.ROUTINE, 3, max_facts=2, max_bytes=10**6) == facts[2:4]
    assert journal.facts_from(Stream.ROUTINE, 1, max_facts=100, max_bytes=3 * size) == facts[:3]
    assert journal.facts_from(Stream.ROUTINE, 5, max_facts=100, max_bytes=1) == facts[4:5]
    assert journal.facts_from(Stream.ROUTINE, 11, max_facts=100, max_bytes=10**6) == ()
    assert held(journal, Stream.ROUTINE, "never was") == ()


def test_a_draft_that_cannot_be_written_changes_nothing(journal: Journal) -> None:
    before = journal.standing()
    broken = FactDraft("event-\ud800", Stream.ROUTINE, UTC, "boot", 5, PassageOpened(1))
    with pytest.raises(UnicodeEncodeError):
        journal.commit([routine(), broken])
    assert journal.standing() == before
    journal.commit([routine()])
    assert verify_journal(journal.path) == []


def test_the_write_ahead_log_is_synced_at_every_commit(journal: Journal) -> None:
    assert journal._writer is not None
    pragmas = {
        name: journal._writer.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "application_id", "user_version")
    }
    assert pragmas == {
        "journal_mode": "wal",
        "synchronous": 2,
        "application_id": JOURNAL.application_id,
        "user_version": len(steps_of(JOURNAL)),
    }


# --- a failing disk ---------------------------------------------------------------------------------------


def fill(journal: Journal) -> None:
    """From now on the file cannot grow by more than a page or two."""
    assert journal._writer is not None
    pages = journal._writer.execute("PRAGMA page_count").fetchone()[0]
    journal._writer.execute(f"PRAGMA max_page_count={pages + 1}")


def make_room(journal: Journal) -> None:
    assert journal._writer is not None
    journal._writer.execute("PRAGMA max_page_count=1000000")


def test_a_full_disk_refuses_the_commit_whole_and_takes_it_when_there_is_room(path: Path) -> None:
    with open_journal(path) as journal:
        kept = journal.commit([routine(1)], uses=[use("u1")], lane_state=b"before")
        fill(journal)
        before = journal.standing()
        with pytest.raises(JournalFull, match="make room"):
            journal.commit(
                [routine(n) for n in range(200)],
                uses=[use("u1", UseState.RAISED), use("u2")],
                lane_state=b"after",
            )
        assert journal.standing() == before
        assert held(journal, Stream.ROUTINE) == kept
        assert journal.uses_of([SLIP]) == (use("u1"),)
        assert journal.lane_state() == b"before"
        make_room(journal)
        (later,) = journal.commit([routine(2)])
        assert (later.seq, read_body(later.body).prev) == (2, kept[0].hash)
    assert verify_journal(path) == []


def test_a_full_disk_refuses_a_new_epoch_whole(journal: Journal) -> None:
    facts = journal.commit([routine(n) for n in range(200)])
    fill(journal)
    before = journal.standing()
    with pytest.raises(JournalFull):
        journal.begin_epoch("restored")
    assert journal.standing() == before
    assert journal.backlog()[Stream.ROUTINE] == 200
    make_room(journal)
    journal.begin_epoch("restored")
    assert [fact.event_id for fact in held(journal, Stream.ROUTINE)] == [fact.event_id for fact in facts]
    assert verify_journal(journal.path) == []


def test_a_disk_below_its_reserve_refuses_commits_but_not_the_end_of_what_is_under_way(path: Path) -> None:
    free = [1_000_000]
    with open_journal(path, reserve_bytes=500_000, free_bytes=lambda: free[0]) as journal:
        journal.commit([routine()])
        free[0] = 499_999
        refused = 0
        for _ in range(20):
            try:
                journal.commit([routine()])
            except JournalFull:
                refused += 1
        assert refused >= 4
        before = journal.standing()
        with pytest.raises(JournalFull, match="reserve"):
            journal.commit([routine()])
        assert journal.standing() == before
        (last,) = journal.commit([routine()], into_reserve=True)
        assert acknowledge(journal, last, counter=1) is AckOutcome.APPLIED
        free[0] = 500_000
        journal.commit([routine()])


def test_heads_move_only_when_the_facts_are_durable(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    during = []
    move_heads = Journal._move_heads

    def looked_at(*arguments: object) -> None:
        during.append((journal.standing(), held(journal, Stream.ROUTINE), journal.backlog()))
        move_heads(*arguments)  # type: ignore[arg-type]

    before = (journal.standing(), held(journal, Stream.ROUTINE), journal.backlog())
    monkeypatch.setattr(Journal, "_move_heads", staticmethod(looked_at))
    journal.commit([routine(), alarm()])
    assert during == [before]
    assert journal.position() == before[0].position + 2


def test_an_interruption_in_mid_commit_leaves_nothing_of_it(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = journal.standing()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "_move_heads", staticmethod(interrupted))
        with pytest.raises(KeyboardInterrupt):
            journal.commit([routine()], lane_state=b"half")
    assert journal.standing() == before
    assert journal.lane_state() is None
    journal.commit([routine()])
    assert verify_journal(journal.path) == []


def test_an_interruption_right_after_the_commit_leaves_memory_in_step_with_the_file(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "_settle", interrupted)
        with pytest.raises(KeyboardInterrupt):
            journal.commit([routine(1)])
    (second,) = journal.commit([routine(2)])
    assert second.seq == 2
    assert verify_journal(journal.path) == []


# --- acknowledgements -------------------------------------------------------------------------------------


def test_an_acknowledgement_counts_only_with_our_own_hash(journal: Journal) -> None:
    facts = journal.commit([routine(1), routine(2), routine(3)])
    assert acknowledge(journal, facts[1], counter=1, hash="0" * 63 + "1") is AckOutcome.DIFFERS
    assert journal.acked()[Stream.ROUTINE] == 0
    assert acknowledge(journal, facts[1], counter=2) is AckOutcome.APPLIED
    assert journal.acked() == {Stream.ALARM: 0, Stream.ROUTINE: 2}
    assert journal.backlog() == {Stream.ALARM: 1, Stream.ROUTINE: 1}


def test_an_acknowledgement_of_nothing_names_the_beginning(journal: Journal) -> None:
    (fact,) = journal.commit([routine()])
    assert acknowledge(journal, fact, counter=1, contiguous=0, hash=GENESIS) is AckOutcome.APPLIED
    assert acknowledge(journal, fact, counter=2, contiguous=0, hash=fact.hash) is AckOutcome.DIFFERS


def test_an_older_acknowledgement_changes_nothing_and_a_repeated_one_is_welcome(journal: Journal) -> None:
    facts = journal.commit([routine(1), routine(2)])
    assert acknowledge(journal, facts[1], counter=5) is AckOutcome.APPLIED
    assert acknowledge(journal, facts[0], counter=4) is AckOutcome.OLDER
    assert acknowledge(journal, facts[0], counter=5) is AckOutcome.OLDER
    assert acknowledge(journal, facts[1], counter=5) is AckOutcome.APPLIED
    assert journal.acked()[Stream.ROUTINE] == 2


def test_an_acknowledgement_of_facts_we_do_not_have_is_ahead(journal: Journal) -> None:
    (fact,) = journal.commit([routine()])
    assert acknowledge(journal, fact, counter=1, contiguous=2) is AckOutcome.AHEAD
    assert journal.acked()[Stream.ROUTINE] == 0


def test_an_acknowledgement_of_another_epoch_is_told_apart(journal: Journal) -> None:
    (fact,) = journal.commit([routine()])
    assert acknowledge(journal, fact, counter=1, epoch="never was") is AckOutcome.OTHER_EPOCH
    journal.begin_epoch("test")
    assert acknowledge(journal, fact, counter=2) is AckOutcome.OTHER_EPOCH
    assert journal.backlog()[Stream.ROUTINE] == 1


def test_a_centre_that_lost_facts_is_owed_them_again(journal: Journal) -> None:
    facts = journal.commit([routine(n) for n in range(5)])
    acknowledge(journal, facts[4], counter=7)
    assert acknowledge(journal, facts[1], counter=8) is AckOutcome.APPLIED
    assert journal.acked()[Stream.ROUTINE] == 2


def test_a_restored_centre_with_a_new_archive_is_refilled_and_the_old_archive_has_no_say(
    journal: Journal,
) -> None:
    facts = journal.commit([routine(n) for n in range(5)])
    assert acknowledge(journal, facts[4], counter=100, archive_id="archive-a") is AckOutcome.APPLIED
    assert journal.meet_archive("archive-b", counter=1)
    assert journal.acked()[Stream.ROUTINE] == 0
    assert acknowledge(journal, facts[1], counter=1, archive_id="archive-b") is AckOutcome.APPLIED
    assert journal.acked()[Stream.ROUTINE] == 2
    assert acknowledge(journal, facts[4], counter=101, archive_id="archive-a") is AckOutcome.OLDER
    assert journal.acked()[Stream.ROUTINE] == 2


def test_acknowledgements_outlive_a_restart(path: Path) -> None:
    with open_journal(path) as journal:
        facts = journal.commit([routine(1), routine(2)])
        acknowledge(journal, facts[0], counter=3)
    with open_journal(path) as journal:
        assert journal.acked()[Stream.ROUTINE] == 1
        assert acknowledge(journal, facts[1], counter=2) is AckOutcome.OLDER
        journal.meet_archive("archive-b", counter=9)
        assert acknowledge(journal, facts[1], counter=9, archive_id="archive-b") is AckOutcome.APPLIED
    with open_journal(path) as journal:
        assert acknowledge(journal, facts[1], counter=99, archive_id="archive-a") is AckOutcome.OLDER


# --- epochs -----------------------------------------------------------------------------------------------


def test_a_new_epoch_names_the_old_heads_and_issues_what_is_owed_again_in_order(journal: Journal) -> None:
    facts = journal.commit([routine(1), routine(2), alarm(), routine(3), alarm()])
    acknowledge(journal, facts[0], counter=1)
    (made,) = held(journal, Stream.ALARM)[:1]
    acknowledge(journal, made, counter=2)
    old = journal.standing()

    journal.begin_epoch("acknowledgement ahead")

    began, *alarms = held(journal, Stream.ALARM)
    routines = held(journal, Stream.ROUTINE)
    assert read_body(began.body).data == EpochBegan(
        why="acknowledgement ahead",
        old_epoch=old.epoch,
        old_heads={stream.value: f"{head.seq}:{head.hash}" for stream, head in old.heads.items()},
    )
    again = sorted((*alarms, *routines), key=lambda fact: fact.position)
    assert [fact.event_id for fact in again] == [fact.event_id for fact in facts[1:]]
    assert [fact.position for fact in again] == [old.position + 2 + n for n in range(4)]
    assert [read_body(fact.body).data for fact in again] == [read_body(fact.body).data for fact in facts[1:]]
    assert [read_body(routines[0].body).prev, read_body(began.body).prev] == [GENESIS, GENESIS]
    assert journal.backlog() == {Stream.ALARM: 3, Stream.ROUTINE: 2}
    assert held(journal, Stream.ROUTINE, old.epoch) == (facts[0], facts[1], facts[3])
    assert verify_journal(journal.path) == []


def test_what_a_newer_program_wrote_is_issued_again_byte_for_byte(path: Path) -> None:
    with open_journal(path) as journal:
        (fact,) = journal.commit([routine()])
        body = fact.body.replace('"passage_opened"', '"kind_of_2031","unknown":[1, 2.50]').replace(
            '{"v":1', '{"v":1,"later":"字"'
        )
        assert journal._writer is not None
        journal._writer.execute(
            "UPDATE facts SET body = ?, hash = ?, kind = 'kind_of_2031' WHERE position = 2",
            (body, hash_of(body)),
        )
        journal._writer.execute("UPDATE heads SET hash = ? WHERE stream = 'routine'", (hash_of(body),))
    with open_journal(path) as journal:
        journal.begin_epoch("test")
        (again,) = held(journal, Stream.ROUTINE)
        assert '"later":"字"' in again.body
        assert again.body.endswith(
            '"data":{"type":"kind_of_2031","unknown":[1, 2.50],"passage":1,"gated":true}}'
        )
    assert verify_journal(path) == []


def test_nothing_is_issued_a_third_time_once_it_was_acknowledged(journal: Journal) -> None:
    journal.commit([routine(1), routine(2)])
    journal.begin_epoch("one")
    first, _second = held(journal, Stream.ROUTINE)
    acknowledge(journal, first, counter=1)
    journal.begin_epoch("two")
    (left,) = held(journal, Stream.ROUTINE)
    assert read_body(left.body).data == PassageOpened(2)
    assert verify_journal(journal.path) == []


def test_a_new_archive_is_owed_what_an_older_epoch_gave_only_to_the_archive_before(journal: Journal) -> None:
    given = journal.commit([routine(1), routine(2)])
    acknowledge(journal, given[1], counter=1, archive_id="archive-a")
    journal.begin_epoch("cloned")
    (fresh,) = journal.commit([routine(3)])
    acknowledge(journal, fresh, counter=2, archive_id="archive-a")

    journal.meet_archive("archive-b", counter=1)
    assert (
        acknowledge(journal, fresh, counter=1, archive_id="archive-b", contiguous=0, hash=GENESIS)
        is AckOutcome.APPLIED
    )
    assert acknowledge(journal, given[0], counter=2, archive_id="archive-b") is AckOutcome.OTHER_EPOCH
    assert acknowledge(journal, fresh, counter=3, archive_id="archive-b") is AckOutcome.DIFFERS
    journal.begin_epoch("refill")
    assert [read_body(fact.body).data for fact in held(journal, Stream.ROUTINE)] == [PassageOpened(2)]
    assert verify_journal(journal.path) == []


def test_a_copied_journal_begins_an_epoch_of_its_own(path: Path, tmp_path: Path) -> None:
    with open_journal(path) as journal:
        journal.commit([routine()])
        epoch, store = journal.epoch, journal.store_id
    elsewhere = tmp_path / "copy" / "journal.sqlite"
    elsewhere.parent.mkdir()
    shutil.copy(path, elsewhere)
    with open_journal(elsewhere) as copy:
        assert (copy.epoch == epoch, copy.store_id) == (False, store)
        assert "copied" in read_body(held(copy, Stream.ALARM)[0].body).data.why  # type: ignore[union-attr]
        assert [fact.passage for fact in held(copy, Stream.ROUTINE)] == [1]


def with_another_fact(path: Path) -> None:
    with open_journal(path) as journal:
        journal.commit([routine(2)])


def with_another_lane_state(path: Path) -> None:
    with open_journal(path) as journal:
        journal.commit([], lane_state=b"later")


def with_a_fact_before_it_was_closed(path: Path) -> None:
    """The opening that made the backup goes on; nothing is opened a second time."""


@pytest.mark.parametrize(
    "go_on", [with_another_fact, with_another_lane_state, with_a_fact_before_it_was_closed]
)
def test_a_restored_journal_begins_an_epoch(
    path: Path, tmp_path: Path, go_on: Callable[[Path], None]
) -> None:
    with open_journal(path) as journal:
        journal.commit([routine(1)])
        epoch = journal.epoch
        with closing(sqlite3.connect(tmp_path / "backup")) as backup, closing(sqlite3.connect(path)) as live:
            live.backup(backup)
        journal.commit([routine(1)] if go_on is with_a_fact_before_it_was_closed else [])
    go_on(path)
    shutil.copy(tmp_path / "backup", path)
    with open_journal(path) as restored:
        assert restored.epoch != epoch
        assert "restored" in read_body(held(restored, Stream.ALARM)[0].body).data.why  # type: ignore[union-attr]
    assert verify_journal(path) == []


def test_a_journal_that_vanished_is_named_in_the_new_ones_first_fact(path: Path) -> None:
    with open_journal(path) as journal:
        journal.commit([routine()])
        store = journal.store_id
    path.unlink()
    with open_journal(path) as journal:
        why = read_body(held(journal, Stream.ALARM)[0].body).data.why  # type: ignore[union-attr]
        assert store in why
        assert "position 2" in why


def test_opening_again_without_a_clean_close_keeps_the_epoch(path: Path) -> None:
    child = (
        "import os, sys; from pathlib import Path; from sync.store.journal import Journal;"
        "j = Journal.open(Path(sys.argv[1]), device='lane-1'); print(j.epoch, flush=True); os._exit(9)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", child, str(path)], capture_output=True, text=True, check=False
    )
    with open_journal(path) as journal:
        assert journal.epoch == ran.stdout.strip()


# --- retention --------------------------------------------------------------------------------------------

DAY_S = 86_400.0


@dataclass
class Running:
    """How long the machine has been up."""

    s: float = 0.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def running() -> Running:
    return Running()


@pytest.fixture
def timed(path: Path, running: Running) -> Iterator[Journal]:
    with open_journal(path, monotonic_s=running) as journal:
        yield journal


def test_retention_lets_go_only_of_what_has_been_acknowledged_for_long(
    timed: Journal, running: Running
) -> None:
    facts = timed.commit([routine(n) for n in range(7)])
    running.s += 30 * DAY_S
    assert timed.drop_acknowledged(DAY_S) == 0
    acknowledge(timed, facts[3], counter=1)
    assert timed.drop_acknowledged(DAY_S) == 0
    running.s += DAY_S / 2
    acknowledge(timed, facts[6], counter=2)
    assert timed.drop_acknowledged(DAY_S) == 0
    running.s += DAY_S / 2
    assert timed.drop_acknowledged(DAY_S) == 4
    assert held(timed, Stream.ROUTINE) == facts[4:]
    running.s += DAY_S / 2
    assert timed.drop_acknowledged(DAY_S) == 2
    assert held(timed, Stream.ROUTINE) == facts[6:]
    running.s += 10 * DAY_S
    assert timed.drop_acknowledged(DAY_S) == 0
    assert verify_journal(timed.path) == []


def test_no_step_of_a_clock_frees_a_fact_and_none_holds_one_back(path: Path, running: Running) -> None:
    """G7, both ways: a day of the wrong year in a fact, and in the clock that reads it."""
    clock = ["2026-01-01T00:00:00Z"]
    times = ("1999-01-01T00:00:00Z", "2099-01-01T00:00:00Z", "2026-01-01T00:00:00Z", UTC)
    with Journal.open(path, device="lane-1", utc=lambda: clock[0], monotonic_s=running) as journal:
        facts = journal.commit([routine(n, time=time) for n, time in enumerate(times)])
        acknowledge(journal, facts[3], counter=1)
        assert journal.drop_acknowledged(DAY_S) == 0
        clock[0] = "2099-12-31T00:00:00Z"
        assert journal.drop_acknowledged(DAY_S) == 0
        clock[0] = "1970-01-01T00:00:00Z"
        running.s += DAY_S
        assert journal.drop_acknowledged(DAY_S) == 3


def test_only_seconds_in_which_the_store_was_open_count_and_they_count_over_restarts(path: Path) -> None:
    for boot in range(4):
        running = Running(1_000.0 * boot)
        with open_journal(path, monotonic_s=running) as journal:
            if boot == 0:
                facts = journal.commit([routine(n) for n in range(3)])
                acknowledge(journal, facts[2], counter=1)
                journal.drop_acknowledged(DAY_S)
            running.s += DAY_S / 3 + 1.0
            assert journal.drop_acknowledged(DAY_S) == (2 if boot == 2 else 0)


def test_a_fact_stays_for_the_backup_interval_of_the_hub_however_soon_retention_would_have_it(
    timed: Journal, running: Running
) -> None:
    """G3: a fact leaves only after the hub's backup interval."""
    timed.meet_archive("archive-a", backup_interval_s=DAY_S)
    facts = timed.commit([routine(n) for n in range(3)])
    acknowledge(timed, facts[2], counter=1)
    assert timed.drop_acknowledged(0) == 0
    running.s += DAY_S - 1
    assert timed.drop_acknowledged(0) == 0
    assert not timed.meet_archive("archive-a", backup_interval_s=2 * DAY_S)
    running.s += DAY_S
    assert timed.drop_acknowledged(0) == 0
    running.s += 2.0
    assert timed.drop_acknowledged(0) == 2


def test_a_new_archive_begins_the_wait_anew(timed: Journal, running: Running) -> None:
    timed.meet_archive("archive-a", backup_interval_s=DAY_S)
    facts = timed.commit([routine(n) for n in range(3)])
    acknowledge(timed, facts[2], counter=1)
    timed.drop_acknowledged(0)
    running.s += DAY_S - 1
    timed.meet_archive("archive-b", backup_interval_s=DAY_S)
    acknowledge(timed, facts[2], counter=1, archive_id="archive-b")
    running.s += 2
    assert timed.drop_acknowledged(0) == 0
    running.s += DAY_S
    assert timed.drop_acknowledged(0) == 2


def test_retention_goes_in_bounded_steps(journal: Journal) -> None:
    facts = journal.commit([routine(n) for n in range(10)])
    acknowledge(journal, facts[9], counter=1)
    steps = [journal.drop_acknowledged(0, max_facts=4) for _ in range(4)]
    assert steps == [4, 4, 1, 0]
    assert verify_journal(journal.path) == []


def test_facts_issued_again_leave_their_old_epoch_but_stay_owed_in_the_new(journal: Journal) -> None:
    old_epoch = journal.epoch
    facts = journal.commit([routine(n) for n in range(4)])
    journal.begin_epoch("test")
    assert journal.drop_acknowledged(0) == 3
    assert held(journal, Stream.ROUTINE, old_epoch) == facts[3:]
    assert journal.backlog()[Stream.ROUTINE] == 4
    assert verify_journal(journal.path) == []


def test_a_centre_that_wants_what_retention_let_go_of_leads_to_a_new_epoch_with_all_that_is_left(
    journal: Journal,
) -> None:
    facts = journal.commit([routine(n) for n in range(4)] + [routine(5)])
    acknowledge(journal, facts[4], counter=1)
    journal.drop_acknowledged(0)
    journal.meet_archive("archive-b", counter=1)
    outcome = acknowledge(
        journal, facts[0], counter=1, archive_id="archive-b", contiguous=2, hash=facts[1].hash
    )
    assert outcome is AckOutcome.DIFFERS
    journal.begin_epoch("refill")
    assert [fact.event_id for fact in held(journal, Stream.ROUTINE)] == [facts[4].event_id]


def test_acknowledgement_at_the_edge_of_what_is_held_still_counts(journal: Journal) -> None:
    facts = journal.commit([routine(n) for n in range(4)] + [routine(5)])
    acknowledge(journal, facts[3], counter=1)
    journal.drop_acknowledged(0)
    assert acknowledge(journal, facts[3], counter=2) is AckOutcome.APPLIED
    assert acknowledge(journal, facts[3], counter=3, hash=facts[2].hash) is AckOutcome.DIFFERS


# --- archives ---------------------------------------------------------------------------------------------


def test_the_word_of_an_archive_nobody_has_met_counts_for_nothing(journal: Journal) -> None:
    (fact,) = journal.commit([routine(1)])
    word = {"counter": 1, "epoch": fact.epoch, "stream": fact.stream, "contiguous": 1, "hash": fact.hash}
    assert journal.apply_ack(archive_id="recorded", **word) is AckOutcome.OLDER  # type: ignore[arg-type]
    journal.meet_archive("live")
    assert journal.apply_ack(archive_id="recorded", **word) is AckOutcome.OLDER  # type: ignore[arg-type]
    assert journal.backlog()[Stream.ROUTINE] == 1
    assert journal.apply_ack(archive_id="live", **word) is AckOutcome.APPLIED  # type: ignore[arg-type]


def test_an_archive_met_again_after_another_is_believed_again(journal: Journal) -> None:
    """Whoever proves to speak now is the centre, also where an old database was put back by hand."""
    (fact,) = journal.commit([routine(1)])
    assert [journal.meet_archive(name) for name in ("a", "b", "b", "a")] == [True, True, False, True]
    assert acknowledge(journal, fact, counter=1, archive_id="a") is AckOutcome.APPLIED


# --- blobs ------------------------------------------------------------------------------------------------


def blob(digit: str, blob_class: BlobClass = BlobClass.ROUTINE, passage: int | None = None) -> BlobOwed:
    return BlobOwed(digit * 64, 1_000, blob_class, passage)


def test_a_blob_is_owed_with_its_fact_from_one_commit_on_and_outlives_a_kill(path: Path) -> None:
    with open_journal(path) as journal:
        journal.commit([routine(1)], blobs=[blob("a", passage=1)])
        fill(journal)
        with pytest.raises(JournalFull):
            journal.commit([routine(n) for n in range(300)], blobs=[blob("b")])
        make_room(journal)
    with open_journal(path) as journal:
        assert journal.owed_blobs(9) == (blob("a", passage=1),)
        assert journal.blobs_backlog() == (1, 1_000)


def test_evidence_of_holds_goes_first_and_in_a_class_the_oldest(journal: Journal) -> None:
    journal.commit([routine(1)], blobs=[blob("d", passage=1)])
    journal.commit([routine(2)], blobs=[blob("c", BlobClass.HELD)])
    journal.commit([routine(2)], blobs=[blob("a", passage=2)])
    assert [owed.sha256[0] for owed in journal.owed_blobs(9)] == ["c", "d", "a"]
    journal.urge_blobs(2)
    assert [owed.sha256[0] for owed in journal.owed_blobs(9)] == ["c", "a", "d"]
    assert [owed.sha256[0] for owed in journal.owed_blobs(1)] == ["c"]


def test_a_blob_is_the_centres_only_by_the_word_of_the_archive_that_counts(journal: Journal) -> None:
    journal.commit([routine(1)], blobs=[blob("a")])
    assert not journal.acknowledge_blob("a" * 64, archive_id="recorded")
    assert not journal.acknowledge_blob("a" * 64, archive_id="")
    journal.meet_archive("live")
    assert not journal.acknowledge_blob("a" * 64, archive_id="recorded")
    assert not journal.blob_acknowledged("a" * 64)
    assert journal.acknowledge_blob("a" * 64, archive_id="live")
    assert journal.blob_acknowledged("a" * 64)
    assert journal.owed_blobs(9) == ()
    assert not journal.blob_acknowledged("b" * 64)


def test_a_new_archive_is_owed_every_blob_that_is_still_here(journal: Journal) -> None:
    journal.meet_archive("a")
    journal.commit([routine(1)], blobs=[blob("a"), blob("b")])
    for digit in "ab":
        journal.acknowledge_blob(digit * 64, archive_id="a")
    journal.forget_blobs(["b" * 64])
    journal.meet_archive("b")
    assert journal.owed_blobs(9) == (blob("a"),)


def test_a_blob_that_turns_out_to_be_evidence_of_a_hold_is_told_to_the_centre_again(journal: Journal) -> None:
    """The centre keeps it longer: it has to hear of it."""
    journal.meet_archive("a")
    journal.commit([routine(1)], blobs=[blob("a", passage=4)])
    journal.acknowledge_blob("a" * 64, archive_id="a")
    journal.urge_blobs(4)
    assert journal.owed_blobs(9) == (blob("a", BlobClass.HELD, 4),)
    journal.acknowledge_blob("a" * 64, archive_id="a")
    journal.urge_blobs(4)
    assert journal.owed_blobs(9) == ()


def test_a_fact_too_long_to_travel_is_refused_where_it_is_made(journal: Journal) -> None:
    long = closed('"' * 15_500)
    with pytest.raises(FactTooLong, match="kind lane_closed would take 6"):
        journal.commit([routine(1), long], uses=[use("never")])
    assert (journal.position(), journal.uses_of([str(SLIP)])) == (1, ())
    (kept,) = journal.commit([closed('"' * 14_000)])
    assert len(list(runs([kept]))) == 1


def test_the_longest_fact_that_is_taken_fits_a_payload_also_in_a_later_epoch(journal: Journal) -> None:
    low, high = 1, 61_000
    while low < high:
        middle = (low + high + 1) // 2
        try:
            check_length(seal_of("很" * (middle // 3) + "x" * (middle % 3)))
            low = middle
        except FactTooLong:
            high = middle - 1
    journal.commit([routine(1), closed("很" * (low // 3) + "x" * (low % 3))])
    for _ in range(3):
        journal.begin_epoch("test")
    facts = held(journal, Stream.ROUTINE)
    assert sum(len(run.facts) for run in runs(facts)) == 2
    assert len(facts[1].body.encode()) > 60_000


# --- refusals ---------------------------------------------------------------------------------------------


def test_a_second_program_on_the_same_journal_is_refused(path: Path, journal: Journal) -> None:
    child = (
        "import sys; from pathlib import Path; from sync.store.journal import Journal, StoreRefused\n"
        "try: Journal.open(Path(sys.argv[1]), device='lane-1')\n"
        "except StoreRefused as error: print(error); sys.exit(7)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", child, str(path)], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, "in use by another program" in ran.stdout) == (7, True)
    with pytest.raises(StoreRefused, match="in use by another program: stop that one"):
        open_journal(path)
    journal.close()
    open_journal(path).close()


def test_another_devices_journal_is_refused(path: Path) -> None:
    open_journal(path).close()
    with pytest.raises(StoreRefused, match="journal of device 'lane-1', this program is 'lane-2'"):
        Journal.open(path, device="lane-2")
    open_journal(path).close()


def contents(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def _foreign_sqlite(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE shop (id INTEGER)")


def _text(path: Path) -> None:
    path.write_text("this is no database at all\n" * 400, encoding="utf-8")


def _records_file(path: Path) -> None:
    new_generation(path.parent, 1, "site", "epoch").rename(path)


def _too_new(path: Path) -> None:
    open_journal(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version=99")


def _cut_off(path: Path) -> None:
    with open_journal(path) as journal:
        journal.commit([routine(n) for n in range(300)])
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 8192 * 4096)


def _tail_gone(path: Path) -> None:
    with open_journal(path) as journal:
        journal.commit([routine(1), routine(2)])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM facts WHERE position = 3")
        connection.commit()


def _heads_gone(path: Path) -> None:
    open_journal(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM heads")
        connection.commit()


def _folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_foreign_sqlite, "not a journal file of kakou.*correct the path"),
        (_text, "not a journal file of kakou.*correct the path"),
        (_records_file, "not a journal file of kakou"),
        (_too_new, "newer kakou .schema 99.*install that version"),
        (_cut_off, "damaged.*start again"),
        (_tail_gone, "damaged: its last routine fact.*start again"),
        (_heads_gone, "damaged.*start again"),
        (_folder, "is a folder"),
    ],
)
def test_a_file_that_cannot_be_trusted_is_refused_with_what_to_do_and_left_alone(
    path: Path, spoil: Callable[[Path], None], says: str
) -> None:
    spoil(path)
    before = contents(path)
    with pytest.raises(StoreRefused, match=says):
        open_journal(path)
    assert contents(path) == before
    assert verify_journal(path) != []
    lock_path(path).unlink()


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreRefused, match="check that the folder exists"):
        open_journal(tmp_path / "nowhere" / "journal.sqlite")
    assert verify_journal(tmp_path / "nowhere" / "journal.sqlite") != []


def test_an_empty_file_or_a_half_made_one_becomes_a_journal(path: Path) -> None:
    path.touch()
    open_journal(path).close()
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    open_journal(path).close()
    path.unlink()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements(steps_of(JOURNAL)[0]):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id={JOURNAL.application_id}")
        connection.execute("PRAGMA user_version=1")
    with open_journal(path) as journal:
        assert journal.position() == 1
    assert verify_journal(path) == []


def test_uses_of_a_journal_that_kept_them_by_id_are_there_after_its_steps(path: Path) -> None:
    path.touch()
    before = steps_of(JOURNAL)[:3]
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for step in before:
            for statement in statements(step):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id={JOURNAL.application_id}")
        connection.execute(f"PRAGMA user_version={len(before)}")
        connection.executemany(
            "INSERT INTO uses VALUES (?, ?, ?, 'c', ?)",
            [("u1", SLIP, 1, "crossed"), ("u2", SLIP, 2, "raised"), ("u3", OTHER_SLIP, 3, "reserved")],
        )
    with open_journal(path) as journal:
        assert [found.use_id for found in journal.uses_of([SLIP])] == ["u1", "u2"]
        assert [found.use_id for found in journal.open_uses()] == ["u2", "u3"]
        journal.commit([], uses=[use("u2", UseState.CROSSED, passage=2)])
        assert [found.use_id for found in journal.open_uses()] == ["u3"]


def test_a_closed_journal_refuses_everything_but_closing(journal: Journal) -> None:
    journal.close()
    journal.close()
    for call in (
        lambda: journal.commit([routine()]),
        journal.lane_state,
        journal.heads,
        lambda: journal.begin_epoch("x"),
        lambda: held(journal, Stream.ROUTINE),
    ):
        with pytest.raises(StoreRefused, match="is closed"):
            call()


def test_every_schema_step_is_numbered_and_makes_a_file_of_its_kind() -> None:
    for kind in (JOURNAL, RECORDS):
        with closing(sqlite3.connect(":memory:")) as connection:
            for step in steps_of(kind):
                for statement in statements(step):
                    connection.execute(statement)
            assert connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] > 0


def test_the_current_generation_is_kept(path: Path) -> None:
    with open_journal(path) as journal:
        assert journal.generation() is None
        journal.set_generation(3)
    with open_journal(path) as journal:
        assert journal.generation() == 3


# --- proof ------------------------------------------------------------------------------------------------


@dataclass
class Tampering:
    """A journal of two streams, spoiled by hand behind its own back."""

    path: Path
    epoch: str
    epoch_no: int = 1

    def place(self, seq: int, stream: Stream = Stream.ROUTINE) -> int:
        return first_place(self.epoch_no, stream) + seq

    def run(self, *statements_: tuple[str, tuple[object, ...]]) -> None:
        with closing(sqlite3.connect(self.path)) as connection:
            for sql, parameters in statements_:
                connection.execute(sql, parameters)
            connection.commit()

    def row(self, seq: int) -> tuple[object, ...]:
        with closing(sqlite3.connect(self.path)) as connection:
            found: tuple[object, ...] = connection.execute(
                "SELECT * FROM facts WHERE place = ?", (self.place(seq),)
            ).fetchone()
        return found

    def put_at(self, seq: int, row: tuple[object, ...]) -> tuple[str, tuple[object, ...]]:
        return (
            "UPDATE facts SET position=?, event_id=?, kind=?, passage=?, time=?, hash=?, body=? "
            "WHERE place=?",
            (*row[1:], self.place(seq)),
        )

    def name(self, seq: int | str, stream: str = "routine") -> str:
        return f"epoch {self.epoch[:8]} {stream} {seq}"


@pytest.fixture
def tampering(path: Path) -> Tampering:
    with open_journal(path) as journal:
        facts = journal.commit([routine(n) for n in range(1, 9)])
        journal.commit([alarm()])
        acknowledge(journal, facts[5], counter=1)
        epoch = journal.epoch
    assert verify_journal(path) == []
    return Tampering(path, epoch)


def only(problems: list[str]) -> str:
    (problem,) = problems
    return problem


def test_a_flipped_bit_in_a_body_is_named(tampering: Tampering) -> None:
    for bit in range(8):
        body = str(tampering.row(4)[-1])
        spoiled = bytearray(body.encode())
        spoiled[-20] ^= 1 << bit
        tampering.run(
            ("UPDATE facts SET body = CAST(? AS TEXT) WHERE place = ?", (bytes(spoiled), tampering.place(4)))
        )
        assert f"{tampering.name(4)}: changed" in only(verify_journal(tampering.path))
        tampering.run(("UPDATE facts SET body = ? WHERE place = ?", (body, tampering.place(4))))
    assert verify_journal(tampering.path) == []


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("hash", "f" * 64),
        ("event_id", "x"),
        ("kind", "alarm"),
        ("passage", 99),
        ("time", UTC[:-1] + "9Z"),
        ("position", 77),
    ],
)
def test_a_changed_column_is_named(tampering: Tampering, column: str, value: object) -> None:
    change = f"UPDATE facts SET {column} = ? WHERE place = ?"  # noqa: S608  columns named above
    tampering.run((change, (value, tampering.place(4))))
    assert f"{tampering.name(4)}: changed" in verify_journal(tampering.path)[0]


def test_a_body_changed_with_its_hash_no_longer_fits_its_successor(tampering: Tampering) -> None:
    body = str(tampering.row(4)[-1]).replace('"gated":true', '"gated":false')
    tampering.run(
        ("UPDATE facts SET body=?, hash=? WHERE place=?", (body, hash_of(body), tampering.place(4)))
    )
    assert f"{tampering.name(5)}: does not follow {tampering.name(4)}" in only(verify_journal(tampering.path))


def test_a_whole_chain_forged_again_is_not_what_the_centre_acknowledged(tampering: Tampering) -> None:
    prev = str(tampering.row(3)[6])
    for seq in range(4, 9):
        said = json.loads(str(tampering.row(seq)[-1]))
        said["prev"] = prev
        said["data"]["gated"] = False
        body = json.dumps(said, separators=(",", ":"))
        prev = hash_of(body)
        tampering.run(("UPDATE facts SET body=?, hash=? WHERE place=?", (body, prev, tampering.place(seq))))
    tampering.run(("UPDATE heads SET hash=? WHERE stream='routine'", (prev,)))
    assert f"{tampering.name(6)}: not what the centre acknowledged" in only(verify_journal(tampering.path))


def test_a_swapped_pair_is_named(tampering: Tampering) -> None:
    third, sixth = tampering.row(3), tampering.row(6)
    tampering.run(tampering.put_at(3, sixth), tampering.put_at(6, third))
    problems = verify_journal(tampering.path)
    assert problems[0] == f"{tampering.name(3)} and 6: swapped"
    assert any("not what the centre acknowledged" in problem for problem in problems[1:])
    assert len(problems) == 2


def test_a_changed_order_is_named(tampering: Tampering) -> None:
    second, third, fourth = (tampering.row(seq) for seq in (2, 3, 4))
    tampering.run(tampering.put_at(2, third), tampering.put_at(3, fourth), tampering.put_at(4, second))
    assert verify_journal(tampering.path) == [
        f"{tampering.name(seq)}: out of order, the fact standing here says it is {said}"
        for seq, said in ((2, 3), (3, 4), (4, 2))
    ]


def test_a_gap_is_named(tampering: Tampering) -> None:
    tampering.run(("DELETE FROM facts WHERE place BETWEEN ? AND ?", (tampering.place(3), tampering.place(4))))
    assert verify_journal(tampering.path) == [f"{tampering.name('3..4')}: missing"]


def test_a_removed_tail_is_named(tampering: Tampering) -> None:
    tampering.run(("DELETE FROM facts WHERE place BETWEEN ? AND ?", (tampering.place(7), tampering.place(8))))
    assert verify_journal(tampering.path) == [f"{tampering.name('7..8')}: missing, removed from the end"]


def test_a_tail_removed_together_with_its_head_is_found_by_what_was_acknowledged(
    tampering: Tampering,
) -> None:
    tampering.run(
        ("DELETE FROM facts WHERE place BETWEEN ? AND ?", (tampering.place(6), tampering.place(8))),
        ("UPDATE heads SET seq=5, hash=?, position=6 WHERE stream='routine'", (tampering.row(5)[6],)),
    )
    assert f"{tampering.name(6)}: acknowledged by the centre, but the journal ends at 5" in verify_journal(
        tampering.path
    )


def test_a_tail_removed_together_with_its_head_is_found_by_the_other_streams_positions(
    tampering: Tampering,
) -> None:
    tampering.run(
        ("DELETE FROM facts WHERE place BETWEEN ? AND ?", (tampering.place(7), tampering.place(8))),
        ("UPDATE heads SET seq=6, hash=?, position=7 WHERE stream='routine'", (tampering.row(6)[6],)),
    )
    assert verify_journal(tampering.path) == [
        "position 8..9: missing, facts were removed and their head changed"
    ]


def test_a_last_fact_removed_with_its_head_is_found_by_the_lock_file(tampering: Tampering) -> None:
    with closing(sqlite3.connect(tampering.path)) as connection:
        (first,) = connection.execute(
            "SELECT hash FROM facts WHERE place = ?", (tampering.place(1, Stream.ALARM),)
        ).fetchone()
    tampering.run(
        ("DELETE FROM facts WHERE place = ?", (tampering.place(2, Stream.ALARM),)),
        ("UPDATE heads SET seq=1, hash=?, position=1 WHERE stream='alarm'", (first,)),
    )
    assert "lock file remembers position 10, the journal ends at 9" in only(verify_journal(tampering.path))


def test_facts_beyond_the_head_are_named(tampering: Tampering) -> None:
    tampering.run(("UPDATE heads SET seq=7, hash=? WHERE stream='routine'", (tampering.row(7)[6],)))
    assert f"{tampering.name(8)}: beyond the head" in verify_journal(tampering.path)[0]


def test_an_old_epoch_cut_short_afterwards_is_named(tampering: Tampering) -> None:
    with open_journal(tampering.path) as journal:
        journal.begin_epoch("test")
    tampering.run(
        ("DELETE FROM facts WHERE place = ?", (tampering.place(8),)),
        ("UPDATE heads SET seq=7, hash=? WHERE stream='routine' AND epoch_no=1", (tampering.row(7)[6],)),
    )
    assert f"{tampering.name(7)}: the next epoch left 8:" in "\n".join(verify_journal(tampering.path))


def test_facts_of_no_epoch_are_named(tampering: Tampering) -> None:
    tampering.run(
        (
            "UPDATE facts SET place = ? WHERE place = ?",
            (first_place(9, Stream.ROUTINE) + 8, tampering.place(8)),
        )
    )
    assert "1 facts stand under an epoch or stream that has no head row" in verify_journal(tampering.path)


def stored_facts(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT * FROM facts").fetchall()


def test_bits_flipped_anywhere_in_the_file_are_found_or_change_no_fact(tampering: Tampering) -> None:
    told = stored_facts(tampering.path)
    whole = tampering.path.read_bytes()
    found = 0
    for offset in range(100, len(whole), 397):
        spoiled = bytearray(whole)
        spoiled[offset] ^= 1 << (offset % 8)
        tampering.path.write_bytes(bytes(spoiled))
        if verify_journal(tampering.path):
            found += 1
        else:
            assert stored_facts(tampering.path) == told
    assert found > 5


def test_a_journal_is_proved_while_it_is_being_written(journal: Journal) -> None:
    for n in range(50):
        journal.commit([routine(n), alarm()])
        assert verify_journal(journal.path) == []


# --- threads ----------------------------------------------------------------------------------------------


def test_readers_beside_the_writer_see_whole_commits_in_order(journal: Journal) -> None:
    """Each commit puts two facts and the use that names them; no reader may see one without the other."""
    rounds = 150
    troubles: list[str] = []
    done = threading.Event()
    seen = 0

    def drain() -> None:
        nonlocal seen
        next_seq, prev = 1, GENESIS
        while next_seq <= 2 * rounds and not troubles:
            finished = done.is_set()
            facts = journal.facts_from(Stream.ROUTINE, next_seq, max_facts=7, max_bytes=2_000)
            for fact in facts:
                if (fact.seq, read_body(fact.body).prev) != (next_seq, prev):
                    troubles.append(f"{fact.seq} after {next_seq - 1}")
                next_seq, prev = fact.seq + 1, fact.hash
            standing = journal.standing()
            if standing.heads[Stream.ROUTINE].seq % 2:
                troubles.append(f"half a commit: {standing}")
            if facts:
                acknowledge(journal, facts[-1], counter=next_seq)
            if finished and not facts:
                break
        seen = next_seq - 1

    reader = threading.Thread(target=drain)
    reader.start()
    for n in range(rounds):
        journal.commit([routine(n), routine(n)], uses=[use(f"u{n}", passage=n)])
    done.set()
    reader.join(timeout=60)
    assert troubles == []
    assert seen == 2 * rounds
    assert journal.backlog()[Stream.ROUTINE] == 0
    assert verify_journal(journal.path) == []


def test_two_threads_that_commit_take_turns(journal: Journal) -> None:
    def work() -> None:
        for n in range(60):
            journal.commit([routine(n), alarm()])

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert journal.position() == 1 + 3 * 60 * 2
    assert verify_journal(journal.path) == []


# --- any order of operations, against a model --------------------------------------------------------------


@dataclass
class ModelEpoch:
    event_ids: dict[Stream, list[str]] = field(default_factory=lambda: {stream: [] for stream in Stream})
    acked: dict[Stream, int] = field(default_factory=lambda: dict.fromkeys(Stream, 0))


class JournalAgainstModel(RuleBasedStateMachine):
    """What was committed is there, in order, once; what is owed is exactly what was not acknowledged."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="kakou-journal-"))
        self.path = self.folder / "journal.sqlite"

    @initialize()
    def make(self) -> None:
        self.journal = open_journal(self.path)
        self.epochs = [ModelEpoch()]
        self.order: list[tuple[Stream, str]] = []
        self.uses: dict[str, SlipUse] = {}
        self.lane: bytes | None = None
        self.counter = 0
        self.journal.meet_archive("a")
        self.began()

    def began(self) -> None:
        first = self.journal.facts_from(Stream.ALARM, 1, max_facts=1, max_bytes=1)[0]
        assert first.kind == "epoch_began"
        self.epochs[-1].event_ids[Stream.ALARM].append(first.event_id)
        self.order.append((Stream.ALARM, first.event_id))

    def teardown(self) -> None:
        self.journal.close()
        shutil.rmtree(self.folder)

    def drafts(self, streams: list[Stream]) -> list[FactDraft]:
        return [alarm() if stream is Stream.ALARM else routine() for stream in streams]

    @rule(
        streams=st.lists(st.sampled_from(Stream), max_size=4),
        uses=st.dictionaries(st.sampled_from("abc"), st.sampled_from(UseState)),
        lane=st.none() | st.binary(max_size=5),
    )
    def commit(self, streams: list[Stream], uses: dict[str, UseState], lane: bytes | None) -> None:
        facts = self.journal.commit(
            self.drafts(streams), uses=[use(use_id, state) for use_id, state in uses.items()], lane_state=lane
        )
        for fact in facts:
            self.epochs[-1].event_ids[fact.stream].append(fact.event_id)
            self.order.append((fact.stream, fact.event_id))
        self.uses |= {use_id: use(use_id, state) for use_id, state in uses.items()}
        self.lane = self.lane if lane is None else lane

    @rule(streams=st.lists(st.sampled_from(Stream), min_size=1, max_size=2))
    def commit_on_a_full_disk(self, streams: list[Stream]) -> None:
        fill(self.journal)
        with pytest.raises(JournalFull):
            self.journal.commit(self.drafts(streams) * 60, uses=[use("never")], lane_state=b"never")
        make_room(self.journal)

    @rule(stream=st.sampled_from(Stream), data=st.data())
    def acknowledge(self, stream: Stream, data: st.DataObject) -> None:
        facts = held(self.journal, stream)
        seq = data.draw(st.integers(0, len(facts)))
        self.counter += 1
        outcome = self.journal.apply_ack(
            archive_id="a",
            counter=self.counter,
            epoch=self.journal.epoch,
            stream=stream,
            contiguous=seq,
            hash=facts[seq - 1].hash if seq else GENESIS,
        )
        assert outcome is AckOutcome.APPLIED
        self.epochs[-1].acked[stream] = seq

    @rule(stream=st.sampled_from(Stream), wrong=st.sampled_from(["ahead", "differs", "older", "epoch"]))
    def acknowledge_wrongly(self, stream: Stream, wrong: str) -> None:
        head = self.journal.heads()[stream]
        fields: dict[str, object] = {
            "archive_id": "a",
            "counter": self.counter + 1,
            "epoch": self.journal.epoch,
            "stream": stream,
            "contiguous": head.seq,
            "hash": head.hash,
        }
        acked = self.epochs[-1].acked[stream]
        spoiled: dict[str, tuple[dict[str, object], AckOutcome]] = {
            "ahead": ({"contiguous": head.seq + 1}, AckOutcome.AHEAD),
            "differs": ({"hash": "f" * 64}, AckOutcome.DIFFERS),
            "older": ({"counter": -1}, AckOutcome.OLDER),
            "epoch": ({"epoch": "f" * 32}, AckOutcome.OTHER_EPOCH),
        }
        change, expected = spoiled[wrong]
        assert self.journal.apply_ack(**(fields | change)) is expected  # type: ignore[arg-type]
        assert self.journal.acked()[stream] == acked

    @rule()
    def begin_epoch(self) -> None:
        left = self.epochs[-1]
        owed = {event_id for stream in Stream for event_id in left.event_ids[stream][left.acked[stream] :]}
        issued = [(stream, event_id) for stream, event_id in self.order if event_id in owed]
        self.journal.begin_epoch("test")
        self.epochs.append(ModelEpoch())
        self.order = []
        self.began()
        for stream, event_id in issued:
            self.epochs[-1].event_ids[stream].append(event_id)
            self.order.append((stream, event_id))

    @rule()
    def close_and_open(self) -> None:
        self.journal.close()
        self.journal = open_journal(self.path)

    @precondition(lambda self: len(self.epochs) > 1)
    @rule()
    def an_old_epoch_says_nothing(self) -> None:
        outcome = self.journal.apply_ack(
            archive_id="a",
            counter=self.counter + 1,
            epoch="0" * 32,
            stream=Stream.ROUTINE,
            contiguous=0,
            hash=GENESIS,
        )
        assert outcome is AckOutcome.OTHER_EPOCH

    @invariant()
    def it_is_what_the_model_says(self) -> None:
        now = self.epochs[-1]
        everything: list[Fact] = []
        for stream in Stream:
            facts = held(self.journal, stream)
            everything.extend(facts)
            assert [fact.event_id for fact in facts] == now.event_ids[stream]
            assert [fact.seq for fact in facts] == list(range(1, len(facts) + 1))
        assert self.journal.acked() == now.acked
        assert self.journal.backlog() == {
            stream: len(now.event_ids[stream]) - now.acked[stream] for stream in Stream
        }
        in_order = sorted(everything, key=lambda fact: fact.position)
        assert [(fact.stream, fact.event_id) for fact in in_order] == self.order
        assert self.journal.position() == max(fact.position for fact in everything)
        assert {found.use_id: found for found in self.journal.uses_of([SLIP])} == self.uses
        assert self.journal.lane_state() == self.lane
        assert verify_journal(self.path) == []


JournalAgainstModel.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
test_any_order_of_operations_agrees_with_the_model = JournalAgainstModel.TestCase


# --- an epoch on a large backlog --------------------------------------------------------------------------


def test_an_epoch_on_a_large_backlog_begins_at_once_and_issues_again_in_steps_over_restarts(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sync.store.journal.FACTS_ISSUED_AT_ONCE", 10)
    with open_journal(path) as journal:
        owed = journal.commit([alarm() if n % 7 == 0 else routine(n) for n in range(100)])
        journal.begin_epoch("test")
        assert journal.left_to_issue() == 91  # 100, and the fact with which the first epoch began
        (meanwhile,) = journal.commit([routine(500)])
        assert journal.issue_again(max_facts=30) == 61
        assert sum(journal.backlog().values()) == 103
    with open_journal(path) as journal:
        assert journal.left_to_issue() == 61
        (later,) = journal.commit([routine(501)])
        while journal.issue_again(max_facts=30):
            pass
        again = [fact for stream in Stream for fact in held(journal, stream)]
        ids = {fact.event_id for fact in again}
        assert {fact.event_id for fact in (*owed, meanwhile, later)} <= ids
        assert len(again) == len(ids) == 104
        in_order = [fact.event_id for fact in sorted(again, key=lambda fact: fact.position)]
        place = {event_id: at for at, event_id in enumerate(in_order)}
        assert sorted(owed, key=lambda fact: place[fact.event_id]) == list(owed)
        assert verify_journal(path) == []
        assert journal.drop_acknowledged(0) > 0


def test_what_the_centre_acknowledges_while_an_epoch_issues_again_is_not_issued_once_more(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sync.store.journal.FACTS_ISSUED_AT_ONCE", 10)
    with open_journal(path) as journal:
        facts = journal.commit([routine(n) for n in range(100)])
        journal.begin_epoch("test")
        acknowledge(journal, facts[79], counter=1)
        journal.issue_again(max_facts=5)
        assert journal.left_to_issue() == 15
        assert journal.issue_again(max_facts=99) == 0
        assert verify_journal(path) == []


def test_an_archive_met_while_an_epoch_issues_again_gets_all_it_lacks(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sync.store.journal.FACTS_ISSUED_AT_ONCE", 10)
    with open_journal(path) as journal:
        facts = journal.commit([routine(n) for n in range(60)])
        acknowledge(journal, facts[29], counter=1)
        journal.begin_epoch("test")
        journal.meet_archive("archive-b", counter=1)
        while journal.issue_again(max_facts=7):
            pass
        assert acknowledge(
            journal, facts[0], counter=2, archive_id="archive-b", contiguous=0, hash=GENESIS
        ) is (AckOutcome.OTHER_EPOCH)
        first = held(journal, Stream.ROUTINE)[0]
        assert acknowledge(journal, first, counter=3, archive_id="archive-b") is AckOutcome.DIFFERS
        journal.begin_epoch("refill")
        while journal.issue_again():
            pass
        ids = [fact.event_id for fact in held(journal, Stream.ROUTINE)]
        assert {fact.event_id for fact in facts[:30]} <= set(ids)
        assert len(ids) == len(set(ids))
        assert verify_journal(path) == []


def test_what_an_acknowledgement_passes_over_while_an_epoch_issues_again_is_owed_to_another_archive(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G4: a hub restored from backup is refilled, also with what was never issued again for its word."""
    monkeypatch.setattr("sync.store.journal.FACTS_ISSUED_AT_ONCE", 10)
    with open_journal(path) as journal:
        facts = journal.commit([routine(n) for n in range(100)])
        journal.begin_epoch("test")
        acknowledge(journal, facts[79], counter=1)
        while journal.issue_again(max_facts=7):
            pass
        assert not {fact.event_id for fact in facts[30:79]} & {
            fact.event_id for fact in held(journal, Stream.ROUTINE)
        }
        journal.meet_archive("archive-b", counter=1)
        first = held(journal, Stream.ROUTINE)[0]
        assert acknowledge(journal, first, counter=2, archive_id="archive-b") is AckOutcome.DIFFERS
        journal.begin_epoch("refill")
        while journal.issue_again():
            pass
        ids = [fact.event_id for fact in held(journal, Stream.ROUTINE)]
        assert {fact.event_id for fact in facts[10:80]} <= set(ids)
        assert verify_journal(path) == []


def test_an_acknowledgement_of_all_that_was_to_be_issued_again_ends_the_issuing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sync.store.journal.FACTS_ISSUED_AT_ONCE", 10)
    with open_journal(path) as journal:
        facts = journal.commit([routine(n) for n in range(50)])
        journal.begin_epoch("test")
        acknowledge(journal, facts[-1], counter=1)
        assert journal.left_to_issue() == 0
        journal.meet_archive("archive-b", counter=1)
        first = held(journal, Stream.ROUTINE)[0]
        assert acknowledge(journal, first, counter=2, archive_id="archive-b") is AckOutcome.DIFFERS
        journal.begin_epoch("refill")
        while journal.issue_again():
            pass
        assert {fact.event_id for fact in facts[10:]} <= {
            fact.event_id for fact in held(journal, Stream.ROUTINE)
        }


def test_what_is_being_issued_again_for_another_archive_asks_for_no_further_epoch(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_journal(path) as journal:
        facts = journal.commit([routine(n) for n in range(50)])
        acknowledge(journal, facts[-1], counter=1)
        journal.begin_epoch("test")
        journal.meet_archive("archive-b", counter=1)
        monkeypatch.setattr("sync.store.journal.FACTS_ISSUED_AT_ONCE", 10)
        (first,) = journal.commit([routine(99)])
        assert acknowledge(journal, first, counter=2, archive_id="archive-b") is AckOutcome.DIFFERS
        journal.begin_epoch("refill")
        assert journal.left_to_issue() > 20
        again = held(journal, Stream.ROUTINE)
        assert acknowledge(journal, again[3], counter=3, archive_id="archive-b") is AckOutcome.APPLIED


def test_a_backlog_is_not_copied_into_the_disks_reserve(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """G8: the reserve is for the end of what is under way."""
    monkeypatch.setattr("sync.store.journal.FACTS_ISSUED_AT_ONCE", 10)
    monkeypatch.setattr("sync.store.journal.COMMITS_PER_DISK_CHECK", 1)
    free = [1_000_000]
    with open_journal(path, reserve_bytes=500_000, free_bytes=lambda: free[0]) as journal:
        journal.commit([routine(n) for n in range(100)])
        journal.begin_epoch("test")
        left = journal.left_to_issue()
        free[0] = 499_999
        with pytest.raises(JournalFull, match="reserve"):
            journal.issue_again()
        assert journal.left_to_issue() == left
        free[0] = 500_000
        assert journal.issue_again() < left
