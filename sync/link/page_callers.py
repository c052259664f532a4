"""Who calls a page of ours, and for how long they may say nothing: what uvicorn does not look after. Knows no
page; needs no event of ours.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import time
from collections.abc import Callable, Container, Sequence
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol


def patient(within_s: Callable[[], float]) -> type[H11Protocol]:
    """uvicorn's protocol with a limit it lacks: for how long a connection may say nothing whole."""

    class Patient(H11Protocol):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._seen: object = None
            self._looking: Any = None
            self._looking = self.loop.call_later(within_s(), self._look)

        def connection_lost(self, exc: Exception | None) -> None:
            if self._looking is not None:
                self._looking.cancel()
            super().connection_lost(exc)

        def _look(self) -> None:
            cycle = self.cycle
            if cycle is None or (cycle.response_complete and cycle is self._seen):
                self.transport.close()
                return
            self._seen = cycle
            self._looking = self.loop.call_later(within_s(), self._look)

    return Patient


class Listening(socket.socket):
    """Counts who calls where they call: before TLS, which waits a minute for a stranger's first word and lets
    any number of them wait. Else those who say nothing took every file this program may open."""

    def __init__(self, family: int, room: Callable[[str, Sequence[str]], bool]) -> None:
        """`room`: whether one more may call from an address, beside those of the others."""
        super().__init__(family, socket.SOCK_STREAM)
        self._room = room
        self._callers: dict[socket.socket, tuple[str, float]] = {}
        """Connection -> address, since."""

    def accept(self) -> tuple[socket.socket, Any]:
        caller, address = super().accept()
        self._callers = {each: of for each, of in self._callers.items() if each.fileno() >= 0}
        if not self._room(str(address[0]), [name for name, _ in self._callers.values()]):
            caller.close()
            raise ConnectionAbortedError("too many connections")
        self._callers[caller] = (str(address[0]), time.monotonic())
        return caller, address

    def hang_up(self, served: Container[int], after_s: float) -> None:
        """On those that have not come as far as a request's first byte."""
        for caller, (_, since_s) in self._callers.items():
            if (
                caller.fileno() >= 0
                and caller.fileno() not in served
                and time.monotonic() - since_s > after_s
            ):
                with contextlib.suppress(OSError):
                    caller.shutdown(socket.SHUT_RDWR)


def has_room(address: str, others: Sequence[str], most: int, most_of_one: int) -> bool:
    """Whether one more may call from there. One machine elsewhere cannot keep all others out."""
    if len(others) >= most:
        return False
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback or others.count(address) < most_of_one


def numbers_of(server: uvicorn.Server) -> set[int]:
    transports = (getattr(each, "transport", None) for each in server.server_state.connections)
    sockets = (None if each is None else each.get_extra_info("socket") for each in transports)
    return {each.fileno() for each in sockets if each is not None}


def listen(host: str, port: int, room: Callable[[str, Sequence[str]], bool], most: int) -> Listening:
    """Raises `OSError`."""
    listener = Listening(socket.AF_INET6 if ":" in host else socket.AF_INET, room)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(most)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener
