"""Golden views of the rooms an officer works in: batch, inspection, patrol, stock-take, lane help."""

from __future__ import annotations

from dataclasses import replace

from edge.handheld.batch import BatchView, ScanShown, SlipCheckShown
from edge.handheld.inspection import InspectionView
from edge.handheld.inspection.shown import (
    Choice,
    DraftRow,
    DraftShown,
    EvidenceShown,
    LineShown,
    MeasureShown,
    OrderRow,
    PartShown,
    SampleRow,
)
from edge.handheld.lane_help import CodeShown, HeldRow, LaneHelpView, LaneRow, ReasonRow
from edge.handheld.patrol import PatrolView, PointShown, RouteRow
from edge.handheld.stock_take import StockShown, StockTakeView
from edge.handheld.view import SHAPES, Row, Sign, both
from sync.vocabulary.rulings import Text


def scan(
    place: int, text: str, sign: Sign, words: Text, left_s: float = 0.0, undone: bool = False
) -> ScanShown:
    return ScanShown(place, text, sign, SHAPES[sign], words, is_undone=undone, undo_left_s=left_s)


PASSED = Text("放行", "Passed")
LOG = (
    scan(42, "SF1386570000178", Sign.RELEASE, PASSED, 7.0),
    scan(41, "SF1386570000177", Sign.RELEASE, PASSED, undone=True),
    scan(
        40,
        "JDVB12345678901",
        Sign.INSPECT,
        Text("命中布控：奶粉类逐票查验", "Control: every milk powder parcel"),
    ),
    scan(39, "YT7412589632145", Sign.HOLD, Text("商品召回", "Recalled goods")),
)
BATCH = BatchView(
    phase="scanning",
    is_slip_check=False,
    title=Text("连续扫描", "Counting parcels"),
    hint=Text("一件一件扫", "Scan one after the other"),
    counted=41,
    passed=39,
    flagged=2,
    unknown=0,
    duplicates=3,
    undone=1,
    last=LOG[0],
    log=LOG,
    slip=None,
    told=None,
    may_undo=True,
    may_close=True,
)
BATCH_ASIDE = replace(
    BATCH,
    phase="aside",
    last=LOG[3],
    may_undo=False,
    told=Text("请先单独存放", "Lay it apart first"),
    hint=Text("未放行的包裹要单独存放", "What was not passed has to lie apart"),
)
BATCH_IDLE = replace(
    BATCH,
    phase="idle",
    last=None,
    log=(),
    counted=0,
    passed=0,
    flagged=0,
    duplicates=0,
    undone=0,
    may_undo=False,
)
SLIP_CHECK = replace(
    BATCH,
    is_slip_check=True,
    title=Text("卡口抽核", "Checking a slip"),
    slip=SlipCheckShown(
        slip_no="410123456789012345",
        rows=(
            Row(Text("车牌", "Plate"), both("豫A12345")),
            Row(Text("企业", "Enterprise"), both("郑州某跨境电子商务有限公司")),
        ),
        listed=120,
        found=39,
        missing=78,
        extra=2,
        elsewhere=1,
        missing_nos=("SF1386570000201", "SF1386570000202"),
        extra_texts=("YT7412589632145", "LP00654321987654"),
        elsewhere_nos=("SF1386570000301 → 410123456789012346",),
        list_is_cut=True,
    ),
)

