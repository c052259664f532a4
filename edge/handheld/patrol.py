"""Patrol (巡查): a route of codes on walls, walked in order and in time; what is skipped says why.

Every point seen or skipped is a fact at once. A wrong label is said and counts for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sync.vocabulary.rulings import Text


@dataclass(frozen=True, slots=True)
class RoutesAsked:
    pass


@dataclass(frozen=True, slots=True)
class RouteBegun:
    route_no: str


@dataclass(frozen=True, slots=True)
class PointSkipped:
    """The next one on the route, or the one of this code."""

    why: str
    code: str = ""


@dataclass(frozen=True, slots=True)
class PointRemarked:
    """What was seen at the last point."""

    text: str


@dataclass(frozen=True, slots=True)
class PatrolEndAsked:
    """Points not seen are missed for this reason."""

    why: str = ""


Intent = RoutesAsked | RouteBegun | PointSkipped | PointRemarked | PatrolEndAsked
"""A checkpoint's label is `Scanned`."""


@dataclass(frozen=True, slots=True)
class RouteRow:
    route_no: str
    name: Text
    points: int
    due: Text | None
    is_due: bool


@dataclass(frozen=True, slots=True)
class PointShown:
    code: str
    name: Text
    order: int
    state: Literal["next", "to_come", "seen", "late", "skipped"]
    left_s: float | None
    """With `next` and a time limit: until it is late; negative: over it."""
    text: Text | None
    """When it was seen, or why it was skipped."""


@dataclass(frozen=True, slots=True)
class PatrolView:
    phase: Literal["routes", "walking", "ended"]
    routes: tuple[RouteRow, ...]
    route: Text | None
    points: tuple[PointShown, ...]
    next_point: PointShown | None
    seen: int
    missed: int
    left: int
    lasted_s: float
    told: Text | None
    """Wrong point, seen already, no such route."""
    is_wrong: bool
    """What is told is about a label that counts for nothing here."""
    may_end: bool
    end_needs_reason: bool
