"""Bytes of a GM65 family module (GM65, GM810, GM861, NLS-EM3095) on a serial line <-> messages. No port, no
clock.

A command is `7E 00`, type (07 read, 08 write, 09 save, 0A heartbeat), length of the data, address (2), data,
CRC-CCITT (poly 1021, init 0) over type to data; `AB CD` in its place is not checked. Writing 01 to address
0002 begins a read, writing 00 ends it. The answer is `02 00`, type (00 done), length, data, the same CRC over
type to data: `02 00 00 01 00 33 31`; a heartbeat's begins with `03 00`. Texts are lines as in
`scanner_line.wire`, ended by CR, LF, CR LF, TAB or nothing as the module is set; the module's other form,
texts with their length in front (address 0060), is not read here.

What the frames are worth: answers carry CRC-16, texts nothing. An answer whose check fails is taken for the
beginning of a line, and that line is garbled: where a text begins behind it cannot be told. Our own commands
carry their CRC, so that a spoilt one does not write another setting.

Source: GM65 and GM861 module manuals (frames, zone bits, endings); the CRCs of their printed frames.
"""

from __future__ import annotations

from edge.devices.framing import MORE, NO_START, NotHere, Unfinished, Whole
from edge.devices.scanner_line.wire import Answer, Command, LineDecoder, Rules, Said, read_line

READ, WRITE, SAVE, HEARTBEAT = 0x07, 0x08, 0x09, 0x0A
UNCHECKED = b"\xab\xcd"
TRIGGER_ADDRESS = 0x0002

_COMMAND_HEAD = b"\x7e\x00"
_ANSWER_HEADS = (b"\x02\x00", b"\x03\x00")
_NAMES = {READ: "read", WRITE: "write", SAVE: "save", HEARTBEAT: "heartbeat"}


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
        table.append(crc)
    return tuple(table)


_CRC = _crc_table()


def crc(data: bytes) -> bytes:
    """CRC-CCITT, polynomial 1021, init 0, high byte first."""
    value = 0
    for byte in data:
        value = (value << 8 ^ _CRC[value >> 8 ^ byte]) & 0xFFFF
    return value.to_bytes(2)


def command(kind: int, address: int, data: bytes, *, checked: bool = True) -> bytes:
    body = bytes([kind, len(data)]) + address.to_bytes(2) + data
    return _COMMAND_HEAD + body + (crc(body) if checked else UNCHECKED)


def trigger(*, on: bool, checked: bool = True) -> bytes:
    return command(WRITE, TRIGGER_ADDRESS, bytes([on]), checked=checked)


def decoder(rules: Rules) -> LineDecoder[Said]:
    return LineDecoder(rules, read_line, look)


def look(held: bytes, at: int) -> Whole[Said] | NotHere | Unfinished:
    head = held[at : at + 4]
    if _COMMAND_HEAD.startswith(head[:2]):
        kind, overhead = head[2:3], 8
    elif any(each.startswith(head[:2]) for each in _ANSWER_HEADS):
        kind, overhead = b"", 6
    else:
        return NO_START
    if kind and kind[0] not in _NAMES:
        return NotHere(f"type {kind.hex()} is no command")
    if len(head) < 4:
        return MORE
    length = overhead + head[3]
    frame = held[at : at + length]
    if len(frame) < length:
        return MORE
    check = crc(frame[2:-2])
    unchecked = bool(kind) and frame[-2:] == UNCHECKED
    if frame[-2:] != check and not unchecked:
        return NotHere(f"check is {frame[-2:].hex(' ')}, computed {check.hex(' ')}")
    return Whole(length, _command(frame) if kind else _answer(frame))


def _command(frame: bytes) -> Command:
    kind, address, data = frame[2], int.from_bytes(frame[4:6]), frame[6:-2]
    on = bool(data[0]) if (kind, address) == (WRITE, TRIGGER_ADDRESS) and data in (b"\0", b"\1") else None
    return Command(on, f"{_NAMES[kind]} {address:04X} {data.hex(' ').upper()}".strip())


def _answer(frame: bytes) -> Answer:
    """Only the plain "done" answers a trigger: what was read or a heartbeat is another command's."""
    state, data = frame[2], frame[4:-2]
    heartbeat = frame[0] == 3
    if state:
        return Answer(good=False, on=None, text=f"error {state:02X}", other=heartbeat)
    text = "alive" if heartbeat else "done" if data == b"\0" else data.hex(" ").upper()
    return Answer(good=True, on=None, text=text, other=heartbeat or data != b"\0")
