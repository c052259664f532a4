"""A broker that hands a client what it never asked for (amqtt, restarted, does) changes nothing; one that
does not answer is left for a new connection."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import pytest

from sync.link.client import BrokerConfig, HubLink, _Wire
from sync.link.words import Connected, Connection

pytestmark = pytest.mark.system

CONNACK = b"\x20\x02\x00\x00"


def publish(topic: str, payload: bytes) -> bytes:
    """An MQTT 3.1.1 PUBLISH at QoS 0 (section 3.3 of the standard)."""
    name = topic.encode()
    body = len(name).to_bytes(2, "big") + name + payload
    return bytes([0x30, len(body)]) + body


class Confused:
    """Speaks just enough MQTT to accept anybody, and then hands out other people's messages."""

    def __init__(self, messages: list[bytes]) -> None:
        self._messages = messages
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            while data := client.recv(4096):
                if data[0] == 0x10:
                    client.sendall(CONNACK)
                if b"\x82" in data:
                    at = data.index(b"\x82")
                    topics = data[at:].count(b"kakou/v1/")
                    suback = data[at + 2 : at + 4] + bytes([1] * topics)
                    client.sendall(bytes([0x90, len(suback)]) + suback + b"".join(self._messages))

    def close(self) -> None:
        self._server.close()


class Deaf(Confused):
    """Accepts anybody, answers pings, and answers no subscription to the first who comes."""

    came = 0

    def _serve(self, client: socket.socket) -> None:
        self.came += 1
        if self.came > 1:
            super()._serve(client)
            return
        # Who waits for it no longer may hang up in the middle of an answer.
        with client, contextlib.suppress(ConnectionError):
            while data := client.recv(4096):
                if data[0] == 0x10:
                    client.sendall(CONNACK)
                if data[-2:] == b"\xc0\x00":
                    client.sendall(b"\xd0\x00")


def test_messages_nobody_asked_for_are_dropped_and_the_asked_ones_arrive() -> None:
    broker = Confused(
        [
            publish("kakou/v1/demo/feed/site-demo/head", b"{}"),
            publish("kakou/v1/demo/edge/lane-in-1/ack", b"{}"),
            publish("kakou/v1/demo/edge/lane-in-1/claim", b"asked"),
            publish("kakou/v1/demo/edge/lane-in-1/pull", b"asked"),
        ]
    )
    heard: list[str] = []
    link = HubLink(
        BrokerConfig(host="127.0.0.1", port=broker.port),
        site="demo",
        on_message=lambda topic, payload: heard.append(topic.rpartition("/")[2]),
        on_connection=lambda change: None,
    )
    link.start()
    try:
        until = time.monotonic() + 10.0
        while len(heard) < 2 and time.monotonic() < until:
            time.sleep(0.02)
        time.sleep(0.3)
    finally:
        link.stop()
        broker.close()
    assert sorted(heard) == ["claim", "pull"]


def test_a_broker_that_answers_no_subscription_is_not_waited_for_for_ever() -> None:
    broker = Deaf([publish("kakou/v1/demo/edge/lane-in-1/blob/offer", b"asked")])
    stands = threading.Event()
    link = _Wire(
        Connection.ROUTINE,
        "kakou-hub-routine-1",
        BrokerConfig(
            host="127.0.0.1", port=broker.port, stand_within_s=1.0, reconnect_first_s=0.05, keepalive_s=1
        ),
        subscribe=("kakou/v1/demo/edge/+/head",),
        will=None,
        tell=lambda event: stands.set() if isinstance(event, Connected) else None,
    )
    link.start()
    try:
        assert stands.wait(15.0)
        assert broker.came == 2
    finally:
        link.ask_to_stop()
        link.join(2.0)
        broker.close()
