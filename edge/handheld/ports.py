"""What the handheld asks of the device it runs on, whatever that is. Android's answers are in `android`, a
PC's in
`desktop`; nobody else knows which of them is there.

Calls return at once and may come from any thread, unless a line says otherwise. What a device does not have
is None or nothing, never an exception: a handheld without a vibration motor is a handheld.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from edge.handheld.context import Battery
from edge.handheld.effects import Tone

if TYPE_CHECKING:
    from numpy import int16, uint8
    from numpy.typing import NDArray


class PortFailed(Exception):
    """The device has it and could not do it; the text says why, for an officer to read."""


class ScanService(Protocol):
    """Codes that come by themselves while it is started: from a PDA's own scan engine."""

    def start(self) -> None:
        """On resume. Idempotent."""

    def stop(self) -> None:
        """On pause. Idempotent."""


@dataclass(frozen=True, eq=False, slots=True)
class GreyFrame:
    """What the camera sees, as a decoder wants it."""

    number: int
    """Counts up from one opening of the camera to the next; the same number is the same picture."""
    grey: NDArray[uint8]
    """(rows, columns), upright as the device is held, top row first. Its own copy."""
    at_s: float
    """Monotonic."""


class Camera(Protocol):
    def open(self) -> None:
        """On resume or when codes are wanted. Idempotent. From the window's thread. Raises `PortFailed`."""

    def close(self) -> None:
        """On pause: other apps need it, and a camera held over a pause is dead afterwards. Idempotent. From
        the window's thread."""

    def frame(self) -> GreyFrame | None:
        """The newest; None while closed or before the first. For the decoder's thread."""

    def torch(self, on: bool) -> None: ...


class Motor(Protocol):
    def vibrate(self, pulses_ms: Sequence[int]) -> None:
        """On, off, on ... in milliseconds."""


class Speaker(Protocol):
    def play(self, tone: Tone) -> None:
        """The last one asked for is heard; one that still sounds is cut off."""


class Gauge(Protocol):
    def read(self) -> Battery: ...


class NetworkKind(enum.StrEnum):
    NONE = "none"
    WIFI = "wifi"
    MOBILE = "mobile"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class NetworkState:
    """What the device is attached to. Whether the centre answers is the link's to say: a warehouse's
    network that leads nowhere else is a good one."""

    kind: NetworkKind
    is_metered: bool = False


class Network(Protocol):
    def read(self) -> NetworkState: ...


@dataclass(frozen=True, slots=True)
class Spot:
    """Where the device last knew it was, WGS 84."""

    latitude: float
    longitude: float
    accuracy_m: float
    age_s: float


class Locator(Protocol):
    def read(self) -> Spot | None:
        """None: not allowed, not built in, or never known."""


class Display(Protocol):
    def keep_awake(self, on: bool) -> None:
        """While scanning."""

    def conceal(self, on: bool) -> None:
        """No screenshots, no recording, nothing in the list of recent apps."""

    def brightness(self, share: float | None) -> None:
        """0 to 1; None: as the officer set the device."""


class Grants(Protocol):
    """What the person holding the device allows this app."""

    def missing(self, wanted: Sequence[str]) -> tuple[str, ...]:
        """Of permissions by their full names, those not granted; ones this device does not know are not
        missing.
        """

    def ask(self, wanted: Sequence[str], told: Callable[[tuple[str, ...]], None]) -> None:
        """`told(still missing)`, once, on any thread, when the person has answered."""


class Microphone(Protocol):
    """Sound for live talk and voice notes: one channel, 16 bits, 8,000 samples a second."""

    def open(self) -> None:
        """Raises `PortFailed`."""

    def read(self) -> NDArray[int16]:
        """The next 20 ms (160 samples); waits for them. Raises `PortFailed`."""

    def close(self) -> None:
        """Idempotent."""


class Attendant(Protocol):
    """Whoever keeps the core running while nobody looks at the screen."""

    def start(self) -> None:
        """Idempotent. Raises `PortFailed`."""

    def stop(self) -> None:
        """For good: wiped, or told to. Idempotent."""


class Wakefulness(Protocol):
    """Keeps the processor from sleeping while something is owed and the centre answers."""

    def hold(self, longest_s: float) -> None:
        """From now on for at most so long; holding again begins anew."""

    def let_go(self) -> None:
        """Idempotent."""
