"""实时音视频 as the officer meets it: asked and answered, begun, shown, ended; every word of it a fact."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.handheld import live
from edge.handheld.context import Context, SignedIn
from edge.handheld.effects import AnswerCommand, Commit, Effect, EndLive, GoLive, SetLive, Sound, WakeAfter
from edge.handheld.events import CommandGiven, TimePassed
from edge.handheld.live import LiveFlow
from edge.handheld.live.consent import ANSWER, LIMIT, OWN_LIMIT_S, HolderChanged
from sync.vocabulary.commands import Command, LiveRequest
from sync.vocabulary.facts import CommandTaken, FactData
from sync.vocabulary.handheld_facts import LiveAnswered, LiveBegan, LiveEnded, LiveRecorded
from sync.vocabulary.numbers import UtcText

OFFICER, CENTRE = "4604001", "4604009"
HERE = Context(
    at_s=100.0,
    utc="2026-11-22T06:00:00.000000Z",
    device="hand-1",
    officer=SignedIn(officer_no=OFFICER, authorisations=("inspect",), since_s=0.0),
)
NOBODY = msgspec.structs.replace(HERE, officer=None)
SEEN = LiveFlow(is_connected=True, watchers=(CENTRE,), columns=640, rows=480, quality=60, pictures_a_s=12.0)


def asked(command_id: str = "command-1", **wanted: object) -> CommandGiven:
    return CommandGiven(
        Command(
            command_id=command_id,
            device="hand-1",
            nonce="0" * 32,
            issued=UtcText("2026-11-22T06:00:00.000000Z"),
            valid_s=60,
            officers=(CENTRE,),
            reason="show me pallet 7",
            act=msgspec.structs.replace(LiveRequest(), **wanted),
        )
    )


@dataclass
class Play:
    state: live.State = field(default_factory=live.State)
    here: Context = HERE
    all: list[Effect] = field(default_factory=list)

    def do(self, *events: object, after_s: float = 0.0) -> list[Effect]:
        self.here = msgspec.structs.replace(self.here, at_s=self.here.at_s + after_s)
        done: list[Effect] = []
        for event in events:
            self.state, effects = live.step(self.state, self.here, event)
            done += effects
        self.all += done
        return done

    @property
    def session(self) -> str:
        assert self.state.live is not None
        return self.state.live.session

    @property
    def view(self) -> live.LiveView:
        return live.view(self.state, self.here)


def facts(effects: list[Effect]) -> list[FactData]:
    return [told.data for effect in effects if isinstance(effect, Commit) for told in effect.facts]


def test_nothing_goes_out_before_the_consent_is_durable() -> None:
    play = Play()
    assert not [each for each in play.do(asked()) if isinstance(each, GoLive)]
    effects = play.do(live.LiveAccepted())
    kinds = [type(each) for each in effects]
    assert kinds.index(Commit) < kinds.index(GoLive) < kinds.index(AnswerCommand)
    answered, taken, began = facts(effects)
    assert answered == LiveAnswered(
        session="command-1", officers=(CENTRE,), reason="show me pallet 7", officer=OFFICER, answer="accepted"
    )
    assert isinstance(taken, CommandTaken)
    assert began == LiveBegan(
        session="command-1", officer=OFFICER, by="centre", sound=True, may_be_recorded=False, limit_s=300.0
    )


def test_the_officer_is_told_who_asks_and_why_and_how_long_there_is_to_answer() -> None:
    play = Play()
    effects = play.do(asked(answer_within_s=20, record=True))
    assert [type(each) for each in effects] == [AnswerCommand, Sound, WakeAfter]
    play.here = msgspec.structs.replace(play.here, at_s=play.here.at_s + 5)
    assert play.view.phase == "asked"
    assert play.view.left_s == 15.0
    assert play.view.asks_record
    assert play.view.message is not None
    assert (CENTRE in play.view.message.en, "pallet 7" in play.view.message.zh) == (True, True)


def test_no_is_a_fact_and_an_answer() -> None:
    play = Play()
    play.do(asked())
    effects = play.do(live.LiveDeclined())
    told = facts(effects)[0]
    assert isinstance(told, LiveAnswered)
    assert (told.answer, told.officer) == ("refused", OFFICER)
    assert AnswerCommand("command-1", "refused", "the officer said no") in effects
    assert not live.is_live(play.state)


def test_no_answer_in_time_is_no() -> None:
    play = Play()
    play.do(asked(answer_within_s=20))
    assert play.do(TimePassed(ANSWER), after_s=19.0) == [WakeAfter(ANSWER, 1.0)]
    told = facts(play.do(TimePassed(ANSWER), after_s=1.0))[0]
    assert isinstance(told, LiveAnswered)
    assert told.answer == "unanswered"


def test_a_yes_that_comes_too_late_is_no() -> None:
    play = Play()
    play.do(asked(answer_within_s=20))
    effects = play.do(live.LiveAccepted(), after_s=20.0)
    assert not [each for each in effects if isinstance(each, GoLive)]


def test_with_nobody_signed_in_nobody_can_consent() -> None:
    play = Play(here=NOBODY)
    effects = play.do(asked(), live.LiveAccepted(), live.LiveBegun())
    assert [each.outcome for each in effects if isinstance(each, AnswerCommand)] == ["refused"]
    assert not [each for each in effects if isinstance(each, GoLive)]


def test_the_same_command_gets_the_same_answer() -> None:
    play = Play()
    play.do(asked())
    assert play.do(asked()) == [AnswerCommand("command-1", "accepted", "the officer is asked")]
    play.do(live.LiveDeclined())
    assert play.do(asked()) == [AnswerCommand("command-1", "refused", "the officer said no")]


def test_a_second_wish_while_one_waits_or_runs_is_refused() -> None:
    play = Play()
    play.do(asked())
    second = play.do(asked("command-2"))
    assert [each.outcome for each in second if isinstance(each, AnswerCommand)] == ["refused"]
    play.do(live.LiveAccepted())
    third = play.do(asked("command-3"))
    assert [each.outcome for each in third if isinstance(each, AnswerCommand)] == ["refused"]
    assert play.session == "command-1"


@pytest.mark.parametrize(
    ("wanted", "given_", "comes"), [(True, False, False), (False, True, False), (True, True, True)]
)
def test_consent_gives_never_more_than_was_asked_for_and_may_give_less(
    wanted: bool, given_: bool, comes: bool
) -> None:
    play = Play()
    play.do(asked(sound=wanted, record=wanted))
    effects = play.do(live.LiveAccepted(sound=given_, may_be_recorded=given_))
    (go,) = [each for each in effects if isinstance(each, GoLive)]
    assert (go.sound, go.may_be_recorded) == (comes, comes)


def test_an_officer_begins_one_alone() -> None:
    play = Play()
    (go,) = [each for each in play.do(live.LiveBegun(sound=False)) if isinstance(each, GoLive)]
    assert (go.officer, go.sound, go.limit_s) == (OFFICER, False, OWN_LIMIT_S)
    assert play.do(live.LiveBegun()) == []


def test_the_mark_stands_from_the_first_moment_to_the_last() -> None:
    play = Play()
    assert live.mark(play.state) is None
    play.do(live.LiveBegun())
    assert live.mark(play.state) is not None
    play.do(live.LiveChanged(play.session, SEEN))
    shown = live.mark(play.state)
    assert shown is not None
    assert (CENTRE in shown.en, "RECORDED" in shown.en) == (True, False)
    session = play.session
    play.do(live.LiveStopped())
    assert live.mark(play.state) is not None
    play.do(live.LiveClosed(session, "officer"))
    assert live.mark(play.state) is None


def test_that_it_is_kept_is_shown_heard_and_written_down() -> None:
    play = Play()
    play.do(live.LiveBegun(may_be_recorded=True))
    play.do(live.LiveChanged(play.session, SEEN))
    effects = play.do(live.LiveChanged(play.session, replace(SEEN, is_recorded=True)))
    assert facts(effects) == [LiveRecorded(session=play.session, recorded=True, watchers=(CENTRE,))]
    assert [each for each in effects if isinstance(each, Sound)]
    shown = live.mark(play.state)
    assert shown is not None
    assert ("RECORDED" in shown.en, "留存" in shown.zh) == (True, True)
    ended = facts(play.do(live.LiveClosed(play.session, "centre")))[0]
    assert isinstance(ended, LiveEnded)
    assert ended.was_recorded


def test_muting_and_hiding_go_out_at_once_and_are_shown() -> None:
    play = Play()
    play.do(live.LiveBegun())
    play.do(live.LiveChanged(play.session, SEEN))
    assert play.do(live.LiveMuted(True)) == [SetLive(play.session, muted=True, hidden=False)]
    assert play.do(live.LiveHidden(True)) == [SetLive(play.session, muted=True, hidden=True)]
    shown = live.mark(play.state)
    assert shown is not None
    assert ("no sound" in shown.en, "no picture" in shown.en) == (True, True)


def test_the_time_limit_ends_it() -> None:
    play = Play()
    play.do(asked(limit_s=60), live.LiveAccepted())
    assert play.do(TimePassed(LIMIT), after_s=59.0) == [WakeAfter(LIMIT, 1.0)]
    assert play.do(TimePassed(LIMIT), after_s=1.0) == [EndLive("command-1")]
    ended = facts(play.do(live.LiveClosed("command-1", "officer"), after_s=0.5))[0]
    assert isinstance(ended, LiveEnded)
    assert (ended.why, ended.seconds) == ("time", 60.5)


@pytest.mark.parametrize("other", [None, "4604002"])
def test_who_holds_the_device_no_more_shows_no_more(other: str | None) -> None:
    play = Play()
    play.do(live.LiveBegun())
    holder = None if other is None else SignedIn(officer_no=other, since_s=0.0)
    play.here = msgspec.structs.replace(play.here, officer=holder)
    assert play.do(HolderChanged()) == [EndLive(play.session)]
    assert play.do(HolderChanged()) == []
    ended = facts(play.do(live.LiveClosed(play.session, "officer")))[0]
    assert isinstance(ended, LiveEnded)
    assert (ended.why, ended.officer) == ("locked", OFFICER)


def test_how_it_ended_is_shown_until_the_next_one() -> None:
    play = Play()
    play.do(live.LiveBegun())
    play.do(live.LiveClosed(play.session, "lost", "the hub was not reached"))
    assert play.view.phase == "idle"
    assert play.view.message is not None
    play.do(asked())
    assert play.state.ended is None


_EVENTS = st.sampled_from(
    [
        asked(),
        asked("command-2", record=True, limit_s=30),
        live.LiveAccepted(),
        live.LiveAccepted(False, True),
        live.LiveDeclined(),
        live.LiveBegun(),
        live.LiveMuted(True),
        live.LiveHidden(True),
        live.LiveStopped(),
        TimePassed(ANSWER),
        TimePassed(LIMIT),
        "changed",
        "recorded",
        "closed",
        "lock",
        "sign in",
    ]
)


@given(st.lists(st.tuples(_EVENTS, st.floats(0, 40)), max_size=40))
def test_whatever_happens_what_goes_out_was_consented_to_and_every_session_has_one_end(
    story: list[tuple[object, float]],
) -> None:
    play, began, ended, going = Play(), 0, 0, 0
    for event, after_s in story:
        session = play.state.live.session if play.state.live is not None else "none"
        match event:
            case "changed":
                event = live.LiveChanged(session, SEEN)
            case "recorded":
                event = live.LiveChanged(session, replace(SEEN, is_recorded=True))
            case "closed":
                event = live.LiveClosed(session, "lost")
            case "lock" | "sign in":
                officer = HERE.officer if event == "sign in" else None
                play.here = msgspec.structs.replace(play.here, officer=officer)
                event = HolderChanged()
            case _:
                pass
        effects = play.do(event, after_s=after_s)
        told = facts(effects)
        began += sum(isinstance(each, LiveBegan) for each in told)
        ended += sum(isinstance(each, LiveEnded) for each in told)
        going += sum(isinstance(each, GoLive) for each in effects)
        assert going == began
        assert began - ended == live.is_live(play.state)
        assert (live.mark(play.state) is not None) == live.is_live(play.state)
        unheld = [each for each in effects if isinstance(each, GoLive) and play.here.officer is None]
        assert unheld == []
