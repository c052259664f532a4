"""通道处置: which lane, which passage, what and why; then the signed code, large, with the seconds it works
for.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from kivy.clock import Clock
from kivy.lang import Builder
from kivy.properties import BooleanProperty, NumericProperty, ObjectProperty, StringProperty
from kivy.uix.boxlayout import BoxLayout

from edge.handheld.lane_help import (
    ActionChosen,
    CodeAsked,
    CodeShown,
    FieldGiven,
    HeldChosen,
    HeldRow,
    HelpEnded,
    LaneChosen,
    LaneHelpView,
    OtherCodeAsked,
    PassageGiven,
    ReasonGiven,
    SecondOfficerSigns,
)
from edge.handheld.screens import captions
from edge.handheld.screens.hands import Asked, Hands, OfficerAsked
from edge.handheld.screens.listing import beside, button, heading, set_out, sheet, words
from edge.handheld.screens.look import LOOK
from edge.handheld.screens.widgets import Field, Pair, RowButton
from sync.vocabulary.rulings import Text


class CodePanel(BoxLayout):
    """What the lane's scanner reads. Black on white, whatever the theme."""

    text = StringProperty("")
    title = StringProperty("")
    whose = StringProperty("")
    left = StringProperty("")
    share_left = NumericProperty(1)
    is_over = BooleanProperty(False)
    room = NumericProperty(0)
    """Height that can be seen at once: the code is as large as that lets it be."""


