"""What goes wrong in a seed, and the run of one seed from plan to verdict.

Troubles are dealt like cards: every kind comes round again after so many seeds, whatever seeds are run.
"""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, assert_never

from edge.gate.effects import Effect
from edge.gate.events import Event
from edge.gate.lane import Claiming, Free, Holding, Lane, Passing, Shut
from hardware_sims.barrier import BarrierSettings
from hardware_sims.faults import Fault, FaultKind
from hardware_sims.physics import INPUTS, LOOP
from hardware_sims.scenario import (
    FAULTS_OF,
    FaultPlan,
    Happening,
    HappeningKind,
    Scenario,
    faults_of,
    read_scenario,
)
from sync.store.lock import lock_path
from sync.vocabulary.commands import TakePictures
from sync.vocabulary.records import (
    CreditTier,
    Direction,
    GateStage,
    LaneClass,
    PlatformLost,
    PlatformRole,
    ReleaseSlip,
    SiteLane,
)
from sync.vocabulary.rulings import Reason
from tests.world.broker import Weather
from tests.world.checks import Breach
from tests.world.equipment import deal
from tests.world.harness import START, Figures, LanePc, LanePlan, World, cpu_s, quiet, scratch
from tests.world.officers import (
    GOOD,
    REASON,
    Field,
    ShownByOfficer,
    aside_codes,
    bad_codes,
    commanded,
    good_codes,
    pictures_wanted,
    roster,
    supplement_codes,
)
from tests.world.traffic import (
    CASES,
    CONTAINERS,
    SCOPE,
    SiteRules,
    Traffic,
    make_traffic,
    papers_for,
    shown_next_door,
)

LEAST_S = 600.0
"""A seed lasts at least so long."""
TROUBLES_A_SEED = 6
CASES_A_SEED = 3
REST_WITHIN_S = 1_200.0
QUIET_WITHIN_S = 1_800.0
"""Unacknowledged facts are sent again after at most five minutes; a rebuild of records waits up to an hour."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that goes wrong."""

    kind: str
    lane: str
    at_s: float
    for_s: float

    def __str__(self) -> str:
        return f"{self.at_s:7.1f} s for {self.for_s:5.1f} s  {self.lane:10}  {self.kind}"


@dataclass(slots=True)
class Plan:
    """A seed, spelled out."""

    seed: int
    lanes: tuple[LanePlan, ...]
    rules: SiteRules
    traffic: Traffic
    troubles: list[Trouble]
    head_every_s: float
    scenario: Scenario | None = None
    """From a file: its faults and happenings take place besides."""
    record_files: tuple[Path, ...] = ()

    @property
    def end_s(self) -> float:
        last = max((trouble.at_s + trouble.for_s for trouble in self.troubles), default=0.0)
        return max(LEAST_S, self.traffic.last_s + 60.0, last + 1.0)


@dataclass(slots=True)
class Outcome:
    """What came of a seed."""

    seed: int
    breaches: list[Breach]
    seen: dict[str, Counter[str]]
    figures: Figures
    story: list[str] = field(default_factory=list)
    plan: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "breaches": [
                {"guarantee": each.guarantee, "at_s": round(each.at_s, 3), "what": each.what}
                for each in self.breaches
            ],
            "virtual_s": round(self.figures.virtual_s, 3),
            "passages": self.figures.passages,
            "events": self.figures.events,
            "cpu_s": round(self.figures.cpu_s, 3),
            "troubles": self.plan,
        }


# --- the plan -----------------------------------------------------------------------------------------------


