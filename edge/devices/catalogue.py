"""The list of device protocols this product speaks: name -> driver, settings, decoder. Only place with names.

A driver is made from plain values (a config file's table), checked whole. `decode_frames` is what
`kakou frames` prints.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge.devices.container_camera_http_json import driver as container_camera_http_json
from edge.devices.container_camera_http_json import frames as container_camera_http_json_frames
from edge.devices.customs_front_end import driver as customs_front_end
from edge.devices.customs_front_end import frames as customs_front_end_frames
from edge.devices.device_clock import DeviceClock
from edge.devices.driver import Driver
from edge.devices.io_modbus import driver as io_modbus
from edge.devices.io_modbus import frames as io_modbus_frames
from edge.devices.led_ascii import driver as led_ascii
from edge.devices.led_ascii import frames as led_ascii_frames
from edge.devices.led_fk import driver as led_fk
from edge.devices.led_fk import frames as led_fk_frames
from edge.devices.plate_camera_dahua import driver as plate_camera_dahua
from edge.devices.plate_camera_dahua import frames as plate_camera_dahua_frames
from edge.devices.plate_camera_hikvision import driver as plate_camera_hikvision
from edge.devices.plate_camera_hikvision import frames as plate_camera_hikvision_frames
from edge.devices.plate_camera_vzenith import driver as plate_camera_vzenith
from edge.devices.plate_camera_vzenith import frames as plate_camera_vzenith_frames
from edge.devices.readings import ReadGarbled, ReadTruncated
from edge.devices.repeats import Repeats
from edge.devices.rfid_em125 import driver as rfid_em125
from edge.devices.rfid_em125 import frames as rfid_em125_frames
from edge.devices.rfid_r2000 import driver as rfid_r2000
from edge.devices.rfid_r2000 import frames as rfid_r2000_frames
from edge.devices.rfid_uhfreader import driver as rfid_uhfreader
from edge.devices.rfid_uhfreader import frames as rfid_uhfreader_frames
from edge.devices.rfid_wiegand import driver as rfid_wiegand
from edge.devices.rfid_wiegand import frames as rfid_wiegand_frames
from edge.devices.scanner_gm65 import driver as scanner_gm65
from edge.devices.scanner_gm65 import frames as scanner_gm65_frames
from edge.devices.scanner_honeywell import driver as scanner_honeywell
from edge.devices.scanner_honeywell import frames as scanner_honeywell_frames
from edge.devices.scanner_keyence import driver as scanner_keyence
from edge.devices.scanner_keyence import frames as scanner_keyence_frames
from edge.devices.scanner_line import driver as scanner_line
from edge.devices.scanner_line import frames as scanner_line_frames
from edge.devices.scanner_newland import driver as scanner_newland
from edge.devices.scanner_newland import frames as scanner_newland_frames
from edge.devices.scanner_sick import driver as scanner_sick
from edge.devices.scanner_sick import frames as scanner_sick_frames
from edge.devices.secret_files import read_secret
from edge.devices.settings import SettingError, SettingRow, SettingsRefused, check_settings, settings_table
from edge.devices.weighbridge_mt_sics import driver as weighbridge_mt_sics
from edge.devices.weighbridge_mt_sics import frames as weighbridge_mt_sics_frames
from edge.devices.weighbridge_st_gs import driver as weighbridge_st_gs
from edge.devices.weighbridge_st_gs import frames as weighbridge_st_gs_frames
from edge.devices.weighbridge_toledo import driver as weighbridge_toledo
from edge.devices.weighbridge_toledo import frames as weighbridge_toledo_frames
from edge.devices.weighbridge_yaohua import driver as weighbridge_yaohua
from edge.devices.weighbridge_yaohua import frames as weighbridge_yaohua_frames
from edge.devices.weighbridge_yaohua_a12_ascii import driver as weighbridge_yaohua_a12_ascii
from edge.devices.weighbridge_yaohua_a12_ascii import frames as weighbridge_yaohua_a12_ascii_frames
from edge.devices.weighbridge_yaohua_a12e import driver as weighbridge_yaohua_a12e
from edge.devices.weighbridge_yaohua_a12e import frames as weighbridge_yaohua_a12e_frames
from edge.devices.weighbridge_yaohua_command import driver as weighbridge_yaohua_command
from edge.devices.weighbridge_yaohua_command import frames as weighbridge_yaohua_command_frames
from edge.devices.weighbridge_yaohua_tf_eq import driver as weighbridge_yaohua_tf_eq
from edge.devices.weighbridge_yaohua_tf_eq import frames as weighbridge_yaohua_tf_eq_frames
from edge.devices.xray_belt_io import driver as xray_belt_io
from edge.devices.xray_line_stream import driver as xray_line_stream
from edge.devices.xray_line_stream import frames as xray_line_stream_frames

Row = dict[str, Any]
"""One JSON line of `kakou frames`."""

_Decoded = Sequence[dict[str, object] | list[dict[str, object]] | ReadGarbled | ReadTruncated]
"""A list: one frame that carries several messages."""


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
    memory, clock = Repeats(settings.remember), DeviceClock()
    return lambda: plate_camera_vzenith.VzenithDriver(settings, memory, clock)


def _hikvision(settings: plate_camera_hikvision.Settings) -> Callable[[], Driver]:
    memory, clock = Repeats(settings.remember), DeviceClock()
    if settings.mode == "push":
        return lambda: plate_camera_hikvision.PushDriver(settings, memory, clock)
    password = read_secret("password_file", settings.password_file)
    plate_camera_hikvision.StreamDriver(settings, memory, clock, password=password)
    return lambda: plate_camera_hikvision.StreamDriver(settings, memory, clock, password=password)


def _dahua(settings: plate_camera_dahua.Settings) -> Callable[[], Driver]:
    password = read_secret("password_file", settings.password_file)
    plate_camera_dahua.DahuaDriver(settings, password=password)
    return lambda: plate_camera_dahua.DahuaDriver(settings, password=password)


def _container_camera(settings: container_camera_http_json.Settings) -> Callable[[], Driver]:
    memory = Repeats(settings.remember)
    token = read_secret("token_file", settings.token_file)
    return lambda: container_camera_http_json.ContainerDriver(settings, memory, token=token)


PROTOCOLS: Mapping[str, Protocol] = {
    "weighbridge.yaohua_tf0": Protocol(
        weighbridge_yaohua.Settings,
        _alone(weighbridge_yaohua.yaohua_line),
        weighbridge_yaohua_frames.decode,
    ),
    "weighbridge.yaohua_command": Protocol(
        weighbridge_yaohua_command.Settings,
        _alone(weighbridge_yaohua_command.YaohuaCommandDriver),
        weighbridge_yaohua_command_frames.decode,
    ),
    "weighbridge.yaohua_tf_eq": Protocol(
        weighbridge_yaohua_tf_eq.Settings,
        _alone(weighbridge_yaohua_tf_eq.tf_eq_line),
        weighbridge_yaohua_tf_eq_frames.decode,
    ),
    "weighbridge.yaohua_a12_ascii": Protocol(
        weighbridge_yaohua_a12_ascii.Settings,
        _alone(weighbridge_yaohua_a12_ascii.a12_ascii_line),
        weighbridge_yaohua_a12_ascii_frames.decode,
    ),
    "weighbridge.yaohua_a12e": Protocol(
        weighbridge_yaohua_a12e.Settings,
        _alone(weighbridge_yaohua_a12e.a12e_line),
        weighbridge_yaohua_a12e_frames.decode,
    ),
    "weighbridge.toledo_continuous": Protocol(
        weighbridge_toledo.Settings,
        _alone(weighbridge_toledo.toledo_line),
        weighbridge_toledo_frames.decode,
    ),
    "weighbridge.mt_sics": Protocol(
        weighbridge_mt_sics.Settings,
        _alone(weighbridge_mt_sics.MtSicsDriver),
        weighbridge_mt_sics_frames.decode,
    ),
    "weighbridge.st_gs_ascii": Protocol(
        weighbridge_st_gs.Settings,
        _alone(weighbridge_st_gs.st_gs_line),
        weighbridge_st_gs_frames.decode,
    ),
    "rfid.r2000": Protocol(
        rfid_r2000.Settings,
        _alone(rfid_r2000.R2000Driver),
        rfid_r2000_frames.decode,
    ),
    "rfid.uhfreader18": Protocol(
        rfid_uhfreader.Settings18,
        _alone(rfid_uhfreader.uhfreader18),
        rfid_uhfreader_frames.decode_18,
    ),
    "rfid.uhfreader288": Protocol(
        rfid_uhfreader.Settings288,
        _alone(rfid_uhfreader.uhfreader288),
        rfid_uhfreader_frames.decode_288,
    ),
    "rfid.em125": Protocol(
        rfid_em125.Settings,
        _alone(rfid_em125.em125),
        rfid_em125_frames.decode,
    ),
    "rfid.wiegand26": Protocol(
        rfid_wiegand.Settings,
        _alone(rfid_wiegand.wiegand26),
        rfid_wiegand_frames.decode_26,
    ),
    "rfid.wiegand34": Protocol(
        rfid_wiegand.Settings,
        _alone(rfid_wiegand.wiegand34),
        rfid_wiegand_frames.decode_34,
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
    "plate_camera.hikvision": Protocol(
        plate_camera_hikvision.Settings,
        _hikvision,
        plate_camera_hikvision_frames.decode,
    ),
    "plate_camera.dahua": Protocol(
        plate_camera_dahua.Settings,
        _dahua,
        plate_camera_dahua_frames.decode,
    ),
    "container_camera.http_json": Protocol(
        container_camera_http_json.Settings,
        _container_camera,
        container_camera_http_json_frames.decode,
    ),
    "scanner.line": Protocol(
        scanner_line.Settings,
        _alone(scanner_line.ScannerDriver),
        scanner_line_frames.decode,
    ),
    "scanner.gm65": Protocol(
        scanner_gm65.Settings,
        _alone(scanner_gm65.make),
        scanner_gm65_frames.decode,
    ),
    "scanner.honeywell": Protocol(
        scanner_honeywell.Settings,
        _alone(scanner_honeywell.make),
        scanner_honeywell_frames.decode,
    ),
    "scanner.newland": Protocol(
        scanner_newland.Settings,
        _alone(scanner_newland.make),
        scanner_newland_frames.decode,
    ),
    "scanner.keyence": Protocol(
        scanner_keyence.Settings,
        _alone(scanner_keyence.make),
        scanner_keyence_frames.decode,
    ),
    "scanner.sick": Protocol(
        scanner_sick.Settings,
        _alone(scanner_sick.make),
        scanner_sick_frames.decode,
    ),
    "led.fk": Protocol(
        led_fk.Settings,
        _alone(led_fk.LedDriver),
        led_fk_frames.decode,
    ),
    "led.ascii": Protocol(
        led_ascii.Settings,
        _alone(led_ascii.AsciiBoardDriver),
        led_ascii_frames.decode,
    ),
    "customs.front_end": Protocol(
        customs_front_end.Settings,
        _alone(customs_front_end.FrontEndDriver),
        customs_front_end_frames.decode,
    ),
    "xray.line_stream": Protocol(
        xray_line_stream.Settings,
        _alone(xray_line_stream.LineStreamDriver),
        xray_line_stream_frames.decode,
    ),
    "xray.belt_io": Protocol(
        xray_belt_io.Settings,
        _alone(xray_belt_io.BeltDriver),
        io_modbus_frames.decode,
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
            case list():
                rows.append({"ok": True, "protocol": protocol, "messages": found})
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
