"""How `kakou frames` shows frames of a SICK reader. Names only."""

from __future__ import annotations

from edge.devices.scanner_line.frames import Shown, decode_said, rules_for
from edge.devices.scanner_line.wire import Ending
from edge.devices.scanner_sick import wire


def decode(data: bytes) -> Shown:
    return decode_said(data, wire.decoder(rules_for(wire.NO_READ, Ending.ETX)))
