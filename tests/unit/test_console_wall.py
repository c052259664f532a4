"""The wall: figures against the archive, what stands where, whose an alarm is, how soon it is told."""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sync.hub.console.alarms import OpenAlarm, OpenAlarms
from sync.hub.console.wall import WallView
from sync.hub.console.watching import PARTS, Wall
from sync.hub.console.words import WORDS
from sync.hub.terms import HubAlarm
from sync.link.messages import Status
from sync.store.journal import utc_now
from sync.vocabulary.codec import to_json
from sync.vocabulary.facts import (
    Alarm,
    AlarmCode,
    DeviceBack,
    DeviceLost,
    LaneClosed,
    LaneReset,
    LaneStarted,
    PassageClosed,
    PassageOpened,
    RulingMade,
    Stream,
    VehicleCrossed,
)
from sync.vocabulary.handheld_facts import HandheldStarted, OfficerSignedIn
from sync.vocabulary.numbers import EnterpriseCode
from sync.vocabulary.records import CreditTier, Direction, Enterprise, Site, SiteLane
from sync.vocabulary.rulings import Because, Reason, Ruling, Verdict
from sync.vocabulary.xray_facts import ParcelSeen, ParcelSorted, ParcelXRayed, StationStarted
from tests.console_rig import SCOPE, ConsoleRig, console_rig
from tests.unit.test_hub_device import SITE

