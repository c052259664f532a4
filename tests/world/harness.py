"""A whole site in one process under a virtual clock: simulators, the real drivers, lanes, link, broker, hub.

The programs are the product's own; what is written here stands in for threads, sockets and clocks only. A lane
with nobody in it and nothing wrong with it rests: its own clock stands, machine and devices alike, until
something is due, so that idle time costs nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import heapq
import logging
import math
import random
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.devices.catalogue import driver_maker
from edge.devices.driver import Driver, Output
from edge.devices.readings import Order, Reading
from edge.gate import wiring
from edge.gate.config import GateConfig, lane_settings, read_gate_config, wires
from edge.gate.effects import Effect, TakePicture
from edge.gate.events import (
    RELAYS,
    DeviceSpoke,
    Event,
    PictureFailed,
    PictureKept,
    TimePassed,
    Timer,
    WriteFailed,
)
from edge.gate.lane import Free, Lane, step, wake
from edge.gate.performer import LanePerformer, NoPictures, Things, read_memory
from edge.gate.translation import is_valid, to_event, to_report
from edge.runtime.inbox import Inbox
from edge.runtime.loop import EffectFailed, Loop
from edge.runtime.ports import OrderNotTaken
from edge.runtime.supervisor import DeviceReport, DeviceSilent, DeviceSpeaking, Hearing, PortBack, PortLost
from hardware_sims.barrier import BarrierSettings
from hardware_sims.devices.customs_platform import CustomsPlatform
from hardware_sims.faults import Fault
from hardware_sims.lanes import Sent, SimulatedLane
from hardware_sims.scenario import LaneSettings as SimulatedLaneSettings
from hardware_sims.site import LANES, write_site
from hardware_sims.vehicles import Vehicle as Truck
from sync.hub.archive import Archive, ArchiveRefused, RecordChange
from sync.hub.centre import By, give
from sync.hub.importing import import_files
from sync.hub.receiver import Receiver
from sync.hub.terms import Limits, Outgoing
from sync.link import words as link_words
from sync.link.client import hub_subscriptions
from sync.link.keys import HUB_KID, KeySigner, public_pem
from sync.link.messages import ClaimRequest
from sync.link.performer import LinkPerformer
from sync.link.session import EdgeSession
from sync.link.words import Connection, LinkEvent
from sync.store.journal import Journal, StoreRefused
from sync.store.records_in_force import RecordsInForce
from sync.vocabulary.codec import to_json
from sync.vocabulary.commands import Act, Command, Outcome
from sync.vocabulary.numbers import Plate, SlipNo
from sync.vocabulary.records import COLLECTIONS, Direction, Record, key_of
from tests.world.broker import Broker, Wire
from tests.world.checks import Watch
from tests.world.equipment import PASSWORD, Equipment, configured, simulated
from tests.world.traffic import SCOPE, SITE

START = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
NEVER = math.inf
LINK_AFTER_S = 0.001
"""Between a word to another thread of the program and its being heard."""
HUB_POLL_S = 1.0
HUB_AFTER_S = 0.003
RESTART_S = 2.0
"""The service manager starts a program that ended again."""
REST_AFTER_S = 1.0
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00"
SIMULATED = {"plate_camera": "camera", "board": "led"}
"""The product's device names -> those of the simulators, where they differ."""


Step = tuple[Lane, tuple[Effect, ...]]


class PowerCut(BaseException):
    """The program ends here, between two effects. Nobody may catch it."""


def utc_text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@functools.cache
def _configs() -> tuple[GateConfig, ...]:
    """The configs a demo's lanes are started with, read as the lane program reads them."""
    with tempfile.TemporaryDirectory() as folder:
        site = write_site(Path(folder), seed=0, vehicles=1, speed=1.0)
        return tuple(read_gate_config(site.lane_config(lane)) for lane in LANES)


@functools.cache
def _key(name: str) -> Ed25519PrivateKey:
    """Keys of the world are the same in every seed: nothing depends on their bits."""
    return Ed25519PrivateKey.from_private_bytes(random.Random(f"world/{name}").randbytes(32))


@dataclass(frozen=True, slots=True, kw_only=True)
class LanePlan:
    name: str
    direction: Direction
    like: int
    """Which of the demo's lanes it works like: 0 lowers on request, 1 leaves it to the controller. What it is
    equipped with is `equipment`; without it, the first one's devices and its own weighbridge."""
    barrier: BarrierSettings
    empty_needs_slip: bool = False
    require_synchronised: bool = False
    zero_kg: float = 0.0
    slices: bool = False
    """Serial bytes arrive in pieces."""
    settings: SimulatedLaneSettings | None = None
    """The equipment as a scenario file says it."""
    equipment: Equipment | None = None
    """None: as in the demo."""
    neighbour: str | None = None
    """The lane beside this one."""


@dataclass(slots=True)
class Figures:
    """What a run did, for the table."""

    virtual_s: float = 0.0
    lane_s: float = 0.0
    """Virtual seconds times lanes."""
    lived_s: float = 0.0
    """Seconds of lanes that did not rest."""
    events: int = 0
    passages: int = 0
    cpu_s: float = 0.0


# --- the site -----------------------------------------------------------------------------------------------


