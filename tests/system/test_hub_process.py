"""The hub as a program behind a real broker: acknowledges what is on its disk, loses nothing when killed."""

from __future__ import annotations

import contextlib
import json
import queue
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from sync.hub.archive import Archive
from sync.hub.importing import import_files
from sync.link.keys import load_private, make_private, private_pem, public_pem, verify
from sync.link.messages import Ack, Acks, ClaimAnswer, Context, FeedBatch, FeedHead, Signed, Status, Topics
from sync.vocabulary.codec import from_json
from sync.vocabulary.facts import Stream
from tests.unit.test_hub_device import SLIP, Device

pytestmark = pytest.mark.system

TOPICS = Topics("s1")
WAIT_S = 20.0
MOSQUITTO = shutil.which("mosquitto") or "/usr/sbin/mosquitto"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def until(true: Callable[[], Any], what: str) -> Any:
    deadline_s = time.monotonic() + WAIT_S
    while time.monotonic() < deadline_s:
        found = true()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {WAIT_S} s: {what}")


def listening(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.2):
        return True
    return False


@contextlib.contextmanager
def process(*command: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as out:
        started = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        yield started
    finally:
        if started.poll() is None:
            started.kill()
        started.wait(10)


@pytest.fixture(params=["mosquitto", "amqtt"])
def port(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    number = free_port()
    if request.param == "mosquitto":
        if not Path(MOSQUITTO).exists():
            pytest.skip("mosquitto is not installed")
        config = tmp_path / "mosquitto.conf"
        config.write_text(f"listener {number} 127.0.0.1\nallow_anonymous true\npersistence false\n")
        command = [MOSQUITTO, "-c", str(config)]
    else:
        command = [sys.executable, "-m", "sync.link.broker", "--port", str(number)]
    with process(*command, log=tmp_path / "broker.log"):
        until(lambda: listening(number), "the broker listens")
        yield number


class Site:
    """A folder with keys and config, one device that speaks through a plain client, and the hub's process."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self.device = Device()
        hub = make_private()
        (folder / "hub.key").write_bytes(private_pem(hub))
        (folder / "hub.key").chmod(0o600)
        (folder / "lane-in.pub").write_bytes(public_pem(self.device.private.public_key()))
        self.config = folder / "hub.toml"
        self.config.write_text(
            f'site = "s1"\n[store]\narchive = "archive.sqlite"\n[sync]\nport = {port}\nkey_file = "hub.key"\n'
            'scopes = ["site"]\npoll_s = 0.1\nhead_every_s = 1.0\nreconnect_longest_s = 0.5\n'
            '[devices]\nlane-in = "lane-in.pub"\n'
        )
        self.archive_path = folder / "archive.sqlite"
        self.log_path = folder / "hub.log"
        self.heard: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="lane-in")
        self.client.on_message = lambda _client, _data, message: self.heard.put(
            (message.topic, bytes(message.payload))
        )

    def connect(self) -> None:
        self.client.connect("127.0.0.1", self.port)
        self.client.subscribe([("kakou/v1/s1/#", 1)])
        self.client.loop_start()

    def disconnect(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    @contextlib.contextmanager
    def hub(self) -> Iterator[subprocess.Popen[bytes]]:
        with process(sys.executable, "-m", "sync.hub", str(self.config), log=self.log_path) as started:
            reached = self.log().count("broker reached")
            until(
                lambda: self.log().count("broker reached") >= reached + 2 or started.poll() is not None,
                f"the hub reaches the broker: {self.log()}",
            )
            yield started

    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8") if self.log_path.exists() else ""

    def opened(self, payload: bytes, context: Context, kind: type[Any]) -> Any:
        signed = from_json(payload, Signed)
        hub_key = load_private(self.folder / "hub.key").public_key()
        return from_json(verify({"hub": hub_key}, signed, context), kind)

    def send(self, payload: bytes, stream: Stream = Stream.ROUTINE) -> None:
        self.client.publish(TOPICS.facts("lane-in", stream), payload, qos=1)

    def hear(self, topic: str) -> bytes:
        """The next message on a topic; others are forgotten."""
        deadline_s = time.monotonic() + WAIT_S
        while time.monotonic() < deadline_s:
            with contextlib.suppress(queue.Empty):
                found, payload = self.heard.get(timeout=0.2)
                if found == topic:
                    return payload
        raise AssertionError(f"nothing on {topic} within {WAIT_S} s; the hub said: {self.log()}")

    def acknowledged(self, stream: str = "routine") -> Ack:
        found: Acks = self.opened(self.hear(TOPICS.ack("lane-in")), Context.ACK, Acks)
        return {ack.stream.value: ack for ack in found.acks}[stream]

    def acknowledged_up_to(self, seq: int) -> Ack:
        ack = self.acknowledged()
        while ack.contiguous < seq:
            ack = self.acknowledged()
        return ack

    def bodies(self) -> list[str]:
        db = sqlite3.connect(self.archive_path)
        rows = db.execute("SELECT body FROM facts WHERE stream = 'routine' ORDER BY seq").fetchall()
        db.close()
        return [row[0] for row in rows]


@pytest.fixture
def site(tmp_path: Path, port: int) -> Iterator[Site]:
    site = Site(tmp_path, port)
    site.connect()
    yield site
    site.disconnect()


def test_facts_are_acknowledged_and_survive_kill_9_of_the_hub(site: Site) -> None:
    said = site.device.chatter(300)
    batches = site.device.batches(size=20)
    with site.hub() as hub:
        for payload in batches[:8]:
            site.send(payload)
        kept = site.acknowledged_up_to(20).contiguous
        hub.kill()
        hub.wait(10)
    stored = site.bodies()
    assert stored == [fact.body for fact in said[: len(stored)]]
    assert len(stored) >= kept
    for payload in batches[8:12]:
        site.send(payload)
    with site.hub():
        status: Status = site.opened(site.hear(TOPICS.hub_birth()), Context.STATUS, Status)
        assert status.device == "hub"
        for payload in batches:
            site.send(payload)
        ack = site.acknowledged_up_to(300)
    assert (ack.contiguous, ack.hash, ack.missing) == (300, said[-1].hash, ())
    assert site.bodies() == [fact.body for fact in said]


def test_the_hub_says_its_birth_and_its_death_and_stops_cleanly_on_sigterm(site: Site) -> None:
    with site.hub() as hub:
        births = [site.opened(site.hear(TOPICS.hub_birth()), Context.STATUS, Status)]
        site.send(site.device.batch(site.device.chatter(3)))
        site.acknowledged_up_to(3)
        hub.send_signal(signal.SIGTERM)
        assert hub.wait(10) == 0
        births.append(site.opened(site.hear(TOPICS.hub_birth()), Context.STATUS, Status))
    assert [status.online for status in births] == [True, False]
    lines = [json.loads(line) for line in site.log().splitlines()]
    assert [lines[0]["event"], lines[-1]["event"], lines[-1]["facts"]] == ["hub ready", "hub stopped", 3]


def test_a_killed_hub_leaves_its_last_will(site: Site) -> None:
    with site.hub() as hub:
        site.hear(TOPICS.hub_birth())
        hub.kill()
        hub.wait(10)
        status: Status = site.opened(site.hear(TOPICS.hub_birth()), Context.STATUS, Status)
    assert status.online is False


def test_records_imported_while_the_hub_runs_come_down_and_are_claimed(site: Site) -> None:
    slips = site.folder / "release_slips.json"
    slips.write_text(
        json.dumps(
            [
                {
                    "slip_no": SLIP,
                    "direction": "I",
                    "kind": "3",
                    "binding": "2",
                    "vehicle_kg": 10,
                    "cargo_gross_kg": 5,
                    "total_kg": 15,
                    "enterprise": "330260A000",
                    "state": "1",
                    "valid_from": "2026-01-01T00:00:00Z",
                    "valid_until": "2026-12-31T00:00:00Z",
                }
            ]
        )
    )
    with site.hub():
        importer = Archive.open(site.archive_path)
        import_files(importer, "site", [slips], "2026-01-31T08:00:00Z")
        importer.close()
        batch: FeedBatch = site.opened(site.hear(TOPICS.feed("site")), Context.FEED, FeedBatch)
        head: FeedHead = site.opened(site.hear(TOPICS.feed_head("site")), Context.FEED_HEAD, FeedHead)
        site.client.publish(TOPICS.claim("lane-in"), site.device.claim("c1", 1), qos=1)
        answer: ClaimAnswer = site.opened(
            site.hear(TOPICS.claim_answer("lane-in")), Context.CLAIM_ANSWER, ClaimAnswer
        )
        site.client.publish(TOPICS.pull("lane-in"), site.device.pull("site", "", 0), qos=1)
        pulled: FeedBatch = site.opened(site.hear(TOPICS.batch("lane-in")), Context.FEED, FeedBatch)
    assert [change.key for change in batch.changes] == [SLIP]
    assert (head.number, head.rows) == (1, 1)
    assert answer.verdict.value == "granted"
    assert pulled == batch


def test_hostile_messages_leave_the_hub_running_and_are_listed(site: Site) -> None:
    with site.hub() as hub:
        for payload in (b"[" * 60_000, b"\xff" * 10, b"{}", b"x" * 100_000):
            site.send(payload)
        site.send(site.device.batch(site.device.chatter(2)))
        assert site.acknowledged_up_to(2).contiguous == 2
        assert hub.poll() is None
    db = sqlite3.connect(site.archive_path)
    codes = {row[0] for row in db.execute("SELECT code FROM hub_alarms")}
    db.close()
    assert codes == {"batch_refused", "oversized"}


def test_a_broker_that_comes_later_is_found(tmp_path: Path) -> None:
    if not Path(MOSQUITTO).exists():
        pytest.skip("mosquitto is not installed")
    number = free_port()
    site = Site(tmp_path, number)
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"listener {number} 127.0.0.1\nallow_anonymous true\n")
    with process(sys.executable, "-m", "sync.hub", str(site.config), log=site.log_path) as hub:
        until(lambda: "hub ready" in site.log(), "the hub is ready without a broker")
        with process(MOSQUITTO, "-c", str(config), log=tmp_path / "broker.log"):
            until(lambda: site.log().count("broker reached") == 2, f"the hub connects: {site.log()}")
        until(lambda: "broker lost" in site.log(), "the hub notices that the broker is gone")
        assert hub.poll() is None


def test_wrong_credentials_are_a_clear_line_and_the_hub_keeps_trying(tmp_path: Path) -> None:
    if not Path(MOSQUITTO).exists():
        pytest.skip("mosquitto is not installed")
    number = free_port()
    site = Site(tmp_path, number)
    (tmp_path / "passwords").write_text("")
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"listener {number} 127.0.0.1\nallow_anonymous false\n")
    with (
        process(MOSQUITTO, "-c", str(config), log=tmp_path / "broker.log"),
        process(sys.executable, "-m", "sync.hub", str(site.config), log=site.log_path) as hub,
    ):
        until(lambda: "broker refused" in site.log(), "the hub says that it was refused")
        assert hub.poll() is None
    refusal = next(json.loads(line) for line in site.log().splitlines() if "broker refused" in line)
    assert (refusal["level"], str(number) in refusal["why"]) == ("error", True)


def test_a_second_hub_on_the_archive_is_refused_and_the_first_goes_on(site: Site) -> None:
    second = site.folder / "second.log"
    with (
        site.hub() as first,
        process(sys.executable, "-m", "sync.hub", str(site.config), log=second) as other,
    ):
        assert other.wait(WAIT_S) == 1
        site.send(site.device.batch(site.device.chatter(1)))
        assert site.acknowledged_up_to(1).contiguous == 1
        assert first.poll() is None
    assert "a hub runs on this archive already" in second.read_text()
