"""Every cell of every statistics table, on the page, in the file and in the API, against one counted here out
of the fact bodies in the archive: three days of two lanes, two X-ray lines, two handhelds, by a seed."""

from __future__ import annotations

import csv
import io
import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from sync.hub.console.statistics import VIEWS
from sync.vocabulary.facts import (
    Alarm,
    AlarmCode,
    CommandTaken,
    FactData,
    FindingMade,
    InspectionMade,
    OrderTaken,
    ParcelChecked,
    PassageClosed,
    PassageOpened,
    RulingMade,
    Stream,
    SupplementEntered,
    VehicleCrossed,
)
from sync.vocabulary.handheld_facts import (
    OfficerSignedIn,
    OfficerSignedOut,
    ParcelJudged,
    SlipParcelsChecked,
    UnknownScanned,
)
from sync.vocabulary.numbers import EnterpriseCode, WaybillNo
from sync.vocabulary.records import CreditTier, Enterprise, Waybill
from sync.vocabulary.rulings import Because, Reason, Ruling, Verdict
from sync.vocabulary.xray_facts import (
    DeskChanged,
    JudgementUndone,
    ParcelGone,
    ParcelSeen,
    ParcelSorted,
    ParcelXRayed,
    RestDue,
)
from tests.console_rig import ConsoleRig, console_rig
from tests.unit.test_hub_claims import slip

ZONE: Final = ZoneInfo("Asia/Shanghai")
BEGAN: Final = datetime(2026, 1, 29, 1, 0, tzinfo=UTC)
DAYS: Final = ("2026-01-29", "2026-01-30", "2026-01-31")
SPANS: Final = ((DAYS[0], DAYS[2]), (DAYS[1], DAYS[1]))
FIRMS: Final = ("4601910001", "4601910002", "4601910003")
OFFICERS: Final = ("4604001", "4604002", "4604003")
SLIPS: Final = tuple(f"Z4604I26112200000000000{number}" for number in range(1, 4))
BANDS_S: Final = (10, 15, 20, 25, 30, 40, 50, 60, 90, 120, 180, 300, 600)
WHATS: Final = {"release": "released", "inspect": "inspected", "hold": "held"}

Raw = Counter[str]
"""What was counted under a name; seconds under `s:WHAT`."""
Tables = dict[str, dict[str, Raw]]


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleRig]:
    with console_rig(tmp_path_factory.mktemp("statistics")) as made:
        _tell(made, random.Random(7))
        made.caught_up()
        yield made


# --- what is told -----------------------------------------------------------------------------------------


class _Teller:
    def __init__(self, rig: ConsoleRig, draw: random.Random, device: str) -> None:
        self.rig, self.draw, self.device = rig, draw, device
        self.at = BEGAN + timedelta(seconds=draw.randrange(600))

    def say(self, data: FactData, stream: Stream = Stream.ROUTINE) -> None:
        self.at += timedelta(seconds=self.draw.choice((3, 11, 47, 300, 4000)))
        self.rig.say(self.device, data, stream=stream, time=f"{self.at:%Y-%m-%dT%H:%M:%S.%fZ}")


def _waybill(number: int) -> str:
    return f"YT{number:013d}"


def _tell(rig: ConsoleRig, draw: random.Random) -> None:
    for code in FIRMS:
        firm = Enterprise(
            code=EnterpriseCode(code), name=f"企业{code}", tier=CreditTier.LOW, spot_check_per_mille=5
        )
        rig.record("enterprises", code, firm)
    for number in range(40):
        waybill = Waybill(
            waybill_no=WaybillNo(_waybill(number)), enterprise=EnterpriseCode(FIRMS[number % 3])
        )
        rig.record("waybills", _waybill(number), waybill)
    for number, each in enumerate(SLIPS):
        rig.record("release_slips", each, replace(slip(each), enterprise=EnterpriseCode(FIRMS[number % 3])))
    for lane in ("lane-1", "lane-2"):
        _tell_lane(_Teller(rig, draw, lane))
    for station in ("xray-1", "xray-2"):
        _tell_station(_Teller(rig, draw, station))
    for handheld in ("hh-1", "hh-2"):
        _tell_handheld(_Teller(rig, draw, handheld))


