"""Evidence on its way up: whatever the network does, a blob ends whole at the hub, acknowledged once."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from edge.cli import app
from sync.hub.archive import Archive
from sync.hub.blob_files import BlobFiles
from sync.hub.blobs import BlobLimits, BlobTaking
from sync.link.blob_link import BlobPerformer
from sync.link.blob_session import (
    MAX_ASIDE,
    BlobConfig,
    BlobEvent,
    BlobSession,
    FactsOwed,
    LoadBlob,
    NoteStored,
)
from sync.link.envelope import chunk_payload, open_chunk, open_signed, signed_payload
from sync.link.keys import Forged, KeySigner, make_private, private_pem, public_pem
from sync.link.messages import (
    MAX_PAYLOAD_BYTES,
    BlobAnswer,
    BlobChunk,
    BlobOffer,
    BlobState,
    Context,
    Topics,
)
from sync.link.words import (
    Connected,
    Connection,
    Disconnected,
    Notice,
    Notify,
    Publish,
    Received,
    Tick,
    WakeAt,
)
from sync.store.journal import BlobOwed, Journal
from sync.vocabulary.blobs import MAX_BLOB_BYTES, BlobClass
from sync.vocabulary.codec import Malformed
from sync.vocabulary.facts import Fact, FactDraft, PictureTaken, Stream
from tests.postgres import Place

DEVICE, SITE = "lane-1", "site-a"
TOPICS = Topics(SITE)
DEVICE_KEY, OTHER_KEY, HUB_KEY = make_private(), make_private(), make_private()
DEVICE_SIGNER, HUB_SIGNER = KeySigner(DEVICE_KEY, DEVICE), KeySigner(HUB_KEY, "hub")
KEYS = {DEVICE: DEVICE_KEY.public_key()}
HUB_KEYS = {"hub": HUB_KEY.public_key()}
CONFIG = BlobConfig(device=DEVICE, topics=TOPICS, bytes_per_s=200_000, burst_bytes=20_000)
ROOM = BlobLimits(keep_free_bytes=0)
START_S = 1_770_000_000


def utc(at_s: float) -> str:
    return (
        f"2026-03-{1 + int(at_s) // 86_400:02d}T{int(at_s) // 3600 % 24:02d}:{int(at_s) // 60 % 60:02d}:00Z"
    )


def picture(number: int, size_bytes: int) -> bytes:
    return random.Random(number).randbytes(size_bytes)


def name(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class Memory:
    """Evidence as a program keeps it."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    read_s: list[str] = field(default_factory=list)

    def read(self, sha256: str) -> bytes | None:
        self.read_s.append(sha256)
        return self.blobs.get(sha256)


