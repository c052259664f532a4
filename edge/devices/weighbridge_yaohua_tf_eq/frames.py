"""How `kakou frames` shows Yaohua tF "=" frames of both formats. Names only, no judgement."""

from __future__ import annotations

from edge.devices.readings import ReadGarbled, ReadTruncated
from edge.devices.weighbridge_yaohua_tf_eq import wire


def decode(data: bytes) -> list[dict[str, object] | ReadGarbled | ReadTruncated]:
    cutter = wire.decoder(wire.Digits.GUESSED)
    return [show(m) if isinstance(m, wire.Weight) else m for m in cutter.feed(data) + cutter.quiet()]


def show(weight: wire.Weight) -> dict[str, object]:
    """`unit`, `stable` and `kind` are null: the format carries none of them. `digits`: how it was read."""
    return {
        "type": "weight",
        "value": f"{weight.value:f}",
        "unit": None,
        "stable": None,
        "kind": None,
        "digits": weight.digits.value,
    }
