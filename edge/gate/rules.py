"""May it pass? Evidence and findings in, ruling out: the same in, the same out (S11). No clock, no port."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from edge.gate.events import Findings
from edge.gate.values import value
from sync.policy.controls import matching
from sync.vocabulary.numbers import Epc, Plate, SlipNo
from sync.vocabulary.records import (
    Binding,
    Control,
    ControlAction,
    CreditTier,
    Direction,
    Mode,
    ReleaseSlip,
    Site,
    SlipKind,
    SlipState,
    Vehicle,
    VehicleState,
)
from sync.vocabulary.rulings import Because, Reason, Ruling, Verdict
from sync.vocabulary.uses import UseState

# What the driver is told first when there are several reasons.
_FIRST_TOLD = (
    Reason.RECORDS_TOO_OLD,
    Reason.DEVICE_SILENT,
    Reason.NO_IDENTITY,
    Reason.PLATE_TAG_MISMATCH,
    Reason.VEHICLE_BLOCKED,
    Reason.VEHICLE_UNKNOWN,
    Reason.VEHICLE_SUSPENDED,
    Reason.REGISTRATION_EXPIRED,
    Reason.CONTROL_HOLD,
    Reason.SLIP_USED,
    Reason.SLIP_CANCELLED,
    Reason.SLIP_NOT_APPROVED,
    Reason.SLIP_EXPIRED,
    Reason.SLIP_NOT_YET_VALID,
    Reason.SLIP_WRONG_DIRECTION,
    Reason.SLIP_OTHER_VEHICLE,
    Reason.SLIPS_CONFLICT,
    Reason.SLIP_NOT_FOUND,
    Reason.QUARANTINE_REQUIRED,
    Reason.WEIGHT_UNREAD,
    Reason.WEIGHT_OVER,
    Reason.WEIGHT_UNDER,
    Reason.CONTROL_INSPECT,
    Reason.SPOT_CHECK,
    Reason.RELEASED_EMPTY,
    Reason.RELEASED,
)

_INSPECT = frozenset({Reason.CONTROL_INSPECT, Reason.SPOT_CHECK})
_RELEASE = frozenset({Reason.RELEASED, Reason.RELEASED_EMPTY})


@dataclass(frozen=True, slots=True)
class LaneRules:
    """What one lane is told to insist on, from its config."""

    direction: Direction
    empty_needs_slip: bool = False
    """False: a registered vehicle at its tare weight passes without a slip (空车)."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one passage has read so far."""

    plates: tuple[Plate, ...] = ()
    tags: tuple[Epc, ...] = ()
    slip_nos: tuple[SlipNo, ...] = ()
    gross_kg: Decimal | None = None
    silent: tuple[str, ...] = ()
    """Devices that are required, or whose substitutes are silent too."""
    own_use_ids: frozenset[str] = frozenset()
    """Uses this very passage reserved before a restart; they do not count as used by others (S6)."""


@value(frozen=True, slots=True)
class Opinion:
    """A ruling with what it stands on, before any claim."""

    ruling: Ruling
    vehicle: Vehicle | None = None
    slips: tuple[ReleaseSlip, ...] = ()
    expected_kg: Decimal | None = None
    controls: tuple[Control, ...] = ()
    enterprise: str | None = None
    spot_check: bool = False


def rule(lane: LaneRules, evidence: Evidence, findings: Findings) -> Opinion:
    """Every reason that applies, the worst verdict among them."""
    reasons: list[Because] = [Because(Reason.DEVICE_SILENT, name) for name in evidence.silent]
    site = findings.site
    if site is None:
        return _opinion([*reasons, Because(Reason.RECORDS_TOO_OLD, "site")])
    if findings.age_s is None or findings.age_s > site.max_age_s:
        reasons.append(Because(Reason.RECORDS_TOO_OLD))

    vehicle, identity = _identify(evidence, findings)
    reasons += identity
    if vehicle is None:
        return _opinion(reasons)
    reasons += _registration(vehicle, findings)

    slips, slip_reasons = _choose_slips(lane, evidence, findings, vehicle)
    empty = not slips and _only(slip_reasons, Reason.SLIP_NOT_FOUND) and _is_empty(evidence, vehicle, site)
    if empty and not lane.empty_needs_slip:
        slip_reasons = []
    reasons += slip_reasons

    expected_kg: Decimal | None = None
    if slips:
        reasons += [Because(Reason.QUARANTINE_REQUIRED) for s in slips if s.quarantine == "required"][:1]
        expected_kg = _expected_kg(slips, vehicle)
        reasons += _weight(evidence, expected_kg, _tolerance_kg(slips, expected_kg, site))
    elif empty:
        expected_kg = vehicle.tare_kg
    enterprises = tuple(dict.fromkeys(str(s.enterprise) for s in slips))
    controls = matching(
        findings.controls,
        plate=vehicle.plate,
        slip_nos=tuple(s.slip_no for s in slips),
        enterprises=tuple(s.enterprise for s in slips),
        direction=lane.direction,
        slip_kinds=tuple(s.kind for s in slips),
        at=findings.utc,
    )
    reasons += [_of_control(control) for control in controls if control.mode is Mode.LIVE]
    drawn = any(findings.spot_checks[s.slip_no].due for s in slips if s.slip_no in findings.spot_checks)
    if drawn:
        reasons.append(Because(Reason.SPOT_CHECK))
    if not reasons:
        reasons = [Because(Reason.RELEASED_EMPTY if empty else Reason.RELEASED)]
    return _opinion(
        reasons,
        vehicle=vehicle,
        slips=slips,
        expected_kg=expected_kg,
        controls=controls,
        enterprise=enterprises[0] if enterprises else None,
        spot_check=drawn,
    )