class Site:
    """A lane's journal and evidence, a hub's archive and folder, and a network in between to be spoiled."""

    def __init__(self, folder: Path, *, limits: BlobLimits = ROOM, place: Place | None = None) -> None:
        self.folder = folder
        self.limits = limits
        self.config = CONFIG
        self.now_s = 0.0
        self.memory = Memory()
        self.up: list[tuple[str, bytes]] = []
        self.down: list[tuple[str, bytes]] = []
        self.sent: list[tuple[float, str, int]] = []
        self.stored: list[str] = []
        self.notices: list[Notice] = []
        self.wake_at_s: float | None = None
        self.spoil: Callable[[list[tuple[str, bytes]]], list[tuple[str, bytes]]] = lambda messages: messages
        self.seq = 0
        self.journal = Journal.open(folder / "journal.sqlite", device=DEVICE, reserve_bytes=0)
        self.archive = Archive.open(place or folder / "archive.sqlite")
        with self.archive.transaction():
            self.archive.enrol(DEVICE, public_pem(DEVICE_KEY.public_key()).decode())
        self.journal.meet_archive(self.archive.archive_id)
        self.hub_starts()
        self.edge_starts()

    def close(self) -> None:
        self.journal.close()
        self.archive.close()

    def hub_starts(self) -> None:
        """Also after a kill: nothing of it is in memory."""
        self.files = BlobFiles(self.folder / "blobs")
        self.files.open()
        self.hub = BlobTaking(self.archive, self.files, HUB_SIGNER, site=SITE, limits=self.limits)

    def edge_starts(self) -> None:
        self.session = BlobSession(self.config, signer=DEVICE_SIGNER, hub_keys=lambda: HUB_KEYS)
        self.performer = BlobPerformer(self.journal, self.memory)
        self.wake_at_s = None
        self.up, self.down = [], []

    def take(self, data: bytes, blob_class: BlobClass = BlobClass.ROUTINE, *, told: bool = True) -> str:
        """A picture is taken: kept, named by a fact and owed; `told`: the fact is at the hub."""
        sha256 = name(data)
        self.seq += 1
        self.memory.blobs[sha256] = data
        taken = PictureTaken(
            passage=self.seq, moment="arrival", camera="front", sha256=sha256, size_bytes=len(data)
        )
        draft = FactDraft(f"e{self.seq}", Stream.ROUTINE, utc(0), "boot", 1, taken)
        (fact,) = self.journal.commit([draft], blobs=[BlobOwed(sha256, len(data), blob_class, self.seq)])
        if told:
            self.tell(fact, sha256, len(data))
        return sha256

    def tell(self, fact: Fact, sha256: str, size_bytes: int) -> None:
        with self.archive.transaction():
            self.archive.name_blob(fact, sha256, size_bytes, utc(self.now_s))

    def edge(self, event: BlobEvent) -> None:
        events = [event]
        while events:
            for effect in self.session.step(self.now_s, events.pop(0)):
                match effect:
                    case Publish(connection, topic, payload):
                        assert connection is Connection.BLOBS
                        assert len(payload) <= MAX_PAYLOAD_BYTES
                        self.sent.append((self.now_s, topic, len(payload)))
                        self.up.append((topic, payload))
                    case Notify(notice):
                        self.notices.append(notice)
                    case WakeAt(at_s):
                        self.wake_at_s = at_s
                    case NoteStored(sha256):
                        self.stored.append(sha256)
                        events.extend(self.performer.perform(effect))
                    case _:
                        events.extend(self.performer.perform(effect))

    def deliver(self) -> None:
        up, self.up = self.spoil(self.up), []
        for topic, payload in up:
            for out in self.hub.receive(topic, payload, utc(self.now_s)):
                assert out.connection == "blobs"
                self.down.append((out.topic, out.payload))
        down, self.down = self.spoil(self.down), []
        for topic, payload in down:
            self.edge(Received(topic, payload))

    def run(self, for_s: float, step_s: float = 0.05) -> None:
        until_s = self.now_s + for_s
        while self.now_s < until_s:
            self.now_s += step_s
            self.deliver()
            if self.wake_at_s is not None and self.wake_at_s <= self.now_s:
                self.edge(Tick())

    def connect(self) -> None:
        self.edge(Connected(Connection.BLOBS))

    def chunks(self) -> int:
        return sum(topic == TOPICS.blob_chunk(DEVICE) for _, topic, _ in self.sent)

    def whole(self, sha256: str) -> bool:
        return self.files.read(sha256) == self.memory.blobs[sha256]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


def test_a_blob_goes_up_in_chunks_and_is_the_centres_when_it_has_signed_for_the_whole(site: Site) -> None:
    sha256 = site.take(picture(1, 300_000))
    site.connect()
    site.run(10.0)
    assert site.whole(sha256)
    assert site.stored == [sha256]
    assert site.journal.blob_acknowledged(sha256)
    assert site.archive.blob_state(sha256) == "stored"
    assert list((site.folder / "blobs" / "parts").iterdir()) == []
    assert site.chunks() >= 300_000 // (60 * 1024)


def test_what_the_hub_has_already_is_not_sent_again(site: Site) -> None:
    sha256 = site.take(picture(1, 50_000))
    site.connect()
    site.run(5.0)
    chunks = site.chunks()
    site.journal.meet_archive("another")
    site.journal.meet_archive(site.archive.archive_id)
    assert site.journal.blobs_backlog() == (1, 50_000)
    site.run(5.0)
    assert (site.chunks(), site.journal.blob_acknowledged(sha256)) == (chunks, True)


