"""The lane machine: `step(lane, at_s, event) -> (lane, effects)`. Values only; no port, clock or randomness.

Everything that moves the barrier is decided in this file, and nowhere else. The guarantees S1 to S12 of the
design are held here; each guard names its own. Times are monotonic seconds of the caller's clock.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import assert_never

from edge.gate.effects import (
    AnswerCommand,
    AnswerPlatform,
    AskClaim,
    AskPlatform,
    CheckCommand,
    CheckReleaseCode,
    Commit,
    Effect,
    LookUp,
    LowerArm,
    Memory,
    PendingCheck,
    RaiseArm,
    Resync,
    SetLights,
    Show,
    ShowForAWhile,
    ShowOwnAgain,
    ShowPlatform,
    TakePicture,
    TellStatus,
    Told,
    WakeAfter,
    Wipe,
    WithdrawClaim,
)
from edge.gate.events import (
    UNKNOWN_INPUTS,
    CardRead,
    ClaimAnswered,
    CodeJudged,
    CodeRead,
    CommandChecked,
    CommandGiven,
    ContainerRead,
    DeviceSpoke,
    DeviceWentSilent,
    Event,
    Findings,
    Inputs,
    InputsRead,
    LinkChanged,
    OfficerReleased,
    OfficerReset,
    OrderCarriedOut,
    OrderFailed,
    ParcelCodeRead,
    PictureFailed,
    PictureKept,
    PlateRead,
    PlatformOrdered,
    PlatformRuled,
    ReadFailed,
    RecordsChanged,
    RecordsFound,
    ReleaseCodeShown,
    ReleaseRefused,
    ScaleFault,
    SlipShown,
    SupplementGiven,
    SyncSaid,
    TagRead,
    TimePassed,
    Timer,
    WeightRead,
    Wiped,
    WriteFailed,
)
from edge.gate.rules import (
    INSPECTS,
    JUMPED,
    NEXT_LANE,
    NOT_THE_PLATFORMS,
    SCALE_FAULT,
    SIGNED_CODE,
    STRADDLES,
    UNWEIGHED,
    Evidence,
    LaneRules,
    Opinion,
    hold,
    is_trailer_plate,
    offline_verdict,
    platform_may,
    rule,
    would_be,
)
from edge.runtime.values import replace, value
from sync.vocabulary import commands
from sync.vocabulary.commands import Command, Outcome
from sync.vocabulary.facts import (
    Alarm,
    AlarmCode,
    ArmRaised,
    CommandTaken,
    DeviceBack,
    DeviceLost,
    LaneClosed,
    LaneReset,
    LaneStarted,
    LowerOrdered,
    OrderInterrupted,
    ParcelChecked,
    PassageClosed,
    PassageOpened,
    PictureMissed,
    PictureTaken,
    PlatformAnswered,
    PlatformAsked,
    PlatformOrderSeen,
    RaiseOrdered,
    ReadingKept,
    RulingMade,
    SlipCodeShown,
    Stream,
    SupplementEntered,
    UsesReturned,
    VehicleCrossed,
    kind_of,
)
from sync.vocabulary.numbers import ContainerNo, Epc, Plate, SlipNo, WaybillNo
from sync.vocabulary.records import PlatformLost, PlatformRole
from sync.vocabulary.rulings import GUIDES, TEXTS, Because, Reason, Ruling, Verdict, Way
from sync.vocabulary.uses import SlipUse, UseState

# --- what a lane is told once -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Needs:
    """How badly a lane needs a device: required, or substitutable by any of others, or optional."""

    required: bool
    substitutes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PlatformAddress:
    """What the customs platform calls this lane; only answers addressed so are ours."""

    area_id: str
    channel_no: str
    direction: str


@dataclass(frozen=True, slots=True)
class LaneSettings:
    """From the config, durations in seconds. Every one is a time limit with an owner (S9)."""

    lane_id: str
    rules: LaneRules
    devices: dict[str, Needs]
    """By device name; `io`, `weighbridge`, `plate_camera`, `rfid` are the ones the machine knows by name."""
    version: str = ""
    config_digest: str = ""
    boot_id: str = ""
    run: str = ""
    """Random per start: claims and orders of an earlier life or a restored disk are never mistaken."""
    key_id: str = ""
    """Of the device's key: a revoked lane serves again only with another one."""
    lowering_on_request: bool = True
    """False: the controller lowers by itself behind a vehicle (车过自动落闸)."""
    can_lower: bool = True
    """A close relay is wired: an arm raised for nobody can be asked down in either case."""
    io_stale_s: float = 0.6
    reading_s: float = 20.0
    second_identity_s: float = 4.0
    """How long plate or tag waits for the other one."""
    claim_timeout_s: float = 3.0
    arm_move_s: float = 6.0
    clear_s: float = 0.8
    passing_s: float = 60.0
    hold_s: float = 120.0
    gone_s: float = 2.0
    gone_blind_s: float = 10.0
    journal_retry_s: float = 5.0
    again_s: float = 15.0
    """A hold that time can cure is looked at again so often."""
    resume_s: float = 30.0
    """A passage interrupted by a restart may resume if the lane was down for no longer than this."""
    presence_kg: Decimal = Decimal(500)
    steady_window_s: float = 1.0
    steady_range_kg: Decimal = Decimal(40)
    steady_frames: int = 5
    steady_equal: int = 3
    """The XOR of a weighbridge frame cannot see swapped digits: so many equal frames are asked for."""
    trailer_gap_s: float = 2.5
    jump_kg: Decimal | None = Decimal(200)
    """A steady weight that becomes another steady weight so far away, all wheels on: tampering. None where
    nothing tells whether all wheels are on."""
    zero_kg: Decimal = Decimal(100)
    zero_s: float = 20.0
    """An empty scale that shows more than `zero_kg` for so long has not returned to zero."""
    neighbour_db: int = 10
    """A tag so much weaker than the strongest stands in the next lane."""
    least_dbm: int | None = None
    """So does one weaker than this, whatever else is heard. None: any strength will do."""
    platform: PlatformAddress | None = None
    cameras: tuple[str, ...] = ()
    """Those that take evidence pictures, by name."""


# --- the phases -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Waking:
    """Just started or reset: the arm is not yet proven down."""

    since_s: float


@dataclass(frozen=True, slots=True)
class Free:
    """Arm proven down, nobody here."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Somebody is here; evidence is being collected."""


@dataclass(frozen=True, slots=True)
class Consulting:
    """The customs platform is asked; its answer, or its silence, is ruled on."""

    opinion: Opinion
    findings: Findings
    seq_no: str
    outdated: bool = False
    """More was read since it was asked: its answer is none to that, and it will be asked anew."""


@dataclass(frozen=True, slots=True)
class Claiming:
    """Ruled to pass; the hub is asked for the slips' uses."""

    opinion: Opinion
    findings: Findings


@dataclass(frozen=True, slots=True)
class Raising:
    """Ruling, use and order are durable; the arm is on its way up."""

    since_s: float


@dataclass(frozen=True, slots=True)
class Passing:
    """The arm is up for one vehicle."""

    since_s: float
    reopening: str = ""
    """Order id of a raising for safety (S2) that has not reached its upper end yet."""


@dataclass(frozen=True, slots=True)
class Lowering:
    """The vehicle has left; the arm is on its way down."""

    since_s: float
    asked: bool = True
    """We asked for it; False: the controller lowers by itself."""


@dataclass(frozen=True, slots=True)
class Holding:
    """Held with a reason and a time limit; the arm is down."""

    ruling: Ruling
    since_s: float


@dataclass(frozen=True, slots=True)
class Shut:
    """Closed until an officer resets it (S12). Whoever crosses is ungated, but never unseen."""

    why: str
    since_s: float


Phase = Waking | Free | Reading | Consulting | Claiming | Raising | Passing | Lowering | Holding | Shut


@dataclass(frozen=True, slots=True)
class Weighed:
    at_s: float
    kg: Decimal


@value(frozen=True, slots=True)
class Passage:
    """One vehicle's attempt: all its evidence, and nothing of anyone else's (S5)."""

    number: int
    opened_s: float
    gated: bool = True
    plates: tuple[Plate, ...] = ()
    tags: tuple[Epc, ...] = ()
    slip_nos: tuple[SlipNo, ...] = ()
    cards: tuple[str, ...] = ()
    containers: tuple[ContainerNo, ...] = ()
    waybill_nos: tuple[WaybillNo, ...] = ()
    codes: tuple[str, ...] = ()
    """Slips' signed codes, as shown."""
    waybills_told: tuple[WaybillNo, ...] = ()
    """Cartons whose check is in a fact already."""
    tag_dbm: tuple[tuple[Epc, int], ...] = ()
    """The strongest reading of each tag, where the reader tells."""
    supplemented: tuple[str, ...] = ()
    """补采: what an officer entered."""
    first_identity_s: float | None = None
    identified_s: float | None = None
    weights: tuple[Weighed, ...] = ()
    gross_kg: Decimal | None = None
    weighed_s: float | None = None
    plateau_kg: Decimal | None = None
    """The last steady weight with all wheels on, and nothing rolled over the edge of the scale since."""
    over_edge_s: float | None = None
    """Since when something breaks the beam at the edge of the scale."""
    jumped: bool = False
    """Another one followed without a wheel leaving the scale."""
    straddles_told: bool = False
    followed: bool = False
    """The arrival loop was taken again while this one stood on the scale: another may stand behind it."""
    pictures: tuple[str, ...] = ()
    """Hashes of the evidence pictures kept so far, but for those the centre asked for."""
    pictures_asked: int = 0
    """How often the centre had pictures taken."""
    asks: int = 0
    """How often the customs platform was asked."""
    platform: str = ""
    """`released`, `refused`, `unanswered`; empty before it was asked."""
    platform_hint: str = ""
    platform_lost: bool = False
    """Its silence has been told."""
    request: int = 0
    """Number of the last look-up; only its answer counts."""
    findings: Findings | None = None
    found_s: float = 0.0
    """When they were looked up: what a ruling stands on has grown older since (S10)."""
    claims: int = 0
    claim_id: str = ""
    claimed: tuple[SlipNo, ...] = ()
    """The slips that claim is about."""
    claim_asked_s: float | None = None
    ruled_s: float | None = None
    opinion: Opinion | None = None
    orders: int = 0
    order_id: str = ""
    raise_seen: bool = False
    purpose: str = ""
    uses: tuple[SlipUse, ...] = ()
    order_before: str = ""
    """The order a resumed passage stands on, from an earlier life, should the new one not become durable."""
    uses_before: tuple[SlipUse, ...] = ()
    raised_s: float | None = None
    crossed_s: float | None = None
    blocked: bool = False
    """The beam under the arm is broken right now."""
    parts: int = 0
    """How often the beam was broken and cleared by what was admitted: a vehicle, its registered trailer."""
    strangers: int = 0
    """How often it was broken by anything else (S3)."""
    strangers_told: int = 0
    trailer: bool = False
    """The vehicle is registered with a drawbar trailer."""
    trailer_plate: Plate | None = None
    others_near: bool = False
    """A plate or tag that is not this vehicle's was read while the arm was up."""
    lightest_kg: Decimal | None = None
    """The least the scale showed since the raising was ordered: how much of it has left the plate."""
    beam_cleared_s: float | None = None
    cleared_s: float | None = None
    """Since when loop and beam under the arm are both free."""
    gone_since_s: float | None = None
    unseen_since_s: float | None = None
    """Since when the arrival loop cannot be read and nothing else shows that somebody is here."""
    on_scale: bool = False
    """It was seen on the scale, moving or standing."""
    officers: tuple[str, ...] = ()
    """Who has released it by hand so far, or led it aside (S8)."""
    officers_for: Way | None = None
    """Which of the two those officers mean: one who leads aside has not released."""
    remote: tuple[str, ...] = ()
    """Which of them were not at the lane: they have not seen the vehicle (S11)."""
    entered: tuple[tuple[str, str, str], ...] = ()
    """(officer, field, value) of what still waits for a second officer's same word (补采)."""
    held: Ruling | None = None
    """The hold already told, so that looking again does not repeat it."""
    resumes: tuple[str, ...] = ()
    """Plates and tags one of which must be read again before reserved uses resume (S6)."""
    readings: tuple[ReadingKept, ...] = ()


@value(frozen=True, slots=True)
class Lane:
    """The whole state of a lane."""

    settings: LaneSettings
    phase: Phase
    passage: Passage | None = None
    inputs: Inputs = UNKNOWN_INPUTS
    inputs_s: float = -1e9
    next_passage: int = 1
    silent: frozenset[str] = frozenset()
    online: bool = False
    scale_kg: Decimal | None = None
    scale_s: float = -1e9
    tag_s: float = -1e9
    """When any tag was last read."""
    in_flight: Commit | None = None
    """The commit of the last step: durable unless the very next event is `WriteFailed`."""
    behind: tuple[Effect, ...] = ()
    """What stood behind that commit in its step: not performed if it failed."""
    cameras_asked: frozenset[str] = frozenset()
    """Those that still owe a picture, or why there is none, to the centre's last request."""
    cameras_asked_s: float = -1e9
    unsaid: tuple[AnswerCommand, ...] = ()
    """What the centre is told to be done, once the fact of it is durable."""
    unwritten: tuple[Told, ...] = ()
    """Facts whose commit failed: written with the next one that succeeds. Never dropped."""
    unkept: tuple[tuple[str, int], ...] = ()
    """Facts there was no more room for while nothing could be written, by kind: told as numbers."""
    unwritten_uses: tuple[SlipUse, ...] = ()
    unwritten_checks: tuple[PendingCheck, ...] = ()
    reopenings: int = 0
    """Raisings for safety while no passage was there: each has an order id of its own."""
    ungated_beam: bool = False
    """While closed: somebody is crossing whom nobody ordered through."""
    scale_fault: str = ""
    """What the indicator complains of; empty after the next weight."""
    overload_s: float = -1e9
    """When the indicator last said that more is on the scale than it can weigh."""
    off_zero_s: float | None = None
    """Since when the empty scale has not shown zero."""
    off_zero_told: bool = False
    scale_told: tuple[tuple[str, float], ...] = ()
    """When each of its complaints was last an alarm."""
    loop_s: float = -1e9
    """When the arrival loop was last taken, or unknown."""
    remote_orders: tuple[tuple[str, int, float], ...] = ()
    """(order, passage it found here, when) of the customs platform's last orders to raise."""
    commands: tuple[tuple[str, Outcome, str], ...] = ()
    """(command id, outcome, why) of the centre's last commands: none is done twice."""
    closing: Command | None = None
    """To stop, by the centre, as soon as the arm is down."""
    revoked: bool = False
    """The centre trusts this device no more: nobody resets it."""


Step = tuple[Lane, tuple[Effect, ...]]

_CURABLE = frozenset(reason for reason, guide in GUIDES.items() if Way.AGAIN in guide.ways)
"""Reasons that records, link, device, platform or the vehicle itself can cure while it waits."""

_BY_TIME = frozenset(
    {
        Reason.SLIP_NOT_FOUND,
        Reason.SLIP_NOT_APPROVED,
        Reason.SLIP_NOT_YET_VALID,
        Reason.FIRST_GATE_MISSING,
        Reason.CLAIM_UNANSWERED,
        Reason.CLAIM_REFUSED,
        Reason.PLATFORM_UNANSWERED,
        Reason.RECORDS_TOO_OLD,
        Reason.DEVICE_SILENT,
        Reason.JOURNAL_FULL,
        Reason.LANE_CLOSED,
    }
)
"""Of these, the ones looked at again now and then; the others when what they lack arrives."""

_BY_SCALE = frozenset({Reason.WEIGHT_UNREAD, Reason.NOT_FULLY_ON, Reason.SCALE_FAULT})

_LACKED = {
    Reason.NO_IDENTITY: "plate",
    Reason.SLIP_NOT_FOUND: "slip",
    Reason.CONTAINER_UNREAD: "container",
    **dict.fromkeys(_BY_SCALE, "weight"),
}
"""What an officer may enter where a passage is held for want of it (补采); what was read stands as read."""

_READ_BY = {
    "plate": frozenset({"plate_camera", "plate_camera_rear", "rfid"}),
    "weight": frozenset({"weighbridge"}),
    "slip": frozenset({"scanner", "card_reader"}),
    "container": frozenset({"container_camera", "container_camera_rear"}),
}
"""Whose silence is made up for by what an officer entered."""

_PLATFORM_DEVICES = frozenset({"platform", "platform_back"})
"""What their silence means is the site's setting, not a device's role."""


MOST_READINGS = 256
"""So many stand in a ruling's fact."""

_NO_FLICKER = 0.2
"""Of `gone_s`: an empty lane for so long is not a signal that flickered, but a vehicle that left."""


# --- starting (S6) ----------------------------------------------------------------------------------------


