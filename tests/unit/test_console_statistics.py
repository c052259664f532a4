"""What the console counts, against the archive: every number is counted here anew, out of fact bodies."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sync.hub.console.shown import Shown
from sync.hub.console.statistics import VIEWS, safe_cell
from sync.hub.console.words import WORDS
from sync.link.messages import Status
from sync.vocabulary.codec import to_json
from sync.vocabulary.facts import (
    Alarm,
    AlarmCode,
    FindingMade,
    InspectionMade,
    PassageClosed,
    PassageOpened,
    RulingMade,
    Stream,
    VehicleCrossed,
)
from sync.vocabulary.handheld_facts import OfficerSignedIn, OfficerSignedOut, ParcelJudged, SlipParcelsChecked
from sync.vocabulary.numbers import EnterpriseCode, WaybillNo
from sync.vocabulary.records import CreditTier, Enterprise, Waybill
from sync.vocabulary.rulings import Because, Reason, Ruling, Verdict
from sync.vocabulary.xray_facts import DeskChanged, JudgementUndone, ParcelSeen, ParcelSorted, ParcelXRayed
from tests.console_rig import ConsoleRig, console_rig

DAY = "2026-01-31"
DAYS = f"from={DAY}&to={DAY}"
FIRM = "4601910001"
WAYBILL = "YT5126637740649"


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleRig]:
    with console_rig(tmp_path_factory.mktemp("statistics")) as made:
        tell(made)
        made.caught_up()
        yield made


def tell(rig: ConsoleRig) -> None:
    firm = Enterprise(
        code=EnterpriseCode(FIRM), name="=海南跨境", tier=CreditTier.MEDIUM, spot_check_per_mille=50
    )
    rig.record("enterprises", FIRM, firm)
    rig.record("waybills", WAYBILL, Waybill(waybill_no=WaybillNo(WAYBILL), enterprise=EnterpriseCode(FIRM)))
    for lane, passages in (("lane-in", 5), ("lane-out", 3)):
        for number in range(1, passages + 1):
            rig.say(lane, PassageOpened(passage=number))
            if number % 2 == 0:
                rig.say(lane, _ruling(number, Verdict.HOLD, Reason.WEIGHT_OVER))
                rig.say(lane, _ruling(number, Verdict.HOLD, Reason.WEIGHT_OVER))
            if number == 3:
                rig.say(lane, _ruling(number, Verdict.INSPECT, Reason.SPOT_CHECK))
                continue
            rig.say(lane, _ruling(number, Verdict.RELEASE, Reason.RELEASED, "4604002" if number == 2 else ""))
            rig.say(
                lane,
                VehicleCrossed(passage=number, order_id=f"o{number}", use_ids=()),
                PassageClosed(passage=number, outcome="crossed", lane_s=18.0 + number),
            )
    rig.say("lane-in", Alarm(code=AlarmCode.TAILGATER, passage=2), stream=Stream.ALARM)
    rig.say("xray-1", DeskChanged(desk="d1", officer="4604003", came=True))
    for parcel, verdict in enumerate(
        ("passed", "passed", "flagged", "recheck", "passed", "flagged"), start=1
    ):
        rig.say(
            "xray-1", ParcelSeen(parcel=parcel, leading_mm=0.0, waybill_no=WAYBILL if parcel == 1 else "")
        )
        stream = Stream.ALARM if verdict == "flagged" else Stream.ROUTINE
        rig.say("xray-1", _x_rayed(parcel, verdict), stream=stream)
    rig.say("xray-1", JudgementUndone(parcel=6, officer="4604003"), _x_rayed(6, "passed"))
    rig.say("xray-1", _sorted(1, "passed", "pass"), _sorted(2, "passed", "recheck"))
    rig.say("xray-1", DeskChanged(desk="d1", officer="4604003", came=False))
    rig.say("hh-1", OfficerSignedIn(officer="4604002"))
    rig.say("hh-1", ParcelJudged(waybill_no=WAYBILL, text=WAYBILL, verdict="inspect", officer="4604002"))
    rig.say("hh-1", SlipParcelsChecked(batch_id="b", slip="", listed=3, found=2, missing=1, extra=0))
    rig.say("hh-1", InspectionMade(order_no="o-1", officers=("4604002",), waybill_nos=(WAYBILL,)))
    rig.say("hh-1", FindingMade(order_no="o-1", officers=("4604002",), finding="other_goods"))
    rig.say("hh-1", OfficerSignedOut(officer="4604002"))


def _ruling(passage: int, verdict: Verdict, reason: Reason, officer: str = "") -> RulingMade:
    ruling = Ruling(verdict, (Because(reason),))
    return RulingMade(passage=passage, ruling=ruling, direction="I", enterprise=FIRM, officer=officer)


def _x_rayed(parcel: int, verdict: str) -> ParcelXRayed:
    return ParcelXRayed(
        parcel=parcel,
        waybill_no=WAYBILL if parcel == 1 else "",
        verdict=verdict,
        by="officer",
        reasons=("judged",),
        officer="4604003",
        took_s=2.5,
    )


def _sorted(parcel: int, verdict: str, ordered: str) -> ParcelSorted:
    return ParcelSorted(parcel=parcel, verdict=verdict, ordered=ordered, seen=ordered, confirmed=True)


def _bodies(rig: ConsoleRig) -> list[dict[str, Any]]:
    """In the order the devices said it."""
    rows = rig.archive.engine.execute("SELECT device, position, body FROM facts ORDER BY device, position")
    return [json.loads(body) for _, _, body in rows.fetchall()]


def _cells(page: str, table: str) -> dict[str, dict[str, str]]:
    """name -> column -> what stands there."""
    (found,) = re.findall(rf'<table data-table="{table}">(.*?)</table>', page, re.DOTALL)
    rows = re.findall(r'<tr data-name="(.*?)">(.*?)</tr>', found, re.DOTALL)
    return {name: dict(re.findall(r'data-column="(\w+)">(.*?)</td>', row)) for name, row in rows}


def _page(rig: ConsoleRig, view: str, officer: str = "4604001", language: str = "en") -> str:
    answer = rig.client(officer, language=language).get(f"/statistics?view={view}&{DAYS}")
    assert answer.status_code == 200, answer.text
    return answer.text


def _passages_with(rig: ConsoleRig, verdict: str) -> Counter[str]:
    """Passages ever ruled so, a lane."""
    found = {
        (body["device"], body["data"]["passage"])
        for body in _bodies(rig)
        if body["data"]["type"] == "ruling_made" and body["data"]["ruling"]["verdict"] == verdict
    }
    return Counter(device for device, _ in found)


def test_lanes_are_counted_as_the_archive_has_them(rig: ConsoleRig) -> None:
    told = _bodies(rig)
    cells = _cells(_page(rig, "lane"), "lane")
    assert set(cells) == {"lane-in", "lane-out"}
    for lane, row in cells.items():
        kinds = Counter(body["data"]["type"] for body in told if body["device"] == lane)
        times = [
            body["data"]["lane_s"]
            for body in told
            if body["device"] == lane and body["data"]["type"] == "passage_closed"
        ]
        assert row["opened"] == str(kinds["passage_opened"])
        assert row["crossed"] == str(kinds["vehicle_crossed"])
        assert row["alarms"] == str(kinds["alarm"])
        assert row["released"] == str(_passages_with(rig, "release")[lane])
        assert row["held"] == str(_passages_with(rig, "hold")[lane])
        assert row["inspected"] == str(_passages_with(rig, "inspect")[lane])
        assert row["lane_mean"] == f"{sum(times) / len(times):.1f}"


def test_half_of_all_lane_times_lie_in_the_band_that_is_told(rig: ConsoleRig) -> None:
    assert _cells(_page(rig, "lane"), "lane")["lane-in"]["lane_half"] == "≤ 20"


def test_a_parcel_stands_under_its_last_word_alone(rig: ConsoleRig) -> None:
    last: dict[int, str] = {}
    for body in _bodies(rig):
        match body["data"]:
            case {"type": "parcel_x_rayed", "parcel": parcel, "verdict": verdict}:
                last[parcel] = verdict
            case {"type": "judgement_undone", "parcel": parcel}:
                last.pop(parcel)
            case {"type": "parcel_sorted", "parcel": parcel, "ordered": "recheck"}:
                last[parcel] = "recheck"
            case _:
                pass
    stands = Counter(last.values())
    row = _cells(_page(rig, "station"), "station")["xray-1"]
    assert {verdict: row[verdict] for verdict in stands} == {v: str(n) for v, n in stands.items()}
    assert row["undone"] == "1"
    assert row["pace"] == row["seen"] == "6"


def test_an_enterprise_has_its_passages_drawn_ones_and_parcels(rig: ConsoleRig) -> None:
    page = _page(rig, "enterprise")
    row = _cells(page, "enterprise")[FIRM]
    ruled = {(b["device"], b["data"]["passage"]) for b in _bodies(rig) if b["data"]["type"] == "ruling_made"}
    assert row["ruled"] == str(len(ruled))
    assert row["spot_checked"] == str(sum(_passages_with(rig, "inspect").values()))
    assert (row["passed"], row["inspections"], row["found"]) == ("1", "1", "0")
    assert "海南跨境" in page


def test_officers_work_is_told_to_leaders_and_of_oneself(rig: ConsoleRig) -> None:
    judged = [body["data"] for body in _bodies(rig) if body["data"]["type"] == "parcel_x_rayed"]
    every = _cells(_page(rig, "officer"), "officer")
    assert every["4604003"]["judged"] == str(len(judged))
    assert every["4604003"]["judged_mean"] == f"{sum(each['took_s'] for each in judged) / len(judged):.1f}"
    assert every["4604002"]["inspections"] == "1"
    assert set(_cells(_page(rig, "officer", "4604003"), "officer")) == {"4604003"}


def test_a_turn_that_goes_on_counts_as_far_as_its_device_was_heard(tmp_path: Path) -> None:
    began, ended, heard = (f"2026-01-31T0{time}:00.000000Z" for time in ("8:00", "8:20", "8:50"))
    with console_rig(tmp_path) as rig:
        rig.say("xray-1", DeskChanged(desk="d1", officer="4604003", came=True), time=began)
        rig.say("xray-1", DeskChanged(desk="d1", officer="4604003", came=False), time=ended)
        rig.say("xray-1", DeskChanged(desk="d1", officer="4604003", came=True), time=ended)
        rig.say("xray-1", *(_x_rayed(parcel, "passed") for parcel in range(1, 26)))
        rig.say("hh-1", OfficerSignedIn(officer="4604002"), time=began)
        rig.caught_up()
        status = to_json(Status(device="xray-1", online=True, health={"station": "ok"})).decode()
        with rig.archive.transaction():
            rig.archive.set_status("xray-1", status, heard)
        asked = {"view": "officer", "from": DAY}
        page = rig.client().get("/statistics", params=asked).text
        cells = _cells(page, "officer")
        assert (cells["4604003"]["desk_hours"], cells["4604003"]["desk_pace"]) == ("0.83", "30")
        # A handheld that was never heard: nobody knows whether anybody is at it.
        assert "4604002" not in cells
        over = rig.client().get("/statistics", params={**asked, "to": DAY}).text
        assert _cells(over, "officer")["4604003"]["desk_hours"] == "0.33"
        (told,) = rig.client().get("/api/v1/statistics", params=asked).json()
        row = dict(zip(told["columns"], told["rows"]["4604003"], strict=True))
        assert row["desk_hours"] == pytest.approx(50 / 60)
        own = rig.client("4604002").get("/statistics", params=asked).text
        assert "4604003" not in own


def test_reasons_count_passages_not_rulings(rig: ConsoleRig) -> None:
    page = _page(rig, "reason", language="zh")
    row = _cells(page, "reason")["weight_over"]
    assert row["held"] == str(sum(_passages_with(rig, "hold").values()))
    assert "重量超差" in page
    assert _cells(page, "alarm")["tailgater"]["alarms"] == "1"


def test_the_day_has_the_sum_of_all_devices(rig: ConsoleRig) -> None:
    row = _cells(_page(rig, "day"), "day")[DAY]
    assert row["opened"] == str(sum(b["data"]["type"] == "passage_opened" for b in _bodies(rig)))
    assert row["released"] == str(sum(_passages_with(rig, "release").values()))


def test_curves_have_the_numbers_of_the_table(rig: ConsoleRig) -> None:
    page = _page(rig, "lane")
    (data,) = re.findall(r'data-curves="(.*?)"', page)
    drawn = json.loads(data.replace("&#34;", '"').replace("&quot;", '"'))
    sums = {name: str(sum(values)) for name, values in zip(drawn["names"], drawn["values"], strict=True)}
    assert sums == {name: row["opened"] for name, row in _cells(page, "lane").items()}
    assert len(drawn["x"]) == 24


def test_the_file_has_the_numbers_of_the_page_and_no_formula(rig: ConsoleRig) -> None:
    answer = rig.client().get(f"/statistics.csv?view=enterprise&{DAYS}")
    rows = list(csv.reader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    name, label, *values = rows[2]
    assert (name, label) == (FIRM, "'=海南跨境")
    assert values[0] == _cells(_page(rig, "enterprise"), "enterprise")[FIRM]["ruled"]


@pytest.mark.parametrize("language", ["zh", "en"])
def test_no_key_is_left_on_the_pages(rig: ConsoleRig, language: str) -> None:
    client = rig.client(language=language)
    for view in VIEWS:
        page = re.sub(r"<[^>]*>", " ", client.get(f"/statistics?view={view}&{DAYS}").text)
        assert not re.findall(r"\b(?:statistics|nav|finding|stage|alarm)\.[a-z_]+", page), view


def test_who_reads_of_persons_and_firms_is_kept(rig: ConsoleRig) -> None:
    _page(rig, "officer")
    rows = rig.archive.engine.execute("SELECT officer, what, subject FROM console_reads").fetchall()
    assert ("4604001", "statistics", f"officer {DAY} – {DAY}") in [tuple(row) for row in rows]


@pytest.mark.parametrize(
    "asked", ["from=2026-02-30", "from=x", "from=2026-02-02&to=2026-02-01", "from=2020-01-01", "view=x"]
)
def test_days_that_are_none_are_told(rig: ConsoleRig, asked: str) -> None:
    assert rig.client().get(f"/statistics?{asked}").status_code == 422


def test_what_is_said_again_in_a_later_epoch_counts_once(tmp_path: Path) -> None:
    with console_rig(tmp_path) as rig:
        rig.say("lane-in", PassageOpened(passage=1), PassageOpened(passage=2))
        rig.caught_up()
        device = rig.device("lane-in")
        device.begin("f" * 32)
        rig.send(device, device.facts[Stream.ALARM])
        device.ids = itertools.count(2)
        rig.say("lane-in", PassageOpened(passage=1), PassageOpened(passage=2))
        device.ids = itertools.count(100)
        rig.say("lane-in", PassageOpened(passage=3))
        rig.caught_up()
        with rig.console.shown() as shown:
            assert shown.totals(DAY, DAY, "device")["lane-in"]["opened"].n == 3
        rig.console.part.shown_file.unlink()
        rig.caught_up()
        anew = Shown.open(rig.console.part.shown_file)
        opened = anew.totals(DAY, DAY, "device")["lane-in"]["opened"].n
        anew.close()
        assert opened == 3


def test_every_alarm_has_a_name_in_both_languages() -> None:
    assert {f"alarm.{code.value}" for code in AlarmCode} <= set(WORDS)


def test_a_clock_that_tells_no_time_stops_nothing(tmp_path: Path) -> None:
    with console_rig(tmp_path) as rig:
        device = rig.device("lane-in")
        rig.send(device, [device.say(PassageOpened(passage=1), time="99:99 maybe")])
        rig.caught_up()
        with rig.console.shown() as shown:
            row = shown.passage("lane-in", 1)
        assert row is not None
        assert (row.opened_utc, row.day) == ("", "")


def test_a_file_and_a_program_get_every_row_and_the_page_says_how_many_it_leaves_out(
    rig: ConsoleRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sync.hub.console.statistics.MOST_ROWS", 1)
    client = rig.client()
    assert len(_cells(_page(rig, "lane"), "lane")) == 1
    assert WORDS["statistics.left_out"][1].format(1) in _page(rig, "lane")
    file = client.get(f"/statistics.csv?view=lane&{DAYS}").text
    assert [lane in file for lane in ("lane-in", "lane-out")] == [True, True]
    told = client.get(f"/api/v1/statistics?view=lane&{DAYS}").json()
    assert set(told[0]["rows"]) == {"lane-in", "lane-out"}


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", "＝1+1", "＋1", "－1", "＠x"]
)
def test_no_cell_is_a_formula_in_any_width(text: str) -> None:
    assert (safe_cell(text), safe_cell(f"a{text}")) == (f"'{text}", f"a{text}")
