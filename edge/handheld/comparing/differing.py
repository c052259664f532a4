"""Where two pictures of the same goods differ, and how much; or why there is no saying. Pure.

Everything stands on the reference's grid: `laid` is the picture drawn there, `heat` lies over both. Light is
taken out first: a tone curve (gain, offset, gamma) and a plane of illumination are fitted to what most of the
common area says. A difference counts only where no dot within `SLACK` explains it: two photographs never
lie exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from edge.devices.fixed_camera.source import cv2
from edge.handheld.comparing.aligning import Alignment, NotAligned, Why, align, laid_over
from edge.handheld.comparing.pictures import Picture

SLACK = 3
"""Working dots a thing may stand beside its place."""
LEAST_DIFFERENCE = 0.10
"""Of the whole range: less is never a difference, however quiet the pictures are."""
NOISE_TIMES = 4.0
FULL_HEAT = 0.45
SMALLEST_SPOT = 5
"""Working dots across."""
FIT_EVERY = 6
FIT_ROUNDS = 6
MOST_DIFFERING = 0.6
"""Beyond this share nobody can tell light from goods."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """What the screen shows of two pictures. Without a heat map `why_not` says why; `detail` is for logs."""

    reference: Picture
    picture: Picture
    alignment: Alignment | NotAligned
    heat: NDArray[np.uint8] | None
    """(rows, columns) of the small reference: 0 alike, 255 as different as can be; 0 outside `common`."""
    common: NDArray[np.bool_] | None
    """Where both show something; the same grid."""
    differs: float | None
    """Share of the common area, 0 to 1."""
    confidence: float
    """0 to 1, see `Alignment.confidence`; 0 without a heat map."""
    why_not: Why | None = None
    detail: str = ""

    @cached_property
    def laid(self) -> NDArray[np.uint8] | None:
        """(rows, columns, channels): the picture on the reference's small grid, for the swipe divider."""
        if not isinstance(self.alignment, Alignment):
            return None
        return _laid(self.reference, self.picture, self.alignment)[0]

    def heat_on_picture(self) -> NDArray[np.uint8] | None:
        """The heat map on the picture's own small grid, for two pictures side by side."""
        if self.heat is None or not isinstance(self.alignment, Alignment):
            return None
        library = cv2()
        matrix = _small(self.reference, self.picture, self.alignment)
        drawn: NDArray[np.uint8] = library.warpPerspective(self.heat, matrix, self.picture.working.size)
        return drawn


def compare(reference: Picture, picture: Picture) -> Comparison:
    """Takes up to 0.3 s of one core: not on the thread that draws."""
    alignment = align(reference, picture)
    if isinstance(alignment, NotAligned):
        return _no_heat(reference, picture, alignment, alignment.why, alignment.detail)
    laid, common = _laid(reference, picture, alignment)
    base = reference.working.colour
    if base.shape[2] != laid.shape[2]:
        # One of them is grey: colour is no difference then.
        base = reference.working.grey[:, :, np.newaxis]
        laid = _grey(laid)
    far = np.zeros(common.shape, np.uint8)
    noise = 0.0
    for channel in range(base.shape[2]):
        apart, quiet = _apart(base[:, :, channel], laid[:, :, channel], common)
        np.maximum(far, apart, out=far)
        noise = max(noise, quiet)
    least = max(LEAST_DIFFERENCE, NOISE_TIMES * noise)
    spots = _spots(far > least * 255.0)
    differs = float(np.count_nonzero(spots)) / max(1, int(np.count_nonzero(common)))
    if differs > MOST_DIFFERING:
        return _no_heat(
            reference, picture, alignment, Why.UNLIKE, f"{differs:.2f} of the common area differs"
        )
    steps = np.clip((np.arange(256) / 255.0 - least) / FULL_HEAT * 0.75 + 0.25, 0.0, 1.0)
    heat = np.asarray(steps * 255.0 + 0.5, np.uint8)[far] * spots
    return Comparison(
        reference=reference,
        picture=picture,
        alignment=alignment,
        heat=heat,
        common=common,
        differs=differs,
        confidence=alignment.confidence * max(0.0, 1.0 - differs / MOST_DIFFERING),
        detail=f"least difference {least:.3f}, noise {noise:.3f}",
    )


def _no_heat(
    reference: Picture, picture: Picture, alignment: Alignment | NotAligned, why: Why, detail: str
) -> Comparison:
    return Comparison(reference, picture, alignment, None, None, None, 0.0, why, detail)


def _small(reference: Picture, picture: Picture, alignment: Alignment) -> NDArray[np.float64]:
    """Small dots of the reference -> small dots of the picture."""
    into = np.linalg.inv(picture.working.to_full())
    found: NDArray[np.float64] = into @ alignment.matrix @ reference.working.to_full()
    return found


