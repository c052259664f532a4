"""Patrol (巡查): a route of codes on walls, walked in order and in time; what is skipped says why.

Every point seen or skipped is a fact at once. A wrong label is said and counts for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from edge.handheld import words
from edge.handheld.context import Context
from edge.handheld.effects import Commit, Effect, LookUp, Sound, Told, Tone, WakeAfter, Wanted
from edge.handheld.events import EffectFailed, Found, RouteFindings, Scanned, TimePassed
from edge.handheld.numbering import number_for
from edge.handheld.view import both
from sync.vocabulary import handheld_facts as fact
from sync.vocabulary.facts import FactData, Stream
from sync.vocabulary.records import PatrolPoint, PatrolRoute
from sync.vocabulary.rulings import Text


@dataclass(frozen=True, slots=True)
class RoutesAsked:
    pass


@dataclass(frozen=True, slots=True)
class RouteBegun:
    route_no: str


@dataclass(frozen=True, slots=True)
class PointSkipped:
    """The next one on the route, or the one of this code."""

    why: str
    code: str = ""


@dataclass(frozen=True, slots=True)
class PointRemarked:
    """What was seen at the last point."""

    text: str


@dataclass(frozen=True, slots=True)
class PatrolEndAsked:
    """Points not seen are missed for this reason."""

    why: str = ""


Intent = RoutesAsked | RouteBegun | PointSkipped | PointRemarked | PatrolEndAsked
"""A checkpoint's label is `Scanned`."""


@dataclass(frozen=True, slots=True)
class RouteRow:
    route_no: str
    name: Text
    points: int
    due: Text | None
    is_due: bool


@dataclass(frozen=True, slots=True)
class PointShown:
    code: str
    name: Text
    order: int
    state: Literal["next", "to_come", "seen", "late", "skipped"]
    left_s: float | None
    """With `next` and a time limit: until it is late; negative: over it."""
    text: Text | None
    """When it was seen, or why it was skipped."""


@dataclass(frozen=True, slots=True)
class PatrolView:
    phase: Literal["routes", "walking", "ended"]
    routes: tuple[RouteRow, ...]
    route: Text | None
    points: tuple[PointShown, ...]
    next_point: PointShown | None
    seen: int
    missed: int
    left: int
    lasted_s: float
    told: Text | None
    """Wrong point, seen already, no such route."""
    is_wrong: bool
    """What is told is about a label that counts for nothing here."""
    may_end: bool
    end_needs_reason: bool


# --- what is kept -------------------------------------------------------------------------------------------

PATROL: Final = "patrol"
"""Authorisation."""
LATE: Final = "patrol.late"
"""Timer."""
MOST_ROUTES: Final = 20
MOST_TEXT: Final = 200


class Done(msgspec.Struct, frozen=True, array_like=True):
    """A point that was seen or skipped."""

    code: str
    state: Literal["seen", "late", "skipped"]
    utc: str
    why: str = ""


class Walk(msgspec.Struct, frozen=True, kw_only=True):
    patrol_id: str
    route: PatrolRoute
    began_s: float
    last_s: float
    """When the last point was seen, or the patrol began. Monotonic: after the device was switched off and on
    the time to the next point is not known and counts as none."""
    done: tuple[Done, ...] = ()
    out_of_order: int = 0
    late: int = 0


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    name: Text
    seen: int
    missed: int
    lasted_s: float


class State(msgspec.Struct, frozen=True, kw_only=True):
    """Kept with the memory: a patrol under way outlives a restart."""

    request: int = 0
    is_looking: bool = False
    routes: tuple[PatrolRoute, ...] = ()
    """As last looked up."""
    walk: Walk | None = None
    last: Ended | None = None
    before: tuple[Walk | None, Ended | None] | None = None
    """As it was before the last commit: what comes back where that fails."""
    told: Text | None = None
    is_wrong: bool = False


Event = Intent | Scanned | Found | TimePassed | EffectFailed

# --- steps --------------------------------------------------------------------------------------------------


