"""How a simulator in real time is operated: signals that end it, commands a line each, and when all is over.

Signals and commands wake the one poll loop of a shell; what a command means is the shell's own.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Callable, Iterator

READ_SIZE = 4096
SETTLE_S = 5.0
"""Virtual seconds between the end of the last vehicle, or parcel, and `DONE`."""


@contextlib.contextmanager
def woken_by_signals(poll: select.poll, stop: Callable[[], None]) -> Iterator[None]:
    """While it lasts SIGTERM and SIGINT call `stop` and end the poll that waits."""
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    poll.register(wake_read, select.POLLIN)
    before = {
        number: signal.signal(number, lambda number, frame: stop())
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    old_wakeup = signal.set_wakeup_fd(wake_write)
    try:
        yield
    finally:
        signal.set_wakeup_fd(old_wakeup)
        for number, action in before.items():
            signal.signal(number, action)
        os.close(wake_read)
        os.close(wake_write)


class Commands:
    """Lines that come in any slices."""

    def __init__(self, poll: select.poll) -> None:
        self._poll = poll
        self._typed = b""
        self.fd = -1
        """-1: nobody gives any, or no more."""

    def listen(self, fd: int) -> None:
        """Nothing where it is negative."""
        if fd >= 0:
            self.fd = fd
            self._poll.register(fd, select.POLLIN)

    def heard(self) -> list[str]:
        """To be called when `fd` can be read."""
        data = os.read(self.fd, READ_SIZE)
        if not data:
            self._poll.unregister(self.fd)
            self.fd = -1
            return []
        *lines, self._typed = (self._typed + data).split(b"\n")
        return [line.decode("utf-8", errors="replace").strip() for line in lines]


class Ending:
    """All is over, and has been for `SETTLE_S`: said once, and again only when more has come meanwhile."""

    def __init__(self) -> None:
        self._since_s: float | None = None

    def is_reached(self, now_s: float, is_over: bool) -> bool:
        if not is_over:
            self._since_s = None
        elif self._since_s is None:
            self._since_s = now_s
        elif self._since_s >= 0.0 and now_s - self._since_s >= SETTLE_S:
            self._since_s = -1.0
            return True
        return False
