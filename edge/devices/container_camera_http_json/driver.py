"""Container camera pushing to us as JSON: renames recognitions, hands pictures on, answers every push.

What was seen too long ago is answered and not told: it is not of the vehicle now in the lane. What was
already told stays remembered over connections.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from http import HTTPStatus
from typing import assert_never

from edge.devices import jpeg
from edge.devices.container_camera_http_json import wire
from edge.devices.driver import NOTHING, Output
from edge.devices.http_listening import Connection, Patience, Refused, Request
from edge.devices.readings import (
    ContainerSeen,
    Order,
    OrderRefused,
    PictureSeen,
    ReadGarbled,
    Reading,
    ReadTruncated,
)
from edge.devices.repeats import Repeats
from edge.devices.settings import setting


@dataclass(frozen=True, slots=True)
class Settings:
    most_body_bytes: int = setting(
        8 << 20, "longest push, pictures included; longer is refused", least=1024, most=64 << 20
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
    oldest_s: float = setting(
        10.0, "what was seen longer ago is not of the vehicle in the lane and not told", least=0.1, most=3600
    )
    token_file: str = setting(
        "", "absolute path of a file with the token a push must carry; empty: any push is taken", most=1024
    )
    remember: int = setting(20_000, "recognitions remembered to know repeats", least=100, most=1_000_000)


class ContainerDriver:
    """One connection. `opened` begins a new one; what was already told stays remembered."""

    def __init__(self, settings: Settings, memory: Repeats | None = None, *, token: str = "") -> None:
        self._settings = settings
        self._memory = memory if memory is not None else Repeats(settings.remember)
        self._wanted = f"Bearer {token}".encode() if token else b""
        self._connection = Connection(settings.most_body_bytes)
        self._patience = Patience(settings.request_timeout_s, settings.request_longest_s)

    def opened(self, at_s: float) -> Output:
        self._connection = Connection(self._settings.most_body_bytes)
        self._patience.forget()
        return NOTHING

    def received(self, at_s: float, data: bytes) -> Output:
        readings = list(self._overdue(at_s))
        heard = whole = False
        if data and not self._connection.closing:
            self._connection.feed(data)
            while (event := self._connection.next()) is not None:
                whole = True
                heard = self._take(event, readings) or heard
            self._patience.heard(at_s, halfway=self._connection.halfway, whole=whole)
        return self._output(readings, heard=heard)

    def due(self, at_s: float) -> Output:
        return self._output(list(self._overdue(at_s)))

    def order(self, at_s: float, order_id: str, order: Order) -> Output:
        return self._output([OrderRefused(order_id, f"a container camera takes no {type(order).__name__}")])

    def _output(self, readings: list[Reading], *, heard: bool = False) -> Output:
        return Output(
            tuple(readings),
            self._connection.take_bytes(),
            wake_at_s=self._patience.cut_at_s,
            hang_up=self._connection.closing,
            heard=heard,
        )

    def _overdue(self, at_s: float) -> tuple[Reading, ...]:
        if self._patience.cut_at_s is None or at_s < self._patience.cut_at_s:
            return ()
        self._patience.forget()
        refused = self._connection.refuse(HTTPStatus.REQUEST_TIMEOUT, "cut off")
        return (ReadTruncated(refused.raw),)

    def _take(self, event: Request | Refused, readings: list[Reading]) -> bool:
        """Answers the request. True where the camera spoke correctly."""
        if isinstance(event, Refused):
            readings.append(ReadGarbled(event.raw, event.why))
            return False
        if self._wanted and not hmac.compare_digest(_said(event), self._wanted):
            return self._refuse(
                HTTPStatus.UNAUTHORIZED, ReadGarbled(b"", "a push without our token"), readings
            )
        message = wire.decode(event.body)
        match message:
            case ReadGarbled():
                return self._refuse(HTTPStatus.BAD_REQUEST, message, readings)
            case wire.Heartbeat():
                pass
            case wire.Recognition():
                if self._memory.is_new((message.identity, message.number, message.place)):
                    self._tell(message, readings)
            case _:
                assert_never(message)
        self._connection.answer(HTTPStatus.OK, wire.encode_answer(accepted=True))
        return True

    def _refuse(self, status: HTTPStatus, garbled: ReadGarbled, readings: list[Reading]) -> bool:
        self._connection.answer(status, wire.encode_answer(accepted=False, why=garbled.why))
        if self._memory.is_new(("garbled", hash(garbled.raw), garbled.why)):
            readings.append(garbled)
        return False

    def _tell(self, seen: wire.Recognition, readings: list[Reading]) -> None:
        if seen.age_s > self._settings.oldest_s:
            readings.append(ReadGarbled(b"", f"seen {seen.age_s:.0f} s ago: not of the vehicle in the lane"))
            return
        readings.append(ContainerSeen(seen.number, seen.place, seen.confidence, seen.iso_type))
        if self._settings.most_picture_bytes:
            for content in seen.pictures:
                picture = jpeg.check(content, most_bytes=self._settings.most_picture_bytes)
                if isinstance(picture, bytes):
                    readings.append(PictureSeen(picture, "container", seen.identity))
                else:
                    readings.append(picture)


def _said(request: Request) -> bytes:
    return request.header(b"authorization").encode("latin-1")
