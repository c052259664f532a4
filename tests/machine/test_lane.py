"""The lane machine, guarantee by guarantee, told as plays: events in, effects out."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import msgspec
import pytest

from edge.gate.effects import (
    AskClaim,
    Commit,
    LookUp,
    LowerArm,
    Memory,
    RaiseArm,
    SetLights,
    Show,
    WithdrawClaim,
)
from edge.gate.events import (
    ClaimAnswered,
    CodeRead,
    DeviceSpoke,
    DeviceWentSilent,
    Findings,
    Inputs,
    InputsRead,
    LinkChanged,
    OrderFailed,
    PlateRead,
    RecordsChanged,
    RecordsFound,
    TagRead,
    WeightRead,
    WriteFailed,
)
from edge.gate.lane import Free, Holding, Lowering, Passing, Raising, Reading, Shut, step, wake
from sync.vocabulary.facts import OrderInterrupted, PassageClosed, RulingMade, UsesReturned, VehicleCrossed
from sync.vocabulary.numbers import Epc, Plate
from sync.vocabulary.records import CreditTier
from sync.vocabulary.uses import SlipUse, UseState
from tests.machine.plays import (
    CLEAR,
    FINDINGS,
    GONE_UP,
    HERE,
    MOVING,
    ON_SCALE,
    PLATE,
    SETTINGS,
    SLIP,
    TAG,
    UNDER,
    UP,
    Play,
    alarms,
    codes,
    kinds,
    orders,
)


def facts_of(effects: list[object], kind: type) -> list[object]:
    return [t.data for e in effects if isinstance(e, Commit) for t in e.facts if isinstance(t.data, kind)]


# --- S1 ---------------------------------------------------------------------------------------------------


def test_a_matching_vehicle_is_claimed_recorded_raised_and_lowered_behind() -> None:
    play = Play()
    asked = play.arrive()
    claim = next(e for e in asked if isinstance(e, AskClaim))
    assert claim.slip_nos == (SLIP,)
    granted = play.granted()
    commit = next(e for e in granted if isinstance(e, Commit))
    raising = next(e for e in granted if isinstance(e, RaiseArm))
    assert granted.index(commit) < granted.index(raising)
    assert kinds([commit]) == ["ruling_made", "raise_ordered"]
    assert [(u.slip_no, u.state) for u in commit.uses] == [(SLIP, UseState.RESERVED)]
    up = play.say(InputsRead(MOVING), InputsRead(UP))
    assert kinds(up) == ["arm_raised"]
    assert SetLights(green=True) in up
    play.under()
    down = play.clear()
    assert kinds(down) == ["vehicle_crossed", "lower_ordered"]
    assert orders(down) == ["LowerArm"]
    end = play.say(InputsRead(replace(GONE_UP, limit_up=False)), InputsRead(CLEAR))
    assert kinds(end) == ["passage_closed"]
    assert isinstance(play.lane.phase, Free)


def test_s1_what_could_not_be_recorded_does_not_move() -> None:
    play = Play()
    play.arrive()
    granted = play.granted()
    assert orders(granted) == ["RaiseArm"]
    failed = play.say(WriteFailed("disk full"), after_s=0.0)
    assert orders(failed) == []
    assert codes(play) == ("journal_full",)
    assert play.lane.unwritten == ()
    assert play.lane.unwritten_uses == ()


def test_s1_a_fact_that_could_not_be_written_is_written_with_the_next_commit() -> None:
    play = Play()
    play.raised()
    play.under()
    while not orders(play.say(InputsRead(GONE_UP))):
        assert isinstance(play.lane.phase, Passing)
    assert isinstance(play.lane.phase, Lowering)
    asked_again = play.say(WriteFailed("disk full"), after_s=0.0)
    assert orders(asked_again) == ["LowerArm"]
    assert [type(t.data).__name__ for t in play.lane.unwritten] == ["VehicleCrossed", "LowerOrdered"]
    later = play.timer("journal")
    assert kinds(later) == ["vehicle_crossed", "lower_ordered"]
    assert play.lane.unwritten == ()


def test_s1_an_arm_not_proven_down_is_not_ordered_up() -> None:
    play = Play()
    play.arrive()
    play.say(DeviceWentSilent("io", "cable"))
    granted = play.granted()
    assert orders(granted) == []
    assert isinstance(play.lane.phase, Holding)


# --- S2 ---------------------------------------------------------------------------------------------------


def test_s2_an_arm_falling_on_something_is_raised_before_anything_is_recorded() -> None:
    play = Play()
    play.raised()
    play.under()
    play.clear()
    reopened = play.say(InputsRead(replace(UNDER, limit_up=False)))
    assert isinstance(reopened[0], RaiseArm)
    assert alarms(reopened) == ["safety_reopened"]
    assert isinstance(play.lane.phase, Passing)


@pytest.mark.parametrize(
    "inputs",
    [
        replace(GONE_UP, arm_loop=True),
        replace(GONE_UP, photocell=True),
        replace(GONE_UP, arm_loop=None),
        replace(GONE_UP, photocell=None),
        replace(GONE_UP, fire=None),
        replace(GONE_UP, stop=True),
    ],
    ids=["loop", "beam", "loop unknown", "beam unknown", "fire unknown", "stop pressed"],
)
def test_s2_it_is_never_commanded_down_on_something_occupied_or_unknown(inputs: Inputs) -> None:
    play = Play()
    play.raised()
    play.under()
    waited = play.wait(8.0, inputs, kg="0")
    assert orders(waited) == []


def test_s2_stale_inputs_are_unknown() -> None:
    play = Play()
    play.raised()
    play.under()
    play.say(InputsRead(GONE_UP), WeightRead(Decimal(0), None))
    # No poll for a second; then a weight arrives, and a timer fires: neither may lower.
    play.at_s += 1.0
    stale = play.say(WeightRead(Decimal(0), None))
    assert orders(stale) == []


def test_s2_a_lost_board_never_lowers_and_a_falling_arm_is_asked_up() -> None:
    play = Play()
    play.raised()
    lost = play.say(DeviceWentSilent("io", "cable"))
    assert orders(lost) == []
    play = Play()
    play.raised()
    play.under()
    play.clear()
    assert isinstance(play.lane.phase, Lowering)
    lost = play.say(DeviceWentSilent("io", "cable"))
    assert isinstance(lost[0], RaiseArm)


# --- S3 ---------------------------------------------------------------------------------------------------


def test_s3_a_second_vehicle_on_one_raising_is_an_alarm_and_an_ungated_passage_not_a_lowering() -> None:
    play = Play()
    play.raised()
    play.under()
    play.clear(times=2)
    second = play.under(times=6)
    assert alarms(second) == ["tailgater"]
    assert orders(second) == []
    closed = facts_of(list(second), PassageClosed)
    assert [(c.passage, c.outcome) for c in closed] == [(2, "ungated")]  # type: ignore[attr-defined]


def with_trailer() -> Findings:
    registered = FINDINGS.by_plate[PLATE]
    assert registered is not None
    vehicle = msgspec.structs.replace(registered, trailer_plate=Plate("豫A1234挂"))
    return replace(FINDINGS, by_plate={PLATE: vehicle}, by_tag={TAG: vehicle})


def test_s3_a_registered_drawbar_trailer_close_behind_is_the_same_vehicle() -> None:
    play = Play()
    play.arrive(findings=with_trailer())
    play.granted()
    play.say(InputsRead(MOVING), InputsRead(UP))
    play.under()
    play.clear(times=3)
    trailer = play.under(times=10)
    assert alarms(trailer) == []
    down = play.clear(times=20)
    assert kinds(down) == ["vehicle_crossed", "lower_ordered"]


def test_s3_a_trailer_that_comes_late_or_with_another_plate_about_is_doubt_and_doubt_is_an_alarm() -> None:
    for late in (True, False):
        play = Play()
        play.arrive(findings=with_trailer())
        play.granted()
        play.say(InputsRead(MOVING), InputsRead(UP))
        play.under()
        if late:
            play.clear(times=3)
            play.at_s += SETTINGS.trailer_gap_s
        else:
            play.say(PlateRead(Plate("苏B67890")))
            play.clear(times=3)
        second = play.under(times=6)
        assert alarms(second) == ["tailgater"]


def test_s3_the_next_vehicle_waits_with_a_time_limit() -> None:
    play = Play()
    play.raised()
    limit = play.timer("passing")
    assert alarms(limit) == ["overstay"]


# --- S4 ---------------------------------------------------------------------------------------------------


def test_s4_a_refused_claim_holds() -> None:
    play = Play()
    asked = play.arrive()
    claim = next(e for e in asked if isinstance(e, AskClaim))
    refused = play.say(ClaimAnswered(claim.claim_id, False, "used in lane-out-1"))
    assert orders(refused) == []
    assert codes(play) == ("claim_refused",)


def test_s4_an_answer_to_another_claim_changes_nothing() -> None:
    play = Play()
    play.arrive()
    assert play.say(ClaimAnswered("lane-in-1-other-1-c1", True)) == []


def test_s4_without_an_answer_the_policy_decides_and_a_late_grant_is_given_back() -> None:
    play = Play()
    play.arrive()
    unanswered = play.timer("claim")
    assert codes(play) == ("claim_unanswered",)
    assert [e.claim_id for e in unanswered if isinstance(e, WithdrawClaim)] == ["lane-in-1-r1-1-c1"]
    assert "uses_returned" in kinds(unanswered)
    late = play.say(ClaimAnswered("lane-in-1-r1-1-c1", True))
    assert orders(late) == []


def test_s4_a_claim_asked_before_the_link_was_lost_is_given_back_all_the_same() -> None:
    play = Play()
    play.arrive()
    play.say(LinkChanged(False))
    unanswered = play.timer("claim")
    assert [e.claim_id for e in unanswered if isinstance(e, WithdrawClaim)] == ["lane-in-1-r1-1-c1"]
    returned = facts_of(list(unanswered), UsesReturned)
    assert [r.claim_id for r in returned] == ["lane-in-1-r1-1-c1"]  # type: ignore[attr-defined]


def test_s4_a_grant_that_a_full_journal_kept_from_use_is_asked_for_again_by_its_id() -> None:
    play = Play()
    play.arrive()
    play.granted()
    play.say(WriteFailed("disk full"), after_s=0.0)
    look = [e for e in play.timer("journal") if isinstance(e, LookUp)][-1]
    play.say(RecordsFound(look.passage, look.request, FINDINGS))
    play.weigh("20000")
    assert [e.claim_id for e in play.asked if isinstance(e, AskClaim)] == ["lane-in-1-r1-1-c1"] * 2
    assert orders(play.granted()) == ["RaiseArm"]


def test_s4_a_grant_that_a_full_journal_kept_from_use_is_given_back_once_the_link_is_lost() -> None:
    play = Play()
    play.arrive()
    play.granted()
    play.say(WriteFailed("disk full"), LinkChanged(False), after_s=0.0)
    look = [e for e in play.timer("journal") if isinstance(e, LookUp)][-1]
    offline = play.say(RecordsFound(look.passage, look.request, FINDINGS)) + play.weigh("20000")
    returned = facts_of(list(offline), UsesReturned)
    assert [r.claim_id for r in returned] == ["lane-in-1-r1-1-c1"]  # type: ignore[attr-defined]


def test_s4_offline_the_written_policy_releases_by_credit_tier_and_says_so() -> None:
    assert FINDINGS.site is not None
    site = msgspec.structs.replace(FINDINGS.site, offline_release_tiers=(CreditTier.HIGH,))
    play = Play()
    released = play.arrive(findings=replace(FINDINGS, site=site), online=False)
    assert orders(released) == ["RaiseArm"]
    ruling = facts_of(list(released), RulingMade)[0]
    assert (ruling.claim, ruling.claim_id) == ("offline", "")  # type: ignore[attr-defined]


def test_s4_a_use_goes_back_only_before_any_raise_order() -> None:
    play = Play()
    play.arrive()
    gone = play.wait(4.0, CLEAR, kg="0")
    returned = facts_of(list(gone), UsesReturned)
    assert [r.claim_id for r in returned] == ["lane-in-1-r1-1-c1"]  # type: ignore[attr-defined]
    play = Play()
    play.raised()
    gone = play.wait(6.0, GONE_UP, kg="0")
    assert facts_of(list(gone), UsesReturned) == []
    assert facts_of(list(gone), VehicleCrossed) == []
    assert orders(gone) == ["LowerArm"]
    closed = play.say(InputsRead(replace(GONE_UP, limit_up=False)), InputsRead(CLEAR))
    assert [c.outcome for c in facts_of(list(closed), PassageClosed)] == ["backed_out"]  # type: ignore[attr-defined]
    assert [u.state for e in play.asked if isinstance(e, Commit) for u in e.uses][-1] is UseState.RAISED


def test_s4_a_nose_under_the_arm_that_backs_off_has_not_crossed() -> None:
    play = Play()
    play.raised()
    play.say(*[InputsRead(replace(UP, photocell=True, arm_loop=True))] * 5, WeightRead(Decimal(19_500), None))
    backed = play.wait(3.0, UP, kg="20000")
    assert facts_of(list(backed), VehicleCrossed) == []
    assert orders(backed) == []
    gone = play.wait(4.0, GONE_UP, kg="0")
    assert facts_of(list(gone), VehicleCrossed) == []
    assert orders(gone) == ["LowerArm"]


# --- S5 ---------------------------------------------------------------------------------------------------


def test_s5_evidence_outside_a_passage_changes_nothing() -> None:
    play = Play()
    play.say(InputsRead(CLEAR))
    assert play.say(PlateRead(PLATE), TagRead(TAG), CodeRead(SLIP)) == []
    assert play.lane.passage is None


def test_s5_an_answer_to_an_older_question_changes_nothing() -> None:
    play = Play()
    play.say(InputsRead(CLEAR), LinkChanged(True), InputsRead(HERE))
    asked = play.say(PlateRead(PLATE), TagRead(TAG))
    first = next(e for e in asked if isinstance(e, LookUp))
    play.say(RecordsFound(first.passage, first.request, FINDINGS))
    play.weigh("20000")
    assert isinstance(play.lane.phase, Reading)
    assert play.say(RecordsFound(99, first.request, FINDINGS)) == []


def test_s5_the_next_vehicles_plate_does_not_become_this_ones() -> None:
    play = Play()
    play.raised()
    play.say(PlateRead(Plate("苏B67890")))
    assert play.lane.passage is not None
    assert play.lane.passage.plates == (PLATE,)


# --- S6 ---------------------------------------------------------------------------------------------------

USE = SlipUse("lane-in-1-r0-4-u0", SLIP, 4, "lane-in-1-r0-4-c1", UseState.RESERVED)


def restarted(
    phase: str, *, order: bool, uses: tuple[SlipUse, ...] = (USE,), down_s: float | None = 5.0
) -> Play:
    memory = Memory(
        next_passage=5,
        phase=phase,
        passage=4,
        plates=(PLATE,),
        tags=(TAG,),
        order_id="lane-in-1-r0-4-1" if order else "",
        order_open=order and phase == "Raising",
        claim_id=USE.claim_id,
        uses=uses,
        purpose="admit",
    )
    play = Play()
    play.lane, effects = wake(SETTINGS, 0.0, memory, uses if order else (), down_s)
    play.asked = list(effects)
    return play


def test_s6_killed_before_the_order_the_claim_goes_back_and_the_passage_ends() -> None:
    play = restarted("Claiming", order=False)
    assert kinds(play.asked) == ["lane_started", "uses_returned", "passage_closed"]
    assert orders(play.asked) == []


def test_s6_killed_between_order_and_raising_the_order_is_named_and_nothing_moves() -> None:
    play = restarted("Raising", order=True)
    assert [o.order_id for o in facts_of(list(play.asked), OrderInterrupted)] == ["lane-in-1-r0-4-1"]  # type: ignore[attr-defined]
    assert orders(play.asked) == []


def test_s6_a_reserved_use_resumes_only_if_plate_or_tag_is_read_again() -> None:
    play = restarted("Raising", order=True)
    play.say(InputsRead(HERE), LinkChanged(True))
    play.read()
    resumed = play.weigh("20000")
    assert orders(resumed) == ["RaiseArm"]
    assert [u.use_id for e in resumed if isinstance(e, Commit) for u in e.uses] == [USE.use_id]
    assert not [e for e in resumed if isinstance(e, AskClaim)]

    play = restarted("Raising", order=True)
    play.say(InputsRead(HERE), LinkChanged(True))
    asked = play.say(PlateRead(Plate("苏B67890")), TagRead(Epc("E2004074850A0103163070E2")))
    look = [e for e in asked if isinstance(e, LookUp)][-1]
    play.say(RecordsFound(look.passage, look.request, FINDINGS))
    other = play.weigh("20000")
    assert orders(other) == []
    assert codes(play) == ("interrupted",)
    # The hub learns from rulings which slip a use is of: also where another vehicle stands here now.
    told = [(r.slips, r.use_ids) for r in facts_of(list(play.asked), RulingMade)]  # type: ignore[attr-defined]
    assert told == [((SLIP,), (USE.use_id,))]


@pytest.mark.parametrize("down_s", [None, 3_600.0])
def test_s6_after_a_long_or_unknown_stop_an_officer_decides(down_s: float | None) -> None:
    play = restarted("Passing", order=True, down_s=down_s)
    assert "passage_closed" in kinds(play.asked)
    assert play.lane.passage is None


def test_s6_an_arm_not_proven_down_means_red_alarm_closed() -> None:
    play = restarted("Passing", order=True)
    play.say(InputsRead(UP))
    shut = play.timer("waking")
    assert alarms(shut) == ["arm_not_down"]
    assert isinstance(play.lane.phase, Shut)
    assert play.say(InputsRead(CLEAR)) == []
    crossing = play.say(InputsRead(UNDER), InputsRead(GONE_UP))
    assert alarms(crossing) == ["ungated_crossing"]


def test_s6_a_lane_that_was_closed_starts_closed() -> None:
    play = Play()
    play.lane, effects = wake(SETTINGS, 0.0, Memory(next_passage=3, phase="Shut", shut_why="fire"))
    assert isinstance(play.lane.phase, Shut)
    assert SetLights(green=False) in effects


# --- S9 ---------------------------------------------------------------------------------------------------


def test_s9_a_silent_required_device_becomes_a_hold_with_a_message() -> None:
    play = Play()
    play.say(InputsRead(CLEAR), LinkChanged(True))
    lost = play.say(DeviceWentSilent("weighbridge", "no valid reading for 3.0 s"))
    assert alarms(lost) == ["device_lost"]
    play.say(InputsRead(HERE))
    held = play.read()
    assert codes(play) == ("device_silent", "weight_unread")
    assert any(isinstance(e, Show) and "weighbridge" in e.en for e in held)


def test_s9_a_substitute_stands_in() -> None:
    play = Play()
    play.say(
        InputsRead(CLEAR), LinkChanged(True), DeviceWentSilent("plate_camera", "cable"), InputsRead(HERE)
    )
    asked = play.say(TagRead(TAG))
    look = [e for e in asked if isinstance(e, LookUp)][-1]
    play.say(RecordsFound(look.passage, look.request, FINDINGS))
    ruled = play.weigh("20000")
    assert [e for e in ruled if isinstance(e, AskClaim)]


def test_s9_nothing_read_in_its_time_is_a_hold() -> None:
    play = Play()
    play.say(InputsRead(CLEAR), InputsRead(HERE))
    play.timer("reading")
    assert codes(play) == ("no_identity",)


def test_s9_a_device_that_speaks_again_is_a_fact() -> None:
    play = Play()
    play.say(InputsRead(CLEAR), DeviceWentSilent("rfid", "cable"))
    assert kinds(play.say(DeviceSpoke("rfid"))) == ["device_back"]
    assert play.say(DeviceSpoke("rfid")) == []


def test_s9_an_arm_that_does_not_rise_or_fall_in_its_time_is_a_fault() -> None:
    play = Play()
    play.arrive()
    play.granted()
    stuck = play.timer("arm")
    assert alarms(stuck) == ["arm_fault"]
    assert [o.order_id for o in facts_of(list(stuck), OrderInterrupted)] == ["lane-in-1-r1-1-1"]  # type: ignore[attr-defined]
    assert isinstance(play.lane.phase, Shut)
    play = Play()
    play.raised()
    play.under()
    play.clear()
    assert alarms(play.timer("arm")) == ["arm_fault"]


def test_s9_a_relay_that_refuses_is_a_fault() -> None:
    play = Play()
    play.arrive()
    granted = play.granted()
    order = next(e for e in granted if isinstance(e, RaiseArm))
    refused = play.say(OrderFailed(order.order_id, "no answer"))
    assert alarms(refused) == ["arm_fault"]
    assert isinstance(play.lane.phase, Shut)


def test_s9_a_hold_is_looked_at_again_when_records_change_and_told_once() -> None:
    play = Play()
    held = play.arrive(findings=replace(FINDINGS, slips=()))
    assert kinds(held).count("ruling_made") == 1
    again = play.say(RecordsChanged())
    look = next(e for e in again if isinstance(e, LookUp))
    same = play.say(RecordsFound(look.passage, look.request, replace(FINDINGS, slips=())))
    assert kinds(same) == []
    look = next(e for e in play.say(RecordsChanged()) if isinstance(e, LookUp))
    cured = play.say(RecordsFound(look.passage, look.request, FINDINGS))
    assert [e for e in cured if isinstance(e, AskClaim)]


# --- weighing ---------------------------------------------------------------------------------------------


def test_an_overweight_vehicle_is_held_with_the_difference() -> None:
    play = Play()
    play.arrive(kg="21000")
    assert codes(play) == ("weight_over",)
    assert isinstance(play.lane.phase, Holding)
    assert play.lane.phase.ruling.reasons[0].detail == "1000 kg"


def test_a_moving_scale_is_no_weight() -> None:
    play = Play()
    play.say(InputsRead(CLEAR), LinkChanged(True), InputsRead(HERE))
    play.read()
    for step_kg in range(40):
        play.say(InputsRead(ON_SCALE), WeightRead(Decimal(15_000 + 200 * step_kg), None), after_s=0.05)
    assert play.lane.passage is not None
    assert play.lane.passage.gross_kg is None


def test_swapped_digits_in_one_frame_are_not_the_weight() -> None:
    play = Play()
    play.say(InputsRead(CLEAR), LinkChanged(True), InputsRead(HERE))
    play.read()
    values = [
        "20000",
        "20000",
        "20020",
        "20000",
        "20000",
        "20002",
        "20000",
        "20000",
        "20000",
        "20000",
        "20000",
    ]
    for value in values * 2:
        play.say(InputsRead(ON_SCALE), WeightRead(Decimal(value), None), after_s=0.05)
    assert play.lane.passage is not None
    assert play.lane.passage.gross_kg == Decimal(20_000)


def test_a_wheel_off_the_plate_is_not_weighed() -> None:
    play = Play()
    play.say(InputsRead(CLEAR), LinkChanged(True), InputsRead(HERE))
    play.read()
    for _ in range(30):
        play.say(
            InputsRead(replace(ON_SCALE, fully_on=False)), WeightRead(Decimal(20_000), None), after_s=0.05
        )
    assert play.lane.passage is not None
    assert play.lane.passage.gross_kg is None


# --- S12 --------------------------------------------------------------------------------------------------


def test_s12_an_arm_that_moves_without_an_order_closes_the_lane() -> None:
    play = Play()
    play.say(InputsRead(CLEAR))
    alarm = play.say(InputsRead(replace(CLEAR, limit_down=False)))
    assert alarms(alarm) == ["uncommanded_movement"]
    assert isinstance(play.lane.phase, Shut)


def test_s12_who_crosses_a_closed_lane_gets_an_ungated_passage() -> None:
    play = Play()
    play.say(InputsRead(CLEAR), InputsRead(replace(CLEAR, limit_down=False)))
    crossing = play.say(InputsRead(UNDER), InputsRead(UNDER), InputsRead(GONE_UP))
    assert alarms(crossing) == ["ungated_crossing"]
    assert [c.outcome for c in facts_of(list(crossing), PassageClosed)] == ["ungated"]  # type: ignore[attr-defined]


def test_s12_fire_closes_the_lane_and_never_lowers() -> None:
    play = Play()
    play.raised()
    fire = play.say(InputsRead(replace(UP, fire=True)))
    assert alarms(fire) == ["safety_input"]
    assert orders(fire) == []
    still = play.wait(10.0, replace(GONE_UP, fire=True), kg="0")
    assert orders(still) == []
    key = play.say(InputsRead(replace(GONE_UP, fire=True, reset_key=True)))
    assert orders(key) == []
    assert isinstance(play.lane.phase, Shut)


def test_s12_only_an_officer_takes_a_closed_lane_back_into_service() -> None:
    play = Play()
    play.say(InputsRead(CLEAR), InputsRead(replace(CLEAR, limit_down=False)))
    play.wait(30.0, CLEAR, kg="0")
    assert isinstance(play.lane.phase, Shut)
    reset = play.say(InputsRead(replace(CLEAR, reset_key=True)))
    assert "lane_reset" in kinds(reset)
    assert isinstance(play.lane.phase, Free)


def test_s12_a_key_that_is_stuck_resets_only_once() -> None:
    play = Play()
    play.say(InputsRead(replace(CLEAR, reset_key=True)))
    play.say(InputsRead(replace(CLEAR, reset_key=True, limit_down=False)))
    held = play.say(InputsRead(replace(CLEAR, reset_key=True)))
    assert held == []
    assert isinstance(play.lane.phase, Shut)


def test_s12_an_arm_left_up_is_asked_down_by_the_officers_reset_if_nothing_is_under_it() -> None:
    play = Play()
    play.say(InputsRead(CLEAR), InputsRead(replace(CLEAR, limit_down=False)), InputsRead(GONE_UP))
    reset = play.say(InputsRead(replace(GONE_UP, reset_key=True)))
    assert orders(reset) == ["LowerArm"]
    play = Play()
    play.say(InputsRead(CLEAR), InputsRead(replace(CLEAR, limit_down=False)), InputsRead(UNDER))
    assert orders(play.say(InputsRead(replace(UNDER, reset_key=True)))) == []


# --- a controller that lowers by itself -------------------------------------------------------------------

BY_ITSELF = replace(SETTINGS, lowering_on_request=False)


def test_a_controller_that_lowers_by_itself_is_not_asked() -> None:
    play = Play(BY_ITSELF)
    play.raised()
    play.under()
    down = play.clear()
    assert kinds(down) == ["vehicle_crossed"]
    assert orders(down) == []
    end = play.say(InputsRead(replace(GONE_UP, limit_up=False)), InputsRead(CLEAR))
    assert kinds(end) == ["passage_closed"]


def test_an_arm_raised_for_nobody_is_asked_down_even_there() -> None:
    play = Play(BY_ITSELF)
    play.raised()
    assert orders(play.wait(6.0, GONE_UP, kg="0")) == ["LowerArm"]
    play = Play(replace(BY_ITSELF, can_lower=False))
    play.raised()
    assert orders(play.wait(6.0, GONE_UP, kg="0")) == []


def test_nothing_is_lowered_twice() -> None:
    play = Play()
    play.raised()
    play.under()
    down = play.clear()
    more = play.say(*[InputsRead(replace(GONE_UP, limit_up=False))] * 10)
    assert sum(isinstance(e, LowerArm) for e in [*down, *more]) == 1


def test_a_step_never_holds_two_commits() -> None:
    play = Play()
    play.raised()
    play.under()
    play.clear()
    for _ in range(3):
        state, effects = step(play.lane, play.at_s, InputsRead(replace(CLEAR, arrival=True)))
        assert sum(isinstance(e, Commit) for e in effects) <= 1
        play.lane = state
    assert isinstance(play.lane.phase, Reading | Raising)
