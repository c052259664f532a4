"""The wall's view: what all screens of the command centre show, made of what is known at one moment. Pure.

Ages are in whole minutes and lists are bounded, so that two views are equal until something worth showing
changed.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sync.hub.console.alarms import OpenAlarm, kind_of
from sync.hub.console.shown import PassageRow, StateRow, Tally
from sync.link.messages import Status
from sync.vocabulary.records import CreditTier, Enterprise, Site, SiteLane
from sync.vocabulary.rulings import Text, Verdict

COUNTED: Final = ("opened", "released", "inspected", "held", "closed_crossed", "passed", "flagged", "recheck")
"""Tallies of devices that the wall shows."""
CURVES: Final = ("released", "inspected", "held", "flagged")
SLOW_S: Final = 180.0
"""So long in the lane is slow, where no baseline was measured."""
SILENT_MINUTES: Final = 5
"""A device tells its status twice a minute: one that says nothing for so long is away, whatever it said last
(or the hub is not there to hear it)."""
MOST_ALARMS: Final = 60
MOST_FIRMS: Final = 120
MOST_PARTS: Final = 32
NOTHING: Final = Text("", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What one view is made of."""

    site: Site
    now: datetime
    """With the site's zone."""
    baseline_s: float | None
    devices: Sequence[str]
    """Enrolled and not revoked."""
    statuses: Mapping[str, Heard]
    scopes: Mapping[str, int]
    """Scope -> number of its last change."""
    passages: Sequence[PassageRow]
    """Not closed, lane by lane, each in its own order."""
    states: Sequence[StateRow]
    today: Sequence[Tally]
    """Of all devices."""
    yesterday: Sequence[Tally]
    coverage: Coverage
    alarms: Sequence[OpenAlarm]
    """Open ones, the latest first."""
    pictures_owed: Mapping[str, int]
    """Device -> pictures its facts name that have not come yet."""
    caught_up: bool = True
    broker_lost_utc: str = ""
    """Since when the hub hears nobody; empty: it does."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A device's last status."""

    status: Status
    received_utc: str
    lacks_since_utc: Mapping[str, str] = field(default_factory=dict)
    """Scope -> when the first change was made that the device has not got."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneSeen:
    device: str
    name: Text
    inwards: bool
    gate: str
    lane_class: str
    state: str
    """`free`, `reading`, `released`, `inspect`, `held`, `closed`, `away`, `unheard`."""
    passage: int = 0
    plate: str = ""
    why: Text = NOTHING
    minutes: int = 0
    """In this state; of an empty lane 0."""
    slow: bool = False
    """Longer in the lane than the baseline, or held."""
    vehicles: int = 0
    crossed: int = 0
    """Today."""
    average_s: int | None = None
    """In the lane, today, of those that crossed."""
    alarms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StationSeen:
    device: str
    state: str
    """`feeding`, `withheld`, `stopped`, `closed`, `away`, `unheard`."""
    why: str = ""
    desks: tuple[tuple[str, str], ...] = ()
    """Desk, officer."""
    waiting: int = 0
    """Parcels on the belt that nobody has judged."""
    on_belt: int = 0
    passed: int = 0
    flagged: int = 0
    recheck: int = 0
    alarms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HandheldSeen:
    device: str
    state: str
    """`in_hand`, `idle`, `away`, `unheard`."""
    officer: str = ""
    live: bool = False
    alarms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSeen:
    device: str
    kind: str
    """`lane`, `station`, `handheld`, `other`."""
    state: str
    """`online`, `away`, `unheard`."""
    version: str = ""
    silent_minutes: int = 0
    """Of a device that is away: since its last word."""
    troubles: tuple[tuple[str, str], ...] = ()
    """Its parts that are not well: which, and what of it."""
    parts: int = 0
    behind: int = 0
    """Changes of records it has not got."""
    records_minutes: int | None = 0
    """Since it was last known to have every change; None: never."""
    too_old: bool = False
    """S10: no ruling stands on records older than the policy allows."""
    backlog: int = 0
    pictures_owed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    what: str
    total: int
    before: int
    """Yesterday, whole."""
    hours: tuple[int, ...]
    """0 to the hour it is now."""
    hours_before: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneTime:
    average_s: float | None
    crossed: int
    baseline_s: float | None
    change_percent: int | None
    """Against the baseline; -60: three fifths shorter."""
    hours: tuple[float, ...]
    """Average of each hour, 0 where nobody crossed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FirmSeen:
    code: str
    name: str
    tier: CreditTier | None
    """None: the records do not know it any more."""
    spot_check_per_mille: int
    ruled: int
    """Its passages."""
    spot_checked: int
    """Of them: drawn for a spot check."""
    slip_checks: int
    """Slips whose parcels an officer compared (卡口抽核)."""

    @property
    def covered(self) -> bool:
        return self.spot_checked + self.slip_checks > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    days: int
    came: int
    """Enterprises with a passage in these days."""
    covered: int
    """Of those: with a spot check."""
    firms: tuple[FirmSeen, ...]
    """Every one: first those that came and were not checked, those that came most ahead."""


