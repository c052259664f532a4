"""Records down: every change once, in order, signed, bounded; a puller always catches up (G5)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync.hub.archive import Archive, RecordChange
from sync.hub.comparing import Difference, ScopeUnknown, different_rows, edge_digest, hub_digest
from sync.hub.terms import Limits
from sync.link.messages import MAX_PAYLOAD_BYTES, ChangeOp, FeedBatch, FeedHead
from sync.store.records import Records, new_generation
from sync.vocabulary.codec import to_json
from sync.vocabulary.numbers import EnterpriseCode
from sync.vocabulary.records import CreditTier, Enterprise
from tests.postgres import Place
from tests.unit.test_hub_device import AT, TOPICS, Bench, Device, at, feed, heads


def key(number: int) -> str:
    return f"K{number:09d}"


def body(number: int, size: int = 0) -> str:
    enterprise = Enterprise(
        code=EnterpriseCode(key(number)), name="豫" * size, tier=CreditTier.HIGH, spot_check_per_mille=5
    )
    return to_json(enterprise).decode()


def put(archive: Archive, *numbers: int, size: int = 0, scope: str = "site") -> None:
    changes = [RecordChange("enterprises", key(number), body(number, size)) for number in numbers]
    with archive.transaction():
        archive.apply_changes(scope, changes, AT)


def delete(archive: Archive, *numbers: int) -> None:
    with archive.transaction():
        archive.apply_changes("site", [RecordChange("enterprises", key(n), None) for n in numbers], AT)


@pytest.fixture
def device() -> Device:
    return Device()


@pytest.fixture
def bench(place: Place, device: Device) -> Bench:
    return Bench(place, device, limits=Limits(head_every_s=60, pull_batches=3, feed_batches=4))


def numbers(batches: list[FeedBatch]) -> list[int]:
    return [change.number for batch in batches for change in batch.changes]


def pulled(bench: Bench, device: Device, epoch: str, after: int) -> list[FeedBatch]:
    return feed(bench.receiver.receive(TOPICS.pull("lane-in"), device.pull("site", epoch, after), AT))


def epoch_of(bench: Bench) -> str:
    scope = bench.archive.scope("site")
    assert scope is not None
    return scope.epoch


# --- publishing -------------------------------------------------------------------------------------------


def test_new_rows_are_published_once_in_order_and_followed_by_their_head(bench: Bench) -> None:
    bench.receiver.tick(at(0))
    importer = Archive.open(bench.place)
    put(importer, 1, 2, 3)
    delete(importer, 2)
    outgoing = bench.receiver.tick(at(1))
    (batch,) = feed(outgoing)
    assert (batch.scope, batch.epoch, batch.first, batch.last) == ("site", epoch_of(bench), 1, 4)
    assert [(c.number, c.op, c.key) for c in batch.changes] == [
        (1, ChangeOp.PUT, key(1)),
        (2, ChangeOp.PUT, key(2)),
        (3, ChangeOp.PUT, key(3)),
        (4, ChangeOp.DELETE, key(2)),
    ]
    assert batch.changes[0].body == body(1)
    (head,) = heads(outgoing)
    assert (head.number, head.rows) == (4, 2)
    assert [(m.topic, m.retain) for m in outgoing] == [
        (TOPICS.feed("site"), False),
        (TOPICS.feed_head("site"), True),
    ]
    assert bench.receiver.tick(at(2)) == []
    put(importer, 4)
    assert numbers(feed(bench.receiver.tick(at(3)))) == [5]
    importer.close()


def test_a_head_is_issued_again_after_its_time(bench: Bench) -> None:
    (first,) = heads(bench.receiver.tick(at(0)))
    assert bench.receiver.tick(at(59)) == []
    (second,) = heads(bench.receiver.tick(at(60)))
    assert (first.issued, second.issued) == (at(0), at(60))


def test_the_date_of_a_head_never_goes_back_even_when_the_clock_and_the_hub_do(bench: Bench) -> None:
    issued = [heads(bench.receiver.tick(at(3600)))[0].issued]
    bench.restart()
    issued.append(heads(bench.receiver.tick(at(0)))[0].issued)
    put(bench.archive, 1)
    issued.append(heads(bench.receiver.tick(at(1)))[0].issued)
    assert issued == [
        "2026-01-31T09:00:00.000000Z",
        "2026-01-31T09:00:00.000001Z",
        "2026-01-31T09:00:00.000002Z",
    ]


def test_a_clock_set_back_does_not_stop_the_heads(bench: Bench) -> None:
    bench.receiver.tick(at(3600))
    assert len(heads(bench.receiver.tick(at(0)))) == 1


def test_payloads_stay_within_their_bound_whatever_the_records_hold(bench: Bench) -> None:
    put(bench.archive, *range(1, 200), size=120)
    quoted = [
        RecordChange("enterprises", f"q{n}", '{"name":"' + '\\"\\\\\\n' * 120 + '"}') for n in range(200)
    ]
    with bench.archive.transaction():
        bench.archive.apply_changes("site", quoted, AT)
    outgoing = [message for second in range(20) for message in bench.receiver.tick(at(second))]
    assert numbers(feed(outgoing)) == list(range(1, 400))
    sizes = [len(message.payload) for message in outgoing if message.topic == TOPICS.feed("site")]
    assert max(sizes) <= MAX_PAYLOAD_BYTES
    assert min(sizes[:-1]) > 0.9 * MAX_PAYLOAD_BYTES


def test_a_large_import_is_published_over_several_ticks_and_headed_at_the_end(bench: Bench) -> None:
    put(bench.archive, *range(1, 1501), size=100)
    seen: list[int] = []
    headed: list[FeedHead] = []
    ticks = 0
    while not headed:
        outgoing = bench.receiver.tick(at(ticks))
        assert len(feed(outgoing)) <= 4
        seen += numbers(feed(outgoing))
        headed += heads(outgoing)
        ticks += 1
    assert ticks > 1
    assert seen == list(range(1, 1501))
    assert headed[0].number == 1500


def test_what_was_logged_before_the_hub_started_is_left_to_head_and_pull(bench: Bench) -> None:
    put(bench.archive, 1, 2)
    bench.restart()
    outgoing = bench.receiver.tick(at(0))
    assert feed(outgoing) == []
    assert [head.number for head in heads(outgoing)] == [2]


def test_each_scope_has_its_own_log_and_head(bench: Bench) -> None:
    with bench.archive.transaction():
        bench.archive.add_scope("warehouse")
    put(bench.archive, 1)
    put(bench.archive, 1, 2, scope="warehouse")
    outgoing = bench.receiver.tick(at(0))
    assert {batch.scope: batch.last for batch in feed(outgoing)} == {"site": 1, "warehouse": 2}
    assert {head.scope: head.number for head in heads(outgoing)} == {"site": 1, "warehouse": 2}


# --- pulling ----------------------------------------------------------------------------------------------


def test_a_pull_is_answered_on_the_devices_own_topic_from_where_it_stands(
    bench: Bench, device: Device
) -> None:
    put(bench.archive, 1, 2, 3)
    outgoing = bench.receiver.receive(TOPICS.pull("lane-in"), device.pull("site", epoch_of(bench), 1), AT)
    assert [message.topic for message in outgoing] == [TOPICS.batch("lane-in")]
    assert numbers(feed(outgoing)) == [2, 3]


@pytest.mark.parametrize(("epoch", "after"), [("", 0), ("f" * 32, 2), ("own", 99)])
def test_a_pull_from_another_epoch_or_from_nowhere_is_answered_from_the_beginning(
    bench: Bench, device: Device, epoch: str, after: int
) -> None:
    put(bench.archive, 1, 2, 3)
    asked = {"own": epoch_of(bench)}.get(epoch, epoch)
    batches = pulled(bench, device, asked, after)
    assert numbers(batches) == [1, 2, 3]
    assert {batch.epoch for batch in batches} == {epoch_of(bench)}


def test_a_pull_at_the_head_is_answered_with_the_head(bench: Bench, device: Device) -> None:
    put(bench.archive, 1)
    outgoing = bench.receiver.receive(TOPICS.pull("lane-in"), device.pull("site", epoch_of(bench), 1), AT)
    assert feed(outgoing) == []
    assert [head.number for head in heads(outgoing)] == [1]


def test_an_answer_is_bounded_and_pulling_on_reaches_the_end(bench: Bench, device: Device) -> None:
    put(bench.archive, *range(1, 1501), size=100)
    seen: list[int] = []
    pulls = 0
    while not seen or seen[-1] < 1500:
        batches = pulled(bench, device, epoch_of(bench), seen[-1] if seen else 0)
        assert len(batches) <= 3
        seen += numbers(batches)
        pulls += 1
    assert pulls > 2
    assert seen == list(range(1, 1501))


def test_a_pull_from_far_behind_does_not_copy_the_whole_log_aside(
    bench: Bench, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cursor of PostgreSQL that outlives its transaction (WITH HOLD) holds the whole answer first."""
    put(bench.archive, *range(1, 101), size=400)
    engine, begun = type(bench.archive.engine), []

    def stream(self: Any, sql: str, parameters: Any = ()) -> Iterator[Any]:
        if " FROM log " in sql:
            begun.append(self.begun())
        return of_engine(self, sql, parameters)

    of_engine = engine.stream
    monkeypatch.setattr(engine, "stream", stream)
    assert numbers(pulled(bench, device, epoch_of(bench), 0))
    assert begun == [True]