def wake(
    settings: LaneSettings,
    at_s: float,
    memory: Memory | None,
    open_uses: tuple[SlipUse, ...] = (),
    down_s: float | None = None,
) -> Step:
    """The lane's first step: red, nothing moves, and whatever was unfinished is named.

    `down_s` is how long the program was not running, None when no clock can tell.
    """
    lane = Lane(settings=settings, phase=Waking(at_s), next_passage=memory.next_passage if memory else 1)
    told: list[Told] = [
        _routine(
            LaneStarted(
                version=settings.version, config_digest=settings.config_digest, boot_id=settings.boot_id
            )
        )
    ]
    uses: tuple[SlipUse, ...] = ()
    if memory is not None and memory.passage is not None:
        lane, more, uses = _pick_up(lane, at_s, memory, open_uses, down_s)
        told += more
    if memory is not None and memory.phase == "Shut":
        lane = replace(lane, phase=Shut(memory.shut_why or "restarted while closed", at_s))
    if memory is not None:
        lane = _as_commanded(lane, at_s, memory)
    effects: list[Effect] = [
        SetLights(green=False),
        _commit(told, uses=uses),
        _text(Reason.LANE_CLOSED, "red"),
        WakeAfter(Timer("waking", 0), settings.arm_move_s),
    ]
    return _seal(lane, effects)


def _as_commanded(lane: Lane, at_s: float, memory: Memory) -> Lane:
    """What the centre had ordered stays ordered, except that a device with another key is another device."""
    done = tuple((each, Outcome(outcome), why) for each, outcome, why in memory.commands)
    lane = replace(lane, commands=done, closing=memory.closing)
    if memory.revoked_key and memory.revoked_key == lane.settings.key_id:
        lane = replace(lane, revoked=True, phase=Shut(_REVOKED, at_s))
    return lane


def _pick_up(
    lane: Lane, at_s: float, memory: Memory, open_uses: tuple[SlipUse, ...], down_s: float | None
) -> tuple[Lane, list[Told], tuple[SlipUse, ...]]:
    """An unfinished passage: ended honestly, or resumed if it can be shown to be the same vehicle."""
    number = memory.passage
    assert number is not None  # noqa: S101  the caller matched it
    told: list[Told] = []
    mine = tuple(use for use in open_uses if use.passage == number)
    if memory.order_open:
        told.append(
            _routine(
                OrderInterrupted(
                    passage=number, order_id=memory.order_id, why="restarted before the raising was seen"
                )
            )
        )
    if not memory.order_id:
        # Nothing was ordered: reserved uses and claims go back (S4).
        returned = tuple(SlipUse(u.use_id, u.slip_no, u.passage, u.claim_id, UseState.RETURNED) for u in mine)
        if memory.claim_id or returned:
            told.append(
                _routine(
                    UsesReturned(
                        passage=number,
                        use_ids=tuple(u.use_id for u in returned),
                        claim_id=memory.claim_id,
                        why="restarted before any raise order",
                    )
                )
            )
        told.append(_routine(PassageClosed(passage=number, outcome="interrupted", lane_s=0.0)))
        return lane, told, returned
    waiting = memory.phase in ("Raising", "Passing") and not memory.crossed
    if waiting and mine and down_s is not None and 0 <= down_s <= lane.settings.resume_s:
        passage = Passage(
            number=number,
            opened_s=at_s,
            gated=memory.gated,
            uses=mine,
            claim_id=memory.claim_id,
            order_id=memory.order_id,
            purpose=memory.purpose,
            raise_seen=True,
            resumes=(*memory.plates, *memory.tags),
            orders=int(memory.order_id.rsplit("-", 1)[-1]) if memory.order_id[-1:].isdecimal() else 1,
        )
        return replace(lane, passage=passage), told, ()
    outcome = "crossed" if memory.crossed else "interrupted"
    told.append(_routine(PassageClosed(passage=number, outcome=outcome, lane_s=0.0)))
    return lane, told, ()


# --- the step ---------------------------------------------------------------------------------------------


def step(lane: Lane, at_s: float, event: Event) -> Step:
    """One event. Never raises, whatever the order of events; effects come in the order to perform them.

    A failed commit must come back as `WriteFailed` before any other event: its step is not over.
    """
    if lane.in_flight is not None and not isinstance(event, WriteFailed):
        lane = replace(lane, in_flight=None, behind=(), unkept=())
    lane, effects = _take(lane, at_s, event)
    if lane.closing is not None and _arm_is_done(lane):
        lane, more = _close_as_told(lane, at_s, lane.closing)
        effects = [*effects, *more]
    return _seal(lane, effects)


def _seal(lane: Lane, effects: list[Effect]) -> Step:
    """All commits of one step are one transaction, at the place of the first, with what is yet unwritten."""
    commits = [effect for effect in effects if isinstance(effect, Commit)]
    if not commits:
        return lane, tuple(effects)
    discharged = tuple(plate for commit in commits for plate in commit.discharged)
    checks = (*lane.unwritten_checks, *(check for commit in commits for check in commit.spot_checks))
    whole = Commit(
        facts=(*_told_lost(lane), *lane.unwritten, *(told for commit in commits for told in commit.facts)),
        memory=_memory(lane),
        uses=_latest((*lane.unwritten_uses, *(use for commit in commits for use in commit.uses))),
        # The journal ends checks before it sets new ones: one that ends here may not come back by being late.
        spot_checks=tuple(check for check in checks if check.plate not in discharged),
        discharged=discharged,
    )
    place = effects.index(commits[0])
    kept = [effect for effect in effects if not isinstance(effect, Commit)]
    before = sum(1 for effect in effects[:place] if not isinstance(effect, Commit))
    behind = (*kept[before:], *lane.unsaid)
    lane = replace(
        lane,
        in_flight=whole,
        behind=behind,
        unsaid=(),
        unwritten=(),
        unwritten_uses=(),
        unwritten_checks=(),
    )
    return lane, (*kept[:before], whole, *behind)


def _take(lane: Lane, at_s: float, event: Event) -> tuple[Lane, list[Effect]]:
    match event:
        case InputsRead(inputs):
            return _inputs(lane, at_s, inputs)
        case WeightRead(kg, steady):
            return _weight(lane, at_s, kg, steady)
        case (
            PlateRead()
            | TagRead()
            | CodeRead()
            | SlipShown()
            | CardRead()
            | ContainerRead()
            | ParcelCodeRead()
        ):
            return _evidence(lane, at_s, event)
        case ScaleFault(code, detail):
            return _scale_faulty(lane, at_s, code, detail)
        case ReleaseCodeShown(text):
            return _code_shown(lane, text)
        case OfficerReleased():
            return _officer_released(lane, at_s, event)
        case ReleaseRefused(number, why):
            return _release_refused(lane, number, why)
        case SupplementGiven():
            return _supplemented(lane, at_s, event)
        case CommandGiven(command):
            return _command_given(lane, at_s, command)
        case CommandChecked(command, needed, against):
            return _command_checked(lane, at_s, command, needed, against)
        case Wiped(command, why):
            outcome = Outcome.REFUSED if why else Outcome.DONE
            return _answered(lane, command, outcome, why or "records and keys are deleted")
        case ReadFailed():
            return lane, []
        case PictureKept():
            return _picture_kept(lane, event)
        case PictureFailed(number, moment, camera, why):
            missed = PictureMissed(passage=number, moment=moment, camera=camera, why=why)
            return _camera_answered(lane, moment, camera), [_commit([_routine(missed)])]
        case PlatformRuled():
            return _platform_ruled(lane, at_s, event)
        case PlatformOrdered():
            return _platform_ordered(lane, at_s, event)
        case DeviceWentSilent(device, why):
            return _silent(lane, at_s, device, why)
        case DeviceSpoke(device):
            return _spoke(lane, at_s, device)
        case RecordsFound(passage, request, findings):
            return _found(lane, at_s, passage, request, findings)
        case RecordsChanged():
            return _records_changed(lane, at_s)
        case ClaimAnswered(claim_id, granted, why):
            return _claim_answered(lane, at_s, claim_id, granted, why)
        case LinkChanged(online):
            lane = replace(lane, online=online)
            return _look_again(lane, at_s) if online else (lane, [])
        case OrderCarriedOut():
            return lane, []
        case OrderFailed(order_id, why):
            return _order_failed(lane, at_s, order_id, why)
        case WriteFailed(why):
            return _write_failed(lane, at_s, why)
        case TimePassed(timer):
            return _time(lane, at_s, timer)
        case OfficerReset(by):
            return _reset(lane, at_s, by)
        case SyncSaid(stream, data):
            return lane, [_commit([Told(stream, data)])]
        case _:
            assert_never(event)


# --- inputs -----------------------------------------------------------------------------------------------


def _inputs(lane: Lane, at_s: float, inputs: Inputs) -> tuple[Lane, list[Effect]]:
    before = lane.inputs
    lane = replace(lane, inputs=inputs, inputs_s=at_s)
    if inputs.arrival is not False:
        lane = replace(lane, loop_s=at_s)
    if inputs.fire is True and not isinstance(lane.phase, Shut):
        return _shut(lane, at_s, "fire", AlarmCode.SAFETY_INPUT, "fire signal")
    key_turned = inputs.reset_key is True and before.reset_key is not True
    if key_turned and isinstance(lane.phase, Shut):
        return _reset(lane, at_s, "key switch")
    lane = _watch_edge(_watch_behind(lane, before), at_s)
    was_blocked = lane.passage is not None and (lane.passage.blocked or lane.passage.parts > 0)
    lane = _count_parts(lane, at_s, inputs)
    if lane.passage is not None and lane.passage.blocked and not was_blocked:
        after, asked = _by_phase(lane, at_s)
        return after, [*asked, *_picture(lane, "passing")]
    return _by_phase(lane, at_s)


def _watch_behind(lane: Lane, before: Inputs) -> Lane:
    """S5: whoever is read from now on may be the one that has driven up behind."""
    if lane.passage is None or before.arrival is not False or lane.inputs.arrival is not True:
        return lane
    return replace(lane, passage=replace(lane.passage, followed=True))


def _watch_edge(lane: Lane, at_s: float) -> Lane:
    """The beam at the edge of the scale looks between a truck and its drawbar trailer: what weighs otherwise
    after the trailer has rolled through it was not standing still. A hand before the beam is no trailer."""
    passage = lane.passage
    if passage is None:
        return lane
    over_s = passage.over_edge_s
    if lane.inputs.fully_on is not False:
        return lane if over_s is None else replace(lane, passage=replace(passage, over_edge_s=None))
    since_s = at_s if over_s is None else over_s
    plateau_kg = passage.plateau_kg if at_s - since_s < lane.settings.steady_window_s else None
    return replace(lane, passage=replace(passage, over_edge_s=since_s, plateau_kg=plateau_kg))


def _by_phase(lane: Lane, at_s: float) -> tuple[Lane, list[Effect]]:
    """What new inputs mean in each phase."""
    inputs = lane.inputs
    effects: list[Effect] = []
    match lane.phase:
        case Waking():
            woken, effects = _woken(lane, at_s)
            # Until the arm is down, whoever crosses is seen (S12).
            return (woken, effects) if effects else _watch_shut(woken, at_s)
        case Free():
            if inputs.limit_down is False:
                return _uncommanded(lane, at_s)
            return _open_if_present(lane, at_s)
        case Reading() | Consulting() | Claiming() | Holding():
            if inputs.limit_down is False:
                return _uncommanded(lane, at_s)
            return _watch_gone(lane, at_s)
        case Raising():
            if inputs.limit_up is True:
                return _raised(lane, at_s)
            return lane, effects
        case Passing():
            return _watch_passing(lane, at_s)
        case Lowering():
            return _watch_lowering(lane, at_s)
        case Shut():
            return _watch_shut(lane, at_s)
        case _:
            assert_never(lane.phase)


def _count_parts(lane: Lane, at_s: float, inputs: Inputs) -> Lane:
    """Broken and cleared again is one part of a vehicle. An unknown beam ends no part (S2, S3)."""
    passage = lane.passage
    if passage is None or not isinstance(lane.phase, Raising | Passing | Lowering):
        return lane
    if inputs.photocell is True and not passage.blocked:
        ours = passage.parts == 0 and passage.strangers == 0
        if not ours and not _is_trailer(lane.settings, at_s, passage):
            passage = replace(passage, strangers=passage.strangers + 1)
        # What the scale showed while it was still driving up to the beam says nothing of its leaving.
        passage = replace(passage, blocked=True, lightest_kg=None if ours else passage.lightest_kg)
    elif inputs.photocell is False and passage.blocked:
        passage = replace(passage, blocked=False, parts=passage.parts + 1, beam_cleared_s=at_s)
    if inputs.under_arm():
        passage = replace(passage, cleared_s=None)
    elif passage.cleared_s is None:
        passage = replace(passage, cleared_s=at_s)
    return replace(lane, passage=passage)


def _is_trailer(settings: LaneSettings, at_s: float, passage: Passage) -> bool:
    """Doubt is an alarm (S3): only a registered trailer, close behind, with no other plate or tag about."""
    return (
        passage.trailer
        and passage.parts == 1
        and passage.strangers == 0
        and not passage.others_near
        and passage.beam_cleared_s is not None
        and at_s - passage.beam_cleared_s <= settings.trailer_gap_s
    )


def _number(lane: Lane) -> int:
    return lane.passage.number if lane.passage is not None else 0


def _lower_id(lane: Lane) -> str:
    return f"{lane.settings.lane_id}-{lane.settings.run}-{_number(lane)}-lower"


def _woken(lane: Lane, at_s: float) -> tuple[Lane, list[Effect]]:
    if not lane.inputs.proven_down() or lane.inputs.stop is True:
        return lane, []
    if lane.passage is not None:
        # S6: the arm is down and the uses are still reserved; whoever stands here must prove to be the same.
        if not _present(lane, at_s):
            lane, effects = _close_passage(lane, at_s, "interrupted", uses=())
            return lane, [*effects, *_free_effects(lane)]
        lane = replace(lane, phase=Reading())
        commit = _commit([])
        return lane, [
            SetLights(green=False),
            commit,
            WakeAfter(Timer("reading", _number(lane)), lane.settings.reading_s),
        ]
    lane = replace(lane, phase=Free())
    commit = _commit([])
    opened, effects = _open_if_present(lane, at_s)
    return opened, [commit, *_free_effects(lane), *effects]


def _free_effects(lane: Lane) -> list[Effect]:
    return [SetLights(green=False), Show("请驶入停车线 请停车", "Drive to the stop line", "amber")]


def _present(lane: Lane, at_s: float) -> bool:
    return lane.inputs.arrival is True or _scale_loaded(lane, at_s)


def _scale_loaded(lane: Lane, at_s: float) -> bool:
    if _is_fresh(lane, at_s, lane.overload_s):
        return True
    return (
        _scale_known(lane, at_s) and lane.scale_kg is not None and lane.scale_kg > lane.settings.presence_kg
    )


def _scale_known(lane: Lane, at_s: float) -> bool:
    return _is_fresh(lane, at_s, lane.scale_s)


def _is_fresh(lane: Lane, at_s: float, said_s: float) -> bool:
    return at_s - said_s <= max(2.0 * lane.settings.steady_window_s, lane.settings.gone_s)


def _open_if_present(lane: Lane, at_s: float) -> tuple[Lane, list[Effect]]:
    if not _present(lane, at_s):
        return lane, []
    number = lane.next_passage
    lane = replace(
        lane,
        phase=Reading(),
        passage=Passage(number=number, opened_s=at_s),
        next_passage=number + 1,
    )
    commit = _commit([_routine(PassageOpened(passage=number))])
    return lane, [
        commit,
        Show("请停稳 正在核验", "Stop here, checking", "amber"),
        WakeAfter(Timer("reading", number), lane.settings.reading_s),
        *_picture(lane, "arrival"),
    ]


def _watch_gone(lane: Lane, at_s: float) -> tuple[Lane, list[Effect]]:
    """Before any raise order: nobody on loop, scale or under the arm for a while means it backed out."""
    passage = lane.passage
    if passage is None:
        return lane, []
    inputs = lane.inputs
    known_free = inputs.arrival is False and not inputs.under_arm()
    # With a silent scale a tag that is still being read shows that somebody stands there.
    tag_seen = not _scale_known(lane, at_s) and at_s - lane.tag_s < lane.settings.gone_blind_s
    if inputs.arrival is None and not (
        _scale_loaded(lane, at_s) or tag_seen or _cannot_have_left(lane, at_s)
    ):
        if passage.unseen_since_s is None:
            passage = replace(passage, unseen_since_s=at_s)
        return replace(lane, passage=passage), []
    if passage.unseen_since_s is not None:
        lane = replace(lane, passage=replace(passage, unseen_since_s=None))
        if _present(lane, at_s) and _may_be_another(lane, at_s, passage):
            # S5: while the loop could not be read, one may have gone and another come.
            return _backed_out(lane, at_s)
        assert lane.passage is not None  # noqa: S101  just put there
        passage = lane.passage
    if not known_free or _scale_loaded(lane, at_s) or tag_seen or _cannot_have_left(lane, at_s):
        if passage.gone_since_s is None:
            return lane, []
        if _scale_known(lane, at_s) and _left(lane, at_s, passage):
            # S5: nobody was here and now somebody is. Whoever it is does not inherit what was read before.
            return _backed_out(lane, at_s)
        return replace(lane, passage=replace(passage, gone_since_s=None)), []
    if passage.gone_since_s is None:
        return replace(lane, passage=replace(passage, gone_since_s=at_s)), []
    wait_s = lane.settings.gone_s if _scale_known(lane, at_s) else lane.settings.gone_blind_s
    if at_s - passage.gone_since_s < wait_s:
        return lane, []
    return _backed_out(lane, at_s)