def make_plan(seed: int) -> Plan:
    draw = random.Random(f"{seed}/plan")
    same = draw.random() < 0.4
    kinds = _dealt(sorted([*TROUBLES, *OFTEN]), seed, TROUBLES_A_SEED, "troubles")
    cases = _dealt(sorted(CASES), seed, CASES_A_SEED, "cases")
    befallen = {kind.split(" ")[0] for kind in kinds} | {_NEEDS_DEVICE.get(case, "") for case in cases}
    platform = "platform" in befallen or draw.random() < 0.3
    directions = {"lane-1": Direction.IN, "lane-2": Direction.IN if same else Direction.OUT}
    lanes = tuple(
        LanePlan(
            name=name,
            direction=direction,
            like=like,
            barrier=BarrierSettings(
                auto_close=like == 1,
                auto_close_after_s=draw.choice((0.5, 1.5, 3.0)),
                power_fail_lifts=draw.random() < 0.5,
                raise_s=draw.choice((1.2, 2.0, 3.0)),
                lower_s=draw.choice((1.5, 2.5, 3.5)),
            ),
            empty_needs_slip=draw.random() < 0.2,
            require_synchronised=draw.random() < 0.5,
            zero_kg=draw.choice((0.0, 0.0, 20.0, -40.0)),
            slices=draw.random() < 0.25,
            equipment=deal(seed, like, draw, platform=platform, wanted=sorted(befallen)),
            neighbour="lane-2" if name == "lane-1" else "lane-1",
        )
        for like, (name, direction) in enumerate(directions.items())
    )
    tiers = (CreditTier.HIGH, CreditTier.MEDIUM)
    rules = SiteRules(
        offline_release_tiers=tiers[: draw.randrange(3)],
        max_age_s=draw.choice((21_600, 21_600, 150)),
        inspection_beyond_barrier=draw.random() < 0.35,
        manual_release_officers=draw.choice((1, 1, 2)),
        lanes=_classed(draw, directions),
        inspect_all_tiers=(CreditTier.LOW,) if draw.random() < 0.15 else (),
        platform=draw.choice(_ROLES) if platform else PlatformRole.NONE,
        platform_timeout_s=draw.choice((4, 8, 15)),
        platform_lost=draw.choice((PlatformLost.HOLD, PlatformLost.LOCAL)),
        platform_may_raise=draw.random() < 0.6,
        waiting_area_beyond_barrier="officer leads aside" in kinds
        or random.Random(f"{seed}/waiting area").random() < 0.5,
        card_readers={
            lane.name: lane.equipment.card_reader
            for lane in lanes
            if lane.equipment is not None and lane.equipment.card_reader is not None
        },
    )
    needed = ("stands_under_the_arm",) * any("somebody under the arm" in kind for kind in kinds)
    traffic = make_traffic(
        draw,
        directions,
        rules,
        today=START,
        vehicles=10,
        mean_gap_s=draw.choice((80.0, 100.0)),
        first=(*cases, *needed),
    )
    # Who has neither plate nor tag of his own is taken for the vehicle next door where only its tag is heard:
    # the lane has nothing to tell by (the guarantees name no least strength). Such lanes hear their own tags only.
    without = {truck.lane for truck in traffic.trucks if truck.tag is None}
    lanes = tuple(
        replace(lane, equipment=replace(lane.equipment, hears_neighbour=False))
        if lane.name in without and lane.equipment is not None
        else lane
        for lane in lanes
    )
    traffic.records += roster(START)
    troubles = [_place(draw, kind, traffic, sorted(directions)) for kind in kinds]
    if same and CreditTier.HIGH in rules.offline_release_tiers and not rules.lanes:
        first = shown_next_door(random.Random(f"{seed}/next door"), directions, traffic, START)
        troubles.append(Trouble(UNTIL_LET_THROUGH, first.lane, first.arrives_s - 2.0, 60.0))
    troubles.sort(key=lambda trouble: trouble.at_s)
    return Plan(seed, lanes, rules, traffic, troubles, draw.choice((10.0, 30.0)))


_ROLES = (PlatformRole.BEFORE, PlatformRole.AFTER, PlatformRole.INSTEAD)
_LACKING = ("nameless", "no_slip", "wheel_off", "containers", "shared_slip")
_NEEDS_DEVICE = {
    "card": "card_reader",
    "other_card_and_slip": "card_reader",
    "containers": "container_camera",
}
"""Cases that show little where the lane lacks a device."""


def _classed(draw: random.Random, directions: dict[str, Direction]) -> tuple[SiteLane, ...]:
    """Mostly lanes for everybody; now and then a class of its own, or two gates one behind the other."""
    names = sorted(directions)
    if len(set(directions.values())) == 1 and draw.random() < 0.3:
        gates = (GateStage.FIRST, GateStage.SECOND)
        return tuple(
            SiteLane(lane=name, direction=directions[name], gate=gate)
            for name, gate in zip(names, gates, strict=True)
        )
    if draw.random() < 0.7:
        return ()
    classes = (LaneClass.MIXED, LaneClass.MIXED, LaneClass.LOADED, LaneClass.EMPTY, LaneClass.EXPRESS)
    return tuple(
        SiteLane(
            lane=name,
            direction=directions[name],
            lane_class=LaneClass.MANUAL if draw.random() < 0.1 else draw.choice(classes),
            name_zh=f"{number}号",
            name_en=f"No {number}",
        )
        for number, name in enumerate(names, 1)
    )


def plan_of_file(seed: int, path: Path) -> Plan:
    """A scenario file and the records beside it (`records/*.json`, or ordinary papers for everybody).

    Lanes with `out` in their name let out. Raises `ScenarioRefused`, `OSError`.
    """
    scenario = read_scenario(path)
    plan = make_plan(seed)
    directions = {lane.name: Direction.OUT if "out" in lane.name else Direction.IN for lane in scenario.lanes}
    files = tuple(sorted((path.parent / "records").glob("*.json")))
    traffic = papers_for(random.Random(f"{seed}/papers"), directions, scenario.vehicles, START)
    if files:
        traffic.records = []
    lanes = tuple(
        LanePlan(
            name=lane.name,
            direction=directions[lane.name],
            like=1 if lane.barrier.auto_close else 0,
            barrier=lane.barrier,
            zero_kg=lane.zero_kg,
            settings=lane,
        )
        for lane in scenario.lanes
    )
    return Plan(seed, lanes, plan.rules, traffic, [], plan.head_every_s, scenario, files)


def _dealt(deck: list[str], seed: int, hand: int, name: str) -> tuple[str, ...]:
    random.Random(f"deck/{name}").shuffle(deck)
    return tuple(deck[(seed * hand + place) % len(deck)] for place in range(hand))


