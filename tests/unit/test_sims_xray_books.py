"""The reconciliation's X-ray rows: an honest station agrees with the belt, and one lie a row is found.

The belt really runs; the station is a teller that writes down what happened, in the words facts have.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from hardware_sims.xray_belt import (
    FLAG_RELAY,
    PASS_RELAY,
    PERMIT,
    BeltParcel,
    BeltSettings,
    Label,
    Trouble,
    TroubleKind,
)
from hardware_sims.xray_books import PhysicalBelt, StationBook, chutes, parcels, pictures
from hardware_sims.xray_line import XrayLine
from hardware_sims.xray_machine import Rendered
from hardware_sims.xray_physics import DetectorSettings

SHORT = BeltSettings(xray_eye_mm=1_200.0, xray_mm=1_200.0, diverter_mm=2_200.0)
SMALL = DetectorSettings(pixels=16, pixel_mm=20.0, line_mm=3.0)
GLASS = Rendered(np.full((400, 16), 0.5, np.float32), np.full((400, 16), 0.6, np.float32))
ZERO_MM = 5_000.0
"""A station counts its belt from elsewhere."""
VERDICTS = {"p1": "passed", "p2": "flagged", "p6": "passed"}


@dataclass
class Fact:
    position: int
    kind: str
    data: dict[str, Any]


@dataclass
class Row:
    checked: int = 0
    mismatches: list[str] = field(default_factory=list)
    listed: list[str] = field(default_factory=list)

    def wrong(self, text: str) -> None:
        self.mismatches.append(text)

    def note(self, text: str) -> None:
        self.listed.append(text)


def parcel(number: int, length_mm: float, *troubles: Trouble, gap_mm: float = 240.0) -> BeltParcel:
    return BeltParcel(
        id=f"p{number}",
        length_mm=length_mm,
        gap_mm=gap_mm,
        waybill_no=f"XR{number}",
        labels=(Label(text=f"XR{number}", behind_mm=length_mm / 2),),
        troubles=troubles,
    )


PARCELS = (
    parcel(1, 300.0),
    parcel(2, 420.0),
    parcel(3, 200.0, Trouble(kind=TroubleKind.REMOVED, at_mm=600.0)),
    parcel(4, 350.0),
    parcel(5, 260.0, gap_mm=6.0),
    parcel(6, 300.0),
    parcel(7, 280.0, Trouble(kind=TroubleKind.ADDED, at_mm=700.0)),
)


def run() -> list[dict[str, Any]]:
    """The truth of one day: two pulses to the pass chute, one to the inspection chute."""
    log: list[dict[str, Any]] = []
    line = XrayLine("x", PARCELS, lambda name: GLASS, belt=SHORT, detector=SMALL, sink=log.append)
    line.connect(0.0, "io")
    line.belt.set_relay(0.0, PERMIT, True)
    at_s = 0.0
    until: dict[int, float] = {}
    given: set[str] = set()
    while not line.belt.is_over:
        at_s += 0.05
        assert at_s < 120
        line.advance(at_s)
        for relay, end_s in list(until.items()):
            if at_s >= end_s:
                line.belt.set_relay(at_s, relay, False)
                del until[relay]
        for each in line.belt.on_belt:
            name = each.parcel.id
            if name in VERDICTS and name not in given and each.covers(SHORT.diverter_mm, line.belt.belt_mm):
                given.add(name)
                relay = PASS_RELAY if VERDICTS[name] == "passed" else FLAG_RELAY
                line.belt.set_relay(at_s, relay, True)
                until[relay] = at_s + 0.9
    return log


def told_of(log: list[dict[str, Any]]) -> list[Fact]:
    """What an honest station says of that day."""
    placed = {line["parcel"]: line for line in log if line["kind"] == "placed"}
    base = {
        line["parcel"]: line["belt_mm"]
        for line in log
        if line["kind"] == "portal" and line["edge"] == "leading"
    }
    base |= {name: line["base_mm"] for name, line in placed.items() if line["at_mm"] > 0}
    ended = {line["parcel"]: line for line in log if line["kind"] in ("chute", "removed")}
    facts = [Fact(1, "station_started", {})]

    def tell(kind: str, **data: Any) -> None:
        facts.append(Fact(len(facts) + 1, kind, data))

    numbers = {name: number for number, name in enumerate(sorted(base, key=base.__getitem__), start=1)}
    for name, number in numbers.items():
        by_hand = placed[name]["at_mm"] > 0
        leading = base[name] + ZERO_MM
        tell(
            "parcel_seen",
            parcel=number,
            entered="x_ray" if by_hand else "portal",
            leading_mm=leading,
            trailing_mm=leading + placed[name]["length_mm"] + 2,
            waybill_no="" if by_hand else placed[name]["waybill"],
        )
    for shot in (line for line in log if line["kind"] == "picture"):
        alone = len(shot["parcels"]) == 1 and shot["parcels"][0] != "p7"
        leading = shot["first_mm"] + 48.0 - SHORT.xray_mm + ZERO_MM
        tell(
            "picture_told",
            picture=f"m-{shot['picture']}",
            association="matched" if alone else "merged" if len(shot["parcels"]) > 1 else "unmatched",
            parcel=numbers[shot["parcels"][0]] if alone else 0,
            leading_mm=leading,
        )
    for name, number in numbers.items():
        end = ended[name]
        if end["kind"] == "removed":
            tell("parcel_gone", parcel=number, after="portal")
            continue
        verdict = VERDICTS.get(name, "recheck")
        matched = any(fact.data.get("parcel") == number for fact in facts if fact.kind == "picture_told")
        tell(
            "parcel_x_rayed",
            parcel=number,
            verdict=verdict,
            association="matched" if matched else "",
            picture="m" if matched else "",
        )
        tell("parcel_sorted", parcel=number, verdict=verdict, seen=end["chute"], confirmed=True)
    return facts


@pytest.fixture(scope="module")
def day() -> tuple[list[dict[str, Any]], list[Fact]]:
    log = run()
    return log, told_of(log)


CHECKS: dict[str, Callable[[StationBook, Row], None]] = {
    "parcels": parcels,
    "chutes": chutes,
    "pictures": pictures,
}


def checked(log: list[dict[str, Any]], facts: list[Fact]) -> dict[str, Row]:
    belt = PhysicalBelt("x")
    for number, line in enumerate(log, start=1):
        belt.take(number, line)
    book = StationBook("x", facts, belt)
    rows = {name: Row() for name in CHECKS}
    for name, check in CHECKS.items():
        check(book, rows[name])
    return rows


def failed(log: list[dict[str, Any]], facts: list[Fact]) -> set[str]:
    return {name for name, row in checked(log, facts).items() if row.mismatches}


def number_of(facts: list[Fact], waybill: str) -> int:
    return next(int(f.data["parcel"]) for f in facts if f.data.get("waybill_no") == waybill)


def facts_on(facts: list[Fact], kind: str, waybill: str) -> list[Fact]:
    number = number_of(facts, waybill)
    return [fact for fact in facts if fact.kind == kind and fact.data.get("parcel") == number]


def test_an_honest_day_agrees_in_every_row(day: tuple[list[dict[str, Any]], list[Fact]]) -> None:
    log, facts = day
    ended = {line["parcel"]: line["chute"] for line in log if line["kind"] == "chute"}
    assert (ended["p1"], ended["p2"], ended["p6"], ended["p4"]) == ("pass", "flag", "pass", "recheck")
    rows = checked(log, facts)
    assert {name: row.mismatches for name, row in rows.items()} == {name: [] for name in CHECKS}
    assert {name: row.listed for name, row in rows.items()} == {name: [] for name in CHECKS}
    assert {name: row.checked for name, row in rows.items()} == {"parcels": 7, "chutes": 6, "pictures": 5}


@pytest.mark.parametrize(
    ("kind", "data", "lost_mm"),
    [
        ("station_started", {}, 900.0),
        ("belt_changed", {"state": "unknown"}, 900.0),
        ("belt_changed", {"state": "unknown"}, 175.0),
    ],
)
def test_a_station_started_anew_counts_from_another_zero_and_still_agrees(
    day: tuple[list[dict[str, Any]], list[Fact]], kind: str, data: dict[str, Any], lost_mm: float
) -> None:
    log, facts = day[0], copy.deepcopy(day[1])
    fifth = next(fact for fact in facts if fact.kind == "parcel_seen" and fact.data["parcel"] == 5)
    cut = fifth.data["leading_mm"] - 1.0
    for fact in facts:
        after = fact.data.get("leading_mm", 0.0) > cut
        fact.position += 1_000 if after else 2_000 if "leading_mm" not in fact.data else 0
        for edge in ("leading_mm", "trailing_mm"):
            if after and edge in fact.data:
                fact.data[edge] -= lost_mm
    facts[0].position = 0
    facts.append(Fact(500, kind, data))
    assert failed(log, facts) == set()
    facts.pop()
    assert failed(log, facts) != set()


def lie(name: str) -> Callable[[list[dict[str, Any]], list[Fact]], None]:
    """One lie; the log is what physically happened, the facts what was told."""

    def never_told(log: list[dict[str, Any]], facts: list[Fact]) -> None:
        number = number_of(facts, "XR4")
        facts[:] = [fact for fact in facts if fact.data.get("parcel") != number]

    def never_ended(log: list[dict[str, Any]], facts: list[Fact]) -> None:
        facts.remove(facts_on(facts, "parcel_sorted", "XR4")[0])

    def ended_twice(log: list[dict[str, Any]], facts: list[Fact]) -> None:
        again = copy.deepcopy(facts_on(facts, "parcel_sorted", "XR4")[0])
        again.position = 900
        facts.append(again)

    def invented(log: list[dict[str, Any]], facts: list[Fact]) -> None:
        leading = 400.0 + max(f.data["leading_mm"] for f in facts if f.kind == "parcel_seen") + 900
        said = {"parcel": 77, "leading_mm": leading, "trailing_mm": leading + 300, "waybill_no": "XR77"}
        facts.append(Fact(901, "parcel_seen", said))
        facts.append(Fact(902, "parcel_x_rayed", {"parcel": 77, "verdict": "passed"}))
        facts.append(Fact(903, "parcel_sorted", {"parcel": 77, "verdict": "passed", "seen": "pass"}))

    def other_chute(log: list[dict[str, Any]], facts: list[Fact]) -> None:
        for line in log:
            if line["kind"] == "chute" and line["parcel"] == "p4":
                line["chute"] = "pass"

    def not_judged(log: list[dict[str, Any]], facts: list[Fact]) -> None:
        facts.remove(facts_on(facts, "parcel_x_rayed", "XR1")[0])

    def judged_otherwise(log: list[dict[str, Any]], facts: list[Fact]) -> None:
        facts_on(facts, "parcel_x_rayed", "XR1")[0].data["verdict"] = "flagged"

    def judged_after(log: list[dict[str, Any]], facts: list[Fact]) -> None:
        facts_on(facts, "parcel_x_rayed", "XR1")[0].position = 900

    def undone(log: list[dict[str, Any]], facts: list[Fact]) -> None:
        end = facts_on(facts, "parcel_sorted", "XR1")[0]
        end.position += 500
        facts.append(Fact(end.position - 1, "judgement_undone", {"parcel": end.data["parcel"]}))

    def two_pulses(log: list[dict[str, Any]], facts: list[Fact]) -> None:
        place = next(n for n, line in enumerate(log) if line["kind"] == "relay" and line["relay"] == "pass")
        log.insert(place, dict(log[place]))

    def pulse_for_nobody(log: list[dict[str, Any]], facts: list[Fact]) -> None:
        said = {"relay": "pass", "on": True, "at_eye": "", "foremost": ""}
        log.append({"t": log[-1]["t"], "station": "x", "kind": "relay", **said})

    def flag_seen_elsewhere(log: list[dict[str, Any]], facts: list[Fact]) -> None:
        facts_on(facts, "parcel_sorted", "XR2")[0].data["seen"] = "recheck"

    def passed_unmatched(log: list[dict[str, Any]], facts: list[Fact]) -> None:
        facts_on(facts, "parcel_x_rayed", "XR1")[0].data["association"] = "ambiguous"

    def wrong_picture(log: list[dict[str, Any]], facts: list[Fact]) -> None:
        one, two = (facts_on(facts, "picture_told", each)[0] for each in ("XR1", "XR2"))
        one.data["parcel"], two.data["parcel"] = two.data["parcel"], one.data["parcel"]

    def merged_matched(log: list[dict[str, Any]], facts: list[Fact]) -> None:
        merged = next(fact for fact in facts if fact.data.get("association") == "merged")
        merged.data |= {"association": "matched", "parcel": number_of(facts, "XR4")}

    def picture_forgotten(log: list[dict[str, Any]], facts: list[Fact]) -> None:
        facts.remove(facts_on(facts, "picture_told", "XR2")[0])

    def gone_and_passed(log: list[dict[str, Any]], facts: list[Fact]) -> None:
        end = facts_on(facts, "parcel_sorted", "XR1")[0]
        end.kind, end.data = "parcel_gone", {"parcel": end.data["parcel"], "after": "x_ray"}

    def found_again(log: list[dict[str, Any]], facts: list[Fact]) -> None:
        """Told a second time, where the first telling has an end that was seen."""
        seen = facts_on(facts, "parcel_seen", "XR4")[0].data
        said = {"parcel": 77, "entered": "x_ray", "leading_mm": seen["leading_mm"] + 5.0}
        facts.append(Fact(901, "parcel_seen", said))
        facts.append(
            Fact(
                902,
                "parcel_sorted",
                {"parcel": 77, "verdict": "recheck", "ordered": "recheck", "seen": "recheck"},
            )
        )

    def other_waybill(log: list[dict[str, Any]], facts: list[Fact]) -> None:
        facts_on(facts, "parcel_seen", "XR4")[0].data["waybill_no"] = "XR1"

    lies: dict[str, Callable[[list[dict[str, Any]], list[Fact]], None]] = {
        each.__name__: each
        for each in (
            never_told, never_ended, ended_twice, invented, other_chute, not_judged, judged_after, undone,
            judged_otherwise,
            two_pulses, pulse_for_nobody, flag_seen_elsewhere, passed_unmatched, wrong_picture,
            merged_matched, picture_forgotten, other_waybill, gone_and_passed, found_again,
        )
    }  # fmt: skip
    return lies[name]


@pytest.mark.parametrize(("said", "listed"), [(True, 1), (False, 0)])
def test_a_parcel_unseen_is_listed_only_where_the_station_said_it_saw_no_belt(
    day: tuple[list[dict[str, Any]], list[Fact]], said: bool, listed: int
) -> None:
    log, facts = copy.deepcopy(day[0]), copy.deepcopy(day[1])
    at = facts_on(facts, "parcel_seen", "XR2")[0].position
    lie("never_told")(log, facts)
    for fact in facts:
        fact.position += 10 if fact.position > at else 0
    facts.append(Fact(at + 5 if said else 9_999, "belt_changed", {"state": "unknown" if said else "stopped"}))
    rows = checked(log, facts)
    assert (len(rows["parcels"].listed), len(rows["parcels"].mismatches)) == (listed, 1 - listed)


def test_a_parcel_that_lost_its_place_and_was_found_again_is_listed_not_failed(
    day: tuple[list[dict[str, Any]], list[Fact]],
) -> None:
    log, facts = copy.deepcopy(day[0]), copy.deepcopy(day[1])
    end = facts_on(facts, "parcel_sorted", "XR4")[0]
    end.data |= {"seen": "", "confirmed": False}
    lie("found_again")(log, facts)
    rows = checked(log, facts)
    assert {name: row.mismatches for name, row in rows.items()} == {name: [] for name in CHECKS}
    assert ["lost its place" in text for text in rows["parcels"].listed] == [True]


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("never_told", {"parcels"}),
        ("never_ended", {"parcels"}),
        ("ended_twice", {"parcels"}),
        ("invented", {"parcels"}),
        ("other_chute", {"chutes"}),
        ("not_judged", {"chutes"}),
        ("judged_otherwise", {"chutes"}),
        ("judged_after", {"chutes"}),
        ("undone", {"chutes"}),
        ("two_pulses", {"chutes"}),
        ("pulse_for_nobody", {"chutes"}),
        ("flag_seen_elsewhere", {"chutes"}),
        ("passed_unmatched", {"chutes"}),
        ("wrong_picture", {"pictures"}),
        ("merged_matched", {"pictures"}),
        ("picture_forgotten", {"pictures"}),
        ("other_waybill", {"pictures"}),
        ("gone_and_passed", {"parcels", "chutes"}),
        ("found_again", {"parcels"}),
    ],
)
def test_one_lie_is_found_in_its_row(
    day: tuple[list[dict[str, Any]], list[Fact]], name: str, rows: set[str]
) -> None:
    log, facts = copy.deepcopy(day[0]), copy.deepcopy(day[1])
    lie(name)(log, facts)
    assert failed(log, facts) == rows
