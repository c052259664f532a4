"""The one way to ask for time. Order and patience use the monotonic clock; wall time is only ever a label.

A wall clock may step, backwards too: nothing may be ordered, expired or freed by it. That is why the label
carries the boot it was made in and how far it may be off.
"""

from __future__ import annotations

import ctypes
import sys
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

UNKNOWN_MS = -1
"""The uncertainty of a clock nobody vouches for."""

# On Windows `time.monotonic` moves in steps of 15.6 ms; the performance counter is monotonic and fine.
_monotonic_s: Callable[[], float] = time.perf_counter if sys.platform == "win32" else time.monotonic


def _boot_time_s() -> float:
    """Linux's monotonic clock stands still while the machine sleeps; this one does not."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Clock(Protocol):
    def monotonic_s(self) -> float:
        """Seconds since some moment of this boot or program. Never goes back; unknown to other machines."""

    def utc_text(self) -> str:
        """Wall time such as `2025-03-01T08:00:00.000000Z`, always 27 characters. May step either way."""

    def boot_id(self) -> str:
        """Names the span in which monotonic times may be compared."""

    def uncertainty_ms(self) -> int:
        """How far the wall time may be off; `UNKNOWN_MS` (-1) where nobody vouches for it."""


class SystemClock:
    """The machine's own clocks."""

    def __init__(self, *, counts_sleep: bool = False) -> None:
        """`counts_sleep`: for a device that is carried and put to sleep: what is to happen after a while (its
        lock) has happened when it wakes."""
        goes_on = counts_sleep and hasattr(time, "CLOCK_BOOTTIME")
        self._monotonic_s = _boot_time_s if goes_on else _monotonic_s
        self._boot_id = _read_boot_id()
        self._adjtimex = _find_adjtimex()

    def monotonic_s(self) -> float:
        return self._monotonic_s()

    def utc_text(self) -> str:
        return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")

    def boot_id(self) -> str:
        """Linux: the kernel's, so a restarted program keeps it. Elsewhere: random, new at each start."""
        return self._boot_id

    def uncertainty_ms(self) -> int:
        """From the kernel's time discipline (adjtimex): the worst error while synchronised, else -1."""
        if self._adjtimex is None:
            return UNKNOWN_MS
        timex = _Timex()
        state = self._adjtimex(ctypes.byref(timex))
        return _uncertainty_ms(state, timex.status, timex.maxerror)


class _Timex(ctypes.Structure):
    """The head of `struct timex` (adjtimex(2)); the tail is room we never read. modes 0 only asks."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("tail", ctypes.c_char * 256),
    )


_TIME_ERROR = 5
_STA_UNSYNC = 0x0040


def _uncertainty_ms(state: int, status: int, max_error_us: int) -> int:
    if state < 0 or state == _TIME_ERROR or status & _STA_UNSYNC or max_error_us < 0:
        return UNKNOWN_MS
    return -(-max_error_us // 1000)


def _find_adjtimex() -> Callable[..., int] | None:
    if not sys.platform.startswith("linux") or hasattr(sys, "getandroidapilevel"):
        # Android ends an app that makes this system call (seccomp, bionic's list of what apps may not).
        return None
    try:
        adjtimex = ctypes.CDLL(None).adjtimex
    except (OSError, AttributeError):
        return None
    adjtimex.argtypes = [ctypes.POINTER(_Timex)]
    adjtimex.restype = ctypes.c_int
    found: Callable[..., int] = adjtimex
    return found


def _read_boot_id() -> str:
    try:
        return str(uuid.UUID(Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()))
    except (OSError, ValueError):
        return str(uuid.uuid4())
