"""What a review of the lane found: each defect told again as a play, by the events that showed it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from edge.gate.config import read_gate_config
from edge.gate.effects import (
    AskClaim,
    Commit,
    Effect,
    LookUp,
    Memory,
    RaiseArm,
    Told,
    WakeAfter,
    WithdrawClaim,
)
from edge.gate.events import (
    ClaimAnswered,
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
    SpotCheck,
    SyncSaid,
    Timer,
    WeightRead,
    WriteFailed,
)
from edge.gate.lane import LaneSettings, wake
from edge.gate.performer import is_end
from edge.runtime.config_reading import ConfigRefused
from hardware_sims.site import write_site
from sync.vocabulary.facts import (
    ArmRaised,
    MessageRefused,
    PassageClosed,
    PassageOpened,
    RaiseOrdered,
    RulingMade,
    Stream,
    UsesReturned,
    VehicleCrossed,
)
from sync.vocabulary.numbers import SlipNo
from sync.vocabulary.records import Binding
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

REMARK = SyncSaid(Stream.ROUTINE, MessageRefused(topic="feed", why="unsigned", times=1))
FALLING = replace(GONE_UP, limit_up=False)
SECOND = SlipNo("Z4604I260101000000000002")


def phase(play: Play) -> str:
    return type(play.lane.phase).__name__


def claims(effects: list[Effect]) -> list[str]:
    return [effect.claim_id for effect in effects if isinstance(effect, AskClaim)]


def facts(effects: list[Effect], kind: type) -> list[object]:
    return [t.data for e in effects if isinstance(e, Commit) for t in e.facts if isinstance(t.data, kind)]


def timers(effects: list[Effect]) -> set[str]:
    return {effect.timer.name for effect in effects if isinstance(effect, WakeAfter)}


def failed(play: Play) -> list[Effect]:
    return play.say(WriteFailed("disk full"), after_s=0.0)


def weighed(play: Play, kg: str = "20000") -> list[Effect]:
    """Weighed until something is decided, and not one event more."""
    while not (new := play.say(InputsRead(ON_SCALE), WeightRead(Decimal(kg), None), after_s=0.05)):
        assert play.at_s < 60
    return new


def ruled(kg: str = "20000", findings: Findings = FINDINGS) -> Play:
    play = Play()
    play.say(InputsRead(CLEAR), LinkChanged(True), InputsRead(HERE))
    play.read(findings)
    weighed(play, kg)
    return play


# --- a write that failed is that write and no other -------------------------------------------------------


def test_a_remark_that_cannot_be_written_does_not_undo_an_order_that_was() -> None:
    """Admitted and ordered up; then a routine fact fails. The order is durable and the arm is rising: to take
    it back would close the lane on its own raising and give back a use that is being used (S4)."""
    play = Play()
    play.arrive()
    play.granted()
    play.say(REMARK)
    assert orders(failed(play)) == []
    assert phase(play) == "Raising"
    up = play.say(InputsRead(MOVING), InputsRead(UP))
    assert kinds(up) == ["message_refused", "arm_raised"]
    assert phase(play) == "Passing"


def test_a_remark_that_cannot_be_written_does_not_forget_the_claim() -> None:
    play = Play()
    asked = play.arrive()
    play.say(REMARK)
    failed(play)
    assert phase(play) == "Claiming"
    assert orders(play.say(InputsRead(ON_SCALE), ClaimAnswered(claims(asked)[0], True))) == ["RaiseArm"]


def test_an_opening_that_cannot_be_written_still_reads_the_vehicle_and_keeps_its_time() -> None:
    """The camera sees a vehicle once: a hold here would have dropped its plate and never ended."""
    play = Play()
    play.say(InputsRead(CLEAR), LinkChanged(True), InputsRead(HERE))
    again = failed(play)
    assert timers(again) == {"journal", "reading"}
    play.read()
    assert claims(play.weigh("20000"))


def test_a_hold_that_cannot_be_written_stays_that_hold_with_its_time_limit() -> None:
    play = ruled("25000")
    again = failed(play)
    assert codes(play) == ("weight_over",)
    assert timers(again) == {"journal", "hold"}
    assert kinds(play.timer("journal")) == ["ruling_made"]


def test_a_question_to_the_hub_that_was_never_put_is_put_again_under_its_number() -> None:
    play = ruled()
    failed(play)
    assert codes(play) == ("journal_full",)
    look = next(e for e in play.timer("journal") if isinstance(e, LookUp))
    asked = play.say(InputsRead(ON_SCALE), RecordsFound(look.passage, look.request, FINDINGS))
    assert claims(asked) == ["lane-in-1-r1-1-c1"]


def test_an_earlier_ruling_still_unwritten_is_not_lost_with_the_admission_that_failed() -> None:
    play = ruled("25000")
    failed(play)
    play.say(InputsRead(ON_SCALE), OfficerReleased(1, "4604001", "weighed by hand"))
    failed(play)
    assert [type(told.data).__name__ for told in play.lane.unwritten] == ["RulingMade"]
    assert isinstance(play.lane.unwritten[0].data, RulingMade)
    assert play.lane.unwritten[0].data.ruling.codes() == ("weight_over",)
    assert play.lane.unwritten_uses == ()


def drawn() -> Play:
    due = replace(FINDINGS, spot_checks={SLIP: SpotCheck(True, "4101960001", "2026-11-22")})
    play = ruled(findings=due)
    assert codes(play) == ("spot_check",)
    return play


def checks(effects: list[Effect]) -> list[str]:
    return [check.plate for e in effects if isinstance(e, Commit) for check in e.spot_checks]


def test_a_spot_check_stays_due_although_its_write_failed() -> None:
    play = drawn()
    failed(play)
    assert checks(play.timer("journal")) == [PLATE]


def test_a_spot_check_that_ends_does_not_come_back_by_being_written_late() -> None:
    play = drawn()
    failed(play)
    released = play.say(InputsRead(ON_SCALE), OfficerReleased(1, "4604001", "inspected here"))
    assert [e.discharged for e in released if isinstance(e, Commit)] == [(PLATE,)]
    assert checks(released) == []


# --- a claim is used, given back or asked again, never left behind ----------------------------------------


def granted_and_unwritten() -> Play:
    play = Play()
    play.arrive()
    play.granted()
    failed(play)
    return play


def granted_and_stopped() -> Play:
    """The hub granted while somebody pressed stop: held, with the grant in hand."""
    play = Play()
    play.arrive()
    play.say(InputsRead(replace(ON_SCALE, stop=True)))
    play.granted()
    assert codes(play) == ("lane_closed",)
    return play


def test_a_grant_in_hand_covers_what_an_officer_releases() -> None:
    play = granted_and_stopped()
    released = play.say(InputsRead(ON_SCALE), OfficerReleased(1, "4604001", "nobody pressed it"))
    assert [use.claim_id for e in released if isinstance(e, Commit) for use in e.uses] == [
        "lane-in-1-r1-1-c1"
    ]


def test_a_grant_for_other_slips_goes_back_before_the_new_ones_are_claimed() -> None:
    play = granted_and_unwritten()
    look = next(e for e in play.say(RecordsChanged()) if isinstance(e, LookUp))
    both = tuple(
        msgspec.structs.replace(FINDINGS.slips[0], slip_no=no, binding=Binding.MANY_SLIPS, cargo_gross_kg=kg)
        for no, kg in ((SLIP, Decimal(2000)), (SECOND, Decimal(4000)))
    )
    asked = play.say(RecordsFound(look.passage, look.request, replace(FINDINGS, slips=both)))
    assert [r.claim_id for r in facts(asked, UsesReturned)] == ["lane-in-1-r1-1-c1"]  # type: ignore[attr-defined]
    assert claims(asked) == ["lane-in-1-r1-1-c2"]


def test_a_grant_for_slips_that_are_no_longer_meant_goes_back_with_the_release() -> None:
    play = granted_and_stopped()
    look = next(e for e in play.say(RecordsChanged()) if isinstance(e, LookUp))
    lighter = msgspec.structs.replace(FINDINGS.slips[0], slip_no=SECOND, cargo_gross_kg=Decimal(1000))
    play.say(RecordsFound(look.passage, look.request, replace(FINDINGS, slips=(lighter,))))
    assert codes(play) == ("weight_over",)
    released = play.say(InputsRead(ON_SCALE), OfficerReleased(1, "4604001", "weighed by hand"))
    assert kinds(released) == ["uses_returned", "ruling_made", "raise_ordered"]
    assert [use.slip_no for e in released if isinstance(e, Commit) for use in e.uses] == [SECOND]
    assert [e.claim_id for e in released if isinstance(e, WithdrawClaim)] == ["lane-in-1-r1-1-c1"]


def test_a_resumed_passage_whose_order_could_not_be_written_still_has_its_uses() -> None:
    """They were reserved for an order of an earlier life: no longer this passage's to give back (S4)."""
    play = resumed()
    play.say(InputsRead(HERE), LinkChanged(True))
    play.read()
    assert orders(weighed(play)) == ["RaiseArm"]
    failed(play)
    gone = play.wait(4.0, CLEAR, kg="0")
    assert "passage_closed" in kinds(gone)
    assert facts(gone, UsesReturned) == []

    play = resumed()
    play.say(InputsRead(HERE), LinkChanged(True))
    play.read()
    weighed(play)
    failed(play)
    look = next(e for e in play.timer("journal") if isinstance(e, LookUp))
    found = replace(FINDINGS, uses=(USE,))
    again = play.say(InputsRead(ON_SCALE), RecordsFound(look.passage, look.request, found))
    assert orders(again) == ["RaiseArm"]
    assert [u.use_id for e in again if isinstance(e, Commit) for u in e.uses] == [USE.use_id]