def _place(draw: random.Random, kind: str, traffic: Traffic, lanes: list[str]) -> Trouble:
    """Where somebody is, or is about to be: trouble in an empty lane shows little."""
    standing = [truck for truck in traffic.trucks if truck.behaviour.creeps_for_s]
    # Where the controller lowers by itself a restarted lane finds the arm down, and perhaps somebody else.
    alone = [truck for truck in traffic.trucks if truck.lane == lanes[-1]]
    # Who lacks something an officer can enter.
    lacking = [truck for truck in traffic.trucks if traffic.cases.get(truck.id) in _LACKING]
    among = {
        "somebody under the arm": standing,
        "behind a raised arm": alone,
        "supplements": lacking,
    }
    wanted = next((trucks for words, trucks in among.items() if words in kind), [])
    truck = draw.choice(wanted or traffic.trucks)
    there = "somebody" in kind or "supplements" in kind
    lane = truck.lane if there or draw.random() < 0.9 else draw.choice(lanes)
    low, high = _LASTS.get(kind) or _LASTS.get(kind.split(" ")[0], (3.0, 35.0))
    at_s = max(0.5, truck.arrives_s + draw.uniform(-8.0, 40.0))
    return Trouble(kind, lane, round(at_s, 3), round(draw.uniform(low, high), 3))


_LASTS = {
    "broker": (20.0, 150.0),
    "link": (30.0, 240.0),
    "hub": (15.0, 150.0),
    "clock": (20.0, 120.0),
    "something": (100.0, 200.0),
    "the": (100.0, 200.0),
    "officer": (60.0, 200.0),
    "officer's": (60.0, 200.0),
    "disk": (10.0, 60.0),
    "program": (1.0, 90.0),
    "stop": (2.0, 20.0),
    "fire": (2.0, 25.0),
    "fire over somebody under the arm": (250.0, 400.0),
    "program killed behind a raised arm": (60.0, 150.0),
    "program's": (30.0, 200.0),
    "mains": (2.0, 25.0),
    "weighbridge jump": (40.0, 120.0),
    "weighbridge drift": (30.0, 120.0),
    "weighbridge no_zero": (40.0, 90.0),
    "platform": (20.0, 120.0),
    "platform orders the arm up": (60.0, 200.0),
}
"""Seconds a trouble lasts, by the first word of its kind."""


# --- the troubles -------------------------------------------------------------------------------------------

Begin = Callable[[World, LanePc, random.Random, Trouble], Callable[[], None] | None]
"""Begins a trouble and answers what ends it."""


def _device_fault(device: str, kind: FaultKind) -> Begin:
    def begin(world: World, lane: LanePc, draw: random.Random, trouble: Trouble) -> Callable[[], None]:
        fault = Fault(
            kind=kind,
            rate={
                FaultKind.FLIP: draw.choice((0.005, 0.02, 0.1)),
                FaultKind.CUT: draw.uniform(0.2, 1.0),
                FaultKind.CHATTER: draw.uniform(1.0, 20.0),
            }.get(kind),
            delay_s=draw.uniform(0.5, 5.0) if kind is FaultKind.JUMP else draw.choice((0.05, 0.2, 0.7, 2.0)),
            kg=draw.choice((250.0, 2_000.0, -1_500.0)) if kind is FaultKind.JUMP else None,
            input=draw.choice(INPUTS) if kind is FaultKind.BROKEN_WIRE else "",
        )
        lane.set_fault(device, fault, True)
        return lambda: lane.set_fault(device, fault, False)

    return begin


def _happening(begins: str, ends: str | None = None) -> Begin:
    def begin(world: World, lane: LanePc, draw: random.Random, trouble: Trouble) -> Callable[[], None] | None:
        physics = lane.sim.physics
        acts: dict[str, Callable[[float], None]] = {
            "fire on": lambda at_s: physics.set_fire(at_s, True),
            "fire off": lambda at_s: physics.set_fire(at_s, False),
            "mains off": lambda at_s: physics.set_power(at_s, False),
            "mains on": lambda at_s: physics.set_power(at_s, True),
            "stop in": lambda at_s: physics.press_stop(at_s, True),
            "stop out": lambda at_s: physics.press_stop(at_s, False),
            "hand up": lambda at_s: physics.hand(at_s, up=True),
            "hand down": lambda at_s: physics.hand(at_s, up=False),
        }
        lane.happen(acts[begins])
        if ends is None:
            return None
        lane.lively += 1

        def end() -> None:
            lane.lively -= 1
            lane.happen(acts[ends])

        return end

    return begin


def _hand_down_later(world: World, lane: LanePc, draw: random.Random, trouble: Trouble) -> Callable[[], None]:
    """Somebody cranks the arm down at the moment it is up."""
    over = False

    def look() -> None:
        if over:
            return
        if lane.sim.physics.barrier.is_up:
            lane.happen(lambda at_s: lane.sim.physics.hand(at_s, up=False))
        else:
            world.at(world.now_s + 0.4, look)

    def end() -> None:
        nonlocal over
        over = True

    look()
    return end


