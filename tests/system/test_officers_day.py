"""A scripted officer's day: scans, inspections, outages of the broker, kills of the program; and at the end
the hub has exactly what the officer did, in one chain.

The script keeps its own book of what it did. What the hub has is read by its tables alone.
"""

from __future__ import annotations

import base64
import json
import os
import random
import sqlite3
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rich.console import Console

from hardware_sims.demo import Demo
from hardware_sims.goods import OFFICERS, ORDERS, PINS, Parcel, Warehouse
from hardware_sims.site import HANDHELD, write_site
from tests.system.handheld_glass import Handheld

SCANS = int(os.environ.get("KAKOU_DAY_SCANS", "300"))
OUTAGES = 2
KILLS = 3
SIGNS = {
    "ordinary": "release",
    "short": "release",
    "other_goods": "release",
    "x_ray_flagged": "inspect",
    "control": "inspect",
    "recalled": "hold",
    "quarantine": "hold",
    "documents": "hold",
    "return": "release",
}
"""What the papers of each case come to: that goods are short or others does not show in them."""
PHOTO = bytes(cv2.imencode(".jpg", np.full((48, 64, 3), 120, np.uint8))[1].tobytes())


class Day:
    """One officer, with a second one near by, and the book of what they did."""

    def __init__(self, site: Demo, handheld: Handheld, warehouse: Warehouse, chance: random.Random) -> None:
        self.site = site
        self.handheld = handheld
        self.warehouse = warehouse
        self.chance = chance
        self.judged: Counter[str] = Counter()
        self.verdicts: Counter[tuple[str, str, str]] = Counter()
        """(case, how far its order was, what the screen said)"""
        self.order_of = {waybill_no: order_no for order_no, waybill_no in warehouse.ordered.items()}
        self.unknown: Counter[str] = Counter()
        self.found: dict[str, str] = {}
        """Order -> finding."""
        self.kills = 0

    def begin(self) -> None:
        self.handheld.start()
        # A new device knows no officer before the records are there.
        self.handheld.until(lambda view: view["bar"]["age"]["en"].endswith(" old"))
        self.sign_in()

    def sign_in(self) -> None:
        self.handheld.sign_in(OFFICERS[0], PINS[OFFICERS[0]])
        self.handheld.until(lambda view: view["bar"]["officer"] == OFFICERS[0])

    def page(self, name: str) -> None:
        self.handheld.do(**{"is": "GoTo", "page": name})
        self.handheld.until(lambda view: view["page"] == name)

    def scan(self, text: str) -> dict[str, Any]:
        """The verdict on the screen."""
        self.handheld.do(**{"is": "Scanned", "text": text, "source": "wedge"})
        shown = self.handheld.until(lambda view: (view["shown"].get("verdict") or {}).get("code", "") == text)
        verdict: dict[str, Any] = shown["shown"]["verdict"]
        return verdict

    def scan_parcel(self, parcel: Parcel) -> None:
        verdict = self.scan(parcel.waybill_no)
        self.judged[parcel.waybill_no] += 1
        order_no = self.order_of.get(parcel.waybill_no, "")
        standing = "found" if order_no in self.found else "ordered" if order_no else ""
        self.verdicts[parcel.case, standing, verdict["sign"]] += 1

    def scan_unknown(self, number: int) -> None:
        text = f"YT9{number:012d}"
        assert self.scan(text)["sign"] == "unknown"
        self.unknown[text] += 1

    def kill(self) -> None:
        self.handheld.kill()
        self.kills += 1
        self.handheld.start()
        self.sign_in()

    # --- an inspection ------------------------------------------------------------------------------------

    def inspect(self, order_no: str, *, killed_in_the_middle: bool) -> None:
        do = self.handheld.do
        parcel = self.warehouse.parcel(self.warehouse.ordered[order_no])
        self.page("inspection")
        do(**{"is": "OrdersAsked"})
        self.handheld.until(
            lambda view: any(row["order_no"] == order_no for row in view["shown"].get("orders", ()))
        )
        do(**{"is": "OrderTakeAsked", "order_no": order_no})
        self._draft(order_no, lambda draft: bool(draft["lines"]))
        do(**{"is": "Begun"})
        do(**{"is": "MethodChosen", "method": "opened"})
        if parcel.case == "other_goods":
            do(**{"is": "LineCounted", "waybill_no": parcel.waybill_no, "no": "1", "counted": "0"})
            do(
                **{
                    "is": "LineCounted", "waybill_no": parcel.waybill_no, "no": "2",
                    "counted": str(parcel.inside), "name": parcel.inside_sku,
                }
            )  # fmt: skip
        else:
            counted = str(parcel.inside)
            do(**{"is": "LineCounted", "waybill_no": parcel.waybill_no, "no": "1", "counted": counted})
        if killed_in_the_middle:
            self.kill()
            self.page("inspection")
            draft = self._draft(order_no, lambda draft: draft["step"] == "carrying_out")
            assert draft["lines"][0]["counted"] != ""
        finding = {"short": "other_quantity", "other_goods": "other_goods"}.get(parcel.case, "nothing")
        asked = any(part["text"]["en"] == "Take a photo" for part in self._draft(order_no)["parts"])
        if asked or finding != "nothing":
            self._photo()
        handling = "referred" if finding != "nothing" else "released"
        do(**{"is": "FindingChosen", "finding": finding})
        do(**{"is": "HandlingChosen", "handling": handling})
        if self._draft(order_no)["officers_needed"] > 1:
            second = {"officer_no": OFFICERS[1], "pin": PINS[OFFICERS[1]]}
            do(**{"is": "SecondOfficerCame", **second})
            self._draft(order_no, lambda draft: draft["second_officer"] == OFFICERS[1])
        do(**{"is": "ReadyAsked"})
        assert self._draft(order_no)["missing"] == []
        do(**{"is": "SendAsked", "order_no": order_no})
        self.found[order_no] = finding

    def _draft(self, order_no: str, is_so: Any = lambda draft: True) -> dict[str, Any]:
        def shown(view: dict[str, Any]) -> bool:
            draft = view["shown"].get("draft")
            return draft is not None and draft["order_no"] == order_no and is_so(draft)

        draft: dict[str, Any] = self.handheld.until(shown)["shown"]["draft"]
        return draft

    def _photo(self) -> None:
        self.handheld.do(**{"is": "PhotoAsked"})
        asked = [each for each in self.handheld.asks if each.get("is") == "TakePhoto"]
        assert asked, "nobody asked the camera"
        content = base64.b64encode(PHOTO).decode()
        request = asked[-1]["request"]
        self.handheld.do(**{"is": "Captured", "request": request, "kind": "photo", "content": content})
        self.handheld.until(
            lambda view: any(
                item["state"] == "kept" for item in (view["shown"].get("draft") or {}).get("evidence", ())
            )
        )


