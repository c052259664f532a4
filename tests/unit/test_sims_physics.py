"""One simulated lane of concrete and steel: what a vehicle does to loops, beams, plate and arm."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware_sims.barrier import BarrierSettings
from hardware_sims.physics import CLOSE, GREEN, INPUTS, OPEN, RED, LanePhysics
from hardware_sims.vehicles import PRESETS, Behaviour, Trailer, Vehicle

TRUCK = Vehicle(
    id="v1", lane="in", arrives_s=0.0, plate="豫A12345", tag="E28011700000", gross_kg=20_000, length_m=12.0
)


class Lane:
    """A lane with its log and a hand on the relays."""

    def __init__(self, *vehicles: Vehicle, **barrier: Any) -> None:
        self.lines: list[dict[str, Any]] = []
        self.physics = LanePhysics(BarrierSettings(**barrier), self._log)
        for vehicle in sorted(vehicles, key=lambda each: each.arrives_s):
            self.physics.arrive(vehicle.arrives_s, vehicle)

    def _log(self, at_s: float, kind: str, fields: dict[str, Any]) -> None:
        self.lines.append({"t": round(at_s, 3), "kind": kind, **fields})

    def run(self, to_s: float) -> Lane:
        self.physics.advance(to_s)
        return self

    def pulse(self, at_s: float, relay: int) -> None:
        self.physics.set_relay(at_s, relay, True, 0.5)
        self.physics.set_relay(at_s + 0.5, relay, False)

    def release(self, at_s: float) -> None:
        self.physics.set_relay(at_s, RED, False)
        self.physics.set_relay(at_s, GREEN, True)
        self.pulse(at_s, OPEN)

    def shut(self, at_s: float) -> None:
        self.physics.set_relay(at_s, GREEN, False)
        self.physics.set_relay(at_s, RED, True)
        self.pulse(at_s, CLOSE)

    def of(self, *kinds: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["kind"] in kinds]

    def inputs(self) -> list[tuple[str, bool]]:
        return [(line["name"], line["value"]) for line in self.of("input")]

    def at(self, kind: str, **fields: Any) -> float:
        """When the first such line was written."""
        found = [line for line in self.of(kind) if fields.items() <= line.items()]
        assert found, f"no {kind} {fields} in {self.lines}"
        return float(found[0]["t"])

    def value(self, name: str) -> bool:
        return self.physics.inputs()[INPUTS.index(name)]


def standing(vehicle: Vehicle = TRUCK, **barrier: Any) -> Lane:
    """A lane whose vehicle has come to the stop line."""
    lane = Lane(vehicle, **barrier).run(20.0)
    assert lane.of("vehicle_stopped")
    return lane


def drives(**changes: Any) -> Vehicle:
    return replace(TRUCK, behaviour=Behaviour(**changes))


def test_an_empty_lane_reads_free_down_and_no_fault() -> None:
    physics = Lane().physics
    read = dict(zip(INPUTS, physics.inputs(), strict=False))
    free = dict.fromkeys(INPUTS, True) | {"limit_up": False, "reset_key": False}
    assert read == free
    assert physics.inputs()[10:] == (False,) * 6
    assert physics.is_idle


def test_a_released_vehicle_passes_every_detector_in_the_order_of_the_wiring() -> None:
    lane = standing()
    lane.release(20.0)
    lane.run(40.0).shut(40.0)
    lane.run(60.0)
    assert lane.inputs() == [
        ("arrival_loop", False),
        ("scale_infrared", False),
        ("scale_infrared", True),
        ("arrival_loop", True),
        ("limit_down", False),
        ("limit_up", True),
        ("scale_infrared", False),
        ("arm_loop", False),
        ("photocell", False),
        ("scale_infrared", True),
        ("photocell", True),
        ("arm_loop", True),
        ("limit_up", False),
        ("limit_down", True),
    ]
    kinds = [line["kind"] for line in lane.lines if line["kind"].startswith(("vehicle", "front"))]
    assert kinds == [
        "vehicle_arrived",
        "vehicle_stopped",
        "front_crossed_arm",
        "vehicle_crossed_arm",
        "vehicle_left",
    ]
    assert lane.of("front_crossed_arm")[0]["arm"] == "up"
    assert lane.of("vehicle_left")[0]["how"] == "crossed"
    assert lane.of("vehicle_arrived")[0] | {"t": 0} == {
        "t": 0,
        "kind": "vehicle_arrived",
        "vehicle": "v1",
        "plate": "豫A12345",
        "tag": "E28011700000",
    }
    assert lane.of("contact") == []
    assert lane.physics.is_idle


def test_a_driver_stops_at_the_line_and_waits_without_green_or_without_a_raised_arm() -> None:
    lane = standing()
    assert lane.physics.place("v1") == (19.5, 0.0, "standing")
    lane.physics.set_relay(20.0, GREEN, True)
    lane.run(40.0)
    assert lane.physics.place("v1") == (19.5, 0.0, "standing")
    other = standing()
    other.pulse(20.0, OPEN)
    other.run(40.0)
    assert other.physics.barrier.is_up
    assert other.physics.place("v1") == (19.5, 0.0, "standing")


def test_a_loop_tells_fifty_milliseconds_late_and_a_beam_at_once() -> None:
    lane = Lane(TRUCK)
    fronts = {}
    for tick in range(1, 240):
        lane.run(tick * 0.05)
        fronts[round(tick * 0.05, 3)] = lane.physics.place("v1")
    entered = next(t for t, place in fronts.items() if place is not None and place[0] > 0.0)
    assert lane.at("input", name="arrival_loop", value=False) == pytest.approx(entered + 0.05)
    assert lane.at("input", name="scale_infrared", value=False) == pytest.approx(
        next(t for t, place in fronts.items() if place is not None and place[0] > 2.0)
    )


def test_closing_on_a_vehicle_is_refused_by_the_barrier_itself() -> None:
    lane = standing()
    lane.release(20.0)
    lane.run(26.0)
    assert not lane.value("arm_loop")
    lane.pulse(26.0, CLOSE)
    lane.run(60.0)
    assert [line["cause"] for line in lane.of("arm_moving")] == ["order"]


def test_closing_just_before_a_vehicle_comes_under_reopens_without_contact() -> None:
    lane = standing()
    lane.release(20.0)
    lane.run(24.4)
    assert lane.value("arm_loop")
    lane.shut(24.4)
    lane.run(80.0)
    assert [(line["direction"], line["cause"]) for line in lane.of("arm_moving")] == [
        ("up", "order"),
        ("down", "order"),
        ("up", "safety"),
    ]
    assert lane.of("contact") == []
    assert lane.of("vehicle_left")[0]["how"] == "crossed"


def test_an_arm_too_fast_for_its_safety_touches_the_vehicle_and_the_log_says_so() -> None:
    lane = Lane(TRUCK, raise_s=0.2, lower_s=0.1).run(6.0)
    lane.release(6.0)
    place = lane.physics.place("v1")
    while place is not None and place[0] < 20.8:
        place = lane.run(lane.physics.now_s + 0.05).physics.place("v1")
    lane.pulse(lane.physics.now_s, CLOSE)
    lane.run(60.0)
    assert [line["vehicle"] for line in lane.of("contact")] == ["v1"]


def test_a_rolling_driver_stops_before_an_arm_that_comes_down_in_its_own_time() -> None:
    lane = Lane(TRUCK).run(6.0)
    lane.release(6.0)
    place = lane.physics.place("v1")
    while place is not None and place[0] < 20.0:
        place = lane.run(lane.physics.now_s + 0.05).physics.place("v1")
    lane.shut(lane.physics.now_s)
    lane.run(60.0)
    assert lane.of("contact") == []
    assert "safety" in [line["cause"] for line in lane.of("arm_moving")]
    assert lane.of("vehicle_left")[0]["how"] == "crossed"


@pytest.mark.parametrize(("gap_m", "loop_clears"), [(2.0, False), (3.4, True)])
def test_beam_and_with_a_long_gap_the_loop_really_clear_between_truck_and_trailer(
    gap_m: float, loop_clears: bool
) -> None:
    lane = standing(replace(TRUCK, length_m=16.0, trailer=Trailer(gap_m=gap_m, length_m=6.0), axles=5))
    lane.release(20.0)
    lane.run(45.0)
    between = [line for line in lane.of("input") if line["t"] > lane.at("front_crossed_arm", part=1)]
    assert [line["value"] for line in between if line["name"] == "photocell"] == [True, False, True]
    loop = [line["value"] for line in between if line["name"] == "arm_loop"]
    assert loop == ([True, False, True] if loop_clears else [True])
    assert [line["part"] for line in lane.of("front_crossed_arm")] == [1, 2]
    assert len(lane.of("vehicle_crossed_arm")) == 1


def test_closing_in_the_gap_before_a_trailer_reopens_without_contact() -> None:
    vehicle = replace(TRUCK, length_m=16.0, trailer=Trailer(gap_m=3.4, length_m=6.0))
    lane = standing(vehicle)
    lane.release(20.0)
    trial = standing(vehicle)
    trial.release(20.0)
    trial.run(45.0)
    gap_at = trial.at("input", name="arm_loop", value=True)
    lane.run(gap_at)
    lane.shut(gap_at)
    lane.run(60.0)
    assert [line["cause"] for line in lane.of("arm_moving")][:3] == ["order", "order", "safety"]
    assert lane.of("contact") == []


def test_a_tailgater_follows_within_three_metres_through_one_raising() -> None:
    tail = replace(TRUCK, id="v2", arrives_s=3.0, behaviour=PRESETS["tailgates"], plate="豫B00002")
    lane = Lane(TRUCK, tail).run(20.0)
    assert lane.value("arrival_loop")
    lane.release(20.0)
    gaps = []
    while len(lane.of("vehicle_crossed_arm")) < 2 and lane.physics.now_s < 60.0:
        lane.run(lane.physics.now_s + 0.05)
        first, second = lane.physics.place("v1"), lane.physics.place("v2")
        if first is not None and second is not None and first[0] - 12.0 >= 22.0:
            gaps.append(first[0] - 12.0 - second[0])
    assert [line["vehicle"] for line in lane.of("vehicle_crossed_arm")] == ["v1", "v2"]
    assert gaps
    assert max(gaps) <= 3.0
    assert len(lane.of("arm_moving")) == 1
    assert lane.of("contact") == []


def test_a_tailgater_with_nobody_ahead_stops_like_anybody() -> None:
    lane = standing(replace(TRUCK, behaviour=PRESETS["tailgates"]))
    assert lane.physics.place("v1") == (19.5, 0.0, "standing")


def test_the_next_vehicle_waits_before_the_lane_until_it_is_empty_and_no_longer_green() -> None:
    lane = Lane(TRUCK, replace(TRUCK, id="v2", arrives_s=3.0)).run(20.0)
    lane.release(20.0)
    lane.run(50.0)
    waiting = lane.physics.place("v2")
    assert waiting is not None
    assert waiting[0] < 0.0
    assert [line["vehicle"] for line in lane.of("vehicle_arrived")] == ["v1"]
    lane.shut(50.0)
    lane.run(75.0)
    assert [line["vehicle"] for line in lane.of("vehicle_stopped")] == ["v1", "v2"]


def test_a_green_that_never_ends_is_waited_out() -> None:
    lane = Lane()
    lane.physics.set_relay(0.0, GREEN, True)
    lane.physics.arrive(1.0, TRUCK)
    lane.run(55.0)
    assert lane.of("vehicle_arrived") == []
    lane.run(80.0)
    assert len(lane.of("vehicle_arrived")) == 1


@pytest.mark.parametrize(
    ("rows", "leaves_after_s"),
    [
        (("核放单已过期 请退出",), 6.0),
        (("核放单未找到", "请到人工通道"), 6.0),
        (("抽核 请到查验区",), 6.0),
        (("Slip expired, BACK OUT",), 6.0),
        (("No release slip, go to the manual lane",), 6.0),
        (("通道关闭 请换道",), 6.0),
        (("重量超差 320 kg 请等待",), 45.0),
        (("320 kg over, please wait",), 45.0),
        (("请稍候",), 120.0),
    ],
)
def test_a_held_driver_reverses_out_after_the_patience_the_words_ask_for(
    rows: tuple[str, ...], leaves_after_s: float
) -> None:
    lane = Lane(TRUCK).run(20.0)
    stopped = lane.at("vehicle_stopped")
    begin = stopped if leaves_after_s == 120.0 else 20.0
    lane.physics.show_board(20.0, rows, "red")
    lane.run(begin + leaves_after_s - 0.2)
    assert lane.physics.place("v1") == (19.5, 0.0, "standing")
    lane.run(begin + leaves_after_s + 30.0)
    assert lane.of("vehicle_left")[0]["how"] == "backed_out"
    assert lane.inputs()[-1] == ("arrival_loop", True)
    assert lane.physics.is_idle


def test_words_from_before_a_driver_came_do_not_move_him_unless_the_lane_is_closed() -> None:
    lane = Lane()
    lane.physics.show_board(0.5, ("核放单已过期 请退出",), "red")
    lane.physics.arrive(1.0, TRUCK)
    lane.run(60.0)
    assert lane.physics.place("v1") == (19.5, 0.0, "standing")
    lane.physics.show_board(60.0, ("核放单已过期 请退出",), "red")
    lane.run(70.0)
    assert lane.physics.place("v1") != (19.5, 0.0, "standing")


def test_green_under_a_raised_arm_is_obeyed_whatever_the_board_says() -> None:
    lane = standing()
    lane.physics.show_board(20.0, ("抽核 请到查验区",), "amber")
    lane.release(20.1)
    lane.run(45.0)
    assert lane.of("vehicle_left")[0]["how"] == "crossed"


def test_a_driver_who_ignores_the_board_leaves_later_by_that_much() -> None:
    lane = standing(drives(ignores_board_s=20.0))
    stopped = lane.at("vehicle_stopped")
    lane.physics.show_board(20.0, ("请退出",), "red")
    lane.run(stopped + 25.5)
    assert lane.physics.place("v1") == (19.5, 0.0, "standing")
    lane.run(stopped + 27.0)
    assert lane.physics.place("v1") != (19.5, 0.0, "standing")


def test_a_driver_may_reverse_out_by_himself_even_after_release() -> None:
    alone = standing(drives(reverses_after_s=8.0))
    alone.run(60.0)
    assert alone.of("vehicle_left")[0]["how"] == "backed_out"
    released = standing(drives(reverses_when_released=True))
    released.release(20.0)
    released.run(60.0)
    assert released.of("front_crossed_arm") == []
    assert released.of("vehicle_left")[0]["how"] == "backed_out"


def test_a_driver_may_creep_onto_the_arm_loop_and_reverse_before_crossing() -> None:
    lane = standing(drives(creeps_to_m=21.4))
    lane.release(20.0)
    lane.run(60.0)
    names = [name for name, _ in lane.inputs()]
    assert names.count("arm_loop") == 2
    assert "photocell" not in names
    assert lane.of("front_crossed_arm") == []
    assert lane.of("vehicle_left")[0]["how"] == "backed_out"


def test_a_slow_driver_reacts_and_drives_slowly() -> None:
    quick, slow = standing(), Lane(replace(TRUCK, behaviour=PRESETS["slow"])).run(40.0)
    quick.release(20.0)
    slow.release(40.0)
    quick.run(60.0)
    slow.run(90.0)
    assert slow.at("front_crossed_arm") - 40.0 > quick.at("front_crossed_arm") - 20.0 + 4.0


def test_a_reversing_vehicle_makes_the_tailgater_behind_it_reverse_first() -> None:
    first = replace(TRUCK, length_m=7.0)
    close = Behaviour(tailgates=True, follow_gap_m=0.6)
    lane = Lane(first, replace(first, id="v2", arrives_s=1.0, behaviour=close)).run(20.0)
    lane.release(20.0)
    lane.run(23.2)
    lane.shut(23.2)
    lane.physics.press_stop(24.2, True)
    lane.run(60.0)
    gaps = []
    while lane.physics.vehicles and lane.physics.now_s < 150.0:
        lane.run(lane.physics.now_s + 0.05)
        ahead, behind = lane.physics.place("v1"), lane.physics.place("v2")
        if ahead is not None and behind is not None and ahead[1] < 0.0:
            gaps.append(ahead[0] - 7.0 - behind[0])
    assert gaps[0] >= 0.9
    assert [(line["vehicle"], line["how"]) for line in lane.of("vehicle_left")] == [
        ("v2", "backed_out"),
        ("v1", "backed_out"),
    ]


def test_a_driver_halted_before_a_lowered_arm_gives_up_and_reverses() -> None:
    lane = standing()
    lane.release(20.0)
    lane.run(23.2)
    lane.shut(23.2)
    lane.physics.press_stop(24.2, True)
    lane.run(60.0)
    halted = lane.physics.place("v1")
    assert halted is not None
    assert halted[1:] == (0.0, "going")
    lane.run(120.0)
    assert lane.of("vehicle_left")[0]["how"] == "backed_out"
    assert lane.of("front_crossed_arm", "contact") == []


def test_the_plate_feels_a_vehicle_axle_by_axle_and_settles_to_its_weight() -> None:
    lane = Lane(TRUCK)
    seen: list[float] = []
    while not lane.of("vehicle_stopped"):
        lane.run(lane.physics.now_s + 0.1)
        seen.append(lane.physics.weight_kg(lane.physics.now_s))
    assert any(2_000 < kg < 15_000 for kg in seen)
    assert lane.physics.plate_in_motion(lane.physics.now_s, 20)
    settled = lane.run(lane.physics.now_s + 5.0).physics
    assert settled.weight_kg(settled.now_s) == pytest.approx(20_000, abs=2)
    assert not settled.plate_in_motion(settled.now_s, 20)


def test_braking_swings_the_plate_before_it_settles() -> None:
    lane = Lane(TRUCK)
    while not lane.of("vehicle_stopped"):
        lane.run(lane.physics.now_s + 0.05)
    since = lane.physics.now_s
    readings = [lane.physics.weight_kg(since + n / 20) for n in range(20)]
    assert max(readings) > 20_020
    assert min(readings) < 19_980


def test_a_wheel_off_the_plate_reads_less_and_breaks_the_infrared() -> None:
    vehicle = replace(TRUCK, length_m=17.0, axles=5, behaviour=PRESETS["wheel_off"])
    physics = standing(vehicle).physics
    assert physics.weight_kg(20.0) < 19_000
    assert not physics.inputs()[INPUTS.index("scale_infrared")]
    straight = standing(replace(vehicle, behaviour=PRESETS["normal"])).physics
    assert straight.weight_kg(20.0) == pytest.approx(20_000, abs=5)
    assert straight.inputs()[INPUTS.index("scale_infrared")]


def test_a_tag_answers_only_within_the_field() -> None:
    lane = standing()
    assert lane.physics.tags_in_field(), "a standing vehicle's tag can be read again"
    lane = Lane(TRUCK).run(2.5)
    lane.release(2.5)
    seen_from, seen_to = 99.0, 0.0
    while not lane.of("vehicle_crossed_arm"):
        lane.run(lane.physics.now_s + 0.05)
        place = lane.physics.place("v1")
        assert place is not None
        if lane.physics.tags_in_field():
            seen_from, seen_to = min(seen_from, place[0]), max(seen_to, place[0])
    assert 3.0 <= seen_from <= 3.2
    assert 20.8 <= seen_to <= 21.0
    assert Lane(replace(TRUCK, tag=None)).run(10.0).physics.tags_in_field() == ()


def test_the_camera_triggers_once_for_a_vehicle_and_can_be_made_to_look_again() -> None:
    lane = Lane(TRUCK).run(3.0)
    assert lane.physics.take_camera_views() == []
    assert lane.physics.look(3.0) is None
    lane.run(30.0)
    views = lane.physics.take_camera_views()
    assert [(view.vehicle, view.plate, view.by_hand) for view in views] == [("v1", "豫A12345", False)]
    again = lane.physics.look(30.0)
    assert again is not None
    assert (again.plate, again.by_hand) == ("豫A12345", True)


def test_slip_codes_are_shown_one_after_another_in_rounds_until_the_driver_is_told_something() -> None:
    lane = Lane(replace(TRUCK, slip_codes=("Z1", "Z2"))).run(30.0)
    stopped = lane.at("vehicle_stopped")
    shown = [(round(code.at_s - stopped, 2), code.text, code.aim) for code in lane.physics.take_shown_codes()]
    assert shown == [(2.0, "Z1", "]C0"), (3.5, "Z2", "]C0"), (13.5, "Z1", "]C0"), (15.0, "Z2", "]C0")]
    told = Lane(replace(TRUCK, slip_codes=("Z1",))).run(14.0)
    told.physics.show_board(14.0, ("请等待",), "red")
    told.run(50.0)
    assert len(told.physics.take_shown_codes()) == 1


def test_fire_power_and_stop_are_inputs_and_act_on_the_barrier() -> None:
    lane = Lane()
    lane.physics.set_fire(1.0, True)
    lane.run(5.0)
    assert not lane.value("fire")
    assert lane.physics.barrier.is_up
    lane.physics.set_fire(6.0, False)
    lane.physics.set_power(7.0, False)
    lane.physics.press_stop(8.0, True)
    lane.run(9.0)
    assert (lane.value("fire"), lane.value("power_ok"), lane.value("stop")) == (True, False, False)
    assert [(line["kind"], line["on"]) for line in lane.of("fire", "power", "stop")] == [
        ("fire", True),
        ("fire", False),
        ("power", False),
        ("stop", True),
    ]


def test_a_broken_wire_reads_false_for_the_program_and_not_for_the_barrier() -> None:
    lane = standing()
    lane.physics.break_wire(20.0, "arm_loop", True)
    assert not lane.value("arm_loop")
    lane.release(20.0)
    lane.run(50.0)
    lane.shut(50.0)
    lane.run(60.0)
    assert lane.physics.barrier.is_down
    assert not lane.value("arm_loop")
    lane.physics.break_wire(61.0, "arm_loop", False)
    assert lane.value("arm_loop")


def test_the_reset_key_springs_back() -> None:
    lane = Lane()
    lane.physics.turn_reset_key(5.0)
    assert lane.value("reset_key")
    lane.run(6.1)
    assert not lane.value("reset_key")


def test_an_officer_turns_the_key_when_the_lane_has_been_closed_long_enough() -> None:
    lane = Lane()
    lane.physics.turns_key_after_s = 10.0
    lane.physics.show_board(5.0, ("通道关闭 请换道",), "red")
    lane.run(9.0)
    lane.physics.show_board(9.0, ("通道关闭 请换道",), "red")
    lane.run(14.9)
    assert not lane.value("reset_key")
    lane.run(15.1)
    assert lane.value("reset_key")
    lane.physics.show_board(15.5, ("欢迎",), "green")
    lane.run(90.0)
    assert [line["t"] for line in lane.of("input") if line["name"] == "reset_key"] == [15.0, 16.0]


def test_lights_are_logged_as_the_driver_sees_them() -> None:
    lane = Lane()
    lane.physics.set_relay(1.0, RED, True)
    lane.physics.set_relay(2.0, GREEN, True)
    lane.physics.set_relay(3.0, RED, False)
    lane.physics.set_relay(4.0, GREEN, False)
    assert [line["colour"] for line in lane.of("light")] == ["red", "both", "green", "off"]


def test_the_cameras_own_output_raises_the_arm_and_is_logged_as_the_cameras() -> None:
    lane = Lane()
    lane.physics.camera_contact(1.0, True, 0.5)
    lane.physics.camera_contact(1.5, False, 0.0)
    lane.run(5.0)
    assert lane.physics.barrier.is_up
    assert lane.of("relay_pulse") == [
        {"t": 1.0, "kind": "relay_pulse", "relay": "camera", "name": "open", "duration_s": 0.5}
    ]


def test_an_empty_lane_is_skipped_and_not_stepped() -> None:
    physics = Lane().physics
    physics.advance(1.0)
    assert physics.next_event_s() == float("inf")
    physics.advance(1e9)
    assert physics.now_s == 1e9


STORY = st.lists(
    st.tuples(st.floats(0.0, 12.0), st.sampled_from(("release", "shut", "board", "fire", "free", "stop"))),
    max_size=10,
)


@settings(max_examples=60, deadline=None)
@given(
    story=STORY, slices=st.lists(st.floats(0.0, 200.0), max_size=30), behaviour=st.sampled_from(list(PRESETS))
)
def test_the_lane_does_not_depend_on_how_time_is_sliced_and_an_arm_never_touches_a_vehicle(
    story: list[tuple[float, str]], slices: list[float], behaviour: str
) -> None:
    logs = []
    for cuts in ([], sorted(slices)):
        second = replace(TRUCK, id="v2", arrives_s=2.0, length_m=7.5, behaviour=PRESETS[behaviour])
        lane = Lane(TRUCK, second)
        at_s = 12.0
        for wait, what in story:
            for cut in (cut for cut in cuts if lane.physics.now_s < cut < at_s + wait):
                lane.run(cut)
            at_s += wait
            match what:
                case "release":
                    lane.release(at_s)
                case "shut":
                    lane.shut(at_s)
                case "board":
                    lane.physics.show_board(at_s, ("请退出",), "red")
                case "fire" | "free":
                    lane.physics.set_fire(at_s, what == "fire")
                case _:
                    lane.pulse(at_s, CLOSE)
            at_s = max(at_s, lane.physics.now_s)
        for cut in (cut for cut in cuts if cut > lane.physics.now_s):
            lane.run(cut)
        lane.run(500.0)
        assert lane.of("contact") == []
        logs.append(lane.lines)
    assert logs[0] == logs[1]
