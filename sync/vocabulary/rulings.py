"""Rulings: a verdict and why, in codes that people and programs share, with words for driver and officer."""

from __future__ import annotations

import enum
from typing import Annotated

import msgspec
from msgspec import Meta

from sync.vocabulary.bounds import MAX_LIST, Words


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
    SLIP_CODE_REFUSED = "slip_code_refused"
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
    MANUAL_ASIDE = "manual_aside"
    WRONG_LANE = "wrong_lane"
    MANUAL_LANE = "manual_lane"
    FIRST_GATE_MISSING = "first_gate_missing"
    SLIP_WRONG_AREA = "slip_wrong_area"
    CARD_MISMATCH = "card_mismatch"
    TRAILER_MISMATCH = "trailer_mismatch"
    CONTAINER_MISMATCH = "container_mismatch"
    CONTAINER_UNREAD = "container_unread"
    CREDIT_INSPECT = "credit_inspect"
    RECALLED = "recalled"
    PARCEL_NOT_ON_SLIP = "parcel_not_on_slip"
    NOT_FULLY_ON = "not_fully_on"
    SCALE_FAULT = "scale_fault"
    WEIGHT_JUMPED = "weight_jumped"
    PLATFORM_REFUSED = "platform_refused"
    PLATFORM_UNANSWERED = "platform_unanswered"
    PARCEL_UNKNOWN = "parcel_unknown"
    CODE_AMBIGUOUS = "code_ambiguous"
    NOT_DECLARED = "not_declared"
    DECLARATION_CANCELLED = "declaration_cancelled"
    DOCUMENTS_DIFFER = "documents_differ"
    X_RAY_FLAGGED = "x_ray_flagged"
    X_RAY_RECHECK = "x_ray_recheck"
    INSPECTION_ORDERED = "inspection_ordered"
    KEPT_BACK = "kept_back"
    """An inspection of it is over, and what it found was not handled by a release."""


class Text(msgspec.Struct, frozen=True):
    """Words in both languages. In what a driver reads `{detail}` is filled with the reason's detail."""

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
    Reason.SLIP_CODE_REFUSED: Text("核放单二维码无效 请到人工通道", "Slip code refused, go to manual lane"),
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
    Reason.MANUAL_ASIDE: Text("引导待检 请驶入待检区", "Drive to the waiting area"),
    Reason.WRONG_LANE: Text("走错通道 请走{detail}通道", "Wrong lane, use {detail}"),
    Reason.MANUAL_LANE: Text("人工通道 请等候关员", "Manual lane, wait for the officer"),
    Reason.FIRST_GATE_MISSING: Text("未过一卡 请等待", "First gate not passed, please wait"),
    Reason.SLIP_WRONG_AREA: Text("核放单不属本关区 请退出", "Slip of another customs area, back out"),
    Reason.CARD_MISMATCH: Text("IC卡与核放单不符 请等待", "Card and slip differ, please wait"),
    Reason.TRAILER_MISMATCH: Text("挂车 {detail} 与备案不符 请等待", "Trailer {detail} not as registered"),
    Reason.CONTAINER_MISMATCH: Text("箱号 {detail} 不符 请等待", "Container {detail} not on the slip"),
    Reason.CONTAINER_UNREAD: Text("箱号未识别 请等待", "Container not read, please wait"),
    Reason.CREDIT_INSPECT: Text("信用查验 请到查验区", "Credit inspection, go to inspection"),
    Reason.RECALLED: Text("货物召回 {detail} 请等待", "Goods recalled, please wait: {detail}"),
    Reason.PARCEL_NOT_ON_SLIP: Text("包裹不在核放单内 请等待", "Parcel not on the slip, please wait"),
    Reason.NOT_FULLY_ON: Text("车辆未完全上磅 请移动", "Not fully on the scale, please move"),
    Reason.SCALE_FAULT: Text("地磅异常 {detail} 请等待", "Scale fault {detail}, please wait"),
    Reason.WEIGHT_JUMPED: Text("称重数据异常 请等待", "Weight jumped, please wait"),
    Reason.PLATFORM_REFUSED: Text("海关未放行 {detail} 请等待", "Refused by customs: {detail}"),
    Reason.PLATFORM_UNANSWERED: Text("海关平台未应答 请等待", "No answer from customs, please wait"),
    Reason.PARCEL_UNKNOWN: Text("运单无记录 请等待", "Waybill not in the records, please wait"),
    Reason.CODE_AMBIGUOUS: Text("一码多件 请扫运单号", "Code of several, scan the waybill"),
    Reason.NOT_DECLARED: Text("未申报 请等待", "Not declared, please wait"),
    Reason.DECLARATION_CANCELLED: Text("申报已撤销 请等待", "Declaration cancelled, please wait"),
    Reason.DOCUMENTS_DIFFER: Text("三单不符 请等待", "Documents differ, please wait"),
    Reason.X_RAY_FLAGGED: Text("机检异常 请到查验区", "Picture flagged, go to inspection"),
    Reason.X_RAY_RECHECK: Text("机检未判 请重新过机", "Picture not judged, put through again"),
    Reason.INSPECTION_ORDERED: Text("查验指令 请到查验区", "Ordered to be inspected"),
    Reason.KEPT_BACK: Text("查验有异常 请等待", "Kept back by an inspection, please wait"),
}


class Way(enum.StrEnum):
    """How a hold can end: it is never a dead end."""

    BACK_OUT = "back_out"
    """退出: the vehicle reverses; whatever it reserved goes back."""
    RELEASE = "release"
    """人工放行: an officer's manual release (S8)."""
    ASIDE = "aside"
    """引导待检: an officer lets it through to the waiting area, so that the lane is free for the next."""
    SUPPLEMENT = "supplement"
    """补采: an officer enters what could not be read."""
    AGAIN = "again"
    """复核: the lane looks again by itself when records, link, device or vehicle change."""


_RULED_ANEW = frozenset({Way.SUPPLEMENT, Way.AGAIN})


class Owner(enum.StrEnum):
    """Who has to end a hold."""

    DRIVER = "driver"
    LANE_OFFICER = "lane_officer"
    INSPECTION = "inspection"
    TECHNICIAN = "technician"
    SHIFT_LEADER = "shift_leader"


WAYS: dict[Way, Text] = {
    Way.BACK_OUT: Text("退出", "back out"),
    Way.RELEASE: Text("人工放行", "release by hand"),
    Way.ASIDE: Text("引导待检", "lead aside"),
    Way.SUPPLEMENT: Text("补采", "enter what was not read"),
    Way.AGAIN: Text("自动复核", "looked at again by itself"),
}

OWNERS: dict[Owner, Text] = {
    Owner.DRIVER: Text("司机", "driver"),
    Owner.LANE_OFFICER: Text("卡口关员", "officer at the lane"),
    Owner.INSPECTION: Text("查验关员", "inspection"),
    Owner.TECHNICIAN: Text("运维人员", "technician"),
    Owner.SHIFT_LEADER: Text("值班科长", "shift leader"),
}


class Guide(msgspec.Struct, frozen=True):
    """What is to be done about a hold, for officers; what the driver reads is in `TEXTS`."""

    owner: Owner
    ways: tuple[Way, ...]
    zh: str
    en: str


_OUT, _RELEASE, _ASIDE, _SUPPLEMENT, _AGAIN = (
    Way.BACK_OUT,
    Way.RELEASE,
    Way.ASIDE,
    Way.SUPPLEMENT,
    Way.AGAIN,
)

