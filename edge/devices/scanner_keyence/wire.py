"""Bytes of a Keyence SR code reader <-> messages. No port, no clock, no time limit of a read.

Commands, answers and texts are lines ended by CR, or frames between STX and ETX; both ends use the same.
`LON` begins a read, `LOFF` ends it; in command-response mode the reader answers `OK,LON`, or `ER,LON,ee` with
an error number. A read that ended with nothing gives the read-error text (`ERROR` unless set otherwise).
`OVER` says that the reader's buffer ran over, `ERRnn` is a fault of its own.

What the line is worth: no check. These words are never taken for a code, whoever printed them.

Source: Keyence SR-750 user manual, chapter 8 (command communication), SR-600 compatible output mode.
"""

from __future__ import annotations

import re

from edge.devices.readings import ReadGarbled
from edge.devices.scanner_line.wire import (
    Answer,
    Command,
    Ending,
    Fault,
    LineDecoder,
    Rules,
    Said,
    after_stx,
    read_line,
)

NO_READ = ("ERROR",)

_ANSWER = re.compile(rb"(OK|ER),(LON|LOFF)(?:,(\d{2}))?")
_OTHER_ANSWER = re.compile(rb"(OK|ER),[A-Z0-9]{1,8}(?:,[0-9A-Za-z]*)?")
_COMMAND = re.compile(rb"(LON|LOFF)(\d{0,2})")
_ERROR = re.compile(rb"ERR(\d{2})")


def command(text: bytes, *, stx: bool = False) -> bytes:
    return b"\x02" + text + b"\x03" if stx else text + b"\r"


def decoder(rules: Rules) -> LineDecoder[Said]:
    return LineDecoder(rules, read)


def read(line: bytes, rules: Rules) -> Said:
    if rules.ending is Ending.ETX:
        inside = after_stx(line)
        if isinstance(inside, ReadGarbled):
            return inside
        line = inside
    if found := _ANSWER.fullmatch(line):
        return Answer(good=found[1] == b"OK", on=found[2] == b"LON", text=line.decode("ascii"))
    if _OTHER_ANSWER.fullmatch(line):
        return Answer(good=line.startswith(b"OK"), on=None, text=line.decode("ascii"), other=True)
    if found := _COMMAND.fullmatch(line):
        return Command(found[1] == b"LON", line.decode("ascii"))
    if line == b"OVER":
        return Fault("buffer_overflow", "the reader could not send all it read")
    if found := _ERROR.fullmatch(line):
        return Fault(f"error_{found[1].decode('ascii')}")
    return read_line(line, rules)
