"""Whose picture, whose code, whose edge: one measure at a time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.xray_bridge.association import Expected, Found, Span, Windows, associate, at_eye, owner_of
from edge.xray_bridge.values import Acquisition, Association

W = Windows()
A = Span(1, 1_000.0, 1_400.0)
B = Span(2, 2_000.0, 2_400.0)


def found(
    spans: tuple[Span, ...], leading_mm: float | None, trailing_mm: float | None, **rest: object
) -> Found:
    return associate(W, spans, leading_mm, trailing_mm, **rest)  # type: ignore[arg-type]


def test_in_its_place_it_is_matched() -> None:
    match = found((A, B), 1_010.0, 1_405.0)
    assert (match.association, match.parcel) == (Association.MATCHED, 1)
    assert (match.off_mm, match.length_off_mm, match.window_mm) == (10.0, -5.0, 60.0)


@pytest.mark.parametrize(
    ("leading_mm", "trailing_mm", "matched"),
    [
        (1_060.0, 1_460.0, True),
        (1_061.0, 1_450.0, False),
        (1_050.0, 1_461.0, False),
        (940.0, 1_340.0, True),
        (939.0, 1_350.0, False),
        (950.0, 1_339.0, False),
        (975.0, 1_425.0, True),
        (974.0, 1_425.0, False),
        (1_025.0, 1_374.0, False),
    ],
)
def test_both_edges_and_the_length_count(leading_mm: float, trailing_mm: float, matched: bool) -> None:
    assert (found((A, B), leading_mm, trailing_mm).association is Association.MATCHED) is matched


def test_no_place_no_length_and_nobody_there() -> None:
    assert found((A,), None, 1_400.0).why == "no_position"
    assert found((A,), 1_000.0, None).why == "no_position"
    assert found((A,), 1_000.0, 1_000.0).why == "no_length"
    nobody = found((A,), 5_000.0, 5_400.0)
    assert (nobody.association, nobody.why, nobody.candidates) == (
        Association.UNMATCHED,
        "nobody_there",
        (),
    )


def test_two_that_fit_are_ambiguous() -> None:
    both = found((Span(1, 1_000.0, 1_080.0), Span(2, 1_050.0, 1_130.0)), 1_025.0, 1_105.0)
    assert (both.association, both.parcel, both.candidates) == (Association.AMBIGUOUS, 0, (1, 2))


def test_a_picture_over_two_is_merged() -> None:
    both = found((A, Span(2, 1_410.0, 1_700.0)), 1_000.0, 1_700.0)
    assert (both.association, both.candidates) == (Association.MERGED, (1, 2))


def test_one_that_fits_and_hides_a_small_one_is_merged() -> None:
    assert found((A, Span(2, 1_405.0, 1_440.0)), 1_000.0, 1_440.0).association is Association.MERGED


def test_a_part_is_a_split() -> None:
    part = found((A,), 1_000.0, 1_200.0)
    assert (part.association, part.parcel, part.why) == (Association.SPLIT, 1, "shorter")
    assert found((A,), 900.0, 1_200.0).association is Association.UNMATCHED
    assert found((A,), 1_250.0, 1_500.0).association is Association.UNMATCHED


def test_a_slip_and_another_length_have_their_own_names() -> None:
    assert found((A,), 1_120.0, 1_520.0).why == "off_position"
    assert found((A,), 1_000.0, 1_700.0).why == "other_length"


def test_who_has_left_is_named_and_gets_nothing() -> None:
    gone = Span(1, 1_000.0, 1_400.0, True, True)
    late = found((gone,), 1_000.0, 1_400.0)
    assert (late.association, late.parcel, late.why, late.spoils) == (
        Association.UNMATCHED,
        0,
        "late",
        (),
    )
    assert found((gone,), 1_120.0, 1_520.0).why == "late"


def test_a_second_picture_spoils_the_first() -> None:
    again = found((Span(1, 1_000.0, 1_400.0, True),), 1_000.0, 1_400.0)
    assert (again.association, again.why, again.spoils) == (Association.AMBIGUOUS, "second_picture", (1,))
    part = found((Span(1, 1_000.0, 1_400.0, True),), 1_000.0, 1_200.0)
    assert (part.association, part.spoils) == (Association.SPLIT, (1,))
    fresh = found((A,), 1_000.0, 1_200.0)
    assert fresh.spoils == ()


def test_a_window_ends_half_way_to_the_neighbour() -> None:
    near = (A, Span(2, 1_440.0, 1_900.0))
    assert found(near, 1_019.0, 1_419.0).association is Association.MATCHED
    moved = found(near, 1_021.0, 1_421.0)
    assert (moved.association, moved.why) == (Association.AMBIGUOUS, "nearer_to_neighbour")
    assert found(near, 950.0, 1_350.0).association is Association.MATCHED
    before = (Span(1, 500.0, 960.0), Span(2, 1_000.0, 1_400.0))
    assert found(before, 979.0, 1_379.0).association is not Association.MATCHED
    assert found(before, 981.0, 1_381.0).association is Association.MATCHED
    in_the_eye = (A, Span(2, 1_440.0, None))
    assert found(in_the_eye, 1_021.0, 1_421.0).association is Association.AMBIGUOUS


def test_one_before_it_that_is_missing_may_be_the_one_in_its_place() -> None:
    before, here = Span(1, 1_000.0, 1_200.0), Span(2, 1_290.0, 1_500.0)
    held_up = found((before, here), 1_290.0, 1_495.0)
    assert (held_up.association, held_up.why, held_up.candidates) == (
        Association.AMBIGUOUS,
        "may_be_held_up",
        (2, 1),
    )
    for accounted in (
        Span(1, 1_000.0, 1_200.0, has_picture=True),
        Span(1, 1_000.0, 1_200.0, over=True),
        Span(1, 980.0, 1_180.0),
        Span(1, 1_000.0, 1_140.0),
    ):
        assert found((accounted, here), 1_290.0, 1_495.0).association is Association.MATCHED
    behind = Span(3, 1_650.0, 1_860.0)
    assert found((here, behind), 1_290.0, 1_495.0).association is Association.MATCHED


def test_a_parcel_still_in_the_eye_has_no_picture_yet() -> None:
    assert found((Span(1, 1_000.0, None),), 1_000.0, 1_400.0).association is Association.UNMATCHED


def test_what_the_machine_doubts_is_no_match() -> None:
    for said in Acquisition:
        match = found((A,), 1_000.0, 1_400.0, acquisition=said)
        assert (match.association is Association.MATCHED) is (said is Acquisition.SUCCESSFUL)
    assert found((A,), 1_000.0, 1_400.0, objects=2).association is Association.MERGED
    assert found((A,), 1_000.0, 1_400.0, objects=0).association is Association.MERGED


# --- codes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code_mm", "owner"),
    [
        (1_200.0, 1),
        (960.0, 1),
        (939.0, None),
        (1_460.0, 1),
        (1_461.0, None),
        (1_700.0, None),
        (1_990.0, 2),
    ],
)
def test_a_code_belongs_to_the_parcel_it_was_read_at(code_mm: float, owner: int | None) -> None:
    assert owner_of(W, (A, B), code_mm) == owner


def test_a_code_that_could_be_two_parcels_is_nobodys() -> None:
    near = (A, Span(2, 1_420.0, 1_900.0))
    assert owner_of(W, near, 1_385.0) == 1
    assert owner_of(W, near, 1_395.0) is None
    assert owner_of(W, near, 1_430.0) is None
    assert owner_of(W, near, 1_450.0) == 2


def test_a_code_between_two_is_the_nearers_only_within_half_of_the_gap() -> None:
    near = (A, Span(2, 1_500.0, 1_900.0))
    assert owner_of(W, near, 1_445.0) == 1
    assert owner_of(W, near, 1_455.0) == 2
    assert owner_of(W, (A, Span(2, 1_460.0, 1_900.0)), 1_430.0) is None


def test_a_parcel_in_the_eye_has_its_codes_already() -> None:
    assert owner_of(W, (Span(1, 1_000.0, None),), 1_300.0) == 1
    assert owner_of(W, (), 1_300.0) is None


# --- an eye -----------------------------------------------------------------------------------------------

FIRST = Expected(1, 5_000.0, 5_400.0)


def test_exactly_one_in_its_place() -> None:
    assert at_eye(60.0, (FIRST,), 5_060.0).number == 1
    assert at_eye(60.0, (FIRST,), 4_940.0).number == 1
    assert at_eye(60.0, (FIRST,), 5_061.0).why == "nobody_expected"
    two = at_eye(60.0, (FIRST, Expected(2, 5_050.0, 5_100.0)), 5_020.0)
    assert (two.number, two.candidates, two.why) == (None, (1, 2), "several_expected")


def test_not_farther_than_half_way_to_the_neighbour() -> None:
    near = (FIRST, Expected(2, 5_440.0, 5_800.0))
    assert at_eye(60.0, near, 5_019.0).number == 1
    assert at_eye(60.0, near, 5_021.0).why == "nearer_to_neighbour"
    assert at_eye(60.0, near, 5_421.0).number == 2
    assert at_eye(60.0, near, 5_419.0).number is None


# --- properties -------------------------------------------------------------------------------------------

lengths = st.floats(80.0, 800.0)
gaps = st.floats(0.0, 600.0)


@st.composite
def belts(draw: st.DrawFn) -> tuple[Span, ...]:
    at_mm, spans = 0.0, []
    for n in range(draw(st.integers(1, 8))):
        at_mm += draw(gaps)
        length = draw(lengths)
        spans.append(Span(n + 1, at_mm, at_mm + length))
        at_mm += length
    return tuple(spans)


@given(belts(), st.floats(-200.0, 5_000.0), lengths)
def test_a_match_is_where_its_parcel_is_as_long_and_nobody_elses(
    spans: tuple[Span, ...], leading_mm: float, length_mm: float
) -> None:
    match = associate(W, spans, leading_mm, leading_mm + length_mm)
    if match.association is Association.MATCHED:
        span = next(each for each in spans if each.number == match.parcel)
        assert span.trailing_mm is not None
        assert abs(span.leading_mm - leading_mm) <= W.window_mm
        assert abs(span.trailing_mm - leading_mm - length_mm) <= W.window_mm
        others = associate(W, tuple(s for s in spans if s is not span), leading_mm, leading_mm + length_mm)
        assert others.association is not Association.MATCHED


@given(belts(), st.floats(-200.0, 5_000.0), lengths)
def test_order_of_the_list_decides_nothing(
    spans: tuple[Span, ...], leading_mm: float, length_mm: float
) -> None:
    turned = tuple(reversed(spans))
    one = associate(W, spans, leading_mm, leading_mm + length_mm)
    two = associate(W, turned, leading_mm, leading_mm + length_mm)
    assert (one.association, one.parcel) == (two.association, two.parcel)


@given(belts(), st.floats(-200.0, 5_000.0))
def test_a_code_has_one_owner_and_no_other_parcel_so_near(spans: tuple[Span, ...], code_mm: float) -> None:
    owner = owner_of(W, spans, code_mm)
    if owner is not None:
        away = {s.number: max(0.0, s.leading_mm - code_mm, code_mm - (s.trailing_mm or 0.0)) for s in spans}
        assert away[owner] <= W.code_mm
        assert all(away[n] > W.code_within_mm for n in away if n != owner)


@given(belts())
def test_a_picture_exactly_in_place_is_its_parcels_or_merged(spans: tuple[Span, ...]) -> None:
    for span in spans:
        assert span.trailing_mm is not None
        match = associate(W, spans, span.leading_mm, span.trailing_mm)
        assert match.association in (Association.MATCHED, Association.AMBIGUOUS, Association.MERGED)
        assert match.parcel in (0, span.number)


# --- one guard at a time ----------------------------------------------------------------------------------


def test_only_what_lies_on_the_belt_is_spoiled() -> None:
    gone, here = Span(1, 1_000.0, 1_400.0, True, True), Span(2, 1_010.0, 1_410.0, True)
    both = found((gone, here), 1_005.0, 1_405.0)
    assert (both.why, both.candidates, both.spoils) == ("several_fit", (1, 2), (2,))


def test_the_window_told_is_that_of_its_side() -> None:
    before = Span(9, 900.0, 960.0)
    assert [found((before, A), 1_000.0 + off, 1_400.0 + off).window_mm for off in (-5.0, 5.0)] == [20.0, 60.0]


def test_one_still_in_the_eye_is_neighbour_and_no_candidate() -> None:
    in_the_eye = Span(9, 900.0, None)
    match = found((in_the_eye, A), 1_010.0, 1_405.0)
    assert (match.association, match.parcel) == (Association.MATCHED, 1)
    assert found((in_the_eye, A), 940.0, 1_345.0).why == "nearer_to_neighbour"


def test_as_long_but_beside_its_place_is_no_part_of_it() -> None:
    beside = found((A,), 1_070.0, 1_455.0)
    assert (beside.association, beside.why) == (Association.UNMATCHED, "off_position")


def test_a_parcel_without_a_length_has_no_picture() -> None:
    assert found((Span(1, 1_000.0, 1_000.0),), 980.0, 1_380.0).why == "nobody_there"


def test_a_code_beside_one_that_is_still_in_the_eye() -> None:
    assert owner_of(W, (Span(1, 1_000.0, None), Span(2, 1_200.0, 1_250.0)), 1_050.0) == 1


def test_a_code_near_two_is_nobodys_whoever_else_is_on_the_belt() -> None:
    near = Span(2, 1_400.0 + W.code_within_mm / 2, 1_500.0)
    far = Span(3, 1_600.0, 1_700.0)
    assert owner_of(W, (A, near, far), 1_399.0) is None


def test_a_code_behind_a_parcel_is_limited_by_what_is_behind() -> None:
    before, short = Span(9, 900.0, 980.0), Span(1, 1_000.0, 1_100.0)
    assert owner_of(W, (before, short), 1_130.0) == 1
    assert owner_of(W, (before, short), 989.0) is None
