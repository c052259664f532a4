"""实时音视频: the centre asks, the officer says yes or no; while it runs, what goes out is said in words."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from kivy.clock import Clock
from kivy.lang import Builder
from kivy.properties import ObjectProperty, StringProperty
from kivy.uix.boxlayout import BoxLayout

from edge.handheld.live import (
    LiveAccepted,
    LiveBegun,
    LiveDeclined,
    LiveHidden,
    LiveMuted,
    LiveStopped,
    LiveView,
)
from edge.handheld.screens import captions
from edge.handheld.screens.hands import Hands
from edge.handheld.screens.listing import button, duration, set_out, sheet, words
from edge.handheld.screens.look import LOOK


class LivePage(BoxLayout):
    lead = ObjectProperty(None, allownone=True)
    heading = StringProperty("")
    message = StringProperty("")
    left = StringProperty("")

    def __init__(self, hands: Hands, **given: Any) -> None:
        self._hands = hands
        self._view: LiveView | None = None
        self._until_s = 0.0
        self._tick: Any = None
        self._sound = True
        self._may_be_recorded = False
        super().__init__(**given)

    def fetch(self) -> None:
        view = self._view
        is_seen = view is not None and view.phase in ("connecting", "waiting", "live") and not view.hidden
        self.ids.picture.show(self._hands.platform.frame() if is_seen else None)

    def show(self, view: LiveView) -> None:
        before, self._view = self._view, view
        if before is None or before.phase != view.phase:
            self._sound = view.asks_sound if view.phase == "asked" else True
            self._may_be_recorded = False
        self.heading, self.message = LOOK.say(view.title), LOOK.say(view.message)
        self._until_s = time.monotonic() + view.left_s
        self._count_down()
        if view.left_s > 0 and self._tick is None:
            self._tick = Clock.schedule_interval(lambda _: self._count_down(), 1.0)
        self._refill()

    def _refill(self) -> None:
        view = self._view
        if view is None:
            return
        made: list[Any] = []
        if view.watchers:
            made.append(words(captions.filled(captions.WATCHERS, n=", ".join(view.watchers)), bold=True))
        if view.is_recorded:
            made.append(
                sheet(words(captions.IS_RECORDED, kind="large", bold=True, ink="on_hold"), fill="hold")
            )
        if view.flow is not None:
            made.append(words(view.flow, kind="small", ink="soft"))
        if view.phase in ("idle", "asked"):
            made.append(words(captions.CONSENT, ink="soft"))
            if view.phase == "idle" or view.asks_sound:
                made.append(self._switch(captions.WITH_SOUND, self._sound, "_sound"))
            if view.phase == "idle" or view.asks_record:
                made.append(self._switch(captions.MAY_RECORD, self._may_be_recorded, "_may_be_recorded"))
        self.ids.facts.fill_with(made)
        self._set_out(view)

    def _switch(self, text: Any, is_on: bool, name: str) -> Any:
        def turn() -> None:
            setattr(self, name, not is_on)
            self._refill()

        return button(
            text,
            turn,
            kind="body",
            role="chosen" if is_on else "raised",
            shape="dot" if is_on else "ring",
            halign="left",
        )

    def _set_out(self, view: LiveView) -> None:
        put = self._hands.put
        match view.phase:
            case "idle":
                begin = button(
                    captions.BEGIN_LIVE,
                    lambda: put(LiveBegun(self._sound, self._may_be_recorded)),
                    role="primary",
                    is_shut=not view.may_begin,
                )
                set_out(self, begin)
            case "asked":
                yes = button(
                    captions.AGREE,
                    lambda: put(LiveAccepted(self._sound, self._may_be_recorded)),
                    role="primary",
                )
                set_out(self, yes, button(captions.DISAGREE, lambda: put(LiveDeclined())))
            case "ending":
                set_out(self, None)
            case _:
                stop = button(captions.STOP_LIVE, lambda: put(LiveStopped()), role="danger")
                mute = button(
                    captions.UNMUTE if view.muted else captions.MUTE,
                    lambda: put(LiveMuted(not view.muted)),
                    role="chosen" if view.muted else "raised",
                    is_shut=not view.sound,
                )
                hide = button(
                    captions.UNHIDE if view.hidden else captions.HIDE,
                    lambda: put(LiveHidden(not view.hidden)),
                    role="chosen" if view.hidden else "raised",
                )
                set_out(self, stop, mute, hide)

    def _count_down(self) -> None:
        left_s = max(0.0, self._until_s - time.monotonic())
        if left_s <= 0:
            self.left = ""
            if self._tick is not None:
                self._tick.cancel()
                self._tick = None
            return
        left = duration(left_s)
        self.left = (
            captions.SECONDS_LEFT.zh.format(n=left.zh)
            if LOOK.language == "zh"
            else captions.SECONDS_LEFT.en.format(n=left.en)
        )


Builder.load_file(str(Path(__file__).with_suffix(".kv")))
