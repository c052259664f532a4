"""The core on a thread of this program: what Android's service is there, behind the same socket."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

import structlog

from edge.handheld.ports import PortFailed

_STOP_TIMEOUT_S: Final = 20.0


class ThreadAttendant:
    """The thread ends with the program: call `stop` first, or what is not durable yet is lost as in a
    crash.
    """

    def __init__(self, run: Callable[[Callable[[], None]], None], stop: Callable[[], None]) -> None:
        """`run(begun)` is the core's whole life; it calls `begun` when it is open and listens. `stop` asks
        it to end, from any thread."""
        self._run = run
        self._ask_to_stop = stop
        self._thread: threading.Thread | None = None
        self._begun = threading.Event()
        self._broken: BaseException | None = None

    def start(self) -> None:
        """Returns when the core is open. Raises whatever kept it from opening: on a desk one reads it."""
        if self._thread is not None and self._thread.is_alive():
            return
        self._broken = None
        self._begun.clear()
        self._thread = threading.Thread(target=self._live, name="handheld-core", daemon=True)
        self._thread.start()
        self._begun.wait()
        if self._broken is not None:
            raise self._broken

    def stop(self) -> None:
        thread = self._thread
        if thread is None:
            return
        self._ask_to_stop()
        thread.join(_STOP_TIMEOUT_S)
        if thread.is_alive():
            raise PortFailed("the core did not end: what it holds is written, its links are not closed")
        self._thread = None

    def _live(self) -> None:
        try:
            self._run(self._begun.set)
        except BaseException as broken:  # noqa: BLE001  whatever ended it is told to whoever started it
            was_open = self._begun.is_set()
            self._broken = broken
            if was_open:
                structlog.get_logger("core").critical("the core is broken", exc_info=broken)
        finally:
            self._begun.set()
