"""Records that come down: what the centre says is true. Frozen, self-checking, one type per collection.

Weights are kilograms as `Decimal` (SAS221 carries three decimals), never floats. Times are ISO 8601 UTC text
ending in `Z`, compared as text. Standard field names of 金关二期 stand in brackets.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from sync.vocabulary.bounds import MAX_LIST, Count, Name, Number, PerMille, Text, Texts
from sync.vocabulary.numbers import ContainerNo, EnterpriseCode, Epc, Plate, SlipNo, UtcText, WaybillNo
from sync.vocabulary.weights import MAX_KG, is_kilograms

MAX_USES = 1_000
MAX_OFFICERS = 9
MAX_FIELDS = 64
MAX_PIN_DEVICES = 300
"""Handhelds one officer's PIN opens: their entries share the officer's record."""
MAX_STRETCH_KIB = 256 * 1024
MAX_STRETCH_PASSES = 16
"""What stretching a PIN may cost the device that does it (G11)."""

TextTable = Annotated[dict[Name, Text], Meta(max_length=MAX_FIELDS)]

MAX_OFFLINE_SIGN_IN_H = 31 * 24
MAX_PREVIEW = 40_000
"""Characters of a small picture in a record: beside it a batch has room for the record itself."""
MAX_DESCRIPTOR = 8_000
MAX_BOXES = 64
MAX_POINTS = 200
MAX_STEPS = 200
MAX_METHODS = 16
MAX_HELD_REASONS = 8
LONGEST_AUTO_LOCK_S = 3600
MAX_QUANTITY = Decimal("999999999.99999")
"""`qty` of a declaration has five decimals."""

Preview = Annotated[str, Meta(max_length=MAX_PREVIEW)]
"""A JPEG as base64, small enough for a record; empty where there is none."""
Share = Annotated[float, Meta(ge=0, le=1)]
"""Of a picture's width or height."""

LONGEST_CONSULTATION_S = 300
"""No vehicle waits longer for the customs platform to speak (S9)."""


class Direction(enum.StrEnum):
    IN = "I"
    """进 (`ioTypecd` I)"""
    OUT = "E"
    """出 (`ioTypecd` E)"""


