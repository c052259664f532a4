"""How `kakou frames` shows scanner lines, whatever their ending. Names only, no judgement."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from edge.devices.framing import Cutter, Look
from edge.devices.readings import ReadGarbled, ReadTruncated
from edge.devices.scanner_line import wire
from edge.devices.scanner_line.driver import NO_READ

Shown = list[dict[str, object] | ReadGarbled | ReadTruncated]


def rules_for(no_read: tuple[str, ...], ending: wire.Ending = wire.Ending.ANY) -> wire.Rules:
    return wire.Rules(ending, wire.Aim.ALLOWED, no_read, 65536)


RULES = rules_for(NO_READ)


def decode(data: bytes) -> Shown:
    lines = wire.decoder(RULES)
    return [show(message) for message in lines.feed(data) + lines.quiet()]


def decode_said(
    data: bytes, lines: wire.LineDecoder[wire.Said], look: Look[wire.Said] | None = None
) -> Shown:
    """`look` finds the scanner's own frames: searched for behind noise where nothing else is found."""
    found = [show(message) for message in lines.feed(data) + lines.quiet()]
    if look is None or any(isinstance(each, dict) for each in found):
        return found
    cutter: Cutter[wire.Said] = Cutter(look)
    again = [show(message) for message in cutter.feed(data) + cutter.quiet()]
    return again if any(isinstance(each, dict) for each in again) else found


def decoding(
    make: Callable[[wire.Rules], wire.LineDecoder[wire.Said]],
    no_read: tuple[str, ...],
    look: Look[wire.Said],
) -> Callable[[bytes], Shown]:
    rules = rules_for(no_read)
    return lambda data: decode_said(data, make(rules), look)


def show(message: wire.Said | ReadTruncated) -> dict[str, object] | ReadGarbled | ReadTruncated:
    match message:
        case wire.Code(text, aim):
            return {"type": "code", "text": text, "aim": aim}
        case wire.NoRead(word):
            return {"type": "no_read", "text": word, "aim": ""}
        case wire.Answer(good, on, text):
            return {"type": "answer", "done": good, "trigger": _ON[on], "text": text, "aim": ""}
        case wire.Command(on, text):
            kind = "command" if on is None else "trigger"
            return {"type": kind, "trigger": _ON[on], "text": text, "aim": ""}
        case wire.Fault(code, detail):
            return {"type": "fault", "code": code, "text": detail, "aim": ""}
        case ReadGarbled() | ReadTruncated():
            return message
        case _:
            assert_never(message)


_ON: dict[bool | None, str | None] = {True: "on", False: "off", None: None}