@dataclass(frozen=True, slots=True)
class AlarmsAlike:
    """Of one kind, from one device, in one officer's hands: one line on the wall, so that many of one kind do
    not bury the only one of another."""

    oldest: OpenAlarm
    latest: OpenAlarm
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WallView:
    minute: str
    """Of the site's clock."""
    caught_up: bool
    broker_lost_utc: str
    lanes: tuple[LaneSeen, ...]
    stations: tuple[StationSeen, ...]
    handhelds: tuple[HandheldSeen, ...]
    devices: tuple[DeviceSeen, ...]
    curves: tuple[Curve, ...]
    held_now: int
    longest_held_minutes: int
    lane_time: LaneTime
    coverage: Coverage
    backlog: int
    pictures_owed: int
    away: int
    alarms: tuple[AlarmsAlike, ...]
    """Those nobody has in hand first, of them escalated vehicles, then the latest; at most `MOST_ALARMS`."""
    alarms_open: int
    alarms_unowned: int


@dataclass(frozen=True, slots=True)
class _Sorted:
    """What is known, by device."""

    known: Known
    states: Mapping[str, Sequence[StateRow]]
    passages: Mapping[str, Sequence[PassageRow]]
    sums: Mapping[tuple[str, str], tuple[int, float]]
    """Today, device and what -> how many, and seconds."""
    alarms: Mapping[str, int]

    def state(self, device: str, what: str) -> tuple[str, str]:
        """Word and when it was said."""
        for row in self.states.get(device, ()):
            if row.what == what:
                return row.word, row.utc
        return "", ""

    def n(self, device: str, what: str) -> int:
        return self.sums.get((device, what), (0, 0.0))[0]


def _sorted_by_device(known: Known) -> _Sorted:
    states: defaultdict[str, list[StateRow]] = defaultdict(list)
    passages: defaultdict[str, list[PassageRow]] = defaultdict(list)
    sums: dict[tuple[str, str], tuple[int, float]] = {}
    for state in known.states:
        states[state.device].append(state)
    for passage in known.passages:
        passages[passage.device].append(passage)
    for tally in known.today:
        n, seconds = sums.get((tally.name, tally.what), (0, 0.0))
        sums[tally.name, tally.what] = (n + tally.n, seconds + tally.seconds)
    return _Sorted(known, states, passages, sums, Counter(alarm.device for alarm in known.alarms))


def shown_in(view: WallView, part: str) -> tuple[object, ...]:
    """What a part of the wall is painted from: equal, it looks the same."""
    match part:
        case "figures":
            known = (view.coverage.came, view.coverage.covered, view.coverage.days, view.caught_up)
            held = (view.held_now, view.longest_held_minutes)
            owed = (view.backlog, view.pictures_owed, view.away, view.broker_lost_utc)
            return (view.curves, view.lane_time, known, held, *owed)
        case "plan":
            return (view.lanes, view.stations, view.handhelds, view.minute, view.broker_lost_utc)
        case "alarms":
            return (view.alarms, view.alarms_open, view.alarms_unowned)
        case "devices":
            return (view.devices,)
        case "coverage":
            return (view.coverage,)
        case _:
            raise ValueError(f"expected a part of the wall, got {part[:40]!r}")


