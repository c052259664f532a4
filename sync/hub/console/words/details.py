"""What devices say of themselves in their own technical words, said so that an officer reads it. The text as
it was signed stands on the page of its fact."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from sync.hub.console.words.facts import KINDS
from sync.hub.refusals import expectation_zh
from sync.vocabulary.rulings import TEXTS, Reason

PARTS: Final[dict[str, tuple[str, str]]] = {
    "io": ("输入输出板", "I/O board"),
    "weighbridge": ("地磅", "weighbridge"),
    "plate_camera": ("车牌相机", "plate camera"),
    "plate_camera_rear": ("后车牌相机", "rear plate camera"),
    "fixed_camera": ("全景相机", "overview camera"),
    "overview": ("全景相机", "overview camera"),
    "container_camera": ("箱号相机", "container camera"),
    "rfid": ("电子标签", "tag reader"),
    "scanner": ("扫码器", "scanner"),
    "board": ("显示屏", "board"),
    "card_reader": ("读卡器", "card reader"),
    "platform": ("海关平台", "customs platform"),
    "voice": ("语音播报", "voice"),
    "belt_io": ("皮带控制板", "belt board"),
    "line_stream": ("机检图像流", "X-ray picture stream"),
    "portal_camera": ("入口相机", "portal camera"),
    "x_ray": ("机检机", "X-ray machine"),
    "portal": ("入口读码站", "portal"),
    "diverter": ("分拣口", "diverter"),
    "relays": ("继电器板", "relay board"),
    "belt": ("皮带控制板", "belt board"),
}
"""Parts of a device, as its config and its facts name them."""

_ONE: Final = f"(?:{'|'.join(sorted(PARTS, key=len, reverse=True))})"
_NAMED: Final = re.compile(rf"^{_ONE}(?=$|: )|(?:(?<=: )|(?<=：)|(?<= at )|(?<= after )){_ONE}$")
"""Alone, before a colon, or at the end: a word amid a sentence is somebody's own."""
OWN_WORDS: Final = "（原文）"
"""Behind a sentence that is nobody's here: a device's of another version, a library's, an officer's."""
_SENTENCE: Final = re.compile(r"[A-Za-z][a-z']+[ ,]+(?:[a-z']+[ ,]+)*[a-z']{2,}")
"""Two words of a language that is not Chinese: not a number, a name or a code."""
_QUOTED: Final = re.compile(r"'[^']*'")
_CHARACTERS: Final = re.compile(r"[\u4e00-\u9fff]")

_STREAMS: Final = {"routine": "常规", "alarm": "报警"}
_STEPS: Final = {"taken": "领取", "inspected": "查验", "found": "结论"}
_ON_OFF: Final = {"True": "有", "False": "无", "None": "不明"}
_YES_NO: Final = {"True": "是", "False": "否", "None": "不明"}
_BEYOND: Final = {"overload": "超载", "underload": "欠载", "unit": "单位不符"}
_CHUTES: Final = {"pass": "放行滑槽", "flag": "异常滑槽", "recheck": "复查滑槽"}
_EYES: Final = {
    "portal": "入口光眼", "xray": "机检光眼", "diverter": "分拣光眼", "pass_chute": "放行滑槽光眼",
    "flag_chute": "异常滑槽光眼", "recheck_chute": "复查滑槽光眼",
}  # fmt: skip
_MESSAGES: Final = {
    "facts": "记录", "head": "流水头", "status": "状态", "result": "指令答复", "claim": "核放单申请",
    "blob": "图片", "pull": "底账索取", "keys": "密钥声明",
}  # fmt: skip
_ENTERED: Final = {"plate": "车牌", "weight": "重量", "slip": "核放单", "container": "箱号"}
_AUTHORISED: Final = {
    "manual_release": "人工放行", "supplement": "补采", "inspect": "查验", "x_ray": "机检判图",
    "laboratory": "检测", "quarantine": "检疫",
}  # fmt: skip


def _codes(text: str) -> str:
    """Codes of reasons, as a ruling lists them."""
    known = [Reason(each) for each in text.split(", ") if each in Reason._value2member_map_]
    if len(known) != len(text.split(", ")):
        return ""
    return "、".join(_reason(each) for each in known)


