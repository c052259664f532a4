"""Time as programs see it."""

from __future__ import annotations

import re
import sys
import time
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from edge.runtime.clock import UNKNOWN_MS, SystemClock, _uncertainty_ms

KERNEL_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def test_wall_time_is_utc_with_microseconds_and_always_of_one_length() -> None:
    text = SystemClock().utc_text()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", text)
    told = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    assert abs((datetime.now(UTC) - told).total_seconds()) < 5


def test_monotonic_time_never_goes_back_and_is_finer_than_a_millisecond() -> None:
    clock = SystemClock()
    times = [clock.monotonic_s() for _ in range(2000)]
    assert times == sorted(times)
    steps = {round(after - before, 9) for before, after in pairwise(times)} - {0.0}
    assert min(steps) < 0.001


def test_one_boot_has_one_name() -> None:
    clock = SystemClock()
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", clock.boot_id())
    assert clock.boot_id() == clock.boot_id()


@pytest.mark.skipif(not KERNEL_BOOT_ID.exists(), reason="only Linux names its boots")
def test_a_restarted_program_is_still_in_the_same_boot() -> None:
    assert SystemClock().boot_id() == SystemClock().boot_id() == KERNEL_BOOT_ID.read_text().strip()


@pytest.mark.parametrize(
    ("state", "status", "max_error_us", "expected_ms"),
    [
        (0, 0x2001, 0, 0),
        (0, 0x2001, 1, 1),
        (0, 0x2001, 15_500, 16),
        (0, 0x2001, 16_000, 16),
        (0, 0x2041, 15_500, UNKNOWN_MS),
        (5, 0x2001, 15_500, UNKNOWN_MS),
        (-1, 0, 0, UNKNOWN_MS),
    ],
    ids=["perfect", "rounded up", "synchronised", "whole", "unsynchronised", "clock error", "call failed"],
)
def test_uncertainty_is_the_worst_error_of_a_synchronised_clock_and_else_unknown(
    state: int, status: int, max_error_us: int, expected_ms: int
) -> None:
    assert _uncertainty_ms(state, status, max_error_us) == expected_ms


def test_this_machine_answers_with_an_uncertainty_or_says_it_is_unknown() -> None:
    assert SystemClock().uncertainty_ms() >= UNKNOWN_MS


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="adjtimex is of Linux")
def test_on_linux_the_kernel_is_really_asked() -> None:
    clock = SystemClock()
    assert clock._adjtimex is not None


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="this machine has no such clock")
def test_a_device_that_sleeps_counts_the_time_it_slept(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = {time.CLOCK_BOOTTIME: 8 * 3600.0}
    monkeypatch.setattr(time, "clock_gettime", clocks.__getitem__)
    assert SystemClock(counts_sleep=True).monotonic_s() == 8 * 3600.0
