"""The simulated warehouse: its records are records, and truth and papers differ where they say."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from hardware_sims.goods import CASES, ORDERS, make_warehouse
from sync.vocabulary.codec import from_json, to_json
from sync.vocabulary.records import COLLECTIONS, key_of

TODAY = datetime(2026, 3, 2, 8, tzinfo=UTC)
FIRMS = ("4101960001", "4101960002")


def test_every_row_of_the_warehouse_is_a_record_of_its_collection() -> None:
    made = make_warehouse(3, today=TODAY, firms=FIRMS)
    for collection, rows in made.records.items():
        records = [from_json(to_json(row), COLLECTIONS[collection]) for row in rows]
        assert len({key_of(record) for record in records}) == len(rows) > 0
    assert set(made.records) >= {"waybills", "stock_book", "patrol_routes", "references", "x_rays", "traces"}


def test_each_case_is_there_and_orders_name_what_is_not_as_declared() -> None:
    made = make_warehouse(3, today=TODAY, firms=FIRMS)
    assert {parcel.case for parcel in made.parcels} == {case for case, _, _ in CASES}
    assert len(made.ordered) == ORDERS
    wrong = {each.waybill_no for each in made.parcels if each.case in ("short", "other_goods")}
    assert wrong <= set(made.ordered.values())
    assert all(
        made.parcel(number).inside != made.parcel(number).declared
        or made.parcel(number).inside_sku != made.parcel(number).sku
        for number in wrong
    )


def test_the_same_seed_gives_the_same_goods_and_another_other_ones() -> None:
    first, same, other = (make_warehouse(seed, today=TODAY, firms=FIRMS) for seed in (3, 3, 4))
    assert msgspec.json.encode(first.records) == msgspec.json.encode(same.records)
    assert first.records["waybills"] != other.records["waybills"]


@pytest.mark.parametrize("word", ["idcard", "id_card", "buyer", "consignee", "telephone", "address"])
def test_nothing_of_a_buyer_is_in_the_warehouses_papers(word: str) -> None:
    made = make_warehouse(3, today=TODAY, firms=FIRMS)
    assert word not in msgspec.json.encode(made.records).decode().lower()
