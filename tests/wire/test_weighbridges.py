"""Weighbridge lines with a check: what it is worth, byte by byte; what the drivers of two of them tell.

The other makes, and all against their simulators: `test_weighbridge_makes.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from functools import reduce
from operator import xor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.devices.driver import Driver, Output
from edge.devices.framing import Cutter
from edge.devices.readings import (
    DeviceFault,
    OrderRefused,
    ReadGarbled,
    Reading,
    ReadTruncated,
    TriggerRead,
    WeightSeen,
)
from edge.devices.weighbridge_toledo import driver as toledo_driver
from edge.devices.weighbridge_toledo import wire as toledo
from edge.devices.weighbridge_yaohua import driver as yaohua_driver
from edge.devices.weighbridge_yaohua import wire as yaohua
from edge.devices.weighbridge_yaohua_a12e import wire as a12e
from edge.devices.weighbridge_yaohua_command import wire as yaohua_command
from edge.devices.weighing import Unit

YAOHUA = [
    bytes.fromhex(text)
    for text in (
        "02 2B 30 30 31 35 36 30 30 31 39 03",
        "02 2D 30 30 30 30 32 30 30 31 46 03",
        "02 2B 30 30 32 30 30 30 32 31 42 03",
        "02 2B 30 34 39 35 32 30 30 31 31 03",
    )
]
TOLEDO = [
    bytes.fromhex(text)
    for text in (
        "02 2A 30 20 20 34 39 35 30 30 20 20 20 20 20 30 0D 05",
        "02 2A 38 20 20 31 32 33 34 30 20 20 20 20 20 30 0D 05",
        "02 2C 31 20 30 31 32 33 34 35 30 30 30 36 37 38 0D 10",
    )
]


def checked(body: bytes, end: bytes) -> bytes:
    """With the XOR that Yaohua puts behind it, as two characters."""
    return body + b"%02X" % reduce(xor, body) + end


COMMAND = [b"\x02" + checked(body, b"\x03") for body in (b"AB+0495200", b"AB-0000201", b"ZD+0020002")]
A12E = [checked(body, b"\r\n") for body in (b"WG004.139kg", b"WN-00020 kg", b"         OL")]


def with_chk() -> Cutter[toledo.Weight]:
    return toledo.decoder(toledo.Check.SENT)


def weights(make: Callable[[], Cutter[Any]], data: bytes) -> list[object]:
    cutter = make()
    told = cutter.feed(data) + cutter.quiet()
    return [message for message in told if not isinstance(message, ReadGarbled | ReadTruncated)]


def one_byte_changed(frame: bytes) -> Iterator[bytes]:
    for place in range(len(frame)):
        for byte in set(range(256)) - {frame[place]}:
            yield frame[:place] + bytes([byte]) + frame[place + 1 :]


def one_byte_lost(frame: bytes) -> Iterator[bytes]:
    for place in range(len(frame)):
        yield frame[:place] + frame[place + 1 :]


def one_byte_more(frame: bytes) -> Iterator[bytes]:
    for place in range(1, len(frame)):
        for byte in range(256):
            yield frame[:place] + bytes([byte]) + frame[place:]


LINES = [
    pytest.param(yaohua.decoder, YAOHUA, id="yaohua"),
    pytest.param(with_chk, TOLEDO, id="toledo with CHK"),
    pytest.param(yaohua_command.decoder, COMMAND, id="yaohua command"),
    pytest.param(a12e.decoder, A12E, id="A12(E)"),
]


@pytest.mark.parametrize(("make", "frames"), LINES)
@pytest.mark.parametrize("spoil", [one_byte_changed, one_byte_lost, one_byte_more])
def test_one_byte_changed_lost_or_added_anywhere_never_gives_a_weight_that_was_not_sent(
    make: Callable[[], Cutter[Any]], frames: list[bytes], spoil: Callable[[bytes], Iterator[bytes]]
) -> None:
    before, after = frames[0], frames[1]
    neighbours = [*weights(make, before), *weights(make, after)]
    checked = 0
    for frame in frames:
        sent = weights(make, frame)
        for spoilt in spoil(frame):
            found = weights(make, before + spoilt + after)
            # the byte may have been added between two frames, where it is mere noise
            assert found in (neighbours, [neighbours[0], *sent, neighbours[1]])
            checked += 1
    assert checked >= 12


@pytest.mark.parametrize(("make", "frames"), LINES)
def test_one_byte_changed_inside_a_frame_is_always_found(
    make: Callable[[], Cutter[Any]], frames: list[bytes]
) -> None:
    passed = [spoilt for frame in frames for spoilt in one_byte_changed(frame) if weights(make, spoilt)]
    assert passed == []


@pytest.mark.parametrize(("make", "frames"), LINES)
def test_every_cut_frame_is_told_as_cut_off_and_never_as_a_weight(
    make: Callable[[], Cutter[Any]], frames: list[bytes]
) -> None:
    for frame in frames:
        for kept in range(1, len(frame)):
            cutter = make()
            assert cutter.feed(frame[:kept]) == []
            assert cutter.quiet() == [ReadTruncated(frame[:kept])]


@pytest.mark.parametrize(("make", "frames"), LINES)
def test_a_cut_frame_followed_by_a_whole_one_gives_only_the_whole_one(
    make: Callable[[], Cutter[Any]], frames: list[bytes]
) -> None:
    for frame in frames:
        for kept in range(len(frame)):
            assert weights(make, frame[:kept] + frames[0]) == weights(make, frames[0])


def test_swapped_digits_pass_both_checks_which_is_why_equal_frames_are_asked_for() -> None:
    swapped = YAOHUA[0].replace(b"001560", b"001650")
    assert weights(yaohua.decoder, swapped) == [yaohua.Weight("+", "001650", 0)]
    swapped_toledo = TOLEDO[0].replace(b" 49500", b" 94500")
    assert [getattr(w, "value", None) for w in weights(with_chk, swapped_toledo)] == [Decimal(94500)]


def test_without_chk_a_changed_digit_is_not_seen_but_a_broken_shape_is() -> None:
    def without() -> Cutter[toledo.Weight]:
        return toledo.decoder(toledo.Check.NOT_SENT)

    frame = TOLEDO[0][:17]
    assert [getattr(w, "value", None) for w in weights(without, frame.replace(b"495", b"496"))] == [
        Decimal(49600)
    ]
    shapes = [s for s in one_byte_changed(frame) if weights(without, s)]
    assert [s for s in shapes if not s.startswith(b"\x02") or s[16] != 0x0D] == []
    assert [s for s in shapes if set(s[4:16]) - set(b" 0123456789")] == []


def test_an_indicator_without_chk_read_as_one_with_gives_no_weight_and_the_other_way_round_noise() -> None:
    assert weights(with_chk, b"".join(frame[:17] for frame in TOLEDO)) == []
    cutter = toledo.decoder(toledo.Check.NOT_SENT)
    told = cutter.feed(b"".join(TOLEDO)) + cutter.quiet()
    assert [type(m) for m in told] == [toledo.Weight, ReadGarbled] * 3


@given(sign=st.sampled_from("+-"), number=st.integers(0, 999_999), decimals=st.integers(0, 4))
def test_yaohua_frames_read_back_as_written(sign: str, number: int, decimals: int) -> None:
    weight = yaohua.Weight(sign, f"{number:06d}", decimals)
    assert weights(yaohua.decoder, yaohua.encode(weight)) == [weight]
    assert weight.value == Decimal(f"{sign}{number}").scaleb(-decimals)
    assert not weight.value.is_signed() or weight.value < 0


def toledo_frame(swa: int, weight: bytes, swb: int = 0x30, swc: int = 0x20, tare: bytes = b"     0") -> bytes:
    body = bytes([2, swa, swb, swc]) + weight + tare + b"\r"
    return body + bytes([-sum(body) & 0x7F])


@pytest.mark.parametrize(
    ("code", "shown", "appended"),
    [
        (0, "4950", "495000"), (1, "4950", "49500"), (2, "4950", "4950"), (3, "495.0", "495.0"),
        (4, "49.50", "49.50"), (5, "4.950", "4.950"), (6, "0.4950", "0.4950"), (7, "0.04950", "0.04950"),
    ],
)  # fmt: skip
def test_decimal_codes_place_the_point_and_zeros_are_appended_only_on_request(
    code: int, shown: str, appended: str
) -> None:
    frame = toledo_frame(0x28 | code, b"  4950")

    def indicator(append_zeros: bool) -> Callable[[], Cutter[toledo.Weight]]:
        return lambda: toledo.decoder(toledo.Check.SENT, append_zeros=append_zeros)

    found = [weights(indicator(append_zeros), frame)[0] for append_zeros in (False, True)]
    assert [f"{getattr(w, 'value', None):f}" for w in found] == [shown, appended]


@pytest.mark.parametrize("field", [b"12 345", b" 12  3", b"1     ", b"  -123", b" 12.34"])
def test_a_weight_field_that_is_no_padded_number_is_no_frame(field: bytes) -> None:
    assert weights(with_chk, toledo_frame(0x2A, field)) == []


# --- drivers ------------------------------------------------------------------------------------------------


def readings_of(driver: Driver, *data: bytes) -> list[Reading]:
    driver.opened(0.0)
    return [reading for piece in data for reading in driver.received(1.0, piece).readings]


def toledo_line(unit: Unit = "kg") -> Driver:
    return toledo_driver.toledo_line(toledo_driver.Settings(unit=unit))


def test_a_yaohua_weight_says_nothing_of_stability_and_is_in_kilograms() -> None:
    in_kg = yaohua_driver.yaohua_line(yaohua_driver.Settings())
    in_tonnes = yaohua_driver.yaohua_line(yaohua_driver.Settings(unit="t"))
    assert readings_of(in_kg, YAOHUA[2]) == [WeightSeen(Decimal("20.00"), stable=None)]
    assert readings_of(in_tonnes, YAOHUA[2]) == [WeightSeen(Decimal(20000), stable=None)]


def test_a_toledo_weight_carries_motion_and_range() -> None:
    still, moving = toledo_frame(0x2A, b" 49500"), toledo_frame(0x2A, b" 49500", swb=0x38)
    over = toledo_frame(0x2A, b" 99999", swb=0x34)
    assert readings_of(toledo_line(), still, moving, over) == [
        WeightSeen(Decimal(49500), stable=True, kind="gross"),
        WeightSeen(Decimal(49500), stable=False, kind="gross"),
        DeviceFault("overload", "the indicator says overload"),
        WeightSeen(Decimal(99999), stable=True, out_of_range=True, kind="gross"),
    ]


def test_out_of_range_is_told_once_until_a_weight_in_range_and_a_negative_one_is_underload() -> None:
    still, over = toledo_frame(0x2A, b" 49500"), toledo_frame(0x2A, b" 99999", swb=0x34)
    under, blank = toledo_frame(0x2A, b"   500", swb=0x36), toledo_frame(0x2A, b"      ", swb=0x34)
    found = readings_of(toledo_line(), over, over, blank, still, over, under, under)
    codes = [r.code for r in found if isinstance(r, DeviceFault)]
    assert codes == ["overload", "overload", "underload"]
    assert [r.out_of_range for r in found if isinstance(r, WeightSeen)] == [True, True, False, *[True] * 3]


def test_a_net_weight_is_told_as_net() -> None:
    net = toledo_frame(0x2A, b" 34500", swb=0x31, tare=b" 15000")
    assert readings_of(toledo_line(), net) == [WeightSeen(Decimal(34500), stable=True, kind="net")]


def test_a_whole_frame_is_a_sign_of_life_even_where_it_gives_no_reading() -> None:
    driver = toledo_line()
    power_up = toledo_frame(0x2A, b" 49500", swb=0x70)
    outputs = [driver.received(1.0, data) for data in (power_up, power_up, power_up[:9])]
    assert [(len(output.readings), output.heard) for output in outputs] == [(1, True), (0, True), (0, False)]


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (toledo_frame(0x2A, b" 49500", swb=0x20), "unit"),
        (toledo_frame(0x2A, b" 49500", swc=0x22), "unit"),
        (toledo_frame(0x2A, b" 49500", swb=0x70), "power_up"),
        (toledo_frame(0x2A, b"      "), "blank_display"),
    ],
)
def test_what_is_no_weight_in_the_unit_of_the_settings_is_a_fault_told_once_and_never_a_weight(
    frame: bytes, code: str
) -> None:
    good = toledo_frame(0x2A, b"   500")
    found = readings_of(toledo_line(), frame, frame, good, frame)
    assert [r.code if isinstance(r, DeviceFault) else type(r) for r in found] == [code, WeightSeen, code]


@pytest.mark.parametrize(
    ("unit", "swb", "swc", "kilograms"),
    [
        ("g", 0x30, 0x21, "0.5"),
        ("t", 0x30, 0x22, "500000"),
        ("kg", 0x30, 0x20, "500"),
        ("lb", 0x20, 0x20, "226.796185"),
    ],
)
def test_other_units_become_kilograms_exactly(unit: Unit, swb: int, swc: int, kilograms: str) -> None:
    found = readings_of(toledo_line(unit), toledo_frame(0x2A, b"   500", swb=swb, swc=swc))
    assert found == [WeightSeen(Decimal(kilograms), stable=True, kind="gross")]


DRIVERS = [
    pytest.param(
        lambda: yaohua_driver.yaohua_line(yaohua_driver.Settings(quiet_s=0.2)), YAOHUA[0], id="yaohua"
    ),
    pytest.param(
        lambda: toledo_driver.toledo_line(toledo_driver.Settings(quiet_s=0.2)), TOLEDO[0], id="toledo"
    ),
]


@pytest.mark.parametrize(("make", "frame"), DRIVERS)
def test_half_a_frame_asks_to_be_called_and_is_told_as_cut_off(
    make: Callable[[], Driver], frame: bytes
) -> None:
    driver = make()
    assert driver.opened(0.0).wake_at_s is None
    assert driver.received(1.0, frame[:5]) == Output(wake_at_s=1.2)
    assert driver.due(1.1) == Output(wake_at_s=1.2)
    assert driver.due(1.2) == Output((ReadTruncated(frame[:5]),))
    assert driver.due(9.0) == Output()


@pytest.mark.parametrize(("make", "frame"), DRIVERS)
def test_a_rest_that_comes_after_the_quiet_time_completes_nothing(
    make: Callable[[], Driver], frame: bytes
) -> None:
    driver = make()
    driver.opened(0.0)
    driver.received(1.0, frame[:5])
    late = driver.received(1.5, frame[5:])
    assert [type(r) for r in late.readings if not isinstance(r, ReadGarbled)] == [ReadTruncated]
    in_time = make()
    in_time.received(1.0, frame[:5])
    assert [type(r) for r in in_time.received(1.1, frame[5:]).readings] == [WeightSeen]


@pytest.mark.parametrize(("make", "frame"), DRIVERS)
def test_opening_again_forgets_half_a_frame(make: Callable[[], Driver], frame: bytes) -> None:
    driver = make()
    driver.received(1.0, frame[:5])
    driver.opened(1.01)
    found = driver.received(1.02, frame[5:]).readings + driver.due(9.0).readings
    assert [r for r in found if isinstance(r, WeightSeen)] == []


@pytest.mark.parametrize(("make", "frame"), DRIVERS)
def test_an_order_is_refused_and_keeps_the_time_asked_for(make: Callable[[], Driver], frame: bytes) -> None:
    driver = make()
    driver.received(1.0, frame[:5])
    output = driver.order(1.05, "o1", TriggerRead())
    assert [type(r) for r in output.readings] == [OrderRefused]
    assert output.wake_at_s == 1.2


def test_settings_are_plain_values() -> None:
    assert replace(yaohua_driver.Settings(), quiet_s=0.5).quiet_s == 0.5
