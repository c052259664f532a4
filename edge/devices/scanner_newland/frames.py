"""How `kakou frames` shows lines, commands and answers of a Newland scanner. Names only."""

from __future__ import annotations

from edge.devices.scanner_line.frames import decoding
from edge.devices.scanner_newland import wire
from edge.devices.scanner_newland.driver import NO_READ

decode = decoding(wire.decoder, NO_READ, wire.look)
