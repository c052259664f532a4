"""The peer's other end: a paho subscriber in a process of its own, `python -m bench.hearing PORT MESSAGES`.

Prints `ready` once subscribed, then each second how many messages have arrived where more have, and the last
count at once. It stores nothing.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

TOPIC = "bench/peer"
EVERY_S = 1.0


def main() -> int:
    port, messages = int(sys.argv[1]), int(sys.argv[2])
    arrived = 0
    over = threading.Event()

    def say(text: str) -> None:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    def on_connect(client: mqtt.Client, *_: Any) -> None:
        client.subscribe(TOPIC, qos=1)

    def on_subscribe(*_: Any) -> None:
        say("ready")

    def on_message(client: mqtt.Client, data: Any, message: mqtt.MQTTMessage) -> None:
        nonlocal arrived
        arrived += 1
        if arrived == messages:
            say(str(arrived))
            client.disconnect()

    def tell() -> None:
        told = 0
        while not over.wait(EVERY_S):
            if told < (now := arrived) < messages:
                told = now
                say(str(now))

    client = mqtt.Client(CallbackAPIVersion.VERSION2, "bench-hearer")
    client.on_connect, client.on_subscribe, client.on_message = on_connect, on_subscribe, on_message
    client.connect("127.0.0.1", port)
    threading.Thread(target=tell, daemon=True).start()
    client.loop_forever()
    over.set()
    return 0 if arrived == messages else 1


if __name__ == "__main__":
    sys.exit(main())