def _alike(alarms: Iterable[OpenAlarm]) -> tuple[AlarmsAlike, ...]:
    """`alarms`: the latest first."""
    found: defaultdict[tuple[str, str, str, int | None], list[OpenAlarm]] = defaultdict(list)
    for alarm in alarms:
        found[kind_of(alarm)].append(alarm)
    lines = (AlarmsAlike(each[-1], each[0], len(each)) for each in found.values())
    return tuple(sorted(lines, key=lambda line: (bool(line.latest.owner), line.latest.hold is None)))


def build(known: Known) -> WallView:
    by = _sorted_by_device(known)
    devices = tuple(_device(by, device, kind) for device, kind in _kinds(known).items())
    by_kind: defaultdict[str, list[DeviceSeen]] = defaultdict(list)
    for device in devices:
        by_kind[device.kind].append(device)
    lanes = tuple(_lane(by, device) for device in by_kind["lane"])
    held = [lane for lane in lanes if lane.state == "held"]
    return WallView(
        minute=f"{known.now:%H:%M}",
        caught_up=known.caught_up,
        broker_lost_utc=known.broker_lost_utc,
        lanes=lanes,
        stations=tuple(_station(by, device) for device in by_kind["station"]),
        handhelds=tuple(_handheld(by, device) for device in by_kind["handheld"]),
        devices=devices,
        curves=tuple(_curve(known, what) for what in CURVES),
        held_now=len(held),
        longest_held_minutes=max((lane.minutes for lane in held), default=0),
        lane_time=_lane_time(known),
        coverage=known.coverage,
        backlog=sum(device.backlog for device in devices),
        pictures_owed=sum(device.pictures_owed for device in devices),
        away=sum(device.state != "online" for device in devices),
        alarms=_alike(known.alarms)[:MOST_ALARMS],
        alarms_open=len(known.alarms),
        alarms_unowned=sum(not alarm.owner for alarm in known.alarms),
    )


# --- devices ----------------------------------------------------------------------------------------------

_HEALTH_KINDS: Final = ("lane", "station", "handheld")
"""The entry of a status' health in which a program speaks of itself as a whole."""


def _kinds(known: Known) -> dict[str, str]:
    """Device -> kind: the site's lanes in the record's order, then the others by name."""
    found = {lane.lane: "lane" for lane in known.site.lanes}
    started = {row.device: row.word for row in known.states if row.what == "started"}
    opened = {tally.name for tally in known.today if tally.what == "opened"}
    for device in sorted({*known.devices, *known.statuses}):
        if device in found:
            continue
        heard = known.statuses.get(device)
        said = next((kind for kind in _HEALTH_KINDS if heard and kind in heard.status.health), "")
        found[device] = said or started.get(device, "") or ("lane" if device in opened else "other")
    return found


def _device(by: _Sorted, device: str, kind: str) -> DeviceSeen:
    known = by.known
    heard = known.statuses.get(device)
    states = by.states.get(device, ())
    lost = {row.name: row.word for row in states if row.what == "part"}
    if heard is None:
        return DeviceSeen(
            device=device,
            kind=kind,
            state="online" if states or device in by.passages else "unheard",
            troubles=tuple(sorted(lost.items()))[:MOST_PARTS],
            records_minutes=None,
            pictures_owed=known.pictures_owed.get(device, 0),
        )
    status = heard.status
    parts = {name: word for name, word in status.health.items() if name not in _HEALTH_KINDS}
    troubles = {name: word for name, word in parts.items() if _is_trouble(word)} | lost
    behind = sum(max(0, number - status.records.get(scope, number)) for scope, number in known.scopes.items())
    silent_minutes = _minutes(known.now, heard.received_utc)
    online = status.online and silent_minutes < SILENT_MINUTES
    current_until = min(heard.lacks_since_utc.values(), default="" if online else heard.received_utc)
    records_minutes = _minutes(known.now, current_until) if current_until else 0
    return DeviceSeen(
        device=device,
        kind=kind,
        state="online" if online else "away",
        version=status.version,
        silent_minutes=0 if online else silent_minutes,
        troubles=tuple(sorted(troubles.items()))[:MOST_PARTS],
        parts=len(parts),
        behind=behind,
        records_minutes=records_minutes if status.records else None,
        too_old=60 * records_minutes > known.site.max_age_s,
        backlog=status.backlog,
        pictures_owed=known.pictures_owed.get(device, 0),
    )


