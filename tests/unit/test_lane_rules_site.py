"""Rulings by what a site is: classes, gates, areas, cards, trailers, containers, credit, recalls, cartons,
and by what the scale complains of. Each condition from both sides. And where every reason is shown."""

from __future__ import annotations

import ast
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from edge.gate.events import Findings
from edge.gate.rules import (
    NOT_THE_PLATFORMS,
    Evidence,
    LaneRules,
    advice,
    hold,
    is_trailer_plate,
    platform_may,
    rule,
    would_be,
)
from sync.vocabulary.numbers import ContainerNo, EnterpriseCode, Plate, UtcText, WaybillNo
from sync.vocabulary.records import (
    Condition,
    ControlAction,
    CreditTier,
    Direction,
    Enterprise,
    GateStage,
    LaneClass,
    Mode,
    Recall,
    RecallState,
    SiteLane,
    SlipKind,
    SlipState,
    Vehicle,
    Waybill,
)
from sync.vocabulary.rulings import Because, Reason, Ruling, Verdict
from sync.vocabulary.uses import UseState
from tests.unit import test_lane_rules as plain
from tests.unit.test_lane_rules import (
    FIRM,
    FIRST,
    FULL,
    KNOWN,
    OTHER,
    OTHER_TAG,
    PLATE,
    SECOND,
    SITE,
    TAG,
    control,
    many,
    slip,
    use,
    vehicle,
    with_slips,
)

LANE = "lane-in-1"
HERE = LaneRules(Direction.IN, lane_id=LANE)
READS = LaneRules(Direction.IN, lane_id=LANE, reads_containers=True)
STRICT = LaneRules(Direction.IN, lane_id=LANE, empty_needs_slip=True)
EMPTY = replace(FULL, gross_kg=Decimal(14_000))
UNWEIGHED = replace(FULL, gross_kg=None)
TRAILER, OTHER_TRAILER = Plate("豫A1234挂"), Plate("苏B5678挂")
BOX, OTHER_BOX = ContainerNo("MSCU6639870"), ContainerNo("TGHU7599330")
CARTON, OTHER_CARTON = WaybillNo("SF1234567890123"), WaybillNo("SF1234567890124")
WEAK = EnterpriseCode("4101960002")


def at_site(known: Findings = KNOWN, **changes: object) -> Findings:
    return replace(known, site=msgspec.structs.replace(SITE, **changes))


def here(lane_class: LaneClass = LaneClass.MIXED, gate: GateStage = GateStage.ONLY) -> SiteLane:
    return SiteLane(lane=LANE, lane_class=lane_class, direction=Direction.IN, gate=gate)


def in_lane(
    lane_class: LaneClass = LaneClass.MIXED,
    gate: GateStage = GateStage.ONLY,
    known: Findings = KNOWN,
) -> Findings:
    return at_site(known, lanes=(here(lane_class, gate),))


def firm(code: EnterpriseCode, tier: CreditTier) -> Enterprise:
    return Enterprise(code=code, name="某公司", tier=tier, spot_check_per_mille=0)


def of_tier(tier: CreditTier | None, known: Findings = KNOWN) -> Findings:
    return replace(known, enterprises={} if tier is None else {str(FIRM): firm(FIRM, tier)})


def two_firms(second: CreditTier) -> Findings:
    slips = (many(FIRST, 2_000), msgspec.structs.replace(many(SECOND, 4_000), enterprise=WEAK))
    known = {str(FIRM): firm(FIRM, CreditTier.HIGH), str(WEAK): firm(WEAK, second)}
    return replace(KNOWN, slips=slips, enterprises=known)


def carrying(**changes: object) -> Findings:
    return with_slips(slip(**changes))


def at_tare(**changes: object) -> Findings:
    return carrying(kind=SlipKind.EMPTY_VEHICLE, cargo_gross_kg=Decimal(0), **changes)


def registered(**changes: object) -> Findings:
    changed: Vehicle = vehicle(**changes)
    return replace(KNOWN, by_plate={PLATE: changed}, by_tag={TAG: changed})


def waybill(**changes: object) -> Waybill:
    return msgspec.structs.replace(Waybill(waybill_no=CARTON, slip_no=FIRST), **changes)


def scanned(found: Waybill | None, known: Findings = KNOWN) -> Findings:
    return replace(known, waybills={CARTON: found})


def recalled(known: Findings = KNOWN, **lists: object) -> Findings:
    recall = Recall(recall_no="ZH1", reason_zh="召回", reason_en="recall")
    return replace(known, recalls=(msgspec.structs.replace(recall, **lists),))


def read(**changes: object) -> Evidence:
    return replace(FULL, **changes)  # type: ignore[arg-type]


WITH_CARTON = read(waybill_nos=(CARTON,))
PAST, LATER = UtcText("2026-11-20T00:00:00Z"), UtcText("2026-11-02T00:00:00Z")
EXPIRED = slip(valid_until=PAST)

OK = (Verdict.RELEASE, (Reason.RELEASED,))
OK_EMPTY = (Verdict.RELEASE, (Reason.RELEASED_EMPTY,))


def held(*reasons: Reason) -> tuple[Verdict, tuple[Reason, ...]]:
    return Verdict.HOLD, reasons


def inspected(*reasons: Reason) -> tuple[Verdict, tuple[Reason, ...]]:
    return Verdict.INSPECT, reasons


