"""The calling half of a camera that POSTs its messages: a queue, answers, re-sends, and what can go wrong.

A message whose answer is not a 200 is sent again after a pause, for ever and in order, as cameras do that
cannot store. Bytes only; opens no socket.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from hardware_sims.barrier import NEVER
from hardware_sims.faults import Fault, FaultKind, FaultyLine

ANSWER_WITHIN_S = 5.0
RETRY_S = 1.0
STORM_COPIES = 30
"""So often a message is said again in a storm, whatever the answers were."""
DRIBBLE_BYTES = 16
DRIBBLE_S = 1.0
"""A dribbling sender sends so many bytes so often."""
MAX_ANSWER = 64 * 1024


@dataclass(slots=True)
class Push:
    """One message. `from_s`: not before; `copies`: how often it was taken."""

    from_s: float
    path: str
    content_type: str
    body: bytes | Callable[[float], bytes]
    """Made when it is sent, where what it says depends on how long it waited."""
    headers: tuple[str, ...] = ()
    keep: bool = True
    """False: said once, whatever the answer (a heartbeat)."""
    copies: int = field(default=0)


class Pusher:
    """Whoever performs: while `calling` is True a connection is wanted; see `PlateCamera`."""

    def __init__(self, host: str, seed: str) -> None:
        self._host = host
        self._random = random.Random(f"{seed}/push")
        self.line = FaultyLine(seed)
        self._queue: deque[Push] = deque()
        self._connected = False
        self._awaiting: Push | None = None
        self._answer = bytearray()
        self._answer_by_s = NEVER
        self._not_before_s = 0.0
        self._hang_up = False
        self._now = 0.0
        self.statuses: list[int] = []
        """Of every answer, in order."""

    # --- connection ---

    @property
    def calling(self) -> bool:
        if self.line.is_deaf or self._hang_up:
            return False
        return self._connected or self._wanted_s() <= self._now

    def connect(self, at_s: float) -> None:
        self._now = at_s
        self._connected = True
        self._answer.clear()
        self.line.clear()

    def connect_failed(self, at_s: float) -> None:
        self._now = at_s
        self._not_before_s = at_s + RETRY_S

    def disconnect(self, at_s: float) -> None:
        self._now = at_s
        self._hang_up = False
        self._connected = False
        self.line.clear()
        if self._awaiting is not None:
            self._unanswered(at_s)

    # --- time ---

    def put(self, push: Push) -> None:
        if not self.line.is_deaf:
            self._queue.append(push)

    def set_fault(self, at_s: float, fault: Fault, on: bool) -> None:
        self._now = at_s
        self.line.set(at_s, fault, on)
        if fault.kind is FaultKind.DEAD and on:
            self._queue.clear()

    def next_event_s(self) -> float:
        if self.line.is_deaf:
            return NEVER
        due = min(self.line.next_event_s(), self._answer_by_s)
        wanted = self._wanted_s()
        waits_for_others = wanted <= self._now and (self._hang_up or not self._connected)
        return due if waits_for_others else min(due, wanted)

    def advance(self, at_s: float) -> bytes:
        self._now = max(self._now, at_s)
        if self._answer_by_s <= at_s:
            self._hang_up = True
            self._unanswered(at_s)
        if self._connected and not self._hang_up and self._wanted_s() <= at_s:
            self._post(at_s, self._queue[0])
        ready = self.line.take(at_s)
        return ready if self._connected else b""

    def receive(self, at_s: float, data: bytes) -> None:
        self._now = max(self._now, at_s)
        self._answer += self.line.heard(data)
        if self._awaiting is None or len(self._answer) > MAX_ANSWER:
            self._answer.clear()
            return
        head, blank, body = bytes(self._answer).partition(b"\r\n\r\n")
        if not blank:
            return
        status, *lines = head.decode("latin-1").split("\r\n")
        fields = {
            name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
        }
        length = fields.get("content-length", "0")
        if not (length.isdecimal() and len(length) < 10) or len(body) < int(length):
            return
        self._answer.clear()
        words = status.split(" ", 2)
        code = int(words[1]) if len(words) > 1 and words[1].isdecimal() and len(words[1]) < 10 else 0
        self.statuses.append(code)
        if fields.get("connection", "").lower() == "close":
            self._hang_up = True
        if code == 200:
            self._answered()
        else:
            self._unanswered(at_s)

    def _wanted_s(self) -> float:
        """When the next message is to go; `inf` while an answer is awaited."""
        if self._awaiting is not None or not self._queue:
            return NEVER
        return max(self._queue[0].from_s, self._not_before_s)

    def _post(self, at_s: float, push: Push) -> None:
        body = push.body if isinstance(push.body, bytes) else push.body(at_s)
        if self.line.has(FaultKind.MALFORMED):
            body = self._malformed(body)
        head = [
            f"POST {push.path} HTTP/1.1",
            f"Host: {self._host}",
            f"Content-Type: {push.content_type}",
            *push.headers,
            "Connection: keep-alive",
            f"Content-Length: {len(body)}",
        ]
        self._answer.clear()
        self._awaiting = push
        self._answer_by_s = at_s + ANSWER_WITHIN_S
        whole = "\r\n".join([*head, "", ""]).encode("utf-8") + body
        if not self.line.has(FaultKind.SLOW_LORIS):
            self.line.send(at_s, whole)
            return
        self._answer_by_s = NEVER
        for count, at in enumerate(range(0, len(whole), DRIBBLE_BYTES)):
            self.line.send(at_s + count * DRIBBLE_S, whole[at : at + DRIBBLE_BYTES])

    def _malformed(self, body: bytes) -> bytes:
        """A whole transmission of something that is none: a piece left out, doubled or changed."""
        draw = self._random
        begin, end = sorted((draw.randrange(len(body) + 1), draw.randrange(len(body) + 1)))
        match draw.randrange(4):
            case 0:
                return body[:begin]
            case 1:
                return body[:begin] + body[end:]
            case 2:
                return body[:end] + body[begin:]
            case _:
                return body[:begin] + draw.randbytes(8) + body[begin:]

    def _answered(self) -> None:
        push, self._awaiting, self._answer_by_s = self._awaiting, None, NEVER
        if push is None or not self._queue or self._queue[0] is not push:
            return
        push.copies += 1
        if not (self.line.has(FaultKind.STORM) and push.keep and push.copies <= STORM_COPIES):
            self._queue.popleft()

    def _unanswered(self, at_s: float) -> None:
        push, self._awaiting, self._answer_by_s = self._awaiting, None, NEVER
        self._answer.clear()
        self._not_before_s = at_s + RETRY_S
        if push is not None and not push.keep and self._queue and self._queue[0] is push:
            self._queue.popleft()
