"""Somebody at the centre who watches: one connection to the hub's own endpoint. Blocks.

Proves itself with the centre's key, as everything does that speaks in the centre's name.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Iterator
from typing import Final, Literal

from sync.hub.config import HubConfig, LivePart
from sync.hub.refusals import SaidRefusal
from sync.link import live_wire as wire
from sync.link.keys import KeySigner
from sync.link.live_wire import (
    WATCHER_TAKES,
    Accepted,
    Announced,
    Decoder,
    End,
    Greeting,
    Kind,
    Ping,
    Pong,
    WatchOpening,
    encode,
)
from sync.link.messages import Context
from sync.link.tls_words import said_of
from sync.vocabulary.codec import Malformed, to_json

CONNECT_WITHIN_S: Final = 5.0
PING_EVERY_S: Final = 2.0
IDLE_S: Final = 0.25
READ_BYTES: Final = 64 * 1024

_ANY_PLACE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  where it listens, not where we do


class WatchRefused(SaidRefusal):
    """The endpoint is not there, or does not let us watch."""


class Watching:
    """`messages` until somebody ends it. Not safe on several threads."""

    def __init__(
        self,
        config: HubConfig,
        device: str,
        *,
        officer: str,
        record: bool = False,
        wait_s: float = 30.0,
        session: str = "",
    ) -> None:
        """Connects and asks. Raises `WatchRefused`."""
        if config.live is None:
            raise WatchRefused("本中心未配置 [live]", "this hub has no table [live]")
        self._decoder = Decoder({Kind.GREETING, Kind.END})
        self._socket = _connected(config.live, config)
        try:
            greeting = self._one(CONNECT_WITHIN_S)
            if not isinstance(greeting, Greeting):
                raise WatchRefused("实时服务应答不符", f"expected a greeting, got {greeting}")
            opening = WatchOpening(
                site=config.site,
                device=device,
                nonce=greeting.nonce,
                session=session,
                officer=officer,
                record=record,
                wait_s=wait_s,
            )
            signer = KeySigner(config.private_key, config.kid)
            self._decoder.takes = WATCHER_TAKES
            self._send(signer.sign(Context.LIVE, to_json(opening).decode()))
        except BaseException:
            self._socket.close()
            raise

    def messages(self, for_s: float) -> Iterator[wire.Message | None]:
        """What comes within `for_s` seconds, and None where nothing came for a while; the last may be an
        `End`. Raises `WatchRefused` where the connection is lost."""
        until_s = time.monotonic() + for_s
        ping_s = time.monotonic()
        while (left_s := until_s - time.monotonic()) > 0:
            if time.monotonic() >= ping_s:
                ping_s = time.monotonic() + PING_EVERY_S
                self._send(Ping(0))
            message = self._next(min(left_s, IDLE_S))
            if isinstance(message, (Pong, Accepted)):
                continue
            yield message
            if isinstance(message, End):
                return

    def end(self, why: Literal["centre", "stopping"]) -> None:
        """`centre`: for everybody; `stopping`: only this watcher leaves."""
        with contextlib.suppress(WatchRefused):
            self._send(End(why=why))
        self.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.close()

    def _send(self, message: wire.Message) -> None:
        try:
            self._socket.settimeout(CONNECT_WITHIN_S)
            self._socket.sendall(b"".join(encode(message)))
        except OSError as error:
            raise WatchRefused("实时服务连接中断", f"the endpoint is gone: {error}") from error

    def _one(self, within_s: float) -> wire.Message:
        until_s = time.monotonic() + within_s
        while (left_s := until_s - time.monotonic()) > 0:
            message = self._next(left_s)
            if message is not None:
                return message
        raise WatchRefused("实时服务无应答", "the endpoint does not answer")

    def _next(self, within_s: float) -> wire.Message | None:
        """None: nothing whole came in time."""
        try:
            message = self._decoder.next()
            if message is not None:
                return message
            self._socket.settimeout(max(0.001, within_s))
            data = self._socket.recv(READ_BYTES)
        except TimeoutError:
            return None
        except Malformed as error:
            raise WatchRefused("实时服务应答不符", f"the endpoint says what it must not: {error}") from error
        except OSError as error:
            raise WatchRefused("实时服务连接中断", f"the endpoint is gone: {error}") from error
        if not data:
            raise WatchRefused("实时服务关闭了连接", "the endpoint closed the connection")
        self._decoder.add(data)
        try:
            return self._decoder.next()
        except Malformed as error:
            raise WatchRefused("实时服务应答不符", f"the endpoint says what it must not: {error}") from error


def sessions(config: HubConfig, officer: str) -> tuple[Announced, ...]:
    """Who shows something now. Raises `WatchRefused`."""
    watching = Watching(config, "", officer=officer, wait_s=0.0)
    try:
        found = [each for each in watching.messages(CONNECT_WITHIN_S) if isinstance(each, Announced)]
    finally:
        watching.close()
    return tuple(found)


def _connected(part: LivePart, config: HubConfig) -> socket.socket:
    host = _ANY_PLACE.get(part.host, part.host)
    try:
        opened = socket.create_connection((host, part.port), CONNECT_WITHIN_S)
        try:
            return _in_tls(opened, part, config)
        except BaseException:
            opened.close()
            raise
    except ssl.SSLError as error:
        raise WatchRefused("实时服务的证书不符", said_of(error)) from error
    except OSError as error:
        raise WatchRefused(f"{host}:{part.port} 连接不上", f"{host}:{part.port}: {error}") from error


def _in_tls(opened: socket.socket, part: LivePart, config: HubConfig) -> socket.socket:
    """With the hub's own client certificate. The server must show a certificate of the site's authority; its
    name is not looked at: this is the same machine and the same config file."""
    if part.ca_file is None:
        return opened
    if config.sync.certificate_file is None or config.sync.tls_key_file is None:
        raise WatchRefused(
            "设了 live.ca_file，还须设 sync.certificate_file 和 sync.tls_key_file",
            "sync.certificate_file and sync.tls_key_file: expected beside live.ca_file",
        )
    context = ssl.create_default_context(cafile=str(part.ca_file))
    context.check_hostname = False
    context.load_cert_chain(str(config.sync.certificate_file), str(config.sync.tls_key_file))
    return context.wrap_socket(opened)
