"""What will happen at a simulated site: a TOML file a person can write. No device, no clock.

Times are traffic seconds: they run while arrivals are released. Unknown keys are refused; every error is
listed with its key path and what was expected.
"""

from __future__ import annotations

import enum
import random
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from hardware_sims.barrier import BarrierSettings
from hardware_sims.devices.card_reader import KINDS as CARD_READERS
from hardware_sims.devices.card_reader import Kind as CardReaderKind
from hardware_sims.devices.customs_platform import ANSWERS, STYLES, Style
from hardware_sims.devices.triggered_scanner import MAKES, Make
from hardware_sims.devices.weighbridge import PROTOCOLS as WEIGHBRIDGES
from hardware_sims.devices.weighbridge import Protocol as WeighbridgeProtocol
from hardware_sims.faults import SCALE_FAULTS, SERIAL_FAULTS, Fault, FaultKind
from hardware_sims.physics import INPUTS
from hardware_sims.vehicles import NORMAL, PRESETS, Behaviour, Trailer, Vehicle, is_card

Transport = Literal["pty", "socket"]
TagReaderProtocol = Literal["r2000", "uhfreader18", "uhfreader288"]
TAG_READERS: tuple[TagReaderProtocol, ...] = ("r2000", "uhfreader18", "uhfreader288")
CameraKind = Literal["vzenith", "hikvision", "hikvision_stream", "dahua"]
CAMERAS_CALLED: tuple[CameraKind, ...] = ("hikvision_stream", "dahua")
"""Cameras that serve, at `socket://127.0.0.1:camera_port`; the others call `camera_listener`."""
FixedCameraKind = Literal["none", "http", "rtsp", "folder"]
ScannerKind = Literal["line"] | Make
SCANNERS: tuple[ScannerKind, ...] = ("line", *MAKES)
BoardKind = Literal["fk", "ascii"]
BOARDS: tuple[BoardKind, ...] = ("fk", "ascii")
RelayStyle = Literal["waveshare", "r421a08"]
RELAY_STYLES: tuple[RelayStyle, ...] = ("waveshare", "r421a08")
Framing = Literal["rtu", "tcp"]
FRAMINGS: tuple[Framing, ...] = ("rtu", "tcp")

FAULTS_OF = {
    "weighbridge": SERIAL_FAULTS,
    "rfid": SERIAL_FAULTS | {FaultKind.NO_ANTENNA},
    "io": SERIAL_FAULTS | {FaultKind.BROKEN_WIRE},
    "scanner": SERIAL_FAULTS,
    "led": SERIAL_FAULTS,
    "camera": SERIAL_FAULTS | {FaultKind.WRONG_PLATE},
    "barrier": frozenset({FaultKind.JAMMED}),
}
"""Which faults each device of a lane can have."""

PICTURE_FAULTS = frozenset(
    {
        FaultKind.CUT,
        FaultKind.STUCK,
        FaultKind.BLACK,
        FaultKind.SLOW,
        FaultKind.SILENCE,
        FaultKind.DEAD,
    }
)
"""Of a fixed camera. It is asked for by a lane, and no random scenario breaks it: it moves no vehicle."""


NETWORK_FAULTS = frozenset(
    {FaultKind.STORM, FaultKind.MALFORMED, FaultKind.CUT_PICTURE, FaultKind.SLOW_LORIS}
)
"""Of cameras on the network, beside those of every line. No random scenario has them: they are asked for."""


def faults_of(device: str) -> frozenset[FaultKind]:
    """Empty for a device no lane has. `SCALE_FAULTS` are asked for: no random scenario cheats."""
    if device == "fixed_camera":
        return PICTURE_FAULTS
    if device == "platform":
        return SERIAL_FAULTS - {FaultKind.VANISH}
    if device == "card_reader":
        return SERIAL_FAULTS
    if device == "container_camera":
        return FAULTS_OF["camera"] | NETWORK_FAULTS
    asked_for = {"weighbridge": SCALE_FAULTS, "camera": NETWORK_FAULTS}.get(device, frozenset())
    return FAULTS_OF.get(device, frozenset()) | asked_for


