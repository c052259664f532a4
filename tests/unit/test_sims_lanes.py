"""A simulated site under virtual time: bytes at their times, traffic that can be held, faults on cue."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware_sims.devices.io_board import framed
from hardware_sims.faults import Fault, FaultKind
from hardware_sims.lanes import SimulatedSite
from hardware_sims.scenario import (
    FaultPlan,
    Happening,
    HappeningKind,
    LaneSettings,
    Scenario,
    random_scenario,
)
from hardware_sims.vehicles import Behaviour, Vehicle

TRUCK = Vehicle(id="v1", lane="in", arrives_s=2.0, plate="豫A12345", tag="E28011700000", length_m=12.0)
OPEN = framed(bytes.fromhex("010502000005"))
CLOSE = framed(bytes.fromhex("010502010005"))
GREEN_ON = framed(bytes.fromhex("01050002ff00"))
GREEN_OFF = framed(bytes.fromhex("010500020000"))
READ_INPUTS = framed(bytes.fromhex("010200000010"))
INVENTORY = bytes.fromhex("a004018901d1")


def site(*vehicles: Vehicle, **changes: Any) -> tuple[SimulatedSite, list[dict[str, Any]]]:
    lines: list[dict[str, Any]] = []
    released = changes.pop("released", True)
    scenario = Scenario(
        lanes=(LaneSettings(name="in"), LaneSettings(name="out")), vehicles=vehicles, **changes
    )
    assert scenario.problems() == []
    return SimulatedSite(scenario, sink=lines.append, released=released), lines


def of(lines: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [line for line in lines if line["kind"] == kind]


def test_a_vehicle_is_released_over_the_bus_and_the_log_tells_it_in_order() -> None:
    world, lines = site(TRUCK)
    world.advance(20.0)
    world.receive(20.0, "in", "io", GREEN_ON)
    world.receive(20.0, "in", "io", OPEN)
    world.advance(45.0)
    world.receive(45.0, "in", "io", GREEN_OFF)
    world.receive(45.0, "in", "io", CLOSE)
    world.advance(60.0)
    assert world.is_over
    kinds = [line["kind"] for line in lines if line["kind"] not in ("input", "light")]
    assert kinds == [
        "vehicle_arrived",
        "vehicle_stopped",
        "relay_pulse",
        "arm_moving",
        "arm_up",
        "front_crossed_arm",
        "vehicle_crossed_arm",
        "vehicle_left",
        "relay_pulse",
        "arm_moving",
        "arm_down",
    ]
    assert [line["t"] for line in lines] == sorted(line["t"] for line in lines)
    assert {line["lane"] for line in lines} == {"in"}
    assert of(lines, "relay_pulse")[0] == {
        "t": 20.0,
        "lane": "in",
        "kind": "relay_pulse",
        "relay": 0,
        "name": "open",
        "duration_s": 0.5,
    }


def test_answers_leave_at_their_own_times_and_next_event_names_them() -> None:
    world, _ = site()
    world.advance(1.0)
    world.receive(1.02, "in", "io", READ_INPUTS)
    assert world.next_event_s() == pytest.approx(1.024)
    sent = world.advance(1.05)
    assert [(lane, each.device, round(each.at_s, 3), each.data[:3]) for lane, each in sent] == [
        ("in", "io", 1.024, b"\x01\x02\x02")
    ]


def test_arrivals_wait_for_go_and_hold_stops_the_clock_of_the_traffic() -> None:
    world, lines = site(TRUCK, replace(TRUCK, id="v2", lane="out", arrives_s=50.0), released=False)
    world.advance(100.0)
    assert (lines, world.traffic_s, world.vehicles_to_come) == ([], 0.0, 2)
    world.go(100.0)
    world.advance(110.0)
    assert of(lines, "vehicle_arrived")[0]["t"] == pytest.approx(104.4)
    world.hold(110.0)
    world.advance(500.0)
    assert world.traffic_s == pytest.approx(10.0)
    assert world.vehicles_to_come == 1
    world.go(500.0)
    world.advance(545.0)
    assert of(lines, "vehicle_arrived")[1]["t"] == pytest.approx(542.4)


def test_a_pause_of_the_scenario_holds_arrivals_until_go() -> None:
    quick = Behaviour(patience_s=1.0)
    world, lines = site(
        replace(TRUCK, behaviour=quick),
        replace(TRUCK, id="v2", arrives_s=40.0, behaviour=quick),
        pauses=(35.0,),
    )
    world.advance(200.0)
    assert world.paused_at_s == 35.0
    assert (world.is_idle, world.is_over) == (True, False)
    assert len(of(lines, "vehicle_arrived")) == 1
    assert not world.is_released
    world.go(200.0)
    world.advance(260.0)
    assert world.is_over
    assert len(of(lines, "vehicle_arrived")) == 2


def test_a_raised_arm_over_an_empty_lane_is_not_idle_until_it_was_left_for_long() -> None:
    world, _ = site()
    world.receive(1.0, "in", "io", OPEN)
    world.advance(10.0)
    assert not world.is_idle
    world.advance(20.0)
    assert world.is_idle


def test_a_fault_lasts_its_time_or_as_long_as_its_vehicle_is_in_the_lane() -> None:
    cut = Fault(kind=FaultKind.SILENCE)
    world, lines = site(
        replace(TRUCK, behaviour=Behaviour(patience_s=1.0)),
        faults=(
            FaultPlan(lane="out", device="weighbridge", fault=cut, at_s=5.0, for_s=3.0),
            FaultPlan(lane="in", device="camera", fault=Fault(kind=FaultKind.DEAD), vehicle="v1"),
        ),
    )
    sent = world.advance(60.0)
    heard = [each.at_s for lane, each in sent if (lane, each.device) == ("out", "weighbridge")]
    assert [at_s for at_s in heard if 5.0 < at_s <= 8.0] == []
    assert len(heard) == 600 - 30
    told = [(line["device"], line["fault"], line["on"]) for line in of(lines, "fault")]
    assert told == [
        ("camera", "dead", True),
        ("weighbridge", "silence", True),
        ("weighbridge", "silence", False),
        ("camera", "dead", False),
    ]
    camera = [line["t"] for line in of(lines, "fault") if line["device"] == "camera"]
    assert camera == [of(lines, "vehicle_arrived")[0]["t"], of(lines, "vehicle_left")[0]["t"]]
    assert not world.lanes["in"].camera.calling or world.next_event_s() > 0


def test_a_vanished_port_is_absent_while_it_lasts() -> None:
    world, _ = site()
    world.set_fault(1.0, "in", "rfid", Fault(kind=FaultKind.VANISH), True)
    assert not world.lanes["in"].port_present("rfid")
    world.set_fault(2.0, "in", "rfid", Fault(kind=FaultKind.VANISH), False)
    assert world.lanes["in"].port_present("rfid")


def test_happenings_begin_and_end_when_told() -> None:
    world, lines = site(
        happenings=(
            Happening(lane="in", kind=HappeningKind.FIRE, at_s=5.0, for_s=10.0),
            Happening(lane="out", kind=HappeningKind.POWER_FAIL, at_s=6.0, for_s=4.0),
            Happening(lane="out", kind=HappeningKind.STOP, at_s=20.0, for_s=1.0),
            Happening(lane="out", kind=HappeningKind.HAND_RAISE, at_s=30.0),
            Happening(lane="out", kind=HappeningKind.HAND_LOWER, at_s=40.0),
            Happening(lane="out", kind=HappeningKind.RESET_KEY, at_s=50.0),
            Happening(lane="in", kind=HappeningKind.SHOW_CODE, at_s=55.0, text="R1"),
        )
    )
    sent = world.advance(100.0)
    told = [
        (line["t"], line["kind"], line["on"]) for line in lines if line["kind"] in ("fire", "power", "stop")
    ]
    assert told == [
        (5.0, "fire", True),
        (6.0, "power", False),
        (10.0, "power", True),
        (15.0, "fire", False),
        (20.0, "stop", True),
        (21.0, "stop", False),
    ]
    assert [(line["lane"], line["cause"]) for line in of(lines, "arm_moving")] == [
        ("in", "fire"),
        ("out", "hand"),
        ("out", "hand"),
    ]
    assert [(line["t"], line["value"]) for line in of(lines, "input") if line["name"] == "reset_key"] == [
        (50.0, True),
        (51.0, False),
    ]
    assert [each.data for _, each in sent if each.device == "scanner"] == [b"]Q1R1\r"]


def test_an_officer_resets_a_lane_that_says_it_is_closed() -> None:
    from hardware_sims.devices.led_board import text_frame

    world, lines = site(happenings=(Happening(lane="in", kind=HappeningKind.RESET_KEY, when_closed_s=10.0),))
    world.receive(5.0, "in", "led", text_frame(0, "通道关闭 请换道", b"\xff\x00\x00\x00"))
    world.advance(16.0)
    assert [(line["t"], line["value"]) for line in of(lines, "input")] == [(15.1, True)]


def drive(world: SimulatedSite, to_s: float, cuts: list[float]) -> list[tuple[float, str, str, bytes]]:
    """Polls like a lane program and lets every standing vehicle through; returns all bytes sent."""
    heard: list[tuple[float, str, str, bytes]] = []

    def step(at_s: float) -> None:
        heard.extend((each.at_s, lane, each.device, each.data) for lane, each in world.advance(at_s))

    second = 0
    while second < to_s:
        for cut in (cut for cut in cuts if second < cut < second + 1):
            step(cut)
        second += 1
        step(float(second))
        for name, lane in world.lanes.items():
            standing = any(
                (lane.physics.place(each) or (0, 0, ""))[2] == "standing" for each in lane.physics.vehicles
            )
            world.receive(float(second), name, "io", READ_INPUTS)
            world.receive(float(second), name, "rfid", INVENTORY)
            inputs = lane.physics.inputs()
            if standing:
                world.receive(float(second), name, "io", GREEN_ON)
                world.receive(float(second), name, "io", OPEN)
            elif lane.physics.barrier.is_up and inputs[1] and inputs[2]:
                world.receive(float(second), name, "io", GREEN_OFF)
                world.receive(float(second), name, "io", CLOSE)
    return heard


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1000), cuts=st.lists(st.floats(0, 150), max_size=12))
def test_every_byte_and_every_line_of_the_log_is_the_same_however_time_is_sliced(
    seed: int, cuts: list[float]
) -> None:
    told = []
    for each in ([], sorted(cuts)):
        lines: list[dict[str, Any]] = []
        world = SimulatedSite(
            random_scenario(seed, 5, mean_gap_s=20, faults=4, happenings=2), sink=lines.append
        )
        heard = drive(world, 150, each)
        told.append(
            {
                name: (
                    [one for one in heard if one[1] == name],
                    [line for line in lines if line["lane"] == name],
                )
                for name in world.lanes
            }
        )
    assert told[0] == told[1]


@pytest.mark.parametrize("seed", range(6))
def test_made_traffic_all_gets_through_or_out_and_no_arm_touches_anything(seed: int) -> None:
    lines: list[dict[str, Any]] = []
    world = SimulatedSite(random_scenario(seed, 14, mean_gap_s=40, happenings=3), sink=lines.append)
    drive(world, 1500, [])
    assert world.is_over
    assert len(of(lines, "vehicle_left")) == 14
    assert of(lines, "contact") == []
    crossed = [line["vehicle"] for line in of(lines, "vehicle_left") if line["how"] == "crossed"]
    assert sorted(crossed) == sorted(line["vehicle"] for line in of(lines, "vehicle_crossed_arm"))


def test_a_lane_with_all_its_devices_runs_far_faster_than_life() -> None:
    scenario = random_scenario(3, 12, ("in",), mean_gap_s=40)
    world = SimulatedSite(scenario)
    begin = time.process_time()
    drive(world, 600, [])
    spent_s = time.process_time() - begin
    assert 600 / spent_s > 150