USE = SlipUse("lane-in-1-r0-4-u0", SLIP, 4, "lane-in-1-r0-4-c1", UseState.RESERVED)


def resumed(phase: str = "Passing") -> Play:
    memory = Memory(
        next_passage=5,
        phase=phase,
        passage=4,
        plates=(PLATE,),
        tags=(TAG,),
        order_id="lane-in-1-r0-4-1",
        claim_id=USE.claim_id,
        uses=(USE,),
        purpose="admit",
    )
    play = Play()
    play.lane, effects = wake(SETTINGS, 0.0, memory, (USE,), 5.0)
    play.asked = list(effects)
    return play


def test_a_resumed_passage_held_for_want_of_records_is_looked_at_again() -> None:
    play = resumed()
    play.say(InputsRead(HERE), LinkChanged(True))
    play.read(replace(FINDINGS, age_s=None))
    play.weigh("20000")
    assert codes(play) == ("records_too_old",)
    look = next(e for e in play.say(RecordsChanged()) if isinstance(e, LookUp))
    assert orders(play.say(RecordsFound(look.passage, look.request, FINDINGS))) == ["RaiseArm"]


# --- S2: raised again for safety --------------------------------------------------------------------------


def reopened(settings: LaneSettings = SETTINGS) -> Play:
    play = Play(settings)
    play.raised()
    play.under()
    play.clear()
    assert phase(play) == "Lowering"
    assert orders(play.say(InputsRead(replace(UNDER, limit_up=False)))) == ["RaiseArm"]
    return play


