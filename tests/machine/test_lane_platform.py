"""The customs platform beside the lane: asked before, after, instead; late, lying, silent, giving orders."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import msgspec
import pytest

from edge.gate.effects import (
    AnswerPlatform,
    AskClaim,
    AskPlatform,
    Commit,
    Effect,
    LookUp,
    PendingCheck,
    RaiseArm,
    Show,
    ShowPlatform,
    WakeAfter,
    WithdrawClaim,
)
from edge.gate.events import (
    CardRead,
    ClaimAnswered,
    CodeRead,
    ContainerRead,
    DeviceSpoke,
    DeviceWentSilent,
    Findings,
    InputsRead,
    LinkChanged,
    OfficerReleased,
    PictureKept,
    PlateRead,
    PlatformOrdered,
    PlatformRuled,
    RecordsFound,
    ScaleFault,
    SpotCheck,
    SupplementGiven,
    TagRead,
    TimePassed,
    Timer,
    WeightRead,
    WriteFailed,
)
from edge.gate.lane import Needs, PlatformAddress
from sync.vocabulary.facts import PlatformAnswered, PlatformAsked, PlatformOrderSeen, RulingMade
from sync.vocabulary.numbers import ContainerNo, Plate
from sync.vocabulary.records import (
    Condition,
    Control,
    ControlAction,
    Mode,
    PlatformLost,
    PlatformRole,
    Recall,
    VehicleState,
)
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
    UP,
    Play,
    alarms,
    codes,
    kinds,
    orders,
)

OPENS = "00" + "0" * 18
REFUSES = "10" + "0" * 18
OTHER = Plate("苏B67890")
TRAILER = Plate("豫A1234挂")
BOX = ContainerNo("MSCU6639870")
ADDRESS = PlatformAddress("4604001", "01", "I")
SETTINGS_ASKED = replace(SETTINGS, platform=ADDRESS, devices={**SETTINGS.devices, "platform": Needs(True)})


def phase(play: Play) -> str:
    return type(play.lane.phase).__name__


def facts(effects: list[Effect], kind: type) -> list[object]:
    return [t.data for e in effects if isinstance(e, Commit) for t in e.facts if isinstance(t.data, kind)]


def asks(effects: list[Effect]) -> list[AskPlatform]:
    return [effect for effect in effects if isinstance(effect, AskPlatform)]


def claims(effects: list[Effect]) -> list[str]:
    return [effect.claim_id for effect in effects if isinstance(effect, AskClaim)]


def site(known: Findings = FINDINGS, role: PlatformRole = PlatformRole.BEFORE, **changes: object) -> Findings:
    assert known.site is not None
    there = msgspec.structs.replace(known.site, platform=role, **changes)
    return replace(known, site=there, local_time="20261122110000")


def slips(**changes: object) -> Findings:
    return replace(FINDINGS, slips=(msgspec.structs.replace(FINDINGS.slips[0], **changes),))


def arrived(findings: Findings, kg: str = "20000") -> Play:
    play = Play(SETTINGS_ASKED)
    play.arrive(kg=kg, findings=findings)
    return play


def consulting(findings: Findings | None = None, kg: str = "20000") -> Play:
    play = arrived(findings if findings is not None else site(), kg)
    assert phase(play) == "Consulting"
    return play


def saying(play: Play, check_result: str = OPENS, **changes: str) -> PlatformRuled:
    """An answer to what was asked last."""
    said = PlatformRuled("4604001", "01", "I", asks(play.asked)[-1].seq_no, check_result)
    return replace(said, **changes)


def answered(play: Play, check_result: str = OPENS, **changes: str) -> list[Effect]:
    return play.say(InputsRead(ON_SCALE), saying(play, check_result, **changes))


def found(play: Play, effects: list[Effect], findings: Findings) -> list[Effect]:
    look = [effect for effect in effects if isinstance(effect, LookUp)][-1]
    return play.say(InputsRead(ON_SCALE), RecordsFound(look.passage, look.request, findings))


# --- asked ------------------------------------------------------------------------------------------------


def test_what_was_collected_is_asked_about_and_both_must_release() -> None:
    """S1, S4: the platform's word is one condition more; claim, ruling and order come after it."""
    play = consulting()
    (ask,) = asks(play.asked)
    assert (ask.passage, ask.plate, ask.epc, ask.slip_nos, ask.gross_kg, ask.supplement) == (
        1, PLATE, TAG, (SLIP,), Decimal(20_000), False,
    )  # fmt: skip
    assert (ask.trailer_plate, ask.card_no, ask.containers) == ("", "", ())
    assert facts(play.asked, PlatformAsked) == [PlatformAsked(passage=1, seq_no=ask.seq_no)]
    assert orders(play.asked) == []
    released = answered(play, hint="放行", form_id="F1")
    assert facts(released, PlatformAnswered) == [
        PlatformAnswered(
            passage=1, seq_no=ask.seq_no, check_result=OPENS, hint="放行", form_id="F1", counted=True
        )
    ]
    assert claims(released)
    granted = play.granted()
    assert orders(granted) == ["RaiseArm"]
    (ruling,) = facts(granted, RulingMade)
    assert isinstance(ruling, RulingMade)
    assert (ruling.platform, ruling.claim) == ("released", "granted")


