"""Everything the handheld may ask. Orders as values; the performer carries them out in the order given, and
the first that fails stops the rest of its step and comes back as `EffectFailed`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Literal

from sync.vocabulary.blobs import BlobClass
from sync.vocabulary.facts import FactData, Stream
from sync.vocabulary.release_codes import ReleaseCode


@dataclass(frozen=True, slots=True)
class Told:
    """A fact on its way into the journal."""

    stream: Stream
    data: FactData


@dataclass(frozen=True, slots=True)
class Evidence:
    """A picture or voice note already on the disk that is owed to the centre from this commit on."""

    sha256: str
    size_bytes: int
    blob_class: BlobClass = BlobClass.ROUTINE


@dataclass(frozen=True, slots=True)
class Commit:
    """One durable transaction (G1). A room returns it without `memory`; the app puts the whole memory in, so
    that a draft changed in the same step is durable with the facts. Without facts it only keeps the draft."""

    facts: tuple[Told, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    request: int = 0
    """Above 0: answered with `Committed` of the same request."""
    memory: bytes | None = None
    """`memory.Memory` as JSON."""


class Wanted(enum.StrEnum):
    """What a code or number is looked up as."""

    PARCEL = "parcel"
    """Waybill no, order no, trace code or what else a label carries -> `ParcelFindings`"""
    SLIP = "slip"
    """-> `SlipFindings`, with the waybills on it"""
    ORDERS = "orders"
    """Inspection orders this officer may carry out -> `OrderFindings`"""
    STOCK = "stock"
    """A shelf's or SKU's rows of the book -> `StockFindings`"""
    ROUTES = "routes"
    """Patrol routes -> `RouteFindings`"""
    TRACE = "trace"
    """-> `TraceFindings`"""
    OFFICER = "officer"
    """-> `OfficerFindings`"""
    HELD = "held"
    """Whom lanes hold now -> `HeldFindings`"""


@dataclass(frozen=True, slots=True)
class LookUp:
    """Answered with `Found` of the same request number."""

    request: int
    wanted: Wanted
    text: str = ""


@dataclass(frozen=True, slots=True)
class CheckPin:
    """Answered with `PinChecked`. The PIN is never recorded, logged or kept."""

    request: int
    officer_no: str
    pin: str
    purpose: Literal["sign_in", "second"] = "sign_in"
    """`second`: another officer answers for something beside the one who holds the device."""

    def __repr__(self) -> str:
        return f"CheckPin(request={self.request}, officer_no={self.officer_no!r}, pin=...)"


@dataclass(frozen=True, slots=True)
class LockVault:
    """The officer's unwrapped signing key leaves memory."""


@dataclass(frozen=True, slots=True)
class SignCode:
    """With the key of the officer the code names: of who is signed in, or another's that this PIN opens for
    this one signature. Answered with `CodeSigned`, or with `PinChecked` where the PIN was not right."""

    request: int
    code: ReleaseCode
    pin: str = ""

    def __repr__(self) -> str:
        return f"SignCode(request={self.request}, code={self.code!r}, pin=...)"


class Tone(enum.StrEnum):
    RELEASE = "release"
    INSPECT = "inspect"
    HOLD = "hold"
    UNKNOWN = "unknown"
    DUPLICATE = "duplicate"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Sound:
    """Tone and vibration belong together; settings decide which of them is heard."""

    tone: Tone


@dataclass(frozen=True, slots=True)
class TakePhoto:
    """From the camera as it looks now. Answered with `EvidenceKept` or `EvidenceFailed`."""

    request: int
    subject: str
    """What is on it: a waybill, or the order."""
    officer: str = ""
    """Of an evidence photo: with time, subject and order this stands in a strip below the picture, which is
    hashed as a whole. Empty: a picture to look at, without a strip."""
    order_no: str = ""
    zone: str = ""
    """Of the site: the strip's time is told in it."""


@dataclass(frozen=True, slots=True)
class MarkPhoto:
    """Shapes drawn on a picture: kept as a new picture beside the untouched one. Answered like
    `TakePhoto`."""

    request: int
    sha256: str
    strokes: tuple[tuple[tuple[float, float], ...], ...]
    """Lines of points, as shares of width and height."""


@dataclass(frozen=True, slots=True)
class RecordVoice:
    """Answered like `TakePhoto` when it ends: at `StopVoice`, or after `longest_s`."""

    request: int
    longest_s: float = 60.0


@dataclass(frozen=True, slots=True)
class StopVoice:
    request: int


@dataclass(frozen=True, slots=True)
class UseCamera:
    """Whether frames are read for codes; aimed: only the middle of the picture counts."""

    on: bool
    torch: bool = False


@dataclass(frozen=True, slots=True)
class GoLive:
    """The officer consented, and the fact of it is durable: picture (and sound) to the centre until `EndLive`
    or the time limit. Answered with `live.LiveChanged`, at last with `live.LiveClosed`."""

    session: str
    officer: str
    sound: bool
    may_be_recorded: bool
    limit_s: float
    reason: str


@dataclass(frozen=True, slots=True)
class SetLive:
    """Microphone or camera off and on during a session, at once."""

    session: str
    muted: bool
    hidden: bool
    """No pictures."""


@dataclass(frozen=True, slots=True)
class EndLive:
    session: str


@dataclass(frozen=True, slots=True)
class WakeAfter:
    """Re-arming the same name replaces it. Answered with `TimePassed`."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class AnswerCommand:
    """After the commit of its fact: the centre hears nothing that is not durable."""

    command_id: str
    outcome: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Resync:
    """All records are to be taken anew."""


@dataclass(frozen=True, slots=True)
class TellStatus:
    """The centre wants to know now."""


@dataclass(frozen=True, slots=True)
class WipeDevice:
    command_id: str
    force: bool


Effect = (
    Commit
    | LookUp
    | CheckPin
    | LockVault
    | SignCode
    | Sound
    | TakePhoto
    | MarkPhoto
    | RecordVoice
    | StopVoice
    | UseCamera
    | GoLive
    | SetLive
    | EndLive
    | WakeAfter
    | AnswerCommand
    | Resync
    | TellStatus
    | WipeDevice
)
