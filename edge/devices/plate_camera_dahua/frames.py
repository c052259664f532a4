"""How `kakou frames` shows a Dahua camera's messages: text, or a piece of the stream. Names only."""

from __future__ import annotations

import re
from typing import assert_never

from edge.devices import http_frames, jpeg
from edge.devices.multipart import Part
from edge.devices.plate_camera_dahua import wire
from edge.devices.readings import ReadGarbled, ReadTruncated

_START = re.compile(rb"(?:^|(?<=\n))--[^\r\n]{1,200}\r?\n|Events\[[0-9]|Heartbeat\s*\Z")


Shown = dict[str, object] | list[dict[str, object]] | ReadGarbled | ReadTruncated


def decode(data: bytes) -> list[Shown]:
    found = http_frames.bodies(data)
    if found is None:
        start = _START.search(data)
        found = [http_frames.Body("", data[start.start() :] if start else data)]
    rows: list[Shown] = []
    for body in found:
        if isinstance(body, http_frames.Body):
            rows += [_shown(part) if isinstance(part, Part) else part for part in http_frames.parts(body)]
        else:
            rows.append(body)
    return rows


def _shown(part: Part) -> Shown:
    if part.kind.startswith("image/") or part.body[:2] == b"\xff\xd8":
        picture = jpeg.check(part.body, most_bytes=http_frames.MOST_BODY_BYTES)
        if not isinstance(picture, bytes):
            return picture
        return {"type": "picture", "name": part.name, "bytes": len(picture)}
    messages = wire.decode(part.body)
    return messages if isinstance(messages, ReadGarbled) else [show(message) for message in messages]


def show(message: wire.Message) -> dict[str, object]:
    match message:
        case wire.Recognition():
            return {
                "type": "plate",
                "plate": message.license,
                "text": message.license,
                "color": message.plate_colour,
                "plate_type": message.plate_type,
                "driving_direction": message.driving_direction,
                "lane": message.lane,
                "utc": message.at_s,
                "event_code": message.event,
                "action": message.action,
                "confidence_as_sent": message.confidence,
                "group": message.group,
            }
        case wire.Heartbeat():
            return {"type": "heartbeat"}
        case wire.Other(event):
            return {"type": "other", "event_code": event, "plate": None, "ignore": True}
        case _:
            assert_never(message)
