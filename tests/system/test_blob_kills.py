"""Evidence through a real broker, with `kill -9` of either end or the broker in the middle of a transfer.

Every picture whose fact was committed ends whole at the hub, its row stored, owed by nobody.
`KAKOU_BLOB_KILL_POINTS` says how many kills; a handful by default.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sync.hub.blob_files import BlobFiles
from sync.link.client import LinkClient, LinkConfig
from sync.link.keys import KeySigner, load_private, load_public, make_private, private_pem, public_pem
from sync.store.evidence_files import EvidenceFiles
from sync.store.journal import BlobOwed, Journal
from sync.vocabulary.blobs import BlobClass
from sync.vocabulary.facts import FactDraft, PictureTaken, Stream

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

KILLS = int(os.environ.get("KAKOU_BLOB_KILL_POINTS", "4"))
DEVICE, SITE = "lane-1", "site-a"
UTC = "2026-03-02T01:00:00.000000Z"
BYTES_PER_S = 400_000
MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")


# --- the lane, as a process of its own --------------------------------------------------------------------


def lane(folder: Path, port: int, pictures: int) -> None:
    """Takes pictures one after the other, names each on stdout once its fact is durable, sends them up."""
    files = EvidenceFiles(
        folder / "pictures", most_bytes=10**9, keep_days=90, keep_free_bytes=0, may_shed=lambda sha256: False
    )
    files.open()
    private = load_private(folder / "lane.key")
    with Journal.open(folder / "journal.sqlite", device=DEVICE, reserve_bytes=0) as journal:
        client = LinkClient(
            LinkConfig(
                device=DEVICE, site=SITE, scopes=(SITE,), host="127.0.0.1", port=port,
                reconnect_first_s=0.1, reconnect_longest_s=0.5, resend_first_s=1.0, keepalive_s=2,
                status_every_s=1.0, blob_bytes_per_s=BYTES_PER_S,
            ),
            journal=journal,
            records_folder=folder,
            signer=KeySigner(private, DEVICE),
            hub_key=load_public(folder / "hub.pub"),
            notices=lambda notice: None,
            blobs=files,
        )  # fmt: skip
        client.start()
        for number in range(pictures):
            data = random.Random(f"{os.getpid()}/{number}").randbytes(
                random.Random(number).randint(1, 400_000)
            )
            kept = files.keep(data, UTC)
            blob_class = BlobClass.HELD if number % 4 == 0 else BlobClass.ROUTINE
            taken = PictureTaken(
                passage=number + 1, moment="arrival", camera="front", sha256=kept.sha256, size_bytes=len(data)
            )
            draft = FactDraft(os.urandom(16).hex(), Stream.ROUTINE, UTC, "boot", 1, taken)
            journal.commit([draft], blobs=[BlobOwed(kept.sha256, len(data), blob_class, number + 1)])
            client.facts_waiting()
            print(kept.sha256, flush=True)
            time.sleep(0.2)
        while True:
            backlog = journal.blobs_backlog()[0] + sum(journal.backlog().values())
            print("owed", backlog, flush=True)
            time.sleep(0.2)


# --- the site ---------------------------------------------------------------------------------------------


def until(true: Callable[[], bool], what: str, *, within_s: float = 90.0) -> None:
    deadline_s = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline_s, f"did not happen in time: {what}"
        time.sleep(0.05)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class Lane:
    """One life of the lane's process, and what it has said."""

    def __init__(self, folder: Path, port: int, pictures: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.system.test_blob_kills", str(folder), str(port), str(pictures)],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.named: list[str] = []
        self.owed: int | None = None
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            match line.split():
                case ["owed", count]:
                    self.owed = int(count)
                case [sha256]:
                    self.named.append(sha256)
                case _:
                    pass

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)
        self._reader.join(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


class Site:
    """Broker, hub and lane, each a process that can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        hub, device = make_private(), make_private()
        for name, pem in (("hub.key", private_pem(hub)), ("lane.key", private_pem(device))):
            (folder / name).touch(mode=0o600)
            (folder / name).write_bytes(pem)
        (folder / "hub.pub").write_bytes(public_pem(hub.public_key()))
        (folder / "lane.pub").write_bytes(public_pem(device.public_key()))
        (folder / "hub.toml").write_text(
            f'site = "{SITE}"\n[store]\narchive = "archive.sqlite"\n[blobs]\nkeep_free_mb = 0\n[sync]\n'
            f'port = {self.port}\nkey_file = "hub.key"\nscopes = ["{SITE}"]\nreconnect_longest_s = 0.5\n'
            f'[devices]\n{DEVICE} = "lane.pub"\n'
        )
        self.hub: subprocess.Popen[bytes] | None = None
        self.broker: subprocess.Popen[bytes] | None = None
        self.lane: Lane | None = None
        self.named: list[str] = []

    def start_broker(self) -> None:
        if MOSQUITTO is not None:
            config = self.folder / "mosquitto.conf"
            user = "user root\n" if os.getuid() == 0 else ""
            config.write_text(
                f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\n{user}"
            )
            command = [MOSQUITTO, "-c", str(config)]
        else:
            command = [sys.executable, "-m", "sync.link.broker", "--port", str(self.port)]
        self.broker = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def listens() -> bool:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 0.5).close()
                return True
            return False

        until(listens, "the broker listens")

    def start_hub(self) -> None:
        with (self.folder / "hub.log").open("ab") as log:
            self.hub = subprocess.Popen(
                [sys.executable, "-m", "sync.hub", str(self.folder / "hub.toml")], stdout=log, stderr=log
            )

    def start_lane(self, pictures: int) -> None:
        self.lane = Lane(self.folder, self.port, pictures)

    def kill(self, who: str, pictures: int) -> None:
        match who:
            case "lane":
                self.end_lane()
                self.start_lane(pictures)
            case "hub":
                assert self.hub is not None
                self.hub.kill()
                self.hub.wait(10)
                self.start_hub()
            case _:
                assert self.broker is not None
                self.broker.send_signal(signal.SIGKILL)
                self.broker.wait(10)
                self.start_broker()

    def end_lane(self) -> None:
        if self.lane is not None:
            self.lane.kill()
            self.named += self.lane.named
            self.lane = None

    def close(self) -> None:
        self.end_lane()
        for process in (self.hub, self.broker):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait(10)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    try:
        yield made
    finally:
        made.close()


def test_every_picture_that_a_fact_names_arrives_whole_whoever_is_killed(site: Site) -> None:
    dice = random.Random(KILLS)
    pictures = 3
    site.start_broker()
    site.start_hub()
    site.start_lane(pictures)
    for kill in range(KILLS):
        time.sleep(dice.uniform(0.3, 2.0))
        site.kill(("lane", "hub", "broker")[(kill + dice.randrange(2)) % 3], pictures)
    lane_now = site.lane
    assert lane_now is not None
    until(
        lambda: len(lane_now.named) == pictures and lane_now.owed == 0,
        f"the lane owes nothing; the hub says: {(site.folder / 'hub.log').read_text()[-2000:]}",
        within_s=60.0 + 3.0 * KILLS,
    )
    site.end_lane()
    site.close()
    files = BlobFiles(site.folder / "blobs")
    lane_files = {path.stem: path for path in (site.folder / "pictures").glob("*/*.jpg")}
    assert site.named
    for sha256 in site.named:
        data = files.read(sha256)
        assert data is not None, f"{sha256} never came"
        assert data == lane_files[sha256].read_bytes()
        assert hashlib.sha256(data).hexdigest() == sha256
    with contextlib.closing(sqlite3.connect(site.folder / "archive.sqlite")) as archive:
        states = dict(archive.execute("SELECT sha256, state FROM blobs").fetchall())
        assert {states[sha256] for sha256 in site.named} == {"stored"}
        assert archive.execute("SELECT code, detail FROM hub_alarms").fetchall() == []
    assert files.opened() == []


if __name__ == "__main__":
    lane(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