BY_ITSELF = replace(SETTINGS, lowering_on_request=False)


@pytest.mark.parametrize("settings", [SETTINGS, BY_ITSELF], ids=["on request", "by itself"])
def test_an_arm_on_its_way_up_again_has_not_moved_without_an_order(settings: LaneSettings) -> None:
    """The very next poll sees it between its ends: neither S12 nor a reason for one order a poll."""
    play = reopened(settings)
    rising = play.say(*[InputsRead(replace(UNDER, limit_up=False))] * 10)
    assert (alarms(rising), orders(rising)) == ([], [])
    play.say(InputsRead(UNDER))
    down = play.clear(times=20)
    assert "PassageClosed" not in {type(f).__name__ for f in facts(down, VehicleCrossed)}
    assert phase(play) == "Lowering"


def test_an_arm_that_does_not_come_up_again_is_a_fault_in_its_time() -> None:
    play = reopened()
    assert alarms(play.timer("arm")) == ["arm_fault"]
    play = reopened()
    last = [e for e in play.asked if isinstance(e, RaiseArm)][-1]
    assert alarms(play.say(OrderFailed(last.order_id, "no answer"))) == ["arm_fault"]


def test_an_arm_that_came_up_again_is_no_fault_and_may_not_leave_its_end_without_an_order() -> None:
    play = reopened()
    play.say(InputsRead(UNDER))
    assert alarms(play.timer("arm")) == []
    last = [e for e in play.asked if isinstance(e, RaiseArm)][-1]
    assert play.say(OrderFailed(last.order_id, "late")) == []
    assert alarms(play.say(InputsRead(replace(UNDER, limit_up=False)))) == ["uncommanded_movement"]


