"""What comes off the detector: two arrays that prove themselves, and the offset and gain taken out of lines.

Rows are diodes, columns are lines: x runs along the belt. No file, no clock; arrays in, arrays out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.uint16]
Floats = NDArray[np.float64]

LEAST_SIDE: Final = 16
MOST_ROWS: Final = 4096
MOST_COLUMNS: Final = 16_384
MOST_DOTS: Final = 16_000_000
LEAST_AIR: Final = 255
"""An air value below this leaves no room for materials."""
DEAD_SHARE: Final = 0.02
"""A diode that gives less than this of its air value, whatever lies before it, gives nothing."""


class PictureRefused(ValueError):
    """What was expected of the picture, in words."""


@dataclass(frozen=True, slots=True, eq=False)
class RawPicture:
    """A dual-energy picture, offset and gain taken out. Refuses what is none."""

    low: Counts
    """(rows, columns) of the low-energy channel; `air_low` where nothing lies before the diode."""
    high: Counts
    air_low: int
    air_high: int
    mm_per_column: float
    """Belt travel between two lines, mm."""
    mm_per_row: float
    """Pitch of the diodes, led back to the belt's middle (a fan beam enlarges what lies nearer the tube)."""
    name: str = ""

    def __post_init__(self) -> None:
        for said, channel in (("low", self.low), ("high", self.high)):
            if not isinstance(channel, np.ndarray) or channel.dtype != np.uint16 or channel.ndim != 2:
                kind = f"{getattr(channel, 'dtype', type(channel).__name__)}, {np.ndim(channel)} axes"
                raise PictureRefused(f"{said}: expected 16-bit counts in rows and columns, got {kind}")
        rows, columns = self.low.shape
        if self.high.shape != self.low.shape:
            raise PictureRefused(f"high: expected {self.low.shape} as low has, got {self.high.shape}")
        if rows < LEAST_SIDE or columns < LEAST_SIDE:
            raise PictureRefused(f"expected {LEAST_SIDE} rows and columns at least, got {rows} x {columns}")
        if rows > MOST_ROWS or columns > MOST_COLUMNS or rows * columns > MOST_DOTS:
            raise PictureRefused(
                f"expected {MOST_ROWS} rows, {MOST_COLUMNS} columns and {MOST_DOTS} dots at most, "
                f"got {rows} x {columns}"
            )
        for said, air in (("air_low", self.air_low), ("air_high", self.air_high)):
            if not LEAST_AIR <= air <= 65_535:
                raise PictureRefused(f"{said}: expected {LEAST_AIR} to 65535, got {air}")
        for said, pitch in (("mm_per_column", self.mm_per_column), ("mm_per_row", self.mm_per_row)):
            if not 0.05 <= pitch <= 20.0:
                raise PictureRefused(f"{said}: expected 0.05 to 20 mm, got {pitch}")

    @property
    def dot_cm2(self) -> float:
        return self.mm_per_column * self.mm_per_row / 100.0


@dataclass(frozen=True, slots=True, eq=False)
class GainMap:
    """What each diode reads in the dark and with an empty belt: the straight line through which it is led."""

    offset: Floats
    """(diodes,) counts with the source off."""
    gain: Floats
    """(diodes,) factor that leads (counts - offset) to the air value."""
    air: int
    dead: NDArray[np.bool_]
    """(diodes,) True: gives nothing, or the same whatever it sees; read from its neighbours."""

    @classmethod
    def measured(cls, dark: NDArray[np.uint16], empty: NDArray[np.uint16], air: int) -> GainMap:
        """`dark` and `empty`: (lines, diodes), 16 lines at least, source off and belt empty.

        Raises PictureRefused where they cannot be what they are said to be."""
        for said, lines in (("dark", dark), ("empty", empty)):
            if lines.ndim != 2 or lines.shape[0] < 16 or lines.shape[1] < LEAST_SIDE:
                raise PictureRefused(f"{said}: expected 16 lines of {LEAST_SIDE} diodes, got {lines.shape}")
        if dark.shape[1] != empty.shape[1]:
            raise PictureRefused(
                f"empty: expected {dark.shape[1]} diodes as in the dark, got {empty.shape[1]}"
            )
        if not LEAST_AIR <= air <= 65_535:
            raise PictureRefused(f"air: expected {LEAST_AIR} to 65535, got {air}")
        offset = np.median(dark, axis=0).astype(np.float64)
        span = np.median(empty, axis=0) - offset
        dead = span < max(16.0, DEAD_SHARE * float(np.median(span)))
        if dead.mean() > 0.5:
            raise PictureRefused("empty: more than half of the diodes give nothing; is the source on?")
        gain = np.where(dead, 0.0, air / np.where(dead, 1.0, span))
        return cls(offset, gain, air, dead)

    def corrected(self, lines: NDArray[np.uint16]) -> Counts:
        """(lines, diodes) as read -> the same with `air` where nothing lies. Dead diodes as their nearest."""
        if lines.ndim != 2 or lines.shape[1] != self.offset.size:
            raise PictureRefused(f"lines: expected {self.offset.size} diodes, got {lines.shape}")
        straight = (lines - self.offset) * self.gain
        np.clip(np.rint(straight, out=straight), 0, self.air, out=straight)
        if self.dead.any():
            straight[:, self.dead] = straight[:, _nearest_alive(self.dead)[self.dead]]
        return straight.astype(np.uint16)

    def drift(self, later: GainMap) -> float:
        """The largest change of a live diode's gain since, as a share; when to renew it is the caller's."""
        alive = ~(self.dead | later.dead)
        return float(np.abs(later.gain[alive] / self.gain[alive] - 1.0).max(initial=0.0))


def _nearest_alive(dead: NDArray[np.bool_]) -> NDArray[np.intp]:
    alive = np.flatnonzero(~dead)
    every = np.arange(dead.size)
    after = np.clip(np.searchsorted(alive, every), 0, alive.size - 1)
    before = np.clip(after - 1, 0, None)
    nearer = np.abs(alive[before] - every) <= np.abs(alive[after] - every)
    return np.where(nearer, alive[before], alive[after])


def silent_rows(picture: RawPicture) -> NDArray[np.bool_]:
    """(rows,) True where one channel of a diode gives nothing through the whole picture while the other sees.

    Met in real scans: the low-energy row of an array's end is dead, and everything there looks like lead."""
    low_dead, high_dead = (
        (counts[:, ::8] > round(DEAD_SHARE * air)).mean(axis=1) < 0.1
        for counts, air in ((picture.low, picture.air_low), (picture.high, picture.air_high))
    )
    return np.asarray(low_dead ^ high_dead, dtype=np.bool_)


def without_silent_rows(picture: RawPicture) -> tuple[RawPicture, int]:
    """The picture with such rows read from the nearest diode that sees, and how many there were."""
    silent = silent_rows(picture)
    count = int(silent.sum())
    if count == 0 or count == silent.size:
        return picture, count
    source = _nearest_alive(silent)
    return (
        RawPicture(
            picture.low[source],
            picture.high[source],
            picture.air_low,
            picture.air_high,
            picture.mm_per_column,
            picture.mm_per_row,
            picture.name,
        ),
        count,
    )
