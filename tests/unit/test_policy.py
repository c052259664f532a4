"""Policy is the same on every lane and at the centre: draws, digests and which controls bear."""

from __future__ import annotations

import hashlib
import hmac
import random
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.policy.controls import matching
from sync.policy.digests import (
    BUCKETS,
    MODULUS,
    bucket_of,
    from_hex,
    move_of,
    row_digest,
    to_hex,
    with_row,
    without_row,
)
from sync.policy.draws import draw_per_mille, spot_check_due
from sync.vocabulary.numbers import EnterpriseCode, Plate, SlipNo, UtcText
from sync.vocabulary.records import (
    Condition,
    Control,
    ControlAction,
    CreditTier,
    Direction,
    Enterprise,
    Mode,
    SlipKind,
)

KEY = bytes(range(32))
FIRM = "330260A000"
DAY = "2026-01-31"
PLATES = [f"豫A{number:05d}" for number in range(20_000)]


def enterprise(per_mille: int, code: str = FIRM) -> Enterprise:
    return Enterprise(
        code=EnterpriseCode(code), name="某公司", tier=CreditTier.LOW, spot_check_per_mille=per_mille
    )


# --- draws ------------------------------------------------------------------------------------------------


def test_a_draw_can_be_reproduced_by_hand_from_the_written_rule() -> None:
    message = b"kakou/spot-check/v1\n330260A000\n" + "豫A12345".encode() + b"\n2026-01-31"
    digest = hmac.new(KEY, message, hashlib.sha256).hexdigest()
    assert digest == "749747320e6eb8346afca2307f6efb64ccaab0b4647fc4f3d16d447a0b99b753"  # also by openssl
    assert int(digest, 16) % 1000 == 403
    assert draw_per_mille(KEY, FIRM, "豫A12345", DAY) == 403


def test_a_vehicle_that_backs_out_and_comes_again_draws_the_same_all_day_and_anew_the_next() -> None:
    again = {draw_per_mille(KEY, FIRM, "豫A12345", DAY) for _ in range(100)}
    days = [draw_per_mille(KEY, FIRM, "豫A12345", f"2026-01-{day:02d}") for day in range(1, 32)]
    assert len(again) == 1
    assert len(set(days)) > 25