class VehicleState(enum.StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"
    BLOCKED = "blocked"


class SlipKind(enum.StrEnum):
    """`passportTypecd`."""

    GOODS_FIRST = "1"
    """先入区后报关"""
    FIRST_LINE = "2"
    """一线一体化"""
    SECOND_LINE = "3"
    """二线"""
    NO_DECLARATION = "4"
    """非报关"""
    GATE_REGISTRATION = "5"
    """卡口登记"""
    EMPTY_VEHICLE = "6"
    """空车"""


class Binding(enum.StrEnum):
    """`bindTypecd`."""

    MANY_SLIPS = "1"
    """一车多票"""
    ONE_SLIP = "2"
    """一车一票"""
    MANY_VEHICLES = "3"
    """一票多车"""


class SlipState(enum.StrEnum):
    """`stucd`."""

    APPLIED = "0"
    APPROVED = "1"
    PASSED = "2"
    PASSED_FIRST = "3"
    PASSED_SECOND = "4"
    DELETED = "5"
    CANCELLED = "6"


class CreditTier(enum.StrEnum):
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Mode(enum.StrEnum):
    """How a control acts: only compared, only shown, or obeyed."""

    SHADOW = "shadow"
    ADVISORY = "advisory"
    LIVE = "live"


class LaneClass(enum.StrEnum):
    """分类通道: whom a lane is for."""

    LOADED = "loaded"
    EMPTY = "empty"
    EXPRESS = "express"
    """Enterprises of the highest credit tier."""
    MANUAL = "manual"
    """An officer decides about every vehicle."""
    MIXED = "mixed"


class GateStage(enum.StrEnum):
    """Which gate of a zone with two a lane belongs to (一卡, 二卡)."""

    ONLY = "only"
    FIRST = "first"
    SECOND = "second"


class PlatformRole(enum.StrEnum):
    """What the customs platform's ruling means beside the lane's own."""

    NONE = "none"
    BEFORE = "before"
    """It is asked first; both must release."""
    AFTER = "after"
    """It is asked about what the lane would release; both must release."""
    INSTEAD = "instead"
    """It releases alone, except against a local quarantine, live control, recall or block."""


class PlatformLost(enum.StrEnum):
    """What happens when the platform does not answer in its time."""

    HOLD = "hold"
    LOCAL = "local"
    """The lane's own rules decide."""


class ControlAction(enum.StrEnum):
    INSPECT = "inspect"
    HOLD = "hold"


def _must_be_kilograms(**weights: Decimal) -> None:
    """JSON may carry NaN, 1e999999999 or -5 as a decimal: comparing with one would stop a lane (G11)."""
    for name, value in weights.items():
        if not is_kilograms(value):
            raise ValueError(
                f"{name}: expected 0 to {MAX_KG} kg with at most 3 decimals, got {str(value)[:40]}"
            )


def _must_be_quantities(**quantities: Decimal) -> None:
    for name, value in quantities.items():
        if not is_quantity(value):
            raise ValueError(
                f"{name}: expected 0 to {MAX_QUANTITY} with at most 5 decimals, got {str(value)[:40]}"
            )


def is_quantity(value: Decimal) -> bool:
    """Whether something can be declared, booked or counted so often."""
    return value.is_finite() and 0 <= value <= MAX_QUANTITY and value.quantize(_QUANTUM) == value


_QUANTUM = Decimal("0.00001")


class Vehicle(msgspec.Struct, frozen=True, kw_only=True):
    plate: Plate
    plate_colour: Text = ""
    tag_epcs: Annotated[tuple[Epc, ...], Meta(max_length=MAX_LIST)] = ()
    tare_kg: Decimal
    trailer_plate: Plate | None = None
    """The registered trailer it draws: one vehicle in two parts (S3)."""
    carrier: Text = ""
    state: VehicleState = VehicleState.ACTIVE
    valid_until: UtcText

    def __post_init__(self) -> None:
        _must_be_kilograms(tare_kg=self.tare_kg)


class ReleaseSlip(msgspec.Struct, frozen=True, kw_only=True):
    slip_no: SlipNo
    """`passportNo`"""
    direction: Direction
    kind: SlipKind
    binding: Binding
    related_type: Text = ""
    """`rltTbTypecd`"""
    related_nos: Texts = ()
    """`rltNo`, split at the backslash"""
    plate: Plate | None = None
    """`vehicleNo`; none when a slip binds several vehicles"""
    card_no: Text = ""
    frame_no: Text = ""
    container_nos: Annotated[tuple[ContainerNo, ...], Meta(max_length=MAX_LIST)] = ()
    vehicle_kg: Decimal
    frame_kg: Decimal = Decimal(0)
    container_kg: Decimal = Decimal(0)
    cargo_gross_kg: Decimal
    total_kg: Decimal
    enterprise: EnterpriseCode
    customs_code: Text = ""
    """`masterCuscd`"""
    state: SlipState
    valid_from: UtcText
    valid_until: UtcText
    control: Text = ""
    quarantine: Text = ""
    """`required`: 应检未检, may not pass; `done` or empty otherwise"""
    uses_allowed: Annotated[int, Meta(ge=1, le=MAX_USES)] = 1
    waybill_count: Count = 0

    def __post_init__(self) -> None:
        _must_be_kilograms(
            vehicle_kg=self.vehicle_kg,
            frame_kg=self.frame_kg,
            container_kg=self.container_kg,
            cargo_gross_kg=self.cargo_gross_kg,
            total_kg=self.total_kg,
        )


class Waybill(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    waybill_no: WaybillNo
    """`logisticsNo`"""
    declarations: Texts = ()
    """`invtNo`"""
    three_documents: Text = ""
    order_no: Text = ""
    bill_no: Text = ""
    slip_no: SlipNo | None = None
    enterprise: EnterpriseCode | None = None
    platform: Text = ""
    pieces: Count = 1
    gross_kg: Decimal = Decimal(0)
    direction: Text = "import"
    state: Text = "declared"
    control: Text = ""
    quarantine: Text = ""
    trace_code: Text = ""
    """溯源码"""
    batch_no: Text = ""
    """Of the goods: what a recall after a failed sample names."""
    regime: Text = ""
    """监管方式, such as `1210` (bonded) or `9610` (direct); with a comma where a parcel holds both."""
    lines: Annotated[tuple[TextTable, ...], Meta(max_length=MAX_LIST)] = ()
    """What was declared: `no`, `sku`, `hs_code`, `name`, `declared_name`, `quantity`, `unit`, `origin` and
    `batch`. `declared_lines` reads them."""

    def __post_init__(self) -> None:
        # There are millions of them: looked at here, told there.
        if not is_kilograms(self.gross_kg):
            _must_be_kilograms(gross_kg=self.gross_kg)


LINE_FIELDS = frozenset(
    {
        "no",
        "sku",
        "hs_code",
        "name",
        "declared_name",
        "quantity",
        "unit",
        "origin",
        "batch",
        "order",
        "declaration",
    }
)
"""All that a line of a waybill may hold where it is taken in: nothing of a buyer comes down by that way."""


@dataclass(frozen=True, slots=True)
class DeclaredLine:
    """One line of a waybill as an officer compares it with what lies in the hand."""

    no: str
    sku: str
    hs_code: str
    name: str
    quantity: Decimal | None
    """None: none was declared, or it cannot be read as a number."""
    unit: str
    origin: str
    batch_no: str


def declared_lines(waybill: Waybill) -> tuple[DeclaredLine, ...]:
    """A line without a number is called by its place, from 1."""
    return tuple(
        DeclaredLine(
            no=line.get("no") or str(place),
            sku=line.get("sku", ""),
            hs_code=line.get("hs_code", ""),
            name=line.get("name") or line.get("declared_name", ""),
            quantity=quantity_of(line.get("quantity", "")),
            unit=line.get("unit", ""),
            origin=line.get("origin", ""),
            batch_no=line.get("batch") or waybill.batch_no,
        )
        for place, line in enumerate(waybill.lines, start=1)
    )


_QUANTITY = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,5})?")


