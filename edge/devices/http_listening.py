"""One HTTP connection a device opened to us: bytes in, bodies out, answers back. Pure: no socket, no clock.

h11 does HTTP; it is told how much may come. A request that cannot be understood gets a 4xx and the end of the
connection. Nothing in here knows what a body means.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

import h11

MOST_HEAD_BYTES = 16 * 1024
KEPT_BYTES = 256


@dataclass(frozen=True, slots=True)
class Request:
    """A whole request. `body` is what Content-Length or chunks announced, no byte less."""

    method: str
    target: bytes
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()
    """Names in lower case, as h11 gives them."""
    too_long: bool = False
    """The body was longer than allowed and is left out."""

    def header(self, name: bytes) -> str:
        """The first header of this (lower-case) name; empty where there is none."""
        found = next((value for key, value in self.headers if key == name), b"")
        return found.decode("latin-1")


@dataclass(frozen=True, slots=True)
class Refused:
    """Not HTTP, or too much of it; the 4xx is already among the bytes to send and the connection ends."""

    raw: bytes
    why: str


class Patience:
    """When a request half sent counts as cut off: after a silence, or when all of it takes too long (a sender
    that dribbles is never silent). Times are the caller's."""

    def __init__(self, silence_s: float, longest_s: float) -> None:
        self._silence_s = silence_s
        self._longest_s = longest_s
        self._began_s: float | None = None
        self.cut_at_s: float | None = None

    def heard(self, at_s: float, *, halfway: bool, whole: bool) -> None:
        """Bytes came: something is `halfway` now, and something else became `whole` before it."""
        if not halfway:
            self.forget()
            return
        if whole or self._began_s is None:
            self._began_s = at_s
        self.cut_at_s = min(at_s + self._silence_s, self._began_s + self._longest_s)

    def forget(self) -> None:
        self._began_s = self.cut_at_s = None


class Connection:
    """Answer each `Request` with `answer` before asking for the next; `closing` when no more will come.

    `swallow`: a body longer than allowed is taken in and thrown away, and its request is given as `too_long`,
    for devices that repeat whatever is not answered 200. Otherwise it is refused.
    """

    def __init__(
        self,
        most_body_bytes: int,
        *,
        content_type: str = "application/json; charset=utf-8",
        swallow: bool = False,
    ) -> None:
        self._most_body_bytes = most_body_bytes
        self._content_type = content_type
        self._swallow = swallow
        self._too_long = False
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MOST_HEAD_BYTES)
        self._request: h11.Request | None = None
        self._body = bytearray()
        self._head = b""
        self._send = bytearray()
        self.closing = False

    @property
    def halfway(self) -> bool:
        """Bytes of a request have come that is not whole yet."""
        return not self.closing and (self._request is not None or bool(self._http.trailing_data[0]))

    def take_bytes(self) -> bytes:
        """What must be sent now."""
        taken = bytes(self._send)
        self._send.clear()
        return taken

    def feed(self, data: bytes) -> None:
        """More bytes; b"" means the device closed its side."""
        if self.closing:
            return
        if self._request is None:
            self._head = (self._head + data)[:KEPT_BYTES]
        try:
            self._http.receive_data(data)
        except (h11.RemoteProtocolError, RuntimeError):
            self.closing = True

    def next(self) -> Request | Refused | None:
        """The next whole request; None: more bytes are needed."""
        while not self.closing:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                return self.refuse(error.error_status_hint, str(error))
            if event is h11.NEED_DATA:
                if self._http.they_are_waiting_for_100_continue:
                    self._write(h11.InformationalResponse(status_code=100, headers=[]))
                return None
            if event is h11.PAUSED:
                return None
            match event:
                case h11.Request():
                    self._request = event
                    self._body.clear()
                    self._too_long = self._announced(event) > self._most_body_bytes
                    if self._too_long and not self._swallow:
                        return self.refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "a body longer than allowed")
                case h11.Data(data=data):
                    if not self._too_long:
                        self._body += data
                        self._too_long = len(self._body) > self._most_body_bytes
                    if self._too_long:
                        if not self._swallow:
                            return self.refuse(
                                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "a body longer than allowed"
                            )
                        self._body.clear()
                case h11.EndOfMessage() if self._request is not None:
                    return self._whole(self._request)
                case h11.ConnectionClosed():
                    self.closing = True
        return None

    def _whole(self, request: h11.Request) -> Request:
        return Request(
            request.method.decode("ascii"),
            bytes(request.target),
            bytes(self._body),
            tuple((bytes(name), bytes(value)) for name, value in request.headers),
            self._too_long,
        )

    def answer(self, status: int, body: bytes) -> None:
        """Answer the request `next` gave."""
        self._respond(status, body, close=False)
        self._request = None
        self._head = b""
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
            self._head = self._http.trailing_data[0][:KEPT_BYTES]
        else:
            self.closing = True

    def refuse(self, status: int, why: str) -> Refused:
        """Send `status` and end the connection."""
        raw = bytes(self._body[:KEPT_BYTES]) or self._head
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._respond(status if 400 <= status < 500 else HTTPStatus.BAD_REQUEST, b"{}", close=True)
        self.closing = True
        return Refused(raw, why)

    def _respond(self, status: int, body: bytes, *, close: bool) -> None:
        headers = [("Content-Type", self._content_type), ("Content-Length", str(len(body)))]
        if close:
            headers.append(("Connection", "close"))
        reason = HTTPStatus(status).phrase
        asked_for_body = self._request is None or self._request.method != b"HEAD"
        try:
            self._write(h11.Response(status_code=status, headers=headers, reason=reason))
            if asked_for_body:
                self._write(h11.Data(data=body))
            self._write(h11.EndOfMessage())
        except h11.LocalProtocolError:
            # a request such as CONNECT that leaves no ordinary way to answer
            self.closing = True

    def _write(self, event: h11.InformationalResponse | h11.Response | h11.Data | h11.EndOfMessage) -> None:
        self._send += self._http.send(event) or b""

    @staticmethod
    def _announced(request: h11.Request) -> int:
        lengths = [int(value) for name, value in request.headers if name == b"content-length"]
        return max(lengths, default=0)
