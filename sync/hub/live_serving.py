"""The hub's endpoint for live picture and sound: sockets around `live`, in a process of its own.

Beside the hub, never in it: what a dozen cameras send takes no turn, lock or memory from facts and claims.
Its archive connection only reads, and only who is enrolled. It ends with the hub that started it.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import os
import secrets
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, assert_never

import structlog
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.x509.oid import NameOID

from sync.hub.archive import STORAGE_ERRORS, Archive, ArchiveRefused
from sync.hub.config import ConfigRefused, HubConfig, LivePart, read_hub_config
from sync.hub.live import Close, LiveDesk, Note, Order, Write
from sync.hub.terms import HubAlarm, Refused
from sync.hub.trusts import Trusts
from sync.hub.wiring import set_up_log

TICK_S: Final = 0.25
HANDSHAKE_S: Final = 5.0
READ_BYTES: Final = 64 * 1024
MOST_OPEN: Final = 192
"""Connections, those that have not finished their handshake included."""
BACKLOG: Final = 64
NICE: Final = 5
TOLD_EVERY_S: Final = 60.0


def endpoint_tls(part: LivePart) -> ssl.SSLContext | None:
    """A server that takes only who shows a certificate of `ca_file`. Raises `OSError`, `ssl.SSLError`."""
    if part.ca_file is None or part.certificate_file is None or part.tls_key_file is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(str(part.certificate_file), str(part.tls_key_file))
    context.load_verify_locations(cafile=str(part.ca_file))
    context.verify_mode = ssl.CERT_REQUIRED
    return context


class _Keys:
    """Of enrolled devices, as the archive has them now."""

    def __init__(self, config: HubConfig) -> None:
        self._config = config
        self._archive: Archive | None = None
        self._trusts: Trusts | None = None

    def of(self, device: str) -> Mapping[str, Ed25519PublicKey]:
        """Raises `Refused`; also when the archive cannot be read, since then nobody knows who is revoked."""
        try:
            if self._trusts is None:
                self._archive = Archive.open(self._config.archive)
                self._trusts = Trusts(self._archive)
            return self._trusts.of(device).keys
        except (ArchiveRefused, *STORAGE_ERRORS) as error:
            self.close()
            raise Refused(HubAlarm.DEVICE_UNKNOWN, f"the archive cannot be read: {error}", device) from error

    def close(self) -> None:
        archive, self._archive, self._trusts = self._archive, None, None
        if archive is not None:
            with contextlib.suppress(*STORAGE_ERRORS):
                archive.close()


class _End(asyncio.Protocol):
    """One connection."""

    def __init__(self, server: LiveEndpoint, peer_of: Callable[[asyncio.Transport], str | None]) -> None:
        self._server = server
        self._peer_of = peer_of
        self._number = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  a stream's
        self._number = self._server.opened(transport, self._peer_of(transport))

    def data_received(self, data: bytes) -> None:
        self._server.came(self._number, data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.closed(self._number)


class LiveEndpoint:
    """Listens until `stop` is called. One event loop, one thread."""

    def __init__(self, config: HubConfig, part: LivePart, log: Any) -> None:
        self._part = part
        self._log = log
        self._keys = _Keys(config)
        self._transports: dict[int, asyncio.Transport] = {}
        self._next = 0
        self._open = 0
        self._told: collections.Counter[str] = collections.Counter()
        self._told_s = 0.0
        self.desk = LiveDesk(
            site=config.site,
            limits=part.limits,
            keys=self._keys.of,
            centre_keys={config.kid: config.private_key.public_key()},
            new_nonce=lambda: secrets.token_hex(16),
            unsent=self._unsent,
        )

    async def run(self, stopped: Callable[[], bool], listening: Callable[[int], None]) -> None:
        """Raises `OSError` where it cannot listen. `listening` is told the port."""
        tls = endpoint_tls(self._part)
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in self._part.host else socket.AF_INET
        with socket.create_server(
            (self._part.host, self._part.port), family=family, backlog=BACKLOG
        ) as server:
            server.setblocking(False)
            listening(int(server.getsockname()[1]))
            accepting = loop.create_task(self._accept(loop, server, tls))
            try:
                while not stopped():
                    await asyncio.sleep(TICK_S)
                    self._do(self.desk.tick(time.monotonic()))
                    self._tell_refused()
            finally:
                accepting.cancel()
                self._do(self.desk.stop(time.monotonic()))
                await asyncio.sleep(0.05)
                for transport in list(self._transports.values()):
                    transport.abort()
                self._keys.close()

    async def _accept(
        self, loop: asyncio.AbstractEventLoop, server: socket.socket, tls: ssl.SSLContext | None
    ) -> None:
        shaking: set[asyncio.Task[None]] = set()
        while True:
            try:
                near, _ = await loop.sock_accept(server)
            except OSError:
                # Out of descriptors, or whoever came has gone again.
                await asyncio.sleep(TICK_S)
                continue
            if self._open >= MOST_OPEN:
                self.desk.counts["crowded"] += 1
                near.close()
                continue
            self._open += 1
            task = loop.create_task(self._greet(loop, near, tls))
            shaking.add(task)
            task.add_done_callback(shaking.discard)

    async def _greet(
        self, loop: asyncio.AbstractEventLoop, near: socket.socket, tls: ssl.SSLContext | None
    ) -> None:
        try:
            near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.connect_accepted_socket(
                lambda: _End(self, _certified if tls is not None else _nobody),
                near,
                ssl=tls,
                ssl_handshake_timeout=HANDSHAKE_S if tls is not None else None,
            )
        except (OSError, ssl.SSLError) as error:
            self._open -= 1
            self.desk.counts["handshake"] += 1
            self._log.warning("live refused", why=f"handshake: {error}"[:200])
            near.close()

    # --- called by the ends ---

    def opened(self, transport: asyncio.Transport, peer: str | None) -> int:
        self._next += 1
        self._transports[self._next] = transport
        self._do(self.desk.opened(time.monotonic(), self._next, peer))
        return self._next

    def came(self, number: int, data: bytes) -> None:
        self._do(self.desk.came(time.monotonic(), number, data))

    def closed(self, number: int) -> None:
        self._open -= 1
        self._transports.pop(number, None)
        self._do(self.desk.closed(time.monotonic(), number))

    def _unsent(self, number: int) -> int:
        transport = self._transports.get(number)
        return 0 if transport is None else transport.get_write_buffer_size()

    def _do(self, orders: list[Order]) -> None:
        for order in orders:
            match order:
                case Write(number, data):
                    transport = self._transports.get(number)
                    if transport is not None and not transport.is_closing():
                        transport.write(data)
                case Close(number):
                    transport = self._transports.get(number)
                    if transport is not None:
                        # Who does not read would keep the last words, and the socket, for ever.
                        transport.close()
                        loop = asyncio.get_running_loop()
                        loop.call_later(HANDSHAKE_S, transport.abort)
                case Note(what, device, session, detail):
                    tell = self._log.warning if what == "refused" else self._log.info
                    tell(f"live {what}", device=device, session=session, detail=detail)
                case _:
                    assert_never(order)

    def _tell_refused(self) -> None:
        now_s = time.monotonic()
        if now_s - self._told_s >= TOLD_EVERY_S and self.desk.counts != self._told:
            self._told_s, self._told = now_s, self.desk.counts.copy()
            self._log.warning("live counted", **dict(self._told))


def _nobody(_transport: asyncio.Transport) -> None:
    return None


def _certified(transport: asyncio.Transport) -> str:
    """The common name; one that names nobody fits nobody."""
    tls = transport.get_extra_info("ssl_object")
    der = None if tls is None else tls.getpeercert(binary_form=True)
    if not der:
        return ""
    names = x509.load_der_x509_certificate(der).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if len(names) == 1 else ""


def main() -> int:
    """The process, until its standard input ends. Exit 0 stopped, 1 cannot listen, 2 wrong config."""
    parser = argparse.ArgumentParser(prog="python -m sync.hub.live_serving", description=main.__doc__)
    parser.add_argument("config", type=Path, metavar="CONFIG", help="the hub's TOML file")
    try:
        config = read_hub_config(parser.parse_args().config)
    except ConfigRefused as refused:
        sys.stderr.write(f"{refused}\n")
        return 2
    part = config.live
    if part is None:
        sys.stderr.write("live: expected a table [live]\n")
        return 2
    set_up_log(config.log_level)
    log = structlog.get_logger("sync.hub.live")
    if hasattr(os, "nice"):
        os.nice(NICE)
    ended = threading.Event()

    def wait_for_the_hub() -> None:
        with contextlib.suppress(OSError, ValueError):
            while sys.stdin.buffer.read(1024):
                pass
        ended.set()

    threading.Thread(target=wait_for_the_hub, name="live parent", daemon=True).start()
    server = LiveEndpoint(config, part, log)

    def listening(port: int) -> None:
        log.info("live ready", host=part.host, port=port, tls=part.ca_file is not None)

    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(server.run(ended.is_set, listening))
    except (OSError, ssl.SSLError) as error:
        log.critical("live endpoint cannot listen", host=part.host, port=part.port, why=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
