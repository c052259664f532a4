"""The judgement contract over HTTP: who may say what, once, about which picture; and what nobody may."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import quote

import cv2
import msgspec
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from edge.runtime.clock import SystemClock
from edge.xray_bridge.contract import NO_COMMON_GROUND, DeskCommand, Judge, Show
from edge.xray_bridge.events import Judged, OfficerCame, OfficerLeft, Shown
from edge.xray_bridge.page.door import HERE, MOST_PLACES, TRIES, Counted, Door, place_of
from edge.xray_bridge.page.server import (
    MOST_BODY_BYTES,
    MOST_CONNECTIONS,
    MOST_DIFFERENCES_WAITING,
    MOST_FROM_ONE,
    PageSettings,
    StationPage,
    has_room,
)
from edge.xray_bridge.values import Verdict
from hardware_sims.xray_officer import ScriptedOfficer
from sync.policy.pin_tries import FREE_TRIES_OF_DEVICE, Tries
from tests.xray_desk import DEVICE, PEPPER, PIN, Album, DeskSite, Line, Roll, desk_site, parcel_of, site_of

OFFICER, OTHER = "4604009", "4604010"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[DeskSite]:
    built = desk_site(tmp_path)
    try:
        yield built
    finally:
        built.page.stop()


class Client:
    """A program at a desk: one connection for asking, one for the stream."""

    def __init__(self, site: DeskSite) -> None:
        self.site = site
        self.cookie = ""
        self.token = ""
        self.number = 0
        self.views: list[dict[str, Any]] = []
        self.answers: list[dict[str, Any]] = []
        self.ended = ""
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None

    def ask(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.site.port, timeout=10)
        sent = {"Cookie": self.cookie, **(headers or {})}
        content = None
        if body is not None:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        if self.token:
            sent.setdefault("X-Kakou-Token", self.token)
        connection.request(method, path, content, {k: v for k, v in sent.items() if v})
        answer = connection.getresponse()
        found = answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        connection.close()
        return found

    def told(self, method: str, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
        status, _, content = self.ask(method, path, body)
        return status, json.loads(content)

    def sign_in(self, officer: str = OFFICER, pin: str = PIN, **more: object) -> dict[str, Any]:
        status, headers, content = self.ask("POST", "/v1/sign_in", {"officer": officer, "pin": pin, **more})
        told: dict[str, Any] = json.loads(content)
        if status == 200:
            self.cookie = headers["set-cookie"].partition(";")[0]
            self.token = told["token"]
        return {"status": status, **told}

    def listen(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.site.port, timeout=10)
        connection.request("GET", "/v1/stream", headers={"Cookie": self.cookie})
        self._socket = connection.sock
        answer = connection.getresponse()
        assert answer.status == 200
        self._thread = threading.Thread(target=self._hear, args=(answer,), daemon=True)
        self._thread.start()
        wait(lambda: bool(self.views))

    def _hear(self, answer: http.client.HTTPResponse) -> None:
        name = ""
        with contextlib.suppress(OSError, ValueError, AttributeError, http.client.HTTPException):
            while line := answer.readline():
                if line.startswith(b"event: "):
                    name = line[7:].strip().decode()
                elif line.startswith(b"data: "):
                    told = json.loads(line[6:])
                    if name == "view":
                        self.views.append(told)
                    elif name == "answer":
                        self.answers.append(told)
                    else:
                        self.ended = told["why"]
        answer.close()

    def hang_up(self) -> None:
        if self._socket is not None and self._thread is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._thread.join(5.0)
            self._socket.close()

    def do(self, what: str, **fields: object) -> tuple[int, dict[str, Any]]:
        self.number += 1
        command = {"do": what, "id": f"c{self.number}", **fields}
        return self.told("POST", "/v1/commands", command)

    def answer_to(self, number: int) -> dict[str, Any]:
        wait(lambda: any(each["id"] == f"c{number}" for each in self.answers))
        return next(each for each in self.answers if each["id"] == f"c{number}")


def wait(is_so: Callable[[], bool], seconds: float = 8.0) -> None:
    until_s = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until_s, "it did not come"
        time.sleep(0.01)


@pytest.fixture
def desk(site: DeskSite) -> Iterator[Client]:
    client = Client(site)
    assert client.sign_in()["status"] == 200
    client.listen()
    yield client
    client.hang_up()


def test_an_officer_judges_what_the_stream_shows(site: DeskSite, desk: Client) -> None:
    site.line.place(parcel_of(1), 20.0)
    wait(lambda: bool(desk.views[-1]["me"]["in_hand"]))
    shown = desk.views[-1]["me"]["in_hand"][0]
    assert shown["waybill_no"] == "SF14000000001"
    assert desk.do("shown", parcel=1, picture="pic-1")[0] == 202
    status, accepted = desk.do(
        "judge", parcel=1, picture="pic-1", verdict="flagged", category="undeclared", took_s=2.5
    )
    assert (status, accepted["again"]) == (202, False)
    assert desk.answer_to(2)["ok"] is True
    (judged,) = site.line.judged
    assert judged == Judged(
        1, "pic-1", OFFICER, "desk-1", Verdict.FLAGGED, "undeclared", took_s=2.5, command_id="c2"
    )
    assert Shown(1, "pic-1", "desk-1") in site.line.events


def test_a_judgement_of_another_picture_is_refused_in_words(site: DeskSite, desk: Client) -> None:
    site.line.place(parcel_of(1), 20.0)
    site.line.swap(1, "pic-9")
    desk.do("judge", parcel=1, picture="pic-1", verdict="passed")
    answer = desk.answer_to(1)
    assert (answer["ok"], bool(answer["words"]["zh"]), bool(answer["words"]["en"])) == (False, True, True)
    assert site.line.judged == []


def test_one_command_id_has_one_effect(site: DeskSite, desk: Client) -> None:
    site.line.place(parcel_of(1), 20.0)
    command = {"do": "judge", "id": "once", "parcel": 1, "picture": "pic-1", "verdict": "passed"}
    assert desk.told("POST", "/v1/commands", command)[1]["again"] is False
    assert desk.told("POST", "/v1/commands", command) == (202, {"id": "once", "again": True})
    other = {**command, "verdict": "recheck"}
    assert desk.told("POST", "/v1/commands", other)[0] == 409
    assert len([each for each in site.line.events if isinstance(each, Judged)]) == 1


def test_a_flag_says_what_for(site: DeskSite, desk: Client) -> None:
    site.line.place(parcel_of(1), 20.0)
    status, refusal = desk.do("judge", parcel=1, picture="pic-1", verdict="flagged", category="nonsense")
    assert (status, refusal["code"]) == (422, "no_category")
    assert site.line.judged == []


def test_a_verdict_is_taken_back_while_the_belt_allows_it(site: DeskSite, desk: Client) -> None:
    site.line.place(parcel_of(1), 20.0)
    desk.do("judge", parcel=1, picture="pic-1", verdict="passed")
    desk.do("undo", parcel=1)
    assert desk.answer_to(2)["ok"] is True
    wait(lambda: bool(desk.views[-1]["me"]["in_hand"]))


def test_nothing_but_signing_in_the_page_and_its_health_is_answered_to_a_stranger(site: DeskSite) -> None:
    stranger = Client(site)
    site.line.place(parcel_of(1), 20.0)
    for path in (
        "/v1/view",
        "/v1/stream",
        "/v1/pictures/pic-1/planes.png",
        "/v1/pictures/pic-1/differences/ref-1.png",
        "/v1/pictures/pic-1/preview.jpg",
        "/v1/tables/cal-1/colour.bin",
        "/v1/search?by=sku&text=SKU-77120",
    ):
        status, _, content = stranger.ask("GET", path)
        assert (path, status) == (path, 401)
        assert b"SF14" not in content
    assert stranger.ask("POST", "/v1/commands", {"do": "touched", "id": "a"})[0] == 401
    assert stranger.ask("POST", "/v1/sign_out")[0] == 401
    assert (stranger.ask("GET", "/v1/session")[0], stranger.ask("GET", "/v1/session")[2]) == (204, b"")
    assert stranger.ask("GET", "/healthz")[0] == 200
    assert stranger.ask("GET", "/")[0] == 200
    assert site.line.events == []
    assert site.album.asked == []


@pytest.mark.parametrize(
    ("officer", "pin", "status", "code"),
    [
        (OFFICER, "1938475", 403, "wrong"),
        ("9999999", PIN, 403, "unknown"),
        ("4604011", PIN, 403, "not_authorised"),
        ("4604011", "1938475", 403, "wrong"),
    ],
)
def test_who_may_not_judge_does_not_get_in(
    site: DeskSite, officer: str, pin: str, status: int, code: str
) -> None:
    told = Client(site).sign_in(officer, pin)
    assert (told["status"], told["code"]) == (status, code)


def test_wrong_pins_make_the_next_try_wait_and_a_restart_does_not_help(tmp_path: Path) -> None:
    for _ in range(2):
        site = desk_site(tmp_path)
        try:
            told = [Client(site).sign_in(OFFICER, "1938475") for _ in range(4)]
        finally:
            site.page.stop()
    assert [each["code"] for each in told] == ["wait"] * 4
    assert told[-1]["wait_s"] > 20
    assert (tmp_path / TRIES).stat().st_size < 1_000


def test_a_damaged_count_of_tries_forgives_nobody(tmp_path: Path) -> None:
    (tmp_path / TRIES).write_bytes(b"{broken")
    site = desk_site(tmp_path)
    try:
        assert Client(site).sign_in()["code"] == "wait"
    finally:
        site.page.stop()


class At:
    """A door whose clock stands until it is told to go on."""

    def __init__(self, folder: Path) -> None:
        self.now_s = 1_000.0
        self.boot_id = SystemClock().boot_id()
        clock = SimpleNamespace(boot_id=lambda: self.boot_id, monotonic_s=lambda: self.now_s)
        self.door = Door(
            device=DEVICE,
            folder=folder,
            clock=cast(Any, clock),
            roster=Roll(site_of()),
            peppers=lambda: (PEPPER,),
        )

    def tries(
        self, address: str, *, pin: str = "1938475", officer: str = OFFICER, times: int = 1
    ) -> list[str]:
        return [self.door.check(officer, pin, address).outcome for _ in range(times)]


def test_strangers_lock_no_officer_out_at_the_station_nor_where_they_signed_in_before(tmp_path: Path) -> None:
    at = At(tmp_path)
    assert at.tries("10.0.0.8", pin=PIN) == ["right"]
    for n in range(20):
        at.tries(f"192.0.2.{n}", times=4)
    assert at.tries("192.0.2.77", pin=PIN) == ["wait"]
    assert [at.tries(each, pin=PIN) for each in ("127.0.0.1", "::1", "10.0.0.8")] == [["right"]] * 3
    at.now_s += 30.0
    assert at.tries("192.0.2.77", pin=PIN) == ["right"]


def test_many_addresses_guess_no_faster_than_one(tmp_path: Path) -> None:
    """Of one officer three are free, however many addresses try; of all officers ten."""
    at = At(tmp_path)
    told = [at.tries(f"192.0.2.{n}")[0] for n in range(9)]
    assert told == ["wrong"] * 3 + ["wait"] * 6
    told = [at.tries(f"198.51.100.{n}", officer=OTHER)[0] for n in range(9)]
    assert told == ["wrong"] * 3 + ["wait"] * 6
    told = [at.tries(f"203.0.113.{n}", officer=f"99{n:05d}")[0] for n in range(9)]
    assert told == ["unknown"] * 4 + ["wait"] * 5


def test_one_place_has_three_tries_of_each_officer_and_ten_in_all(tmp_path: Path) -> None:
    at = At(tmp_path)
    assert at.tries("127.0.0.1", times=4) == ["wrong"] * 3 + ["wait"]
    assert at.tries("127.0.0.9", officer=OTHER, pin=PIN) == ["right"]
    at.now_s += 30.0
    assert at.tries("127.0.0.1", pin=PIN) == ["right"]
    told = [at.tries("::ffff:127.0.0.1", officer=f"99{n:05d}")[0] for n in range(12)]
    assert told == ["unknown"] * 10 + ["wait"] * 2
    assert at.tries("127.0.0.1", pin=PIN) == ["wait"]


def test_what_is_counted_of_strangers_is_bounded_and_a_restart_forgets_nothing(tmp_path: Path) -> None:
    at = At(tmp_path)
    once = Tries(count=1, boot_id=at.boot_id, at_s=at.now_s)
    places = {f"place/2001:db8:{n:x}::": once for n in range(MOST_PLACES + 60)}
    used_up = Tries(count=FREE_TRIES_OF_DEVICE - 1, boot_id=at.boot_id, at_s=at.now_s)
    full = Counted(tries={**places, "place/10.9.9.9": used_up, "strangers": used_up})
    (tmp_path / TRIES).write_bytes(msgspec.json.encode(full))
    assert at.tries("2001:db8:ffff::7", officer="9900001") == ["unknown"]
    left = msgspec.json.decode((tmp_path / TRIES).read_bytes(), type=Counted).tries
    assert sum(key.startswith("place/") for key in left) == MOST_PLACES + 1
    assert (left["place/10.9.9.9"], left["strangers"].count) == (used_up, FREE_TRIES_OF_DEVICE)
    again = At(tmp_path)
    assert again.tries("2001:db8:fffe::7", pin=PIN) == ["wait"]
    for n in range(12):
        at.now_s += 4_000.0
        assert at.tries(f"10.0.0.{n}", pin=PIN) == ["right"]
    again.now_s = at.now_s
    again.tries("10.1.1.1", times=3)
    callers = ("10.0.0.3", "10.0.0.4", "10.0.0.11")
    assert [again.tries(each, pin=PIN)[0] for each in callers] == ["wait", "right", "right"]


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("127.0.0.1", HERE),
        ("127.8.8.8", HERE),
        ("::1", HERE),
        ("::ffff:127.0.0.1", HERE),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("10.1.2.3", "10.1.2.3"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("", "nowhere"),
        ("here", "nowhere"),
    ],
)
def test_where_somebody_calls_from(address: str, place: str) -> None:
    assert place_of(address) == place


def test_the_cookie_alone_commands_nothing(site: DeskSite, desk: Client) -> None:
    desk.token = "another"
    status, refusal = desk.do("judge", parcel=1, picture="pic-1", verdict="passed")
    assert (status, refusal["code"]) == (403, "no_token")
    assert site.line.judged == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_another_sites_page_is_turned_away(site: DeskSite, desk: Client, headers: dict[str, str]) -> None:
    command = {"do": "judge", "id": "x", "parcel": 1, "picture": "pic-1", "verdict": "passed"}
    assert desk.ask("POST", "/v1/commands", command, headers)[0] == 403
    assert desk.ask("GET", "/v1/view", headers=headers)[0] == 403
    assert site.line.judged == []


def test_a_foreign_name_pointed_at_this_machine_is_turned_away(site: DeskSite, desk: Client) -> None:
    assert desk.ask("GET", "/v1/view", headers={"Host": f"evil.example:{site.port}"})[0] == 421
    assert desk.ask("GET", "/v1/view", headers={"Host": f"127.0.0.1:{site.port + 1}"})[0] == 421
    assert desk.ask("GET", "/v1/view", headers={"Host": f"localhost:{site.port}"})[0] == 200


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{" * 1000, {}, 422),
        (b"[" * 20_000, {}, 422),
        (b'{"do":"judge"}', {}, 422),
        (b'{"do":"judge","id":"a b","parcel":1,"picture":"p","verdict":"passed"}', {}, 422),
        (b'{"do":"judge","id":"a","parcel":1,"picture":"../p","verdict":"passed"}', {}, 422),
        (b'{"do":"judge","id":"a","parcel":-1,"picture":"p","verdict":"passed"}', {}, 422),
        (b'{"do":"judge","id":"a","parcel":1,"picture":"p","verdict":"passed","more":1}', {}, 422),
        (b'{"do":"judge","id":"a","parcel":1,"picture":"p","verdict":"passed","took_s":1e999}', {}, 422),
        (b'{"do":"start_belt","id":"a"}', {}, 422),
        (b"\xff\xfe", {}, 422),
        (b"x" * (MOST_BODY_BYTES + 1), {}, 413),
        (b"{}", {"Content-Type": "text/plain"}, 415),
        (b"{}", {"Content-Length": "2147483648"}, 413),
    ],
)
def test_what_is_no_command_is_refused_and_does_nothing(
    site: DeskSite, desk: Client, body: bytes, headers: dict[str, str], status: int
) -> None:
    before = len(site.line.events)
    assert desk.ask("POST", "/v1/commands", body, headers)[0] == status
    assert len(site.line.events) == before


def test_an_officer_is_present_while_the_stream_is_open(
    site: DeskSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.xray_bridge.page.desks.GONE_AFTER_S", 0.1)
    client = Client(site)
    client.sign_in()
    assert client.do("judge", parcel=1, picture="pic-1", verdict="passed")[1]["code"] == "not_watching"
    assert site.line.events == []
    client.listen()
    assert site.line.events == [OfficerCame("desk-1", OFFICER, ("x_ray", "inspect"))]
    client.hang_up()
    wait(lambda: OfficerLeft("desk-1", OFFICER, "gone") in site.line.events)
    client.listen()
    wait(lambda: site.line.came == {"desk-1": OFFICER})
    assert client.ask("POST", "/v1/sign_out", {})[0] == 204
    wait(lambda: client.ended == "asked")
    client.hang_up()
    assert client.ask("GET", "/v1/view")[0] == 401


def test_one_officer_sits_at_one_desk_and_one_desk_has_one_officer(site: DeskSite, desk: Client) -> None:
    again = Client(site)
    assert again.sign_in(desk="desk-2")["desk"] == "desk-2"
    wait(lambda: desk.ended == "elsewhere")
    other = Client(site)
    assert other.sign_in("4604010", desk="desk-2")["desk"] == "desk-2"
    assert again.ask("GET", "/v1/view")[0] == 401
    assert Client(site).sign_in(desk="desk-7")["code"] == "desk_unknown"
    assert Client(site).sign_in("4604010")["desk"] == "desk-2"


def test_a_remote_desk_is_told_to_be_one(site: DeskSite) -> None:
    remote = Client(site)
    assert remote.sign_in(remote=True)["desk"] == "remote-1"
    remote.listen()
    assert site.line.events == [OfficerCame("remote-1", OFFICER, ("x_ray", "inspect"), remote=True)]
    remote.hang_up()


def test_an_officer_the_records_revoke_is_out(
    site: DeskSite, desk: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.xray_bridge.page.server._STANDING_EVERY_S", 0.1)
    site.roll.revoke(OFFICER)
    wait(lambda: desk.ended == "revoked")
    assert OfficerLeft("desk-1", OFFICER, "revoked") in site.line.events
    assert desk.sign_in()["code"] == "revoked"


def test_a_desk_nobody_touches_locks(tmp_path: Path) -> None:
    site = desk_site(tmp_path, PageSettings(port=0, lock_s=0.2))
    try:
        client = Client(site)
        client.sign_in()
        client.listen()
        wait(lambda: bool(client.ended))
        assert client.ended == "untouched"
        client.hang_up()
    finally:
        site.page.stop()


def test_pictures_are_kept_by_the_browser_and_unknown_ones_are_not_there(
    site: DeskSite, desk: Client
) -> None:
    for path in ("pictures/pic-1/planes.png", "pictures/pic-1/preview.jpg", "tables/cal-1/colour.bin"):
        status, headers, content = desk.ask("GET", f"/v1/{path}")
        assert (status, len(content) > 1000) == (200, True)
        assert "immutable" in headers["cache-control"]
    for path in ("pictures/nothing/planes.png", "pictures/..%2f..%2fx/planes.png", "tables/cal-2/colour.bin"):
        assert desk.ask("GET", f"/v1/{path}")[0] == 404
    desk.ask("GET", "/v1/pictures/pic-1/planes.png")
    assert site.album.asked.count("pic-1") == 2


def test_a_difference_is_worked_out_when_asked_for_and_once(site: DeskSite, desk: Client) -> None:
    path = "/v1/pictures/pic-1/differences/ref-1.png"
    found = [desk.ask("GET", path) for _ in range(2)]
    assert [status for status, _, _ in found] == [200, 200]
    (_, headers, content), again = found[0], found[1][2]
    assert (headers["content-type"], headers["x-kakou-common"]) == ("image/png", "0.620")
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert (decoded.shape, int(decoded[..., 0].max()), content == again) == ((200, 250, 3), 0, True)
    assert (len(content) < 20_000, site.album.compared) == (True, [("pic-1", "ref-1")])
    for _ in range(2):
        status, told = desk.told("GET", "/v1/pictures/pic-1/differences/past-4.png")
        assert (status, told["code"]) == (422, NO_COMMON_GROUND)
        assert told["words"] == {"zh": "包装大小不同，无法对齐", "en": "Cartons of another size"}
    assert site.album.compared[1:] == [("pic-1", "past-4")]
    for pair in ("pic-1/differences/nothing", "nothing/differences/ref-1", "pic-1/differences/..%2f..%2fx"):
        assert desk.ask("GET", f"/v1/pictures/{pair}.png")[0] == 404


def test_a_difference_does_not_outlive_the_calibration_it_was_seen_by(site: DeskSite, desk: Client) -> None:
    path = "/v1/pictures/pic-1/differences/ref-1.png"
    _, headers, _ = desk.ask("GET", path)
    tag = headers["etag"]
    assert (headers["x-kakou-common"], headers["cache-control"]) == ("0.620", "private, no-cache")
    status, headers, content = desk.ask("GET", path, headers={"If-None-Match": tag})
    assert (status, content, headers["etag"], len(site.album.compared)) == (304, b"", tag, 1)
    site.album.calibration = "cal-2"
    status, headers, _ = desk.ask("GET", path, headers={"If-None-Match": tag})
    assert (status, headers["x-kakou-common"], len(site.album.compared)) == (200, "0.710", 2)


def test_differences_worked_out_are_few_and_keep_no_picture_waiting(site: DeskSite, desk: Client) -> None:
    site.album.may_compare.clear()
    statuses: list[int] = []

    def ask(number: int) -> None:
        statuses.append(desk.ask("GET", f"/v1/pictures/pic-{number}/differences/ref-1.png")[0])

    asking = [threading.Thread(target=ask, args=(n,)) for n in range(MOST_DIFFERENCES_WAITING + 1)]
    for each in asking:
        each.start()
    wait(lambda: statuses == [429])
    assert desk.ask("GET", "/v1/pictures/pic-2/planes.png")[0] == 200
    assert statuses == [429]
    site.album.may_compare.set()
    for each in asking:
        each.join(10.0)
    assert statuses == [429] + [200] * MOST_DIFFERENCES_WAITING


def test_a_hot_folders_picture_is_shown_and_judged_like_any_other(site: DeskSite, desk: Client) -> None:
    """Its name is the file's and when it was begun."""
    picture = "P000017@2026-11-22T08:15:30.250Z"
    site.album.asked.clear()
    desk.ask("GET", f"/v1/pictures/{quote(picture, safe='')}/planes.png")
    assert site.album.asked == [picture]
    for said in (
        Judge(id="a1", parcel=1, picture=picture, verdict=Verdict.PASSED),
        Show(id="a2", parcel=1, picture=picture),
    ):
        assert msgspec.json.decode(msgspec.json.encode(said), type=DeskCommand) == said


