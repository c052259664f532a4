"""Hub workers behind mosquitto on one PostgreSQL archive, killed while devices drain: nothing lost, nothing
doubled, chains whole (G2, G3, G6), and always one of them with the duties."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from sync.link.keys import load_private, make_private, private_pem, public_pem, verify
from sync.link.messages import Acks, Context, Signed, Topics
from sync.vocabulary.codec import from_json
from sync.vocabulary.facts import GENESIS, Stream
from tests.postgres import IN_ONE_GROUP, Postgres
from tests.system.conftest import listening, mosquitto
from tests.unit.test_hub_device import Device

pytestmark = [pytest.mark.system, IN_ONE_GROUP]

KILLS = int(os.environ.get("KAKOU_WORKER_KILLS", "2"))
"""A worker is killed so often while devices drain; `make prove` asks for many more."""
WORKERS = 2
TOPICS = Topics("s1")
AGAIN_S = 1.0
"""Devices of this test send again what was not acknowledged for so long."""
WITHIN_S = 60.0 + 10.0 * KILLS


def free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


class Drain:
    """Devices that keep sending what is not acknowledged, and the workers that come and go."""

    def __init__(self, folder: Path, postgres: Postgres, spread: str) -> None:
        self.folder = folder
        self.place = postgres.place(folder)
        self.dsn = postgres.dsn(self.place.database)
        self.port = free_port()
        self.devices = [Device(f"lane-{number}", epoch=f"{number}" * 32) for number in range(1, 4)]
        self.acknowledged = {(device.name, stream): 0 for device in self.devices for stream in Stream}
        self.sent_s: dict[tuple[str, Stream], float] = {}
        self.begun: dict[int, int] = {}
        self.workers: dict[int, subprocess.Popen[bytes]] = {}
        hub = make_private()
        (folder / "hub.key").write_bytes(private_pem(hub))
        (folder / "hub.key").chmod(0o600)
        for device in self.devices:
            (folder / f"{device.name}.pub").write_bytes(public_pem(device.private.public_key()))
        (folder / "hub.toml").write_text(
            f"""site = "s1"