def test_trailer_card_and_containers_are_told_to_the_platform_apart() -> None:
    play = Play(SETTINGS_ASKED)
    play.say(InputsRead(CLEAR), LinkChanged(True), InputsRead(HERE))
    play.say(PlateRead(TRAILER), PlateRead(PLATE), TagRead(TAG), CardRead("C1"), ContainerRead(BOX, "front"))
    look = [effect for effect in play.asked if isinstance(effect, LookUp)][-1]
    play.say(RecordsFound(look.passage, look.request, site()))
    (ask,) = asks(play.weigh("20000"))
    assert (ask.plate, ask.trailer_plate, ask.card_no, ask.containers) == (PLATE, TRAILER, "C1", (BOX,))


def test_a_vehicle_known_by_its_tag_is_named_by_its_registered_plate() -> None:
    play = Play(SETTINGS_ASKED)
    play.say(InputsRead(CLEAR), DeviceWentSilent("plate_camera", "cable"), InputsRead(HERE))
    found(play, play.say(TagRead(TAG)), site())
    (ask,) = asks(play.weigh("20000"))
    assert ask.plate == PLATE


def test_a_slip_that_was_shown_and_will_not_do_is_told_to_the_platform_all_the_same() -> None:
    play = Play(SETTINGS_ASKED)
    play.say(InputsRead(CLEAR), InputsRead(HERE), PlateRead(PLATE), TagRead(TAG))
    found(play, play.say(CodeRead(SLIP)), site(replace(FINDINGS, slips=())))
    (ask,) = asks(play.weigh("20000"))
    assert ask.slip_nos == (SLIP,)


@pytest.mark.parametrize(
    ("role", "kg", "asked"),
    [
        (PlatformRole.NONE, "20000", False),
        (PlatformRole.NONE, "25000", False),
        (PlatformRole.BEFORE, "20000", True),
        (PlatformRole.BEFORE, "25000", True),
        (PlatformRole.AFTER, "20000", True),
        (PlatformRole.AFTER, "25000", False),
        (PlatformRole.INSTEAD, "20000", True),
        (PlatformRole.INSTEAD, "25000", True),
    ],
)
def test_whether_it_is_asked_is_the_sites_setting(role: PlatformRole, kg: str, asked: bool) -> None:
    play = arrived(site(role=role), kg)
    assert bool(asks(play.asked)) is asked
    assert phase(play) == ("Consulting" if asked else "Claiming" if kg == "20000" else "Holding")


def test_every_question_has_a_number_of_its_own_of_twenty_digits() -> None:
    """S5: an answer can be told from an answer to any other question."""
    play = consulting(site(platform_lost=PlatformLost.HOLD))
    play.timer("platform")
    found(play, play.timer("again"), site())
    numbers = [ask.seq_no for ask in asks(play.asked)]
    assert numbers == ["20261122110000000101", "20261122110000000102"]
    play = consulting(replace(site(), local_time=""))
    assert [ask.seq_no for ask in asks(play.asked)] == ["00000000000000000101"]


# --- whose answer it is -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"area_id": "4604002"}, "another lane"),
        ({"channel_no": "02"}, "another lane"),
        ({"direction": "E"}, "another lane"),
        ({"seq_no": "20261122110000000102"}, "another question"),
        ({"seq_no": ""}, "another question"),
        ({"check_result": OPENS[:19]}, "twenty digits"),
        ({"check_result": OPENS + "0"}, "twenty digits"),
        ({"check_result": "Y"}, "twenty digits"),
        ({"check_result": ""}, "twenty digits"),
        ({"check_result": "00" + "x" * 18}, "twenty digits"),
        ({"check_result": OPENS + "\n"}, "twenty digits"),
        ({"check_result": " " + OPENS[1:]}, "twenty digits"),
        ({"check_result": "００" + "0" * 18}, "twenty digits"),
        ({"check_result": "00" + "٠" * 18}, "twenty digits"),
    ],
)
def test_an_answer_that_is_not_ours_is_a_fact_and_changes_nothing(changes: dict[str, str], why: str) -> None:
    """S5: other area, channel, direction or number; no twenty digits."""
    play = consulting()
    before = play.lane
    said = answered(play, **changes)
    (fact,) = facts(said, PlatformAnswered)
    assert isinstance(fact, PlatformAnswered)
    assert (fact.counted, why in fact.why) == (False, True)
    assert kinds(said) == ["platform_answered"]
    assert play.lane.phase == before.phase
    play.timer("platform")
    assert codes(play) == ("platform_unanswered",)


def test_a_lane_that_knows_no_platform_hears_nobody() -> None:
    play = Play()
    play.arrive(findings=site())
    assert codes(play) == ("platform_unanswered",)
    said = play.say(PlatformRuled("", "", "", "20261122110000000101", OPENS))
    assert [f.counted for f in facts(said, PlatformAnswered)] == [False]  # type: ignore[attr-defined]
    assert codes(play) == ("platform_unanswered",)


@pytest.mark.parametrize(
    "check_result",
    ["01" + "0" * 18, "10" + "0" * 18, "11" + "0" * 18, "02" + "0" * 18, "9" * 20, "20" + "0" * 18],
)
def test_twenty_digits_that_do_not_begin_with_00_refuse(check_result: str) -> None:
    play = consulting()
    refused = answered(play, check_result)
    assert (orders(refused), claims(refused)) == ([], [])
    assert codes(play) == ("platform_refused",)


@pytest.mark.parametrize("digits", ["0" * 18, "1" * 18, "123456789012345678"])
def test_of_the_twenty_digits_two_have_a_meaning(digits: str) -> None:
    play = consulting()
    assert claims(answered(play, "00" + digits))


