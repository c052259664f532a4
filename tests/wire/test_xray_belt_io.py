"""The belt's board: an edge has its position and how sure it is; what is not known is never a position."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.devices.catalogue import make_driver
from edge.devices.driver import Driver, Output
from edge.devices.readings import (
    BeltOutput,
    BeltSeen,
    BeltUnknown,
    DeviceFault,
    EnergiseOutput,
    EyeEdge,
    Order,
    OrderDone,
    OrderRefused,
    PulseRelay,
    ReadGarbled,
    Reading,
    ReleaseOutput,
    SetRelay,
)
from edge.devices.settings import SettingsRefused

PAGE = Path(__file__).parents[2] / "docs" / "devices" / "xray_belt_io.md"
CLEAR = 0x1F3F
"""Nothing in any beam, belt running forward, source on, infeed running, no stop."""
PORTAL, XRAY, DIVERTER = 1 << 0, 1 << 1, 1 << 2
RUNNING, FORWARD, SOURCE, STOP_LOOP = 1 << 8, 1 << 9, 1 << 10, 1 << 11


class Board:
    """Modbus TCP by hand: answers reads of function 04 and 02, notes what is written by 05."""

    def __init__(self, driver: Driver, count: int = 1000) -> None:
        self.driver = driver
        self.count = self.start_count = count
        self.inputs = CLEAR
        self.coils: list[tuple[int, int]] = []
        self.dead = False
        self.deaf_to_writes = False
        self.exception = 0
        self.now_s = 0.0
        self.wake_s: float | None = None
        self.hung_up = False
        self.told: list[Reading] = []
        self.asked: list[int] = []
        self.on_the_way = b""
        self._take(driver.opened(0.0))

    def run(self, until_s: float, *, mm_s: float = 0.0, step_s: float = 0.001) -> list[Reading]:
        """Time passes; the belt moves; answers take a step; the driver is called when it asked for it."""
        before = len(self.told)
        start_s, start = self.now_s, self.count
        while self.now_s < until_s - 1e-9:
            self.now_s = min(until_s, self.now_s + step_s)
            self.count = start + round((self.now_s - start_s) * mm_s / 0.1)
            if self.on_the_way:
                answer, self.on_the_way = self.on_the_way, b""
                self._take(self.driver.received(self.now_s, answer))
            if self.wake_s is not None and self.now_s >= self.wake_s:
                self._take(self.driver.due(self.now_s))
        return self.told[before:]

    @property
    def true_mm(self) -> float:
        return (self.count - self.start_count) * 0.1

    def order(self, order: Order, order_id: str = "o") -> list[Reading]:
        before = len(self.told)
        self._take(self.driver.order(self.now_s, order_id, order))
        return self.told[before:]

    def _take(self, output: Output) -> None:
        self.told += output.readings
        self.wake_s = output.wake_at_s
        self.hung_up = self.hung_up or output.hang_up
        if output.send and not self.dead:
            self.on_the_way = self._answer(output.send)

    def _answer(self, data: bytes) -> bytes:
        transaction, zero, _, unit, function, address, value = struct.unpack(">HHHBBHH", data)
        assert (zero, unit) == (0, 1)
        self.asked.append(function)
        body = bytes([unit, function])
        if self.exception:
            body = bytes([unit, function | 0x80, self.exception])
        elif function == 4:
            assert (address, value) == (0, 2)
            body += b"\x04" + struct.pack(">I", self.count % 2**32)
        elif function == 2:
            assert (address, value) == (0, 16)
            body += b"\x02" + struct.pack("<H", self.inputs)
        elif self.deaf_to_writes:
            return b""
        else:
            self.coils.append((address, value))
            body = data[6:]
        return struct.pack(">HHH", transaction, 0, len(body)) + body


def board(**settings: object) -> Board:
    return Board(make_driver("xray.belt_io", settings))


def edges(readings: list[Reading]) -> list[EyeEdge]:
    return [reading for reading in readings if isinstance(reading, EyeEdge)]


def belts(readings: list[Reading]) -> list[BeltSeen]:
    return [reading for reading in readings if isinstance(reading, BeltSeen)]


def unknowns(readings: list[Reading]) -> list[str]:
    return [reading.why for reading in readings if isinstance(reading, BeltUnknown)]


# --- position and edges -------------------------------------------------------------------------------------


def test_the_requests_are_those_of_the_page() -> None:
    page = re.sub(r"\s+", " ", PAGE.read_text(encoding="utf-8"))
    driver = make_driver("xray.belt_io", {})
    first = driver.opened(0.0).send
    second = driver.received(0.0, bytes.fromhex("00 01 00 00 00 07 01 04 04 00 01 E2 40")).send
    (seen,) = driver.received(0.0, bytes.fromhex("00 02 00 00 00 05 01 02 02 3F 1C")).readings
    pulse = driver.order(0.0, "a", EnergiseOutput("pass", 0.5)).send
    release = driver.received(0.0, pulse)
    assert [type(r) for r in release.readings] == [OrderDone]
    fall = driver.order(0.0, "b", ReleaseOutput("feed_permit")).send
    for sent in (first, second, pulse, fall):
        assert f"`{sent.hex(' ').upper()}`" in page
    assert seen == BeltSeen(
        0.0, 0.0, 1, (), running=False, forward=False, source_on=True, emergency_stop=False, feed_running=True
    )


def test_an_edge_is_known_within_what_the_belt_travels_between_two_looks() -> None:
    """Uncertainty is belt speed x poll interval."""
    line = board(poll_s=0.01)
    line.run(1.0, mm_s=300)
    true_mm = line.true_mm
    line.inputs ^= PORTAL
    (edge,) = edges(line.run(1.5, mm_s=300))
    assert (edge.eye, edge.blocked, edge.origin) == ("portal", True, 1)
    assert edge.belt_mm - edge.within_mm <= true_mm <= edge.belt_mm
    # 10 ms of rest and two answers of a millisecond each, in steps of a millisecond
    assert edge.within_mm == pytest.approx(300 * 0.0125, rel=0.1)


def test_every_edge_of_a_running_belt_lies_within_its_own_bounds() -> None:
    line = board(poll_s=0.012)
    wrong = []
    for n in range(40):
        line.run(line.now_s + 0.0837, mm_s=311)
        line.inputs ^= (PORTAL, XRAY, DIVERTER)[n % 3]
        true_mm = line.true_mm
        found = edges(line.run(line.now_s + 0.05, mm_s=311))
        wrong += [true_mm for e in found if not e.belt_mm - e.within_mm - 0.2 <= true_mm <= e.belt_mm + 0.2]
        assert len(found) == 1
    assert wrong == []


def test_the_counter_may_wrap_and_position_goes_on() -> None:
    line = Board(make_driver("xray.belt_io", {}), count=2**32 - 1500)
    seen = belts(line.run(1.0, mm_s=300))
    assert line.count > 2**32
    assert seen[-1].belt_mm == pytest.approx(300, abs=4 + 300 * 0.1)
    assert unknowns(line.told) == []


def test_a_belt_that_runs_back_counts_back() -> None:
    line = board()
    line.run(1.0, mm_s=300)
    forward = belts(line.told)[-1]
    line.run(1.5, mm_s=-200)
    back = belts(line.told)[-1]
    assert forward.speed_mm_s == pytest.approx(300, rel=0.1)
    assert back.speed_mm_s == pytest.approx(-200, rel=0.1)
    assert back.belt_mm == pytest.approx(200, abs=25)
    assert (back.origin, unknowns(line.told)) == (1, [])


def test_a_flicker_of_an_eye_is_no_edge_and_a_change_counts_from_its_first_look() -> None:
    line = board(poll_s=0.01, steady_looks=3)
    line.run(0.5, mm_s=300)
    line.inputs ^= PORTAL
    line.run(0.511, mm_s=300)
    line.inputs ^= PORTAL
    assert edges(line.run(0.7, mm_s=300)) == []
    true_mm = line.true_mm
    line.inputs ^= PORTAL
    (edge,) = edges(line.run(0.9, mm_s=300))
    assert edge.belt_mm - edge.within_mm <= true_mm <= edge.belt_mm


def test_an_edge_says_how_long_ago_it_was_seen() -> None:
    line = board(poll_s=0.05, steady_looks=3)
    line.run(0.5, mm_s=300)
    line.inputs ^= PORTAL
    (edge,) = edges(line.run(0.8, mm_s=300))
    assert edge.ago_s == pytest.approx(0.1, abs=0.02)
    assert edge.ago_s == pytest.approx((edges_told_mm(line) - edge.belt_mm) / 300, abs=0.01)


def edges_told_mm(line: Board) -> float:
    """Where the belt was told to stand with the edge."""
    at = next(n for n, each in enumerate(line.told) if isinstance(each, EyeEdge))
    return belts(line.told[at:])[0].belt_mm


def test_an_answer_nobody_looked_at_in_time_is_no_look() -> None:
    """X2: the program stood still; what lay there meanwhile says nothing of when."""
    driver = make_driver("xray.belt_io", {})
    driver.opened(0.0)
    driver.received(0.15, bytes.fromhex("00 01 00 00 00 07 01 04 04 00 01 E2 40"))
    driver.due(0.2)
    output = driver.received(0.21, bytes.fromhex("00 02 00 00 00 05 01 02 02 3F 1C"))
    assert belts(list(output.readings)) == []


def test_states_are_told_with_the_look_that_saw_them() -> None:
    line = board()
    line.run(0.5)
    line.inputs &= ~(RUNNING | STOP_LOOP)
    first = belts(line.run(0.52))[0]
    assert (first.running, first.forward, first.emergency_stop) == (False, True, True)


def test_broken_wires_read_as_something_in_the_beam_and_a_pressed_stop() -> None:
    line = board()
    line.inputs = 0
    (seen,) = belts(line.run(0.02))[-1:]
    assert (seen.emergency_stop, seen.running, seen.source_on) == (True, False, False)
    line.run(0.2)
    assert set(belts(line.told)[-1].blocked) == {
        "portal", "xray", "diverter", "pass_chute", "recheck_chute", "flag_chute",
    }  # fmt: skip


def test_polarity_and_wires_are_settings() -> None:
    line = board(inverted=["portal_eye", "emergency_stop"], flag_chute_eye=-1, belt_forward=-1)
    line.inputs = 0
    seen = belts(line.run(0.3))[-1]
    assert "portal" not in seen.blocked
    assert "flag_chute" not in seen.blocked
    assert (seen.emergency_stop, seen.forward) == (False, None)


# --- what is not known --------------------------------------------------------------------------------------


def test_a_silent_board_is_unknown_and_afterwards_positions_have_another_origin() -> None:
    line = board(stale_s=0.3)
    line.run(1.0, mm_s=300)
    line.dead = True
    readings = line.run(1.5, mm_s=300)
    assert unknowns(readings) == ["no whole look for 0.3 s"]
    line.dead = False
    line.inputs ^= PORTAL
    readings = line.run(2.0, mm_s=300)
    assert edges(readings) == []
    assert {seen.origin for seen in belts(readings)} == {2}
    assert belts(readings)[0].blocked == ("portal",)


def test_a_board_that_restarted_from_zero_is_no_position() -> None:
    line = board()
    line.run(3.0, mm_s=300)
    line.count = 0
    line.inputs ^= PORTAL
    readings = line.run(3.2, mm_s=300)
    assert [re.sub(r"-9[0-9]{3}|-10[0-9]{3}", "-N", why) for why in unknowns(readings)] == [
        "the counter jumped by -N counts"
    ]
    assert edges(readings) == []
    assert {seen.origin for seen in belts(readings)} == {2}


def test_a_line_opened_again_is_unknown_until_the_first_look() -> None:
    line = board()
    line.run(1.0, mm_s=300)
    output = line.driver.opened(1.1)
    assert [type(r) for r in output.readings] == [BeltUnknown]
    assert line.driver.opened(1.2).readings == ()


def test_a_dead_line_is_opened_again() -> None:
    line = board(gone_s=2.0)
    line.run(1.0)
    line.dead = True
    line.run(3.5)
    assert line.hung_up is True
    assert [r.why for r in line.told if isinstance(r, ReadGarbled)][-1] == "no whole look for 2 s"


def test_half_a_look_is_none() -> None:
    """The encoder answered, the inputs did not."""
    driver = make_driver("xray.belt_io", {})
    driver.opened(0.0)
    driver.received(0.0, bytes.fromhex("00 01 00 00 00 07 01 04 04 00 01 E2 40"))
    output = driver.due(0.5)
    assert belts(list(output.readings)) == []
    # answered too late: noise, and never with the counter of another look
    late = driver.received(0.5, bytes.fromhex("00 02 00 00 00 05 01 02 02 3F 1C"))
    assert [type(r) for r in late.readings] == [ReadGarbled]


def test_a_board_that_refuses_is_a_fault_once_and_unknown() -> None:
    line = board()
    line.run(0.5)
    line.exception = 2
    readings = line.run(1.5)
    assert [(r.code, r.detail) for r in readings if isinstance(r, DeviceFault)] == [
        ("illegal_address", "to reading its encoder")
    ]
    assert unknowns(readings) == ["no whole look for 0.3 s"]


@given(data=st.lists(st.binary(max_size=60), max_size=8))
def test_no_bytes_raise_and_none_of_them_make_an_edge(data: list[bytes]) -> None:
    driver = make_driver("xray.belt_io", {})
    driver.opened(0.0)
    for n, some in enumerate(data):
        readings = list(driver.received(n * 0.01, some).readings) + list(driver.due(n * 0.01).readings)
        assert edges(readings) == []


@settings(max_examples=40)
@given(at=st.integers(0, 60), bit=st.integers(0, 7), cut=st.booleans())
def test_a_spoilt_or_cut_answer_never_moves_the_belt_back_or_makes_it_leap(
    at: int, bit: int, cut: bool
) -> None:
    """Modbus TCP has no check of its own: what a changed value can do is bounded by what a belt can do."""
    line = board()
    line.run(0.2, mm_s=300)
    before = belts(line.told)[-1]
    honest = line._answer

    def spoilt(data: bytes) -> bytes:
        answer = bytearray(honest(data))
        answer[at % len(answer)] ^= 1 << bit
        return bytes(answer[: at % len(answer)] if cut else answer)

    line._answer = spoilt  # type: ignore[method-assign]
    line.run(0.21, mm_s=300)
    line._answer = honest  # type: ignore[method-assign]
    after = belts(line.run(0.6, mm_s=300))[-1]
    moved_mm = after.belt_mm - before.belt_mm
    assert after.origin > 1 or abs(moved_mm - 120) < 400


# --- orders -------------------------------------------------------------------------------------------------


def test_a_pass_is_one_pulse_the_board_ends() -> None:
    """X2: one energised pulse per parcel."""
    line = board()
    line.run(0.1)
    line.order(EnergiseOutput("pass", 0.5, not_after_s=0.2))
    assert [type(r) for r in line.run(1.0) if isinstance(r, OrderDone | OrderRefused)] == [OrderDone]
    assert line.coils == [(0x0202, 5)]


def test_a_pass_whose_time_is_over_is_not_sent() -> None:
    """X2: late means recheck. A late pulse would move another parcel."""
    line = board()
    line.run(0.5)
    (refused,) = line.order(EnergiseOutput("pass", 0.5, not_after_s=0.49))
    assert isinstance(refused, OrderRefused)
    assert refused.why == "too late to be sent"
    line.run(1.0)
    assert line.coils == []


def test_an_unanswered_pass_is_not_sent_again_after_its_time() -> None:
    line = board(retries=20)
    line.run(0.1)
    line.deaf_to_writes = True
    line.order(EnergiseOutput("pass", 0.5, not_after_s=0.3))
    line.run(0.35)
    sent = line.asked.count(5)
    line.deaf_to_writes = False
    readings = line.run(1.0)
    assert sent in (1, 2)
    assert line.coils == []
    assert line.asked.count(5) == sent
    assert [r.why for r in line.told if isinstance(r, OrderRefused)] == [
        f"no answer after {sent} attempts; whether it was carried out is not known"
    ]
    assert belts(readings) != []


def test_a_pass_that_waits_behind_others_is_refused_when_its_time_is_over() -> None:
    line = board(retries=0)
    line.run(0.1)
    line.deaf_to_writes = True
    line.order(EnergiseOutput("tower_red", 5.0), "light")
    line.order(EnergiseOutput("pass", 0.5, not_after_s=0.15), "pass")
    line.run(0.16)
    line.deaf_to_writes = False
    line.run(1.0)
    refusals = [(r.order_id, r.why) for r in line.told if isinstance(r, OrderRefused)]
    assert ("pass", "too late to be sent") in refusals
    assert [address for address, _ in line.coils] == []


def test_orders_go_between_looks_and_a_look_is_never_torn() -> None:
    line = board(poll_s=0.0)
    line.run(0.1, mm_s=300)
    for n in range(20):
        line.order(EnergiseOutput("tower_green", 1.0), str(n))
        line.run(line.now_s + 0.003, mm_s=300)
    asked = line.asked
    behind = [asked[at + 1] for at, function in enumerate(asked[:-1]) if function == 4]
    assert set(behind) == {2}
    assert len(behind) > 20
    assert len([r for r in line.told if isinstance(r, OrderDone)]) == 20


def test_an_order_nobody_answers_hides_neither_belt_nor_eyes() -> None:
    line = board(retries=20, stale_s=0.3)
    line.run(0.5, mm_s=300)
    line.deaf_to_writes = True
    for n in range(3):
        line.order(EnergiseOutput("tower_red", 1.0), str(n))
    line.run(2.0, mm_s=300)
    line.inputs ^= PORTAL
    (edge,) = edges(line.run(2.4, mm_s=300))
    assert unknowns(line.told) == []
    assert line.asked.count(5) > 3
    assert edge.within_mm <= 300 * 0.15


def test_many_orders_let_a_look_through_between_each_other() -> None:
    line = board(poll_s=0.0)
    line.run(0.1, mm_s=300)
    for n in range(30):
        line.order(EnergiseOutput("tower_red", 1.0), str(n))
    line.run(0.5, mm_s=300)
    between = "".join(str(function) for function in line.asked)
    assert "55" not in between
    assert len([r for r in line.told if isinstance(r, OrderDone)]) == 30


@pytest.mark.parametrize(
    ("order", "why"),
    [
        (EnergiseOutput("pass", 60.0), "at most 3 s"),
        (EnergiseOutput("flag", 0.5), "no relay is wired for flag"),
        (EnergiseOutput("feed_permit", 0.0), "above 0"),
        (PulseRelay(0, 1.0), "takes no PulseRelay"),
        (SetRelay(0, on=True), "takes no SetRelay"),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(order: Order, why: str) -> None:
    line = board(flag_pulse=-1)
    (refused,) = line.order(order)
    assert isinstance(refused, OrderRefused)
    assert why in refused.why
    assert line.coils == []


def test_x1_nothing_that_can_be_ordered_energises_a_source_resets_a_stop_or_moves_a_belt() -> None:
    """X1: kakou never energises the source, resets an emergency stop, or starts or reverses a belt; it reads
    states, may ask for a stop, and withholds the feed permit. Over the closed union of orders."""
    assert set(get_args(BeltOutput)) == {
        "feed_permit", "stop_request", "pass", "flag", "tower_red", "tower_amber", "tower_green",
    }  # fmt: skip
    given: dict[str, Any] = {
        "channel": 7, "duration_s": 1.0, "on": True, "rows": (), "colour": "red", "seq_no": "1",
        "pictures": (), "order_no": "1", "done": True,
    }  # fmt: skip
    line = board()
    for kind in get_args(Order):
        outputs = get_args(BeltOutput) if "output" in kind.__dataclass_fields__ else ("",)
        for output in outputs:
            fields = {name: given[name] for name in kind.__dataclass_fields__ if name in given}
            line.order(kind(**fields, **({"output": output} if output else {})))
            line.run(line.now_s + 0.05)
    # relays 0 to 6 are the outputs of the table; nothing else, relay 7 included, was ever written
    assert {address & 0xFF for address, _ in line.coils} == set(range(7))


def test_two_things_on_one_wire_stop_the_start() -> None:
    with pytest.raises(SettingsRefused) as caught:
        make_driver(
            "xray.belt_io",
            {"portal_eye": 1, "belt_running": 16, "feed_permit": 2, "tower_red": 8, "inverted": ["eye"]},
        )
    assert [str(error) for error in caught.value.errors] == [
        "inverted: expected names of inputs: portal_eye, xray_eye, diverter_eye, pass_chute_eye, "
        "flag_chute_eye, recheck_chute_eye, belt_running, belt_forward, source_on, emergency_stop, "
        "feed_running, got 'eye'",
        "portal_eye: expected a input of its own, got input 1, shared",
        "xray_eye: expected a input of its own, got input 1, shared",
        "belt_running: expected input 0 to 15, got 16",
        "feed_permit: expected a relay of its own, got relay 2, shared",
        "pass_pulse: expected a relay of its own, got relay 2, shared",
        "tower_red: expected relay 0 to 7, got 8",
    ]