class ScenarioRefused(ValueError):
    """The file says something that cannot be simulated; one line per error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneSettings:
    """One lane's equipment."""

    name: str
    weighbridge: WeighbridgeProtocol = "yaohua_tf0"
    division_kg: int = 20
    capacity_kg: int = 80_000
    """What the weighbridge can weigh."""
    zero_kg: float = 0.0
    """Drift of the empty plate."""
    io_unit: int = 1
    io_relay_unit: int = 0
    """Address of a relay board of its own on the same line; 0: one board."""
    io_relay_style: RelayStyle = "waveshare"
    io_framing: Framing = "rtu"
    """`tcp`: Modbus TCP, with its header."""
    io_uploads: bool = False
    """The board also says things nobody asked for."""
    rfid: TagReaderProtocol = "r2000"
    rfid_address: int | None = None
    """None: as the maker sets it, 1 for r2000 and 0 for the others."""
    rfid_active: bool = False
    """A UHFReader that was set to scan by itself."""
    hears_neighbour: str | None = None
    """A lane next to this one, whose tags this lane's tag reader hears too, now and then and weaker."""
    card_reader: CardReaderKind | None = None
    """None: there is none at the driver's window."""
    scanner: ScannerKind = "line"
    scanner_triggered: bool = False
    """It reads only when it is told to; not with `line`."""
    scanner_aim: bool = True
    led: BoardKind = "fk"
    camera_listener: str | None = None
    """`host:port` the camera pushes to; None: the camera is not there."""
    camera: CameraKind = "vzenith"
    camera_port: int = 0
    """Of a camera that serves; 0: any free one."""
    camera_user: str = "admin"
    camera_password: str = ""
    container_listener: str | None = None
    """`host:port` the container camera pushes to; None: there is none."""
    camera_heartbeat_s: float = 5.0
    camera_comet: bool = False
    fixed_camera: FixedCameraKind = "none"
    """`http`: motion JPEG; `rtsp`: RTP/JPEG; `folder`: files in SITE/frames/LANE."""
    fixed_camera_port: int = 0
    """Of a stream; 0: any free one."""
    platform: Style | None = None
    """How the customs platform answers; None: there is none."""
    platform_answers: tuple[str, ...] = ("release",)
    """In turn to gathers; `PLATE=answer` is for that vehicle alone."""
    platform_late_s: float = 60.0
    platform_heartbeat_s: float = 0.0
    platform_bare_xml: bool = False
    platform_area_id: str = "3711210009"
    platform_channel_no: str = "3711020009"
    platform_direction: Literal["I", "E"] = "I"
    platform_port: int = 0
    """Where the lane connects to it; 0: any free one."""
    platform_listener: str | None = None
    """`host:port` of the lane the platform connects to, unless it answers on the lane's connection."""
    transport: Transport = "pty"
    barrier: BarrierSettings = field(default=BarrierSettings())


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPlan:
    """A fault from `at_s` for `for_s` (None: to the end), or while `vehicle` is in the lane."""

    lane: str
    device: str
    fault: Fault
    at_s: float = 0.0
    for_s: float | None = None
    vehicle: str | None = None


