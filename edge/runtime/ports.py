"""A driver, its channel and a thread, joined: bytes and time in, readings and orders through. No device word.

One thread owns a driver; nobody else ever calls it, so drivers need no locks. Orders from other threads wait
in a queue of the port and ring its bell: giving an order never waits for a device. An order that was accepted
is followed by the driver's own answer to it or by the loss of the port, never by nothing.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

import structlog

from edge.runtime.channels import (
    Bell,
    Channel,
    ChannelLost,
    ListenAddress,
    SerialAddress,
    open_channel,
    tcp_channel,
)
from edge.runtime.clock import Clock

R = TypeVar("R")
O = TypeVar("O")  # noqa: E741 - order, as R is reading
R_co = TypeVar("R_co", covariant=True)
O_contra = TypeVar("O_contra", contravariant=True)

_MOST_UNSENT_BYTES: Final = 65_536
"""Beside twice the longest message among them: one of pictures is longer than all else together."""
_MOST_ORDERS: Final = 256
_SHORTEST_WAKE_S: Final = 0.001
"""A driver that asks for a time already past is called again after this, not in a tight circle."""


class Output(Protocol[R_co]):
    """What a driver wants after a call; `edge.devices.driver.Output` is one."""

    @property
    def readings(self) -> tuple[R_co, ...]: ...
    @property
    def send(self) -> bytes: ...
    @property
    def wake_at_s(self) -> float | None: ...
    @property
    def hang_up(self) -> bool: ...
    @property
    def heard(self) -> bool:
        """The device spoke correctly though it reported nothing (an empty poll)."""


class Driver(Protocol[R_co, O_contra]):
    """`edge.devices.driver.Driver` is one. Calls never raise on any bytes; one that does is a fault."""

    def opened(self, at_s: float) -> Output[R_co]: ...
    def received(self, at_s: float, data: bytes) -> Output[R_co]: ...
    def due(self, at_s: float) -> Output[R_co]: ...
    def order(self, at_s: float, order_id: str, order: O_contra) -> Output[R_co]: ...


class PortFailed(Exception):
    """The port is not, or no longer, usable. The text says why."""


class DriverBroke(PortFailed):
    """A driver raised: a fault of ours. `__cause__` is what it raised."""


class OrderNotTaken(Exception):
    """The order was not accepted and will never be carried out; the text says why."""


@dataclass(frozen=True, slots=True)
class Ears(Generic[R]):
    """Who listens to a port. Called on the port's threads; may note and enqueue, nothing that waits."""

    opened: Callable[[float, str], None]
    """(at_s, device): the port is open; comes before any reading of this opening."""
    reading: Callable[[float, str, R], None]
    """(at_s, device, reading)"""
    heard: Callable[[float, str], None]
    """(at_s, device): it spoke correctly and reported nothing."""
    broke: Callable[[float, str, str], None]
    """(at_s, device, why): a driver of one of several connections raised and was replaced."""


