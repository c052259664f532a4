"""What a reader found who wanted a parcel past the X-ray station that nobody judged: each once, as a test."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge.xray_bridge.effects import AnswerCommand, AskStop, Commit, Effect, Memory, Pulse, Told
from edge.xray_bridge.events import (
    BeltRead,
    CodeRead,
    CommandCame,
    EvidenceKept,
    EyeSeen,
    Judged,
    NotPulsed,
    Room,
    Shown,
    Undone,
    WedgeAsked,
    WedgeChecked,
    WriteFailed,
)
from edge.xray_bridge.station import noted, step
from edge.xray_bridge.values import Eye, Verdict
from sync.vocabulary import commands
from sync.vocabulary.commands import Command
from sync.vocabulary.facts import Stream
from sync.vocabulary.numbers import UtcText
from sync.vocabulary.xray_facts import (
    BeltChanged,
    ParcelSeen,
    ParcelSorted,
    ParcelXRayed,
    XRayEvidenceKept,
    XRayEvidenceMissed,
)
from tests.machine.xray_plays import (
    CALIBRATION,
    LAYOUT,
    SETTINGS,
    WAYBILL,
    Play,
    alarms,
    analysis,
    facts,
    kinds,
    of_kind,
    pulses,
)

OTHER = "SF1234567890124"
DRAWN = replace(SETTINGS, second_per_mille=1000, draw_key=b"k" * 32)


def raw_step(play: Play, event: object) -> list[Effect]:
    play.station, effects = step(play.station, play.at_s, event)  # type: ignore[arg-type]
    return list(effects)


# --- the pulse and what comes behind ------------------------------------------------------------------------


def behind_one_that_passes(play: Play) -> None:
    """A small parcel that passes, and 200 mm behind its front another that does not; the first one's front
    is about to be at the diverter."""
    play.answers.analysis = lambda picture: analysis(picture) if picture == "p-first" else None
    first = play.put(length_mm=100.0, picture="p-first", diverter=False)  # type: ignore[arg-type]
    play.put(OTHER, behind_mm=300.0, length_mm=100.0, picture="p-second", diverter=False)  # type: ignore[arg-type]
    play.roll(first.leading_mm + LAYOUT.diverter_mm - play.belt_mm)


NEAR = replace(SETTINGS, windows=replace(SETTINGS.windows, least_gap_mm=50.0, window_mm=25.0), divert_s=1.0)


def test_what_comes_while_the_pulse_lasts_is_not_swept_along() -> None:
    play = Play(NEAR)
    behind_one_that_passes(play)
    assert pulses(play.say(EyeSeen(Eye.DIVERTER, True, play.belt_mm))) == []


def test_a_belt_that_has_just_started_is_as_fast_as_ever_before_the_pulse_is_over() -> None:
    play = Play(NEAR)
    behind_one_that_passes(play)
    play.stand(10.0)
    play.say(play.belt())
    assert play.station.speed_mm_s < 1.0
    assert pulses(play.say(EyeSeen(Eye.DIVERTER, True, play.belt_mm))) == []


def test_a_pulse_counts_from_the_sight_of_the_edge_not_from_when_it_was_told() -> None:
    """X2: late means recheck."""
    play = Play()
    thing = play.put(diverter=False)
    place = thing.leading_mm + LAYOUT.diverter_mm
    play.roll(place - play.belt_mm)
    play.at_s += 0.15
    new = play.say(EyeSeen(Eye.DIVERTER, True, place, ago_s=0.15))
    (pulse,) = [each for each in new if isinstance(each, Pulse)]
    assert pulse.not_after_s == pytest.approx(play.at_s - 0.15 + SETTINGS.pulse_within_s)


def test_a_pulse_that_was_not_sent_is_recheck_in_the_record_too() -> None:
    play = Play(replace(SETTINGS, chute_eyes=frozenset()))
    thing = play.put(diverter=False)
    play.roll(thing.leading_mm + LAYOUT.diverter_mm - play.belt_mm)
    assert pulses(play.say(EyeSeen(Eye.DIVERTER, True, play.belt_mm))) == [("pass", 1)]
    told = of_kind(play.say(NotPulsed(1)), ParcelXRayed)
    assert [(each.verdict, each.reasons[0]) for each in told] == [("recheck", "not_pulsed")]
    ended = of_kind(play.roll(1_100.0), ParcelSorted)
    assert [(each.verdict, each.ordered) for each in ended] == [("recheck", "recheck")]
    assert play.say(NotPulsed(1)) == []


def test_a_pace_is_forgotten_with_the_belt_that_runs_slower() -> None:
    play = Play()
    fast_mm_s = play.station.top_mm_s
    for _ in range(400):
        play.at_s += 1.0
        play.belt_mm += 150.0
        play.say(play.belt())
    assert 150.0 <= play.station.top_mm_s < 0.6 * fast_mm_s


# --- what could not be written ------------------------------------------------------------------------------


def test_a_note_that_cannot_be_written_is_not_the_order_before_it() -> None:
    play = Play()
    thing = play.put(diverter=False)
    play.roll(thing.leading_mm + LAYOUT.diverter_mm - play.belt_mm)
    assert pulses(raw_step(play, EyeSeen(Eye.DIVERTER, True, play.belt_mm))) == [("pass", 1)]
    ordered = play.station.parcels[0].ordered
    data = BeltChanged(state="running")
    play.station, new = noted(play.station, play.at_s, Told(Stream.ROUTINE, data))
    assert facts(list(new)) == [data]
    again = facts(raw_step(play, WriteFailed("disk full")))
    assert play.station.parcels[0].ordered is ordered
    assert again[0] == data
    assert [each for each in again if isinstance(each, ParcelSeen | ParcelXRayed | ParcelSorted)] == []


def close(number: int = 1) -> CommandCame:
    return CommandCame(
        Command(
            command_id=f"command-{number}",
            device="x-ray-1",
            nonce="0" * 32,
            issued=UtcText("2026-11-22T03:00:00Z"),
            valid_s=60,
            officers=("0001",),
            reason="drill",
            act=commands.LaneClose(),
        )
    )


def said(effects: list[Effect]) -> list[str]:
    return [each.command_id for each in effects if isinstance(each, AnswerCommand)]


def test_the_centre_hears_nothing_that_is_not_durable() -> None:
    play = Play()
    raw_step(play, close())
    new = raw_step(play, WriteFailed("disk full"))
    assert [type(each) for each in new if isinstance(each, Commit | AnswerCommand)] == [Commit, AnswerCommand]
    assert "command_taken" in kinds(new)
    assert said(raw_step(play, WriteFailed("disk full"))) == []
    assert said(raw_step(play, close())) == []
    new = play.tick()
    assert "command_taken" in kinds(new)
    assert said(new) == ["command-1"]
    assert said(play.say(close())) == ["command-1"]


# --- verdicts -----------------------------------------------------------------------------------------------


def to_judge(play: Play, picture: str = "p-x") -> None:
    play.answers.analysis = lambda each: replace(analysis(each), noisy=True)
    play.sign_in()
    play.put(picture=picture, diverter=False)  # type: ignore[arg-type]
    play.roll(5_000.0)


def judge(play: Play, officer: str, desk: str, verdict: Verdict) -> list[Effect]:
    play.say(Shown(1, "p-x", desk))
    return play.say(Judged(1, "p-x", officer, desk, verdict, "weapon"))


def test_whoever_looks_second_takes_back_the_own_word_only() -> None:
    play = Play(DRAWN)
    to_judge(play)
    play.sign_in("desk-2", "0018")
    judge(play, "0017", "desk-1", Verdict.FLAGGED)
    judge(play, "0018", "desk-2", Verdict.PASSED)
    play.say(Undone(1, "0018", "desk-2"))
    first = play.station.parcels[0].first
    assert first is not None
    assert first.officer == "0017"
    new = judge(play, "0018", "desk-2", Verdict.PASSED)
    assert of_kind(new, ParcelXRayed)[-1].verdict == "flagged"


def test_a_first_look_is_taken_back_whole() -> None:
    play = Play(DRAWN)
    to_judge(play)
    judge(play, "0017", "desk-1", Verdict.PASSED)
    play.say(Undone(1, "0017", "desk-1"))
    assert play.station.parcels[0].first is None


def test_a_wedge_that_fails_takes_back_what_the_machine_passed_on_it() -> None:
    play = Play()
    thing = play.put(diverter=False)
    play.roll(5_000.0)
    assert play.station.parcels[0].verdict is Verdict.PASSED
    new = play.say(WedgeChecked(False, "wedge-2", CALIBRATION, "moved"))
    told = of_kind(new, ParcelXRayed)[-1]
    assert (told.verdict, told.reasons[0]) == ("recheck", "wedge_invalid")
    play.roll(thing.leading_mm + LAYOUT.diverter_mm - play.belt_mm)
    assert pulses(play.say(EyeSeen(Eye.DIVERTER, True, play.belt_mm))) == []


def test_what_is_in_doubt_is_never_told_as_passed() -> None:
    play = Play()
    play.put(diverter=False)
    play.roll(2_000.0)
    play.say(BeltRead(None))
    told = of_kind(play.roll(3_000.0), ParcelXRayed)
    assert [each.verdict for each in told] == ["recheck"]
    assert told[0].reasons == ("belt_unknown",)


def test_what_is_in_doubt_is_still_shown_to_an_officer_who_may_flag_it() -> None:
    play = Play()
    play.answers.analysis = lambda picture: replace(analysis(picture), noisy=True)
    play.put(diverter=False)
    play.roll(2_000.0)
    play.say(BeltRead(None))
    play.roll(3_000.0)
    assert play.station.parcels[0].waits is True


# --- the portal ---------------------------------------------------------------------------------------------


def test_a_second_code_is_not_talked_away() -> None:
    """S7: a reader that says one code a thousand times hides no other."""
    play = Play()
    play.put(code=None)
    play.roll(150.0)
    play.say(CodeRead(OTHER, play.belt_mm))
    for number in range(1_000):
        play.say(CodeRead(WAYBILL, play.belt_mm + number % 7))
    seen = of_kind(play.roll(1_000.0), ParcelSeen)
    assert [each.read for each in seen] == ["two_codes"]


def test_a_flood_of_codes_lets_nothing_pass() -> None:
    play = Play()
    thing = play.put(diverter=False)
    play.roll(150.0)
    for number in range(600):
        play.say(CodeRead(f"{number}", play.belt_mm))
    play.roll(thing.leading_mm + LAYOUT.diverter_mm - play.belt_mm)
    assert len(play.station.codes) <= 512
    assert pulses(play.say(EyeSeen(Eye.DIVERTER, True, play.belt_mm))) == []


def test_a_flicker_of_the_eye_is_not_the_wedge() -> None:
    play = Play()
    play.sign_in()
    play.say(WedgeAsked(True, "0017", "desk-1"))
    play.say(EyeSeen(Eye.PORTAL, True, play.belt_mm))
    play.roll(20.0)
    play.say(EyeSeen(Eye.PORTAL, False, play.belt_mm))
    assert play.station.parcels == ()
    assert play.station.wedge_next is True


# --- chutes and restarts ------------------------------------------------------------------------------------


def passed_and_next_to_recheck(play: Play) -> float:
    """One lies in the pass chute; one that goes to recheck is at the diverter. Where the first was seen."""
    play.answers.analysis = lambda picture: analysis(picture) if picture == "p-first" else None
    first = play.put(picture="p-first")  # type: ignore[arg-type]
    play.put(OTHER, behind_mm=650.0, picture="p-second", diverter=False)  # type: ignore[arg-type]
    seen_mm = first.leading_mm + LAYOUT.diverter_mm + LAYOUT.chute_mm
    play.roll(seen_mm + 10.0 - play.belt_mm)
    play.say(EyeSeen(Eye.DIVERTER, True, play.belt_mm))
    return seen_mm


def test_a_flicker_of_a_chutes_eye_is_not_the_next_parcel() -> None:
    play = Play()
    passed_and_next_to_recheck(play)
    assert [p.number for p in play.station.parcels] == [2]
    play.roll(250.0)
    new = play.say(EyeSeen(Eye.PASS_CHUTE, True, play.belt_mm))
    assert of_kind(new, ParcelSorted) == []
    assert play.station.fault == ""


def test_nobodys_parcel_in_the_pass_chute_ends_all_passing() -> None:
    play = Play()
    new = play.say(EyeSeen(Eye.PASS_CHUTE, True, play.belt_mm))
    assert alarms(new) == ["wrong_chute"]
    assert [type(each) for each in new if isinstance(each, AskStop)] == [AskStop]
    assert play.station.feed_reasons == ("fault: diverter",)
    assert play.say(EyeSeen(Eye.PASS_CHUTE, True, play.belt_mm)) == []


def test_what_was_sent_on_before_a_restart_is_nobodys_and_no_fault() -> None:
    play = Play(ready=False)
    play.say(play.belt())
    play.say(EyeSeen(Eye.PASS_CHUTE, True, play.belt_mm))
    assert play.station.fault == ""


def test_one_that_comes_late_into_the_pass_chute_is_no_fault() -> None:
    play = Play()
    thing = play.put(diverter=False)
    play.roll(thing.leading_mm + LAYOUT.diverter_mm - play.belt_mm)
    play.say(EyeSeen(Eye.DIVERTER, True, play.belt_mm))
    new = play.roll(1_100.0)
    assert [each.why for each in of_kind(new, ParcelSorted)] == ["not_seen"]
    play.say(EyeSeen(Eye.PASS_CHUTE, True, play.belt_mm))
    assert play.station.fault == ""


def test_a_picture_that_is_lost_with_the_program_is_told_as_lost() -> None:
    play = Play()
    play.put(picture="p-x", diverter=False)  # type: ignore[arg-type]
    play.roll(5_000.0)
    memory = [each.memory for each in play.asked if isinstance(each, Commit)][-1]
    again = Play(memory=memory, ready=False)
    # The keeper has not looked yet: it may lie on the disk.
    assert of_kind(again.asked, XRayEvidenceMissed) == []
    assert missed(again.say(Room(True, 10**9))) == [(1, "p-x", "restarted")]
    assert missed(again.say(Room(True, 10**9))) == []


def missed(effects: list[Effect]) -> list[tuple[int, str, str]]:
    return [(each.parcel, each.picture, each.why) for each in of_kind(effects, XRayEvidenceMissed)]


def memory_now(play: Play) -> Memory:
    return [each.memory for each in play.asked if isinstance(each, Commit) and each.memory is not None][-1]


def gone_by() -> Play:
    """A parcel was judged and has left the belt; its picture waits for the disk."""
    play = Play()
    play.put(picture="p-x")  # type: ignore[arg-type]
    play.roll(12_000.0)
    assert play.station.parcels == ()
    play.tick()
    return play


def on_disk(picture: str) -> EvidenceKept:
    return EvidenceKept(parcel=1, waybill_no="", picture=picture, sha256="0" * 64, files=4, size_bytes=9)


def test_a_picture_that_was_judged_and_not_yet_written_at_a_kill_is_told_as_missed() -> None:
    play = gone_by()
    assert memory_now(play).pictures == ((1, "p-x"),)
    again = Play(memory=memory_now(play), ready=False)
    # Killed again before the keeper has looked: still owed.
    once_more = Play(memory=memory_now(again), ready=False)
    assert missed(once_more.say(Room(False, 0))) == []
    assert missed(once_more.say(Room(True, 10**9))) == [(1, "p-x", "restarted")]
    assert memory_now(once_more).pictures == ()


def test_a_picture_that_was_written_when_the_program_was_killed_is_not_missed() -> None:
    again = Play(memory=memory_now(gone_by()), ready=False)
    assert len(of_kind(again.say(on_disk("p-x")), XRayEvidenceKept)) == 1
    assert missed(again.say(Room(True, 10**9))) == []


def test_what_is_on_the_disk_is_owed_no_more() -> None:
    play = gone_by()
    play.say(on_disk("p-x"))
    assert memory_now(play).pictures == ()
