"""A board that had no power, and lights whose relays fell, are told once more what to show (S9)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.devices.readings import Order, SetRelay, ShowText
from edge.gate.config import RelaysPart
from edge.gate.effects import SetLights, Show, ShowForAWhile, ShowOwnAgain
from edge.gate.performer import LanePerformer, Things
from edge.runtime.clock import SystemClock
from edge.runtime.ports import OrderNotTaken
from sync.store.journal import Journal
from sync.vocabulary.numbers import Plate, SlipNo

CLOSED = Show("通道关闭 请换道", "Lane closed, use another lane", "red")


class NoLink:
    """A link nobody asks anything of here."""

    def claim(
        self, claim_id: str, passage: int, plate: Plate | None, slip_nos: tuple[SlipNo, ...]
    ) -> None: ...
    def withdraw(self, claim_id: str) -> None: ...
    def facts_waiting(self) -> None: ...


class Cabinet:
    """Takes orders, or refuses them while a port is gone."""

    def __init__(self) -> None:
        self.taken: list[Order] = []
        self.gone = False

    def order(self, device: str, order_id: str, order: Order) -> None:
        if self.gone:
            raise OrderNotTaken(f"{device}: the port is not open")
        self.taken.append(order)


@pytest.fixture
def cabinet() -> Cabinet:
    return Cabinet()


@pytest.fixture
def performer(cabinet: Cabinet, tmp_path: Path) -> Iterator[LanePerformer]:
    journal = Journal.open(tmp_path / "journal.sqlite", device="lane-in-1")
    yield LanePerformer(
        Things(
            lane_id="lane-in-1",
            journal=journal,
            records=lambda: None,
            link=NoLink(),
            order=cabinet.order,
            put=lambda event: None,
            wake_after=lambda timer, seconds: None,
            clock=SystemClock(),
            relays=RelaysPart(open=0, close=1, green=2, red=3),
            draw_key=None,
            clock_must_be_known=False,
            has_board=True,
        )
    )
    journal.close()


def test_the_text_is_written_again_and_not_spoken_again(performer: LanePerformer, cabinet: Cabinet) -> None:
    performer.perform(CLOSED)
    performer.say_again()
    assert [order for order in cabinet.taken if isinstance(order, ShowText)] == [
        ShowText((CLOSED.zh, CLOSED.en), "red", CLOSED.zh),
        ShowText((CLOSED.zh, CLOSED.en), "red", ""),
    ]


def test_a_text_for_a_board_that_was_gone_is_written_when_it_is_back(
    performer: LanePerformer, cabinet: Cabinet
) -> None:
    cabinet.gone = True
    performer.perform(CLOSED)
    cabinet.gone = False
    performer.say_again()
    assert cabinet.taken == [ShowText((CLOSED.zh, CLOSED.en), "red", "")]


def test_lights_are_set_again_after_the_board_with_their_relays_was_lost(
    performer: LanePerformer, cabinet: Cabinet
) -> None:
    performer.perform(SetLights(green=False))
    performer.say_again()
    assert cabinet.taken == [SetRelay(2, on=False), SetRelay(3, on=True)]
    performer.io_is_back()
    performer.say_again()
    assert cabinet.taken == [SetRelay(2, on=False), SetRelay(3, on=True)] * 2


def test_nothing_is_said_again_before_anything_was_said(performer: LanePerformer, cabinet: Cabinet) -> None:
    performer.say_again()
    assert cabinet.taken == []


CENTRES = ShowForAWhile("请稍候", "Please wait", 30.0)


def shown(cabinet: Cabinet) -> list[str]:
    return [order.rows[0] for order in cabinet.taken if isinstance(order, ShowText)]


def test_the_centres_words_stand_in_for_the_lanes_own_until_they_end(
    performer: LanePerformer, cabinet: Cabinet
) -> None:
    performer.perform(CLOSED)
    performer.perform(CENTRES)
    performer.say_again()
    performer.perform(ShowOwnAgain())
    performer.say_again()
    assert shown(cabinet) == [CLOSED.zh, CENTRES.zh, CENTRES.zh, CLOSED.zh, CLOSED.zh]


def test_whatever_the_lane_has_to_say_comes_before_the_centres_words(
    performer: LanePerformer, cabinet: Cabinet
) -> None:
    performer.perform(CENTRES)
    performer.perform(CLOSED)
    performer.perform(ShowOwnAgain())
    performer.say_again()
    assert shown(cabinet) == [CENTRES.zh, CLOSED.zh, CLOSED.zh]


def test_where_the_lane_has_said_nothing_yet_the_centres_words_stay(
    performer: LanePerformer, cabinet: Cabinet
) -> None:
    performer.perform(CENTRES)
    performer.perform(ShowOwnAgain())
    assert shown(cabinet) == [CENTRES.zh]