def quantity_of(text: str) -> Decimal | None:
    """Plain decimal text such as `12` or `0.5`; None for anything else."""
    return Decimal(text) if _QUANTITY.fullmatch(text) else None


class Enterprise(msgspec.Struct, frozen=True, kw_only=True):
    code: EnterpriseCode
    name: Text
    tier: CreditTier
    spot_check_per_mille: PerMille
    """Of a thousand vehicle days, how many are drawn. An integer: the draw must be the same everywhere."""
    x_ray_per_mille: PerMille = 0


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """All given fields must match; an empty list matches anything."""

    plates: Annotated[tuple[Plate, ...], Meta(max_length=MAX_LIST)] = ()
    slip_nos: Annotated[tuple[SlipNo, ...], Meta(max_length=MAX_LIST)] = ()
    enterprises: Annotated[tuple[EnterpriseCode, ...], Meta(max_length=MAX_LIST)] = ()
    directions: Annotated[tuple[Direction, ...], Meta(max_length=MAX_LIST)] = ()
    slip_kinds: Annotated[tuple[SlipKind, ...], Meta(max_length=MAX_LIST)] = ()


class Control(msgspec.Struct, frozen=True, kw_only=True):
    control_id: Text
    version: Count
    mode: Mode
    condition: Condition
    action: ControlAction
    valid_from: UtcText
    valid_until: UtcText
    reason_zh: Text
    reason_en: Text


class RecallState(enum.StrEnum):
    ACTIVE = "active"
    ENDED = "ended"


