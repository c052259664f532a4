"""How `kakou frames` shows a Hikvision camera's events: XML, a push, a piece of alertStream. Names only."""

from __future__ import annotations

import re
from typing import assert_never

from edge.devices import http_frames, jpeg
from edge.devices.multipart import Part
from edge.devices.plate_camera_hikvision import wire
from edge.devices.readings import ReadGarbled, ReadTruncated

_BOUNDARY = re.compile(rb"(?:^|(?<=\n))--[^\r\n]{1,200}\r?\n")
_BEGIN = re.compile(
    rb"<\?xml[^>]{0,200}\?>\s*<|<!DOCTYPE|<(?:[A-Za-z0-9_]{1,32}:)?EventNotificationAlert[\s>]|\{\s*\""
)
_END = re.compile(rb"</(?:[A-Za-z0-9_]{1,32}:)?EventNotificationAlert\s*>|\}\s*\Z")


def decode(data: bytes) -> list[dict[str, object] | ReadGarbled | ReadTruncated]:
    found = http_frames.bodies(data)
    if found is None:
        start = _BOUNDARY.search(data)
        if start is None:
            return _documents(data)
        found = [http_frames.Body("", data[start.start() :])]
    rows: list[dict[str, object] | ReadGarbled | ReadTruncated] = []
    for body in found:
        if isinstance(body, http_frames.Body):
            rows += [_shown(part) if isinstance(part, Part) else part for part in http_frames.parts(body)]
        else:
            rows.append(body)
    return rows


def _documents(data: bytes) -> list[dict[str, object] | ReadGarbled | ReadTruncated]:
    """XML one after another, with anything between."""
    rows: list[dict[str, object] | ReadGarbled | ReadTruncated] = []
    at = 0
    while (begin := _BEGIN.search(data, at)) is not None:
        end = _END.search(data, begin.start())
        if end is None:
            return [*rows, ReadTruncated(data[begin.start() :][-256:])]
        rows.append(_shown(Part({}, data[begin.start() : end.end()])))
        at = end.end()
    return rows or [_shown(Part({}, data))]


def _shown(part: Part) -> dict[str, object] | ReadGarbled | ReadTruncated:
    if part.kind.startswith("image/") or part.body[:2] == b"\xff\xd8":
        picture = jpeg.check(part.body, most_bytes=http_frames.MOST_BODY_BYTES)
        if not isinstance(picture, bytes):
            return picture
        return {"type": "picture", "name": part.name, "bytes": len(picture)}
    message = wire.decode(part.body)
    return message if isinstance(message, ReadGarbled) else show(message)


def show(message: wire.Message) -> dict[str, object]:
    match message:
        case wire.Recognition():
            return {
                "type": "plate",
                "plate": message.license,
                "text": message.license,
                "confidence": message.confidence,
                "direction": message.direction,
                "lane": message.lane,
                "plate_type": message.plate_type,
                "color": message.plate_colour,
                "vehicle_type": message.vehicle_type,
                "offline": message.offline,
                "time": message.at,
                "uuid": message.uuid,
                "channel": message.channel,
            }
        case wire.Other(event, state):
            return {"type": "other", "event": event, "state": state, "plate": None, "ignore": True}
        case _:
            assert_never(message)