def test_evidence_of_a_hold_goes_before_a_routine_picture_that_is_older(site: Site) -> None:
    first = site.take(picture(1, 30_000))
    second = site.take(picture(2, 30_000), BlobClass.HELD)
    site.connect()
    site.run(5.0)
    assert site.stored == [second, first]


def test_while_a_fact_waits_nothing_is_sent_and_afterwards_it_goes_on_where_it_was(site: Site) -> None:
    sha256 = site.take(picture(1, 400_000))
    site.connect()
    site.run(0.5)
    site.edge(FactsOwed(1))
    sent = len(site.sent)
    assert sent > 2
    for _ in range(31):
        site.run(1.0)
        site.edge(Tick())
    assert len(site.sent) == sent
    site.edge(FactsOwed(0))
    site.run(5.0)
    assert site.whole(sha256)
    assert sum(size for _, topic, size in site.sent if topic.endswith("chunk")) < 1.3 * 400_000


def test_no_more_leaves_than_the_configured_rate(site: Site) -> None:
    for number in range(4):
        site.take(picture(number, 300_000))
    site.connect()
    site.run(5.0)
    spans = [
        sum(size for at_s, _, size in site.sent if begin <= at_s < begin + 1.0)
        for begin in (0.0, 1.0, 2.0, 3.0)
    ]
    most = CONFIG.bytes_per_s + CONFIG.burst_bytes + MAX_PAYLOAD_BYTES
    assert max(spans) <= most
    assert sum(spans) >= 0.7 * 4 * CONFIG.bytes_per_s


def test_a_blob_whose_fact_is_not_there_yet_waits_and_holds_up_no_other(site: Site) -> None:
    unknown = site.take(picture(1, 20_000), told=False)
    known = site.take(picture(2, 20_000))
    site.connect()
    site.run(4.0)
    assert site.stored == [known]
    (fact,) = [
        fact
        for fact in site.journal.facts_from(Stream.ROUTINE, 1, max_facts=9, max_bytes=10**6)
        if unknown in fact.body
    ]
    site.tell(fact, unknown, 20_000)
    site.run(20.0)
    assert site.stored == [known, unknown]


def test_a_blob_that_is_gone_from_the_disk_is_said_and_forgotten_unless_the_centre_has_it(site: Site) -> None:
    lost = site.take(picture(1, 20_000))
    known = site.take(picture(2, 20_000))
    del site.memory.blobs[lost]
    site.connect()
    site.run(4.0)
    assert site.stored == [known]
    assert site.journal.owed_blobs(9) == ()
    assert [lost in str(notice) for notice in site.notices] == [True]


@pytest.mark.parametrize("who", ["edge", "hub", "line"])
def test_a_restart_of_either_side_in_the_middle_resumes(site: Site, who: str) -> None:
    sha256 = site.take(picture(1, 2_000_000))
    site.connect()
    site.run(4.0)
    sent = site.chunks()
    assert 3 < sent < 30
    match who:
        case "edge":
            site.edge_starts()
            site.connect()
        case "hub":
            site.hub_starts()
            site.up, site.down = [], []
        case _:
            site.up, site.down = [], []
            site.edge(Disconnected(Connection.BLOBS, "cut"))
            site.run(3.0)
            site.connect()
    site.run(30.0)
    assert site.whole(sha256)
    assert site.stored == [sha256]
    total = sum(size for _, topic, size in site.sent if topic.endswith("chunk"))
    assert total <= 2_000_000 * 1.15 + CONFIG.widest_window_bytes


