"""A lane through its real program: evidence -> relay, lane time, start, memory, idling.

The program is a process of its own on ptys and sockets of 127.0.0.1, with a broker and a hub, at speed 1. The
devices are those of the bench for the delay of the relay and for what the program costs, so that the time of
each byte is known; for the lane time they are the simulators in real time.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import sqlite3
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

import psutil

from bench.cabinet import Cabinet
from bench.drain import broker
from bench.harness import Bench, Figure
from bench.lane_minimum import shortest_s
from edge.gate.config import read_gate_config
from hardware_sims.cast import FIRM_HIGH, LANE_IN, SCOPE
from hardware_sims.processes import Child, python
from hardware_sims.scenario import random_plate, scenario_to_toml
from hardware_sims.site import LANES, Site, write_site
from hardware_sims.vehicles import Vehicle
from sync.hub.archive import Archive
from sync.hub.importing import import_files
from sync.vocabulary.numbers import utc_text

PASSAGES: Final = 30
FEWEST_PASSAGES: Final = 2
CLAIMED: Final = 30
WEIGHED: Final = 10
THROUGH: Final = 10
"""Vehicles of the lane time, in both lanes together."""
STARTS: Final = 5
IDLE_S: Final = 20.0
LEAST_IDLE_S: Final = 10.0
PASSAGES_FOR_MEMORY: Final = 20
WATCHED: Final = 5
CAMERAS: Final = 2
FRAMES_MB: Final = 55.0
"""A camera's process that takes so much has decoded frames of 1920 × 1080."""
RELAY_LIMIT_MS: Final = 50.0
START_LIMIT_S: Final = 2.0
MEMORY_LIMIT_MB: Final = 100.0
IDLE_LIMIT: Final = 5.0
LANE_TIME_LIMIT: Final = 1.05
WITHIN_S: Final = 40.0
HELD_BACK_S: Final = 1.7
"""Longer than the stability window and all else need, shorter than plate and tag wait for each other."""
GAP_S: Final = 42.0
"""Between vehicles of one lane: nobody waits for the one before."""
TARE_KG: Final = 14_000
CARGO_KG: Final = 6_000

Last = Literal["tag", "plate", "code", "weight"]


def run(folder: Path, scale: float) -> Bench:
    """At scale 1: 30 passages without a claim, 30 with one, 10 weighed last, 10 simulated vehicles."""
    passages = max(FEWEST_PASSAGES, round(PASSAGES * scale))
    claimed = max(FEWEST_PASSAGES, round(CLAIMED * scale))
    weighed = max(1, round(WEIGHED * scale))
    through = max(len(LANES), round(THROUGH * scale))
    load = os.getloadavg()[0]
    site = write_site(folder / "site", seed=7, vehicles=14 * 2 + 4 * through, speed=1.0)
    people = _register(site, max(PASSAGES_FOR_MEMORY, passages + claimed + weighed) + WATCHED)
    with broker(site.folder) as (port, by), _hub(site, port):
        costs, delays = _with_cabinet(
            site,
            people,
            passages,
            claimed,
            weighed,
            at_least=round(PASSAGES_FOR_MEMORY * min(1.0, scale * 10)),
            starts=_starts(scale),
        )
        times = _lane_times(site, through)
    figures = [*_relay_figures(delays), *_time_figures(times), *_cost_figures(costs)]
    setting = (
        f"{passages} passages without a claim, {claimed} with one, {weighed} weighed last, "
        f"{len(times)} vehicles in real time, {by}, load {load:.1f} to {os.getloadavg()[0]:.1f} "
        f"on {os.cpu_count()} cores"
    )
    return Bench("lane", figures, setting)


def _starts(scale: float) -> int:
    return max(1, round(STARTS * min(1.0, scale * 6)))


# --- what is found ----------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Delays:
    """Milliseconds from the write of the last required bytes to the order's bytes on the I/O line."""

    no_claim: dict[Last, list[float]] = field(default_factory=dict)
    claim: dict[Last, list[float]] = field(default_factory=dict)
    claims: list[float] = field(default_factory=list)
    """Asked of the link until answered by the hub, by the program's own log."""
    window: list[float] = field(default_factory=list)
    """From the first frame of a weight that stands still."""
    frame: list[float] = field(default_factory=list)
    """From the frame that made it stable."""


