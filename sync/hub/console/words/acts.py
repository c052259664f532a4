"""What the centre's own programs wrote into acts and looks, said for who reads them. It is kept as it was
written (English, short); an officer's own words are never touched."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from sync.hub.console.words.access import WORDS as ACCESS
from sync.hub.console.words.controls import WORDS as CONTROLS
from sync.hub.console.words.details import as_told
from sync.hub.console.words.facts import VALUES as FACT_VALUES
from sync.hub.console.words.wall import WORDS as WALL
from sync.hub.inspected import NOT_COUNTED
from sync.vocabulary.rulings import Text

Told = str | Callable[[re.Match[str]], str]


def _word(words: dict[str, tuple[str, str]], key: str, otherwise: str) -> str:
    return words[key][0] if key in words else otherwise


def _roles(found: re.Match[str]) -> str:
    return "、".join(_word(ACCESS, f"access.role.{each}", each) for each in found[0].split(", "))


def _mode(code: str) -> str:
    return _word(CONTROLS, f"controls.mode.{code}", code)


def _control(found: re.Match[str]) -> str:
    doing = f"，{_word(CONTROLS, f'controls.action.{found[3]}', found[3])}" if found[3] else ""
    tried = _TRIED.fullmatch(found[4] or "")
    shown = f"；{tried[1]} 天试算：{tried[3]} 车次命中 {tried[2]}，判定改变 {tried[4]}" if tried else ""
    more = "" if tried or not found[4] else f"；{found[4]}"
    return f"{found[1]}，{_mode(found[2])}{doing}{shown}{more}"


def _rates(found: re.Match[str]) -> str:
    tiers = (each.split(" ") for each in found[1].split(", "))
    said = "，".join(f"{_word(CONTROLS, f'rates.tier.{tier}', tier)} {rates}‰" for tier, rates in tiers)
    return f"抽核/机检：{said}；变更企业 {found[2]} 家"


def _alarm(found: re.Match[str]) -> str:
    return f"{_word(WALL, f'alarm.{found[1]}', found[1])}，{found[2]}：{as_told(found[3], 'zh')}".rstrip(
        "：，"
    )


_TRIED: Final = re.compile(r"(\d+) days: (\d+) of (\d+) matched, (\d+) otherwise")
_ALARM: Final = (r"(\w+) (\S*): (.*)", _alarm)
_CONTROL: Final = (r"(\S+@\d+) (\w+)(?: (\w+); ?(.*))?", _control)
_DETAILS: Final[dict[str, tuple[tuple[str, Told], ...]]] = {
    "console_account": ((r"[a-z]+(?:, [a-z]+)*", _roles),),
    "release_asked": ((r"release", "人工放行"), (r"aside", "引导待检")),
    "console_token": ((r"until (\S+)", r"有效至 \1"),),
    "refresh_pins": ((r"(\d+) officers; \+ (.*); - (.*)", r"\1 名关员；增 \2；减 \3"),),
    "issue_trace_codes": ((r"(\d+) new, (\d+) there already: (.*)", r"新发 \1，已有 \2：\3"),),
    "draw": (
        (
            r"seed (\S+): (\d+) of (\d+) parcels \(sha256 (\S+)\), (\d+) officers \(sha256 (\S+)\)",
            r"种子 \1：自 \3 件中抽 \2 件（sha256 \4），关员范围 \5 人（sha256 \6）",
        ),
    ),
    "release_claim": ((r"(\S+) passage (\d+): (.*)", r"\1 过卡 \2：\3"),),
    "release_use": ((r"(\S+) passage (\d+): (.*)", r"\1 过卡 \2：\3"),),
    "put_control": (_CONTROL,),
    "end_control": (_CONTROL,),
    "put_recall": ((r"active", "有效"), (r"ended", "已解除")),
    "set_rates": ((r"(\w+ \d+/\d+(?:, \w+ \d+/\d+)*): (\d+)", _rates),),
    "live_watch": (
        (r"(\d+) min, asked for", r"请求传送，\1 分钟"),
        (r"(\d+) min, begun by its officer", r"持机关员发起，\1 分钟"),
        (r"(\d+) s, kept", r"\1 秒，录制"),
        (r"(\d+) s, not kept", r"\1 秒，不录制"),
    ),
    "live_kept": ((r"(\S+): (\d+) pictures, (\d+) bytes, sha256 (\S*)", r"\1：\2 帧，\3 字节，sha256 \4"),),
    "alarm_taken": (_ALARM,),
    "alarm_ended": (_ALARM,),
    "hold_taken": ((r"from (\S+)", r"自 \1 接替"),),
}
"""By act: the whole detail as its writer put it."""

_LOOKED: Final[dict[str, tuple[tuple[str, Told], ...]]] = {
    "labels": ((r"(\d+) from (\S+)", r"\1 张，自 \2 起"),),
    "statistics": (
        (
            r"(officer|enterprise) (\S+) – (\S+)",
            lambda found: f"{ {'officer': '关员', 'enterprise': '企业'}[found[1]] } {found[2]} – {found[3]}",
        ),
    ),
}
_STEPS: Final[dict[str, tuple[tuple[str, Told], ...]]] = {
    "take": ((r"from (\S+)", r"自 \1 接替"),),
    "ask_second": ((r"release", "人工放行"), (r"aside", "引导待检")),
    "supplement": (
        (r"plate: (.*)", r"车牌 \1"),
        (r"weight: (.*)", r"重量 \1"),
        (r"slip: (.*)", r"核放单 \1"),
        (r"container: (.*)", r"箱号 \1"),
    ),
}
_BY: Final = {
    "account not confirmed": "账户待本人确认",
    "api": "经接口",
}


def _said(patterns: tuple[tuple[str, Told], ...], text: str) -> Text:
    for pattern, told in patterns:
        found = re.fullmatch(pattern, text, re.DOTALL)
        if found is not None:
            return Text(found.expand(told) if isinstance(told, str) else told(found), text)
    return Text(text, text)


def act_detail(act: str, detail: str) -> Text:
    return _said(_DETAILS.get(act, ()), detail)


def act_reason(act: str, reason: str) -> Text:
    """Acts about accounts and tokens have none of an officer's: the program says what was done."""
    known = ACCESS.get(f"act.reason.{reason}") if act.startswith("console_") else None
    return Text(reason, reason) if known is None else Text(*known)


