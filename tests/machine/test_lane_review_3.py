"""What fresh eyes found in the complete lane: holds that forgot why, officers' words that went too far,
a platform that answers late, and devices that fall silent or chatter with a vehicle on the scale."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import msgspec
import pytest

from edge.gate.effects import AskClaim, AskPlatform, Commit, Effect, LookUp, WakeAfter
from edge.gate.events import (
    ClaimAnswered,
    CodeRead,
    ContainerRead,
    DeviceWentSilent,
    Findings,
    InputsRead,
    LinkChanged,
    OfficerReleased,
    PlateRead,
    PlatformOrdered,
    PlatformRuled,
    RecordsChanged,
    RecordsFound,
    ScaleFault,
    SpotCheck,
    SupplementGiven,
    TagRead,
    WeightRead,
)
from edge.gate.lane import LaneSettings, Needs, PlatformAddress, pictured
from edge.gate.rules import Evidence, LaneRules, evidence_of, rule
from sync.vocabulary.facts import ReadingKept, SupplementEntered
from sync.vocabulary.numbers import ContainerNo, Plate, UtcText
from sync.vocabulary.records import (
    Condition,
    Control,
    ControlAction,
    Direction,
    Mode,
    PlatformRole,
    VehicleState,
)
from sync.vocabulary.rulings import Reason, Way
from tests.machine.plays import (
    CLEAR,
    FINDINGS,
    FIRM,
    GONE_UP,
    HERE,
    MOVING,
    ON_SCALE,
    PLATE,
    SETTINGS,
    SLIP,
    TAG,
    UP,
    Play,
    alarms,
    codes,
    orders,
)

OPENS = "00" + "0" * 18
OTHER = Plate("苏B67890")
TRAILER = Plate("豫A1234挂")
BOX = ContainerNo("MSCU6639870")
ADDRESS = PlatformAddress("4604001", "01", "I")
ASKED = replace(SETTINGS, platform=ADDRESS, devices={**SETTINGS.devices, "platform": Needs(True)})
READS = replace(SETTINGS, rules=replace(SETTINGS.rules, reads_containers=True))
RAISE = PlatformOrdered("4604001", "01", "I", OPENS, "OP1", "关员甲", "已核实")
STOPPED = replace(ON_SCALE, stop=True)
RAISED_OR_ASKED_DOWN = replace(GONE_UP, limit_up=False)


def control(action: ControlAction, plate: Plate = PLATE) -> Control:
    return Control(
        control_id="C1",
        version=1,
        mode=Mode.LIVE,
        condition=Condition(plates=(plate,)),
        action=action,
        valid_from=UtcText("2026-01-01T00:00:00Z"),
        valid_until=UtcText("2027-01-01T00:00:00Z"),
        reason_zh="",
        reason_en="",
    )


def site(known: Findings = FINDINGS, **changes: object) -> Findings:
    assert known.site is not None
    return replace(known, site=msgspec.structs.replace(known.site, **changes), local_time="20261122110000")


def slips(known: Findings = FINDINGS, **changes: object) -> Findings:
    return replace(known, slips=(msgspec.structs.replace(FINDINGS.slips[0], **changes),))


def held(
    known: Findings, kg: str = "20000", settings: LaneSettings = SETTINGS, *, online: bool = True
) -> Play:
    play = Play(settings)
    play.arrive(kg, known, online=online)
    play.say(InputsRead(ON_SCALE))
    return play


def found(play: Play, effects: list[Effect], findings: Findings = FINDINGS) -> list[Effect]:
    look = [effect for effect in effects if isinstance(effect, LookUp)][-1]
    return play.say(InputsRead(ON_SCALE), RecordsFound(look.passage, look.request, findings))


def phase(play: Play) -> str:
    return type(play.lane.phase).__name__


def claims(effects: list[Effect]) -> list[str]:
    return [effect.claim_id for effect in effects if isinstance(effect, AskClaim)]


def by_hand(officer: str, *, aside: bool = False, needed: int = 1) -> OfficerReleased:
    return OfficerReleased(1, officer, "checked", needed, aside=aside)


def entered(officer: str, field: str, value: str, needed: int | None = None) -> SupplementGiven:
    return SupplementGiven(1, officer, field, value, "by eye", needed)


def leave(play: Play) -> None:
    play.say(InputsRead(MOVING), InputsRead(UP))
    play.under()
    play.clear()
    play.say(InputsRead(RAISED_OR_ASKED_DOWN), InputsRead(CLEAR))
    assert phase(play) == "Free"


# --- released by hand (S8) --------------------------------------------------------------------------------


def test_who_leads_aside_is_not_the_first_of_two_who_release() -> None:
    two = site(manual_release_officers=2)
    play = held(two, "25000")
    play.say(by_hand("4604001", aside=True))
    assert orders(play.say(InputsRead(ON_SCALE), by_hand("4604002"))) == []
    assert orders(play.say(InputsRead(ON_SCALE), by_hand("4604003"))) == ["RaiseArm"]
    play = held(two, "25000")
    play.say(by_hand("4604001"))
    assert orders(play.say(InputsRead(ON_SCALE), by_hand("4604002", aside=True))) == []


@pytest.mark.parametrize(
    "obstacle",
    [STOPPED, replace(ON_SCALE, limit_down=None), replace(ON_SCALE, fire=None)],
    ids=["stop pressed", "arm not known to be down", "fire unknown"],
)
@pytest.mark.parametrize(
    "known",
    [
        slips(quarantine="required"),
        replace(FINDINGS, controls=(control(ControlAction.HOLD),)),
    ],
    ids=["quarantine", "a live control"],
)
def test_a_release_by_hand_that_could_not_be_done_does_not_open_what_no_officer_may_release(
    known: Findings, obstacle: object
) -> None:
    play = held(known)
    before = codes(play)
    tried = play.say(InputsRead(obstacle), by_hand("4604001", aside=True))  # type: ignore[arg-type]
    assert (orders(tried), alarms(tried), codes(play)) == ([], ["input_refused"], before)
    assert orders(play.say(InputsRead(ON_SCALE), by_hand("4604001"))) == []
    assert orders(play.say(InputsRead(ON_SCALE), by_hand("4604001", aside=True))) == ["RaiseArm"]


def _to_be_inspected_beyond() -> Findings:
    return site(
        replace(FINDINGS, controls=(control(ControlAction.INSPECT),)),
        platform_may_raise=True,
        inspection_beyond_barrier=True,
    )


def test_who_is_to_be_inspected_is_still_so_when_it_is_held_for_something_else() -> None:
    """The live control is told besides, no platform lifts it, and the hold is looked at again."""
    play = held(_to_be_inspected_beyond(), settings=ASKED, online=False)
    assert codes(play) == ("claim_unanswered", "control_inspect")
    assert [e.timer.name for e in play.asked if isinstance(e, WakeAfter)].count("again") == 1
    assert orders(play.say(InputsRead(ON_SCALE), RAISE)) == []
    refused = held(_to_be_inspected_beyond(), settings=ASKED)
    refused.say(InputsRead(ON_SCALE), ClaimAnswered(claims(refused.asked)[-1], False, "lane-in-2"))
    assert codes(refused) == ("claim_refused", "control_inspect")
    stopped = held(_to_be_inspected_beyond(), settings=ASKED)
    stopped.say(InputsRead(STOPPED))
    stopped.granted()
    assert codes(stopped) == ("lane_closed", "control_inspect")
    assert orders(stopped.say(InputsRead(ON_SCALE), RAISE)) == []


def test_the_platforms_own_raise_inspects_nothing() -> None:
    """S11: the draw is discharged by an officer who was there."""
    drawn = replace(FINDINGS, spot_checks={SLIP: SpotCheck(True, str(FIRM), "2026-11-22")})
    play = held(site(drawn, platform_may_raise=True), settings=ASKED)
    raised = play.say(InputsRead(ON_SCALE), RAISE)
    assert orders(raised) == ["RaiseArm"]
    assert [(e.discharged, len(e.spot_checks)) for e in raised if isinstance(e, Commit)] == [((), 1)]
    play = held(site(drawn, platform_may_raise=True), settings=ASKED)
    raised = play.say(InputsRead(ON_SCALE), by_hand("4604001"))
    assert [e.discharged for e in raised if isinstance(e, Commit)] == [(str(PLATE),)]


def test_an_order_of_the_platform_that_is_sent_again_does_not_raise_for_the_next_vehicle() -> None:
    known = site(platform_may_raise=True)
    play = held(known, "25000", ASKED)
    assert orders(play.say(InputsRead(ON_SCALE), RAISE)) == ["RaiseArm"]
    leave(play)
    play.arrive("25000", known)
    play.say(InputsRead(ON_SCALE))
    again = play.say(InputsRead(ON_SCALE), RAISE)
    assert (orders(again), alarms(again), codes(play)) == ([], ["platform_order"], ("weight_over",))
    assert orders(play.say(InputsRead(ON_SCALE), replace(RAISE, order_no="OP2"))) == ["RaiseArm"]


# --- what an officer enters (补采) ------------------------------------------------------------------------


def test_a_weight_that_was_read_is_not_replaced_once_the_scale_is_silent() -> None:
    play = Play()
    play.say(InputsRead(CLEAR), LinkChanged(True), InputsRead(HERE))
    play.weigh("25000")
    play.say(DeviceWentSilent("weighbridge", "cable pulled"))
    play.read()
    assert codes(play) == ("device_silent", "weight_over")
    play.say(InputsRead(ON_SCALE))
    assert alarms(play.say(entered("4604001", "weight", "20000"))) == ["input_refused"]
    found(play, play.say(entered("4604001", "weight", "25000")))
    assert codes(play) == ("weight_over",)


def test_a_plate_that_was_read_is_not_replaced_once_another_reader_is_silent() -> None:
    """A blocked vehicle does not become another one by one officer's word."""
    alone = replace(SETTINGS, devices={**SETTINGS.devices, "rfid": Needs(True)})
    vehicle = FINDINGS.by_plate[PLATE]
    assert vehicle is not None
    blocked = msgspec.structs.replace(vehicle, plate=OTHER, state=VehicleState.BLOCKED)
    known = replace(FINDINGS, by_plate={OTHER: blocked}, by_tag={}, slips=())
    play = Play(alone)
    play.say(InputsRead(CLEAR), LinkChanged(True), DeviceWentSilent("rfid", "cable"), InputsRead(HERE))
    found(play, play.say(PlateRead(OTHER)), known)
    play.weigh("20000")
    play.say(InputsRead(ON_SCALE))
    assert codes(play) == ("device_silent", "vehicle_blocked", "slip_not_found")
    assert alarms(play.say(entered("4604001", "plate", PLATE))) == ["input_refused"]
    assert play.lane.passage is not None
    assert play.lane.passage.plates == (OTHER,)
    found(play, play.say(entered("4604001", "plate", OTHER)), known)
    play.timer("reading")
    assert codes(play) == ("vehicle_blocked", "slip_not_found")


def _weightless(officers: int) -> Play:
    play = Play()
    play.say(InputsRead(CLEAR), LinkChanged(True), DeviceWentSilent("weighbridge", "cable"), InputsRead(HERE))
    play.read(site(manual_release_officers=officers))
    play.say(InputsRead(ON_SCALE))
    assert codes(play) == ("device_silent", "weight_unread")
    return play


def test_where_two_officers_release_two_enter_the_same_weight() -> None:
    play = _weightless(2)
    first = play.say(entered("4604001", "weight", "20000"))
    facts = [t.data for e in first if isinstance(e, Commit) for t in e.facts]
    assert [(f.officer, f.value) for f in facts if isinstance(f, SupplementEntered)] == [("4604001", "20000")]
    assert codes(play) == ("device_silent", "weight_unread")
    assert play.say(entered("4604001", "weight", "20000")) == []
    other = play.say(entered("4604002", "weight", "20400"))
    assert [e for e in other if isinstance(e, LookUp)] == []
    second = play.say(entered("4604002", "weight", "20000"))
    assert claims(found(play, second, site(manual_release_officers=2)))
    assert play.lane.passage is not None
    assert play.lane.passage.readings[-1].detail == "officer 4604001, 4604002"


def test_where_one_officer_releases_one_enters() -> None:
    play = _weightless(1)
    assert claims(found(play, play.say(entered("4604001", "weight", "20000"))))


