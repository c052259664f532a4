"""What lies in the simulated warehouse, and what the centre's records say of it: parcels, the book, orders,
routes, pictures of goods, and the officers who walk there. Values; writes nothing.

The truth (what a parcel holds, what lies on a shelf) and the papers differ in a few known places: an officer
who works well finds exactly those. The same seed gives the same goods.
"""

from __future__ import annotations

import base64
import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import cv2
import numpy as np

PARCELS = 400
ORDERS = 20
CHECKPOINTS = 6
SHELVES = 12

OFFICERS = ("ZZ2026", "ZZ2027")
"""Two of the inspection section: some checks need both."""
PINS = {"ZZ2026": "480217", "ZZ2027": "907351"}
"""Of a demonstration: no site has these."""

CASES: tuple[tuple[str, str, str], ...] = (
    ("ordinary", "单货相符", "as declared"),
    ("short", "数量短少", "fewer than declared"),
    ("other_goods", "品名不符", "other goods than declared"),
    ("control", "布控", "a control names it"),
    ("quarantine", "应检未检", "quarantine due"),
    ("documents", "三单不符", "documents do not match"),
    ("recalled", "召回", "its batch is recalled"),
    ("x_ray_flagged", "机检异常", "flagged at the X-ray line"),
    ("return", "退货", "a return"),
)

_GOODS: tuple[tuple[str, str, str, str, str, str, tuple[int, int, int]], ...] = (
    (
        "SKU-MILK-800",
        "1901101000",
        "婴幼儿配方奶粉 800克",
        "Infant formula 800 g",
        "罐",
        "NZL",
        (40, 120, 220),
    ),
    ("SKU-MASK-10", "3304990039", "补水面膜 10片", "Face mask, 10 sheets", "盒", "KOR", (200, 170, 90)),
    ("SKU-VITC-100", "2106909090", "维生素C片 100粒", "Vitamin C, 100 tablets", "瓶", "AUS", (60, 180, 250)),
    ("SKU-DIAPER-L", "9619001100", "纸尿裤 L码", "Nappies, size L", "包", "JPN", (220, 220, 230)),
    ("SKU-WINE-750", "2204210000", "葡萄酒 750毫升", "Wine 750 ml", "瓶", "FRA", (50, 20, 110)),
    ("SKU-COAT-M", "6202401000", "女式大衣 M码", "Coat, size M", "件", "ITA", (90, 70, 60)),
)
"""(SKU, HS code, name zh, name en, unit, origin, colour of its picture as BGR)"""


@dataclass(frozen=True, slots=True)
class Parcel:
    """What really is in a parcel; the papers say `declared`."""

    waybill_no: str
    case: str
    sku: str
    declared: int
    inside: int
    inside_sku: str


@dataclass(slots=True)
class Warehouse:
    parcels: list[Parcel]
    records: dict[str, list[dict[str, Any]]]
    shelf: dict[str, int] = field(default_factory=dict)
    """Row of the book -> what really lies there."""
    ordered: dict[str, str] = field(default_factory=dict)
    """Inspection order -> the parcel it names."""

    def parcel(self, waybill_no: str) -> Parcel:
        return next(each for each in self.parcels if each.waybill_no == waybill_no)


def make_warehouse(
    seed: int,
    *,
    today: datetime,
    firms: tuple[str, ...],
    slips: tuple[str, ...] = (),
    public_keys: dict[str, str] | None = None,
    parcels: int = PARCELS,
) -> Warehouse:
    """`today` (UTC) places validity and orders; `slips` carry the parcels in turn; `public_keys`: officer ->
    Ed25519 as base64 (an officer without one signs nothing)."""
    return _Maker(seed, today, firms, slips, public_keys or {}).make(parcels)


