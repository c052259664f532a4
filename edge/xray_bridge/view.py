"""What an officer reads of a station: words in both languages, and one desk's part of the whole. Pure.

No state machine, no clock, no I/O: values in, values out.
"""

from __future__ import annotations

from typing import Final

import msgspec

from edge.xray_bridge.contract import Category, DeskPart, DeskView, Looks, StationView
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

ANSWERS: Final = {
    "": Text("已收到", "Done"),
    "wrong_picture": Text("画面已更换，请重新判图", "Another picture is on the belt now, judge again"),
    "unknown_parcel": Text("包裹已不在判图区", "The parcel is not to be judged any more"),
    "not_yours": Text("该包裹由其他席位判图", "Another desk judges this parcel"),
    "not_in_hand": Text("该包裹不在本席位", "This parcel is not at this desk"),
    "judged": Text("已有判定", "It has a verdict already"),
    "already_judged": Text("已有判定", "It has a verdict already"),
    "too_late": Text("已过分拣点，转复检", "Too late for the diverter: it goes to recheck"),
    "late": Text("已过分拣点，转复检", "Too late for the diverter: it goes to recheck"),
    "cannot_undo": Text("已无法撤销", "It cannot be taken back any more"),
    "nothing_to_undo": Text("没有可撤销的判定", "There is nothing to take back"),
    "may_not_pass": Text("不能放行：只可布控或复检", "It cannot be passed: flag it or send it to recheck"),
    "not_authorised": Text("无判图授权", "Not authorised to judge"),
    "not_signed_in": Text("请先登录", "Sign in first"),
    "no_picture": Text("尚无画面", "There is no picture yet"),
    "not_recorded": Text(
        "未能记录，判定无效，转复检", "It could not be recorded: no verdict, it goes to recheck"
    ),
    "second_same_officer": Text("复核须由另一关员", "Another officer must review it"),
}
"""Code of an `AnswerDesk` -> words."""


def answer_words(why: str, *, ok: bool) -> Text:
    words = ANSWERS.get(why)
    if words is not None:
        return words
    return Text(why, why) if why else Text("已收到" if ok else "未执行", "Done" if ok else "Not done")


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
