"""Looks at an X-ray station before and while it works: one finding a line, in words that say what to do.

Reads, and greets the broker under a name of its own. It moves nothing, writes nothing, sends no device a
byte, and runs beside a working station.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

from edge.devices.settings import SettingsRefused
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
from edge.runtime.clock import Clock, SystemClock
from edge.runtime.config_reading import ConfigRefused
from edge.xray_bridge.calibrating import IN_FORCE, read_calibration
from edge.xray_bridge.config import XRayConfig, read_xray_config, settings_in_force
from edge.xray_bridge.imaging.calibration import CalibrationRefused
from sync.link.client import BrokerConfig
from sync.link.probing import Probe, probe
from sync.store.lock import is_held, lock_path

PICTURE_MB = 3.5
"""One parcel's evidence, about."""
SLOWEST_MM_S, FASTEST_MM_S = 200.0, 500.0
"""Belts of the trade: for what a pulse must outlast, and by what time an officer must have judged."""


def examine(
    config_path: Path,
    *,
    live: bool = False,
    clock: Clock | None = None,
    greet: Callable[[BrokerConfig, str], Probe] = probe,
) -> list[Finding]:
    """Every check that can be made; never raises. `live` is a lane's: a station's devices serve one program
    at a time, and its page shows what they say."""
    try:
        config = read_xray_config(config_path)
    except (ConfigRefused, SettingsRefused) as refused:
        return [
            Finding("config", "bad", str(error), "改正该配置项", "correct this key")
            for error in refused.errors
        ]
    here = clock or SystemClock()
    runs = is_held(lock_path(config.store.folder / "journal.sqlite"))
    asked = Asked(
        device=config.station.id,
        sync=config.sync,
        store=config.store,
        lines=config.devices,
        spot_check=config.spot_check,
        clock_must_be_known=config.clock.require_synchronised,
        clock=here,
        runs=runs,
        otherwise="nothing passes by itself",
    )
    findings = [Finding("config", "good", f"{config_path}: X-ray station {config.station.id}")]
    for look in (keys, certificates, clock_, disk, journal, records):
        findings += look(asked)
    findings += broker(asked, greet)
    findings += ports(asked)
    for own in (_wires, _diverter, _time_to_judge, _folder, _evidence, _page):
        findings += own(config)
    findings += _wedge(config, here)
    if runs:
        findings.append(Finding("program", "good", "the station's program is running"))
    if live:
        findings.append(
            Finding("live", "note", "what the devices say is on the officers' page while the program runs")
        )
    findings.append(
        Finding(
            "safety",
            "note",
            "emergency stop, interlocks and the source's key must be wired to the X-ray machine and the "
            "drives, which act alone (S0, X1): no order of this program reaches them, and no program can "
            "see whether somebody wired a relay to them",
            "请人工确认急停、联锁、射线源钥匙已硬接到设备，本机继电器不得接入",
            "have somebody prove it at the machine, and follow each relay's wire to its end",
        )
    )
    return findings


_FAIL_SAFE = (
    ("portal_eye", "something at the portal"),
    ("xray_eye", "something at the X-ray inlet"),
    ("diverter_eye", "something at the diverter"),
    ("emergency_stop", "a pressed emergency stop"),
)
_MEANS_GO = (
    ("belt_running", "a running belt"),
    ("belt_forward", "a belt running forward"),
    ("source_on", "a source that is on"),
)


def _wires(config: XRayConfig) -> Iterator[Finding]:
    """Polarity that fails safe: a cut wire reads off, and must then mean that nothing passes (X1, X2)."""
    wired = settings_in_force(config.devices["belt"])
    inverted = set(wired.get("inverted", ()))
    for name, means in (*_FAIL_SAFE, *_MEANS_GO):
        if int(wired.get(name, -1)) < 0:
            yield Finding(
                f"wiring {name}",
                "note" if name == "source_on" else "bad",
                f"devices.belt.settings.{name} = -1: not wired; "
                + ("the machine says it instead" if name == "source_on" else "nothing passes without it"),
                "该信号未接入",
                "wire it to an input of the board",
            )
        elif name in inverted:
            yield Finding(
                f"wiring {name}",
                "bad",
                f"{name} is inverted: a cut wire would "
                + (f"read as {means}" if (name, means) in _MEANS_GO else f"hide {means}"),
                "极性接反：断线时必须等同于不通过",
                "wire it the other way and take it out of `inverted`",
            )
    inputs, relays = int(wired.get("inputs", 0)), int(wired.get("relays", 0))
    for name, number in wired.items():
        is_input = name.endswith("_eye") or name in {each for each, _ in (*_FAIL_SAFE, *_MEANS_GO)}
        is_relay = name in ("feed_permit", "stop_request", "pass_pulse", "flag_pulse") or name.startswith(
            "tower_"
        )
        most = inputs if is_input else relays if is_relay else None
        if most is not None and isinstance(number, int) and number >= most:
            yield Finding(
                f"wiring {name}",
                "bad",
                f"devices.belt.settings.{name} = {number}: the board has {most}, from 0",
                "编号超出板卡范围",
                "correct the number",
            )


