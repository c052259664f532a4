"""Words of the pages that prove a passage or a parcel, and of the search."""

from __future__ import annotations

import re
from typing import Final

from sync.vocabulary.rulings import Text

WORDS: Final[dict[str, tuple[str, str]]] = {
    "proof.several": (
        "该通道的磁盘曾丢失或恢复，编号重新开始；同一编号有数次过卡，请选择：",
        "This lane's disk was lost or restored and its numbers began again: several passages have this one.",
    ),
    "proof.others": ("同一编号另有 {0} 次过卡", "{0} more with this number"),
    "proof.passage": ("过卡", "Passage"),
    "proof.parcel": ("运单", "Waybill"),
    "proof.fact": ("记录", "Fact"),
    "proof.pictures": ("图片与文件", "Pictures and files"),
    "proof.no_pictures": ("无图片", "No pictures"),
    "proof.missed": ("未拍到", "Not taken"),
    "proof.readings": ("采集", "Readings"),
    "proof.after_s": ("到达后 s", "After, s"),
    "proof.kind": ("类别", "Kind"),
    "proof.value": ("值", "Value"),
    "proof.detail": ("详情", "Detail"),
    "proof.timeline": ("全部记录", "All that was told"),
    "proof.time": ("时间", "Time"),
    "proof.what": ("内容", "What"),
    "proof.who": ("何人", "Who"),
    "proof.came_to": ("结果", "Came to"),
    "proof.raw": ("原文", "As stored"),
    "proof.ruling": ("判定与理由", "Ruling and reasons"),
    "proof.told_driver": ("司机所见", "The driver read"),
    "proof.earlier": ("先前判定", "Ruled before"),
    "proof.records": ("当时的底账", "Records as they were"),
    "proof.records_at": ("范围 {0} 第 {1} 号，时效 {2} 秒", "scope {0}, number {1}, {2} s old"),
    "proof.changed": ("此后变更", "Changed since"),
    "proof.then": ("当时", "Then"),
    "proof.now": ("现在", "Now"),
    "proof.none_then": ("当时无此记录", "There was none"),
    "proof.gone": ("现已删除", "Gone now"),
    "proof.written": ("写入", "Written"),
    "proof.deeds": ("何人何事", "Who did what"),
    "proof.nobody": ("无人干预", "Nobody did anything by hand"),
    "proof.chain": ("链上证明", "Proof"),
    "proof.holds": (
        "已当场验证：{0} 条记录完整、未改动",
        "Verified just now: {0} facts, whole and unchanged",
    ),
    "proof.signed": ("由密钥 {0} 于 {1} 签名", "Signed by key {0} at {1}"),
    "proof.broken": ("证明不成立", "The proof does not hold"),
    "proof.none": ("尚无设备记录过此运单", "No device has told anything of it yet"),
    "proof.uncovered": ("尚无签名覆盖最后的记录", "Nothing signed covers the last fact yet"),
    "proof.export": ("导出签名文件", "Export the signed file"),
    "proof.offline": (
        "离线验证：kakou journal verify 文件",
        "To verify it anywhere: kakou journal verify FILE",
    ),
    "proof.hash": ("哈希", "Hash"),
    "proof.prev": ("前一条哈希", "Hash before it"),
    "proof.place": ("位置", "Place"),
    "proof.stored": ("到达中心", "At the centre"),
    "proof.device": ("设备", "Device"),
    "proof.versions": ("底账历次版本", "Every version of the record"),
    "proof.goods": ("申报商品", "Declared goods"),
    "proof.passages": ("所在核放单的过卡", "Passages of its slip"),
    "proof.no_passages": ("尚无过卡", "No passage yet"),
    "proof.x_ray": ("机检图像", "X-ray"),
    "proof.recalled": ("召回中", "Recalled"),
    "proof.no_record": ("底账中无此运单", "No record of this waybill"),
    "proof.opened": ("到达", "Arrived"),
    "proof.closed": ("结束", "Closed"),
    "proof.crossed": ("通过", "Crossed"),
    "proof.lane_s": ("通行用时", "Time in the lane"),
    "proof.slips": ("核放单", "Slips"),
    "proof.enterprise": ("企业", "Enterprise"),
    "proof.weight": ("毛重 / 应重", "Gross / expected"),
    "proof.verdict": ("判定", "Verdict"),
    "proof.no_blob": ("图片未到中心", "Not at the centre yet"),
    "proof.dropped": ("已过保存期", "Past its time"),
    "proof.altered": ("图片与哈希不符", "The bytes are not what the fact names"),
    "proof.open": ("未结束", "Open"),
    "proof.forgotten": ("通道磁盘丢失，去向无记录", "How it ended was lost with the lane's disk"),
    "search.ask": (
        "车牌、核放单、运单、溯源码、企业、关员",
        "Plate, slip, waybill, trace code, enterprise, officer",
    ),
    "search.go": ("查询", "Search"),
    "search.from": ("自", "From"),
    "search.to": ("至", "To"),
    "search.hint": (
        "车牌可缺一二字，用 ? 代替；亦列出相近车牌",
        "Of a plate one or two characters may be ?; similar plates are listed too",
    ),
    "search.passages": ("过卡", "Passages"),
    "search.similar": ("相近车牌", "Similar plates"),
    "search.parcels": ("包裹", "Parcels"),
    "search.records": ("底账", "Records"),
    "search.facts": ("记录", "Facts"),
    "search.nothing": ("没有查到", "Nothing found"),
    "search.registered": ("备案车辆", "Registered vehicle"),
    "search.times": ("{0} 次", "{0} times"),
    "search.too_long": ("最多 100 个字符", "At most 100 characters"),
    "search.bad_time": ("时间应为 2026-11-22T08:00", "Expected a time such as 2026-11-22T08:00"),
    "search.most": ("仅列最近 {0} 条", "The latest {0} only"),
    "search.lane": ("通道", "Lane"),
    "search.release_slips": ("核放单", "Release slip"),
    "search.site": ("场所", "Site"),
    "search.waybills": ("运单", "Waybill"),
    "search.vehicles": ("备案车辆", "Vehicle"),
    "search.enterprises": ("企业", "Enterprise"),
    "search.officers": ("关员", "Officer"),
    "search.inspection_orders": ("查验指令", "Inspection order"),
    "search.recalls": ("召回", "Recall"),
    "search.controls": ("布控", "Control"),
    "search.plate": ("车牌", "Plate"),
}
"""Keys begin with `proof.` or `search.`."""

