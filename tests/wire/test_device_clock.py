"""How late a message is, by a clock that may show anything (S5: stale evidence changes nothing)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.devices.device_clock import STEPPED_AFTER, DeviceClock
from edge.devices.plate_camera_hikvision.driver import seconds_of
from edge.devices.plate_camera_vzenith.driver import Settings, VzenithDriver
from edge.devices.readings import PlateSeen
from edge.gate.events import PlateRead, ReadFailed
from edge.gate.translation import STALE_PLATE_S, _plate
from hardware_sims.devices.plate_camera import plate_alarm


def push(plate: str, plate_id: int, unix_s: float) -> bytes:
    body = json.dumps(
        plate_alarm(license_text=plate, plate_id=plate_id, confidence=95, unix_s=unix_s, serial_no="s")
    ).encode()
    head = f"POST /plate HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def test_a_message_sent_again_late_is_as_old_as_its_camera_says_whatever_that_clock_shows() -> None:
    clock = DeviceClock()
    assert clock.age_s(100.0, 5_000_000.0) == 0.0
    assert clock.age_s(160.0, 5_000_060.0) == 0.0
    late = clock.age_s(225.0, 5_000_095.0)
    assert late == pytest.approx(30.0, abs=0.1)


def test_a_message_without_a_time_has_no_age() -> None:
    assert DeviceClock().age_s(1.0, None) is None


def test_a_clock_set_forward_makes_nothing_late() -> None:
    clock = DeviceClock()
    ages = [clock.age_s(float(at), at + (3600.0 if at > 50 else 0.0)) for at in range(0, 100, 10)]
    assert ages == [0.0] * 10


def test_a_clock_set_back_is_understood_after_a_few_messages() -> None:
    clock = DeviceClock()
    clock.age_s(0.0, 10_000.0)
    ages = [clock.age_s(float(at), 6_400.0 + at) for at in range(10, 60, 10)]
    assert [age is not None and age > STALE_PLATE_S for age in ages] == [True] * (STEPPED_AFTER - 1) + [
        False
    ] * (5 - STEPPED_AFTER + 1)


def test_messages_that_are_late_by_different_times_never_become_fresh() -> None:
    clock = DeviceClock()
    clock.age_s(0.0, 0.0)
    ages = [clock.age_s(50.0 + at, float(at)) for at in (1, 9, 12, 25, 26)]
    assert clock.age_s(60.0, 60.0) == 0.0
    again = [clock.age_s(100.0 + 7 * n, 60.0 + n) for n in range(8)]
    assert min(age for age in again if age is not None) > STALE_PLATE_S
    assert len(ages) == 5


@given(
    drift=st.floats(-0.0001, 0.0001),
    gaps=st.lists(st.floats(0.5, 20_000.0), min_size=1, max_size=40),
    jitter=st.lists(st.floats(0.0, 1.0), min_size=40, max_size=40),
)
def test_two_clocks_that_run_apart_make_no_fresh_message_late(
    drift: float, gaps: list[float], jitter: list[float]
) -> None:
    clock = DeviceClock()
    at_s = 0.0
    for gap_s, wait_s in zip(gaps, jitter, strict=False):
        at_s += gap_s
        age_s = clock.age_s(at_s + wait_s, 1e9 + at_s * (1.0 + drift))
        assert age_s is not None
        assert age_s < STALE_PLATE_S


def test_a_camera_that_sends_a_recognition_again_on_another_connection_is_not_believed_late() -> None:
    settings, clock = Settings(), DeviceClock()
    first = VzenithDriver(settings, clock=clock)
    second = VzenithDriver(settings, clock=clock)
    now = first.received(100.0, push("京EA4393", 1, 1_800_000_000.0))
    late = second.received(140.0, push("鲁FS3110", 2, 1_800_000_008.0))
    events = [
        _plate("camera", reading)
        for out in (now, late)
        for reading in out.readings
        if isinstance(reading, PlateSeen)
    ]
    assert [type(event) for event in events] == [PlateRead, ReadFailed]


def test_hikvision_times_are_read_with_and_without_a_zone() -> None:
    assert seconds_of("2026-03-02T08:00:30+08:00") == seconds_of("2026-03-02T00:00:30Z")
    assert seconds_of("2026-03-02T08:00:30") is not None
    assert seconds_of("yesterday") is None
    assert seconds_of("") is None
