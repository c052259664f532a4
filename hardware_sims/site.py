"""A whole simulated site as a folder: scenario, records, keys and the programs' configs. Starts nothing.

`speed` divides every duration written into the configs, as it does the physics; the programs know no speed.
Limits that guard against a machine's own jitter have a floor, since jitter does not shrink with them.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import secrets
import socket
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hardware_sims.cast import FIRM_HIGH, FIRM_MEDIUM, LANE_IN, LANE_OUT, SCOPE, SITE, Cast, make_cast
from hardware_sims.centre_cast import centre_records
from hardware_sims.goods import Warehouse, make_warehouse, opened_parcel
from hardware_sims.scenario import scenario_to_toml
from hardware_sims.xray_cast import STATION, make_xray_cast
from hardware_sims.xray_site import MOST_SPEED, XraySite, write_xray_site

LANES = (LANE_IN, LANE_OUT)
HANDHELD = "hh-1"
CAMERA_PICTURE = "camera.png"
"""What the handheld's camera sees where this machine has none."""
CONSOLE_PORT = 8080
MANUAL_STEPS_S: tuple[tuple[str, str, float], ...] = (
    ("停车交单", "stop, hand papers over", 30.0),
    ("人工查单", "officer looks the slip up", 45.0),
    ("过磅抄数", "weigh, copy the figure", 25.0),
    ("核对盖章", "compare, stamp", 30.0),
    ("人工起杆", "raise by hand, drive through", 25.0),
)
"""The baseline, an assumption written out: 155 s, within the 2.5 to 3 minutes press reports give for a
normal gate transaction before automation. Zhengzhou's own report is a fall of 60 %."""

JITTER_S = 0.25
"""A busy machine may pause a program for so long; no limit that means "the device is gone" is shorter."""


@dataclass(frozen=True, slots=True)
class Site:
    folder: Path
    cast: Cast
    broker_port: int
    camera_ports: tuple[int, int]
    page_ports: tuple[int, int]
    speed: float
    warehouse: Warehouse | None = None
    """With a handheld: what lies there."""
    xray: XraySite | None = None
    """With parcels: the X-ray line they go over."""
    console_port: int | None = None
    """Where the hub serves the centre's pages; None: it does not."""
    live_port: int = 0
    """With a handheld: where live picture and sound go."""

    @property
    def scenario_file(self) -> Path:
        return self.folder / "scenario.toml"

    @property
    def hub_config(self) -> Path:
        return self.folder / "configs" / "hub.toml"

    @property
    def archive(self) -> Path:
        return self.folder / "data" / "hub" / "archive.sqlite"

    @property
    def physics_log(self) -> Path:
        return self.folder / "physics.jsonl"

    def lane_config(self, lane: str) -> Path:
        return self.folder / "configs" / f"{lane}.toml"

    @property
    def handheld_config(self) -> Path:
        return self.folder / "configs" / f"{HANDHELD}.toml"

    @property
    def handheld_data(self) -> Path:
        return self.folder / "data" / HANDHELD

    @property
    def facts_from(self) -> dict[str, Path]:
        """Whoever journals in plain sight -> its data folder; a handheld's journal is enciphered."""
        devices = LANES if self.xray is None else (*LANES, STATION)
        return {device: self.folder / "data" / device for device in devices}

    def page(self, lane: str) -> str:
        """Where the lane's own page is, for a browser of this machine."""
        return f"http://127.0.0.1:{self.page_ports[LANES.index(lane)]}/"

    @property
    def console(self) -> str | None:
        """Where the centre's pages are."""
        return None if self.console_port is None else f"http://127.0.0.1:{self.console_port}/"

    def lane_data(self, lane: str) -> Path:
        return self.folder / "data" / lane

    def record_files(self) -> list[Path]:
        return sorted((self.folder / "records").glob("*.json"))