def _laid(
    reference: Picture, picture: Picture, alignment: Alignment
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    matrix = _small(reference, picture, alignment)
    laid, common = laid_over(picture.working.colour, matrix, reference.working.size)
    return laid.reshape(*laid.shape[:2], -1), common


def _grey(colour: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if colour.shape[2] == 1:
        return colour
    library = cv2()
    return np.asarray(library.cvtColor(colour, library.COLOR_BGR2GRAY), np.uint8)[:, :, np.newaxis]


def _apart(
    base: NDArray[np.uint8], laid: NDArray[np.uint8], common: NDArray[np.bool_]
) -> tuple[NDArray[np.uint8], float]:
    """How far each dot of `laid` is from all that light and `SLACK` explain, 0 to 255; noise, 0 to 1."""
    library = cv2()
    one = library.GaussianBlur(base, (5, 5), 1.0)
    two = library.GaussianBlur(laid, (5, 5), 1.0)
    expected = _in_the_light_of(one, two, common)
    # Steps of 255: bytes are several times as fast as floats here.
    around = np.ones((2 * SLACK + 1, 2 * SLACK + 1), np.uint8)
    apart = np.maximum(_beside(expected, two, around), _beside(two, expected, around))
    inner = library.erode(common.astype(np.uint8), around, borderValue=0)
    apart *= inner
    plain = library.absdiff(expected, two)[::3, ::3][inner[::3, ::3] > 0]
    noise = float(np.mean(np.minimum(plain, 4 * np.median(plain)))) if plain.size else 0.0
    return apart, noise / 255.0


def _beside(one: NDArray[np.uint8], two: NDArray[np.uint8], around: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """How far `two` lies outside of what `one` shows nearby."""
    library = cv2()
    low, high = library.erode(one, around), library.dilate(one, around)
    # OpenCV's own difference ends at 0.
    found: NDArray[np.uint8] = library.max(library.subtract(low, two), library.subtract(two, high))
    return found


def _in_the_light_of(
    one: NDArray[np.uint8], two: NDArray[np.uint8], common: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """`one` as it would look in the light of `two`: a cubic tone curve and a plane of light over the picture,
    fitted again and again to the dots that are not far from it (Tukey's biweight)."""
    rows, columns = one.shape
    down, across = np.nonzero(common[::FIT_EVERY, ::FIT_EVERY])
    if not len(down):
        return one
    level = one[::FIT_EVERY, ::FIT_EVERY][down, across] / 255.0
    wanted = two[::FIT_EVERY, ::FIT_EVERY][down, across] / 255.0
    right, low = across * FIT_EVERY / columns - 0.5, down * FIT_EVERY / rows - 0.5
    terms = np.stack(
        [np.ones_like(level), level, level**2, level**3, right, low, right * level, low * level], axis=1
    )
    # Every brightness speaks as loudly as any other: a white background is most of many pictures.
    steps = np.minimum((level * 16).astype(np.int64), 15)
    even = 1.0 / np.sqrt(np.bincount(steps, minlength=16)[steps])
    weight = even
    found = _SAME_LIGHT
    for _ in range(FIT_ROUNDS):
        weighted = terms * weight[:, np.newaxis]
        # A little pull towards "the same light" where the pictures say nothing.
        found = np.linalg.solve(
            weighted.T @ weighted + 1e-6 * np.eye(len(_SAME_LIGHT)),
            weighted.T @ (wanted * weight) + 1e-6 * _SAME_LIGHT,
        )
        left = np.abs(wanted - terms @ found)
        wide = 4.685 * max(1.4826 * float(np.median(left)), 0.01)
        weight = even * np.where(left < wide, (1 - (left / wide) ** 2), 0.0)
    return _lit(one, found)


_SAME_LIGHT = np.array([0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])


def _lit(one: NDArray[np.uint8], light: NDArray[np.float64]) -> NDArray[np.uint8]:
    rows, columns = one.shape
    level = np.arange(256) / 255.0
    tone = np.polyval(light[3::-1], level).astype(np.float32)[one]
    right = np.arange(columns) / columns - 0.5
    low = (np.arange(rows) / rows - 0.5)[:, np.newaxis]
    tone += (light[4] * right + light[5] * low).astype(np.float32)
    tone += (light[6] * right + light[7] * low).astype(np.float32) * level.astype(np.float32)[one]
    np.clip(tone, 0.0, 1.0, out=tone)
    return np.asarray(tone * np.float32(255.0) + np.float32(0.5), np.uint8)


def _spots(far: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Without specks, and with what belongs together closed."""
    library = cv2()
    round_spot = library.getStructuringElement(library.MORPH_ELLIPSE, (SMALLEST_SPOT, SMALLEST_SPOT))
    opened = library.morphologyEx(far.astype(np.uint8), library.MORPH_OPEN, round_spot)
    closed = library.morphologyEx(opened, library.MORPH_CLOSE, round_spot)
    return np.asarray(closed > 0)
