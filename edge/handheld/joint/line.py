"""One connection between core and glass, with the two threads that serve it. Knows no message's meaning."""

from __future__ import annotations

import contextlib
import secrets
import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from edge.handheld.joint.wire import RANDOM_BYTES, Cutter, NotOurs, Seal, greeting

_FIRST_FRAME_TIMEOUT_S: Final = 5.0
_JOIN_TIMEOUT_S: Final = 5.0
_MOST_UNSENT: Final = 2_000
_CHUNK_BYTES: Final = 262_144


class Line:
    """`run` reads until the end, on the calling thread; what is sent goes out on a thread of its own."""

    def __init__(
        self, connection: socket.socket, token: bytes, *, is_core: bool, heard: Callable[[bytes], None]
    ) -> None:
        """`heard(message)` is called by `run`; it may raise `NotOurs` to hang up."""
        self._connection = connection
        self._token = token
        self._is_core = is_core
        self._heard = heard
        self._changed = threading.Condition()
        self._unsent: deque[bytes] = deque()
        self._newest: bytes | None = None
        self._closing = False
        self._flushing = False
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, message: bytes) -> bool:
        """From any thread; never waits. False: it will not go out (ended, or the other side is stuck)."""
        with self._changed:
            if self._closing or len(self._unsent) >= _MOST_UNSENT:
                return False
            self._unsent.append(message)
            self._changed.notify()
            return True

    def send_newest(self, message: bytes) -> None:
        """As `send`; one that has not gone out yet is replaced by this one."""
        with self._changed:
            self._newest = message
            self._changed.notify()

    def run(self) -> str:
        """Why it ended."""
        writer: threading.Thread | None = None
        try:
            # Until a frame has opened this may be anybody's connection, and has only this long.
            self._connection.settimeout(_FIRST_FRAME_TIMEOUT_S)
            cutter, frames, seal = self._greet()
            writer = threading.Thread(target=self._write, args=(seal,), name="joint-writer", daemon=True)
            writer.start()
            while True:
                for frame in frames:
                    message = seal.message(frame)
                    cutter.trust()
                    self._connection.settimeout(None)
                    self._heard(message)
                frames = cutter.feed(self._received())
        except NotOurs as ended:
            return str(ended)
        except OSError as error:
            return error.strerror or str(error)
        finally:
            self.close()
            if writer is not None:
                writer.join(_JOIN_TIMEOUT_S)
            self._connection.close()

    def close(self, *, flush: bool = False) -> None:
        """From any thread: `run` returns soon; with `flush` after what waits has gone out."""
        with self._changed:
            self._closing = True
            self._flushing = flush
            self._changed.notify()
        if not flush:
            self._hang_up()

    def _hang_up(self) -> None:
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def _received(self) -> bytes:
        data = self._connection.recv(_CHUNK_BYTES)
        if not data:
            raise NotOurs("the other half ended")
        return data

    def _greet(self) -> tuple[Cutter, list[bytes], Seal]:
        own = secrets.token_bytes(RANDOM_BYTES)
        cutter = Cutter()
        self._connection.sendall(greeting(own))
        frames = cutter.feed(self._received())
        while cutter.other_random is None:
            frames = cutter.feed(self._received())
        other = cutter.other_random
        core, glass = (own, other) if self._is_core else (other, own)
        return (
            cutter,
            frames,
            Seal(self._token, core_random=core, glass_random=glass, is_core=self._is_core),
        )

    def _write(self, seal: Seal) -> None:
        try:
            while (message := self._next()) is not None:
                self._connection.sendall(seal.frame(message))
        except (OSError, ValueError):
            pass  # the end of the connection tells the reader
        finally:
            self._hang_up()

    def _next(self) -> bytes | None:
        """None when there is nothing left to do."""
        with self._changed:
            while True:
                waits = bool(self._unsent) or self._newest is not None
                if self._closing and not (self._flushing and waits):
                    return None
                if self._unsent:
                    return self._unsent.popleft()
                if self._newest is not None:
                    message, self._newest = self._newest, None
                    return message
                self._changed.wait()