def test_draws_are_even_over_a_fleet() -> None:
    draws = Counter(draw_per_mille(KEY, FIRM, plate, DAY) // 100 for plate in PLATES)
    assert sorted(draws) == list(range(10))
    # 2,000 a tenth; five standard deviations of a fair draw are 212
    assert {tenth: count for tenth, count in draws.items() if abs(count - 2000) > 212} == {}


@pytest.mark.parametrize("per_mille", [1, 30, 100, 500, 990])
def test_a_rate_is_kept_over_a_fleet(per_mille: int) -> None:
    drawn = sum(spot_check_due(KEY, enterprise(per_mille), plate, DAY) for plate in PLATES)
    fair = 20 * per_mille
    tolerance = 5 * (fair * (1 - per_mille / 1000)) ** 0.5
    assert abs(drawn - fair) <= tolerance


def test_a_rate_of_nought_never_draws_and_a_thousand_always() -> None:
    assert not any(spot_check_due(KEY, enterprise(0), plate, DAY) for plate in PLATES[:3000])
    assert all(spot_check_due(KEY, enterprise(1000), plate, DAY) for plate in PLATES[:3000])


def test_a_higher_rate_draws_every_vehicle_a_lower_one_does() -> None:
    low = {plate for plate in PLATES[:3000] if spot_check_due(KEY, enterprise(50), plate, DAY)}
    high = {plate for plate in PLATES[:3000] if spot_check_due(KEY, enterprise(200), plate, DAY)}
    assert low < high


@pytest.mark.parametrize(
    ("name", "key", "firm", "day"),
    [
        ("other key", bytes(32), FIRM, DAY),
        ("other enterprise", KEY, "330260A001", DAY),
        ("next day", KEY, FIRM, "2026-02-01"),
    ],
)
def test_draws_under_another_key_enterprise_or_day_tell_nothing_of_this_one(
    name: str, key: bytes, firm: str, day: str
) -> None:
    """At 100 per mille 200 of 20,000 plates are drawn in both when independent; five deviations are 70."""
    here = {plate for plate in PLATES if draw_per_mille(KEY, FIRM, plate, DAY) < 100}
    there = {plate for plate in PLATES if draw_per_mille(key, firm, plate, day) < 100}
    assert abs(len(here & there) - 200) < 71, name


def test_neighbouring_plates_draw_independently() -> None:
    draws = [draw_per_mille(KEY, FIRM, plate, DAY) < 100 for plate in PLATES]
    both = sum(a and b for a, b in pairwise(draws))
    assert abs(both - 200) < 71


def test_parts_cannot_run_into_one_another() -> None:
    assert draw_per_mille(KEY, "AB", "C", DAY) != draw_per_mille(KEY, "A", "BC", DAY)
    for parts in (("A\nB", "C", DAY), ("A", "B\nC", DAY), ("A", "B", "\n")):
        with pytest.raises(ValueError, match="without line feeds"):
            draw_per_mille(KEY, *parts)


def test_without_a_key_there_is_no_draw() -> None:
    with pytest.raises(ValueError, match="expected a draw key"):
        draw_per_mille(b"", FIRM, "豫A12345", DAY)


# --- digests ----------------------------------------------------------------------------------------------

rows = st.dictionaries(
    st.tuples(st.sampled_from(["vehicles", "release_slips"]), st.text(max_size=8)),
    st.text(max_size=20),
    max_size=30,
)


def test_a_row_digest_can_be_reproduced_by_hand() -> None:
    digest = hashlib.sha256("vehicles\0豫A12345\0{}".encode()).hexdigest()
    assert to_hex(row_digest("vehicles", "豫A12345", "{}")) == digest[:32]
    assert bucket_of("vehicles", "豫A12345") == int(
        hashlib.sha256("vehicles\0豫A12345".encode()).hexdigest()[:3], 16
    )


@given(contents=rows, seed=st.integers(0, 1000))
def test_a_sum_is_the_same_in_any_order_and_after_rows_that_came_and_went(
    contents: dict[tuple[str, str], str], seed: int
) -> None:
    digests = [row_digest(*key, body) for key, body in contents.items()]
    shuffled = random.Random(seed).sample(digests, len(digests))
    total = detour = 0
    for digest in digests:
        total = with_row(total, digest)
    for place, digest in enumerate(shuffled):
        passing = row_digest("vehicles", f"passing {place}", "x")
        detour = without_row(with_row(with_row(detour, passing), digest), passing)
    assert total == detour == sum(digests) % MODULUS


@given(contents=rows)
def test_sums_kept_in_buckets_add_up_to_the_whole(contents: dict[tuple[str, str], str]) -> None:
    buckets: dict[int, int] = {}
    for key, body in contents.items():
        bucket = bucket_of(*key)
        buckets[bucket] = with_row(buckets.get(bucket, 0), row_digest(*key, body))
    whole = sum(row_digest(*key, body) for key, body in contents.items()) % MODULUS
    assert sum(buckets.values()) % MODULUS == whole
    assert [bucket for bucket in buckets if not 0 <= bucket < BUCKETS] == []


bodies = st.none() | st.text(max_size=20)


@given(collection=st.sampled_from(["vehicles", "other"]), key=st.text(), before=bodies, after=bodies)
def test_what_a_change_moves_is_the_difference_of_its_rows(
    collection: str, key: str, before: str | None, after: str | None
) -> None:
    left, came = (0 if body is None else row_digest(collection, key, body) for body in (before, after))
    raw = [None if body is None else body.encode() for body in (before, after)]
    assert move_of(collection, key, *raw) == (bucket_of(collection, key), came - left)


def test_a_changed_body_key_or_collection_is_another_row() -> None:
    digests = {
        row_digest("vehicles", "豫A12345", "{}"),
        row_digest("vehicles", "豫A12345", "{ }"),
        row_digest("vehicles", "豫A1234", "5{}"),
        row_digest("vehicle", "s豫A12345", "{}"),
        row_digest("vehicles", "豫A12346", "{}"),
    }
    assert len(digests) == 5


def test_keys_spread_over_all_buckets_evenly() -> None:
    counts = Counter(bucket_of("vehicles", plate) for plate in PLATES)
    assert len(counts) > 4000  # of 4,096; about 31 stay empty with 20,000 fair keys
    assert max(counts.values()) < 20


@given(total=st.integers(0, MODULUS - 1))
def test_a_sum_travels_as_32_hex_digits(total: int) -> None:
    assert len(to_hex(total)) == 32
    assert from_hex(to_hex(total)) == total


@pytest.mark.parametrize(
    "text", ["", "0" * 31, "0" * 33, "G" + "0" * 31, "A" * 32, "-" + "0" * 31, "٣" * 32, " " * 32]
)
def test_other_text_is_no_sum(text: str) -> None:
    with pytest.raises(ValueError, match="expected 32 lower-case hex digits"):
        from_hex(text)


# --- controls ---------------------------------------------------------------------------------------------

PLATE = Plate("豫A12345")
SLIP = SlipNo("Z3111I240728000000000003")
OTHER_SLIP = SlipNo("Z3111I240728000000000004")
CODE = EnterpriseCode(FIRM)
FROM, UNTIL = UtcText("2026-01-31T08:00:00Z"), UtcText("2026-01-31T10:00:00Z")
NOON_BEFORE = UtcText("2026-01-31T09:00:00Z")


def control(control_id: str = "C1", *, version: int = 1, mode: Mode = Mode.LIVE, **condition: Any) -> Control:
    return Control(
        control_id=control_id,
        version=version,
        mode=mode,
        condition=Condition(**condition),
        action=ControlAction.INSPECT,
        valid_from=FROM,
        valid_until=UNTIL,
        reason_zh="布控",
        reason_en="control",
    )


def bear(
    *controls: Control,
    plate: Plate | None = PLATE,
    slip_nos: tuple[SlipNo, ...] = (SLIP,),
    enterprises: tuple[EnterpriseCode, ...] = (CODE,),
    direction: Direction = Direction.IN,
    slip_kinds: tuple[SlipKind, ...] = (SlipKind.SECOND_LINE,),
    at: str = NOON_BEFORE,
) -> tuple[str, ...]:
    found = matching(
        controls,
        plate=plate,
        slip_nos=slip_nos,
        enterprises=enterprises,
        direction=direction,
        slip_kinds=slip_kinds,
        at=UtcText(at),
    )
    return tuple(f"{one.control_id}@{one.version}" for one in found)


@pytest.mark.parametrize(
    ("at", "bearing"),
    [
        ("2026-01-31T07:59:59Z", ()),
        ("2026-01-31T07:59:59.999999Z", ()),
        ("2026-01-31T08:00:00Z", ("C1@1",)),
        ("2026-01-31T08:00:00.000001Z", ("C1@1",)),
        ("2026-01-31T09:59:59.999999Z", ("C1@1",)),
        ("2026-01-31T10:00:00Z", ()),
        ("2026-01-31T10:00:00.5Z", ()),
        ("2026-02-01T09:00:00Z", ()),
    ],
)
def test_a_control_holds_from_its_first_instant_until_before_its_last(
    at: str, bearing: tuple[str, ...]
) -> None:
    assert bear(control(), at=at) == bearing


def test_a_control_without_conditions_bears_on_everything() -> None:
    assert bear(control(), plate=None, slip_nos=(), enterprises=(), slip_kinds=()) == ("C1@1",)


@pytest.mark.parametrize(
    ("hits", "misses"),
    [
        ({"plates": (PLATE,)}, {"plates": (Plate("豫A54321"),)}),
        ({"slip_nos": (OTHER_SLIP, SLIP)}, {"slip_nos": (OTHER_SLIP,)}),
        ({"enterprises": (CODE,)}, {"enterprises": (EnterpriseCode("330260A001"),)}),
        ({"directions": (Direction.IN, Direction.OUT)}, {"directions": (Direction.OUT,)}),
        ({"slip_kinds": (SlipKind.SECOND_LINE,)}, {"slip_kinds": (SlipKind.EMPTY_VEHICLE,)}),
    ],
    ids=["plate", "slip", "enterprise", "direction", "kind"],
)
def test_each_condition_bears_on_its_own_and_all_given_ones_must_hold(
    hits: dict[str, Any], misses: dict[str, Any]
) -> None:
    full: dict[str, Any] = {
        "plates": (PLATE,),
        "slip_nos": (SLIP,),
        "enterprises": (CODE,),
        "directions": (Direction.IN,),
        "slip_kinds": (SlipKind.SECOND_LINE,),
    }
    assert bear(control(**hits)) == ("C1@1",)
    assert bear(control(**misses)) == ()
    assert bear(control(**(full | hits))) == ("C1@1",)
    assert bear(control(**(full | misses))) == ()


def test_any_one_of_several_slips_or_enterprises_is_enough() -> None:
    assert bear(control(slip_nos=(SLIP,)), slip_nos=(OTHER_SLIP, SLIP)) == ("C1@1",)
    assert bear(control(enterprises=(CODE,)), enterprises=(EnterpriseCode("330260A001"), CODE)) == ("C1@1",)


def test_what_the_passage_does_not_know_fulfils_no_condition() -> None:
    assert bear(control(plates=(PLATE,)), plate=None) == ()
    assert bear(control(slip_nos=(SLIP,)), slip_nos=()) == ()
    assert bear(control(enterprises=(CODE,)), enterprises=()) == ()
    assert bear(control(slip_kinds=(SlipKind.SECOND_LINE,)), slip_kinds=()) == ()


def test_controls_of_every_mode_and_version_are_told_in_the_same_order_whatever_order_they_came_in() -> None:
    all_of_them = [
        control("C2", version=10, mode=Mode.SHADOW),
        control("C2", version=9),
        control("C10", mode=Mode.ADVISORY),
        control("C1"),
    ]
    expected = ("C1@1", "C10@1", "C2@9", "C2@10")
    assert bear(*all_of_them) == expected
    assert bear(*reversed(all_of_them)) == expected
