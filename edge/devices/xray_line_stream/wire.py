"""Bytes of the X-ray line stream <-> messages. No array, port, clock or retry, and no byte to send (X1).

Frame, little-endian: `KXLS | version | kind | flags | number | size | CRC-32 | body | CRC-32 of the body`.
The header has a check of its own, so a spoilt size is found at once and never waited for; a frame whose body
fails is set aside while frames inside what it claimed to cover still count.

Source: docs/devices/xray_line_stream.md.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from typing import Final, assert_never

from edge.devices.readings import AcquisitionStatus, ReadGarbled, ReadTruncated

MAGIC: Final = b"KXLS"
VERSION: Final = 1
HELLO, LINES, STATE = 1, 2, 3

OBJECT, BEGIN, END, SOURCE_ON, EMPTY, DARK, CORRECTED = 1, 2, 4, 8, 16, 32, 64
_KNOWN_FLAGS: Final = 0x7F

MOST_PIXELS: Final = 4096
MOST_LINES: Final = 64
COUNTS: Final = 1 << 32
"""Encoder and numbers wrap here."""

STATUSES: Final[tuple[AcquisitionStatus, ...]] = (
    "SUCCESSFUL", "JAM", "OVERSIZE", "SLIP", "INCOMPLETE", "CUT", "MERGED", "STITCHED",
)  # fmt: skip

_HEAD: Final = struct.Struct("<4sBBHIII")
_HELLO: Final = struct.Struct("<QQHHBBHII16s16s")
_LINES: Final = struct.Struct("<QQIIIHHB3s")
_STATE: Final = struct.Struct("<QIHHHHI")
_CRC_BYTES: Final = 4
_MOST_BODY: Final = _LINES.size + 4 * MOST_LINES * MOST_PIXELS

NOISE_BYTES: Final = 1 << 20
"""Noise is reported at latest after so many bytes."""
_SHOWN_BYTES: Final = 64
_MOST_TRIES: Final = 8
"""Headers within one spoilt frame that are believed: whoever nests more of them only wants our time."""


@dataclass(frozen=True, slots=True)
class Hello:
    """First of every connection. `number` is that of the frame that follows."""

    number: int
    start: int
    """Drawn anew whenever the machine starts."""
    time_us: int
    pixels: int
    most_lines: int
    bits: int
    by_encoder: bool
    pixel_um: int
    count_nm: int
    serial: str
    firmware: str


@dataclass(frozen=True, slots=True)
class Lines:
    """`low` and `high`: `lines` times `pixels` values of two bytes, line after line."""

    number: int
    flags: int
    first_us: int
    last_us: int
    first_count: int
    last_count: int
    picture: int
    lines: int
    pixels: int
    status: int
    low: bytes = field(repr=False)
    high: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class State:
    number: int
    time_us: int
    count: int
    states: int
    fault_code: int
    decivolts_k: int
    """Tube voltage in 0.1 kV."""
    microamperes: int

    @property
    def source_on(self) -> bool:
        return bool(self.states & 0x01)

    @property
    def belt_running(self) -> bool:
        return bool(self.states & 0x02)

    @property
    def belt_forward(self) -> bool:
        return bool(self.states & 0x04)

    @property
    def jam(self) -> bool:
        return bool(self.states & 0x08)

    @property
    def emergency_stop(self) -> bool:
        return bool(self.states & 0x10)

    @property
    def interlock_open(self) -> bool:
        return bool(self.states & 0x20)

    @property
    def warming_up(self) -> bool:
        return bool(self.states & 0x40)

    @property
    def fault(self) -> bool:
        return bool(self.states & 0x80)


Message = Hello | Lines | State


def encode(message: Message) -> bytes:
    """For the golden frames: the product never sends one."""
    match message:
        case Hello():
            body = _HELLO.pack(
                message.start, message.time_us, message.pixels, message.most_lines, message.bits,
                int(message.by_encoder), 0, message.pixel_um, message.count_nm,
                message.serial.encode("ascii"), message.firmware.encode("ascii"),
            )  # fmt: skip
            kind, flags = HELLO, 0
        case Lines():
            body = _LINES.pack(
                message.first_us, message.last_us, message.first_count, message.last_count, message.picture,
                message.lines, message.pixels, message.status, b"",
            )  # fmt: skip
            body += message.low + message.high
            kind, flags = LINES, message.flags
        case State():
            body = _STATE.pack(
                message.time_us, message.count, message.states, message.fault_code, message.decivolts_k,
                message.microamperes, 0,
            )  # fmt: skip
            kind, flags = STATE, 0
        case _:
            assert_never(message)
    head = MAGIC + struct.pack("<BBHII", VERSION, kind, flags, message.number, len(body))
    return head + _crc(head) + body + _crc(body)


def _crc(data: bytes | memoryview) -> bytes:
    return zlib.crc32(data).to_bytes(_CRC_BYTES, "little")


class Decoder:
    """Feed it whatever the port gave, in any slices; it answers with messages and with what was none.

    What it holds is bounded by the longest frame.
    """

    def __init__(self) -> None:
        self._held = bytearray()
        self._noise_bytes = 0
        self._noise = bytearray()
        self._why = ""
        self._taken_bytes = 0
        """Decided since the stream began: the place of `_held`'s first byte."""
        self._spoilt_until = 0
        """Place where the spoilt frame that is being searched ends."""
        self._tries = 0

    @property
    def holding(self) -> bool:
        """Something is half-read, or noise waits to be reported: ask `quiet` when the line goes quiet."""
        return bool(self._held or self._noise_bytes)

    def clear(self) -> None:
        """Forget everything held: the port was opened again."""
        self._held.clear()
        self._no_noise()

    def feed(self, data: bytes) -> list[Message | ReadGarbled | ReadTruncated]:
        out: list[Message | ReadGarbled | ReadTruncated] = []
        self._held += data
        self._take(self._cut(0, out, whole_only=False))
        return out

    def quiet(self) -> list[Message | ReadGarbled | ReadTruncated]:
        """The line went quiet: what is half-read will never be finished. Frames behind it still count."""
        out: list[Message | ReadGarbled | ReadTruncated] = []
        held = self._held
        at = self._cut(0, out, whole_only=True)
        self._set_aside(bytes(held[at:]), "", out)
        self._report_noise(out)
        self._take(len(held))
        return out

    def _take(self, size: int) -> None:
        del self._held[:size]
        self._taken_bytes += size

    def _cut(self, at: int, out: list[Message | ReadGarbled | ReadTruncated], *, whole_only: bool) -> int:
        """Takes everything that is decided; returns where the undecided begins. `whole_only`: nothing more
        will come, so what is unfinished is cut off and what stands behind it is looked at."""
        held = self._held
        while at < len(held):
            start = held.find(MAGIC, at)
            if start < 0:
                start = len(held) if whole_only else len(held) - _prefix_at_end(held, at)
            self._set_aside(bytes(held[at:start]), "no frame starts here", out)
            at = start
            if len(held) - at < _HEAD.size:
                if not whole_only or at == len(held):
                    return at
                self._report_noise(out)
                out.append(ReadTruncated(bytes(held[at:])))
                return len(held)
            wrong, size = _head_wrong(held, at)
            if wrong:
                at = self._step_over(at, wrong, out)
                continue
            length = _HEAD.size + size + _CRC_BYTES
            if len(held) - at < length:
                if not whole_only:
                    return at
                self._report_noise(out)
                out.append(ReadTruncated(bytes(held[at : at + _SHOWN_BYTES])))
                at = _behind(held, at)
                continue
            view = bytes(held[at : at + length])
            body = view[_HEAD.size : -_CRC_BYTES]
            if _crc(body) != view[-_CRC_BYTES:]:
                at = self._search(at, length, out)
                continue
            self._report_noise(out)
            message = _message(view, body)
            out.append(message if not isinstance(message, str) else ReadGarbled(view[:_SHOWN_BYTES], message))
            at += length
        return at

    def _search(self, at: int, length: int, out: list[Message | ReadGarbled | ReadTruncated]) -> int:
        """The frame here is spoilt; if it lost bytes, another may begin within it."""
        place = self._taken_bytes + at
        if place >= self._spoilt_until:
            self._spoilt_until, self._tries = place + length, 0
        self._tries += 1
        number = int.from_bytes(self._held[at + 8 : at + 12], "little")
        why = f"frame {number}: the check of its body is wrong"
        if self._tries <= _MOST_TRIES:
            return self._step_over(at, why, out)
        end = self._spoilt_until - self._taken_bytes
        self._set_aside(bytes(self._held[at:end]), why, out)
        return end

    def _step_over(self, at: int, why: str, out: list[Message | ReadGarbled | ReadTruncated]) -> int:
        """The beginning that stands here begins nothing."""
        self._set_aside(MAGIC, why, out)
        return at + len(MAGIC)

    def _set_aside(self, data: bytes, why: str, out: list[Message | ReadGarbled | ReadTruncated]) -> None:
        if data and not self._why:
            self._why = why
        while data:
            some = data[: NOISE_BYTES - self._noise_bytes]
            data = data[len(some) :]
            self._noise += some[: _SHOWN_BYTES - len(self._noise)]
            self._noise_bytes += len(some)
            if self._noise_bytes == NOISE_BYTES:
                self._report_noise(out)

    def _report_noise(self, out: list[Message | ReadGarbled | ReadTruncated]) -> None:
        if self._noise_bytes:
            why = self._why or "no frame starts here"
            out.append(ReadGarbled(bytes(self._noise), f"{why}; {self._noise_bytes} bytes set aside"))
        self._no_noise()

    def _no_noise(self) -> None:
        self._noise.clear()
        self._noise_bytes = 0
        self._why = ""


