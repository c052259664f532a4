"""Settings of drivers: every error is listed with its key, nothing unknown passes, pages name them all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from edge.devices.catalogue import PROTOCOLS, UnknownProtocol, driver_maker, make_driver, settings_of
from edge.devices.driver import Driver
from edge.devices.io_modbus.driver import ModbusDriver
from edge.devices.plate_camera_vzenith.driver import VzenithDriver
from edge.devices.settings import SettingsRefused, check_settings, setting, settings_table

PAGES = Path(__file__).resolve().parents[2] / "docs" / "devices"
PAGE_OF = {
    "weighbridge.yaohua_tf0": "weighbridge_yaohua.md",
    "weighbridge.yaohua_command": "weighbridge_yaohua_command.md",
    "weighbridge.yaohua_tf_eq": "weighbridge_yaohua_tf_eq.md",
    "weighbridge.yaohua_a12_ascii": "weighbridge_yaohua_a12_ascii.md",
    "weighbridge.yaohua_a12e": "weighbridge_yaohua_a12e.md",
    "weighbridge.toledo_continuous": "weighbridge_toledo.md",
    "weighbridge.mt_sics": "weighbridge_mt_sics.md",
    "weighbridge.st_gs_ascii": "weighbridge_st_gs.md",
    "rfid.r2000": "rfid_r2000.md",
    "io.modbus_rtu": "io_modbus.md",
    "plate_camera.vzenith": "plate_camera_vzenith.md",
    "plate_camera.hikvision": "plate_camera_hikvision.md",
    "plate_camera.dahua": "plate_camera_dahua.md",
    "container_camera.http_json": "container_camera_http_json.md",
    "scanner.line": "scanner_line.md",
    "scanner.gm65": "scanner_gm65.md",
    "scanner.honeywell": "scanner_honeywell.md",
    "scanner.newland": "scanner_newland.md",
    "scanner.keyence": "scanner_keyence.md",
    "scanner.sick": "scanner_sick.md",
    "led.fk": "led_fk.md",
    "rfid.uhfreader18": "rfid_uhfreader18.md",
    "rfid.uhfreader288": "rfid_uhfreader288.md",
    "rfid.em125": "rfid_em125.md",
    "rfid.wiegand26": "rfid_wiegand.md",
    "rfid.wiegand34": "rfid_wiegand.md",
    "led.ascii": "led_ascii.md",
    "customs.front_end": "customs_front_end.md",
    "xray.line_stream": "xray_line_stream.md",
    "xray.belt_io": "xray_belt_io.md",
}


def refusals(protocol: str, settings: dict[str, object], path: str = "") -> list[str]:
    with pytest.raises(SettingsRefused) as caught:
        make_driver(protocol, settings, path)
    return [str(error) for error in caught.value.errors]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_driver_works_with_no_settings_at_all(protocol: str) -> None:
    driver: Driver = make_driver(protocol, {})
    assert driver.opened(0.0).hang_up is False
    assert driver.received(0.0, b"") is not None


def test_every_error_is_listed_with_its_path_and_what_was_expected() -> None:
    wrong: dict[str, object] = {"unit_id": 0, "poll_s": "fast", "relays": True, "baud": 9600}
    assert refusals("io.modbus_rtu", wrong, "devices.io.settings") == [
        "devices.io.settings.unit_id: expected a whole number from 1 to 247, got 0",
        "devices.io.settings.poll_s: expected a number from 0 to 60, got 'fast'",
        "devices.io.settings.relays: expected a whole number from 1 to 32, got True",
        "devices.io.settings.baud: expected one of: framing, input_address, inputs, poll_s, relay_check_s, "
        "relay_style, relay_unit_id, relays, reply_timeout_s, retries, settle_s, silent_after, unit_id, "
        "got an unknown key",
    ]


def test_an_unknown_protocol_is_an_error_with_those_there_are() -> None:
    assert refusals("weighbridge.yaohua", {}, "devices.w") == [
        f"devices.w.protocol: expected one of: {', '.join(PROTOCOLS)}, got 'weighbridge.yaohua'"
    ]


@pytest.mark.parametrize(
    ("protocol", "settings", "says"),
    [
        ("scanner.line", {"ending": "CR"}, "ending: expected one of: 'cr', 'lf', 'crlf', 'tab', 'quiet'"),
        ("scanner.line", {"trigger_hex": "xy"}, "trigger_hex: expected bytes in hex, got 'xy'"),
        ("rfid.r2000", {"antennas": []}, "antennas: expected at least one antenna, got none"),
        ("rfid.r2000", {"antennas": [9]}, "antennas: expected a list of at most 64, each a whole number"),
        ("rfid.r2000", {"antennas": 0}, "antennas: expected a list of at most 64"),
        ("weighbridge.yaohua_tf0", {"quiet_s": float("nan")}, "quiet_s: expected a number from 0.001 to 10"),
        ("weighbridge.yaohua_tf0", {"quiet_s": 0}, "quiet_s: expected a number from 0.001 to 10, got 0"),
        ("weighbridge.toledo_continuous", {"checksum": 1}, "checksum: expected true or false, got 1"),
        ("plate_camera.vzenith", {"serial_no": "x" * 65}, "serial_no: expected a text of at most 64"),
    ],
)  # fmt: skip
def test_wrong_settings_are_refused_in_words(protocol: str, settings: dict[str, object], says: str) -> None:
    (error,) = refusals(protocol, settings)
    assert error.startswith(says)


def test_plain_values_of_a_config_file_become_settings() -> None:
    driver = make_driver("io.modbus_rtu", {"unit_id": 7, "poll_s": 1, "inputs": 8})
    assert isinstance(driver, ModbusDriver)
    assert driver.opened(0.0).send[:6] == bytes.fromhex("07 02 00 00 00 08")


def test_connections_of_one_camera_share_what_was_told_and_cameras_do_not() -> None:
    maker = driver_maker("plate_camera.vzenith", {})
    body = b'{"AlarmInfoPlate":{"result":{"PlateResult":{"license":"\xe8\xb1\xabA12345","plateid":1}}}}'
    request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    told = []
    for driver in (maker(), maker(), driver_maker("plate_camera.vzenith", {})()):
        assert isinstance(driver, VzenithDriver)
        driver.opened(0.0)
        told.append(len(driver.received(0.0, request).readings))
    assert told == [1, 0, 1]


@dataclass(frozen=True)
class Sample:
    a: int = setting(1, "a", least=0)
    b: float | None = setting(None, "b", most=2)
    c: tuple[str, ...] = setting((), "c", most=3)
    d: Literal["x", 1] = setting("x", "d")


def test_options_lists_and_literals_are_read_as_declared() -> None:
    assert check_settings(Sample, {"b": 1, "c": ["xyz"], "d": 1}) == Sample(b=1.0, c=("xyz",), d=1)
    assert check_settings(Sample, {"b": None}) == Sample()


@pytest.mark.parametrize(
    "wrong",
    [
        {"a": -1},
        {"a": 1.0},
        {"b": 3},
        {"b": "1"},
        {"c": ["long"]},
        {"c": "x"},
        {"c": ["x"] * 65},
        {"d": True},
    ],
)
def test_values_of_another_kind_or_size_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsRefused, match=f"^{next(iter(wrong))}: expected "):
        check_settings(Sample, wrong)


def test_the_table_of_settings_tells_what_each_takes() -> None:
    assert [(row.key, row.expected, row.default) for row in settings_table(Sample)] == [
        ("a", "a whole number of at least 0", 1),
        ("b", "a number of at most 2", None),
        ("c", "a list of at most 64, each a text of at most 3 characters", ()),
        ("d", "one of: 'x', 1", "x"),
    ]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_protocols_page_lists_every_setting_with_its_default_and_meaning(protocol: str) -> None:
    page = (PAGES / PAGE_OF[protocol]).read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    expected = [
        f"| `{r.key}` | {shown(r.default)} | {r.expected} | {r.says} |" for r in settings_of(protocol)
    ]
    assert [row for row in rows if row in expected] == expected
    assert f"`{protocol}`" in page
    assert "Verified on a real unit" in page


def shown(default: object) -> str:
    """A default as TOML writes it."""
    match default:
        case bool():
            return str(default).lower()
        case str():
            return f'`"{default}"`'
        case tuple():
            return (
                "`["
                + ", ".join(f'"{item}"' if isinstance(item, str) else str(item) for item in default)
                + "]`"
            )
        case _:
            return str(default)


def test_settings_of_an_unknown_protocol_are_refused() -> None:
    with pytest.raises(UnknownProtocol):
        settings_of("nothing")
