"""May it pass? Evidence and findings in, ruling out: the same in, the same out (S11). No clock, no port."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import assert_never

from edge.gate.events import Findings
from edge.runtime.values import value
from sync.policy.controls import matching
from sync.policy.shown_slips import Standing
from sync.vocabulary.facts import ReadingKept
from sync.vocabulary.numbers import ContainerNo, Epc, Plate, SlipNo, WaybillNo
from sync.vocabulary.records import (
    Binding,
    Control,
    ControlAction,
    CreditTier,
    Direction,
    GateStage,
    LaneClass,
    Mode,
    PlatformRole,
    RecallState,
    ReleaseSlip,
    Site,
    SiteLane,
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
    Reason.WEIGHT_JUMPED,
    Reason.CONTROL_HOLD,
    Reason.RECALLED,
    Reason.WRONG_LANE,
    Reason.SLIP_USED,
    Reason.SLIP_CANCELLED,
    Reason.SLIP_NOT_APPROVED,
    Reason.SLIP_EXPIRED,
    Reason.SLIP_NOT_YET_VALID,
    Reason.SLIP_WRONG_DIRECTION,
    Reason.SLIP_WRONG_AREA,
    Reason.FIRST_GATE_MISSING,
    Reason.SLIP_OTHER_VEHICLE,
    Reason.CARD_MISMATCH,
    Reason.SLIPS_CONFLICT,
    Reason.SLIP_CODE_REFUSED,
    Reason.SLIP_NOT_FOUND,
    Reason.QUARANTINE_REQUIRED,
    Reason.PARCEL_NOT_ON_SLIP,
    Reason.TRAILER_MISMATCH,
    Reason.CONTAINER_MISMATCH,
    Reason.CONTAINER_UNREAD,
    Reason.SCALE_FAULT,
    Reason.NOT_FULLY_ON,
    Reason.WEIGHT_UNREAD,
    Reason.WEIGHT_OVER,
    Reason.WEIGHT_UNDER,
    Reason.MANUAL_LANE,
    Reason.CONTROL_INSPECT,
    Reason.CREDIT_INSPECT,
    Reason.SPOT_CHECK,
    Reason.RELEASED_EMPTY,
    Reason.RELEASED,
)

INSPECTS = frozenset({Reason.CONTROL_INSPECT, Reason.CREDIT_INSPECT, Reason.SPOT_CHECK})
_RELEASE = frozenset({Reason.RELEASED, Reason.RELEASED_EMPTY})

NOT_THE_PLATFORMS = frozenset(
    {
        Reason.VEHICLE_BLOCKED,
        Reason.CONTROL_HOLD,
        Reason.CONTROL_INSPECT,
        Reason.QUARANTINE_REQUIRED,
        Reason.RECALLED,
        Reason.WEIGHT_JUMPED,
        Reason.PARCEL_NOT_ON_SLIP,
        Reason.NO_IDENTITY,
        Reason.PLATE_TAG_MISMATCH,
        Reason.VEHICLE_UNKNOWN,
        Reason.INTERRUPTED,
        Reason.SLIP_USED,
        Reason.CLAIM_REFUSED,
        Reason.DEVICE_SILENT,
        Reason.RECORDS_TOO_OLD,
    }
)
"""What the customs platform, ruling instead of the lane or ordering the arm up, cannot override: local
quarantine and live controls, who it is that stands there, what was used already (S4), and what the lane
cannot know: a required device is silent (S9), or the records that would say so are too old (S10)."""


UNWEIGHED = frozenset({Reason.WEIGHT_UNREAD, Reason.NOT_FULLY_ON, Reason.SCALE_FAULT})
"""A platform that rules instead of the lane rules on what the lane collected, and a weight belongs to it: who
was not weighed is weighed first, or an officer enters the weight (补采)."""


def platform_may(ruling: Ruling) -> bool:
    """Nothing in it that the customs platform cannot override."""
    return all(because.code not in NOT_THE_PLATFORMS for because in ruling.reasons)


@dataclass(frozen=True, slots=True)
class LaneRules:
    """What one lane is told to insist on, from its config."""

    direction: Direction
    empty_needs_slip: bool = False
    """False: a registered vehicle at its tare weight passes without a slip (空车)."""
    lane_id: str = ""
    """By which the site's record tells class and gate of this lane."""
    reads_containers: bool = False
    """A container camera belongs to this lane: a slip with containers needs them read."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one passage has read so far."""

    plates: tuple[Plate, ...] = ()
    tags: tuple[Epc, ...] = ()
    slip_nos: tuple[SlipNo, ...] = ()
    cards: tuple[str, ...] = ()
    containers: tuple[ContainerNo, ...] = ()
    waybill_nos: tuple[WaybillNo, ...] = ()
    """Cartons of the load that were scanned."""
    gross_kg: Decimal | None = None
    scale_fault: str = ""
    """What the indicator itself complains of while nothing was weighed."""
    straddles: bool = False
    """A wheel is off the scale while nothing was weighed."""
    jumped: bool = False
    """The weight changed in a step while the vehicle stood still."""
    silent: tuple[str, ...] = ()
    """Devices that are required, or whose substitutes are silent too."""
    own_use_ids: frozenset[str] = frozenset()
    """Uses this very passage reserved before a restart; they do not count as used by others (S6)."""


