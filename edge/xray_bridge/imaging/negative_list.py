"""负面清单智能审图: what goods of a tariff chapter cannot look like. A table, and why a picture breaks it.

A row allows; only what no row of the declared goods allows is told. Limits are generous, a zip, a tin and a
staple being in most parcels, and a share and a mass must both be passed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from edge.xray_bridge.values import Material, MaterialShare
from sync.vocabulary.rulings import Text

Chapter = Annotated[int, Meta(ge=1, le=99)]
Part = Annotated[float, Meta(ge=0.0, le=1.0)]
Kilograms = Annotated[float, Meta(ge=0.0, le=1000.0)]


class NegativeListRefused(ValueError):
    """What was expected of the table's text."""


class Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Chapters and what their goods may hold. A limit left out is none."""

    chapters: Annotated[tuple[Chapter, ...], Meta(min_length=1, max_length=99)]
    headings: Annotated[tuple[Annotated[str, Meta(pattern=r"^\d{4}$")], ...], Meta(max_length=200)] = ()
    """Four digits; given, the row is for these alone and goes before a row of the whole chapter."""
    zh: Annotated[str, Meta(min_length=1, max_length=40)]
    en: Annotated[str, Meta(min_length=1, max_length=60)]
    metal_share: Part | None = None
    """Of the estimated mass."""
    metal_kg: Kilograms | None = None
    light_share: Part | None = None
    light_kg: Kilograms | None = None
    impenetrable_cm2: Annotated[float, Meta(ge=0.0, le=10_000.0)] | None = None
    least_metal_share: Part | None = None
    """Of the mass: less is not such goods."""
    least_organic_share: Part | None = None


class NegativeList(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    version: Annotated[str, Meta(min_length=1, max_length=40)]
    rows: Annotated[tuple[Row, ...], Meta(max_length=500)]

    def text(self) -> str:
        return msgspec.json.encode(self).decode()

    @classmethod
    def read(cls, text: str | bytes) -> NegativeList:
        """Raises NegativeListRefused, naming the field and what was expected of it."""
        if len(text) > 500_000:
            raise NegativeListRefused(f"expected 500000 characters at most, got {len(text)}")
        try:
            return msgspec.json.decode(text, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
            raise NegativeListRefused(f"negative list: {wrong}") from wrong

    def row_for(self, hs_code: str) -> Row | None:
        """The heading's row, else the chapter's; None: nothing is known of such goods."""
        digits = "".join(each for each in hs_code if each.isascii() and each.isdecimal())
        if len(digits) < 2:
            return None
        chapter = int(digits[:2])
        for row in self.rows:
            if row.headings and digits[:4] in row.headings:
                return row
        return next((row for row in self.rows if not row.headings and chapter in row.chapters), None)


def _chapters(*spans: tuple[int, int]) -> tuple[int, ...]:
    return tuple(chapter for first, last in spans for chapter in range(first, last + 1))


STANDARD: Final = NegativeList(
    version="1",
    rows=(
        Row(
            chapters=(16, 19, 20, 21, 22),
            headings=("1602", "1604", "1901", "2001", "2002", "2008", "2106", "2202", "2203"),
            zh="罐装食品饮料",
            en="food and drink in tins",
            metal_share=0.35,
            metal_kg=1.0,
            # No limit of light inorganic matter: thin steel before powder looks so.
            impenetrable_cm2=4.0,
        ),
        Row(
            chapters=_chapters((1, 21), (23, 24)),
            zh="食品",
            en="food",
            metal_share=0.20,
            metal_kg=0.15,
            impenetrable_cm2=4.0,
        ),
        Row(
            chapters=(22,),
            zh="酒类饮料",
            en="drinks in bottles",
            metal_share=0.20,
            metal_kg=0.3,
            impenetrable_cm2=6.0,
        ),
        Row(
            chapters=(30, 33, 34),
            zh="药品、化妆品",
            en="medicines and cosmetics",
            metal_share=0.30,
            metal_kg=0.25,
            impenetrable_cm2=4.0,
        ),
        Row(
            chapters=(39, 40, 48, 49),
            zh="塑料、橡胶、纸品、书籍",
            en="plastics, rubber, paper, books",
            metal_share=0.25,
            metal_kg=0.2,
            light_share=0.5,
            light_kg=1.0,
            impenetrable_cm2=4.0,
        ),
        Row(
            chapters=(41, 42, 43),
            zh="皮革箱包",
            en="leather goods and bags",
            metal_share=0.35,
            metal_kg=0.4,
            impenetrable_cm2=4.0,
        ),
        Row(
            chapters=_chapters((50, 63)),
            zh="纺织品、服装",
            en="textiles and clothing",
            metal_share=0.12,
            metal_kg=0.08,
            light_share=0.35,
            light_kg=0.3,
            impenetrable_cm2=2.0,
            least_organic_share=0.35,
        ),
        Row(
            chapters=(64, 65, 66, 67),
            zh="鞋帽",
            en="shoes and headgear",
            metal_share=0.25,
            metal_kg=0.2,
            light_share=0.6,
            light_kg=0.8,
            impenetrable_cm2=2.0,
        ),
        Row(
            chapters=(68, 69, 70),
            zh="陶瓷、玻璃",
            en="ceramics and glass",
            metal_share=0.35,
            metal_kg=0.5,
        ),
        Row(
            chapters=_chapters((72, 76), (78, 83)),
            zh="金属制品",
            en="goods of metal",
            # 76 is aluminium: light inorganic counts as metal where the least is asked (see `broken`).
            least_metal_share=0.15,
        ),
        Row(
            chapters=(84, 85, 90, 91),
            zh="机电、仪器、钟表",
            en="machines, electronics, instruments, watches",
            least_metal_share=0.03,
            impenetrable_cm2=60.0,
        ),
        Row(
            chapters=(94, 95, 96),
            zh="玩具、杂项",
            en="toys, furniture, sundries",
            metal_share=0.60,
            metal_kg=2.0,
            impenetrable_cm2=15.0,
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Broken:
    """One limit that the picture passes: by which material, in words."""

    material: Material
    words: Text
    over: float
    """Times the limit; 1 is just at it."""


MOST_SAID: Final = 4


def broken(
    shares: Sequence[MaterialShare],
    impenetrable_cm2: float,
    hs_codes: Sequence[str],
    table: NegativeList = STANDARD,
) -> tuple[Broken, ...]:
    """What none of the declared goods can be, the worst first. Nothing where any code has no row: a parcel of
    several goods may hold what any of them may."""
    rows = [table.row_for(code) for code in hs_codes]
    known = [row for row in rows if row is not None]
    if not known or len(known) < len(rows):
        return ()
    mass_kg = sum(each.mass_kg or 0.0 for each in shares)
    if mass_kg <= 0.005:
        return ()
    by_material = {each.material: (each.mass_kg or 0.0) for each in shares}
    zh = "、".join(dict.fromkeys(row.zh for row in known))
    en = ", ".join(dict.fromkeys(row.en for row in known))
    found: list[Broken] = []
    for material, share_of, kg_of, name in (
        (Material.METAL, "metal_share", "metal_kg", ("金属", "metal")),
        (Material.LIGHT_INORGANIC, "light_share", "light_kg", ("轻无机物", "light inorganic matter")),
    ):
        share_limit, kg_limit = _largest(known, share_of), _largest(known, kg_of)
        have = by_material.get(material, 0.0)
        if share_limit is not None and kg_limit is not None:
            over = min(have / mass_kg / max(share_limit, 0.01), have / max(kg_limit, 0.001))
            if over > 1.0:
                found.append(
                    Broken(
                        material,
                        Text(
                            f"申报为{zh}，图像中{name[0]}约 {have:.2f} kg，占 {have / mass_kg:.0%}",
                            f"declared {en}: about {have:.2f} kg of {name[1]}, {have / mass_kg:.0%} of all",
                        ),
                        over,
                    )
                )
    area_limit = _largest(known, "impenetrable_cm2")
    if area_limit is not None and impenetrable_cm2 > max(area_limit, 0.1):
        found.append(
            Broken(
                Material.IMPENETRABLE,
                Text(
                    f"申报为{zh}，有 {impenetrable_cm2:.0f} cm² 无法穿透",
                    f"declared {en}: {impenetrable_cm2:.0f} cm² cannot be penetrated",
                ),
                impenetrable_cm2 / max(area_limit, 0.1),
            )
        )
    found += _lacking(known, by_material, mass_kg, impenetrable_cm2, zh, en)
    return tuple(sorted(found, key=lambda each: -each.over)[:MOST_SAID])


def _lacking(
    known: Sequence[Row],
    by_material: dict[Material, float],
    mass_kg: float,
    impenetrable_cm2: float,
    zh: str,
    en: str,
) -> list[Broken]:
    found = []
    # Aluminium is light inorganic matter to the two energies, and metal to the tariff.
    metal = by_material.get(Material.METAL, 0.0) + by_material.get(Material.LIGHT_INORGANIC, 0.0)
    least = _smallest(known, "least_metal_share")
    if least is not None and impenetrable_cm2 < 1.0 and metal / mass_kg < least:
        found.append(
            Broken(
                Material.METAL,
                Text(f"申报为{zh}，图像中几乎没有金属", f"declared {en}: there is hardly any metal in it"),
                least / max(metal / mass_kg, 0.01),
            )
        )
    organic = by_material.get(Material.ORGANIC, 0.0)
    least = _smallest(known, "least_organic_share")
    if least is not None and organic / mass_kg < least:
        found.append(
            Broken(
                Material.ORGANIC,
                Text(
                    f"申报为{zh}，有机物仅占 {organic / mass_kg:.0%}",
                    f"declared {en}: organic matter is only {organic / mass_kg:.0%} of the mass",
                ),
                least / max(organic / mass_kg, 0.01),
            )
        )
    return found


def _largest(rows: Sequence[Row], name: str) -> float | None:
    """The most that any row allows; None where one sets no limit."""
    limits = [getattr(row, name) for row in rows]
    return None if any(limit is None for limit in limits) else max(limits)


def _smallest(rows: Sequence[Row], name: str) -> float | None:
    limits = [getattr(row, name) for row in rows]
    return None if any(limit is None for limit in limits) else min(limits)
