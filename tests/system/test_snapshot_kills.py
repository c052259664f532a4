"""A snapshot on its way through a real broker, with either end killed: it goes on where it was (G1, G5)."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sync.hub.archive import Archive, RecordChange
from sync.hub.aside import AsideProcess, Done, Job, MakeSnapshot, ReadBuckets
from sync.link.keys import make_private, private_pem, public_pem
from sync.policy.digests import bucket_of
from sync.store.journal import Journal
from sync.store.records import Records, generation_path
from tests.system.test_hub_process import MOSQUITTO, free_port, listening, process, until
from tests.unit.test_hub_feed import body, key

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

AT = "2026-01-31T08:00:00.000000Z"
ROWS = 6_000

EDGE = """
import json, sys, time
from pathlib import Path
from sync.link.client import LinkClient, LinkConfig
from sync.link.keys import KeySigner, load_private, load_public
from sync.policy.digests import bucket_of
from sync.store.journal import Journal

folder, port = Path(sys.argv[1]), int(sys.argv[2])

def tell(notice):
    print(json.dumps([type(notice).__name__, getattr(notice, "why", "")]), flush=True)

with Journal.open(folder / "journal.sqlite", device="lane-in", reserve_bytes=0) as journal:
    link = LinkClient(
        LinkConfig(
            device="lane-in", site="s1", scopes=("site",), host="127.0.0.1", port=port, allow_plaintext=True,
            pull_first_s=0.5, reconnect_first_s=0.1, reconnect_longest_s=0.3,
        ),
        journal=journal,
        records_folder=folder,
        signer=KeySigner(load_private(folder / "lane-in.key"), "lane-in"),
        hub_key=load_public(folder / "hub.pub"),
        notices=tell,
    )
    link.start()
    for _ in range(600):
        time.sleep(0.1)
"""


class Site:
    """Keys, config and archive; hub and edge are processes."""

    def __init__(self, folder: Path, port: int, *, bytes_per_s: int) -> None:
        self.folder, self.port = folder, port
        hub, lane = make_private(), make_private()
        self.edge_folder = folder / "edge"
        self.edge_folder.mkdir()
        for path, pem in (
            (folder / "hub.key", private_pem(hub)),
            (folder / "lane-in.pub", public_pem(lane.public_key())),
            (self.edge_folder / "hub.pub", public_pem(hub.public_key())),
            (self.edge_folder / "lane-in.key", private_pem(lane)),
        ):
            path.write_bytes(pem)
            path.chmod(0o600)
        (folder / "edge.py").write_text(EDGE)
        self.config = folder / "hub.toml"
        self.config.write_text(
            f'site = "s1"\n[store]\narchive = "archive.sqlite"\n[sync]\nport = {port}\nkey_file = "hub.key"\n'
            'scopes = ["site"]\npoll_s = 0.05\nhead_every_s = 1.0\nreconnect_longest_s = 0.3\n'
            f"[records]\nsnapshot_from = 1000\nsnapshot_bytes_per_s = {bytes_per_s}\n"
            '[devices]\nlane-in = "lane-in.pub"\n'
        )
        self.archive = folder / "archive.sqlite"
        self.shelf = folder / "archive.sqlite.snapshots"
        self.put(range(ROWS))
        self.make_snapshot()

    def make_snapshot(self) -> None:
        """As the hub has it made: by a process of its own."""
        aside = AsideProcess(self.archive, self.shelf)
        assert aside.begin(MakeSnapshot("site"))
        (done,) = until(aside.done, "the snapshot is made")
        assert done == Done(MakeSnapshot("site"))
        aside.close()

    def put(self, numbers: range) -> None:
        """Rows that do not compress to nothing."""
        changes = []
        for number in numbers:
            name = f'"name":"{hashlib.sha512(b"%d" % number).hexdigest()}'
            changes.append(RecordChange("enterprises", key(number), body(number).replace('"name":"', name)))
        archive = Archive.open(self.archive)
        with archive.transaction():
            archive.add_scope("site")
            archive.apply_changes("site", changes, AT)
        archive.close()

    def hub(self) -> subprocess.Popen[bytes]:
        return self._start("hub.log", "-m", "sync.hub", str(self.config))

    def edge(self) -> subprocess.Popen[bytes]:
        return self._start("edge.log", str(self.folder / "edge.py"), str(self.edge_folder), str(self.port))

    def _start(self, log: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.folder / log).open("ab") as out:
            return subprocess.Popen([sys.executable, *arguments], stdout=out, stderr=subprocess.STDOUT)

    def told(self) -> list[tuple[str, str]]:
        lines = (self.folder / "edge.log").read_text().splitlines()
        return [tuple(json.loads(line)) for line in lines if line.startswith("[")]

    def fetched(self) -> int:
        """Bytes of the snapshot that are on the device's disk."""
        path = self.edge_folder / "snapshot.packed"
        return path.stat().st_size if path.exists() else 0

    def equal(self) -> bool:
        archive = Archive.open(self.archive)
        scope = archive.scope("site")
        archive.close()
        with Journal.open(self.edge_folder / "journal.sqlite", device="lane-in", reserve_bytes=0) as journal:
            number = journal.generation()
        if number is None or scope is None:
            return False
        with Records.open(generation_path(self.edge_folder, number)) as records:
            state = records.feed_state()
            return (state.epoch, state.number, state.digest) == (scope.epoch, scope.number, scope.digest)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    if not Path(MOSQUITTO).exists():
        pytest.skip("mosquitto is not installed")
    port = free_port()
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
    with process(MOSQUITTO, "-c", str(config), log=tmp_path / "broker.log"):
        until(lambda: listening(port), "the broker listens")
        yield Site(tmp_path, port, bytes_per_s=150_000)


