"""What the screens themselves say: names of buttons and fields. What a view says comes in the view. No
Kivy.
"""

from __future__ import annotations

from typing import Final

from sync.vocabulary.rulings import Text

APP: Final = Text("卡口手持终端", "kakou handheld")
MENU: Final = Text("菜单", "Menu")
SCAN: Final = Text("扫描", "Scan")
BACK: Final = Text("返回", "Back")
CLOSE: Final = Text("关闭", "Close")
NEXT: Final = Text("下一件", "Next parcel")
TYPE_NUMBER: Final = Text("手工输入", "Type number")
LOOK_UP: Final = Text("查询", "Look up")
TORCH_ON: Final = Text("开灯", "Torch on")
TORCH_OFF: Final = Text("关灯", "Torch off")
OFFICER_NO: Final = Text("工号", "Officer no.")
PIN: Final = Text("密码", "PIN")
SIGN_IN: Final = Text("登录", "Sign in")
SIGN_OUT: Final = Text("退出登录", "Sign out")
LOCK: Final = Text("锁定", "Lock")
CONFIRM: Final = Text("确认", "Confirm")
DECLINE: Final = Text("不签", "Nobody signs")
SECOND_OFFICER: Final = Text("第二名关员", "Second officer")
CHECKING: Final = Text("正在核对…", "Checking...")
DRAFTS: Final = Text("草稿 {n} 件已保存", "{n} drafts are kept")
WAIT: Final = Text("请等 {n} 秒", "Wait {n} s")
SETTINGS: Final = Text("设置 Settings", "Settings 设置")
DEVICE: Final = Text("设备", "Device")
COUNT: Final = Text("已判 {n} 件", "{n} parcels judged")
LOOKING_UP: Final = Text("正在查询 {code}", "Looking up {code}")
NO_CAMERA: Final = Text(
    "相机没有画面；可用扫描枪或手工输入", "The camera gives no picture; scan by another source, or type"
)
NO_PICTURE: Final = Text("相机未开", "Camera is off")
TODO: Final = Text("怎么办", "What to do")
WHY: Final = Text("原因", "Why")
PARCEL: Final = Text("包裹", "Parcel")
DOCUMENTS: Final = Text("三单与清单", "Documents")
GOODS: Final = Text("申报商品", "Declared goods")
GOODS_CUT: Final = Text("另有 {n} 项未显示", "{n} more lines are not shown")
CONTROLS: Final = Text("布控", "Controls")
PICTURES: Final = Text("图像", "Pictures")
ORDERS: Final = Text("查验指令", "Inspection orders")
NEAREST: Final = Text("相近的运单号", "Nearest numbers")
RECENT: Final = Text("最近扫描", "Latest scans")
UNKNOWN: Final = Text("号码情况", "About the number")
RECALLED: Final = Text("召回", "Recalled")
SKU: Final = Text("货号", "SKU")
HS: Final = Text("税号", "HS code")
ORIGIN: Final = Text("原产地", "Origin")
WAYBILL_NO: Final = Text("运单号", "Number")
PATH: Final = Text("路径", "Path")
RECALLS: Final = Text("召回", "Recalls")
TRACE_HINT: Final = Text("扫描或输入溯源码、运单号", "Scan or type a trace code or waybill number")
LOOKING: Final = Text("正在查找…", "Looking...")
NEW_TRACE: Final = Text("清除", "Clear")
WAITING: Final = Text("草稿 {n}", "drafts: {n}")
LIVE: Final = Text("● 实时传输中", "● LIVE")
BATTERY: Final = Text("电量 {n}%", "Battery {n}%")
CHARGING: Final = Text("充电 {n}%", "Charging {n}%")
NOBODY: Final = Text("未登录", "Nobody signed in")
OFFICER: Final = Text("关员 {n}", "Officer {n}")
PUT_AWAY: Final = Text("点一下收起", "Touch to put away")


def filled(text: Text, **values: object) -> Text:
    return Text(text.zh.format(**values), text.en.format(**values))


# --- batch, inspection, patrol, stock-take, lane help -------------------------------------------------------

