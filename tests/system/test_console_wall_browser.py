"""The wall in a real Chromium at 1920x1080: figures of 32 px and more; while no alarm is open nothing is red
and nothing moves; what changes comes by itself, and nobody loses what he is typing. With KAKOU_PROVE its
pictures lie in build/console afterwards, to be looked at."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

from sync.hub.console.words import WORDS
from sync.store.journal import utc_now
from sync.vocabulary.facts import Alarm, AlarmCode, Stream
from sync.vocabulary.rulings import Verdict
from tests.console_rig import PASSWORD, ConsoleRig, console_rig
from tests.system.chromium import MARKS, OUTPUT, PICTURES, launched
from tests.unit.test_console_wall import busy, ruling

pytestmark = MARKS
LEAST_PX = 32.0

LOOK = """() => {
  const red = (text) => (text.match(/rgba?\\([^)]*\\)/g) || []).some((one) => {
    const [r, g, b, a = 1] = one.match(/[\\d.]+/g).map(Number);
    return a > 0 && r > 140 && r > 1.8 * g && r > 1.8 * b;
  });
  const found = { red: [], moving: [], small: [], keys: 0 };
  for (const each of document.querySelectorAll("body, body *")) {
    const style = getComputedStyle(each);
    const name = each.tagName + "." + (each.getAttribute("class") || "");
    const colours = [style.color, style.backgroundColor, style.borderTopColor, style.borderLeftColor,
      style.fill, style.stroke, style.outlineColor, style.boxShadow, style.textDecorationColor,
      style.backgroundImage];
    if (colours.some(red)) found.red.push(name);
    const seconds = (text) => text.split(",").some((one) => parseFloat(one) > 0);
    if (style.animationName !== "none" || seconds(style.transitionDuration)
        || style.scrollBehavior === "smooth" || /^(MARQUEE|BLINK|ANIMATE|VIDEO|CANVAS)/i.test(each.tagName))
      found.moving.push(name);
    if (each.classList.contains("key")) {
      found.keys += 1;
      if (parseFloat(style.fontSize) < LEAST_PX) found.small.push(name + " " + style.fontSize);
    }
  }
  if (document.getAnimations().length) found.moving.push("document");
  return found;
}""".replace("LEAST_PX", str(LEAST_PX))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as started:
        yield started


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ConsoleRig]:
    monkeypatch.setattr("tests.unit.test_hub_device.AT", utc_now())
    with console_rig(tmp_path) as made:
        busy(made)
        yield made


class Screen:
    """Somebody signed in before a screen."""

    def __init__(
        self,
        browser: Browser,
        address: str,
        size: tuple[int, int] = (1920, 1080),
        language: str = "zh",
        theme: str = "dark",
    ) -> None:
        self.context = browser.new_context(viewport={"width": size[0], "height": size[1]})
        self.context.add_cookies(
            [
                {"name": "kakou_language", "value": language, "url": address},
                {"name": "kakou_theme", "value": theme, "url": address},
            ]
        )
        self.page: Page = self.context.new_page()
        self.wrong: list[str] = []
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", lambda said: self.wrong.append(said.text) if said.type == "error" else None)
        self.page.goto(f"{address}/sign-in")
        self.page.fill("input[name=officer]", "4604002")
        self.page.fill("input[name=password]", PASSWORD)
        self.page.click("button.main")
        self.page.wait_for_selector("#wall")

    def look(self) -> dict[str, Any]:
        found: dict[str, Any] = self.page.evaluate(LOOK)
        return found

    def pixels(self) -> np.ndarray[Any, Any]:
        return np.asarray(Image.open(io.BytesIO(self.page.screenshot())).convert("RGB"), dtype=np.int16)

    def close(self) -> None:
        self.context.close()


def _red(pixels: np.ndarray[Any, Any]) -> int:
    r, g, b = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    return int(np.count_nonzero((r > 140) & (r > 1.8 * g) & (r > 1.8 * b)))


def _without_the_clock(pixels: np.ndarray[Any, Any], screen: Screen) -> np.ndarray[Any, Any]:
    box = screen.page.locator("#part-plan .time").bounding_box()
    assert box is not None
    still = pixels.copy()
    x, y = int(box["x"]), int(box["y"])
    still[y - 2 : y + int(box["height"]) + 2, x - 2 : x + int(box["width"]) + 2] = 0
    return still


def test_while_no_alarm_is_open_nothing_is_red_and_nothing_moves(browser: Browser, rig: ConsoleRig) -> None:
    with rig.served() as address:
        screen = Screen(browser, address)
        found = screen.look()
        assert (found["red"], found["moving"], found["small"]) == ([], [], [])
        assert found["keys"] >= 8
        before = screen.pixels()
        screen.page.wait_for_timeout(1_300)
        after = screen.pixels()
        assert _red(before) == 0
        assert np.array_equal(_without_the_clock(before, screen), _without_the_clock(after, screen))

        # The same eyes see red as soon as there is an alarm, and none again when it is ended.
        rig.say("lane-in", Alarm(code=AlarmCode.TAILGATER, passage=4), stream=Stream.ALARM)
        screen.page.wait_for_selector("li.alarm")
        assert screen.look()["red"] != []
        assert _red(screen.pixels()) > 0
        screen.page.click("li.alarm summary")
        screen.page.fill("li.alarm input[name=note]", "turned back")
        screen.page.click("li.alarm form.end button")
        screen.page.wait_for_selector("li.alarm", state="detached")
        assert screen.look()["red"] == []
        assert screen.wrong == []
        screen.close()


def test_what_changes_comes_by_itself_and_nobody_loses_what_he_types(
    browser: Browser, rig: ConsoleRig
) -> None:
    rig.say("lane-in", Alarm(code=AlarmCode.TAILGATER, passage=4), stream=Stream.ALARM)
    with rig.served() as address:
        screen = Screen(browser, address, (1366, 768), "en", "light")
        page = screen.page
        page.wait_for_selector("li.alarm")
        page.click("li.alarm summary")
        page.type("li.alarm input[name=note]", "turned b")
        rig.say("lane-out", Alarm(code=AlarmCode.OVERSTAY), stream=Stream.ALARM)
        rig.say("lane-out", ruling(2, Verdict.HOLD))
        page.wait_for_selector('#part-plan [data-device="lane-out"][data-state="held"]')
        page.wait_for_function("document.querySelectorAll('li.alarm').length === 2")
        page.keyboard.type("ack")
        assert page.input_value("li.alarm details[open] input[name=note]") == "turned back"
        page.click("li.alarm:has(details[open]) form.take button")
        page.wait_for_selector("text=owner 4604002")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert screen.wrong == []
        screen.close()


@pytest.mark.skipif(not PICTURES, reason="pictures to be looked at: KAKOU_PROVE")
def test_pictures_of_the_wall(browser: Browser, rig: ConsoleRig) -> None:
    rig.say("lane-in", Alarm(code=AlarmCode.TAILGATER, passage=4), stream=Stream.ALARM)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    with rig.served() as address:
        for language in ("zh", "en"):
            for theme in ("dark", "light"):
                for size in ((1920, 1080), (1366, 768)):
                    screen = Screen(browser, address, size, language, theme)
                    screen.page.wait_for_selector("li.alarm")
                    screen.page.screenshot(path=OUTPUT / f"wall-{language}-{theme}-{size[0]}.png")
                    screen.close()
    assert len(list(OUTPUT.glob("wall-*.png"))) == 8


def test_an_act_that_is_refused_or_does_not_arrive_says_so_in_the_readers_language(
    browser: Browser, rig: ConsoleRig
) -> None:
    rig.say("lane-in", Alarm(code=AlarmCode.TAILGATER, passage=4), stream=Stream.ALARM)
    with rig.served() as address:
        for language, number in (("zh", 0), ("en", 1)):
            screen = Screen(browser, address, language=language)
            screen.page.wait_for_selector("li.alarm")
            screen.page.evaluate("document.body.dataset.csrf = 'of another page'")
            screen.page.click("li.alarm form.take button")
            screen.page.wait_for_selector("#said:not([hidden])")
            assert screen.page.inner_text("#said") == WORDS["refused.csrf"][number]
            screen.page.route("**/alarms/take", lambda route: route.abort())
            screen.page.click("li.alarm form.take button")
            screen.page.wait_for_function(
                "said => document.getElementById('said').textContent === said",
                arg=WORDS["wall.alarm.not_sent"][number],
            )
            screen.close()
