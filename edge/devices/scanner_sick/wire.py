"""Bytes of a SICK code reader (CLV, Lector) <-> messages. No port, no clock, no time limit of a read.

Everything stands between STX (02) and ETX (03). Commands are CoLa A: `sMN mTCgateon` opens the reading gate,
`sMN mTCgateoff` closes it; the reader answers `sAN mTCgateon 1`, with 0 where it did not, or `sFA` and an
error number. What else comes is a result: the text of a code, or `NoRead`.

What the frame is worth: no check. Bytes between an ETX and the next STX are noise and left out; a frame with
a second STX in it is refused whole, since one was cut off there. A text that begins like a CoLa answer
(`sAN `, `sRA ` ...) is taken for one, never for a code.

Source: SICK telegram listings (CoLa A); industrial notes on CLV6xx and Lector63x (mTCgateon, NoRead).
"""

from __future__ import annotations

import re

from edge.devices.readings import ReadGarbled
from edge.devices.scanner_line.wire import Answer, Command, LineDecoder, Rules, Said, after_stx, read_line

NO_READ = ("NoRead", "NOREAD", "ERROR", "?")

_ANSWER = re.compile(rb"sAN mTCgate(on|off) ([01])")
_OTHER_ANSWER = re.compile(rb"s(?:AN|RA|WA|EA|SN|FA)(?: [ -~]*)?")
_COMMAND = re.compile(rb"s(?:MN|RN|WN|EN|RI)(?: [ -~]*|\d+)?")


def command(text: bytes) -> bytes:
    return b"\x02" + text + b"\x03"


TRIGGER_ON = command(b"sMN mTCgateon")
TRIGGER_OFF = command(b"sMN mTCgateoff")


def decoder(rules: Rules) -> LineDecoder[Said]:
    """`rules.ending` must be ETX."""
    return LineDecoder(rules, read)


def read(frame: bytes, rules: Rules) -> Said:
    """`frame` without its ETX."""
    inside = after_stx(frame)
    if isinstance(inside, ReadGarbled):
        return inside
    if found := _ANSWER.fullmatch(inside):
        return Answer(good=found[2] == b"1", on=found[1] == b"on", text=inside.decode("ascii"))
    if _OTHER_ANSWER.fullmatch(inside):
        error = inside.startswith(b"sFA")
        return Answer(good=not error, on=None, text=inside.decode("ascii"), other=not error)
    if _COMMAND.fullmatch(inside):
        on = {b"sMN mTCgateon": True, b"sMN mTCgateoff": False}.get(inside)
        return Command(on, inside.decode("ascii"))
    return read_line(inside, rules)