COUNT_FREELY: Final = Text("连续计数", "Count parcels")
CHECK_SLIP: Final = Text("按核放单抽核", "Check a slip")
UNDO: Final = Text("撤销", "Undo")
UNDO_LEFT: Final = Text("撤销（{n} 秒）", "Undo ({n} s)")
LAID_ASIDE: Final = Text("已取出，继续", "Laid aside, go on")
FINISH: Final = Text("结束", "Finish")
ALL_SCANNED: Final = Text("全车扫完", "Whole load scanned")
NOT_ALL: Final = Text("未扫完，结束", "Stop before the end")
GIVE_UP: Final = Text("放弃", "Give up")
WHY_GIVE_UP: Final = Text("放弃的原因", "Why it is given up")
COUNTED: Final = Text("件数", "Counted")
PASSED: Final = Text("放行", "Passed")
FLAGGED: Final = Text("查验/拦停", "Flagged")
NOT_KNOWN: Final = Text("未知", "Unknown")
TWICE: Final = Text("重复", "Twice")
UNDONE: Final = Text("已撤销", "Undone")
PENDING: Final = Text("查询中", "Looking up")
SLIP: Final = Text("核放单", "Release slip")
LISTED: Final = Text("单内", "Listed")
FOUND: Final = Text("已找到", "Found")
MISSING: Final = Text("缺少", "Missing")
EXTRA: Final = Text("多出", "Not listed")
ELSEWHERE: Final = Text("在他单", "On other slips")
LIST_IS_CUT: Final = Text("清单过长，本机只存一部分", "The list is longer than this device carries")
LATEST: Final = Text("最近", "Latest")

DRAFT_COUNT: Final = Text("草稿", "Drafts")
READY_COUNT: Final = Text("已备好", "Ready")
SENDING_COUNT: Final = Text("待发送", "Waiting")
SENT_COUNT: Final = Text("已送达", "Sent")
STATES: Final = {
    "draft": Text("草稿", "Draft"),
    "ready": READY_COUNT,
    "sending": SENDING_COUNT,
    "sent": SENT_COUNT,
    "stopped": Text("已停止", "Stopped"),
}
INSPECTIONS: Final = Text("查验", "Inspections")
GO_ON: Final = Text("继续查验", "Go on")
IN_HAND: Final = Text("我的查验", "In my hands")
SAMPLES: Final = Text("送检样品", "Samples at the laboratory")
REFRESH: Final = Text("刷新指令", "Look again")
NO_ORDERS: Final = Text("没有待查验的指令", "No inspection orders")
TAKE: Final = Text("领取", "Take")
STEP_ORDER: Final = Text("1 指令", "1 Order")
STEP_CHECK: Final = Text("2 查验", "2 Check")
STEP_FINDING: Final = Text("3 处置", "3 Finding")
BEGIN: Final = Text("开始查验", "Begin")
PUT_ASIDE: Final = Text("放一边", "Put aside")
PHOTO: Final = Text("拍照", "Photo")
VOICE: Final = Text("录音", "Voice note")
STOP_VOICE: Final = Text("停止录音", "Stop recording")
READY: Final = Text("查验完成", "Complete")
SEND: Final = Text("发送", "Send")
CHANGE: Final = Text("修改", "Change")
INSTRUCTIONS: Final = Text("查验要求", "Instructions")
LINES: Final = Text("清点（点一行输入数量）", "Count (touch a line)")
DECLARED: Final = Text("申报 {n}", "declared {n}")
COUNT_OF: Final = Text("实际数量：{name}", "Counted: {name}")
AS_DECLARED: Final = Text("全部与申报一致", "All as declared")
MORE_GOODS: Final = Text("多出商品", "Other goods found")
GOODS_NAME: Final = Text("商品名称", "Name of the goods")
METHOD: Final = Text("查验方式", "Method")
EVIDENCE: Final = Text("照片与录音", "Photos and voice")
MARK: Final = Text("标记", "Mark")
COMPARE: Final = Text("比对", "Compare")
LEAVE_OUT: Final = Text("不采用", "Leave out")
TAKING: Final = Text("正在保存", "being kept")
KEPT: Final = Text("已保存", "kept")
FAILED: Final = Text("未保存", "not kept")
KINDS: Final = {
    "photo": Text("照片", "Photo"),
    "marked": Text("已标记照片", "Marked photo"),
    "voice": VOICE,
}
MEASURES: Final = Text("测量值", "Measured values")
MEASURE: Final = Text("添加测量值", "Add a value")
WHAT_MEASURED: Final = Text("测量什么", "What was measured")
WEIGHT: Final = Text("重量 kg", "Weight, kg")
TEMPERATURE: Final = Text("温度 ℃", "Temperature, ℃")
LENGTH: Final = Text("长度 cm", "Length, cm")
RADIATION: Final = Text("辐射 μSv/h", "Radiation, μSv/h")
TAKE_BACK: Final = Text("取消此值", "Take it back")
SEAL: Final = Text("封志号", "Seal no.")
REMARK: Final = Text("备注", "Remark")
WRITE: Final = Text("填写", "Write")
FINDING: Final = Text("查验结果", "Finding")
HANDLING: Final = Text("处置", "Handling")
SAMPLE: Final = Text("样品", "Sample")
SAMPLE_QUANTITY: Final = Text("样品数量（{unit}）", "Quantity of the sample, {unit}")
TAKE_SAMPLE: Final = Text("取样登记", "Note a sample")
SAMPLE_NO: Final = Text("样品封签号", "Sample seal no.")
PARTS: Final = Text("要求的项目", "What is asked for")
MISSING_PARTS: Final = Text("还缺", "Still missing")
SECOND_NEEDED: Final = Text("须双人作业", "Two officers are needed")
SECOND_IS: Final = Text("第二名关员 {n}", "Second officer {n}")
SECOND_PURPOSE: Final = Text("对本次查验负责", "Answers for this inspection too")
DROP: Final = Text("作废草稿", "Drop the draft")
RESULT: Final = Text("检测结果", "Laboratory result")
ENTER_RESULT: Final = Text("填结果", "Result")
RESULT_PASSED: Final = Text("合格", "Passed")
RESULT_FAILED: Final = Text("不合格", "Failed")
REPORT_NO: Final = Text("检测报告号", "Report no.")
WHAT_FAILED: Final = Text("不合格项目", "What failed")
RECALL_BY: Final = Text("按什么召回（可多选）", "Recall by (one or more)")
EXTRA_LINE: Final = Text("未申报", "not declared")

