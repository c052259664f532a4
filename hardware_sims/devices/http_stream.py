"""The serving half of a camera whose answer never ends: one GET with Digest, then parts and heartbeats.

RFC 7616 from the camera's side: a challenge with a nonce of its own, one user, `qop=auth`. Bytes only; opens
no socket.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections import deque
from dataclasses import dataclass
from typing import Literal

from hardware_sims.barrier import NEVER
from hardware_sims.faults import Fault, FaultKind, FaultyLine

BOUNDARY = "myboundary"
STORM_COPIES = 30
DRIBBLE_BYTES = 16
DRIBBLE_S = 1.0
MAX_REQUEST = 16 * 1024
_PARAMETER = re.compile(r'([a-zA-Z]+)=(?:"([^"]*)"|([^\s,]+))')


@dataclass(frozen=True, slots=True)
class Portion:
    """One part of the stream, and whether it may be spoilt, stormed or dribbled."""

    from_s: float
    content_type: str
    body: bytes
    name: str = ""
    is_heartbeat: bool = False


class StreamServer:
    """`path` is what a request must begin with; `kind` the Content-Type's family of the answer."""

    def __init__(
        self,
        *,
        path: str,
        kind: Literal["multipart/x-mixed-replace", "multipart/mixed"],
        user: str,
        password: str,
        algorithm: Literal["MD5", "SHA-256"] = "MD5",
        with_length: bool = True,
        seed: str,
    ) -> None:
        self._path = path
        self._kind = kind
        self._user = user
        self._password = password
        self._algorithm = algorithm
        self._with_length = with_length
        self._random = random.Random(f"{seed}/stream")
        self._nonce = self._random.randbytes(16).hex()
        self.line = FaultyLine(seed)
        self._request = bytearray()
        self._queue: deque[Portion] = deque()
        self._busy_until_s = 0.0
        self.subscribed = False
        self.statuses: list[int] = []
        """Of every answer, in order."""

    def connect(self, at_s: float) -> None:
        self._forget()

    def disconnect(self, at_s: float) -> None:
        self._forget()

    def _forget(self) -> None:
        self.line.clear()
        self._request.clear()
        self._queue.clear()
        self._busy_until_s = 0.0
        self.subscribed = False

    def set_fault(self, at_s: float, fault: Fault, on: bool) -> None:
        self.line.set(at_s, fault, on)
        if fault.kind in (FaultKind.DEAD, FaultKind.VANISH) and on:
            self._forget()

    def put(self, portion: Portion) -> None:
        """Nobody subscribed: nobody is told, as with the real ones."""
        if self.subscribed and not self.line.is_deaf:
            self._queue.append(portion)

    def next_event_s(self) -> float:
        if self.line.is_deaf:
            return NEVER
        due = max(self._queue[0].from_s, self._busy_until_s) if self._queue else NEVER
        return min(due, self.line.next_event_s())

    def advance(self, at_s: float) -> bytes:
        while self._queue and max(self._queue[0].from_s, self._busy_until_s) <= at_s:
            self._say(at_s, self._queue.popleft())
        return self.line.take(at_s)

    def _say(self, at_s: float, portion: Portion) -> None:
        body = portion.body
        length = len(body)
        if not portion.is_heartbeat and self.line.has(FaultKind.MALFORMED):
            match self._random.randrange(4):
                case 0:
                    length = self._random.randrange(2 * length + 2)
                case 1:
                    body = body[: self._random.randrange(length + 1)]
                case 2:
                    body = self._random.randbytes(self._random.randrange(1, 200))
                    length = len(body)
                case _:
                    at = self._random.randrange(length + 1)
                    body = body[:at] + b"\r\n--" + body[at:]
        head = [f"--{BOUNDARY}", f"Content-Type: {portion.content_type}"]
        if portion.name:
            head.append(f'Content-Disposition: form-data; name="{portion.name}"; filename="{portion.name}"')
        if self._with_length:
            head.append(f"Content-Length: {length}")
        whole = "\r\n".join([*head, "", ""]).encode("ascii") + body + b"\r\n"
        if portion.is_heartbeat or not self.line.has(FaultKind.SLOW_LORIS):
            copies = STORM_COPIES if self.line.has(FaultKind.STORM) and not portion.is_heartbeat else 1
            for _ in range(copies):
                self.line.send(at_s, whole)
            return
        # heartbeats wait behind it: what comes is never a whole part
        pieces = range(0, len(whole), DRIBBLE_BYTES)
        for count, at in enumerate(pieces):
            self.line.send(at_s + count * DRIBBLE_S, whole[at : at + DRIBBLE_BYTES])
        self._busy_until_s = at_s + len(pieces) * DRIBBLE_S

    # --- the request ---

    def receive(self, at_s: float, data: bytes) -> None:
        self._request += self.line.heard(data)
        if len(self._request) > MAX_REQUEST:
            self._request.clear()
            return
        while True:
            head, blank, rest = bytes(self._request).partition(b"\r\n\r\n")
            if not blank:
                return
            self._request = bytearray(rest)
            self._asked(at_s, head.decode("utf-8", errors="replace"))

    def _asked(self, at_s: float, head: str) -> None:
        first, *lines = head.split("\r\n")
        words = first.split(" ")
        fields = {
            name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
        }
        if len(words) != 3 or words[0] != "GET" or not words[1].startswith(self._path):
            self._answer(at_s, 404, [])
        elif self._is_allowed(fields.get("authorization", ""), words[1]):
            self.statuses.append(200)
            self.subscribed = True
            answer = [
                "HTTP/1.1 200 OK",
                "Cache-Control: no-cache",
                "Connection: close",
                f"Content-Type: {self._kind}; boundary={BOUNDARY}",
            ]
            self.line.send(at_s, "\r\n".join([*answer, "", ""]).encode("ascii"))
        else:
            challenge = f'Digest realm="Login to camera", qop="auth", nonce="{self._nonce}", opaque="5ccc"'
            if self._algorithm != "MD5":
                challenge += f", algorithm={self._algorithm}"
            self._answer(at_s, 401, [f"WWW-Authenticate: {challenge}"])

    def _answer(self, at_s: float, status: int, headers: list[str]) -> None:
        self.statuses.append(status)
        reason = {401: "Unauthorized", 404: "Not Found"}[status]
        lines = [
            f"HTTP/1.1 {status} {reason}",
            *headers,
            "Content-Length: 0",
            "Connection: keep-alive",
            "",
            "",
        ]
        self.line.send(at_s, "\r\n".join(lines).encode("ascii"))

    def _is_allowed(self, authorization: str, uri: str) -> bool:
        scheme, _, rest = authorization.partition(" ")
        said = {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(rest)}
        if scheme.lower() != "digest" or said.get("uri") != uri or said.get("nonce") != self._nonce:
            return False

        def hashed(text: str) -> str:
            digest = hashlib.new("sha256" if self._algorithm == "SHA-256" else "md5", usedforsecurity=False)
            digest.update(text.encode("utf-8"))
            return digest.hexdigest()

        secret = hashed(f"{self._user}:Login to camera:{self._password}")
        middle = f"{self._nonce}:{said.get('nc', '')}:{said.get('cnonce', '')}:{said.get('qop', '')}"
        expected = hashed(f"{secret}:{middle}:{hashed(f'GET:{uri}')}")
        return said.get("username") == self._user and said.get("response") == expected
