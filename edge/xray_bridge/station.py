"""The X-ray station's machine: `step(station, at_s, event) -> (station, effects)`. Values only; no port,
clock, picture or randomness.

Everything that lets a parcel pass is decided in this file, and nowhere else:

- X1 kakou never energises the source, resets an emergency stop, or starts or reverses a belt; it reads
  states, may ask for a stop, and withholds the feed permit.
- X2 "pass" is one energised pulse per parcel; unpowered, silent or late means recheck.
- X3 killed at any instant it passes no unjudged parcel.

A parcel is known by where it is: its leading and trailing edge as they cut the portal's eye, corrected only
where an eye or the X-ray has seen that parcel itself. Times are monotonic seconds of the caller's clock,
positions millimetres of the belt's encoder.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from statistics import median
from typing import Final, assert_never

import msgspec

from edge.runtime.values import replace, value
from edge.xray_bridge.association import Expected, Found, Near, Span, Windows, associate, at_eye, owner_of
from edge.xray_bridge.effects import (
    Analyse,
    AnswerCommand,
    AnswerDesk,
    AskStop,
    CheckWedge,
    Commit,
    DropPicture,
    Effect,
    KeepEvidence,
    Light,
    LookUp,
    Memory,
    PermitFeed,
    Pulse,
    Resync,
    SavePicture,
    SetTower,
    TellStatus,
    Told,
    TriggerPortal,
    WakeAfter,
)
from edge.xray_bridge.events import (
    Analysed,
    AnalysisFailed,
    BeltRead,
    CodeRead,
    CommandCame,
    DeviceBack,
    DeviceLost,
    Event,
    EvidenceFailed,
    EvidenceKept,
    EvidenceShed,
    EyeSeen,
    GoodsFound,
    Judged,
    LinkSeen,
    NothingRead,
    NotPulsed,
    OfficerCame,
    OfficerLeft,
    PictureLost,
    PictureTaken,
    ResetAsked,
    Room,
    SaveAsked,
    Saved,
    Shown,
    Timer,
    TimerRang,
    Undone,
    WedgeAsked,
    WedgeChecked,
    WriteFailed,
)
from edge.xray_bridge.evidence.manifest import GoodsSaid, Said
from edge.xray_bridge.rules import JUDGE, Case, TriageRules, Way, bars, triage, whose
from edge.xray_bridge.values import (
    Analysis,
    Association,
    Chute,
    Eye,
    Goods,
    Layout,
    Region,
    Verdict,
)
from sync.policy.draws import second_look_due
from sync.vocabulary import commands
from sync.vocabulary import facts as fact
from sync.vocabulary import xray_facts as told_of
from sync.vocabulary.codec import to_json
from sync.vocabulary.commands import Command, Outcome
from sync.vocabulary.facts import Alarm, AlarmCode, CommandTaken, FactData, Stream
from sync.vocabulary.numbers import WaybillNo
from sync.vocabulary.xray_facts import (
    BeltChanged,
    DeskChanged,
    DivertOrdered,
    FeedChanged,
    JudgementUndone,
    ParcelGone,
    ParcelSeen,
    ParcelSorted,
    ParcelXRayed,
    PictureSaved,
    PictureSpoiled,
    PictureTold,
    RegionTold,
    RestDue,
    ShareTold,
    StationStarted,
    SuspectTold,
    WedgeJudged,
    XRayEvidenceKept,
    XRayEvidenceMissed,
    XRayEvidenceShed,
    XRayFileKept,
)
from sync.vocabulary.xray_reasons import TEXTS, Because, XRayReason

# --- what a station is told once --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StationSettings:
    """From the config. Every duration is a time limit, every distance in millimetres along the belt."""

    station_id: str
    layout: Layout
    windows: Windows = field(default_factory=Windows)
    triage: TriageRules = field(default_factory=TriageRules)
    version: str = ""
    config_digest: str = ""
    boot_id: str = ""
    key_id: str = ""
    """Of the device's key: a revoked station serves again only with another one."""
    chute_eyes: frozenset[Eye] = frozenset({Eye.PASS_CHUTE, Eye.FLAG_CHUTE, Eye.RECHECK_CHUTE})
    """Which of them are wired: a chute without one confirms nothing."""
    second_per_mille: int = 0
    """Of a thousand officers' judgements, how many another officer looks at too."""
    draw_key: bytes = field(default=b"", repr=False)
    """For that draw: the same key as for spot checks. Empty: nobody is drawn."""
    wedge_code: str = "KAKOU-WEDGE"
    wedge_valid_s: float = 86_400.0
    not_waybills: frozenset[str] = frozenset({"EAN13", "EAN8", "UPCA", "UPCE", "ISBN"})
    """Symbologies of goods: never a waybill's code."""
    waybill_shape: str = ""
    """A regular expression a waybill number must match besides; empty: any will do."""
    reaction_mm: float = 100.0
    margin_s: float = 0.5
    """A verdict must be there so far, and so long, before the parcel is at the diverter's eye."""
    pulse_within_s: float = 0.2
    """From the sight of the leading edge to the pulse: later it would move something else."""
    divert_gap_mm: float = 50.0
    """Nearer parcels may go the same way whatever is asked: one drags the other along."""
    divert_s: float = 0.5
    """So long the pulse lasts: what comes to the diverter meanwhile goes the same way."""
    chute_window_mm: float = 400.0
    """How far from `chute_mm` a chute's eye may see the parcel."""
    gone_mm: float = 300.0
    """A parcel that is not at the diverter so far behind its place is gone."""
    max_speed_mm_s: float = 2_000.0
    """A position that moves faster is no movement: the counter jumped."""
    belt_stale_s: float = 0.6
    tick_s: float = 0.25
    undo_s: float = 5.0
    floor_s: float = 1.5
    """A median judging time below this is no looking."""
    floor_least: int = 10
    """From so many judgements on."""
    pause_s: float = 60.0
    """So long the feed is withheld for it."""
    rotation_s: float = 1_200.0
    rest_s: float = 300.0
    """Whoever comes back sooner has not rested."""
    most_waiting: int = 6
    """More parcels for officers than this withhold the feed, until half of them are judged."""
    most_parcels: int = 200
    most_pictures: int = 96


# --- the state --------------------------------------------------------------------------------------------


@value(frozen=True, slots=True)
class Judgement:
    officer: str
    desk: str
    verdict: Verdict
    category: str
    note: str
    regions: tuple[Region, ...]
    took_s: float
    at_s: float


@value(frozen=True, slots=True)
class Parcel:
    """One parcel from the portal to a chute: all that is known of it, and nothing of any other."""

    number: int
    leading_mm: float
    trailing_mm: float | None = None
    """None: still in the portal's eye."""
    entered: str = "portal"
    off_mm: float = 0.0
    """How far behind its place it was where it was last seen: it is expected so far behind from there on."""
    settled: bool = False
    """All codes that can be its own have been read, and its neighbours are known."""
    read: str = ""
    texts: tuple[str, ...] = ()
    waybill_no: str = ""
    request: int = 0
    looked_up: bool = False
    goods: Goods | None = None
    wedge: bool = False
    composed: bool = False
    too_close: bool = False
    twice: bool = False
    picture: str = ""
    association: Association | None = None
    match: PictureTold | None = None
    analysis: Analysis | None = None
    analysis_failed: str = ""
    analyse_asked: bool = False
    waits: bool = False
    """For an officer."""
    reasons: tuple[Because, ...] = ()
    """Of the triage, the weightiest first."""
    first: Judgement | None = None
    """Drawn for a second look: this was the first one."""
    judged: Judgement | None = None
    verdict: Verdict | None = None
    by: str = ""
    machine: ParcelXRayed | None = None
    told: ParcelXRayed | None = None
    """The last that was told of it."""
    told_s: float = 0.0
    doubt: Because | None = None
    """Something happened to it or to the belt: it cannot pass any more, whatever was judged."""
    seen_by_xray: bool = False
    diverter_mm: float | None = None
    """Where the belt stood when its leading edge was at the diverter."""
    ordered: Chute | None = None
    seen_s: float = 0.0

    def end_mm(self) -> float:
        return self.trailing_mm if self.trailing_mm is not None else self.leading_mm


@value(frozen=True, slots=True)
class Over:
    """A parcel that has left the belt, for what comes too late."""

    number: int
    waybill_no: str
    leading_mm: float
    trailing_mm: float
    picture: str


@value(frozen=True, slots=True)
class Kept:
    """A picture in memory."""

    parcel: int
    waybill_no: str
    keep_class: str = "routine"


@value(frozen=True, slots=True)
class CodeSeen:
    """At the portal; `text` empty: nothing was read, `why` says it."""

    at_mm: float
    text: str
    symbology: str = ""
    why: str = ""


@value(frozen=True, slots=True)
class Desk:
    """An officer at a desk, here or remote."""

    desk: str
    officer: str
    may_judge: bool
    remote: bool
    since_s: float
    told_rest_s: float
    parcel: int = 0
    """In hand; 0: none."""
    shown_s: float | None = None
    """Since when its picture is on the screen."""
    offered_s: float = 0.0
    ahead: int = 0
    """The next one, to be fetched already."""
    last: int = 0
    """The one before: it may be taken back, or judged too late."""
    times: tuple[float, ...] = ()
    """Judging times, the last ones."""
    judged: int = 0
    paused_until_s: float = 0.0

    def median_s(self) -> float | None:
        return median(self.times) if self.times else None


@value(frozen=True, slots=True)
class Counts:
    """Parcels ended since the start."""

    passed: int = 0
    passed_by_machine: int = 0
    flagged: int = 0
    recheck: int = 0
    late: int = 0
    gone: int = 0
    added: int = 0
    pictures: int = 0


@value(frozen=True, slots=True)
class Station:
    """The whole state of a station."""

    settings: StationSettings
    belt: BeltRead | None = None
    belt_s: float = -1e9
    belt_mm: float | None = None
    """None: not known now."""
    far_mm: float = float("-inf")
    """The farthest the belt has been."""
    last_mm: float | None = None
    """The last position known, whatever came between."""
    last_s: float = -1e9
    origin: int = 0
    speed_mm_s: float = 0.0
    top_mm_s: float = 0.0
    """The belt's usual pace: a belt that starts again is as fast as ever before a pulse is over."""
    going_back: bool = False
    state_told: str = ""
    parcels: tuple[Parcel, ...] = ()
    """In the order of the belt, first come first."""
    over: tuple[Over, ...] = ()
    codes: tuple[CodeSeen, ...] = ()
    blocked: dict[Eye, float] = {}  # noqa: RUF012  as it runs, a struct: each gets its own
    """Eyes something cuts now, and where the belt stood when it began."""
    jammed: frozenset[Eye] = frozenset()
    chute_mm: dict[Eye, float] = {}  # noqa: RUF012
    """Up to here what a chute's eye sees is still the parcel it saw last."""
    desks: tuple[Desk, ...] = ()
    rested: tuple[tuple[str, float, float], ...] = ()
    """(officer, at work since, left at) of those who left lately."""
    pictures: dict[str, Kept] = {}  # noqa: RUF012
    next_parcel: int = 1
    requests: int = 0
    lost: frozenset[str] = frozenset()
    room_ok: bool = True
    closed: str = ""
    revoked: bool = False
    fault: str = ""
    """A diverter that does what it was not asked to: nothing passes before an officer has looked."""
    wedge_until_s: float = -1e9
    wedge_calibration: str = ""
    wedge_next: bool = False
    permit: bool | None = None
    feed_reasons: tuple[str, ...] = ()
    crowded: bool = False
    light: Light | None = None
    due_mm: float = float("-inf")
    """As long as the belt is before it, and the parcels are `due_for`, nothing is due by position."""
    due_for: tuple[Parcel, ...] | None = None
    clear_at_mm: float | None = None
    """What lay on the belt when we did not watch is gone from here on."""
    clearing: bool = True
    leftover: int = 0
    """Parcels from before, told as recheck already, that will still come to the diverter."""
    trigger: bool = False
    online: bool = False
    offs: tuple[float, ...] = ()
    slip_told: bool = False
    counts: Counts = Counts()
    commands: tuple[tuple[str, Outcome, str], ...] = ()
    journal_ok: bool = True
    in_flight: Commit | None = None
    """The commit of the last step: durable unless the very next event is `WriteFailed`."""
    behind: tuple[Effect, ...] = ()
    unwritten: tuple[Told, ...] = ()
    unwritten_lost: int = 0
    unsaid: tuple[AnswerCommand, ...] = ()
    """Answers to the centre whose facts are not written yet."""


Step = tuple[Station, tuple[Effect, ...]]
Acts = list[Effect]

_MOST_COMMANDS = 64
_MOST_OVER = 64
_MOST_CODES = 512
_MOST_DESKS = 32
_MOST_TIMES = 20
_MOST_UNWRITTEN = 5_000
_SAME_PLACE_MM = 5.0
_PACE_FORGOTTEN_MM = 20_000.0
"""After so much belt half of a pace is forgotten; standing forgets nothing."""
_BEFORE_COMMIT = PermitFeed | AskStop | SetTower