@dataclass(slots=True)
class _Costs:
    starts_s: list[float] = field(default_factory=list)
    start_cpu_s: list[float] = field(default_factory=list)
    started_mb: float = 0.0
    worked_mb: float = 0.0
    watching_mb: float = 0.0
    """With two cameras of 1920 × 1080, after some pictures of each."""
    cameras_mb: tuple[float, ...] = ()
    """Of the cameras' own processes then."""
    pictures: int = 0
    passages: int = 0
    idle_percent: float = 0.0
    idle_s: float = 0.0
    polls_a_s: float = 0.0


@dataclass(frozen=True, slots=True)
class _Through:
    lane: str
    vehicle: str
    lane_s: float
    shortest_s: float
    with_wait_s: float


def _relay_figures(delays: _Delays) -> list[Figure]:
    told = ", ".join(f"{name} last {_spread(found)}" for name, found in delays.no_claim.items())
    figures = []
    everything = [each for found in delays.no_claim.values() for each in found]
    for name, value in (("median", statistics.median(everything)), ("p99", _p99(everything))):
        figures.append(
            Figure(
                f"last byte → relay byte, {name}", value, "ms", value / RELAY_LIMIT_MS,
                f"{RELAY_LIMIT_MS:g} ms", at_most=1.0, note=told if name == "median" else "",
            )
        )  # fmt: skip
    claimed = [each for found in delays.claim.values() for each in found]
    told = ", ".join(f"{name} last {_spread(found)}" for name, found in delays.claim.items())
    figures += [
        Figure("the same with a claim, median", statistics.median(claimed), "ms", note=told),
        Figure(
            "the claim alone, median", statistics.median(delays.claims), "ms",
            note=f"link, broker, hub durable, back: {_spread(delays.claims)}",
        ),
        Figure(
            "the stability window, median", statistics.median(delays.window), "ms",
            note="first frame of a weight that stands still → relay byte, nothing else awaited",
        ),
        Figure(
            "frame that made it stable → relay byte", statistics.median(delays.frame), "ms",
            statistics.median(delays.frame) / RELAY_LIMIT_MS, f"{RELAY_LIMIT_MS:g} ms", at_most=1.0,
            note=_spread(delays.frame),
        ),
    ]  # fmt: skip
    return figures


def _time_figures(times: Sequence[_Through]) -> list[Figure]:
    taken, least = sum(each.lane_s for each in times), sum(each.shortest_s for each in times)
    with_wait = sum(each.with_wait_s for each in times)
    count = len(times)
    by_lane = ", ".join(
        f"{lane} {sum(t.lane_s for t in mine) / sum(t.shortest_s for t in mine):.3f}"
        for lane in LANES
        if (mine := [each for each in times if each.lane == lane])
    )
    return [
        Figure(
            "physics' minimum lane time", least / count, "s",
            note="virtual time; an ideal lane, arm asked down as soon as nothing is under it",
        ),
        Figure(
            "lane time", taken / count, "s", taken / least, "physics' minimum",
            at_most=LANE_TIME_LIMIT, note=f"real time at speed 1; {by_lane}",
        ),
        Figure(
            "the same, clear_s in the minimum", taken / count, "s", taken / with_wait,
            f"{with_wait / count:.1f} s", at_most=LANE_TIME_LIMIT,
            note="nothing may be under the arm for so long before it is asked down: the config insists",
        ),
    ]  # fmt: skip


def _cost_figures(costs: _Costs) -> list[Figure]:
    start_s = statistics.median(costs.starts_s)
    spread = f"{min(costs.starts_s):.2f} to {max(costs.starts_s):.2f} s"
    return [
        Figure(
            "start → safe and listening", start_s, "s", start_s / START_LIMIT_S, f"{START_LIMIT_S:g} s",
            at_most=1.0,
            note=f"{spread}, of which {statistics.median(costs.start_cpu_s):.2f} s on a core",
        ),
        Figure(
            "RssAnon after the start", costs.started_mb, "MB", costs.started_mb / MEMORY_LIMIT_MB,
            f"{MEMORY_LIMIT_MB:g} MB", at_most=1.0,
        ),
        Figure(
            f"RssAnon after {costs.passages} passages", costs.worked_mb, "MB",
            costs.worked_mb / MEMORY_LIMIT_MB, f"{MEMORY_LIMIT_MB:g} MB", at_most=1.0,
        ),
        Figure(
            "RssAnon with two cameras, 1920 × 1080", costs.watching_mb, "MB",
            costs.watching_mb / MEMORY_LIMIT_MB, f"{MEMORY_LIMIT_MB:g} MB", at_most=1.0,
            note=f"after {costs.pictures} pictures; the cameras' own processes "
            f"{', '.join(f'{each:.0f}' for each in costs.cameras_mb)} MB besides",
        ),
        Figure(
            "CPU when idle", costs.idle_percent, "% of a core", costs.idle_percent / IDLE_LIMIT,
            f"{IDLE_LIMIT:g} %", at_most=1.0,
            note=f"{costs.idle_s:.0f} s, every device polled or speaking, {costs.polls_a_s:.1f} "
            "readings of the inputs a second",
        ),
    ]  # fmt: skip


