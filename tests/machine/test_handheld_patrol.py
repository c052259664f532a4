"""Patrol: in order and in time; a wrong label counts for nothing; what is skipped says why."""

from __future__ import annotations

import msgspec
import pytest

from edge.handheld import patrol
from edge.handheld.effects import Commit, Sound, Tone, WakeAfter
from edge.handheld.events import EffectFailed, RouteFindings, Scanned, TimePassed
from edge.handheld.patrol import (
    PatrolEndAsked,
    PatrolView,
    PointRemarked,
    PointSkipped,
    RouteBegun,
    RoutesAsked,
)
from sync.vocabulary.numbers import UtcText
from sync.vocabulary.records import PatrolPoint, PatrolRoute
from tests.machine.handheld_plays import LATER, Play

ROUTE = PatrolRoute(
    route_no="R-1",
    name_zh="东库",
    name_en="East store",
    points=tuple(
        PatrolPoint(
            code=f"KKP:{number}", name_zh=f"{number}号", name_en=f"No {number}", order=number, within_s=120
        )
        for number in (1, 2, 3)
    ),
    valid_until=LATER,
)
OVER = msgspec.structs.replace(ROUTE, route_no="R-0", valid_until=UtcText("2026-01-01T00:00:00Z"))


def begun(route: PatrolRoute = ROUTE) -> Play:
    stage = Play(patrol.State(), patrol.step).tell(RoutesAsked())
    return stage.found(RouteFindings((OVER, route))).tell(RouteBegun(route.route_no))


def shown(stage: Play) -> PatrolView:
    return patrol.view(stage.state, stage.context)


def seen(stage: Play, number: int, after_s: float = 30.0) -> Play:
    stage.at_s += after_s
    return stage.tell(Scanned(f"KKP:{number}"))


def test_a_route_is_walked_point_by_point_and_ended() -> None:
    stage = begun()
    for number in (1, 2, 3):
        point = shown(stage).next_point
        assert point is not None
        assert (point.order, point.left_s) == (number, 120.0)
        seen(stage, number)
    stage.tell(PatrolEndAsked())
    assert stage.kinds() == ["patrol_begun", *["point_seen"] * 3, "patrol_ended"]
    assert [(fact.order, fact.in_order, fact.after_s, fact.late_s) for fact in stage.facts("point_seen")] == [
        (1, True, 30.0, 0.0), (2, True, 30.0, 0.0), (3, True, 30.0, 0.0),
    ]  # fmt: skip
    (ended,) = stage.facts("patrol_ended")
    assert (ended.seen, ended.missed, ended.late, ended.out_of_order, ended.lasted_s) == (3, 0, 0, 0, 90.0)
    assert shown(stage).phase == "ended"


def test_routes_that_are_over_are_not_offered() -> None:
    stage = Play(patrol.State(), patrol.step).tell(RoutesAsked()).found(RouteFindings((OVER, ROUTE)))
    assert [row.route_no for row in shown(stage).routes] == ["R-1"]


@pytest.mark.parametrize(
    ("code", "says"), [("KKP:9", "Not on this route"), ("KKP:2", "Point 1 comes first"), ("", "Not on")]
)
def test_a_wrong_point_is_said_and_counts_for_nothing(code: str, says: str) -> None:
    stage = begun().tell(Scanned(code))
    view = shown(stage)
    assert (view.seen, view.is_wrong, stage.tones(), stage.facts("point_seen")) == (0, True, [Tone.ERROR], [])
    assert view.told is not None
    assert says in view.told.en


def test_a_point_seen_twice_is_one_point() -> None:
    stage = seen(begun(), 1).tell(Scanned("KKP:1"))
    assert (len(stage.facts("point_seen")), shown(stage).is_wrong) == (1, True)