class World:
    """One run. `at` puts something on the agenda; `run_until` is the only motor."""

    def __init__(
        self,
        seed: int,
        lanes: tuple[LanePlan, ...],
        folder: Path,
        spoil: Callable[[Lane, Event, Step], Step] | None = None,
    ) -> None:
        self.seed = seed
        self.spoil = spoil
        self.folder = folder
        self.password_file = folder / "camera.password"
        self.password_file.write_text(PASSWORD)
        self.password_file.chmod(0o600)
        self.now_s = 0.0
        self.figures = Figures()
        self.ids = random.Random(f"{seed}/ids")
        self.watch = Watch(self)
        self.cut_off: set[str] = set()
        """Lanes without a network."""
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0
        self.broker = Broker(self, random.Random(f"{seed}/broker"))
        self.hub = HubProgram(self)
        self.lanes = {plan.name: LanePc(self, plan) for plan in lanes}
        for lane in self.lanes.values():
            beside = lane.sim.settings.hears_neighbour
            if beside is not None:
                lane.sim.physics.neighbour = self.lanes[beside].sim.physics

    # --- time ---

    def at(self, at_s: float, act: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._agenda, (max(self.now_s, at_s), self._number, act))

    def utc(self, off_s: float = 0.0, at_s: float | None = None) -> str:
        return utc_text(START + timedelta(seconds=(self.now_s if at_s is None else at_s) + off_s))

    def new_id(self) -> str:
        return f"{self.ids.getrandbits(128):032x}"

    def run_until(self, over: Callable[[], bool], *, look_every_s: float, at_most_s: float) -> bool:
        """Run until `over()` says so; False when it did not within `at_most_s` from now."""
        last_s = self.now_s + at_most_s
        done = False

        def look() -> None:
            nonlocal done
            done = over()
            if not done:
                self.at(self.now_s + look_every_s, look)

        self.at(self.now_s, look)
        agenda, lanes = self._agenda, tuple(self.lanes.values())
        while not done:
            due_s, lane = agenda[0][0], None
            for each in lanes:
                if not each.resting:
                    next_s = each.known_next_s
                    if next_s < 0.0:
                        next_s = each.next_s()
                    if next_s < due_s:
                        due_s, lane = next_s, each
            if due_s > last_s:
                self._agenda = [entry for entry in agenda if entry[2] is not look]
                heapq.heapify(self._agenda)
                return False
            if due_s > self.now_s:
                self.now_s = due_s
            self.figures.events += 1
            if lane is None:
                heapq.heappop(agenda)[2]()
            else:
                lane.advance()
        return True

    # --- people at the centre ---

    def put_records(self, records: list[Record]) -> None:
        names = {kind: name for name, kind in COLLECTIONS.items()}
        changes = [
            RecordChange(names[type(record)], key_of(record), to_json(record).decode()) for record in records
        ]
        self.hub.change_records(changes)

    def close(self) -> None:
        for lane in self.lanes.values():
            lane.cut_power()
        self.hub.kill()


# --- one lane: cabinet, cables, program ---------------------------------------------------------------------