_UNSEEN_S = 10.0
"""A vehicle takes longer to leave and another to drive up."""


def _may_be_another(lane: Lane, at_s: float, passage: Passage) -> bool:
    """Nobody was seen for so long that whoever is seen now need not be the same. Off the scale it had stood
    on, a vehicle is on its way."""
    if passage.unseen_since_s is None:
        return False
    left_scale = passage.on_scale and _scale_known(lane, at_s)
    return at_s - passage.unseen_since_s >= (lane.settings.gone_s if left_scale else _UNSEEN_S)


def _cannot_have_left(lane: Lane, at_s: float) -> bool:
    """Somebody stood on the scale, off the arrival loop, when the scale fell silent. The way back is over
    that loop, and nobody has been on it since."""
    stood = lane.scale_kg is not None and lane.scale_kg > lane.settings.presence_kg
    return stood and not _scale_known(lane, at_s) and lane.loop_s < lane.scale_s


def _left(lane: Lane, at_s: float, passage: Passage) -> bool:
    """Nobody is seen here, and that for longer than a signal flickers."""
    gone_s = passage.gone_since_s
    return gone_s is not None and at_s - gone_s >= lane.settings.gone_s * _NO_FLICKER


def _backed_out(lane: Lane, at_s: float) -> tuple[Lane, list[Effect]]:
    passage = lane.passage
    assert passage is not None  # noqa: S101  callers matched a phase that has one
    effects: list[Effect] = []
    told: list[Told] = []
    returned: tuple[SlipUse, ...] = ()
    if passage.claim_id and not passage.order_id:
        # S4: returned only before any raise order of that passage.
        effects.append(WithdrawClaim(passage.claim_id))
        returned = tuple(replace_state(use, UseState.RETURNED) for use in passage.uses)
        told.append(
            _routine(
                UsesReturned(
                    passage=passage.number,
                    use_ids=tuple(use.use_id for use in returned),
                    claim_id=passage.claim_id,
                    why="backed out",
                )
            )
        )
    outcome = "backed_out" if passage.plates or passage.tags or passage.gross_kg else "false_start"
    lane, closing = _close_passage(lane, at_s, outcome, uses=returned, told=told)
    return lane, [*closing, *effects, *_free_effects(lane)]


def replace_state(use: SlipUse, state: UseState) -> SlipUse:
    return SlipUse(use.use_id, use.slip_no, use.passage, use.claim_id, state)


def _close_passage(
    lane: Lane, at_s: float, outcome: str, *, uses: tuple[SlipUse, ...], told: list[Told] | None = None
) -> tuple[Lane, list[Effect]]:
    passage = lane.passage
    assert passage is not None  # noqa: S101  callers matched a phase that has one
    closed = PassageClosed(
        passage=passage.number,
        outcome=outcome,
        lane_s=round(at_s - passage.opened_s, 3),
        stage_s=_stages(passage, at_s),
    )
    lane = replace(lane, phase=Free(), passage=None)
    commit = _commit([*(told or []), _routine(closed)], uses=uses)
    return lane, [commit]


def _stages(passage: Passage, at_s: float) -> dict[str, float]:
    stages: dict[str, float] = {}
    last = passage.opened_s
    for name, when in (
        ("identify", passage.identified_s),
        ("weigh", passage.weighed_s),
        ("rule", passage.ruled_s),
        ("raise", passage.raised_s),
        ("cross", passage.crossed_s),
        ("close", at_s),
    ):
        if when is not None:
            stages[name] = round(max(0.0, when - last), 3)
            last = max(last, when)
    return stages


# --- evidence ---------------------------------------------------------------------------------------------


_Evidence = PlateRead | TagRead | CodeRead | SlipShown | CardRead | ContainerRead | ParcelCodeRead


def _evidence(lane: Lane, at_s: float, event: _Evidence) -> tuple[Lane, list[Effect]]:
    """S5: evidence belongs to the passage that is reading; at any other time it changes nothing."""
    if isinstance(event, TagRead):
        lane = replace(lane, tag_s=at_s)
    passage = lane.passage
    if passage is not None and isinstance(lane.phase, Raising | Passing | Lowering):
        return _evidence_behind(lane, passage, event), []
    if passage is not None and isinstance(lane.phase, Consulting):
        return _shown_meanwhile(lane, lane.phase, passage, at_s, event)
    if passage is None or not isinstance(lane.phase, Reading | Holding):
        return lane, []
    if isinstance(event, TagRead):
        passage = _stronger(passage, event)
        lane = replace(lane, passage=passage)
    after = _with_evidence(passage, at_s, event)
    if after is None:
        return lane, []
    if isinstance(lane.phase, Holding):
        if not _cures(event, lane.phase.ruling, passage):
            return lane, []
        lane = replace(lane, phase=Reading())
    passage = _asked_anew(after)
    if passage.first_identity_s is None and _identifies(event):
        passage = replace(passage, first_identity_s=at_s)
    lane = replace(lane, passage=passage)
    effects: list[Effect] = [
        _look_up(passage),
        WakeAfter(Timer("second_identity", passage.number), lane.settings.second_identity_s),
        WakeAfter(Timer("reading", passage.number), lane.settings.reading_s),
    ]
    return lane, effects


def _shown_meanwhile(
    lane: Lane, phase: Consulting, passage: Passage, at_s: float, event: _Evidence
) -> tuple[Lane, list[Effect]]:
    """The customs platform may take minutes: what a driver shows then, or a container camera reads late, is
    looked up, and asked about anew. Who stands here is settled; plates and tags change nothing (S5)."""
    if isinstance(event, PlateRead | TagRead) or (isinstance(event, ContainerRead) and passage.followed):
        return lane, []
    after = _with_evidence(passage, at_s, event)
    if after is None:
        return lane, []
    passage = replace(after, request=after.request + 1)
    return replace(lane, phase=replace(phase, outdated=True), passage=passage), [_look_up(passage)]


def _asked_anew(passage: Passage) -> Passage:
    """What is known, and what the customs platform said, is of the evidence before: it no longer counts."""
    return replace(passage, request=passage.request + 1, findings=None, platform="")


def _identifies(event: _Evidence) -> bool:
    return isinstance(event, TagRead) or (isinstance(event, PlateRead) and not is_trailer_plate(event.plate))


def _look_up(passage: Passage) -> LookUp:
    return LookUp(
        passage.number,
        passage.request,
        passage.plates,
        passage.tags,
        passage.slip_nos,
        passage.cards,
        passage.waybill_nos,
        passage.codes,
    )


def _cures(event: _Evidence, ruling: Ruling, passage: Passage) -> bool:
    """Whether this could end or change the hold. A plate or tag only where none was read, and neither these
    nor a container where somebody else can have driven up: others are not this one's (S5). A carton also
    while the load is inspected."""
    if isinstance(event, ParcelCodeRead) and ruling.verdict is Verdict.INSPECT:
        return True
    if not _curable(ruling):
        return False
    match event:
        case PlateRead() | TagRead():
            unread = any(because.code is Reason.NO_IDENTITY for because in ruling.reasons)
            return (unread or not (passage.plates or passage.tags)) and not passage.followed
        case ContainerRead():
            unread = any(because.code is Reason.CONTAINER_UNREAD for because in ruling.reasons)
            return unread and not passage.followed
        case CodeRead() | SlipShown() | CardRead() | ParcelCodeRead():
            return True
        case _:
            assert_never(event)


def _with_evidence(passage: Passage, at_s: float, event: _Evidence) -> Passage | None:
    """None where it says nothing new, or too many have been read."""
    after_s = round(at_s - passage.opened_s, 3)
    match event:
        case PlateRead(plate, confidence):
            if plate in passage.plates or len(passage.plates) >= 8:
                return None
            kept = ReadingKept("plate", plate, after_s, "" if confidence is None else f"{confidence:g}")
            passage = replace(passage, plates=(*passage.plates, plate))
        case TagRead(epc, rssi_dbm):
            if epc in passage.tags or len(passage.tags) >= 64:
                return None
            kept = ReadingKept("tag", epc, after_s, "" if rssi_dbm is None else f"{rssi_dbm} dBm")
            passage = replace(passage, tags=(*passage.tags, epc))
        case CodeRead(slip_no):
            if slip_no in passage.slip_nos or len(passage.slip_nos) >= 64:
                return None
            kept = ReadingKept("code", slip_no, after_s)
            passage = replace(passage, slip_nos=(*passage.slip_nos, slip_no))
        case SlipShown(slip_no, text, kid, sha256):
            if text in passage.codes or len(passage.codes) >= 8:
                return None
            kept = ReadingKept(SIGNED_CODE, slip_no, after_s, f"{kid} {sha256}")
            passage = replace(passage, codes=(*passage.codes, text))
            if slip_no not in passage.slip_nos:
                passage = replace(passage, slip_nos=(*passage.slip_nos, slip_no))
        case CardRead(number):
            if number in passage.cards or len(passage.cards) >= 8:
                return None
            kept = ReadingKept("card", number, after_s)
            passage = replace(passage, cards=(*passage.cards, number))
        case ContainerRead(container, place, _):
            if container in passage.containers or len(passage.containers) >= 8:
                return None
            kept = ReadingKept("container", container, after_s, place)
            passage = replace(passage, containers=(*passage.containers, container))
        case ParcelCodeRead(waybill_no):
            if waybill_no in passage.waybill_nos or len(passage.waybill_nos) >= 64:
                return None
            kept = ReadingKept("parcel", waybill_no, after_s)
            passage = replace(passage, waybill_nos=(*passage.waybill_nos, waybill_no))
        case _:
            assert_never(event)
    return replace(passage, readings=(*passage.readings, kept))


def _stronger(passage: Passage, event: TagRead) -> Passage:
    """Remembers the strongest reading of each tag."""
    if event.rssi_dbm is None:
        return passage
    known = dict(passage.tag_dbm)
    if len(known) >= 64 or known.get(event.epc, -1000) >= event.rssi_dbm:
        return passage
    return replace(passage, tag_dbm=tuple({**known, event.epc: event.rssi_dbm}.items()))


def _near_tags(lane: Lane, passage: Passage) -> tuple[Epc, ...]:
    """Tags of whoever stands here: one much weaker than the strongest, or than any is from here, belongs to
    the next lane."""
    known = dict(passage.tag_dbm)
    if not known:
        return passage.tags
    least_dbm = max(known.values()) - lane.settings.neighbour_db
    if lane.settings.least_dbm is not None:
        least_dbm = max(least_dbm, lane.settings.least_dbm)
    return tuple(epc for epc in passage.tags if known.get(epc, least_dbm) >= least_dbm)


def _evidence_behind(lane: Lane, passage: Passage, event: _Evidence) -> Lane:
    """Somebody else's plate or tag while the arm is up: no evidence, but a reason for doubt (S3)."""
    match event:
        case PlateRead(plate):
            other = plate not in passage.plates and plate != passage.trailer_plate
        case TagRead(epc):
            other = epc not in passage.tags
        case CodeRead() | SlipShown() | CardRead() | ContainerRead() | ParcelCodeRead():
            other = False
        case _:
            assert_never(event)
    return replace(lane, passage=replace(passage, others_near=passage.others_near or other))


def _weight(lane: Lane, at_s: float, kg: Decimal, steady: bool | None) -> tuple[Lane, list[Effect]]:
    lane = replace(lane, scale_kg=kg, scale_s=at_s, scale_fault="", overload_s=-1e9)
    if lane.passage is not None and lane.passage.followed and not _scale_loaded(lane, at_s):
        # Whoever stands on the loop alone is the one that was on the scale, backed off it.
        lane = replace(lane, passage=replace(lane.passage, followed=False))
    match lane.phase:
        case Free():
            lane, told = _watch_zero(lane, at_s, kg)
            opened, effects = _open_if_present(lane, at_s)
            return opened, [*told, *effects]
        case Reading() | Consulting() | Claiming() | Holding():
            lane = replace(lane, off_zero_s=None)
        case _:
            return _lighter(lane, kg), []
    passage = lane.passage
    if passage is None:
        return _watch_gone(lane, at_s)
    since_s = at_s - lane.settings.steady_window_s
    weights = (*(w for w in passage.weights if w.at_s >= since_s), Weighed(at_s, kg))[-64:]
    on_scale = passage.on_scale or kg > lane.settings.presence_kg
    lane = replace(lane, passage=replace(passage, weights=weights, on_scale=on_scale))
    if steady is False:
        return _watch_gone(lane, at_s)
    steady_kg = _steady_kg(lane.settings, at_s, weights)
    if steady_kg is None:
        return _watch_gone(lane, at_s)
    if not _on_plate(lane):
        lane, told = _straddles(lane)
        lane, effects = _watch_gone(lane, at_s)
        return lane, [*told, *effects]
    return _weighed(lane, at_s, steady_kg)


def _straddles(lane: Lane) -> tuple[Lane, list[Effect]]:
    """A wheel is off the scale: the driver is told once; what is weighed so counts for nothing."""
    passage = lane.passage
    assert passage is not None  # noqa: S101  the caller matched it
    passage = replace(passage, plateau_kg=None)
    if passage.straddles_told or passage.gross_kg is not None or lane.inputs.fully_on is not False:
        return replace(lane, passage=passage), []
    lane = replace(lane, passage=replace(passage, straddles_told=True))
    return lane, [_text(Reason.NOT_FULLY_ON, "amber")]


def _weighed(lane: Lane, at_s: float, steady_kg: Decimal) -> tuple[Lane, list[Effect]]:
    """A steady weight with all wheels on: the first one counts, and a second one far from it is tampering."""
    passage = lane.passage
    assert passage is not None  # noqa: S101  the caller matched it
    before_kg, jump_kg = passage.plateau_kg, lane.settings.jump_kg
    jumped = before_kg is not None and jump_kg is not None and abs(steady_kg - before_kg) >= jump_kg
    passage = replace(passage, plateau_kg=steady_kg)
    told: list[Effect] = []
    if jumped and not passage.jumped:
        passage = replace(passage, jumped=True)
        alarm = _alarm(
            AlarmCode.WEIGHT_JUMP,
            passage.number,
            f"{before_kg} -> {steady_kg} kg with all wheels on",
            "车辆静止时重量突变",
            "The weight jumped while the vehicle stood still",
        )
        told.append(_commit([alarm]))
    lane = replace(lane, passage=passage)
    held = lane.phase.ruling if isinstance(lane.phase, Holding) else None
    wanted = held is None or any(because.code in _BY_SCALE for because in held.reasons)
    if passage.gross_kg is not None or isinstance(lane.phase, Consulting | Claiming) or not wanted:
        if jumped and isinstance(lane.phase, Reading):
            lane, effects = _rule_if_ready(lane, at_s)
            return lane, [*told, *effects]
        lane, effects = _watch_gone(lane, at_s)
        return lane, [*told, *effects]
    frames = len(passage.weights)
    kept = ReadingKept("weight", str(steady_kg), round(at_s - passage.opened_s, 3), f"{frames} frames")
    passage = replace(passage, gross_kg=steady_kg, weighed_s=at_s, readings=(*passage.readings, kept))
    lane = replace(lane, passage=passage)
    lane, effects = _rule_if_ready(lane, at_s) if held is None else _look_anew(lane, passage)
    return lane, [*told, *effects, *_picture(lane, "weighing")]


def _watch_zero(lane: Lane, at_s: float, kg: Decimal) -> tuple[Lane, list[Effect]]:
    """Nobody is here, and the scale says otherwise: whoever is weighed next is weighed wrong."""
    settings = lane.settings
    if kg > settings.presence_kg:
        return replace(lane, off_zero_s=None), []
    if abs(kg) <= settings.zero_kg:
        return replace(lane, off_zero_s=None, off_zero_told=False), []
    if lane.off_zero_s is None:
        return replace(lane, off_zero_s=at_s), []
    if lane.off_zero_told or at_s - lane.off_zero_s < settings.zero_s:
        return lane, []
    alarm = _alarm(
        AlarmCode.NO_RETURN_TO_ZERO,
        None,
        f"{kg} kg on an empty scale",
        "空秤未回零",
        "Empty scale not at zero",
    )
    return replace(lane, off_zero_told=True), [_commit([alarm])]


def _scale_faulty(lane: Lane, at_s: float, code: str, detail: str) -> tuple[Lane, list[Effect]]:
    """The indicator's own word for not being able to weigh: told once, until it weighs again. Somebody too
    heavy for it is there all the same."""
    if code == "overload":
        lane = replace(lane, overload_s=at_s)
    if lane.scale_fault == code:
        return lane, []
    lane = replace(lane, scale_fault=code)
    told = dict(lane.scale_told)
    if at_s - told.get(code, -1e9) < lane.settings.again_s:
        # At the edge of what it can weigh an indicator changes its mind with every frame.
        return lane, []
    lane = replace(lane, scale_told=tuple({**told, code: at_s}.items())[-8:])
    passage = lane.passage
    alarm = _alarm(
        AlarmCode.SCALE_FAULT,
        None if passage is None else passage.number,
        f"{code} {detail}".strip(),
        "地磅报警",
        "The scale reports a fault",
    )
    return lane, [_commit([alarm])]


