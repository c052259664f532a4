"""Devices made of bytes, each from its data sheet. None of our programs' codecs may enter.

Every device has the same shape (`Device`); time is virtual and arrives as an argument; nothing here opens
a port.
"""

from __future__ import annotations

from typing import Protocol

from hardware_sims.faults import Fault


class Device(Protocol):
    """A device at the end of a line. Times never go back; `advance` comes before `receive`."""

    def connect(self, at_s: float) -> None:
        """Somebody opened the port at the other end."""

    def disconnect(self, at_s: float) -> None:
        """The other end closed its port."""

    def receive(self, at_s: float, data: bytes) -> None:
        """Bytes from the other end, in any slices."""

    def advance(self, at_s: float) -> bytes:
        """Bytes that leave the device by `at_s`."""

    def next_event_s(self) -> float:
        """When `advance` is needed next; `inf` when never."""

    def set_fault(self, at_s: float, fault: Fault, on: bool) -> None: ...


class Camera(Device, Protocol):
    """A device that may call us. Whoever performs: while `calling` a connection to its listener is wanted; on
    success `connect`, on failure `connect_failed`, when the other end hangs up `disconnect`."""

    @property
    def calling(self) -> bool: ...

    def connect_failed(self, at_s: float) -> None:
        """Nobody listens where it calls."""
