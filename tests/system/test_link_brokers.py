"""The real link over real brokers that die, and refuse: mosquitto where it is installed, amqtt everywhere.

The hub here is a test's own: the real `HubLink`, and behind it an archive of a few lines.
"""

from __future__ import annotations

import collections
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from sync.link.client import BrokerConfig, HubLink, LinkClient, LinkConfig, LinkConfigRefused
from sync.link.envelope import open_signed, read_batch, signed_payload
from sync.link.keys import KeySigner, make_private, private_pem, public_pem, verify
from sync.link.messages import (
    Ack,
    Acks,
    Change,
    ChangeOp,
    ClaimAnswer,
    ClaimRequest,
    ClaimVerdict,
    Context,
    FeedBatch,
    FeedHead,
    Pull,
    Status,
    Topics,
)
from sync.link.words import (
    ClaimAnswered,
    Connected,
    Connection,
    LinkDown,
    LinkRefused,
    LinkUp,
    Notice,
    RecordsMoved,
)
from sync.policy.digests import row_digest, to_hex
from sync.store.journal import Journal
from sync.store.records import Records, generation_path
from sync.vocabulary.facts import GENESIS, FactDraft, PassageOpened, Stream
from sync.vocabulary.numbers import SlipNo

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

DEVICE, SITE, SCOPE = "lane-1", "site-a", "site-a"
TOPICS = Topics(SITE)
DEVICE_KEY, HUB_KEY = make_private(), make_private()
HUB = KeySigner(HUB_KEY, "hub")
KEYS = {DEVICE: DEVICE_KEY.public_key()}
MOSQUITTO = shutil.which("mosquitto") or next(
    (path for path in ("/usr/sbin/mosquitto",) if Path(path).exists()), None
)
SLIP = SlipNo("Z3111I240728000000000003")


def utc() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def until(true: Callable[[], bool], *, within_s: float = 30.0) -> None:
    deadline_s = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline_s, "did not happen in time"
        time.sleep(0.02)


