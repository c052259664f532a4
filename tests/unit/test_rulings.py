"""What drivers read: every reason has its words in both languages, and the words fit the board."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.vocabulary.codec import from_json, to_json
from sync.vocabulary.rulings import (
    GUIDES,
    OWNERS,
    TEXTS,
    WAYS,
    Because,
    Owner,
    Reason,
    Ruling,
    Verdict,
    Way,
)

BOARD_ROWS = 2
BOARD_ROW_CELLS = 24
"""12 Chinese characters of two cells each; letters, digits and blanks take one."""
MOST_ENGLISH = 40

LONGEST_DETAIL = {
    Reason.WEIGHT_OVER: "999999.999 kg",
    Reason.WEIGHT_UNDER: "999999.999 kg",
    Reason.DEVICE_SILENT: "weighbridge",
    Reason.WRONG_LANE: "空车 empty",
    Reason.TRAILER_MISMATCH: "豫A1234挂",
    Reason.CONTAINER_MISMATCH: "MSCU6639870",
    Reason.RECALLED: "ZH20260012",
    Reason.SCALE_FAULT: "net_weight",
    Reason.PLATFORM_REFUSED: "车辆信息不符",
}
"""What a lane fills in at the longest: the largest weight there is, the longest device role. What the customs
platform wants the driver to read is its own and may be longer than a board."""


def cells(text: str) -> int:
    return sum(2 if char > "\u2e80" else 1 for char in text)


def board_rows(text: str) -> list[str]:
    """Broken at blanks only, each row as full as it gets."""
    rows: list[str] = []
    for word in text.split(" "):
        joined = f"{rows[-1]} {word}" if rows else word
        rows[-1:] = [joined] if cells(joined) <= BOARD_ROW_CELLS else [*rows[-1:], word]
    return rows


def because(reason: Reason) -> Because:
    return Because(reason, LONGEST_DETAIL.get(reason, ""))


def test_every_reason_has_words_and_every_text_a_reason() -> None:
    assert set(TEXTS) == set(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_both_languages_say_something_and_in_the_right_script(reason: Reason) -> None:
    text = TEXTS[reason]
    chinese = re.findall(r"[\u4e00-\u9fff]", text.zh)
    assert len(chinese) >= 4
    assert re.fullmatch(r"[A-Z{][A-Za-z,:{} ]+", text.en)


@pytest.mark.parametrize("reason", Reason)
def test_the_chinese_text_fits_two_rows_of_twelve_characters(reason: Reason) -> None:
    rows = board_rows(because(reason).zh())
    assert len(rows) <= BOARD_ROWS
    assert [row for row in rows if cells(row) > BOARD_ROW_CELLS] == []


@pytest.mark.parametrize("reason", Reason)
def test_the_english_text_is_at_most_forty_characters(reason: Reason) -> None:
    assert len(because(reason).en()) <= MOST_ENGLISH


@pytest.mark.parametrize("reason", Reason)
def test_a_placeholder_stands_in_both_languages_or_in_neither_and_is_the_only_one(reason: Reason) -> None:
    text = TEXTS[reason]
    in_zh, in_en = re.findall(r"\{[^}]*\}", text.zh), re.findall(r"\{[^}]*\}", text.en)
    expected = ["{detail}"] if reason in LONGEST_DETAIL else []
    assert in_zh == expected
    assert in_en == expected


@pytest.mark.parametrize("reason", Reason)
def test_a_hold_tells_the_driver_what_to_do(reason: Reason) -> None:
    """Wait, back out, go somewhere: an instruction stands at the end, after a blank."""
    assert re.search(r" (请|一路平安)", TEXTS[reason].zh)


def test_no_two_reasons_read_alike() -> None:
    assert len({text.zh for text in TEXTS.values()}) == len(TEXTS)
    assert len({text.en for text in TEXTS.values()}) == len(TEXTS)


def test_the_detail_is_filled_into_both_languages() -> None:
    over = Because(Reason.WEIGHT_OVER, "320 kg")
    assert over.zh() == "重量超差 320 kg 请等待"
    assert over.en() == "320 kg over, please wait"


@given(detail=st.text(max_size=40))
def test_a_detail_is_text_and_never_a_template(detail: str) -> None:
    assert Because(Reason.WEIGHT_OVER, detail).en() == f"{detail} over, please wait"
    assert Because(Reason.RELEASED, detail).zh() == TEXTS[Reason.RELEASED].zh


def test_the_board_measure_itself_breaks_at_blanks_and_counts_chinese_double() -> None:
    assert cells("重量 320") == 8
    assert board_rows("重量超差 320 kg 请等待") == ["重量超差 320 kg 请等待"]
    assert board_rows("车牌与电子标签不符 请到人工通道") == ["车牌与电子标签不符", "请到人工通道"]
    assert board_rows("一二三四五六七八九十一二三") == ["一二三四五六七八九十一二三"]
    assert cells("一二三四五六七八九十一二三") > BOARD_ROW_CELLS


@pytest.mark.parametrize("reason", Reason)
def test_a_hold_has_an_owner_something_to_do_and_always_a_way_out(reason: Reason) -> None:
    """S9: whatever a vehicle is held for, it may back out; and who lets it go by hand has words for it."""
    lets_go = {Reason.RELEASED, Reason.RELEASED_EMPTY, Reason.MANUAL_RELEASE, Reason.MANUAL_ASIDE}
    assert (reason in GUIDES) is (reason not in lets_go)
    guide = GUIDES.get(reason, GUIDES[Reason.NO_IDENTITY])
    assert Way.BACK_OUT in guide.ways
    assert len(set(guide.ways)) == len(guide.ways)
    assert re.search(r"[\u4e00-\u9fff]{4}", guide.zh)
    assert re.match(r"[A-Z][a-z]* [a-z]", guide.en)


def test_every_way_and_every_owner_has_words_of_its_own_in_both_languages() -> None:
    assert (set(WAYS), set(OWNERS)) == (set(Way), set(Owner))
    words = [*WAYS.values(), *OWNERS.values()]
    assert len({text.zh for text in words}) == len({text.en for text in words}) == len(words)


def test_what_lets_a_vehicle_go_must_be_left_open_by_every_reason() -> None:
    over, due = Because(Reason.WEIGHT_OVER), Because(Reason.QUARANTINE_REQUIRED)
    assert Ruling(Verdict.HOLD, (over,)).ways() == ("back_out", "release", "aside")
    assert Ruling(Verdict.HOLD, (over, due)).ways() == ("back_out", "aside")
    assert Ruling(Verdict.HOLD, (due, Because(Reason.SLIP_USED))).ways() == ("back_out",)


def test_what_is_ruled_anew_may_be_read_or_entered_whatever_else_it_is_held_for() -> None:
    unread, drawn = Because(Reason.WEIGHT_UNREAD), Because(Reason.SPOT_CHECK)
    assert Ruling(Verdict.HOLD, (unread, drawn)).ways() == ("back_out", "supplement", "again")
    assert Ruling(Verdict.INSPECT, (drawn,)).ways() == ("back_out", "release", "aside")


def test_the_owner_is_of_the_reason_told_first_and_who_may_go_has_none() -> None:
    held = Ruling(Verdict.HOLD, (Because(Reason.CONTROL_HOLD), Because(Reason.WEIGHT_UNREAD)))
    assert held.owner() == "shift_leader"
    for code in (Reason.RELEASED, Reason.RELEASED_EMPTY, Reason.MANUAL_RELEASE, Reason.MANUAL_ASIDE):
        released = Ruling(Verdict.RELEASE, (Because(code),))
        assert (released.owner(), released.ways()) == ("", ())
    assert Ruling(Verdict.HOLD, (Because(Reason.RELEASED),)).ways() == ()


def test_a_ruling_lists_its_codes_in_the_order_they_are_told_and_travels_whole() -> None:
    ruling = Ruling(Verdict.HOLD, (Because(Reason.SLIP_EXPIRED), Because(Reason.WEIGHT_OVER, "320 kg")))
    assert ruling.codes() == ("slip_expired", "weight_over")
    assert from_json(to_json(ruling), Ruling) == ruling
    assert to_json(Ruling(Verdict.RELEASE, ())) == b'{"verdict":"release","reasons":[]}'