ROUTES: Final = Text("巡查路线", "Patrol routes")
NO_ROUTES: Final = Text("没有路线", "No routes")
POINTS: Final = Text("{n} 个点", "{n} points")
NEXT_POINT: Final = Text("下一个点", "Next point")
SEEN: Final = Text("已到", "Seen")
LEFT: Final = Text("剩余", "Left")
MISSED: Final = Text("未到", "Missed")
LATE: Final = Text("迟到", "late")
SKIPPED: Final = Text("跳过", "skipped")
SECONDS_LEFT: Final = Text("还有 {n}", "{n} left")
SECONDS_OVER: Final = Text("已超 {n}", "{n} over")
SKIP: Final = Text("跳过此点", "Skip this point")
WHY_SKIP: Final = Text("为什么跳过", "Why it is skipped")
END_PATROL: Final = Text("结束巡查", "End the patrol")
WHY_END: Final = Text("未到各点的原因", "Why points were missed")
PATROL_ENDED: Final = Text("巡查结束", "The patrol is over")
OTHER_WORDS: Final = Text("其他原因…", "Other words...")
SKIP_WHYS: Final = (
    Text("门锁", "Locked"),
    Text("施工封闭", "Closed for works"),
    Text("有危险", "Dangerous"),
    Text("标签损坏", "Label damaged"),
    Text("被召回处理急事", "Called away"),
)

BLIND: Final = Text("盲盘（不显示账面数）", "Blind (book not shown)")
NOT_BLIND: Final = Text("明盘（显示账面数）", "Open (book shown)")
BOOKED: Final = Text("账面 {n}", "book {n}")
FIRST_COUNT: Final = Text("初盘 {n}", "first {n}")
LINE_TO_COUNT: Final = Text("未点", "to count")
NOT_COUNTED: Final = Text("未盘", "to count")
EQUAL: Final = Text("相符", "Equal")
DIFFERING: Final = Text("不符", "Differs")
TO_COUNT: Final = Text("待盘", "To count")
TO_RECOUNT: Final = Text("请复盘", "count again")
NOT_IN_BOOK: Final = Text("账外", "Not in book")
GOODS_FOUND: Final = Text("账外货物", "Goods not in book")
CLOSE_ROUND: Final = Text("本轮盘完", "Round is done")
CLOSE_TAKE: Final = Text("完成盘库", "Close the take")
CLOSE_EARLY: Final = Text("未盘完，说明原因后完成", "Close it uncounted, with a reason")
WHY_NOT_COUNTED: Final = Text("未盘各行的原因", "Why rows were not counted")
SHELF: Final = Text("库位 {n}", "Shelf {n}")
ROUND: Final = Text("第 {n} 轮", "round {n}")
QUANTITY: Final = Text("数量", "Quantity")