class Broker:
    """A broker process that can be killed and started again on its port."""

    def __init__(self, kind: str, folder: Path, password: str = "") -> None:
        self.kind, self.folder, self.password = kind, folder, password
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=Path.cwd()
        )
        until(self.listens)

    def command(self) -> list[str]:
        if self.kind == "amqtt":
            command = [sys.executable, "-m", "sync.link.broker", "--port", str(self.port)]
            if self.password:
                (self.folder / "password").write_text(self.password + "\n")
                command += ["--username", DEVICE, "--password-file", str(self.folder / "password")]
            return command
        config = self.folder / "mosquitto.conf"
        lines = [f"listener {self.port} 127.0.0.1", "persistence false"]
        if self.password:
            users = self.folder / "users"
            tool = shutil.which("mosquitto_passwd") or "/usr/bin/mosquitto_passwd"
            subprocess.run(
                [tool, "-b", "-c", str(users), DEVICE, self.password], check=True, stderr=subprocess.DEVNULL
            )
            users.chmod(0o644)
            self.folder.chmod(0o755)
            lines += ["allow_anonymous false", f"password_file {users}"]
        else:
            lines += ["allow_anonymous true"]
        if os.getuid() == 0:
            lines += ["user root"]
        config.write_text("\n".join(lines) + "\n")
        assert MOSQUITTO is not None
        return [MOSQUITTO, "-c", str(config)]

    def listens(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, "the broker did not start"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


KINDS = [
    pytest.param(
        "mosquitto", marks=pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
    ),
    "amqtt",
]


@pytest.fixture(params=KINDS)
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    made = Broker(request.param, tmp_path)
    made.start()
    yield made
    made.kill()


class Hub:
    """Stores by identity, acknowledges, publishes one feed, grants every claim."""

    def __init__(self, port: int) -> None:
        self.waiting: queue.SimpleQueue[object] = queue.SimpleQueue()
        self.facts: dict[tuple[str, Stream], dict[int, tuple[str, str]]] = collections.defaultdict(dict)
        self.event_ids: list[str] = []
        self.statuses: list[Status] = []
        self.counter = 0
        self.births = 0
        self.log = [
            Change(number, "enterprises", f"{number:010d}", ChangeOp.PUT, _enterprise(number))
            for number in range(1, 201)
        ]
        self.link = HubLink(
            BrokerConfig(host="127.0.0.1", port=port, reconnect_first_s=0.1, reconnect_longest_s=0.5),
            site=SITE,
            on_message=lambda topic, payload: self.waiting.put((topic, payload)),
            on_connection=self.waiting.put,
            will=lambda: (TOPICS.hub_birth(), self.life(online=False)),
        )
        self.thread = threading.Thread(target=self.run)

    def start(self) -> None:
        self.link.start()
        self.thread.start()

    def stop(self) -> None:
        assert self.link.stop()
        self.waiting.put(None)
        self.thread.join(5)

    def life(self, *, online: bool) -> bytes:
        status = Status(device="hub", online=online, boot_id=f"{self.births}", time=utc())
        return signed_payload(HUB, Context.STATUS, status)

    def run(self) -> None:
        while (event := self.waiting.get()) is not None:
            match event:
                case (str() as topic, bytes() as payload):
                    self.receive(topic, payload)
                case Connected():
                    self.births += 1
                    self.send(TOPICS.hub_birth(), self.life(online=True), retain=True)
                    self.head()
                    self.acks()
                case _:
                    pass

    def send(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self.link.publish(topic, payload, retain=retain)

    def head(self) -> None:
        digest = to_hex(sum(row_digest(one.collection, one.key, one.body) for one in self.log))
        head = FeedHead(SCOPE, "feed-1", len(self.log), len(self.log), digest, utc())
        self.send(TOPICS.feed_head(SCOPE), signed_payload(HUB, Context.FEED_HEAD, head), retain=True)

    def acks(self, nonce: str = "") -> None:
        self.counter += 1
        acks = []
        for (epoch, stream), held in self.facts.items():
            contiguous = 0
            while contiguous + 1 in held:
                contiguous += 1
            tip = held[contiguous][0] if contiguous else GENESIS
            acks.append(Ack("archive", self.counter, DEVICE, epoch, stream, contiguous, tip))
        word = Acks(tuple(acks), "archive", nonce)
        self.send(TOPICS.ack(DEVICE), signed_payload(HUB, Context.ACK, word), retain=True)

    def receive(self, topic: str, payload: bytes) -> None:
        if "/facts/" in topic:
            batch = read_batch(payload)
            verify(KEYS, batch.signed, Context.CHECKPOINT)
            held = self.facts[(batch.epoch, batch.stream)]
            for fact in batch.facts:
                assert held.setdefault(fact.head.seq, (fact.hash, fact.head.event_id))[0] == fact.hash
            self.acks()
        elif topic == TOPICS.pull(DEVICE):
            pull = open_signed(payload, KEYS, Context.PULL, Pull)
            for first in range(pull.after, len(self.log), 50):
                part = tuple(self.log[first : first + 50])
                feed = FeedBatch(SCOPE, "feed-1", part[0].number, part[-1].number, part)
                self.send(TOPICS.batch(DEVICE), signed_payload(HUB, Context.FEED, feed))
        elif topic == TOPICS.claim(DEVICE):
            asked = open_signed(payload, KEYS, Context.CLAIM, ClaimRequest)
            answer = ClaimAnswer(asked.claim_id, asked.device, asked.passage, ClaimVerdict.GRANTED)
            self.send(TOPICS.claim_answer(DEVICE), signed_payload(HUB, Context.CLAIM_ANSWER, answer))
        elif topic == TOPICS.status(DEVICE):
            self.statuses.append(open_signed(payload, KEYS, Context.STATUS, Status))
            self.acks(self.statuses[-1].nonce)

    def stored(self) -> list[str]:
        """Event ids but for the journal's own first fact, which tells of its epoch."""
        held = [event_id for held in self.facts.values() for _, event_id in held.values()]
        return sorted(event_id for event_id in held if event_id.startswith("event-"))


def _enterprise(number: int) -> str:
    return f'{{"code":"{number:010d}","name":"n","tier":"high","spot_check_per_mille":1}}'


def config(port: int) -> LinkConfig:
    return LinkConfig(
        device=DEVICE, site=SITE, scopes=(SCOPE,), host="127.0.0.1", port=port,
        reconnect_first_s=0.1, reconnect_longest_s=0.5, resend_first_s=0.5, pull_first_s=0.5,
        claim_retry_s=0.2, keepalive_s=2,
    )  # fmt: skip


class Edge:
    """A journal that somebody commits to, and the link that carries it away."""

    def __init__(self, folder: Path, link_config: LinkConfig) -> None:
        self.journal = Journal.open(folder / "journal.sqlite", device=DEVICE, reserve_bytes=0)
        self.folder = folder
        self.notices: list[Notice] = []
        self.committed: list[str] = []
        self.link = LinkClient(
            link_config,
            journal=self.journal,
            records_folder=folder,
            signer=KeySigner(DEVICE_KEY, DEVICE),
            hub_key=HUB_KEY.public_key(),
            notices=self.notices.append,
        )

    def commit(self, count: int) -> None:
        for _ in range(count):
            number = len(self.committed) + 1
            stream = Stream.ALARM if number % 7 == 0 else Stream.ROUTINE
            self.journal.commit(
                [FactDraft(f"event-{number}", stream, utc(), "boot", 5, PassageOpened(number))]
            )
            self.committed.append(f"event-{number}")
            self.link.facts_waiting()

    def heard(self, kind: type[Notice]) -> list[Notice]:
        return [notice for notice in list(self.notices) if isinstance(notice, kind)]

    def up(self) -> bool:
        changes = [notice for notice in list(self.notices) if isinstance(notice, LinkUp | LinkDown)]
        return bool(changes) and isinstance(changes[-1], LinkUp)

    def drained(self) -> bool:
        return sum(self.journal.backlog().values()) == 0

    def stop(self) -> None:
        assert self.link.stop()
        self.journal.close()


@pytest.fixture
def hub(broker: Broker) -> Iterator[Hub]:
    made = Hub(broker.port)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def edge(broker: Broker, tmp_path: Path) -> Iterator[Edge]:
    made = Edge(tmp_path, config(broker.port))
    made.link.start()
    yield made
    made.stop()


def test_facts_survive_a_broker_killed_in_the_middle(broker: Broker, hub: Hub, edge: Edge) -> None:
    until(edge.up)
    edge.commit(120)
    broker.kill()
    edge.commit(60)
    until(lambda: not edge.up())
    broker.start()
    edge.commit(120)
    until(edge.drained)
    assert hub.stored() == sorted(edge.committed)
    epoch = edge.journal.epoch
    for stream, head in edge.journal.heads().items():
        assert sorted(hub.facts[(epoch, stream)]) == list(range(1, head.seq + 1))
        assert hub.facts[(epoch, stream)][head.seq][0] == head.hash


def test_records_come_down_and_are_proved_equal(broker: Broker, hub: Hub, edge: Edge) -> None:
    until(lambda: bool(edge.heard(RecordsMoved)))
    generation = edge.journal.generation()
    assert generation is not None
    with Records.open(generation_path(edge.folder, generation)) as records:
        assert records.feed_state().number == 200
        assert records.feed_state().verified_utc is not None
        assert records.verify() == []


def test_a_claim_is_answered_also_when_it_was_asked_before_the_link_was_up(hub: Hub, edge: Edge) -> None:
    edge.link.claim(ClaimRequest("claim-1", DEVICE, 3, None, (SLIP,)))
    until(lambda: bool(edge.heard(ClaimAnswered)))
    assert edge.heard(ClaimAnswered) == [ClaimAnswered("claim-1", 3, ClaimVerdict.GRANTED, "")]


def test_birth_is_retained_and_death_is_told_when_the_device_stops(hub: Hub, edge: Edge) -> None:
    edge.link.set_health({"scale": "ok"})
    until(lambda: any(status.online and status.health == {"scale": "ok"} for status in hub.statuses))
    assert edge.link.stop()
    until(lambda: not hub.statuses[-1].online)


def test_a_last_will_tells_the_death_of_a_device_that_cannot(
    broker: Broker, hub: Hub, tmp_path: Path
) -> None:
    folder = tmp_path / "child"
    folder.mkdir()
    (folder / "hub.pub").write_bytes(public_pem(HUB_KEY.public_key()))
    (folder / "lane.key").write_bytes(private_pem(DEVICE_KEY))
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(folder), str(broker.port)])
    try:
        until(lambda: any(status.online for status in hub.statuses))
        child.kill()
        until(lambda: not hub.statuses[-1].online)
    finally:
        child.kill()
        child.wait()