def step(state: State, context: Context, event: Event) -> tuple[State, tuple[Effect, ...]]:
    if isinstance(event, EffectFailed):
        return _not_written(state, event), ()
    after, effects = _step(state, context, event)
    if any(isinstance(effect, Commit) for effect in effects):
        after = _changed(after, before=(state.walk, state.last))
    return after, effects


def _not_written(state: State, failed: EffectFailed) -> State:
    """Nothing of that transaction happened: the point was not seen, the patrol not begun or not ended."""
    is_ours = isinstance(failed.effect, Commit) and any(
        isinstance(each.data, _OURS) for each in failed.effect.facts
    )
    if not is_ours or state.before is None:
        return state
    walk, last = state.before
    told = Text("未能记录，请再试", "It could not be recorded: try again")
    return _changed(state, walk=walk, last=last, before=None, told=told, is_wrong=True)


_OURS = fact.PatrolBegun | fact.PointSeen | fact.PointMissed | fact.PointRemarked | fact.PatrolEnded


def _step(
    state: State, context: Context, event: Intent | Scanned | Found | TimePassed
) -> tuple[State, tuple[Effect, ...]]:
    match event:
        case RoutesAsked():
            asked = _changed(state, request=state.request + 1, is_looking=True, told=None, is_wrong=False)
            return asked, (LookUp(asked.request, Wanted.ROUTES),)
        case Found(request, RouteFindings(routes)) if request == state.request and state.is_looking:
            valid = tuple(route for route in routes if route.valid_until >= context.utc)
            return _changed(state, is_looking=False, routes=valid[:MOST_ROUTES]), ()
        case RouteBegun(route_no):
            return _begin(state, context, route_no)
        case Scanned(text) if state.walk is not None:
            return _seen(state, state.walk, context, text.strip())
        case Scanned():
            return _said(state, Text("请先选择巡查路线", "Choose a route first"), wrong=True)
        case PointSkipped(why, code) if state.walk is not None:
            return _skip(state, state.walk, context, why.strip()[:MOST_TEXT], code)
        case PointRemarked(text) if state.walk is not None:
            return _remark(state, state.walk, context, text.strip()[:MOST_TEXT])
        case PatrolEndAsked(why) if state.walk is not None:
            return _end(state, state.walk, context, why.strip()[:MOST_TEXT])
        case TimePassed(name) if name == LATE and state.walk is not None:
            return _late(state, state.walk, context)
        case _:
            return state, ()


def _begin(state: State, context: Context, route_no: str) -> tuple[State, tuple[Effect, ...]]:
    route = next((route for route in state.routes if route.route_no == route_no), None)
    if state.walk is not None:
        return _said(state, Text("请先结束当前巡查", "End the patrol under way first"))
    if route is None:
        return _said(state, Text(f"无此路线 {route_no}", f"No such route: {route_no}"))
    if context.officer is None or not context.may(PATROL):
        return _said(state, Text("无巡查授权", "You are not authorised for patrols"))
    number = state.request + 1
    walk = Walk(
        patrol_id=number_for("PC", context, number), route=route, began_s=context.at_s, last_s=context.at_s
    )
    began = fact.PatrolBegun(
        patrol_id=walk.patrol_id,
        route_no=route.route_no,
        officer=context.officer.officer_no,
        points=len(route.points),
    )
    state = _changed(state, request=number, walk=walk, last=None, told=None, is_wrong=False)
    return state, (_commit(began), *_wake(walk))


