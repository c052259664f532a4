"""避头尾: a sign stands beside the character it belongs to, wherever Kivy breaks the line."""

from __future__ import annotations

import pytest

from edge.handheld.screens.breaking import kept_together


def lines_of(text: str, width: int) -> list[str]:
    """As Kivy breaks: at blanks, else wherever a line is full."""
    lines: list[str] = []
    for part in text.split("\n"):
        while len(part) > width:
            at = part.rfind(" ", 0, width + 1)
            at = at if at > 0 else width
            lines.append(part[:at].strip())
            part = part[at:].lstrip()
        lines.append(part)
    return lines


def settled(text: str, width: int) -> list[str]:
    for _ in range(20):
        mended = kept_together(text, lines_of(text, width))
        if mended == text:
            break
        text = mended
    return lines_of(text, width)


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("请联网后重新扫描。", 8, ["请联网后重新扫", "描。"]),
        ("中心请求实时画面：请到「视频」答复", 12, ["中心请求实时画面：请到", "「视频」答复"]),
        ("封存，按召回指令处置", 3, ["封存，", "按召回", "指令处", "置"]),
        ("封存，按召回指令处置", 2, ["封", "存，", "按召", "回指", "令处", "置"]),
        ("请核对“数量”", 4, ["请核对", "“数量”"]),
        ("单号 YT12345678。", 13, ["单号", "YT12345678。"]),
        ("。。。。", 2, ["。。", "。。"]),
        ("第一行\n。第二行", 4, ["第一行", "。第二行"]),
        ("no Chinese at all, nothing to do", 10, ["no Chinese", "at all,", "nothing to", "do"]),
        ("", 5, [""]),
    ],
)
def test_a_line_begins_and_ends_as_it_may(text: str, width: int, lines: list[str]) -> None:
    assert settled(text, width) == lines


def test_nothing_of_a_text_is_lost_or_added_but_line_ends() -> None:
    text = "检测不合格：镉，超标（0.4 mg/kg）。封存！按召回指令处置；报「值班科长」。"
    for width in range(2, 30):
        found = settled(text, width)
        assert "".join(found).replace(" ", "") == text.replace(" ", "")
