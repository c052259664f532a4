"""Rulings as a table: what was read and what is known on the left, verdict and reasons on the right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import msgspec
import pytest

from edge.gate.events import Findings, SpotCheck
from edge.gate.rules import Evidence, LaneRules, offline_verdict, rule
from sync.vocabulary.numbers import EnterpriseCode, Epc, Plate, SlipNo, UtcText
from sync.vocabulary.records import (
    Binding,
    Condition,
    Control,
    ControlAction,
    CreditTier,
    Direction,
    Enterprise,
    Mode,
    ReleaseSlip,
    Site,
    SlipKind,
    SlipState,
    Vehicle,
    VehicleState,
)
from sync.vocabulary.rulings import Reason, Verdict
from sync.vocabulary.uses import SlipUse, UseState

PLATE, OTHER = Plate("豫A12345"), Plate("苏B67890")
TAG, OTHER_TAG = Epc("E2004074850A0103163070E1"), Epc("E2004074850A0103163070E2")
FIRM = EnterpriseCode("4101960001")
FIRST, SECOND = SlipNo("Z4604I260101000000000001"), SlipNo("Z4604I260101000000000002")
IN = LaneRules(Direction.IN)
FULL = Evidence(plates=(PLATE,), tags=(TAG,), gross_kg=Decimal(20_000))


def vehicle(**changes: object) -> Vehicle:
    return msgspec.structs.replace(
        Vehicle(
            plate=PLATE, tag_epcs=(TAG,), tare_kg=Decimal(14_000), valid_until=UtcText("2027-01-01T00:00:00Z")
        ),
        **changes,
    )


def slip(**changes: object) -> ReleaseSlip:
    return msgspec.structs.replace(
        ReleaseSlip(
            slip_no=FIRST,
            direction=Direction.IN,
            kind=SlipKind.SECOND_LINE,
            binding=Binding.ONE_SLIP,
            plate=PLATE,
            vehicle_kg=Decimal(13_000),
            frame_kg=Decimal(1_000),
            cargo_gross_kg=Decimal(6_000),
            total_kg=Decimal(20_000),
            enterprise=FIRM,
            state=SlipState.APPROVED,
            valid_from=UtcText("2026-11-01T00:00:00Z"),
            valid_until=UtcText("2026-12-01T00:00:00Z"),
        ),
        **changes,
    )


def control(**changes: object) -> Control:
    return msgspec.structs.replace(
        Control(
            control_id="BK1",
            version=3,
            mode=Mode.LIVE,
            condition=Condition(plates=(PLATE,)),
            action=ControlAction.INSPECT,
            valid_from=UtcText("2026-11-01T00:00:00Z"),
            valid_until=UtcText("2026-12-01T00:00:00Z"),
            reason_zh="风险",
            reason_en="risk",
        ),
        **changes,
    )


SITE = Site(site="demo", name_zh="郑州", name_en="Zhengzhou", offline_release_tiers=(CreditTier.HIGH,))
KNOWN = Findings(
    utc=UtcText("2026-11-22T03:00:00Z"),
    day="2026-11-22",
    by_plate={PLATE: vehicle()},
    by_tag={TAG: vehicle()},
    slips=(slip(),),
    enterprises={
        str(FIRM): Enterprise(code=FIRM, name="某公司", tier=CreditTier.HIGH, spot_check_per_mille=10)
    },
    site=SITE,
    age_s=5.0,
)


def use(state: UseState, use_id: str = "u1") -> SlipUse:
    return SlipUse(use_id, FIRST, 9, "", state)


def with_slips(*slips: ReleaseSlip) -> Findings:
    return replace(KNOWN, slips=slips)


def many(number: SlipNo, cargo_kg: int) -> ReleaseSlip:
    return slip(slip_no=number, binding=Binding.MANY_SLIPS, cargo_gross_kg=Decimal(cargo_kg))


CASES: list[tuple[str, Evidence, Findings, Verdict, tuple[Reason, ...]]] = [
    ("everything fits", FULL, KNOWN, Verdict.RELEASE, (Reason.RELEASED,)),
    ("plate alone", replace(FULL, tags=()), KNOWN, Verdict.RELEASE, (Reason.RELEASED,)),
    ("tag alone", replace(FULL, plates=()), KNOWN, Verdict.RELEASE, (Reason.RELEASED,)),
    (
        "an unknown tag about",
        replace(FULL, tags=(TAG, OTHER_TAG)),
        KNOWN,
        Verdict.RELEASE,
        (Reason.RELEASED,),
    ),
    ("nothing read", Evidence(gross_kg=Decimal(20_000)), KNOWN, Verdict.HOLD, (Reason.NO_IDENTITY,)),
    (
        "tag of another vehicle",
        FULL,
        replace(KNOWN, by_tag={TAG: vehicle(plate=OTHER)}),
        Verdict.HOLD,
        (Reason.PLATE_TAG_MISMATCH,),
    ),
    ("two plates", replace(FULL, plates=(PLATE, OTHER)), KNOWN, Verdict.HOLD, (Reason.PLATE_TAG_MISMATCH,)),
    (
        "two known tags",
        replace(FULL, tags=(TAG, OTHER_TAG)),
        replace(KNOWN, by_tag={TAG: vehicle(), OTHER_TAG: vehicle(plate=OTHER)}),
        Verdict.HOLD,
        (Reason.PLATE_TAG_MISMATCH,),
    ),
    (
        "not registered",
        FULL,
        replace(KNOWN, by_plate={PLATE: None}, by_tag={TAG: None}),
        Verdict.HOLD,
        (Reason.VEHICLE_UNKNOWN,),
    ),
    (
        "only an unknown tag",
        replace(FULL, plates=()),
        replace(KNOWN, by_tag={TAG: None}),
        Verdict.HOLD,
        (Reason.VEHICLE_UNKNOWN,),
    ),
    (
        "suspended",
        FULL,
        replace(KNOWN, by_plate={PLATE: vehicle(state=VehicleState.SUSPENDED)}),
        Verdict.HOLD,
        (Reason.VEHICLE_SUSPENDED,),
    ),
    (
        "blocked",
        FULL,
        replace(KNOWN, by_plate={PLATE: vehicle(state=VehicleState.BLOCKED)}),
        Verdict.HOLD,
        (Reason.VEHICLE_BLOCKED,),
    ),
    (
        "registration ends this very second",
        FULL,
        replace(KNOWN, by_plate={PLATE: vehicle(valid_until=UtcText("2026-11-22T03:00:00Z"))}),
        Verdict.HOLD,
        (Reason.REGISTRATION_EXPIRED,),
    ),
    ("no slip", FULL, with_slips(), Verdict.HOLD, (Reason.SLIP_NOT_FOUND,)),
    (
        "not approved",
        FULL,
        with_slips(slip(state=SlipState.APPLIED)),
        Verdict.HOLD,
        (Reason.SLIP_NOT_APPROVED,),
    ),
    ("passed before", FULL, with_slips(slip(state=SlipState.PASSED)), Verdict.HOLD, (Reason.SLIP_USED,)),
    ("cancelled", FULL, with_slips(slip(state=SlipState.CANCELLED)), Verdict.HOLD, (Reason.SLIP_CANCELLED,)),
    (
        "expires this very second",
        FULL,
        with_slips(slip(valid_until=UtcText("2026-11-22T03:00:00Z"))),
        Verdict.HOLD,
        (Reason.SLIP_EXPIRED,),
    ),
    (
        "valid from this very second",
        FULL,
        with_slips(slip(valid_from=UtcText("2026-11-22T03:00:00Z"))),
        Verdict.RELEASE,
        (Reason.RELEASED,),
    ),
    (
        "not yet valid",
        FULL,
        with_slips(slip(valid_from=UtcText("2026-11-22T03:00:01Z"))),
        Verdict.HOLD,
        (Reason.SLIP_NOT_YET_VALID,),
    ),
    (
        "wrong direction",
        FULL,
        with_slips(slip(direction=Direction.OUT)),
        Verdict.HOLD,
        (Reason.SLIP_WRONG_DIRECTION,),
    ),
    (
        "a scanned slip of another vehicle",
        replace(FULL, slip_nos=(FIRST,)),
        with_slips(slip(plate=OTHER)),
        Verdict.HOLD,
        (Reason.SLIP_OTHER_VEHICLE,),
    ),
    (
        "a scanned slip nobody knows",
        replace(FULL, slip_nos=(SECOND,)),
        KNOWN,
        Verdict.HOLD,
        (Reason.SLIP_NOT_FOUND,),
    ),
    (
        "used once here",
        FULL,
        replace(KNOWN, uses=(use(UseState.CROSSED),)),
        Verdict.HOLD,
        (Reason.SLIP_USED,),
    ),
    (
        "raised and never crossed counts as used",
        FULL,
        replace(KNOWN, uses=(use(UseState.RAISED),)),
        Verdict.HOLD,
        (Reason.SLIP_USED,),
    ),
    (
        "a returned use counts for nothing",
        FULL,
        replace(KNOWN, uses=(use(UseState.RETURNED),)),
        Verdict.RELEASE,
        (Reason.RELEASED,),
    ),
    (
        "its own reserved use does not stand in its way",
        replace(FULL, own_use_ids=frozenset({"u1"})),
        replace(KNOWN, uses=(use(UseState.RESERVED),)),
        Verdict.RELEASE,
        (Reason.RELEASED,),
    ),
    (
        "two uses allowed, one made",
        FULL,
        replace(with_slips(slip(uses_allowed=2)), uses=(use(UseState.CROSSED),)),
        Verdict.RELEASE,
        (Reason.RELEASED,),
    ),
    (
        "two slips, weights summed",
        FULL,
        with_slips(many(FIRST, 2_000), many(SECOND, 4_000)),
        Verdict.RELEASE,
        (Reason.RELEASED,),
    ),
    (
        "two slips that are not bound together",
        FULL,
        with_slips(slip(), slip(slip_no=SECOND)),
        Verdict.HOLD,
        (Reason.SLIPS_CONFLICT,),
    ),
    (
        "quarantine due",
        FULL,
        with_slips(slip(quarantine="required")),
        Verdict.HOLD,
        (Reason.QUARANTINE_REQUIRED,),
    ),
    ("quarantine done", FULL, with_slips(slip(quarantine="done")), Verdict.RELEASE, (Reason.RELEASED,)),
    (
        "just inside the tolerance",
        replace(FULL, gross_kg=Decimal(20_600)),
        KNOWN,
        Verdict.RELEASE,
        (Reason.RELEASED,),
    ),
    ("over", replace(FULL, gross_kg=Decimal("20600.5")), KNOWN, Verdict.HOLD, (Reason.WEIGHT_OVER,)),
    ("under", replace(FULL, gross_kg=Decimal(19_000)), KNOWN, Verdict.HOLD, (Reason.WEIGHT_UNDER,)),
    ("no weight", replace(FULL, gross_kg=None), KNOWN, Verdict.HOLD, (Reason.WEIGHT_UNREAD,)),
    (
        "empty and registered",
        replace(FULL, gross_kg=Decimal(14_100)),
        with_slips(),
        Verdict.RELEASE,
        (Reason.RELEASED_EMPTY,),
    ),
    (
        "an empty-vehicle slip, and loaded",
        FULL,
        with_slips(slip(kind=SlipKind.EMPTY_VEHICLE, cargo_gross_kg=Decimal(0))),
        Verdict.HOLD,
        (Reason.WEIGHT_OVER,),
    ),
    (
        "an empty vehicle whose slip was used is not waved through",
        replace(FULL, gross_kg=Decimal(14_100)),
        with_slips(slip(state=SlipState.PASSED)),
        Verdict.HOLD,
        (Reason.SLIP_USED,),
    ),
    (
        "a control to inspect",
        FULL,
        replace(KNOWN, controls=(control(),)),
        Verdict.INSPECT,
        (Reason.CONTROL_INSPECT,),
    ),
    (
        "a control to hold",
        FULL,
        replace(KNOWN, controls=(control(action=ControlAction.HOLD),)),
        Verdict.HOLD,
        (Reason.CONTROL_HOLD,),
    ),
    (
        "a shadow control changes nothing",
        FULL,
        replace(KNOWN, controls=(control(mode=Mode.SHADOW),)),
        Verdict.RELEASE,
        (Reason.RELEASED,),
    ),
    (
        "an advisory control changes nothing",
        FULL,
        replace(KNOWN, controls=(control(mode=Mode.ADVISORY),)),
        Verdict.RELEASE,
        (Reason.RELEASED,),
    ),
    (
        "drawn for a spot check",
        FULL,
        replace(KNOWN, spot_checks={FIRST: SpotCheck(True, str(FIRM), "2026-11-22")}),
        Verdict.INSPECT,
        (Reason.SPOT_CHECK,),
    ),
    (
        "overweight and to be inspected: held, and both are said",
        replace(FULL, gross_kg=Decimal(22_000)),
        replace(KNOWN, controls=(control(),)),
        Verdict.HOLD,
        (Reason.WEIGHT_OVER, Reason.CONTROL_INSPECT),
    ),
    ("records too old", FULL, replace(KNOWN, age_s=21_601.0), Verdict.HOLD, (Reason.RECORDS_TOO_OLD,)),
    ("age unknown", FULL, replace(KNOWN, age_s=None), Verdict.HOLD, (Reason.RECORDS_TOO_OLD,)),
    ("no site record", FULL, replace(KNOWN, site=None), Verdict.HOLD, (Reason.RECORDS_TOO_OLD,)),
    (
        "a required device silent",
        replace(FULL, silent=("weighbridge",)),
        KNOWN,
        Verdict.HOLD,
        (Reason.DEVICE_SILENT,),
    ),
]


@pytest.mark.parametrize(
    ("evidence", "findings", "verdict", "codes"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_the_ruling_is(
    evidence: Evidence, findings: Findings, verdict: Verdict, codes: tuple[Reason, ...]
) -> None:
    ruling = rule(IN, evidence, findings).ruling
    assert (ruling.verdict, tuple(because.code for because in ruling.reasons)) == (verdict, codes)


def test_the_same_readings_and_records_give_the_same_ruling_whatever_their_order() -> None:
    one, two = many(FIRST, 2_000), many(SECOND, 4_000)
    forward = rule(IN, FULL, with_slips(one, two))
    backward = rule(IN, FULL, with_slips(two, one))
    assert forward == backward


def test_an_empty_vehicle_needs_a_slip_where_the_lane_says_so() -> None:
    strict = LaneRules(Direction.IN, empty_needs_slip=True)
    ruling = rule(strict, replace(FULL, gross_kg=Decimal(14_100)), with_slips()).ruling
    assert ruling.codes() == ("slip_not_found",)


def test_a_loaded_vehicle_without_a_slip_is_expected_to_weigh_nothing_in_particular() -> None:
    assert rule(IN, FULL, with_slips()).expected_kg is None
    assert rule(IN, replace(FULL, gross_kg=Decimal(14_100)), with_slips()).expected_kg == Decimal(14_000)


def test_without_a_site_record_there_is_no_written_policy() -> None:
    opinion = rule(IN, FULL, KNOWN)
    assert offline_verdict(replace(KNOWN, site=None), opinion) is False


def test_a_slip_counts_if_it_names_the_vehicle_or_was_shown_and_names_none_other() -> None:
    shown = replace(FULL, slip_nos=(FIRST,))
    assert rule(IN, shown, KNOWN).ruling.codes() == ("released",)
    assert rule(IN, shown, with_slips(slip(plate=None))).ruling.codes() == ("released",)
    assert rule(IN, shown, with_slips(slip(plate=OTHER))).ruling.codes() == ("slip_other_vehicle",)
    assert rule(IN, FULL, with_slips(slip(plate=OTHER))).ruling.codes() == ("slip_not_found",)
    assert rule(IN, FULL, with_slips(slip(plate=None))).ruling.codes() == ("slip_not_found",)
    assert rule(IN, shown, with_slips(slip(), slip(slip_no=SECOND))).slips == (slip(),)
    unknown = rule(IN, shown, with_slips(slip(slip_no=SECOND))).ruling.reasons
    assert [(because.code, because.detail) for because in unknown] == [(Reason.SLIP_NOT_FOUND, FIRST)]


def test_an_empty_vehicle_slip_expects_the_tare_within_the_tolerance_for_empty_ones() -> None:
    empty = with_slips(slip(kind=SlipKind.EMPTY_VEHICLE, vehicle_kg=Decimal(12_000)))
    inside = rule(IN, replace(FULL, gross_kg=Decimal(14_300)), empty)
    assert (inside.ruling.codes(), inside.expected_kg) == (("released",), Decimal(14_000))
    assert rule(IN, replace(FULL, gross_kg=Decimal(14_301)), empty).ruling.codes() == ("weight_over",)


def test_a_slip_for_several_vehicles_expects_no_weight_of_one_of_them() -> None:
    shared = with_slips(slip(binding=Binding.MANY_VEHICLES, plate=None))
    opinion = rule(IN, replace(FULL, slip_nos=(FIRST,), gross_kg=Decimal(35_000)), shared)
    assert (opinion.ruling.codes(), opinion.expected_kg) == (("released",), None)
    named = with_slips(slip(binding=Binding.MANY_VEHICLES))
    assert rule(IN, replace(FULL, gross_kg=Decimal(35_000)), named).ruling.codes() == ("weight_over",)


def test_uses_of_other_slips_do_not_count() -> None:
    other = SlipUse("u9", SECOND, 9, "", UseState.CROSSED)
    assert rule(IN, FULL, replace(KNOWN, uses=(other,))).ruling.codes() == ("released",)


def test_shadow_controls_are_told_with_their_version() -> None:
    opinion = rule(IN, FULL, replace(KNOWN, controls=(control(mode=Mode.SHADOW),)))
    assert [(c.control_id, c.version, c.mode) for c in opinion.controls] == [("BK1", 3, Mode.SHADOW)]


@pytest.mark.parametrize(
    ("change", "passes"),
    [
        (lambda known: known, True),
        (lambda known: replace(known, site=msgspec.structs.replace(SITE, offline_release_tiers=())), False),
        (lambda known: replace(known, enterprises={}), False),
        (lambda known: replace(known, slips=()), False),
    ],
    ids=["tier allowed", "no tier allowed", "enterprise unknown", "no slip"],
)
def test_without_an_answer_the_written_policy_decides(
    change: Callable[[Findings], Findings], passes: bool
) -> None:
    findings = change(KNOWN)
    assert offline_verdict(findings, rule(IN, FULL, findings)) is passes
