"""Everything a lane can be told. Reports, never orders; device words stop before this room.

Every answer carries what it answers (a passage, a claim, an order, a timer), so that a late one cannot be
taken for another's (S5).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from sync.policy.shown_slips import Standing
from sync.vocabulary.commands import Command
from sync.vocabulary.facts import FactData, Stream
from sync.vocabulary.numbers import ContainerNo, Epc, Plate, SlipNo, UtcText, WaybillNo
from sync.vocabulary.records import Control, Enterprise, Recall, ReleaseSlip, Site, Vehicle, Waybill
from sync.vocabulary.uses import SlipUse


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the I/O board says, polarity resolved; None is unknown (never read, stale, or the board lost)."""

    arrival: bool | None = None
    """A vehicle stands on the arrival loop."""
    arm_loop: bool | None = None
    """A vehicle stands on the loop under the arm."""
    photocell: bool | None = None
    """The beam under the arm is broken."""
    limit_down: bool | None = None
    limit_up: bool | None = None
    stop: bool | None = None
    """The stop button is pressed (a copy; the controller acts alone, S0)."""
    fire: bool | None = None
    mains: bool | None = None
    reset_key: bool | None = None
    fully_on: bool | None = None
    """Nothing straddles the ends of the scale (infra-red): whoever is on it is on it with all wheels."""

    def under_arm(self) -> bool:
        """Occupied, unknown: both count as occupied (S2)."""
        return self.arm_loop is not False or self.photocell is not False

    def proven_down(self) -> bool:
        return self.limit_down is True and self.limit_up is False


UNKNOWN_INPUTS = Inputs()

RELAYS = "relays"
"""A relay board of its own, on the line of `io` beside the inputs: it can be silent alone."""


@dataclass(frozen=True, slots=True)
class InputsRead:
    inputs: Inputs


@dataclass(frozen=True, slots=True)
class WeightRead:
    kg: Decimal
    steady: bool | None
    """The indicator's own opinion; False disqualifies the frame, None and True are judged by us."""


@dataclass(frozen=True, slots=True)
class TagRead:
    epc: Epc
    rssi_dbm: int | None = None


@dataclass(frozen=True, slots=True)
class PlateRead:
    plate: Plate
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class CodeRead:
    slip_no: SlipNo


@dataclass(frozen=True, slots=True)
class SlipShown:
    """A slip as a signed code, whole but not believed yet: the records name the keys."""

    slip_no: SlipNo
    text: str
    kid: str
    sha256: str


@dataclass(frozen=True, slots=True)
class ParcelCodeRead:
    """A code that may be a waybill's: a carton shown to the lane's scanner (卡口抽核)."""

    waybill_no: WaybillNo


@dataclass(frozen=True, slots=True)
class CardRead:
    """A proximity card. It names slips that carry its number (`vehicleIcNo`), and identifies no vehicle."""

    number: str


@dataclass(frozen=True, slots=True)
class ContainerRead:
    number: ContainerNo
    place: str = ""
    """`front`, `back`, or empty where the reader cannot say."""
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class ScaleFault:
    """The indicator's own word: over-load, under-load, or showing a net weight. Nothing can be weighed."""

    code: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class PictureKept:
    """A picture is on disk; the fact names it by its hash."""

    passage: int
    moment: str
    camera: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class PictureFailed:
    passage: int
    moment: str
    camera: str
    why: str


@dataclass(frozen=True, slots=True)
class PlatformRuled:
    """The customs platform's answer, its shape checked; whether it is ours is the lane's to decide."""

    area_id: str
    channel_no: str
    direction: str
    seq_no: str
    check_result: str
    hint: str = ""
    form_id: str = ""


@dataclass(frozen=True, slots=True)
class PlatformOrdered:
    """The platform wants the arm moved (type 31)."""

    area_id: str
    channel_no: str
    direction: str
    command: str
    order_no: str = ""
    operator: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ReleaseCodeShown:
    """A release code was read; nothing of it is believed yet (S8)."""

    text: str


@dataclass(frozen=True, slots=True)
class OfficerReleased:
    """The code was checked: this officer may release, and means this very passage (S8)."""

    passage: int
    officer: str
    reason: str
    needed: int | None = None
    """How many different officers the site asks for; None where no site record says so."""
    aside: bool = False
    """引导待检: let through to the waiting area, not on its journey."""
    remote: bool = False
    """Not given at the lane: whoever gave it has not seen the vehicle."""


@dataclass(frozen=True, slots=True)
class SupplementGiven:
    """补采: the code was checked, and this officer enters what could not be read."""

    passage: int
    officer: str
    field: str
    """`plate`, `weight`, `slip`, `container`."""
    value: str
    reason: str
    needed: int | None = None
    """How many different officers the site asks for; None where no site record says so."""


@dataclass(frozen=True, slots=True)
class ReleaseRefused:
    """A shown code does not hold; the text says why."""

    passage: int
    why: str


@dataclass(frozen=True, slots=True)
class CommandGiven:
    """The centre's, for this very connection and in its time; its officers are not checked yet (S8)."""

    command: Command