def test_what_the_platform_refuses_is_held_with_its_words() -> None:
    play = consulting()
    refused = answered(play, REFUSES, hint="请到窗口办理")
    assert codes(play) == ("platform_refused",)
    assert [e.zh for e in refused if isinstance(e, Show)] == ["海关未放行 请到窗口办理 请等待"]
    (ruling,) = facts(refused, RulingMade)
    assert isinstance(ruling, RulingMade)
    assert (ruling.platform, ruling.owner, ruling.ways) == (
        "refused", "lane_officer", ("back_out", "release", "aside"),
    )  # fmt: skip


def test_what_both_refuse_is_held_for_both() -> None:
    play = consulting(kg="25000")
    answered(play, REFUSES)
    assert codes(play) == ("platform_refused", "weight_over")


def test_what_the_lane_holds_is_held_although_the_platform_releases() -> None:
    play = consulting(kg="25000")
    assert orders(answered(play)) == []
    assert codes(play) == ("weight_over",)


def test_a_second_answer_changes_nothing() -> None:
    """S5: neither a change of mind, nor the same again."""
    play = consulting()
    first = saying(play)
    answered(play)
    assert phase(play) == "Claiming"
    for late in (replace(first, check_result=REFUSES), first):
        said = play.say(late)
        assert kinds(said) == ["platform_answered"]
        assert [f.why for f in facts(said, PlatformAnswered)] == ["nothing is asked, or it came too late"]  # type: ignore[attr-defined]
        assert phase(play) == "Claiming"
    play.granted()
    assert orders(play.say(first)) == []
    assert phase(play) == "Raising"
    play = consulting()
    first = saying(play)
    answered(play, REFUSES)
    assert orders(play.say(InputsRead(ON_SCALE), first)) == []
    assert codes(play) == ("platform_refused",)


def test_an_answer_after_its_time_changes_nothing() -> None:
    play = consulting()
    late = saying(play)
    play.timer("platform")
    assert kinds(play.say(InputsRead(ON_SCALE), late)) == ["platform_answered"]
    assert codes(play) == ("platform_unanswered",)


def test_an_answer_to_the_first_question_is_none_to_the_second() -> None:
    play = consulting()
    first = saying(play)
    play.timer("platform")
    found(play, play.timer("again"), site())
    assert phase(play) == "Consulting"
    assert kinds(play.say(first)) == ["platform_answered"]
    assert phase(play) == "Consulting"
    assert claims(answered(play))


def test_an_answer_about_somebody_who_has_left_is_a_fact_of_nobody() -> None:
    play = consulting()
    late = saying(play)
    gone = play.wait(4.0, CLEAR, kg="0")
    assert kinds(gone) == ["passage_closed"]
    assert phase(play) == "Free"
    said = play.say(late)
    assert [(f.passage, f.counted) for f in facts(said, PlatformAnswered)] == [(None, False)]  # type: ignore[attr-defined]
    assert phase(play) == "Free"


def test_what_the_platform_sends_is_cut_to_size() -> None:
    play = consulting()
    said = answered(play, "Y" * 500, seq_no="1" * 500, hint="长" * 500, form_id="F" * 500)
    (fact,) = facts(said, PlatformAnswered)
    assert isinstance(fact, PlatformAnswered)
    assert [len(t) for t in (fact.seq_no, fact.check_result, fact.hint, fact.form_id)] == [40, 40, 200, 80]


# --- silence ----------------------------------------------------------------------------------------------


def test_a_platform_that_does_not_answer_is_told_once_and_the_site_says_what_follows() -> None:
    """S9: never in silence, and never without a limit."""
    play = consulting(site(platform_timeout_s=12))
    assert [e.seconds for e in play.asked if isinstance(e, WakeAfter) and e.timer.name == "platform"] == [
        12.0
    ]
    lost = play.timer("platform")
    assert alarms(lost) == ["platform_lost"]
    assert codes(play) == ("platform_unanswered",)
    found(play, play.timer("again"), site())
    assert phase(play) == "Consulting"
    assert alarms(play.timer("platform")) == []
    play = consulting(site(platform_lost=PlatformLost.LOCAL))
    assert claims(play.timer("platform"))
    (ruling,) = facts(play.granted(), RulingMade)
    assert isinstance(ruling, RulingMade)
    assert ruling.platform == "unanswered"


def test_a_silent_platform_adds_its_reason_to_what_the_lane_holds_for() -> None:
    play = consulting(kg="25000")
    play.timer("platform")
    assert codes(play) == ("platform_unanswered", "weight_over")
    play = consulting(site(platform_lost=PlatformLost.LOCAL), kg="25000")
    play.timer("platform")
    assert codes(play) == ("weight_over",)


def test_a_platform_that_goes_silent_while_it_is_asked_is_not_waited_for() -> None:
    play = consulting()
    lost = play.say(DeviceWentSilent("platform", "connection closed"))
    assert sorted(alarms(lost)) == ["device_lost", "platform_lost"]
    assert codes(play) == ("platform_unanswered",)


def test_another_device_that_goes_silent_while_it_is_asked_changes_nothing_of_that() -> None:
    play = consulting()
    assert alarms(play.say(DeviceWentSilent("rfid", "cable"))) == ["device_lost"]
    assert phase(play) == "Consulting"


def test_a_platform_that_is_silent_already_is_not_asked() -> None:
    play = Play(SETTINGS_ASKED)
    play.say(InputsRead(CLEAR), DeviceWentSilent("platform", "connection refused"))
    play.arrive(findings=site())
    assert asks(play.asked) == []
    assert codes(play) == ("platform_unanswered",)
    back = play.say(DeviceSpoke("platform"))
    assert asks(found(play, back, site()))


