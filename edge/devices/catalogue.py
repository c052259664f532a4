"""The list of device protocols this product speaks: name -> driver, settings, decoder. Nothing else knows
names.

A driver is made from plain values (a config file's table), checked whole. `decode_frames` is what `kakou
frames` prints.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edge import devices
from edge.devices.driver import Driver
from edge.devices.readings import ReadGarbled, ReadTruncated
from edge.devices.settings import SettingError, SettingRow, SettingsRefused, check_settings, settings_table

Row = dict[str, Any]
"""One JSON line of `kakou frames`."""

_Decoded = list[dict[str, object] | ReadGarbled | ReadTruncated]


@dataclass(frozen=True, slots=True)
class Protocol:
    """One entry. `maker` takes checked settings and answers with what makes drivers of one device."""

    settings: type[Any]
    maker: Callable[[Any], Callable[[], Driver]]
    frames: Callable[[bytes], _Decoded]


def _alone(driver: Callable[[Any], Driver]) -> Callable[[Any], Callable[[], Driver]]:
    """Devices whose drivers share nothing."""

    def maker(settings: Any) -> Callable[[], Driver]:
        driver(settings)
        return lambda: driver(settings)

    return maker


def _camera(settings: devices.plate_camera_vzenith.driver.Settings) -> Callable[[], Driver]:
    """All connections of one camera share the memory of what was told."""
    memory = devices.plate_camera_vzenith.driver.Memory(settings.remember)
    return lambda: devices.plate_camera_vzenith.driver.VzenithDriver(settings, memory)


PROTOCOLS: Mapping[str, Protocol] = {
    "weighbridge.yaohua_tf0": Protocol(
        devices.weighbridge_yaohua.driver.Settings,
        _alone(devices.weighbridge_yaohua.driver.YaohuaDriver),
        devices.weighbridge_yaohua.frames.decode,
    ),
    "weighbridge.toledo_continuous": Protocol(
        devices.weighbridge_toledo.driver.Settings,
        _alone(devices.weighbridge_toledo.driver.ToledoDriver),
        devices.weighbridge_toledo.frames.decode,
    ),
    "rfid.r2000": Protocol(
        devices.rfid_r2000.driver.Settings,
        _alone(devices.rfid_r2000.driver.R2000Driver),
        devices.rfid_r2000.frames.decode,
    ),
    "io.modbus_rtu": Protocol(
        devices.io_modbus.driver.Settings,
        _alone(devices.io_modbus.driver.ModbusDriver),
        devices.io_modbus.frames.decode,
    ),
    "plate_camera.vzenith": Protocol(
        devices.plate_camera_vzenith.driver.Settings,
        _camera,
        devices.plate_camera_vzenith.frames.decode,
    ),
    "scanner.line": Protocol(
        devices.scanner_line.driver.Settings,
        _alone(devices.scanner_line.driver.ScannerDriver),
        devices.scanner_line.frames.decode,
    ),
    "led.fk": Protocol(
        devices.led_fk.driver.Settings,
        _alone(devices.led_fk.driver.LedDriver),
        devices.led_fk.frames.decode,
    ),
}


class UnknownProtocol(ValueError):
    """No such protocol; the text lists those there are."""


def driver_maker(protocol: str, settings: Mapping[str, object], path: str = "") -> Callable[[], Driver]:
    """What makes the drivers of one device: one for a line, one for each connection of a device that calls us.

    Raises `SettingsRefused` with every error, keys below `path`; an unknown protocol is one of them.
    """
    entry = PROTOCOLS.get(protocol)
    prefix = f"{path}." if path else ""
    if entry is None:
        expected = f"one of: {', '.join(PROTOCOLS)}"
        raise SettingsRefused((SettingError(f"{prefix}protocol", expected, repr(protocol)[:80]),))
    checked = check_settings(entry.settings, settings, path)
    try:
        return entry.maker(checked)
    except SettingsRefused as refused:
        errors = tuple(SettingError(prefix + e.path, e.expected, e.got) for e in refused.errors)
        raise SettingsRefused(errors) from None


def make_driver(protocol: str, settings: Mapping[str, object], path: str = "") -> Driver:
    """One driver. Raises `SettingsRefused` as `driver_maker` does."""
    return driver_maker(protocol, settings, path)()


def settings_of(protocol: str) -> tuple[SettingRow, ...]:
    """The settings a protocol's driver takes. Raises `UnknownProtocol`."""
    return settings_table(_entry(protocol).settings)


def decode_frames(protocol: str, data: bytes) -> list[Row]:
    """One row per frame found in `data`, in order; raises `UnknownProtocol`, nothing else.

    Whole: `{"ok": true, "protocol": ..., "messages": [{"type": ...}]}`. What is no frame is skipped where a whole
    frame follows, and is `{"ok": false, "protocol": ..., "error": ...}` where none does.
    """
    decode = _entry(protocol).frames
    rows: list[Row] = []
    errors: list[str] = [] if data else ["no bytes"]
    for found in decode(data):
        match found:
            case dict():
                rows.append({"ok": True, "protocol": protocol, "messages": [found]})
                errors = []
            case ReadGarbled(raw, why):
                errors.append(f"{len(raw)} bytes are no frame: {why}")
            case ReadTruncated(raw):
                errors.append(f"cut off after {len(raw)} bytes: {raw[:32].hex(' ')}")
    if not rows and not errors:
        errors = ["no frame in these bytes"]
    if errors:
        rows.append({"ok": False, "protocol": protocol, "error": "; ".join(errors)[:1000]})
    return rows


def _entry(protocol: str) -> Protocol:
    try:
        return PROTOCOLS[protocol]
    except KeyError:
        raise UnknownProtocol(f"{protocol!r}: expected one of {', '.join(PROTOCOLS)}") from None
