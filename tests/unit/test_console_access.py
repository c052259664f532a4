"""Who may open the console and what is kept of it: the command, the accounts page, the audit pages."""

from __future__ import annotations

import csv
import dataclasses
import http.client
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from starlette.testclient import TestClient
from typer.testing import CliRunner

from edge.cli import app
from sync.hub.archive import CentreAct
from sync.hub.centre import By
from sync.hub.console.accounts import Role, accounts, note_read
from sync.hub.console.app import build_app
from sync.hub.console.limits import Bucket
from sync.hub.console.pages.doors import Throttle
from sync.hub.console.serving import serving_of
from sync.hub.console.words import WORDS
from sync.hub.pins import Pins
from sync.link.keys import private_pem
from sync.policy.pins import Cost
from sync.store.journal import utc_now
from tests.console_rig import PASSWORD, SCOPE, ConsoleRig, console_rig, open_account, rostered
from tests.postgres import archive_table
from tests.unit.test_centre_cli import HUB_TOML
from tests.unit.test_hub_device import HUB_KEY

NEW = "4604009"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[ConsoleRig]:
    with console_rig(tmp_path) as made:
        yield made


@pytest.fixture
def config(rig: ConsoleRig) -> Path:
    file = rig.folder / "hub.toml"
    place = rig.console.config.archive
    store = '[store]\narchive = "archive.sqlite"\n'
    assert store in HUB_TOML
    archive = store if isinstance(place, Path) else f"[store]\n{archive_table(place)}"
    file.write_text(HUB_TOML.replace(store, archive), encoding="utf-8")
    key = rig.folder / "hub.key"
    key.write_bytes(private_pem(HUB_KEY))
    key.chmod(0o600)
    return file


# --- the command ------------------------------------------------------------------------------------------


def _ask(config: Path, *words: str, typed: str = "") -> tuple[int, str]:
    done = CliRunner().invoke(app, ["centre", words[0], str(config), *words[1:]], input=typed)
    assert PASSWORD not in done.stdout + done.stderr
    return done.exit_code, done.stdout + done.stderr


def test_a_rostered_officer_gets_an_account_by_the_command_and_signs_in(
    rig: ConsoleRig, config: Path
) -> None:
    rig.record("officers", NEW, rostered(NEW))
    words = ("console-account", NEW, "--role", "watch", "--role", "audit", "--by", "4604001")
    assert _ask(config, *words, typed=f"{PASSWORD}\n")[0] == 0
    assert rig.client(NEW).get("/sign-in").status_code == 200
    (kept,) = (each for each in accounts(rig.archive) if each.officer_no == NEW)
    assert (sorted(kept.roles), kept.active, kept.changed_by) == (["audit", "watch"], True, "4604001")
    act = rig.archive.acts(1)[0]
    assert (act.act, act.subject, act.officers) == ("console_account", NEW, ("4604001",))


@pytest.mark.parametrize(
    ("words", "typed", "code", "told"),
    [
        (("4604099", "--role", "watch", "--by", "4604001"), PASSWORD, 1, "not rostered"),
        (("4604001", "--role", "watch", "--by", "4604001"), "short", 1, "10 to 200 characters"),
        (("4604001", "--by", "4604001"), PASSWORD, 2, "expected --role"),
        (("4604001", "--role", "chief", "--by", "4604001"), PASSWORD, 2, "chief"),
        (("4604099", "--close", "--by", "4604001"), "", 1, "no account"),
    ],
)
def test_an_account_that_cannot_be_is_refused_in_words(
    config: Path, words: tuple[str, ...], typed: str, code: int, told: str
) -> None:
    assert _ask(config, "console-account", *words, typed=f"{typed}\n")[0] == code
    assert told in _ask(config, "console-account", *words, typed=f"{typed}\n")[1]


def test_a_closed_account_signs_in_no_more_and_the_list_says_so(rig: ConsoleRig, config: Path) -> None:
    assert _ask(config, "console-account", "4604003", "--close", "--by", "4604001")[0] == 0
    with pytest.raises(AssertionError):
        rig.client("4604003")
    lines = [json.loads(line) for line in _ask(config, "console-accounts", "--json")[1].splitlines()]
    assert [(line["officer_no"], line["active"]) for line in lines] == [
        ("4604001", True),
        ("4604002", True),
        ("4604003", False),
    ]


