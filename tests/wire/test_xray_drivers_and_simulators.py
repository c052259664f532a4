"""The X-ray line's drivers against its simulator, which shares no line with them: the belt's truth decides.

Virtual time. Under every fault of a line a driver may tell less, or that it does not know; never something
else.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.devices.catalogue import make_driver
from edge.devices.driver import Driver, Output
from edge.devices.readings import (
    BeltSeen,
    BeltUnknown,
    CodeSeen,
    DeviceFault,
    EnergiseOutput,
    EyeEdge,
    Reading,
    XrayPictureFailed,
    XrayPictureSeen,
    XrayStateSeen,
)
from edge.devices.xray_folder.watching import HotFolder, folder_settings
from hardware_sims.devices.xray_folder import XrayFolder
from hardware_sims.faults import Fault, FaultKind
from hardware_sims.xray_belt import BeltParcel, BeltSettings, Label, Trouble, TroubleKind
from hardware_sims.xray_line import XrayLine
from hardware_sims.xray_machine import Rendered
from hardware_sims.xray_physics import DetectorSettings

SMALL = DetectorSettings(pixels=24, pixel_mm=8.0, line_mm=3.0)
SHORT = BeltSettings(xray_eye_mm=900.0, xray_mm=1_200.0, diverter_mm=2_500.0)
GLASS = Rendered(np.full((400, 24), 0.5, np.float32), np.full((400, 24), 0.6, np.float32))
DRIVERS: dict[str, tuple[str, dict[str, object]]] = {
    "io": ("xray.belt_io", {"poll_s": 0.01, "stale_s": 0.3}),
    "scanner": ("scanner.line", {}),
    "xray": ("xray.line_stream", {"air_value": 60000}),
}


def parcel(number: int, *troubles: Trouble, length_mm: float = 300.0, gap_mm: float = 300.0) -> BeltParcel:
    return BeltParcel(
        id=f"p{number}",
        length_mm=length_mm,
        gap_mm=gap_mm,
        labels=(Label(text=f"W{number}", behind_mm=length_mm / 2),),
        troubles=troubles,
    )


class Station:
    """The simulated line and a driver for each of its devices, on one virtual clock."""

    def __init__(self, *parcels: BeltParcel, pictures: str = "stream", counts_from: int = 0) -> None:
        self.truth: list[dict[str, Any]] = []
        settings = BeltSettings(
            xray_eye_mm=900.0, xray_mm=1_200.0, diverter_mm=2_500.0, first_count=counts_from
        )
        self.line = XrayLine(
            "x1",
            parcels,
            lambda name: GLASS,
            belt=settings,
            detector=SMALL,
            pictures="stream" if pictures == "stream" else "folder",
            sink=self.truth.append,
        )
        self.told: list[tuple[float, str, Reading]] = []
        self.drivers: dict[str, Driver] = {}
        self.wakes: dict[str, float] = {}
        self.permit_s = 0.0
        for name in self.line.devices:
            protocol, given = DRIVERS[name]
            self.drivers[name] = make_driver(protocol, given)
            self.line.connect(0.0, name)
            self._take(name, self.drivers[name].opened(0.0))

    @property
    def now_s(self) -> float:
        return self.line.now_s

    def run(self, until_s: float) -> Station:
        while self.now_s < until_s:
            due_s = min([*self.wakes.values(), self.now_s + 0.01, until_s])
            for sent in self.line.advance(max(due_s, self.now_s + 0.0005)):
                self._take(sent.device, self.drivers[sent.device].received(self.now_s, sent.data))
            for name, due_s in list(self.wakes.items()):
                if due_s <= self.now_s:
                    self._take(name, self.drivers[name].due(self.now_s))
            if self.now_s >= self.permit_s:
                self.permit_s = self.now_s + 0.4
                self.order(EnergiseOutput("feed_permit", 1.0))
        return self

    def order(self, order: EnergiseOutput) -> None:
        self._take("io", self.drivers["io"].order(self.now_s, "o", order))

    def of(self, kind: type[Any]) -> list[Any]:
        return [reading for _, _, reading in self.told if isinstance(reading, kind)]

    def logged(self, kind: str) -> list[dict[str, Any]]:
        return [line for line in self.truth if line["kind"] == kind]

    def _take(self, name: str, output: Output) -> None:
        self.told += [(self.now_s, name, reading) for reading in output.readings]
        self.wakes.pop(name, None)
        if output.wake_at_s is not None:
            self.wakes[name] = output.wake_at_s
        if output.send:
            for sent in self.line.receive(self.now_s, name, output.send):
                self._take(sent.device, self.drivers[sent.device].received(self.now_s, sent.data))


def edges_of(station: Station, eye: str) -> list[EyeEdge]:
    return [edge for edge in station.of(EyeEdge) if edge.eye == eye]


def test_what_the_drivers_tell_of_three_parcels_is_what_the_belt_knows() -> None:
    parcels = [parcel(n, length_mm=length_mm) for n, length_mm in enumerate((330.0, 210.0, 480.0))]
    station = Station(*parcels, counts_from=2**32 - 9000).run(24.0)
    portal = edges_of(station, "portal")
    true_mm = [line["belt_mm"] for line in station.logged("portal") if line["edge"] == "leading"]
    leading = [edge.belt_mm - edge.within_mm / 2 for edge in portal if edge.blocked]
    trailing = [edge.belt_mm - edge.within_mm / 2 for edge in portal if not edge.blocked]
    assert leading == pytest.approx(true_mm, abs=6)
    lengths = [b - a for a, b in zip(leading, trailing, strict=True)]
    assert lengths == pytest.approx([each.length_mm for each in parcels], abs=8)
    # a look takes 30 ms here: the rest, and an answer in each of the next two steps of 10 ms
    assert max(edge.within_mm for edge in portal) < 300 * 0.031
    pictures = station.of(XrayPictureSeen)
    assert [(p.status, p.calibration, p.lost_frames) for p in pictures] == [("SUCCESSFUL", "good", 0)] * 3
    assert [code.text for code in station.of(CodeSeen)] == ["W0", "W1", "W2"]
    for seen, each in zip(pictures, parcels, strict=True):
        dark = (seen.high < 0.8 * seen.air_high).all(axis=0)
        assert abs(int(dark.sum()) * seen.mm_per_column - each.length_mm) < 9
        assert abs(float(seen.high[:, dark].mean()) / seen.air_high - 0.6) < 0.02
        assert abs(float(seen.low[:, dark].mean()) / seen.air_low - 0.5) < 0.02
    assert station.of(BeltUnknown) == []
    assert {b.origin for b in station.of(BeltSeen)} == {1}


def test_two_counters_of_one_shaft_differ_by_one_number() -> None:
    station = Station(parcel(1), parcel(2)).run(20.0)
    offsets = []
    belt: BeltSeen | None = None
    for _, _, reading in station.told:
        if isinstance(reading, BeltSeen):
            belt = reading
        elif isinstance(reading, XrayStateSeen) and belt is not None:
            offsets.append(reading.count * reading.mm_per_count - belt.belt_mm)
    assert len(offsets) > 15
    assert max(offsets) - min(offsets) < 300 * 0.15


@pytest.mark.parametrize("kind", [FaultKind.FLIP, FaultKind.CUT, FaultKind.CHATTER])
def test_a_spoilt_stream_gives_fewer_pictures_and_no_wrong_one(kind: FaultKind) -> None:
    parcels = [parcel(n) for n in range(6)]
    station = Station(*parcels).run(3.0)
    station.line.set_fault(station.now_s, "xray", Fault(kind=kind), True)
    station.run(12.0)
    station.line.set_fault(station.now_s, "xray", Fault(kind=kind), False)
    station.run(30.0)
    whole = [p for p in station.of(XrayPictureSeen) if p.status == "SUCCESSFUL" and p.calibration == "good"]
    assert 1 <= len(whole) <= 6
    for seen in whole:
        dark = (seen.high < 0.8 * seen.air_high).all(axis=0)
        assert abs(int(dark.sum()) * seen.mm_per_column - 300) < 9
        assert abs(float(seen.high[:, dark].mean()) / seen.air_high - 0.6) < 0.02


@pytest.mark.parametrize("kind", [FaultKind.FLIP, FaultKind.CUT, FaultKind.SILENCE])
def test_a_spoilt_board_gives_no_position_that_is_wrong(kind: FaultKind) -> None:
    station = Station(*(parcel(n) for n in range(4))).run(3.0)
    station.line.set_fault(station.now_s, "io", Fault(kind=kind), True)
    station.run(6.0)
    station.line.set_fault(station.now_s, "io", Fault(kind=kind), False)
    station.run(20.0)
    by_origin: dict[int, list[float]] = {}
    for at_s, _, reading in station.told:
        if isinstance(reading, BeltSeen) and at_s > 1.5 and reading.running:
            by_origin.setdefault(reading.origin, []).append(reading.belt_mm - 300 * at_s)
    spreads = [max(offsets) - min(offsets) for offsets in by_origin.values()]
    assert spreads != []
    assert max(spreads) < 40


def test_a_reversal_counts_back_and_its_pictures_are_never_whole() -> None:
    back = Trouble(kind=TroubleKind.REVERSAL, at_mm=1_350.0, mm=200.0)
    station = Station(parcel(1, back), parcel(2)).run(18.0)
    first = [p for p in station.of(XrayPictureSeen) if p.status == "INCOMPLETE"]
    assert len(first) + len(station.of(XrayPictureFailed)) >= 1
    positions = [b.belt_mm for b in station.of(BeltSeen)]
    assert min(np.diff(positions)) < 0
    assert station.of(BeltUnknown) == []


def test_a_pass_pulse_at_the_diverters_eye_leads_that_parcel_and_no_other() -> None:
    station = Station(parcel(1), parcel(2))
    while not any(edge.blocked for edge in edges_of(station, "diverter")):
        station.run(station.now_s + 0.05)
    station.order(EnergiseOutput("pass", 1.2, not_after_s=station.now_s + 0.1))
    station.run(22.0)
    chutes = [(line["parcel"], line["chute"]) for line in station.logged("chute")]
    assert chutes == [("p1", "pass"), ("p2", "recheck")]
    assert [e.eye for e in station.of(EyeEdge) if e.blocked and e.eye.endswith("chute")] == [
        "pass_chute",
        "recheck_chute",
    ]


@pytest.mark.parametrize("way", ["renamed", "growing", "raw"])
def test_the_folder_of_the_simulated_machine_is_read_whole_and_once(tmp_path: Path, way: Any) -> None:
    parcels = [parcel(n, length_mm=length_mm) for n, length_mm in enumerate((330.0, 210.0))]
    station = Station(*parcels, pictures="folder")
    feed = XrayFolder(station.line.machine, tmp_path, way=way)
    told: list[Reading] = []
    hot = HotFolder(
        "xray",
        tmp_path,
        folder_settings({}),
        monotonic_s=lambda: station.now_s,
        on_reading=lambda _, __, reading: told.append(reading),
        on_news=lambda _, __, why: None,
    )
    while station.now_s < 16.0:
        station.run(station.now_s + 0.05)
        feed.serve(station.now_s)
        hot.look()
    pictures = [reading for reading in told if isinstance(reading, XrayPictureSeen)]
    assert [type(r) for r in told if not isinstance(r, XrayPictureSeen)] == []
    assert [p.before_start for p in pictures] == [False, False]
    for seen, each, line in zip(pictures, parcels, station.logged("picture"), strict=True):
        dark = (seen.high < 0.8 * seen.air_high).all(axis=0)
        assert abs(int(dark.sum()) * seen.mm_per_column - each.length_mm) < 9
        assert abs(int(seen.counts[0]) * seen.mm_per_count - line["first_mm"]) < 4


def faults(readings: Sequence[Any]) -> list[str]:
    return [reading.code for reading in readings if isinstance(reading, DeviceFault)]


def test_a_healthy_line_gives_no_fault() -> None:
    station = Station(parcel(1), parcel(2)).run(20.0)
    assert faults([reading for _, _, reading in station.told]) == []