def _lighter(lane: Lane, kg: Decimal) -> Lane:
    passage = lane.passage
    if passage is None or (passage.lightest_kg is not None and passage.lightest_kg <= kg):
        return lane
    return replace(lane, passage=replace(passage, lightest_kg=kg))


def _on_plate(lane: Lane) -> bool:
    """A wheel off the plate weighs less: only a vehicle wholly on it is weighed."""
    return lane.inputs.fully_on is True


def _steady_kg(settings: LaneSettings, at_s: float, weights: tuple[Weighed, ...]) -> Decimal | None:
    """The value most frames agree on, if they stay in range for the whole window: we judge it."""
    if len(weights) < settings.steady_frames or at_s - weights[0].at_s < 0.6 * settings.steady_window_s:
        return None
    values = [w.kg for w in weights]
    if max(values) - min(values) > settings.steady_range_kg or min(values) <= settings.presence_kg:
        return None
    value, equal = Counter(values).most_common(1)[0]
    return value if equal >= settings.steady_equal else None


def _found(
    lane: Lane, at_s: float, number: int, request: int, findings: Findings
) -> tuple[Lane, list[Effect]]:
    passage = lane.passage
    if passage is None or passage.number != number or passage.request != request:
        return lane, []
    if isinstance(lane.phase, Consulting):
        passage = replace(passage, findings=findings, found_s=at_s)
        if lane.phase.outdated:
            return _rule(replace(lane, phase=Reading()), at_s, passage, findings)
        # Its answer is ruled on by the records as they are by now.
        return replace(lane, phase=replace(lane.phase, findings=findings), passage=passage), []
    if not isinstance(lane.phase, Reading):
        return lane, []
    return _rule_if_ready(replace(lane, passage=replace(passage, findings=findings, found_s=at_s)), at_s)


def _parcels_checked(passage: Passage, opinion: Opinion, findings: Findings) -> tuple[Passage, list[Told]]:
    """卡口抽核: each carton that was scanned is a fact once, with what the ruling makes of it."""
    if opinion.vehicle is None:
        return passage, []
    new = [number for number in passage.waybill_nos if number not in passage.waybills_told]
    told: list[Told] = []
    on_board = {slip.slip_no for slip in opinion.meant}
    for number in new:
        waybill = findings.waybills.get(number)
        slip_no = "" if waybill is None or waybill.slip_no is None else str(waybill.slip_no)
        result = "unknown" if waybill is None else "on_slip" if waybill.slip_no in on_board else "not_on_slip"
        told.append(
            _routine(ParcelChecked(passage=passage.number, waybill_no=number, slip=slip_no, result=result))
        )
        if result == "not_on_slip":
            told.append(
                _alarm(
                    AlarmCode.PARCEL_MISMATCH,
                    passage.number,
                    f"{number} is on {slip_no or 'no slip'}",
                    "包裹不在核放单内",
                    "A parcel that is not on the slip",
                )
            )
    return replace(passage, waybills_told=passage.waybill_nos), told


def _records_changed(lane: Lane, at_s: float) -> tuple[Lane, list[Effect]]:
    """A control that comes into force while the customs platform is asked counts at the ruling."""
    if isinstance(lane.phase, Consulting) and lane.passage is not None:
        passage = replace(lane.passage, request=lane.passage.request + 1)
        return replace(lane, passage=passage), [_look_up(passage)]
    return _look_again(lane, at_s)


def _look_again(lane: Lane, at_s: float) -> tuple[Lane, list[Effect]]:
    """A hold that records or the link can cure is looked at again while the vehicle waits: no dead ends."""
    passage = lane.passage
    if passage is None or not isinstance(lane.phase, Holding) or not _curable(lane.phase.ruling):
        return lane, []
    if not (passage.plates or passage.tags) or _left(lane, at_s, passage):
        return lane, []
    if passage.unseen_since_s is not None:
        return lane, []
    return _look_anew(lane, passage)


def _look_anew(lane: Lane, passage: Passage) -> tuple[Lane, list[Effect]]:
    passage = _asked_anew(passage)
    lane = replace(lane, phase=Reading(), passage=passage)
    return lane, [
        _look_up(passage),
        WakeAfter(Timer("reading", passage.number), lane.settings.reading_s),
    ]


def _curable(ruling: Ruling) -> bool:
    """Something of it can be cured; what is left of it then is told in its place."""
    return ruling.verdict is Verdict.HOLD and any(because.code in _CURABLE for because in ruling.reasons)


def _curable_by_time(ruling: Ruling) -> bool:
    codes = {because.code for because in ruling.reasons}
    return codes <= _CURABLE | INSPECTS and bool(codes & _BY_TIME)


# --- ruling -----------------------------------------------------------------------------------------------


def _missing_devices(lane: Lane) -> tuple[str, ...]:
    """Required devices that are silent, and substitutable ones whose substitutes are silent too (S9)."""
    missing: list[str] = []
    entered = lane.passage.supplemented if lane.passage is not None else ()
    made_up_for = _PLATFORM_DEVICES.union(*(_READ_BY[what] for what in entered))
    for name, needs in sorted(lane.settings.devices.items()):
        if name not in lane.silent or name in made_up_for or not (needs.required or needs.substitutes):
            continue
        if needs.substitutes and any(other not in lane.silent for other in needs.substitutes):
            continue
        missing.append(name)
    return tuple(missing)


def _rule_if_ready(lane: Lane, at_s: float, *, time_is_up: bool = False) -> tuple[Lane, list[Effect]]:
    passage = lane.passage
    if passage is None or not isinstance(lane.phase, Reading):
        return lane, []
    identified = passage.findings is not None and _identity_complete(lane, passage, at_s)
    if identified and passage.identified_s is None:
        passage = replace(passage, identified_s=at_s)
        lane = replace(lane, passage=passage)
    missing = _missing_devices(lane)
    if not time_is_up:
        if passage.findings is None or not identified:
            return lane, []
        if passage.gross_kg is None and "weighbridge" not in missing and not _hopeless(lane, passage):
            return lane, []
    if passage.resumes and not set(passage.resumes) & {*passage.plates, *_near_tags(lane, passage)}:
        return _hold(lane, at_s, hold(Because(Reason.INTERRUPTED)))
    if passage.findings is None:
        reasons = [Because(Reason.DEVICE_SILENT, name) for name in missing] or [Because(Reason.NO_IDENTITY)]
        return _hold(lane, at_s, hold(*reasons))
    return _rule(lane, at_s, passage, passage.findings)


def _rule(lane: Lane, at_s: float, passage: Passage, findings: Findings) -> tuple[Lane, list[Effect]]:
    """By the evidence and the age of the records as they are now, also after the platform was asked."""
    findings = _aged(findings, at_s - passage.found_s)
    opinion = rule(lane.settings.rules, _gathered(lane, passage, _missing_devices(lane)), findings)
    passage, checked = _parcels_checked(passage, opinion, findings)
    passage = replace(passage, opinion=opinion, findings=findings, found_s=at_s)
    lane = replace(lane, passage=passage)
    if not passage.platform and _asks_platform(findings, opinion):
        lane, effects = _consult(lane, at_s, opinion, findings)
    else:
        lane, effects = _decide(lane, at_s, opinion, findings)
    return lane, [_commit(checked), *effects] if checked else effects


def _gathered(lane: Lane, passage: Passage, missing: tuple[str, ...] = ()) -> Evidence:
    """What this passage has read so far, as the rules see it."""
    return Evidence(
        plates=passage.plates,
        tags=_near_tags(lane, passage),
        slip_nos=passage.slip_nos,
        cards=passage.cards,
        containers=passage.containers,
        waybill_nos=passage.waybill_nos,
        gross_kg=passage.gross_kg,
        scale_fault=lane.scale_fault,
        straddles=lane.inputs.fully_on is False and _somebody_on(lane, passage),
        jumped=passage.jumped,
        silent=missing,
        own_use_ids=frozenset(use.use_id for use in passage.uses),
    )


def _somebody_on(lane: Lane, passage: Passage) -> bool:
    return bool(passage.weights) and passage.weights[-1].kg > lane.settings.presence_kg


def _passes(opinion: Opinion, findings: Findings) -> bool:
    verdict = opinion.ruling.verdict
    return verdict is Verdict.RELEASE or (verdict is Verdict.INSPECT and _inspects_beyond(findings))


def _decide(lane: Lane, at_s: float, opinion: Opinion, findings: Findings) -> tuple[Lane, list[Effect]]:
    """The lane's own opinion, with the customs platform's where the site asks for it, becomes a hold, a claim
    or an admission."""
    passage = lane.passage
    assert passage is not None  # noqa: S101  callers matched a phase that has one
    opinion, against = _with_platform(passage, opinion, findings)
    if against is not None:
        return _hold(lane, at_s, against)
    if not _passes(opinion, findings):
        return _hold(lane, at_s, opinion.ruling)
    if passage.uses:
        # Resumed after a restart: the uses are reserved already (S6).
        return _admit(lane, at_s, opinion, findings, claim="granted" if passage.claim_id else "offline")
    if not opinion.slips:
        return _admit(lane, at_s, opinion, findings, claim="not_needed")
    return _ask_claim(lane, at_s, opinion, findings)


def _aged(findings: Findings, seconds: float) -> Findings:
    """The same records, so much later: their age at the ruling counts, not at the look-up (S10)."""
    if findings.age_s is None or not seconds:
        return findings
    return replace(findings, age_s=findings.age_s + seconds)


def _inspects_beyond(findings: Findings) -> bool:
    return findings.site is not None and findings.site.inspection_beyond_barrier


def _identity_complete(lane: Lane, passage: Passage, at_s: float) -> bool:
    """Plate and tag both in, or the other one is not to be had, or was given its time."""
    plates = [plate for plate in passage.plates if not is_trailer_plate(plate)]
    if not plates and not passage.tags:
        return False
    other_s = passage.first_identity_s
    # Its own timer fires when it is due, give or take the rounding of a float.
    waited = other_s is not None and at_s - other_s >= lane.settings.second_identity_s * 0.99
    no_plate = "plate_camera" in lane.silent or "plate_camera" not in lane.settings.devices
    no_tag = "rfid" in lane.silent or "rfid" not in lane.settings.devices
    return waited or ((bool(plates) or no_plate) and (bool(passage.tags) or no_tag))


def _hopeless(lane: Lane, passage: Passage) -> bool:
    """No weight could change this ruling: tell the driver now."""
    if passage.findings is None:
        return False
    opinion = rule(lane.settings.rules, _gathered(lane, passage), passage.findings)
    codes = {because.code for because in opinion.ruling.reasons}
    site = passage.findings.site
    if site is not None and site.platform is PlatformRole.INSTEAD and not codes & NOT_THE_PLATFORMS:
        # The platform may say otherwise; it is asked about somebody who was weighed.
        return False
    final = {
        Reason.PLATE_TAG_MISMATCH,
        Reason.VEHICLE_UNKNOWN,
        Reason.VEHICLE_BLOCKED,
        Reason.VEHICLE_SUSPENDED,
        Reason.REGISTRATION_EXPIRED,
        Reason.SLIP_USED,
        Reason.SLIP_CANCELLED,
        Reason.SLIP_WRONG_AREA,
        Reason.WRONG_LANE,
    }
    return bool(codes & final)


def _ask_claim(lane: Lane, at_s: float, opinion: Opinion, findings: Findings) -> tuple[Lane, list[Effect]]:
    passage = lane.passage
    assert passage is not None and opinion.vehicle is not None  # noqa: S101, PT018  ruled on just now
    slip_nos = tuple(s.slip_no for s in opinion.slips)
    passage, told, given_back = _give_back(passage, slip_nos, "other slips")
    # A grant that could not be used (the journal was full) is asked for again by its id, never left behind.
    asked = passage.claim_id != ""
    number = passage.claims if asked else passage.claims + 1
    claim_id = passage.claim_id or f"{lane.settings.lane_id}-{lane.settings.run}-{passage.number}-c{number}"
    passage = replace(passage, claims=number, claim_id=claim_id, claimed=slip_nos, claim_asked_s=at_s)
    lane = replace(lane, phase=Claiming(opinion, findings), passage=passage)
    commit = _commit(told)
    if not lane.online:
        lane, effects = _claim_unanswered(lane, at_s, asked=asked)
        return lane, [commit, *effects, *given_back]
    return lane, [
        commit,
        *given_back,
        AskClaim(claim_id, passage.number, opinion.vehicle.plate, slip_nos),
        WakeAfter(Timer("claim", passage.number), lane.settings.claim_timeout_s),
    ]


def _give_back(
    passage: Passage, slip_nos: tuple[SlipNo, ...], why: str
) -> tuple[Passage, list[Told], list[Effect]]:
    """A claim in hand for anything but these slips goes back; what a raise order stands on stays (S4)."""
    if not passage.claim_id or passage.uses or passage.claimed == slip_nos:
        return passage, [], []
    told = _routine(UsesReturned(passage=passage.number, use_ids=(), claim_id=passage.claim_id, why=why))
    return replace(passage, claim_id="", claimed=()), [told], [WithdrawClaim(passage.claim_id)]


def _claim_answered(
    lane: Lane, at_s: float, claim_id: str, granted: bool, why: str
) -> tuple[Lane, list[Effect]]:
    passage = lane.passage
    if passage is None or passage.claim_id != claim_id or not isinstance(lane.phase, Claiming):
        return lane, []
    if granted:
        return _admit(lane, at_s, lane.phase.opinion, lane.phase.findings, claim="granted")
    ruling = hold(Because(Reason.CLAIM_REFUSED, why[:80]), *_to_inspect(lane.phase.opinion))
    lane = replace(lane, passage=replace(passage, claim_id=""))
    return _hold(lane, at_s, ruling, claim="refused")


def _claim_unanswered(lane: Lane, at_s: float, *, asked: bool) -> tuple[Lane, list[Effect]]:
    """Without an answer the site's written offline policy decides; whatever grant may exist is given back.

    A claim once asked may have been granted although the link was lost since: it is given back all the same.
    """
    passage = lane.passage
    if passage is None or not isinstance(lane.phase, Claiming):
        return lane, []
    opinion, findings = lane.phase.opinion, lane.phase.findings
    claim_id = passage.claim_id
    withdrawn: list[Told] = []
    effects: list[Effect] = []
    if asked:
        withdrawn = [
            _routine(
                UsesReturned(passage=passage.number, use_ids=(), claim_id=claim_id, why="no answer in time")
            )
        ]
        effects = [WithdrawClaim(claim_id)]
    lane = replace(lane, passage=replace(passage, claim_id=""))
    if offline_verdict(findings, opinion):
        lane, more = _admit(lane, at_s, opinion, findings, claim="offline", also=withdrawn)
    else:
        ruling = hold(Because(Reason.CLAIM_UNANSWERED), *_to_inspect(opinion))
        lane, more = _hold(lane, at_s, ruling, claim="unanswered", also=withdrawn)
    return lane, [*more, *effects]


def _admit(
    lane: Lane,
    at_s: float,
    opinion: Opinion,
    findings: Findings | None,
    *,
    claim: str,
    also: list[Told] | None = None,
) -> tuple[Lane, list[Effect]]:
    """S1: ruling, slip use and order become durable in one transaction; only then is the arm asked up."""
    passage = lane.passage
    assert passage is not None  # noqa: S101  callers matched a phase that has one
    against = _against_raising(lane, at_s, passage, claim)
    if against is not None and claim == "manual":
        return _not_by_hand(lane, passage, against)
    if against is not None:
        return _hold(lane, at_s, hold(against, *_to_inspect(opinion)), claim=claim, also=also)
    vehicle = opinion.vehicle
    order = passage.orders + 1
    order_id = f"{lane.settings.lane_id}-{lane.settings.run}-{passage.number}-{order}"
    purpose = "inspect" if opinion.ruling.verdict is Verdict.INSPECT else "admit"
    if any(because.code is Reason.MANUAL_ASIDE for because in opinion.ruling.reasons):
        purpose = "aside"
    # A grant in hand covers what an officer releases; left unused it would count as a use of its own (S4).
    passage, returned, given_back = _give_back(passage, tuple(s.slip_no for s in opinion.slips), "not needed")
    claim_id = passage.claim_id
    uses = passage.uses or tuple(
        SlipUse(
            f"{lane.settings.lane_id}-{lane.settings.run}-{passage.number}-u{index}",
            slip.slip_no,
            passage.number,
            claim_id,
            UseState.RESERVED,
        )
        for index, slip in enumerate(opinion.slips)
    )
    passage = replace(
        passage,
        orders=order,
        order_id=order_id,
        order_before=passage.order_id,
        raise_seen=False,
        purpose=purpose,
        uses=uses,
        uses_before=passage.uses,
        claim_id=claim_id,
        ruled_s=at_s,
        parts=0,
        strangers=0,
        strangers_told=0,
        blocked=False,
        others_near=False,
        lightest_kg=None,
        trailer=vehicle is not None and vehicle.trailer_plate is not None,
        trailer_plate=vehicle.trailer_plate if vehicle is not None else None,
        beam_cleared_s=None,
        cleared_s=None,
        crossed_s=None,
        gone_since_s=None,
    )
    lane = replace(lane, phase=Raising(at_s), passage=passage)
    # Led through to the inspection area, or seen by an officer: the draw is discharged by this very passage.
    # Whom the customs platform or the centre lets go uninspected stays drawn (S11).
    at_the_lane = set(passage.officers) - set(passage.remote)
    inspected = purpose != "admit" or bool(at_the_lane)
    discharged = (str(vehicle.plate),) if vehicle is not None and opinion.spot_check and inspected else ()
    pending = () if inspected else _pending(opinion, findings)
    told = [
        *(also or []),
        *returned,
        _routine(_ruling_fact(lane, at_s, opinion.ruling, opinion, findings, claim)),
        _routine(RaiseOrdered(passage=passage.number, order_id=order_id, purpose=purpose)),
    ]
    commit = _commit(told, uses=uses, spot_checks=pending, discharged=discharged)
    show = _ruling_text(opinion.ruling)
    return lane, [
        commit,
        RaiseArm(order_id),
        *given_back,
        show,
        WakeAfter(Timer("arm", passage.number), lane.settings.arm_move_s),
        *_drift(lane, opinion, findings),
        *_picture(lane, "ruling"),
    ]


