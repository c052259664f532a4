"""What an officer reads of a station: words in both languages, and one desk's part of the whole. Pure.

No state machine, no clock, no I/O: values in, values out.
"""

from __future__ import annotations

from typing import Final

import msgspec

from edge.xray_bridge.contract import Category, DeskPart, DeskView, Looks, StationView
from edge.xray_bridge.rules import REFUSALS
from sync.vocabulary.rulings import Text

CATEGORIES: Final = (
    Category(code="undeclared", words=Text("夹藏未申报", "Undeclared item")),
    Category(code="other_goods", words=Text("品名不符", "Other goods than declared")),
    Category(code="other_quantity", words=Text("数量不符", "Other quantity")),
    Category(code="prohibited", words=Text("禁限物品", "Prohibited or restricted")),
    Category(code="quarantine", words=Text("疑似检疫物", "Plants, animals, food")),
    Category(code="infringing", words=Text("疑似侵权", "Infringing goods")),
    Category(code="dangerous", words=Text("危险品 电池 液体", "Dangerous: battery, liquid")),
    Category(code="impenetrable", words=Text("无法穿透", "Cannot be seen through")),
    Category(code="other", words=Text("其他", "Something else")),
)
"""Where the site's config names none. The key is the place in the list."""

_DONE: Final = Text("已收到", "Done")
_NOT_DONE: Final = Text("未执行", "Not done")


def answer_words(why: str, *, ok: bool) -> Text:
    """Of an `AnswerDesk`: a code of `rules.REFUSALS`, or words as they are."""
    words = REFUSALS.get(why)
    if words is not None:
        return words
    return Text(why, why) if why else _DONE if ok else _NOT_DONE


def desk_view(
    whole: StationView,
    desk: str,
    officer: str,
    *,
    stale_s: float,
    categories: tuple[Category, ...] = CATEGORIES,
    looks: Looks | None = None,
) -> DeskView:
    """One desk's part. Nobody's pace but one's own is in it, and no parcel in another's hands."""
    mine = next((part for part in whole.desks if part.desk == desk and part.officer == officer), None)
    return DeskView(
        station=whole.station,
        number=whole.number,
        utc=whole.utc,
        zone=whole.zone,
        stale_s=stale_s,
        belt=whole.belt,
        feed=whole.feed,
        wedge=whole.wedge,
        online=whole.online,
        records_age_s=whole.records_age_s,
        me=mine if mine is not None else DeskPart(desk=desk, officer=officer),
        queue=whole.queue,
        officers=tuple(
            each if each.desk == desk else msgspec.structs.replace(each, at_work_s=0.0, rest_due=False)
            for each in whole.officers
        ),
        alarms=whole.alarms,
        counts=whole.counts,
        categories=categories,
        looks=looks,
    )
