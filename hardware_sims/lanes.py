"""Lanes with their devices, and a site of lanes with its traffic. Virtual time; no port, no clock.

The real-time shell and the world test drive these very objects.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hardware_sims.barrier import NEVER
from hardware_sims.devices import Camera, Device
from hardware_sims.devices.card_reader import CardReader
from hardware_sims.devices.container_camera import ContainerCamera
from hardware_sims.devices.customs_platform import CustomsPlatform
from hardware_sims.devices.io_board import IoBoard
from hardware_sims.devices.led_board import LedBoard
from hardware_sims.devices.plate_camera import PictureOf, PlateCamera, grey
from hardware_sims.devices.plate_camera_dahua import DahuaCamera
from hardware_sims.devices.plate_camera_hikvision import HikvisionCamera, HikvisionStream
from hardware_sims.devices.rfid_reader import RfidReader
from hardware_sims.devices.scanner import Scanner
from hardware_sims.devices.text_board import TextBoard
from hardware_sims.devices.triggered_scanner import TriggeredScanner
from hardware_sims.devices.uhf_reader import UhfReader
from hardware_sims.devices.weighbridge import Weighbridge
from hardware_sims.faults import Fault, FaultKind
from hardware_sims.physics import LanePhysics
from hardware_sims.scenario import CAMERAS_CALLED, FaultPlan, Happening, HappeningKind, LaneSettings, Scenario
from hardware_sims.vehicles import Vehicle

if TYPE_CHECKING:
    from hardware_sims.devices.fixed_camera import FixedCamera

SERIAL_DEVICES = ("weighbridge", "rfid", "io", "scanner", "led")
"""Devices on a line of their own in every lane; `camera` calls over the network, or is called there."""

ARM_LEFT_S = 15.0
"""An arm that stays up so long over an empty lane is not going to be lowered."""

Sink = Callable[[dict[str, Any]], None]
"""Takes one line of physics.jsonl: t, lane, kind, fields."""


@dataclass(frozen=True, slots=True)
class Sent:
    """Bytes that left a device."""

    at_s: float
    device: str
    data: bytes


def jsonl_log(lane: str, sink: Sink) -> Callable[[float, str, dict[str, Any]], None]:
    def log(at_s: float, kind: str, fields: dict[str, Any]) -> None:
        sink({"t": round(at_s, 3), "lane": lane, "kind": kind, **fields})

    return log


class SimulatedLane:
    """One lane: `physics` and `devices`, driven together so that every byte leaves at its time."""

    def __init__(
        self,
        settings: LaneSettings,
        *,
        seed: int = 0,
        sink: Sink = lambda line: None,
        unix_of: Callable[[float], float] = lambda at_s: 1_767_225_600.0 + at_s,
        picture_of: PictureOf = grey,
    ) -> None:
        name = settings.name
        self.name = name
        self.settings = settings
        self.log = jsonl_log(name, sink)
        self.physics = LanePhysics(settings.barrier, self.log)
        physics = self.physics
        self.camera: Camera = _plate_camera(physics, settings, unix_of, f"{seed}/{name}/camera", picture_of)
        self.io = IoBoard(
            physics,
            unit=settings.io_unit,
            relay_unit=settings.io_relay_unit,
            relay_style=settings.io_relay_style,
            framing=settings.io_framing,
            uploads=settings.io_uploads,
            seed=f"{seed}/{name}/io",
        )
        board = LedBoard if settings.led == "fk" else TextBoard
        self.led: LedBoard | TextBoard = board(physics, seed=f"{seed}/{name}/led")
        self.fixed_camera: FixedCamera | None = None
        if settings.fixed_camera != "none":
            # Numpy with it: only for those who want pictures.
            from hardware_sims.devices.fixed_camera import FixedCamera

            self.fixed_camera = FixedCamera(physics, caption=name)
        self.platform: CustomsPlatform | None = None
        if settings.platform is not None:
            self.platform = CustomsPlatform(
                area_id=settings.platform_area_id,
                channel_no=settings.platform_channel_no,
                direction=settings.platform_direction,
                style=settings.platform,
                answers=settings.platform_answers,
                late_s=settings.platform_late_s,
                heartbeat_s=settings.platform_heartbeat_s,
                bare_xml=settings.platform_bare_xml,
                seed=f"{seed}/{name}/platform",
                log=self.log,
            )
        self.devices: dict[str, Device] = {
            "weighbridge": Weighbridge(
                physics,
                protocol=settings.weighbridge,
                division_kg=settings.division_kg,
                capacity_kg=settings.capacity_kg,
                zero_kg=settings.zero_kg,
                seed=f"{seed}/{name}/weighbridge",
            ),
            "rfid": _tag_reader(physics, settings, f"{seed}/{name}/rfid"),
            "io": self.io,
            "scanner": _scanner(physics, settings, f"{seed}/{name}/scanner"),
            "led": self.led,
            "camera": self.camera,
        }
        if settings.card_reader is not None:
            card_reader = CardReader(physics, kind=settings.card_reader, seed=f"{seed}/{name}/card_reader")
            self.devices["card_reader"] = card_reader
        self.calling: dict[str, Camera] = {"camera": self.camera}
        """Devices that may call over the network."""
        if settings.container_listener is not None:
            container_camera = ContainerCamera(
                physics, host=settings.container_listener, seed=f"{seed}/{name}/container_camera"
            )
            self.devices["container_camera"] = self.calling["container_camera"] = container_camera
        self._listed = tuple(self.devices.items())
        self._due = dict.fromkeys(self.devices, 0.0)
        self._least_due_s = 0.0
        """When the first device is next to be advanced. Whoever touches a device brings this up to date."""
        self._present = dict.fromkeys(self.devices, True)
        self.now_s = 0.0

    @property
    def serial_devices(self) -> tuple[str, ...]:
        """Devices of this lane that are on a line of their own."""
        asked_for = {
            "card_reader": self.settings.card_reader is not None,
            "camera": self.settings.camera in CAMERAS_CALLED,
        }
        return (*SERIAL_DEVICES, *(device for device, wanted in asked_for.items() if wanted))

    def port_present(self, device: str) -> bool:
        """False while the device's port has vanished."""
        return self._present[device]

    @property
    def inputs_are_read(self) -> bool:
        """Whoever is on the line of the I/O board has asked for them since they last changed."""
        return self.io.inputs_read == self.physics.inputs()

    def next_event_s(self) -> float:
        # Physics is touched from outside as well: it is asked.
        return max(min(self.physics.next_event_s(), self._least_due_s), self.now_s)

    def advance(self, to_s: float) -> list[Sent]:
        """Everything up to `to_s`; returns what the devices sent, in order of time."""
        sent: list[Sent] = []
        physics, dues = self.physics, self._due
        while True:
            moves_s = physics.next_event_s()
            due = moves_s if moves_s < self._least_due_s else self._least_due_s  # noqa: FURB136  a hot path
            if due > to_s:
                break
            at_s = self.now_s = due if due > self.now_s else self.now_s  # noqa: FURB136  a hot path
            physics.advance(at_s)
            # What a device says changes by itself, or when something moved.
            moved = moves_s <= at_s
            for name, device in self._listed:
                if moved or dues[name] <= at_s:
                    data = device.advance(at_s)
                    if data:
                        sent.append(Sent(at_s, name, data))
                    dues[name] = device.next_event_s()
            self._least_due_s = min(dues.values())
        if to_s > self.now_s:
            self.now_s = to_s
            physics.advance(to_s)
        return sent

    def receive(self, at_s: float, device: str, data: bytes) -> list[Sent]:
        """Bytes for a device; returns what left any device up to this moment."""
        sent = self.advance(at_s)
        self.devices[device].receive(self.now_s, data)
        self._touched(device)
        return sent

    def connect(self, at_s: float, device: str) -> list[Sent]:
        sent = self.advance(at_s)
        self.devices[device].connect(self.now_s)
        self._touched(device)
        self._line(device, is_open=True)
        return sent

    def camera_not_answered(self, at_s: float, device: str = "camera") -> list[Sent]:
        """Nobody listens where the camera calls."""
        sent = self.advance(at_s)
        self.calling[device].connect_failed(self.now_s)
        self._touched(device)
        return sent

    def disconnect(self, at_s: float, device: str) -> list[Sent]:
        sent = self.advance(at_s)
        self.devices[device].disconnect(self.now_s)
        self._touched(device)
        self._line(device, is_open=False)
        return sent

    def _line(self, device: str, *, is_open: bool) -> None:
        """Whether anybody is at the other end of a serial line: without it nothing that happens is seen."""
        if device in self.serial_devices:
            self.log(self.now_s, "line", {"device": device, "open": is_open})

    def set_fault(self, at_s: float, device: str, fault: Fault, on: bool) -> list[Sent]:
        """`barrier` takes `jammed`, `fixed_camera` and `platform` their own; the others are in `devices`."""
        sent = self.advance(at_s)
        self.apply_fault(self.now_s, device, fault, on)
        return sent

    def apply_fault(self, at_s: float, device: str, fault: Fault, on: bool) -> None:
        """As `set_fault`, for a caller within `advance`."""
        if device == "barrier":
            self.physics.set_jammed(at_s, on)
        elif device == "platform":
            if self.platform is not None:
                self.platform.set_fault(at_s, fault, on)
        elif device == "fixed_camera":
            if self.fixed_camera is not None:
                self.fixed_camera.set_fault(at_s, fault, on)
        else:
            self.devices[device].set_fault(at_s, fault, on)
            self._touched(device)
            if fault.kind is FaultKind.VANISH:
                self._present[device] = not on
        self.log(at_s, "fault", {"device": device, "fault": fault.kind.value, "on": on})

    def _touched(self, device: str) -> None:
        self._due[device] = self.devices[device].next_event_s()
        self._least_due_s = min(self._due.values())