class Recall(msgspec.Struct, frozen=True, kw_only=True):
    """What must be stopped wherever it turns up (召回). One hit in any list is a hit."""

    recall_no: Text
    state: RecallState = RecallState.ACTIVE
    slip_nos: Annotated[tuple[SlipNo, ...], Meta(max_length=MAX_LIST)] = ()
    waybill_nos: Annotated[tuple[WaybillNo, ...], Meta(max_length=MAX_LIST)] = ()
    trace_codes: Texts = ()
    skus: Texts = ()
    batch_nos: Texts = ()
    """With `skus`: only these batches of them. Alone: these batches of anything."""
    enterprises: Annotated[tuple[EnterpriseCode, ...], Meta(max_length=MAX_LIST)] = ()
    cause: Text = ""
    """What opened it, such as `laboratory LIMS-2026-118, sample S-0412, order XD-7`."""
    issued: UtcText | None = None
    reason_zh: Text
    reason_en: Text

    def names(self, waybill: Waybill) -> bool:
        """Whether this parcel is to be stopped, be the recall in force or not."""
        return (
            waybill.waybill_no in self.waybill_nos
            or (waybill.trace_code != "" and waybill.trace_code in self.trace_codes)
            or (waybill.slip_no is not None and waybill.slip_no in self.slip_nos)
            or (waybill.enterprise is not None and waybill.enterprise in self.enterprises)
            or self._names_goods(waybill)
        )

    def _names_goods(self, waybill: Waybill) -> bool:
        if not self.skus and not self.batch_nos:
            return False
        if not self.skus and waybill.batch_no in self.batch_nos:
            return True
        return any(
            (not self.skus or line.get("sku") in self.skus)
            and (not self.batch_nos or (line.get("batch") or waybill.batch_no) in self.batch_nos)
            for line in waybill.lines
        )


class InspectionMethod(enum.StrEnum):
    """How goods are looked at (查验方式)."""

    OPENED = "opened"
    """开箱"""
    X_RAY = "x_ray"
    """机检"""
    SEAL = "seal"
    """验封"""
    PAPERS = "papers"
    """验单"""
    SAMPLE = "sample"
    """取样"""


class SiteLane(msgspec.Struct, frozen=True, kw_only=True):
    """One lane of a site, as the centre classes it today."""

    lane: Text
    """The lane's device name."""
    lane_class: LaneClass = LaneClass.MIXED
    direction: Direction
    gate: GateStage = GateStage.ONLY
    name_zh: Text = ""
    """What a driver reads on the sign, such as `3号`."""
    name_en: Text = ""


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """One row per site: tolerances and the offline policy, decided by the centre."""

    site: Text
    name_zh: Text
    name_en: Text
    zone: Text = "Asia/Shanghai"
    weight_tolerance_kg: Decimal = Decimal(200)
    weight_tolerance_per_mille: PerMille = 30
    """The larger of the two tolerances holds."""
    empty_tolerance_kg: Decimal = Decimal(300)
    offline_release_tiers: Annotated[tuple[CreditTier, ...], Meta(max_length=MAX_LIST)] = ()
    """Without a claim answer: release and reconcile for these tiers, hold all others (S4)."""
    max_age_s: Count = 6 * 3600
    """No ruling stands on records older than this (S10)."""
    inspection_beyond_barrier: bool = False
    waiting_area_beyond_barrier: bool = False
    """False: a vehicle led aside would be through the gate, so nobody is led aside by a raised arm."""
    manual_release_officers: Annotated[int, Meta(ge=1, le=MAX_OFFICERS)] = 1
    """How many different officers a manual release needs (S8)."""
    lanes: Annotated[tuple[SiteLane, ...], Meta(max_length=MAX_LIST)] = ()
    """A lane that is not listed takes every vehicle and is the only gate."""
    customs_codes: Texts = ()
    """`masterCuscd` of slips this site serves; empty: any."""
    inspect_all_tiers: Annotated[tuple[CreditTier, ...], Meta(max_length=MAX_LIST)] = ()
    """Credit tiers whose every vehicle is inspected; the others are drawn by their enterprise's rate."""
    tare_drift_kg: Decimal = Decimal(150)
    """An empty vehicle further from its registered tare is an alarm (anti-cheat)."""
    platform: PlatformRole = PlatformRole.NONE
    platform_timeout_s: Count = 20
    platform_lost: PlatformLost = PlatformLost.HOLD
    platform_may_raise: bool = False
    """True: the platform's own device order counts as one officer's manual release (S8)."""
    offline_sign_in_h: Annotated[int, Meta(ge=0, le=MAX_OFFLINE_SIGN_IN_H)] = 72
    """Hours after the last verified head in which officers sign in on a handheld without a network."""
    two_officer_methods: Annotated[tuple[InspectionMethod, ...], Meta(max_length=MAX_METHODS)] = ()
    """Inspections done so need two different officers, whatever their order says."""
    auto_lock_s: Annotated[int, Meta(ge=15, le=LONGEST_AUTO_LOCK_S)] = 300
    """A handheld nobody has touched for so long asks for the PIN again."""

    def __post_init__(self) -> None:
        _must_be_kilograms(
            weight_tolerance_kg=self.weight_tolerance_kg,
            empty_tolerance_kg=self.empty_tolerance_kg,
            tare_drift_kg=self.tare_drift_kg,
        )
        if not 1 <= self.platform_timeout_s <= LONGEST_CONSULTATION_S:
            raise ValueError(
                f"platform_timeout_s: expected 1 to {LONGEST_CONSULTATION_S}, got {self.platform_timeout_s}"
            )

    def lane(self, name: str) -> SiteLane | None:
        """How the centre classes a lane; None where it says nothing."""
        return next((lane for lane in self.lanes if lane.lane == name), None)