# --- the accounts page ------------------------------------------------------------------------------------

FORM = {"officer": NEW, "password": PASSWORD, "again": PASSWORD, "roles": ["watch", "duty"]}


def _roles(rig: ConsoleRig) -> dict[str, list[str]]:
    return {each.officer_no: sorted(each.roles) if each.active else [] for each in accounts(rig.archive)}


def test_an_administrator_makes_changes_and_closes_accounts(rig: ConsoleRig) -> None:
    rig.record("officers", NEW, rostered(NEW))
    client = rig.client()
    assert client.post("/access/accounts", data=FORM).status_code == 303
    assert _roles(rig)[NEW] == ["duty", "watch"]
    theirs = rig.client(NEW)
    assert client.post("/access/accounts", data={**FORM, "roles": "audit"}).status_code == 303
    assert (_roles(rig)[NEW], theirs.get("/access/reads").status_code) == (["audit"], 303)
    theirs = rig.client(NEW)
    assert client.post("/access/accounts/close", data={"officer": NEW}).status_code == 303
    assert (_roles(rig)[NEW], theirs.get("/access/reads").status_code) == ([], 303)


def test_who_is_refused_an_account_types_the_password_again_and_nothing_else(rig: ConsoleRig) -> None:
    page = rig.client().post("/access/accounts", data={**FORM, "again": "another password"}).text
    form = page[page.index('action="/access/accounts" class="fields"') :]
    assert f'name="officer" required maxlength="64" value="{NEW}"' in form
    ticked = re.findall(r'name="roles" value="(\w+)" checked', form)
    assert ticked == ["watch", "duty"]
    assert PASSWORD not in page


@pytest.mark.parametrize(
    "wrong",
    [
        {"again": "another password"},
        {"password": "short", "again": "short"},
        {"roles": []},
        {"roles": "king"},
    ],
)
def test_an_account_that_cannot_be_is_refused_at_the_page(rig: ConsoleRig, wrong: dict[str, object]) -> None:
    rig.record("officers", NEW, rostered(NEW))
    assert rig.client().post("/access/accounts", data={**FORM, **wrong}).status_code == 422
    assert NEW not in _roles(rig)


def test_the_last_administrator_stays(rig: ConsoleRig) -> None:
    client = rig.client()
    assert client.post("/access/accounts/close", data={"officer": "4604001"}).status_code == 422
    assert client.post("/access/accounts", data={**FORM, "officer": "4604001"}).status_code == 422
    assert "admin" in _roles(rig)["4604001"]


def test_ones_own_password_is_changed_by_who_knows_it(rig: ConsoleRig) -> None:
    client, other = rig.client("4604003"), rig.client("4604003")
    form = {"now": PASSWORD, "new": "another battery", "again": "another battery"}
    assert client.post("/access/password", data={**form, "now": "guess"}).status_code == 422
    assert client.post("/access/password", data=form).status_code == 303
    assert (client.get("/access/password").status_code, other.get("/access/password").status_code) == (
        200,
        303,
    )
    with pytest.raises(AssertionError):
        rig.client("4604003")


def test_a_session_is_ended_by_an_administrator(rig: ConsoleRig) -> None:
    client, other = rig.client(), rig.client("4604003")
    page = client.get("/access/sessions").text
    (since,) = re.findall(
        r'name="officer" value="4604003"><input type="hidden" name="since" value="([^"]+)"', page
    )
    assert [cookie in page for cookie in rig.console.sessions.kept] == [False, False]
    form = {"officer": "4604003", "since": since}
    assert client.post("/access/sessions/end", data=form).status_code == 303
    assert other.get("/access/password").status_code == 303
    (act,) = rig.archive.acts(1)
    assert (act.act, act.subject, act.officers) == ("console_session", "4604003", ("4604001",))


# --- a given account is confirmed (S8) --------------------------------------------------------------------

OWN = "a password of my own"


