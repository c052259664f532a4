"""实时音视频: who lets the centre see and hear, for how long, and what shows that it does. Pure.

Nothing goes out before the officer who holds the device has said yes and that is durable; the mark stands on
every screen while anything may go out; every way a session ends is a fact. What travels, and how, is
`session` and `connection`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

from edge.handheld.context import Context
from edge.handheld.effects import (
    AnswerCommand,
    Commit,
    Effect,
    EndLive,
    GoLive,
    SetLive,
    Sound,
    Told,
    Tone,
    WakeAfter,
)
from edge.handheld.events import CommandGiven, TimePassed
from sync.vocabulary.commands import Command, LiveRequest, Outcome
from sync.vocabulary.facts import CommandTaken, FactData, Stream
from sync.vocabulary.handheld_facts import LiveAnswered, LiveBegan, LiveEnded, LiveRecorded
from sync.vocabulary.rulings import Text

ANSWER: Final = "live_answer"
LIMIT: Final = "live_limit"
OWN_LIMIT_S: Final = 600.0
"""Of a session the officer began."""
MOST_ANSWERS: Final = 8

Why = Literal["officer", "centre", "time", "unwatched", "lost", "refused", "locked", "failed"]


# --- what the officer wants ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LiveBegun:
    """The officer begins a session, without being asked."""

    sound: bool = True
    may_be_recorded: bool = False


@dataclass(frozen=True, slots=True)
class LiveAccepted:
    """Yes to the centre's wish; sound and keeping may be left out."""

    sound: bool = True
    may_be_recorded: bool = False


@dataclass(frozen=True, slots=True)
class LiveDeclined:
    pass


@dataclass(frozen=True, slots=True)
class LiveMuted:
    muted: bool


@dataclass(frozen=True, slots=True)
class LiveHidden:
    """No pictures for a while; the session goes on."""

    hidden: bool


@dataclass(frozen=True, slots=True)
class LiveStopped:
    pass


Intent = LiveBegun | LiveAccepted | LiveDeclined | LiveMuted | LiveHidden | LiveStopped


# --- what the connection tells ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LiveFlow:
    """How it goes, about once a second."""

    is_connected: bool = False
    watchers: tuple[str, ...] = ()
    """Officers at the centre; empty: nobody sees anything, and nothing is sent."""
    is_recorded: bool = False
    columns: int = 0
    rows: int = 0
    quality: int = 0
    """Of JPEG, 1 to 100."""
    pictures_a_s: float = 0.0
    bits_a_s: float = 0.0
    delay_s: float = 0.0
    """From a picture's taking to the hub's word that it is there."""


@dataclass(frozen=True, slots=True)
class LiveTally:
    """What a session came to."""

    pictures: int = 0
    sound_s: float = 0.0
    sent_bytes: int = 0


@dataclass(frozen=True, slots=True)
class LiveChanged:
    session: str
    flow: LiveFlow


@dataclass(frozen=True, slots=True)
class LiveClosed:
    """Nothing goes out any more: the last word of a session."""

    session: str
    why: Why
    detail: str = ""
    tally: LiveTally = LiveTally()


@dataclass(frozen=True, slots=True)
class HolderChanged:
    """Signed in, out, or locked: told at once, so that nobody goes on showing for another."""


Event = Intent | LiveChanged | LiveClosed | HolderChanged | CommandGiven | TimePassed


# --- state --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asked:
    """The centre waits for a yes."""

    command: Command
    until_s: float


@dataclass(frozen=True, slots=True)
class Live:
    session: str
    officer: str
    by: Literal["officer", "centre"]
    sound: bool
    may_be_recorded: bool
    began_s: float
    limit_s: float
    muted: bool = False
    hidden: bool = False
    ending: Why | None = None
    """Said to the connection; until it has closed, the mark stays."""
    flow: LiveFlow = LiveFlow()
    seen_by: tuple[str, ...] = ()
    was_recorded: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """Never kept over a restart: a session ends with the program."""

    asked: Asked | None = None
    live: Live | None = None
    ended: tuple[str, str] | None = None
    """How the last one ended: why, detail."""
    answers: tuple[tuple[str, Outcome, str], ...] = ()
    """Of the last commands: the same command gets the same answer."""


Step = tuple[State, tuple[Effect, ...]]


