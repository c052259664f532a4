"""What a customs site adds to the lane, told as plays: tampering, neighbours, cards, boxes, cartons, what an
officer enters, and every way out of a hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from edge.devices.readings import Order, PulseRelay
from edge.gate.config import RelaysPart
from edge.gate.effects import (
    AskClaim,
    CheckReleaseCode,
    Commit,
    Effect,
    LookUp,
    LowerArm,
    Memory,
    RaiseArm,
    Show,
    TakePicture,
    WakeAfter,
)
from edge.gate.events import (
    CardRead,
    ClaimAnswered,
    CodeRead,
    ContainerRead,
    DeviceSpoke,
    DeviceWentSilent,
    Event,
    Findings,
    Inputs,
    InputsRead,
    LinkChanged,
    OfficerReleased,
    OrderFailed,
    ParcelCodeRead,
    PictureFailed,
    PictureKept,
    PlateRead,
    ReadFailed,
    RecordsChanged,
    RecordsFound,
    ReleaseCodeShown,
    ScaleFault,
    SpotCheck,
    SupplementGiven,
    TagRead,
    TimePassed,
    Timer,
    WeightRead,
    WriteFailed,
)
from edge.gate.lane import Holding, LaneSettings, Needs, wake
from edge.gate.performer import LanePerformer, Things
from edge.gate.rules import LaneRules, Opinion, evidence_of, rule, would_be
from sync.store.journal import Journal
from sync.vocabulary.facts import (
    Alarm,
    ParcelChecked,
    PassageClosed,
    PictureMissed,
    PictureTaken,
    RaiseOrdered,
    RulingMade,
    SupplementEntered,
)
from sync.vocabulary.numbers import ContainerNo, Epc, Plate, SlipNo, WaybillNo
from sync.vocabulary.records import (
    Condition,
    Control,
    ControlAction,
    Direction,
    GateStage,
    LaneClass,
    Mode,
    Recall,
    SiteLane,
    SlipKind,
    SlipState,
    VehicleState,
    Waybill,
)
from sync.vocabulary.rulings import GUIDES, Because, Reason, Ruling, Verdict, Way
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

OTHER = Plate("苏B67890")
NEXT_TAG = Epc("E2004074850A0103163070E2")
TRAILER, OTHER_TRAILER = Plate("豫A1234挂"), Plate("苏B5678挂")
BOX, OTHER_BOX = ContainerNo("MSCU6639870"), ContainerNo("TGHU7599330")
CARTON, OTHER_CARTON = WaybillNo("SF1234567890123"), WaybillNo("SF1234567890124")
SECOND = SlipNo("Z4604I260101000000000002")
NONE = replace(FINDINGS, slips=())
STRADDLING = replace(ON_SCALE, fully_on=False)


def phase(play: Play) -> str:
    return type(play.lane.phase).__name__


def facts(effects: list[Effect], kind: type) -> list[object]:
    return [t.data for e in effects if isinstance(e, Commit) for t in e.facts if isinstance(t.data, kind)]


def ruling(effects: list[Effect]) -> RulingMade:
    made = facts(effects, RulingMade)[-1]
    assert isinstance(made, RulingMade)
    return made


def claims(effects: list[Effect]) -> list[str]:
    return [effect.claim_id for effect in effects if isinstance(effect, AskClaim)]


def shown(effects: list[Effect]) -> list[str]:
    return [effect.en for effect in effects if isinstance(effect, Show)]


def details(play: Play) -> list[str]:
    assert isinstance(play.lane.phase, Holding)
    return [because.detail for because in play.lane.phase.ruling.reasons]


def looks(effects: list[Effect]) -> list[LookUp]:
    return [effect for effect in effects if isinstance(effect, LookUp)]


def found(play: Play, effects: list[Effect], findings: Findings = FINDINGS) -> list[Effect]:
    """The last look-up is answered, on fresh inputs."""
    look = looks(effects)[-1]
    return play.say(InputsRead(play.lane.inputs), RecordsFound(look.passage, look.request, findings))


def site(known: Findings = FINDINGS, **changes: object) -> Findings:
    assert known.site is not None
    return replace(known, site=msgspec.structs.replace(known.site, **changes))


def slips(**changes: object) -> Findings:
    return replace(FINDINGS, slips=(msgspec.structs.replace(FINDINGS.slips[0], **changes),))


def vehicle(known: Findings = FINDINGS, **changes: object) -> Findings:
    registered = known.by_plate[PLATE]
    assert registered is not None
    changed = msgspec.structs.replace(registered, **changes)
    return replace(known, by_plate={PLATE: changed}, by_tag={TAG: changed})


def reading(settings: LaneSettings = SETTINGS) -> Play:
    play = Play(settings)
    play.say(InputsRead(CLEAR), LinkChanged(True), InputsRead(HERE))
    return play


def held(findings: Findings, kg: str = "20000", settings: LaneSettings = SETTINGS) -> Play:
    play = Play(settings)
    play.arrive(kg=kg, findings=findings)
    assert phase(play) == "Holding"
    play.say(InputsRead(ON_SCALE))
    return play


def weighs(play: Play, kg: str, inputs: Inputs = ON_SCALE, frames: int = 40) -> list[Effect]:
    new: list[Effect] = []
    for _ in range(frames):
        new += play.say(InputsRead(inputs), WeightRead(Decimal(kg), None), after_s=0.05)
    return new


def up_with(findings: Findings, settings: LaneSettings = SETTINGS) -> Play:
    play = Play(settings)
    play.arrive(findings=findings)
    play.granted()
    play.say(InputsRead(MOVING), InputsRead(UP))
    assert phase(play) == "Passing"
    return play


# --- the scale: tampering ---------------------------------------------------------------------------------


def test_a_weight_that_jumps_with_all_wheels_on_is_tampering() -> None:
    """The vehicle stands; the plate has not been left; another 500 kg are gone: an alarm, and a hold."""
    play = reading()
    weighs(play, "20500")
    jumped = weighs(play, "20000")
    assert alarms(jumped) == ["weight_jump"]
    found(play, play.say(PlateRead(PLATE)))
    found(play, play.say(TagRead(TAG)))
    assert codes(play) == ("weight_jumped",)
    assert play.lane.passage is not None
    assert play.lane.passage.gross_kg == Decimal(20_500)


@pytest.mark.parametrize(
    ("to_kg", "told"), [("20199", []), ("20200", ["weight_jump"]), ("19800", ["weight_jump"])]
)
def test_how_far_a_weight_may_move_is_the_lanes_setting(to_kg: str, told: list[str]) -> None:
    play = reading()
    weighs(play, "20000")
    assert alarms(weighs(play, to_kg)) == told


def test_a_jump_is_told_once() -> None:
    play = reading()
    weighs(play, "20000")
    assert alarms([*weighs(play, "21000"), *weighs(play, "20000"), *weighs(play, "22000")]) == ["weight_jump"]


def test_a_vehicle_that_moves_off_the_plate_and_on_again_has_not_jumped() -> None:
    play = reading()
    weighs(play, "6000")
    weighs(play, "12000", STRADDLING)
    assert alarms(weighs(play, "20000")) == []


def test_a_weight_on_its_way_is_no_jump() -> None:
    play = reading()
    for kg in range(6_000, 20_000, 100):
        weighs(play, str(kg), frames=1)
    assert alarms(weighs(play, "20000")) == []


def test_where_nothing_tells_whether_all_wheels_are_on_a_halt_on_the_ramp_is_no_tampering() -> None:
    play = reading(replace(SETTINGS, jump_kg=None))
    weighs(play, "6000")
    assert alarms(weighs(play, "20000")) == []


def test_a_jump_while_the_hub_is_asked_is_never_admitted() -> None:
    """S1: what was ruled on is not what stands there. The grant in hand goes back when it backs out (S4)."""
    play = Play()
    play.arrive()
    assert phase(play) == "Claiming"
    assert alarms(weighs(play, "12000")) == ["weight_jump"]
    granted = play.granted()
    assert orders(granted) == []
    assert codes(play) == ("weight_jumped",)
    refused = play.say(InputsRead(ON_SCALE), OfficerReleased(1, "4604001", "looks fine"))
    assert (orders(refused), alarms(refused)) == ([], ["input_refused"])
    assert kinds(play.wait(4.0, CLEAR, kg="0")) == ["uses_returned", "passage_closed"]


def test_a_vehicle_that_is_released_may_change_its_weight() -> None:
    """It drives off the scale: that is what it is released for."""
    play = Play()
    play.arrive()
    play.granted()
    assert alarms(weighs(play, "9000", MOVING, frames=3)) == []


def test_a_jump_while_somebody_is_held_is_an_alarm_and_the_officer_still_decides() -> None:
    play = held(FINDINGS, "25000")
    assert alarms(weighs(play, "20000")) == ["weight_jump"]
    assert codes(play) == ("weight_over",)
    assert orders(play.say(InputsRead(ON_SCALE), OfficerReleased(1, "4604001", "weighed again"))) == [
        "RaiseArm"
    ]


def test_an_empty_scale_that_does_not_return_to_zero_is_told_once_until_it_does() -> None:
    play = Play()
    play.say(InputsRead(CLEAR))
    assert alarms(play.wait(19.0, CLEAR, kg="160")) == []
    assert alarms(play.wait(2.0, CLEAR, kg="160")) == ["no_return_to_zero"]
    assert alarms(play.wait(40.0, CLEAR, kg="160")) == []
    assert alarms(play.wait(1.0, CLEAR, kg="0")) == []
    assert alarms(play.wait(22.0, CLEAR, kg="-160")) == ["no_return_to_zero"]


@pytest.mark.parametrize("kg", ["100", "-100", "0"])
def test_a_scale_near_zero_has_returned(kg: str) -> None:
    play = Play()
    play.say(InputsRead(CLEAR))
    assert alarms(play.wait(60.0, CLEAR, kg=kg)) == []


def test_a_scale_with_somebody_on_it_need_not_be_at_zero() -> None:
    play = Play()
    play.say(InputsRead(CLEAR))
    play.wait(15.0, CLEAR, kg="160")
    play.arrive()
    play.wait(10.0, ON_SCALE, kg="20000")
    play.wait(4.0, CLEAR, kg="0")
    assert phase(play) == "Free"
    assert alarms(play.wait(15.0, CLEAR, kg="160")) == []


@pytest.mark.parametrize(
    ("kg", "told"), [("14150", []), ("14151", ["tare_drift"]), ("13849", ["tare_drift"])]
)
def test_an_empty_vehicle_off_its_registered_tare_is_told_and_let_go(kg: str, told: list[str]) -> None:
    play = Play()
    through = play.arrive(kg=kg, findings=NONE)
    assert orders(through) == ["RaiseArm"]
    assert alarms(through) == told


def test_a_load_says_nothing_of_the_tare() -> None:
    play = Play()
    play.arrive(kg="20400")
    assert alarms(play.granted()) == []


def test_an_empty_vehicle_with_a_slip_for_it_is_held_against_its_tare_too() -> None:
    empty = slips(kind=SlipKind.EMPTY_VEHICLE, cargo_gross_kg=Decimal(0))
    play = Play()
    play.arrive(kg="14200", findings=empty)
    assert alarms(play.granted()) == ["tare_drift"]


# --- the scale: not weighing ------------------------------------------------------------------------------


def test_a_wheel_off_the_plate_is_said_once_and_cured_by_driving_on() -> None:
    play = reading()
    play.read()
    straddling = weighs(play, "17000", STRADDLING)
    assert shown(straddling) == ["Not fully on the scale, please move"]
    play.timer("reading")
    assert codes(play) == ("not_fully_on",)
    cured = found(play, weighs(play, "20000"))
    assert claims(cured)


def test_an_unknown_beam_is_no_wheel_off_the_plate() -> None:
    play = reading()
    play.read()
    assert shown(weighs(play, "20000", replace(ON_SCALE, fully_on=None))) == []
    play.timer("reading")
    assert codes(play) == ("weight_unread",)


def test_nobody_on_the_scale_is_nobody_with_a_wheel_off_it() -> None:
    play = reading()
    play.read()
    weighs(play, "0", replace(HERE, fully_on=False), frames=5)
    play.timer("reading")
    assert codes(play) == ("weight_unread",)


def test_what_the_indicator_complains_of_is_told_once_until_it_weighs_again() -> None:
    play = reading()
    first = play.say(ScaleFault("overload", "OL"))
    (alarm,) = facts(first, Alarm)
    assert isinstance(alarm, Alarm)
    assert (alarm.code, alarm.passage, alarm.detail) == ("scale_fault", 1, "overload OL")
    assert play.say(ScaleFault("overload", "OL")) == []
    assert alarms(play.say(ScaleFault("underload"))) == ["scale_fault"]
    play.say(WeightRead(Decimal(20_000), None))
    play.at_s += SETTINGS.again_s
    assert alarms(play.say(ScaleFault("underload"))) == ["scale_fault"]
    nobody = Play()
    nobody.say(InputsRead(CLEAR))
    assert [a.passage for a in facts(nobody.say(ScaleFault("underload")), Alarm)] == [None]  # type: ignore[attr-defined]


def test_a_vehicle_the_scale_cannot_weigh_is_held_for_that_and_cured_when_it_can() -> None:
    play = reading()
    play.read()
    play.say(InputsRead(ON_SCALE), ScaleFault("net_weight", "tare pressed"))
    play.timer("reading")
    assert (codes(play), details(play)) == (("scale_fault",), ["net_weight"])
    assert claims(found(play, weighs(play, "20000")))


def test_an_overloaded_vehicle_does_not_vanish_from_the_lane() -> None:
    """S9: too heavy to be weighed, its tag out of reach, it stands there all the same."""
    play = reading()
    weighs(play, "60000", frames=2)
    for _ in range(200):
        play.say(InputsRead(ON_SCALE), ScaleFault("overload"), after_s=0.1)
    assert phase(play) == "Reading"
    play.timer("reading")
    assert codes(play) == ("no_identity",)
    for _ in range(200):
        play.say(InputsRead(ON_SCALE), ScaleFault("overload"), after_s=0.1)
    assert phase(play) == "Holding"
    assert kinds(play.wait(4.0, CLEAR, kg="0"))[-1] == "passage_closed"


def test_an_overloaded_vehicle_that_is_already_there_opens_a_passage() -> None:
    play = Play()
    play.say(InputsRead(CLEAR), ScaleFault("overload"))
    assert kinds(play.say(InputsRead(CLEAR))) == ["passage_opened"]
    quiet = Play()
    quiet.say(InputsRead(CLEAR), ScaleFault("underload"))
    assert kinds(quiet.say(InputsRead(CLEAR))) == []


# --- tags of the next lane --------------------------------------------------------------------------------


def neighbour(known: Findings = FINDINGS) -> Findings:
    """The next lane's tag is of another registered vehicle."""
    registered = known.by_plate[PLATE]
    assert registered is not None
    other = msgspec.structs.replace(registered, plate=OTHER, tag_epcs=(NEXT_TAG,))
    return replace(known, by_tag={**known.by_tag, NEXT_TAG: other})