def _pin(rig: ConsoleRig, officer: str) -> None:
    rig.device("handheld-1")
    Pins(rig.archive, HUB_KEY, cost=Cost(1024, 1)).set(
        SCOPE, officer, "739154", ("handheld-1",), By(("ZZ9001",), "handed out"), utc_now(), new_key=True
    )


def _given(rig: ConsoleRig, *, by: str = "4604001") -> TestClient:
    """A session that begins with the password somebody else gave, and has made it another."""
    client = rig.client(by)
    assert client.post("/access/accounts", data=FORM).status_code == 303
    theirs = rig.client(NEW)
    answer = theirs.post("/access/password", data={"now": PASSWORD, "new": OWN, "again": OWN})
    assert (answer.status_code, answer.headers["location"]) == (303, "/access/confirm")
    return theirs


def test_an_administrator_in_a_given_account_cannot_act_whatever_password_it_has_now(rig: ConsoleRig) -> None:
    rig.record("officers", NEW, rostered(NEW))
    theirs = _given(rig)
    assert [theirs.get(path).status_code for path in ("/", "/desk", "/judging")] == [200, 403, 403]
    assert theirs.post(f"/desk/hold/lane-in/{'e' * 32}/1/take").status_code == 403
    assert "To be confirmed" in rig.client().get("/access/accounts").text


def test_the_pin_of_a_handheld_confirms_a_given_account_and_ends_its_other_sessions(rig: ConsoleRig) -> None:
    rig.record("officers", NEW, rostered(NEW))
    _pin(rig, NEW)
    theirs = _given(rig)
    assert theirs.post("/access/confirm", data={"pin": "739155"}).status_code == 422
    assert theirs.get("/desk").status_code == 403
    assert theirs.post("/access/confirm", data={"pin": "739154"}).status_code == 303
    assert theirs.get("/desk").status_code == 200
    told = [act.reason for act in rig.archive.acts(3) if act.act == "console_account"]
    assert told == ["confirmed by pin", "wrong PIN", "own password"]


def test_a_pin_is_guessed_no_faster_than_a_password(rig: ConsoleRig) -> None:
    rig.record("officers", NEW, rostered(NEW))
    _pin(rig, NEW)
    theirs = _given(rig)
    for guess in range(5):
        assert theirs.post("/access/confirm", data={"pin": f"73915{5 + guess}"[:6]}).status_code == 422
    assert "Too many tries" in theirs.post("/access/confirm", data={"pin": "739154"}).text
    assert theirs.get("/desk").status_code == 403


def test_the_given_password_itself_is_not_enough_with_the_pin(rig: ConsoleRig) -> None:
    """Else whoever gave it could come back with it after its officer is confirmed."""
    rig.record("officers", NEW, rostered(NEW))
    _pin(rig, NEW)
    assert rig.client().post("/access/accounts", data=FORM).status_code == 303
    theirs = rig.client(NEW)
    assert theirs.post("/access/confirm", data={"pin": "739154"}).status_code == 422
    assert theirs.get("/desk").status_code == 403


def test_without_a_pin_another_administrator_confirms_who_tells_the_code(rig: ConsoleRig) -> None:
    rig.record("officers", NEW, rostered(NEW))
    open_account(rig.archive, "4604003", {Role.ADMIN})
    theirs = _given(rig)
    (code,) = re.findall(r"<strong>(\d{8})</strong>", theirs.get("/access/confirm").text)
    wrong = f"{(int(code) + 1) % 10**8:08d}"
    told = {"officer": NEW, "code": code}
    assert (
        rig.client("4604003").post("/access/accounts/confirm", data={**told, "code": wrong}).status_code
        == 422
    )
    assert "did not give the password" in rig.client().post("/access/accounts/confirm", data=told).text
    assert theirs.post("/access/accounts/confirm", data=told).status_code == 403
    assert theirs.get("/desk").status_code == 403
    assert rig.client("4604003").post("/access/accounts/confirm", data=told).status_code == 303
    assert theirs.get("/desk").status_code == 200