def is_live(state: State) -> bool:
    """For `Context.is_live`."""
    return state.live is not None


def step(state: State, context: Context, event: object) -> Step:
    """Events of other rooms change nothing, but whoever consented and holds the device no more ends it."""
    live = state.live
    if live is not None and live.ending is None and _holder(context) != live.officer:
        after, effects = _end(state, live, "locked")
        again, more = step(after, context, event)
        return again, (*effects, *more)
    match event:
        case CommandGiven(command) if isinstance(command.act, LiveRequest):
            return _wanted(state, context, command, command.act)
        case LiveAccepted(sound, may_be_recorded) if state.asked is not None:
            return _accepted(state, context, state.asked, sound, may_be_recorded)
        case LiveDeclined() if state.asked is not None:
            return _answer(state, context, state.asked.command, "refused", "the officer said no")
        case TimePassed(name) if name == ANSWER and state.asked is not None:
            if context.at_s < state.asked.until_s:
                return state, (WakeAfter(ANSWER, state.asked.until_s - context.at_s),)
            return _answer(state, context, state.asked.command, "unanswered", "nobody answered in time")
        case LiveBegun(sound, may_be_recorded) if live is None and state.asked is None:
            officer = _holder(context)
            if not officer:
                return state, ()
            began = Live(
                f"live-{_id_of(context.utc)}",
                officer,
                "officer",
                sound,
                may_be_recorded,
                context.at_s,
                OWN_LIMIT_S,
            )
            return _began(state, began, "", ())
        case LiveMuted(muted) if live is not None and live.sound and live.ending is None:
            return _set(state, replace(live, muted=muted))
        case LiveHidden(hidden) if live is not None and live.ending is None:
            return _set(state, replace(live, hidden=hidden))
        case LiveStopped() if live is not None and live.ending is None:
            return _end(state, live, "officer")
        case TimePassed(name) if name == LIMIT and live is not None and live.ending is None:
            left_s = live.began_s + live.limit_s - context.at_s
            return (state, (WakeAfter(LIMIT, left_s),)) if left_s > 0 else _end(state, live, "time")
        case LiveChanged(session, flow) if live is not None and session == live.session:
            return _changed(state, live, flow)
        case LiveClosed(session) if live is not None and session == live.session:
            return _closed(state, context, live, event)
        case _:
            return state, ()


def _holder(context: Context) -> str:
    return "" if context.officer is None else context.officer.officer_no


def _id_of(utc: str) -> str:
    return "".join(each for each in utc if each.isalnum() or each in ".-")[:50]


def _wanted(state: State, context: Context, command: Command, act: LiveRequest) -> Step:
    known = next((each for each in state.answers if each[0] == command.command_id), None)
    if known is not None:
        return state, (AnswerCommand(known[0], known[1].value, known[2]),)
    if state.asked is not None and state.asked.command.command_id == command.command_id:
        return state, ()
    problem = ""
    if not _holder(context):
        problem = "nobody is signed in who could consent"
    elif state.live is not None:
        problem = "a session is under way already"
    elif state.asked is not None:
        problem = "another request waits for its answer"
    if problem:
        return _answer(state, context, command, "impossible", problem)
    asked = Asked(command, context.at_s + act.answer_within_s)
    waits = _kept(state, command.command_id, Outcome.ACCEPTED, "the officer is asked")
    # A repeated command while the officer thinks it over gets the same word again.
    effects = (
        AnswerCommand(command.command_id, Outcome.ACCEPTED.value, "the officer is asked"),
        Sound(Tone.INSPECT),
        WakeAfter(ANSWER, float(act.answer_within_s)),
    )
    return replace(waits, asked=asked, ended=None), effects


def _accepted(state: State, context: Context, asked: Asked, sound: bool, may_be_recorded: bool) -> Step:
    act = asked.command.act
    officer = _holder(context)
    if not isinstance(act, LiveRequest) or not officer or context.at_s >= asked.until_s:
        return _answer(state, context, asked.command, "unanswered", "nobody answered in time")
    # Never more than was asked for.
    live = Live(
        asked.command.command_id,
        officer,
        "centre",
        sound and act.sound,
        may_be_recorded and act.record,
        context.at_s,
        float(act.limit_s),
    )
    command = asked.command
    answered = LiveAnswered(
        session=command.command_id,
        officers=command.officers,
        reason=command.reason,
        officer=officer,
        answer="accepted",
    )
    after = replace(_kept(state, command.command_id, Outcome.DONE, ""), asked=None)
    began, effects = _began(after, live, command.reason, (answered, _taken(command, Outcome.DONE, "")))
    return began, (*effects, AnswerCommand(command.command_id, Outcome.DONE.value))


