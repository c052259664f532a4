"""Remote judging: the console before a real station's page, over its own contract. What the station
gives its remote desk is seen and judged from the centre; what it refuses is refused here."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest
from starlette.testclient import TestClient

from edge.xray_bridge.page.server import PageSettings
from edge.xray_bridge.values import Verdict
from sync.enrolment.certificates import (
    Usage,
    key_pem,
    make_authority,
    make_certificate,
    make_tls_key,
    pem_of,
)
from sync.hub.config import ConfigRefused, read_hub_config
from sync.hub.console.app import build_app
from sync.hub.console.stations import StationAway, Stations
from sync.hub.console.words import WORDS
from tests.console_rig import PASSWORD, ConsoleRig, console_rig
from tests.xray_desk import PIN, DeskSite, desk_site, officer_of, parcel_of

STATION = "xray-1"
OFFICER = "4604001"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeskSite]:
    settings = PageSettings(port=0, desks={"desk-1": False, "remote-1": True})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edge.xray_bridge.page.desks.GONE_AFTER_S", 0.2)
        made = desk_site(tmp_path_factory.mktemp("station"), settings)
        made.line.strict = True
        made.roll.officers[OFFICER] = officer_of(OFFICER, "x_ray")
        yield made
        made.page.stop()


@pytest.fixture
def rig(tmp_path: Path, site: DeskSite) -> Iterator[ConsoleRig]:
    site.line.reset()
    with console_rig(tmp_path) as made:
        object.__setattr__(made.console.part, "stations", {STATION: f"http://127.0.0.1:{site.port}"})
        yield made


def sign_in(client: TestClient, pin: str = PIN) -> int:
    return client.post(f"/judging/{STATION}/sign-in", data={"pin": pin}).status_code


class Watching:
    """A signed-in browser with the stream open, over a real connection."""

    def __init__(self, address: str) -> None:
        self.http = httpx2.Client(base_url=address, timeout=10.0, follow_redirects=False)
        assert self.http.post("/sign-in", data={"officer": OFFICER, "password": PASSWORD}).status_code == 303
        page = self.http.get("/judging", headers={"accept": "text/html"}).text
        self.token = re.findall(r'data-csrf="([^"]+)"', page)[0]
        self.http.headers["x-kakou-token"] = self.token
        self.events: list[tuple[str, Any]] = []
        self.reading: threading.Thread | None = None

    def open(self) -> None:
        assert self.http.post(f"/judging/{STATION}/sign-in", data={"pin": PIN}).status_code == 303
        self.reading = threading.Thread(target=self._read, daemon=True)
        self.reading.start()

    def _read(self) -> None:
        # The test closes the client while the stream is still open.
        with (
            contextlib.suppress(httpx2.TransportError),
            self.http.stream("GET", f"/judging/{STATION}/stream") as answer,
        ):
            name = ""
            for line in answer.iter_lines():
                if line.startswith("event: "):
                    name = line[7:]
                elif line.startswith("data: "):
                    self.events.append((name, json.loads(line[6:])))

    def until(self, found: Any) -> Any:
        until_s = time.monotonic() + 10.0
        while time.monotonic() < until_s:
            for name, data in reversed(self.events):
                got = found(name, data)
                if got:
                    return got
            time.sleep(0.02)
        raise AssertionError(f"not seen; the last were {self.events[-2:]}")

    def say(self, do: str, number: int, **fields: object) -> int:
        command = {"do": do, "id": f"c-test-{number}", **fields}
        return self.http.post(f"/judging/{STATION}/commands", json=command).status_code


def test_a_desk_that_the_station_has_taken_back_is_forgotten(rig: ConsoleRig, site: DeskSite) -> None:
    client = rig.client(OFFICER)
    assert sign_in(client) == 303
    assert rig.app is not None
    stations: Stations = rig.app.state.stations
    (session,) = rig.console.sessions.kept
    seat = stations.seat(session, STATION)
    assert seat is not None
    stations._seats[session, STATION] = dataclasses.replace(seat, cookie="taken back")
    client.headers["accept"] = "*/*"  # as the page's script asks
    answer = client.post(f"/judging/{STATION}/commands", json={"do": "shown", "id": "c-1", "parcel": 2})
    assert (answer.status_code, answer.json()["code"]) == (409, "no_desk")
    assert stations.seat(session, STATION) is None


def test_a_parcel_is_judged_from_the_centre_and_the_verdict_is_the_stations(
    rig: ConsoleRig, site: DeskSite
) -> None:
    with rig.served() as address:
        browser = Watching(address)
        browser.open()
        site.line.place(parcel_of(2), 60.0)
        hand = browser.until(lambda name, data: name == "view" and data["me"]["in_hand"])
        assert [(each["parcel"], each["waybill_no"]) for each in hand] == [(2, "SF14000000002")]
        path = f"/judging/{STATION}/pictures/pic-2"
        planes = browser.http.get(f"{path}/planes.png")
        assert (planes.headers["content-type"], planes.content) == ("image/png", site.album.planes("pic-2"))
        assert browser.http.get(f"{path}/preview.jpg").content == site.album.preview("pic-2")
        found = browser.http.get(f"{path}/differences/ref-1")
        assert (found.headers["content-type"], found.headers["x-kakou-common"]) == ("image/png", "0.620")
        differs = site.album.difference("pic-2", "ref-1")
        assert (found.headers["cache-control"], found.content) == ("no-store", cast(Any, differs).png)
        apart = browser.http.get(f"{path}/differences/past-4")
        assert (apart.status_code, apart.json()["words"]["en"]) == (422, "Cartons of another size")
        assert browser.http.get(f"{path}/differences/..%2f..%2fsession").status_code == 404
        table = browser.http.get(f"/judging/{STATION}/tables/cal-1/colour")
        assert len(table.content) == 262_144
        assert browser.say("shown", 1, parcel=2, picture="pic-2") == 202
        assert browser.say("judge", 2, parcel=2, picture="pic-2", verdict="passed", took_s=1.2) == 202
        assert browser.say("judge", 2, parcel=2, picture="pic-2", verdict="passed", took_s=1.2) == 202
        assert browser.until(lambda name, data: name == "answer" and data["id"] == "c-test-2" and data["ok"])
        assert [(j.parcel, j.officer, j.desk, j.verdict) for j in site.line.judged] == [
            (2, OFFICER, "remote-1", Verdict.PASSED)
        ]
        # The contract's own refusals come through, in its words.
        refused = browser.http.post(f"/judging/{STATION}/commands", json={"do": "judge", "id": "c-test-9"})
        assert (refused.status_code, refused.json()["code"]) == (422, "not_this_shape")
        # Signed out here is signed out there, within seconds.
        browser.http.post("/sign-out")
        assert browser.until(lambda name, data: name == "ended" and data["why"] == "console")
        until_s = time.monotonic() + 5.0
        while site.line.came and time.monotonic() < until_s:
            time.sleep(0.02)
        assert site.line.came == {}
        browser.http.close()
    reads = rig.archive.engine.execute("SELECT officer, what, subject FROM console_reads").fetchall()
    told = [tuple(row) for row in reads]
    assert told == [(OFFICER, "judging", STATION), (OFFICER, "x_ray_picture", f"{STATION}/2")]


def test_the_pin_is_the_stations_to_check_and_is_kept_nowhere(rig: ConsoleRig, site: DeskSite) -> None:
    client = rig.client()
    assert sign_in(client, "0000000") == 403
    assert "Wrong number or PIN" in client.post(f"/judging/{STATION}/sign-in", data={"pin": "0000000"}).text
    assert sign_in(client) == 303
    seat = client.app.state.stations.seat(client.cookies["kakou_console"], STATION)  # type: ignore[attr-defined]
    assert (seat.officer, seat.desk) == (OFFICER, "remote-1")
    assert PIN not in repr(vars(client.app.state.stations))  # type: ignore[attr-defined]
    client.post(f"/judging/{STATION}/sign-out")
    assert client.get(f"/judging/{STATION}/pictures/pic-2/planes.png").status_code == 409


def test_only_who_signed_in_at_the_station_sees_its_pictures(rig: ConsoleRig, site: DeskSite) -> None:
    app = build_app(rig.console)
    first, other, watcher = rig.client(), rig.client("4604002"), rig.client("4604003")
    for each in (first, other, watcher):
        each.app = each._transport.app = app  # type: ignore[attr-defined]
    assert sign_in(first) == 303
    picture = f"/judging/{STATION}/pictures/pic-2/planes.png"
    assert [each.get(picture).status_code for each in (first, other, watcher)] == [200, 409, 403]
    assert [each.get("/judging").status_code for each in (first, other, watcher)] == [200, 200, 403]
    body = {"do": "shown", "id": "c-1", "parcel": 2, "picture": "pic-2"}
    assert other.post(f"/judging/{STATION}/commands", json=body).status_code == 409
    del first.headers["x-kakou-token"]
    assert first.post(f"/judging/{STATION}/commands", json=body).status_code == 403
    first.headers["x-kakou-token"] = "x"
    assert first.get(f"/judging/{STATION}/pictures/..%2Fsession/planes.png").status_code == 404
    for path in ("pic-2/planes.png", "pic-2/differences/ref-1"):
        assert other.get(f"/judging/{STATION}/pictures/{path}").status_code == 409
    asked = len(site.album.asked)
    assert first.get(f"/judging/{STATION}/pictures/P17@0063/planes.png").status_code == 404
    assert site.album.asked[asked:] == ["P17@0063"]


def test_a_station_that_is_away_is_said_to_be(rig: ConsoleRig) -> None:
    object.__setattr__(rig.console.part, "stations", {STATION: "http://127.0.0.1:9"})
    for language, number in (("zh", 0), ("en", 1)):
        client = rig.client(language=language)
        assert WORDS["judging.state.away"][number] in client.get("/judging").text
        answer = client.post(f"/judging/{STATION}/sign-in", data={"pin": PIN})
        assert (answer.status_code, WORDS["judging.away"][number] in answer.text) == (503, True)
        assert not re.findall(r"[>\s]judging\.[a-z_.]+[<\s]", answer.text)


def test_a_station_with_a_certificate_of_another_authority_gets_no_pin(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    keys = [make_tls_key() for _ in range(3)]
    roots = [make_authority(key, "s", now, 30) for key in keys[:2]]
    ours, theirs = tmp_path / "ours.pem", tmp_path / "theirs.pem"
    for file, root in zip((ours, theirs), roots, strict=True):
        file.write_bytes(pem_of(root))
    public, hosts = keys[2].public_key(), ["127.0.0.1"]
    made_for = make_certificate(keys[1], roots[1], public, "s", STATION, Usage.SERVER, hosts, now, 30)
    certificate, key = tmp_path / "station.pem", tmp_path / "station.key"
    certificate.write_bytes(pem_of(made_for))
    key.write_bytes(key_pem(keys[2]))
    settings = PageSettings(port=0, certificate_file=certificate, key_file=key, desks={"remote-1": True})
    made = desk_site(tmp_path, settings)
    try:
        address = {STATION: f"https://127.0.0.1:{made.port}"}
        with pytest.raises(StationAway, match="certificate verify failed"):
            Stations(address, ours).ask(STATION, "GET", "/healthz")
        assert Stations(address, theirs).ask(STATION, "GET", "/healthz").status in (200, 503)
        elsewhere = {STATION: f"https://localhost:{made.port}"}
        with pytest.raises(StationAway, match="ostname mismatch"):
            Stations(elsewhere, theirs).ask(STATION, "GET", "/healthz")
    finally:
        made.page.stop()


def test_a_pin_travels_in_plain_text_on_this_machine_alone(tmp_path: Path) -> None:
    config = tmp_path / "hub.toml"
    config.write_text('site = "s"\n[console.stations]\nxray-1 = "http://10.1.2.3:8079"\n')
    with pytest.raises(ConfigRefused, match=r"console\.stations.*https"):
        read_hub_config(config)
