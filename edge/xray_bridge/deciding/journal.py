"""One step is one transaction: what comes before it and behind it, what is remembered for a restart, and
what a write that failed takes back.
"""

from __future__ import annotations

from edge.runtime.values import replace
from edge.xray_bridge.deciding.state import Acts, Station, Step, all_in_doubt, put
from edge.xray_bridge.deciding.telling import alarm, routine
from edge.xray_bridge.effects import (
    AnswerCommand,
    AnswerDesk,
    AskStop,
    Commit,
    Effect,
    Memory,
    PermitFeed,
    Pulse,
    SetTower,
    Told,
)
from edge.xray_bridge.values import Chute, Verdict
from sync.vocabulary.facts import AlarmCode
from sync.vocabulary.xray_facts import DivertOrdered, ParcelSorted, ParcelXRayed
from sync.vocabulary.xray_reasons import Because, XRayReason

_MOST_UNWRITTEN = 5_000


def sealed(station: Station, at_s: float, effects: Acts) -> Step:
    """All commits of one step are one transaction: what withholds comes before it, everything else behind."""
    told = [each for effect in effects if isinstance(effect, Commit) for each in effect.facts]
    if not any(isinstance(effect, Commit) for effect in effects):
        return station, tuple(effects)
    lost: Acts = []
    if station.unwritten_lost:
        detail = f"{station.unwritten_lost} facts while nothing could be written"
        lost = [
            alarm(AlarmCode.FACTS_LOST, detail, "磁盘故障期间记录丢失", "Facts lost while the disk failed")
        ]
    first = [each for effect in lost if isinstance(effect, Commit) for each in effect.facts]
    whole = Commit((*first, *station.unwritten, *told), _memory(station, at_s))
    safe = tuple(effect for effect in effects if _withholds(effect))
    behind = (
        *(e for e in effects if not isinstance(e, Commit) and not _withholds(e)),
        *station.unsaid,
    )
    station = replace(station, in_flight=whole, behind=behind, unwritten=(), unwritten_lost=0, unsaid=())
    return station, (*safe, whole, *behind)


def _withholds(effect: Effect) -> bool:
    match effect:
        case PermitFeed(permitted):
            return not permitted
        case SetTower() | AskStop():
            return True
        case _:
            return False


def _memory(station: Station, at_s: float) -> Memory:
    return Memory(
        next_parcel=station.next_parcel,
        on_belt=tuple(p.number for p in station.parcels),
        waybills=tuple((p.number, p.waybill_no) for p in station.parcels if p.waybill_no),
        pictures=(
            *station.owed,
            *((kept.parcel, picture) for picture, kept in station.pictures.items() if not kept.on_disk),
        ),
        ordered=tuple((p.number, p.ordered.value) for p in station.parcels if p.ordered is not None),
        wedge_left_s=max(0.0, station.wedge_until_s - at_s),
        wedge_calibration=station.wedge_calibration,
        closed=station.closed,
        revoked_key=station.settings.key_id if station.revoked else "",
        commands=tuple((each, outcome.value, why) for each, outcome, why in station.commands),
    )


def write_failed(station: Station, why: str) -> tuple[Station, Acts]:
    """X2, X3: what could not be recorded moves nothing. What happened waits to be written; what was only
    ordered did not happen; and whatever is on the belt goes to recheck."""
    failed, behind = station.in_flight, station.behind
    station = replace(station, in_flight=None, behind=(), journal_ok=False)
    station, _ = all_in_doubt(station, Because(XRayReason.NOT_RECORDED))
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
            station = put(station, replace(parcel, verdict=None, by="", waits=False))
    return station, [*effects, *again]


def ended_by_restart(memory: Memory, number: int) -> list[Told]:
    """Of one whose pulse was ordered nobody knows whether it was given: judged it was, and it says so."""
    waybill_no = dict(memory.waybills).get(number, "")
    ordered = dict(memory.ordered).get(number, "")
    why = XRayReason.RESTARTED.value
    if ordered:
        verdict = Verdict.PASSED if ordered == Chute.PASS.value else Verdict.FLAGGED
        return [
            routine(
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
        routine(
            ParcelXRayed(parcel=number, waybill_no=waybill_no, verdict=recheck, by="default", reasons=(why,))
        ),
        routine(
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