def _p99(values: Sequence[float]) -> float:
    """The nearest rank: of fewer than 100 the largest."""
    return sorted(values)[math.ceil(0.99 * len(values)) - 1]


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.1f} ms ({min(values):.1f} to {max(values):.1f})"


# --- the site ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Person:
    """A registered vehicle, and the number of its slip where it has one."""

    plate: str
    tag: str
    slip_no: str


@dataclass(slots=True)
class _People:
    """Empty ones, and laden ones with a slip in their name or with one that must be shown."""

    empty: Iterator[_Person]
    laden: Iterator[_Person]
    shown: Iterator[_Person]


def _register(site: Site, count: int) -> _People:
    """`count` of each, beside those of the cast, in the archive."""
    draw = random.Random("bench/lane")
    now = datetime.now(UTC)
    kinds: dict[str, list[_Person]] = {}
    rows: dict[str, list[dict[str, Any]]] = {"vehicles": [], "release_slips": []}
    number = 0
    for kind in ("empty", "laden", "shown"):
        for _ in range(count):
            number += 1
            slip_no = f"Z4604I260101{number:012d}"
            plate = f"{random_plate(draw)[:2]}{number:05d}"
            person = _Person(plate, f"E281{draw.randbytes(10).hex().upper()}", slip_no)
            kinds.setdefault(kind, []).append(person)
            rows["vehicles"].append(
                {
                    "plate": plate,
                    "tag_epcs": [person.tag],
                    "tare_kg": str(TARE_KG),
                    "state": "active",
                    "valid_until": _utc(now + timedelta(days=365)),
                }
            )
            if kind != "empty":
                rows["release_slips"].append(_slip(person, now, named=kind == "laden"))
    for collection, added in rows.items():
        file = site.folder / "records" / f"{collection}.json"
        known = json.loads(file.read_text(encoding="utf-8"))
        file.write_text(json.dumps(known + added, ensure_ascii=False), encoding="utf-8")
    with contextlib.closing(Archive.open(site.archive)) as archive:
        import_files(archive, SCOPE, site.record_files(), _utc(now))
    return _People(*(iter(kinds[kind]) for kind in ("empty", "laden", "shown")))


def _slip(person: _Person, now: datetime, *, named: bool) -> dict[str, Any]:
    return {
        "slip_no": person.slip_no,
        "direction": "I",
        "kind": "3",
        "binding": "2" if named else "3",
        "plate": person.plate if named else None,
        "vehicle_kg": str(TARE_KG - 1_000),
        "frame_kg": "1000",
        "cargo_gross_kg": str(CARGO_KG),
        "total_kg": str(TARE_KG + CARGO_KG),
        "enterprise": FIRM_HIGH,
        "customs_code": "4604",
        "state": "1",
        "valid_from": _utc(now - timedelta(days=2)),
        "valid_until": _utc(now + timedelta(days=7)),
        "uses_allowed": 1,
    }


def _utc(moment: datetime) -> str:
    return utc_text(moment)


@contextlib.contextmanager
def _hub(site: Site, port: int) -> Iterator[None]:
    for config in (site.hub_config, *map(site.lane_config, LANES)):
        text = config.read_text(encoding="utf-8")
        config.write_text(text.replace(f"port = {site.broker_port}\n", f"port = {port}\n"), encoding="utf-8")
    hub = Child("hub", python("-m", "sync.hub", str(site.hub_config)), site.folder / "hub.log")
    try:
        yield
    finally:
        hub.stop()


