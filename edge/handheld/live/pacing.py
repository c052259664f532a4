"""How large, how good, how often pictures go out, so that they arrive soon and leave room for others. Pure.

The line is measured by the pictures themselves: each is a burst, and the hub says when it is whole. What
others send meanwhile lies between its parts and makes it late: what is left is measured, and less than that
is used. A picture is only taken when the line can carry it now; nothing ever waits in a queue.
"""

from __future__ import annotations

import collections
from dataclasses import dataclass
from typing import Final

WINDOW_S: Final = 3.0
MOST_MEASURED: Final = 12
SHARE: Final = 0.7
"""Of the line as measured."""
BASE_WINDOW_S: Final = 30.0
STALLED_S: Final = 1.0
FIRST_BITS_A_S: Final = 600_000.0
LEAST_BITS_A_S: Final = 24_000.0
UP_AFTER_S: Final = 1.0
UP_SLACK: Final = 1.15
MOST_IN_FLIGHT: Final = 4
QUEUE_S: Final = 0.1
"""Of the line's time, what is on its way may fill when the next picture is taken; its trip comes on top."""
FIRST_BYTES_A_DOT: Final = 0.09
BUSY_BITS_A_S: Final = 200_000.0
BUSY_SHARE: Final = 0.1
"""While this device's own facts or records wait: of the line, and no more than that in any case."""


@dataclass(frozen=True, slots=True)
class Shot:
    """What the camera is asked for: the longer side in dots, and JPEG's quality."""

    side: int
    quality: int
    wanted_a_s: float
    """A larger shot is only worth it at this rate."""

    @property
    def weight(self) -> float:
        """Dots times what a quality costs, for pictures of 4 : 3."""
        return self.side * self.side * 0.75 * _COST[self.quality]