# Kinds of kept readings that are no device's, and what marks a tag that does not count.
NEXT_LANE = "next lane"
SCALE_FAULT = "scale fault"
SIGNED_CODE = "signed code"
"""A slip's code, its key and hash in the detail."""
STRADDLES = "straddles"
JUMPED = "jumped"


def evidence_of(readings: Sequence[ReadingKept], own_use_ids: frozenset[str] = frozenset()) -> Evidence:
    """What a ruling stood on, from its fact: the same rules and records then give the same ruling (S11)."""

    def values(kind: str) -> list[str]:
        return [each.value for each in readings if each.kind == kind]

    plates = [each for each in readings if each.kind == "plate"]
    # An officer's takes the place of those before; one that is read after it counts beside it.
    last = max((n for n, each in enumerate(plates) if each.detail.startswith("officer ")), default=0)
    gross = values("weight")
    return Evidence(
        plates=tuple(Plate(each.value) for each in plates[last:]),
        tags=tuple(Epc(each.value) for each in readings if each.kind == "tag" and each.detail != NEXT_LANE),
        slip_nos=tuple(SlipNo(text) for text in [*values("code"), *values(SIGNED_CODE), *values("slip")]),
        cards=tuple(values("card")),
        containers=tuple(ContainerNo(text) for text in values("container")),
        waybill_nos=tuple(WaybillNo(text) for text in values("parcel")),
        gross_kg=Decimal(gross[-1]) if gross else None,
        scale_fault=next(iter(values(SCALE_FAULT)), ""),
        straddles=bool(values(STRADDLES)),
        jumped=bool(values(JUMPED)),
        own_use_ids=own_use_ids,
    )


