"""The glass's end: finds its core, says what happened until it is done, hears what to show. Decides
nothing.
"""

from __future__ import annotations

import secrets
import socket
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, assert_never

import structlog

from edge.handheld.joint.codec import Codec, NoSuchMessage
from edge.handheld.joint.line import Line
from edge.handheld.joint.messages import (
    Asked,
    CoreHello,
    Done,
    Downward,
    Ended,
    Fetch,
    Fetched,
    GlassHello,
    Said,
    Shown,
)
from edge.handheld.joint.place import find_place
from edge.handheld.joint.wire import NotOurs

MOST_UNSAID: Final = 500
"""Touches and scans that wait for a core that is being started again; more are refused aloud."""

_CONNECT_TIMEOUT_S: Final = 2.0
_AGAIN_FIRST_S: Final = 0.05
_AGAIN_LONGEST_S: Final = 1.0
_STOP_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class CoreThere:
    run: str
    """Another than before: the core was started again."""


@dataclass(frozen=True, slots=True)
class CoreGone:
    """It is called again by itself, unless `for_good`."""

    why: str
    for_good: bool = False


FromCore = Shown | Asked | Fetched | CoreThere | CoreGone


class GlassEnd:
    def __init__(self, folder: Path, codec: Codec, *, version: str, told: Callable[[FromCore], None]) -> None:
        """`told` is called on a thread of this end: it only hands on to the screens' own thread."""
        self._folder = folder
        self._codec = codec
        self._version = version
        self._told = told
        self._run = secrets.token_hex(8)
        self._lock = threading.RLock()
        self._number = 0
        self._unsaid: deque[Said] = deque()
        self._fetches = 0
        self._line: Line | None = None
        self._is_welcome = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._stay_connected, name="joint-glass-end", daemon=True)
        self._log = structlog.get_logger("joint")

    def start(self) -> None:
        self._thread.start()

    def say(self, event: Any) -> bool:
        """From any thread; never waits. It reaches the core even if that has to be started again first.

        False: too much waits already, this was not taken; tell the officer.
        """
        with self._lock:
            if len(self._unsaid) >= MOST_UNSAID:
                return False
            self._number += 1
            said = Said(self._number, event)
            self._unsaid.append(said)
            if self._line is not None and self._is_welcome:
                self._line.send(self._codec.encode(said))
            return True

    def fetch(self, name: str) -> int:
        """Answered by `Fetched` of this number, unless the core goes first."""
        with self._lock:
            self._fetches += 1
            if self._line is not None and self._is_welcome:
                self._line.send(self._codec.encode(Fetch(self._fetches, name)))
            return self._fetches

    @property
    def waiting(self) -> int:
        """Events the core has not done yet."""
        with self._lock:
            return len(self._unsaid)

    def stop(self) -> None:
        self._stop.set()
        with self._lock:
            line = self._line
        if line is not None:
            line.close(flush=True)
            self._thread.join(1.0)
            line.close()
        if self._thread.is_alive():
            self._thread.join(_STOP_TIMEOUT_S)

    # --- own thread ---

    def _stay_connected(self) -> None:
        again_s = _AGAIN_FIRST_S
        while not self._stop.is_set():
            why = self._talk()
            if why is None or self._stop.is_set():
                return
            with self._lock:
                was_welcome, self._is_welcome, self._line = self._is_welcome, False, None
            if was_welcome:
                again_s = _AGAIN_FIRST_S
                self._told(CoreGone(why))
            self._stop.wait(again_s)
            again_s = min(2 * again_s, _AGAIN_LONGEST_S)

    def _talk(self) -> str | None:
        """Why the connection ended; None: for good, and it was told."""
        place = find_place(self._folder)
        if place is None:
            return "no core"
        port, token = place
        try:
            connection = socket.create_connection(("127.0.0.1", port), _CONNECT_TIMEOUT_S)
        except OSError as error:
            return error.strerror or str(error)
        ended: list[str] = []
        line = Line(connection, token, is_core=False, heard=lambda content: self._hear(content, ended))
        with self._lock:
            self._line = line
            first = self._unsaid[0].number if self._unsaid else self._number + 1
            line.send(self._codec.encode(GlassHello(self._run, self._version, first)))
        why = line.run()
        if ended:
            with self._lock:
                self._is_welcome, self._line = False, None
            self._told(CoreGone(ended[0], for_good=True))
            return None
        self._log.info("the core is gone", why=why)
        return why

    def _hear(self, content: bytes, ended: list[str]) -> None:
        try:
            message: Downward = self._codec.downward(content)
        except NoSuchMessage as error:
            raise NotOurs(f"not a message of version {self._version}: {error}") from error
        match message:
            case CoreHello(run, _, done):
                self._welcomed(run, done)
            case Done(number):
                self._forget(number)
            case Shown() | Asked() | Fetched():
                self._told(message)
            case Ended(why):
                ended.append(why)
                raise NotOurs(why)
            case _:
                assert_never(message)

    def _welcomed(self, run: str, done: int) -> None:
        self._told(CoreThere(run))
        with self._lock:
            self._forget(done)
            self._is_welcome = True
            for said in self._unsaid:
                if self._line is not None:
                    self._line.send(self._codec.encode(said))

    def _forget(self, number: int) -> None:
        with self._lock:
            while self._unsaid and self._unsaid[0].number <= number:
                self._unsaid.popleft()