def offline_verdict(findings: Findings, opinion: Opinion) -> bool:
    """No claim answer: does the site's written policy let this vehicle go (S4)? By credit tier, all slips."""
    site = findings.site
    if site is None or not opinion.slips:
        return False
    tiers: list[CreditTier] = []
    for slip in opinion.slips:
        enterprise = findings.enterprises.get(str(slip.enterprise))
        if enterprise is None:
            return False
        tiers.append(enterprise.tier)
    return all(tier in site.offline_release_tiers for tier in tiers)


def hold(*reasons: Because) -> Ruling:
    return Ruling(Verdict.HOLD, reasons)


def _opinion(reasons: list[Because], **rest: object) -> Opinion:
    ordered = tuple(sorted(dict.fromkeys(reasons), key=lambda because: _FIRST_TOLD.index(because.code)))
    codes = {because.code for because in ordered}
    if codes - _INSPECT - _RELEASE:
        verdict = Verdict.HOLD
    elif codes & _INSPECT:
        verdict = Verdict.INSPECT
    else:
        verdict = Verdict.RELEASE
    return Opinion(Ruling(verdict, ordered), **rest)  # type: ignore[arg-type]


def _only(reasons: list[Because], code: Reason) -> bool:
    return {because.code for because in reasons} == {code}


def _identify(evidence: Evidence, findings: Findings) -> tuple[Vehicle | None, list[Because]]:
    """Plate and tag must not disagree; either alone identifies (which may be missing is the lane's)."""
    if not evidence.plates and not evidence.tags:
        return None, [Because(Reason.NO_IDENTITY)]
    if len(evidence.plates) > 1:
        return None, [Because(Reason.PLATE_TAG_MISMATCH, " ".join(evidence.plates))]
    by_tag = {v.plate: v for epc in evidence.tags if (v := findings.by_tag.get(epc)) is not None}
    if len(by_tag) > 1:
        return None, [Because(Reason.PLATE_TAG_MISMATCH, " ".join(by_tag))]
    if not evidence.plates:
        if not by_tag:
            return None, [Because(Reason.VEHICLE_UNKNOWN)]
        return next(iter(by_tag.values())), []
    plate = evidence.plates[0]
    if by_tag and plate not in by_tag:
        return None, [Because(Reason.PLATE_TAG_MISMATCH, f"{plate} {next(iter(by_tag))}")]
    vehicle = findings.by_plate.get(plate)
    if vehicle is None:
        return None, [Because(Reason.VEHICLE_UNKNOWN, plate)]
    return vehicle, []


def _registration(vehicle: Vehicle, findings: Findings) -> list[Because]:
    match vehicle.state:
        case VehicleState.BLOCKED:
            return [Because(Reason.VEHICLE_BLOCKED)]
        case VehicleState.SUSPENDED:
            return [Because(Reason.VEHICLE_SUSPENDED)]
        case VehicleState.ACTIVE:
            return [Because(Reason.REGISTRATION_EXPIRED)] if findings.utc >= vehicle.valid_until else []