GUIDES: dict[Reason, Guide] = {
    Reason.NO_IDENTITY: Guide(
        Owner.LANE_OFFICER,
        (_AGAIN, _SUPPLEMENT, _RELEASE, _OUT),
        "核对车牌后补采，或引导至人工通道",
        "Read the plate by eye and supplement it, or send the vehicle to the manual lane",
    ),
    Reason.PLATE_TAG_MISMATCH: Guide(
        Owner.LANE_OFFICER,
        (_RELEASE, _ASIDE, _OUT),
        "核对行驶证、车牌与电子标签，疑似套牌移交处置",
        "Check licence, plate and tag; hand over where plates may be swapped",
    ),
    Reason.VEHICLE_UNKNOWN: Guide(
        Owner.DRIVER, (_OUT, _RELEASE), "车辆先办理备案", "The vehicle has to be registered first"
    ),
    Reason.VEHICLE_SUSPENDED: Guide(
        Owner.DRIVER, (_OUT, _RELEASE), "企业先恢复备案", "The carrier has to lift the suspension first"
    ),
    Reason.VEHICLE_BLOCKED: Guide(
        Owner.SHIFT_LEADER, (_ASIDE, _OUT), "控制车辆，报值班科长", "Keep the vehicle, call the shift leader"
    ),
    Reason.REGISTRATION_EXPIRED: Guide(
        Owner.DRIVER, (_OUT, _RELEASE), "车辆先续期备案", "The registration has to be renewed first"
    ),
    Reason.SLIP_NOT_FOUND: Guide(
        Owner.DRIVER,
        (_AGAIN, _SUPPLEMENT, _OUT),
        "请司机出示核放单条码；无单则退出",
        "Have the driver show the slip's code; without a slip it backs out",
    ),
    Reason.SLIP_CODE_REFUSED: Guide(
        Owner.LANE_OFFICER,
        (_AGAIN, _SUPPLEMENT, _RELEASE, _OUT),
        "核对核放单；伪造的二维码移交处置，过期的请企业重新领取",
        "Check the slip; hand over a forged code, have an ended one issued anew",
    ),
    Reason.SLIP_NOT_APPROVED: Guide(
        Owner.DRIVER, (_AGAIN, _OUT), "等待审批，到时自动复核", "Wait for approval; looked at again by itself"
    ),
    Reason.SLIP_USED: Guide(
        Owner.LANE_OFFICER,
        (_RELEASE, _OUT),
        "核对过卡记录；一单多用移交处置",
        "Check the earlier passage; hand over where one slip is used twice",
    ),
    Reason.SLIP_CANCELLED: Guide(Owner.DRIVER, (_OUT,), "企业重新申报", "A new slip is needed"),
    Reason.SLIP_NOT_YET_VALID: Guide(
        Owner.DRIVER, (_AGAIN, _OUT), "生效后再来", "Come back when it is valid"
    ),
    Reason.SLIP_EXPIRED: Guide(Owner.DRIVER, (_OUT,), "企业重新申报", "A new slip is needed"),
    Reason.SLIP_WRONG_DIRECTION: Guide(
        Owner.DRIVER, (_OUT,), "改走对应方向通道", "Use a lane of the other direction"
    ),
    Reason.SLIP_OTHER_VEHICLE: Guide(
        Owner.LANE_OFFICER,
        (_RELEASE, _OUT),
        "核对核放单与车辆；换车须变更核放单",
        "Check slip and vehicle; another vehicle needs the slip changed",
    ),
    Reason.SLIPS_CONFLICT: Guide(
        Owner.LANE_OFFICER,
        (_RELEASE, _OUT),
        "核对绑定方式，请企业更正核放单",
        "Check the binding; the enterprise has to correct its slips",
    ),
    Reason.QUARANTINE_REQUIRED: Guide(
        Owner.INSPECTION,
        (_ASIDE, _OUT),
        "应检未检不得入境：送检疫查验",
        "No entry before the quarantine check: send it there",
    ),
    Reason.WEIGHT_OVER: Guide(
        Owner.LANE_OFFICER,
        (_ASIDE, _RELEASE, _OUT),
        "核对申报重量，必要时复磅或开箱",
        "Compare with the declaration, weigh again or open the load",
    ),
    Reason.WEIGHT_UNDER: Guide(
        Owner.LANE_OFFICER,
        (_ASIDE, _RELEASE, _OUT),
        "核对申报重量，查是否短装",
        "Compare with the declaration, look for missing goods",
    ),
    Reason.WEIGHT_UNREAD: Guide(
        Owner.TECHNICIAN,
        (_AGAIN, _SUPPLEMENT, _OUT),
        "检查地磅；可人工读数补采",
        "Look after the scale; the reading may be supplemented",
    ),
    Reason.CONTROL_INSPECT: Guide(
        Owner.INSPECTION, (_ASIDE, _RELEASE, _OUT), "按布控指令实施查验", "Inspect as ordered"
    ),
    Reason.CONTROL_HOLD: Guide(
        Owner.SHIFT_LEADER, (_ASIDE, _OUT), "控制车辆，报值班科长", "Keep the vehicle, call the shift leader"
    ),
    Reason.SPOT_CHECK: Guide(
        Owner.INSPECTION, (_ASIDE, _RELEASE, _OUT), "实施抽核", "Carry out the spot check"
    ),
    Reason.CREDIT_INSPECT: Guide(
        Owner.INSPECTION,
        (_ASIDE, _RELEASE, _OUT),
        "低信用企业逐车查验",
        "Every vehicle of this credit tier is inspected",
    ),
    Reason.CLAIM_REFUSED: Guide(
        Owner.LANE_OFFICER,
        (_AGAIN, _RELEASE, _OUT),
        "核放单在其他通道使用中，核对两车",
        "The slip is in use in another lane: compare the two vehicles",
    ),
    Reason.CLAIM_UNANSWERED: Guide(
        Owner.LANE_OFFICER,
        (_AGAIN, _RELEASE, _OUT),
        "中心恢复后自动复核；急需可人工放行",
        "Looked at again when the centre answers; release by hand if it cannot wait",
    ),
    Reason.RECORDS_TOO_OLD: Guide(
        Owner.TECHNICIAN,
        (_AGAIN, _RELEASE, _OUT),
        "检查网络与时钟，底账更新后自动复核",
        "Look after network and clock; looked at again when records arrive",
    ),
    Reason.DEVICE_SILENT: Guide(
        Owner.TECHNICIAN,
        (_AGAIN, _SUPPLEMENT, _RELEASE, _OUT),
        "检修设备；可补采",
        "Look after the device; what it would read may be supplemented",
    ),
    Reason.JOURNAL_FULL: Guide(
        Owner.TECHNICIAN,
        (_AGAIN, _OUT),
        "清理磁盘；恢复前不得放行",
        "Free the disk; nothing moves before that",
    ),
    Reason.LANE_CLOSED: Guide(
        Owner.SHIFT_LEADER,
        (_AGAIN, _RELEASE, _OUT),
        "查明原因后复位",
        "Find the cause, then reset the lane",
    ),
    Reason.INTERRUPTED: Guide(
        Owner.LANE_OFFICER,
        (_RELEASE, _OUT),
        "核对是否同一车辆后人工放行",
        "See that it is the same vehicle, then release by hand",
    ),
    Reason.WRONG_LANE: Guide(
        Owner.DRIVER, (_OUT, _RELEASE), "引导至对应通道", "Send it to the lane on the board"
    ),
    Reason.MANUAL_LANE: Guide(
        Owner.LANE_OFFICER, (_RELEASE, _ASIDE, _OUT), "人工核验后放行", "Check by hand, then release"
    ),
    Reason.FIRST_GATE_MISSING: Guide(
        Owner.LANE_OFFICER,
        (_AGAIN, _RELEASE, _OUT),
        "核对一卡过卡记录，到时自动复核",
        "Check the passage at the first gate; looked at again by itself",
    ),
    Reason.SLIP_WRONG_AREA: Guide(
        Owner.DRIVER, (_OUT, _RELEASE), "前往核放单所属场所", "Go to the place the slip names"
    ),
    Reason.CARD_MISMATCH: Guide(
        Owner.LANE_OFFICER, (_RELEASE, _OUT), "核对IC卡与核放单", "Compare card and slip"
    ),
    Reason.TRAILER_MISMATCH: Guide(
        Owner.LANE_OFFICER,
        (_RELEASE, _ASIDE, _OUT),
        "核对挂车号牌与备案",
        "Compare the trailer with the register",
    ),
    Reason.CONTAINER_MISMATCH: Guide(
        Owner.LANE_OFFICER, (_ASIDE, _RELEASE, _OUT), "核对箱号与铅封", "Check container number and seal"
    ),
    Reason.CONTAINER_UNREAD: Guide(
        Owner.LANE_OFFICER,
        (_AGAIN, _SUPPLEMENT, _OUT),
        "人工读取箱号补采",
        "Read the number and supplement it",
    ),
    Reason.RECALLED: Guide(Owner.INSPECTION, (_ASIDE, _OUT), "按召回指令封存", "Seize as the recall orders"),
    Reason.PARCEL_NOT_ON_SLIP: Guide(
        Owner.INSPECTION, (_ASIDE, _OUT), "核对包裹清单，查是否夹带", "Check the parcel list, look for extras"
    ),
    Reason.NOT_FULLY_ON: Guide(
        Owner.DRIVER,
        (_AGAIN, _SUPPLEMENT, _OUT),
        "指挥车辆完全上磅",
        "Have the driver move fully onto the scale",
    ),
    Reason.SCALE_FAULT: Guide(
        Owner.TECHNICIAN, (_AGAIN, _SUPPLEMENT, _OUT), "检修地磅（超载、欠载、去皮）", "Look after the scale"
    ),
    Reason.WEIGHT_JUMPED: Guide(
        Owner.SHIFT_LEADER,
        (_ASIDE, _OUT),
        "疑似遥控作弊：封存地磅数据，复磅",
        "Possible tampering: keep the data, weigh elsewhere",
    ),
    Reason.PLATFORM_REFUSED: Guide(
        Owner.LANE_OFFICER,
        (_RELEASE, _ASIDE, _OUT),
        "按海关平台提示处置",
        "Do what the customs platform says",
    ),
    Reason.PLATFORM_UNANSWERED: Guide(
        Owner.LANE_OFFICER,
        (_AGAIN, _RELEASE, _OUT),
        "平台恢复后自动复核",
        "Looked at again when the platform answers",
    ),
    Reason.PARCEL_UNKNOWN: Guide(
        Owner.INSPECTION,
        (_AGAIN, _SUPPLEMENT, _OUT),
        "核对面单与单号，联网后复核；确无申报的移交处置",
        "Check label and number, scan again when online; hand over what nobody declared",
    ),
    Reason.CODE_AMBIGUOUS: Guide(
        Owner.INSPECTION, (_AGAIN, _OUT), "扫描包裹上的运单号", "Scan the waybill number on the parcel itself"
    ),
    Reason.NOT_DECLARED: Guide(
        Owner.INSPECTION,
        (_AGAIN, _OUT),
        "不得放行，待企业申报后复核",
        "Keep it until the enterprise has declared it",
    ),
    Reason.DECLARATION_CANCELLED: Guide(
        Owner.INSPECTION,
        (_AGAIN, _OUT),
        "不得放行，按撤单处置",
        "Keep it; the enterprise has withdrawn its declaration",
    ),
    Reason.DOCUMENTS_DIFFER: Guide(
        Owner.INSPECTION,
        (_AGAIN, _OUT),
        "核对订单、支付单、物流单，企业更正后复核",
        "Compare order, payment and waybill; the enterprise has to correct them",
    ),
    Reason.X_RAY_FLAGGED: Guide(
        Owner.INSPECTION, (_ASIDE, _OUT), "对照图像开箱查验", "Open it and compare with the picture"
    ),
    Reason.X_RAY_RECHECK: Guide(
        Owner.INSPECTION, (_AGAIN, _OUT), "重新过机或人工查验", "Put it through again, or inspect by hand"
    ),
    Reason.INSPECTION_ORDERED: Guide(
        Owner.INSPECTION, (_ASIDE, _OUT), "按查验指令实施查验", "Carry out the inspection order"
    ),
    Reason.KEPT_BACK: Guide(
        Owner.INSPECTION,
        (_ASIDE, _OUT),
        "不得放行，按处置决定存放",
        "Do not let it go: store it as was decided",
    ),
}
"""Every reason that holds or inspects; the three that release and the two by hand have none."""