HELD = 'data-device="lane-out" data-state="held"'
FIRMS = ("4101960123", "4101960124", "4101960125")


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[ConsoleRig]:
    with console_rig(tmp_path) as made:
        yield made


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Devices say when it is said: what the wall counts is of today."""
    monkeypatch.setattr("tests.unit.test_hub_device.AT", utc_now())


def ruling(passage: int, verdict: Verdict, *reasons: Reason, enterprise: str = FIRMS[0]) -> RulingMade:
    because = tuple(Because(reason) for reason in reasons or (Reason.RELEASED,))
    return RulingMade(
        passage=passage,
        ruling=Ruling(verdict, because),
        direction="I",
        plate="豫A12345",
        enterprise=enterprise,
        texts_zh=("请等待",) if verdict is Verdict.HOLD else (),
        texts_en=("please wait",) if verdict is Verdict.HOLD else (),
    )


def _passed(passage: int, lane_s: float) -> tuple[VehicleCrossed, PassageClosed]:
    return (
        VehicleCrossed(passage, f"order-{passage}", ()),
        PassageClosed(passage=passage, outcome="crossed", lane_s=lane_s),
    )


def busy(rig: ConsoleRig) -> None:
    """Two lanes, an X-ray line and a handheld on an ordinary morning; no alarm."""
    lanes = (
        SiteLane(lane="lane-in", direction=Direction.IN, name_zh="进1道", name_en="In 1"),
        SiteLane(lane="lane-out", direction=Direction.OUT, name_zh="出1道", name_en="Out 1"),
    )
    rig.record("site", SITE, Site(site=SITE, name_zh="示范口岸", name_en="Demo port", lanes=lanes))
    for number, code in enumerate(FIRMS):
        firm = Enterprise(
            code=EnterpriseCode(code),
            name=f"示范企业{number + 1}",
            tier=tuple(CreditTier)[number],
            spot_check_per_mille=100 * number,
        )
        rig.record("enterprises", code, firm)
    rig.say("lane-in", LaneStarted("0.1.0", "", ""))
    for passage in (1, 2, 3):
        rig.say("lane-in", PassageOpened(passage), ruling(passage, Verdict.RELEASE), *_passed(passage, 40.0))
    rig.say("lane-in", PassageOpened(4), ruling(4, Verdict.HOLD, Reason.WEIGHT_OVER))
    rig.say("lane-out", LaneStarted("0.1.0", "", ""))
    checked = ruling(1, Verdict.INSPECT, Reason.SPOT_CHECK, enterprise=FIRMS[1])
    rig.say("lane-out", PassageOpened(1), checked, *_passed(1, 70.0), PassageOpened(2))
    rig.say("xray-1", StationStarted(version="0.1.0", config_digest="", boot_id=""))
    for parcel, verdict in enumerate(("passed", "flagged", "passed", "recheck"), 1):
        seen = ParcelSeen(parcel=parcel, leading_mm=0.0, waybill_no=f"W{parcel}")
        judged = ParcelXRayed(parcel=parcel, waybill_no=f"W{parcel}", verdict=verdict, by="machine")
        rig.say("xray-1", seen, judged)
    rig.say("xray-1", ParcelSorted(parcel=1, verdict="passed", ordered="pass", confirmed=True))
    rig.say("xray-1", ParcelSeen(parcel=5, leading_mm=1.0), ParcelSeen(parcel=6, leading_mm=2.0))
    rig.say("hh-1", HandheldStarted("0.1.0", "", ""), OfficerSignedIn(officer="4604001"))
    rig.caught_up()


def _bodies(rig: ConsoleRig, *kinds: str) -> list[tuple[str, dict[str, Any]]]:
    """Device and data of every fact of these kinds, out of the archive."""
    rows = rig.archive.engine.execute("SELECT device, kind, body FROM facts ORDER BY device, position")
    return [(device, json.loads(body)["data"]) for device, kind, body in rows.fetchall() if kind in kinds]


def _key(html: str, name: str) -> str:
    found = re.search(rf'data-key="{name}"[^>]*>([^<]*)<', html)
    assert found is not None, f"no figure {name}"
    return found.group(1)


def _view(rig: ConsoleRig) -> WallView:
    return Wall(rig.console).view()


# --- what stands ------------------------------------------------------------------------------------------


def _states(rig: ConsoleRig) -> set[tuple[str, str, str, str]]:
    rig.caught_up()
    with rig.console.shown() as shown:
        return {(row.device, row.what, row.name, row.word) for row in shown.states() if row.what != "started"}


def test_what_stands_at_a_device_is_its_last_word_whichever_stream_brought_it(rig: ConsoleRig) -> None:
    # By the device's own count: lost, back, lost again; the alarm stream is read before the routine one.
    rig.say("lane-in", DeviceBack("io", "required"))
    rig.say("lane-in", DeviceLost("io", "required", "cable"), stream=Stream.ALARM)
    rig.say("lane-in", DeviceBack("weighbridge", "required"))
    rig.say("lane-in", LaneClosed("arm moved"), stream=Stream.ALARM)
    rig.say("hh-1", OfficerSignedIn(officer="4604001"))
    rig.say("xray-1", ParcelSeen(parcel=1, leading_mm=0.0), ParcelSeen(parcel=2, leading_mm=9.0))
    rig.say("xray-1", ParcelSorted(parcel=1, verdict="passed", ordered="pass", confirmed=True))
    assert _states(rig) == {
        ("lane-in", "part", "io", "cable"),
        ("lane-in", "lane", "", "arm moved"),
        ("hh-1", "officer", "", "4604001"),
        ("xray-1", "parcel", "2", "seen"),
    }


def test_a_program_that_starts_again_forgets_what_stood_but_no_closing(rig: ConsoleRig) -> None:
    rig.say("lane-in", DeviceLost("io", "required", "cable"), LaneClosed("arm moved"), stream=Stream.ALARM)
    rig.say("lane-in", LaneStarted("1", "", ""))
    assert _states(rig) == {("lane-in", "lane", "", "arm moved")}
    rig.say("lane-in", LaneReset("4604001"))
    assert _states(rig) == set()


def test_every_lane_line_and_handheld_is_on_the_plan_in_its_state(rig: ConsoleRig) -> None:
    busy(rig)
    html = rig.client().get("/").text
    places = dict(
        re.findall(r'class="(?:lane|station|handheld) [^>]*data-device="([^"]+)" data-state="([^"]+)"', html)
    )
    assert places == {"lane-in": "held", "lane-out": "reading", "xray-1": "feeding", "hh-1": "in_hand"}
    assert "In 1" in html
    assert "2 to judge" in html


def test_a_lane_with_a_new_disk_has_nobody_in_it(rig: ConsoleRig) -> None:
    """One whose disk is restored knows who stands there."""
    busy(rig)
    rig.say("lane-in", PassageOpened(passage=4_000), ruling(4_000, Verdict.HOLD))
    device = rig.device("lane-in")
    device.begin("a" * 32)
    rig.send(device, device.facts[Stream.ALARM])
    rig.caught_up()
    assert [lane.passage for lane in _view(rig).lanes if lane.device == "lane-in"] == [4_000]
    device.begin("b" * 32, disk_new=True)
    rig.send(device, device.facts[Stream.ALARM])
    rig.caught_up()
    (lane,) = (lane for lane in _view(rig).lanes if lane.device == "lane-in")
    assert (lane.state, lane.passage, lane.vehicles) == ("free", 0, 0)


def test_a_lane_that_is_shut_or_away_says_so(rig: ConsoleRig) -> None:
    busy(rig)
    rig.say("lane-out", PassageClosed(passage=2, outcome="backed_out", lane_s=9.0), LaneClosed("arm moved"))
    status = Status(device="lane-in", online=False, health={"lane": "free"}, records={SCOPE: 1}, backlog=12)
    long_ago = f"{datetime.now(UTC) - timedelta(minutes=7):%Y-%m-%dT%H:%M:%S.000000Z}"
    with rig.archive.transaction():
        rig.archive.set_status("lane-in", to_json(status).decode(), long_ago)
    rig.caught_up()
    view = _view(rig)
    assert {lane.device: lane.state for lane in view.lanes} == {"lane-in": "away", "lane-out": "closed"}
    device = next(device for device in view.devices if device.device == "lane-in")
    (scope,) = rig.archive.scopes()
    assert (device.silent_minutes, device.behind, device.backlog) == (7, scope.number - 1, 12)
    assert (view.away, view.backlog) == (1, 12)


def test_a_device_that_says_nothing_any_more_is_away_whatever_it_said_last(rig: ConsoleRig) -> None:
    busy(rig)
    status = to_json(Status(device="lane-in", online=True, health={"lane": "free"})).decode()
    states = []
    for minutes in (0, 4, 5, 6):
        told_utc = f"{datetime.now(UTC) - timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%S.000000Z}"
        with rig.archive.transaction():
            rig.archive.set_status("lane-in", status, told_utc)
        states.append(next(lane.state for lane in _view(rig).lanes if lane.device == "lane-in"))
    assert states == ["held", "held", "away", "away"]


def test_records_are_as_old_as_the_first_change_a_device_lacks(rig: ConsoleRig) -> None:
    status = Status(device="lane-in", online=True, health={"lane": "free", "io": "lost, silent: cable"})
    rig.device("lane-in")
    (scope,) = rig.archive.scopes()
    with rig.archive.transaction():
        behind = to_json(Status(**{**_fields(status), "records": {SCOPE: scope.number - 1}})).decode()
        rig.archive.set_status("lane-in", behind, utc_now())
        long_ago = f"{datetime.now(UTC) - timedelta(hours=7):%Y-%m-%dT%H:%M:%S.000000Z}"
        rig.archive.engine.execute("UPDATE log SET at_utc = ? WHERE number = ?", (long_ago, scope.number))
    (device,) = _view(rig).devices
    assert (device.behind, device.records_minutes, device.too_old) == (1, 420, True)
    assert device.troubles == (("io", "lost, silent: cable"),)


def _fields(status: Status) -> dict[str, Any]:
    return {name: getattr(status, name) for name in status.__struct_fields__}


# --- numbers ----------------------------------------------------------------------------------------------


def test_the_figures_are_those_of_the_archive(rig: ConsoleRig) -> None:
    busy(rig)
    html = rig.client().get("/").text
    ruled = {
        verdict: {
            (device, data["passage"])
            for device, data in _bodies(rig, "ruling_made")
            if data["ruling"]["verdict"] == verdict
        }
        for verdict in ("release", "inspect", "hold")
    }
    flagged = [data for _, data in _bodies(rig, "parcel_x_rayed") if data["verdict"] == "flagged"]
    lane_s = [data["lane_s"] for _, data in _bodies(rig, "passage_closed") if data["outcome"] == "crossed"]
    assert int(_key(html, "released")) == len(ruled["release"]) == 3
    assert int(_key(html, "inspected")) == len(ruled["inspect"]) == 1
    assert int(_key(html, "held")) == len(ruled["hold"]) == 1
    assert int(_key(html, "flagged")) == len(flagged) == 1
    assert _key(html, "lane_time") == f"{sum(lane_s) / len(lane_s):.0f} s" == "48 s"
    assert _key(html, "held_now") == "1 waiting now"
    assert _key(html, "alarms") == "0"
    assert _key(html, "backlog") == "0"


def test_the_curves_add_up_to_the_figures_hour_by_hour(rig: ConsoleRig) -> None:
    busy(rig)
    view = _view(rig)
    hour = datetime.now(rig.console.zone).hour
    said = Counter(
        datetime.fromisoformat(json.loads(body)["time"]).astimezone(rig.console.zone).hour
        for (body,) in rig.archive.engine.execute(
            "SELECT body FROM facts WHERE kind = 'ruling_made' AND device = 'lane-in'"
        ).fetchall()
        if '"verdict":"release"' in body
    )
    released = next(curve for curve in view.curves if curve.what == "released")
    assert len(released.hours) == hour + 1
    assert {at: n for at, n in enumerate(released.hours) if n} == dict(said)
    assert [curve.total for curve in view.curves] == [sum(curve.hours) for curve in view.curves]


def test_time_in_the_lane_stands_against_the_measured_baseline(tmp_path: Path) -> None:
    with console_rig(tmp_path) as rig:
        object.__setattr__(rig.console.part, "baseline_lane_s", 95.0)
        busy(rig)
        assert _view(rig).lane_time.change_percent == -50
        assert _key(rig.client().get("/").text, "change") == "-50 %"


def test_coverage_names_every_firm_and_first_those_that_came_unchecked(rig: ConsoleRig) -> None:
    busy(rig)
    came = Counter(data["enterprise"] for _, data in _bodies(rig, "ruling_made"))
    checked = Counter(
        data["enterprise"]
        for _, data in _bodies(rig, "ruling_made")
        if "spot_check" in [because["code"] for because in data["ruling"]["reasons"]]
    )
    coverage = _view(rig).coverage
    assert [(firm.code, firm.ruled, firm.spot_checked) for firm in coverage.firms] == [
        (FIRMS[0], came[FIRMS[0]], 0),
        (FIRMS[1], came[FIRMS[1]], checked[FIRMS[1]]),
        (FIRMS[2], 0, 0),
    ]
    assert (coverage.came, coverage.covered) == (2, 1)
    page = rig.client().get("/coverage").text
    assert re.findall(r'data-firm="(\d+)"', page) == list(FIRMS)


# --- languages, roles -------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_wall_speaks_both_languages_and_shows_no_key(rig: ConsoleRig, language: str) -> None:
    busy(rig)
    rig.say("lane-in", Alarm(code=AlarmCode.TAILGATER), stream=Stream.ALARM)
    rig.caught_up()
    (scope,) = rig.archive.scopes()
    behind = Status(
        device="hh-1", online=False, health={"handheld": "idle"}, records={SCOPE: scope.number - 1}
    )
    with rig.archive.transaction():
        rig.archive.set_status("hh-1", to_json(behind).decode(), utc_now())
    client = rig.client(language=language)
    for page in ("/", "/coverage"):
        text = re.sub(r"<[^>]*>", " ", client.get(page).text)
        assert re.findall(r"\b(?:wall|alarm|tier|nav)\.[a-z_.]+", text) == []
        assert "&amp;" not in text


def test_every_alarm_of_device_and_hub_has_words() -> None:
    codes = {code.value for code in (*AlarmCode, *HubAlarm)}
    assert {f"alarm.{code}" for code in codes} - set(WORDS) == set()


def test_an_alarm_nobody_has_words_for_is_shown_by_its_code(rig: ConsoleRig) -> None:
    with rig.archive.transaction():
        rig.archive.add_alarm(utc_now(), "", "of_a_later_version", "?")
    assert "of_a_later_version" in rig.client().get("/").text


def test_who_opened_the_wall_is_noted(rig: ConsoleRig) -> None:
    rig.client("4604003").get("/")
    (row,) = rig.archive.engine.execute("SELECT officer, what FROM console_reads").fetchall()
    assert tuple(row) == ("4604003", "wall")


# --- alarms -----------------------------------------------------------------------------------------------


def _alarmed(rig: ConsoleRig) -> list[str]:
    """Two of one kind from a lane, one of the hub's own."""
    tailgater = Alarm(code=AlarmCode.TAILGATER, passage=7, detail="vehicle 2", zh="疑似跟车", en="Tailgater")
    rig.say("lane-in", LaneStarted("0.1.0", "", ""))
    rig.say("lane-in", tailgater, tailgater, stream=Stream.ALARM)
    with rig.archive.transaction():
        rig.archive.add_alarm(utc_now(), "lane-in", HubAlarm.CHAIN_BROKEN, "seq 9")
    rig.caught_up()
    return [alarm.alarm for alarm in _open(rig)]


