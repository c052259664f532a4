"""What stands in a lane of the world: makes by name, dealt so that two hundred seeds meet every protocol.

Every choice is given twice, once as the product's config says it and once as the simulators call it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from edge.gate.config import DeviceName, DevicePart, GateConfig
from edge.runtime.channels import ListenAddress, SerialAddress
from hardware_sims.barrier import BarrierSettings
from hardware_sims.devices.card_reader import KINDS as CARD_READERS
from hardware_sims.devices.card_reader import Kind as CardReaderKind
from hardware_sims.devices.customs_platform import ANSWERS, STYLES, Style
from hardware_sims.devices.weighbridge import PROTOCOLS as WEIGHBRIDGES
from hardware_sims.devices.weighbridge import Protocol as WeighbridgeProtocol
from hardware_sims.scenario import SCANNERS, BoardKind, CameraKind, LaneSettings, ScannerKind
from hardware_sims.scenario import TagReaderProtocol as TagReader
from sync.vocabulary.records import Direction

AREA_ID = "3711210009"
CHANNELS = {"lane-1": "3711020001", "lane-2": "3711020002"}
PASSWORD = "camera of the world"
LISTENER = "127.0.0.1:9006"
"""Nobody listens there: the world carries the bytes itself."""

_TAG_READERS: tuple[tuple[TagReader, bool], ...] = (
    ("r2000", False),
    ("r2000", False),
    ("uhfreader18", False),
    ("uhfreader18", True),
    ("uhfreader288", False),
    ("uhfreader288", True),
)
"""Make, and whether it was set to scan by itself."""
_CAMERAS: tuple[CameraKind, ...] = ("vzenith", "vzenith", "hikvision", "hikvision_stream", "dahua")
_BOARDS: tuple[BoardKind, ...] = ("fk", "fk", "ascii")
_PLAIN = ("release",) * 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Equipment:
    """One lane's devices. What is not named here is as in the demo."""

    weighbridge: WeighbridgeProtocol = "yaohua_tf0"
    weighbridge_settings: tuple[tuple[str, str], ...] = ()
    rfid: TagReader = "r2000"
    rfid_active: bool = False
    scanner: ScannerKind = "line"
    board: BoardKind = "fk"
    camera: CameraKind = "vzenith"
    card_reader: CardReaderKind | None = None
    container_camera: bool = False
    hears_neighbour: bool = False
    pictures: bool = False
    """Fixed cameras are asked for pictures; a fake answers."""
    io_poll_s: float = 0.1
    platform: Style | None = None
    platform_answers: tuple[str, ...] = ("release",)
    platform_late_s: float = 60.0
    platform_bare_xml: bool = False
    platform_heartbeat_s: float = 0.0


def deal(
    seed: int, place: int, draw: random.Random, *, platform: bool, wanted: Sequence[str] = ()
) -> Equipment:
    """For the lane at `place` of two. `wanted`: devices it must have, because something befalls them."""

    def card(deck: Sequence[Any], name: str) -> Any:
        cards = [*deck]
        random.Random(f"deck/{name}").shuffle(cards)
        return cards[(seed * 2 + place) % len(cards)]

    weighbridge = card(WEIGHBRIDGES, "weighbridges")
    settings: dict[str, str] = {}
    if weighbridge.startswith("yaohua_tf_eq"):
        settings["digits"] = "forward" if weighbridge.endswith("_2") else "reversed"
    elif weighbridge == "mt_sics":
        settings["request"] = draw.choice(("SI", "SIR"))
    rfid, active = card(_TAG_READERS, "tag readers")
    plain = Equipment(
        weighbridge=weighbridge,
        weighbridge_settings=tuple(settings.items()),
        rfid=rfid,
        rfid_active=active,
        scanner=card(SCANNERS, "scanners"),
        board=card(_BOARDS, "boards"),
        camera=card(_CAMERAS, "cameras"),
        card_reader=card(CARD_READERS, "cards") if "card_reader" in wanted or draw.random() < 0.3 else None,
        container_camera="container_camera" in wanted or draw.random() < 0.25,
        hears_neighbour=draw.random() < 0.3,
        pictures=draw.random() < 0.3,
        io_poll_s=draw.choice((0.1, 0.2, 0.2)),
    )
    if not platform:
        return plain
    special = card(ANSWERS, "answers"), card([*reversed(ANSWERS)], "more answers")
    answers = [*_PLAIN, *special, *special]
    draw.shuffle(answers)
    style: Style = card(STYLES, "styles")
    bare = draw.random() < 0.15
    return replace(
        plain,
        platform=style,
        platform_answers=tuple(answers),
        platform_late_s=draw.choice((2.0, 9.0, 40.0)),
        platform_bare_xml=bare,
        platform_heartbeat_s=5.0 if style == "same_socket" and not bare and draw.random() < 0.5 else 0.0,
    )


