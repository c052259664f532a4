"""Statistics and the API's page in a real Chromium: curves are drawn from what the page carries, nothing is
wider than the screen, nothing is red. With KAKOU_PROVE their pictures lie in build/console afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.console_rig import PASSWORD, console_rig
from tests.system.chromium import MARKS, OUTPUT, PICTURES, launched
from tests.unit.test_console_statistics import DAY, tell

pytestmark = MARKS
PAGES = {
    "statistics-day": f"/statistics?view=day&from={DAY}&to={DAY}",
    "statistics-lane": f"/statistics?view=lane&from=2026-01-25&to={DAY}",
    "statistics-station": f"/statistics?view=station&from={DAY}&to={DAY}",
    "statistics-enterprise": f"/statistics?view=enterprise&from=2026-01-25&to={DAY}",
    "statistics-officer": f"/statistics?view=officer&from=2026-01-25&to={DAY}",
    "statistics-reason": f"/statistics?view=reason&from=2026-01-25&to={DAY}",
    "api": "/api",
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as started:
        yield started


def test_curves_are_drawn_and_nothing_is_wider_than_the_screen(browser: Browser, tmp_path: Path) -> None:
    with console_rig(tmp_path) as rig:
        tell(rig)
        rig.caught_up()
        with rig.served() as address:
            page = browser.new_context(viewport={"width": 1366, "height": 768}).new_page()
            troubles: list[str] = []
            page.on(
                "console", lambda message: troubles.append(message.text) if message.type == "error" else None
            )
            page.on("pageerror", lambda error: troubles.append(str(error)))
            page.goto(f"{address}/sign-in")
            page.fill("input[name=officer]", "4604001")
            page.fill("input[name=password]", PASSWORD)
            page.click("button.main")
            looks = (
                [("zh", "dark"), ("zh", "light"), ("en", "dark"), ("en", "light")]
                if PICTURES
                else [("en", "light")]
            )
            for language, theme in looks:
                page.goto(f"{address}/prefer?language={language}&theme={theme}&to=/api")
                for name, where in PAGES.items():
                    page.goto(address + where)
                    assert _too_wide(page) <= 0, name
                    assert page.locator("canvas").count() == page.locator("[data-curves]").count()
                    if PICTURES:
                        OUTPUT.mkdir(parents=True, exist_ok=True)
                        page.screenshot(path=OUTPUT / f"{name}-{language}-{theme}.png", full_page=True)
            assert page.goto(f"{address}/statistics?view=lane&from={DAY}&to={DAY}")
            assert page.locator(".u-legend .u-label").all_text_contents()[1:] == ["lane-in", "lane-out"]
            assert troubles == []


def _too_wide(page: Page) -> int:
    wide: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return wide