def _open(rig: ConsoleRig) -> tuple[OpenAlarm, ...]:
    alarms = OpenAlarms()
    with rig.console.shown() as shown:
        alarms.look(rig.archive, shown, utc_now())
    return alarms.all()


def test_alarms_of_devices_and_of_the_hub_are_open_until_somebody_ends_them(rig: ConsoleRig) -> None:
    alarms = _alarmed(rig)
    told = rig.archive.engine.execute("SELECT count(*) FROM facts WHERE kind = 'alarm'").fetchone()[0]
    of_hub = rig.archive.engine.execute("SELECT count(*) FROM hub_alarms").fetchone()[0]
    html = rig.client().get("/").text
    assert int(_key(html, "alarms")) == len(alarms) == told + of_hub == 3
    assert {"Tailgater", "A chain of facts is broken"} <= set(re.findall(r"<b>([^<]+)</b>", html))
    assert html.count('class="ring"') == 1
    assert set(re.findall(r'href="(/passage/lane-in/[^"]+)"', html)) == {"/passage/lane-in/7"}


def test_an_alarm_gets_an_owner_and_a_clock_and_ends_with_a_note(rig: ConsoleRig) -> None:
    alarm = _alarmed(rig)[0]
    client = rig.client("4604002")
    assert client.post("/alarms/take", data={"alarm": alarm}).headers["location"] == "/"
    taken = next(each for each in _open(rig) if each.alarm == alarm)
    assert (taken.owner, taken.taken_utc <= utc_now()) == ("4604002", True)
    assert "owner 4604002" in client.get("/").text
    assert client.post("/alarms/end", data={"alarm": alarm}).headers["location"] == "/?said=note_wanted"
    client.post("/alarms/end", data={"alarm": alarm, "note": "turned back"})
    row = rig.archive.engine.execute(
        "SELECT owner, note FROM console_alarms WHERE alarm = ? AND ended_utc >= taken_utc", (alarm,)
    ).fetchone()
    assert tuple(row) == ("4604002", "turned back")
    assert int(_key(client.get("/").text, "alarms")) == 2
    acts = [(act.act, act.subject, act.officers, act.reason) for act in rig.archive.acts(2)]
    assert acts == [
        ("alarm_ended", alarm, ("4604002",), "turned back"),
        ("alarm_taken", alarm, ("4604002",), ""),
    ]


