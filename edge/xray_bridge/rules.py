"""May a parcel pass by itself, does an officer look at it, or may nobody pass it here? Evidence in, the way
and every reason out: the same in, the same out (S11). Pure: no clock, no port, no belt."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from edge.xray_bridge.values import Analysis, Association, Compared, Goods, Likeness
from sync.vocabulary.rulings import Text
from sync.vocabulary.xray_reasons import NOBODY_PASSES, Because, XRayReason

JUDGE: Final = "x_ray"
"""The authorisation (施检授权) an officer judges pictures with."""


@dataclass(frozen=True, slots=True)
class TriageRules:
    """What may pass without an officer, from the config."""

    automatic: bool = True
    most_score: float = 4.0
    least_references: int = 5
    by_chapter: bool = False
    """True: references of the same HS chapter are enough."""
    few_references_tiers: tuple[str, ...] = ()
    """The written policy: enterprises of these credit tiers pass on fewer references, or none."""
    most_records_age_s: float = 86_400.0
    """S10; the site's own record may be stricter."""


class Way(enum.StrEnum):
    """What becomes of a parcel whose picture is analysed."""

    PASS = "pass"  # noqa: S105
    OFFICER = "officer"
    RECHECK = "recheck"


@dataclass(frozen=True, slots=True)
class Triage:
    way: Way
    reasons: tuple[Because, ...]
    """Why not by itself, the weightiest first; `clear` where it passes."""

    def codes(self) -> tuple[str, ...]:
        return tuple(because.code.value for because in self.reasons)


@dataclass(frozen=True, slots=True)
class Case:
    """All that a parcel's triage stands on."""

    association: Association | None
    """None: no picture came."""
    read: str
    """`read`, `no_read`, `garbled`, `two_codes`, `not_a_waybill`."""
    goods: Goods | None
    analysis: Analysis | None
    analysis_failed: str = ""
    wedge_valid: bool = False
    wedge_calibration: str = ""
    too_close: bool = False
    composed: bool = False
    added: bool = False
    twice: bool = False
    """More parcels bear the waybill than were declared under it."""


_BY_ASSOCIATION: Final[dict[Association, XRayReason]] = {
    Association.AMBIGUOUS: XRayReason.AMBIGUOUS,
    Association.UNMATCHED: XRayReason.UNMATCHED,
    Association.MERGED: XRayReason.MERGED,
    Association.SPLIT: XRayReason.SPLIT,
}
_BY_READ: Final[dict[str, XRayReason]] = {
    "no_read": XRayReason.NO_READ,
    "garbled": XRayReason.GARBLED,
    "two_codes": XRayReason.TWO_CODES,
    "not_a_waybill": XRayReason.NOT_A_WAYBILL,
}


def triage(rules: TriageRules, case: Case) -> Triage:
    """Recheck where it is not certain which parcel or whose picture this is; an officer where anything at all
    speaks against passing by itself; else it passes."""
    nobody = whose(case)
    if nobody:
        return Triage(Way.RECHECK, nobody)
    doubts = (*_records(rules, case), *_picture(rules, case))
    if doubts:
        return Triage(Way.OFFICER, doubts)
    return Triage(Way.PASS, (Because(XRayReason.CLEAR),))


def whose(case: Case) -> tuple[Because, ...]:
    """Why it is not certain which parcel this is, or whose the picture: no officer's verdict cures that."""
    reasons: list[Because] = []
    if case.added:
        reasons.append(Because(XRayReason.ADDED))
    if case.association is None:
        reasons.append(Because(XRayReason.NO_PICTURE))
    elif case.association is not Association.MATCHED:
        reasons.append(Because(_BY_ASSOCIATION[case.association]))
    if case.analysis is not None and case.analysis.objects != 1:
        reasons.append(Because(XRayReason.TWO_THINGS))
    if case.read != "read":
        reasons.append(Because(_BY_READ.get(case.read, XRayReason.NO_READ)))
    elif case.goods is None:
        reasons.append(Because(XRayReason.WAYBILL_UNKNOWN))
    if case.twice:
        reasons.append(Because(XRayReason.WAYBILL_TWICE))
    return tuple(reasons)


def bars(goods: Goods | None) -> tuple[Because, ...]:
    """Why nobody at this station may pass it, whatever the picture shows."""
    if goods is None:
        return (Because(XRayReason.WAYBILL_UNKNOWN),)
    return tuple(
        because for because in _records(TriageRules(), _only(goods)) if because.code in NOBODY_PASSES
    )


def _only(goods: Goods) -> Case:
    return Case(Association.MATCHED, "read", goods, None)