def woken(settings: StationSettings, at_s: float, memory: Memory | None, down_s: float | None = None) -> Step:
    """`memory` as it was last written, `down_s` seconds ago (None: no clock can tell).

    X3: whatever was on the belt goes to recheck, and nothing passes before one full length of it has gone by.
    """
    station = Station(settings=settings)
    effects: Acts = [PermitFeed(False), SetTower(Light.RED)]
    open_numbers: tuple[int, ...] = ()
    told: list[Told] = []
    if memory is not None:
        open_numbers = memory.on_belt
        left_s = memory.wedge_left_s - down_s if down_s is not None else 0.0
        closed, revoked = memory.closed, bool(memory.revoked_key)
        if revoked and memory.revoked_key != settings.key_id:
            closed, revoked = "", False
        station = replace(
            station,
            next_parcel=memory.next_parcel,
            wedge_until_s=at_s + left_s if left_s > 0 else -1e9,
            wedge_calibration=memory.wedge_calibration,
            closed=closed,
            revoked=revoked,
            commands=tuple((each, Outcome(outcome), why) for each, outcome, why in memory.commands),
            leftover=len(open_numbers),
        )
        told = [each for number in open_numbers for each in _ended_by_restart(memory, number)]
        told += [
            _routine(XRayEvidenceMissed(parcel=number, picture=picture, why=XRayReason.RESTARTED.value))
            for number, picture in memory.pictures
        ]
    started = StationStarted(
        version=settings.version,
        config_digest=settings.config_digest,
        boot_id=settings.boot_id,
        on_belt=len(open_numbers),
    )
    effects += [
        Commit((_routine(started), *told)),
        WakeAfter(Timer.TICK, settings.tick_s),
    ]
    station = replace(station, permit=False, light=Light.RED)
    station, more = _feed(station, at_s)
    return _seal(station, at_s, [*effects, *more])


def _ended_by_restart(memory: Memory, number: int) -> list[Told]:
    """Of one whose pulse was ordered nobody knows whether it was given: judged it was, and it says so."""
    waybill_no = dict(memory.waybills).get(number, "")
    ordered = dict(memory.ordered).get(number, "")
    why = XRayReason.RESTARTED.value
    if ordered:
        verdict = Verdict.PASSED if ordered == Chute.PASS.value else Verdict.FLAGGED
        return [
            _routine(
                ParcelSorted(
                    parcel=number,
                    waybill_no=waybill_no,
                    verdict=verdict.value,
                    ordered=ordered,
                    confirmed=False,
                    why=why,
                )
            )
        ]
    recheck = Verdict.RECHECK.value
    return [
        _routine(
            ParcelXRayed(parcel=number, waybill_no=waybill_no, verdict=recheck, by="default", reasons=(why,))
        ),
        _routine(
            ParcelSorted(
                parcel=number,
                waybill_no=waybill_no,
                verdict=recheck,
                ordered=Chute.RECHECK.value,
                confirmed=False,
                why=why,
            )
        ),
    ]


# --- the step ---------------------------------------------------------------------------------------------


def step(station: Station, at_s: float, event: Event) -> Step:
    """One event. Never raises, whatever the order of events; effects come in the order to perform them.

    A failed commit must come back as `WriteFailed` before any other event: its step is not over.
    """
    if station.in_flight is not None and not isinstance(event, WriteFailed):
        station = replace(station, in_flight=None, behind=(), journal_ok=True)
    before = station
    station, effects = _take(station, at_s, event)
    if _nothing_new(before, station, effects, event):
        return station, ()
    station, more = _due(station, at_s)
    effects += more
    station = _offered(station, at_s)
    station, more = _feed(station, at_s)
    return _seal(station, at_s, effects + more)


def noted(station: Station, at_s: float, told: Told) -> Step:
    """What another room has to tell, for the journal: it moves nothing. As a step of its own, so that a write
    that fails is this one's, and not taken for the step's before."""
    station = replace(station, in_flight=None, behind=(), journal_ok=True)
    station, more = _feed(station, at_s)
    return _seal(station, at_s, [Commit((told,)), *more])


def _nothing_new(before: Station, station: Station, effects: Acts, event: Event) -> bool:
    """A look at the belt that only says that it moved on a little: most of all events."""
    if effects or not isinstance(event, BeltRead) or station.belt_mm is None or before.belt is None:
        return False
    return (
        station.parcels is station.due_for
        and station.belt_mm < station.due_mm
        and before.belt_mm is not None
        and before.belt.emergency is event.emergency
        and before.clearing is station.clearing
        and before.journal_ok is station.journal_ok
    )


def _seal(station: Station, at_s: float, effects: Acts) -> Step:
    """All commits of one step are one transaction: what withholds comes before it, everything else behind."""
    told = [each for effect in effects if isinstance(effect, Commit) for each in effect.facts]
    if not any(isinstance(effect, Commit) for effect in effects):
        return station, tuple(effects)
    whole = Commit((*station.unwritten, *told), _memory(station, at_s))
    safe = tuple(effect for effect in effects if _withholds(effect))
    behind = (
        *(e for e in effects if not isinstance(e, Commit) and not _withholds(e)),
        *station.unsaid,
    )
    station = replace(station, in_flight=whole, behind=behind, unwritten=(), unsaid=())
    return station, (*safe, whole, *behind)


def _withholds(effect: Effect) -> bool:
    match effect:
        case PermitFeed(permitted):
            return not permitted
        case SetTower() | AskStop():
            return True
        case _:
            return False


def _take(station: Station, at_s: float, event: Event) -> tuple[Station, Acts]:
    match event:
        case BeltRead():
            return _belt(station, at_s, event)
        case EyeSeen():
            return _eye(station, at_s, event)
        case CodeRead(text, belt_mm, symbology):
            return _code(station, text, belt_mm, symbology, "")
        case NothingRead(belt_mm, why):
            return _code(station, "", belt_mm, "", why or "no_read")
        case PictureTaken():
            return _picture(station, at_s, event)
        case PictureLost(why, leading_mm, trailing_mm):
            spoiled = PictureSpoiled(why=why, leading_mm=leading_mm, trailing_mm=trailing_mm)
            return station, [_commit(spoiled)]
        case Analysed(picture, number, analysis):
            return _analysed(station, at_s, picture, number, analysis, "")
        case AnalysisFailed(picture, number, why):
            return _analysed(station, at_s, picture, number, None, why or "failed")
        case GoodsFound():
            return _goods(station, at_s, event)
        case Judged():
            return _judged(station, at_s, event)
        case Undone():
            return _undone(station, at_s, event)
        case Shown(number, picture, desk):
            return _shown(station, at_s, number, picture, desk), []
        case OfficerCame():
            return _came(station, at_s, event)
        case OfficerLeft(desk, officer, why):
            return _left(station, at_s, desk, officer, why)
        case SaveAsked():
            return _save_asked(station, event)
        case Saved():
            return _saved(station, event)
        case WedgeAsked(on, officer, desk, command):
            return _wedge_asked(station, desk, officer, on, command)
        case WedgeChecked():
            return _wedge_checked(station, at_s, event)
        case ResetAsked(officer, desk, command):
            return _reset(station, desk, officer, command)
        case EvidenceKept():
            return _evidence_kept(station, event)
        case EvidenceFailed(number, picture, why):
            return _evidence_failed(station, number, picture, why)
        case EvidenceShed():
            return station, [_commit(_shed(event))]
        case Room(ok):
            return _room(station, ok, event.free_bytes)
        case DeviceLost(device, why):
            return _lost(station, device, why)
        case DeviceBack(device):
            return _back(station, device)
        case LinkSeen(online):
            return replace(station, online=online), []
        case CommandCame(command):
            return _commanded(station, command)
        case NotPulsed(number):
            return _not_pulsed(station, at_s, number)
        case WriteFailed(why):
            return _write_failed(station, why)
        case TimerRang():
            return _tick(station, at_s)
        case _:
            assert_never(event)


# --- the belt ---------------------------------------------------------------------------------------------


def _belt(station: Station, at_s: float, read: BeltRead) -> tuple[Station, Acts]:
    if read.belt_mm is None:
        station = replace(station, belt=read, belt_s=at_s)
        return _belt_unknown(station, "not known")
    if station.last_mm is not None and _jumped(station, at_s, read.origin, read.belt_mm):
        station, effects = _belt_lost(station, at_s, f"{station.last_mm:.0f} to {read.belt_mm:.0f} mm")
    else:
        effects = []
    before_mm, before_s = station.last_mm, station.last_s
    back_mm = station.far_mm - read.belt_mm
    far_mm = max(station.far_mm, read.belt_mm)
    speed = station.speed_mm_s
    if before_mm is not None and at_s > before_s:
        share = min(1.0, (at_s - before_s) / 0.5)
        speed += share * ((read.belt_mm - before_mm) / (at_s - before_s) - speed)
    moved_mm = abs(read.belt_mm - before_mm) if before_mm is not None else 0.0
    top = max(speed, station.top_mm_s * 0.5 ** (moved_mm / _PACE_FORGOTTEN_MM))
    station = replace(
        station,
        belt=read,
        belt_s=at_s,
        belt_mm=read.belt_mm,
        last_mm=read.belt_mm,
        last_s=at_s,
        far_mm=far_mm,
        origin=read.origin,
        speed_mm_s=speed,
        top_mm_s=top,
        going_back=read.forward is False or back_mm > _SAME_PLACE_MM,
    )
    if station.clearing and station.clear_at_mm is None:
        layout, longest_mm = station.settings.layout, station.settings.windows.longest_mm
        length_mm = layout.diverter_mm + layout.chute_mm + longest_mm
        station = replace(station, clear_at_mm=read.belt_mm + length_mm)
    if station.clear_at_mm is not None and far_mm >= station.clear_at_mm:
        station = replace(station, clear_at_mm=None, clearing=False, leftover=0)
    station, more = _belt_state(station)
    effects += more
    station, more = _jams(station)
    return station, effects + more


def _jumped(station: Station, at_s: float, origin: int, belt_mm: float) -> bool:
    """S7 of a position: a counter that was lost, or moves as no belt does, is no position."""
    if origin != station.origin:
        return True
    assert station.last_mm is not None  # noqa: S101  the caller asked
    allowed_mm = station.settings.max_speed_mm_s * max(0.0, at_s - station.last_s) + 2 * _SAME_PLACE_MM
    return abs(belt_mm - station.last_mm) > allowed_mm


def _belt_unknown(station: Station, why: str) -> tuple[Station, Acts]:
    """An edge may be missed now: what lies on the belt passes no more."""
    if station.belt_mm is None and station.state_told == "unknown":
        return station, []
    station = replace(station, belt_mm=None, blocked={}, jammed=frozenset(), state_told="unknown")
    station, effects = _all_in_doubt(station, Because(XRayReason.BELT_UNKNOWN))
    changed = BeltChanged(state="unknown", detail=why)
    return station, [_commit(changed), *effects]


def _belt_lost(station: Station, at_s: float, why: str) -> tuple[Station, Acts]:
    """Positions before and after cannot be compared: nobody knows any more where any parcel is. As after a
    restart, the belt has to be cleared."""
    effects: Acts = [_commit(BeltChanged(state="unknown", detail=f"position jumped: {why}"))]
    effects.append(_alarm(AlarmCode.BELT_FAULT, why, "皮带位置跳变", "The belt's position jumped"))
    leftover = len(station.parcels)
    for parcel in station.parcels:
        station, more = _ended(station, at_s, parcel, "", XRayReason.BELT_UNKNOWN)
        effects += more
    station = replace(
        station,
        over=(),
        codes=(),
        blocked={},
        jammed=frozenset(),
        chute_mm={},
        far_mm=float("-inf"),
        clearing=True,
        clear_at_mm=None,
        leftover=leftover,
    )
    return station, effects


def _belt_state(station: Station) -> tuple[Station, Acts]:
    """What it does is told when it changes."""
    belt = station.belt
    if belt is None:
        return station, []
    if belt.emergency:
        state = "emergency"
    elif belt.running is None or belt.forward is None:
        state = "unknown"
    elif belt.running and station.going_back and not belt.forward:
        state = "reversed"
    elif belt.running:
        state = "running"
    else:
        state = "stopped"
    if state == station.state_told:
        return station, []
    station = replace(station, state_told=state)
    effects: Acts = [_commit(BeltChanged(state=state, belt_mm=belt.belt_mm))]
    if state == "emergency":
        effects.append(_alarm(AlarmCode.BELT_FAULT, state, "急停", "Emergency stop"))
    return station, effects


def _jams(station: Station) -> tuple[Station, Acts]:
    """An eye that is cut for longer than any parcel: they pile up, or lie over one another."""
    belt_mm = station.belt_mm
    if belt_mm is None or not station.blocked:
        return station, []
    longest_mm = station.settings.windows.longest_mm
    stuck = [eye for eye, since_mm in station.blocked.items() if belt_mm - since_mm > longest_mm]
    new = [eye for eye in stuck if eye not in station.jammed]
    if not new:
        return station, []
    station = replace(station, jammed=station.jammed | frozenset(new))
    station, effects = _all_in_doubt(station, Because(XRayReason.JAM, new[0].value))
    where = ", ".join(eye.value for eye in new)
    return station, [
        AskStop(f"jam: {where}"),
        _commit(BeltChanged(state="jam", belt_mm=belt_mm, detail=where)),
        _alarm(AlarmCode.BELT_FAULT, where, f"卡包：{where}", f"Jam: {where}"),
        *effects,
    ]


