"""Where a picture lies on the belt: two counters on one shaft, each with a zero of its own, brought together.
Pure: no clock, no I/O, no picture.

The belt's board and the X-ray machine count the same shaft. What the machine counted becomes a belt position
by one number, the offset between the two. It is learnt, never set: from what both said at the same moment
(`Counters`), or, where the machine says nothing of its own (a hot folder), from pictures and the eye at the
X-ray plane (`EyeCounters`). Whatever may have moved it (a machine or a board that started anew) makes it
unknown, and then a picture has no position and matches nobody.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import Final

STANDING_MM_S: Final = 1.0
MOST_SEEN: Final = 21
FEWEST_SEEN: Final = 3
FRESH_S: Final = 0.5
"""A board's look that is older says nothing of where the belt is now."""

MOST_SPANS: Final = 24
AGREE_MM: Final = 12.0
LENGTH_MM: Final = 25.0
FEWEST_AGREEING: Final = 3


@dataclass(frozen=True, slots=True)
class Known:
    """belt_mm = machine's count x mm per count + `offset_mm`, within `within_mm`."""

    offset_mm: float
    within_mm: float


@dataclass(frozen=True, slots=True)
class _Board:
    at_s: float
    belt_mm: float
    speed_mm_s: float
    origin: int


class Counters:
    """For one thread. Positions in mm; times are monotonic seconds, as the ports gave them."""

    def __init__(self) -> None:
        self._board: _Board | None = None
        self._start: str | None = None
        self._offsets: deque[float] = deque(maxlen=MOST_SEEN)
        self._standing: float | None = None

    @property
    def origin(self) -> int | None:
        """Of the board's positions; None where it says nothing now."""
        return None if self._board is None else self._board.origin

    def saw_board(self, at_s: float, belt_mm: float, speed_mm_s: float, origin: int) -> None:
        if self._board is not None and self._board.origin != origin:
            self._forget()
        self._board = _Board(at_s, belt_mm, speed_mm_s, origin)

    def lost_board(self) -> None:
        """Its positions go on with another origin, if they go on."""
        self._board = None
        self._forget()

    def saw_state(self, at_s: float, machine_mm: float, start: str, *, running: bool) -> None:
        """What the machine counted, in mm of its own. `start` names one run of it."""
        if start != self._start:
            self._forget()
            self._start = start
        board = self._board
        if board is None or not -FRESH_S <= at_s - board.at_s <= FRESH_S:
            return
        stands = not running and abs(board.speed_mm_s) < STANDING_MM_S
        offset = board.belt_mm + board.speed_mm_s * (at_s - board.at_s) - machine_mm
        if stands:
            self._standing = offset
            self._offsets.clear()
        self._offsets.append(offset)

    def known(self, picture: str) -> Known | None:
        """For a picture of the machine's present run, which its id begins with. None: not known for it."""
        if self._start is None or not picture.startswith(f"{self._start}-"):
            return None
        if self._standing is not None and len(self._offsets) <= FEWEST_SEEN:
            return Known(self._standing, AGREE_MM / 4)
        if len(self._offsets) < FEWEST_SEEN:
            return None
        ordered = sorted(self._offsets)
        middle = ordered[len(ordered) // 2]
        spread = ordered[(3 * len(ordered)) // 4] - ordered[len(ordered) // 4]
        if self._standing is not None and abs(middle - self._standing) <= AGREE_MM:
            return Known(self._standing, max(spread, AGREE_MM / 4))
        return Known(middle, max(spread, AGREE_MM / 2))

    def _forget(self) -> None:
        self._offsets.clear()
        self._standing = None


@dataclass(frozen=True, slots=True)
class Span:
    """Something from its leading to its trailing edge, mm."""

    leading_mm: float
    trailing_mm: float

    @property
    def length_mm(self) -> float:
        return self.trailing_mm - self.leading_mm


class EyeCounters:
    """The offset from pictures alone: one by which several pictures agree with what the eye at the X-ray
    plane saw, and no other does as well. Rows of like parcels at like distances agree with many: then it
    stays unknown, until one differs."""

    def __init__(self, latest_mm: float) -> None:
        """`latest_mm`: how far the belt may have gone on when a picture comes."""
        self._latest_mm = latest_mm
        self._spans: deque[Span] = deque(maxlen=MOST_SPANS)
        self._leading_mm: float | None = None
        self._votes: deque[tuple[float, ...]] = deque(maxlen=MOST_SPANS // 2)
        self._known: float | None = None
        self._missed = 0

    def saw_eye(self, *, blocked: bool, belt_mm: float) -> None:
        if blocked:
            self._leading_mm = belt_mm
        elif self._leading_mm is not None:
            self._spans.append(Span(self._leading_mm, belt_mm))
            self._leading_mm = None

    def forget(self) -> None:
        self._spans.clear()
        self._votes.clear()
        self._leading_mm = self._known = None
        self._missed = 0

    def of(self, picture: Span, belt_now_mm: float | None) -> Known | None:
        """`picture` in the machine's own mm. None: not known."""
        votes = tuple(
            span.leading_mm - picture.leading_mm
            for span in self._spans
            if abs(span.length_mm - picture.length_mm) <= LENGTH_MM
            and (belt_now_mm is None or 0 <= belt_now_mm - span.trailing_mm <= self._latest_mm)
        )
        self._votes.append(votes)
        if self._known is not None:
            agrees = any(abs(vote - self._known) <= AGREE_MM for vote in votes)
            self._missed = 0 if agrees else self._missed + 1
            if self._missed < FEWEST_AGREEING:
                return Known(self._known, AGREE_MM / 2) if agrees else None
            self._known, self._missed = None, 0
            self._votes.clear()
        self._known = self._agreed()
        return None if self._known is None else Known(self._known, AGREE_MM / 2)

    def _agreed(self) -> float | None:
        """The offset most pictures vote for, where at least `FEWEST_AGREEING` do, each for nothing else."""
        best: tuple[int, float] = (0, 0.0)
        rival = 0
        candidates = [vote for votes in self._votes for vote in votes]
        supports = [
            (sum(any(abs(vote - each) <= AGREE_MM for vote in votes) for votes in self._votes), each)
            for each in candidates
        ]
        for support, each in supports:
            if support > best[0]:
                best = (support, each)
        rival = max((support for support, each in supports if abs(each - best[1]) > 2 * AGREE_MM), default=0)
        if best[0] < FEWEST_AGREEING or rival * 2 > best[0]:
            return None
        near = sorted(each for each in candidates if abs(each - best[1]) <= AGREE_MM)
        return near[len(near) // 2]


def led_back(span: Span, known: Known, plane_mm: float) -> Span:
    """Machine's mm -> the belt coordinates of a parcel, whose edges are named by the portal's eye."""
    return replace(
        span,
        leading_mm=span.leading_mm + known.offset_mm - plane_mm,
        trailing_mm=span.trailing_mm + known.offset_mm - plane_mm,
    )