Case = tuple[str, LaneRules, Evidence, Findings, tuple[Verdict, tuple[Reason, ...]]]

CLASSES: list[Case] = [
    ("a mixed lane takes a load", HERE, FULL, in_lane(LaneClass.MIXED), OK),
    ("a mixed lane takes an empty one", HERE, EMPTY, in_lane(known=with_slips()), OK_EMPTY),
    (
        "a lane the site does not list takes every vehicle",
        LaneRules(Direction.IN, lane_id="lane-in-2"),
        FULL,
        in_lane(LaneClass.MANUAL),
        OK,
    ),
    ("a manual lane waits for the officer", HERE, FULL, in_lane(LaneClass.MANUAL), held(Reason.MANUAL_LANE)),
    (
        "a manual lane still says what is wrong, first",
        HERE,
        read(gross_kg=Decimal(22_000)),
        in_lane(LaneClass.MANUAL),
        held(Reason.WEIGHT_OVER, Reason.MANUAL_LANE),
    ),
    ("a load in the empty lane", HERE, FULL, in_lane(LaneClass.EMPTY), held(Reason.WRONG_LANE)),
    (
        "an empty one in the empty lane",
        HERE,
        EMPTY,
        in_lane(LaneClass.EMPTY, known=with_slips()),
        OK_EMPTY,
    ),
    (
        "an empty one with a slip for it in the empty lane",
        HERE,
        EMPTY,
        in_lane(LaneClass.EMPTY, known=at_tare()),
        OK,
    ),
    (
        "a load without a slip in the empty lane is told of the slip",
        HERE,
        FULL,
        in_lane(LaneClass.EMPTY, known=with_slips()),
        held(Reason.SLIP_NOT_FOUND),
    ),
    ("a load in the loaded lane", HERE, FULL, in_lane(LaneClass.LOADED), OK),
    (
        "an empty one in the loaded lane",
        HERE,
        EMPTY,
        in_lane(LaneClass.LOADED, known=with_slips()),
        held(Reason.WRONG_LANE),
    ),
    (
        "an empty one with a slip for it in the loaded lane",
        HERE,
        EMPTY,
        in_lane(LaneClass.LOADED, known=at_tare()),
        held(Reason.WRONG_LANE),
    ),
    (
        "an empty one that needs a slip in the loaded lane",
        STRICT,
        EMPTY,
        in_lane(LaneClass.LOADED, known=with_slips()),
        held(Reason.WRONG_LANE, Reason.SLIP_NOT_FOUND),
    ),
    ("the best tier in the express lane", HERE, FULL, in_lane(LaneClass.EXPRESS), OK),
    (
        "a lesser tier in the express lane",
        HERE,
        FULL,
        in_lane(LaneClass.EXPRESS, known=of_tier(CreditTier.MEDIUM)),
        held(Reason.WRONG_LANE),
    ),
    (
        "nobody knows the enterprise in the express lane",
        HERE,
        FULL,
        in_lane(LaneClass.EXPRESS, known=of_tier(None)),
        held(Reason.WRONG_LANE),
    ),
    (
        "one load of a lesser tier in the express lane",
        HERE,
        FULL,
        in_lane(LaneClass.EXPRESS, known=two_firms(CreditTier.MEDIUM)),
        held(Reason.WRONG_LANE),
    ),
    (
        "two loads of the best tier in the express lane",
        HERE,
        FULL,
        in_lane(LaneClass.EXPRESS, known=two_firms(CreditTier.HIGH)),
        OK,
    ),
    (
        "the slip may still be shown in the express lane",
        HERE,
        FULL,
        in_lane(LaneClass.EXPRESS, known=with_slips()),
        held(Reason.SLIP_NOT_FOUND),
    ),
    (
        "an empty one in the express lane",
        HERE,
        EMPTY,
        in_lane(LaneClass.EXPRESS, known=with_slips()),
        held(Reason.WRONG_LANE),
    ),
    (
        "an empty one of the best tier with a slip in the express lane",
        HERE,
        EMPTY,
        in_lane(LaneClass.EXPRESS, known=at_tare()),
        OK,
    ),
]

GATES: list[Case] = [
    ("the only gate takes what is approved", HERE, FULL, in_lane(), OK),
    ("the first gate takes what is approved", HERE, FULL, in_lane(gate=GateStage.FIRST), OK),
    (
        "the second gate does not take what has not passed the first",
        HERE,
        FULL,
        in_lane(gate=GateStage.SECOND),
        held(Reason.FIRST_GATE_MISSING),
    ),
    (
        "the second gate takes a slip for several vehicles, the hub counts them",
        HERE,
        FULL,
        in_lane(gate=GateStage.SECOND, known=carrying(uses_allowed=2)),
        OK,
    ),
    (
        "the second gate takes what has passed the first",
        HERE,
        FULL,
        in_lane(gate=GateStage.SECOND, known=carrying(state=SlipState.PASSED_FIRST)),
        OK,
    ),
    (
        "the first gate does not take it twice",
        HERE,
        FULL,
        in_lane(gate=GateStage.FIRST, known=carrying(state=SlipState.PASSED_FIRST)),
        held(Reason.SLIP_USED),
    ),
    (
        "the only gate does not take what has passed a first one",
        HERE,
        FULL,
        in_lane(known=carrying(state=SlipState.PASSED_FIRST)),
        held(Reason.SLIP_USED),
    ),
    (
        "a lane that is not listed is the only gate",
        HERE,
        FULL,
        carrying(state=SlipState.PASSED_FIRST),
        held(Reason.SLIP_USED),
    ),
    (
        "the second gate does not take what has passed both",
        HERE,
        FULL,
        in_lane(gate=GateStage.SECOND, known=carrying(state=SlipState.PASSED_SECOND)),
        held(Reason.SLIP_USED),
    ),
    (
        "nor what has passed altogether",
        HERE,
        FULL,
        in_lane(gate=GateStage.SECOND, known=carrying(state=SlipState.PASSED)),
        held(Reason.SLIP_USED),
    ),
    ("deleted", HERE, FULL, carrying(state=SlipState.DELETED), held(Reason.SLIP_CANCELLED)),
]

