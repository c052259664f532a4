"""Every count the console keeps, against one made here out of the archive's own fact bodies: devices that
tell in random order, streams that come late or behind a gap, epochs begun anew, disks lost and restored,
midnights.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest

from sync.hub.console.shown import LANE_BANDS_S, Shown
from sync.vocabulary.facts import (
    Alarm,
    AlarmCode,
    Fact,
    FactData,
    PassageClosed,
    PassageOpened,
    RulingMade,
    Stream,
    VehicleCrossed,
    read_body,
)
from sync.vocabulary.numbers import EnterpriseCode, WaybillNo
from sync.vocabulary.records import Waybill
from sync.vocabulary.rulings import Because, Reason, Ruling, Verdict
from sync.vocabulary.xray_facts import JudgementUndone, ParcelSeen, ParcelSorted, ParcelXRayed
from tests.console_rig import ConsoleRig, console_rig
from tests.unit.test_hub_device import Device

ZONE: Final = ZoneInfo("Asia/Shanghai")
FIRMS: Final = ("4601910001", "4601910002")
OFFICERS: Final = ("", "4604001", "4604002")
LANES: Final = ("lane-1", "lane-2")
STATION: Final = "xray-1"
REASONS: Final = {
    Verdict.HOLD: (Reason.WEIGHT_OVER, Reason.SPOT_CHECK),
    Verdict.INSPECT: (Reason.SPOT_CHECK,),
    Verdict.RELEASE: (Reason.RELEASED,),
}
WHATS: Final = {
    Verdict.HOLD.value: "held",
    Verdict.INSPECT.value: "inspected",
    Verdict.RELEASE.value: "released",
}

Count = Counter[tuple[str, ...]]


# --- what the devices tell --------------------------------------------------------------------------------


@dataclasses.dataclass
class Teller:
    """One device with a clock, that says what `draw` makes up. `unsent`: said, and not yet at the hub."""

    rig: ConsoleRig
    device: Device
    draw: random.Random
    at: datetime
    unsent: list[Fact] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        self.unsent += [fact for stream in Stream for fact in self.device.facts[stream]]

    def say(self, data: FactData, stream: Stream = Stream.ROUTINE) -> None:
        self.at += timedelta(seconds=self.draw.choice((1, 7, 40, 900)))
        self.unsent.append(self.device.say(data, stream, time=f"{self.at:%Y-%m-%dT%H:%M:%S.%fZ}"))

    def send(self, *, behind_a_gap: bool) -> None:
        """Some of one stream; the rest of it first where it is to be behind a gap."""
        stream = self.draw.choice(list(Stream))
        waiting = [fact for fact in self.unsent if fact.stream is stream]
        if not waiting:
            return
        cut = self.draw.randint(1, len(waiting))
        parts = [waiting[:cut], waiting[cut:]] if behind_a_gap else [waiting[:cut]]
        for part in reversed(parts):
            if part:
                self.rig.send(self.device, part)
        sent = set(itertools.chain.from_iterable(parts))
        self.unsent = [fact for fact in self.unsent if fact not in sent]

    def send_all(self) -> None:
        while self.unsent:
            self.send(behind_a_gap=False)

    def begin_epoch(self, number: int, *, disk_lost: bool) -> None:
        """The disk of a day ago or none: it counts from 1 again. Or the same store, and what was not
        acknowledged is issued again under its event ids (G4), however much of it had come through."""
        again = [] if disk_lost else [fact for stream in Stream for fact in self.device.facts[stream][-5:]]
        again.sort(key=lambda fact: fact.position)
        if disk_lost:
            self.send_all()
            self.device.position = 0
        else:
            again = [fact for fact in again if fact.kind != "epoch_began"]
        ids = self.device.ids
        ids_again = {fact.event_id for fact in again}
        for stream in Stream:
            while self.draw.random() < 0.7:
                last = next((fact for fact in reversed(self.unsent) if fact.stream is stream), None)
                if last is None or last.event_id not in ids_again:
                    break
                self.unsent.remove(last)
        # What never came through of the old epoch and is not issued again would be lost: it is sent.
        self.send_all()
        self.device.begin(f"{number:032x}", disk_new=disk_lost and self.draw.random() < 0.8)
        self.unsent += self.device.facts[Stream.ALARM]
        for fact in again:
            body = json.loads(fact.body)
            self.device.ids = itertools.count(int(body["event_id"].rpartition("-")[2]))
            self.unsent.append(self.device.say(_data(fact), fact.stream, time=body["time"]))
        self.device.ids = ids


def _data(fact: Fact) -> FactData:
    return read_body(fact.body).data


def _lane(teller: Teller, numbers: Iterator[int], carry_on: list[int]) -> None:
    draw = teller.draw
    if draw.random() < 0.15:
        teller.say(Alarm(code=AlarmCode.TAILGATER), Stream.ALARM)
    if not carry_on:
        carry_on.append(next(numbers))
        teller.say(PassageOpened(passage=carry_on[0]))
        return
    passage = carry_on[0]
    match draw.randrange(6):
        case 0 | 1 | 2:
            verdict = draw.choice(list(Verdict))
            teller.say(
                RulingMade(
                    passage=passage,
                    ruling=Ruling(verdict, (Because(draw.choice(REASONS[verdict])),)),
                    direction="I",
                    enterprise=draw.choice((None, *FIRMS)),
                    officer=draw.choice(OFFICERS),
                    plate=f"琼A{passage:05d}",
                )
            )
        case 3:
            teller.say(VehicleCrossed(passage=passage, order_id="o", use_ids=()))
        case _:
            outcome = draw.choice(("crossed", "backed_out"))
            teller.say(PassageClosed(passage=passage, outcome=outcome, lane_s=float(draw.randrange(5, 900))))
            carry_on.clear()


def _station(teller: Teller, numbers: Iterator[int], waiting: list[int]) -> None:
    draw = teller.draw
    if len(waiting) < 3:
        waiting.append(next(numbers))
        teller.say(
            ParcelSeen(
                parcel=waiting[-1], leading_mm=0.0, waybill_no=draw.choice(("", _waybill(waiting[-1])))
            )
        )
        return
    parcel = draw.choice(waiting)
    match draw.randrange(5):
        case 0 | 1 | 2:
            verdict = draw.choice(("passed", "flagged", "recheck"))
            teller.say(
                ParcelXRayed(
                    parcel=parcel,
                    waybill_no=_waybill(parcel),
                    verdict=verdict,
                    by="officer",
                    officer=draw.choice(OFFICERS[1:]),
                    took_s=2.0,
                ),
                Stream.ALARM if verdict == "flagged" else Stream.ROUTINE,
            )
        case 3:
            teller.say(JudgementUndone(parcel=parcel, officer=OFFICERS[1]))
        case _:
            ordered = draw.choice(("pass", "flag", "recheck"))
            teller.say(ParcelSorted(parcel=parcel, verdict="", ordered=ordered, seen=ordered, confirmed=True))
            waiting.remove(parcel)


def _waybill(parcel: int) -> str:
    return f"YT{parcel:013d}"


def _tell(rig: ConsoleRig, seed: int) -> None:
    draw = random.Random(seed)
    for parcel in range(1, 40):
        rig.record(
            "waybills",
            _waybill(parcel),
            Waybill(waybill_no=WaybillNo(_waybill(parcel)), enterprise=EnterpriseCode(FIRMS[parcel % 2])),
        )
    began = datetime(2026, 1, 31, 13, 0, tzinfo=UTC)
    tellers = {name: Teller(rig, rig.device(name), draw, began) for name in (*LANES, STATION)}
    numbers: dict[str, Iterator[int]] = {name: itertools.count(1) for name in tellers}
    open_now: dict[str, list[int]] = {name: [] for name in tellers}
    for _ in range(260):
        name = draw.choice(list(tellers))
        teller = tellers[name]
        (_station if name == STATION else _lane)(teller, numbers[name], open_now[name])
        if draw.random() < 0.3:
            teller.send(behind_a_gap=draw.random() < 0.5)
        if draw.random() < 0.1:
            rig.caught_up()
        if draw.random() < 0.025:
            disk_lost = draw.random() < 0.5
            # Random, so that epochs sort in another order than they began.
            teller.begin_epoch(draw.getrandbits(128), disk_lost=disk_lost)
            if disk_lost:
                numbers[name] = itertools.count(1)
                open_now[name].clear()
    for teller in tellers.values():
        teller.send_all()
    rig.caught_up()


# --- counted anew -----------------------------------------------------------------------------------------


def _told(rig: ConsoleRig, device: str) -> list[dict[str, Any]]:
    """Each event once, in the order the device said it."""
    rows = rig.archive.engine.execute(
        "SELECT epoch, stored_utc, body FROM facts WHERE device = ? ORDER BY stored_utc", (device,)
    ).fetchall()
    epochs = list(dict.fromkeys(epoch for epoch, _, _ in rows))
    bodies = sorted(
        (json.loads(body) for _, _, body in rows),
        key=lambda body: (epochs.index(body["epoch"]), body["position"]),
    )
    first: dict[str, dict[str, Any]] = {}
    for body in bodies:
        first.setdefault(body["event_id"], body)
    return list(first.values())


def _moment(body: dict[str, Any]) -> tuple[str, int]:
    local = datetime.fromisoformat(body["time"]).astimezone(ZONE)
    return f"{local:%Y-%m-%d}", local.hour


def _counted_of_lane(device: str, told: list[dict[str, Any]]) -> tuple[Count, dict[int, dict[str, Any]]]:
    """(by, name, what, day, hour) -> n; of firms and reasons without day and hour. And each number's last
    passage."""
    count: Count = Counter()
    rows: dict[int, dict[str, Any]] = {}
    every: list[dict[str, Any]] = []

    def hour(what: str, body: dict[str, Any]) -> None:
        day, of = _moment(body)
        count["device", device, what, day, str(of)] += 1

    for body in told:
        data = body["data"]
        row = rows.get(data.get("passage", 0), {})
        match data["type"]:
            case "passage_opened":
                hour("opened", body)
                for number, before in rows.items():
                    # A lane on another disk counts on from here: who had a later number is long gone.
                    if number >= data["passage"] and before["epoch"] != body["epoch"]:
                        before.update(over=True, held=False)
                row = {"opened": body["time"], "ever": {}, "firm": "", "drawn": False, "over": False}
                row["epoch"] = body["epoch"]
                rows[data["passage"]] = row
                every.append(row)
            case "ruling_made":
                verdict = data["ruling"]["verdict"]
                codes = {each["code"] for each in data["ruling"]["reasons"]}
                row["firm"] = row["firm"] or data.get("enterprise") or ""
                row["drawn"] |= "SPOT_CHECK" in {code.upper() for code in codes}
                row["verdict"], row["plate"] = verdict, data.get("plate") or ""
                if row.get("held") and verdict == "release":
                    hour("hold_ended", body)
                row["held"] = verdict != "release"
                if verdict not in row["ever"]:
                    row["ever"][verdict] = True
                    hour(WHATS[verdict], body)
                    for code in codes:
                        count["reason", code, WHATS[verdict]] += 1
                    if data.get("officer"):
                        count["officer", data["officer"], WHATS[verdict]] += 1
            case "epoch_began" if not data["old_epoch"]:
                for forgotten in every:
                    forgotten["held"], forgotten["over"] = False, True
            case "vehicle_crossed":
                hour("crossed", body)
            case "passage_closed":
                hour(f"closed_{data['outcome']}", body)
                if row.get("held"):
                    hour("hold_ended", body)
                row["held"], row["over"] = False, True
                if data["outcome"] == "crossed":
                    band = next((str(up) for up in LANE_BANDS_S if data["lane_s"] <= up), "longer")
                    hour(f"lane_{band}", body)
                    if row["firm"]:
                        count["enterprise", row["firm"], "crossed"] += 1
            case "alarm":
                hour("alarm", body)
            case _:
                pass
    for row in every:
        if row["firm"]:
            count["enterprise", row["firm"], "ruled"] += 1
            for verdict in row["ever"]:
                count["enterprise", row["firm"], WHATS[verdict]] += 1
            if row["drawn"]:
                count["enterprise", row["firm"], "spot_checked"] += 1
    return count, rows


def _new_parcel(every: list[dict[str, Any]], moment: tuple[str, int]) -> dict[str, Any]:
    every.append({"verdict": "", "ordered": "", "waybill": "", "moment": moment})
    return every[-1]


def _counted_of_station(device: str, told: list[dict[str, Any]]) -> Count:
    count: Count = Counter()
    parcels: dict[int, dict[str, Any]] = {}
    every: list[dict[str, Any]] = []
    for body in told:
        data, moment = body["data"], _moment(body)
        parcel = parcels.get(data.get("parcel", 0), {})

        def hour(what: str, moment: tuple[str, int] = moment) -> None:
            count["device", device, what, moment[0], str(moment[1])] += 1

        match data["type"]:
            case "epoch_began" if not data["old_epoch"]:
                parcels.clear()
            case "parcel_seen":
                hour("seen")
                if not data.get("waybill_no"):
                    hour("no_waybill")
                if not parcel.pop("unseen", False):
                    parcels[data["parcel"]] = _new_parcel(every, moment)
            case "parcel_x_rayed":
                hour("x_rayed")
                if not parcel:
                    # What saw it is issued again behind this, in the epoch after.
                    parcel = parcels[data["parcel"]] = _new_parcel(every, moment) | {"unseen": True}
                    every[-1] = parcel
                parcel.update(verdict=data["verdict"], waybill=data["waybill_no"], moment=moment)
                count["officer", data["officer"], "judged"] += 1
                count["officer", data["officer"], f"judged_{data['verdict']}"] += 1
            case "judgement_undone":
                hour("undone")
                parcel.update(verdict="", moment=moment)
                count["officer", data["officer"], "undone"] += 1
            case "parcel_sorted":
                hour(f"sorted_{data['ordered']}")
                parcel["ordered"] = data["ordered"]
            case _:
                pass
    for parcel in every:
        word = parcel["verdict"]
        if word == "passed" and parcel["ordered"] not in ("", "pass"):
            word = "recheck"
        if word:
            day, of = parcel["moment"]
            count["device", device, word, day, str(of)] += 1
            firm = FIRMS[int(parcel["waybill"][2:]) % 2]
            count["enterprise", firm, f"parcels_{word}"] += 1
    return count


def _expected(rig: ConsoleRig) -> tuple[Count, dict[tuple[str, int], dict[str, Any]]]:
    count = _counted_of_station(STATION, _told(rig, STATION))
    rows: dict[tuple[str, int], dict[str, Any]] = {}
    for lane in LANES:
        of_lane, found = _counted_of_lane(lane, _told(rig, lane))
        count += of_lane
        rows |= {(lane, number): row for number, row in found.items()}
    return count, rows


def _kept(shown: Shown, wanted: Count) -> Count:
    """The same keys and all others of the same kinds, as the console has them."""
    count: Count = Counter()
    for by in ("device", "officer", "enterprise", "reason"):
        for row in shown.tallies("2026-01-01", "2026-12-31", by):
            key = (by, row.name, row.what)
            count[(*key, row.day, str(row.hour)) if by == "device" else key] += row.n
    return Counter({key: n for key, n in count.items() if n})


def _check(rig: ConsoleRig) -> None:
    wanted, rows = _expected(rig)
    with rig.console.shown() as shown:
        kept = _kept(shown, wanted)
        passages = {key: shown.passage(*key) for key in rows}
    assert dict(kept) == dict(wanted)
    for key, row in rows.items():
        seen = passages[key]
        assert seen is not None, key
        assert (seen.opened_utc, seen.verdict, seen.plate, bool(seen.held_utc), bool(seen.closed_utc)) == (
            row["opened"],
            row.get("verdict", ""),
            row.get("plate", ""),
            bool(row.get("held")),
            row["over"],
        ), key


@pytest.mark.parametrize("seed", range(5))
def test_every_count_is_that_of_the_archive_however_facts_came(tmp_path: Path, seed: int) -> None:
    with console_rig(tmp_path) as rig:
        _tell(rig, seed)
        _check(rig)
        for file in tmp_path.glob("shown.sqlite*"):
            file.unlink()
        rig.caught_up()
        _check(rig)