class Port(Generic[R, O]):
    """A line we open ourselves. The driver is kept over reopenings, and replaced only after it raised.

    One on demand counts as open while it waits for orders; one that cannot connect loses them and says so.
    """

    def __init__(
        self,
        device: str,
        address: SerialAddress,
        make_driver: Callable[[], Driver[R, O]],
        clock: Clock,
        ears: Ears[R],
    ) -> None:
        self._device = device
        self._address = address
        self._make_driver = make_driver
        self._clock = clock
        self._ears = ears
        self._driver: Driver[R, O] | None = None
        self._lock = threading.Lock()
        self._bell: Bell | None = None
        self._conversation: _Conversation[R, O] | None = None
        self._call_bell: Bell | None = None
        self._waiting: deque[tuple[str, O]] = deque()
        self._takes_orders = False
        self._closing = False

    def run(self) -> None:
        """Open and converse, on the calling thread, until `close`. Raises `PortFailed`; may be called
        again."""
        with Bell() as bell:
            with self._lock:
                if self._closing:
                    return
                self._bell = bell
            try:
                if self._address.on_demand:
                    self._run_on_demand(bell)
                else:
                    self._run(bell)
            except PortFailed:
                if not self._closing:
                    raise
            finally:
                with self._lock:
                    self._bell = None

    def order(self, order_id: str, order: O) -> None:
        """From any thread; returns at once. Raises `OrderNotTaken`."""
        with self._lock:
            conversation = self._conversation
            if self._address.on_demand and self._takes_orders and self._bell is not None:
                if len(self._waiting) >= _MOST_ORDERS:
                    raise OrderNotTaken(f"{self._device}: {_MOST_ORDERS} orders wait already")
                self._waiting.append((order_id, order))
                self._bell.ring()
                return
        if conversation is None:
            raise OrderNotTaken(f"{self._device}: the port is not open")
        conversation.order(order_id, order)

    def close(self) -> None:
        """From any thread: `run` carries out the orders it has accepted and returns. For good."""
        with self._lock:
            self._closing = True
            if self._conversation is not None:
                self._conversation.close()
            for bell in (self._bell, self._call_bell):
                if bell is not None:
                    bell.ring()

    def _run(self, bell: Bell) -> None:
        if self._driver is None:
            self._driver = _make(self._device, self._make_driver)
        try:
            channel = open_channel(self._address, bell)
        except ChannelLost as lost:
            raise PortFailed(str(lost)) from lost
        well = False
        try:
            conversation = _Conversation(
                self._device,
                channel,
                bell,
                self._driver,
                self._clock,
                self._ears,
                write_timeout_s=self._address.write_timeout_s,
            )
            # Before the port is reported open: whoever hears that may give an order at once.
            with self._lock:
                self._conversation = conversation
                if self._closing:
                    conversation.close()
            self._ears.opened(self._clock.monotonic_s(), self._device)
            try:
                conversation.run()
            except DriverBroke:
                self._driver = None
                raise
            except ChannelLost as lost:
                raise PortFailed(f"{self._address.url}: {lost}") from lost
            if not self._closing:
                raise PortFailed("the driver hung up")
            well = True
        finally:
            with self._lock:
                self._conversation = None
            channel.close(discard=not well)

    def _run_on_demand(self, bell: Bell) -> None:
        """A connection for each order; it ends when the driver hangs up, or the other end does."""
        if self._driver is None:
            self._driver = _make(self._device, self._make_driver)
        with self._lock:
            self._takes_orders = not self._closing
        self._ears.opened(self._clock.monotonic_s(), self._device)
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(bell, selectors.EVENT_READ)
                while True:
                    order = self._next_waiting()
                    if order is not None:
                        self._call_once(*order)
                    elif self._closing:
                        return
                    else:
                        selector.select()
                        bell.hush()
        finally:
            with self._lock:
                self._takes_orders = False
                self._waiting.clear()

    def _next_waiting(self) -> tuple[str, O] | None:
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    def _call_once(self, order_id: str, order: O) -> None:
        # A bell of its own: the port's rings for every order, which must not end the making of a connection.
        with Bell() as own_bell:
            with self._lock:
                self._call_bell = own_bell
            try:
                channel = open_channel(self._address, own_bell)
            except ChannelLost as lost:
                raise PortFailed(str(lost)) from lost
            finally:
                with self._lock:
                    self._call_bell = None
            well = False
            try:
                assert self._driver is not None  # noqa: S101  made before the first order is taken
                conversation = _Conversation(
                    self._device,
                    channel,
                    own_bell,
                    self._driver,
                    self._clock,
                    self._ears,
                    write_timeout_s=self._address.write_timeout_s,
                )
                conversation.order(order_id, order)
                conversation.close()  # carries out what it has accepted first
                try:
                    conversation.run()
                    well = True
                except DriverBroke:
                    self._driver = None
                    raise
                except ChannelLost as lost:
                    if conversation.unsent:
                        raise PortFailed(f"{self._address.url}: {lost}") from lost
            finally:
                channel.close(discard=not well)


