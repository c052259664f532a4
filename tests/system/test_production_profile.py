"""The production profile with real TLS (G10, G11): the broker `kakou enrol` configures, hub, lane, a rogue.

The rogue holds a device that was stolen or bought: valid certificate, valid keys, any client he likes. What
he may not do is seen where it would arrive, never in an acknowledgement: MQTT 3.1.1 has none for "denied".
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import tarfile
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from edge.gate.events import SyncSaid
from edge.gate.wiring import _of_notice
from sync.enrolment import desk
from sync.enrolment.register import Kind, Settings
from sync.hub.archive import Archive, RecordChange
from sync.link.client import LinkClient, LinkConfig
from sync.link.envelope import signed_payload
from sync.link.key_files import own_signer
from sync.link.keys import KeySigner, load_private, load_public, make_private
from sync.link.messages import (
    Ack,
    Acks,
    Checkpoint,
    ClaimAnswer,
    ClaimRequest,
    ClaimVerdict,
    Context,
    FeedHead,
    Pull,
    Status,
    StreamHead,
    Topics,
)
from sync.link.rights import RIGHTS, device_grants, filters
from sync.link.words import (
    CertificateEnds,
    ClaimAnswered,
    EpochBegan,
    LinkDown,
    LinkRefused,
    LinkUp,
    Notice,
    RecordsMoved,
    Refused,
)
from sync.store.journal import Journal
from sync.vocabulary.codec import to_json
from sync.vocabulary.facts import GENESIS, Alarm, AlarmCode, FactDraft, PassageOpened, Stream
from sync.vocabulary.numbers import SlipNo
from tests.system.conftest import kakou, launching, listening, mosquitto, until

pytestmark = [pytest.mark.system, pytest.mark.timeout(120), pytest.mark.xdist_group("production profile")]

SITE, SCOPE = "site-a", "site-a"
TOPICS = Topics(SITE)
LANE, ROGUE, STOLEN, SPY = "lane-1", "lane-2", "lane-3", "lane-4"
MARK = b"the rogue was here"
SLIP = SlipNo("Z3111I240728000000000003")


def utc() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


# --- a site of our own ------------------------------------------------------------------------------------


class Profile:
    """A site folder, the broker and the hub it configures, each started as an integrator would."""

    def __init__(self, folder: Path, launch: Any) -> None:
        self.folder = folder
        self.office = folder / "office"
        self.machines = folder / "machines"
        self.broker_folder = folder / "broker"
        self.machines.mkdir()
        self.launch = launch
        self.port = free_port()
        self.hub_config = self.machines / "hub.toml"
        self.pid_file = self.broker_folder / "mosquitto.pid"
        now = datetime.now(UTC)
        settings = Settings(
            site=SITE,
            broker_hosts=("127.0.0.1",),
            broker_port=self.port,
            listen="127.0.0.1",
            scopes=(SCOPE, "site-b"),
            hub_config=str(self.hub_config),
            broker_pid_file=str(self.pid_file),
        )
        desk.init(self.office, settings, now)
        desk.enrol_hub(self.office, now)
        for name in (LANE, ROGUE, STOLEN, SPY):
            desk.enrol_device(self.office, name, Kind.LANE, [], now)
        desk.broker(self.office, "mosquitto", self.broker_folder, now)
        config = self.broker_folder / "mosquitto.conf"
        own = f"pid_file {self.pid_file}\n" + ("user root\n" if os.getuid() == 0 else "")
        config.write_text(own + config.read_text(encoding="utf-8"), encoding="utf-8")
        for name in ("hub", LANE, ROGUE, STOLEN, SPY):
            self.carry(name)
        (self.machines / "data").mkdir()
        self.archive_path = self.machines / "data" / "archive.sqlite"
        self.write_hub_config()

    def carry(self, name: str) -> Path:
        """Bundle and unpack, as by hand: `tar -xpf` over what is there."""
        out = self.folder / f"{name}.{time.monotonic_ns()}.tar"
        desk.bundle(self.office, name, out, datetime.now(UTC))
        with tarfile.open(out) as tar:
            tar.extractall(self.machines, filter="tar")
        return self.machines / name

    def write_hub_config(self) -> None:
        fragment = (self.machines / "hub" / "hub.fragment.toml").read_text(encoding="utf-8")
        head, _, devices = fragment.partition("[devices]")
        self.hub_config.write_text(
            f"{head}poll_s = 0.05\nhead_every_s = 0.5\nreconnect_longest_s = 0.3\n\n[devices]{devices}\n"
            f'[store]\narchive = "data/archive.sqlite"\n',
            encoding="utf-8",
        )

    def start_broker(self) -> None:
        self.broker = self.launch([mosquitto(), "-c", str(self.broker_folder / "mosquitto.conf")])
        until(lambda: listening(self.port) or not self.broker.running, "the broker listens")
        assert self.broker.running, self.broker.complained()

    def start_hub(self) -> None:
        self.hub = self.launch(kakou("hub", str(self.hub_config)))
        until(lambda: len(self.hub.logged("broker reached")) >= 2 or not self.hub.running, "the hub is up")
        assert self.hub.running, self.hub.complained()

    def stop_hub(self) -> None:
        self.hub.process.send_signal(signal.SIGTERM)
        assert self.hub.ended(20) == 0

    def enterprises(self, first: int, count: int) -> None:
        """Records for the scope, as an import brings them."""
        changes = [
            RecordChange(
                "enterprises",
                f"{number:010d}",
                f'{{"code":"{number:010d}","name":"n","tier":"high","spot_check_per_mille":1}}',
            )
            for number in range(first, first + count)
        ]
        archive = Archive.open(self.archive_path)
        archive.apply_changes(SCOPE, changes, utc())
        archive.close()

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with contextlib.closing(sqlite3.connect(f"file:{self.archive_path}?mode=ro", uri=True)) as database:
            return database.execute(sql, values).fetchall()

    def facts_of(self, device: str) -> list[tuple[Any, ...]]:
        return self.rows(
            "SELECT epoch, stream, seq, hash FROM facts WHERE device = ? ORDER BY 1, 2, 3", device
        )

    def alarms_of(self, device: str) -> list[str]:
        return [
            code for (code,) in self.rows("SELECT code FROM hub_alarms WHERE device = ? ORDER BY id", device)
        ]

    def link_config(self, device: str, **changes: Any) -> LinkConfig:
        place = self.machines / device
        config = LinkConfig(
            device=device, site=SITE, scopes=(SCOPE,), host="127.0.0.1", port=self.port,
            ca_file=place / "ca.pem", cert_file=place / "tls.pem", key_file=place / "tls.key",
            reconnect_first_s=0.05, reconnect_longest_s=0.3, resend_first_s=0.5, pull_first_s=0.5,
            claim_retry_s=0.2, keepalive_s=5, status_every_s=1.0, refused_every_s=0.2,
        )  # fmt: skip
        return replace(config, **changes)

    def client(self, who: str, client_id: str = "", will: tuple[str, bytes] | None = None) -> Client:
        return Client(self, who, client_id, will)


class Lane:
    """The link of one lane, as the gate runs it, with a journal that somebody commits to."""

    def __init__(self, profile: Profile, device: str, **changes: Any) -> None:
        self.folder = profile.folder / f"{device}-store-{time.monotonic_ns()}"
        self.folder.mkdir()
        self.device = device
        self.notices: list[Notice] = []
        self.journal = Journal.open(self.folder / "journal.sqlite", device=device, reserve_bytes=0)
        self.count = 0
        self.begin(profile, **changes)

    def begin(self, profile: Profile, **changes: Any) -> None:
        """Start the link, reading keys and statements as a program does."""
        place = profile.machines / self.device
        statements = place / "keys.json"
        signer, own = own_signer(
            self.device, load_private(place / "sign.key"), statements if statements.exists() else None
        )
        self.link = LinkClient(
            replace(profile.link_config(self.device, **changes), key_statements=own),
            journal=self.journal,
            records_folder=self.folder,
            signer=signer,
            hub_key=load_public(place / "hub.pub"),
            notices=self.notices.append,
        )
        self.link.start()

    def commit(self, count: int) -> None:
        for _ in range(count):
            self.count += 1
            stream = Stream.ALARM if self.count % 5 == 0 else Stream.ROUTINE
            draft = FactDraft(
                f"{self.device}-{self.count}", stream, utc(), "boot", 5, PassageOpened(self.count)
            )
            self.journal.commit([draft])
        self.link.facts_waiting()

    def heard(self, *kinds: type[Notice]) -> list[Any]:
        return [notice for notice in list(self.notices) if isinstance(notice, kinds)]

    def is_up(self) -> bool:
        changes = self.heard(LinkUp, LinkDown)
        return bool(changes) and isinstance(changes[-1], LinkUp)

    def drained(self) -> bool:
        return sum(self.journal.backlog().values()) == 0

    def why_refused(self) -> str:
        told = self.heard(LinkRefused)
        return told[-1].why if told else ""

    def stop(self) -> None:
        assert self.link.stop()
        self.journal.close()


class Client:
    """A plain MQTT client with somebody's certificate: a spy on what arrives, or the rogue himself."""

    def __init__(self, profile: Profile, who: str, client_id: str, will: tuple[str, bytes] | None) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.lost = threading.Event()
        self.accepted = threading.Event()
        self.subscribed = threading.Event()
        self.done = threading.Event()
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id or f"{who}-{time.monotonic_ns()}",
            reconnect_on_failure=False,
        )
        context = ssl.create_default_context(cafile=str(profile.machines / who / "ca.pem"))
        context.load_cert_chain(profile.machines / who / "tls.pem", profile.machines / who / "tls.key")
        self.client.tls_set_context(context)
        if will is not None:
            self.client.will_set(will[0], will[1], qos=1, retain=True)
        self.client.on_message = lambda _c, _u, message: self.heard.append(
            (message.topic, bytes(message.payload))
        )
        self.client.on_connect = self.on_connect
        self.client.on_disconnect = lambda *_: self.lost.set()
        self.client.on_subscribe = lambda *_: self.subscribed.set()
        self.client.on_publish = lambda *_: self.done.set()
        try:
            self.client.connect("127.0.0.1", profile.port, 30)
            self.client.loop_start()
        except OSError:
            self.lost.set()

    def on_connect(self, _client: Any, _data: Any, _flags: Any, code: Any, _properties: Any) -> None:
        if not code.is_failure:
            self.accepted.set()

    def listen(self, *topics: str) -> Client:
        self.subscribed.clear()
        self.client.subscribe([(topic, 1) for topic in topics])
        assert self.subscribed.wait(10)
        return self

    def say(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Until the broker has read it: it answers, or throws the client out."""
        self.done.clear()
        self.client.publish(topic, payload, qos=1, retain=retain)
        until(lambda: self.done.is_set() or self.lost.is_set(), f"the broker read {topic}")

    def settled(self) -> bool:
        """Whether it was let in, once that is known."""
        until(lambda: self.accepted.is_set() or self.lost.is_set(), "the broker answered")
        return self.accepted.is_set()

    def leave(self, *, cut: bool = False) -> None:
        if cut:
            sock = self.client.socket()
            assert isinstance(sock, socket.socket)
            sock.shutdown(socket.SHUT_RDWR)
        else:
            self.client.disconnect()
        self.client.loop_stop()

    def marked(self) -> list[str]:
        """Topics on which something of the rogue arrived."""
        return [topic for topic, payload in list(self.heard) if MARK in payload]


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Profile]:
    folder = tmp_path_factory.mktemp("profile")
    with launching(folder / "programs") as launch:
        made = Profile(folder, launch)
        made.start_broker()
        made.start_hub()
        yield made


@pytest.fixture(scope="module")
def lane(profile: Profile) -> Iterator[Lane]:
    made = Lane(profile, LANE)
    until(made.is_up, "the lane is up")
    profile.enterprises(1, 50)
    until(lambda: made.heard(RecordsMoved), "records came down")
    yield made
    made.stop()


@pytest.fixture
def rogue(profile: Profile) -> Iterator[Client]:
    made = profile.client(ROGUE)
    assert made.accepted.wait(10), "his certificate is as good as anybody's"
    yield made
    made.leave()


def round_trip(profile: Profile, lane: Lane) -> None:
    """What was sent before has arrived by now, wherever it was going to."""
    lane.commit(3)
    until(lane.drained, "facts are acknowledged")


def assert_the_same_facts(profile: Profile, lane: Lane) -> None:
    """At the hub is what the lane said, all of it and nothing else."""
    for stream, head in lane.journal.heads().items():
        stored = [row for row in profile.facts_of(LANE) if row[1] == stream.value]
        assert [row[2] for row in stored] == list(range(1, head.seq + 1))
        assert stored[-1][3] == head.hash


# --- the honest ones --------------------------------------------------------------------------------------


def test_facts_records_and_claims_pass_through_the_production_profile(profile: Profile, lane: Lane) -> None:
    lane.commit(25)
    lane.link.claim(ClaimRequest("claim-1", LANE, 1, None, (SLIP,)))
    until(lane.drained, "facts are acknowledged")
    answered = until(lambda: lane.heard(ClaimAnswered), "the claim is answered")
    assert (answered[0].claim_id, answered[0].verdict) == ("claim-1", ClaimVerdict.REFUSED)
    assert_the_same_facts(profile, lane)
    assert lane.heard(Refused, EpochBegan, LinkRefused) == []
    assert profile.alarms_of(LANE) == []


# --- the rogue --------------------------------------------------------------------------------------------


def forgeries(profile: Profile) -> dict[str, bytes]:
    """For each right: the best lie he can write with his own key, in the lane's or the hub's name."""
    key = load_private(profile.machines / ROGUE / "sign.key")
    lane, hub = KeySigner(key, LANE), KeySigner(key, "hub")
    say = MARK.decode()
    head = (StreamHead(Stream.ALARM, 1, "0" * 64),)
    lies: dict[str, Any] = {
        "status": (lane, Context.STATUS, Status(device=LANE, online=False, version=say)),
        "head": (lane, Context.CHECKPOINT, Checkpoint(LANE, say, 1, head, utc())),
        "pull": (lane, Context.PULL, Pull(SCOPE, say, 0)),
        "claim": (lane, Context.CLAIM, ClaimRequest(say, LANE, 1, None, (SLIP,))),
        "ack": (hub, Context.ACK, Acks((Ack(say, 9, LANE, "e", Stream.ALARM, 999, GENESIS),))),
        "claim_answer": (hub, Context.CLAIM_ANSWER, ClaimAnswer(say, LANE, 1, ClaimVerdict.GRANTED)),
        "feed_head": (hub, Context.FEED_HEAD, FeedHead(SCOPE, say, 0, 0, "0" * 32, utc())),
        "hub_birth": (hub, Context.STATUS, Status(device="hub", online=True, version=say)),
    }
    return {name: signed_payload(*lie) for name, lie in lies.items()}


def test_he_writes_on_no_topic_of_another_device_nor_of_the_hub(profile: Profile, lane: Lane) -> None:
    lies = forgeries(profile)
    everything = {
        topic: lies.get(row.topic, MARK)
        for row in RIGHTS
        for topic in filters(TOPICS, row.topic, device=LANE, scopes=(SCOPE,))
        if "+" not in topic
    }
    below = f"kakou/v1/{SITE}"
    everything |= {f"{below}/edge/{LANE}": MARK, f"{below}/edge/{LANE}/bogus": MARK, f"{below}/bogus": MARK}
    everything |= {"kakou/v1/site-b/hub/status": MARK, "$SYS/broker/bogus": MARK, "bogus": MARK}
    his = device_grants(SITE, ROGUE, (SCOPE,)).write
    assert len(everything) >= len(RIGHTS)
    at_hub = profile.client("hub").listen(f"kakou/v1/{SITE}/edge/+/#", f"kakou/v1/{SITE}/#")
    at_lane = profile.client(LANE).listen("#")
    refused = len(lane.heard(Refused))
    claims = profile.rows("SELECT count(*) FROM claims")
    for topic, payload in everything.items():
        assert topic not in his
        his_client = profile.client(ROGUE)
        assert his_client.accepted.wait(10)
        his_client.say(topic, payload, retain=True)
        his_client.leave()
    kept = (TOPICS.ack(LANE), TOPICS.hub_birth(), TOPICS.feed_head(SCOPE), TOPICS.status(LANE))
    for topic in kept:
        wiper = profile.client(ROGUE)
        assert wiper.accepted.wait(10)
        wiper.say(topic, b"", retain=True)
        wiper.leave()
    # What reaches anybody has come by the time that honest words said after it have.
    profile.client(SPY).say(TOPICS.status(SPY), b"after it")
    until(lambda: (TOPICS.status(SPY), b"after it") in at_hub.heard, "the hub hears")
    round_trip(profile, lane)
    late = profile.client("hub").listen(f"kakou/v1/{SITE}/#")
    late_lane = profile.client(LANE).listen(*device_grants(SITE, LANE, (SCOPE,)).read)
    until(lambda: {*kept} <= {topic for topic, _ in late_lane.heard + late.heard}, "what is retained comes")
    assert [spy.marked() for spy in (at_hub, at_lane, late, late_lane)] == [[], [], [], []]
    assert_the_same_facts(profile, lane)
    assert profile.rows("SELECT count(*) FROM claims") == claims
    assert len(lane.heard(Refused)) == refused, "nothing of it came so far that it had to be refused"
    for spy in (at_hub, at_lane, late, late_lane):
        spy.leave()


def test_he_hears_nothing_but_what_is_his(profile: Profile, lane: Lane, rogue: Client) -> None:
    below = f"kakou/v1/{SITE}"
    rogue.listen(
        "#", "+/#", "+/+/+/+/+/+", "+/+/+/+/+", "$SYS/#", "$CONTROL/#", f"{below}/#", f"{below}/edge/#",
        f"{below}/edge/+/status", f"{below}/feed/+", "kakou/v1/+/feed/site-b/head",
        *(t for row in RIGHTS for t in filters(TOPICS, row.topic, device=LANE, scopes=(SCOPE,))),
    )  # fmt: skip
    lane.link.claim(ClaimRequest("claim-2", LANE, 2, None, (SLIP,)))
    round_trip(profile, lane)
    until(lambda: len(lane.heard(ClaimAnswered)) >= 1, "the claim is answered")
    until(lambda: any(topic == TOPICS.feed_head(SCOPE) for topic, _ in rogue.heard), "he hears his feed")
    # Written out, not asked of the table that is on trial.
    his = ("hub/status", "hub/keys", f"feed/{SCOPE}", f"feed/{SCOPE}/head")
    heard = {topic.removeprefix(f"{below}/") for topic, _ in rogue.heard}
    assert {topic for topic in heard if not topic.startswith(f"edge/{ROGUE}/")} <= set(his)


def test_joining_groups_he_can_guess_brings_him_nothing_and_costs_no_fact(
    profile: Profile, lane: Lane
) -> None:
    """A member of a group is dealt messages he may not read: the hub's group has a name nobody can guess."""
    groups = ("hub", "kakou", "kakou-hub", "workers")
    thief = profile.client(ROGUE).listen(
        *(f"$share/{group}/kakou/v1/{SITE}/edge/+/facts/{stream}" for group in groups for stream in Stream)
    )
    round_trip(profile, lane)
    assert thief.heard == []
    thief.leave()


def test_his_last_will_speaks_for_nobody_else(profile: Profile, lane: Lane) -> None:
    spy = profile.client("hub").listen(f"kakou/v1/{SITE}/edge/+/status")
    at_lane = profile.client(LANE).listen(TOPICS.hub_birth())
    births = len(lane.heard(LinkDown))
    for topic in (TOPICS.status(LANE), TOPICS.hub_birth(), TOPICS.status(ROGUE)):
        dying = profile.client(ROGUE, will=(topic, MARK))
        # Some brokers refuse such a will with the connection, others when it is due.
        dying.settled()
        dying.leave(cut=True)
    until(lambda: TOPICS.status(ROGUE) in spy.marked(), "his own will is his to have")
    round_trip(profile, lane)
    assert set(spy.marked()) == {TOPICS.status(ROGUE)}
    assert at_lane.marked() == []
    assert len(lane.heard(LinkDown)) == births
    profile.client(ROGUE).say(TOPICS.status(ROGUE), b"", retain=True)
    spy.leave()
    at_lane.leave()


def test_a_client_id_he_knows_throws_its_owner_out_of_mosquitto(profile: Profile) -> None:
    """Measured, and why nobody can know ours: mosquitto 2.0 binds an id to no certificate."""
    owner = profile.client(SPY, client_id="a-known-id")
    assert owner.accepted.wait(10)
    thief = profile.client(ROGUE, client_id="a-known-id")
    assert thief.accepted.wait(10)
    assert owner.lost.wait(10)
    thief.leave()


def test_he_cannot_throw_a_lane_or_the_hub_out(profile: Profile, lane: Lane) -> None:
    downs, births = len(lane.heard(LinkDown)), len(profile.hub.logged("broker lost"))
    ids = [f"{who}-{part}" for who in (LANE, "hub") for part in ("alarm", "routine", "blobs")]
    for client_id in (*ids, LANE, "hub"):
        thief = profile.client(ROGUE, client_id=client_id)
        assert thief.accepted.wait(10)
        thief.leave()
    round_trip(profile, lane)
    assert (len(lane.heard(LinkDown)), len(profile.hub.logged("broker lost"))) == (downs, births)


def hostile(profile: Profile, captured: bytes) -> dict[str, tuple[str, bytes]]:
    """What a device can put on its own topics, each with the alarm it earns."""
    key = load_private(profile.machines / ROGUE / "sign.key")
    own, as_lane = KeySigner(key, ROGUE), KeySigner(key, LANE)
    deep = b'{"a":' * 5_000 + b"1" + b"}" * 5_000
    facts = TOPICS.facts(ROGUE, Stream.ROUTINE)
    return {
        "oversized": (facts, b"x" * (64 * 1024 + 1)),
        "deep nesting": (facts, b"[" * 60_000),
        "deep objects": (TOPICS.status(ROGUE), deep),
        "deep in a signed body": (TOPICS.claim(ROGUE), to_json(own.sign(Context.CLAIM, deep.decode()))),
        "bad UTF-8": (TOPICS.status(ROGUE), b'{"body":"\xff\xfe","kid":"lane-2","sig":""}'),
        "not JSON": (TOPICS.pull(ROGUE), b"\x00\x01\x02"),
        "nothing": (TOPICS.head(ROGUE), b""),
        "numbers without end": (TOPICS.pull(ROGUE), b'{"after":' + b"9" * 5_000 + b"}"),
        "another's facts": (facts, captured),
        "another's name": (
            TOPICS.status(ROGUE),
            signed_payload(own, Context.STATUS, Status(device=LANE, online=False)),
        ),
        "another's key": (
            TOPICS.status(ROGUE),
            signed_payload(as_lane, Context.STATUS, Status(device=ROGUE, online=False)),
        ),
        "another's claim": (
            TOPICS.claim(ROGUE),
            signed_payload(own, Context.CLAIM, ClaimRequest("claim-9", LANE, 1, None, (SLIP,))),
        ),
        "another purpose": (
            TOPICS.pull(ROGUE),
            signed_payload(own, Context.STATUS, Pull(SCOPE, "", 0)),
        ),
        "a scope that is none": (
            TOPICS.pull(ROGUE),
            signed_payload(own, Context.PULL, Pull("no-scope", "", 0)),
        ),
        "a scope that is not his": (
            TOPICS.pull(ROGUE),
            signed_payload(own, Context.PULL, Pull("site-b", "", 0)),
        ),
        "keys of a stranger": (TOPICS.keys(ROGUE), b'{"statements":[]}'),
    }


def test_what_he_writes_on_his_own_topics_is_refused_counted_and_changes_nothing(
    profile: Profile, lane: Lane
) -> None:
    spy = profile.client("hub").listen(f"kakou/v1/{SITE}/edge/{LANE}/facts/routine")
    round_trip(profile, lane)
    captured = until(lambda: [payload for _, payload in spy.heard], "the lane's facts pass by")[0]
    spy.leave()
    for topic, payload in hostile(profile, captured).values():
        sender = profile.client(ROGUE)
        assert sender.accepted.wait(10)
        sender.say(topic, payload)
        sender.leave()
    round_trip(profile, lane)
    kinds = {"oversized", "malformed", "forged", "wrong_device", "batch_refused"}
    kinds |= {"scope_unknown", "scope_forbidden"}
    until(lambda: kinds <= set(profile.alarms_of(ROGUE)), "the hub tells of each kind")
    assert set(profile.alarms_of(ROGUE)) == kinds
    assert profile.hub.running
    assert profile.facts_of(ROGUE) == []
    assert profile.rows("SELECT count(*) FROM claims WHERE claim_id = 'claim-9'") == [(0,)]
    assert_the_same_facts(profile, lane)
    assert profile.alarms_of(LANE) == []


def test_a_message_longer_than_any_of_ours_ends_his_connection(profile: Profile, rogue: Client) -> None:
    rogue.say(TOPICS.status(ROGUE), b"x" * 200_000)
    assert rogue.lost.wait(10)


# --- who is not let in, and what a lane says about it -----------------------------------------------------


@pytest.fixture
def outsider(profile: Profile) -> Iterator[Any]:
    """Starts links of the spy's machine with something wrong; they are stopped in the end."""
    started: list[Lane] = []

    def start(**changes: Any) -> Lane:
        made = Lane(profile, SPY, **changes)
        started.append(made)
        return made

    yield start
    for each in started:
        each.stop()


def other_office(profile: Profile, days_ago: int = 0) -> Path:
    """Another site's folder with a lane of the same name."""
    office = profile.folder / f"other-{time.monotonic_ns()}"
    now = datetime.now(UTC) - timedelta(days=days_ago)
    settings = Settings(site=SITE, broker_hosts=("127.0.0.1",), scopes=(SCOPE,))
    desk.init(office, settings, now)
    desk.enrol_hub(office, now)
    desk.enrol_device(office, SPY, Kind.LANE, [], now)
    return office


def expired(profile: Profile) -> Path:
    """The spy's machine as it will be in the field one day: its certificate ended, all else in order."""
    folder = profile.folder / f"expired-{time.monotonic_ns()}"
    shutil.copytree(profile.office, folder)
    past = datetime.now(UTC) - timedelta(days=40)
    settings_file = folder / "site.toml"
    settings_file.write_text(settings_file.read_text(encoding="utf-8").replace("days = 730", "days = 39"))
    # Signed by the same authority, which is younger than the certificate: only the dates are wrong.
    desk.renew(folder, SPY, past)
    return folder / "devices" / SPY


def test_an_expired_certificate_is_named_with_its_file_and_day(profile: Profile, outsider: Any) -> None:
    place = expired(profile)
    lane = outsider(cert_file=place / "tls.pem", key_file=place / "tls.key")
    why = until(lane.why_refused, "the link says why")
    assert "ended on" in why
    assert str(place / "tls.pem") in why
    assert not lane.is_up()


def test_a_renewed_certificate_is_taken_without_a_restart(profile: Profile, outsider: Any) -> None:
    place = expired(profile)
    machine = profile.folder / f"machine-{time.monotonic_ns()}"
    machine.mkdir()
    for file in ("tls.pem", "tls.key"):
        shutil.copy(place / file, machine / file)
    lane = outsider(cert_file=machine / "tls.pem", key_file=machine / "tls.key")
    until(lane.why_refused, "the link says why")
    for file in ("tls.key", "tls.pem"):
        shutil.copy(profile.machines / SPY / file, machine / file)
    until(lane.is_up, "the link comes up by itself")


def test_a_certificate_that_ends_soon_is_told_while_it_still_works(profile: Profile, outsider: Any) -> None:
    soon = profile.folder / f"soon-{time.monotonic_ns()}"
    shutil.copytree(profile.office, soon)
    desk.renew(soon, SPY, datetime.now(UTC), days=9)
    place = soon / "devices" / SPY
    lane = outsider(cert_file=place / "tls.pem", key_file=place / "tls.key")
    until(lane.is_up, "it works")
    (told,) = lane.heard(CertificateEnds)
    assert (told.file, told.days_left) == (str(place / "tls.pem"), 8)
    (event,) = _of_notice(told)
    assert isinstance(event, SyncSaid)
    assert isinstance(event.data, Alarm)
    assert event.data.code is AlarmCode.CERTIFICATE_ENDS
    assert str(place / "tls.pem") in event.data.detail


def test_a_certificate_of_another_authority_is_not_let_in(profile: Profile, outsider: Any) -> None:
    place = other_office(profile) / "devices" / SPY
    lane = outsider(cert_file=place / "tls.pem", key_file=place / "tls.key")
    why = until(lane.why_refused, "the link says why")
    # An alert says so, where it comes before the line is closed.
    assert "of another authority" in why
    assert not lane.is_up()


def test_a_broker_of_another_authority_is_not_spoken_to(profile: Profile, outsider: Any) -> None:
    lane = outsider(ca_file=other_office(profile) / "ca" / "ca.pem")
    why = until(lane.why_refused, "the link says why")
    assert "the broker's certificate" in why
    assert "another authority than ca_file" in why or "signature failure" in why
    assert not lane.is_up()


def test_a_broker_under_a_name_its_certificate_does_not_have_is_not_spoken_to(
    profile: Profile, outsider: Any
) -> None:
    lane = outsider(host="localhost")
    why = until(lane.why_refused, "the link says why")
    assert "the broker's certificate is not for this host" in why
    assert not lane.is_up()


def test_a_device_without_a_certificate_is_told_which_keys_are_missing(
    profile: Profile, outsider: Any
) -> None:
    lane = outsider(cert_file=None, key_file=None)
    why = until(lane.why_refused, "the link says why")
    assert "certificate_file and tls_key_file are missing" in why
    assert not lane.is_up()


def test_a_devices_certificate_does_not_serve_a_broker(profile: Profile, tmp_path: Path) -> None:
    """A stolen lane must not be able to play the broker for the others."""
    place = profile.machines / ROGUE
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(place / "tls.pem", place / "tls.key")
    ours = profile.link_config(SPY).broker().tls()
    assert ours is not None
    ours.check_hostname = False
    server, client = ssl.MemoryBIO(), ssl.MemoryBIO()
    theirs = context.wrap_bio(server, client, server_side=True)
    we = ours.wrap_bio(client, server, server_hostname="127.0.0.1")
    for side in (we, theirs):
        with pytest.raises(ssl.SSLWantReadError):
            side.do_handshake()
    with pytest.raises(ssl.SSLCertVerificationError, match="purpose"):
        we.do_handshake()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_neither_end_speaks_less_than_tls_1_2(profile: Profile, version: ssl.TLSVersion) -> None:
    assert profile.link_config(SPY).broker().tls().minimum_version is ssl.TLSVersion.TLSv1_2  # type: ignore[union-attr]
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.load_verify_locations(profile.machines / SPY / "ca.pem")
    old.load_cert_chain(profile.machines / SPY / "tls.pem", profile.machines / SPY / "tls.key")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = version
    old.set_ciphers("ALL:@SECLEVEL=0")
    with socket.create_connection(("127.0.0.1", profile.port), 5) as line, pytest.raises(OSError):
        old.wrap_socket(line, server_hostname="127.0.0.1")


def test_plain_text_gets_no_answer_on_the_production_port(profile: Profile) -> None:
    plain = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="plain", reconnect_on_failure=False)
    answers: list[object] = []
    plain.on_connect = lambda *args: answers.append(args)
    plain.connect("127.0.0.1", profile.port, 5)
    until_s = time.monotonic() + 1.0
    while time.monotonic() < until_s and plain.loop(0.1) is mqtt.MQTT_ERR_SUCCESS:
        pass
    assert answers == []


