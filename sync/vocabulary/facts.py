"""Facts: what a program decided, did, saw fail or was told. Identity, chain and exact bytes (G2, G6).

A fact's body is JSON written once; its hash is SHA-256 over exactly those bytes, and the body names the hash
of the fact before it in its stream. Nobody re-encodes a body: it is carried as a string.
"""

from __future__ import annotations

import enum
import hashlib
from typing import Annotated

import msgspec
from msgspec import Meta

from sync.vocabulary.bounds import (
    MAX_BUCKETS,
    MAX_LIST,
    Count,
    Hash,
    Name,
    NameList,
    NameOrNone,
    Number,
    Seconds,
    SecondsTable,
    Time,
    Whole,
    WordList,
    Words,
    WordTable,
)
from sync.vocabulary.codec import decoder, to_json
from sync.vocabulary.handheld_facts import Counted, HandheldFact, Measures
from sync.vocabulary.rulings import Ruling
from sync.vocabulary.xray_facts import XRayFact

GENESIS = "0" * 64
"""`prev` of the first fact of a stream in an epoch."""


VERSION = 1
"""Of what facts say. A change is additive, or a new version."""
MAX_CARRIED_BYTES = 60 * 1024
"""Of a fact's body as it travels: as a string inside an event, beside which a payload has room for more."""

_GROWTH_BYTES = 64
"""Issued again in a later epoch a fact has other numbers, with more digits."""


class FactTooLong(ValueError):
    """A fact could never travel; the text says how long it is and how long it may be."""


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
    CERTIFICATE_ENDS = "certificate_ends"
    PARCEL_REMOVED = "parcel_removed"
    PARCEL_ADDED = "parcel_added"
    WRONG_CHUTE = "wrong_chute"
    BELT_FAULT = "belt_fault"
    WEDGE_FAILED = "wedge_failed"
    EVIDENCE_FULL = "evidence_full"
    FACTS_LOST = "facts_lost"


# --- what a lane says -------------------------------------------------------------------------------------


class LaneStarted(msgspec.Struct, frozen=True, tag="lane_started"):
    version: Words
    config_digest: Words
    boot_id: Words


class PassageOpened(msgspec.Struct, frozen=True, tag="passage_opened"):
    passage: Count
    gated: bool = True


class ReadingKept(msgspec.Struct, frozen=True):
    """A reading a ruling stands on."""

    kind: Words
    value: Words
    after_s: Seconds
    """Seconds after the passage opened."""
    detail: Words = ""


class SlipCodeShown(msgspec.Struct, frozen=True):
    """A slip's signed code that was shown, and what was made of it (`sync.policy.shown_slips`)."""

    slip_no: Words
    kid: Words
    sha256: Words
    """Of the COSE message."""
    issued: Words
    standing: Words
    """`stands`: the ruling stood on the code, which was newer than the records. `records`: they knew all that
    it says and decided alone. `refused`."""
    why: Words = ""


class RulingMade(msgspec.Struct, frozen=True, tag="ruling_made", kw_only=True):
    passage: Count
    ruling: Ruling
    direction: Words
    plate: Words | None = None
    slips: NameList = ()
    enterprise: Words | None = None
    gross_kg: Words | None = None
    expected_kg: Words | None = None
    readings: Annotated[tuple[ReadingKept, ...], Meta(max_length=MAX_LIST)] = ()
    records_scope: Words = ""
    records_epoch: Words = ""
    records_number: Count = 0
    records_age_s: Seconds | None = None
    control_versions: WordList = ()
    """`id@version:mode` of every control that matched, shadow ones included."""
    would_be: WordTable = {}
    """Of every shadow or advisory control that matched, `id@version`: the verdict had it been live."""
    owner: Words = ""
    """Who has to end a hold, as `sync.vocabulary.rulings.Owner` names them; empty where nothing is held."""
    ways: WordList = ()
    """How a hold can end, as `sync.vocabulary.rulings.Way` names them."""
    platform: Words = ""
    """The customs platform's part: empty (not asked), `released`, `refused`, `unanswered`, `instead`."""
    claim: Words = ""
    """`granted`, `offline` (the written policy), `not_needed`, `manual` (S8), `refused`, `unanswered`."""
    claim_id: NameOrNone = ""
    codes: Annotated[tuple[SlipCodeShown, ...], Meta(max_length=MAX_LIST)] = ()
    """Signed codes of slips that were shown."""
    use_ids: NameList = ()
    stage_s: SecondsTable = {}
    officer: Words = ""
    texts_zh: WordList = ()
    texts_en: WordList = ()


