"""Access, controls and the proof pages in a real Chromium, by keyboard; and every page of the console looked
over: text of 7:1 and more, nothing clipped or wider than the screen, no key and no code for a word, no
picture broken. With KAKOU_PROVE in both languages, themes and sizes, with pictures in build/console."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from playwright.sync_api import Browser, BrowserContext, Page

from hardware_sims.devices.photographed import photograph
from sync.hub.blob_files import BlobFiles
from sync.hub.slips import SlipSettings
from sync.store.journal import utc_now
from sync.vocabulary.facts import (
    Alarm,
    AlarmCode,
    PassageClosed,
    PassageOpened,
    PictureTaken,
    Stream,
    VehicleCrossed,
)
from sync.vocabulary.rulings import Because, Reason, Verdict
from tests.console_rig import PASSWORD, ConsoleRig, console_rig, rostered
from tests.system.chromium import MARKS, OUTPUT, PICTURES, launched
from tests.unit.test_console_proof import PARCEL, PLATE, SLIP, ruled, stocked
from tests.unit.test_console_wall import busy

pytestmark = MARKS
LANE, PASSAGE = "lane-out", 7
NEW_OFFICER = "4604009"
SMALL, LARGE = (1366, 768), (1920, 1080)
LOOKS = (
    [
        *((language, theme, SMALL) for language in ("zh", "en") for theme in ("dark", "light")),
        ("zh", "dark", LARGE),
    ]
    if PICTURES
    else [("en", "light", SMALL)]
)
PAGES = {
    "wall-alarm": "/",
    "coverage": "/coverage",
    "search": "/search",
    "search-plate": f"/search?q={PLATE}",
    "search-similar": "/search?q=豫A1234?",
    "search-nothing": "/search?q=NOTHING",
    "passage": f"/passage/{LANE}/{PASSAGE}",
    "parcel": f"/parcel/{PARCEL}",
    "desk": "/desk",
    "hold": "/desk/hold/lane-in/4",
    "judging-none": "/judging",
    "controls": "/controls",
    "control-new": "/controls/new",
    "rates": "/controls/rates",
    "recalls": "/controls/recalls",
    "orders": "/controls/orders",
    "trace": f"/trace?q={PARCEL}",
    "live-none": "/live",
    "statistics": "/statistics",
    "accounts": "/access/accounts",
    "sessions": "/access/sessions",
    "reads": "/access/reads",
    "acts": "/access/acts",
    "password": "/access/password",
    "api": "/api",
    "not-found": "/passage/lane-out/99",
}

LOOK = """() => {
  const found = { wide: 0, pale: [], clipped: [], raw: [], broken: [] };
  found.wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  const light = (c) => { const f = (v) => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; };
    return .2126 * f(c[0]) + .7152 * f(c[1]) + .0722 * f(c[2]); };
  const numbers = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const behind = (e) => { for (; e; e = e.parentElement) { const c = numbers(getComputedStyle(e).backgroundColor);
    if (c.length === 3 || c[3] > .5) return c; } return [255, 255, 255]; };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = texts.nextNode(); node; node = texts.nextNode()) {
    const e = node.parentElement, said = node.textContent.trim(), box = e.getBoundingClientRect();
    if (!said || !box.width || !box.height || /^(script|style|title|option)$/i.test(e.tagName)) continue;
    if (e.closest(":disabled, .bell, .count, pre, .hash")) continue;
    const style = getComputedStyle(e), svg = e.ownerSVGElement;
    const ink = numbers(svg ? style.fill : style.color), ground = behind(svg ? svg.parentElement : e);
    const [a, b] = [light(ink), light(ground)].sort((x, y) => y - x);
    if ((a + .05) / (b + .05) < 7) found.pale.push(`${e.tagName}.${e.getAttribute("class") || ""} ${said.slice(0, 30)}`);
    if (/\\b[a-z]+(_[a-z]+)+\\b/.test(said) && !e.closest("code")) found.raw.push(said.slice(0, 80));
    if (style.overflowX === "hidden" && e.scrollWidth > e.clientWidth + 1) found.clipped.push(said.slice(0, 40));
  }
  for (const e of document.querySelectorAll(".card, .part, .figure, header, nav"))
    if (e.scrollWidth > e.clientWidth + 1) found.clipped.push(`${e.tagName} ${e.id} ${e.className}`);
  for (const e of document.images) if (e.complete && e.naturalWidth < 32) found.broken.push(e.getAttribute("src").slice(0, 60));
  return found;
}"""  # noqa: E501
LOADED = """() => Promise.all([...document.images].map((e) => {
  e.loading = "eager";
  return e.decode().catch(() => 0);
}))"""
FOCUSED = """() => {
  const e = document.activeElement, style = getComputedStyle(e);
  return [e.getAttribute("name") || e.textContent.trim(), style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2];
}"""  # noqa: E501


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as started:
        yield started


class Served(NamedTuple):
    rig: ConsoleRig
    address: str


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with pytest.MonkeyPatch.context() as patched, console_rig(tmp_path_factory.mktemp("site")) as made:
        patched.setattr("tests.unit.test_hub_device.AT", utc_now())
        key = Ed25519PrivateKey.from_private_bytes(bytes(range(7, 39)))
        slips = SlipSettings(key_file=made.folder / "k", issuer="hub-1")
        made.console.config = dataclasses.replace(made.console.config, slips=slips, slip_key=key)
        stocked(made)
        busy(made)
        made.record("officers", NEW_OFFICER, rostered(NEW_OFFICER))
        _passed(made)
        made.caught_up()
        with made.served() as address:
            yield Served(made, address)


def _passed(rig: ConsoleRig) -> None:
    content = photograph(PLATE)
    sha = hashlib.sha256(content).hexdigest()
    rig.say(
        LANE,
        PassageOpened(PASSAGE),
        PictureTaken(
            passage=PASSAGE, moment="recognised", camera="plate_camera", sha256=sha, size_bytes=len(content)
        ),
        ruled(rig, PASSAGE, Verdict.RELEASE, Because(Reason.RELEASED)),
        VehicleCrossed(PASSAGE, "o-7", ()),
        PassageClosed(passage=PASSAGE, outcome="crossed", lane_s=31.5),
    )
    files = BlobFiles(rig.console.config.blobs.folder)
    files.open()
    files.add(LANE, sha, 0, content)
    files.complete(LANE, sha, len(content))
    with rig.archive.transaction():
        rig.archive.store_blob(sha, utc_now())


class Reader:
    """Somebody signed in, from the first key on by keyboard."""

    def __init__(
        self, browser: Browser, address: str, language: str, theme: str, size: tuple[int, int]
    ) -> None:
        self.address = address
        self.context: BrowserContext = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, accept_downloads=True
        )
        preferred = (("kakou_language", language), ("kakou_theme", theme))
        self.context.add_cookies([{"name": k, "value": v, "url": address} for k, v in preferred])
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(90_000)
        self.wrong: list[str] = []
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", self._said)
        self.page.goto(f"{address}/sign-in")
        self.page.wait_for_function("document.activeElement.name === 'officer'")
        self.page.keyboard.type("4604001")
        self.page.keyboard.press("Tab")
        self.page.keyboard.type(PASSWORD)
        self.page.keyboard.press("Enter")
        self.page.wait_for_selector("header nav")

    def _said(self, said: Any) -> None:
        if said.type == "error" and "404" not in said.text:
            self.wrong.append(said.text)

    def at(self, path: str) -> Page:
        self.page.goto(f"{self.address}{path}", wait_until="domcontentloaded")
        self.page.wait_for_selector("main")
        return self.page

    def tabbed(self, times: int) -> list[tuple[str, bool]]:
        """What has the focus after each Tab, and whether that is to be seen."""
        found = []
        for _ in range(times):
            self.page.keyboard.press("Tab")
            found.append(tuple(self.page.evaluate(FOCUSED)))
        return found


@pytest.fixture
def reader(browser: Browser, site: Served) -> Iterator[Reader]:
    made = Reader(browser, site.address, "en", "light", SMALL)
    yield made
    assert made.wrong == []
    made.context.close()


def test_an_account_is_made_and_ended_by_keyboard_and_both_are_kept(reader: Reader, site: Served) -> None:
    page = reader.at("/access/accounts")
    page.focus("form.fields input[name=officer]")
    page.keyboard.type(NEW_OFFICER)
    seen = reader.tabbed(3)
    assert seen == [("password", True), ("again", True), ("roles", True)]
    page.keyboard.press("Space")
    page.focus("input[name=password]")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    row = page.locator("tr", has_text=NEW_OFFICER)
    row.wait_for()
    assert "Watch" in row.inner_text()
    row.locator("button", has_text="Close").press("Enter")
    page.locator("tr", has_text=NEW_OFFICER).get_by_text("Closed").wait_for()
    page = reader.at("/access/acts")
    page.select_option("select[name=what]", "console_account")
    page.focus("input[name=subject]")
    page.keyboard.type(NEW_OFFICER)
    page.keyboard.press("Enter")
    page.wait_for_url("**subject=4604009**")
    assert page.locator("table tr", has_text="Console account").count() == 2
    acts = [act for act in site.rig.archive.acts(50) if act.subject == NEW_OFFICER]
    assert [act.officers for act in acts] == [("4604001",)] * 2


def test_a_control_is_tried_goes_down_in_shadow_and_ends(reader: Reader, site: Served) -> None:
    page = reader.at("/controls/new")
    page.fill("input[name=control_id]", "BK7")
    page.fill("textarea[name=slip_nos]", SLIP)
    page.focus("input[name=reason_en]")
    page.keyboard.press("Enter")
    page.wait_for_selector("#matched")
    assert page.inner_text("#matched") == "1"
    assert f"{LANE} #{PASSAGE}" in page.inner_text("table.hits")
    page.fill("input[name=reason]", "tip-off")
    page.keyboard.press("Enter")
    page.wait_for_url("**/controls/of/BK7")
    assert "Shadow" in page.inner_text("h1")
    assert site.rig.archive.record("controls", "BK7") is not None
    assert "Control put" in page.inner_text("main")
    page.fill("form.inline input[name=reason]", "over")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Control ended")


def test_a_passage_is_found_seen_and_taken_along(reader: Reader) -> None:
    page = reader.at("/search")
    assert page.evaluate("document.activeElement.name") == "q"
    page.keyboard.type(PLATE)
    page.keyboard.press("Enter")
    page.wait_for_selector("table.passages")
    page.click(f"table.passages a[href^='/passage/{LANE}/'][href$='/{PASSAGE}']")
    page.wait_for_selector(".proof .green")
    picture = page.locator("figure img")
    picture.scroll_into_view_if_needed()
    page.wait_for_function("document.querySelector('figure img').naturalWidth > 300")
    assert "plate camera" in page.inner_text("figure figcaption")
    with page.expect_download() as taken:
        page.click(".proof a.button")
    content = Path(taken.value.path()).read_bytes()
    assert len(content) > 1_000


def test_codes_are_given_and_the_sheet_of_labels_is_a_file(reader: Reader) -> None:
    page = reader.at("/trace")
    page.fill("input[name=slip_no]", SLIP)
    page.fill("form[action='/trace/codes'] input[name=reason]", "packed")
    page.keyboard.press("Enter")
    page.wait_for_selector("form[action='/trace/labels.pdf']")
    with page.expect_download() as taken:
        page.click("form[action='/trace/labels.pdf'] button")
    assert Path(taken.value.path()).read_bytes().startswith(b"%PDF-")


@pytest.mark.timeout(1_200 if PICTURES else 300)
def test_every_page_is_readable_and_nothing_on_it_is_cut_off(browser: Browser, site: Served) -> None:
    site.rig.say("lane-in", Alarm(code=AlarmCode.TAILGATER, passage=4), stream=Stream.ALARM)
    site.rig.caught_up()
    problems: dict[str, Any] = {}
    for language, theme, size in LOOKS:
        reader = Reader(browser, site.address, language, theme, size)
        for name, path in PAGES.items():
            page = reader.at(path)
            page.evaluate(LOADED)
            if PICTURES:
                OUTPUT.mkdir(parents=True, exist_ok=True)
                picture = OUTPUT / f"{name}-{language}-{theme}-{size[0]}.png"
                page.screenshot(path=picture, full_page=not name.startswith("wall"))
            found = {what: told for what, told in page.evaluate(LOOK).items() if told}
            if found:
                problems[f"{name} {language} {theme} {size[0]}"] = found
        assert reader.wrong == []
        reader.context.close()
    assert problems == {}
