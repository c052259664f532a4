"""Hub and device joined by a wire that loses, repeats and reorders: the real session, stores and archive."""

from __future__ import annotations

import collections
import itertools
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync.hub.archive import Archive, RecordChange
from sync.hub.aside import AsideHere
from sync.hub.receiver import Receiver
from sync.hub.snapshots import SnapshotFolder
from sync.hub.terms import Limits
from sync.link.keys import KeySigner, make_private, public_pem
from sync.link.messages import ClaimRequest, ClaimVerdict
from sync.link.performer import LinkPerformer
from sync.link.session import EdgeSession
from sync.link.words import (
    ClaimAnswered,
    ClaimAsked,
    Connected,
    Connection,
    Disconnected,
    FactsWaiting,
    LinkEvent,
    Notice,
    Notify,
    Publish,
    Received,
    SessionConfig,
    Tick,
)
from sync.store.journal import Journal
from sync.store.opening import PLAIN, Opener
from sync.store.records import Records, generation_path
from sync.vocabulary.codec import to_json
from sync.vocabulary.facts import Alarm, AlarmCode, FactDraft, PassageOpened, Stream
from sync.vocabulary.numbers import SlipNo
from tests.unit.test_hub_claims import slip
from tests.unit.test_hub_device import HUB_KEY, SITE, SLIP, TOPICS, at
from tests.unit.test_hub_feed import body, key

LIMITS = Limits(head_every_s=10, pull_batches=2)