class Because(msgspec.Struct, frozen=True):
    """One reason with the part that differs from case to case (`320 kg`, a control's number)."""

    code: Reason
    detail: Words = ""

    def zh(self) -> str:
        return TEXTS[self.code].zh.replace("{detail}", self.detail)

    def en(self) -> str:
        return TEXTS[self.code].en.replace("{detail}", self.detail)


class Ruling(msgspec.Struct, frozen=True):
    """A verdict with every reason that led to it, the one to tell the driver first."""

    verdict: Verdict
    reasons: Annotated[tuple[Because, ...], Meta(min_length=1, max_length=MAX_LIST)]

    def codes(self) -> tuple[str, ...]:
        return tuple(because.code.value for because in self.reasons)

    def owner(self) -> str:
        """Who has to end it: of the reason told first; empty where nothing is held."""
        guide = GUIDES.get(self.reasons[0].code) if self.verdict is not Verdict.RELEASE else None
        return "" if guide is None else guide.owner.value

    def ways(self) -> tuple[str, ...]:
        """How it can end. What lets a vehicle go must be left open by every reason. To look again or to enter
        what was not read lets nobody go by itself: it helps where any reason asks for it."""
        if self.verdict is Verdict.RELEASE:
            return ()
        guides = [GUIDES[because.code] for because in self.reasons if because.code in GUIDES]
        return tuple(
            way.value
            for way in Way
            if guides and (any if way in _RULED_ANEW else all)(way in guide.ways for guide in guides)
        )
