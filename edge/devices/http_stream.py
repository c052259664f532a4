"""A conversation with a device whose answer is an endless multipart stream: asks, waits, cuts it into parts.

Pure: time arrives as an argument. What a part means is its driver's. A device that says nothing whole for too
long is hung up on, so that the port opens it again; one that refuses our credentials is left alone for a
while, since it would lock the user out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from edge.devices import http_calling
from edge.devices.multipart import Part, PartCutter, boundary_of
from edge.devices.readings import ReadGarbled, ReadTruncated


@dataclass(frozen=True, slots=True)
class Limits:
    answer_s: float
    """For the answer to our request to begin."""
    quiet_s: float
    """Without any byte for so long it is gone."""
    part_s: float
    """Without a whole part for so long, bytes or not, it is gone."""
    after_refusal_s: float
    """Before asking again where credentials were refused."""
    most_part_bytes: int


class PartStream:
    """`opened`, `received` and `due` as a driver has them; then `take_bytes`, `wake_at_s` and `hang_up`."""

    def __init__(self, caller: http_calling.Caller, limits: Limits) -> None:
        self._caller = caller
        self._limits = limits
        self._cutter: PartCutter | None = None
        self._not_before_s: float | None = None
        self._asked = False
        self._whole_s = 0.0
        self.wake_at_s: float | None = None
        self.hang_up = False

    def opened(self, at_s: float) -> None:
        self._cutter = None
        self.hang_up = False
        self._asked = False
        if self._not_before_s is not None and at_s < self._not_before_s:
            self.wake_at_s = self._not_before_s
            return
        self._ask(at_s)

    def received(self, at_s: float, data: bytes) -> list[Part | ReadGarbled | ReadTruncated]:
        out: list[Part | ReadGarbled | ReadTruncated] = []
        if self.hang_up or not self._asked:
            return out
        for event in self._caller.feed(data):
            match event:
                case http_calling.Begun(content_type):
                    self._begin(at_s, content_type, out)
                case http_calling.Content(content):
                    self._cut(at_s, content, out)
                case http_calling.AskAgain():
                    self._leave()
                case http_calling.Denied(why):
                    self._not_before_s = at_s + self._limits.after_refusal_s
                    out.append(ReadGarbled(b"", why))
                    self._leave()
                case http_calling.Failed(why):
                    out.append(ReadGarbled(b"", why))
                    self._leave()
                case http_calling.Finished():
                    self._cut_off(out)
                    self._leave()
                case _:
                    assert_never(event)
        if self._cutter is not None and not self.hang_up:
            self.wake_at_s = min(at_s + self._limits.quiet_s, self._whole_s + self._limits.part_s)
        return out

    def due(self, at_s: float) -> list[Part | ReadGarbled | ReadTruncated]:
        out: list[Part | ReadGarbled | ReadTruncated] = []
        if self.hang_up or self.wake_at_s is None or at_s < self.wake_at_s:
            return out
        if not self._asked:
            self._ask(at_s)
        else:
            if not self._cut_off(out):
                out.append(ReadGarbled(b"", "nothing whole came in its time"))
            self._leave()
        return out

    def take_bytes(self) -> bytes:
        return self._caller.take_bytes()

    def _ask(self, at_s: float) -> None:
        self._not_before_s = None
        self._asked = True
        self._caller.begin()
        self.wake_at_s = at_s + self._limits.answer_s

    def _begin(self, at_s: float, content_type: str, out: list[Part | ReadGarbled | ReadTruncated]) -> None:
        boundary = boundary_of(content_type)
        if boundary is None:
            out.append(ReadGarbled(b"", f"an answer that is no multipart stream: {content_type[:80]!r}"))
            self._leave()
            return
        self._whole_s = at_s
        self._cutter = PartCutter(boundary, most_part_bytes=self._limits.most_part_bytes)

    def _cut(self, at_s: float, content: bytes, out: list[Part | ReadGarbled | ReadTruncated]) -> None:
        if self._cutter is None or self.hang_up:
            return
        parts = self._cutter.feed(content)
        if any(isinstance(part, Part) for part in parts):
            self._whole_s = at_s
        out += parts
        if self._cutter.ended:
            self._leave()

    def _cut_off(self, out: list[Part | ReadGarbled | ReadTruncated]) -> bool:
        """Tells what is half read. True where something is."""
        if self._cutter is None or not self._cutter.halfway:
            return False
        out.append(ReadTruncated(self._cutter.kept))
        return True

    def _leave(self) -> None:
        self.hang_up = True
        self.wake_at_s = None