SPOIL = st.lists(
    st.sampled_from(["lose", "double", "reorder", "cut", "edge", "hub", "pass", "facts"]),
    min_size=1,
    max_size=40,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=SPOIL, sizes=st.lists(st.integers(1, 150_000), min_size=1, max_size=3), seed=st.integers(0, 10**6)
)
def test_whatever_the_network_does_every_blob_ends_whole_and_acknowledged_once(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str], sizes: list[int], seed: int
) -> None:
    dice = random.Random(seed)
    site = Site(tmp_path_factory.mktemp("blobs"))
    try:
        names = {site.take(picture(seed + number, size)) for number, size in enumerate(sizes)}
        site.connect()
        for step in steps:
            match step:
                case "lose":
                    site.spoil = lambda messages: [one for one in messages if dice.random() < 0.6]
                case "double":
                    site.spoil = lambda messages: [one for one in messages for _ in range(dice.randint(1, 3))]
                case "reorder":
                    site.spoil = lambda messages: dice.sample(messages, len(messages))
                case "cut":
                    site.up, site.down = [], []
                    site.edge(Disconnected(Connection.BLOBS, "cut"))
                    site.connect()
                case "edge":
                    site.edge_starts()
                    site.connect()
                case "hub":
                    site.up, site.down = [], []
                    site.hub_starts()
                case "facts":
                    site.edge(FactsOwed(dice.randint(0, 2)))
                case _:
                    site.spoil = lambda messages: messages
            site.run(dice.choice((0.1, 0.4, 1.5)), 0.1)
        site.spoil = lambda messages: messages
        site.edge(FactsOwed(0))
        site.run(400.0, 0.5)
        assert sorted(site.stored) == sorted(names)
        assert all(site.whole(sha256) for sha256 in names)
        assert site.journal.owed_blobs(9) == ()
        assert site.files.opened() == []
    finally:
        site.close()


def test_the_hubs_rows_are_the_same_on_either_engine(tmp_path: Path, place: Place) -> None:
    day_s = 86_400.0
    keep_s = {BlobClass.ROUTINE: 2 * day_s}
    site = Site(tmp_path, limits=BlobLimits(keep_free_bytes=0, keep_s=keep_s), place=place)
    try:
        routine, held = site.take(picture(1, 20_000)), site.take(picture(2, 30_000), BlobClass.HELD)
        never = site.take(picture(3, 1_000))
        site.journal.forget_blobs([never])
        site.connect()
        site.run(6.0)
        assert set(site.stored) == {routine, held}
        assert (site.archive.blob_bytes(DEVICE), site.archive.blob_bytes("")) == (50_000, 50_000)
        assert site.archive.blob_bytes("lane-9") == 0
        for day in (3, 4):
            site.hub.tend(utc(day * day_s))
        assert alarms(site) == ["blob_missing"]
        assert [row.sha256 for row in site.archive.missing_blobs("9999", 9, DEVICE)] == [never]
        assert [row.state for row in site.archive.blobs_of_passage(DEVICE, 1)] == ["dropped"]
        assert site.archive.blob_counts() == (
            (DEVICE, "held", "stored", 1, 30_000),
            (DEVICE, "routine", "dropped", 1, 20_000),
            (DEVICE, "routine", "missing", 1, 1_000),
        )
    finally:
        site.close()


# --- what is not believed ---------------------------------------------------------------------------------


def test_stored_is_believed_only_of_the_archive_that_counts(site: Site) -> None:
    sha256 = site.take(picture(1, 20_000))
    site.connect()
    recorded = BlobAnswer("an archive of last year", DEVICE, sha256, BlobState.STORED)
    site.edge(Received(TOPICS.blob_answer(DEVICE), signed_payload(HUB_SIGNER, Context.BLOB_ANSWER, recorded)))
    assert not site.journal.blob_acknowledged(sha256)
    site.run(20.0)
    assert site.whole(sha256)
    assert site.journal.blob_acknowledged(sha256)


ANSWER = BlobAnswer("a", DEVICE, "a" * 64, BlobState.WANTED, ((0, 9),))


