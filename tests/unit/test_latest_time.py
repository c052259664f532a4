"""A clock that is set back makes nothing young again: the latest time ever seen is a floor under it, over a
boot too, and only the centre's own word on a live connection takes a wrong one away (S10)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from edge.handheld.latest_time import FILE, LatestTime
from edge.handheld.looking_up import Ageing

EIGHT, NINE, TEN, NOON = (f"2026-11-22T{hour}:00:00.000000Z" for hour in ("08", "09", "10", "12"))
NEXT_YEAR = "2027-11-22T08:00:00.000000Z"


@dataclass
class HandClock:
    utc: str = EIGHT
    at_s: float = 1_000.0
    boot: str = "boot-1"

    def monotonic_s(self) -> float:
        return self.at_s

    def utc_text(self) -> str:
        return self.utc

    def boot_id(self) -> str:
        return self.boot

    def uncertainty_ms(self) -> int:
        return 5


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / FILE


def test_a_clock_that_runs_on_is_believed(clock: HandClock, path: Path) -> None:
    latest = LatestTime(clock, path)
    assert latest.utc() == EIGHT
    clock.utc, clock.at_s = TEN, clock.at_s + 7_200
    assert latest.utc() == TEN


def test_set_back_it_goes_on_from_the_latest_with_the_monotonic_clock(clock: HandClock, path: Path) -> None:
    clock.utc = TEN
    latest = LatestTime(clock, path)
    latest.utc()
    clock.utc, clock.at_s = EIGHT, clock.at_s + 7_200
    assert latest.utc() == NOON


@pytest.mark.parametrize(("boot", "after_s", "then"), [("boot-1", 7_200, NOON), ("boot-2", 7_200, TEN)])
def test_it_outlives_the_program_and_stands_still_over_a_boot(
    clock: HandClock, path: Path, boot: str, after_s: float, then: str
) -> None:
    clock.utc = TEN
    LatestTime(clock, path).keep()
    later = HandClock(EIGHT, clock.at_s + after_s, boot)
    assert LatestTime(later, path).utc() == then


def test_it_is_kept_once_a_minute_and_at_once_when_the_program_ends(clock: HandClock, path: Path) -> None:
    latest = LatestTime(clock, path)
    latest.keep()
    kept = path.read_bytes()
    clock.utc, clock.at_s = NINE, clock.at_s + 59
    latest.keep()
    assert path.read_bytes() == kept
    latest.keep(at_once=True)
    assert NINE.encode() in path.read_bytes()


def test_what_the_journal_tells_is_seen_where_the_file_is_gone_or_spoilt(
    clock: HandClock, path: Path
) -> None:
    for content in (b"", b"{", b'{"utc": "9999-99-99", "boot_id": "b", "at_s": 1e300}'):
        path.write_bytes(content)
        latest = LatestTime(clock, path)
        for told in ("", "yesterday", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", TEN, NINE):
            latest.seen(told)
        assert latest.utc() == TEN


def test_a_clock_that_was_wrongly_ahead_is_cured_by_a_newer_head_while_connected_and_by_nothing_else(
    clock: HandClock, path: Path
) -> None:
    clock.utc = NEXT_YEAR
    latest = LatestTime(clock, path)
    latest.keep(at_once=True)
    clock.utc = NINE
    latest = LatestTime(clock, path)
    latest.seen(TEN)
    latest.vouched(EIGHT)
    latest.vouched(EIGHT)
    assert latest.utc() == NEXT_YEAR, "the first head may have lain here all the time"
    latest.vouched(TEN)
    assert latest.utc() == TEN
    latest.vouched(NINE)
    assert latest.utc() == TEN, "a head that is replayed is no newer one"


def test_s10_records_do_not_grow_young_when_the_clock_is_set_back(clock: HandClock, path: Path) -> None:
    latest = LatestTime(clock, path)
    ageing = Ageing(clock, False, "2026-01-01", latest)
    clock.utc, clock.at_s = NOON, clock.at_s + 14_400
    assert ageing.age_s(EIGHT) == 14_400
    clock.utc, clock.at_s = EIGHT, clock.at_s + 60
    assert ageing.age_s(EIGHT) == 14_460
