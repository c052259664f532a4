"""Which parcels go over the demo's X-ray line, what the centre's records say of them, and what an officer who
looks well makes of each. Values; writes nothing.

Truth and papers differ in known places. The same seed gives the same parcels, papers and troubles.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from hardware_sims.xray_belt import Label, Trouble, TroubleKind
from hardware_sims.xray_goods import ARTICLES, BY_SKU, Article, Extra, gross_kg
from hardware_sims.xray_scenario import WEDGE, PlannedParcel, XrayScenario

STATION = "xray-1"
WEDGE_CODE = "KAKOU-WEDGE"
OFFICERS = ("ZZ2030", "ZZ2031")
PINS = {"ZZ2030": "613904", "ZZ2031": "275816"}
"""Of a demonstration: no site has these."""

CASES: tuple[tuple[str, str, str], ...] = (
    ("ordinary", "单货相符", "as declared"),
    ("extra", "夹藏", "something hidden beside the goods"),
    ("no_read", "面单不可读", "label not readable"),
    ("merged", "两件同图", "two parcels in one picture"),
    ("control", "布控", "a control names it"),
    ("removed", "被人取走", "taken off the belt by hand"),
    ("added", "被人放上", "laid on the belt by hand"),
    ("slip", "皮带打滑", "slips on the belt"),
    ("other_goods", "品名不符", "other goods than declared"),
    ("short", "数量短少", "fewer than declared"),
    ("unknown", "无运单底账", "no record knows the waybill"),
    ("two_codes", "两个条码", "two codes in one portal window"),
    ("split", "一件两图", "one parcel in two pictures"),
    ("missed", "无图像", "no picture of it"),
    ("impenetrable", "不可穿透", "a block nothing gets through"),
    ("documents", "三单不符", "documents do not match"),
    ("quarantine", "应检未检", "quarantine due"),
    ("recalled", "召回", "its batch is recalled"),
    ("negative", "负面清单", "declared as clothes, holds electronics"),
    ("late", "判图超时", "judged too late"),
    ("wrong_order", "条码次序颠倒", "codes of two parcels read in the wrong order"),
    ("reversal", "皮带倒转", "the belt runs back"),
    ("belt_stop", "皮带停", "the belt stands"),
    ("jam", "卡包", "a parcel jams"),
)
"""(case, zh, en) in the order they come, ordinary parcels between them."""

NEVER_PASSED = frozenset(
    {
        "wedge", "no_read", "merged", "added", "unknown", "missed", "extra", "other_goods", "short",
        "impenetrable", "negative", "control", "late",
    }
)  # fmt: skip
"""Cases of which none may end as passed, whatever the machine's day was like."""

_OF_OFFICER: dict[str, tuple[str, str]] = {
    "extra": ("flagged", "undeclared"),
    "other_goods": ("flagged", "other_goods"),
    "short": ("flagged", "other_quantity"),
    "impenetrable": ("flagged", "impenetrable"),
    "negative": ("flagged", "undeclared"),
    "control": ("flagged", "other"),
    "quarantine": ("flagged", "quarantine"),
    "documents": ("recheck", ""),
    "recalled": ("recheck", ""),
}
"""Case -> (verdict, category); the others pass, if they may."""
ORDINARY_EVERY = 7
"""One parcel in so many is as declared, however few come."""
STAPLES = ("SKU-DIAPER-L", "SKU-PAN-28")
"""What is sent most: every other ordinary parcel."""
BEHIND_ORDINARY_MM = 900.0
"""So far behind it the next one comes: what passes must not have to go with a neighbour."""
LATE_S = 60.0
"""So long an officer looks at a parcel of the case `late`: the belt does not wait."""


@dataclass(slots=True)
class XrayCast:
    scenario: XrayScenario
    records: dict[str, list[dict[str, Any]]]
    judgements: dict[str, tuple[str, str, float]] = field(default_factory=dict)
    """Waybill -> what an officer makes of it: verdict, category, virtual seconds they look."""

    @property
    def cases(self) -> dict[str, str]:
        return {parcel.id: parcel.case for parcel in self.scenario.parcels}


def make_xray_cast(
    seed: int,
    parcels: int,
    *,
    today: datetime,
    firms: tuple[str, ...],
    ports: tuple[int, int] = (0, 0),
) -> XrayCast:
    """`parcels` after the step wedge, which goes first. `ports`: of the belt's board and the machine."""
    return _Maker(seed, today, firms).make(parcels, ports)


