"""How `kakou frames` shows Toledo frames, with and without CHK. Names only, no judgement."""

from __future__ import annotations

from decimal import Decimal

from edge.devices.readings import ReadGarbled, ReadTruncated
from edge.devices.weighbridge_toledo import wire


def decode(data: bytes) -> list[dict[str, object] | ReadGarbled | ReadTruncated]:
    cutter = wire.decoder(wire.Check.EITHER)
    return [show(m) if isinstance(m, wire.Weight) else m for m in cutter.feed(data) + cutter.quiet()]


def _text(number: Decimal | None) -> str | None:
    return None if number is None else f"{number:f}"


def show(weight: wire.Weight) -> dict[str, object]:
    return {
        "type": "weight",
        "value": _text(weight.value),
        "unit": weight.unit,
        "stable": not weight.motion,
        "kind": "net" if weight.net else "gross",
        "tare": _text(weight.tare),
        "net": weight.net,
        "neg": weight.negative,
        "motion": weight.motion,
        "out_of_range": weight.out_of_range,
        "power_up": weight.power_up,
        "dec_code": weight.decimal_code,
        "inc": weight.increment,
    }
