"""The hub takes facts: in any order, once in effect, signed and chained, and answers only what it holds."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync.hub.archive import Archive, ArchiveTaken
from sync.hub.engine import Engine, Rows
from sync.hub.terms import Limits
from sync.link.keys import KeySigner, make_private, public_pem
from sync.link.messages import Context, Signed, Status, StreamHead
from sync.vocabulary.codec import from_json, to_json
from sync.vocabulary.facts import (
    GENESIS,
    Alarm,
    AlarmCode,
    EpochBegan,
    Fact,
    FactBody,
    PassageOpened,
    Stream,
    hash_of,
)
from tests.postgres import ON_SQLITE, Place
from tests.unit.test_hub_device import AT, HUB_KEY, SITE, TOPICS, Bench, Device, acks, at, opened

ROUTINE = ("e" * 32, "routine")
ALARM = ("e" * 32, "alarm")


@pytest.fixture
def device() -> Device:
    return Device()


@pytest.fixture
def bench(place: Place, device: Device) -> Bench:
    return Bench(place, device)


# --- storing and acknowledging ----------------------------------------------------------------------------


def test_facts_are_stored_byte_for_byte_and_acknowledged_with_their_own_hash(
    bench: Bench, device: Device
) -> None:
    said = device.chatter(5)
    ack = acks(bench.facts(device, device.batch(said)))[ROUTINE]
    assert (ack.device, ack.contiguous, ack.hash, ack.missing) == ("lane-in", 5, said[4].hash, ())
    assert ack.archive_id == bench.archive.archive_id
    rows = bench.rows(
        "SELECT seq, position, event_id, kind, passage, time, hash, body, stored_utc FROM facts ORDER BY seq"
    )
    assert rows == [
        (f.seq, f.position, f.event_id, "passage_opened", f.passage, f.time, f.hash, f.body, AT) for f in said
    ]
    assert bench.alarms() == []


def test_the_acknowledgement_is_retained_and_leaves_on_the_connection_of_its_stream(
    bench: Bench, device: Device
) -> None:
    (routine,) = bench.facts(device, device.batch(device.chatter(1)))
    (alarm,) = bench.facts(device, device.batch(device.facts[Stream.ALARM]), Stream.ALARM)
    assert (routine.topic, routine.retain, routine.connection) == (TOPICS.ack("lane-in"), True, "routine")
    assert (alarm.topic, alarm.retain, alarm.connection) == (TOPICS.ack("lane-in"), True, "alarm")


def test_a_duplicate_is_acknowledged_again_and_stored_once(bench: Bench, device: Device) -> None:
    payload = device.batch(device.chatter(4))
    first = bench.facts(device, payload)
    again = bench.facts(device, payload)
    assert again == first
    assert bench.stored() == [("routine", n) for n in range(1, 5)]
    assert bench.rows("SELECT count(*) FROM checkpoints") == [(1,)]


def test_an_overlapping_batch_adds_only_what_is_new(bench: Bench, device: Device) -> None:
    said = device.chatter(6)
    bench.facts(device, device.batch(said[:4]))
    ack = acks(bench.facts(device, device.batch(said[2:])))[ROUTINE]
    assert (ack.contiguous, ack.hash) == (6, said[5].hash)
    assert bench.receiver.counts.duplicates == 2


def test_alarms_taken_together_with_routine_facts_are_acknowledged_on_the_alarm_connection(
    bench: Bench, device: Device
) -> None:
    messages = [
        (TOPICS.facts("lane-in", Stream.ROUTINE), device.batch(device.chatter(2))),
        (TOPICS.facts("lane-in", Stream.ALARM), device.batch(device.facts[Stream.ALARM])),
        (TOPICS.facts("lane-in", Stream.ROUTINE), device.batch(device.chatter(2))),
    ]
    (answer,) = bench.receiver.receive_all(messages, AT)
    assert answer.connection == "alarm"
    assert {key: ack.contiguous for key, ack in acks([answer]).items()} == {ROUTINE: 4, ALARM: 1}


def test_a_gap_is_named_and_closes_when_the_missing_facts_come(bench: Bench, device: Device) -> None:
    said = device.chatter(10)
    ack = acks(bench.facts(device, device.batch(said[7:])))[ROUTINE]
    assert (ack.contiguous, ack.hash, ack.missing) == (0, GENESIS, ((1, 7),))
    ack = acks(bench.facts(device, device.batch(said[2:4])))[ROUTINE]
    assert (ack.contiguous, ack.missing) == (0, ((1, 2), (5, 7)))
    ack = acks(bench.facts(device, device.batch(said[:2])))[ROUTINE]
    assert (ack.contiguous, ack.hash, ack.missing) == (4, said[3].hash, ((5, 7),))
    ack = acks(bench.facts(device, device.batch(said[4:7])))[ROUTINE]
    assert (ack.contiguous, ack.hash, ack.missing) == (10, said[9].hash, ())
    assert bench.alarms() == []


def test_at_most_sixty_four_missing_ranges_are_told(bench: Bench, device: Device) -> None:
    said = device.chatter(140)
    for fact in said[1::2]:
        answer = bench.facts(device, device.batch([fact]))
    ack = acks(answer)[ROUTINE]
    assert ack.missing == tuple((n, n) for n in range(1, 129, 2))


def test_the_counter_grows_with_every_change_and_is_kept_across_restarts(
    bench: Bench, device: Device
) -> None:
    said = device.chatter(3)
    counters = [acks(bench.facts(device, device.batch([fact])))[ROUTINE].counter for fact in said[:2]]
    bench.restart()
    counters.append(acks(bench.facts(device, device.batch([said[2]])))[ROUTINE].counter)
    assert counters == [1, 2, 3]


def test_gaps_are_remembered_across_a_restart(bench: Bench, device: Device) -> None:
    said = device.chatter(9)
    bench.facts(device, device.batch(said[6:]))
    bench.facts(device, device.batch(said[2:4]))
    bench.restart()
    ack = acks(bench.facts(device, device.batch(said[:2])))[ROUTINE]
    assert (ack.contiguous, ack.hash, ack.missing) == (4, said[3].hash, ((5, 6),))


def test_both_streams_stand_in_one_acknowledgement_under_one_counter(bench: Bench, device: Device) -> None:
    bench.facts(device, device.batch(device.chatter(3)))
    found = acks(bench.facts(device, device.batch(device.facts[Stream.ALARM]), Stream.ALARM))
    assert {key: ack.contiguous for key, ack in found.items()} == {ROUTINE: 3, ALARM: 1}
    assert {ack.counter for ack in found.values()} == {2}


def test_messages_taken_together_are_all_stored_and_acknowledged_once(bench: Bench, device: Device) -> None:
    said = device.chatter(9)
    topic = TOPICS.facts(device.name, Stream.ROUTINE)
    messages = [(topic, device.batch(said[:3])), (topic, b"nonsense"), (topic, device.batch(said[3:]))]
    answers = bench.receiver.receive_all(messages, AT)
    assert acks(answers)[ROUTINE].contiguous == 9
    bench.restart()
    assert bench.archive.stream_state("lane-in", "e" * 32, Stream.ROUTINE).contiguous == 9
    assert bench.alarms() == ["batch_refused"]


class FailingDisk:
    """The archive's connection, on a disk that fails the next statement that begins so."""

    def __init__(self, db: Engine, beginning: str) -> None:
        self.db = db
        self.beginning = beginning

    def __getattr__(self, name: str) -> Any:
        return getattr(self.db, name)

    def execute(self, sql: str, *values: Any) -> Rows:
        if self.beginning and sql.startswith(self.beginning):
            self.beginning = ""
            raise sqlite3.OperationalError("disk I/O error")
        return self.db.execute(sql, *values)


