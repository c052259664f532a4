"""A lane PC nobody watches: a port under another name, a clock nobody set, a page, and what it all costs."""

from __future__ import annotations

import http.client
import os
import sys
import time
from collections.abc import MutableMapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
import structlog

from edge.gate.config import read_gate_config
from edge.gate.effects import LookUp, Show
from edge.gate.events import RecordsFound
from edge.gate.publishing import Publisher
from edge.gate.rules import Evidence, LaneRules, rule
from edge.gate.screen import STANDS_STILL_S
from edge.gate.wiring import Program
from edge.linking import BUILT
from edge.runtime.channels import SerialAddress
from edge.runtime.supervisor import Device, DeviceHealth, PortBack, PortLost
from hardware_sims.cast import LANE_IN
from sync.store.journal import Journal
from sync.store.records import Records, generation_path
from sync.vocabulary.numbers import Plate
from sync.vocabulary.records import Direction
from sync.vocabulary.rulings import Reason, Verdict
from tests.machine.plays import Play
from tests.system.conftest import LaneSite, Launcher, Started, kakou, until
from tests.system.test_runtime_ports import Lines, Pty, supervised

pytestmark = [pytest.mark.system, pytest.mark.skipif(sys.platform == "win32", reason="needs ptys")]


# --- a USB adapter that comes back as another one -----------------------------------------------------------


def test_an_adapter_that_returns_under_another_name_is_found_by_the_name_that_lasts(tmp_path: Path) -> None:
    """ttyUSB0 is pulled and comes back as ttyUSB1; the link under by-id is re-pointed by the system."""
    link = tmp_path / "usb-FTDI_FT232R_A50285BI-if00-port0"
    device: Device[str, str] = Device("scale", SerialAddress(url=str(link)), Lines)
    first = Pty(link)
    with supervised(device) as (supervisor, told):
        told.wait_for(PortBack("scale"))
        first.say(b"12 kg\n")
        told.wait_for(("scale", "12 kg"))
        os.close(first.master)
        told.wait(lambda said: any(isinstance(each, PortLost) for each in said))
        # Its old name is still taken: the new one is another for certain.
        second = Pty(link)
        assert os.ttyname(second.slave) != first_name(first)
        told.wait_for(PortBack("scale"), times=2)
        second.say(b"13 kg\n")
        told.wait_for(("scale", "13 kg"))
        supervisor.order("scale", "o1", "zero")
        assert second.hear(8) == b"o1 zero\n"
        assert supervisor.health()["scale"].losses == 1
    os.close(first.slave)
    os.close(second.master)
    os.close(second.slave)


def first_name(pty: Pty) -> str:
    return str(Path(f"/proc/self/fd/{pty.slave}").readlink())


@pytest.mark.timeout(180)
def test_a_lane_goes_on_when_its_scale_comes_back_under_another_name(lane_site: LaneSite) -> None:
    lane_site.start_sims()
    port = lane_site.site.folder / "ports" / f"{LANE_IN}-weighbridge"
    lane = lane_site.start_lane()
    until(lambda: lane.logged("phase"), "the lane is free")
    before = port.readlink()
    holder = os.open(before, os.O_RDWR | os.O_NOCTTY)
    try:
        lane_site.vanish("weighbridge", gone=True)
        lane_site.fact("device_lost", device="weighbridge")
        lane_site.vanish("weighbridge", gone=False)
        until(lambda: port.is_symlink() and port.readlink() != before, "another name")
        lane_site.fact("device_back", device="weighbridge")
    finally:
        os.close(holder)
    assert lane.running


# --- a clock that was not set -------------------------------------------------------------------------------


class ClockAt:
    """Of a machine without a battery, just switched on; and of one that was set."""

    def __init__(self, utc: str) -> None:
        self._utc = utc

    def monotonic_s(self) -> float:
        return time.monotonic()

    def utc_text(self) -> str:
        return self._utc

    def boot_id(self) -> str:
        return "boot"

    def uncertainty_ms(self) -> int:
        return 5


EARLY, RIGHT = f"{int(BUILT[:4]) - 1}-12-31T23:00:00.000000Z", f"{BUILT[:10]}T00:00:01.000000Z"
"""The day before the year in which the program was made: no battery, or one that ran out last winter."""


def looked_up(site: LaneSite, utc: str) -> tuple[RecordsFound, list[MutableMapping[str, Any]]]:
    """What a lane finds whose records were proved this very second, by its clock; and what it logged."""
    if not site.journal.exists():
        site.give_records(None)
    with Records.open(generation_path(site.data, 1), writable=True) as records:
        records.note_verified(utc)
    with structlog.testing.capture_logs() as logged:
        program = Program(read_gate_config(site.config), site.config, ClockAt(utc))
        try:
            program._start()
            program._performer.perform(LookUp(1, 1, (Plate("豫A12345"),), (), ()))
            until_s = time.monotonic() + 10.0
            while time.monotonic() < until_s:
                entry = program._inbox.next(0.5)
                if entry is not None and isinstance(entry.event, RecordsFound):
                    return entry.event, list(logged)
        finally:
            program._close()
    raise AssertionError("no answer")