def free_ports(count: int) -> list[int]:
    """TCP ports on 127.0.0.1 that nobody listens on right now."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


def console_port() -> int:
    """8080, or a free one where somebody listens there."""
    with contextlib.suppress(OSError):
        socket.create_server(("127.0.0.1", CONSOLE_PORT)).close()
        return CONSOLE_PORT
    return free_ports(1)[0]


def write_site(
    folder: Path,
    *,
    seed: int,
    vehicles: int,
    speed: float,
    mean_gap_s: float = 34.0,
    now: datetime | None = None,
    handheld: bool = False,
    parcels: int = 0,
    console: int | None = None,
) -> Site:
    """Make the folder with everything a demo needs. It must not hold an older site. `handheld`: with a
    warehouse and an officer's device. `parcels`: that many over an X-ray line, behind the step wedge.
    `console`: the port of the centre's pages, where they are wanted; then a camera on a mast looks at each
    lane, whose pictures can be asked for."""
    folder.mkdir(parents=True, exist_ok=True)
    broker_port, camera_in, camera_out, page_in, page_out, live_port, *more_ports = free_ports(11)
    mast_ports, xray_ports = more_ports[:2], more_ports[2:]
    today = now if now is not None else datetime.now(UTC)
    cast = make_cast(
        seed,
        vehicles,
        today=today,
        camera_ports=(camera_in, camera_out),
        mean_gap_s=mean_gap_s,
    )
    warehouse = None
    if handheld:
        controlled = {plate for each in cast.records["controls"] for plate in each["condition"]["plates"]}
        free = [slip for slip in cast.records["release_slips"] if slip["plate"] not in controlled]
        slips = tuple(str(slip["slip_no"]) for slip in free[:4])
        warehouse = make_warehouse(seed, today=today, firms=(FIRM_HIGH, FIRM_MEDIUM), slips=slips)
        _join(cast.records, warehouse.records)
    line = None
    if parcels:
        board_port, machine_port, desk_port = xray_ports
        over = make_xray_cast(
            seed, parcels, today=today, firms=(FIRM_HIGH, FIRM_MEDIUM), ports=(board_port, machine_port)
        )
        _join(cast.records, over.records)
        line = XraySite(folder, over, desk_port, min(speed, MOST_SPEED))
    if console is not None:
        _join(cast.records, centre_records(today))
        lanes = zip(cast.scenario.lanes, mast_ports, strict=True)
        cast.scenario = replace(
            cast.scenario,
            lanes=tuple(replace(lane, fixed_camera="http", fixed_camera_port=port) for lane, port in lanes),
        )
    site = Site(
        folder,
        cast,
        broker_port,
        (camera_in, camera_out),
        (page_in, page_out),
        speed,
        warehouse,
        line,
        console,
        live_port if handheld or console is not None else 0,
    )
    devices = (*LANES, *((HANDHELD,) if handheld else ()), *((STATION,) if line is not None else ()))
    for name in ("configs", "keys", "records", "data/hub", *(f"data/{device}" for device in devices)):
        (folder / name).mkdir(parents=True, exist_ok=True)
    site.scenario_file.write_text(scenario_to_toml(cast.scenario), encoding="utf-8")
    for collection, rows in cast.records.items():
        file = folder / "records" / f"{collection}.json"
        file.write_text(json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8")
    cases = cast.cases if line is None else {**cast.cases, **line.cast.cases}
    (folder / "cast.json").write_text(json.dumps(cases, indent=1), encoding="utf-8")
    for name in ("hub", "slips", *devices):
        _write_key(folder / "keys", name)
    draw = random.Random(f"{seed}/draw")
    _write_secret(folder / "draw.key", draw.randbytes(32).hex().encode())
    site.hub_config.write_text(_hub_toml(site, devices), encoding="utf-8")
    if warehouse is not None:
        (folder / CAMERA_PICTURE).write_bytes(
            opened_parcel(warehouse.parcel(next(iter(warehouse.ordered.values()))))
        )
        site.handheld_config.write_text(_handheld_toml(site), encoding="utf-8")
    for lane, camera_port in zip(LANES, site.camera_ports, strict=True):
        site.lane_config(lane).write_text(_lane_toml(site, lane, camera_port), encoding="utf-8")
    if line is not None:
        write_xray_site(line, site=SITE, scope=SCOPE, broker_port=broker_port)
    return site


def _join(records: dict[str, list[dict[str, Any]]], more: dict[str, list[dict[str, Any]]]) -> None:
    for collection, rows in more.items():
        records.setdefault(collection, []).extend(rows)


def _write_key(folder: Path, name: str) -> None:
    private = Ed25519PrivateKey.generate()
    _write_secret(
        folder / f"{name}.key",
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
    (folder / f"{name}.pub").write_bytes(
        private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )


def _write_secret(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def new_folder(parent: Path) -> Path:
    """A fresh name for a site beside others."""
    return parent / f"demo-site-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def _hub_toml(site: Site, names: tuple[str, ...]) -> str:
    short = _Durations(site.speed)
    devices = "\n".join(f'{name} = "../keys/{name}.pub"' for name in names)
    return f"""\
