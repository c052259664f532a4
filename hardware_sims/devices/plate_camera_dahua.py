"""A Dahua plate camera that others subscribe to: `snapManager.cgi?action=attachFileProc`. Bytes only.

From the maker's HTTP API and captures: the answer is an endless `multipart/x-mixed-replace`; an event is a
`text/plain` part of lines `Events[0].TrafficCar.PlateNumber=...` followed by an `image/jpeg` part; the word
`Heartbeat` comes as often as the request asked for.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Literal

from hardware_sims.barrier import NEVER
from hardware_sims.devices.http_stream import Portion, StreamServer
from hardware_sims.devices.plate_camera import PictureOf, grey, taken
from hardware_sims.devices.recognising import Recognised, Recogniser
from hardware_sims.faults import Fault, FaultKind
from hardware_sims.physics import LanePhysics

RECOGNISE_S = 0.35
REPEAT_S = 5.0
_HEARTBEAT = re.compile(rb"[?&]heartbeat=([0-9]{1,2})")


def event_text(
    *, license_text: str | None, number: int, unix_s: float, code: str = "TrafficJunction", index: int = 0
) -> str:
    """The lines of one event; None is a plate that could not be read."""
    plate = license_text if license_text is not None else "Unknown"
    milli = round(unix_s * 1000)
    fields = {
        "CountInGroup": 1,
        "EventBaseInfo.Action": "Pulse",
        "EventBaseInfo.Code": code,
        "EventBaseInfo.Index": 0,
        "GroupID": number,
        "IndexInGroup": 1,
        "Lane": 1,
        "Object.BoundingBox[0]": 5954,
        "Object.BoundingBox[1]": 2234,
        "Object.BoundingBox[2]": 6346,
        "Object.BoundingBox[3]": 2404,
        "Object.Confidence": 0,
        "Object.ObjectType": "Plate",
        "Object.Text": plate,
        "TrafficCar.Direction": 0,
        "TrafficCar.DrivingDirection[0]": "Approach",
        "TrafficCar.Event": code,
        "TrafficCar.Lane": 1,
        "TrafficCar.PlateColor": "Blue",
        "TrafficCar.PlateNumber": plate,
        "TrafficCar.PlateType": "Normal",
        "TrafficCar.VehicleColor": "Black",
        "TrafficCar.VehicleSize": "Light-duty",
        "UTC": milli // 1000,
        "UTCMS": milli % 1000,
        "VehicleLength": "0.000000",
    }
    return "".join(f"Events[{index}].{key}={value}\n" for key, value in fields.items()) + "\n"


class DahuaCamera:
    """One camera. It calls nobody."""

    def __init__(
        self,
        physics: LanePhysics,
        *,
        user: str = "admin",
        password: str = "",
        algorithm: Literal["MD5", "SHA-256"] = "MD5",
        heartbeat_s: float = 5.0,
        unix_of: Callable[[float], float] = lambda at_s: 1_767_225_600.0 + at_s,
        seed: str = "dahua",
        picture_of: PictureOf = grey,
    ) -> None:
        """`heartbeat_s`: until a request asks for another."""
        self._physics = physics
        self._unix_of = unix_of
        self._random = random.Random(seed)
        self._recogniser = Recogniser(seed)
        self._picture_of = picture_of
        self.stream = StreamServer(
            path="/cgi-bin/snapManager.cgi?action=attachFileProc",
            kind="multipart/x-mixed-replace",
            user=user,
            password=password,
            algorithm=algorithm,
            seed=seed,
        )
        self._heartbeat_s = heartbeat_s
        self._heartbeat_due_s = NEVER
        self._repeat_s = NEVER

    @property
    def calling(self) -> bool:
        return False

    def connect(self, at_s: float) -> None:
        self.stream.connect(at_s)
        self._heartbeat_due_s = NEVER

    def connect_failed(self, at_s: float) -> None:
        """It calls nobody."""

    def disconnect(self, at_s: float) -> None:
        self.stream.disconnect(at_s)
        self._heartbeat_due_s = NEVER

    def receive(self, at_s: float, data: bytes) -> None:
        asked = _HEARTBEAT.search(data)
        if asked is not None and 1 <= int(asked[1]) <= 60:
            self._heartbeat_s = float(asked[1])
        before = self.stream.subscribed
        self.stream.receive(at_s, data)
        if self.stream.subscribed and not before:
            self._heartbeat_due_s = at_s

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
            self.stream.put(Portion(self._heartbeat_due_s, "text/plain", b"Heartbeat", is_heartbeat=True))
            self._heartbeat_due_s += self._heartbeat_s
        return self.stream.advance(at_s)

    def _put(self, seen: Recognised, from_s: float) -> None:
        text = event_text(license_text=seen.text, number=seen.number, unix_s=self._unix_of(seen.at_s))
        picture = taken(self._picture_of(seen.before_lens), self.stream.line, self._random)
        at_s = from_s + RECOGNISE_S
        self.stream.put(Portion(at_s, "text/plain", text.encode("utf-8")))
        self.stream.put(Portion(at_s, "image/jpeg", picture))