class _Maker:
    def __init__(
        self, seed: int, today: datetime, firms: tuple[str, ...], slips: tuple[str, ...], keys: dict[str, str]
    ) -> None:
        self._draw = random.Random(f"{seed}/goods")
        self._today = today
        self._firms = firms
        self._slips = slips
        self._keys = keys
        self._numbers: set[str] = set()
        self._parcels: list[Parcel] = []
        self._rows: list[dict[str, Any]] = []

    def make(self, count: int) -> Warehouse:
        for place in range(count):
            self._add(place)
        orders = self._orders()
        book, shelf = self._book()
        records = {
            "waybills": self._rows,
            "officers": [self._officer(number) for number in OFFICERS],
            "recalls": [self._recall()],
            "inspection_orders": list(orders.values()),
            "references": self._references(),
            "x_rays": self._x_rays(),
            "stock_book": book,
            "patrol_routes": [self._route()],
            "traces": self._traces(),
        }
        return Warehouse(
            self._parcels,
            records,
            shelf,
            {number: order["waybill_nos"][0] for number, order in orders.items()},
        )

    # --- parcels ------------------------------------------------------------------------------------------

    def _add(self, place: int) -> None:
        draw = self._draw
        case = CASES[place // 6][0] if place % 6 == 5 and place // 6 < len(CASES) else "ordinary"
        sku, hs_code, zh, _, unit, origin, _ = draw.choice(_GOODS)
        declared = draw.randrange(1, 7)
        parcel = Parcel(
            self._number(),
            case,
            sku,
            declared,
            max(0, declared - 1) if case == "short" else declared,
            draw.choice([each[0] for each in _GOODS if each[0] != sku]) if case == "other_goods" else sku,
        )
        self._parcels.append(parcel)
        self._rows.append(
            {
                "waybill_no": parcel.waybill_no,
                "declarations": [f"QD4604{self._today:%Y}I{place + 1:09d}"],
                "three_documents": "mismatch" if case == "documents" else "matched",
                "order_no": f"DD{self._today:%y%m%d}{place + 1:07d}",
                "slip_no": self._slips[place % len(self._slips)] if self._slips else None,
                "enterprise": self._firms[place % len(self._firms)],
                "platform": "跨境商城",
                "pieces": 1,
                "gross_kg": f"{0.4 + 0.35 * declared:.3f}",
                "direction": "return" if case == "return" else "import",
                "state": "released",
                "control": "BK-NAMED" if case == "control" else "",
                "quarantine": "required" if case == "quarantine" else "",
                "trace_code": self._trace_code(place) if place % 4 == 0 else "",
                "batch_no": "B-RECALLED" if case == "recalled" else f"B{draw.randrange(100, 999)}",
                "regime": draw.choice(("1210", "9610")),
                "lines": [
                    {
                        "no": "1",
                        "sku": sku,
                        "hs_code": hs_code,
                        "name": zh,
                        "quantity": str(declared),
                        "unit": unit,
                        "origin": origin,
                    }
                ],
            }
        )

    def _number(self) -> str:
        while (number := f"YT{self._draw.randrange(10**12, 10**13)}") in self._numbers:
            continue
        self._numbers.add(number)
        return number

    def _trace_code(self, place: int) -> str:
        return f"SY{self._today:%y%m%d}{place + 1:08d}"

    # --- what the centre wants ----------------------------------------------------------------------------

    def _orders(self) -> dict[str, dict[str, Any]]:
        """The parcels that are not as declared, and ordinary ones as lots would fall."""
        wrong = [each for each in self._parcels if each.case in ("short", "other_goods", "x_ray_flagged")]
        ordinary = [each for each in self._parcels if each.case == "ordinary"]
        meant = (wrong + self._draw.sample(ordinary, max(0, min(len(ordinary), ORDERS - len(wrong)))))[
            :ORDERS
        ]
        made: dict[str, dict[str, Any]] = {}
        for place, parcel in enumerate(meant, start=1):
            number = f"CY4604{self._today:%y%m%d}{place:04d}"
            made[number] = {
                "order_no": number,
                "waybill_nos": [parcel.waybill_no],
                "cause": "x_ray" if parcel.case == "x_ray_flagged" else "officer",
                "cause_detail": "机检图像异常" if parcel.case == "x_ray_flagged" else "双随机",
                "officers_needed": 2 if place % 10 == 0 else 1,
                "parts": ["quantities", "photos"] if place % 2 else ["quantities"],
                "instructions_zh": "核对品名、数量",
                "instructions_en": "Compare goods and quantity",
                "issued": self._time(hours=-1),
                "issued_by": "ZZ9001",
                "due": self._time(hours=8),
            }
        return made

    def _recall(self) -> dict[str, Any]:
        return {
            "recall_no": f"ZH{self._today:%y%m%d}01",
            "batch_nos": ["B-RECALLED"],
            "issued": self._time(hours=-2),
            "reason_zh": "抽样检测不合格",
            "reason_en": "A sample failed at the laboratory",
        }

    def _officer(self, number: str) -> dict[str, Any]:
        return {
            "officer_no": number,
            "authorisations": [
                "inspect",
                "manual_release",
                "supplement",
                "patrol",
                "stock_take",
                "laboratory",
            ],
            "roles": ["inspector"],
            "public_key": self._keys.get(number, ""),
            "valid_until": self._time(hours=24 * 365),
        }

    def _route(self) -> dict[str, Any]:
        return {
            "route_no": "XC-A",
            "name_zh": "A区仓库巡查",
            "name_en": "Warehouse A",
            "points": [
                {
                    "code": f"XC-A-{place:02d}",
                    "name_zh": f"A区{place}号点",
                    "name_en": f"Point A{place}",
                    "order": place,
                    "within_s": 900,
                }
                for place in range(1, CHECKPOINTS + 1)
            ],
            "due": self._time(hours=6),
            "valid_until": self._time(hours=24 * 30),
        }

    def _book(self) -> tuple[list[dict[str, Any]], dict[str, int]]:
        book: list[dict[str, Any]] = []
        shelf: dict[str, int] = {}
        for place in range(SHELVES):
            sku, hs_code, zh, _, unit, _, _ = _GOODS[place % len(_GOODS)]
            row_no, quantity = f"ZC{place + 1:06d}", self._draw.randrange(20, 200)
            book.append(
                {
                    "row_no": row_no,
                    "location": f"A-{place // 3 + 1:02d}",
                    "sku": sku,
                    "hs_code": hs_code,
                    "name": zh,
                    "quantity": str(quantity),
                    "unit": unit,
                    "enterprise": self._firms[place % len(self._firms)],
                    "book_no": "T4604W000042",
                }
            )
            # One shelf in six lies.
            shelf[row_no] = quantity - 2 if place % 6 == 4 else quantity
        return book, shelf

    # --- what officers look at ----------------------------------------------------------------------------

    def _references(self) -> list[dict[str, Any]]:
        return [
            {
                "reference_no": f"REF-{sku}",
                "sku": sku,
                "hs_code": hs_code,
                "kind": "photo",
                "title_zh": zh,
                "title_en": en,
                "preview": _preview(_picture(sku, colour)),
            }
            for sku, hs_code, zh, en, _, _, colour in _GOODS
        ]

    def _x_rays(self) -> list[dict[str, Any]]:
        rows = []
        for parcel in self._parcels[::5]:
            flagged = parcel.case == "x_ray_flagged"
            rows.append(self._x_ray(parcel, flagged))
        rows += [self._x_ray(each, True) for each in self._parcels if each.case == "x_ray_flagged"]
        return list({row["waybill_no"]: row for row in rows}.values())

    def _x_ray(self, parcel: Parcel, flagged: bool) -> dict[str, Any]:
        box = {
            "left": 0.35,
            "top": 0.3,
            "width": 0.3,
            "height": 0.3,
            "words_zh": "异常密度",
            "words_en": "Dense",
        }
        return {
            "waybill_no": parcel.waybill_no,
            "verdict": "flagged" if flagged else "passed",
            "boxes": [box] if flagged else [],
            "words_zh": "图像与申报不符" if flagged else "",
            "words_en": "Picture differs from the declaration" if flagged else "",
            "station": "xray-1",
            "judged": self._time(hours=-3),
            "preview": _preview(_x_ray_picture(parcel.sku, flagged)),
        }

    def _traces(self) -> list[dict[str, Any]]:
        steps = (
            (-24 * 20, "产地", "Place of origin", "出厂", "Left the factory"),
            (-24 * 6, "郑州新郑机场", "Zhengzhou airport", "进境", "Entered the country"),
            (-24 * 5, "综保区A仓", "Bonded warehouse A", "入区上架", "Shelved"),
            (-4, "综保区A仓", "Bonded warehouse A", "拣货打包", "Picked and packed"),
            (-3, "机检线1号", "X-ray line 1", "机检", "X-rayed"),
        )
        return [
            {
                "trace_code": row["trace_code"],
                "waybill_no": row["waybill_no"],
                "steps": [
                    {
                        "at": self._time(hours=hours),
                        "place_zh": place_zh,
                        "place_en": place_en,
                        "what_zh": what_zh,
                        "what_en": what_en,
                    }
                    for hours, place_zh, place_en, what_zh, what_en in steps
                ],
            }
            for row in self._rows
            if row["trace_code"]
        ]

    def _time(self, *, hours: int) -> str:
        return (self._today + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _picture(sku: str, colour: tuple[int, int, int]) -> Any:
    """A package drawn as a package is: a face, a band, a label with its number."""
    picture = np.full((240, 320, 3), 235, np.uint8)
    cv2.rectangle(picture, (60, 40), (260, 215), colour, -1)
    cv2.rectangle(picture, (60, 90), (260, 130), (250, 250, 250), -1)
    cv2.rectangle(picture, (60, 40), (260, 215), (40, 40, 40), 2)
    cv2.putText(picture, sku, (68, 117), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (20, 20, 20), 2, cv2.LINE_AA)
    return picture


def opened_parcel(parcel: Parcel) -> bytes:
    """What an officer photographs: a carton from above, what is in it, and its number on the flap. PNG."""
    picture = np.full((960, 1280, 3), (96, 104, 110), np.uint8)
    cv2.rectangle(picture, (180, 120), (1100, 860), (128, 170, 200), -1)
    cv2.rectangle(picture, (230, 300), (1050, 820), (70, 100, 125), -1)
    colour = next(each[-1] for each in _GOODS if each[0] == parcel.inside_sku)
    for place in range(parcel.inside):
        left, top = 260 + place % 4 * 195, 330 + place // 4 * 240
        item = cv2.resize(_picture(parcel.inside_sku, colour)[40:216, 60:261], (180, 220))
        picture[top : top + 220, left : left + 180] = item
    cv2.rectangle(picture, (330, 150), (950, 270), (250, 250, 250), -1)
    cv2.putText(
        picture, parcel.waybill_no, (370, 230), cv2.FONT_HERSHEY_SIMPLEX, 1.6, (20, 20, 20), 4, cv2.LINE_AA
    )  # fmt: skip
    _, encoded = cv2.imencode(".png", picture)
    return encoded.tobytes()


def _x_ray_picture(sku: str, flagged: bool) -> Any:
    """Orange for what is organic, blue for metal, as screens have it: a sketch, not a physics."""
    draw = random.Random(f"x-ray/{sku}")
    picture = np.full((240, 320, 3), 255, np.uint8)
    cv2.rectangle(picture, (60, 40), (260, 215), (170, 215, 250), -1)
    for _ in range(6):
        centre = (draw.randrange(80, 240), draw.randrange(60, 200))
        cv2.circle(picture, centre, draw.randrange(12, 26), (90, 160, 240), -1)
    if flagged:
        cv2.rectangle(picture, (120, 80), (200, 140), (200, 80, 20), -1)
    return cv2.GaussianBlur(picture, (5, 5), 0)


def _preview(picture: Any) -> str:
    _, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 70])
    return base64.b64encode(encoded.tobytes()).decode()
