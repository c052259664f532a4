"""Facts drained after an outage: journal -> broker -> durable at the hub -> acknowledged, against paho alone.

The peer publishes one message of 500 bytes a fact, QoS 1, with paho as it comes, through the same broker to
a paho subscriber in a process of its own, and counts what arrives; it stores nothing. It hands paho as many
as paho takes, and waits only where paho would refuse one. The broker is mosquitto where it is installed, else
the one for trying out.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from bench import hearing, patience
from bench.harness import Bench, Figure, in_turns
from bench.passages import DEVICE, FACTS_A_PASSAGE, journalled
from sync.link.client import LinkClient, LinkConfig
from sync.link.keys import KeySigner, make_private, private_pem, public_pem
from sync.store.journal import Journal

PASSAGES = 20_000
FEWEST_PASSAGES = 200
ROUNDS = 5
STARTED_WITHIN_S = 20.0
WITHIN_S = 120.0
SILENT_S = 60.0
"""Without one more message arriving, the peer's run is an error, not a figure."""
OUTSTANDING = 60_000
"""Messages handed to paho and not yet acknowledged. It numbers them with 16 bits and refuses one whose number
is still under way."""
BLOCK = 1_000
"""Of them, only the first is looked at: the broker acknowledges in order."""


def run(folder: Path, scale: float) -> Bench:
    """At scale 1: 120,000 facts a round."""
    passages = max(FEWEST_PASSAGES, int(PASSAGES * scale))
    facts = passages * FACTS_A_PASSAGE
    hub_key, device_key = make_private(), make_private()
    with (
        broker(folder) as (port, by),
        hub(folder, port, hub_key, device_key),
        Journal.open(folder / "drain.sqlite", device=DEVICE, reserve_bytes=0) as journal,
    ):
        edge = Edge(journal, folder, port, hub_key, device_key)
        edge.drain(FEWEST_PASSAGES)
        rates = in_turns(
            ROUNDS, [("drained", lambda: edge.drain(passages)), ("peer", lambda: peer(port, facts))]
        )
    return Bench(
        "drain",
        [
            Figure("paho, 500 bytes a fact", rates.median("peer"), "/s", note="arrived, not stored"),
            Figure(
                "facts drained", rates.median("drained"), "/s", rates.ratio("drained", "peer"), "paho",
                at_least=2.0, note="durable at the hub, chain checked, acknowledged with a signature",
            ),
        ],
        f"{facts:,} facts of passages a round, {ROUNDS} rounds in turn, {by}, QoS 1",
    )  # fmt: skip


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextlib.contextmanager
def broker(folder: Path) -> Iterator[tuple[int, str]]:
    port = free_port()
    mosquitto = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if mosquitto is not None:
        config = folder / "mosquitto.conf"
        config.write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nset_tcp_nodelay true\n"
            "max_queued_messages 0\nmax_inflight_messages 100\n"
        )
        command = [mosquitto, "-c", str(config)]
    else:
        command = [sys.executable, "-m", "sync.link.broker", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        yield port, "mosquitto" if mosquitto is not None else "amqtt"
    finally:
        patience.end(process)


def wait_for(port: int) -> None:
    until = time.monotonic() + STARTED_WITHIN_S
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 0.5).close()
            return
        time.sleep(0.05)
    raise RuntimeError(f"nothing listens on 127.0.0.1:{port}")


@contextlib.contextmanager
def hub(folder: Path, port: int, hub_key: Ed25519PrivateKey, device_key: Ed25519PrivateKey) -> Iterator[None]:
    secret = folder / "hub.key"
    secret.touch(mode=0o600)
    secret.write_bytes(private_pem(hub_key))
    (folder / "device.pub").write_bytes(public_pem(device_key.public_key()))
    config = folder / "hub.toml"
    config.write_text(
        f'site = "bench"\n[store]\narchive = "archive.sqlite"\n[sync]\nport = {port}\n'
        f'key_file = "hub.key"\nscopes = ["site-bench"]\n[devices]\n{DEVICE} = "device.pub"\n'
    )
    log_path = folder / "hub.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "sync.hub", str(config)], stdout=log, stderr=log)
    try:
        until = time.monotonic() + STARTED_WITHIN_S
        while _reached(log_path) < 2:
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the hub did not start: {log_path.read_text()}")
            time.sleep(0.05)
        yield
    finally:
        patience.end(process)


