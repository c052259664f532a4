"""Parcels as X-rays meet them: things of known material, thickness and place, in a carton. No beam, no belt.

Places are millimetres in the parcel's own plan view, x along the belt, y across it, from the middle of the
carton; the beam comes from above, so a thing's height is the thickness it puts into the beam. The same seed
gives the same parcel.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import cv2
import numpy as np

from hardware_sims.xray_physics import MATERIALS, Picture

Shape = Literal["box", "rod", "can", "ball", "cloth", "wire"]


@dataclass(frozen=True, slots=True)
class Thing:
    """One piece of one material.

    `box`: length x width, `height` in the beam. `rod`: lying, `width` its diameter. `can`: standing, `width`
    its diameter. `cloth`: a box of uneven height. `wire`: along `points`, `width` its diameter. With `wall`
    it is hollow: a carton, a bottle, a tin, walls, lid and floor of that thickness. `share`: how much of the
    volume is really the material (powder, cloth, crumpled paper).
    """

    material: str
    shape: Shape
    x: float
    y: float
    length: float
    width: float
    height: float
    turn: float = 0.0
    """Degrees."""
    wall: float = 0.0
    share: float = 1.0
    points: tuple[tuple[float, float], ...] = ()

    def moved(self, dx: float, dy: float, turn: float = 0.0) -> Thing:
        """Turned about the middle of the carton, then moved."""
        cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))

        def at(x: float, y: float) -> tuple[float, float]:
            return x * cos - y * sin + dx, x * sin + y * cos + dy

        x, y = at(self.x, self.y)
        return replace(
            self, x=x, y=y, turn=self.turn + turn, points=tuple(at(*point) for point in self.points)
        )


# --- drawing ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Plan:
    """Thicknesses by material, lines along the belt x pixels across it."""

    thickness_cm: dict[str, Picture]
    line_mm: float
    pixel_mm: float

    @property
    def mass_kg(self) -> float:
        area_cm2 = self.line_mm * self.pixel_mm / 100.0
        grams = sum(
            float(cm.sum(dtype=np.float64)) * MATERIALS[name].density
            for name, cm in self.thickness_cm.items()
        )
        return grams * area_cm2 / 1000.0


def draw(
    things: tuple[Thing, ...],
    length_mm: float,
    width_mm: float,
    *,
    line_mm: float,
    pixel_mm: float,
    seed: int,
) -> Plan:
    """The things in a window of length x width around the carton's middle."""
    lines, pixels = max(1, round(length_mm / line_mm)), max(1, round(width_mm / pixel_mm))
    along = ((np.arange(lines, dtype=np.float32) + 0.5) * line_mm - length_mm / 2)[:, None]
    across = ((np.arange(pixels, dtype=np.float32) + 0.5) * pixel_mm - width_mm / 2)[None, :]
    pixel = (line_mm + pixel_mm) / 2
    total: dict[str, Picture] = {}
    for place, thing in enumerate(things):
        map_ = total.get(thing.material)
        if map_ is None:
            map_ = total[thing.material] = np.zeros((lines, pixels), np.float32)
        if thing.shape == "wire":
            _draw_wire(map_, thing, length_mm, width_mm, line_mm, pixel_mm)
            continue
        reach = math.hypot(thing.length, thing.width) / 2 + 2 * pixel
        first = max(0, int((thing.x - reach + length_mm / 2) / line_mm))
        last = min(lines, int((thing.x + reach + length_mm / 2) / line_mm) + 1)
        left = max(0, int((thing.y - reach + width_mm / 2) / pixel_mm))
        right = min(pixels, int((thing.y + reach + width_mm / 2) / pixel_mm) + 1)
        if first >= last or left >= right:
            continue
        height = _height_mm(thing, along[first:last], across[:, left:right], pixel, (seed, place))
        map_[first:last, left:right] += height * np.float32(thing.share / 10.0)
    return Plan(total, line_mm, pixel_mm)


def _height_mm(thing: Thing, x: Picture, y: Picture, pixel: float, seed: tuple[int, int]) -> Picture:
    cos, sin = np.float32(math.cos(math.radians(thing.turn))), np.float32(math.sin(math.radians(thing.turn)))
    dx, dy = x - np.float32(thing.x), y - np.float32(thing.y)
    u, v = dx * cos + dy * sin, dy * cos - dx * sin
    outer = _filled(thing, u, v, pixel, 0.0)
    if thing.shape == "cloth":
        outer = outer * _folds(outer.shape, seed)
    if not thing.wall:
        return outer
    return outer - _filled(thing, u, v, pixel, thing.wall)


