"""The program loop: take an entry, step, perform what the step asks, in order. No program words here.

`step(state, at_s, event) -> (state, effects)` is pure; whoever performs an effect raises `EffectFailed` where
it could not be done. Then the effects after it are not performed, and the failure is the next event the step
sees, before anything that waits. Anything else that is raised is a fault of the program: it makes itself safe
and ends with the exception, so that whoever started it starts it again from a known state.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO, Any, Final, Generic, Literal, Protocol, TypeVar

import structlog

from edge.runtime.clock import Clock
from edge.runtime.inbox import Entry, Inbox

S = TypeVar("S")
E = TypeVar("E")
F = TypeVar("F")

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


class Recorder(Protocol[E]):
    def write(self, entry: Entry[E]) -> None:
        """Called before the entry is stepped. Must not raise."""


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
        recorder: Recorder[E] | None = None,
    ) -> None:
        """`on_failed(effect, why)` makes the event of a failed effect. `make_safe()` is called once if the
        program breaks; it must not rely on the state."""
        self.state = state
        self._inbox = inbox
        self._step = step
        self._perform = perform
        self._on_failed = on_failed
        self._make_safe = make_safe
        self._recorder = recorder
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
                self._recorder.write(entry)
            self.state, effects = self._step(self.state, entry.at_s, entry.event)
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


# --- what a program was told, kept so that it can be played again ---


@dataclass(frozen=True, slots=True)
class Recorded:
    """One line of a recording. `event` is what the encoder wrote, as plain JSON values."""

    at_s: float
    source: str
    seen_s: float
    event: Any


class Recording(Generic[E]):
    """JSON lines of every entry stepped, failures of effects included, in the order stepped.

    Each run begins with a line `{"began": utc, "boot_id": …, "at_s": …}`. At `most_bytes` the file becomes
    `<name>.1` (replacing an older one) and a new one begins. A disk that refuses ends the recording, says so
    in the log, and stops nothing else.
    """

    def __init__(
        self, path: Path, encode: Callable[[E], bytes], clock: Clock, *, most_bytes: int = 64_000_000
    ) -> None:
        self._path = path
        self._encode = encode
        self._clock = clock
        self._most_bytes = most_bytes
        self._written = 0
        self._file: IO[bytes] | None = None
        self.unrecorded = 0
        """Entries not recorded: the disk refused, or their event could not be encoded."""
        try:
            self._begin("ab")
        except OSError as error:
            self._give_up(error)

    def write(self, entry: Entry[E]) -> None:
        if self._file is None:
            self.unrecorded += 1
            return
        head = json.dumps({"at_s": entry.at_s, "source": entry.source, "seen_s": entry.seen_s})
        try:
            line = head[:-1].encode() + b', "event": ' + self._encode(entry.event) + b"}\n"
        except Exception as error:  # noqa: BLE001 - whatever an encoder cannot do, a lane must not stop for it
            self.unrecorded += 1
            kind = type(entry.event).__name__
            structlog.get_logger("recording").error("an event cannot be recorded", kind=kind, exc_info=error)
            return
        try:
            self._append(line)
            if self._written >= self._most_bytes:
                self._file.close()
                self._path.replace(self._path.with_name(self._path.name + ".1"))
                self._begin("wb")
        except OSError as error:
            self._give_up(error)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin(self, mode: str) -> None:
        # Unbuffered: what a killed program was told last is what one wants to read.
        self._file = self._path.open(mode, buffering=0)
        self._written = self._file.tell()
        began = {
            "began": self._clock.utc_text(),
            "boot_id": self._clock.boot_id(),
            "at_s": self._clock.monotonic_s(),
        }
        # The run before may have been killed in the middle of a line.
        self._append((b"\n" if self._written else b"") + json.dumps(began).encode() + b"\n")

    def _append(self, line: bytes) -> None:
        if self._file is None:
            return
        taken = self._file.write(line)
        self._written += taken
        if taken < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _give_up(self, error: OSError) -> None:
        self.close()
        self.unrecorded += 1
        structlog.get_logger("recording").error("recording ends", path=str(self._path), why=str(error))


def read_recording(path: Path) -> Iterator[Recorded]:
    """The entries of a recording. A line cut off by a kill (the last of its run) is left out; for any other
    bad line: `ValueError` naming it."""
    with path.open("rb") as lines:
        cut_off: ValueError | None = None
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            entry = _entry_of(line)
            if entry == "began":
                cut_off = None
                continue
            if cut_off is not None:
                raise cut_off
            if entry is None:
                cut_off = ValueError(f"{path}, line {number}: expected an entry, got {line[:80]!r}")
            else:
                yield entry
        if cut_off is not None and line.endswith(b"\n"):
            raise cut_off


def _entry_of(line: bytes) -> Recorded | Literal["began"] | None:
    try:
        fields = json.loads(line)
        if "began" in fields:
            return "began"
        return Recorded(fields["at_s"], fields["source"], fields["seen_s"], fields["event"])
    except (ValueError, KeyError, TypeError):
        return None