class LanePc:
    """A lane's hardware, its PC, and the program that runs on it while there is power."""

    def __init__(self, world: World, plan: LanePlan) -> None:
        self.world = world
        self.plan = plan
        self.name = plan.name
        self.draw = random.Random(f"{world.seed}/{plan.name}")
        config = _configs()[plan.like]
        replace = msgspec.structs.replace
        self.config = replace(
            config,
            devices=_configs()[0].devices | {"weighbridge": config.devices["weighbridge"]},
            lane=replace(
                config.lane,
                id=plan.name,
                site=SITE,
                direction="in" if plan.direction is Direction.IN else "out",
                empty_needs_slip=plan.empty_needs_slip,
            ),
            sync=replace(config.sync, scope=SCOPE),
            clock=replace(config.clock, require_synchronised=plan.require_synchronised),
            store=replace(config.store, folder=world.folder / plan.name),
        )
        self.config.store.folder.mkdir(parents=True)
        settings = plan.settings or SimulatedLaneSettings(
            name=plan.name,
            weighbridge="yaohua_tf0" if plan.like == 0 else "toledo_continuous",
            barrier=plan.barrier,
            zero_kg=plan.zero_kg,
        )
        if plan.equipment is not None:
            settings = simulated(
                plan.name,
                plan.direction,
                plan.equipment,
                barrier=plan.barrier,
                zero_kg=plan.zero_kg,
                neighbour=plan.neighbour,
            )
            self.config = configured(self.config, settings, plan.equipment, world.password_file)
        self.sim = SimulatedLane(settings, seed=world.seed, sink=self._physical, unix_of=self._camera_clock)
        self.sim.physics.turns_key_after_s = 15.0
        if self.sim.platform is not None:
            _beside_the_devices(self.sim, self.sim.platform)
        self.now_s = 0.0
        """The lane's own time: the world's, less what it rested."""
        self.ahead_s = 0.0
        """World time less lane time."""
        self.resting = False
        self.busy_s = 0.0
        """Lane time at which it was last seen to be busy."""
        self.lively = 0
        """Faults and happenings in force here: it does not rest under them."""
        self.clock = LaneClock(self)
        self.lines: dict[str, AnyLine] = {}
        self._protocols: dict[str, str] = {name: part.protocol for name, part in self.config.devices.items()}
        for name, part in self.config.devices.items():
            maker = driver_maker(part.protocol, part.settings)
            if part.listen is None:
                on_demand = part.serial is not None and part.serial.on_demand
                line: AnyLine = Line(
                    self, name, SIMULATED.get(name, name), maker, part.silent_after_s, on_demand=on_demand
                )
            elif name == "platform_back":
                line = PlatformCalls(self, name, maker)
            else:
                line = CameraCalls(self, name, SIMULATED.get(name, name), maker, part.silent_after_s)
            self.lines[name] = line
        self._all = tuple(self.lines.values())
        self._by_sim = {line.sim_name: line for line in self._all}
        self._callers = tuple(line for line in self._all if not isinstance(line, Line))
        self.program: GateProgram | None = None
        self.timers: list[float] = []
        self.silence_s = NEVER
        """When to look for silence next; never too late."""
        self._due_s = 0.0
        self.known_next_s = -1.0
        """What `next_s` said; negative when something was touched since."""
        self.due_again = False
        self.free_bytes = 1 << 40
        self.clock_off_s = 0.0
        self.clock_known = True
        self.starts = 0
        self.disk_is_full = False
        self.disk_was_full: list[tuple[float, float]] = []
        """From, until; the last may still be going on."""
        self.effects_until_cut: int | None = None
        """So many more effects are performed, then the power goes."""
        self.off_for_s = 10.0

    # --- power ---

    def start(self) -> None:
        if self.program is not None:
            return
        self.waken()
        self.collect()
        self.starts += 1
        try:
            program = GateProgram(self)
        except StoreRefused as refused:
            self.world.watch.note(f"{self.name}: journal not opened: {refused}")
            self.world.at(self.world.now_s + 5.0, self.start)
            return
        self.program = program
        self.timers.clear()
        try:
            program.begin()
        except PowerCut:
            self._power_was_cut()

    def cut_power(self) -> None:
        """The program is gone, at once and without a word; its journal is what it is."""
        program, self.program = self.program, None
        self.effects_until_cut = None
        if program is None:
            return
        program.kill()
        for line in self._all:
            line.drop()
        self.timers.clear()
        self.silence_s = NEVER
        self.world.watch.power_cut(self)

    def _power_was_cut(self) -> None:
        self.world.watch.reached("trouble", "power cut between effects")
        self.cut_power()
        self.world.at(self.world.now_s + self.off_for_s, self.start)

    # --- time ---

    def next_s(self) -> float:
        """World time of what is due next here."""
        due = self.sim.next_event_s()
        for line in self._all:
            if line.due_s < due:
                due = line.due_s
        if self.timers and self.timers[0] < due:
            due = self.timers[0]
        if self.silence_s < due:
            due = self.silence_s
        self._due_s = due
        self.known_next_s = due + self.ahead_s
        return self.known_next_s

    def advance(self) -> None:
        """What `next_s` found due, at its exact time: a difference of two times may round below it."""
        now_s = self._due_s
        if now_s > self.now_s:
            self.world.figures.lived_s += now_s - self.now_s
            self.now_s = now_s
        now_s = self.now_s
        self.known_next_s = -1.0
        for sent in self.sim.advance(now_s):
            self.deliver(sent)
        for line in self._all:
            if line.due_s <= now_s:
                line.on_time()
        for caller in self._callers:
            caller.look()
        if self.silence_s <= now_s:
            self._look_for_silence()
        self.turn()
        if now_s - self.busy_s >= REST_AFTER_S:
            self._rest_if_idle()

    def collect(self) -> None:
        """Bring the hardware to the present before somebody touches it."""
        self.known_next_s = -1.0
        now_s = self.world.now_s - self.ahead_s
        if now_s > self.now_s:
            self.world.figures.lived_s += now_s - self.now_s
            self.now_s = now_s
        for sent in self.sim.advance(self.now_s):
            self.deliver(sent)
        for caller in self._callers:
            caller.look()

    def deliver(self, sent: Sent) -> None:
        line = self._by_sim.get(sent.device)
        if line is not None:
            line.arrived(sent.data)

    def turn(self) -> None:
        """Let the program handle what waits for it."""
        self.known_next_s = -1.0
        timers = self.timers
        due = bool(timers) and timers[0] <= self.now_s
        if not due and not self.due_again:
            return
        while timers and timers[0] <= self.now_s:
            heapq.heappop(timers)
        self.due_again = False
        program = self.program
        if program is None:
            return
        try:
            program.loop.run_waiting()
        except PowerCut:
            self._power_was_cut()
        except (
            Exception
        ) as fault:  # whatever escapes a program ends it; that is a breach, and the site goes on
            self.world.watch.breach("G11", f"{self.name}: the lane program raised {fault!r}", fault)
            self.cut_power()
            self.world.at(self.world.now_s + RESTART_S, self.start)

    def waken(self) -> None:
        """The lane's time goes on from where it stood."""
        self.busy_s = self.now_s
        if self.resting:
            self.resting = False
            self.ahead_s = self.world.now_s - self.now_s

    def _rest_if_idle(self) -> None:
        program, sim = self.program, self.sim
        barrier = sim.physics.barrier
        idle = (
            program is not None
            and type(program.loop.state.phase) is Free
            and not self.lively
            and sim.physics.is_idle
            and barrier.is_down
            and barrier.next_event_s() == NEVER
            and not program.loop.state.silent
            and not program.loop.state.unwritten
            and self.effects_until_cut is None
            and self.free_bytes > 1 << 39
            and not self.disk_is_full
            and sim.io.next_event_s() > self.now_s + 60.0
            and all(line.is_well() for line in self._all)
        )
        if idle:
            self.resting = True
        else:
            self.busy_s = self.now_s

    def _look_for_silence(self) -> None:
        due_s = NEVER
        if self.program is not None:
            for line in self._all:
                if line.hearing.overdue(self.now_s):
                    self.program.report(DeviceSilent(line.name, line.hearing.silent_s(self.now_s)))
                due_s = min(due_s, line.hearing.due_s() or NEVER)
        self.silence_s = due_s

    def speaks(self, device: str) -> None:
        self.world.watch.reached("protocols", self._protocols[device])

    # --- hardware ---

    def _physical(self, line: dict[str, Any]) -> None:
        self.world.watch.physical(self, line)

    def _camera_clock(self, at_s: float) -> float:
        """It rests with its lane: the drivers compare the two clocks."""
        return START.timestamp() + at_s

    def comes(self, truck: Truck) -> None:
        self.waken()
        self.collect()
        self.world.watch.comes(self, truck)
        self.sim.physics.arrive(self.now_s, truck)
        self.turn()

    def set_fault(self, device: str, fault: Fault, on: bool) -> None:
        self.waken()
        self.collect()
        self.lively += 1 if on else -1
        self.sim.apply_fault(self.now_s, device, fault, on)
        if device == "platform":
            self.sim._touched(device)
        line = self._by_sim.get(device)
        if isinstance(line, Line) and not self.sim.port_present(device):
            line.lose("the port has vanished")
        self.turn()

    def fill_disk(self, full: bool) -> None:
        """No page more for this PC's files: SQLite itself says that the disk is full."""
        self.disk_is_full = full
        if full:
            self.disk_was_full.append((self.world.now_s, NEVER))
        elif self.disk_was_full:
            self.disk_was_full[-1] = (self.disk_was_full[-1][0], self.world.now_s)
        if self.program is not None:
            self.program.limit_pages()

    def happen(self, act: Callable[[float], None]) -> None:
        """Somebody does something to the lane's hardware."""
        self.waken()
        self.collect()
        act(self.now_s)
        self.turn()


class LaneClock:
    """The lane PC's clocks: monotonic is the lane's own time; the wall clock may be put wrong."""

    def __init__(self, lane: LanePc) -> None:
        self._lane = lane

    def monotonic_s(self) -> float:
        return self._lane.now_s

    def utc_text(self) -> str:
        return self._lane.world.utc(self._lane.clock_off_s)

    def boot_id(self) -> str:
        return f"boot-{self._lane.name}"

    def uncertainty_ms(self) -> int:
        return 5 if self._lane.clock_known else -1


