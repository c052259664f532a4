"""The verdict of a parcel: each condition from both sides, alone. Taking one out of the rules fails a row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import msgspec
import pytest

from edge.handheld.events import KeptBack, ParcelFindings, RecordsRead
from edge.handheld.rules import REASONS, direction_of, judge
from edge.handheld.view import Sign
from edge.handheld.words import TO_DO, WHY
from sync.vocabulary.numbers import EnterpriseCode, Plate, SlipNo, UtcText, WaybillNo
from sync.vocabulary.records import (
    Binding,
    Condition,
    Control,
    ControlAction,
    CreditTier,
    Direction,
    Enterprise,
    InspectionOrder,
    Mode,
    OrderCause,
    OrderState,
    Recall,
    RecallState,
    ReleaseSlip,
    Site,
    SlipKind,
    SlipState,
    Waybill,
    XRay,
    XRayVerdict,
)
from sync.vocabulary.rulings import Reason, Verdict

NUMBER, OTHER = WaybillNo("YT0000000000001"), WaybillNo("YT0000000000002")
SLIP, OTHER_SLIP = SlipNo("Z3111I261122000000000001"), SlipNo("Z3111I261122000000000002")
FIRM, OTHER_FIRM = EnterpriseCode("4101960001"), EnterpriseCode("4101960002")
PLATE = Plate("豫A12345")
NOW = UtcText("2026-11-22T08:00:00Z")
BEFORE, AFTER = UtcText("2026-11-22T00:00:00Z"), UtcText("2026-11-23T00:00:00Z")
SITE = Site(site="zz", name_zh="郑州", name_en="Zhengzhou", max_age_s=3600)
READ = RecordsRead(utc=NOW, site=SITE, scope="zz", epoch="e1", number=7, age_s=60.0)


def waybill(**changes: object) -> Waybill:
    whole = Waybill(
        waybill_no=NUMBER,
        declarations=("460420261000000001",),
        three_documents="matched",
        slip_no=SLIP,
        enterprise=FIRM,
        trace_code="T1",
        batch_no="B1",
        lines=({"no": "1", "sku": "SKU1", "name": "面膜", "quantity": "2"},),
    )
    return msgspec.structs.replace(whole, **changes)


def slip(**changes: object) -> ReleaseSlip:
    whole = ReleaseSlip(
        slip_no=SLIP,
        direction=Direction.OUT,
        kind=SlipKind.SECOND_LINE,
        binding=Binding.ONE_SLIP,
        plate=PLATE,
        vehicle_kg=Decimal(9_000),
        cargo_gross_kg=Decimal(1_000),
        total_kg=Decimal(10_000),
        enterprise=FIRM,
        state=SlipState.APPROVED,
        valid_from=BEFORE,
        valid_until=AFTER,
    )
    return msgspec.structs.replace(whole, **changes)


def firm(tier: CreditTier) -> Enterprise:
    return Enterprise(code=FIRM, name="某公司", tier=tier, spot_check_per_mille=0)


KNOWN = ParcelFindings(
    code=NUMBER, waybills=(waybill(),), slips=(slip(),), enterprises=(firm(CreditTier.HIGH),)
)


def of(**changes: object) -> ParcelFindings:
    return replace(KNOWN, waybills=(waybill(**changes),))


def on(**changes: object) -> ParcelFindings:
    return replace(KNOWN, slips=(slip(**changes),))


def control(
    action: ControlAction = ControlAction.HOLD, mode: Mode = Mode.LIVE, **condition: object
) -> Control:
    return Control(
        control_id="c1",
        version=1,
        mode=mode,
        condition=Condition(**condition),  # type: ignore[arg-type]
        action=action,
        valid_from=BEFORE,
        valid_until=AFTER,
        reason_zh="核查",
        reason_en="check",
    )


def controlled(**condition: object) -> ParcelFindings:
    return replace(KNOWN, controls=(control(**condition),))  # type: ignore[arg-type]


def recalled(**what: object) -> ParcelFindings:
    recall = Recall(recall_no="R1", reason_zh="召回", reason_en="recalled")
    return replace(KNOWN, recalls=(msgspec.structs.replace(recall, **what),))


def ordered(**what: object) -> ParcelFindings:
    order = InspectionOrder(
        order_no="XD-1",
        waybill_nos=(NUMBER,),
        cause=OrderCause.OFFICER,
        issued=BEFORE,
        issued_by="centre",
    )
    return replace(KNOWN, orders=(msgspec.structs.replace(order, **what),))


def kept_back(*waybill_nos: WaybillNo, **what: object) -> ParcelFindings:
    (order,) = ordered(**what).orders
    return replace(KNOWN, kept_back=(KeptBack(order, "seized", waybill_nos),))


def x_rayed(verdict: XRayVerdict, number: WaybillNo = NUMBER) -> ParcelFindings:
    return replace(KNOWN, x_rays=(XRay(waybill_no=number, verdict=verdict, judged=BEFORE),))


def strict(*tiers: CreditTier) -> RecordsRead:
    return replace(READ, site=msgspec.structs.replace(SITE, inspect_all_tiers=tiers))


def aged(age_s: float | None) -> RecordsRead:
    return replace(READ, age_s=age_s)


RELEASED, HOLD, INSPECT, UNKNOWN = Sign.RELEASE, Sign.HOLD, Sign.INSPECT, Sign.UNKNOWN
NOTHING = replace(KNOWN, waybills=(), slips=(), enterprises=())
TWO = replace(KNOWN, waybills=(waybill(), waybill(waybill_no=OTHER)))
TWO_ONE_BAD = replace(KNOWN, waybills=(waybill(), waybill(waybill_no=OTHER, state="cancelled")))

CASES: list[tuple[str, ParcelFindings, RecordsRead, Sign, list[str]]] = [
    ("everything in order", KNOWN, READ, RELEASED, ["released"]),
    ("as old as the site allows", KNOWN, aged(3600.0), RELEASED, ["released"]),
    ("older than that", KNOWN, aged(3600.1), HOLD, ["records_too_old"]),
    ("nobody knows how old", KNOWN, aged(None), HOLD, ["records_too_old"]),
    ("no site says how old they may be", KNOWN, replace(READ, site=None), HOLD, ["records_too_old"]),
    ("a number no record has", NOTHING, READ, UNKNOWN, ["parcel_unknown"]),
    ("the same on old records", NOTHING, aged(None), UNKNOWN, ["records_too_old", "parcel_unknown"]),
    ("a code of two parcels", TWO, READ, UNKNOWN, ["code_ambiguous"]),
    ("one of the two is stopped", TWO_ONE_BAD, READ, HOLD, ["code_ambiguous", "declaration_cancelled"]),
    ("nothing declared", of(declarations=()), READ, HOLD, ["not_declared"]),
    ("declared later, in a batch", of(declarations=(), state="declare_later"), READ, RELEASED, ["released"]),
    ("the declaration withdrawn", of(state="cancelled"), READ, HOLD, ["declaration_cancelled"]),
    ("withdrawn whole", of(state="cancelled", declarations=()), READ, HOLD, ["declaration_cancelled"]),
    ("the documents differ", of(three_documents="no_payment"), READ, HOLD, ["documents_differ"]),
    ("nobody told of a match", of(three_documents=""), READ, RELEASED, ["released"]),
    ("quarantine is due", of(quarantine="required"), READ, HOLD, ["quarantine_required"]),
    ("quarantine was done", of(quarantine="done"), READ, RELEASED, ["released"]),
    ("quarantine of its slip is due", on(quarantine="required"), READ, HOLD, ["quarantine_required"]),
    ("on no slip yet", of(slip_no=None), READ, RELEASED, ["released"]),
    ("its slip is not known", replace(KNOWN, slips=()), READ, HOLD, ["slip_not_found"]),
    ("only another slip is known", on(slip_no=OTHER_SLIP), READ, HOLD, ["slip_not_found"]),
    ("its slip is not approved", on(state=SlipState.APPLIED), READ, HOLD, ["slip_not_approved"]),
    ("its slip is cancelled", on(state=SlipState.CANCELLED), READ, HOLD, ["slip_cancelled"]),
    ("its slip is deleted", on(state=SlipState.DELETED), READ, HOLD, ["slip_cancelled"]),
    ("its slip has left", on(state=SlipState.PASSED), READ, HOLD, ["slip_used"]),
    ("its slip has left by both gates", on(state=SlipState.PASSED_SECOND), READ, HOLD, ["slip_used"]),
    ("its slip is between two gates", on(state=SlipState.PASSED_FIRST), READ, RELEASED, ["released"]),
    ("its slip is not valid yet", on(valid_from=AFTER), READ, HOLD, ["slip_not_yet_valid"]),
    ("valid from now on", on(valid_from=NOW), READ, RELEASED, ["released"]),
    ("its slip has ended", on(valid_until=NOW), READ, HOLD, ["slip_expired"]),
    ("held by the centre", of(control="hold"), READ, HOLD, ["control_hold"]),
    ("to be inspected by the centre", of(control="look inside"), READ, INSPECT, ["control_inspect"]),
    ("a control that holds", controlled(), READ, HOLD, ["control_hold"]),
    (
        "a control that inspects",
        controlled(action=ControlAction.INSPECT),
        READ,
        INSPECT,
        ["control_inspect"],
    ),
    ("a control on the firm", controlled(enterprises=(FIRM,)), READ, HOLD, ["control_hold"]),
    ("a control on another firm", controlled(enterprises=(OTHER_FIRM,)), READ, RELEASED, ["released"]),
    ("a control on the slip", controlled(slip_nos=(SLIP,)), READ, HOLD, ["control_hold"]),
    ("a control on another slip", controlled(slip_nos=(OTHER_SLIP,)), READ, RELEASED, ["released"]),
    ("a control on its vehicle", controlled(plates=(PLATE,)), READ, HOLD, ["control_hold"]),
    (
        "a control on another kind",
        controlled(slip_kinds=(SlipKind.FIRST_LINE,)),
        READ,
        RELEASED,
        ["released"],
    ),
    ("a control on its kind", controlled(slip_kinds=(SlipKind.SECOND_LINE,)), READ, HOLD, ["control_hold"]),
    ("a control the other way", controlled(directions=(Direction.IN,)), READ, RELEASED, ["released"]),
    ("a control only advised", controlled(mode=Mode.ADVISORY), READ, RELEASED, ["released"]),
    ("a control only compared", controlled(mode=Mode.SHADOW), READ, RELEASED, ["released"]),
    ("recalled by its number", recalled(waybill_nos=(NUMBER,)), READ, HOLD, ["recalled"]),
    ("recalled by its trace code", recalled(trace_codes=("T1",)), READ, HOLD, ["recalled"]),
    ("recalled by its goods", recalled(skus=("SKU1",)), READ, HOLD, ["recalled"]),
    ("recalled by its batch", recalled(skus=("SKU1",), batch_nos=("B1",)), READ, HOLD, ["recalled"]),
    ("another batch is recalled", recalled(skus=("SKU1",), batch_nos=("B2",)), READ, RELEASED, ["released"]),
    ("recalled by its slip", recalled(slip_nos=(SLIP,)), READ, HOLD, ["recalled"]),
    ("recalled by its firm", recalled(enterprises=(FIRM,)), READ, HOLD, ["recalled"]),
    ("another is recalled", recalled(waybill_nos=(OTHER,)), READ, RELEASED, ["released"]),
    (
        "the recall has ended",
        recalled(waybill_nos=(NUMBER,), state=RecallState.ENDED),
        READ,
        RELEASED,
        ["released"],
    ),
    (
        "recalled though no record has it",
        replace(recalled(trace_codes=("T9",)), code="T9", waybills=()),
        READ,
        HOLD,
        ["recalled", "parcel_unknown"],
    ),
    (
        "its number recalled though no record has it",
        replace(recalled(waybill_nos=(NUMBER,)), waybills=()),
        READ,
        HOLD,
        ["recalled", "parcel_unknown"],
    ),
    ("ordered to be inspected", ordered(), READ, INSPECT, ["inspection_ordered"]),
    ("the order was withdrawn", ordered(state=OrderState.WITHDRAWN), READ, RELEASED, ["released"]),
    ("another parcel is ordered", ordered(waybill_nos=(OTHER,), slip_no=SLIP), READ, RELEASED, ["released"]),
    (
        "its whole slip is ordered",
        ordered(waybill_nos=(), slip_no=SLIP),
        READ,
        INSPECT,
        ["inspection_ordered"],
    ),
    ("another slip is ordered", ordered(waybill_nos=(), slip_no=OTHER_SLIP), READ, RELEASED, ["released"]),
    ("seized after an inspection", kept_back(), READ, HOLD, ["kept_back"]),
    ("seized by its own number", kept_back(NUMBER), READ, HOLD, ["kept_back"]),
    ("its slip's load was seized", kept_back(waybill_nos=(), slip_no=SLIP), READ, HOLD, ["kept_back"]),
    ("another of the order was seized", kept_back(OTHER), READ, RELEASED, ["released"]),
    ("another order's parcel was seized", kept_back(waybill_nos=(OTHER,)), READ, RELEASED, ["released"]),
    ("the X-ray flagged it", x_rayed(XRayVerdict.FLAGGED), READ, INSPECT, ["x_ray_flagged"]),
    ("the X-ray did not judge it", x_rayed(XRayVerdict.RECHECK), READ, INSPECT, ["x_ray_recheck"]),
    ("the X-ray passed it", x_rayed(XRayVerdict.PASSED), READ, RELEASED, ["released"]),
    ("the X-ray flagged another", x_rayed(XRayVerdict.FLAGGED, OTHER), READ, RELEASED, ["released"]),
    ("a tier that is always inspected", KNOWN, strict(CreditTier.HIGH), INSPECT, ["credit_inspect"]),
    ("another tier is", KNOWN, strict(CreditTier.LOW), RELEASED, ["released"]),
    (
        "who is not known is not trusted",
        replace(KNOWN, enterprises=()),
        strict(CreditTier.LOW),
        INSPECT,
        ["credit_inspect"],
    ),
    (
        "another firm's tier is not its own",
        of(enterprise=OTHER_FIRM),
        strict(CreditTier.LOW),
        INSPECT,
        ["credit_inspect"],
    ),
    ("drawn", replace(KNOWN, drawn=frozenset({NUMBER})), READ, INSPECT, ["spot_check"]),
    ("another was drawn", replace(KNOWN, drawn=frozenset({OTHER})), READ, RELEASED, ["released"]),
    (
        "several reasons, the worst first",
        replace(of(quarantine="required"), drawn=frozenset({NUMBER})),
        READ,
        HOLD,
        ["quarantine_required", "spot_check"],
    ),
]


@pytest.mark.parametrize(
    ("findings", "records", "sign", "codes"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_the_verdict(findings: ParcelFindings, records: RecordsRead, sign: Sign, codes: list[str]) -> None:
    opinion = judge(findings, records)
    assert list(opinion.ruling.codes()) == codes
    assert opinion.sign is sign


def test_s11_the_same_records_give_the_same_ruling() -> None:
    shuffled = replace(KNOWN, controls=(control(), control(action=ControlAction.INSPECT)))
    turned = replace(KNOWN, controls=shuffled.controls[::-1])
    assert judge(shuffled, READ).ruling == judge(turned, READ).ruling == judge(shuffled, READ).ruling


def test_only_a_parcel_that_may_go_is_told_so() -> None:
    """A ruling's verdict is what a program obeys: what is unknown is held."""
    verdicts = {name: (judge(f, r).ruling.verdict, sign) for name, f, r, sign, _ in CASES}
    released = {name for name, (verdict, _) in verdicts.items() if verdict is Verdict.RELEASE}
    assert released == {name for name, (_, sign) in verdicts.items() if sign is RELEASED}
    assert verdicts["a number no record has"] == (Verdict.HOLD, UNKNOWN)