def _is_trouble(word: str) -> bool:
    """As `edge.runtime` words a device's port and speech: `open, speaking` and `open, not heard` are well."""
    return word.startswith(("lost", "not tried")) or "silent" in word


def _lane(by: _Sorted, device: DeviceSeen) -> LaneSeen:
    known = by.known
    row = known.site.lane(device.device) or SiteLane(lane=device.device, direction="I")  # type: ignore[arg-type]
    closed, since_utc = by.state(device.device, "lane")
    heard = known.statuses.get(device.device)
    word = "" if heard is None else heard.status.health.get("lane", "")
    if not closed and (word.startswith("shut") or word == "revoked"):
        closed = word.partition(": ")[2] or word
    here = by.passages.get(device.device, ())
    passage = here[-1] if here else None
    why = NOTHING
    state = "free"
    if passage is not None:
        state = {
            Verdict.HOLD.value: "held",
            Verdict.INSPECT.value: "inspect",
            Verdict.RELEASE.value: "released",
        }.get(passage.verdict, "reading")
        since_utc = passage.held_utc if state == "held" else passage.opened_utc or passage.ruled_utc
        why = _why(passage) if state in ("held", "inspect") else why
    elif closed:
        state, why = "closed", Text(closed, closed)
    if device.state != "online":
        state = device.state
    minutes = _minutes(known.now, since_utc) if since_utc and state != "free" else 0
    allowed_s = known.baseline_s or SLOW_S
    crossed, seconds = by.sums.get((device.device, "closed_crossed"), (0, 0.0))
    return LaneSeen(
        device=device.device,
        name=Text(row.name_zh or device.device, row.name_en or device.device),
        inwards=row.direction == "I",
        gate=str(row.gate),
        lane_class=str(row.lane_class),
        state=state,
        passage=passage.passage if passage is not None else 0,
        plate=passage.plate if passage is not None else "",
        why=why,
        minutes=minutes,
        slow=state == "held" or (passage is not None and _seconds(known.now, since_utc) > allowed_s),
        vehicles=len(here),
        crossed=crossed,
        average_s=round(seconds / crossed) if crossed else None,
        alarms=by.alarms.get(device.device, 0),
    )


def _why(passage: PassageRow) -> Text:
    """What the driver reads, in both languages."""
    zh, en = json.loads(passage.texts)
    return Text("；".join(zh[:2]), "; ".join(en[:2]))


def _station(by: _Sorted, device: DeviceSeen) -> StationSeen:
    name = device.device
    rows = by.states.get(name, ())
    belt, _ = by.state(name, "belt")
    feed, _ = by.state(name, "feed")
    heard = by.known.statuses.get(name)
    word = "" if heard is None else heard.status.health.get("station", "")
    state = "withheld" if feed == "withheld" or word.startswith("withheld") else "feeding"
    if belt and belt not in ("running", "unknown"):
        state = "stopped"
    if word.startswith("closed") or word == "revoked":
        state = "closed"
    if device.state != "online":
        state = device.state
    parcels = Counter(row.word for row in rows if row.what == "parcel")
    return StationSeen(
        device=name,
        state=state,
        why=word.partition(": ")[2]
        if state in ("withheld", "closed")
        else belt
        if state == "stopped"
        else "",
        desks=tuple((row.name, row.word) for row in rows if row.what == "desk"),
        waiting=parcels["seen"],
        on_belt=parcels.total(),
        passed=by.n(name, "passed"),
        flagged=by.n(name, "flagged"),
        recheck=by.n(name, "recheck"),
        alarms=by.alarms.get(device.device, 0),
    )


