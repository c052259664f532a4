"""A line to a port of this machine whose rate and delay can be changed while it is used, down to nothing.

All connections over it share one queue each way, as at a modem; what they do not get rid of waits with them.
"""

from __future__ import annotations

import collections
import contextlib
import socket
import threading
import time

PACKET_BYTES = 1_400
QUEUE_BYTES = 32 * 1024
"""What the modem holds, whoever sent it."""
HELD_BYTES = 16 * 1024
"""By the system, for each connection: a smaller window and it waits 200 ms for more room."""
LOOK_S = 0.02


class SlowLine:
    """`bits_a_s` 0: stalled, nothing passes, nothing is lost. `delay_s`: each way, on top."""

    def __init__(self, port: int, *, bits_a_s: float = 1e9, delay_s: float = 0.0) -> None:
        self.bits_a_s = bits_a_s
        self.delay_s = delay_s
        self.carried_bytes = 0
        """Up, from who connects."""
        self._ended = False
        self._ends: list[socket.socket] = []
        self._servers: list[socket.socket] = []
        self._to: list[int] = []
        self._ways = (_Way(self), _Way(self))
        self.port = self.also_to(port)

    def also_to(self, port: int) -> int:
        """Where the same line begins for another port."""
        server = socket.create_server(("127.0.0.1", 0))
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, PACKET_BYTES)
        self._servers.append(server)
        self._to.append(port)
        which = len(self._to) - 1
        threading.Thread(target=self._accept, args=(which,), name="slow line", daemon=True).start()
        return int(server.getsockname()[1])

    @property
    def ended(self) -> bool:
        return self._ended

    def leads_to(self, port: int) -> None:
        """From the next connection on, what began at `port`."""
        self._to[0] = port

    def cut(self) -> None:
        """Every connection ends, as when a cable is pulled and the modem tells; new ones may come."""
        ends, self._ends = self._ends, []
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        self._ended = True
        for server in self._servers:
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            server.close()
        self.cut()
        for way in self._ways:
            way.wake()

    def _accept(self, which: int) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._servers[which].accept()
                try:
                    far = socket.create_connection(("127.0.0.1", self._to[which]))
                except OSError:
                    near.close()
                    continue
                for end in (near, far):
                    # Little is held here besides the queue.
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, HELD_BYTES)
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._ends += [near, far]
                for source, to, way in ((near, far, self._ways[0]), (far, near, self._ways[1])):
                    threading.Thread(target=self._carry, args=(source, to, way), daemon=True).start()

    def _carry(self, source: socket.socket, to: socket.socket, way: _Way) -> None:
        with contextlib.suppress(OSError):
            while packet := source.recv(PACKET_BYTES):
                if way is self._ways[0]:
                    self.carried_bytes += len(packet)
                way.put(to, packet)
        way.put(to, b"")


class _Way:
    """First in, first out, at the line's rate of the moment."""

    def __init__(self, line: SlowLine) -> None:
        self._line = line
        self._ready = threading.Condition()
        self._packets: collections.deque[tuple[socket.socket, bytes]] = collections.deque()
        self._bytes = 0
        self._flying: collections.deque[tuple[float, socket.socket, bytes]] = collections.deque()
        for work in (self._pump, self._deliver):
            threading.Thread(target=work, daemon=True).start()

    def wake(self) -> None:
        with self._ready:
            self._ready.notify_all()

    def put(self, to: socket.socket, packet: bytes) -> None:
        with self._ready:
            self._ready.wait_for(lambda: self._line.ended or self._bytes < QUEUE_BYTES)
            self._packets.append((to, packet))
            self._bytes += len(packet)
            self._ready.notify_all()

    def _pump(self) -> None:
        free_s = time.monotonic()
        while True:
            with self._ready:
                self._ready.wait_for(lambda: self._line.ended or bool(self._packets))
                if self._line.ended:
                    return
            left = float(len(self._packets[0][1])) * 8
            free_s = max(free_s, time.monotonic())
            while left > 0 and not self._line.ended:
                rate = self._line.bits_a_s
                if rate <= 0:
                    time.sleep(LOOK_S)
                    free_s = time.monotonic()
                    continue
                step_s = min(LOOK_S, left / rate)
                free_s += step_s
                left -= step_s * rate
                time.sleep(max(0.0, free_s - time.monotonic()))
            with self._ready:
                to, packet = self._packets.popleft()
                self._bytes -= len(packet)
                self._flying.append((time.monotonic() + self._line.delay_s, to, packet))
                self._ready.notify_all()

    def _deliver(self) -> None:
        while True:
            with self._ready:
                self._ready.wait_for(lambda: self._line.ended or bool(self._flying))
                if self._line.ended:
                    return
                due_s, to, packet = self._flying.popleft()
            time.sleep(max(0.0, due_s - time.monotonic()))
            with contextlib.suppress(OSError):
                if packet:
                    to.sendall(packet)
                else:
                    to.shutdown(socket.SHUT_WR)
