"""Everything that can happen to a handheld: what was scanned and touched, what was found, what the sync said.

Touches are named for what the officer wants, never for a widget. Every answer carries the request it answers;
a room that did not ask, or has asked again since, ignores it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from edge.handheld.context import Battery, Settings, Sync
from sync.vocabulary.commands import Command
from sync.vocabulary.facts import FactData, Stream
from sync.vocabulary.numbers import UtcText, WaybillNo
from sync.vocabulary.records import (
    Control,
    Enterprise,
    HeldPassage,
    InspectionOrder,
    OrderStanding,
    PatrolRoute,
    Recall,
    Reference,
    ReleaseSlip,
    Site,
    StockRow,
    Trace,
    Waybill,
    XRay,
)

if TYPE_CHECKING:
    from edge.handheld.effects import Effect

# --- what comes in by itself --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scanned:
    """A code that passed the guard, from any source; typed numbers too."""

    text: str
    symbology: str = ""
    """As `edge.reading` names it; empty when typed."""
    source: str = ""
    """`camera`, `serial`, `wedge`, `intent`, `typed`."""


@dataclass(frozen=True, slots=True)
class ReadGarbled:
    """Something was read that is no code (S7): shown and counted, never looked up."""

    source: str
    why: str


@dataclass(frozen=True, slots=True)
class SyncChanged:
    sync: Sync


@dataclass(frozen=True, slots=True)
class SyncTold:
    """The link has something for the journal (records moved, messages refused ...)."""

    stream: Stream
    data: FactData


@dataclass(frozen=True, slots=True)
class SiteChanged:
    site: Site | None


@dataclass(frozen=True, slots=True)
class BatteryChanged:
    battery: Battery


@dataclass(frozen=True, slots=True)
class CommandGiven:
    command: Command


@dataclass(frozen=True, slots=True)
class Wiped:
    """Answers `WipeDevice`; `why` says what could not be deleted."""

    command_id: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Paused:
    """The system hid the app, or is about to end it."""


@dataclass(frozen=True, slots=True)
class Resumed:
    pass


@dataclass(frozen=True, slots=True)
class TimePassed:
    """`WakeAfter` of this name."""

    name: str


@dataclass(frozen=True, slots=True)
class Committed:
    """A `Commit` with a request is durable: its last fact stands at this position of the journal.

    Said once at the start as well, with request 0 and the journal's last position: whatever the memory holds
    as told was told by there.
    """

    request: int
    position: int


@dataclass(frozen=True, slots=True)
class FactsAcknowledged:
    """The centre has every fact up to this device-wide position (G3): said whenever that has moved."""

    up_to: int


@dataclass(frozen=True, slots=True)
class EffectFailed:
    effect: Effect
    why: str


# --- answers ------------------------------------------------------------------------------------------------


MOST_WAYBILLS = 20


@dataclass(frozen=True, slots=True)
class KeptBack:
    """An inspection is over, and its finding was not handled by a release."""

    order: InspectionOrder
    handling: str
    """As in `finding_made`: `seized`, `returned`, `sample_sent` ..."""
    waybill_nos: tuple[WaybillNo, ...] = ()
    """Whose handling it is; none: all the order names."""


@dataclass(frozen=True, slots=True)
class ParcelFindings:
    """What the records say of a code. All empty: nothing is known."""

    code: str = ""
    """What was looked up."""
    waybills: tuple[Waybill, ...] = ()
    """Several where one trace code or order covers several parcels; cut at `MOST_WAYBILLS`."""
    slips: tuple[ReleaseSlip, ...] = ()
    """Those the waybills name, as far as the records have them."""
    enterprises: tuple[Enterprise, ...] = ()
    controls: tuple[Control, ...] = ()
    """All there are, in force or not, bearing on it or not."""
    recalls: tuple[Recall, ...] = ()
    """All there are."""
    orders: tuple[InspectionOrder, ...] = ()
    """Open ones that name one of these parcels or its slip."""
    kept_back: tuple[KeptBack, ...] = ()
    """What inspections found that are over, and that lets a parcel go no further."""
    x_rays: tuple[XRay, ...] = ()
    references: tuple[Reference, ...] = ()
    """Pictures of such goods; the first few."""
    drawn: frozenset[WaybillNo] = frozenset()
    """Parcels the keyed spot-check draw picks (S11)."""
    nearest: tuple[str, ...] = ()
    """For an unknown number: waybills that differ by one character or a swap, at most 3."""


@dataclass(frozen=True, slots=True)
class SlipFindings:
    slip: ReleaseSlip | None
    waybills: tuple[Waybill, ...] = ()
    is_cut: bool = False
    """More waybills than are carried here."""


@dataclass(frozen=True, slots=True)
class OrderFindings:
    orders: tuple[InspectionOrder, ...]
    """All there are, whoever may carry them out, withdrawn ones too."""
    standings: tuple[OrderStanding, ...] = ()
    """Who has which of them in hand, as far as the centre knows."""
    waybills: tuple[Waybill, ...] = ()
    """With the text `order <order no>`: the parcels it names, with what was declared."""


@dataclass(frozen=True, slots=True)
class StockFindings:
    """What the book has on a shelf, or of goods, as `text` of the look-up was one or the other."""

    location: str = ""
    """Empty: it is no shelf of the book."""
    rows: tuple[StockRow, ...] = ()


@dataclass(frozen=True, slots=True)
class RouteFindings:
    routes: tuple[PatrolRoute, ...]


@dataclass(frozen=True, slots=True)
class HeldFindings:
    held: tuple[HeldPassage, ...]
    """By lane."""


@dataclass(frozen=True, slots=True)
class OfficerFindings:
    """Whether an officer may still hold this device: asked anew when records moved."""

    officer_no: str
    standing: Literal["active", "revoked", "expired", "unknown", "untold"]
    """`untold`: the records cannot be read just now, which puts nobody out."""
    authorisations: tuple[str, ...] = ()
    public_key: str = ""
    """With `active`: the key this number has now."""


@dataclass(frozen=True, slots=True)
class DoneHere:
    """What this very device told of a parcel, from its own journal."""

    at: str
    """UTC text"""
    data: FactData


@dataclass(frozen=True, slots=True)
class TraceFindings:
    """The path of a code: what the records tell, and what this device did with it."""

    parcel: ParcelFindings
    traces: tuple[Trace, ...] = ()
    done_here: tuple[DoneHere, ...] = ()
    """The latest first."""


@dataclass(frozen=True, slots=True)
class RecordsRead:
    """Which state of the records an answer was read from: what a verdict stands on."""

    utc: UtcText
    """Of the look-up; controls and slips are valid at this time."""
    site: Site | None = None
    """None: nothing says how old records may be, so they are too old (S10)."""
    scope: str = ""
    epoch: str = ""
    number: int = 0
    age_s: float | None = None
    """Since the last verified head; None: unknown, which is too old (S10)."""


Findings = (
    ParcelFindings
    | SlipFindings
    | OrderFindings
    | OfficerFindings
    | TraceFindings
    | StockFindings
    | RouteFindings
    | HeldFindings
)


@dataclass(frozen=True, slots=True)
class Found:
    """Answers `LookUp` of the same request; which kind of findings, `wanted` said."""

    request: int
    findings: Findings
    records: RecordsRead


@dataclass(frozen=True, slots=True)
class PinChecked:
    request: int
    outcome: Literal["right", "wrong", "wait", "unknown", "revoked", "expired", "too_long_offline"]
    authorisations: tuple[str, ...] = ()
    wait_s: float = 0.0
    """With `wait`: nobody may try again before."""
    tries: int = 0
    public_key: str = ""
    """With `right`: the officer's, as the records had it then."""


