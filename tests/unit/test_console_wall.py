"""The wall's figures against the archive, and who takes and ends an alarm."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sync.vocabulary.facts import DeviceBack, DeviceLost, LaneClosed, LaneReset, LaneStarted, Stream
from sync.vocabulary.handheld_facts import OfficerSignedIn
from sync.vocabulary.xray_facts import ParcelSeen, ParcelSorted
from tests.console_rig import ConsoleRig, console_rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[ConsoleRig]:
    with console_rig(tmp_path) as made:
        yield made


def _states(rig: ConsoleRig) -> set[tuple[str, str, str, str]]:
    rig.caught_up()
    with rig.console.shown() as shown:
        return {(row.device, row.what, row.name, row.word) for row in shown.states() if row.what != "started"}


def test_what_stands_at_a_device_is_its_last_word_whichever_stream_brought_it(rig: ConsoleRig) -> None:
    # By the device's own count: lost, back, lost again; the alarm stream is read before the routine one.
    rig.say("lane-in", DeviceBack("io", "required"))
    rig.say("lane-in", DeviceLost("io", "required", "cable"), stream=Stream.ALARM)
    rig.say("lane-in", DeviceBack("weighbridge", "required"))
    rig.say("lane-in", LaneClosed("arm moved"), stream=Stream.ALARM)
    rig.say("hh-1", OfficerSignedIn(officer="4604001"))
    rig.say("xray-1", ParcelSeen(parcel=1, leading_mm=0.0), ParcelSeen(parcel=2, leading_mm=9.0))
    rig.say("xray-1", ParcelSorted(parcel=1, verdict="passed", ordered="pass", confirmed=True))
    assert _states(rig) == {
        ("lane-in", "part", "io", "cable"),
        ("lane-in", "lane", "", "arm moved"),
        ("hh-1", "officer", "", "4604001"),
        ("xray-1", "parcel", "2", "seen"),
    }


def test_a_program_that_starts_again_forgets_what_stood_but_no_closing(rig: ConsoleRig) -> None:
    rig.say("lane-in", DeviceLost("io", "required", "cable"), LaneClosed("arm moved"), stream=Stream.ALARM)
    rig.say("lane-in", LaneStarted("1", "", ""))
    assert _states(rig) == {("lane-in", "lane", "", "arm moved")}
    rig.say("lane-in", LaneReset("4604001"))
    assert _states(rig) == set()


def test_the_wall_answers(rig: ConsoleRig) -> None:
    answer = rig.client().get("/")
    assert answer.status_code == 200
