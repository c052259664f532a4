"""Facts: what a program decided, did, saw fail or was told. Identity, chain and exact bytes (G2, G6).

A fact's body is JSON written once; its hash is SHA-256 over exactly those bytes, and the body names the hash
of the fact before it in its stream. Nobody re-encodes a body: it is carried as a string.
"""

from __future__ import annotations

import enum
import hashlib

import msgspec

from sync.vocabulary.codec import decoder, to_json
from sync.vocabulary.rulings import Ruling

GENESIS = "0" * 64
"""`prev` of the first fact of a stream in an epoch."""


class Stream(enum.StrEnum):
    ALARM = "alarm"
    ROUTINE = "routine"


class AlarmCode(enum.StrEnum):
    TAILGATER = "tailgater"
    UNCOMMANDED_MOVEMENT = "uncommanded_movement"
    ARM_FAULT = "arm_fault"
    ARM_NOT_DOWN = "arm_not_down"
    SAFETY_REOPENED = "safety_reopened"
    UNGATED_CROSSING = "ungated_crossing"
    DEVICE_LOST = "device_lost"
    DOUBLE_USE = "double_use"
    OVERSTAY = "overstay"
    WEIGHT_JUMP = "weight_jump"
    RECORDS_DIFFER = "records_differ"
    JOURNAL_BRANCHED = "journal_branched"
    INPUT_REFUSED = "input_refused"
    SAFETY_INPUT = "safety_input"
    CONTROLLED_VEHICLE = "controlled_vehicle"
    TARE_DRIFT = "tare_drift"
    NO_RETURN_TO_ZERO = "no_return_to_zero"
    SCALE_FAULT = "scale_fault"
    PLATFORM_LOST = "platform_lost"
    PLATFORM_ORDER = "platform_order"
    PARCEL_MISMATCH = "parcel_mismatch"
    RECALL_HIT = "recall_hit"
    CLOSED_BY_CENTRE = "closed_by_centre"


# --- what a lane says -------------------------------------------------------------------------------------


class LaneStarted(msgspec.Struct, frozen=True, tag="lane_started"):
    version: str
    config_digest: str
    boot_id: str


class PassageOpened(msgspec.Struct, frozen=True, tag="passage_opened"):
    passage: int
    gated: bool = True


class ReadingKept(msgspec.Struct, frozen=True):
    """A reading a ruling stands on."""

    kind: str
    value: str
    after_s: float
    """Seconds after the passage opened."""
    detail: str = ""


class SlipCodeShown(msgspec.Struct, frozen=True):
    """A slip's signed code that was shown, and what was made of it (`sync.policy.shown_slips`)."""

    slip_no: str
    kid: str
    sha256: str
    """Of the COSE message."""
    issued: str
    standing: str
    """`stands`: the ruling stood on the code, which was newer than the records. `records`: they knew all that
    it says and decided alone. `refused`."""
    why: str = ""


class RulingMade(msgspec.Struct, frozen=True, tag="ruling_made", kw_only=True):
    passage: int
    ruling: Ruling
    direction: str
    plate: str | None = None
    slips: tuple[str, ...] = ()
    enterprise: str | None = None
    gross_kg: str | None = None
    expected_kg: str | None = None
    readings: tuple[ReadingKept, ...] = ()
    records_scope: str = ""
    records_epoch: str = ""
    records_number: int = 0
    records_age_s: float | None = None
    control_versions: tuple[str, ...] = ()
    """`id@version:mode` of every control that matched, shadow ones included."""
    would_be: dict[str, str] = {}
    """Of every shadow or advisory control that matched, `id@version`: the verdict had it been live."""
    owner: str = ""
    """Who has to end a hold, as `sync.vocabulary.rulings.Owner` names them; empty where nothing is held."""
    ways: tuple[str, ...] = ()
    """How a hold can end, as `sync.vocabulary.rulings.Way` names them."""
    platform: str = ""
    """The customs platform's part: empty (not asked), `released`, `refused`, `unanswered`, `instead`."""
    claim: str = ""
    """`granted`, `offline` (the written policy), `not_needed`, `manual` (S8), `refused`, `unanswered`."""
    claim_id: str = ""
    codes: tuple[SlipCodeShown, ...] = ()
    """Signed codes of slips that were shown."""
    use_ids: tuple[str, ...] = ()
    stage_s: dict[str, float] = {}
    officer: str = ""
    texts_zh: tuple[str, ...] = ()
    texts_en: tuple[str, ...] = ()