def facts_at_the_hub(archive: Path) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(f"file:{archive}?mode=ro", uri=True, timeout=5.0)) as db:
        rows = db.execute("SELECT body FROM facts WHERE device = ? ORDER BY position", (HANDHELD,)).fetchall()
    return [json.loads(body) for (body,) in rows]


@pytest.mark.system
@pytest.mark.timeout(900)
def test_an_officers_day_reconciles_with_the_hub(tmp_path: Path) -> None:
    chance = random.Random(20261122)
    site = write_site(tmp_path / "site", seed=11, vehicles=2, speed=1.0, handheld=True)
    assert site.warehouse is not None
    running = Demo(site, as_json=True, out=Console(file=None, quiet=True))
    day = Day(running, Handheld(site.handheld_config), site.warehouse, chance)
    try:
        running._start_broker()
        running._start_hub()
        running._await(site.archive.exists, "hub", "to open its archive")
        running._import_records()
        running._set_pins(HANDHELD, OFFICERS, PINS)
        day.begin()
        work(day, chance)
        # What is shown of the sync is looked at once a second.
        time.sleep(3.0)
        day.handheld.until(lambda view: view["bar"]["unsent"] == 0)
        assert day.handheld.end() == 0
    finally:
        running.stop_programs()
    reconcile(day, facts_at_the_hub(site.archive))


def work(day: Day, chance: random.Random) -> None:
    """Scans with inspections among them; the broker goes twice and comes back, the program is killed three
    times, once in the middle of an inspection."""
    ordered = list(day.warehouse.ordered)
    wrong = [each for each in day.warehouse.parcels if each.case != "ordinary"]
    plan: list[tuple[str, Any]] = [("scan", each) for each in wrong]
    others = [each for each in day.warehouse.parcels if each.case == "ordinary"]
    plan += [("scan", each) for each in chance.sample(others, SCANS - len(wrong) - SCANS // 20)]
    plan += [("unknown", number) for number in range(SCANS // 20)]
    plan += [("inspect", order_no) for order_no in ordered]
    chance.shuffle(plan)
    marks = sorted(chance.sample(range(10, len(plan) - 10), 2 * OUTAGES + KILLS - 1))
    outages = {mark: "cut" if place % 2 == 0 else "back" for place, mark in enumerate(marks[: 2 * OUTAGES])}
    kills = set(marks[2 * OUTAGES :])
    for place, (what, subject) in enumerate(plan):
        match outages.get(place):
            case "cut":
                day.site._children["broker"].kill()
            case "back":
                day.site._start_broker()
        if place in kills:
            day.kill()
        match what:
            case "scan":
                day.page("scan")
                day.scan_parcel(subject)
            case "unknown":
                day.page("scan")
                day.scan_unknown(subject)
            case _:
                day.inspect(subject, killed_in_the_middle=subject == ordered[3])


def expected(case: str, standing: str) -> str:
    """Ordered to be inspected it is nothing less; once something was found it is kept back."""
    if standing == "ordered":
        return "inspect"
    return "hold" if standing == "found" and case in ("short", "other_goods") else SIGNS[case]


def reconcile(day: Day, facts: list[dict[str, Any]]) -> None:
    said = [fact["data"] for fact in facts]
    of = {kind: [each for each in said if each["type"] == kind] for kind in {each["type"] for each in said}}
    assert Counter(each["waybill_no"] for each in of["parcel_judged"]) == day.judged
    assert Counter(each["text"] for each in of["unknown_scanned"]) == day.unknown
    assert sum(day.judged.values()) + sum(day.unknown.values()) == SCANS
    wrongly = [verdict for verdict in day.verdicts if verdict[2] != expected(*verdict[:2])]
    assert wrongly == []
    assert {each["order_no"]: each["finding"] for each in of["finding_made"]} == day.found
    assert len(of["finding_made"]) == len(of["order_taken"]) == len(of["inspection_made"]) == ORDERS
    assert len(day.found) == ORDERS
    assert len(of["handheld_started"]) == day.kills + 1 == KILLS + 1
    with_two = [each for each in of["inspection_made"] if len(each["officers"]) == 2]
    assert [each["officers"] for each in with_two] == [list(OFFICERS)] * (ORDERS // 10)
    assert len({each["sha256"] for each in of["evidence_taken"]}) >= 1
    positions = [fact["position"] for fact in facts]
    assert positions == list(range(1, len(facts) + 1))
    assert len({fact["event_id"] for fact in facts}) == len(facts)
    for stream in ("alarm", "routine"):
        numbers = [fact["seq"] for fact in facts if fact["stream"] == stream]
        assert numbers == list(range(1, len(numbers) + 1))