def _fire_over_somebody(
    world: World, lane: LanePc, draw: random.Random, trouble: Trouble
) -> Callable[[], None]:
    """A short one: the lane is closed, and reset while the vehicle still stands under the raised arm."""
    over = False

    def look() -> None:
        physics = lane.sim.physics
        if over:
            return
        if physics.barrier.is_up and not physics.inputs()[LOOP]:
            lane.happen(lambda at_s: physics.set_fire(at_s, True))
            world.at(world.now_s + 1.5, lambda: lane.happen(lambda at_s: physics.set_fire(at_s, False)))
        else:
            world.at(world.now_s + draw.uniform(0.3, 1.5), look)

    def end() -> None:
        nonlocal over
        over = True

    look()
    return end


def _fire_in_a_claim(world: World, lane: LanePc, draw: random.Random, trouble: Trouble) -> Callable[[], None]:
    """The broker takes everything and delivers nothing; somebody is being asked for when the fire begins."""
    over = False
    world.broker.weather = Weather(drop=1.0)

    def look() -> None:
        if over:
            return
        program = lane.program
        if program is not None and isinstance(program.loop.state.phase, Claiming):
            physics = lane.sim.physics
            lane.happen(lambda at_s: physics.set_fire(at_s, True))
            world.at(world.now_s + 3.0, lambda: lane.happen(lambda at_s: physics.set_fire(at_s, False)))
        else:
            world.at(world.now_s + 0.4, look)

    def end() -> None:
        nonlocal over
        over = True
        world.broker.weather = Weather()

    look()
    return end


def _while_falling(device: str, *faults: Fault) -> Begin:
    """Waits for the arm to come down, and then one of the faults is there for a moment."""

    def begin(world: World, lane: LanePc, draw: random.Random, trouble: Trouble) -> Callable[[], None]:
        over = False

        def look() -> None:
            if over:
                return
            barrier = lane.sim.physics.barrier
            if barrier.is_moving and not barrier.is_rising:
                fault = draw.choice(faults)
                lane.set_fault(device, fault, True)
                world.at(world.now_s + draw.uniform(0.3, 8.0), lambda: lane.set_fault(device, fault, False))
            else:
                world.at(world.now_s + draw.uniform(0.1, 0.6), look)

        def end() -> None:
            nonlocal over
            over = True

        look()
        return end

    return begin


def _program_killed(world: World, lane: LanePc, draw: random.Random, trouble: Trouble) -> Callable[[], None]:
    lane.collect()
    lane.cut_power()
    return lane.start


def _killed_behind_a_raised_arm(
    world: World, lane: LanePc, draw: random.Random, trouble: Trouble
) -> Callable[[], None]:
    """While the admitted vehicle is on its way; whoever stands there afterwards may be somebody else."""
    over = False

    def look() -> None:
        if over:
            return
        program = lane.program
        if program is not None and isinstance(program.loop.state.phase, Passing):
            lane.collect()
            lane.cut_power()
            world.at(world.now_s + draw.uniform(5.0, 55.0), lane.start)
        else:
            world.at(world.now_s + draw.uniform(0.5, 3.0), look)

    def end() -> None:
        nonlocal over
        over = True

    look()
    return end


def _disk_restored(
    world: World, lane: LanePc, draw: random.Random, trouble: Trouble
) -> Callable[[], None] | None:
    """The lane PC's disk is put back to how it was: with the lock file (a machine's snapshot) or without it."""
    program = lane.program
    if program is None:
        return None
    kept, with_lock = lane.config.store.folder / "kept.sqlite", draw.random() < 0.5
    assert program.journal._writer is not None
    kept.unlink(missing_ok=True)
    program.journal._writer.execute("VACUUM INTO ?", (str(kept),))
    lock = lock_path(program.journal.path)
    lock_then = lock.read_bytes()
    position = program.journal.position()

    def end() -> None:
        lane.collect()
        acked = _acknowledged(world, lane)
        lane.cut_power()
        path = lane.config.store.folder / "journal.sqlite"
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        shutil.copyfile(kept, path)
        if with_lock:
            lock.write_bytes(lock_then)
        world.watch.of(lane).restored = True
        if acked > position:
            world.watch.must_be_found(lane)
        world.at(world.now_s + 5.0, lane.start)

    return end


def _acknowledged(world: World, lane: LanePc) -> int:
    """The highest position of this lane's facts at the hub; 0 while the hub is down."""
    hub = world.hub.archive
    if hub is None:
        return 0
    row = hub._db.execute("SELECT max(position) FROM facts WHERE device = ?", (lane.name,)).fetchone()
    return row[0] or 0


def _program_cut(world: World, lane: LanePc, draw: random.Random, trouble: Trouble) -> Callable[[], None]:
    """Between two of the effects that come next."""
    lane.off_for_s = trouble.for_s
    lane.effects_until_cut = draw.randrange(0, 40)

    def end() -> None:
        lane.effects_until_cut = None

    return end