def _tell_lane(lane: _Teller) -> None:
    draw = lane.draw
    reasons = {
        Verdict.HOLD: (Reason.WEIGHT_OVER, Reason.SPOT_CHECK),
        Verdict.INSPECT: (Reason.SPOT_CHECK, Reason.CONTROL_INSPECT),
        Verdict.RELEASE: (Reason.RELEASED,),
    }
    for number in range(1, 26):
        lane.say(PassageOpened(passage=number))
        for verdict in draw.choices(list(Verdict), k=draw.randrange(1, 4)):
            because = draw.sample(reasons[verdict], draw.randint(1, len(reasons[verdict])))
            firm = draw.choice((None, *FIRMS))
            lane.say(
                RulingMade(
                    passage=number,
                    ruling=Ruling(verdict, tuple(map(Because, because))),
                    direction="I",
                    enterprise=firm,
                    officer=draw.choice(("", *OFFICERS)),
                )
            )
        if draw.random() < 0.3:
            lane.say(
                SupplementEntered(
                    passage=number,
                    officer=draw.choice(OFFICERS),
                    field="weight",
                    value="17000",
                    reason="scale",
                )
            )
        if draw.random() < 0.4:
            lane.say(ParcelChecked(passage=number, waybill_no="x", result="on_slip"))
        if draw.random() < 0.3:
            code = draw.choice((AlarmCode.TAILGATER, AlarmCode.OVERSTAY))
            lane.say(Alarm(code=code, passage=number), Stream.ALARM)
        if draw.random() < 0.3:
            outcome = draw.choice(("done", "refused"))
            lane.say(
                CommandTaken(
                    command_id=f"c{number}",
                    kind="board_text",
                    officers=tuple(draw.sample(OFFICERS, 2)),
                    outcome=outcome,
                )
            )
        outcome = draw.choice(("crossed", "crossed", "crossed", "backed_out", "ungated"))
        if outcome == "crossed":
            lane.say(VehicleCrossed(passage=number, order_id=f"o{number}", use_ids=()))
        stages = {"weigh": float(draw.randrange(1, 9)), "raise": float(draw.randrange(1, 9))}
        lane_s = float(draw.choice((8, 10, 14, 26, 61, 299, 600, 601, 1000)))
        lane.say(PassageClosed(passage=number, outcome=outcome, lane_s=lane_s, stage_s=stages))


def _tell_station(station: _Teller) -> None:
    draw = station.draw
    at_desk = ""
    for parcel in range(1, 41):
        if draw.random() < 0.2:
            # Somebody comes, goes, or takes another's place.
            officer = draw.choice(OFFICERS)
            came = not at_desk or officer != at_desk
            station.say(DeskChanged(desk="d1", officer=officer, came=came))
            at_desk = officer if came else ""
        number = _waybill(parcel - 1) if draw.random() < 0.8 else ""
        station.say(ParcelSeen(parcel=parcel, leading_mm=1.0, waybill_no=number))
        verdict = ""
        for turn in range(draw.randrange(0, 3)):
            verdict, judge = draw.choice(("passed", "flagged", "recheck")), draw.choice(("", *OFFICERS))
            station.say(
                ParcelXRayed(
                    parcel=parcel,
                    waybill_no=number,
                    verdict=verdict,
                    by="officer" if judge else "machine",
                    reasons=tuple(draw.sample(("judged", "no_waybill", "score: 0.7"), 2)),
                    officer=judge,
                    second_of=OFFICERS[0] if turn and judge else "",
                    category=draw.choice(("", "liquid", "blade")) if verdict == "flagged" else "",
                    took_s=draw.choice((1.5, 4.0)) if judge else None,
                ),
                Stream.ALARM if verdict == "flagged" else Stream.ROUTINE,
            )
        if draw.random() < 0.15:
            station.say(JudgementUndone(parcel=parcel, officer=draw.choice(OFFICERS)))
        match draw.randrange(4):
            case 0:
                station.say(ParcelGone(parcel=parcel, after="portal"))
            case 1 | 2:
                way = draw.choice(("pass", "flag", "recheck"))
                station.say(ParcelSorted(parcel=parcel, verdict=verdict, ordered=way, confirmed=True))
            case _:
                pass
        if draw.random() < 0.1:
            station.say(
                RestDue(desk="d1", officer=draw.choice(OFFICERS), why="long", at_desk_s=3600.0, median_s=2.0)
            )


