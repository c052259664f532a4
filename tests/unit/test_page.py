"""The page at the lane: shows what is, believes nothing it shows, and lets nobody do anything."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import html
import http.client
import itertools
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pytest

from edge.devices.readings import InputsSeen, PlateSeen, TagSeen, WeightSeen
from edge.gate.effects import Commit, Show, ShowForAWhile, ShowOwnAgain, Told
from edge.gate.events import UNKNOWN_INPUTS
from edge.gate.lane import Holding, Lane, Phase, Shut
from edge.gate.page import MOST_VISITORS, Page
from edge.gate.screen import POLICY, SCRIPT, STANDS_STILL_S, STYLE, page
from edge.gate.showing import (
    PASSAGES_SHOWN,
    AlarmShown,
    DeviceShown,
    PassageShown,
    RecordsShown,
    Showing,
    Snapshot,
    Surroundings,
)
from edge.runtime.clock import SystemClock
from edge.runtime.supervisor import DeviceHealth
from sync.vocabulary.facts import (
    Alarm,
    AlarmCode,
    FactData,
    PassageClosed,
    PassageOpened,
    PictureTaken,
    RulingMade,
    Stream,
)
from sync.vocabulary.rulings import Because, Reason, Ruling, Verdict
from tests.machine.plays import CLEAR, SETTINGS, UP, Play

SHA = "ab" * 32
UTC = "2026-11-22T08:00:00.000000Z"
ALL_WELL = Surroundings(
    records=RecordsShown("demo", 23, 500, 12.0, 21_600.0),
    backlog=4,
    free_mb=81_800,
    reserve_mb=64,
    clock_set=True,
    uncertainty_ms=3,
    zone="Asia/Shanghai",
)
SHOWN = Snapshot(
    lane_id="lane-in-1",
    site="demo",
    direction="in",
    version="0.1.0",
    began_utc=UTC,
    utc=UTC,
    at_s=100.0,
    phase="Free",
    shut_why="",
    passage=None,
    inputs=CLEAR,
    inputs_s=100.0,
    says_zh="请驶入停车线",
    says_en="Drive to the stop line",
    colour="amber",
    online=True,
    devices=(
        DeviceShown(
            "weighbridge",
            "weighbridge.yaohua_tf0",
            "required",
            "open",
            "",
            "speaking",
            99.5,
            "20840 kg",
            True,
        ),
    ),
    passages=(
        PassageShown(
            7,
            UTC,
            plate="豫A12345",
            slips=("Z4604I260101000000000001",),
            gross_kg="20840",
            verdict="hold",
            codes=("weight_over",),
            reasons_zh=("重量超差 900 kg 请等待",),
            reasons_en=("900 kg over, please wait",),
            guides_zh=("复磅",),
            guides_en=("Weigh again",),
            pictures=(("arrival", SHA),),
        ),
    ),
    alarms=(AlarmShown(UTC, "tailgater", "疑似跟车闯卡", "A second vehicle on one raising", "order 7"),),
    around=ALL_WELL,
)


def shown(now_s: float = 100.2, **changes: Any) -> str:
    return page(replace(SHOWN, **changes), now_s, ZoneInfo("Asia/Shanghai"))


def text_of(document: str) -> str:
    """What a person reads: no style, no script, no tags."""
    body = document[document.index("<body>") :]
    body = re.sub(r'<p class="gone">.*?</p>', "", body)
    return html.unescape(re.sub(r"<[^>]+>", " ", body))


# --- what it says -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        "lane-in-1 进", "空闲", "Free", "请驶入停车线", "Drive to the stop line", "地磅", "Weighbridge",
        "20840 kg", "16:00:00", "kakou 0.1.0", "Z4604I260101000000000001", "number 23",
        "正常", "live · 0.7 s", "道杆落下", "Arm down", "光电通畅", "豫A12345", "重量超差 900 kg 请等待",
        "900 kg over, please wait", "疑似跟车闯卡", "A second vehicle on one raising", "底账", "12 s前",
        "中心在线", "Centre online", "81.8 GB", "within 3 ms",
    ],
)  # fmt: skip
def test_it_shows_what_is_so_in_both_languages(words: str) -> None:
    assert words in " ".join(text_of(shown()).split())


def test_a_hold_says_why_and_what_to_do() -> None:
    said = shown(phase="Holding", passage=7)
    assert "拦停" in said
    assert "复磅" in said
    assert "Weigh again" in said
    assert said.index("重量超差") < said.index("设备 Devices")


def test_a_closed_lane_says_why() -> None:
    said = text_of(shown(phase="Shut", shut_why="arm did not rise"))
    assert "通道关闭" in said
    assert "arm did not rise" in said


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"port": "lost", "why": "no such port; is it plugged in?"}, ("断开", "lost", "is it plugged in?")),
        ({"speech": "silent"}, ("无响应", "silent")),
        ({"speech": "not heard", "heard_at_s": None}, ("未收到", "not heard")),
        ({"speech": "not heard", "must_speak": False}, ("待命", "ready")),
    ],
)
def test_a_device_that_is_not_well_is_told_from_one_that_is(
    changes: dict[str, Any], words: tuple[str, ...]
) -> None:
    said = text_of(shown(devices=(replace(SHOWN.devices[0], **changes),)))
    assert [word for word in words if word not in said] == []
    assert "live" not in said


def test_inputs_that_are_old_or_unknown_are_no_inputs() -> None:
    for said in (text_of(shown(now_s=103.0)), text_of(shown(inputs=UNKNOWN_INPUTS))):
        assert "Beam clear" not in said.replace("Beam clear? unknown", "")
        assert "Loop free? unknown" in said
    assert "Arm unknown" in text_of(shown(now_s=103.0))
    assert "Arm up" in text_of(shown(inputs=UP))


@pytest.mark.parametrize(
    ("around", "words"),
    [
        ({"records": None}, "no records yet"),
        ({"records": RecordsShown("demo", 23, 500, None, 21_600.0)}, "age unknown"),
        ({"clock_set": False}, "the clock is not set: every vehicle is held"),
        ({"uncertainty_ms": -1}, "nobody vouches for the clock"),
        ({"free_mb": None}, "unknown"),
    ],
)
def test_what_is_not_known_is_said(around: dict[str, Any], words: str) -> None:
    assert words in text_of(shown(around=replace(ALL_WELL, **around)))


def test_records_grow_old_while_the_page_is_looked_at() -> None:
    old = replace(ALL_WELL, records=RecordsShown("demo", 23, 500, 21_599.0, 21_600.0))
    assert "<b class=green>6 h前" in shown(now_s=100.5, around=old)
    assert "<b class=red>6 h前" in shown(now_s=102.0, around=old)


def test_a_lane_that_hangs_is_said_in_the_largest_letters() -> None:
    assert '<p class="gone">' in shown(now_s=100.0 + STANDS_STILL_S - 0.1)
    assert '<p class="gone now">' in shown(now_s=100.0 + STANDS_STILL_S + 0.1)


def test_before_the_first_snapshot_there_is_a_page() -> None:
    assert "启动中" in page(None, 0.0)


def test_times_without_a_zone_say_that_they_are_utc() -> None:
    assert "08:00:00 UTC" in page(SHOWN, 100.0)


def test_a_picture_is_shown_where_it_is_on_the_disk() -> None:
    assert f'src="/pictures/{SHA}.jpg"' in shown()
    assert SHA not in page(SHOWN, 100.0, None, lambda sha256: False)


HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


def test_nothing_that_is_shown_becomes_markup() -> None:
    """Whatever a camera read, a scanner sent, a record says or a port is called."""
    passage = replace(
        SHOWN.passages[0], plate=HOSTILE, slips=(HOSTILE,), gross_kg=HOSTILE, reasons_zh=(HOSTILE,),
        reasons_en=(HOSTILE,), guides_zh=(HOSTILE,), guides_en=(HOSTILE,), outcome=HOSTILE, utc=HOSTILE,
        pictures=((HOSTILE, HOSTILE),),
    )  # fmt: skip
    device = replace(SHOWN.devices[0], name=HOSTILE, why=HOSTILE, said=HOSTILE, port="lost")
    alarm = AlarmShown(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE)
    for phase in ("Holding", "Shut", HOSTILE):
        said = shown(
            lane_id=HOSTILE, site=HOSTILE, direction=HOSTILE, version=HOSTILE, began_utc=HOSTILE, utc=HOSTILE,
            phase=phase, shut_why=HOSTILE, passage=7, says_zh=HOSTILE, says_en=HOSTILE, colour=HOSTILE,
            devices=(device,), passages=(passage,), alarms=(alarm,),
        )  # fmt: skip
        body = said[said.index("<body>") :]
        assert "<script" not in body
        assert "onerror=alert(1)>" not in body
        assert body.count("<img ") == 1
        assert "&lt;script&gt;" in body


def test_the_policy_allows_this_very_script_and_style_and_nothing_else() -> None:
    def digest(text: str) -> str:
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    said = shown()
    assert f"<script>{SCRIPT}</script>" in said
    assert f"<style>{STYLE}</style>" in said
    assert POLICY.startswith("default-src 'none'; ")
    assert f"script-src 'sha256-{digest(SCRIPT)}'" in POLICY
    assert f"style-src 'sha256-{digest(STYLE)}'" in POLICY
    assert "unsafe" not in POLICY


def test_nothing_comes_from_anywhere_else() -> None:
    said = shown()
    assert re.findall(r"https?://|url\(|@import|<link|<form|<input|<button|<iframe", said) == []
    assert set(re.findall(r'(?:src|href)="([^"]+)"', said)) == {f"/pictures/{SHA}.jpg"}
    assert re.findall(r"\son\w+=|style=", said) == []


# --- what is gathered ---------------------------------------------------------------------------------------


def showing() -> Showing:
    return Showing(
        lane_id="lane-in-1",
        site="demo",
        direction="in",
        version="0.1.0",
        began_utc=UTC,
        devices={
            "io": ("io.modbus_rtu", "required", True),
            "weighbridge": ("weighbridge.yaohua_tf0", "required", True),
        },
    )


def published(gathered: Showing, lane: Lane | None = None) -> Snapshot:
    health = {"weighbridge": DeviceHealth("open", speech="speaking", heard_at_s=99.0, readings=4)}
    gathered.publish(lane or Play().lane, at_s=100.0, utc=UTC, health=health, around=ALL_WELL)
    latest = gathered.latest()
    assert latest is not None
    return latest


def commit(*facts: FactData) -> Commit:
    return Commit(tuple(Told(Stream.ROUTINE, data) for data in facts))


def test_a_passage_is_gathered_from_its_facts() -> None:
    gathered = showing()
    ruling = Ruling(Verdict.HOLD, (Because(Reason.WEIGHT_OVER, "900 kg"), Because(Reason.SLIP_EXPIRED, "Z1")))
    facts = (
        PassageOpened(7),
        RulingMade(
            passage=7, ruling=ruling, direction="I", plate="豫A12345", slips=("Z1",), gross_kg="20840"
        ),
        PictureTaken(passage=7, moment="arrival", camera="front", sha256=SHA, size_bytes=9),
        PictureTaken(passage=7, moment="arrival", camera="front", sha256=SHA, size_bytes=9),
        Alarm(code=AlarmCode.TAILGATER, passage=7, zh="跟车", en="tailgater"),
        PassageClosed(passage=7, outcome="backed_out", lane_s=9.0),
    )
    assert gathered.asked(UTC, [commit(*facts), Show("请等待", "wait", "red")]) is True
    assert gathered.asked(UTC, []) is False
    latest = published(gathered)
    (passage,) = latest.passages
    assert (passage.number, passage.plate, passage.verdict, passage.outcome) == (
        7,
        "豫A12345",
        "hold",
        "backed_out",
    )
    assert passage.codes == ("weight_over", "slip_expired")
    assert passage.reasons_en[0] == "900 kg over, please wait"
    assert len(passage.guides_zh) == 2
    assert passage.pictures == (("arrival", SHA),)
    assert (latest.says_zh, latest.colour) == ("请等待", "red")
    assert [alarm.code for alarm in latest.alarms] == ["tailgater"]


def test_what_the_centre_asked_for_gives_way_to_what_the_ruling_saw() -> None:
    def told(*moments: str) -> tuple[str, ...]:
        gathered = showing()
        facts = [
            PictureTaken(passage=7, moment=each, camera="front", sha256=f"{number:064d}", size_bytes=9)
            for number, each in enumerate(moments)
        ]
        gathered.asked(UTC, [commit(PassageOpened(7), *facts)])
        return tuple(moment for moment, _ in published(gathered).passages[0].pictures)

    assert told(*["arrival"] * 4, *["asked"] * 4) == (*["arrival"] * 4, *["asked"] * 2)
    assert told(*["asked"] * 4, *["ruling"] * 5) == ("asked", *["ruling"] * 5)
    assert told(*["ruling"] * 6, "asked") == ("ruling",) * 6
    assert told("arrival", *["ruling"] * 6) == ("ruling",) * 6


def test_the_board_on_the_page_says_what_the_board_does() -> None:
    """The centre's words while they stand there, and the lane's own again."""
    gathered = showing()
    told = []
    for effect in (
        Show("超重 请等待", "too heavy", "red"),
        ShowForAWhile("请稍候", "please wait", 60.0),
        ShowOwnAgain(),
        ShowForAWhile("请熄火", "engine off", 60.0),
        Show("放行", "released", "green"),
        ShowOwnAgain(),
    ):
        assert gathered.asked(UTC, [effect]) is True
        latest = published(gathered)
        told.append((latest.says_zh, latest.says_en, latest.colour))
    own, released = ("超重 请等待", "too heavy", "red"), ("放行", "released", "green")
    centres = [("请稍候", "please wait", "amber"), ("请熄火", "engine off", "amber")]
    assert told == [own, centres[0], own, centres[1], released, released]


def test_only_the_last_passages_and_alarms_are_kept() -> None:
    gathered = showing()
    for number in range(1, 10_001):
        gathered.asked(
            UTC, [commit(PassageOpened(number), Alarm(code=AlarmCode.OVERSTAY, detail=str(number)))]
        )
    latest = published(gathered)
    assert [each.number for each in latest.passages] == list(range(10_000, 10_000 - PASSAGES_SHOWN, -1))
    assert [each.detail for each in latest.alarms] == ["10000", "9999", "9998", "9997"]


def test_the_latest_reading_of_a_device_is_told_in_a_word() -> None:
    gathered = showing()
    for reading in (WeightSeen(Decimal(20840), True), WeightSeen(Decimal(20860), True)):
        gathered.heard("weighbridge", reading)
    gathered.heard("io", InputsSeen((True, False)))
    latest = {each.name: each for each in published(gathered).devices}
    assert (latest["weighbridge"].said, latest["weighbridge"].heard_at_s) == ("20860 kg", 99.0)
    assert (latest["io"].said, latest["io"].port) == ("", "not tried")
    gathered.heard("io", PlateSeen("豫A12345"))
    gathered.heard("weighbridge", TagSeen("E200"))
    assert [each.said for each in published(gathered).devices] == ["豫A12345", "E200"]


def test_what_was_published_never_changes() -> None:
    gathered, play = showing(), Play()
    before = published(gathered, play.lane)
    kept = repr(before)
    play.arrive()
    gathered.asked(UTC, play.asked)
    after = published(gathered, play.lane)
    assert repr(before) == kept
    assert (before.phase, after.phase) == ("Waking", "Claiming")


@pytest.mark.parametrize(
    "phase", [Shut("fire", 0.0), Holding(Ruling(Verdict.HOLD, (Because(Reason.SLIP_USED),)), 0.0)]
)
def test_the_phase_is_told(phase: Shut | Holding) -> None:
    from edge.runtime.values import replace as replaced

    latest = published(showing(), replaced(Play().lane, phase=phase))
    assert latest.phase == type(phase).__name__
    assert SETTINGS.lane_id == latest.lane_id


# --- visitors -----------------------------------------------------------------------------------------------


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Page]:
    made = Page("127.0.0.1", 0, lambda: SHOWN, tmp_path, SystemClock())
    made.start()
    until(lambda: made.bound_port is not None)
    yield made
    made.stop()


def until(found: Callable[[], bool], within_s: float = 10.0) -> None:
    deadline_s = time.monotonic() + within_s
    while not found():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def ask(at: Page, path: str = "/", method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", at.bound_port, timeout=10)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def test_a_visitor_gets_the_page_and_may_keep_nothing_of_it(at: Page) -> None:
    status, headers, body = ask(at)
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "豫A12345" in body.decode()
    assert headers["cache-control"] == "no-store"
    assert headers["content-security-policy"] == POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert "Python" not in headers["server"]


def test_head_is_the_same_without_the_page(at: Page) -> None:
    status, headers, body = ask(at, method="HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["content-length"]) > 1_000


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "RAISE"])
def test_nothing_can_be_done_there(at: Page, method: str) -> None:
    status, headers, _ = ask(at, method=method)
    assert (status, headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    "path",
    ["/index.html", "/pictures/", "/pictures/../journal.sqlite", f"/pictures/{SHA}.jpg/x",
     f"/pictures/{SHA[:-1]}g.jpg", "/pictures/%2e%2e/journal.sqlite", "/?x=1", "*"],
)  # fmt: skip
def test_no_other_path_leads_anywhere(at: Page, tmp_path: Path, path: str) -> None:
    (tmp_path / "journal.sqlite").write_text("secret")
    (tmp_path.parent / "journal.sqlite").write_text("secret")
    status, _, body = ask(at, path)
    assert status == 404
    assert b"secret" not in body


@pytest.mark.parametrize("place", [".", "2026-11-22"])
def test_a_picture_of_the_store_is_given(at: Page, tmp_path: Path, place: str) -> None:
    (tmp_path / place).mkdir(exist_ok=True)
    (tmp_path / place / f"{SHA}.jpg").write_bytes(b"\xff\xd8picture")
    status, headers, body = ask(at, f"/pictures/{SHA}.jpg")
    assert (status, headers["content-type"], body) == (200, "image/jpeg", b"\xff\xd8picture")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:{port}", 200), ("localhost:{port}", 200), ("LOCALHOST:{port}", 200),
        ("[::1]:{port}", 200), ("kakou.example.org:{port}", 421), ("127.0.0.1:1", 421), ("127.0.0.1", 421),
        ("", 421), ("[::1]", 421), ("127.0.0.1.example.org:{port}", 421),
    ],
)  # fmt: skip
def test_a_foreign_name_pointed_at_this_machine_is_turned_away(at: Page, host: str, status: int) -> None:
    """Else any page in a browser here could read the lane by giving its own name this address."""
    assert ask(at, Host=host.format(port=at.bound_port))[0] == status


@pytest.mark.parametrize(
    "sent",
    [b"\x00\xff\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
     b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 500 + b"\r\n",
     b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00"],
    ids=["bytes", "word", "version", "headers", "long", "tls"],
)  # fmt: skip
def test_nonsense_is_refused_and_the_next_visitor_served(at: Page, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", at.bound_port or 0), 5.0) as visitor:
        visitor.settimeout(8.0)
        answer = b""
        # Whoever is refused may be cut off while still speaking: then there is nothing left to shut, either.
        with contextlib.suppress(ConnectionError):
            visitor.sendall(sent)
            with contextlib.suppress(OSError):
                visitor.shutdown(socket.SHUT_WR)
            while more := visitor.recv(65_536):
                answer += more
    assert b"200" not in answer.split(b"\r\n", 1)[0]
    assert ask(at)[0] == 200


def test_visitors_who_say_nothing_are_few_and_go_after_a_while(at: Page) -> None:
    mute = [
        socket.create_connection(("127.0.0.1", at.bound_port or 0), 5.0) for _ in range(MOST_VISITORS * 3)
    ]
    try:
        time.sleep(0.3)
        threads = [each for each in threading.enumerate() if "process_request" in each.name]
        assert len(threads) <= MOST_VISITORS
        until(lambda: served(at), 15.0)
    finally:
        for each in mute:
            each.close()


def served(at: Page) -> bool:
    try:
        return ask(at)[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def test_a_port_that_is_taken_stops_nothing_and_is_taken_when_it_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.gate.page._AGAIN_EVERY_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        made = Page("127.0.0.1", port, lambda: SHOWN, tmp_path, SystemClock())
        made.start()
        time.sleep(0.3)
        assert made.bound_port is None
    until(lambda: made.bound_port == port)
    assert ask(made)[0] == 200
    made.stop()


def test_a_page_that_never_got_its_port_ends_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        made = Page("127.0.0.1", other.getsockname()[1], lambda: SHOWN, tmp_path, SystemClock())
        made.start()
        time.sleep(0.1)
        began_s = time.monotonic()
        made.stop()
    assert time.monotonic() - began_s < 1.0


# --- a browser ----------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no Chromium here")
@pytest.mark.timeout(120)
def test_a_browser_shows_it_and_keeps_it_fresh_by_itself(tmp_path: Path) -> None:
    number = itertools.count(1)
    made = Page(
        "127.0.0.1",
        0,
        lambda: replace(
            SHOWN, at_s=time.monotonic(), inputs_s=time.monotonic(), lane_id=f"look-{next(number)}"
        ),
        tmp_path,
        SystemClock(),
    )
    made.start()
    until(lambda: made.bound_port is not None)
    try:
        looked = subprocess.run(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu",
             f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr",
             "--virtual-time-budget=9000", "--window-size=1920,1080", "--dump-dom",
             f"http://127.0.0.1:{made.bound_port}/"],
            capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip
    finally:
        made.stop()
    seen = re.search(r"look-(\d+) 进", looked.stdout)
    assert seen is not None, looked.stderr[-2_000:]
    assert int(seen[1]) >= 3
    assert "豫A12345" in looked.stdout
    assert 'class="lost"' not in looked.stdout
    assert [line for line in looked.stderr.splitlines() if "CONSOLE" in line] == []


@pytest.mark.parametrize("phase", get_args(Phase))
def test_every_phase_of_the_lane_has_words_in_both_languages(phase: type) -> None:
    shown = _phase_of(page(replace(SHOWN, phase=phase.__name__), 100.5))
    assert shown[0] != phase.__name__
    assert re.search("[一-鿿]", shown[0])
    assert re.search("[A-Za-z]", shown[1])


def _phase_of(html_text: str) -> tuple[str, str]:
    """Chinese and English beside the board."""
    after_board = html_text.partition("class='board ")[2].partition("</div>")[2]
    words = re.search(r"<b class=\w+>(.*?)</b><small>(.*?)</small>", after_board)
    assert words is not None
    return words[1], words[2]