class HappeningKind(enum.StrEnum):
    FIRE = "fire"
    POWER_FAIL = "power_fail"
    STOP = "stop"
    RESET_KEY = "reset_key"
    HAND_RAISE = "hand_raise"
    HAND_LOWER = "hand_lower"
    SHOW_CODE = "show_code"
    SHOW_CARD = "show_card"


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """Something people or the world do to a lane."""

    lane: str
    kind: HappeningKind
    at_s: float = 0.0
    for_s: float | None = None
    """How long a fire, power failure, pressed stop lasts; None: to the end."""
    when_closed_s: float | None = None
    """For `reset_key`: an officer turns it whenever the board has said `closed` for so long."""
    text: str = ""
    """Of the code; for `show_card` the card's ten hex digits."""
    aim: str = "]Q1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    seed: int = 0
    lanes: tuple[LaneSettings, ...] = ()
    vehicles: tuple[Vehicle, ...] = ()
    faults: tuple[FaultPlan, ...] = ()
    happenings: tuple[Happening, ...] = ()
    pauses: tuple[float, ...] = ()
    """Traffic times at which arrivals stop until somebody says `go`."""

    def problems(self) -> list[str]:
        """What cannot be simulated, each with its key path and what was expected."""
        found: list[str] = []
        names = [lane.name for lane in self.lanes]
        for index, lane in enumerate(self.lanes):
            if names.index(lane.name) != index:
                found.append(f"lanes.{lane.name}: expected each lane once")
            if lane.division_kg < 1:
                found.append(f"lanes.{lane.name}.division_kg: expected 1 or more, got {lane.division_kg}")
            if lane.capacity_kg < 1:
                found.append(f"lanes.{lane.name}.capacity_kg: expected 1 or more, got {lane.capacity_kg}")
            if not 1 <= lane.io_unit <= 247:
                found.append(f"lanes.{lane.name}.io_unit: expected 1 to 247, got {lane.io_unit}")
            if not 0 <= lane.io_relay_unit <= 247:
                found.append(f"lanes.{lane.name}.io_relay_unit: expected 0 to 247, got {lane.io_relay_unit}")
            if lane.hears_neighbour is not None and lane.hears_neighbour not in {*names} - {lane.name}:
                found.append(
                    f"lanes.{lane.name}.hears_neighbour: expected another lane, got {lane.hears_neighbour!r}"
                )
            if not 0 <= lane.camera_port <= 65_535:
                found.append(f"lanes.{lane.name}.camera_port: expected 0 to 65535, got {lane.camera_port}")
            if not 0 <= lane.fixed_camera_port <= 65_535:
                port = lane.fixed_camera_port
                found.append(f"lanes.{lane.name}.fixed_camera_port: expected 0 to 65535, got {port}")
        found += [problem for lane in self.lanes for problem in _platform_problems(lane)]
        with_card_reader = {lane.name for lane in self.lanes if lane.card_reader is not None}
        with_container_camera = {lane.name for lane in self.lanes if lane.container_listener is not None}
        seen: set[str] = set()
        for index, vehicle in enumerate(self.vehicles):
            path = f"vehicles[{index}]"
            found += [f"{path}.{problem}" for problem in vehicle.problems()]
            if vehicle.lane not in names:
                found.append(
                    f"{path}.lane: expected one of {', '.join(names) or 'no lane'}, got {vehicle.lane!r}"
                )
            if vehicle.id in seen:
                found.append(f"{path}.id: expected each id once, got {vehicle.id!r} again")
            seen.add(vehicle.id)
        for index, plan in enumerate(self.faults):
            path = f"faults[{index}]"
            if plan.lane not in names:
                found.append(
                    f"{path}.lane: expected one of {', '.join(names) or 'no lane'}, got {plan.lane!r}"
                )
            known = faults_of(plan.device)
            if not known:
                devices = ", ".join(
                    (*FAULTS_OF, "platform", "fixed_camera", "card_reader", "container_camera")
                )
                found.append(f"{path}.device: expected one of {devices}, got {plan.device!r}")
            elif plan.device == "card_reader" and plan.lane not in with_card_reader:
                found.append(f"{path}.device: expected lanes.{plan.lane}.card_reader to be set")
            elif plan.device == "container_camera" and plan.lane not in with_container_camera:
                found.append(f"{path}.device: expected lanes.{plan.lane}.container_listener to be set")
            elif plan.fault.kind not in known:
                kinds = ", ".join(sorted(known))
                found.append(
                    f"{path}.kind: expected one of {kinds} for {plan.device}, got {plan.fault.kind.value!r}"
                )
            if plan.fault.kind is FaultKind.BROKEN_WIRE and plan.fault.input not in INPUTS:
                found.append(f"{path}.input: expected one of {', '.join(INPUTS)}, got {plan.fault.input!r}")
            if plan.vehicle is not None and plan.vehicle not in seen:
                found.append(f"{path}.vehicle: expected the id of a vehicle, got {plan.vehicle!r}")
        for index, happening in enumerate(self.happenings):
            path = f"happenings[{index}]"
            if happening.lane not in names:
                found.append(
                    f"{path}.lane: expected one of {', '.join(names) or 'no lane'}, got {happening.lane!r}"
                )
            if happening.when_closed_s is not None and happening.kind is not HappeningKind.RESET_KEY:
                found.append(f"{path}.when_closed_s: expected only with kind reset_key")
            if happening.kind is HappeningKind.SHOW_CARD and not is_card(happening.text):
                found.append(f"{path}.text: expected 10 upper-case hex digits, got {happening.text!r}")
        return found


def _platform_problems(lane: LaneSettings) -> list[str]:
    path = f"lanes.{lane.name}.platform"
    found = [
        f"{path}_answers: expected one of {', '.join(ANSWERS)}, alone or behind PLATE=, got {each!r}"
        for each in lane.platform_answers
        if each.rpartition("=")[2] not in ANSWERS
    ]
    found += [
        f"{path}_{name}: expected 10 letters and digits, got {text!r}"
        for name, text in (("area_id", lane.platform_area_id), ("channel_no", lane.platform_channel_no))
        if not (len(text) == 10 and text.isascii() and text.isalnum())
    ]
    if not 0 <= lane.platform_port <= 65_535:
        found.append(f"{path}_port: expected 0 to 65535, got {lane.platform_port}")
    if lane.platform in ("call_back", "send_and_close") and lane.platform_listener is None:
        found.append(f"{path}_listener: expected host:port, which {lane.platform} calls")
    return found