def _cameras(text: str) -> str:
    """As the lane's config names them."""
    return "、".join(PARTS[each][0] if each in PARTS else each for each in text.split(", "))


def _eyes(text: str) -> str:
    """Eyes of a belt, as a jam lists them."""
    names = text.split(", ")
    return "、".join(_EYES[each] for each in names) if all(each in _EYES for each in names) else ""


def _reason(code: Reason) -> str:
    words = TEXTS.get(code)
    return code.value if words is None else words.zh.replace("{detail}", "").strip(" ：，")


def _by_hand(found: re.Match[str]) -> str:
    known = found[2] in Reason._value2member_map_
    why = _reason(Reason(found[2])) if known else found[2]
    who = PARTS[found[1]][0] if found[1] in PARTS else found[1]
    return f"{who}：{why} {found[3]}".strip()


def _lost(found: re.Match[str]) -> str:
    kinds = (each.split(" ", 1) for each in found[0].split(", "))
    return "、".join(f"{KINDS.get(kind, (kind, kind))[0]} {number} 条" for number, kind in kinds)


def _place(text: str, words: dict[str, str]) -> str:
    return words.get(text, text)


def _topic(text: str) -> str:
    return _MESSAGES.get(text.split("/")[0], text)


Told = str | Callable[[re.Match[str]], str]
_AT: Final = r"(?:^|(?<=: )|(?<=：)|(?<=；))"
"""Where a sentence begins: a writer may have put a name and a colon before it."""

