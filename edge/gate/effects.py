"""Everything a lane may ask. Orders as values; the performer carries them out in the order given."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import msgspec

from edge.gate.events import Timer
from sync.vocabulary.commands import Command, Outcome
from sync.vocabulary.facts import FactData, Stream
from sync.vocabulary.numbers import Epc, Plate, SlipNo, WaybillNo
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
    closing: Command | None = None
    """The centre's command to stop that waits for the arm to come down."""
    revoked_key: str = ""
    """The device key that is trusted no more; with another one the lane may serve again."""
    commands: tuple[tuple[str, str, str], ...] = ()
    """(command id, outcome, why) of the last ones, so that none is done twice."""


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
    not_after_s: float = float("inf")
    """Later than this nobody knows what stands under the arm any more (S2): then it is not sent."""


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
    cards: tuple[str, ...] = ()
    waybill_nos: tuple[WaybillNo, ...] = ()
    codes: tuple[str, ...] = ()
    """Slips' signed codes, as text."""


@dataclass(frozen=True, slots=True)
class CheckReleaseCode:
    """Answered with `OfficerReleased`, `SupplementGiven` or `ReleaseRefused` of the same passage."""

    passage: int
    text: str


@dataclass(frozen=True, slots=True)
class CheckCommand:
    """Answered with `CommandChecked`."""

    command: Command


@dataclass(frozen=True, slots=True)
class AnswerCommand:
    """After the commit of its fact: the centre hears nothing that is not durable."""

    command_id: str
    outcome: Outcome
    why: str = ""


@dataclass(frozen=True, slots=True)
class ShowForAWhile:
    """The centre's words on the board, until the lane has something to say or `seconds` are over."""

    zh: str
    en: str
    seconds: float


@dataclass(frozen=True, slots=True)
class ShowOwnAgain:
    """What the lane itself shows, in place of the centre's words."""


@dataclass(frozen=True, slots=True)
class Resync:
    """All records are to be taken anew."""


@dataclass(frozen=True, slots=True)
class TellStatus:
    """The centre wants to know now."""


@dataclass(frozen=True, slots=True)
class Wipe:
    """Answered with `Wiped`: records and keys are to be deleted, once the hub has every fact or at once."""

    command: Command
    force: bool


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


@dataclass(frozen=True, slots=True)
class TakePicture:
    """Answered with `PictureKept` or `PictureFailed`, some time later. Nobody waits for it."""

    passage: int
    moment: str
    plate: str = ""
    slip_no: str = ""
    gross_kg: str = ""


@dataclass(frozen=True, slots=True)
class AskPlatform:
    """The customs platform is told what was collected; `PlatformRuled` quotes the number."""

    passage: int
    seq_no: str
    plate: str
    epc: str
    trailer_plate: str
    card_no: str
    slip_nos: tuple[str, ...]
    gross_kg: Decimal | None
    containers: tuple[str, ...]
    supplement: bool


@dataclass(frozen=True, slots=True)
class ShowPlatform:
    """A picture of what the platform was asked about."""

    seq_no: str
    sha256: str


@dataclass(frozen=True, slots=True)
class AnswerPlatform:
    order_no: str
    done: bool


Effect = (
    Commit
    | RaiseArm
    | LowerArm
    | SetLights
    | Show
    | LookUp
    | CheckReleaseCode
    | CheckCommand
    | AnswerCommand
    | ShowForAWhile
    | ShowOwnAgain
    | Resync
    | TellStatus
    | Wipe
    | AskClaim
    | WithdrawClaim
    | WakeAfter
    | TakePicture
    | AskPlatform
    | ShowPlatform
    | AnswerPlatform
)