def test_of_two_who_take_it_at_once_one_is_told_that_the_other_has_it(rig: ConsoleRig) -> None:
    alarm = _alarmed(rig)[0]
    first, second = rig.client("4604002"), rig.client("4604001")
    second.headers["accept"] = "application/json"
    first.post("/alarms/take", data={"alarm": alarm, "seen_owner": ""})
    answer = second.post("/alarms/take", data={"alarm": alarm, "seen_owner": ""})
    assert (answer.status_code, answer.json()["code"]) == (409, "taken")
    assert next(each.owner for each in _open(rig) if each.alarm == alarm) == "4604002"
    assert second.post("/alarms/take", data={"alarm": alarm, "seen_owner": "4604002"}).status_code == 200


def _lines(rig: ConsoleRig) -> list[tuple[str, str, int, str]]:
    return [(each.oldest.alarm, each.latest.alarm, each.n, each.latest.owner) for each in _view(rig).alarms]


def _at(rig: ConsoleRig, time: str) -> str:
    """One more tailgater at this time; its name."""
    known = {alarm.alarm for alarm in _open(rig)}
    rig.say("lane-in", Alarm(code=AlarmCode.TAILGATER, passage=8), stream=Stream.ALARM, time=time)
    rig.caught_up()
    (name,) = {alarm.alarm for alarm in _open(rig)} - known
    return name


