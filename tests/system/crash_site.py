"""A small site of real processes that can each be killed: a broker, a hub, a lane that commits and sends.

What was promised is taken from what the lane printed; what came of it is read from the files, by code that
imports nothing of sync (`tests.world.reckoning`).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pytest

from sync.hub.archive import Archive, RecordChange
from sync.hub.engine_postgres import PostgresPlace
from sync.link.keys import make_private, private_pem, public_pem
from tests.system.conftest import ROOT, listening, mosquitto, until
from tests.world.reckoning import Told, unequal_at_the_end

IN_PROVE = pytest.mark.skipif("KAKOU_PROVE" not in os.environ, reason="make prove runs it (KAKOU_PROVE=1)")
SITE = "site-a"
LANE = "lane-1"
AT = "2026-03-02T01:00:00Z"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Process:
    """One program that is started again and again; its output is kept, start by start."""

    name: str
    command: list[str]
    folder: Path
    starts: int = 0
    running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.starts += 1
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)}
        with self.out(self.starts).open("wb") as out, self.errors(self.starts).open("wb") as errors:
            self.running = subprocess.Popen(
                self.command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=errors
            )

    def out(self, start: int) -> Path:
        return self.folder / f"{self.name}.{start}.out"

    def errors(self, start: int) -> Path:
        return self.folder / f"{self.name}.{start}.errors"

    def said(self) -> str:
        """Since its last start."""
        return self.out(self.starts).read_text(encoding="utf-8", errors="replace")

    def complained(self) -> str:
        return self.errors(self.starts).read_text(encoding="utf-8", errors="replace")

    def kill(self) -> None:
        """With SIGKILL, and gone when this returns."""
        if self.running is not None:
            self.running.kill()
            self.running.wait(10)
            self.running = None

    def stop(self, within_s: float = 20.0) -> None:
        if self.running is not None:
            self.running.send_signal(signal.SIGTERM)
            self.running.wait(within_s)
            self.running = None

    @property
    def is_up(self) -> bool:
        return self.running is not None and self.running.poll() is None


class Broker(Protocol):
    port: int
    """Where the lane finds it."""
    hub_port: int

    def start(self) -> None: ...
    def kill(self) -> None: ...
    def forget(self) -> None:
        """Everything it had on its disk; only while it is down."""


class FactsSeen(NamedTuple):
    """Messages with facts in them, as a broker saw them."""

    published: int
    acknowledged: int
    delivered: int


class SingleBroker:
    """mosquitto at its defaults, mosquitto that keeps what it has in a file, or amqtt."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.port = self.hub_port = free_port()
        self._data = folder / "broker-data"
        self._log = folder / "mosquitto.log"
        if kind == "amqtt":
            command = [sys.executable, "-m", "sync.link.broker", "--port", str(self.port)]
        else:
            lines = [f"listener {self.port} 127.0.0.1", "allow_anonymous true"]
            lines += [f"log_dest file {self._log}", "log_type all"]
            if os.getuid() == 0:
                lines += ["user root"]
            if kind == "mosquitto that keeps":
                self._data.mkdir()
                lines += ["persistence true", f"persistence_location {self._data}/", "autosave_interval 1"]
            config = folder / "mosquitto.conf"
            config.write_text("\n".join(lines) + "\n")
            command = [mosquitto(), "-c", str(config)]
        self._process = Process("broker", command, folder)

    def start(self) -> None:
        self._process.start()
        until(lambda: listening(self.port), "the broker listens")

    def kill(self) -> None:
        self._process.kill()

    def forget(self) -> None:
        if self._data.exists():
            shutil.rmtree(self._data)
            self._data.mkdir()

    def facts(self) -> FactsSeen:
        """By mosquitto's own log."""
        waiting: set[tuple[str, str]] = set()
        published = acknowledged = delivered = 0
        with self._log.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if match := _RECEIVED.search(line):
                    published += 1
                    waiting.add((match[1], match[2]))
                elif (match := _PUBACK.search(line)) and (match[1], match[2]) in waiting:
                    acknowledged += 1
                    waiting.discard((match[1], match[2]))
                elif _DELIVERED.search(line):
                    delivered += 1
        return FactsSeen(published, acknowledged, delivered)


_RECEIVED = re.compile(r"Received PUBLISH from (\S+) \(.*\bm(\d+), '[^']*/facts/")
_PUBACK = re.compile(r"Sending PUBACK to (\S+) \(m(\d+)")
_DELIVERED = re.compile(r"Sending PUBLISH to \S+ \(.*'[^']*/facts/")