def _all_in_doubt(station: Station, because: Because) -> tuple[Station, Acts]:
    parcels = tuple(p if p.doubt is not None else replace(p, doubt=because) for p in station.parcels)
    return replace(station, parcels=parcels), []


# --- eyes -------------------------------------------------------------------------------------------------


def _eye(station: Station, at_s: float, seen: EyeSeen) -> tuple[Station, Acts]:
    effects: Acts = []
    if seen.belt_mm is None or seen.origin != station.origin or station.belt_mm is None:
        # An edge without a place is nobody's.
        return _belt_unknown(station, f"{seen.eye.value} without a position")
    edge_mm = seen.belt_mm - seen.within_mm / 2
    old = seen.belt_mm < station.far_mm - _SAME_PLACE_MM
    station = replace(station, far_mm=max(station.far_mm, seen.belt_mm))
    blocked = {eye: mm for eye, mm in station.blocked.items() if eye is not seen.eye}
    if seen.blocked:
        blocked[seen.eye] = edge_mm
    station = replace(station, blocked=blocked, jammed=station.jammed - {seen.eye})
    match seen.eye:
        case Eye.PORTAL:
            return _at_portal(station, at_s, seen.blocked, edge_mm, old=old)
        case Eye.XRAY:
            return _at_xray(station, seen.blocked, edge_mm), effects
        case Eye.DIVERTER:
            if seen.blocked:
                return _at_diverter(station, at_s, edge_mm, at_s - seen.ago_s)
            return _behind_diverter(station, edge_mm)
        case Eye.PASS_CHUTE | Eye.FLAG_CHUTE | Eye.RECHECK_CHUTE:
            return _in_chute(station, at_s, seen.eye, edge_mm) if seen.blocked else (station, effects)
        case _:
            assert_never(seen.eye)


def _at_portal(
    station: Station, at_s: float, blocked: bool, edge_mm: float, *, old: bool
) -> tuple[Station, Acts]:
    windows = station.settings.windows
    last = _last_of_portal(station)
    if old or station.going_back:
        # The belt ran back: what is seen again is no other parcel (no re-trigger).
        known = [p for p in station.parcels if p.entered == "portal" and _edge_near(p, edge_mm, windows)]
        if known or not blocked:
            return station, []
        station, parcel = _opened(station, at_s, edge_mm, "portal")
        parcel = replace(parcel, doubt=Because(XRayReason.BELT_REVERSED))
        return _inserted(station, parcel), [TriggerPortal(True)]
    if not blocked:
        if last is None or last.trailing_mm is not None:
            return station, []
        if edge_mm - last.leading_mm < windows.shortest_mm:
            gone = tuple(p for p in station.parcels if p.number != last.number)
            return replace(station, parcels=gone, wedge_next=station.wedge_next or last.wedge), []
        return _put(station, replace(last, trailing_mm=edge_mm)), []
    if last is not None and last.trailing_mm is None:
        return station, []
    gap_mm = edge_mm - last.end_mm() if last is not None else float("inf")
    close = gap_mm < windows.least_gap_mm
    if close and last is not None and windows.near is Near.COMPOSE and not last.settled:
        return _put(station, replace(last, trailing_mm=None, composed=True)), []
    station, parcel = _opened(station, at_s, edge_mm, "portal")
    if close and last is not None and windows.near is Near.DISCARD:
        parcel = replace(parcel, too_close=True)
        station = _put(station, replace(last, too_close=True))
    return _inserted(station, parcel), [TriggerPortal(True)]


def _edge_near(parcel: Parcel, edge_mm: float, windows: Windows) -> bool:
    near_mm = windows.window_mm / 2
    return abs(edge_mm - parcel.leading_mm) <= near_mm or abs(edge_mm - parcel.end_mm()) <= near_mm


def _last_of_portal(station: Station) -> Parcel | None:
    for parcel in reversed(station.parcels):
        if parcel.entered == "portal":
            return parcel
    return None


def _opened(station: Station, at_s: float, leading_mm: float, entered: str) -> tuple[Station, Parcel]:
    wedge = station.wedge_next and entered == "portal"
    parcel = Parcel(
        number=station.next_parcel, leading_mm=leading_mm, entered=entered, wedge=wedge, seen_s=at_s
    )
    station = replace(
        station, next_parcel=station.next_parcel + 1, wedge_next=station.wedge_next and not wedge
    )
    return station, parcel


def _inserted(station: Station, parcel: Parcel) -> Station:
    """At its place: usually the last."""
    before = [p for p in station.parcels if p.leading_mm <= parcel.leading_mm]
    behind = [p for p in station.parcels if p.leading_mm > parcel.leading_mm]
    return replace(station, parcels=(*before, parcel, *behind))


def _put(station: Station, parcel: Parcel) -> Station:
    parcels = tuple(parcel if p.number == parcel.number else p for p in station.parcels)
    return replace(station, parcels=parcels)


def _parcel(station: Station, number: int) -> Parcel | None:
    for parcel in station.parcels:
        if parcel.number == number:
            return parcel
    return None


def _at_xray(station: Station, blocked: bool, edge_mm: float) -> Station:
    """It was still there: a picture that does not come was lost, not the parcel."""
    if not blocked:
        return station
    at = at_eye(
        station.settings.windows.window_mm, _expected(station, station.settings.layout.xray_mm), edge_mm
    )
    parcel = _parcel(station, at.number) if at.number is not None else None
    return station if parcel is None else _put(station, replace(parcel, seen_by_xray=True))


def _expected(station: Station, place_mm: float) -> list[Expected]:
    return [
        Expected(p.number, p.leading_mm + p.off_mm + place_mm, p.end_mm() + p.off_mm + place_mm)
        for p in station.parcels
    ]


# --- codes ------------------------------------------------------------------------------------------------


def _code(
    station: Station, text: str, belt_mm: float | None, symbology: str, why: str
) -> tuple[Station, Acts]:
    """Kept until all parcels it could belong to are known."""
    if belt_mm is None or station.belt_mm is None:
        return station, []
    windows = station.settings.windows
    code = CodeSeen(belt_mm - windows.reader_mm, text[:200], symbology, why)
    if any(_again(code, before) for before in station.codes):
        return station, []
    if len(station.codes) >= _MOST_CODES:
        # One of those that must make way may be the second code of a parcel that is taken for one-coded.
        doubt = Because(XRayReason.TWO_CODES, "too many codes")
        for each in [p for p in station.parcels if not p.settled and p.doubt is None]:
            station = _put(station, replace(each, doubt=doubt))
    station = replace(station, codes=(*station.codes, code)[-_MOST_CODES:])
    if not text or not _is_waybill(station.settings, code):
        return station, []
    number = owner_of(windows, _portal_spans(station), code.at_mm)
    parcel = _parcel(station, number) if number is not None else None
    if parcel is None or not parcel.settled or text in parcel.texts or parcel.doubt is not None:
        return station, []
    # It came late, and the parcel has another number, or none.
    return _put(station, replace(parcel, doubt=Because(XRayReason.TWO_CODES, text))), []


def _again(code: CodeSeen, before: CodeSeen) -> bool:
    """The same at the same place: readers and cameras say it many times."""
    same = (code.text, code.symbology, code.why) == (before.text, before.symbology, before.why)
    return same and abs(code.at_mm - before.at_mm) <= _SAME_PLACE_MM


def _portal_spans(station: Station) -> list[Span]:
    return [Span(p.number, p.leading_mm, p.trailing_mm) for p in station.parcels if p.entered == "portal"]


def _is_waybill(settings: StationSettings, code: CodeSeen) -> bool:
    kind = code.symbology.upper().replace("-", "").replace("_", "").replace(" ", "")
    if kind in settings.not_waybills or WaybillNo.parse(code.text) is None:
        return False
    return not settings.waybill_shape or re.fullmatch(settings.waybill_shape, code.text) is not None


def _settled(station: Station, at_s: float, parcel: Parcel) -> tuple[Station, Acts]:
    """Its codes are those nearest to it and to no other; then the records are asked."""
    settings, windows = station.settings, station.settings.windows
    spans = _portal_spans(station)
    mine = [c for c in station.codes if owner_of(windows, spans, c.at_mm) == parcel.number]
    texts = tuple(dict.fromkeys(c.text for c in mine if c.text))
    waybills = tuple(dict.fromkeys(c.text for c in mine if c.text and _is_waybill(settings, c)))
    wedge = parcel.wedge or settings.wedge_code in texts
    request = 0
    if wedge:
        read, waybill_no = "read", ""
    elif len(waybills) == 1:
        read, waybill_no = "read", waybills[0]
        request = station.requests + 1
    elif waybills:
        read, waybill_no = "two_codes", ""
    elif texts:
        read, waybill_no = "not_a_waybill", ""
    else:
        failed = [c.why for c in mine if c.why]
        read, waybill_no = ("garbled" if "garbled" in failed else "no_read"), ""
    station = replace(station, requests=max(station.requests, request))
    twins = [p for p in station.parcels if waybill_no and p.waybill_no == waybill_no]
    parcel = replace(
        parcel,
        settled=True,
        read=read,
        texts=texts,
        waybill_no=waybill_no,
        request=request,
        looked_up=request == 0,
        wedge=wedge,
        twice=bool(twins),
    )
    for twin in twins:
        station = _put(station, replace(twin, twice=True))
    station = _put(station, parcel)
    if all(p.settled for p in station.parcels):
        codes = tuple(c for c in station.codes if c.at_mm > parcel.end_mm())
        station = replace(station, codes=codes)
    seen = _seen(parcel)
    effects: Acts = [_commit(seen)]
    if request:
        effects.append(LookUp(parcel.number, request, waybill_no))
    station, more = _ready(station, at_s, parcel.number)
    return station, effects + more


def _seen(parcel: Parcel) -> ParcelSeen:
    return ParcelSeen(
        parcel=parcel.number,
        entered=parcel.entered,
        leading_mm=parcel.leading_mm,
        trailing_mm=parcel.trailing_mm,
        waybill_no=parcel.waybill_no,
        read=parcel.read,
        texts=parcel.texts,
    )


def _goods(station: Station, at_s: float, found: GoodsFound) -> tuple[Station, Acts]:
    parcel = _parcel(station, found.parcel)
    if parcel is None or parcel.request != found.request or parcel.looked_up:
        return station, []
    goods = found.goods
    if goods is not None and goods.waybill_no != parcel.waybill_no:
        goods = None
    station = _put(station, replace(parcel, looked_up=True, goods=goods))
    return _ready(station, at_s, parcel.number)


# --- pictures ---------------------------------------------------------------------------------------------


def _picture(station: Station, at_s: float, taken: PictureTaken) -> tuple[Station, Acts]:
    if taken.picture in station.pictures:
        return station, []
    spans = [Span(o.number, o.leading_mm, o.trailing_mm, bool(o.picture), True) for o in station.over]
    spans += [
        Span(p.number, p.leading_mm, p.trailing_mm, p.association is not None)
        for p in station.parcels
        if p.entered == "portal" or p.entered == "x_ray"
    ]
    found = associate(
        station.settings.windows,
        spans,
        taken.leading_mm,
        taken.trailing_mm,
        taken.acquisition,
        taken.objects,
    )
    effects: Acts = []
    parcel = _parcel(station, found.parcel)
    mine = parcel is not None and not parcel.picture
    match = _told_match(taken, found, parcel)
    effects.append(_commit(match))
    station = replace(station, counts=replace(station.counts, pictures=station.counts.pictures + 1))
    for number in found.spoils:
        station, more = _spoiled(station, at_s, number, found)
        effects += more
    if parcel is not None:
        parcel = _parcel(station, parcel.number) or parcel
        parcel = replace(
            parcel,
            picture=parcel.picture or taken.picture,
            match=match,
            association=found.association if mine else parcel.association,
            off_mm=found.off_mm if found.off_mm is not None else parcel.off_mm,
            seen_by_xray=True,
        )
        station = _put(station, parcel)
    else:
        station, more = _unclaimed(station, at_s, taken, found, match)
        effects += more
        parcel = _parcel(station, station.next_parcel - 1) if more else None
        mine = parcel is not None and parcel.picture == taken.picture
    owner = parcel.number if parcel is not None and mine else 0
    kept = Kept(owner, parcel.waybill_no if parcel is not None and owner else "")
    station = replace(station, pictures=station.pictures | {taken.picture: kept})
    if not owner:
        said = to_json(_said_of_picture(station, match))
        effects.append(
            KeepEvidence(taken.picture, 0, "", found.association, Verdict.RECHECK, msgspec.Raw(said), "held")
        )
    station, more = _too_many_pictures(station)
    effects += more
    if owner:
        station, more = _ready(station, at_s, owner)
        effects += more
    return station, effects