def test_a_clock_before_the_day_the_program_was_made_makes_every_record_too_old(lane_site: LaneSite) -> None:
    found, logged = looked_up(lane_site, EARLY)
    assert found.findings.age_s is None
    ruling = rule(LaneRules(Direction.IN), Evidence(plates=(Plate("豫A12345"),)), found.findings).ruling
    assert ruling.verdict is Verdict.HOLD
    assert ruling.reasons[0].code is Reason.RECORDS_TOO_OLD
    said = [line for line in logged if "the clock is not set" in line["event"]]
    assert [(line["log_level"], line["clock"]) for line in said] == [("error", EARLY)]


def test_once_the_clock_is_set_the_same_records_count_again(lane_site: LaneSite) -> None:
    found, logged = looked_up(lane_site, RIGHT)
    assert found.findings.age_s == 0.0
    assert [line for line in logged if "the clock is not set" in line["event"]] == []


def test_the_day_the_program_was_made_is_no_day_to_come() -> None:
    assert datetime.fromisoformat(BUILT) <= datetime.now(UTC)


def test_a_lane_started_without_a_clock_keeps_what_it_was_doing(lane_site: LaneSite) -> None:
    """How long it was down nobody can tell: a passage does not resume, and nothing is lost."""
    looked_up(lane_site, RIGHT)
    looked_up(lane_site, EARLY)
    with Journal.open(lane_site.journal, device=LANE_IN) as journal:
        assert journal.lane_state() is not None
    assert len(lane_site.facts("lane_started")) == 2


# --- the page of a real lane --------------------------------------------------------------------------------


def page_of(lane: Started) -> str:
    (shown,) = until(lambda: lane.logged("page shown"), "the page is shown")
    connection = http.client.HTTPConnection("127.0.0.1", shown["port"], timeout=10)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


@pytest.mark.timeout(180)
def test_the_page_of_a_working_lane_shows_its_devices_and_its_passages(lane_site: LaneSite) -> None:
    lane_site.give_records()
    lane_site.start_sims()
    lane = lane_site.start_lane()
    lane_site.go()
    lane_site.fact("passage_closed", outcome="crossed")
    plate = lane_site.facts("ruling_made")[0]["plate"]
    until(lambda: "已通过" in page_of(lane), "the passage on the page")
    until(lambda: "number " in page_of(lane), "the records on the page")
    said = page_of(lane)
    assert plate in said
    assert "放行" in said
    assert "地磅" in said
    assert "正常" in said

    lane.process.terminate()
    assert lane.ended() == 0
    again = lane_site.start_lane()
    assert plate in page_of(again)


@pytest.mark.timeout(120)
def test_a_lane_without_any_device_is_not_taken_for_one_that_hangs(lane_site: LaneSite) -> None:
    lane = lane_site.start_lane()
    time.sleep(STANDS_STILL_S + 3.0)
    said = page_of(lane)
    assert '<p class="gone">' in said
    assert said.count("断开") >= 5
    assert "no such port" in said


def test_a_page_that_cannot_be_made_stops_no_lane(lane_site: LaneSite) -> None:
    config = read_gate_config(lane_site.config)
    broken: list[str] = []

    def health() -> dict[str, DeviceHealth]:
        broken.append("asked")
        raise ZeroDivisionError("a fault of ours")

    with (
        Journal.open(lane_site.journal, device=LANE_IN) as journal,
        structlog.testing.capture_logs() as logged,
    ):
        publisher = Publisher(
            config,
            "x",
            ClockAt(RIGHT),
            journal=journal,
            records=lambda: None,
            health=health,
            not_before_utc=BUILT,
        )
        for _ in range(3):
            publisher.stepped(Play().lane, (Show("请等待", "wait", "red"),))
    assert broken == ["asked"] * 3
    assert [line["event"] for line in logged] == ["nothing new is shown"]
    assert publisher.latest() is None


# --- what it costs ------------------------------------------------------------------------------------------


def rss_anon_mb(process: psutil.Process) -> float:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) / 1024


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.timeout(240)
def test_a_lane_starts_soon_stays_small_and_idles_cheaply(
    tmp_path: Path, launch: Launcher, capsys: pytest.CaptureFixture[str]
) -> None:
    """At the site's own speed, every device polled as in the field. The bounds are wide, since machines of
    tests are busy; the figures in the guide were measured alone."""
    site = LaneSite.written(tmp_path / "site", launch, speed=1.0)
    site.give_records()
    site.start_sims()
    began_s = time.monotonic()
    lane = launch(kakou("gate", str(site.config)))
    until(lambda: lane.logged("lane is listening"), "the lane listens")
    started_s = time.monotonic() - began_s
    process = psutil.Process(lane.process.pid)
    until(lambda: lane.logged("phase"), "the lane is free")
    time.sleep(3.0)
    before = process.cpu_times()
    time.sleep(8.0)
    after = process.cpu_times()
    share = ((after.user - before.user) + (after.system - before.system)) / 8.0
    memory_mb = rss_anon_mb(process)
    figures = f"listening after {started_s:.2f} s, RssAnon {memory_mb:.1f} MB, idle {share:.1%} of a core"
    with capsys.disabled():
        print(f"\nlane: {figures}")
    assert started_s < 8.0
    assert memory_mb < 100.0
    assert share < 0.15