class Listener(Generic[R, O]):
    """For a device that connects to us: each connection gets a thread and a fresh driver.

    Orders go to the connection made last; there, an order that was accepted may end unanswered together with
    its connection.
    """

    def __init__(
        self,
        device: str,
        address: ListenAddress,
        make_driver: Callable[[], Driver[R, O]],
        clock: Clock,
        ears: Ears[R],
    ) -> None:
        self._device = device
        self._address = address
        self._make_driver = make_driver
        self._clock = clock
        self._ears = ears
        self._lock = threading.Lock()
        self._bell: Bell | None = None
        self._guests: dict[int, _Guest[R, O]] = {}
        self._closing = False
        self._bound_port: int | None = None
        self._number = 0
        self.turned_away = 0
        """Connections refused (not allowed) or pushed out (too many), since the start."""

    @property
    def bound_port(self) -> int | None:
        """The TCP port listened on; None while not listening."""
        return self._bound_port

    def run(self) -> None:
        """Listen, on the calling thread, until `close`. Raises `PortFailed`; may be called again."""
        with Bell() as bell:
            with self._lock:
                if self._closing:
                    return
                self._bell = bell
            try:
                with self._listening() as server:
                    self._ears.opened(self._clock.monotonic_s(), self._device)
                    self._accept_until_closed(server, bell)
            finally:
                with self._lock:
                    self._bell = None
                    self._bound_port = None
                    guests = list(self._guests.values())
                for guest in guests:
                    guest.conversation.close()
                for guest in guests:
                    guest.thread.join(self._address.write_timeout_s + 1.0)

    def order(self, order_id: str, order: O) -> None:
        """From any thread; returns at once. Raises `OrderNotTaken`."""
        with self._lock:
            guests = list(self._guests.values())
        for guest in reversed(guests):
            with contextlib.suppress(OrderNotTaken):
                guest.conversation.order(order_id, order)
                return
        raise OrderNotTaken(f"{self._device}: it is not connected")

    def close(self) -> None:
        """From any thread: `run` ends all connections and returns. For good."""
        with self._lock:
            self._closing = True
            if self._bell is not None:
                self._bell.ring()

    @contextlib.contextmanager
    def _listening(self) -> Iterator[socket.socket]:
        host, port = self._address.host, self._address.port
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            server = socket.create_server((host, port), family=family)
        except OSError as error:
            # `create_server` puts more into its text, a name that does not resolve has no number.
            numbered = error.errno is not None and not isinstance(error, socket.gaierror)
            why = os.strerror(error.errno or 0) if numbered else str(error)
            raise PortFailed(f"cannot listen on {host} port {port}: {why}") from error
        with server:
            server.setblocking(False)
            with self._lock:
                self._bound_port = server.getsockname()[1]
            yield server

    def _accept_until_closed(self, server: socket.socket, bell: Bell) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(server, selectors.EVENT_READ)
            selector.register(bell, selectors.EVENT_READ)
            while not self._closing:
                selector.select()
                bell.hush()
                try:
                    connection, peer = server.accept()
                except (BlockingIOError, ConnectionError, InterruptedError):
                    continue
                except OSError as error:
                    raise PortFailed(f"cannot accept connections: {error.strerror or error}") from error
                self._admit(connection, str(peer[0]))

    def _admit(self, connection: socket.socket, host: str) -> None:
        allowed = self._address.allowed_hosts
        if allowed and host not in allowed:
            self._turn_away(host, "this host is not allowed")
            connection.close()
            return
        with self._lock:
            guests = list(self._guests.values())
        staying = [guest for guest in guests if not guest.conversation.ending]
        if len(staying) >= self._address.most_connections:
            # Who never spoke goes first: a flood of the mute does not push out the device.
            idlest = min(
                staying, key=lambda guest: (guest.conversation.spoke, guest.conversation.last_byte_s)
            )
            self._turn_away(idlest.host, "too many connections, this one was idle longest")
            idlest.conversation.close()
        if len(guests) >= 2 * self._address.most_connections:
            # Those told to end do so within the write timeout; until then there is no room.
            self._turn_away(host, "too many connections")
            connection.close()
            return
        try:
            driver = _make(self._device, self._make_driver)
        except PortFailed:
            connection.close()
            raise
        bell = Bell()
        channel = tcp_channel(connection, bell)
        conversation = _Conversation(
            self._device,
            channel,
            bell,
            driver,
            self._clock,
            self._ears,
            write_timeout_s=self._address.write_timeout_s,
            idle_timeout_s=self._address.idle_timeout_s,
        )
        self._number += 1
        number = self._number
        thread = threading.Thread(
            target=self._serve,
            args=(number, conversation, channel, bell),
            name=f"{self._device}#{number}",
            daemon=True,
        )
        with self._lock:
            self._guests[number] = _Guest(host, conversation, thread)
        thread.start()

    def _turn_away(self, host: str, why: str) -> None:
        self.turned_away += 1
        if self.turned_away.bit_count() == 1:  # 1, 2, 4, 8 …: whoever floods us does not flood the log
            structlog.get_logger("ports").warning(
                "connection turned away", device=self._device, host=host, why=why, so_far=self.turned_away
            )

    def _serve(self, number: int, conversation: _Conversation[R, O], channel: Channel, bell: Bell) -> None:
        log = structlog.get_logger("ports").bind(device=self._device, connection=number)
        well = False
        try:
            conversation.run()
            well = True
        except DriverBroke as broke:
            log.error("a driver raised", exc_info=broke)
            self._ears.broke(self._clock.monotonic_s(), self._device, str(broke))
        except (ChannelLost, PortFailed) as ended:
            log.debug("connection ended", why=str(ended))
        finally:
            channel.close(discard=not well)
            bell.close()
            with self._lock:
                self._guests.pop(number, None)


@dataclass(frozen=True, slots=True)
class _Guest(Generic[R, O]):
    host: str
    conversation: _Conversation[R, O]
    thread: threading.Thread


def _make(device: str, make_driver: Callable[[], Driver[R, O]]) -> Driver[R, O]:
    try:
        return make_driver()
    except Exception as error:
        raise DriverBroke(f"{device}: its driver cannot be made: {error!r}") from error