@pytest.mark.parametrize("statement", ["BEGIN", "INSERT INTO streams", "COMMIT"])
@pytest.mark.parametrize("together", [False, True])
def test_nothing_is_answered_that_the_disk_did_not_take(
    bench: Bench, device: Device, statement: str, together: bool
) -> None:
    said = device.chatter(9)
    bench.facts(device, device.batch(said[:3]))
    topic = TOPICS.facts("lane-in", Stream.ROUTINE)
    messages = [(topic, device.batch(said[3:6])), (topic, device.batch(said[6:]))]
    bench.archive._db = FailingDisk(bench.archive._db, statement)
    taken = bench.receiver.receive_all(messages, AT) if together else bench.receiver.receive(*messages[0], AT)
    answered = {ack.contiguous for message in taken for ack in acks([message]).values()}
    assert bench.receiver.counts.storage_faults == 1
    assert max(answered, default=3) <= bench.rows("SELECT count(*) FROM facts")[0][0]
    said_now = acks(
        [message for message in bench.receiver.born(AT) if message.topic == TOPICS.ack("lane-in")]
    )
    assert [(said_now[ROUTINE].contiguous,)] == bench.rows("SELECT contiguous FROM streams")
    for _ in range(2):
        found = [acks([message])[ROUTINE] for message in bench.receiver.receive_all(messages, AT)]
    assert (found[-1].contiguous, found[-1].hash, found[-1].missing) == (9, said[8].hash, ())
    assert bench.stored() == [("routine", n) for n in range(1, 10)]
    assert bench.receiver.storage_fault == ""


