"""Who takes the station out of service, and who back: the centre's commands, an officer's reset."""

from __future__ import annotations

from typing import assert_never

from edge.runtime.values import replace
from edge.xray_bridge.deciding.desks import desk_of, refused_at_desk
from edge.xray_bridge.deciding.state import Acts, Station
from edge.xray_bridge.deciding.telling import alarm, commit
from edge.xray_bridge.effects import AnswerCommand, AnswerDesk, Resync, TellStatus
from sync.vocabulary import commands
from sync.vocabulary import facts as fact
from sync.vocabulary.commands import Command, Outcome
from sync.vocabulary.facts import AlarmCode, CommandTaken

_REVOKED = "revoked by the centre"
_CLOSED = "closed by the centre"
_MOST_COMMANDS = 64


def command_came(station: Station, command: Command) -> tuple[Station, Acts]:
    """Idempotent by command id. The centre may close the station; only an officer at it opens it again."""
    known = next((each for each in station.commands if each[0] == command.command_id), None)
    if known is not None:
        unsaid = any(each.command_id == command.command_id for each in station.unsaid)
        return station, [] if unsaid else [AnswerCommand(*known)]
    match command.act:
        case commands.LaneClose():
            return _closed(station, command, _CLOSED, revoked=station.revoked)
        case commands.Revoke():
            return _closed(station, command, _REVOKED, revoked=True)
        case commands.Wipe():
            why = "the station is revoked; its disk is not deleted by command"
            station, effects = _closed(station, command, _REVOKED, revoked=True, refused=why)
            return station, effects
        case commands.Resync():
            return _answered(station, command, Outcome.DONE, "", [Resync()])
        case commands.AskStatus():
            return _answered(station, command, Outcome.DONE, "", [TellStatus()])
        case (
            commands.ManualRelease() | commands.Supplement() | commands.BoardText() | commands.TakePictures()
        ):
            return _answered(station, command, Outcome.REFUSED, "this is an X-ray station, not a lane")
        case commands.RequestAnswered() | commands.LiveRequest():
            return _answered(station, command, Outcome.REFUSED, "an X-ray station asked nothing")
        case _:
            assert_never(command.act)


def _closed(
    station: Station, command: Command, why: str, *, revoked: bool, refused: str = ""
) -> tuple[Station, Acts]:
    who = f"{', '.join(command.officers)}: {command.reason}"
    station = replace(station, closed=why, revoked=revoked)
    effects: Acts = [
        commit(fact.LaneClosed(why=why)),
        alarm(AlarmCode.CLOSED_BY_CENTRE, who, "中心停用本机", "Closed by the centre"),
    ]
    outcome = Outcome.REFUSED if refused else Outcome.DONE
    return _answered(station, command, outcome, refused, effects)


def _answered(
    station: Station, command: Command, outcome: Outcome, why: str, effects: Acts | None = None
) -> tuple[Station, Acts]:
    """A fact with the officers' numbers, in one transaction with what it did; then the answer."""
    why = why[: commands.MAX_REASON]
    taken = CommandTaken(
        command_id=command.command_id,
        kind=commands.kind_of_act(command.act),
        officers=command.officers,
        reason=command.reason,
        outcome=outcome.value,
        why=why,
    )
    done = (*station.commands, (command.command_id, outcome, why))[-_MOST_COMMANDS:]
    answer = AnswerCommand(command.command_id, outcome, why)
    return replace(station, commands=done), [*(effects or []), commit(taken), answer]


def reset_asked(station: Station, desk: str, officer: str, command: str) -> tuple[Station, Acts]:
    """S12 of a station: only an officer at it takes it back into service. What was revoked stays so."""
    why = refused_at_desk(station, desk, officer)
    found = desk_of(station, desk)
    if not why and found is not None and found.remote:
        why = "not_authorised"
    if not why and station.revoked:
        why = "not_authorised"
    answer = AnswerDesk(desk, 0, not why, why, command)
    if why:
        return station, [answer]
    station = replace(station, closed="", fault="")
    return station, [commit(fact.LaneReset(by=officer)), answer]