def test_a_code_told_too_late_confirms_nobody(rig: ConsoleRig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.record("officers", NEW, rostered(NEW))
    open_account(rig.archive, "4604003", {Role.ADMIN})
    theirs = _given(rig)
    monkeypatch.setattr("sync.hub.console.pages.access.CODE_S", 0.0)
    (code,) = re.findall(r"<strong>(\d{8})</strong>", theirs.get("/access/confirm").text)
    answer = rig.client("4604003").post("/access/accounts/confirm", data={"officer": NEW, "code": code})
    assert answer.status_code == 422
    assert theirs.get("/desk").status_code == 403


def test_whoever_came_in_by_the_password_of_before_is_out_wherever_another_was_given(
    rig: ConsoleRig, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the hub's own machine the running console is not asked; the account is confirmed there at once."""
    monkeypatch.setattr("sync.hub.console.context._STANDING_EVERY_S", 0.0)
    thief = rig.client("4604002")
    assert thief.get("/desk").status_code == 200
    words = ("console-account", "4604002", "--role", "duty", "--confirm", "--by", "4604001")
    assert _ask(config, *words, typed="another password 1\n")[0] == 0
    assert thief.get("/desk").headers["location"].startswith("/sign-in")
    # Who changes their own stays where they are.
    officer = rig.client("4604003")
    form = {"now": PASSWORD, "new": "another password 2", "again": "another password 2"}
    assert officer.post("/access/password", data=form).status_code == 303
    assert officer.get("/").status_code == 200


def test_tries_without_end_are_made_to_wait_and_break_nothing() -> None:
    throttle, now_s = Throttle(), 0.0
    for _ in range(1_200):
        assert throttle.takes(("address 10.0.0.1",), now_s) == 0
        now_s += 901.0
    assert 899 < throttle.takes(("address 10.0.0.1",), now_s - 901.0) <= 900


def test_an_administrator_cannot_give_themselves_another_password_or_role_at_the_page(
    rig: ConsoleRig,
) -> None:
    form = {**FORM, "officer": "4604001", "roles": ["admin", "duty"]}
    assert rig.client().post("/access/accounts", data=form).status_code == 422
    assert len(_roles(rig)["4604001"]) == len(Role)


def test_an_account_that_is_given_again_is_to_be_confirmed_again(rig: ConsoleRig) -> None:
    client = rig.client()
    assert client.post("/access/accounts", data={**FORM, "officer": "4604002"}).status_code == 303
    assert rig.client("4604002").get("/desk").status_code == 403


def test_the_command_confirms_an_account_at_the_hub_itself(rig: ConsoleRig, config: Path) -> None:
    rig.record("officers", NEW, rostered(NEW))
    words = ("console-account", NEW, "--role", "duty", "--by", "4604001")
    assert _ask(config, *words, typed=f"{PASSWORD}\n")[0] == 0
    assert rig.client(NEW).get("/desk").status_code == 403
    assert _ask(config, "console-account", NEW, "--confirm", "--by", "4604001")[0] == 0
    assert rig.client(NEW).get("/desk").status_code == 200


# --- who looked, who did ----------------------------------------------------------------------------------


def test_who_looked_at_what_is_found_by_officer_subject_and_day_and_is_kept_itself(rig: ConsoleRig) -> None:
    for officer, subject in (("4604002", "豫A12345"), ("4604002", "豫B00001"), ("4604003", "豫A12345")):
        session = rig.console.sessions.open(officer, frozenset(), 0.0)
        rig.console.note_read(session, "passage", subject)
    client = rig.client()

    def found(**asked: str) -> list[list[str]]:
        answer = client.get("/access/reads", params={**asked, "what": "passage", "form": "csv"})
        return list(csv.reader(answer.text.lstrip("\ufeff").splitlines()))[1:]

    assert [(row[1], row[3]) for row in found(subject="豫A12345")] == [
        ("4604003", "豫A12345"),
        ("4604002", "豫A12345"),
    ]
    assert len(found(officer="4604002")) == 2
    assert len(found(from_day="2000-01-01", until_day="2000-12-31")) == 0
    assert len(found(from_day=f"{datetime.now(UTC) - timedelta(days=2):%Y-%m-%d}")) == 3
    (count,) = rig.archive.engine.execute(
        "SELECT count(*) FROM console_reads WHERE what = 'reads'"
    ).fetchone()
    assert count == 4


def test_a_day_of_who_looked_is_the_sites_own_from_midnight_to_midnight(rig: ConsoleRig) -> None:
    times = {
        "before": "2026-01-30T15:59:59.999999Z",
        "first": "2026-01-30T16:00:00.000000Z",
        "last": "2026-01-31T15:59:59.999999Z",
        "after": "2026-01-31T16:00:00.000000Z",
    }
    for subject, at_utc in times.items():
        note_read(rig.archive, "4604002", "passage", subject, at_utc)
        with rig.archive.transaction():
            rig.archive.add_act(CentreAct(at_utc, "put_recall", subject, ("4604002",), "x", ""))
    client = rig.client()
    day = {"from_day": "2026-01-31", "until_day": "2026-01-31", "form": "csv"}
    reads = list(csv.reader(client.get("/access/reads", params=day).text.splitlines()))[1:]
    assert [row[3] for row in reads] == ["last", "first"]
    acts = list(csv.reader(client.get("/access/acts", params=day).text.splitlines()))[1:]
    assert [row[3] for row in acts] == ["last", "first"]
    one = client.get("/access/acts", params={"subject": "first", "form": "csv"}).text
    assert [row[3] for row in csv.reader(one.splitlines())][1:] == ["first"]
    page = client.get("/access/reads", params={"from_day": "2026-01-31", "until_day": "2026-01-31"}).text
    assert page.count("<td>4604002") == 2
    acts_page = client.get("/access/acts", params={"from_day": "2026-01-31", "until_day": "2026-01-31"}).text
    assert [WORDS["access.count"][1].format(2) in each for each in (page, acts_page)] == [True, True]


def test_who_did_what_is_found_by_officer_and_no_cell_is_a_formula(rig: ConsoleRig) -> None:
    client = rig.client()
    form = {"recall_no": "=1+1", "batch_nos": "B-1", "reason_zh": "召回", "reason_en": "R", "reason": "@lab"}
    assert client.post("/controls/recalls", data=form).status_code == 303
    asked = {"officer": "4604001", "what": "put_recall"}
    page = client.get("/access/acts", params=asked).text
    assert ("=1+1" in page, "@lab" in page) == (True, True)
    rows = list(csv.reader(client.get("/access/acts", params={**asked, "form": "csv"}).text.splitlines()))
    assert rows[1][1:5] == ["4604001", "put_recall", "'=1+1", "'@lab"]
    assert WORDS["access.none"][1] in client.get("/access/acts", params={"officer": "460400_"}).text


PAGES = ("/access/accounts", "/access/sessions", "/access/reads", "/access/acts", "/access/password")


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_page_of_access_is_in_both_languages_without_a_raw_key(rig: ConsoleRig, language: str) -> None:
    client = rig.client(language=language)
    texts = [client.get(page).text for page in PAGES]
    number = ("zh", "en").index(language)
    assert [WORDS["access.tab.password"][number] in text for text in texts] == [True] * len(texts)
    assert [re.findall(r">\s*access\.[a-z_.]+", text) for text in texts] == [[]] * len(texts)


def test_who_is_no_administrator_or_auditor_sees_and_does_nothing_there(rig: ConsoleRig) -> None:
    client = rig.client("4604002")
    assert [client.get(page).status_code for page in PAGES] == [403, 403, 403, 403, 200]
    acts: dict[str, dict[str, Any]] = {
        "/access/accounts": FORM,
        "/access/accounts/close": {"officer": "4604001"},
        "/access/sessions/end": {"officer": "4604001", "since": "0"},
    }
    assert [client.post(path, data=form).status_code for path, form in acts.items()] == [403] * 3


# --- limits and TLS ---------------------------------------------------------------------------------------


def test_who_asks_too_much_waits_and_others_do_not() -> None:
    bucket = Bucket(a_second=2.0, burst=3.0)
    assert [bucket.takes("a", 0.0) for _ in range(4)] == [True, True, True, False]
    assert bucket.takes("b", 0.0)
    assert [bucket.takes("a", 1.0) for _ in range(3)] == [True, True, False]


def test_a_stranger_who_asks_without_end_is_told_to_wait(rig: ConsoleRig) -> None:
    stranger = TestClient(build_app(rig.console), base_url="http://127.0.0.1")
    codes = {stranger.get("/assets/none").status_code for _ in range(400)}
    assert codes == {404, 429}


@pytest.mark.parametrize("stated", [True, False])
def test_a_form_that_is_too_long_is_refused(rig: ConsoleRig, stated: bool) -> None:
    stranger = TestClient(build_app(rig.console), base_url="http://127.0.0.1", raise_server_exceptions=False)
    body = b"officer=" + b"x" * (1 << 20)
    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = stranger.post("/sign-in", content=body if stated else iter([body]), headers=headers)
    assert answer.status_code in ((413,) if stated else (400, 413, 422, 500))


def _certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    files = (folder / "server.pem", folder / "server.key")
    files[0].write_bytes(made.public_bytes(Encoding.PEM))
    files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return files


@pytest.fixture
def tls_port(rig: ConsoleRig) -> Iterator[int]:
    certificate, key = _certificate(rig.folder)
    part = dataclasses.replace(rig.console.part, certificate_file=certificate, tls_key_file=key)
    rig.console.part = part
    server = serving_of(rig.console, None)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until_s = time.monotonic() + 20.0
    while not server.started and time.monotonic() < until_s:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join(10.0)


def _context(rig: ConsoleRig) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(rig.folder / "server.pem"))
    context.check_hostname = False
    return context


def test_over_tls_the_cookie_is_for_tls_alone(rig: ConsoleRig, tls_port: int) -> None:
    with closing(http.client.HTTPSConnection("127.0.0.1", tls_port, context=_context(rig))) as asked:
        form = f"officer=4604001&password={PASSWORD.replace(' ', '+')}"
        headers = {"content-type": "application/x-www-form-urlencoded"}
        asked.request("POST", "/sign-in", body=form, headers=headers)
        answer = asked.getresponse()
        assert answer.status == 303
        assert "Secure" in (answer.getheader("set-cookie") or "")
        assert answer.getheader("strict-transport-security") == "max-age=31536000"


@pytest.mark.parametrize("of", ["old", "weak"])
def test_no_old_tls_and_no_weak_cipher_is_spoken(rig: ConsoleRig, tls_port: int, of: str) -> None:
    context = _context(rig)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AES+SHA1:@SECLEVEL=0" if of == "weak" else "ALL:@SECLEVEL=0")
    if of == "old":
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", tls_port), 5.0) as plain,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        context.wrap_socket(plain)


@pytest.mark.parametrize(("behind", "wanted"), [(True, ["9.9.9.9"]), (False, ["127.0.0.1"])])
def test_who_asks_is_what_the_proxy_says_where_there_is_one(
    rig: ConsoleRig, behind: bool, wanted: list[str]
) -> None:
    rig.console.part = dataclasses.replace(rig.console.part, behind_proxy=behind)
    config = serving_of(rig.console, None).config
    config.load()
    throttle = config.app.state.throttle._wrong  # type: ignore[union-attr]
    client = TestClient(config.loaded_app, base_url="http://127.0.0.1", client=("127.0.0.1", 50_000))
    client.post(
        "/sign-in",
        data={"officer": "4604001", "password": "wrong"},
        headers={"x-forwarded-for": "9.9.9.9", "x-forwarded-proto": "https"},
    )
    assert [name.removeprefix("address ") for name in throttle if name.startswith("address")] == wanted


def test_a_file_that_leaves_something_out_says_how_much(
    rig: ConsoleRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = rig.client()
    with rig.archive.transaction():
        for number in range(5):
            rig.archive.add_act(CentreAct(utc_now(), "recall", f"R{number}", ("4604001",), "", ""))
    asked = {"what": "recall", "form": "csv"}
    for most, left_out in (
        (3, ["另有 2 条未列出，请缩小范围", "2 more are not listed: ask for less"]),
        (5, None),
    ):
        monkeypatch.setattr("sync.hub.console.pages.access.MOST_CSV", most)
        rows = list(csv.reader(client.get("/access/acts", params=asked).text.splitlines()))[1:]
        assert [row[3] for row in rows[:most]] == [f"R{number}" for number in (4, 3, 2, 1, 0)][:most]
        assert rows[most:] == ([left_out] if left_out else [])