_CHINESE: Final = tuple(
    (re.compile(pattern), told)
    for pattern, told in (
        (r"changed, its bytes hash to (\w+), its row says (\w+)", r"已改动：内容的哈希为 \1，行内写的是 \2"),
        (r", its row's own hash was changed$", "；行内的哈希被改过"),
        (r", one bit flipped at byte (\d+)", r"；第 \1 字节翻了一位"),
        (r", one bit flipped in (\S+) \(byte (\d+)\), it was (.+)$", r"；第 \2 字节（\1）翻了一位，原为 \3"),
        (r"changed, its row says (\w+) (.+) and its body (.+)$", r"已改动：行内 \1 为 \2，内容中为 \3"),
        (r"changed, its body is no longer a fact \((.+)\)$", r"已改动：内容已不成记录（\1）"),
        (r"is a fact of (\S+) (\S+) (\S+)$", r"是 \1 流水期 \2 \3 的记录"),
        (r"expected here, and (\d+) stands here$", r"此处应有此号，却是第 \1 号"),
        (r" (\d+) or (\d+): changed, the second .+$", r" 第 \1 或 \2 号已改动：后一条写的哈希不是前一条的"),
        (r"its checkpoint does not hold \((.+)\)$", r"其检查点不成立（\1）"),
        (r"the list of evidence is not what its facts name$", r"证据清单与记录所写不符"),
        (r"its checkpoint is of (\S+) epoch (\S+)$", r"其检查点属 \1 流水期 \2"),
        (
            r"is not what was signed: this one has hash (\w+), the checkpoint names (.+)$",
            r"不是签名的那一条：此条哈希 \1，检查点写的是 \2",
        ),
        (r"(\d+) with hash (\w+)", r"第 \1 号、哈希 \2"),
        (r"its row hides that it is of (\d+)$", r"行内隐瞒了它属于第 \1 次过卡"),
        (r"^(\S+) is not enrolled here$", r"\1 未在中心登记"),
        (r"no checkpoint here that its key holds for covers it$", r"没有由其密钥签名的检查点覆盖它"),
    )
)


def proof_problem(text: str) -> Text:
    """Why a proof does not hold, as `kakou journal verify` says it, and in Chinese."""
    told = text
    for pattern, chinese in _CHINESE:
        told = pattern.sub(chinese, told)
    return Text(told, text)