# --- both ends equal --------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(st.booleans(), st.lists(st.integers(1, 30), min_size=1, max_size=6), st.integers(0, 2)),
        max_size=8,
    )
)
def test_a_device_that_applies_the_log_has_the_hubs_count_and_digest(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[bool, list[int], int]]
) -> None:
    device = Device()
    bench = Bench(tmp_path_factory.mktemp("hub"), device)
    for puts, keys, size in steps:
        if puts:
            put(bench.archive, *keys, size=size)
        else:
            delete(bench.archive, *keys)
    path = new_generation(tmp_path_factory.mktemp("edge"), 1, "site", epoch_of(bench))
    with Records.open(path, writable=True) as records:
        for batch in pulled(bench, device, epoch_of(bench), 0):
            records.apply(batch)
        state = records.feed_state()
    (head,) = heads(bench.receiver.tick(at(60)))
    assert (state.number, state.rows, state.digest) == (head.number, head.rows, head.digest)
    hub, edge = hub_digest(bench.archive, "site"), edge_digest(path)
    assert (hub.sound, edge.sound) == (True, True)
    assert (hub.rows, hub.digest) == (edge.rows, edge.digest)
    assert list(different_rows(bench.archive, "site", path)) == []
    bench.archive.close()


def test_rows_that_differ_between_hub_and_device_are_named(
    bench: Bench, device: Device, tmp_path: Path
) -> None:
    put(bench.archive, 1, 2, 3)
    path = new_generation(tmp_path, 1, "site", epoch_of(bench))
    with Records.open(path, writable=True) as records:
        for batch in pulled(bench, device, epoch_of(bench), 0):
            records.apply(batch)
    delete(bench.archive, 1)
    put(bench.archive, 2, size=1)
    put(bench.archive, 4)
    assert [(row.difference, row.key) for row in different_rows(bench.archive, "site", path)] == [
        (Difference.ONLY_EDGE, key(1)),
        (Difference.CHANGED, key(2)),
        (Difference.ONLY_HUB, key(4)),
    ]
    assert hub_digest(bench.archive, "site").digest != edge_digest(path).digest


def test_a_scope_the_archive_lacks_is_named_with_those_it_has(bench: Bench) -> None:
    with pytest.raises(ScopeUnknown, match="there are: site"):
        hub_digest(bench.archive, "nowhere")


def test_a_digest_that_no_longer_fits_its_rows_is_seen(bench: Bench) -> None:
    put(bench.archive, 1)
    bench.archive._db.execute("UPDATE records SET body = '{}'")
    assert not hub_digest(bench.archive, "site").sound