class Line:
    """A serial line and the driver at its end, as `edge.runtime.ports.Port` and the supervisor keep them."""

    def __init__(
        self,
        lane: LanePc,
        name: str,
        sim_name: str,
        make_driver: Callable[[], Driver],
        silent_after_s: float | None,
        *,
        on_demand: bool = False,
    ) -> None:
        self.lane = lane
        self.name = name
        self.sim_name = sim_name
        self.due_s = NEVER
        self.driver: Driver | None = None
        self.hearing = Hearing(silent_after_s, 0.0)
        self._silent_after_s = silent_after_s
        self._make_driver = make_driver
        self._on_demand = on_demand
        """A connection for each order, ended when it is sent."""
        self._open = False
        self._wake_s = NEVER
        self._try_s = NEVER
        self._failures = 0
        self._opened_s = 0.0
        self._why = ""
        self._pieces: deque[tuple[float, bytes]] = deque()

    def begin(self) -> None:
        """The program has started."""
        self.driver = self._make_driver()
        self.hearing = Hearing(self._silent_after_s, self.lane.now_s)
        self._failures = 0
        self._why = ""
        if not self._on_demand:
            self._open_now()

    def drop(self) -> None:
        """The program is gone."""
        if self._open:
            self._open = False
            self.lane.sim.disconnect(self.lane.now_s, self.sim_name)
        self.driver = None
        self._pieces.clear()
        self._wake_s = self._try_s = NEVER
        self._note_due()

    def is_well(self) -> bool:
        silent = self._silent_after_s is not None and not self.hearing.speaking
        return (self._open or self._on_demand) and not silent and not self._pieces

    def lose(self, why: str) -> None:
        if self._open:
            self._open = False
            self._pieces.clear()
            self._wake_s = NEVER
            lane = self.lane
            back_off = lane.config.back_off
            forgiven = back_off.forgives(lane.now_s - self._opened_s, spoke=self.hearing.speaking)
            self._failures = 1 if forgiven else self._failures + 1
            lane.sim.disconnect(lane.now_s, self.sim_name)
            self._lost(why)

    def _lost(self, why: str) -> None:
        lane = self.lane
        self._try_s = lane.now_s + lane.config.back_off.delay_s(self._failures)
        self._note_due()
        if why != self._why and lane.program is not None:
            self._why = why
            self.hearing.lost()
            lane.program.report(PortLost(self.name, why))

    def _open_now(self) -> None:
        lane = self.lane
        self._try_s = NEVER
        if self.driver is None:
            return
        if not lane.sim.port_present(self.sim_name):
            self._failures += 1
            self._lost("there is no such port")
            return
        self._open = True
        self._opened_s = lane.now_s
        self._why = ""
        if lane.program is not None:
            lane.program.report(PortBack(self.name))
        for sent in lane.sim.connect(lane.now_s, self.sim_name):
            lane.deliver(sent)
        self._take(self.driver.opened(lane.now_s))

    def order(self, order_id: str, order: Order) -> None:
        if self._on_demand and self.driver is not None:
            self._open_now()
        if not self._open or self.driver is None:
            raise OrderNotTaken(f"{self.name}: the port is not open")
        self._take(self.driver.order(self.lane.now_s, order_id, order))

    def arrived(self, data: bytes) -> None:
        """Bytes from the device, whole or in pieces."""
        if not self._open:
            return
        lane = self.lane
        if lane.plan.slices and len(data) > 1 and lane.draw.random() < 0.2:
            cut = lane.draw.randrange(1, len(data))
            after_s = max(lane.now_s + lane.draw.uniform(0.001, 0.006), self._last_piece_s())
            self._hear_or_queue(data[:cut])
            self._pieces.append((after_s, data[cut:]))
            self._note_due()
            return
        self._hear_or_queue(data)

    def _last_piece_s(self) -> float:
        return self._pieces[-1][0] if self._pieces else 0.0

    def _hear_or_queue(self, data: bytes) -> None:
        if self._pieces:
            self._pieces.append((self._last_piece_s(), data))
        elif self.driver is not None:
            self._take(self.driver.received(self.lane.now_s, data))

    def on_time(self) -> None:
        now_s = self.lane.now_s
        if self._try_s <= now_s:
            self._open_now()
        while self._pieces and self._pieces[0][0] <= now_s and self.driver is not None:
            self._take(self.driver.received(now_s, self._pieces.popleft()[1]))
        if self._wake_s <= now_s and self._open and self.driver is not None:
            self._wake_s = NEVER
            self._take(self.driver.due(now_s))
        self._note_due()

    def _take(self, output: Output) -> None:
        lane = self.lane
        wake_s = output.wake_at_s
        # A driver that asks for a time already past is called again a millisecond later, as the port does.
        self._wake_s = NEVER if wake_s is None else max(wake_s, lane.now_s + 0.001)
        self._note_due()
        if output.send:
            for sent in lane.sim.receive(lane.now_s, self.sim_name, output.send):
                lane.deliver(sent)
        program = lane.program
        if program is None:
            return
        if output.heard:
            self.heard()
        for reading in output.readings:
            if is_valid(reading):
                self.heard()
            program.read(self, reading)
        if output.hang_up and self._on_demand:
            self._open = False
            self._wake_s = NEVER
            self._note_due()
            lane.sim.disconnect(lane.now_s, self.sim_name)
        elif output.hang_up:
            self.lose("the driver hung up")

    def heard(self) -> None:
        if self.hearing.heard(self.lane.now_s):
            self.lane.silence_s = min(self.lane.silence_s, self.hearing.due_s() or NEVER)
            self.lane.speaks(self.name)
            if self.lane.program is not None:
                self.lane.program.report(DeviceSpeaking(self.name))

    def _note_due(self) -> None:
        due = min(self._try_s, self._wake_s)
        if self._pieces and self._pieces[0][0] < due:
            due = self._pieces[0][0]
        self.due_s = due