def _tell_handheld(handheld: _Teller) -> None:
    draw = handheld.draw
    signed_in = ""
    for number in range(60):
        match draw.randrange(8):
            case 0 if signed_in:
                handheld.say(OfficerSignedOut(officer=signed_in))
                signed_in = ""
            case 0:
                signed_in = draw.choice(OFFICERS)
                handheld.say(OfficerSignedIn(officer=signed_in))
            case 1 | 2:
                verdict = draw.choice(("release", "inspect", "hold"))
                reasons = draw.sample(("spot_check", "control: BK1", "released"), 2)
                handheld.say(
                    ParcelJudged(
                        waybill_no=_waybill(number % 40),
                        text="x",
                        verdict=verdict,
                        reasons=tuple(reasons),
                        officer=draw.choice(OFFICERS),
                    )
                )
            case 3:
                handheld.say(UnknownScanned(text="?", officer=draw.choice(OFFICERS)))
            case 4:
                handheld.say(OrderTaken(order_no=f"o{number}", officers=tuple(draw.sample(OFFICERS, 2))))
            case 5:
                first, second = draw.sample(OFFICERS, 2)
                waybills = (_waybill(number % 40), _waybill((number + 1) % 40))
                for part in range(1, draw.randrange(2, 4)):
                    handheld.say(
                        InspectionMade(
                            order_no=f"o{number}",
                            officers=(first,),
                            waybill_nos=waybills,
                            second_officer=second,
                            part=part,
                            parts=2,
                        )
                    )
            case 6:
                finding = draw.choice(("nothing", "other_goods", "prohibited"))
                handheld.say(
                    FindingMade(
                        order_no=f"o{number}",
                        officers=(draw.choice(OFFICERS),),
                        finding=finding,
                        waybill_nos=(_waybill(number % 40),),
                    )
                )
            case _:
                handheld.say(
                    SlipParcelsChecked(
                        batch_id=f"b{number}",
                        slip=draw.choice((*SLIPS, "")),
                        officer=draw.choice(OFFICERS),
                        listed=3,
                        found=2,
                        missing=draw.randrange(2),
                        extra=draw.randrange(2),
                        complete=draw.random() < 0.5,
                    )
                )


# --- counted anew -----------------------------------------------------------------------------------------


def _bodies(rig: ConsoleRig) -> list[dict[str, Any]]:
    rows = rig.archive.engine.execute("SELECT body FROM facts ORDER BY device, position").fetchall()
    return [json.loads(body) for (body,) in rows]