ORDERS = (
    OrderRow(
        "CY20190417001",
        Text("双随机抽中", "Drawn at random"),
        Text("运单 SF1386570000178 等 3 件", "waybill SF1386570000178 and 2 more"),
        Text("须两名关员", "Two officers needed"),
        Text("18:00 前完成", "by 18:00"),
        False,
        None,
        True,
    ),
    OrderRow(
        "CY20190417002",
        Text("布控命中", "Control"),
        Text("核放单 410123456789012345 豫A12345", "slip 410123456789012345, 豫A12345"),
        None,
        Text("已超时 2 小时", "2 h over time"),
        True,
        None,
        True,
    ),
    OrderRow(
        "CY20190417003",
        Text("X光异常", "X-ray"),
        Text("运单 JDVB12345678901", "waybill JDVB12345678901"),
        None,
        None,
        False,
        Text("关员 4720 已领取", "Officer 4720 has it"),
        False,
    ),
)
DRAFT_ROWS = (
    DraftRow("CY20190416011", "draft", Text("查验中，2/3 件", "Carrying out, 2 of 3 parcels")),
    DraftRow("CY20190416009", "ready", Text("待发送", "Not sent yet")),
    DraftRow("CY20190416007", "sending", Text("等待中心确认", "Waiting for the centre's word")),
    DraftRow("CY20190416005", "sent", Text("中心已收", "The centre has it")),
    DraftRow("CY20190416003", "stopped", Text("中心撤回", "Withdrawn by the centre")),
)
SAMPLE_ROW = SampleRow(
    "YP-2019-0031",
    "CY20190412002",
    Text("葡萄籽精华片，菌落总数", "Grape seed tablets, bacteria"),
    "2019-04-12 10:20",
    (
        Choice("waybill", Text("运单", "Waybill"), False),
        Choice("sku", Text("商品货号", "SKU"), False),
        Choice("batch", Text("批号", "Batch"), False),
    ),
)
LIST = InspectionView(
    page="list",
    orders=ORDERS,
    drafts=DRAFT_ROWS,
    draft=None,
    samples=(SAMPLE_ROW,),
    draft_count=1,
    ready_count=1,
    sending_count=1,
    sent_count=7,
    told=None,
    is_looking=False,
    second_officer_wanted=False,
)
LINES = (
    LineShown(
        "SF1386570000178",
        "1",
        "爱他美婴儿配方奶粉 3段 800g",
        "4008976022343",
        "1901101000",
        "德国",
        "6",
        "罐",
        "6",
        "",
        False,
    ),
    LineShown(
        "SF1386570000178",
        "2",
        "Swisse 葡萄籽精华片 180片",
        "9311770588669",
        "2106909090",
        "澳大利亚",
        "2",
        "瓶",
        "3",
        "多一瓶",
        True,
    ),
    LineShown(
        "SF1386570000178",
        "3",
        "Blackmores 深海鱼油",
        "9300807287712",
        "1504200099",
        "澳大利亚",
        "1",
        "瓶",
        "",
        "",
        False,
    ),
    LineShown("SF1386570000178", "4", "未申报手表", "", "", "", "", "块", "1", "", True, is_extra=True),
)
EVIDENCE = (
    EvidenceShown("ab" * 32, "photo", "SF1386570000178", "10:32:05", "kept"),
    EvidenceShown("cd" * 32, "marked", "SF1386570000178", "10:33:10", "kept", of="ab" * 32),
    EvidenceShown("", "voice", "", "", "taking"),
    EvidenceShown("", "photo", "SF1386570000178", "", "failed", "disk full"),
)
METHODS = (
    Choice("external", Text("外形查验", "Outside only"), False),
    Choice("opened", Text("开箱查验", "Opened"), True),
    Choice("thorough", Text("彻底查验", "Thorough"), False),
)
FINDINGS = (
    Choice("nothing", Text("未见异常", "Nothing"), False),
    Choice("not_declared", Text("未申报商品", "Not declared"), True),
    Choice("other_goods", Text("品名不符", "Other goods"), False),
    Choice("other_quantity", Text("数量不符", "Other quantity"), False),
    Choice("forbidden", Text("禁限物品", "Forbidden"), False),
    Choice("damaged", Text("破损", "Damaged"), False),
)
HANDLINGS = (
    Choice("released", Text("放行", "Released"), False),
    Choice("returned", Text("退运", "Returned"), False),
    Choice("seized", Text("扣留", "Seized"), False),
    Choice("destroyed", Text("销毁", "Destroyed"), False),
    Choice("sample_sent", Text("取样送检", "Sample sent"), True),
    Choice("referred", Text("移交", "Referred"), False),
)
DRAFT = DraftShown(
    order_no="CY20190417001",
    step="carrying_out",
    stopped=None,
    rows=(
        Row(Text("原因", "Cause"), Text("双随机抽中", "Drawn at random")),
        Row(Text("时限", "Due"), Text("18:00 前", "by 18:00")),
    ),
    instructions=Text(
        "核对数量、批号，拍三张照片，取样一份", "Check quantity and batch, three photos, one sample"
    ),
    parcels=("SF1386570000178", "SF1386570000196"),
    parcel="SF1386570000178",
    lines=LINES,
    methods=METHODS,
    evidence=EVIDENCE,
    measures=(MeasureShown("重量", "5.42", "kg"),),
    is_recording=True,
    seal_no="FZ0012345",
    remark="外箱有重新封箱痕迹",
    officers_needed=2,
    second_officer="",
    findings=FINDINGS,
    handlings=HANDLINGS,
    sample=(Row(Text("样品", "Sample"), both("YP-2019-0044")),),
    parts=(
        PartShown(Text("三张照片", "Three photos"), False),
        PartShown(Text("清点每一行", "Every line counted"), False),
        PartShown(Text("查验方式", "Method"), True),
    ),
    missing=(Text("还差 2 张照片", "2 photos are missing"), Text("第 3 行未清点", "Line 3 is not counted")),
    may_send=False,
)
IN_DRAFT = replace(LIST, page="draft", draft=DRAFT)
TAKEN = replace(IN_DRAFT, draft=replace(DRAFT, step="taken"))
READY_TO_SEND = replace(
    IN_DRAFT,
    draft=replace(DRAFT, step="ready", missing=(), may_send=True, second_officer="4720", is_recording=False),
)
STOPPED = replace(
    IN_DRAFT,
    draft=replace(
        DRAFT,
        step="taken",
        stopped=Text("中心已撤回此指令，草稿保留", "Withdrawn by the centre; the draft is kept"),
    ),
)