def _program_cut_starting(
    world: World, lane: LanePc, draw: random.Random, trouble: Trouble
) -> Callable[[], None]:
    """Killed, and killed again in its first effects."""
    lane.collect()
    lane.cut_power()
    lane.off_for_s = draw.uniform(1.0, 8.0)

    def end() -> None:
        lane.effects_until_cut = draw.randrange(0, 8)
        lane.start()

    return end


def _link_thread_dies(
    world: World, lane: LanePc, draw: random.Random, trouble: Trouble
) -> Callable[[], None] | None:
    if lane.program is not None and lane.program.link.session is not None:
        lane.program.link.crash()
    return None


def _link_cut(silently: bool) -> Begin:
    def begin(world: World, lane: LanePc, draw: random.Random, trouble: Trouble) -> Callable[[], None]:
        world.cut_off.add(lane.name)
        if lane.program is not None:
            for wire in lane.program.link.wires.values():
                world.broker.cut(wire, silently=silently)

        def end() -> None:
            world.cut_off.discard(lane.name)
            if lane.program is not None:
                for wire in lane.program.link.wires.values():
                    world.broker.mend(wire)

        return end

    return begin


def _link_cut_until_let_through(
    world: World, lane: LanePc, draw: random.Random, trouble: Trouble
) -> Callable[[], None]:
    """Cut off while it rules, back as soon as somebody may go: what the written policy decided is told before
    anybody has crossed."""
    mend = _link_cut(silently=False)(world, lane, draw, trouble)
    assert mend is not None
    over = False

    def end() -> None:
        nonlocal over
        if not over:
            over = True
            mend()

    def look() -> None:
        program = lane.program
        if program is not None and isinstance(program.loop.state.phase, Passing):
            end()
        elif not over:
            world.at(world.now_s + 0.5, look)

    look()
    return end


def _weather(weather: Weather) -> Begin:
    def begin(world: World, lane: LanePc, draw: random.Random, trouble: Trouble) -> Callable[[], None]:
        world.broker.weather = weather

        def end() -> None:
            world.broker.weather = Weather()

        return end

    return begin


def _broker_forgets(
    world: World, lane: LanePc, draw: random.Random, trouble: Trouble
) -> Callable[[], None] | None:
    world.broker.forget()
    return None


def _broker_dies(knowing: bool) -> Begin:
    def begin(world: World, lane: LanePc, draw: random.Random, trouble: Trouble) -> Callable[[], None]:
        world.broker.die()
        return lambda: world.broker.come_back(knowing=knowing)

    return begin


def _hub_killed(world: World, lane: LanePc, draw: random.Random, trouble: Trouble) -> Callable[[], None]:
    world.hub.kill()
    return world.hub.start


def _hub_restored(world: World, lane: LanePc, draw: random.Random, trouble: Trouble) -> Callable[[], None]:
    """Its disk is lost; the copy of a while ago takes its place."""
    name = f"backup-{trouble.at_s}"
    world.hub.back_up(name)

    def end() -> None:
        world.hub.kill()
        if (world.hub.folder / name).exists():
            world.hub.restore(name)
        world.at(world.now_s + 5.0, world.hub.start)

    return end


def _hub_clock(world: World, lane: LanePc, draw: random.Random, trouble: Trouble) -> Callable[[], None]:
    step_s = draw.choice((-3_600.0, -20.0, 20.0, 3_600.0))
    world.watch.hub_clock_stepped = True
    world.hub.clock_off_s += step_s

    def end() -> None:
        world.hub.clock_off_s -= step_s

    return end


def _clock_step(*steps_s: float) -> Begin:
    def begin(world: World, lane: LanePc, draw: random.Random, trouble: Trouble) -> Callable[[], None]:
        step_s = draw.choice(steps_s)
        world.watch.of(lane).clock_stepped = True
        lane.clock_off_s += step_s

        def end() -> None:
            lane.clock_off_s -= step_s

        return end

    return begin


def _clock_unknown(world: World, lane: LanePc, draw: random.Random, trouble: Trouble) -> Callable[[], None]:
    lane.clock_known = False

    def end() -> None:
        lane.clock_known = True

    return end


def _disk_reserve(world: World, lane: LanePc, draw: random.Random, trouble: Trouble) -> Callable[[], None]:
    lane.free_bytes = 0

    def end() -> None:
        lane.free_bytes = 1 << 40

    return end


def _disk_full(world: World, lane: LanePc, draw: random.Random, trouble: Trouble) -> Callable[[], None]:
    """The file system has no page left: SQLite itself says so."""
    lane.fill_disk(True)
    return lambda: lane.fill_disk(False)


def _platform_orders(*, raises: bool) -> Begin:
    """Type 31, unasked for: now, and when somebody is held."""

    def begin(world: World, lane: LanePc, draw: random.Random, trouble: Trouble) -> Callable[[], None]:
        over = False

        def order() -> None:
            platform = lane.sim.platform
            if platform is not None:
                number = str(draw.randrange(1, 10_000))
                lane.happen(lambda at_s: platform.order_device(at_s, raises=raises, order_no=number))
                lane.sim._touched("platform")
                lane.known_next_s = -1.0

        def look() -> None:
            if over:
                return
            program = lane.program
            if program is not None and isinstance(program.loop.state.phase, Holding):
                order()
                world.at(world.now_s + draw.uniform(2.0, 6.0), order)
            else:
                world.at(world.now_s + 1.0, look)

        def end() -> None:
            nonlocal over
            over = True

        order()
        look()
        return end

    return begin