def test_a_silent_platform_is_no_silent_device_the_site_says_what_it_means() -> None:
    """S9 speaks of devices; `platform_lost` of the platform, whatever role its line has in the config."""
    play = Play(SETTINGS_ASKED)
    play.say(InputsRead(CLEAR), DeviceWentSilent("platform", "connection refused"))
    play.arrive(findings=site(platform_lost=PlatformLost.LOCAL))
    assert phase(play) == "Claiming"


def test_a_timer_of_another_passage_or_of_a_question_that_is_answered_changes_nothing() -> None:
    play = consulting()
    assert play.say(TimePassed(Timer("platform", 7))) == []
    answered(play)
    assert play.say(TimePassed(Timer("platform", 1))) == []
    assert phase(play) == "Claiming"
    assert Play().say(TimePassed(Timer("platform", 0))) == []


# --- instead ----------------------------------------------------------------------------------------------

INSTEAD = PlatformRole.INSTEAD
EVERYBODY = Control(
    control_id="BK1",
    version=1,
    mode=Mode.LIVE,
    condition=Condition(plates=(PLATE,)),
    action=ControlAction.HOLD,
    valid_from=FINDINGS.slips[0].valid_from,
    valid_until=FINDINGS.slips[0].valid_until,
    reason_zh="风险",
    reason_en="risk",
)
INSPECT = msgspec.structs.replace(EVERYBODY, action=ControlAction.INSPECT)
RECALL = Recall(recall_no="ZH1", slip_nos=(SLIP,), reason_zh="召回", reason_en="recall")
USED = SlipUse("u9", SLIP, 9, "", UseState.CROSSED)


def vehicle(**changes: object) -> Findings:
    known = FINDINGS.by_plate[PLATE]
    assert known is not None
    changed = msgspec.structs.replace(known, **changes)
    return replace(FINDINGS, by_plate={PLATE: changed}, by_tag={TAG: changed})


def test_ruling_instead_it_releases_what_is_its_own_to_judge() -> None:
    play = consulting(site(role=INSTEAD), kg="25000")
    released = answered(play)
    assert claims(released)
    (ruling,) = facts(play.granted(), RulingMade)
    assert isinstance(ruling, RulingMade)
    assert ruling.ruling.codes() == ("released",)
    assert ruling.ruling.reasons[0].detail == "platform"
    assert phase(play) == "Raising"


NEVER = [
    ("quarantine", slips(quarantine="required"), "quarantine_required"),
    (
        "quarantine of an expired slip",
        slips(quarantine="required", valid_until="2026-11-20T00:00:00Z"),
        "slip_expired",
    ),
    ("live control", replace(FINDINGS, controls=(EVERYBODY,)), "control_hold"),
    ("live inspection", replace(FINDINGS, controls=(INSPECT,)), "control_inspect"),
    ("recall", replace(FINDINGS, recalls=(RECALL,)), "recalled"),
    ("block", vehicle(state=VehicleState.BLOCKED), "vehicle_blocked"),
    (
        "two identities",
        replace(FINDINGS, by_tag=vehicle(plate=OTHER).by_tag),
        "plate_tag_mismatch",
    ),
    ("no identity", replace(FINDINGS, by_plate={PLATE: None}, by_tag={}), "vehicle_unknown"),
    ("used slip", replace(FINDINGS, uses=(USED,)), "slip_used"),
    ("records too old", replace(FINDINGS, age_s=None), "records_too_old"),
]


@pytest.mark.parametrize(("findings", "code"), [case[1:] for case in NEVER], ids=[case[0] for case in NEVER])
def test_ruling_instead_it_is_not_asked_about_what_it_cannot_override(findings: Findings, code: str) -> None:
    play = arrived(site(findings, INSTEAD))
    assert asks(play.asked) == []
    assert code in codes(play)
    said = play.say(InputsRead(ON_SCALE), PlatformRuled("4604001", "01", "I", "20261122110000000101", OPENS))
    assert orders(said) == []
    assert code in codes(play)


@pytest.mark.parametrize(("findings", "code"), [case[1:] for case in NEVER], ids=[case[0] for case in NEVER])
@pytest.mark.parametrize("role", [PlatformRole.BEFORE, PlatformRole.AFTER])
def test_ruling_beside_the_lane_it_overrides_nothing(
    findings: Findings, code: str, role: PlatformRole
) -> None:
    play = arrived(site(findings, role))
    for _ in asks(play.asked):
        assert orders(answered(play)) == []
    assert code in codes(play)


def test_ruling_instead_it_does_not_make_up_for_a_silent_scale() -> None:
    """S9: silence of a required device is a held lane."""
    play = Play(SETTINGS_ASKED)
    play.say(InputsRead(CLEAR), DeviceWentSilent("weighbridge", "cable"))
    play.say(InputsRead(HERE))
    play.read(site(role=INSTEAD))
    assert asks(play.asked) == []
    assert codes(play) == ("device_silent", "weight_unread")


UNWEIGHED = [
    ("nobody's slip", replace(FINDINGS, slips=()), "slip_not_found"),
    ("suspended", vehicle(state=VehicleState.SUSPENDED), "vehicle_suspended"),
    ("in order", FINDINGS, "weight_unread"),
]


