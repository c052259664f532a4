"""A lane's stores and a hub's in one process, with a broker of a few lines between them. No port, no thread.

Session, performer, receiver, journal, records and archive are the product's own; time is a number. What a
program would show the outside world (a fact reported durable, an acknowledgement sent, a head published) is
told as a line of text, in its place among the calls to the disk.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from paho.mqtt.client import topic_matches_sub

from sync.hub.archive import Archive, RecordChange
from sync.hub.blob_files import BlobFiles
from sync.hub.blobs import BlobTaking
from sync.hub.receiver import Receiver
from sync.hub.terms import Limits, Outgoing
from sync.link import words as link_words
from sync.link.blob_link import BlobPerformer
from sync.link.blob_session import BlobConfig, BlobEvent, BlobSession, FactsOwed
from sync.link.client import hub_subscriptions
from sync.link.envelope import open_signed
from sync.link.keys import HUB_KID, KeySigner, public_pem
from sync.link.messages import Acks, BlobAnswer, BlobState, Context, FeedHead, Topics
from sync.link.performer import LinkPerformer
from sync.link.session import EdgeSession
from sync.link.words import Connection, LinkEvent, SessionConfig
from sync.store.evidence_files import EvidenceFiles
from sync.store.journal import BlobOwed, Journal
from sync.vocabulary.blobs import BlobClass
from sync.vocabulary.facts import FactData, FactDraft, PictureTaken, Stream
from sync.vocabulary.uses import SlipUse

SITE = SCOPE = "site-a"
TOPICS = Topics(SITE)
START = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)

BLOB = "/blob/"

Tell = Callable[[str], None]


def key(name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(random.Random(f"two ends/{name}").randbytes(32))


class Site:
    """One hub and one lane over `folder/data/<name>`, as a demo lays them out."""

    def __init__(self, folder: Path, lane: str, ids: random.Random, tell: Tell) -> None:
        self.folder = folder
        self.lane = lane
        self.tell = tell
        self.now_s = 0.0
        self._ids = ids
        self._retained: dict[str, bytes] = {}
        self._to_hub: deque[tuple[str, bytes]] = deque()
        self._to_lane: deque[tuple[str, bytes]] = deque()
        self._wake_s: float | None = None
        self._blob_wake_s: float | None = None
        self._event_no = ids.getrandbits(60)
        self.hub_is_up = False
        self.lane_is_up = False

    def new_id(self) -> str:
        return f"{self._ids.getrandbits(128):032x}"

    def utc(self, at_s: float | None = None) -> str:
        moment = START + timedelta(seconds=self.now_s if at_s is None else at_s)
        return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    # --- the hub ---

    def start_hub(self) -> None:
        path = self.folder / "data" / "hub" / "archive.sqlite"
        self.archive = Archive.open(path, own=True, new_id=self.new_id)
        with self.archive.transaction():
            self.archive.enrol(self.lane, public_pem(key(self.lane).public_key()).decode())
            self.archive.add_scope(SCOPE, new_id=self.new_id)
        self._receiver = Receiver(
            self.archive,
            KeySigner(key(HUB_KID), HUB_KID),
            site=SITE,
            limits=Limits(backup_interval_s=0.0),
            new_id=self.new_id,
        )
        # A connection of its own, as the hub's blob thread has one.
        self._blob_archive = Archive.open(path, new_id=self.new_id)
        files = BlobFiles(path.parent / "blobs", free_bytes=lambda _folder: 1 << 40, now_s=lambda: self.now_s)
        files.open()
        self._blobs = BlobTaking(self._blob_archive, files, KeySigner(key(HUB_KID), HUB_KID), site=SITE)
        self.hub_is_up = True
        self._out(self._receiver.born(self.utc()))

    def stop_hub(self) -> None:
        """As `kill -9` does it."""
        self.hub_is_up = False
        self._to_hub.clear()
        self._blob_archive.close()
        self.archive.close()

    def change_records(self, changes: list[RecordChange]) -> None:
        with self.archive.transaction():
            applied = self.archive.apply_changes(SCOPE, changes, self.utc())
        scope = self.archive.scope(SCOPE)
        assert scope is not None
        self.tell(f"imported {scope.epoch} {applied.number} {scope.digest}")

    def _out(self, outgoing: list[Outgoing]) -> None:
        hub = {HUB_KID: key(HUB_KID).public_key()}
        for message in outgoing:
            if message.topic == TOPICS.ack(self.lane):
                for ack in open_signed(message.payload, hub, Context.ACK, Acks).acks:
                    if ack.contiguous:
                        words = (ack.archive_id, ack.epoch, ack.stream.value, ack.contiguous, ack.hash)
                        self.tell("acked " + " ".join(map(str, words)))
            if message.topic == TOPICS.feed_head(SCOPE):
                head = open_signed(message.payload, hub, Context.FEED_HEAD, FeedHead)
                self.tell(f"head {head.epoch} {head.number} {head.digest}")
            if message.topic == TOPICS.blob_answer(self.lane):
                answer = open_signed(message.payload, hub, Context.BLOB_ANSWER, BlobAnswer)
                if answer.state is BlobState.STORED:
                    self.tell(f"stored {answer.sha256}")
            if message.retain:
                self._retained[message.topic] = message.payload
            if self.lane_is_up and self._lane_hears(message.topic):
                self._to_lane.append((message.topic, message.payload))

    # --- the lane ---

    def start_lane(self) -> None:
        folder = self.folder / "data" / self.lane
        self.journal = Journal.open(
            folder / "journal.sqlite", device=self.lane, new_id=self.new_id, utc=self.utc, reserve_bytes=0
        )
        self.tell(f"opened {self.journal.epoch}")
        self._config = SessionConfig(device=self.lane, topics=TOPICS, scope=SCOPE)
        self._performer = LinkPerformer(self.journal, folder, scope=SCOPE, utc=self.utc)
        self._session = EdgeSession(
            self._config,
            signer=KeySigner(key(self.lane), self.lane),
            keys={HUB_KID: key(HUB_KID).public_key()},
            utc_at=self.utc,
            opened=self._performer.opened(),
        )
        self.pictures = EvidenceFiles(
            folder / "pictures", most_bytes=1 << 40, keep_days=10_000, keep_free_bytes=0,
            may_shed=self.journal.blob_acknowledged, free_bytes=lambda _folder: 1 << 40,
        )  # fmt: skip
        self.pictures.open()
        self._blob_performer = BlobPerformer(self.journal, self.pictures)
        self._blob_session = BlobSession(
            BlobConfig(device=self.lane, topics=TOPICS, chunk_bytes=1500),
            signer=KeySigner(key(self.lane), self.lane),
            hub_keys=lambda: {HUB_KID: key(HUB_KID).public_key()},
        )
        self._wake_s = self._blob_wake_s = None
        self.lane_is_up = True
        for connection in Connection:
            self._drive(link_words.Connected(connection))
        self._drive_blobs(link_words.Connected(Connection.BLOBS))
        self._to_lane.extend(item for item in self._retained.items() if self._lane_hears(item[0]))

    def stop_lane(self, *, politely: bool = False) -> None:
        """Otherwise as `kill -9` does it: nothing is said, nothing is remembered."""
        self.lane_is_up = False
        self._to_lane.clear()
        self._performer.close()
        if politely:
            self.journal.close()
        else:
            self.journal._shut()

    def commit(
        self,
        *facts: tuple[FactData, Stream],
        uses: tuple[SlipUse, ...] = (),
        blobs: tuple[BlobOwed, ...] = (),
        state: bytes = b"",
    ) -> None:
        """Told only after it returned: now an arm would move."""
        drafts = []
        for data, stream in facts:
            self._event_no += 1
            drafts.append(FactDraft(f"event-{self._event_no:x}", stream, self.utc(), "boot", 5, data))
        for fact in self.journal.commit(drafts, uses=uses, blobs=blobs, lane_state=state or None):
            words = (fact.epoch, fact.stream.value, fact.seq, fact.hash, fact.event_id)
            self.tell("fact " + " ".join(map(str, words)))
        self._drive(link_words.FactsWaiting())

    def keep_picture(self, passage: int, jpeg: bytes) -> None:
        """On the disk first, then named by a fact and owed to the centre."""
        kept = self.pictures.keep(jpeg, self.utc())
        taken = PictureTaken(
            passage=passage, moment="arrival", camera="front", sha256=kept.sha256, size_bytes=kept.size_bytes
        )
        owed = BlobOwed(kept.sha256, kept.size_bytes, BlobClass.ROUTINE, passage)
        self.commit((taken, Stream.ROUTINE), blobs=(owed,))
        self.tell(f"picture {kept.sha256}")

    def _lane_hears(self, topic: str) -> bool:
        asked = [each for connection in Connection for each in self._config.subscriptions(connection)]
        return any(topic_matches_sub(each, topic) for each in asked)

    def _drive(self, event: LinkEvent) -> None:
        events = deque([event])
        while events:
            for effect in self._session.step(self.now_s, events.popleft()):
                match effect:
                    case link_words.Publish(_, topic, payload, retain):
                        self._publish(topic, payload, retain=retain)
                    case link_words.Notify(notice):
                        if isinstance(notice, link_words.RecordsMoved):
                            self.tell(f"moved {notice.generation} {notice.epoch} {notice.number}")
                    case link_words.WakeAt(at_s):
                        self._wake_s = at_s
                    case _:
                        events.extend(self._performer.perform(effect))

    def _drive_blobs(self, event: BlobEvent) -> None:
        events = deque([event])
        while events:
            for effect in self._blob_session.step(self.now_s, events.popleft()):
                match effect:
                    case link_words.Publish(_, topic, payload, retain):
                        self._publish(topic, payload, retain=retain)
                    case link_words.WakeAt(at_s):
                        self._blob_wake_s = at_s
                    case _:
                        events.extend(self._blob_performer.perform(effect))

    def _publish(self, topic: str, payload: bytes, *, retain: bool) -> None:
        if retain:
            self._retained[topic] = payload
        asked = [each for connection in Connection for each in hub_subscriptions(SITE, connection)]
        if self.hub_is_up and any(topic_matches_sub(each, topic) for each in asked):
            self._to_hub.append((topic, payload))

    # --- both ---

    def run(self, seconds: float, *, step_s: float = 1.0) -> None:
        """Deliver what is under way, then let time pass, again and again."""
        until_s = self.now_s + seconds
        self._deliver()
        while self.now_s < until_s:
            self.now_s += step_s
            if self.lane_is_up and self._wake_s is not None and self._wake_s <= self.now_s:
                self._drive(link_words.Tick())
            if self.lane_is_up:
                self._drive_blobs(FactsOwed(self._blob_performer.facts_owed()))
                if self._blob_wake_s is not None and self._blob_wake_s <= self.now_s:
                    self._drive_blobs(link_words.Tick())
            if self.hub_is_up:
                self._out(self._receiver.tick(self.utc()))
            self._deliver()

    def _deliver(self) -> None:
        while (self._to_hub and self.hub_is_up) or (self._to_lane and self.lane_is_up):
            some = [self._to_hub.popleft() for _ in range(min(len(self._to_hub), 16))]
            if self.hub_is_up and some:
                self._out(self._receiver.receive_all([m for m in some if BLOB not in m[0]], self.utc()))
                for topic, payload in some:
                    if BLOB in topic:
                        self._out(self._blobs.receive(topic, payload, self.utc()))
            if self.lane_is_up and self._to_lane:
                topic, payload = self._to_lane.popleft()
                received = link_words.Received(topic, payload)
                (self._drive_blobs if topic == TOPICS.blob_answer(self.lane) else self._drive)(received)

    def drained(self) -> bool:
        """Everything acknowledged by this very archive, and records in force at the hub's own number."""
        generation = self.journal.generation()
        scope = self.archive.scope(SCOPE)
        if generation is None or scope is None or any(self.journal.backlog().values()):
            return False
        if self.journal.blobs_backlog()[0]:
            return False
        held = self._performer._held(generation)
        if held is None:
            return False
        state = held[1].feed_state()
        return (state.epoch, state.number) == (scope.epoch, scope.number) and state.verified_utc is not None

    def run_until_drained(self, at_most_s: float = 900.0) -> bool:
        for _ in range(int(at_most_s / 5)):
            self.run(5.0)
            if self.drained():
                return True
        return self.drained()
