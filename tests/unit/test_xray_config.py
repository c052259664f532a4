"""An X-ray station's config: refused whole, every error at its key; and what doctor says of its wires."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.runtime.config_reading import ConfigRefused
from edge.xray_bridge.config import read_xray_config, station_settings
from edge.xray_bridge.doctor import examine
from edge.xray_bridge.values import Eye
from hardware_sims.xray_scenario import XrayScenario
from sync.link.client import BrokerConfig
from sync.link.probing import Probe
from tests.system.xray_site import WEDGE, XraySite

ADDRESSES = {"scanner": "/dev/null", "io": "socket://127.0.0.1:1", "xray": "socket://127.0.0.1:2"}


@pytest.fixture
def site(tmp_path: Path) -> XraySite:
    made = XraySite(tmp_path, XrayScenario(parcels=(WEDGE,)))
    made.write_config(ADDRESSES)
    return made


def errors(site: XraySite, change: tuple[str, str]) -> list[str]:
    text = site.config.read_text()
    assert change[0] in text
    site.config.write_text(text.replace(*change))
    with pytest.raises(ConfigRefused) as refused:
        read_xray_config(site.config)
    return [error.key for error in refused.value.errors]


def test_the_machine_is_told_what_the_file_says(site: XraySite) -> None:
    settings = station_settings(read_xray_config(site.config), version="1", digest="d", boot_id="b")
    assert (settings.layout.xray_mm, settings.windows.reader_mm) == (3_000.0, 60.0)
    assert settings.chute_eyes == {Eye.PASS_CHUTE, Eye.FLAG_CHUTE, Eye.RECHECK_CHUTE}
    assert settings.triage.few_references_tiers == ("high",)


def test_the_machine_reckons_with_the_pulse_the_board_gives(site: XraySite) -> None:
    """X3: what comes while it lasts goes the same way."""
    text = site.config.read_text()
    site.config.write_text(text.replace("[page]", "[pulses]\ndivert_s = 1.7\n[page]"))
    config = read_xray_config(site.config)
    assert station_settings(config, version="1", digest="d", boot_id="b").divert_s == 1.7


@pytest.mark.parametrize(
    ("change", "keys"),
    [
        (("diverter_mm = 8000.0", "diverter_mm = 2000.0"), ["layout.diverter_mm"]),
        (('protocol = "xray.belt_io"', 'protocol = "io.modbus_rtu"'), ["devices.belt.protocol"]),
        (("silent_after_s = 2.0", "silent_after_s = 9.0"), ["devices.belt.silent_after_s"]),
        (("stale_s = 1.0", "portal_eye = 1"), ["devices.belt.settings"]),
        (("[devices.xray]", "[devices.portal_second]"), ["devices.xray", "devices.portal_second.protocol"]),
        (("[page]\nport = 0", '[page]\nport = 0\nhost = "0.0.0.0"'), ["page.host"]),
        (("[page]", "[pulses]\npermit_s = 0.5\n[page]"), ["pulses.renew_s"]),
        (("[page]", '[belt]\nwaybill_shape = "("\n[page]'), ["belt.waybill_shape"]),
        (("room_mb = 16", "room_mb = 16\nrooms = 1"), ["evidence.rooms"]),
    ],
)
def test_what_does_not_fit_is_said_at_its_key(
    site: XraySite, change: tuple[str, str], keys: list[str]
) -> None:
    found = errors(site, change)
    assert [any(each.startswith(key) for each in found) for key in keys] == [True] * len(keys)


def nobody(config: BrokerConfig, name: str) -> Probe:
    return Probe("unreachable", "nobody listens")


def test_doctor_finds_a_wire_that_fails_to_the_wrong_side(site: XraySite) -> None:
    text = site.config.read_text()
    site.config.write_text(text.replace("stale_s = 1.0", 'inverted = ["emergency_stop"], belt_running = -1'))
    told = {each.check: each.level for each in examine(site.config, greet=nobody)}
    wrong = ["wiring emergency_stop", "wiring belt_running", "calibration", "broker"]
    assert [told[name] for name in wrong] == ["bad"] * len(wrong)
    assert told["safety"] == "note"


def test_doctor_has_nothing_against_the_wires_as_they_are_delivered(site: XraySite) -> None:
    assert [
        each.check for each in examine(site.config, greet=nobody) if each.check.startswith("wiring")
    ] == []
