"""How `kakou frames` shows requests and replies of Yaohua's command mode. Names only, no judgement."""

from __future__ import annotations

from typing import assert_never

from edge.devices.readings import ReadGarbled, ReadTruncated
from edge.devices.weighbridge_yaohua_command import wire

_KINDS = {wire.GROSS: "gross", wire.TARE: "tare", wire.NET: "net"}


def decode(data: bytes) -> list[dict[str, object] | ReadGarbled | ReadTruncated]:
    cutter = wire.decoder()
    return [
        m if isinstance(m, ReadGarbled | ReadTruncated) else show(m)
        for m in cutter.feed(data) + cutter.quiet()
    ]


def show(message: wire.Message) -> dict[str, object]:
    """`unit` and `stable` are null: the format carries neither."""
    match message:
        case wire.Request():
            return {
                "type": "request",
                "addr": message.address,
                "cmd": wire.COMMANDS[message.command],
                "command": message.command,
            }
        case wire.Reply():
            return {
                "type": "weight",
                "addr": message.address,
                "cmd": wire.COMMANDS[message.command],
                "command": message.command,
                "value": f"{message.value:f}",
                "unit": None,
                "stable": None,
                "kind": _KINDS[message.command],
            }
        case _:
            assert_never(message)
