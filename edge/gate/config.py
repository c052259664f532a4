"""What a lane's TOML file may say: one strict reading, everything checked before anything opens."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from edge.devices.catalogue import driver_maker
from edge.devices.io_modbus.wire import longest_pulse_s
from edge.devices.readings import Order, Reading
from edge.devices.settings import SettingsRefused
from edge.gate.events import RELAYS, Inputs
from edge.gate.lane import LaneSettings, Needs, PlatformAddress
from edge.gate.pictures_config import CameraPart, PicturesPart, camera_errors
from edge.gate.rules import LaneRules
from edge.gate.speaking import VoicePart
from edge.linking import ClockPart, SpotCheckPart, SyncPart, sync_errors
from edge.runtime.channels import ListenAddress, SerialAddress
from edge.runtime.config_reading import ConfigError, ConfigRefused, read_config
from edge.runtime.supervisor import BackOff, Device
from sync.vocabulary.records import Direction

Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400)]
Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,39}$")]

INPUT_NAMES = (
    "arrival_loop",
    "arm_loop",
    "photocell",
    "limit_down",
    "limit_up",
    "stop",
    "fire",
    "mains",
    "reset_key",
    "scale_infrared",
)


DeviceName = Literal[
    "io",
    "weighbridge",
    "plate_camera",
    "plate_camera_rear",
    "rfid",
    "card_reader",
    "scanner",
    "container_camera",
    "container_camera_rear",
    "board",
    "platform",
    "platform_back",
]
"""`platform` is the customs platform we call, `platform_back` where it calls back."""


class LanePart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which lane this is, and what it insists on."""

    id: Name
    """Also the device's name towards the centre."""
    site: Name
    direction: Literal["in", "out"]
    lowering: Literal["request", "controller"] = "request"
    """Who lowers the arm behind a vehicle: we ask for it, or the barrier controller does it alone."""
    empty_needs_slip: bool = False
    """False: a registered vehicle at its tare weight passes without a slip (空车)."""


class TimingPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Time limits; each ends in a hold, an alarm or a fact, never in silence (S9)."""

    io_stale_s: Seconds = 0.6
    """Inputs older than this are unknown (S2)."""
    reading_s: Seconds = 25.0
    """From the last evidence to a ruling on what there is."""
    second_identity_s: Seconds = 4.0
    """How long plate or tag waits for the other."""
    claim_timeout_s: Seconds = 3.0
    """Without an answer of the hub the site's offline policy decides (S4)."""
    arm_move_s: Seconds = 6.0
    """An arm that has not reached its limit switch by then is faulty."""
    clear_s: Seconds = 0.8
    """Loop and beam under the arm must be free for so long before the arm is asked down."""
    passing_s: Seconds = 60.0
    hold_s: Seconds = 120.0
    gone_s: Seconds = 2.0
    """Nobody on loop and scale for so long: backed out."""
    gone_blind_s: Seconds = 10.0
    """The same when the scale is silent."""
    journal_retry_s: Seconds = 5.0
    again_s: Seconds = 15.0
    """A hold that records or the link can cure is looked at again so often."""
    resume_s: Seconds = 30.0
    """After a shorter stop an interrupted passage may resume (S6). Shorter than any vehicle takes to come
    round to the lane again, plate and tag and all."""
    zero_s: Seconds = 20.0
    """An empty scale that does not show zero for so long is an alarm."""
    trailer_gap_s: Seconds = 1.2
    """Longest gap between a truck and its registered drawbar trailer under the beam (S3)."""


class WeighingPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a weight is one. Stability is judged here, from raw frames."""

    presence_kg: Annotated[int, msgspec.Meta(gt=0)] = 500
    steady_window_s: Seconds = 1.0
    steady_range_kg: Annotated[int, msgspec.Meta(ge=0)] = 40
    steady_frames: Annotated[int, msgspec.Meta(ge=2, le=60)] = 5
    steady_equal: Annotated[int, msgspec.Meta(ge=1, le=60)] = 3
    """So many frames must agree exactly: one check sum of this trade cannot see swapped digits."""
    jump_kg: Annotated[int, msgspec.Meta(gt=0)] = 200
    """A steady weight that becomes another so far away while all wheels are on: tampering, held. Only where
    `scale_infrared` is wired: nothing else tells that all wheels are on."""
    zero_kg: Annotated[int, msgspec.Meta(gt=0)] = 100


class IdentityPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    neighbour_db: Annotated[int, msgspec.Meta(ge=1, le=60)] = 10
    """A tag so much weaker than the strongest stands in the next lane, where the reader tells strength."""
    least_dbm: Annotated[int, msgspec.Meta(ge=-120, le=0)] | None = None
    """A tag weaker than this stands in the next lane, also where no other is heard: what stands here may have
    none. Left out: strength alone never turns a tag away. Measure it with an empty lane and one beside it."""


class DevicePart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One device: what it speaks, where it is, how badly it is needed."""

    protocol: str
    """As `kakou frames` names it, such as `weighbridge.yaohua_tf0`."""
    role: Literal["required", "substitutable", "optional"] = "required"
    substitutes: tuple[str, ...] = ()
    """With `substitutable`: any one of these devices will do instead."""
    serial: SerialAddress | None = None
    """A line we open. Exactly one of `serial` and `listen`."""
    listen: ListenAddress | None = None
    """Where we wait for a device that calls us."""
    silent_after_s: Seconds | None = None
    """Without a valid reading for so long it is silent; leave out for what speaks only when it must."""
    settings: dict[str, Any] = {}
    """Of the protocol's driver; see the device's page."""


class InputPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a signal is wired, and which level means it."""

    input: Annotated[int, msgspec.Meta(ge=0, le=63)]
    active: Literal["high", "low"]
    """`low`: the signal is given when the input reads False. Wire everything that protects somebody so that a
    broken wire gives it."""


class RelaysPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which relay does what; pulses are ended by the board itself."""

    open: Annotated[int, msgspec.Meta(ge=0, le=63)]
    close: Annotated[int, msgspec.Meta(ge=0, le=63)] | None = None
    """Needed with `lowering = "request"`; otherwise asked only for an arm raised for nobody."""
    green: Annotated[int, msgspec.Meta(ge=0, le=63)] | None = None
    green_pulse_s: Annotated[float, msgspec.Meta(ge=0.5, le=600.0)] = 5.0
    """Green is a pulse that the board ends, renewed while it is meant: a dead program lets it fall."""
    green_renew_s: Seconds = 2.0
    red: Annotated[int, msgspec.Meta(ge=0, le=63)] | None = None
    pulse_s: Annotated[float, msgspec.Meta(ge=0.1, le=5.0)] = 0.5


class StorePart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Journal and records of this lane."""

    folder: Path
    reserve_mb: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 64
    """Free disk below this: the lane holds and says so (G8)."""
    keep_acknowledged_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] = 30


class LogPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    level: Literal["debug", "info", "warning", "error"] = "info"
    recording: Path | None = None
    """Write everything the lane was told, and what it asked for, to this file, for `kakou replay`."""
    recording_scrub: bool = True
    """True: plates, tags, slips, cards, containers and officers are recorded by stand-ins of the same shape,
    made with the key `recording.key` of the store's folder."""
    recording_mb: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 64
    """At this size the recording becomes `<name>.1`, replacing an older one, and a new one goes on."""


class PagePart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page that shows this lane, for a screen at the lane. It can be looked at, and nothing else."""

    enabled: bool = False
    host: str = "127.0.0.1"
    """The address to listen on. Anything but this machine shows plates and pictures to that network,
    unencrypted, to whoever asks."""
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8078
    """0: any free one (for trying out; the log says which)."""


class GateConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One lane."""

    lane: LanePart
    devices: dict[DeviceName, DevicePart]
    inputs: dict[str, InputPart]
    """By signal name."""
    relays: RelaysPart
    sync: SyncPart
    store: StorePart
    timing: TimingPart = TimingPart()
    weighing: WeighingPart = WeighingPart()
    identity: IdentityPart = IdentityPart()
    cameras: dict[Name, CameraPart] = {}
    """Fixed cameras, by name."""
    pictures: PicturesPart = PicturesPart()
    voice: VoicePart | None = None
    """A table here, if only an empty one, makes the lane PC speak what the board shows."""
    spot_check: SpotCheckPart | None = None
    clock: ClockPart = ClockPart()
    log: LogPart = LogPart()
    page: PagePart = PagePart()
    back_off: BackOff = BackOff()


@dataclass(frozen=True, slots=True)
class Wires:
    """Signal name -> (input number, level that means it)."""

    signals: dict[str, tuple[int, bool]]

    def read(self, values: tuple[bool, ...]) -> Inputs:
        """Levels as wired -> what they mean; a signal not wired is unknown, or harmless where it may be."""

        def signal(name: str, unwired: bool | None = None) -> bool | None:
            wire = self.signals.get(name)
            if wire is None:
                return unwired
            number, active_high = wire
            return values[number] == active_high if number < len(values) else None

        return Inputs(
            arrival=signal("arrival_loop"),
            arm_loop=signal("arm_loop"),
            photocell=signal("photocell"),
            limit_down=signal("limit_down"),
            limit_up=signal("limit_up"),
            stop=signal("stop"),
            fire=signal("fire"),
            mains=signal("mains", unwired=True),
            reset_key=signal("reset_key", unwired=False),
            fully_on=signal("scale_infrared", unwired=True),
        )