@pytest.mark.parametrize(
    ("findings", "code"), [case[1:] for case in UNWEIGHED], ids=[case[0] for case in UNWEIGHED]
)
def test_ruling_instead_it_is_asked_about_nobody_who_was_not_weighed(findings: Findings, code: str) -> None:
    play = Play(SETTINGS_ASKED)
    play.say(InputsRead(CLEAR), LinkChanged(True), InputsRead(HERE))
    play.read(site(findings, INSTEAD))
    play.timer("reading")
    assert asks(play.asked) == []
    assert {code, "weight_unread"} <= set(codes(play))


def test_a_straddled_or_faulty_scale_is_not_the_platforms_to_overlook() -> None:
    play = Play(SETTINGS_ASKED)
    play.say(InputsRead(CLEAR), LinkChanged(True), InputsRead(HERE), ScaleFault("overload", ""))
    play.read(site(role=INSTEAD))
    play.timer("reading")
    assert asks(play.asked) == []
    assert codes(play) == ("scale_fault",)


def test_whom_the_platform_cannot_let_go_is_told_before_the_scale_is_still() -> None:
    play = Play(SETTINGS_ASKED)
    play.say(InputsRead(CLEAR), LinkChanged(True), InputsRead(HERE))
    play.read(site(vehicle(state=VehicleState.BLOCKED), INSTEAD))
    assert "vehicle_blocked" in codes(play)


def test_weighed_at_last_it_is_asked() -> None:
    play = Play(SETTINGS_ASKED)
    play.say(InputsRead(CLEAR), LinkChanged(True), InputsRead(HERE))
    play.read(site(replace(FINDINGS, slips=()), INSTEAD))
    play.timer("reading")
    found(play, play.weigh("25000"), site(replace(FINDINGS, slips=()), INSTEAD))
    assert [ask.gross_kg for ask in asks(play.asked)] == [Decimal(25000)]
    assert orders(answered(play)) == ["RaiseArm"]


def test_who_is_to_be_inspected_beyond_the_barrier_is_not_led_through_without_its_word() -> None:
    beyond = site(replace(FINDINGS, controls=(INSPECT,)), INSTEAD, inspection_beyond_barrier=True)
    play = consulting(beyond)
    assert claims(answered(play))
    (ruling,) = facts(play.granted(), RulingMade)
    assert isinstance(ruling, RulingMade)
    assert ruling.ruling.codes() == ("control_inspect",)
    play = consulting(beyond)
    answered(play, REFUSES)
    assert codes(play) == ("platform_refused", "control_inspect")


DRAWN = {str(SLIP): SpotCheck(True, "4101960001", "2026-11-22")}


def commits(effects: list[Effect]) -> tuple[list[str], list[PendingCheck]]:
    found = [effect for effect in effects if isinstance(effect, Commit)]
    return [p for c in found for p in c.discharged], [check for c in found for check in c.spot_checks]


def test_whom_the_platform_lets_go_uninspected_stays_drawn() -> None:
    """S11: a draw is sticky until somebody has inspected."""
    play = consulting(site(replace(FINDINGS, spot_checks=DRAWN), INSTEAD))
    answered(play)
    granted = play.granted()
    assert orders(granted) == ["RaiseArm"]
    assert commits(granted) == ([], [PendingCheck(PLATE, "4101960001", "2026-11-22")])


def test_who_is_led_to_inspection_or_released_by_an_officer_is_no_longer_drawn() -> None:
    beyond = site(replace(FINDINGS, spot_checks=DRAWN), INSTEAD, inspection_beyond_barrier=True)
    play = consulting(beyond)
    answered(play)
    assert commits(play.granted()) == ([PLATE], [])
    play = Play()
    play.arrive(findings=replace(FINDINGS, spot_checks=DRAWN))
    assert commits(play.say(OfficerReleased(1, "4604001", "inspected here"))) == ([PLATE], [])
    play = Play()
    play.arrive(kg="25000")
    assert commits(play.say(OfficerReleased(1, "4604001", "weighed again"))) == ([], [])


def test_a_refusal_of_the_lanes_own_release_holds_also_instead() -> None:
    play = consulting(site(role=INSTEAD))
    answered(play, REFUSES)
    assert codes(play) == ("platform_refused",)


def test_the_platform_that_rules_instead_falls_back_as_the_site_says() -> None:
    play = consulting(site(role=INSTEAD, platform_lost=PlatformLost.LOCAL))
    assert claims(play.timer("platform"))
    play = consulting(site(role=INSTEAD, platform_lost=PlatformLost.LOCAL), kg="25000")
    play.timer("platform")
    assert codes(play) == ("weight_over",)


# --- what happens while it is asked -----------------------------------------------------------------------


def test_records_that_grew_too_old_while_the_platform_was_asked_are_too_old() -> None:
    """S10: the age at the ruling counts."""
    play = consulting(site(replace(FINDINGS, age_s=21_595.0)))
    play.at_s += 10.0
    assert claims(answered(play)) == []
    assert codes(play) == ("records_too_old",)


def test_a_weight_that_jumps_while_the_platform_is_asked_is_not_admitted() -> None:
    for role in (PlatformRole.BEFORE, INSTEAD):
        play = consulting(site(role=role))
        assert alarms(play.weigh("12000", frames=60)) == ["weight_jump"]
        assert phase(play) == "Consulting"
        said = answered(play)
        assert (orders(said), claims(said)) == ([], [])
        assert codes(play) == ("weight_jumped",)


