"""How `kakou frames` shows lines, commands and answers of a Keyence reader, CR or STX and ETX. Names only."""

from __future__ import annotations

from edge.devices.scanner_keyence import wire
from edge.devices.scanner_line.frames import Shown, decode_said, rules_for
from edge.devices.scanner_line.wire import Ending


def decode(data: bytes) -> Shown:
    framed = b"\x02" in data and b"\x03" in data
    rules = rules_for(wire.NO_READ, Ending.ETX if framed else Ending.ANY)
    return decode_said(data, wire.decoder(rules))
