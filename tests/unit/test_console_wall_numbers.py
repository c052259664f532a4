"""Every number on the wall, as it stands on the page, against one worked out here from the archive's own
rows: facts' bodies, statuses, the log, blobs, what officers did. Yesterday, today, the midnight between."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from sync.hub.console.watching import COVERAGE_DAYS
from sync.hub.console.words import WORDS
from sync.link.messages import Status
from sync.vocabulary.codec import to_json
from sync.vocabulary.facts import (
    Alarm,
    AlarmCode,
    DeviceLost,
    FactData,
    LaneStarted,
    PassageClosed,
    PassageOpened,
    PictureTaken,
    RulingMade,
    Stream,
    VehicleCrossed,
)
from sync.vocabulary.handheld_facts import HandheldStarted, OfficerSignedIn, SlipParcelsChecked
from sync.vocabulary.numbers import EnterpriseCode
from sync.vocabulary.records import CreditTier, Direction, Enterprise, Site, SiteLane
from sync.vocabulary.rulings import Because, Reason, Ruling, Verdict
from sync.vocabulary.xray_facts import DeskChanged, ParcelSeen, ParcelSorted, ParcelXRayed, StationStarted
from tests.console_rig import SCOPE, ConsoleRig, console_rig
from tests.unit.test_hub_claims import slip
from tests.unit.test_hub_device import SITE

ZONE: Final = ZoneInfo("Asia/Shanghai")
NOW: Final = datetime(2026, 11, 22, 7, 20, tzinfo=UTC)
"""15:20 at the site, whose day began at 16:00 UTC."""
BASELINE_S: Final = 50.0
FIRMS: Final = ("4101960123", "4101960124", "4101960125", "4101960126")
SLIP: Final = "Z4604I261122000000000001"
VERDICTS: Final = {"released": "release", "inspected": "inspect", "held": "hold"}


class _Now(datetime):
    @classmethod
    def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
        return NOW.astimezone(tz)


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleRig]:
    with console_rig(tmp_path_factory.mktemp("wall")) as made, pytest.MonkeyPatch.context() as patch:
        for place in ("watching", "context"):
            patch.setattr(f"sync.hub.console.{place}.datetime", _Now)
        object.__setattr__(made.console.part, "baseline_lane_s", BASELINE_S)
        _tell(made)
        yield made


@pytest.fixture(scope="module")
def parts(rig: ConsoleRig) -> dict[str, str]:
    html = rig.client().get("/").text
    found = re.findall(r'<section class="part card" id="part-(\w+)">(.*?)</section>', html, re.DOTALL)
    return dict(found)


# --- what is told -----------------------------------------------------------------------------------------


def _utc(minutes_ago: float) -> str:
    return f"{NOW - timedelta(minutes=minutes_ago):%Y-%m-%dT%H:%M:%S.%fZ}"


def _at(day: int, time: str) -> str:
    """By the site's clock."""
    local = datetime.fromisoformat(f"2026-11-{day:02d}T{time}").replace(tzinfo=ZONE)
    return f"{local.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def _vehicle(
    rig: ConsoleRig,
    lane: str,
    number: int,
    at: str,
    verdicts: Sequence[Verdict],
    lane_s: float | None,
    firm: int,
) -> None:
    facts: list[FactData] = [PassageOpened(passage=number)]
    for verdict in verdicts:
        reason = {Verdict.HOLD: Reason.WEIGHT_OVER, Verdict.INSPECT: Reason.SPOT_CHECK}.get(
            verdict, Reason.RELEASED
        )
        ruling = Ruling(verdict, (Because(reason),))
        facts.append(
            RulingMade(
                passage=number, ruling=ruling, direction="I", plate=f"豫A{number:05d}", enterprise=FIRMS[firm]
            )
        )
    if lane_s is not None:
        facts.append(VehicleCrossed(passage=number, order_id=f"{lane}-{number}", use_ids=()))
        facts.append(PassageClosed(passage=number, outcome="crossed", lane_s=lane_s))
    rig.say(lane, *facts, time=at)


