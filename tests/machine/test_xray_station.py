"""Plays of the X-ray station: what passes, by whom, and everything that keeps a parcel from passing."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from edge.xray_bridge.association import Near, Windows
from edge.xray_bridge.effects import (
    Analyse,
    AnswerCommand,
    AskStop,
    CheckWedge,
    Commit,
    Effect,
    KeepEvidence,
    Memory,
    PermitFeed,
    Pulse,
    SavePicture,
)
from edge.xray_bridge.events import (
    BeltRead,
    CodeRead,
    CommandCame,
    DeviceBack,
    DeviceLost,
    EvidenceKept,
    EyeSeen,
    Judged,
    NothingRead,
    OfficerCame,
    OfficerLeft,
    PictureLost,
    PictureTaken,
    ResetAsked,
    Room,
    SaveAsked,
    Shown,
    Undone,
    WedgeAsked,
    WedgeChecked,
    WriteFailed,
)
from edge.xray_bridge.evidence.manifest import read_said
from edge.xray_bridge.station import step, woken
from edge.xray_bridge.values import Acquisition, Eye, Verdict
from sync.vocabulary import commands
from sync.vocabulary.commands import Command
from sync.vocabulary.facts import Alarm, Stream
from sync.vocabulary.numbers import UtcText
from sync.vocabulary.xray_facts import (
    BeltChanged,
    DivertOrdered,
    FeedChanged,
    ParcelGone,
    ParcelSeen,
    ParcelSorted,
    ParcelXRayed,
    PictureTold,
    RestDue,
)
from tests.machine.xray_plays import (
    CALIBRATION,
    LAYOUT,
    LONG_MM,
    SETTINGS,
    Play,
    alarms,
    analysis,
    answers,
    goods,
    kinds,
    of_kind,
    permits,
    pulses,
)

SECOND = "SF9999999999999"


def last_told(effects: list[Effect], parcel: int = 1) -> ParcelXRayed:
    return [told for told in of_kind(effects, ParcelXRayed) if told.parcel == parcel][-1]


def ended(effects: list[Effect], parcel: int = 1) -> ParcelSorted:
    return next(each for each in of_kind(effects, ParcelSorted) if each.parcel == parcel)


def why(effects: list[Effect], parcel: int = 1) -> str:
    """The first reason of the verdict that stood at the end; nothing passed."""
    assert ("pass", parcel) not in pulses(effects)
    told = last_told(effects, parcel)
    assert told.verdict == "recheck"
    return told.reasons[0].split(":")[0]


def suspicious(play: Play) -> None:
    play.answers.goods = lambda text: goods(text, control="C-1")


# --- passing ----------------------------------------------------------------------------------------------


def test_a_parcel_against_which_nothing_speaks_passes_by_itself() -> None:
    play = Play()
    play.put()
    new = play.roll(12_000.0)
    assert pulses(new) == [("pass", 1)]
    assert kinds(new) == [
        "parcel_seen",
        "picture_told",
        "parcel_x_rayed",
        "divert_ordered",
        "parcel_sorted",
    ]
    told = last_told(new)
    assert (told.verdict, told.by, told.reasons) == ("passed", "machine", ("clear",))
    end = ended(new)
    assert (end.verdict, end.ordered, end.seen, end.confirmed) == ("passed", "pass", "pass", True)


def test_the_order_is_durable_before_the_pulse_and_the_verdict_before_both() -> None:
    play = Play()
    play.put()
    new = play.roll(12_000.0)
    at = next(n for n, effect in enumerate(new) if isinstance(effect, Pulse))
    commit = new[at - 1]
    assert isinstance(commit, Commit)
    assert [type(told.data) for told in commit.facts] == [DivertOrdered]
    verdict = next(n for n, effect in enumerate(new) if "parcel_x_rayed" in kinds([effect]))
    assert verdict < at - 1


def test_a_pulse_may_be_sent_for_a_moment_only() -> None:
    play = Play()
    play.put()
    seen: list[tuple[float, float]] = []
    for _ in range(600):
        new = play.roll(20.0)
        seen += [(play.at_s, effect.not_after_s) for effect in new if isinstance(effect, Pulse)]
    assert len(seen) == 1
    assert seen[0][1] == pytest.approx(seen[0][0] + SETTINGS.pulse_within_s)


def test_an_officer_passes_what_the_machine_does_not() -> None:
    play = Play()
    suspicious(play)
    play.sign_in()
    play.put()
    play.roll(4_000.0)
    new = [*play.judge(Verdict.PASSED), *play.roll(8_000.0)]
    assert pulses(new) == [("pass", 1)]
    told = last_told(new)
    assert (told.verdict, told.by, told.officer, told.desk) == ("passed", "officer", "0017", "desk-1")
    assert told.reasons == ("judged", "control: C-1")
    assert told.took_s == pytest.approx(3.0)


def test_a_flag_leads_into_its_own_chute_and_goes_with_the_alarms() -> None:
    play = Play()
    suspicious(play)
    play.sign_in()
    play.put()
    play.roll(4_000.0)
    new = [*play.judge(Verdict.FLAGGED, category="other_goods"), *play.roll(8_000.0)]
    assert pulses(new) == [("flag", 1)]
    flags = [
        told.stream
        for effect in new
        if isinstance(effect, Commit)
        for told in effect.facts
        if isinstance(told.data, ParcelXRayed)
    ]
    assert flags == [Stream.ALARM]
    assert (ended(new).seen, ended(new).confirmed) == ("flag", True)


def test_without_a_flag_chute_a_flag_goes_to_recheck_and_stays_a_flag() -> None:
    play = Play(replace(SETTINGS, layout=replace(LAYOUT, has_flag_chute=False)))
    suspicious(play)
    play.sign_in()
    play.put()
    play.roll(4_000.0)
    new = [*play.judge(Verdict.FLAGGED, category="other_goods"), *play.roll(8_000.0)]
    assert pulses(new) == []
    assert (ended(new).verdict, ended(new).ordered) == ("flagged", "recheck")


def test_several_parcels_each_get_their_own_pulse() -> None:
    play = Play()
    for n in range(4):
        play.put(f"SF000000000000{n}", behind_mm=100.0 + n * 700.0)
    new = play.roll(16_000.0)
    assert pulses(new) == [("pass", n) for n in (1, 2, 3, 4)]
    assert {end.waybill_no for end in of_kind(new, ParcelSorted)} == {f"SF000000000000{n}" for n in range(4)}


# --- whose picture ----------------------------------------------------------------------------------------


def test_a_slipped_parcel_is_not_matched_and_says_by_how_much() -> None:
    play = Play()
    play.put(slipped_mm=120.0)
    new = play.roll(12_000.0)
    assert why(new) == "unmatched"
    picture = of_kind(new, PictureTold)[0]
    assert (picture.association, picture.why, picture.off_mm) == ("unmatched", "off_position", 120.0)
    assert picture.candidates == (1,)


def test_one_removed_and_the_next_takes_nobodys_place() -> None:
    play = Play()
    play.put(xray=False, diverter=False)
    play.put(SECOND, behind_mm=800.0)
    new = play.roll(14_000.0)
    assert pulses(new) == [("pass", 2)]
    gone = of_kind(new, ParcelGone)
    assert [(each.parcel, each.after) for each in gone] == [(1, "portal")]
    assert "parcel_removed" in alarms(new)


def test_removed_behind_the_x_ray_it_is_taken_back_that_it_passed() -> None:
    play = Play()
    play.put(diverter=False)
    new = play.roll(14_000.0)
    assert pulses(new) == []
    assert last_told(new).verdict == "recheck"
    assert of_kind(new, ParcelGone)[0].after == "x_ray"


def test_one_put_on_behind_the_portal_gets_a_number_and_goes_to_recheck() -> None:
    play = Play()
    play.put(portal=False)
    new = play.roll(12_000.0)
    assert why(new) == "added"
    assert of_kind(new, ParcelSeen)[0].entered == "x_ray"
    assert "parcel_added" in alarms(new)
    assert ended(new).seen == "recheck"


def test_one_put_on_behind_the_x_ray_gets_a_number_and_goes_to_recheck() -> None:
    play = Play()
    play.put(portal=False, xray=False)
    new = play.roll(12_000.0)
    assert why(new) == "added"
    assert of_kind(new, ParcelSeen)[0].entered == "diverter"
    assert ended(new).seen == "recheck"


def test_a_lost_picture_is_no_pass() -> None:
    play = Play()
    play.put(xray=False)
    play.say(PictureLost("cut off"))
    new = play.roll(12_000.0)
    assert why(new) == "no_picture"


def test_two_in_one_picture_are_both_checked() -> None:
    play = Play()
    front = play.put(xray=False).leading_mm
    play.put(SECOND, behind_mm=510.0, xray=False)
    play.roll(3_900.0)
    play.say(PictureTaken("both", front, front + 810.0, 1600, 500))
    new = play.roll(8_500.0)
    assert why(new, 1) == "merged"
    assert why(new, 2) == "merged"


def test_two_pictures_of_one_parcel_are_a_split() -> None:
    play = Play()
    front = play.put(xray=False).leading_mm
    play.roll(3_600.0)
    new = play.say(PictureTaken("a", front, front + 200.0, 400, 500))
    new += play.say(PictureTaken("b", front + 205.0, front + 400.0, 400, 500))
    assert why([*new, *play.roll(8_500.0)]) == "split"


def test_a_second_picture_takes_the_pass_back() -> None:
    play = Play()
    thing = play.put()
    play.roll(5_000.0)
    assert play.station.parcels[0].verdict is Verdict.PASSED
    new = play.say(PictureTaken("again", thing.leading_mm, thing.trailing_mm(), 800, 500))
    new += play.roll(8_000.0)
    assert why(new) == "ambiguous"


@pytest.mark.parametrize("said", [a for a in Acquisition if a is not Acquisition.SUCCESSFUL])
def test_what_the_machine_doubts_itself_is_no_match(said: Acquisition) -> None:
    play = Play()
    thing = play.put(xray=False)
    play.roll(3_600.0)
    play.say(PictureTaken("p", thing.leading_mm, thing.trailing_mm(), 800, 500, said))
    assert why(play.roll(9_000.0)) in ("merged", "split", "ambiguous")


def test_two_things_in_a_matched_picture_are_checked_by_hand() -> None:
    play = Play()
    play.answers.analysis = lambda picture: analysis(picture, objects=2)
    play.put()
    assert why(play.roll(12_000.0)) == "two_things"


def test_a_picture_without_a_place_is_nobodys() -> None:
    play = Play()
    play.put(xray=False)
    play.roll(3_600.0)
    new = play.say(PictureTaken("p", None, None, 800, 500))
    assert of_kind(new, PictureTold)[0].why == "no_position"
    assert [type(effect) for effect in new].count(KeepEvidence) == 1
    assert why(play.roll(9_000.0)) == "no_picture"


def test_a_picture_that_comes_after_its_parcel_has_gone_changes_nothing() -> None:
    play = Play()
    thing = play.put(xray=False)
    play.roll(12_000.0)
    new = play.say(PictureTaken("p", thing.leading_mm, thing.trailing_mm(), 800, 500))
    told = of_kind(new, PictureTold)[0]
    assert (told.association, told.why, told.candidates) == ("unmatched", "late", (1,))
    assert of_kind(new, ParcelSeen) == []


# --- codes ------------------------------------------------------------------------------------------------


def test_a_no_read_is_checked_by_hand() -> None:
    play = Play()
    play.put(None)
    assert why(play.roll(12_000.0)) == "no_read"


def test_a_garbled_code_says_so() -> None:
    play = Play()
    thing = play.put(None)
    play.roll(300.0)
    play.say(NothingRead(thing.leading_mm + 200.0, "garbled"))
    assert why(play.roll(12_000.0)) == "garbled"


def test_two_waybills_on_one_parcel_are_none() -> None:
    play = Play()
    thing = play.put()
    play.roll(320.0)
    play.say(CodeRead(SECOND, thing.leading_mm + 180.0))
    assert why(play.roll(12_000.0)) == "two_codes"


def test_the_code_of_the_goods_is_not_the_waybills() -> None:
    play = Play()
    thing = play.put()
    play.roll(320.0)
    play.say(CodeRead("6901234567892", thing.leading_mm + 180.0, "EAN-13"))
    assert pulses(play.roll(12_000.0)) == [("pass", 1)]


def test_a_code_between_two_parcels_is_neithers() -> None:
    play = Play()
    thing = play.put(None)
    play.put(None, behind_mm=540.0)
    play.roll(700.0)
    play.say(CodeRead(SECOND, thing.trailing_mm() + 20.0))
    new = play.roll(13_000.0)
    assert why(new, 1) == "no_read"
    assert why(new, 2) == "no_read"


def test_a_second_code_that_comes_late_takes_the_parcel_out() -> None:
    play = Play()
    thing = play.put()
    play.roll(1_200.0)
    play.say(CodeRead(SECOND, thing.leading_mm + 180.0))
    assert why(play.roll(12_000.0)) == "two_codes"


def test_the_same_waybill_on_two_parcels_passes_neither() -> None:
    play = Play()
    play.put()
    play.put(behind_mm=900.0)
    new = play.roll(14_000.0)
    assert why(new, 1) == "waybill_twice"
    assert why(new, 2) == "waybill_twice"


def test_a_consignment_of_two_pieces_may_have_one_waybill() -> None:
    play = Play()
    play.answers.goods = lambda text: goods(text, pieces=2)
    play.put()
    play.put(behind_mm=900.0)
    assert pulses(play.roll(14_000.0)) == [("pass", 1), ("pass", 2)]


def test_a_third_of_two_declared_pieces_passes_none_of_those_on_the_belt() -> None:
    play = Play()
    play.answers.goods = lambda text: goods(text, pieces=2)
    play.put()
    play.put(behind_mm=900.0)
    play.put(behind_mm=1_800.0)
    new = play.roll(16_000.0)
    assert pulses(new) == []
    assert [why(new, number) for number in (1, 2, 3)] == ["waybill_twice"] * 3


@pytest.mark.parametrize("pieces", [0, 1, 2])
def test_a_waybill_passes_as_often_as_pieces_are_declared_under_it(pieces: int) -> None:
    """One after the other, each alone on the belt: a label that was copied. What went to recheck may come
    again."""
    play = Play()
    play.answers.goods = lambda text: goods(text, pieces=pieces)
    ends = []
    for clear in (False, True, True, True):
        play.answers.analysis = analysis if clear else lambda picture: None
        play.put()
        ends.append(bool(pulses(play.roll(12_000.0))))
    passing = max(1, pieces)
    assert ends == [False] + [True] * passing + [False] * (3 - passing)


def test_a_waybill_nobody_declared_is_checked_by_hand() -> None:
    play = Play()
    play.answers.goods = lambda text: None
    play.put()
    assert why(play.roll(12_000.0)) == "waybill_unknown"


def test_a_trace_code_at_the_portal_leads_to_its_waybill() -> None:
    play = Play()
    trace = "TRACE-0001"
    play.answers.goods = lambda text: goods(SECOND, answers_to=text)
    play.put(trace)
    new = play.roll(12_000.0)
    assert [told.texts for told in of_kind(new, ParcelSeen)] == [(trace,)]
    told = last_told(new)
    assert (told.waybill_no, told.verdict) == (SECOND, "passed")
    assert [order.waybill_no for order in of_kind(new, DivertOrdered)] == [SECOND]


def test_one_waybill_by_two_codes_of_its_own_is_there_twice() -> None:
    play = Play()
    play.answers.goods = lambda text: goods(SECOND, answers_to=text)
    play.put("TRACE-0001")
    play.put(SECOND, behind_mm=900.0)
    new = play.roll(12_000.0)
    assert pulses(new) == []
    assert {last_told(new, n).reasons[0] for n in (1, 2)} == {"waybill_twice"}


def test_records_of_another_waybill_are_no_records() -> None:
    play = Play()
    play.answers.goods = lambda text: goods(SECOND)
    play.put()
    assert why(play.roll(12_000.0)) == "waybill_unknown"


# --- near each other --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("near", "reasons"), [(Near.DISCARD, "too_close"), (Near.COMPOSE, "composed"), (Near.IGNORE, "clear")]
)
def test_parcels_too_near_to_each_other(near: Near, reasons: str) -> None:
    play = Play(replace(SETTINGS, windows=Windows(near=near)))
    play.sign_in()
    play.put()
    play.put(
        SECOND if near is not Near.COMPOSE else "SF1234567890123",
        behind_mm=620.0,
        xray=near is not Near.COMPOSE,
    )
    if near is Near.COMPOSE:
        play.things[0].xray = False
    play.roll(3_900.0)
    if near is Near.COMPOSE:
        front = play.things[0].leading_mm
        play.say(PictureTaken("both", front, front + 920.0, 1600, 500))
    parcel = play.station.parcels[0]
    assert parcel.reasons[0].code.value == reasons


def test_what_lies_nearer_than_the_diverter_can_part_goes_with_it_or_to_recheck() -> None:
    play = Play(replace(SETTINGS, windows=Windows(near=Near.IGNORE)))
    play.put()
    play.put(None, behind_mm=540.0)
    new = play.roll(13_000.0)
    assert why(new, 1) == "neighbour_elsewhere"
    assert why(new, 2) == "no_read"


# --- the diverter -----------------------------------------------------------------------------------------


def test_one_that_is_not_in_its_place_at_the_diverter_gets_no_pulse() -> None:
    play = Play()
    play.put(slipped_later_mm=100.0)
    new = play.roll(12_500.0)
    assert why(new) == "not_at_diverter"
    assert ended(new).seen == "recheck"


def test_one_that_may_be_the_held_up_one_before_it_gets_no_pulse() -> None:
    play = Play(replace(SETTINGS, windows=Windows(near=Near.IGNORE)))
    play.put(length_mm=200.0, diverter=False)
    play.put(SECOND, behind_mm=390.0, length_mm=320.0)
    new = play.roll(13_000.0)
    assert pulses(new) == []
    assert why(new, 2) == "two_at_diverter"


def test_one_that_is_missing_far_before_keeps_nobody_up() -> None:
    play = Play()
    play.put(diverter=False)
    play.put(SECOND, behind_mm=801.0)
    assert pulses(play.roll(13_000.0)) == [("pass", 2)]


def test_a_belt_that_stands_pulses_nothing() -> None:
    play = Play()
    thing = play.put(diverter=False)
    play.roll(8_000.0)
    play.belt_mm = thing.leading_mm + LAYOUT.diverter_mm
    play.at_s += 0.1
    play.running = False
    new = play.say(play.belt(), EyeSeen(Eye.DIVERTER, True, play.belt_mm))
    assert why(new) == "belt_stopped"


def test_a_belt_that_runs_back_pulses_nothing() -> None:
    play = Play()
    thing = play.put(diverter=False)
    play.roll(8_000.0)
    play.belt_mm = thing.leading_mm + LAYOUT.diverter_mm
    play.at_s += 0.1
    play.forward = False
    new = play.say(play.belt(), EyeSeen(Eye.DIVERTER, True, play.belt_mm))
    assert why(new) == "belt_reversed"


@pytest.mark.parametrize("forward", [None, True])
def test_a_belt_of_unknown_direction_or_behind_its_farthest_pulses_nothing(forward: bool | None) -> None:
    play = Play()
    thing = play.put(diverter=False)
    place = thing.leading_mm + LAYOUT.diverter_mm
    play.roll(place - play.belt_mm + (0.0 if forward is None else 30.0))
    play.belt_mm = place
    play.at_s += 0.1
    look = replace(play.belt(), forward=forward)
    new = play.say(look, EyeSeen(Eye.DIVERTER, True, place))
    assert why(new) == "belt_reversed"


def test_an_emergency_pulses_nothing() -> None:
    play = Play()
    thing = play.put(diverter=False)
    play.roll(8_000.0)
    play.belt_mm = thing.leading_mm + LAYOUT.diverter_mm
    play.at_s += 0.1
    new = play.say(replace(play.belt(), emergency=True), EyeSeen(Eye.DIVERTER, True, play.belt_mm))
    assert why(new) == "emergency"
    assert permits(new) == [False]


def test_a_position_nobody_has_heard_of_for_a_while_pulses_nothing() -> None:
    play = Play()
    thing = play.put(diverter=False)
    play.roll(8_000.0)
    play.belt_mm = thing.leading_mm + LAYOUT.diverter_mm
    play.at_s += 1.0
    new = play.say(EyeSeen(Eye.DIVERTER, True, play.belt_mm))
    assert why(new) == "belt_unknown"


def test_one_parcel_is_pulsed_once_though_the_belt_runs_back_and_forth() -> None:
    play = Play(replace(SETTINGS, chute_eyes=frozenset()))
    thing = play.put(diverter=False)
    play.roll(8_000.0)
    new = []
    place = thing.leading_mm + LAYOUT.diverter_mm
    play.roll(place - play.belt_mm)
    new += play.say(EyeSeen(Eye.DIVERTER, True, place))
    for _ in range(2):
        play.forward = False
        play.belt_mm -= 60.0
        play.at_s += 0.2
        new += play.say(play.belt(), EyeSeen(Eye.DIVERTER, False, place))
        play.forward = True
        play.belt_mm += 60.0
        play.at_s += 0.2
        new += play.say(play.belt(), EyeSeen(Eye.DIVERTER, True, place))
    assert pulses(new) == [("pass", 1)]


def test_a_tail_that_comes_back_over_the_diverters_eye_is_no_other_parcel() -> None:
    play = Play(replace(SETTINGS, chute_eyes=frozenset()))
    thing = play.put(diverter=False)
    play.roll(8_000.0)
    place = thing.leading_mm + LAYOUT.diverter_mm
    play.roll(place - play.belt_mm)
    play.say(EyeSeen(Eye.DIVERTER, True, place))
    tail = thing.trailing_mm() + LAYOUT.diverter_mm
    play.roll(tail - play.belt_mm)
    new = play.say(EyeSeen(Eye.DIVERTER, False, tail))
    play.forward = False
    for _ in range(3):
        play.belt_mm -= 20.0
        play.at_s += 0.1
        new += play.say(play.belt())
    new += play.say(EyeSeen(Eye.DIVERTER, True, tail - 1.0))
    assert "reversed" in [each.state for each in of_kind(new, BeltChanged)]
    assert of_kind(new, ParcelSeen) == []


def test_a_parcel_that_backs_out_of_the_portal_is_the_same_parcel() -> None:
    play = Play()
    thing = play.put(portal=False, xray=False, diverter=False)
    play.roll(100.0)
    play.say(EyeSeen(Eye.PORTAL, True, thing.leading_mm))
    play.roll(200.0)
    play.forward = False
    for _ in range(30):
        play.belt_mm -= 10.0
        play.at_s += 0.03
        play.say(play.belt())
    play.say(EyeSeen(Eye.PORTAL, False, thing.leading_mm - 5.0))
    play.forward = True
    play.roll(100.0)
    play.say(EyeSeen(Eye.PORTAL, True, thing.leading_mm))
    play.roll(400.0)
    play.say(EyeSeen(Eye.PORTAL, False, thing.trailing_mm()))
    assert [(p.number, p.leading_mm, p.trailing_mm) for p in play.station.parcels] == [
        (1, thing.leading_mm, thing.trailing_mm())
    ]
    assert "reversed" in [each.state for each in of_kind(play.asked, BeltChanged)]


def test_a_wrong_chute_is_an_alarm_and_nothing_passes_before_an_officer_has_looked() -> None:
    play = Play()
    thing = play.put(None, diverter=False)
    play.put(behind_mm=1_500.0)
    place = thing.leading_mm + LAYOUT.diverter_mm
    new = play.roll(place - play.belt_mm)
    new += play.say(EyeSeen(Eye.DIVERTER, True, place))
    new += play.roll(400.0)
    new += play.say(EyeSeen(Eye.DIVERTER, False, play.belt_mm))
    new += play.roll(200.0)
    new += play.say(EyeSeen(Eye.PASS_CHUTE, True, play.belt_mm))
    new += play.say(EyeSeen(Eye.PASS_CHUTE, False, play.belt_mm))
    assert "wrong_chute" in alarms(new)
    assert any(isinstance(effect, AskStop) for effect in new)
    assert (ended(new).seen, ended(new).confirmed) == ("pass", False)
    new = play.roll(4_000.0)
    assert why(new, 2) == "closed"
    assert play.station.permit is False
    play.sign_in()
    play.say(ResetAsked("0017", "desk-1"))
    assert play.station.permit is True


def test_one_that_was_sent_on_but_lies_in_recheck_is_recheck() -> None:
    play = Play()
    thing = play.put(diverter=False)
    place = thing.leading_mm + LAYOUT.diverter_mm
    new = play.roll(place - play.belt_mm)
    new += play.say(EyeSeen(Eye.DIVERTER, True, place))
    assert pulses(new) == [("pass", 1)]
    new = play.roll(400.0)
    new += play.say(EyeSeen(Eye.DIVERTER, False, play.belt_mm))
    new += play.roll(200.0)
    new += play.say(EyeSeen(Eye.RECHECK_CHUTE, True, play.belt_mm))
    assert (ended(new).verdict, ended(new).seen, ended(new).why) == ("recheck", "recheck", "wrong_chute")
    assert "wrong_chute" in alarms(new)


def test_a_chute_without_an_eye_confirms_nothing() -> None:
    play = Play(replace(SETTINGS, chute_eyes=frozenset()))
    thing = play.put(diverter=False)
    place = thing.leading_mm + LAYOUT.diverter_mm
    new = play.roll(place - play.belt_mm)
    new += play.say(EyeSeen(Eye.DIVERTER, True, place))
    new += play.roll(400.0)
    new += play.say(EyeSeen(Eye.DIVERTER, False, play.belt_mm))
    new += play.roll(2_000.0)
    assert (ended(new).ordered, ended(new).seen, ended(new).confirmed) == ("pass", "", False)
    assert (ended(new).why, alarms(new)) == ("no_eye", [])


def test_a_long_block_of_an_eye_is_a_jam_and_a_stop_is_asked_for() -> None:
    play = Play()
    play.put(diverter=False)
    play.roll(5_000.0)
    play.say(EyeSeen(Eye.XRAY, True, play.belt_mm))
    new = play.roll(1_700.0)
    assert [each.state for each in of_kind(new, BeltChanged)] == ["jam"]
    assert any(isinstance(effect, AskStop) for effect in new)
    assert play.station.feed_reasons == ("jam",)
    new = play.say(EyeSeen(Eye.XRAY, False, play.belt_mm))
    assert permits(new) == [True]


# --- officers ---------------------------------------------------------------------------------------------


def to_judge(settings: object = SETTINGS, parcels: int = 1) -> Play:
    """A parcel that needs an officer, one signed in, the picture there."""
    play = Play(settings)  # type: ignore[arg-type]
    suspicious(play)
    play.sign_in()
    for n in range(parcels):
        play.put(f"SF000000000000{n}", behind_mm=100.0 + 700.0 * n)
    play.roll(3_700.0 + 700.0 * (parcels - 1))
    return play


def say(play: Play, verdict: Verdict = Verdict.PASSED, **changes: object) -> list[tuple[bool, str]]:
    parcel = play.station.parcels[0]
    plain = Judged(parcel.number, parcel.picture, "0017", "desk-1", verdict, "x", took_s=2.0)
    return answers(play.say(replace(plain, **changes)))  # type: ignore[arg-type]


def show(play: Play, desk: str = "desk-1") -> None:
    parcel = play.in_hand(desk)
    assert parcel is not None
    play.say(Shown(parcel.number, parcel.picture, desk))
    play.roll(600.0)


def test_judged_in_time_it_counts() -> None:
    play = to_judge()
    show(play)
    assert say(play) == [(True, "")]


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"desk": "desk-9"}, "desk_unknown"),
        ({"officer": "0099"}, "other_officer"),
        ({"parcel": 77}, "parcel_unknown"),
        ({"picture": "another"}, "other_picture"),
        ({"verdict": Verdict.FLAGGED, "category": ""}, "category_missing"),
    ],
)
def test_a_judgement_is_checked(changes: dict[str, object], refusal: str) -> None:
    play = to_judge()
    show(play)
    assert say(play, **changes) == [(False, refusal)]  # type: ignore[arg-type]
    assert play.station.parcels[0].verdict is None


def test_what_was_not_on_the_screen_was_not_judged() -> None:
    play = to_judge()
    assert say(play) == [(False, "not_shown")]


def test_nobody_judges_without_the_authorisation() -> None:
    play = Play()
    suspicious(play)
    play.say(OfficerCame("desk-1", "0017", ("inspect",)))
    play.put()
    play.roll(3_700.0)
    assert play.in_hand() is None
    assert say(play) == [(False, "not_authorised")]


def test_another_desks_parcel_is_not_judged_here() -> None:
    play = to_judge()
    play.sign_in("desk-2", "0018")
    assert say(play, desk="desk-2", officer="0018") == [(False, "not_in_hand")]


@pytest.mark.parametrize("changes", [{"recalls": ("R-1",)}, {"quarantine": True}, {"documents_match": False}])
def test_no_officer_passes_what_nobody_may_pass(changes: dict[str, object]) -> None:
    play = Play()
    play.answers.goods = lambda text: goods(text, **changes)
    play.sign_in()
    play.put()
    play.roll(3_700.0)
    show(play)
    assert say(play) == [(False, "may_not_pass")]
    assert say(play, Verdict.FLAGGED) == [(True, "")]


def test_a_parcel_nobody_judged_goes_to_recheck_in_time() -> None:
    play = to_judge()
    new = play.roll(9_000.0)
    assert why(new) == "overdue"
    assert last_told(new).by == "default"


def test_a_late_judgement_is_a_fact_and_moves_nothing() -> None:
    play = to_judge()
    show(play)
    play.roll(4_450.0 - 600.0)
    new = play.say(Judged(1, play.station.parcels[0].picture, "0017", "desk-1", Verdict.PASSED, took_s=9.0))
    assert answers(new) == [(False, "late")]
    told = last_told(new)
    assert (told.late, told.verdict, told.officer) == (True, "recheck", "0017")
    assert told.reasons[0] == "late: passed"
    assert pulses(play.roll(4_000.0)) == []


def test_a_judgement_of_a_parcel_that_has_left_is_late_too() -> None:
    play = to_judge()
    show(play)
    picture = play.station.parcels[0].picture
    play.roll(9_000.0)
    new = play.say(Judged(1, picture, "0017", "desk-1", Verdict.FLAGGED, "x", took_s=30.0))
    assert answers(new) == [(False, "late")]
    told = last_told(new)
    assert (told.late, told.verdict, told.category) == (True, "recheck", "x")
    # Its evidence was asked for when it left: the late word is a further version of it.
    (later,) = [effect for effect in new if isinstance(effect, KeepEvidence)]
    assert (later.picture, later.parcel, later.keep_class) == (picture, 1, "held")
    assert read_said(bytes(later.manifest)).judged == told


def test_a_parcel_is_in_one_hand_and_the_next_is_fetched_ahead() -> None:
    play = to_judge(parcels=3)
    desk = play.station.desks[0]
    assert (desk.parcel, desk.ahead) == (1, 2)
    play.sign_in("desk-2", "0018")
    assert [(d.parcel, d.ahead) for d in play.station.desks] == [(1, 2), (3, 0)]
    show(play)
    say(play)
    assert [(d.parcel, d.ahead) for d in play.station.desks] == [(2, 0), (3, 0)]


def test_whoever_leaves_gives_the_parcel_back() -> None:
    play = to_judge()
    play.sign_in("desk-2", "0018")
    play.say(OfficerLeft("desk-1", "0017", "asked"))
    in_hand = play.in_hand("desk-2")
    assert in_hand is not None
    assert in_hand.number == 1


def test_a_verdict_is_taken_back_within_five_seconds() -> None:
    play = to_judge()
    show(play)
    say(play)
    new = play.say(Undone(1, "0017", "desk-1"))
    assert (answers(new), kinds(new)) == ([(True, "")], ["judgement_undone"])
    show(play)
    assert say(play, Verdict.FLAGGED) == [(True, "")]
    assert pulses(play.roll(9_000.0)) == [("flag", 1)]


@pytest.mark.parametrize(
    ("undone", "wait_s", "refusal"),
    [
        (Undone(1, "0017", "desk-9"), 0.0, "desk_unknown"),
        (Undone(1, "0099", "desk-1"), 0.0, "other_officer"),
        (Undone(9, "0017", "desk-1"), 0.0, "parcel_unknown"),
        (Undone(1, "0017", "desk-1"), 6.0, "undo_over"),
    ],
)
def test_taking_back_has_its_limits(undone: Undone, wait_s: float, refusal: str) -> None:
    play = to_judge()
    show(play)
    say(play)
    play.stand(wait_s)
    assert answers(play.say(undone)) == [(False, refusal)]


def test_only_what_oneself_judged_is_taken_back() -> None:
    play = to_judge()
    show(play)
    say(play)
    play.sign_in("desk-2", "0018")
    assert answers(play.say(Undone(1, "0018", "desk-2"))) == [(False, "not_yours")]


def test_what_the_belt_has_carried_too_far_is_not_taken_back() -> None:
    play = to_judge()
    show(play)
    play.roll(3_600.0)
    say(play)
    play.roll(600.0)
    assert answers(play.say(Undone(1, "0017", "desk-1"))) == [(False, "undo_over")]


def test_what_is_not_judged_cannot_be_taken_back() -> None:
    play = to_judge()
    assert answers(play.say(Undone(1, "0017", "desk-1"))) == [(False, "not_judged")]


DRAWN = replace(SETTINGS, second_per_mille=1000, draw_key=b"k" * 32)


def test_one_that_is_drawn_is_looked_at_by_another_officer() -> None:
    play = to_judge(DRAWN)
    show(play)
    new = play.say(Judged(1, play.station.parcels[0].picture, "0017", "desk-1", Verdict.PASSED))
    assert last_told(new).reasons[0] == "awaiting_second: passed"
    assert last_told(new).verdict == "recheck"
    assert play.in_hand() is None
    play.sign_in("desk-2", "0018")
    show(play, "desk-2")
    new = play.say(Judged(1, play.station.parcels[0].picture, "0018", "desk-2", Verdict.PASSED))
    told = last_told(new)
    assert (told.verdict, told.officer, told.second_of) == ("passed", "0018", "0017")
    assert pulses(play.roll(9_000.0)) == [("pass", 1)]


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        (Verdict.PASSED, Verdict.FLAGGED, "flagged"),
        (Verdict.FLAGGED, Verdict.PASSED, "flagged"),
        (Verdict.PASSED, Verdict.RECHECK, "recheck"),
    ],
)
def test_two_who_differ_pass_nothing(first: Verdict, second: Verdict, verdict: str) -> None:
    play = to_judge(DRAWN)
    play.sign_in("desk-2", "0018")
    show(play)
    picture = play.station.parcels[0].picture
    play.say(Judged(1, picture, "0017", "desk-1", first, "x"))
    show(play, "desk-2")
    new = play.say(Judged(1, picture, "0018", "desk-2", second, "x"))
    assert (last_told(new).verdict, last_told(new).reasons[0][:14]) == (verdict, "second_differs")


def test_a_second_look_that_does_not_come_means_recheck() -> None:
    play = to_judge(DRAWN)
    show(play)
    say(play)
    assert why(play.roll(9_000.0)) == "second_missing"


# --- pace and rest ----------------------------------------------------------------------------------------


def hurry(play: Play, times: int, seconds: float) -> list[Effect]:
    new: list[Effect] = []
    for n in range(times):
        play.put(f"SF11111111111{n:02d}")
        play.roll(3_700.0)
        new += play.judge(seconds=seconds)
    return new


def test_whoever_judges_faster_than_anybody_looks_stops_the_feed_for_a_while() -> None:
    play = Play()
    suspicious(play)
    play.sign_in()
    new = hurry(play, 10, 0.5)
    assert [rest.why for rest in of_kind(new, RestDue)] == ["too_fast"]
    assert play.station.feed_reasons == ("too_fast: desk-1",)
    for _ in range(260):
        play.tick()
        play.say(play.belt())
    assert play.station.permit is True


def test_whoever_looks_long_enough_is_left_alone() -> None:
    play = Play()
    suspicious(play)
    play.sign_in()
    assert of_kind(hurry(play, 10, 2.0), RestDue) == []
    assert play.station.permit is True


def test_after_twenty_minutes_somebody_else_should_sit_there() -> None:
    play = Play()
    play.sign_in()
    play.at_s += 1_201.0
    new = play.tick()
    assert [(rest.why, rest.officer) for rest in of_kind(new, RestDue)] == [("rotation", "0017")]
    assert of_kind(play.tick(), RestDue) == []


def test_a_minute_away_is_no_rest() -> None:
    play = Play()
    play.sign_in()
    play.at_s += 1_000.0
    play.say(OfficerLeft("desk-1", "0017", "asked"))
    play.at_s += 60.0
    play.sign_in()
    play.at_s += 200.0
    assert [rest.why for rest in of_kind(play.tick(), RestDue)] == ["rotation"]


def test_five_minutes_away_are_a_rest() -> None:
    play = Play()
    play.sign_in()
    play.at_s += 1_000.0
    play.say(OfficerLeft("desk-1", "0017", "asked"))
    play.at_s += 301.0
    play.sign_in()
    play.at_s += 200.0
    assert of_kind(play.tick(), RestDue) == []


# --- the feed permit --------------------------------------------------------------------------------------


def test_at_first_nothing_is_fed_and_then_the_belt_is_cleared() -> None:
    play = Play(ready=False)
    assert permits(play.asked) == [False]
    play.roll(5_000.0)
    assert play.station.feed_reasons == ("clearing",)
    new = play.roll(6_000.0)
    assert permits(new) == [True]
    assert [feed.permitted for feed in of_kind(new, FeedChanged)] == [True]


def test_a_lost_device_withholds_the_feed_until_it_is_back() -> None:
    play = Play()
    new = play.say(DeviceLost("portal", "silent"))
    assert (permits(new), play.station.feed_reasons) == ([False], ("device: portal",))
    assert alarms(new) == ["device_lost"]
    assert play.say(DeviceLost("portal", "silent")) == []
    assert permits(play.say(DeviceBack("portal"))) == [True]


def test_a_full_disk_withholds_the_feed_before_evidence_is_lost() -> None:
    play = Play()
    new = play.say(Room(False, 5_000_000))
    assert (permits(new), alarms(new)) == ([False], ["evidence_full"])
    assert permits(play.say(Room(True, 10**10))) == [True]


def test_an_unknown_belt_withholds_the_feed_and_what_lies_on_it_is_checked() -> None:
    play = Play()
    play.put()
    play.roll(5_000.0)
    new = play.say(BeltRead(None))
    assert (permits(new), play.station.feed_reasons) == ([False], ("belt_unknown",))
    new += play.roll(8_000.0)
    assert why(new) == "belt_unknown"


def test_too_many_waiting_withhold_the_feed_until_half_are_judged() -> None:
    play = to_judge(replace(SETTINGS, most_waiting=2), parcels=4)
    assert play.station.feed_reasons == ("queue",)
    show(play)
    say(play)
    assert play.station.permit is False
    for _ in range(2):
        show(play)
        in_hand = play.in_hand()
        assert in_hand is not None
        play.say(Judged(in_hand.number, in_hand.picture, "0017", "desk-1", Verdict.PASSED))
    assert play.station.permit is True


def test_with_nobody_to_judge_and_nothing_automatic_nothing_is_fed() -> None:
    manual = replace(SETTINGS, triage=replace(SETTINGS.triage, automatic=False))
    play = Play(manual)
    assert play.station.feed_reasons == ("nobody",)
    assert permits(play.sign_in()) == [True]


# --- wedge ------------------------------------------------------------------------------------------------


def test_the_wedge_is_no_parcel_and_its_picture_is_checked() -> None:
    play = Play()
    play.sign_in()
    play.put("KAKOU-WEDGE")
    new = play.roll(5_000.0)
    assert [type(effect) for effect in new if isinstance(effect, CheckWedge | Analyse)] == [CheckWedge]
    assert why(play.roll(8_000.0)) == "wedge"


def test_an_officer_may_say_that_the_wedge_comes_next() -> None:
    play = Play()
    play.sign_in()
    assert answers(play.say(WedgeAsked(True, "0017", "desk-1"))) == [(True, "")]
    play.put(None)
    new = play.roll(5_000.0)
    assert [type(effect) for effect in new if isinstance(effect, CheckWedge | Analyse)] == [CheckWedge]
    assert play.station.wedge_next is False


def the_asked_wedge(*, asked: bool = True, seen: bool = True, beside: bool = False) -> Play:
    """It lies behind the X-ray, and no picture has come yet."""
    play = Play()
    play.sign_in()
    if asked:
        play.say(WedgeAsked(True, "0017", "desk-1"))
    wedge = play.put(None, xray=False)
    if beside:
        play.put(behind_mm=900.0, xray=False)
    play.roll(3_200.0)
    if seen:
        at_mm = wedge.at_mm(LAYOUT.xray_mm)
        play.say(EyeSeen(Eye.XRAY, True, at_mm), EyeSeen(Eye.XRAY, False, at_mm + wedge.length_mm))
    play.roll(500.0)
    return play


NO_PLACE = PictureTaken("file-1", None, None, 800, 500, length_mm=LONG_MM + 12.0)


def test_a_hot_folders_first_picture_is_the_wedges_when_an_officer_said_that_it_comes() -> None:
    """After a start no picture of a folder has a place: else the day could not begin with the wedge."""
    play = the_asked_wedge()
    new = play.say(NO_PLACE)
    assert [effect.picture for effect in new if isinstance(effect, CheckWedge)] == ["file-1"]
    assert [(told.association, told.why, told.length_off_mm) for told in of_kind(new, PictureTold)] == [
        ("matched", "wedge_asked", 12.0)
    ]
    again = play.say(replace(NO_PLACE, picture="file-2"))
    assert [effect for effect in again if isinstance(effect, CheckWedge)] == []


@pytest.mark.parametrize(
    ("stage", "taken"),
    [
        ({"asked": False}, NO_PLACE),
        ({"seen": False}, NO_PLACE),
        ({"beside": True}, NO_PLACE),
        ({}, replace(NO_PLACE, length_mm=None)),
        ({}, replace(NO_PLACE, length_mm=LONG_MM + 90.0)),
        ({}, replace(NO_PLACE, length_mm=LONG_MM - 90.0)),
        ({}, replace(NO_PLACE, objects=2)),
        ({}, replace(NO_PLACE, acquisition=Acquisition.INCOMPLETE)),
        ({}, replace(NO_PLACE, leading_mm=-9_000.0, trailing_mm=-9_000.0 + LONG_MM)),
    ],
    ids=[
        "not asked",
        "not seen",
        "not alone",
        "no length",
        "longer",
        "shorter",
        "two",
        "not whole",
        "elsewhere",
    ],
)
def test_a_picture_without_a_place_is_no_other_wedges(stage: dict[str, bool], taken: PictureTaken) -> None:
    play = the_asked_wedge(**stage)
    new = play.say(taken)
    assert [effect for effect in new if isinstance(effect, CheckWedge)] == []
    assert [told.association for told in of_kind(new, PictureTold)] != ["matched"]


def test_without_a_valid_wedge_nothing_passes_by_itself_and_the_feed_goes_on() -> None:
    play = Play()
    new = play.say(WedgeChecked(False, "w", CALIBRATION, "step 3 too dark"))
    assert (alarms(new), play.station.permit) == (["wedge_failed"], True)
    play.sign_in()
    play.put()
    play.roll(4_000.0)
    in_hand = play.in_hand()
    assert in_hand is not None
    assert [because.code.value for because in in_hand.reasons] == ["wedge_invalid"]


def test_a_wedge_check_lasts_a_day() -> None:
    play = Play()
    play.at_s += 86_401.0
    play.say(play.belt())
    play.sign_in()
    play.put()
    play.roll(4_000.0)
    in_hand = play.in_hand()
    assert in_hand is not None
    assert [because.code.value for because in in_hand.reasons] == ["wedge_invalid"]


# --- evidence and saving ----------------------------------------------------------------------------------


def test_what_became_of_a_parcel_is_kept_with_its_picture() -> None:
    play = Play()
    play.put()
    new = play.roll(12_000.0)
    kept = [effect for effect in new if isinstance(effect, KeepEvidence)]
    assert [(k.parcel, k.verdict, k.keep_class) for k in kept] == [(1, Verdict.PASSED, "routine")]
    said = msgspec.json.decode(bytes(kept[0].manifest))
    assert said["match"]["association"] == "matched"
    assert said["machine"]["verdict"] == "passed"
    new = play.say(EvidenceKept(1, kept[0].picture, "a" * 64, 1000, files=5))
    assert kinds(new) == ["x_ray_evidence_kept"]
    assert play.station.pictures == {}


def test_a_picture_becomes_a_reference_at_one_key() -> None:
    play = to_judge()
    parcel = play.station.parcels[0]
    asked = SaveAsked(parcel.number, parcel.picture, "0017", "desk-1", "reference")
    new = play.say(asked)
    assert answers(new) == [(True, "")]
    assert [effect.goods for effect in new if isinstance(effect, SavePicture)] == [parcel.goods]
    assert answers(play.say(replace(asked, kind="other"))) == [(False, "kind_unknown")]
    assert answers(play.say(replace(asked, picture="gone"))) == [(False, "picture_gone")]
    assert answers(play.say(replace(asked, officer="0099"))) == [(False, "other_officer")]


# --- X3: killed and restarted -----------------------------------------------------------------------------


def memory_of(play: Play) -> Memory:
    return [e.memory for e in play.asked if isinstance(e, Commit) and e.memory is not None][-1]


def test_after_a_restart_all_that_was_on_the_belt_is_recheck_and_the_belt_is_cleared_first() -> None:
    play = Play()
    play.put()
    play.put(SECOND, behind_mm=900.0)
    play.roll(5_000.0)
    assert play.station.parcels[0].verdict is Verdict.PASSED
    after = Play(memory=memory_of(play), ready=False)
    assert [(end.parcel, end.verdict, end.why) for end in of_kind(after.asked, ParcelSorted)] == [
        (1, "recheck", "restarted"),
        (2, "recheck", "restarted"),
    ]
    after.belt_mm = play.belt_mm
    after.things = play.things
    new = after.roll(9_000.0)
    assert pulses(new) == []
    assert of_kind(new, ParcelSeen) == []


def test_of_one_whose_pulse_was_ordered_it_is_said_so() -> None:
    play = Play()
    thing = play.put()
    play.roll(thing.leading_mm + LAYOUT.diverter_mm - play.belt_mm + 30.0)
    assert play.station.parcels[0].ordered is not None
    after = Play(memory=memory_of(play), ready=False)
    end = ended(after.asked)
    assert (end.verdict, end.ordered, end.confirmed, end.why) == ("passed", "pass", False, "restarted")


def test_a_parcel_that_comes_while_the_belt_is_cleared_is_checked_by_hand() -> None:
    play = Play(ready=False)
    play.say(WedgeChecked(True, "w", CALIBRATION))
    play.put()
    assert why(play.roll(9_000.0)) == "clearing"


def test_numbers_go_on_and_a_wedge_check_is_remembered() -> None:
    play = Play()
    play.put()
    play.roll(12_000.0)
    after = Play(memory=memory_of(play), ready=False, down_s=10.0)
    assert after.station.next_parcel == 2
    assert after.station.wedge_until_s == pytest.approx(86_400.0 - play.at_s - 10.0, abs=60.0)
    unknown = Play(memory=memory_of(play), ready=False, down_s=None)
    assert unknown.station.wedge_until_s < 0


# --- the journal ------------------------------------------------------------------------------------------


def raw_step(play: Play, event: object) -> list[Effect]:
    play.station, effects = step(play.station, play.at_s, event)  # type: ignore[arg-type]
    play.asked += effects
    return list(effects)


def test_what_could_not_be_recorded_is_not_pulsed() -> None:
    play = Play()
    thing = play.put(diverter=False)
    place = thing.leading_mm + LAYOUT.diverter_mm
    play.roll(place - play.belt_mm)
    raw_step(play, EyeSeen(Eye.DIVERTER, True, place))
    new = raw_step(play, WriteFailed("disk full"))
    assert pulses(new) == []
    assert play.station.parcels[0].ordered is None
    assert play.station.feed_reasons == ("journal",)
    new = play.tick()
    assert "divert_ordered" not in kinds(new)
    assert last_told(play.roll(2_000.0)).verdict == "recheck"


def test_a_verdict_that_could_not_be_recorded_is_none() -> None:
    play = to_judge()
    show(play)
    picture = play.station.parcels[0].picture
    raw_step(play, Judged(1, picture, "0017", "desk-1", Verdict.PASSED))
    new = raw_step(play, WriteFailed("disk full"))
    assert answers(new) == [(False, "not_recorded")]
    assert kinds(new)[0] == "parcel_x_rayed"
    new = [*play.tick(), *play.roll(9_000.0)]
    assert why(new) == "not_recorded"


def test_what_happened_while_nothing_could_be_written_is_written_later() -> None:
    play = Play()
    raw_step(play, DeviceLost("portal", "silent"))
    new = raw_step(play, WriteFailed("disk full"))
    assert kinds(new)[:2] == ["device_lost", "alarm"]
    assert raw_step(play, WriteFailed("disk full")) == []
    assert play.station.feed_reasons[0] == "journal"
    assert kinds(play.tick())[:2] == ["device_lost", "alarm"]
    play.say(DeviceBack("portal"))
    play.tick()
    assert play.station.permit is True


def test_facts_that_found_no_room_even_in_memory_are_told_as_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.xray_bridge.deciding.journal._MOST_UNWRITTEN", 2)
    play = Play()
    raw_step(play, DeviceLost("portal", "silent"))
    # Three facts, and room for two: what comes behind says so.
    assert "facts_lost" in alarms(raw_step(play, WriteFailed("disk full")))
    # Not durable either: it is the first that waits, and two more find no room.
    raw_step(play, WriteFailed("disk full"))
    new = play.tick()
    told = [each.detail.split()[0] for each in of_kind(new, Alarm) if each.code == "facts_lost"]
    assert told == ["2", "1"]
    assert "facts_lost" not in alarms(play.tick())
    assert play.station.unwritten_lost == 0


# --- the belt's position ----------------------------------------------------------------------------------


def test_a_position_that_jumps_ends_everything_on_the_belt_as_recheck() -> None:
    play = Play()
    play.put()
    play.roll(5_000.0)
    play.at_s += 0.02
    play.belt_mm += 5_000.0
    new = play.say(play.belt())
    assert (ended(new).verdict, ended(new).why) == ("recheck", "belt_unknown")
    assert "belt_fault" in alarms(new)
    assert play.station.feed_reasons == ("clearing",)


def test_positions_of_another_counter_are_not_compared() -> None:
    play = Play()
    play.put()
    play.roll(5_000.0)
    new = play.say(replace(play.belt(), origin=1))
    assert (ended(new).verdict, ended(new).why) == ("recheck", "belt_unknown")


def test_a_board_that_says_nothing_leaves_the_belt_unknown() -> None:
    play = Play()
    play.at_s += 1.0
    play.tick()
    assert play.station.feed_reasons == ("belt_unknown",)
    assert [each.state for each in of_kind(play.asked, BeltChanged)][-1] == "unknown"


# --- the centre -------------------------------------------------------------------------------------------


def command(act: commands.Act, number: int = 1) -> CommandCame:
    return CommandCame(
        Command(
            command_id=f"command-{number}",
            device="x-ray-1",
            nonce="0" * 32,
            issued=UtcText("2026-11-22T03:00:00Z"),
            valid_s=60,
            officers=("0001",),
            reason="drill",
            act=act,
        )
    )


def outcomes(effects: list[Effect]) -> list[str]:
    return [effect.outcome.value for effect in effects if isinstance(effect, AnswerCommand)]


def test_the_centre_closes_the_station_and_an_officer_at_it_opens_it() -> None:
    play = Play()
    play.put()
    play.roll(5_000.0)
    new = play.say(command(commands.LaneClose()))
    assert (outcomes(new), alarms(new), permits(new)) == (["done"], ["closed_by_centre"], [False])
    assert outcomes(play.say(command(commands.LaneClose()))) == ["done"]
    assert why(play.roll(8_000.0)) == "closed"
    play.say(OfficerCame("far", "0044", ("x_ray",), remote=True))
    assert answers(play.say(ResetAsked("0044", "far"))) == [(False, "not_authorised")]
    play.sign_in()
    assert permits(play.say(ResetAsked("0017", "desk-1"))) == [True]


def test_a_closed_station_stays_closed_after_a_restart() -> None:
    play = Play()
    play.say(command(commands.LaneClose()))
    after = Play(memory=memory_of(play))
    assert after.station.feed_reasons == ("closed",)


def test_a_revoked_station_is_not_reset_and_another_key_is_another_station() -> None:
    play = Play(replace(SETTINGS, key_id="k1"))
    play.say(command(commands.Revoke()))
    play.sign_in()
    assert answers(play.say(ResetAsked("0017", "desk-1"))) == [(False, "not_authorised")]
    same, _ = woken(replace(SETTINGS, key_id="k1"), 0.0, memory_of(play), 1.0)
    assert same.closed
    other, _ = woken(replace(SETTINGS, key_id="k2"), 0.0, memory_of(play), 1.0)
    assert not other.closed


@pytest.mark.parametrize(
    ("act", "outcome"),
    [
        (commands.Resync(), "done"),
        (commands.AskStatus(), "done"),
        (commands.Wipe(), "refused"),
        (commands.ManualRelease(passage=1), "refused"),
        (commands.TakePictures(passage=1), "refused"),
        (commands.LiveRequest(), "refused"),
    ],
)
def test_every_command_is_answered_after_its_fact(act: commands.Act, outcome: str) -> None:
    play = Play()
    new = play.say(command(act))
    assert outcomes(new) == [outcome]
    assert "command_taken" in kinds(new)
    answer = next(n for n, effect in enumerate(new) if isinstance(effect, AnswerCommand))
    assert any(isinstance(effect, Commit) for effect in new[:answer])


# --- shape ------------------------------------------------------------------------------------------------


def test_a_permit_is_withheld_before_anything_is_written() -> None:
    play = Play()
    new = play.say(DeviceLost("portal", "silent"))
    kinds_of = [type(effect) for effect in new]
    assert kinds_of.index(PermitFeed) < kinds_of.index(Commit)


def test_every_step_has_one_transaction_at_most() -> None:
    play = Play()
    play.put()
    play.put(None, behind_mm=700.0)
    for _ in range(700):
        for event in [play.belt()]:
            play.station, effects = step(play.station, play.at_s, event)
            assert sum(isinstance(effect, Commit) for effect in effects) <= 1
        play.roll(20.0)
