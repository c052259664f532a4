"""A site may be played slower than life, to be walked through by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.gate.config import read_gate_config
from hardware_sims.site import LANES, write_site


@pytest.mark.parametrize("speed", [0.1, 0.3, 1.0, 20.0])
def test_lanes_take_their_configs_at_any_speed(tmp_path: Path, speed: float) -> None:
    site = write_site(tmp_path / "site", seed=1, vehicles=1, speed=speed)
    for lane in LANES:
        relays = read_gate_config(site.lane_config(lane)).relays
        assert relays.green_pulse_s >= 2 * relays.green_renew_s