def stop(*processes: subprocess.Popen[bytes]) -> None:
    for one in processes:
        one.kill()
        one.wait(10)


def test_a_snapshot_survives_kill_9_of_the_device_and_of_the_hub(site: Site) -> None:
    hub, edge = site.hub(), site.edge()
    try:
        until(lambda: site.fetched() > 0, "the first piece is here")
        edge.send_signal(signal.SIGKILL)
        edge.wait(10)
        before = site.fetched()
        (manifest,) = site.shelf.glob("*.json")
        edge = site.edge()
        until(lambda: site.fetched() > before, "it goes on")
        hub.send_signal(signal.SIGKILL)
        hub.wait(10)
        hub = site.hub()
        until(lambda: ("RecordsMoved", "snapshot") in site.told(), "the snapshot is taken")
        assert manifest.exists()
        site.put(range(ROWS, ROWS + 3))
        until(lambda: edge.poll() is None and len(site.told()) > 0, "the device lives")
        until(lambda: _number(site) == ROWS + 3, "the log goes on from the snapshot's number")
    finally:
        stop(hub, edge)
    assert site.equal()
    assert [name for name, _why in site.told() if name in ("RecordsDiffer", "Refused", "StoreTrouble")] == []


def test_what_is_done_beside_the_hub_says_what_went_wrong(tmp_path: Path) -> None:
    aside = AsideProcess(tmp_path / "archive.sqlite", tmp_path / "shelf")
    archive = Archive.open(tmp_path / "archive.sqlite")
    with archive.transaction():
        archive.add_scope("site")
        archive.apply_changes("site", [RecordChange("enterprises", key(1), body(1))], AT)
    scope = archive.scope("site")
    archive.close()
    assert scope is not None
    jobs: list[Job] = [
        ReadBuckets("site", scope.epoch, 1, (bucket_of("enterprises", key(1)),)),
        MakeSnapshot("nowhere"),
    ]
    assert [aside.begin(job) for job in jobs] == [True, True]
    found, failed = (until(aside.done, "a job is done")[0] for _job in jobs)
    assert found.buckets == {bucket_of("enterprises", key(1)): (("enterprises", key(1), body(1)),)}
    assert "'nowhere' is not in" in failed.fault
    aside.close()


def _number(site: Site) -> int:
    paths = sorted(site.edge_folder.glob("records-*.sqlite"), key=lambda path: path.stat().st_mtime)
    with Records.open(paths[-1]) as records:
        return records.feed_state().number
