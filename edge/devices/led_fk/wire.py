"""Bytes of the 00 64 FF FF LED and voice board <-> messages. No port, no clock, no layout of rows.

Frame: `00 | 64 | FF FF | cmd | DL | data | CRC16 (Modbus) low, high`; DL is one byte, the data's length.
Command 62, one row of text until something else is shown: `row | in-mode (00 at once, 01 left, 02 right, 03
up, 04 down, 15 continuous) | in-speed 1-32 | stay 00 | stay seconds | out-mode | out-speed | font 03 |
times (0 for ever) | text RGBA | background RGBA | length LE16 | text`. Command 30, voice: `option (00
queue, 01 queue and play, 02 clear, queue and play) | text`. Text is GB2312; a character outside it is shown
as `?`. Command 67, text that outlasts a power cut, is read where its data has the shape of 62; 68 plays a
file, its data is not taken apart here.

What the check is worth: CRC-16, as Modbus. The boards' answers are not documented in public: none is
expected, and what comes is only looked at to be reported.

Source: captured frames in four public car-park programs.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.devices.framing import MORE, NO_START, Cutter, NotHere, Unfinished, Whole
from edge.devices.io_modbus.wire import crc16
from edge.devices.readings import ReadGarbled

HEAD = b"\x00\x64\xff\xff"
SHOW_ROW, SHOW_ROW_FOR_GOOD, VOICE = 0x62, 0x67, 0x30
_ROW_HEAD_BYTES = 19
MOST_TEXT_BYTES = 255 - _ROW_HEAD_BYTES
MOST_VOICE_BYTES = 254

AT_ONCE, CONTINUOUS = 0x00, 0x15


@dataclass(frozen=True, slots=True)
class Row:
    row: int
    text: str
    rgba: bytes
    background: bytes = b"\0\0\0\0"
    in_mode: int = AT_ONCE
    in_speed: int = 1
    stay_s: int = 2
    out_mode: int = CONTINUOUS
    out_speed: int = 1
    font: int = 3
    times: int = 0
    stay_mode: int = 0
    for_good: bool = False
    """Command 67: still there after a power cut."""


@dataclass(frozen=True, slots=True)
class Voice:
    option: int
    text: str


@dataclass(frozen=True, slots=True)
class Command:
    """A frame whose data this codec does not take apart."""

    cmd: int
    data: bytes


Message = Row | Voice | Command


def gb2312(text: str, most_bytes: int) -> bytes:
    """Shortened at a character, never inside one. Outside GB2312 and control characters become `?`."""
    out = b""
    for character in text:
        # a voice module may take control bytes for its own commands
        shown = character.encode("gb2312", "replace") if character.isprintable() else b"?"
        if len(out) + len(shown) > most_bytes:
            break
        out += shown
    return out


def encode(message: Message) -> bytes:
    match message:
        case Row():
            text = gb2312(message.text, MOST_TEXT_BYTES)
            data = bytes(
                [message.row, message.in_mode, message.in_speed, message.stay_mode, message.stay_s,
                 message.out_mode, message.out_speed, message.font, message.times]
            )  # fmt: skip
            data += message.rgba + message.background + len(text).to_bytes(2, "little") + text
            return _sealed(SHOW_ROW_FOR_GOOD if message.for_good else SHOW_ROW, data)
        case Voice(option, text_said):
            return _sealed(VOICE, bytes([option]) + gb2312(text_said, MOST_VOICE_BYTES))
        case Command(cmd, data):
            return _sealed(cmd, data)


def _sealed(cmd: int, data: bytes) -> bytes:
    body = HEAD + bytes([cmd, len(data)]) + data
    return body + crc16(body).to_bytes(2, "little")


def look(held: bytes, at: int) -> Whole[Message | ReadGarbled] | NotHere | Unfinished:
    head = held[at : at + 6]
    if head[:4] != HEAD[: len(head[:4])]:
        return NO_START
    if len(head) < 6:
        return MORE
    length = 6 + head[5] + 2
    frame = held[at : at + length]
    if len(frame) < length:
        return MORE
    computed = crc16(frame[:-2]).to_bytes(2, "little")
    if frame[-2:] != computed:
        return NotHere(f"check is {frame[-2:].hex(' ')}, computed {computed.hex(' ')}")
    return Whole(length, _message(frame))


def decoder() -> Cutter[Message | ReadGarbled]:
    return Cutter(look, start=HEAD[0])


def _message(frame: bytes) -> Message | ReadGarbled:
    cmd, data = frame[4], frame[6:-2]
    try:
        if cmd == VOICE and data:
            return Voice(data[0], data[1:].decode("gb2312"))
        if cmd in (SHOW_ROW, SHOW_ROW_FOR_GOOD):
            row = _row(frame, data)
            return row if isinstance(row, Row) or cmd == SHOW_ROW else Command(cmd, data)
    except UnicodeDecodeError:
        return ReadGarbled(frame, "the text is not GB2312")
    return Command(cmd, data)


def _row(frame: bytes, data: bytes) -> Row | ReadGarbled:
    if len(data) < _ROW_HEAD_BYTES:
        return ReadGarbled(frame, f"{len(data)} bytes of data: a row has at least {_ROW_HEAD_BYTES}")
    size = int.from_bytes(data[17:19], "little")
    if size != len(data) - _ROW_HEAD_BYTES:
        return ReadGarbled(frame, f"text of {size} bytes announced, {len(data) - _ROW_HEAD_BYTES} sent")
    row, in_mode, in_speed, stay_mode, stay_s, out_mode, out_speed, font, times = data[:9]
    return Row(
        row, data[19:].decode("gb2312"), data[9:13], data[13:17],
        in_mode, in_speed, stay_s, out_mode, out_speed, font, times, stay_mode, frame[4] == SHOW_ROW_FOR_GOOD,
    )  # fmt: skip
