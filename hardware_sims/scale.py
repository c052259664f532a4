"""The platform of a weighbridge: what the load cells feel. Settling and swing; no indicator, no bytes."""

from __future__ import annotations

import math

SETTLING_S = 0.3
SWING_DECAY_S = 0.5
SWING_HZ = 1.8
SWING_SHARE = 0.006
"""Of the load, when a vehicle comes to rest on the plate."""


class Scale:
    """Follows the load on the plate as a first-order lag, with a swing after braking. Exact at any time."""

    __slots__ = ("_at", "_from", "_load", "_swing", "_swing_at")

    def __init__(self) -> None:
        self._at = 0.0
        self._from = 0.0
        self._load = 0.0
        self._swing = 0.0
        self._swing_at = 0.0

    def put(self, at_s: float, load_kg: float) -> None:
        if load_kg != self._load:
            self._from = self._lagged(at_s)
            self._at, self._load = at_s, load_kg

    def brake(self, at_s: float) -> None:
        """A vehicle on the plate came to rest."""
        self._swing, self._swing_at = self._load * SWING_SHARE, at_s

    def kg(self, at_s: float) -> float:
        since = at_s - self._swing_at
        swing = 0.0
        if self._swing and since < 12 * SWING_DECAY_S:
            swing = self._swing * math.exp(-since / SWING_DECAY_S) * math.cos(2 * math.pi * SWING_HZ * since)
        return self._lagged(at_s) + swing

    def in_motion(self, at_s: float, within_kg: float) -> bool:
        """True while the plate has not settled to `within_kg` of its load."""
        since = at_s - self._swing_at
        swing = self._swing * math.exp(-since / SWING_DECAY_S) if since < 12 * SWING_DECAY_S else 0.0
        return abs(self._lagged(at_s) - self._load) + abs(swing) > within_kg

    def _lagged(self, at_s: float) -> float:
        since = at_s - self._at
        if since > 40 * SETTLING_S:
            return self._load
        return self._load + (self._from - self._load) * math.exp(-since / SETTLING_S)
