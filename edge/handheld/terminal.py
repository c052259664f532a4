"""A glass made of lines: what a screen would show goes out as JSON, what an officer would do comes in so.
For tests, for scripts, and for people without a display. Decides nothing.

In: `{"n": 1, "event": {"is": "Scanned", "text": "YT..."}}`, numbered from 1 in each run. Out: `{"view": ...}`
when something changed, `{"ask": ...}` for tones and the like, `{"done": 1}` when all that came of an event is
durable, `{"found": {"run": ..., "number": 7}}` when the stores were opened: so far it was heard before.
"""

from __future__ import annotations

import json
import sys
import threading
from collections import deque
from typing import Any, Final, TextIO, Union

import msgspec

from edge.handheld.app import INTENTS, View
from edge.handheld.events import (
    BatteryChanged,
    Captured,
    EvidenceFailed,
    Paused,
    ReadGarbled,
    Resumed,
    Scanned,
    SettingsChanged,
    Touched,
)
from edge.handheld.joint.marks import Mark
from edge.handheld.live import LiveChanged, LiveClosed
from edge.handheld.performer import GlassEffect
from edge.handheld.view import GoTo, NoticePutAway
from edge.handheld.wiring import Core
from edge.runtime.plain import NotThisShape, plain, value_of

EVENTS: Final[Any] = Union[
    (
        *INTENTS,
        Scanned,
        ReadGarbled,
        GoTo,
        NoticePutAway,
        SettingsChanged,
        BatteryChanged,
        Captured,
        EvidenceFailed,
        LiveChanged,
        LiveClosed,
        Paused,
        Resumed,
        Touched,
    )
]
"""All that a glass may say."""

MOST_LINE: Final = 24_000_000


class Terminal:
    """Reads lines on a thread of its own; writes from the core's."""

    def __init__(self, core: Core, run: str, lines: TextIO, out: TextIO) -> None:
        self._core = core
        self._run = run
        self._lines = lines
        self._out = out
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Mark, Any]] = deque()
        self._in_hand: Mark | None = None
        self._last = ""
        self._told_found = False

    def start(self) -> None:
        threading.Thread(target=self._read, name="handheld-lines", daemon=True).start()

    # --- the core's thread ---

    def show(self, shown: View) -> None:
        found = self._core.found_mark()
        if found is not None and not self._told_found:
            self._told_found = True
            self._say({"found": {"run": found.run, "number": found.number}})
        text = json.dumps({"view": plain(shown)}, ensure_ascii=False)
        if text != self._last:
            self._last = text
            self._write(text)

    def ask(self, effect: GlassEffect) -> bool:
        self._say({"ask": plain(effect)})
        return True

    def done(self, mark: Mark) -> None:
        self._say({"done": mark.number})
        with self._lock:
            self._in_hand = None
        self._hand_on()

    # --- the thread that reads ---

    def _read(self) -> None:
        for line in self._lines:
            if line.strip():
                self._take(line)
        self._core.stop()

    def _take(self, line: str) -> None:
        try:
            if len(line) > MOST_LINE:
                raise NotThisShape(f"a line of {len(line)} characters")
            # Not the standard library's: it takes halves of characters, which nothing can write down.
            said = msgspec.json.decode(line)
            mark = Mark(self._run, int(said["n"]))
            event = value_of(EVENTS, said["event"])
        except (msgspec.MsgspecError, ValueError, KeyError, TypeError, RecursionError) as error:
            self._say({"refused": f"{type(error).__name__}: {error}"[:400]})
            return
        with self._lock:
            self._waiting.append((mark, event))
        self._hand_on()

    def _hand_on(self) -> None:
        with self._lock:
            if self._in_hand is not None or not self._waiting:
                return
            mark, event = self._waiting.popleft()
            self._in_hand = mark
        self._core.heard(mark, event)

    # --- out ---

    def _say(self, value: Any) -> None:
        self._write(json.dumps(value, ensure_ascii=False))

    def _write(self, text: str) -> None:
        with self._lock:
            try:
                self._out.write(text + "\n")
                self._out.flush()
            except OSError:
                # Whoever read has gone: the core goes on until it is told to stop.
                pass


def standard(core: Core, run: str) -> Terminal:
    return Terminal(core, run, sys.stdin, sys.stdout)
