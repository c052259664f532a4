"""Help at a lane (S8): signed, in the journal, then shown for sixty seconds; asked of the centre as well."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from edge.handheld import lane_help
from edge.handheld.context import Sync
from edge.handheld.effects import AnswerCommand, Commit, LookUp, SignCode
from edge.handheld.effects import Wanted as Sought
from edge.handheld.events import (
    CodeSigned,
    CommandGiven,
    Committed,
    EffectFailed,
    HeldFindings,
    PinChecked,
    SyncChanged,
    TimePassed,
)
from edge.handheld.lane_help import (
    ActionChosen,
    CodeAsked,
    FieldGiven,
    HeldAsked,
    HeldChosen,
    HelpEnded,
    LaneChosen,
    LaneHelpView,
    OtherCodeAsked,
    PassageGiven,
    ReasonGiven,
    SecondOfficerSigns,
)
from sync.vocabulary.commands import Command, RequestAnswered
from sync.vocabulary.facts import Stream, hash_of
from sync.vocabulary.numbers import UtcText
from sync.vocabulary.records import HeldPassage
from tests.machine.handheld_plays import SITE, UTC, Play


def filled_in(*more: Any) -> Play:
    stage = Play(lane_help.State(), lane_help.step)
    return stage.tell(LaneChosen("lane-in-1"), PassageGiven("17"), ReasonGiven("车牌污损"), *more)


def shown(stage: Play) -> LaneHelpView:
    return lane_help.view(stage.state, stage.context)


def signed(stage: Play) -> Play:
    """Every signature asked for is given, and what is committed is durable."""
    stage.tell(CodeAsked())
    return given(stage)


def given(stage: Play) -> Play:
    for effect in [each for each in stage.last if isinstance(each, SignCode)]:
        stage.tell(CodeSigned(effect.request, f"KKR1:{effect.code.officer}"))
    return stage.tell(Committed(stage.only(Commit).request, 9))


def answer(code: str, outcome: Any, why: str = "") -> CommandGiven:
    act = RequestAnswered(code_sha256=hash_of(code), outcome=outcome, why=why)
    return CommandGiven(
        Command(
            command_id="command-1",
            device="handheld-1",
            nonce="0" * 32,
            issued=UtcText(UTC),
            valid_s=60,
            act=act,
        )
    )


def test_a_code_names_lane_passage_officer_and_reason_and_is_durable_before_it_is_shown() -> None:
    stage = filled_in().tell(CodeAsked())
    code = stage.only(SignCode).code
    assert (code.lane, code.passage, code.officer, code.reason, code.action) == (
        "lane-in-1", 17, "4604001", "车牌污损", "release",
    )  # fmt: skip
    stage.tell(CodeSigned(stage.only(SignCode).request, "KKR1:x"))
    assert (shown(stage).code, shown(stage).phase) == (None, "signing")
    stage.tell(Committed(stage.only(Commit).request, 9))
    view = shown(stage)
    assert view.code is not None
    assert (view.code.text, view.code.left_s, view.phase) == ("KKR1:x", 60.0, "shown")
    (made,) = stage.facts("release_code_shown")
    assert (made.lane, made.lane_passage, made.sha256) == ("lane-in-1", 17, hash_of("KKR1:x"))


def test_online_the_centre_is_asked_by_the_alarm_stream_and_offline_it_is_not() -> None:
    stage = signed(filled_in())
    commits = [effect for effect in stage.effects if isinstance(effect, Commit)]
    assert [(told.stream, told.data) for told in commits[-1].facts][1][0] is Stream.ALARM
    (asked,) = stage.facts("release_asked")
    assert (asked.code, asked.second_code) == ("KKR1:4604001", "")
    stage = filled_in()
    stage.online = False
    signed(stage)
    assert stage.facts("release_asked") == []
    view = shown(stage)
    assert view.answer is not None
    assert view.answer.en == "No network: show it to the lane's scanner"


def test_after_sixty_seconds_the_code_is_gone() -> None:
    stage = signed(filled_in())
    stage.at_s += 59.0
    assert stage.tell(TimePassed(lane_help.OVER)).state.is_shown
    stage.at_s += 1.0
    stage.tell(TimePassed(lane_help.OVER))
    assert (shown(stage).code, shown(stage).phase) == (None, "over")


def test_the_clock_takes_it_away_even_where_the_timer_is_late() -> None:
    stage = signed(filled_in())
    stage.at_s += 60.0
    assert shown(stage).code is None


TWO = msgspec.structs.replace(SITE, manual_release_officers=2)


def test_where_the_site_wants_two_nothing_is_signed_before_the_second_has_come() -> None:
    stage = filled_in()
    stage.site = TWO
    stage.tell(CodeAsked())
    assert (stage.last, shown(stage).phase) == ((), "second_wanted")
    stage.tell(SecondOfficerSigns("4604001", "1111"))
    assert stage.facts() == []
    assert [effect for effect in stage.effects if isinstance(effect, SignCode)] == []
    given(stage.tell(SecondOfficerSigns("4604002", "2222")))
    codes = [effect for effect in stage.effects if isinstance(effect, SignCode)]
    assert [(code.code.officer, code.pin) for code in codes] == [("4604001", ""), ("4604002", "2222")]
    (asked,) = stage.facts("release_asked")
    assert (asked.code, asked.second_code) == ("KKR1:4604001", "KKR1:4604002")
    assert [fact.officer for fact in stage.facts("release_code_shown")] == ["4604001", "4604002"]
    first = shown(stage).code
    second = shown(stage.tell(OtherCodeAsked())).code
    assert first is not None
    assert second is not None
    assert ((first.text, first.place, first.of), (second.text, second.place, second.of)) == (
        ("KKR1:4604001", 1, 2), ("KKR1:4604002", 2, 2),
    )  # fmt: skip


def test_a_second_officer_with_a_wrong_pin_signs_nothing_for_anybody() -> None:
    stage = filled_in()
    stage.site = TWO
    stage.tell(CodeAsked(), SecondOfficerSigns("4604002", "wrong"))
    first, second = [effect for effect in stage.last if isinstance(effect, SignCode)]
    stage.tell(CodeSigned(first.request, "KKR1:x"), PinChecked(second.request, "wrong", tries=1))
    assert (shown(stage).phase, shown(stage).code) == ("second_wanted", None)
    stage.tell(CodeSigned(second.request, "KKR1:late"))
    assert [(fact.officer, fact.why, fact.tries) for fact in stage.facts()] == [("4604002", "wrong", 1)]


def test_no_pin_is_in_any_state_or_text() -> None:
    stage = filled_in()
    stage.site = TWO
    stage.tell(CodeAsked(), SecondOfficerSigns("4604002", "271828"))
    assert "271828" not in repr(stage.state)
    assert "271828" not in repr(stage.last)
    assert "271828" not in repr(SecondOfficerSigns("4604002", "271828"))


@pytest.mark.parametrize(
    ("change", "wants"),
    [
        (PassageGiven("x"), "passage number"),
        (PassageGiven("0"), "passage number"),
        (PassageGiven("٣"), "passage number"),
        (PassageGiven("9" * 20), "passage number"),
        (ReasonGiven("  "), "reason"),
        (LaneChosen(""), "lane"),
        (ActionChosen("supplement"), "what is entered"),
    ],
)
def test_nothing_is_signed_while_something_is_missing(change: Any, wants: str) -> None:
    stage = filled_in(change).tell(CodeAsked())
    assert [effect for effect in stage.last if isinstance(effect, SignCode)] == []
    assert any(wants in text.en for text in shown(stage).missing)


def test_nobody_signs_without_the_authorisation_for_just_that() -> None:
    stage = filled_in()
    stage.authorisations = ("supplement",)
    stage.tell(CodeAsked())
    assert [effect for effect in stage.last if isinstance(effect, SignCode)] == []
    stage.tell(ActionChosen("supplement"), FieldGiven("plate", "豫A12345"), ReasonGiven("r"), CodeAsked())
    code = stage.only(SignCode).code
    assert (code.action, code.field, code.value) == ("supplement", "plate", "豫A12345")


def test_a_code_signed_for_something_else_goes_from_the_screen() -> None:
    stage = signed(filled_in()).tell(PassageGiven("18"))
    assert (shown(stage).code, shown(stage).phase) == (None, "filling_in")
    stage = signed(filled_in()).tell(HelpEnded())
    assert (shown(stage).code, shown(stage).passage) == (None, "")


@pytest.mark.parametrize(
    ("outcome", "is_good", "still_shown"),
    [("given", None, True), ("accepted", None, True), ("done", True, False), ("refused", False, True)],
)
def test_the_centres_answer_is_shown_and_answered(
    outcome: str, is_good: bool | None, still_shown: bool
) -> None:
    stage = signed(filled_in()).tell(answer("KKR1:4604001", outcome, "the signature is not officer 1's"))
    view = shown(stage)
    assert (view.answer_is_good, view.code is not None) == (is_good, still_shown)
    assert stage.only(AnswerCommand).outcome == "done"
    assert stage.kinds()[-1] == "command_taken"
    assert view.answer is not None
    assert ("signature" in view.answer.en) is (outcome == "refused")


def test_an_answer_about_another_code_changes_nothing_shown_and_is_answered_all_the_same() -> None:
    stage = signed(filled_in()).tell(answer("KKR1:other", "refused"))
    assert (shown(stage).answer_is_good, stage.only(AnswerCommand).outcome) == (None, "done")


def test_a_full_disk_shows_no_code() -> None:
    stage = filled_in().tell(CodeAsked())
    stage.tell(CodeSigned(stage.only(SignCode).request, "KKR1:x"))
    stage.tell(EffectFailed(stage.only(Commit), "disk full"))
    assert (shown(stage).code, shown(stage).phase) == (None, "filling_in")
    assert stage.tell(Committed(1, 1)).state.is_shown is False


def test_what_a_memory_holds_has_no_code_in_it() -> None:
    stage = signed(filled_in())
    kept = lane_help.kept(stage.state)
    assert "KKR1" not in repr(kept)
    assert kept.wanted == stage.state.wanted


# --- who is held --------------------------------------------------------------------------------------------


def held(passage: int = 17, **changes: Any) -> HeldPassage:
    row = HeldPassage(
        lane="lane-in-1",
        passage=passage,
        verdict="hold",
        since="2026-11-22T07:58:00Z",
        plate="豫A12345",
        reasons_zh=("重量突变",),
        reasons_en=("The weight jumped",),
        ways=("back_out", "release", "newer"),
        told=UTC,
    )
    return msgspec.structs.replace(row, **changes)


def listed(*rows: HeldPassage) -> Play:
    stage = Play(lane_help.State(), lane_help.step).tell(HeldAsked())
    assert stage.only(LookUp).wanted is Sought.HELD
    return stage.found(HeldFindings(rows))


def test_whom_a_lane_holds_is_chosen_instead_of_typed() -> None:
    stage = listed(held(), held(5, lane="lane-9"))
    row, other = shown(stage).held
    assert (row.title.en, row.why.zh, row.ways.en, row.since.zh) == (
        "1 · passage 17 · 豫A12345", "重量突变", "back out, release by hand", "2026-11-22 15:58 起",
    )  # fmt: skip
    assert other.title.zh == "lane-9 · 过卡 5 · 豫A12345"
    view = shown(stage.tell(HeldChosen("lane-in-1", 17)))
    assert (view.lane, view.passage, view.held[0].is_chosen, view.held[1].is_chosen) == (
        "lane-in-1", "17", True, False,
    )  # fmt: skip


def test_typing_stays_for_what_the_centre_has_not_heard_of() -> None:
    stage = listed(held()).tell(LaneChosen("lane-in-1"), PassageGiven("18"), HeldChosen("lane-in-1", 99))
    assert (shown(stage).passage, len(shown(stage).held)) == ("18", 1)


def test_the_list_is_read_anew_when_records_moved_and_says_when_the_chosen_one_has_gone() -> None:
    stage = listed(held()).tell(HeldChosen("lane-in-1", 17), SyncChanged(Sync(records_number=43)))
    stage.found(HeldFindings((held(18),)))
    told = shown(stage).told
    assert told is not None
    assert told.en == "1, passage 17 is held no more"
    stage.tell(SyncChanged(Sync(records_number=43)))
    assert stage.last == ()


def test_what_is_signed_stays_signed_though_the_hold_ends_meanwhile() -> None:
    stage = signed(listed(held()).tell(HeldChosen("lane-in-1", 17), ReasonGiven("车牌污损")))
    stage.tell(SyncChanged(Sync(records_number=44))).found(HeldFindings(()))
    assert (shown(stage).phase, shown(stage).told) == ("shown", None)


def test_who_may_not_help_looks_nobody_up_and_no_memory_keeps_the_list() -> None:
    stage = Play(lane_help.State(), lane_help.step)
    stage.authorisations = ("inspect",)
    assert stage.tell(HeldAsked()).last == ()
    assert lane_help.kept(listed(held()).state).held == ()