def test_a_point_is_skipped_only_with_a_reason_and_found_later_it_is_out_of_order() -> None:
    stage = begun().tell(PointSkipped(" "))
    assert stage.facts("point_missed") == []
    stage.tell(PointSkipped("门锁"))
    (missed,) = stage.facts("point_missed")
    assert (missed.code, missed.why) == ("KKP:1", "门锁")
    seen(seen(stage, 2), 1)
    assert [fact.in_order for fact in stage.facts("point_seen")] == [True, False]
    seen(stage, 3).tell(PatrolEndAsked())
    (ended,) = stage.facts("patrol_ended")
    assert (ended.seen, ended.missed, ended.out_of_order) == (3, 0, 1)


def test_a_late_point_is_told_when_its_time_is_over_and_in_its_fact() -> None:
    stage = begun()
    assert stage.only(WakeAfter).seconds == 120.0
    stage.at_s += 119.0
    assert stage.tell(TimePassed(patrol.LATE)).last == ()
    stage.at_s += 1.0
    stage.tell(TimePassed(patrol.LATE))
    assert stage.tones() == [Tone.INSPECT]
    seen(stage, 1, after_s=10.0)
    (fact,) = stage.facts("point_seen")
    assert (fact.after_s, fact.late_s, shown(stage).points[0].state) == (130.0, 10.0, "late")


def test_points_left_are_missed_for_the_reason_the_end_gives() -> None:
    stage = seen(begun(), 1).tell(PatrolEndAsked(""))
    assert stage.facts("patrol_ended") == []
    stage.tell(PatrolEndAsked("火警"))
    assert [(fact.code, fact.why) for fact in stage.facts("point_missed")] == [
        ("KKP:2", "火警"), ("KKP:3", "火警"),
    ]  # fmt: skip
    (ended,) = stage.facts("patrol_ended")
    assert (ended.seen, ended.missed) == (1, 2)


def test_any_order_is_an_order_where_the_route_says_so() -> None:
    stage = seen(begun(msgspec.structs.replace(ROUTE, any_order=True)), 3)
    assert [fact.in_order for fact in stage.facts("point_seen")] == [True]


def test_a_patrol_outlives_a_power_cut_and_a_clock_that_began_anew() -> None:
    stage = seen(begun(), 1).power_cut()
    assert (shown(stage).phase, shown(stage).seen, shown(stage).lasted_s) == ("walking", 1, 0.0)
    stage.at_s = 6.0
    stage.tell(Scanned("KKP:2"))
    assert [fact.late_s for fact in stage.facts("point_seen")] == [0.0, 0.0]


def test_what_was_seen_at_a_point_is_a_fact() -> None:
    stage = begun().tell(PointRemarked("early"))
    assert stage.facts("point_remarked") == []
    stage = seen(stage, 1).tell(PointRemarked("灯坏"))
    (remark,) = stage.facts("point_remarked")
    assert (remark.code, remark.text) == ("KKP:1", "灯坏")


def test_what_could_not_be_written_did_not_happen() -> None:
    stage = seen(begun(), 1)
    stage.tell(EffectFailed(stage.only(Commit), "disk full"))
    assert (shown(stage).seen, shown(stage).is_wrong) == (0, True)
    seen(stage, 1).tell(PatrolEndAsked("火警"))
    stage.tell(EffectFailed(stage.only(Commit), "disk full"))
    assert (shown(stage).phase, shown(stage).seen) == ("walking", 1)
    stage.tell(EffectFailed(Commit(), "disk full"), EffectFailed(Sound(Tone.ERROR), "no sound"))
    assert (shown(stage).phase, shown(stage).seen) == ("walking", 1)


def test_who_is_not_authorised_or_not_there_walks_nothing() -> None:
    stage = Play(patrol.State(), patrol.step)
    stage.authorisations = ()
    stage.tell(RoutesAsked()).found(RouteFindings((ROUTE,))).tell(RouteBegun("R-1"))
    assert (stage.facts(), shown(stage).phase) == ([], "routes")
    stage = begun()
    stage.officer = None
    seen(stage, 1).tell(PointSkipped("x"), PatrolEndAsked("x"))
    assert stage.kinds() == ["patrol_begun"]
