"""Bytes of the customs platform's lane front end <-> frames. No XML tree, no port, no clock, no answer to a
passage.

Frame: `E2 5C 4B 89 | total 4 | type 1 | AREA_ID 10 | CHNL_NO 10 | I or E | flag 4 | XML length 4 | XML |
FF FF`; total counts everything, both lengths are int32, little endian in the one source that shows bytes.
Types 21 gather, 22 release command, 23 supplement, 26 pictures, 31 device command and 32 its answer carry
XML. Type 26 goes on behind the XML, where there are pictures: total of their bytes 4, then each as place 1
(`0` front, `1` `2` front left and right, `3` back, `4` `5` back left and right, `6` vehicle), length 4, JPEG.
All other types known by number, heartbeats 71 and 72 among them, are passed on unread: what stands in them
is not public.

What the frame is worth: **it has no check, no authentication and no encryption.** Seen are a wrong magic,
type, letter, tail, number that is no number, and lengths that disagree with each other. A changed byte inside
the XML is not seen, also not the one that makes a 1 of a 0; nor who sent it. The same magic serves another
protocol, hence type and tail are looked at too. A frame is bounded, so that a spoilt length holds back no
more than that; when the sender goes on or falls silent the frames behind it are found again.

Source: trancemsgdef.h, CJZPlatformProxy.cpp and MSG_Center.cpp of a public vendor system (layout, types, byte
order, pictures); a second vendor's public Java (same fields and order). No captured frame is public.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from edge.devices.framing import MORE, NO_START, Cutter, Look, NotHere, Unfinished, Whole

MAGIC: Final = bytes.fromhex("E25C4B89")
TAIL: Final = b"\xff\xff"
PREAMBLE_BYTES: Final = 34
"""Up to the XML length."""
LEAST_BYTES: Final = PREAMBLE_BYTES + 4 + len(TAIL)
MOST_BYTES: Final = 16 << 20
"""No frame is longer, whatever a setting says: a dozen pictures of a megabyte."""

GATHER: Final = 0x21
RELEASE_COMMAND: Final = 0x22
SUPPLEMENT: Final = 0x23
PICTURES: Final = 0x26
DEVICE_COMMAND: Final = 0x31
DEVICE_ANSWER: Final = 0x32
CHANNEL_HEARTBEAT: Final = 0x71
MONITOR_HEARTBEAT: Final = 0x72

TYPES: Final = {
    0x11: "monitor_login", 0x12: "monitor_login_answer", 0x13: "monitor_logout", 0x14: "query_channels",
    0x15: "channels", 0x16: "subscribe", 0x17: "unsubscribe", 0x18: "dock_subscribe", 0x21: "gather",
    0x22: "release_command", 0x23: "supplement", 0x24: "gross_weight", 0x25: "call_picture",
    0x26: "pictures", 0x27: "send_picture", 0x28: "release_receipt", 0x31: "device_command",
    0x32: "device_answer", 0x33: "device_control", 0x34: "device_feedback", 0x35: "manual_handling",
    0x36: "manual_handling_answer", 0x41: "connection_status", 0x42: "device_status", 0x43: "exception",
    0x44: "reset", 0x45: "begin", 0x46: "pause", 0x51: "history_query", 0x52: "history", 0x53: "seal_key",
    0x54: "seal_key_answer", 0x56: "seal_download", 0x61: "register", 0x62: "register_answer",
    0x63: "unregister", 0x64: "manual_exception", 0x71: "channel_heartbeat", 0x72: "monitor_heartbeat",
    0x73: "dock_logout", 0xA0: "performance_0", 0xA1: "performance_1", 0xA2: "performance_2",
    0xA3: "performance_3", 0xA4: "performance_4", 0xA5: "performance_5", 0xA6: "performance_6",
    0xA7: "performance_7", 0xC1: "internal_1", 0xC2: "internal_2", 0xC3: "internal_3",
}  # fmt: skip
WITH_XML: Final = frozenset((GATHER, RELEASE_COMMAND, SUPPLEMENT, PICTURES, DEVICE_COMMAND, DEVICE_ANSWER))

NO_FLAG: Final = bytes(4)
"""Of gathers."""
USUAL_FLAG: Final = b"\xff" * 4
"""Of everything else; one source takes 1 in a gather for "a supplement follows"."""

PLACES: Final = "0123456"
ByteOrder = Literal["little", "big"]
_LETTERS_AND_DIGITS: Final = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


@dataclass(frozen=True, slots=True)
class Picture:
    place: str
    """One of `PLACES`."""
    jpeg: bytes


@dataclass(frozen=True, slots=True)
class Frame:
    kind: int
    """The message type, one of `TYPES`."""
    area_id: str
    channel_no: str
    direction: str
    """`I` or `E`"""
    flag: bytes
    body: bytes
    """The XML as it stands, a counted NUL at its end included; of a type that is passed on unread: everything
    between flag and tail."""
    pictures: tuple[Picture, ...] = ()


def encode(frame: Frame, order: ByteOrder = "little") -> bytes:
    """Raises `ValueError` where an identifier does not fit its place."""
    identity = (frame.area_id + frame.channel_no).encode("ascii")
    if not _is_identifier(frame.area_id) or not _is_identifier(frame.channel_no):
        raise ValueError("expected an area and a channel of 10 letters and digits each")
    if frame.direction not in ("I", "E") or len(frame.flag) != 4 or frame.kind not in TYPES:
        raise ValueError("expected I or E, 4 bytes of flag and a known type")
    content = frame.body
    if frame.kind in WITH_XML:
        content = len(frame.body).to_bytes(4, order) + frame.body + _pictures_out(frame.pictures, order)
    total = PREAMBLE_BYTES + len(content) + len(TAIL)
    head = MAGIC + total.to_bytes(4, order) + bytes([frame.kind]) + identity
    return head + frame.direction.encode("ascii") + frame.flag + content + TAIL


def look(most_bytes: int, order: ByteOrder = "little") -> Look[Frame]:
    """What stands at a byte, for a `Cutter`. Refuses a frame as early as its bytes show that it is none."""

    def at_byte(held: bytes, at: int) -> Whole[Frame] | NotHere | Unfinished:
        begun = held[at : at + len(MAGIC)]
        if begun != MAGIC:
            return MORE if len(begun) < len(MAGIC) and MAGIC.startswith(begun) else NO_START
        preamble = held[at : at + PREAMBLE_BYTES]
        problem = _preamble_problem(preamble, most_bytes, order)
        if problem:
            return NotHere(problem)
        if len(preamble) < PREAMBLE_BYTES:
            return MORE
        total = int.from_bytes(preamble[4:8], order)
        kind = preamble[8]
        if kind in WITH_XML and len(held) - at >= PREAMBLE_BYTES + 4:
            length = int.from_bytes(held[at + PREAMBLE_BYTES : at + PREAMBLE_BYTES + 4], order)
            room = total - LEAST_BYTES
            if length > room or (kind != PICTURES and length != room):
                return NotHere(f"XML of {length} bytes announced in a frame with room for {room}")
        if len(held) - at < total:
            return MORE
        frame = held[at : at + total]
        if not frame.endswith(TAIL):
            return NotHere(f"tail is {frame[-2:].hex().upper()}, expected FFFF")
        read = _frame(frame, kind, order)
        return Whole(total, read) if isinstance(read, Frame) else NotHere(read)

    return at_byte


def decoder(most_bytes: int, order: ByteOrder = "little") -> Cutter[Frame]:
    return Cutter(look(min(most_bytes, MOST_BYTES), order), start=MAGIC[0])


BARE_END: Final = b"</COMMAND_INFO>"


def bare_look(most_bytes: int) -> Look[bytes]:
    """For platforms that send their XML alone: from a `<` to `</COMMAND_INFO>`. It cannot tell a type."""

    def at_byte(held: bytes, at: int) -> Whole[bytes] | NotHere | Unfinished:
        if held[at : at + 1] != b"<":
            return NO_START
        begun = held[at : at + 5]
        known = (b"<?xml", b"<COMM")
        if begun not in known and not (len(begun) < 5 and any(each.startswith(begun) for each in known)):
            return NotHere("neither an XML declaration nor COMMAND_INFO")
        end = held.find(BARE_END, at, at + most_bytes)
        if end >= 0:
            length = end + len(BARE_END) - at
            return Whole(length, held[at : at + length])
        return NotHere(f"no end within {most_bytes} bytes") if len(held) - at >= most_bytes else MORE

    return at_byte


def bare_decoder(most_bytes: int) -> Cutter[bytes]:
    return Cutter(bare_look(min(most_bytes, MOST_BYTES)), start=ord("<"))


def _preamble_problem(preamble: bytes, most_bytes: int, order: ByteOrder) -> str:
    """Why these bytes, perhaps not all of a preamble, cannot begin a frame; empty where they can."""
    if len(preamble) >= 8:
        total = int.from_bytes(preamble[4:8], order)
        if not LEAST_BYTES <= total <= most_bytes:
            return f"length {total}: expected {LEAST_BYTES} to {most_bytes}"
    if len(preamble) >= 9 and preamble[8] not in TYPES:
        return f"type {preamble[8]:02X} is not known"
    if not _LETTERS_AND_DIGITS.issuperset(preamble[9:29]):
        return "area and channel: expected 10 letters and digits each"
    if preamble[29:30] not in (b"", b"I", b"E"):
        return f"direction is {preamble[29]:02X}, expected I or E"
    return ""


def _frame(frame: bytes, kind: int, order: ByteOrder) -> Frame | str:
    """The frame, or why it is none."""
    area_id, channel_no = frame[9:19].decode("ascii"), frame[19:29].decode("ascii")
    direction, flag = chr(frame[29]), frame[30:34]
    if kind not in WITH_XML:
        return Frame(kind, area_id, channel_no, direction, flag, frame[PREAMBLE_BYTES : -len(TAIL)])
    begin = PREAMBLE_BYTES + 4
    end = begin + int.from_bytes(frame[PREAMBLE_BYTES:begin], order)
    pictures = _pictures_in(frame[end : -len(TAIL)], order)
    if isinstance(pictures, str):
        return pictures
    return Frame(kind, area_id, channel_no, direction, flag, frame[begin:end], pictures)


def _pictures_in(data: bytes, order: ByteOrder) -> tuple[Picture, ...] | str:
    if not data:
        return ()
    announced = int.from_bytes(data[:4], order)
    pictures: list[Picture] = []
    at = 4
    while at < len(data):
        place, length = chr(data[at]), int.from_bytes(data[at + 1 : at + 5], order)
        jpeg = data[at + 5 : at + 5 + length]
        if place not in PLACES:
            return f"picture at {at}: place {data[at]:02X}, expected 0 to 6"
        if len(data) - at < 5 or not length or len(jpeg) < length:
            return f"picture at {at}: {length} bytes announced, {len(jpeg)} there"
        pictures.append(Picture(place, jpeg))
        at += 5 + length
    if len(data) < 4 or sum(len(picture.jpeg) for picture in pictures) != announced:
        return f"pictures of {announced} bytes announced, {len(data)} bytes there"
    return tuple(pictures)


def _pictures_out(pictures: Sequence[Picture], order: ByteOrder) -> bytes:
    if not pictures:
        return b""
    total = sum(len(picture.jpeg) for picture in pictures)
    each = (
        picture.place.encode("ascii") + len(picture.jpeg).to_bytes(4, order) + picture.jpeg
        for picture in pictures
    )
    return total.to_bytes(4, order) + b"".join(each)


def _is_identifier(text: str) -> bool:
    return len(text) == 10 and text.isascii() and text.isalnum()
