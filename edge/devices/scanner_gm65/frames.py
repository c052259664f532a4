"""How `kakou frames` shows lines, commands and answers of a GM65 module, whatever the ending. Names only."""

from __future__ import annotations

from edge.devices.scanner_gm65 import wire
from edge.devices.scanner_gm65.driver import NO_READ
from edge.devices.scanner_line.frames import decoding

decode = decoding(wire.decoder, NO_READ, wire.look)
