"""Conditions on the way to an order that no play happened to touch: one sentence for each.

`python -m tests.machine.guards` takes every such condition out once and must see a test fail.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import msgspec
import pytest

from edge.gate.effects import AskClaim, Commit, Effect, LookUp, Memory, Show, WithdrawClaim
from edge.gate.events import (
    ClaimAnswered,
    DeviceWentSilent,
    Findings,
    Inputs,
    InputsRead,
    LinkChanged,
    OfficerReleased,
    OfficerReset,
    PlateRead,
    RecordsFound,
    SpotCheck,
    TagRead,
    TimePassed,
    Timer,
    WeightRead,
    WriteFailed,
)
from edge.gate.lane import Holding, Needs, wake
from sync.vocabulary.facts import DeviceLost, RaiseOrdered, RulingMade
from sync.vocabulary.numbers import Plate
from sync.vocabulary.rulings import Because
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


def phase(play: Play) -> str:
    return type(play.lane.phase).__name__


def with_trailer() -> Findings:
    registered = FINDINGS.by_plate[PLATE]
    assert registered is not None
    vehicle = msgspec.structs.replace(registered, trailer_plate=Plate("豫A1234挂"))
    return replace(FINDINGS, by_plate={PLATE: vehicle}, by_tag={TAG: vehicle})


def up_with(findings: Findings) -> Play:
    play = Play()
    play.arrive(findings=findings)
    play.granted()
    play.say(InputsRead(MOVING), InputsRead(UP))
    return play


# --- S12: a closed lane, and an arm that moves ------------------------------------------------------------


def test_a_fire_that_goes_on_is_told_once() -> None:
    play = Play()
    fire = InputsRead(replace(CLEAR, fire=True))
    assert alarms(play.say(InputsRead(CLEAR), fire)) == ["safety_input"]
    assert alarms(play.say(fire, fire)) == []


@pytest.mark.parametrize("kg", ["20000", "25000"], ids=["asking the hub", "held"])
def test_an_arm_that_moves_while_somebody_is_dealt_with_closes_the_lane(kg: str) -> None:
    play = Play()
    play.arrive(kg=kg)
    assert phase(play) == {"20000": "Claiming", "25000": "Holding"}[kg]
    moved = play.say(InputsRead(replace(ON_SCALE, limit_down=False)))
    assert alarms(moved) == ["uncommanded_movement"]
    assert phase(play) == "Shut"


# --- S3: who is a part of the vehicle, and who is a stranger ----------------------------------------------


def test_a_third_part_behind_truck_and_trailer_is_a_stranger() -> None:
    play = up_with(with_trailer())
    play.under()
    play.clear(times=3)
    assert alarms(play.under(times=6)) == []
    play.clear(times=3)
    assert alarms(play.under(times=6)) == ["tailgater"]


def back_off(play: Play) -> None:
    play.say(InputsRead(UP), *[WeightRead(Decimal(20_000), None)] * 2)
    play.wait(4.0, UP, kg="20000")
    assert play.lane.passage is not None
    assert play.lane.passage.parts == 0


def test_after_a_stranger_whoever_comes_is_a_stranger_too() -> None:
    play = up_with(with_trailer())
    play.under(kg="15000")
    play.say(InputsRead(UP))
    play.at_s += 10.0
    assert alarms(play.under(times=6, kg="15000")) == ["tailgater"]
    back_off(play)
    assert alarms(play.under(times=6, kg="15000")) == ["tailgater"]
    play.say(InputsRead(UP))
    assert alarms(play.under(times=6, kg="15000")) == ["tailgater"]


def test_a_stranger_is_told_once() -> None:
    play = up_with(FINDINGS)
    play.under()
    play.clear(times=2)
    assert alarms(play.under(times=20)) == ["tailgater"]


# --- who is here ------------------------------------------------------------------------------------------


def test_an_old_weight_is_nobody() -> None:
    play = up_with(FINDINGS)
    play.under()
    play.clear()
    assert phase(play) == "Lowering"
    play.say(WeightRead(Decimal(20_000), None))
    play.at_s += 5.0
    play.say(InputsRead(CLEAR))
    assert phase(play) == "Free"


# --- weighing ---------------------------------------------------------------------------------------------


def reading() -> Play:
    play = Play()
    play.say(InputsRead(CLEAR), LinkChanged(True), InputsRead(HERE))
    return play


def gross(play: Play) -> Decimal | None:
    assert play.lane.passage is not None
    return play.lane.passage.gross_kg


def on_scale(play: Play, values: list[int], every_s: float = 0.05, steady: bool | None = None) -> None:
    for kg in values:
        play.say(InputsRead(ON_SCALE), after_s=0.0)
        play.say(WeightRead(Decimal(kg), steady), after_s=every_s)


@pytest.mark.parametrize(
    ("values", "every_s", "steady"),
    [
        ([20_000] * 30, 0.05, False),
        ([20_000] * 30, 0.3, None),
        ([20_000] * 14, 0.01, None),
        ([20_000, 20_000, 20_050] * 10, 0.05, None),
        ([300] * 30, 0.05, None),
        ([20_000 + n % 20 for n in range(40)], 0.05, None),
    ],
    ids=["unsteady", "too few frames", "too short", "out of range", "a person", "no two frames agree"],
)
def test_is_no_weight(values: list[int], every_s: float, steady: bool | None) -> None:
    play = reading()
    on_scale(play, values, every_s, steady)
    assert gross(play) is None
    assert play.lane.passage is not None
    assert play.lane.passage.readings == ()


def test_frames_of_before_are_no_part_of_the_window() -> None:
    play = reading()
    on_scale(play, [20_000] * 4, 0.1)
    play.at_s += 1.5
    on_scale(play, [20_000] * 3, 0.1)
    assert gross(play) is None


def test_the_first_steady_weight_is_the_weight() -> None:
    play = reading()
    on_scale(play, [20_000] * 20)
    on_scale(play, [25_000] * 40)
    assert gross(play) == Decimal(20_000)


def test_a_held_vehicle_is_not_weighed() -> None:
    play = reading()
    play.timer("reading")
    assert phase(play) == "Holding"
    on_scale(play, [20_000] * 30)
    assert gross(play) is None


# --- answers and devices ----------------------------------------------------------------------------------


def identified(play: Play) -> float | None:
    assert play.lane.passage is not None
    return play.lane.passage.identified_s


def test_an_answer_about_another_passage_or_nobody_changes_nothing() -> None:
    play = Play()
    play.say(InputsRead(CLEAR))
    assert play.say(RecordsFound(1, 0, FINDINGS)) == []
    play.say(InputsRead(HERE), PlateRead(PLATE))
    for answer in (RecordsFound(2, 1, FINDINGS), RecordsFound(1, 2, FINDINGS)):
        play.say(answer)
        assert play.lane.passage is not None
        assert play.lane.passage.findings is None


def test_an_answer_after_the_ruling_changes_nothing() -> None:
    play = Play()
    play.arrive(kg="25000")
    assert play.lane.passage is not None
    before = play.lane.passage
    assert play.say(RecordsFound(before.number, before.request, replace(FINDINGS, slips=()))) == []
    assert play.lane.passage == before


def test_a_vehicle_is_identified_when_the_records_have_answered_and_only_then() -> None:
    play = reading()
    play.weigh("20000")
    assert identified(play) is None
    play = reading()
    play.say(PlateRead(PLATE), TagRead(TAG))
    on_scale(play, [20_000] * 20)
    assert identified(play) is None
    play = reading()
    play.read()
    first_s = identified(play)
    assert first_s == play.at_s
    play.weigh("20000")
    assert identified(play) == first_s


def test_optional_devices_may_be_silent_and_substitutes_must_not_be_silent_too() -> None:
    needs = {
        "io": Needs(True),
        "weighbridge": Needs(True),
        "board": Needs(False),
        "plate_camera": Needs(False, ("rfid",)),
        "rfid": Needs(False, ("plate_camera",)),
    }
    play = Play(replace(SETTINGS, devices=needs))
    play.say(InputsRead(CLEAR), LinkChanged(True), DeviceWentSilent("board", "cable"))
    play.say(DeviceWentSilent("plate_camera", "cable"), InputsRead(HERE))
    look = next(e for e in play.say(TagRead(TAG)) if isinstance(e, LookUp))
    play.say(RecordsFound(look.passage, look.request, FINDINGS))
    play.weigh("20000")
    assert phase(play) == "Claiming"

    play = Play(replace(SETTINGS, devices=needs))
    play.say(InputsRead(CLEAR), DeviceWentSilent("plate_camera", "cable"))
    play.say(DeviceWentSilent("rfid", "cable"), InputsRead(HERE))
    play.timer("reading")
    assert [b.detail for b in held(play)] == ["plate_camera", "rfid"]


def held(play: Play) -> tuple[Because, ...]:
    return play.lane.phase.ruling.reasons if isinstance(play.lane.phase, Holding) else ()


# --- the ruling and the claim -----------------------------------------------------------------------------


def claims(effects: list[Effect]) -> list[str]:
    return [effect.claim_id for effect in effects if isinstance(effect, AskClaim)]


def seen(play: Play, *evidence: PlateRead | TagRead, findings: Findings = FINDINGS) -> list[Effect]:
    look = [e for e in play.say(*evidence) if isinstance(e, LookUp)][-1]
    return play.say(RecordsFound(look.passage, look.request, findings))


def test_what_no_weight_could_change_is_told_at_once() -> None:
    play = reading()
    seen(play, PlateRead(PLATE), TagRead(TAG), findings=replace(FINDINGS, by_plate={}, by_tag={}))
    assert codes(play) == ("vehicle_unknown",)


def test_what_a_weight_could_change_waits_for_it() -> None:
    play = reading()
    seen(play, PlateRead(PLATE), TagRead(TAG))
    assert phase(play) == "Reading"


def test_a_held_vehicle_does_not_pass_because_the_inspection_area_lies_beyond() -> None:
    assert FINDINGS.site is not None
    beyond = msgspec.structs.replace(FINDINGS.site, inspection_beyond_barrier=True)
    play = Play()
    assert orders(play.arrive(kg="25000", findings=replace(FINDINGS, site=beyond))) == []
    assert codes(play) == ("weight_over",)
    due = {str(SLIP): SpotCheck(True, "4101960001", "2026-11-22")}
    play = Play()
    play.arrive(findings=replace(FINDINGS, site=beyond, spot_checks=due))
    assert phase(play) == "Claiming"
    led_through = play.granted()
    assert [e.discharged for e in led_through if isinstance(e, Commit)] == [(PLATE,)]
    play = Play()
    play.arrive(findings=replace(FINDINGS, spot_checks=due))
    assert codes(play) == ("spot_check",)


def test_an_empty_vehicle_is_raised_without_asking_the_hub() -> None:
    play = Play()
    asked = play.arrive(kg="14000", findings=replace(FINDINGS, slips=()))
    assert (claims(asked), orders(asked)) == ([], ["RaiseArm"])


@pytest.mark.parametrize(("claim_id", "claim"), [("lane-in-1-r0-4-c1", "granted"), ("", "offline")])
def test_a_resumed_passage_tells_what_its_uses_stand_on(claim_id: str, claim: str) -> None:
    use = SlipUse("lane-in-1-r0-4-u0", SLIP, 4, claim_id, UseState.RESERVED)
    memory = Memory(
        next_passage=5, phase="Raising", passage=4, plates=(PLATE,), order_id="lane-in-1-r0-4-1",
        claim_id=claim_id, uses=(use,),
    )  # fmt: skip
    play = Play()
    play.lane, _ = wake(SETTINGS, 0.0, memory, (use,), 5.0)
    play.say(InputsRead(HERE))
    play.read()
    told = [t.data for e in play.weigh("20000") if isinstance(e, Commit) for t in e.facts]
    assert [(r.claim, r.claim_id) for r in told if isinstance(r, RulingMade)] == [(claim, claim_id)]


def with_devices(*names: str) -> Play:
    play = Play(replace(SETTINGS, devices={name: Needs(True) for name in names}))
    play.say(InputsRead(CLEAR), LinkChanged(True), InputsRead(HERE))
    return play


def test_one_identity_is_enough_at_once_where_the_other_cannot_be_read() -> None:
    play = with_devices("io", "weighbridge", "rfid")
    seen(play, TagRead(TAG))
    assert claims(play.weigh("20000"))
    play = with_devices("io", "weighbridge", "plate_camera")
    seen(play, PlateRead(PLATE))
    assert claims(play.weigh("20000"))
    play = Play()
    play.say(InputsRead(CLEAR), LinkChanged(True), DeviceWentSilent("rfid", "cable"), InputsRead(HERE))
    seen(play, PlateRead(PLATE))
    assert claims(play.weigh("20000"))


@pytest.mark.parametrize("evidence", [PlateRead(PLATE), TagRead(TAG)], ids=["plate", "tag"])
def test_one_identity_waits_for_the_other_where_it_may_still_come(evidence: PlateRead | TagRead) -> None:
    play = reading()
    seen(play, evidence)
    assert claims(play.weigh("20000")) == []
    assert phase(play) == "Reading"


def test_an_answer_of_the_hub_means_something_only_while_it_is_waited_for() -> None:
    play = Play()
    play.say(InputsRead(CLEAR))
    assert play.say(ClaimAnswered("", True)) == []
    play = Play()
    asked = play.arrive()
    play.granted()
    play.say(WriteFailed("disk full"), after_s=0.0)
    assert codes(play) == ("journal_full",)
    assert play.say(InputsRead(ON_SCALE), ClaimAnswered(claims(asked)[0], True)) == []
    assert codes(play) == ("journal_full",)


# --- the admission ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        (replace(ON_SCALE, limit_down=None), "device_silent"),
        (replace(ON_SCALE, limit_up=True), "device_silent"),
        (replace(ON_SCALE, limit_up=None), "device_silent"),
        (replace(ON_SCALE, fire=None), "lane_closed"),
        (replace(ON_SCALE, stop=None), "lane_closed"),
        (replace(ON_SCALE, stop=True), "lane_closed"),
    ],
    ids=["down unknown", "both ends", "up unknown", "fire unknown", "stop unknown", "stop pressed"],
)
def test_a_granted_vehicle_is_not_ordered_through_where_the_arm_is_not_known_to_be_free(
    inputs: Inputs, why: str
) -> None:
    play = Play()
    play.arrive()
    play.say(InputsRead(inputs))
    assert orders(play.granted()) == []
    assert codes(play) == (why,)


def test_a_granted_vehicle_is_not_ordered_through_on_old_inputs() -> None:
    play = Play()
    play.arrive()
    play.at_s += 1.0
    assert orders(play.granted()) == []
    assert codes(play) == ("device_silent",)


def test_a_claim_that_was_never_asked_is_not_given_back() -> None:
    play = Play()
    held_offline = play.arrive(online=False)
    assert codes(play) == ("claim_unanswered",)
    assert "uses_returned" not in kinds(held_offline)
    assert not [e for e in held_offline if isinstance(e, WithdrawClaim)]


def test_an_order_names_its_purpose_and_ends_only_the_check_it_serves() -> None:
    play = Play()
    play.arrive()
    granted = play.granted()
    commit = next(e for e in granted if isinstance(e, Commit))
    assert [t.data.purpose for t in commit.facts if isinstance(t.data, RaiseOrdered)] == ["admit"]
    assert commit.discharged == ()


def test_an_officer_releases_the_passage_meant_and_only_out_of_its_hold() -> None:
    play = Play()
    play.arrive(kg="25000")
    assert play.say(OfficerReleased(2, "4604001", "another passage", 1)) == []
    play = Play()
    play.arrive()
    assert phase(play) == "Claiming"
    assert play.say(OfficerReleased(1, "4604001", "too early", 1)) == []
    assert Play().say(OfficerReleased(0, "4604001", "nobody", 1)) == []


# --- under the arm ----------------------------------------------------------------------------------------

BY_ITSELF = replace(SETTINGS, lowering_on_request=False)


def crossings(effects: list[Effect]) -> int:
    return kinds(effects).count("vehicle_crossed")


def test_a_controller_that_lowers_on_somebody_is_told_to_raise_unless_it_is_down_already() -> None:
    play = Play(BY_ITSELF)
    play.raised()
    assert orders(play.say(InputsRead(replace(UNDER, limit_up=False)))) == ["RaiseArm"]
    play = Play(BY_ITSELF)
    play.raised()
    assert orders(play.say(InputsRead(replace(CLEAR, arm_loop=True)))) == []
    play = Play(BY_ITSELF)
    play.raised()
    assert orders(play.say(InputsRead(UNDER), InputsRead(replace(UNDER, limit_up=None)))) == []


def test_behind_truck_and_trailer_the_arm_waits_for_nobody_more() -> None:
    play = up_with(with_trailer())
    play.under()
    play.clear(times=3)
    play.under(times=6)
    assert orders(play.clear(times=6)) == ["LowerArm"]
    play = up_with(with_trailer())
    play.under()
    assert orders(play.clear(times=6)) == []


def test_behind_a_stranger_the_arm_waits_for_no_trailer() -> None:
    play = up_with(with_trailer())
    play.under(kg="15000")
    play.say(InputsRead(UP))
    play.at_s += 10.0
    play.under(times=6, kg="15000")
    back_off(play)
    play.under(times=6)
    assert orders(play.clear(times=6)) == ["LowerArm"]


def test_a_vehicle_crosses_once_however_long_the_arm_must_wait() -> None:
    play = up_with(FINDINGS)
    play.under()
    waited = play.wait(4.0, replace(GONE_UP, stop=True), kg="0")
    assert (crossings(waited), orders(waited)) == (1, [])
    freed = play.wait(2.0, GONE_UP, kg="0")
    assert (crossings(freed), orders(freed)) == (0, ["LowerArm"])


def test_without_a_scale_the_arrival_loop_tells_crossing_from_backing_off() -> None:
    for arrival, crossed in ((False, 1), (True, 0), (None, 0)):
        play = up_with(FINDINGS)
        play.say(*[InputsRead(replace(UNDER, arrival=arrival))] * 30)
        gone = play.say(*[InputsRead(replace(GONE_UP, arrival=arrival))] * 12)
        assert crossings(gone) == crossed


def unweighed_and_up() -> Play:
    play = reading()
    play.timer("reading")
    play.say(InputsRead(ON_SCALE), OfficerReleased(1, "4604001", "nothing read", 1))
    play.say(InputsRead(MOVING), InputsRead(UP))
    return play


def test_a_vehicle_whose_weight_is_unknown_has_crossed_when_the_scale_is_empty_and_not_before() -> None:
    play = unweighed_and_up()
    play.under()
    assert crossings(play.clear()) == 1
    play = unweighed_and_up()
    # Its nose broke the beam and backed off; the scale was never empty.
    play.wait(1.0, UNDER, kg="20000")
    assert crossings(play.wait(3.0, UP, kg="20000")) == 0


def test_a_raise_nobody_used_is_lowered_only_after_a_while_and_only_if_the_scale_can_tell() -> None:
    play = up_with(FINDINGS)
    assert orders(play.wait(1.4, GONE_UP, kg="0")) == []
    assert orders(play.wait(1.5, GONE_UP, kg="0")) == ["LowerArm"]
    play = up_with(FINDINGS)
    play.say(WeightRead(Decimal(0), None))
    play.at_s += 5.0
    assert orders(play.wait(6.0, GONE_UP)) == []
    play = up_with(FINDINGS)
    assert orders(play.wait(4.0, replace(GONE_UP, arrival=True), kg="0")) == []
    assert orders(play.wait(4.0, GONE_UP, kg="20000")) == []


# --- coming down ------------------------------------------------------------------------------------------


def test_a_controller_lowers_by_itself_whatever_we_may_not_order() -> None:
    play = Play(BY_ITSELF)
    play.raised()
    play.under()
    play.wait(3.0, replace(GONE_UP, stop=True), kg="0")
    assert phase(play) == "Lowering"


def test_a_crossing_without_a_slip_is_told_also_while_the_arm_must_wait() -> None:
    play = Play()
    play.arrive(kg="14000", findings=replace(FINDINGS, slips=()))
    play.say(InputsRead(MOVING), InputsRead(UP))
    play.under()
    assert crossings(play.wait(3.0, replace(GONE_UP, stop=True), kg="0")) == 1


def test_another_weight_on_the_scale_is_the_next_vehicle() -> None:
    play = up_with(FINDINGS)
    play.under()
    assert crossings(play.wait(3.0, UP, kg="8000")) == 1


def test_an_arm_that_is_down_is_not_raised_for_whoever_stands_behind_it() -> None:
    play = up_with(FINDINGS)
    play.under()
    play.clear()
    assert phase(play) == "Lowering"
    assert orders(play.say(InputsRead(replace(CLEAR, arm_loop=True)))) == []
    assert phase(play) == "Free"


def closed_with_the_arm_up() -> Play:
    play = Play()
    play.say(InputsRead(CLEAR), InputsRead(replace(CLEAR, limit_down=False)), InputsRead(GONE_UP))
    assert phase(play) == "Shut"
    return play


def test_an_officers_reset_lowers_only_over_what_is_known_to_be_free_now() -> None:
    play = closed_with_the_arm_up()
    assert orders(play.say(OfficerReset("4604001"))) == ["LowerArm"]
    play.say(InputsRead(CLEAR))
    assert phase(play) == "Free"
    play = closed_with_the_arm_up()
    play.at_s += 1.0
    assert orders(play.say(OfficerReset("4604001"))) == []
    assert phase(play) == "Waking"
    play = closed_with_the_arm_up()
    play.say(InputsRead(replace(UNDER, reset_key=True)))
    assert phase(play) == "Waking"


@pytest.mark.parametrize("pressed", [True, None])
def test_no_reset_against_a_pressed_stop(pressed: bool | None) -> None:
    play = closed_with_the_arm_up()
    assert play.say(InputsRead(replace(GONE_UP, stop=pressed)), OfficerReset("4604001")) == []
    assert phase(play) == "Shut"


# --- silence ----------------------------------------------------------------------------------------------


def shown(effects: list[Effect]) -> list[str]:
    return [effect.en for effect in effects if isinstance(effect, Show)]


def test_only_the_board_of_the_arm_makes_its_inputs_unknown() -> None:
    play = up_with(FINDINGS)
    play.under()
    play.clear()
    assert orders(play.say(DeviceWentSilent("rfid", "cable"))) == []
    assert play.lane.inputs == GONE_UP


def test_a_silence_is_told_once_and_shown_to_who_can_still_turn_round() -> None:
    play = Play()
    play.say(InputsRead(CLEAR))
    assert shown(play.say(DeviceWentSilent("weighbridge", "cable"))) != []
    assert play.say(DeviceWentSilent("weighbridge", "cable")) == []
    assert shown(play.say(DeviceWentSilent("rfid", "cable"))) == []
    play = up_with(FINDINGS)
    assert shown(play.say(DeviceWentSilent("weighbridge", "cable"))) == []


@pytest.mark.parametrize(
    ("needs", "role"),
    [
        (Needs(True), "required"),
        (Needs(False, ("rfid",)), "substitutable"),
        (Needs(False), "optional"),
        (None, "optional"),
    ],
)
def test_a_lost_device_is_told_with_its_role(needs: Needs | None, role: str) -> None:
    devices = dict(SETTINGS.devices) | ({} if needs is None else {"scanner": needs})
    play = Play(replace(SETTINGS, devices=devices))
    lost = play.say(DeviceWentSilent("scanner", "cable"))
    told = [t.data for e in lost if isinstance(e, Commit) for t in e.facts]
    assert [fact.role for fact in told if isinstance(fact, DeviceLost)] == [role]


# --- time -------------------------------------------------------------------------------------------------


def test_a_timer_of_nobody_or_of_another_passage_changes_nothing() -> None:
    names = ("reading", "second_identity", "claim", "arm", "passing", "hold", "again")
    empty = Play()
    empty.say(InputsRead(CLEAR))
    asking, holding, up, open_hold = Play(), Play(), up_with(FINDINGS), Play()
    asking.arrive()
    holding.arrive(kg="25000")
    open_hold.arrive(findings=replace(FINDINGS, slips=()))
    waiting = reading()
    for play in (empty, asking, holding, up, waiting, open_hold):
        play.at_s += 300.0
        assert play.say(*[TimePassed(Timer(name, 7)) for name in names]) == []


def test_a_timer_of_a_phase_that_has_ended_changes_nothing() -> None:
    play = Play()
    play.arrive(kg="25000")
    play.at_s += 300.0
    for name in ("reading", "second_identity", "claim", "arm", "passing", "again", "waking"):
        assert play.say(TimePassed(Timer(name, 0 if name == "waking" else 1))) == []
    play = up_with(FINDINGS)
    play.at_s += 300.0
    for name in ("reading", "second_identity", "claim", "arm", "hold", "again", "journal"):
        assert play.say(TimePassed(Timer(name, 1))) == []


def test_a_timer_set_for_an_earlier_waiting_does_not_end_a_later_one() -> None:
    play = Play()
    assert play.say(TimePassed(Timer("waking", 0))) == []
    play = Play()
    play.arrive()
    play.granted()
    assert play.say(TimePassed(Timer("arm", 1))) == []
    play = up_with(FINDINGS)
    play.under()
    play.clear()
    assert phase(play) == "Lowering"
    assert play.say(TimePassed(Timer("arm", 1))) == []


def test_a_hold_that_time_can_cure_is_looked_at_again_when_its_time_comes() -> None:
    play = Play()
    play.arrive(findings=replace(FINDINGS, slips=()))
    again = play.timer("again")
    assert [e.request for e in again if isinstance(e, LookUp)] == [3]
