"""The hub's broker is killed while a wall is open: hub, console, broker, lane and devices as real programs,
and a real Chromium. The wall says so by itself, and takes it back when the broker is there again."""

from __future__ import annotations

import time
from pathlib import Path

from hardware_sims.site import free_ports
from sync.hub.archive import Archive
from sync.hub.console.accounts import Role
from tests.console_rig import open_account
from tests.system.chromium import MARKS, launched, signed_in
from tests.system.conftest import Launcher, listening, mosquitto, until
from tests.system.test_commands_process import OFFICER, Commanded

pytestmark = MARKS
SAID_WITHIN_S = 5.0
"""On a machine with other work; a wall is told of what changed within 1 s."""


def test_a_wall_says_by_itself_that_the_hub_is_without_its_broker(tmp_path: Path, launch: Launcher) -> None:
    (port,) = free_ports(1)
    site = Commanded(tmp_path / "site", launch, console=port)
    address = f"http://127.0.0.1:{port}"
    archive = Archive.open(site.lane_site.site.archive)
    try:
        open_account(archive, OFFICER, [Role.WATCH])
    finally:
        archive.close()
    until(lambda: listening(port), "the console listens")
    with launched() as browser:
        page = signed_in(browser, address, OFFICER)
        page.wait_for_selector("[data-key=away]")
        site.broker.process.kill()
        began_s = time.perf_counter()
        page.wait_for_selector("[data-key=broker_lost]")
        assert time.perf_counter() - began_s < SAID_WITHIN_S
        assert page.locator("[data-key=away]").count() == 0
        config = site.lane_site.site.folder / "mosquitto.conf"
        launch((mosquitto(), "-c", str(config)))
        page.wait_for_selector("[data-key=away]", timeout=60_000)
        assert page.locator("[data-key=broker_lost]").count() == 0
