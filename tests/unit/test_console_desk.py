"""The exception desk over an archive of real facts: who has a hold in hand, what reaches the lane, and under
whose numbers. Every number on a page is counted again from the archive's own bodies."""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from starlette.testclient import TestClient

from sync.hub.blob_files import BlobFiles
from sync.hub.centre import later
from sync.hub.console import desk
from sync.hub.console.accounts import Role, set_account
from sync.hub.console.pages import desk as desk_pages
from sync.hub.console.words import WORDS
from sync.store.journal import utc_now
from sync.vocabulary.commands import Outcome
from sync.vocabulary.facts import (
    CommandTaken,
    OrderTaken,
    PassageClosed,
    PassageOpened,
    PictureMissed,
    PictureTaken,
    RaiseOrdered,
    ReadingKept,
    RulingMade,
    Stream,
)
from sync.vocabulary.records import Direction, InspectionMethod, OrderPart, Site, SiteLane
from sync.vocabulary.rulings import Because, Reason, Ruling, Verdict
from tests.console_rig import CHEAP, PASSWORD, ConsoleRig, console_rig, rostered
from tests.unit.test_hub_device import SITE

EPOCH = "e" * 32
LANE = "lane-in"
PLATE = "豫A12345"
SLIP = "Z4604I261122000000000001"
JPEG = b"\xff\xd8\xff\xe0 a picture \xff\xd9"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[ConsoleRig]:
    with console_rig(tmp_path) as made:
        yield made


def held(rig: ConsoleRig, passage: int = 1, lane: str = LANE, **changes: object) -> None:
    fields: dict[str, object] = {
        "passage": passage,
        "ruling": Ruling(Verdict.HOLD, (Because(Reason.WEIGHT_OVER, "+1,240 kg"),)),
        "direction": "in",
        "plate": PLATE,
        "slips": (SLIP,),
        "enterprise": "4101986X01",
        "gross_kg": "18240",
        "expected_kg": "17000",
        "readings": (ReadingKept("plate", PLATE, 1.2), ReadingKept("weight", "18240", 3.4)),
        "owner": "lane_officer",
        "ways": ("release", "aside", "supplement", "back_out"),
        "texts_zh": ("超重 请等待",),
        "texts_en": ("Too heavy, please wait",),
    }
    rig.say(lane, PassageOpened(passage=passage), RulingMade(**{**fields, **changes}))  # type: ignore[arg-type]
    rig.caught_up()


def two_officers(rig: ConsoleRig) -> None:
    site = Site(site=SITE, name_zh="示范口岸", name_en="Demo port", manual_release_officers=2)
    rig.record("site", SITE, site)
    rig.console._site = None


def post(client: TestClient, do: str, passage: int = 1, **fields: Any) -> int:
    return client.post(f"/desk/hold/{LANE}/{EPOCH}/{passage}/{do}", data=fields).status_code


def commands(rig: ConsoleRig) -> list[tuple[str, str, tuple[str, ...], str]]:
    rows = rig.archive.engine.execute("SELECT device, body, officers, reason FROM commands").fetchall()
    return [
        (device, json.loads(body)["type"], tuple(json.loads(who)), why) for device, body, who, why in rows
    ]


# --- what is shown --------------------------------------------------------------------------------------


def test_the_queue_is_every_held_passage_of_the_archive_by_deadline(rig: ConsoleRig) -> None:
    for passage in (3, 1, 2):
        held(rig, passage, f"lane-{passage}")
    rig.say("lane-2", PassageClosed(passage=2, outcome="backed_out", lane_s=90.0))
    rig.caught_up()
    bodies = rig.archive.engine.execute("SELECT kind, device, body FROM facts").fetchall()
    still = {
        device
        for kind, device, body in bodies
        if kind == "ruling_made" and json.loads(body)["data"]["ruling"]["verdict"] == "hold"
    } - {device for kind, device, _ in bodies if kind == "passage_closed"}
    text = rig.client().get("/desk").text
    shown = re.findall(r'href="/desk/hold/([^/]+)/', text)
    assert sorted(shown) == sorted(still) == ["lane-1", "lane-3"]
    assert f'id="held-count">{len(still)}<' in text


