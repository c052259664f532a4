"""What an indicator displays -> readings: exact kilograms, and what cannot be weighed, told once. Knows no
frame.

Also the driver of every weighbridge that only speaks (`WeighbridgeLine`); one that must be asked has its own
session.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Generic, Literal, TypeVar

from edge.devices.driver import NOTHING, Output
from edge.devices.framing import Cutter
from edge.devices.readings import (
    DeviceFault,
    Order,
    OrderRefused,
    ReadGarbled,
    Reading,
    ReadTruncated,
    WeightSeen,
)
from edge.devices.settings import setting

M = TypeVar("M")

Unit = Literal["kg", "g", "t", "lb"]

KG_PER_UNIT: dict[str, Decimal] = {
    "kg": Decimal(1),
    "g": Decimal("0.001"),
    "t": Decimal(1000),
    # the international pound of 1959, exact
    "lb": Decimal("0.45359237"),
}

OVERLOAD: Literal["overload"] = "overload"
UNDERLOAD: Literal["underload"] = "underload"
"""Codes of `DeviceFault`: the indicator says that it cannot weigh what stands on it."""


def silent_unit() -> Any:
    """The setting of a format that does not say its unit."""
    return setting("kg", "unit the indicator displays; the frame does not say")


def spoken_unit() -> Any:
    """The setting of a format that says its unit."""
    return setting("kg", "unit the indicator displays; a weight in another is refused")


def quiet_time() -> Any:
    return setting(0.2, "silence inside a frame after which it was cut off", least=0.001, most=10)


@dataclass(frozen=True, slots=True)
class Displayed:
    """What one whole frame shows, in the indicator's own words."""

    value: Decimal | None
    """None: no digits."""
    unit: str | None = None
    """None: the frame does not say."""
    stable: bool | None = None
    kind: Literal["gross", "net", "tare"] | None = None
    beyond: Literal["overload", "underload"] | None = None
    """Out of the range the indicator can weigh."""
    shape: Hashable = None
    """Length and decimals, where the format has no check: see `Weighing`."""


class Weighing:
    """Readings of one indicator.

    A fault is told when it begins or changes, and again only after a weight in range. A tare value is no
    weight of what stands on the plate: it gives no reading. A frame whose shape is not that of the one before
    gives no weight: an indicator keeps its number of characters and decimals, a lost byte does not.
    """

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._fault: DeviceFault | None = None
        self._shape: Hashable = None

    def clear(self) -> None:
        """The port was opened again."""
        self._fault = None
        self._shape = None

    def seen(self, displayed: Displayed) -> tuple[Reading, ...]:
        if displayed.shape is not None and displayed.shape != self._shape:
            first, self._shape = self._shape is None, displayed.shape
            return () if first else (ReadGarbled(b"", "a weight of another shape than the one before"),)
        readings: tuple[Reading, ...] = ()
        if displayed.beyond is not None:
            readings = self.fault(DeviceFault(displayed.beyond, f"the indicator says {displayed.beyond}"))
        if displayed.kind == "tare":
            return readings
        if displayed.value is None:
            if displayed.beyond is not None:
                return readings
            return self.fault(DeviceFault("blank_display", "the indicator sends no digits"))
        unit = self._unit if displayed.unit is None else displayed.unit
        if unit != self._unit:
            says = f"the indicator displays {unit}, the settings say {self._unit}"
            return readings if displayed.beyond is not None else self.fault(DeviceFault("unit", says))
        if displayed.beyond is None:
            self._fault = None
        weight = WeightSeen(
            displayed.value * KG_PER_UNIT[unit],
            stable=displayed.stable,
            out_of_range=displayed.beyond is not None,
            kind=displayed.kind,
        )
        return (*readings, weight)

    def fault(self, fault: DeviceFault) -> tuple[Reading, ...]:
        if fault == self._fault:
            return ()
        self._fault = fault
        return (fault,)


class WeighbridgeLine(Generic[M]):
    """Driver of an indicator that sends by itself: renames frames to weights. Sends nothing.

    `doubted`: a frame without check and without end. Its weight is told when the next frame or silence
    follows it, and not at all when noise does: a byte was lost or added in it.
    """

    def __init__(
        self,
        cutter: Cutter[M],
        displayed: Callable[[M], Displayed | DeviceFault],
        *,
        unit: Unit,
        quiet_s: float,
        doubted: bool = False,
    ) -> None:
        self._cutter = cutter
        self._displayed = displayed
        self._weighing = Weighing(unit)
        self._quiet_s = quiet_s
        self._doubted = doubted
        self._held: Displayed | DeviceFault | None = None
        self._quiet_at_s: float | None = None

    def opened(self, at_s: float) -> Output:
        self._cutter.clear()
        self._weighing.clear()
        self._held = None
        self._quiet_at_s = None
        return NOTHING

    def received(self, at_s: float, data: bytes) -> Output:
        readings, heard = self._gone_quiet(at_s)
        heard |= self._read(self._cutter.feed(data), readings)
        if data:
            waiting = self._cutter.holding or self._held is not None
            self._quiet_at_s = at_s + self._quiet_s if waiting else None
        return Output(tuple(readings), wake_at_s=self._quiet_at_s, heard=heard)

    def due(self, at_s: float) -> Output:
        readings, heard = self._gone_quiet(at_s)
        return Output(tuple(readings), wake_at_s=self._quiet_at_s, heard=heard)

    def order(self, at_s: float, order_id: str, order: Order) -> Output:
        return Output((no_order(order_id, order),), wake_at_s=self._quiet_at_s)

    def _gone_quiet(self, at_s: float) -> tuple[list[Reading], bool]:
        readings: list[Reading] = []
        if self._quiet_at_s is None or at_s < self._quiet_at_s:
            return readings, False
        self._quiet_at_s = None
        heard = self._read(self._cutter.quiet(), readings)
        self._believe(readings)
        return readings, heard

    def _read(self, messages: list[M | ReadGarbled | ReadTruncated], readings: list[Reading]) -> bool:
        """True when a whole frame was among them."""
        heard = False
        for message in messages:
            if isinstance(message, ReadGarbled | ReadTruncated):
                if self._held is not None:
                    self._held = None
                    readings.append(ReadGarbled(b"", "noise right behind a weight's frame"))
                readings.append(message)
                continue
            heard = True
            self._believe(readings)
            self._held = self._displayed(message)
            if not self._doubted:
                self._believe(readings)
        return heard

    def _believe(self, readings: list[Reading]) -> None:
        held, self._held = self._held, None
        if isinstance(held, DeviceFault):
            readings.extend(self._weighing.fault(held))
        elif held is not None:
            readings.extend(self._weighing.seen(held))


def no_order(order_id: str, order: Order) -> OrderRefused:
    return OrderRefused(order_id, f"a weighbridge takes no {type(order).__name__}")
