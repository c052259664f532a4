"""The list of device protocols this product speaks: name -> driver, settings, decoder. Only place with names.

A driver is made from plain values (a config file's table), checked whole. `decode_frames` is what
`kakou frames` prints.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edge.devices.driver import Driver
from edge.devices.io_modbus import driver as io_modbus
from edge.devices.io_modbus import frames as io_modbus_frames
from edge.devices.led_fk import driver as led_fk
from edge.devices.led_fk import frames as led_fk_frames
from edge.devices.plate_camera_vzenith import driver as plate_camera_vzenith
from edge.devices.plate_camera_vzenith import frames as plate_camera_vzenith_frames
from edge.devices.readings import ReadGarbled, ReadTruncated
from edge.devices.rfid_r2000 import driver as rfid_r2000
from edge.devices.rfid_r2000 import frames as rfid_r2000_frames
from edge.devices.scanner_line import driver as scanner_line
from edge.devices.scanner_line import frames as scanner_line_frames
from edge.devices.settings import SettingError, SettingRow, SettingsRefused, check_settings, settings_table
from edge.devices.weighbridge_toledo import driver as weighbridge_toledo
from edge.devices.weighbridge_toledo import frames as weighbridge_toledo_frames
from edge.devices.weighbridge_yaohua import driver as weighbridge_yaohua
from edge.devices.weighbridge_yaohua import frames as weighbridge_yaohua_frames

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


def _camera(settings: plate_camera_vzenith.Settings) -> Callable[[], Driver]:
    """All connections of one camera share the memory of what was told."""
    memory = plate_camera_vzenith.Memory(settings.remember)
    return lambda: plate_camera_vzenith.VzenithDriver(settings, memory)


PROTOCOLS: Mapping[str, Protocol] = {
    "weighbridge.yaohua_tf0": Protocol(
        weighbridge_yaohua.Settings,
        _alone(weighbridge_yaohua.YaohuaDriver),
        weighbridge_yaohua_frames.decode,
    ),
    "weighbridge.toledo_continuous": Protocol(
        weighbridge_toledo.Settings,
        _alone(weighbridge_toledo.ToledoDriver),
        weighbridge_toledo_frames.decode,
    ),
    "rfid.r2000": Protocol(
        rfid_r2000.Settings,
        _alone(rfid_r2000.R2000Driver),
        rfid_r2000_frames.decode,
    ),
    "io.modbus_rtu": Protocol(
        io_modbus.Settings,
        _alone(io_modbus.ModbusDriver),
        io_modbus_frames.decode,
    ),
    "plate_camera.vzenith": Protocol(
        plate_camera_vzenith.Settings,
        _camera,
        plate_camera_vzenith_frames.decode,
    ),
    "scanner.line": Protocol(
        scanner_line.Settings,
        _alone(scanner_line.ScannerDriver),
        scanner_line_frames.decode,
    ),
    "led.fk": Protocol(
        led_fk.Settings,
        _alone(led_fk.LedDriver),
        led_fk_frames.decode,
    ),
}


class UnknownProtocol(ValueError):
    """No such protocol; the text lists those there are."""


def driver_maker(protocol: str, settings: Mapping[str, object], path: str = "") -> Callable[[], Driver]:
    """What makes the drivers of one device: one for a line, one for each connection a device opens to us.

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

    Whole: `{"ok": true, "protocol": ..., "messages": [{"type": ...}]}`. What is no frame is skipped where a
    whole frame follows, and is `{"ok": false, "protocol": ..., "error": ...}` where none does.
    """
    decode = _entry(protocol).frames
    rows: list[Row] = []
    errors: list[str] = [] if data else ["no bytes"]
    for found in decode(data) if data else []:
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