def test_an_arm_that_moves_while_the_platform_is_asked_closes_the_lane() -> None:
    play = consulting()
    late = saying(play)
    assert alarms(play.say(InputsRead(MOVING))) == ["uncommanded_movement"]
    assert phase(play) == "Shut"
    assert orders(play.say(late)) == []
    play = consulting()
    assert alarms(play.say(InputsRead(replace(ON_SCALE, fire=True)))) == ["safety_input"]


def test_an_admission_is_not_made_on_old_inputs_however_the_platform_answers() -> None:
    play = consulting(site(replace(FINDINGS, slips=()), INSTEAD))
    late = saying(play)
    play.at_s += 1.0
    assert orders(play.say(late)) == []
    assert codes(play) == ("device_silent",)
    found(play, play.timer("again"), site(replace(FINDINGS, slips=()), INSTEAD))
    assert orders(answered(play)) == ["RaiseArm"]


def test_a_question_that_could_not_be_recorded_is_put_all_the_same() -> None:
    play = Play(SETTINGS_ASKED)
    play.say(InputsRead(CLEAR), LinkChanged(True), InputsRead(HERE))
    play.read(site())
    first: list[AskPlatform] = []
    while not first and play.at_s < 60:
        first = asks(play.say(InputsRead(ON_SCALE), WeightRead(Decimal(20_000), None), after_s=0.05))
    again = play.say(WriteFailed("disk full"), after_s=0.0)
    assert asks(again) == first
    assert {e.timer.name for e in again if isinstance(e, WakeAfter)} == {"journal", "platform"}
    assert phase(play) == "Consulting"
    assert kinds(play.timer("journal"))[0] == "platform_asked"


def test_a_release_that_could_not_be_recorded_does_not_move_and_is_asked_for_anew() -> None:
    """S1, S5: what the platform said of the question before is no answer to the next one."""
    play = consulting(site(replace(FINDINGS, slips=())), kg="14000")
    assert orders(answered(play)) == ["RaiseArm"]
    assert orders(play.say(WriteFailed("disk full"), after_s=0.0)) == []
    assert codes(play) == ("journal_full",)
    assert kinds(play.timer("journal")) == ["platform_answered"]
    anew = found(play, play.timer("journal"), site(replace(FINDINGS, slips=())))
    assert (len(asks(anew)), orders(anew)) == (1, [])
    assert orders(answered(play)) == ["RaiseArm"]


def test_pictures_kept_before_and_while_it_is_asked_are_shown_to_the_platform() -> None:
    play = Play(SETTINGS_ASKED)
    play.say(InputsRead(CLEAR), LinkChanged(True), InputsRead(HERE))
    play.say(PictureKept(1, "arrival", "front", "a" * 64, 9))
    play.read(site())
    asked = play.weigh("20000")
    number = asks(asked)[0].seq_no
    assert [e for e in asked if isinstance(e, ShowPlatform)] == [ShowPlatform(number, "a" * 64)]
    kept = play.say(PictureKept(1, "weighing", "front", "b" * 64, 9))
    assert [e for e in kept if isinstance(e, ShowPlatform)] == [ShowPlatform(number, "b" * 64)]
    other = play.say(
        PictureKept(7, "passing", "front", "c" * 64, 9), PictureKept(1, "asked", "front", "e" * 64, 9)
    )
    assert [e for e in other if isinstance(e, ShowPlatform)] == []
    answered(play)
    assert [
        e for e in play.say(PictureKept(1, "ruling", "front", "d" * 64, 9)) if isinstance(e, ShowPlatform)
    ] == []


# --- evidence that comes after ----------------------------------------------------------------------------


def test_what_it_said_of_less_evidence_is_no_answer_to_more() -> None:
    """S5: the slip is shown, or the weight comes, after the platform has spoken: it is asked again."""
    none = site(replace(FINDINGS, slips=()))
    play = consulting(none)
    answered(play)
    assert codes(play) == ("slip_not_found",)
    more = found(play, play.say(CodeRead(SLIP)), site())
    assert (len(asks(more)), claims(more), phase(play)) == (1, [], "Consulting")
    assert claims(answered(play))

    play = Play(SETTINGS_ASKED)
    play.say(InputsRead(CLEAR), LinkChanged(True), InputsRead(HERE))
    play.read(site())
    play.timer("reading")
    answered(play)
    assert codes(play) == ("weight_unread",)
    weighed = play.weigh("20000")
    anew = found(play, weighed, site())
    assert (asks(anew)[0].gross_kg, claims(anew)) == (Decimal(20_000), [])


def test_a_weight_that_comes_while_it_is_asked_without_one_counts_after_it_was_asked_with_it() -> None:
    """S5."""
    play = Play(SETTINGS_ASKED)
    play.say(InputsRead(CLEAR), LinkChanged(True), InputsRead(HERE))
    play.read(site())
    play.timer("reading")
    assert [ask.gross_kg for ask in asks(play.asked)] == [None]
    play.weigh("20000", frames=40)
    assert claims(answered(play)) == []
    assert codes(play) == ("weight_unread",)
    anew = found(play, play.weigh("20000"), site())
    assert [ask.gross_kg for ask in asks(anew)] == [Decimal(20_000)]


def test_a_slip_shown_after_a_refusal_is_asked_about() -> None:
    play = consulting(site(replace(FINDINGS, slips=())))
    answered(play, REFUSES)
    assert codes(play) == ("platform_refused", "slip_not_found")
    assert asks(found(play, play.say(CodeRead(SLIP)), site()))