@ON_SQLITE
def test_a_full_disk_takes_nothing_and_acknowledges_nothing_until_there_is_room(
    bench: Bench, device: Device
) -> None:
    said = device.chatter(400)
    (pages,) = bench.archive._db.execute("PRAGMA page_count").fetchone()
    bench.archive._db.execute(f"PRAGMA max_page_count = {pages + 6}")
    answers = [bench.facts(device, device.batch(said[n : n + 50])) for n in range(0, 400, 50)]
    taken = sum(1 for answer in answers if answer)
    assert taken < 8
    assert "full" in bench.receiver.storage_fault
    bench.archive._db.execute("PRAGMA max_page_count = 1000000")
    for n in range(0, 400, 50):
        answer = bench.facts(device, device.batch(said[n : n + 50]))
    assert acks(answer)[ROUTINE].contiguous == 400


@ON_SQLITE
def test_messages_taken_together_on_a_full_disk_are_none_of_them_answered(
    bench: Bench, device: Device
) -> None:
    said = device.chatter(400)
    topic = TOPICS.facts(device.name, Stream.ROUTINE)
    messages = [(topic, device.batch(said[n : n + 50])) for n in range(0, 400, 50)]
    (pages,) = bench.archive._db.execute("PRAGMA page_count").fetchone()
    bench.archive._db.execute(f"PRAGMA max_page_count = {pages + 6}")
    answered = {
        ack.contiguous
        for answer in bench.receiver.receive_all(messages, AT)
        for ack in acks([answer]).values()
    }
    bench.archive._db.execute("PRAGMA max_page_count = 1000000")
    bench.restart()
    assert (
        max(answered, default=0) <= bench.archive.stream_state("lane-in", "e" * 32, Stream.ROUTINE).contiguous
    )
    assert acks(bench.receiver.receive_all(messages, AT)[-1:])[ROUTINE].contiguous == 400


@ON_SQLITE
def test_a_second_hub_that_got_past_the_lock_stops_the_first(bench: Bench, device: Device) -> None:
    bench.path.with_name("archive.sqlite.lock").unlink()
    second = Archive.open(bench.path, own=True)
    with pytest.raises(ArchiveTaken):
        bench.facts(device, device.batch(device.chatter(1)))
    second.close()
    assert bench.stored() == []


# --- branches and broken chains ---------------------------------------------------------------------------


def test_another_fact_under_a_stored_number_is_a_branch_kept_apart_and_not_acknowledged(
    bench: Bench, device: Device
) -> None:
    twin = Device()
    twin.private, twin.signer = device.private, device.signer
    bench.facts(device, device.batch(device.chatter(3)))
    twin.chatter(2)
    forked = twin.say(PassageOpened(passage=99))
    ack = acks(bench.facts(device, twin.batch([forked])))[ROUTINE]
    assert (ack.contiguous, ack.hash, ack.branched) == (3, device.facts[Stream.ROUTINE][2].hash, 3)
    assert ack.hash != forked.hash
    assert bench.rows("SELECT seq, hash, body FROM branches") == [(3, forked.hash, forked.body)]
    assert bench.alarms() == ["branch"]
    bench.facts(device, twin.batch([forked]))
    assert bench.alarms() == ["branch"]
    assert len(bench.stored()) == 3


def test_the_lowest_branched_number_is_told_and_remembered(bench: Bench, device: Device) -> None:
    twin = Device()
    twin.private, twin.signer = device.private, device.signer
    said = device.chatter(5)
    other = [twin.say(PassageOpened(passage=90 + number)) for number in range(5)]
    assert acks(bench.facts(device, device.batch(said)))[ROUTINE].branched == 0
    told = [acks(bench.facts(device, twin.batch([other[index]])))[ROUTINE] for index in (3, 1, 4)]
    assert [ack.branched for ack in told] == [4, 2, 2]
    bench.restart()
    ack = acks(bench.facts(device, device.batch(said)))[ROUTINE]
    assert (ack.branched, ack.contiguous, ack.counter) == (2, 5, told[-1].counter)


def test_a_broken_link_between_batches_is_an_alarm_and_stops_contiguity(bench: Bench, device: Device) -> None:
    twin = Device()
    twin.private, twin.signer = device.private, device.signer
    said = device.chatter(3)
    twin.chatter(2)
    twin.say(PassageOpened(passage=50))
    after = twin.chatter(4)
    bench.facts(device, device.batch(said))
    for _ in range(2):
        ack = acks(bench.facts(device, twin.batch(after)))[ROUTINE]
        assert (ack.contiguous, ack.hash, ack.missing) == (3, said[2].hash, ())
    assert bench.alarms() == ["chain_broken"]
    bench.restart()
    ack = acks(bench.facts(device, device.batch(said)))[ROUTINE]
    assert (ack.contiguous, ack.missing) == (3, ())
    assert len(bench.stored()) == 7


