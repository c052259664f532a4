"""The X-ray line's drivers against its simulator: two readings of the same pages, and what is true.

Virtual time in steps of 10 ms.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from edge.devices.catalogue import make_driver
from edge.devices.driver import Driver, Output
from edge.devices.readings import (
    BeltSeen,
    CodeSeen,
    EnergiseOutput,
    EyeEdge,
    Order,
    OrderDone,
    Reading,
    XrayPictureFailed,
    XrayPictureSeen,
    XrayStateSeen,
)
from hardware_sims.xray_belt import BeltParcel, BeltSettings, Label, Trouble, TroubleKind
from hardware_sims.xray_line import MACHINE_COUNTS_FROM, XrayLine
from hardware_sims.xray_machine import Rendered
from hardware_sims.xray_physics import DetectorSettings

SHORT = BeltSettings(xray_eye_mm=1_200.0, xray_mm=1_200.0, diverter_mm=2_200.0)
SMALL = DetectorSettings(pixels=32, pixel_mm=8.0, line_mm=3.0)
GLASS = Rendered(np.full((400, 32), 0.5, np.float32), np.full((400, 32), 0.6, np.float32))
STEP_S = 0.01


def parcel(number: int, *troubles: Trouble, gap_mm: float = 260.0) -> BeltParcel:
    label = Label(text=f"XR{number:04d}", behind_mm=150.0)
    return BeltParcel(id=f"p{number}", length_mm=310.0, gap_mm=gap_mm, labels=(label,), troubles=troubles)


class Wired:
    """The line with a driver at each of its devices."""

    def __init__(self, parcels: Sequence[BeltParcel]) -> None:
        self.log: list[dict[str, Any]] = []
        self.line = XrayLine(
            "x", parcels, lambda name: GLASS, belt=SHORT, detector=SMALL, sink=self.log.append
        )
        self.drivers: dict[str, Driver] = {
            "io": make_driver("xray.belt_io", {}),
            "scanner": make_driver("scanner.line", {}),
            "xray": make_driver("xray.line_stream", {"gain_lines": 32}),
        }
        self.told: dict[str, list[Reading]] = {name: [] for name in self.drivers}
        self._wake: dict[str, float | None] = dict.fromkeys(self.drivers)
        self.now_s = 0.0
        self._permit_s = 0.0
        for name, driver in self.drivers.items():
            self.line.connect(0.0, name)
            self._take(name, driver.opened(0.0))

    def run(self, until_s: float) -> None:
        while self.now_s < until_s and not (self.line.belt.is_over and self.now_s > 5.0):
            self.now_s = round(self.now_s + STEP_S, 6)
            for sent in self.line.advance(self.now_s):
                self._take(sent.device, self.drivers[sent.device].received(self.now_s, sent.data))
            for name, wake_s in self._wake.items():
                if wake_s is not None and wake_s <= self.now_s:
                    self._take(name, self.drivers[name].due(self.now_s))
            if self.now_s >= self._permit_s:
                self._permit_s = self.now_s + 0.4
                self.order(EnergiseOutput("feed_permit", 1.0))

    def order(self, order: Order) -> None:
        self._take("io", self.drivers["io"].order(self.now_s, f"o{self.now_s}", order))

    def _take(self, name: str, output: Output) -> None:
        self.told[name] += output.readings
        self._wake[name] = output.wake_at_s
        if output.send:
            for sent in self.line.receive(self.now_s, name, output.send):
                self._take(sent.device, self.drivers[sent.device].received(self.now_s, sent.data))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [line for line in self.log if line["kind"] == kind]

    def heard(self, name: str, kind: type[Any]) -> list[Any]:
        return [each for each in self.told[name] if isinstance(each, kind)]


@pytest.fixture(scope="module")
def day() -> Wired:
    wired = Wired([parcel(1), parcel(2), parcel(3, Trouble(kind=TroubleKind.SPLIT, mm=150.0))])
    wired.run(40.0)
    return wired


def test_edges_come_where_the_parcels_were(day: Wired) -> None:
    edges = [each for each in day.heard("io", EyeEdge) if each.eye == "portal"]
    truth = day.of("portal")
    assert (
        [each.blocked for each in edges] == [line["edge"] == "leading" for line in truth] == [True, False] * 3
    )
    zero = {round(edge.belt_mm - line["belt_mm"]) for edge, line in zip(edges, truth, strict=True)}
    assert max(zero) - min(zero) <= 12
    assert all(edge.within_mm < 15.0 for edge in edges)
    ends = [each for each in day.heard("io", EyeEdge) if each.eye == "recheck_chute" and each.blocked]
    assert len(ends) == 3


def test_states_and_speed_are_the_belts(day: Wired) -> None:
    seen = day.heard("io", BeltSeen)[-1]
    assert (seen.running, seen.forward, seen.emergency_stop, seen.feed_running) == (True, True, False, True)
    fast = max(each.speed_mm_s for each in day.heard("io", BeltSeen))
    assert fast == pytest.approx(300.0, rel=0.15)


def test_codes_are_read_once_each(day: Wired) -> None:
    assert [each.text for each in day.heard("scanner", CodeSeen)] == ["XR0001", "XR0002", "XR0003"]


def test_every_picture_arrives_whole_corrected_and_where_the_machine_took_it(day: Wired) -> None:
    pictures = day.heard("xray", XrayPictureSeen)
    truth = day.of("picture")
    assert [each.status for each in pictures] == [line["status"] for line in truth]
    assert [line["status"] for line in truth] == ["SUCCESSFUL", "SUCCESSFUL", "CUT", "SUCCESSFUL"]
    for picture, line in zip(pictures, truth, strict=True):
        first_mm = (int(picture.counts[0]) - MACHINE_COUNTS_FROM) * picture.mm_per_count
        assert first_mm == pytest.approx(line["first_mm"], abs=0.2)
        assert (picture.calibration, picture.lost_frames) == ("good", 0)
        assert (picture.mm_per_pixel, picture.mm_per_column) == (8.0, 3.0)
    whole = pictures[0]
    dark = (whole.high < 0.8 * whole.air_high).all(axis=0)
    assert dark.sum() * 3.0 == pytest.approx(310.0, abs=6.0)
    assert whole.high[:, dark].mean() == pytest.approx(0.6 * whole.air_high, rel=0.02)
    assert whole.low[:, dark].mean() == pytest.approx(0.5 * whole.air_low, rel=0.02)
    assert day.heard("xray", XrayPictureFailed) == []
    assert day.heard("xray", XrayStateSeen)[-1].source_on


def test_a_pass_pulse_at_the_diverters_eye_leads_that_parcel_and_no_other() -> None:
    wired = Wired([parcel(1), parcel(2), parcel(3)])
    ordered = 0
    while len(wired.line.belt.gone) < 3:
        wired.run(wired.now_s + STEP_S)
        assert wired.now_s < 60.0
        edges = [each for each in wired.heard("io", EyeEdge) if each.eye == "diverter" and each.blocked]
        if len(edges) > ordered:
            ordered = len(edges)
            if ordered == 2:
                wired.order(EnergiseOutput("pass", 1.0, wired.now_s + 0.5))
            elif ordered == 3:
                wired.order(EnergiseOutput("flag", 1.0, wired.now_s + 0.5))
    assert wired.line.belt.gone == {"p1": "recheck", "p2": "pass", "p3": "flag"}
    assert len(wired.heard("io", OrderDone)) >= 2


def test_a_picture_the_belt_ran_back_in_is_told_as_reversed() -> None:
    wired = Wired([parcel(1, Trouble(kind=TroubleKind.REVERSAL, at_mm=1_350.0, mm=120.0)), parcel(2)])
    wired.run(60.0)
    assert wired.of("picture")[0]["status"] == "INCOMPLETE"
    told = [each for each in wired.told["xray"] if isinstance(each, XrayPictureSeen | XrayPictureFailed)]
    assert not (isinstance(told[0], XrayPictureSeen) and told[0].status == "SUCCESSFUL")
    assert isinstance(told[-1], XrayPictureSeen)