def _plate_camera(
    physics: LanePhysics,
    settings: LaneSettings,
    unix_of: Callable[[float], float],
    seed: str,
    picture_of: PictureOf,
) -> Camera:
    host = settings.camera_listener or "127.0.0.1"
    heartbeat_s = settings.camera_heartbeat_s
    user, password = settings.camera_user, settings.camera_password
    match settings.camera:
        case "vzenith":
            return PlateCamera(
                physics,
                host=host,
                heartbeat_s=heartbeat_s,
                comet=settings.camera_comet,
                serial_no=f"51ca11e5-{sum(settings.name.encode()) & 0xFFFFFFFF:08x}",
                unix_of=unix_of,
                seed=seed,
                picture_of=picture_of,
            )
        case "hikvision":
            return HikvisionCamera(
                physics, host=host, heartbeat_s=heartbeat_s, unix_of=unix_of, seed=seed, picture_of=picture_of
            )
        case "hikvision_stream":
            return HikvisionStream(
                physics, user=user, password=password, unix_of=unix_of, seed=seed, picture_of=picture_of
            )
        case "dahua":
            return DahuaCamera(
                physics, user=user, password=password, unix_of=unix_of, seed=seed, picture_of=picture_of
            )


def _scanner(physics: LanePhysics, settings: LaneSettings, seed: str) -> Device:
    if settings.scanner == "line":
        return Scanner(physics, aim_prefix=settings.scanner_aim, seed=seed)
    return TriggeredScanner(
        physics,
        settings.scanner,
        only_triggered=settings.scanner_triggered,
        aim_prefix=settings.scanner_aim,
        seed=seed,
    )