class OfficerState(enum.StrEnum):
    ACTIVE = "active"
    REVOKED = "revoked"


class OfficerPin(msgspec.Struct, frozen=True, kw_only=True):
    """What proves an officer's PIN to the handhelds named in it, by what each shares with the centre,
    and to nobody else (`sync.policy.pins`). Neither the PIN is in it nor what a guess could be tried on."""

    salt: Text
    """16 bytes as base64."""
    memory_kib: Annotated[int, Meta(ge=1024, le=MAX_STRETCH_KIB)]
    passes: Annotated[int, Meta(ge=1, le=MAX_STRETCH_PASSES)]
    """Of Argon2id, one lane."""
    devices: Annotated[dict[Name, Text], Meta(max_length=MAX_PIN_DEVICES)] = {}
    """Device -> its entry, as base64."""
    kept: Text = ""
    """For the centre alone: with it, entries for further devices are made without the PIN."""
    set_at: UtcText


class Officer(msgspec.Struct, frozen=True, kw_only=True):
    """A rostered officer: a number and what it may do, no person."""

    officer_no: Text
    authorisations: Texts = ()
    """施检授权 and the like, such as `inspect`, `manual_release`, `patrol`."""
    roles: Texts = ()
    """Such as `inspector`, `shift_leader`: shown beside the number; what may be done, authorisations say."""
    public_key: Text
    """Ed25519, 32 bytes as base64."""
    state: OfficerState = OfficerState.ACTIVE
    valid_until: UtcText
    pin: OfficerPin | None = None
    """None: signs in on no handheld."""


class KeyState(enum.StrEnum):
    ACTIVE = "active"
    REVOKED = "revoked"


class SlipKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key that signs slip codes (`sync.vocabulary.slip_codes`). Two are active while one takes over."""

    kid: Text
    """16 hex digits: the beginning of SHA-256 over the key's 32 bytes."""
    public_key: Text
    """Ed25519, 32 bytes as base64."""
    issuer: Text
    """In whose name it signs; codes of any other issuer are refused."""
    state: KeyState = KeyState.ACTIVE
    """Revoked: nothing it ever signed is believed any more."""
    valid_from: UtcText
    valid_until: UtcText
    """Codes issued in this time are believed, until they end themselves."""


class OrderState(enum.StrEnum):
    OPEN = "open"
    WITHDRAWN = "withdrawn"
    """By the centre; whoever has it in hand puts it down."""


