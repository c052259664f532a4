"""Hikvision camera: renames recognitions, hands pictures on. Pushed to us, or read from its alertStream.

A push is always answered 200, also where it cannot be read: what is not answered so is sent again for ever.
What was already told stays remembered over connections and is not told again.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Literal, assert_never

from edge.devices import jpeg
from edge.devices.device_clock import DeviceClock
from edge.devices.driver import NOTHING, Output
from edge.devices.http_calling import Caller
from edge.devices.http_listening import Connection, Patience, Refused, Request
from edge.devices.http_stream import Limits, PartStream
from edge.devices.multipart import Part, PartCutter, boundary_in, boundary_of
from edge.devices.plate_camera_hikvision import wire
from edge.devices.readings import (
    Order,
    OrderRefused,
    PictureSeen,
    PlateSeen,
    ReadGarbled,
    Reading,
    ReadTruncated,
)
from edge.devices.repeats import Repeats
from edge.devices.settings import check_line_text, setting

MOST_PICTURES = 4
"""Of one event: the scene, the vehicle, the plate, and one more."""
KEPT_BYTES = 256
ALERT_STREAM = "/ISAPI/Event/notification/alertStream"


@dataclass(frozen=True, slots=True)
class Settings:
    mode: Literal["push", "stream"] = setting(
        "push", "push: the camera posts to us (`listen`); stream: we read its alertStream (`serial`)"
    )
    most_body_bytes: int = setting(
        8 << 20,
        "longest push, pictures included; longer is answered and thrown away",
        least=1024,
        most=64 << 20,
    )
    most_picture_bytes: int = setting(
        2 << 20, "longest picture handed on; 0: pictures are not wanted", least=0, most=16 << 20
    )
    request_timeout_s: float = setting(
        5.0, "push: silence inside a request after which it was cut off", least=0.05, most=120
    )
    request_longest_s: float = setting(
        30.0, "push: a request must be whole in so long, silent or not", least=0.1, most=600
    )
    remember: int = setting(20_000, "recognitions remembered to know repeats", least=100, most=1_000_000)
    channel: str = setting("", "pass on this channelID only (a recorder has several); empty: any", most=16)
    host: str = setting("camera", "stream: the Host line of our request", least=1, most=255)
    user: str = setting("admin", "stream: whom we log in as", least=1, most=64)
    password_file: str = setting("", "stream: absolute path of a file with the password", most=1024)
    answer_timeout_s: float = setting(
        5.0, "stream: how long the answer to our request may take", least=0.05, most=120
    )
    quiet_s: float = setting(
        30.0, "stream: silence after which we call again; a heartbeat comes every 10 s", least=0.1, most=600
    )
    part_longest_s: float = setting(
        60.0, "stream: without a whole message for so long we call again", least=0.1, most=3600
    )
    after_refusal_s: float = setting(
        300.0, "stream: how long to wait where credentials were refused", least=0.1, most=86_400
    )


class _Teller:
    """Parts -> readings, the same for both ways."""

    def __init__(self, settings: Settings, memory: Repeats | None, clock: DeviceClock | None) -> None:
        self._settings = settings
        self._memory = memory if memory is not None else Repeats(settings.remember)
        self._clock = clock if clock is not None else DeviceClock()
        self._plate_id: str | None = None
        """Of the event whose pictures are coming; None: its pictures are not wanted."""
        self._pictures_left = 0

    def begin(self) -> None:
        """What comes next belongs to no event told before."""
        self._plate_id = None

    def tell(self, at_s: float, part: Part, readings: list[Reading]) -> bool:
        """True where the camera spoke correctly."""
        if part.kind.startswith("image/") or part.body[:2] == b"\xff\xd8":
            return self._picture(part, readings)
        if not part.body.strip(b"\0 \t\r\n"):
            return True
        message = wire.decode(part.body)
        match message:
            case ReadGarbled():
                self._plate_id = None
                if self._memory.is_new(("garbled", hash(part.body))):
                    readings.append(message)
                return False
            case wire.Other():
                self._plate_id = None
                return True
            case wire.Recognition():
                self._recognised(at_s, message, readings)
                return True
            case _:
                assert_never(message)

    def _recognised(self, at_s: float, seen: wire.Recognition, readings: list[Reading]) -> None:
        self._plate_id = None
        if self._settings.channel and seen.channel != self._settings.channel:
            return
        if not self._memory.is_new(key_of(seen)):
            return
        readings.append(
            PlateSeen(
                text=seen.license,
                confidence=seen.confidence,
                plate_id=seen.uuid,
                offline=seen.offline,
                age_s=self._clock.age_s(at_s, seconds_of(seen.at)),
            )
        )
        self._plate_id = seen.uuid
        self._pictures_left = MOST_PICTURES

    def _picture(self, part: Part, readings: list[Reading]) -> bool:
        if self._plate_id is None or not self._settings.most_picture_bytes or self._pictures_left <= 0:
            return True
        self._pictures_left -= 1
        picture = jpeg.check(part.body, most_bytes=self._settings.most_picture_bytes)
        if not isinstance(picture, bytes):
            readings.append(picture)
            return False
        shows: Literal["plate", "vehicle"] = "plate" if "plate" in part.name.lower() else "vehicle"
        readings.append(PictureSeen(picture, shows, self._plate_id))
        return True


def key_of(seen: wire.Recognition) -> Hashable | None:
    """What makes two messages one recognition; None where the camera says neither its time nor a number."""
    if not seen.at and not seen.uuid:
        return None
    return seen.mac, seen.channel, seen.lane, seen.at, seen.uuid, seen.license


def seconds_of(text: str) -> float | None:
    """`dateTime` as seconds. Some firmware leaves the zone out: a camera is of one mind about that."""
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


class PushDriver:
    """One connection the camera opened to us."""

    def __init__(
        self, settings: Settings, memory: Repeats | None = None, clock: DeviceClock | None = None
    ) -> None:
        self._settings = settings
        self._teller = _Teller(settings, memory, clock)
        self._connection = self._new_connection()
        self._patience = Patience(settings.request_timeout_s, settings.request_longest_s)

    def opened(self, at_s: float) -> Output:
        self._connection = self._new_connection()
        self._patience.forget()
        return NOTHING

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
        return self._output([_refused(order_id, order)])

    def _new_connection(self) -> Connection:
        return Connection(self._settings.most_body_bytes, content_type="text/plain", swallow=True)

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

    def _take(self, at_s: float, event: Request | Refused, readings: list[Reading]) -> bool:
        if isinstance(event, Refused):
            readings.append(ReadGarbled(event.raw, event.why))
            return False
        self._connection.answer(HTTPStatus.OK, b"OK")
        self._teller.begin()
        if event.too_long:
            readings.append(ReadGarbled(b"", "a push longer than allowed"))
            return False
        parts = _parts_of(event, self._settings.most_body_bytes)
        # the message may stand behind its pictures
        parts.sort(key=lambda part: isinstance(part, Part) and _is_picture(part))
        good = [self._tell(at_s, part, readings) for part in parts]
        return bool(good) and all(good)

    def _tell(self, at_s: float, part: Part | ReadGarbled | ReadTruncated, readings: list[Reading]) -> bool:
        if isinstance(part, Part):
            return self._teller.tell(at_s, part, readings)
        readings.append(part)
        return False


class StreamDriver:
    """The camera's alertStream, which we open and which never ends."""

    def __init__(
        self,
        settings: Settings,
        memory: Repeats | None = None,
        clock: DeviceClock | None = None,
        *,
        password: str = "",
        new_cnonce: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        check_line_text("host", settings.host)
        check_line_text("user", settings.user)
        self._teller = _Teller(settings, memory, clock)
        self._stream = PartStream(
            Caller(
                ALERT_STREAM, host=settings.host, user=settings.user, password=password, new_cnonce=new_cnonce
            ),
            Limits(
                settings.answer_timeout_s,
                settings.quiet_s,
                settings.part_longest_s,
                settings.after_refusal_s,
                settings.most_body_bytes,
            ),
        )

    def opened(self, at_s: float) -> Output:
        self._teller.begin()
        self._stream.opened(at_s)
        return self._output([])

    def received(self, at_s: float, data: bytes) -> Output:
        return self._told(at_s, self._stream.received(at_s, data) if data else [])

    def due(self, at_s: float) -> Output:
        return self._told(at_s, self._stream.due(at_s))

    def order(self, at_s: float, order_id: str, order: Order) -> Output:
        return self._output([_refused(order_id, order)])

    def _told(self, at_s: float, parts: list[Part | ReadGarbled | ReadTruncated]) -> Output:
        readings: list[Reading] = []
        heard = False
        for part in parts:
            if isinstance(part, Part):
                heard = self._teller.tell(at_s, part, readings) or heard
            else:
                # whatever was cut off may have been the event that the next pictures belong to
                self._teller.begin()
                readings.append(part)
        return self._output(readings, heard=heard)

    def _output(self, readings: list[Reading], *, heard: bool = False) -> Output:
        return Output(
            tuple(readings),
            self._stream.take_bytes(),
            wake_at_s=self._stream.wake_at_s,
            hang_up=self._stream.hang_up,
            heard=heard,
        )


def _refused(order_id: str, order: Order) -> OrderRefused:
    return OrderRefused(order_id, f"a Hikvision camera takes no {type(order).__name__}")


def _is_picture(part: Part) -> bool:
    return part.kind.startswith("image/") or part.body[:2] == b"\xff\xd8"


def _parts_of(request: Request, most_bytes: int) -> list[Part | ReadGarbled | ReadTruncated]:
    content_type = request.header(b"content-type")
    boundary = boundary_of(content_type) or boundary_in(request.body)
    if boundary is None:
        return [Part({"content-type": content_type}, request.body)]
    cutter = PartCutter(boundary, most_part_bytes=most_bytes)
    return cutter.feed(request.body) + cutter.end()