CHILD = """
import sys, time
from pathlib import Path
from sync.link.client import LinkClient, LinkConfig
from sync.link.keys import KeySigner, load_private, load_public
from sync.store.journal import Journal
folder, port = Path(sys.argv[1]), int(sys.argv[2])
LinkClient(
    LinkConfig(device="lane-1", site="site-a", scopes=("site-a",), host="127.0.0.1", port=port),
    journal=Journal.open(folder / "journal.sqlite", device="lane-1", reserve_bytes=0), records_folder=folder,
    signer=KeySigner(load_private(folder / "lane.key"), "lane-1"), hub_key=load_public(folder / "hub.pub"),
    notices=print,
).start()
time.sleep(60)
"""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # its death is meant
def test_a_connection_thread_that_dies_counts_as_link_loss_and_comes_back(hub: Hub, edge: Edge) -> None:
    until(edge.up)
    wire = edge.link._wires[Connection.ROUTINE]
    assert wire._client is not None

    def die(*_: object) -> None:
        raise SystemExit

    wire._client.on_message = die
    edge.commit(3)
    hub.send(TOPICS.feed(SCOPE), b"whatever arrives")
    until(lambda: bool(edge.heard(LinkDown)))
    until(edge.up)
    until(edge.drained)
    assert hub.stored() == sorted(edge.committed)


