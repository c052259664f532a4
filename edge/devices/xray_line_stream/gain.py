"""Offset and gain of a line detector: raw values -> values in which air is one number. Pure arrays; no port.

Raw lines are arrays of (2, lines, pixels): low energy, high energy. The gain is taken from the empty belt,
and only where it is plausible: a thing that lies on the belt while the machine calls it empty would vanish
from every picture taken with it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Raw = NDArray[np.uint16]
Reals = NDArray[np.float64]

_MOVED_BY = 0.08
_MOVED_SHARE = 0.02
"""More than this share of the pixels moved by more than that against the others: something lies there."""
_COMMON = 0.15
"""A tube drifts; it does not jump while it is on."""
_REST_S = 60.0
_HALVES_BY = 0.05
_MOST_DARK_SHARE = 0.25
"""Of the full scale: a dark line brighter than this was not dark."""


@dataclass(frozen=True, slots=True)
class Limits:
    air_value: int
    offset_lines: int
    gain_lines: int
    gain_most_age_s: float
    least_air: int
    """Signal above the offset a pixel needs to be alive."""
    most_dead: float
    """Share of the pixels."""


class Correction:
    """Of one machine since it started. `dead`: pixels without signal, as their neighbours' means."""

    def __init__(self, limits: Limits, pixels: int, largest: int) -> None:
        """`largest`: the largest raw value there can be."""
        self._limits = limits
        self._largest = largest
        self._dark: deque[tuple[int, Reals]] = deque()
        self._offset: Reals = np.zeros((2, pixels))
        self._bright: Reals | None = None
        """Raw, of the empty belt: an offset that comes later is taken off it too."""
        self._air_at_s = 0.0
        self._fresh_start = True
        """No gain since the source came on after a rest."""
        self._off_since_s: float | None = None
        self._sums: list[Reals] = []
        self._lines = 0
        self.dead: tuple[int, ...] = ()

    @property
    def _air(self) -> Reals | None:
        return None if self._bright is None else self._bright - self._offset

    def source(self, at_s: float, *, on: bool) -> None:
        """After a long rest what comes on again may be another tube, or another voltage."""
        if not on:
            self.interrupted()
            if self._off_since_s is None:
                self._off_since_s = at_s
        elif self._off_since_s is not None:
            self._fresh_start = self._fresh_start or at_s - self._off_since_s >= _REST_S
            self._off_since_s = None

    def interrupted(self) -> None:
        """An object came, or lines were lost: empty lines that follow do not belong to those before."""
        self._sums.clear()
        self._lines = 0

    def dark(self, raw: Raw) -> str:
        """Lines without the source. Why they are refused; empty where they are not."""
        mean = raw.mean(axis=1)
        if float(np.median(mean)) > _MOST_DARK_SHARE * self._largest:
            return f"dark lines of {float(np.median(mean)):.0f}"
        self._dark.append((raw.shape[1], raw.sum(axis=1, dtype=np.float64)))
        while sum(lines for lines, _ in self._dark) - self._dark[0][0] >= self._limits.offset_lines:
            self._dark.popleft()
        lines = sum(lines for lines, _ in self._dark)
        self._offset = np.asarray(sum(sums for _, sums in self._dark) / lines)
        return ""

    def empty(self, at_s: float, raw: Raw) -> str | None:
        """Lines of the empty belt. None: more are needed; empty: a new gain; else why it is refused."""
        self._sums.append(raw.sum(axis=1, dtype=np.float64) / raw.shape[1])
        self._lines += raw.shape[1]
        if self._lines < self._limits.gain_lines:
            return None
        means = np.stack(self._sums)
        self.interrupted()
        bright = means.mean(axis=0)
        air = bright - self._offset
        why = self._implausible(means, air)
        if why:
            return why
        self._bright, self._air_at_s, self._fresh_start = bright, at_s, False
        self.dead = tuple(int(at) for at in np.flatnonzero((air < self._limits.least_air).any(axis=0)))
        return ""

    def _implausible(self, means: Reals, air: Reals) -> str:
        pixels = air.shape[1]
        alive = (air >= self._limits.least_air).all(axis=0)
        dead = pixels - int(alive.sum())
        if dead > self._limits.most_dead * pixels:
            return f"{dead} of {pixels} pixels without signal"
        half = len(means) // 2
        if half:
            first = means[:half].mean(axis=0) - self._offset
            second = means[half:].mean(axis=0) - self._offset
            moved = np.abs(first[:, alive] / second[:, alive] - 1) > _HALVES_BY
            if (moved.mean(axis=1) > _MOVED_SHARE).any():
                return "its lines differ among themselves: something moved"
        before = self._air
        if before is None or self._fresh_start:
            return ""
        known = alive & (before >= self._limits.least_air).all(axis=0)
        ratio = air[:, known] / before[:, known]
        common = np.median(ratio, axis=1, keepdims=True)
        moved_share = (np.abs(ratio / common - 1) > _MOVED_BY).mean(axis=1)
        if (moved_share > _MOVED_SHARE).any():
            return f"{float(moved_share.max()):.0%} of the pixels moved: does something lie on the belt?"
        if (np.abs(common - 1) > _COMMON).any():
            return f"all pixels moved by {float(np.abs(common - 1).max()):.0%} while the source was on"
        return ""

    def state(self, at_s: float) -> tuple[Literal["good", "old", "none"], float | None]:
        """How good the gain is, and its age."""
        if self._air is None or not self._dark:
            # Without an offset thick things look thinner than they are: no ground to pass anything by.
            return "none", None
        age_s = at_s - self._air_at_s
        old = age_s > self._limits.gain_most_age_s or self._fresh_start
        return ("old" if old else "good"), age_s

    def corrected(self, raw: Raw) -> Raw:
        """(2, lines, pixels) -> the same with air at `air_value`; without a gain only the offset is taken
        off."""
        offset = self._offset.astype(np.float32)[:, None, :]
        air = self._air
        if air is None:
            return np.asarray(np.clip(raw - offset, 0, 65535), dtype=np.uint16)
        factor = self._limits.air_value / np.maximum(air, 1.0)
        values = raw.astype(np.float32)
        values -= offset
        values *= factor.astype(np.float32)[:, None, :]
        values += np.float32(0.5)
        np.clip(values, 0, 65535, out=values)
        out = values.astype(np.uint16)
        self._mend(out)
        return out

    def _mend(self, out: Raw) -> None:
        if not self.dead:
            return
        pixels = out.shape[2]
        dead = np.array(self.dead)
        good = np.setdiff1d(np.arange(pixels), dead)
        if not len(good):
            return
        right = good[np.minimum(np.searchsorted(good, dead), len(good) - 1)]
        left = good[np.maximum(np.searchsorted(good, dead) - 1, 0)]
        out[:, :, dead] = (out[:, :, left].astype(np.uint32) + out[:, :, right] + 1) // 2