Shows = Callable[[random.Random, LanePc, int], list[ShownByOfficer]]


def _officer(shows: Shows, *, way: str = "") -> Begin:
    """Somebody with a handheld comes to a held vehicle and shows codes. `way`: only to a hold that may end so."""

    def begin(world: World, lane: LanePc, draw: random.Random, trouble: Trouble) -> Callable[[], None]:
        over = False

        def look() -> None:
            if over:
                return
            program = lane.program
            state = program.loop.state if program is not None else None
            phase = state.phase if state is not None else None
            if state is None or state.passage is None or not isinstance(phase, Holding):
                world.at(world.now_s + 1.0, look)
                return
            codes = [] if way and way not in phase.ruling.ways() else shows(draw, lane, state.passage.number)
            if not codes:
                world.at(world.now_s + 1.0, look)
                return
            for place, code in enumerate(codes):
                world.at(world.now_s + 2.0 * place, lambda code=code: show(code))
            for after_s in pictures_wanted(lane.name, state.passage.number):
                world.at(world.now_s + after_s, lambda number=state.passage.number: picture(number))

        def picture(passage: int) -> None:
            """Whoever is in the lane by then: it must make no difference to anybody."""
            if world.hub.give(lane.name, TakePictures(passage=passage), GOOD[0], REASON):
                world.watch.reached("by command", "pictures")

        def show(code: ShownByOfficer) -> None:
            world.watch.reached("officers", code.what)
            world.watch.note(f"{lane.name} officer {code.officer} shows a code: {code.what}")
            if code.holds:
                shown = world.watch.of(lane).codes.setdefault((code.passage, code.action), set())
                shown.add((code.officer, code.field, code.value))
            act = commanded(code, lane.name)
            if act is not None and world.hub.give(lane.name, act, code.officer, REASON):
                world.watch.reached("by command", code.what)
                return
            text = code.text(lane.clock.utc_text())
            lane.happen(lambda at_s: lane.sim.physics.show_code(at_s, text, "]Q1"))

        def end() -> None:
            nonlocal over
            over = True

        look()
        return end

    return begin


def _supplements(draw: random.Random, lane: LanePc, passage: int) -> list[ShownByOfficer]:
    """What the hold lacks, as an officer beside the lane sees it."""
    program = lane.program
    state = program.loop.state if program is not None else None
    front = lane.world.watch.front(lane)
    if state is None or not isinstance(state.phase, Holding) or front is None:
        return []
    values: dict[Field, str] = {}
    for because in state.phase.ruling.reasons:
        silent = because.detail if because.code is Reason.DEVICE_SILENT else ""
        if because.code is Reason.NO_IDENTITY or silent in ("plate_camera", "rfid"):
            values["plate"] = front.plate or "京A99999"
        elif because.code is Reason.SLIP_NOT_FOUND:
            values["slip"] = lane.world.watch.slip_of.get(front.plate or "", f"Z4604{'I'}260302{'0' * 12}")
        elif because.code is Reason.CONTAINER_UNREAD:
            values["container"] = draw.choice(CONTAINERS)
        elif because.code in _UNWEIGHED or silent == "weighbridge":
            values["weight"] = str(front.gross_kg)
    return supplement_codes(draw, lane, passage, values)


_UNWEIGHED = (Reason.WEIGHT_UNREAD, Reason.NOT_FULLY_ON, Reason.SCALE_FAULT)


BREAKING = (*FAULTS_OF, "platform", "card_reader", "container_camera")

