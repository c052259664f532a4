"""A refusal that people read, in both languages, and what a malformed value was expected to be. No I/O."""

from __future__ import annotations

import re
from typing import Final

from sync.vocabulary.rulings import Text


class SaidRefusal(ValueError):
    """It cannot be done so; the words say what was expected. `str` is the English sentence, for logs and the
    command line."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(en)
        self.text = Text(zh, en)


_KINDS: Final = {
    "a vehicle plate": "车牌（如 豫A12345、粤BD12345）",
    "an EPC": "EPC（8 至 124 位大写十六进制，位数为 4 的倍数）",
    "an ISO 6346 container number": "箱号（ISO 6346，含校验位，如 CSQU3054383）",
    "a UPU S10 item number": "邮件号（UPU S10，含校验位，如 RB123456785GB）",
    "an SSCC": "SSCC（18 位数字，含校验位）",
    "a GTIN": "GTIN（8、12、13 或 14 位数字，含校验位）",
    "a release slip number": "核放单号（24 位，如 Z3111I240728000000000003）",
    "a waybill number": "运单号（6 至 40 位大写字母、数字或连字符）",
    "an enterprise code": "企业代码（10 或 18 位大写字母和数字）",
    "a UTC time": "UTC 时间（如 2026-01-31T08:00:00Z）",
    "at least one lot to draw": "至少抽取一件",
    "an officer and a reason (S8)": "填写关员工号和理由（S8）",
    "a slip, a plate or parcels to inspect": "核放单、车牌或待查包裹",
    "32 hex digits": "32 位十六进制",
    "three different digits": "至少三个不同数字，且不连号",
    "the claims": "溯源码应有的各项",
    "the field": "溯源码应有的各项",
    "text that can be printed": "可见文字，且不过长",
    "YYYY-MM-DDTHH:MM": "YYYY-MM-DDTHH:MM",
}
"""What is expected of a value, by how its English words begin."""

_FIELDS: Final = {
    "reason": "理由",
    "reason_zh": "中文提示",
    "reason_en": "英文提示",
    "officers": "关员",
    "device": "设备",
    "passage": "过卡号",
    "seconds": "时长（秒）",
    "preset": "预设提示",
    "valid_s": "有效时间（秒）",
    "limit_s": "时限（秒）",
    "answer_within_s": "应答时限（秒）",
    "value": "值",
    "zh": "中文",
    "en": "英文",
    "why": "原因",
    "command_id": "指令号",
    "nonce": "随机数",
    "plate": "车牌",
    "plates": "车牌",
    "slip_nos": "核放单号",
    "waybill_nos": "运单号",
    "enterprises": "企业代码",
    "directions": "方向",
    "slip_kinds": "核放单类型",
    "action": "处置",
    "method": "查验方式",
    "cause": "起因",
    "parts": "须带回",
    "mode": "方式",
    "tier": "信用等级",
    "valid_from": "起",
    "valid_until": "止",
    "control_id": "编号",
    "order_no": "编号",
    "recall_no": "编号",
    "trace code": "溯源码",
    "iat": "签发时间",
    "sub": "溯源码",
    "waybill": "运单号",
    "iss": "签发方",
}
_TYPES: Final = {
    "str": "文字", "int": "整数", "float": "数字", "bool": "是或否", "array": "列表", "object": "对象",
    "null": "空",
}  # fmt: skip
_LESS: Final = {"<=": "不超过", ">=": "不少于", "==": "等于", "<": "小于", ">": "大于"}

_OF_KIND: Final = re.compile(r"^(?:[A-Z]\w+|tuple): (?=\S)")
_AT: Final = re.compile(r" - at `\$\.?([^`]*)`$")
_NAMED: Final = re.compile(r"^([a-z_]+(?: [a-z]+)?): (?=expected)")
_LENGTH: Final = re.compile(r"^Expected `(\w+)` of length (<=|>=|==|<|>) (\d+)$")
_BOUND: Final = re.compile(r"^Expected `(\w+)` (<=|>=|==|<|>) (-?[\d.]+)$")
_TYPE: Final = re.compile(r"^Expected `([^`]+)`, got `([^`]+)`$")
_MISSING: Final = re.compile(r"^Object missing required field `(\w+)`$")
_ENUM: Final = re.compile(r"^(?:Invalid enum value (.+)|(.+) is not a valid \w+)$", re.DOTALL)
_GOT: Final = re.compile(r"^expected (.+?)(?:, got (.*))?$", re.DOTALL)
_SPOILT: Final = re.compile(r"^(?:(?P<json>JSON is malformed: |Input data was truncated$)|'utf-8' codec )")
_RANGE: Final = re.compile(r"^(-?[\d.]+) to (-?[\d.^]+)( .+)?$")
_UNITS: Final = {
    "": "", " printable characters": " 个可见字符", " characters": " 个字符", " digits": " 位数字",
    " per mille": "‰", " letters, digits, dots and dashes": " 位字母、数字、点或连字符",
}  # fmt: skip
_OFFICERS: Final = re.compile(r"^at least (\d+) officers to draw from$")
_AT_MOST: Final = re.compile(r"^at most (\d+)( characters|, no one twice)?$")
_ONE_OF: Final = re.compile(r"^one of ([\d, ]+) and no text beside it$")


def expectation(text: str) -> Text:
    """What a value that was malformed was expected to be; what is not known here is given as it is."""
    return Text(expectation_zh(text) or f"内容不符（原文：{text}）", text)


def expectation_zh(text: str) -> str:
    """In Chinese what our own values and their library say they expected; empty: another's words."""
    rest = _OF_KIND.sub("", text)
    field = ""
    at = _AT.search(rest)
    if at is not None:
        field, rest = at[1].split("[")[0], rest[: at.start()]
    named = _NAMED.match(rest)
    if named is not None:
        field, rest = named[1], rest[named.end() :]
    zh = _expected_zh(rest)
    name = _FIELDS.get(field.rsplit(".", 1)[-1], field)
    return f"{name}：{zh}" if name and zh else zh