class CameraCalls:
    """A camera that calls us: each connection has a driver of its own, as `edge.runtime.ports.Listener`."""

    def __init__(
        self,
        lane: LanePc,
        name: str,
        sim_name: str,
        make_driver: Callable[[], Driver],
        silent_after_s: float | None,
    ) -> None:
        self.lane = lane
        self.name = name
        self.sim_name = sim_name
        self.due_s = NEVER
        self.driver: Driver | None = None
        self.hearing = Hearing(silent_after_s, 0.0)
        self._silent_after_s = silent_after_s
        self._new_driver = make_driver
        self._listening = False
        self._byte_s = 0.0
        listen = next(part.listen for device, part in lane.config.devices.items() if device == name)
        self._idle_timeout_s = listen.idle_timeout_s if listen is not None else NEVER

    def begin(self) -> None:
        part = next(part for name, part in self.lane.config.devices.items() if name == self.name)
        self._new_driver = driver_maker(part.protocol, part.settings)
        self.hearing = Hearing(self._silent_after_s, self.lane.now_s)
        self._listening = True
        if self.lane.program is not None:
            self.lane.program.report(PortBack(self.name))

    def drop(self) -> None:
        self._listening = False
        self._hang_up()

    def is_well(self) -> bool:
        return self._listening and self.hearing.speaking

    def look(self) -> None:
        """Whether the camera wants its connection, and whether it may have it."""
        camera, now_s = self.lane.sim.calling[self.sim_name], self.lane.now_s
        if self.driver is not None:
            if not camera.calling or now_s - self._byte_s >= self._idle_timeout_s:
                self._hang_up()
        elif camera.calling:
            if not self._listening:
                for sent in self.lane.sim.camera_not_answered(now_s, self.sim_name):
                    self.lane.deliver(sent)
                return
            self.driver = self._new_driver()
            self._byte_s = now_s
            for sent in self.lane.sim.connect(now_s, self.sim_name):
                self.lane.deliver(sent)
            if self.driver is not None:
                self._take(self.driver.opened(now_s))

    def _hang_up(self) -> None:
        if self.driver is not None:
            self.driver = None
            self.due_s = NEVER
            for sent in self.lane.sim.disconnect(self.lane.now_s, self.sim_name):
                self.lane.deliver(sent)

    def order(self, order_id: str, order: Order) -> None:
        if self.driver is None:
            raise OrderNotTaken(f"{self.name}: it is not connected")
        self._take(self.driver.order(self.lane.now_s, order_id, order))

    def arrived(self, data: bytes) -> None:
        if self.driver is not None:
            self._byte_s = self.lane.now_s
            self._take(self.driver.received(self.lane.now_s, data))

    def on_time(self) -> None:
        self.due_s = NEVER
        if self.driver is not None:
            self._take(self.driver.due(self.lane.now_s))

    def _take(self, output: Output) -> None:
        lane = self.lane
        self.due_s = NEVER if output.wake_at_s is None else max(output.wake_at_s, lane.now_s + 0.001)
        if output.send:
            for sent in lane.sim.receive(lane.now_s, self.sim_name, output.send):
                lane.deliver(sent)
        program = lane.program
        if program is not None:
            if output.heard:
                self.heard()
            for reading in output.readings:
                if is_valid(reading):
                    self.heard()
                program.read(self, reading)
        if output.hang_up:
            self._hang_up()

    def heard(self) -> None:
        if self.hearing.heard(self.lane.now_s):
            self.lane.silence_s = min(self.lane.silence_s, self.hearing.due_s() or NEVER)
            self.lane.speaks(self.name)
            if self.lane.program is not None:
                self.lane.program.report(DeviceSpeaking(self.name))


class PlatformCalls:
    """The customs platform connects to us with what it has to say; one connection kept, or one for each."""

    def __init__(self, lane: LanePc, name: str, make_driver: Callable[[], Driver]) -> None:
        self.lane = lane
        self.name = name
        self.sim_name = name
        self.due_s = NEVER
        self.hearing = Hearing(None, 0.0)
        self._make_driver = make_driver
        self._driver: Driver | None = None
        self._listening = False

    def begin(self) -> None:
        self.hearing = Hearing(None, self.lane.now_s)
        self._listening = True
        if self.lane.program is not None:
            self.lane.program.report(PortBack(self.name))

    def drop(self) -> None:
        self._listening = False
        self._hang_up()

    def is_well(self) -> bool:
        return self._listening and self.due_s == NEVER

    def look(self) -> None:
        platform, now_s = self.lane.sim.platform, self.lane.now_s
        assert platform is not None
        for data in platform.take_calls():
            if not self._listening:
                continue
            if self._driver is None:
                self._driver = self._make_driver()
                self._take(self._driver.opened(now_s))
            if self._driver is not None:
                self._take(self._driver.received(now_s, data))
            if platform.style == "send_and_close":
                self._hang_up()

    def order(self, order_id: str, order: Order) -> None:
        raise OrderNotTaken(f"{self.name}: it only receives")

    def arrived(self, data: bytes) -> None:
        """Its bytes come by `look`."""

    def on_time(self) -> None:
        self.due_s = NEVER
        if self._driver is not None:
            self._take(self._driver.due(self.lane.now_s))

    def _hang_up(self) -> None:
        self._driver = None
        self.due_s = NEVER

    def _take(self, output: Output) -> None:
        lane = self.lane
        self.due_s = NEVER if output.wake_at_s is None else max(output.wake_at_s, lane.now_s + 0.001)
        program = lane.program
        if program is not None:
            if output.heard:
                self.heard()
            for reading in output.readings:
                if is_valid(reading):
                    self.heard()
                program.read(self, reading)
        if output.hang_up:
            self._hang_up()

    def heard(self) -> None:
        if self.hearing.heard(self.lane.now_s) and self.lane.program is not None:
            self.lane.speaks(self.name)
            self.lane.program.report(DeviceSpeaking(self.name))


AnyLine = Line | CameraCalls | PlatformCalls


def _beside_the_devices(sim: SimulatedLane, platform: CustomsPlatform) -> None:
    """The platform is no device of the lane to the simulators; here it is driven as one, byte by byte."""
    sim.devices["platform"] = platform
    sim._listed = tuple(sim.devices.items())
    sim._due["platform"] = 0.0
    sim._present["platform"] = True


