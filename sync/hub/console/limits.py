"""How much anybody may ask of the console: so many requests a second, so large a form. No clock, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

MOST_BODY_BYTES: Final = 1 << 20
MOST_NAMES: Final = 10_000


@dataclass(slots=True)
class Bucket:
    """Tokens of each asker: `burst` at first, `a_second` more every second, one a request."""

    a_second: float
    burst: float
    _left: dict[str, tuple[float, float]] = field(default_factory=dict)

    def takes(self, name: str, now_s: float) -> bool:
        """Whether this asker has one left. Of names at most so many are known; the oldest is forgotten."""
        left, at_s = self._left.pop(name, (self.burst, now_s))
        left = min(self.burst, left + (now_s - at_s) * self.a_second)
        enough = left >= 1.0
        self._left[name] = (left - 1.0 if enough else left, now_s)
        while len(self._left) > MOST_NAMES:
            del self._left[next(iter(self._left))]
        return enough


@dataclass(slots=True)
class Limits:
    known: Bucket = field(default_factory=lambda: Bucket(a_second=50.0, burst=300.0))
    """Of one who is signed in: a wall that opens asks some twenty times at once."""
    strangers: Bucket = field(default_factory=lambda: Bucket(a_second=10.0, burst=200.0))
    """Of one address."""
