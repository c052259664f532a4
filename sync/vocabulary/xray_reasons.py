"""Why a parcel did not pass an X-ray line by itself, and why it may not pass at all: codes that people and
programs share, with words for the officer. As `sync.vocabulary.rulings` keeps them for lanes.
"""

from __future__ import annotations

import enum
from typing import Final

import msgspec

from sync.vocabulary.bounds import Words
from sync.vocabulary.rulings import Text


class XRayReason(enum.StrEnum):
    """Codes in the facts `parcel_x_rayed` and `parcel_sorted`. Texts are in `TEXTS`."""

    # Nothing against it.
    CLEAR = "clear"
    JUDGED = "judged"
    # To an officer.
    AUTOMATIC_OFF = "automatic_off"
    SUSPECT = "suspect"
    SCORE_HIGH = "score_high"
    NO_REFERENCES = "no_references"
    FEW_REFERENCES = "few_references"
    CHAPTER_ONLY = "chapter_only"
    NOISY = "noisy"
    CUT = "cut"
    ANALYSIS_FAILED = "analysis_failed"
    NOT_ANALYSED = "not_analysed"
    WEDGE_INVALID = "wedge_invalid"
    CONTROL = "control"
    SPOT_CHECK = "spot_check"
    RECORDS_TOO_OLD = "records_too_old"
    TOO_CLOSE = "too_close"
    # Nobody at this station may pass it.
    RECALLED = "recalled"
    QUARANTINE = "quarantine"
    DOCUMENTS_DIFFER = "documents_differ"
    WAYBILL_UNKNOWN = "waybill_unknown"
    NO_READ = "no_read"
    GARBLED = "garbled"
    TWO_CODES = "two_codes"
    NOT_A_WAYBILL = "not_a_waybill"
    WAYBILL_TWICE = "waybill_twice"
    NO_PICTURE = "no_picture"
    AMBIGUOUS = "ambiguous"
    UNMATCHED = "unmatched"
    MERGED = "merged"
    SPLIT = "split"
    TWO_THINGS = "two_things"
    COMPOSED = "composed"
    ADDED = "added"
    WEDGE = "wedge"
    # Nobody could let it pass any more.
    OVERDUE = "overdue"
    SECOND_MISSING = "second_missing"
    SECOND_DIFFERS = "second_differs"
    AWAITING_SECOND = "awaiting_second"
    NOT_AT_DIVERTER = "not_at_diverter"
    TWO_AT_DIVERTER = "two_at_diverter"
    NEIGHBOUR_ELSEWHERE = "neighbour_elsewhere"
    BELT_STOPPED = "belt_stopped"
    BELT_REVERSED = "belt_reversed"
    BELT_UNKNOWN = "belt_unknown"
    EMERGENCY = "emergency"
    JAM = "jam"
    RESTARTED = "restarted"
    CLEARING = "clearing"
    CLOSED = "closed"
    NOT_RECORDED = "not_recorded"
    WRONG_CHUTE = "wrong_chute"
    NOT_PULSED = "not_pulsed"
    LATE = "late"


class Because(msgspec.Struct, frozen=True):
    """One reason with the part that differs from case to case."""

    code: XRayReason
    detail: Words = ""

    def words(self) -> str:
        """As a fact carries it: the code, the detail behind a colon where there is one."""
        return f"{self.code.value}: {self.detail}" if self.detail else self.code.value


