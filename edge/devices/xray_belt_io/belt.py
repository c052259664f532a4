"""Looks at the belt's board -> position, edges, states. Pure: no byte, no clock.

A position is told only while the board is looked at without a break: after a silence, or a jump the belt
cannot have made, positions begin a new origin and eyes begin anew without an edge.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from edge.devices.readings import BeltEye, BeltSeen, BeltUnknown, EyeEdge, Reading

COUNTS = 1 << 32
_JITTER_MM = 5.0
_SPEED_OVER_S = 0.2


@dataclass(frozen=True, slots=True)
class Wire:
    number: int
    """Of the input."""
    true_when: bool


@dataclass(frozen=True, slots=True)
class Wires:
    """Inputs by what they mean; absent: not wired."""

    eyes: Mapping[BeltEye, Wire]
    running: Wire | None
    forward: Wire | None
    source_on: Wire | None
    emergency_stop: Wire | None
    feed_running: Wire | None


@dataclass(frozen=True, slots=True)
class Rules:
    mm_per_count: float
    most_mm_s: float
    stale_s: float
    slack_s: float
    """A look may be so much older than its answer."""
    steady_looks: int
    tell_s: float


@dataclass(slots=True)
class _Eye:
    blocked: bool
    changing: int = 0
    """Looks in a row that showed the other state."""
    belt_mm: float = 0.0
    within_mm: float = 0.0
    at_s: float = 0.0
    """Of the first of them."""


@dataclass(slots=True)
class _Known:
    at_s: float
    count: int
    belt_mm: float
    eyes: dict[BeltEye, _Eye]
    path: deque[tuple[float, float]]
    """(time, position) of the last looks, for the speed."""
    ahead_mm: float = 0.0
    """The belt is so much further when the inputs are read than when the encoder was."""
    told: BeltSeen | None = None
    told_at_s: float = 0.0

    @property
    def speed_mm_s(self) -> float:
        (since_s, since_mm), (until_s, until_mm) = self.path[0], self.path[-1]
        return (until_mm - since_mm) / (until_s - since_s) if until_s > since_s else 0.0


class Belt:
    def __init__(self, wires: Wires, rules: Rules) -> None:
        self._wires = wires
        self._rules = rules
        self._known: _Known | None = None
        self._belt_mm = 0.0
        self._origin = 0

    @property
    def stale_at_s(self) -> float | None:
        """When what is known stops being so, unless there is a look before."""
        return None if self._known is None else self._known.at_s + self._rules.stale_s

    def unknown(self, why: str) -> list[Reading]:
        """Nothing is known any more; told once."""
        if self._known is None:
            return []
        self._belt_mm = self._known.belt_mm
        self._known = None
        return [BeltUnknown(why)]

    def due(self, at_s: float) -> list[Reading]:
        stale_at_s = self.stale_at_s
        if stale_at_s is None or at_s < stale_at_s:
            return []
        return self.unknown(f"no whole look for {self._rules.stale_s:g} s")

    def looked(self, at_s: float, apart_s: float, count: int, inputs: tuple[bool, ...]) -> list[Reading]:
        """`apart_s`: the encoder was read so much before the inputs; the belt went on meanwhile."""
        out = self.due(at_s)
        if self._known is not None:
            moved = (count - self._known.count + COUNTS // 2) % COUNTS - COUNTS // 2
            moved_mm = moved * self._rules.mm_per_count
            time_s = at_s - self._known.at_s + self._rules.slack_s
            if abs(moved_mm) <= self._rules.most_mm_s * time_s + _JITTER_MM:
                self._on(self._known, at_s, apart_s, count, moved_mm, inputs, out)
                return out
            out += self.unknown(f"the counter jumped by {moved} counts")
        self._origin += 1
        eyes = {eye: _Eye(inputs[wire.number] == wire.true_when) for eye, wire in self._wires.eyes.items()}
        path = deque([(at_s - apart_s, self._belt_mm)])
        self._known = _Known(at_s, count, self._belt_mm, eyes, path)
        self._tell(self._known, at_s, inputs, out)
        return out

    def _on(
        self,
        known: _Known,
        at_s: float,
        apart_s: float,
        count: int,
        moved_mm: float,
        inputs: tuple[bool, ...],
        out: list[Reading],
    ) -> None:
        known.at_s, known.count = at_s, count
        known.belt_mm += moved_mm
        known.path.append((at_s - apart_s, known.belt_mm))
        while len(known.path) > 2 and at_s - known.path[0][0] > _SPEED_OVER_S:
            known.path.popleft()
        known.ahead_mm = known.speed_mm_s * apart_s
        for name, wire in self._wires.eyes.items():
            eye = known.eyes[name]
            if (inputs[wire.number] == wire.true_when) == eye.blocked:
                eye.changing = 0
                continue
            if not eye.changing:
                eye.belt_mm, eye.within_mm = known.belt_mm + known.ahead_mm, abs(moved_mm)
                eye.at_s = at_s
            eye.changing += 1
            if eye.changing >= self._rules.steady_looks:
                eye.blocked, eye.changing = not eye.blocked, 0
                ago_s = at_s - eye.at_s
                out.append(EyeEdge(name, eye.blocked, eye.belt_mm, eye.within_mm, self._origin, ago_s))
        self._tell(known, at_s, inputs, out)

    def _tell(self, known: _Known, at_s: float, inputs: tuple[bool, ...], out: list[Reading]) -> None:
        seen = BeltSeen(
            belt_mm=known.belt_mm + known.ahead_mm,
            speed_mm_s=known.speed_mm_s,
            origin=self._origin,
            blocked=tuple(name for name, eye in known.eyes.items() if eye.blocked),
            running=_state(self._wires.running, inputs),
            forward=_state(self._wires.forward, inputs),
            source_on=_state(self._wires.source_on, inputs),
            emergency_stop=_state(self._wires.emergency_stop, inputs),
            feed_running=_state(self._wires.feed_running, inputs),
        )
        if (
            known.told is None
            or _states(seen) != _states(known.told)
            or at_s - known.told_at_s >= self._rules.tell_s
        ):
            known.told, known.told_at_s = seen, at_s
            out.append(seen)


def _state(wire: Wire | None, inputs: tuple[bool, ...]) -> bool | None:
    return None if wire is None else inputs[wire.number] == wire.true_when


def _states(seen: BeltSeen) -> tuple[object, ...]:
    return (
        seen.blocked, seen.running, seen.forward, seen.source_on, seen.emergency_stop, seen.feed_running,
    )  # fmt: skip