@pytest.mark.parametrize(
    "payload",
    [
        b"no JSON",
        b"",
        signed_payload(KeySigner(OTHER_KEY, "hub"), Context.BLOB_ANSWER, ANSWER),
        signed_payload(DEVICE_SIGNER, Context.BLOB_ANSWER, ANSWER),
        signed_payload(HUB_SIGNER, Context.ACK, ANSWER),
        signed_payload(
            HUB_SIGNER, Context.BLOB_ANSWER, BlobAnswer("a", "lane-2", "a" * 64, BlobState.STORED)
        ),
        signed_payload(
            HUB_SIGNER, Context.BLOB_ANSWER, BlobAnswer("a", DEVICE, "a" * 64, BlobState.WANTED, ((5, 3),))
        ),
        signed_payload(
            HUB_SIGNER,
            Context.BLOB_ANSWER,
            BlobAnswer("a", DEVICE, "a" * 64, BlobState.WANTED, ((0, 10**9),)),
        ),
        signed_payload(
            HUB_SIGNER,
            Context.BLOB_ANSWER,
            BlobAnswer("a", DEVICE, "a" * 64, BlobState.WANTED, tuple((2 * n, 2 * n) for n in range(65))),
        ),
    ],
    ids=count(),  # keys are new in every process, and every worker must call a test the same
)
def test_answers_of_anybody_else_or_beyond_the_bounds_change_nothing(site: Site, payload: bytes) -> None:
    sha256 = site.take(picture(1, 20_000))
    site.connect()
    site.edge(Received(TOPICS.blob_answer(DEVICE), payload))
    site.edge(Received("kakou/v1/site-a/edge/lane-1/ack", payload))
    assert site.stored == []
    assert len(site.notices) <= 2
    site.run(5.0)
    assert site.stored == [sha256]


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=300)
    | st.builds(lambda a, b: a + b"\n" + b, st.binary(max_size=99), st.binary(max_size=99))
)
def test_no_chunk_payload_raises_anything_but_a_refusal(payload: bytes) -> None:
    with pytest.raises((Forged, Malformed)):
        open_chunk(payload, KEYS)


# --- the hub: hostile devices, quotas, retention ----------------------------------------------------------


def said(site: Site, answers: list[object]) -> list[tuple[BlobState, tuple[tuple[int, int], ...]]]:
    opened = [
        open_signed(out.payload, HUB_KEYS, Context.BLOB_ANSWER, BlobAnswer)  # type: ignore[attr-defined]
        for out in answers
    ]
    return [(answer.state, answer.missing) for answer in opened]


def offered(site: Site, sha256: str, size_bytes: int, at_s: float = 0.0) -> list[tuple[BlobState, object]]:
    offer = BlobOffer(DEVICE, sha256, size_bytes, BlobClass.ROUTINE)
    payload = signed_payload(DEVICE_SIGNER, Context.BLOB, offer)
    return list(said(site, list(site.hub.receive(TOPICS.blob_offer(DEVICE), payload, utc(at_s)))))


def chunk(
    site: Site, sha256: str, size_bytes: int, offset: int, data: bytes, device: str = DEVICE
) -> list[tuple[BlobState, object]]:
    head = BlobChunk(device, sha256, size_bytes, offset, name(data))
    payload = chunk_payload(DEVICE_SIGNER, head, data)
    return list(said(site, list(site.hub.receive(TOPICS.blob_chunk(DEVICE), payload, utc(0)))))


def alarms(site: Site) -> list[str]:
    return [row[0] for row in site.archive._db.execute("SELECT code FROM hub_alarms ORDER BY id")]


def test_the_hub_says_what_it_lacks_and_takes_parts_in_any_order(site: Site) -> None:
    data = picture(1, 1_000)
    sha256 = site.take(data)
    assert offered(site, sha256, 1_000) == [(BlobState.WANTED, ((0, 999),))]
    assert chunk(site, sha256, 1_000, 900, data[900:]) == [(BlobState.WANTED, ((0, 899),))]
    assert chunk(site, sha256, 1_000, 100, data[100:400]) == [(BlobState.WANTED, ((0, 99), (400, 899)))]
    assert chunk(site, sha256, 1_000, 50, data[50:500]) == [(BlobState.WANTED, ((0, 49), (500, 899)))]
    site.hub_starts()
    assert offered(site, sha256, 1_000) == [(BlobState.WANTED, ((0, 49), (500, 899)))]
    chunk(site, sha256, 1_000, 0, data[:50])
    assert chunk(site, sha256, 1_000, 500, data[500:900]) == [(BlobState.STORED, ())]
    assert site.whole(sha256)