def with_tags(*tags: TagRead) -> Play:
    play = reading()
    play.say(PlateRead(PLATE))
    found(play, play.say(*tags), neighbour())
    weighs(play, "20000")
    return play


@pytest.mark.parametrize(
    ("tags", "there"),
    [
        ((TagRead(TAG, -50), TagRead(NEXT_TAG, -61)), "Claiming"),
        ((TagRead(TAG, -50), TagRead(NEXT_TAG, -60)), "Holding"),
        ((TagRead(NEXT_TAG, -61), TagRead(TAG, -50)), "Claiming"),
        ((TagRead(TAG, -70), TagRead(NEXT_TAG, -61), TagRead(TAG, -50)), "Claiming"),
        ((TagRead(TAG, -50), TagRead(NEXT_TAG, -70), TagRead(NEXT_TAG, -55)), "Holding"),
        ((TagRead(TAG), TagRead(NEXT_TAG)), "Holding"),
        ((TagRead(TAG, -50), TagRead(NEXT_TAG)), "Holding"),
        ((TagRead(TAG), TagRead(NEXT_TAG, -90)), "Holding"),
    ],
    ids=[
        "weaker by more than the setting",
        "weaker by no more",
        "read first",
        "its own grows stronger",
        "the other grows stronger",
        "strengths unknown",
        "the other's unknown",
        "its own unknown",
    ],
)
def test_a_much_weaker_tag_is_the_next_lanes_and_no_evidence_here(
    tags: tuple[TagRead, ...], there: str
) -> None:
    """S5: doubt stays a mismatch."""
    play = with_tags(*tags)
    assert phase(play) == there
    assert codes(play) == (() if there == "Claiming" else ("plate_tag_mismatch",))


@pytest.mark.parametrize(
    ("least_dbm", "dbm", "told"),
    [(None, -80, ()), (-70, -70, ()), (-70, -71, ("no_identity",))],
    ids=["any strength will do", "just strong enough", "too weak to stand here"],
)
def test_who_shows_neither_plate_nor_tag_is_not_taken_for_who_stands_in_the_next_lane(
    least_dbm: int | None, dbm: int, told: tuple[str, ...]
) -> None:
    """S5."""
    play = reading(replace(SETTINGS, least_dbm=least_dbm))
    found(play, play.say(TagRead(TAG, dbm)), FINDINGS)
    weighs(play, "20000")
    play.timer("second_identity")
    play.timer("reading")
    assert (codes(play), phase(play)) == (told, "Holding" if told else "Claiming")


def test_a_tag_that_did_not_count_is_in_the_fact_as_the_next_lanes() -> None:
    """S11: the ruling can be made again from the fact alone."""
    play = with_tags(TagRead(TAG, -50), TagRead(NEXT_TAG, -70))
    kept = {(each.value, each.detail) for each in ruling(play.granted()).readings if each.kind == "tag"}
    assert kept == {(TAG, "-50 dBm"), (NEXT_TAG, "next lane")}


def test_uses_of_before_a_restart_do_not_resume_on_the_next_lanes_tag() -> None:
    """S6: the vehicle they were reserved for stands in the next lane now; another one stands here."""
    use = SlipUse("lane-in-1-r0-4-u0", SLIP, 4, "lane-in-1-r0-4-c1", UseState.RESERVED)
    memory = Memory(
        next_passage=5, phase="Passing", passage=4, plates=(PLATE,), tags=(TAG,), order_id="lane-in-1-r0-4-1",
        claim_id=use.claim_id, uses=(use,), purpose="admit",
    )  # fmt: skip
    play = Play()
    play.lane, _ = wake(SETTINGS, 0.0, memory, (use,), 5.0)
    play.say(InputsRead(HERE), LinkChanged(True))
    found(play, play.say(TagRead(NEXT_TAG, -50), TagRead(TAG, -75)), neighbour())
    assert orders(weighs(play, "20000")) == []
    play.timer("reading")
    assert codes(play) == ("interrupted",)


