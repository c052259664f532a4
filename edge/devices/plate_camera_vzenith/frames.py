"""How `kakou frames` shows a camera's pushes: a raw HTTP request or answer, or just the body. Names only."""

from __future__ import annotations

import re
from typing import assert_never

import h11

from edge.devices.http_listening import Connection, Refused
from edge.devices.plate_camera_vzenith import wire
from edge.devices.readings import ReadGarbled, ReadTruncated

MOST_BODY_BYTES = 64 << 20
_START = re.compile(rb"(?P<request>(?:POST|GET|PUT) [^ \r\n]+ HTTP/1)|(?P<answer>HTTP/1\.[01] )|(?P<json>\{)")


def decode(data: bytes) -> list[dict[str, object] | ReadGarbled | ReadTruncated]:
    start = _START.search(data)
    if start is None:
        heartbeat = wire.decode_form(data)
        return [show(heartbeat) if heartbeat else ReadGarbled(data[:256], "neither HTTP nor JSON nor a form")]
    content = data[start.start() :]
    match start.lastgroup:
        case "request":
            return _requests(content)
        case "answer":
            return [_answer(content)]
        case _:
            return [_shown(wire.decode_json(content))]


def _requests(data: bytes) -> list[dict[str, object] | ReadGarbled | ReadTruncated]:
    connection = Connection(MOST_BODY_BYTES)
    connection.feed(data)
    rows: list[dict[str, object] | ReadGarbled | ReadTruncated] = []
    while (event := connection.next()) is not None:
        if isinstance(event, Refused):
            return [*rows, ReadGarbled(event.raw, event.why)]
        rows.append(_shown(wire.decode_request(event.target, event.body)))
        connection.answer(200, b"{}")
    if connection.halfway:
        rows.append(ReadTruncated(data[-256:]))
    return rows


def _answer(data: bytes) -> dict[str, object] | ReadGarbled | ReadTruncated:
    http = h11.Connection(h11.CLIENT)
    http.send(h11.Request(method="POST", target="/", headers=[("Host", "-"), ("Content-Length", "0")]))
    http.send(h11.EndOfMessage())
    body = b""
    try:
        http.receive_data(data)
        while (event := http.next_event()) is not h11.NEED_DATA:
            if isinstance(event, h11.Data):
                body += event.data
            if isinstance(event, h11.EndOfMessage):
                return _shown(wire.decode_json(body))
    except h11.RemoteProtocolError as error:
        return ReadGarbled(data[:256], str(error))
    return ReadTruncated(data[-256:])


def _shown(message: wire.Message | ReadGarbled) -> dict[str, object] | ReadGarbled:
    return message if isinstance(message, ReadGarbled) else show(message)


def show(message: wire.Message) -> dict[str, object]:
    match message:
        case wire.Recognition():
            return {
                "type": "plate",
                "plate": message.license,
                "text": message.license,
                "confidence": message.confidence,
                "plate_type": message.plate_type,
                "color": message.colour,
                "direction": message.direction,
                "trigger_type": message.trigger,
                "plateid": message.plate_id,
                "offline": message.offline,
                "fake": message.fake,
                "ts": message.at_s,
                "serialno": message.serial_no,
                "pictures": [
                    {"shows": shot.shows, "bytes": len(shot.content() or b"")} for shot in message.shots
                ],
            }
        case wire.InputChanged(source, value, serial_no):
            return {"type": "input", "input": source + 1, "value": value, "serialno": serial_no}
        case wire.SerialReceived(data, channel, serial_no):
            return {
                "type": "serial_data",
                "bytes_hex": data.hex().upper(),
                "len": len(data),
                "channel": channel,
                "serialno": serial_no,
            }
        case wire.Picture(content):
            return {"type": "picture", "bytes": len(content or b"")}
        case wire.Heartbeat(serial_no):
            return {"type": "heartbeat", "serialno": serial_no}
        case wire.Answer():
            return {
                "type": "answer",
                "info": message.info,
                "opens": message.info == "ok" or message.io_value in (1, 2),
                "plateid": message.continue_plate_id,
                "continue": message.continues,
                "io": message.io,
                "value": message.io_value,
                "delay_ms": message.io_delay_ms,
                "trigger": message.trigger,
            }
        case _:
            assert_never(message)