def _told_match(taken: PictureTaken, found: Found, parcel: Parcel | None) -> PictureTold:
    return PictureTold(
        picture=taken.picture,
        association=found.association.value,
        parcel=found.parcel,
        candidates=found.candidates[:32],
        waybill_no=parcel.waybill_no if parcel is not None else "",
        leading_mm=taken.leading_mm,
        trailing_mm=taken.trailing_mm,
        off_mm=found.off_mm,
        length_off_mm=found.length_off_mm,
        window_mm=found.window_mm,
        acquisition=taken.acquisition.value,
        why=found.why,
    )


def _spoiled(station: Station, at_s: float, number: int, found: Found) -> tuple[Station, Acts]:
    """It had a picture that seemed its own: now another lies there too."""
    parcel = _parcel(station, number)
    if parcel is None:
        return station, []
    association = Association.SPLIT if found.association is Association.SPLIT else Association.AMBIGUOUS
    station = _put(station, replace(parcel, association=association))
    return _not_to_pass(station, at_s, number, Because(_WHY_NOT[association]))


_WHY_NOT: Final[dict[Association, XRayReason]] = {
    Association.AMBIGUOUS: XRayReason.AMBIGUOUS,
    Association.UNMATCHED: XRayReason.UNMATCHED,
    Association.MERGED: XRayReason.MERGED,
    Association.SPLIT: XRayReason.SPLIT,
}


def _unclaimed(
    station: Station, at_s: float, taken: PictureTaken, found: Found, match: PictureTold
) -> tuple[Station, Acts]:
    """Nobody's for certain: those it may be of pass no more; one that nobody knows was put on by hand."""
    effects: Acts = []
    for number in found.candidates:
        parcel = _parcel(station, number)
        if parcel is None or parcel.association is not None:
            continue
        slipped = found.association is Association.UNMATCHED and found.why == "off_position"
        parcel = replace(
            parcel,
            association=found.association,
            match=match,
            off_mm=found.off_mm if slipped and found.off_mm is not None else parcel.off_mm,
            seen_by_xray=True,
        )
        station = _put(station, parcel)
    leading_mm, trailing_mm = taken.leading_mm, taken.trailing_mm
    if found.why != "nobody_there" or leading_mm is None or trailing_mm is None or station.belt_mm is None:
        return station, effects
    gone_mm = leading_mm + station.settings.layout.diverter_mm + station.settings.gone_mm
    if station.belt_mm > gone_mm:
        return station, effects
    if station.leftover and station.clearing:
        return station, effects
    station, parcel = _opened(station, at_s, leading_mm, "x_ray")
    parcel = replace(
        parcel,
        trailing_mm=trailing_mm,
        settled=True,
        looked_up=True,
        read="no_read",
        picture=taken.picture,
        association=Association.UNMATCHED,
        match=match,
        seen_by_xray=True,
    )
    station, more = _added(_inserted(station, parcel), parcel)
    return station, effects + more


def _added(station: Station, parcel: Parcel) -> tuple[Station, Acts]:
    where = parcel.entered
    station = replace(station, counts=replace(station.counts, added=station.counts.added + 1))
    return station, [
        _commit(_seen(parcel)),
        _alarm(
            AlarmCode.PARCEL_ADDED,
            f"parcel {parcel.number} at {where}",
            "皮带上多出一个未过条码门的包裹",
            "A parcel was put on the belt behind the portal",
        ),
    ]


def _too_many_pictures(station: Station) -> tuple[Station, Acts]:
    effects: Acts = []
    while len(station.pictures) > station.settings.most_pictures:
        oldest = next(iter(station.pictures))
        kept = station.pictures[oldest]
        rest = {each: k for each, k in station.pictures.items() if each != oldest}
        station = replace(station, pictures=rest)
        missed = XRayEvidenceMissed(parcel=kept.parcel, picture=oldest, why="too many pictures in memory")
        effects += [_commit(missed), DropPicture(oldest)]
    return station, effects


def _ready(station: Station, at_s: float, number: int) -> tuple[Station, Acts]:
    """Picture and records are there: it is analysed, and then it is known what becomes of it."""
    parcel = _parcel(station, number)
    if parcel is None or not parcel.settled or not parcel.looked_up or parcel.verdict is not None:
        return station, []
    if parcel.association is not Association.MATCHED or parcel.picture not in station.pictures:
        return station, []
    if parcel.wedge:
        if parcel.analyse_asked:
            return station, []
        station = _put(station, replace(parcel, analyse_asked=True))
        return station, [CheckWedge(parcel.picture)]
    if parcel.analysis is None and not parcel.analysis_failed:
        if parcel.analyse_asked:
            return station, []
        station = _put(station, replace(parcel, analyse_asked=True))
        return station, [Analyse(parcel.picture, parcel.number, parcel.goods)]
    if parcel.waits:
        return station, []
    return _triaged(station, at_s, parcel)


def _analysed(
    station: Station, at_s: float, picture: str, number: int, analysis: Analysis | None, why: str
) -> tuple[Station, Acts]:
    parcel = _parcel(station, number)
    if parcel is None or parcel.picture != picture or parcel.analysis is not None:
        return station, []
    if analysis is not None and analysis.picture != picture:
        return station, []
    station = _put(station, replace(parcel, analysis=analysis, analysis_failed=why))
    return _ready(station, at_s, number)


def _case(station: Station, at_s: float, parcel: Parcel) -> Case:
    return Case(
        association=parcel.association,
        read=parcel.read,
        goods=parcel.goods,
        analysis=parcel.analysis,
        analysis_failed=parcel.analysis_failed,
        wedge_valid=wedge_valid(station, at_s),
        wedge_calibration=station.wedge_calibration,
        too_close=parcel.too_close,
        composed=parcel.composed,
        added=parcel.entered != "portal",
        twice=parcel.twice and not _pieces(parcel),
    )


def wedge_valid(station: Station, at_s: float) -> bool:
    return at_s < station.wedge_until_s


def _triaged(station: Station, at_s: float, parcel: Parcel) -> tuple[Station, Acts]:
    ruled = triage(station.settings.triage, _case(station, at_s, parcel))
    parcel = replace(parcel, reasons=ruled.reasons)
    if ruled.way is Way.PASS and parcel.doubt is not None:
        return _decided(station, at_s, parcel, Verdict.RECHECK, "default", (parcel.doubt,))
    match ruled.way:
        case Way.PASS:
            return _decided(station, at_s, parcel, Verdict.PASSED, "machine", ruled.reasons)
        case Way.RECHECK:
            return _decided(station, at_s, parcel, Verdict.RECHECK, "default", ruled.reasons)
        case Way.OFFICER:
            return _put(station, replace(parcel, waits=True)), []
        case _:
            assert_never(ruled.way)


# --- verdicts ---------------------------------------------------------------------------------------------


def _decided(
    station: Station,
    at_s: float,
    parcel: Parcel,
    verdict: Verdict,
    by: str,
    reasons: tuple[Because, ...],
    judgement: Judgement | None = None,
) -> tuple[Station, Acts]:
    """Told first; it moves something only when its leading edge is at the diverter."""
    told = _x_rayed(station, at_s, parcel, verdict, by, reasons, judgement)
    parcel = replace(
        parcel,
        verdict=verdict,
        by=by,
        waits=False,
        judged=judgement if judgement is not None else parcel.judged,
        machine=told if by == "machine" else parcel.machine,
        told=told,
        told_s=at_s,
    )
    station = _out_of_hands(_put(station, parcel), parcel.number)
    return station, [_commit(told)]


def _x_rayed(
    station: Station,
    at_s: float,
    parcel: Parcel,
    verdict: Verdict,
    by: str,
    reasons: tuple[Because, ...],
    judgement: Judgement | None = None,
    *,
    late: bool = False,
) -> ParcelXRayed:
    analysis, goods = parcel.analysis, parcel.goods
    said = judgement if judgement is not None else parcel.judged
    first = parcel.first
    return ParcelXRayed(
        parcel=parcel.number,
        waybill_no=parcel.waybill_no,
        picture=parcel.picture,
        association=parcel.association.value if parcel.association is not None else "",
        verdict=verdict.value,
        by=by,
        reasons=tuple(because.words() for because in reasons),
        officer=judgement.officer if judgement is not None else "",
        desk=judgement.desk if judgement is not None else "",
        second_of=first.officer if first is not None and judgement is not None else "",
        category=said.category if said is not None else "",
        note=said.note if said is not None else "",
        regions=_regions(said.regions) if said is not None else (),
        suspects=_suspects(analysis),
        shares=_shares(analysis),
        mass_kg=analysis.mass_kg if analysis is not None else None,
        length_mm=analysis.length_mm if analysis is not None else None,
        score=analysis.compared.score if analysis is not None else None,
        compared_on=analysis.compared.on.value if analysis is not None else "",
        references=analysis.compared.references if analysis is not None else 0,
        calibration=analysis.calibration if analysis is not None else "",
        wedge_valid=wedge_valid(station, at_s),
        control_versions=goods.control_versions if goods is not None else (),
        drawn=goods.drawn if goods is not None else False,
        recall_nos=goods.recalls if goods is not None else (),
        records_epoch=goods.records_epoch if goods is not None else "",
        records_number=goods.records_number if goods is not None else 0,
        records_age_s=goods.records_age_s if goods is not None else None,
        took_s=judgement.took_s if judgement is not None else None,
        late=late,
    )


def _regions(regions: tuple[Region, ...]) -> tuple[RegionTold, ...]:
    return tuple(
        RegionTold(r.box.left, r.box.top, r.box.width, r.box.height, r.category[:200], r.note[:1000])
        for r in regions[: told_of.MAX_REGIONS]
    )


def _suspects(analysis: Analysis | None) -> tuple[SuspectTold, ...]:
    if analysis is None:
        return ()
    return tuple(
        SuspectTold(
            code=s.code,
            zh=s.words.zh,
            en=s.words.en,
            z=s.z,
            left=s.box.left if s.box is not None else None,
            top=s.box.top if s.box is not None else None,
            width=s.box.width if s.box is not None else None,
            height=s.box.height if s.box is not None else None,
        )
        for s in analysis.suspects[: told_of.MAX_SUSPECTS]
    )


def _shares(analysis: Analysis | None) -> tuple[ShareTold, ...]:
    if analysis is None:
        return ()
    return tuple(
        ShareTold(s.material.value, s.area_share, s.mass_kg) for s in analysis.shares[: told_of.MAX_SHARES]
    )


def _not_to_pass(station: Station, at_s: float, number: int, because: Because) -> tuple[Station, Acts]:
    """Whatever was judged: it goes to recheck, and that is told. What was flagged stays flagged."""
    parcel = _parcel(station, number)
    if parcel is None or parcel.ordered is not None:
        return station, []
    if parcel.doubt is None:
        parcel = replace(parcel, doubt=because)
        station = _put(station, parcel)
    if parcel.verdict is Verdict.FLAGGED or parcel.verdict is Verdict.RECHECK:
        return station, []
    return _decided(station, at_s, parcel, Verdict.RECHECK, "default", (because, *parcel.reasons))


# --- what is due where the belt is now --------------------------------------------------------------------


def deadline_mm(station: Station, parcel: Parcel) -> float:
    """Where the belt will stand when it is too late to lead this parcel elsewhere."""
    settings = station.settings
    reaction_mm = max(settings.reaction_mm, station.speed_mm_s * settings.margin_s)
    return parcel.leading_mm + parcel.off_mm + settings.layout.diverter_mm - reaction_mm


def left_s(station: Station, parcel: Parcel) -> float | None:
    """Seconds until then at the belt's present speed; None where it stands or is not known."""
    if station.belt_mm is None or station.speed_mm_s < 1.0:
        return None
    return (deadline_mm(station, parcel) - station.belt_mm) / station.speed_mm_s


def _due(station: Station, at_s: float) -> tuple[Station, Acts]:
    belt_mm = station.belt_mm
    if belt_mm is None or (station.parcels is station.due_for and belt_mm < station.due_mm):
        return station, []
    effects: Acts = []
    settings, windows = station.settings, station.settings.windows
    # From here on whatever comes is too far behind to bear on this parcel's codes, or to be composed with it.
    behind_mm = max(2 * windows.code_mm, 2 * windows.code_within_mm, windows.least_gap_mm)
    settle_mm = max(0.0, windows.reader_mm) + behind_mm + _SAME_PLACE_MM
    reaction_mm = max(settings.reaction_mm, station.speed_mm_s * settings.margin_s)
    diverter_mm = settings.layout.diverter_mm
    for parcel in station.parcels:
        here_mm = belt_mm - parcel.leading_mm - parcel.off_mm
        if (
            not parcel.settled
            and parcel.trailing_mm is not None
            and belt_mm >= parcel.trailing_mm + settle_mm
        ):
            station, more = _settled(station, at_s, parcel)
            effects += more
        if here_mm < diverter_mm - reaction_mm:
            continue
        if parcel.diverter_mm is None:
            station, more = _due_at_diverter(station, at_s, parcel.number, here_mm)
        else:
            station, more = _due_in_chute(station, at_s, parcel.number, belt_mm)
        effects += more
    if len(station.parcels) > settings.most_parcels:
        station, more = _ended(station, at_s, station.parcels[0], "", XRayReason.NOT_AT_DIVERTER)
        effects += more
    return replace(station, due_for=station.parcels, due_mm=_next_due_mm(station, settle_mm)), effects