def _handheld(by: _Sorted, device: DeviceSeen) -> HandheldSeen:
    officer, _ = by.state(device.device, "officer")
    live, _ = by.state(device.device, "live")
    state = "in_hand" if officer else "idle"
    return HandheldSeen(
        device=device.device,
        state=state if device.state == "online" else device.state,
        officer=officer,
        live=bool(live),
        alarms=by.alarms.get(device.device, 0),
    )


# --- figures ----------------------------------------------------------------------------------------------


def _curve(known: Known, what: str) -> Curve:
    hours, before = _hours(known.today, what), _hours(known.yesterday, what)
    return Curve(
        what=what,
        total=sum(hours),
        before=sum(before),
        hours=tuple(hours[: known.now.hour + 1]),
        hours_before=tuple(before),
    )


def _hours(tallies: Iterable[Tally], what: str) -> list[int]:
    hours = [0] * 24
    for tally in tallies:
        if tally.what == what and tally.hour >= 0:
            hours[tally.hour] += tally.n
    return hours


def _lane_time(known: Known) -> LaneTime:
    crossed = [0] * 24
    seconds = [0.0] * 24
    for tally in known.today:
        if tally.what == "closed_crossed" and tally.hour >= 0:
            crossed[tally.hour] += tally.n
            seconds[tally.hour] += tally.seconds
    vehicles = sum(crossed)
    average_s = sum(seconds) / vehicles if vehicles else None
    change = None
    if average_s is not None and known.baseline_s:
        change = round(100.0 * (average_s - known.baseline_s) / known.baseline_s)
    return LaneTime(
        average_s=None if average_s is None else round(average_s, 1),
        crossed=vehicles,
        baseline_s=known.baseline_s,
        change_percent=change,
        hours=tuple(round(s / n, 1) if n else 0.0 for s, n in zip(seconds, crossed, strict=True))[
            : known.now.hour + 1
        ],
    )


def coverage(enterprises: Sequence[Enterprise], counts: Mapping[tuple[str, str], int], days: int) -> Coverage:
    """`counts`: enterprise and what (`ruled`, `spot_checked`, `slip_checks`) -> how often in these days."""
    rows = {str(each.code): each for each in enterprises}
    firms = []
    for code in sorted({*rows, *(code for code, _ in counts)}):
        row = rows.get(code)
        firms.append(
            FirmSeen(
                code=code,
                name=row.name if row is not None else code,
                tier=row.tier if row is not None else None,
                spot_check_per_mille=row.spot_check_per_mille if row is not None else 0,
                ruled=counts.get((code, "ruled"), 0),
                spot_checked=counts.get((code, "spot_checked"), 0),
                slip_checks=counts.get((code, "slip_checks"), 0),
            )
        )
    firms.sort(key=lambda firm: (not firm.ruled or firm.covered, -firm.ruled, firm.code))
    came = [firm for firm in firms if firm.ruled]
    return Coverage(
        days=days,
        came=len(came),
        covered=sum(firm.covered for firm in came),
        firms=tuple(firms),
    )


def _seconds(now: datetime, utc: str) -> float:
    return max(0.0, (now - datetime.fromisoformat(utc)).total_seconds()) if utc else 0.0


def _minutes(now: datetime, utc: str) -> int:
    return int(_seconds(now, utc) // 60)


# --- to be drawn ------------------------------------------------------------------------------------------


def line(values: Sequence[float], highest: float, width: float = 230.0, height: float = 52.0) -> str:
    """An SVG polyline's points: one an hour over a day's width, in a box of this size."""
    step = width / 23.0
    top = max(highest, 1.0)
    return " ".join(f"{step * hour:.1f},{height - height * v / top:.1f}" for hour, v in enumerate(values))
