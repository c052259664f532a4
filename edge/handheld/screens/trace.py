"""溯源: where a parcel came from and what became of it, station by station; a recall stands above all
else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kivy.lang import Builder
from kivy.properties import ObjectProperty, StringProperty
from kivy.uix.boxlayout import BoxLayout

from edge.handheld.screens import captions
from edge.handheld.screens.hands import Asked, Hands
from edge.handheld.screens.listing import button, heading, ink_of, pair, set_out, sheet, words
from edge.handheld.screens.look import LOOK
from edge.handheld.screens.widgets import RowButton
from edge.handheld.tracing import TraceAsked, TracePutAway, TracingView
from edge.handheld.view import SHAPES


class TracePage(BoxLayout):
    lead = ObjectProperty(None, allownone=True)
    code = StringProperty("")
    message = StringProperty("")

    def __init__(self, hands: Hands, **given: Any) -> None:
        self._hands = hands
        super().__init__(**given)

    def show(self, view: TracingView) -> None:
        self.code = view.code or LOOK.say(captions.TRACE_HINT)
        self.message = LOOK.say(captions.LOOKING if view.is_looking else view.message)
        made: list[Any] = []
        if view.recalls:
            made.append(
                sheet(
                    *(words(self._said(row), kind="large", bold=True, ink="on_hold") for row in view.recalls),
                    fill="hold",
                )
            )
        if view.steps:
            made.append(
                sheet(
                    heading(captions.PATH),
                    *(
                        RowButton(
                            text=LOOK.say(step.what),
                            under="  ".join(part for part in (LOOK.say(step.place), step.at) if part),
                            shape="ring" if step.sign is None else SHAPES[step.sign].value,
                            shape_fill="soft" if step.sign is None else ink_of(step.sign),
                            is_plain=True,
                        )
                        for step in view.steps
                    ),
                )
            )
        if view.rows:
            made.append(sheet(heading(captions.PARCEL), *(pair(row) for row in view.rows)))
        if len(view.waybills) > 1:
            made.append(
                sheet(
                    heading(captions.WAYBILL_NO),
                    *(
                        RowButton(text=number, on_release=lambda _, text=number: self.ask_for(text))
                        for number in view.waybills
                    ),
                )
            )
        self.ids.found.fill_with(made)
        self._set_out(view)

    def _said(self, row: Any) -> str:
        return f"{LOOK.say(captions.RECALLED)} {LOOK.say(row.name)}\n{LOOK.say(row.value)}"

    def _set_out(self, view: TracingView) -> None:
        lead = button(captions.TYPE_NUMBER, self.type_number, role="primary")
        set_out(self, lead, *([button(captions.NEW_TRACE, self.put_away)] if view.code else []))

    def type_number(self) -> None:
        self._hands.ask(Asked(captions.TRACE_HINT, self.ask_for, confirm=captions.LOOK_UP))

    def ask_for(self, text: str) -> None:
        self._hands.put(TraceAsked(text))

    def put_away(self) -> None:
        self._hands.put(TracePutAway())


Builder.load_file(str(Path(__file__).with_suffix(".kv")))