def test_a_link_broken_inside_a_batch_proves_nothing_before_it_and_is_refused(
    bench: Bench, device: Device
) -> None:
    said = device.chatter(4)
    events = json.loads(device.batch(said))
    del events[1]
    assert bench.facts(device, json.dumps(events).encode()) == []
    assert bench.alarms() == ["batch_refused"]
    assert bench.stored() == []


@pytest.mark.parametrize("spoiled", ["body", "hash"])
def test_a_body_that_is_not_what_its_hash_covers_is_refused(
    bench: Bench, device: Device, spoiled: str
) -> None:
    events = json.loads(device.batch(device.chatter(2)))
    changed = {
        "body": {"data": events[0]["data"].replace('"passage":1', '"passage":2')},
        "hash": {"hash": hash_of("other")},
    }
    events[0] |= changed[spoiled]
    assert bench.facts(device, json.dumps(events).encode()) == []
    assert bench.alarms() == ["batch_refused"]
    assert bench.stored() == []


# --- who says it ------------------------------------------------------------------------------------------


def test_a_batch_signed_with_another_key_is_refused(bench: Bench, device: Device) -> None:
    device.chatter(2)
    device.signer = KeySigner(make_private(), device.name)
    assert bench.facts(device, device.batch(device.facts[Stream.ROUTINE])) == []
    assert bench.alarms() == ["forged"]
    assert bench.stored() == []


def test_a_checkpoint_signed_for_another_purpose_is_refused(bench: Bench, device: Device) -> None:
    (event,) = json.loads(device.batch(device.chatter(1)))[:1]
    signed = device.signed(Context.CLAIM, device.checkpoint(device.facts[Stream.ROUTINE][0]))
    closing = json.loads(device.batch(device.facts[Stream.ROUTINE]))[-1] | {"data": to_json(signed).decode()}
    assert bench.facts(device, json.dumps([event, closing]).encode()) == []
    assert bench.alarms() == ["forged"]


def test_a_checkpoint_that_does_not_name_the_last_fact_is_refused(bench: Bench, device: Device) -> None:
    said = device.chatter(3)
    events = json.loads(device.batch(said[:2]))
    closing = json.loads(device.batch(said))[-1]
    assert bench.facts(device, json.dumps([*events[:2], closing]).encode()) == []
    assert bench.alarms() == ["batch_refused"]


def test_facts_of_one_device_on_the_topic_of_another_are_refused(place: Place, device: Device) -> None:
    other = Device("lane-out")
    bench = Bench(place, device, other)
    payload = other.batch(other.chatter(1))
    assert bench.facts(device, payload) == []
    assert bench.rows("SELECT device, code FROM hub_alarms") == [("lane-in", "wrong_device")]
    assert bench.stored() == []


def test_routine_facts_on_the_alarm_topic_are_refused(bench: Bench, device: Device) -> None:
    assert bench.facts(device, device.batch(device.chatter(1)), Stream.ALARM) == []
    assert bench.alarms() == ["wrong_device"]


def test_a_device_nobody_enrolled_is_refused(bench: Bench) -> None:
    stranger = Device("stranger")
    assert bench.facts(stranger, stranger.batch(stranger.chatter(1))) == []
    assert bench.rows("SELECT device, code, detail FROM hub_alarms") == [
        ("", "device_unknown", "stranger is not enrolled")
    ]


def test_a_revoked_device_is_refused_from_the_next_message_on(bench: Bench, device: Device) -> None:
    said = device.chatter(2)
    bench.facts(device, device.batch(said[:1]))
    importer = Archive.open(bench.place)
    with importer.transaction():
        assert importer.revoke("lane-in")
    importer.close()
    assert bench.facts(device, device.batch(said[1:])) == []
    assert bench.alarms() == ["device_revoked"]
    assert bench.stored() == [("routine", 1)]
    assert not any(message.topic == TOPICS.ack("lane-in") for message in bench.receiver.born(AT))


def test_enrolling_a_revoked_device_again_does_not_bring_it_back(bench: Bench, device: Device) -> None:
    with bench.archive.transaction():
        bench.archive.revoke("lane-in")
        bench.archive.enrol("lane-in", public_pem(device.private.public_key()).decode())
    assert bench.facts(device, device.batch(device.chatter(1))) == []


def test_a_new_key_of_a_device_counts_from_the_next_message_on(bench: Bench, device: Device) -> None:
    said = device.chatter(2)
    bench.facts(device, device.batch(said[:1]))
    device.private = make_private()
    device.signer = KeySigner(device.private, device.name)
    with bench.archive.transaction():
        bench.archive.enrol("lane-in", public_pem(device.private.public_key()).decode())
    assert acks(bench.facts(device, device.batch(said[1:])))[ROUTINE].contiguous == 2


