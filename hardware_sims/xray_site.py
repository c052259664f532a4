"""The X-ray line of a simulated site: its scenario and its program's config, as files. Starts nothing.

A belt may be played slower than lanes: what a program needs for a picture, and an officer for a look, does
not shrink with the speed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hardware_sims.xray_cast import STATION, WEDGE_CODE, XrayCast
from hardware_sims.xray_scenario import xray_scenario_to_toml

MOST_SPEED = 2.0
"""Virtual seconds to the second: faster, a busy machine's pauses would look like a belt that jumps."""
JITTER_S = 0.25
DESKS = ("desk-1", "desk-2")


@dataclass(frozen=True, slots=True)
class XraySite:
    folder: Path
    cast: XrayCast
    page_port: int
    speed: float

    @property
    def scenario_file(self) -> Path:
        return self.folder / "xray.toml"

    @property
    def config(self) -> Path:
        return self.folder / "configs" / f"{STATION}.toml"

    @property
    def data(self) -> Path:
        return self.folder / "data" / STATION

    @property
    def references(self) -> Path:
        """What its machine exported of goods it knows."""
        return self.folder / "references"

    @property
    def page(self) -> str:
        return f"http://127.0.0.1:{self.page_port}/"


def write_xray_site(line: XraySite, *, site: str, scope: str, broker_port: int) -> None:
    """The folders of the site are there already."""
    for name in ("evidence", "calibration", "library"):
        (line.data / name).mkdir(parents=True, exist_ok=True)
    line.scenario_file.write_text(xray_scenario_to_toml(line.cast.scenario), encoding="utf-8")
    line.config.write_text(_xray_toml(line, site, scope, broker_port), encoding="utf-8")


def _xray_toml(line: XraySite, site: str, scope: str, broker_port: int) -> str:
    scenario = line.cast.scenario
    belt = scenario.belt
    ports = (line.folder / "ports").resolve().as_posix()
    speed = line.speed

    def short(seconds: float, least: float = 0.0) -> float:
        return round(max(seconds / speed, least), 5)

    here = [f'{{ name = "{desk}" }}' for desk in DESKS]
    desks = ", ".join([*here, '{ name = "centre", remote = true }'])
    decoded_mm = belt.speed_mm_s * 0.1
    return f"""\
[station]
id = "{scenario.station}"
site = "{site}"

[layout]
xray_mm = {belt.xray_mm:.1f}
diverter_mm = {belt.diverter_mm:.1f}
chute_mm = {belt.chute_mm:.1f}
flag_chute = {"true" if belt.has_flag_chute else "false"}
reader_mm = {belt.reader_mm + decoded_mm:.1f}

[devices.belt]
protocol = "xray.belt_io"
silent_after_s = {short(2.0, least=2 * JITTER_S)}
serial = {{ url = "socket://127.0.0.1:{scenario.io_port}", baudrate = 115200 }}
settings = {{ nanometres_per_count = {belt.nanometres_per_count}, poll_s = {short(0.01, least=0.002)}, \
most_mm_s = {4 * belt.speed_mm_s * speed:.0f}.0, divert_most_s = 3.0 }}

[machine]
maker = "Simulated"
model = "Belt 6040"

[devices.portal]
protocol = "scanner.line"
serial = {{ url = "{ports}/{scenario.station}-scanner", baudrate = 115200 }}
settings = {{ aim = "required" }}

[devices.xray]
protocol = "xray.line_stream"
silent_after_s = {short(20.0, least=5.0)}
serial = {{ url = "socket://127.0.0.1:{scenario.xray_port}", baudrate = 115200 }}

[sync]
host = "127.0.0.1"
port = {broker_port}
scope = "{scope}"
key_file = "../keys/{scenario.station}.key"
hub_key_file = "../keys/hub.pub"
reconnect_longest_s = {short(4.0, least=0.3)}
resend_first_s = {short(5.0, least=1.0)}
pull_first_s = {short(5.0, least=1.0)}
status_every_s = {short(10.0, least=0.5)}

[store]
folder = "../data/{scenario.station}"
reserve_mb = 16

[evidence]
folder = "../data/{scenario.station}/evidence"
most_gb = 1
keep_free_mb = 16

[calibration]
folder = "../data/{scenario.station}/calibration"
wedge_code = "{WEDGE_CODE}"

[library]
folder = "../data/{scenario.station}/library"

[triage]
least_references = 5

[judging]
undo_s = {short(2.0)}
margin_s = {short(1.0, least=0.1)}
most_waiting = 12
floor_s = {short(0.5)}
pause_s = {short(10.0)}

[pulses]
divert_s = 0.8
permit_s = {min(10.0, max(1.0, 1.0 * speed)):.1f}
renew_s = 0.2

[page]
port = {line.page_port}
desks = [{desks}]

[spot_check]
key_file = "../draw.key"

[clock]
require_synchronised = false

[back_off]
second_after_s = {short(0.2, least=0.02)}
longest_s = {short(5.0, least=0.25)}
"""
