"""Talking with X-ray stations for officers who judge from the centre (集中判图), by the stations' contract:
docs/xray-station.md. Blocks; knows no page.

An officer proves themselves to each station with their PIN there: the console passes it on and keeps nothing
of it. What it keeps, in memory, is the desk's cookie and token; they end with the officer's session here.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

CONNECT_WITHIN_S: Final = 5.0
ANSWER_WITHIN_S: Final = 20.0
SILENT_S: Final = 6.0
"""A station's stream says something every second."""
MOST_WORDS_BYTES: Final = 256 * 1024
MOST_PICTURE_BYTES: Final = 32 * 1024 * 1024
MOST_LINE_BYTES: Final = 2 * 1024 * 1024
MOST_COMMAND_BYTES: Final = 32_768
MOST_AT_ONCE: Final = 12
"""Requests to one station at a time: it takes 32 connections of one machine."""
_COOKIE: Final = "kakou_desk"
_COMMON: Final = re.compile(r"[01](?:\.[0-9]{1,6})?")


class StationAway(Exception):
    """It cannot be reached, or is not who it says; the text says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    cookie: str = ""
    common: str = ""
    """Of a difference: how much both pictures show, 0 to 1; empty: it says none."""


@dataclass(frozen=True, slots=True)
class Seat:
    """A desk an officer signed in at, at one station."""

    station: str
    officer: str
    desk: str
    cookie: str
    token: str


class _SignedIn(msgspec.Struct, frozen=True):
    desk: str
    token: str


class _Words(msgspec.Struct, frozen=True):
    zh: str = ""
    en: str = ""


class Refusal(msgspec.Struct, frozen=True):
    """Body of a station's answer from 400 on."""

    code: str = ""
    words: _Words = _Words()
    wait_s: float = 0.0


class Stations:
    """Any thread."""

    def __init__(self, addresses: Mapping[str, str], ca_file: Path | None) -> None:
        """`ca_file`: who signed the stations' certificates; None: whom this machine trusts."""
        self._addresses = dict(addresses)
        self._ca_file = ca_file
        self._lock = threading.Lock()
        self._seats: dict[tuple[str, str], Seat] = {}
        self._room = {name: threading.Semaphore(MOST_AT_ONCE) for name in addresses}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._addresses)

    # --- who sits where -----------------------------------------------------------------------------------

    def seat(self, session: str, station: str) -> Seat | None:
        return self._seats.get((session, station))

    def sign_in(self, session: str, station: str, officer: str, pin: str) -> Seat | Refusal:
        """At a desk for those who stand elsewhere. Raises `StationAway`."""
        asked = {"officer": officer, "pin": pin, "remote": True}
        answer = self.ask(station, "POST", "/v1/sign_in", body=msgspec.json.encode(asked))
        if answer.status != 200:
            return refusal_of(answer)
        try:
            told = msgspec.json.decode(answer.body, type=_SignedIn)
        except msgspec.MsgspecError as error:
            raise StationAway(f"{station}: expected the contract's SignedIn: {error}") from error
        seat = Seat(station, officer, told.desk, answer.cookie, told.token)
        with self._lock:
            self._seats[session, station] = seat
        return seat

    def sign_out(self, session: str, station: str) -> None:
        """Said to the station where it can be reached; it takes the desk back by itself otherwise."""
        with self._lock:
            seat = self._seats.pop((session, station), None)
        if seat is not None:
            with contextlib.suppress(StationAway):
                self.ask(station, "POST", "/v1/sign_out", body=b"", seat=seat)

    def forget(self, session: str, station: str, seat: Seat) -> None:
        """The station says that this desk is somebody else's, or nobody's."""
        with self._lock:
            if self._seats.get((session, station)) is seat:
                del self._seats[session, station]

    # --- asking -------------------------------------------------------------------------------------------

    def ask(
        self,
        station: str,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        seat: Seat | None = None,
        most_bytes: int = MOST_WORDS_BYTES,
    ) -> Answer:
        """`path` is of our own making. Raises `StationAway`."""
        with self._room[station]:
            connection = self._connected(station)
            try:
                connection.request(method, path, body, _headers(seat, body))
                response = connection.getresponse()
                content = response.read(most_bytes + 1)
                if len(content) > most_bytes:
                    raise StationAway(f"{station}: expected {most_bytes} bytes at most for {path}")
                return Answer(response.status, content, _cookie_of(response), _common_of(response))
            except (OSError, http.client.HTTPException) as error:
                raise StationAway(f"{station}: {error}") from error
            finally:
                connection.close()

    def stream(self, station: str, seat: Seat) -> Stream:
        """The desk's stream: the officer's presence at the station. Raises `StationAway`."""
        connection = self._connected(station)
        # A connection that is to be closed hands its socket to the answer and knows it no more.
        line = connection.sock
        line.settimeout(SILENT_S)
        try:
            connection.request("GET", "/v1/stream", None, _headers(seat, None))
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise StationAway(f"{station}: {error}") from error
        if response.status != 200:
            response.close()
            connection.close()
            raise StationAway(f"{station}: {response.status}")
        return Stream(line, response)

    def _connected(self, station: str) -> http.client.HTTPConnection:
        parts = urlsplit(self._addresses[station])
        host, port = parts.hostname or "", parts.port
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=None if self._ca_file is None else str(self._ca_file))
            connection = http.client.HTTPSConnection(host, port, timeout=CONNECT_WITHIN_S, context=context)
        else:
            connection = http.client.HTTPConnection(host, port, timeout=CONNECT_WITHIN_S)
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            raise StationAway(f"{station}: {error}") from error
        connection.sock.settimeout(ANSWER_WITHIN_S)
        return connection


class Stream:
    """Server-sent events, line by line, on one thread; `close` on any ends it."""

    def __init__(self, line: socket.socket, response: http.client.HTTPResponse) -> None:
        self._line = line
        self._response = response

    def events(self) -> Iterator[tuple[str, bytes]]:
        """(name, data). Ends when the station or `close` ends it."""
        name, data = "", b""
        try:
            while line := self._response.readline(MOST_LINE_BYTES):
                if line.startswith(b"event: "):
                    name = line[7:].strip().decode("ascii", "replace")
                elif line.startswith(b"data: "):
                    data = line[6:].rstrip(b"\r\n")
                elif not line.strip() and name:
                    yield name, data
                    name, data = "", b""
        except (OSError, ValueError, http.client.HTTPException):
            return
        finally:
            self._response.close()
            self._line.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._line.shutdown(socket.SHUT_RDWR)


def refusal_of(answer: Answer) -> Refusal:
    try:
        return msgspec.json.decode(answer.body, type=Refusal)
    except msgspec.MsgspecError:
        return Refusal(code=str(answer.status))


def _headers(seat: Seat | None, body: bytes | None) -> dict[str, str]:
    headers = {"Accept": "*/*", "Connection": "close"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    if seat is not None:
        headers["Cookie"] = f"{_COOKIE}={seat.cookie}"
        headers["X-Kakou-Token"] = seat.token
    return headers


def _common_of(response: http.client.HTTPResponse) -> str:
    told = response.headers.get("x-kakou-common", "")
    return told if _COMMON.fullmatch(told) is not None else ""


def _cookie_of(response: http.client.HTTPResponse) -> str:
    for each in response.headers.get_all("set-cookie") or ():
        name, _, value = each.partition(";")[0].partition("=")
        if name.strip() == _COOKIE:
            return value.strip()
    return ""
