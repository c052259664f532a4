"""May this parcel go? What the records say of it in, ruling out: the same in, the same out (S11). No clock,
no file, nothing of who asks.

An officer's verdict is one of four: release, inspect, hold; and unknown, where no record says what it is that
lies in the hand. In a ruling an unknown parcel is a held one: it does not go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, assert_never

from edge.handheld.events import ParcelFindings, RecordsRead
from edge.handheld.view import Sign
from sync.policy.ages import is_too_old
from sync.policy.controls import matching
from sync.vocabulary.numbers import UtcText
from sync.vocabulary.records import (
    Control,
    ControlAction,
    CreditTier,
    Direction,
    Enterprise,
    InspectionOrder,
    Mode,
    OrderState,
    Recall,
    RecallState,
    ReleaseSlip,
    Site,
    SlipState,
    Waybill,
    XRay,
    XRayVerdict,
)
from sync.vocabulary.rulings import Because, Reason, Ruling, Verdict

MATCHED: Final = "matched"
"""`three_documents` of a waybill whose order, payment and waybill agree (三单对碰)."""
DECLARE_LATER: Final = "declare_later"
"""State of a waybill that may leave before it is declared, in a batch afterwards (先出后报)."""
CANCELLED: Final = "cancelled"
REQUIRED: Final = "required"
"""`quarantine` of what may not pass before it was checked (应检未检不得入境)."""
HOLD: Final = "hold"
"""`control` of a waybill the centre holds; anything else that stands there asks for an inspection."""

RELEASED: Final = "released"
"""`handling` of a finding that keeps nothing back."""

# What the officer is told first when there are several reasons.
_FIRST_TOLD = (
    Reason.RECALLED,
    Reason.KEPT_BACK,
    Reason.CONTROL_HOLD,
    Reason.QUARANTINE_REQUIRED,
    Reason.RECORDS_TOO_OLD,
    Reason.PARCEL_UNKNOWN,
    Reason.CODE_AMBIGUOUS,
    Reason.DECLARATION_CANCELLED,
    Reason.NOT_DECLARED,
    Reason.DOCUMENTS_DIFFER,
    Reason.SLIP_NOT_FOUND,
    Reason.SLIP_CANCELLED,
    Reason.SLIP_USED,
    Reason.SLIP_EXPIRED,
    Reason.SLIP_NOT_YET_VALID,
    Reason.SLIP_NOT_APPROVED,
    Reason.INSPECTION_ORDERED,
    Reason.CONTROL_INSPECT,
    Reason.X_RAY_FLAGGED,
    Reason.X_RAY_RECHECK,
    Reason.CREDIT_INSPECT,
    Reason.SPOT_CHECK,
    Reason.RELEASED,
)

INSPECTS: Final = frozenset(
    {
        Reason.INSPECTION_ORDERED,
        Reason.CONTROL_INSPECT,
        Reason.X_RAY_FLAGGED,
        Reason.X_RAY_RECHECK,
        Reason.CREDIT_INSPECT,
        Reason.SPOT_CHECK,
    }
)
UNKNOWN: Final = frozenset({Reason.PARCEL_UNKNOWN, Reason.CODE_AMBIGUOUS})

REASONS: Final = frozenset(_FIRST_TOLD)
"""Every reason a parcel's ruling can have."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """A ruling on what a code leads to, with what it stands on."""

    sign: Sign
    ruling: Ruling
    waybill: Waybill | None = None
    """None where no record knows the code, or several parcels answer to it."""
    slip: ReleaseSlip | None = None
    enterprise: Enterprise | None = None
    controls: tuple[Control, ...] = ()
    """Of any mode, those that bear on it."""
    recalls: tuple[Recall, ...] = ()
    """In force, and naming it."""
    orders: tuple[InspectionOrder, ...] = ()
    x_ray: XRay | None = None


def judge(findings: ParcelFindings, records: RecordsRead) -> Opinion:
    """Every reason that applies, the worst verdict among them."""
    reasons = _age(records)
    recalls = _recalls(findings)
    reasons += [Because(Reason.RECALLED, recall.recall_no) for recall in recalls[:1]]
    parcels = tuple(_parcel(waybill, findings, records) for waybill in findings.waybills)
    if not parcels:
        return _opinion([*reasons, Because(Reason.PARCEL_UNKNOWN)], None, recalls)
    reasons += [because for parcel in parcels for because in parcel.reasons]
    if len(parcels) > 1:
        # Which of them lies in the hand nobody can tell: what any of them is stopped for stops this one.
        return _opinion([*reasons, Because(Reason.CODE_AMBIGUOUS, str(len(parcels)))], None, recalls)
    return _opinion(reasons or [Because(Reason.RELEASED)], parcels[0], recalls)


