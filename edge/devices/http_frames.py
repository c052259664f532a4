"""How `kakou frames` takes a capture of HTTP apart: bodies with their media types. Knows no device."""

from __future__ import annotations

import re
from dataclasses import dataclass

import h11

from edge.devices.http_listening import Connection, Refused
from edge.devices.multipart import Part, PartCutter, boundary_in, boundary_of
from edge.devices.readings import ReadGarbled, ReadTruncated

MOST_BODY_BYTES = 64 << 20
_START = re.compile(rb"(?P<request>(?:POST|PUT|GET) [^ \r\n]+ HTTP/1\.)|(?P<answer>HTTP/1\.[01] [0-9]{3})")


@dataclass(frozen=True, slots=True)
class Body:
    content_type: str
    content: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


def bodies(content: bytes) -> list[Body | ReadGarbled | ReadTruncated] | None:
    """The bodies of the requests, or of the answer, that stand in a capture; None where it is no HTTP."""
    start = _START.search(content)
    if start is None:
        return None
    content = content[start.start() :]
    return _requests(content) if start.lastgroup == "request" else _answer(content)


def parts(body: Body) -> list[Part | ReadGarbled | ReadTruncated]:
    """The parts of a multipart body; where it is none, the whole of it as one part."""
    boundary = boundary_of(body.content_type) or boundary_in(body.content)
    if boundary is None:
        return [Part({"content-type": body.content_type}, body.content)]
    cutter = PartCutter(boundary, most_part_bytes=MOST_BODY_BYTES)
    return cutter.feed(body.content) + cutter.end()


def _requests(content: bytes) -> list[Body | ReadGarbled | ReadTruncated]:
    connection = Connection(MOST_BODY_BYTES)
    connection.feed(content)
    found: list[Body | ReadGarbled | ReadTruncated] = []
    while (event := connection.next()) is not None:
        if isinstance(event, Refused):
            return [*found, ReadGarbled(event.raw, event.why)]
        found.append(Body(event.header(b"content-type"), event.body, event.headers))
        connection.answer(200, b"")
    if connection.halfway:
        found.append(ReadTruncated(content[-256:]))
    return found


def _answer(content: bytes) -> list[Body | ReadGarbled | ReadTruncated]:
    http = h11.Connection(h11.CLIENT)
    http.send(h11.Request(method="GET", target="/", headers=[("Host", "-")]))
    http.send(h11.EndOfMessage())
    body = bytearray()
    kind = ""
    framed = False
    try:
        http.receive_data(content)
        while (event := http.next_event()) is not h11.NEED_DATA:
            match event:
                case h11.Response():
                    named = [value for name, value in event.headers if name == b"content-type"]
                    framed = any(
                        name in (b"content-length", b"transfer-encoding") for name, _ in event.headers
                    )
                    kind = named[0].decode("latin-1") if named else ""
                case h11.Data():
                    body += event.data
                case h11.EndOfMessage():
                    return [Body(kind, bytes(body))]
                case _:
                    break
    except h11.RemoteProtocolError as error:
        return [ReadGarbled(content[:256], str(error))]
    if framed or not body:
        return [ReadTruncated(content[-256:])]
    # an answer without length goes on for ever: this is what there is of it
    return [Body(kind, bytes(body))]
