"""Inspection in three steps (查验指令, 实施查验, 异常处置): the list with what is draft, ready and sent;
then one draft.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kivy.lang import Builder
from kivy.properties import ObjectProperty, StringProperty
from kivy.uix.boxlayout import BoxLayout

from edge.handheld.comparing_screen import ComparisonAsked
from edge.handheld.events import Scanned
from edge.handheld.inspection import InspectionView, wants
from edge.handheld.inspection.shown import DraftShown, EvidenceShown
from edge.handheld.said import said as in_words
from edge.handheld.screens import captions
from edge.handheld.screens.hands import Asked, Hands, Marked, Offered, OfficerAsked, Shot
from edge.handheld.screens.listing import beside, button, figures, heading, pair, set_out, sheet, words
from edge.handheld.screens.look import LOOK
from edge.handheld.screens.widgets import BigButton, Pair, RowButton, Strip
from edge.handheld.view import GoTo, Page
from sync.vocabulary.rulings import Text

_STATE_SHAPES = {"draft": "ring", "ready": "dot", "sending": "scan", "sent": "circle", "stopped": "octagon"}
_STATE_INKS = {"draft": "ink", "ready": "warn", "sending": "ink", "sent": "good", "stopped": "bad"}
_STEP_TABS = {"taken": 0, "carrying_out": 1, "ready": 2}
_TABS = (captions.STEP_ORDER, captions.STEP_CHECK, captions.STEP_FINDING)
_MEASURES = (
    (captions.WEIGHT, "kg"),
    (captions.TEMPERATURE, "℃"),
    (captions.LENGTH, "cm"),
    (captions.RADIATION, "μSv/h"),
)


class InspectionPage(BoxLayout):
    lead = ObjectProperty(None, allownone=True)
    heading = StringProperty("")
    hint = StringProperty("")
    told = StringProperty("")

    def __init__(self, hands: Hands, **given: Any) -> None:
        self._hands = hands
        self._view: InspectionView | None = None
        self._tab = 0
        self._tab_of = ("", "")
        super().__init__(**given)

    def fetch(self) -> None:
        """Labels are read where goods are counted; elsewhere the picture only takes place."""
        if self._is_counting:
            self.ids.finder.fetch(self._hands.platform)
        elif self.ids.finder.texture is not None:
            self.ids.finder.show(None)

    @property
    def _is_counting(self) -> bool:
        draft = None if self._view is None else self._view.draft
        return draft is not None and self._tab == 1 and draft.step == "carrying_out"

    def show(self, view: InspectionView) -> None:
        self._view = view
        self.told = LOOK.say(view.told)
        draft = view.draft if view.page == "draft" else None
        now = (draft.order_no, draft.step) if draft is not None else ("", "")
        if now != self._tab_of:
            self._tab_of = now
            self._tab = _STEP_TABS[draft.step] if draft is not None else 0
            self.ids.found.scroll_y = 1
        self._refill()

    def _refill(self) -> None:
        view = self._view
        if view is None:
            return
        body, at = self.ids.found, self.ids.found.scroll_y
        if view.page == "draft" and view.draft is not None:
            self.heading = view.draft.order_no
            self.hint = LOOK.say(captions.CHECKING) if view.second_officer_wanted else ""
            body.fill_with(self._draft(view.draft))
            self._dock_of_draft(view.draft)
        else:
            self.heading = LOOK.say(captions.INSPECTIONS)
            self.hint = LOOK.say(captions.LOOKING) if view.is_looking else ""
            body.fill_with(self._list(view))
            self._dock_of_list(view)
        body.scroll_y = at

    # --- the list ---

    def _list(self, view: InspectionView) -> list[Any]:
        put = self._hands.put
        made: list[Any] = [
            figures(
                (captions.DRAFT_COUNT, view.draft_count, "ink"),
                (captions.READY_COUNT, view.ready_count, "warn" if view.ready_count else "ink"),
                (captions.SENDING_COUNT, view.sending_count, "ink"),
                (captions.SENT_COUNT, view.sent_count, "good"),
                across=4,
            )
        ]
        if view.drafts:
            made.append(heading(captions.IN_HAND))
            made += [
                RowButton(
                    text=row.order_no,
                    under=_more_than(captions.STATES[row.state], row.text),
                    trailing=LOOK.say(captions.STATES[row.state]),
                    shape=_STATE_SHAPES[row.state],
                    shape_fill=_STATE_INKS[row.state],
                    is_plain=row.state in ("sending", "sent"),
                    on_release=lambda _, no=row.order_no: put(wants.DraftOpened(no)),
                )
                for row in view.drafts
            ]
        if view.samples:
            made.append(heading(captions.SAMPLES))
            made += [
                RowButton(
                    text=row.sample_no,
                    under=f"{LOOK.say(row.text)}\n{row.sent}",
                    trailing=LOOK.say(captions.ENTER_RESULT),
                    trailing_width="72dp",
                    on_release=lambda _, row=row: self._result(row),
                )
                for row in view.samples
            ]
        made.append(heading(captions.ORDERS))
        made += [
            RowButton(
                text=row.order_no,
                under="\n".join(
                    LOOK.say(text)
                    for text in (row.cause, row.what, row.officers, row.due, row.in_hand)
                    if text is not None
                ),
                trailing=LOOK.say(captions.TAKE) if row.may_take else "",
                trailing_width="72dp",
                shape="triangle" if row.is_due else "",
                shape_fill="warn",
                is_shut=not row.may_take,
                on_release=lambda _, no=row.order_no: put(wants.OrderTakeAsked(no)),
            )
            for row in view.orders
        ] or [words(captions.NO_ORDERS, ink="soft")]
        return made

    def _dock_of_list(self, view: InspectionView) -> None:
        """What was begun goes on; which order is next, the officer chooses from the list."""
        put = self._hands.put
        again = button(captions.REFRESH, lambda: put(wants.OrdersAsked()))
        begun = [row for row in view.drafts if row.state in ("draft", "ready")]
        if begun:
            number = begun[0].order_no
            go_on = button(captions.GO_ON, lambda: put(wants.DraftOpened(number)), role="primary")
            set_out(self, go_on, again)
        elif view.orders:
            set_out(self, None, again)
        else:
            again.role = "primary"
            set_out(self, again)

    def _result(self, row: Any) -> None:
        """A laboratory result, asked for piece by piece; a failed one says what is recalled."""
        put, ask = self._hands.put, self._hands.ask

        def failed(report_no: str) -> None:
            ask(Asked(captions.WHAT_FAILED, lambda found: named(report_no, found), "words", longest=200))

        def named(report_no: str, found: str) -> None:
            ask(
                Offered(
                    captions.RECALL_BY,
                    tuple((choice.text, lambda: None) for choice in row.recall_by),
                    several=lambda places: tell(report_no, found, places),
                )
            )

        def tell(report_no: str, found: str, places: tuple[int, ...]) -> None:
            by = tuple(row.recall_by[place].value for place in places)
            put(wants.ResultEntered(row.sample_no, False, report_no, found, "seized", by))

        def passed(report_no: str) -> None:
            put(wants.ResultEntered(row.sample_no, True, report_no))

        def report(then: Any) -> Any:
            return lambda: ask(Asked(captions.REPORT_NO, then))

        ask(
            Offered(
                Text(f"{captions.RESULT.zh} {row.sample_no}", f"{captions.RESULT.en} {row.sample_no}"),
                ((captions.RESULT_PASSED, report(passed)), (captions.RESULT_FAILED, report(failed))),
            )
        )

    # --- one draft ---

    def _draft(self, draft: DraftShown) -> list[Any]:
        made: list[Any] = []
        if draft.stopped is not None:
            made.append(sheet(words(draft.stopped, kind="large", bold=True, ink="on_hold"), fill="hold"))
        tabs = Strip()
        for place, text in enumerate(_TABS):
            tabs.add_widget(
                BigButton(
                    text=LOOK.say(text),
                    kind="body",
                    role="chosen" if place == self._tab else "raised",
                    on_release=lambda _, place=place: self._turn_to(place),
                )
            )
        made.append(tabs)
        is_open = draft.step == "carrying_out" and draft.stopped is None
        made += (self._order, self._carrying_out, self._finding)[self._tab](draft, is_open)
        return made

    def _turn_to(self, tab: int) -> None:
        self._tab = tab
        self._refill()
        self.ids.found.scroll_y = 1

    def _order(self, draft: DraftShown, _: bool) -> list[Any]:
        made: list[Any] = []
        if draft.instructions is not None:
            made.append(
                sheet(heading(captions.INSTRUCTIONS), words(draft.instructions, kind="large", bold=True))
            )
        if draft.rows:
            made.append(sheet(*(pair(row) for row in draft.rows)))
        if draft.parts:
            made.append(_parts(draft))
        if draft.lines:
            made.append(
                sheet(
                    heading(captions.GOODS),
                    *(words(f"{line.no}. {line.name}  {line.declared} {line.unit}") for line in draft.lines),
                )
            )
        return made

    def _carrying_out(self, draft: DraftShown, is_open: bool) -> list[Any]:
        put, ask = self._hands.put, self._hands.ask
        made: list[Any] = []
        if len(draft.parcels) > 1:
            made.append(
                sheet(
                    heading(captions.PARCEL),
                    *(
                        RowButton(
                            text=parcel,
                            is_chosen=parcel == draft.parcel,
                            on_release=lambda _, parcel=parcel: put(Scanned(parcel, "", "typed")),
                        )
                        for parcel in draft.parcels
                    ),
                )
            )
        lines = [self._line(line, is_open) for line in draft.lines]
        tools = []
        if is_open and draft.lines:
            tools.append(
                button(captions.AS_DECLARED, lambda: put(wants.AllAsDeclared(draft.parcel)), kind="body")
            )
        if is_open:
            tools.append(button(captions.MORE_GOODS, lambda: self._more_goods(draft), kind="body"))
        made.append(sheet(heading(captions.LINES), *lines, beside(*tools)))
        if draft.evidence:
            made.append(
                sheet(
                    heading(captions.EVIDENCE),
                    *(self._evidence(piece, is_open) for piece in draft.evidence),
                )
            )
        made.append(
            sheet(
                heading(captions.MEASURES),
                *(
                    RowButton(
                        text=f"{measure.what}  {measure.value} {measure.unit}",
                        is_plain=not is_open,
                        on_release=lambda _, place=place: ask(
                            Offered(
                                captions.MEASURES,
                                ((captions.TAKE_BACK, lambda: put(wants.MeasureTakenBack(place))),),
                            )
                        ),
                    )
                    for place, measure in enumerate(draft.measures, 1)
                ),
                *([button(captions.MEASURE, self._measure, kind="body")] if is_open else []),
            )
        )
        made.append(
            sheet(
                self._typed_row(
                    captions.SEAL, draft.seal_no, is_open, lambda text: put(wants.SealNoted(text)), "code"
                ),
                self._typed_row(
                    captions.REMARK,
                    draft.remark,
                    is_open,
                    lambda text: put(wants.RemarkWritten(text)),
                    "words",
                ),
            )
        )
        if draft.methods:
            made.append(
                sheet(
                    heading(captions.METHOD),
                    _choices(draft.methods, is_open, lambda v: put(wants.MethodChosen(v))),
                )
            )
        return made

    def _finding(self, draft: DraftShown, is_open: bool) -> list[Any]:
        put = self._hands.put
        made: list[Any] = [
            sheet(
                heading(captions.FINDING),
                _choices(draft.findings, is_open, lambda v: put(wants.FindingChosen(v))),
            ),
            sheet(
                heading(captions.HANDLING),
                _choices(draft.handlings, is_open, lambda v: put(wants.HandlingChosen(v))),
            ),
        ]
        is_sampled = any(choice.is_chosen and choice.value == "sample_sent" for choice in draft.handlings)
        if draft.sample or is_sampled:
            made.append(
                sheet(
                    heading(captions.SAMPLE),
                    *(pair(row) for row in draft.sample),
                    *(
                        [button(captions.TAKE_SAMPLE, lambda: self._sample(draft), kind="body")]
                        if is_open
                        else []
                    ),
                )
            )
        if draft.officers_needed > 1:
            made.append(
                sheet(
                    heading(captions.SECOND_NEEDED),
                    *(
                        [
                            words(
                                captions.filled(captions.SECOND_IS, n=draft.second_officer),
                                bold=True,
                                ink="good",
                            )
                        ]
                        if draft.second_officer
                        else [button(captions.SECOND_OFFICER, self._second, kind="body", is_shut=not is_open)]
                    ),
                )
            )
        if draft.missing:
            made.append(
                sheet(
                    heading(captions.MISSING_PARTS),
                    *(words(text, bold=True, ink="warn") for text in draft.missing),
                )
            )
        if draft.parts:
            made.append(_parts(draft))
        return made

    def _line(self, line: Any, is_open: bool) -> Any:
        under = [line.sku, line.hs_code, line.origin]
        if line.is_extra:
            declared = LOOK.say(captions.EXTRA_LINE)
        else:
            declared = LOOK.say(captions.filled(captions.DECLARED, n=f"{line.declared} {line.unit}".strip()))
        about = "  ".join(part for part in under if part)
        is_done = bool(line.counted)
        return RowButton(
            text=f"{line.no}. {line.name}",
            under="\n".join(part for part in (declared, about, line.remark) if part),
            trailing=f"{line.counted} {line.unit}".strip() if is_done else LOOK.say(captions.LINE_TO_COUNT),
            shape="octagon" if line.differs else "circle" if is_done else "ring",
            shape_fill="bad" if line.differs else "good" if is_done else "soft",
            is_plain=not is_open,
            on_release=lambda _: self._count(line),
        )

    def _count(self, line: Any) -> None:
        self._hands.ask(
            Asked(
                captions.filled(captions.COUNT_OF, name=line.name),
                lambda text: self._hands.put(
                    wants.LineCounted(
                        line.waybill_no, line.no, text, line.remark, line.name if line.is_extra else ""
                    )
                ),
                "quantity",
                longest=12,
                may_be_empty=bool(line.counted),
            )
        )

    def _more_goods(self, draft: DraftShown) -> None:
        numbers = [int(line.no) for line in draft.lines if line.no.isdecimal()]
        no = str(max(numbers, default=0) + 1)

        def named(name: str) -> None:
            self._hands.ask(
                Asked(
                    captions.filled(captions.COUNT_OF, name=name),
                    lambda text: self._hands.put(wants.LineCounted(draft.parcel, no, text, "", name)),
                    "quantity",
                    longest=12,
                )
            )

        self._hands.ask(Asked(captions.GOODS_NAME, named, "words"))

    def _evidence(self, piece: EvidenceShown, is_open: bool) -> Any:
        state = {"taking": captions.TAKING, "kept": captions.KEPT, "failed": captions.FAILED}[piece.state]
        said = [
            piece.subject,
            LOOK.say(state),
            piece.taken,
            LOOK.say(in_words(piece.why)),
        ]
        return RowButton(
            text=LOOK.say(self._name_of(piece)),
            under="  ".join(part for part in said if part),
            shape={"taking": "scan", "kept": "circle", "failed": "octagon"}[piece.state],
            shape_fill={"taking": "soft", "kept": "good", "failed": "bad"}[piece.state],
            is_plain=not is_open or piece.state != "kept",
            on_release=lambda _: self._with_evidence(piece),
        )

    def _name_of(self, piece: EvidenceShown) -> Text:
        """照片 2; a marked copy bears the number of the photo it was drawn on."""
        kind = captions.KINDS[piece.kind]
        draft = None if self._view is None else self._view.draft
        pieces = () if draft is None else draft.evidence
        alike = [each for each in pieces if each.kind == ("photo" if piece.of else piece.kind)]
        for number, each in enumerate(alike, 1):
            if (each.sha256 == piece.of) if piece.of else (each is piece):
                return Text(f"{kind.zh} {number}", f"{kind.en} {number}")
        # The photo it was drawn on was left out.
        return kind

    def _with_evidence(self, piece: EvidenceShown) -> None:
        put, ask = self._hands.put, self._hands.ask
        ways: list[Any] = []
        if piece.kind == "photo":
            marked = Marked(piece.sha256, lambda strokes: put(wants.PhotoMarked(piece.sha256, strokes)))
            ways.append((captions.MARK, lambda: ask(marked)))
        if piece.kind != "voice":
            ways.append((captions.COMPARE, lambda: self._compare(piece.sha256)))
        ways.append((captions.LEAVE_OUT, lambda: put(wants.EvidenceLeftOut(piece.sha256))))
        ask(Offered(self._name_of(piece), tuple(ways)))

    def _compare(self, sha256: str) -> None:
        draft = None if self._view is None else self._view.draft
        if draft is not None:
            self._hands.put(GoTo(Page.COMPARE))
            self._hands.put(ComparisonAsked(draft.parcel, sha256))

    def _measure(self) -> None:
        put, ask = self._hands.put, self._hands.ask

        def value(text: Text, unit: str) -> None:
            what = LOOK.say(text).removesuffix(unit).strip(", ")
            ask(Asked(text, lambda typed: put(wants.Measured(what, typed, unit)), "quantity", longest=12))

        ask(
            Offered(
                captions.WHAT_MEASURED,
                tuple((text, lambda text=text, unit=unit: value(text, unit)) for text, unit in _MEASURES),
            )
        )

    def _typed_row(self, name: Text, value: str, is_open: bool, done: Any, kind: Any) -> Any:
        return RowButton(
            text=LOOK.say(name),
            under=value,
            trailing=LOOK.say(captions.WRITE) if is_open else "",
            trailing_width="64dp",
            is_plain=not is_open,
            on_release=lambda _: self._hands.ask(Asked(name, done, kind, value, 200, may_be_empty=True)),
        )

    def _sample(self, draft: DraftShown) -> None:
        put, ask = self._hands.put, self._hands.ask
        lines = [line for line in draft.lines if not line.is_extra]

        def of(sample_no: str) -> None:
            if not lines:
                put(wants.SampleTaken(sample_no, draft.parcel))
                return
            ask(
                Offered(
                    captions.SAMPLE,
                    tuple(
                        (Text(line.name, line.name), lambda line=line: quantity(sample_no, line))
                        for line in lines
                    ),
                )
            )

        def quantity(sample_no: str, line: Any) -> None:
            ask(
                Asked(
                    captions.filled(captions.SAMPLE_QUANTITY, unit=line.unit),
                    lambda text: put(
                        wants.SampleTaken(sample_no, line.waybill_no, line.sku, text, line.unit)
                    ),
                    "quantity",
                    longest=12,
                )
            )

        ask(Asked(captions.SAMPLE_NO, of))

    def _second(self) -> None:
        self._hands.ask(
            OfficerAsked(
                captions.SECOND_PURPOSE, lambda no, pin: self._hands.put(wants.SecondOfficerCame(no, pin))
            )
        )

    def _dock_of_draft(self, draft: DraftShown) -> None:
        put = self._hands.put
        aside = button(captions.PUT_ASIDE, lambda: put(wants.DraftPutAside()))
        drop = button(captions.DROP, lambda: self._drop(draft))
        if draft.stopped is not None:
            aside.role = "primary"
            set_out(self, aside, drop)
        elif draft.step == "taken":
            set_out(self, button(captions.BEGIN, lambda: put(wants.Begun()), role="primary"), aside, drop)
        elif draft.step == "ready":
            send = button(
                captions.SEND,
                lambda: put(wants.SendAsked(draft.order_no)),
                role="primary",
                is_shut=not draft.may_send,
            )
            set_out(self, send, button(captions.CHANGE, lambda: put(wants.ChangeAsked())), aside, drop)
        elif self._tab == 1:
            voice = button(
                captions.STOP_VOICE if draft.is_recording else captions.VOICE,
                lambda: put(wants.VoiceEnded() if draft.is_recording else wants.VoiceBegun()),
                role="danger" if draft.is_recording else "raised",
            )
            photo = button(captions.PHOTO, lambda: self._shoot(draft), role="primary")
            set_out(self, photo, voice, aside)
        elif self._tab == 2:
            set_out(self, button(captions.READY, lambda: put(wants.ReadyAsked()), role="primary"), aside)
        else:
            set_out(self, button(captions.STEP_CHECK, lambda: self._turn_to(1), role="primary"), aside, drop)

    def _shoot(self, draft: DraftShown) -> None:
        self._hands.ask(
            Shot(Text(draft.parcel, draft.parcel), lambda: self._hands.put(wants.PhotoAsked(draft.parcel)))
        )

    def _drop(self, draft: DraftShown) -> None:
        self._hands.ask(
            Asked(
                captions.WHY_GIVE_UP,
                lambda why: self._hands.put(wants.DropAsked(draft.order_no, why)),
                "words",
                longest=200,
            )
        )


def _more_than(short: Text, whole: Text) -> str:
    """What stands at the side already is not said again below."""
    return "" if LOOK.say(short) == LOOK.say(whole) else LOOK.say(whole)


def _parts(draft: DraftShown) -> Any:
    return sheet(
        heading(captions.PARTS),
        *(
            Pair(
                name=LOOK.say(part.text),
                value=LOOK.say(captions.DONE if part.is_done else captions.NOT_DONE),
                shape="circle" if part.is_done else "ring",
                value_ink="good" if part.is_done else "warn",
                is_strong=True,
            )
            for part in draft.parts
        ),
    )


def _choices(choices: Any, is_open: bool, wanted: Any) -> Any:
    return beside(
        *(
            button(
                choice.text,
                lambda value=choice.value: wanted(value),
                kind="body",
                role="chosen" if choice.is_chosen else "raised",
                shape="dot" if choice.is_chosen else "ring",
                halign="left",
                is_shut=not is_open and not choice.is_chosen,
            )
            for choice in choices
        )
    )


Builder.load_file(str(Path(__file__).with_suffix(".kv")))
