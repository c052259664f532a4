"""Questions that take long: few at a time, given up in time, and nobody else waits for them. And the end of a
console that walls look at."""

from __future__ import annotations

import contextlib
import http.client
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from sync.hub.archive import Archive
from sync.hub.console import context
from sync.hub.console.words import WORDS
from sync.hub.engine import TookTooLong
from sync.hub.tracing import OF_SLIP, parcels_of_slip
from sync.link.keys import private_pem
from sync.vocabulary.facts import Alarm, AlarmCode, PassageOpened, RulingMade, Stream
from sync.vocabulary.numbers import SlipNo, WaybillNo
from sync.vocabulary.records import Waybill
from sync.vocabulary.rulings import Because, Reason, Ruling, Verdict
from sync.vocabulary.xray_facts import ParcelXRayed
from tests.console_rig import PASSWORD, SCOPE, ConsoleRig, console_rig, console_rig_at
from tests.postgres import BOTH, IN_ONE_GROUP, Place, Postgres
from tests.unit.test_centre_cli import HUB_TOML
from tests.unit.test_hub_device import HUB_KEY

ENDLESS = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
SLIP, OTHER = "Z4604I261122000000000001", "Z4604I261122000000000002"


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "sqlite":
        yield tmp_path / "archive.sqlite"
    else:
        server: Postgres = request.getfixturevalue("postgres")
        yield server.place(tmp_path)


@pytest.mark.parametrize("place", BOTH, indirect=True)
def test_a_question_without_end_is_given_up_and_the_connection_asks_on(place: Place) -> None:
    with contextlib.closing(Archive.open(place)) as archive:
        until_s = time.monotonic() + 0.2
        with pytest.raises(TookTooLong), archive.engine.bounded(0.2, lambda: time.monotonic() > until_s):
            archive.engine.execute(ENDLESS).fetchone()
        with pytest.raises(TookTooLong), archive.engine.bounded(60.0, lambda: True):
            archive.engine.execute("SELECT 1")
        assert archive.engine.execute("SELECT count(*) FROM facts").fetchone()[0] == 0


@pytest.mark.parametrize("place", BOTH, indirect=True)
def test_a_slips_parcels_are_found_by_an_index_and_no_other_slips(place: Place) -> None:
    with contextlib.closing(Archive.open(place)) as archive:
        with archive.transaction():
            archive.add_scope(SCOPE)
        with console_rig_at(place, _folder(place), ()) as rig:
            for number, slip in (("YT1", SLIP), ("YT2", None), ("YT3", OTHER), ("YT4", SLIP)):
                waybill = Waybill(
                    waybill_no=WaybillNo(f"{number}000000001"),
                    slip_no=None if slip is None else SlipNo(slip),
                    lines=({"no": "1", "name": f'"slip_no":"{SLIP}"'},),
                )
                rig.record("waybills", waybill.waybill_no, waybill)
        assert parcels_of_slip(archive, SCOPE, SLIP) == ("YT1000000001", "YT4000000001")


def test_the_index_is_taken(tmp_path: Path) -> None:
    with contextlib.closing(Archive.open(tmp_path / "archive.sqlite")) as archive:
        plan = archive.engine.execute(f"EXPLAIN QUERY PLAN {OF_SLIP}", (SLIP, SCOPE, 10)).fetchall()
    assert "waybills_by_slip" in plan[0][3]
    assert len(plan) == 1


@pytest.mark.parametrize("place", BOTH, indirect=True)
def test_signatures_from_a_position_on_are_all_told_in_order_and_the_first_costs_few_rows(
    place: Place,
) -> None:
    with contextlib.closing(Archive.open(place)) as archive:
        with archive.transaction():
            for number in range(1, 31):
                for sig in ("a", "b"):
                    archive.add_checkpoint("lane", "e", number, f"{number}", "k", sig, "2026-11-22T00:00:00Z")
        told = [(int(each.body), each.sig) for each in archive.checkpoints_from("lane", "e", 3)]
        assert told == [(number, sig) for number in range(3, 31) for sig in ("a", "b")]
        assert list(archive.checkpoints_from("lane", "e", 31)) == []


def _folder(place: Place) -> Path:
    return place.parent if isinstance(place, Path) else place.witness_file.parent


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[ConsoleRig]:
    with console_rig(tmp_path) as made:
        yield made


@pytest.mark.parametrize("address", ["/trace?q=B-1", "/statistics.csv", "/access/reads?form=csv"])
def test_while_others_ask_what_takes_long_one_is_told_to_wait_and_pages_are_answered(
    rig: ConsoleRig, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setattr(context, "HEAVY_WAITS_S", 0.01)
    client = rig.client()
    with contextlib.ExitStack() as others:
        for _ in range(context.MOST_HEAVY):
            others.enter_context(rig.console.heavy())
        refused = client.get(address)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "10")
        assert WORDS["refused.busy"][1] in refused.text
        assert client.get("/desk").status_code == 200
        assert WORDS["refused.busy"][0] in rig.client(language="zh").get(address).text
    assert client.get(address).status_code == 200


