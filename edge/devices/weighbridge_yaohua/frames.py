"""How `kakou frames` shows Yaohua frames. Names only, no judgement."""

from __future__ import annotations

from edge.devices.readings import ReadGarbled, ReadTruncated
from edge.devices.weighbridge_yaohua import wire


def decode(data: bytes) -> list[dict[str, object] | ReadGarbled | ReadTruncated]:
    cutter = wire.decoder()
    return [show(m) if isinstance(m, wire.Weight) else m for m in cutter.feed(data) + cutter.quiet()]


def show(weight: wire.Weight) -> dict[str, object]:
    """`unit`, `stable` and `kind` are null: the format carries none of them."""
    return {
        "type": "weight",
        "value": f"{weight.value:f}",
        "unit": None,
        "stable": None,
        "kind": None,
        "sign": weight.sign,
        "digits": weight.digits,
        "decimals": weight.decimals,
    }