def _tag_reader(physics: LanePhysics, settings: LaneSettings, seed: str) -> Device:
    address = settings.rfid_address
    if settings.rfid == "r2000":
        return RfidReader(physics, address=1 if address is None else address, seed=seed)
    return UhfReader(
        physics,
        make=settings.rfid,
        address=0 if address is None else address,
        active=settings.rfid_active,
        seed=seed,
    )


class SimulatedSite:
    """Lanes, their traffic and what goes wrong when. `advance` is the only motor.

    Traffic time runs while arrivals are released (`go`) and stands while they are held (`hold`, or a pause of
    the scenario); arrivals, faults and happenings of the scenario are told in it.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        sink: Sink = lambda line: None,
        unix_of: Callable[[float], float] = lambda at_s: 1_767_225_600.0 + at_s,
        released: bool = True,
        picture_of: PictureOf = grey,
    ) -> None:
        self.scenario = scenario
        self.lanes: Mapping[str, SimulatedLane] = {
            lane.name: SimulatedLane(
                lane, seed=scenario.seed, sink=sink, unix_of=unix_of, picture_of=picture_of
            )
            for lane in scenario.lanes
        }
        self._order = 0
        self._agenda: list[tuple[float, int, Callable[[float], None]]] = []
        self._now = 0.0
        self._go_s = 0.0 if released else None
        self._traffic_s = 0.0
        self._coming = len(scenario.vehicles)
        self._of_vehicle: dict[str, list[FaultPlan]] = {}
        self._collected: list[tuple[str, Sent]] = []
        self._until: list[tuple[float, int, Callable[[float], None]]] = []
        self.paused_at_s: float | None = None
        """Traffic time of the scenario's pause now in force."""
        self._hears_next_door = False
        """Whether any lane hears another: then all are moved together, event by event."""
        for name, lane in self.lanes.items():
            lane.physics.on_move = self._vehicle_moved(name)
            if lane.settings.hears_neighbour is not None:
                lane.physics.neighbour = self.lanes[lane.settings.hears_neighbour].physics
                self._hears_next_door = True
        for vehicle in sorted(scenario.vehicles, key=lambda each: each.arrives_s):
            self._plan(vehicle.arrives_s, self._arrival(vehicle))
        for fault in scenario.faults:
            if fault.vehicle is not None:
                self._of_vehicle.setdefault(fault.vehicle, []).append(fault)
            else:
                self._plan(fault.at_s, self._fault(fault))
        for happening in scenario.happenings:
            if happening.when_closed_s is not None:
                self.lanes[happening.lane].physics.turns_key_after_s = happening.when_closed_s
            else:
                self._plan(happening.at_s, self._happening(happening))
        for pause in scenario.pauses:
            self._plan(pause, self._pause(pause))

    # --- traffic ---

    @property
    def now_s(self) -> float:
        return self._now

    @property
    def traffic_s(self) -> float:
        """Traffic time: seconds arrivals have been released for."""
        return self._traffic_s + (self._now - self._go_s if self._go_s is not None else 0.0)

    @property
    def is_released(self) -> bool:
        return self._go_s is not None

    def go(self, at_s: float) -> None:
        """Release arrivals (again)."""
        self._collected += self._run(at_s)
        self.paused_at_s = None
        if self._go_s is None:
            self._go_s = at_s

    def hold(self, at_s: float) -> None:
        """No new arrivals from now on; what is in the lanes goes on."""
        self._collected += self._run(at_s)
        if self._go_s is not None:
            self._traffic_s += at_s - self._go_s
            self._go_s = None

    @property
    def is_idle(self) -> bool:
        """No vehicle in or before any lane, every arm down, or left where it is for `ARM_LEFT_S`."""
        for lane in self.lanes.values():
            physics = lane.physics
            left_up = not physics.barrier.is_down and self._now - physics.rest_since_s < ARM_LEFT_S
            if not physics.is_idle or left_up:
                return False
        return True

    @property
    def is_over(self) -> bool:
        """Idle, and nobody is to come any more."""
        return self._coming == 0 and self.is_idle

    @property
    def vehicles_to_come(self) -> int:
        return self._coming

    # --- time ---

    def next_event_s(self) -> float:
        due = min((lane.next_event_s() for lane in self.lanes.values()), default=NEVER)
        return min(due, self._next_planned_s())

    def advance(self, to_s: float) -> list[tuple[str, Sent]]:
        """Everything up to `to_s`; returns (lane, what a device sent), each lane's in order of time."""
        done, self._collected = self._collected, []
        done += self._run(to_s)
        return done

    def receive(self, at_s: float, lane: str, device: str, data: bytes) -> None:
        """Bytes for a device; what leaves meanwhile comes with the next `advance`."""
        self._collected += self._run(at_s)
        self.lanes[lane].receive(at_s, device, data)

    def connect(self, at_s: float, lane: str, device: str) -> None:
        self._collected += self._run(at_s)
        self.lanes[lane].connect(at_s, device)

    def camera_not_answered(self, at_s: float, lane: str, device: str = "camera") -> None:
        self._collected += self._run(at_s)
        self.lanes[lane].camera_not_answered(at_s, device)

    def disconnect(self, at_s: float, lane: str, device: str) -> None:
        self._collected += self._run(at_s)
        self.lanes[lane].disconnect(at_s, device)

    def set_fault(self, at_s: float, lane: str, device: str, fault: Fault, on: bool) -> None:
        self._collected += self._run(at_s)
        self.lanes[lane].set_fault(at_s, device, fault, on)

    def _next_planned_s(self) -> float:
        due = self._until[0][0] if self._until else NEVER
        if self._go_s is not None and self._agenda:
            due = min(due, self._go_s + self._agenda[0][0] - self._traffic_s)
        return max(due, self._now)

    def _run(self, to_s: float) -> list[tuple[str, Sent]]:
        done: list[tuple[str, Sent]] = []
        while (due := self._next_planned_s()) <= to_s:
            self._advance_lanes(due, done)
            if self._until and self._until[0][0] <= due:
                heapq.heappop(self._until)[2](due)
            elif self._go_s is not None and self._agenda:
                heapq.heappop(self._agenda)[2](due)
        self._advance_lanes(to_s, done)
        return done

    def _advance_lanes(self, to_s: float, done: list[tuple[str, Sent]]) -> None:
        at_s = to_s
        while True:
            if self._hears_next_door:
                at_s = min(to_s, *(lane.next_event_s() for lane in self.lanes.values()))
            for name, lane in self.lanes.items():
                done += [(name, sent) for sent in lane.advance(at_s)]
            if at_s >= to_s:
                break
        self._now = max(self._now, to_s)

    # --- plans ---

    def _plan(self, traffic_s: float, act: Callable[[float], None]) -> None:
        self._order += 1
        heapq.heappush(self._agenda, (traffic_s, self._order, act))

    def _later(self, at_s: float, act: Callable[[float], None]) -> None:
        self._order += 1
        heapq.heappush(self._until, (at_s, self._order, act))

    def _arrival(self, vehicle: Vehicle) -> Callable[[float], None]:
        def act(at_s: float) -> None:
            self._coming -= 1
            self.lanes[vehicle.lane].physics.arrive(at_s, vehicle)

        return act

    def _pause(self, traffic_s: float) -> Callable[[float], None]:
        def act(at_s: float) -> None:
            if self._go_s is not None:
                self._traffic_s += at_s - self._go_s
                self._go_s = None
                self.paused_at_s = traffic_s

        return act

    def _fault(self, plan: FaultPlan) -> Callable[[float], None]:
        def act(at_s: float) -> None:
            self.lanes[plan.lane].set_fault(at_s, plan.device, plan.fault, True)
            if plan.for_s is not None:
                self._later(at_s + plan.for_s, self._turning(plan.lane, plan, False))

        return act

    def _vehicle_moved(self, lane: str) -> Callable[[float, str, str], None]:
        def act(at_s: float, vehicle: str, how: str) -> None:
            for plan in self._of_vehicle.get(vehicle, ()):
                self.lanes[lane].apply_fault(at_s, plan.device, plan.fault, how == "arrived")

        return act

    def _turning(self, lane: str, plan: FaultPlan, on: bool) -> Callable[[float], None]:
        def act(at_s: float) -> None:
            self.lanes[lane].set_fault(at_s, plan.device, plan.fault, on)

        return act

    def _happening(self, plan: Happening) -> Callable[[float], None]:
        def act(at_s: float) -> None:
            physics = self.lanes[plan.lane].physics
            begin, end = _performances(physics, plan)
            begin(at_s)
            if end is not None and plan.for_s is not None:
                self._later(at_s + plan.for_s, end)

        return act