_CHINESE: Final[tuple[tuple[re.Pattern[str], Told], ...]] = tuple(
    (re.compile(pattern), told)
    for pattern, told in (
        # Any device.
        (r"no valid reading for ([\d.]+) s", r"\1 秒没有有效读数"),
        (rf"{_AT}the driver hung up$", "驱动程序断开了连接"),
        (rf"{_AT}its driver (?:raised|cannot be made: ).*$", "驱动程序故障"),
        (rf"{_AT}fault of the runtime: .*$", "程序内部故障"),
        (r"^cannot listen on (\S+) port (\d+): (.+)$", r"\1 端口 \2 无法监听（\3）"),
        (r"^cannot accept connections: (.+)$", r"无法接受连接（\1）"),
        (rf"{_AT}no answer to (\d+) requests in a row$", r"连续 \1 次无应答"),
        (rf"{_AT}no answer after (\d+) attempts$", r"尝试 \1 次无应答"),
        (rf"{_AT}the board answered (.+)$", r"控制板答 \1"),
        (rf"{_AT}the line was opened again before an answer$", "未应答前线路重新打开"),
        (rf"{_AT}the line is not open$", "线路未打开"),
        (rf"{_AT}(\d+) orders are waiting$", r"已有 \1 条命令在等"),
        (rf"{_AT}not tried yet$", "尚未启动"),
        # Lanes.
        (r"parcel (\d+)(?: (\S+))? after (.+)$", r"\3之后，包裹 \1 \2"),
        (r"parcel (\d+) at (.+)$", r"\2处，包裹 \1"),
        (r"^(-?\d+) to (-?\d+) mm$", r"由 \1 到 \2 毫米"),
        (r"^vehicle (\d+) under the arm on order (\S+)$", r"一次抬杆下第 \1 辆车，抬杆令 \2"),
        (r"^(\S+) -> (\S+) kg with all wheels on$", r"全车上秤后由 \1 变为 \2 公斤"),
        (r"^(\S+) kg on an empty scale$", r"空秤显示 \1 公斤"),
        (r"^(\S+): (\S+) kg, registered (\S+) kg$", r"\1：实测 \2 公斤，备案 \3 公斤"),
        (r"^(\S+) is on no slip$", r"\1 不在任何核放单内"),
        (r"^(\S+) is on (\S+)$", r"\1 属核放单 \2"),
        (
            r"^loop=(\w+) beam=(\w+) down=(\w+) up=(\w+)$",
            lambda found: (
                f"地感{_ON_OFF.get(found[1], found[1])}车，光幕{_ON_OFF.get(found[2], found[2])}遮挡，"
                f"落杆到位{_YES_NO.get(found[3], found[3])}，升杆到位{_YES_NO.get(found[4], found[4])}"
            ),
        ),
        (r"^fire signal$", "火警信号"),
        (r"^net_weight$", "仪表显示净重"),
        (r"^(?:net_weight )?the indicator shows a net weight: clear its tare$", "仪表显示净重，请清除皮重"),
        (
            r"^unit the indicator displays (\S+), the settings say (\S+)$",
            r"仪表单位 \1，配置为 \2",
        ),
        (r"^(overload|underload|unit)\b.*$", lambda found: f"仪表：{_BEYOND[found[1]]}"),
        (r"^by ([^:]+): (\w+) ?(.*)$", _by_hand),
        (r"^(\d+) s$", r"已 \1 秒"),
        (r"^\d+ [a-z_]+(?:, \d+ [a-z_]+)*$", _lost),
        (r"^held for no want of a (\w+)$", lambda found: f"扣留不是因为缺{_place(found[1], _ENTERED)}"),
        (
            r"^held for ([a-z_]+(?:, [a-z_]+)*)$",
            lambda found: f"扣留原因不得人工放行：{_codes(found[1]) or found[1]}",
        ),
        (
            r"^(plate|weight|slip|container) was read: (.*)$",
            lambda found: f"{_place(found[1], _ENTERED)}已读出：{found[2]}",
        ),
        (
            r"(?s)^not a (plate|weight|slip|container): (.*)$",
            lambda found: f"不是{_place(found[1], _ENTERED)}：{found[2]}",
        ),
        # The customs platform.
        (r"^no platform to ask$", "未配置海关平台"),
        (r"^no answer in time$", "时限内未应答"),
        (r"(?:^|(?<= ))addressed to another lane$", "发给其他通道的"),
        (r"(?:^|(?<= ))not a raise: nothing is lowered from afar$", "不是抬杆令：不受理远程落杆"),
        (r"(?:^|(?<= ))sent before, for another vehicle$", "同号指令此前已为另一辆车发过"),
        (r"(?:^|(?<= ))the site does not allow it$", "场所未允许"),
        (r"(?:^|(?<= ))nobody is held who may be released by hand$", "无可人工放行的待处置车辆"),
        (r"(?:^|(?<= ))held for what the platform cannot override$", "扣留原因不得由平台解除"),
        (r"(?:^|(?<= ))it counts as one officer's, and nothing was raised yet$", "计为一名关员，尚未抬杆"),
        (r"^nothing is asked, or it came too late$", "未在询问，或应答过迟"),
        (r"^answers another question$", "应答的不是本次询问"),
        (r"^more was read since$", "此后又有采集"),
        (r"^not twenty digits$", "校验结果不是 20 位"),
        # Officers and their codes.
        (rf"{_AT}the signature is not officer (\S+)'s$", r"签名不是关员 \1 的"),
        (rf"{_AT}the code is for (\S+) passage (\d+)$", r"该码属 \1 过卡 \2"),
        (
            rf"{_AT}the code was issued at (\S+), it (?:is|came at) (\S+?)(?:: kept, and not given)?$",
            r"该码签发于 \1，此时为 \2，已失效",
        ),
        (rf"{_AT}officer (\S+) is not (?:on this lane's roster|rostered)$", r"关员 \1 不在名册内"),
        (rf"{_AT}officer (\S+) is not active$", r"关员 \1 名册状态无效"),
        (
            rf"{_AT}officer (\S+) has no authorisation (\S+)$",
            lambda found: f"关员 {found[1]} 无{_place(found[2], _AUTHORISED)}授权",
        ),
        (
            r"^a later code about this passage came before it: kept, and not given$",
            "此前已收到关于该过卡的更新的码：留存，不下达",
        ),
        (r"^the two codes do not say the same$", "两个码内容不一致"),
        (r"^the two codes are of one officer$", "两个码属同一关员"),
        (r"^no lane (\S+) is enrolled here$", r"未登记通道 \1"),
        (rf"{_AT}the roster cannot be read: (.+)$", r"名册无法读取（\1）"),
        (
            r"^expected a (?:release|trace) code beginning with (\S+), of at most (\d+) characters$",
            r"应为以 \1 开头、不超过 \2 个字符的码",
        ),
        (r"^expected base45 behind the prefix$", "码的内容残缺"),
        (r"^expected zlib data in a .*$", "码的内容残缺"),
        # Commands of the centre.
        (r"^closed by the centre$", "已由中心关闭"),
        (r"^revoked by the centre$", "已由中心注销"),
        (r"^fire$", "火警"),
        (r"^arm moved without an order$", "道闸异常动作"),
        (r"^arm did not rise$", "道闸未升起"),
        (r"^arm did not come down$", "道闸未落下"),
        (r"^arm not proven down$", "道闸位置不明"),
        (r"^relay refused$", "道闸控制失败"),
        (r"^key switch$", "钥匙开关"),
        (r"^when the arm is down$", "待道闸落下后执行"),
        (r"^it waits for a second officer$", "等待第二名关员"),
        (r"^overtaken by (\S+)$", r"已由指令 \1 取代"),
        (r"^records and keys are deleted$", "底账与密钥已删除"),
        (r"^when the hub has every fact$", "待记录全部到达中心后执行"),
        (r"^it could not be recorded$", "无法写入记录，未执行"),
        (r"^this is a lane: it asked nothing$", "通道未提出请求"),
        (r"^a lane has nobody who could consent$", "通道无人可同意传送"),
        (r"^this is a handheld: it has no lane$", "手持机没有通道"),
        (r"^this device knows nothing of that$", "本机没有此事"),
        (r"^this is an X-ray station, not a lane$", "这是机检站，不是通道"),
        (r"^an X-ray station asked nothing$", "机检站未提出请求"),
        (r"^the station is revoked; its disk is not deleted by command$", "机检站已注销；磁盘不能凭指令清除"),
        (r"^passage (\d+) is not in the lane, nobody is$", r"过卡 \1 已不在通道，通道内无车"),
        (r"^passage (\d+) is not in the lane, passage (\d+) is$", r"过卡 \1 已不在通道，现为过卡 \2"),
        (r"^passage (\d+) is not held now$", r"过卡 \1 不在等待处置"),
        (
            r"^counted already, or no record of the site says how many officers it takes$",
            "已计入，或场所记录未定须几名关员",
        ),
        (r"^the officer said no$", "持机关员不同意"),
        (r"^nobody answered in time$", "时限内无人应答"),
        (r"^nobody is signed in who could consent$", "手持机无人登录，无法同意"),
        (r"^a session is under way already$", "已在传送"),
        (r"^another request waits for its answer$", "另一请求尚待应答"),
        (r"^the officer is asked$", "正在询问持机关员"),
        (r"^the officer did not allow that it is kept$", "持机关员未同意录制"),
        (r"^too many (?:watchers|sessions)$", "同时观看过多"),
        (r"^enough watch already$", "同时观看过多"),
        (r"^no opening came$", "未发来开场"),
        (r"^the device shows nothing$", "手持机未传送"),
        (rf"{_AT}silent$", "无数据"),
        (rf"{_AT}no answer$", "未答复"),
        (r"^the device was not connected$", "设备当时不在线"),
        (r"^restarted before the raising was seen$", "重启，未见抬杆"),
        (r"^restarted before any raise order$", "抬杆前重启"),
        (r"^backed out$", "车辆退出"),
        (r"^the program is ending$", "程序正在退出"),
        (r"^fault of the program: .*$", "程序内部故障"),
        (r"^(\d+) pictures wait for the disk already$", r"已有 \1 张图片等待写盘"),
        # Evidence pictures, and those the centre asks for.
        (r"^asked: (.+)$", lambda found: f"已要求拍照：{_cameras(found[1])}"),
        (r"^not answered yet: (.+)$", lambda found: f"上次要求的照片尚未到齐：{_cameras(found[1])}"),
        (r"^asked (\d+) times already of passage (\d+)$", r"过卡 \2 已要求拍照 \1 次，不再受理"),
        (r"^this lane has no camera that takes pictures$", "本通道没有取证相机"),
        (r"^no picture yet$", "尚无画面"),
        (r"^no picture$", "无画面"),
        (rf"{_AT}no picture for ([\d.]+) s\b", r"\1 秒没有画面"),
        (r"^its newest picture is ([\d.]+) s old$", r"最新画面是 \1 秒前的"),
        (r"^its next picture came ([\d.]+) s after$", r"下一画面迟了 \1 秒"),
        (r"^(?:it has shown )?the same picture for (\d+) s$", r"画面静止 \1 秒"),
        (r"^its pictures are dark: is something before its lens\?$", "画面过暗，镜头可能被遮挡"),
        (r"^its process is not running$", "相机进程未运行"),
        (r"^its process (?:has )?ended\b", "相机进程已退出"),
        (r"^its process did not answer in ([\d.]+) s$", r"相机进程 \1 秒未应答"),
        (r"^(\d+) pictures are asked of it already$", r"该相机已有 \1 张待拍"),
        (r"^no whole picture of the \w+: (\d+) bytes$", r"相机送来的图片不完整（\1 字节）"),
        # X-ray stations.
        (r"^position jumped: (.+)$", r"位置跳变：\1"),
        (r"^emergency$", "急停"),
        (r"^reversed$", "倒转"),
        (r"^running$", "运行"),
        (r"^stopped$", "停止"),
        (r"^unknown$", "不明"),
        (r"^卡包：(.+)$", lambda found: f"卡包：{_eyes(found[1]) or found[1]}"),
        (r"^(?:the board is silent|nothing heard of it)$", "皮带控制板无应答"),
        (r"^not known$", "位置不明"),
        (r"^(\w+) without a position$", lambda found: f"{_place(found[1], _EYES)}动作时位置不明"),
        (
            r"^nobody's parcel seen in (\w+) at (-?\d+) mm$",
            lambda found: f"{_place(found[1], _CHUTES)}出现来历不明的包裹，皮带位置 {found[2]} 毫米",
        ),
        (
            r"^parcel (\d+): not seen in (\w+)$",
            lambda found: f"包裹 {found[1]}：{_place(found[2], _CHUTES)}未见到",
        ),
        (
            r"^parcel (\d+): sent to (\w+), seen in (\w+)$",
            lambda found: (
                f"包裹 {found[1]}：应去{_place(found[2], _CHUTES)}，见于{_place(found[3], _CHUTES)}"
            ),
        ),
        (r"^parcel (\d+): (-?\d+) mm longer at the diverter$", r"包裹 \1：分拣口处长出 \2 毫米"),
        (r"^(\d+) MB free$", r"剩余 \1 MB"),
        (r"^(\d+) facts while nothing could be written$", r"无法写盘期间 \1 条"),
        (r"^the picture is not in memory any more$", "图像已不在内存"),
        (r"^too many pictures in memory$", "内存中图像过多"),
        # The link and the journal.
        (
            r"^(\S+) at (\d+): (\S+) here, (\S+) at the centre$",
            r"\1 第 \2 号：本机 \3，中心 \4",
        ),
        (rf"{_AT}store made$", "新建流水库"),
        (
            rf"{_AT}store made; store (\S+) was here before, up to position (\d+)$",
            r"新建流水库；此前为库 \1，至位置 \2",
        ),
        (rf"{_AT}store copied: no lock file remembers it$", "流水库系复制而来（无锁文件）"),
        (
            rf"{_AT}store copied: the lock file remembers store (\S+)$",
            r"流水库系复制而来（锁文件记为库 \1）",
        ),
        (
            rf"{_AT}store restored: it was opened (\d+) times and stood at position (\d+), "
            r"this file at (\d+) and (\d+)$",
            r"流水库系恢复而来：曾打开 \1 次、位置 \2，此文件为 \3 次、位置 \4",
        ),
        (
            r"^(.+): ([^\sT]+)\S*, (-?\d+) days left; then the broker lets (?:this device|the hub) "
            r"in no more$",
            r"\1：\2 到期，还剩 \3 天；到期后消息服务拒绝连接",
        ),
        (r"(?:^|(?<=; ))(\w+): not of this version(?=;|$)", r"\1：版本不符"),
        # The hub's own.
        (r"^passage (\d+): (\S+): ", r"过卡 \1：\2："),
        (r"^slip (\S+), passage (\d+): ", r"核放单 \1，过卡 \2："),
        (rf"{_AT}the slip is not in the archive$", "库中无此核放单"),
        (rf"{_AT}no crossing in the archive names this use$", "库中没有对应此次使用的过卡"),
        (rf"{_AT}the crossing's time is none: (.+)$", r"过卡时间无法识别：\1"),
        (
            r"^(\S+): facts (\d+) to (\d+) make more than (\d+) stretches with gaps between them, "
            r"expected (\d+) first$",
            r"\1：第 \2 至 \3 条断成 \4 段以上，应先到第 \5 条",
        ),
        (rf"{_AT}fact (\d+) does not name the hash of fact (\d+)$", r"第 \1 条未指明第 \2 条的哈希"),
        (rf"{_AT}fact 1 of a stream must have the genesis hash before it$", "首条之前应为起始哈希"),
        (
            rf"{_AT}a batch carries one stream of one epoch of one device$",
            "一批只能是一台设备一个流水期的一类",
        ),
        (
            r"^(\S+): another fact is stored under this number, this one has hash (\S+)$",
            r"\1：此编号已存有另一条，本条哈希 \2",
        ),
        (r"^(\S+): kind (.+) is not known here, kept$", r"\1：类别 \2 本中心不识，已留存"),
        (
            r"^epoch (\S+) names (\S+) with another hash than stored$",
            r"流水期 \1 所指 \2 的哈希与库存不符",
        ),
        (
            r"^epoch (\S+) begins after (\S+), facts up to (\d+) are stored$",
            r"流水期 \1 自 \2 之后开始，而已存到第 \3 条",
        ),
        (r"^epoch (\S+) came without saying what it left behind$", r"流水期 \1 未声明承接何处"),
        (
            r"^(\S+): facts beyond (\S+), where epoch (\S+) left it$",
            r"\1：流水期 \3 已在 \2 处离开，其后又有记录",
        ),
        (r"^(\S+): the device signed another hash than is stored$", r"\1：设备所签哈希与库存不符"),
        (
            r"^(\S+) at (\d+): the device has digest (\S+), expected (\S+)$",
            r"\1 第 \2 号：设备摘要 \3，应为 \4",
        ),
        (
            r"^slip (\S+) crossed (\d+) times, (\d+) allowed: (.+)$",
            r"核放单 \1 过卡 \2 次，允许 \3 次：\4",
        ),
        (
            r"^ruling (\S+): (\d+) uses of (\d+) slips$",
            r"判定 \1：\3 张核放单有 \2 次使用",
        ),
        (r"^(\S+): names claim (\S+) of (\S+)$", r"\1：所指占用 \2 属 \3"),
        (
            r"^claim (\S+) of passage (\d+), slips (.+): granted at (\S+), and nothing has ended it$",
            r"占用 \1，过卡 \2，核放单 \3：\4 授予，至今未结束",
        ),
        (
            r"^use (\S+) of passage (\d+), slip (\S+): told of at (\S+), it stands on no grant, and nothing "
            r"has ended it$",
            r"使用 \1，过卡 \2，核放单 \3：\4 报来，未经授予，至今未结束",
        ),
        (
            r"^claim (\S+) of passage (\d+) was asked before by (\S+) for passage (\S+) or other slips$",
            r"占用 \1（过卡 \2）此前由 \3 为过卡 \4 或其他核放单申请过",
        ),
        (r"^answers command (\S+), given to nobody$", r"答复指令 \1，此指令未发给任何设备"),
        (r"^answers command (\S+), given to (\S+)$", r"答复指令 \1，此指令发给 \2"),
        (
            r"^(\w+) by (.*): order (\S+) is not open here$",
            lambda found: (
                f"{_STEPS.get(found[1], found[1])}，关员 {found[2]}：查验指令 {found[3]} 未下达或已结束"
            ),
        ),
        (
            r"^(\w+) by (.*), order (\S+): ",
            lambda found: f"{_STEPS.get(found[1], found[1])}，关员 {found[2]}，查验指令 {found[3]}：",
        ),
        (r"^not counted: ", "不予采信："),
        (rf"{_AT}its inspection does not count$", "其查验不予采信"),
        (rf"{_AT}the order cannot be read: (.+)$", r"指令无法读取（\1）"),
        (rf"{_AT}the order is not known here$", "本中心无此指令"),
        (rf"{_AT}(\d+) officers are needed, told by (\d+)$", r"须 \1 名关员，只有 \2 名"),
        (rf"{_AT}the order names (.+), not (\S+)$", r"指令指定 \1，不是 \2"),
        (rf"{_AT}no officer of it may do so: (.*)$", r"所列关员均无授权：\1"),
        (rf"{_AT}it names nothing that can be recalled$", "未列出可召回的对象"),
        (r"^sample (\S+) of order (\S+): ", r"样品 \1，查验指令 \2："),
        (
            r"^(\w{64}), (\d+) bytes, named on (\S+), has not come$",
            r"\1（\2 字节），\3 起有记录指明，至今未到",
        ),
        (
            r"^(\S+): (\d+) bytes, at most (\d+)$",
            lambda found: f"{_topic(found[1])}：{found[2]} 字节，至多 {found[3]}",
        ),
        (r"^expected a topic below (\S+), got (.+)$", r"主题应在 \1 之下，实为 \2"),
        (r"^expected a device name, got (.+)$", r"应为设备名，实为 \1"),
        (r"^(?:nothing|no blob) is taken on (.+)$", r"主题 \1 不接收消息"),
        (r"^(\S+) is not enrolled$", r"\1 未登记"),
        (r"^this device was revoked$", "设备已注销"),
        (r"^the archive cannot be read: (.+)$", r"库无法读取（\1）"),
        (r"^its key in the archive cannot be used: (.+)$", r"库中该设备的密钥无法使用（\1）"),
        (
            r"^(?:facts|a head|a status|a result|a claim|a blob) of (\S+) on (?:a|the) topic of (\S+)$",
            r"\2 的主题上出现 \1 的消息",
        ),
        (r"^there is no scope (.+) here$", r"没有范围 \1"),
        (r"^scope (\S+) is not this device's$", r"范围 \1 不属本设备"),
        (r"^a blob of (\S+): ", r"\1 的图片："),
        (rf"{_AT}the quota of all devices is used up: (\d+) bytes$", r"全部设备的配额已用完（\1 字节）"),
        (rf"{_AT}the quota of (\S+) is used up: (\d+) bytes$", r"\1 的配额已用完（\2 字节）"),
        (rf"{_AT}less than (\d+) bytes of the hub's disk would be left$", r"中心磁盘将不足 \1 字节"),
        (rf"{_AT}(\d+) bytes that are not (\w+)$", r"\1 字节，与哈希 \2 不符"),
        (rf"{_AT}more than (\d+) parts$", r"超过 \1 个分块"),
        (r"^(\d+) more; the last: ", r"又有 \1 次，最后一次："),
        (rf"{_AT}the signature of (.+) does not fit for (\S+)$", r"密钥 \1 的签名不符（\2）"),
        (rf"{_AT}signed by (.+), expected one of (.+)$", r"签名者为 \1，应为 \2"),
        (rf"{_AT}the signature is not base64 text$", "签名残缺"),
        (rf"{_AT}expected a signature of (\d+) bytes, got (\d+)$", r"签名应为 \1 字节，实为 \2"),
        (rf"{_AT}chunk: its bytes are not those that were signed$", "图片分块与签名不符"),
        (
            rf"{_AT}laboratory (.+), sample (.+), order (.+), officer (.*), (\S+)$",
            r"检测报告 \1，样品 \2，查验指令 \3，关员 \4，设备 \5",
        ),
        (rf"{_AT}expected fact (\d+) after (\d+), got (\d+)$", r"第 \2 条之后应为第 \1 条，实为第 \3 条"),
        (rf"{_AT}fact (\d+): (.+) does not agree with the fact's body$", r"第 \1 条：\2 与内容不符"),
        (rf"{_AT}fact (\d+): expected a name and a time that can be printed$", r"第 \1 条：名称或时间不可见"),
        (rf"{_AT}the checkpoint does not cover the last fact, (\S+)$", r"检查点未覆盖最后一条 \1"),
        (rf"{_AT}the checkpoint event does not agree with its checkpoint$", "检查点前后不符"),
        (rf"{_AT}expected at least one fact before the checkpoint$", "检查点之前没有记录"),
        (rf"{_AT}expected the last event to be \S+$", "最后一项应为检查点"),
        (rf"{_AT}(\d+) bytes, (?:expected )?at most (\d+)$", r"\1 字节，至多 \2"),
        (
            rf"{_AT}the checkpoint is of another device or epoch than the facts$",
            "检查点与记录不属同一设备或流水期",
        ),
        (r"(?i)\bno such file or directory\b", "无此文件或目录"),
        (r"(?i)\bpermission denied\b", "无权访问"),
        (r"(?i)\bconnection refused\b", "连接被拒绝"),
        (r"(?i)\bconnection (?:reset by peer|closed)\b", "连接被断开"),
        (r"(?i)\bbroken pipe\b", "连接被断开"),
        (r"(?i)\b(?:connection )?timed out\b", "连接超时"),
        (r"(?i)\bno route to host\b", "网络不可达"),
        (r"(?i)\bnetwork is unreachable\b", "网络不可达"),
        (r"(?i)\binput/output error\b", "读写错误"),
        (r"(?i)\bdevice or resource busy\b", "设备被占用"),
        (r"(?i)\bno space left on device\b", "磁盘已满"),
        (r"(?i)\bread-only file system\b", "磁盘只读"),
        # Proofs and labels.
        (r"^it stands on no records$", "此判定未用到底账"),
        (r"^no key (\S+) in the records$", r"底账中无密钥 \1"),
        (r"^key (\S+) was revoked$", r"密钥 \1 已作废"),
        (r"^key (\S+) speaks for (.+), not for (.+)$", r"密钥 \1 属 \2，不属 \3"),
        (r"^the signature is not key (\S+)'s$", r"签名不是密钥 \1 的"),
    )
)