AREAS: list[Case] = [
    (
        "a slip of this area",
        HERE,
        FULL,
        at_site(carrying(customs_code="4604"), customs_codes=("4601", "4604")),
        OK,
    ),
    (
        "a slip of another area",
        HERE,
        FULL,
        at_site(carrying(customs_code="4605"), customs_codes=("4601", "4604")),
        held(Reason.SLIP_WRONG_AREA),
    ),
    (
        "a slip of no area",
        HERE,
        FULL,
        at_site(carrying(), customs_codes=("4604",)),
        held(Reason.SLIP_WRONG_AREA),
    ),
    ("a site that serves any area", HERE, FULL, at_site(carrying(customs_code="4605")), OK),
    (
        "of another area and of the other direction: the direction is said",
        HERE,
        FULL,
        at_site(carrying(customs_code="4605", direction=Direction.OUT), customs_codes=("4604",)),
        held(Reason.SLIP_WRONG_DIRECTION),
    ),
]

CARDS: list[Case] = [
    ("the slip's card", HERE, read(cards=("C1",)), carrying(card_no="C1"), OK),
    (
        "another card than the slip's",
        HERE,
        read(cards=("C2",)),
        carrying(card_no="C1"),
        held(Reason.CARD_MISMATCH),
    ),
    ("two cards, one of them the slip's", HERE, read(cards=("C2", "C1")), carrying(card_no="C1"), OK),
    ("no card was read", HERE, FULL, carrying(card_no="C1"), OK),
    (
        "no card was read, and one of two slips has one",
        HERE,
        FULL,
        with_slips(many(FIRST, 2_000), msgspec.structs.replace(many(SECOND, 4_000), card_no="C1")),
        OK,
    ),
    ("a card, and the slip has none", HERE, read(cards=("C2",)), KNOWN, OK),
    (
        "a card names a slip that names no vehicle",
        HERE,
        read(cards=("C1",)),
        carrying(card_no="C1", plate=None),
        OK,
    ),
    (
        "a card of another vehicle's slip",
        HERE,
        read(cards=("C1",)),
        carrying(card_no="C1", plate=OTHER),
        held(Reason.SLIP_OTHER_VEHICLE),
    ),
    (
        "a card without a number names no slip",
        HERE,
        read(cards=("",)),
        carrying(plate=None),
        held(Reason.SLIP_NOT_FOUND),
    ),
    (
        "a card identifies no vehicle",
        HERE,
        Evidence(cards=("C1",), gross_kg=Decimal(20_000)),
        carrying(card_no="C1"),
        held(Reason.NO_IDENTITY),
    ),
]

TRAILERS: list[Case] = [
    (
        "the registered trailer",
        HERE,
        read(plates=(PLATE, TRAILER)),
        registered(trailer_plate=TRAILER),
        OK,
    ),
    (
        "another trailer",
        HERE,
        read(plates=(PLATE, OTHER_TRAILER)),
        registered(trailer_plate=TRAILER),
        held(Reason.TRAILER_MISMATCH),
    ),
    ("a trailer where none is registered", HERE, read(plates=(TRAILER, PLATE)), KNOWN, OK),
    ("the trailer's plate was not read", HERE, FULL, registered(trailer_plate=TRAILER), OK),
    (
        "a trailer's plate alone is nobody's",
        HERE,
        read(plates=(TRAILER,), tags=()),
        registered(trailer_plate=TRAILER),
        held(Reason.NO_IDENTITY),
    ),
    (
        "the tag and the trailer's plate",
        HERE,
        read(plates=(TRAILER,)),
        registered(trailer_plate=TRAILER),
        OK,
    ),
    (
        "the tag and another trailer's plate",
        HERE,
        read(plates=(OTHER_TRAILER,)),
        registered(trailer_plate=TRAILER),
        held(Reason.TRAILER_MISMATCH),
    ),
]