_LOOK_AGAIN_MM = 300.0
"""At the latest so far on it is looked again, since what is due depends on the belt's speed."""


def _next_due_mm(station: Station, settle_mm: float) -> float:
    """Where the belt may be before anything is due again, if nothing but the belt changes."""
    assert station.belt_mm is not None  # noqa: S101  the caller asked
    settings = station.settings
    diverter_mm, behind_mm = settings.layout.diverter_mm, settings.layout.chute_mm + settings.chute_window_mm
    early_mm = max(settings.reaction_mm, settings.max_speed_mm_s * settings.margin_s)
    due_mm = station.belt_mm + _LOOK_AGAIN_MM
    for parcel in station.parcels:
        if not parcel.settled and parcel.trailing_mm is not None:
            due_mm = min(due_mm, parcel.trailing_mm + settle_mm)
        if parcel.diverter_mm is not None:
            due_mm = min(due_mm, parcel.diverter_mm + behind_mm)
        elif parcel.verdict is not None:
            due_mm = min(due_mm, parcel.leading_mm + parcel.off_mm + diverter_mm + settings.gone_mm)
        else:
            due_mm = min(due_mm, parcel.leading_mm + parcel.off_mm + diverter_mm - early_mm)
    return due_mm


def _due_at_diverter(station: Station, at_s: float, number: int, here_mm: float) -> tuple[Station, Acts]:
    effects: Acts = []
    parcel = _parcel(station, number)
    if parcel is None:
        return station, effects
    if parcel.verdict is None:
        station, effects = _overdue(station, at_s, parcel)
        parcel = _parcel(station, number) or parcel
    settings = station.settings
    if here_mm <= settings.layout.diverter_mm + settings.gone_mm:
        return station, effects
    if Eye.DIVERTER in station.blocked:
        # Behind another one, without a gap: it was not seen, but it is there.
        station, more = _ended(station, at_s, parcel, "", XRayReason.NOT_AT_DIVERTER)
    else:
        station, more = _gone(station, at_s, parcel)
    return station, effects + more


def _overdue(station: Station, at_s: float, parcel: Parcel) -> tuple[Station, Acts]:
    """Nobody judged it in time: recheck, and why."""
    reasons: tuple[Because, ...]
    if parcel.wedge:
        reasons = (Because(XRayReason.WEDGE),)
    elif parcel.doubt is not None:
        reasons = (parcel.doubt, *parcel.reasons)
    elif parcel.first is not None:
        reasons = (Because(XRayReason.SECOND_MISSING), *parcel.reasons)
    elif parcel.waits:
        reasons = (Because(XRayReason.OVERDUE), *parcel.reasons)
        station = replace(station, counts=replace(station.counts, late=station.counts.late + 1))
    else:
        reasons = whose(_case(station, at_s, parcel)) or (Because(XRayReason.NOT_ANALYSED),)
    return _decided(station, at_s, parcel, Verdict.RECHECK, "default", reasons)


def _gone(station: Station, at_s: float, parcel: Parcel) -> tuple[Station, Acts]:
    """It did not come: taken off by hand, or stuck."""
    after = "x_ray" if parcel.seen_by_xray else "portal"
    effects: Acts = []
    if parcel.verdict is Verdict.PASSED:
        station, effects = _not_to_pass(station, at_s, parcel.number, Because(XRayReason.NOT_AT_DIVERTER))
        parcel = _parcel(station, parcel.number) or parcel
    gone = ParcelGone(parcel=parcel.number, waybill_no=parcel.waybill_no, after=after)
    effects += [
        _commit(gone),
        _alarm(
            AlarmCode.PARCEL_REMOVED,
            f"parcel {parcel.number} {parcel.waybill_no} after {after}",
            "皮带上少了一个包裹",
            "A parcel is missing from the belt",
        ),
    ]
    station = replace(station, counts=replace(station.counts, gone=station.counts.gone + 1))
    station, more = _forgotten(station, at_s, parcel)
    return station, effects + more


# --- the diverter -----------------------------------------------------------------------------------------


def _at_diverter(station: Station, at_s: float, edge_mm: float, sight_s: float) -> tuple[Station, Acts]:
    """X2: one pulse for one parcel, when its own leading edge is here. Every doubt means none.

    `sight_s`: when the edge was seen, which may be before it was told."""
    settings = station.settings
    at = at_eye(settings.windows.diverter_mm, _expected(station, settings.layout.diverter_mm), edge_mm)
    parcel = _parcel(station, at.number) if at.number is not None else None
    if parcel is None:
        return _nobody_for_certain(station, at_s, edge_mm, at.candidates)
    if parcel.diverter_mm is not None:
        # The belt ran back: it has been here before, and had its pulse or not.
        return station, []
    off_mm = at.off_mm if at.off_mm is not None else 0.0
    parcel = replace(parcel, diverter_mm=edge_mm, off_mm=parcel.off_mm + off_mm)
    station = _put(station, parcel)
    return _led(station, at_s, parcel, edge_mm, off_mm, sight_s)


def _led(
    station: Station, at_s: float, parcel: Parcel, edge_mm: float, off_mm: float, sight_s: float
) -> tuple[Station, Acts]:
    effects: Acts = []
    if parcel.verdict is None:
        station, effects = _overdue(station, at_s, parcel)
        parcel = _parcel(station, parcel.number) or parcel
    chute = _chute_of(station, parcel)
    if chute is Chute.RECHECK:
        return station, effects
    against = _against(station, at_s, parcel, chute)
    if against is not None:
        station, more = _not_to_pass(station, at_s, parcel.number, against)
        return station, effects + more
    ordered = DivertOrdered(
        parcel=parcel.number,
        waybill_no=parcel.waybill_no,
        chute=chute.value,
        belt_mm=edge_mm,
        off_mm=off_mm,
    )
    station = _put(station, replace(parcel, ordered=chute))
    pulse = Pulse(chute, parcel.number, sight_s + station.settings.pulse_within_s)
    return station, [*effects, _commit(ordered), pulse]


def _not_pulsed(station: Station, at_s: float, number: int) -> tuple[Station, Acts]:
    """X2: what was not sent is recheck, and the record says so."""
    parcel = _parcel(station, number)
    if parcel is None:
        return station, []
    station = _put(station, replace(parcel, ordered=None))
    return _not_to_pass(station, at_s, number, Because(XRayReason.NOT_PULSED))


def _chute_of(station: Station, parcel: Parcel) -> Chute:
    """Where its verdict sends it."""
    match parcel.verdict:
        case Verdict.PASSED:
            return Chute.PASS
        case Verdict.FLAGGED if station.settings.layout.has_flag_chute:
            return Chute.FLAG
        case _:
            return Chute.RECHECK


def _against(station: Station, at_s: float, parcel: Parcel, chute: Chute) -> Because | None:
    """Why nothing is energised for it, whatever its verdict; None only if nothing speaks against it."""
    belt = station.belt
    if station.closed or station.fault:
        return Because(XRayReason.CLOSED, station.closed or station.fault)
    if station.clearing:
        return Because(XRayReason.CLEARING)
    if not station.journal_ok or station.unwritten:
        return Because(XRayReason.NOT_RECORDED)
    if belt is None or station.belt_mm is None or at_s - station.belt_s > station.settings.belt_stale_s:
        return Because(XRayReason.BELT_UNKNOWN)
    if belt.emergency is not False:
        return Because(XRayReason.EMERGENCY)
    if belt.running is not True:
        return Because(XRayReason.BELT_STOPPED)
    if belt.forward is not True or station.going_back:
        return Because(XRayReason.BELT_REVERSED)
    if parcel.doubt is not None:
        return parcel.doubt
    if parcel.association is not Association.MATCHED:
        return Because(XRayReason.UNMATCHED)
    if parcel.twice and not _pieces(parcel):
        return Because(XRayReason.WAYBILL_TWICE)
    if _held_up_before(station, parcel):
        return Because(XRayReason.TWO_AT_DIVERTER)
    return _neighbours(station, parcel, chute)


def _held_up_before(station: Station, parcel: Parcel) -> bool:
    """One that should have been here before and was not seen: this may be it, held up."""
    place_mm = parcel.leading_mm + parcel.off_mm
    return any(
        other.diverter_mm is None
        and 0.0 < place_mm - other.leading_mm - other.off_mm <= station.settings.windows.slip_mm
        for other in station.parcels
    )


def _pieces(parcel: Parcel) -> bool:
    """Several parcels under one waybill were declared."""
    return parcel.goods is not None and parcel.goods.pieces > 1


def _neighbours(station: Station, parcel: Parcel, chute: Chute) -> Because | None:
    """What lies so near goes along: only if it goes there anyway."""
    settings = station.settings
    gap_mm = settings.divert_gap_mm
    pulse_mm = max(station.speed_mm_s, station.top_mm_s) * (settings.divert_s + settings.pulse_within_s)
    leading_mm, trailing_mm = parcel.leading_mm + parcel.off_mm, parcel.end_mm() + parcel.off_mm
    for other in station.parcels:
        if other.number == parcel.number:
            continue
        before = leading_mm - other.end_mm() - other.off_mm
        behind = other.leading_mm + other.off_mm - trailing_mm
        during = 0.0 <= other.leading_mm + other.off_mm - leading_mm < pulse_mm
        if max(before, behind) >= gap_mm and not during:
            continue
        goes = other.ordered if other.diverter_mm is not None else _goes(station, other)
        if goes is not chute:
            return Because(XRayReason.NEIGHBOUR_ELSEWHERE, str(other.number))
    return None


def _goes(station: Station, parcel: Parcel) -> Chute:
    return Chute.RECHECK if parcel.doubt is not None else _chute_of(station, parcel)


def _nobody_for_certain(
    station: Station, at_s: float, edge_mm: float, candidates: tuple[int, ...]
) -> tuple[Station, Acts]:
    """An edge that is not certainly one parcel's moves nothing. Who it most likely was is only booked."""
    effects: Acts = []
    why = Because(XRayReason.TWO_AT_DIVERTER if len(candidates) > 1 else XRayReason.NOT_AT_DIVERTER)
    for number in candidates:
        station, more = _not_to_pass(station, at_s, number, why)
        effects += more
    settings = station.settings
    place_mm = edge_mm - settings.layout.diverter_mm
    seen_before = [p for p in station.parcels if p.diverter_mm is not None]
    if any(abs((p.diverter_mm or 0.0) - edge_mm) <= settings.windows.diverter_mm for p in seen_before):
        return station, effects
    likely = [
        p
        for p in station.parcels
        if p.diverter_mm is None
        and p.leading_mm + p.off_mm - settings.windows.diverter_mm <= place_mm
        and place_mm <= p.leading_mm + p.off_mm + settings.gone_mm
    ]
    if likely:
        parcel = min(likely, key=lambda p: abs(p.leading_mm + p.off_mm - place_mm))
        station, more = _not_to_pass(station, at_s, parcel.number, why)
        effects += more
        parcel = _parcel(station, parcel.number) or parcel
        slipped_mm = place_mm - parcel.leading_mm
        station = _put(station, replace(parcel, diverter_mm=edge_mm, off_mm=slipped_mm))
        return station, effects
    if station.clearing and station.leftover > 0:
        return replace(station, leftover=station.leftover - 1), effects
    station, parcel = _opened(station, at_s, place_mm, "diverter")
    parcel = replace(
        parcel, trailing_mm=place_mm, settled=True, looked_up=True, read="no_read", diverter_mm=edge_mm
    )
    station, more = _added(_inserted(station, parcel), parcel)
    effects += more
    reasons = (Because(XRayReason.ADDED), Because(XRayReason.NO_PICTURE))
    station, more = _decided(station, at_s, parcel, Verdict.RECHECK, "default", reasons)
    return station, effects + more


def _behind_diverter(station: Station, edge_mm: float) -> tuple[Station, Acts]:
    """The trailing edge: one that is longer than it was hides another, which may have gone along."""
    here = [p for p in station.parcels if p.diverter_mm is not None]
    if not here or station.going_back:
        return station, []
    parcel = max(here, key=lambda p: p.diverter_mm or 0.0)
    if parcel.entered == "diverter" and parcel.diverter_mm is not None:
        length_mm = edge_mm - parcel.diverter_mm
        return _put(station, replace(parcel, trailing_mm=parcel.leading_mm + max(0.0, length_mm))), []
    length_mm = edge_mm - (parcel.diverter_mm or 0.0)
    longer_mm = length_mm - (parcel.end_mm() - parcel.leading_mm)
    if parcel.ordered is None or longer_mm <= station.settings.windows.length_mm:
        return station, []
    expected = [p for p in station.parcels if p.diverter_mm is None and _goes(station, p) is parcel.ordered]
    if any(p.leading_mm + p.off_mm + station.settings.layout.diverter_mm < edge_mm for p in expected):
        return station, []
    detail = f"parcel {parcel.number}: {longer_mm:.0f} mm longer at the diverter"
    return station, [
        _alarm(
            AlarmCode.PARCEL_ADDED,
            detail,
            "分拣口包裹变长，可能有包裹随行",
            "Longer at the diverter: another parcel may have gone along",
        )
    ]


