"""What an officer may see, as values: every page in every phase, with texts as long as they come."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edge.handheld.context import Hand, Language, ScannerSource, Settings, Theme
from edge.handheld.preferences import Choice, ChoiceRow, PreferencesView
from edge.handheld.scanning import (
    ControlShown,
    DocumentShown,
    GoodsShown,
    Offer,
    OrderShown,
    PictureShown,
    RecentShown,
    ScanningView,
    UnknownShown,
    VerdictShown,
)
from edge.handheld.signing_in import SecondOfficerShown, SigningInView
from edge.handheld.tracing import StepShown, TracingView
from edge.handheld.view import SHAPES, Bar, Door, Notice, Page, Row, Sign, both
from sync.vocabulary.rulings import Text
from tests.screens import golden_pictures as seen
from tests.screens import golden_work as work


@dataclass(frozen=True)
class Whole:
    bar: Bar
    page: Page
    doors: tuple[Door, ...]
    settings: Settings
    shown: object


BAR = Bar(
    online=True,
    link=Text("在线", "online"),
    unsent=12,
    unsent_text=Text("未发 12", "12 unsent"),
    age=Text("底账 3 分钟前", "records 3 min old"),
    age_is_too_old=False,
    battery_per_cent=80,
    is_charging=False,
    officer="4711",
    is_live=False,
)
BAD_BAR = replace(
    BAR,
    online=False,
    link=Text("离线 6 小时", "offline for 6 h"),
    unsent=12_345,
    unsent_text=Text("未发 12345", "12345 unsent"),
    age=Text("底账 26 小时前，过旧", "records 26 h old: too old"),
    age_is_too_old=True,
    battery_per_cent=9,
    is_live=True,
    notices=(
        Notice(
            Sign.HOLD,
            Text("磁盘将满，照片不再保存", "The disk is nearly full: no more photos are kept"),
            stays=True,
        ),
        Notice(Sign.INSPECT, Text("新的查验指令 2 条", "2 new inspection orders")),
    ),
)
DOORS = (
    Door(Page.SCAN, Text("扫描", "Scan"), True),
    Door(Page.BATCH, Text("连续扫描与抽核", "Batch and slip check"), True),
    Door(Page.INSPECTION, Text("查验", "Inspection"), True, waiting=3),
    Door(Page.PATROL, Text("巡查", "Patrol"), True),
    Door(Page.STOCK_TAKE, Text("盘库", "Stock-take"), True, waiting=1),
    Door(
        Page.LANE_HELP,
        Text("通道处置", "Lane help"),
        False,
        why=Text("需要人工放行授权", "Needs authorisation for manual release"),
    ),
    Door(Page.TRACE, Text("溯源", "Trace"), True),
    Door(Page.COMPARE, Text("同屏比对", "Compare pictures"), True),
    Door(Page.LIVE, Text("实时音视频", "Live picture and sound"), True),
    Door(Page.SETTINGS, Text("设置", "Settings"), True),
)

SIGN_IN = SigningInView(
    phase="nobody",
    officer_no="4711",
    title=Text("请登录", "Please sign in"),
    message=Text("密码错误，还可试 3 次", "Wrong PIN, 3 tries left"),
    wait_s=0.0,
    device="handheld-07",
    drafts=2,
)
WAITING = replace(
    SIGN_IN, phase="waiting", message=Text("密码错误次数过多", "Too many wrong PINs"), wait_s=27.0
)
STOPPED = replace(
    SIGN_IN,
    phase="stopped",
    message=Text("本设备已停用，请交回信息科", "This device was revoked: hand it in at the IT office"),
)
SECOND = replace(
    SIGN_IN,
    phase="signed_in",
    message=None,
    second=SecondOfficerShown(
        Text("双人作业：销毁 3 件须第二名关员确认", "Two officers: destroying 3 pieces needs a second one")
    ),
)

RECENT = (
    RecentShown("SF1386570000178", Sign.RELEASE, 1, Text("12 秒前", "12 s ago")),
    RecentShown("JDVB12345678901", Sign.INSPECT, 3, Text("1 分钟前", "1 min ago")),
    RecentShown("YT7412589632145", Sign.HOLD, 1, Text("3 分钟前", "3 min ago")),
    RecentShown("LP00654321987654", Sign.UNKNOWN, 2, Text("5 分钟前", "5 min ago")),
)
READY = ScanningView(
    verdict=None,
    looking_up="",
    garbled=None,
    source=Text("相机", "camera"),
    camera_is_on=True,
    torch_is_on=False,
    count=187,
    recent=RECENT,
    hint=Text("对准运单条码", "Aim at the waybill's code"),
)
WITH_KEY = replace(
    READY,
    camera_is_on=False,
    source=Text("扫描头", "scan engine"),
    hint=Text("按扫描键", "Press the scan key"),
    garbled=Text("条码读取不完整，请再扫一次", "The code was read only in part: scan again"),
)
GOODS = (
    GoodsShown("1", "爱他美婴儿配方奶粉 3段 800g", "4008976022343", "1901101000", "6 罐", "德国"),
    GoodsShown(
        "2", "Swisse 葡萄籽精华片 180片", "9311770588669", "2106909090", "2 瓶", "澳大利亚", is_recalled=True
    ),
)
RELEASE = VerdictShown(
    sign=Sign.RELEASE,
    shape=SHAPES[Sign.RELEASE],
    code="SF1386570000178",
    what=Text("放行", "Release"),
    why=(Text("三单一致，无布控", "Documents match, no control"),),
    to_do=(),
    age=Text("底账 3 分钟前", "records 3 min old"),
    age_is_too_old=False,
    again=None,
    rows=(
        Row(Text("运单号", "Waybill"), both("SF1386570000178")),
        Row(Text("企业", "Enterprise"), both("郑州某跨境电子商务有限公司（高信用）")),
        Row(Text("核放单", "Release slip"), both("410123456789012345")),
        Row(Text("检疫", "Quarantine"), Text("已检疫", "done"), Sign.RELEASE),
    ),
    documents=(
        DocumentShown(Text("订单", "Order"), "matched", Text("一致", "matched")),
        DocumentShown(Text("支付单", "Payment"), "matched", Text("一致", "matched")),
        DocumentShown(Text("物流单", "Waybill"), "matched", Text("一致", "matched")),
    ),
    goods=GOODS[:1],
    goods_cut=0,
    controls=(),
    pictures=(
        PictureShown(Text("X光", "X-ray"), Text("通过 10:32", "passed 10:32"), "ab" * 32, Sign.RELEASE),
    ),
    orders=(),
    unknown=None,
    offers=(
        Offer("trace", Text("溯源", "Trace"), "SF1386570000178"),
        Offer("compare", Text("比对", "Compare")),
    ),
)
INSPECT = replace(
    RELEASE,
    sign=Sign.INSPECT,
    shape=SHAPES[Sign.INSPECT],
    code="JDVB12345678901",
    what=Text("查验", "Inspect"),
    why=(Text("命中布控：奶粉类逐票查验", "Control: every milk powder parcel is inspected"),),
    to_do=(Text("开箱核对数量和批号，拍照", "Open it, check quantity and batch number, take photos"),),
    again=Text("重复扫描，未再计数", "Scanned again, not counted twice"),
    controls=(
        ControlShown(
            "BK-2019-0417",
            Text("执行", "live"),
            Text("奶粉类逐票查验", "Every milk powder parcel"),
            Sign.INSPECT,
            True,
        ),
        ControlShown(
            "BK-2019-0502",
            Text("提示", "advisory"),
            Text("新企业首单关注", "First orders of new firms"),
            Sign.INSPECT,
            False,
        ),
    ),
    documents=(
        DocumentShown(Text("订单", "Order"), "matched", Text("一致", "matched")),
        DocumentShown(Text("支付单", "Payment"), "differs", Text("金额不符", "amount differs")),
        DocumentShown(Text("物流单", "Waybill"), "unknown", Text("不明", "not known")),
    ),
    orders=(
        OrderShown("CY20190417001", Text("双随机抽中，2 件", "Drawn at random, 2 pieces"), True),
        OrderShown("CY20190417002", Text("需要动植检授权", "Needs plant and animal authorisation"), False),
    ),
    offers=(Offer("take_order", Text("领取指令", "Take the order"), "CY20190417001"), *RELEASE.offers),
)
HOLD = replace(
    RELEASE,
    sign=Sign.HOLD,
    shape=SHAPES[Sign.HOLD],
    code="YT7412589632145",
    what=Text("拦停", "Hold"),
    why=(
        Text("商品召回：Swisse 葡萄籽精华片", "Recalled goods: Swisse grape seed"),
        Text("应检未检，不得放行", "Quarantine inspection is missing: must not pass"),
        Text("底账过旧，不能放行", "Records are too old to release"),
    ),
    to_do=(
        Text("单独存放，报召回专员", "Put it apart, tell the recall officer"),
        Text("通知检疫岗", "Call the quarantine desk"),
    ),
    age=Text("底账 26 小时前，过旧", "records 26 h old: too old"),
    age_is_too_old=True,
    goods=GOODS,
    goods_cut=14,
)
UNKNOWN = replace(
    RELEASE,
    sign=Sign.UNKNOWN,
    shape=SHAPES[Sign.UNKNOWN],
    code="LP00654321987654",
    what=Text("查无此单", "Not on record"),
    why=(Text("底账中没有此运单", "No record has this waybill"),),
    to_do=(Text("再扫一次，仍无则转人工", "Scan again; if still unknown, lead it to the desk"),),
    rows=(),
    documents=(),
    goods=(),
    pictures=(),
    unknown=UnknownShown(
        Text("像菜鸟运单号", "Looks like a Cainiao number"),
        Text("承运人：菜鸟", "Carrier: Cainiao"),
        Text("校验位不符", "Check digit is wrong"),
        ("LP00654321987645", "LP00654321987664"),
    ),
    offers=(Offer("read_again", Text("重新扫描", "Scan again")),),
)

TRACED = TracingView(
    code="ZS4101900000012345678",
    is_looking=False,
    sign=Sign.HOLD,
    recalls=(
        Row(both("ZH-2019-031"), Text("菌落总数超标，立即停止销售", "Too many bacteria: stop sales at once")),
    ),
    waybills=("SF1386570000178", "SF1386570000196"),
    rows=(
        Row(Text("原产地", "Origin"), both("德国 Fulda")),
        Row(Text("企业", "Enterprise"), both("郑州某跨境电子商务有限公司")),
    ),
    steps=(
        StepShown("2019-11-02 08:12", Text("一线入区", "First line"), Text("核放单放行", "Slip released")),
        StepShown(
            "2019-11-05 14:40", Text("X光机 2 号", "X-ray station 2"), Text("通过", "Passed"), Sign.RELEASE
        ),
        StepShown(
            "", Text("查验区", "Inspection area"), Text("抽样送检，不合格", "Sample failed"), Sign.HOLD
        ),
    ),
    message=Text("仅为本机所知的路径", "Only what this device knows of the path"),
)
NO_TRACE = TracingView("", False, None, (), (), (), (), None)


def _choices() -> PreferencesView:
    now = Settings()
    names: tuple[tuple[Text, str, tuple[tuple[Text, object], ...]], ...] = (
        (Text("语言", "Language"), "language", ((both("中文"), Language.ZH), (both("English"), Language.EN))),
        (
            Text("手", "Hand"),
            "hand",
            ((Text("左手", "Left"), Hand.LEFT), (Text("右手", "Right"), Hand.RIGHT)),
        ),
        (
            Text("手套", "Gloves"),
            "gloves",
            ((Text("不戴", "Off"), False), (Text("戴手套", "Gloves on"), True)),
        ),
        (
            Text("显示", "Display"),
            "theme",
            ((Text("深色", "Dark"), Theme.DARK), (Text("阳光下", "Sunlight"), Theme.SUNLIGHT)),
        ),
        (Text("声音", "Sound"), "sound", ((Text("开", "On"), True), (Text("关", "Off"), False))),
        (
            Text("扫描来源", "Codes come from"),
            "source",
            (
                (Text("相机", "Camera"), ScannerSource.CAMERA),
                (Text("串口扫描头", "Serial engine"), ScannerSource.SERIAL),
                (Text("键盘式扫描器", "Keyboard wedge"), ScannerSource.WEDGE),
                (Text("系统广播", "Android broadcast"), ScannerSource.INTENT),
            ),
        ),
    )
    rows = tuple(
        ChoiceRow(
            name,
            tuple(
                Choice(text, getattr(now, field) == value, _with(now, field, value))
                for text, value in choices
            ),
        )
        for name, field, choices in names
    )
    about = (
        Text("版本 0.1.0，设备 handheld-07", "Version 0.1.0, device handheld-07"),
        both("zxing-cpp 3.1, zbar 0.23"),
    )
    return PreferencesView(Text("设置", "Settings"), rows, about)


def _with(settings: Settings, field: str, value: object) -> Settings:
    given = {name: getattr(settings, name) for name in settings.__struct_fields__}
    return Settings(**{**given, field: value})


PREFERENCES = _choices()

PAGES: dict[str, tuple[Page, object, Bar]] = {
    "sign-in": (Page.SIGN_IN, SIGN_IN, replace(BAR, officer="")),
    "sign-in-waiting": (Page.SIGN_IN, WAITING, replace(BAD_BAR, officer="", notices=())),
    "sign-in-stopped": (Page.SIGN_IN, STOPPED, replace(BAR, officer="")),
    "second-officer": (Page.INSPECTION, SECOND, BAR),
    "scan": (Page.SCAN, READY, BAR),
    "scan-key": (Page.SCAN, WITH_KEY, BAD_BAR),
    "verdict-release": (Page.SCAN, replace(READY, verdict=RELEASE), BAR),
    "verdict-inspect": (Page.SCAN, replace(READY, verdict=INSPECT), BAR),
    "verdict-hold": (Page.SCAN, replace(READY, verdict=HOLD), BAD_BAR),
    "verdict-unknown": (Page.SCAN, replace(READY, verdict=UNKNOWN), BAR),
    "batch": (Page.BATCH, work.BATCH, BAR),
    "batch-idle": (Page.BATCH, work.BATCH_IDLE, BAR),
    "batch-aside": (Page.BATCH, work.BATCH_ASIDE, BAD_BAR),
    "batch-slip": (Page.BATCH, work.SLIP_CHECK, BAR),
    "inspection-list": (Page.INSPECTION, work.LIST, BAR),
    "inspection-taken": (Page.INSPECTION, work.TAKEN, BAR),
    "inspection-draft": (Page.INSPECTION, work.IN_DRAFT, BAR),
    "inspection-ready": (Page.INSPECTION, work.READY_TO_SEND, BAR),
    "inspection-stopped": (Page.INSPECTION, work.STOPPED, BAD_BAR),
    "patrol-routes": (Page.PATROL, work.ROUTES, BAR),
    "patrol": (Page.PATROL, work.WALKING, BAR),
    "stock-shelf": (Page.STOCK_TAKE, work.SHELF_WANTED, BAR),
    "stock-counting": (Page.STOCK_TAKE, work.SHELF, BAR),
    "stock-recounting": (Page.STOCK_TAKE, work.RECOUNTING, BAR),
    "stock-closing": (Page.STOCK_TAKE, work.CLOSING, BAR),
    "lane-form": (Page.LANE_HELP, work.FORM, BAR),
    "lane-code": (Page.LANE_HELP, work.CODE, BAD_BAR),
    "lane-second": (Page.LANE_HELP, work.SECOND_WANTED, BAR),
    "lane-refused": (Page.LANE_HELP, work.REFUSED, BAR),
    "trace": (Page.TRACE, TRACED, BAR),
    "trace-empty": (Page.TRACE, NO_TRACE, BAR),
    "compare-empty": (Page.COMPARE, seen.NOTHING, BAR),
    "compare": (Page.COMPARE, seen.BESIDE, BAR),
    "compare-over": (Page.COMPARE, seen.OVER, BAR),
    "compare-camera": (Page.COMPARE, seen.WITH_CAMERA, BAR),
    "live-idle": (Page.LIVE, seen.IDLE, BAR),
    "live-asked": (Page.LIVE, seen.ASKED, BAR),
    "live": (
        Page.LIVE,
        seen.LIVE,
        replace(BAR, is_live=True, live=Text("● 中心正在观看", "● LIVE to the centre")),
    ),
    "settings": (Page.SETTINGS, PREFERENCES, BAR),
}


def whole(name: str, settings: Settings) -> Whole:
    page, shown, bar = PAGES[name]
    return Whole(bar, page, DOORS, settings, shown)
