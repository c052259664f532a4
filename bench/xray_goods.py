"""Pictures for the X-ray benches: the simulator's goods through the simulator's beam. Analyses nothing."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Final

import numpy as np

from edge.xray_bridge.imaging.pictures import RawPicture
from hardware_sims.xray_goods import ARTICLES, BY_SKU, Packed, Thing
from hardware_sims.xray_physics import Detector, DetectorSettings, blurred, flattened, transmission

AIR: Final = 50_000
MARGIN_LINES: Final = 24
PIXELS: Final = 300


def photograph(
    parcel: Packed,
    seed: int,
    *,
    line_mm: float = 1.5,
    pixel_mm: float = 2.0,
    pixels: int = PIXELS,
    lines: int | None = None,
    photons: float = 4_000.0,
) -> RawPicture:
    """The parcel in the middle of the belt, air before and behind it; `lines` makes it so long at least."""
    settings = DetectorSettings(pixels=pixels, pixel_mm=pixel_mm, line_mm=line_mm, photons=photons)
    detector, noise = Detector(settings, 1), np.random.default_rng(seed)
    channels = []
    for seen in transmission(parcel.plan(line_mm, pixel_mm).thickness_cm):
        long, wide = seen.shape[0], min(seen.shape[1], pixels)
        margin = max(MARGIN_LINES, ((lines or 0) - long + 1) // 2)
        frame = np.ones((long + 2 * margin, pixels), np.float32)
        across = (pixels - wide) // 2
        frame[margin : margin + long, across : across + wide] = seen[:, :wide]
        channels.append(blurred(frame[:lines], settings.blur_px))
    counts = detector.counts(channels[0], channels[1], noise)
    low, high = (
        np.ascontiguousarray(flattened(counts[n], detector.dark[n], detector.gain[n], AIR).T) for n in (0, 1)
    )
    return RawPicture(low, high, AIR, AIR, line_mm, pixel_mm, f"{parcel.seed}/{seed}")


# --- parcels ------------------------------------------------------------------------------------------------

PIECES: Final = 2
"""Of each article in a parcel."""
SLACK_MM: Final = 30.0
"""Room to slide in, all around: nobody packs parcels to the millimetre."""

EXTRAS: Final[dict[str, tuple[Thing, ...]]] = {
    "blade 90 x 18 x 2 mm steel": (
        Thing("iron", "box", 0, 0, 90, 18, 2.0),
        Thing("polyethylene", "box", 70, 0, 60, 22, 14),
    ),
    "telephone": (
        Thing("aluminium", "box", 0, 0, 148, 72, 1.2),
        Thing("glass", "box", 0, 0, 146, 70, 1.2),
        Thing("cell", "box", 8, 0, 80, 55, 4.0, share=0.6),
        Thing("copper", "box", -55, 0, 30, 60, 0.3),
    ),
    "gold bar 42 x 23 x 4 mm": (Thing("gold", "box", 0, 0, 42, 23, 4.0),),
    "100 g of powder in a bag": (Thing("sugar", "cloth", 0, 0, 90, 70, 20, share=0.5),),
    "three round cells": tuple(
        Thing("cell", "rod", 0, -20 + 20 * k, 65, 18, 18, share=0.55) for k in range(3)
    ),
    "200 g of paper money": (Thing("paper", "box", 0, 0, 155, 77, 21, share=1.0),),
}
"""Small things nobody declared; the carton is no larger for them."""


def packed(
    sku: str, seed: int, *, pieces: int = PIECES, extra: str | None = None, declared: int = PIECES
) -> Packed:
    """`pieces` of an article in the carton of `declared`, loosely: pieces slide and turn, fillings and walls
    differ by a few percent, paper is stuffed in, the parcel lies either way round and a little askew."""
    draw = random.Random(f"{seed}/{sku}/loose")
    article = BY_SKU[sku]
    along, across, up = article.piece_mm
    length, width = declared * along + SLACK_MM, across + SLACK_MM
    things: list[Thing] = []
    for place in range(pieces):
        x = (place - (declared - 1) / 2) * along + draw.uniform(-0.4, 0.4) * SLACK_MM
        turn = draw.gauss(0.0, 3.0) + draw.choice((0.0, 180.0))
        filled = draw.gauss(1.0, 0.03)
        things += [
            replace(each, share=min(1.0, each.share * filled)).moved(
                x, draw.uniform(-0.4, 0.4) * SLACK_MM, turn
            )
            for each in article.make(draw)
        ]
    if extra is not None:
        x, y = draw.uniform(-0.35, 0.35) * length, draw.uniform(-0.3, 0.3) * width
        things += [each.moved(x, y, draw.uniform(0, 180)) for each in EXTRAS[extra]]
    stuffed = [
        Thing(
            "paper",
            "cloth",
            draw.uniform(-0.4, 0.4) * length,
            draw.uniform(-0.4, 0.4) * width,
            draw.uniform(40, 140),
            draw.uniform(40, 100),
            draw.uniform(15, 60),
            turn=draw.uniform(0, 180),
            share=0.05,
        )
        for _ in range(draw.randint(3, 9))
    ]
    wall = draw.gauss(0.22, 0.015)
    carton = Thing("paper", "box", 0, 0, length + 8, width + 8, up + 16, wall=3.6, share=wall)
    pose = draw.choice((0.0, 180.0)) + draw.gauss(0.0, 3.0)
    turned = tuple(each.moved(0, 0, pose) for each in (carton, *stuffed, *things))
    cos, sin = abs(math.cos(math.radians(pose))), abs(math.sin(math.radians(pose)))
    return Packed(
        turned,
        round(carton.length * cos + carton.width * sin, 1),
        round(carton.length * sin + carton.width * cos, 1),
        up + 16,
        seed,
    )


def other_than(sku: str, seed: int) -> str:
    """Another article's number."""
    others = [each.sku for each in ARTICLES if each.sku != sku]
    return random.Random(f"{seed}/{sku}/swap").choice(others)