def test_what_takes_too_long_is_given_up_in_words_and_asked_again_it_may_be_answered(
    rig: ConsoleRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = rig.client()
    monkeypatch.setattr(context, "HEAVY_WITHIN_S", -1.0)
    given_up = client.get("/trace?q=B-1")
    assert (given_up.status_code, given_up.headers["retry-after"]) == (503, "10")
    assert WORDS["refused.took_too_long"][1] in given_up.text
    client.headers["accept"] = "application/json"
    told = client.get("/trace?q=B-1").json()
    assert (told["code"], told["detail"]) == ("took_too_long", WORDS["refused.took_too_long"][1])
    monkeypatch.setattr(context, "HEAVY_WITHIN_S", 60.0)
    assert client.get("/trace?q=B-1").status_code == 200


def test_a_long_question_does_not_outlive_the_console(tmp_path: Path) -> None:
    with console_rig_at(tmp_path / "archive.sqlite", tmp_path) as rig, rig.console.heavy() as heavy:
        ending = threading.Timer(0.1, rig.console.end)
        ending.start()
        with pytest.raises(TookTooLong):
            _ask(heavy)
        ending.join()


def _ask(heavy: context.Heavy) -> None:
    with heavy.archive() as archive:
        archive.engine.execute(ENDLESS).fetchone()


# --- the end ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["hub", "signal"])
def test_a_console_with_an_open_wall_ends_with_zero_and_says_nothing(tmp_path: Path, by: str) -> None:
    with console_rig_at(tmp_path / "archive.sqlite", tmp_path):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port: int = taken.getsockname()[1]
        file = tmp_path / "hub.toml"
        more = f'[console]\nport = {port}\n[log]\nlevel = "warning"\n'
        file.write_text(HUB_TOML + more, encoding="utf-8")
        key = tmp_path / "hub.key"
        key.write_bytes(private_pem(HUB_KEY))
        key.chmod(0o600)
        with subprocess.Popen(
            [sys.executable, "-m", "sync.hub.console.serving", str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            try:
                with contextlib.closing(_open_wall(port, process)):
                    if by == "signal":
                        process.terminate()
                    said = process.communicate(timeout=60)
            finally:
                process.kill()
    assert (process.returncode, *said) == (0, b"", b"")


def _open_wall(port: int, process: subprocess.Popen[bytes]) -> http.client.HTTPConnection:
    """Its first part has come."""
    body = urlencode({"officer": "4604001", "password": PASSWORD})
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html"}
    until_s = time.monotonic() + 60.0
    while True:
        assert time.monotonic() < until_s
        assert process.poll() is None
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        with contextlib.suppress(ConnectionRefusedError):
            connection.request("POST", "/sign-in", body, headers)
            break
        time.sleep(0.1)
    answer = connection.getresponse()
    answer.read()
    cookie = (answer.getheader("set-cookie") or "").partition(";")[0]
    connection.request("GET", "/wall/stream?after=-1", headers={"Cookie": cookie})
    stream = connection.getresponse()
    while b"event: parts" not in stream.readline():
        pass
    return connection


# --- PostgreSQL -------------------------------------------------------------------------------------------

EVERY_PAGE = (
    "/", "/coverage", "/desk", "/desk/hold/lane-in/EPOCH/1", "/judging", "/live", "/live/now", "/live/lanes",
    "/controls",
    "/controls/new", "/controls/rates", "/controls/recalls", "/controls/orders", "/search?q=琼B12345",
    "/search?q=46040001", "/passage/lane-in/EPOCH/1", "/passage/lane-in/EPOCH/1/proof",
    "/parcel/YT0000000001",
    "/trace?q=B-1", "/access/accounts", "/access/sessions", "/access/password", "/access/reads",
    "/access/acts?officer=4604001", "/access/reads?form=csv", "/statistics.csv",
    *(f"/statistics?view={view}" for view in ("day", "lane", "station", "enterprise", "officer", "reason")),
    "/api", "/api/v1/openapi.json", "/api/v1/passages", "/api/v1/alarms", "/api/v1/devices",
    "/metrics", "/healthz",
)  # fmt: skip


@IN_ONE_GROUP
def test_every_page_opens_on_postgresql(postgres: Postgres, tmp_path: Path) -> None:
    with console_rig_at(postgres.place(tmp_path), tmp_path, ("4604001",)) as rig:
        _say(rig)
        client = rig.client()
        pages = [address.replace("EPOCH", rig.device("lane-in").epoch) for address in EVERY_PAGE]
        answers = {address: client.get(address).status_code for address in pages}
        assert answers == dict.fromkeys(pages, 200)


def _say(rig: ConsoleRig) -> None:
    because = Ruling(Verdict.HOLD, (Because(Reason.WEIGHT_OVER),))
    rig.say(
        "lane-in",
        PassageOpened(passage=1),
        RulingMade(
            passage=1, ruling=because, direction="I", plate="琼B12345", slips=(SLIP,), enterprise="46040001"
        ),
        ParcelXRayed(
            parcel=1, waybill_no="YT0000000001", verdict="flagged", by="machine", reasons=("clear",)
        ),
    )
    rig.say(
        "lane-in", Alarm(code=AlarmCode.TAILGATER, detail="two", zh="尾随", en="two"), stream=Stream.ALARM
    )
    rig.caught_up()
