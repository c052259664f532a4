"""Every address of the console, walked over: who may ask it by role, that nothing is changed without the
page's own token, that no cache keeps what it answers, that whoever looks at persons and firms is noted."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from sync.hub.blob_files import BlobFiles
from sync.hub.console.accounts import Role
from sync.hub.console.app import ROUTERS
from sync.store.journal import utc_now
from sync.vocabulary.facts import Alarm, AlarmCode, PassageOpened, PictureTaken, RulingMade, Stream
from sync.vocabulary.numbers import WaybillNo
from sync.vocabulary.records import Recall, Waybill
from sync.vocabulary.rulings import Because, Reason, Ruling, Verdict
from sync.vocabulary.xray_facts import ParcelXRayed
from tests.console_rig import ConsoleRig, console_rig, open_account, rostered

EPOCH: Final = "e" * 32
JPEG: Final = b"\xff\xd8\xff\xe0 a picture \xff\xd9"
SHA: Final = hashlib.sha256(JPEG).hexdigest()
WAYBILL: Final = "YT5126637740649"
OPEN: Final = {"/healthz", "/assets/{name}", "/favicon.ico", "/sign-in", "/prefer"}
STREAMS: Final = {"/wall/stream", "/live/{device}/pictures", "/judging/{station}/stream"}
ONE_ROLE: Final = {role: f"460490{number}" for number, role in enumerate(Role)}
DESK: Final = frozenset({Role.DUTY, Role.LEAD})
MAY: Final = (
    (r"/alarms/.*", DESK),
    (r"/desk.*", DESK),
    (r"/live-kept/.*", frozenset({Role.DUTY, Role.LEAD, Role.AUDIT})),
    (r"/live.*|/judging.*", frozenset({Role.DUTY})),
    (r"/controls.*|/trace/codes|/trace/labels.pdf", frozenset({Role.LEAD})),
    (r"/access/accounts.*|/access/sessions.*|/api|/api/tokens.*", frozenset({Role.ADMIN})),
    (r"/access/reads|/access/acts", frozenset({Role.AUDIT})),
    (r".*", frozenset(Role)),
)
"""The first that fits an address: who may ask it."""


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleRig]:
    with console_rig(tmp_path_factory.mktemp("guards")) as made:
        for role, number in ONE_ROLE.items():
            made.record("officers", number, rostered(number))
            open_account(made.archive, number, {role})
        made.record("waybills", WAYBILL, Waybill(waybill_no=WaybillNo(WAYBILL)))
        recall = Recall(recall_no="ZH1", batch_nos=("B1",), reason_zh="召回", reason_en="Recalled")
        made.record("recalls", "ZH1", recall)
        ruling = Ruling(Verdict.HOLD, (Because(Reason.WEIGHT_OVER),))
        made.say(
            "lane-in",
            PassageOpened(passage=1),
            RulingMade(passage=1, ruling=ruling, direction="I", plate="豫A12345"),
            PictureTaken(passage=1, moment="arrival", camera="front", sha256=SHA, size_bytes=len(JPEG)),
        )
        made.say("lane-in", Alarm(code=AlarmCode.OVERSTAY, passage=1), stream=Stream.ALARM)
        made.say("xray-1", ParcelXRayed(parcel=1, waybill_no=WAYBILL, verdict="passed", by="machine"))
        files = BlobFiles(made.console.config.blobs.folder)
        files.open()
        files.add("lane-in", SHA, 0, JPEG)
        files.complete("lane-in", SHA, len(JPEG))
        with made.archive.transaction():
            made.archive.store_blob(SHA, utc_now())
        made.caught_up()
        yield made


def _routes(method: str) -> list[str]:
    found = []
    for route in (route for router in ROUTERS for route in router.routes):
        assert isinstance(route, APIRoute)
        if method in (route.methods or ()) and route.path not in OPEN:
            found.append(route.path)
    return sorted(found)


def _address(path: str) -> str:
    """With something for each of its parts."""
    words = {
        "device": "lane-in", "epoch": EPOCH, "passage": "1", "stream": "routine", "seq": "1", "sha256": SHA,
        "waybill_no": WAYBILL, "recall_no": "ZH1", "control_id": "BK1",
    }  # fmt: skip
    return re.sub(r"\{(\w+)\}", lambda part: words.get(part[1], "x"), path)


def _may(path: str) -> frozenset[Role]:
    return next(roles for pattern, roles in MAY if re.fullmatch(pattern, path))


def _kept(rig: ConsoleRig) -> dict[str, int]:
    """Rows of all that people change."""
    tables = (
        "centre_acts", "commands", "console_accounts", "console_alarms", "console_holds", "console_releases",
        "console_steps", "console_tokens", "console_recordings", "log",
    )  # fmt: skip
    count = "SELECT count(*) FROM "
    return {table: rig.archive.engine.execute(count + table).fetchone()[0] for table in tables}


# --- who may ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", list(Role))
def test_every_address_is_for_its_roles_and_no_others(rig: ConsoleRig, role: Role) -> None:
    client = rig.client(ONE_ROLE[role])
    client.headers["accept"] = "application/json"
    before = _kept(rig)
    for method in ("GET", "POST"):
        for path in _routes(method):
            if path in STREAMS | {"/sign-out"} and role in _may(path):
                continue
            # Without a field: whoever may is told what is missing.
            answer = client.request(method, _address(path))
            refused = answer.status_code == 403
            assert refused == (role not in _may(path)), (method, path, answer.status_code)
            assert not refused or answer.json()["code"] == "role", (method, path)
    changed = {table for table, rows in _kept(rig).items() if rows != before[table]}
    # To take a held vehicle, to hand it back and to close a lane need no more than the address.
    assert changed <= {"centre_acts", "console_holds", "console_steps"}
    assert role in DESK or not changed


@pytest.mark.parametrize("token", ["", "x", "other"])
def test_nothing_is_changed_without_the_pages_own_token(rig: ConsoleRig, token: str) -> None:
    """Not without one, not with a guess, not with that of another officer's session."""
    client = rig.client()
    if token == "other":
        token = rig.client("4604002").headers["x-kakou-token"]
    client.headers["accept"] = "application/json"
    del client.headers["x-kakou-token"]
    before = _kept(rig)
    for path in _routes("POST"):
        by_header = client.post(_address(path), headers={"x-kakou-token": token})
        by_form = client.post(_address(path), data={"csrf": token, "reason": "x"})
        by_address = client.post(f"{_address(path)}?csrf={client.cookies.get('kakou_console')}")
        codes = [(answer.status_code, answer.json()["code"]) for answer in (by_header, by_form, by_address)]
        assert codes == [(403, "csrf")] * 3, path
    assert _kept(rig) == before
    assert client.get("/desk").status_code == 200