class FakePictures:
    """Fixed cameras are threads of their own: here their answers come a moment later, or not at all."""

    def __init__(self, lane: LanePc, program: GateProgram) -> None:
        self._lane = lane
        self._program = program
        self._kept: dict[str, bytes] = {}

    def take(self, request: TakePicture) -> None:
        lane = self._lane
        after_s = lane.draw.uniform(0.05, 0.6)
        jpeg = JPEG + f"{request.passage} {request.moment} {lane.draw.random()}".encode()
        answer: Event
        if lane.draw.random() < 0.1:
            answer = PictureFailed(request.passage, request.moment, "front", "no picture came")
        else:
            sha256 = hashlib.sha256(jpeg).hexdigest()
            self._kept[sha256] = jpeg
            answer = PictureKept(request.passage, request.moment, "front", sha256, len(jpeg))
        lane.world.at(lane.world.now_s + after_s, lambda: self._answer(answer))

    def read(self, sha256: str) -> bytes | None:
        return self._kept.get(sha256)

    def _answer(self, answer: Event) -> None:
        lane = self._lane
        if lane.program is self._program:
            lane.waken()
            lane.collect()
            self._program.put("pictures", answer)
            lane.turn()


class GateProgram:
    """`edge.gate.wiring.Program` without threads: the same parts, put together in the same order."""

    def __init__(self, lane: LanePc) -> None:
        config, clock, world = lane.config, lane.clock, lane.world
        self.lane = lane
        self.wires = wires(config)
        self.journal = Journal.open(
            config.store.folder / "journal.sqlite",
            device=lane.name,
            new_id=world.new_id,
            utc=clock.utc_text,
            boot_id=clock.boot_id(),
            reserve_bytes=config.store.reserve_mb * 1_000_000,
            free_bytes=lambda: lane.free_bytes,
        )
        try:
            self.records = RecordsInForce(self.journal, config.store.folder)
            self.inbox: Inbox[Event] = Inbox(clock, on_timer=wiring._on_timer, on_lost=wiring._on_lost)
            self.link = EdgeLink(self)
            pictured = lane.plan.equipment is not None and lane.plan.equipment.pictures
            self.performer = LanePerformer(
                Things(
                    lane_id=lane.name,
                    journal=self.journal,
                    records=self.records.current,
                    link=self.link,
                    centre=self.link,
                    order=self.order,
                    put=lambda event: self.put("lane", event),
                    wake_after=self.wake_after,
                    clock=clock,
                    relays=config.relays,
                    draw_key=b"world draw key",
                    clock_must_be_known=config.clock.require_synchronised,
                    has_board=True,
                    pictures=FakePictures(lane, self) if pictured else NoPictures(),
                    new_id=world.new_id,
                )
            )
            self.settings = lane_settings(
                config, version="world", digest="", boot_id=clock.boot_id(), run=world.new_id()[:8]
            )
            self.settings = dataclasses.replace(self.settings, cameras=("front",) if pictured else ())
            memory, down_s = read_memory(self.journal.lane_state(), clock.utc_text())
            state, self._first = wake(
                self.settings, clock.monotonic_s(), memory, self.journal.open_uses(), down_s
            )
            world.watch.woke(lane, self, memory, state, self._first)
            self.loop: Loop[Lane, Event, Effect] = Loop(
                self.inbox,
                state,
                self._step,
                self.perform,
                on_failed=lambda effect, why: WriteFailed(why),
                make_safe=lambda: None,
            )
        except BaseException:
            self.journal._shut()
            raise

    def limit_pages(self) -> None:
        writer = self.journal._writer
        assert writer is not None
        writer.execute(f"PRAGMA max_page_count={1 if self.lane.disk_is_full else 1 << 30}")

    def begin(self) -> None:
        self.limit_pages()
        for effect in self._first:
            try:
                self.perform(effect)
            except EffectFailed as failed:
                self.put("lane", WriteFailed(failed.why))
                break
        for line in self.lane.lines.values():
            line.begin()
        self.lane.silence_s = self.lane.now_s
        self.wake_after(Timer(wiring._AGAIN_TIMER, 0), wiring._AGAIN_EVERY_S)
        self.wake_after(Timer(wiring._GREEN_TIMER, 0), self.lane.config.relays.green_renew_s)
        self.link.start()
        self.lane.turn()

    def kill(self) -> None:
        """As SIGKILL does it: files are closed by the system, nothing is said, nothing is remembered."""
        self.link.kill()
        self.records.close()
        self.journal._shut()

    # --- inwards ---

    def put(self, source: str, event: Event) -> None:
        self.inbox.put(source, event)
        self.lane.due_again = True

    def read(self, line: AnyLine, reading: Reading) -> None:
        self.lane.world.watch.reading(self.lane, line.name, reading)
        event = to_event(line.name, reading, self.wires)
        if event is not None:
            self.put(line.name, event)

    def report(self, report: DeviceReport) -> None:
        event = to_report(report)
        if event is not None:
            self.put(f"{report.device}-report", event)

    def notice(self, notice: link_words.Notice) -> None:
        for event in wiring._of_notice(notice):
            self.put("link", event)

    # --- step and perform ---

    def _step(self, state: Lane, at_s: float, event: Event) -> tuple[Lane, tuple[Effect, ...]]:
        if isinstance(event, TimePassed) and event.timer.name == wiring._AGAIN_TIMER:
            self.performer.say_again()
            self.wake_after(event.timer, wiring._AGAIN_EVERY_S)
            return state, ()
        if isinstance(event, TimePassed) and event.timer.name == wiring._GREEN_TIMER:
            self.performer.renew_green()
            self.wake_after(event.timer, self.lane.config.relays.green_renew_s)
            return state, ()
        if isinstance(event, DeviceSpoke) and event.device in ("io", RELAYS):
            self.performer.io_is_back()
        after, effects = step(state, at_s, event)
        if self.lane.world.spoil is not None:
            after, effects = self.lane.world.spoil(state, event, (after, effects))
        self.lane.world.watch.stepped(self.lane, state, at_s, event, after, effects)
        return after, effects

    def perform(self, effect: Effect) -> None:
        lane = self.lane
        if lane.effects_until_cut is not None:
            if lane.effects_until_cut <= 0:
                raise PowerCut
            lane.effects_until_cut -= 1
        lane.world.watch.performing(lane, effect)
        self.performer.perform(effect)
        lane.world.watch.performed(lane, effect)

    def wake_after(self, timer: Timer, seconds: float) -> None:
        self.inbox.wake_after(timer, seconds)
        heapq.heappush(self.lane.timers, self.lane.now_s + seconds)

    def order(self, device: str, order_id: str, order: Order) -> None:
        watch = self.lane.world.watch
        self.lane.speaks(device)
        watch.ordered(self.lane, device, order_id, order)
        try:
            self.lane.lines[device].order(order_id, order)
        except OrderNotTaken:
            watch.not_taken(self.lane, order_id)
            raise