@pytest.mark.parametrize("kind", KINDS)
def test_wrong_credentials_are_named(kind: str, tmp_path: Path) -> None:
    broker = Broker(kind, tmp_path, password="right")
    broker.start()
    (tmp_path / "wrong").write_text("wrong\n")
    (tmp_path / "right").write_text("right\n")
    edge_config = replace(config(broker.port), username=DEVICE, password_file=tmp_path / "wrong")
    edge = Edge(tmp_path, edge_config)
    edge.link.start()
    try:
        until(lambda: len(edge.heard(LinkRefused)) == 2)
        for notice in edge.heard(LinkRefused):
            assert isinstance(notice, LinkRefused)
            assert "'lane-1'" in notice.why
            assert f"127.0.0.1:{broker.port} refused" in notice.why
            assert "wrong" not in notice.why
        assert edge.heard(LinkUp) == []
        (tmp_path / "wrong").write_text("right\n")
        until(edge.up)
    finally:
        edge.stop()
        broker.kill()


def test_the_link_stops_at_once_while_nobody_answers(tmp_path: Path) -> None:
    edge = Edge(tmp_path, config(free_port()))
    edge.link.start()
    time.sleep(0.3)
    began_s = time.monotonic()
    edge.stop()
    assert time.monotonic() - began_s < 2.0
    assert [thread.name for thread in threading.enumerate() if DEVICE in thread.name] == []