def _prefix_at_end(held: bytearray, at: int) -> int:
    """How many bytes at the end can still become the beginning of a frame."""
    for size in range(min(len(MAGIC) - 1, len(held) - at), 0, -1):
        if held.endswith(MAGIC[:size]):
            return size
    return 0


def _head_wrong(held: bytearray, at: int) -> tuple[str, int]:
    """(why this is no header; empty where it is one, size of its body)."""
    _, version, kind, flags, _, size, check = _HEAD.unpack_from(held, at)
    if zlib.crc32(held[at : at + _HEAD.size - _CRC_BYTES]) != check:
        return "the check of a header is wrong", 0
    if version != VERSION:
        return f"version {version}, {VERSION} expected", 0
    if kind == LINES:
        if not _LINES.size < size <= _MOST_BODY or (size - _LINES.size) % 4:
            return f"lines of {size} bytes: {_LINES.size} and 4 for each value, at most {_MOST_BODY}", 0
        return "", size
    expected = {HELLO: _HELLO.size, STATE: _STATE.size}.get(kind)
    if expected is None:
        return f"kind {kind}, 1 to 3 expected", 0
    if size != expected:
        return f"kind {kind} of {size} bytes, {expected} expected", 0
    return ("", size) if not flags else (f"kind {kind} with flags {flags:04X}", 0)


