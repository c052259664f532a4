"""A container camera with an integrator's few lines beside it: pushes numbers as documented. Bytes only.

One push for each container it sees, the first one `front`, the second `back`, with a picture; a heartbeat in
between. A message that waited says how long in `age_s`.
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable

from hardware_sims.barrier import NEVER
from hardware_sims.devices.http_push import Push, Pusher
from hardware_sims.devices.plate_camera import PICTURE
from hardware_sims.devices.recognising import Recognised, Recogniser
from hardware_sims.faults import Fault, FaultKind
from hardware_sims.physics import LanePhysics

RECOGNISE_S = 0.6
REPEAT_S = 5.0


def container_push(
    *,
    identity: str,
    number: str | None,
    place: str,
    confidence: float,
    age_s: float = 0.0,
    iso_type: str = "45G1",
    picture: bytes = PICTURE,
) -> bytes:
    container = {
        "id": identity,
        "number": number,
        "place": place,
        "confidence": confidence,
        "iso_type": iso_type,
        "age_s": round(age_s, 1),
        "pictures": [base64.b64encode(picture).decode("ascii")] if picture else [],
    }
    return json.dumps({"container": container}, separators=(",", ":")).encode("ascii")


class ContainerCamera:
    """One camera that calls us. See `PlateCamera` for who performs."""

    def __init__(
        self,
        physics: LanePhysics,
        *,
        host: str = "127.0.0.1",
        token: str = "",
        heartbeat_s: float = 5.0,
        seed: str = "container",
    ) -> None:
        self._physics = physics
        self._headers = (f"Authorization: Bearer {token}",) if token else ()
        self._heartbeat_s = heartbeat_s
        self._random = random.Random(seed)
        self._recogniser = Recogniser(seed)
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
        for view in self._physics.take_container_views():
            if self.pusher.line.is_deaf:
                continue
            for place, number in zip(("front", "back"), view.containers, strict=False):
                seen = self._recogniser.recognise(view.at_s, number or None, self.pusher.line)
                self._put(seen, place, view.at_s)
        while self._repeat_s <= at_s:
            if self._recogniser.last is not None:
                self._put(self._recogniser.last, "front", self._repeat_s)
            self._repeat_s += REPEAT_S
        while self._heartbeat_due_s <= at_s:
            self._say(self._heartbeat_due_s, b'{"heartbeat":{}}', keep=False)
            self._heartbeat_due_s += self._heartbeat_s
        return self.pusher.advance(at_s)

    def _put(self, seen: Recognised, place: str, from_s: float) -> None:
        picture = PICTURE
        if self.pusher.line.has(FaultKind.CUT_PICTURE):
            picture = PICTURE[: self._random.randrange(4, len(PICTURE) - 1)]

        def body(at_s: float) -> bytes:
            return container_push(
                identity=str(seen.number),
                number=seen.text,
                place=place,
                confidence=seen.confidence,
                age_s=at_s - seen.at_s,
                picture=picture,
            )

        self._say(from_s + RECOGNISE_S, body)

    def _say(self, from_s: float, body: bytes | Callable[[float], bytes], *, keep: bool = True) -> None:
        self.pusher.put(Push(from_s, "/", "application/json", body, self._headers, keep=keep))
