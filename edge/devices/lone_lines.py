"""Cuts a stream into reads that stand alone: between silences, or ended by CR or LF. Knows no device.

For formats without a start byte, where only what stands beside a read tells whether it is whole. The same
answers come out however the stream is sliced; what is held is bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from edge.devices.readings import ReadGarbled, ReadTruncated

M = TypeVar("M")

CR, LF = 0x0D, 0x0A
LONGEST = 64
"""More bytes than this without an ending are no read of any such format."""


class LoneLines(Generic[M]):
    """`read` judges one line, ending taken off; it answers with messages and with what was none."""

    def __init__(
        self,
        read: Callable[[bytes], Sequence[M | ReadGarbled | ReadTruncated]],
        *,
        line_ends: bool = True,
        quiet_ends: bool = True,
    ) -> None:
        """`line_ends`: CR and LF end a read. `quiet_ends`: silence does; else it cuts it off."""
        self._read = read
        self._line_ends = line_ends
        self._quiet_ends = quiet_ends
        self._held = bytearray()
        self._overlong = False

    @property
    def holding(self) -> bool:
        """Something is half-read: ask `quiet` when the line goes quiet."""
        return bool(self._held) or self._overlong

    def clear(self) -> None:
        """Forget everything held: the port was opened again."""
        self._held.clear()
        self._overlong = False

    def feed(self, data: bytes) -> list[M | ReadGarbled | ReadTruncated]:
        out: list[M | ReadGarbled | ReadTruncated] = []
        for byte in data:
            if self._line_ends and byte in (CR, LF):
                self._end(out)
                continue
            self._held.append(byte)
            if len(self._held) == LONGEST:
                out.append(self._too_long())
                self._overlong = True
        return out

    def quiet(self) -> list[M | ReadGarbled | ReadTruncated]:
        out: list[M | ReadGarbled | ReadTruncated] = []
        if self._held and not self._overlong and not self._quiet_ends:
            out.append(ReadTruncated(bytes(self._held)))
            self.clear()
        self._end(out)
        return out

    def _end(self, out: list[M | ReadGarbled | ReadTruncated]) -> None:
        if self._held:
            out += [self._too_long()] if self._overlong else self._read(bytes(self._held))
        self.clear()

    def _too_long(self) -> ReadGarbled:
        raw = bytes(self._held)
        self._held.clear()
        return ReadGarbled(raw, f"no end within {LONGEST} bytes")
