"""Dahua camera: subscribes to its snapshots, renames recognitions, hands pictures on.

We are the client: the port opens the connection, this asks for the stream and reads it until it ends or falls
silent, then hangs up and is opened again. What was already told stays remembered over connections.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import assert_never

from edge.devices import jpeg
from edge.devices.device_clock import DeviceClock
from edge.devices.driver import Output
from edge.devices.http_calling import Caller
from edge.devices.http_stream import Limits, PartStream
from edge.devices.multipart import Part
from edge.devices.plate_camera_dahua import wire
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
from edge.devices.settings import SettingError, SettingsRefused, check_line_text, setting

MOST_PICTURES = 4
"""Behind one message."""
QUIET_HEARTBEATS = 3
"""So many heartbeats may be missing before the camera counts as gone."""
_EVENT_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Settings:
    host: str = setting("camera", "the Host line of our request", least=1, most=255)
    user: str = setting("admin", "whom we log in as", least=1, most=64)
    password_file: str = setting("", "absolute path of a file with the password", most=1024)
    channel: int = setting(1, "video channel; -1: all", least=-1, most=64)
    events: tuple[str, ...] = setting(("TrafficJunction",), "events to subscribe to", most=64)
    heartbeat_s: int = setting(
        5, "a heartbeat is asked for so often; three missing ones are silence", least=1, most=60
    )
    answer_timeout_s: float = setting(
        5.0, "how long the answer to our request may take", least=0.05, most=120
    )
    part_longest_s: float = setting(
        30.0, "without a whole message for so long we call again", least=0.1, most=3600
    )
    after_refusal_s: float = setting(
        300.0, "how long to wait where credentials were refused", least=0.1, most=86_400
    )
    most_part_bytes: int = setting(
        4 << 20, "longest message or picture taken in; longer is skipped", least=1024, most=64 << 20
    )
    most_picture_bytes: int = setting(
        2 << 20, "longest picture handed on; 0: pictures are not wanted", least=0, most=16 << 20
    )
    remember: int = setting(20_000, "recognitions remembered to know repeats", least=100, most=1_000_000)


class DahuaDriver:
    """Raises `SettingsRefused` where host, user or events cannot stand in a request."""

    def __init__(
        self,
        settings: Settings,
        *,
        password: str = "",
        new_cnonce: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        check_line_text("host", settings.host)
        check_line_text("user", settings.user)
        _check_events(settings.events)
        self._settings = settings
        self._memory = Repeats(settings.remember)
        self._clock = DeviceClock()
        self._plate_id: str | None = None
        """Of the message whose pictures are coming; None: its pictures are not wanted."""
        self._pictures_left = 0
        target = wire.subscription(
            channel=settings.channel, heartbeat_s=settings.heartbeat_s, events=settings.events
        )
        self._stream = PartStream(
            Caller(target, host=settings.host, user=settings.user, password=password, new_cnonce=new_cnonce),
            Limits(
                settings.answer_timeout_s,
                float(QUIET_HEARTBEATS * settings.heartbeat_s),
                max(settings.part_longest_s, float(QUIET_HEARTBEATS * settings.heartbeat_s)),
                settings.after_refusal_s,
                settings.most_part_bytes,
            ),
        )

    def opened(self, at_s: float) -> Output:
        self._plate_id = None
        self._stream.opened(at_s)
        return self._output([])

    def received(self, at_s: float, data: bytes) -> Output:
        return self._told(at_s, self._stream.received(at_s, data) if data else [])

    def due(self, at_s: float) -> Output:
        return self._told(at_s, self._stream.due(at_s))

    def order(self, at_s: float, order_id: str, order: Order) -> Output:
        return self._output([OrderRefused(order_id, f"a Dahua camera takes no {type(order).__name__}")])

    def _told(self, at_s: float, parts: list[Part | ReadGarbled | ReadTruncated]) -> Output:
        readings: list[Reading] = []
        heard = False
        for part in parts:
            if not isinstance(part, Part):
                # whatever was cut off may have been the message that the next pictures belong to
                self._plate_id = None
                readings.append(part)
            elif part.kind.startswith("image/") or part.body[:2] == b"\xff\xd8":
                heard = self._picture(part.body, readings) or heard
            else:
                heard = self._text(at_s, part.body, readings) or heard
        return self._output(readings, heard=heard)

    def _text(self, at_s: float, body: bytes, readings: list[Reading]) -> bool:
        """True where the camera spoke correctly."""
        messages = wire.decode(body)
        if isinstance(messages, ReadGarbled):
            self._plate_id = None
            if self._memory.is_new(("garbled", hash(body))):
                readings.append(messages)
            return False
        for message in messages:
            match message:
                case wire.Heartbeat():
                    pass
                case wire.Other():
                    self._plate_id = None
                case wire.Recognition():
                    self._recognised(at_s, message, readings)
                case _:
                    assert_never(message)
        return True

    def _recognised(self, at_s: float, seen: wire.Recognition, readings: list[Reading]) -> None:
        self._plate_id = None
        if not self._memory.is_new(key_of(seen)):
            return
        readings.append(
            PlateSeen(text=seen.license, plate_id=seen.group, age_s=self._clock.age_s(at_s, seen.at_s))
        )
        self._plate_id = seen.group
        self._pictures_left = MOST_PICTURES

    def _picture(self, body: bytes, readings: list[Reading]) -> bool:
        if self._plate_id is None or not self._settings.most_picture_bytes or self._pictures_left <= 0:
            return True
        self._pictures_left -= 1
        picture = jpeg.check(body, most_bytes=self._settings.most_picture_bytes)
        if not isinstance(picture, bytes):
            readings.append(picture)
            return False
        readings.append(PictureSeen(picture, "vehicle", self._plate_id))
        return True

    def _output(self, readings: list[Reading], *, heard: bool = False) -> Output:
        return Output(
            tuple(readings),
            self._stream.take_bytes(),
            wake_at_s=self._stream.wake_at_s,
            hang_up=self._stream.hang_up,
            heard=heard,
        )


def key_of(seen: wire.Recognition) -> Hashable | None:
    """What makes two messages one recognition; None where the camera says neither its time nor a number."""
    if seen.at_s is None and not seen.group:
        return None
    return seen.group, seen.index_in_group, seen.at_s, seen.event, seen.license


def _check_events(events: tuple[str, ...]) -> None:
    wrong = [event for event in events if not _EVENT_NAME.fullmatch(event)]
    if wrong or not events:
        expected = "names of events such as TrafficJunction"
        raise SettingsRefused((SettingError("events", expected, repr(wrong or list(events))[:80]),))