class _Program:
    """The lane program, and what its log says."""

    def __init__(self, site: Site, lane: str) -> None:
        self.began_s = time.perf_counter()
        self._log = site.folder / f"{lane}.log"
        self._from = self._log.stat().st_size if self._log.exists() else 0
        self.child = Child(lane, python("-m", "edge.gate", str(site.lane_config(lane))), self._log)
        self._rest = b""
        self.lines: list[dict[str, Any]] = []

    @property
    def pid(self) -> int:
        return self.child.process.pid

    def look(self) -> None:
        if not self.child.running:
            raise RuntimeError(f"the lane program ended: {self._log.read_text(encoding='utf-8')[-2000:]}")
        with self._log.open("rb") as log:
            log.seek(self._from)
            data = log.read()
        self._from += len(data)
        *whole, self._rest = (self._rest + data).split(b"\n")
        self.lines += [json.loads(line) for line in whole if line.startswith(b"{")]

    def said(self, event: str, **values: object) -> list[dict[str, Any]]:
        self.look()
        return [line for line in self.lines if {"event": event, **values}.items() <= line.items()]

    def is_up(self) -> bool:
        """It listens, and the arm is proven down."""
        return bool(self.said("lane is listening")) and bool(self.said("phase", after="Free"))


def _has_records(site: Site, lane: str) -> bool:
    """Its journal says that it has all that the centre has."""
    with contextlib.closing(sqlite3.connect(f"file:{site.archive}?mode=ro", uri=True, timeout=2)) as archive:
        (number,) = archive.execute("SELECT number FROM scopes WHERE scope = ?", (SCOPE,)).fetchone()
    return any(fact["number"] >= number for fact in _facts(site, lane, "records_moved"))


def _facts(site: Site, lane: str, kind: str) -> list[dict[str, Any]]:
    journal = site.lane_data(lane) / "journal.sqlite"
    if not journal.exists():
        return []
    with contextlib.closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True, timeout=5.0)) as rows:
        found = rows.execute("SELECT body FROM facts WHERE kind = ? ORDER BY position", (kind,)).fetchall()
    return [json.loads(body)["data"] for (body,) in found]


# --- with the bench's own devices -------------------------------------------------------------------------


def _with_cabinet(
    site: Site, people: _People, passages: int, claimed: int, weighed: int, *, at_least: int, starts: int
) -> tuple[_Costs, _Delays]:
    """`at_least`: so many passages before the memory is looked at again."""
    costs, delays = _Costs(), _Delays()
    cabinet = Cabinet(site.folder / "ports", LANE_IN, site.camera_ports[LANES.index(LANE_IN)])
    program = _Program(site, LANE_IN)
    try:
        cabinet.until(program.is_up, "the lane is up", WITHIN_S)
        cabinet.until(lambda: _has_records(site, LANE_IN), "the lane has the records", WITHIN_S)
        for _ in range(starts):
            program.child.stop()
            cabinet.rest(0.3)
            program = _Program(site, LANE_IN)
            cabinet.until(program.is_up, "the lane is up", WITHIN_S)
            costs.starts_s.append(time.perf_counter() - program.began_s)
            costs.start_cpu_s.append(_cpu_s(program))
        cabinet.rest(3.0)
        costs.started_mb = _rss_anon_mb(program.pid)
        _idle(cabinet, program, costs, max(LEAST_IDLE_S, IDLE_S * min(1.0, starts / STARTS)))
        lane = _Lane(cabinet, program, delays)
        for number in range(passages):
            lane.passage(next(people.empty), ("tag", "plate")[number % 2])
        for number in range(claimed):
            last: Last = ("tag", "plate", "code")[number % 3]
            lane.passage(next(people.shown if last == "code" else people.laden), last, kg=TARE_KG + CARGO_KG)
        for _ in range(weighed):
            lane.passage(next(people.empty), "weight")
        for _ in range(at_least - lane.count):
            lane.passage(next(people.empty), "tag", quick=True)
        costs.passages = lane.count
        costs.worked_mb = _rss_anon_mb(program.pid)
        program.child.stop()
        config = site.lane_config(LANE_IN)
        without = config.read_text(encoding="utf-8")
        config.write_text(without + _cameras(site.folder), encoding="utf-8")
        program = lane.program = _Program(site, LANE_IN)
        cabinet.until(program.is_up, "the lane is up, with cameras", WITHIN_S)
        watching = psutil.Process(program.pid)
        cabinet.until(
            lambda: sum(_rss_anon_mb(each.pid) > FRAMES_MB for each in watching.children()) == CAMERAS,
            "the cameras hold frames",
            WITHIN_S,
        )
        cabinet.rest(2.0)
        for _ in range(WATCHED):
            lane.passage(next(people.empty), "tag", quick=True)
        costs.pictures = len([*site.folder.glob(f"data/{LANE_IN}/pictures/*/*.jpg")])
        costs.watching_mb = _rss_anon_mb(program.pid)
        costs.cameras_mb = tuple(_rss_anon_mb(each.pid) for each in watching.children())
        config.write_text(without, encoding="utf-8")
    finally:
        program.child.stop()
        cabinet.close()
    return costs, delays


