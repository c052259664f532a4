"""Several hub workers on one PostgreSQL archive: whatever reaches which of them, when and how often, the
archive is as if one had taken it all (G2, G3, G6); nothing is granted twice (S4); duties have one holder."""

from __future__ import annotations

import dataclasses
import itertools
import os
import random
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync.hub.archive import Archive, RecordChange
from sync.hub.engine_postgres import PostgresPlace
from sync.hub.receiver import Receiver
from sync.hub.terms import Outgoing
from sync.link.keys import KeySigner, public_pem
from sync.link.messages import Ack, Acks, ClaimAnswer, ClaimVerdict, Context
from sync.vocabulary.codec import to_json
from sync.vocabulary.facts import Alarm, AlarmCode, Stream
from sync.vocabulary.records import ReleaseSlip
from tests.postgres import IN_ONE_GROUP, Place, Postgres
from tests.unit.test_hub_claims import slip
from tests.unit.test_hub_device import AT, HUB_KEY, SITE, SLIP, TOPICS, Device, at, opened

pytestmark = IN_ONE_GROUP

ROUNDS = int(os.environ.get("KAKOU_WORKER_ROUNDS", "2"))
"""Of the tests in which workers really run at the same time; `make prove` asks for more."""

Message = tuple[str, bytes]
WITNESSES = itertools.count()

TOLD = (
    "SELECT device, epoch, stream, seq, position, event_id, kind, passage, hash, body FROM facts"
    " ORDER BY 1, 2, 3, 4",
    "SELECT device, epoch, stream, contiguous, head_hash FROM streams ORDER BY 1, 2, 3",
    "SELECT device, epoch, announced, old_epoch, old_heads FROM epochs ORDER BY 1, 2",
    "SELECT device, use_id, slip_no, claim_id, passage, state, position FROM uses ORDER BY 1, 2",
    "SELECT device, epoch, stream, seq, hash FROM branches ORDER BY 1, 2, 3, 4, 5",
)


class Worker:
    """One archive connection and receiver, as a hub process has."""

    def __init__(self, place: Place) -> None:
        self.archive = Archive.open(place, own=True)
        self.receiver = Receiver(self.archive, KeySigner(HUB_KEY, "hub"), site=SITE)

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.archive._db.execute(sql, values).fetchall()

    def claim(self, device: Device, claim_id: str, passage: int, *slips: str) -> ClaimAnswer:
        asked = device.claim(claim_id, passage, *slips)
        (answer,) = self.receiver.receive(TOPICS.claim(device.name), asked, AT)
        found: ClaimAnswer = opened(answer, Context.CLAIM_ANSWER, ClaimAnswer)
        return found

    def alarms(self, code: str) -> list[str]:
        return [detail for (detail,) in self.rows("SELECT detail FROM hub_alarms WHERE code = ?", code)]

    def told(self) -> list[list[tuple[Any, ...]]]:
        return [self.rows(sql) for sql in TOLD]


