"""盘库: a shelf's rows, counted on a large pad, blind or against the book; what differs is asked for
again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kivy.lang import Builder
from kivy.properties import ObjectProperty, StringProperty
from kivy.uix.boxlayout import BoxLayout

from edge.handheld.events import Scanned
from edge.handheld.screens import captions
from edge.handheld.screens.hands import Asked, Hands, Offered
from edge.handheld.screens.listing import beside, button, figures, set_out, sheet
from edge.handheld.screens.look import LOOK
from edge.handheld.screens.widgets import RowButton
from edge.handheld.stock_take import (
    BlindChosen,
    GoodsFound,
    RoundClosed,
    RowCounted,
    StockShown,
    StockTakeView,
    TakeCloseAsked,
    TakeDropped,
)

_SHAPES = {
    "to_count": "ring",
    "equal": "circle",
    "differs": "octagon",
    "to_recount": "triangle",
    "counted": "dot",
    "not_in_book": "diamond",
}
_INKS = {
    "to_count": "soft",
    "equal": "good",
    "differs": "bad",
    "to_recount": "warn",
    "counted": "ink",
    "not_in_book": "warn",
}


class StockTakePage(BoxLayout):
    lead = ObjectProperty(None, allownone=True)
    heading = StringProperty("")
    hint = StringProperty("")
    told = StringProperty("")

    def __init__(self, hands: Hands, **given: Any) -> None:
        self._hands = hands
        self._view: StockTakeView | None = None
        super().__init__(**given)

    def fetch(self) -> None:
        self.ids.finder.fetch(self._hands.platform)

    def show(self, view: StockTakeView) -> None:
        self._view = view
        if view.location:
            shelf = LOOK.say(captions.filled(captions.SHELF, n=view.location))
            self.heading = f"{shelf}  {LOOK.say(captions.filled(captions.ROUND, n=view.round))}"
        else:
            self.heading = LOOK.say(captions.STOCK_TAKE)
        self.hint, self.told = LOOK.say(view.hint), LOOK.say(view.told)
        made: list[Any] = []
        if view.phase == "shelf_wanted":
            made.append(
                sheet(
                    beside(
                        *(
                            button(
                                text,
                                lambda on=on: self._hands.put(BlindChosen(on)),
                                kind="body",
                                role="chosen" if view.is_blind == on else "raised",
                                shape="dot" if view.is_blind == on else "ring",
                                halign="left",
                            )
                            for text, on in ((captions.BLIND, True), (captions.NOT_BLIND, False))
                        )
                    )
                )
            )
        else:
            made.append(
                figures(
                    (captions.TO_COUNT, view.to_count, "ink"),
                    (captions.EQUAL, view.equal, "good"),
                    (captions.DIFFERING, view.differing, "bad" if view.differing else "ink"),
                    (captions.NOT_IN_BOOK, view.not_in_book, "warn" if view.not_in_book else "ink"),
                    across=4,
                )
            )
            made += [self._row(row, view) for row in sorted(view.rows, key=lambda row: not row.is_in_front)]
        self.ids.found.fill_with(made)
        self._fill_dock(view)

    def _row(self, row: StockShown, view: StockTakeView) -> Any:
        parts = [row.sku, row.batch_no]
        if row.booked:
            parts.append(LOOK.say(captions.filled(captions.BOOKED, n=row.booked)))
        if row.first_count:
            parts.append(LOOK.say(captions.filled(captions.FIRST_COUNT, n=row.first_count)))
        said = {
            "to_recount": captions.TO_RECOUNT,
            "differs": captions.DIFFERING,
            "not_in_book": captions.NOT_IN_BOOK,
        }.get(row.state)
        if said is not None:
            parts.append(LOOK.say(said))
        return RowButton(
            text=row.name or row.sku,
            under="  ".join(part for part in parts if part),
            trailing=f"{row.counted} {row.unit}".strip() if row.counted else LOOK.say(captions.NOT_COUNTED),
            shape=_SHAPES[row.state],
            shape_fill="on_chosen" if row.is_in_front else _INKS[row.state],
            is_chosen=row.is_in_front,
            is_plain=view.phase not in ("counting", "recounting"),
            on_release=lambda _: self._count(row),
        )

    def _count(self, row: StockShown) -> None:
        self._hands.ask(
            Asked(
                captions.filled(captions.COUNT_OF, name=row.name or row.sku),
                lambda text: self._hands.put(RowCounted(row.row_no, text)),
                kind="quantity",
                longest=12,
                may_be_empty=bool(row.counted),
            )
        )

    def _fill_dock(self, view: StockTakeView) -> None:
        put = self._hands.put
        typing = button(captions.TYPE_NUMBER, self._type)
        match view.phase:
            case "shelf_wanted" | "closed":
                typing.role = "primary"
                set_out(self, typing)
            case "looking_up":
                set_out(self, None)
            case "closing":
                close = button(captions.CLOSE_TAKE, self._close, role="primary", is_shut=not view.may_close)
                set_out(self, close, typing, button(captions.GIVE_UP, self._drop))
            case _:
                # The round first, for it is what asks for the second count; an early end is asked for.
                lead = button(
                    captions.CLOSE_ROUND,
                    lambda: put(RoundClosed()),
                    role="primary",
                    is_shut=not view.may_close_round,
                )
                found = button(captions.GOODS_FOUND, self._found)
                set_out(self, lead, typing, found, button(captions.FINISH, self._finish))

    def _type(self) -> None:
        self._hands.ask(
            Asked(captions.SHELF_OR_GOODS, lambda text: self._hands.put(Scanned(text, "", "typed")))
        )

    def _found(self) -> None:
        self._hands.ask(Asked(captions.SKU, self._found_sku))

    def _found_sku(self, sku: str) -> None:
        self._hands.ask(
            Asked(
                captions.QUANTITY, lambda text: self._hands.put(GoodsFound(sku, text)), "quantity", longest=12
            )
        )

    def _finish(self) -> None:
        ways: list[Any] = []
        if self._view is not None and self._view.may_close:
            ways.append((captions.CLOSE_EARLY, self._close))
        ways.append((captions.GIVE_UP, self._drop))
        self._hands.ask(Offered(captions.FINISH, tuple(ways)))

    def _close(self) -> None:
        if self._view is not None and self._view.close_needs_reason:
            self._hands.ask(
                Asked(
                    captions.WHY_NOT_COUNTED,
                    lambda why: self._hands.put(TakeCloseAsked(why)),
                    "words",
                    longest=200,
                )
            )
        else:
            self._hands.put(TakeCloseAsked())

    def _drop(self) -> None:
        self._hands.ask(
            Asked(captions.WHY_GIVE_UP, lambda why: self._hands.put(TakeDropped(why)), "words", longest=200)
        )


Builder.load_file(str(Path(__file__).with_suffix(".kv")))
