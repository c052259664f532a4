"""Keeps every port open and says when one is not: back-off, losses, returns, silence. No device word.

A thread for each device, one more that watches for silence. Whatever goes wrong with one device, a fault of
its driver included, is a report about that device and touches no other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Annotated, Final, Generic, Literal, Protocol, TypeVar, assert_never

import msgspec
import structlog

from edge.runtime.channels import ListenAddress, SerialAddress
from edge.runtime.clock import Clock
from edge.runtime.ports import Driver, DriverBroke, Ears, Listener, OrderNotTaken, Port, PortFailed

R = TypeVar("R")
O = TypeVar("O")  # noqa: E741 - order, as R is reading
O_contra = TypeVar("O_contra", contravariant=True)

_LONGEST_WAIT_S: Final = 3600.0


# --- what is reported ---


@dataclass(frozen=True, slots=True)
class PortLost:
    """The port cannot be used; said once for each reason. Orders it had not answered are void."""

    device: str
    why: str


@dataclass(frozen=True, slots=True)
class PortBack:
    """The port is open, for the first time or again. It says nothing of whether the device speaks."""

    device: str


@dataclass(frozen=True, slots=True)
class DeviceSilent:
    """No valid reading for `silent_s`, whether its port is open or not. Said once for each silence."""

    device: str
    silent_s: float


@dataclass(frozen=True, slots=True)
class DeviceSpeaking:
    """The first valid reading ever, after a silence or after a lost port; comes just before that reading."""

    device: str


DeviceReport = PortLost | PortBack | DeviceSilent | DeviceSpeaking


# --- what is asked for ---


@dataclass(frozen=True, slots=True)
class Device(Generic[R, O]):
    name: str
    address: SerialAddress | ListenAddress
    make_driver: Callable[[], Driver[R, O]]
    """Called once for a line, and again after its driver raised; once a connection for a listener."""
    silent_after_s: float | None = None
    """Without a valid reading for so long it counts as silent; None for what speaks only when it has to."""


class BackOff(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a lost port is tried again: the first time at once."""

    second_after_s: Annotated[float, msgspec.Meta(gt=0)] = 0.2
    """Wait before the second try; doubled for each one after it."""
    longest_s: Annotated[float, msgspec.Meta(gt=0)] = 5.0
    """Longest wait. A port that stayed open for so long starts afresh; where its device spoke,
    `second_after_s` is enough."""

    def delay_s(self, failures: int) -> float:
        """Before the next try, after so many failures in a row (1 or more)."""
        if failures <= 1:
            return 0.0
        doublings = min(failures - 2, 32)
        return float(min(self.second_after_s * 2**doublings, self.longest_s))

    def forgives(self, open_s: float, *, spoke: bool) -> bool:
        """Whether a port that was open for so long before this loss starts afresh."""
        return open_s >= (self.second_after_s if spoke else self.longest_s)


# --- silence, without clock or thread ---


class Hearing:
    """Whether one device speaks. Times are monotonic seconds; a late report never turns time back."""

    def __init__(self, silent_after_s: float | None, at_s: float) -> None:
        self._silent_after_s = silent_after_s
        self._since_s = at_s
        self.speaking = False
        self.silent = False
        """Reported as silent. Neither speaking nor silent: not heard yet, and its time not over."""

    def heard(self, at_s: float) -> bool:
        """A valid reading. True where it is the first, or ends a silence or a loss."""
        self._since_s = max(self._since_s, at_s)
        news = not self.speaking
        self.speaking = True
        self.silent = False
        return news

    def lost(self) -> None:
        """Its port is lost. The time of silence runs on."""
        self.speaking = False

    def overdue(self, at_s: float) -> bool:
        """True once for each silence."""
        due_s = self.due_s()
        if due_s is None or at_s < due_s:
            return False
        self.speaking = False
        self.silent = True
        return True

    def due_s(self) -> float | None:
        """When it will count as silent, unless heard before. None: it cannot, or does already."""
        if self._silent_after_s is None or self.silent:
            return None
        return self._since_s + self._silent_after_s

    def silent_s(self, at_s: float) -> float:
        return at_s - self._since_s


# --- the supervisor ---


Speech = Literal["not heard", "speaking", "silent"]