# --- checkpoints ------------------------------------------------------------------------------------------


def test_the_signed_checkpoint_of_a_batch_is_kept_as_it_was_signed(bench: Bench, device: Device) -> None:
    said = device.chatter(2)
    bench.facts(device, device.batch(said))
    signed = device.signed(Context.CHECKPOINT, device.checkpoint(said[1]))
    assert bench.rows("SELECT device, epoch, position, body, kid, sig FROM checkpoints") == [
        ("lane-in", device.epoch, said[1].position, signed.body, "lane-in", signed.sig)
    ]


def test_a_head_is_kept_and_compared_with_what_is_stored(bench: Bench, device: Device) -> None:
    said = device.chatter(2)
    bench.facts(device, device.batch(said))
    truth = device.checkpoint(said[1])
    bench.receiver.receive(TOPICS.head("lane-in"), device.payload(Context.CHECKPOINT, truth), AT)
    bench.receiver.tick(at(1))
    assert bench.alarms() == []
    lie = msgspec.structs.replace(truth, position=99, heads=(StreamHead(Stream.ROUTINE, 2, "0" * 64),))
    bench.receiver.receive(TOPICS.head("lane-in"), device.payload(Context.CHECKPOINT, lie), AT)
    bench.receiver.tick(at(2))
    assert bench.alarms() == ["head_differs"]
    assert bench.rows("SELECT position FROM checkpoints ORDER BY 1") == [(3,), (99,)]


def test_a_head_with_a_number_no_column_holds_is_refused(bench: Bench, device: Device) -> None:
    head = msgspec.structs.replace(device.checkpoint(device.chatter(1)[0]), position=2**70)
    assert bench.receiver.receive(TOPICS.head("lane-in"), device.payload(Context.CHECKPOINT, head), AT) == []
    bench.receiver.tick(at(1))
    assert bench.alarms() == ["malformed"]


# --- epochs -----------------------------------------------------------------------------------------------


def test_an_epoch_that_names_the_heads_it_left_is_recorded_without_alarm(
    bench: Bench, device: Device
) -> None:
    said = device.chatter(3)
    bench.facts(device, device.batch(device.facts[Stream.ALARM]), Stream.ALARM)
    bench.facts(device, device.batch(said))
    device.begin("f" * 32)
    found = acks(bench.facts(device, device.batch(device.facts[Stream.ALARM]), Stream.ALARM))
    assert bench.rows("SELECT epoch, announced, old_epoch, why FROM epochs ORDER BY ordinal") == [
        ("e" * 32, 1, "", "new"),
        ("f" * 32, 1, "e" * 32, "restored"),
    ]
    assert list(found) == [ALARM, ROUTINE, ("f" * 32, "alarm")]
    assert bench.alarms() == []


def test_an_epoch_whose_first_alarm_fact_announces_nothing_is_stored_and_alarmed(
    bench: Bench, device: Device
) -> None:
    device.facts = {stream: [] for stream in Stream}
    device.say(Alarm(code=AlarmCode.ARM_FAULT), Stream.ALARM)
    found = acks(bench.facts(device, device.batch(device.facts[Stream.ALARM]), Stream.ALARM))
    assert found[ALARM].contiguous == 1
    assert bench.alarms() == ["epoch_unannounced"]


def test_an_announcement_that_has_not_come_yet_is_waited_for(bench: Bench, device: Device) -> None:
    bench.facts(device, device.batch(device.chatter(2)))
    bench.receiver.tick(at(59))
    assert bench.alarms() == []
    bench.restart()
    bench.receiver.tick(at(61))
    bench.receiver.tick(at(62))
    assert bench.alarms() == ["epoch_unannounced"]


def test_an_announcement_in_time_is_no_alarm(bench: Bench, device: Device) -> None:
    bench.facts(device, device.batch(device.chatter(2)))
    bench.receiver.tick(at(30))
    bench.facts(device, device.batch(device.facts[Stream.ALARM]), Stream.ALARM)
    bench.receiver.tick(at(90))
    assert bench.alarms() == []


def test_a_restored_disk_is_found_when_its_epoch_names_less_than_is_stored(
    bench: Bench, device: Device
) -> None:
    bench.facts(device, device.batch(device.facts[Stream.ALARM]), Stream.ALARM)
    bench.facts(device, device.batch(device.chatter(5)))
    device.facts[Stream.ROUTINE] = device.facts[Stream.ROUTINE][:2]
    device.begin("f" * 32)
    bench.facts(device, device.batch(device.facts[Stream.ALARM]), Stream.ALARM)
    assert bench.rows("SELECT code, detail FROM hub_alarms") == [
        (
            "rolled_back",
            f"epoch {'f' * 32} begins after {'e' * 32}/routine/2, facts up to 5 are stored",
        )
    ]