# --- chutes -----------------------------------------------------------------------------------------------

_CHUTE_OF: Final[dict[Eye, Chute]] = {
    Eye.PASS_CHUTE: Chute.PASS,
    Eye.FLAG_CHUTE: Chute.FLAG,
    Eye.RECHECK_CHUTE: Chute.RECHECK,
}
_EYE_OF: Final[dict[Chute, Eye]] = {chute: eye for eye, chute in _CHUTE_OF.items()}


def _in_chute(station: Station, at_s: float, eye: Eye, edge_mm: float) -> tuple[Station, Acts]:
    """分拣确认: the parcel whose time it is; where several could be, the one that was sent here."""
    settings, chute = station.settings, _CHUTE_OF[eye]
    if edge_mm <= station.chute_mm.get(eye, float("-inf")):
        return station, []
    near = [
        p
        for p in station.parcels
        if p.diverter_mm is not None
        and abs(edge_mm - p.diverter_mm - settings.layout.chute_mm) <= settings.chute_window_mm
    ]
    sent = [p for p in near if (p.ordered or Chute.RECHECK) is chute]
    if not near:
        return _nobodys_in_chute(station, chute, edge_mm)
    parcel = min(sent or near, key=lambda p: abs(edge_mm - (p.diverter_mm or 0.0) - settings.layout.chute_mm))
    length_mm = max(_SAME_PLACE_MM, parcel.end_mm() - parcel.leading_mm)
    station = replace(station, chute_mm=station.chute_mm | {eye: edge_mm + length_mm})
    return _ended(station, at_s, parcel, chute.value, None)


def _nobodys_in_chute(station: Station, chute: Chute, edge_mm: float) -> tuple[Station, Acts]:
    """Nothing was on its way there: nothing passes any more before an officer has looked."""
    if chute is not Chute.PASS or station.clearing or station.fault:
        return station, []
    detail = f"nobody's parcel seen in {chute.value} at {edge_mm:.0f} mm"
    return replace(station, fault="diverter"), [
        _alarm(
            AlarmCode.WRONG_CHUTE, detail, "放行滑槽出现来历不明的包裹", "Nobody's parcel in the pass chute"
        ),
        AskStop(detail),
    ]


def _due_in_chute(station: Station, at_s: float, number: int, belt_mm: float) -> tuple[Station, Acts]:
    parcel = _parcel(station, number)
    if parcel is None or parcel.diverter_mm is None:
        return station, []
    settings = station.settings
    if belt_mm <= parcel.diverter_mm + settings.layout.chute_mm + settings.chute_window_mm:
        return station, []
    if parcel.ordered is not None:
        # It may still come.
        eye, late_mm = _EYE_OF[parcel.ordered], belt_mm + settings.chute_window_mm
        station = replace(station, chute_mm=station.chute_mm | {eye: late_mm})
    return _ended(station, at_s, parcel, "", None)


def _ended(
    station: Station, at_s: float, parcel: Parcel, seen: str, why: XRayReason | None
) -> tuple[Station, Acts]:
    """分拣: where it was sent, where it was seen. The end of a parcel."""
    effects: Acts = []
    ordered = parcel.ordered or Chute.RECHECK
    expected_eye = _EYE_OF[ordered] in station.settings.chute_eyes
    if parcel.ordered is None and parcel.verdict is not Verdict.RECHECK:
        if parcel.verdict is None:
            station, effects = _overdue(station, at_s, parcel)
        else:
            because = parcel.doubt or Because(why or XRayReason.NOT_AT_DIVERTER)
            station, effects = _not_to_pass(station, at_s, parcel.number, because)
        parcel = _parcel(station, parcel.number) or parcel
    reason = why.value if why is not None else ""
    if seen and seen != ordered.value:
        station, more = _wrong_chute(station, at_s, parcel, ordered, seen)
        effects += more
        parcel = _parcel(station, parcel.number) or parcel
        reason = XRayReason.WRONG_CHUTE.value
    elif not seen and why is None:
        reason = "not_seen" if expected_eye else "no_eye"
        if expected_eye and parcel.ordered is not None:
            effects.append(
                _alarm(
                    AlarmCode.WRONG_CHUTE,
                    f"parcel {parcel.number}: not seen in {ordered.value}",
                    "分拣未确认",
                    "Sorting was not confirmed",
                )
            )
    if not reason and parcel.ordered is None and parcel.doubt is not None:
        reason = parcel.doubt.code.value
    verdict = parcel.verdict or Verdict.RECHECK
    effects.append(
        _commit(
            ParcelSorted(
                parcel=parcel.number,
                waybill_no=parcel.waybill_no,
                verdict=verdict.value,
                ordered=ordered.value,
                seen=seen,
                confirmed=seen == ordered.value,
                why=reason,
            )
        )
    )
    station = replace(station, counts=_counted(station.counts, parcel, verdict))
    station, more = _forgotten(station, at_s, parcel)
    return station, effects + more


def _counted(counts: Counts, parcel: Parcel, verdict: Verdict) -> Counts:
    match verdict:
        case Verdict.PASSED:
            by_machine = counts.passed_by_machine + (parcel.by == "machine")
            return replace(counts, passed=counts.passed + 1, passed_by_machine=by_machine)
        case Verdict.FLAGGED:
            return replace(counts, flagged=counts.flagged + 1)
        case Verdict.RECHECK:
            return replace(counts, recheck=counts.recheck + 1)
        case _:
            assert_never(verdict)


def _wrong_chute(
    station: Station, at_s: float, parcel: Parcel, ordered: Chute, seen: str
) -> tuple[Station, Acts]:
    """Seen where nothing that passes should be, the diverter cannot be trusted: nothing passes, and a stop is
    asked for. Seen in recheck instead, nothing is lost, and the record says recheck."""
    detail = f"parcel {parcel.number}: sent to {ordered.value}, seen in {seen}"
    effects: Acts = [_alarm(AlarmCode.WRONG_CHUTE, detail, "包裹进错滑槽", "A parcel in the wrong chute")]
    if seen == Chute.PASS.value:
        station = replace(station, fault="diverter")
        effects.append(AskStop(detail))
        return station, effects
    if parcel.verdict is Verdict.PASSED:
        reasons = (Because(XRayReason.WRONG_CHUTE, seen), *parcel.reasons)
        station, more = _decided(station, at_s, parcel, Verdict.RECHECK, "default", reasons)
        effects += more
    return station, effects


def _forgotten(station: Station, at_s: float, parcel: Parcel) -> tuple[Station, Acts]:
    """It has left the belt; its evidence is kept with what became of it."""
    over = Over(
        parcel.number,
        parcel.waybill_no,
        parcel.leading_mm,
        parcel.end_mm(),
        parcel.picture,
    )
    station = replace(
        station,
        parcels=tuple(p for p in station.parcels if p.number != parcel.number),
        over=(*station.over, over)[-_MOST_OVER:],
    )
    station = _out_of_hands(station, parcel.number)
    if not parcel.picture or parcel.picture not in station.pictures:
        return station, []
    verdict = parcel.verdict or Verdict.RECHECK
    looked_at = parcel.goods is not None and bool(parcel.goods.control)
    keep_class = "routine" if verdict is Verdict.PASSED and not looked_at else "held"
    kept = Kept(parcel.number, parcel.waybill_no, keep_class)
    station = replace(station, pictures=station.pictures | {parcel.picture: kept})
    manifest = msgspec.Raw(to_json(_said(station, at_s, parcel)))
    association = parcel.association or Association.UNMATCHED
    return station, [
        KeepEvidence(
            parcel.picture, parcel.number, parcel.waybill_no, association, verdict, manifest, keep_class
        )
    ]


# --- officers ---------------------------------------------------------------------------------------------


def waiting(station: Station) -> tuple[Parcel, ...]:
    """Parcels that need an officer, the one that comes to the diverter first in front."""
    return tuple(p for p in station.parcels if p.waits and p.verdict is None)


def desk_of(station: Station, name: str) -> Desk | None:
    for desk in station.desks:
        if desk.desk == name:
            return desk
    return None


def _put_desk(station: Station, desk: Desk) -> Station:
    return replace(station, desks=tuple(desk if d.desk == desk.desk else d for d in station.desks))


def _out_of_hands(station: Station, number: int) -> Station:
    if not any(number in (desk.parcel, desk.ahead) for desk in station.desks):
        return station
    desks = tuple(
        replace(
            desk,
            parcel=0 if desk.parcel == number else desk.parcel,
            shown_s=None if desk.parcel == number else desk.shown_s,
            ahead=0 if desk.ahead == number else desk.ahead,
            last=number if desk.parcel == number else desk.last,
        )
        for desk in station.desks
    )
    return replace(station, desks=desks)


def _may_have(parcel: Parcel, desk: Desk) -> bool:
    """A second look is another officer's."""
    return desk.may_judge and (parcel.first is None or parcel.first.officer != desk.officer)


def _offered(station: Station, at_s: float) -> Station:
    """One parcel is in one hand at a time; the next is fetched ahead by whoever will probably have it."""
    if not station.desks:
        return station
    queue = waiting(station)
    if not queue and not any(d.parcel or d.ahead for d in station.desks):
        return station
    desks = list(station.desks)
    taken = {d.parcel for d in desks if d.parcel}
    for n, desk in enumerate(desks):
        if desk.parcel:
            continue
        mine = [p for p in queue if p.number not in taken and _may_have(p, desk)]
        others = {d.ahead for d in desks if d.desk != desk.desk}
        # What another desk has fetched ahead is its own as long as there is anything else.
        chosen = next((p for p in mine if p.number == desk.ahead), None)
        chosen = chosen or next((p for p in mine if p.number not in others), None) or next(iter(mine), None)
        if chosen is not None:
            taken.add(chosen.number)
            desks[n] = replace(desk, parcel=chosen.number, shown_s=None, offered_s=at_s, ahead=0)
    ahead: set[int] = set()
    for n, desk in enumerate(desks):
        free = [p for p in queue if p.number not in taken | ahead and _may_have(p, desk)]
        kept = next((p for p in free if p.number == desk.ahead), None)
        chosen = kept or next(iter(free), None)
        number = chosen.number if chosen is not None else 0
        ahead.add(number)
        if number != desk.ahead:
            desks[n] = replace(desk, ahead=number)
    return replace(station, desks=tuple(desks))


def _came(station: Station, at_s: float, came: OfficerCame) -> tuple[Station, Acts]:
    effects: Acts = []
    for old in station.desks:
        if old.desk == came.desk or old.officer == came.officer:
            station, more = _left(station, at_s, old.desk, old.officer, "moved")
            effects += more
    if len(station.desks) >= _MOST_DESKS:
        return station, effects
    may_judge = JUDGE in came.authorisations
    since_s = at_s
    for officer, since, left_at_s in station.rested:
        if officer == came.officer and at_s - left_at_s < station.settings.rest_s:
            since_s = since
    desk = Desk(came.desk, came.officer, may_judge, came.remote, since_s, since_s)
    station = replace(
        station,
        desks=(*station.desks, desk),
        rested=tuple(r for r in station.rested if r[0] != came.officer),
    )
    changed = DeskChanged(desk=came.desk, officer=came.officer, came=True, remote=came.remote)
    return station, [*effects, _commit(changed)]


def _left(station: Station, at_s: float, name: str, officer: str, why: str) -> tuple[Station, Acts]:
    """What it had in hand goes to the next."""
    desk = desk_of(station, name)
    if desk is None or desk.officer != officer:
        return station, []
    station = replace(
        station,
        desks=tuple(d for d in station.desks if d.desk != name),
        rested=(*station.rested, (officer, desk.since_s, at_s))[-_MOST_DESKS:],
    )
    changed = DeskChanged(desk=name, officer=officer, came=False, remote=desk.remote, why=why)
    return station, [_commit(changed)]


def _shown(station: Station, at_s: float, number: int, picture: str, name: str) -> Station:
    desk, parcel = desk_of(station, name), _parcel(station, number)
    if desk is None or parcel is None or desk.parcel != number or parcel.picture != picture:
        return station
    return station if desk.shown_s is not None else _put_desk(station, replace(desk, shown_s=at_s))


def _judged(station: Station, at_s: float, said: Judged) -> tuple[Station, Acts]:
    """An officer's key: for the picture that was on the screen, by who is signed in there, in time."""
    desk, parcel = desk_of(station, said.desk), _parcel(station, said.parcel)
    why = _refused(station, desk, parcel, said)
    if why or desk is None or parcel is None:
        effects: Acts = []
        if why == "late" and desk is not None:
            station, effects = _judged_late(station, at_s, desk, said)
        return station, [*effects, AnswerDesk(said.desk, said.parcel, False, why, said.command_id)]
    shown_s = desk.shown_s if desk.shown_s is not None else at_s
    judgement = Judgement(
        said.officer,
        said.desk,
        said.verdict,
        said.category[:200],
        said.note[:2000],
        said.regions[: told_of.MAX_REGIONS],
        max(0.0, at_s - shown_s),
        at_s,
    )
    station, effects = _paced(station, at_s, desk, judgement)
    station, more = _judgement(station, at_s, parcel, judgement)
    return station, [*effects, *more, AnswerDesk(said.desk, said.parcel, True, "", said.command_id)]


