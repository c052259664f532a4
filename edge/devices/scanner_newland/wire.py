"""Bytes of a Newland scanner on a serial line <-> messages. No port, no clock, no time limit of a read.

A command is `7E 01 30 30 30 30`, storage (`40` for good, `23` until power is off), tag (3), sub-tag (3),
data, `3B 03`. The answer is the same text between `02 01 30 30 30 30` and `3B 03`, with one byte after each
setting: `06` done, `15` the value is out of range, `05` no such tag. `SCNTRG1` begins a read, `SCNTRG0` ends
it. Texts are lines as in `scanner_line.wire`.

What the frames are worth: no check. An answer is taken only if every byte of it is printable, or one of the
three where they may stand, and if it names the trigger; what does not fit is part of a line, and garbled.

Source: Newland serial programming command manual and NLS-HR52, FM530 user manuals (syntax, answer, example
DFMADD); programs of three integrators (SCNTRG1, SCNTRG0).
"""

from __future__ import annotations

import re

from edge.devices.framing import MORE, NO_START, NotHere, Unfinished, Whole
from edge.devices.scanner_line.wire import Answer, Command, LineDecoder, Rules, Said, read_line

COMMAND_HEAD = b"\x7e\x010000"
ANSWER_HEAD = b"\x02\x010000"
END = b";\x03"
FOR_GOOD, UNTIL_OFF = b"@", b"#"
MOST_BYTES = 600
"""Longest command or answer this codec waits for."""

_STATES = {b"\x06": "done", b"\x15": "out of range", b"\x05": "unknown"}
_ANSWERED = re.compile(rb"([@#])([ -~]{3,}?)([\x05\x06\x15])(?:[,;][ -~]+?[\x05\x06\x15])*")
_ASKED = re.compile(rb"([@#])([ -~]{3,})")
_INSIDE = re.compile(rb"[ -~\x05\x06\x15]*\x03?")
_TRIGGERS = {b"SCNTRG1": True, b"SCNTRG0": False}


def command(text: bytes, storage: bytes = UNTIL_OFF) -> bytes:
    """`text` is tag, sub-tag and data, such as `SCNTRG1`."""
    return COMMAND_HEAD + storage + text + END


TRIGGER_ON = command(b"SCNTRG1")
TRIGGER_OFF = command(b"SCNTRG0")


def decoder(rules: Rules) -> LineDecoder[Said]:
    return LineDecoder(rules, read_line, look)


def look(held: bytes, at: int) -> Whole[Said] | NotHere | Unfinished:
    head = held[at : at + len(ANSWER_HEAD)]
    if not (ANSWER_HEAD.startswith(head) or COMMAND_HEAD.startswith(head)):
        return NO_START
    if len(head) < len(ANSWER_HEAD):
        return MORE
    begin = at + len(head)
    end = held.find(END, begin, at + MOST_BYTES)
    if end < 0:
        inside = _INSIDE.match(held, begin)
        whole = inside is not None and inside.end() == len(held)
        return MORE if whole and len(held) - at < MOST_BYTES else NotHere("no ;ETX behind the head")
    body = held[begin:end]
    message = _answer(body) if head == ANSWER_HEAD else _command(body)
    if message is None:
        return NotHere("what stands between the head and ;ETX is neither a command nor an answer")
    return Whole(end + len(END) - at, message)


def _answer(body: bytes) -> Said | None:
    found = _ANSWERED.fullmatch(body)
    if found is None:
        return None
    states = re.findall(rb"[\x05\x06\x15]", body)
    bad = [state for state in states if state != b"\x06"]
    said = _STATES[bad[0] if bad else b"\x06"]
    on = _TRIGGERS.get(found[2])
    text = re.sub(rb"[\x05\x06\x15]", b"", body[1:]).decode("ascii")
    return Answer(good=not bad, on=on, text=f"{text}: {said}", other=on is None)


def _command(body: bytes) -> Said | None:
    found = _ASKED.fullmatch(body)
    return None if found is None else Command(_TRIGGERS.get(found[2]), found[2].decode("ascii"))