def test_somebody_elses_tag_while_the_arm_is_up_stays_a_doubt_however_weak() -> None:
    """S3: doubt is an alarm; whoever follows may be weaker, too."""
    play = up_with(vehicle(trailer_plate=TRAILER))
    play.under()
    play.say(TagRead(NEXT_TAG, -90))
    play.clear(times=3)
    assert alarms(play.under(times=6)) == ["tailgater"]


# --- trailers ---------------------------------------------------------------------------------------------


def test_its_own_plate_and_tag_read_again_behind_the_truck_are_no_stranger() -> None:
    """S3."""
    play = up_with(vehicle(trailer_plate=TRAILER))
    play.under()
    play.say(PlateRead(PLATE), TagRead(TAG))
    play.clear(times=3)
    assert alarms(play.under(times=6)) == []


@pytest.mark.parametrize(("plate", "told"), [(TRAILER, []), (OTHER_TRAILER, ["tailgater"])])
def test_the_registered_trailers_plate_behind_the_truck_is_no_stranger(plate: Plate, told: list[str]) -> None:
    """S3."""
    play = up_with(vehicle(trailer_plate=TRAILER))
    play.under()
    play.say(PlateRead(plate))
    play.clear(times=3)
    assert alarms(play.under(times=6)) == told


def test_a_trailers_plate_does_not_stand_for_the_trucks() -> None:
    """It is not waited for as an identity, and the truck's own still is."""
    play = reading()
    found(play, play.say(PlateRead(TRAILER)))
    weighs(play, "20000", frames=120)
    assert phase(play) == "Reading"
    play.timer("reading")
    assert codes(play) == ("no_identity",)
    assert looks(play.say(PlateRead(PLATE)))
    play = reading()
    found(play, play.say(PlateRead(TRAILER), TagRead(TAG)))
    assert claims(weighs(play, "20000", frames=20)) == []
    assert claims(found(play, play.say(PlateRead(PLATE))))


def test_another_trailer_than_the_registered_one_is_held() -> None:
    play = reading()
    play.say(PlateRead(OTHER_TRAILER))
    play.read(vehicle(trailer_plate=TRAILER))
    weighs(play, "20000")
    assert (codes(play), details(play)) == (("trailer_mismatch",), [OTHER_TRAILER])


@pytest.mark.parametrize(
    ("kgs", "crossed"),
    [((15_000, 4_900, 19_800), True), ((11_000, 19_800), False), ((15_500,), True)],
    ids=["it had left, and the next one is on the scale", "it backed off the beam", "another weight"],
)
def test_the_scale_tells_who_went_through_the_beam(kgs: tuple[int, ...], crossed: bool) -> None:
    """S3, S4."""
    play = up_with(FINDINGS)
    play.say(*[InputsRead(UNDER)] * 5, *[WeightRead(Decimal(kg), None) for kg in kgs], InputsRead(GONE_UP))
    told = kinds(play.wait(2.0, GONE_UP, kg=str(kgs[-1])))
    assert ("vehicle_crossed" in told) is crossed


def test_an_unweighed_vehicle_has_crossed_when_the_scale_is_empty_behind_it() -> None:
    play = reading()
    play.timer("reading")
    play.say(InputsRead(ON_SCALE), OfficerReleased(1, "4604001", "nothing read", 1))
    play.say(InputsRead(MOVING), InputsRead(UP), WeightRead(Decimal(0), None))
    play.say(*[InputsRead(UNDER)] * 3)
    assert "vehicle_crossed" in kinds(play.say(*[InputsRead(GONE_UP)] * 11))


def test_a_vehicle_whose_weight_left_the_scale_has_crossed_also_with_a_stranger_behind_it() -> None:
    """S3, S4: what the scale showed while the first one left is not forgotten over the next one's nose."""
    play = up_with(FINDINGS)
    play.under(times=5, kg="4900")
    play.say(WeightRead(Decimal(19_800), None), InputsRead(GONE_UP))
    stranger = play.under(times=5, kg="19800")
    assert alarms(stranger) == ["tailgater"]
    assert "vehicle_crossed" in kinds(play.wait(2.0, GONE_UP, kg="19800"))


# --- cards, containers, cartons ---------------------------------------------------------------------------


def test_a_card_is_looked_up_names_a_slip_and_identifies_nobody() -> None:
    play = reading()
    look = looks(play.say(CardRead("1A2B3C4D")))[-1]
    assert (look.cards, look.plates) == (("1A2B3C4D",), ())
    play.say(RecordsFound(look.passage, look.request, slips(card_no="1A2B3C4D", plate=None)))
    weighs(play, "20000")
    play.timer("reading")
    assert codes(play) == ("no_identity",)
    again = play.say(PlateRead(PLATE), TagRead(TAG))
    assert claims(found(play, again, slips(card_no="1A2B3C4D", plate=None)))


def test_a_card_or_a_code_read_first_does_not_shorten_the_wait_for_the_other_identity() -> None:
    """A plate alone waits for the tag from when the plate was read."""
    firsts = (CardRead("C1"), CodeRead(SLIP), ContainerRead(BOX), ParcelCodeRead(CARTON), PlateRead(TRAILER))
    for early in firsts:
        play = reading()
        weighs(play, "20000")
        play.say(early)
        play.at_s += 10.0
        weighs(play, "20000", frames=2)
        assert claims(found(play, play.say(PlateRead(PLATE)))) == []
        assert claims(play.timer("second_identity"))


def test_one_identity_alone_is_ruled_on_when_the_other_was_given_its_time() -> None:
    play = reading()
    weighs(play, "20000")
    assert claims(found(play, play.say(TagRead(TAG)))) == []
    assert claims(play.timer("second_identity"))


def test_a_second_tag_does_not_give_the_plate_its_time_anew() -> None:
    play = reading()
    weighs(play, "20000")
    found(play, play.say(TagRead(TAG)))
    play.at_s += 3.0
    second = play.say(TagRead(NEXT_TAG))
    play.at_s += 1.5
    assert claims(found(play, second))


def test_the_wrong_card_is_held_and_the_right_one_does_not_undo_it_unseen() -> None:
    known = slips(card_no="C1")
    play = reading()
    play.say(CardRead("C2"))
    play.read(known)
    weighs(play, "20000")
    assert codes(play) == ("card_mismatch",)
    assert play.say(CardRead("C1")) == []


@pytest.mark.parametrize(
    ("more", "same"),
    [
        (CardRead("C2"), CardRead("C1")),
        (ContainerRead(OTHER_BOX), ContainerRead(BOX)),
        (ParcelCodeRead(OTHER_CARTON), ParcelCodeRead(CARTON)),
        (CodeRead(SECOND), CodeRead(SLIP)),
        (PlateRead(OTHER), PlateRead(PLATE)),
        (TagRead(NEXT_TAG), TagRead(TAG)),
    ],
)
def test_what_was_read_once_is_looked_up_once(more: Event, same: Event) -> None:
    play = reading()
    assert looks(play.say(same))
    assert play.say(same) == []
    assert looks(play.say(more))


def test_only_so_many_of_each_are_kept() -> None:
    """G11: a reader gone wild fills no memory."""
    play = reading()
    for n in range(100):
        play.say(
            CardRead(f"C{n}"),
            PlateRead(Plate(f"豫A{n:05d}")),
            TagRead(Epc(f"E20040{n:06d}")),
            CodeRead(SlipNo(f"Z4604I260101{n:012d}")),
            ParcelCodeRead(WaybillNo(f"SF12345678{n:05d}")),
            ContainerRead(ContainerNo(_box(n))),
            after_s=0.0,
        )
    passage = play.lane.passage
    assert passage is not None
    assert (len(passage.cards), len(passage.containers), len(passage.waybill_nos)) == (8, 8, 64)
    assert (len(passage.plates), len(passage.tags), len(passage.slip_nos)) == (8, 64, 64)


def test_how_sure_a_camera_was_is_in_the_fact() -> None:
    play = reading()
    play.say(PlateRead(PLATE, 97.5))
    play.read()
    play.weigh("20000")
    kept = [each for each in ruling(play.granted()).readings if each.kind == "plate"]
    assert [(each.value, each.detail) for each in kept] == [(PLATE, "97.5")]


def test_what_is_read_while_the_hub_is_asked_changes_nothing() -> None:
    """S5."""
    play = Play()
    play.arrive()
    before = play.lane.passage
    assert play.say(PlateRead(OTHER), TagRead(NEXT_TAG), CodeRead(SECOND), CardRead("C1")) == []
    assert play.lane.passage == before
    assert phase(play) == "Claiming"


def _box(number: int) -> str:
    """A container number with its check digit (ISO 6346)."""
    stem = f"MSCU{number:06d}"
    return next(text for digit in range(10) if ContainerNo.parse(text := f"{stem}{digit}"))


READS = replace(SETTINGS, rules=LaneRules(Direction.IN, lane_id="lane-in-1", reads_containers=True))
BOXED = slips(container_nos=(BOX, OTHER_BOX))


