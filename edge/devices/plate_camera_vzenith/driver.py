"""Vzenith camera pushing to us: renames recognitions, hands pictures on, answers every push. It never lets
the camera open anything.

A camera keeps several connections open at once, so there is one driver to a connection, and all drivers of
one camera share what was already told: the same recognition sent again changes nothing. A body that cannot be
read is answered 400 once, so that the camera sends it again; when the very same comes again it was not the
line, and it is answered as taken, or it would come for ever and keep what is stored behind it from coming.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal, assert_never

from edge.devices import jpeg
from edge.devices.device_clock import DeviceClock
from edge.devices.driver import NOTHING, Output
from edge.devices.http_listening import Connection, Patience, Refused, Request
from edge.devices.plate_camera_vzenith import wire
from edge.devices.readings import (
    DeviceFault,
    Order,
    OrderDone,
    OrderRefused,
    PictureSeen,
    PlateSeen,
    ReadGarbled,
    Reading,
    ReadTruncated,
    TriggerRead,
)
from edge.devices.repeats import Repeats
from edge.devices.settings import setting


@dataclass(frozen=True, slots=True)
class Settings:
    most_body_bytes: int = setting(
        4 << 20, "longest push, pictures included; longer is refused", least=1024, most=64 << 20
    )
    most_picture_bytes: int = setting(
        2 << 20, "longest picture handed on; 0: pictures are not wanted", least=0, most=16 << 20
    )
    request_timeout_s: float = setting(
        5.0, "silence inside a request after which it was cut off", least=0.05, most=120
    )
    request_longest_s: float = setting(
        30.0, "a request must be whole in so long, silent or not", least=0.1, most=600
    )
    trigger_timeout_s: float = setting(
        3.0, "how long an order to read waits for a push or poll to answer", least=0.05, most=120
    )
    take_offline: bool = setting(True, "let the camera send what it stored while the line was cut")
    serial_no: str = setting(
        "", "the camera's serial number; pushes of any other are refused; empty: any", most=64
    )
    remember: int = setting(20_000, "recognitions remembered to know repeats", least=100, most=1_000_000)


def key_of(seen: wire.Recognition) -> Hashable | None:
    """What makes two pushes one recognition; None for one that carries neither number nor time.

    Serial number, plate id, plate text and the camera's time: a restarted camera counts plate ids from the
    start again, and a new vehicle must not pass for an old one. A stored recognition keeps its key.
    """
    if seen.plate_id is None and seen.at_s is None:
        return None
    return seen.serial_no, seen.plate_id, seen.license, seen.at_s


class VzenithDriver:
    """One connection. `opened` begins a new one; what was already told stays remembered."""

    def __init__(
        self, settings: Settings, memory: Repeats | None = None, clock: DeviceClock | None = None
    ) -> None:
        self._settings = settings
        self._memory = memory if memory is not None else Repeats(settings.remember)
        self._clock = clock if clock is not None else DeviceClock()
        self._connection = Connection(settings.most_body_bytes)
        self._patience = Patience(settings.request_timeout_s, settings.request_longest_s)
        self._trigger: tuple[str, float] | None = None

    def opened(self, at_s: float) -> Output:
        self._connection = Connection(self._settings.most_body_bytes)
        self._patience.forget()
        refused = self._drop_trigger("the connection was opened again before the camera asked")
        return Output(refused) if refused else NOTHING

    def received(self, at_s: float, data: bytes) -> Output:
        readings = list(self._overdue(at_s))
        heard = whole = False
        if data and not self._connection.closing:
            self._connection.feed(data)
            while (event := self._connection.next()) is not None:
                whole = True
                heard = self._take(at_s, event, readings) or heard
            self._patience.heard(at_s, halfway=self._connection.halfway, whole=whole)
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
        waits = (self._patience.cut_at_s, self._trigger and self._trigger[1])
        times = [time for time in waits if time is not None]
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
        if self._patience.cut_at_s is not None and at_s >= self._patience.cut_at_s:
            self._patience.forget()
            refused = self._connection.refuse(HTTPStatus.REQUEST_TIMEOUT, "cut off")
            readings += (ReadTruncated(refused.raw),)
        return readings

    def _drop_trigger(self, why: str) -> tuple[Reading, ...]:
        if self._trigger is None:
            return ()
        order_id, self._trigger = self._trigger[0], None
        return (OrderRefused(order_id, why),)

    def _take(self, at_s: float, event: Request | Refused, readings: list[Reading]) -> bool:
        """Answers the request. True where the camera spoke correctly."""
        if isinstance(event, Refused):
            readings.append(ReadGarbled(event.raw, event.why))
            return False
        message = wire.decode_request(event.target, event.body)
        match message:
            case ReadGarbled():
                self._not_read(event, message, readings)
                return False
            case wire.Recognition():
                return self._recognised(at_s, message, readings)
            case wire.Heartbeat():
                self._answer(readings)
            case wire.Picture(content):
                self._connection.answer(HTTPStatus.OK, wire.encode_answer())
                if content != b"":
                    self._picture("lane", content, "", readings)
            case wire.InputChanged() | wire.SerialReceived() | wire.Answer():
                self._connection.answer(HTTPStatus.OK, wire.encode_answer())
            case _:
                assert_never(message)
        return True

    def _not_read(self, request: Request, garbled: ReadGarbled, readings: list[Reading]) -> None:
        first = self._memory.is_new(("garbled", hash(request.body), hash(request.target)))
        if first:
            readings.append(garbled)
        self._connection.answer(HTTPStatus.BAD_REQUEST if first else HTTPStatus.OK, wire.encode_answer())

    def _recognised(self, at_s: float, seen: wire.Recognition, readings: list[Reading]) -> bool:
        if self._settings.serial_no and seen.serial_no != self._settings.serial_no:
            why = f"a push of camera {seen.serial_no!r}, expected {self._settings.serial_no!r}"
            if self._memory.is_new(("foreign", key_of(seen))):
                readings.append(ReadGarbled(b"", why))
            self._connection.answer(HTTPStatus.FORBIDDEN, wire.encode_answer())
            return False
        if self._memory.is_new(key_of(seen)):
            readings.extend(_to_readings(seen, self._clock.age_s(at_s, seen.at_s)))
            for shot in seen.shots:
                plate_id = "" if seen.plate_id is None else str(seen.plate_id)
                self._picture(shot.shows, shot.content(), plate_id, readings)
        self._answer(readings, seen)
        return True

    def _picture(
        self,
        shows: Literal["vehicle", "plate", "lane"],
        content: bytes | None,
        plate_id: str,
        readings: list[Reading],
    ) -> None:
        if not self._settings.most_picture_bytes:
            return
        if content is None:
            readings.append(ReadGarbled(b"", f"a picture of the {shows} that is no base64"))
            return
        picture = jpeg.check(content, most_bytes=self._settings.most_picture_bytes)
        if isinstance(picture, bytes):
            readings.append(PictureSeen(picture, shows, plate_id))
        else:
            readings.append(picture)

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


def _to_readings(seen: wire.Recognition, age_s: float | None) -> tuple[Reading, ...]:
    plate = PlateSeen(
        text=None if seen.fake else seen.license,
        confidence=seen.confidence,
        plate_id="" if seen.plate_id is None else str(seen.plate_id),
        offline=seen.offline,
        age_s=age_s,
    )
    if seen.fake:
        return DeviceFault("fake_plate", f"the camera takes {seen.license} for a false plate"), plate
    return (plate,)
