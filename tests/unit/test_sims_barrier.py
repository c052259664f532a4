"""The simulated barrier controller acts alone: STOP > OPEN > CLOSE, its own safety, fire, power."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware_sims.barrier import BarrierController, BarrierSettings


class Arm:
    """A controller with its log."""

    def __init__(self, **options: Any) -> None:
        self.lines: list[tuple[float, str, dict[str, Any]]] = []
        self.box = BarrierController(BarrierSettings(**options), self._log)

    def _log(self, at_s: float, kind: str, fields: dict[str, Any]) -> None:
        self.lines.append((round(at_s, 3), kind, fields))

    def pulse_open(self, at_s: float) -> None:
        self.box.set_open(at_s, True)
        self.box.set_open(at_s + 0.5, False)

    def pulse_close(self, at_s: float) -> None:
        self.box.set_close(at_s, True)
        self.box.set_close(at_s + 0.5, False)

    def moves(self) -> list[tuple[float, str, str]]:
        return [(t, f["direction"], f["cause"]) for t, kind, f in self.lines if kind == "arm_moving"]


def raised(**options: Any) -> Arm:
    arm = Arm(**options)
    arm.pulse_open(1.0)
    arm.box.advance(5.0)
    return arm


def test_an_open_pulse_raises_the_arm_in_its_time() -> None:
    arm = Arm()
    arm.pulse_open(1.0)
    arm.box.advance(2.9)
    assert (arm.box.is_up, arm.box.is_down, arm.box.arm()) == (False, False, "moving")
    arm.box.advance(3.1)
    assert arm.box.is_up
    assert arm.lines == [
        (1.0, "arm_moving", {"direction": "up", "cause": "order"}),
        (3.0, "arm_up", {"cause": "order"}),
    ]


def test_a_close_pulse_lowers_a_free_arm_in_its_time() -> None:
    arm = raised()
    arm.pulse_close(10.0)
    arm.box.advance(12.4)
    assert arm.box.arm() == "moving"
    arm.box.advance(12.6)
    assert arm.box.is_down
    assert arm.lines[-1] == (12.5, "arm_down", {"cause": "order"})


def test_a_limit_switch_opens_as_soon_as_the_arm_leaves_it() -> None:
    arm = raised()
    arm.box.set_close(10.0, True)
    assert (arm.box.is_up, arm.box.is_down) == (False, False)


@pytest.mark.parametrize(("loop", "photocell"), [(True, False), (False, True), (True, True)])
def test_a_close_pulse_is_refused_and_forgotten_while_something_is_under_the_arm(
    loop: bool, photocell: bool
) -> None:
    arm = raised()
    arm.box.set_under_arm(9.0, loop=loop, photocell=photocell)
    arm.pulse_close(10.0)
    arm.box.set_under_arm(12.0, loop=False, photocell=False)
    arm.box.advance(60.0)
    assert arm.box.is_up
    assert arm.moves() == [(1.0, "up", "order")]


@pytest.mark.parametrize(("loop", "photocell"), [(True, False), (False, True)])
def test_a_falling_arm_reopens_by_itself_when_something_comes_under_it(loop: bool, photocell: bool) -> None:
    arm = raised()
    arm.box.set_close(10.0, True)
    arm.box.set_under_arm(11.0, loop=loop, photocell=photocell)
    arm.box.advance(20.0)
    assert arm.moves()[-1] == (11.0, "up", "safety")
    assert arm.box.is_up
    assert arm.lines[-1] == (11.8, "arm_up", {"cause": "safety"})


def test_stop_beats_open_and_is_not_followed_by_movement_when_released() -> None:
    arm = Arm()
    arm.box.set_stop(0.5, True)
    arm.pulse_open(1.0)
    arm.box.set_stop(2.0, False)
    arm.box.advance(20.0)
    assert arm.box.is_down
    assert arm.moves() == []


def test_stop_halts_a_moving_arm_where_it_is() -> None:
    arm = Arm()
    arm.box.set_open(1.0, True)
    arm.box.set_stop(2.0, True)
    arm.box.advance(9.0)
    assert arm.box.arm() == "between"
    assert arm.lines[-1] == (2.0, "arm_stopped", {"cause": "stop"})


def test_open_held_beats_close() -> None:
    arm = Arm()
    arm.box.set_open(1.0, True)
    arm.box.advance(5.0)
    arm.pulse_close(6.0)
    arm.box.advance(20.0)
    assert arm.box.is_up


def test_fire_raises_the_arm_and_no_close_lowers_it_while_it_burns() -> None:
    arm = Arm()
    arm.box.set_fire(1.0, True)
    arm.pulse_close(5.0)
    arm.box.set_fire(9.0, False)
    arm.box.advance(30.0)
    assert arm.box.is_up
    assert arm.moves() == [(1.0, "up", "fire")]


def test_fire_yields_to_stop_and_acts_when_stop_is_released() -> None:
    arm = Arm()
    arm.box.set_stop(0.5, True)
    arm.box.set_fire(1.0, True)
    arm.box.advance(4.0)
    assert arm.moves() == []
    arm.box.set_stop(5.0, False)
    assert arm.moves() == [(5.0, "up", "fire")]


def test_a_power_failure_stops_the_arm_and_power_up_moves_nothing() -> None:
    arm = Arm()
    arm.pulse_open(1.0)
    arm.box.set_power(2.0, False)
    arm.pulse_open(3.0)
    arm.pulse_close(4.0)
    arm.box.set_power(6.0, True)
    arm.box.advance(30.0)
    assert arm.box.arm() == "between"
    assert arm.moves() == [(1.0, "up", "order")]


def test_a_spring_lifts_the_arm_at_a_power_failure_where_one_is_fitted() -> None:
    arm = Arm(power_fail_lifts=True)
    arm.box.set_power(1.0, False)
    arm.box.advance(6.0)
    assert arm.box.is_up
    assert arm.moves() == [(1.0, "up", "power")]


@pytest.mark.parametrize(("auto_close", "moves"), [(False, []), (True, [(13.5, "down", "auto")])])
def test_auto_close_lowers_only_where_it_is_set(
    auto_close: bool, moves: list[tuple[float, str, str]]
) -> None:
    arm = raised(auto_close=auto_close)
    arm.box.set_under_arm(10.0, loop=True, photocell=False)
    arm.box.set_under_arm(12.0, loop=False, photocell=False)
    arm.box.advance(30.0)
    assert arm.moves()[1:] == moves


def test_auto_close_waits_again_when_the_next_vehicle_comes_under() -> None:
    arm = raised(auto_close=True)
    for begin, end in ((10.0, 12.0), (13.0, 14.0)):
        arm.box.set_under_arm(begin, loop=True, photocell=False)
        arm.box.set_under_arm(end, loop=False, photocell=False)
    arm.box.advance(30.0)
    assert arm.moves()[1:] == [(15.5, "down", "auto")]


def test_a_jammed_arm_takes_orders_and_stays() -> None:
    arm = Arm()
    arm.box.set_jammed(0.5, True)
    arm.pulse_open(1.0)
    arm.box.advance(9.0)
    assert arm.box.is_down
    assert arm.moves() == []


def test_a_hand_moves_the_arm_and_the_log_says_so() -> None:
    arm = Arm()
    arm.box.hand(1.0, up=True)
    arm.box.advance(5.0)
    arm.box.hand(6.0, up=False)
    arm.box.advance(20.0)
    assert arm.moves() == [(1.0, "up", "hand"), (6.0, "down", "hand")]


CONTACTS = st.tuples(
    st.floats(0.0, 3.0),
    st.sampled_from(("open", "close", "stop", "fire", "power", "loop", "photocell", "up", "down")),
    st.booleans(),
)


def _touch(box: BarrierController, at_s: float, what: str, on: bool, under: dict[str, bool]) -> None:
    match what:
        case "open":
            box.set_open(at_s, on)
        case "close":
            box.set_close(at_s, on)
        case "stop":
            box.set_stop(at_s, on)
        case "fire":
            box.set_fire(at_s, on)
        case "power":
            box.set_power(at_s, on)
        case "up" | "down":
            box.hand(at_s, up=what == "up")
        case _:
            under[what] = on
            box.set_under_arm(at_s, loop=under["loop"], photocell=under["photocell"])


@settings(max_examples=200, deadline=None)
@given(story=st.lists(CONTACTS, max_size=25), slices=st.lists(st.floats(0.0, 60.0), max_size=20))
def test_the_story_does_not_depend_on_how_time_is_sliced_and_no_arm_falls_on_something(
    story: list[tuple[float, str, bool]], slices: list[float]
) -> None:
    logs = []
    for cuts in ([], sorted(slices)):
        arm = Arm(auto_close=True)
        under = {"loop": False, "photocell": False}
        at_s = 0.0
        for wait, what, on in story:
            for cut in (cut for cut in cuts if at_s < cut < at_s + wait):
                arm.box.advance(cut)
            at_s += wait
            _touch(arm.box, at_s, what, on, under)
            falling = arm.box.is_moving and not arm.box.is_rising
            assert not (falling and any(under.values()))
        for cut in (cut for cut in cuts if cut > at_s):
            arm.box.advance(cut)
        arm.box.advance(200.0)
        logs.append(arm.lines)
    assert logs[0] == logs[1]