def test_an_epoch_that_names_an_old_head_with_another_hash_is_alarmed(bench: Bench, device: Device) -> None:
    said = device.chatter(2)
    bench.facts(device, device.batch(said))
    old = device.epoch
    device.epoch = "f" * 32
    device.facts = {stream: [] for stream in Stream}
    device.say(EpochBegan("why", old, {"routine": f"2:{'0' * 64}", "alarm": "nonsense"}), Stream.ALARM)
    bench.facts(device, device.batch(device.facts[Stream.ALARM]), Stream.ALARM)
    assert bench.alarms() == ["old_head_differs"]


def test_facts_in_an_epoch_the_device_had_left_show_a_cloned_device(bench: Bench, device: Device) -> None:
    clone = Device()
    clone.private, clone.signer = device.private, device.signer
    bench.facts(device, device.batch(device.chatter(2)))
    device.begin("f" * 32)
    bench.facts(device, device.batch(device.facts[Stream.ALARM]), Stream.ALARM)
    bench.facts(device, clone.batch(clone.chatter(4)))
    assert bench.alarms() == ["after_epoch_end"]


# --- facts this version cannot read -----------------------------------------------------------------------


def _unreadable(fact: Fact, **changes: object) -> Fact:
    body = msgspec.json.decode(fact.body) | changes
    text = msgspec.json.encode(body).decode()
    return msgspec.structs.replace(fact, body=text, hash=hash_of(text), kind=body["data"]["type"])


def test_a_fact_of_an_unknown_kind_is_stored_parked_acknowledged_and_alarmed(
    bench: Bench, device: Device
) -> None:
    strange = _unreadable(device.chatter(1)[0], v=2, data={"type": "drone_seen", "altitude_m": 30})
    device.facts[Stream.ROUTINE] = [strange]
    after = device.say(PassageOpened(passage=2))
    ack = acks(bench.facts(device, device.batch([strange, after])))[ROUTINE]
    assert (ack.contiguous, ack.hash) == (2, after.hash)
    assert bench.rows("SELECT seq, kind, body FROM facts WHERE kind = 'drone_seen'") == [
        (1, "drone_seen", strange.body)
    ]
    assert bench.rows("SELECT payload, why FROM parked") == [
        (strange.body.encode(), f"unreadable fact: drone_seen at {'e' * 32}/routine/1")
    ]
    assert bench.alarms() == ["fact_unreadable"]
    bench.facts(device, device.batch([strange, after]))
    assert bench.rows("SELECT count(*) FROM parked") == [(1,)]


def test_a_newer_version_of_a_known_fact_is_read_with_its_new_fields_kept(
    bench: Bench, device: Device
) -> None:
    newer = _unreadable(
        device.chatter(1)[0], v=2, extra=1, data={"type": "passage_opened", "passage": 7, "camera": "left"}
    )
    ack = acks(bench.facts(device, device.batch([newer])))[ROUTINE]
    assert ack.contiguous == 1
    assert bench.rows("SELECT kind, passage, body FROM facts") == [("passage_opened", 7, newer.body)]
    assert bench.alarms() == []


# --- hostile input (G11) ----------------------------------------------------------------------------------

TOPIC_NAMES = st.sampled_from(
    [
        *(
            f"kakou/v1/{SITE}/edge/lane-in/{rest}"
            for rest in ("claim", "pull", "head", "status", "blob/x", "")
        ),
        TOPICS.facts("lane-in", Stream.ROUTINE),
        TOPICS.facts("lane-in", Stream.ALARM),
        "kakou/v1/other/edge/lane-in/claim",
        f"kakou/v1/{SITE}/edge/../claim",
        f"kakou/v1/{SITE}/edge//facts/routine",
        f"kakou/v1/{SITE}/hub/status",
        "",
    ]
)
NASTY = [
    b"",
    b"[" * 60_000,
    b'{"a":' * 10_000,
    b"[]",
    b"{}",
    b"null",
    b'"\\ud800"',
    b"\xff\xfe\x00",
    b'[{"specversion":"1.0"}]',
    b"1" * 65_536,
    b"x" * 65_537,
    b'{"body":"{}","kid":"lane-in","sig":""}',
    b'{"body":"' + b"[" * 30_000 + b'","kid":"lane-in","sig":"AAAA"}',
    b'{"body":"{}","kid":"hub","sig":"' + b"A" * 88 + b'"}',
]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(topic=TOPIC_NAMES | st.text(max_size=80), payload=st.sampled_from(NASTY) | st.binary(max_size=400))
def test_nothing_hostile_raises_is_stored_or_is_answered(bench: Bench, topic: str, payload: bytes) -> None:
    assert bench.receiver.receive(topic, payload, AT) == []
    assert bench.rows("SELECT count(*) FROM facts") == [(0,)]
    assert bench.rows("SELECT count(*) FROM claims") == [(0,)]
    assert "internal" not in bench.alarms()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_an_honest_message_with_any_byte_changed_is_refused_or_says_the_same(
    bench: Bench, device: Device, data: st.DataObject
) -> None:
    if not device.facts[Stream.ROUTINE]:
        device.chatter(3)
    payload = bytearray(device.batch(device.facts[Stream.ROUTINE]))
    index = data.draw(st.integers(0, len(payload) - 1))
    payload[index] ^= data.draw(st.integers(1, 255))
    bench.facts(device, bytes(payload))
    bodies = {row[0] for row in bench.rows("SELECT body FROM facts")}
    assert bodies <= {fact.body for fact in device.facts[Stream.ROUTINE]}
    assert "internal" not in bench.alarms()


