"""Words of the handheld's own rooms, in both languages. What an officer reads of a parcel is not what a
driver reads at a lane: the same reason, other words. No decision in here.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from edge.handheld.events import PinChecked
from edge.handheld.view import Sign
from sync.vocabulary.records import CreditTier, Mode, Site, SlipState
from sync.vocabulary.rulings import Because, Reason, Text

WHAT: Final[dict[Sign, Text]] = {
    Sign.RELEASE: Text("放行", "Release"),
    Sign.INSPECT: Text("查验", "Inspect"),
    Sign.HOLD: Text("扣留", "Hold"),
    Sign.UNKNOWN: Text("未知", "Unknown"),
}
"""First: what to do."""

WHY: Final[dict[Reason, Text]] = {
    Reason.RELEASED: Text("申报、单证、风险均无异常", "Declaration, documents and risk in order"),
    Reason.RECALLED: Text("召回 {detail}", "Recalled: {detail}"),
    Reason.CONTROL_HOLD: Text("布控扣留 {detail}", "Held by control {detail}"),
    Reason.CONTROL_INSPECT: Text("布控查验 {detail}", "Control asks for an inspection: {detail}"),
    Reason.QUARANTINE_REQUIRED: Text("应检未检 不得入境", "Quarantine check due, no entry before it"),
    Reason.RECORDS_TOO_OLD: Text("底账过期 不作判定", "Records too old to decide on"),
    Reason.PARCEL_UNKNOWN: Text("底账无此单号", "No record of this number"),
    Reason.CODE_AMBIGUOUS: Text("一码对应 {detail} 件", "{detail} parcels answer to this code"),
    Reason.DECLARATION_CANCELLED: Text("申报已撤销", "Declaration cancelled"),
    Reason.NOT_DECLARED: Text("未申报", "Not declared"),
    Reason.DOCUMENTS_DIFFER: Text("三单不符 {detail}", "The three documents differ: {detail}"),
    Reason.SLIP_NOT_FOUND: Text("核放单无记录 {detail}", "Its release slip is not in the records: {detail}"),
    Reason.SLIP_CANCELLED: Text("核放单已作废 {detail}", "Its release slip was cancelled: {detail}"),
    Reason.SLIP_USED: Text(
        "核放单已过卡，包裹仍在 {detail}", "Its slip has left and it is still here: {detail}"
    ),
    Reason.SLIP_EXPIRED: Text("核放单已过期 {detail}", "Its release slip has ended: {detail}"),
    Reason.SLIP_NOT_YET_VALID: Text("核放单未生效 {detail}", "Its release slip is not valid yet: {detail}"),
    Reason.SLIP_NOT_APPROVED: Text("核放单未审批 {detail}", "Its release slip is not approved: {detail}"),
    Reason.KEPT_BACK: Text("查验异常 {detail}", "Kept back by inspection {detail}"),
    Reason.INSPECTION_ORDERED: Text("查验指令 {detail}", "Inspection order {detail}"),
    Reason.X_RAY_FLAGGED: Text("机检图像异常 {detail}", "X-ray picture flagged {detail}"),
    Reason.X_RAY_RECHECK: Text("机检未作判定", "Not judged by the X-ray line"),
    Reason.CREDIT_INSPECT: Text("低信用企业逐件查验", "Every parcel of this credit tier is inspected"),
    Reason.SPOT_CHECK: Text("随机抽查", "Drawn for a spot check"),
    Reason.JOURNAL_FULL: Text("本机存储故障，未能记录", "This device cannot record: storage fault"),
}
"""Then why. `{detail}` is filled with the reason's detail."""

TO_DO: Final[dict[Reason, Text]] = {
    Reason.RECALLED: Text("封存，按召回指令处置", "Seize it as the recall orders"),
    Reason.CONTROL_HOLD: Text("扣留，报值班科长", "Keep it, call the shift leader"),
    Reason.CONTROL_INSPECT: Text("按布控要求开箱查验", "Open and inspect as the control asks"),
    Reason.QUARANTINE_REQUIRED: Text("送检疫查验", "Send it to the quarantine check"),
    Reason.RECORDS_TOO_OLD: Text("联网更新底账后重扫", "Get a network, then scan again"),
    Reason.PARCEL_UNKNOWN: Text(
        "核对面单与单号，联网后重扫", "Check label and number, scan again when online"
    ),
    Reason.CODE_AMBIGUOUS: Text("请扫包裹上的运单号", "Scan the waybill number on the parcel"),
    Reason.DECLARATION_CANCELLED: Text("不得放行，按撤单处置", "Keep it: its declaration was withdrawn"),
    Reason.NOT_DECLARED: Text("不得放行，待申报", "Keep it until it is declared"),
    Reason.DOCUMENTS_DIFFER: Text("核对订单、支付单、物流单", "Compare order, payment and waybill"),
    Reason.SLIP_NOT_FOUND: Text("核对核放单，联网后重扫", "Check the slip, scan again when online"),
    Reason.SLIP_CANCELLED: Text("不得装车，企业重新申报核放单", "Do not load it: a new slip is needed"),
    Reason.SLIP_USED: Text("查明是否漏装或重复使用", "Find out whether it was left behind"),
    Reason.SLIP_EXPIRED: Text("不得装车，企业重新申报核放单", "Do not load it: a new slip is needed"),
    Reason.SLIP_NOT_YET_VALID: Text("等待生效", "Wait until it is valid"),
    Reason.SLIP_NOT_APPROVED: Text("等待审批", "Wait for the approval"),
    Reason.KEPT_BACK: Text("不得放行，按处置决定存放", "Do not let it go: store it as was decided"),
    Reason.INSPECTION_ORDERED: Text("按查验指令实施查验", "Carry out the inspection order"),
    Reason.X_RAY_FLAGGED: Text("对照图像开箱查验", "Open it and compare with the picture"),
    Reason.X_RAY_RECHECK: Text("重新过机或人工查验", "Put it through again, or inspect by hand"),
    Reason.CREDIT_INSPECT: Text("开箱查验", "Open and inspect"),
    Reason.SPOT_CHECK: Text("实施抽查", "Carry out the spot check"),
    Reason.JOURNAL_FULL: Text("停止作业，报运维", "Stop work, call the technician"),
}

