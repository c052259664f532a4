"""One picture, start to end: `analyse` is what the bridge calls. It says what is seen and decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.xray_bridge.imaging.calibration import Calibration
from edge.xray_bridge.imaging.comparing import (
    ENOUGH,
    NO_REFERENCES,
    References,
    ReferenceSet,
    compared,
    residual,
)
from edge.xray_bridge.imaging.describing import Descriptor, Upright, described
from edge.xray_bridge.imaging.negative_list import STANDARD, NegativeList, broken
from edge.xray_bridge.imaging.opencv import cv2
from edge.xray_bridge.imaging.pictures import RawPicture, without_silent_rows
from edge.xray_bridge.imaging.segmenting import Outlines, outlined
from edge.xray_bridge.imaging.tables import (
    AIR,
    CLASSES,
    IMPENETRABLE,
    LIGHT,
    METAL,
    ORGANIC,
    UNSURE,
    tables_of,
)
from edge.xray_bridge.imaging.views import Developed, develop, looked_up
from edge.xray_bridge.values import (
    Analysis,
    Box,
    Compared,
    DeclaredLine,
    Likeness,
    Material,
    MaterialShare,
    Suspect,
)
from sync.vocabulary.rulings import Text

MATERIAL_CLASSES: Final = {
    Material.ORGANIC: ORGANIC,
    Material.LIGHT_INORGANIC: LIGHT,
    Material.METAL: METAL,
    Material.IMPENETRABLE: IMPENETRABLE,
}
MOST_BOXES: Final = 3
"""Of one kind; an officer looks at no more."""
_MASS_UNTOLD: Final = 0.02
"""Share of the area that is impenetrable from which no mass is said."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What of a picture is worth words. Triage has its own limits."""

    telling_z: float = 3.0
    """From so many spreads on a part of the comparison is said."""
    impenetrable_cm2: float = 2.0
    noisy_share: float = 0.30
    """Of the area no material is told. Ordinary goods: to 0.15 at 4,000 photons a dot, 0.27 at 1,000."""
    negative_list: NegativeList = STANDARD


STANDARD_SETTINGS: Final = Settings()


def analyse(
    picture: RawPicture,
    calibration: Calibration,
    references: References = NO_REFERENCES,
    declared: Sequence[DeclaredLine] = (),
    settings: Settings = STANDARD_SETTINGS,
) -> tuple[Analysis, Descriptor]:
    """All that is measured, and what the library would keep of it. Took 12 ms of CPU for 1000 x 800."""
    seen, _ = without_silent_rows(picture)
    return analyse_developed(develop(seen), calibration, references, declared, settings)


def analyse_developed(
    developed: Developed,
    calibration: Calibration,
    references: References = NO_REFERENCES,
    declared: Sequence[DeclaredLine] = (),
    settings: Settings = STANDARD_SETTINGS,
) -> tuple[Analysis, Descriptor]:
    """The same of a picture that was developed for its colours already."""
    tables = tables_of(calibration)
    outlines = outlined(developed, calibration)
    descriptor, upright = described(developed, calibration, outlines)
    classes: NDArray[np.uint8] = looked_up(tables.material_half, developed.cells_half)
    cells, dots = outlines.cells, outlines.dots
    counts = np.bincount(tables.material_half[cells], weights=dots, minlength=CLASSES)
    grams = np.bincount(tables.material_half[cells], weights=dots * tables.g_cm2[cells], minlength=CLASSES)
    dot_cm2 = developed.picture.dot_cm2 * 4.0
    area = float(counts[AIR + 1 :].sum())
    shares = tuple(
        MaterialShare(
            material,
            round(float(counts[number] / area), 5) if area else 0.0,
            None if number == IMPENETRABLE else round(float(grams[number]) * dot_cm2 / 1000.0, 5),
        )
        for material, number in MATERIAL_CLASSES.items()
    )
    untold = bool(area) and float(counts[IMPENETRABLE]) / area > _MASS_UNTOLD
    mass_kg = float(grams.sum()) * dot_cm2 / 1000.0
    comparison = compared(descriptor, references)
    suspects = _suspects(
        developed,
        classes,
        outlines,
        descriptor,
        upright,
        comparison,
        references,
        shares,
        float(counts[IMPENETRABLE]) * dot_cm2,
        declared,
        settings,
    )
    length_mm, height_mm = _extent(developed, outlines)
    analysis = Analysis(
        picture=developed.picture.name,
        calibration=calibration.id,
        length_mm=round(length_mm, 1),
        height_mm=round(height_mm, 1),
        mass_kg=None if untold else round(mass_kg, 4),
        objects=len(outlines.things),
        cut=any(each.cut for each in outlines.things),
        shares=shares,
        compared=comparison,
        suspects=suspects,
        noisy=bool(area) and float(counts[UNSURE]) / area > settings.noisy_share,
    )
    return analysis, descriptor


