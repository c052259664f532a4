"""巡查: where to go next, large; the route with what was seen; what is skipped says why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kivy.lang import Builder
from kivy.properties import ObjectProperty, StringProperty
from kivy.uix.boxlayout import BoxLayout

from edge.handheld.events import Scanned
from edge.handheld.patrol import (
    PatrolEndAsked,
    PatrolView,
    PointRemarked,
    PointShown,
    PointSkipped,
    RouteBegun,
    RoutesAsked,
)
from edge.handheld.screens import captions
from edge.handheld.screens.choosing import reasons
from edge.handheld.screens.hands import Asked, Hands
from edge.handheld.screens.listing import button, duration, figures, heading, set_out, sheet, words
from edge.handheld.screens.look import LOOK
from edge.handheld.screens.widgets import RowButton
from sync.vocabulary.rulings import Text

_SHAPES = {"next": "scan", "to_come": "ring", "seen": "circle", "late": "triangle", "skipped": "octagon"}
_INKS = {"next": "ink", "to_come": "soft", "seen": "good", "late": "warn", "skipped": "bad"}


class PatrolPage(BoxLayout):
    lead = ObjectProperty(None, allownone=True)
    heading = StringProperty("")
    hint = StringProperty("")
    told = StringProperty("")

    def __init__(self, hands: Hands, **given: Any) -> None:
        self._hands = hands
        self._view: PatrolView | None = None
        super().__init__(**given)

    def fetch(self) -> None:
        self.ids.finder.fetch(self._hands.platform)

    def show(self, view: PatrolView) -> None:
        self._view = view
        self.heading = LOOK.say(view.route if view.route is not None else captions.ROUTES)
        self.hint = LOOK.say(captions.PATROL_ENDED) if view.phase == "ended" else ""
        self.told = "" if view.told is None or view.is_wrong else LOOK.say(view.told)
        made: list[Any] = []
        if view.told is not None and view.is_wrong:
            made.append(sheet(words(view.told, kind="title", bold=True, ink="on_hold"), fill="hold"))
        if view.phase == "routes":
            made += [self._route(row) for row in view.routes] or [words(captions.NO_ROUTES, ink="soft")]
        else:
            if view.next_point is not None:
                made.append(_next(view.next_point))
            made.append(
                figures(
                    (captions.SEEN, view.seen, "good"),
                    (captions.LEFT, view.left, "ink"),
                    (captions.MISSED, view.missed, "bad" if view.missed else "ink"),
                )
            )
            made += [_point(point) for point in view.points]
        at = self.ids.found.scroll_y
        self.ids.found.fill_with(made)
        self.ids.found.scroll_y = at
        self._fill_dock(view)

    def _route(self, row: Any) -> Any:
        under = captions.filled(captions.POINTS, n=row.points)
        due = f"  {LOOK.say(row.due)}" if row.due is not None else ""
        return RowButton(
            text=LOOK.say(row.name),
            under=LOOK.say(under) + due,
            shape="triangle" if row.is_due else "",
            shape_fill="warn",
            on_release=lambda _: self._hands.put(RouteBegun(row.route_no)),
        )

    def _fill_dock(self, view: PatrolView) -> None:
        if view.phase != "walking":
            self._fill_dock_of_routes(view)
            return
        typing = button(captions.TYPE_NUMBER, self._type)
        remark = button(captions.REMARK, self._remark, role="primary")
        end = button(captions.END_PATROL, self._end, is_shut=not view.may_end)
        if view.next_point is None:
            end.role = "primary"
            remark.role = "raised"
            set_out(self, end, remark)
        else:
            set_out(self, remark, typing, button(captions.SKIP, self._skip), end)

    def _fill_dock_of_routes(self, view: PatrolView) -> None:
        """The only route is begun; of several the officer chooses from the list."""
        put = self._hands.put
        if view.phase == "ended":
            set_out(self, button(captions.ROUTES, lambda: put(RoutesAsked()), role="primary"))
            return
        again = button(captions.REFRESH_ROUTES, lambda: put(RoutesAsked()))
        if len(view.routes) == 1:
            number = view.routes[0].route_no
            set_out(
                self, button(captions.BEGIN_PATROL, lambda: put(RouteBegun(number)), role="primary"), again
            )
        elif view.routes:
            set_out(self, None, again)
        else:
            again.role = "primary"
            set_out(self, again)

    def _type(self) -> None:
        self._hands.ask(Asked(captions.POINT_CODE, lambda text: self._hands.put(Scanned(text, "", "typed"))))

    def _remark(self) -> None:
        self._hands.ask(
            Asked(captions.REMARK, lambda text: self._hands.put(PointRemarked(text)), "words", longest=200)
        )

    def _skip(self) -> None:
        self._hands.ask(
            reasons(
                captions.SKIP_WHYS,
                lambda why: self._hands.put(PointSkipped(why)),
                self._hands.ask,
                captions.WHY_SKIP,
            )
        )

    def _end(self) -> None:
        if self._view is not None and self._view.end_needs_reason:
            self._hands.ask(
                reasons(
                    captions.SKIP_WHYS,
                    lambda why: self._hands.put(PatrolEndAsked(why)),
                    self._hands.ask,
                    captions.WHY_END,
                )
            )
        else:
            self._hands.put(PatrolEndAsked())


def _next(point: PointShown) -> Any:
    made = [heading(captions.NEXT_POINT), words(point.name, kind="title", bold=True)]
    if point.left_s is not None:
        text = captions.SECONDS_LEFT if point.left_s >= 0 else captions.SECONDS_OVER
        said = captions.filled(text, n="{n}")
        left = duration(point.left_s)
        is_over = point.left_s < 0
        made.append(
            words(
                Text(said.zh.format(n=left.zh), said.en.format(n=left.en)),
                kind="large",
                bold=is_over,
                ink="bad" if is_over else "ink",
            )
        )
    if point.text is not None:
        made.append(words(point.text, ink="soft"))
    return sheet(*made, fill="raised")


def _point(point: PointShown) -> Any:
    said = {"late": captions.LATE, "skipped": captions.SKIPPED}.get(point.state)
    return RowButton(
        text=f"{point.order}. {LOOK.say(point.name)}",
        under=LOOK.say(point.text),
        trailing=LOOK.say(said),
        shape=_SHAPES[point.state],
        shape_fill=_INKS[point.state],
        is_plain=True,
    )


Builder.load_file(str(Path(__file__).with_suffix(".kv")))
