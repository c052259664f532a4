"""How `kakou frames` shows comma lines (`ST,GS,+…`). Names only, no judgement."""

from __future__ import annotations

from edge.devices.readings import ReadGarbled, ReadTruncated
from edge.devices.weighbridge_st_gs import wire

_STABLE = {"stable": True, "unstable": False}


def decode(data: bytes) -> list[dict[str, object] | ReadGarbled | ReadTruncated]:
    cutter = wire.decoder()
    return [show(m) if isinstance(m, wire.Weight) else m for m in cutter.feed(data) + cutter.quiet()]


def show(weight: wire.Weight) -> dict[str, object]:
    """`stable` and `value` are null where the indicator is out of range."""
    return {
        "type": "weight",
        "value": None if weight.value is None else f"{weight.value:f}",
        "unit": weight.unit,
        "stable": _STABLE.get(weight.status),
        "kind": weight.kind,
        "status": weight.status,
    }