def test_what_an_officer_entered_is_told_to_the_platform_as_entered() -> None:
    play = consulting(site(replace(FINDINGS, slips=())))
    answered(play)
    entered = play.say(SupplementGiven(1, "4604001", "slip", str(SLIP), "code torn"))
    assert [ask.supplement for ask in asks(found(play, entered, site()))] == [True]


# --- orders (type 31) -------------------------------------------------------------------------------------

RAISE = PlatformOrdered("4604001", "01", "I", "00" + "0" * 18, "OP1", "关员甲", "已核实")
LOWER = replace(RAISE, command="01" + "0" * 18)


def seen(effects: list[Effect]) -> PlatformOrderSeen:
    (fact,) = facts(effects, PlatformOrderSeen)
    assert isinstance(fact, PlatformOrderSeen)
    return fact


def done(effects: list[Effect]) -> list[bool]:
    return [effect.done for effect in effects if isinstance(effect, AnswerPlatform)]


def may_raise(findings: Findings = FINDINGS, kg: str = "25000", **changes: object) -> Play:
    """Held, at a site that lets the platform release by hand."""
    play = arrived(site(findings, PlatformRole.NONE, platform_may_raise=True, **changes), kg)
    play.say(InputsRead(ON_SCALE))
    return play


def test_an_order_of_the_platform_to_raise_is_an_officers_release_where_the_site_allows_it() -> None:
    """S8: a fact, with who sent it and why; S1: recorded first."""
    play = may_raise()
    raised = play.say(InputsRead(ON_SCALE), RAISE)
    assert orders(raised) == ["RaiseArm"]
    assert kinds(raised) == ["platform_order_seen", "ruling_made", "raise_ordered"]
    assert seen(raised) == PlatformOrderSeen(
        order_no="OP1", command=RAISE.command, operator="关员甲", reason="已核实", passage=1, obeyed=True
    )
    (ruling,) = facts(raised, RulingMade)
    assert isinstance(ruling, RulingMade)
    assert (ruling.ruling.codes(), ruling.officer, ruling.claim) == (
        ("manual_release",),
        "platform",
        "manual",
    )
    assert ruling.ruling.reasons[0].detail == "关员甲 OP1 已核实"
    assert done(raised) == [True]
    assert [type(e) for e in raised].index(Commit) < [type(e) for e in raised].index(RaiseArm)


def test_an_order_to_raise_is_off_unless_the_site_allows_it() -> None:
    play = arrived(FINDINGS, "25000")
    refused = play.say(InputsRead(ON_SCALE), RAISE)
    assert (orders(refused), alarms(refused), done(refused)) == ([], ["platform_order"], [False])
    assert seen(refused).why == "the site does not allow it"
    assert codes(play) == ("weight_over",)


@pytest.mark.parametrize(
    "command", ["01" + "0" * 18, "11" + "0" * 18, "02" + "0" * 18, "0", "", "0x" + "0" * 18, "00" + "0" * 17]
)
def test_an_order_that_is_no_raise_is_recorded_and_moves_nothing(command: str) -> None:
    """S2: nothing is lowered from afar."""
    play = may_raise()
    told = play.say(InputsRead(ON_SCALE), replace(RAISE, command=command))
    assert (orders(told), done(told), seen(told).obeyed) == ([], [False], False)
    assert codes(play) == ("weight_over",)


def test_an_order_to_lower_moves_nothing_while_the_arm_is_up() -> None:
    play = Play(SETTINGS_ASKED)
    play.raised()
    for scene in (UP, GONE_UP):
        told = play.say(InputsRead(scene), LOWER)
        assert (orders(told), seen(told).obeyed, alarms(told)) == ([], False, ["platform_order"])
    assert phase(play) == "Passing"


@pytest.mark.parametrize(
    "changes",
    [{"area_id": "4604002"}, {"channel_no": "02"}, {"direction": "E"}],
    ids=["area", "channel", "way"],
)
def test_an_order_for_another_lane_is_not_ours(changes: dict[str, str]) -> None:
    """S5."""
    play = may_raise()
    told = play.say(InputsRead(ON_SCALE), replace(RAISE, **changes))
    assert (orders(told), seen(told).why) == ([], "addressed to another lane")


def test_an_order_for_nobody_or_for_whom_nobody_holds_moves_nothing() -> None:
    allowed = site(role=PlatformRole.NONE, platform_may_raise=True)
    empty = Play(SETTINGS_ASKED)
    empty.say(InputsRead(CLEAR))
    assert seen(empty.say(RAISE)).passage is None
    claiming = arrived(allowed)
    assert phase(claiming) == "Claiming"
    told = claiming.say(InputsRead(ON_SCALE), RAISE)
    assert (orders(told), seen(told).obeyed) == ([], False)
    raising = may_raise()
    raising.say(InputsRead(ON_SCALE), RAISE)
    again = raising.say(InputsRead(ON_SCALE), RAISE)
    assert (orders(again), seen(again).obeyed, done(again)) == ([], False, [False])
    assert phase(raising) == "Raising"


def test_an_order_for_whom_no_officer_may_release_moves_nothing() -> None:
    """S8: the platform is no more than an officer."""
    play = may_raise(replace(FINDINGS, slips=()))
    told = play.say(InputsRead(ON_SCALE), RAISE)
    assert (orders(told), alarms(told)) == ([], ["platform_order"])
    assert seen(told).why == "nobody is held who may be released by hand"


def test_an_order_to_a_lane_without_a_platform_is_recorded() -> None:
    play = Play()
    play.arrive(kg="25000", findings=site(role=PlatformRole.NONE, platform_may_raise=True))
    told = play.say(InputsRead(ON_SCALE), PlatformOrdered("", "", "", RAISE.command))
    assert (orders(told), seen(told).obeyed) == ([], False)


