"""What carries a customs platform's bytes: a TCP listener for the lane, and calls to it. Never waited for."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections import deque
from typing import Final

from hardware_sims.devices.customs_platform import CustomsPlatform

READ_SIZE: Final = 65_536
DIAL_AGAIN_S: Final = 1.0
"""Virtual seconds between two tries to reach the lane."""
MOST_WAITING: Final = 64


class PlatformLine:
    """One lane connects here; where the style wants it, the platform connects to `listener` (`host:port`)."""

    def __init__(self, port: int = 0, listener: str | None = None) -> None:
        self._server = socket.create_server(("127.0.0.1", port))
        self._server.setblocking(False)
        self.port: int = self._server.getsockname()[1]
        self.address = f"socket://127.0.0.1:{self.port}"
        self._lane: socket.socket | None = None
        self._unsent = b""
        self._call = _Call(listener) if listener else None

    def serve(self, at_s: float, platform: CustomsPlatform) -> None:
        """Do what is due; at once."""
        self._accept(at_s, platform)
        self._read(at_s, platform)
        self._unsent += platform.advance(at_s)
        self._write(at_s, platform)
        if self._call is not None:
            self._call.waiting.extend(platform.take_calls())
            self._call.serve(at_s, keeps=platform.style == "call_back")

    def close(self) -> None:
        for each in (self._lane, self._server):
            if each is not None:
                each.close()
        self._lane = None
        if self._call is not None:
            self._call.hang_up()

    def _accept(self, at_s: float, platform: CustomsPlatform) -> None:
        if self._lane is not None:
            return
        with contextlib.suppress(OSError):
            self._lane, _ = self._server.accept()
            self._lane.setblocking(False)
            self._unsent = b""
            platform.connect(at_s)

    def _read(self, at_s: float, platform: CustomsPlatform) -> None:
        while self._lane is not None:
            try:
                data = self._lane.recv(READ_SIZE)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._lost(at_s, platform)
                self._accept(at_s, platform)
            else:
                platform.receive(at_s, data)

    def _write(self, at_s: float, platform: CustomsPlatform) -> None:
        if self._lane is None or not self._unsent:
            return
        try:
            self._unsent = self._unsent[self._lane.send(self._unsent) :]
        except BlockingIOError:
            return
        except OSError:
            self._lost(at_s, platform)

    def _lost(self, at_s: float, platform: CustomsPlatform) -> None:
        if self._lane is not None:
            self._lane.close()
            self._lane = None
            platform.disconnect(at_s)


class _Call:
    """The platform's own connection to the lane: kept, or one for each message."""

    def __init__(self, listener: str) -> None:
        host, _, port = listener.rpartition(":")
        self._target = (host or "127.0.0.1", int(port))
        self._socket: socket.socket | None = None
        self._connected = False
        self._sending = b""
        self._dial_at_s = 0.0
        self.waiting: deque[bytes] = deque(maxlen=MOST_WAITING)

    def serve(self, at_s: float, *, keeps: bool) -> None:
        if self._socket is None:
            if not (self.waiting or keeps) or at_s < self._dial_at_s:
                return
            self._dial_at_s = at_s + DIAL_AGAIN_S
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self._socket.setblocking(False)
        if not self._connected and not self._made():
            return
        try:
            if self._socket.recv(READ_SIZE) == b"":
                self.hang_up()
                return
        except BlockingIOError:
            pass
        except OSError:
            self.hang_up()
            return
        while self._sending or self.waiting:
            self._sending = self._sending or self.waiting.popleft()
            try:
                self._sending = self._sending[self._socket.send(self._sending) :]
            except BlockingIOError:
                return
            except OSError:
                self.hang_up()
                return
            if not self._sending and not keeps:
                self.hang_up()
                self._dial_at_s = at_s
                return

    def hang_up(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket, self._connected, self._sending = None, False, b""

    def _made(self) -> bool:
        assert self._socket is not None  # noqa: S101  `serve` made it
        code = self._socket.connect_ex(self._target)
        if code in (0, errno.EISCONN):
            self._connected = True
        elif code not in (errno.EINPROGRESS, errno.EALREADY):
            self.hang_up()
        return self._connected