def _choose_slips(
    lane: LaneRules, evidence: Evidence, findings: Findings, vehicle: Vehicle
) -> tuple[tuple[ReleaseSlip, ...], list[Because]]:
    """Which slips this passage stands on, or why none will do."""
    candidates = findings.slips
    if evidence.slip_nos:
        candidates = tuple(s for s in candidates if s.slip_no in evidence.slip_nos)
        if not candidates:
            return (), [Because(Reason.SLIP_NOT_FOUND, evidence.slip_nos[0])]
        foreign = [s for s in candidates if s.plate is not None and s.plate != vehicle.plate]
        if foreign:
            return (), [Because(Reason.SLIP_OTHER_VEHICLE, foreign[0].slip_no)]
    else:
        candidates = tuple(s for s in candidates if s.plate == vehicle.plate)
    if not candidates:
        return (), [Because(Reason.SLIP_NOT_FOUND)]
    flaws = {s.slip_no: _flaw(lane, evidence, findings, s) for s in candidates}
    usable = tuple(sorted((s for s in candidates if flaws[s.slip_no] is None), key=lambda s: s.slip_no))
    if not usable:
        newest = max(candidates, key=lambda s: (s.direction is lane.direction, s.valid_from, s.slip_no))
        flaw = flaws[newest.slip_no]
        return (), [flaw] if flaw is not None else []
    if len(usable) > 1 and any(s.binding is not Binding.MANY_SLIPS for s in usable):
        return (), [Because(Reason.SLIPS_CONFLICT)]
    if len(usable) > 1 and any(s.kind is SlipKind.EMPTY_VEHICLE for s in usable):
        return (), [Because(Reason.SLIPS_CONFLICT)]
    return usable, []


def _flaw(lane: LaneRules, evidence: Evidence, findings: Findings, slip: ReleaseSlip) -> Because | None:
    if slip.direction is not lane.direction:
        return Because(Reason.SLIP_WRONG_DIRECTION, slip.slip_no)
    match slip.state:
        case SlipState.APPLIED:
            return Because(Reason.SLIP_NOT_APPROVED, slip.slip_no)
        case SlipState.DELETED | SlipState.CANCELLED:
            return Because(Reason.SLIP_CANCELLED, slip.slip_no)
        case SlipState.PASSED | SlipState.PASSED_FIRST | SlipState.PASSED_SECOND:
            return Because(Reason.SLIP_USED, slip.slip_no)
        case SlipState.APPROVED:
            pass
    used = [
        use
        for use in findings.uses
        if use.slip_no == slip.slip_no
        and use.state is not UseState.RETURNED
        and use.use_id not in evidence.own_use_ids
    ]
    if len(used) >= slip.uses_allowed:
        return Because(Reason.SLIP_USED, slip.slip_no)
    if findings.utc < slip.valid_from:
        return Because(Reason.SLIP_NOT_YET_VALID, slip.slip_no)
    if findings.utc >= slip.valid_until:
        return Because(Reason.SLIP_EXPIRED, slip.slip_no)
    return None


def _is_empty(evidence: Evidence, vehicle: Vehicle, site: Site) -> bool:
    return (
        evidence.gross_kg is not None and abs(evidence.gross_kg - vehicle.tare_kg) <= site.empty_tolerance_kg
    )


def _expected_kg(slips: tuple[ReleaseSlip, ...], vehicle: Vehicle) -> Decimal | None:
    """One vehicle, its frame and container once, all cargoes. None where a slip binds several vehicles."""
    if any(s.binding is Binding.MANY_VEHICLES and s.plate is None for s in slips):
        return None
    if slips[0].kind is SlipKind.EMPTY_VEHICLE:
        return vehicle.tare_kg
    carrying = slips[0]
    cargo_kg = sum((s.cargo_gross_kg for s in slips), Decimal(0))
    return carrying.vehicle_kg + carrying.frame_kg + carrying.container_kg + cargo_kg


def _tolerance_kg(slips: Iterable[ReleaseSlip], expected_kg: Decimal | None, site: Site) -> Decimal:
    if any(s.kind is SlipKind.EMPTY_VEHICLE for s in slips):
        return site.empty_tolerance_kg
    share = (expected_kg or Decimal(0)) * site.weight_tolerance_per_mille / 1000
    return max(site.weight_tolerance_kg, share)


def _weight(evidence: Evidence, expected_kg: Decimal | None, tolerance_kg: Decimal) -> list[Because]:
    if evidence.gross_kg is None:
        return [Because(Reason.WEIGHT_UNREAD)]
    if expected_kg is None:
        return []
    difference_kg = evidence.gross_kg - expected_kg
    if abs(difference_kg) <= tolerance_kg:
        return []
    code = Reason.WEIGHT_OVER if difference_kg > 0 else Reason.WEIGHT_UNDER
    return [Because(code, f"{abs(difference_kg).quantize(Decimal(1))} kg")]


def _of_control(control: Control) -> Because:
    match control.action:
        case ControlAction.HOLD:
            return Because(Reason.CONTROL_HOLD, control.control_id)
        case ControlAction.INSPECT:
            return Because(Reason.CONTROL_INSPECT, control.control_id)