class Joined:
    """One device and one hub under a clock that only `run` moves."""

    def __init__(
        self,
        folder: Path,
        *,
        loss: float = 0.0,
        seed: int = 0,
        limits: Limits = LIMITS,
        survey_s: float = 1e6,
        opener: Opener = PLAIN,
    ) -> None:
        self.folder = folder
        self.limits = limits
        self.config = SessionConfig(
            device="lane-in", topics=TOPICS, scope="site", survey_every_s=survey_s, snapshot_again_s=1e6
        )
        self.random = random.Random(seed)
        self.loss = loss
        self.now_s = 0.0
        self.private = make_private()
        self.notices: list[Notice] = []
        self.ids = itertools.count()
        self.journal = Journal.open(folder / "journal.sqlite", device="lane-in", utc=self.utc, opener=opener)
        (folder / "records").mkdir()
        self.performer = LinkPerformer(self.journal, folder / "records", scope="site", utc=self.utc)
        self.open_edge()
        self.passes: Callable[[tuple[str, bytes]], bool] = lambda message: True
        """Which messages come down at all."""
        self.up: list[tuple[str, bytes]] = []
        self.down: list[tuple[str, bytes]] = []
        self.retained: dict[str, bytes] = {}
        self.open_hub()
        self.connect()

    def utc(self) -> str:
        return at(int(self.now_s))

    def open_edge(self) -> None:
        self.session = EdgeSession(
            self.config,
            signer=KeySigner(self.private, "lane-in"),
            keys={"hub": HUB_KEY.public_key()},
            utc_at=lambda _at_s: self.utc(),
            opened=self.performer.opened(),
        )

    def kill_edge(self) -> None:
        """As after `kill -9`: the files as they are, nothing said."""
        self.performer.close()
        self.performer = LinkPerformer(self.journal, self.folder / "records", scope="site", utc=self.utc)
        self.open_edge()
        self.up.clear()
        self.down.clear()
        self.connect()

    def open_hub(self) -> None:
        self.archive = Archive.open(self.folder / "archive.sqlite", own=True)
        with self.archive.transaction():
            self.archive.enrol("lane-in", public_pem(self.private.public_key()).decode())
            self.archive.add_scope("site")
        shelf = self.folder / "snapshots"
        self.receiver = Receiver(
            self.archive,
            KeySigner(HUB_KEY, "hub"),
            site=SITE,
            limits=self.limits,
            aside=AsideHere(self.folder / "archive.sqlite", shelf),
            snapshots=SnapshotFolder(shelf),
        )
        for message in self.receiver.born(self.utc()):
            self.publish(message.topic, message.payload, message.retain)

    def kill_hub(self) -> None:
        self.archive.close()
        self.open_hub()

    def publish(self, topic: str, payload: bytes, retain: bool) -> None:
        if retain:
            self.retained[topic] = payload
        self.down.append((topic, payload))

    def connect(self) -> None:
        for connection in Connection:
            self.drive(Connected(connection))
        self.down += self.retained.items()

    def disconnect(self) -> None:
        self.up.clear()
        self.down.clear()
        for connection in Connection:
            self.drive(Disconnected(connection))

    def drive(self, event: LinkEvent) -> None:
        events = collections.deque([event])
        while events:
            for effect in self.session.step(self.now_s, events.popleft()):
                match effect:
                    case Publish():
                        self.up.append((effect.topic, effect.payload))
                    case Notify(notice):
                        self.notices.append(notice)
                    case _:
                        events.extend(self.performer.perform(effect))

    def spoiled(self, messages: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        if not self.loss:
            return messages
        kept = [message for message in messages if self.random.random() >= self.loss]
        kept += [message for message in messages if self.random.random() < self.loss / 2]
        self.random.shuffle(kept)
        return kept

    def run(self, seconds: int) -> None:
        for _ in range(seconds * 4):
            self.now_s += 0.25
            up, self.up = self.spoiled(self.up), []
            for message in [*self.receiver.receive_all(up, self.utc()), *self.receiver.tick(self.utc())]:
                self.publish(message.topic, message.payload, message.retain)
            down, self.down = self.spoiled(self.down), []
            for topic, payload in filter(self.passes, down):
                subscribed = {one for c in Connection for one in self.config.subscriptions(c)}
                if topic in subscribed:
                    self.drive(Received(topic, payload))
            self.drive(Tick())

    def say(self, count: int = 1) -> None:
        for _ in range(count):
            number = next(self.ids)
            alarm = number % 7 == 3
            data = Alarm(code=AlarmCode.ARM_FAULT) if alarm else PassageOpened(passage=number + 1)
            stream = Stream.ALARM if alarm else Stream.ROUTINE
            self.journal.commit([FactDraft(f"said-{number}", stream, self.utc(), "boot", 5, data)])
        self.drive(FactsWaiting())

    def put(self, *numbers: int) -> None:
        changes = [RecordChange("enterprises", key(number), body(number)) for number in numbers]
        with self.archive.transaction():
            self.archive.apply_changes("site", changes, self.utc())

    def owed(self) -> int:
        return sum(self.journal.backlog().values())

    def event_ids(self) -> set[str]:
        return {
            row[0] for row in self.archive._db.execute("SELECT event_id FROM facts") if row[0][:5] == "said-"
        }

    def alarms(self) -> set[str]:
        return {row[0] for row in self.archive._db.execute("SELECT code FROM hub_alarms")}

    def records_equal(self) -> bool:
        number = self.journal.generation()
        if number is None:
            return False
        path = generation_path(self.folder / "records", number)
        with Records.open(path, opener=self.journal.opener) as records:
            state, scope = records.feed_state(), self.archive.scope("site")
        assert scope is not None
        return (state.epoch, state.number, state.digest) == (scope.epoch, scope.number, scope.digest)

    def close(self) -> None:
        self.performer.close()
        self.journal.close()
        self.archive.close()


def test_facts_go_up_and_come_off_the_devices_hands(tmp_path: Path) -> None:
    joined = Joined(tmp_path)
    joined.say(500)
    joined.run(10)
    assert (joined.owed(), len(joined.event_ids()), joined.alarms()) == (0, 500, set())
    joined.close()


def test_records_come_down_and_are_proved_equal(tmp_path: Path) -> None:
    joined = Joined(tmp_path)
    joined.put(*range(600))
    joined.run(20)
    assert joined.records_equal()
    joined.put(3, 700, 701)
    joined.run(3)
    assert joined.records_equal()
    assert joined.alarms() == set()
    joined.close()


def test_a_claim_is_asked_and_answered(tmp_path: Path) -> None:
    joined = Joined(tmp_path)
    with joined.archive.transaction():
        change = RecordChange("release_slips", SLIP, to_json(slip()).decode())
        joined.archive.apply_changes("site", [change], joined.utc())
    for number in (1, 2):
        joined.drive(ClaimAsked(ClaimRequest(f"c{number}", "lane-in", number, None, (SlipNo(SLIP),))))
        joined.run(2)
    answers = [notice for notice in joined.notices if isinstance(notice, ClaimAnswered)]
    assert [answer.verdict for answer in answers] == [ClaimVerdict.GRANTED, ClaimVerdict.REFUSED]
    joined.close()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**16),
    loss=st.sampled_from([0.1, 0.4]),
    story=st.lists(st.sampled_from(["say", "put", "kill hub", "cut", "run"]), max_size=8),
)
def test_whatever_is_lost_repeated_reordered_or_killed_every_fact_arrives_once_and_records_are_equal(
    tmp_path_factory: pytest.TempPathFactory, seed: int, loss: float, story: list[str]
) -> None:
    joined = Joined(tmp_path_factory.mktemp("joined"), loss=loss, seed=seed)
    said = 0
    for number, step in enumerate(story):
        match step:
            case "say":
                joined.say(40)
                said += 40
            case "put":
                joined.put(*range(number * 20, number * 20 + 150))
            case "kill hub":
                joined.kill_hub()
            case "cut":
                joined.disconnect()
                joined.run(3)
                joined.connect()
            case _:
                joined.run(5)
    joined.loss = 0.0
    joined.disconnect()
    joined.connect()
    for _ in range(20):
        if joined.owed() or not joined.records_equal():
            joined.run(30)
    assert (joined.owed(), len(joined.event_ids()), joined.alarms()) == (0, said, set())
    assert joined.records_equal()
    rows = joined.archive._db.execute("SELECT count(*), count(DISTINCT event_id) FROM facts").fetchone()
    assert rows[0] == rows[1]
    joined.close()