def test_a_well_signed_message_with_absurd_values_is_refused(bench: Bench, device: Device) -> None:
    def say(topic: str, context: Context, body: str) -> None:
        assert bench.receiver.receive(topic, to_json(device.signer.sign(context, body)), AT) == []

    claim = '{"claim_id":"c","device":"lane-in","passage":%s,"plate":null,"slip_nos":%s}'
    slip = '["Z3111I240728000000000003"]'
    say(TOPICS.claim("lane-in"), Context.CLAIM, claim % ("1" + "0" * 40, slip))
    say(TOPICS.claim("lane-in"), Context.CLAIM, claim % ("1", "[]"))
    say(TOPICS.claim("lane-in"), Context.CLAIM, claim % ("1", '["x"]'))
    say(TOPICS.claim("lane-in"), Context.CLAIM, claim.replace("lane-in", "lane-out") % ("1", slip))
    say(TOPICS.pull("lane-in"), Context.PULL, '{"scope":"nowhere","epoch":"","after":0}')
    say(TOPICS.status("lane-in"), Context.STATUS, '{"device":"lane-out","online":true}')
    say(TOPICS.head("lane-in"), Context.CHECKPOINT, "{}")
    assert set(bench.alarms()) == {"malformed", "wrong_device", "scope_unknown"}
    assert bench.rows("SELECT count(*) FROM claims") == [(0,)]


def test_a_message_longer_than_the_bound_is_refused_however_well_it_is_signed(
    bench: Bench, device: Device
) -> None:
    status = Status(device="lane-in", online=True, health={f"device-{n}": "x" * 100 for n in range(700)})
    bench.receiver.receive(TOPICS.status("lane-in"), device.payload(Context.STATUS, status), AT)
    bench.receiver.tick(at(1))
    assert bench.alarms() == ["oversized"]
    assert bench.rows("SELECT * FROM statuses") == []


def test_a_flood_is_two_alarm_rows_with_the_count_and_one_sample(bench: Bench) -> None:
    for _ in range(1000):
        bench.receiver.receive(TOPICS.claim("lane-in"), b"junk", AT)
    assert bench.alarms() == ["malformed"]
    bench.receiver.tick(at(61))
    assert bench.rows("SELECT code, substr(detail, 1, 10) FROM hub_alarms ORDER BY id") == [
        ("malformed", "claim: Sig"),
        ("malformed", "999 more; "),
    ]
    assert bench.rows("SELECT payload, why FROM parked") == [(b"junk", "refused: malformed")]
    assert bench.receiver.counts.refused == 1000


def test_what_was_counted_is_written_when_the_hub_stops(bench: Bench) -> None:
    for _ in range(3):
        bench.receiver.receive(TOPICS.claim("lane-in"), b"junk", AT)
    bench.receiver.stop(at(1))
    assert bench.rows("SELECT substr(detail, 1, 7) FROM hub_alarms ORDER BY id DESC LIMIT 1") == [
        ("2 more;",)
    ]