PICTURES_BELOW_RESERVE_MB = 16
"""So much before the journal's reserve pictures end: two of the longest."""
LONGEST_SILENCE_S = 3.0
"""An I/O board that is silent for longer leaves a falling arm unwatched (S2)."""

_MUST_BE_WIRED = ("arrival_loop", "arm_loop", "photocell", "limit_down", "limit_up", "stop", "fire")


def read_gate_config(path: Path) -> GateConfig:
    """Raises `ConfigRefused` with every error: of shape, and of what must fit together."""
    config = read_config(path, GateConfig)
    errors = [*_device_errors(config), *_wire_errors(config)]
    if config.lane.lowering == "request" and config.relays.close is None:
        errors.append(ConfigError("relays.close", 'a relay number is needed with lane.lowering = "request"'))
    errors += _relay_errors(config)
    errors += camera_errors(config.cameras, config.pictures, taken=config.devices)
    if config.pictures.keep_free_mb < config.store.reserve_mb + PICTURES_BELOW_RESERVE_MB:
        expected = f"at least store.reserve_mb + {PICTURES_BELOW_RESERVE_MB}"
        problem = f"expected {expected}: the lane would hold before a picture is refused (G8)"
        errors.append(ConfigError("pictures.keep_free_mb", problem))
    longest_s = _longest_pulse_s(config)
    if max(config.relays.green_pulse_s, config.relays.pulse_s) > longest_s:
        errors.append(ConfigError("relays.green_pulse_s", f"expected at most {longest_s:g} s of this board"))
    if config.relays.green_renew_s * 2 > config.relays.green_pulse_s:
        errors.append(ConfigError("relays.green_renew_s", "expected at most half of green_pulse_s"))
    errors += sync_errors(config.sync)
    errors += [
        ConfigError(f"devices.{name}", "expected a table: no lane works without it")
        for name in ("io", "weighbridge")
        if name not in config.devices
    ]
    if not {"plate_camera", "rfid"} & set(config.devices):
        errors.append(ConfigError("devices", "expected plate_camera or rfid, to identify vehicles"))
    if errors:
        raise ConfigRefused(path, tuple(errors))
    return config


def _longest_pulse_s(config: GateConfig) -> float:
    """What the board can end by itself; its makes differ."""
    io = config.devices.get("io")
    style = str(io.settings.get("relay_style", "waveshare")) if io is not None else "waveshare"
    return longest_pulse_s("r421a08" if style == "r421a08" else "waveshare")


def _relay_errors(config: GateConfig) -> list[ConfigError]:
    errors: list[ConfigError] = []
    names: dict[int, str] = {}
    relays = config.relays
    for name, number in (
        ("open", relays.open), ("close", relays.close), ("green", relays.green), ("red", relays.red),
    ):  # fmt: skip
        if number is None:
            continue
        if number in names:
            errors.append(ConfigError(f"relays.{name}", f"relay {number} is {names[number]} already"))
        names[number] = name
    return errors


def _device_errors(config: GateConfig) -> list[ConfigError]:
    errors: list[ConfigError] = []
    for name, device in config.devices.items():
        where = f"devices.{name}"
        if (device.serial is None) == (device.listen is None):
            errors.append(ConfigError(where, "expected exactly one of `serial` and `listen`"))
        if device.role != "substitutable" and device.substitutes:
            errors.append(ConfigError(f"{where}.substitutes", 'only with role = "substitutable"'))
        if name == "io" and device.role != "required":
            errors.append(ConfigError(f"{where}.role", 'expected "required": nothing stands in for it (S2)'))
        if name == "io" and (device.silent_after_s or 0) > LONGEST_SILENCE_S:
            expected = (
                f"expected at most {LONGEST_SILENCE_S:g} s: until then nobody sees what is under the arm"
            )
            errors.append(ConfigError(f"{where}.silent_after_s", expected))
        if name == "io" and device.silent_after_s is None:
            errors.append(ConfigError(f"{where}.silent_after_s", "expected seconds: its silence is unknown"))
        if device.role == "substitutable" and not device.substitutes:
            errors.append(ConfigError(f"{where}.substitutes", "expected the devices that may stand in"))
        errors += [
            ConfigError(f"{where}.substitutes", f"no such device: {other}")
            for other in device.substitutes
            if other not in config.devices
        ]
        try:
            driver_maker(device.protocol, device.settings, f"{where}.settings")
        except SettingsRefused as refused:
            errors += [ConfigError(e.path, f"expected {e.expected}, got {e.got}") for e in refused.errors]
    return errors


