"""Keys -> scans: a scanner that types, a person who types, and both into one line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.reading.scans import NotACode, ScanSeen, Source
from edge.reading.wedge import FORGOTTEN_S, STALL_S, Keys, entered, erased, pressed, silent

NUMBER = "YT1234567890123"


def line(*parts: tuple[str, float], start_s: float = 100.0) -> tuple[Keys, float]:
    """Parts of (text, pause before each of its characters); the first pause counts from the last key."""
    keys, at_s = Keys(), start_s
    for text, pause_s in parts:
        for char in text:
            at_s += pause_s
            keys, _ = pressed(keys, char, at_s)
    return keys, at_s


def scan(*parts: tuple[str, float], before_enter_s: float = 0.001) -> ScanSeen | NotACode | None:
    keys, at_s = line(*parts)
    return entered(keys, at_s + before_enter_s)[1]


@pytest.mark.parametrize("pause_s", [0.0, 0.005, 0.03, 0.05])
def test_a_burst_and_enter_is_a_scan(pause_s: float) -> None:
    keys, at_s = line((NUMBER, pause_s))
    assert entered(keys, at_s + 0.001)[1] == ScanSeen(NUMBER, "", Source.WEDGE, at_s + 0.001)


def test_what_a_person_types_is_told_apart() -> None:
    said = scan((NUMBER, 0.15))
    assert isinstance(said, ScanSeen)
    assert (said.text, said.source) == (NUMBER, Source.TYPED)


def test_a_person_may_think_for_a_while() -> None:
    said = scan(("YT12345", 0.2), ("678", 1.5), ("90123", 0.2), before_enter_s=2.0)
    assert isinstance(said, ScanSeen)
    assert (said.text, said.source) == (NUMBER, Source.TYPED)


def test_a_window_that_hands_characters_over_late_loses_none() -> None:
    """Measured: a main loop stalled for 200 ms hands them over in bunches."""
    keys, at_s = Keys(), 0.0
    for bunch in ("YT123", "4567890", "123"):
        at_s += 0.2
        keys, _ = pressed(keys, bunch, at_s)
    assert entered(keys, at_s)[1] == ScanSeen(NUMBER, "", Source.WEDGE, at_s)


def test_an_identifier_in_front_tells_the_symbology() -> None:
    said = scan(("]C1" + NUMBER, 0.0))
    assert isinstance(said, ScanSeen)
    assert (said.text, said.symbology, said.aim) == (NUMBER, "code128", "]C1")


def test_typed_and_scanned_into_one_line_is_no_code() -> None:
    assert isinstance(scan(("12", 0.2), (NUMBER[0], 1.0), (NUMBER[1:], 0.0)), NotACode)


@pytest.mark.parametrize("kept", range(1, len(NUMBER)))
def test_the_end_of_a_code_is_never_a_code(kept: int) -> None:
    """S7: its beginning came, then a pause longer than a busy window makes, then the rest and Enter."""
    said = scan((NUMBER[:kept], 0.0), (NUMBER[kept : kept + 1], STALL_S + 0.1), (NUMBER[kept + 1 :], 0.0))
    assert isinstance(said, NotACode)


def test_the_beginning_of_a_code_is_never_a_code() -> None:
    keys, at_s = line((NUMBER[:9], 0.0))
    keys, cut = pressed(keys, "S", at_s + FORGOTTEN_S + 1)
    assert cut == NotACode(Source.WEDGE, "cut off after 9 characters", at_s, NUMBER[:9].encode())
    assert keys.text == "S"


def test_a_burst_whose_enter_comes_much_later_is_no_code() -> None:
    keys, at_s = line((NUMBER, 0.0))
    for late_s in (STALL_S + 0.1, FORGOTTEN_S + 1):
        assert isinstance(entered(keys, at_s + late_s)[1], NotACode)


def test_after_any_enter_the_next_scan_is_whole() -> None:
    keys, at_s = line(("12", 0.2), (NUMBER, 0.0))
    keys, _ = entered(keys, at_s)
    keys, _ = pressed(keys, NUMBER, at_s + 0.3)
    assert entered(keys, at_s + 0.3)[1] == ScanSeen(NUMBER, "", Source.WEDGE, at_s + 0.3)


def test_enter_alone_is_nothing() -> None:
    assert entered(Keys(), 1.0) == (Keys(), None)


def test_a_line_too_long_is_no_code() -> None:
    keys, _ = pressed(Keys(), "A" * 5000, 1.0)
    assert isinstance(entered(keys, 1.0)[1], NotACode)
    assert len(keys.text) == 4096


def test_a_person_erases() -> None:
    keys, at_s = line(("YT12X", 0.2))
    keys = erased(keys, at_s)
    assert entered(keys, at_s)[1] == ScanSeen("YT12", "", Source.TYPED, at_s)


def test_a_scanner_that_sends_no_enter_is_heard_after_a_silence() -> None:
    keys, at_s = line((NUMBER, 0.0))
    assert silent(keys, at_s + 0.1) == (keys, None)
    assert silent(keys, at_s + STALL_S + 0.1)[1] == ScanSeen(NUMBER, "", Source.WEDGE, at_s)
    assert silent(line((NUMBER, 0.2))[0], at_s + 60)[1] is None


@given(
    keys=st.lists(
        st.tuples(st.sampled_from(["A", "1", "]C1", "\t", "运", "press"]), st.floats(0, 7)), max_size=30
    )
)
def test_whatever_is_typed_a_scan_is_a_whole_line_without_long_pauses(keys: list[tuple[str, float]]) -> None:
    state, at_s = Keys(), 0.0
    for text, pause_s in keys:
        at_s += pause_s
        state, cut = pressed(state, text, at_s)
        assert cut is None or cut.source is Source.WEDGE
    _, said = entered(state, at_s)
    is_scan = isinstance(said, ScanSeen) and said.source is Source.WEDGE
    assert not is_scan or state.longest_s <= STALL_S
