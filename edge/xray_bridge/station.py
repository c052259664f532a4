"""The X-ray station's machine: `step(station, at_s, event) -> (station, effects)`. Values only; no port,
clock, picture or randomness. The rooms that decide are `deciding/`; this one leads each event to its own.

Everything that lets a parcel pass is decided in this machine, and nowhere else:

- X1 kakou never energises the source, resets an emergency stop, or starts or reverses a belt; it reads
  states, may ask for a stop, and withholds the feed permit.
- X2 "pass" is one energised pulse per parcel; unpowered, silent or late means recheck.
- X3 killed at any instant it passes no unjudged parcel.

A parcel is known by where it is: its leading and trailing edge as they cut the portal's eye, corrected only
where an eye or the X-ray has seen that parcel itself. Times are monotonic seconds of the caller's clock,
positions millimetres of the belt's encoder.
"""

from __future__ import annotations

from typing import assert_never

from edge.runtime.values import replace
from edge.xray_bridge.deciding.belt import belt_read, belt_unknown
from edge.xray_bridge.deciding.closing import command_came, reset_asked
from edge.xray_bridge.deciding.codes import code_read, goods_found
from edge.xray_bridge.deciding.desks import offered, officer_came, officer_left, rotation, shown
from edge.xray_bridge.deciding.diverter import not_pulsed
from edge.xray_bridge.deciding.due import due
from edge.xray_bridge.deciding.eyes import eye_seen
from edge.xray_bridge.deciding.feed import device_back, device_lost, feed, room_seen
from edge.xray_bridge.deciding.journal import ended_by_restart, sealed, write_failed
from edge.xray_bridge.deciding.judging import analysed
from edge.xray_bridge.deciding.keeping import (
    evidence_failed,
    evidence_kept,
    evidence_shed,
    owed_missed,
    save_asked,
    saved,
)
from edge.xray_bridge.deciding.matching import picture_taken
from edge.xray_bridge.deciding.state import Acts, Station, StationSettings, Step
from edge.xray_bridge.deciding.telling import commit, routine
from edge.xray_bridge.deciding.verdicts import judged, undone
from edge.xray_bridge.deciding.wedge import wedge_asked, wedge_checked
from edge.xray_bridge.effects import Commit, Light, Memory, PermitFeed, SetTower, Told, WakeAfter
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
from sync.vocabulary.commands import Outcome
from sync.vocabulary.xray_facts import PictureSpoiled, StationStarted


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
            owed=memory.pictures,
        )
        told = [each for number in open_numbers for each in ended_by_restart(memory, number)]
    started = StationStarted(
        version=settings.version,
        config_digest=settings.config_digest,
        boot_id=settings.boot_id,
        on_belt=len(open_numbers),
    )
    effects += [
        Commit((routine(started), *told)),
        WakeAfter(Timer.TICK, settings.tick_s),
    ]
    station = replace(station, permit=False, light=Light.RED)
    station, more = feed(station, at_s)
    return sealed(station, at_s, [*effects, *more])


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
    station, more = due(station, at_s)
    effects += more
    station = offered(station, at_s)
    station, more = feed(station, at_s)
    return sealed(station, at_s, effects + more)


def noted(station: Station, at_s: float, told: Told) -> Step:
    """What another room has to tell, for the journal: it moves nothing. As a step of its own, so that a write
    that fails is this one's, and not taken for the step's before."""
    station = replace(station, in_flight=None, behind=(), journal_ok=True)
    station, more = feed(station, at_s)
    return sealed(station, at_s, [Commit((told,)), *more])


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


def _take(station: Station, at_s: float, event: Event) -> tuple[Station, Acts]:
    match event:
        case BeltRead():
            return belt_read(station, at_s, event)
        case EyeSeen():
            return eye_seen(station, at_s, event)
        case CodeRead(text, belt_mm, symbology):
            return code_read(station, text, belt_mm, symbology, "")
        case NothingRead(belt_mm, why):
            return code_read(station, "", belt_mm, "", why or "no_read")
        case PictureTaken():
            return picture_taken(station, at_s, event)
        case PictureLost(why, leading_mm, trailing_mm):
            spoiled = PictureSpoiled(why=why, leading_mm=leading_mm, trailing_mm=trailing_mm)
            return station, [commit(spoiled)]
        case Analysed(picture, number, analysis):
            return analysed(station, at_s, picture, number, analysis, "")
        case AnalysisFailed(picture, number, why):
            return analysed(station, at_s, picture, number, None, why or "failed")
        case GoodsFound():
            return goods_found(station, at_s, event)
        case Judged():
            return judged(station, at_s, event)
        case Undone():
            return undone(station, at_s, event)
        case Shown(number, picture, desk):
            return shown(station, at_s, number, picture, desk), []
        case OfficerCame():
            return officer_came(station, at_s, event)
        case OfficerLeft(desk, officer, why):
            return officer_left(station, at_s, desk, officer, why)
        case SaveAsked():
            return save_asked(station, event)
        case Saved():
            return saved(station, event)
        case WedgeAsked(on, officer, desk, command):
            return wedge_asked(station, desk, officer, on, command)
        case WedgeChecked():
            return wedge_checked(station, at_s, event)
        case ResetAsked(officer, desk, command):
            return reset_asked(station, desk, officer, command)
        case EvidenceKept():
            return evidence_kept(station, event)
        case EvidenceFailed(number, picture, why):
            return evidence_failed(station, number, picture, why)
        case EvidenceShed():
            return station, [commit(evidence_shed(event))]
        case Room(ok):
            station, effects = owed_missed(station) if ok else (station, [])
            station, more = room_seen(station, ok, event.free_bytes)
            return station, [*effects, *more]
        case DeviceLost(device, why):
            return device_lost(station, device, why)
        case DeviceBack(device):
            return device_back(station, device)
        case LinkSeen(online):
            return replace(station, online=online), []
        case CommandCame(command):
            return command_came(station, command)
        case NotPulsed(number):
            return not_pulsed(station, at_s, number)
        case WriteFailed(why):
            return write_failed(station, why)
        case TimerRang():
            return _tick(station, at_s)
        case _:
            assert_never(event)


def _tick(station: Station, at_s: float) -> tuple[Station, Acts]:
    settings = station.settings
    effects: Acts = [WakeAfter(Timer.TICK, settings.tick_s)]
    if station.belt_mm is not None and at_s - station.belt_s > settings.belt_stale_s:
        station, more = belt_unknown(station, "nothing heard of it")
        effects += more
    station, more = rotation(station, at_s)
    effects += more
    if station.unwritten:
        effects.append(Commit(()))
    return station, effects
