"""Who is held in which lane, told down as records: whatever order, epoch or number of times the lane's facts
come in, the row is of the hold that lasts, and it leaves with it."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest

from sync.hub.archive import RecordChange
from sync.hub.terms import Limits
from sync.vocabulary.codec import from_json, to_json
from sync.vocabulary.facts import (
    Fact,
    FactData,
    LaneStarted,
    PassageClosed,
    PassageOpened,
    RaiseOrdered,
    RulingMade,
)
from sync.vocabulary.numbers import UtcText
from sync.vocabulary.records import Direction, HeldPassage, Site, SiteLane
from sync.vocabulary.rulings import Because, Reason, Ruling, Verdict
from tests.postgres import ON_SQLITE, Place
from tests.unit.test_hub_device import AT, Bench, Device, at, feed

SITE = Site(
    site="zz",
    name_zh="郑州",
    name_en="Zhengzhou",
    lanes=(SiteLane(lane="lane-in", direction=Direction.IN),),
)
STARTED = LaneStarted(version="1", config_digest="d", boot_id="b")


def ruled(passage: int = 7, verdict: Verdict = Verdict.HOLD, **changes: Any) -> RulingMade:
    fields: dict[str, Any] = {
        "passage": passage,
        "ruling": Ruling(verdict, (Because(Reason.WEIGHT_JUMPED),)),
        "direction": "I",
        "plate": "豫A12345",
        "slips": ("Z3111I240728000000000003",),
        "owner": "lane_officer",
        "ways": ("back_out", "release"),
        "texts_zh": ("重量突变",),
        "texts_en": ("The weight jumped",),
    }
    return RulingMade(**{**fields, **changes})


def ordered(passage: int = 7, purpose: str = "admit") -> RaiseOrdered:
    return RaiseOrdered(passage=passage, order_id=f"o{passage}", purpose=purpose)


def closed(passage: int = 7) -> PassageClosed:
    return PassageClosed(passage=passage, outcome="backed_out", lane_s=10.0)


@pytest.fixture
def lane() -> Device:
    return Device()


@pytest.fixture
def bench(place: Place, lane: Device) -> Bench:
    bench = Bench(place, lane, limits=Limits(held_longest_s=3_600.0))
    with bench.archive.transaction():
        bench.archive.add_scope("elsewhere")
        change = RecordChange("site", "zz", to_json(SITE).decode())
        bench.archive.apply_changes("site", [change], at(0))
    return bench


def tell(bench: Bench, lane: Device, *said: FactData) -> None:
    for data in said:
        hear(bench, lane, lane.say(data))


def hear(bench: Bench, lane: Device, *facts: Fact) -> None:
    for fact in facts:
        assert bench.facts(lane, lane.batch([fact]), at_utc=at(1))


def held(bench: Bench, scope: str = "site") -> HeldPassage | None:
    body = bench.archive.record("held_passages", "lane-in", scope)
    return None if body is None else from_json(body, HeldPassage)


def moves(bench: Bench) -> list[tuple[str, str]]:
    return [
        (scope, op)
        for scope, op in bench.rows(
            "SELECT scope, op FROM log WHERE collection = 'held_passages' ORDER BY number"
        )
    ]


def test_a_hold_goes_down_with_what_an_officer_needs_and_only_where_the_lane_is(
    bench: Bench, lane: Device
) -> None:
    tell(bench, lane, PassageOpened(passage=7), ruled())
    assert held(bench) == HeldPassage(
        lane="lane-in",
        passage=7,
        verdict="hold",
        since=AT,
        plate="豫A12345",
        slip_nos=("Z3111I240728000000000003",),
        reasons_zh=("重量突变",),
        reasons_en=("The weight jumped",),
        owner="lane_officer",
        ways=("back_out", "release"),
        told=UtcText(at(1)),
    )
    assert held(bench, "elsewhere") is None
    batches = [each for each in feed(bench.receiver.tick(at(2))) if each.scope == "site"]
    assert [change.collection for each in batches for change in each.changes] == ["site", "held_passages"]


ENDS: dict[str, tuple[FactData, ...]] = {
    "it backs out": (closed(),),
    "an officer releases it": (ruled(verdict=Verdict.RELEASE), ordered()),
    "it is led to the inspection": (ordered(purpose="inspect"),),
    "the lane starts anew": (STARTED,),
    "another one stands there": (PassageOpened(passage=8),),
}


@pytest.mark.parametrize("name", ENDS)
def test_it_leaves_in_the_log_when(bench: Bench, lane: Device, name: str) -> None:
    tell(bench, lane, ruled(), *ENDS[name])
    assert (held(bench), moves(bench)) == (None, [("site", "put"), ("site", "delete")])


STAYS: dict[str, tuple[FactData, ...]] = {
    "somebody crosses ungated": (PassageOpened(passage=8, gated=False), closed(8)),
    "the arm goes up for safety": (ordered(purpose="safety"),),
    "the passage before it is told late": (closed(6),),
}


@ON_SQLITE
@pytest.mark.parametrize("name", STAYS)
def test_it_stays_though(bench: Bench, lane: Device, name: str) -> None:
    tell(bench, lane, ruled(), *STAYS[name])
    assert held(bench) is not None


def test_another_reason_is_the_same_hold_since_the_first(bench: Bench, lane: Device) -> None:
    first = lane.say(ruled(), time=at(3))
    hear(bench, lane, first, lane.say(ruled(texts_en=("No slip",)), time=at(9)))
    stands = held(bench)
    assert stands is not None
    assert (stands.since, stands.reasons_en) == (at(3), ("No slip",))


ORDERS = tuple(itertools.permutations(range(4)))


def test_the_same_facts_in_any_order_and_twice_leave_nothing_and_no_ghost(place: Place) -> None:
    lanes = [Device(f"lane-{number}") for number in range(len(ORDERS))]
    bench = Bench(place, *lanes)
    everywhere = msgspec.structs.replace(
        SITE, lanes=tuple(SiteLane(lane=lane.name, direction=Direction.IN) for lane in lanes)
    )
    with bench.archive.transaction():
        change = RecordChange("site", "zz", to_json(everywhere).decode())
        bench.archive.apply_changes("site", [change], at(0))
    story = (PassageOpened(passage=7), ruled(), closed(), PassageOpened(passage=8))
    for lane, order in zip(lanes, ORDERS, strict=True):
        facts = [lane.say(data) for data in story]
        hear(bench, lane, *(facts[place] for place in order), *facts)
    assert bench.archive.record_keys("site", "held_passages") == set()


def test_a_hold_that_is_issued_again_after_its_end_is_no_ghost(bench: Bench, lane: Device) -> None:
    """The ruling was not acknowledged, its passage's end was: the next epoch tells only the ruling anew."""
    ruling = ruled()
    lane.say(ruling, time=at(3))
    hear(bench, lane, lane.say(closed(), time=at(9)))
    lane.begin("f" * 32)
    again = lane.say(ruling, time=at(3))
    hear(bench, lane, again)
    assert held(bench) is None