def test_how_many_enter_a_plate_is_known_although_nothing_was_looked_up() -> None:
    play = Play()
    play.say(InputsRead(CLEAR), LinkChanged(True), InputsRead(HERE))
    play.weigh("20000")
    play.timer("reading")
    play.say(InputsRead(ON_SCALE))
    assert codes(play) == ("no_identity",)
    play.say(entered("4604001", "plate", PLATE, 2))
    assert codes(play) == ("no_identity",)
    second = play.say(entered("4604002", "plate", PLATE, 2))
    assert [e.plates for e in second if isinstance(e, LookUp)] == [(PLATE,)]


def test_a_slips_number_takes_one_officer_as_it_takes_any_driver() -> None:
    none = site(replace(FINDINGS, slips=()), manual_release_officers=2)
    play = held(none)
    assert codes(play) == ("slip_not_found",)
    looked = play.say(entered("4604001", "slip", SLIP))
    assert claims(found(play, looked, site(manual_release_officers=2)))


def test_a_plate_read_after_an_officers_counts_beside_it_when_the_ruling_is_made_again() -> None:
    """S11."""
    readings = (
        ReadingKept("plate", TRAILER, 0.1, ""),
        ReadingKept("plate", PLATE, 5.0, "officer 4604001"),
        ReadingKept("plate", OTHER, 5.1, ""),
    )
    assert evidence_of(readings).plates == (PLATE, OTHER)
    assert evidence_of(readings[:1]).plates == (TRAILER,)


