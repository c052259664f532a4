"""How `kakou frames` shows answers of an MT-SICS indicator. Names only, no judgement."""

from __future__ import annotations

from typing import assert_never

from edge.devices.readings import ReadGarbled, ReadTruncated
from edge.devices.weighbridge_mt_sics import wire


def decode(data: bytes) -> list[dict[str, object] | ReadGarbled | ReadTruncated]:
    cutter = wire.decoder()
    return [
        m if isinstance(m, ReadGarbled | ReadTruncated) else show(m)
        for m in cutter.feed(data) + cutter.quiet()
    ]


def show(message: wire.Message) -> dict[str, object]:
    """`kind` is null: a line does not say whether a tare is set."""
    match message:
        case wire.Weight():
            return {
                "type": "weight",
                "value": f"{message.value:f}",
                "unit": message.unit,
                "stable": message.stable,
                "kind": None,
            }
        case wire.Beyond():
            return _error(message.what)
        case wire.Failed():
            return _error(message.error)
        case wire.Started():
            return {"type": "started", "serial_no": message.serial_no}
        case _:
            assert_never(message)


def _error(error: str) -> dict[str, object]:
    return {"type": "error", "error": error, "value": None, "unit": None, "stable": None, "kind": None}
