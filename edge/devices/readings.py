"""What hardware can report, as values. Device words (STX, coil, baud) stop here.

Cut off, garbled and read are three types (S7): only a read carries a value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from numpy import int64, uint16
    from numpy.typing import NDArray

    Values = NDArray[uint16]
    """(pixels of the detector, columns along the belt); column 0 is the leading edge."""
    Counts = NDArray[int64]


@dataclass(frozen=True, slots=True)
class WeightSeen:
    """One whole, valid frame of a weighbridge."""

    value_kg: Decimal
    stable: bool | None
    """What the indicator says of stability; None where the protocol cannot say. We judge it ourselves."""
    out_of_range: bool = False
    kind: Literal["gross", "net"] | None = None
    """None where the protocol cannot say. A net weight is no gross weight: somebody pressed tare."""


@dataclass(frozen=True, slots=True)
class TagSeen:
    epc: str
    """Upper-case hex."""
    antenna: int | None = None
    rssi_dbm: int | None = None


@dataclass(frozen=True, slots=True)
class PlateSeen:
    """A camera's opinion. `text` None: it saw a vehicle and could not read it."""

    text: str | None
    confidence: float | None = None
    """0 to 100."""
    plate_id: str = ""
    """The camera's own number of the recognition; repeats mean re-sends."""
    offline: bool = False
    """Stored earlier and sent late: never evidence of the vehicle now in the lane."""
    age_s: float | None = None
    """How long before it was told it was seen, at least, as `device_clock` makes it out; None where the
    camera says no time. Re-sent after a failed try it is old without being marked so."""


@dataclass(frozen=True, slots=True)
class PictureSeen:
    """A picture a device sent with what it recognised, as JPEG bytes."""

    jpeg: bytes = field(repr=False)
    shows: Literal["vehicle", "plate", "container", "lane"]
    plate_id: str = ""
    """The recognition it belongs to, where the device says so."""


@dataclass(frozen=True, slots=True)
class CardSeen:
    """A proximity card: an identity of whoever holds it, weaker than a tag on the windscreen."""

    number: str
    """Upper-case hex as the card sends it, or decimal `facility,number` of a Wiegand card."""
    scheme: Literal["em125", "wiegand26", "wiegand34"]


@dataclass(frozen=True, slots=True)
class ContainerSeen:
    """A container camera's opinion. `text` None: it saw a container and could not read it."""

    text: str | None
    place: Literal["front", "back", ""] = ""
    confidence: float | None = None
    """0 to 100."""
    iso_type: str = ""
    """Size and type code such as `45G1`, where it was read."""


@dataclass(frozen=True, slots=True)
class PlatformCommand:
    """The customs platform's answer to a gather, or a command on its own (type 22). Nothing of it is checked
    but its shape: whose it is and whether it opens is the lane's to decide."""

    area_id: str
    channel_no: str
    direction: str
    """`I` or `E`"""
    seq_no: str
    check_result: str
    """Twenty digits, kept as they came; only the first two have a known meaning."""
    hint: str = ""
    """What the driver shall read (`OP_HINT`, `LED/DISPLAY`)."""
    form_id: str = ""


@dataclass(frozen=True, slots=True)
class PlatformDeviceOrder:
    """The platform wants a device moved (type 31). Recorded; obeyed only where the site says so, as a release
    by hand, and never to lower."""

    area_id: str
    channel_no: str
    direction: str
    command: str
    """`EXCUTE_COMMAND` (so spelt), twenty digits; the second `0` asks for the arm up."""
    order_no: str = ""
    """`OP_ID`"""
    operator: str = ""
    reason: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class CodeSeen:
    text: str
    aim: str = ""
    """AIM symbology identifier such as `]C0`, without which the symbology is unknown."""


@dataclass(frozen=True, slots=True)
class NothingRead:
    """A scanner was triggered and read nothing (`ERROR`, `NoRead` …)."""


@dataclass(frozen=True, slots=True)
class InputsSeen:
    """All digital inputs of a board at one moment, as wired (polarity is the program's config)."""

    values: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class OrderDone:
    """The device answered an order (`Driver.order`) as carried out."""

    order_id: str


