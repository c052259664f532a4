"""Everything a lane may ask. Orders as values; the performer carries them out in the order given."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from edge.gate.events import Timer
from sync.vocabulary.facts import FactData, Stream
from sync.vocabulary.numbers import Epc, Plate, SlipNo
from sync.vocabulary.uses import SlipUse


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What a restarted lane must know (S6). Written in the same transaction as the facts it belongs to."""

    next_passage: int
    phase: str
    passage: int | None = None
    gated: bool = True
    plates: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    order_id: str = ""
    order_open: bool = False
    """Ordered, and no raising seen yet."""
    claim_id: str = ""
    uses: tuple[SlipUse, ...] = ()
    purpose: str = ""
    crossed: bool = False
    shut_why: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """A fact on its way into the journal."""

    stream: Stream
    data: FactData


@dataclass(frozen=True, slots=True)
class PendingCheck:
    """A spot check that stays until it is discharged (S11)."""

    plate: Plate
    enterprise: str
    day: str


@dataclass(frozen=True, slots=True)
class Commit:
    """One durable transaction. If it fails, nothing after it in this step is performed."""

    facts: tuple[Told, ...]
    memory: Memory | None = None
    uses: tuple[SlipUse, ...] = ()
    spot_checks: tuple[PendingCheck, ...] = ()
    discharged: tuple[str, ...] = ()
    """Plates whose pending spot check ends."""


@dataclass(frozen=True, slots=True)
class RaiseArm:
    order_id: str


@dataclass(frozen=True, slots=True)
class LowerArm:
    order_id: str


@dataclass(frozen=True, slots=True)
class SetLights:
    green: bool


@dataclass(frozen=True, slots=True)
class Show:
    zh: str
    en: str
    colour: str


@dataclass(frozen=True, slots=True)
class LookUp:
    """Answered with `RecordsFound` of the same passage and request number."""

    passage: int
    request: int
    plates: tuple[Plate, ...]
    tags: tuple[Epc, ...]
    slip_nos: tuple[SlipNo, ...]


@dataclass(frozen=True, slots=True)
class CheckReleaseCode:
    """Answered with `OfficerReleased` or `ReleaseRefused` of the same passage."""

    passage: int
    text: str


@dataclass(frozen=True, slots=True)
class AskClaim:
    claim_id: str
    passage: int
    plate: Plate | None
    slip_nos: tuple[SlipNo, ...]


@dataclass(frozen=True, slots=True)
class WithdrawClaim:
    """Stop asking. The grant, if there is one, ends by the `uses_returned` fact committed before."""

    claim_id: str


@dataclass(frozen=True, slots=True)
class WakeAfter:
    """Re-arming the same timer replaces it."""

    timer: Timer
    seconds: float


Effect = (
    Commit
    | RaiseArm
    | LowerArm
    | SetLights
    | Show
    | LookUp
    | CheckReleaseCode
    | AskClaim
    | WithdrawClaim
    | WakeAfter
)
