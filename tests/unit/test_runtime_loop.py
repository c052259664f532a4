"""The loop performs in order, stops at the first failure, and never leaves quietly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from edge.runtime.clock import SystemClock
from edge.runtime.inbox import Inbox
from edge.runtime.loop import EffectFailed, Loop, Recorder


class HandClock:
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


Step = tuple[tuple[str, ...], list[str]]


def collecting(answers: dict[str, list[str]]) -> Callable[[tuple[str, ...], float, str], Step]:
    """A machine that remembers what it was told and asks for what the table says."""

    def step(state: tuple[str, ...], at_s: float, event: str) -> Step:
        return (*state, f"{at_s:g} {event}"), answers.get(event, [])

    return step


class Hands:
    """Performs by writing down; fails where told to."""

    def __init__(self, failing: dict[str, int] | None = None) -> None:
        self.done: list[str] = []
        self.failing = dict(failing or {})
        self.made_safe = 0

    def perform(self, effect: str) -> None:
        if self.failing.get(effect, 0) > 0:
            self.failing[effect] -= 1
            raise EffectFailed(f"no {effect}")
        self.done.append(effect)

    def make_safe(self) -> None:
        self.made_safe += 1


def inbox_at(clock: HandClock) -> Inbox[str]:
    return Inbox(clock, on_timer=lambda key: f"timer {key}", on_lost=lambda s, n: f"lost {n} of {s}")


def loop_of(
    inbox: Inbox[str],
    hands: Hands,
    step: Callable[[tuple[str, ...], float, str], Step],
    recorder: Recorder[tuple[str, ...], str, str] | None = None,
) -> Loop[tuple[str, ...], str, str]:
    return Loop(
        inbox,
        (),
        step,
        hands.perform,
        on_failed=lambda effect, why: f"failed {effect}: {why}",
        make_safe=hands.make_safe,
        recorder=recorder,
    )


def test_effects_are_performed_in_the_order_asked() -> None:
    inbox, hands = inbox_at(HandClock()), Hands()
    loop = loop_of(inbox, hands, collecting({"truck": ["record", "raise", "green"]}))
    inbox.put("loops", "truck")
    assert loop.run_waiting() == 1
    assert hands.done == ["record", "raise", "green"]


def test_the_first_effect_that_fails_stops_the_rest_and_is_the_next_event() -> None:
    clock = HandClock()
    inbox, hands = inbox_at(clock), Hands({"record": 1})
    answers = {"truck": ["show", "record", "raise"], "failed record: no record": ["red"]}
    loop = loop_of(inbox, hands, collecting(answers))
    inbox.put("loops", "truck")
    inbox.put("loops", "second truck")
    clock.at_s = 107.0
    loop.run_waiting()
    assert hands.done == ["show", "red"]
    assert loop.state == ("100 truck", "100 failed record: no record", "100 second truck")


def test_a_machine_that_repeats_what_fails_does_not_starve_the_others() -> None:
    inbox, hands = inbox_at(HandClock()), Hands({"record": 20})
    answers = {"truck": ["record"], "failed record: no record": ["record"]}
    loop = loop_of(inbox, hands, collecting(answers))
    inbox.put("loops", "truck")
    inbox.put("loops", "stop button")
    loop.run_waiting()
    assert loop.state.index("100 stop button") == 8
    assert loop.state.count("100 failed record: no record") == 20
    assert hands.done == ["record"]


def test_a_machine_that_raises_makes_the_program_safe_and_ends_it() -> None:
    def step(state: tuple[str, ...], at_s: float, event: str) -> Step:
        raise ZeroDivisionError("a fault of ours")

    inbox, hands = inbox_at(HandClock()), Hands()
    inbox.put("loops", "truck")
    with pytest.raises(ZeroDivisionError, match="a fault of ours"):
        loop_of(inbox, hands, step).run(signals=False)
    assert hands.made_safe == 1


def test_a_performer_that_raises_anything_else_does_so_too() -> None:
    class Broken(Hands):
        def perform(self, effect: str) -> None:
            raise KeyError(effect)

    inbox, hands = inbox_at(HandClock()), Broken()
    inbox.put("loops", "truck")
    with pytest.raises(KeyError, match="raise"):
        loop_of(inbox, hands, collecting({"truck": ["raise"]})).run(signals=False)
    assert hands.made_safe == 1


def test_the_first_fault_is_reported_even_where_making_safe_fails() -> None:
    class Hopeless(Hands):
        def make_safe(self) -> None:
            self.made_safe += 1
            raise OSError("the board is gone")

    def step(state: tuple[str, ...], at_s: float, event: str) -> Step:
        raise ZeroDivisionError("first")

    inbox, hands = inbox_at(HandClock()), Hopeless()
    inbox.put("loops", "truck")
    with pytest.raises(ZeroDivisionError, match="first"):
        loop_of(inbox, hands, step).run(signals=False)
    assert hands.made_safe == 1


def test_stopping_from_another_thread_finishes_the_entry_in_hand() -> None:
    inbox, hands = inbox_at(HandClock()), Hands()
    loop = loop_of(inbox, hands, collecting({"truck": ["record", "stop", "raise"]}))

    class Stopping(Hands):
        def perform(self, effect: str) -> None:
            super().perform(effect)
            if effect == "stop":
                thread = threading.Thread(target=loop.stop)
                thread.start()
                thread.join()

    hands = Stopping()
    loop._perform = hands.perform
    inbox.put("loops", "truck")
    inbox.put("loops", "second truck")
    assert loop.run(signals=False) is None
    assert hands.done == ["record", "stop", "raise"]
    assert hands.made_safe == 0
    assert inbox.counts().waiting == 1


PROGRAM = """
import sys, time
from edge.runtime.clock import SystemClock
from edge.runtime.clock import SystemClock
from edge.runtime.inbox import Inbox
from edge.runtime.log import set_up_log
from edge.runtime.loop import Loop
set_up_log()
inbox = Inbox(SystemClock(), on_timer=lambda key: key, on_lost=lambda s, n: s)
def step(state, at_s, event):
    print("stepping", flush=True)
    time.sleep(0.3)
    return state + 1, ["effect"]