def test_a_hold_for_an_unread_container_ends_when_both_are_read() -> None:
    play = held(BOXED, settings=READS)
    assert codes(play) == ("container_unread",)
    found(play, play.say(ContainerRead(BOX, "front")), BOXED)
    assert codes(play) == ("container_unread",)
    assert claims(found(play, play.say(ContainerRead(OTHER_BOX, "back")), BOXED))


def test_a_strange_container_is_held_and_no_other_reading_cures_it() -> None:
    play = held(slips(container_nos=(BOX,)), settings=READS)
    found(play, play.say(ContainerRead(OTHER_BOX)), slips(container_nos=(BOX,)))
    assert (codes(play), details(play)) == (("container_mismatch",), [OTHER_BOX])
    assert play.say(ContainerRead(BOX), CodeRead(SLIP), CardRead("C1"), ParcelCodeRead(CARTON)) == []


def test_a_container_cures_no_other_hold() -> None:
    play = held(NONE)
    assert codes(play) == ("slip_not_found",)
    assert play.say(ContainerRead(BOX)) == []


def carton(slip_no: SlipNo | None, known: Findings = FINDINGS, number: WaybillNo = CARTON) -> Findings:
    waybill = Waybill(waybill_no=number, slip_no=slip_no)
    return replace(known, waybills={**known.waybills, number: waybill})


def checked(effects: list[Effect]) -> list[tuple[str, str, str]]:
    told = [fact for fact in facts(effects, ParcelChecked) if isinstance(fact, ParcelChecked)]
    return [(fact.waybill_no, fact.slip, fact.result) for fact in told]


@pytest.mark.parametrize(
    ("known", "result", "told"),
    [
        (carton(SLIP), (CARTON, SLIP, "on_slip"), []),
        (carton(SECOND), (CARTON, SECOND, "not_on_slip"), ["parcel_mismatch"]),
        (carton(None), (CARTON, "", "not_on_slip"), ["parcel_mismatch"]),
        (replace(FINDINGS, waybills={CARTON: None}), (CARTON, "", "unknown"), []),
    ],
    ids=["of the slip", "of another slip", "of none", "nobody knows it"],
)
def test_a_carton_that_is_scanned_is_a_fact_with_what_the_records_say(
    known: Findings, result: tuple[str, str, str], told: list[str]
) -> None:
    play = reading()
    play.say(ParcelCodeRead(CARTON))
    play.read(known)
    ruled = weighs(play, "20000", frames=14)
    assert checked(ruled) == [result]
    assert alarms(ruled) == told
    assert codes(play) == (("parcel_not_on_slip",) if told else ())


def test_a_carton_of_yesterdays_slip_is_not_on_todays() -> None:
    """The fact says what the ruling says."""
    yesterdays = msgspec.structs.replace(FINDINGS.slips[0], slip_no=SECOND, state=SlipState.PASSED)
    known = carton(SECOND, replace(FINDINGS, slips=(*FINDINGS.slips, yesterdays)))
    play = reading()
    play.say(ParcelCodeRead(CARTON))
    play.read(known)
    ruled = weighs(play, "20000", frames=14)
    assert checked(ruled) == [(CARTON, SECOND, "not_on_slip")]
    assert codes(play) == ("parcel_not_on_slip",)


def test_a_carton_is_not_judged_before_it_is_known_whose_it_is() -> None:
    play = reading()
    found(play, play.say(ParcelCodeRead(CARTON)), replace(carton(SLIP), by_plate={}, by_tag={}, slips=()))
    found(play, play.say(PlateRead(PLATE), TagRead(TAG)), carton(SLIP))
    assert checked(play.asked) == []
    weighs(play, "20000")
    assert checked(play.asked) == [(CARTON, SLIP, "on_slip")]


def test_cartons_are_checked_while_the_load_is_inspected_each_once() -> None:
    """卡口抽核: that is what the officer scans them for."""
    drawn = replace(FINDINGS, spot_checks={SLIP: SpotCheck(True, "4101960001", "2026-11-22")})
    play = held(drawn)
    assert codes(play) == ("spot_check",)
    assert play.say(CodeRead(SECOND), CardRead("C1"), ContainerRead(BOX), PlateRead(OTHER)) == []
    first = found(play, play.say(ParcelCodeRead(CARTON)), carton(SLIP, drawn))
    assert (checked(first), codes(play)) == ([(CARTON, SLIP, "on_slip")], ("spot_check",))
    both = carton(SECOND, carton(SLIP, drawn), OTHER_CARTON)
    second = found(play, play.say(ParcelCodeRead(OTHER_CARTON)), both)
    assert checked(second) == [(OTHER_CARTON, SECOND, "not_on_slip")]
    assert codes(play) == ("parcel_not_on_slip", "spot_check")
    assert play.say(CodeRead(SECOND), CardRead("C1")) == []


# --- where a vehicle belongs ------------------------------------------------------------------------------


def listed(known: Findings = FINDINGS, **changes: object) -> Findings:
    here = SiteLane(lane="lane-in-1", direction=Direction.IN, name_zh="1号")
    there = SiteLane(lane="lane-in-2", direction=Direction.IN, name_zh="2号", lane_class=LaneClass.LOADED)
    return site(known, lanes=(msgspec.structs.replace(here, **changes), there))


LISTED = replace(SETTINGS, rules=LaneRules(Direction.IN, lane_id="lane-in-1"))


def test_a_load_in_the_empty_lane_is_sent_to_another_before_it_is_weighed() -> None:
    play = reading(LISTED)
    told = play.read(listed(lane_class=LaneClass.EMPTY))
    assert "wrong_lane" in codes(play)
    assert shown(told)[-1] == "Wrong lane, use 2号"


def test_an_empty_vehicle_in_the_loaded_lane_is_sent_away_when_it_is_weighed() -> None:
    known = listed(NONE, lane_class=LaneClass.LOADED)
    play = reading(LISTED)
    play.read(known)
    assert phase(play) == "Reading"
    weighs(play, "14000")
    assert codes(play) == ("wrong_lane",)


def test_in_the_manual_lane_an_officer_decides_about_every_vehicle() -> None:
    play = held(listed(lane_class=LaneClass.MANUAL), settings=LISTED)
    assert codes(play) == ("manual_lane",)
    assert orders(play.say(InputsRead(ON_SCALE), OfficerReleased(1, "4604001", "papers seen"))) == [
        "RaiseArm"
    ]


def test_who_has_not_passed_the_first_gate_is_looked_at_again_by_itself() -> None:
    second = listed(gate=GateStage.SECOND)
    play = held(second, settings=LISTED)
    assert codes(play) == ("first_gate_missing",)
    passed = listed(slips(state=SlipState.PASSED_FIRST), gate=GateStage.SECOND)
    assert claims(found(play, play.timer("again"), passed))


def test_a_slip_of_another_area_is_told_before_weighing() -> None:
    play = reading()
    play.read(site(slips(customs_code="4605"), customs_codes=("4604",)))
    assert "slip_wrong_area" in codes(play)


# --- recalls, controls, credit ----------------------------------------------------------------------------

RECALL = Recall(recall_no="ZH1", slip_nos=(SLIP,), reason_zh="召回", reason_en="recall")


def control(action: ControlAction = ControlAction.HOLD, mode: Mode = Mode.LIVE) -> Control:
    slip = FINDINGS.slips[0]
    return Control(
        control_id="BK1",
        version=3,
        mode=mode,
        condition=Condition(plates=(PLATE,)),
        action=action,
        valid_from=slip.valid_from,
        valid_until=slip.valid_until,
        reason_zh="风险",
        reason_en="risk",
    )


def test_recalled_goods_in_the_lane_are_an_alarm_once() -> None:
    """Also when the hold is told anew, for more or for less."""
    play = reading()
    told = play.read(replace(slips(state=SlipState.PASSED), recalls=(RECALL,)))
    assert codes(play) == ("recalled", "slip_used")
    assert alarms(told) == ["recall_hit"]
    play = held(replace(NONE, recalls=()))
    hit = found(play, play.say(CodeRead(SLIP)), replace(FINDINGS, recalls=(RECALL,)))
    assert alarms(hit) == ["recall_hit"]


@pytest.mark.parametrize(
    "findings",
    [
        replace(FINDINGS, controls=(control(),)),
        vehicle(state=VehicleState.BLOCKED),
        replace(FINDINGS, controls=(control(),), by_plate={PLATE: None}, by_tag={}),
    ],
    ids=["held by order", "blocked", "held by order, and nobody registered it"],
)
def test_a_controlled_vehicle_in_the_lane_is_an_alarm_once(findings: Findings) -> None:
    play = Play()
    told = play.arrive(findings=findings)
    assert alarms([*play.asked]) == ["controlled_vehicle"]
    assert alarms(told) in ([], ["controlled_vehicle"])
    assert phase(play) == "Holding"


def test_what_a_control_in_shadow_would_have_done_is_in_the_fact_and_changes_nothing() -> None:
    play = Play()
    play.arrive(findings=replace(FINDINGS, controls=(control(mode=Mode.SHADOW),)))
    granted = play.granted()
    assert orders(granted) == ["RaiseArm"]
    made = ruling(granted)
    assert (made.would_be, made.control_versions) == ({"BK1@3": "hold"}, ("BK1@3:shadow",))


