"""Conditions on the way to an order that no play happened to touch: one sentence for each.

`python -m tests.machine.guards` takes every such condition out once and must see a test fail.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import msgspec
import pytest

from edge.gate.effects import AskClaim, Commit, Effect, LookUp, Memory, WakeAfter
from edge.gate.events import (
    ClaimAnswered,
    CodeRead,
    DeviceSpoke,
    DeviceWentSilent,
    Findings,
    InputsRead,
    LinkChanged,
    OfficerReleased,
    OfficerReset,
    OrderFailed,
    PlateRead,
    RecordsChanged,
    RecordsFound,
    ReleaseCodeShown,
    ReleaseRefused,
    SpotCheck,
    TagRead,
    TimePassed,
    Timer,
    WeightRead,
    WriteFailed,
)
from edge.gate.lane import Holding, Needs, wake
from sync.vocabulary.facts import RulingMade
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
    play.under()
    play.clear(times=2)
    play.at_s += 10.0
    assert alarms(play.under(times=6)) == ["tailgater"]
    back_off(play)
    assert alarms(play.under(times=6)) == ["tailgater"]
    play.say(InputsRead(UP))
    assert alarms(play.under(times=6)) == ["tailgater"]


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


def test_frames_of_before_are_no_part_of_the_window() -> None:
    play = reading()
    on_scale(play, [20_000] * 4, 0.1)
    play.at_s += 1.5
    on_scale(play, [20_000] * 3, 0.1)
    assert gross(play) is None


def test_the_first_steady_weight_is_the_weight() -> None:
    play = reading()
    on_scale(play, [20_000] * 20)
    on_scale(play, [25_000] * 20)
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
    due = {SLIP: SpotCheck(True, "4101960001", "2026-11-22")}
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
