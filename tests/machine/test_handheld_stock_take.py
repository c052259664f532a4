"""Stock-take: the book against the shelf, what differs twice, a blind count that shows nothing."""

from __future__ import annotations

from decimal import Decimal

import pytest

from edge.handheld import stock_take
from edge.handheld.effects import Commit, LookUp, Tone, Wanted
from edge.handheld.events import EffectFailed, Scanned, StockFindings
from edge.handheld.stock_take import (
    BlindChosen,
    GoodsFound,
    RoundClosed,
    RowCounted,
    StockTakeView,
    TakeCloseAsked,
    TakeDropped,
)
from sync.vocabulary.records import StockRow
from tests.machine.handheld_plays import Play

ROWS = tuple(
    StockRow(row_no=str(number), location="A-1", sku=f"SKU-{number}", quantity=Decimal(quantity), unit="件")
    for number, quantity in ((1, "10"), (2, "5.50"), (3, "7"))
)


def opened(*, blind: bool = False) -> Play:
    stage = Play(stock_take.State(), stock_take.step).tell(BlindChosen(blind), Scanned("A-1"))
    assert (stage.only(LookUp).wanted, stage.only(LookUp).text) == (Wanted.STOCK, "A-1")
    return stage.found(StockFindings("A-1", ROWS))


def shown(stage: Play) -> StockTakeView:
    return stock_take.view(stage.state, stage.context)


def count(stage: Play, **counts: str) -> Play:
    return stage.tell(*(RowCounted(row[1:], counted) for row, counted in counts.items()))


def test_a_shelf_as_booked_is_counted_once_and_closed() -> None:
    stage = count(opened(), r1="10", r2="5.5", r3="7.0").tell(RoundClosed())
    assert (shown(stage).phase, shown(stage).equal) == ("closing", 3)
    stage.tell(TakeCloseAsked())
    assert stage.kinds() == [*["stock_counted"] * 3, "stock_take_closed"]
    (closed,) = stage.facts("stock_take_closed")
    assert (closed.rows, closed.equal, closed.differing, closed.not_counted) == (3, 3, 0, 0)
    assert shown(stage).phase == "closed"


def test_what_differs_is_counted_a_second_time_and_only_that() -> None:
    stage = count(opened(), r1="9", r2="5.5", r3="7").tell(RoundClosed())
    view = shown(stage)
    assert (view.phase, view.round, view.to_count, stage.tones()) == ("recounting", 2, 1, [Tone.INSPECT])
    assert [row.state for row in view.rows] == ["to_recount", "equal", "equal"]
    count(stage, r2="4")
    assert shown(stage).rows[1].counted == "5.5"
    count(stage, r1="10").tell(RoundClosed(), TakeCloseAsked())
    counted = [(fact.row_no, fact.round, fact.booked, fact.counted) for fact in stage.facts("stock_counted")]
    assert counted == [("1", 1, "10", "9"), ("2", 1, "5.50", "5.5"), ("3", 1, "7", "7"), ("1", 2, "10", "10")]
    (closed,) = stage.facts("stock_take_closed")
    assert (closed.equal, closed.differing) == (3, 0)


def test_what_is_counted_again_and_what_still_differs_stands_above_what_agrees() -> None:
    stage = count(opened(), r1="10", r2="5", r3="6").tell(RoundClosed())
    assert [row.row_no for row in shown(stage).rows] == ["2", "3", "1"]
    count(stage, r2="5.5")
    assert [row.row_no for row in shown(stage).rows] == ["3", "1", "2"]
    count(stage, r3="6").tell(RoundClosed())
    assert [(row.row_no, row.state) for row in shown(stage).rows] == [
        ("3", "differs"), ("1", "equal"), ("2", "equal"),
    ]  # fmt: skip


def test_a_difference_that_stays_is_in_the_closing() -> None:
    stage = count(opened(), r1="9", r2="5.5", r3="7").tell(RoundClosed())
    count(stage, r1="9").tell(RoundClosed())
    assert (shown(stage).phase, shown(stage).differing) == ("closing", 1)
    (closed,) = stage.tell(TakeCloseAsked()).facts("stock_take_closed")
    assert (closed.equal, closed.differing) == (2, 1)