@dataclass(frozen=True, slots=True)
class DeviceHealth:
    """For status and `doctor`; counts since the start."""

    port: Literal["not tried", "open", "lost"] = "not tried"
    why: str = ""
    """Of the latest loss."""
    speech: Speech = "not heard"
    """Since the port was lost or opened first; `silent` once that was reported."""
    heard_at_s: float | None = None
    """Monotonic time of the latest valid reading."""
    openings: int = 0
    losses: int = 0
    readings: int = 0
    """Valid ones."""
    spoilt: int = 0
    """Readings that are none: cut off or garbled."""


class Line(Protocol[O_contra]):
    """`Port` and `Listener` are lines."""

    def run(self) -> None: ...
    def order(self, order_id: str, order: O_contra) -> None: ...
    def close(self) -> None: ...


class _Kept(Generic[R, O]):
    def __init__(self, device: Device[R, O], line: Line[O], hearing: Hearing) -> None:
        self.device = device
        self.line = line
        self.hearing = hearing
        self.health = DeviceHealth()
        self.opened_at_s: float | None = None
        self.thread: threading.Thread | None = None

    def open_s(self, at_s: float) -> float:
        return at_s - self.opened_at_s if self.opened_at_s is not None else 0.0


class Supervisor(Generic[R, O]):
    def __init__(
        self,
        devices: Sequence[Device[R, O]],
        clock: Clock,
        *,
        on_reading: Callable[[float, str, R], None],
        on_report: Callable[[float, DeviceReport], None],
        is_valid: Callable[[R], bool],
        back_off: BackOff | None = None,
    ) -> None:
        """`on_reading(at_s, device, reading)` and `on_report(at_s, report)` are called on the ports' threads:
        they may only enqueue. `is_valid(reading)`: not cut off, not garbled; it shows the device speaks."""
        names = [device.name for device in devices]
        if len(set(names)) != len(names):
            raise ValueError(f"expected devices of different names, got {sorted(names)}")
        self._clock = clock
        self._on_reading = on_reading
        self._on_report = on_report
        self._is_valid = is_valid
        self._back_off = back_off or BackOff()
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        """Guards hearing and health; reports are put in their order while it is held."""
        self._watch: threading.Thread | None = None
        ears = Ears(self._opened, self._read, self._heard, self._broke)
        now_s = clock.monotonic_s()
        self._kept: Mapping[str, _Kept[R, O]] = {
            device.name: _Kept(device, _line(device, clock, ears), Hearing(device.silent_after_s, now_s))
            for device in devices
        }

    def start(self) -> None:
        """Once. Returns at once; what cannot be opened is reported."""
        now_s = self._clock.monotonic_s()
        with self._changed:
            for kept in self._kept.values():
                kept.hearing = Hearing(kept.device.silent_after_s, now_s)
        for name, kept in self._kept.items():
            kept.thread = threading.Thread(target=self._keep_open, args=(kept,), name=name, daemon=True)
            kept.thread.start()
        self._watch = threading.Thread(target=self._watch_for_silence, name="silence", daemon=True)
        self._watch.start()

    def stop(self, timeout_s: float = 3.0) -> tuple[str, ...]:
        """Close every port, orders already accepted first. Returns the devices whose threads did not end in
        time (a network name being looked up, a system call that hangs); those end with the process."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()
        for kept in self._kept.values():
            kept.line.close()
        until_s = self._clock.monotonic_s() + timeout_s
        hanging = []
        for name, kept in self._kept.items():
            if kept.thread is not None:
                kept.thread.join(max(0.0, until_s - self._clock.monotonic_s()))
                if kept.thread.is_alive():
                    hanging.append(name)
        if self._watch is not None:
            self._watch.join(max(0.1, until_s - self._clock.monotonic_s()))
        if hanging:
            _log().warning("ports did not close in time", devices=hanging)
        return tuple(hanging)

    def order(self, device: str, order_id: str, order: O) -> None:
        """From any thread; returns at once. Raises `OrderNotTaken`. What was taken is followed by the
        driver's own answer, or by `PortLost`."""
        kept = self._kept.get(device)
        if kept is None:
            raise OrderNotTaken(f"{device}: no such device; there are {', '.join(sorted(self._kept))}")
        kept.line.order(order_id, order)

    def health(self) -> dict[str, DeviceHealth]:
        with self._changed:
            return {name: kept.health for name, kept in self._kept.items()}

    def bound_port(self, device: str) -> int | None:
        """Of a listening device: the TCP port, while it listens."""
        line = self._kept[device].line
        return line.bound_port if isinstance(line, Listener) else None

    # --- on the devices' threads ---

    def _keep_open(self, kept: _Kept[R, O]) -> None:
        failures = 0
        name = kept.device.name
        while not self._stopping.is_set():
            before = kept.health.readings
            kept.opened_at_s = None
            try:
                kept.line.run()
                return
            except DriverBroke as broke:
                why = str(broke)
                _log().error("a driver raised", device=name, exc_info=broke)
            except PortFailed as failed:
                why = str(failed)
            except Exception as error:  # noqa: BLE001 - one device's fault must not end the others' care
                why = f"{name}: fault of the runtime: {error!r}"
                _log().error("a port raised", device=name, exc_info=error)
            now_s = self._clock.monotonic_s()
            spoke = kept.health.readings > before
            failures = 1 if self._back_off.forgives(kept.open_s(now_s), spoke=spoke) else failures + 1
            self._lost(kept, now_s, why)
            self._stopping.wait(self._back_off.delay_s(failures))

    def _lost(self, kept: _Kept[R, O], at_s: float, why: str) -> None:
        with self._changed:
            before = kept.health
            if before.port != "lost":
                kept.health = replace(
                    before, port="lost", why=why, losses=before.losses + 1, speech=_unheard(before.speech)
                )
            elif before.why != why:
                kept.health = replace(before, why=why)
            else:
                return
            kept.hearing.lost()
            self._on_report(at_s, PortLost(kept.device.name, why))
        _log().warning("port lost", device=kept.device.name, why=why)

    def _opened(self, at_s: float, device: str) -> None:
        kept = self._kept[device]
        with self._changed:
            kept.opened_at_s = at_s
            kept.health = replace(kept.health, port="open", openings=kept.health.openings + 1)
            self._on_report(at_s, PortBack(device))
        _log().info("port open", device=device)

    def _broke(self, at_s: float, device: str, why: str) -> None:
        """One connection of several: the others, and the listening itself, go on."""
        self._lost(self._kept[device], at_s, why)
        self._opened(at_s, device)

    def _read(self, at_s: float, device: str, reading: R) -> None:
        if self._is_valid(reading):
            self._heard(at_s, device)
        else:
            kept = self._kept[device]
            with self._changed:
                kept.health = replace(kept.health, spoilt=kept.health.spoilt + 1)
        self._on_reading(at_s, device, reading)

    def _heard(self, at_s: float, device: str) -> None:
        kept = self._kept[device]
        with self._changed:
            kept.health = replace(
                kept.health, speech="speaking", heard_at_s=at_s, readings=kept.health.readings + 1
            )
            if kept.hearing.heard(at_s):
                self._changed.notify_all()
                self._on_report(at_s, DeviceSpeaking(device))

    # --- on the watching thread ---

    def _watch_for_silence(self) -> None:
        with self._changed:
            while not self._stopping.is_set():
                now_s = self._clock.monotonic_s()
                for name, kept in self._kept.items():
                    if kept.hearing.overdue(now_s):
                        kept.health = replace(kept.health, speech="silent")
                        silent_s = kept.hearing.silent_s(now_s)
                        _log().warning("device silent", device=name, silent_s=round(silent_s, 3))
                        self._on_report(now_s, DeviceSilent(name, silent_s))
                due_s = min((kept.hearing.due_s() or inf for kept in self._kept.values()), default=inf)
                self._changed.wait(min(max(0.0, due_s - now_s), _LONGEST_WAIT_S))


def _line(device: Device[R, O], clock: Clock, ears: Ears[R]) -> Port[R, O] | Listener[R, O]:
    match device.address:
        case SerialAddress() as address:
            return Port(device.name, address, device.make_driver, clock, ears)
        case ListenAddress() as address:
            return Listener(device.name, address, device.make_driver, clock, ears)
        case _:
            assert_never(device.address)


def _unheard(speech: Speech) -> Speech:
    return "silent" if speech == "silent" else "not heard"


def _log() -> structlog.stdlib.BoundLogger:
    log: structlog.stdlib.BoundLogger = structlog.get_logger("supervisor")
    return log
