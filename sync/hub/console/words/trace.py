"""Words of the trace codes' pages."""

from __future__ import annotations

from typing import Final

WORDS: Final[dict[str, tuple[str, str]]] = {
    "trace.ask": (
        "扫描标签，或输入溯源码、运单号、批次",
        "Scan a label, or type a trace code, a waybill or a batch",
    ),
    "trace.look_up": ("查询", "Look up"),
    "trace.genuine": ("标签属实", "A genuine label"),
    "trace.forged": ("标签不可信", "This label is not to be believed"),
    "trace.unread": ("标签无法读出", "The label cannot be read"),
    "trace.mistyped": ("溯源码校验不符，请核对", "The code's check character is wrong, please compare"),
    "trace.path": ("路径", "Path"),
    "trace.proof": ("证明", "proof"),
    "trace.batch": ("批次", "Batch"),
    "trace.parcels": ("涉及包裹 {0} 件", "{0} parcels"),
    "trace.cut": ("底账过大，未查完", "Not all records were looked through in time"),
    "trace.give": ("发放溯源码", "Give trace codes"),
    "trace.given": ("新发 {0} 个，共 {1} 张标签", "{0} codes given, {1} labels"),
    "trace.refused": ("{0} 件未发：", "{0} not given:"),
    "trace.print": ("打印 {0} 张标签 (PDF)", "Print {0} labels (PDF)"),
    "trace.of_slip": ("核放单全部包裹", "All parcels of a slip"),
    "trace.of_waybills": ("或运单号", "or waybill numbers"),
    "trace.reason": ("理由", "Reason"),
    "trace.no_key": (
        "中心配置中没有 [slips] key_file，不能签发",
        "The hub's config has no [slips] key_file: nothing can be signed",
    ),
    "trace.recalls": ("召回", "Recalls"),
    "trace.recall": ("召回", "Recall"),
    "trace.no_recalls": ("无召回", "No recalls"),
    "trace.recall_active": ("有效", "in force"),
    "trace.recall_ended": ("已解除", "ended"),
    "trace.recall_batch": ("按批次召回", "Recall a batch"),
    "trace.reach": ("到达设备", "Devices that know of it"),
    "trace.written": ("{0} 写入，第 {1} 号", "Written at {0}, number {1}"),
    "trace.knows": ("已到达", "knows"),
    "trace.not_yet": ("未到达", "not yet"),
    "trace.offline": ("离线", "offline"),
}
"""Keys begin with `trace.`."""