def _against_raising(lane: Lane, at_s: float, passage: Passage, claim: str) -> Because | None:
    """Why the arm may not be ordered up just now, whoever wants it."""
    if not lane.inputs.proven_down() or at_s - lane.inputs_s > lane.settings.io_stale_s:
        # An arm that is not known to be down has no business being ordered up.
        return Because(Reason.DEVICE_SILENT, "io")
    if lane.inputs.stop is not False or lane.inputs.fire is not False:
        return Because(Reason.LANE_CLOSED)
    if passage.jumped and claim != "manual":
        # It jumped while hub or platform were asked: what was ruled on is not what stands there.
        return Because(Reason.WEIGHT_JUMPED)
    if _left(lane, at_s, passage):
        # S5: whom this was read of is gone; the arm is not raised for nobody, or for the next one.
        return Because(Reason.INTERRUPTED)
    return None


def _not_by_hand(lane: Lane, passage: Passage, against: Because) -> tuple[Lane, list[Effect]]:
    """The hold stays what it was: a quarantine or a live control is not forgotten over a pressed stop."""
    told = _alarm(
        AlarmCode.INPUT_REFUSED,
        passage.number,
        f"by {', '.join(passage.officers)}: {against.code.value} {against.detail}".strip(),
        "人工放行未执行",
        "A release by hand could not be carried out",
    )
    return lane, [_commit([told]), Show(against.zh(), against.en(), "red")]


def _to_inspect(opinion: Opinion) -> tuple[Because, ...]:
    """What it was to be inspected for stays in whatever it is held for besides."""
    return opinion.ruling.reasons if opinion.ruling.verdict is Verdict.INSPECT else ()


def _hold(
    lane: Lane, at_s: float, ruling: Ruling, *, claim: str = "", also: list[Told] | None = None
) -> tuple[Lane, list[Effect]]:
    passage = lane.passage
    assert passage is not None  # noqa: S101  callers matched a phase that has one
    timer = WakeAfter(Timer("again", passage.number), lane.settings.again_s)
    again = [timer] if _curable_by_time(ruling) else []
    if passage.held == ruling and not also:
        return replace(lane, phase=Holding(ruling, at_s)), [_ruling_text(ruling), *again]
    told_before = passage.held.codes() if passage.held is not None else ()
    passage = replace(passage, ruled_s=at_s, gone_since_s=None, held=ruling)
    lane = replace(lane, phase=Holding(ruling, at_s), passage=passage)
    opinion = passage.opinion or Opinion(ruling)
    findings = passage.findings
    told = [*(also or []), _routine(_ruling_fact(lane, at_s, ruling, opinion, findings, claim))]
    new = {because.code for because in ruling.reasons if because.code not in told_before}
    if Reason.RECALLED in new:
        told.append(
            _alarm(
                AlarmCode.RECALL_HIT,
                passage.number,
                ", ".join(because.detail for because in ruling.reasons if because.code is Reason.RECALLED),
                "召回货物在通道",
                "Recalled goods in the lane",
            )
        )
    if new & {Reason.VEHICLE_BLOCKED, Reason.CONTROL_HOLD}:
        told.append(
            _alarm(
                AlarmCode.CONTROLLED_VEHICLE,
                passage.number,
                ", ".join(ruling.codes()),
                "布控车辆在通道",
                "Controlled vehicle in the lane",
            )
        )
    if claim != "manual":
        # Who has released another hold has not released this one (S8).
        lane = replace(lane, passage=replace(passage, officers=()))
    commit = _commit(told, spot_checks=_pending(opinion, findings))
    return lane, [
        commit,
        SetLights(green=False),
        _ruling_text(ruling),
        WakeAfter(Timer("hold", passage.number), lane.settings.hold_s),
        *again,
        *_picture(lane, "ruling"),
    ]


def _pending(opinion: Opinion, findings: Findings | None) -> tuple[PendingCheck, ...]:
    """The draw that stays until somebody has inspected (S11)."""
    if not opinion.spot_check or opinion.vehicle is None or findings is None:
        return ()
    checks = [c for s in opinion.slips if (c := findings.spot_checks.get(s.slip_no)) is not None and c.due]
    return tuple(PendingCheck(opinion.vehicle.plate, c.enterprise, c.day) for c in checks[:1])


def _drift(lane: Lane, opinion: Opinion, findings: Findings | None) -> list[Effect]:
    """An empty vehicle that weighs something else than it is registered with: told, and let go."""
    passage, vehicle = lane.passage, opinion.vehicle
    site = findings.site if findings is not None else None
    if passage is None or vehicle is None or site is None or passage.gross_kg is None:
        return []
    empty = opinion.expected_kg is not None and opinion.expected_kg == vehicle.tare_kg
    if not empty or abs(passage.gross_kg - vehicle.tare_kg) <= site.tare_drift_kg:
        return []
    alarm = _alarm(
        AlarmCode.TARE_DRIFT,
        passage.number,
        f"{vehicle.plate}: {passage.gross_kg} kg, registered {vehicle.tare_kg} kg",
        "空车皮重与备案不符",
        "Empty weight differs from the registered tare",
    )
    return [_commit([alarm])]


def _picture(lane: Lane, moment: str) -> list[Effect]:
    """Asked for last in a step: a picture never stands before what moves or is recorded."""
    passage = lane.passage
    if not lane.settings.cameras or passage is None:
        return []
    plate = next((str(plate) for plate in passage.plates), "")
    slip_no = next((str(slip_no) for slip_no in passage.slip_nos), "")
    if passage.opinion is not None and passage.opinion.slips:
        slip_no = str(passage.opinion.slips[0].slip_no)
    gross_kg = "" if passage.gross_kg is None else str(passage.gross_kg)
    return [TakePicture(passage.number, moment, plate, slip_no, gross_kg)]


def _picture_kept(lane: Lane, kept: PictureKept) -> tuple[Lane, list[Effect]]:
    """A fact of its passage, also when that is over by now."""
    taken = PictureTaken(
        passage=kept.passage,
        moment=kept.moment,
        camera=kept.camera,
        sha256=kept.sha256,
        size_bytes=kept.size_bytes,
    )
    lane = _camera_answered(lane, kept.moment, kept.camera)
    passage = lane.passage
    shown: list[Effect] = []
    # What the centre asked for shows it what is there: no ruling and no platform stands on it.
    is_evidence = kept.moment != commands.ASKED
    if is_evidence and passage is not None and passage.number == kept.passage:
        lane = replace(lane, passage=replace(passage, pictures=(*passage.pictures, kept.sha256)[-16:]))
        if isinstance(lane.phase, Consulting):
            shown = [ShowPlatform(lane.phase.seq_no, kept.sha256)]
    return lane, [_commit([_routine(taken)]), *shown]


def _camera_answered(lane: Lane, moment: str, camera: str) -> Lane:
    if moment != commands.ASKED:
        return lane
    return replace(lane, cameras_asked=lane.cameras_asked - {camera})


def pictured(lane: Lane) -> int | None:
    """Whose a picture is that a camera sends with a recognition now. Once somebody is let through, it may be
    of the next one (S5)."""
    evidence = isinstance(lane.phase, Reading | Consulting | Claiming | Holding)
    return lane.passage.number if lane.passage is not None and evidence else None


def _readings(lane: Lane, passage: Passage) -> tuple[ReadingKept, ...]:
    """All that the ruling stands on, so that it can be made again from the fact alone (S11)."""
    near = _near_tags(lane, passage)
    kept = [
        ReadingKept(each.kind, each.value, each.after_s, NEXT_LANE)
        if each.kind == "tag" and each.value not in near
        else each
        for each in passage.readings
    ]
    gathered = _gathered(lane, passage)
    states = (
        (SCALE_FAULT, gathered.scale_fault if gathered.gross_kg is None else ""),
        (STRADDLES, "yes" if gathered.straddles and gathered.gross_kg is None else ""),
        (JUMPED, "yes" if gathered.jumped else ""),
    )
    kept += [ReadingKept(kind, word, 0.0) for kind, word in states if word]
    return tuple(kept[:MOST_READINGS])


def _code_fact(judged: CodeJudged) -> SlipCodeShown:
    return SlipCodeShown(
        judged.slip_no, judged.kid, judged.sha256, judged.issued, judged.standing.value, judged.why
    )


def _ruling_fact(
    lane: Lane,
    at_s: float,
    ruling: Ruling,
    opinion: Opinion,
    findings: Findings | None,
    claim: str,
) -> RulingMade:
    passage = lane.passage
    assert passage is not None  # noqa: S101  callers matched a phase that has one
    plate: str | None = None
    if opinion.vehicle is not None:
        plate = str(opinion.vehicle.plate)
    elif passage.plates:
        plate = str(passage.plates[0])
    return RulingMade(
        passage=passage.number,
        ruling=ruling,
        direction=lane.settings.rules.direction.value,
        plate=plate,
        # One slip a use, in their order: the ruling is the only fact that says which slip a use is of.
        slips=tuple(str(s.slip_no) for s in (passage.uses or opinion.slips)),
        enterprise=opinion.enterprise,
        gross_kg=None if passage.gross_kg is None else str(passage.gross_kg),
        expected_kg=None if opinion.expected_kg is None else str(opinion.expected_kg),
        readings=_readings(lane, passage),
        records_scope=findings.scope if findings else "",
        records_epoch=findings.epoch if findings else "",
        records_number=findings.number if findings else 0,
        records_age_s=None if findings is None or findings.age_s is None else round(findings.age_s, 3),
        control_versions=tuple(f"{c.control_id}@{c.version}:{c.mode.value}" for c in opinion.controls),
        claim=claim,
        claim_id=passage.claim_id,
        codes=() if findings is None else tuple(_code_fact(judged) for judged in findings.codes),
        use_ids=tuple(use.use_id for use in passage.uses),
        stage_s=_stages(passage, at_s),
        officer=", ".join(passage.officers) if claim == "manual" else "",
        would_be=would_be(opinion),
        owner=ruling.owner(),
        ways=_ways(ruling, findings),
        platform=passage.platform,
        texts_zh=tuple(because.zh() for because in ruling.reasons),
        texts_en=tuple(because.en() for because in ruling.reasons),
    )


# --- the customs platform ---------------------------------------------------------------------------------

_OPENS = re.compile(r"00[0-9]{18}")
"""Release, and raise: only these two digits of twenty have a known meaning, anything else is closed."""
_DIGITS = re.compile(r"[0-9]{20}")
_MOST_ORDERS = 64
_REMOTE = "platform"
"""Who releases by the platform's own order: one officer, who has not seen the vehicle."""


def _asks_platform(findings: Findings, opinion: Opinion) -> bool:
    """Whether the site's setting wants the platform asked about what the lane thinks (S11)."""
    role = PlatformRole.NONE if findings.site is None else findings.site.platform
    match role:
        case PlatformRole.NONE:
            return False
        case PlatformRole.BEFORE:
            return True
        case PlatformRole.AFTER:
            return _passes(opinion, findings)
        case PlatformRole.INSTEAD:
            return _platform_rules_on(opinion.ruling) or _passes(opinion, findings)
        case _:
            assert_never(role)


def _platform_rules_on(ruling: Ruling) -> bool:
    """Instead of the lane: only where it could override, and on somebody who was weighed."""
    return platform_may(ruling) and not UNWEIGHED & {because.code for because in ruling.reasons}


def _consult(lane: Lane, at_s: float, opinion: Opinion, findings: Findings) -> tuple[Lane, list[Effect]]:
    """Everything collected goes to the platform under a number of its own; its silence has a time limit."""
    passage = lane.passage
    assert passage is not None and findings.site is not None  # noqa: S101, PT018  asked about this passage
    asks = passage.asks + 1
    number = f"{findings.local_time or '0' * 14}{passage.number % 10_000:04d}{asks % 100:02d}"
    passage = replace(passage, asks=asks)
    lane = replace(lane, phase=Consulting(opinion, findings, number), passage=passage)
    if lane.settings.platform is None or "platform" in lane.silent:
        return _platform_silent(lane, at_s, "no platform to ask")
    trailer = next((str(plate) for plate in passage.plates if is_trailer_plate(plate)), "")
    vehicle_plate = next((str(plate) for plate in passage.plates if not is_trailer_plate(plate)), "")
    slips = tuple(str(slip.slip_no) for slip in opinion.slips) or tuple(str(no) for no in passage.slip_nos)
    ask = AskPlatform(
        passage=passage.number,
        seq_no=number,
        plate=vehicle_plate or ("" if opinion.vehicle is None else str(opinion.vehicle.plate)),
        epc=next((str(epc) for epc in _near_tags(lane, passage)), ""),
        trailer_plate=trailer,
        card_no=next(iter(passage.cards), ""),
        slip_nos=slips,
        gross_kg=passage.gross_kg,
        containers=tuple(str(container) for container in passage.containers),
        supplement=bool(passage.supplemented),
    )
    return lane, [
        _commit([_routine(PlatformAsked(passage=passage.number, seq_no=number))]),
        ask,
        *(ShowPlatform(number, sha256) for sha256 in passage.pictures),
        WakeAfter(Timer("platform", passage.number), float(findings.site.platform_timeout_s)),
    ]


def _platform_ruled(lane: Lane, at_s: float, said: PlatformRuled) -> tuple[Lane, list[Effect]]:
    """S5: an answer counts only if it quotes this lane and the very question that is open. All are facts."""
    number = lane.passage.number if lane.passage is not None else None
    why = _not_ours(lane, said)
    fact = PlatformAnswered(
        passage=number,
        seq_no=said.seq_no[:40],
        check_result=said.check_result[:40],
        hint=said.hint[:200],
        form_id=said.form_id[:80],
        counted=not why,
        why=why,
    )
    told: list[Effect] = [_commit([_routine(fact)])]
    passage, phase = lane.passage, lane.phase
    if why or passage is None or not isinstance(phase, Consulting):
        return lane, told
    opens = _OPENS.fullmatch(said.check_result) is not None
    passage = replace(passage, platform="released" if opens else "refused", platform_hint=said.hint[:80])
    lane, effects = _rule(replace(lane, phase=Reading()), at_s, passage, phase.findings)
    return lane, [*told, *effects]


def _not_ours(lane: Lane, said: PlatformRuled) -> str:
    """Why an answer changes nothing; empty where it counts."""
    here = lane.settings.platform
    if here is None or (said.area_id, said.channel_no, said.direction) != (
        here.area_id,
        here.channel_no,
        here.direction,
    ):
        return "addressed to another lane"
    if not isinstance(lane.phase, Consulting):
        return "nothing is asked, or it came too late"
    if said.seq_no != lane.phase.seq_no:
        return "answers another question"
    if lane.phase.outdated:
        return "more was read since"
    return "" if _DIGITS.fullmatch(said.check_result) else "not twenty digits"


def _platform_silent(lane: Lane, at_s: float, why: str) -> tuple[Lane, list[Effect]]:
    """No answer in its time: an alarm, and the site's written setting decides."""
    passage = lane.passage
    if passage is None or not isinstance(lane.phase, Consulting):
        return lane, []
    alarm = _alarm(
        AlarmCode.PLATFORM_LOST, passage.number, why, "海关平台未应答", "The customs platform does not answer"
    )
    told: list[Effect] = [] if passage.platform_lost else [_commit([alarm])]
    passage = replace(passage, platform="unanswered", platform_hint="", platform_lost=True)
    lane, effects = _rule(replace(lane, phase=Reading()), at_s, passage, lane.phase.findings)
    return lane, [*told, *effects]