class Workers:
    """Hub processes on one archive."""

    def __init__(self, place: Place, count: int, *devices: Device) -> None:
        self.place = place
        self.all = [self.one_more() for _ in range(count)]
        enrol(self.all[0].archive, *devices)

    def one_more(self) -> Worker:
        """On a machine of its own: each keeps its own witness."""
        if isinstance(self.place, Path):
            return Worker(self.place)
        witness = self.place.witness_file.with_name(f"{next(WITNESSES)}.opened")
        return Worker(dataclasses.replace(self.place, witness_file=witness))

    def at_once(self, jobs: Sequence[Callable[[], object]]) -> None:
        """Each in a thread of its own, begun together. The first that failed is raised."""
        gate = threading.Barrier(len(jobs))
        failed: list[BaseException] = []

        def begin(job: Callable[[], object]) -> None:
            try:
                gate.wait(10)
                job()
            except BaseException as error:  # noqa: BLE001  raised below
                failed.append(error)

        threads = [threading.Thread(target=begin, args=(job,)) for job in jobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        if failed:
            raise failed[0]

    def close(self) -> None:
        for worker in self.all:
            worker.archive.close()


def enrol(archive: Archive, *devices: Device) -> None:
    with archive.transaction():
        for device in devices:
            archive.enrol(device.name, public_pem(device.private.public_key()).decode())
        archive.add_scope("site")


def record(release_slip: ReleaseSlip) -> RecordChange:
    return RecordChange("release_slips", str(release_slip.slip_no), to_json(release_slip).decode())


@pytest.fixture
def on_postgres(postgres: Postgres, tmp_path: Path) -> PostgresPlace:
    return postgres.place(tmp_path)


def spoken(name: str, passages: int = 6) -> Device:
    """A device that has much to tell: chatter, rulings and crossings in pairs, an alarm."""
    device = Device(name, epoch=name[-1] * 32)
    device.chatter(10)
    for passage in range(1, passages + 1):
        slip_no = f"Z3111I2407280000000{name[-1]}{passage:04d}"
        device.ruling(passage, [slip_no], [f"u{passage}"])
        device.crossing(passage, [f"u{passage}"])
    device.say(Alarm(code=AlarmCode.ARM_FAULT), Stream.ALARM)
    return device


def batches(device: Device, stream: Stream, size: int) -> list[Message]:
    return [(TOPICS.facts(device.name, stream), payload) for payload in device.batches(stream, size)]


def last_acks(device: Device, outgoing: Sequence[Outgoing]) -> dict[tuple[str, str], Ack]:
    """What a device that heard all of it believes: of each stream the word with the highest counter."""
    believed: dict[tuple[str, str], Ack] = {}
    for message in outgoing:
        if message.topic == TOPICS.ack(device.name):
            for ack in opened(message, Context.ACK, Acks).acks:
                key = (ack.epoch, ack.stream.value)
                if key not in believed or believed[key].counter <= ack.counter:
                    believed[key] = ack
    return believed


def straight(folder: Path, *devices: Device) -> Worker:
    """One hub of the embedded engine that took everything once and in order."""
    alone = Worker(folder / "straight.sqlite")
    enrol(alone.archive, *devices)
    for device in devices:
        for stream in Stream:
            alone.receiver.receive_all(batches(device, stream, 50), AT)
    return alone


# --- facts ------------------------------------------------------------------------------------------------


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_way_of_batches_over_one_to_four_workers_ends_in_the_same_archive_and_acknowledgements(
    postgres: Postgres, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("workers")
    device = spoken("lane-1")
    whole = [message for stream in Stream for message in batches(device, stream, 50)]
    parts = batches(device, Stream.ROUTINE, data.draw(st.integers(1, 9)))
    again = data.draw(st.lists(st.sampled_from([*whole, *parts]), max_size=8))
    story = data.draw(st.permutations([*whole, *parts, *again]))
    workers = Workers(postgres.place(folder), data.draw(st.integers(1, 4)), device)
    heard: list[Outgoing] = []
    while story:
        taken = [story.pop() for _ in range(min(len(story), data.draw(st.integers(1, 4))))]
        heard += data.draw(st.sampled_from(workers.all)).receiver.receive_all(taken, AT)
    alone = straight(folder, device)
    expected = last_acks(device, alone.receiver.born(AT))
    found = last_acks(device, heard)
    assert workers.all[-1].told() == alone.told()
    assert {key: (ack.contiguous, ack.hash, ack.missing) for key, ack in found.items()} == {
        key: (ack.contiguous, ack.hash, ack.missing) for key, ack in expected.items()
    }
    workers.close()
    alone.archive.close()


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_workers_that_take_the_same_batches_at_the_same_time_double_nothing_and_lose_nothing(
    on_postgres: PostgresPlace, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    devices = [spoken(f"lane-{number}") for number in range(1, 4)]
    workers = Workers(on_postgres, 2 + seed % 3, *devices)
    heard: list[Outgoing] = []

    def drain(worker: Worker, messages: list[Message]) -> None:
        while messages:
            some = [messages.pop() for _ in range(min(len(messages), 3))]
            heard.extend(worker.receiver.receive_all(some, AT))

    jobs = []
    for worker in workers.all:
        everything = [
            message for device in devices for stream in Stream for message in batches(device, stream, 4)
        ]
        chance.shuffle(everything)
        jobs.append(lambda w=worker, m=everything: drain(w, m))
    workers.at_once(jobs)
    alone = straight(tmp_path, *devices)
    assert sum(worker.receiver.counts.storage_faults for worker in workers.all) == 0
    assert workers.all[0].told() == alone.told()
    assert workers.all[0].rows("SELECT code, detail FROM hub_alarms") == []
    for device in devices:
        streams = {("routine", len(device.facts[Stream.ROUTINE])), ("alarm", len(device.facts[Stream.ALARM]))}
        believed = last_acks(device, heard)
        assert {(stream, ack.contiguous) for (_, stream), ack in believed.items()} == streams
    workers.close()
    alone.archive.close()


def test_what_another_worker_stored_is_not_decided_from_memory(on_postgres: PostgresPlace) -> None:
    device = Device()
    workers = Workers(on_postgres, 2, device)
    first, second = workers.all
    said = device.chatter(9)
    topic = TOPICS.facts(device.name, Stream.ROUTINE)
    for worker, facts in ((first, said[:3]), (second, said[3:6]), (first, said[6:])):
        answers = worker.receiver.receive(topic, device.batch(facts), AT)
    ack = last_acks(device, answers)[(device.epoch, "routine")]
    assert (ack.contiguous, ack.hash, ack.counter) == (9, said[8].hash, 3)
    workers.close()


def test_another_fact_under_a_number_stored_by_another_worker_is_a_branch(on_postgres: PostgresPlace) -> None:
    device, twin = Device(), Device()
    twin.private, twin.signer = device.private, device.signer
    workers = Workers(on_postgres, 2, device)
    first, second = workers.all
    topic = TOPICS.facts(device.name, Stream.ROUTINE)
    second.receiver.receive(topic, device.batch(device.chatter(1)), AT)
    first.receiver.receive(topic, device.batch(device.chatter(3)), AT)
    twin.chatter(2)
    forked = twin.say(Alarm(code=AlarmCode.ARM_FAULT))
    answers = second.receiver.receive(topic, twin.batch([forked]), AT)
    assert last_acks(device, answers)[(device.epoch, "routine")].branched == 3
    assert len(first.alarms("branch")) == 1
    workers.close()


def test_a_worker_whose_connection_was_cut_takes_nothing_then_and_everything_afterwards(
    on_postgres: PostgresPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sync.hub.engine_postgres.RECONNECT_EVERY_S", 0.0)
    device = Device()
    workers = Workers(on_postgres, 2, device)
    first, second = workers.all
    message = (TOPICS.facts(device.name, Stream.ROUTINE), device.batch(device.chatter(3)))
    own = first.rows("SELECT pg_backend_pid()")[0][0]
    second.rows("SELECT pg_terminate_backend(?)", own)
    answers = [first.receiver.receive_all([message], AT) for _ in range(2)]
    assert answers[0] == []
    assert last_acks(device, answers[1])[(device.epoch, "routine")].contiguous == 3
    assert first.receiver.counts.storage_faults == 1
    workers.close()


# --- claims (S4) ------------------------------------------------------------------------------------------


class CutsWhenItIsRefused(str):
    """A topic; while it is written down as refused, the database loses this worker's connection."""

    __slots__ = ("cut",)
    cut: Callable[[], object]

    def __str__(self) -> str:
        self.cut()
        return "refused"


def test_a_grant_whose_connection_was_lost_before_the_commit_is_not_answered(
    on_postgres: PostgresPlace,
) -> None:
    """The next message of the same turn meets the loss while its refusal is written: nobody may take the turn
    for committed."""
    lane = Device()
    workers = Workers(on_postgres, 2, lane)
    first, second = workers.all
    with first.archive.transaction():
        first.archive.apply_changes("site", [record(slip())], AT)
    own = first.rows("SELECT pg_backend_pid()")[0][0]
    topic = CutsWhenItIsRefused("nobody/knows/this/topic")
    topic.cut = lambda: second.rows("SELECT pg_terminate_backend(?)", own)
    answers = first.receiver.receive_all([(TOPICS.claim(lane.name), lane.claim("c1", 7)), (topic, b"")], AT)
    assert (answers, second.rows("SELECT * FROM claims")) == ([], [])
    assert second.claim(lane, "c2", 8).verdict is ClaimVerdict.GRANTED
    workers.close()


def test_of_two_workers_asked_for_the_last_use_of_a_slip_at_once_one_grants_it(
    on_postgres: PostgresPlace,
) -> None:
    lanes = [Device("lane-1"), Device("lane-2")]
    workers = Workers(on_postgres, 2, *lanes)
    numbers = [f"Z3111I24072800000001{number:04d}" for number in range(8 * ROUNDS)]
    with workers.all[0].archive.transaction():
        changes = [
            RecordChange("release_slips", number, to_json(slip(number)).decode()) for number in numbers
        ]
        workers.all[0].archive.apply_changes("site", changes, AT)
    for number in numbers:
        verdicts: list[ClaimVerdict] = []

        def ask(index: int, slip_no: str = number, verdicts: list[ClaimVerdict] = verdicts) -> None:
            answer = workers.all[index].claim(lanes[index], f"{slip_no}-{index}", 7, slip_no)
            verdicts.append(answer.verdict)

        workers.at_once([lambda: ask(0), lambda: ask(1)])
        assert sorted(verdicts) == [ClaimVerdict.GRANTED, ClaimVerdict.REFUSED]
    workers.close()


def test_a_claim_that_reaches_two_workers_at_once_is_one_claim_with_one_answer(
    on_postgres: PostgresPlace,
) -> None:
    lane = Device()
    workers = Workers(on_postgres, 2, lane)
    with workers.all[0].archive.transaction():
        workers.all[0].archive.apply_changes("site", [record(slip())], AT)
    for number in range(4 * ROUNDS):
        answers: list[ClaimAnswer] = []

        def ask(worker: Worker, claim: str = f"c{number}", answers: list[ClaimAnswer] = answers) -> None:
            answers.append(worker.claim(lane, claim, 7))

        workers.at_once([lambda: ask(workers.all[0]), lambda: ask(workers.all[1])])
        assert answers[0] == answers[1]
    assert workers.all[0].rows("SELECT count(*) FROM claim_slips WHERE state = 'granted'") == [(1,)]
    workers.close()


def test_workers_that_wait_for_each_others_slips_are_parted_and_answer_all(
    on_postgres: PostgresPlace,
) -> None:
    """One claims the first slip, then the second, the other the other way round, each in one transaction."""
    lanes = [Device("lane-1"), Device("lane-2")]
    workers = Workers(on_postgres, 2, *lanes)
    with workers.all[0].archive.transaction():
        pairs = [[f"Z3111I24072800000002{2 * n + m:04d}" for m in (0, 1)] for n in range(6 * ROUNDS)]
        workers.all[0].archive.apply_changes("site", [record(slip(n)) for pair in pairs for n in pair], AT)
    for pair in pairs:
        verdicts: list[ClaimVerdict] = []

        def ask(index: int, slips: list[str], verdicts: list[ClaimVerdict] = verdicts) -> None:
            messages = [
                (TOPICS.claim(lanes[index].name), lanes[index].claim(f"{slip_no}-{index}", 7, slip_no))
                for slip_no in slips
            ]
            answers = workers.all[index].receiver.receive_all(messages, AT)
            verdicts.extend(opened(answer, Context.CLAIM_ANSWER, ClaimAnswer).verdict for answer in answers)

        workers.at_once([lambda s=pair: ask(0, s), lambda s=pair[::-1]: ask(1, s)])  # type: ignore[misc]
        assert sorted(verdicts) == [ClaimVerdict.GRANTED] * 2 + [ClaimVerdict.REFUSED] * 2
    assert [worker.receiver.counts.storage_faults for worker in workers.all] == [0, 0]
    workers.close()


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_a_double_use_whose_two_crossings_reach_two_workers_at_once_is_alarmed(
    on_postgres: PostgresPlace, seed: int
) -> None:
    lanes = [Device("lane-1"), Device("lane-2")]
    workers = Workers(on_postgres, 2, *lanes)
    messages = []
    for lane in lanes:
        lane.ruling(5, [SLIP], ["u5"])
        lane.crossing(5, ["u5"])
        messages.append(batches(lane, Stream.ROUTINE, 10))
    one, other = workers.all
    workers.at_once(
        [
            lambda: one.receiver.receive_all(messages[0], AT),
            lambda: other.receiver.receive_all(messages[1], AT),
        ]
    )
    assert [detail for detail in one.alarms("double_use") if "crossed 2 times" in detail] != []
    workers.close()


# --- duties -----------------------------------------------------------------------------------------------


def test_one_worker_has_the_duties_and_another_takes_over_when_it_is_gone(on_postgres: PostgresPlace) -> None:
    device = Device()
    workers = Workers(on_postgres, 2, device)
    first, second = workers.all
    had = [first.receiver.on_duty, second.receiver.on_duty]
    quiet = [second.receiver.born(AT), second.receiver.tick(AT)]
    first.archive.close()
    taken_over = second.receiver.tick(at(2))
    topics = [message.topic for message in taken_over]
    assert had == [True, False]
    assert quiet == [[], []]
    assert topics[0] == TOPICS.hub_birth()
    assert TOPICS.feed_head("site") in topics
    assert second.receiver.on_duty
    second.archive.close()


def test_a_worker_that_took_over_publishes_only_what_came_since(on_postgres: PostgresPlace) -> None:
    workers = Workers(on_postgres, 2)
    first, second = workers.all
    for number, worker in enumerate((first, second)):
        with first.archive.transaction() if number == 0 else second.archive.transaction():
            worker.archive.apply_changes("site", [RecordChange("site", f"k{number}", "{}")], AT)
        published = [message for message in worker.receiver.tick(at(number)) if not message.retain]
        assert len(published) == 1 - number
        first.archive.close()
    with second.archive.transaction():
        second.archive.apply_changes("site", [RecordChange("site", "k2", "{}")], AT)
    assert second.receiver.tick(at(3))[0].topic == TOPICS.feed("site")
    second.archive.close()