def test_each_raising_for_safety_has_an_order_of_its_own_also_while_nobody_is_registered() -> None:
    play = Play()
    play.say(InputsRead(CLEAR))
    for _ in range(2):
        play.say(InputsRead(replace(CLEAR, limit_down=False)), InputsRead(GONE_UP))
        play.say(InputsRead(replace(GONE_UP, reset_key=True)))
        assert phase(play) == "Lowering"
        play.say(InputsRead(replace(UNDER, limit_up=False)))
        assert phase(play) == "Shut"
    ordered = [o.order_id for o in facts(play.asked, RaiseOrdered)]  # type: ignore[attr-defined]
    assert len(ordered) == 2
    assert len(set(ordered)) == 2


def test_a_controller_that_closed_on_nobody_has_its_time_too() -> None:
    play = Play(BY_ITSELF)
    play.raised()
    closed = play.say(InputsRead(replace(ON_SCALE)))
    assert timers(closed) == {"arm"}
    play.say(InputsRead(FALLING))
    assert alarms(play.timer("arm")) == ["arm_fault"]


# --- S6, S12: nobody crosses unseen -----------------------------------------------------------------------


def test_who_crosses_while_the_restarted_lane_waits_for_its_arm_is_seen_and_taken_for_nobody() -> None:
    """Whom the arm was up for may have gone while no program looked, and another be the one seen."""
    play = resumed()
    crossing = play.say(InputsRead(UNDER), InputsRead(GONE_UP))
    assert kinds(crossing) == ["passage_opened", "passage_closed", "alarm"]
    assert [use for e in crossing if isinstance(e, Commit) for use in e.uses] == []
    closed = play.say(InputsRead(CLEAR))
    assert [(c.passage, c.outcome) for c in facts(closed, PassageClosed)] == [(4, "interrupted")]  # type: ignore[attr-defined]
    assert phase(play) == "Free"


def test_a_reset_closes_what_has_crossed_as_crossed() -> None:
    play = Play()
    play.raised()
    play.under()
    play.clear()
    play.say(DeviceWentSilent("io", "cable"))
    play.timer("arm")
    assert phase(play) == "Shut"
    play.say(InputsRead(CLEAR), InputsRead(replace(CLEAR, reset_key=True)))
    assert [c.outcome for c in facts(play.asked, PassageClosed)] == ["crossed"]  # type: ignore[attr-defined]


def test_a_reset_by_the_link_looks_at_the_same_inputs_as_the_key() -> None:
    play = Play()
    play.say(InputsRead(CLEAR), InputsRead(replace(CLEAR, limit_down=False)), InputsRead(CLEAR))
    assert "lane_reset" in kinds(play.say(OfficerReset("4604001")))
    assert phase(play) == "Free"
    assert play.say(OfficerReset("4604001")) == []


# --- S8, S9: time limits and officers ---------------------------------------------------------------------


def test_looking_at_a_hold_again_does_not_end_its_time_limit() -> None:
    play = Play()
    play.arrive(findings=replace(FINDINGS, slips=()))
    play.say(RecordsChanged())
    assert phase(play) == "Reading"
    late = play.timer("hold")
    assert alarms(late) == ["overstay"]
    assert timers(late) == {"hold"}


def test_a_vehicle_still_being_read_for_the_first_time_does_not_overstay() -> None:
    play = Play()
    play.say(InputsRead(CLEAR), InputsRead(HERE))
    play.asked.append(WakeAfter(Timer("hold", 1), 1.0))
    assert play.timer("hold") == []


def test_the_other_identity_has_its_time_and_no_more_whatever_the_float() -> None:
    for start_s in (0.1, 0.3, 1.1, 7.7):
        play = Play()
        play.at_s = start_s
        play.say(InputsRead(CLEAR), LinkChanged(True), InputsRead(HERE))
        look = next(e for e in play.say(PlateRead(PLATE)) if isinstance(e, LookUp))
        play.say(RecordsFound(look.passage, look.request, FINDINGS), after_s=0.0)
        play.weigh("20000")
        assert play.lane.passage is not None
        assert play.lane.passage.first_identity_s is not None
        play.at_s = play.lane.passage.first_identity_s
        assert claims(play.timer("second_identity"))