def test_a_hold_is_due_when_its_time_is_over_and_the_first_due_stands_first(rig: ConsoleRig) -> None:
    due_s = rig.console.part.hold_due_s
    for lane, ago_s in (("lane-1", 30.0), ("lane-2", due_s + 30.0), ("lane-3", 60.0)):
        rig.device(lane)
        time = later(utc_now(), -ago_s)
        ruling = RulingMade(
            passage=1, ruling=Ruling(Verdict.HOLD, (Because(Reason.WEIGHT_OVER),)), direction="in"
        )
        rig.send(
            rig.device(lane), [*rig.device(lane).facts[Stream.ALARM], *rig.device(lane).facts[Stream.ROUTINE]]
        )
        rig.say(lane, PassageOpened(passage=1), ruling, time=time)
    rig.caught_up()
    bodies = rig.archive.engine.execute(
        "SELECT device, body FROM facts WHERE kind = 'ruling_made'"
    ).fetchall()
    due = {
        device: datetime.fromisoformat(json.loads(body)["time"]) + timedelta(seconds=due_s)
        for device, body in bodies
    }
    text = rig.client().get("/desk").text
    told = re.findall(r'data-until="([^"]+)".*?href="/desk/hold/([^/]+)/', text, re.DOTALL)
    assert [(lane, datetime.fromisoformat(until)) for until, lane in told] == sorted(
        due.items(), key=lambda each: each[1]
    )
    late = [lane for lane, at in due.items() if at < datetime.now(UTC)]
    assert (late, text.count('class="overdue"')) == (["lane-2"], 1)
    page = rig.client().get("/desk/hold/lane-2/1", follow_redirects=True).text
    assert (WORDS["desk.overdue"][1] in page, f'data-until="{told[0][0]}"' in page) == (True, True)


def test_a_holds_numbers_are_those_of_its_ruling(rig: ConsoleRig) -> None:
    held(rig)
    (body,) = rig.archive.engine.execute("SELECT body FROM facts WHERE kind = 'ruling_made'").fetchone()
    data = json.loads(body)["data"]
    page = rig.client().get(f"/desk/hold/{LANE}/{EPOCH}/1").text
    assert f"<dd>{data['gross_kg']} / {data['expected_kg']} kg</dd>" in page
    readings = re.findall(r'<td>([^<]*)</td><td class="n">([\d.]+) s</td>', page)
    assert readings == [
        (f"{each['value']}{' kg' if each['kind'] == 'weight' else ''}", f"{each['after_s']:.1f}")
        for each in data["readings"]
    ]


def test_what_is_escalated_stands_before_what_is_due_sooner(rig: ConsoleRig) -> None:
    held(rig, 1, "lane-1")
    held(rig, 2, "lane-2")
    client = rig.client()
    address, why = f"/desk/hold/lane-2/{EPOCH}/2", {"reason": "driver refuses the scale"}
    # Only whoever has it in hand, and once.
    assert client.post(f"{address}/escalate", data=why).status_code == 409
    client.post(f"{address}/take")
    assert [client.post(f"{address}/escalate", data=why).status_code for _ in range(2)] == [303, 409]
    shown = re.findall(r'class="button" href="/desk/hold/([^/]+)/', client.get("/desk").text)
    assert shown == ["lane-2", "lane-1"]
    acts = [(act.act, act.subject, act.officers, act.reason) for act in rig.archive.acts(5)]
    assert ("hold_escalated", "lane-2/2", ("4604001",), "driver refuses the scale") in acts
    told = rig.archive.alarms(5, "hold_escalated")
    assert [(each[1], each[3]) for each in told] == [
        ("lane-2", "passage 2: 4604001: driver refuses the scale")
    ]
    # The wall's alarm leads there.
    (to,) = re.findall(r'href="(/desk/hold/[^"]+)"', client.get("/").text)
    assert client.get(to, follow_redirects=True).url.path == address


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_holds_page_says_all_of_it_in_both_languages_and_no_raw_key(rig: ConsoleRig, language: str) -> None:
    held(rig)
    client = rig.client(language=language)
    post(client, "take")
    post(client, "board", preset=2, reason="noise")
    pages = [client.get("/desk").text, client.get(f"/desk/hold/{LANE}/1", follow_redirects=True).text]
    number = 0 if language == "zh" else 1
    for text in pages:
        assert PLATE in text
        assert ("超重 请等待", "Too heavy, please wait")[number] in text
        assert not re.findall(r"[>\s](?:desk|nav|sign_in)\.[a-z_.]+[<\s]", text)
    assert (SLIP in pages[1], "18240" in pages[1], "17000" in pages[1]) == (True, True, True)
    assert WORDS["desk.step.board"][number] in pages[1]
    reads = rig.archive.engine.execute("SELECT officer, what, subject FROM console_reads").fetchall()
    assert ("4604001", "hold", f"{LANE}/1") in [tuple(row) for row in reads]