@pytest.mark.parametrize("reason", sorted(REASONS))
def test_every_reason_has_a_row_that_shows_it_and_words_for_the_officer(reason: Reason) -> None:
    shown: Callable[[list[str]], bool] = lambda codes: reason.value in codes  # noqa: E731
    assert any(shown(codes) for *_, codes in CASES)
    assert WHY[reason].zh != WHY[reason].en
    assert (reason in TO_DO) is (reason is not Reason.RELEASED)


@pytest.mark.parametrize(
    ("reason", "case"),
    [
        ("parcel_unknown", "a number no record has"),
        ("code_ambiguous", "a code of two parcels"),
        ("not_declared", "nothing declared"),
        ("declaration_cancelled", "the declaration withdrawn"),
        ("documents_differ", "the documents differ"),
        ("x_ray_flagged", "the X-ray flagged it"),
        ("x_ray_recheck", "the X-ray did not judge it"),
        ("inspection_ordered", "ordered to be inspected"),
        ("kept_back", "seized after an inspection"),
    ],
)
def test_what_only_a_parcel_is_told(reason: str, case: str) -> None:
    codes = next(codes for name, _, _, _, codes in CASES if name == case)
    assert codes == [reason]


def test_a_parcel_goes_its_slips_way_and_without_one_its_own() -> None:
    assert direction_of(waybill(direction="import"), slip()) is Direction.OUT
    assert direction_of(waybill(direction="import"), None) is Direction.IN
    assert direction_of(waybill(direction="return"), None) is Direction.IN
    assert direction_of(waybill(direction="export"), None) is Direction.OUT
