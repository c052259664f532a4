"""What devices say of themselves in their own technical words, said so that an officer reads it. The text as
it was signed stands on the page of its fact."""

from __future__ import annotations

import re
from typing import Final

PARTS: Final[dict[str, tuple[str, str]]] = {
    "io": ("输入输出板", "I/O board"),
    "weighbridge": ("地磅", "weighbridge"),
    "plate_camera": ("车牌相机", "plate camera"),
    "plate_camera_rear": ("后车牌相机", "rear plate camera"),
    "fixed_camera": ("全景相机", "overview camera"),
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
}
"""Parts of a device, as its config and its facts name them."""

_ONE: Final = f"(?:{'|'.join(sorted(PARTS, key=len, reverse=True))})"
_NAMED: Final = re.compile(rf"^{_ONE}(?=$|: )|(?:(?<=: )|(?<=：)|(?<= at )|(?<= after )){_ONE}$")
"""Alone, before a colon, or at the end: a word amid a sentence is somebody's own."""

_CHINESE: Final = tuple(
    (re.compile(pattern), told)
    for pattern, told in (
        (r"no valid reading for ([\d.]+) s", r"\1 秒没有有效读数"),
        (r"parcel (\d+)(?: (\S+))? after (.+)$", r"\3之后，包裹 \1 \2"),
        (r"parcel (\d+) at (.+)$", r"\2处，包裹 \1"),
        (r"^(-?\d+) to (-?\d+) mm$", r"由 \1 到 \2 毫米"),
        (r"^vehicle (\d+) under the arm on order (\S+)$", r"一次抬杆下第 \1 辆车，抬杆令 \2"),
        (r"^(\S+) -> (\S+) kg with all wheels on$", r"全车上秤后由 \1 变为 \2 公斤"),
        (r"^(\S+) kg on an empty scale$", r"空秤显示 \1 公斤"),
        (r"^(\S+): (\S+) kg, registered (\S+) kg$", r"\1：实测 \2 公斤，备案 \3 公斤"),
        (r"^(\S+) is on no slip$", r"\1 不在任何核放单内"),
        (r"^(\S+) is on (\S+)$", r"\1 属核放单 \2"),
    )
)


def plainly(text: str, language: str) -> str:
    """`text` with the names of parts in words and, in Chinese, the commonest sentences; the rest as it is."""
    number = 0 if language == "zh" else 1
    text = _NAMED.sub(lambda found: PARTS[found[0]][number], text)
    if number == 0:
        for pattern, told in _CHINESE:
            text = pattern.sub(told, text)
    return text