class RaiseOrdered(msgspec.Struct, frozen=True, tag="raise_ordered"):
    """Durable before the relay is energised (S1). One order, one raising."""

    passage: Count
    order_id: Words
    purpose: Words
    """`admit`, `inspect`, or `safety` (S2: raised again because something stood under the arm)."""


class ArmRaised(msgspec.Struct, frozen=True, tag="arm_raised"):
    passage: Count
    order_id: Words


class OrderInterrupted(msgspec.Struct, frozen=True, tag="order_interrupted"):
    """An order whose raising was not seen: killed in between, relay refused, arm stuck."""

    passage: Count
    order_id: Words
    why: Words


class VehicleCrossed(msgspec.Struct, frozen=True, tag="vehicle_crossed"):
    passage: Count
    order_id: Words
    use_ids: NameList
    claim_id: NameOrNone = ""


class UsesReturned(msgspec.Struct, frozen=True, tag="uses_returned"):
    passage: Count
    use_ids: NameList
    claim_id: NameOrNone
    why: Words


class LowerOrdered(msgspec.Struct, frozen=True, tag="lower_ordered"):
    passage: Count


class PictureTaken(msgspec.Struct, frozen=True, tag="picture_taken", kw_only=True):
    """An evidence picture is on the lane's disk, named by its hash."""

    passage: Count
    moment: Words
    """`arrival`, `weighing`, `ruling`, `passing`, `recognised`; `asked`: the centre's command wanted it."""
    camera: Words
    sha256: Words
    size_bytes: Count


class PictureMissed(msgspec.Struct, frozen=True, tag="picture_missed", kw_only=True):
    """A picture that should be there and is not."""

    passage: Count
    moment: Words
    camera: Words
    why: Words


class PicturesShed(msgspec.Struct, frozen=True, tag="pictures_shed", kw_only=True):
    """Old evidence pictures made room for new ones; facts never do (G8)."""

    pictures: Count
    size_bytes: Count
    first_day: Words
    last_day: Words
    not_at_the_centre: Count


class ParcelChecked(msgspec.Struct, frozen=True, tag="parcel_checked", kw_only=True):
    """A carton of the load was scanned at the lane and looked up (卡口抽核)."""

    passage: Count
    waybill_no: Words
    slip: Words = ""
    """The slip the waybill is on, as the records say."""
    result: Words
    """`on_slip`, `not_on_slip`, `unknown`."""


class SupplementEntered(msgspec.Struct, frozen=True, tag="supplement_entered", kw_only=True):
    """补采: an officer entered what a device could not read."""

    passage: Count
    officer: Words
    field: Words
    """`plate`, `weight`, `slip`, `container`."""
    value: Words
    reason: Words


class PlatformAsked(msgspec.Struct, frozen=True, tag="platform_asked", kw_only=True):
    passage: Count
    seq_no: Words


class PlatformAnswered(msgspec.Struct, frozen=True, tag="platform_answered", kw_only=True):
    """Kept whole: only two of the twenty digits have a known meaning."""

    passage: Count | None = None
    seq_no: Words
    check_result: Words
    hint: Words = ""
    form_id: Words = ""
    counted: bool
    """False: it was not an answer to what was asked (another lane, another number, too late)."""
    why: Words = ""


class PlatformOrderSeen(msgspec.Struct, frozen=True, tag="platform_order_seen", kw_only=True):
    """The platform wanted a device moved (type 31)."""

    order_no: NameOrNone
    command: Words
    operator: Words = ""
    reason: Words = ""
    passage: Count | None = None
    obeyed: bool
    why: Words = ""


class CommandTaken(msgspec.Struct, frozen=True, tag="command_taken", kw_only=True):
    """What became of a command of the centre, and who gave it (S8). One more when it is done later."""

    command_id: NameOrNone
    kind: Words
    officers: WordList = ()
    reason: Words = ""
    passage: Count | None = None
    """The passage it is about, whether or not that is the one in the lane."""
    outcome: Words
    """`accepted`, `done`, `refused`."""
    why: Words = ""


class OrderTaken(msgspec.Struct, frozen=True, tag="order_taken", kw_only=True):
    """An officer has an inspection order in hand (查验指令)."""

    order_no: NameOrNone
    officers: WordList


class InspectionMade(msgspec.Struct, frozen=True, tag="inspection_made", kw_only=True):
    """What was opened or looked at, and how (实施查验)."""

    order_no: NameOrNone
    officers: WordList
    waybill_nos: WordList = ()
    """The parcels inspected; none where a whole vehicle was."""
    method: Words = ""
    """`opened`, `x_ray`, `seal`, `papers`, `sample`."""
    pictures: WordList = ()
    """SHA-256 of the evidence kept, each told before by its own `evidence_taken`."""
    quantities: Counted = ()
    """Declared lines against what was counted."""
    measured: Measures = ()
    marked: WordList = ()
    """Of the pictures: those with shapes drawn on them."""
    voice_notes: WordList = ()
    seal_no: Words = ""
    second_officer: Words = ""
    """Proved by PIN, another than the first; empty where one was enough."""
    remark: Words = ""
    part: Number = 1
    """A long count is told in several facts of one transaction; those after the first carry lines alone."""
    parts: Number = 1


