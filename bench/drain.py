"""Facts drained after an outage: journal -> broker -> durable at the hub -> acknowledged, against paho alone.

The peer publishes one message of 500 bytes a fact, QoS 1, through the same broker to a subscriber, and counts
what arrives; it stores nothing. The broker is mosquitto where it is installed, else the one for trying out.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from bench.harness import Bench, Figure, in_turns
from sync.link.client import LinkClient, LinkConfig
from sync.link.keys import KeySigner, make_private, private_pem, public_pem
from sync.store.journal import Journal
from sync.vocabulary.facts import FactDraft, Stream, VehicleCrossed

FACTS = 5_000
ROUNDS = 3
WITHIN_S = 120.0
DEVICE = "lane-bench-1"


def run(folder: Path, scale: float) -> Bench:
    facts = max(1_000, min(50_000, int(FACTS * 10 * scale)))
    hub_key, device_key = make_private(), make_private()
    with _broker(folder) as (port, broker), _hub(folder, port, hub_key, device_key):
        journal = Journal.open(folder / "drain.sqlite", device=DEVICE, reserve_bytes=0)
        rates = in_turns(
            ROUNDS,
            [
                ("drained", lambda: _drain(journal, folder, port, hub_key, device_key, facts)),
                ("peer", lambda: _peer(port, facts)),
            ],
        )
        journal.close()
    return Bench(
        "drain",
        [
            Figure("paho, one 500-byte message a fact", rates["peer"], "/s", note="arrived, not stored"),
            Figure(
                "facts drained", rates["drained"], "/s", rates["drained"] / rates["peer"], "paho",
                at_least=2.0, note="stored durably at the hub, chain checked, acknowledged with a signature",
            ),
        ],
        f"{facts:,} facts a round, {ROUNDS} rounds in turn, {broker}, QoS 1",
    )  # fmt: skip


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextlib.contextmanager
def _broker(folder: Path) -> Iterator[tuple[int, str]]:
    port = _free_port()
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
        _wait_for(port)
        yield port, "mosquitto" if mosquitto is not None else "amqtt"
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int) -> None:
    until = time.monotonic() + 20.0
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 0.5).close()
            return
        time.sleep(0.05)
    raise RuntimeError(f"nothing listens on 127.0.0.1:{port}")


@contextlib.contextmanager
def _hub(
    folder: Path, port: int, hub_key: Ed25519PrivateKey, device_key: Ed25519PrivateKey
) -> Iterator[None]:
    secret = folder / "hub.key"
    secret.touch(mode=0o600)
    secret.write_bytes(private_pem(hub_key))
    (folder / "device.pub").write_bytes(public_pem(device_key.public_key()))
    config = folder / "hub.toml"
    config.write_text(
        f'site = "bench"\n[store]\narchive = "archive.sqlite"\n[sync]\nport = {port}\n'
        f'key_file = "hub.key"\nscopes = ["site-bench"]\n[devices]\n{DEVICE} = "device.pub"\n'
    )
    with (folder / "hub.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "sync.hub", str(config)], stdout=log, stderr=log)
    try:
        time.sleep(2.0)
        if process.poll() is not None:
            raise RuntimeError(f"the hub did not start: {(folder / 'hub.log').read_text()}")
        yield
    finally:
        process.terminate()
        process.wait()


def _drain(
    journal: Journal,
    folder: Path,
    port: int,
    hub_key: Ed25519PrivateKey,
    device_key: Ed25519PrivateKey,
    facts: int,
) -> float:
    """Facts a second, from the link's first step to the last acknowledgement."""
    for first in range(0, facts, 500):
        journal.commit([_draft(n) for n in range(first, min(facts, first + 500))])
    config = LinkConfig(device=DEVICE, site="bench", scopes=("site-bench",), host="127.0.0.1", port=port)
    client = LinkClient(
        config,
        journal=journal,
        records_folder=folder,
        signer=KeySigner(device_key, DEVICE),
        hub_key=hub_key.public_key(),
        notices=lambda notice: None,
    )
    owed = sum(journal.backlog().values())
    begin = time.perf_counter()
    client.start()
    try:
        while sum(journal.backlog().values()) and time.perf_counter() - begin < WITHIN_S:
            time.sleep(0.01)
        took_s = time.perf_counter() - begin
    finally:
        client.stop()
    left = sum(journal.backlog().values())
    if left:
        raise RuntimeError(f"{left} of {owed} facts were not acknowledged within {WITHIN_S:.0f} s")
    return owed / took_s


def _draft(number: int) -> FactDraft:
    crossed = VehicleCrossed(
        passage=number, order_id=f"{DEVICE}-r-{number}-1", use_ids=(f"{DEVICE}-r-{number}-u0",), claim_id=""
    )
    return FactDraft(secrets.token_hex(16), Stream.ROUTINE, "2026-01-01T00:00:00.000000Z", "boot", 5, crossed)


def _peer(port: int, messages: int) -> float:
    """Messages a second from the first publish to the last arrival."""
    payload = secrets.token_bytes(500)
    arrived, all_here = 0, threading.Event()

    def on_message(client: mqtt.Client, data: object, message: mqtt.MQTTMessage) -> None:
        nonlocal arrived
        arrived += 1
        if arrived >= messages:
            all_here.set()

    sender = mqtt.Client(CallbackAPIVersion.VERSION2, "bench-sender")
    hearer = mqtt.Client(CallbackAPIVersion.VERSION2, "bench-hearer")
    hearer.on_message = on_message
    sender.max_queued_messages_set(0)
    for client in (sender, hearer):
        client.connect("127.0.0.1", port)
        client.loop_start()
    hearer.subscribe("bench/peer", qos=1)
    time.sleep(0.5)
    begin = time.perf_counter()
    for _ in range(messages):
        sender.publish("bench/peer", payload, qos=1)
    all_here.wait(WITHIN_S)
    took_s = time.perf_counter() - begin
    for client in (sender, hearer):
        client.disconnect()
        client.loop_stop()
    if arrived < messages:
        raise RuntimeError(f"the peer lost {messages - arrived} of {messages} messages")
    return messages / took_s