def _refused(station: Station, desk: Desk | None, parcel: Parcel | None, said: Judged) -> str:
    """A code of `rules.REFUSALS`; empty where the judgement counts."""
    if desk is None:
        return "desk_unknown"
    if desk.officer != said.officer:
        return "other_officer"
    if not desk.may_judge:
        return "not_authorised"
    if parcel is None:
        was_here = any(o.number == said.parcel and o.picture == said.picture for o in station.over)
        return "late" if was_here and desk.last == said.parcel else "parcel_unknown"
    if parcel.picture != said.picture:
        return "other_picture"
    if parcel.verdict is not None:
        late = desk.last == parcel.number and parcel.by == "default"
        return "late" if late else "judged_already"
    if desk.parcel != parcel.number:
        return "not_in_hand"
    if desk.shown_s is None:
        return "not_shown"
    if station.belt_mm is not None and station.belt_mm >= deadline_mm(station, parcel):
        return "late"
    if said.verdict is Verdict.FLAGGED and not said.category:
        return "category_missing"
    if said.verdict is Verdict.PASSED and not may_pass(station, parcel):
        return "may_not_pass"
    return ""


def may_pass(station: Station, parcel: Parcel) -> bool:
    """Whether an officer could let it pass at all."""
    return (
        parcel.association is Association.MATCHED
        and parcel.doubt is None
        and not bars(parcel.goods)
        and not (parcel.twice and not _pieces(parcel))
    )


def _judged_late(station: Station, at_s: float, desk: Desk, said: Judged) -> tuple[Station, Acts]:
    """It moves nothing any more; what the officer saw is told all the same."""
    judgement = Judgement(
        said.officer,
        said.desk,
        said.verdict,
        said.category[:200],
        said.note[:2000],
        said.regions[: told_of.MAX_REGIONS],
        max(0.0, said.took_s),
        at_s,
    )
    station = _put_desk(station, replace(desk, last=0))
    parcel = _parcel(station, said.parcel)
    if parcel is None:
        over = next(o for o in station.over if o.number == said.parcel)
        parcel = Parcel(
            number=over.number,
            leading_mm=over.leading_mm,
            trailing_mm=over.trailing_mm,
            waybill_no=over.waybill_no,
            picture=over.picture,
        )
    elif parcel.verdict is None:
        station = replace(station, counts=replace(station.counts, late=station.counts.late + 1))
    reasons = (Because(XRayReason.LATE, said.verdict.value), *parcel.reasons)
    told = _x_rayed(station, at_s, parcel, Verdict.RECHECK, "officer", reasons, judgement, late=True)
    if _parcel(station, parcel.number) is not None:
        parcel = replace(
            parcel,
            verdict=Verdict.RECHECK,
            by="default",
            waits=False,
            judged=judgement,
            told=told,
            told_s=at_s,
        )
        station = _out_of_hands(_put(station, parcel), parcel.number)
    return station, [_commit(told)]


def _judgement(station: Station, at_s: float, parcel: Parcel, judgement: Judgement) -> tuple[Station, Acts]:
    first = parcel.first
    if first is None:
        if not _drawn_for_second(station, parcel, judgement):
            reasons = (Because(XRayReason.JUDGED), *parcel.reasons)
            return _decided(station, at_s, parcel, judgement.verdict, "officer", reasons, judgement)
        # Until the other has looked, it is recheck; whoever looks second is not told what the first said.
        reasons = (Because(XRayReason.AWAITING_SECOND, judgement.verdict.value), *parcel.reasons)
        told = _x_rayed(station, at_s, parcel, Verdict.RECHECK, "officer", reasons, judgement)
        parcel = replace(parcel, first=judgement, told=told, told_s=at_s)
        return _out_of_hands(_put(station, parcel), parcel.number), [_commit(told)]
    if first.verdict is judgement.verdict:
        reasons = (Because(XRayReason.JUDGED), *parcel.reasons)
        return _decided(station, at_s, parcel, judgement.verdict, "officer", reasons, judgement)
    flagged = Verdict.FLAGGED in (first.verdict, judgement.verdict)
    verdict = Verdict.FLAGGED if flagged else Verdict.RECHECK
    if first.verdict is Verdict.FLAGGED:
        judgement = replace(judgement, category=first.category, note=first.note, regions=first.regions)
    differs = Because(XRayReason.SECOND_DIFFERS, f"{first.verdict.value}, {judgement.verdict.value}")
    return _decided(station, at_s, parcel, verdict, "officer", (differs, *parcel.reasons), judgement)


def _drawn_for_second(station: Station, parcel: Parcel, judgement: Judgement) -> bool:
    settings = station.settings
    if not settings.draw_key or not settings.second_per_mille or judgement.verdict is Verdict.RECHECK:
        return False
    return second_look_due(settings.draw_key, parcel.picture, settings.second_per_mille)


def _undone(station: Station, at_s: float, undone: Undone) -> tuple[Station, Acts]:
    """Taken back while the belt allows it: the parcel is in the same hands again."""
    desk, parcel = desk_of(station, undone.desk), _parcel(station, undone.parcel)
    why = _not_undone(station, at_s, desk, parcel, undone)
    if why or desk is None or parcel is None:
        return station, [AnswerDesk(undone.desk, undone.parcel, False, why, undone.command_id)]
    # Only one's own word is taken back: whoever looked first has judged all the same.
    first = parcel.first if parcel.verdict is not None else None
    parcel = replace(parcel, verdict=None, by="", judged=None, first=first, waits=True)
    station = _out_of_hands(_put(station, parcel), parcel.number)
    desk = desk_of(station, undone.desk) or desk
    desk = replace(desk, parcel=parcel.number, shown_s=None, offered_s=at_s, ahead=desk.parcel)
    station = _put_desk(station, desk)
    back = JudgementUndone(parcel=parcel.number, officer=undone.officer, desk=undone.desk)
    return station, [_commit(back), AnswerDesk(undone.desk, undone.parcel, True, "", undone.command_id)]


def _not_undone(
    station: Station, at_s: float, desk: Desk | None, parcel: Parcel | None, undone: Undone
) -> str:
    if desk is None:
        return "desk_unknown"
    if desk.officer != undone.officer:
        return "other_officer"
    if parcel is None:
        return "parcel_unknown"
    judgement = parcel.judged if parcel.verdict is not None else parcel.first
    if judgement is None or (parcel.verdict is not None and parcel.by != "officer"):
        return "not_judged"
    if judgement.officer != undone.officer:
        return "not_yours"
    too_late = station.belt_mm is None or station.belt_mm >= deadline_mm(station, parcel)
    if too_late or at_s - judgement.at_s > station.settings.undo_s or parcel.diverter_mm is not None:
        return "undo_over"
    return ""


def undo_left_s(station: Station, at_s: float, parcel: Parcel) -> float:
    """Seconds in which its officer may still take the verdict back; 0: it stands."""
    judgement = parcel.judged if parcel.verdict is not None else parcel.first
    if judgement is None or parcel.diverter_mm is not None:
        return 0.0
    limits = [station.settings.undo_s - (at_s - judgement.at_s)]
    belt_s = left_s(station, parcel)
    if belt_s is not None:
        limits.append(belt_s)
    return max(0.0, min(limits))


def _paced(station: Station, at_s: float, desk: Desk, judgement: Judgement) -> tuple[Station, Acts]:
    """Whoever gets faster than anybody looks is given a pause: the feed waits."""
    settings = station.settings
    times = (*desk.times, judgement.took_s)[-_MOST_TIMES:]
    desk = replace(desk, times=times, judged=desk.judged + 1, last=desk.parcel)
    if len(times) < settings.floor_least or median(times) >= settings.floor_s:
        return _put_desk(station, desk), []
    rest = RestDue(
        desk=desk.desk,
        officer=desk.officer,
        why="too_fast",
        at_desk_s=at_s - desk.since_s,
        median_s=median(times),
    )
    desk = replace(desk, times=(), paused_until_s=at_s + settings.pause_s)
    return _put_desk(station, desk), [_commit(rest)]


def _rotation(station: Station, at_s: float) -> tuple[Station, Acts]:
    effects: Acts = []
    for desk in station.desks:
        if at_s - desk.told_rest_s < station.settings.rotation_s:
            continue
        rest = RestDue(
            desk=desk.desk,
            officer=desk.officer,
            why="rotation",
            at_desk_s=at_s - desk.since_s,
            median_s=desk.median_s(),
        )
        station = _put_desk(station, replace(desk, told_rest_s=at_s))
        effects.append(_commit(rest))
    return station, effects


def rest_due(station: Station, at_s: float, desk: Desk) -> bool:
    return at_s - desk.since_s >= station.settings.rotation_s


# --- saving, wedge, reset ---------------------------------------------------------------------------------


def _signed_in(station: Station, name: str, officer: str) -> str:
    desk = desk_of(station, name)
    if desk is None:
        return "desk_unknown"
    if desk.officer != officer:
        return "other_officer"
    return "" if desk.may_judge else "not_authorised"


def _save_asked(station: Station, asked: SaveAsked) -> tuple[Station, Acts]:
    """制图—标图—反馈."""
    why = _signed_in(station, asked.desk, asked.officer)
    kept = station.pictures.get(asked.picture)
    if not why and asked.kind not in ("reference", "find"):
        why = "kind_unknown"
    if not why and (kept is None or kept.parcel != asked.parcel):
        why = "picture_gone"
    answer = AnswerDesk(asked.desk, asked.parcel, not why, why, asked.command_id)
    if why:
        return station, [answer]
    parcel = _parcel(station, asked.parcel)
    goods = parcel.goods if parcel is not None else None
    save = SavePicture(
        asked.parcel,
        asked.picture,
        asked.kind,
        asked.officer,
        asked.category[:200],
        asked.note[:2000],
        asked.regions[: told_of.MAX_REGIONS],
        goods,
    )
    return station, [save, answer]


def _saved(station: Station, saved: Saved) -> tuple[Station, Acts]:
    if not saved.entry:
        return station, []
    parcel = _parcel(station, saved.parcel)
    kept = station.pictures.get(saved.picture)
    goods = parcel.goods if parcel is not None else None
    line = goods.lines[0] if goods is not None and goods.lines else None
    told = PictureSaved(
        parcel=saved.parcel,
        waybill_no=kept.waybill_no if kept is not None else "",
        picture=saved.picture,
        kind=saved.kind,
        entry=saved.entry,
        officer="",
        sku=line.sku if line is not None else "",
        hs_code=line.hs_code if line is not None else "",
    )
    return station, [_commit(told)]


def _wedge_asked(station: Station, desk: str, officer: str, on: bool, command: str) -> tuple[Station, Acts]:
    why = _signed_in(station, desk, officer)
    answer = AnswerDesk(desk, 0, not why, why, command)
    return (station if why else replace(station, wedge_next=on)), [answer]


def _wedge_checked(station: Station, at_s: float, checked: WedgeChecked) -> tuple[Station, Acts]:
    """One that fails ends automatic passing at once."""
    until_s = at_s + station.settings.wedge_valid_s if checked.ok else -1e9
    station = replace(station, wedge_until_s=until_s, wedge_calibration=checked.calibration)
    judged = WedgeJudged(
        ok=checked.ok, picture=checked.picture, calibration=checked.calibration, why=checked.why
    )
    effects: Acts = [_commit(judged)]
    if not checked.ok:
        for parcel in [p for p in station.parcels if p.verdict is Verdict.PASSED and p.by == "machine"]:
            station, more = _not_to_pass(station, at_s, parcel.number, Because(XRayReason.WEDGE_INVALID))
            effects += more
        effects.append(
            _alarm(AlarmCode.WEDGE_FAILED, checked.why, "阶梯楔校验不合格", "The wedge check failed")
        )
    return station, effects


def _reset(station: Station, desk: str, officer: str, command: str) -> tuple[Station, Acts]:
    """S12 of a station: only an officer at it takes it back into service. What was revoked stays so."""
    why = _signed_in(station, desk, officer)
    found = desk_of(station, desk)
    if not why and found is not None and found.remote:
        why = "not_authorised"
    if not why and station.revoked:
        why = "not_authorised"
    answer = AnswerDesk(desk, 0, not why, why, command)
    if why:
        return station, [answer]
    station = replace(station, closed="", fault="")
    return station, [_commit(fact.LaneReset(by=officer)), answer]


# --- evidence ---------------------------------------------------------------------------------------------