def test_pictures_come_from_the_blobs_and_only_those_of_the_passage(rig: ConsoleRig) -> None:
    held(rig)
    held(rig, 2)
    sha = hashlib.sha256(JPEG).hexdigest()
    taken = PictureTaken(passage=1, moment="arrival", camera="front", sha256=sha, size_bytes=len(JPEG))
    # A camera that sends one picture under two names.
    rig.say(LANE, taken, taken)
    rig.caught_up()
    client = rig.client()
    page = client.get(f"/desk/hold/{LANE}/1", follow_redirects=True).text
    assert page.count(WORDS["desk.picture_missing"][1]) == 1
    files = BlobFiles(rig.console.config.blobs.folder)
    files.open()
    files.add(LANE, sha, 0, JPEG)
    files.complete(LANE, sha, len(JPEG))
    with rig.archive.transaction():
        rig.archive.store_blob(sha, "2026-11-22T10:00:00.000000Z")
    address = f"/desk/hold/{LANE}/{EPOCH}/1/picture/{sha}"
    assert address in client.get(f"/desk/hold/{LANE}/1", follow_redirects=True).text
    answer = client.get(address)
    assert (answer.content, answer.headers["content-type"]) == (JPEG, "image/jpeg")
    assert client.get(address.replace("/1/picture", "/2/picture")).status_code == 404


# --- in hand --------------------------------------------------------------------------------------------


def test_one_vehicle_is_in_one_officers_hands(rig: ConsoleRig) -> None:
    held(rig)
    first, second = rig.client("4604001"), rig.client("4604002")
    assert post(second, "board", preset=1, reason="x") == 409
    assert post(first, "take") == 303
    assert post(second, "take") == 409
    assert post(second, "release", reason="x") == 409
    assert commands(rig) == []
    assert post(second, "take", reason="shift change") == 303
    assert post(first, "board", preset=1, reason="x") == 409
    assert post(second, "board", preset=1, reason="wait") == 303
    assert commands(rig) == [(LANE, "board_text", ("4604002",), "wait")]


def test_who_may_not_be_at_the_desk_sees_and_does_nothing(rig: ConsoleRig) -> None:
    held(rig)
    watcher = rig.client("4604003")
    assert [watcher.get(path).status_code for path in ("/desk", f"/desk/hold/{LANE}/1", "/desk/queue")] == [
        403
    ] * 3
    for do in (
        "take", "leave", "escalate", "board", "pictures", "release", "order", "close", "confirm", "withdraw",
    ):  # fmt: skip
        assert post(watcher, do, reason="x", preset=1, release_id="x") == 403
    assert commands(rig) == []


def test_without_the_pages_own_token_nothing_is_done(rig: ConsoleRig) -> None:
    held(rig)
    client = rig.client()
    del client.headers["x-kakou-token"]
    assert post(client, "take") == 403
    assert rig.archive.acts(3)[0].act == "console_account"


# --- what reaches the lane ------------------------------------------------------------------------------


def test_a_command_is_kept_and_its_outcome_shown_when_the_lane_answers(rig: ConsoleRig) -> None:
    held(rig)
    client = rig.client()
    post(client, "take")
    assert post(client, "board", preset=3, reason="lane is needed") == 303
    (row,) = rig.archive.last_commands(9)
    assert WORDS["desk.state.waiting"][1] in client.get(f"/desk/hold/{LANE}/{EPOCH}/1/state").text
    rig.say(
        LANE,
        CommandTaken(
            command_id=row.command_id, kind="board_text", officers=("4604001",), outcome=Outcome.DONE.value
        ),
    )
    rig.caught_up()
    rig.archive.settle_command(row.command_id, LANE, "done", "", "2026-11-22T10:00:00.000000Z")
    state = client.get(f"/desk/hold/{LANE}/{EPOCH}/1/state").text
    assert f'<td class="green">{WORDS["desk.state.done"][1]}' in state


