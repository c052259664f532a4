"""What hub, lane and camera say of themselves, in the officer's language: they say it in English, since it is
written down as well. What is not known here is shown as it came.
"""

from __future__ import annotations

import re
from typing import Final

from sync.vocabulary.rulings import Text

_SAID: Final = tuple(
    (re.compile(pattern), zh)
    for pattern, zh in (
        # The hub, of a release code (`sync.hub.asked`, `sync.hub.commanding`).
        (r"no answer", "通道未应答"),
        (r"the device was not connected", "通道未联网"),
        (r"the two codes do not say the same", "两码内容不一致"),
        (r"the two codes are of one officer", "两码为同一关员"),
        (r"no lane (\S+) is enrolled here", r"中心无此通道 \1"),
        (r"officer (\S+) is not rostered", r"关员 \1 不在名册"),
        (r"officer (\S+) is not active", r"关员 \1 授权已失效"),
        (r"officer (\S+) has no authorisation .*", r"关员 \1 无此授权"),
        (r"the signature is not officer (\S+)'s", r"签名与关员 \1 不符"),
        (r"the code was issued at .*", "放行码已过时，未下令"),
        (r"a later code about this passage .*", "此过卡已有更新的放行码"),
        # The lane (`edge.gate.lane`).
        (r"passage (\d+) is not held now", r"过卡 \1 已不在扣留中"),
        (r"held for no want of a .*", "此项并未缺失"),
        (r"held for (.*)", r"此扣留不能人工放行：\1"),
        (r"not a (\S+): (.*)", r"格式不符：\2"),
        (r"it waits for a second officer", "等待第二位关员"),
        # Camera, microphone, disk.
        (r"no picture came from .*", "相机没有画面"),
        (r"no screen is there to take it", "屏幕未就绪"),
        (r"this PC has no .* to record with", "本机没有录音程序"),
        (r"no sound came for .*", "麦克风没有声音"),
        (r"the recorder ended: (.*)", r"录音中断：\1"),
        (r"the microphone is not allowed yet.*", "尚未允许使用麦克风，请允许后重录"),
        (r"the stores are not open", "本机存储未打开"),
        (r"the picture is not there", "图像不在本机"),
    )
)


def said(why: str) -> Text:
    for pattern, zh in _SAID:
        found = pattern.fullmatch(why)
        if found is not None:
            return Text(found.expand(zh), why)
    return Text(why, why)