@dataclass(frozen=True, slots=True)
class CommandChecked:
    """The officers of a command, by the records as they are now."""

    command: Command
    needed: int | None = None
    """How many different officers the site asks for; None where no site record says so."""
    against: str = ""
    """Why one of them may not give it; empty where all may."""


@dataclass(frozen=True, slots=True)
class Wiped:
    """What became of the wiping this command asked for."""

    command: Command
    why: str = ""
    """Why it could not be done; empty where records and keys are gone."""


@dataclass(frozen=True, slots=True)
class ReadFailed:
    """Something was reported that is not evidence: unreadable plate, no-read, a code that is no slip."""

    device: str
    why: str


@dataclass(frozen=True, slots=True)
class DeviceWentSilent:
    device: str
    why: str


@dataclass(frozen=True, slots=True)
class DeviceSpoke:
    device: str


@dataclass(frozen=True, slots=True)
class SpotCheck:
    """The keyed draw for one enterprise, vehicle and day, or one pending from earlier (S11)."""

    due: bool
    enterprise: str
    day: str
    pending: bool = False


@dataclass(frozen=True, slots=True)
class CodeJudged:
    """What a look-up made of a slip's signed code (`sync.policy.shown_slips`)."""

    slip_no: SlipNo
    kid: str
    sha256: str
    issued: UtcText
    standing: Standing
    why: str = ""


@dataclass(frozen=True, slots=True)
class Findings:
    """What records and journal know about the evidence of one look-up, as values for the rules."""

    utc: UtcText
    day: str
    """The site's calendar day, the spot check's unit (S11)."""
    local_time: str = ""
    """The site's clock as `yyyymmddHHMMSS`: the beginning of what the customs platform is asked under."""
    by_plate: dict[Plate, Vehicle | None] = field(default_factory=dict)
    by_tag: dict[Epc, Vehicle | None] = field(default_factory=dict)
    slips: tuple[ReleaseSlip, ...] = ()
    """Slips naming a plate in question, and scanned ones."""
    unknown_slip_nos: tuple[SlipNo, ...] = ()
    codes: tuple[CodeJudged, ...] = ()
    """Of the signed codes shown. Slips of those that stand are among `slips`."""
    enterprises: dict[str, Enterprise] = field(default_factory=dict)
    controls: tuple[Control, ...] = ()
    recalls: tuple[Recall, ...] = ()
    waybills: dict[WaybillNo, Waybill | None] = field(default_factory=dict)
    """Of the cartons scanned; None where nobody knows such a waybill."""
    site: Site | None = None
    uses: tuple[SlipUse, ...] = ()
    spot_checks: dict[str, SpotCheck] = field(default_factory=dict)
    """By slip number: drawn today, or still pending from an earlier day (sticky until discharged)."""
    scope: str = ""
    epoch: str = ""
    number: int = 0
    age_s: float | None = None
    """Since the last verified head; None is unknown, which is too old (S10)."""


@dataclass(frozen=True, slots=True)
class RecordsFound:
    passage: int
    request: int
    findings: Findings


@dataclass(frozen=True, slots=True)
class RecordsChanged:
    """New records are in force; a hold that hung on them may be looked at again."""


@dataclass(frozen=True, slots=True)
class ClaimAnswered:
    claim_id: str
    granted: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class LinkChanged:
    online: bool


@dataclass(frozen=True, slots=True)
class OrderCarriedOut:
    order_id: str


@dataclass(frozen=True, slots=True)
class OrderFailed:
    """The board refused, or did not answer in its time after its retries."""

    order_id: str
    why: str


@dataclass(frozen=True, slots=True)
class WriteFailed:
    """A commit did not become durable; nothing after it in its step was performed."""

    why: str


@dataclass(frozen=True, slots=True)
class Timer:
    name: str
    passage: int


@dataclass(frozen=True, slots=True)
class TimePassed:
    timer: Timer


@dataclass(frozen=True, slots=True)
class OfficerReset:
    """An officer's reset through the link; the key switch arrives as an input."""

    by: str


@dataclass(frozen=True, slots=True)
class SyncSaid:
    """The link has something for the journal (a refused message, records that moved or differ)."""

    stream: Stream
    data: FactData


Event = (
    InputsRead
    | WeightRead
    | TagRead
    | PlateRead
    | CodeRead
    | SlipShown
    | ParcelCodeRead
    | CardRead
    | ContainerRead
    | ScaleFault
    | PictureKept
    | PictureFailed
    | PlatformRuled
    | PlatformOrdered
    | ReleaseCodeShown
    | OfficerReleased
    | SupplementGiven
    | ReleaseRefused
    | CommandGiven
    | CommandChecked
    | Wiped
    | ReadFailed
    | DeviceWentSilent
    | DeviceSpoke
    | RecordsFound
    | RecordsChanged
    | ClaimAnswered
    | LinkChanged
    | OrderCarriedOut
    | OrderFailed
    | WriteFailed
    | TimePassed
    | OfficerReset
    | SyncSaid
)
