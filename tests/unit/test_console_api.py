"""The console for programs: tokens, the read API against the archive, /metrics."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from sync.hub.centre import By, give, later
from sync.hub.console.app import build_app
from sync.hub.console.shown import LANE_BANDS_S, TALLIES
from sync.hub.console.tokens import make_token, revoke_token
from sync.hub.console.words import WORDS
from sync.hub.terms import HubAlarm
from sync.store.journal import utc_now
from sync.vocabulary.commands import BoardText
from sync.vocabulary.facts import (
    Alarm,
    AlarmCode,
    DeviceLost,
    LaneClosed,
    PassageClosed,
    PassageOpened,
    RulingMade,
    Stream,
)
from sync.vocabulary.rulings import Because, Reason, Ruling, Verdict
from sync.vocabulary.xray_facts import ParcelXRayed
from tests.console_rig import ConsoleRig, console_rig

NOW, LATER = "2026-11-22T00:00:00.000000Z", "2099-01-01T00:00:00.000000Z"
DAY = "2026-01-31"
DAYS = f"from={DAY}&to={DAY}"


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleRig]:
    with console_rig(tmp_path_factory.mktemp("api")) as made:
        for number in range(1, 6):
            made.say(
                "lane-in",
                PassageOpened(passage=number),
                RulingMade(
                    passage=number,
                    ruling=Ruling(Verdict.RELEASE, (Because(Reason.RELEASED),)),
                    direction="I",
                    plate="琼A12345",
                    enterprise="4601910001",
                    officer="4604002",
                ),
                PassageClosed(passage=number, outcome="crossed", lane_s=20.0, stage_s={"weigh": 4.0}),
            )
        made.say("lane-in", PassageOpened(passage=6))
        made.say("lane-in", Alarm(code=AlarmCode.OVERSTAY, passage=6, detail='"a"\n'), stream=Stream.ALARM)
        made.say("xray-1", ParcelXRayed(parcel=1, waybill_no="YT1", verdict="passed", by="machine"))
        made.caught_up()
        yield made


@pytest.fixture(scope="module")
def program(rig: ConsoleRig) -> TestClient:
    token = make_token(rig.archive, "lims", LATER, by="4604001", at_utc=NOW)
    return _with(rig, token)


def _with(rig: ConsoleRig, token: str) -> TestClient:
    client = TestClient(build_app(rig.console), base_url="http://127.0.0.1", follow_redirects=False)
    client.headers["authorization"] = f"Bearer {token}"
    return client


def _get(client: TestClient, path: str) -> Any:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def _bodies(rig: ConsoleRig, kind: str) -> list[str]:
    rows = rig.archive.engine.execute("SELECT body FROM facts WHERE kind = ? ORDER BY position", (kind,))
    return [body for (body,) in rows.fetchall()]


def test_passages_come_page_by_page_each_once_latest_first(rig: ConsoleRig, program: TestClient) -> None:
    seen: list[int] = []
    after = ""
    for _ in range(3):
        page = _get(program, f"/api/v1/passages?limit=2&after={after}")
        seen += [each["passage"] for each in page["passages"]]
        after = page["next"]
    opened = [json.loads(body)["data"]["passage"] for body in _bodies(rig, "passage_opened")]
    assert seen == sorted(opened, reverse=True)
    assert after == ""


def test_facts_of_a_passage_are_the_stored_text(rig: ConsoleRig, program: TestClient) -> None:
    found = _get(program, "/api/v1/passages/lane-in/2/facts")
    assert {each["body"] for each in found} == {
        body
        for kind in ("passage_opened", "ruling_made", "passage_closed")
        for body in _bodies(rig, kind)
        if json.loads(body)["data"]["passage"] == 2
    }
    one = found[0]
    assert _get(program, f"/api/v1/facts/lane-in/{one['epoch']}/{one['stream']}/{one['seq']}") == one


def test_a_passage_a_parcel_a_plate_and_an_alarm_can_be_asked_for(program: TestClient) -> None:
    assert _get(program, "/api/v1/passages/lane-in/2")["reasons"] == ["released"]
    assert _get(program, "/api/v1/parcels/YT1")[0]["verdict"] == "passed"
    assert len(_get(program, "/api/v1/mentions?what=plate&name=琼A12345")) == 5
    assert [each["code"] for each in _get(program, "/api/v1/alarms")] == ["overstay"]
    assert {each["device"] for each in _get(program, "/api/v1/devices")} == {"lane-in", "xray-1"}


def test_alarms_of_the_hub_stand_among_those_of_devices_by_their_time(tmp_path: Path) -> None:
    with console_rig(tmp_path) as rig:
        rig.say("lane-in", Alarm(code=AlarmCode.OVERSTAY), stream=Stream.ALARM, time="2026-01-02T00:00:00Z")
        rig.caught_up()
        with rig.archive.transaction():
            for day, code in ((1, "chain_broken"), (3, "hold_escalated")):
                at_utc = f"2026-01-0{day}T00:00:00.000000Z"
                rig.archive.add_alarm(at_utc, "lane-in", HubAlarm(code), "passage 7")
            rig.archive.engine.execute(
                "INSERT INTO console_alarms (alarm, owner, taken_utc) VALUES ('hub/2', '4604002', ?)", (NOW,)
            )
        program = _with(rig, make_token(rig.archive, "lims", LATER, by="4604001", at_utc=NOW))
        told = _get(program, "/api/v1/alarms")
        assert [(each["code"], each["stream"], each["seq"], each["owner"]) for each in told] == [
            ("hold_escalated", "hub", 2, "4604002"),
            ("overstay", "alarm", told[1]["seq"], ""),
            ("chain_broken", "hub", 1, ""),
        ]
        assert told[0]["en"] == WORDS["alarm.hold_escalated"][1]
        assert [each["code"] for each in _get(program, "/api/v1/alarms?limit=1")] == ["hold_escalated"]
        late = _get(program, "/api/v1/alarms?since=2026-01-02T00:00:00Z")
        assert [each["code"] for each in late] == ["hold_escalated", "overstay"]


def test_counts_are_those_of_the_archive(rig: ConsoleRig, program: TestClient) -> None:
    rows = _get(program, f"/api/v1/tallies?by=device&name=lane-in&{DAYS}")
    opened = sum(row["n"] for row in rows if row["what"] == "opened")
    assert opened == len(_bodies(rig, "passage_opened"))
    (table,) = _get(program, f"/api/v1/statistics?view=day&{DAYS}")
    assert table["rows"][DAY][table["columns"].index("opened")] == opened


def test_every_count_has_a_meaning(rig: ConsoleRig, program: TestClient) -> None:
    known = _get(program, "/api/v1/meanings")
    assert known == TALLIES
    written = rig.console.part.shown_file
    assert written.exists()
    with rig.console.shown() as shown:
        counted = shown.execute("SELECT DISTINCT by, what FROM tallies WHERE by <> 'device_day'").fetchall()
    bands = {f"lane_{band_s}" for band_s in LANE_BANDS_S}
    for by, what in counted:
        plain = "lane_S" if what in bands else what
        stem = re.sub(r"_(?:crossed|release)$", "_", plain)
        of_it = [each for each in known[by] if each == plain or (stem != plain and each.startswith(stem))]
        assert of_it or "VERDICT" in known[by], (by, what)


def test_the_description_names_every_address_and_how_to_sign_in(program: TestClient) -> None:
    described = _get(program, "/api/v1/openapi.json")
    assert set(described["components"]["securitySchemes"]) == {"token", "session"}
    assert "/api/v1/passages/{device}/{passage}/facts" in described["paths"]
    assert all(set(methods) == {"get"} for methods in described["paths"].values())


@pytest.mark.parametrize("path", ["/api/v1/passages", "/api/v1/openapi.json", "/metrics", "/api"])
def test_nobody_reads_without_a_token_or_a_session(rig: ConsoleRig, path: str) -> None:
    stranger = TestClient(build_app(rig.console), base_url="http://127.0.0.1")
    assert stranger.get(path).status_code == 401
    assert _with(rig, "kakou_wrong").get(path).status_code == 401


def test_a_token_that_is_over_or_revoked_opens_nothing(rig: ConsoleRig) -> None:
    over = make_token(rig.archive, "old", "2026-11-22T00:00:01.000000Z", by="4604001", at_utc=NOW)
    gone = make_token(rig.archive, "gone", LATER, by="4604001", at_utc=NOW)
    assert _with(rig, gone).get("/api/v1/devices").status_code == 200
    assert revoke_token(rig.archive, "gone", by="4604001", at_utc=NOW)
    assert [_with(rig, token).get("/api/v1/devices").status_code for token in (over, gone)] == [401, 401]


def test_a_token_is_made_by_an_admin_shown_once_and_kept_as_a_hash(rig: ConsoleRig) -> None:
    client = rig.client()
    page = client.post("/api/tokens", data={"name": "erp", "days": "30"}).text
    (token,) = re.findall(r"kakou_[A-Za-z0-9_-]{40,}", page)
    assert _with(rig, token).get("/api/v1/devices").status_code == 200
    assert token not in client.get("/api").text
    for table in ("console_tokens", "console_reads", "centre_acts"):
        kept = rig.archive.engine.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608
        assert kept
        assert token not in repr(kept)
    assert client.post("/api/tokens", data={"name": "erp", "days": "30"}).status_code == 422
    assert rig.client("4604002").post("/api/tokens", data={"name": "x1", "days": "3"}).status_code == 403
    assert client.post("/api/tokens/revoke", data={"name": "erp"}).status_code == 303
    assert _with(rig, token).get("/api/v1/devices").status_code == 401


def test_a_session_reads_too_but_of_officers_only_itself(rig: ConsoleRig) -> None:
    rows = _get(rig.client("4604003"), f"/api/v1/tallies?by=officer&{DAYS}")
    assert rows == []
    assert _get(rig.client("4604002"), f"/api/v1/tallies?by=officer&{DAYS}")[0]["name"] == "4604002"


def test_reads_of_plates_are_kept_under_the_programs_name(rig: ConsoleRig, program: TestClient) -> None:
    _get(program, "/api/v1/mentions?what=plate&name=琼B00001")
    rows = rig.archive.engine.execute("SELECT officer, what, subject FROM console_reads").fetchall()
    assert ("program lims", "plate", "琼B00001") in [tuple(row) for row in rows]


def test_metrics_are_lines_a_scraper_reads(rig: ConsoleRig, program: TestClient) -> None:
    text = program.get("/metrics").text
    for line in text.splitlines():
        assert re.fullmatch(r'# .+|kakou_\w+(\{(\w+="([^"\\\n]|\\.)*",?)*\})? [0-9.e+inf-]+', line), line
    (stored,) = re.findall(r'kakou_facts_stored\{device="lane-in"\} (\d+)', text)
    counted = rig.archive.engine.execute("SELECT count(*) FROM facts WHERE device = 'lane-in'").fetchone()
    assert (int(stored),) == tuple(counted)
    assert "kakou_console_up_to_date 1" in text
    assert "kakou_passages_open 1" in text


def _metric(text: str, name: str, **labels: str) -> float | None:
    named = ",".join(f'{key}="{value}"' for key, value in labels.items())
    found = re.findall(
        rf"^kakou_{name}{re.escape('{' + named + '}') if labels else ''} (\S+)$", text, re.MULTILINE
    )
    return float(found[0]) if found else None


def test_every_metric_is_that_of_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.unit.test_hub_device.AT", utc_now())
    with console_rig(tmp_path) as rig:
        held = Ruling(Verdict.HOLD, (Because(Reason.WEIGHT_OVER),))
        rig.say("lane-in", PassageOpened(passage=1), PassageClosed(passage=1, outcome="crossed", lane_s=20.5))
        rig.say("lane-in", PassageOpened(passage=2), PassageClosed(passage=2, outcome="crossed", lane_s=30.0))
        rig.say("lane-in", PassageOpened(passage=3), PassageOpened(passage=4))
        rig.say("lane-in", RulingMade(passage=4, ruling=held, direction="I"))
        rig.say(
            "lane-in", DeviceLost("io", "required", "cable"), LaneClosed("arm moved"), stream=Stream.ALARM
        )
        rig.caught_up()
        rig.say("lane-in", PassageOpened(passage=5))
        by = By(("4604001",), "noise")
        with rig.archive.transaction():
            give(rig.archive, "lane-in", BoardText(preset=1, seconds=60), by, valid_s=300, at_utc=utc_now())
            rig.archive.set_status("lane-in", "{}", later(utc_now(), -300.0))
        client = rig.client()
        text = client.get("/metrics").text
        closed = [json.loads(body)["data"] for body in _bodies(rig, "passage_closed")]
        opened = _bodies(rig, "passage_opened")
        told = rig.archive.engine.execute("SELECT count(*) FROM facts").fetchone()[0]
        lane = {"device": "lane-in"}
        assert _metric(text, "facts_stored", **lane) == told
        assert (_metric(text, "facts_not_shown", **lane), _metric(text, "console_up_to_date")) == (1, 0)
        assert _metric(text, "passages_open") == len(opened) - 1 - len(closed)
        assert (_metric(text, "passages_held"), _metric(text, "commands_open")) == (1, 1)
        assert _metric(text, "today", **lane, what="opened") == len(opened) - 1
        assert _metric(text, "today", **lane, what="closed_crossed") == len(closed)
        lane_s = sum(each["lane_s"] for each in closed)
        assert _metric(text, "today_seconds", **lane, what="closed_crossed") == lane_s
        assert _metric(text, "parts_lost", **lane, part="io") == _metric(text, "lane_closed", **lane) == 1
        assert 300 <= (_metric(text, "status_age_seconds", **lane) or 0) < 400
        assert _metric(text, "console_sessions") == len(rig.console.sessions.kept) == 1
        (device,) = client.get("/api/v1/devices").json()
        assert device["facts"] == told
        assert device["states"] == {"part io": "cable", "lane": "arm moved"}


def test_a_time_means_that_moment_however_many_decimals_it_is_given_with(tmp_path: Path) -> None:
    with console_rig(tmp_path) as rig:
        for number, part in enumerate(("59.999999", "00.000000", "00.500000", "01.000000"), start=1):
            minute = "07:59" if number == 1 else "08:00"
            rig.say("lane-in", PassageOpened(passage=number), time=f"2026-01-31T{minute}:{part}Z")
        rig.caught_up()
        client = rig.client()

        def between(since: str, until: str) -> list[int]:
            found = client.get(f"/api/v1/passages?since=2026-01-31T{since}Z&until=2026-01-31T{until}Z").json()
            return sorted(each["passage"] for each in found["passages"])

        assert between("08:00:00", "08:00:01") == between("08:00:00.0", "08:00:01.000000") == [2, 3]
        assert between("08:00:00.5", "08:00:01.1") == [3, 4]
        assert between("07:00:00", "08:00:00") == [1]


def test_more_counts_than_fit_one_answer_are_not_given_in_part(
    rig: ConsoleRig, program: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = _get(program, f"/api/v1/tallies?by=device&{DAYS}")
    monkeypatch.setattr("sync.hub.console.pages.api.MOST_TALLIES", len(every))
    assert _get(program, f"/api/v1/tallies?by=device&{DAYS}") == every
    monkeypatch.setattr("sync.hub.console.pages.api.MOST_TALLIES", len(every) - 1)
    assert program.get(f"/api/v1/tallies?by=device&{DAYS}").status_code == 422


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/passages?limit=100000",
        "/api/v1/passages?after=x",
        "/api/v1/passages?since=yesterday",
        "/api/v1/mentions?what=everything&name=x",
        "/api/v1/tallies?by=device&from=2026-01-01&to=2026-06-01",
        f"/api/v1/passages/lane-in/{2**70}",
    ],
)
def test_what_cannot_be_asked_is_told(program: TestClient, path: str) -> None:
    assert program.get(path).status_code == 422