def test_a_release_by_hand_stands_beside_a_control_in_shadow() -> None:
    """G11: world seed 2028: the lane's program ended with the officer's release, in a place that asked what a
    control in shadow would have made of it."""
    play = Play()
    over = "27000"
    shadowed = replace(FINDINGS, controls=(control(mode=Mode.SHADOW),))
    play.arrive(over, findings=shadowed)
    assert phase(play) == "Holding"
    released = play.say(InputsRead(ON_SCALE), OfficerReleased(1, "4604002", "seen", 1))
    assert orders(released) == ["RaiseArm"]
    made = ruling(released)
    assert (made.ruling.verdict, made.would_be) == (Verdict.RELEASE, {"BK1@3": "release"})


def test_whatever_an_opinion_says_a_control_in_shadow_can_be_put_beside_it() -> None:
    """Every reason there is, beside a control that was not live (G11)."""
    shadow = control(mode=Mode.SHADOW)
    for reason in Reason:
        opinion = Opinion(Ruling(Verdict.HOLD, (Because(reason),)), controls=(shadow,))
        assert set(would_be(opinion)) == {"BK1@3"}


# --- what an officer enters (补采) ------------------------------------------------------------------------


def entered(field: str, value: str, number: int = 1) -> SupplementGiven:
    return SupplementGiven(number, "4604001", field, value, "by eye")


def waits_for_the_other_identity(play: Play) -> list[Effect]:
    """On the scale, polls going on, until its time is up."""
    weighs(play, "20000", frames=45)
    return play.say(TimePassed(Timer("reading", 1)))


def unidentified() -> Play:
    play = reading()
    weighs(play, "20000")
    play.timer("reading")
    assert codes(play) == ("no_identity",)
    weighs(play, "20000", frames=2)
    return play


def test_a_plate_an_officer_enters_is_ruled_on_like_one_that_was_read() -> None:
    """A fact under the officer's number; nothing is released by entering."""
    play = unidentified()
    told = play.say(entered("plate", PLATE))
    assert facts(told, SupplementEntered) == [
        SupplementEntered(passage=1, officer="4604001", field="plate", value=PLATE, reason="by eye")
    ]
    assert (orders(told), looks(told)[-1].plates) == ([], (PLATE,))
    found(play, told)
    assert phase(play) == "Reading"
    assert claims(waits_for_the_other_identity(play))
    admitted = play.granted()
    assert orders(admitted) == ["RaiseArm"]
    made = ruling(admitted)
    assert ("plate", PLATE, "officer 4604001") in {(r.kind, r.value, r.detail) for r in made.readings}


def test_a_weight_makes_up_for_a_silent_scale() -> None:
    """S9 ends: the device that is silent is made up for, not forgotten; the others still count."""
    play = reading()
    play.say(DeviceWentSilent("weighbridge", "cable"))
    play.read()
    assert codes(play) == ("device_silent", "weight_unread")
    play.say(InputsRead(ON_SCALE))
    assert claims(found(play, play.say(entered("weight", "20000"))))
    made = ruling(play.granted())
    assert (made.gross_kg, made.ruling.codes()) == ("20000", ("released",))
    play = reading()
    play.say(DeviceWentSilent("weighbridge", "cable"), DeviceWentSilent("rfid", "cable"))
    play.say(DeviceWentSilent("plate_camera", "cable"))
    play.timer("reading")
    found(play, play.say(entered("weight", "20000")))
    play.timer("reading")
    assert details(play) == ["plate_camera", "rfid", ""]
    assert codes(play)[-1] == "no_identity"


def test_a_plate_makes_up_for_camera_and_reader_both_silent() -> None:
    play = reading()
    play.say(DeviceWentSilent("rfid", "cable"), DeviceWentSilent("plate_camera", "cable"))
    weighs(play, "20000")
    play.timer("reading")
    assert codes(play) == ("device_silent", "device_silent")
    play.say(InputsRead(ON_SCALE))
    assert claims(found(play, play.say(entered("plate", PLATE))))


def test_a_weight_an_officer_enters_does_not_shorten_the_wait_for_the_other_identity() -> None:
    play = reading()
    play.say(DeviceWentSilent("weighbridge", "cable"))
    play.timer("reading")
    found(play, play.say(entered("weight", "20000")))
    play.timer("reading")
    assert codes(play) == ("no_identity",)
    play.say(InputsRead(ON_SCALE))
    assert claims(found(play, play.say(PlateRead(PLATE)))) == []
    play.say(InputsRead(ON_SCALE))
    assert claims(play.timer("second_identity"))


@pytest.mark.parametrize("device", ["io", "board"])
def test_nothing_an_officer_enters_makes_up_for_a_device_that_reads_nothing_of_the_kind(device: str) -> None:
    devices = {**SETTINGS.devices, device: Needs(True)}
    play = reading(replace(SETTINGS, devices=devices))
    play.say(DeviceWentSilent("weighbridge", "cable"), DeviceWentSilent(device, "cable"))
    play.say(InputsRead(HERE))
    play.read()
    found(play, play.say(entered("weight", "20000")))
    assert details(play) == [device]


def test_a_slip_number_an_officer_enters_is_looked_up() -> None:
    play = held(NONE)
    told = play.say(entered("slip", SLIP))
    assert looks(told)[-1].slip_nos == (SLIP,)
    assert claims(found(play, told))


def test_a_container_number_an_officer_enters_counts_as_read() -> None:
    known = slips(container_nos=(BOX,))
    play = held(known, settings=READS)
    assert claims(found(play, play.say(entered("container", BOX)), known))


def test_what_an_officer_enters_is_still_held_against_the_records() -> None:
    play = reading()
    play.read()
    play.timer("reading")
    assert codes(play) == ("weight_unread",)
    found(play, play.say(entered("weight", "25000.5")))
    assert (codes(play), details(play)) == (("weight_over",), ["5000 kg"])


def test_a_plate_an_officer_enters_takes_the_place_of_what_a_camera_made_of_it() -> None:
    play = reading()
    play.say(PlateRead(TRAILER))
    play.timer("reading")
    play.say(InputsRead(ON_SCALE))
    assert looks(play.say(entered("plate", PLATE)))[-1].plates == (PLATE,)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("weight", "20 t"),
        ("weight", "-5"),
        ("weight", "1e9"),
        ("weight", "NaN"),
        ("weight", "12345678"),
        ("weight", "1.2345"),
        ("weight", ""),
        ("weight", "20000\n"),
    ],
)
def test_a_weight_that_is_none_is_refused(field: str, value: str) -> None:
    play = reading()
    play.read()
    play.timer("reading")
    refused = play.say(entered(field, value))
    assert (alarms(refused), looks(refused)) == (["input_refused"], [])
    assert codes(play) == ("weight_unread",)


@pytest.mark.parametrize(
    ("play", "field", "value"),
    [
        (unidentified, "plate", "no plate"),
        (lambda: held(NONE), "slip", "Z1"),
        (lambda: held(slips(container_nos=(BOX,)), settings=READS), "container", "MSCU6639871"),
        (lambda: held(NONE), "colour", "blue"),
    ],
)
def test_what_is_no_such_number_is_refused(play: Callable[[], Play], field: str, value: str) -> None:
    there = play()
    before = codes(there)
    refused = there.say(entered(field, value))
    assert (alarms(refused), looks(refused)) == (["input_refused"], [])
    assert codes(there) == before


@pytest.mark.parametrize(
    ("play", "field", "value"),
    [
        (lambda: held(NONE), "weight", "14000"),
        (lambda: held(NONE), "plate", OTHER),
        (unidentified, "weight", "14000"),
        (unidentified, "slip", SLIP),
        (lambda: held(slips(container_nos=(BOX,)), settings=READS), "weight", "20000"),
    ],
)
def test_what_was_read_stands_as_read_only_what_is_missing_is_entered(
    play: Callable[[], Play], field: str, value: str
) -> None:
    """A load without a slip does not become an empty vehicle by an officer's word."""
    there = play()
    before = there.lane.passage
    assert alarms(there.say(entered(field, value))) == ["input_refused"]
    assert there.lane.passage == before


def test_supplements_are_for_whoever_is_held_for_want_of_something_and_for_nobody_else() -> None:
    empty = Play()
    empty.say(InputsRead(CLEAR))
    assert empty.say(entered("plate", PLATE)) == []
    assert reading().say(entered("plate", PLATE)) == []
    asking = Play()
    asking.arrive()
    assert asking.say(entered("weight", "14000")) == []
    up = up_with(FINDINGS)
    assert up.say(entered("weight", "14000")) == []
    another = unidentified()
    assert another.say(entered("plate", PLATE, number=2)) == []
    over = held(FINDINGS, "25000")
    refused = over.say(entered("weight", "20000"))
    assert (alarms(refused), codes(over)) == (["input_refused"], ("weight_over",))


def test_what_is_entered_is_a_fact_although_the_disk_was_full() -> None:
    play = unidentified()
    play.say(entered("plate", PLATE))
    again = play.say(WriteFailed("disk full"), after_s=0.0)
    assert looks(again)[-1].plates == (PLATE,)
    assert kinds(play.timer("journal")) == ["supplement_entered"]


# --- released by hand, only where a way is left open ------------------------------------------------------


def drawn() -> Findings:
    return replace(FINDINGS, spot_checks={SLIP: SpotCheck(True, "4101960001", "2026-11-22")})


