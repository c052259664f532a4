"""How `kakou frames` shows container numbers pushed as JSON: a raw request or its body. Names only."""

from __future__ import annotations

import re
from typing import assert_never

from edge.devices import http_frames
from edge.devices.container_camera_http_json import wire
from edge.devices.readings import ReadGarbled, ReadTruncated

_START = re.compile(rb'\{\s*"(?:container|heartbeat)"')


def decode(data: bytes) -> list[dict[str, object] | ReadGarbled | ReadTruncated]:
    found = http_frames.bodies(data)
    if found is None:
        start = _START.search(data)
        found = [http_frames.Body("", data[start.start() :] if start else data)]
    rows: list[dict[str, object] | ReadGarbled | ReadTruncated] = []
    for body in found:
        message = wire.decode(body.content) if isinstance(body, http_frames.Body) else body
        rows.append(message if isinstance(message, ReadGarbled | ReadTruncated) else show(message))
    return rows


def show(message: wire.Message) -> dict[str, object]:
    match message:
        case wire.Recognition():
            return {
                "type": "container",
                "text": message.number,
                "place": message.place,
                "confidence": message.confidence,
                "iso_type": message.iso_type,
                "age_s": message.age_s,
                "id": message.identity,
                "pictures": [len(picture) for picture in message.pictures],
            }
        case wire.Heartbeat():
            return {"type": "heartbeat"}
        case _:
            assert_never(message)
