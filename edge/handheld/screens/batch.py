"""连续扫描 and 卡口抽核: a count that grows, the last scan large, ten seconds to undo it, and a slip's list
checked off.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from kivy.clock import Clock
from kivy.lang import Builder
from kivy.properties import NumericProperty, ObjectProperty, StringProperty
from kivy.uix.boxlayout import BoxLayout

from edge.handheld.batch import (
    BatchCloseAsked,
    BatchDropped,
    BatchView,
    CountBegun,
    LaidAside,
    ScanShown,
    ScanUndoAsked,
    SlipCheckBegun,
    SlipCheckShown,
)
from edge.handheld.events import Scanned
from edge.handheld.screens import captions
from edge.handheld.screens.hands import Asked, Hands, Offered
from edge.handheld.screens.listing import button, figures, heading, ink_of, pair, set_out, sheet, words
from edge.handheld.screens.look import LOOK
from edge.handheld.screens.widgets import Emblem, RowButton, Sheet, Strip


class BatchPage(BoxLayout):
    lead = ObjectProperty(None, allownone=True)
    heading = StringProperty("")
    hint = StringProperty("")
    told = StringProperty("")
    undo_left_s = NumericProperty(0)

    def __init__(self, hands: Hands, **given: Any) -> None:
        self._hands = hands
        self._view: BatchView | None = None
        self._undo_until_s = 0.0
        self._undo: Any = None
        self._tick: Any = None
        super().__init__(**given)

    def fetch(self) -> None:
        self.ids.finder.fetch(self._hands.platform)

    def show(self, view: BatchView) -> None:
        self._view = view
        self.heading, self.hint = LOOK.say(view.title), LOOK.say(view.hint)
        self.told = LOOK.say(view.told)
        self.ids.found.fill_with(self._shown(view))
        self._fill_dock(view)

    # --- what is shown ---

    def _shown(self, view: BatchView) -> list[Any]:
        made: list[Any] = []
        if view.last is not None and view.phase != "closed":
            made.append(_last(view.last))
        # What is missing and what is foreign is why a slip is checked: it stands before the rest.
        if view.slip is not None:
            made += [_slip_figures(view.slip), _slip(view.slip)]
        if view.phase != "slip_wanted":
            made.append(
                figures(
                    (captions.COUNTED, view.counted, "ink"),
                    (captions.PASSED, view.passed, "good"),
                    (captions.FLAGGED, view.flagged, "warn" if view.flagged else "ink"),
                    (captions.NOT_KNOWN, view.unknown, "ink"),
                    (captions.TWICE, view.duplicates, "ink"),
                    (captions.UNDONE, view.undone, "ink"),
                )
            )
        if view.log:
            made.append(heading(captions.LATEST))
            made += [
                RowButton(
                    text=scan.text,
                    under=LOOK.say(captions.UNDONE if scan.is_undone else scan.words),
                    trailing=str(scan.place),
                    trailing_width="56dp",
                    shape="ring" if scan.is_undone else scan.shape.value,
                    shape_fill="soft" if scan.is_undone else ink_of(scan.sign),
                    on_release=lambda _, place=scan.place: self._hands.put(ScanUndoAsked(place)),
                    is_plain=scan.undo_left_s <= 0,
                )
                for scan in view.log
            ]
        return made

    def _fill_dock(self, view: BatchView) -> None:
        self._undo = None
        put = self._hands.put
        if view.phase in ("idle", "closed"):
            self._stop()
            set_out(
                self,
                button(captions.COUNT_FREELY, lambda: put(CountBegun()), role="primary"),
                button(captions.CHECK_SLIP, lambda: put(SlipCheckBegun()), role="primary"),
            )
            return
        typing = button(captions.TYPE_NUMBER, self._type)
        finish = button(captions.FINISH, self._finish)
        if view.phase == "slip_wanted":
            typing.role = "primary"
            set_out(self, typing, finish)
        else:
            self._undo = button(captions.UNDO, lambda: put(ScanUndoAsked()), is_shut=not view.may_undo)
            if view.phase == "aside":
                aside = button(captions.LAID_ASIDE, lambda: put(LaidAside()), role="primary")
                set_out(self, aside, self._undo, finish)
            else:
                typing.role = "primary"
                set_out(self, typing, self._undo, finish)
        left_s = view.last.undo_left_s if view.last is not None and view.may_undo else 0.0
        self._undo_until_s = time.monotonic() + left_s
        self._count_down()
        if left_s > 0 and self._tick is None:
            self._tick = Clock.schedule_interval(lambda _: self._count_down(), 1.0)

    def _count_down(self) -> None:
        self.undo_left_s = max(0, round(self._undo_until_s - time.monotonic()))
        if self._undo is not None:
            text = (
                captions.filled(captions.UNDO_LEFT, n=self.undo_left_s) if self.undo_left_s else captions.UNDO
            )
            self._undo.text = LOOK.say(text)
        if not self.undo_left_s:
            self._stop()

    def _stop(self) -> None:
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None

    # --- what is wanted ---

    def _type(self) -> None:
        self._hands.ask(Asked(captions.WAYBILL_NO, self._typed))

    def _typed(self, text: str) -> None:
        self._hands.put(Scanned(text, "", "typed"))

    def _finish(self) -> None:
        put, view = self._hands.put, self._view
        if view is None:
            return
        ways: list[Any] = []
        if view.may_close and view.is_slip_check:
            ways.append((captions.ALL_SCANNED, lambda: put(BatchCloseAsked(complete=True))))
            ways.append((captions.NOT_ALL, lambda: put(BatchCloseAsked())))
        elif view.may_close:
            ways.append((captions.FINISH, lambda: put(BatchCloseAsked())))
        ways.append((captions.GIVE_UP, self._give_up))
        self._hands.ask(Offered(captions.FINISH, tuple(ways)))

    def _give_up(self) -> None:
        self._hands.ask(
            Asked(captions.WHY_GIVE_UP, lambda why: self._hands.put(BatchDropped(why)), kind="words")
        )


def _last(scan: ScanShown) -> Any:
    fill = "raised" if scan.is_pending or scan.is_undone else scan.sign.value
    ink = "ink" if fill == "raised" else f"on_{fill}"
    side = LOOK.huge * 1.5
    emblem = Emblem(
        shape="ring" if scan.is_pending or scan.is_undone else scan.shape.value,
        fill=ink,
        paper=fill,
        size_hint=(None, None),
        size=(side, side),
        pos_hint={"center_y": 0.5},
    )
    said = captions.PENDING if scan.is_pending else captions.UNDONE if scan.is_undone else scan.words
    texts = Sheet(pos_hint={"center_y": 0.5})
    texts.add_widget(words(said, kind="title", bold=True, ink=ink))
    texts.add_widget(words(scan.text, ink=ink))
    strip = Strip(spacing=LOOK.gap * 1.5)
    strip.add_widget(emblem)
    strip.add_widget(texts)
    return sheet(strip, fill=fill)


def _slip_figures(slip: SlipCheckShown) -> Any:
    return figures(
        (captions.LISTED, slip.listed, "ink"),
        (captions.FOUND, slip.found, "good"),
        (captions.MISSING, slip.missing, "bad" if slip.missing else "ink"),
        (captions.EXTRA, slip.extra, "bad" if slip.extra else "ink"),
        (captions.ELSEWHERE, slip.elsewhere, "bad" if slip.elsewhere else "ink"),
        across=5,
    )


def _slip(slip: SlipCheckShown) -> Any:
    """The parcels by name before what the slip itself says."""
    made: list[Any] = []
    if slip.list_is_cut:
        made.append(words(captions.LIST_IS_CUT, ink="warn", bold=True))
    for text, numbers in (
        (captions.MISSING, slip.missing_nos),
        (captions.EXTRA, slip.extra_texts),
        (captions.ELSEWHERE, slip.elsewhere_nos),
    ):
        if numbers:
            made += [heading(text), words("\n".join(numbers))]
    made += [heading(captions.SLIP), words(slip.slip_no, kind="large", bold=True)]
    made += [pair(row) for row in slip.rows]
    return sheet(*made)


Builder.load_file(str(Path(__file__).with_suffix(".kv")))
