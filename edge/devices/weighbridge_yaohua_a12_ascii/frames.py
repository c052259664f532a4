"""How `kakou frames` shows lines of a Yaohua A12. Names only, no judgement."""

from __future__ import annotations

from edge.devices.readings import ReadGarbled, ReadTruncated
from edge.devices.weighbridge_yaohua_a12_ascii import wire


def decode(data: bytes) -> list[dict[str, object] | ReadGarbled | ReadTruncated]:
    cutter = wire.decoder(end_sent=False)
    return [show(m) if isinstance(m, wire.Weight) else m for m in cutter.feed(data) + cutter.quiet()]


def show(weight: wire.Weight) -> dict[str, object]:
    """`stable` is null: the format does not carry it. `value` is the text displayed, zeros and all."""
    return {
        "type": "weight",
        "value": weight.text,
        "unit": weight.unit,
        "stable": None,
        "kind": weight.kind,
    }