@dataclass(frozen=True, slots=True)
class _Parcel:
    reasons: tuple[Because, ...]
    waybill: Waybill
    slip: ReleaseSlip | None
    enterprise: Enterprise | None
    controls: tuple[Control, ...]
    orders: tuple[InspectionOrder, ...]
    x_ray: XRay | None


def _opinion(reasons: list[Because], parcel: _Parcel | None, recalls: tuple[Recall, ...]) -> Opinion:
    ordered = tuple(sorted(dict.fromkeys(reasons), key=lambda because: _FIRST_TOLD.index(because.code)))
    codes = {because.code for because in ordered}
    if codes - INSPECTS - {Reason.RELEASED}:
        verdict = Verdict.HOLD
    elif codes & INSPECTS:
        verdict = Verdict.INSPECT
    else:
        verdict = Verdict.RELEASE
    sign = Sign(verdict.value)
    if codes & UNKNOWN and not codes - UNKNOWN - INSPECTS - {Reason.RECORDS_TOO_OLD}:
        sign = Sign.UNKNOWN
    ruling = Ruling(verdict, ordered)
    if parcel is None:
        return Opinion(sign, ruling, recalls=recalls)
    return Opinion(
        sign,
        ruling,
        waybill=parcel.waybill,
        slip=parcel.slip,
        enterprise=parcel.enterprise,
        controls=parcel.controls,
        recalls=recalls,
        orders=parcel.orders,
        x_ray=parcel.x_ray,
    )


def _age(records: RecordsRead) -> list[Because]:
    return [Because(Reason.RECORDS_TOO_OLD)] if is_too_old(records.age_s, records.site) else []


def _recalls(findings: ParcelFindings) -> tuple[Recall, ...]:
    """召回: by what the records say of the parcel, and by the bare code where they say nothing."""
    return tuple(
        recall
        for recall in findings.recalls
        if recall.state is RecallState.ACTIVE
        and (
            any(recall.names(waybill) for waybill in findings.waybills)
            or findings.code in recall.trace_codes
            or findings.code in recall.waybill_nos
        )
    )


def _parcel(waybill: Waybill, findings: ParcelFindings, records: RecordsRead) -> _Parcel:
    slip = next((slip for slip in findings.slips if slip.slip_no == waybill.slip_no), None)
    enterprise = next((firm for firm in findings.enterprises if firm.code == waybill.enterprise), None)
    x_ray = next((x_ray for x_ray in findings.x_rays if x_ray.waybill_no == waybill.waybill_no), None)
    controls = _controls(waybill, slip, findings, records.utc)
    orders = tuple(order for order in findings.orders if _names(order, waybill))
    reasons = [
        *_declared(waybill),
        *_quarantine(waybill, slip),
        *_bound(waybill, slip, records.utc),
        *_controlled(waybill, controls),
        *_kept_back(waybill, findings),
        *(Because(Reason.INSPECTION_ORDERED, order.order_no) for order in orders[:1]),
        *_x_rayed(x_ray),
        *_credit(enterprise, records.site),
        *([Because(Reason.SPOT_CHECK)] if waybill.waybill_no in findings.drawn else []),
    ]
    return _Parcel(tuple(reasons), waybill, slip, enterprise, controls, orders, x_ray)


def _kept_back(waybill: Waybill, findings: ParcelFindings) -> list[Because]:
    """异常处置: what was found to be wrong stays so, whoever scans it next."""
    return [
        Because(Reason.KEPT_BACK, each.order.order_no)
        for each in findings.kept_back
        if (waybill.waybill_no in each.waybill_nos if each.waybill_nos else _names(each.order, waybill))
    ][:1]


def _declared(waybill: Waybill) -> list[Because]:
    """申报 and 三单对碰. What the records say nothing of is no reason: not every feed tells of the match."""
    if waybill.state == CANCELLED:
        return [Because(Reason.DECLARATION_CANCELLED)]
    reasons: list[Because] = []
    if not waybill.declarations and waybill.state != DECLARE_LATER:
        reasons.append(Because(Reason.NOT_DECLARED))
    if waybill.three_documents not in ("", MATCHED):
        reasons.append(Because(Reason.DOCUMENTS_DIFFER, waybill.three_documents))
    return reasons


