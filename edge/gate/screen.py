"""A snapshot of a lane as one page of HTML, in Chinese and English, to be read from two metres. No I/O.

Everything shown passes through `escape`: what a camera read, a scanner sent or a record says stays text.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable
from datetime import datetime, tzinfo
from html import escape
from typing import Final
from zoneinfo import ZoneInfo

from edge.gate.showing import AlarmShown, DeviceShown, PassageShown, Snapshot
from sync.vocabulary.commands import ASKED

STANDS_STILL_S: Final = 6.0
"""A lane publishes twice a second: one that has not for so long hangs."""
INPUTS_OLD_S: Final = 2.0
REFRESH_S: Final = 2

_PHASES: Final = {
    "Waking": ("启动中", "Starting", "amber"),
    "Free": ("空闲", "Free", "green"),
    "Reading": ("核验中", "Checking", "amber"),
    "Consulting": ("等待海关平台", "Asking the customs platform", "amber"),
    "Claiming": ("等待中心", "Asking the centre", "amber"),
    "Raising": ("抬杆中", "Raising", "green"),
    "Passing": ("通行中", "Passing", "green"),
    "Lowering": ("落杆中", "Lowering", "amber"),
    "Holding": ("拦停", "Held", "red"),
    "Shut": ("通道关闭", "Closed", "red"),
}
_DEVICES: Final = {
    "io": ("输入输出板", "I/O board"),
    "weighbridge": ("地磅", "Weighbridge"),
    "plate_camera": ("车牌相机", "Plate camera"),
    "rfid": ("电子标签", "Tag reader"),
    "scanner": ("扫码器", "Scanner"),
    "board": ("显示屏", "Board"),
    "card_reader": ("读卡器", "Card reader"),
    "container_camera": ("箱号相机", "Container camera"),
    "platform": ("海关平台", "Customs platform"),
}
_VERDICTS: Final = {
    "release": ("放行", "Released", "green"),
    "inspect": ("查验", "Inspect", "amber"),
    "hold": ("拦停", "Held", "red"),
}
_OUTCOMES: Final = {
    "crossed": ("已通过", "crossed"),
    "backed_out": ("已退出", "backed out"),
    "ungated": ("未经放行通过", "ungated"),
    "interrupted": ("中断", "interrupted"),
    "false_start": ("无车", "nobody"),
}
_MOMENTS: Final = {
    "arrival": "到达 Arrival",
    "weighing": "称重 Weighing",
    "ruling": "判定 Ruling",
    "passing": "通过 Passing",
    "recognised": "识别 Recognised",
    ASKED: "中心调取 Asked for by the centre",
}

STYLE: Final = """
*{box-sizing:border-box;margin:0}
:root{--green:#3fd07a;--amber:#ffc04a;--red:#ff6b63;--grey:#a9b9c8;--ink:#f2f6fa;--box:#16222d}
html{background:#0b131a;color:var(--ink);font:max(11px,min(1.3vw,2.3vh))/1.25 "Noto Sans CJK SC",
"Noto Sans SC","Microsoft YaHei","WenQuanYi Micro Hei",system-ui,sans-serif}
body{height:100vh;padding:.5rem;display:grid;gap:.5rem;grid-template-columns:30rem 1fr;
grid-template-rows:auto minmax(0,1fr) auto;overflow:hidden}
small{font-size:.82em;color:var(--grey);font-weight:400}
b+small{margin-left:.4em}
.green{color:var(--green)}.amber{color:var(--amber)}.red{color:var(--red)}.grey{color:var(--grey)}
.box{background:var(--box);border-radius:.5rem;padding:.5rem .8rem;overflow:hidden}
header{grid-column:1/3;display:grid;grid-template-columns:auto 1fr auto;gap:.4rem 1.4rem;align-items:center}
header b{font-size:2.9rem;line-height:1.1;display:block;white-space:nowrap}
header b+small{margin-left:0;font-size:1rem}
header .lane b{font-size:2.2rem}
.board{background:#000;border-radius:.4rem;padding:.3rem 1rem;text-align:center;font-size:1.9rem;
line-height:1.2;min-height:4.9rem}
.why{grid-column:1/4;border-top:.12rem solid var(--red);padding-top:.3rem;font-size:1.9rem;line-height:1.2}
.does{font-size:1.1rem;line-height:1.25;margin-top:.2rem}
h2{font-size:1rem;color:var(--grey);font-weight:600;margin-bottom:.15rem}
table{width:100%;border-collapse:collapse}
td{padding:.22rem .6rem .22rem 0;border-top:1px solid #24333f;vertical-align:top}
tr:first-child td{border-top:0}
td.end{text-align:right;white-space:nowrap;padding-right:0}
.when{width:5.2rem;white-space:nowrap}.who{width:10.5rem}.ruled{width:9.5rem}.seen{width:8.6rem}
.big{font-size:1.55rem;font-weight:600;white-space:nowrap;line-height:1.15}
.no{overflow-wrap:anywhere;font-size:.82em}
.lamps{display:grid;grid-template-columns:repeat(3,1fr);gap:.3rem;margin-top:.4rem}
.lamps div{background:#0d171f;border-radius:.35rem;padding:.2rem .5rem;border-left:.4rem solid}
.lamps b{display:block}.lamps small{margin:0}
.pictures{display:flex;gap:.25rem;justify-content:flex-end;height:3.9rem;overflow:hidden}
.pictures img{height:3.9rem;border-radius:.25rem;display:block}
.lists{display:grid;grid-template-rows:minmax(0,1fr) auto;gap:.4rem}
.lists>div{overflow:hidden}
.alarms td{padding-top:.12rem;padding-bottom:.12rem;white-space:nowrap}
.alarms td:last-child{max-width:0;width:50%;overflow:hidden;text-overflow:ellipsis}
footer{grid-column:1/3;display:grid;grid-template-columns:repeat(5,1fr);gap:.5rem}
footer b{font-size:1.5rem;line-height:1.15;display:block}footer b+small{margin-left:0}
.gone{display:none}
body.lost .gone,.gone.now{display:block;grid-column:1/3;background:var(--red);color:#000;font-size:2.2rem;
font-weight:700;padding:.3rem 1rem;border-radius:.5rem}
.gone small{color:#000}
body.lost,body:has(.gone.now){grid-template-rows:auto auto minmax(0,1fr) auto}
@media (max-aspect-ratio:1/1){body{grid-template-columns:1fr;height:auto;overflow:auto}
header,footer,.gone{grid-column:1!important}header{grid-template-columns:1fr 1fr}
.board,.why{grid-column:1/3}footer{grid-template-columns:1fr 1fr}}
"""

SCRIPT: Final = f"""
"use strict";
async function look(){{
  try{{
    const answer=await fetch("/",{{cache:"no-store"}});
    if(!answer.ok)throw new Error(answer.status);
    const fresh=new DOMParser().parseFromString(await answer.text(),"text/html");
    document.body.replaceChildren(...fresh.body.childNodes);
    document.body.classList.remove("lost");
  }}catch(why){{document.body.classList.add("lost");}}
  setTimeout(look,{REFRESH_S * 1000});
}}
setTimeout(look,{REFRESH_S * 1000});
"""


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


POLICY: Final = (
    f"default-src 'none'; script-src 'sha256-{_digest(SCRIPT)}'; style-src 'sha256-{_digest(STYLE)}'; "
    "img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing but what is on this page may run or be fetched, whatever a plate says."""


def page(
    snapshot: Snapshot | None,
    now_s: float,
    zone: tzinfo | None = None,
    is_there: Callable[[str], bool] = lambda sha256: True,
) -> str:
    """The whole page at monotonic time `now_s`. `zone`: in which times are told; UTC where not known.
    `is_there(sha256)`: whether that picture is on the disk; pictures are shed in time, facts are not."""
    body = _nothing() if snapshot is None else _body(snapshot, now_s, zone, is_there)
    title = "kakou" if snapshot is None else f"{snapshot.lane_id} · kakou"
    return (
        '<!doctype html><html lang="zh-CN"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title>"
        f'<noscript><meta http-equiv="refresh" content="{REFRESH_S}"></noscript>'
        f"<style>{STYLE}</style><script>{SCRIPT}</script></head><body>{body}</body></html>"
    )


def zone_of(name: str) -> tzinfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (ValueError, KeyError, OSError):
        return None


def _nothing() -> str:
    return f"{_gone(now=False)}<header class=box><div><b>启动中</b><small>Starting</small></div></header>"


def _body(shown: Snapshot, now_s: float, zone: tzinfo | None, is_there: Callable[[str], bool]) -> str:
    return "".join(
        (
            _gone(now=now_s - shown.at_s > STANDS_STILL_S),
            _header(shown, zone),
            f"<section class=box>{_devices(shown, now_s)}{_lamps(shown, now_s)}</section>",
            f"<section class='box lists'><div>{_passages(shown, zone, is_there)}</div>"
            f"<div>{_alarms(shown, zone)}</div></section>",
            _footer(shown, now_s, zone),
        )
    )


def _gone(*, now: bool) -> str:
    words = "通道程序无响应 <small>The lane program does not answer</small>"
    return f'<p class="gone{" now" if now else ""}">{words}</p>'


def _two(zh: str, en: str, colour: str = "") -> str:
    return f"<b class={colour or 'ink'}>{escape(zh)}</b><small>{escape(en)}</small>"


def _header(shown: Snapshot, zone: tzinfo | None) -> str:
    zh, en, colour = _PHASES.get(shown.phase, (shown.phase, shown.phase, "amber"))
    way_zh, way_en = ("进", "in") if shown.direction == "in" else ("出", "out")
    number = f" · {shown.passage}" if shown.passage is not None else ""
    lane = _two(f"{shown.lane_id} {way_zh}", f"{shown.site} · lane {way_en}")
    return (
        f"<header class=box><div class=lane>{lane}"
        f"</div><div class='board {_colour(shown.colour)}'>{escape(shown.says_zh)}<br>"
        f"{escape(shown.says_en)}</div><div>{_two(zh, en + number, colour)}</div>{_why(shown)}</header>"
    )


def _colour(word: str) -> str:
    return word if word in ("green", "amber", "red") else "grey"


def _why(shown: Snapshot) -> str:
    """Why it is held or closed, and nothing where it is not."""
    if shown.phase == "Shut":
        return f"<div class='why red'>{escape(shown.shut_why)}</div>"
    if shown.phase != "Holding":
        return ""
    held = next((each for each in shown.passages if each.number == shown.passage), None)
    if held is None:
        return ""
    pairs = zip(held.reasons_zh, held.reasons_en, strict=False)
    rows = "<br>".join(f"{escape(zh)} <small>{escape(en)}</small>" for zh, en in pairs)
    guides = zip(held.guides_zh[:2], held.guides_en[:2], strict=False)
    does = "<br>".join(f"{escape(zh)} <small>{escape(en)}</small>" for zh, en in guides)
    return f"<div class=why><div class=red>{rows}</div><div class=does>{does}</div></div>"


# --- devices ------------------------------------------------------------------------------------------------


def _devices(shown: Snapshot, now_s: float) -> str:
    rows = "".join(_device(each, now_s) for each in shown.devices)
    return f"<h2>设备 Devices</h2><table>{rows}</table>"


def _device(device: DeviceShown, now_s: float) -> str:
    zh, en = _DEVICES.get(device.name, (device.name, device.name))
    state_zh, state_en, colour = _device_state(device)
    age = f" · {_span(max(0.0, now_s - device.heard_at_s))}" if device.heard_at_s is not None else ""
    said = f"<div class=no>{escape(device.said)}</div>" if device.said else ""
    why = f"<br><small>{escape(device.why[:200])}</small>" if device.why else ""
    return (
        f"<tr><td>{_two(zh, en)}</td><td class=end><b class={colour}>{state_zh}</b> "
        f"<small>{state_en}{age}</small>{said}{why}</td></tr>"
    )


def _device_state(device: DeviceShown) -> tuple[str, str, str]:
    if device.port == "lost":
        return "断开", "lost", "red"
    if device.speech == "silent":
        return "无响应", "silent", "red"
    if device.speech == "speaking":
        return "正常", "live", "green"
    if device.must_speak or device.port == "not tried":
        return "未收到", "not heard", "amber"
    return "待命", "ready", "green"


def _lamps(shown: Snapshot, now_s: float) -> str:
    inputs = shown.inputs
    old = now_s - shown.inputs_s > INPUTS_OLD_S
    if old:
        arm = ("道杆未知", "Arm unknown", "red")
    elif inputs.proven_down():
        arm = ("道杆落下", "Arm down", "green")
    elif inputs.limit_up is True and inputs.limit_down is False:
        arm = ("道杆升起", "Arm up", "amber")
    else:
        arm = ("道杆不在终点", "Arm at neither end", "amber")
    signals = (
        (inputs.arrival, _ARRIVAL), (inputs.arm_loop, _ARM_LOOP), (inputs.photocell, _BEAM),
        (inputs.stop, _STOP), (inputs.fire, _FIRE), (inputs.mains, _MAINS), (inputs.fully_on, _ENDS),
    )  # fmt: skip
    lamps = [arm, *(_lamp(None if old else value, words) for value, words in signals)]
    online = ("中心在线", "Centre online", "green") if shown.online else ("中心离线", "Centre offline", "red")
    tiles = "".join(f"<div class={c}><b>{zh}</b><small>{en}</small></div>" for zh, en, c in [*lamps, online])
    return f"<div class=lamps>{tiles}</div>"


Words = tuple[str, str, str]
"""Chinese, English, colour."""

_ARRIVAL: Final = (("到位有车", "Vehicle on the loop", "amber"), ("到位无车", "Loop free", "green"))
_ARM_LOOP: Final = (("杆下有车", "Under the arm", "amber"), ("杆下无车", "Arm loop free", "green"))
_BEAM: Final = (("光电被挡", "Beam broken", "amber"), ("光电通畅", "Beam clear", "green"))
_STOP: Final = (("急停按下", "Stop pressed", "red"), ("急停正常", "Stop clear", "green"))
_FIRE: Final = (("火警", "Fire", "red"), ("无火警", "No fire", "green"))
_MAINS: Final = (("市电正常", "Mains on", "green"), ("市电断", "Mains lost", "red"))
_ENDS: Final = (("秤端无遮挡", "Scale ends clear", "green"), ("压秤端", "On the scale's end", "amber"))


def _lamp(value: bool | None, words: tuple[Words, Words]) -> Words:
    yes, no = words
    if value is None:
        return f"{no[0]}？", f"{no[1]}? unknown", "red"
    return yes if value else no


# --- passages -----------------------------------------------------------------------------------------------


def _passages(shown: Snapshot, zone: tzinfo | None, is_there: Callable[[str], bool]) -> str:
    if not shown.passages:
        return "<h2>过卡 Passages</h2><p class=grey>暂无 None yet</p>"
    rows = "".join(_passage(each, zone, is_there) for each in shown.passages)
    return f"<h2>过卡 Passages</h2><table>{rows}</table>"


def _passage(passage: PassageShown, zone: tzinfo | None, is_there: Callable[[str], bool]) -> str:
    zh, en, colour = _VERDICTS.get(passage.verdict, ("", "", "grey"))
    if not passage.gated:
        zh, en, colour = "闯卡", "Ungated", "red"
    outcome = _OUTCOMES.get(passage.outcome, (passage.outcome, passage.outcome))
    ended = f"<br>{escape(outcome[0])} <small>{escape(outcome[1])}</small>" if passage.outcome else ""
    reasons = "<br>".join(
        f"{escape(a)} <small>{escape(b)}</small>"
        for a, b in zip(passage.reasons_zh, passage.reasons_en, strict=False)
    )
    weight = f"<br>{escape(passage.gross_kg)} kg" if passage.gross_kg else ""
    slips = f"<div class='no grey'>{escape(' '.join(passage.slips[:3]))}</div>" if passage.slips else ""
    pictures = [(moment, sha256) for moment, sha256 in passage.pictures if is_there(sha256)]
    return (
        f"<tr><td class=when><b>{passage.number}</b><br><small>{_clock(passage.utc, zone)}</small></td>"
        f"<td class=who><span class=big>{escape(passage.plate) or '—'}</span>{weight}</td>"
        f"<td class=ruled><span class='big {colour}'>{zh}</span> <small>{en}</small>{ended}</td>"
        f"<td>{reasons}{slips}</td><td class=seen>{_pictures(pictures[-2:])}</td></tr>"
    )


def _pictures(pictures: Iterable[tuple[str, str]]) -> str:
    shown = "".join(
        f'<a href="/pictures/{escape(sha256)}.jpg"><img src="/pictures/{escape(sha256)}.jpg" alt="'
        f'{escape(_MOMENTS.get(moment, moment))}" title="{escape(_MOMENTS.get(moment, moment))}"></a>'
        for moment, sha256 in pictures
    )
    return f"<div class=pictures>{shown}</div>" if shown else ""


def _alarms(shown: Snapshot, zone: tzinfo | None) -> str:
    if not shown.alarms:
        return ""
    rows = "".join(_alarm(each, zone) for each in shown.alarms)
    return f"<h2>告警 Alarms</h2><table class=alarms>{rows}</table>"


def _alarm(alarm: AlarmShown, zone: tzinfo | None) -> str:
    return (
        f"<tr><td><small>{_clock(alarm.utc, zone)}</small></td><td class=amber>{escape(alarm.zh)} "
        f"<small>{escape(alarm.en)}</small></td><td><small>{escape(alarm.detail[:100])}</small></td></tr>"
    )


# --- what stands around -------------------------------------------------------------------------------------


def _footer(shown: Snapshot, now_s: float, zone: tzinfo | None) -> str:
    around = shown.around
    records = around.records
    if records is None:
        of_records = _two("无底账", "no records yet", "red")
    else:
        since_s = max(0.0, now_s - shown.at_s)
        age_s = None if records.age_s is None else records.age_s + since_s
        old = age_s is None or records.max_age_s is None or age_s > records.max_age_s
        zh = "时间未知" if age_s is None else f"{_span(age_s)}前"
        en = f"proved equal · number {records.number} · {records.rows} rows"
        of_records = _two(
            zh,
            en if age_s is not None else f"age unknown · number {records.number}",
            "red" if old else "green",
        )
    waiting = _two(
        str(around.backlog), "facts waiting for the centre", "green" if around.backlog < 1000 else "amber"
    )
    if around.free_mb is None:
        disk = _two("？", "unknown", "red")
    else:
        full = around.free_mb < around.reserve_mb
        disk = _two(f"{around.free_mb / 1000:.1f} GB", "free", "red" if full else "green")
    if not around.clock_set:
        clock = _two("时钟未设置", "the clock is not set: every vehicle is held", "red")
    elif around.uncertainty_ms < 0:
        clock = _two(_clock(shown.utc, zone), "nobody vouches for the clock", "amber")
    else:
        clock = _two(_clock(shown.utc, zone), f"within {around.uncertainty_ms} ms", "green")
    program = _two(
        f"kakou {shown.version}", f"since {_day(shown.began_utc, zone)} {_clock(shown.began_utc, zone)}"
    )
    return "<footer>" + "".join(
        f"<div class=box><h2>{name}</h2>{each}</div>"
        for name, each in (
            ("底账 Records", of_records),
            ("待上传 Backlog", waiting),
            ("磁盘 Disk", disk),
            ("时钟 Clock", clock),
            ("程序 Program", program),
        )
    ) + "</footer>"  # fmt: skip


def _span(seconds: float) -> str:
    """Short, and wrong by no more than anybody at a lane cares."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} d"


def _moment(utc: str, zone: tzinfo | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(utc)
    except ValueError:
        return None
    return moment if zone is None else moment.astimezone(zone)


def _clock(utc: str, zone: tzinfo | None) -> str:
    moment = _moment(utc, zone)
    return "—" if moment is None else f"{moment:%H:%M:%S}" + ("" if zone is not None else " UTC")


def _day(utc: str, zone: tzinfo | None) -> str:
    moment = _moment(utc, zone)
    return "—" if moment is None else f"{moment:%Y-%m-%d}"