# --- the link -----------------------------------------------------------------------------------------------


class EdgeLink:
    """`sync.link.client.LinkClient` without threads: session, performer, two connections, known claims."""

    def __init__(self, program: GateProgram) -> None:
        lane = program.lane
        self.program = program
        self.lane = lane
        self._world = lane.world
        self._config = wiring.lane_link(program.lane.config, "", lane.clock.boot_id()).session()
        self._performer = LinkPerformer(
            program.journal,
            lane.config.store.folder,
            scope=self._config.scope,
            utc=lane.clock.utc_text,
        )
        self._waiting: deque[LinkEvent] = deque()
        self._facts = False
        self._called = False
        self._dead = False
        self._claims: dict[str, ClaimRequest] = {}
        self._wake_s: float | None = None
        self.session: EdgeSession | None = None
        self.wires: dict[Connection, Wire] = {}

    def start(self) -> None:
        """Also after its thread died: a new session over the same store, known claims asked again."""
        lane = self.lane
        session = self.session = EdgeSession(
            self._config,
            signer=KeySigner(_key(lane.name), lane.name),
            keys={HUB_KID: _key(HUB_KID).public_key()},
            utc_at=lambda at_s: self._world.utc(lane.clock_off_s, at_s),
            opened=self._performer.opened(),
            new_nonce=self._world.new_id,
        )
        self._wake_s = None
        for request in self._claims.values():
            self._drive(link_words.ClaimAsked(request))
        for connection in Connection:
            self.wires[connection] = Wire(
                self._world.broker,
                f"{lane.name}-{connection.value}",
                self._config.subscriptions(connection),
                connected=lambda connection=connection: self._hear(link_words.Connected(connection)),
                lost=lambda why, connection=connection: self._hear(link_words.Disconnected(connection, why)),
                received=lambda topic, payload: self._hear(link_words.Received(topic, payload)),
                will=(lambda: session.will(self._world.now_s)) if connection is Connection.ROUTINE else None,
                again_s=(0.5, lane.config.sync.reconnect_longest_s),
            )
            self.wires[connection].cut = lane.name in self._world.cut_off
            self.wires[connection].start()

    def crash(self) -> None:
        """Its thread dies of a fault of its own and is started again a second later."""
        for wire in self.wires.values():
            wire.stop(goodbye=False)
        self._performer.close()
        self.session = None
        self._waiting.clear()
        self.program.notice(link_words.LinkDown("the link failed"))
        self.lane.turn()

        def again() -> None:
            if not self._dead and self.session is None:
                self.start()

        self._world.at(self._world.now_s + 1.0, again)

    def kill(self) -> None:
        self._dead = True
        for wire in self.wires.values():
            wire.stop(goodbye=False)
        self._performer.close()
        self.session = None

    # --- what the lane says ---

    def claim(self, claim_id: str, passage: int, plate: Plate | None, slip_nos: tuple[SlipNo, ...]) -> None:
        request = ClaimRequest(claim_id, self.lane.name, passage, plate, slip_nos)
        self._claims[claim_id] = request
        self._hear(link_words.ClaimAsked(request))

    def withdraw(self, claim_id: str) -> None:
        self._claims.pop(claim_id, None)
        self._hear(link_words.ClaimWithdrawn(claim_id))

    def facts_waiting(self) -> None:
        self._facts = True
        self._call()

    def answer(self, command_id: str, outcome: Outcome, why: str) -> None:
        self._world.watch.reached("commands", f"{outcome.value} {why}".strip().split(":")[0][:40])
        self._hear(link_words.CommandAnswered(command_id, outcome, why))

    def tell_status(self) -> None:
        self._hear(link_words.StatusWanted())

    def resync(self) -> None:
        self._hear(link_words.ResyncWanted())

    def wipe(self, command: Command, force: bool) -> None:
        raise AssertionError("no lane of the world is wiped")

    # --- the link's own turn ---

    def _hear(self, event: LinkEvent) -> None:
        self._waiting.append(event)
        self._call()

    def _call(self) -> None:
        if not self._called:
            self._called = True
            self._world.at(self._world.now_s + LINK_AFTER_S, self._turn)

    def _turn(self) -> None:
        self._called = False
        if self._dead or self.session is None:
            return
        events = list(self._waiting)
        self._waiting.clear()
        if self._facts:
            self._facts = False
            events.append(link_words.FactsWaiting())
        for event in events:
            self._drive(event)
        self.lane.turn()

    def _drive(self, event: LinkEvent) -> None:
        session = self.session
        if session is None:
            return
        events = deque([event])
        while events:
            try:
                effects = session.step(self._world.now_s, events.popleft())
            except Exception as fault:  # nothing received may raise; the site goes on without this link
                self._world.watch.breach("G11", f"{self.lane.name}: the session raised {fault!r}", fault)
                self.crash()
                return
            for effect in effects:
                match effect:
                    case link_words.Publish(connection, topic, payload, retain):
                        wire = self.wires.get(connection)
                        if wire is not None:
                            wire.publish(topic, payload, retain=retain)
                    case link_words.Notify(notice):
                        if isinstance(notice, link_words.ClaimAnswered):
                            self._claims.pop(notice.claim_id, None)
                        self._world.watch.noticed(self.lane, notice)
                        self.program.notice(notice)
                    case link_words.WakeAt(at_s):
                        self._wake(at_s)
                    case _:
                        answers = self._performer.perform(effect)
                        self._world.watch.link_performed(self.lane, effect, answers)
                        events.extend(answers)

    def _wake(self, at_s: float | None) -> None:
        self._wake_s = at_s
        if at_s is None:
            return
        session = self.session

        def tick() -> None:
            if self._wake_s == at_s and self.session is session and not self._dead:
                self._drive(link_words.Tick())
                self.lane.turn()

        self._world.at(at_s, tick)


