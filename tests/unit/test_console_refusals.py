"""Whatever the console refuses is said to a person in the language they read, and to a program as a code that
stays."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from sync.hub.console import app, context
from sync.hub.console.app import POLICY, ROUTERS, build_app
from sync.hub.console.limits import Bucket, Limits
from sync.hub.console.pages import api
from sync.hub.console.refusing import fields_not_understood
from sync.hub.console.words import WORDS
from sync.hub.console.words.refusals import EXPECTED, FIELDS
from sync.hub.engine import TookTooLong
from sync.hub.refusals import SaidRefusal
from tests.console_rig import PASSWORD, ConsoleRig, console_rig
from tests.unit.test_console_proof import PARCEL, waybill

CONSOLE = Path(context.__file__).parent
SYNC = CONSOLE.parent.parent
CHINESE = re.compile(r"[\u4e00-\u9fff]")
ENGLISH = re.compile(r"[A-Za-z]{2,}")
NAMES = re.compile(
    r"“[^”]*”|'[^']*'|lane-\w+|xray-\w+|\[slips\] key_file|SHA-256|SKU|MB|PIN|English|zone-1|"
    r"(?:BK|CY|SJ|KT|SF)\w+|R-\d+"
)
"""What somebody typed, names of devices, keys of a config and the like have no Chinese."""


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleRig]:
    with console_rig(tmp_path_factory.mktemp("refusals")) as made:
        made.record("waybills", PARCEL, waybill())
        made.caught_up()
        yield made


class Said(HTMLParser):
    """The text of a page, without its head and scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in ("head", "script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("head", "script", "style")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.text.append(data)


def text_of(page: str) -> str:
    said = Said()
    said.feed(page)
    return " ".join(" ".join(said.text).split())


def english_in(text: str) -> list[str]:
    return ENGLISH.findall(NAMES.sub("", text))


# --- every refusal has words --------------------------------------------------------------------------------


@functools.cache
def called(folder: Path) -> dict[str, list[tuple[str, ast.Call]]]:
    """Every call in the sources of a folder, by what is called: parsed once."""
    found: dict[str, list[tuple[str, ast.Call]]] = {}
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                where = f"{path.relative_to(folder)}:{node.lineno}"
                found.setdefault(ast.unparse(node.func), []).append((where, node))
    return found


def calls(folder: Path, name: str) -> Iterator[tuple[str, ast.Call]]:
    yield from called(folder).get(name, ())


def places(words: str) -> set[str]:
    return set(re.findall(r"\{\d*\}", words))


def test_pages_refuse_by_a_key_that_has_words_in_both_languages() -> None:
    seen = 0
    for name, at in (("Refused", 1), ("bare", 2), ("_told", 2)):
        for where, call in calls(CONSOLE, name):
            keys = keys_of(call.args[at])
            if where.startswith("app.py") and keys is None:
                # Handed on from what was raised, or chosen beside it.
                continue
            assert keys is not None, f"{where}: expected a key that stands in the source"
            for key in keys:
                zh, en = WORDS[f"refused.{key}"]
                more = call.args[at + 1 :]
                assert len(places(zh)) == len(places(en)) == len(more), (
                    f"{where}: {key} and what goes into it"
                )
                seen += 1
    assert seen > 60
    # FastAPI's own would go out as it stands.
    assert [where for where, _ in calls(CONSOLE, "HTTPException")] == []


def keys_of(node: ast.expr) -> list[str] | None:
    match node:
        case ast.Constant(value=str(key)):
            return [key]
        case ast.IfExp(body=body, orelse=orelse):
            first, second = keys_of(body), keys_of(orelse)
            return None if first is None or second is None else [*first, *second]
        case _:
            return None


@pytest.mark.parametrize("state", ["missing", "dropped", "unnamed"])
def test_why_a_file_is_not_here_has_words(state: str) -> None:
    assert CHINESE.search(WORDS[f"refused.file.{state}"][0])


def test_words_are_said_in_both_languages_with_the_same_places() -> None:
    for key, (zh, en) in WORDS.items():
        assert bool(zh.strip()) is bool(en.strip()), key
        assert places(zh) == places(en), key
        if key.startswith("refused."):
            assert CHINESE.search(zh), key
            assert not CHINESE.search(en), key


def refusals() -> list[type[SaidRefusal]]:
    found: list[type[SaidRefusal]] = []
    left = [SaidRefusal]
    while left:
        found += (more := left.pop().__subclasses__())
        left += more
    return found


def test_what_the_centre_refuses_has_a_chinese_and_an_english_sentence() -> None:
    names = {each.__name__ for each in refusals()}
    assert {"CentreRefused", "AccountRefused", "TokenRefused", "WatchRefused"} <= names
    seen = 0
    for folder in (SYNC, SYNC.parent / "edge"):
        for name in names:
            for where, call in calls(folder, name):
                if isinstance(call.args[0], ast.Starred):
                    assert ast.unparse(call.args[0]).startswith("*WORDS["), where
                    continue
                zh, en = (ast.unparse(each) for each in call.args)
                assert CHINESE.search(zh) or "expectation(" in zh, f"{where}: Chinese first"
                assert not CHINESE.search(en), f"{where}: then English"
                seen += 1
    assert seen > 50


# --- every field has a name ---------------------------------------------------------------------------------


def fields() -> set[str]:
    def of(dependant: Any) -> Iterator[str]:
        for group in ("path_params", "query_params", "body_params", "header_params", "cookie_params"):
            yield from (field.alias for field in getattr(dependant, group))
        for inner in dependant.dependencies:
            yield from of(inner)

    return {name for router in ROUTERS for route in router.routes for name in of(route.dependant)}  # type: ignore[attr-defined]


def test_every_field_of_every_form_and_address_is_called_by_a_name() -> None:
    asked = fields()
    assert {"officer", "from_day", "waybill_nos"} <= asked
    assert asked - FIELDS.keys() == set()
    assert FIELDS.keys() - asked == set()


@pytest.mark.parametrize("kind", sorted(EXPECTED))
def test_what_was_expected_of_a_field_is_said_with_its_bounds(kind: str) -> None:
    bounds = {"max_length": 64, "min_length": 1, "ge": 0, "le": 9, "gt": 0, "lt": 9, "expected": "a or b"}
    error = {"loc": ("body", "reason"), "type": kind or "unheard_of", "ctx": bounds, "msg": "m"}
    (said,) = fields_not_understood([error])
    assert said.zh.startswith("理由：")
    assert said.en.startswith("Reason: ")
    assert english_in(said.zh) == []


# --- and is said so -----------------------------------------------------------------------------------------

UNKNOWN = "0" * 64
ADDRESSES = [
    "/nothing/there",
    "/passage/lane-in/7",
    "/passage/lane-in/e1/7",
    "/passage/lane-in/e1/7/proof",
    "/passage/lane-in/seven",
    f"/passage/{'x' * 65}/7",
    "/parcel/NOBODYS1",
    f"/parcel/{PARCEL}/proof/lane-in",
    "/fact/lane-in/e1/routine/1",
    "/fact/lane-in/e1/gossip/1",
    "/fact/lane-in/e1/routine/0",
    f"/blob/{UNKNOWN}",
    "/blob/short",
    "/access/acts?from_day=yesterday",
    "/access/reads?until_day=9999-12-31",
    "/access/acts?before=-1",
    "/access/acts?before=many",
    f"/access/acts?officer={'x' * 201}",
    "/statistics?from=soon",
    "/statistics?from=2026-02-30",
    "/statistics?from=2026-01-31&to=2026-01-01",
    "/statistics?view=weather",
    "/statistics.csv?from=2000-01-01&to=2026-01-01",
    "/trace/recall/R-404",
    "/trace?q=" + "x" * 1_501,
    "/desk/hold/lane-in/7",
    "/desk/hold/lane-in/e1/7",
    f"/desk/hold/lane-in/e1/7/picture/{UNKNOWN}",
    "/controls?scope=elsewhere",
    "/controls/new?number=BK0",
    "/controls/of/BK0",
    "/judging/xray-404",
    "/judging/xray-404/tables/t/m",
    "/judging/xray-404/pictures/!/planes.png",
    "/live/handheld-1/state",
    "/live-kept/nothing.avi",
    "/sign-out",
    "/alarms/take",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_page_that_is_not_there_says_so_in_the_readers_language(rig: ConsoleRig, address: str) -> None:
    zh, en = (rig.client(language=language).get(address) for language in ("zh", "en"))
    assert zh.status_code == en.status_code
    assert 400 <= zh.status_code < 500
    told = text_of(zh.text)
    assert 'id="error"' in zh.text
    assert english_in(told) == [], told
    assert not CHINESE.search(text_of(en.text).replace("中文", "").replace("示范口岸", ""))


FORMS: list[tuple[str, dict[str, object]]] = [
    ("/controls/put", {"body": "{}", "told": "t", "at": "a", "seen": "s", "mode": "live", "reason": "r"}),
    ("/controls/put", {}),
    ("/controls/end", {"control_id": "BK0", "reason": "r"}),
    ("/controls/end", {"control_id": "BK0", "reason": ""}),
    ("/controls/try", {"control_id": "BK0", "action": "inspect", "valid_from": "?", "valid_until": "?"}),
    ("/controls/rates", {"spot": 10, "x_ray": 10, "reason": "r", "tier": "golden"}),
    ("/controls/rates", {"spot": 1001, "x_ray": -1, "reason": "r"}),
    ("/controls/rates", {"spot": 1, "x_ray": 1, "reason": "r", "enterprise": "4101960009"}),
    ("/controls/recalls/end", {"recall_no": "R-404", "reason": "r"}),
    ("/controls/orders/withdraw", {"order_no": "CY0", "reason": "r"}),
    ("/controls/orders/draw", {"draw_no": "SJ0", "count": 0, "reason": "r"}),
    ("/trace/labels.pdf", {"waybill_nos": str(PARCEL)}),
    ("/trace/codes", {"reason": "r"}),
    ("/access/accounts/close", {"officer": "4604009"}),
    ("/desk/hold/lane-in/e1/7/board", {"reason": "r", "preset": "soon"}),
    ("/desk/hold/lane-in/e1/7/supplement", {"reason": "r", "field": "colour", "value": "v"}),
    ("/desk/hold/lane-in/e1/7/order", {"reason": "r", "method": "by_smell", "part": "eyes", "due_min": 0}),
    ("/live/handheld-1/ask", {"reason": "r", "minutes": 90}),
    ("/live/handheld-1/keep", {"reason": "r"}),
    ("/judging/xray-404/sign-in", {"pin": "1"}),
    ("/alarms/take", {"alarm": "x" * 301}),
    ("/api/tokens", {"name": "lims", "days": 0}),
]


@pytest.mark.parametrize(("address", "form"), FORMS)
def test_a_form_that_is_refused_says_why_in_the_readers_language(
    rig: ConsoleRig, address: str, form: dict[str, object]
) -> None:
    answer = rig.client(language="zh").post(address, data=form)
    assert 400 <= answer.status_code < 500, answer.text
    told = text_of(answer.text.split('id="error"')[1])
    assert CHINESE.search(told)
    assert english_in(told) == [], told


SAID_ON_THEIR_PAGE: list[tuple[str, dict[str, object]]] = [
    ("/access/accounts", {"officer": "4604009", "password": "p" * 12, "again": "p" * 12, "roles": ["watch"]}),
    ("/access/accounts", {"officer": "4604002", "password": "short", "again": "short", "roles": ["watch"]}),
    ("/access/accounts", {"officer": "4604002", "password": PASSWORD, "again": PASSWORD, "roles": []}),
    ("/access/accounts", {"officer": "4604002", "password": PASSWORD, "again": PASSWORD, "roles": ["king"]}),
    ("/access/accounts/close", {"officer": "4604001"}),
    ("/access/password", {"now": PASSWORD, "new": "short", "again": "short"}),
    ("/api/tokens", {"name": "?", "days": 3}),
    (
        "/controls/try",
        {
            "control_id": "BK1", "action": "inspect", "valid_from": "2026-01-01T00:00", "valid_until": "?",
            "reason_zh": "查", "reason_en": "look",
        },
    ),
    (
        "/controls/try",
        {
            "control_id": "BK1", "action": "inspect", "valid_from": "2026-01-01T00:00",
            "valid_until": "2027-01-01T00:00", "reason_zh": "查", "reason_en": "look", "plates": "粤",
        },
    ),
    ("/controls/recalls", {"recall_no": "R-1", "reason_zh": "查", "reason_en": "look", "reason": "r"}),
    ("/controls/orders/issue", {"order_no": "CY1", "waybills": "x", "reason": "r"}),
    ("/controls/orders/draw", {"draw_no": "SJ1", "count": 3, "reason": "r", "enterprise": "4101960009"}),
]  # fmt: skip


@pytest.mark.parametrize(("address", "form"), SAID_ON_THEIR_PAGE)
def test_what_is_refused_on_its_own_page_is_refused_in_the_readers_language(
    rig: ConsoleRig, address: str, form: dict[str, object]
) -> None:
    answer = rig.client(language="zh").post(address, data=form)
    assert answer.status_code == 422, answer.text
    alerts = re.findall(r'role="alert"[^>]*>(.*?)</p>', answer.text, re.DOTALL)
    said = text_of(" ".join(alerts))
    assert CHINESE.search(said), answer.text
    assert english_in(said) == [], said


def test_roles_tokens_of_pages_and_methods_are_refused_in_words(rig: ConsoleRig) -> None:
    watcher = rig.client("4604003", language="zh")
    for address in ("/controls", "/access/acts", "/judging", "/live", "/api"):
        answer = watcher.get(address)
        assert (answer.status_code, WORDS["refused.role"][0] in answer.text) == (403, True)
    stale = rig.client(language="zh")
    stale.headers["x-kakou-token"] = "of another page"
    answer = stale.post("/alarms/take", data={"alarm": "a"})
    assert (answer.status_code, WORDS["refused.csrf"][0] in answer.text) == (403, True)
    answer = rig.client(language="zh").request("DELETE", "/controls")
    assert (answer.status_code, WORDS["refused.method"][0] in answer.text) == (405, True)


def test_who_is_not_signed_in_is_told_so_on_a_page_that_leads_to_the_sign_in(rig: ConsoleRig) -> None:
    stranger = stranger_of(rig)
    stranger.cookies.set("kakou_language", "zh")
    answer = stranger.post("/alarms/take", data={"alarm": "a"})
    assert answer.status_code == 401
    assert WORDS["refused.not_signed_in"][0] in answer.text
    assert english_in(text_of(answer.text)) == []
    assert WORDS["sign_in"][0] in answer.text
    assert stranger.get("/nothing/there").status_code == 404


def stranger_of(rig: ConsoleRig) -> TestClient:
    stranger = TestClient(build_app(rig.console), base_url="http://127.0.0.1", follow_redirects=False)
    stranger.headers["accept"] = "text/html"
    return stranger


@pytest.mark.parametrize(
    ("key", "status", "asked"),
    [
        ("not_this_host", 421, {"method": "GET", "url": "/", "headers": {"host": "else.example"}}),
        ("other_origin", 403, {"method": "POST", "url": "/x", "headers": {"sec-fetch-site": "cross-site"}}),
        ("too_long", 413, {"method": "POST", "url": "/x", "content": b"x" * ((1 << 20) + 1)}),
        ("too_many", 429, {"method": "GET", "url": "/sign-in"}),
    ],
)
def test_what_is_refused_before_anybody_is_known_is_a_page_in_both_languages(
    rig: ConsoleRig, monkeypatch: pytest.MonkeyPatch, key: str, status: int, asked: dict[str, Any]
) -> None:
    if key == "too_many":
        monkeypatch.setattr(app, "Limits", lambda: Limits(strangers=Bucket(a_second=0.0, burst=0.0)))
    stranger = stranger_of(rig)
    page = stranger.request(**asked)
    assert page.status_code == status
    assert text_of(page.text) == " ".join(WORDS[f"refused.{key}"])
    asked["headers"] = {**asked.get("headers", {}), "accept": "*/*"}
    told = stranger.request(**asked)
    assert told.status_code == status
    zh, en = WORDS[f"refused.{key}"]
    assert told.json() == {"code": key, "detail": en, "words": {"zh": zh, "en": en}}


def test_without_an_archive_a_browser_is_told_in_both_languages_and_a_program_by_a_code(
    rig: ConsoleRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = rig.client(language="zh")

    def lost() -> None:
        raise OSError("disk I/O error")

    monkeypatch.setattr(rig.console, "archive", lost)
    page = client.get("/access/acts")
    assert (page.status_code, page.headers["retry-after"]) == (503, "2")
    assert text_of(page.text) == " ".join(WORDS["refused.storage"])
    client.headers["accept"] = "application/json"
    assert client.get("/access/acts").json()["code"] == "storage"


def test_a_fault_inside_is_told_in_both_languages_and_nothing_of_it(
    rig: ConsoleRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = rig.client(language="zh")

    def broken(*_: object) -> None:
        raise RuntimeError("secret of the house")

    monkeypatch.setattr(rig.console, "note_read", broken)
    asker = TestClient(build_app(rig.console), base_url="http://127.0.0.1", raise_server_exceptions=False)
    asker.headers["accept"], asker.cookies = "text/html", client.cookies
    page = asker.get("/access/acts")
    assert page.status_code == 500
    assert text_of(page.text) == " ".join(WORDS["refused.internal"])
    assert page.headers["content-security-policy"] == POLICY
    assert "secret" not in page.text


def test_a_question_given_up_is_told_to_a_program_by_a_code_that_stays(
    rig: ConsoleRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless(*_: object) -> None:
        raise TookTooLong

    monkeypatch.setattr(rig.console, "heavy", endless)
    client = rig.client()
    client.headers["accept"] = "application/json"
    assert client.get("/access/acts").json()["code"] == "took_too_long"


@pytest.mark.parametrize(
    ("address", "status", "code"),
    [
        ("/api/v1/passages/lane-in/7", 404, "no_such_passage"),
        ("/api/v1/passages?after=x", 422, "after"),
        ("/api/v1/passages?limit=0", 422, "not_understood"),
        ("/api/v1/facts/lane-in/e1/routine/1", 404, "no_such_fact"),
        ("/api/v1/tallies?from=2025-01-01&to=2025-12-31&by=officer", 200, ""),
        ("/api/v1/tallies?from=2025-01-01&to=2025-12-31", 422, "days_by_hour"),
        ("/api/v1/statistics?from=2026-02-30", 422, "days_form"),
    ],
)
def test_a_program_gets_a_code_that_stays_and_an_english_sentence(
    rig: ConsoleRig, address: str, status: int, code: str
) -> None:
    client = rig.client(language="zh")
    client.headers["accept"] = "application/json"
    answer = client.get(address)
    assert answer.status_code == status
    if status != 200:
        told = answer.json()
        assert told["code"] == code
        assert told["detail"] == told["words"]["en"]
        assert not CHINESE.search(told["detail"])


# --- what can be read, by programs --------------------------------------------------------------------------


def test_every_address_of_the_read_api_is_explained_in_both_languages(rig: ConsoleRig) -> None:
    paths = [route.path for route in api.reads.routes]  # type: ignore[attr-defined]
    assert len(paths) > 10
    listed = {f"api.route.{path.removeprefix('/api/v1/')}" for path in paths}
    assert listed == {key for key in WORDS if key.startswith("api.route.")}
    page = rig.client(language="zh").get("/api").text
    for path in paths:
        told = re.search(rf"<code>{re.escape(path)}</code></td><td>(.*?)</td>", page)
        assert told is not None
        assert told[1] == WORDS[f"api.route.{path.removeprefix('/api/v1/')}"][0]
