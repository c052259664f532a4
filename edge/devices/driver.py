"""The one shape of every driver: bytes and time in, readings and bytes out. No port, no thread, no clock.

The runtime owns ports and time and calls these four; the world test calls the very same with a virtual clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from edge.devices.readings import Order, Reading


@dataclass(frozen=True, slots=True)
class Output:
    """What a driver wants after a call."""

    readings: tuple[Reading, ...] = ()
    send: bytes = b""
    wake_at_s: float | None = None
    """Call `due` at this monotonic time (or later); None: only when bytes arrive."""
    hang_up: bool = False
    """For connections a device opened to us: close after sending."""
    heard: bool = False
    """A whole, valid answer with nothing to report (an empty poll): the device is not silent."""


NOTHING = Output()


class Driver(Protocol):
    """Calls never raise on any bytes. Times are monotonic seconds of the caller's clock."""

    def opened(self, at_s: float) -> Output:
        """The port is open (again): forget half-read frames and unanswered orders; begin polling."""

    def received(self, at_s: float, data: bytes) -> Output: ...

    def due(self, at_s: float) -> Output:
        """Time asked for has come: next poll, a reply that did not come, a line gone quiet in mid-frame."""

    def order(self, at_s: float, order_id: str, order: Order) -> Output:
        """Carry out; answers later with `OrderDone` or `OrderRefused` of the same id."""