class _Maker:
    def __init__(self, seed: int, today: datetime, firms: tuple[str, ...]) -> None:
        self._draw = random.Random(f"{seed}/xray")
        self._seed = seed
        self._today = today
        self._firms = firms
        self._numbers: set[str] = set()
        self._ordinary = 0
        self._parcels: list[PlannedParcel] = []
        self._rows: list[dict[str, Any]] = []
        self._judgements: dict[str, tuple[str, str, float]] = {}

    def make(self, count: int, ports: tuple[int, int]) -> XrayCast:
        self._parcels.append(
            PlannedParcel(
                id="wedge", sku=WEDGE, labels=(Label(text=WEDGE_CODE, behind_mm=120.0),), case="wedge"
            )
        )
        for case in self._order(count):
            self._add(case)
        scenario = XrayScenario(
            station=STATION,
            seed=self._seed,
            io_port=ports[0],
            xray_port=ports[1],
            parcels=tuple(self._parcels[: count + 1]),
        )
        records = {
            "waybills": self._rows,
            "officers": [self._officer(number) for number in OFFICERS],
            "recalls": [self._recall()],
        }
        return XrayCast(scenario, records, self._judgements)

    def _order(self, count: int) -> list[str]:
        cases = [case for case, _, _ in CASES][: count - count // ORDINARY_EVERY]
        spare = count - len(cases)
        order: list[str] = []
        for place, case in enumerate(cases):
            order.append(case)
            if spare > 0 and place % 2 == 0:
                order.append("ordinary")
                spare -= 1
        return order + ["ordinary"] * spare

    def _add(self, case: str) -> None:
        draw = self._draw
        article = draw.choice(ARTICLES)
        if case == "ordinary" and self._ordinary % 2 == 0:
            article = BY_SKU[STAPLES[self._ordinary // 2 % len(STAPLES)]]
        self._ordinary += case == "ordinary"
        pieces = draw.randrange(1, min(2, article.most) + 1)
        room_for, extra, beside = 0, None, ""
        inside = article
        match case:
            case "extra":
                article = inside = BY_SKU["SKU-COAT-M"]
                pieces, extra = 1, draw.choice(("knife", "battery"))
            case "negative":
                article = inside = BY_SKU["SKU-COAT-M"]
                pieces, extra = 1, "phones"
            case "impenetrable":
                extra = draw.choice(("lead_box", "gold"))
            case "other_goods":
                article, inside, pieces = BY_SKU["SKU-TEA-250"], BY_SKU["SKU-POWER-20"], 2
            case "short":
                article = inside = BY_SKU["SKU-TEA-250"]
                pieces, room_for = 3, 4
            case "split" | "reversal" | "belt_stop" | "jam":
                article = inside = BY_SKU["SKU-DIAPER-L"]
                pieces = 1
            case _:
                pass
        waybill = self._number()
        number = len(self._parcels)
        least_mm = BEHIND_ORDINARY_MM if self._parcels[-1].case == "ordinary" else 0.0
        planned = PlannedParcel(
            id=f"p{number:05d}",
            sku=inside.sku,
            pieces=pieces,
            room_for=room_for,
            extra=_extra(extra),
            beside=beside,
            seed=draw.randrange(1, 10**6),
            # The wedge is looked at before the first parcel is judged.
            gap_mm=2_500.0 if number == 1 else max(least_mm, round(draw.uniform(170.0, 420.0), 1)),
            waybill_no=waybill,
            case=case,
        )
        packed = planned.packed()
        label = Label(text=waybill, behind_mm=round(draw.uniform(0.2, 0.8) * packed.length_mm, 1))
        changed = _befallen(case, planned, label, packed.length_mm, draw)
        self._parcels.append(changed)
        declared = room_for or pieces
        if case != "unknown":
            self._rows.append(self._waybill(case, number, waybill, article, declared, packed.length_mm))
        verdict, category = _OF_OFFICER.get(case, ("passed", ""))
        looks_s = LATE_S if case == "late" else round(draw.uniform(1.6, 3.0), 2)
        self._judgements[waybill] = (verdict, category, looks_s)
        if case == "merged":
            # Its neighbour follows so close that the machine sees one object.
            self._follow("merged", gap_mm=8.0)
        elif case == "wrong_order":
            self._follow("wrong_order", gap_mm=160.0, behind_mm=-190.0)

    def _follow(self, case: str, *, gap_mm: float, behind_mm: float | None = None) -> None:
        draw = self._draw
        article = draw.choice([each for each in ARTICLES if each.piece_mm[0] > 110])
        waybill, number = self._number(), len(self._parcels)
        planned = PlannedParcel(
            id=f"p{number:05d}",
            sku=article.sku,
            seed=draw.randrange(1, 10**6),
            gap_mm=gap_mm,
            waybill_no=waybill,
            case=case,
        )
        length = planned.packed().length_mm
        place = 0.5 * length if behind_mm is None else behind_mm
        self._parcels.append(_with(planned, labels=(Label(text=waybill, behind_mm=place),)))
        self._rows.append(self._waybill(case, number, waybill, article, 1, length))
        self._judgements[waybill] = ("passed", "", round(draw.uniform(1.6, 3.0), 2))

    def _number(self) -> str:
        while (number := f"XR{self._draw.randrange(10**12, 10**13)}") in self._numbers:
            continue
        self._numbers.add(number)
        return number

    def _waybill(
        self, case: str, number: int, waybill: str, article: Article, declared: int, length_mm: float
    ) -> dict[str, Any]:
        return {
            "waybill_no": waybill,
            "declarations": [f"QD4604{self._today:%Y}X{number:09d}"],
            "three_documents": "mismatch" if case == "documents" else "matched",
            "order_no": f"XD{self._today:%y%m%d}{number:07d}",
            "slip_no": None,
            "enterprise": self._firms[number % len(self._firms)],
            "platform": "跨境商城",
            "pieces": 1,
            "gross_kg": f"{gross_kg(article, declared):.3f}",
            "direction": "import",
            "state": "released",
            "control": "BK-XRAY" if case == "control" else "",
            "quarantine": "required" if case == "quarantine" else "",
            "trace_code": "",
            "batch_no": "X-RECALLED" if case == "recalled" else f"X{100 + number}",
            "regime": "1210",
            "lines": [
                {
                    "no": "1",
                    "sku": article.sku,
                    "hs_code": article.hs_code,
                    "name": article.name_zh,
                    "quantity": str(declared),
                    "unit": article.unit,
                    "origin": article.origin,
                }
            ],
        }

    def _recall(self) -> dict[str, Any]:
        return {
            "recall_no": f"ZX{self._today:%y%m%d}01",
            "batch_nos": ["X-RECALLED"],
            "issued": self._time(hours=-2),
            "reason_zh": "抽样检测不合格",
            "reason_en": "A sample failed at the laboratory",
        }

    def _officer(self, number: str) -> dict[str, Any]:
        return {
            "officer_no": number,
            "authorisations": ["x_ray"],
            "roles": ["inspector"],
            "public_key": "",
            "valid_until": self._time(hours=24 * 365),
        }

    def _time(self, *, hours: int) -> str:
        return (self._today + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _extra(name: str | None) -> Extra | None:
    match name:
        case "knife" | "phones" | "lead_box" | "powder" | "gold" | "battery":
            return name
        case _:
            return None


def _befallen(
    case: str, planned: PlannedParcel, label: Label, length_mm: float, draw: random.Random
) -> PlannedParcel:
    """With its label, and what happens to it on the way."""
    match case:
        case "no_read":
            return planned
        case "removed":
            trouble = Trouble(kind=TroubleKind.REMOVED, at_mm=1_500.0)
        case "added":
            # Whoever lays it there goes round the portal.
            return _with(planned, troubles=(Trouble(kind=TroubleKind.ADDED, at_mm=1_800.0),))
        case "slip":
            trouble = Trouble(kind=TroubleKind.SLIP, at_mm=1_200.0, mm=round(draw.uniform(140, 220), 1))
        case "two_codes":
            other = Label(
                text=f"69{draw.randrange(10**10, 10**11)}", behind_mm=label.behind_mm + 20, aim="]E0"
            )
            return _with(planned, labels=(label, other))
        case "split":
            trouble = Trouble(kind=TroubleKind.SPLIT, mm=0.5 * length_mm)
        case "missed":
            trouble = Trouble(kind=TroubleKind.MISSED)
        case "reversal":
            trouble = Trouble(kind=TroubleKind.REVERSAL, at_mm=3_120.0, mm=260.0)
        case "belt_stop":
            trouble = Trouble(kind=TroubleKind.BELT_STOP, at_mm=3_100.0, for_s=4.0)
        case "jam":
            trouble = Trouble(kind=TroubleKind.JAM, at_mm=1_900.0, for_s=6.0)
        case "wrong_order":
            # Read at its very end, when the next one's code was read already.
            return _with(planned, labels=(Label(text=label.text, behind_mm=0.97 * length_mm),))
        case _:
            return _with(planned, labels=(label,))
    return _with(planned, labels=(label,), troubles=(trouble,))


def _with(
    planned: PlannedParcel,
    *,
    labels: tuple[Label, ...] | None = None,
    troubles: tuple[Trouble, ...] | None = None,
) -> PlannedParcel:
    return replace(
        planned,
        labels=planned.labels if labels is None else labels,
        troubles=planned.troubles if troubles is None else troubles,
    )