class RaiseOrdered(msgspec.Struct, frozen=True, tag="raise_ordered"):
    """Durable before the relay is energised (S1). One order, one raising."""

    passage: int
    order_id: str
    purpose: str
    """`admit`, `inspect`, or `safety` (S2: raised again because something stood under the arm)."""


class ArmRaised(msgspec.Struct, frozen=True, tag="arm_raised"):
    passage: int
    order_id: str


class OrderInterrupted(msgspec.Struct, frozen=True, tag="order_interrupted"):
    """An order whose raising was not seen: killed in between, relay refused, arm stuck."""

    passage: int
    order_id: str
    why: str


class VehicleCrossed(msgspec.Struct, frozen=True, tag="vehicle_crossed"):
    passage: int
    order_id: str
    use_ids: tuple[str, ...]
    claim_id: str = ""


class UsesReturned(msgspec.Struct, frozen=True, tag="uses_returned"):
    passage: int
    use_ids: tuple[str, ...]
    claim_id: str
    why: str


class LowerOrdered(msgspec.Struct, frozen=True, tag="lower_ordered"):
    passage: int


class PictureTaken(msgspec.Struct, frozen=True, tag="picture_taken", kw_only=True):
    """An evidence picture is on the lane's disk, named by its hash."""

    passage: int
    moment: str
    """`arrival`, `weighing`, `ruling`, `passing`, `recognised`."""
    camera: str
    sha256: str
    size_bytes: int


class PictureMissed(msgspec.Struct, frozen=True, tag="picture_missed", kw_only=True):
    """A picture that should be there and is not."""

    passage: int
    moment: str
    camera: str
    why: str


class PicturesShed(msgspec.Struct, frozen=True, tag="pictures_shed", kw_only=True):
    """Old evidence pictures made room for new ones; facts never do (G8)."""

    pictures: int
    size_bytes: int
    first_day: str
    last_day: str
    not_at_the_centre: int


class ParcelChecked(msgspec.Struct, frozen=True, tag="parcel_checked", kw_only=True):
    """A carton of the load was scanned at the lane and looked up (卡口抽核)."""

    passage: int
    waybill_no: str
    slip: str = ""
    """The slip the waybill is on, as the records say."""
    result: str
    """`on_slip`, `not_on_slip`, `unknown`."""


class SupplementEntered(msgspec.Struct, frozen=True, tag="supplement_entered", kw_only=True):
    """补采: an officer entered what a device could not read."""

    passage: int
    officer: str
    field: str
    """`plate`, `weight`, `slip`, `container`."""
    value: str
    reason: str


class PlatformAsked(msgspec.Struct, frozen=True, tag="platform_asked", kw_only=True):
    passage: int
    seq_no: str


class PlatformAnswered(msgspec.Struct, frozen=True, tag="platform_answered", kw_only=True):
    """Kept whole: only two of the twenty digits have a known meaning."""

    passage: int | None = None
    seq_no: str
    check_result: str
    hint: str = ""
    form_id: str = ""
    counted: bool
    """False: it was not an answer to what was asked (another lane, another number, too late)."""
    why: str = ""


class PlatformOrderSeen(msgspec.Struct, frozen=True, tag="platform_order_seen", kw_only=True):
    """The platform wanted a device moved (type 31)."""

    order_no: str
    command: str
    operator: str = ""
    reason: str = ""
    passage: int | None = None
    obeyed: bool
    why: str = ""


class CommandTaken(msgspec.Struct, frozen=True, tag="command_taken", kw_only=True):
    """What became of a command of the centre, and who gave it (S8). One more when it is done later."""

    command_id: str
    kind: str
    officers: tuple[str, ...] = ()
    reason: str = ""
    passage: int | None = None
    """The passage it is about, whether or not that is the one in the lane."""
    outcome: str
    """`accepted`, `done`, `refused`."""
    why: str = ""


class PassageClosed(msgspec.Struct, frozen=True, tag="passage_closed", kw_only=True):
    passage: int
    outcome: str
    """`crossed`, `backed_out`, `ungated`, `interrupted`, `false_start`."""
    lane_s: float
    """From presence to the lane being free again."""
    stage_s: dict[str, float] = {}


class DeviceLost(msgspec.Struct, frozen=True, tag="device_lost"):
    device: str
    role: str
    why: str


class DeviceBack(msgspec.Struct, frozen=True, tag="device_back"):
    device: str
    role: str


