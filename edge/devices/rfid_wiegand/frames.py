"""How `kakou frames` shows Wiegand reads, in whichever framing with parities. Names only, no judgement."""

from __future__ import annotations

from collections.abc import Sequence

from edge.devices.readings import ReadGarbled, ReadTruncated
from edge.devices.rfid_wiegand import wire

_TYPED = frozenset((0x00, 0x01, 0x10, 0x11))
"""Bytes whose two hex digits are bits."""
_TEXTS = (wire.Framing.BITS, wire.Framing.HEX)

Shown = list[dict[str, object] | ReadGarbled | ReadTruncated]


def decode_26(data: bytes) -> Shown:
    return _decode(26, data)


def decode_34(data: bytes) -> Shown:
    return _decode(34, data)


def _decode(size: wire.Size, data: bytes) -> Shown:
    """Texts, or exactly one read in bytes, or bits as typed: `kakou frames rfid.wiegand26 0001…`."""
    found: Sequence[wire.Message]
    if len(data) * 2 == size and _TYPED.issuperset(data):
        found = wire.read_line(data.hex().encode("ascii"), size, (wire.Framing.BITS,))
    elif len(data) == wire.bytes_in(size):
        found = wire.read_line(data, size, (wire.Framing.BYTES,))
        if not isinstance(found[-1], wire.Card):
            left = wire.read_line(data, size, (wire.Framing.BYTES_LEFT,))
            found = left if isinstance(left[-1], wire.Card) else found
    else:
        lines = wire.decoder(size, _TEXTS, quiet_ends=True)
        found = lines.feed(data) + lines.quiet()
    return [show(message) if isinstance(message, wire.Card) else message for message in found]


def show(card: wire.Card) -> dict[str, object]:
    """`text` is what the lane is told; `dec8h` is the number that 26-bit cards often bear."""
    return {
        "type": "card",
        "text": card.printed,
        "facility": card.facility,
        "number": card.number,
        "value": card.value,
        "fc,num": card.printed,
        "dec8h": f"{card.value:010d}",
        "bits": wire.bits_of(card.size, card.value),
    }
