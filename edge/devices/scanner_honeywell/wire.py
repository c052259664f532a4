"""Bytes of a Honeywell scanner on a serial line <-> messages. No port, no clock, no time limit of a read.

The host says `SYN T CR` (16 54 0D) to read and `SYN U CR` (16 55 0D) to stop; the scanner answers neither. It
reads until it has a text, the host stops it, or its own time limit is over. Texts are lines as in
`scanner_line.wire`: an optional prefix, an optional AIM identifier, the text, an optional suffix. Serial
triggering must be on (`TRGMOD0`).

What the line is worth: no check, as `scanner_line.wire` says.

Source: Honeywell user guides (serial trigger commands; prefix and suffix; no read message `NR`).
"""

from __future__ import annotations

from edge.devices.framing import MORE, NO_START, NotHere, Unfinished, Whole
from edge.devices.scanner_line.wire import Command, LineDecoder, Rules, Said, read_line

TRIGGER_ON = b"\x16T\r"
TRIGGER_OFF = b"\x16U\r"
NO_READ = ("NR", "ERROR", "NoRead", "NOREAD", "?")

_COMMANDS = {TRIGGER_ON: Command(on=True, text="SYN T"), TRIGGER_OFF: Command(on=False, text="SYN U")}


def decoder(rules: Rules) -> LineDecoder[Said]:
    return LineDecoder(rules, read_line, look)


def look(held: bytes, at: int) -> Whole[Said] | NotHere | Unfinished:
    """The commands of a host."""
    head = held[at : at + 3]
    for frame, command in _COMMANDS.items():
        if head == frame:
            return Whole(len(frame), command)
        if frame.startswith(head):
            return MORE
    return NO_START
