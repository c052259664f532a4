"""The console's doors: who comes in, who does not, and what a fact needs to be seen."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from sync.hub.console.app import ROUTERS, build_app
from sync.hub.console.shown import Shown
from sync.vocabulary.facts import PassageOpened
from sync.vocabulary.records import Site
from tests.console_rig import PASSWORD, ConsoleRig, console_rig
from tests.unit.test_hub_device import SITE


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[ConsoleRig]:
    with console_rig(tmp_path) as made:
        yield made


def _stranger(rig: ConsoleRig) -> TestClient:
    return TestClient(build_app(rig.console), base_url="http://127.0.0.1", follow_redirects=False)


def test_nothing_is_answered_to_a_stranger_but_health_assets_and_the_sign_in_page(rig: ConsoleRig) -> None:
    stranger = _stranger(rig)
    open_paths = {"/healthz", "/assets/{name}", "/favicon.ico", "/sign-in", "/prefer"}
    for route in (route for router in ROUTERS for route in router.routes):
        assert isinstance(route, APIRoute)
        assert route.methods
        path = route.path.replace("{", "x").replace("}", "x")
        method = "GET" if "GET" in route.methods else "POST"
        answer = stranger.request(method, path)
        assert (route.path in open_paths) or answer.status_code in (303, 401, 403), route.path
        assert (route.path in open_paths) or answer.headers.get("location", "/sign-in").startswith("/sign-in")


def test_who_has_the_password_comes_in_and_goes_out(rig: ConsoleRig) -> None:
    client = rig.client()
    assert client.get("/sign-in").status_code == 200
    assert client.post("/sign-out").status_code == 303
    assert rig.console.sessions.kept == {}


def test_a_wrong_password_is_refused_and_slows_down(rig: ConsoleRig) -> None:
    stranger = _stranger(rig)
    codes = [
        stranger.post("/sign-in", data={"officer": "4604001", "password": "wrong"}).status_code
        for _ in range(6)
    ]
    assert codes == [403] * 5 + [429]
    assert stranger.post("/sign-in", data={"officer": "4604001", "password": PASSWORD}).status_code == 429


def test_a_cookie_alone_changes_nothing(rig: ConsoleRig) -> None:
    client = rig.client()
    del client.headers["x-kakou-token"]
    assert client.post("/sign-out").status_code == 403
    assert len(rig.console.sessions.kept) == 1


def test_a_fact_that_is_stored_is_shown(rig: ConsoleRig) -> None:
    rig.say("lane-in", PassageOpened(passage=1))
    rig.caught_up()
    with rig.console.shown() as shown:
        (row,) = shown.passages_open()
    assert (row.device, row.passage) == ("lane-in", 1)


def test_what_is_shown_is_made_anew_for_another_archive(rig: ConsoleRig) -> None:
    rig.say("lane-in", PassageOpened(passage=1))
    rig.caught_up()
    file = rig.console.part.shown_file
    Shown.open(file, "another").close()
    assert Shown.open(file).passages_open() == ()


def test_another_time_zone_in_the_sites_record_makes_what_is_shown_anew(rig: ConsoleRig) -> None:
    rig.say("lane-in", PassageOpened(passage=1), time="2026-11-22T20:00:00.000000Z")

    def day() -> tuple[str, int]:
        with rig.console.shown() as shown:
            (row,) = shown.passages_open()
        return row.day, row.hour

    with rig.served():
        _until(lambda: rig.console.part.shown_file.exists() and _passages(rig) == 1)
        assert day() == ("2026-11-23", 4)
        rig.record("site", SITE, Site(site=SITE, name_zh="示范口岸", name_en="Demo port", zone="Asia/Urumqi"))
        _until(lambda: day() == ("2026-11-23", 2))


def _passages(rig: ConsoleRig) -> int:
    with rig.console.shown() as shown:
        return len(shown.passages_open())


def _until(met: Callable[[], bool]) -> None:
    until_s = time.monotonic() + 20.0
    while True:
        with contextlib.suppress(sqlite3.Error, ValueError):
            if met():
                return
        assert time.monotonic() < until_s, "not in time"
        time.sleep(0.1)