def _extent(developed: Developed, outlines: Outlines) -> tuple[float, float]:
    """From the first line to the last on which any thing lies, and across; mm."""
    boxes = [each.box for each in outlines.things]
    if not boxes:
        return 0.0, 0.0
    rows, columns = developed.picture.low.shape
    along = max(box.left + box.width for box in boxes) - min(box.left for box in boxes)
    across = max(box.top + box.height for box in boxes) - min(box.top for box in boxes)
    return along * columns * developed.picture.mm_per_column, across * rows * developed.picture.mm_per_row


def _suspects(
    developed: Developed,
    classes: NDArray[np.uint8],
    outlines: Outlines,
    descriptor: Descriptor,
    upright: Upright | None,
    comparison: Compared,
    references: References,
    shares: Sequence[MaterialShare],
    impenetrable_cm2: float,
    declared: Sequence[DeclaredLine],
    settings: Settings,
) -> tuple[Suspect, ...]:
    found = _odd_frames(outlines)
    if impenetrable_cm2 >= settings.impenetrable_cm2:
        words = Text(
            f"{impenetrable_cm2:.0f} cm² 无法穿透", f"{impenetrable_cm2:.0f} cm² cannot be penetrated"
        )
        boxes: list[Box | None] = [*_boxes_of(classes == IMPENETRABLE, developed)]
        found += [Suspect("impenetrable", words, box=box) for box in boxes or [None]]
    for each in broken(shares, impenetrable_cm2, [line.hs_code for line in declared], settings.negative_list):
        patches = _boxes_of(classes == MATERIAL_CLASSES[each.material], developed)
        found.append(Suspect("negative_list", each.words, box=patches[0] if patches else None))
    found += _unlike(descriptor, upright, comparison, references, settings)
    return tuple(found)


def _odd_frames(outlines: Outlines) -> list[Suspect]:
    found = []
    if len(outlines.things) > 1:
        words = Text(
            f"图像中有 {len(outlines.things)} 个分开的物体",
            f"{len(outlines.things)} separate objects in the picture",
        )
        found += [Suspect("objects", words, box=each.box) for each in outlines.things[:MOST_BOXES]]
    for each in outlines.things[:MOST_BOXES]:
        if each.cut:
            words = Text("图像不完整：首尾被截断", "The picture is cut at its first or last line")
            found.append(Suspect("cut", words, box=each.box))
        if each.beside:
            words = Text("物体超出探测器范围", "The object reaches beyond the detector")
            found.append(Suspect("beside", words, box=each.box))
    return found


