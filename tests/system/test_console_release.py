"""A vehicle that stands held in a running lane is let go from the console by two officers, each in a browser
of their own: the second confirms what the first asked for, and the arm rises, once (S8)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from hardware_sims.cast import LANE_IN
from hardware_sims.site import Site, console_port
from sync.hub.archive import Archive
from sync.hub.console.accounts import Role
from sync.hub.console.words import WORDS
from tests.console_rig import open_account
from tests.system.chromium import MARKS, OUTPUT, PICTURES, launched, signed_in
from tests.system.conftest import Launcher, listening, until
from tests.system.test_commands_process import Commanded

pytestmark = MARKS
FIRST, SECOND = "4604001", "4604002"
REASON = "weighed again: the slip was wrong"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as started:
        yield started


def at_the_desk(browser: Browser, address: str, officer: str) -> Page:
    page = signed_in(browser, address, officer)
    page.goto(f"{address}/desk")
    return page


def test_the_arm_rises_when_the_second_officer_confirms_and_not_before(
    browser: Browser, tmp_path: Path, launch: Launcher
) -> None:
    port = console_port()
    address = f"http://127.0.0.1:{port}"

    def prepare(site: Site) -> None:
        file = site.folder / "records" / "site.json"
        (known,) = json.loads(file.read_text(encoding="utf-8"))
        file.write_text(json.dumps([known | {"manual_release_officers": 2}]), encoding="utf-8")

        # Two browsers on a busy machine take longer than most drivers wait.
        scenario = site.scenario_file.read_text(encoding="utf-8")
        assert (scenario.count("[[vehicles]]"), "behaviour" in scenario) == (1, False)
        waits = "[[vehicles]]\nbehaviour = { wait_patience_s = 900, held_patience_s = 900, patience_s = 900 }"
        site.scenario_file.write_text(scenario.replace("[[vehicles]]", waits), encoding="utf-8")

    site = Commanded(tmp_path / "site", launch, officers=(FIRST, SECOND), console=port, prepare=prepare)
    lane = site.lane_site
    archive = Archive.open(lane.site.archive)
    with archive.transaction():
        for officer in (FIRST, SECOND):
            open_account(archive, officer, {Role.WATCH, Role.DUTY})
    archive.close()
    until(lambda: listening(port), "the console listens")
    first, second = (at_the_desk(browser, address, officer) for officer in (FIRST, SECOND))
    lane.go()
    for page in (first, second):
        page.click("a.button[href^='/desk/hold/']", timeout=60_000)
        page.wait_for_selector("#state[data-held='1']")
    first.click("form[action$='/take'] button")
    release = "section[data-part=release]"
    second.evaluate("() => scrollTo(0, document.body.scrollHeight)")
    first.fill(f"{release} [name=reason]", REASON)
    first.click(f"{release} button")
    first.wait_for_selector("form[action$='/withdraw']")
    # It comes up on the other one's page by itself, wherever that is scrolled to; the first cannot be both.
    second.wait_for_selector("form[action$='/confirm'] button.main")
    place = second.locator("form[action$='/confirm'] button.main").bounding_box()
    assert place is not None
    assert 0 <= place["y"] < 768 - place["height"]
    assert first.query_selector("form[action$='/confirm']") is None
    second.wait_for_timeout(1_500)
    assert (lane.raise_pulses(), lane.facts("command_taken")) == (0, [])
    second.click("form[action$='/confirm'] button")
    lane.happened("relay_pulse", name="open")
    taken = lane.fact("command_taken")
    assert (taken["officers"], taken["reason"], taken["outcome"]) == ([FIRST, SECOND], REASON, "done")
    # Both see it go, and nothing is left to press.
    for page in (first, second):
        page.wait_for_selector("#state[data-held='0']", timeout=60_000)
        page.wait_for_selector(f"td.green:has-text('{WORDS['desk.state.done'][1]}')", timeout=60_000)
        page.wait_for_function("() => document.querySelector('form[action$=confirm], .acts form') === null")
        if PICTURES:
            OUTPUT.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=str(OUTPUT / f"released-{'first' if page is first else 'second'}.png"))
        page.context.close()
    assert lane.fact("passage_closed")["outcome"] == "crossed"
    assert lane.raise_pulses() == 1
    assert lane.lane == LANE_IN