LANE: Final = Text("通道", "Lane")
LANE_HELP: Final = Text("卡口协助", "Help at a lane")
NOBODY_HELD: Final = Text(
    "底账中没有正被扣留的车辆。\n通道页面上有过卡号的，可选通道并输入",
    "No vehicle is held, as the records know.\nFor another, choose the lane and type",
)
HELD: Final = Text("正被扣留的车辆", "Held right now")
PASSAGE: Final = Text("过卡号", "Passage no.")
ACTION: Final = Text("怎么处置", "What is to be done")
ACTIONS: Final = {
    "release": Text("人工放行", "Release"),
    "aside": Text("引导待检", "Lead aside"),
    "supplement": Text("补采", "Enter a value"),
}
REASON: Final = Text("原因", "Reason")
FIELD: Final = Text("补采什么", "What is entered")
FIELDS: Final = {
    "plate": Text("车牌", "Plate"),
    "weight": Text("重量 kg", "Weight, kg"),
    "slip": Text("核放单号", "Slip no."),
    "container": Text("箱号", "Container no."),
}
SIGN_CODE: Final = Text("签发代码", "Sign the code")
SIGNING: Final = Text("正在签发…", "Signing...")
SHOW_TO_LANE: Final = Text("对准通道扫描器", "Hold it before the lane's scanner")
CODE_LEFT: Final = Text("有效 {n} 秒", "Works for {n} s")
CODE_OVER: Final = Text("已失效", "It works no more")
OFFICER_OF: Final = Text("关员 {no}，第 {place}/{of} 个", "Officer {no}, {place} of {of}")
OTHER_CODE: Final = Text("另一个代码", "The other code")
END_HELP: Final = Text("处置完毕", "Done with it")
SECOND_RELEASE: Final = Text("放行须两名关员", "A release needs two officers")
ADD_WORDS: Final = Text("自己填写", "Own words")
DRAW: Final = Text("用手指圈出", "Draw with a finger")
SHOTS: Final = Text("已拍 {n} 张", "{n} taken")
NOT_HERE: Final = Text("本机没有这张照片", "This picture is not on the device")
BEGIN_PATROL: Final = Text("开始巡查", "Begin")
STOCK_TAKE: Final = Text("盘库", "Stock-take")
REFRESH_ROUTES: Final = Text("刷新路线", "Look again")
POINT_CODE: Final = Text("点位编码", "Code of the point")
SHELF_OR_GOODS: Final = Text("库位码或商品码", "Shelf or goods code")
DONE: Final = Text("已做", "done")
NOT_DONE: Final = Text("未做", "open")

# --- comparing, live ----------------------------------------------------------------------------------------

COMPARE_HINT: Final = Text("扫描包裹，比对图像", "Scan a parcel to compare its pictures")
ALIGNING: Final = Text("正在对齐…", "Aligning...")
DIFFERS: Final = Text("差异占 {n}%（粉色处）", "{n} % differs (pink)")
DIFFERENCES: Final = Text("显示差异", "Differences")
HIDE_DIFFERENCES: Final = Text("隐藏差异", "Hide differences")
BESIDE: Final = Text("并排", "Beside")
OVER: Final = Text("重叠", "Over")
MORE: Final = Text("更多", "More")
LEFT_PICTURE: Final = Text("第一张", "First picture")
RIGHT_PICTURE: Final = Text("第二张", "Second picture")
CHANGE_SIDES: Final = Text("互换", "Change sides")
ZOOM_IN: Final = Text("放大", "Nearer")
ZOOM_OUT: Final = Text("缩小", "Farther")
END_COMPARING: Final = Text("结束比对", "End comparing")
CONSENT: Final = Text(
    "开始后中心能看到画面，可随时停止。\n屏幕上方一直有标记。",
    "Once begun, the centre sees what the camera sees until you stop. A mark stays on top of the screen.",
)
WITH_SOUND: Final = Text("传送声音", "With sound")
MAY_RECORD: Final = Text("允许中心留存", "The centre may keep it")
BEGIN_LIVE: Final = Text("开始传送", "Begin")
AGREE: Final = Text("同意", "Agree")
DISAGREE: Final = Text("不同意", "Do not agree")
STOP_LIVE: Final = Text("停止传送", "Stop")
MUTE: Final = Text("静音", "Mute")
UNMUTE: Final = Text("恢复声音", "Sound on")
HIDE: Final = Text("遮画面", "Hide picture")
UNHIDE: Final = Text("恢复画面", "Show picture")
WATCHERS: Final = Text("正在观看：{n}", "Watching: {n}")
IS_RECORDED: Final = Text("● 中心正在留存", "● The centre keeps it")
