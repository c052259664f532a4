"""The program loop: take an entry, step, perform what the step asks, in order. No program words here.

`step(state, at_s, event) -> (state, effects)` is pure; whoever performs an effect raises `EffectFailed` where
it could not be done. Then the effects after it are not performed, and the failure is the next event the step
sees, before anything that waits. Anything else that is raised is a fault of the program: it makes itself safe
and ends with the exception, so that whoever started it starts it again from a known state.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final, Generic, Protocol, TypeVar

import structlog

from edge.runtime.inbox import Entry, Inbox

S = TypeVar("S")
E = TypeVar("E")
F = TypeVar("F")
S_contra = TypeVar("S_contra", contravariant=True)
F_contra = TypeVar("F_contra", contravariant=True)

FAILED_EFFECTS: Final = "effects"
"""The source named on entries that are failed effects."""

# A step that answers a failure with what fails again gets this many turns before others have theirs.
_FAILURES_AT_ONCE: Final = 8

# A signal handler may not touch the inbox (it may interrupt its own thread inside it), so the loop looks.
_LOOK_EVERY_S: Final = 0.2


class EffectFailed(Exception):
    """The effect was not carried out; the text says why, for an officer to read."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Recorder(Protocol[S_contra, E, F_contra]):
    """Calls must not raise."""

    def took(self, entry: Entry[E]) -> None:
        """Before the entry is stepped."""

    def asked(self, state: S_contra, effects: Sequence[F_contra]) -> None:
        """After it was stepped, before anything is performed."""


class Loop(Generic[S, E, F]):
    def __init__(
        self,
        inbox: Inbox[E],
        state: S,
        step: Callable[[S, float, E], tuple[S, Sequence[F]]],
        perform: Callable[[F], None],
        *,
        on_failed: Callable[[F, str], E],
        make_safe: Callable[[], None],
        recorder: Recorder[S, E, F] | None = None,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_failed(effect, why)` makes the event of a failed effect. `make_safe()` is called once if the
        program breaks; it must not rely on the state. `alive()` is called on every turn of `run`, several
        times a second, and by nobody else: a loop that hangs falls silent."""
        self.state = state
        self._inbox = inbox
        self._step = step
        self._perform = perform
        self._on_failed = on_failed
        self._make_safe = make_safe
        self._recorder = recorder
        self._alive = alive
        self._stop = threading.Event()
        self._stopped_by: str | None = None

    def stop(self) -> None:
        """From any thread: `run` returns after the entry in hand, all its effects included."""
        self._stop.set()
        self._inbox.wake()

    def run(self, *, signals: bool = True) -> str | None:
        """Until `stop()`, SIGTERM or SIGINT (a second signal acts as if there were no loop).

        Returns the name of the signal that ended it, None after `stop()`. Raises whatever `step` or
        `perform` raised (other than `EffectFailed`), after `make_safe()`.
        """
        log = structlog.get_logger("loop")
        try:
            with self._listening(signals):
                while not self._stop.is_set():
                    self._alive()
                    entry = self._inbox.next(_LOOK_EVERY_S)
                    if entry is not None:
                        self._handle(entry)
        except BaseException as broken:
            log.critical("the program is broken and makes itself safe", exc_info=broken)
            try:
                self._make_safe()
            except Exception as unsafe:
                log.critical("it could not make itself safe", exc_info=unsafe)
            raise
        if self._stopped_by is not None:
            log.info("stopped by signal", signal=self._stopped_by)
        return self._stopped_by

    def run_waiting(self) -> int:
        """Handle what is due now and return how many entries that was."""
        handled = 0
        while (entry := self._inbox.next(0)) is not None:
            self._handle(entry)
            handled += 1
        return handled

    def _handle(self, entry: Entry[E]) -> None:
        for _ in range(_FAILURES_AT_ONCE):
            if self._recorder is not None:
                self._recorder.took(entry)
            self.state, effects = self._step(self.state, entry.at_s, entry.event)
            if self._recorder is not None:
                self._recorder.asked(self.state, effects)
            failure = self._perform_until_failure(effects)
            if failure is None:
                return
            entry = Entry(entry.at_s, FAILED_EFFECTS, failure, entry.at_s)
        self._inbox.put(FAILED_EFFECTS, entry.event)

    def _perform_until_failure(self, effects: Sequence[F]) -> E | None:
        for number, effect in enumerate(effects):
            try:
                self._perform(effect)
            except EffectFailed as failed:
                structlog.get_logger("loop").warning(
                    "an effect failed",
                    effect=type(effect).__name__,
                    why=failed.why,
                    not_performed=[type(e).__name__ for e in effects[number + 1 :]],
                )
                return self._on_failed(effect, failed.why)
        return None

    @contextmanager
    def _listening(self, signals: bool) -> Iterator[None]:
        before: dict[signal.Signals, Any] = {}

        def ask_to_stop(number: int, frame: FrameType | None) -> None:
            self._stopped_by = signal.Signals(number).name
            self._stop.set()
            for each, handler in before.items():
                signal.signal(each, handler)

        if signals:
            for each in _STOP_SIGNALS:
                before[each] = signal.getsignal(each)
            for each in _STOP_SIGNALS:
                signal.signal(each, ask_to_stop)
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)


_STOP_SIGNALS: Final = tuple(
    signal.Signals[name] for name in ("SIGTERM", "SIGINT", "SIGBREAK") if name in signal.Signals.__members__
)