@value(frozen=True, slots=True)
class Opinion:
    """A ruling with what it stands on, before any claim."""

    ruling: Ruling
    vehicle: Vehicle | None = None
    slips: tuple[ReleaseSlip, ...] = ()
    meant: tuple[ReleaseSlip, ...] = ()
    """The same, or, where none will do, those the reasons speak of."""
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
        controls = _controls(lane, findings, _plates_about(evidence, findings), ())
        return _opinion([*reasons, *_live(controls)], controls=controls)
    reasons += _registration(vehicle, findings)

    here = site.lane(lane.lane_id)
    slips, meant, slip_reasons = _choose_slips(lane, here, evidence, findings, vehicle)
    empty = not slips and _only(slip_reasons, Reason.SLIP_NOT_FOUND) and _is_empty(evidence, vehicle, site)
    if empty and not lane.empty_needs_slip:
        slip_reasons = []
    reasons += slip_reasons

    expected_kg: Decimal | None = None
    tolerance_kg = Decimal(0)
    # A slip that will not do may be under quarantine, recall or control all the same.
    reasons += [Because(Reason.QUARANTINE_REQUIRED) for s in meant if s.quarantine == "required"]
    if slips:
        expected_kg = _expected_kg(slips, vehicle)
        tolerance_kg = _tolerance_kg(slips, expected_kg, site)
        reasons += _containers(lane, evidence, slips)
    elif empty:
        expected_kg, tolerance_kg = vehicle.tare_kg, site.empty_tolerance_kg
    if slips or evidence.jumped or site.platform is PlatformRole.INSTEAD:
        reasons += _weight(evidence, expected_kg, tolerance_kg)
    reasons += _trailer(evidence, vehicle)
    enterprises = tuple(dict.fromkeys(str(s.enterprise) for s in slips))
    reasons += _recalls(findings, meant)
    reasons += _parcels(evidence, findings, meant)
    # Besides its own, evidence holds at most the plates of what it draws.
    controls = _controls(lane, findings, (vehicle.plate, *evidence.plates), meant)
    reasons += _live(controls)
    reasons += _credit(findings, site, enterprises)
    drawn = any(findings.spot_checks[s.slip_no].due for s in slips if s.slip_no in findings.spot_checks)
    if drawn:
        reasons.append(Because(Reason.SPOT_CHECK))
    if here is not None:
        reasons += _class(here, findings, site, slips, empty=empty, lane=lane)
    if not reasons:
        reasons = [Because(Reason.RELEASED_EMPTY if empty else Reason.RELEASED)]
    return _opinion(
        reasons,
        vehicle=vehicle,
        slips=slips,
        meant=meant,
        expected_kg=expected_kg,
        controls=controls,
        enterprise=enterprises[0] if enterprises else None,
        spot_check=drawn,
    )


def would_be(opinion: Opinion) -> dict[str, str]:
    """`id@version` of every shadow or advisory control that matched -> the verdict had it been live. What
    officers, the claim or the customs platform decided stands, whatever a control says."""
    by_rules = all(because.code in _FIRST_TOLD for because in opinion.ruling.reasons)
    told: dict[str, str] = {}
    for control in opinion.controls:
        if control.mode is Mode.LIVE:
            continue
        reasons = [*opinion.ruling.reasons, _of_control(control)]
        ruling = _opinion(reasons).ruling if by_rules else opinion.ruling
        told[f"{control.control_id}@{control.version}"] = ruling.verdict.value
    return told


def advice(opinion: Opinion) -> tuple[Control, ...]:
    """Advisory controls that matched: shown to officers, obeyed by nobody."""
    return tuple(control for control in opinion.controls if control.mode is Mode.ADVISORY)


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
    if codes - INSPECTS - _RELEASE:
        verdict = Verdict.HOLD
    elif codes & INSPECTS:
        verdict = Verdict.INSPECT
    else:
        verdict = Verdict.RELEASE
    return Opinion(Ruling(verdict, ordered), **rest)  # type: ignore[arg-type]


def _only(reasons: list[Because], code: Reason) -> bool:
    return {because.code for because in reasons} == {code}