def _said(station: Station, at_s: float, parcel: Parcel) -> Said:
    goods, analysis, told, machine = parcel.goods, parcel.analysis, parcel.told, parcel.machine
    return Said(
        seen=_seen(parcel),
        match=parcel.match,
        rule=_rule(station.settings.windows),
        length_by_eye_mm=parcel.end_mm() - parcel.leading_mm,
        length_by_picture_mm=analysis.length_mm if analysis is not None else None,
        belt_mm_s=max(0.0, station.speed_mm_s),
        goods=None
        if goods is None
        else GoodsSaid(
            enterprise=goods.enterprise,
            enterprise_name=goods.enterprise_name,
            skus=tuple(line.sku for line in goods.lines),
            hs_codes=tuple(line.hs_code for line in goods.lines),
        ),
        machine=machine,
        machine_ago_s=None if machine is None else max(0.0, at_s - parcel.told_s),
        judged=told if told is not machine else None,
        judged_ago_s=None if told is None or told is machine else max(0.0, at_s - parcel.told_s),
    )


def _said_of_picture(station: Station, match: PictureTold) -> Said:
    return Said(match=match, rule=_rule(station.settings.windows), belt_mm_s=max(0.0, station.speed_mm_s))


def _rule(windows: Windows) -> str:
    return (
        f"leading and trailing edge within {windows.window_mm:g} mm and half of the gap, "
        f"length within {windows.length_mm:g} mm, unique"
    )


def _evidence_kept(station: Station, kept: EvidenceKept) -> tuple[Station, Acts]:
    known = station.pictures.get(kept.picture)
    waybill_no = kept.waybill_no or (known.waybill_no if known is not None else "")
    whole = XRayEvidenceKept(
        parcel=kept.parcel,
        waybill_no=waybill_no,
        picture=kept.picture,
        manifest_sha256=kept.sha256,
        files=kept.files,
        size_bytes=kept.size_bytes,
        keep_class=kept.keep_class,
    )
    files = [
        XRayFileKept(
            parcel=kept.parcel,
            waybill_no=waybill_no,
            picture=kept.picture,
            name=each.name,
            sha256=each.sha256,
            size_bytes=each.size_bytes,
            held=kept.keep_class == "held",
        )
        for each in kept.up
    ]
    station, effects = _dropped(station, kept.picture)
    return station, [_commit(whole, *files), *effects]


def _evidence_failed(station: Station, number: int, picture: str, why: str) -> tuple[Station, Acts]:
    missed = XRayEvidenceMissed(parcel=number, picture=picture, why=why)
    station, effects = _dropped(station, picture)
    return station, [_commit(missed), *effects]


def _dropped(station: Station, picture: str) -> tuple[Station, Acts]:
    """As long as its parcel is on the belt, somebody may want to see it."""
    if picture not in station.pictures or any(p.picture == picture for p in station.parcels):
        return station, []
    rest = {each: kept for each, kept in station.pictures.items() if each != picture}
    return replace(station, pictures=rest), [DropPicture(picture)]


def _shed(shed: EvidenceShed) -> XRayEvidenceShed:
    return XRayEvidenceShed(
        parcels=len(shed.pictures),
        size_bytes=shed.size_bytes,
        first_day=shed.first_day,
        last_day=shed.last_day,
        keep_class=shed.keep_class,
        pictures=shed.pictures,
    )


def _room(station: Station, ok: bool, free_bytes: int) -> tuple[Station, Acts]:
    if ok is station.room_ok:
        return station, []
    station = replace(station, room_ok=ok)
    if ok:
        return station, []
    detail = f"{free_bytes // 1_000_000} MB free"
    return station, [_alarm(AlarmCode.EVIDENCE_FULL, detail, "证据存储已满", "The evidence disk is full")]


# --- devices ----------------------------------------------------------------------------------------------


def _lost(station: Station, device: str, why: str) -> tuple[Station, Acts]:
    if device in station.lost:
        return station, []
    station = replace(station, lost=station.lost | {device})
    effects: Acts = [
        _commit(fact.DeviceLost(device=device, role="required", why=why)),
        _alarm(
            AlarmCode.DEVICE_LOST, f"{device}: {why}", f"设备无响应：{device}", f"Device silent: {device}"
        ),
    ]
    if device == "belt":
        station, more = _belt_unknown(station, why or "the board is silent")
        effects += more
    return station, effects


def _back(station: Station, device: str) -> tuple[Station, Acts]:
    if device not in station.lost:
        return station, []
    station = replace(station, lost=station.lost - {device})
    return station, [_commit(fact.DeviceBack(device=device, role="required"))]


# --- the centre -------------------------------------------------------------------------------------------

_REVOKED = "revoked by the centre"
_CLOSED = "closed by the centre"


def _commanded(station: Station, command: Command) -> tuple[Station, Acts]:
    """Idempotent by command id. The centre may close the station; only an officer at it opens it again."""
    known = next((each for each in station.commands if each[0] == command.command_id), None)
    if known is not None:
        unsaid = any(each.command_id == command.command_id for each in station.unsaid)
        return station, [] if unsaid else [AnswerCommand(*known)]
    match command.act:
        case commands.LaneClose():
            return _closed(station, command, _CLOSED, revoked=station.revoked)
        case commands.Revoke():
            return _closed(station, command, _REVOKED, revoked=True)
        case commands.Wipe():
            why = "the station is revoked; its disk is not deleted by command"
            station, effects = _closed(station, command, _REVOKED, revoked=True, refused=why)
            return station, effects
        case commands.Resync():
            return _answered(station, command, Outcome.DONE, "", [Resync()])
        case commands.AskStatus():
            return _answered(station, command, Outcome.DONE, "", [TellStatus()])
        case commands.ManualRelease() | commands.Supplement() | commands.BoardText():
            return _answered(station, command, Outcome.REFUSED, "this is an X-ray station, not a lane")
        case commands.RequestAnswered() | commands.LiveRequest():
            return _answered(station, command, Outcome.REFUSED, "an X-ray station asked nothing")
        case _:
            assert_never(command.act)


def _closed(
    station: Station, command: Command, why: str, *, revoked: bool, refused: str = ""
) -> tuple[Station, Acts]:
    who = f"{', '.join(command.officers)}: {command.reason}"
    station = replace(station, closed=why, revoked=revoked)
    effects: Acts = [
        _commit(fact.LaneClosed(why=why)),
        _alarm(AlarmCode.CLOSED_BY_CENTRE, who, "中心停用本机", "Closed by the centre"),
    ]
    outcome = Outcome.REFUSED if refused else Outcome.DONE
    return _answered(station, command, outcome, refused, effects)


def _answered(
    station: Station, command: Command, outcome: Outcome, why: str, effects: Acts | None = None
) -> tuple[Station, Acts]:
    """A fact with the officers' numbers, in one transaction with what it did; then the answer."""
    why = why[: commands.MAX_REASON]
    taken = CommandTaken(
        command_id=command.command_id,
        kind=commands.kind_of_act(command.act),
        officers=command.officers,
        reason=command.reason,
        outcome=outcome.value,
        why=why,
    )
    done = (*station.commands, (command.command_id, outcome, why))[-_MOST_COMMANDS:]
    answer = AnswerCommand(command.command_id, outcome, why)
    return replace(station, commands=done), [*(effects or []), _commit(taken), answer]


# --- the journal ------------------------------------------------------------------------------------------


def _write_failed(station: Station, why: str) -> tuple[Station, Acts]:
    """X2, X3: what could not be recorded moves nothing. What happened waits to be written; what was only
    ordered did not happen; and whatever is on the belt goes to recheck."""
    failed, behind = station.in_flight, station.behind
    station = replace(station, in_flight=None, behind=(), journal_ok=False)
    station, _ = _all_in_doubt(station, Because(XRayReason.NOT_RECORDED))
    if failed is None:
        return station, []
    pulsed = {effect.parcel for effect in behind if isinstance(effect, Pulse)}
    parcels = tuple(replace(p, ordered=None) if p.number in pulsed else p for p in station.parcels)
    facts = tuple(told for told in failed.facts if not isinstance(told.data, DivertOrdered))
    lost = max(0, len(facts) - _MOST_UNWRITTEN)
    station = replace(
        station,
        parcels=parcels,
        unwritten=facts[:_MOST_UNWRITTEN],
        unwritten_lost=station.unwritten_lost + lost,
    )
    again: Acts = []
    for effect in behind:
        match effect:
            case Pulse():
                pass
            case AnswerDesk(desk, number, True, _, command):
                again.append(AnswerDesk(desk, number, False, "not_recorded", command))
            case AnswerCommand():
                # The centre hears nothing that is not durable: the answer waits with its fact.
                station = replace(station, unsaid=(*station.unsaid, effect))
            case PermitFeed():
                station = replace(station, permit=False)
            case _:
                again.append(effect)
    effects: Acts = []
    for parcel in station.parcels:
        if parcel.verdict is Verdict.PASSED and parcel.ordered is None:
            station = _put(station, replace(parcel, verdict=None, by="", waits=False))
    return station, [*effects, *again]


def _tick(station: Station, at_s: float) -> tuple[Station, Acts]:
    settings = station.settings
    effects: Acts = [WakeAfter(Timer.TICK, settings.tick_s)]
    if station.belt_mm is not None and at_s - station.belt_s > settings.belt_stale_s:
        station, more = _belt_unknown(station, "nothing heard of it")
        effects += more
    station, more = _rotation(station, at_s)
    effects += more
    if station.unwritten:
        effects.append(Commit(()))
    return station, effects


def _memory(station: Station, at_s: float) -> Memory:
    return Memory(
        next_parcel=station.next_parcel,
        on_belt=tuple(p.number for p in station.parcels),
        waybills=tuple((p.number, p.waybill_no) for p in station.parcels if p.waybill_no),
        pictures=tuple((p.number, p.picture) for p in station.parcels if p.picture in station.pictures),
        ordered=tuple((p.number, p.ordered.value) for p in station.parcels if p.ordered is not None),
        wedge_left_s=max(0.0, station.wedge_until_s - at_s),
        wedge_calibration=station.wedge_calibration,
        closed=station.closed,
        revoked_key=station.settings.key_id if station.revoked else "",
        commands=tuple((each, outcome.value, why) for each, outcome, why in station.commands),
    )


# --- the feed permit --------------------------------------------------------------------------------------


def _feed(station: Station, at_s: float) -> tuple[Station, Acts]:
    """Withheld for every reason there is; a change is told."""
    settings, belt = station.settings, station.belt
    waits = sum(1 for p in station.parcels if p.waits and p.verdict is None)
    limit = settings.most_waiting // 2 if station.crowded else settings.most_waiting
    if (waits > limit) is not station.crowded:
        station = replace(station, crowded=waits > limit)
    reasons: list[str] = []
    if station.closed:
        reasons.append("closed")
    if station.fault:
        reasons.append(f"fault: {station.fault}")
    if not station.journal_ok or station.unwritten:
        reasons.append("journal")
    if belt is None or station.belt_mm is None:
        reasons.append("belt_unknown")
    elif belt.emergency is not False:
        reasons.append("emergency")
    reasons += [f"device: {device}" for device in sorted(station.lost)]
    if not station.room_ok:
        reasons.append("evidence_full")
    if station.clearing:
        reasons.append("clearing")
    if station.jammed:
        reasons.append("jam")
    if station.crowded:
        reasons.append("queue")
    if not settings.triage.automatic and not any(desk.may_judge for desk in station.desks):
        reasons.append("nobody")
    reasons += [f"too_fast: {desk.desk}" for desk in station.desks if at_s < desk.paused_until_s]
    permit = not reasons
    effects: Acts = []
    if permit is not station.permit or tuple(reasons) != station.feed_reasons:
        if permit is not station.permit:
            effects.append(PermitFeed(permit))
        effects.append(_commit(FeedChanged(permitted=permit, reasons=tuple(reasons))))
        station = replace(station, permit=permit, feed_reasons=tuple(reasons))
    light = _light(station, at_s)
    if light is not station.light:
        effects.append(SetTower(light))
        station = replace(station, light=light)
    return station, effects


_WAITS = ("queue", "nobody", "too_fast", "clearing")


def _light(station: Station, at_s: float) -> Light:
    if any(not reason.startswith(_WAITS) for reason in station.feed_reasons):
        return Light.RED
    if station.feed_reasons or not wedge_valid(station, at_s):
        return Light.AMBER
    return Light.GREEN


# --- words ------------------------------------------------------------------------------------------------


def _commit(*facts: FactData) -> Commit:
    """A part of this step's transaction. A flag goes with the alarms: it is known at once (G9)."""
    return Commit(tuple(Told(_stream(each), each) for each in facts))


def _stream(data: FactData) -> Stream:
    flagged = isinstance(data, ParcelXRayed) and data.verdict == Verdict.FLAGGED.value
    return Stream.ALARM if flagged or isinstance(data, Alarm) else Stream.ROUTINE


def _routine(data: FactData) -> Told:
    return Told(Stream.ROUTINE, data)


def _alarm(code: AlarmCode, detail: str, zh: str, en: str) -> Commit:
    return _commit(Alarm(code=code, detail=detail, zh=zh, en=en))


def words_of(because: Because) -> tuple[str, str]:
    """(Chinese, English)."""
    text = TEXTS[because.code]
    return text.zh, text.en
