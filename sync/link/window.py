"""How many bytes may be on their way without an acknowledgement: at most half a second of what comes through.

More would lie in the broker, in its queues and ours, in front of whatever is urgent (G9), and would be sent a
second time before it was acknowledged once. Pure: bytes and times come in, a number comes out.
"""

from __future__ import annotations

import collections

HELD_S = 0.5
"""Of the measured rate. A line whose own delay is long gets what fits into that, and half as much again."""
LINE_SHARE = 1.5
SAMPLE_S = 0.02
"""Acknowledgements that come together are one measure."""
FORGET_LINE_S = 30.0
"""How long the shortest delay seen is believed to be the line's own."""
GROWTH = 4
"""With every measure, at most: a drain is at its full rate after three. What was measured bounds it too."""
WORSE_SHARE = 0.5
"""Of a lower measure in the rate; a higher one is believed at once."""


class Window:
    """One stream's. It grows fourfold at most with every measure, and falls as soon as a full one was too
    slow."""

    def __init__(self, *, first_bytes: int, widest_bytes: int, narrowest_bytes: int) -> None:
        self._first_bytes = max(1, min(first_bytes, widest_bytes))
        self._widest_bytes = widest_bytes
        self._narrowest_bytes = min(narrowest_bytes, self._first_bytes)
        self.size_bytes = self._first_bytes
        self.rate_bytes_s = 0.0
        """0: not measured yet."""
        self._since_s: float | None = None
        self._acked_bytes = 0
        self._limited = False
        self._delays: collections.deque[tuple[float, float]] = collections.deque()

    def begin_again(self) -> None:
        """Nothing came through: what was measured counts no more."""
        self.size_bytes = self._first_bytes
        self.rate_bytes_s = 0.0
        self._since_s = None
        self._acked_bytes = 0
        self._delays.clear()

    def interrupted(self) -> None:
        """What was in flight is forgotten; rate and size stay."""
        self._since_s = None
        self._acked_bytes = 0

    def acknowledged(
        self, at_s: float, size_bytes: int, *, sent_at_s: float, delay_s: float, full: bool, idle: bool
    ) -> None:
        """So many bytes came through; the first of them was sent at `sent_at_s`, the last took `delay_s`.

        `full`: more would have been sent had it been allowed. `idle`: nothing is in flight any more.
        """
        self._note_delay(at_s, delay_s)
        since_s = sent_at_s if self._since_s is None else self._since_s
        self._since_s = since_s
        self._acked_bytes += size_bytes
        self._limited = self._limited or full
        took_s = at_s - since_s
        if took_s < SAMPLE_S and not idle:
            return
        self._measure(self._acked_bytes / max(took_s, 1e-3))
        self._since_s = None if idle else at_s
        self._acked_bytes = 0
        self._limited = False

    def _measure(self, rate_bytes_s: float) -> None:
        if rate_bytes_s < self.rate_bytes_s and not self._limited:
            # Little was sent: that little came through says nothing against the line.
            return
        worse = max(0.0, self.rate_bytes_s - rate_bytes_s)
        self.rate_bytes_s = rate_bytes_s + WORSE_SHARE * worse
        wanted = self.rate_bytes_s * max(HELD_S, LINE_SHARE * min(delay_s for _, delay_s in self._delays))
        self.size_bytes = int(
            max(self._narrowest_bytes, min(wanted, GROWTH * self.size_bytes, self._widest_bytes))
        )

    def _note_delay(self, at_s: float, delay_s: float) -> None:
        """Keeps the delays that are the shortest of all since them."""
        while self._delays and self._delays[-1][1] >= delay_s:
            self._delays.pop()
        self._delays.append((at_s, delay_s))
        while len(self._delays) > 1 and self._delays[0][0] < at_s - FORGET_LINE_S:
            self._delays.popleft()