[store]
[archive]
engine = "postgresql"
port = {self.place.port}
database = "{self.place.database}"
user = "{self.place.user}"
witness_file = "witness"
[workers]
count = {WORKERS}
spread = "{spread}"
[sync]
port = {self.port}
key_file = "hub.key"
scopes = ["site"]
poll_s = 0.1
reconnect_longest_s = 0.3
[devices]
"""
            + "".join(f'{device.name} = "{device.name}.pub"\n' for device in self.devices)
        )
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="devices")
        self.client.on_message = self._hear
        self.hub_key = load_private(folder / "hub.key").public_key()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        config = self.folder / "mosquitto.conf"
        config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
        broker = subprocess.Popen([mosquitto(), "-c", str(config)], stderr=subprocess.DEVNULL)
        try:
            until = time.monotonic() + 10
            while not listening(self.port):
                assert time.monotonic() < until
                time.sleep(0.05)
            self.client.connect("127.0.0.1", self.port)
            self.client.subscribe([(TOPICS.ack(device.name), 1) for device in self.devices])
            self.client.loop_start()
            for number in range(1, WORKERS + 1):
                self.begin(number)
            yield
        finally:
            self.client.disconnect()
            self.client.loop_stop()
            for process in (*self.workers.values(), broker):
                process.kill()
                process.wait(10)

    def begin(self, number: int) -> None:
        self.begun[number] = self.begun.get(number, 0) + 1
        command = [sys.executable, "-m", "sync.hub", str(self.folder / "hub.toml"), "--worker", str(number)]
        with (self.folder / f"worker-{number}.log").open("ab") as log:
            self.workers[number] = subprocess.Popen(command, stdout=log, stderr=log)

    def ready(self, number: int) -> bool:
        """Whether the process begun last is at work."""
        log = self.folder / f"worker-{number}.log"
        return log.exists() and log.read_text().count('"hub ready"') == self.begun[number]

    def kill(self, number: int) -> None:
        self.workers[number].send_signal(signal.SIGKILL)
        self.workers[number].wait(10)

    def _hear(self, _client: object, _userdata: object, message: mqtt.MQTTMessage) -> None:
        signed = from_json(bytes(message.payload), Signed)
        for ack in from_json(verify({"hub": self.hub_key}, signed, Context.ACK), Acks).acks:
            key = (ack.device, ack.stream)
            self.acknowledged[key] = max(self.acknowledged[key], ack.contiguous)

    def send(self) -> None:
        """What is due: at first all, then all that was not acknowledged for a while."""
        now_s = time.monotonic()
        for device in self.devices:
            for stream in Stream:
                key, said = (device.name, stream), device.facts[stream]
                rest = said[self.acknowledged[key] :]
                if rest and now_s - self.sent_s.get(key, -AGAIN_S) >= AGAIN_S:
                    self.sent_s[key] = now_s
                    for start in range(0, min(len(rest), 60), 6):
                        payload = device.batch(rest[start : start + 6])
                        self.client.publish(TOPICS.facts(device.name, stream), payload, qos=1)

    def left(self) -> int:
        return sum(
            len(device.facts[stream]) - self.acknowledged[(device.name, stream)]
            for device in self.devices
            for stream in Stream
        )

    def log(self) -> list[dict[str, object]]:
        lines = [line for path in self.folder.glob("worker-*.log") for line in path.read_text().splitlines()]
        return [json.loads(line) for line in lines if line.startswith("{")]


@pytest.mark.parametrize("spread", ["share", "device"] if KILLS > 2 else ["share"])
def test_workers_killed_while_devices_drain_lose_and_double_nothing(
    tmp_path: Path, postgres: Postgres, spread: str
) -> None:
    chance = random.Random(KILLS)
    drain = Drain(tmp_path, postgres, spread)
    killed = 0
    with drain.running():
        until_s = time.monotonic() + WITHIN_S
        for device in drain.devices:
            device.chatter(60)
        next_kill_s = 0.0
        number = chance.randint(1, WORKERS)
        while drain.left() or killed < KILLS:
            assert time.monotonic() < until_s, (
                f"{drain.left()} facts left, {killed} kills, {drain.log()[-5:]}"
            )
            drain.send()
            time.sleep(0.02)
            if killed == KILLS or not drain.ready(number):
                continue
            next_kill_s = next_kill_s or time.monotonic() + chance.uniform(0.0, 1.5)
            if time.monotonic() >= next_kill_s:
                drain.kill(number)
                drain.begin(number)
                killed += 1
                next_kill_s, number = 0.0, chance.randint(1, WORKERS)
                for device in drain.devices:
                    device.chatter(20)
        codes = {number: process.poll() for number, process in drain.workers.items()}
    told = [line["event"] for line in drain.log()]
    assert codes == dict.fromkeys(range(1, WORKERS + 1))
    assert [line for line in drain.log() if line["level"] == "critical"] == []
    assert told.count("hub ready") >= killed
    with psycopg.connect(drain.dsn) as db:
        for device in drain.devices:
            for stream in Stream:
                rows = db.execute(
                    "SELECT seq, hash, body FROM facts WHERE device = %s AND stream = %s ORDER BY seq",
                    (device.name, stream.value),
                ).fetchall()
                said = device.facts[stream]
                assert rows == [(fact.seq, fact.hash, fact.body) for fact in said]
                prevs = [json.loads(body)["prev"] for _, _, body in rows]
                assert prevs == [GENESIS, *(fact_hash for _, fact_hash, _ in rows[:-1])]
                (head,) = db.execute(
                    "SELECT contiguous, head_hash FROM streams WHERE device = %s AND stream = %s",
                    (device.name, stream.value),
                ).fetchall()
                assert head == (len(said), said[-1].hash)
        assert db.execute("SELECT code, detail FROM hub_alarms").fetchall() == []
        assert db.execute("SELECT count(*) FROM branches").fetchone() == (0,)


def test_when_the_worker_with_the_duties_is_killed_another_has_them_and_is_born(
    tmp_path: Path, postgres: Postgres
) -> None:
    drain = Drain(tmp_path, postgres, "share")
    births: list[bytes] = []
    with drain.running():
        drain.client.subscribe(TOPICS.hub_birth(), qos=1)
        drain.client.message_callback_add(
            TOPICS.hub_birth(), lambda _client, _userdata, message: births.append(bytes(message.payload))
        )
        until_s = time.monotonic() + 30
        holder = 0
        while not (holder and births):
            assert time.monotonic() < until_s
            ready = [line for line in drain.log() if line["event"] == "hub ready"]
            holder = next((int(str(line["worker"])) for line in ready if line["on_duty"]), 0)
            time.sleep(0.05)
        while sum(line["event"] == "broker reached" for line in drain.log()) < 2 * WORKERS:
            assert time.monotonic() < until_s
            time.sleep(0.05)
        born = len(births)
        drain.kill(holder)
        while len(births) == born or "duties taken over" not in [line["event"] for line in drain.log()]:
            assert time.monotonic() < until_s
            time.sleep(0.05)
        (took,) = [line for line in drain.log() if line["event"] == "duties taken over"]
    assert took["worker"] == 3 - holder
