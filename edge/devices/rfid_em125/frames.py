"""How `kakou frames` shows EM4100 reads, in whichever framing they come. Names only, no judgement."""

from __future__ import annotations

from collections.abc import Sequence

from edge.devices.framing import Cutter
from edge.devices.readings import ReadGarbled, ReadTruncated
from edge.devices.rfid_em125 import wire


def decode(data: bytes) -> list[dict[str, object] | ReadGarbled | ReadTruncated]:
    cutter = Cutter(wire.look_any, start=wire.STX)
    found: Sequence[wire.Message] = cutter.feed(data) + cutter.quiet()
    if not any(isinstance(message, wire.Card) for message in found):
        lines = wire.decoder(wire.Framing.BARE)
        bare: Sequence[wire.Message] = lines.feed(data) + lines.quiet()
        if wire.STX not in data or any(isinstance(message, wire.Card) for message in bare):
            found = bare
    return [show(message) if isinstance(message, wire.Card) else message for message in found]


def show(card: wire.Card) -> dict[str, object]:
    """`text` is what the lane is told; the decimal numbers are what may be printed on the card."""
    number = bytes.fromhex(card.number)
    length = (
        {"len": wire.BINARY_BYTES, "card_type": wire.EM_CARD} if card.framing is wire.Framing.BINARY else {}
    )
    return {
        "type": "card",
        "text": card.number,
        "card": card.number,
        "card_bytes": card.number,
        "check": card.check,
        "framing": card.framing.value,
        "decimal_low3bytes": int.from_bytes(number[2:]),
        "decimal_low4bytes": int.from_bytes(number[1:]),
        "fc,num": f"{number[2]:03d},{int.from_bytes(number[3:]):05d}",
        **length,
    }