def _cameras(folder: Path) -> str:
    """What a lane's config says of two cameras: films of the usual size, played at their own pace."""
    import cv2
    import numpy

    random_dots = numpy.random.default_rng(7)
    tables = []
    for name in ("front", "rear"):
        film = folder / f"{name}.avi"
        writer = cv2.VideoWriter(str(film), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (1920, 1080))
        scene = cv2.resize(random_dots.integers(0, 255, (27, 48, 3), numpy.uint8), (1920, 1080))
        for number in range(25):
            writer.write(numpy.roll(scene, 8 * number, axis=1))
        writer.release()
        tables.append(f'[cameras.{name}]\npath = "{film}"\n')
    return "\n" + "\n".join(tables)


@dataclass(slots=True)
class _Lane:
    """Passages one after another."""

    cabinet: Cabinet
    program: _Program
    delays: _Delays
    count: int = 0

    def passage(self, person: _Person, last: Last, *, kg: int = TARE_KG, quick: bool = False) -> None:
        """One vehicle in and out, with its last required bytes held back. `quick`: not held back, and not
        counted among the delays."""
        cabinet = self.cabinet
        free, begun, up = self._times("Free"), self._times("Reading"), self._times("Passing")
        claims = len(self.program.said("phase", after="Claiming"))
        cabinet.arrive(0 if last == "weight" else kg)
        # What is read before its passage is nobody's.
        cabinet.until(lambda: self._times("Reading") > begun, "the passage is opened", WITHIN_S)
        if last != "tag":
            cabinet.tag = person.tag
        if last != "plate":
            cabinet.push_plate(person.plate)
        cabinet.rest(0.1 if quick else HELD_BACK_S)
        if self._raised_s() is not None:
            raise RuntimeError(f"the arm was asked up before the {last} of {person.plate} was there")
        begin_s = self._give(person, last, kg)
        cabinet.until(lambda: self._raised_s() is not None, f"the arm is asked up, {last} last", 10.0)
        frame_s = cabinet.weight_told_s
        raised_s = self._raised_s()
        assert raised_s is not None
        if begin_s is None:
            begin_s = cabinet.tag_told_s if last == "tag" else cabinet.first_loaded_s
        assert begin_s is not None
        took_ms = (raised_s - begin_s) * 1000
        claimed = self.program.said("phase", after="Claiming")[claims:]
        if last == "weight":
            self.delays.window.append(took_ms)
            self.delays.frame.append((raised_s - frame_s) * 1000)
        elif not quick:
            kind = self.delays.claim if claimed else self.delays.no_claim
            kind.setdefault(last, []).append(took_ms)
        cabinet.until(lambda: self._times("Passing") > up, "the arm is up", 10.0)
        cabinet.rest(0.2)
        cabinet.rest(cabinet.leave())
        cabinet.until(lambda: self._times("Free") > free, "the lane is free", WITHIN_S)
        cabinet.rest(0.3)
        if claimed:
            number = claimed[-1]["passage"]
            (answered,) = self.program.said("phase", before="Claiming", passage=number)
            self.delays.claims.append(_between_ms(claimed[-1]["time"], answered["time"]))
        self.count += 1

    def _raised_s(self) -> float | None:
        return self.cabinet.raised_s

    def _times(self, phase: str) -> int:
        """How often it was entered."""
        return len(self.program.said("phase", after=phase))

    def _give(self, person: _Person, last: Last, kg: int) -> float | None:
        """When the writing began, where that is known at once."""
        cabinet = self.cabinet
        match last:
            case "tag":
                cabinet.tag = person.tag
            case "plate":
                return cabinet.push_plate(person.plate)
            case "code":
                return cabinet.show_code(person.slip_no)
            case "weight":
                cabinet.weight_kg = kg
                cabinet.first_loaded_s = None
        return None


def _between_ms(earlier: str, later: str) -> float:
    gap = datetime.fromisoformat(later) - datetime.fromisoformat(earlier)
    return gap / timedelta(milliseconds=1)


def _idle(cabinet: Cabinet, program: _Program, costs: _Costs, seconds: float) -> None:
    polls, before_s, begin_s = cabinet.polls, _cpu_s(program), time.perf_counter()
    cabinet.rest(seconds)
    costs.idle_s = time.perf_counter() - begin_s
    costs.idle_percent = 100 * (_cpu_s(program) - before_s) / costs.idle_s
    costs.polls_a_s = (cabinet.polls - polls) / costs.idle_s