@dataclass
class CrashSite:
    """`folder` is laid out as a demo's, so that the same reconciliation reads it."""

    folder: Path
    broker: Broker
    archive_toml: str = ""
    """Where the archive is, and how many workers it has; else a file and one hub."""
    workers: int = 0
    lane: Process = field(init=False)
    hubs: list[Process] = field(init=False)
    imported: bool = False
    """The centre has records."""

    def __post_init__(self) -> None:
        keys = self.folder / "keys"
        keys.mkdir(parents=True)
        for name in (LANE, "hub"):
            (self.folder / "data" / name).mkdir(parents=True)
            private = make_private()
            (keys / f"{name}.key").touch(mode=0o600)
            (keys / f"{name}.key").write_bytes(private_pem(private))
            (keys / f"{name}.pub").write_bytes(public_pem(private.public_key()))
        self.logs = self.folder / "logs"
        self.logs.mkdir()
        self.config = self.folder / "hub.toml"
        archive_toml = self.archive_toml or '[store]\narchive = "data/hub/archive.sqlite"\n'
        self.config.write_text(
            f'site = "{SITE}"\n{archive_toml}[sync]\n'
            f'port = {self.broker.hub_port}\nkey_file = "keys/hub.key"\nscopes = ["{SITE}"]\npoll_s = 0.1\n'
            f'head_every_s = 1.0\nreconnect_longest_s = 0.5\n[devices]\n{LANE} = "keys/{LANE}.pub"\n'
        )
        self.archive = self.folder / "data" / "hub" / "archive.sqlite"
        self.journal = self.folder / "data" / LANE / "journal.sqlite"
        command = [sys.executable, "-m", "sync.hub", str(self.config)]
        workers = [[*command, "--worker", str(number)] for number in range(1, self.workers + 1)]
        self.hubs = [Process(f"hub-{n}", each, self.logs) for n, each in enumerate(workers or [command])]
        self.lane = self.a_lane(facts=0)

    def a_lane(self, **settings: Any) -> Process:
        """The lane's program with these settings (`tests.system.lane_process`)."""
        given = {
            "folder": str(self.folder), "device": LANE, "site": SITE, "port": self.broker.port, **settings
        }  # fmt: skip
        self.lane = Process(
            "lane", [sys.executable, "-m", "tests.system.lane_process", json.dumps(given)], self.logs
        )
        return self.lane

    @property
    def hub(self) -> Process:
        """The only one, or the first worker."""
        return self.hubs[0]

    def import_records(self, rows: int, place: Path | PostgresPlace | None = None) -> None:
        """As an importer beside the hub does it."""
        archive = Archive.open(place or self.archive)
        with archive.transaction():
            archive.add_scope(SITE)
            archive.apply_changes(SITE, [_enterprise(number) for number in range(1, rows + 1)], AT)
        archive.close()
        self.imported = True

    def start_hub(self) -> None:
        for hub in self.hubs:
            hub.start()
        for hub in self.hubs:
            until(
                lambda hub=hub: hub.complained().count("broker reached") >= 2 or not hub.is_up,  # type: ignore[misc]
                "the hub reaches the broker",
            )
            assert hub.is_up, hub.complained()

    def start_lane(self) -> None:
        self.lane.start()
        until(lambda: "opened" in self.lane.said() or not self.lane.is_up, "the lane opens its journal")
        assert self.lane.is_up, self.lane.complained()

    def until_drained(self, within_s: float) -> None:
        def drained() -> bool:
            # The link's notices may come behind it.
            lines = [line for line in self.lane.said().splitlines() if not line.startswith("notice ")]
            return lines[-1:] == ["drained"]

        until(drained, "everything is acknowledged", within_s)
        if self.imported:
            until(self._has_records, "the lane has records", within_s)

    def _has_records(self) -> bool:
        with contextlib.closing(sqlite3.connect(f"file:{self.journal}?mode=ro", uri=True)) as journal:
            (generation,) = journal.execute("SELECT generation FROM store").fetchone()
        found: bool = generation is not None
        return found

    def told(self) -> Told:
        """All facts the lane ever said were durable."""
        lines = []
        for start in range(1, self.lane.starts + 1):
            text = self.lane.out(start).read_text(encoding="utf-8")
            lines += [line for line in text.split("\n")[:-1] if line.startswith(("fact ", "opened "))]
        return Told.of("".join(f"{line}\n" for line in lines).encode())

    def wrong(self) -> list[str]:
        """Both ends compared, with everything stopped."""
        return unequal_at_the_end(self.folder, LANE, self.told())

    def end(self) -> None:
        for process in (self.lane, *self.hubs):
            process.kill()
        self.broker.kill()


def _enterprise(number: int) -> RecordChange:
    body = f'{{"code":"{number:010d}","name":"n","tier":"high","spot_check_per_mille":1}}'
    return RecordChange("enterprises", f"{number:010d}", body)


@contextlib.contextmanager
def crash_site(
    folder: Path, broker: Callable[[Path], Broker], *, archive_toml: str = "", workers: int = 0
) -> Iterator[CrashSite]:
    folder.mkdir()
    site = CrashSite(folder, broker(folder), archive_toml, workers)
    try:
        yield site
    finally:
        site.end()


def wait_s(seconds: float) -> None:
    time.sleep(seconds)
