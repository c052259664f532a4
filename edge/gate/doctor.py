"""Looks at a lane before and while it works: one finding per line, in words that say what to do.

Reads and listens; what it sends are a poll and one greeting to the broker, under a name of its own. It moves
nothing, writes nothing, and runs beside a working lane unless asked to listen to the devices themselves
(`--live`), which needs their ports.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edge.devices.catalogue import settings_of
from edge.examining import (
    Asked,
    Finding,
    broker,
    certificates,
    clock_,
    disk,
    journal,
    keys,
    ports,
    records,
)
from edge.gate.config import GateConfig, read_gate_config
from edge.gate.speaking import missing as voice_missing
from edge.runtime.clock import Clock, SystemClock
from edge.runtime.config_reading import ConfigRefused
from sync.link.client import BrokerConfig
from sync.link.probing import Probe, probe
from sync.store.lock import is_held, lock_path

__all__ = ["Finding", "examine"]


@dataclass(frozen=True, slots=True)
class Examined:
    """What the checks of a lane share."""

    config: GateConfig
    lane_runs: bool


def examine(
    config_path: Path,
    *,
    live: bool = False,
    clock: Clock | None = None,
    greet: Callable[[BrokerConfig, str], Probe] = probe,
) -> list[Finding]:
    """Every check that can be made; never raises. `live`: also what the devices say for some seconds."""
    try:
        config = read_gate_config(config_path)
    except ConfigRefused as refused:
        return [_of_config(str(each) if each.key else f"{config_path}: {each}") for each in refused.errors]
    here = Examined(config, _lane_runs(config))
    asked = Asked(
        device=config.lane.id,
        sync=config.sync,
        store=config.store,
        lines=config.devices,
        spot_check=config.spot_check,
        clock_must_be_known=config.clock.require_synchronised,
        clock=clock or SystemClock(),
        runs=here.lane_runs,
        otherwise="every vehicle is held",
    )
    findings = [Finding("config", "good", f"{config_path}: lane {config.lane.id}, {config.lane.direction}")]
    for look in (keys, certificates, clock_, disk, journal, records):
        findings += look(asked)
    findings += broker(asked, greet)
    findings += ports(asked)
    for own in (_numbers, _wiring, _voice, _running):
        findings += own(here)
    findings.append(
        Finding(
            "safety",
            "note",
            "stop, fire, loop and photocell must be hard-wired to the barrier controller, which acts alone "
            "(S0); what is read here are copies, and no program can see whether the originals are wired",
            "请人工确认急停、火警、地感、光电已硬接到道闸控制器",
            "have somebody prove it at the controller",
        )
    )
    if live and not here.lane_runs:
        from edge.gate.listening import listen

        findings += [Finding(*told) for told in listen(config)]
    elif live:
        findings.append(
            Finding(
                "live",
                "bad",
                "the lane program is running and has the devices' ports",
                "先停止通道程序再监听",
                f"stop it first: systemctl stop kakou-gate@{config.lane.id}",
            )
        )
    return findings


def _of_config(error: str) -> Finding:
    if "open to every user" in error:
        return Finding(
            "config", "bad", error, "密钥文件对他人可读，改为 600", "close the file to others: chmod 600"
        )
    if "must be wired" in error:
        return Finding(
            "config",
            "bad",
            error,
            "安全回路未接入：地感、光电、急停、火警、限位都必须接入",
            "wire the signal to an input of the board and name it here",
        )
    return Finding("config", "bad", error, "改正该配置项", "correct this key")


def _lane_runs(config: GateConfig) -> bool:
    return is_held(lock_path(config.store.folder / "journal.sqlite"))


def _running(here: Examined) -> Iterator[Finding]:
    if here.lane_runs:
        yield Finding("program", "good", "the lane program is running")


def _numbers(here: Examined) -> Iterator[Finding]:
    """Wires and relays the board does not have."""
    part = here.config.devices["io"]
    settings = {row.key: row.default for row in settings_of(part.protocol)} | part.settings
    inputs, relays = settings.get("inputs"), settings.get("relays")
    if not isinstance(inputs, int) or not isinstance(relays, int):
        return
    for name, wire in sorted(here.config.inputs.items()):
        if wire.input >= inputs:
            yield Finding(
                f"wiring {name}",
                "bad",
                f"inputs.{name}.input = {wire.input}: the board is asked for {inputs} inputs, from 0; this "
                "signal stays unknown",
                "输入号超出板卡范围，改正接线号",
                "correct the number, or devices.io.settings.inputs",
            )
    pulses = here.config.relays
    for name, number in (
        ("open", pulses.open), ("close", pulses.close), ("green", pulses.green), ("red", pulses.red),
    ):  # fmt: skip
        if number is not None and number >= relays:
            yield Finding(
                f"relay {name}",
                "bad",
                f"relays.{name} = {number}: the board has {relays} relays, from 0",
                "继电器号超出板卡范围",
                "correct the number, or devices.io.settings.relays",
            )


def _wiring(here: Examined) -> Iterator[Finding]:
    """Polarity that fails safe: a cut wire reads False, and must then mean danger."""
    zh = "极性接反：断线时必须等同于危险"
    inputs = here.config.inputs
    for name in ("arrival_loop", "arm_loop", "photocell", "stop", "fire"):
        if inputs[name].active == "high":
            yield Finding(
                f"wiring {name}",
                "bad",
                f'inputs.{name}.active = "high": a cut wire would read as "nothing there"',
                zh,
                'wire it normally closed and say "low"',
            )
    for name in ("limit_down", "limit_up"):
        if inputs[name].active == "low":
            yield Finding(
                f"wiring {name}",
                "bad",
                f'inputs.{name}.active = "low": a cut wire would prove the arm there',
                zh,
                'wire it normally open and say "high"',
            )


def _voice(here: Examined) -> Iterator[Finding]:
    if here.config.voice is not None:
        why = voice_missing(here.config.voice)
        if why is not None:
            yield Finding("voice", "note", why, "安装 espeak-ng", "install it, or leave the table out")