ROUTES = PatrolView(
    phase="routes",
    routes=(
        RouteRow(
            "XC-1",
            Text("保税仓 A 区夜巡", "Bonded warehouse A, night"),
            8,
            Text("22:00 前", "by 22:00"),
            False,
        ),
        RouteRow("XC-2", Text("围网巡查", "Along the fence"), 14, Text("已超时", "over time"), True),
    ),
    route=None,
    points=(),
    next_point=None,
    seen=0,
    missed=0,
    left=0,
    lasted_s=0.0,
    told=None,
    is_wrong=False,
    may_end=False,
    end_needs_reason=False,
)
NEXT = PointShown("P3", Text("3 号货架通道口", "Entrance of shelf aisle 3"), 3, "next", 220.0, None)
WALKING = PatrolView(
    phase="walking",
    routes=(),
    route=Text("保税仓 A 区夜巡", "Bonded warehouse A, night"),
    points=(
        PointShown("P1", Text("正门", "Main gate"), 1, "seen", None, Text("21:02", "21:02")),
        PointShown(
            "P2", Text("消防栓", "Hydrant"), 2, "late", None, Text("21:19 迟到 4 分钟", "21:19, 4 min late")
        ),
        NEXT,
        PointShown("P4", Text("冷库", "Cold store"), 4, "skipped", None, Text("门锁", "Locked")),
        PointShown("P5", Text("围网东北角", "Fence, north-east corner"), 5, "to_come", None, None),
    ),
    next_point=NEXT,
    seen=2,
    missed=1,
    left=2,
    lasted_s=1_240.0,
    told=Text("这是冷库的标签，请到 3 号货架通道口", "This is the cold store's label: go to aisle 3"),
    is_wrong=True,
    may_end=True,
    end_needs_reason=True,
)