_COST: Final = {30: 0.62, 45: 0.80, 60: 1.0, 75: 1.35}
LADDER: Final = (
    Shot(240, 30, 2.0),
    Shot(320, 30, 4.0),
    Shot(320, 45, 5.0),
    Shot(480, 45, 6.0),
    Shot(640, 45, 8.0),
    Shot(640, 60, 8.0),
    Shot(800, 60, 8.0),
    Shot(960, 60, 8.0),
    Shot(1280, 60, 8.0),
    Shot(1280, 75, 10.0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PacingConfig:
    most_bits_a_s: float = 4_000_000.0
    """Of pictures and sound together."""
    most_pictures_a_s: float = 15.0
    most_side: int = 1280


class Pacer:
    """One connection's. Times are monotonic seconds."""

    def __init__(self, config: PacingConfig, *, sound_bits_a_s: float = 0.0) -> None:
        self._config = config
        self._ladder = tuple(shot for shot in LADDER if shot.side <= config.most_side) or LADDER[:1]
        self._sound = sound_bits_a_s
        self._flying: dict[int, tuple[float, int]] = {}
        self._measured: collections.deque[tuple[float, float, int]] = collections.deque(maxlen=MOST_MEASURED)
        """(seen at, how long it took, bytes)."""
        self._last_seen_s = 0.0
        self._trips: collections.deque[tuple[float, float]] = collections.deque(maxlen=256)
        self._per_dot = FIRST_BYTES_A_DOT
        self._rung = 2
        self._rung_s = -UP_AFTER_S
        self._next_s = self._last_s = 0.0
        self._busy = False
        self.delay_s = 0.0
        """Of the last pictures, from taking to the hub's word."""

    # --- what happened ---

    def sent(self, at_s: float, seq: int, size_bytes: int, shot: Shot) -> None:
        self._flying[seq] = (at_s, size_bytes)
        self._per_dot += 0.25 * (size_bytes / shot.weight - self._per_dot)

    def seen(self, at_s: float, seq: int) -> bool:
        """The hub has it. False: it has nothing of the kind from us."""
        flown = self._flying.pop(seq, None)
        if flown is None:
            return False
        sent_s, size = flown
        # What was on its way before it had to arrive first.
        began_s = max(sent_s + self.base_s, self._last_seen_s)
        # A line that stood still says little about how fast it is when it moves.
        self._measured.append((at_s, min(max(at_s - began_s, 1e-4), STALLED_S), size))
        self._last_seen_s = at_s
        delay_s = at_s - sent_s
        self.delay_s = delay_s if not self.delay_s else self.delay_s + 0.3 * (delay_s - self.delay_s)
        return True

    def tripped(self, at_s: float, trip_s: float) -> None:
        """A ping came back after `trip_s`."""
        self._trips.append((at_s, trip_s))

    def sync_busy(self, busy: bool) -> None:
        """Facts or records of this very device wait for the line: they go first."""
        self._busy = busy

    def line_lost(self) -> None:
        """A new connection begins: what was on its way is gone, what was measured is not."""
        self._flying.clear()

    # --- what follows ---

    @property
    def base_s(self) -> float:
        """The shortest trip of late."""
        if not self._trips:
            return 0.0
        last_s = self._trips[-1][0]
        return min(trip for at, trip in self._trips if last_s - at <= BASE_WINDOW_S)

    @property
    def in_flight_bytes(self) -> int:
        return sum(size for _, size in self._flying.values())

    def line_bits_a_s(self, at_s: float) -> float:
        """What the line carries, as the last pictures tell; a picture that is overdue tells too."""
        took = sum(took for at, took, _ in self._measured if at_s - at <= WINDOW_S)
        size = sum(size for at, _, size in self._measured if at_s - at <= WINDOW_S)
        if not took:
            if self._measured:
                took, size = self._measured[-1][1], self._measured[-1][2]
            else:
                took, size = 1.0, int(FIRST_BITS_A_S / 8 / SHARE)
        measured = size * 8 / took
        oldest_s = min((sent for sent, _ in self._flying.values()), default=at_s)
        waited_s = at_s - max(oldest_s + self.base_s, self._last_seen_s)
        due_s = self.in_flight_bytes * 8 / measured
        if waited_s > due_s + 0.25:
            measured = min(measured, self.in_flight_bytes * 8 / waited_s)
        return max(measured, LEAST_BITS_A_S)

    def target_bits_a_s(self, at_s: float) -> float:
        """Of pictures; sound is taken off."""
        target = min(SHARE * self.line_bits_a_s(at_s), self._config.most_bits_a_s)
        if self._busy:
            target = min(target, BUSY_SHARE * self.line_bits_a_s(at_s), BUSY_BITS_A_S)
        return max(target - self._sound, LEAST_BITS_A_S)

    def is_stalled(self, at_s: float) -> bool:
        oldest_s = min((sent for sent, _ in self._flying.values()), default=at_s)
        return at_s - max(oldest_s, self._last_seen_s) > STALLED_S + self.base_s

    def shot(self, at_s: float) -> Shot | None:
        """The picture to take now; None: not now."""
        target = self.target_bits_a_s(at_s)
        shot = self._choose(at_s, target)
        # A picture more than that would only wait.
        waits = self.in_flight_bytes * 8 > QUEUE_S * self.line_bits_a_s(at_s)
        if self._flying and (waits or len(self._flying) >= MOST_IN_FLIGHT):
            return None
        every_s = max(1 / self._config.most_pictures_a_s, shot.weight * self._per_dot * 8 / target)
        # Anew each time: a line that is faster now need not wait for what a slow one was to take.
        self._next_s = self._last_s + every_s
        if at_s < self._next_s:
            return None
        self._last_s = max(self._next_s, at_s - every_s / 2)
        return shot

    def next_s(self) -> float:
        """When to ask for a shot again, at the earliest."""
        return self._next_s

    def _choose(self, at_s: float, target: float) -> Shot:
        fitting = 0
        for rung, shot in enumerate(self._ladder):
            slack = UP_SLACK if rung > self._rung else 1.0
            if shot.weight * self._per_dot * 8 * shot.wanted_a_s * slack <= target:
                fitting = rung
        if fitting < self._rung:
            self._rung, self._rung_s = fitting, at_s
        elif fitting > self._rung and at_s - self._rung_s >= UP_AFTER_S:
            self._rung, self._rung_s = self._rung + 1, at_s
        self._rung = min(self._rung, len(self._ladder) - 1)
        return self._ladder[self._rung]
