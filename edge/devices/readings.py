"""What hardware can report, as values. Device words (STX, coil, baud) stop here.

Cut off, garbled and read are three types (S7): only a read carries a value.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class WeightSeen:
    """One whole, valid frame of a weighbridge."""

    value_kg: Decimal
    stable: bool | None
    """What the indicator says of stability; None where the protocol cannot say. We judge it ourselves."""
    out_of_range: bool = False


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
    """By the camera's clock, where it and ours can be compared."""


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


Reading = (
    WeightSeen
    | TagSeen
    | PlateSeen
    | CodeSeen
    | NothingRead
    | InputsSeen
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


Order = PulseRelay | SetRelay | ShowText | TriggerRead