def _quarantine(waybill: Waybill, slip: ReleaseSlip | None) -> list[Because]:
    """应检未检不得入境"""
    if REQUIRED in (waybill.quarantine, "" if slip is None else slip.quarantine):
        return [Because(Reason.QUARANTINE_REQUIRED)]
    return []


def _bound(waybill: Waybill, slip: ReleaseSlip | None, utc: UtcText) -> list[Because]:
    """A parcel goes with its slip. One that is on none yet may still be put on one."""
    if waybill.slip_no is None:
        return []
    if slip is None:
        return [Because(Reason.SLIP_NOT_FOUND, waybill.slip_no)]
    match slip.state:
        case SlipState.APPLIED:
            return [Because(Reason.SLIP_NOT_APPROVED, slip.slip_no)]
        case SlipState.DELETED | SlipState.CANCELLED:
            return [Because(Reason.SLIP_CANCELLED, slip.slip_no)]
        case SlipState.PASSED | SlipState.PASSED_SECOND:
            # Its slip has left and the parcel is still here.
            return [Because(Reason.SLIP_USED, slip.slip_no)]
        case SlipState.APPROVED | SlipState.PASSED_FIRST:
            if utc < slip.valid_from:
                return [Because(Reason.SLIP_NOT_YET_VALID, slip.slip_no)]
            return [Because(Reason.SLIP_EXPIRED, slip.slip_no)] if utc >= slip.valid_until else []
        case _:
            assert_never(slip.state)


def direction_of(waybill: Waybill, slip: ReleaseSlip | None) -> Direction:
    """Which way it goes through a gate: as its slip says, else imports and returns come in."""
    if slip is not None:
        return slip.direction
    return Direction.OUT if waybill.direction == "export" else Direction.IN


def _controls(
    waybill: Waybill, slip: ReleaseSlip | None, findings: ParcelFindings, utc: UtcText
) -> tuple[Control, ...]:
    """Controls of any mode that bear on it; those on plates by the vehicle its slip names."""
    enterprises = [code for code in (waybill.enterprise, slip and slip.enterprise) if code]
    return matching(
        findings.controls,
        plate=slip.plate if slip is not None else None,
        slip_nos=() if waybill.slip_no is None else (waybill.slip_no,),
        enterprises=enterprises,
        direction=direction_of(waybill, slip),
        slip_kinds=() if slip is None else (slip.kind,),
        at=utc,
    )


def _controlled(waybill: Waybill, controls: tuple[Control, ...]) -> list[Because]:
    """布控: live controls, and what the centre has set on this one waybill."""
    reasons = [
        Because(_CODES[control.action], control.control_id)
        for control in controls
        if control.mode is Mode.LIVE
    ]
    if waybill.control:
        code = Reason.CONTROL_HOLD if waybill.control == HOLD else Reason.CONTROL_INSPECT
        reasons.append(Because(code, waybill.control))
    return reasons


_CODES = {
    ControlAction.HOLD: Reason.CONTROL_HOLD,
    ControlAction.INSPECT: Reason.CONTROL_INSPECT,
}


def _names(order: InspectionOrder, waybill: Waybill) -> bool:
    """Its own number is named, or the whole load of its slip is meant."""
    if order.state is not OrderState.OPEN:
        return False
    if order.waybill_nos:
        return waybill.waybill_no in order.waybill_nos
    return order.slip_no is not None and order.slip_no == waybill.slip_no


def _x_rayed(x_ray: XRay | None) -> list[Because]:
    if x_ray is None:
        return []
    match x_ray.verdict:
        case XRayVerdict.PASSED:
            return []
        case XRayVerdict.FLAGGED:
            return [Because(Reason.X_RAY_FLAGGED, x_ray.words_zh)]
        case XRayVerdict.RECHECK:
            return [Because(Reason.X_RAY_RECHECK)]
        case _:
            assert_never(x_ray.verdict)


def _credit(enterprise: Enterprise | None, site: Site | None) -> list[Because]:
    """信用: tiers whose every parcel is inspected; who is not known is not trusted."""
    tier = CreditTier.LOW if enterprise is None else enterprise.tier
    if site is not None and tier in site.inspect_all_tiers:
        return [Because(Reason.CREDIT_INSPECT)]
    return []