HOLDS: list[tuple[str, Callable[[], Play], tuple[str, ...]]] = [
    ("no_identity", unidentified, ("back_out", "release", "supplement", "again")),
    (
        "plate_tag_mismatch",
        lambda: held(replace(FINDINGS, by_tag=vehicle(plate=OTHER).by_tag)),
        ("back_out", "release", "aside"),
    ),
    (
        "vehicle_unknown",
        lambda: held(replace(FINDINGS, by_plate={PLATE: None}, by_tag={})),
        ("back_out", "release"),
    ),
    ("vehicle_blocked", lambda: held(vehicle(state=VehicleState.BLOCKED)), ("back_out", "aside")),
    ("slip_not_found", lambda: held(NONE), ("back_out", "supplement", "again")),
    ("slip_expired", lambda: held(slips(valid_until="2026-11-20T00:00:00Z")), ("back_out",)),
    ("slip_not_yet_valid", lambda: held(slips(valid_from="2026-11-25T00:00:00Z")), ("back_out", "again")),
    ("quarantine_required", lambda: held(slips(quarantine="required")), ("back_out", "aside")),
    ("control_hold", lambda: held(replace(FINDINGS, controls=(control(),))), ("back_out", "aside")),
    (
        "control_inspect",
        lambda: held(replace(FINDINGS, controls=(control(ControlAction.INSPECT),))),
        ("back_out", "release", "aside"),
    ),
    ("spot_check", lambda: held(drawn()), ("back_out", "release", "aside")),
    ("recalled", lambda: held(replace(FINDINGS, recalls=(RECALL,))), ("back_out", "aside")),
    ("weight_over", lambda: held(FINDINGS, "25000"), ("back_out", "release", "aside")),
    ("records_too_old", lambda: held(replace(FINDINGS, age_s=None)), ("back_out", "release", "again")),
    ("claim_refused", lambda: claim_refused(), ("back_out", "release", "again")),
    ("journal_full", lambda: journal_full(), ("back_out", "again")),
    (
        "container_unread",
        lambda: held(slips(container_nos=(BOX,)), settings=READS),
        ("back_out", "supplement", "again"),
    ),
    (
        "manual_lane",
        lambda: held(listed(lane_class=LaneClass.MANUAL), settings=LISTED),
        ("back_out", "release", "aside"),
    ),
]


def claim_refused() -> Play:
    play = Play()
    play.arrive()
    play.say(ClaimAnswered(claims(play.asked)[-1], False, "lane-in-2"))
    return play


def journal_full() -> Play:
    play = Play()
    play.arrive()
    play.granted()
    play.say(WriteFailed("disk full"), after_s=0.0)
    return play


@pytest.mark.parametrize(("code", "stage", "ways"), HOLDS, ids=[hold[0] for hold in HOLDS])
def test_a_hold_has_an_owner_a_time_limit_and_always_a_way_out(
    code: str, stage: Callable[[], Play], ways: tuple[str, ...]
) -> None:
    """S9: no passage hangs. Its time limit comes again and again, and who backs out ends it."""
    play = stage()
    assert code in codes(play)
    assert isinstance(play.lane.phase, Holding)
    held_for = play.lane.phase.ruling
    assert held_for.ways() == ways
    assert held_for.owner() == GUIDES[Reason(held_for.codes()[0])].owner.value
    for _ in range(2):
        assert alarms(play.timer("hold")) == ["overstay"]
    gone = play.wait(16.0, CLEAR, kg="0")
    assert facts(gone, PassageClosed) != []
    assert phase(play) == "Free"


@pytest.mark.parametrize(("code", "stage", "ways"), HOLDS, ids=[hold[0] for hold in HOLDS])
def test_an_officer_releases_only_where_that_way_is_left_open(
    code: str, stage: Callable[[], Play], ways: tuple[str, ...]
) -> None:
    """S8: what only an inspection, a disk or a slip can end is ended by nobody's code."""
    play = stage()
    play.say(InputsRead(ON_SCALE))
    before = codes(play)
    released = play.say(InputsRead(ON_SCALE), OfficerReleased(1, "4604001", "seen by eye", 1))
    may = "release" in ways
    assert orders(released) == (["RaiseArm"] if may else [])
    assert alarms(released) == ([] if may else ["input_refused"])
    assert codes(play) == (() if may else before)


@pytest.mark.parametrize(("code", "stage", "ways"), HOLDS, ids=[hold[0] for hold in HOLDS])
def test_an_officer_leads_aside_only_where_that_way_is_left_open(
    code: str, stage: Callable[[], Play], ways: tuple[str, ...]
) -> None:
    play = stage()
    play.say(InputsRead(ON_SCALE))
    aside = play.say(InputsRead(ON_SCALE), OfficerReleased(1, "4604001", "to the sheds", 1, aside=True))
    assert orders(aside) == (["RaiseArm"] if "aside" in ways else [])


def test_an_officer_may_lead_aside_what_may_not_go_on_and_the_lane_is_free_for_the_next() -> None:
    """引导待检: under quarantine nobody enters, and nobody blocks the lane either."""
    play = held(slips(quarantine="required"))
    aside = play.say(
        InputsRead(ON_SCALE), OfficerReleased(1, "4604001", "to the quarantine shed", 1, aside=True)
    )
    made = ruling(aside)
    assert (made.ruling.codes(), made.officer, made.claim) == (("manual_aside",), "4604001", "manual")
    assert [o.purpose for o in facts(aside, RaiseOrdered)] == ["aside"]  # type: ignore[attr-defined]
    assert shown(aside) == ["Drive to the waiting area"]
    play.say(InputsRead(MOVING), InputsRead(UP))
    play.under()
    play.clear()
    play.say(InputsRead(replace(GONE_UP, limit_up=False)), InputsRead(CLEAR))
    assert phase(play) == "Free"


def test_nobody_is_led_aside_where_that_would_be_through_the_gate() -> None:
    """The waiting area lies before the barrier: a raised arm would let it in."""
    play = held(site(slips(quarantine="required"), waiting_area_beyond_barrier=False))
    assert ruling(play.asked).ways == ("back_out",)
    aside = play.say(InputsRead(ON_SCALE), OfficerReleased(1, "4604001", "to the shed", 1, aside=True))
    assert (orders(aside), alarms(aside)) == ([], ["input_refused"])


def test_where_no_site_is_known_as_many_officers_release_as_the_code_was_checked_for() -> None:
    play = held(replace(FINDINGS, site=None))
    assert codes(play) == ("records_too_old",)
    aside = play.say(InputsRead(ON_SCALE), OfficerReleased(1, "4604001", "aside", 1, aside=True))
    assert orders(aside) == []
    assert orders(play.say(InputsRead(ON_SCALE), OfficerReleased(1, "4604001", "seen", 1))) == ["RaiseArm"]


def test_a_code_of_one_officer_for_one_hold_is_none_for_another() -> None:
    """S8: the first of two officers has released an overweight, not what it is held for now."""
    two = site(replace(NONE, age_s=None), manual_release_officers=2)
    play = held(two)
    assert codes(play) == ("records_too_old", "slip_not_found")
    play = held(site(replace(FINDINGS, age_s=None), manual_release_officers=2))
    play.say(InputsRead(ON_SCALE), OfficerReleased(1, "4604001", "network down"))
    found(
        play,
        play.say(RecordsChanged()),
        site(slips(cargo_gross_kg=Decimal(1_000)), manual_release_officers=2),
    )
    assert codes(play) == ("weight_over",)
    second = play.say(InputsRead(ON_SCALE), OfficerReleased(1, "4604002", "weighed"))
    assert orders(second) == []
    assert orders(play.say(InputsRead(ON_SCALE), OfficerReleased(1, "4604001", "weighed"))) == ["RaiseArm"]


def test_the_first_officer_still_counts_when_the_same_hold_was_looked_at_again() -> None:
    known = site(replace(FINDINGS, age_s=None), manual_release_officers=2)
    play = held(known)
    play.say(InputsRead(ON_SCALE), OfficerReleased(1, "4604001", "network down"))
    found(play, play.say(RecordsChanged()), known)
    assert orders(play.say(InputsRead(ON_SCALE), OfficerReleased(1, "4604002", "network down"))) == [
        "RaiseArm"
    ]


def test_a_code_is_looked_at_for_whoever_is_held_and_for_nobody_else() -> None:
    asking = Play()
    asking.arrive()
    assert asking.say(ReleaseCodeShown("KKR1:x")) == []
    assert held(FINDINGS, "25000").say(ReleaseCodeShown("KKR1:x")) == [CheckReleaseCode(1, "KKR1:x")]


@pytest.mark.parametrize("way", [way for way in Way if way not in (Way.SUPPLEMENT, Way.BACK_OUT)])
def test_every_way_but_to_enter_something_is_left_open_by_some_hold_here(way: Way) -> None:
    assert [code for code, _, ways in HOLDS if way.value in ways]


# --- cured by what it lacked ------------------------------------------------------------------------------


def test_a_hold_for_a_silent_reader_ends_with_the_tag_it_reads() -> None:
    """The device came back, and nothing had been read before: whoever is read now is this one."""
    play = reading()
    play.say(DeviceWentSilent("rfid", "cable"), DeviceWentSilent("plate_camera", "cable"))
    weighs(play, "20000")
    play.timer("reading")
    assert codes(play) == ("device_silent", "device_silent")
    play.say(InputsRead(ON_SCALE), DeviceSpoke("rfid"))
    assert claims(found(play, play.say(TagRead(TAG))))


def test_a_hold_for_a_silent_scale_ends_when_it_weighs() -> None:
    play = reading()
    play.say(DeviceWentSilent("weighbridge", "cable"))
    play.read()
    back = play.say(InputsRead(ON_SCALE), DeviceSpoke("weighbridge"))
    found(play, back)
    assert phase(play) == "Reading"
    assert claims(weighs(play, "20000"))