def plainly(text: str, language: str) -> str:
    """`text` with the names of parts in words and, in Chinese, the sentences of our own programs; the rest as
    it is."""
    number = 0 if language == "zh" else 1
    zh, slash, en = text.rpartition(" / ")
    if slash and _CHARACTERS.search(zh) is not None and _CHARACTERS.search(en) is None:
        # Said in both languages by its writer.
        return (zh, en)[number]
    text = _NAMED.sub(lambda found: PARTS[found[0]][number], text)
    if number == 0:
        text = _codes(text) or _eyes(text) or text
        for pattern, told in _CHINESE:
            text = pattern.sub(told, text)
    return text


_OF_A_MESSAGE: Final = re.compile(rf"(?s)^(\d+ more; the last: )?({'|'.join(_MESSAGES)})(?:/(\w+))?: (.*)$")


# Half a millisecond each: a wall is painted anew with every fact, its alarms stay.
@lru_cache(maxsize=4_096)
def as_told(text: str, language: str) -> str:
    """As `plainly`; what still is another language's sentence is said to be the device's own."""
    told = plainly(text, language)
    if language != "zh":
        return told
    of = _OF_A_MESSAGE.match(text)
    if of is not None:
        before, topic, stream, rest = of.groups()
        stream = f"（{_STREAMS.get(stream, stream)}）" if stream else ""
        return f"{plainly(before or '', language)}{_MESSAGES[topic]}{stream}：{as_told(rest, language)}"
    if _SENTENCE.search(_QUOTED.sub("", told)) is not None:
        return expectation_zh(text) or f"{told}{OWN_WORDS}"
    return told if told != text else expectation_zh(text) or told