class LaneHelpPage(BoxLayout):
    lead = ObjectProperty(None, allownone=True)
    heading = StringProperty("")
    hint = StringProperty("")
    told = StringProperty("")

    def __init__(self, hands: Hands, **given: Any) -> None:
        self._hands = hands
        self._code: CodeShown | None = None
        self._panel: CodePanel | None = None
        self._until_s = 0.0
        self._lasts_s = 1.0
        self._phase = ""
        self._tick: Any = None
        super().__init__(**given)

    def fetch(self) -> None:
        """Labels are read while the form is filled in; afterwards the answer has the room."""
        if self._code is None and self._phase == "filling_in":
            self.ids.finder.fetch(self._hands.platform)
        elif self.ids.finder.texture is not None:
            self.ids.finder.show(None)

    def show(self, view: LaneHelpView) -> None:
        is_asking = view.code is None and view.phase == "filling_in"
        self.heading = LOOK.say(captions.LANE_HELP) if is_asking else ""
        self.hint = LOOK.say(captions.NOBODY_HELD) if is_asking and not view.held else ""
        self.told = LOOK.say(view.told)
        self._follow(view.code)
        made: list[Any] = []
        if view.answer is not None:
            fill = {True: "release", False: "hold", None: "raised"}[view.answer_is_good]
            ink = "ink" if view.answer_is_good is None else f"on_{fill}"
            made.append(sheet(words(view.answer, kind="large", bold=True, ink=ink), fill=fill))
        if view.code is not None:
            made.insert(0, self._code_panel(view.code))
            self.ids.finder.show(None)
        elif view.phase == "signing":
            made.append(words(captions.SIGNING, kind="title", bold=True))
        elif view.phase == "over":
            made.append(_done(view))
        else:
            made += self._wanted(view)
        self.ids.found.fill_with(made)
        if view.phase != self._phase:
            # What came of it stands on top, wherever the form was scrolled to.
            self._phase, self.ids.found.scroll_y = view.phase, 1
        self._fill_dock(view)

    # --- the code ---

    def _follow(self, code: CodeShown | None) -> None:
        if code is None:
            self._code = self._panel = None
            if self._tick is not None:
                self._tick.cancel()
                self._tick = None
            return
        if self._code is None or self._code.text != code.text:
            self._lasts_s = max(1.0, code.left_s)
        self._code = code
        self._until_s = time.monotonic() + code.left_s
        if self._tick is None:
            self._tick = Clock.schedule_interval(lambda _: self._count_down(), 0.5)

    def _code_panel(self, code: CodeShown) -> Any:
        if self._panel is None:
            self._panel = CodePanel(room=self._room())
            self.ids.found.fbind("height", self._room_changed)
        elif self._panel.parent is not None:
            self._panel.parent.remove_widget(self._panel)
        panel = self._panel
        panel.text = code.text
        panel.title = LOOK.say(captions.SHOW_TO_LANE)
        panel.whose = (
            LOOK.say(captions.filled(captions.OFFICER_OF, no=code.officer, place=code.place, of=code.of))
            if code.of > 1
            else LOOK.say(captions.filled(captions.OFFICER, n=code.officer))
        )
        self._count_down()
        return panel

    def _room(self) -> float:
        return float(self.ids.found.height - 2 * LOOK.gap)

    def _room_changed(self, *_: Any) -> None:
        if self._panel is not None:
            self._panel.room = self._room()

    def _count_down(self) -> None:
        if self._panel is None:
            return
        left_s = max(0.0, self._until_s - time.monotonic())
        self._panel.share_left = min(1.0, left_s / self._lasts_s)
        self._panel.is_over = left_s <= 0
        text = captions.filled(captions.CODE_LEFT, n=round(left_s)) if left_s > 0 else captions.CODE_OVER
        self._panel.left = LOOK.say(text)

    # --- the form ---

    def _wanted(self, view: LaneHelpView) -> list[Any]:
        put = self._hands.put
        lane_and_passage = [
            sheet(
                heading(captions.LANE),
                beside(
                    *(
                        _choice(row.name, row.is_chosen, lambda lane=row.lane: put(LaneChosen(lane)))
                        for row in view.lanes
                    )
                ),
            ),
            self._field(captions.PASSAGE, view.passage, lambda: self._ask_passage(view)),
        ]
        # Whoever is chosen from the list need not be typed: what is left to say comes first.
        is_picked = any(row.is_chosen for row in view.held)
        made = [
            *([sheet(heading(captions.HELD), *map(self._held_row, view.held))] if view.held else []),
            *([] if is_picked else lane_and_passage),
            sheet(
                heading(captions.ACTION),
                beside(
                    *(
                        _choice(
                            captions.ACTIONS[action],
                            view.action == action,
                            lambda action=action: put(ActionChosen(action)),
                            is_shut=not may,
                        )
                        for action, may in (
                            ("release", view.may_release),
                            ("aside", view.may_release),
                            ("supplement", view.may_supplement),
                        )
                    )
                ),
            ),
        ]
        if view.action == "supplement":
            made.append(
                sheet(
                    heading(captions.FIELD),
                    beside(
                        *(
                            _choice(text, view.field == field, lambda field=field: self._ask_value(field))
                            for field, text in captions.FIELDS.items()
                        )
                    ),
                    *([words(view.value, kind="title", bold=True)] if view.value else []),
                )
            )
        made.append(
            sheet(
                heading(captions.REASON),
                *(
                    RowButton(
                        text=LOOK.say(row.text),
                        is_chosen=view.reason in (row.text.zh, row.text.en),
                        on_release=lambda _, text=row.text: put(ReasonGiven(LOOK.say(text))),
                    )
                    for row in view.reasons
                ),
                RowButton(
                    text=LOOK.say(captions.ADD_WORDS),
                    under=""
                    if any(view.reason in (row.text.zh, row.text.en) for row in view.reasons)
                    else view.reason,
                    on_release=lambda _: self._ask_reason(view),
                ),
            )
        )
        if view.missing:
            made.append(
                sheet(
                    heading(captions.MISSING_PARTS),
                    *(words(text, ink="warn", bold=True) for text in view.missing),
                )
            )
        if view.officers_needed > 1:
            made.append(words(captions.SECOND_RELEASE, ink="soft"))
        return [*made, *lane_and_passage] if is_picked else made

    def _held_row(self, row: HeldRow) -> Any:
        under = "\n".join(filter(None, map(LOOK.say, (row.why, row.ways, row.since))))
        return RowButton(
            text=LOOK.say(row.title),
            under=under,
            is_chosen=row.is_chosen,
            on_release=lambda _: self._hands.put(HeldChosen(row.lane, row.passage)),
        )

    def _field(self, name: Any, value: str, wanted: Any) -> Any:
        return Field(name=LOOK.say(name), value=value, on_release=lambda _: wanted())

    def _fill_dock(self, view: LaneHelpView) -> None:
        put = self._hands.put
        end = button(captions.END_HELP, lambda: put(HelpEnded()))
        match view.phase:
            case "filling_in":
                sign = button(
                    captions.SIGN_CODE, lambda: put(CodeAsked()), role="primary", is_shut=bool(view.missing)
                )
                set_out(self, sign)
            case "second_wanted":
                set_out(self, button(captions.SECOND_OFFICER, self._ask_second, role="primary"), end)
            case "signing":
                set_out(self, end)
            case "shown" | "over":
                end.role = "primary"
                other = button(captions.OTHER_CODE, lambda: put(OtherCodeAsked()))
                set_out(self, end, *([other] if view.code is not None and view.code.of > 1 else []))

    # --- what is typed ---

    def _ask_passage(self, view: LaneHelpView) -> None:
        self._hands.ask(
            Asked(
                captions.PASSAGE, lambda text: self._hands.put(PassageGiven(text)), "count", view.passage, 12
            )
        )

    def _ask_value(self, field: Any) -> None:
        self._hands.ask(
            Asked(
                captions.FIELDS[field],
                lambda text: self._hands.put(FieldGiven(field, text)),
                {"weight": "quantity", "plate": "words"}.get(field, "code"),  # type: ignore[arg-type]
            )
        )

    def _ask_reason(self, view: LaneHelpView) -> None:
        self._hands.ask(
            Asked(captions.REASON, lambda text: self._hands.put(ReasonGiven(text)), "words", view.reason, 200)
        )

    def _ask_second(self) -> None:
        self._hands.ask(
            OfficerAsked(
                captions.SECOND_RELEASE, lambda no, pin: self._hands.put(SecondOfficerSigns(no, pin))
            )
        )


def _done(view: LaneHelpView) -> Any:
    """What was asked for, for whoever reads the answer."""
    lane = next((row.name for row in view.lanes if row.lane == view.lane), Text(view.lane, view.lane))
    named = (
        (captions.LANE, LOOK.say(lane)),
        (captions.PASSAGE, view.passage),
        (captions.ACTION, LOOK.say(captions.ACTIONS[view.action])),
        (captions.REASON, view.reason),
    )
    return sheet(*(Pair(name=LOOK.say(name), value=value) for name, value in named if value))


def _choice(text: Any, is_chosen: bool, wanted: Any, is_shut: bool = False) -> Any:
    return button(
        text,
        wanted,
        kind="body",
        role="chosen" if is_chosen else "raised",
        shape="dot" if is_chosen else "ring",
        halign="left",
        is_shut=is_shut,
    )


Builder.load_file(str(Path(__file__).with_suffix(".kv")))
