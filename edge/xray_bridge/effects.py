"""Everything an X-ray station may ask. Orders as values; the performer carries them out in the order given.

X1: kakou never energises the source, resets an emergency stop, or starts or reverses a belt; it reads states,
may ask for a stop, and withholds the feed permit. There is no order here that could do more.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import msgspec

from edge.xray_bridge.events import Timer
from edge.xray_bridge.values import Association, Chute, Goods, Region, Verdict
from sync.vocabulary.commands import Outcome
from sync.vocabulary.facts import FactData, Stream


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What a restarted station must know. Written in the same transaction as the facts it belongs to.

    X3: what was on the belt when the program died is not remembered as judged: it goes to recheck."""

    next_parcel: int
    on_belt: tuple[int, ...] = ()
    """Numbers opened and not yet ended: their end as recheck is told first after a restart."""
    waybills: tuple[tuple[int, str], ...] = ()
    """Of those that were read."""
    pictures: tuple[tuple[int, str], ...] = ()
    """(number, picture; 0: no parcel's) whose evidence is not durable yet: raw pictures are in memory only,
    and lost with it."""
    ordered: tuple[tuple[int, str], ...] = ()
    """(number, chute) of those whose pulse was ordered: they may be in that chute."""
    wedge_left_s: float = 0.0
    """Of the wedge check's validity, when this was written."""
    wedge_calibration: str = ""
    closed: str = ""
    """Why the station is closed, until an officer at it resets it."""
    revoked_key: str = ""
    """The device key that is trusted no more; with another one the station may serve again."""
    commands: tuple[tuple[str, str, str], ...] = ()
    """(command id, outcome, why) of the last ones, so that none is done twice."""


@dataclass(frozen=True, slots=True)
class Told:
    stream: Stream
    data: FactData


@dataclass(frozen=True, slots=True)
class Commit:
    """One durable transaction. If it fails, nothing after it in this step is performed."""

    facts: tuple[Told, ...]
    memory: Memory | None = None


@dataclass(frozen=True, slots=True)
class Pulse:
    """X2: one energised pulse, ended by the board, for one parcel. Not later than `not_after_s`: a late one
    would move another parcel, so it is not sent."""

    chute: Chute
    """`pass` or `flag`; recheck is what happens without one."""
    parcel: int
    not_after_s: float


@dataclass(frozen=True, slots=True)
class PermitFeed:
    """Renewed by the performer as long as it stands; withheld, silent or dead, it ends by itself."""

    permitted: bool


@dataclass(frozen=True, slots=True)
class AskStop:
    """The belt's own control decides."""

    why: str


class Light(enum.StrEnum):
    GREEN = "green"
    AMBER = "amber"
    RED = "red"


@dataclass(frozen=True, slots=True)
class SetTower:
    light: Light


@dataclass(frozen=True, slots=True)
class TriggerPortal:
    on: bool


@dataclass(frozen=True, slots=True)
class LookUp:
    """Answered with `GoodsFound` of the same parcel and request."""

    parcel: int
    request: int
    text: str


@dataclass(frozen=True, slots=True)
class Analyse:
    """Answered with `Analysed` or `AnalysisFailed`. `goods` chooses the references."""

    picture: str
    parcel: int
    goods: Goods | None


@dataclass(frozen=True, slots=True)
class KeepEvidence:
    """Answered with `EvidenceKept` or `EvidenceFailed`; nobody waits for it. Pictures no parcel claims are
    kept too (`parcel` 0)."""

    picture: str
    parcel: int
    waybill_no: str
    association: Association
    verdict: Verdict
    manifest: msgspec.Raw
    """All that the station knows, as JSON: `Said` of `edge.xray_bridge.evidence.manifest`. Sent again for
    the same picture when somebody judged it later: that becomes a further version, nothing is written
    over."""
    keep_class: str = "routine"
    """`routine`, or `held` for what was flagged, rechecked or is under control."""


@dataclass(frozen=True, slots=True)
class DropPicture:
    """Nobody needs it in memory any more."""

    picture: str


@dataclass(frozen=True, slots=True)
class SavePicture:
    """Answered with `Saved`."""

    parcel: int
    picture: str
    kind: str
    officer: str
    category: str
    note: str
    regions: tuple[Region, ...]
    goods: Goods | None


@dataclass(frozen=True, slots=True)
class CheckWedge:
    """The picture is the wedge's. Answered with `WedgeChecked`."""

    picture: str


@dataclass(frozen=True, slots=True)
class AnswerDesk:
    """What a desk's command came to."""

    desk: str
    parcel: int
    ok: bool
    why: str = ""
    """A code of `rules.REFUSALS`, or words as they are."""
    command_id: str = ""
    """Of the event it answers."""


@dataclass(frozen=True, slots=True)
class AnswerCommand:
    """After the commit of its fact: the centre hears nothing that is not durable."""

    command_id: str
    outcome: Outcome
    why: str = ""


@dataclass(frozen=True, slots=True)
class Resync:
    """All records are to be taken anew."""


@dataclass(frozen=True, slots=True)
class TellStatus:
    """The centre wants to know now."""


@dataclass(frozen=True, slots=True)
class WakeAfter:
    timer: Timer
    seconds: float


Effect = (
    Commit
    | Pulse
    | PermitFeed
    | AskStop
    | SetTower
    | TriggerPortal
    | LookUp
    | Analyse
    | KeepEvidence
    | DropPicture
    | SavePicture
    | CheckWedge
    | AnswerDesk
    | AnswerCommand
    | Resync
    | TellStatus
    | WakeAfter
)