def test_a_blind_count_shows_no_quantity_of_the_book_before_it_is_closed() -> None:
    stage = count(opened(blind=True), r1="9", r2="5.5")
    assert {(row.booked, row.first_count, row.state) for row in shown(stage).rows} == {
        ("", "", "counted"), ("", "", "to_count"),
    }  # fmt: skip
    assert (shown(stage).equal, shown(stage).differing) == (0, 0)
    count(stage, r3="7").tell(RoundClosed())
    assert {(row.booked, row.first_count) for row in shown(stage).rows} == {("", "")}
    count(stage, r1="9").tell(RoundClosed())
    assert [row.booked for row in shown(stage).rows] == ["10", "5.50", "7"]
    assert [fact.blind for fact in stage.facts("stock_counted")] == [True] * 4


def test_goods_the_book_does_not_have_here_are_written_down_and_counted_twice() -> None:
    stage = count(opened(), r1="10", r2="5.5", r3="7").tell(GoodsFound("SKU-9", "3"), RoundClosed())
    assert (shown(stage).phase, shown(stage).not_in_book) == ("recounting", 1)
    count(stage, **{"r+1": "3"}).tell(RoundClosed(), TakeCloseAsked())
    extra = [fact for fact in stage.facts("stock_counted") if not fact.row_no]
    assert [(fact.sku, fact.booked, fact.round) for fact in extra] == [("SKU-9", "", 1), ("SKU-9", "", 2)]
    (closed,) = stage.facts("stock_take_closed")
    assert (closed.rows, closed.not_in_book) == (3, 1)


def test_a_round_is_not_closed_while_a_row_is_not_counted() -> None:
    stage = count(opened(), r1="10").tell(RoundClosed())
    assert (shown(stage).phase, stage.facts(), shown(stage).to_count) == ("counting", [], 2)


def test_a_take_is_closed_early_only_with_a_reason_and_tells_what_was_counted() -> None:
    stage = count(opened(), r1="10").tell(TakeCloseAsked(""))
    assert stage.facts() == []
    stage.tell(TakeCloseAsked("火警"))
    (closed,) = stage.facts("stock_take_closed")
    assert (closed.not_counted, closed.equal, closed.why) == (2, 1, "火警")
    assert len(stage.facts("stock_counted")) == 1


@pytest.mark.parametrize("counted", ["-1", "1e9", "ten", "1,5", "NaN", "0x10", "12345678901"])
def test_what_is_no_quantity_is_said_and_not_kept(counted: str) -> None:
    stage = count(opened(), r1=counted)
    assert (shown(stage).rows[0].counted, stage.tones()) == ("", [Tone.ERROR])


def test_a_label_brings_its_row_to_the_front_and_an_unknown_one_is_said() -> None:
    stage = opened().tell(Scanned("SKU-2"))
    assert [row.is_in_front for row in shown(stage).rows] == [False, True, False]
    assert stage.tell(Scanned("SKU-8")).tones() == [Tone.ERROR]


def test_no_such_shelf_begins_nothing() -> None:
    stage = Play(stock_take.State(), stock_take.step).tell(Scanned("Z-9")).found(StockFindings())
    assert (shown(stage).phase, stage.tones()) == ("shelf_wanted", [Tone.ERROR])


def test_a_take_is_dropped_only_with_a_reason() -> None:
    stage = count(opened(), r1="10").tell(TakeDropped(""))
    assert stage.state.take is not None
    stage.tell(TakeDropped("错库位"))
    (dropped,) = stage.facts("draft_dropped")
    assert (dropped.number, dropped.held) == ("A-1", "1 of 3 rows counted, round 1")


def test_what_could_not_be_written_is_still_to_be_closed() -> None:
    stage = count(opened(), r1="9", r2="5.5", r3="7").tell(RoundClosed())
    stage.tell(EffectFailed(stage.only(Commit), "disk full"))
    assert (shown(stage).phase, shown(stage).rows[0].counted) == ("counting", "9")
    count(stage, r1="10").tell(RoundClosed(), TakeCloseAsked())
    stage.tell(EffectFailed(stage.only(Commit), "disk full"))
    assert shown(stage).phase == "closing"


def test_who_is_not_authorised_counts_nothing() -> None:
    stage = Play(stock_take.State(), stock_take.step)
    stage.authorisations = ("inspect",)
    stage.tell(Scanned("A-1"))
    assert [effect for effect in stage.effects if isinstance(effect, LookUp)] == []
    assert shown(stage).phase == "shelf_wanted"
