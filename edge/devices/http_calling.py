"""One HTTP GET to a device and its answer, which may never end: bytes in, contents out. No socket, no clock.

Digest credentials are given when they are asked for. What a device asked for last is remembered over
connections, for devices that close after a 401. A refusal of a fresh challenge is final: cameras lock a user
out who tries a wrong password again and again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

import h11

from edge.devices import digest_auth
from edge.devices.digest_auth import Challenge

MOST_HEAD_BYTES = 16 * 1024
MOST_ASKED = 3
"""Requests on one connection: bare, with old credentials, with fresh ones."""


@dataclass(frozen=True, slots=True)
class Begun:
    """The device answers 200; contents follow."""

    content_type: str


@dataclass(frozen=True, slots=True)
class Content:
    data: bytes


@dataclass(frozen=True, slots=True)
class AskAgain:
    """It wants credentials and closes this connection: open another."""


@dataclass(frozen=True, slots=True)
class Denied:
    """It refuses our credentials; asking again at once would be refused again."""

    why: str


@dataclass(frozen=True, slots=True)
class Failed:
    """No answer we can use; the connection is of no use any more."""

    why: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The answer came to its end."""


Event = Begun | Content | AskAgain | Denied | Failed | Finished


class Caller:
    """`begin` on every new connection, then `feed`. After anything but `Begun` and `Content` hang up."""

    def __init__(
        self, target: str, *, host: str, user: str, password: str, new_cnonce: Callable[[], str]
    ) -> None:
        """`target`: path and query as they go on the wire. `password` empty: none is ever given."""
        self._target = target
        self._host = host
        self._user = user
        self._password = password
        self._new_cnonce = new_cnonce
        self._challenge: Challenge | None = None
        self._fresh = False
        """The challenge was given in answer to our last request, not taken from an earlier connection."""
        self._count = 0
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MOST_HEAD_BYTES)
        self._send = bytearray()
        self._asked = 0
        self._gave_credentials = False
        self._refused: Challenge | None = None
        self._unauthorised = False
        self._over = True

    def begin(self) -> None:
        """A new connection: ask."""
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MOST_HEAD_BYTES)
        self._send.clear()
        self._asked = 0
        self._over = False
        self._ask()

    def take_bytes(self) -> bytes:
        """What must be sent now."""
        taken = bytes(self._send)
        self._send.clear()
        return taken

    def feed(self, content: bytes) -> list[Event]:
        """b"" means that the device closed its side."""
        events: list[Event] = []
        if self._over:
            return events
        try:
            self._http.receive_data(content)
            while not self._over and (event := self._http.next_event()) is not h11.NEED_DATA:
                if event is h11.PAUSED:
                    break
                self._take(event, events)
        except (h11.RemoteProtocolError, RuntimeError) as error:
            self._end(Failed(f"no HTTP: {error}"), events)
        return events

    def _ask(self) -> None:
        headers = [("Host", self._host), ("Accept", "*/*"), ("User-Agent", "kakou")]
        challenge = self._challenge
        self._gave_credentials = challenge is not None and bool(self._password)
        if challenge is not None and self._password:
            self._count += 1
            line = digest_auth.authorization(
                challenge,
                method="GET",
                uri=self._target,
                user=self._user,
                password=self._password,
                cnonce=self._new_cnonce(),
                count=self._count,
            )
            headers.append(("Authorization", line))
        self._asked += 1
        self._unauthorised = False
        encoded = [(name.encode("ascii"), value.encode("utf-8")) for name, value in headers]
        self._send += self._http.send(h11.Request(method="GET", target=self._target, headers=encoded)) or b""
        self._send += self._http.send(h11.EndOfMessage()) or b""

    def _take(self, event: h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED], events: list[Event]) -> None:
        match event:
            case h11.Response(status_code=HTTPStatus.UNAUTHORIZED):
                self._unauthorised = True
                asks = [
                    value.decode("latin-1") for name, value in event.headers if name == b"www-authenticate"
                ]
                self._refused = digest_auth.challenge_in(asks)
                if _closes(event):
                    # its end would be the end of the connection: nothing to wait for
                    self._not_authorised(events)
            case h11.Response(status_code=HTTPStatus.OK):
                # a challenge answered well may be used on the next connection, but is no longer fresh
                self._fresh = False
                kinds = [value.decode("latin-1") for name, value in event.headers if name == b"content-type"]
                events.append(Begun(kinds[0] if kinds else ""))
            case h11.Response():
                reason = bytes(event.reason).decode("latin-1")[:80]
                self._end(Failed(f"the device answers {event.status_code} {reason}".rstrip()), events)
            case h11.Data() if not self._unauthorised:
                events.append(Content(bytes(event.data)))
            case h11.EndOfMessage() if self._unauthorised:
                self._not_authorised(events)
            case h11.EndOfMessage():
                self._end(Finished(), events)
            case h11.ConnectionClosed():
                self._end(Finished(), events)

    def _not_authorised(self, events: list[Event]) -> None:
        challenge, had = self._refused, self._gave_credentials
        if challenge is None:
            self._end(Denied("it asks for credentials in a way we do not know"), events)
        elif not self._password:
            self._end(Denied("it asks for a password and none is set"), events)
        elif had and self._fresh and not challenge.stale:
            self._challenge = None
            self._end(Denied(f"it refuses user {self._user!r} and the password"), events)
        else:
            self._challenge, self._count, self._fresh = challenge, 0, True
            self._again(events)

    def _again(self, events: list[Event]) -> None:
        done = self._http.our_state is h11.DONE and self._http.their_state is h11.DONE
        if not done:
            self._end(AskAgain(), events)
        elif self._asked >= MOST_ASKED:
            self._challenge = None
            self._end(Denied("it asks for credentials again and again"), events)
        else:
            self._http.start_next_cycle()
            self._ask()

    def _end(self, event: Event, events: list[Event]) -> None:
        events.append(event)
        self._over = True


def _closes(answer: h11.Response) -> bool:
    names = {name for name, _ in answer.headers}
    closing = any(name == b"connection" and b"close" in value.lower() for name, value in answer.headers)
    return closing or answer.http_version < b"1.1" or not names & {b"content-length", b"transfer-encoding"}