class FindingMade(msgspec.Struct, frozen=True, tag="finding_made", kw_only=True):
    """What came out of it, and what is done about it (异常处置). It ends the order."""

    order_no: NameOrNone
    officers: WordList
    finding: Words
    """`nothing`, `not_declared`, `other_goods`, `other_quantity`, `forbidden`, `damaged`."""
    handling: Words = ""
    """`released`, `returned`, `seized`, `destroyed`, `sample_sent`, `referred`."""
    remark: Words = ""
    waybill_nos: WordList = ()
    """Whose handling this is; none: all the order names."""
    sample_no: NameOrNone = ""
    """With `sample_sent`: held until the laboratory has spoken of this sample."""


class PassageClosed(msgspec.Struct, frozen=True, tag="passage_closed", kw_only=True):
    passage: Count
    outcome: Words
    """`crossed`, `backed_out`, `ungated`, `interrupted`, `false_start`."""
    lane_s: Seconds
    """From presence to the lane being free again."""
    stage_s: SecondsTable = {}


class DeviceLost(msgspec.Struct, frozen=True, tag="device_lost"):
    device: Words
    role: Words
    why: Words


class DeviceBack(msgspec.Struct, frozen=True, tag="device_back"):
    device: Words
    role: Words


class LaneClosed(msgspec.Struct, frozen=True, tag="lane_closed"):
    why: Words


class LaneReset(msgspec.Struct, frozen=True, tag="lane_reset"):
    by: Words


class Alarm(msgspec.Struct, frozen=True, tag="alarm", kw_only=True):
    code: AlarmCode
    passage: Count | None = None
    detail: Words = ""
    zh: Words = ""
    en: Words = ""


# --- what the sync says -----------------------------------------------------------------------------------


class EpochBegan(msgspec.Struct, frozen=True, tag="epoch_began"):
    """First fact of an epoch: names the heads it leaves behind (G4)."""

    why: Words
    old_epoch: Words
    old_heads: WordTable
    """stream -> `seq:hash` in the old epoch."""


class RecordsMoved(msgspec.Struct, frozen=True, tag="records_moved"):
    scope: Words
    epoch: Words
    number: Count
    generation: Count
    why: Words


class RecordsRepaired(msgspec.Struct, frozen=True, tag="records_repaired"):
    """A difference from the centre's records at the same number was mended in place (G5)."""

    scope: Words
    epoch: Words
    number: Count
    buckets: Annotated[tuple[Count, ...], Meta(max_length=MAX_BUCKETS)]
    """Digest buckets that differed and were fetched."""
    put: Count
    """Rows of them that were missing or other here."""
    deleted: Count
    """Rows that were here and should not have been."""


class MessageRefused(msgspec.Struct, frozen=True, tag="message_refused"):
    topic: Words
    why: Words
    times: Count


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
    | OrderTaken
    | InspectionMade
    | FindingMade
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
    | HandheldFact
    | XRayFact
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

    v: Annotated[int, Meta(ge=VERSION - 1, le=VERSION + 1)] = VERSION
    """One version older and newer are read; what is further away is kept unread (docs/contract)."""
    device: Name
    epoch: Name
    stream: Stream
    seq: Number
    """From 1, gap-free per (device, epoch, stream)."""
    position: Number
    """Device-wide, from 1 over all streams and epochs."""
    prev: Hash
    event_id: Name
    time: Time
    boot_id: NameOrNone
    uncertainty_ms: Whole
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


def check_length(fact: Fact) -> None:
    """Raises `FactTooLong`. A stream whose next fact fits no payload would stand still for ever, so none is
    ever made."""
    most = MAX_CARRIED_BYTES - _GROWTH_BYTES
    # No character is carried in more than four bytes.
    if 4 * len(fact.body) <= most:
        return
    carried = len(to_json(fact.body))
    if carried > most:
        raise FactTooLong(
            f"a fact of kind {fact.kind} would take {carried} bytes, at most {most} can be sent: "
            "nothing of this commit happened"
        )


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
    )
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
        hash=hashlib.sha256(body).hexdigest(),
        body=body.decode(),
    )


read_body = decoder(FactBody)
"""Exact bytes -> `FactBody`. Raises `Malformed`. Unknown fields are allowed: additive versions."""