def test_refused_samples_are_bounded_and_unreadable_facts_are_not(
    place: Place, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sync.hub.receiver.PARKED_SAMPLES", 5)
    bench = Bench(place, device, limits=Limits(refusals_every_s=1))
    strange = _unreadable(device.chatter(1)[0], data={"type": "drone_seen"})
    bench.facts(device, device.batch([strange]))
    for second in range(20):
        bench.receiver.receive(TOPICS.claim("lane-in"), b"junk %d" % second, at(2 * second))
        bench.receiver.tick(at(2 * second + 1))
    why = [row[0][:10] for row in bench.rows("SELECT why FROM parked ORDER BY id")]
    assert why == ["unreadable", *["refused: m"] * 5]
    assert bench.rows("SELECT payload FROM parked ORDER BY id DESC LIMIT 1") == [(b"junk 19",)]


# --- the same archive whatever the network did ------------------------------------------------------------


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_order_and_repetition_of_batches_with_restarts_gives_the_same_archive_and_acknowledgements(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    device = Device()
    said = device.chatter(12)
    for passage in (3, 5, 7):
        device.ruling(passage, [f"Z3111I24072800000000000{passage}"], [f"u{passage}"])
        device.crossing(passage, [f"u{passage}"])
    device.say(Alarm(code=AlarmCode.ARM_FAULT), Stream.ALARM)
    said = device.facts[Stream.ROUTINE]
    whole = [(Stream.ROUTINE, device.batch(said)), (Stream.ALARM, device.batch(device.facts[Stream.ALARM]))]
    cuts = data.draw(st.lists(st.tuples(st.integers(0, 17), st.integers(1, 18)), max_size=8))
    parts = [(Stream.ROUTINE, device.batch(said[a : a + b])) for a, b in cuts]
    story = data.draw(
        st.permutations([*whole, *parts, *data.draw(st.lists(st.sampled_from(whole), max_size=3))])
    )
    restarts = data.draw(st.sets(st.integers(0, len(story)), max_size=2))
    bench = Bench(tmp_path_factory.mktemp("hub"), device)
    straight = Bench(tmp_path_factory.mktemp("hub"), device)
    for stream, payload in whole:
        expected = acks(straight.facts(device, payload, stream))
    for index, (stream, payload) in enumerate(story):
        if index in restarts:
            bench.restart()
        found = acks(bench.facts(device, payload, stream))
    tables = (
        "SELECT device, epoch, stream, seq, position, event_id, kind, passage, hash, body FROM facts",
        "SELECT device, epoch, stream, contiguous, head_hash FROM streams",
        "SELECT device, epoch, announced, old_epoch, old_heads FROM epochs",
        "SELECT device, use_id, slip_no, claim_id, passage, state, position FROM uses",
        "SELECT code, detail FROM hub_alarms",
        "SELECT * FROM branches",
    )
    for sql in tables:
        assert bench.rows(sql) == straight.rows(sql)
    assert {key: (ack.contiguous, ack.hash, ack.missing) for key, ack in found.items()} == {
        key: (ack.contiguous, ack.hash, ack.missing) for key, ack in expected.items()
    }
    bench.archive.close()
    straight.archive.close()


# --- statuses, birth --------------------------------------------------------------------------------------


def test_a_status_is_kept_and_records_that_differ_at_the_same_number_are_alarmed(
    bench: Bench, device: Device
) -> None:
    status = Status(device="lane-in", online=True, records={"site": 0}, digests={"site": "0" * 32})
    bench.receiver.receive(TOPICS.status("lane-in"), device.payload(Context.STATUS, status), AT)
    bench.receiver.tick(at(1))
    assert from_json(bench.rows("SELECT body FROM statuses")[0][0], Status) == status
    assert bench.alarms() == []
    wrong = msgspec.structs.replace(status, digests={"site": "1" * 32})
    bench.receiver.receive(TOPICS.status("lane-in"), device.payload(Context.STATUS, wrong), AT)
    bench.receiver.tick(at(2))
    assert bench.alarms() == ["records_differ"]


def test_a_birth_says_again_what_every_device_and_scope_needs_to_know(bench: Bench, device: Device) -> None:
    bench.facts(device, device.batch(device.chatter(2)))
    bench.restart()
    birth, head, ack = bench.receiver.born(at(5))
    status: Status = opened(birth, Context.STATUS, Status)
    assert (birth.topic, birth.retain, status.device, status.online) == (
        TOPICS.hub_birth(),
        True,
        "hub",
        True,
    )
    assert (head.topic, head.retain) == (TOPICS.feed_head("site"), True)
    assert acks([ack])[ROUTINE].contiguous == 2


def test_a_death_is_signed_and_retained(bench: Bench) -> None:
    death = bench.receiver.death(AT)
    status: Status = opened(death, Context.STATUS, Status)
    assert (death.retain, status.online) == (True, False)


def test_every_answer_is_signed_by_the_hub_over_the_text_it_carries(bench: Bench, device: Device) -> None:
    (answer,) = bench.facts(device, device.batch(device.chatter(1)))
    signed = from_json(answer.payload, Signed)
    assert signed == KeySigner(HUB_KEY, "hub").sign(Context.ACK, signed.body)


def test_the_facts_table_reads_back_as_the_facts_that_were_sealed(bench: Bench, device: Device) -> None:
    bench.facts(device, device.batch(device.chatter(3)))
    bodies = [from_json(body, FactBody) for (body,) in bench.rows("SELECT body FROM facts ORDER BY seq")]
    assert [body.data for body in bodies] == [PassageOpened(passage=n) for n in (1, 2, 3)]