def test_a_part_cut_short_by_a_power_cut_is_missing(site: Site) -> None:
    data = picture(1, 1_000)
    sha256 = site.take(data)
    chunk(site, sha256, 1_000, 0, data[:500])
    (part,) = (site.folder / "blobs" / "parts" / f"{DEVICE}~{sha256}").iterdir()
    part.write_bytes(b"")
    assert offered(site, sha256, 1_000) == [(BlobState.WANTED, ((0, 999),))]


def test_bytes_that_are_not_their_name_are_refused_with_an_alarm_and_leave_nothing(site: Site) -> None:
    data = picture(1, 1_000)
    sha256 = site.take(data)
    chunk(site, sha256, 1_000, 0, data[:500])
    assert chunk(site, sha256, 1_000, 500, bytes(500))[0][0] is BlobState.REFUSED
    assert alarms(site) == ["blob_wrong"]
    assert not site.files.has(sha256, 1_000)
    assert offered(site, sha256, 1_000) == [(BlobState.WANTED, ((0, 999),))]
    assert chunk(site, sha256, 1_000, 0, data) == [(BlobState.STORED, ())]


def test_what_no_fact_of_this_device_names_is_not_taken(site: Site) -> None:
    data = picture(1, 1_000)
    assert offered(site, name(data), 1_000) == [(BlobState.UNNAMED, ())]
    assert chunk(site, name(data), 1_000, 0, data) == [(BlobState.UNNAMED, ())]
    sha256 = site.take(data)
    assert offered(site, sha256, 999) == [(BlobState.UNNAMED, ())]
    assert list((site.folder / "blobs" / "parts").iterdir()) == []


HEAD = BlobChunk(DEVICE, "a" * 64, 1_000, 0, name(b"x" * 10))


@pytest.mark.parametrize(
    ("topic", "payload", "code"),
    [
        (TOPICS.blob_chunk(DEVICE), b"\n", "malformed"),
        (TOPICS.blob_chunk(DEVICE), chunk_payload(DEVICE_SIGNER, HEAD, b"y" * 10), "forged"),
        (TOPICS.blob_chunk(DEVICE), chunk_payload(KeySigner(OTHER_KEY, DEVICE), HEAD, b"x" * 10), "forged"),
        (
            TOPICS.blob_chunk(DEVICE),
            chunk_payload(DEVICE_SIGNER, BlobChunk(DEVICE, "a" * 64, 1_000, 995, name(b"x" * 10)), b"x" * 10),
            "malformed",
        ),
        (
            TOPICS.blob_chunk(DEVICE),
            chunk_payload(DEVICE_SIGNER, BlobChunk(DEVICE, "a" * 64, 1_000, -1, name(b"x" * 10)), b"x" * 10),
            "malformed",
        ),
        (
            TOPICS.blob_chunk(DEVICE),
            chunk_payload(DEVICE_SIGNER, BlobChunk("lane-2", "a" * 64, 1_000, 0, name(b"x" * 10)), b"x" * 10),
            "wrong_device",
        ),
        (
            TOPICS.blob_chunk(DEVICE),
            chunk_payload(DEVICE_SIGNER, BlobChunk(DEVICE, "../" * 21 + "a", 1_000, 0, name(b"x")), b"x"),
            "malformed",
        ),
        (
            TOPICS.blob_offer(DEVICE),
            signed_payload(
                DEVICE_SIGNER, Context.BLOB, BlobOffer(DEVICE, "a" * 64, MAX_BLOB_BYTES + 1, BlobClass.HELD)
            ),
            "malformed",
        ),
        (TOPICS.blob_offer(DEVICE), b"x" * (MAX_PAYLOAD_BYTES + 1), "oversized"),
        (TOPICS.blob_offer("lane-9"), b"{}", "device_unknown"),
        (TOPICS.blob_offer("../x"), b"{}", "topic_unknown"),
    ],
    ids=count(),  # keys are new in every process, and every worker must call a test the same
)
def test_hostile_payloads_are_refused_counted_and_leave_nothing(
    site: Site, topic: str, payload: bytes, code: str
) -> None:
    assert site.hub.receive(topic, payload, utc(0)) == []
    assert site.hub.receive(topic, payload, utc(1)) == []
    assert alarms(site) == [code]
    assert site.hub.refused == 2
    assert list((site.folder / "blobs" / "parts").iterdir()) == []