def _identify(evidence: Evidence, findings: Findings) -> tuple[Vehicle | None, list[Because]]:
    """Plate and tag must not disagree; either alone identifies (which may be missing is the lane's)."""
    plates = tuple(plate for plate in evidence.plates if not is_trailer_plate(plate))
    if not plates and not evidence.tags:
        return None, [Because(Reason.NO_IDENTITY)]
    if len(plates) > 1:
        return None, [Because(Reason.PLATE_TAG_MISMATCH, " ".join(plates))]
    by_tag = {v.plate: v for epc in evidence.tags if (v := findings.by_tag.get(epc)) is not None}
    if len(by_tag) > 1:
        return None, [Because(Reason.PLATE_TAG_MISMATCH, " ".join(by_tag))]
    if not plates:
        if not by_tag:
            return None, [Because(Reason.VEHICLE_UNKNOWN)]
        return next(iter(by_tag.values())), []
    plate = plates[0]
    if by_tag and plate not in by_tag:
        return None, [Because(Reason.PLATE_TAG_MISMATCH, f"{plate} {next(iter(by_tag))}")]
    vehicle = findings.by_plate.get(plate)
    if vehicle is None:
        return None, [Because(Reason.VEHICLE_UNKNOWN, plate)]
    return vehicle, []


def is_trailer_plate(plate: Plate) -> bool:
    """挂: a trailer's plate identifies no vehicle."""
    return plate.endswith("挂")


def _trailer(evidence: Evidence, vehicle: Vehicle) -> list[Because]:
    """A trailer's plate that was read must be the registered one's, where one is registered."""
    if vehicle.trailer_plate is None:
        return []
    strange = [p for p in evidence.plates if is_trailer_plate(p) and p != vehicle.trailer_plate]
    return [Because(Reason.TRAILER_MISMATCH, strange[0])] if strange else []


def _containers(lane: LaneRules, evidence: Evidence, slips: tuple[ReleaseSlip, ...]) -> list[Because]:
    declared = {number for slip in slips for number in slip.container_nos}
    if not declared and not lane.reads_containers:
        # Nothing was declared and nobody looks: a number on the scanner is then no evidence against it.
        return []
    strange = [number for number in evidence.containers if number not in declared]
    if strange:
        return [Because(Reason.CONTAINER_MISMATCH, strange[0])]
    if lane.reads_containers and not declared <= set(evidence.containers):
        return [Because(Reason.CONTAINER_UNREAD)]
    return []


def _plates_about(evidence: Evidence, findings: Findings) -> tuple[Plate | None, ...]:
    """Of whoever stands there, as far as anything tells: a control may be on a vehicle nobody registered."""
    by_tag = [vehicle.plate for epc in evidence.tags if (vehicle := findings.by_tag.get(epc)) is not None]
    return tuple(dict.fromkeys([*evidence.plates, *by_tag])) or (None,)


def _controls(
    lane: LaneRules, findings: Findings, plates: tuple[Plate | None, ...], slips: tuple[ReleaseSlip, ...]
) -> tuple[Control, ...]:
    """Controls of any mode that bear on one of these plates with these slips."""
    found = [
        control
        for plate in plates
        for control in matching(
            findings.controls,
            plate=plate,
            slip_nos=tuple(s.slip_no for s in slips),
            enterprises=tuple(s.enterprise for s in slips),
            direction=lane.direction,
            slip_kinds=tuple(s.kind for s in slips),
            at=findings.utc,
        )
    ]
    return tuple({(control.control_id, control.version): control for control in found}.values())


def _live(controls: tuple[Control, ...]) -> list[Because]:
    return [_of_control(control) for control in controls if control.mode is Mode.LIVE]


def _recalls(findings: Findings, slips: tuple[ReleaseSlip, ...]) -> list[Because]:
    """召回: by slip, by enterprise, or by a carton that was scanned."""
    slip_nos = {slip.slip_no for slip in slips}
    enterprises = {slip.enterprise for slip in slips}
    waybills = [waybill for waybill in findings.waybills.values() if waybill is not None]
    hits = [
        recall
        for recall in findings.recalls
        if recall.state is RecallState.ACTIVE
        and (
            slip_nos & set(recall.slip_nos)
            or enterprises & set(recall.enterprises)
            or any(recall.names(waybill) for waybill in waybills)
        )
    ]
    return [Because(Reason.RECALLED, hits[0].recall_no)] if hits else []