TROUBLES: dict[str, Begin] = {
    f"{device} {kind.value}": _device_fault(device, kind)
    for device in BREAKING
    for kind in sorted(faults_of(device))
} | {
    "platform orders the arm up": _platform_orders(raises=True),
    "platform orders the arm down": _platform_orders(raises=False),
    "fire": _happening("fire on", "fire off"),
    "fire over somebody under the arm": _fire_over_somebody,
    "mains fail": _happening("mains off", "mains on"),
    "stop pressed": _happening("stop in", "stop out"),
    "hand raises": _happening("hand up"),
    "hand lowers": _hand_down_later,
    "something under the falling arm": _while_falling(
        "io",
        Fault(kind=FaultKind.BROKEN_WIRE, input="photocell"),
        Fault(kind=FaultKind.BROKEN_WIRE, input="arm_loop"),
    ),
    "the board is gone while the arm falls": _while_falling(
        "io", Fault(kind=FaultKind.SILENCE), Fault(kind=FaultKind.DEAD), Fault(kind=FaultKind.VANISH)
    ),
    "officer releases": _officer(lambda draw, lane, passage: good_codes(lane, passage)),
    "officer leads aside": _officer(lambda draw, lane, passage: aside_codes(lane, passage), way="aside"),
    "officer supplements": _officer(_supplements, way="supplement"),
    "officer's code does not hold": _officer(bad_codes),
    "program killed": _program_killed,
    "program killed behind a raised arm": _killed_behind_a_raised_arm,
    "program's disk restored": _disk_restored,
    "program cut between effects": _program_cut,
    "program cut again while starting": _program_cut_starting,
    "link thread dies": _link_thread_dies,
    "link lost": _link_cut(silently=False),
    "link lost silently": _link_cut(silently=True),
    "broker drops": _weather(Weather(drop=0.3)),
    "broker delivers nothing, and fire": _fire_in_a_claim,
    "broker doubles": _weather(Weather(double=0.5)),
    "broker reorders": _weather(Weather(late_s=4.0, double=0.1)),
    "broker hostile": _weather(Weather(spoil=0.3, double=0.1)),
    "broker forgets": _broker_forgets,
    "broker dies": _broker_dies(knowing=True),
    "broker dies and forgets": _broker_dies(knowing=False),
    "hub killed": _hub_killed,
    "hub restored": _hub_restored,
    "hub clock steps": _hub_clock,
    "clock steps": _clock_step(-5.0, 5.0, 60.0, -60.0),
    "clock steps hours": _clock_step(-7_200.0, 7_200.0),
    "clock steps months": _clock_step(-86_400.0 * 400, 86_400.0 * 400),
    "clock unknown": _clock_unknown,
    "disk reserve": _disk_reserve,
    "disk full": _disk_full,
}

UNTIL_LET_THROUGH = "link lost until somebody is let through"
STAGED: dict[str, Begin] = {UNTIL_LET_THROUGH: _link_cut_until_let_through}
"""Come with vehicles of their own (`make_plan`), and are not dealt."""


OFTEN = (
    *("program cut between effects",) * 4,
    "program killed",
    *("program killed behind a raised arm",) * 3,
    *("broker delivers nothing, and fire",) * 2,
    *("something under the falling arm",) * 3,
    "the board is gone while the arm falls",
    *("fire", "mains fail", "stop pressed") * 2,
    *("hand raises", "hand lowers") * 3,
    "officer releases",
    *("officer supplements",) * 4,
    "officer leads aside",
    *("weighbridge jump",) * 2,
    "disk full",
    "link lost",
)
"""Cards that are in the deck more than once."""


# --- the run ------------------------------------------------------------------------------------------------


Step = tuple[Lane, tuple[Effect, ...]]


def run_seed(
    seed: int, *, plan: Plan | None = None, spoil: Callable[[Lane, Event, Step], Step] | None = None
) -> Outcome:
    """`spoil` makes every lane break its word, to see that the world notices."""
    began_s = cpu_s()
    plan = plan if plan is not None else make_plan(seed)
    with quiet(), scratch() as folder:
        world = World(seed, plan.lanes, folder, spoil)
        try:
            _run(world, plan)
        except Exception as fault:  # a seed that breaks the world itself is a seed that failed
            world.watch.breach("world", f"the world broke: {fault!r}", fault)
        finally:
            world.close()
        figures = world.figures
        figures.virtual_s = world.now_s
        figures.lane_s = world.now_s * len(world.lanes)
        figures.cpu_s = cpu_s() - began_s
        watch = world.watch
        for case in plan.traffic.cases.values():
            watch.reached("cases", case)
        return Outcome(
            seed,
            watch.breaches,
            watch.seen,
            figures,
            watch.notes,
            [str(trouble) for trouble in plan.troubles],
        )


def _run(world: World, plan: Plan) -> None:
    world.watch.max_age_s = plan.rules.max_age_s
    world.watch.officers_needed = plan.rules.manual_release_officers
    world.watch.rules = plan.rules
    world.watch.slip_of = {
        str(record.plate): str(record.slip_no)
        for record in plan.traffic.records
        if isinstance(record, ReleaseSlip) and record.plate is not None
    }
    world.hub.head_every_s = plan.head_every_s
    world.hub.start()
    world.put_records(plan.traffic.records)
    if plan.record_files:
        world.hub.import_files(plan.record_files)
    for number, lane in enumerate(world.lanes.values()):
        world.at(0.1 + number, lane.start)
    for truck in plan.traffic.trucks:
        lane = world.lanes[truck.lane]
        world.at(truck.arrives_s, lambda lane=lane, truck=truck: lane.comes(truck))
    for at_s, record in plan.traffic.later:
        world.at(at_s, lambda record=record: world.put_records([record]))
    if plan.scenario is not None:
        _as_written(world, plan.scenario)
    draw = random.Random(f"{plan.seed}/chaos")
    ends: list[Callable[[], None]] = []
    for trouble in plan.troubles:
        world.at(trouble.at_s, lambda trouble=trouble: _begin(world, trouble, draw, ends))
    world.run_until(lambda: world.now_s >= plan.end_s, look_every_s=5.0, at_most_s=plan.end_s + 60.0)
    for end in ends:
        end()
    _heal(world)
    settled = world.run_until(lambda: _at_rest(world), look_every_s=1.0, at_most_s=REST_WITHIN_S)
    world.watch.after_traffic(settled)
    world.run_until(lambda: _is_quiet(world), look_every_s=1.0, at_most_s=QUIET_WITHIN_S)
    world.watch.final()


