"""A lane's cameras take a picture when somebody at the centre asks: hub, console, broker, lane, camera and
devices as real programs, and a real Chromium. From the click to the picture on the page."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from hardware_sims.cast import LANE_IN
from hardware_sims.site import free_ports
from sync.hub.archive import Archive
from sync.hub.console.accounts import Role
from sync.hub.console.words import WORDS
from tests.console_rig import open_account
from tests.system.chromium import MARKS, OUTPUT, PICTURES, launched, signed_in
from tests.system.conftest import Launcher, listening, until
from tests.system.test_commands_process import OFFICER, Commanded

pytestmark = MARKS
SOONEST_S = 8.0
"""From the click to the picture, on a machine with other work: a picture is drawn, sent, stored, shown."""
COME = """count => [...document.querySelectorAll("figure")].filter(each => {
  const shown = each.querySelector("img");
  return each.textContent.includes("Asked for by the centre") && shown && shown.naturalWidth > 300;
}).length >= count"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as started:
        yield started


def clicked(page: Page, button: str, pictures: int) -> float:
    """Seconds until so many pictures that were asked for are on the page, which nobody loads anew."""
    began_s = time.perf_counter()
    page.click(button)
    page.wait_for_function(COME, arg=pictures, polling=20.0)
    return time.perf_counter() - began_s


def kept(page: Page, address: str, name: str) -> None:
    if not PICTURES:
        return
    OUTPUT.mkdir(parents=True, exist_ok=True)
    for language in ("zh", "en"):
        page.context.add_cookies([{"name": "kakou_language", "value": language, "url": address}])
        page.goto(page.url, wait_until="domcontentloaded")
        page.wait_for_timeout(600)
        page.screenshot(path=str(OUTPUT / f"{name}-{language}.png"), full_page=True)


def test_a_picture_asked_for_stands_on_the_page_by_itself_and_nothing_else_happens(
    browser: Browser, tmp_path: Path, launch: Launcher
) -> None:
    (port,) = free_ports(1)
    site = Commanded(tmp_path / "site", launch, console=port)
    lane_site, address = site.lane_site, f"http://127.0.0.1:{port}"
    archive = Archive.open(lane_site.site.archive)
    try:
        open_account(archive, OFFICER, [Role.WATCH, Role.DUTY])
    finally:
        archive.close()
    until(lambda: listening(port), "the console listens")
    lane_site.go()
    number = int(lane_site.fact("ruling_made")["passage"])
    lane_site.fact("picture_taken", moment="ruling")
    before = {kind: len(lane_site.facts(kind)) for kind in ("ruling_made", "raise_ordered", "passage_closed")}

    page = signed_in(browser, address, OFFICER, height=900)
    page.goto(f"{address}/desk")
    page.wait_for_selector("a.button")
    page.click("a.button")
    page.click("form[action$='/take'] button")
    asking = "form[action$='/pictures']"
    page.fill(f"{asking} [name=reason]", "the seal on the doors")
    at_the_desk_s = clicked(page, f"{asking} button", 1)
    page.wait_for_selector(f"td.green:has-text('{WORDS['desk.state.done'][1]}')")
    kept(page, address, "hold-pictures")

    page.goto(f"{address}/live")
    page.fill("#ask-lane [name=reason]", "who is at the window")
    # One field serves every lane: Enter in it would be for the first of them.
    page.press("#ask-lane [name=reason]", "Enter")
    page.wait_for_timeout(500)
    assert page.input_value("#ask-lane [name=reason]") == "who is at the window"
    live_s = clicked(page, "button[form=ask-lane]", 2)
    page.wait_for_selector("text=who is at the window")
    kept(page, address, "live-pictures")
    page.context.close()

    given = ("--officer", OFFICER, "--reason", "once more")
    told = site.centre("pictures", LANE_IN, str(number), *given)
    assert (told.process.returncode, told.lines()[0]["why"]) == (0, "asked: overview")
    until(
        lambda: len([f for f in lane_site.facts("picture_taken") if f["moment"] == "asked"]) == 3, "the third"
    )
    other = site.centre("pictures", LANE_IN, str(number + 1), *given)
    why = f"passage {number + 1} is not in the lane, passage {number} is"
    assert (other.process.returncode, other.lines()[0]["why"]) == (1, why)

    taken = [(f["kind"], f["passage"], f["outcome"], f["officers"]) for f in lane_site.facts("command_taken")]
    assert taken == [
        *[("take_pictures", number, "done", [OFFICER])] * 3,
        ("take_pictures", number + 1, "refused", [OFFICER]),
    ]
    after = {kind: len(lane_site.facts(kind)) for kind in before}
    assert (after, lane_site.raise_pulses()) == (before, 0)
    print(
        f"from the click to the picture: {at_the_desk_s:.2f} s at the desk, {live_s:.2f} s on the live page"
    )
    assert max(at_the_desk_s, live_s) < SOONEST_S
