"""How `kakou frames` shows lines and commands of a Honeywell scanner, whatever the ending. Names only."""

from __future__ import annotations

from edge.devices.scanner_honeywell import wire
from edge.devices.scanner_honeywell.driver import NO_READ
from edge.devices.scanner_line.frames import decoding

decode = decoding(wire.decoder, NO_READ, wire.look)