def _with_platform(passage: Passage, opinion: Opinion, findings: Findings) -> tuple[Opinion, Ruling | None]:
    """The opinion as the platform's answer leaves it, or the hold it makes. It never overrides a local
    quarantine, live control, recall, block or identity: `rules.NOT_THE_PLATFORMS`."""
    site = findings.site
    if site is None or not passage.platform or site.platform is PlatformRole.NONE:
        return opinion, None
    passes = _passes(opinion, findings)
    local = _to_inspect(opinion) if passes else opinion.ruling.reasons
    match passage.platform:
        case "refused":
            refused = Because(Reason.PLATFORM_REFUSED, passage.platform_hint)
            return opinion, hold(refused, *local)
        case "unanswered" if site.platform_lost is PlatformLost.HOLD:
            return opinion, hold(Because(Reason.PLATFORM_UNANSWERED), *local)
        case "released" if (
            not passes and site.platform is PlatformRole.INSTEAD and _platform_rules_on(opinion.ruling)
        ):
            ruling = Ruling(Verdict.RELEASE, (Because(Reason.RELEASED, "platform"),))
            return replace(opinion, ruling=ruling), None
        case _:
            return opinion, None


def _platform_ordered(lane: Lane, at_s: float, order: PlatformOrdered) -> tuple[Lane, list[Effect]]:
    """The platform's own device order: a raise is one officer's release by hand where the site allows it
    (S8); a remote lowering is recorded and never obeyed (S2)."""
    here, passage = lane.settings.platform, lane.passage
    ours = here is not None and (order.area_id, order.channel_no, order.direction) == (
        here.area_id,
        here.channel_no,
        here.direction,
    )
    raises = _DIGITS.fullmatch(order.command) is not None and order.command[1] == "0"
    site = passage.findings.site if passage is not None and passage.findings is not None else None
    held = lane.phase.ruling if isinstance(lane.phase, Holding) else None
    refused, effects = "", list[Effect]()
    if ours and raises and order.order_no:
        first = (order.order_no[:40], _number(lane), at_s)
        lane = replace(lane, remote_orders=(*lane.remote_orders, first)[-_MOST_ORDERS:])
    if not ours:
        refused = "addressed to another lane"
    elif not raises:
        refused = "not a raise: nothing is lowered from afar"
    elif _meant_another(lane, at_s, order.order_no):
        # S5: nothing in an order names a vehicle; sent again, it means whoever stood here then.
        refused = "sent before, for another vehicle"
    elif site is None or not site.platform_may_raise:
        refused = "the site does not allow it"
    elif passage is None or held is None or not _allows(held, Way.RELEASE):
        refused = "nobody is held who may be released by hand"
    elif passage.jumped or not platform_may(held):
        refused = "held for what the platform cannot override"
    else:
        # One officer whoever sends it, and however often.
        reason = f"{order.operator} {order.order_no} {order.reason}".strip()[:200] or "customs platform"
        released = OfficerReleased(passage.number, _REMOTE, reason, remote=True)
        lane, effects = _officer_released(lane, at_s, released)
    done = isinstance(lane.phase, Raising) and not refused
    why = refused or ("" if done else "it counts as one officer's, and nothing was raised yet")
    fact = PlatformOrderSeen(
        order_no=order.order_no[:40],
        command=order.command[:40],
        operator=order.operator[:40],
        reason=order.reason[:200],
        passage=None if passage is None else passage.number,
        obeyed=done,
        why=why,
    )
    told = [_routine(fact)]
    if refused:
        told.append(
            _alarm(
                AlarmCode.PLATFORM_ORDER,
                fact.passage,
                f"{order.command[:20]} {why}",
                "平台远程控制未执行",
                "An order of the customs platform was not obeyed",
            )
        )
    return lane, [_commit(told), *effects, AnswerPlatform(order.order_no, done)]


def _meant_another(lane: Lane, at_s: float, order_no: str) -> bool:
    """Whether this order was first sent a short while ago, about somebody else."""
    since_s = at_s - lane.settings.hold_s
    return any(
        no == order_no[:40] and number != _number(lane)
        for no, number, sent_s in lane.remote_orders
        if sent_s >= since_s
    )


# --- released by hand (S8) --------------------------------------------------------------------------------


def _code_shown(lane: Lane, text: str) -> tuple[Lane, list[Effect]]:
    """A code means something only to a held vehicle; at any other time it is not even looked at."""
    if lane.passage is None or not isinstance(lane.phase, Holding):
        return lane, []
    return lane, [CheckReleaseCode(lane.passage.number, text)]


def _allows(ruling: Ruling, way: Way) -> bool:
    """Some holds end only by what they ask for: a quarantine, a live control, a full journal."""
    return way.value in ruling.ways()


def _ways(ruling: Ruling, findings: Findings | None) -> tuple[str, ...]:
    """How this hold can end here: aside only where the waiting area lies beyond the barrier."""
    beyond = findings is not None and findings.site is not None and findings.site.waiting_area_beyond_barrier
    return tuple(way for way in ruling.ways() if beyond or way != Way.ASIDE.value)


def _supplemented(lane: Lane, at_s: float, event: SupplementGiven) -> tuple[Lane, list[Effect]]:
    """补采: what an officer entered counts as read, in a fact under the officer's number; ruled anew."""
    passage = lane.passage
    if passage is None or passage.number != event.passage or not isinstance(lane.phase, Holding):
        return lane, []
    if event.field not in _lacks(lane.phase.ruling):
        return _release_refused(lane, passage.number, f"held for no want of a {event.field[:20]}")
    read = _read_already(passage, event.field)
    if read and event.value not in read:
        # Its device is silent by now, but has spoken: that is not taken back by an officer's word.
        return _release_refused(lane, passage.number, f"{event.field} was read: {' '.join(read)}"[:80])
    asked, officers = passage, _who_entered(passage, event)
    after_s = round(at_s - passage.opened_s, 3)
    kept = ReadingKept(event.field, event.value, after_s, f"officer {', '.join(officers)}")
    plate, slip_no = Plate.parse(event.value), SlipNo.parse(event.value)
    container = ContainerNo.parse(event.value)
    gross_kg = Decimal(event.value) if re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?", event.value) else None
    match event.field:
        case "plate" if plate is not None:
            # The officer sees the vehicle; what a camera made of it no longer counts.
            passage = replace(passage, plates=(plate,))
        case "slip" if slip_no is not None:
            passage = replace(passage, slip_nos=(*passage.slip_nos, slip_no)[-64:])
        case "container" if container is not None:
            passage = replace(passage, containers=(*passage.containers, container)[-8:])
        case "weight" if gross_kg is not None:
            passage = replace(passage, gross_kg=gross_kg, weighed_s=at_s)
        case _:
            return _release_refused(lane, passage.number, f"not a {event.field[:20]}: {event.value[:40]}")
    fact = SupplementEntered(
        passage=passage.number,
        officer=event.officer,
        field=event.field,
        value=event.value,
        reason=event.reason,
    )
    if len(officers) < _officers_to_enter(asked, event):
        word = (event.officer, event.field, event.value)
        if word in asked.entered:
            return lane, []
        lane = replace(lane, passage=replace(asked, entered=(*asked.entered, word)[-8:]))
        return lane, [
            _commit([_routine(fact)]),
            Show("请第二位关员确认", "Second officer, please confirm", "amber"),
        ]
    if event.field == "plate":
        passage = replace(passage, first_identity_s=at_s)
    passage = replace(
        _asked_anew(passage),
        supplemented=(*passage.supplemented, event.field),
        readings=(*passage.readings, kept),
    )
    lane = replace(lane, phase=Reading(), passage=passage)
    return lane, [
        _commit([_routine(fact)]),
        _look_up(passage),
        WakeAfter(Timer("reading", passage.number), lane.settings.second_identity_s),
    ]


def _read_already(passage: Passage, field: str) -> tuple[str, ...]:
    match field:
        case "plate":
            return tuple(str(plate) for plate in passage.plates if not is_trailer_plate(plate))
        case "weight" if passage.gross_kg is not None:
            return (str(passage.gross_kg),)
        case _:
            return ()


def _who_entered(passage: Passage, event: SupplementGiven) -> tuple[str, ...]:
    """The officers who entered this very value so far, this one included."""
    same = [who for who, field, value in passage.entered if (field, value) == (event.field, event.value)]
    return tuple(dict.fromkeys([*same, event.officer]))


def _officers_to_enter(passage: Passage, event: SupplementGiven) -> int:
    """A plate, weight or container entered lets a vehicle go like a release by hand: it takes as many
    officers (S8). A slip's number is no more than what any driver may show."""
    site = passage.findings.site if passage.findings is not None else None
    needed = site.manual_release_officers if site is not None else event.needed
    return 1 if event.field == "slip" or needed is None else needed


def _lacks(ruling: Ruling) -> frozenset[str]:
    """What could not be read, by the reasons of the hold and the devices that are silent."""
    silent = {because.detail for because in ruling.reasons if because.code is Reason.DEVICE_SILENT}
    lacked = {_LACKED[because.code] for because in ruling.reasons if because.code in _LACKED}
    return frozenset(lacked | {what for what, readers in _READ_BY.items() if readers & silent})


def _officer_released(lane: Lane, at_s: float, event: OfficerReleased) -> tuple[Lane, list[Effect]]:
    """As many different officers as the site asks for, and the reason in the fact. A code works once: it
    names the passage, and the passage is released only out of its hold.

    What is held because nothing could be read has no findings: then the site as it was when the code was
    checked says how many officers it takes.
    """
    passage = lane.passage
    if passage is None or passage.number != event.passage or not isinstance(lane.phase, Holding):
        return lane, []
    findings, held = passage.findings, lane.phase.ruling
    way = Way.ASIDE if event.aside else Way.RELEASE
    if way.value not in _ways(held, findings):
        return _release_refused(lane, passage.number, f"held for {', '.join(held.codes())}")
    site = findings.site if findings is not None else None
    needed = site.manual_release_officers if site is not None else event.needed
    before = passage.officers if passage.officers_for is way else ()
    if needed is None or event.officer in before:
        return lane, []
    remote = (*passage.remote, event.officer)[-_MOST_REMOTE:] if event.remote else passage.remote
    passage = replace(passage, officers=(*before, event.officer), officers_for=way, remote=remote)
    lane = replace(lane, passage=passage)
    if len(passage.officers) < needed:
        return lane, [Show("请第二位关员确认", "Second officer, please confirm", "amber")]
    opinion = passage.opinion if passage.opinion is not None else Opinion(held)
    code = Reason.MANUAL_ASIDE if event.aside else Reason.MANUAL_RELEASE
    released = Ruling(Verdict.RELEASE, (Because(code, event.reason),))
    lane, effects = _admit(lane, at_s, replace(opinion, ruling=released), findings, claim="manual")
    if isinstance(lane.phase, Holding) and lane.passage is not None:
        # It could not be done (stop pressed, arm not known to be down): the same officers may try again.
        lane = replace(lane, passage=replace(lane.passage, officers=()))
    return lane, effects


def _release_refused(lane: Lane, number: int, why: str) -> tuple[Lane, list[Effect]]:
    if lane.passage is None or lane.passage.number != number:
        return lane, []
    told = _alarm(AlarmCode.INPUT_REFUSED, number, why[:300], "放行码无效", "Release code refused")
    return lane, [_commit([told]), Show("放行码无效 请等待", "Release code refused, please wait", "red")]


# --- commands of the centre -------------------------------------------------------------------------------

_CLOSED = "closed by the centre"
_REVOKED = "revoked by the centre"
_MOST_COMMANDS = 16
_MOST_REMOTE = 8


def _said_again(lane: Lane, known: tuple[str, Outcome, str]) -> list[Effect]:
    """Nothing while the first answer still waits for its fact to be durable."""
    waits = any(each.command_id == known[0] for each in lane.unsaid)
    return [] if waits else [AnswerCommand(*known)]


def _command_given(lane: Lane, at_s: float, command: Command) -> tuple[Lane, list[Effect]]:
    """Idempotent by command id. What lets somebody go is checked against the roster first (S8); what only
    stops or shows something stands on the centre's signature alone."""
    known = next((each for each in lane.commands if each[0] == command.command_id), None)
    act = command.act
    if known is not None:
        if isinstance(act, commands.Wipe) and _is_to_be_wiped(lane, command):
            # Who does it forgets it with the power: asked again, it is begun again, and begun twice is once.
            return lane, [*_said_again(lane, known), Wipe(command, act.force)]
        return lane, _said_again(lane, known)
    match act:
        case commands.ManualRelease() | commands.Supplement():
            return lane, [CheckCommand(command)]
        case commands.BoardText(seconds=seconds, passage=number):
            if number and (against := _not_in_lane(lane, number)):
                return _answered(lane, command, Outcome.REFUSED, against)
            zh, en = act.text()
            shown: list[Effect] = [ShowForAWhile(zh, en, seconds), WakeAfter(Timer("board", 0), seconds)]
            return _answered(lane, command, Outcome.DONE, "", shown)
        case commands.Resync():
            return _answered(lane, command, Outcome.DONE, "", [Resync()])
        case commands.AskStatus():
            return _answered(lane, command, Outcome.DONE, "", [TellStatus()])
        case commands.TakePictures(passage=number):
            return _pictures_wanted(lane, at_s, command, number)
        case commands.LaneClose() | commands.Revoke() | commands.Wipe():
            return _told_to_stop(lane, command)
        case commands.RequestAnswered():
            return _answered(lane, command, Outcome.REFUSED, "this is a lane: it asked nothing")
        case commands.LiveRequest():
            return _answered(lane, command, Outcome.REFUSED, "a lane has nobody who could consent")
        case _:
            assert_never(act)


_LONGEST_PICTURES_S = 30.0
"""A camera that has not answered by then is waited for no longer: no picture takes so long."""
_MOST_PICTURES_ASKED = 30
"""Times a passage: the disk and the line to the centre are for the evidence of its own steps first."""


def _pictures_wanted(lane: Lane, at_s: float, command: Command, number: int) -> tuple[Lane, list[Effect]]:
    """Whoever is in the lane is pictured, in whatever phase. It changes nothing of what becomes of them."""
    passage = lane.passage
    against = _against_pictures(lane, at_s, number)
    if passage is None or against:
        return _answered(lane, command, Outcome.REFUSED, against)
    lane = replace(
        lane,
        passage=replace(passage, pictures_asked=passage.pictures_asked + 1),
        cameras_asked=frozenset(lane.settings.cameras),
        cameras_asked_s=at_s,
    )
    lane, effects = _answered(lane, command, Outcome.DONE, f"asked: {', '.join(lane.settings.cameras)}")
    return lane, [*effects, *_picture(lane, commands.ASKED)]


def _against_pictures(lane: Lane, at_s: float, number: int) -> str:
    passage = lane.passage
    if passage is None or passage.number != number:
        return _not_in_lane(lane, number)
    if not lane.settings.cameras:
        return "this lane has no camera that takes pictures"
    if lane.cameras_asked and at_s - lane.cameras_asked_s < _LONGEST_PICTURES_S:
        return f"not answered yet: {', '.join(sorted(lane.cameras_asked))}"
    if passage.pictures_asked >= _MOST_PICTURES_ASKED:
        return f"asked {_MOST_PICTURES_ASKED} times already of passage {number}"
    return ""


def _is_to_be_wiped(lane: Lane, command: Command) -> bool:
    """Taken, the lane stopped for it, and no word yet of how it ended."""
    waits = lane.closing is not None and lane.closing.command_id == command.command_id
    return not waits and any(
        (known, outcome) == (command.command_id, Outcome.ACCEPTED) for known, outcome, _ in lane.commands
    )


def _command_checked(
    lane: Lane, at_s: float, command: Command, needed: int | None, against: str
) -> tuple[Lane, list[Effect]]:
    """As with a release code: the passage it names is the one that is held now (S5), and it works once."""
    act, before = command.act, lane
    if against:
        return _answered(lane, command, Outcome.REFUSED, against)
    effects: list[Effect] = []
    for officer in command.officers:
        if not isinstance(lane.phase, Holding):
            # One was enough.
            break
        match act:
            case commands.ManualRelease(passage=number, aside=aside):
                released = OfficerReleased(number, officer, command.reason, needed, aside, remote=True)
                lane, effects = _officer_released(lane, at_s, released)
            case commands.Supplement(passage=number, field=field, value=entered):
                supplement = SupplementGiven(number, officer, field, entered, command.reason, needed)
                lane, effects = _supplemented(lane, at_s, supplement)
            case _:
                pass
    if isinstance(before.phase, Holding) and not isinstance(lane.phase, Holding):
        return _answered(lane, command, Outcome.DONE, "", effects)
    if lane is not before and not _refusal(effects):
        return _answered(lane, command, Outcome.ACCEPTED, "it waits for a second officer", effects)
    # The driver is told nothing: it was not at this lane that something was tried.
    why = _refusal(effects) or _why_nothing(before, commands.passage_of(act))
    return _answered(lane, command, Outcome.REFUSED, why)


def _refusal(effects: list[Effect]) -> str:
    """What an alarm among them has against it."""
    told = [told.data for effect in effects if isinstance(effect, Commit) for told in effect.facts]
    against = [data.detail for data in told if isinstance(data, Alarm)]
    return against[0] if against else ""