# --- out in one step --------------------------------------------------------------------------------------


def test_a_stolen_device_is_out_in_one_step(profile: Profile, lane: Lane) -> None:
    """Its standing connection hears and says nothing more, a new one is not let in, the hub takes nothing."""
    stolen = Lane(profile, STOLEN)
    until(stolen.is_up, "the stolen device is up")
    stolen.commit(3)
    until(stolen.drained, "its facts were taken before")
    ear = profile.client(STOLEN).listen(TOPICS.feed_head(SCOPE))
    until(lambda: ear.heard, "it hears the feed")
    code = profile.launch.run(kakou("enrol", "revoke", STOLEN, "-C", str(profile.office)))
    assert code.process.returncode == 0, code.complained()
    assert "the hub takes nothing of lane-3 any more" in code.said()
    assert profile.rows("SELECT revoked FROM devices WHERE device = ?", STOLEN) == [(1,)]
    until(lambda: not profile.client(STOLEN).accepted.wait(0.3), "the broker has read its lists")
    taken = profile.facts_of(STOLEN)
    ear.heard.clear()
    stolen.commit(5)
    profile.enterprises(1_000, 5)
    round_trip(profile, lane)
    until(lambda: lane.heard(RecordsMoved) and lane.is_up(), "the others go on")
    assert ear.heard == []
    assert profile.facts_of(STOLEN) == taken
    why = until(stolen.why_refused, "its link says why")
    assert "revoked" in why or "refused" in why
    assert lane.is_up()
    ear.leave()
    stolen.stop()


