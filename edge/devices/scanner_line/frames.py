"""How `kakou frames` shows scanner lines, whatever their ending. Names only, no judgement."""

from __future__ import annotations

from typing import assert_never

from edge.devices.readings import ReadGarbled, ReadTruncated
from edge.devices.scanner_line import wire
from edge.devices.scanner_line.driver import NO_READ

RULES = wire.Rules(wire.Ending.ANY, wire.Aim.ALLOWED, NO_READ, 65536)


def decode(data: bytes) -> list[dict[str, object] | ReadGarbled | ReadTruncated]:
    lines = wire.LineDecoder(RULES)
    return [show(message) for message in lines.feed(data) + lines.quiet()]


def show(message: wire.Message) -> dict[str, object] | ReadGarbled | ReadTruncated:
    match message:
        case wire.Code(text, aim):
            return {"type": "code", "text": text, "aim": aim}
        case wire.NoRead(word):
            return {"type": "no_read", "text": word, "aim": ""}
        case ReadGarbled() | ReadTruncated():
            return message
        case _:
            assert_never(message)
