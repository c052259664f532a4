"""What the centre tells this device to do, and what it is answered: revoked, wiped, resynced, how it is.

Idempotent by command id, over restarts too. What rooms ask for themselves (live picture, the answer to a
release that was asked for) is theirs to answer.
"""

from __future__ import annotations

from typing import Final, assert_never

import msgspec

from edge.handheld.context import Context
from edge.handheld.effects import (
    AnswerCommand,
    Commit,
    Effect,
    LockVault,
    Resync,
    TellStatus,
    Told,
    WipeDevice,
)
from edge.handheld.events import CommandGiven, Wiped
from sync.vocabulary import commands
from sync.vocabulary.commands import Command, Outcome
from sync.vocabulary.facts import Alarm, AlarmCode, CommandTaken, Stream

MOST_COMMANDS: Final = 32
NOT_FOR_A_HANDHELD: Final = "this is a handheld: it has no lane"
NOBODY_ASKED: Final = "this device knows nothing of that"

Event = CommandGiven | Wiped


class State(msgspec.Struct, frozen=True, kw_only=True):
    """Kept with the memory."""

    commands: tuple[tuple[str, Outcome, str], ...] = ()
    """(command id, outcome, why) of the last ones: none is done twice."""
    stopped_by: Command | None = None
    """The device is revoked, and wiped where that was the wish."""
    key_id: str = ""
    """The device key that is trusted no more; with another one the device may serve again."""


def step(state: State, context: Context, event: Event) -> tuple[State, tuple[Effect, ...]]:
    match event:
        case CommandGiven(command):
            return _given(state, context, command)
        case Wiped(command_id, why) if state.stopped_by is not None:
            if state.stopped_by.command_id != command_id:
                return state, ()
            outcome = Outcome.REFUSED if why else Outcome.DONE
            return _answered(state, state.stopped_by, outcome, why)
        case _:
            return state, ()


def woken(state: State, key_id: str) -> State:
    """Enrolled with another key it is another device to the centre: whatever the old one was told is over."""
    return state if state.key_id in ("", key_id) else State()


def _given(state: State, context: Context, command: Command) -> tuple[State, tuple[Effect, ...]]:
    known = next((each for each in state.commands if each[0] == command.command_id), None)
    act = command.act
    if known is not None:
        answer = AnswerCommand(known[0], known[1].value, known[2])
        if isinstance(act, commands.Wipe) and known[1] is Outcome.ACCEPTED:
            # Who does it forgets it with the power: asked again, it is begun again, and begun twice is once.
            return state, (answer, WipeDevice(command.command_id, act.force))
        return state, (answer,)
    match act:
        case commands.Resync():
            return _answered(state, command, Outcome.DONE, "", Resync())
        case commands.AskStatus():
            return _answered(state, command, Outcome.DONE, "", TellStatus())
        case commands.Revoke():
            return _stopped(state, context, command, Outcome.DONE, "")
        case commands.Wipe(force=force):
            waits = "" if force else "when the hub has every fact"
            wipe = WipeDevice(command.command_id, force)
            return _stopped(state, context, command, Outcome.ACCEPTED, waits, wipe)
        case (
            commands.ManualRelease()
            | commands.Supplement()
            | commands.BoardText()
            | commands.TakePictures()
            | commands.LaneClose()
        ):
            return _answered(state, command, Outcome.REFUSED, NOT_FOR_A_HANDHELD)
        case commands.RequestAnswered() | commands.LiveRequest():
            return _answered(state, command, Outcome.REFUSED, NOBODY_ASKED)
        case _:
            assert_never(act)


def _stopped(
    state: State, context: Context, command: Command, outcome: Outcome, why: str, *then: Effect
) -> tuple[State, tuple[Effect, ...]]:
    """Durable before it is answered, and the key is out of memory before anything else."""
    stopped = msgspec.structs.replace(state, stopped_by=command, key_id=context.key_id)
    told = Alarm(
        code=AlarmCode.CLOSED_BY_CENTRE,
        detail=f"{', '.join(command.officers)}: {command.reason}",
        zh="手持机已停用",
        en="Handheld taken out of service",
    )
    after, effects = _answered(stopped, command, outcome, why, *then, alarm=Told(Stream.ALARM, told))
    return after, (LockVault(), *effects)


def _answered(
    state: State, command: Command, outcome: Outcome, why: str, *then: Effect, alarm: Told | None = None
) -> tuple[State, tuple[Effect, ...]]:
    """A fact with the officers' numbers, then the answer, then the deed that needs no fact of its own."""
    why = why[: commands.MAX_REASON]
    taken = CommandTaken(
        command_id=command.command_id,
        kind=commands.kind_of_act(command.act),
        officers=command.officers,
        reason=command.reason,
        outcome=outcome.value,
        why=why,
    )
    facts = (Told(Stream.ROUTINE, taken), *([] if alarm is None else [alarm]))
    others = tuple(each for each in state.commands if each[0] != command.command_id)
    kept = (*others, (command.command_id, outcome, why))[-MOST_COMMANDS:]
    after = msgspec.structs.replace(state, commands=kept)
    return after, (Commit(facts), AnswerCommand(command.command_id, outcome.value, why), *then)