def test_a_text_is_meant_for_this_driver_and_its_end_stands_on_the_passages_page(rig: ConsoleRig) -> None:
    held(rig)
    client = rig.client()
    post(client, "take")
    for said in ({"preset": 3}, {"zh": "请稍候", "en": "Wait"}):
        assert post(client, "board", reason="lane is needed", **said) == 303
    given = rig.archive.last_commands(9)
    assert [json.loads(row.body)["passage"] for row in given] == [1, 1]
    why = "passage 1 is not in the lane, passage 2 is"
    rig.archive.settle_command(given[0].command_id, LANE, "refused", why, "2026-11-22T10:00:00.000000Z")
    with rig.archive.transaction():
        # The lane's clock stands still in this test.
        rig.archive.engine.execute("UPDATE commands SET given_utc = (SELECT min(time) FROM facts)")
    for language, told in (
        ("zh", "中心指令：屏显文字 lane is needed → 被拒绝：过卡 1 已不在通道，现为过卡 2"),
        ("en", f"Command of the centre: text on the board lane is needed → refused: {why}"),
    ):
        page = rig.client(language=language).get(f"/passage/{LANE}/{EPOCH}/1").text
        assert told in re.sub(r"\s+", " ", html.unescape(re.sub("<[^>]+>", " ", page))), language


def test_who_has_it_in_hand_has_pictures_taken_and_sees_them_come(rig: ConsoleRig) -> None:
    held(rig)
    client, other = rig.client(), rig.client("4604002")
    assert post(client, "pictures", reason="the seal") == 409
    post(client, "take")
    assert post(other, "pictures", reason="the seal") == 409
    assert [post(client, "pictures", reason=reason) for reason in (" ", "x" * 201)] == [409, 422]
    assert commands(rig) == []
    assert post(client, "pictures", reason="the seal") == 303
    (row,) = rig.archive.last_commands(9)
    assert json.loads(row.body) == {"type": "take_pictures", "passage": 1}
    assert (row.device, row.officers, row.reason) == (LANE, ("4604001",), "the seal")
    state = f"/desk/hold/{LANE}/{EPOCH}/1/state"
    assert WORDS["desk.step.pictures"][1] in client.get(state).text
    sha = hashlib.sha256(JPEG).hexdigest()
    rig.say(
        LANE,
        CommandTaken(
            command_id=row.command_id, kind="take_pictures", outcome="done", why="asked: front, rear"
        ),
        PictureTaken(passage=1, moment="asked", camera="front", sha256=sha, size_bytes=len(JPEG)),
        PictureMissed(passage=1, moment="asked", camera="rear", why="no picture yet"),
        PictureMissed(passage=1, moment="arrival", camera="rear", why="its process has ended"),
    )
    rig.archive.settle_command(row.command_id, LANE, "done", "asked: front, rear", utc_now())
    rig.caught_up()
    text = client.get(state).text
    assert "asked: front, rear" in text
    assert "no picture yet" in text
    assert "its process has ended" not in text
    assert WORDS["desk.picture_missing"][1] in text
    files = BlobFiles(rig.console.config.blobs.folder)
    files.open()
    files.add(LANE, sha, 0, JPEG)
    files.complete(LANE, sha, len(JPEG))
    with rig.archive.transaction():
        rig.archive.store_blob(sha, utc_now())
    text = client.get(state).text
    assert f'<img src="/desk/hold/{LANE}/{EPOCH}/1/picture/{sha}"' in text
    assert f"<figcaption>{WORDS['desk.moment.asked'][1]} · front" in text
    chinese = rig.client(language="zh").get(state).text
    assert "已要求拍照：front、rear" in chinese
    assert "尚无画面" in chinese
    # Of the request after it, only what that one got none of.
    rig.say(
        LANE,
        CommandTaken(
            command_id="command-2", kind="take_pictures", passage=1, outcome="done", why="asked: front, rear"
        ),
    )
    rig.caught_up()
    assert "no picture yet" not in client.get(state).text