def test_a_hold_by_weight_ends_when_the_weight_comes_whatever_else_it_is_held_for() -> None:
    """The rest is told in its place."""
    play = reading()
    play.read(drawn())
    play.timer("reading")
    assert codes(play) == ("weight_unread", "spot_check")
    weighed = weighs(play, "20000")
    assert [look.request for look in looks(weighed)] == [3]
    found(play, weighed, drawn())
    assert codes(play) == ("spot_check",)


def test_what_is_weighed_after_a_hold_is_ruled_on_by_the_records_of_then() -> None:
    """S10, S11: a control that came meanwhile counts."""
    play = reading()
    play.read()
    play.timer("reading")
    found(play, weighs(play, "20000"), replace(FINDINGS, controls=(control(),)))
    assert codes(play) == ("control_hold",)


def test_a_weight_cures_no_hold_that_was_not_for_want_of_it() -> None:
    play = reading()
    play.read(vehicle(state=VehicleState.SUSPENDED))
    play.timer("reading")
    assert "vehicle_suspended" in codes(play)
    play = unidentified()
    assert looks(weighs(play, "20000")) == []


def test_a_hold_for_inputs_that_were_old_for_a_moment_is_looked_at_again() -> None:
    """S9: the board never fell silent, so nothing would ever come back."""
    play = Play()
    play.arrive()
    play.at_s += 1.0
    play.granted()
    assert (codes(play), details(play)) == (("device_silent",), ["io"])
    assert claims(found(play, play.timer("again")))
    assert orders(play.granted()) == ["RaiseArm"]


def test_a_hold_is_looked_at_again_also_when_the_signals_flickered_just_then() -> None:
    play = held(NONE)
    play.say(InputsRead(CLEAR), WeightRead(Decimal(0), None))
    again = [e for e in play.asked if isinstance(e, WakeAfter) and e.timer.name == "again"][-1]
    play.at_s += 0.5
    new = play.say(TimePassed(again.timer))
    assert (looks(new), [e for e in new if isinstance(e, WakeAfter)]) == ([], [again])
    play.say(InputsRead(ON_SCALE))
    other = held(FINDINGS, "25000")
    assert other.say(TimePassed(Timer("again", 1))) == []


def test_what_only_a_weight_or_an_identity_can_cure_is_not_looked_at_for_the_time_alone() -> None:
    play = reading()
    play.read()
    play.timer("reading")
    assert codes(play) == ("weight_unread",)
    for there in (play, unidentified()):
        assert [e for e in there.asked if isinstance(e, WakeAfter) and e.timer.name == "again"] == []


def test_to_look_at_the_same_hold_again_writes_nothing() -> None:
    play = held(NONE)
    assert [e for e in found(play, play.timer("again"), NONE) if isinstance(e, Commit)] == []


def test_time_alone_is_not_waited_for_where_something_else_holds_too() -> None:
    play = held(replace(FINDINGS, age_s=None), "25000")
    assert codes(play) == ("records_too_old", "weight_over")
    assert [e for e in play.asked if isinstance(e, WakeAfter) and e.timer.name == "again"] == []
    found(play, play.say(RecordsChanged()))
    assert codes(play) == ("weight_over",)


def test_a_next_vehicles_plate_never_cures_anothers_hold() -> None:
    """S5: held for a slip, a weight, or because its own plate could not be read."""
    for play in (held(NONE), held(FINDINGS, "25000"), held(replace(FINDINGS, age_s=None))):
        before = play.lane.passage
        assert play.say(PlateRead(OTHER), TagRead(NEXT_TAG)) == []
        assert before is not None
        assert play.lane.passage is not None
        assert (play.lane.passage.plates, play.lane.passage.tags) == (before.plates, before.tags)
    for own, others in ((PlateRead(PLATE), TagRead(NEXT_TAG)), (TagRead(TAG), PlateRead(OTHER))):
        play = reading()
        weighs(play, "20000")
        found(play, play.say(own), NONE)
        play.timer("second_identity")
        assert codes(play) == ("slip_not_found",)
        assert play.say(others) == []
    play = unidentified()
    drives_up = replace(ON_SCALE, arrival=True)
    assert play.say(InputsRead(drives_up), WeightRead(Decimal(20_000), None), PlateRead(OTHER)) == []
    assert play.say(InputsRead(ON_SCALE), TagRead(NEXT_TAG)) == []
    assert codes(play) == ("no_identity",)


def test_a_vehicle_that_backs_onto_the_loop_and_is_read_again_is_still_itself() -> None:
    """Nobody else stands on the scale then."""
    play = unidentified()
    play.say(InputsRead(replace(HERE, fully_on=False)), WeightRead(Decimal(0), None))
    assert looks(play.say(PlateRead(PLATE)))


def test_who_was_never_read_is_read_whenever_its_plate_comes() -> None:
    play = unidentified()
    assert looks(play.say(PlateRead(PLATE)))
    play = reading()
    play.say(ReadFailed("plate_camera", "plate not readable"), InputsRead(HERE), InputsRead(HERE))
    play.timer("reading")
    assert looks(play.say(TagRead(TAG)))


@pytest.mark.parametrize("own", [PlateRead(PLATE), TagRead(TAG)], ids=["plate", "tag"])
def test_who_is_known_by_one_identity_is_looked_at_again_too(own: Event) -> None:
    play = reading()
    weighs(play, "20000")
    found(play, play.say(own), NONE)
    play.timer("second_identity")
    assert codes(play) == ("slip_not_found",)
    play.say(InputsRead(HERE))
    assert looks(play.say(RecordsChanged()))


def test_a_plate_is_no_tag_that_is_still_being_read() -> None:
    """Without a scale only a tag shows that somebody still stands there."""
    play = reading()
    play.say(PlateRead(PLATE))
    play.say(*[InputsRead(CLEAR)] * 110)
    assert phase(play) == "Free"
    play = reading()
    play.say(TagRead(TAG))
    play.say(*[InputsRead(CLEAR)] * 110)
    assert phase(play) == "Reading"


def test_the_board_invites_the_next_vehicle_when_the_last_missing_device_is_back() -> None:
    play = Play()
    play.say(InputsRead(CLEAR), DeviceWentSilent("weighbridge", "cable"), DeviceWentSilent("io", "cable"))
    play.say(InputsRead(CLEAR))
    assert shown(play.say(DeviceSpoke("weighbridge"))) == []
    assert shown(play.say(DeviceSpoke("io"))) == ["Drive to the stop line"]
    play = held(FINDINGS, "25000")
    play.say(DeviceWentSilent("rfid", "cable"))
    assert shown(play.say(DeviceSpoke("rfid"))) == []


def test_a_lane_does_not_wake_while_stop_is_pressed() -> None:
    play = Play()
    play.say(InputsRead(replace(CLEAR, stop=True)))
    assert phase(play) == "Waking"
    play.say(InputsRead(CLEAR))
    assert phase(play) == "Free"


def test_new_evidence_is_not_ruled_on_before_it_is_looked_up() -> None:
    """S5: another vehicle's tag is read, and the weight comes before the records have answered."""
    play = reading()
    found(play, play.say(PlateRead(PLATE)))
    look = looks(play.say(TagRead(NEXT_TAG)))[-1]
    weighed = weighs(play, "20000")
    assert (claims(weighed), phase(play)) == ([], "Reading")
    play.say(RecordsFound(look.passage, look.request, neighbour()))
    assert codes(play) == ("plate_tag_mismatch",)


# --- made again from its fact (S11) ----------------------------------------------------------------------


def entered_plate() -> Play:
    play = unidentified()
    found(play, play.say(entered("plate", PLATE)))
    waits_for_the_other_identity(play)
    return granted(play)


def misread_and_corrected() -> Play:
    """What was read stands behind what the officer entered."""
    play = reading()
    play.say(PlateRead(OTHER_TRAILER), CardRead("C1"), CodeRead(SLIP))
    weighs(play, "20000")
    play.timer("reading")
    weighs(play, "20000", frames=2)
    found(play, play.say(entered("plate", PLATE)))
    waits_for_the_other_identity(play)
    return granted(play)


def jumped_and_ruled() -> Play:
    play = reading()
    weighs(play, "20500")
    weighs(play, "20000")
    play.read()
    return play


def weightless(*events: Event) -> Play:
    play = reading()
    play.read()
    play.say(*events)
    play.timer("reading")
    return play


def boxed() -> Play:
    play = reading(READS)
    play.say(ContainerRead(BOX), ParcelCodeRead(CARTON))
    play.read(carton(SECOND, BOXED))
    weighs(play, "20000")
    return play


def over_and_entered() -> Play:
    play = weightless()
    found(play, play.say(entered("weight", "25000.5")))
    return play