def _local(body: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(body["time"]).astimezone(ZONE)


class _Count:
    """Of some days. `add` takes the fact a count stands at."""

    def __init__(self, first: str, last: str) -> None:
        self.first, self.last = first, last
        self.tables: dict[str, dict[str, Raw]] = defaultdict(lambda: defaultdict(Counter))
        self.hours: dict[str, set[tuple[str, int]]] = defaultdict(set)

    def add(self, body: dict[str, Any], by: str, name: str, what: str, seconds: float = 0.0) -> None:
        day = f"{_local(body):%Y-%m-%d}"
        if self.first <= day <= self.last and name:
            names = [(by, name), *([("day", day)] if by == "device" else [])]
            for of, each in names:
                self.tables[of][each][what] += 1
                self.tables[of][each][f"s:{what}"] += round(seconds * 1000)


def _counted(rig: ConsoleRig, first: str, last: str) -> Tables:
    count = _Count(first, last)
    bodies = _bodies(rig)
    for device in sorted({body["device"] for body in bodies}):
        mine = [body for body in bodies if body["device"] == device]
        {"l": _count_lane, "x": _count_station, "h": _count_handheld}[device[0]](count, device, mine)
    for name, hours in count.hours.items():
        count.tables["device"][name]["hours_seen"] = len(hours)
    return count.tables


def _count_lane(count: _Count, device: str, bodies: list[dict[str, Any]]) -> None:
    row: dict[str, Any] = {}
    for body in bodies:
        data = body["data"]
        match data["type"]:
            case "passage_opened":
                count.add(body, "device", device, "opened")
                row = {"ever": set(), "firm": "", "drawn": False, "held": None}
            case "ruling_made":
                _count_ruling(count, device, body, row)
            case "vehicle_crossed":
                count.add(body, "device", device, "crossed")
            case "passage_closed":
                outcome, lane_s = data["outcome"], data["lane_s"]
                count.add(body, "device", device, f"closed_{outcome}", lane_s)
                if row["held"] is not None:
                    count.add(body, "device", device, "hold", (_local(body) - row["held"]).total_seconds())
                if outcome == "crossed":
                    band = next((each for each in BANDS_S if lane_s <= each), 0)
                    count.add(body, "device", device, f"band_{band}")
                    count.add(body, "enterprise", row["firm"], "crossed", lane_s)
                    for stage, stage_s in data["stage_s"].items():
                        count.add(body, "stage", stage, "stage", stage_s)
            case "supplement_entered":
                count.add(body, "device", device, "supplemented")
                count.add(body, "officer", data["officer"], "supplemented")
            case "parcel_checked":
                count.add(body, "device", device, "lane_checked")
            case "alarm":
                count.add(body, "device", device, "alarm")
                count.add(body, "alarm", data["code"], "alarm")
            case "command_taken" if data["outcome"] == "done":
                for officer in data["officers"]:
                    count.add(body, "officer", officer, "commands")
            case _:
                pass


def _count_ruling(count: _Count, device: str, body: dict[str, Any], row: dict[str, Any]) -> None:
    data = body["data"]
    verdict = data["ruling"]["verdict"]
    codes = [each["code"] for each in data["ruling"]["reasons"]]
    if verdict != "release":
        row["held"] = row["held"] or _local(body)
    elif row["held"] is not None:
        count.add(body, "device", device, "hold", (_local(body) - row["held"]).total_seconds())
        row["held"] = None
    new: list[str] = []
    drawn_now = "spot_check" in codes and not row["drawn"]
    row["drawn"] = row["drawn"] or drawn_now
    if verdict not in row["ever"]:
        row["ever"].add(verdict)
        new.append(WHATS[verdict])
        count.add(body, "device", device, WHATS[verdict])
        count.add(body, "officer", data.get("officer", ""), WHATS[verdict])
        for code in codes:
            count.add(body, "reason", code, WHATS[verdict])
    if data.get("enterprise") and not row["firm"]:
        row["firm"] = data["enterprise"]
        # What was ruled before its firm was known stands at the fact that told the firm.
        new = [WHATS[each] for each in row["ever"]]
        drawn_now = row["drawn"]
        count.add(body, "enterprise", row["firm"], "ruled")
    for what in [*new, *(["drawn"] if drawn_now else [])]:
        count.add(body, "enterprise", row["firm"], what)


def _count_station(count: _Count, device: str, bodies: list[dict[str, Any]]) -> None:
    parcels: dict[int, dict[str, Any]] = {}
    desk: tuple[str, datetime] | None = None
    for body in bodies:
        data = body["data"]
        parcel = parcels.get(data.get("parcel", 0), {})
        match data["type"]:
            case "desk_changed":
                if desk is not None and desk[0] != (data["officer"] if data["came"] else ""):
                    count.add(body, "officer", desk[0], "at_desk", (_local(body) - desk[1]).total_seconds())
                desk = (data["officer"], _local(body)) if data["came"] else None
            case "parcel_seen":
                count.add(body, "device", device, "seen")
                if count.first <= f"{_local(body):%Y-%m-%d}" <= count.last:
                    count.hours[device].add((f"{_local(body):%Y-%m-%d}", _local(body).hour))
                if not data.get("waybill_no"):
                    count.add(body, "device", device, "no_waybill")
                parcels[data["parcel"]] = {
                    "verdict": "",
                    "ordered": "",
                    "waybill": data.get("waybill_no", ""),
                }
            case "parcel_x_rayed":
                parcel.update(verdict=data["verdict"], at=body)
                judge, took_s = data.get("officer", ""), data.get("took_s") or 0.0
                count.add(body, "officer", judge, "judged", took_s)
                if data["verdict"] == "flagged":
                    count.add(body, "officer", judge, "judged_flagged")
                if data.get("second_of"):
                    count.add(body, "officer", judge, "judged_second")
                for code in {each.partition(":")[0] for each in data["reasons"]}:
                    count.add(body, "x_ray_reason", code, data["verdict"])
                if data.get("category"):
                    count.add(body, "category", data["category"], data["verdict"])
            case "judgement_undone":
                parcel.update(verdict="")
                count.add(body, "device", device, "undone")
                count.add(body, "officer", data["officer"], "undone")
            case "parcel_sorted":
                parcel["ordered"] = data["ordered"]
            case "parcel_gone":
                count.add(body, "device", device, "gone")
            case "rest_due":
                count.add(body, "officer", data["officer"], "rest_due")
            case _:
                pass
    for parcel in parcels.values():
        word = parcel["verdict"]
        if word == "passed" and parcel["ordered"] not in ("", "pass"):
            word = "recheck"
        if word:
            count.add(parcel["at"], "device", device, word)
            if parcel["waybill"]:
                count.add(
                    parcel["at"], "enterprise", FIRMS[int(parcel["waybill"][2:]) % 3], f"parcels_{word}"
                )


def _count_handheld(count: _Count, device: str, bodies: list[dict[str, Any]]) -> None:
    signed_in: tuple[str, datetime] | None = None
    for body in bodies:
        data = body["data"]
        firms = {FIRMS[int(each[2:]) % 3] for each in data.get("waybill_nos", ())}
        match data["type"]:
            case "officer_signed_in":
                signed_in = data["officer"], _local(body)
            case "officer_signed_out":
                assert signed_in is not None
                turn_s = (_local(body) - signed_in[1]).total_seconds()
                count.add(body, "officer", signed_in[0], "signed_in", turn_s)
            case "parcel_judged":
                for by, name in (("device", device), ("officer", data["officer"])):
                    count.add(body, by, name, "scanned")
                    count.add(body, by, name, f"scanned_{data['verdict']}")
                for code in {each.partition(":")[0] for each in data["reasons"]}:
                    count.add(body, "scan_reason", code, data["verdict"])
            case "unknown_scanned":
                count.add(body, "device", device, "scanned_unknown")
                count.add(body, "officer", data["officer"], "scanned_unknown")
            case "order_taken":
                for officer in data["officers"]:
                    count.add(body, "officer", officer, "orders_taken")
            case "inspection_made" if data["part"] == 1:
                count.add(body, "device", device, "inspections")
                for officer in (*data["officers"], data["second_officer"]):
                    count.add(body, "officer", officer, "inspections")
                for firm in firms:
                    count.add(body, "enterprise", firm, "inspections")
            case "finding_made":
                count.add(body, "finding", data["finding"], "made")
                (officer,) = data["officers"]
                count.add(body, "officer", officer, "findings")
                if data["finding"] != "nothing":
                    count.add(body, "officer", officer, "found")
                    for firm in firms:
                        count.add(body, "enterprise", firm, "found")
            case "slip_parcels_checked":
                count.add(body, "device", device, "slip_checks")
                count.add(body, "officer", data["officer"], "slip_checks")
                if data["slip"]:
                    firm = FIRMS[SLIPS.index(data["slip"])]
                    count.add(body, "enterprise", firm, "slip_checks")
                    if data["extra"] or (data["complete"] and data["missing"]):
                        count.add(body, "enterprise", firm, "slip_checks_differing")
            case _:
                pass


# --- tables, as they are to stand on the page ---------------------------------------------------------------

Cell = Callable[[Raw], float | None]


def _mean(what: str) -> Cell:
    return lambda raw: raw[f"s:{what}"] / 1000 / raw[what] if raw[what] else None


def _within(part: float) -> Cell:
    def of(raw: Raw) -> float | None:
        times = sorted(each for each in (*BANDS_S, 0) for _ in range(raw[f"band_{each}"]))
        longer = raw["band_0"]
        times = [*times[longer:], *[0] * longer]
        if not times:
            return None
        return times[max(0, -(-int(part * 1000) * len(times) // 1000) - 1)] or None

    return of


def _hours(what: str) -> Cell:
    return lambda raw: raw[f"s:{what}"] / 3_600_000


def _flagged_share(raw: Raw) -> float | None:
    judged = raw["passed"] + raw["flagged"] + raw["recheck"]
    return raw["flagged"] / judged if judged else None


def _desk_pace(raw: Raw) -> float | None:
    return raw["judged"] * 3_600_000 / raw["s:at_desk"] if raw["s:at_desk"] else None


def _pace(raw: Raw) -> float | None:
    return raw["seen"] / raw["hours_seen"] if raw["hours_seen"] else None


def _drawn_share(raw: Raw) -> float | None:
    return raw["drawn"] / raw["ruled"] if raw["ruled"] else None


_LANE: Final = {
    "lane_mean": _mean("closed_crossed"),
    "lane_half": _within(0.5),
    "lane_nine_tenths": _within(0.9),
    "hold_mean": _mean("hold"),
}
_SAME: Final = ("opened", "released", "inspected", "held", "crossed")
_XRAY: Final = ("passed", "flagged", "recheck")
CELLS: Final[dict[str, dict[str, str | Cell]]] = {
    "day": {
        **dict.fromkeys(_SAME, ""), **_LANE, **dict.fromkeys(_XRAY, ""),
        "scanned": "", "inspections": "", "slip_checks": "", "alarms": "alarm",
    },
    "lane": {
        **dict.fromkeys(_SAME, ""), "backed_out": "closed_backed_out", "ungated": "closed_ungated", **_LANE,
        "supplemented": "", "lane_checked": "", "alarms": "alarm",
    },
    "station": {
        "seen": "", **dict.fromkeys(_XRAY, ""), "flagged_share": _flagged_share, "pace": _pace,
        "no_waybill": "", "undone": "", "gone": "", "alarms": "alarm",
    },
    "handheld": {
        "scanned": "", "scan_release": "scanned_release", "scan_inspect": "scanned_inspect",
        "scan_hold": "scanned_hold", "scan_unknown": "scanned_unknown", "inspections": "", "slip_checks": "",
    },
    "enterprise": {
        "ruled": "", **dict.fromkeys(_SAME[1:4], ""), "spot_checked": "drawn",
        "spot_checked_share": _drawn_share, "slip_checks": "", "slip_checks_differing": "", "crossed": "",
        "lane_mean": _mean("crossed"), **{each: f"parcels_{each}" for each in _XRAY},
        "inspections": "", "found": "",
    },
    "officer": {
        "judged": "", "judged_flagged": "", "judged_second": "", "judged_mean": _mean("judged"),
        "desk_hours": _hours("at_desk"), "desk_pace": _desk_pace, "undone": "", "rest_due": "",
        "scanned": lambda raw: raw["scanned"] + raw["scanned_unknown"], "handheld_hours": _hours("signed_in"),
        "orders_taken": "", "inspections": "", "findings": "", "found": "", "slip_checks": "",
        "released_by_hand": "released", "supplemented": "", "commands": "",
    },
    "reason": dict.fromkeys(_SAME[1:4], ""),
    "x_ray_reason": {f"word_{each}": each for each in _XRAY},
    "scan_reason": {f"scan_{each}": each for each in ("release", "inspect", "hold")},
    "category": {"word_flagged": "flagged"},
    "finding": {"findings": "made"},
    "alarm": {"alarms": "alarm"},
    "stage": {"crossed": "stage", "stage_mean": _mean("stage")},
}  # fmt: skip
_OF: Final = {"lane": "lane-", "station": "xray-", "handheld": "hh-"}


def _expected(counted: Tables, key: str) -> dict[str, dict[str, float | None]]:
    """name -> column -> number; under the empty name what all of them make together."""
    of = counted["device" if key in _OF else key]
    raws = {name: raw for name, raw in of.items() if name.startswith(_OF.get(key, ""))}
    if len(raws) > 1:
        whole: Raw = Counter()
        for raw in raws.values():
            whole.update(raw)
        raws[""] = whole
    return {
        name: {column: _cell(raw, column, of) for column, of in CELLS[key].items()}
        for name, raw in raws.items()
    }


def _cell(raw: Raw, column: str, of: str | Cell) -> float | None:
    return of(raw) if callable(of) else float(raw[of or column])


def _written(column: str, value: float | None) -> str:
    if value is None:
        return "–"
    if column in ("lane_mean", "hold_mean", "judged_mean", "stage_mean"):
        return f"{value:,.1f}"
    if column in ("lane_half", "lane_nine_tenths"):
        return f"≤ {value:.0f}"
    if column.endswith("_share"):
        return f"{100 * value:.1f} %"
    return f"{value:.2f}" if column.endswith("_hours") else f"{value:,.0f}"


def _tables_on(page: str) -> dict[str, dict[str, dict[str, str]]]:
    tables = {}
    for key, table in re.findall(r'<table data-table="(\w+)">(.*?)</table>', page, re.DOTALL):
        rows = re.findall(r'<tr(?: data-name="(.*?)")?>(.*?)</tr>', table.split("</thead>")[1], re.DOTALL)
        tables[key] = {name: dict(re.findall(r'data-column="(\w+)">(.*?)</td>', row)) for name, row in rows}
    return tables


@pytest.mark.parametrize("span", SPANS)
@pytest.mark.parametrize("view", list(VIEWS))
def test_every_cell_of_the_page_is_that_of_the_archive(
    rig: ConsoleRig, view: str, span: tuple[str, str]
) -> None:
    answer = rig.client().get(f"/statistics?view={view}&from={span[0]}&to={span[1]}")
    shown = _tables_on(answer.text)
    counted = _counted(rig, *span)
    assert list(shown) == [key for key, _ in VIEWS[view]]
    for key, table in shown.items():
        wanted = {
            name: {column: _written(column, value) for column, value in row.items()}
            for name, row in _expected(counted, key).items()
            if any(row.values())
        }
        assert table == wanted, key


@pytest.mark.parametrize("view", list(VIEWS))
def test_every_cell_of_the_file_and_of_the_api_is_that_of_the_archive(rig: ConsoleRig, view: str) -> None:
    client = rig.client()
    first, last = SPANS[0]
    file = client.get(f"/statistics.csv?view={view}&from={first}&to={last}").text.removeprefix("\ufeff")
    told = client.get(f"/api/v1/statistics?view={view}&from={first}&to={last}").json()
    counted = _counted(rig, first, last)
    parts = [list(csv.reader(io.StringIO(part))) for part in file.split("\r\n\r\n") if part.strip()]
    for (key, _), lines, of_api in zip(VIEWS[view], parts, told, strict=True):
        wanted = {
            name: list(row.values())
            for name, row in _expected(counted, key).items()
            if name and any(row.values())
        }
        in_file = {line[0]: [float(cell) if cell else None for cell in line[2:]] for line in lines[2:]}
        assert in_file.keys() == of_api["rows"].keys() == wanted.keys(), key
        for name, row in wanted.items():
            assert in_file[name] == pytest.approx(row, abs=1e-4), (key, name)
            assert of_api["rows"][name] == pytest.approx(row), (key, name)
        assert of_api["columns"] == list(CELLS[key])


def test_curves_are_drawn_of_the_same_numbers(rig: ConsoleRig) -> None:
    client = rig.client()
    for first, last in SPANS:
        counted = _counted(rig, first, last)
        for view, key, column in (("lane", "lane", "opened"), ("enterprise", "enterprise", "ruled")):
            page = client.get(f"/statistics?view={view}&from={first}&to={last}").text
            (data,) = re.findall(r'data-curves="(.*?)"', page)
            drawn = json.loads(data.replace("&#34;", '"'))
            sums = {name: sum(values) for name, values in zip(drawn["names"], drawn["values"], strict=True)}
            if view == "lane":
                wanted = {name: row[column] for name, row in _expected(counted, key).items() if name}
                assert sums == wanted
            assert len(drawn["x"]) == (24 if view == "lane" and first == last else 1 if first == last else 3)


def test_the_day_curve_has_each_count_at_its_hour(rig: ConsoleRig) -> None:
    """Of one day, by the hour of the site's clock."""
    page = rig.client().get(f"/statistics?view=day&from={DAYS[1]}&to={DAYS[1]}").text
    (data,) = re.findall(r'data-curves="(.*?)"', page)
    drawn = json.loads(data.replace("&#34;", '"'))
    hours: dict[str, list[int]] = {"Released": [0] * 24, "Held": [0] * 24}
    seen: set[tuple[str, int, str]] = set()
    for body in _bodies(rig):
        if body["data"]["type"] == "ruling_made":
            verdict = body["data"]["ruling"]["verdict"]
            key = (body["device"], body["data"]["passage"], verdict)
            if key not in seen and f"{_local(body):%Y-%m-%d}" == DAYS[1] and verdict != "inspect":
                hours["Released" if verdict == "release" else "Held"][_local(body).hour] += 1
            seen.add(key)
    values: Mapping[str, list[int]] = dict(zip(drawn["names"], drawn["values"], strict=True))
    assert {name: values[name] for name in hours} == hours
    assert sum(map(sum, hours.values())) > 5