# --- while the customs platform is asked ------------------------------------------------------------------


def consulting(known: Findings, settings: LaneSettings = ASKED) -> Play:
    play = Play(settings)
    play.arrive(findings=known)
    assert phase(play) == "Consulting"
    return play


def answered(play: Play) -> list[Effect]:
    asked = [effect for effect in play.asked if isinstance(effect, AskPlatform)][-1]
    said = PlatformRuled("4604001", "01", "I", asked.seq_no, OPENS)
    return play.say(InputsRead(ON_SCALE), said)


def test_a_control_that_comes_into_force_while_the_platform_is_asked_holds() -> None:
    known = site(platform=PlatformRole.BEFORE)
    play = consulting(known)
    found(play, play.say(RecordsChanged()), replace(known, controls=(control(ControlAction.HOLD),), number=7))
    assert phase(play) == "Consulting"
    assert (claims(answered(play)), codes(play)) == ([], ("control_hold",))


def test_records_that_changed_elsewhere_leave_the_question_open() -> None:
    known = site(platform=PlatformRole.BEFORE)
    play = consulting(known)
    changed = found(play, play.say(RecordsChanged()), known)
    assert [e for e in changed if isinstance(e, AskPlatform)] == []
    assert claims(answered(play))


def test_what_is_shown_while_the_platform_is_asked_is_asked_about_anew() -> None:
    """A container read late, or a slip, is not lost; what the platform said of less does not count."""
    reads = replace(ASKED, rules=READS.rules)
    known = site(slips(container_nos=(BOX,)), platform=PlatformRole.BEFORE)
    play = consulting(known, reads)
    looked = play.say(ContainerRead(BOX, "back"))
    assert [type(e).__name__ for e in looked] == ["LookUp"]
    early = answered(play)
    assert (claims(early), phase(play)) == ([], "Consulting")
    anew = found(play, looked, known)
    assert [e.containers for e in anew if isinstance(e, AskPlatform)] == [(BOX,)]
    assert claims(answered(play))
    play = consulting(site(replace(FINDINGS, slips=()), platform=PlatformRole.BEFORE))
    anew = found(play, play.say(CodeRead(SLIP)), site(platform=PlatformRole.BEFORE))
    assert [e.slip_nos for e in anew if isinstance(e, AskPlatform)] == [(SLIP,)]
    assert claims(answered(play))