def _seen(state: State, walk: Walk, context: Context, text: str) -> tuple[State, tuple[Effect, ...]]:
    point = next((point for point in walk.route.points if point.code == text), None)
    if context.officer is None:
        return _said(state, Text("请先登录", "Sign in first"))
    if point is None:
        return _said(
            state, Text(f"不是本路线的点：{text[:40]}", f"Not on this route: {text[:40]}"), wrong=True
        )
    before = next((done for done in walk.done if done.code == text), None)
    if before is not None and before.state != "skipped":
        return _said(state, Text("此点已巡", "This point was seen already"), wrong=True)
    ahead = next_point(walk)
    in_order = before is None and (walk.route.any_order or ahead is None or point.code == ahead.code)
    if before is None and not in_order and ahead is not None:
        told = Text(
            f"应先到第 {ahead.order} 点 {ahead.name_zh}，或说明原因跳过",
            f"Point {ahead.order} comes first: {ahead.name_en}. Go there, or skip it with a reason",
        )
        return _said(state, told, wrong=True)
    after_s = max(0.0, context.at_s - walk.last_s)
    late_s = max(0.0, after_s - point.within_s) if point.within_s else 0.0
    seen = fact.PointSeen(
        patrol_id=walk.patrol_id,
        route_no=walk.route.route_no,
        code=point.code,
        officer=context.officer.officer_no,
        order=point.order,
        in_order=in_order,
        after_s=after_s,
        late_s=late_s,
    )
    done = tuple(each for each in walk.done if each.code != text)
    walk = msgspec.structs.replace(
        walk,
        last_s=context.at_s,
        done=(*done, Done(text, "late" if late_s else "seen", context.utc)),
        out_of_order=walk.out_of_order + (not in_order),
        late=walk.late + (late_s > 0),
    )
    state = _changed(state, walk=walk, told=None, is_wrong=False)
    return state, (_commit(seen), Sound(Tone.RELEASE), *_wake(walk))


def _skip(
    state: State, walk: Walk, context: Context, why: str, code: str
) -> tuple[State, tuple[Effect, ...]]:
    ahead = next_point(walk)
    point = ahead if not code else next((each for each in left(walk) if each.code == code), None)
    if point is None or context.officer is None:
        return _said(state, Text("没有可跳过的点", "There is no such point left to skip"))
    if not why:
        return _said(state, Text("请说明跳过原因", "Say why it is skipped"))
    missed = fact.PointMissed(
        patrol_id=walk.patrol_id,
        route_no=walk.route.route_no,
        code=point.code,
        officer=context.officer.officer_no,
        order=point.order,
        why=why,
    )
    skipped = Done(point.code, "skipped", context.utc, why)
    walk = msgspec.structs.replace(walk, done=(*walk.done, skipped))
    return _changed(state, walk=walk, told=None, is_wrong=False), (_commit(missed), *_wake(walk))


def _remark(state: State, walk: Walk, context: Context, text: str) -> tuple[State, tuple[Effect, ...]]:
    if not walk.done or not text or context.officer is None:
        return _said(state, Text("尚未到点", "No point was seen yet"))
    remark = fact.PointRemarked(
        patrol_id=walk.patrol_id,
        route_no=walk.route.route_no,
        code=walk.done[-1].code,
        officer=context.officer.officer_no,
        text=text,
    )
    return _changed(state, told=Text("已记录", "Noted"), is_wrong=False), (_commit(remark),)


def _end(state: State, walk: Walk, context: Context, why: str) -> tuple[State, tuple[Effect, ...]]:
    remaining = left(walk)
    if context.officer is None:
        return _said(state, Text("请先登录", "Sign in first"))
    if remaining and not why:
        told = Text(
            f"还有 {len(remaining)} 点未巡，请说明原因", f"{len(remaining)} points were not seen: say why"
        )
        return _said(state, told)
    officer = context.officer.officer_no
    missed = [
        fact.PointMissed(
            patrol_id=walk.patrol_id,
            route_no=walk.route.route_no,
            code=point.code,
            officer=officer,
            order=point.order,
            why=why,
        )
        for point in remaining
    ]
    skipped = sum(done.state == "skipped" for done in walk.done)
    ended = Ended(
        name=Text(walk.route.name_zh, walk.route.name_en),
        seen=len(walk.done) - skipped,
        missed=len(missed) + skipped,
        lasted_s=max(0.0, context.at_s - walk.began_s),
    )
    told_end = fact.PatrolEnded(
        patrol_id=walk.patrol_id,
        route_no=walk.route.route_no,
        officer=officer,
        seen=ended.seen,
        missed=ended.missed,
        out_of_order=walk.out_of_order,
        late=walk.late,
        lasted_s=ended.lasted_s,
    )
    return _changed(state, walk=None, last=ended, told=None, is_wrong=False), (_commit(*missed, told_end),)