TIERS: Final[dict[CreditTier, Text]] = {
    CreditTier.HIGH: Text("高信用", "high credit"),
    CreditTier.MEDIUM: Text("一般信用", "medium credit"),
    CreditTier.LOW: Text("低信用", "low credit"),
}

MODES: Final[dict[Mode, Text]] = {
    Mode.LIVE: Text("生效", "live"),
    Mode.ADVISORY: Text("提示", "advisory"),
    Mode.SHADOW: Text("试运行", "shadow"),
}

SLIP_STATES: Final[dict[SlipState, Text]] = {
    SlipState.APPLIED: Text("待审批", "applied for"),
    SlipState.APPROVED: Text("已审批", "approved"),
    SlipState.PASSED: Text("已过卡", "passed"),
    SlipState.PASSED_FIRST: Text("已过一卡", "passed the first gate"),
    SlipState.PASSED_SECOND: Text("已过二卡", "passed the second gate"),
    SlipState.DELETED: Text("已删除", "deleted"),
    SlipState.CANCELLED: Text("已作废", "cancelled"),
}


_DOCUMENTS: Final = {
    "mismatch": Text("", ""),
    "no_order": Text("无订单", "no order"),
    "no_payment": Text("无支付单", "no payment"),
    "no_waybill": Text("无物流单", "no waybill"),
}
"""What feeds say of the match (三单对碰); what they say in other words is shown as it came."""


def why(because: Because) -> Text:
    if because.code is Reason.DOCUMENTS_DIFFER and because.detail in _DOCUMENTS:
        said, detail = WHY[because.code], _DOCUMENTS[because.detail]
        return Text(
            said.zh.replace("{detail}", detail.zh).strip(),
            said.en.replace("{detail}", detail.en).strip().removesuffix(":"),
        )
    return _filled(WHY[because.code], because.detail)


def to_do(because: Because) -> Text | None:
    return TO_DO.get(because.code)


_SECOND_REFUSED: Final = {
    "wait": Text("密码多次错误，请稍候", "too many wrong PINs, wait"),
    "unknown": Text("本机无此关员", "not rostered on this device"),
    "revoked": Text("授权已撤销", "the authorisation was revoked"),
    "expired": Text("授权已到期", "the authorisation has ended"),
    "too_long_offline": Text("离线过久，请先联网", "offline for too long, get a network"),
}


def second_refused(answer: PinChecked) -> Text:
    """Why another officer beside the device's holder does not count, and what to do."""
    why = _SECOND_REFUSED.get(answer.outcome, Text("工号或密码错误", "wrong number or PIN"))
    if answer.wait_s > 0:
        whole = math.ceil(answer.wait_s)
        why = Text(f"密码错误，请等待 {whole} 秒", f"wrong PIN, wait {whole} s")
    return Text(f"第二位关员：{why.zh}", f"Second officer: {why.en}")


def age(age_s: float | None) -> Text:
    """底账 3 分钟前 / records 3 min old"""
    if age_s is None:
        return Text("底账时间未知", "Age of records unknown")
    number, zh, en = _rounded(age_s)
    return Text(f"底账 {number} {zh}前", f"Records {number} {en} old")


_BEIJING: Final = timezone(timedelta(hours=8))
_CHINA: Final = "Asia/Shanghai"
_WITHOUT_TABLES: Final = {_CHINA: _BEIJING, "UTC": UTC}
"""A phone's Python may have no tables of zones; China has had one time, and no summer time, since 1992."""


def moment(utc: str, site: Site | None) -> str:
    """2026-11-23 07:44: as the clocks of the site show it; what is no time stays as it is."""
    try:
        at = datetime.fromisoformat(utc)
    except ValueError:
        return utc
    known = _zone(_CHINA if site is None else site.zone)
    return utc if known is None or at.tzinfo is None else f"{at.astimezone(known):%Y-%m-%d %H:%M}"


def zone_of(name: str) -> tzinfo:
    """A site's zone by its name; UTC where this device does not know it."""
    return _zone(name) or UTC


def _zone(name: str) -> tzinfo | None:
    try:
        return ZoneInfo(name)
    except (ValueError, KeyError, OSError):
        return _WITHOUT_TABLES.get(name)


def ago(seconds: float) -> Text:
    number, zh, en = _rounded(max(0.0, seconds))
    return Text(f"{number} {zh}前", f"{number} {en} ago")


def _rounded(seconds: float) -> tuple[int, str, str]:
    if seconds < 60:
        return int(seconds), "秒", "s"
    if seconds < 2 * 3600:
        return int(seconds // 60), "分钟", "min"
    if seconds < 48 * 3600:
        return int(seconds // 3600), "小时", "h"
    return int(seconds // 86_400), "天", "days"


def _filled(text: Text, detail: str) -> Text:
    return Text(text.zh.replace("{detail}", detail).strip(), text.en.replace("{detail}", detail).strip())
