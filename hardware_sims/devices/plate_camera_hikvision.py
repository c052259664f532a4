"""A Hikvision plate camera: pushes `anpr.xml` with its pictures, or serves its alertStream. Bytes only.

From the maker's ISAPI pages and captures: `multipart/form-data; boundary=MIME_boundary` with the parts
anpr.xml, licensePlatePicture.jpg and detectionPicture.jpg, POSTed again until it is answered 200; alertStream
is `multipart/mixed` with an `EventNotificationAlert` of `videoloss inactive` every 10 s. No login towards us.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

from hardware_sims.barrier import NEVER
from hardware_sims.devices.http_push import Push, Pusher
from hardware_sims.devices.http_stream import Portion, StreamServer
from hardware_sims.devices.plate_camera import PictureOf, grey, taken
from hardware_sims.devices.recognising import Recognised, Recogniser
from hardware_sims.faults import Fault, FaultKind
from hardware_sims.physics import LanePhysics

RECOGNISE_S = 0.35
RETRANSMITTED_AFTER_S = 10.0
"""A message that waited so long says that it is sent again."""
HEARTBEAT_S = 10.0
REPEAT_S = 5.0
MIME_BOUNDARY = "MIME_boundary"

Shape = Literal["ver20", "ver10", "isapi", "prefixed", "bare"]
"""How firmware writes the root: its namespace and prefix."""

_ROOTS: dict[Shape, tuple[str, str]] = {
    "ver20": ("", 'version="2.0" xmlns="http://www.hikvision.com/ver20/XMLSchema"'),
    "ver10": ("", 'version="1.0" xmlns="http://www.std-cgi.com/ver10/XMLSchema"'),
    "isapi": ("", 'version="2.0" xmlns="http://www.isapi.org/ver20/XMLSchema"'),
    "prefixed": ("ns1:", 'xmlns:ns1="http://www.hikvision.com/ver20/XMLSchema" version="2.0"'),
    "bare": ("", ""),
}


def anpr_xml(
    *,
    license_text: str | None,
    confidence: int | float,
    unix_s: float,
    number: int,
    shape: Shape = "ver20",
    retransmission: bool = False,
) -> str:
    """The message of one recognition; None is a plate that could not be read."""
    prefix, attributes = _ROOTS[shape]
    when = datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds")
    uuid = f"a0fe72d4-3652-464a-aebd-{number:012x}"

    def element(name: str, inside: object) -> str:
        return f"<{prefix}{name}>{inside}</{prefix}{name}>"

    plate = license_text if license_text is not None else "unknown"
    anpr = "".join(
        (
            element("licensePlate", plate),
            element("line", 1),
            element("direction", "forward"),
            element("confidenceLevel", confidence),
            element("plateType", "unknown"),
            element("plateColor", "blue"),
            element("vehicleType", "largeTruck"),
            element("vehicleInfo", element("index", number) + element("color", "white")),
            element("originalLicensePlate", plate),
        )
    )
    inside = "".join(
        (
            element("ipAddress", "127.0.0.1"),
            element("macAddress", "44:a6:42:00:00:01"),
            element("channelID", 1),
            element("dateTime", when),
            element("activePostCount", 1),
            element("eventType", "ANPR"),
            element("eventState", "active"),
            element("isDataRetransmission", str(retransmission).lower()),
            element("ANPR", anpr),
            element("UUID", uuid),
            element("picNum", 2),
        )
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<{prefix}EventNotificationAlert {attributes}>{inside}</{prefix}EventNotificationAlert>\n"
    )


def heartbeat_xml(unix_s: float) -> str:
    when = datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="seconds")
    return (
        '<EventNotificationAlert version="2.0" xmlns="http://www.hikvision.com/ver20/XMLSchema">'
        f"<ipAddress>127.0.0.1</ipAddress><channelID>1</channelID><dateTime>{when}</dateTime>"
        "<activePostCount>0</activePostCount><eventType>videoloss</eventType>"
        "<eventState>inactive</eventState><eventDescription>videoloss alarm</eventDescription>"
        "</EventNotificationAlert>\n"
    )


def push_body(xml: str, picture: bytes, *, with_length: bool = True) -> bytes:
    """Message and two pictures as the camera posts them."""
    parts = [
        ("anpr.xml", "application/xml", xml.encode("utf-8")),
        ("licensePlatePicture.jpg", "image/jpeg", picture),
        ("detectionPicture.jpg", "image/jpeg", picture),
    ]
    body = b""
    for name, kind, content in parts:
        length = f"Content-Length: {len(content)}\r\n" if with_length else ""
        body += (
            f'--{MIME_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n'
            f"Content-Type: {kind}\r\n{length}\r\n"
        ).encode("ascii")
        body += content + b"\r\n"
    return body + f"--{MIME_BOUNDARY}--\r\n".encode("ascii")


class HikvisionCamera:
    """One camera that calls us. See `PlateCamera` for who performs."""

    def __init__(
        self,
        physics: LanePhysics,
        *,
        host: str = "127.0.0.1",
        path: str = "/",
        shape: Shape = "ver20",
        heartbeat_s: float = 5.0,
        unix_of: Callable[[float], float] = lambda at_s: 1_767_225_600.0 + at_s,
        seed: str = "hikvision",
        picture_of: PictureOf = grey,
    ) -> None:
        self._physics = physics
        self._path = path
        self._shape: Shape = shape
        self._heartbeat_s = heartbeat_s
        self._unix_of = unix_of
        self._random = random.Random(seed)
        self._recogniser = Recogniser(seed)
        self._picture_of = picture_of
        self.pusher = Pusher(host, seed)
        self._heartbeat_due_s = heartbeat_s or NEVER
        self._repeat_s = NEVER

    @property
    def calling(self) -> bool:
        return self.pusher.calling

    def connect(self, at_s: float) -> None:
        self.pusher.connect(at_s)

    def connect_failed(self, at_s: float) -> None:
        self.pusher.connect_failed(at_s)

    def disconnect(self, at_s: float) -> None:
        self.pusher.disconnect(at_s)

    def receive(self, at_s: float, data: bytes) -> None:
        self.pusher.receive(at_s, data)

    def set_fault(self, at_s: float, fault: Fault, on: bool) -> None:
        self.pusher.set_fault(at_s, fault, on)
        if fault.kind is FaultKind.STUCK:
            self._repeat_s = at_s + REPEAT_S if on else NEVER
        if fault.kind is FaultKind.DEAD and not on and self._heartbeat_s:
            self._heartbeat_due_s = at_s + self._heartbeat_s

    def next_event_s(self) -> float:
        if self.pusher.line.is_deaf:
            return NEVER
        return min(self.pusher.next_event_s(), self._repeat_s, self._heartbeat_due_s)

    def advance(self, at_s: float) -> bytes:
        for view in self._physics.take_camera_views():
            if not self.pusher.line.is_deaf:
                self._put(self._recogniser.recognise(view.at_s, view.plate, self.pusher.line), view.at_s)
        while self._repeat_s <= at_s:
            if self._recogniser.last is not None:
                self._put(self._recogniser.last, self._repeat_s)
            self._repeat_s += REPEAT_S
        while self._heartbeat_due_s <= at_s:
            xml = heartbeat_xml(self._unix_of(self._heartbeat_due_s))
            push = Push(self._heartbeat_due_s, self._path, "application/xml", xml.encode("utf-8"), keep=False)
            self.pusher.put(push)
            self._heartbeat_due_s += self._heartbeat_s
        return self.pusher.advance(at_s)

    def _put(self, seen: Recognised, from_s: float) -> None:
        picture = taken(self._picture_of(seen.before_lens), self.pusher.line, self._random)

        def body(at_s: float) -> bytes:
            xml = anpr_xml(
                license_text=seen.text,
                confidence=seen.confidence,
                unix_s=self._unix_of(seen.at_s),
                number=seen.number,
                shape=self._shape,
                retransmission=at_s - from_s > RETRANSMITTED_AFTER_S,
            )
            return push_body(xml, picture)

        kind = f"multipart/form-data; boundary={MIME_BOUNDARY}"
        self.pusher.put(Push(from_s + RECOGNISE_S, self._path, kind, body))


class HikvisionStream:
    """One camera whose alertStream others open. It calls nobody."""

    def __init__(
        self,
        physics: LanePhysics,
        *,
        user: str = "admin",
        password: str = "",
        shape: Shape = "ver20",
        heartbeat_s: float = HEARTBEAT_S,
        unix_of: Callable[[float], float] = lambda at_s: 1_767_225_600.0 + at_s,
        seed: str = "hikvision",
        picture_of: PictureOf = grey,
    ) -> None:
        self._physics = physics
        self._shape: Shape = shape
        self._heartbeat_s = heartbeat_s
        self._unix_of = unix_of
        self._random = random.Random(seed)
        self._recogniser = Recogniser(seed)
        self._picture_of = picture_of
        self.stream = StreamServer(
            path="/ISAPI/Event/notification/alertStream",
            kind="multipart/mixed",
            user=user,
            password=password,
            seed=seed,
        )
        self._heartbeat_due_s = heartbeat_s
        self._repeat_s = NEVER

    @property
    def calling(self) -> bool:
        return False

    def connect(self, at_s: float) -> None:
        self.stream.connect(at_s)

    def connect_failed(self, at_s: float) -> None:
        """It calls nobody."""

    def disconnect(self, at_s: float) -> None:
        self.stream.disconnect(at_s)

    def receive(self, at_s: float, data: bytes) -> None:
        self.stream.receive(at_s, data)

    def set_fault(self, at_s: float, fault: Fault, on: bool) -> None:
        self.stream.set_fault(at_s, fault, on)
        if fault.kind is FaultKind.STUCK:
            self._repeat_s = at_s + REPEAT_S if on else NEVER

    def next_event_s(self) -> float:
        return min(self.stream.next_event_s(), self._repeat_s, self._heartbeat_due_s)

    def advance(self, at_s: float) -> bytes:
        for view in self._physics.take_camera_views():
            if not self.stream.line.is_deaf:
                self._put(self._recogniser.recognise(view.at_s, view.plate, self.stream.line), view.at_s)
        while self._repeat_s <= at_s:
            if self._recogniser.last is not None:
                self._put(self._recogniser.last, self._repeat_s)
            self._repeat_s += REPEAT_S
        while self._heartbeat_due_s <= at_s:
            xml = heartbeat_xml(self._unix_of(self._heartbeat_due_s)).encode("utf-8")
            kind = 'application/xml; charset="UTF-8"'
            self.stream.put(Portion(self._heartbeat_due_s, kind, xml, is_heartbeat=True))
            self._heartbeat_due_s += self._heartbeat_s
        return self.stream.advance(at_s)

    def _put(self, seen: Recognised, from_s: float) -> None:
        xml = anpr_xml(
            license_text=seen.text,
            confidence=seen.confidence,
            unix_s=self._unix_of(seen.at_s),
            number=seen.number,
            shape=self._shape,
        )
        picture = taken(self._picture_of(seen.before_lens), self.stream.line, self._random)
        at_s = from_s + RECOGNISE_S
        self.stream.put(Portion(at_s, 'application/xml; charset="UTF-8"', xml.encode("utf-8")))
        self.stream.put(Portion(at_s, "image/jpeg", picture, "licensePlatePicture.jpg"))
        self.stream.put(Portion(at_s, "image/jpeg", picture, "detectionPicture.jpg"))
