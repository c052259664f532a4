"""A thin line to a port of this machine: all connections over it share one queue each way, as at a modem."""

from __future__ import annotations

import collections
import contextlib
import socket
import threading
import time
from collections.abc import Iterator

PACKET_BYTES = 1_400
QUEUE_BYTES = 64 * 1024
"""What the modem holds, whoever sent it: an alarm waits behind it as everything does."""


class _Direction:
    """First in, first out, at a rate."""

    def __init__(self, bytes_per_s: float) -> None:
        self._bytes_per_s = bytes_per_s
        self._ready = threading.Condition()
        self._packets: collections.deque[tuple[socket.socket, bytes]] = collections.deque()
        self._bytes = 0
        self._ended = False
        threading.Thread(target=self._pump, daemon=True).start()

    def put(self, to: socket.socket, packet: bytes) -> None:
        with self._ready:
            self._ready.wait_for(lambda: self._ended or self._bytes < QUEUE_BYTES)
            self._packets.append((to, packet))
            self._bytes += len(packet)
            self._ready.notify_all()

    def end(self) -> None:
        with self._ready:
            self._ended = True
            self._ready.notify_all()

    def _pump(self) -> None:
        free_s = time.monotonic()
        while True:
            with self._ready:
                self._ready.wait_for(lambda: self._ended or bool(self._packets))
                if self._ended:
                    return
                to, packet = self._packets.popleft()
                self._bytes -= len(packet)
                self._ready.notify_all()
            free_s = max(free_s, time.monotonic()) + len(packet) / self._bytes_per_s
            time.sleep(max(0.0, free_s - time.monotonic()))
            with contextlib.suppress(OSError):
                to.sendall(packet)


@contextlib.contextmanager
def thin_line(port: int, bytes_per_s: float) -> Iterator[int]:
    """The port at which the line begins; it ends at `port`."""
    up, down = _Direction(bytes_per_s), _Direction(bytes_per_s)
    server = socket.create_server(("127.0.0.1", 0))
    open_ends: list[socket.socket] = []

    def carry(source: socket.socket, to: socket.socket, way: _Direction) -> None:
        with contextlib.suppress(OSError):
            while packet := source.recv(PACKET_BYTES):
                way.put(to, packet)
        for end in (source, to):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = server.accept()
                far = socket.create_connection(("127.0.0.1", port))
                for end in (near, far):
                    # Little is held here besides the queue.
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
                open_ends.extend((near, far))
                threading.Thread(target=carry, args=(near, far, up), daemon=True).start()
                threading.Thread(target=carry, args=(far, near, down), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield int(server.getsockname()[1])
    finally:
        server.close()
        for way in (up, down):
            way.end()
        for end in open_ends:
            end.close()