REFUSED: dict[str, tuple[dict[str, object], str]] = {
    "plain text to another host": ({"host": "192.0.2.1"}, "allow_plaintext: expected true"),
    "half a permission": (
        {"host": "192.0.2.1", "allow_plaintext": True}, "allow_plaintext_outside_loopback: expected true"
    ),
    "the other half": (
        {"host": "192.0.2.1", "allow_plaintext_outside_loopback": True}, "allow_plaintext: expected true"
    ),
    "a password file that is not there": (
        {"username": "lane-1", "password_file": Path("/nowhere/password")}, "cannot read /nowhere/password"
    ),
    "a password without a name": ({"password_file": Path("/nowhere")}, "username: expected"),
    "a certificate without its authority": (
        {"cert_file": Path("c"), "key_file": Path("k")}, "ca_file: expected"
    ),
    "an authority that is not there": ({"ca_file": Path("/nowhere/ca.pem")}, "cannot be used"),
    "two scopes": ({"scopes": ("a", "b")}, "exactly one scope"),
    "no port": ({"port": 0}, "1 to 65535"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_a_link_that_must_not_start_says_why(what: str, tmp_path: Path) -> None:
    changed, expected = REFUSED[what]
    wrong = replace(config(1883), **changed)  # type: ignore[arg-type]
    with (
        Journal.open(tmp_path / "journal.sqlite", device=DEVICE, reserve_bytes=0) as journal,
        pytest.raises(LinkConfigRefused, match=expected),
    ):
        LinkClient(
            wrong,
            journal=journal,
            records_folder=tmp_path,
            signer=KeySigner(DEVICE_KEY, DEVICE),
            hub_key=HUB_KEY.public_key(),
            notices=lambda _notice: None,
        )


def test_plain_text_elsewhere_takes_both_permissions() -> None:
    allowed = BrokerConfig(
        host="192.0.2.1", port=1883, allow_plaintext=True, allow_plaintext_outside_loopback=True
    )
    assert allowed.checked() is allowed


def test_the_brokers_own_program_says_when_it_listens_and_ends_when_asked() -> None:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "sync.link.broker", "--port", str(port)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        assert process.stdout.readline() == f"listening 127.0.0.1:{port}\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def test_the_brokers_own_program_refuses_a_port_that_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = subprocess.run(
            [sys.executable, "-m", "sync.link.broker", "--port", str(port)],
            capture_output=True, text=True, timeout=20, check=False,
        )  # fmt: skip
    assert result.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in result.stderr


def test_the_brokers_own_program_serves_everybody_who_comes_at_once_and_only_what_they_asked_for(
    tmp_path: Path,
) -> None:
    """amqtt by itself hands newcomers what is retained for others, and serves some of them no more."""
    broker = Broker("amqtt", tmp_path)
    broker.start()
    heard: dict[int, list[str]] = {number: [] for number in range(12)}
    clients = [mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"c{number}") for number in heard]

    def come(number: int, client: mqtt.Client) -> None:
        def subscribe(*_: object) -> None:
            client.publish(f"all/{number}", b"x", qos=1, retain=True)
            client.subscribe([(f"all/{number}", 1), (f"own/{number}/+", 1)])

        client.on_connect = subscribe
        client.on_message = lambda _client, _data, message: heard[number].append(message.topic)
        client.connect("127.0.0.1", broker.port)
        client.loop_start()

    try:
        for number, client in enumerate(clients):
            come(number, client)
        until(lambda: all(heard.values()))
        for number, client in enumerate(clients):
            client.publish(f"own/{number}/last", b"x", qos=1)
        until(lambda: all(f"own/{number}/last" in topics for number, topics in heard.items()))
    finally:
        for client in clients:
            client.disconnect()
            client.loop_stop()
        broker.kill()
    foreign = {
        topic for number, topics in heard.items() for topic in topics if topic.split("/")[1] != str(number)
    }
    assert foreign == set()