def test_a_device_has_a_quota_and_all_devices_have_one(tmp_path: Path) -> None:
    limits = BlobLimits(keep_free_bytes=0, most_device_bytes=1_500, most_bytes=2_500)
    site = Site(tmp_path, limits=limits)
    first, second = picture(1, 1_000), picture(2, 1_000)
    site.take(first)
    site.take(second)
    assert chunk(site, name(first), 1_000, 0, first) == [(BlobState.STORED, ())]
    assert offered(site, name(second), 1_000)[0][0] is BlobState.REFUSED
    assert chunk(site, name(second), 1_000, 0, second)[0][0] is BlobState.REFUSED
    assert alarms(site) == ["blob_quota"]
    site.limits = BlobLimits(keep_free_bytes=10**18)
    site.hub_starts()
    assert offered(site, name(second), 1_000)[0][0] is BlobState.REFUSED
    site.close()


def test_only_so_many_blobs_of_a_device_are_on_their_way_at_once(site: Site) -> None:
    for number in range(8):
        data = picture(number, 1_000)
        sha256 = site.take(data)
        offered(site, sha256, 1_000)
        chunk(site, sha256, 1_000, 0, data[:10])
    assert len(site.files.opened()) == ROOM.most_open_device
    assert sha256 in {one.sha256 for one in site.files.opened()}


def test_parts_sent_without_an_offer_do_not_open_more(site: Site) -> None:
    """Nobody counts unfinished parts against a quota: a device must not fill the disk with them."""
    for number in range(8):
        data = picture(number, 1_000)
        sha256 = site.take(data)
        chunk(site, sha256, 1_000, 0, data[:10])
        chunk(site, sha256, 1_000, 10, data[10:20])
    assert len(site.files.opened()) == ROOM.most_open_device
    assert sha256 in {one.sha256 for one in site.files.opened()}


def test_retention_at_the_hub_goes_by_class_and_what_had_its_time_is_not_sent_again(tmp_path: Path) -> None:
    day_s = 86_400.0
    keep_s = {BlobClass.ROUTINE: 2 * day_s, BlobClass.HELD: 9 * day_s}
    site = Site(tmp_path, limits=BlobLimits(keep_free_bytes=0, keep_s=keep_s))
    routine = site.take(picture(1, 1_000))
    held = site.take(picture(2, 1_000), BlobClass.HELD)
    site.connect()
    site.run(5.0)
    site.hub.tend(utc(day_s))
    assert (site.whole(routine), site.whole(held)) == (True, True)
    site.hub.tend(utc(4 * day_s))
    assert (site.files.read(routine), site.whole(held)) == (None, True)
    assert offered(site, routine, 1_000, 4 * day_s) == [(BlobState.STORED, ())]
    site.hub.tend(utc(12 * day_s))
    assert site.files.read(held) is None
    site.close()


def test_a_blob_that_never_came_is_an_alarm_after_its_patience_once(site: Site) -> None:
    sha256 = site.take(picture(1, 1_000))
    site.hub.tend(utc(3_600.0))
    assert alarms(site) == []
    for day in (2, 3, 4):
        site.hub.tend(utc(day * 86_400.0))
    assert alarms(site) == ["blob_missing"]
    assert [row.sha256 for row in site.archive.missing_blobs("9999", 9)] == [sha256]
    assert [row.state for row in site.archive.blobs_of_passage(DEVICE, 1)] == ["missing"]


