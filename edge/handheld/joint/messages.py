"""What core and glass say to each other, as values. The events, views and effects inside are the app's own.

Upwards everything that may not be lost is a `Said`: numbered, kept by the glass until the core has answered
`Done` for it, said again to a core that was restarted, and stepped once (see `marks`). Downwards only the
newest view counts, and an order to the glass is meant for the glass that is there now.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class GlassHello:
    """The first message of a glass on each connection."""

    run: str
    """Random, of this glass's life: numbers count within it."""
    version: str
    first: int
    """The number of the first `Said` it still keeps, or the next one; all below were done."""


@dataclass(frozen=True, slots=True)
class Said:
    number: int
    """From 1 on, without gaps."""
    event: Any
    """Of the app's events."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """The glass wants bytes that the core keeps: a picture, to show it."""

    number: int
    name: str


@dataclass(frozen=True, slots=True)
class CoreHello:
    run: str
    """Random, of this core's life."""
    version: str
    done: int
    """The last number of this glass's run whose effects are durable."""


@dataclass(frozen=True, slots=True)
class Done:
    """All up to this number was stepped and performed; the glass may forget it."""

    number: int


@dataclass(frozen=True, slots=True)
class Shown:
    view: Any
    """Of the app's views; only the newest is ever sent."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An effect that the glass carries out: a tone, the camera. Answered by events, as anything else."""

    effect: Any


@dataclass(frozen=True, slots=True)
class Fetched:
    number: int
    content: bytes | None
    """None: not there; `why` says it."""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """The core ends by itself (told to, or wiped): no use in calling it again."""

    why: str


Upward = GlassHello | Said | Fetch
Downward = CoreHello | Done | Shown | Asked | Fetched | Ended