# --- reading ---


def read_scenario(path: Path) -> Scenario:
    """Reads a file. Raises `ScenarioRefused` listing every error, `OSError` when it cannot be read."""
    return scenario_from(toml_document(path), where=str(path))


def toml_document(path: Path) -> Mapping[str, Any]:
    """Raises `ScenarioRefused` where it is no TOML, `OSError` when it cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ScenarioRefused(f"{path}: not TOML: {error}") from error


def scenario_from(document: Mapping[str, Any], *, where: str = "scenario") -> Scenario:
    """A parsed TOML document to a `Scenario`. Raises `ScenarioRefused` listing every error."""
    reader = _Reader()
    scenario = reader.scenario(document)
    refuse_errors(where, reader.errors or scenario.problems())
    return scenario


def refuse_errors(where: str, errors: Sequence[str]) -> None:
    """Raises `ScenarioRefused` listing every one, if there are any."""
    if errors:
        raise ScenarioRefused("\n".join(f"{where}: {error}" for error in errors))


class _Reader:
    """Collects every error instead of stopping at the first."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    def scenario(self, document: Mapping[str, Any]) -> Scenario:
        given = Table(self, "", document)
        seed = given.whole("seed", 0)
        pauses = given.numbers("pauses")
        lanes = [self.lane(name, table) for name, table in given.named_tables("lanes")]
        vehicles = [self.vehicle(table) for table in given.tables("vehicles")]
        faults = [self.fault(table) for table in given.tables("faults")]
        happenings = [self.happening(table) for table in given.tables("happenings")]
        given.nothing_else()
        return Scenario(
            seed=seed,
            lanes=tuple(lanes),
            vehicles=tuple(vehicles),
            faults=tuple(faults),
            happenings=tuple(happenings),
            pauses=pauses,
        )

    def lane(self, name: str, given: Table) -> LaneSettings:
        plain = LaneSettings(name=name)
        barrier_table = given.table("barrier")
        barrier = self._barrier(barrier_table) if barrier_table is not None else plain.barrier
        transport = given.choice("transport", plain.transport, ("pty", "socket"))
        kinds: dict[str, FixedCameraKind] = {
            "none": "none",
            "http": "http",
            "rtsp": "rtsp",
            "folder": "folder",
        }
        cameras: dict[str, CameraKind] = {
            "vzenith": "vzenith",
            "hikvision": "hikvision",
            "hikvision_stream": "hikvision_stream",
            "dahua": "dahua",
        }
        camera = given.choice("camera", plain.camera, tuple(cameras))
        fixed_camera = given.choice("fixed_camera", plain.fixed_camera, tuple(kinds))
        weighbridge = given.choice("weighbridge", plain.weighbridge, WEIGHBRIDGES)
        rfid = given.choice("rfid", plain.rfid, TAG_READERS)
        card_reader = given.maybe_choice("card_reader", CARD_READERS)
        scanner = given.choice("scanner", plain.scanner, SCANNERS)
        led = given.choice("led", plain.led, BOARDS)
        relay_style = given.choice("io_relay_style", plain.io_relay_style, RELAY_STYLES)
        framing = given.choice("io_framing", plain.io_framing, FRAMINGS)
        styles: dict[str, Style] = {str(each): each for each in STYLES}
        style = given.choice("platform", "none", ("none", *STYLES))
        directions: dict[str, Literal["I", "E"]] = {"I": "I", "E": "E"}
        direction = given.choice("platform_direction", plain.platform_direction, tuple(directions))
        lane = LaneSettings(
            name=name,
            weighbridge=next(each for each in WEIGHBRIDGES if each == weighbridge),
            division_kg=given.whole("division_kg", plain.division_kg),
            capacity_kg=given.whole("capacity_kg", plain.capacity_kg),
            zero_kg=given.number("zero_kg", plain.zero_kg),
            io_unit=given.whole("io_unit", plain.io_unit),
            io_relay_unit=given.whole("io_relay_unit", plain.io_relay_unit),
            io_relay_style=next(each for each in RELAY_STYLES if each == relay_style),
            io_framing=next(each for each in FRAMINGS if each == framing),
            io_uploads=given.flag("io_uploads", plain.io_uploads),
            rfid=next((each for each in TAG_READERS if each == rfid), plain.rfid),
            rfid_address=given.maybe_whole("rfid_address"),
            rfid_active=given.flag("rfid_active", plain.rfid_active),
            hears_neighbour=given.maybe_text("hears_neighbour"),
            card_reader=next((each for each in CARD_READERS if each == card_reader), None),
            scanner=next(each for each in SCANNERS if each == scanner),
            scanner_triggered=given.flag("scanner_triggered", plain.scanner_triggered),
            scanner_aim=given.flag("scanner_aim", plain.scanner_aim),
            led=next(each for each in BOARDS if each == led),
            camera_listener=given.maybe_text("camera_listener"),
            camera=cameras.get(camera, "vzenith"),
            camera_port=given.whole("camera_port", plain.camera_port),
            camera_user=given.text("camera_user", plain.camera_user),
            camera_password=given.text("camera_password", plain.camera_password),
            container_listener=given.maybe_text("container_listener"),
            camera_heartbeat_s=given.number("camera_heartbeat_s", plain.camera_heartbeat_s),
            camera_comet=given.flag("camera_comet", plain.camera_comet),
            fixed_camera=kinds.get(fixed_camera, "none"),
            fixed_camera_port=given.whole("fixed_camera_port", plain.fixed_camera_port),
            transport="socket" if transport == "socket" else "pty",
            barrier=barrier,
            platform=styles.get(style),
            platform_answers=given.texts("platform_answers") or plain.platform_answers,
            platform_late_s=given.number("platform_late_s", plain.platform_late_s),
            platform_heartbeat_s=given.number("platform_heartbeat_s", plain.platform_heartbeat_s),
            platform_bare_xml=given.flag("platform_bare_xml", plain.platform_bare_xml),
            platform_area_id=given.text("platform_area_id", plain.platform_area_id),
            platform_channel_no=given.text("platform_channel_no", plain.platform_channel_no),
            platform_direction=directions.get(direction, "I"),
            platform_port=given.whole("platform_port", plain.platform_port),
            platform_listener=given.maybe_text("platform_listener"),
        )
        given.nothing_else()
        return lane

    def _barrier(self, given: Table) -> BarrierSettings:
        plain = BarrierSettings()
        barrier = BarrierSettings(
            raise_s=given.number("raise_s", plain.raise_s, above=0.0),
            lower_s=given.number("lower_s", plain.lower_s, above=0.0),
            auto_close=given.flag("auto_close", plain.auto_close),
            auto_close_after_s=given.number("auto_close_after_s", plain.auto_close_after_s),
            power_fail_lifts=given.flag("power_fail_lifts", plain.power_fail_lifts),
            spring_s=given.number("spring_s", plain.spring_s, above=0.0),
        )
        given.nothing_else()
        return barrier

    def vehicle(self, given: Table) -> Vehicle:
        trailer_table = given.table("trailer")
        trailer = None
        if trailer_table is not None:
            trailer = Trailer(
                gap_m=trailer_table.number("gap_m", 2.0, above=0.0),
                length_m=trailer_table.number("length_m", 6.0, above=0.0),
            )
            trailer_table.nothing_else()
        vehicle = Vehicle(
            id=given.text("id"),
            lane=given.text("lane"),
            arrives_s=given.number("arrives_s", None),
            plate=given.maybe_text("plate"),
            tag=given.maybe_text("tag"),
            tare_kg=given.whole("tare_kg", 14_000),
            gross_kg=given.whole("gross_kg", 14_000),
            axles=given.whole("axles", 3),
            length_m=given.number("length_m", 12.0),
            trailer=trailer,
            containers=given.texts("containers"),
            slip_codes=given.texts("slip_codes"),
            slip_aim=given.text("slip_aim", "]C0"),
            card=given.maybe_text("card"),
            behaviour=self._behaviour(given),
        )
        given.nothing_else()
        return vehicle

    def _behaviour(self, given: Table) -> Behaviour:
        value = given.take("behaviour", "normal")
        if isinstance(value, str):
            if value in PRESETS:
                return PRESETS[value]
            given.expected("behaviour", f"one of {', '.join(PRESETS)} or a table", value)
            return NORMAL
        if not isinstance(value, dict):
            given.expected("behaviour", "a name or a table", value)
            return NORMAL
        table = Table(self, given.at("behaviour"), value)
        base = table.choice("like", "normal", tuple(PRESETS))
        changes: dict[str, Any] = {}
        for each in fields(Behaviour):
            if each.name not in value:
                continue
            if each.name == "tailgates" or each.name == "reverses_when_released":
                changes[each.name] = table.flag(each.name, False)
            elif each.name == "slip_rounds":
                changes[each.name] = table.whole(each.name, 3)
            else:
                changes[each.name] = table.number(each.name, 0.0)
        table.nothing_else()
        return replace(PRESETS[base], **changes)

    def fault(self, given: Table) -> FaultPlan:
        kind = given.choice("kind", None, tuple(FaultKind))
        fault = Fault(
            kind=FaultKind(kind or "silence"),
            rate=given.maybe_number("rate"),
            delay_s=given.number("delay_s", 0.5),
            plate=given.text("plate", ""),
            input=given.text("input", ""),
            kg=given.maybe_number("kg"),
        )
        vehicle = given.maybe_text("vehicle")
        plan = FaultPlan(
            lane=given.text("lane"),
            device=given.text("device"),
            fault=fault,
            at_s=given.number("at_s", 0.0 if vehicle is not None else None),
            for_s=given.maybe_number("for_s"),
            vehicle=vehicle,
        )
        given.nothing_else()
        return plan

    def happening(self, given: Table) -> Happening:
        kind = given.choice("kind", None, tuple(HappeningKind))
        when_closed_s = given.maybe_number("when_closed_s")
        happening = Happening(
            lane=given.text("lane"),
            kind=HappeningKind(kind or "reset_key"),
            at_s=given.number("at_s", 0.0 if when_closed_s is not None else None),
            for_s=given.maybe_number("for_s"),
            when_closed_s=when_closed_s,
            text=given.text("text", ""),
            aim=given.text("aim", "]Q1"),
        )
        given.nothing_else()
        return happening