class OrderCause(enum.StrEnum):
    CONTROL = "control"
    SPOT_CHECK = "spot_check"
    CREDIT = "credit"
    RECALL = "recall"
    X_RAY = "x_ray"
    OFFICER = "officer"


class Draw(msgspec.Struct, frozen=True, kw_only=True):
    """A drawing of lots that anybody can repeat: which goods, which officers (双随机)."""

    draw_no: Text
    seed: Annotated[str, Meta(min_length=32, max_length=128)]
    """Hex digits, drawn once and kept: the same seed over the same lists gives the same lots."""
    goods: Count
    """How many were in the urn."""
    officers: Count
    goods_sha256: Annotated[str, Meta(min_length=64, max_length=64)]
    """Of the sorted numbers of all that were in the urn, a line each."""
    officers_sha256: Annotated[str, Meta(min_length=64, max_length=64)]
    place: Count = 0
    """This order's place among those drawn, from 1."""


class OrderPart(enum.StrEnum):
    """What an order asks to be brought back, beside a finding."""

    QUANTITIES = "quantities"
    """Every declared line counted."""
    PHOTOS = "photos"
    MEASUREMENTS = "measurements"
    """Weight, size, temperature: at least one."""
    SEAL = "seal"
    """The seal's number as found."""
    SAMPLE = "sample"
    """For the laboratory."""
    VOICE = "voice"


class InspectionOrder(msgspec.Struct, frozen=True, kw_only=True):
    """查验指令: who is to inspect what, and why. What becomes of it is told by facts (`order_taken`,
    `inspection_made`, `finding_made`), never by changing this record."""

    order_no: Annotated[str, Meta(min_length=1, max_length=64)]
    state: OrderState = OrderState.OPEN
    slip_no: SlipNo | None = None
    plate: Plate | None = None
    waybill_nos: Annotated[tuple[WaybillNo, ...], Meta(max_length=MAX_LIST)] = ()
    """The parcels meant; none: the whole load."""
    cause: OrderCause
    cause_detail: Text = ""
    """`control@version`, a recall's number, or the officer's words."""
    drawn_day: Text = ""
    """With `spot_check`: the site's day the keyed draw is of (S11); the centre can make it again."""
    drawn_per_mille: PerMille = 0
    """And the rate it was drawn at."""
    authorisation: Text = "inspect"
    """What an officer must be authorised for to carry it out."""
    officers: Texts = ()
    """If any: only these may."""
    officers_needed: Annotated[int, Meta(ge=1, le=MAX_OFFICERS)] = 1
    parts: Annotated[tuple[OrderPart, ...], Meta(max_length=MAX_METHODS)] = ()
    """What must be brought back; none: whatever the officer finds worth it."""
    method: InspectionMethod | None = None
    """How; None: as the officer chooses."""
    draw: Draw | None = None
    """With goods and officers drawn by lot (双随机)."""
    instructions_zh: Text = ""
    instructions_en: Text = ""
    issued: UtcText
    issued_by: Text
    due: UtcText | None = None

    def __post_init__(self) -> None:
        if self.slip_no is None and self.plate is None and not self.waybill_nos:
            raise ValueError("expected a slip, a plate or parcels to inspect")


class OrderStanding(msgspec.Struct, frozen=True, kw_only=True):
    """How far an order is, as facts have told the hub: so that no two officers take the same one."""

    order_no: Annotated[str, Meta(min_length=1, max_length=64)]
    step: Literal["taken", "inspected", "found"]
    officers: Texts = ()
    device: Text = ""
    told: Text = ""
    """Time of the fact, UTC."""
    handling: Text = ""
    """With `found`: what is done about it, as in `finding_made`, or since by the laboratory's result.
    Anything but `released` keeps the parcels back."""
    waybill_nos: Annotated[tuple[WaybillNo, ...], Meta(max_length=MAX_LIST)] = ()
    """Whose handling it is; none: all the order names."""
    not_counted: Text = ""
    """Why an inspection or finding that was told does not count: whoever told it may not. The order is open
    as before, free where no officer stands here, and what it names is kept back until it is ended."""