def _performances(
    physics: LanePhysics, plan: Happening
) -> tuple[Callable[[float], None], Callable[[float], None] | None]:
    """What begins a happening and what ends it."""
    match plan.kind:
        case HappeningKind.FIRE:
            return lambda at_s: physics.set_fire(at_s, True), lambda at_s: physics.set_fire(at_s, False)
        case HappeningKind.POWER_FAIL:
            return lambda at_s: physics.set_power(at_s, False), lambda at_s: physics.set_power(at_s, True)
        case HappeningKind.STOP:
            return lambda at_s: physics.press_stop(at_s, True), lambda at_s: physics.press_stop(at_s, False)
        case HappeningKind.RESET_KEY:
            return lambda at_s: physics.turn_reset_key(at_s, plan.for_s or 1.0), None
        case HappeningKind.HAND_RAISE:
            return lambda at_s: physics.hand(at_s, up=True), None
        case HappeningKind.HAND_LOWER:
            return lambda at_s: physics.hand(at_s, up=False), None
        case HappeningKind.SHOW_CARD:
            return lambda at_s: physics.show_card(at_s, plan.text), None
        case HappeningKind.SHOW_CODE:
            return lambda at_s: physics.show_code(at_s, plan.text, plan.aim), None


def lanes_of(names: Iterable[str]) -> tuple[LaneSettings, ...]:
    """Lanes with everything at its default."""
    return tuple(LaneSettings(name=name) for name in names)
