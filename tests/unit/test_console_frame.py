"""The console's frame when things go wrong under it: files deleted, connections in use, hostile times and
numbers, too much of anything."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import io
import re
import socket
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import msgspec
import pytest
import structlog
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from starlette.testclient import TestClient

from sync.hub.archive import Archive
from sync.hub.console import context, desk, serving
from sync.hub.console.accounts import (
    Account,
    Role,
    account,
    confirm_account,
    proved,
    set_account,
    set_own_password,
)
from sync.hub.console.app import build_app
from sync.hub.console.pages import doors
from sync.hub.console.pages.api import _number
from sync.hub.console.shown import Shown
from sync.hub.console.words import WORDS
from sync.hub.kept_process import KeptProcess
from sync.store.journal import utc_now
from sync.vocabulary.facts import Alarm, AlarmCode, PassageClosed, PassageOpened, RulingMade, Stream
from sync.vocabulary.numbers import UtcText
from sync.vocabulary.records import Direction, Site, SiteLane
from sync.vocabulary.rulings import Because, Reason, Ruling, Verdict
from sync.vocabulary.xray_facts import ParcelXRayed
from tests.console_rig import CHEAP, PASSWORD, ConsoleRig, console_rig, open_account, rostered
from tests.unit.test_hub_device import SITE

EPOCH = "e" * 32
HELD = Ruling(Verdict.HOLD, (Because(Reason.WEIGHT_OVER),))


def test_what_is_shown_is_made_anew_when_its_file_is_deleted_under_the_running_console(
    tmp_path: Path,
) -> None:
    with console_rig(tmp_path) as rig:
        rig.say("lane-in", PassageOpened(passage=1))
        with rig.served():
            _until(lambda: _opened(rig) == 1)
            for file in tmp_path.glob("shown.sqlite*"):
                file.unlink()
            rig.say("lane-in", PassageOpened(passage=2))
            _until(lambda: _opened(rig) == 2)
        assert (tmp_path / "shown.sqlite").exists()


def _opened(rig: ConsoleRig) -> int:
    try:
        with rig.console.shown() as shown:
            return len(shown.passages_open())
    except sqlite3.OperationalError:
        return -1


def _until(holds: Callable[[], bool]) -> None:
    until_s = time.monotonic() + 30.0
    while not holds():
        assert time.monotonic() < until_s
        time.sleep(0.05)


@pytest.mark.parametrize("why", [sqlite3.OperationalError("disk is full"), KeyError("never thought of")])
def test_a_console_that_follows_the_archive_no_more_says_so_until_it_does_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: Exception
) -> None:
    monkeypatch.setattr("sync.hub.console.tail.AGAIN_AFTER_S", 0.1)
    monkeypatch.setattr("sync.hub.console.watching.SLOW_EVERY_S", 0.1)
    with console_rig(tmp_path) as rig:
        client = rig.client()
        cookie = {"Cookie": f"kakou_console={client.cookies['kakou_console']}; kakou_language=en"}
        with rig.served() as address:
            host = address.removeprefix("http://")

            def asked(path: str) -> tuple[int, str]:
                browser = http.client.HTTPConnection(host, timeout=10.0)
                browser.request("GET", path, headers=cookie)
                answer = browser.getresponse()
                text = answer.read().decode()
                browser.close()
                return answer.status, text

            _until(lambda: asked("/healthz")[0] == 200)
            with monkeypatch.context() as broken:

                def fails(*_: object) -> int:
                    raise why

                broken.setattr("sync.hub.console.tail.follow_once", fails)
                _until(lambda: asked("/healthz")[0] == 503)
                assert "still reading the archive" in asked("/")[1]
            _until(lambda: asked("/healthz")[0] == 200)
            rig.say("lane-in", PassageOpened(passage=1))
            _until(lambda: _opened(rig) == 1)
            assert "still reading the archive" not in asked("/")[1]


def test_a_wall_that_cannot_be_made_says_nothing_still_stands_and_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sync.hub.console.pages.wall.STILL_THERE_EVERY_S", 0.1)
    monkeypatch.setattr("sync.hub.console.pages.wall.KNOWN_WITHIN_S", 1.5)
    monkeypatch.setattr("sync.hub.console.watching.AGES_EVERY_S", 0.1)
    heard: list[str] = []
    with console_rig(tmp_path) as rig:
        cookie = rig.client().cookies["kakou_console"]

        def listen(host: str) -> None:
            with contextlib.closing(http.client.HTTPConnection(host, timeout=20.0)) as screen:
                screen.request("GET", "/wall/stream", headers={"Cookie": f"kakou_console={cookie}"})
                with screen.getresponse() as answer, contextlib.suppress(OSError, ValueError):
                    while line := answer.readline():
                        heard.append(line.decode().strip())

        def quiet() -> bool:
            heard.clear()
            time.sleep(0.4)
            return ": not looked at" in heard and "event: still" not in heard

        with rig.served() as address:
            listening = threading.Thread(target=listen, args=(address.removeprefix("http://"),), daemon=True)
            listening.start()
            _until(lambda: "event: still" in heard)
            with monkeypatch.context() as broken:

                def fails(*_: object) -> None:
                    raise KeyError("never thought of")

                broken.setattr("sync.hub.console.watching.build", fails)
                _until(quiet)
            rig.say("lane-in", PassageOpened(passage=1))
            _until(lambda: any('id=\\"part' in line or "lane-in" in line for line in heard))
            heard.clear()
            _until(lambda: "event: still" in heard)
            rig.console.end()
            listening.join(10.0)


def test_a_locked_file_is_not_thrown_away(tmp_path: Path) -> None:
    file = tmp_path / "shown.sqlite"
    Shown.open(file, "archive").close()
    file.with_name("shown.sqlite-wal").unlink(missing_ok=True)
    held = sqlite3.connect(file)
    held.execute("PRAGMA locking_mode=EXCLUSIVE")
    held.execute("BEGIN EXCLUSIVE")
    before = file.stat().st_ino
    with pytest.raises(sqlite3.OperationalError):
        Shown.open(file, "archive", timeout_s=0.05)
    held.close()
    assert file.stat().st_ino == before


def test_whoever_finds_every_connection_in_use_is_told_so_and_does_not_wait_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(context, "CONNECTION_WITHIN_S", 0.05)
    pool = context.Pool(io.BytesIO, 1)
    with pool.one() as first:
        with pytest.raises(OSError, match="in use"), pool.one():
            pass
        assert not first.closed
    with pool.one() as again:
        assert again is first


def test_a_time_that_is_none_is_shown_as_it_was_told(tmp_path: Path) -> None:
    with console_rig(tmp_path) as rig:
        device = rig.device("lane-in")
        facts = [
            device.say(PassageOpened(passage=1), time="99:99 <maybe>"),
            device.say(RulingMade(passage=1, ruling=HELD, direction="I"), time="9999-12-31T23:59:59.000000Z"),
        ]
        rig.send(device, [*device.facts[Stream.ALARM], *facts])
        rig.caught_up()
        answer = rig.client().get("/passage/lane-in/1", follow_redirects=True)
        assert answer.status_code == 200
        assert "99:99 &lt;may" in answer.text
        assert "9999-12-31T23:59:59" in answer.text


# --- who may, and who is noted ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleRig]:
    with console_rig(tmp_path_factory.mktemp("frame")) as made:
        made.say("lane-in", PassageOpened(passage=1), RulingMade(passage=1, ruling=HELD, direction="I"))
        made.caught_up()
        yield made


def _reads(rig: ConsoleRig) -> list[tuple[str, str, str]]:
    rows = rig.archive.engine.execute(
        "SELECT officer, what, subject FROM console_reads ORDER BY id"
    ).fetchall()
    return [tuple(row) for row in rows]


@pytest.mark.parametrize(
    ("address", "noted"),
    [
        ("/desk", ("desk", "queue")),
        ("/desk/queue", ("desk", "queue")),
        ("/desk/hold/lane-in/1", ("hold", "lane-in/1")),
        (f"/desk/hold/lane-in/{EPOCH}/1/state", ("hold", "lane-in/1")),
        ("/api/v1/passages", ("passages", "–")),
        ("/api/v1/alarms", ("alarms", "")),
        ("/api/v1/devices", ("devices", "")),
    ],
)
def test_whoever_looks_at_plates_and_officers_is_noted_however_they_ask(
    rig: ConsoleRig, address: str, noted: tuple[str, str]
) -> None:
    client = rig.client("4604002")
    before = len(_reads(rig))
    assert client.get(address, follow_redirects=True).status_code == 200
    assert ("4604002", *noted) in _reads(rig)[before:]


def test_a_page_that_asks_again_by_itself_is_one_look(rig: ConsoleRig) -> None:
    client = rig.client("4604002")
    before = len(_reads(rig))
    for _ in range(3):
        client.get("/desk/queue")
    assert len(_reads(rig)) == before + 1


@pytest.mark.parametrize("number", ["9223372036854775808", "-1", "9" * 400])
def test_a_number_no_archive_can_hold_is_not_understood(rig: ConsoleRig, number: str) -> None:
    client = rig.client("4604002")
    for address in ("/desk/hold/lane-in/{}", "/desk/hold/lane-in/e/{}/state", "/passage/lane-in/{}"):
        assert client.get(address.format(number)).status_code == 422
    assert client.post(f"/desk/hold/lane-in/{EPOCH}/{number}/take").status_code == 422


def test_an_archive_that_cannot_be_read_is_said_and_not_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with console_rig(tmp_path) as rig:
        client = rig.client()
        monkeypatch.setattr(context, "CONNECTION_WITHIN_S", 0.05)
        with contextlib.ExitStack() as held:
            for _ in range(8):
                held.enter_context(rig.console.shown())
            assert client.get("/desk").status_code == 503
        assert client.get("/desk").status_code == 200


def test_blanks_around_a_number_do_not_make_more_tries(tmp_path: Path) -> None:
    with console_rig(tmp_path) as rig:
        app = build_app(rig.console)
        statuses = [
            TestClient(app, base_url="http://127.0.0.1", client=(f"10.0.0.{number}", 1))
            .post("/sign-in", data={"officer": " " * number + "4604001", "password": "wrong " * 3})
            .status_code
            for number in range(doors.TRIES + 1)
        ]
        assert statuses == [403] * doors.TRIES + [429]


def test_tries_that_come_at_once_count_as_many(tmp_path: Path) -> None:
    with console_rig(tmp_path) as rig:
        app = build_app(rig.console)
        together = threading.Barrier(24)

        def guess(number: int) -> int:
            client = TestClient(app, base_url="http://127.0.0.1", client=(f"10.0.0.{number}", 1))
            together.wait()
            return client.post("/sign-in", data={"officer": "4604001", "password": "wrong " * 3}).status_code

        with ThreadPoolExecutor(24) as guessers:
            statuses = sorted(guessers.map(guess, range(24)))
        assert statuses == [403] * doors.TRIES + [429] * (24 - doors.TRIES)


def test_no_more_than_two_passwords_are_looked_at_at_a_time(tmp_path: Path) -> None:
    looked: list[int] = []
    now = 0
    lock, all_here = threading.Lock(), threading.Barrier(8, timeout=20)

    class Counting(PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:  # noqa: A002
            nonlocal now
            with lock:
                now += 1
                looked.append(now)
            time.sleep(0.05)
            with lock:
                now -= 1
            raise VerifyMismatchError

    def guess(number: int) -> Account | None:
        with contextlib.closing(Archive.open(tmp_path / "archive.sqlite")) as archive:
            all_here.wait()
            return proved(archive, str(number), "wrong password", utc_now(), Counting())

    with console_rig(tmp_path), ThreadPoolExecutor(8) as guessers:
        assert list(guessers.map(guess, range(8))) == [None] * 8
    assert max(looked) == 2


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8080", 200),
        ("localhost:8080", 200),
        ("LOCALHOST", 200),
        ("[::1]:8080", 200),
        ("10.1.2.10", 200),
        ("rebound.example:8080", 421),
        ("127.0.0.1.example:8080", 421),
        ("", 421),
    ],
)
def test_plain_http_answers_to_no_name_of_somebody_elses(rig: ConsoleRig, host: str, status: int) -> None:
    assert rig.client().get("/sign-in", headers={"host": host}).status_code == status


def test_behind_tls_any_name_the_certificate_is_for_will_do(tmp_path: Path) -> None:
    with console_rig(tmp_path) as rig:
        rig.console.part = dataclasses.replace(rig.console.part, behind_proxy=True)
        client = TestClient(build_app(rig.console), base_url="https://centre.example")
        assert client.get("/sign-in").status_code == 200


def test_callers_who_say_nothing_keep_nobody_out_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "MOST_CONNECTIONS", 8)
    monkeypatch.setattr(serving, "PATIENCE_S", 0.4)
    with console_rig(tmp_path) as rig, socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
        probe.close()
        part = dataclasses.replace(rig.console.part, port=port)
        over = threading.Event()
        served = threading.Thread(target=serving.serve, args=(rig.console.config, part, over.wait))
        served.start()
        callers: list[socket.socket] = []
        try:
            _until(lambda: _healthy(port))
            callers += [socket.create_connection(("127.0.0.1", port)) for _ in range(12)]
            callers[0].sendall(b"GET / HTTP/1.1\r\nHost: ")
            assert not _healthy(port)
            _until(lambda: _healthy(port))
        finally:
            for each in callers:
                each.close()
            over.set()
            served.join(10.0)
        assert not served.is_alive()


def _healthy(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2.0)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    return False


def test_an_officer_whose_time_is_over_comes_in_no_more(tmp_path: Path) -> None:
    with console_rig(tmp_path) as rig:
        assert rig.client().get("/").status_code == 200
        over = msgspec.structs.replace(
            rostered("4604001"), valid_until=UtcText("2026-01-01T00:00:00.000000Z")
        )
        rig.record("officers", "4604001", over)
        stranger = TestClient(build_app(rig.console), base_url="http://127.0.0.1", follow_redirects=False)
        asked = {"officer": "4604001", "password": PASSWORD}
        assert stranger.post("/sign-in", data=asked).status_code == 403


@pytest.mark.parametrize(("since", "limit"), [("touched_s", "lock_s"), ("since_s", "session_s")])
def test_a_session_ends_when_nobody_asks_and_when_its_time_is_over(
    tmp_path: Path, since: str, limit: str
) -> None:
    with console_rig(tmp_path) as rig:
        client = rig.client()
        (session,) = rig.console.sessions.kept.values()
        setattr(session, since, time.monotonic() - getattr(rig.console.part, limit) + 30.0)
        assert client.get("/").status_code == 200
        setattr(session, since, time.monotonic() - getattr(rig.console.part, limit) - 1.0)
        assert client.get("/").status_code == 303
        assert rig.console.sessions.kept == {}


@pytest.mark.parametrize(
    "to",
    ["//elsewhere.example/", "/\\elsewhere.example/", "https://elsewhere.example/", "/\t/elsewhere.example"],
)
def test_nobody_is_led_to_another_site(rig: ConsoleRig, to: str) -> None:
    client = rig.client()
    assert client.get("/prefer", params={"theme": "dark", "to": to}).headers["location"] == "/"
    asked = {"officer": "4604001", "password": PASSWORD, "to": to}
    assert client.post("/sign-in", data=asked).headers["location"] == "/"


def test_sessions_of_one_officer_do_not_grow_without_end() -> None:
    sessions = context.Sessions()
    first = sessions.open("4604001", frozenset(), 0.0)
    other = sessions.open("4604002", frozenset(), 0.0)
    for number in range(context.MOST_SESSIONS):
        sessions.open("4604001", frozenset(), float(number))
    assert len(sessions.kept) == context.MOST_SESSIONS + 1
    assert first.cookie not in sessions.kept
    assert other.cookie in sessions.kept


# --- hostile words (G11) ----------------------------------------------------------------------------------

EVIL = "<script>x</script>{{ 7 }}"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleRig]:
    with console_rig(tmp_path_factory.mktemp("hostile")) as made:
        made.say(
            "lane-in",
            PassageOpened(passage=1),
            RulingMade(
                passage=1, ruling=HELD, direction=EVIL, plate=EVIL, slips=("S1",), enterprise=EVIL,
                owner=EVIL, ways=(EVIL,), officer=EVIL, claim=EVIL, texts_zh=(EVIL,), texts_en=(EVIL,),
            ),
            PassageOpened(passage=2),
            RulingMade(passage=2, ruling=HELD, direction="I", plate=EVIL),
            PassageClosed(passage=2, outcome=EVIL, lane_s=9.0, stage_s={EVIL: 1.0}),
            PassageOpened(passage=3),
            ParcelXRayed(parcel=1, waybill_no="W1", verdict=EVIL, by=EVIL, reasons=(EVIL,), category=EVIL),
        )  # fmt: skip
        made.say(
            "lane-in", Alarm(code=AlarmCode.TAILGATER, detail=EVIL, zh=EVIL, en=EVIL), stream=Stream.ALARM
        )
        made.caught_up()
        yield made


@pytest.mark.parametrize(
    "address",
    [
        "/", "/coverage", "/desk", "/desk/hold/lane-in/1", "/desk/hold/lane-in/2", "/desk/hold/lane-in/3",
        "/passage/lane-in/1", "/passage/lane-in/2", "/passage/lane-in/3", "/parcel/W1",
        "/search?q=%3Cscript%3Ex%3C/script%3E", "/search?lane=lane-in", "/live", "/controls",
        "/controls/rates",
        "/statistics?view=lane&from=2026-01-31&to=2026-01-31",
        "/statistics?view=reason&from=2026-01-31&to=2026-01-31",
        "/statistics?view=enterprise&from=2026-01-31&to=2026-01-31",
        "/statistics?view=station&from=2026-01-31&to=2026-01-31",
        "/statistics?view=officer&from=2026-01-31&to=2026-01-31",
        "/trace?q=%3Cscript%3Ex%3C/script%3E", "/access/reads", "/access/acts", "/metrics",
    ],
)  # fmt: skip
def test_what_a_device_says_is_text_and_nothing_else(hostile: ConsoleRig, address: str) -> None:
    answer = hostile.client().get(address, follow_redirects=True)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain") or "<script>x" not in answer.text


# --- a clock that tells no time ---------------------------------------------------------------------------


def test_a_hold_at_no_time_stops_nobodys_desk(tmp_path: Path) -> None:
    with console_rig(tmp_path) as rig:
        device = rig.device("lane-in")
        facts = [
            device.say(PassageOpened(passage=1), time="never"),
            device.say(RulingMade(passage=1, ruling=HELD, direction="I"), time="never"),
        ]
        rig.send(device, [*device.facts[Stream.ALARM], *facts])
        rig.caught_up()
        client = rig.client()
        for address in ("/desk", "/desk/hold/lane-in/1", "/", "/passage/lane-in/1"):
            assert client.get(address, follow_redirects=True).status_code == 200


@pytest.mark.parametrize(
    "address",
    [
        "/access/reads?from_day=0001-01-01",
        "/access/acts?until_day=9999-12-31",
        "/search?since=0001-01-01T00:00",
        "/statistics?to=0001-01-01",
    ],
)
def test_a_day_at_the_end_of_time_is_no_crash(rig: ConsoleRig, address: str) -> None:
    assert rig.client().get(address).status_code in (200, 422)


LOST = "0" * 32


def _two_of_one_number(rig: ConsoleRig) -> None:
    """A lane loses its disk: another vehicle gets the number, and is held."""
    rig.say(
        "lane-in",
        *(PassageOpened(passage=9) for _ in range(5)),
        PassageOpened(passage=1),
        RulingMade(passage=1, ruling=HELD, direction="I", plate="琼A11111", ways=("release",)),
    )
    rig.caught_up()
    device = rig.device("lane-in")
    device.position = 0
    device.begin(LOST)
    rig.send(device, device.facts[Stream.ALARM])
    rig.say(
        "lane-in",
        PassageOpened(passage=1),
        RulingMade(passage=1, ruling=HELD, direction="I", plate="琼A22222", ways=("release",)),
    )
    rig.caught_up()


def test_two_vehicles_of_one_number_are_two_passages_on_every_page(tmp_path: Path) -> None:
    with console_rig(tmp_path) as rig:
        _two_of_one_number(rig)
        client = rig.client()
        choice = client.get("/passage/lane-in/1")
        assert choice.status_code == 300
        addresses = [f"/passage/lane-in/{EPOCH}/1", f"/passage/lane-in/{LOST}/1"]
        assert [f'href="{each}"' in choice.text for each in addresses] == [True, True]
        # The first one is over, though nobody knows how; on no page it still stands there.
        told = WORDS["proof.forgotten"][1].replace("'", "&#39;")
        pages = [client.get(each).text for each in addresses]
        assert (choice.text.count(told), choice.text.count(WORDS["proof.open"][1])) == (1, 1)
        assert [told in page for page in pages] == [True, False]
        assert told in client.get(f"/desk/hold/lane-in/{EPOCH}/1").text
        assert [("琼A11111" in page, "琼A22222" in page) for page in pages] == [(True, False), (False, True)]
        assert client.get(f"/passage/lane-in/{'1' * 32}/1").status_code == 404
        files = [client.get(f"{each}/proof") for each in addresses]
        assert [("琼A11111" in file.text, "琼A22222" in file.text) for file in files] == [
            (True, False),
            (False, True),
        ]
        found = client.get("/search?q=琼A11111").text
        assert [f'href="{each}"' in found for each in addresses] == [True, False]
        several = client.get("/api/v1/passages/lane-in/1")
        assert (several.status_code, several.json()["epochs"]) == (300, [EPOCH, LOST])
        told = client.get(f"/api/v1/passages/lane-in/{EPOCH}/1").json()
        assert (told["epoch"], told["plate"]) == (EPOCH, "琼A11111")
        facts = client.get(f"/api/v1/passages/lane-in/{LOST}/1/facts").json()
        assert {fact["epoch"] for fact in facts} == {LOST}
        assert len(client.get("/api/v1/passages/lane-in/9/facts").json()) == 5


def test_what_is_done_about_a_vehicle_is_not_done_about_the_next_of_its_number(tmp_path: Path) -> None:
    with console_rig(tmp_path) as rig:
        _two_of_one_number(rig)
        before, now = (desk.Hold("lane-in", epoch, 1) for epoch in (EPOCH, LOST))
        desk.take(rig.archive, before, "4604001", utc_now())
        client = rig.client()
        address = client.get("/desk/hold/lane-in/1").headers["location"]
        assert address == f"/desk/hold/lane-in/{LOST}/1"
        assert (desk.in_hand(rig.archive).get(now), desk.steps(rig.archive, now)) == (None, ())
        old = client.post(f"/desk/hold/lane-in/{EPOCH}/1/release", data={"reason": "seal checked"})
        assert old.status_code == 409
        (given,) = rig.archive.engine.execute("SELECT count(*) FROM commands").fetchone()
        assert given == 0
        rulings = [desk.seen(rig.archive, hold).ruling for hold in (before, now)]
        assert [ruling.plate for ruling in rulings if ruling is not None] == ["琼A11111", "琼A22222"]
        queue = client.get("/desk").text
        assert ("琼A11111" in queue, "琼A22222" in queue) == (False, True)


def test_who_was_in_the_lane_when_its_disk_was_lost_is_not_in_it_for_ever(tmp_path: Path) -> None:
    """Its number is not taken again for a long time: the next vehicle in the lane ends it."""
    with console_rig(tmp_path) as rig:
        lane = SiteLane(lane="lane-in", direction=Direction.IN)
        rig.record("site", SITE, Site(site=SITE, name_zh="示范口岸", name_en="Demo port", lanes=(lane,)))
        rig.say("lane-in", PassageOpened(passage=500))
        rig.say("lane-in", RulingMade(passage=500, ruling=HELD, direction="I", plate="琼A11111"))
        rig.caught_up()
        device = rig.device("lane-in")
        device.position = 0
        device.begin(LOST)
        rig.send(device, device.facts[Stream.ALARM])
        rig.say("lane-in", PassageOpened(passage=1))
        rig.say("lane-in", RulingMade(passage=1, ruling=HELD, direction="I", plate="琼A22222"))
        rig.caught_up()
        client = rig.client()
        for address in ("/", "/desk"):
            page = client.get(address).text
            assert ("琼A11111" in page, "琼A22222" in page) == (False, True), address
        assert "kakou_passages_open 1\nkakou_" in re.sub(r"# .*\n", "", client.get("/metrics").text)
        with rig.console.shown() as shown:
            assert [row.passage for row in shown.passages_open()] == [1]


def test_who_is_in_the_lane_stays_there_while_another_drives_through_ungated(tmp_path: Path) -> None:
    with console_rig(tmp_path) as rig:
        rig.say("lane-in", PassageOpened(passage=4))
        rig.caught_up()
        device = rig.device("lane-in")
        device.begin(LOST)
        rig.send(device, device.facts[Stream.ALARM])
        rig.say("lane-in", PassageOpened(passage=5, gated=False))
        rig.caught_up()
        with rig.console.shown() as shown:
            assert [row.passage for row in shown.passages_open()] == [4, 5]


def test_a_passage_that_goes_on_after_its_lane_was_restored_is_one_passage(tmp_path: Path) -> None:
    with console_rig(tmp_path) as rig:
        rig.say("lane-in", PassageOpened(passage=4))
        rig.caught_up()
        device = rig.device("lane-in")
        device.begin(LOST)
        rig.send(device, device.facts[Stream.ALARM])
        rig.say("lane-in", RulingMade(passage=4, ruling=HELD, direction="I", plate="琼A11111"))
        rig.caught_up()
        page = rig.client().get("/passage/lane-in/4")
        assert (page.status_code, page.headers["location"]) == (303, f"/passage/lane-in/{EPOCH}/4")
        told = rig.client().get(f"/passage/lane-in/{LOST}/4", follow_redirects=True)
        assert (told.status_code, "琼A11111" in told.text) == (200, True)
        (row,) = rig.client().get("/api/v1/passages?device=lane-in").json()["passages"]
        assert (row["epoch"], row["plate"]) == (EPOCH, "琼A11111")


def test_metrics_do_not_round_a_count(tmp_path: Path) -> None:
    assert [_number(value) for value in (1_234_567, 12_345_678.0, 0.25, float("inf"))] == [
        "1234567",
        "12345678",
        "0.25",
        "+Inf",
    ]


# --- two officers (S8) ------------------------------------------------------------------------------------


def test_an_officer_whose_password_the_other_one_gave_is_no_second_officer(tmp_path: Path) -> None:
    with console_rig(tmp_path) as rig:
        now = utc_now()
        desk.must_be_two(rig.archive, "4604001", "4604002", now)
        roles = {Role.WATCH, Role.DUTY}
        set_account(rig.archive, "4604002", PASSWORD, roles, by="4604001", at_utc=now, hasher=CHEAP)
        given = account(rig.archive, "4604002")
        assert given is not None
        for pair in (("4604001", "4604002"), ("4604002", "4604001")):
            with pytest.raises(desk.DeskRefused, match="not_confirmed"):
                desk.must_be_two(rig.archive, *pair, now)
        confirm_account(rig.archive, given, by="setup", how="hub", at_utc=now)
        for pair in (("4604001", "4604002"), ("4604002", "4604001")):
            with pytest.raises(desk.DeskRefused, match="own_password_first"):
                desk.must_be_two(rig.archive, *pair, now)
        set_own_password(rig.archive, "4604002", PASSWORD, at_utc=now, hasher=CHEAP)
        desk.must_be_two(rig.archive, "4604001", "4604002", now)


def test_a_password_changed_in_the_name_of_the_second_officer_makes_nobody_a_second_officer(
    tmp_path: Path,
) -> None:
    with console_rig(tmp_path) as rig:
        now = utc_now()
        roles = {Role.WATCH, Role.DUTY}
        set_account(rig.archive, "4604002", PASSWORD, roles, by="4604001", at_utc=now, hasher=CHEAP)
        set_own_password(rig.archive, "4604002", PASSWORD, at_utc=now, hasher=CHEAP)
        with pytest.raises(desk.DeskRefused, match="not_confirmed"):
            desk.must_be_two(rig.archive, "4604001", "4604002", now)


def test_an_officer_who_has_left_the_desk_meanwhile_is_no_first_officer(tmp_path: Path) -> None:
    with console_rig(tmp_path) as rig:
        open_account(rig.archive, "4604001", {Role.WATCH})
        with pytest.raises(desk.DeskRefused, match="not_allowed"):
            desk.must_be_two(rig.archive, "4604001", "4604002", utc_now())


# --- beside the hub ---------------------------------------------------------------------------------------


def test_what_stands_by_the_hub_is_told_what_was_said_last_whenever_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, heard = tmp_path / "program", tmp_path / "heard"
    program.write_text(f"#!/bin/sh\nexec cat >> {heard}\n")
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr("sync.hub.kept_process.AGAIN_AFTER_S", 0.0)
    kept = KeptProcess("any", tmp_path / "hub.toml", structlog.get_logger("test"))
    kept.tell("one")
    kept.look()
    kept.tell("two")
    _until(lambda: heard.exists() and heard.read_text() == "one\ntwo\n")
    process = kept._process
    assert process is not None
    process.kill()
    process.wait()
    kept.look()
    _until(lambda: heard.read_text() == "one\ntwo\ntwo\n")
    kept.stop()


def test_one_who_does_not_listen_holds_up_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    kept = KeptProcess("any", tmp_path / "hub.toml", structlog.get_logger("test"))
    kept.look()
    began_s = time.monotonic()
    for _ in range(200):
        kept.tell("x" * 1_000)
    assert time.monotonic() - began_s < 2.0
    assert kept._process is not None
    kept._process.kill()
    kept.stop()


def test_without_its_broker_the_hub_is_said_to_hear_nobody(tmp_path: Path) -> None:
    with console_rig(tmp_path) as rig:
        client, chinese = rig.client(), rig.client(language="zh")
        assert "all devices online" in client.get("/").text
        assert "hub_broker_lost 0" in client.get("/metrics").text
        rig.console.hear_hub(b"broker_lost 2026-11-22T04:48:04.089972Z\n")
        for each, told, desk in (
            (client, ("no broker since 12:48", "as it was at 12:48"), "The hub is without its broker since"),
            (chinese, ("消息代理断开，自 12:48 起", "12:48 时的情形"), "起与消息代理断开"),
        ):
            wall = each.get("/").text
            assert all(one in wall for one in told)
            assert "all devices online" not in wall
            assert "设备全部在线" not in wall
            assert desk in each.get("/desk").text
        assert "hub_broker_lost 1" in client.get("/metrics").text
        rig.console.hear_hub(b"broker_lost \n")
        assert "all devices online" in client.get("/").text
        assert "without its broker" not in client.get("/desk").text
        rig.console.hear_hub(b"\xff\xfe something else\n")
        assert rig.console.broker_lost_utc == ""


def test_a_console_that_cannot_be_started_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-such-program"))
    kept = KeptProcess("sync.hub.console.serving", tmp_path / "hub.toml", structlog.get_logger("test"))
    kept.look()
    kept.look()
    assert kept._process is None
    kept.stop()