def perform(effect):
    print("performed", flush=True)
make_safe = lambda: print("made safe", flush=True)
loop = Loop(inbox, 0, step, perform, on_failed=lambda f, w: f, make_safe=make_safe)
inbox.put("x", "one")
print("ended by", loop.run(), flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX knows them")
@pytest.mark.parametrize("asked", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_program_cleanly_between_two_entries(asked: signal.Signals) -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert program.stdout is not None
    with program.stdout as said:
        assert said.readline() == "stepping\n"
        began_s = time.monotonic()
        os.kill(program.pid, asked)
        assert said.read() == f"performed\nended by {asked.name}\n"
    assert program.wait(10) == 0
    assert time.monotonic() - began_s < 5.0


@pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX knows them")
def test_a_signal_ends_a_program_that_waits_and_its_handlers_are_given_back() -> None:
    inbox: Inbox[str] = Inbox(SystemClock(), on_timer=lambda key: "timer", on_lost=lambda s, n: "lost")
    before = signal.getsignal(signal.SIGTERM)
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    began_s = time.monotonic()
    assert loop_of(inbox, Hands(), collecting({})).run() == "SIGTERM"
    assert time.monotonic() - began_s < 5.0
    timer.join()
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_loop_that_was_stopped_gives_the_signals_back() -> None:
    inbox: Inbox[str] = Inbox(SystemClock(), on_timer=lambda key: "timer", on_lost=lambda s, n: "lost")
    before = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)]
    loop = loop_of(inbox, Hands(), collecting({}))
    loop.stop()
    assert loop.run() is None
    assert [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)] == before


def test_an_idle_loop_costs_next_to_nothing() -> None:
    inbox: Inbox[str] = Inbox(SystemClock(), on_timer=lambda key: "timer", on_lost=lambda s, n: "lost")
    loop = loop_of(inbox, Hands(), collecting({}))
    threading.Timer(1.0, loop.stop).start()
    before_s = time.thread_time()
    loop.run(signals=False)
    assert time.thread_time() - before_s < 0.05


def test_the_loop_says_that_it_is_alive_on_every_turn_and_falls_silent_when_it_hangs() -> None:
    inbox: Inbox[str] = Inbox(SystemClock(), on_timer=lambda key: "timer", on_lost=lambda s, n: "lost")
    alive: list[float] = []
    hangs, goes_on = threading.Event(), threading.Event()

    def step(state: tuple[str, ...], at_s: float, event: str) -> Step:
        hangs.set()
        goes_on.wait(10.0)
        return state, []

    loop: Loop[tuple[str, ...], str, str] = Loop(
        inbox,
        (),
        step,
        Hands().perform,
        on_failed=lambda effect, why: "failed",
        make_safe=lambda: None,
        alive=lambda: alive.append(time.monotonic()),
    )
    thread = threading.Thread(target=loop.run, kwargs={"signals": False})
    thread.start()
    time.sleep(0.7)
    while_idle = len(alive)
    inbox.put("loops", "truck")
    assert hangs.wait(5.0)
    time.sleep(0.1)
    before = len(alive)
    time.sleep(0.6)
    while_hung = len(alive) - before
    goes_on.set()
    time.sleep(0.3)
    after = len(alive) - before
    loop.stop()
    thread.join(5.0)
    assert while_idle >= 3
    assert while_hung == 0
    assert after >= 1
