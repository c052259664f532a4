"""What keeps a draft from being ready."""

from __future__ import annotations

from typing import Final, assert_never

from edge.handheld.context import Context
from edge.handheld.inspection.second_officer import officers_needed
from edge.handheld.inspection.state import Draft
from sync.vocabulary.records import OrderPart
from sync.vocabulary.rulings import Text

PARTS: Final = {
    OrderPart.QUANTITIES: Text("清点每一行", "Count every line"),
    OrderPart.PHOTOS: Text("拍照", "Take a photo"),
    OrderPart.MEASUREMENTS: Text("测量", "Measure"),
    OrderPart.SEAL: Text("记录封志号", "Note the seal's number"),
    OrderPart.SAMPLE: Text("取样送检", "Take a sample for the laboratory"),
    OrderPart.VOICE: Text("语音记录", "Record a voice note"),
}


def is_done(draft: Draft, part: OrderPart) -> bool:
    kept = [item.kind for item in draft.evidence if item.state == "kept"]
    match part:
        case OrderPart.QUANTITIES:
            return bool(draft.lines) and all(line.counted for line in draft.lines)
        case OrderPart.PHOTOS:
            return "photo" in kept or "marked" in kept
        case OrderPart.MEASUREMENTS:
            return bool(draft.measures)
        case OrderPart.SEAL:
            return bool(draft.seal_no)
        case OrderPart.SAMPLE:
            return draft.sample is not None
        case OrderPart.VOICE:
            return "voice" in kept
        case _:
            assert_never(part)


def missing(draft: Draft, context: Context) -> tuple[Text, ...]:
    """What keeps it from being ready, the first thing first. Empty: nothing does."""
    officer = "" if context.officer is None else context.officer.officer_no
    differs = any(line.differs for line in draft.lines)
    nothing = draft.finding == "nothing"
    two = officers_needed(draft, context) > 1
    wants = (
        (draft.method is None, Text("选择查验方式", "Choose how it was inspected")),
        *((not is_done(draft, part), PARTS[part]) for part in draft.order.parts),
        (bool(draft.recording), Text("结束录音", "End the voice note")),
        (
            any(item.state == "taking" for item in draft.evidence),
            Text("照片正在保存", "A picture is still being kept"),
        ),
        (draft.finding is None, Text("选择查验结果", "Choose what was found")),
        (draft.handling is None, Text("选择处置", "Choose what is done about it")),
        (
            nothing and differs,
            Text("清点与申报不符，结果不能为未见异常", "The count differs: it cannot be nothing found"),
        ),
        (
            nothing and draft.handling in ("returned", "seized", "destroyed"),
            Text(
                "未见异常不能退运、扣留或销毁", "Nothing was found: it is not returned, seized or destroyed"
            ),
        ),
        (
            draft.finding == "forbidden" and draft.handling == "released",
            Text("禁限物品不能放行", "What is forbidden is not released"),
        ),
        (
            draft.finding not in (None, "nothing") and not is_done(draft, OrderPart.PHOTOS),
            Text("有异常须拍照", "What was found needs a photo"),
        ),
        (
            draft.handling == "sample_sent" and draft.sample is None,
            Text("登记样品封签", "Enter the sample's seal"),
        ),
        (
            two and draft.second_officer in ("", officer),
            Text("须第二位关员确认", "A second officer has to confirm"),
        ),
    )
    return tuple(text for is_missing, text in wants if is_missing)
