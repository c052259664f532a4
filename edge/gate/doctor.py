"""Looks at a lane before and while it works: one finding per check, in words that say what to do.

Reads and listens; the only thing it ever sends is a poll. It moves nothing, writes nothing, and runs beside a
working lane unless asked to listen to the devices themselves (`--live`), which needs their ports.
"""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from edge.devices.readings import InputsSeen, Order, PlateSeen, Reading, TagSeen, WeightSeen
from edge.gate.config import GateConfig, device_of, read_gate_config, wires
from edge.gate.events import Inputs
from edge.gate.translation import is_valid
from edge.gate.wiring import read_draw_key
from edge.runtime.clock import UNKNOWN_MS, SystemClock
from edge.runtime.config_reading import ConfigRefused
from edge.runtime.supervisor import DeviceReport, PortLost, Supervisor
from sync.link.keys import KeyRefused, load_private, load_public
from sync.store.opening import StoreRefused
from sync.store.records import Records, generation_path, next_generation
from sync.store.verify import verify_journal

Level = Literal["good", "note", "bad"]

LISTEN_S = 6.0
CLOCK_OFF_MS = 1_000


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    level: Level
    text: str


def examine(config_path: Path, *, live: bool = False) -> list[Finding]:
    """Every check that can be made; never raises. `live`: also what the devices say for some seconds."""
    try:
        config = read_gate_config(config_path)
    except ConfigRefused as refused:
        return [Finding("config", "bad", str(refused))]
    findings = [Finding("config", "good", f"{config_path}: lane {config.lane.id}, {config.lane.direction}")]
    findings += _keys(config)
    findings += _clock(config)
    findings += _disk(config)
    findings += _journal(config)
    findings += _records(config)
    findings += _broker(config)
    findings += _ports(config)
    findings += _wiring(config)
    findings.append(
        Finding(
            "safety",
            "note",
            "stop, fire, loop and photocell must be hard-wired to the barrier controller, which acts alone "
            "(S0); what is read here are copies, and no program can see whether the originals are wired",
        )
    )
    if live:
        findings += _live(config)
    return findings


def _keys(config: GateConfig) -> Iterator[Finding]:
    for name, path, load in (
        ("device key", config.sync.key_file.path, load_private),
        ("hub key", config.sync.hub_key_file, load_public),
    ):
        try:
            load(path)
        except KeyRefused as refused:
            yield Finding(name, "bad", str(refused))
        else:
            yield Finding(name, "good", str(path))
    if config.spot_check is None:
        yield Finding("spot check", "note", "no draw key: nobody is drawn for a spot check on this lane")
        return
    try:
        read_draw_key(config.spot_check.key_file)
    except KeyRefused as refused:
        yield Finding("spot check", "bad", str(refused))
    else:
        yield Finding("spot check", "good", str(config.spot_check.key_file.path))


def _clock(config: GateConfig) -> Iterator[Finding]:
    clock = SystemClock()
    uncertainty_ms = clock.uncertainty_ms()
    if uncertainty_ms == UNKNOWN_MS:
        needed = config.clock.require_synchronised
        yield Finding(
            "clock",
            "bad" if needed else "note",
            "the system does not say that its clock is synchronised: start chrony or systemd-timesyncd"
            + (" (every vehicle is held until then, S10)" if needed else ""),
        )
    elif uncertainty_ms > CLOCK_OFF_MS:
        yield Finding("clock", "bad", f"may be off by {uncertainty_ms} ms: check the time server")
    else:
        yield Finding("clock", "good", f"{clock.utc_text()}, within {uncertainty_ms} ms")


def _disk(config: GateConfig) -> Iterator[Finding]:
    folder = config.store.folder
    existing = next((each for each in (folder, *folder.parents) if each.exists()), Path())
    free_mb = shutil.disk_usage(existing).free // 1_000_000
    reserve_mb = config.store.reserve_mb
    if free_mb < reserve_mb:
        yield Finding(
            "disk", "bad", f"{free_mb} MB free, below the reserve of {reserve_mb} MB: the lane holds"
        )
    elif free_mb < 4 * reserve_mb + 500:
        yield Finding("disk", "bad", f"{free_mb} MB free: nearly full, reserve {reserve_mb} MB")
    else:
        yield Finding("disk", "good", f"{free_mb} MB free, reserve {reserve_mb} MB")


def _journal(config: GateConfig) -> Iterator[Finding]:
    path = config.store.folder / "journal.sqlite"
    if not path.exists():
        yield Finding("journal", "note", f"{path} is not there yet: it is made at the first start")
        return
    try:
        problems = verify_journal(path)
    except StoreRefused as refused:
        yield Finding("journal", "bad", str(refused))
        return
    if problems:
        yield Finding("journal", "bad", "; ".join(problems[:3]))
    else:
        yield Finding("journal", "good", f"{path} is whole")


def _records(config: GateConfig) -> Iterator[Finding]:
    folder = config.store.folder
    number = next_generation(folder) - 1 if folder.exists() else 0
    path = generation_path(folder, number)
    if number < 1 or not path.exists():
        yield Finding("records", "note", "no records yet: they come with the first contact to the centre")
        return
    try:
        with Records.open(path) as records:
            state, site = records.feed_state(), records.site()
    except StoreRefused as refused:
        yield Finding("records", "bad", str(refused))
        return
    if site is None:
        yield Finding("records", "bad", f"{path.name} has no row of this site: every vehicle is held")
    elif state.verified_utc is None:
        yield Finding("records", "bad", f"{path.name} was never proved equal to the centre's")
    else:
        age_s = (datetime.now(UTC) - datetime.fromisoformat(state.verified_utc)).total_seconds()
        text = f"number {state.number}, {state.rows} rows, proved {age_s:.0f} s ago"
        too_old = age_s > site.max_age_s
        yield Finding("records", "bad" if too_old else "good", text + (": too old (S10)" if too_old else ""))