def _late(state: State, walk: Walk, context: Context) -> tuple[State, tuple[Effect, ...]]:
    point = next_point(walk)
    if point is None or not point.within_s or context.at_s - walk.last_s < point.within_s:
        return state, ()
    told = Text(f"第 {point.order} 点已超时", f"Point {point.order} is late")
    return _changed(state, told=told), (Sound(Tone.INSPECT),)


def left(walk: Walk) -> tuple[PatrolPoint, ...]:
    """Neither seen nor skipped, in the route's order."""
    done = {each.code for each in walk.done}
    points = sorted(walk.route.points, key=lambda point: point.order)
    return tuple(point for point in points if point.code not in done)


def next_point(walk: Walk) -> PatrolPoint | None:
    return next(iter(left(walk)), None)


def _wake(walk: Walk) -> tuple[Effect, ...]:
    point = next_point(walk)
    return (WakeAfter(LATE, float(point.within_s)),) if point is not None and point.within_s else ()


def _said(state: State, told: Text, *, wrong: bool = False) -> tuple[State, tuple[Effect, ...]]:
    return _changed(state, told=told, is_wrong=wrong), (Sound(Tone.ERROR),)


def _commit(*facts: FactData) -> Commit:
    return Commit(tuple(Told(Stream.ROUTINE, data) for data in facts))


def _changed(state: State, **changes: object) -> State:
    return msgspec.structs.replace(state, **changes)


# --- the view -----------------------------------------------------------------------------------------------


def view(state: State, context: Context) -> PatrolView:
    walk = state.walk
    points = () if walk is None else _points(walk, context)
    last = state.last
    phase: Literal["routes", "walking", "ended"] = "routes"
    if walk is not None:
        phase = "walking"
    elif last is not None:
        phase = "ended"
    seen = sum(point.state in ("seen", "late") for point in points)
    missed = sum(point.state == "skipped" for point in points)
    name = None if walk is None else Text(walk.route.name_zh, walk.route.name_en)
    return PatrolView(
        phase=phase,
        routes=tuple(
            RouteRow(
                route_no=route.route_no,
                name=Text(route.name_zh, route.name_en),
                points=len(route.points),
                due=None if route.due is None else _due(words.moment(route.due, context.site)),
                is_due=route.due is not None and context.utc > route.due,
            )
            for route in state.routes
        ),
        route=last.name if name is None and last is not None else name,
        points=points,
        next_point=next((point for point in points if point.state == "next"), None),
        seen=seen if last is None else last.seen,
        missed=missed if last is None else last.missed,
        left=0 if walk is None else len(left(walk)),
        lasted_s=max(0.0, context.at_s - walk.began_s)
        if walk is not None
        else last.lasted_s
        if last is not None
        else 0.0,
        told=state.told,
        is_wrong=state.is_wrong,
        may_end=walk is not None,
        end_needs_reason=walk is not None and bool(left(walk)),
    )


def _due(moment: str) -> Text:
    return Text(f"期限 {moment}", f"Due {moment}")


def _points(walk: Walk, context: Context) -> tuple[PointShown, ...]:
    done = {each.code: each for each in walk.done}
    ahead = next_point(walk)
    shown: list[PointShown] = []
    for point in sorted(walk.route.points, key=lambda point: point.order):
        was = done.get(point.code)
        is_next = ahead is not None and ahead.code == point.code
        left_s = walk.last_s + point.within_s - context.at_s if is_next and point.within_s else None
        shown.append(
            PointShown(
                code=point.code,
                name=Text(point.name_zh, point.name_en),
                order=point.order,
                state=was.state if was is not None else "next" if is_next else "to_come",
                left_s=left_s,
                text=None if was is None else both(was.why or words.moment(was.utc, context.site)),
            )
        )
    return tuple(shown)