class Collects(Protocol):
    """Who is told of every error."""

    errors: list[str]


class Table:
    """One TOML table, read key by key; what was not asked for is an error at the end."""

    def __init__(self, reader: Collects, path: str, values: Mapping[str, Any]) -> None:
        self._reader = reader
        self._path = path
        self._values = dict(values)

    def at(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key

    def expected(self, key: str, what: str, got: object) -> None:
        self._reader.errors.append(f"{self.at(key)}: expected {what}, got {got!r}")

    def take(self, key: str, default: Any = None) -> Any:
        return self._values.pop(key, default)

    def nothing_else(self) -> None:
        for key in self._values:
            self._reader.errors.append(f"{self.at(key)}: unknown key")

    def text(self, key: str, default: str | None = None) -> str:
        value = self.take(key, default)
        if isinstance(value, str):
            return value
        self.expected(key, "text", value)
        return ""

    def maybe_text(self, key: str) -> str | None:
        return self.text(key) if key in self._values else None

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.take(key, [])
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            return tuple(value)
        self.expected(key, "a list of texts", value)
        return ()

    def flag(self, key: str, default: bool) -> bool:
        value = self.take(key, default)
        if isinstance(value, bool):
            return value
        self.expected(key, "true or false", value)
        return default

    def whole(self, key: str, default: int) -> int:
        value = self.take(key, default)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        self.expected(key, "a whole number", value)
        return default

    def maybe_whole(self, key: str) -> int | None:
        return self.whole(key, 0) if key in self._values else None

    def number(self, key: str, default: float | None, *, above: float | None = None) -> float:
        value = self.take(key, default)
        good = isinstance(value, int | float) and not isinstance(value, bool)
        if (
            good
            and (above is None or value > above)
            and (above is not None or value >= 0 or key in ("zero_kg", "kg", "behind_mm"))
        ):
            return float(value)
        self.expected(key, "a number of 0 or more" if above is None else f"a number above {above:g}", value)
        return 1.0 if default is None else default

    def maybe_number(self, key: str) -> float | None:
        return self.number(key, 0.0) if key in self._values else None

    def numbers(self, key: str) -> tuple[float, ...]:
        value = self.take(key, [])
        if isinstance(value, list) and all(isinstance(each, int | float) for each in value):
            return tuple(float(each) for each in value)
        self.expected(key, "a list of numbers", value)
        return ()

    def choice(self, key: str, default: str | None, among: Sequence[str]) -> str:
        value = self.take(key, default)
        if isinstance(value, str) and value in among:
            return value
        self.expected(key, f"one of {', '.join(among)}", value)
        return default or ""

    def maybe_choice(self, key: str, among: Sequence[str]) -> str | None:
        return self.choice(key, None, among) if key in self._values else None

    def table(self, key: str) -> Table | None:
        if key not in self._values:
            return None
        value = self.take(key)
        if isinstance(value, dict):
            return Table(self._reader, self.at(key), value)
        self.expected(key, "a table", value)
        return None

    def tables(self, key: str) -> list[Table]:
        value = self.take(key, [])
        if isinstance(value, list) and all(isinstance(each, dict) for each in value):
            return [Table(self._reader, f"{self.at(key)}[{index}]", each) for index, each in enumerate(value)]
        self.expected(key, f"a list of tables [[{key}]]", value)
        return []

    def named_tables(self, key: str) -> list[tuple[str, Table]]:
        value = self.take(key, {})
        if isinstance(value, dict) and all(isinstance(each, dict) for each in value.values()):
            return [
                (name, Table(self._reader, f"{self.at(key)}.{name}", each)) for name, each in value.items()
            ]
        self.expected(key, f"tables [{key}.NAME]", value)
        return []


# --- writing ---


def scenario_to_toml(scenario: Scenario) -> str:
    """The file `read_scenario` reads back to an equal value."""
    lines = [f"seed = {scenario.seed}"]
    if scenario.pauses:
        lines.append(f"pauses = {toml_value(list(scenario.pauses))}")
    for lane in scenario.lanes:
        lines += ["", f"[lanes.{_key(lane.name)}]"]
        lines += _changed(lane, LaneSettings(name=lane.name), skip=("name", "barrier"))
        changed = _changed(lane.barrier, BarrierSettings())
        if changed:
            lines += [f"barrier = {{ {', '.join(changed)} }}"]
    for vehicle in scenario.vehicles:
        lines += ["", "[[vehicles]]"]
        plain = Vehicle(id="", lane="", arrives_s=-1.0, plate=None)
        lines += _changed(vehicle, plain, skip=("trailer", "behaviour"))
        if vehicle.trailer is not None:
            lines.append(
                f"trailer = {{ gap_m = {vehicle.trailer.gap_m}, length_m = {vehicle.trailer.length_m} }}"
            )
        behaviour = _behaviour_toml(vehicle.behaviour)
        if behaviour:
            lines.append(f"behaviour = {behaviour}")
    for plan in scenario.faults:
        lines += ["", "[[faults]]", f"lane = {toml_value(plan.lane)}", f"device = {toml_value(plan.device)}"]
        lines.append(f"kind = {toml_value(plan.fault.kind.value)}")
        lines += _changed(plan.fault, Fault(kind=plan.fault.kind))
        lines += _changed(
            plan, FaultPlan(lane="", device="", fault=plan.fault, at_s=-1.0), skip=("lane", "device")
        )
    for happening in scenario.happenings:
        lines += ["", "[[happenings]]", f"kind = {toml_value(happening.kind.value)}"]
        plain_happening = Happening(lane="", kind=happening.kind, at_s=-1.0)
        lines += _changed(happening, plain_happening)
    return "\n".join(lines) + "\n"


def _behaviour_toml(behaviour: Behaviour) -> str:
    if behaviour == NORMAL:
        return ""
    for name, preset in PRESETS.items():
        if behaviour == preset:
            return toml_value(name)
    return "{ " + ", ".join(_changed(behaviour, NORMAL)) + " }"


def _changed(value: Any, plain: Any, skip: tuple[str, ...] = ()) -> list[str]:
    lines = []
    for each in fields(value):
        now = getattr(value, each.name)
        if each.name not in skip and now != getattr(plain, each.name):
            lines.append(f"{each.name} = {toml_value(now)}")
    return lines


def _key(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else toml_value(name)


def toml_value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in escaped) + '"'
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml_value(each) for each in value) + "]"
    return repr(value)