def _broker(config: GateConfig) -> Iterator[Finding]:
    where = f"{config.sync.host}:{config.sync.port}"
    try:
        socket.create_connection((config.sync.host, config.sync.port), 3.0).close()
    except OSError as error:
        yield Finding("broker", "bad", f"{where}: {error.strerror or error}")
    else:
        yield Finding("broker", "good", f"{where} accepts connections")
    if config.sync.ca_file is None:
        yield Finding(
            "encryption", "note", "plain text: only the signatures protect what is said (see security)"
        )


def _ports(config: GateConfig) -> Iterator[Finding]:
    for name, device in sorted(config.devices.items()):
        serial = device.serial
        if serial is None or "://" in serial.url or serial.url.upper().startswith("COM"):
            continue
        if Path(serial.url).exists():
            yield Finding(f"port {name}", "good", serial.url)
        else:
            yield Finding(f"port {name}", "bad", f"{serial.url}: no such port; is it plugged in?")


def _wiring(config: GateConfig) -> Iterator[Finding]:
    """Polarity that fails safe: a cut wire reads False, and must then mean danger."""
    for name in ("arrival_loop", "arm_loop", "photocell", "stop", "fire"):
        if config.inputs[name].active == "high":
            yield Finding(
                f"wiring {name}",
                "bad",
                f'inputs.{name}.active = "high": a cut wire would read as "nothing there"; wire it normally '
                'closed and say "low"',
            )
    for name in ("limit_down", "limit_up"):
        if config.inputs[name].active == "low":
            yield Finding(
                f"wiring {name}", "bad", f'inputs.{name}.active = "low": a cut wire would prove the arm there'
            )


def _live(config: GateConfig) -> Iterator[Finding]:
    heard: dict[str, list[Reading]] = {name: [] for name in config.devices}
    speaks_unasked = {name for name, part in config.devices.items() if part.silent_after_s is not None}
    lost: dict[str, str] = {}

    def on_report(at_s: float, report: DeviceReport) -> None:
        if isinstance(report, PortLost):
            lost.setdefault(report.device, report.why)

    def on_reading(at_s: float, device: str, reading: Reading) -> None:
        if len(heard[device]) < 5_000:
            heard[device].append(reading)

    supervisor: Supervisor[Reading, Order] = Supervisor(
        [device_of(name, part) for name, part in config.devices.items()],
        SystemClock(),
        on_reading=on_reading,
        on_report=on_report,
        is_valid=is_valid,
    )
    supervisor.start()
    time.sleep(LISTEN_S)
    health = supervisor.health()
    supervisor.stop()
    for name, readings in sorted(heard.items()):
        valid = [reading for reading in readings if is_valid(reading)]
        if name in lost:
            yield Finding(f"device {name}", "bad", lost[name])
        elif not valid and health[name].readings == 0 and name in speaks_unasked:
            spoilt = health[name].spoilt
            why = (
                f"{spoilt} spoilt frames and no valid one: wrong baud rate, parity or protocol?"
                if spoilt
                else f"nothing heard in {LISTEN_S:.0f} s: powered, wired, address right?"
            )
            yield Finding(f"device {name}", "bad", why)
        else:
            yield Finding(f"device {name}", "good", _said(valid))
    yield from _inputs_live(config, heard.get("io", []))


def _said(readings: list[Reading]) -> str:
    if not readings:
        return "its port is open"
    last = readings[-1]
    match last:
        case WeightSeen(value_kg):
            return f"{len(readings)} frames, last {value_kg} kg"
        case TagSeen(epc):
            return f"{len(readings)} tags, last {epc}"
        case PlateSeen(text):
            return f"{len(readings)} pushes, last {text}"
        case InputsSeen(values):
            return f"{len(readings)} polls, inputs " + "".join("1" if value else "0" for value in values)
        case _:
            return f"{len(readings)} readings, last {type(last).__name__}"


def _inputs_live(config: GateConfig, readings: list[Reading]) -> Iterator[Finding]:
    seen = [wires(config).read(r.values) for r in readings if isinstance(r, InputsSeen)]
    if not seen:
        return
    last: Inputs = seen[-1]
    if last.limit_up is True and last.limit_down is True:
        yield Finding("arm", "bad", "both limit switches say yes: one is wired to the wrong input, or stuck")
    elif last.proven_down():
        yield Finding("arm", "good", "proven down")
    else:
        yield Finding("arm", "note", "not down: the lane would start closed (S6)")
    if last.stop is True:
        yield Finding("stop", "bad", "the stop signal is given: pressed, cut wire, or wrong polarity")
    if last.fire is True:
        yield Finding("fire", "bad", "the fire signal is given: alarm, cut wire, or wrong polarity")
    for name, value in (("arm loop", last.arm_loop), ("photocell", last.photocell)):
        if all(getattr(i, name.replace(" ", "_")) is True for i in seen):
            text = (
                "occupied all the time: something stands there, the loop is dead, or the polarity is swapped"
            )
            yield Finding(name, "bad" if value else "note", text)
