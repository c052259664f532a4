"""How `kakou frames` shows LED board frames. Names only, no judgement."""

from __future__ import annotations

from typing import assert_never

from edge.devices.led_fk import wire
from edge.devices.readings import ReadGarbled, ReadTruncated


def decode(data: bytes) -> list[dict[str, object] | ReadGarbled | ReadTruncated]:
    cutter = wire.decoder()
    return [
        m if isinstance(m, ReadGarbled | ReadTruncated) else show(m)
        for m in cutter.feed(data) + cutter.quiet()
    ]


def show(message: wire.Message) -> dict[str, object]:
    match message:
        case wire.Row():
            return {
                "type": "text_row",
                "cmd": f"{wire.SHOW_ROW_FOR_GOOD if message.for_good else wire.SHOW_ROW:02X}",
                "row": message.row,
                "text": message.text,
                "aim": "",
                "rgba": message.rgba.hex().upper(),
                "background": message.background.hex().upper(),
                "in_mode": message.in_mode,
                "times": message.times,
            }
        case wire.Voice(option, text):
            return {"type": "voice", "cmd": f"{wire.VOICE:02X}", "opt": option, "text": text, "aim": ""}
        case wire.Command(cmd, data):
            ascii_text = data.decode("ascii", "replace")
            shown = ascii_text if data.isascii() and ascii_text.isprintable() else None
            return {
                "type": "command",
                "cmd": f"{cmd:02X}",
                "data": data.hex().upper(),
                "text": shown,
                "aim": "",
            }
        case _:
            assert_never(message)