class HeldPassage(msgspec.Struct, frozen=True, kw_only=True):
    """Who stands held in a lane right now, as the lane's facts have told the hub: an officer who comes to
    help chooses instead of typing. One a lane; it is deleted when the hold ends, or the lane starts anew."""

    lane: Annotated[str, Meta(min_length=1, max_length=64)]
    passage: Count
    verdict: Literal["inspect", "hold"]
    since: Text
    """Time of the first ruling that held it, by the lane's clock, UTC."""
    plate: Text = ""
    slip_nos: Annotated[tuple[Text, ...], Meta(max_length=MAX_HELD_REASONS)] = ()
    reasons_zh: Annotated[tuple[Text, ...], Meta(max_length=MAX_HELD_REASONS)] = ()
    reasons_en: Annotated[tuple[Text, ...], Meta(max_length=MAX_HELD_REASONS)] = ()
    owner: Text = ""
    """Who has to end it, as `sync.vocabulary.rulings.Owner` names them."""
    ways: Annotated[tuple[Text, ...], Meta(max_length=MAX_HELD_REASONS)] = ()
    """How it can end, as `sync.vocabulary.rulings.Way` names them."""
    told: UtcText
    """When the hub heard of it, by its own clock."""


# --- what a handheld shows beside a parcel ------------------------------------------------------------------


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """What goods of this SKU or HS code look like."""

    reference_no: Annotated[str, Meta(min_length=1, max_length=64)]
    sku: Text = ""
    hs_code: Text = ""
    """Of any length from two digits on: goods whose code begins so."""
    quantity: Text = ""
    """Of an X-ray picture: how many of them lie in it, as a parcel's line declares it; empty: not known."""
    kind: Literal["photo", "x_ray", "drawing"] = "photo"
    title_zh: Text = ""
    title_en: Text = ""
    sha256: Annotated[str, Meta(max_length=64)] = ""
    """Of the whole picture, where the centre keeps it."""
    preview: Preview = ""
    descriptor: Annotated[str, Meta(max_length=MAX_DESCRIPTOR)] = ""
    """Of an X-ray picture: JSON by which pictures of the same goods are compared
    (`edge/xray_bridge/imaging`)."""


class SuspectBox(msgspec.Struct, frozen=True, kw_only=True):
    """Where in an X-ray picture, as shares of width and height from the upper left, and what it may be."""

    left: Share
    top: Share
    width: Share
    height: Share
    words_zh: Text = ""
    words_en: Text = ""


class XRayVerdict(enum.StrEnum):
    PASSED = "passed"
    FLAGGED = "flagged"
    RECHECK = "recheck"


class XRay(msgspec.Struct, frozen=True, kw_only=True):
    """What an X-ray line made of a parcel, the last time it went over one."""

    waybill_no: WaybillNo
    verdict: XRayVerdict
    boxes: Annotated[tuple[SuspectBox, ...], Meta(max_length=MAX_BOXES)] = ()
    words_zh: Text = ""
    words_en: Text = ""
    station: Text = ""
    judged: UtcText
    sha256: Annotated[str, Meta(max_length=64)] = ""
    preview: Preview = ""
    picture: Text = ""
    """The station's name of it: by that its evidence is found at the centre."""
    parcel: Count = 0
    """The station's number of this run over the belt."""
    epoch: Text = ""
    position: Count = 0
    """Which of the station's facts this is of: a later one has a higher number in the same epoch."""


class StockRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the bonded book (账册): what should lie where."""

    row_no: Annotated[str, Meta(min_length=1, max_length=64)]
    location: Text
    """Shelf or bin, as its label reads."""
    sku: Text
    hs_code: Text = ""
    name: Text = ""
    quantity: Decimal
    unit: Text = ""
    batch_no: Text = ""
    enterprise: EnterpriseCode | None = None
    book_no: Text = ""
    """账册号"""

    def __post_init__(self) -> None:
        _must_be_quantities(quantity=self.quantity)


class PatrolPoint(msgspec.Struct, frozen=True, kw_only=True):
    """巡查点: a code on a wall."""

    code: Annotated[str, Meta(min_length=1, max_length=64)]
    """As the label reads."""
    name_zh: Text
    name_en: Text
    order: Number
    """Its place on the route, from 1."""
    within_s: Count = 0
    """Of the point before it, or of the beginning; 0: no limit."""


class PatrolRoute(msgspec.Struct, frozen=True, kw_only=True):
    """巡查路线: which points in which order."""

    route_no: Annotated[str, Meta(min_length=1, max_length=64)]
    name_zh: Text
    name_en: Text
    points: Annotated[tuple[PatrolPoint, ...], Meta(min_length=1, max_length=MAX_POINTS)]
    any_order: bool = False
    due: UtcText | None = None
    """To be walked by then."""
    valid_until: UtcText

    def __post_init__(self) -> None:
        codes = [point.code for point in self.points]
        places = [point.order for point in self.points]
        if len(set(codes)) != len(codes) or len(set(places)) != len(places):
            raise ValueError("points: expected no code and no place in the order twice")


class TraceStep(msgspec.Struct, frozen=True, kw_only=True):
    at: UtcText
    place_zh: Text
    place_en: Text = ""
    what_zh: Text
    what_en: Text = ""


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """溯源: a parcel's path, from where it was made to where it is."""

    trace_code: Annotated[str, Meta(min_length=1, max_length=200)]
    waybill_no: WaybillNo | None = None
    steps: Annotated[tuple[TraceStep, ...], Meta(max_length=MAX_STEPS)] = ()


Record = (
    Vehicle
    | ReleaseSlip
    | Waybill
    | Enterprise
    | Control
    | Recall
    | Site
    | Officer
    | SlipKey
    | InspectionOrder
    | OrderStanding
    | HeldPassage
    | Reference
    | XRay
    | StockRow
    | PatrolRoute
    | Trace
)

COLLECTIONS: dict[str, type[Record]] = {
    "vehicles": Vehicle,
    "release_slips": ReleaseSlip,
    "waybills": Waybill,
    "enterprises": Enterprise,
    "controls": Control,
    "recalls": Recall,
    "site": Site,
    "officers": Officer,
    "inspection_orders": InspectionOrder,
    "slip_keys": SlipKey,
    "order_standings": OrderStanding,
    "held_passages": HeldPassage,
    "references": Reference,
    "x_rays": XRay,
    "stock_book": StockRow,
    "patrol_routes": PatrolRoute,
    "traces": Trace,
}


KEY_FIELDS: dict[str, str] = {
    "vehicles": "plate",
    "release_slips": "slip_no",
    "waybills": "waybill_no",
    "enterprises": "code",
    "controls": "control_id",
    "recalls": "recall_no",
    "site": "site",
    "officers": "officer_no",
    "inspection_orders": "order_no",
    "slip_keys": "kid",
    "order_standings": "order_no",
    "held_passages": "lane",
    "references": "reference_no",
    "x_rays": "waybill_no",
    "stock_book": "row_no",
    "patrol_routes": "route_no",
    "traces": "trace_code",
}
"""The field of a collection's records that `key_of` answers: for hot paths."""


def key_of(record: Record) -> str:
    """The record's key inside its collection."""
    match record:
        case Vehicle():
            return str(record.plate)
        case ReleaseSlip():
            return str(record.slip_no)
        case Waybill():
            return str(record.waybill_no)
        case Enterprise():
            return str(record.code)
        case Control():
            return record.control_id
        case Recall():
            return record.recall_no
        case Site():
            return record.site
        case Officer():
            return record.officer_no
        case InspectionOrder():
            return record.order_no
        case SlipKey():
            return record.kid
        case OrderStanding():
            return record.order_no
        case HeldPassage():
            return record.lane
        case Reference():
            return record.reference_no
        case XRay():
            return str(record.waybill_no)
        case StockRow():
            return record.row_no
        case PatrolRoute():
            return record.route_no
        case Trace():
            return record.trace_code
