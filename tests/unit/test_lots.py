"""双随机, by lot: anybody with the seed draws the same, nobody drawn is busy, no parcel is drawn twice."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.hub.archive import Archive, RecordChange
from sync.hub.centre import By, CentreRefused, issue_order, orders, withdraw_order
from sync.hub.drawing import Wish, draw
from sync.policy.lots import draw_goods, draw_officers, new_seed, sha256_of
from sync.vocabulary.codec import to_json
from sync.vocabulary.numbers import UtcText, WaybillNo
from sync.vocabulary.records import (
    InspectionOrder,
    Officer,
    OfficerState,
    OrderCause,
    OrderPart,
    OrderStanding,
    Record,
    Waybill,
    key_of,
)
from tests.unit.test_handheld_records import name_of

SEED, OTHER_SEED = "00" * 32, "01" * 32
AT = "2026-11-22T08:00:00.000000Z"
BY = By(("4604009",), "daily draw")
numbers = st.lists(st.text("ABC0123456789", min_size=1, max_size=8), unique=True, max_size=40)


# --- the lots -----------------------------------------------------------------------------------------------


def test_the_worked_example_of_the_docs() -> None:
    urn = [f"SF{number}" for number in range(1, 10)]
    drawn = draw_goods(bytes(range(32)).hex(), urn, 3)
    assert (drawn.lots, drawn.held) == (("SF9", "SF8", "SF5"), 9)
    assert drawn.sha256 == sha256_of(urn[::-1])


@given(urn=numbers, count=st.integers(1, 50), seed=st.binary(min_size=32, max_size=32).map(bytes.hex))
def test_a_draw_is_a_subset_without_doubles_and_larger_draws_begin_like_smaller_ones(
    urn: list[str], count: int, seed: str
) -> None:
    drawn = draw_goods(seed, sorted(urn), count)
    assert len(drawn.lots) == min(count, len(urn))
    assert set(drawn.lots) <= set(urn)
    assert len(set(drawn.lots)) == len(drawn.lots)
    assert draw_goods(seed, sorted(urn), count + 1).lots[: len(drawn.lots)] == drawn.lots
    assert drawn.sha256 == sha256_of(urn)


def test_every_number_is_drawn_about_as_often_as_every_other() -> None:
    urn = [f"{number:03d}" for number in range(20)]
    drawn = Counter(draw_goods(f"{seed:064x}", urn, 5).lots[0] for seed in range(2_000))
    assert set(drawn) == set(urn)
    assert max(drawn.values()) < 160
    assert min(drawn.values()) > 50


def test_an_urn_out_of_order_or_with_doubles_is_refused() -> None:
    for urn in (["B", "A"], ["A", "A"], ["A", "B\nC"]):
        with pytest.raises(ValueError, match="in order and without doubles"):
            draw_goods(SEED, urn, 1)


@given(goods=numbers, officers=st.integers(1, 6), each=st.integers(1, 2))
def test_officers_share_the_work_and_nobody_is_the_second_of_himself(
    goods: list[str], officers: int, each: int
) -> None:
    who = [f"46040{number:02d}" for number in range(officers + 1)]
    drawn = draw_officers(SEED, goods, who, each)
    assert all(len(set(lot)) == each for lot in drawn)
    loads = Counter(number for lot in drawn for number in lot)
    assert max(loads.values(), default=0) - min((loads[each] for each in who), default=0) <= 1
    assert draw_officers(SEED, goods, who[::-1], each) == drawn


def test_seeds_differ() -> None:
    assert len({new_seed() for _ in range(10)}) == 10
    urn = [f"{number:03d}" for number in range(50)]
    assert draw_goods(SEED, urn, 10).lots != draw_goods(OTHER_SEED, urn, 10).lots


# --- orders of a draw ---------------------------------------------------------------------------------------


def officer(number: int, **changes: Any) -> Officer:
    fields: dict[str, Any] = {
        "officer_no": f"460400{number}",
        "authorisations": ("inspect",),
        "public_key": "A" * 44,
        "valid_until": UtcText("2027-01-01T00:00:00Z"),
    }
    return Officer(**{**fields, **changes})


def parcel(number: int, **changes: Any) -> Waybill:
    return Waybill(waybill_no=WaybillNo(f"SF{number:013d}"), **changes)


@pytest.fixture
def archive(tmp_path: Path) -> Any:
    archive = Archive.open(tmp_path / "archive.sqlite")
    with archive.transaction():
        archive.add_scope("site")
    yield archive
    archive.close()


def put(archive: Archive, *records: Record) -> None:
    changes = [RecordChange(name_of(each), key_of(each), to_json(each).decode()) for each in records]
    with archive.transaction():
        archive.apply_changes("site", changes, AT)


def made(archive: Archive, draw_no: str = "D1", *, count: int = 3, seed: str = SEED, **more: Any) -> Any:
    issue = more.pop("issue", True)
    wish = Wish(draw_no=draw_no, count=count, **more)
    return draw(archive, "site", wish, BY, seed=seed, at_utc=AT, issue=issue)


def test_orders_name_parcel_officers_seed_and_both_urns_and_the_act_is_kept(archive: Archive) -> None:
    put(archive, *map(parcel, range(10)), *map(officer, range(1, 4)))
    issued = made(archive, officers_each=2, parts=(OrderPart.PHOTOS,))
    assert [order.order_no for order in issued] == ["D1-0001", "D1-0002", "D1-0003"]
    assert {len(set(order.officers)) for order in issued} == {2}
    assert {(order.draw.seed, order.draw.goods, order.draw.officers) for order in issued} == {(SEED, 10, 3)}
    assert [seen.order for seen in orders(archive, "site")] == list(issued)
    (act,) = [act for act in archive.acts(10) if act.act == "draw"]
    assert SEED in act.detail


def test_shown_again_with_the_same_seed_it_is_the_same_draw(archive: Archive) -> None:
    put(archive, *map(parcel, range(30)), *map(officer, range(1, 6)))
    first = made(archive, issue=False)
    assert made(archive, issue=False) == first
    assert made(archive) == first
    assert made(archive, "D2", issue=False, seed=OTHER_SEED) != first


def test_no_parcel_is_drawn_twice_for_one_cause_but_for_another_or_once_it_was_withdrawn(
    archive: Archive,
) -> None:
    put(archive, *map(parcel, range(4)), *map(officer, range(1, 9)))
    first = {order.waybill_nos for order in made(archive, "D1", count=3)}
    rest = {order.waybill_nos for order in made(archive, "D2", count=3)}
    assert (len(first), len(rest), first & rest) == (3, 1, set())
    with pytest.raises(CentreRefused, match="nothing to draw"):
        made(archive, "D3")
    withdraw_order(archive, "site", "D1-0001", BY, AT)
    assert len(made(archive, "D4")) == 1
    assert len(made(archive, "D5", cause=OrderCause.CREDIT)) == 3


def test_a_spot_check_is_no_cause_of_its_own_and_draws_no_parcel_another_cause_had_drawn(
    archive: Archive,
) -> None:
    put(archive, *map(parcel, range(4)), *map(officer, range(1, 9)))
    first = {order.waybill_nos for order in made(archive, "D1", count=3, cause=OrderCause.CREDIT)}
    rest = {order.waybill_nos for order in made(archive, "D2", count=3)}
    assert (len(first), len(rest), first & rest) == (3, 1, set())


def test_only_who_is_authorised_active_and_free_is_drawn(archive: Archive) -> None:
    put(
        archive,
        *map(parcel, range(9)),
        officer(1),
        officer(2, authorisations=("patrol",)),
        officer(3, state=OfficerState.REVOKED),
        officer(4, valid_until=UtcText("2026-01-01T00:00:00Z")),
        officer(5),
        officer(6),
    )
    for number, who in (("XD-1", "4604005"), ("XD-2", "4604006")):
        order = InspectionOrder(
            order_no=number, waybill_nos=(WaybillNo("SF9999999999999"),), cause=OrderCause.OFFICER,
            officers=(who,), issued=UtcText(AT), issued_by="x",
        )  # fmt: skip
        issue_order(archive, "site", order, BY)
    put(archive, OrderStanding(order_no="XD-2", step="found", officers=("4604006",)))
    assert {who for order in made(archive) for who in order.officers} == {"4604001", "4604006"}
    with pytest.raises(CentreRefused, match="expected at least 1 officers"):
        made(archive, "D2")


@pytest.mark.parametrize(
    "wrong", [{"count": 0}, {"count": 2_001}, {"officers_each": 3}, {"draw_no": "x" * 49}]
)
def test_a_draw_beyond_its_bounds_is_refused(archive: Archive, wrong: dict[str, Any]) -> None:
    with pytest.raises(CentreRefused, match="expected"):
        made(archive, **{"count": 1, **wrong})


def test_a_draw_number_is_used_once_and_what_is_not_there_is_not_drawn(archive: Archive) -> None:
    put(archive, parcel(1), parcel(2, state="cancelled"), officer(1), officer(2))
    assert len(made(archive)) == 1
    with pytest.raises(CentreRefused, match="made already"):
        made(archive)


def test_the_urns_of_an_order_can_be_checked_by_anybody(archive: Archive) -> None:
    put(archive, *map(parcel, range(6)), officer(1), officer(2))
    (order, *_) = made(archive, count=1)
    urn = [str(parcel(number).waybill_no) for number in range(6)]
    assert order.draw.goods_sha256 == sha256_of(urn)
    assert order.draw.officers_sha256 == sha256_of(["4604001", "4604002"])
    assert json.loads(to_json(order))["draw"]["place"] == 1
