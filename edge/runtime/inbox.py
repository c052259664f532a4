"""One queue of everything a program is told, timers included, in one order of time. No program words here.

Any thread puts; one thread takes. What happens to be full is said out loud: each source may have `per_source`
events waiting, and one more pushes out the oldest waiting event *of that source*, so that a chattering device
can neither starve the others nor hide its own newest state. Where events were pushed out, a report with their
number is delivered in their place.
"""

from __future__ import annotations

import heapq
import threading
from collections import Counter, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from edge.runtime.clock import Clock

E = TypeVar("E")

TIMERS: Final = "timers"
"""The source named on entries that are timers."""

PER_SOURCE: Final = 2_000

_LONGEST_WAIT_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Entry(Generic[E]):
    at_s: float
    """Monotonic. From one entry to the next it never goes back: the time the program lives by."""
    source: str
    event: E
    seen_s: float
    """Monotonic, as its source said it; earlier than `at_s` where a slow thread delivered it late."""


@dataclass(frozen=True, slots=True)
class InboxCounts:
    """Since the start."""

    put: int
    taken: int
    waiting: int
    most_waiting: int
    lost: dict[str, int]
    """Events pushed out, by source."""


@dataclass(slots=True)
class _Lost:
    """Stands in the queue where events of one source were pushed out; counts while it waits."""

    count: int


