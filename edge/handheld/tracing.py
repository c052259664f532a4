"""溯源: the whole path of a code, from what was declared to what became of it; a recall is shown first."""

from __future__ import annotations

from dataclasses import dataclass

from edge.handheld.view import Row, Sign
from sync.vocabulary.rulings import Text


@dataclass(frozen=True, slots=True)
class TraceAsked:
    """A scan on this page asks the same."""

    text: str


@dataclass(frozen=True, slots=True)
class TracePutAway:
    pass


Intent = TraceAsked | TracePutAway


@dataclass(frozen=True, slots=True)
class StepShown:
    """One station of the path, the earliest first."""

    at: str
    """UTC text; empty where the records tell the order but no time."""
    place: Text
    what: Text
    sign: Sign | None = None


@dataclass(frozen=True, slots=True)
class TracingView:
    code: str
    """Empty: nothing asked yet."""
    is_looking: bool
    sign: Sign | None
    """HOLD where a recall hits."""
    recalls: tuple[Row, ...]
    waybills: tuple[str, ...]
    """Several where one trace code covers several parcels."""
    rows: tuple[Row, ...]
    """Origin: goods, enterprise, bill, declarations."""
    steps: tuple[StepShown, ...]
    message: Text | None
    """Nothing known, or the path is only what this device knows."""