def test_nobody_is_shown_anothers_pace_or_parcels(site: DeskSite, desk: Client) -> None:
    other = Client(site)
    other.sign_in("4604010")
    other.listen()
    wait(lambda: len(site.line.came) == 2)
    status, shown = other.told("GET", "/v1/view")
    assert (status, shown["me"]["desk"], len(shown["officers"])) == (200, "desk-2", 2)
    assert [each["at_work_s"] for each in shown["officers"] if each["desk"] == "desk-1"] == [0.0]
    other.hang_up()


def test_a_station_that_hangs_is_not_shown_as_well(site: DeskSite, desk: Client) -> None:
    site.line.silent = True
    assert desk.ask("GET", "/healthz")[0] == 503


def test_a_search_finds_and_refuses_what_is_none(site: DeskSite, desk: Client) -> None:
    status, found = desk.told("GET", "/v1/search?by=sku&text=SKU-77120")
    assert (status, len(found["rows"])) == (200, 8)
    assert desk.ask("GET", "/v1/search?by=name&text=x")[0] == 422
    assert desk.ask("GET", "/v1/search?by=sku&text=" + "x" * 81)[0] == 422


def test_every_answer_forbids_what_is_not_ours(site: DeskSite, desk: Client) -> None:
    for path in ("/", "/assets/station.js", "/v1/view", "/nothing", "/v1/pictures/pic-1/planes.png"):
        headers = desk.ask("GET", path)[1]
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
    assert desk.ask("PUT", "/v1/view")[0] == 405
    assert desk.ask("DELETE", "/v1/commands")[0] == 405