def test_one_request_for_pictures_waits_for_the_lane_at_a_time(rig: ConsoleRig) -> None:
    held(rig)
    held(rig, 1, "lane-9")
    client = rig.client()
    post(client, "take")
    assert post(client, "pictures", reason="the seal") == 303
    answer = client.post(f"/desk/hold/{LANE}/{EPOCH}/1/pictures", data={"reason": "once more"})
    assert (answer.status_code, WORDS["desk.pictures_given"][1] in answer.text) == (409, True)
    assert 'value="once more"' in answer.text
    # Another lane's request and another act are in nobody's way.
    client.post(f"/desk/hold/lane-9/{EPOCH}/1/take")
    assert client.post(f"/desk/hold/lane-9/{EPOCH}/1/pictures", data={"reason": "x"}).status_code == 303
    assert post(client, "board", preset=1, reason="wait") == 303
    (row,) = [
        each for each in rig.archive.last_commands(9) if (each.device, each.kind) == (LANE, "take_pictures")
    ]
    rig.archive.settle_command(row.command_id, LANE, "refused", "not answered yet: front", utc_now())
    assert post(client, "pictures", reason="once more") == 303


def test_a_request_that_never_reached_the_lane_is_void_after_its_time(
    rig: ConsoleRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    held(rig)
    client = rig.client()
    post(client, "take")
    assert post(client, "pictures", reason="the seal") == 303
    for after_s, answer in ((19.0, 409), (21.0, 303)):
        then = later(utc_now(), after_s)
        monkeypatch.setattr(desk_pages, "utc_now", lambda then=then: then)
        assert post(client, "pictures", reason="once more") == answer
        monkeypatch.undo()


def test_of_who_is_not_held_any_more_no_picture_is_asked_for_at_the_desk(rig: ConsoleRig) -> None:
    held(rig)
    client = rig.client()
    post(client, "take")
    rig.say(LANE, PassageClosed(passage=1, outcome="backed_out", lane_s=9.0))
    rig.caught_up()
    assert post(client, "pictures", reason="the seal") == 409
    assert commands(rig) == []


def test_one_officer_releases_where_the_site_wants_one(rig: ConsoleRig) -> None:
    held(rig)
    client = rig.client()
    post(client, "take")
    assert post(client, "release", reason="weighed again by hand") == 303
    assert commands(rig) == [(LANE, "manual_release", ("4604001",), "weighed again by hand")]


def test_two_officers_prove_themselves_in_one_form(rig: ConsoleRig) -> None:
    two_officers(rig)
    held(rig)
    client = rig.client()
    post(client, "take")
    wrong: dict[str, Any] = {"reason": "seal checked", "second": "4604002", "second_password": "not this one"}
    assert post(client, "release", **wrong) == 409
    assert post(client, "release", **{**wrong, "second": "4604001", "second_password": PASSWORD}) == 409
    assert post(client, "release", **{**wrong, "second": "4604003", "second_password": PASSWORD}) == 409
    assert commands(rig) == []
    assert post(client, "release", **{**wrong, "second_password": PASSWORD}) == 303
    assert commands(rig) == [(LANE, "manual_release", ("4604001", "4604002"), "seal checked")]


def test_guessing_the_second_officers_password_is_slowed_down(rig: ConsoleRig) -> None:
    two_officers(rig)
    held(rig)
    client = rig.client()
    post(client, "take")
    for _ in range(5):
        post(client, "release", reason="x", second="4604002", second_password="guess")
    assert post(client, "release", reason="x", second="4604002", second_password=PASSWORD) == 409
    assert commands(rig) == []


def test_the_second_officer_confirms_from_their_own_session_once(rig: ConsoleRig) -> None:
    two_officers(rig)
    held(rig)
    first, second, watcher = rig.client("4604001"), rig.client("4604002"), rig.client("4604003")
    post(first, "take")
    assert post(first, "release", reason="seal checked") == 303
    assert commands(rig) == []
    asked = re.findall(
        r'name="release_id" value="([0-9a-f]+)"',
        second.get(f"/desk/hold/{LANE}/1", follow_redirects=True).text,
    )
    assert len(asked) == 1
    assert post(first, "confirm", release_id=asked[0]) == 409
    assert post(watcher, "confirm", release_id=asked[0]) == 403
    assert post(second, "confirm", release_id=asked[0]) == 303
    assert post(second, "confirm", release_id=asked[0]) == 409
    assert commands(rig) == [(LANE, "manual_release", ("4604001", "4604002"), "seal checked")]


def test_a_second_officer_confirms_nothing_for_who_is_gone_nor_at_another_vehicles_page(
    rig: ConsoleRig,
) -> None:
    two_officers(rig)
    held(rig)
    held(rig, 2, "lane-2")
    first, second = rig.client("4604001"), rig.client("4604002")
    post(first, "take")
    assert post(first, "release", reason="seal checked") == 303
    page = second.get(f"/desk/hold/{LANE}/{EPOCH}/1").text
    (asked,) = re.findall(r'name="release_id" value="([0-9a-f]+)"', page)
    elsewhere = second.post(f"/desk/hold/lane-2/{EPOCH}/2/confirm", data={"release_id": asked})
    assert elsewhere.status_code == 409
    rig.say(LANE, PassageClosed(passage=1, outcome="backed_out", lane_s=60.0))
    rig.caught_up()
    assert post(second, "confirm", release_id=asked) == 409
    assert commands(rig) == []


def test_pressed_twice_it_is_one_release_until_the_lane_has_answered(rig: ConsoleRig) -> None:
    held(rig)
    client = rig.client()
    post(client, "take")
    assert post(client, "release", reason="weighed again") == 303
    again = client.post(f"/desk/hold/{LANE}/{EPOCH}/1/release", data={"reason": "weighed again"})
    assert (again.status_code, WORDS["desk.given_already"][1] in again.text) == (409, True)
    (row,) = rig.archive.last_commands(9)
    rig.archive.settle_command(row.command_id, LANE, "refused", "", "2026-11-22T10:00:00.000000Z")
    assert post(client, "release", reason="weighed again") == 303
    assert len(commands(rig)) == 2


def test_who_was_refused_finds_what_was_typed_but_no_password(rig: ConsoleRig) -> None:
    two_officers(rig)
    held(rig)
    client = rig.client()
    post(client, "take")
    fields = {"reason": "seal checked", "second": "4604002", "second_password": "not this one"}
    page = client.post(f"/desk/hold/{LANE}/{EPOCH}/1/release", data=fields).text
    address = f' method="post" action="/desk/hold/{LANE}/{EPOCH}/1/release"'
    release, aside = (form for form in page.split("<form") if form.startswith(address))
    assert ('value="seal checked"' in release, 'value="4604002"' in release) == (True, True)
    assert "seal checked" not in aside
    assert "not this one" not in page
    wish = {
        "reason": " ",
        "instructions": "the left door",
        "part": ["photos"],
        "due_min": 45,
        "method": "seal",
    }
    page = client.post(f"/desk/hold/{LANE}/{EPOCH}/1/order", data=wish).text
    assert 'value="the left door"' in page
    assert 'value="photos" checked' in page
    assert 'value="seal" selected' in page
    assert 'value="45"' in page
    own = {"reason": "x", "preset": 0, "zh": "请稍候"}
    page = client.post(f"/desk/hold/{LANE}/{EPOCH}/1/board", data=own).text
    assert ("<details open>" in page, 'value="请稍候"' in page) == (True, True)


def test_what_was_meant_for_one_driver_is_not_shown_to_the_next(rig: ConsoleRig) -> None:
    held(rig)
    client = rig.client()
    post(client, "take")
    rig.say(LANE, PassageClosed(passage=1, outcome="backed_out", lane_s=60.0))
    rig.caught_up()
    assert post(client, "board", preset=3, reason="lane is needed") == 409
    assert commands(rig) == []


def test_who_drives_on_to_the_inspection_is_held_no_more_until_it_is_ruled_again(rig: ConsoleRig) -> None:
    inspect = Ruling(Verdict.INSPECT, (Because(Reason.SPOT_CHECK),))
    held(rig, ruling=inspect)
    client = rig.client()
    assert 'id="held-count">1<' in client.get("/desk").text
    rig.say(LANE, RaiseOrdered(passage=1, order_id="o-1", purpose="inspect"))
    rig.caught_up()
    assert 'id="held-count">0<' in client.get("/desk").text
    page = client.get(f"/desk/hold/{LANE}/{EPOCH}/1").text
    assert ('data-held="0"' in page, WORDS["desk.sent_on"][1] in page) == (True, True)
    assert post(client, "take") == 409
    again = Ruling(Verdict.HOLD, (Because(Reason.DEVICE_SILENT, "io"),))
    held_again = {"passage": 1, "ruling": again, "direction": "in", "ways": ("release",), "plate": PLATE}
    rig.say(LANE, RulingMade(**held_again))  # type: ignore[arg-type]
    rig.caught_up()
    assert 'id="held-count">1<' in client.get("/desk").text
    assert post(client, "take") == 303


def test_a_lane_is_called_at_the_desk_as_on_its_sign(rig: ConsoleRig) -> None:
    lane = SiteLane(lane=LANE, direction=Direction.IN, name_zh="进1道", name_en="In 1")
    rig.record("site", SITE, Site(site=SITE, name_zh="示范口岸", name_en="Demo port", lanes=(lane,)))
    rig.console._site = None
    held(rig)
    client = rig.client()
    for page in ("/desk", f"/desk/hold/{LANE}/{EPOCH}/1"):
        assert ("In 1" in client.get(page).text, LANE in client.get(page).text) == (True, True)


@pytest.mark.parametrize("officers", [("4604001",), ("4604001", "4604001")])
def test_one_officer_is_never_two_whoever_asks(rig: ConsoleRig, officers: tuple[str, ...]) -> None:
    """Not at the page alone: whatever of the centre gives the release."""
    held(rig)
    hold = desk.Hold(LANE, EPOCH, 1)
    desk.take(rig.archive, hold, "4604001", utc_now())
    with pytest.raises(desk.DeskRefused, match=r"desk\.another_officer"):
        desk.release(rig.archive, hold, officers, "seal checked", utc_now(), aside=False, needed=2)
    assert commands(rig) == []


def test_an_officer_who_is_not_authorised_releases_nobody(rig: ConsoleRig) -> None:
    held(rig)
    rig.record("officers", "4604001", rostered("4604001", "inspect"))
    client = rig.client()
    post(client, "take")
    assert post(client, "release", reason="x") == 409
    assert commands(rig) == []


def test_a_way_the_hold_has_not_is_not_taken_and_who_is_gone_is_not_released(rig: ConsoleRig) -> None:
    held(rig, ways=("back_out",))
    client = rig.client()
    post(client, "take")
    assert post(client, "release", reason="x") == 409
    held(rig, 2)
    post(client, "take", 2)
    rig.say(LANE, PassageClosed(passage=2, outcome="backed_out", lane_s=60.0))
    rig.caught_up()
    assert post(client, "release", 2, reason="x") == 409
    assert commands(rig) == []
    assert 'data-held="0"' in client.get(f"/desk/hold/{LANE}/2", follow_redirects=True).text


def _asked(client: TestClient) -> str:
    text = client.get(f"/desk/hold/{LANE}/1", follow_redirects=True).text
    (asked,) = re.findall(r'name="release_id" value="([0-9a-f]+)"', text)
    return str(asked)


def test_a_release_nobody_confirmed_in_two_minutes_is_over(rig: ConsoleRig) -> None:
    two_officers(rig)
    held(rig)
    first, second = rig.client("4604001"), rig.client("4604002")
    post(first, "take")
    assert post(first, "release", reason="seal checked") == 303
    asked = _asked(second)
    (until,) = rig.archive.engine.execute("SELECT until_utc FROM console_releases").fetchone()
    assert 110 < (datetime.fromisoformat(until) - datetime.now(UTC)).total_seconds() <= 120
    rig.archive.engine.execute("UPDATE console_releases SET until_utc = ?", (utc_now(),))
    assert post(second, "confirm", release_id=asked) == 409
    assert commands(rig) == []


def test_a_release_is_withdrawn_by_who_asked_for_it_alone(rig: ConsoleRig) -> None:
    two_officers(rig)
    held(rig)
    first, second = rig.client("4604001"), rig.client("4604002")
    post(first, "take")
    post(first, "release", reason="seal checked")
    asked = _asked(second)
    assert post(second, "withdraw", release_id=asked) == 409
    assert _asked(second) == asked
    assert post(first, "withdraw", release_id=asked) == 303
    assert post(second, "confirm", release_id=asked) == 409
    assert commands(rig) == []
    acts = [(act.act, act.subject, act.officers, act.reason) for act in rig.archive.acts(2)]
    assert acts == [
        ("release_withdrawn", f"{LANE}/1", ("4604001",), ""),
        ("release_asked", f"{LANE}/1", ("4604001",), "seal checked"),
    ]
    page = first.get(f"/desk/hold/{LANE}/1", follow_redirects=True).text
    assert WORDS["desk.step.withdraw"][1] in page


def test_of_two_officers_the_first_must_still_be_one_when_the_second_confirms(rig: ConsoleRig) -> None:
    """Given another password meanwhile, the first officer's account is nobody's signature (S8)."""
    two_officers(rig)
    held(rig)
    first, second = rig.client("4604001"), rig.client("4604002")
    post(first, "take")
    post(first, "release", reason="seal checked")
    asked = _asked(second)
    set_account(
        rig.archive, "4604001", "another password", {Role.DUTY}, by="4604003", at_utc=utc_now(), hasher=CHEAP
    )
    assert post(second, "confirm", release_id=asked) == 409
    assert commands(rig) == []


def test_what_was_asked_for_one_vehicle_is_confirmed_for_no_other(rig: ConsoleRig) -> None:
    """Not from another vehicle's page, and not for one that has gone since (S5)."""
    two_officers(rig)
    held(rig)
    held(rig, 2, "lane-out")
    first, second = rig.client("4604001"), rig.client("4604002")
    post(first, "take")
    post(first, "release", reason="seal checked")
    asked = _asked(second)
    elsewhere = f"/desk/hold/lane-out/{EPOCH}/2/confirm"
    assert second.post(elsewhere, data={"release_id": asked}).status_code == 409
    rig.say(LANE, PassageClosed(passage=1, outcome="backed_out", lane_s=60.0))
    rig.caught_up()
    assert post(second, "confirm", release_id=asked) == 409
    assert commands(rig) == []


def test_nothing_is_shown_to_the_next_driver_that_was_meant_for_one_who_is_gone(rig: ConsoleRig) -> None:
    held(rig)
    client = rig.client()
    post(client, "take")
    rig.say(LANE, PassageClosed(passage=1, outcome="backed_out", lane_s=60.0))
    rig.caught_up()
    assert post(client, "board", preset=1, reason="wait") == 409
    assert commands(rig) == []


# --- an officer is sent ---------------------------------------------------------------------------------


def test_an_officer_is_sent_once_and_the_handhelds_word_is_shown(rig: ConsoleRig) -> None:
    held(rig)
    client = rig.client()
    post(client, "take")
    fields: dict[str, Any] = {
        "officer": "4604002",
        "method": "opened",
        "part": ["photos", "seal"],
        "instructions": "第三排",
    }
    assert post(client, "order", reason="weight differs", **fields) == 303
    (body,) = rig.archive.bodies_of("inspection_orders")
    order = msgspec.json.decode(body)
    assert (order["plate"], order["slip_no"], order["officers"]) == (PLATE, SLIP, ["4604002"])
    assert (order["method"], order["parts"], order["issued_by"]) == ("opened", ["photos", "seal"], "4604001")
    assert [(act.act, act.officers) for act in rig.archive.acts(1)] == [("issue_order", ("4604001",))]
    assert post(client, "order", reason="again") == 409
    rig.say("hand-1", OrderTaken(order_no=order["order_no"], officers=("4604002",)))
    rig.caught_up()
    assert WORDS["desk.state.taken"][1] in client.get(f"/desk/hold/{LANE}/{EPOCH}/1/state").text


# --- words ----------------------------------------------------------------------------------------------


def test_every_word_of_the_desk_is_there_in_both_languages() -> None:
    wanted = set(desk_pages.SAID) | {
        f"desk.{kind}.{each.value}"
        for kind, values in (("method", InspectionMethod), ("part", OrderPart))
        for each in values
    }
    assert not wanted - WORDS.keys()
    assert not [key for key, (zh, en) in WORDS.items() if key.startswith("desk.") and bool(zh) != bool(en)]
