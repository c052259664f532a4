"""Exception desk, remote judging and live pictures in a real Chromium. With KAKOU_PROVE its pictures lie in
build/console afterwards, in both languages and themes, to be looked at."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from bench.live_rig import DEVICE, Endpoint, Handheld, MovingPicture
from bench.live_rig import SITE as LIVE_SITE
from edge.handheld.live.session import Stop
from edge.xray_bridge.page.server import PageSettings
from edge.xray_bridge.values import Verdict
from sync.hub.blob_files import BlobFiles
from sync.hub.console.words import WORDS
from sync.store.journal import utc_now
from sync.vocabulary.facts import PassageClosed, PictureTaken
from tests.console_rig import PASSWORD, ConsoleRig, console_rig
from tests.system.chromium import MARKS, OUTPUT, PICTURES, launched
from tests.unit.test_console_desk import LANE, held, two_officers
from tests.xray_desk import PIN, DeskSite, desk_site, officer_of, parcel_of

pytestmark = MARKS
STATION = "xray-1"
OFFICER = "4604001"
LOOKS = [(language, theme) for language in ("zh", "en") for theme in ("dark", "light")] if PICTURES else []


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched(["--autoplay-policy=no-user-gesture-required"]) as started:
        yield started


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeskSite]:
    made = desk_site(
        tmp_path_factory.mktemp("station"), PageSettings(port=0, desks={"desk-1": False, "remote-1": True})
    )
    made.line.strict = True
    made.roll.officers[OFFICER] = officer_of(OFFICER, "x_ray")
    yield made
    made.page.stop()


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[Endpoint]:
    with Endpoint(tmp_path / "live") as made:
        yield made


@pytest.fixture
def rig(tmp_path: Path, station: DeskSite, endpoint: Endpoint) -> Iterator[ConsoleRig]:
    with console_rig(tmp_path) as made:
        object.__setattr__(made.console.part, "stations", {STATION: f"http://127.0.0.1:{station.port}"})
        made.console.config = dataclasses.replace(
            made.console.config,
            live=endpoint.config.live,
            private_key=endpoint.hub_key,
            kid=endpoint.config.kid,
            site=LIVE_SITE,
        )
        yield made


def a_picture(rig: ConsoleRig, passage: int, moment: str, seed: int) -> None:
    scene = MovingPicture(640, 480, seed)
    pixels = scene.newest()
    assert pixels is not None
    ok, jpeg = cv2.imencode(".jpg", pixels)
    assert ok
    content = jpeg.tobytes()
    sha = hashlib.sha256(content).hexdigest()
    taken = PictureTaken(passage=passage, moment=moment, camera="front", sha256=sha, size_bytes=len(content))
    rig.say(LANE, taken)
    files = BlobFiles(rig.console.config.blobs.folder)
    files.open()
    files.add(LANE, sha, 0, content)
    files.complete(LANE, sha, len(content))
    with rig.archive.transaction():
        rig.archive.store_blob(sha, utc_now())


def opened(
    browser: Browser, address: str, wrong: list[str], officer: str = OFFICER
) -> tuple[BrowserContext, Page]:
    context = browser.new_context(viewport={"width": 1366, "height": 768}, locale="en")
    context.add_cookies([{"name": "kakou_language", "value": "en", "url": address}])
    page = context.new_page()
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on(
        "request", lambda asked: None if asked.url.startswith((address, "data:")) else wrong.append(asked.url)
    )
    page.goto(f"{address}/sign-in")
    page.fill("[name=officer]", officer)
    page.fill("[name=password]", PASSWORD)
    page.click("button.main")
    page.wait_for_selector("header nav")
    return context, page


def pictured(context: BrowserContext, page: Page, address: str, name: str, ready: str = "main") -> None:
    for language, theme in LOOKS:
        context.add_cookies(
            [
                {"name": "kakou_language", "value": language, "url": address},
                {"name": "kakou_theme", "value": theme, "url": address},
            ]
        )
        for width, height in ((1366, 768), (1920, 1080)):
            page.set_viewport_size({"width": width, "height": height})
            page.goto(page.url, wait_until="domcontentloaded")
            page.wait_for_selector(ready)
            page.wait_for_timeout(600)
            OUTPUT.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=str(OUTPUT / f"{name}-{language}-{theme}-{width}.png"))
        page.set_viewport_size({"width": 1366, "height": 768})
    context.add_cookies([{"name": "kakou_language", "value": "en", "url": address}])
    page.goto(page.url, wait_until="domcontentloaded")
    page.wait_for_selector(ready)


def test_a_hold_is_seen_come_taken_in_hand_told_and_seen_go_without_loading_the_page_anew(
    browser: Browser, rig: ConsoleRig
) -> None:
    two_officers(rig)
    wrong: list[str] = []
    with rig.served() as address:
        context, page = opened(browser, address, wrong)
        page.goto(f"{address}/desk")
        assert page.inner_text("#held-count") == "0"
        held(rig)
        for seed, moment in enumerate(("arrival", "weighing", "ruling")):
            a_picture(rig, 1, moment, seed)
        page.wait_for_function(
            "() => document.querySelector('#held-count').textContent === '1'", timeout=5_000
        )
        pictured(context, page, address, "desk")
        page.click("a.button")
        page.wait_for_selector(".pictures img")
        page.click("form[action$='/take'] button")
        page.wait_for_selector("form[action$='/board']")
        page.select_option("[name=preset]", "3")
        page.fill("form[action$='/board'] [name=reason]", "the lane is needed")
        page.click("form[action$='/board'] button")
        page.wait_for_selector(f"text={WORDS['desk.done_given'][1]}")
        (row,) = rig.archive.last_commands(5)
        pictured(context, page, address, "hold", ".pictures img")
        rig.archive.settle_command(row.command_id, LANE, "done", "", utc_now())
        page.wait_for_selector(f"td.green:has-text('{WORDS['desk.state.done'][1]}')", timeout=5_000)
        rig.say(LANE, PassageClosed(passage=1, outcome="backed_out", lane_s=60.0))
        page.wait_for_selector("#state[data-held='0']", timeout=5_000)
        # What can be done no more is not offered any more.
        page.wait_for_function("() => document.querySelector('.acts form') === null", timeout=5_000)
        context.close()
    assert wrong == []


def test_the_forms_of_a_hold_follow_who_has_it_and_keep_what_is_being_typed(
    browser: Browser, rig: ConsoleRig
) -> None:
    two_officers(rig)
    wrong: list[str] = []
    reason, board = "form[action$='/release'] [name=reason] >> nth=0", "form[action$='/board']"
    with rig.served() as address:
        held(rig)
        context, page = opened(browser, address, wrong)
        other_context, other = opened(browser, address, wrong, "4604002")
        for each in (page, other):
            each.goto(f"{address}/desk/hold/{LANE}/1")
            each.evaluate("() => { window.isTheSamePage = true; }")
        page.click("form[action$='/take'] button")
        page.wait_for_selector(board)
        # The other one's page says whose it is, without being loaded anew.
        other.wait_for_selector(f"button:has-text('{WORDS['desk.take_over'][1].format(OFFICER)}')")
        page.focus(reason)
        page.keyboard.type("weighed again, ")
        # Something else changes meanwhile: the field, its words and the cursor stay.
        a_picture(rig, 1, "arrival", 2)
        page.wait_for_selector(".pictures img")
        page.keyboard.type("17,400 kg")
        # Sending another form leaves it alone as well.
        page.fill(f"{board} [name=reason]", "lane is needed")
        page.click(f"{board} button")
        page.wait_for_selector(f"#said:has-text('{WORDS['desk.done_given'][1]}')")
        assert page.input_value(f"{board} [name=reason]") == ""
        assert page.input_value(reason) == "weighed again, 17,400 kg"
        other.fill("form[action$='/take'] [name=reason]", "shift change")
        other.click("form[action$='/take'] button")
        other.wait_for_selector(board)
        page.wait_for_selector(f"button:has-text('{WORDS['desk.take_over'][1].format('4604002')}')")
        assert page.is_hidden("#said")
        page.wait_for_function(f'() => document.querySelector("{board}") === null')
        assert page.input_value(reason) == "weighed again, 17,400 kg"
        assert page.is_disabled("form[action$='/release'] button >> nth=0")
        assert page.inner_text("[data-over] > p") == WORDS["desk.typed_stays"][1]
        other.click("form[action$='/leave'] button")
        page.wait_for_selector(f"form[action$='/take'] button:has-text('{WORDS['desk.take'][1]}')")
        page.click("form[action$='/take'] button")
        page.wait_for_selector("form[action$='/release'] button:enabled >> nth=0")
        assert page.input_value(reason) == "weighed again, 17,400 kg"
        assert page.is_editable(reason)
        # A refusal is said, and takes nothing away.
        page.fill("form[action$='/release'] [name=second] >> nth=0", "4604002")
        page.fill("form[action$='/release'] [name=second_password] >> nth=0", "wrong")
        page.click("form[action$='/release'] button >> nth=0")
        page.wait_for_selector(f"#said.amber:has-text('{WORDS['sign_in.wrong'][1]}')")
        assert page.input_value(reason) == "weighed again, 17,400 kg"
        rig.say(LANE, PassageClosed(passage=1, outcome="backed_out", lane_s=60.0))
        page.wait_for_selector("#state[data-held='0']")
        page.wait_for_function("() => document.querySelector('.acts button:enabled') === null")
        assert page.input_value(reason) == "weighed again, 17,400 kg"
        other.wait_for_function("() => document.querySelector('.acts form') === null")
        assert [each.evaluate("() => window.isTheSamePage") for each in (page, other)] == [True, True]
        other_context.close()
        context.close()
    assert [each for each in wrong if "409" not in each] == []


MAGENTA = """() => {
  const canvas = document.querySelector("#picture");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let found = 0;
  for (let at = 0; at < data.length; at += 4)
    if (data[at + 3] > 60 && data[at] > data[at + 1] + 70 && data[at + 2] > data[at + 1] + 70) found++;
  return found;
}"""


OFF_SCREEN = """() => {
  const off = [], fits = each => {
    const { left, top, right, bottom, width, height } = each.getBoundingClientRect();
    return width > 0 && height > 0 && left >= 0 && top >= 0 && right <= innerWidth && bottom <= innerHeight;
  };
  const about = document.querySelector("#about"), edge = about.getBoundingClientRect();
  for (const each of document.querySelectorAll("#picture, #countdown, #verdicts button, #queue-count, #queue, #modes button, .in-a-row, #about, #about section, #about img"))
    if (!fits(each)) off.push(each.id || each.textContent || each.alt);
  for (const each of about.querySelectorAll("div, p, h2, img")) {
    const { right, bottom } = each.getBoundingClientRect();
    if (right > edge.right || bottom > edge.bottom) off.push("about: " + (each.textContent || each.alt));
  }
  if (document.documentElement.scrollHeight > innerHeight) off.push("the page scrolls");
  if (document.querySelector("#picture").getBoundingClientRect().height < 0.45 * innerHeight) off.push("a small picture");
  return off;
}"""  # noqa: E501


def test_a_parcel_is_judged_from_the_centre_with_one_key(
    browser: Browser, rig: ConsoleRig, station: DeskSite
) -> None:
    wrong: list[str] = []
    station.line.reset()
    with rig.served() as address:
        context, page = opened(browser, address, wrong)
        page.goto(f"{address}/judging/{STATION}")
        page.fill("[name=pin]", PIN)
        page.click("button.main")
        station.line.place(parcel_of(1), 200.0)
        station.line.place(parcel_of(2), 260.0)
        shown = "() => document.querySelector('#picture').dataset.picture === 'pic-1'"
        page.wait_for_function(shown, polling=50.0)
        page.wait_for_selector("#about .waybill:has-text('SF14000000001')")
        pictured(context, page, address, "judging", "#about .waybill")
        # Whatever the language, all that every parcel needs is on the screen.
        for language in ("zh", "en"):
            context.add_cookies([{"name": "kakou_language", "value": language, "url": address}])
            page.goto(page.url, wait_until="domcontentloaded")
            for width, height in ((1366, 768), (1920, 1080)):
                page.set_viewport_size({"width": width, "height": height})
                page.wait_for_selector("#about .references img")
                page.wait_for_function("() => document.querySelector('#queue-count').textContent === '2'")
                page.wait_for_timeout(300)
                assert (language, width, page.evaluate(OFF_SCREEN)) == (language, width, [])
        page.set_viewport_size({"width": 1366, "height": 768})
        page.wait_for_function(shown, polling=50.0)
        assert page.evaluate(MAGENTA) == 0
        page.keyboard.press("t")
        page.wait_for_selector("#about div:has-text('62%')")
        assert page.get_attribute("#about .references img >> nth=0", "aria-current") == "true"
        page.keyboard.press("c")
        page.wait_for_selector("#about .references img:nth-child(2)[aria-current=true]")
        page.wait_for_function(f"() => ({MAGENTA})() > 200")
        page.screenshot(path=str(OUTPUT / "judging-difference.png"))
        assert station.album.compared == [("pic-1", "ref-1"), ("pic-1", "ref-2")]
        page.wait_for_timeout(600)
        page.keyboard.press("Space")
        page.wait_for_function(
            "() => document.querySelector('#picture').dataset.picture === 'pic-2'", polling=50.0
        )
        page.wait_for_selector("#judged .chip")
        assert [(each.parcel, each.officer, each.desk, each.verdict) for each in station.line.judged] == [
            (1, OFFICER, "remote-1", Verdict.PASSED)
        ]
        page.goto(f"{address}/judging")
        context.close()
    # A picture whose page was left is not fetched to its end.
    assert [each for each in wrong if "ERR_ABORTED" not in each] == []


def test_a_handhelds_picture_moves_and_sound_comes_when_it_is_asked_for(
    browser: Browser, rig: ConsoleRig, endpoint: Endpoint
) -> None:
    wrong: list[str] = []
    held(rig)
    a_picture(rig, 1, "arrival", 4)
    with (
        rig.served() as address,
        Handheld(endpoint, may_be_recorded=True, pictures=MovingPicture(320, 256)) as handheld,
    ):
        context, page = opened(browser, address, wrong)
        page.goto(f"{address}/live")
        page.wait_for_selector(f"td:has-text('{DEVICE}')")
        pictured(context, page, address, "live")
        page.fill("form[action$='/watch'] [name=reason]", "pallet 7")
        page.click("form[action$='/watch'] button")
        page.wait_for_function("() => document.querySelector('#live')?.naturalWidth > 100", polling=100.0)
        page.wait_for_selector("#live-state form[action$='/keep']", timeout=5_000)
        pictured(context, page, address, "live-room", "#live-state form")
        page.click("#hear")
        page.wait_for_function(
            "() => Number(document.querySelector('#hear').dataset.heard) > 8000", polling=100.0
        )
        # Kept from now on: the page stays, and so does its sound.
        page.click("#live-state form[action$='/keep'] button")
        page.wait_for_selector(f"#live-state:has-text('{WORDS['live.keeping'][1]}')")
        heard = int(page.get_attribute("#hear", "data-heard") or 0)
        assert heard > 8000
        page.wait_for_function(
            f"() => Number(document.querySelector('#hear').dataset.heard) > {heard + 8000}", polling=100.0
        )
        OUTPUT.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(OUTPUT / "live-kept.png"))
        second_context, second = opened(browser, address, wrong, "4604002")
        second.goto(f"{address}/live")
        second.wait_for_selector(f"td:has-text('● {WORDS['live.not_ended'][1]}')")
        second.fill("form[action$='/watch'] [name=reason]", "a second look")
        second.click("form[action$='/watch'] button")
        second.wait_for_function("() => document.querySelector('#live')?.naturalWidth > 100", polling=100.0)
        page.click("#live-state form[action$='/keep-no-more'] button")
        page.wait_for_selector("#live-state form[action$='/keep']")
        second.goto(f"{address}/live")
        second.fill("form[action$='/watch'] [name=reason]", "half a sen")
        second.evaluate("() => { window.isTheSamePage = true; }")
        second.wait_for_selector("td a[href^='/live-kept/']")
        assert second.input_value("form[action$='/watch'] [name=reason]") == "half a sen"
        page.click("form[action$='/leave'] button")
        page.wait_for_url(f"{address}/live")
        second.wait_for_selector("section[data-part=now] td:has-text('–')")
        assert second.input_value("form[action$='/watch'] [name=reason]") == "half a sen"
        handheld.connection.stop(Stop("officer"))
        second.wait_for_selector(f"section[data-part=now]:has-text('{WORDS['live.nobody'][1]}')")
        assert second.evaluate("() => window.isTheSamePage")
        second_context.close()
        context.close()
    assert [each for each in wrong if "ERR_ABORTED" not in each] == []