BOXED = carrying(container_nos=(BOX,))
TWO_BOXES = carrying(container_nos=(BOX, OTHER_BOX))
CONTAINERS: list[Case] = [
    ("the container of the slip", READS, read(containers=(BOX,)), BOXED, OK),
    ("none was read", READS, FULL, BOXED, held(Reason.CONTAINER_UNREAD)),
    ("none was read, and nobody reads them here", HERE, FULL, BOXED, OK),
    ("one of two", READS, read(containers=(BOX,)), TWO_BOXES, held(Reason.CONTAINER_UNREAD)),
    ("both of two", READS, read(containers=(OTHER_BOX, BOX)), TWO_BOXES, OK),
    ("another one", READS, read(containers=(OTHER_BOX,)), BOXED, held(Reason.CONTAINER_MISMATCH)),
    (
        "the slip's and another one",
        READS,
        read(containers=(BOX, OTHER_BOX)),
        BOXED,
        held(Reason.CONTAINER_MISMATCH),
    ),
    (
        "one, and the slip has none",
        READS,
        read(containers=(BOX,)),
        KNOWN,
        held(Reason.CONTAINER_MISMATCH),
    ),
    ("no container at all", READS, FULL, KNOWN, OK),
    ("one on the scanner, none declared, nobody looks", HERE, read(containers=(BOX,)), KNOWN, OK),
    ("the right one on the scanner", HERE, read(containers=(BOX,)), BOXED, OK),
    (
        "the wrong one on the scanner",
        HERE,
        read(containers=(OTHER_BOX,)),
        BOXED,
        held(Reason.CONTAINER_MISMATCH),
    ),
]

CREDIT: list[Case] = [
    (
        "a tier that is always inspected",
        HERE,
        FULL,
        at_site(of_tier(CreditTier.LOW), inspect_all_tiers=(CreditTier.LOW,)),
        inspected(Reason.CREDIT_INSPECT),
    ),
    (
        "a tier that is not",
        HERE,
        FULL,
        at_site(of_tier(CreditTier.MEDIUM), inspect_all_tiers=(CreditTier.LOW,)),
        OK,
    ),
    (
        "an enterprise nobody knows is of the lowest",
        HERE,
        FULL,
        at_site(of_tier(None), inspect_all_tiers=(CreditTier.LOW,)),
        inspected(Reason.CREDIT_INSPECT),
    ),
    (
        "and of no other",
        HERE,
        FULL,
        at_site(of_tier(None), inspect_all_tiers=(CreditTier.MEDIUM,)),
        OK,
    ),
    ("a site that inspects no tier", HERE, FULL, of_tier(CreditTier.LOW), OK),
    (
        "the second load's tier",
        HERE,
        FULL,
        at_site(two_firms(CreditTier.LOW), inspect_all_tiers=(CreditTier.LOW,)),
        inspected(Reason.CREDIT_INSPECT),
    ),
    (
        "an empty vehicle has no tier",
        HERE,
        EMPTY,
        at_site(with_slips(), inspect_all_tiers=(CreditTier.LOW, CreditTier.HIGH)),
        OK_EMPTY,
    ),
]

SKU = ({"no": "1", "sku": "A-100"},)
RECALLS: list[Case] = [
    ("the slip is recalled", HERE, FULL, recalled(slip_nos=(FIRST,)), held(Reason.RECALLED)),
    ("another slip is", HERE, FULL, recalled(slip_nos=(SECOND,)), OK),
    ("the enterprise's goods are", HERE, FULL, recalled(enterprises=(FIRM,)), held(Reason.RECALLED)),
    ("another enterprise's are", HERE, FULL, recalled(enterprises=(WEAK,)), OK),
    (
        "the carton is, by its number",
        HERE,
        WITH_CARTON,
        recalled(scanned(waybill()), waybill_nos=(CARTON,)),
        held(Reason.RECALLED),
    ),
    (
        "another carton is",
        HERE,
        WITH_CARTON,
        recalled(scanned(waybill()), waybill_nos=(OTHER_CARTON,)),
        OK,
    ),
    (
        "the carton is, by its trace code",
        HERE,
        WITH_CARTON,
        recalled(scanned(waybill(trace_code="T1")), trace_codes=("T1",)),
        held(Reason.RECALLED),
    ),
    (
        "another trace code is",
        HERE,
        WITH_CARTON,
        recalled(scanned(waybill(trace_code="T1")), trace_codes=("T2",)),
        OK,
    ),
    (
        "the carton is, by what is in it",
        HERE,
        WITH_CARTON,
        recalled(scanned(waybill(lines=SKU)), skus=("A-100",)),
        held(Reason.RECALLED),
    ),
    (
        "something else is",
        HERE,
        WITH_CARTON,
        recalled(scanned(waybill(lines=SKU)), skus=("A-101",)),
        OK,
    ),
    (
        "a line without a number is not",
        HERE,
        WITH_CARTON,
        recalled(scanned(waybill(lines=({"no": "1"},))), skus=("A-100",)),
        OK,
    ),
    (
        "a carton nobody knows is not",
        HERE,
        WITH_CARTON,
        recalled(scanned(None), waybill_nos=(CARTON,)),
        OK,
    ),
    ("a recall that has ended", HERE, FULL, recalled(slip_nos=(FIRST,), state=RecallState.ENDED), OK),
]