# --- keys that are replaced while everything runs ---------------------------------------------------------


def test_the_hubs_signing_key_is_replaced_and_the_lane_goes_on(profile: Profile, lane: Lane) -> None:
    refused = len(lane.heard(Refused))
    desk.renew(profile.office, "hub", datetime.now(UTC), signing_key=True)
    profile.carry("hub")
    profile.write_hub_config()
    profile.stop_hub()
    profile.start_hub()
    round_trip(profile, lane)
    profile.enterprises(2_000, 5)
    lane.link.claim(ClaimRequest("claim-3", LANE, 3, None, (SLIP,)))
    until(lambda: any(a.claim_id == "claim-3" for a in lane.heard(ClaimAnswered)), "claims are answered")
    assert len(lane.heard(Refused)) == refused
    assert json.loads((lane.folder / "hub-keys.json").read_bytes())["statements"]
    # Then the old one is retired: a thief of it can sign nothing a lane believes.
    old = KeySigner(load_private(next((profile.office / "hub" / "old").glob("*.sign.key"))), "hub")
    desk.retire(profile.office, "hub", datetime.now(UTC))
    profile.carry("hub")
    profile.stop_hub()
    profile.start_hub()
    round_trip(profile, lane)
    until(lambda: json.loads((lane.folder / "hub-keys.json").read_bytes())["statements"][1:], "it is kept")
    forged = signed_payload(old, Context.STATUS, Status(device="hub", online=True, time=utc()))
    at_broker = profile.client("hub")
    at_broker.say(TOPICS.hub_birth(), forged)
    told = until(lambda: lane.heard(Refused)[refused:], "the lane refuses it")
    assert "signed by 'hub'" in told[-1].why
    at_broker.leave()