def test_many_connections_that_say_nothing_keep_nobody_out_for_long(
    site: DeskSite, desk: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.xray_bridge.page.server.PATIENCE_S", 0.3)
    silent = [socket.create_connection(("127.0.0.1", site.port)) for _ in range(MOST_CONNECTIONS)]
    slow = socket.create_connection(("127.0.0.1", site.port))
    slow.sendall(b"GET / HTTP/1.1\r\nHost: ")
    try:
        tries: list[bool] = []

        def answers() -> bool:
            tries.append(_answers(desk))
            return tries[-1]

        # One answer is enough: those who are hung up on still take their places for a moment.
        wait(answers)
        assert tries[-1]
    finally:
        for each in (*silent, slow):
            each.close()


def _answers(desk: Client) -> bool:
    with contextlib.suppress(OSError, http.client.HTTPException):
        return desk.ask("GET", "/v1/view")[0] == 200
    return False


def test_callers_who_say_nothing_before_tls_hold_no_more_files_than_others_and_not_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.xray_bridge.page.server.PATIENCE_S", 0.5)
    key, certificate = self_signed(tmp_path)
    secured = desk_site(tmp_path, PageSettings(port=0, certificate_file=certificate, key_file=key))
    before = open_files()
    callers = [socket.create_connection(("127.0.0.1", secured.port)) for _ in range(MOST_CONNECTIONS * 2)]
    try:
        held = []
        for _ in range(20):
            time.sleep(0.02)
            held.append(open_files() - before - len(callers))
        # Whoever is too many is let in for the moment it takes to hang up.
        assert 0 < max(held) <= MOST_CONNECTIONS + 4
        assert statistics.median(held) <= MOST_CONNECTIONS
        trusting = ssl.create_default_context(cafile=str(certificate))

        def health() -> bool:
            with contextlib.suppress(OSError, http.client.HTTPException):
                secure = http.client.HTTPSConnection("localhost", secured.port, timeout=5, context=trusting)
                with contextlib.closing(secure):
                    secure.request("GET", "/healthz")
                    return secure.getresponse().status == 200
            return False

        wait(health)
    finally:
        for each in callers:
            each.close()
        secured.page.stop()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def self_signed(folder: Path) -> tuple[Path, Path]:
    """Key and certificate of `localhost`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    key_file, certificate_file = folder / "key.pem", folder / "certificate.pem"
    plain = serialization.NoEncryption()
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )
    certificate_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return key_file, certificate_file


def test_one_machine_elsewhere_leaves_room_for_the_others() -> None:
    assert has_room("10.0.0.8", ["10.0.0.9"] * MOST_FROM_ONE)
    assert not has_room("10.0.0.9", ["10.0.0.9"] * MOST_FROM_ONE)
    assert has_room("127.0.0.1", ["127.0.0.1"] * MOST_FROM_ONE)
    assert not has_room("127.0.0.1", ["127.0.0.1"] * MOST_CONNECTIONS)
    assert has_room("fe80::1%eth0", [])


def test_a_port_that_is_taken_stops_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line, album, roll = Line(SystemClock()), Album(), Roll(site_of())
        page = StationPage(
            PageSettings(port=port),
            clock=SystemClock(),
            latest=line.latest,
            put=line.put,
            pictures=album,
            library=album,
            door=Door(device=DEVICE, folder=tmp_path, clock=SystemClock(), roster=roll, peppers=lambda: ()),
        )
        page.start()
        time.sleep(0.1)
        page.changed()
        assert page.bound_port is None
        page.stop()


def test_a_scripted_officer_leaves_the_desk_to_the_person_who_signs_in(site: DeskSite) -> None:
    scripted = ScriptedOfficer(site.port, OFFICER, PIN, {})
    scripted.start()
    try:
        assert scripted.signed_in.wait(10.0)
        person = Client(site)
        assert person.sign_in()["status"] == 200
        scripted.join(10.0)
        assert not scripted.is_alive()
    finally:
        scripted.stop()
    assert person.told("GET", "/v1/session")[1]["officer"] == OFFICER