def test_an_officer_whose_release_could_not_be_done_may_release_again() -> None:
    play = Play()
    play.arrive(kg="25000")
    blocked = play.say(
        InputsRead(replace(ON_SCALE, stop=True)), OfficerReleased(1, "4604001", "scale out of order")
    )
    assert (codes(play), alarms(blocked)) == (("weight_over",), ["input_refused"])
    again = play.say(InputsRead(ON_SCALE), OfficerReleased(1, "4604001", "scale out of order"))
    assert orders(again) == ["RaiseArm"]


def unidentified() -> Play:
    play = Play()
    play.say(InputsRead(CLEAR), InputsRead(HERE))
    play.timer("reading")
    assert codes(play) == ("no_identity",)
    play.say(InputsRead(ON_SCALE))
    return play


def test_a_vehicle_that_nothing_could_read_is_released_by_as_many_officers_as_the_site_asks() -> None:
    play = unidentified()
    assert orders(play.say(OfficerReleased(1, "4604001", "camera dirty", 1))) == ["RaiseArm"]
    play = unidentified()
    assert orders(play.say(OfficerReleased(1, "4604001", "camera dirty", 2))) == []
    assert orders(play.say(OfficerReleased(1, "4604002", "camera dirty", 2))) == ["RaiseArm"]
    play = unidentified()
    assert play.say(OfficerReleased(1, "4604001", "camera dirty", None)) == []


# --- around the machine -----------------------------------------------------------------------------------


def test_only_the_end_of_what_is_under_way_may_use_the_disks_reserve() -> None:
    raised = Told(Stream.ROUTINE, ArmRaised(passage=1, order_id="o"))
    crossed = Told(Stream.ROUTINE, VehicleCrossed(passage=1, order_id="o", use_ids=()))
    ordered = Told(Stream.ROUTINE, RaiseOrdered(passage=1, order_id="o", purpose="admit"))
    opened = Told(Stream.ROUTINE, PassageOpened(passage=2))
    remark = Told(REMARK.stream, REMARK.data)
    assert [is_end(Commit(told)) for told in ((raised,), (crossed, remark), (remark,), ())] == [
        True, True, False, False,
    ]  # fmt: skip
    assert [is_end(Commit(told)) for told in ((crossed, ordered), (crossed, opened))] == [False, False]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            lambda text: text.replace("\nclose = 1\n", "\nclose = 0\n"),
            "relays.close: relay 0 is open already",
        ),
        (
            lambda text: text.replace('role = "required"', 'role = "optional"', 1),
            'devices.io.role: expected "required"',
        ),
        (
            lambda text: text.replace('role = "substitutable"', 'role = "required"', 1),
            "devices.plate_camera.substitutes: only with",
        ),
        (
            lambda text: re.sub(r"silent_after_s = .*\n", "", text, count=1),
            "devices.io.silent_after_s",
        ),
        (
            lambda text: re.sub(r"silent_after_s = .*\n", "silent_after_s = 4.0\n", text, count=1),
            "devices.io.silent_after_s: expected at most 3 s",
        ),
        (
            lambda text: re.sub(r"green_renew_s = .*\n", "green_renew_s = 60.0\n", text, count=1),
            "relays.green_renew_s: expected at most half",
        ),
        (
            lambda text: re.sub(r"green_pulse_s = .*\n", "green_pulse_s = 300.0\n", text, count=1).replace(
                "settings = { poll_s", 'settings = { relay_style = "r421a08", poll_s', 1
            ),
            "relays.green_pulse_s: expected at most 30 s",
        ),
    ],
    ids=[
        "one relay for two things",
        "a lane without its board",
        "a stand-in for what is required",
        "mute",
        "blind for too long",
        "green that flickers",
        "a pulse the board cannot time",
    ],
)
def test_a_config_that_would_make_the_arm_unsafe_is_refused(
    tmp_path: Path, change: Callable[[str], str], problem: str
) -> None:
    site = write_site(tmp_path / "site", seed=1, vehicles=2, speed=1.0)
    config = next((tmp_path / "site" / "configs").glob("lane-in*.toml"))
    assert site is not None
    whole = config.read_text("utf-8")
    read_gate_config(config)
    config.write_text(change(whole), "utf-8")
    assert config.read_text("utf-8") != whole
    with pytest.raises(ConfigRefused) as refused:
        read_gate_config(config)
    assert problem in str(refused.value)
