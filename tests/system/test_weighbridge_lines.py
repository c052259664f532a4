"""Every simulated weighbridge on a pty of its own, read or asked by its driver through pyserial."""

from __future__ import annotations

import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import pytest
import serial

from edge.devices.catalogue import make_driver
from edge.devices.driver import Output
from edge.devices.readings import Reading, ReadTruncated, WeightSeen
from hardware_sims.devices.weighbridge import PROTOCOLS

pytestmark = pytest.mark.system

SHOWN_KG = 49_520
SETTINGS: dict[str, dict[str, object]] = {
    "yaohua_tf_eq": {"digits": "reversed"},
    "yaohua_tf_eq_2": {"digits": "forward"},
    "mt_sics": {"request": "SIR"},
}


def weighed(protocol: str, address: str, wanted: int, timeout_s: float = 20.0) -> list[Reading]:
    """What a driver on a real line tells until it has told `wanted` weights, the line's beginning aside."""
    driver = make_driver(f"weighbridge.{protocol.removesuffix('_2')}", SETTINGS.get(protocol, {}))
    told: list[Reading] = []
    wake_at_s: float | None = None
    with serial.Serial(address, 9600, timeout=0.02, write_timeout=2) as port:

        def take(output: Output) -> float | None:
            told.extend(output.readings)
            if output.send:
                port.write(output.send)
            return output.wake_at_s

        wake_at_s = take(driver.opened(time.monotonic()))
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            data = port.read(port.in_waiting or 1)
            if data:
                wake_at_s = take(driver.received(time.monotonic(), data))
            if wake_at_s is not None and wake_at_s <= time.monotonic():
                wake_at_s = take(driver.due(time.monotonic()))
            if sum(isinstance(reading, WeightSeen) for reading in told) >= wanted:
                return told
    raise AssertionError(f"{protocol}: {told[-5:]}")


def test_every_driver_weighs_through_a_real_serial_line(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text(
        "".join(
            f'[lanes.{name}]\nweighbridge = "{name}"\nzero_kg = {SHOWN_KG}\ncapacity_kg = 80000\n'
            for name in PROTOCOLS
        ),
        encoding="utf-8",
    )
    found: dict[str, set[Decimal]] = {}
    command = [sys.executable, "-m", "hardware_sims", "serve", str(site), "--json"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as sims:
        try:
            assert sims.stdout is not None
            for line in sims.stdout:
                if "READY" in line:
                    break
            for protocol in PROTOCOLS:
                told = weighed(protocol, str(tmp_path / "ports" / f"{protocol}-weighbridge"), 8)
                found[protocol] = {reading.value_kg for reading in told if isinstance(reading, WeightSeen)}
                cut = [reading for reading in told if isinstance(reading, ReadTruncated)]
                # a busy machine may leave more than the quiet time between two pieces of one frame
                assert len(cut) <= 2
        finally:
            sims.terminate()
    assert found == {protocol: {Decimal(SHOWN_KG)} for protocol in PROTOCOLS}