site = "{SITE}"

[store]
archive = "../data/hub/archive.sqlite"

[sync]
host = "127.0.0.1"
port = {site.broker_port}
key_file = "../keys/hub.key"
scopes = ["{SCOPE}"]
poll_s = {short(0.5, least=0.05)}
head_every_s = {short(30.0, least=1.0)}
reconnect_longest_s = {short(4.0, least=0.3)}

[devices]
{devices}

[slips]
key_file = "../keys/slips.key"
{_live_toml(site)}{_console_toml(site)}"""


def _console_toml(site: Site) -> str:
    if site.console_port is None:
        return ""
    stations = "" if site.xray is None else f'\n[console.stations]\n{STATION} = "{site.xray.page}"\n'
    by_hand_s = _Durations(site.speed)(sum(seconds for _, _, seconds in MANUAL_STEPS_S))
    return f"\n[console]\nport = {site.console_port}\nbaseline_lane_s = {by_hand_s}\n{stations}"


def _lane_toml(site: Site, lane: str, camera_port: int) -> str:
    short = _Durations(site.speed)
    silent_s = short(3.0, least=4 * JITTER_S)
    direction = "in" if lane == LANE_IN else "out"
    lowering = "request" if lane == LANE_IN else "controller"
    ports = (site.folder / "ports").resolve().as_posix()
    makes = _LANE_IN if lane == LANE_IN else _LANE_OUT
    return f"""\
[lane]
id = "{lane}"
site = "{SITE}"
direction = "{direction}"
lowering = "{lowering}"

[timing]
io_stale_s = {short(0.6, least=JITTER_S)}
reading_s = {short(25.0)}
second_identity_s = {short(4.0)}
claim_timeout_s = {short(3.0, least=2 * JITTER_S)}
arm_move_s = {short(6.0, least=2 * JITTER_S)}
clear_s = {short(0.8)}
passing_s = {short(60.0)}
hold_s = {short(120.0)}
gone_s = {short(2.0)}
gone_blind_s = {short(10.0)}
journal_retry_s = {short(5.0)}
again_s = {short(15.0, least=0.5)}
resume_s = {short(30.0, least=5.0)}
trailer_gap_s = {short(1.2)}

[weighing]
steady_window_s = {short(1.0)}

[devices.io]
protocol = "io.modbus_rtu"
role = "required"
silent_after_s = {min(3.0, short(0.6, least=JITTER_S))}
serial = {{ url = "{ports}/{lane}-io", baudrate = 38400 }}
settings = {{ poll_s = {short(0.1, least=0.004)}, reply_timeout_s = {short(0.3, least=0.1)}, \
settle_s = {short(0.05, least=0.002)} }}

[devices.weighbridge]
protocol = "{makes.weighbridge}"
role = "required"
silent_after_s = {silent_s}
serial = {{ url = "{ports}/{lane}-weighbridge", baudrate = 9600 }}
settings = {{ quiet_s = {short(0.2, least=0.02)} }}

[devices.plate_camera]
protocol = "{makes.camera}"
role = "substitutable"
substitutes = ["rfid"]
silent_after_s = {short(makes.camera_silent_s, least=4 * JITTER_S)}
listen = {{ host = "127.0.0.1", port = {camera_port} }}

[devices.rfid]
protocol = "{makes.rfid}"
role = "substitutable"
substitutes = ["plate_camera"]
silent_after_s = {silent_s}
serial = {{ url = "{ports}/{lane}-rfid", baudrate = {makes.rfid_baudrate} }}
settings = {{ poll_s = {short(0.2, least=0.02)}, reply_timeout_s = {short(0.8, least=0.2)} }}

[devices.scanner]
protocol = "{makes.scanner}"
role = "optional"
serial = {{ url = "{ports}/{lane}-scanner", baudrate = 9600 }}
settings = {{ quiet_s = {short(0.2, least=0.02)} }}

