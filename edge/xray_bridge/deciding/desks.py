"""Who is at a desk, which parcel that officer has in hand and which is fetched ahead, and when to rest."""

from __future__ import annotations

from statistics import median

from edge.runtime.values import replace
from edge.xray_bridge.deciding.state import Acts, Desk, Judgement, Parcel, Station, parcel_of
from edge.xray_bridge.deciding.telling import commit
from edge.xray_bridge.events import OfficerCame
from edge.xray_bridge.rules import JUDGE
from sync.vocabulary.xray_facts import DeskChanged, RestDue

_MOST_DESKS = 32
_MOST_TIMES = 20


def waiting(station: Station) -> tuple[Parcel, ...]:
    """Parcels that need an officer, the one that comes to the diverter first in front."""
    return tuple(p for p in station.parcels if p.waits and p.verdict is None)


def desk_of(station: Station, name: str) -> Desk | None:
    for desk in station.desks:
        if desk.desk == name:
            return desk
    return None


def put_desk(station: Station, desk: Desk) -> Station:
    return replace(station, desks=tuple(desk if d.desk == desk.desk else d for d in station.desks))


def refused_at_desk(station: Station, name: str, officer: str) -> str:
    desk = desk_of(station, name)
    if desk is None:
        return "desk_unknown"
    if desk.officer != officer:
        return "other_officer"
    return "" if desk.may_judge else "not_authorised"


def out_of_hands(station: Station, number: int) -> Station:
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


def offered(station: Station, at_s: float) -> Station:
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


def officer_came(station: Station, at_s: float, came: OfficerCame) -> tuple[Station, Acts]:
    effects: Acts = []
    for old in station.desks:
        if old.desk == came.desk or old.officer == came.officer:
            station, more = officer_left(station, at_s, old.desk, old.officer, "moved")
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
    return station, [*effects, commit(changed)]


def officer_left(station: Station, at_s: float, name: str, officer: str, why: str) -> tuple[Station, Acts]:
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
    return station, [commit(changed)]


def shown(station: Station, at_s: float, number: int, picture: str, name: str) -> Station:
    desk, parcel = desk_of(station, name), parcel_of(station, number)
    if desk is None or parcel is None or desk.parcel != number or parcel.picture != picture:
        return station
    return station if desk.shown_s is not None else put_desk(station, replace(desk, shown_s=at_s))


def paced(station: Station, at_s: float, desk: Desk, judgement: Judgement) -> tuple[Station, Acts]:
    """Whoever gets faster than anybody looks is given a pause: the feed waits."""
    settings = station.settings
    times = (*desk.times, judgement.took_s)[-_MOST_TIMES:]
    desk = replace(desk, times=times, judged=desk.judged + 1, last=desk.parcel)
    if len(times) < settings.floor_least or median(times) >= settings.floor_s:
        return put_desk(station, desk), []
    rest = RestDue(
        desk=desk.desk,
        officer=desk.officer,
        why="too_fast",
        at_desk_s=at_s - desk.since_s,
        median_s=median(times),
    )
    desk = replace(desk, times=(), paused_until_s=at_s + settings.pause_s)
    return put_desk(station, desk), [commit(rest)]


def rotation(station: Station, at_s: float) -> tuple[Station, Acts]:
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
        station = put_desk(station, replace(desk, told_rest_s=at_s))
        effects.append(commit(rest))
    return station, effects


def rest_due(station: Station, at_s: float, desk: Desk) -> bool:
    return at_s - desk.since_s >= station.settings.rotation_s