class LaneClosed(msgspec.Struct, frozen=True, tag="lane_closed"):
    why: str


class LaneReset(msgspec.Struct, frozen=True, tag="lane_reset"):
    by: str


class Alarm(msgspec.Struct, frozen=True, tag="alarm", kw_only=True):
    code: AlarmCode
    passage: int | None = None
    detail: str = ""
    zh: str = ""
    en: str = ""


# --- what the sync says -----------------------------------------------------------------------------------


class EpochBegan(msgspec.Struct, frozen=True, tag="epoch_began"):
    """First fact of an epoch: names the heads it leaves behind (G4)."""

    why: str
    old_epoch: str
    old_heads: dict[str, str]
    """stream -> `seq:hash` in the old epoch."""


class RecordsMoved(msgspec.Struct, frozen=True, tag="records_moved"):
    scope: str
    epoch: str
    number: int
    generation: int
    why: str


class RecordsRepaired(msgspec.Struct, frozen=True, tag="records_repaired"):
    """A difference from the centre's records at the same number was mended in place (G5)."""

    scope: str
    epoch: str
    number: int
    buckets: tuple[int, ...]
    """Digest buckets that differed and were fetched."""
    put: int
    """Rows of them that were missing or other here."""
    deleted: int
    """Rows that were here and should not have been."""


class MessageRefused(msgspec.Struct, frozen=True, tag="message_refused"):
    topic: str
    why: str
    times: int


FactData = (
    LaneStarted
    | PassageOpened
    | RulingMade
    | RaiseOrdered
    | ArmRaised
    | OrderInterrupted
    | VehicleCrossed
    | UsesReturned
    | LowerOrdered
    | PictureTaken
    | PictureMissed
    | PicturesShed
    | ParcelChecked
    | SupplementEntered
    | PlatformAsked
    | PlatformAnswered
    | PlatformOrderSeen
    | CommandTaken
    | PassageClosed
    | DeviceLost
    | DeviceBack
    | LaneClosed
    | LaneReset
    | Alarm
    | EpochBegan
    | RecordsMoved
    | RecordsRepaired
    | MessageRefused
)


class FactDraft(msgspec.Struct, frozen=True):
    """A fact before it has a place in the journal."""

    event_id: str
    """Random, unique for ever; survives re-issue in a new epoch."""
    stream: Stream
    time: str
    """UTC text; never used for order (G7)."""
    boot_id: str
    uncertainty_ms: int
    """How far the clock may be off; -1 when unknown."""
    data: FactData


class FactBody(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON a fact's hash covers."""

    v: int = 1
    device: str
    epoch: str
    stream: Stream
    seq: int
    """From 1, gap-free per (device, epoch, stream)."""
    position: int
    """Device-wide, from 1 over all streams and epochs."""
    prev: str
    event_id: str
    time: str
    boot_id: str
    uncertainty_ms: int
    data: FactData


class Fact(msgspec.Struct, frozen=True):
    """A stored fact: its identity and its exact bytes."""

    device: str
    epoch: str
    stream: Stream
    seq: int
    position: int
    event_id: str
    kind: str
    passage: int | None
    time: str
    hash: str
    body: str


def kind_of(data: FactData) -> str:
    """The tag a fact's data travels under."""
    tag = data.__struct_config__.tag
    assert isinstance(tag, str)  # noqa: S101  every member of FactData declares a string tag
    return tag


def hash_of(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()


def seal(draft: FactDraft, *, device: str, epoch: str, seq: int, position: int, prev: str) -> Fact:
    """Give a draft its place: write the body once and hash it."""
    body = to_json(
        FactBody(
            device=device,
            epoch=epoch,
            stream=draft.stream,
            seq=seq,
            position=position,
            prev=prev,
            event_id=draft.event_id,
            time=draft.time,
            boot_id=draft.boot_id,
            uncertainty_ms=draft.uncertainty_ms,
            data=draft.data,
        )
    ).decode()
    return Fact(
        device=device,
        epoch=epoch,
        stream=draft.stream,
        seq=seq,
        position=position,
        event_id=draft.event_id,
        kind=kind_of(draft.data),
        passage=getattr(draft.data, "passage", None),
        time=draft.time,
        hash=hash_of(body),
        body=body,
    )


read_body = decoder(FactBody)
"""Exact bytes -> `FactBody`. Raises `Malformed`. Unknown fields are allowed: additive versions (DESIGN 4)."""
