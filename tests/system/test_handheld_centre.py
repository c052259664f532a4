"""A handheld, the hub and the broker as real programs: a device nobody has signed in to yet gets its records,
an officer signs in by the PIN the centre has set, a scan is judged and its fact is at the hub; then the
officer is revoked, and the device wiped: nothing that can be read is left."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bench.handheld_device import PIN, lay_out_empty
from bench.rows import Rows, waybill
from sync.hub.archive import Archive, RecordChange
from sync.link.keys import make_private, private_pem, public_pem
from sync.store.journal import utc_now
from sync.vocabulary.codec import to_json
from sync.vocabulary.facts import FactData, read_body
from sync.vocabulary.handheld_facts import OfficerSignedIn, OfficerSignedOut, ParcelJudged
from sync.vocabulary.numbers import UtcText
from sync.vocabulary.records import Officer, Site
from tests.system.handheld_glass import Handheld
from tests.system.test_hub_process import free_port, listening, process, until

pytestmark = pytest.mark.system

OFFICER, LEADER = "4604001", "4604009"
SCOPE, SITE = "zhengzhou", "zhengzhou"


class Centre:
    def __init__(self, folder: Path, port: int, device_key: bytes) -> None:
        self.folder = folder
        self.hub = make_private()
        (folder / "hub.key").write_bytes(private_pem(self.hub))
        (folder / "hub.key").chmod(0o600)
        (folder / "handheld-1.pub").write_bytes(device_key)
        self.config = folder / "hub.toml"
        lines = (
            f'site = "{SITE}"\n[store]\narchive = "archive.sqlite"\n[sync]\nport = {port}',
            f'key_file = "hub.key"\nscopes = ["{SCOPE}"]\npoll_s = 0.1\nhead_every_s = 1.0',
            'reconnect_longest_s = 0.5\n[devices]\nhandheld-1 = "handheld-1.pub"\n',
        )
        self.config.write_text("\n".join(lines), encoding="utf-8")
        with self.archive() as archive, archive.transaction():
            archive.add_scope(SCOPE)
            archive.enrol("handheld-1", device_key.decode())
            rows = [row for row in Rows(vehicles=1, slips=1, waybills=50).all() if row[0] != "site"]
            site = Site(site=SITE, name_zh="郑州", name_en="Zhengzhou")
            rows.append(("site", SITE, to_json(site).decode()))
            rows += [("officers", number, to_json(rostered(number)).decode()) for number in (OFFICER, LEADER)]
            archive.apply_changes(SCOPE, [RecordChange(*row) for row in rows], utc_now())

    @contextmanager
    def archive(self) -> Iterator[Archive]:
        archive = Archive.open(self.folder / "archive.sqlite")
        try:
            yield archive
        finally:
            archive.close()

    def say(self, *words: str, line: str = "", exits: int = 0) -> str:
        command = [sys.executable, "-m", "edge.cli", "centre", *words[:1], str(self.config), *words[1:]]
        named = ["--officer", LEADER, "--reason", "on duty"]
        done = subprocess.run([*command, *named], input=line, capture_output=True, text=True, check=False)
        assert done.returncode == exits, done.stderr
        return done.stdout

    def say_lanes(self) -> str:
        command = [sys.executable, "-m", "edge.cli", "centre", "lanes", str(self.config)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def revoke(self, number: str) -> None:
        with self.archive() as archive, archive.transaction():
            body = archive.record("officers", number, SCOPE)
            assert body is not None
            gone = body.replace('"state":"active"', '"state":"revoked"')
            assert gone != body
            archive.apply_changes(SCOPE, [RecordChange("officers", number, gone)], utc_now())

    def facts(self) -> list[FactData]:
        with self.archive() as archive:
            return [read_body(body).data for _, body in reversed(archive.last_facts("handheld-1", 200))]

    def told(self, kind: type[Any]) -> list[Any]:
        return [data for data in self.facts() if isinstance(data, kind)]


def rostered(number: str) -> Officer:
    return Officer(
        officer_no=number,
        authorisations=("inspect",),
        public_key="",
        valid_until=UtcText("2099-01-01T00:00:00Z"),
    )


def test_from_enrolment_to_wipe(tmp_path: Path) -> None:
    port = free_port()
    device = make_private()
    centre = Centre(tmp_path, port, public_pem(device.public_key()))
    laid = lay_out_empty(tmp_path / "device", device=device, hub=centre.hub, port=port)
    centre.say("officer-pin", OFFICER, "--device", "handheld-1", line=f"{PIN}\n")
    broker = [sys.executable, "-m", "sync.link.broker", "--port", str(port)]
    hub = [sys.executable, "-m", "sync.hub", str(centre.config)]
    with process(*broker, log=tmp_path / "broker.log"):
        until(lambda: listening(port), "the broker listens")
        with process(*hub, log=tmp_path / "hub.log"):
            handheld = Handheld(laid.config_path)
            handheld.start()
            signed_in(handheld)
            code = waybill(7).waybill_no
            handheld.wait_for(handheld.say(**{"is": "Scanned", "text": code, "source": "serial"}))
            until(lambda: centre.told(ParcelJudged), "the verdict is at the hub")
            (judged,) = centre.told(ParcelJudged)
            assert (judged.waybill_no, judged.officer, judged.verdict) == (code, OFFICER, "release")
            assert [each.offline for each in centre.told(OfficerSignedIn)] == [False]
            until(lambda: "in hand" in centre.say_lanes(), "the centre sees who has it in hand")
            centre.revoke(OFFICER)
            until(lambda: centre.told(OfficerSignedOut), "the officer is out at the next contact")
            assert [each.why for each in centre.told(OfficerSignedOut)] == ["revoked"]
            assert "done" in centre.say("wipe", "handheld-1", "--force")
            handheld.ended()
    left = sorted(path.name for path in laid.store.rglob("*") if path.is_file())
    assert [name for name in left if not name.endswith(".lock")] == []
    assert not (laid.folder / "device.key").exists()


def signed_in(handheld: Handheld) -> None:
    """Tries again until the records have come: before that nobody is known here."""
    until_s = time.monotonic() + 40.0
    while time.monotonic() < until_s:
        handheld.sign_in(OFFICER, PIN)
        if handheld.views and handheld.views[0]["page"] == "scan":
            return
        time.sleep(0.3)
    raise AssertionError(f"nobody could sign in: {handheld.views}")