PARCELS: list[Case] = [
    ("a carton of the slip", HERE, WITH_CARTON, scanned(waybill()), OK),
    (
        "a carton of another slip",
        HERE,
        WITH_CARTON,
        scanned(waybill(slip_no=SECOND)),
        held(Reason.PARCEL_NOT_ON_SLIP),
    ),
    (
        "a carton of no slip",
        HERE,
        WITH_CARTON,
        scanned(waybill(slip_no=None)),
        held(Reason.PARCEL_NOT_ON_SLIP),
    ),
    (
        "a carton of yesterday's slip of the same vehicle",
        HERE,
        WITH_CARTON,
        scanned(waybill(slip_no=SECOND), with_slips(slip(), slip(slip_no=SECOND, state=SlipState.PASSED))),
        held(Reason.PARCEL_NOT_ON_SLIP),
    ),
    ("a code nobody knows is no evidence", HERE, WITH_CARTON, scanned(None), OK),
    ("a code nobody looked up is none either", HERE, WITH_CARTON, KNOWN, OK),
    (
        "a carton whose quarantine check is due",
        HERE,
        WITH_CARTON,
        scanned(waybill(quarantine="required")),
        held(Reason.QUARANTINE_REQUIRED),
    ),
    (
        "a carton whose quarantine check is done",
        HERE,
        WITH_CARTON,
        scanned(waybill(quarantine="done")),
        OK,
    ),
    (
        "a carton on an empty vehicle",
        HERE,
        replace(EMPTY, waybill_nos=(CARTON,)),
        scanned(waybill(), with_slips()),
        held(Reason.PARCEL_NOT_ON_SLIP),
    ),
    (
        "a carton of the slip that has expired",
        HERE,
        WITH_CARTON,
        scanned(waybill(), with_slips(EXPIRED)),
        held(Reason.SLIP_EXPIRED),
    ),
]

SCALES: list[Case] = [
    ("the weight jumped", HERE, read(jumped=True), KNOWN, held(Reason.WEIGHT_JUMPED)),
    (
        "an empty vehicle's weight jumped",
        HERE,
        replace(EMPTY, jumped=True),
        with_slips(),
        held(Reason.WEIGHT_JUMPED),
    ),
    (
        "it jumped, and nothing else is said of the weight",
        HERE,
        read(jumped=True, gross_kg=Decimal(30_000)),
        KNOWN,
        held(Reason.WEIGHT_JUMPED),
    ),
    (
        "the indicator complains",
        HERE,
        replace(UNWEIGHED, scale_fault="overload"),
        KNOWN,
        held(Reason.SCALE_FAULT),
    ),
    ("it complains after weighing", HERE, read(scale_fault="overload"), KNOWN, OK),
    ("a wheel is off", HERE, replace(UNWEIGHED, straddles=True), KNOWN, held(Reason.NOT_FULLY_ON)),
    ("a wheel is off after weighing", HERE, read(straddles=True), KNOWN, OK),
    (
        "a wheel is off, and the indicator complains: that is said",
        HERE,
        replace(UNWEIGHED, straddles=True, scale_fault="underload"),
        KNOWN,
        held(Reason.SCALE_FAULT),
    ),
    ("no weight, and nobody says why", HERE, UNWEIGHED, KNOWN, held(Reason.WEIGHT_UNREAD)),
]

BEYOND_THE_SLIP: list[Case] = [
    (
        "an expired slip whose quarantine check is due",
        HERE,
        FULL,
        carrying(valid_until=PAST, quarantine="required"),
        held(Reason.SLIP_EXPIRED, Reason.QUARANTINE_REQUIRED),
    ),
    (
        "a used slip that is recalled",
        HERE,
        FULL,
        recalled(replace(KNOWN, uses=(use(UseState.CROSSED),)), slip_nos=(FIRST,)),
        held(Reason.RECALLED, Reason.SLIP_USED),
    ),
    (
        "an expired slip under a live control",
        HERE,
        FULL,
        replace(
            with_slips(EXPIRED),
            controls=(control(action=ControlAction.HOLD, condition=Condition(slip_nos=(FIRST,))),),
        ),
        held(Reason.CONTROL_HOLD, Reason.SLIP_EXPIRED),
    ),
    (
        "another vehicle's slip under a live control of its enterprise",
        HERE,
        read(slip_nos=(FIRST,)),
        replace(carrying(plate=OTHER), controls=(control(condition=Condition(enterprises=(FIRM,))),)),
        held(Reason.SLIP_OTHER_VEHICLE, Reason.CONTROL_INSPECT),
    ),
    (
        "slips that conflict, one of them recalled",
        HERE,
        FULL,
        recalled(with_slips(slip(), slip(slip_no=SECOND)), slip_nos=(SECOND,)),
        held(Reason.RECALLED, Reason.SLIPS_CONFLICT),
    ),
    (
        "an empty-vehicle slip with another one",
        HERE,
        FULL,
        with_slips(many(FIRST, 2_000), msgspec.structs.replace(many(SECOND, 0), kind=SlipKind.EMPTY_VEHICLE)),
        held(Reason.SLIPS_CONFLICT),
    ),
    (
        "of several old slips only the newest is meant",
        HERE,
        FULL,
        recalled(
            with_slips(
                slip(state=SlipState.PASSED), slip(slip_no=SECOND, valid_from=LATER, valid_until=PAST)
            ),
            slip_nos=(FIRST,),
        ),
        held(Reason.SLIP_EXPIRED),
    ),
    (
        "of several shown ones all are meant",
        HERE,
        read(slip_nos=(FIRST, SECOND)),
        recalled(
            with_slips(
                slip(state=SlipState.PASSED), slip(slip_no=SECOND, valid_from=LATER, valid_until=PAST)
            ),
            slip_nos=(FIRST,),
        ),
        held(Reason.RECALLED, Reason.SLIP_EXPIRED),
    ),
    (
        "a slip that is not used here says nothing",
        HERE,
        FULL,
        recalled(with_slips(slip(), slip(slip_no=SECOND, state=SlipState.PASSED)), slip_nos=(SECOND,)),
        OK,
    ),
    (
        "a vehicle nobody registered, under a live control",
        HERE,
        FULL,
        replace(
            KNOWN,
            by_plate={PLATE: None},
            by_tag={},
            controls=(control(action=ControlAction.HOLD),),
        ),
        held(Reason.VEHICLE_UNKNOWN, Reason.CONTROL_HOLD),
    ),
    (
        "a vehicle nobody registered, and a control on another",
        HERE,
        FULL,
        replace(
            KNOWN,
            by_plate={PLATE: None},
            by_tag={},
            controls=(control(condition=Condition(plates=(OTHER,))),),
        ),
        held(Reason.VEHICLE_UNKNOWN),
    ),
    (
        "two plates, one of them under control",
        HERE,
        read(plates=(PLATE, OTHER)),
        replace(KNOWN, controls=(control(condition=Condition(plates=(OTHER,))),)),
        held(Reason.PLATE_TAG_MISMATCH, Reason.CONTROL_INSPECT),
    ),
    (
        "a tag of another vehicle that is under control",
        HERE,
        FULL,
        replace(
            KNOWN,
            by_tag={TAG: vehicle(plate=OTHER)},
            controls=(control(condition=Condition(plates=(OTHER,))),),
        ),
        held(Reason.PLATE_TAG_MISMATCH, Reason.CONTROL_INSPECT),
    ),
    (
        "nobody knows the tag, and a control bears on everybody",
        HERE,
        read(plates=(), tags=(OTHER_TAG,)),
        replace(KNOWN, controls=(control(condition=Condition()),)),
        held(Reason.VEHICLE_UNKNOWN, Reason.CONTROL_INSPECT),
    ),
]