def test_a_file_whose_row_was_lost_with_the_power_is_found_again_and_proved(site: Site) -> None:
    data = picture(1, 1_000)
    sha256 = site.take(data)
    chunk(site, sha256, 1_000, 0, data)
    with site.archive.transaction():
        site.archive._db.execute("UPDATE blobs SET state = 'missing'")
    assert offered(site, sha256, 1_000) == [(BlobState.STORED, ())]
    assert site.archive.blob_state(sha256) == "stored"
    with site.archive.transaction():
        site.archive._db.execute("UPDATE blobs SET state = 'missing'")
    site.files.path(sha256).write_bytes(bytes(1_000))
    assert offered(site, sha256, 1_000) == [(BlobState.WANTED, ((0, 999),))]


def test_a_disk_that_fails_answers_nothing_and_is_asked_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha256 = site.take(picture(1, 20_000))

    def full(_self: BlobFiles, *_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(BlobFiles, "add", full)
        site.connect()
        site.run(3.0)
        assert "No space left" in site.hub.fault
        assert site.stored == []
    site.run(30.0)
    assert (site.hub.fault, site.stored) == ("", [sha256])


def test_nothing_is_loaded_for_what_the_hub_has(site: Site) -> None:
    effects = site.session.step(0.0, Connected(Connection.BLOBS))
    assert not [effect for effect in effects if isinstance(effect, LoadBlob)]
    site.take(picture(1, 1_000))
    chunk(site, name(picture(1, 1_000)), 1_000, 0, picture(1, 1_000))
    site.connect()
    site.run(3.0)
    assert site.memory.read_s == []


def test_the_hubs_evidence_can_be_listed_and_what_never_came_is_a_finding(site: Site, tmp_path: Path) -> None:
    there, lost = picture(1, 1_000), site.take(picture(2, 2_000))
    site.take(there)
    chunk(site, name(there), 1_000, 0, there)
    (tmp_path / "hub.key").touch(mode=0o600)
    (tmp_path / "hub.key").write_bytes(private_pem(HUB_KEY))
    config = tmp_path / "hub.toml"
    config.write_text(
        f'site = "{SITE}"\n[store]\narchive = "archive.sqlite"\n[sync]\n'
        'key_file = "hub.key"\nscopes = ["s"]\n[blobs]\nmissing_after_h = 1\n'
    )
    runner = CliRunner()
    ran = runner.invoke(app, ["records", "blobs", str(config)])
    said_lines = [json.loads(line) for line in ran.stdout.splitlines()]
    assert ran.exit_code == 1
    assert [(line["state"], line["blobs"]) for line in said_lines[:2]] == [("missing", 1), ("stored", 1)]
    assert [(line["sha256"], line["late"]) for line in said_lines[2:]] == [(lost, True)]
    of_passage = ["records", "blobs", str(config), "--device", DEVICE, "--passage", "2"]
    ran = runner.invoke(app, of_passage)
    (found,) = [json.loads(line) for line in ran.stdout.splitlines()]
    assert ran.exit_code == 0
    assert Path(found["file"]).read_bytes() == there
    assert runner.invoke(app, ["records", "blobs", str(config), "--passage", "2"]).exit_code == 2


def test_a_centre_that_takes_nothing_is_not_offered_the_same_over_and_over(tmp_path: Path) -> None:
    """However much is owed: as fast as it refuses would be for ever, on every lane of the site at once."""
    site = Site(tmp_path, limits=BlobLimits(keep_free_bytes=10**18))
    for number in range(MAX_ASIDE + 10):
        site.take(picture(number, 40))
    site.connect()
    site.run(30.0)
    begun = site.session.counts["offers"]
    site.run(30.0)
    assert begun >= MAX_ASIDE
    assert site.session.counts["offers"] - begun <= 10
    site.limits = ROOM
    site.hub_starts()
    site.run(15.0)
    assert site.session.counts["stored"] > 0
    site.close()