def _parcels(evidence: Evidence, findings: Findings, slips: tuple[ReleaseSlip, ...]) -> list[Because]:
    """卡口抽核: a carton that was scanned must be on one of the slips. A code nobody knows is no evidence."""
    slip_nos = {slip.slip_no for slip in slips}
    reasons: list[Because] = []
    for waybill_no in evidence.waybill_nos:
        waybill = findings.waybills.get(waybill_no)
        if waybill is None:
            continue
        if waybill.slip_no not in slip_nos:
            reasons.append(Because(Reason.PARCEL_NOT_ON_SLIP, waybill_no))
        if waybill.quarantine == "required":
            reasons.append(Because(Reason.QUARANTINE_REQUIRED))
    return reasons


def _credit(findings: Findings, site: Site, enterprises: tuple[str, ...]) -> list[Because]:
    """Credit tiers whose every vehicle is inspected; who is not known is not trusted."""
    for code in enterprises:
        enterprise = findings.enterprises.get(code)
        tier = CreditTier.LOW if enterprise is None else enterprise.tier
        if tier in site.inspect_all_tiers:
            return [Because(Reason.CREDIT_INSPECT)]
    return []


def _class(
    here: SiteLane,
    findings: Findings,
    site: Site,
    slips: tuple[ReleaseSlip, ...],
    *,
    empty: bool,
    lane: LaneRules,
) -> list[Because]:
    """分类通道: whom this lane is for, and where the others should go."""
    empty = empty or (bool(slips) and all(slip.kind is SlipKind.EMPTY_VEHICLE for slip in slips))
    match here.lane_class:
        case LaneClass.MIXED:
            return []
        case LaneClass.MANUAL:
            return [Because(Reason.MANUAL_LANE)]
        case LaneClass.EMPTY:
            return [] if empty or not slips else [_other_lane(site, lane, LaneClass.LOADED)]
        case LaneClass.LOADED:
            return [_other_lane(site, lane, LaneClass.EMPTY)] if empty else []
        case LaneClass.EXPRESS:
            tiers = [findings.enterprises.get(str(slip.enterprise)) for slip in slips]
            trusted = all(firm is not None and firm.tier is CreditTier.HIGH for firm in tiers)
            # Without a slip nobody knows yet whose load it is: the slip may still be shown.
            if trusted and (slips or not empty):
                return []
            return [_other_lane(site, lane, LaneClass.EMPTY if empty else LaneClass.LOADED)]
        case _:
            assert_never(here.lane_class)


def _other_lane(site: Site, lane: LaneRules, wanted: LaneClass) -> Because:
    """The sign of the lane that takes this vehicle, else its class in words."""
    there = [
        other for other in site.lanes if other.direction is lane.direction and other.lane != lane.lane_id
    ]
    for lane_class in (wanted, LaneClass.MIXED, LaneClass.MANUAL):
        for other in there:
            if other.lane_class is lane_class:
                return Because(Reason.WRONG_LANE, other.name_zh or other.lane)
    return Because(Reason.WRONG_LANE, {LaneClass.EMPTY: "空车 empty"}.get(wanted, "重车 loaded"))


def _registration(vehicle: Vehicle, findings: Findings) -> list[Because]:
    match vehicle.state:
        case VehicleState.BLOCKED:
            return [Because(Reason.VEHICLE_BLOCKED)]
        case VehicleState.SUSPENDED:
            return [Because(Reason.VEHICLE_SUSPENDED)]
        case VehicleState.ACTIVE:
            return [Because(Reason.REGISTRATION_EXPIRED)] if findings.utc >= vehicle.valid_until else []