# --- the hub ------------------------------------------------------------------------------------------------


class HubProgram:
    """`sync.hub.wiring.Hub` without threads, on a real archive."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.folder = world.folder / "hub"
        self.folder.mkdir(parents=True)
        self.path = self.folder / "archive.sqlite"
        self.archive: Archive | None = None
        self.receiver: Receiver | None = None
        self.clock_off_s = 0.0
        self.head_every_s = 30.0
        self.wires: dict[Connection, Wire] = {}
        self._urgent: deque[tuple[str, bytes]] = deque()
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._called = False
        self._life = 0

    def utc(self) -> str:
        return self._world.utc(self.clock_off_s)

    def start(self) -> None:
        world = self._world
        if self.archive is not None:
            return
        try:
            archive = Archive.open(self.path, own=True, new_id=world.new_id)
        except ArchiveRefused as refused:
            world.watch.breach("G2", f"the hub cannot open its archive: {refused}")
            return
        with archive.transaction():
            for lane in world.lanes:
                archive.enrol(lane, public_pem(_key(lane).public_key()).decode())
            archive.add_scope(SCOPE, new_id=world.new_id)
        self.archive = archive
        self.receiver = Receiver(
            archive,
            KeySigner(_key(HUB_KID), HUB_KID),
            site=SITE,
            limits=Limits(head_every_s=self.head_every_s),
            new_id=world.new_id,
        )
        self._life += 1
        for connection in Connection:
            self.wires[connection] = Wire(
                world.broker,
                f"hub-{connection.value}",
                hub_subscriptions(SITE, connection),
                connected=lambda connection=connection: self._connected(connection),
                lost=lambda why: None,
                received=self._received,
                will=self._will if connection is Connection.ROUTINE else None,
            )
            self.wires[connection].start()
        self._tick(self._life)

    def give(self, lane: str, act: Act, officer: str, reason: str) -> bool:
        """An officer at the centre commands; False where there is no hub to give it to."""
        if self.archive is None or self.receiver is None:
            return False
        by = By((officer,), reason)
        give(self.archive, lane, act, by, valid_s=30, at_utc=self.utc(), new_id=self._world.new_id)
        self._publish(self.receiver.commands(self.utc()))
        return True

    def kill(self) -> None:
        if self.archive is None:
            return
        self._life += 1
        for wire in self.wires.values():
            wire.stop(goodbye=False)
        self.archive.close()
        self.archive = self.receiver = None
        self._urgent.clear()
        self._waiting.clear()

    def back_up(self, to: str) -> None:
        """A copy as an operator makes one."""
        if self.archive is not None:
            self.archive._db.execute("VACUUM INTO ?", (str(self.folder / to),))

    def restore(self, kept: str) -> None:
        """While it is down: the copy takes the archive's place."""
        for suffix in ("-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        shutil.copyfile(self.folder / kept, self.path)

    def change_records(self, changes: list[RecordChange]) -> None:
        """An importer beside the hub; where the hub is down the same importer writes all the same."""
        archive = self.archive or Archive.open(self.path)
        try:
            with archive.transaction():
                archive.apply_changes(SCOPE, changes, self.utc())
        finally:
            if archive is not self.archive:
                archive.close()

    def import_files(self, paths: tuple[Path, ...]) -> None:
        assert self.archive is not None
        import_files(self.archive, SCOPE, paths, self.utc())

    def _will(self) -> tuple[str, bytes]:
        assert self.receiver is not None
        death = self.receiver.death(self.utc())
        return death.topic, death.payload

    def _connected(self, connection: Connection) -> None:
        if connection is Connection.ROUTINE and self.receiver is not None:
            # After the broker has taken the subscriptions.
            self._world.at(self._world.now_s + HUB_AFTER_S, self._born)

    def _born(self) -> None:
        if self.receiver is not None:
            self._publish(self.receiver.born(self.utc()))

    def _received(self, topic: str, payload: bytes) -> None:
        queue = self._urgent if topic.endswith(("/facts/alarm", "/claim", "/result")) else self._waiting
        queue.append((topic, payload))
        if not self._called:
            self._called = True
            self._world.at(self._world.now_s + HUB_AFTER_S, self._turn)

    def _turn(self) -> None:
        self._called = False
        receiver = self.receiver
        if receiver is None:
            return
        for queue in (self._urgent, self._waiting):
            while queue:
                some = [queue.popleft() for _ in range(min(len(queue), 64))]
                try:
                    answers = receiver.receive_all(some, self.utc())
                except Exception as fault:  # nothing received may raise
                    self._world.watch.breach("G11", f"the hub raised {fault!r}", fault)
                    continue
                self._publish(answers)

    def _tick(self, life: int) -> None:
        if self.receiver is None or life != self._life:
            return
        self._publish(self.receiver.tick(self.utc()))
        self._publish(self.receiver.commands(self.utc()))
        self._world.at(self._world.now_s + HUB_POLL_S, lambda: self._tick(life))

    def _publish(self, outgoing: list[Outgoing]) -> None:
        for message in outgoing:
            self._world.watch.hub_says(message)
            self.wires[Connection(message.connection)].publish(
                message.topic, message.payload, retain=message.retain
            )


# --- around a run -------------------------------------------------------------------------------------------


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """The programs' own logs are not part of a run."""
    before = structlog.get_config()
    was_configured = structlog.is_configured()
    logging.disable(logging.CRITICAL)
    structlog.configure(processors=[lambda logger, name, event: _drop()], cache_logger_on_first_use=False)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        if was_configured:
            structlog.configure(**before)
        else:
            structlog.reset_defaults()


def _drop() -> Any:
    raise structlog.DropEvent


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder in memory where there is such a thing: the world's disks fail when told to, not by themselves."""
    parent = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="kakou-world-", dir=parent if parent.is_dir() else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def cpu_s() -> float:
    return time.process_time()
