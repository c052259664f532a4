"""Byte channels: serial lines and TCP connections behind three calls. No driver, no retry, no thread.

A thread that waits on a channel can be rung awake by any other (`Bell`). Where the system can wait for a
descriptor and a bell at once, a byte wakes the reader at once and idle costs nothing; where it cannot (COM
ports of Windows, rfc2217), reads are short.
"""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import socket
import sys
from collections.abc import Callable
from typing import Annotated, Final, Literal, Protocol, Self
from urllib.parse import urlsplit

import msgspec
import serial

if sys.platform != "win32":
    import termios

_MOST_BYTES: Final = 65_536
"""In one read."""

_POLL_S: Final = 0.01
"""Longest a read without a bell blocks, hence the longest an order waits there."""


class ChannelLost(Exception):
    """Cannot be opened, or no longer carries bytes. The text says why, for the person at the cabinet."""


class SerialAddress(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line we open: a serial port, or a serial server in the network."""

    url: Annotated[str, msgspec.Meta(min_length=1)]
    """Device path (best under /dev/serial/by-id), `COM3`, `socket://host:port` or `rfc2217://host:port`."""
    baudrate: Annotated[int, msgspec.Meta(ge=50, le=4_000_000)] = 9600
    """Bits a second. Not used with `socket://`."""
    bytesize: Literal[5, 6, 7, 8] = 8
    """Data bits."""
    parity: Literal["N", "E", "O", "M", "S"] = "N"
    """None, even, odd, mark, space."""
    stopbits: Literal[1, 2] = 1
    """Stop bits."""
    open_timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 3.0
    """For a TCP connection to be made."""
    write_timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    """A device that takes no byte for so long counts as lost (`rfc2217://`: always 5 s)."""
    on_demand: bool = False
    """With `socket://`: connect for each order, and end the connection when the order is sent."""

    def __post_init__(self) -> None:
        if self.on_demand and not self.url.startswith("socket://"):
            raise ValueError("on_demand: expected only with a url of socket://host:port")


class ListenAddress(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where we wait for a device that opens connections to us."""

    host: Annotated[str, msgspec.Meta(min_length=1)]
    """The address of ours to listen on."""
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)]
    """0: any free one (for trying out)."""
    allowed_hosts: tuple[str, ...] = ()
    """Addresses that may connect; empty: all."""
    most_connections: Annotated[int, msgspec.Meta(ge=1, le=256)] = 8
    """One more pushes out one that never sent a byte, else the one that was idle longest."""
    idle_timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 60.0
    """A connection without a byte for so long is closed."""
    write_timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    """A connection that takes no byte for so long is closed."""


class Bell:
    """Rung by any thread, it ends another's wait. Rings do not add up."""

    def __init__(self) -> None:
        self._ear, self._clapper = socket.socketpair()
        self._ear.setblocking(False)
        self._clapper.setblocking(False)

    def fileno(self) -> int:
        return self._ear.fileno()

    def ring(self) -> None:
        # Full: it rings already. Closed: nobody waits any more.
        with contextlib.suppress(OSError):
            self._clapper.send(b"\0")

    def hush(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._ear.recv(1024):
                pass

    def close(self) -> None:
        self._ear.close()
        self._clapper.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *why: object) -> None:
        self.close()


class Channel(Protocol):
    """Used by one thread. Every call may raise `ChannelLost`."""

    def write(self, data: bytes) -> int:
        """How many bytes were taken; 0 where the other side takes none now."""

    def wait(self, timeout_s: float | None, *, to_write: bool) -> bytes:
        """Bytes as soon as there are some; b"" on the bell, on time, or (`to_write`) when it takes bytes
        again. May return early."""

    def close(self, *, discard: bool) -> None:
        """`discard`: bytes the system has not sent yet are dropped, where it would else wait for them (a
        serial port with a stuck device: half a minute)."""


class SelectedChannel:
    """A descriptor the system can wait for together with the bell."""

    def __init__(
        self,
        descriptor: int,
        bell: Bell,
        *,
        read: Callable[[], bytes],
        write: Callable[[bytes], int],
        close: Callable[[bool], None],
    ) -> None:
        self._descriptor = descriptor
        self._bell = bell
        self._read = read
        self._write = write
        self._close = close
        self._events = selectors.EVENT_READ
        self._selector = selectors.DefaultSelector()
        self._selector.register(descriptor, self._events)
        self._selector.register(bell, selectors.EVENT_READ)

    def write(self, data: bytes) -> int:
        try:
            return self._write(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            raise ChannelLost(f"writing failed: {_reason(error)}") from error

    def wait(self, timeout_s: float | None, *, to_write: bool) -> bytes:
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if to_write else 0)
        if wanted != self._events:
            self._selector.modify(self._descriptor, wanted)
            self._events = wanted
        data = b""
        for key, events in self._selector.select(timeout_s):
            if key.fileobj is self._bell:
                self._bell.hush()
            elif events & selectors.EVENT_READ:
                try:
                    data = self._read()
                except (BlockingIOError, InterruptedError):
                    continue
                except OSError as error:
                    raise ChannelLost(f"reading failed: {_reason(error)}") from error
                if not data:
                    raise ChannelLost("the other end is gone")
        return data

    def close(self, *, discard: bool) -> None:
        self._selector.close()
        with contextlib.suppress(OSError):
            self._close(discard)