@dataclass(frozen=True, slots=True)
class OrderRefused:
    """The device refused, or did not answer in its time after its retries."""

    order_id: str
    why: str
    not_done: bool = False
    """True: nothing of it was carried out; else nobody knows."""


@dataclass(frozen=True, slots=True)
class ReadTruncated:
    """The line went quiet in the middle of a frame."""

    raw: bytes


@dataclass(frozen=True, slots=True)
class ReadGarbled:
    """Bytes that cannot be a frame, or a frame whose check fails."""

    raw: bytes
    why: str


@dataclass(frozen=True, slots=True)
class DeviceFault:
    """The device itself reports a fault (antenna missing, under-load code)."""

    code: str
    detail: str = ""


AcquisitionStatus = Literal[
    "SUCCESSFUL", "JAM", "OVERSIZE", "SLIP", "INCOMPLETE", "CUT", "MERGED", "STITCHED"
]
"""What a machine says of its own picture, in the words of DICOS (4010,1044)."""


@dataclass(frozen=True, slots=True, eq=False)
class XrayPictureSeen:
    """One dual-energy picture, corrected for offset and gain. Nobody writes to its arrays.

    Counts are those of the machine's own encoder counter without its wrap: another zero, perhaps another
    step, than the belt's board has.
    """

    picture: str
    """Unique for ever: the machine's start and number, or the file's name and time."""
    low: Values = field(repr=False)
    high: Values = field(repr=False)
    counts: Counts = field(repr=False)
    """Encoder count when each column began, not falling."""
    air_low: int
    air_high: int
    """Value of no attenuation at all."""
    mm_per_count: float
    mm_per_pixel: float
    """Between two rows, at the belt's surface."""
    mm_per_column: float
    """Between two columns, along the belt."""
    status: AcquisitionStatus = "SUCCESSFUL"
    calibration: Literal["good", "old", "none"] = "good"
    """Of offset and gain: `old` ones, or `none`, are no ground for passing anything by itself."""
    gain_age_s: float | None = None
    """None: the machine corrects, or nobody does."""
    lost_frames: int = 0
    """Missing inside the picture or at its ends; more than none is never `SUCCESSFUL`."""
    taken_s: float | None = None
    """Seconds from the first to the last column, by the machine's clock."""
    begun_utc: str = ""
    """Where the machine has a clock: of the first column, `2026-11-22T08:15:30.250Z`."""
    serial: str = ""
    """Of the machine."""
    kilovolts: float | None = None
    microamperes: int | None = None
    before_start: bool = False
    """It lay there when the program started: never matched."""


@dataclass(frozen=True, slots=True)
class XrayPictureFailed:
    """There was a picture, and it is no use: nothing of it is shown."""

    picture: str
    code: Literal[
        "reversed", "too_short", "no_sidecar", "no_partner", "cut_off", "garbled", "mismatch", "refused"
    ]
    why: str
    first_count: int | None = None
    last_count: int | None = None


@dataclass(frozen=True, slots=True)
class XrayStateSeen:
    """What the machine says of itself."""

    count: int
    """Encoder count now, without its wrap, as in `XrayPictureSeen`."""
    mm_per_count: float
    source_on: bool
    belt_running: bool
    belt_forward: bool
    jam: bool = False
    emergency_stop: bool = False
    interlock_open: bool = False
    warming_up: bool = False
    fault_code: int = 0
    """The maker's; 0: none."""
    kilovolts: float = 0.0
    microamperes: int = 0
    start: str = ""
    """Names one run of the machine; counts of different ones are never compared."""


BeltEye = Literal["portal", "xray", "diverter", "pass_chute", "flag_chute", "recheck_chute"]
"""Photo-eyes, in the belt's direction."""


@dataclass(frozen=True, slots=True)
class BeltSeen:
    """One whole look at the belt's board, polarity resolved; None where no such input is wired."""

    belt_mm: float
    speed_mm_s: float
    """Over the last looks; below zero where the belt runs back."""
    origin: int
    """Positions of different origins are never compared: the counter was lost in between."""
    blocked: tuple[BeltEye, ...] = ()
    """Eyes something cuts now."""
    running: bool | None = None
    forward: bool | None = None
    source_on: bool | None = None
    emergency_stop: bool | None = None
    feed_running: bool | None = None


@dataclass(frozen=True, slots=True)
class EyeEdge:
    """An eye changed between the look at `belt_mm` and the one before it, `within_mm` of belt travel earlier
    (later in position where the belt runs back); the middle is the best guess."""

    eye: BeltEye
    blocked: bool
    belt_mm: float
    within_mm: float
    origin: int
    ago_s: float = 0.0
    """Since that look: a change is told when it was seen to last."""


@dataclass(frozen=True, slots=True)
class BeltUnknown:
    """Neither the belt's position nor any of its states and eyes is known until the next `BeltSeen`."""

    why: str


Reading = (
    WeightSeen
    | TagSeen
    | PlateSeen
    | PictureSeen
    | CardSeen
    | ContainerSeen
    | PlatformCommand
    | PlatformDeviceOrder
    | CodeSeen
    | NothingRead
    | InputsSeen
    | XrayPictureSeen
    | XrayPictureFailed
    | XrayStateSeen
    | BeltSeen
    | EyeEdge
    | BeltUnknown
    | OrderDone
    | OrderRefused
    | ReadTruncated
    | ReadGarbled
    | DeviceFault
)


# --- what may be asked of hardware; every order is idempotent ---


@dataclass(frozen=True, slots=True)
class PulseRelay:
    """Energise relay `channel` for `duration_s`, ended by the board itself, not by us."""

    channel: int
    duration_s: float


@dataclass(frozen=True, slots=True)
class SetRelay:
    channel: int
    on: bool


@dataclass(frozen=True, slots=True)
class ShowText:
    """Rows for an LED board; `colour` is `red`, `green` or `amber`."""

    rows: tuple[str, ...]
    colour: str
    voice: str = ""


@dataclass(frozen=True, slots=True)
class TriggerRead:
    """Take a picture / read now."""


@dataclass(frozen=True, slots=True)
class Gather:
    """What the lane collected of one passage, for the customs platform (`GATHER_INFO`, type 21 or 23)."""

    seq_no: str
    """20 digits, `yyyymmddHHMMSS` and six more; the platform's answer quotes it."""
    plate: str = ""
    plate_colour: str = ""
    epc: str = ""
    trailer_plate: str = ""
    card_no: str = ""
    slip_nos: tuple[str, ...] = ()
    gross_kg: Decimal | None = None
    container_front: str = ""
    container_back: str = ""
    supplement: bool = False
    """补采: a value was entered by an officer (type 23)."""


@dataclass(frozen=True, slots=True)
class SendPictures:
    """Pictures of one passage for the platform (type 26): (what it shows, JPEG)."""

    seq_no: str
    pictures: tuple[tuple[Literal["front", "back", "vehicle"], bytes], ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class AnswerDeviceOrder:
    """What became of a `PlatformDeviceOrder` (type 32)."""

    order_no: str
    done: bool


BeltOutput = Literal["feed_permit", "stop_request", "pass", "flag", "tower_red", "tower_amber", "tower_green"]
"""All that kakou can do to an X-ray line. X1: none of them energises the source, resets an emergency stop, or
starts or reverses a belt; `stop_request` asks."""


@dataclass(frozen=True, slots=True)
class EnergiseOutput:
    """Energise for `duration_s`, ended by the board itself. Given again while it runs, its time starts anew:
    that is how a permit is held, and why it falls when the program dies."""

    output: BeltOutput
    duration_s: float
    not_after_s: float | None = None
    """Monotonic: refused, and not sent or sent again, where that cannot be before this time. A late `pass`
    would move another parcel."""


@dataclass(frozen=True, slots=True)
class ReleaseOutput:
    """Let it fall now."""

    output: BeltOutput


Order = (
    PulseRelay
    | SetRelay
    | ShowText
    | TriggerRead
    | Gather
    | SendPictures
    | AnswerDeviceOrder
    | EnergiseOutput
    | ReleaseOutput
)
