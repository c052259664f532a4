"""A real Chromium for the tests of pages: where it is, how it is started, and where its pictures go."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.console_rig import PASSWORD

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
MARKS = [
    pytest.mark.system,
    pytest.mark.xdist_group("chromium"),
    pytest.mark.timeout(300),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (Debian: apt install chromium)"),
]
PICTURES = bool(os.environ.get("KAKOU_PROVE"))
OUTPUT = Path(__file__).resolve().parents[2] / "build" / "console"
"""Of the console's pages."""
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A container's /dev/shm is small, and a window without a screen must be painted all the same.
    "--disable-dev-shm-usage",
    "--disable-renderer-backgrounding",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
]


def signed_in(browser: Browser, address: str, officer: str, height: int = 768) -> Page:
    """Somebody of the console, in a browser of their own, reading English."""
    context = browser.new_context(viewport={"width": 1366, "height": height}, locale="en")
    context.add_cookies([{"name": "kakou_language", "value": "en", "url": address}])
    page = context.new_page()
    page.goto(f"{address}/sign-in")
    page.fill("[name=officer]", officer)
    page.fill("[name=password]", PASSWORD)
    page.click("button.main")
    page.wait_for_selector("header nav")
    return page


@contextlib.contextmanager
def launched(more: Sequence[str] = ()) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, *more])
        yield started
        started.close()
