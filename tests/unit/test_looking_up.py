"""What a handheld finds: by number, trace code, order and slip; the nearest numbers; the draw; the age."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edge.handheld.effects import Wanted
from edge.handheld.events import (
    Findings,
    OfficerFindings,
    OrderFindings,
    ParcelFindings,
    SlipFindings,
    TraceFindings,
)
from edge.handheld.latest_time import LatestTime
from edge.handheld.looking_up import Ageing, Lookups
from edge.runtime.clock import UNKNOWN_MS
from sync.link.messages import Change, ChangeOp, FeedBatch
from sync.policy.draws import draw_per_mille, parcel_draw_per_mille
from sync.store.journal import Journal
from sync.store.records import Records, generation_path, new_generation
from sync.store.records_in_force import RecordsInForce
from sync.vocabulary.codec import to_json
from sync.vocabulary.facts import FactDraft, Stream
from sync.vocabulary.handheld_facts import ParcelJudged
from sync.vocabulary.numbers import EnterpriseCode, SlipNo, UtcText, WaybillNo
from sync.vocabulary.records import (
    CreditTier,
    Enterprise,
    InspectionOrder,
    Officer,
    OfficerState,
    OrderCause,
    OrderStanding,
    OrderState,
    Record,
    Waybill,
    XRay,
    XRayVerdict,
    key_of,
)
from tests.unit.test_parcel_rules import BEFORE, SITE, SLIP, slip

FIRM = EnterpriseCode("4101960001")
KEY = bytes(range(32))
NUMBERS = ("YT0000000000001", "YT0000000000010", "YT0000000000012", "SF1234567890123")
NOW = "2026-11-22T08:00:00.000000Z"


class StillClock:
    utc = NOW

    def monotonic_s(self) -> float:
        return 1.0

    def utc_text(self) -> str:
        return self.utc

    def boot_id(self) -> str:
        return "boot"

    def uncertainty_ms(self) -> int:
        return UNKNOWN_MS


@dataclass
class OpenStores:
    """As `Stores` once it is open, on plain files."""

    journal: Journal
    in_force: RecordsInForce

    def records(self) -> Records | None:
        return self.in_force.current()


def order(number: str, **changes: object) -> InspectionOrder:
    given: dict[str, object] = {"waybill_nos": (WaybillNo(NUMBERS[0]),), **changes}
    return InspectionOrder(
        order_no=number,
        cause=OrderCause.OFFICER,
        issued=BEFORE,
        issued_by="centre",
        **given,  # type: ignore[arg-type]
    )


RECORDS: dict[str, tuple[Record, ...]] = {
    "enterprises": (Enterprise(code=FIRM, name="某公司", tier=CreditTier.HIGH, spot_check_per_mille=1000),),
    "inspection_orders": (
        order("XD-1"),
        order("XD-2"),
        order("XD-3", state=OrderState.WITHDRAWN),
        order("XD-4", waybill_nos=(), slip_no=SLIP),
    ),
    "officers": (
        Officer(officer_no="4604001", public_key="", valid_until=UtcText("2099-01-01T00:00:00Z")),
        Officer(
            officer_no="4604002",
            public_key="",
            valid_until=UtcText("2099-01-01T00:00:00Z"),
            state=OfficerState.REVOKED,
        ),
    ),
    "order_standings": (OrderStanding(order_no="XD-2", step="found"),),
    "release_slips": (slip(),),
    "site": (SITE,),
    "waybills": tuple(
        Waybill(
            waybill_no=WaybillNo(number),
            enterprise=FIRM,
            slip_no=SLIP if place < 2 else None,
            order_no="OD-1" if place < 2 else "",
            trace_code=f"T{place}",
        )
        for place, number in enumerate(NUMBERS)
    ),
    "x_rays": (XRay(waybill_no=WaybillNo(NUMBERS[0]), verdict=XRayVerdict.PASSED, judged=BEFORE),),
}


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[OpenStores]:
    with Journal.open(tmp_path / "journal.sqlite", device="handheld-1") as journal:
        new_generation(tmp_path, 1, "zz", "e" * 32)
        rows = [
            (name, key_of(each), to_json(each).decode()) for name, some in RECORDS.items() for each in some
        ]
        with Records.open(generation_path(tmp_path, 1), writable=True) as written:
            written.fill(1, sorted(rows))
            written.lead_to_parcels()
            written.note_verified("2026-11-22T07:59:00Z")
        journal.set_generation(1)
        in_force = RecordsInForce(journal, tmp_path)
        yield OpenStores(journal, in_force)
        in_force.close()


def lookups(stores: OpenStores, *, known: bool = False, draw: bytes | None = None) -> Lookups:
    clock = StillClock()
    latest = LatestTime(clock, Path("no", "such", "folder"))
    return Lookups(stores, Ageing(clock, known, "2026-01-01", latest), draw)  # type: ignore[arg-type]


def found(stores: OpenStores, wanted: Wanted, text: str, draw: bytes | None = None) -> Findings:
    return lookups(stores, draw=draw).find(wanted, text)[0]


def parcel(stores: OpenStores, text: str, draw: bytes | None = None) -> ParcelFindings:
    findings = found(stores, Wanted.PARCEL, text, draw)
    assert isinstance(findings, ParcelFindings)
    return findings


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        (NUMBERS[0], NUMBERS[:1]),
        (f" {NUMBERS[0]} ", NUMBERS[:1]),
        (NUMBERS[0].lower(), NUMBERS[:1]),
        ("T2", NUMBERS[2:3]),
        ("OD-1", NUMBERS[:2]),
        ("OD-9", ()),
        ("", ()),
    ],
)
def test_a_code_leads_to_its_parcels(stores: OpenStores, text: str, numbers: tuple[str, ...]) -> None:
    assert tuple(each.waybill_no for each in parcel(stores, text).waybills) == numbers


def test_with_a_parcel_comes_all_that_its_verdict_stands_on(stores: OpenStores) -> None:
    findings = parcel(stores, NUMBERS[0])
    assert [each.slip_no for each in findings.slips] == [SLIP]
    assert [each.code for each in findings.enterprises] == [FIRM]
    assert [each.waybill_no for each in findings.x_rays] == [NUMBERS[0]]
    assert [each.order_no for each in findings.orders] == ["XD-1", "XD-4"], "open, and nobody has found"


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("YT0000000000011", ("YT0000000000001", "YT0000000000010", "YT0000000000012")),
        ("SF1234567890132", ("SF1234567890123",)),
        ("5F1234567890123", ("SF1234567890123",)),
        ("YT9999999999999", ()),
        ("no number", ()),
    ],
)
def test_the_nearest_numbers_differ_by_one_character_or_a_swap(
    stores: OpenStores, text: str, nearest: tuple[str, ...]
) -> None:
    assert parcel(stores, text).nearest == nearest


def test_s11_a_parcel_is_drawn_by_key_firm_and_number_and_by_no_day(stores: OpenStores) -> None:
    assert parcel(stores, NUMBERS[0]).drawn == frozenset()
    assert parcel(stores, NUMBERS[0], KEY).drawn == {NUMBERS[0]}
    assert parcel_draw_per_mille(KEY, FIRM, NUMBERS[0]) == parcel_draw_per_mille(KEY, FIRM, NUMBERS[0])
    draws = [parcel_draw_per_mille(KEY, FIRM, f"YT{each:013d}") for each in range(2_000)]
    assert 70 <= sum(draw < 50 for draw in draws) <= 130
    assert draws[0] != draw_per_mille(KEY, FIRM, "YT0000000000000", "2026-11-22")
    with pytest.raises(ValueError, match="line feeds"):
        parcel_draw_per_mille(KEY, FIRM, "a\nb")


def test_a_slips_load_and_an_orders_parcels(stores: OpenStores) -> None:
    load = found(stores, Wanted.SLIP, SLIP)
    assert isinstance(load, SlipFindings)
    assert [each.waybill_no for each in load.waybills] == list(NUMBERS[:2])
    assert found(stores, Wanted.SLIP, SlipNo("Z3111I261122000000000009")) == SlipFindings(None)
    assert found(stores, Wanted.SLIP, "KS1:nonsense") == SlipFindings(None)
    meant = found(stores, Wanted.ORDERS, "order XD-4")
    assert isinstance(meant, OrderFindings)
    assert [each.waybill_no for each in meant.waybills] == list(NUMBERS[:2])


def test_s10_the_age_counts_from_the_verified_head_and_an_unknown_clock_is_no_age(stores: OpenStores) -> None:
    assert lookups(stores).find(Wanted.PARCEL, NUMBERS[0])[1].age_s == 60.0
    assert lookups(stores, known=True).find(Wanted.PARCEL, NUMBERS[0])[1].age_s is None


@pytest.mark.parametrize(
    ("number", "standing"), [("4604001", "unknown"), ("4604002", "unknown"), ("nobody", "unknown")]
)
def test_an_officer_without_a_pin_holds_no_device(stores: OpenStores, number: str, standing: str) -> None:
    findings = found(stores, Wanted.OFFICER, number)
    assert isinstance(findings, OfficerFindings)
    assert findings.standing == standing


def test_a_path_has_what_this_device_told_the_latest_first(stores: OpenStores) -> None:
    for text in (NUMBERS[0], NUMBERS[1], NUMBERS[0]):
        judged = ParcelJudged(waybill_no=text, text=text, verdict="release")
        stores.journal.commit(
            [FactDraft(f"id-{text}-{stores.journal.position()}", Stream.ROUTINE, NOW, "b", 0, judged)]
        )
    findings = found(stores, Wanted.TRACE, "T0")
    assert isinstance(findings, TraceFindings)
    assert len(findings.done_here) == 2


def test_where_no_records_are_nothing_is_known_and_nobody_is_put_out(stores: OpenStores) -> None:
    stores.journal.set_generation(9)
    assert parcel(stores, NUMBERS[0]).waybills == ()
    assert found(stores, Wanted.OFFICER, "4604001") == OfficerFindings("4604001", "untold")


@pytest.mark.parametrize(
    ("standing", "orders", "kept_back"),
    [
        ({"step": "found", "handling": "released"}, [], []),
        ({"step": "found", "handling": ""}, [], ["XD-5"]),
        ({"step": "found", "handling": "seized"}, [], ["XD-5"]),
        ({"step": "taken", "not_counted": "officer 4604009 is not rostered"}, ["XD-5"], ["XD-5"]),
        ({"step": "inspected", "officers": ("4604001",), "not_counted": "?"}, ["XD-5"], ["XD-5"]),
        ({"step": "inspected"}, ["XD-5"], []),
    ],
)
def test_only_a_finding_that_counts_and_is_handled_by_a_release_lets_a_parcel_go(
    stores: OpenStores, tmp_path: Path, standing: dict[str, Any], orders: list[str], kept_back: list[str]
) -> None:
    number = NUMBERS[3]
    told: tuple[tuple[str, Record], ...] = (
        ("inspection_orders", order("XD-5", waybill_nos=(WaybillNo(number),))),
        ("order_standings", OrderStanding(order_no="XD-5", **standing)),
    )
    with Records.open(generation_path(tmp_path, 1), writable=True) as written:
        changes = tuple(
            Change(place, name, key_of(record), ChangeOp.PUT, to_json(record).decode())
            for place, (name, record) in enumerate(told, start=2)
        )
        written.apply(FeedBatch("zz", "e" * 32, 2, 3, changes))
    findings = parcel(stores, number)
    assert [each.order_no for each in findings.orders] == orders
    assert [(each.order.order_no, each.waybill_nos) for each in findings.kept_back] == [
        (order_no, ()) for order_no in kept_back
    ]