def _records(rules: TriageRules, case: Case) -> list[Because]:
    goods = case.goods
    if goods is None:
        return [Because(XRayReason.WAYBILL_UNKNOWN)]
    reasons: list[Because] = []
    if goods.recalls:
        reasons.append(Because(XRayReason.RECALLED, goods.recalls[0]))
    if goods.quarantine:
        reasons.append(Because(XRayReason.QUARANTINE))
    if not goods.documents_match:
        reasons.append(Because(XRayReason.DOCUMENTS_DIFFER))
    if goods.control:
        reasons.append(Because(XRayReason.CONTROL, goods.control))
    if goods.drawn:
        reasons.append(Because(XRayReason.SPOT_CHECK))
    most_s = rules.most_records_age_s
    if goods.records_most_age_s is not None:
        most_s = min(most_s, goods.records_most_age_s)
    if goods.records_age_s is None or goods.records_age_s > most_s:
        reasons.append(Because(XRayReason.RECORDS_TOO_OLD))
    return reasons


def _picture(rules: TriageRules, case: Case) -> list[Because]:
    reasons: list[Because] = []
    if case.composed:
        reasons.append(Because(XRayReason.COMPOSED))
    if case.too_close:
        reasons.append(Because(XRayReason.TOO_CLOSE))
    analysis = case.analysis
    if analysis is None:
        reasons.append(Because(XRayReason.ANALYSIS_FAILED, case.analysis_failed))
    else:
        reasons += [Because(XRayReason.SUSPECT, suspect.code) for suspect in analysis.suspects]
        if analysis.cut:
            reasons.append(Because(XRayReason.CUT))
        reasons += _compared(rules, analysis.compared, case.goods)
        if analysis.noisy:
            reasons.append(Because(XRayReason.NOISY))
    if not case.wedge_valid:
        reasons.append(Because(XRayReason.WEDGE_INVALID))
    elif analysis is not None and analysis.calibration != case.wedge_calibration:
        reasons.append(Because(XRayReason.WEDGE_INVALID, analysis.calibration))
    if not rules.automatic:
        reasons.append(Because(XRayReason.AUTOMATIC_OFF))
    return reasons


def _compared(rules: TriageRules, compared: Compared, goods: Goods | None) -> list[Because]:
    reasons: list[Because] = []
    trusted = goods is not None and goods.credit in rules.few_references_tiers
    if compared.score is not None and not compared.score <= rules.most_score:
        reasons.append(Because(XRayReason.SCORE_HIGH, f"{compared.score:.1f}"))
    if trusted:
        return reasons
    if compared.on is Likeness.NONE or compared.score is None:
        reasons.append(Because(XRayReason.NO_REFERENCES))
    elif compared.few or compared.references < rules.least_references:
        few = compared.references if compared.of_quantity is None else compared.of_quantity
        reasons.append(Because(XRayReason.FEW_REFERENCES, str(few)))
    elif compared.on is Likeness.CHAPTER and not rules.by_chapter:
        reasons.append(Because(XRayReason.CHAPTER_ONLY, str(compared.references)))
    return reasons


REFUSALS: Final[dict[str, Text]] = {
    "parcel_unknown": Text("该包裹已不在皮带上", "This parcel is not on the belt any more"),
    "other_picture": Text("图像已更换，请重新判图", "That was another picture, judge again"),
    "desk_unknown": Text("本席位未登录", "Nobody is signed in at this desk"),
    "other_officer": Text("席位上是另一名关员", "Another officer is at this desk"),
    "not_authorised": Text("无判图授权", "Not authorised to judge pictures"),
    "not_in_hand": Text("该包裹不在本席位", "Another desk has this parcel, or none"),
    "not_shown": Text("图像尚未显示", "The picture was not on this screen yet"),
    "judged_already": Text("已判", "Judged already"),
    "late": Text("判图太晚，转复检", "Too late, it goes to recheck"),
    "category_missing": Text("请选择异常类别", "A flag needs a category"),
    "may_not_pass": Text("该包裹不得机检通过", "Nobody may pass this parcel here"),
    "not_judged": Text("尚未判图", "Not judged yet"),
    "not_yours": Text("不是本人所判", "Judged by somebody else"),
    "undo_over": Text("撤销时限已过", "Too late to take it back"),
    "not_recorded": Text("无法记录，转复检", "It could not be recorded: recheck"),
    "picture_gone": Text("图像已不在内存中", "The picture is not in memory any more"),
    "kind_unknown": Text("只能存为参考或查获", "Expected a reference or a find"),
    "not_saved": Text("无法保存", "It could not be saved"),
}
"""Why a desk was refused: the codes of `AnswerDesk.why`."""