def test_a_hub_restored_from_a_backup_is_refilled_by_its_devices(tmp_path: Path) -> None:
    joined = Joined(tmp_path)
    joined.say(30)
    joined.put(*range(50))
    joined.run(10)
    joined.archive.close()
    shutil.copy(tmp_path / "archive.sqlite", tmp_path / "backup.sqlite")
    joined.open_hub()
    joined.say(50)
    joined.put(*range(50, 90))
    joined.run(20)
    joined.archive.close()
    for suffix in ("-wal", "-shm"):
        (tmp_path / f"archive.sqlite{suffix}").unlink(missing_ok=True)
    shutil.copy(tmp_path / "backup.sqlite", tmp_path / "archive.sqlite")
    joined.open_hub()
    joined.put(*range(100, 110))
    joined.say(5)
    joined.run(200)
    assert (joined.owed(), joined.event_ids()) == (0, {f"said-{number}" for number in range(85)})
    assert joined.records_equal()
    joined.close()


def test_an_archive_that_is_lost_altogether_is_refilled_by_its_devices(tmp_path: Path) -> None:
    joined = Joined(tmp_path)
    joined.say(60)
    joined.put(*range(20))
    joined.run(20)
    joined.archive.close()
    for file in tmp_path.glob("archive.sqlite*"):
        file.unlink()
    joined.open_hub()
    joined.put(*range(5))
    joined.say(1)
    joined.run(300)
    assert (joined.owed(), joined.event_ids()) == (0, {f"said-{number}" for number in range(61)})
    assert joined.records_equal()
    joined.close()


def test_a_broker_that_plays_back_everything_it_ever_carried_neither_frees_a_fact_nor_locks_out_the_hub(
    tmp_path: Path,
) -> None:
    """The hub was restored since: every word of the archive before is signed, and void (G3, G4, G10)."""
    joined = Joined(tmp_path)
    joined.say(20)
    joined.run(5)
    shutil.copy(tmp_path / "archive.sqlite", tmp_path / "backup.sqlite")
    joined.say(20)
    joined.run(5)
    recorded = [
        ("ack", payload) for topic, payload in joined.retained.items() if topic == TOPICS.ack("lane-in")
    ]
    recorded += [
        ("birth", payload) for topic, payload in joined.retained.items() if topic == TOPICS.hub_birth()
    ]
    assert len(recorded) == 2
    joined.archive.close()
    for name in ("archive.sqlite-wal", "archive.sqlite-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    shutil.copy(tmp_path / "backup.sqlite", tmp_path / "archive.sqlite")
    joined.open_hub()
    topics = {"ack": TOPICS.ack("lane-in"), "birth": TOPICS.hub_birth()}
    for _ in range(30):
        for kind, payload in recorded:
            joined.drive(Received(topics[kind], payload))
        joined.run(1)
        joined.say(1)
    for kind, payload in recorded:
        joined.drive(Received(topics[kind], payload))
    joined.run(40)
    assert joined.journal.archive_id() == joined.archive.archive_id
    assert (joined.owed(), len(joined.event_ids())) == (0, 70)
    joined.close()
