"""How `kakou frames` shows lines of a plain text board with the words it has by default. Names only."""

from __future__ import annotations

from typing import assert_never

from edge.devices.led_ascii import wire
from edge.devices.readings import ReadGarbled, ReadTruncated

WORDS = wire.Words("[{}]", (("red", "[R]"), ("green", "[G]"), ("amber", "[Y]")), "[V]", b"\r\n", "gb2312")


def decode(data: bytes) -> list[dict[str, object] | ReadGarbled | ReadTruncated]:
    cutter = wire.decoder(WORDS)
    return [
        m if isinstance(m, ReadGarbled | ReadTruncated) else show(m)
        for m in cutter.feed(data) + cutter.quiet()
    ]


def show(message: wire.Message) -> dict[str, object]:
    match message:
        case wire.Line(text, row, colour):
            return {"type": "text_row", "row": row, "colour": colour, "text": text, "aim": ""}
        case wire.Voice(text):
            return {"type": "voice", "text": text, "aim": ""}
        case _:
            assert_never(message)
