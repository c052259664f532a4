"""A lane's inbox and what it asked for, as plain values, for `edge.runtime.recording`. Decides nothing.

Scrubbed, it is the recording of a twin: the same machine, told the same with stand-ins for everybody's
numbers. What the twin asks for is recorded, so that a scrubbed recording played again asks for exactly that.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edge.gate.effects import Commit, Effect, Memory
from edge.gate.events import Event, TimePassed
from edge.gate.lane import Lane, LaneSettings, step, wake
from edge.gate.scrubbing import KEY_BYTES, Scrubber
from edge.runtime.plain import plain
from sync.vocabulary.facts import kind_of
from sync.vocabulary.uses import SlipUse

PROGRAM: Final = "gate"
KEY_FILE: Final = "recording.key"


@dataclass(frozen=True, slots=True)
class Woken:
    """What a lane's run begins with; `wake` is called with exactly this."""

    settings: LaneSettings
    at_s: float
    memory: Memory | None
    open_uses: tuple[SlipUse, ...]
    down_s: float | None


def woken(begin: Woken) -> tuple[Lane, tuple[Effect, ...]]:
    return wake(begin.settings, begin.at_s, begin.memory, begin.open_uses, begin.down_s)


class LaneScribe:
    """One run's. `scrubber` None: everything is recorded as it is."""

    def __init__(
        self,
        begin: Woken,
        version: str,
        scrubber: Scrubber | None,
        not_recorded: frozenset[str] = frozenset(),
    ) -> None:
        """`not_recorded`: timers of the program's own house-keeping, which the lane never sees."""
        self._version = version
        self._scrub = scrubber
        self._not_recorded = not_recorded
        self._begin = begin if scrubber is None else _scrubbed(begin, scrubber)
        self._lane, self._first = woken(self._begin)
        self._told: tuple[float, Event] | None = None

    def run(self) -> Any:
        return {
            "program": PROGRAM,
            "version": self._version,
            "scrubbed": self._scrub is not None,
            "woken": plain(self._begin),
            "asked": plain(self._first),
        }

    def told(self, at_s: float, event: Event) -> Any | None:
        if isinstance(event, TimePassed) and event.timer.name in self._not_recorded:
            return None
        if self._scrub is not None:
            event = self._scrub(event)
        self._told = at_s, event
        return plain(event)

    def asked(self, state: Lane, effects: Sequence[Effect]) -> dict[str, Any]:
        if self._told is None:
            return {}
        (at_s, event), self._told = self._told, None
        if self._scrub is None:
            self._lane = state
            return {"asked": plain(effects)} if effects else {}
        self._lane, twins = step(self._lane, at_s, event)
        fields: dict[str, Any] = {"asked": plain(twins)} if twins else {}
        if outline(twins) != outline(effects):
            # The order of two slips, a text cut short in another place: worth knowing, and worth no more.
            fields = {"asked": plain(twins), "really": outline(effects)}
        return fields

    def state(self) -> Any:
        return {
            "program": PROGRAM,
            "version": self._version,
            "scrubbed": self._scrub is not None,
            "lane": plain(self._lane),
        }


def outline(effects: Sequence[Effect]) -> list[str]:
    """What was asked for, without who it was about: kinds of effects, kinds of facts."""
    return [
        f"Commit {' '.join(kind_of(told.data) for told in effect.facts)}".strip()
        if isinstance(effect, Commit)
        else type(effect).__name__
        for effect in effects
    ]


def _scrubbed(begin: Woken, scrub: Scrubber) -> Woken:
    return Woken(begin.settings, begin.at_s, scrub(begin.memory), scrub(begin.open_uses), begin.down_s)


def scrub_key(folder: Path) -> bytes:
    """The key of this lane's stand-ins, made when there is none. Deleting it makes what was recorded before
    unlinkable to anybody, and to what is recorded after. Raises `OSError`."""
    path = folder / KEY_FILE
    try:
        key = bytes.fromhex(path.read_text("ascii"))
    except (FileNotFoundError, ValueError):
        key = b""
    if len(key) >= KEY_BYTES:
        return key
    key = secrets.token_bytes(KEY_BYTES)
    fresh = path.with_name(f"{path.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(key.hex())
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    return key