# --- what is kept of it -----------------------------------------------------------------------------------


def _pages(rig: ConsoleRig) -> list[str]:
    return [path for path in _routes("GET") if path not in STREAMS]


def test_no_cache_keeps_what_is_for_those_who_are_signed_in(rig: ConsoleRig) -> None:
    client = rig.client()
    for path in _pages(rig):
        kept = client.get(_address(path)).headers["cache-control"]
        # Bytes a browser may keep are asked about each time.
        assert kept in ("no-store", "private, no-cache"), (path, kept)
    assert "public" in client.get("/assets/icon.svg").headers["cache-control"]


@pytest.mark.parametrize("address", [f"/blob/{SHA}", f"/desk/hold/lane-in/{EPOCH}/1/picture/{SHA}"])
def test_a_picture_the_browser_has_is_shown_again_only_to_who_may_see_it(
    rig: ConsoleRig, address: str
) -> None:
    client = rig.client("4604002")
    first = client.get(address)
    assert (first.status_code, first.content, first.headers["content-type"]) == (200, JPEG, "image/jpeg")
    again = client.get(address, headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    client.post("/sign-out")
    client.headers["accept"] = "image/*"
    assert client.get(address, headers={"if-none-match": first.headers["etag"]}).status_code == 401


NOBODYS: Final = {
    "/access", "/access/accounts", "/access/confirm", "/access/password", "/access/sessions", "/api",
    "/api/v1/meanings", "/api/v1/openapi.json", "/controls/new", "/judging", "/judging/{station}",
    "/judging/{station}/pictures/{picture}/differences/{reference}",
    "/judging/{station}/pictures/{picture}/{kind}", "/judging/{station}/tables/{table}/{mode}",
    "/live-kept/{name}", "/live/{device}", "/live/{device}/sound", "/live/{device}/state", "/metrics",
    "/sign-in", "/trace",
}  # fmt: skip
"""That show no vehicle, parcel, firm or officer's work, or nothing here: `test_console_live` and `_judging`
have a handheld and a station."""
ASKED: Final = {
    "/search": "/search?since=2026-01-01T00:00",
    "/statistics": "/statistics?view=officer",
    "/statistics.csv": "/statistics.csv?view=enterprise",
    "/parcel/{waybill_no}/proof/{device}": f"/parcel/{WAYBILL}/proof/xray-1",
    "/api/v1/tallies": "/api/v1/tallies?by=officer",
    "/api/v1/statistics": "/api/v1/statistics?view=officer",
    "/api/v1/mentions": "/api/v1/mentions?what=plate&name=豫A12345",
}


def _noted(rig: ConsoleRig) -> int:
    (rows,) = rig.archive.engine.execute("SELECT count(*) FROM console_reads").fetchone()
    return int(rows)


def test_whoever_looks_at_vehicles_parcels_firms_and_officers_is_noted(rig: ConsoleRig) -> None:
    followed: dict[str, TestClient] = {}
    for path in _pages(rig):
        if path in NOBODYS:
            continue
        client = followed.setdefault(path, rig.client())
        before = _noted(rig)
        answer = client.get(ASKED.get(path) or _address(path), follow_redirects=True)
        if path == "/controls/of/{control_id}":
            assert answer.status_code == 404
            continue
        assert answer.status_code == 200, (path, answer.text[:200])
        assert _noted(rig) > before, path


def test_no_address_is_forgotten_here() -> None:
    assert set(_routes("GET")) >= NOBODYS - {"/sign-in"}
    assert set(ASKED) <= set(_routes("GET"))


def test_health_is_told_to_who_asks_for_the_head_alone(rig: ConsoleRig, tmp_path: Path) -> None:
    answer = rig.client().head("/healthz")
    assert (answer.status_code, answer.content) == (200, b"")
