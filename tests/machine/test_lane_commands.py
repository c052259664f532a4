"""What the centre commands, in every phase of a lane: done once and in a fact, or refused (S5, S8)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest

from edge.gate.effects import (
    AnswerCommand,
    CheckCommand,
    Commit,
    Effect,
    Memory,
    Resync,
    Show,
    ShowForAWhile,
    ShowOwnAgain,
    TakePicture,
    TellStatus,
    Wipe,
)
from edge.gate.events import (
    CommandChecked,
    CommandGiven,
    Event,
    Findings,
    InputsRead,
    OfficerReleased,
    OfficerReset,
    PictureFailed,
    PictureKept,
    SpotCheck,
    TimePassed,
    Timer,
    Wiped,
    WriteFailed,
)
from edge.gate.lane import (
    Claiming,
    Free,
    Holding,
    Lane,
    Lowering,
    Passing,
    Raising,
    Reading,
    Shut,
    step,
    wake,
)
from sync.vocabulary.commands import (
    Act,
    AskStatus,
    BoardText,
    Command,
    LaneClose,
    ManualRelease,
    Outcome,
    Revoke,
    Supplement,
    TakePictures,
    kind_of_act,
)
from sync.vocabulary.commands import Resync as ResyncAct
from sync.vocabulary.commands import Wipe as WipeAct
from sync.vocabulary.facts import CommandTaken, PictureMissed, PictureTaken, RulingMade
from sync.vocabulary.numbers import UtcText
from sync.vocabulary.records import Site
from tests.machine.plays import (
    CLEAR,
    FINDINGS,
    HERE,
    MOVING,
    ON_SCALE,
    PLATE,
    SETTINGS,
    SLIP,
    UNDER,
    UP,
    Play,
    alarms,
    codes,
    kinds,
    orders,
)

DONE, ACCEPTED, REFUSED = Outcome.DONE, Outcome.ACCEPTED, Outcome.REFUSED
TWO_OFFICERS = replace(
    FINDINGS,
    site=Site(
        site="demo",
        name_zh="郑州",
        name_en="Zhengzhou",
        waiting_area_beyond_barrier=True,
        manual_release_officers=2,
    ),
)
HANDS = ("4604001",)


def command(
    act: Act, *officers: str, command_id: str = "command-1", reason: str = "checked on camera"
) -> Command:
    return Command(
        command_id=command_id,
        device="lane-in-1",
        nonce="0" * 32,
        issued=UtcText("2026-11-22T03:00:00Z"),
        valid_s=30,
        officers=officers or HANDS,
        reason=reason,
        act=act,
    )


RELEASE = command(ManualRelease(passage=1))


def given(play: Play, told: Command, *, needed: int | None = None, against: str = "") -> list[Effect]:
    """The command comes, and where its officers are to be checked, they are."""
    effects = play.say(CommandGiven(told), after_s=0.01)
    checks = [effect for effect in effects if isinstance(effect, CheckCommand)]
    for check in checks:
        effects += play.say(CommandChecked(check.command, needed, against), after_s=0.01)
    return effects


def answers(effects: list[Effect]) -> list[tuple[Outcome, str]]:
    return [(effect.outcome, effect.why) for effect in effects if isinstance(effect, AnswerCommand)]


def taken(effects: list[Effect]) -> list[CommandTaken]:
    return [
        told.data
        for effect in effects
        if isinstance(effect, Commit)
        for told in effect.facts
        if isinstance(told.data, CommandTaken)
    ]


def held(findings: Findings = FINDINGS) -> Play:
    """For a weight that is not the declared one, or for what the findings say."""
    play = Play()
    play.arrive("25000", findings)
    assert isinstance(play.lane.phase, Holding)
    play.say(InputsRead(ON_SCALE))
    return play


# --- manual release (S8) ----------------------------------------------------------------------------------


def test_a_held_vehicle_released_by_command_crosses_and_the_facts_name_command_and_officer() -> None:
    play = held()
    effects = given(play, RELEASE)
    assert orders(effects) == ["RaiseArm"]
    assert answers(effects) == [(DONE, "")]
    assert kinds(effects) == ["ruling_made", "raise_ordered", "command_taken"]
    (fact,) = taken(effects)
    assert (fact.command_id, fact.kind, fact.officers, fact.passage, fact.outcome) == (
        "command-1",
        "manual_release",
        HANDS,
        1,
        "done",
    )
    assert fact.reason == "checked on camera"
    play.say(InputsRead(MOVING), InputsRead(UP))
    play.under()
    crossed = play.clear()
    assert "vehicle_crossed" in kinds(crossed)


def test_nothing_is_answered_or_raised_before_it_is_durable() -> None:
    """S1."""
    effects = given(held(), RELEASE)
    names = [type(effect).__name__ for effect in effects]
    assert names.index("Commit") < names.index("RaiseArm") < names.index("AnswerCommand")


def test_a_release_that_could_not_be_recorded_is_none_and_the_centre_is_told() -> None:
    """S1."""
    play = held()
    given(play, RELEASE)
    effects = play.say(WriteFailed("disk full"), after_s=0.0)
    assert orders(effects) == []
    assert answers(effects) == [(REFUSED, "it could not be recorded")]
    assert codes(play) == ("journal_full",)
    later = play.say(TimePassed(Timer("journal", 0)))
    (fact,) = taken(later)
    assert (fact.outcome, fact.why) == ("refused", "it could not be recorded")
    assert "ruling_made" not in kinds(later)
    assert answers(play.say(CommandGiven(RELEASE))) == [(REFUSED, "it could not be recorded")]


def test_the_centre_hears_that_a_lane_is_closed_when_the_fact_of_it_is_durable() -> None:
    """A lane killed before would come up open, and the centre would believe it closed."""
    play = at_rest()
    given(play, CLOSE)
    assert answers(play.say(WriteFailed("disk full"), after_s=0.0)) == []
    assert isinstance(play.lane.phase, Shut)
    assert answers(play.say(CommandGiven(CLOSE), after_s=0.01)) == []
    later = play.say(TimePassed(Timer("journal", 0)))
    names = [type(effect).__name__ for effect in later]
    assert names.index("Commit") < names.index("AnswerCommand")
    assert answers(later) == [(DONE, "")]
    assert answers(play.say(CommandGiven(CLOSE), after_s=0.01)) == [(DONE, "")]


def test_an_answer_that_fails_again_with_its_fact_waits_again() -> None:
    play = at_rest()
    given(play, CLOSE)
    play.say(WriteFailed("disk full"), after_s=0.0)
    play.say(TimePassed(Timer("journal", 0)))
    assert answers(play.say(WriteFailed("disk full"), after_s=0.0)) == []
    assert answers(play.say(TimePassed(Timer("journal", 0)))) == [(DONE, "")]


def at_rest() -> Play:
    play = Play()
    play.say(InputsRead(CLEAR))
    assert isinstance(play.lane.phase, Free)
    return play


def reading() -> Play:
    play = at_rest()
    play.say(InputsRead(HERE))
    assert isinstance(play.lane.phase, Reading)
    return play


def claiming() -> Play:
    play = Play()
    play.arrive()
    assert isinstance(play.lane.phase, Claiming)
    return play


def raising() -> Play:
    play = claiming()
    play.granted()
    assert isinstance(play.lane.phase, Raising)
    return play


def passing() -> Play:
    play = Play()
    play.raised()
    assert isinstance(play.lane.phase, Passing)
    return play


def lowering() -> Play:
    play = passing()
    play.under()
    play.clear()
    assert isinstance(play.lane.phase, Lowering)
    return play


def shut() -> Play:
    play = at_rest()
    play.say(InputsRead(replace(CLEAR, fire=True)))
    assert isinstance(play.lane.phase, Shut)
    return play


def backed_out() -> Play:
    play = held()
    play.wait(4.0, CLEAR, "0")
    assert isinstance(play.lane.phase, Free)
    return play


PHASES: list[Callable[[], Play]] = [
    Play, at_rest, reading, claiming, raising, passing, lowering, shut, backed_out,
]  # fmt: skip


@pytest.mark.parametrize("begun", PHASES)
@pytest.mark.parametrize(
    "act", [ManualRelease(passage=1), Supplement(passage=1, field="weight", value="20000")]
)
def test_what_is_not_held_now_is_not_released_or_changed_by_command(
    begun: Callable[[], Play], act: Act
) -> None:
    """S5, S8."""
    play = begun()
    before = play.lane
    effects = given(play, command(act), needed=1)
    assert orders(effects) == []
    assert kinds(effects) == ["command_taken"]
    ((outcome, why),) = answers(effects)
    assert outcome is REFUSED
    here = "passage 1 is not held now"
    nobody = "passage 1 is not in the lane, nobody is"
    assert why == {True: here, False: nobody}[before.passage is not None]
    assert replace_commands(play) == replace_commands_of(before)


def replace_commands(play: Play) -> object:
    return replace_commands_of(play.lane)


def replace_commands_of(lane: object) -> object:
    """The lane but for what it remembers of commands and of its last commit."""
    return msgspec.structs.replace(lane, commands=(), in_flight=None, behind=())  # type: ignore[type-var]


@pytest.mark.parametrize("number", [2, 7])
def test_a_command_for_another_passage_changes_nothing(number: int) -> None:
    """S5."""
    play = held()
    effects = given(play, command(ManualRelease(passage=number)), needed=1)
    assert orders(effects) == []
    ((outcome, why),) = answers(effects)
    assert outcome is REFUSED
    assert why == f"passage {number} is not in the lane, passage 1 is"
    assert not any(isinstance(effect, Show) for effect in effects)


def test_what_comes_after_the_vehicle_backed_out_does_not_raise_for_the_next_one() -> None:
    """S5."""
    play = backed_out()
    play.arrive("25000")
    assert isinstance(play.lane.phase, Holding)
    effects = given(play, RELEASE, needed=1)
    assert orders(effects) == []
    assert answers(effects) == [(REFUSED, "passage 1 is not in the lane, passage 2 is")]


def test_an_officer_the_lane_does_not_accept_releases_nobody() -> None:
    play = held()
    effects = given(play, RELEASE, against="officer 4604001 is not active")
    assert orders(effects) == []
    assert answers(effects) == [(REFUSED, "officer 4604001 is not active")]
    assert kinds(effects) == ["command_taken"]


def test_where_two_officers_are_asked_for_one_command_may_name_both() -> None:
    both = command(ManualRelease(passage=1), "4604001", "4604002")
    effects = given(held(TWO_OFFICERS), both)
    assert orders(effects) == ["RaiseArm"]
    (ruling,) = [
        t.data for e in effects if isinstance(e, Commit) for t in e.facts if isinstance(t.data, RulingMade)
    ]
    assert (ruling.claim, ruling.officer) == ("manual", "4604001, 4604002")
    assert answers(effects) == [(DONE, "")]


def test_where_one_is_enough_the_second_named_changes_nothing() -> None:
    effects = given(held(), command(ManualRelease(passage=1), "4604001", "4604002"))
    assert orders(effects) == ["RaiseArm"]
    assert answers(effects) == [(DONE, "")]
    assert not [effect for effect in effects if isinstance(effect, Show) and "第二位" in effect.zh]


def test_where_two_are_asked_for_one_waits_for_the_other_by_command_or_by_code() -> None:
    play = held(TWO_OFFICERS)
    first = given(play, RELEASE)
    assert orders(first) == []
    assert answers(first) == [(ACCEPTED, "it waits for a second officer")]
    again = given(play, command(ManualRelease(passage=1), command_id="command-2"))
    assert (orders(again), [outcome for outcome, _ in answers(again)]) == ([], [REFUSED])
    assert orders(play.say(OfficerReleased(1, "4604002", "seen", 2))) == ["RaiseArm"]


def test_one_who_releases_and_one_who_leads_aside_have_not_agreed() -> None:
    play = held(TWO_OFFICERS)
    given(play, RELEASE)
    aside = command(ManualRelease(passage=1, aside=True), "4604002", command_id="command-2")
    effects = given(play, aside)
    assert (orders(effects), [outcome for outcome, _ in answers(effects)]) == ([], [ACCEPTED])


def test_a_hold_that_nobody_may_release_by_hand_is_not_released_by_command() -> None:
    slip = msgspec.structs.replace(FINDINGS.slips[0], quarantine="required")
    play = held(replace(FINDINGS, slips=(slip,)))
    effects = given(play, RELEASE)
    assert orders(effects) == []
    assert answers(effects) == [(REFUSED, "held for quarantine_required, weight_over")]
    assert alarms(effects) == []


@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        (replace(ON_SCALE, stop=True), "lane_closed"),
        (replace(ON_SCALE, limit_down=None), "device_silent io"),
    ],
)
def test_no_command_raises_against_the_cabinet(inputs: object, why: str) -> None:
    play = held()
    play.say(InputsRead(inputs))  # type: ignore[arg-type]
    effects = given(play, RELEASE)
    assert orders(effects) == []
    assert answers(effects) == [(REFUSED, f"by 4604001: {why}")]


def test_the_same_command_again_gets_the_same_answer_and_does_nothing() -> None:
    play = held()
    assert orders(given(play, RELEASE)) == ["RaiseArm"]
    again = given(play, RELEASE)
    assert again == [AnswerCommand("command-1", DONE, "")]


def test_who_was_released_from_afar_stays_drawn_and_who_was_seen_at_the_lane_does_not() -> None:
    """S11: the draw is sticky until discharged."""
    drawn = replace(FINDINGS, spot_checks={str(SLIP): SpotCheck(True, "4101960001", "2026-11-22")})
    afar = [e for e in given(held(drawn), RELEASE) if isinstance(e, Commit)]
    assert [commit.discharged for commit in afar] == [()]
    assert [len(commit.spot_checks) for commit in afar] == [1]
    seen = [e for e in held(drawn).say(OfficerReleased(1, "4604001", "opened")) if isinstance(e, Commit)]
    assert [commit.discharged for commit in seen] == [(str(PLATE),)]
    two = replace(drawn, site=TWO_OFFICERS.site)
    play = held(two)
    given(play, RELEASE)
    both = [e for e in play.say(OfficerReleased(1, "4604002", "opened")) if isinstance(e, Commit)]
    assert [commit.discharged for commit in both] == [(str(PLATE),)]


# --- supplement -------------------------------------------------------------------------------------------


def unweighed() -> Play:
    play = Play()
    play.say(InputsRead(CLEAR), InputsRead(HERE))
    play.read()
    play.timer("reading")
    assert "weight_unread" in codes(play)
    return play


def test_what_was_not_read_may_be_entered_by_command() -> None:
    effects = given(unweighed(), command(Supplement(passage=1, field="weight", value="20000")), needed=1)
    assert kinds(effects) == ["supplement_entered", "command_taken"]
    assert answers(effects) == [(DONE, "")]


def test_an_entry_takes_as_many_officers_as_a_release() -> None:
    play = Play()
    play.say(InputsRead(CLEAR), InputsRead(HERE))
    play.read(replace(FINDINGS, site=TWO_OFFICERS.site))
    play.timer("reading")
    entry = Supplement(passage=1, field="weight", value="20000")
    assert answers(given(play, command(entry))) == [(ACCEPTED, "it waits for a second officer")]
    second = command(entry, "4604002", command_id="command-2")
    assert answers(given(play, second)) == [(DONE, "")]


def test_what_does_not_lack_or_is_no_such_thing_is_not_entered() -> None:
    play = unweighed()
    plate = given(play, command(Supplement(passage=1, field="plate", value="豫A99999")), needed=1)
    nonsense = Supplement(passage=1, field="weight", value="a lot")
    weight = given(play, command(nonsense, command_id="command-2"), needed=1)
    assert answers(plate) == [(REFUSED, "held for no want of a plate")]
    assert answers(weight) == [(REFUSED, "not a weight: a lot")]
    assert isinstance(play.lane.phase, Holding)


# --- the board --------------------------------------------------------------------------------------------


def test_the_centre_may_show_its_words_for_a_while() -> None:
    play = held()
    effects = given(play, command(BoardText(preset=1, seconds=20)))
    shown = [effect for effect in effects if isinstance(effect, ShowForAWhile)]
    assert shown == [ShowForAWhile("请稍候 关员马上到", "Please wait, an officer is coming", 20)]
    assert answers(effects) == [(DONE, "")]
    assert kinds(effects) == ["command_taken"]
    assert play.timer("board") == [ShowOwnAgain()]


def test_what_is_meant_for_one_driver_is_not_for_the_next_to_read() -> None:
    play = held()
    meant = given(play, command(BoardText(preset=1, passage=1)))
    assert answers(meant) == [(DONE, "")]
    other = given(play, command(BoardText(preset=1, passage=2), command_id="command-2"))
    assert answers(other) == [(REFUSED, "passage 2 is not in the lane, passage 1 is")]
    nobody = given(at_rest(), command(BoardText(preset=1, passage=1), command_id="command-3"))
    assert answers(nobody) == [(REFUSED, "passage 1 is not in the lane, nobody is")]
    assert not [effect for effect in (*other, *nobody) if isinstance(effect, ShowForAWhile)]
    whoever = given(at_rest(), command(BoardText(preset=1), command_id="command-4"))
    assert [effect for effect in whoever if isinstance(effect, ShowForAWhile)]


def test_status_and_records_are_asked_for() -> None:
    play = at_rest()
    assert [e for e in given(play, command(AskStatus())) if isinstance(e, TellStatus)]
    resync = given(play, command(ResyncAct(), command_id="command-2"))
    assert [e for e in resync if isinstance(e, Resync)]
    assert answers(resync) == [(DONE, "")]


# --- pictures -------------------------------------------------------------------------------------------

CAMERAS = ("front", "rear")
PICTURE = TakePictures(passage=1)


def with_cameras(play: Play, *names: str) -> Play:
    settings = replace(play.lane.settings, cameras=names or CAMERAS)
    play.lane = msgspec.structs.replace(play.lane, settings=settings)  # type: ignore[type-var]
    return play


def resumed() -> Play:
    """Restarted while it was let through; the arm is not proven down yet."""
    before = raising()
    play = Play()
    uses = before.lane.passage.uses if before.lane.passage is not None else ()
    play.lane, _ = wake(SETTINGS, 0.0, last_memory(before.asked), uses, 1.0)
    return play


def shut_over_it() -> Play:
    """The arm was up for it when there was fire."""
    play = passing()
    play.say(InputsRead(replace(UP, fire=True)))
    assert isinstance(play.lane.phase, Shut)
    return play


def shot(effects: list[Effect]) -> list[TakePicture]:
    return [effect for effect in effects if isinstance(effect, TakePicture)]


@pytest.mark.parametrize(
    "begun",
    [reading, claiming, held, raising, passing, lowering, resumed, shut_over_it],
    ids=lambda f: f.__name__,
)
def test_whoever_is_in_the_lane_is_pictured_when_the_centre_asks(begun: Callable[[], Play]) -> None:
    play = with_cameras(begun())
    before = play.lane
    assert before.passage is not None
    effects = given(play, command(PICTURE))
    assert answers(effects) == [(DONE, "asked: front, rear")]
    (fact,) = taken(effects)
    assert (fact.kind, fact.officers, fact.reason, fact.passage) == (
        "take_pictures",
        HANDS,
        "checked on camera",
        1,
    )
    ((number, moment),) = [(each.passage, each.moment) for each in shot(effects)]
    assert (number, moment) == (1, "asked")
    assert [type(effect) for effect in effects] == [Commit, AnswerCommand, TakePicture]
    assert but_for_pictures(play.lane) == but_for_pictures(before)


def but_for_pictures(lane: Lane) -> object:
    """The lane but for what it remembers of commands, its last commit, and that pictures were asked for."""
    passage = lane.passage
    if passage is not None:
        passage = msgspec.structs.replace(passage, pictures_asked=0)  # type: ignore[type-var]
    return msgspec.structs.replace(
        lane,
        commands=(),
        in_flight=None,
        behind=(),
        passage=passage,
        cameras_asked=frozenset(),
        cameras_asked_s=0.0,
    )  # type: ignore[type-var]


def test_what_is_known_of_it_stands_under_the_picture() -> None:
    (asked,) = shot(given(with_cameras(held()), command(PICTURE)))
    assert (asked.plate, asked.slip_no, asked.gross_kg) == (PLATE, SLIP, "25000")


@pytest.mark.parametrize("begun", [Play, at_rest, shut, backed_out], ids=lambda f: f.__name__)
def test_of_who_is_not_in_the_lane_there_is_no_picture(begun: Callable[[], Play]) -> None:
    """S5."""
    play = with_cameras(begun())
    effects = given(play, command(PICTURE))
    assert answers(effects) == [(REFUSED, "passage 1 is not in the lane, nobody is")]
    assert (shot(effects), kinds(effects)) == ([], ["command_taken"])


def test_what_was_asked_of_one_vehicle_is_not_taken_of_the_next() -> None:
    """S5."""
    play = with_cameras(backed_out())
    play.arrive("25000")
    effects = given(play, command(PICTURE))
    assert answers(effects) == [(REFUSED, "passage 1 is not in the lane, passage 2 is")]
    assert shot(effects) == []


def test_a_lane_without_cameras_says_so() -> None:
    effects = given(held(), command(PICTURE))
    assert answers(effects) == [(REFUSED, "this lane has no camera that takes pictures")]
    assert shot(effects) == []


def test_the_same_request_again_is_one_picture() -> None:
    play = with_cameras(held())
    given(play, command(PICTURE))
    assert given(play, command(PICTURE)) == [AnswerCommand("command-1", DONE, "asked: front, rear")]


def again(play: Play, number: int = 2) -> list[Effect]:
    return given(play, command(PICTURE, command_id=f"command-{number}"))


def test_the_next_request_waits_until_every_camera_has_answered_this_one() -> None:
    play = with_cameras(held())
    given(play, command(PICTURE))
    assert answers(again(play)) == [(REFUSED, "not answered yet: front, rear")]
    play.say(PictureKept(1, "asked", "rear", "a" * 64, 1), PictureKept(1, "ruling", "front", "b" * 64, 1))
    assert answers(again(play, 3)) == [(REFUSED, "not answered yet: front")]
    play.say(PictureFailed(1, "asked", "front", "it has shown the same picture for 40 s"))
    assert answers(again(play, 4)) == [(DONE, "asked: front, rear")]


def test_a_step_that_got_no_picture_answers_no_request() -> None:
    play = with_cameras(held(), "front")
    given(play, command(PICTURE))
    play.say(PictureFailed(1, "ruling", "front", "timed out"))
    assert answers(again(play)) == [(REFUSED, "not answered yet: front")]


def test_an_answer_that_never_comes_is_not_waited_for_for_ever() -> None:
    play = with_cameras(held())
    given(play, command(PICTURE))
    play.at_s += 29.5
    assert answers(again(play)) == [(REFUSED, "not answered yet: front, rear")]
    play.at_s += 0.6
    assert answers(again(play, 3)) == [(DONE, "asked: front, rear")]


def test_one_vehicle_is_not_pictured_without_end() -> None:
    play = with_cameras(held(), "front")
    for number in range(30):
        assert answers(again(play, number)) == [(DONE, "asked: front")]
        play.say(PictureKept(1, "asked", "front", f"{number:064d}", 1))
    assert answers(again(play, 30)) == [(REFUSED, "asked 30 times already of passage 1")]


def test_what_the_centre_asked_for_is_a_fact_and_none_of_the_evidence_a_ruling_stands_on() -> None:
    play = with_cameras(held())
    given(play, command(PICTURE))
    kept = play.say(PictureKept(1, "asked", "front", "a" * 64, 1234))
    missed = play.say(PictureFailed(1, "asked", "rear", "no picture yet"))
    told = [t.data for e in [*kept, *missed] if isinstance(e, Commit) for t in e.facts]
    assert told == [
        PictureTaken(passage=1, moment="asked", camera="front", sha256="a" * 64, size_bytes=1234),
        PictureMissed(passage=1, moment="asked", camera="rear", why="no picture yet"),
    ]
    assert play.lane.passage is not None
    assert play.lane.passage.pictures == ()


def test_a_request_is_pictured_although_it_cannot_be_recorded_and_answered_when_it_is() -> None:
    play = with_cameras(held())
    given(play, command(PICTURE))
    effects = play.say(WriteFailed("disk full"), after_s=0.0)
    assert ([each.moment for each in shot(effects)], answers(effects)) == (["asked"], [])
    later = play.say(TimePassed(Timer("journal", 0)))
    assert answers(later) == [(DONE, "asked: front, rear")]
    assert shot(later) == []


class Written(Play):
    """Keeps what was said to it, and when."""

    def __init__(self) -> None:
        self.script: list[tuple[float, Event]] = []
        super().__init__(replace(SETTINGS, cameras=CAMERAS))

    def say(self, *events: Event, after_s: float = 0.1) -> list[Effect]:
        self.script += [(self.at_s + after_s * number, each) for number, each in enumerate(events, start=1)]
        return super().say(*events, after_s=after_s)


def whole_passage() -> Written:
    play = Written()
    play.raised()
    play.under()
    play.clear()
    play.say(InputsRead(MOVING), InputsRead(CLEAR))
    play.say(InputsRead(CLEAR), InputsRead(HERE))
    return play


def hold_and_release() -> Written:
    play = Written()
    play.arrive("25000")
    play.say(OfficerReleased(1, "4604001", "seen", 1), InputsRead(MOVING), InputsRead(UP))
    play.under()
    play.clear()
    play.say(InputsRead(CLEAR))
    return play


def played(script: list[tuple[float, Event]], asked_at: int | None) -> tuple[list[list[Effect]], Lane]:
    """What each of these events had the lane do, but for the pictures and the word of the request."""
    lane, _ = wake(replace(SETTINGS, cameras=CAMERAS), 0.0, None)
    done: list[list[Effect]] = []
    for number, (at_s, event) in enumerate(script):
        lane, effects = step(lane, at_s, event)
        done.append([without_commands(effect) for effect in effects])
        if number == asked_at and lane.passage is not None:
            request = TakePictures(passage=lane.passage.number)
            for more in (
                CommandGiven(command(request)),
                PictureKept(lane.passage.number, "asked", "front", "a" * 64, 1),
                PictureFailed(lane.passage.number, "asked", "rear", "timed out"),
            ):
                lane, _ = step(lane, at_s, more)
    return done, lane


def without_commands(effect: Effect) -> Effect:
    if not isinstance(effect, Commit) or effect.memory is None:
        return effect
    return replace(effect, memory=msgspec.structs.replace(effect.memory, commands=()))


@pytest.mark.parametrize("written", [whole_passage, hold_and_release], ids=lambda f: f.__name__)
def test_asked_at_any_instant_the_lane_does_what_it_does_unasked(written: Callable[[], Written]) -> None:
    """S1-S12: a picture moves nothing, holds nothing up, and no ruling stands on it."""
    script = written().script
    unasked, end = played(script, None)
    assert any(isinstance(effect, TakePicture) for each in unasked for effect in each)
    for asked_at in range(len(script)):
        asked, lane = played(script, asked_at)
        assert asked == unasked, asked_at
        assert but_for_pictures(lane) == but_for_pictures(end), asked_at


# --- closing, revoking, wiping ----------------------------------------------------------------------------

CLOSE = command(LaneClose(), command_id="close-it")


@pytest.mark.parametrize("begun", [Play, at_rest, reading, claiming, held, shut])
@pytest.mark.parametrize("act", [LaneClose(), Revoke()])
def test_a_lane_stops_at_once_where_nobody_is_being_let_through(begun: Callable[[], Play], act: Act) -> None:
    play = begun()
    effects = given(play, command(act))
    assert isinstance(play.lane.phase, Shut)
    assert orders(effects) == []
    assert answers(effects) == [(DONE, "")]
    assert [fact.kind for fact in taken(effects)] == [kind_of_act(act)]


def test_a_claim_goes_back_when_the_lane_is_closed() -> None:
    """S4."""
    effects = given(claiming(), CLOSE)
    assert kinds(effects) == ["alarm", "lane_closed", "uses_returned", "passage_closed", "command_taken"]
    assert alarms(effects) == ["closed_by_centre"]


@pytest.mark.parametrize("begun", [raising, passing, lowering])
@pytest.mark.parametrize("act", [LaneClose(), Revoke()])
def test_whoever_is_being_let_through_goes_on_and_behind_it_the_lane_is_closed(
    begun: Callable[[], Play], act: Act
) -> None:
    play = begun()
    effects = given(play, command(act))
    assert answers(effects) == [(ACCEPTED, "when the arm is down")]
    assert orders(effects) == []
    assert not isinstance(play.lane.phase, Shut)
    if begun is raising:
        play.say(InputsRead(MOVING), InputsRead(UP))
    if begun is not lowering:
        play.under()
        assert orders(play.clear()) == ["LowerArm"]
    end = play.say(InputsRead(HERE))
    assert isinstance(play.lane.phase, Shut)
    assert answers(end) == [(DONE, "")]
    assert kinds(end)[0] == "passage_closed"
    assert [fact.outcome for fact in taken(end)] == ["done"]


def test_only_an_officer_at_the_lane_takes_it_back_into_service() -> None:
    """S12."""
    play = at_rest()
    given(play, CLOSE)
    effects = play.say(InputsRead(replace(CLEAR, reset_key=True)))
    assert isinstance(play.lane.phase, Free)
    assert "lane_reset" in kinds(effects)


def test_a_closing_repeated_after_the_reset_does_not_close_again() -> None:
    play = at_rest()
    given(play, CLOSE)
    play.say(InputsRead(replace(CLEAR, reset_key=True)))
    assert given(play, CLOSE) == [AnswerCommand("close-it", DONE, "")]
    assert isinstance(play.lane.phase, Free)


def test_nobody_resets_a_revoked_lane() -> None:
    play = at_rest()
    given(play, command(Revoke()))
    effects = play.say(InputsRead(replace(CLEAR, reset_key=True)), OfficerReset("4604001"))
    assert isinstance(play.lane.phase, Shut)
    assert kinds(effects) == []
    assert answers(given(play, CLOSE)) == [(DONE, "revoked by the centre")]


def last_memory(effects: list[Effect]) -> Memory:
    memories = [e.memory for e in effects if isinstance(e, Commit) and e.memory is not None]
    return memories[-1]


def test_a_revoked_lane_stays_so_over_a_restart_until_it_has_another_key() -> None:
    """S6."""
    play = Play(replace(SETTINGS, key_id="a" * 32))
    play.say(InputsRead(CLEAR))
    memory = last_memory(given(play, command(Revoke())))
    again, _ = wake(replace(SETTINGS, key_id="a" * 32), 0.0, memory)
    other, _ = wake(replace(SETTINGS, key_id="b" * 32), 0.0, memory)
    again, _ = step(again, 1.0, InputsRead(CLEAR))
    other, _ = step(other, 1.0, InputsRead(CLEAR))
    turned = InputsRead(replace(CLEAR, reset_key=True))
    assert isinstance(step(again, 2.0, turned)[0].phase, Shut)
    assert isinstance(step(other, 2.0, turned)[0].phase, Free)


def test_a_lane_never_revoked_serves_whatever_its_key() -> None:
    play = at_rest()
    memory = last_memory(given(play, CLOSE))
    again, _ = wake(replace(SETTINGS, key_id=""), 0.0, memory)
    again, _ = step(again, 1.0, InputsRead(replace(CLEAR, reset_key=True)))
    assert not again.revoked
    assert isinstance(again.phase, Free)


def test_what_waits_for_the_arm_and_what_was_done_survives_a_restart() -> None:
    """S6."""
    play = passing()
    memory = last_memory(given(play, CLOSE))
    assert memory.closing == CLOSE
    again, _ = wake(SETTINGS, 0.0, memory)
    again, effects = step(again, 1.0, InputsRead(CLEAR))
    assert isinstance(again.phase, Shut)
    assert answers(list(effects)) == [(DONE, "")]
    assert list(step(again, 2.0, CommandGiven(CLOSE))[1]) == [AnswerCommand("close-it", DONE, "")]


def test_of_two_that_wait_for_the_arm_the_later_counts() -> None:
    play = passing()
    given(play, CLOSE)
    effects = given(play, command(Revoke(), command_id="revoke-it"))
    assert answers(effects) == [(REFUSED, "overtaken by revoke-it"), (ACCEPTED, "when the arm is down")]
    play.under()
    play.clear()
    play.say(InputsRead(CLEAR))
    assert play.lane.revoked


@pytest.mark.parametrize("force", [True, False])
def test_wiping_stops_the_lane_first_and_says_what_became_of_it(force: bool) -> None:
    play = at_rest()
    told = command(WipeAct(force=force))
    effects = given(play, told)
    assert isinstance(play.lane.phase, Shut)
    assert play.lane.revoked
    assert [e for e in effects if isinstance(e, Wipe)] == [Wipe(told, force)]
    assert [outcome for outcome, _ in answers(effects)] == [ACCEPTED]
    done = play.say(Wiped(told))
    assert answers(done) == [(DONE, "records and keys are deleted")]
    assert kinds(done) == ["command_taken"]


def test_a_wiping_that_a_power_cut_interrupted_is_begun_again_when_the_centre_asks_again() -> None:
    play = at_rest()
    told = command(WipeAct())
    given(play, told)
    again = given(play, told)
    assert [e for e in again if isinstance(e, Wipe)] == [Wipe(told, False)]
    assert [outcome for outcome, _ in answers(again)] == [ACCEPTED]
    play.say(Wiped(told))
    assert [e for e in given(play, told) if isinstance(e, Wipe)] == []


def test_a_wiping_that_waits_for_the_arm_is_not_begun_by_asking_again() -> None:
    """S2: the lane stops when the arm is down."""
    play = passing()
    told = command(WipeAct())
    given(play, told)
    assert [e for e in given(play, told) if isinstance(e, Wipe)] == []


def test_a_wiping_that_failed_is_told() -> None:
    play = at_rest()
    told = command(WipeAct())
    given(play, told)
    assert answers(play.say(Wiped(told, "lane.pem: Permission denied"))) == [
        (REFUSED, "lane.pem: Permission denied")
    ]


def test_the_arm_still_rises_for_safety_while_the_lane_waits_to_be_closed() -> None:
    """S2."""
    play = lowering()
    given(play, CLOSE)
    assert orders(play.say(InputsRead(UNDER))) == ["RaiseArm"]
    assert not isinstance(play.lane.phase, Shut)


def test_commands_are_remembered_and_the_oldest_forgotten() -> None:
    play = at_rest()
    for number in range(20):
        given(play, command(AskStatus(), command_id=f"status-{number:02d}"))
    assert [each[0] for each in play.lane.commands] == [f"status-{number:02d}" for number in range(4, 20)]