def _behind(held: bytearray, at: int) -> int:
    """Where the next whole frame stands behind a cut one; the end where there is none."""
    place = at
    for _ in range(_MOST_TRIES):
        place = held.find(MAGIC, place + 1)
        if place < 0:
            break
        if _frame_at(held, place):
            return place
    return len(held)


def _frame_at(held: bytearray, at: int) -> bool:
    """A whole frame stands here."""
    if len(held) - at < _HEAD.size:
        return False
    wrong, size = _head_wrong(held, at)
    end = at + _HEAD.size + size
    if wrong or len(held) < end + _CRC_BYTES:
        return False
    return _crc(bytes(held[at + _HEAD.size : end])) == held[end : end + _CRC_BYTES]


def _message(view: bytes, body: bytes) -> Message | str:
    """A frame whose checks are right; a text where the content contradicts itself."""
    _, _, kind, flags, number, _, _ = _HEAD.unpack_from(view)
    if kind == HELLO:
        return _hello(number, body)
    if kind == STATE:
        time_us, count, states, fault, decivolts_k, microamperes, rest = _STATE.unpack(body)
        if states > 0xFF or rest:
            return f"frame {number}: states {states:04X}, reserved {rest:08X}"
        return State(number, time_us, count, states, fault, decivolts_k, microamperes)
    return _lines(number, flags, body)


def _hello(number: int, body: bytes) -> Hello | str:
    start, time_us, pixels, lines, bits, by, rest, pixel_um, count_nm, serial, firmware = _HELLO.unpack(body)
    bounds = (
        ("pixels", pixels, 1, MOST_PIXELS),
        ("lines a frame", lines, 1, MOST_LINES),
        ("bits", bits, 12, 16),
        ("what starts a line", by, 0, 1),
        ("reserved", rest, 0, 0),
        ("pixel distance in um", pixel_um, 50, 10_000),
        ("nm a count", count_nm, 1_000, 100_000_000),
    )
    for name, value, least, most in bounds:
        if not least <= value <= most:
            return f"hello: {name} {value}, {least} to {most} expected"
    texts = [raw.rstrip(b"\0") for raw in (serial, firmware)]
    if not all(byte in range(0x20, 0x7F) for text in texts for byte in text):
        return "hello: serial number or firmware is not ASCII"
    serial_text, firmware_text = (text.decode("ascii") for text in texts)
    return Hello(
        number, start, time_us, pixels, lines, bits, by == 1, pixel_um, count_nm, serial_text, firmware_text
    )  # fmt: skip


def _lines(number: int, flags: int, body: bytes) -> Lines | str:
    first_us, last_us, first, last, picture, lines, pixels, status, rest = _LINES.unpack_from(body)
    values = body[_LINES.size :]
    wrong = (
        (not 1 <= lines <= MOST_LINES or not 1 <= pixels <= MOST_PIXELS, f"{lines} lines of {pixels} pixels"),
        (len(values) != 4 * lines * pixels, f"{len(values)} bytes for {lines} lines of {pixels} pixels"),
        (bool(flags & ~_KNOWN_FLAGS), f"flags {flags:04X}"),
        ((flags & (OBJECT | EMPTY | DARK)).bit_count() > 1, f"flags {flags:04X} exclude each other"),
        (bool(flags & (BEGIN | END)) and not flags & OBJECT, f"flags {flags:04X} begin or end no object"),
        (bool(flags & EMPTY) and not flags & SOURCE_ON, "an empty belt without the source"),
        (bool(flags & DARK) and bool(flags & SOURCE_ON), "dark with the source on"),
        (bool(flags & OBJECT) != (picture > 0), f"picture {picture} with flags {flags:04X}"),
        (status >= len(STATUSES) or (status > 0 and not flags & END), f"acquisition status {status}"),
        (rest != b"\0\0\0", "reserved bytes are not 0"),
        (last_us < first_us, "the last line began before the first"),
    )
    for is_wrong, why in wrong:
        if is_wrong:
            return f"frame {number}: {why}"
    half = len(values) // 2
    return Lines(
        number, flags, first_us, last_us, first, last, picture, lines, pixels, status,
        values[:half], values[half:],
    )  # fmt: skip