def test_a_restored_lane_that_counts_again_from_where_its_disk_was_is_believed(
    bench: Bench, lane: Device
) -> None:
    tell(bench, lane, ruled(41), closed(41))
    lane.position = 3
    lane.begin("f" * 32)
    hear(bench, lane, lane.say(STARTED, time=at(20)), lane.say(ruled(12), time=at(30)))
    stands = held(bench)
    assert stands is not None
    assert stands.passage == 12


def test_a_lane_that_is_revoked_or_says_nothing_for_long_holds_nobody(bench: Bench, lane: Device) -> None:
    tell(bench, lane, ruled())
    bench.receiver.tick(at(3_000))
    assert held(bench) is not None
    bench.receiver.tick(at(3_700))
    assert held(bench) is None
    tell(bench, lane, closed(), ruled(8))
    with bench.archive.transaction():
        bench.archive.revoke("lane-in")
    bench.receiver.tick(at(3_800))
    assert (held(bench), moves(bench)[-1]) == (None, ("site", "delete"))


@ON_SQLITE
def test_the_longest_words_a_fact_may_carry_still_travel(bench: Bench, lane: Device) -> None:
    tell(bench, lane, ruled(texts_zh=("货" * 4_000,) * 4, texts_en=("x" * 4_000,) * 2, plate="y" * 4_000))
    stands = held(bench)
    assert stands is not None
    assert (len(stands.plate), {len(text) for text in stands.reasons_zh}) == (400, {200})