def test_what_another_vehicle_shows_while_the_platform_is_asked_is_not_this_ones() -> None:
    """S5."""
    reads = replace(ASKED, rules=READS.rules)
    play = consulting(site(slips(container_nos=(BOX,)), platform=PlatformRole.BEFORE), reads)
    assert play.say(PlateRead(OTHER), TagRead(TAG)) == []
    play.say(InputsRead(ON_SCALE), InputsRead(HERE))
    assert play.say(ContainerRead(BOX)) == []


# --- evidence of another (S5) -----------------------------------------------------------------------------


def test_the_next_vehicles_container_cures_no_hold() -> None:
    known = slips(container_nos=(BOX,))
    play = held(known, settings=READS)
    assert codes(play) == ("container_unread",)
    play.say(InputsRead(HERE))
    assert play.say(ContainerRead(BOX)) == []
    alone = held(known, settings=READS)
    assert [e for e in alone.say(ContainerRead(BOX)) if isinstance(e, LookUp)]


def test_a_picture_sent_with_a_recognition_is_nobodys_once_somebody_was_let_through() -> None:
    play = Play()
    assert pictured(play.lane) is None
    play.arrive("25000")
    assert (phase(play), pictured(play.lane)) == ("Holding", 1)
    play.say(InputsRead(ON_SCALE), by_hand("4604001"))
    assert (phase(play), pictured(play.lane)) == ("Raising", None)
    play.say(InputsRead(MOVING), InputsRead(UP))
    assert (phase(play), pictured(play.lane)) == ("Passing", None)


def test_a_control_on_a_trailer_holds_whatever_draws_it() -> None:
    known = replace(FINDINGS, controls=(control(ControlAction.HOLD, TRAILER),))
    evidence = Evidence(plates=(PLATE, TRAILER), tags=(TAG,), gross_kg=Decimal(20_000))
    reasons = [because.code for because in rule(LaneRules(Direction.IN), evidence, known).ruling.reasons]
    assert reasons == [Reason.CONTROL_HOLD]
    without = rule(LaneRules(Direction.IN), replace(evidence, plates=(PLATE,)), known)
    assert [because.code for because in without.ruling.reasons] == [Reason.RELEASED]


# --- the scale --------------------------------------------------------------------------------------------


def test_an_indicator_that_changes_its_mind_with_every_frame_is_no_flood_of_alarms() -> None:
    play = Play()
    play.say(InputsRead(CLEAR), InputsRead(HERE))
    told: list[Effect] = []
    for heavy in range(50):
        told += play.say(ScaleFault("overload"), WeightRead(Decimal(60_000 + heavy % 7 * 300), None))
    assert alarms(told) == ["scale_fault"]
    play.at_s += SETTINGS.again_s
    assert alarms(play.say(ScaleFault("overload"))) == ["scale_fault"]


def test_a_vehicle_on_a_scale_that_falls_silent_does_not_vanish() -> None:
    """Its hold stays, with its ways out: an officer may enter the weight and it goes on."""
    play = Play()
    play.say(InputsRead(CLEAR), LinkChanged(True), InputsRead(HERE))
    play.weigh("20000", frames=4)
    play.say(DeviceWentSilent("weighbridge", "cable"))
    found(play, play.say(PlateRead(PLATE)))
    play.wait(60, ON_SCALE)
    play.timer("second_identity")
    play.wait(60, ON_SCALE)
    assert codes(play) == ("device_silent", "weight_unread")
    assert Way.SUPPLEMENT.value in play.lane.phase.ruling.ways()  # type: ignore[union-attr]
    assert claims(found(play, play.say(entered("4604001", "weight", "20000"))))


@pytest.mark.parametrize("loop", [True, None])
def test_a_vehicle_that_backs_over_the_loop_off_a_silent_scale_has_left(loop: bool | None) -> None:
    play = Play()
    play.say(InputsRead(CLEAR), LinkChanged(True), InputsRead(HERE))
    play.weigh("20000", frames=4)
    play.say(DeviceWentSilent("weighbridge", "cable"))
    play.wait(15, ON_SCALE)
    assert phase(play) == "Reading"
    play.wait(2, replace(HERE, arrival=loop))
    play.wait(12, CLEAR)
    assert phase(play) == "Free"