def _answer(
    state: State,
    context: Context,
    command: Command,
    answer: Literal["refused", "unanswered", "impossible"],
    why: str,
) -> Step:
    """No, in one of its ways."""
    who = _holder(context) if answer == "refused" else ""
    facts: tuple[FactData, ...] = (
        LiveAnswered(
            session=command.command_id,
            officers=command.officers,
            reason=command.reason,
            officer=who,
            answer=answer,
            why=why,
        ),
        _taken(command, Outcome.REFUSED, why),
    )
    after = _kept(state, command.command_id, Outcome.REFUSED, why)
    if state.asked is not None and state.asked.command.command_id == command.command_id:
        after = replace(after, asked=None)
    return after, (_commit(facts), AnswerCommand(command.command_id, Outcome.REFUSED.value, why))


def _taken(command: Command, outcome: Outcome, why: str) -> CommandTaken:
    return CommandTaken(
        command_id=command.command_id,
        kind="live_request",
        officers=command.officers,
        reason=command.reason,
        outcome=outcome.value,
        why=why,
    )


def _kept(state: State, command_id: str, outcome: Outcome, why: str) -> State:
    others = tuple(each for each in state.answers if each[0] != command_id)
    return replace(state, answers=(*others, (command_id, outcome, why))[-MOST_ANSWERS:])


def _began(state: State, live: Live, reason: str, facts: tuple[FactData, ...]) -> Step:
    began = LiveBegan(
        session=live.session,
        officer=live.officer,
        by=live.by,
        sound=live.sound,
        may_be_recorded=live.may_be_recorded,
        limit_s=live.limit_s,
    )
    effects = (
        _commit((*facts, began)),
        GoLive(live.session, live.officer, live.sound, live.may_be_recorded, live.limit_s, reason),
        WakeAfter(LIMIT, live.limit_s),
    )
    return replace(state, live=live, ended=None), effects


def _set(state: State, live: Live) -> Step:
    return replace(state, live=live), (SetLive(live.session, live.muted, live.hidden),)


def _end(state: State, live: Live, why: Why) -> Step:
    return replace(state, live=replace(live, ending=why)), (EndLive(live.session),)


def _changed(state: State, live: Live, flow: LiveFlow) -> Step:
    seen_by = tuple(dict.fromkeys((*live.seen_by, *flow.watchers)))
    after = replace(live, flow=flow, seen_by=seen_by, was_recorded=live.was_recorded or flow.is_recorded)
    changed = replace(state, live=after)
    if flow.is_recorded == live.flow.is_recorded:
        return changed, ()
    told = LiveRecorded(session=live.session, recorded=flow.is_recorded, watchers=flow.watchers)
    return changed, (_commit((told,)), Sound(Tone.INSPECT))


def _closed(state: State, context: Context, live: Live, closed: LiveClosed) -> Step:
    why = live.ending or closed.why
    ended = LiveEnded(
        session=live.session,
        officer=live.officer,
        why=why,
        detail=closed.detail,
        seconds=max(0.0, context.at_s - live.began_s),
        pictures=closed.tally.pictures,
        sound_s=closed.tally.sound_s,
        sent_bytes=closed.tally.sent_bytes,
        watchers=live.seen_by,
        was_recorded=live.was_recorded,
    )
    return replace(state, live=None, ended=(why, closed.detail)), (_commit((ended,)),)


def _commit(facts: tuple[FactData, ...]) -> Commit:
    return Commit(tuple(Told(Stream.ROUTINE, each) for each in facts))


# --- what is shown ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LiveView:
    phase: Literal["idle", "asked", "connecting", "waiting", "live", "ending"]
    """`waiting`: connected, nobody watches yet; nothing goes out."""
    title: Text
    message: Text | None
    """Why the last one ended, or what the centre asks for."""
    mark: Text | None
    """Stands on every page while this is not None, and cannot be put away."""
    left_s: float
    """Until the question or the session ends."""
    watchers: tuple[str, ...]
    is_recorded: bool
    asks_record: bool
    """With `asked`: the centre wants to keep it."""
    asks_sound: bool
    may_be_recorded: bool
    sound: bool
    muted: bool
    hidden: bool
    may_begin: bool
    flow: Text | None
    """Size, rate and delay, in figures."""


