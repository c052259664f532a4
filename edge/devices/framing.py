"""Cuts a stream of bytes into frames: any slicing of the stream gives the same messages. Knows no device.

A device's `wire` supplies one question, `look`: does a frame stand at this place of the bytes? Everything
else is the same for every line: bytes that are no frame are set aside and reported, a frame is looked for
again from the very next byte, and what is half-read when the line goes quiet was cut off. What is held is
bounded.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from edge.devices.readings import ReadGarbled, ReadTruncated

M = TypeVar("M")

NOISE_BYTES = 64
"""Noise is reported at latest after so many bytes."""


@dataclass(frozen=True, slots=True)
class Whole(Generic[M]):
    """A frame of `length` bytes stands here."""

    length: int
    message: M


@dataclass(frozen=True, slots=True)
class NotHere:
    """No frame starts at this byte."""

    why: str


class Unfinished(enum.Enum):
    """Every byte so far can be a frame's; more are needed. `look` must bound how many."""

    MORE = enum.auto()


MORE = Unfinished.MORE
NO_START = NotHere("no frame starts here")

Look = Callable[[bytes, int], Whole[M] | NotHere | Unfinished]


class Cutter(Generic[M]):
    """Feed it whatever the port gave, in any slices; it answers with messages and with what was none."""

    def __init__(self, look: Look[M], *, start: int | None = None) -> None:
        """`start`: the byte every frame begins with, where there is one; only makes skipping noise faster."""
        self._look = look
        self._start = start
        self._held = b""
        self._noise = bytearray()
        self._why = ""

    @property
    def holding(self) -> bool:
        """Something is half-read, or noise waits to be reported: ask `quiet` when the line goes quiet."""
        return bool(self._held or self._noise)

    def clear(self) -> None:
        """Forget everything held: the port was opened again."""
        self._held = b""
        self._noise.clear()
        self._why = ""

    def feed(self, data: bytes) -> list[M | ReadGarbled | ReadTruncated]:
        out: list[M | ReadGarbled | ReadTruncated] = []
        held = self._held + data
        at = 0
        while at < len(held):
            at = self._skip(held, at, out)
            if at == len(held):
                break
            match self._look(held, at):
                case Whole(length, message):
                    self._report_noise(out)
                    out.append(message)
                    at += length
                case NotHere() as verdict:
                    self._set_aside(held[at : at + 1], verdict, out)
                    at += 1
                case Unfinished.MORE:
                    break
        self._held = held[at:]
        return out

    def quiet(self) -> list[M | ReadGarbled | ReadTruncated]:
        """The line went quiet: what is half-read will never be finished. Frames behind it still count."""
        out: list[M | ReadGarbled | ReadTruncated] = []
        held, self._held = self._held, b""
        at = 0
        cut_at: int | None = None
        while at < len(held):
            verdict = self._look(held, at)
            match verdict:
                case Whole(length, message):
                    self._report_noise(out)
                    if cut_at is not None:
                        out.append(ReadTruncated(held[cut_at:at]))
                        cut_at = None
                    out.append(message)
                    at += length
                case NotHere():
                    if cut_at is None:
                        self._set_aside(held[at : at + 1], verdict, out)
                    at += 1
                case Unfinished.MORE:
                    cut_at = at if cut_at is None else cut_at
                    at += 1
        self._report_noise(out)
        if cut_at is not None:
            out.append(ReadTruncated(held[cut_at:]))
        return out

    def _skip(self, held: bytes, at: int, out: list[M | ReadGarbled | ReadTruncated]) -> int:
        if self._start is None or held[at] == self._start:
            return at
        to = held.find(self._start, at)
        to = len(held) if to < 0 else to
        self._set_aside(held[at:to], NO_START, out)
        return to

    def _set_aside(self, data: bytes, verdict: NotHere, out: list[M | ReadGarbled | ReadTruncated]) -> None:
        if verdict is not NO_START and not self._why:
            self._why = verdict.why
        while data:
            room = NOISE_BYTES - len(self._noise)
            self._noise += data[:room]
            data = data[room:]
            if len(self._noise) == NOISE_BYTES:
                self._report_noise(out)

    def _report_noise(self, out: list[M | ReadGarbled | ReadTruncated]) -> None:
        if self._noise:
            out.append(ReadGarbled(bytes(self._noise), self._why or NO_START.why))
            self._noise.clear()
        self._why = ""