# --- making ---

_PROVINCES = "豫沪苏浙皖鲁粤京津冀"
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"


def random_plate(draw: random.Random) -> str:
    return (
        draw.choice(_PROVINCES)
        + draw.choice(_LETTERS)
        + "".join(draw.choice("0123456789" if draw.random() < 0.8 else _LETTERS) for _ in range(5))
    )


def random_vehicle(draw: random.Random, *, number: int, lane: str, arrives_s: float) -> Vehicle:
    """A plausible truck: van, rigid, tractor with semi-trailer, or truck with drawbar trailer."""
    kind = draw.choices(("van", "rigid", "semi", "drawbar"), (2, 4, 5, 1))[0]
    length, axles, tare = {
        "van": (draw.uniform(6.0, 7.5), 2, draw.randint(2_600, 4_200)),
        "rigid": (draw.uniform(8.0, 12.0), draw.choice((2, 3)), draw.randint(6_500, 11_000)),
        "semi": (draw.uniform(13.5, 17.0), draw.choice((5, 6)), draw.randint(13_500, 17_500)),
        "drawbar": (draw.uniform(15.5, 17.0), draw.choice((4, 5)), draw.randint(12_000, 16_000)),
    }[kind]
    load = 0 if draw.random() < 0.2 else draw.randint(tare // 4, tare * 3 // 2)
    trailer = Trailer(gap_m=round(draw.uniform(1.5, 3.4), 1), length_m=6.0) if kind == "drawbar" else None
    return Vehicle(
        id=f"v{number:03d}",
        lane=lane,
        arrives_s=round(arrives_s, 1),
        plate=random_plate(draw),
        tag="E280" + draw.randbytes(10).hex().upper(),
        tare_kg=tare // 20 * 20,
        gross_kg=(tare + load) // 20 * 20,
        axles=axles,
        length_m=round(length, 1),
        trailer=trailer,
    )


def random_scenario(
    seed: int,
    vehicles: int,
    lanes: Sequence[str] = ("in", "out"),
    *,
    mean_gap_s: float = 45.0,
    odd_share: float = 0.25,
    faults: int = 0,
    happenings: int = 0,
    change: Callable[[Vehicle, random.Random], Vehicle] = lambda vehicle, draw: vehicle,
) -> Scenario:
    """Plausible traffic: the same arguments give the same scenario.

    `mean_gap_s` is the mean time between arrivals at one lane; `odd_share` of the drivers do not behave
    normally; `faults` and `happenings` are that many of each. `change` may alter each vehicle.
    """
    draw = random.Random(f"{seed}/scenario")
    times = dict.fromkeys(lanes, 2.0)
    made: list[Vehicle] = []
    odd = [name for name in PRESETS if name != "normal"]
    for number in range(1, vehicles + 1):
        lane = min(lanes, key=lambda each: times[each]) if draw.random() < 0.7 else draw.choice(list(lanes))
        vehicle = random_vehicle(draw, number=number, lane=lane, arrives_s=times[lane])
        if draw.random() < odd_share:
            name = draw.choice(odd)
            vehicle = replace(vehicle, behaviour=PRESETS[name])
        made.append(change(vehicle, draw))
        times[lane] += draw.uniform(0.3, 1.7) * mean_gap_s
    last = max(times.values())
    plans = [_random_fault(draw, lanes, last) for _ in range(faults)]
    events = [_random_happening(draw, lanes, last) for _ in range(happenings)]
    keys = [Happening(lane=lane, kind=HappeningKind.RESET_KEY, when_closed_s=15.0) for lane in lanes]
    return Scenario(
        seed=seed,
        lanes=tuple(LaneSettings(name=lane) for lane in lanes),
        vehicles=tuple(made),
        faults=tuple(plans),
        happenings=tuple(events + keys),
    )


def _random_fault(draw: random.Random, lanes: Sequence[str], last_s: float) -> FaultPlan:
    device = draw.choice(list(FAULTS_OF))
    kind = draw.choice(sorted(FAULTS_OF[device]))
    rate = {FaultKind.FLIP: draw.uniform(0.005, 0.1), FaultKind.CUT: draw.uniform(0.2, 1.0)}.get(kind)
    fault = Fault(
        kind=kind,
        rate=round(rate, 3) if rate is not None else None,
        delay_s=round(draw.uniform(0.1, 2.0), 1),
        input=draw.choice(INPUTS) if kind is FaultKind.BROKEN_WIRE else "",
    )
    at_s, for_s = round(draw.uniform(0, last_s), 1), round(draw.uniform(2, 40), 1)
    return FaultPlan(lane=draw.choice(list(lanes)), device=device, fault=fault, at_s=at_s, for_s=for_s)


def _random_happening(draw: random.Random, lanes: Sequence[str], last_s: float) -> Happening:
    kinds = (HappeningKind.FIRE, HappeningKind.POWER_FAIL, HappeningKind.STOP, HappeningKind.HAND_RAISE)
    kind = draw.choice(kinds)
    lasts = None if kind is HappeningKind.HAND_RAISE else round(draw.uniform(2, 20), 1)
    return Happening(
        lane=draw.choice(list(lanes)), kind=kind, at_s=round(draw.uniform(0, last_s), 1), for_s=lasts
    )
