"""How `kakou frames` shows frames of a Yaohua A12(E). Names only, no judgement."""

from __future__ import annotations

from typing import assert_never

from edge.devices.readings import ReadGarbled, ReadTruncated
from edge.devices.weighbridge_yaohua_a12e import wire

_ERRORS = {"overload": "overload", "underload": "below -20d"}


def decode(data: bytes) -> list[dict[str, object] | ReadGarbled | ReadTruncated]:
    cutter = wire.decoder()
    return [
        m if isinstance(m, ReadGarbled | ReadTruncated) else show(m)
        for m in cutter.feed(data) + cutter.quiet()
    ]


def show(message: wire.Message) -> dict[str, object]:
    """`stable` is null: the format does not carry it."""
    match message:
        case wire.Weight():
            return {
                "type": "weight",
                "value": f"{message.value:f}",
                "unit": "kg",
                "stable": None,
                "kind": message.kind,
            }
        case wire.Beyond():
            return {
                "type": "error",
                "error": _ERRORS[message.what],
                "value": None,
                "unit": None,
                "stable": None,
                "kind": None,
            }
        case _:
            assert_never(message)