@pytest.mark.parametrize(
    ("stage", "lane"),
    [
        (lambda: held(FINDINGS, "25000"), SETTINGS),
        (lambda: with_tags(TagRead(TAG, -50), TagRead(NEXT_TAG, -50)), SETTINGS),
        (lambda: granted(with_tags(TagRead(TAG, -50), TagRead(NEXT_TAG, -70))), SETTINGS),
        (entered_plate, SETTINGS),
        (misread_and_corrected, SETTINGS),
        (over_and_entered, SETTINGS),
        (jumped_and_ruled, SETTINGS),
        (weightless, SETTINGS),
        (lambda: weightless(InputsRead(ON_SCALE), ScaleFault("net_weight")), SETTINGS),
        (lambda: weightless(InputsRead(STRADDLING), WeightRead(Decimal(20_000), None)), SETTINGS),
        (boxed, READS),
    ],
    ids=[
        "overweight",
        "two tags",
        "the next lane's tag",
        "an officer's plate",
        "an officer's plate beside others",
        "an officer's weight",
        "jumped",
        "unweighed",
        "scale fault",
        "a wheel off",
        "boxes and cartons",
    ],
)
def test_a_ruling_can_be_made_again_from_its_fact_and_the_records_of_then(
    stage: Callable[[], Play], lane: LaneSettings
) -> None:
    play = stage()
    made = ruling(play.asked)
    answers = [look for look in play.asked if isinstance(look, LookUp)]
    assert answers
    assert play.lane.passage is not None
    findings = play.lane.passage.findings
    assert findings is not None
    again = rule(lane.rules, evidence_of(made.readings, frozenset(made.use_ids)), findings)
    assert again.ruling == made.ruling


def granted(play: Play) -> Play:
    weighs(play, "20000", frames=3)
    play.granted()
    return play


# --- pictures ---------------------------------------------------------------------------------------------

PICTURED = replace(SETTINGS, cameras=("front",))


def pictures(effects: list[Effect]) -> list[tuple[str, str, str, str]]:
    return [(e.moment, e.plate, e.slip_no, e.gross_kg) for e in effects if isinstance(e, TakePicture)]


def test_pictures_are_taken_at_arrival_weighing_ruling_and_passing_with_what_is_known_then() -> None:
    play = Play(PICTURED)
    play.arrive()
    play.granted()
    play.say(InputsRead(MOVING), InputsRead(UP))
    play.under(times=2)
    assert pictures(play.asked) == [
        ("arrival", "", "", ""),
        ("weighing", PLATE, SLIP, "20000"),
        ("ruling", PLATE, SLIP, "20000"),
        ("passing", PLATE, SLIP, "20000"),
    ]


def test_a_picture_of_a_hold_is_taken_once() -> None:
    play = Play(PICTURED)
    play.arrive(findings=NONE)
    assert sorted(moment for moment, *_ in pictures(play.asked)) == ["arrival", "ruling", "weighing"]
    assert pictures(found(play, play.timer("again"), NONE)) == []


def test_a_picture_never_stands_before_what_moves_or_is_recorded() -> None:
    """S1: nobody waits for a camera."""
    play = Play(PICTURED)
    play.arrive()
    granted = [type(effect) for effect in play.granted()]
    assert granted.index(TakePicture) > granted.index(RaiseArm) > granted.index(Commit)


def test_the_vehicle_under_the_arm_is_pictured_once() -> None:
    play = up_with(FINDINGS, PICTURED)
    play.under(times=3)
    play.say(InputsRead(GONE_UP))
    play.under(times=3)
    assert [moment for moment, *_ in pictures(play.asked)].count("passing") == 1


def test_a_lane_without_cameras_asks_for_no_pictures() -> None:
    play = Play()
    play.raised()
    assert pictures(play.asked) == []


def test_a_picture_that_was_kept_or_missed_is_a_fact_also_when_its_passage_is_over() -> None:
    play = Play(PICTURED)
    play.say(InputsRead(CLEAR))
    kept = play.say(PictureKept(7, "passing", "front", "a" * 64, 1234))
    assert facts(kept, PictureTaken) == [
        PictureTaken(passage=7, moment="passing", camera="front", sha256="a" * 64, size_bytes=1234)
    ]
    missed = play.say(PictureFailed(7, "ruling", "front", "timed out"))
    assert facts(missed, PictureMissed) == [
        PictureMissed(passage=7, moment="ruling", camera="front", why="timed out")
    ]


def test_a_passage_remembers_its_own_last_pictures_and_no_others() -> None:
    play = reading(PICTURED)
    for n in range(20):
        play.say(
            PictureKept(1, "arrival", "front", f"{n:064d}", 1),
            PictureKept(9, "arrival", "front", "f" * 64, 1),
        )
    assert play.lane.passage is not None
    assert play.lane.passage.pictures == tuple(f"{n:064d}" for n in range(4, 20))


# --- S2: an order to lower that comes too late ------------------------------------------------------------


class SetClock:
    """Shows what it is set to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic_s(self) -> float:
        return self.now_s

    def utc_text(self) -> str:
        return "2026-11-22T03:00:00.000000Z"

    def boot_id(self) -> str:
        return "boot"

    def uncertainty_ms(self) -> int:
        return 5


class NoLink:
    def claim(
        self, claim_id: str, passage: int, plate: Plate | None, slip_nos: tuple[SlipNo, ...]
    ) -> None: ...
    def withdraw(self, claim_id: str) -> None: ...
    def facts_waiting(self) -> None: ...


class Cabinet:
    """A performer, its clock, the orders that went out and the events that came back."""

    def __init__(self, journal: Journal, close: int | None = 1) -> None:
        self.clock = SetClock()
        self.sent: list[Order] = []
        self.back: list[Event] = []
        self.performer = LanePerformer(
            Things(
                lane_id="lane-in-1",
                journal=journal,
                records=lambda: None,
                link=NoLink(),
                order=lambda device, order_id, order: self.sent.append(order),
                put=self.back.append,
                wake_after=lambda timer, seconds: None,
                clock=self.clock,
                relays=RelaysPart(open=0, close=close),
                draw_key=None,
                clock_must_be_known=False,
                has_board=False,
            )
        )


@pytest.fixture
def cabinet(tmp_path: Path) -> Iterator[Cabinet]:
    with Journal.open(tmp_path / "journal.sqlite", device="lane-in-1", reserve_bytes=0) as journal:
        yield Cabinet(journal)


def lowering() -> tuple[Play, LowerArm]:
    play = Play()
    play.raised()
    play.under()
    (order,) = [effect for effect in play.clear() if isinstance(effect, LowerArm)]
    assert phase(play) == "Lowering"
    return play, order


def test_an_order_to_lower_is_good_for_as_long_as_the_inputs_it_stands_on() -> None:
    """S2."""
    _, order = lowering()
    assert order.not_after_s == pytest.approx(play_at(order) + SETTINGS.io_stale_s)


def play_at(order: LowerArm) -> float:
    """When the inputs were read that the order stands on: the poll that made the lane ask."""
    play = Play()
    play.raised()
    play.under()
    while not any(isinstance(e, LowerArm) for e in play.say(InputsRead(GONE_UP))):
        play.say(WeightRead(Decimal(0), None))
    return play.lane.inputs_s


def test_an_order_to_lower_that_comes_in_time_is_sent(cabinet: Cabinet) -> None:
    _, order = lowering()
    cabinet.clock.now_s = order.not_after_s
    cabinet.performer.perform(order)
    assert (cabinet.sent, cabinet.back) == ([PulseRelay(1, 0.5)], [])


def test_an_order_to_lower_that_comes_too_late_is_not_sent_and_the_lane_asks_again(cabinet: Cabinet) -> None:
    """S2: a commit took a second; who knows what stands under the arm by now."""
    play, order = lowering()
    cabinet.clock.now_s = order.not_after_s + 0.01
    cabinet.performer.perform(order)
    assert cabinet.sent == []
    (failed,) = cabinet.back
    assert isinstance(failed, OrderFailed)
    assert failed.order_id == order.order_id
    after = play.say(failed)
    assert (phase(play), orders(after), alarms(after)) == ("Passing", [], [])
    assert [e.timer.name for e in after if isinstance(e, WakeAfter)] == ["passing"]
    assert orders(play.say(InputsRead(UNDER))) == []
    again = play.clear()
    assert orders(again) == ["LowerArm"]
    assert kinds(again) == ["lower_ordered"]


def test_a_lane_that_cannot_lower_sends_nothing(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "journal.sqlite", device="lane-in-1", reserve_bytes=0) as journal:
        cabinet = Cabinet(journal, close=None)
        cabinet.performer.perform(LowerArm("x"))
        assert (cabinet.sent, cabinet.back) == ([], [])


def test_an_arm_for_nobody_that_was_not_lowered_is_not_known_to_be_down() -> None:
    """S6, S12: after a reset; an alarm if it is not proven down in its time."""
    play = Play()
    play.say(InputsRead(CLEAR), InputsRead(MOVING), InputsRead(GONE_UP))
    (order,) = [e for e in play.say(InputsRead(replace(GONE_UP, reset_key=True))) if isinstance(e, LowerArm)]
    assert phase(play) == "Lowering"
    after = play.say(OrderFailed(order.order_id, "too late"))
    assert phase(play) == "Waking"
    assert [e.timer.name for e in after if isinstance(e, WakeAfter)] == ["waking"]
    assert alarms(play.timer("waking")) == ["arm_not_down"]


def test_the_failure_of_another_order_does_not_end_a_lowering() -> None:
    play, order = lowering()
    assert play.say(OrderFailed("light-1-red", "no answer"), OrderFailed("", "no answer")) == []
    assert phase(play) == "Lowering"
    by_itself = replace(SETTINGS, lowering_on_request=False)
    alone = Play(by_itself)
    alone.raised()
    alone.under()
    alone.clear()
    assert phase(alone) == "Lowering"
    assert alone.say(OrderFailed(order.order_id, "never asked")) == []
    assert phase(alone) == "Lowering"