_TITLES: Final = {
    "idle": Text("实时音视频", "Live to the centre"),
    "asked": Text("中心请求实时画面", "The centre asks to see"),
    "connecting": Text("正在连接中心", "Connecting to the centre"),
    "waiting": Text("等待中心接听", "Waiting for the centre"),
    "live": Text("中心正在观看", "The centre is watching"),
    "ending": Text("正在结束", "Ending"),
}
_ENDS: Final[dict[str, Text]] = {
    "officer": Text("已由关员结束", "Ended by the officer"),
    "centre": Text("中心已结束", "Ended by the centre"),
    "time": Text("已到时限", "Time limit reached"),
    "unwatched": Text("中心无人接听", "Nobody at the centre answered"),
    "lost": Text("连接中断", "Connection lost"),
    "refused": Text("中心拒绝连接", "The centre refused the connection"),
    "locked": Text("关员已退出或锁定", "The officer signed out or locked"),
    "failed": Text("摄像头或麦克风故障", "Camera or microphone failed"),
}


def view(state: State, context: Context) -> LiveView:
    asked, live = state.asked, state.live
    phase: Literal["idle", "asked", "connecting", "waiting", "live", "ending"] = "idle"
    message = None if state.ended is None else _ENDS.get(state.ended[0])
    left_s = 0.0
    asks = LiveRequest(sound=False)
    if asked is not None and isinstance(asked.command.act, LiveRequest):
        phase, asks = "asked", asked.command.act
        left_s = max(0.0, asked.until_s - context.at_s)
        who = "、".join(asked.command.officers)
        message = Text(
            f"{who}：{asked.command.reason}", f"{', '.join(asked.command.officers)}: {asked.command.reason}"
        )
    if live is not None:
        left_s = max(0.0, live.began_s + live.limit_s - context.at_s)
        message = None
        phase = "live" if live.flow.watchers else "waiting" if live.flow.is_connected else "connecting"
        phase = "ending" if live.ending is not None else phase
    return LiveView(
        phase=phase,
        title=_TITLES[phase],
        message=message,
        mark=mark(state),
        left_s=left_s,
        watchers=() if live is None else live.flow.watchers,
        is_recorded=live is not None and live.flow.is_recorded,
        asks_record=asked is not None and asks.record,
        asks_sound=asked is not None and asks.sound,
        may_be_recorded=live is not None and live.may_be_recorded,
        sound=live is not None and live.sound,
        muted=live is not None and live.muted,
        hidden=live is not None and live.hidden,
        may_begin=live is None and asked is None and context.officer is not None,
        flow=None if live is None or not live.flow.pictures_a_s else _figures(live.flow),
    )


def is_asked(state: State) -> bool:
    """The centre waits for the officer's word."""
    return state.asked is not None


def mark(state: State) -> Text | None:
    """What stands on every screen while anything may go out; None: nothing can."""
    live = state.live
    if live is None:
        return None
    if not live.flow.watchers:
        return Text("实时传送 · 中心未观看", "LIVE · nobody watches yet")
    zh, en = ["实时传送中"], ["LIVE"]
    if live.flow.is_recorded:
        zh, en = [*zh, "中心正在留存"], [*en, "RECORDED by the centre"]
    if live.hidden:
        zh, en = [*zh, "画面已停"], [*en, "no picture"]
    if live.muted or not live.sound:
        zh, en = [*zh, "静音"], [*en, "no sound"]
    who = ", ".join(live.flow.watchers)
    return Text(f"{' · '.join(zh)} · {who}", f"{' · '.join(en)} · {who}")


def _figures(flow: LiveFlow) -> Text:
    said = f"{flow.columns}×{flow.rows} · {flow.pictures_a_s:.0f}/s · {flow.bits_a_s / 1e6:.1f} Mbit/s"
    return Text(f"{said} · 延时 {flow.delay_s * 1000:.0f} ms", f"{said} · {flow.delay_s * 1000:.0f} ms")