def _why_nothing(lane: Lane, number: int | None) -> str:
    if against := _not_in_lane(lane, number):
        return against
    if not isinstance(lane.phase, Holding):
        return f"passage {number} is not held now"
    return "counted already, or no record of the site says how many officers it takes"


def _not_in_lane(lane: Lane, number: int | None) -> str:
    """Empty where it is."""
    if lane.passage is not None and lane.passage.number == number:
        return ""
    there = "nobody" if lane.passage is None else f"passage {lane.passage.number}"
    return f"passage {number} is not in the lane, {there} is"


def _told_to_stop(lane: Lane, command: Command) -> tuple[Lane, list[Effect]]:
    """The lane stops when the arm is down: behind whom it was raised for, nobody drives under an open arm."""
    if lane.revoked and isinstance(command.act, commands.LaneClose):
        return _answered(lane, command, Outcome.DONE, _REVOKED)
    overtaken: list[Effect] = []
    if lane.closing is not None:
        lane, overtaken = _answered(lane, lane.closing, Outcome.REFUSED, f"overtaken by {command.command_id}")
    lane = replace(lane, closing=command)
    if _arm_is_done(lane):
        # `step` closes it in this very step.
        return lane, overtaken
    lane, effects = _answered(lane, command, Outcome.ACCEPTED, "when the arm is down")
    return lane, [*overtaken, *effects]


def _arm_is_done(lane: Lane) -> bool:
    """Nobody is being let through."""
    return not isinstance(lane.phase, Raising | Passing | Lowering)


def _close_as_told(lane: Lane, at_s: float, command: Command) -> tuple[Lane, list[Effect]]:
    lane = replace(lane, closing=None)
    closes = isinstance(command.act, commands.LaneClose)
    effects: list[Effect] = []
    if not closes:
        lane = replace(lane, revoked=True)
    if not isinstance(lane.phase, Shut):
        why = _CLOSED if closes else _REVOKED
        who = f"{', '.join(command.officers)}: {command.reason}"
        lane, effects = _shut(lane, at_s, why, AlarmCode.CLOSED_BY_CENTRE, who)
    if isinstance(command.act, commands.Wipe):
        waits = "when the hub has every fact"
        lane, more = _answered(lane, command, Outcome.ACCEPTED, "" if command.act.force else waits)
        return lane, [*effects, *more, Wipe(command, command.act.force)]
    lane, more = _answered(lane, command, Outcome.DONE, "")
    return lane, [*effects, *more]


def _answered(
    lane: Lane, command: Command, outcome: Outcome, why: str, effects: list[Effect] | None = None
) -> tuple[Lane, list[Effect]]:
    """A fact with the officers' numbers, in one transaction with what it did; then the answer."""
    why = why[: commands.MAX_REASON]
    fact = CommandTaken(
        command_id=command.command_id,
        kind=commands.kind_of_act(command.act),
        officers=command.officers,
        reason=command.reason,
        passage=commands.passage_of(command.act),
        outcome=outcome.value,
        why=why,
    )
    others = tuple(each for each in lane.commands if each[0] != command.command_id)
    lane = replace(lane, commands=(*others, (command.command_id, outcome, why))[-_MOST_COMMANDS:])
    answer = AnswerCommand(command.command_id, outcome, why)
    return lane, [*(effects or []), _commit([_routine(fact)]), answer]


# --- the arm ----------------------------------------------------------------------------------------------


def _raised(lane: Lane, at_s: float) -> tuple[Lane, list[Effect]]:
    passage = lane.passage
    assert passage is not None  # noqa: S101  Raising always has one
    uses = tuple(replace_state(use, UseState.RAISED) for use in passage.uses)
    passage = replace(passage, raise_seen=True, raised_s=at_s, uses=uses)
    lane = replace(lane, phase=Passing(at_s), passage=passage)
    commit = _commit([_routine(ArmRaised(passage=passage.number, order_id=passage.order_id))], uses=uses)
    return lane, [
        SetLights(green=True),
        commit,
        WakeAfter(Timer("passing", passage.number), lane.settings.passing_s),
    ]


def _watch_passing(lane: Lane, at_s: float) -> tuple[Lane, list[Effect]]:
    passage, inputs, phase = lane.passage, lane.inputs, lane.phase
    assert passage is not None  # noqa: S101  Passing always has one
    if isinstance(phase, Passing) and phase.reopening:
        if inputs.limit_up is not True:
            return lane, []
        lane = replace(lane, phase=replace(phase, reopening=""))
    if inputs.limit_up is False and lane.settings.lowering_on_request:
        # S12: it left its upper end without our order.
        return _uncommanded(lane, at_s)
    if passage.strangers > passage.strangers_told:
        return _tailgater(lane, at_s)
    if inputs.under_arm():
        if inputs.limit_up is False and inputs.limit_down is not True:
            return _reopen(lane, at_s)
        return lane, []
    if passage.parts == 0:
        if inputs.proven_down():
            # The controller closed by itself on nobody.
            lane = replace(lane, phase=Lowering(at_s, asked=False))
            return lane, [WakeAfter(Timer("arm", passage.number), lane.settings.arm_move_s)]
        return _watch_unused_raise(lane, at_s)
    if passage.cleared_s is None:
        return lane, []
    trailer_due = passage.trailer and passage.parts == 1 and passage.strangers == 0
    patience_s = max(lane.settings.clear_s, lane.settings.trailer_gap_s if trailer_due else 0.0)
    if at_s - passage.cleared_s < patience_s:
        return lane, []
    if passage.crossed_s is not None:
        return _lower(lane, at_s, [])
    if _still_here(lane, at_s, passage) and not _was_followed(lane.settings, passage):
        # It backed off the beam: nothing of it has crossed.
        return replace(lane, passage=replace(passage, parts=0)), []
    return _crossed(lane, at_s)


_MOSTLY_OFF = Decimal("0.6")
"""Of the ruled weight: below it, with another's plate or tag read, the first vehicle was leaving."""
_OFF = Decimal("0.25")
"""Below it the first vehicle had left: none keeps so little on the scale with its nose in the beam."""


def _was_followed(settings: LaneSettings, passage: Passage) -> bool:
    """S3: what weighs as much on the scale is not the vehicle that went through the beam, but the next."""
    gross_kg, lightest_kg = passage.gross_kg, passage.lightest_kg
    if lightest_kg is None:
        return False
    if gross_kg is None:
        # Let go unweighed (by hand, by the customs platform): an empty scale shows that it had left.
        return lightest_kg <= settings.presence_kg
    return lightest_kg < gross_kg * (_MOSTLY_OFF if passage.others_near else _OFF)


def _still_here(lane: Lane, at_s: float, passage: Passage) -> bool:
    """The beam cleared, but about the ruled weight is still on the scale: it backed off, did not cross."""
    if not _scale_known(lane, at_s):
        return lane.inputs.arrival is not False
    if not _scale_loaded(lane, at_s) or lane.scale_kg is None:
        return False
    if passage.gross_kg is None:
        return True
    return abs(lane.scale_kg - passage.gross_kg) <= max(
        lane.settings.steady_range_kg * 5, passage.gross_kg / 10
    )


def _watch_unused_raise(lane: Lane, at_s: float) -> tuple[Lane, list[Effect]]:
    """Released, and then reversed out: the arm comes down behind nobody; the use stays raised (S4)."""
    passage = lane.passage
    assert passage is not None  # noqa: S101  Passing always has one
    if lane.inputs.arrival is not False or _scale_loaded(lane, at_s):
        if _present(lane, at_s) and _left(lane, at_s, passage):
            # S3, S5: nobody was here and now somebody is. The arm is not up for this one.
            return _lower(lane, at_s, [], for_nobody=True)
        return replace(lane, passage=replace(passage, gone_since_s=None)), []
    if not _scale_known(lane, at_s):
        return lane, []
    if passage.gone_since_s is None:
        return replace(lane, passage=replace(passage, gone_since_s=at_s)), []
    if at_s - passage.gone_since_s < lane.settings.gone_s:
        return lane, []
    return _lower(lane, at_s, [], for_nobody=True)


def _crossed(lane: Lane, at_s: float) -> tuple[Lane, list[Effect]]:
    passage = lane.passage
    assert passage is not None  # noqa: S101  Passing always has one
    uses, crossed = _has_crossed(passage)
    passage = replace(passage, crossed_s=at_s, uses=uses)
    lane = replace(lane, passage=passage)
    return _lower(lane, at_s, crossed, uses=uses)


def _lower(
    lane: Lane, at_s: float, told: list[Told], *, uses: tuple[SlipUse, ...] = (), for_nobody: bool = False
) -> tuple[Lane, list[Effect]]:
    """Ask the arm down, or wait for the controller to do it; where S2 forbids it, wait for the next input.

    `for_nobody`: no vehicle crossed, so a controller that lowers behind vehicles will not do it by itself.
    """
    number = _number(lane)
    asks = lane.settings.can_lower and (lane.settings.lowering_on_request or for_nobody)
    if asks and not _may_lower(lane, at_s):
        return lane, [_commit(told, uses=uses)] if told or uses else []
    lane = replace(lane, phase=Lowering(at_s, asked=asks))
    if asks:
        told = [*told, _routine(LowerOrdered(passage=number))]
    not_after_s = lane.inputs_s + lane.settings.io_stale_s
    order: list[Effect] = [LowerArm(_lower_id(lane), not_after_s)] if asks else []
    return lane, [
        SetLights(green=False),
        _commit(told, uses=uses),
        *order,
        WakeAfter(Timer("arm", number), lane.settings.arm_move_s),
    ]


def _may_lower(lane: Lane, at_s: float) -> bool:
    """S2: never while a loop or photocell under the arm is occupied, unknown or stale."""
    fresh = at_s - lane.inputs_s <= lane.settings.io_stale_s
    return fresh and not lane.inputs.under_arm() and lane.inputs.fire is False and lane.inputs.stop is False


def _watch_lowering(lane: Lane, at_s: float) -> tuple[Lane, list[Effect]]:
    passage = lane.passage
    if lane.inputs.under_arm() and not lane.inputs.proven_down():
        return _reopen(lane, at_s)
    if not lane.inputs.proven_down():
        return lane, []
    if passage is None:
        lane = replace(lane, phase=Free())
        commit = _commit([])
        opened, more = _open_if_present(lane, at_s)
        return opened, [commit, *_free_effects(lane), *more]
    outcome = "crossed" if passage.crossed_s is not None else "backed_out"
    lane, effects = _close_passage(lane, at_s, outcome, uses=())
    opened, more = _open_if_present(lane, at_s)
    return opened, [*effects, *_free_effects(lane), *more]


def _reopen(lane: Lane, at_s: float) -> tuple[Lane, list[Effect]]:
    """S2: something is under a falling arm. Up at once; the record comes after."""
    passage = lane.passage
    if passage is None:
        number, order = 0, lane.reopenings + 1
    else:
        number, order = passage.number, passage.orders + 1
    order_id = f"{lane.settings.lane_id}-{lane.settings.run}-{number}-{order}"
    if passage is None:
        lane = replace(lane, phase=Shut("reopened", at_s), reopenings=order)
    else:
        passage = replace(passage, orders=order, cleared_s=None, gone_since_s=None)
        lane = replace(lane, phase=Passing(at_s, order_id), passage=passage)
    told = [
        _routine(RaiseOrdered(passage=number, order_id=order_id, purpose="safety")),
        _alarm(
            AlarmCode.SAFETY_REOPENED,
            number,
            _describe(lane.inputs),
            "落杆时检测到障碍 已升起",
            "Something under the falling arm; raised again",
        ),
    ]
    commit = _commit(told)
    return lane, [
        RaiseArm(order_id),
        commit,
        WakeAfter(Timer("arm", number), lane.settings.arm_move_s),
        WakeAfter(Timer("passing", number), lane.settings.passing_s),
    ]


def _describe(inputs: Inputs) -> str:
    return f"loop={inputs.arm_loop} beam={inputs.photocell} down={inputs.limit_down} up={inputs.limit_up}"


def _tailgater(lane: Lane, at_s: float) -> tuple[Lane, list[Effect]]:
    """S3: a second vehicle on one raising is an alarm and a fact; it is never prevented by lowering."""
    passage = lane.passage
    assert passage is not None  # noqa: S101  Passing always has one
    ungated = lane.next_passage
    lane = replace(lane, passage=replace(passage, strangers_told=passage.strangers), next_passage=ungated + 1)
    told = [
        _alarm(
            AlarmCode.TAILGATER,
            passage.number,
            f"vehicle {passage.strangers + 1} under the arm on order {passage.order_id}",
            "疑似跟车闯卡",
            "A second vehicle on one raising",
        ),
        _routine(PassageOpened(passage=ungated, gated=False)),
        _routine(PassageClosed(passage=ungated, outcome="ungated", lane_s=0.0)),
    ]
    commit = _commit(told)
    return lane, [SetLights(green=False), commit]


def _uncommanded(lane: Lane, at_s: float) -> tuple[Lane, list[Effect]]:
    """S12: the arm moved without our order."""
    return _shut(
        lane, at_s, "arm moved without an order", AlarmCode.UNCOMMANDED_MOVEMENT, _describe(lane.inputs)
    )


def _shut(lane: Lane, at_s: float, why: str, code: AlarmCode, detail: str) -> tuple[Lane, list[Effect]]:
    passage = lane.passage
    number = passage.number if passage is not None else None
    told = [
        _alarm(code, number, detail, f"通道关闭：{_WHY_ZH.get(why, why)}", f"Lane closed: {why}"),
        _routine(LaneClosed(why=why)),
    ]
    uses: tuple[SlipUse, ...] = ()
    effects: list[Effect] = []
    if passage is not None and not passage.order_id:
        if passage.claim_id:
            effects.append(WithdrawClaim(passage.claim_id))
            told.append(
                _routine(UsesReturned(passage=passage.number, use_ids=(), claim_id=passage.claim_id, why=why))
            )
        told.append(_routine(_closed(passage, at_s, "interrupted")))
        lane = replace(lane, passage=None)
    elif passage is not None and not passage.raise_seen:
        told.append(_routine(OrderInterrupted(passage=passage.number, order_id=passage.order_id, why=why)))
    elif passage is not None and _is_over(lane, at_s, passage):
        # It had crossed; only the wait before saying so was not over.
        uses, crossed = _has_crossed(passage)
        told += [*crossed, _routine(_closed(replace(passage, crossed_s=at_s), at_s, "crossed"))]
        lane = replace(lane, passage=None)
    lane = replace(lane, phase=Shut(why, at_s), ungated_beam=lane.inputs.photocell is True)
    commit = _commit(told, uses=uses)
    show = _text(Reason.LANE_CLOSED, "red")
    return lane, [SetLights(green=False), commit, *effects, show]


def _is_over(lane: Lane, at_s: float, passage: Passage) -> bool:
    """It went through the beam, is out of it again, and not back on the scale; nobody has said so yet."""
    return (
        passage.crossed_s is None
        and passage.parts > 0
        and not passage.blocked
        and (_was_followed(lane.settings, passage) or not _still_here(lane, at_s, passage))
    )


def _has_crossed(passage: Passage) -> tuple[tuple[SlipUse, ...], list[Told]]:
    """Its uses, crossed, and the fact that says so (S4)."""
    uses = tuple(replace_state(use, UseState.CROSSED) for use in passage.uses)
    crossed = VehicleCrossed(
        passage=passage.number,
        order_id=passage.order_id,
        use_ids=tuple(use.use_id for use in uses),
        claim_id=passage.claim_id,
    )
    return uses, [_routine(crossed)]


_WHY_ZH = {
    _CLOSED: "中心关闭",
    _REVOKED: "设备已被中心注销",
    "fire": "火警",
    "arm moved without an order": "道闸异常动作",
    "arm did not rise": "道闸未升起",
    "arm did not come down": "道闸未落下",
    "arm not proven down": "道闸位置不明",
    "relay refused": "道闸控制失败",
}


def _closed(passage: Passage, at_s: float, outcome: str) -> PassageClosed:
    return PassageClosed(
        passage=passage.number,
        outcome=outcome,
        lane_s=round(at_s - passage.opened_s, 3),
        stage_s=_stages(passage, at_s),
    )


def _watch_shut(lane: Lane, at_s: float) -> tuple[Lane, list[Effect]]:
    """Nobody is gated here, but every crossing is seen: the admitted vehicle's own, or an ungated passage."""
    beam = lane.inputs.photocell
    if beam is True and not lane.ungated_beam:
        return replace(lane, ungated_beam=True), []
    if beam is not False or not lane.ungated_beam:
        return lane, []
    lane = replace(lane, ungated_beam=False)
    passage = lane.passage
    # S6: after a restart nobody has shown that whoever crosses is the one the arm was up for. That one may
    # have gone, and another followed under the arm, while no program looked: an officer decides.
    known = passage is not None and not passage.resumes
    if passage is not None and known and passage.order_id and passage.crossed_s is None:
        uses, crossed = _has_crossed(passage)
        closed = _routine(_closed(replace(passage, crossed_s=at_s), at_s, "crossed"))
        lane = replace(lane, passage=None)
        commit = _commit([*crossed, closed], uses=uses)
        return lane, [commit]
    number = lane.next_passage
    lane = replace(lane, next_passage=number + 1)
    told = [
        _routine(PassageOpened(passage=number, gated=False)),
        _routine(PassageClosed(passage=number, outcome="ungated", lane_s=0.0)),
        _alarm(
            AlarmCode.UNGATED_CROSSING,
            number,
            _describe(lane.inputs),
            "车辆未经放行通过",
            "A vehicle crossed ungated",
        ),
    ]
    commit = _commit(told)
    return lane, [commit]


