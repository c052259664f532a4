"""Rulings: a verdict and why, in codes that people and programs share, with words for driver and officer."""

from __future__ import annotations

import enum

import msgspec


class Verdict(enum.StrEnum):
    RELEASE = "release"
    INSPECT = "inspect"
    HOLD = "hold"


class Reason(enum.StrEnum):
    """Reason codes. Texts for drivers are in `TEXTS`; a test keeps the two in step."""

    RELEASED = "released"
    RELEASED_EMPTY = "released_empty"
    NO_IDENTITY = "no_identity"
    PLATE_TAG_MISMATCH = "plate_tag_mismatch"
    VEHICLE_UNKNOWN = "vehicle_unknown"
    VEHICLE_SUSPENDED = "vehicle_suspended"
    VEHICLE_BLOCKED = "vehicle_blocked"
    REGISTRATION_EXPIRED = "registration_expired"
    SLIP_NOT_FOUND = "slip_not_found"
    SLIP_NOT_APPROVED = "slip_not_approved"
    SLIP_USED = "slip_used"
    SLIP_CANCELLED = "slip_cancelled"
    SLIP_NOT_YET_VALID = "slip_not_yet_valid"
    SLIP_EXPIRED = "slip_expired"
    SLIP_WRONG_DIRECTION = "slip_wrong_direction"
    SLIP_OTHER_VEHICLE = "slip_other_vehicle"
    SLIPS_CONFLICT = "slips_conflict"
    QUARANTINE_REQUIRED = "quarantine_required"
    WEIGHT_OVER = "weight_over"
    WEIGHT_UNDER = "weight_under"
    WEIGHT_UNREAD = "weight_unread"
    CONTROL_INSPECT = "control_inspect"
    CONTROL_HOLD = "control_hold"
    SPOT_CHECK = "spot_check"
    CLAIM_REFUSED = "claim_refused"
    CLAIM_UNANSWERED = "claim_unanswered"
    RECORDS_TOO_OLD = "records_too_old"
    DEVICE_SILENT = "device_silent"
    JOURNAL_FULL = "journal_full"
    LANE_CLOSED = "lane_closed"
    INTERRUPTED = "interrupted"
    MANUAL_RELEASE = "manual_release"


class Text(msgspec.Struct, frozen=True):
    """What a driver reads. `{detail}` is filled with the reason's detail."""

    zh: str
    en: str


TEXTS: dict[Reason, Text] = {
    Reason.RELEASED: Text("放行 一路平安", "Released, safe journey"),
    Reason.RELEASED_EMPTY: Text("空车放行 一路平安", "Empty vehicle released"),
    Reason.NO_IDENTITY: Text("车牌未识别 请到人工通道", "Plate not read, go to the manual lane"),
    Reason.PLATE_TAG_MISMATCH: Text("车牌与电子标签不符 请等待", "Plate and tag differ, please wait"),
    Reason.VEHICLE_UNKNOWN: Text("车辆未备案 请退出", "Vehicle not registered, back out"),
    Reason.VEHICLE_SUSPENDED: Text("车辆备案已暂停 请退出", "Registration suspended, back out"),
    Reason.VEHICLE_BLOCKED: Text("车辆禁止通行 请等待", "Vehicle blocked, please wait"),
    Reason.REGISTRATION_EXPIRED: Text("车辆备案已过期 请退出", "Registration expired, back out"),
    Reason.SLIP_NOT_FOUND: Text("核放单未找到 请到人工通道", "No release slip, go to the manual lane"),
    Reason.SLIP_NOT_APPROVED: Text("核放单未审批 请退出", "Slip not approved, back out"),
    Reason.SLIP_USED: Text("核放单已使用 请退出", "Slip already used, back out"),
    Reason.SLIP_CANCELLED: Text("核放单已作废 请退出", "Slip cancelled, back out"),
    Reason.SLIP_NOT_YET_VALID: Text("核放单未生效 请退出", "Slip not yet valid, back out"),
    Reason.SLIP_EXPIRED: Text("核放单已过期 请退出", "Slip expired, back out"),
    Reason.SLIP_WRONG_DIRECTION: Text("进出方向不符 请退出", "Wrong direction, back out"),
    Reason.SLIP_OTHER_VEHICLE: Text("核放单车牌不符 请等待", "Slip is for another vehicle, please wait"),
    Reason.SLIPS_CONFLICT: Text("核放单绑定冲突 请到人工通道", "Slips conflict, go to the manual lane"),
    Reason.QUARANTINE_REQUIRED: Text("应检未检 请到查验区", "Quarantine check due, go to inspection"),
    Reason.WEIGHT_OVER: Text("重量超差 {detail} 请等待", "{detail} over, please wait"),
    Reason.WEIGHT_UNDER: Text("重量不足 {detail} 请等待", "{detail} under, please wait"),
    Reason.WEIGHT_UNREAD: Text("重量未读到 请等待", "Weight not read, please wait"),
    Reason.CONTROL_INSPECT: Text("布控查验 请到查验区", "Inspection ordered, go to inspection"),
    Reason.CONTROL_HOLD: Text("布控扣留 请等待", "Held by order, please wait"),
    Reason.SPOT_CHECK: Text("抽核 请到查验区", "Spot check, go to inspection"),
    Reason.CLAIM_REFUSED: Text("核放单已被占用 请等待", "Slip taken in another lane, please wait"),
    Reason.CLAIM_UNANSWERED: Text("中心未应答 请等待", "No answer from the centre, please wait"),
    Reason.RECORDS_TOO_OLD: Text("底账已过期 请等待", "Records too old, please wait"),
    Reason.DEVICE_SILENT: Text("设备故障 {detail} 请等待", "Device silent: {detail}, please wait"),
    Reason.JOURNAL_FULL: Text("本机存储故障 请等待", "Lane storage fault, please wait"),
    Reason.LANE_CLOSED: Text("通道关闭 请换道", "Lane closed, use another lane"),
    Reason.INTERRUPTED: Text("通行中断 请等待", "Passage interrupted, please wait"),
    Reason.MANUAL_RELEASE: Text("关员放行 一路平安", "Released by an officer"),
}


class Because(msgspec.Struct, frozen=True):
    """One reason with the part that differs from case to case (`320 kg`, a control's number)."""

    code: Reason
    detail: str = ""

    def zh(self) -> str:
        return TEXTS[self.code].zh.replace("{detail}", self.detail)

    def en(self) -> str:
        return TEXTS[self.code].en.replace("{detail}", self.detail)


class Ruling(msgspec.Struct, frozen=True):
    """A verdict with every reason that led to it, the one to tell the driver first."""

    verdict: Verdict
    reasons: tuple[Because, ...]

    def codes(self) -> tuple[str, ...]:
        return tuple(because.code.value for because in self.reasons)