class Inbox(Generic[E]):
    def __init__(
        self,
        clock: Clock,
        *,
        on_timer: Callable[[Hashable], E],
        on_lost: Callable[[str, int], E],
        per_source: int = PER_SOURCE,
    ) -> None:
        """`on_timer(key)` and `on_lost(source, count)` make the events those become; both must be plain
        constructors, they run inside `next`."""
        if per_source < 1:
            raise ValueError(f"per_source: expected at least 1, got {per_source}")
        self._clock = clock
        self._on_timer = on_timer
        self._on_lost = on_lost
        self._per_source = per_source
        self._changed = threading.Condition()
        self._number = 0
        self._wakes = 0
        # Heaps hold (time, number); what was cancelled or pushed out stays in the heap until it surfaces or
        # until the dead outnumber the living.
        self._events: list[tuple[float, int]] = []
        self._waiting: dict[int, tuple[str, E | _Lost]] = {}
        self._by_source: dict[str, deque[tuple[float, int]]] = {}
        self._gap: dict[str, int] = {}
        self._timers: list[tuple[float, int]] = []
        self._timer_key: dict[int, Hashable] = {}
        self._timer_of: dict[Hashable, tuple[float, int]] = {}
        self._last_at_s = float("-inf")
        self._put = 0
        self._taken = 0
        self._most_waiting = 0
        self._lost: Counter[str] = Counter()

    # --- any thread ---

    def put(self, source: str, event: E, seen_s: float | None = None) -> None:
        """Never blocks on a full queue. `seen_s`: when it happened (monotonic); now, where not given."""
        with self._changed:
            now_s = self._clock.monotonic_s()
            at_s = seen_s if seen_s is not None and seen_s <= now_s else now_s
            own = self._by_source.setdefault(source, deque())
            if len(own) >= self._per_source:
                self._push_out(source, own)
            place = (at_s, self._next_number())
            self._waiting[place[1]] = (source, event)
            heapq.heappush(self._events, place)
            own.append(place)
            self._put += 1
            self._most_waiting = max(self._most_waiting, len(self._waiting))
            self._changed.notify()

    def wake_after(self, key: Hashable, seconds: float) -> None:
        """In `seconds` from now the event `on_timer(key)`. Arming a key again replaces its time."""
        self.wake_at(key, self._clock.monotonic_s() + seconds)

    def wake_at(self, key: Hashable, at_s: float) -> None:
        """As `wake_after`, at a monotonic time; one in the past is due at once."""
        if at_s != at_s:  # not a number: it would never be due and would break the order of the heap
            raise ValueError(f"timer {key!r}: expected a time, got {at_s}")
        with self._changed:
            self.cancel(key)
            place = (at_s, self._next_number())
            self._timer_of[key] = place
            self._timer_key[place[1]] = key
            heapq.heappush(self._timers, place)
            self._changed.notify()

    def cancel(self, key: Hashable) -> bool:
        """True where the timer was armed. Its event will not come, even if it is overdue."""
        with self._changed:
            place = self._timer_of.pop(key, None)
            if place is None:
                return False
            del self._timer_key[place[1]]
            if len(self._timers) > 64 + 2 * len(self._timer_of):
                self._timers = [p for p in self._timers if p[1] in self._timer_key]
                heapq.heapify(self._timers)
            return True

    def wake(self) -> None:
        """Let a waiting `next` return at once (with None where nothing is due)."""
        with self._changed:
            self._wakes += 1
            self._changed.notify_all()

    def counts(self) -> InboxCounts:
        with self._changed:
            return InboxCounts(
                self._put, self._taken, len(self._waiting), self._most_waiting, dict(self._lost)
            )

    # --- the one thread that takes ---

    def next(self, timeout_s: float | None = None) -> Entry[E] | None:
        """The earliest entry; waits for one up to `timeout_s` (None: for ever). None: nothing came."""
        with self._changed:
            wakes = self._wakes
            until_s = None if timeout_s is None else self._clock.monotonic_s() + timeout_s
            while True:
                now_s = self._clock.monotonic_s()
                entry = self._take(now_s)
                if entry is not None:
                    return entry
                if self._wakes != wakes or (until_s is not None and now_s >= until_s):
                    return None
                wait_s = _LONGEST_WAIT_S if until_s is None else until_s - now_s
                if self._timers:
                    wait_s = min(wait_s, self._timers[0][0] - now_s)
                self._changed.wait(min(max(wait_s, 0.0), _LONGEST_WAIT_S))

    def _take(self, now_s: float) -> Entry[E] | None:
        while self._events and self._events[0][1] not in self._waiting:
            heapq.heappop(self._events)
        while self._timers and self._timers[0][1] not in self._timer_key:
            heapq.heappop(self._timers)
        timer = self._timers[0] if self._timers and self._timers[0][0] <= now_s else None
        event = self._events[0] if self._events else None
        if timer is not None and (event is None or timer < event):
            heapq.heappop(self._timers)
            key = self._timer_key.pop(timer[1])
            del self._timer_of[key]
            return self._entry(timer[0], TIMERS, self._on_timer(key))
        if event is None:
            return None
        heapq.heappop(self._events)
        source, what = self._waiting.pop(event[1])
        if isinstance(what, _Lost):
            del self._gap[source]
            return self._entry(event[0], source, self._on_lost(source, what.count))
        own = self._by_source[source]
        # The oldest by time is nearly always the oldest put; a source with several threads may differ.
        if own[0] == event:
            own.popleft()
        else:
            own.remove(event)
        if not own:
            del self._by_source[source]
        return self._entry(event[0], source, what)

    def _entry(self, seen_s: float, source: str, event: E) -> Entry[E]:
        self._last_at_s = max(self._last_at_s, seen_s)
        self._taken += 1
        return Entry(self._last_at_s, source, event, seen_s)

    def _push_out(self, source: str, own: deque[tuple[float, int]]) -> None:
        place = own.popleft()
        self._lost[source] += 1
        gap = self._gap.get(source)
        if gap is None:
            self._gap[source] = place[1]
            self._waiting[place[1]] = (source, _Lost(1))
        else:
            del self._waiting[place[1]]
            _, lost = self._waiting[gap]
            if isinstance(lost, _Lost):
                lost.count += 1
        if len(self._events) > 64 + 2 * len(self._waiting):
            self._events = [p for p in self._events if p[1] in self._waiting]
            heapq.heapify(self._events)

    def _next_number(self) -> int:
        self._number += 1
        return self._number