def test_many_of_a_kind_are_one_line_that_buries_no_other(rig: ConsoleRig) -> None:
    rig.say("lane-in", LaneStarted("0.1.0", "", ""))
    names = [_at(rig, f"2099-01-01T00:00:0{second}.000000Z") for second in range(5)]
    rig.say("lane-out", Alarm(code=AlarmCode.OVERSTAY), stream=Stream.ALARM)
    rig.caught_up()
    (overstay,) = {alarm.alarm for alarm in _open(rig)} - set(names)
    assert _lines(rig) == [(names[0], names[-1], 5, ""), (overstay, overstay, 1, "")]
    html = rig.client().get("/").text
    assert int(_key(html, "alarms")) == 6
    assert re.findall(r'class="times">([^<]+)<', html) == ["×5"]
    # In somebody's hands they stand below what nobody has.
    client = rig.client("4604002")
    shown = {"alarm": names[0], "same": "5", "until_utc": "2099-01-01T00:00:04.000000Z"}
    client.post("/alarms/take", data=shown)
    assert _lines(rig) == [(overstay, overstay, 1, ""), (names[0], names[-1], 5, "4604002")]
    assert int(_key(client.get("/").text, "alarms")) == 6


def test_a_line_longer_than_one_officer_ends_in_one_go_is_ended_by_and_by(
    rig: ConsoleRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sync.hub.console.alarms.MOST_AT_ONCE", 3)
    rig.say("lane-in", LaneStarted("0.1.0", "", ""))
    first, *_ = [_at(rig, f"2099-01-01T00:00:0{second}.000000Z") for second in range(5)]
    client = rig.client()
    client.headers["accept"] = "application/json"
    until = {"until_utc": "2099-01-01T00:00:04.000000Z", "note": "drill"}
    ended = client.post("/alarms/end", data={"alarm": first, "same": "5", **until})
    assert ended.json() == {"code": "done", "ended": 3}
    ((left, _, n, _),) = _lines(rig)
    until["until_utc"] = next(alarm.utc for alarm in _open(rig))
    assert client.post("/alarms/end", data={"alarm": left, "same": str(n), **until}).json()["ended"] == 2
    assert _open(rig) == ()


def test_every_escalated_vehicle_is_a_line_of_its_own(rig: ConsoleRig) -> None:
    with rig.archive.transaction():
        for passage in (7, 8):
            rig.archive.add_alarm(
                utc_now(), "lane-in", HubAlarm.HOLD_ESCALATED, f"passage {passage}: 4604001: ill"
            )
        for _ in range(2):
            rig.archive.add_alarm(utc_now(), "lane-in", HubAlarm.CHAIN_BROKEN, "seq 9")
    # However much came after it.
    assert [(each.latest.code, each.n) for each in _view(rig).alarms] == [
        (HubAlarm.HOLD_ESCALATED, 1),
        (HubAlarm.HOLD_ESCALATED, 1),
        (HubAlarm.CHAIN_BROKEN, 2),
    ]


@pytest.mark.parametrize("act", ["take", "end"])
def test_what_came_after_the_page_was_looked_at_is_neither_taken_nor_ended(rig: ConsoleRig, act: str) -> None:
    rig.say("lane-in", LaneStarted("0.1.0", "", ""))
    first, second = (_at(rig, f"2099-01-01T00:00:0{one}.000000Z") for one in (1, 2))
    client = rig.client()
    client.headers["accept"] = "application/json"
    seen = {"alarm": first, "same": "2", "until_utc": "2099-01-01T00:00:02.000000Z", "note": "drill"}
    unseen = _at(rig, "2099-01-01T00:00:03.000000Z")
    answer = client.post(f"/alarms/{act}", data=seen)
    assert answer.status_code == 200
    left = {alarm.alarm: alarm.owner for alarm in _open(rig)}
    assert left == ({first: "4604001", second: "4604001", unseen: ""} if act == "take" else {unseen: ""})


def test_a_line_that_is_another_by_now_is_looked_at_again_first(rig: ConsoleRig) -> None:
    """A device that was cut off tells of an earlier one late."""
    rig.say("lane-in", LaneStarted("0.1.0", "", ""))
    first, second = (_at(rig, f"2099-01-01T00:00:0{one}.000000Z") for one in (3, 5))
    late = _at(rig, "2099-01-01T00:00:04.000000Z")
    client = rig.client()
    client.headers["accept"] = "application/json"
    seen = {"alarm": first, "same": "2", "until_utc": "2099-01-01T00:00:05.000000Z", "note": "drill"}
    for act in ("take", "end"):
        answer = client.post(f"/alarms/{act}", data=seen)
        assert (answer.status_code, answer.json()["code"]) == (409, "changed")
    assert {alarm.alarm: alarm.owner for alarm in _open(rig)} == dict.fromkeys((first, second, late), "")


def test_one_of_many_can_be_ended_alone_and_nobody_ends_what_another_has_in_hand(rig: ConsoleRig) -> None:
    rig.say("lane-in", LaneStarted("0.1.0", "", ""))
    names = [_at(rig, f"2099-01-01T00:00:0{second}.000000Z") for second in range(4)]
    until = {"until_utc": "2099-01-01T00:00:09.000000Z", "note": "drill"}
    rig.client("4604002").post("/alarms/take", data={"alarm": names[1]})
    client = rig.client()
    client.headers["accept"] = "application/json"
    ended = client.post("/alarms/end", data={"alarm": names[0], **until})
    assert ended.json() == {"code": "done", "ended": 1}
    ended = client.post("/alarms/end", data={"alarm": names[2], "same": "2", **until})
    assert ended.json() == {"code": "done", "ended": 2}
    assert [(alarm.alarm, alarm.owner) for alarm in _open(rig)] == [(names[1], "4604002")]


def test_who_only_watches_takes_and_ends_nothing(rig: ConsoleRig) -> None:
    alarm = _alarmed(rig)[0]
    client = rig.client("4604003")
    assert client.post("/alarms/take", data={"alarm": alarm}).status_code == 403
    assert client.post("/alarms/end", data={"alarm": alarm, "note": "x"}).status_code == 403
    assert 'data-may="no"' in client.get("/").text
    assert rig.archive.engine.execute("SELECT count(*) FROM console_alarms").fetchone()[0] == 0


def test_an_alarm_that_does_not_exist_is_taken_by_nobody(rig: ConsoleRig) -> None:
    client = rig.client()
    client.headers["accept"] = "application/json"
    assert client.post("/alarms/take", data={"alarm": "lane-in/x/alarm/9"}).status_code == 404


def test_alarms_are_found_again_when_what_is_shown_is_made_anew(rig: ConsoleRig) -> None:
    _alarmed(rig)
    wall = Wall(rig.console)
    before = wall.view().alarms
    with rig.console.shown() as shown:
        shown.execute("PRAGMA query_only=OFF")
        shown.execute("DELETE FROM alarms")
        shown.execute("DELETE FROM read_to")
        shown.execute("PRAGMA query_only=ON")
    wall.view()
    rig.caught_up()
    assert wall.view().alarms == before


def test_an_ended_alarm_stays_ended_however_long_ago_when_what_is_shown_is_made_anew(rig: ConsoleRig) -> None:
    first, *others = (alarm for alarm in _alarmed(rig) if not alarm.startswith("hub/"))
    client = rig.client()
    client.post("/alarms/end", data={"alarm": first, "note": "drill"})
    alarms = OpenAlarms()
    with rig.console.shown() as shown:
        for hours in range(3):
            alarms.look(rig.archive, shown, f"2099-01-01T{hours:02d}:00:00.000000Z")
        shown.execute("PRAGMA query_only=OFF")
        shown.execute("UPDATE alarms SET rowid = rowid + 10")
        shown.execute("PRAGMA query_only=ON")
        alarms.look(rig.archive, shown, "2099-01-01T04:00:00.000000Z")
    assert [alarm.alarm for alarm in alarms.all() if not alarm.alarm.startswith("hub/")] == others


def test_no_alarm_is_lost_when_what_is_shown_is_made_anew_in_another_order(rig: ConsoleRig) -> None:
    """As many as before or more by the time it is looked at: the number of the last row says nothing."""
    rig.say("lane-out", Alarm(code=AlarmCode.OVERSTAY), stream=Stream.ALARM)
    rig.caught_up()
    alarms = OpenAlarms()
    with rig.console.shown() as shown:
        alarms.look(rig.archive, shown, utc_now())
    for file in rig.folder.glob("shown.sqlite*"):
        file.unlink()
    # Devices are read by name: what lane-in says stands before what is known.
    rig.say("lane-in", Alarm(code=AlarmCode.TAILGATER), stream=Stream.ALARM)
    rig.caught_up()
    with rig.console.shown() as shown:
        rows = shown.execute("SELECT device FROM alarms ORDER BY rowid").fetchall()
        alarms.look(rig.archive, shown, utc_now())
    assert [device for (device,) in rows] == ["lane-in", "lane-out"]
    assert {alarm.device for alarm in alarms.all()} == {"lane-in", "lane-out"}


def test_a_device_that_was_revoked_is_no_longer_on_the_wall(rig: ConsoleRig) -> None:
    rig.device("hh-1")
    status = Status(device="hh-1", online=False, health={"handheld": "idle"}, backlog=7)
    with rig.archive.transaction():
        rig.archive.set_status("hh-1", to_json(status).decode(), utc_now())
    wall = Wall(rig.console)
    assert (wall.view().away, wall.view().backlog) == (1, 7)
    with rig.archive.transaction():
        assert rig.archive.revoke("hh-1")
    wall._slow.at_s = -1e9
    assert (wall.view().away, wall.view().backlog, wall.view().devices) == (0, 0, ())


# --- pushed -----------------------------------------------------------------------------------------------


def test_a_view_is_made_once_a_change_for_all_screens(rig: ConsoleRig) -> None:
    busy(rig)
    wall = Wall(rig.console)
    first = wall.painted("zh", at_once=True)
    builds = wall.builds
    assert all(wall.painted("zh") is first for _ in range(10))
    assert wall.builds == builds


def test_only_what_changed_is_sent_again(rig: ConsoleRig) -> None:
    busy(rig)
    wall = Wall(rig.console)
    before = wall.painted("en", at_once=True)
    rig.say("lane-out", ruling(2, Verdict.RELEASE, enterprise=""))
    rig.caught_up()
    after = wall.painted("en", at_once=True)
    assert after.number == before.number + 1
    assert {part for part in PARTS if after.changed[part] > before.number} == {"figures", "plan"}


def test_a_fact_is_on_the_wall_within_a_second(rig: ConsoleRig) -> None:
    """From stored at the hub to received by the screen. Its own work is a few milliseconds; the rest is the
    tail's and the wall's step."""
    busy(rig)
    cookie = rig.client("4604003").cookies["kakou_console"]
    heard: list[tuple[float, dict[str, str]]] = []
    came = threading.Event()

    def listen(host: str) -> None:
        screen = http.client.HTTPConnection(host, timeout=10.0)
        screen.request("GET", "/wall/stream", headers={"Cookie": f"kakou_console={cookie}"})
        answer = screen.getresponse()
        while not any(HELD in parts.get("plan", "") for _, parts in heard):
            line = answer.readline().decode()
            if line.startswith("data: ") and line != "data: {}\n":
                heard.append((time.monotonic(), json.loads(line[6:])))
                came.set()
        screen.close()

    with rig.served() as address:
        thread = threading.Thread(target=listen, args=(address.removeprefix("http://"),), daemon=True)
        thread.start()
        assert came.wait(10.0)
        time.sleep(0.3)
        said_s = time.monotonic()
        rig.say("lane-out", ruling(2, Verdict.HOLD, Reason.WEIGHT_OVER))
        thread.join(10.0)
    assert set(heard[0][1]) == set(PARTS)
    assert HELD in heard[-1][1]["plan"]
    assert heard[-1][0] - said_s < 1.0