def _reached(log_path: Path) -> int:
    """Connections of the hub that stand, by its log."""
    lines = [line for line in log_path.read_text().splitlines() if line.startswith("{")]
    return sum(1 for line in lines if json.loads(line).get("event") == "broker reached")


@dataclass(slots=True)
class Edge:
    """A device with its journal; each drain is a link of its own, from its first step on."""

    journal: Journal
    folder: Path
    port: int
    hub_key: Ed25519PrivateKey
    device_key: Ed25519PrivateKey
    passages: int = 0

    def drain(self, passages: int) -> float:
        """Facts a second, from the link's start to the last acknowledgement."""
        journalled(self.journal, self.passages + 1, passages)
        self.passages += passages
        client = LinkClient(
            LinkConfig(device=DEVICE, site="bench", scopes=("site-bench",), host="127.0.0.1", port=self.port),
            journal=self.journal,
            records_folder=self.folder,
            signer=KeySigner(self.device_key, DEVICE),
            hub_key=self.hub_key.public_key(),
            notices=lambda notice: None,
        )
        owed = self._owed()
        begin = time.perf_counter()
        client.start()
        try:
            while self._owed() and time.perf_counter() - begin < WITHIN_S:
                time.sleep(0.005)
            took_s = time.perf_counter() - begin
        finally:
            client.stop()
        if left := self._owed():
            raise RuntimeError(f"{left} of {owed} facts were not acknowledged within {WITHIN_S:.0f} s")
        return owed / took_s

    def _owed(self) -> int:
        return sum(self.journal.backlog().values())


def peer(port: int, messages: int) -> float:
    """Messages a second from the first publish to the last arrival."""
    payload = secrets.token_bytes(500)
    hearer = subprocess.Popen(
        [sys.executable, "-m", "bench.hearing", str(port), str(messages)],
        stdout=subprocess.PIPE,
        text=True,
    )
    connected = threading.Event()
    sender = mqtt.Client(CallbackAPIVersion.VERSION2, "bench-sender")
    sender.on_connect = lambda *_: connected.set()
    try:
        with patience.Watched(hearer, SILENT_S) as heard:
            sender.connect("127.0.0.1", port)
            sender.loop_start()
            heard.line("that the peer's other end is ready")
            if not connected.wait(STARTED_WITHIN_S):
                raise RuntimeError(f"the peer did not connect within {STARTED_WITHIN_S:g} s")
            begin = time.perf_counter()
            _offer(sender, payload, messages, heard)
            arrived = 0
            while arrived < messages:
                arrived = int(
                    heard.line(f"more than {arrived:,} of the peer's {messages:,} messages to arrive")
                )
            took_s = time.perf_counter() - begin
    finally:
        sender.disconnect()
        sender.loop_stop()
        patience.end(hearer)
    return messages / took_s


def _offer(sender: mqtt.Client, payload: bytes, messages: int, heard: patience.Watched) -> None:
    """Returns when paho has them all, not when they are sent."""
    under_way: deque[mqtt.MQTTMessageInfo] = deque()
    for number in range(messages):
        begins = number % BLOCK == 0
        if begins and len(under_way) == OUTSTANDING // BLOCK:
            oldest = under_way.popleft()
            oldest.wait_for_publish(SILENT_S)
            if not oldest.is_published():
                raise RuntimeError(f"the broker acknowledged nothing of the peer for {SILENT_S:g} s")
            heard.heard()
        info = _taken(sender, payload)
        if begins:
            under_way.append(info)


def _taken(sender: mqtt.Client, payload: bytes) -> mqtt.MQTTMessageInfo:
    """Offered until paho takes it."""
    until = time.monotonic() + SILENT_S
    while (info := sender.publish(hearing.TOPIC, payload, qos=1)).rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
        if time.monotonic() > until:
            raise RuntimeError(f"paho took no message of the peer for {SILENT_S:g} s")
        time.sleep(0.001)
    return info