def test_a_lanes_signing_key_is_replaced_and_its_facts_are_taken(profile: Profile, lane: Lane) -> None:
    desk.renew(profile.office, LANE, datetime.now(UTC), signing_key=True)
    profile.carry(LANE)
    assert lane.link.stop()
    lane.begin(profile)
    until(lane.is_up, "the lane is up again")
    round_trip(profile, lane)
    kids = profile.rows("SELECT DISTINCT kid FROM checkpoints WHERE device = ? ORDER BY length(kid)", LANE)
    assert [kid for (kid,) in kids] == [LANE, lane.link._signer.kid]
    assert profile.alarms_of(LANE) == []


# --- the same on NATS -------------------------------------------------------------------------------------


def nats_server() -> str:
    """Where nats-server is, or the test is skipped."""
    found = os.environ.get("KAKOU_NATS_SERVER") or shutil.which("nats-server")
    found = found or shutil.which("nats-server", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip("nats-server is not installed")
    return found


def nats_kind(program: str) -> str:
    told = subprocess.run(
        [program, "--version"], capture_output=True, text=True, timeout=20, check=True
    ).stdout
    major, minor = (int(part) for part in told.rpartition("v")[2].split(".")[:2])
    return desk.NATS if (major, minor) >= (2, 10) else desk.OLD_NATS


def test_nats_takes_its_config_and_keeps_the_rogue_out(tmp_path: Path) -> None:
    program = nats_server()
    place = tmp_path / "nats"
    with launching(tmp_path / "programs") as launch:
        profile = Profile(tmp_path, launch)
        desk.broker(profile.office, nats_kind(program), place, datetime.now(UTC))
        checked = launch.run([program, "-t", "-c", str(place / "nats.conf")])
        assert checked.process.returncode == 0, checked.complained()
        profile.broker = launch([program, "-c", str(place / "nats.conf")])
        until(lambda: listening(profile.port) or not profile.broker.running, "the broker listens")
        profile.start_hub()
        profile.enterprises(1, 50)
        lane = Lane(profile, LANE)
        try:
            until(lane.is_up, "the lane is up")
            until(lambda: lane.heard(RecordsMoved), "records came down")
            at_hub = profile.client("hub").listen(f"kakou/v1/{SITE}/edge/+/status")
            thief = profile.client(ROGUE)
            assert thief.settled()
            thief.listen(
                "#",
                "$MQTT/#",
                "$MQTT/sub/#",
                "$MQTT/sub/+",
                f"kakou/v1/{SITE}/edge/+/facts/routine",
                TOPICS.ack(LANE),
            )
            for topic in (TOPICS.status(LANE), TOPICS.ack(LANE), TOPICS.hub_birth(), "$MQTT/JSA/bogus"):
                writer = profile.client(ROGUE)
                assert writer.settled()
                writer.say(topic, MARK, retain=True)
                writer.leave()
            profile.client(SPY).say(TOPICS.status(SPY), b"after it")
            until(lambda: (TOPICS.status(SPY), b"after it") in at_hub.heard, "the hub hears")
            round_trip(profile, lane)
            assert at_hub.marked() == []
            assert thief.heard == []
            stolen = profile.client(STOLEN)
            assert stolen.settled()
            desk.revoke(profile.office, STOLEN, datetime.now(UTC))
            profile.broker.process.send_signal(signal.SIGHUP)
            assert stolen.lost.wait(10), "NATS ends the connections of users that are gone"
            assert not profile.client(STOLEN).settled()
            round_trip(profile, lane)
            assert_the_same_facts(profile, lane)
            assert lane.heard(Refused, LinkRefused, EpochBegan) == []
        finally:
            lane.stop()


# --- programs refuse plain text ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ("", "allow_plaintext"),
        ("allow_plaintext = true\n", "allow_plaintext_outside_loopback"),
    ],
)
def test_a_hub_that_would_speak_plain_text_elsewhere_does_not_start(
    tmp_path: Path, flags: str, named: str
) -> None:
    from sync.link.keys import private_pem

    (tmp_path / "hub.key").write_bytes(private_pem(make_private()))
    (tmp_path / "hub.key").chmod(0o600)
    config = tmp_path / "hub.toml"
    config.write_text(
        'site = "s"\n[store]\narchive = "archive.sqlite"\n[sync]\nhost = "192.0.2.1"\nkey_file = "hub.key"\n'
        f'scopes = ["s"]\n{flags}[devices]\n'
    )
    done = subprocess.run(
        [sys.executable, "-m", "sync.hub", str(config)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert f"{named}: expected true" in done.stderr
    assert not (tmp_path / "archive.sqlite").exists()