def _as_written(world: World, scenario: Scenario) -> None:
    """Faults and happenings of a scenario file, at their times or with their vehicles."""

    def turn(fault: FaultPlan, on: bool) -> None:
        world.lanes[fault.lane].set_fault(fault.device, fault.fault, on)

    with_vehicle: dict[str, list[FaultPlan]] = {}
    for fault in scenario.faults:
        if fault.vehicle is not None:
            with_vehicle.setdefault(fault.vehicle, []).append(fault)
            continue
        world.at(fault.at_s, lambda fault=fault: turn(fault, True))
        if fault.for_s is not None:
            world.at(fault.at_s + fault.for_s, lambda fault=fault: turn(fault, False))

    def moved(at_s: float, vehicle: str, how: str) -> None:
        for fault in with_vehicle.get(vehicle, ()):
            # Within the simulators' own step: what it does to the line is done after it.
            world.at(world.now_s, lambda fault=fault: turn(fault, how == "arrived"))

    for lane in world.lanes.values():
        lane.sim.physics.on_move = moved
    for happening in scenario.happenings:
        lane = world.lanes[happening.lane]
        if happening.when_closed_s is not None:
            lane.sim.physics.turns_key_after_s = happening.when_closed_s
            continue
        begins, ends = _written(lane, happening)
        world.at(happening.at_s, lambda lane=lane, act=begins: lane.happen(act))
        if ends is not None and happening.for_s is not None:
            world.at(happening.at_s + happening.for_s, lambda lane=lane, act=ends: lane.happen(act))


Act = Callable[[float], None]


def _written(lane: LanePc, happening: Happening) -> tuple[Act, Act | None]:
    physics = lane.sim.physics
    match happening.kind:
        case HappeningKind.FIRE:
            return lambda at_s: physics.set_fire(at_s, True), lambda at_s: physics.set_fire(at_s, False)
        case HappeningKind.POWER_FAIL:
            return lambda at_s: physics.set_power(at_s, False), lambda at_s: physics.set_power(at_s, True)
        case HappeningKind.STOP:
            return lambda at_s: physics.press_stop(at_s, True), lambda at_s: physics.press_stop(at_s, False)
        case HappeningKind.RESET_KEY:
            return lambda at_s: physics.turn_reset_key(at_s, happening.for_s or 1.0), None
        case HappeningKind.HAND_RAISE | HappeningKind.HAND_LOWER:
            up = happening.kind is HappeningKind.HAND_RAISE
            return lambda at_s: physics.hand(at_s, up=up), None
        case HappeningKind.SHOW_CODE:
            return lambda at_s: physics.show_code(at_s, happening.text, happening.aim), None
        case HappeningKind.SHOW_CARD:
            return lambda at_s: physics.show_card(at_s, happening.text), None
        case _:
            assert_never(happening.kind)


def _begin(world: World, trouble: Trouble, draw: random.Random, ends: list[Callable[[], None]]) -> None:
    world.watch.note(f"-- {trouble.lane} {trouble.kind} for {trouble.for_s} s")
    world.watch.reached("trouble", trouble.kind)
    if trouble.kind.split(" ")[0] in ("broker", "link", "hub"):
        world.watch.rough.append((world.now_s - 1.0, world.now_s + trouble.for_s + 30.0))
    end = (TROUBLES | STAGED)[trouble.kind](world, world.lanes[trouble.lane], draw, trouble)
    if end is None:
        return

    def once() -> None:
        if once in ends:
            ends.remove(once)
            world.watch.note(f"-- {trouble.lane} {trouble.kind} is over")
            end()

    ends.append(once)
    world.at(world.now_s + trouble.for_s, once)


def _heal(world: World) -> None:
    """Whatever a trouble left behind, people put right: programs run, network and broker are there."""
    for lane in world.lanes.values():
        lane.effects_until_cut = None
        lane.start()
    world.hub.start()


def _at_rest(world: World) -> bool:
    for lane in world.lanes.values():
        program = lane.program
        if program is None or lane.sim.physics.vehicles or lane.sim.physics.barrier.is_moving:
            return False
        state = program.loop.state
        if not isinstance(state.phase, Free | Shut) or state.unwritten:
            return False
        if isinstance(state.phase, Shut) and lane.now_s - state.phase.since_s < 60.0:
            return False
    return True


def _is_quiet(world: World) -> bool:
    hub = world.hub.archive
    if hub is None:
        return False
    scope = hub.scope(SCOPE)
    assert scope is not None
    for lane in world.lanes.values():
        program = lane.program
        if program is None:
            return False
        journal = program.journal
        acked = journal.acked()
        if any(head.seq != acked[stream] for stream, head in journal.heads().items()):
            return False
        records = program.records.current()
        if records is None:
            return False
        state = records.feed_state()
        if (state.epoch, state.number) != (scope.epoch, scope.number):
            return False
    return True