def _expected_zh(text: str) -> str:
    if (found := _LENGTH.match(text)) is not None:
        unit = "项" if found[1] == "array" else "个字符"
        return f"应{_LESS[found[2]]} {found[3]} {unit}"
    if (found := _BOUND.match(text)) is not None:
        return f"应{_LESS[found[2]]} {found[3]}"
    if (found := _TYPE.match(text)) is not None:
        wanted, got = (
            "或".join(_TYPES.get(each, each) for each in side.split(" | ")) for side in (found[1], found[2])
        )
        return f"应为{wanted}，实为{got}"
    if (found := _MISSING.match(text)) is not None:
        return f"缺少“{_FIELDS.get(found[1], found[1])}”"
    if (found := _ENUM.match(text)) is not None:
        return f"没有此选项：{found[1] or found[2]}"
    if (spoilt := _SPOILT.match(text)) is not None:
        return "不是完整的 JSON" if spoilt.lastgroup == "json" else "不是 UTF-8 文字"
    if (found := _GOT.match(text)) is not None:
        wanted = _wanted_zh(found[1])
        return "" if not wanted else f"应为{wanted}" + (f"，实为 {found[2]}" if found[2] else "")
    return ""


def _wanted_zh(text: str) -> str:
    if (found := _RANGE.match(text)) is not None and (found[3] or "") in _UNITS:
        return f" {found[1]} 至 {found[2]}{_UNITS[found[3] or '']}"
    if (found := _OFFICERS.match(text)) is not None:
        return f"至少 {found[1]} 名可派关员"
    if (found := _AT_MOST.match(text)) is not None:
        return f"不超过 {found[1]} {'个字符' if found[2] == ' characters' else '名，且不重复'}"
    if (found := _ONE_OF.match(text)) is not None:
        return f"以下之一：{found[1]}，且不另附文字"
    return next((zh for en, zh in _KINDS.items() if text.startswith(en)), "")