def _choose_slips(
    lane: LaneRules, here: SiteLane | None, evidence: Evidence, findings: Findings, vehicle: Vehicle
) -> tuple[tuple[ReleaseSlip, ...], tuple[ReleaseSlip, ...], list[Because]]:
    """Which slips this passage stands on, those that are meant, and why none will do."""
    candidates = findings.slips
    shown = {
        *evidence.slip_nos,
        *(s.slip_no for s in candidates if s.card_no and s.card_no in evidence.cards),
    }
    if shown:
        candidates = tuple(s for s in candidates if s.slip_no in shown)
        if not candidates:
            refused = [code.slip_no for code in findings.codes if code.standing is Standing.REFUSED]
            if refused:
                return (), (), [Because(Reason.SLIP_CODE_REFUSED, refused[0])]
            return (), (), [Because(Reason.SLIP_NOT_FOUND, evidence.slip_nos[0])]
        foreign = [s for s in candidates if s.plate is not None and s.plate != vehicle.plate]
        if foreign:
            return (), candidates, [Because(Reason.SLIP_OTHER_VEHICLE, foreign[0].slip_no)]
    else:
        candidates = tuple(s for s in candidates if s.plate == vehicle.plate)
    if not candidates:
        return (), (), [Because(Reason.SLIP_NOT_FOUND)]
    flaws = {s.slip_no: _flaw(lane, here, evidence, findings, s) for s in candidates}
    usable = tuple(sorted((s for s in candidates if flaws[s.slip_no] is None), key=lambda s: s.slip_no))
    if not usable:
        newest = max(candidates, key=lambda s: (s.direction is lane.direction, s.valid_from, s.slip_no))
        flaw = flaws[newest.slip_no]
        return (), candidates if shown else (newest,), [flaw] if flaw is not None else []
    if len(usable) > 1 and any(s.binding is not Binding.MANY_SLIPS for s in usable):
        return (), usable, [Because(Reason.SLIPS_CONFLICT)]
    if len(usable) > 1 and any(s.kind is SlipKind.EMPTY_VEHICLE for s in usable):
        return (), usable, [Because(Reason.SLIPS_CONFLICT)]
    return usable, usable, []


def _flaw(
    lane: LaneRules, here: SiteLane | None, evidence: Evidence, findings: Findings, slip: ReleaseSlip
) -> Because | None:
    if slip.direction is not lane.direction:
        return Because(Reason.SLIP_WRONG_DIRECTION, slip.slip_no)
    site = findings.site
    if site is not None and site.customs_codes and slip.customs_code not in site.customs_codes:
        return Because(Reason.SLIP_WRONG_AREA, slip.customs_code)
    wrong_state = _wrong_state(slip, GateStage.ONLY if here is None else here.gate)
    if wrong_state is not None:
        return Because(wrong_state, slip.slip_no)
    if slip.card_no and evidence.cards and slip.card_no not in evidence.cards:
        return Because(Reason.CARD_MISMATCH, slip.slip_no)
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


def _wrong_state(slip: ReleaseSlip, gate: GateStage) -> Reason | None:
    """`stucd` against the gate: the second gate of two takes what has passed the first (一卡, 二卡)."""
    match slip.state:
        case SlipState.APPLIED:
            return Reason.SLIP_NOT_APPROVED
        case SlipState.DELETED | SlipState.CANCELLED:
            return Reason.SLIP_CANCELLED
        case SlipState.PASSED | SlipState.PASSED_SECOND:
            return Reason.SLIP_USED
        case SlipState.PASSED_FIRST:
            return None if gate is GateStage.SECOND else Reason.SLIP_USED
        case SlipState.APPROVED:
            # A slip for several vehicles is marked when all are through the first gate: the hub counts.
            several = slip.uses_allowed > 1
            return Reason.FIRST_GATE_MISSING if gate is GateStage.SECOND and not several else None
        case _:
            assert_never(slip.state)


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
    if evidence.jumped:
        return [Because(Reason.WEIGHT_JUMPED)]
    if evidence.gross_kg is None:
        if evidence.scale_fault:
            return [Because(Reason.SCALE_FAULT, evidence.scale_fault)]
        return [Because(Reason.NOT_FULLY_ON if evidence.straddles else Reason.WEIGHT_UNREAD)]
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
