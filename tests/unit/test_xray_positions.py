"""Two counters on one shaft: where a picture lies on the belt, and when nobody knows."""

from __future__ import annotations

import random

import pytest

from edge.xray_bridge.positions import AGREE_MM, Counters, EyeCounters, Known, Span, led_back

START = "a1b2"
PICTURE = f"{START}-17"


def running(
    counters: Counters, *, offset_mm: float, speed_mm_s: float, seconds: int, jitter_s: float
) -> None:
    """Board's looks every 20 ms, machine's states once a second, each heard a little late."""
    chance = random.Random(7)
    for tick in range(seconds * 50):
        at_s = tick * 0.02
        belt_mm = at_s * speed_mm_s
        counters.saw_board(at_s + chance.uniform(0, jitter_s), belt_mm, speed_mm_s, 1)
        if tick % 50 == 25:
            heard_s = at_s + chance.uniform(0, jitter_s)
            counters.saw_state(heard_s, belt_mm - offset_mm, START, running=True)


def test_while_the_belt_runs_the_offset_is_found_within_a_few_millimetres() -> None:
    counters = Counters()
    running(counters, offset_mm=12_345.0, speed_mm_s=300.0, seconds=10, jitter_s=0.02)
    known = counters.known(PICTURE)
    assert known is not None
    assert known.offset_mm == pytest.approx(12_345.0, abs=6.0)
    assert known.within_mm <= 12.0


def test_on_a_standing_belt_it_is_exact() -> None:
    counters = Counters()
    counters.saw_board(1.0, 500.0, 0.0, 1)
    counters.saw_state(1.2, 20.0, START, running=False)
    known = counters.known(PICTURE)
    assert known is not None
    assert known.offset_mm == 480.0


def test_one_running_state_is_not_enough() -> None:
    counters = Counters()
    counters.saw_board(1.0, 500.0, 300.0, 1)
    counters.saw_state(1.0, 20.0, START, running=True)
    assert counters.known(PICTURE) is None


def test_a_machine_that_started_anew_is_unknown_until_it_has_said_enough() -> None:
    counters = Counters()
    running(counters, offset_mm=0.0, speed_mm_s=300.0, seconds=6, jitter_s=0.0)
    counters.saw_state(7.0, 0.0, "other", running=True)
    assert counters.known(PICTURE) is None
    assert counters.known("other-1") is None


def test_a_picture_of_another_run_of_the_machine_has_no_place() -> None:
    counters = Counters()
    running(counters, offset_mm=0.0, speed_mm_s=300.0, seconds=6, jitter_s=0.0)
    assert counters.known("other-1") is None


def test_a_board_whose_counter_was_lost_in_between_makes_it_unknown() -> None:
    counters = Counters()
    running(counters, offset_mm=0.0, speed_mm_s=300.0, seconds=6, jitter_s=0.0)
    counters.saw_board(6.1, 1_900.0, 300.0, 2)
    assert counters.known(PICTURE) is None


def test_a_board_that_was_not_heard_lately_teaches_nothing() -> None:
    counters = Counters()
    counters.saw_board(1.0, 500.0, 0.0, 1)
    counters.saw_state(2.0, 20.0, START, running=False)
    assert counters.known(PICTURE) is None


def belt_of(lengths: list[float], gaps: list[float]) -> list[Span]:
    """Parcels one behind the other."""
    spans, at_mm = [], 0.0
    for length, gap in zip(lengths, gaps, strict=True):
        spans.append(Span(at_mm, at_mm + length))
        at_mm += length + gap
    return spans


def by_eye(spans: list[Span], offset_mm: float) -> list[Known | None]:
    eye = EyeCounters(latest_mm=1_500.0)
    found = []
    for span in spans:
        eye.saw_eye(blocked=True, belt_mm=span.leading_mm)
        eye.saw_eye(blocked=False, belt_mm=span.trailing_mm)
        own = Span(span.leading_mm - offset_mm, span.trailing_mm - offset_mm)
        found.append(eye.of(own, span.trailing_mm + 200.0))
    return found


def test_from_pictures_and_the_eye_it_is_found_by_the_third_parcel() -> None:
    spans = belt_of([310.0, 480.0, 220.0, 350.0], [900.0, 700.0, 650.0, 800.0])
    found = by_eye(spans, 77_000.0)
    assert found[0] is None
    assert found[-1] is not None
    assert found[-1].offset_mm == pytest.approx(77_000.0, abs=AGREE_MM)


def test_like_parcels_at_like_distances_leave_it_unknown() -> None:
    """Shifted by one parcel everything agrees as well: the picture of one under the number of another."""
    spans = belt_of([300.0] * 8, [200.0] * 8)
    assert by_eye(spans, 77_000.0)[-1] is None


def test_when_nothing_agrees_any_more_it_is_forgotten() -> None:
    spans = belt_of([310.0, 480.0, 220.0, 350.0], [900.0, 700.0, 650.0, 800.0])
    eye = EyeCounters(latest_mm=1_500.0)
    for span in spans:
        eye.saw_eye(blocked=True, belt_mm=span.leading_mm)
        eye.saw_eye(blocked=False, belt_mm=span.trailing_mm)
        eye.of(span, span.trailing_mm + 200.0)
    elsewhere = [Span(9_000.0 + 700 * n, 9_000.0 + 700 * n + 111.0 * n) for n in range(1, 5)]
    assert [eye.of(span, None) for span in elsewhere] == [None] * 4


def test_edges_are_led_back_to_the_portals_eye() -> None:
    assert led_back(Span(100.0, 400.0), Known(1_000.0, 3.0), 600.0) == Span(500.0, 800.0)