def _filled(thing: Thing, u: Picture, v: Picture, pixel: float, wall: float) -> Picture:
    """Its inside, `wall` thinner on every side, as height in the beam (mm)."""
    half_l, half_w = np.float32(thing.length / 2 - wall), np.float32(thing.width / 2 - wall)
    height = np.float32(max(0.0, thing.height - 2 * wall))
    filled: Picture
    match thing.shape:
        case "can":
            filled = _cover(half_w - np.hypot(u, v), pixel) * height
        case "ball":
            filled = 2 * np.sqrt(np.maximum(half_w**2 - u**2 - v**2, 0.0))
        case "rod":
            chord = 2 * np.sqrt(np.maximum(half_w**2 - v**2, 0.0))
            filled = chord * _cover(half_l - np.abs(u), pixel)
        case _:
            filled = _cover(half_l - np.abs(u), pixel) * _cover(half_w - np.abs(v), pixel) * height
    return filled


def _cover(inside_mm: Picture, pixel: float) -> Picture:
    """How much of a pixel an edge leaves: a wall thinner than a pixel still weighs what it weighs."""
    covered: Picture = np.clip(inside_mm / np.float32(pixel) + 0.5, 0.0, 1.0).astype(np.float32)
    return covered


def _folds(shape: tuple[int, ...], seed: tuple[int, int]) -> Picture:
    """Cloth lies unevenly: a smooth field around 1."""
    noise = np.random.default_rng((*seed, 0xC107)).standard_normal((9, 7)).astype(np.float32)
    smooth = cv2.resize(noise, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    folds: Picture = np.clip(1.0 + 0.28 * np.asarray(smooth, np.float32), 0.25, 2.0).astype(np.float32)
    return folds


def _draw_wire(
    map_: Picture, thing: Thing, length_mm: float, width_mm: float, line_mm: float, pixel_mm: float
) -> None:
    """A line of a pixel or more that weighs what the wire weighs."""
    fine = 16
    points = np.array(
        [
            [((y + width_mm / 2) / pixel_mm - 0.5) * fine, ((x + length_mm / 2) / line_mm - 0.5) * fine]
            for x, y in thing.points
        ],
        np.int32,
    )
    drawn = np.zeros(map_.shape, np.uint8)
    broad = max(1, round(thing.width / ((line_mm + pixel_mm) / 2)))
    cv2.polylines(drawn, [points.reshape(-1, 1, 2)], False, 255, broad, cv2.LINE_AA, 4)
    long_mm = sum(math.dist(*ends) for ends in itertools.pairwise(thing.points))
    volume_mm3 = math.pi / 4 * thing.width**2 * long_mm * thing.share
    covered_mm2 = float(drawn.sum()) * line_mm * pixel_mm
    if covered_mm2 > 0.0:
        map_ += drawn.astype(np.float32) * np.float32(volume_mm3 / covered_mm2 / 10.0)


# --- goods ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Article:
    """Goods of one number: what a declaration says of them, and what one piece is made of."""

    sku: str
    hs_code: str
    name_zh: str
    name_en: str
    unit: str
    origin: str
    piece_mm: tuple[float, float, float]
    """Room one piece takes: along, across, up."""
    most: int
    """Pieces in one parcel."""
    make: Callable[[random.Random], tuple[Thing, ...]]
    """One piece around its own middle."""


def _tin(draw: random.Random) -> tuple[Thing, ...]:
    full = draw.uniform(0.86, 0.92)
    return (
        Thing("iron", "can", 0, 0, 127, 127, 165, wall=0.22),
        Thing("sugar", "can", 0, 0, 126, 126, 165 * full, share=0.29),
        Thing("polyethylene", "can", 0, 0, 130, 130, 1.2),
        Thing("aluminium", "can", 0, 0, 126, 126, 0.1),
    )


def _masks(draw: random.Random) -> tuple[Thing, ...]:
    sheets = tuple(
        Thing("water", "box", draw.uniform(-1, 1), draw.uniform(-1, 1), 130, 95, 2.4, share=0.9)
        for _ in range(10)
    )
    foil = Thing("polyethylene", "box", 0, 0, 140, 105, 2.4)
    return (
        Thing("paper", "box", 0, 0, 150, 115, 45, wall=0.6),
        *sheets,
        foil,
        Thing("aluminium", "box", 0, 0, 140, 105, 0.18),
    )


def _tablets(draw: random.Random) -> tuple[Thing, ...]:
    pills = tuple(
        Thing("sugar", "ball", r * math.cos(a), r * math.sin(a), 11, 11, 11, share=0.9)
        for r, a in ((draw.uniform(2, 23), draw.uniform(0, math.tau)) for _ in range(36))
    )
    return (
        Thing("polyethylene", "can", 0, 0, 62, 62, 110, wall=1.1),
        *pills,
        Thing("polyethylene", "can", 0, 0, 50, 50, 14, wall=2.0),
        Thing("salt", "can", 8, -6, 14, 14, 12, share=0.5),
    )


def _nappies(draw: random.Random) -> tuple[Thing, ...]:
    stacks = tuple(
        Thing("paper", "cloth", 0, -85 + 34 * place, 190, 32, 200, turn=draw.uniform(-1, 1), share=0.11)
        for place in range(6)
    )
    return (*stacks, Thing("polyethylene", "box", 0, 0, 200, 210, 210, wall=0.15))


def _wine(draw: random.Random) -> tuple[Thing, ...]:
    level = draw.uniform(0.97, 1.0)
    return (
        Thing("glass", "rod", -38, 0, 215, 76, 76, wall=4.0),
        Thing("water", "rod", -38, 0, 207, 68, 68, share=0.85 * level),
        Thing("ethanol", "rod", -38, 0, 207, 68, 68, share=0.14 * level),
        Thing("glass", "rod", 109, 0, 80, 28, 28, wall=3.5),
        Thing("water", "rod", 95, 0, 50, 21, 21),
        Thing("paper", "rod", 135, 0, 42, 19, 19, share=0.3),
        Thing("paper", "box", 0, 0, 310, 90, 90, wall=2.5, share=0.25),
    )


def _coat(draw: random.Random) -> tuple[Thing, ...]:
    zip_ = tuple((x, 40 + 12 * math.sin(x / 45 + draw.uniform(-0.1, 0.1))) for x in range(-150, 151, 20))
    buttons = tuple(
        Thing("pmma", "can", -120 + 60 * place, draw.uniform(-25, -10), 22, 22, 4.0) for place in range(5)
    )
    return (
        Thing("paper", "cloth", 0, 0, 340, 240, 62, turn=draw.uniform(-2, 2), share=0.19),
        Thing("paper", "cloth", draw.uniform(-15, 15), 0, 260, 200, 28, share=0.19),
        Thing("copper", "wire", 0, 0, 300, 1.6, 1.6, points=zip_),
        *buttons,
        Thing("polyethylene", "box", 0, 0, 350, 250, 60, wall=0.06),
    )


def _phone(draw: random.Random) -> tuple[Thing, ...]:
    return (
        Thing("paper", "box", 0, 0, 170, 92, 46, wall=1.6),
        Thing("aluminium", "box", 0, 12, 150, 72, 7.6, wall=0.7),
        Thing("glass", "box", 0, 12, 148, 70, 1.6),
        Thing("cell", "box", -12, 6, 84, 42, 4.2, share=0.52),
        Thing("copper", "box", 48, 14, 38, 54, 0.35),
        Thing("glass", "box", 48, 14, 38, 54, 0.9),
        Thing("tin", "box", 50, 20, 16, 16, 0.25),
        Thing("copper", "can", 63, 36, 9, 9, 2.2),
        Thing("copper", "wire", 0, 0, 200, 1.9, 1.9, points=_coil(draw, -32, -34, 15, 2.5)),
        Thing("copper", "box", 40, -34, 30, 20, 1.6),
        Thing("iron", "box", 40, -34, 18, 16, 9.0),
        Thing("pmma", "box", 40, -34, 36, 24, 26, wall=2.0),
    )


def _coil(
    draw: random.Random, x: float, y: float, radius: float, turns: float
) -> tuple[tuple[float, float], ...]:
    begin = draw.uniform(0, math.tau)
    steps = int(24 * turns)
    return tuple(
        (
            x + radius * (1 + 0.12 * k / 24) * math.cos(begin + math.tau * k / 24),
            y + 0.6 * radius * (1 + 0.12 * k / 24) * math.sin(begin + math.tau * k / 24),
        )
        for k in range(steps)
    )


def _bricks(draw: random.Random) -> tuple[Thing, ...]:
    bricks = tuple(
        Thing(
            "pmma",
            "box",
            draw.uniform(-95, 95),
            draw.uniform(-65, 65),
            draw.choice((16, 24, 32)),
            16,
            10,
            turn=draw.uniform(0, 180),
            wall=1.4,
        )
        for _ in range(90)
    )
    return (Thing("paper", "box", 0, 0, 240, 180, 60, wall=0.7), *bricks)


def _pan(draw: random.Random) -> tuple[Thing, ...]:
    return (
        Thing("aluminium", "can", -60, 0, 280, 280, 4.2),
        Thing("aluminium", "can", -60, 0, 284, 284, 50, wall=2.6),
        Thing("iron", "can", -60, 0, 180, 180, 0.8),
        Thing("ptfe", "can", -60, 0, 276, 276, 0.04),
        Thing("iron", "box", 120, 0, 60, 18, 5.0),
        Thing("pvc", "rod", 190, 0, 110, 26, 26, share=0.8),
    )


def _shoes(draw: random.Random) -> tuple[Thing, ...]:
    pair: list[Thing] = []
    for y, turn in ((-48.0, 0.0), (48.0, 180.0)):
        one = (
            Thing("pvc", "box", 0, 0, 290, 84, 11, share=0.35),
            Thing("polyethylene", "box", 0, 0, 284, 80, 18, share=0.5),
            Thing("paper", "cloth", -40, 0, 190, 84, 34, share=0.35),
            Thing("iron", "box", 40, 0, 95, 14, 1.3),
            *(
                Thing("copper", "can", -30 + 14 * k, side, 7, 7, 1.0)
                for k in range(5)
                for side in (-12.0, 12.0)
            ),
        )
        pair += [each.moved(draw.uniform(-4, 4), y, turn + draw.uniform(-2, 2)) for each in one]
    return (Thing("paper", "box", 0, 0, 330, 200, 118, wall=1.0), *pair)


def _watch(draw: random.Random) -> tuple[Thing, ...]:
    return (
        Thing("paper", "box", 0, 0, 100, 90, 70, wall=2.2),
        Thing("aluminium", "can", 0, 0, 42, 42, 10.5, wall=1.4),
        Thing("glass", "can", 0, 0, 38, 38, 1.6),
        Thing("cell", "box", 0, 0, 24, 18, 4.4, share=0.52),
        Thing("copper", "can", 0, 0, 26, 26, 0.4),
        Thing("pvc", "box", 0, 0, 84, 22, 3.0, turn=draw.uniform(-8, 8), share=0.6),
        Thing("copper", "wire", 0, 0, 90, 1.4, 1.4, points=_coil(draw, 22, 22, 12, 2)),
    )


def _tea(draw: random.Random) -> tuple[Thing, ...]:
    return (
        Thing("iron", "box", 0, 0, 120, 80, 150, wall=0.23),
        Thing("paper", "box", 0, 0, 119, 79, 140, share=draw.uniform(0.26, 0.3)),
    )


def _power_bank(draw: random.Random) -> tuple[Thing, ...]:
    return (
        Thing("paper", "box", 0, 0, 165, 85, 32, wall=0.8),
        Thing("pmma", "box", 0, 0, 150, 72, 22, wall=2.0),
        *(Thing("cell", "box", -6, side, 118, 30, 14, share=0.5) for side in (-16.5, 16.5)),
        Thing("copper", "box", 66, 0, 12, 60, 0.5),
        Thing("tin", "box", 66, 8, 8, 12, 0.3),
    )


ARTICLES: tuple[Article, ...] = (
    Article(
        "SKU-MILK-800",
        "1901101000",
        "婴幼儿配方奶粉 800克",
        "Infant formula 800 g",
        "罐",
        "NZL",
        (134, 134, 168),
        4,
        _tin,
    ),
    Article(
        "SKU-MASK-10",
        "3304990039",
        "补水面膜 10片",
        "Face mask, 10 sheets",
        "盒",
        "KOR",
        (154, 119, 46),
        4,
        _masks,
    ),
    Article(
        "SKU-VITC-100",
        "2106909090",
        "维生素C片 100粒",
        "Vitamin C, 100 tablets",
        "瓶",
        "AUS",
        (66, 66, 112),
        6,
        _tablets,
    ),
    Article(
        "SKU-DIAPER-L",
        "9619001100",
        "纸尿裤 L码",
        "Nappies, size L",
        "包",
        "JPN",
        (204, 214, 212),
        2,
        _nappies,
    ),
    Article(
        "SKU-WINE-750", "2204210000", "葡萄酒 750毫升", "Wine 750 ml", "瓶", "FRA", (314, 94, 92), 3, _wine
    ),
    Article(
        "SKU-COAT-M", "6202401000", "女式大衣 M码", "Coat, size M", "件", "ITA", (354, 254, 64), 1, _coat
    ),
    Article(
        "SKU-PHONE-128",
        "8517130000",
        "智能手机 128G",
        "Smartphone 128 GB",
        "台",
        "CHN",
        (174, 96, 48),
        2,
        _phone,
    ),
    Article(
        "SKU-BRICK-500",
        "9503002900",
        "拼装积木 500粒",
        "Building bricks",
        "盒",
        "DNK",
        (244, 184, 62),
        2,
        _bricks,
    ),
    Article(
        "SKU-PAN-28",
        "7615109090",
        "不粘煎锅 28厘米",
        "Frying pan 28 cm",
        "个",
        "DEU",
        (460, 288, 60),
        1,
        _pan,
    ),
    Article(
        "SKU-SHOE-42", "6404110000", "运动鞋 42码", "Sports shoes 42", "双", "VNM", (334, 204, 120), 1, _shoes
    ),
    Article("SKU-WATCH-S", "9102120000", "智能手表", "Smart watch", "只", "CHN", (104, 94, 72), 3, _watch),
    Article(
        "SKU-TEA-250", "0902301000", "红茶 250克 听装", "Black tea, tin", "听", "LKA", (122, 82, 152), 4, _tea
    ),
    Article(
        "SKU-POWER-20",
        "8507600090",
        "移动电源 20000毫安",
        "Power bank 20 Ah",
        "个",
        "CHN",
        (168, 88, 34),
        2,
        _power_bank,
    ),
)
BY_SKU = {each.sku: each for each in ARTICLES}

Extra = Literal["knife", "phones", "lead_box", "powder", "gold", "battery"]


def _extra(kind: Extra, draw: random.Random) -> tuple[Thing, ...]:
    """Something nobody declared, around its own middle."""
    match kind:
        case "knife":
            return (
                Thing("iron", "box", -40, 0, 170, 28, 2.6),
                Thing("iron", "box", 70, 0, 60, 12, 4.0),
                Thing("paper", "box", 80, 0, 100, 24, 18),
            )
        case "phones":
            return tuple(
                each.moved(0, side)
                for side in (-40.0, 40.0)
                for each in _phone(draw)
                if each.material != "paper" and abs(each.y - 12) < 40 and each.y > -20
            )
        case "lead_box":
            return (Thing("lead", "box", 0, 0, 90, 60, 26, wall=2.5), Thing("sugar", "box", 0, 0, 80, 50, 18))
        case "powder":
            return (Thing("sugar", "cloth", 0, 0, 120, 80, 32, share=0.5),)
        case "gold":
            return tuple(Thing("gold", "box", 0, -26 + 26 * k, 42, 23, 4.0) for k in range(3))
        case "battery":
            return tuple(Thing("cell", "rod", 0, -40 + 20 * k, 65, 18, 18, share=0.55) for k in range(5))


# --- parcels ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Packed:
    """A closed parcel: what is in it and how large it is."""

    things: tuple[Thing, ...]
    length_mm: float
    """Along the belt, as a photo-eye sees it."""
    width_mm: float
    height_mm: float
    seed: int
    kept: dict[str, Plan] = field(default_factory=dict, compare=False, repr=False)

    def plan(self, line_mm: float, pixel_mm: float) -> Plan:
        """Drawn once for each grid."""
        key = f"{line_mm:g}/{pixel_mm:g}"
        if key not in self.kept:
            self.kept[key] = draw(
                self.things, self.length_mm, self.width_mm, line_mm=line_mm, pixel_mm=pixel_mm, seed=self.seed
            )
        return self.kept[key]


def pack(
    seed: int,
    sku: str,
    count: int,
    *,
    extra: Extra | None = None,
    added: tuple[tuple[str, int], ...] = (),
    room_for: int | None = None,
    turn: float | None = None,
) -> Packed:
    """`count` pieces of `sku` in a carton that has room for `room_for` of them (a missing piece leaves its
    place empty), filled up with paper. `turn`: degrees it lies askew on the belt, a few by chance if left
    out. `added`: more goods beside. Raises `KeyError` for an unknown SKU."""
    draw_ = random.Random(f"{seed}/{sku}/pack")
    article = BY_SKU[sku]
    columns, rows = _grid(max(count, room_for or count, 1))
    along, across, up = article.piece_mm
    things: list[Thing] = []
    places = [(c, r) for r in range(rows) for c in range(columns)]
    for column, row in places[:count]:
        x = (column - (columns - 1) / 2) * along + draw_.uniform(-2, 2)
        y = (row - (rows - 1) / 2) * across + draw_.uniform(-2, 2)
        things += [each.moved(x, y) for each in article.make(draw_)]
    inner_l, inner_w, inner_h = columns * along + 8, rows * across + 8, up + 8
    for other, pieces in added:
        more = BY_SKU[other]
        inner_h = max(inner_h, more.piece_mm[2] + 8)
        inner_l, inner_w = max(inner_l, more.piece_mm[0] + 8), max(inner_w, more.piece_mm[1] + 8)
        for _ in range(pieces):
            dx, dy = draw_.uniform(-10, 10), draw_.uniform(-10, 10)
            things += [each.moved(dx, dy) for each in more.make(draw_)]
    if extra is not None:
        inner_l, inner_w = max(inner_l, 200.0), max(inner_w, 110.0)
        dx = draw_.uniform(-0.2, 0.2) * (inner_l - 160)
        dy = draw_.uniform(-0.3, 0.3) * (inner_w - 90)
        things += [each.moved(dx, dy, draw_.uniform(-25, 25)) for each in _extra(extra, draw_)]
    filler = [
        Thing(
            "paper",
            "cloth",
            draw_.uniform(-0.35, 0.35) * inner_l,
            draw_.uniform(-0.35, 0.35) * inner_w,
            draw_.uniform(50, 110),
            draw_.uniform(40, 80),
            draw_.uniform(20, 50),
            turn=draw_.uniform(0, 180),
            share=0.05,
        )
        for _ in range(5)
    ]
    carton = Thing("paper", "box", 0, 0, inner_l + 8, inner_w + 8, inner_h + 8, wall=3.6, share=0.22)
    tape = Thing("polyethylene", "box", 0, 0, inner_l + 6, 48, 0.1)
    if turn is None:
        turn = draw_.gauss(0.0, 2.5)
    closed = tuple(each.moved(0, 0, turn) for each in (carton, tape, *filler, *things))
    cos, sin = abs(math.cos(math.radians(turn))), abs(math.sin(math.radians(turn)))
    length, width = carton.length * cos + carton.width * sin, carton.length * sin + carton.width * cos
    return Packed(closed, round(length, 1), round(width, 1), inner_h + 8, seed)


def gross_kg(article: Article, pieces: int) -> float:
    """What so many of it weigh in their carton, as a sender with a scale would declare it."""
    packed = pack(0, article.sku, pieces)
    plan = draw(packed.things, packed.length_mm, packed.width_mm, line_mm=4.0, pixel_mm=4.0, seed=0)
    return plan.mass_kg


def _grid(count: int) -> tuple[int, int]:
    """Columns along the belt, rows across it."""
    return {1: (1, 1), 2: (2, 1), 3: (3, 1), 4: (2, 2)}.get(count, (3, (count + 2) // 3))


WEDGE_STEPS: tuple[tuple[str, tuple[float, ...]], ...] = (
    ("pmma", (10.0, 20.0, 40.0, 60.0, 80.0)),
    ("aluminium", (2.0, 5.0, 10.0, 20.0, 40.0)),
    ("iron", (0.5, 1.0, 3.0, 6.0, 12.0)),
)
"""Material and heights (mm) of the step wedge's three stairs, thinnest first, each step 40 x 60 mm."""
WEDGE_WIRES_MM = (1.6, 1.0, 0.5, 0.25)
"""Copper wires beside the stairs, thickest first."""
WEDGE_BLOCK_MM = 14.0
"""Of lead: nothing gets through."""


def wedge(seed: int = 0) -> Packed:
    """The day's test piece: three stairs, four wires, a block of lead, in a frame of thin acrylic."""
    things = [Thing("pmma", "box", 0, 0, 230, 300, 3.0)]
    for row, (material, steps) in enumerate(WEDGE_STEPS):
        for place, height in enumerate(steps):
            things.append(Thing(material, "box", -80 + 40 * place, -110 + 62 * row, 40, 60, height))
    for place, thick in enumerate(WEDGE_WIRES_MM):
        y = 76.0 + 14 * place
        wave = tuple((x, y + 4 * math.sin(x / 12)) for x in range(-90, 41, 4))
        things.append(Thing("copper", "wire", 0, 0, 130, thick, thick, points=wave))
    things.append(Thing("lead", "box", 78, 100, 44, 44, WEDGE_BLOCK_MM))
    return Packed(tuple(things), 230.0, 300.0, 90.0, seed)
