"""Three nodes of NATS JetStream with MQTT listeners, on 127.0.0.1 only, each a process that can be killed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.system.conftest import listening, until
from tests.system.crash_site import Process, free_port

NODES = 3
READY_S = 60.0


def nats_server() -> str:
    """Where the program is, or the test is skipped. KAKOU_NATS_SERVER names it where it is on no path."""
    found = os.environ.get("KAKOU_NATS_SERVER") or shutil.which("nats-server")
    found = found or shutil.which("nats-server", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(
            "nats-server is not installed (Debian: apt install nats-server), nor in KAKOU_NATS_SERVER"
        )
    return found


def version(program: str) -> tuple[int, ...]:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(int(part) for part in said.rsplit("v", 1)[1].strip().split(".")[:2])


class NatsCluster:
    """The lane speaks to the first node, the hub to the second; either may die."""

    def __init__(self, folder: Path) -> None:
        program = nats_server()
        # Older ones know no such setting: acknowledged by the disk's own leave only.
        sync = ', sync_interval: "always"' if version(program) >= (2, 10) else ""
        self._folder = folder
        self._mqtt = [free_port() for _ in range(NODES)]
        self._watch = [free_port() for _ in range(NODES)]
        routes = [free_port() for _ in range(NODES)]
        self.nodes: list[Process] = []
        for node in range(NODES):
            others = ", ".join(f'"nats-route://127.0.0.1:{port}"' for port in routes)
            config = folder / f"nats-{node}.conf"
            config.write_text(
                f'server_name: "node-{node}"\nlisten: "127.0.0.1:{free_port()}"\n'
                f'http: "127.0.0.1:{self._watch[node]}"\n'
                f'jetstream {{ store_dir: "{self._data(node)}"{sync} }}\n'
                f'cluster {{ name: "kakou", listen: "127.0.0.1:{routes[node]}", routes: [{others}] }}\n'
                f'mqtt {{ listen: "127.0.0.1:{self._mqtt[node]}", stream_replicas: {NODES}, '
                f'ack_wait: "5s" }}\n'
            )
            self.nodes.append(Process(f"nats-{node}", [program, "-c", str(config)], folder))
        self.port, self.hub_port = self._mqtt[0], self._mqtt[1]

    def _data(self, node: int) -> Path:
        return self._folder / f"nats-data-{node}"

    def start(self) -> None:
        for node in self.nodes:
            if not node.is_up:
                node.start()
        until(lambda: all(map(listening, self._mqtt)), "every node listens", READY_S)
        until(self.leader, "the cluster has a leader", READY_S)

    def kill(self) -> None:
        for node in self.nodes:
            node.kill()

    def forget(self) -> None:
        for node in range(NODES):
            shutil.rmtree(self._data(node), ignore_errors=True)

    def leader(self) -> Process | None:
        """Of the stream that holds the messages; of the cluster while there is none."""
        for watch in self._watch:
            with contextlib.suppress(OSError, ValueError, KeyError):
                told = self._told(watch)
                names = [
                    stream["cluster"]["leader"]
                    for account in told.get("account_details", [])
                    for stream in account.get("stream_detail", [])
                    if stream["name"] == "$MQTT_msgs"
                ]
                name = (names or [told["meta_cluster"]["leader"]])[0]
                if name.startswith("node-"):
                    return self.nodes[int(name.removeprefix("node-"))]
        return None

    @staticmethod
    def _told(port: int) -> dict[str, Any]:
        address = f"http://127.0.0.1:{port}/jsz?accounts=true&streams=true"
        with urllib.request.urlopen(address, timeout=2.0) as answer:
            told: dict[str, Any] = json.load(answer)
            return told