[devices.board]
protocol = "{makes.board}"
role = "optional"
serial = {{ url = "{ports}/{lane}-led", baudrate = 9600 }}
settings = {{ {f"gap_s = {short(0.02)}, " if makes.board == "led.fk" else ""}rows = 2 }}

[inputs]
arrival_loop = {{ input = 0, active = "low" }}
arm_loop = {{ input = 1, active = "low" }}
photocell = {{ input = 2, active = "low" }}
limit_down = {{ input = 3, active = "high" }}
limit_up = {{ input = 4, active = "high" }}
stop = {{ input = 5, active = "low" }}
fire = {{ input = 6, active = "low" }}
mains = {{ input = 7, active = "high" }}
reset_key = {{ input = 8, active = "high" }}
scale_infrared = {{ input = 9, active = "high" }}

[relays]
open = 0
close = 1
green = 2
red = 3
pulse_s = 0.5
green_pulse_s = {max(5.0, 4.0 * short(2.0, least=0.1) * site.speed, 2.1 * short(2.0)):.1f}
green_renew_s = {short(2.0, least=0.1)}

[sync]
host = "127.0.0.1"
port = {site.broker_port}
scope = "{SCOPE}"
key_file = "../keys/{lane}.key"
hub_key_file = "../keys/hub.pub"
reconnect_longest_s = {short(4.0, least=0.3)}
resend_first_s = {short(5.0, least=1.0)}
claim_retry_s = {short(1.0, least=JITTER_S)}
pull_first_s = {short(5.0, least=1.0)}
status_every_s = {short(10.0, least=0.5)}

[store]
folder = "../data/{lane}"
reserve_mb = 16

[spot_check]
key_file = "../draw.key"

[page]
enabled = true
port = {site.page_ports[LANES.index(lane)]}

[clock]
require_synchronised = false

[back_off]
second_after_s = {short(0.2, least=0.02)}
longest_s = {short(5.0, least=0.25)}
{_mast_toml(site, lane)}"""


def _mast_toml(site: Site, lane: str) -> str:
    port = next(each.fixed_camera_port for each in site.cast.scenario.lanes if each.name == lane)
    return f'\n[cameras.overview]\nurl = "http://127.0.0.1:{port}/stream"\n' if port else ""


def _live_toml(site: Site) -> str:
    """The same at both ends: nothing leaves this machine."""
    if not site.live_port:
        return ""
    return f"""
[live]
host = "127.0.0.1"
port = {site.live_port}
allow_plaintext = true
"""


def _handheld_toml(site: Site) -> str:
    """An officer works at an officer's pace, however fast the lanes are played."""
    # A PC without a camera looks at a picture: an officer can still take one, and show it.
    has_camera = any(Path("/dev").glob("video*"))
    camera = "" if has_camera else f'camera = "../{CAMERA_PICTURE}"\n'
    return f"""\
[device]
id = "{HANDHELD}"
site = "{SITE}"

[sync]
host = "127.0.0.1"
port = {site.broker_port}
scope = "{SCOPE}"
key_file = "../keys/{HANDHELD}.key"
hub_key_file = "../keys/hub.pub"
reconnect_longest_s = 2.0
resend_first_s = 2.0
status_every_s = 5.0

[store]
folder = "../data/{HANDHELD}"
reserve_mb = 16

[scanner]
sources = ["wedge", "camera"]
{camera}
[clock]
require_synchronised = false
{_live_toml(site)}"""


@dataclass(frozen=True, slots=True)
class _Makes:
    weighbridge: str
    camera: str
    camera_silent_s: float
    rfid: str
    rfid_baudrate: int
    scanner: str
    board: str


_LANE_IN = _Makes(
    "weighbridge.yaohua_tf0", "plate_camera.vzenith", 12.0, "rfid.r2000", 115_200, "scanner.line", "led.fk"
)
_LANE_OUT = _Makes(
    "weighbridge.toledo_continuous",
    "plate_camera.hikvision",
    12.0,
    "rfid.uhfreader18",
    57_600,
    "scanner.newland",
    "led.ascii",
)
"""The same makes as `cast` has the simulators play."""


class _Durations:
    def __init__(self, speed: float) -> None:
        self._speed = speed

    def __call__(self, seconds: float, *, least: float = 0.0) -> float:
        """`seconds` of the site's time in seconds of the machine's, not below `least`."""
        return round(max(seconds / self._speed, least), 5)