def _wire_errors(config: GateConfig) -> list[ConfigError]:
    errors = [
        ConfigError(f"inputs.{name}", f"unknown signal; there are {', '.join(INPUT_NAMES)}")
        for name in config.inputs
        if name not in INPUT_NAMES
    ]
    errors += [
        ConfigError(f"inputs.{name}", "must be wired") for name in _MUST_BE_WIRED if name not in config.inputs
    ]
    numbers: dict[int, str] = {}
    for name, wire in config.inputs.items():
        if wire.input in numbers:
            errors.append(
                ConfigError(f"inputs.{name}", f"input {wire.input} is {numbers[wire.input]} already")
            )
        numbers[wire.input] = name
    return errors


def device_of(name: str, part: DevicePart) -> Device[Reading, Order]:
    address: SerialAddress | ListenAddress | None = part.serial if part.serial is not None else part.listen
    if address is None:
        raise ValueError(f"devices.{name}: neither serial nor listen")
    return Device(name, address, driver_maker(part.protocol, part.settings), part.silent_after_s)


def wires(config: GateConfig) -> Wires:
    return Wires({name: (wire.input, wire.active == "high") for name, wire in config.inputs.items()})


def lane_settings(
    config: GateConfig, *, version: str, digest: str, boot_id: str, run: str, key_id: str = ""
) -> LaneSettings:
    timing, weighing = config.timing, config.weighing
    return LaneSettings(
        lane_id=config.lane.id,
        rules=LaneRules(
            direction=Direction.IN if config.lane.direction == "in" else Direction.OUT,
            empty_needs_slip=config.lane.empty_needs_slip,
            lane_id=config.lane.id,
            reads_containers=bool({"container_camera", "container_camera_rear"} & set(config.devices)),
        ),
        devices={
            **{
                name: Needs(device.role == "required", device.substitutes)
                for name, device in config.devices.items()
            },
            # Without its relays a lane raises nothing: nobody is ruled on who could not be let through (S9).
            **({RELAYS: Needs(True)} if _has_relay_board(config) else {}),
        },
        version=version,
        config_digest=digest,
        boot_id=boot_id,
        run=run,
        key_id=key_id,
        lowering_on_request=config.lane.lowering == "request",
        can_lower=config.relays.close is not None,
        io_stale_s=timing.io_stale_s,
        reading_s=timing.reading_s,
        second_identity_s=timing.second_identity_s,
        claim_timeout_s=timing.claim_timeout_s,
        arm_move_s=timing.arm_move_s,
        clear_s=timing.clear_s,
        passing_s=timing.passing_s,
        hold_s=timing.hold_s,
        gone_s=timing.gone_s,
        gone_blind_s=timing.gone_blind_s,
        journal_retry_s=timing.journal_retry_s,
        again_s=timing.again_s,
        resume_s=timing.resume_s,
        trailer_gap_s=timing.trailer_gap_s,
        presence_kg=Decimal(weighing.presence_kg),
        steady_window_s=weighing.steady_window_s,
        steady_range_kg=Decimal(weighing.steady_range_kg),
        steady_frames=weighing.steady_frames,
        steady_equal=weighing.steady_equal,
        jump_kg=Decimal(weighing.jump_kg) if "scale_infrared" in config.inputs else None,
        zero_kg=Decimal(weighing.zero_kg),
        zero_s=timing.zero_s,
        neighbour_db=config.identity.neighbour_db,
        least_dbm=config.identity.least_dbm,
        platform=_platform_address(config),
        cameras=tuple(config.cameras),
    )


def _has_relay_board(config: GateConfig) -> bool:
    """The relays are a board of their own, and it is asked whether it is there."""
    settings = config.devices["io"].settings
    own = settings.get("relay_unit_id", 0) not in (0, settings.get("unit_id", 1))
    return own and settings.get("relay_check_s", 1.0) > 0


def _platform_address(config: GateConfig) -> PlatformAddress | None:
    """What the platform calls this lane, from the settings of the device that speaks with it."""
    part = config.devices.get("platform")
    if part is None:
        return None
    area_id, channel_no = (str(part.settings.get(key, "")) for key in ("area_id", "channel_no"))
    return PlatformAddress(area_id, channel_no, "I" if config.lane.direction == "in" else "E")