class _Conversation(Generic[R, O]):
    """One driver on one open channel. `run` owns both; `order`, `close` and the properties are for others."""

    def __init__(
        self,
        device: str,
        channel: Channel,
        bell: Bell,
        driver: Driver[R, O],
        clock: Clock,
        ears: Ears[R],
        *,
        write_timeout_s: float,
        idle_timeout_s: float | None = None,
    ) -> None:
        self._device = device
        self._channel = channel
        self._bell = bell
        self._driver = driver
        self._clock = clock
        self._ears = ears
        self._write_timeout_s = write_timeout_s
        self._idle_timeout_s = idle_timeout_s
        self._lock = threading.Lock()
        self._orders: deque[tuple[str, O]] = deque()
        self._ending = False
        self._unsent = bytearray()
        self._longest_unsent = 0
        self._unsent_since_s = 0.0
        self._wake_at_s: float | None = None
        self._hang_up = False
        self.spoke = False
        self.last_byte_s = clock.monotonic_s()

    @property
    def ending(self) -> bool:
        return self._ending

    @property
    def unsent(self) -> bool:
        """Bytes wait that the other side did not take."""
        return bool(self._unsent)

    def order(self, order_id: str, order: O) -> None:
        with self._lock:
            if self._ending:
                raise OrderNotTaken(f"{self._device}: the port is closing")
            if len(self._orders) >= _MOST_ORDERS:
                raise OrderNotTaken(f"{self._device}: {_MOST_ORDERS} orders wait already")
            self._orders.append((order_id, order))
        self._bell.ring()

    def close(self) -> None:
        with self._lock:
            self._ending = True
        self._bell.ring()

    def run(self) -> None:
        """Until `close`, or the driver hangs up, or nothing came for the idle time. Raises `ChannelLost`,
        `DriverBroke`."""
        try:
            now_s = self._clock.monotonic_s()
            self._ask(now_s, self._driver.opened, now_s)
            while True:
                for order_id, order in self._accepted():
                    self._ask(now_s, self._driver.order, now_s, order_id, order)
                self._send(now_s)
                if not self._unsent and (self._hang_up or self._ending):
                    return
                data = self._channel.wait(self._patience_s(now_s), to_write=bool(self._unsent))
                now_s = self._clock.monotonic_s()
                if self._hang_up:
                    continue
                if data:
                    self.spoke = True
                    self.last_byte_s = now_s
                    self._ask(now_s, self._driver.received, now_s, data)
                if self._wake_at_s is not None and now_s >= self._wake_at_s:
                    self._ask(now_s, self._driver.due, now_s)
                    if self._wake_at_s is not None:
                        self._wake_at_s = max(self._wake_at_s, now_s + _SHORTEST_WAKE_S)
                if self._idle_timeout_s is not None and now_s - self.last_byte_s >= self._idle_timeout_s:
                    return
        finally:
            with self._lock:
                self._ending = True
                self._orders.clear()

    def _accepted(self) -> list[tuple[str, O]]:
        with self._lock:
            orders = list(self._orders)
            self._orders.clear()
        return [] if self._hang_up else orders

    def _ask(self, now_s: float, call: Callable[..., Output[R]], *args: object) -> None:
        try:
            output = call(*args)
            readings, send, heard = output.readings, output.send, output.heard
            self._wake_at_s = output.wake_at_s
            self._hang_up = self._hang_up or output.hang_up
        except Exception as error:
            raise DriverBroke(f"{self._device}: its driver raised {error!r}") from error
        if send:
            if not self._unsent:
                self._unsent_since_s = now_s
                self._longest_unsent = 0
            self._unsent += send
            self._longest_unsent = max(self._longest_unsent, len(send))
            if len(self._unsent) > _MOST_UNSENT_BYTES + 2 * self._longest_unsent:
                raise ChannelLost(f"{len(self._unsent)} bytes wait to be sent")
        if heard:
            self._ears.heard(now_s, self._device)
        for reading in readings:
            self._ears.reading(now_s, self._device, reading)

    def _send(self, now_s: float) -> None:
        while self._unsent:
            taken = self._channel.write(bytes(self._unsent))
            if not taken:
                if now_s - self._unsent_since_s >= self._write_timeout_s:
                    raise ChannelLost(f"it took no byte for {self._write_timeout_s:g} s")
                return
            del self._unsent[:taken]
            self._unsent_since_s = now_s

    def _patience_s(self, now_s: float) -> float | None:
        until_s = [self._wake_at_s] if self._wake_at_s is not None and not self._hang_up else []
        if self._unsent:
            until_s.append(self._unsent_since_s + self._write_timeout_s)
        if self._idle_timeout_s is not None:
            until_s.append(self.last_byte_s + self._idle_timeout_s)
        return max(0.0, min(until_s) - now_s) if until_s else None