@dataclass(frozen=True, slots=True)
class CodeSigned:
    request: int
    text: str
    """What the lane's scanner reads (`KKR1:...`)."""


@dataclass(frozen=True, slots=True)
class Captured:
    """What the camera or microphone gave for `TakePhoto`, `RecordVoice` or `MarkPhoto`, not kept yet: becomes
    `EvidenceKept` when it lies on the disk, closed."""

    request: int
    kind: Literal["photo", "marked", "voice"]
    content: bytes

    def __repr__(self) -> str:
        return f"Captured(request={self.request}, kind={self.kind!r}, {len(self.content)} bytes)"


@dataclass(frozen=True, slots=True)
class EvidenceKept:
    request: int
    sha256: str
    size_bytes: int
    kind: Literal["photo", "marked", "voice"]
    taken: str
    """UTC text"""


@dataclass(frozen=True, slots=True)
class EvidenceFailed:
    request: int
    why: str


# --- what the officer wants ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SignInAsked:
    officer_no: str
    pin: str

    def __repr__(self) -> str:
        return f"SignInAsked(officer_no={self.officer_no!r}, pin=...)"


@dataclass(frozen=True, slots=True)
class SignOutAsked:
    pass


@dataclass(frozen=True, slots=True)
class Touched:
    """Anybody did anything: the auto-lock begins anew."""


@dataclass(frozen=True, slots=True)
class SettingsChanged:
    settings: Settings
