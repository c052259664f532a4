"""The guard with its state, for sources that call from threads of their own. Decides nothing itself."""

from __future__ import annotations

import threading
from collections.abc import Callable

from edge.reading.guard import GuardSettings, GuardState, step
from edge.reading.scans import NotACode, ScanSeen


class Guarded:
    """Called with what was read; calls `told` with what passed, on the caller's thread."""

    def __init__(
        self, told: Callable[[ScanSeen | NotACode], None], settings: GuardSettings | None = None
    ) -> None:
        self._told = told
        self._settings = settings or GuardSettings()
        self._lock = threading.Lock()
        self._state = GuardState()

    def __call__(self, seen: ScanSeen | NotACode) -> None:
        with self._lock:
            self._state, passed = step(self._state, seen, self._settings)
        for each in passed:
            self._told(each)