def act_subject(act: str, subject: str) -> Text:
    return Text("按等级", "tiers") if (act, subject) == ("set_rates", "tiers") else Text(subject, subject)


def step_detail(step: str, detail: str) -> Text:
    """Of a step at the desk; what the driver read and what was entered stay as they are."""
    return _said(_STEPS.get(step, ()), detail)


def step_why(step: str, why: str) -> Text:
    """How a step came out: a device's sentence; of an order who told what of it last, its codes in words.
    The remark behind them is the officer's own."""
    if step != "order":
        return Text(as_told(why, "zh"), as_told(why, "en"))
    officers, found, sentence = why.partition(NOT_COUNTED)
    if found:
        return Text(f"{officers}不予采信：{as_told(sentence, 'zh')}", why)
    told = why.split(" ")
    last = next((place for place, each in enumerate(told) if not each.endswith(",")), 0)
    words = [
        FACT_VALUES.get(each, (each, each)) if place in (last + 1, last + 2) else (each, each)
        for place, each in enumerate(told)
    ]
    return Text(*(" ".join(each[number] for each in words) for number in (0, 1)))


def read_subject(what: str, subject: str) -> Text:
    known = ACCESS.get(f"read.subject.{subject}")
    return _said(_LOOKED.get(what, ()), subject) if known is None else Text(*known)


def read_detail(detail: str) -> Text:
    return Text(_BY.get(detail, detail), detail)
