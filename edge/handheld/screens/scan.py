"""One scan, one verdict: the camera's picture with its aiming frame; then colour, shape and words, full
screen.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kivy.lang import Builder
from kivy.properties import BooleanProperty, NumericProperty, ObjectProperty, StringProperty
from kivy.uix.boxlayout import BoxLayout

from edge.handheld.events import Scanned
from edge.handheld.scanning import Offer, OfferTaken, PutAway, ScanningView, TorchSet, VerdictShown
from edge.handheld.screens import captions
from edge.handheld.screens.hands import Asked, Hands
from edge.handheld.screens.listing import heading, ink_of, pair, set_out, sheet, words
from edge.handheld.screens.look import LOOK
from edge.handheld.screens.widgets import BigButton, Pair, RowButton, Strip, Tag
from edge.handheld.view import SHAPES, Sign


class ScanPage(BoxLayout):
    lead = ObjectProperty(None, allownone=True)
    source = StringProperty("")
    hint = StringProperty("")
    count = StringProperty("")
    message = StringProperty("")
    camera_is_on = BooleanProperty(False)
    has_torch = BooleanProperty(False)
    torch_is_on = BooleanProperty(False)

    def __init__(self, hands: Hands, **given: Any) -> None:
        self._hands = hands
        super().__init__(**given)
        self.lead = BigButton(role="primary", on_release=lambda _: self.type_number())

    def show(self, view: ScanningView) -> None:
        self.lead.text = LOOK.say(captions.TYPE_NUMBER)
        self.source, self.hint = LOOK.say(view.source), LOOK.say(view.hint)
        self.count = LOOK.say(captions.filled(captions.COUNT, n=view.count))
        self.camera_is_on, self.torch_is_on = view.camera_is_on, view.torch_is_on
        if view.garbled is not None:
            self.message = LOOK.say(view.garbled)
        elif view.looking_up:
            self.message = LOOK.say(captions.filled(captions.LOOKING_UP, code=view.looking_up))
        else:
            self.message = ""
        self.ids.recent.clear_widgets()
        for recent in view.recent:
            self.ids.recent.add_widget(
                RowButton(
                    text=recent.text,
                    under=LOOK.say(recent.ago),
                    trailing=f"×{recent.times}" if recent.times > 1 else "",
                    trailing_width="56dp",
                    shape=SHAPES[recent.sign].value,
                    shape_fill=ink_of(recent.sign),
                    on_release=lambda _, text=recent.text: self.type_in(text),
                )
            )

    def fetch(self) -> None:
        self.ids.finder.fetch(self._hands.platform)
        # A camera says only once it is open whether there is a lamp.
        self.has_torch = self.ids.finder.texture is not None and self._hands.platform.has_torch()

    def torch(self) -> None:
        self._hands.put(TorchSet(not self.torch_is_on))

    def type_number(self) -> None:
        self._hands.ask(Asked(captions.WAYBILL_NO, self.type_in, confirm=captions.LOOK_UP))

    def type_in(self, text: str) -> None:
        self._hands.put(Scanned(text, "", "typed"))


class VerdictPage(BoxLayout):
    lead = ObjectProperty(None, allownone=True)
    fill = StringProperty("unknown")
    shape = StringProperty("diamond")
    what = StringProperty("")
    why = StringProperty("")
    code = StringProperty("")
    age = StringProperty("")
    age_is_too_old = BooleanProperty(False)
    again = StringProperty("")
    emblem_side = NumericProperty("72dp")

    def __init__(self, hands: Hands, **given: Any) -> None:
        self._hands = hands
        self._shown: tuple[VerdictShown, str] | None = None
        super().__init__(**given)

    def show(self, verdict: VerdictShown) -> None:
        if self._shown == (verdict, LOOK.language):
            return
        is_new = self._shown is None or self._shown[0].code != verdict.code
        self._shown = (verdict, LOOK.language)
        self.fill, self.shape, self.code = verdict.sign.value, verdict.shape.value, verdict.code
        self.what, self.age = LOOK.say(verdict.what), LOOK.say(verdict.age)
        self.why = LOOK.say(verdict.why[0]) if verdict.why else ""
        self.age_is_too_old = verdict.age_is_too_old
        self.again = LOOK.say(verdict.again)
        self.ids.details.fill_with(list(self._details(verdict)))
        if is_new:
            self.ids.details.scroll_y = 1
        self._offer(verdict)

    def _offer(self, verdict: VerdictShown) -> None:
        lead = BigButton(
            text=LOOK.say(captions.NEXT),
            role="primary",
            shape="scan",
            on_release=lambda _: self._hands.put(PutAway()),
        )
        offers = (
            BigButton(text=LOOK.say(offer.text), on_release=lambda _, offer=offer: self._take(offer))
            for offer in verdict.offers
        )
        set_out(self, lead, *offers)

    def _take(self, offer: Offer) -> None:
        self._hands.put(OfferTaken(offer.what, offer.value))

    def _details(self, verdict: VerdictShown) -> list[Any]:
        """Panels below the verdict: what to do first, then what is known."""
        made: list[Any] = []
        if verdict.to_do or len(verdict.why) > 1:
            made.append(
                sheet(
                    *([heading(captions.TODO)] if verdict.to_do else []),
                    *(words(text, bold=True, kind="large") for text in verdict.to_do),
                    *([heading(captions.WHY)] if len(verdict.why) > 1 else []),
                    *(words(text) for text in verdict.why[1:]),
                )
            )
        if verdict.unknown is not None:
            unknown = verdict.unknown
            made.append(
                sheet(
                    heading(captions.UNKNOWN),
                    words(unknown.pattern),
                    words(unknown.carrier),
                    words(unknown.checksum),
                    *([heading(captions.NEAREST)] if unknown.nearest else []),
                    *(
                        RowButton(
                            text=number,
                            on_release=lambda _, text=number: self._hands.put(Scanned(text, "", "typed")),
                        )
                        for number in unknown.nearest
                    ),
                )
            )
        if verdict.controls:
            made.append(
                sheet(
                    heading(captions.CONTROLS),
                    *(
                        block
                        for control in verdict.controls
                        for block in (
                            strip_of_tags(
                                control.control_id, LOOK.say(control.mode), control.sign, control.is_obeyed
                            ),
                            words(control.reason),
                        )
                    ),
                )
            )
        if verdict.goods:
            made.append(sheet(heading(captions.GOODS), *(self._goods(verdict))))
        if verdict.rows:
            made.append(sheet(heading(captions.PARCEL), *(pair(row) for row in verdict.rows)))
        if verdict.documents:
            made.append(
                sheet(
                    heading(captions.DOCUMENTS),
                    *(
                        Pair(
                            name=LOOK.say(document.name),
                            value=LOOK.say(document.text),
                            value_ink={"matched": "good", "differs": "bad", "missing": "bad"}.get(
                                document.state, "warn"
                            ),
                            shape={"matched": "circle", "differs": "octagon", "missing": "octagon"}.get(
                                document.state, "diamond"
                            ),
                            is_strong=True,
                        )
                        for document in verdict.documents
                    ),
                )
            )
        if verdict.pictures:
            made.append(
                sheet(
                    heading(captions.PICTURES),
                    *(
                        Pair(
                            name=LOOK.say(picture.name),
                            value=LOOK.say(picture.text),
                            value_ink="ink" if picture.sign is None else ink_of(picture.sign),
                            shape="" if picture.sign is None else SHAPES[picture.sign].value,
                        )
                        for picture in verdict.pictures
                    ),
                )
            )
        if verdict.orders:
            made.append(
                sheet(
                    heading(captions.ORDERS),
                    *(
                        RowButton(
                            text=order.order_no,
                            under=LOOK.say(order.text),
                            is_shut=not order.may_take,
                            on_release=lambda _, no=order.order_no: self._hands.put(
                                OfferTaken("take_order", no)
                            ),
                        )
                        for order in verdict.orders
                    ),
                )
            )
        return made

    def _goods(self, verdict: VerdictShown) -> list[Any]:
        made: list[Any] = []
        for line in verdict.goods:
            made.append(words(f"{line.number}. {line.name}  {line.quantity}".strip(), bold=True))
            if line.is_recalled:
                made.append(strip_of_tags("", LOOK.say(captions.RECALLED), Sign.HOLD, True))
            said = [(captions.SKU, line.sku), (captions.HS, line.hs_code), (captions.ORIGIN, line.origin)]
            text = "  ".join(f"{LOOK.say(name)} {value}" for name, value in said if value)
            if text:
                made.append(words(text, kind="small", ink="soft"))
        if verdict.goods_cut:
            made.append(words(captions.filled(captions.GOODS_CUT, n=verdict.goods_cut), ink="warn"))
        return made


def strip_of_tags(first: str, second: str, sign: Sign, is_obeyed: bool) -> Any:
    strip = Strip()
    if first:
        strip.add_widget(words(first, bold=True))
    strip.add_widget(Tag(text=second, fill=sign.value if is_obeyed else "raised", pos_hint={"center_y": 0.5}))
    return strip


Builder.load_file(str(Path(__file__).with_suffix(".kv")))