def _reset(lane: Lane, at_s: float, by: str) -> tuple[Lane, list[Effect]]:
    """An officer takes the lane back into service: only from Shut, never against fire or stop, and never a
    device that the centre has revoked."""
    if lane.revoked:
        return lane, []
    if not isinstance(lane.phase, Shut) or lane.inputs.fire is not False or lane.inputs.stop is not False:
        return lane, []
    told: list[Told] = [_routine(LaneReset(by=by))]
    passage = lane.passage
    if passage is not None:
        # Ordered and never seen to cross: the use stays raised until an officer disproves it (S4).
        outcome = "interrupted" if passage.crossed_s is None else "crossed"
        told.append(_routine(_closed(passage, at_s, outcome)))
        lane = replace(lane, passage=None)
    if lane.inputs.proven_down() or not _may_lower(lane, at_s):
        lane = replace(lane, phase=Waking(at_s))
        commit = _commit(told)
        woken, effects = _woken(lane, at_s)
        return woken, [commit, WakeAfter(Timer("waking", 0), lane.settings.arm_move_s), *effects]
    return _lower(lane, at_s, told, for_nobody=True)


def _order_failed(lane: Lane, at_s: float, order_id: str, why: str) -> tuple[Lane, list[Effect]]:
    if order_id == _lower_id(lane) and isinstance(lane.phase, Lowering) and lane.phase.asked:
        # It was not sent, or not taken: the arm is still up, and is asked down again when all is free (S2).
        if lane.passage is None:
            return replace(lane, phase=Waking(at_s)), [
                WakeAfter(Timer("waking", 0), lane.settings.arm_move_s)
            ]
        passing = WakeAfter(Timer("passing", _number(lane)), lane.settings.passing_s)
        return replace(lane, phase=Passing(at_s)), [passing]
    if not order_id or _rising(lane) != order_id:
        return lane, []
    return _shut(lane, at_s, "relay refused", AlarmCode.ARM_FAULT, why)


def _rising(lane: Lane) -> str:
    """The order the arm is on its way up by."""
    match lane.phase:
        case Raising():
            return lane.passage.order_id if lane.passage is not None else ""
        case Passing(_, reopening):
            return reopening
        case _:
            return ""


# --- devices ----------------------------------------------------------------------------------------------


def _silent(lane: Lane, at_s: float, device: str, why: str) -> tuple[Lane, list[Effect]]:
    if device in lane.silent:
        return lane, []
    lane = replace(lane, silent=lane.silent | {device})
    safety: list[Effect] = []
    told: list[Told] = [_routine(DeviceLost(device=device, role=_role(lane, device), why=why))]
    if device == "io":
        lane = replace(lane, inputs=UNKNOWN_INPUTS)
        if isinstance(lane.phase, Lowering):
            # S2: unknown counts as occupied; the order may not get through, the controller guards besides.
            lane, safety = _reopen(lane, at_s)
    told.append(
        _alarm(
            AlarmCode.DEVICE_LOST,
            None,
            f"{device}: {why}",
            f"设备无响应：{device}",
            f"Device silent: {device}",
        )
    )
    commit = _commit(told)
    effects: list[Effect] = [*safety, commit]
    if device in _missing_devices(lane) and isinstance(lane.phase, Free | Waking):
        effects.append(Show("设备故障 请换道", "Device fault, use another lane", "red"))
    if isinstance(lane.phase, Reading):
        lane, more = _rule_if_ready(lane, at_s)
        effects += more
    if device == "platform":
        lane, more = _platform_silent(lane, at_s, why)
        effects += more
    return lane, effects


def _spoke(lane: Lane, at_s: float, device: str) -> tuple[Lane, list[Effect]]:
    if device not in lane.silent:
        return lane, []
    lane = replace(lane, silent=lane.silent - {device})
    commit = _commit([_routine(DeviceBack(device=device, role=_role(lane, device)))])
    effects: list[Effect] = [commit]
    if isinstance(lane.phase, Free) and not _missing_devices(lane):
        effects += _free_effects(lane)
    lane, more = _look_again(lane, at_s)
    return lane, [*effects, *more]


def _role(lane: Lane, device: str) -> str:
    needs = lane.settings.devices.get(device)
    if needs is None or not (needs.required or needs.substitutes):
        return "optional"
    return "substitutable" if needs.substitutes else "required"


# --- the journal ------------------------------------------------------------------------------------------


def _write_failed(lane: Lane, at_s: float, why: str) -> tuple[Lane, list[Effect]]:
    """S1: what could not be recorded does not move. What has already happened waits to be written.

    Exactly what stood behind the commit was not performed. An admission or a claim did not happen; all else
    is asked again, so that no timer and no message is lost with a write.
    """
    failed, behind = lane.in_flight, lane.behind
    lane = replace(lane, in_flight=None, behind=())
    effects: list[Effect] = [WakeAfter(Timer("journal", 0), lane.settings.journal_retry_s)]
    if failed is None:
        return lane, effects
    facts, uses, passage = failed.facts, failed.uses, lane.passage
    not_moved = next((effect.order_id for effect in behind if isinstance(effect, RaiseArm)), None)
    not_asked = any(isinstance(effect, AskClaim) for effect in behind)
    if passage is not None and not_moved is not None:
        # The ruling and its order were never carried out: they did not happen. They are told as a pair.
        at = next(n for n, told in enumerate(facts) if _orders(told.data, not_moved))
        facts = tuple(_not_obeyed(told) for told in (*facts[: at - 1], *facts[at + 1 :]))
        uses = tuple(use for use in uses if use not in passage.uses)
        passage = replace(
            passage,
            order_id=passage.order_before,
            uses=passage.uses_before,
            raise_seen=bool(passage.order_before),
            officers=(),
        )
    facts, unkept = _bounded(facts, lane.unkept)
    lane = replace(
        lane,
        unwritten=facts,
        unkept=unkept,
        unwritten_uses=uses,
        unwritten_checks=tuple(dict.fromkeys(failed.spot_checks)),
        passage=passage,
    )
    if passage is not None and (not_moved is not None or not_asked):
        ruling = hold(Because(Reason.JOURNAL_FULL))
        lane = replace(lane, phase=Holding(ruling, at_s))
        refused = [AnswerPlatform(e.order_no, done=False) for e in behind if isinstance(e, AnswerPlatform)]
        lane, unsaid = _not_done(lane, behind)
        behind = (*(effect for effect in behind if isinstance(effect, WithdrawClaim)), *refused, *unsaid)
        effects += [
            SetLights(green=False),
            _ruling_text(ruling),
            WakeAfter(Timer("hold", passage.number), lane.settings.hold_s),
        ]
    # The centre hears of nothing done that is not durable: that answer waits with its fact.
    wait = tuple(e for e in behind if isinstance(e, AnswerCommand) and e.outcome is not Outcome.REFUSED)
    lane = replace(lane, unsaid=wait[-_MOST_COMMANDS:])
    # An arm left up is no safer than one lowered over a free loop; the fact waits in memory.
    effects += [
        e for e in behind if e not in wait and (not isinstance(e, LowerArm) or _may_lower(lane, at_s))
    ]
    return lane, effects


_MOST_SAID = 200
_MOST_UNWRITTEN = 2_000
"""G11: what waits in memory for a full disk has bounds, so that nobody who talks to the lane can fill it.
What was only said to it has little room, and none of what the lane itself did or saw."""

_SAID_ALARMS = frozenset({AlarmCode.INPUT_REFUSED, AlarmCode.PLATFORM_ORDER, AlarmCode.PLATFORM_LOST})
_OF_A_LANE = (
    Alarm,
    ArmRaised,
    DeviceBack,
    DeviceLost,
    LaneClosed,
    LaneReset,
    LaneStarted,
    LowerOrdered,
    OrderInterrupted,
    PassageClosed,
    PassageOpened,
    RaiseOrdered,
    RulingMade,
    UsesReturned,
    VehicleCrossed,
)


def _is_only_said(data: object) -> bool:
    if isinstance(data, Alarm):
        return data.code in _SAID_ALARMS
    # What the link has for the journal is none of the lane's own either.
    return not isinstance(data, _OF_A_LANE)


def _bounded(
    facts: tuple[Told, ...], unkept: tuple[tuple[str, int], ...]
) -> tuple[tuple[Told, ...], tuple[tuple[str, int], ...]]:
    """The oldest of each sort stay; what has no room is counted by kind."""
    room = {True: _MOST_SAID, False: _MOST_UNWRITTEN}
    kept: list[Told] = []
    lost = Counter(dict(unkept))
    for told in facts:
        if isinstance(told.data, Alarm) and told.data.code is AlarmCode.FACTS_LOST:
            # Told anew, with the numbers of then.
            continue
        said = _is_only_said(told.data)
        if room[said]:
            room[said] -= 1
            kept.append(told)
        else:
            lost[kind_of(told.data)] += 1
    return tuple(kept), tuple(lost.items())


def _told_lost(lane: Lane) -> tuple[Told, ...]:
    if not lane.unkept:
        return ()
    detail = ", ".join(f"{number} {kind}" for kind, number in lane.unkept)
    zh, en = "磁盘故障期间记录丢失", "Facts lost while nothing could be written"
    return (_alarm(AlarmCode.FACTS_LOST, None, detail[:300], zh, en),)


_NOT_RECORDED = "it could not be recorded"


def _not_obeyed(told: Told) -> Told:
    """The order of the platform or the centre that led to what did not happen."""
    match told.data:
        case PlatformOrderSeen():
            return _routine(replace(told.data, obeyed=False, why=_NOT_RECORDED))
        case CommandTaken():
            return _routine(replace(told.data, outcome=Outcome.REFUSED.value, why=_NOT_RECORDED))
        case _:
            return told


def _not_done(lane: Lane, behind: tuple[Effect, ...]) -> tuple[Lane, list[Effect]]:
    """S1: a release by command whose transaction failed was none, and the centre is told so."""
    said = {effect.command_id for effect in behind if isinstance(effect, AnswerCommand)}
    known = tuple(
        (each, Outcome.REFUSED, _NOT_RECORDED) if each in said else (each, outcome, why)
        for each, outcome, why in lane.commands
    )
    unsaid: list[Effect] = [AnswerCommand(each, Outcome.REFUSED, _NOT_RECORDED) for each in sorted(said)]
    return replace(lane, commands=known), unsaid


def _orders(data: object, order_id: str) -> bool:
    return isinstance(data, RaiseOrdered) and data.order_id == order_id


def _commit(
    told: list[Told],
    *,
    uses: tuple[SlipUse, ...] = (),
    spot_checks: tuple[PendingCheck, ...] = (),
    discharged: tuple[str, ...] = (),
) -> Commit:
    """A part of this step's transaction; `_seal` joins the parts and adds the memory a restart needs (S6)."""
    return Commit(tuple(told), None, uses, spot_checks, discharged)


def _latest(uses: tuple[SlipUse, ...]) -> tuple[SlipUse, ...]:
    return tuple({use.use_id: use for use in uses}.values())


def _memory(lane: Lane) -> Memory:
    passage = lane.passage
    name = type(lane.phase).__name__
    why = lane.phase.why if isinstance(lane.phase, Shut) else ""
    if passage is None:
        return Memory(
            next_passage=lane.next_passage,
            phase=name,
            shut_why=why,
            closing=lane.closing,
            revoked_key=lane.settings.key_id if lane.revoked else "",
            commands=tuple((each, outcome.value, said) for each, outcome, said in lane.commands),
        )
    return Memory(
        next_passage=lane.next_passage,
        phase=name,
        passage=passage.number,
        gated=passage.gated,
        plates=tuple(str(p) for p in passage.plates),
        tags=tuple(str(t) for t in passage.tags),
        order_id=passage.order_id,
        order_open=bool(passage.order_id) and not passage.raise_seen,
        claim_id=passage.claim_id,
        uses=passage.uses,
        purpose=passage.purpose,
        crossed=passage.crossed_s is not None,
        shut_why=why,
        closing=lane.closing,
        revoked_key=lane.settings.key_id if lane.revoked else "",
        commands=tuple((each, outcome.value, said) for each, outcome, said in lane.commands),
    )


# --- time -------------------------------------------------------------------------------------------------


def _time(lane: Lane, at_s: float, timer: Timer) -> tuple[Lane, list[Effect]]:
    """A timer of a passage that is over, or of a phase that has ended, changes nothing."""
    passage = lane.passage
    number = passage.number if passage is not None else 0
    match timer.name:
        case "waking":
            if (
                isinstance(lane.phase, Waking)
                and at_s - lane.phase.since_s >= lane.settings.arm_move_s * 0.99
            ):
                return _shut(
                    lane, at_s, "arm not proven down", AlarmCode.ARM_NOT_DOWN, _describe(lane.inputs)
                )
        case "reading":
            if timer.passage == number:
                return _rule_if_ready(lane, at_s, time_is_up=True)
        case "second_identity":
            return _rule_if_ready(lane, at_s)
        case "claim":
            if timer.passage == number:
                return _claim_unanswered(lane, at_s, asked=True)
        case "platform":
            if timer.passage == number:
                return _platform_silent(lane, at_s, "no answer in time")
        case "arm":
            return _arm_late(lane, at_s, timer)
        case "passing":
            if isinstance(lane.phase, Passing) and timer.passage == number:
                return _overstay(lane, at_s, timer, lane.settings.passing_s)
        case "hold":
            if timer.passage == number and _held(lane):
                return _overstay(lane, at_s, timer, lane.settings.hold_s)
        case "journal":
            if lane.unwritten:
                return lane, [_commit([]), WakeAfter(Timer("journal", 0), lane.settings.journal_retry_s)]
            return _look_again(lane, at_s)
        case "again":
            if timer.passage == number:
                return _again(lane, at_s, timer)
        case "board":
            return lane, [ShowOwnAgain()]
        case _:
            pass
    return lane, []


def _again(lane: Lane, at_s: float, timer: Timer) -> tuple[Lane, list[Effect]]:
    """Where it cannot be looked at just now (the signals flicker), it is the next time."""
    lane, effects = _look_again(lane, at_s)
    if isinstance(lane.phase, Holding) and _curable_by_time(lane.phase.ruling):
        effects = [WakeAfter(timer, lane.settings.again_s)]
    return lane, effects


def _held(lane: Lane) -> bool:
    """Looking at a hold again, or asking the hub again, does not end its time limit."""
    if isinstance(lane.phase, Reading | Consulting | Claiming):
        return lane.passage is not None and lane.passage.held is not None
    return isinstance(lane.phase, Holding)


def _arm_late(lane: Lane, at_s: float, timer: Timer) -> tuple[Lane, list[Effect]]:
    number = lane.passage.number if lane.passage is not None else 0
    limit_s = lane.settings.arm_move_s * 0.99
    if timer.passage != number:
        return lane, []
    match lane.phase:
        case Raising(since_s) | Passing(since_s) if _rising(lane) and at_s - since_s >= limit_s:
            return _shut(lane, at_s, "arm did not rise", AlarmCode.ARM_FAULT, _describe(lane.inputs))
        case Lowering(since_s) if at_s - since_s >= limit_s:
            return _shut(lane, at_s, "arm did not come down", AlarmCode.ARM_FAULT, _describe(lane.inputs))
        case _:
            return lane, []


def _overstay(lane: Lane, at_s: float, timer: Timer, again_s: float) -> tuple[Lane, list[Effect]]:
    """The time limit of a hold or an open arm: an alarm with an owner, repeated until it ends (S3, S9)."""
    passage = lane.passage
    assert passage is not None  # noqa: S101  the caller matched its number
    minutes = f"{at_s - passage.opened_s:.0f} s"
    told = [
        _alarm(
            AlarmCode.OVERSTAY,
            passage.number,
            minutes,
            "车辆滞留 请值班关员处理",
            "Vehicle overstays, officer on duty",
        )
    ]
    commit = _commit(told)
    return lane, [commit, WakeAfter(timer, again_s)]


# --- words ------------------------------------------------------------------------------------------------


def _routine(data: object) -> Told:
    return Told(Stream.ROUTINE, data)  # type: ignore[arg-type]


def _alarm(code: AlarmCode, passage: int | None, detail: str, zh: str, en: str) -> Told:
    return Told(Stream.ALARM, Alarm(code=code, passage=passage, detail=detail, zh=zh, en=en))


def _text(reason: Reason, colour: str) -> Show:
    text = TEXTS[reason]
    return Show(text.zh.replace("{detail}", ""), text.en.replace("{detail}", ""), colour)


def _ruling_text(ruling: Ruling) -> Show:
    first = ruling.reasons[0]
    colour = {"release": "green", "inspect": "amber", "hold": "red"}[ruling.verdict.value]
    return Show(first.zh(), first.en(), colour)