def simulated(
    name: str,
    direction: Direction,
    equipment: Equipment,
    *,
    barrier: BarrierSettings,
    zero_kg: float,
    neighbour: str | None,
) -> LaneSettings:
    """The same as the simulators know it."""
    return LaneSettings(
        name=name,
        weighbridge=equipment.weighbridge,
        zero_kg=zero_kg,
        rfid=equipment.rfid,
        rfid_active=equipment.rfid_active,
        hears_neighbour=neighbour if equipment.hears_neighbour else None,
        card_reader=equipment.card_reader,
        scanner=equipment.scanner,
        led=equipment.board,
        camera=equipment.camera,
        camera_password=PASSWORD,
        container_listener=LISTENER if equipment.container_camera else None,
        platform=equipment.platform,
        platform_answers=equipment.platform_answers,
        platform_late_s=equipment.platform_late_s,
        platform_bare_xml=equipment.platform_bare_xml,
        platform_heartbeat_s=equipment.platform_heartbeat_s,
        platform_area_id=AREA_ID,
        platform_channel_no=CHANNELS.get(name, "3711020009"),
        platform_direction="I" if direction is Direction.IN else "E",
        platform_listener=LISTENER,
        barrier=barrier,
    )


def configured(
    config: GateConfig, settings: LaneSettings, equipment: Equipment, password_file: Path
) -> GateConfig:
    """A lane's config with these devices in it; the cameras that serve are given a password."""
    devices = dict(config.devices)
    change = msgspec.structs.replace
    weighbridge = "yaohua_tf_eq" if settings.weighbridge == "yaohua_tf_eq_2" else settings.weighbridge
    devices["weighbridge"] = change(
        devices["weighbridge"],
        protocol=f"weighbridge.{weighbridge}",
        settings=dict(equipment.weighbridge_settings),
    )
    io = devices["io"]
    devices["io"] = change(io, settings={**io.settings, "poll_s": equipment.io_poll_s})
    rfid = devices["rfid"]
    devices["rfid"] = change(rfid, settings={**rfid.settings, "poll_s": 0.6})
    if equipment.rfid != "r2000":
        mode = "active" if equipment.rfid_active else "answer"
        devices["rfid"] = change(
            devices["rfid"], protocol=f"rfid.{equipment.rfid}", settings={"mode": mode, "poll_s": 0.6}
        )
    if equipment.scanner != "line":
        devices["scanner"] = change(
            devices["scanner"], protocol=f"scanner.{equipment.scanner}", settings={"quiet_s": 0.2}
        )
    if equipment.board == "ascii":
        devices["board"] = change(devices["board"], protocol="led.ascii", settings={"rows": 2})
    devices["plate_camera"] = _camera(devices["plate_camera"], equipment.camera, password_file)
    if equipment.card_reader is not None:
        devices["card_reader"] = _card_reader(equipment.card_reader)
    if equipment.container_camera:
        devices["container_camera"] = DevicePart(
            protocol="container_camera.http_json",
            role="optional",
            silent_after_s=12.0,
            listen=ListenAddress(host="127.0.0.1", port=9007),
        )
    if equipment.platform is not None:
        devices |= _platform(settings, equipment)
    return change(config, devices=devices)


def _camera(part: DevicePart, kind: CameraKind, password_file: Path) -> DevicePart:
    change = msgspec.structs.replace
    serial = SerialAddress(url="socket://127.0.0.1:9008")
    match kind:
        case "vzenith":
            return part
        case "hikvision":
            return change(part, protocol="plate_camera.hikvision", settings={"mode": "push"})
        case "hikvision_stream":
            return change(
                part,
                protocol="plate_camera.hikvision",
                settings={"mode": "stream", "password_file": str(password_file)},
                listen=None,
                serial=serial,
                silent_after_s=25.0,
            )
        case "dahua":
            return change(
                part,
                protocol="plate_camera.dahua",
                settings={"password_file": str(password_file)},
                listen=None,
                serial=serial,
                silent_after_s=16.0,
            )


def _card_reader(kind: CardReaderKind) -> DevicePart:
    make, _, form = kind.partition("_")
    framing = form or ("ascii" if make == "em125" else "bits")
    return DevicePart(
        protocol=f"rfid.{make}",
        role="optional",
        serial=SerialAddress(url="card_reader"),
        settings={"framing": "ascii" if framing == "crlf" else framing},
    )


def _platform(settings: LaneSettings, equipment: Equipment) -> dict[DeviceName, DevicePart]:
    style, bare = equipment.platform, equipment.platform_bare_xml
    said = {
        "area_id": settings.platform_area_id,
        "channel_no": settings.platform_channel_no,
        "direction": settings.platform_direction,
        "style": style,
        "bare_xml": bare,
    }
    heard = equipment.platform_heartbeat_s > 0
    parts: dict[DeviceName, DevicePart] = {
        "platform": DevicePart(
            protocol="customs.front_end",
            role="optional",
            silent_after_s=16.0 if heard else None,
            serial=SerialAddress(url="socket://127.0.0.1:9005", on_demand=style == "send_and_close"),
            settings=said,
        )
    }
    if style != "same_socket":
        parts["platform_back"] = DevicePart(
            protocol="customs.front_end",
            role="optional",
            listen=ListenAddress(host="127.0.0.1", port=9006),
            settings={"receives_only": True, "bare_xml": bare},
        )
    return parts