def _diverter(config: XRayConfig) -> Iterator[Finding]:
    pulse_s, most_s = (
        config.pulses.divert_s,
        settings_in_force(config.devices["belt"]).get("divert_most_s", 10.0),
    )
    if pulse_s > float(most_s):
        yield Finding(
            "diverter",
            "bad",
            f"pulses.divert_s = {pulse_s:g}: the board's driver takes at most {most_s:g} s",
            "分拣脉冲过长",
            "shorten it, or raise devices.belt.settings.divert_most_s",
        )
        return
    way_mm = pulse_s * FASTEST_MM_S
    if config.layout.chute_mm and way_mm > config.layout.chute_mm + config.belt.least_gap_mm:
        yield Finding(
            "diverter",
            "note",
            f"pulses.divert_s = {pulse_s:g}: at {FASTEST_MM_S / 1000:g} m/s the belt goes {way_mm:.0f} mm "
            "meanwhile; the next parcel must not be at the diverter by then",
            "确认脉冲期间下一件不会到达分拣口",
            "watch one parcel after another at full speed",
        )
    else:
        yield Finding("diverter", "good", f"one pulse of {pulse_s:g} s a parcel, ended by the board (X2)")


def _time_to_judge(config: XRayConfig) -> Iterator[Finding]:
    way_mm = config.layout.diverter_mm - config.layout.xray_mm - config.belt.reaction_mm
    seconds = way_mm / SLOWEST_MM_S
    at = f"{seconds:.0f} s at {SLOWEST_MM_S / 1000:g} m/s"
    text = f"{way_mm / 1000:.1f} m from the X-ray to the last moment: {at}"
    if seconds < 8.0:
        yield Finding(
            "time to judge",
            "bad",
            f"{text}: an officer needs some 10 s",
            "判图时间不足，加长皮带或降速",
            "a longer belt, a slower one, or a loop; what is not judged in time goes to recheck",
        )
    else:
        yield Finding("time to judge", "good", text)


def _folder(config: XRayConfig) -> Iterator[Finding]:
    if config.folder is None:
        return
    if not config.folder.path.is_dir():
        yield Finding(
            "hot folder",
            "bad",
            f"{config.folder.path}: no such folder",
            "检查共享目录是否挂载",
            "mount the share",
        )
    else:
        yield Finding("hot folder", "good", str(config.folder.path))


def _evidence(config: XRayConfig) -> Iterator[Finding]:
    part = config.evidence
    existing = next((each for each in (part.folder, *part.folder.parents) if each.exists()), Path())
    free_mb = shutil.disk_usage(existing).free // 1_000_000
    room_mb = free_mb - part.keep_free_mb
    if room_mb < part.room_mb:
        yield Finding(
            "evidence disk",
            "bad",
            f"{free_mb} MB free, {part.keep_free_mb} of them not for evidence: the feed is withheld",
            "清理证据磁盘",
            "make room on this disk",
        )
        return
    parcels = int(min(room_mb, part.most_gb * 1_000) / PICTURE_MB)
    yield Finding("evidence disk", "good", f"room for about {parcels} parcels in {part.folder}")


def _page(config: XRayConfig) -> Iterator[Finding]:
    for path in (config.page.certificate_file, config.page.key_file):
        if path is not None and not path.is_file():
            yield Finding("page", "bad", f"{path}: no such file", "放置正确的证书", "put it there")


def _wedge(config: XRayConfig, clock: Clock) -> Iterator[Finding]:
    zh, en = "让阶梯楔过一次机", "send the step wedge through the machine"
    path = config.calibration.folder / IN_FORCE
    try:
        calibration = read_calibration(path)
    except (CalibrationRefused, OSError) as refused:
        yield Finding(
            "calibration", "bad", str(refused), "恢复旧的标定文件", "put an older one back, or calibrate anew"
        )
        return
    if calibration is None or not calibration.measured:
        yield Finding("calibration", "bad", "none was measured: nothing passes by itself", zh, en)
        return
    text = f"{calibration.id}, of {calibration.fit.made[:10]}, {calibration.fit.steps} steps"
    try:
        age = datetime.fromisoformat(clock.utc_text()) - datetime.fromisoformat(calibration.fit.made)
    except ValueError:
        age = timedelta(0)
    if age > timedelta(days=180):
        yield Finding(
            "calibration", "note", f"{text}: {age.days} days old", zh, f"{en}, after moving {path} away"
        )
    else:
        yield Finding("calibration", "good", text)
