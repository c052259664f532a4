"""One queue, one order of time: against a model that is too simple to be wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.runtime.clock import SystemClock
from edge.runtime.inbox import TIMERS, Entry, Inbox


class HandClock:
    """Moves when told."""

    def __init__(self, at_s: float = 100.0) -> None:
        self.at_s = at_s

    def monotonic_s(self) -> float:
        return self.at_s

    def utc_text(self) -> str:
        return "2025-03-01T08:00:00.000000Z"

    def boot_id(self) -> str:
        return "boot"

    def uncertainty_ms(self) -> int:
        return -1


def inbox_at(clock: HandClock, per_source: int = 2_000) -> Inbox[object]:
    return Inbox(
        clock,
        on_timer=lambda key: ("timer", key),
        on_lost=lambda source, count: ("lost", source, count),
        per_source=per_source,
    )


def drained(inbox: Inbox[object]) -> list[Entry[object]]:
    found = []
    while (entry := inbox.next(0)) is not None:
        found.append(entry)
    return found


def events(inbox: Inbox[object]) -> list[object]:
    return [entry.event for entry in drained(inbox)]


def test_events_come_in_the_order_of_when_they_were_seen_whoever_was_quicker_to_put_them() -> None:
    clock = HandClock()
    inbox = inbox_at(clock)
    clock.at_s = 103.0
    inbox.put("scale", "second", seen_s=102.0)
    inbox.put("camera", "first", seen_s=101.0)
    inbox.put("loops", "third")
    assert [(e.seen_s, e.source, e.event) for e in drained(inbox)] == [
        (101.0, "camera", "first"),
        (102.0, "scale", "second"),
        (103.0, "loops", "third"),
    ]


def test_an_overdue_timer_takes_its_place_between_the_events_around_it() -> None:
    clock = HandClock(100.0)
    inbox = inbox_at(clock)
    inbox.wake_after("patience", 5.0)
    clock.at_s = 110.0
    inbox.put("camera", "late plate", seen_s=106.0)
    inbox.put("camera", "early plate", seen_s=104.0)
    assert events(inbox) == ["early plate", ("timer", "patience"), "late plate"]


def test_a_timer_is_not_early() -> None:
    clock = HandClock(100.0)
    inbox = inbox_at(clock)
    inbox.wake_after("patience", 5.0)
    clock.at_s = 104.999
    assert inbox.next(0) is None
    clock.at_s = 105.0
    assert inbox.next(0) == Entry(105.0, TIMERS, ("timer", "patience"), 105.0)
    clock.at_s = 1000.0
    assert inbox.next(0) is None


def test_arming_again_replaces_and_cancelling_forgets_even_what_is_overdue() -> None:
    clock = HandClock(100.0)
    inbox = inbox_at(clock)
    inbox.wake_after("a", 1.0)
    inbox.wake_after("a", 3.0)
    inbox.wake_after("b", 1.0)
    clock.at_s = 102.0
    assert inbox.cancel("b") is True
    assert inbox.cancel("b") is False
    assert events(inbox) == []
    clock.at_s = 103.0
    assert events(inbox) == [("timer", "a")]


def test_time_never_goes_back_for_the_one_who_takes() -> None:
    clock = HandClock(100.0)
    inbox = inbox_at(clock)
    inbox.put("loops", "now")
    assert inbox.next(0) == Entry(100.0, "loops", "now", 100.0)
    clock.at_s = 101.0
    inbox.put("camera", "delivered late", seen_s=99.0)
    assert inbox.next(0) == Entry(100.0, "camera", "delivered late", 99.0)


@pytest.mark.parametrize("seen_s", [500.0, float("inf"), float("nan")])
def test_nothing_is_seen_in_the_future(seen_s: float) -> None:
    inbox = inbox_at(HandClock(100.0))
    inbox.put("camera", "x", seen_s=seen_s)
    assert inbox.next(0) == Entry(100.0, "camera", "x", 100.0)


def test_a_timer_needs_a_time() -> None:
    with pytest.raises(ValueError, match="expected a time"):
        inbox_at(HandClock()).wake_after("x", float("nan"))


def test_a_chattering_source_loses_its_own_oldest_and_the_loss_is_told_where_it_happened() -> None:
    clock = HandClock(100.0)
    inbox = inbox_at(clock, per_source=3)
    inbox.put("loops", "occupied")
    for number in range(10):
        inbox.put("scale", number)
    inbox.put("loops", "free")
    assert events(inbox) == ["occupied", ("lost", "scale", 7), 7, 8, 9, "free"]
    counts = inbox.counts()
    assert (counts.put, counts.lost, counts.waiting) == (12, {"scale": 7}, 0)


def test_after_a_told_loss_the_next_one_is_told_anew() -> None:
    inbox = inbox_at(HandClock(), per_source=1)
    inbox.put("scale", 1)
    inbox.put("scale", 2)
    assert inbox.next(0) == Entry(100.0, "scale", ("lost", "scale", 1), 100.0)
    inbox.put("scale", 3)
    assert events(inbox) == [("lost", "scale", 1), 3]


def test_a_stuck_program_does_not_fill_the_memory() -> None:
    inbox = inbox_at(HandClock(), per_source=10)
    for number in range(50_000):
        inbox.put("scale", number)
        inbox.wake_after("again", 1.0 + number)
    assert len(inbox._events) < 200
    assert len(inbox._timers) < 200
    assert inbox.counts().lost == {"scale": 49_990}
    assert events(inbox) == [("lost", "scale", 49_990), *range(49_990, 50_000)]


# --- any story at all ---


@dataclass(frozen=True)
class Put:
    source: str
    ago_s: float


@dataclass(frozen=True)
class Wake:
    key: Hashable
    after_s: float


@dataclass(frozen=True)
class Cancel:
    key: Hashable


@dataclass(frozen=True)
class Advance:
    by_s: float


@dataclass(frozen=True)
class Take:
    pass


Op = Put | Wake | Cancel | Advance | Take
seconds = st.integers(0, 8).map(lambda n: n / 4)
keys = st.sampled_from(["a", "b", "c"])
ops: st.SearchStrategy[Op] = st.one_of(
    st.builds(Put, st.sampled_from(["loops", "scale"]), seconds),
    st.builds(Wake, keys, seconds),
    st.builds(Cancel, keys),
    st.builds(Advance, seconds),
    st.builds(Take),
)


class Model:
    """Lists, sorted each time."""

    def __init__(self, per_source: int) -> None:
        self.per_source = per_source
        self.now_s = 100.0
        self.last_s = 0.0
        self.number = 0
        self.waiting: list[tuple[float, int, str, object]] = []
        self.timers: dict[Hashable, tuple[float, int]] = {}

    def play(self, op: Op) -> tuple[float, object] | None:
        self.number += 1
        match op:
            case Put(source, ago_s):
                own = [w for w in self.waiting if w[2] == source and not isinstance(w[3], list)]
                if len(own) >= self.per_source:
                    self.push_out(source, min(own, key=lambda w: w[1]))
                self.waiting.append((self.now_s - ago_s, self.number, source, self.number))
            case Wake(key, after_s):
                self.timers[key] = (self.now_s + after_s, self.number)
            case Cancel(key):
                self.timers.pop(key, None)
            case Advance(by_s):
                self.now_s += by_s
            case Take():
                return self.take()
        return None

    def push_out(self, source: str, oldest: tuple[float, int, str, object]) -> None:
        self.waiting.remove(oldest)
        gaps = [w[3] for w in self.waiting if w[2] == source and isinstance(w[3], list)]
        if gaps:
            gaps[0][0] += 1
        else:
            self.waiting.append((oldest[0], oldest[1], source, [1]))

    def take(self) -> tuple[float, object] | None:
        due = [(at_s, n, key) for key, (at_s, n) in self.timers.items() if at_s <= self.now_s]
        timer = min(due, default=None, key=lambda d: d[:2])
        event = min(self.waiting, default=None, key=lambda w: w[:2])
        if timer is not None and (event is None or timer[:2] < event[:2]):
            del self.timers[timer[2]]
            self.last_s = max(self.last_s, timer[0])
            return self.last_s, ("timer", timer[2])
        if event is None:
            return None
        self.waiting.remove(event)
        self.last_s = max(self.last_s, event[0])
        return self.last_s, ("lost", event[2], event[3][0]) if isinstance(event[3], list) else event[3]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(ops, max_size=60), st.integers(1, 4))
def test_any_story_gives_what_the_model_gives(story: list[Op], per_source: int) -> None:
    clock = HandClock(100.0)
    inbox = inbox_at(clock, per_source)
    model = Model(per_source)
    ending: list[Op] = [Advance(100.0), *[Take()] * 100]
    times = []
    for number, op in enumerate([*story, *ending], start=1):
        taken = None
        match op:
            case Put(source, ago_s):
                inbox.put(source, number, seen_s=clock.at_s - ago_s)
            case Wake(key, after_s):
                inbox.wake_after(key, after_s)
            case Cancel(key):
                inbox.cancel(key)
            case Advance(by_s):
                clock.at_s += by_s
            case Take():
                entry = inbox.next(0)
                taken = None if entry is None else (entry.at_s, entry.event)
                times += [] if entry is None else [entry.at_s]
        assert taken == model.play(op)
    assert times == sorted(times)
    assert inbox.counts().waiting == 0


# --- threads ---


def test_a_waiting_program_is_woken_by_an_event_by_a_timer_and_by_wake() -> None:
    inbox: Inbox[object] = Inbox(SystemClock(), on_timer=lambda key: key, on_lost=lambda s, n: (s, n))

    def later(what: object) -> None:
        time.sleep(0.05)
        if what is None:
            inbox.wake()
        else:
            inbox.put("other", what)

    for what in ("event", None):
        thread = threading.Thread(target=later, args=(what,))
        thread.start()
        began_s = time.monotonic()
        entry = inbox.next(20.0)
        assert time.monotonic() - began_s < 5.0
        assert (None if entry is None else entry.event) == what
        thread.join()
    inbox.wake_after("timer", 0.05)
    began_s = time.monotonic()
    entry = inbox.next(20.0)
    assert entry is not None
    assert entry.event == "timer"
    assert 0.05 <= time.monotonic() - began_s < 5.0


def test_an_earlier_timer_armed_by_another_thread_shortens_the_wait() -> None:
    inbox: Inbox[object] = Inbox(SystemClock(), on_timer=lambda key: key, on_lost=lambda s, n: (s, n))
    inbox.wake_after("far", 30.0)
    thread = threading.Timer(0.05, inbox.wake_after, ("near", 0.05))
    began_s = time.monotonic()
    thread.start()
    entry = inbox.next(20.0)
    assert time.monotonic() - began_s < 5.0
    assert entry is not None
    assert entry.event == "near"
    thread.join()


def test_from_twenty_threads_nothing_is_lost_doubled_or_out_of_its_threads_order() -> None:
    inbox: Inbox[object] = Inbox(SystemClock(), on_timer=lambda key: key, on_lost=lambda s, n: (s, n))

    def put_all(who: int) -> None:
        for number in range(500):
            inbox.put(f"t{who}", (who, number))

    threads = [threading.Thread(target=put_all, args=(who,)) for who in range(20)]
    for thread in threads:
        thread.start()
    found: list[Entry[object]] = []
    while len(found) < 10_000:
        entry = inbox.next(10.0)
        assert entry is not None
        found.append(entry)
    for thread in threads:
        thread.join()
    for who in range(20):
        assert [e.event for e in found if e.source == f"t{who}"] == [(who, n) for n in range(500)]
    assert [e.at_s for e in found] == sorted(e.at_s for e in found)
    assert inbox.next(0) is None


def test_waiting_costs_nothing() -> None:
    inbox: Inbox[object] = Inbox(SystemClock(), on_timer=lambda key: key, on_lost=lambda s, n: (s, n))
    inbox.wake_after("far", 3600.0)
    before_s = time.thread_time()
    assert inbox.next(0.5) is None
    assert time.thread_time() - before_s < 0.05