@pytest.mark.parametrize(("findings", "code"), [case[1:] for case in NEVER], ids=[case[0] for case in NEVER])
def test_an_order_to_raise_overrides_none_of_what_the_platform_cannot_override(
    findings: Findings, code: str
) -> None:
    play = may_raise(findings, "20000")
    told = play.say(InputsRead(ON_SCALE), RAISE)
    assert (orders(told), seen(told).obeyed, alarms(told)) == ([], False, ["platform_order"])
    assert code in codes(play)


def test_an_order_to_raise_does_not_override_a_refused_claim_or_a_weight_that_jumped() -> None:
    play = arrived(site(role=PlatformRole.NONE, platform_may_raise=True))
    play.say(InputsRead(ON_SCALE), ClaimAnswered(claims(play.asked)[-1], False, "lane-in-2"))
    assert codes(play) == ("claim_refused",)
    assert orders(play.say(InputsRead(ON_SCALE), RAISE)) == []
    play = may_raise()
    assert alarms(play.weigh("12000", frames=60)) == ["weight_jump"]
    assert codes(play) == ("weight_over",)
    assert orders(play.say(InputsRead(ON_SCALE), RAISE)) == []


def test_where_two_officers_are_needed_the_platform_is_one_of_them_whoever_sends() -> None:
    play = may_raise(manual_release_officers=2)
    first = play.say(InputsRead(ON_SCALE), RAISE)
    assert (orders(first), done(first), alarms(first)) == ([], [False], [])
    assert seen(first).why == "it counts as one officer's, and nothing was raised yet"
    second = play.say(InputsRead(ON_SCALE), replace(RAISE, operator="关员乙", order_no="OP2"))
    assert (orders(second), done(second), seen(second).obeyed) == ([], [False], False)
    officer = play.say(InputsRead(ON_SCALE), OfficerReleased(1, "4604001", "checked"))
    assert orders(officer) == ["RaiseArm"]
    (ruling,) = facts(officer, RulingMade)
    assert isinstance(ruling, RulingMade)
    assert ruling.officer == "platform, 4604001"


@pytest.mark.parametrize(
    ("before", "waits_s", "obeyed"),
    [
        (RAISE, 0.0, False),
        (replace(RAISE, area_id="4604002"), 0.0, True),
        (LOWER, 0.0, True),
        (replace(RAISE, order_no="OP2"), 0.0, True),
        (RAISE, SETTINGS.hold_s + 1.0, True),
    ],
    ids=["the same", "for another lane", "to lower", "another", "long ago"],
)
def test_an_order_that_was_sent_before_means_whoever_stood_here_then(
    before: PlatformOrdered, waits_s: float, obeyed: bool
) -> None:
    """S5: nobody stood here, or somebody else; only the same order to raise is one that is sent again."""
    play = Play(SETTINGS_ASKED)
    play.say(InputsRead(CLEAR), before)
    play.wait(waits_s, CLEAR, kg="0")
    play.arrive(kg="25000", findings=site(role=PlatformRole.NONE, platform_may_raise=True))
    told = play.say(InputsRead(ON_SCALE), RAISE)
    assert (seen(told).obeyed, orders(told)) == (obeyed, ["RaiseArm"] if obeyed else [])


def test_an_order_without_a_number_cannot_be_told_from_another() -> None:
    play = Play(SETTINGS_ASKED)
    nameless = replace(RAISE, order_no="")
    play.say(InputsRead(CLEAR), nameless)
    play.arrive(kg="25000", findings=site(role=PlatformRole.NONE, platform_may_raise=True))
    assert orders(play.say(InputsRead(ON_SCALE), nameless)) == ["RaiseArm"]


def test_an_order_that_could_not_be_done_is_not_answered_as_done() -> None:
    play = may_raise()
    told = play.say(InputsRead(replace(ON_SCALE, stop=True)), RAISE)
    assert (orders(told), done(told), seen(told).obeyed) == ([], [False], False)
    assert codes(play) == ("weight_over",)


def test_an_order_that_could_not_be_recorded_was_not_obeyed() -> None:
    """S1: nothing moved; the fact says so when it can be written, and so is the platform told."""
    play = may_raise()
    play.say(InputsRead(ON_SCALE), RAISE)
    failed = play.say(WriteFailed("disk full"), after_s=0.0)
    assert (orders(failed), done(failed)) == ([], [False])
    assert not [e for e in failed if isinstance(e, WithdrawClaim)]
    told = seen(play.timer("journal"))
    assert (told.obeyed, told.why) == (False, "it could not be recorded")


def test_an_order_says_why_it_releases_also_where_it_gives_no_reason() -> None:
    play = may_raise()
    told = play.say(InputsRead(ON_SCALE), replace(RAISE, operator="", order_no="", reason=""))
    (ruling,) = facts(told, RulingMade)
    assert isinstance(ruling, RulingMade)
    assert ruling.ruling.reasons[0].detail == "customs platform"


def test_what_an_order_carries_is_cut_to_size() -> None:
    play = may_raise()
    told = seen(
        play.say(
            InputsRead(ON_SCALE),
            replace(RAISE, command="9" * 99, order_no="O" * 99, operator="P" * 99, reason="R" * 999),
        )
    )
    assert [len(t) for t in (told.command, told.order_no, told.operator, told.reason)] == [40, 40, 40, 200]
