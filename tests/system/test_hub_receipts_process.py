"""The hub as a program gives out passage receipts: each once, though it is killed again and again."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge.cli import app
from sync.hub.archive import Archive, RecordChange
from sync.vocabulary.codec import to_json
from sync.vocabulary.sas import read_receipt
from tests.system.test_hub_process import Site, port, until  # noqa: F401  `port` is a fixture
from tests.unit.test_hub_claims import slip
from tests.unit.test_hub_device import AT, SLIP

pytestmark = pytest.mark.system

CROSSINGS = 60
KILLS = 5


class Bridge:
    """What collects receipts for customs: takes every file away as soon as it stands in the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.taken: list[tuple[str, str]] = []

    def collect(self) -> int:
        before = len(self.taken)
        for path in sorted(self._folder.glob("*.SAS")):
            with contextlib.suppress(FileNotFoundError):
                self.taken.append((path.name, path.read_text(encoding="utf-8")))
                path.unlink()
        return len(self.taken) - before


@pytest.fixture
def site(tmp_path: Path, port: int) -> Iterator[Site]:  # noqa: F811
    site = Site(tmp_path, port)
    (tmp_path / "out").mkdir()
    part = '[receipts]\nfolder = "out"\nsender_id = "CUS0000"\nreceiver_id = "E010000"\nevery_s = 0.1\n'
    site.config.write_text(site.config.read_text() + part)
    site.connect()
    yield site
    site.disconnect()


def know_the_slip(site: Site) -> None:
    archive = Archive.open(site.archive_path)
    with archive.transaction():
        archive.add_scope("site")
        body = to_json(slip(uses=CROSSINGS)).decode()
        archive.apply_changes("site", [RecordChange("release_slips", SLIP, body)], AT)
    archive.close()


def test_killed_while_it_gives_out_every_receipt_is_given_out_once(site: Site, tmp_path: Path) -> None:
    know_the_slip(site)
    for passage in range(1, CROSSINGS + 1):
        site.device.ruling(passage, [SLIP], [f"u{passage}"])
        site.device.crossing(passage, [f"u{passage}"])
    bridge = Bridge(tmp_path / "out")
    draw = random.Random(7)
    for turn in range(KILLS + 1):
        with site.hub() as hub:
            for payload in site.device.batches():
                site.send(payload)
            if turn == 0:
                until(bridge.collect, "a receipt is given out")
            if turn < KILLS:
                time.sleep(draw.uniform(0.0, 0.15))
                hub.kill()
                hub.wait(10)
            else:
                until(lambda: bridge.collect() < 0 or len(bridge.taken) >= CROSSINGS, "all receipts are out")
                time.sleep(0.5)
        bridge.collect()
    assert len({name for name, _ in bridge.taken}) == len(bridge.taken) == CROSSINGS
    assert {read_receipt(text.encode()).slip_no for _, text in bridge.taken} == {SLIP}


def test_the_command_gives_out_what_is_due_and_says_what_is_missing(site: Site, tmp_path: Path) -> None:
    runner = CliRunner()
    bare = tmp_path / "bare.toml"
    bare.write_text(site.config.read_text().split("[receipts]")[0])
    for config, code, words in ((bare, 2, "expected a table [receipts]"), (site.config, 1, "no such file")):
        refused = runner.invoke(app, ["records", "receipts", str(config)])
        assert (refused.exit_code, words in refused.output) == (code, True)
    know_the_slip(site)
    assert runner.invoke(app, ["records", "receipts", str(site.config)]).output == ""
    with site.hub():
        site.device.ruling(1, [SLIP], ["u1"])
        site.device.crossing(1, ["u1"])
        site.send(site.device.batches()[0])
        until(lambda: list((tmp_path / "out").glob("*.SAS")), "the hub gives it out")
    again = runner.invoke(app, ["records", "receipts", str(site.config)])
    assert (again.exit_code, again.output) == (0, "")
