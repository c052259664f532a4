"""The peer's other end: a paho subscriber in a process of its own, `python -m bench.hearing PORT MESSAGES`.

Prints `ready` once subscribed and `done` when so many messages have arrived. It stores nothing.
"""

from __future__ import annotations

import sys
from typing import Any

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

TOPIC = "bench/peer"


def main() -> int:
    port, messages = int(sys.argv[1]), int(sys.argv[2])
    arrived = 0

    def on_connect(client: mqtt.Client, *_: Any) -> None:
        client.subscribe(TOPIC, qos=1)

    def on_subscribe(*_: Any) -> None:
        sys.stdout.write("ready\n")
        sys.stdout.flush()

    def on_message(client: mqtt.Client, data: Any, message: mqtt.MQTTMessage) -> None:
        nonlocal arrived
        arrived += 1
        if arrived == messages:
            sys.stdout.write("done\n")
            sys.stdout.flush()
            client.disconnect()

    client = mqtt.Client(CallbackAPIVersion.VERSION2, "bench-hearer")
    client.on_connect, client.on_subscribe, client.on_message = on_connect, on_subscribe, on_message
    client.connect("127.0.0.1", port)
    client.loop_forever()
    return 0 if arrived == messages else 1


if __name__ == "__main__":
    sys.exit(main())
