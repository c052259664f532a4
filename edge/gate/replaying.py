"""Plays a lane's recording through the machine of this version and tells where it asks for something else.

Reads a file, moves nothing. What the recording says was asked is compared with what is asked now, value by
value; a wanted change shows as a difference, and an unwanted one too.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from edge.gate.effects import Effect
from edge.gate.events import Event
from edge.gate.lane import Lane, step
from edge.gate.recording import PROGRAM, Woken, woken
from edge.runtime.plain import KIND, NotThisShape, plain, value_of
from edge.runtime.recording import Began, Recorded, read_recording

MOST_TEXT: Final = 400


class ReplayRefused(ValueError):
    """The file is no recording of a lane that this version can read; the text says why."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One event after which something else was asked for than recorded."""

    line: int
    at_s: float
    source: str
    event: Any
    expected: list[Any]
    got: list[Any]

    def diff(self) -> Iterator[str]:
        """Lines beginning with `-` (recorded), `+` (asked for now) or a blank."""
        before = [line for effect in self.expected for line in _lines(effect)]
        after = [line for effect in self.got for line in _lines(effect)]
        for line in difflib.unified_diff(before, after, n=2, lineterm=""):
            if not line.startswith(("---", "+++", "@@")):
                yield line


@dataclass(slots=True)
class Replayed:
    """What came of it."""

    runs: int = 0
    events: int = 0
    effects: int = 0
    differences: list[Difference] = field(default_factory=list)
    """The first `most`."""
    different: int = 0
    version: str = ""
    """Of the program that recorded."""
    scrubbed: bool = False
    left_out: set[str] = field(default_factory=set)
    """Fields in the recording that this version does not have."""
    otherwise: int = 0
    """Events at which the lane itself asked otherwise than its scrubbed twin."""

    @property
    def same(self) -> bool:
        return self.different == 0


def replay(path: Path, *, most: int = 20) -> Replayed:
    """Raises `ReplayRefused`. `most`: so many differences are kept; all are counted."""
    player = _Player(most)
    try:
        for item in read_recording(path):
            player.play(item)
    except (OSError, EOFError) as error:
        raise ReplayRefused(f"{path}: cannot be read: {error}") from error
    except ReplayRefused as refused:
        raise ReplayRefused(f"{path}, {refused}") from refused
    except ValueError as error:
        raise ReplayRefused(str(error)) from error
    if not player.replayed.events:
        raise ReplayRefused(f"{path}: holds no event")
    return player.replayed


class _Player:
    def __init__(self, most: int) -> None:
        self.replayed = Replayed()
        self._most = most
        self._lane: Lane | None = None

    def play(self, item: Began | Recorded) -> None:
        match item:
            case Began():
                self._begin(item)
            case Recorded():
                self._step(item)

    def _begin(self, item: Began) -> None:
        self.replayed.runs += 1
        begin = item.run if item.run is not None else item.state
        if not isinstance(begin, dict) or begin.get("program") != PROGRAM:
            raise ReplayRefused(f"line {item.line}: expected a recording of `kakou gate`")
        self.replayed.version = str(begin.get("version", ""))
        self.replayed.scrubbed = bool(begin.get("scrubbed"))
        if item.run is None:
            self._lane = self._value(Lane, begin.get("lane"), item.line, "state")
            return
        self._lane, effects = woken(self._value(Woken, begin.get("woken"), item.line, "woken"))
        self._compare(item.line, item.at_s, "start", {KIND: "wake"}, begin.get("asked", []), effects)

    def _step(self, item: Recorded) -> None:
        if self._lane is None:
            raise ReplayRefused(f"line {item.line}: expected the beginning of a run")
        event: Event = self._value(Event, item.event, item.line, "event")
        self._lane, effects = step(self._lane, item.at_s, event)
        self.replayed.events += 1
        self.replayed.otherwise += "really" in item.asked
        if item.last and not item.asked:
            # The program ended here: what it would have asked for nobody knows.
            return
        self._compare(item.line, item.at_s, item.source, item.event, item.asked.get("asked", []), effects)

    def _compare(
        self,
        line: int,
        at_s: float,
        source: str,
        event: Any,
        expected: list[Any],
        effects: tuple[Effect, ...],
    ) -> None:
        got = plain(effects)
        self.replayed.effects += len(got)
        if got == expected:
            return
        expected = [self._as_now(each) for each in expected]
        if got == expected:
            return
        self.replayed.different += 1
        if len(self.replayed.differences) < self._most:
            self.replayed.differences.append(Difference(line, at_s, source, event, expected, got))

    def _as_now(self, effect: Any) -> Any:
        """A recorded effect as this version would write it: a field it did not have has its default."""
        try:
            return plain(value_of(Effect, effect, left_out=self.replayed.left_out.add))
        except NotThisShape:
            return effect

    def _value(self, kind: Any, given: Any, line: int, what: str) -> Any:
        try:
            return value_of(kind, given, what, self.replayed.left_out.add)
        except NotThisShape as error:
            raise ReplayRefused(f"line {line}: this version cannot read it: {error}") from error


def _lines(effect: Any) -> list[str]:
    """An effect as text, a line a field, so that a diff points at the field."""
    if not isinstance(effect, dict):
        return [json.dumps(effect, ensure_ascii=False)[:MOST_TEXT]]
    return [f"{effect.get(KIND, '')}", *_fields("  ", effect)]


def _fields(indent: str, table: dict[str, Any]) -> Iterator[str]:
    for name, value in table.items():
        if name == KIND:
            continue
        if isinstance(value, dict):
            yield f"{indent}{name}: {value.get(KIND, '')}".rstrip()
            yield from _fields(indent + "  ", value)
        elif isinstance(value, list) and any(isinstance(each, dict) for each in value):
            yield f"{indent}{name}:"
            for each in value:
                if isinstance(each, dict):
                    yield f"{indent}- {each.get(KIND, '')}".rstrip()
                    yield from _fields(indent + "    ", each)
                else:
                    yield f"{indent}- {json.dumps(each, ensure_ascii=False)[:MOST_TEXT]}"
        else:
            yield f"{indent}{name}: {json.dumps(value, ensure_ascii=False)[:MOST_TEXT]}"
