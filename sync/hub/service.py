"""What the hub tells the service manager that started it: ready, alive, stopping (sd_notify(3), by socket).

Nothing here waits, and nothing here can fail a program: without a manager every call does nothing. The edge
has the same few lines in `edge/runtime/service.py`, since neither room may import the other.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping

FEEDS_IN_A_TERM = 4
"""The manager loses patience after one term without a word; so many are sent within it."""


class Service:
    """Used by one thread: the one whose life it vouches for."""

    def __init__(self, address: str = "", term_s: float = 0.0) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._every_s = term_s / FEEDS_IN_A_TERM
        self._fed_s = float("-inf")
        self._socket: socket.socket | None = None
        if address[:1] in ("@", "/") and hasattr(socket, "AF_UNIX"):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Service:
        """From NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, as the manager sets them."""
        term_us = environment.get("WATCHDOG_USEC", "")
        meant = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        term_s = int(term_us) / 1e6 if term_us.isdecimal() and meant else 0.0
        return cls(environment.get("NOTIFY_SOCKET", ""), term_s)

    def ready(self, status: str = "") -> None:
        """Once, when the program is safe and listens."""
        self._say("READY=1", *([f"STATUS={_one_line(status)}"] if status else []))

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._say(f"STATUS={_one_line(text)}")

    def alive(self) -> None:
        """Call it as often as you like, from the thread whose progress matters and from nowhere else."""
        if self._every_s <= 0.0 or self._socket is None:
            return
        now_s = time.monotonic()
        if now_s - self._fed_s >= self._every_s:
            self._fed_s = now_s
            self._say("WATCHDOG=1")

    def stopping(self) -> None:
        """Before ports and files are closed."""
        self._say("STOPPING=1")

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _say(self, *words: str) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.sendto("\n".join(words).encode(), self._address)


def _one_line(text: str) -> str:
    return " ".join(text.split())