def _cpu_s(program: _Program) -> float:
    times = psutil.Process(program.pid).cpu_times()
    return float(times.user + times.system)


def _rss_anon_mb(pid: int) -> float:
    """Linux tells what is the program's own; elsewhere what it shares counts too."""
    status = Path(f"/proc/{pid}/status")
    if status.exists():
        return int(status.read_text().split("RssAnon:")[1].split()[0]) / 1024
    return float(psutil.Process(pid).memory_info().rss) / 1024**2


# --- with the simulators, in real time --------------------------------------------------------------------


def _lane_times(site: Site, count: int) -> list[_Through]:
    """Ordinary vehicles through both lanes at speed 1."""
    vehicles = _ordinary(site, count)
    scenario = replace(site.cast.scenario, vehicles=vehicles, faults=(), happenings=(), pauses=())
    site.scenario_file.write_text(scenario_to_toml(scenario), encoding="utf-8")
    lanes = sorted({vehicle.lane for vehicle in vehicles})
    before = {lane: len(_facts(site, lane, "passage_closed")) for lane in lanes}
    command = python(
        "-m", "hardware_sims", "serve", str(site.scenario_file), "--folder", str(site.folder), "--hold",
        "--until-idle",
    )  # fmt: skip
    sims = Child("sims", command, site.folder / "sims.log", talks=True)
    programs: list[_Program] = []
    try:
        _wait(lambda: (site.folder / "ports" / f"{LANES[-1]}-led").exists(), "the simulators are ready")
        programs += [_Program(site, lane) for lane in lanes]
        _wait(lambda: all(program.is_up() for program in programs), "the lanes are up")
        _wait(lambda: all(_has_records(site, lane) for lane in lanes), "the lanes have the records")
        sims.tell("go")
        _wait(lambda: not sims.running, "every vehicle has gone", 60.0 + GAP_S * (count + 2))
        shortest = _shortest(site, vehicles)
        found = []
        for lane in lanes:
            closed = _facts(site, lane, "passage_closed")[before[lane] :]
            mine = [vehicle for vehicle in vehicles if vehicle.lane == lane]
            if [fact["outcome"] for fact in closed] != ["crossed"] * len(mine):
                raise RuntimeError(f"{lane}: expected {len(mine)} to cross, the journal has {closed}")
            found += [
                _Through(lane, vehicle.id, fact["lane_s"], *shortest[vehicle.id])
                for vehicle, fact in zip(mine, closed, strict=True)
            ]
    finally:
        for program in programs:
            program.child.stop()
        sims.stop()
    return found


def _ordinary(site: Site, count: int) -> tuple[Vehicle, ...]:
    """Half in each lane, so far apart that none waits for another."""
    cast = site.cast
    chosen: list[Vehicle] = []
    used = {v.plate for v in cast.scenario.vehicles if cast.cases[v.id] == "slip_used"}
    for place, lane in enumerate(LANES):
        mine = [
            vehicle
            for vehicle in cast.scenario.vehicles
            if vehicle.lane == lane and cast.cases[vehicle.id] == "ordinary" and vehicle.plate not in used
        ]
        wanted = (count + 1 - place) // 2
        chosen += [
            replace(vehicle, arrives_s=2.0 + number * GAP_S) for number, vehicle in enumerate(mine[:wanted])
        ]
    return tuple(chosen)


def _shortest(site: Site, vehicles: Sequence[Vehicle]) -> dict[str, tuple[float, float]]:
    """Vehicle -> (at once, with the config's wait until nothing is under the arm)."""
    settings = {lane.name: lane for lane in site.cast.scenario.lanes}
    configs = {lane: read_gate_config(site.lane_config(lane)) for lane in LANES}
    found = {}
    for vehicle in vehicles:
        config, lane = configs[vehicle.lane], settings[vehicle.lane]
        wait_s = config.timing.clear_s
        found[vehicle.id] = (
            shortest_s(vehicle, lane, config),
            shortest_s(vehicle, lane, config, free_s=wait_s),
        )
    return found


def _wait(done: Any, what: str, within_s: float = WITHIN_S) -> None:
    until_s = time.monotonic() + within_s
    while not done():
        if time.monotonic() > until_s:
            raise RuntimeError(f"not within {within_s:.0f} s: {what}")
        time.sleep(0.02)
