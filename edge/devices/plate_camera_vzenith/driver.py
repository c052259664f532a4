"""Vzenith camera pushing to us: renames recognitions, answers every push. It never lets the camera open
anything.

A camera keeps several connections open at once, so there is one driver to a connection, and all drivers of
one camera share a `Memory` of what was already told: the same recognition sent again changes nothing.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from http import HTTPStatus
from typing import assert_never

from edge.devices.driver import NOTHING, Output
from edge.devices.plate_camera_vzenith import wire
from edge.devices.plate_camera_vzenith.session import Connection, Refused, Request
from edge.devices.readings import (
    DeviceFault,
    Order,
    OrderDone,
    OrderRefused,
    PlateSeen,
    ReadGarbled,
    Reading,
    ReadTruncated,
    TriggerRead,
)
from edge.devices.settings import setting


@dataclass(frozen=True, slots=True)
class Settings:
    most_body_bytes: int = setting(
        4 << 20, "longest push, pictures included; longer is refused", least=1024, most=64 << 20
    )
    request_timeout_s: float = setting(
        5.0, "silence inside a request after which it was cut off", least=0.05, most=120
    )
    trigger_timeout_s: float = setting(
        3.0, "how long an order to read waits for a push or poll to answer", least=0.05, most=120
    )
    take_offline: bool = setting(True, "let the camera send what it stored while the line was cut")
    serial_no: str = setting(
        "", "the camera's serial number; pushes of any other are refused; empty: any", most=64
    )
    remember: int = setting(20_000, "recognitions remembered to know repeats", least=100, most=1_000_000)


_Seen = tuple[str, int | None, str | None, float | None]


class Memory:
    """Recognitions already told, oldest forgotten first. Shared by the drivers of one camera's connections.

    The key is serial number, plate id, plate text and the camera's time: a restarted camera counts plate ids
    from the start again, and a new vehicle must not pass for an old one. Single dict operations only, so
    drivers on different threads need no lock.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._seen: dict[_Seen, object] = {}

    def is_new(self, recognition: wire.Recognition) -> bool:
        """True once for each recognition; always for one that carries neither number nor time."""
        if recognition.plate_id is None and recognition.at_s is None:
            return True
        key = (recognition.serial_no, recognition.plate_id, recognition.license, recognition.at_s)
        mark = object()
        if self._seen.setdefault(key, mark) is not mark:
            return False
        while len(self._seen) > self._most:
            # another connection's thread may add between the two calls: then try again
            with contextlib.suppress(RuntimeError, StopIteration):
                self._seen.pop(next(iter(self._seen)), None)
        return True


class VzenithDriver:
    """One connection. `opened` begins a new one; what was already told stays remembered."""

    def __init__(self, settings: Settings, memory: Memory | None = None) -> None:
        self._settings = settings
        self._memory = memory if memory is not None else Memory(settings.remember)
        self._connection = Connection(settings.most_body_bytes)
        self._cut_at_s: float | None = None
        self._trigger: tuple[str, float] | None = None

    def opened(self, at_s: float) -> Output:
        self._connection = Connection(self._settings.most_body_bytes)
        self._cut_at_s = None
        refused = self._drop_trigger("the connection was opened again before the camera asked")
        return Output(refused) if refused else NOTHING

    def received(self, at_s: float, data: bytes) -> Output:
        readings = list(self._overdue(at_s))
        heard = False
        if data and not self._connection.closing:
            self._connection.feed(data)
            while (event := self._connection.next()) is not None:
                heard = self._take(event, readings) or heard
            halfway = self._connection.halfway
            self._cut_at_s = at_s + self._settings.request_timeout_s if halfway else None
        return self._output(readings, heard=heard)

    def due(self, at_s: float) -> Output:
        return self._output(list(self._overdue(at_s)))

    def order(self, at_s: float, order_id: str, order: Order) -> Output:
        if not isinstance(order, TriggerRead):
            return self._output([OrderRefused(order_id, f"a plate camera takes no {type(order).__name__}")])
        replaced = self._drop_trigger("replaced by a newer order")
        self._trigger = (order_id, at_s + self._settings.trigger_timeout_s)
        return self._output(list(replaced))

    def _output(self, readings: list[Reading], *, heard: bool = False) -> Output:
        times = [time for time in (self._cut_at_s, self._trigger and self._trigger[1]) if time is not None]
        return Output(
            tuple(readings),
            self._connection.take_bytes(),
            wake_at_s=min(times, default=None),
            hang_up=self._connection.closing,
            heard=heard,
        )

    def _overdue(self, at_s: float) -> tuple[Reading, ...]:
        readings: tuple[Reading, ...] = ()
        if self._trigger is not None and at_s >= self._trigger[1]:
            readings += self._drop_trigger("the camera did not ask in time")
        if self._cut_at_s is not None and at_s >= self._cut_at_s:
            self._cut_at_s = None
            refused = self._connection.refuse(HTTPStatus.REQUEST_TIMEOUT, "cut off")
            readings += (ReadTruncated(refused.raw),)
        return readings

    def _drop_trigger(self, why: str) -> tuple[Reading, ...]:
        if self._trigger is None:
            return ()
        order_id, self._trigger = self._trigger[0], None
        return (OrderRefused(order_id, why),)

    def _take(self, event: Request | Refused, readings: list[Reading]) -> bool:
        """Answers the request. True where the camera spoke correctly."""
        if isinstance(event, Refused):
            readings.append(ReadGarbled(event.raw, event.why))
            return False
        message = wire.decode_request(event.target, event.body)
        match message:
            case ReadGarbled():
                readings.append(message)
                self._connection.answer(HTTPStatus.BAD_REQUEST, wire.encode_answer())
                return False
            case wire.Recognition():
                return self._recognised(message, readings)
            case wire.Heartbeat():
                self._answer(readings)
            case wire.InputChanged() | wire.SerialReceived() | wire.Picture() | wire.Answer():
                self._connection.answer(HTTPStatus.OK, wire.encode_answer())
            case _:
                assert_never(message)
        return True

    def _recognised(self, seen: wire.Recognition, readings: list[Reading]) -> bool:
        if self._settings.serial_no and seen.serial_no != self._settings.serial_no:
            why = f"a push of camera {seen.serial_no!r}, expected {self._settings.serial_no!r}"
            readings.append(ReadGarbled(b"", why))
            self._connection.answer(HTTPStatus.FORBIDDEN, wire.encode_answer())
            return False
        if self._memory.is_new(seen):
            readings.extend(_to_readings(seen))
        self._answer(readings, seen)
        return True

    def _answer(self, readings: list[Reading], seen: wire.Recognition | None = None) -> None:
        """An answer the camera acts on: it acknowledges, and carries an order that waits."""
        body = wire.encode_answer(
            plate_id=None if seen is None else seen.plate_id,
            offline=seen is not None and seen.offline,
            more_offline=self._settings.take_offline,
            trigger=self._trigger is not None,
        )
        self._connection.answer(HTTPStatus.OK, body)
        if self._trigger is not None:
            readings.append(OrderDone(self._trigger[0]))
            self._trigger = None


def _to_readings(seen: wire.Recognition) -> tuple[Reading, ...]:
    plate = PlateSeen(
        text=None if seen.fake else seen.license,
        confidence=seen.confidence,
        plate_id="" if seen.plate_id is None else str(seen.plate_id),
        offline=seen.offline,
    )
    if seen.fake:
        return DeviceFault("fake_plate", f"the camera takes {seen.license} for a false plate"), plate
    return (plate,)