def _boxes_of(mask: NDArray[np.bool_], developed: Developed) -> list[Box]:
    """Around the largest patches, at least half a square centimetre each."""
    library = cv2()
    joined = library.morphologyEx(mask.astype(np.uint8), library.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    count, _, stats, _ = library.connectedComponentsWithStats(joined, connectivity=8, ltype=library.CV_32S)
    rows, columns = mask.shape
    least = 0.5 / (developed.picture.dot_cm2 * 4.0)
    patches = sorted(
        (stats[n] for n in range(1, count) if stats[n, 4] >= least), key=lambda each: -int(each[4])
    )
    return [
        Box(int(left) / columns, int(top) / rows, int(width) / columns, int(height) / rows)
        for left, top, width, height, _ in patches[:MOST_BOXES]
    ]


_ON = {
    Likeness.SKU_QUANTITY: ("同款同数量参考图像", "references of this article and number"),
    Likeness.SKU: ("同款参考图像", "references of this article"),
    Likeness.CHAPTER: ("同章参考图像", "the chapter"),
}


def _unlike(
    descriptor: Descriptor,
    upright: Upright | None,
    comparison: Compared,
    references: References,
    settings: Settings,
) -> list[Suspect]:
    chosen = _chosen(comparison, references)
    if chosen is None or comparison.mass_z is None:
        return []
    on_zh, on_en = _ON[comparison.on]
    stands_zh, stands_en = f"（{comparison.references} 幅{on_zh}）", f" ({comparison.references} {on_en})"
    if comparison.on is Likeness.SKU and comparison.of_quantity is not None:
        stands_zh, stands_en = f"{stands_zh}，同数量的不足", f"{stands_en}; few of this number"
    elif comparison.few:
        stands_zh, stands_en = f"{stands_zh}，同款参考不足", f"{stands_en}; few of this article"
    more, less = _where(descriptor, upright, chosen)
    usual_kg, seen_kg = float(np.median(chosen.masses_g)) / 1000.0, descriptor.mass_g / 1000.0
    found = []
    if comparison.mass_z >= settings.telling_z:
        words = Text(
            f"比参考重：估 {seen_kg:.2f} kg，参考 {usual_kg:.2f} kg{stands_zh}",
            f"Heavier: about {seen_kg:.2f} kg, usually {usual_kg:.2f} kg{stands_en}",
        )
        found.append(Suspect("heavier", words, comparison.mass_z, more))
    elif comparison.mass_z <= -settings.telling_z:
        words = Text(
            f"比参考轻：估 {seen_kg:.2f} kg，参考 {usual_kg:.2f} kg{stands_zh}",
            f"Lighter: about {seen_kg:.2f} kg, usually {usual_kg:.2f} kg{stands_en}",
        )
        found.append(Suspect("lighter", words, comparison.mass_z, less))
    for code, z, words in (
        (
            "other_material",
            comparison.materials_z,
            Text(f"材质与参考不同{stands_zh}", f"Other materials{stands_en}"),
        ),
        (
            "other_layout",
            comparison.layout_z,
            Text(f"布局与参考不同{stands_zh}", f"Another layout{stands_en}"),
        ),
    ):
        if z is not None and z >= settings.telling_z:
            found.append(Suspect(code, words, z, more or less))
    return found


def _chosen(comparison: Compared, references: References) -> ReferenceSet | None:
    if comparison.score is None:
        return None
    return references.on(comparison.on)


_LEAST_RESIDUAL: Final = 0.10
"""Attenuation: 3 mm of paper pulp, 0.1 mm of steel."""
_LEAST_PATCH: Final = 6
"""Map dots."""


def _where(
    descriptor: Descriptor, upright: Upright | None, references: ReferenceSet
) -> tuple[Box | None, Box | None]:
    """Boxes around what is there besides the references' things, and around what lacks."""
    if upright is None or len(references.kept) < ENOUGH:
        return None, None
    left = residual(descriptor, references)
    return _patch(left.more, upright), _patch(left.less, upright)


def _patch(excess: NDArray[np.float32], upright: Upright) -> Box | None:
    library = cv2()
    mask = (excess > _LEAST_RESIDUAL).astype(np.uint8)
    count, labels, _, _ = library.connectedComponentsWithStats(mask, connectivity=8, ltype=library.CV_32S)
    if count < 2:
        return None
    weights = np.bincount(labels.ravel(), weights=excess.ravel(), minlength=count)
    dots = np.bincount(labels.ravel(), minlength=count)
    weights[0], weights[dots < _LEAST_PATCH] = 0.0, 0.0
    best = int(weights.argmax())
    if weights[best] <= 0.0:
        return None
    rows, columns = np.nonzero(labels == best)
    return upright.box(rows, columns)
