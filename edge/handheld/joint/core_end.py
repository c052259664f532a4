"""The core's end: listens on the loopback, hears one glass at a time, shows it views. Decides nothing.

Events go into the inbox one at a time: the next when the one before is done. So every commit until then
came of that event, and the mark it carries (see `marks`) says exactly what a restarted core need not be
told again.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, assert_never

import structlog

from edge.handheld.joint.codec import Codec, NoSuchMessage
from edge.handheld.joint.line import Line
from edge.handheld.joint.marks import Mark
from edge.handheld.joint.messages import (
    Asked,
    CoreHello,
    Done,
    Ended,
    Fetch,
    Fetched,
    GlassHello,
    Said,
    Shown,
    Upward,
)
from edge.handheld.joint.place import forget_place, say_place
from edge.handheld.joint.wire import TOKEN_BYTES, NotOurs

_MOST_CONNECTIONS: Final = 8
"""Whoever greets and then says nothing is gone after five seconds; beyond this many they are hung up at
once.
"""
_FLUSH_TIMEOUT_S: Final = 2.0


class CoreEnd:
    def __init__(
        self,
        folder: Path,
        codec: Codec,
        *,
        version: str,
        done: Mark | None,
        heard: Callable[[Mark, Any], None],
        fetch: Callable[[str], bytes | None],
        glass_changed: Callable[[bool], None],
    ) -> None:
        """`done`: the mark found in the memory (see `marks`). `heard(mark, event)`, on any thread: for the
        inbox, each mark once and in order, the next after `done` for this one. `fetch(name)`, on another
        thread: bytes the core keeps, or None.
        `glass_changed(there)`: a glass came or left."""
        self._folder = folder
        self._codec = codec
        self._version = version
        self._heard = heard
        self._fetch = fetch
        self._glass_changed = glass_changed
        self._run = secrets.token_hex(8)
        self._lock = threading.RLock()
        self._server: socket.socket | None = None
        self._accepting: threading.Thread | None = None
        self._lines: dict[Line, threading.Thread] = {}
        self._glass: Line | None = None
        self._taken = done
        """The last mark that was accepted."""
        self._done = done
        self._waiting: deque[tuple[Mark, Any]] = deque()
        self._in_hand: Mark | None = None
        self._view: bytes | None = None
        self._log = structlog.get_logger("joint")

    @property
    def has_glass(self) -> bool:
        return self._glass is not None

    def start(self) -> None:
        """Listen and say where. Raises `OSError`."""
        token = secrets.token_bytes(TOKEN_BYTES)
        server = socket.create_server(("127.0.0.1", 0))
        self._server = server
        self._accepting = threading.Thread(
            target=self._accept, args=(server, token), name="joint-core", daemon=True
        )
        self._accepting.start()
        say_place(self._folder, server.getsockname()[1], token)

    def show(self, view: Any) -> None:
        """The newest view; kept for a glass that comes later."""
        content = self._codec.encode(Shown(view))
        with self._lock:
            self._view = content
            if self._glass is not None:
                self._glass.send_newest(content)

    def ask(self, effect: Any) -> bool:
        """False: no glass is there to do it."""
        with self._lock:
            return self._glass is not None and self._glass.send(self._codec.encode(Asked(effect)))

    def done(self, mark: Mark) -> None:
        """The event of this mark was stepped, and what came of it is performed."""
        with self._lock:
            self._done = mark
            if self._in_hand == mark:
                self._in_hand = None
            if self._glass is not None and self._taken is not None and self._taken.run == mark.run:
                self._glass.send(self._codec.encode(Done(mark.number)))
        self._hand_on()

    def stop(self, why: str) -> None:
        """Tells the glass that no core follows by itself, and why."""
        forget_place(self._folder)
        with self._lock:
            server, self._server = self._server, None
            lines = dict(self._lines)
            if self._glass is not None:
                self._glass.send(self._codec.encode(Ended(why)))
        if server is not None:
            # shutdown wakes the accept on Linux, close does on Windows
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            server.close()
        for line in lines:
            line.close(flush=True)
        for line, thread in lines.items():
            thread.join(_FLUSH_TIMEOUT_S)
            line.close()
            thread.join(_FLUSH_TIMEOUT_S)
        if self._accepting is not None:
            self._accepting.join(_FLUSH_TIMEOUT_S)

    # --- own threads ---

    def _accept(self, server: socket.socket, token: bytes) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                if self._server is None:
                    return
                continue
            with self._lock:
                if self._server is None or len(self._lines) >= _MOST_CONNECTIONS:
                    connection.close()
                    continue
                self._serve(connection, token)

    def _serve(self, connection: socket.socket, token: bytes) -> None:
        def hear(content: bytes) -> None:
            self._hear(line, content)

        def run() -> None:
            why = line.run()
            with self._lock:
                self._lines.pop(line, None)
                was_glass = self._glass is line
                if was_glass:
                    self._glass = None
            if was_glass:
                self._log.info("the screens are gone", why=why)
                self._glass_changed(False)
            else:
                self._log.warning("a connection ended that was not our screens", why=why)

        line = Line(connection, token, is_core=True, heard=hear)
        thread = threading.Thread(target=run, name="joint-glass", daemon=True)
        self._lines[line] = thread
        thread.start()

    def _hear(self, line: Line, content: bytes) -> None:
        try:
            message: Upward = self._codec.upward(content)
        except NoSuchMessage as error:
            raise NotOurs(f"not a message of version {self._version}: {error}") from error
        match message:
            case GlassHello(run, version, first):
                self._welcome(line, run, version, first)
            case Said(number, event):
                self._take(line, number, event)
            case Fetch(number, name):
                self._give(line, number, name)
            case _:
                assert_never(message)

    def _welcome(self, line: Line, run: str, version: str, first: int) -> None:
        if version != self._version:
            line.send(self._codec.encode(Ended(f"version {self._version} here, {version} there")))
            line.close(flush=True)
            return
        with self._lock:
            before, self._glass = self._glass, line
            # What it said on its last connection and still waits here it will say again: taken, not taken
            # twice.
            known = self._taken.number if self._taken is not None and self._taken.run == run else 0
            self._taken = Mark(run, max(known, first - 1))
            number = self._done.number if self._done is not None and self._done.run == run else 0
            line.send(self._codec.encode(CoreHello(self._run, self._version, number)))
            if self._view is not None:
                line.send_newest(self._view)
        if before is not None and before is not line:
            before.close()
        self._glass_changed(True)

    def _take(self, line: Line, number: int, event: Any) -> None:
        with self._lock:
            taken = self._taken
            if self._glass is not line or taken is None:
                raise NotOurs("it spoke before its greeting, or another glass took its place")
            if number <= taken.number:
                return
            if number != taken.number + 1:
                raise NotOurs(f"expected number {taken.number + 1}, got {number}")
            self._taken = mark = Mark(taken.run, number)
            self._waiting.append((mark, event))
        self._hand_on()

    def _hand_on(self) -> None:
        with self._lock:
            if self._in_hand is not None or not self._waiting:
                return
            mark, event = self._waiting.popleft()
            self._in_hand = mark
        self._heard(mark, event)

    def _give(self, line: Line, number: int, name: str) -> None:
        try:
            content = self._fetch(name)
            why = "" if content is not None else "not there"
        except OSError as error:
            content, why = None, error.strerror or str(error)
        line.send(self._codec.encode(Fetched(number, content, why)))