SHELF = StockTakeView(
    phase="counting",
    location="A-03-12",
    is_blind=False,
    round=1,
    rows=(
        StockShown(
            "1", "4008976022343", "爱他美婴儿配方奶粉 3段 800g", "DE240112", "罐", "120", "118", "", "differs"
        ),
        StockShown(
            "2",
            "9311770588669",
            "Swisse 葡萄籽精华片 180片",
            "AU231",
            "瓶",
            "48",
            "48",
            "",
            "equal",
            is_in_front=True,
        ),
        StockShown("3", "9300807287712", "Blackmores 深海鱼油", "", "瓶", "60", "", "", "to_count"),
        StockShown("", "6901234567892", "", "", "件", "", "3", "", "not_in_book"),
    ),
    to_count=1,
    equal=1,
    differing=1,
    not_in_book=1,
    told=Text("账面无此商品，请登记", "Not in the book here: note it"),
    hint=Text("扫商品码，输入数量", "Scan goods, enter the quantity"),
    may_close_round=False,
    may_close=True,
    close_needs_reason=True,
)
SHELF_WANTED = replace(
    SHELF,
    phase="shelf_wanted",
    location="",
    is_blind=True,
    rows=(),
    told=None,
    hint=Text("扫描货位标签", "Scan the shelf's label"),
)
RECOUNTING = replace(
    SHELF,
    phase="recounting",
    is_blind=True,
    round=2,
    rows=(
        replace(SHELF.rows[0], booked="", first_count="118", counted="", state="to_recount"),
        *SHELF.rows[1:],
    ),
    told=None,
    may_close_round=True,
)
CLOSING = replace(SHELF, phase="closing", round=2, told=None, close_needs_reason=False)

FORM = LaneHelpView(
    phase="filling_in",
    held=(
        HeldRow(
            lane="lane-in-2",
            passage=42,
            title=Text("2 号进口通道 · 过卡 42 · 豫A12345", "Lane 2, in · passage 42 · 豫A12345"),
            why=Text("车牌与核放单不符；重量超差", "The plate is not the slip's; the weight differs"),
            ways=Text("退出、人工放行、引导待检", "back out, release by hand, lead aside"),
            since=Text("2026-11-23 07:44 起", "since 2026-11-23 07:44"),
            is_chosen=False,
        ),
    ),
    lanes=(
        LaneRow("lane-in-1", Text("1 号进口通道", "Lane 1, in"), False),
        LaneRow("lane-in-2", Text("2 号进口通道", "Lane 2, in"), True),
        LaneRow("lane-out-1", Text("1 号出口通道", "Lane 1, out"), False),
    ),
    lane="lane-in-2",
    passage="",
    action="supplement",
    may_release=True,
    may_supplement=True,
    reason="",
    reasons=(
        ReasonRow(Text("车牌污损，人工核对一致", "Plate dirty, checked by eye")),
        ReasonRow(Text("地磅故障，已复秤", "Scale fault, weighed again")),
    ),
    field="plate",
    value="豫A12345",
    officers_needed=2,
    officers=(),
    code=None,
    answer=None,
    answer_is_good=None,
    missing=(Text("过卡号", "The passage number"), Text("原因", "A reason")),
    told=None,
)
CODE_TEXT = (
    "KKR1:" + "eyJsYW5lIjoibGFuZS1pbi0yIiwicGFzc2FnZSI6NDIsIm9mZmljZXIiOiI0NzExIiwicmVhc29uIjoi" + "A" * 150
)
CODE = replace(
    FORM,
    phase="shown",
    action="release",
    passage="42",
    reason="车牌污损，人工核对一致",
    code=CodeShown(CODE_TEXT, "4711", 47.0, 1, 2),
    answer=Text("无网络：请对准通道扫描器", "No network: hold it before the lane's scanner"),
    missing=(),
)
REFUSED = replace(
    FORM,
    phase="over",
    action="release",
    answer=Text("通道未执行：车辆已离开", "The lane did not do it: the vehicle has left"),
    answer_is_good=False,
    missing=(),
)
SECOND_WANTED = replace(FORM, phase="second_wanted", action="release", missing=(), passage="42")