TEXTS: Final[dict[XRayReason, Text]] = {
    XRayReason.CLEAR: Text("自动通过", "Passed by itself"),
    XRayReason.JUDGED: Text("关员判图", "Judged by an officer"),
    XRayReason.AUTOMATIC_OFF: Text("本机不自动通过", "This station passes nothing by itself"),
    XRayReason.SUSPECT: Text("图像可疑", "Something in the picture"),
    XRayReason.SCORE_HIGH: Text("与同类商品图像不符", "Unlike the references of the same goods"),
    XRayReason.NO_REFERENCES: Text("无参考图像", "No reference pictures"),
    XRayReason.FEW_REFERENCES: Text("参考图像太少", "Too few reference pictures"),
    XRayReason.CHAPTER_ONLY: Text("只有同章参考图像", "References of the HS chapter only"),
    XRayReason.NOISY: Text("图像噪声大", "Picture too noisy"),
    XRayReason.CUT: Text("图像不完整", "Picture cut off"),
    XRayReason.ANALYSIS_FAILED: Text("图像分析失败", "Analysis failed"),
    XRayReason.NOT_ANALYSED: Text("图像分析未完成", "Not analysed in time"),
    XRayReason.WEDGE_INVALID: Text("阶梯楔校验无效", "No valid wedge check"),
    XRayReason.CONTROL: Text("布控", "Under control"),
    XRayReason.SPOT_CHECK: Text("抽中人工判图", "Drawn for a spot check"),
    XRayReason.RECORDS_TOO_OLD: Text("底账过旧", "Records too old"),
    XRayReason.TOO_CLOSE: Text("与相邻包裹间距太小", "Too close to the next parcel"),
    XRayReason.RECALLED: Text("召回商品", "Recalled goods"),
    XRayReason.QUARANTINE: Text("应检未检", "Quarantine check due"),
    XRayReason.DOCUMENTS_DIFFER: Text("三单不符", "Documents differ"),
    XRayReason.WAYBILL_UNKNOWN: Text("运单未申报", "Nobody declared this waybill"),
    XRayReason.NO_READ: Text("运单号未读出", "Waybill not read"),
    XRayReason.GARBLED: Text("条码读取残缺", "Code garbled"),
    XRayReason.TWO_CODES: Text("读到两个运单号", "Two waybill numbers read"),
    XRayReason.NOT_A_WAYBILL: Text("条码不是运单号", "The code is no waybill's"),
    XRayReason.WAYBILL_TWICE: Text(
        "同一运单的包裹多于申报件数", "More parcels under this waybill than declared"
    ),
    XRayReason.NO_PICTURE: Text("没有图像", "No picture"),
    XRayReason.AMBIGUOUS: Text("图像归属不明", "Whose picture it is, is not certain"),
    XRayReason.UNMATCHED: Text("位置不符", "Not where it should be"),
    XRayReason.MERGED: Text("一图多包裹", "Two parcels in one picture"),
    XRayReason.SPLIT: Text("一包裹多图", "One parcel in several pictures"),
    XRayReason.TWO_THINGS: Text("图中有两件物品", "Two things in the picture"),
    XRayReason.COMPOSED: Text("几个包裹连在一起", "Several parcels taken as one"),
    XRayReason.ADDED: Text("中途放上的包裹", "Put on the belt behind the portal"),
    XRayReason.WEDGE: Text("阶梯楔", "The step wedge"),
    XRayReason.OVERDUE: Text("到时未判", "Nobody judged it in time"),
    XRayReason.SECOND_MISSING: Text("抽中复判，到时无人复判", "Drawn for a second look that did not come"),
    XRayReason.SECOND_DIFFERS: Text("两次判图不一致", "Two officers judged differently"),
    XRayReason.AWAITING_SECOND: Text("等待第二名关员复判", "Waits for a second officer"),
    XRayReason.NOT_AT_DIVERTER: Text("分拣口位置不符", "Not where it should be at the diverter"),
    XRayReason.TWO_AT_DIVERTER: Text("分拣口不能分清", "Two could be at the diverter"),
    XRayReason.NEIGHBOUR_ELSEWHERE: Text("紧邻去向不同的包裹", "Too close to a parcel that goes elsewhere"),
    XRayReason.BELT_STOPPED: Text("分拣时皮带停止", "The belt stood still at the diverter"),
    XRayReason.BELT_REVERSED: Text("皮带倒转", "The belt ran back"),
    XRayReason.BELT_UNKNOWN: Text("皮带位置不明", "The belt's position is not known"),
    XRayReason.EMERGENCY: Text("急停", "Emergency stop"),
    XRayReason.JAM: Text("卡包", "Jam"),
    XRayReason.RESTARTED: Text("程序重启", "The program was restarted"),
    XRayReason.CLEARING: Text("等待皮带清空", "The belt has to be cleared first"),
    XRayReason.CLOSED: Text("本机已停用", "The station is closed"),
    XRayReason.NOT_RECORDED: Text("无法记录", "It could not be recorded"),
    XRayReason.WRONG_CHUTE: Text("进了另一个滑槽", "Seen in another chute"),
    XRayReason.NOT_PULSED: Text("分拣指令未能及时发出", "The diverter's order could not be sent in time"),
    XRayReason.LATE: Text("判图太晚", "Judged too late"),
}

NOBODY_PASSES: Final = frozenset(
    {
        XRayReason.RECALLED,
        XRayReason.QUARANTINE,
        XRayReason.DOCUMENTS_DIFFER,
    }
)
"""An officer sees it and may flag it; nobody at an X-ray line lets it pass: an X-ray does not answer what
these ask."""

TO_AN_OFFICER: Final = frozenset(
    {
        XRayReason.AUTOMATIC_OFF,
        XRayReason.SUSPECT,
        XRayReason.SCORE_HIGH,
        XRayReason.NO_REFERENCES,
        XRayReason.FEW_REFERENCES,
        XRayReason.CHAPTER_ONLY,
        XRayReason.NOISY,
        XRayReason.CUT,
        XRayReason.ANALYSIS_FAILED,
        XRayReason.WEDGE_INVALID,
        XRayReason.CONTROL,
        XRayReason.SPOT_CHECK,
        XRayReason.RECORDS_TOO_OLD,
        XRayReason.TOO_CLOSE,
        XRayReason.COMPOSED,
    }
)
"""Nothing of it passes by itself; an officer may let it pass."""

AT_THE_DIVERTER: Final = frozenset(
    {
        XRayReason.NOT_AT_DIVERTER,
        XRayReason.TWO_AT_DIVERTER,
        XRayReason.NEIGHBOUR_ELSEWHERE,
        XRayReason.BELT_STOPPED,
        XRayReason.BELT_REVERSED,
        XRayReason.BELT_UNKNOWN,
        XRayReason.EMERGENCY,
        XRayReason.JAM,
        XRayReason.RESTARTED,
        XRayReason.CLEARING,
        XRayReason.CLOSED,
        XRayReason.NOT_RECORDED,
        XRayReason.WRONG_CHUTE,
        XRayReason.NOT_PULSED,
    }
)
"""No pulse is sent, or it went elsewhere, whatever had been judged."""