CASES = [
    *CLASSES,
    *GATES,
    *AREAS,
    *CARDS,
    *TRAILERS,
    *CONTAINERS,
    *CREDIT,
    *RECALLS,
    *PARCELS,
    *SCALES,
    *BEYOND_THE_SLIP,
]


@pytest.mark.parametrize(
    ("lane", "evidence", "findings", "expected"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_the_ruling_at_this_site_is(
    lane: LaneRules, evidence: Evidence, findings: Findings, expected: tuple[Verdict, tuple[Reason, ...]]
) -> None:
    ruling = rule(lane, evidence, findings).ruling
    assert (ruling.verdict, tuple(because.code for because in ruling.reasons)) == expected


# --- what a reason names ----------------------------------------------------------------------------------


def details(lane: LaneRules, evidence: Evidence, findings: Findings) -> list[str]:
    return [because.detail for because in rule(lane, evidence, findings).ruling.reasons]


def test_a_reason_names_what_it_is_about() -> None:
    assert details(HERE, FULL, recalled(slip_nos=(FIRST,))) == ["ZH1"]
    assert details(HERE, WITH_CARTON, scanned(waybill(slip_no=None))) == [CARTON]
    assert details(READS, read(containers=(OTHER_BOX,)), BOXED) == [OTHER_BOX]
    assert details(HERE, replace(UNWEIGHED, scale_fault="underload"), KNOWN) == ["underload"]
    assert details(HERE, read(cards=("C2",)), carrying(card_no="C1")) == [FIRST]
    assert details(HERE, FULL, at_site(carrying(customs_code="4605"), customs_codes=("4604",))) == ["4605"]
    plates = read(plates=(PLATE, OTHER_TRAILER))
    assert details(HERE, plates, registered(trailer_plate=TRAILER)) == [OTHER_TRAILER]


def other(name: str, lane_class: LaneClass, sign: str = "", direction: Direction = Direction.IN) -> SiteLane:
    return SiteLane(lane=name, lane_class=lane_class, direction=direction, name_zh=sign)


@pytest.mark.parametrize(
    ("others", "sign"),
    [
        ((other("b", LaneClass.MIXED, "2号"), other("c", LaneClass.LOADED, "3号")), "3号"),
        ((other("a", LaneClass.MANUAL, "1号"), other("b", LaneClass.MIXED, "2号")), "2号"),
        ((other("a", LaneClass.MANUAL, "1号"), other("b", LaneClass.EXPRESS, "2号")), "1号"),
        ((other("c", LaneClass.LOADED),), "c"),
        ((other("c", LaneClass.LOADED, "3号", Direction.OUT),), "重车 loaded"),
        ((), "重车 loaded"),
    ],
    ids=["its class", "mixed", "manual", "no sign", "the other direction", "nobody else"],
)
def test_the_board_sends_a_load_to_the_lane_that_takes_it(others: tuple[SiteLane, ...], sign: str) -> None:
    lanes = (here(LaneClass.EMPTY), *others)
    assert details(HERE, FULL, at_site(lanes=lanes)) == [sign]


@pytest.mark.parametrize("lane_class", [LaneClass.LOADED, LaneClass.EXPRESS])
def test_the_board_sends_an_empty_vehicle_to_the_lane_for_empty_ones(lane_class: LaneClass) -> None:
    known = with_slips()
    lanes = (here(lane_class), other("c", LaneClass.LOADED, "3号"), other("d", LaneClass.EMPTY, "4号"))
    assert details(HERE, EMPTY, at_site(known, lanes=lanes)) == ["4号"]
    assert details(HERE, EMPTY, at_site(known, lanes=lanes[:1])) == ["空车 empty"]


def test_the_express_lane_sends_a_load_to_the_lane_for_loads() -> None:
    lanes = (here(LaneClass.EXPRESS), other("d", LaneClass.EMPTY, "4号"), other("c", LaneClass.LOADED, "3号"))
    assert details(HERE, FULL, at_site(of_tier(CreditTier.LOW), lanes=lanes)) == ["3号"]


def test_a_lane_does_not_send_a_vehicle_to_itself() -> None:
    lanes = (here(LaneClass.EMPTY), SiteLane(lane=LANE, lane_class=LaneClass.LOADED, direction=Direction.IN))
    assert details(HERE, FULL, at_site(lanes=lanes)) == ["重车 loaded"]


def test_a_carton_of_a_recalled_batch_is_recalled_and_one_of_another_batch_is_not() -> None:
    carton = waybill(batch_no="B7", lines=({"sku": "SKU-1"},))
    for batch, told in (("B7", ["ZH2"]), ("B8", [""])):
        recall = Recall(recall_no="ZH2", skus=("SKU-1",), batch_nos=(batch,), reason_zh="", reason_en="")
        assert details(HERE, WITH_CARTON, replace(scanned(carton), recalls=(recall,))) == told


def test_an_active_recall_among_ended_ones_is_named() -> None:
    ended, active = (
        Recall(recall_no=no, state=state, slip_nos=(FIRST,), reason_zh="召回", reason_en="recall")
        for no, state in (("ZH1", RecallState.ENDED), ("ZH2", RecallState.ACTIVE))
    )
    assert details(HERE, FULL, replace(KNOWN, recalls=(ended, active))) == ["ZH2"]


def test_a_trailers_plate_is_told_by_its_last_character() -> None:
    assert (is_trailer_plate(TRAILER), is_trailer_plate(PLATE)) == (True, False)


# --- controls that do not act -----------------------------------------------------------------------------


def shadow(version: int = 3, mode: Mode = Mode.SHADOW, **changes: object) -> Findings:
    return replace(KNOWN, controls=(control(mode=mode, version=version, **changes),))


@pytest.mark.parametrize(
    ("findings", "evidence", "told"),
    [
        (shadow(action=ControlAction.HOLD), FULL, {"BK1@3": "hold"}),
        (shadow(), FULL, {"BK1@3": "inspect"}),
        (shadow(mode=Mode.ADVISORY, version=4), FULL, {"BK1@4": "inspect"}),
        (shadow(), read(gross_kg=Decimal(22_000)), {"BK1@3": "hold"}),
        (shadow(mode=Mode.LIVE), FULL, {}),
        (shadow(condition=Condition(plates=(OTHER,))), FULL, {}),
        (shadow(valid_until=UtcText("2026-11-22T03:00:00Z")), FULL, {}),
        (
            replace(KNOWN, controls=(control(), control(version=4, mode=Mode.SHADOW))),
            FULL,
            {"BK1@4": "inspect"},
        ),
        (replace(shadow(), by_plate={PLATE: None}, by_tag={}), FULL, {"BK1@3": "hold"}),
    ],
    ids=[
        "shadow, to hold",
        "shadow, to inspect",
        "advisory",
        "of somebody who is held anyway",
        "a live one is not a would-be",
        "of another vehicle",
        "no longer in force",
        "a new version beside the live one",
        "of a vehicle nobody registered",
    ],
)
def test_what_a_control_would_have_done_is_told_and_changes_nothing(
    findings: Findings, evidence: Evidence, told: dict[str, str]
) -> None:
    opinion = rule(HERE, evidence, findings)
    assert would_be(opinion) == told
    without = replace(findings, controls=tuple(c for c in findings.controls if c.mode is Mode.LIVE))
    assert rule(HERE, evidence, without).ruling == opinion.ruling


def test_of_several_controls_each_is_told_as_if_it_alone_went_live() -> None:
    both = (
        control(mode=Mode.SHADOW, action=ControlAction.HOLD),
        control(control_id="BK2", mode=Mode.ADVISORY),
    )
    opinion = rule(HERE, FULL, replace(KNOWN, controls=both))
    assert would_be(opinion) == {"BK1@3": "hold", "BK2@3": "inspect"}
    assert [c.control_id for c in advice(opinion)] == ["BK2"]


def test_a_control_that_bears_on_two_plates_is_named_once() -> None:
    findings = replace(KNOWN, controls=(control(condition=Condition(), mode=Mode.SHADOW),))
    opinion = rule(HERE, read(plates=(PLATE, OTHER)), findings)
    assert [c.control_id for c in opinion.controls] == ["BK1"]


# --- what the customs platform may not override -----------------------------------------------------------


@pytest.mark.parametrize("reason", sorted(NOT_THE_PLATFORMS))
def test_the_platform_cannot_override_it_alone_or_among_others(reason: Reason) -> None:
    assert not platform_may(hold(Because(reason)))
    assert not platform_may(hold(Because(Reason.SLIP_EXPIRED), Because(reason)))


def test_the_platform_can_override_what_is_its_own_to_judge() -> None:
    others = [
        Reason.SLIP_EXPIRED,
        Reason.SLIP_NOT_FOUND,
        Reason.WEIGHT_OVER,
        Reason.CONTAINER_UNREAD,
        Reason.SPOT_CHECK,
        Reason.WRONG_LANE,
    ]
    assert platform_may(hold(*(Because(reason) for reason in others)))
    assert platform_may(Ruling(Verdict.RELEASE, (Because(Reason.RELEASED),)))


def test_slips_that_are_meant_are_those_that_are_used_or_spoken_of() -> None:
    def meant(evidence: Evidence, findings: Findings) -> tuple[list[str], list[str]]:
        opinion = rule(HERE, evidence, findings)
        return [s.slip_no for s in opinion.slips], [s.slip_no for s in opinion.meant]

    assert meant(FULL, KNOWN) == ([FIRST], [FIRST])
    assert meant(FULL, with_slips(EXPIRED)) == ([], [FIRST])
    assert meant(FULL, with_slips()) == ([], [])
    assert meant(read(slip_nos=(SECOND,)), KNOWN) == ([], [])
    assert meant(FULL, with_slips(slip(), slip(slip_no=SECOND))) == ([], [FIRST, SECOND])


# --- where every reason is shown --------------------------------------------------------------------------

ELSEWHERE: dict[Reason, str] = {
    Reason.CLAIM_REFUSED: "tests/machine/test_lane.py::test_s4_a_refused_claim_holds",
    Reason.CLAIM_UNANSWERED: (
        "tests/machine/test_lane.py::"
        "test_s4_without_an_answer_the_policy_decides_and_a_late_grant_is_given_back"
    ),
    Reason.SLIP_CODE_REFUSED: (
        "tests/unit/test_slip_codes_lane.py::test_a_code_that_does_not_hold_is_a_hold_with_its_reason"
    ),
    Reason.JOURNAL_FULL: "tests/machine/test_lane.py::test_s1_what_could_not_be_recorded_does_not_move",
    Reason.LANE_CLOSED: (
        "tests/machine/test_lane_guards.py::"
        "test_a_granted_vehicle_is_not_ordered_through_where_the_arm_is_not_known_to_be_free"
    ),
    Reason.INTERRUPTED: (
        "tests/machine/test_lane_world_finds.py::"
        "test_the_arm_is_not_raised_for_somebody_who_left_while_the_hub_was_asked"
    ),
    Reason.MANUAL_RELEASE: (
        "tests/unit/test_release_codes.py::test_an_officers_release_is_recorded_and_then_raises"
    ),
    Reason.MANUAL_ASIDE: (
        "tests/machine/test_lane_complete.py::"
        "test_an_officer_may_lead_aside_what_may_not_go_on_and_the_lane_is_free_for_the_next"
    ),
    Reason.PLATFORM_REFUSED: (
        "tests/machine/test_lane_platform.py::test_what_the_platform_refuses_is_held_with_its_words"
    ),
    Reason.PLATFORM_UNANSWERED: (
        "tests/machine/test_lane_platform.py::"
        "test_a_platform_that_does_not_answer_is_told_once_and_the_site_says_what_follows"
    ),
    **dict.fromkeys(
        (
            Reason.PARCEL_UNKNOWN,
            Reason.CODE_AMBIGUOUS,
            Reason.NOT_DECLARED,
            Reason.DECLARATION_CANCELLED,
            Reason.DOCUMENTS_DIFFER,
            Reason.X_RAY_FLAGGED,
            Reason.X_RAY_RECHECK,
            Reason.INSPECTION_ORDERED,
            Reason.KEPT_BACK,
        ),
        "tests/unit/test_parcel_rules.py::test_what_only_a_parcel_is_told",
    ),
}
"""Reasons nobody but the lane without its rules, or a handheld, gives -> the test that shows it."""

ROOT = Path(__file__).resolve().parents[2]


def in_the_tables() -> dict[Reason, str]:
    """Reasons the rules give -> the row that shows each of them alone."""
    rows = [
        *((f"tests/unit/test_lane_rules.py: {name}", codes) for name, _, _, _, codes in plain.CASES),
        *((f"tests/unit/test_lane_rules_site.py: {name}", codes) for name, _, _, _, (_, codes) in CASES),
    ]
    shown: dict[Reason, str] = {}
    for name, codes in rows:
        if len(codes) == 1:
            shown.setdefault(codes[0], name)
    return shown


def shown_by() -> dict[Reason, str]:
    """Every reason -> the test that shows it, for the guide."""
    return in_the_tables() | ELSEWHERE


def test_every_reason_is_shown_alone_by_a_row_or_is_given_elsewhere() -> None:
    tables = set(in_the_tables())
    assert tables | set(ELSEWHERE) == set(Reason)
    assert tables & set(ELSEWHERE) == set()


@pytest.mark.parametrize("reason", sorted(ELSEWHERE))
def test_what_is_given_elsewhere_is_claimed_there(reason: Reason) -> None:
    """By a test of that name, that speaks of the code."""
    path, _, name = ELSEWHERE[reason].partition("::")
    source = (ROOT / path).read_text(encoding="utf-8")
    function = next(n for n in ast.parse(source).body if isinstance(n, ast.FunctionDef) and n.name == name)
    assert f'"{reason.value}"' in (ast.get_source_segment(source, function) or "") + _parameters(function)


def _parameters(function: ast.FunctionDef) -> str:
    return " ".join(ast.unparse(decorator).replace("'", '"') for decorator in function.decorator_list)