class PolledChannel:
    """A pyserial port that must be asked again and again."""

    def __init__(self, port: serial.Serial) -> None:
        self._port = port

    def write(self, data: bytes) -> int:
        try:
            return self._port.write(data) or 0
        except serial.SerialTimeoutException as error:
            raise ChannelLost("writing failed: it takes no bytes") from error
        except (OSError, serial.SerialException) as error:
            raise ChannelLost(f"writing failed: {_reason(error)}") from error

    def wait(self, timeout_s: float | None, *, to_write: bool) -> bytes:
        try:
            first = self._port.read(1)
            return first + self._port.read(self._port.in_waiting) if first else b""
        except (OSError, serial.SerialException, TypeError) as error:
            # TypeError: pyserial's read on a port whose other thread closed it
            raise ChannelLost(f"reading failed: {_reason(error)}") from error

    def close(self, *, discard: bool) -> None:
        with contextlib.suppress(OSError, serial.SerialException):
            if discard:
                self._port.reset_output_buffer()
        with contextlib.suppress(OSError, serial.SerialException):
            self._port.close()


def open_channel(address: SerialAddress, bell: Bell) -> Channel:
    """Raises `ChannelLost` where it cannot be opened, and soon where the bell rings meanwhile."""
    if address.url.startswith("socket://"):
        return tcp_channel(_connect(address, bell), bell)
    return _open_serial(address, bell)


def tcp_channel(connection: socket.socket, bell: Bell) -> SelectedChannel:
    """Takes the connection over and closes it in the end."""
    connection.setblocking(False)
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        # A serial server that lost its power sends no farewell: found out within 10 + 3 x 5 seconds.
        for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
            if hasattr(socket, name):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def close(discard: bool) -> None:
        with contextlib.suppress(OSError):
            if not discard:
                # Unread bytes would turn the farewell into a reset, and take our last words with them.
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(_MOST_BYTES):
                    pass
        connection.close()

    return SelectedChannel(
        connection.fileno(),
        bell,
        read=lambda: connection.recv(_MOST_BYTES),
        write=connection.send,
        close=close,
    )


def _connect(address: SerialAddress, bell: Bell) -> socket.socket:
    host, port = _host_and_port(address.url)
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise ChannelLost(f"{address.url}: no such host: {_reason(error)}") from error
    connection = socket.socket(family, kind, protocol)
    try:
        connection.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            connection.connect(where)
        with selectors.DefaultSelector() as selector:
            selector.register(connection, selectors.EVENT_WRITE)
            selector.register(bell, selectors.EVENT_READ)
            ready = {key.fileobj for key, _ in selector.select(address.open_timeout_s)}
        if connection not in ready:
            why = "given up" if bell in ready else f"no answer in {address.open_timeout_s:g} s"
            raise ChannelLost(f"{address.url}: {why}")
        failed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failed:
            raise OSError(failed, os.strerror(failed))
    except OSError as error:
        connection.close()
        raise ChannelLost(f"{address.url}: cannot connect: {_reason(error)}") from error
    except ChannelLost:
        connection.close()
        raise
    return connection


def _host_and_port(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = None
    if not parts.hostname or port is None:
        raise ChannelLost(f"{url}: expected socket://host:port")
    return parts.hostname, port


def _open_serial(address: SerialAddress, bell: Bell) -> Channel:
    try:
        port = serial.serial_for_url(
            address.url,
            do_not_open=True,
            baudrate=address.baudrate,
            bytesize=address.bytesize,
            parity=address.parity,
            stopbits=address.stopbits,
            timeout=_POLL_S,
            write_timeout=None if "://" in address.url else address.write_timeout_s,
        )
        native = sys.platform != "win32" and "://" not in address.url
        if native:
            # Two programs on one line read each other's halves.
            port.exclusive = True
        port.open()
    except (OSError, serial.SerialException, ValueError, NotImplementedError) as error:
        raise ChannelLost(f"{address.url}: {_why_not_opened(error)}") from error
    if not native:
        return PolledChannel(port)
    if sys.platform.startswith("linux"):
        # USB adapters hold bytes back for 16 ms otherwise; ptys and others do not know the setting.
        with contextlib.suppress(OSError, ValueError, NotImplementedError):
            port.set_low_latency_mode(True)
    descriptor = port.fileno()

    def close(discard: bool) -> None:
        with contextlib.suppress(OSError, termios.error):
            if discard:
                port.reset_output_buffer()
        port.close()

    return SelectedChannel(
        descriptor,
        bell,
        read=lambda: os.read(descriptor, _MOST_BYTES),
        write=lambda data: os.write(descriptor, data),
        close=close,
    )


def _why_not_opened(error: Exception) -> str:
    text = _reason(error)
    code = getattr(error, "errno", None)
    if "exclusively lock" in text or code == errno.EBUSY:
        return "in use by another program"
    if "FileNotFoundError" in text or "No such file" in text:
        return "no such port; is it plugged in?"
    if "Permission denied" in text or "PermissionError" in text:
        return "may not be opened by this user; on Linux add the user to the group `dialout`"
    return f"cannot be opened: {text}"


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text)