def _tell(rig: ConsoleRig) -> None:
    release, inspect, hold = Verdict.RELEASE, Verdict.INSPECT, Verdict.HOLD
    lanes = (
        SiteLane(lane="lane-in", direction=Direction.IN, name_zh="进1道", name_en="In 1"),
        SiteLane(lane="lane-out", direction=Direction.OUT, name_zh="出1道", name_en="Out 1"),
        SiteLane(lane="lane-free", direction=Direction.OUT, name_zh="出2道", name_en="Out 2"),
    )
    site = Site(
        site=SITE, name_zh="示范口岸", name_en="Demo port", lanes=lanes, zone=ZONE.key, max_age_s=3_600
    )
    rig.record("site", SITE, site)
    rig.console._site = None
    for number, code in enumerate(FIRMS):
        firm = Enterprise(
            code=EnterpriseCode(code),
            name=f"企业{number}",
            tier=CreditTier.LOW,
            spot_check_per_mille=7 + number,
        )
        rig.record("enterprises", code, firm)
    rig.record("release_slips", SLIP, replace(slip(SLIP), enterprise=EnterpriseCode(FIRMS[2])))
    rig.say("lane-in", LaneStarted("0.1.0", "", ""), time=_at(1, "00:00:00"))
    # Beyond the 30 days, three weeks ago; yesterday to the second before midnight; today from midnight on.
    _vehicle(rig, "lane-in", 1, "2026-10-20T04:00:00.000000Z", (inspect,), 30.0, 3)
    _vehicle(rig, "lane-in", 2, _at(2, "10:00:00"), (inspect,), 30.0, 0)
    _vehicle(rig, "lane-in", 3, _at(21, "09:30:00"), (hold, release), 90.0, 0)
    _vehicle(rig, "lane-in", 4, _at(21, "23:59:59"), (release,), 25.0, 0)
    _vehicle(rig, "lane-in", 5, _at(22, "00:00:00"), (release,), 40.0, 0)
    _vehicle(rig, "lane-in", 6, _at(22, "09:15:00"), (hold, hold, release), 200.0, 1)
    _vehicle(rig, "lane-in", 7, _at(22, "09:50:00"), (inspect, release), 61.0, 1)
    _vehicle(rig, "lane-in", 8, _at(22, "15:00:00"), (release,), 22.5, 2)
    # In the lane since 15:05, held.
    _vehicle(rig, "lane-in", 9, _utc(15.5), (hold,), None, 2)
    rig.say("lane-out", LaneStarted("0.1.0", "", ""), time=_at(22, "07:00:00"))
    _vehicle(rig, "lane-out", 1, _at(22, "12:00:00"), (release,), 33.0, 2)
    # Released and not gone for longer than the baseline; nobody in the third lane.
    _vehicle(rig, "lane-out", 2, _utc(4.0), (release,), None, 2)
    rig.say("lane-free", LaneStarted("0.1.0", "", ""), time=_at(22, "07:00:00"))
    _vehicle(rig, "lane-free", 1, _at(22, "10:00:00"), (release,), 30.0, 2)
    _vehicle(rig, "lane-free", 2, _at(22, "11:00:00"), (release,), 48.0, 2)
    rig.say("xray-1", StationStarted(version="0", config_digest="", boot_id=""), time=_at(21, "08:00:00"))
    words = ("flagged", "passed", "flagged", "flagged", "passed", "recheck", "passed")
    for number, word in enumerate(words, start=1):
        time = _at(21 if number == 1 else 22, f"{7 + number:02d}:00:00")
        judged = ParcelXRayed(parcel=number, waybill_no="", verdict=word, by="machine")
        rig.say("xray-1", ParcelSeen(parcel=number, leading_mm=1.0), judged, time=time)
        if number != 6:
            way = "pass" if word == "passed" else "flag"
            sent = ParcelSorted(parcel=number, verdict=word, ordered=way, confirmed=True)
            rig.say("xray-1", sent, time=time)
    waiting = (ParcelSeen(parcel=number, leading_mm=1.0) for number in (8, 9, 10))
    rig.say("xray-1", *waiting, time=_utc(1.0))
    rig.say("xray-1", DeskChanged(desk="d1", officer="4604002", came=True), time=_utc(1.0))
    rig.say("hh-1", HandheldStarted("0.1.0", "", ""), OfficerSignedIn(officer="4604001"), time=_utc(60.0))
    compared = SlipParcelsChecked(batch_id="b", slip=SLIP, listed=3, found=3, missing=0, extra=0)
    rig.say("hh-1", compared, time=_at(22, "10:00:00"))
    rig.say("lane-out", DeviceLost("io", "required", "cable"), time=_utc(3.0))
    for number, sha in enumerate("abc"):
        picture = PictureTaken(passage=9, moment="arrival", camera="front", sha256=sha * 64, size_bytes=9)
        rig.say("lane-in", picture, time=_utc(10.0 - number))
    for minutes in (50.0, 40.0, 5.0):
        rig.say("lane-in", Alarm(code=AlarmCode.OVERSTAY, passage=9), stream=Stream.ALARM, time=_utc(minutes))
    with rig.archive.transaction():
        rig.archive.store_blob("c" * 64, _utc(5.0))
        rig.archive.add_alarm(_utc(2.0), "lane-out", "chain_broken", "seq 9")
        number = _scope_number(rig)
        # The last two changes were made 95 and 90 minutes ago.
        for back, minutes in ((1, 95.0), (0, 90.0)):
            rig.archive.engine.execute(
                "UPDATE log SET at_utc = ? WHERE number = ?", (_utc(minutes), number - back)
            )
        for device, kind, records, backlog, minutes, online in (
            ("lane-in", "lane", number, 3, 0.5, True),
            ("lane-out", "lane", number - 2, 40, 0.2, True),
            ("xray-1", "station", number - 1, 0, 0.1, True),
            ("hh-1", "handheld", number, 500, 47.0, False),
        ):
            status = Status(
                device=device, online=online, health={kind: "well"}, records={SCOPE: records}, backlog=backlog
            )
            rig.archive.set_status(device, to_json(status).decode(), _utc(minutes))
    rig.caught_up()
    client = rig.client("4604002")
    client.headers["accept"] = "application/json"
    (oldest,) = rig.archive.engine.execute(
        "SELECT device || '/' || epoch || '/' || stream || '/' || seq FROM facts WHERE kind = 'alarm' "
        "ORDER BY time LIMIT 1"
    ).fetchone()
    assert client.post("/alarms/take", data={"alarm": oldest, "seen_owner": ""}).status_code == 200


def _scope_number(rig: ConsoleRig) -> int:
    (scope,) = rig.archive.scopes()
    return scope.number


# --- worked out anew --------------------------------------------------------------------------------------


def _bodies(rig: ConsoleRig, *kinds: str) -> list[dict[str, Any]]:
    rows = rig.archive.engine.execute("SELECT kind, body FROM facts ORDER BY device, position").fetchall()
    return [json.loads(body) for kind, body in rows if kind in kinds]


def _moment(body: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(body["time"]).astimezone(ZONE)


def _hours(rig: ConsoleRig, what: str, day: str) -> list[int]:
    """Passages ever ruled so, at the hour they were first; parcels by their last word."""
    hours = [0] * 24
    seen: set[tuple[str, int]] = set()
    wanted = VERDICTS.get(what)
    for body in _bodies(rig, "parcel_x_rayed" if wanted is None else "ruling_made"):
        data, at = body["data"], _moment(body)
        if wanted is None:
            hours[at.hour] += data["verdict"] == what and f"{at:%Y-%m-%d}" == day
        elif data["ruling"]["verdict"] == wanted and (body["device"], data["passage"]) not in seen:
            seen.add((body["device"], data["passage"]))
            hours[at.hour] += f"{at:%Y-%m-%d}" == day
    return hours


def _crossed(rig: ConsoleRig, device: str = "") -> list[tuple[int, float]]:
    """Hour and time in the lane of those that crossed today."""
    return [
        (_moment(body).hour, body["data"]["lane_s"])
        for body in _bodies(rig, "passage_closed")
        if f"{_moment(body):%Y-%m-%d}" == "2026-11-22" and device in ("", body["device"])
    ]


def _points(values: Sequence[float], highest: float) -> str:
    return " ".join(f"{10 * at:.1f},{52 - 52 * value / highest:.1f}" for at, value in enumerate(values))


def _key(html: str, name: str) -> str:
    (found,) = re.findall(rf'data-key="{name}"[^>]*>([^<]*)<', html)
    return str(found)


def _figure(html: str, what: str) -> str:
    return html.split(f'data-what="{what}"')[1].split('<div class="figure"')[0]


def _row(html: str, attribute: str, name: str) -> str:
    """The text of an element that is named so, to the next of its kind."""
    one = html.split(f'{attribute}="{name}"')[1].split(f"{attribute}=")[0]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*(?:>|$)", " ", one.partition(">")[2]))


# --- figures ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["released", "inspected", "held", "flagged"])
def test_a_count_its_yesterday_and_both_curves_are_those_of_the_archive(
    rig: ConsoleRig, parts: dict[str, str], what: str
) -> None:
    today, before = _hours(rig, what, "2026-11-22"), _hours(rig, what, "2026-11-21")
    assert sum(today) > 0
    assert sum(today) != sum(before)
    figure = _figure(parts["figures"], what)
    assert _key(figure, what) == str(sum(today))
    assert f">yesterday {sum(before)}<" in figure
    highest = max(*today, *before)
    drawn = dict(re.findall(r'<polyline class="(\w+)" points="([^"]*)"', figure))
    assert drawn == {"now": _points(today[:16], highest), "before": _points(before, highest)}


def test_the_days_before_and_after_midnight_are_not_mixed(rig: ConsoleRig) -> None:
    assert (_hours(rig, "released", "2026-11-21")[23], _hours(rig, "released", "2026-11-22")[0]) == (1, 1)


def test_lane_time_its_hours_and_the_baseline(rig: ConsoleRig, parts: dict[str, str]) -> None:
    crossed = _crossed(rig)
    mean_s = sum(lane_s for _, lane_s in crossed) / len(crossed)
    assert _key(parts["figures"], "lane_time") == f"{mean_s:.0f} s"
    assert _key(parts["figures"], "change") == f"{round(100 * (mean_s - BASELINE_S) / BASELINE_S):+d} %"
    assert f"baseline {BASELINE_S:.0f} s" in parts["figures"]
    by_hour = [[lane_s for at, lane_s in crossed if at == hour] for hour in range(16)]
    means = [round(sum(each) / len(each), 1) if each else 0.0 for each in by_hour]
    drawn = re.findall(r'<svg class="curve text".*?</svg>', parts["figures"], re.DOTALL)[0]
    highest = max(*means, BASELINE_S)
    assert re.findall(r'"now" points="([^"]*)"', drawn) == [_points(means, highest)]
    assert re.findall(r'"before" points="([^"]*)"', drawn) == [_points([BASELINE_S] * 24, highest)]


def test_who_waits_now_and_the_longest(rig: ConsoleRig, parts: dict[str, str]) -> None:
    closed = {(body["device"], body["data"]["passage"]) for body in _bodies(rig, "passage_closed")}
    last = {(body["device"], body["data"]["passage"]): body for body in _bodies(rig, "ruling_made")}
    held = [
        body
        for key, body in last.items()
        if key not in closed and body["data"]["ruling"]["verdict"] == "hold"
    ]
    longest = int(max(NOW - _moment(body) for body in held).total_seconds() // 60)
    assert f'data-key="held_now">{len(held)} waiting now</span> <small>{longest} min<' in parts["figures"]


def test_what_has_not_come_yet(rig: ConsoleRig, parts: dict[str, str]) -> None:
    rows = rig.archive.engine.execute("SELECT body FROM statuses").fetchall()
    statuses = [json.loads(body) for (body,) in rows]
    away = sum(not status["online"] for status in statuses)
    named = {body["data"]["sha256"] for body in _bodies(rig, "picture_taken")}
    here = rig.archive.engine.execute("SELECT sha256 FROM blobs WHERE state = 'stored'").fetchall()
    assert _key(parts["figures"], "backlog") == str(sum(status["backlog"] for status in statuses))
    assert _key(parts["figures"], "pictures_owed") == f"{len(named) - len(here)} pictures to come"
    assert _key(parts["figures"], "away") == f"{away} devices away"


# --- the plan ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lane", ["lane-in", "lane-out", "lane-free"])
def test_a_lane_has_its_passages_and_their_time(rig: ConsoleRig, parts: dict[str, str], lane: str) -> None:
    crossed = _crossed(rig, lane)
    text = _row(parts["plan"], "data-device", lane)
    assert f"mixed · {len(crossed)} passed" in text
    mean_s = sum(lane_s for _, lane_s in crossed) / len(crossed)
    assert (f"avg {round(mean_s)} s" in text) == (lane == "lane-free")
    alarms = [body for body in _bodies(rig, "alarm") if body["device"] == lane]
    of_hub = rig.archive.engine.execute("SELECT id FROM hub_alarms WHERE device = ?", (lane,)).fetchall()
    every = len(alarms) + len(of_hub)
    assert (f"alarms open: {every} {every} " in text) == (every > 0) == ("alarms open" in text)


def test_how_long_each_is_in_its_lane_and_who_is_slow(parts: dict[str, str]) -> None:
    held, released = (_row(parts["plan"], "data-device", lane) for lane in ("lane-in", "lane-out"))
    assert ("held 15 min" in held, "released 4 min" in released) == (True, True)
    assert BASELINE_S < 4 * 60
    slow = re.findall(r'class="plate ([a-z]*)"[^>]*>(豫A\d+)<', parts["plan"])
    assert slow == [("slow", "豫A00009"), ("slow", "豫A00002")]


def test_a_line_has_its_parcels_of_today_and_those_on_the_belt(
    rig: ConsoleRig, parts: dict[str, str]
) -> None:
    words = Counter(
        body["data"]["verdict"]
        for body in _bodies(rig, "parcel_x_rayed")
        if f"{_moment(body):%Y-%m-%d}" == "2026-11-22"
    )
    seen = {body["data"]["parcel"] for body in _bodies(rig, "parcel_seen")}
    gone = {body["data"]["parcel"] for body in _bodies(rig, "parcel_sorted")}
    judged = {body["data"]["parcel"] for body in _bodies(rig, "parcel_x_rayed")}
    text = _row(parts["plan"], "data-device", "xray-1")
    assert f"{words['passed']} passed · {words['flagged']} flagged · {words['recheck']} recheck" in text
    assert f"{len(seen - gone - judged)} to judge" in text
    assert f"{len(seen - gone)} on the belt" in text
    assert len(set(words.values()) | {len(seen - gone), len(seen - gone - judged)}) == 4


# --- devices ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("device", "said"),
    [
        ("lane-in", "online current 3 +2"),
        ("lane-out", "I/O board port lost 2 behind, 1 h 35 min too old 40"),
        ("xray-1", "online 1 behind, 1 h 30 min too old 0"),
        ("hh-1", "away for 47 min 47 min old 500"),
    ],
)
def test_health_records_age_and_backlog_of_a_device(parts: dict[str, str], device: str, said: str) -> None:
    assert _row(parts["devices"], "data-device", device).strip() == f"{device} {said}"


def _passages(rulings: list[dict[str, Any]], firm: str) -> set[tuple[str, int]]:
    return {(b["device"], b["data"]["passage"]) for b in rulings if b["data"]["enterprise"] == firm}


# --- coverage ---------------------------------------------------------------------------------------------


def test_coverage_is_that_of_thirty_days(rig: ConsoleRig, parts: dict[str, str]) -> None:
    since = datetime(2026, 11, 22, tzinfo=ZONE) - timedelta(days=COVERAGE_DAYS - 1)
    rulings = [body for body in _bodies(rig, "ruling_made") if _moment(body) >= since]
    came = {code: _passages(rulings, code) for code in FIRMS}
    checked = [
        b for b in rulings if "spot_check" in [each["code"] for each in b["data"]["ruling"]["reasons"]]
    ]
    drawn = {code: _passages(checked, code) for code in FIRMS}
    slips = Counter(
        json.loads(rig.archive.record("release_slips", body["data"]["slip"], SCOPE) or "")["enterprise"]
        for body in _bodies(rig, "slip_parcels_checked")
    )
    assert (len(came[FIRMS[3]]), slips[FIRMS[2]], len(drawn[FIRMS[2]])) == (0, 1, 0)
    for number, code in enumerate(FIRMS):
        text = _row(parts["coverage"], "data-firm", code).strip()
        wanted = f"Low {7 + number} {len(came[code])} {len(drawn[code])} {slips[code]}"
        assert text.partition(" ")[2].casefold() == wanted.casefold()
    came_firms = [code for code in FIRMS if came[code]]
    covered = [code for code in came_firms if drawn[code] or slips[code]]
    assert _key(parts["figures"], "covered") == str(len(covered))
    assert f"of {len(came_firms)} in {COVERAGE_DAYS} days" in parts["figures"]
    assert f"width: {100 * len(covered) // len(came_firms)}%" in parts["figures"]
    assert f"all {len(FIRMS)}<" in parts["coverage"]


# --- alarms -----------------------------------------------------------------------------------------------


def test_open_alarms_their_owners_and_their_clocks(rig: ConsoleRig, parts: dict[str, str]) -> None:
    told = [(body["time"], body["data"]["passage"]) for body in _bodies(rig, "alarm")]
    of_hub = rig.archive.engine.execute("SELECT at_utc FROM hub_alarms").fetchall()
    taken = rig.archive.engine.execute("SELECT owner, taken_utc FROM console_alarms").fetchall()
    every = len(told) + len(of_hub)
    assert _key(parts["alarms"], "alarms") == str(every)
    assert f"{every} open, {every - len(taken)} without an owner" in parts["alarms"]
    # One line for those of one kind from one device in the same hands; its clock is that of the oldest.
    free = sorted(body["time"] for body in _bodies(rig, "alarm"))[len(taken) :]
    wanted = Counter({(utc, 1, ""): 1 for (utc,) in of_hub})
    wanted[free[0], len(free), ""] = 1
    for owner, _ in taken:
        wanted[told[0][0], 1, owner] += 1
    lines = re.findall(r'<li class="alarm"[^>]* data-count="(\d+)">(.*?)</li>', parts["alarms"], re.DOTALL)
    shown = Counter(
        (
            re.findall(r'class="clock" data-since="([^"]*)"', line)[0],
            int(n),
            "".join(re.findall(r"owner (\d+) <", line)),
        )
        for n, line in lines
    )
    assert shown == wanted
    assert re.findall(r"×(\d+)</b>", parts["alarms"]) == [str(len(free))]
    clocks = re.findall(r'owner (\d+) <span class="clock quiet" data-since="([^"]*)"', parts["alarms"])
    assert clocks == [tuple(row) for row in taken]


def test_earlier_ones_that_are_not_listed_are_counted(tmp_path: Path) -> None:
    with console_rig(tmp_path) as rig:
        with rig.archive.transaction():
            for number in range(67):
                rig.archive.add_alarm(_utc(number), f"lane-{number}", "chain_broken", "seq 9")
        html = rig.client().get("/").text
        assert html.count('class="alarm"') == 60
        assert WORDS["wall.alarms.more"][1].format(7) in html
