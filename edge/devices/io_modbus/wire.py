"""Bytes of Modbus RTU and TCP <-> messages, for the functions an I/O board needs. No port, clock or retry.

RTU: `unit | function | data | CRC16 low, high` (poly A001, init FFFF). RTU has no start byte and no length:
what an answer's length is follows from the function and from what was asked, so answers are cut from the
stream by `answers_to`, which knows the one outstanding request. Functions 01, 02 (bits), 03, 04
(registers), 05, 06 (write one), 0F (write coils), exceptions (function + 80). Serial servers carry the same
bytes over TCP. Modbus TCP proper: `transaction | 0000 | length | unit | function | data`, no CRC; the answer
repeats the transaction.

Waveshare relay boards: FC05 at 0200 + channel closes the relay for value * 100 ms, ended by the board (0400
+ channel opens it); value 5500 toggles and is never sent by us. R421A08 and its kin: FC06, register = channel
counted from 1, value 0100 closes, 0200 opens, 0500 closes for one second, 06ss for ss seconds, both ended by
the board; 0300 toggles and 0400 opens all others, neither is ever sent by us. Of the same family an RYN408F
was measured: while its 06ss runs, 0200 is taken and does nothing; 0600 ends it. Each relay has its own time.

What the check is worth: CRC-16 finds every change within 16 adjacent bits and all but 1 in 65,536 of the
others, lost and added bytes included. Modbus TCP leans on TCP's own check, and an answer on its transaction.
Either way an answer counts only if it also fits the request.

Source: Modbus application protocol V1.1b3, Modbus over serial line V1.02, Modbus messaging on TCP/IP V1.0b;
Waveshare Modbus RTU Relay wiki; Erriez R421A08 package and its board's product pages; measurements of an
RYN408F in the ESP32-RYN4 package.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from edge.devices.framing import MORE, NO_START, Look, NotHere, Unfinished, Whole
from edge.devices.readings import ReadGarbled

READ_COILS, READ_INPUTS, READ_HOLDING, READ_INPUT_REGISTERS = 1, 2, 3, 4
WRITE_COIL, WRITE_REGISTER, WRITE_COILS = 5, 6, 15
EXCEPTION_BIT = 0x80

ON, OFF = 0xFF00, 0x0000
FLASH_ON, FLASH_OFF = 0x0200, 0x0400
FLASH_UNIT_S = 0.1
FLASH_MOST = 0x7FFF

R421_CLOSE, R421_OPEN, R421_ONE_SECOND, R421_SECONDS = 0x0100, 0x0200, 0x0500, 0x0600
R421_MOST_SECONDS = 30
"""The board could count to 255. What may not be ended before its time has to be short."""

RelayStyle = Literal["waveshare", "r421a08"]
Framing = Literal["rtu", "tcp"]

EXCEPTIONS = {
    1: "illegal_function", 2: "illegal_address", 3: "illegal_value", 4: "device_failure", 5: "acknowledge",
    6: "busy", 8: "memory_parity", 10: "gateway_path", 11: "gateway_no_answer",
}  # fmt: skip
BUSY = 6


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """Functions 01 to 04."""

    unit_id: int
    function: int
    address: int
    count: int


@dataclass(frozen=True, slots=True)
class BitsReply:
    """Functions 01 and 02: `values` is a multiple of eight, bits beyond the asked count are fill."""

    unit_id: int
    function: int
    values: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class RegistersReply:
    unit_id: int
    function: int
    values: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class WriteOne:
    """Functions 05 and 06. The answer is the same bytes again."""

    unit_id: int
    function: int
    address: int
    value: int


@dataclass(frozen=True, slots=True)
class WriteCoils:
    unit_id: int
    address: int
    values: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class WriteCoilsReply:
    unit_id: int
    address: int
    count: int


@dataclass(frozen=True, slots=True)
class ExceptionReply:
    unit_id: int
    function: int
    """The function asked, without the exception bit."""
    code: int

    @property
    def name(self) -> str:
        return EXCEPTIONS.get(self.code, f"exception_{self.code}")


Request = ReadRequest | WriteOne | WriteCoils
Reply = BitsReply | RegistersReply | WriteOne | WriteCoilsReply | ExceptionReply
Message = Request | Reply


def _crc_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_CRC = _crc_table()


def crc16(data: bytes) -> int:
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    return crc


def sealed(body: bytes) -> bytes:
    """Body with its CRC, low byte first."""
    return body + crc16(body).to_bytes(2, "little")


def flash_units(duration_s: float) -> int:
    """A pulse's length in the board's 100 ms units, never shorter than one. May exceed `FLASH_MOST`."""
    return max(1, round(duration_s / FLASH_UNIT_S))


def longest_pulse_s(style: RelayStyle) -> float:
    """What a board is trusted to time by itself; a longer one is refused."""
    return FLASH_MOST * FLASH_UNIT_S if style == "waveshare" else float(R421_MOST_SECONDS)


def pulse(style: RelayStyle, unit_id: int, channel: int, duration_s: float) -> WriteOne:
    """Close for a time the board ends by itself. `channel` counts from 0; `duration_s` is above 0 and at most
    `longest_pulse_s`. R421A08 knows whole seconds only: it never closes for less than was asked."""
    if style == "waveshare":
        return WriteOne(unit_id, WRITE_COIL, FLASH_ON + channel, flash_units(duration_s))
    seconds = math.ceil(duration_s)
    value = R421_ONE_SECOND if seconds == 1 else R421_SECONDS + seconds
    return WriteOne(unit_id, WRITE_REGISTER, channel + 1, value)


def switch(style: RelayStyle, unit_id: int, channel: int, *, on: bool) -> WriteOne:
    """`channel` counts from 0."""
    if style == "waveshare":
        return WriteOne(unit_id, WRITE_COIL, channel, ON if on else OFF)
    return WriteOne(unit_id, WRITE_REGISTER, channel + 1, R421_CLOSE if on else R421_OPEN)


def end_of_pulse(style: RelayStyle, unit_id: int, channel: int) -> WriteOne | None:
    """What ends a running pulse besides the order to open, where that one may do nothing."""
    return WriteOne(unit_id, WRITE_REGISTER, channel + 1, R421_SECONDS) if style == "r421a08" else None


def relay_states(style: RelayStyle, unit_id: int, relays: int) -> ReadRequest:
    """Asks a relay board something it can answer, to know that it is there."""
    if style == "waveshare":
        return ReadRequest(unit_id, READ_COILS, 0, relays)
    return ReadRequest(unit_id, READ_HOLDING, 1, 1)


def encode(message: Message) -> bytes:
    """The frame of Modbus RTU."""
    return sealed(body_of(message))


def body_of(message: Message) -> bytes:
    """Unit, function and data."""
    match message:
        case ReadRequest(unit, function, address, count):
            body = bytes([unit, function]) + _words(address, count)
        case WriteOne(unit, function, address, value):
            body = bytes([unit, function]) + _words(address, value)
        case WriteCoils(unit, address, values):
            packed = _packed(values)
            body = bytes([unit, WRITE_COILS]) + _words(address, len(values)) + bytes([len(packed)]) + packed
        case BitsReply(unit, function, values):
            packed = _packed(values)
            body = bytes([unit, function, len(packed)]) + packed
        case RegistersReply(unit, function, registers):
            body = bytes([unit, function, 2 * len(registers)]) + _words(*registers)
        case WriteCoilsReply(unit, address, count):
            body = bytes([unit, WRITE_COILS]) + _words(address, count)
        case ExceptionReply(unit, function, code):
            body = bytes([unit, function | EXCEPTION_BIT, code])
    return body


def _words(*words: int) -> bytes:
    return b"".join(word.to_bytes(2) for word in words)


def _packed(values: tuple[bool, ...]) -> bytes:
    bits = sum(1 << place for place, value in enumerate(values) if value)
    return bits.to_bytes((len(values) + 7) // 8, "little")


def _bits(packed: bytes) -> tuple[bool, ...]:
    return tuple(bool(byte >> place & 1) for byte in packed for place in range(8))


def _word(data: bytes, at: int) -> int:
    return data[at] << 8 | data[at + 1]


# --- answers, for a master that knows what it asked ---


def answers_to(request: Request) -> Look[Reply]:
    """Cuts the answers of exactly this request out of a stream; everything else is no frame."""

    def look(held: bytes, at: int) -> Whole[Reply] | NotHere | Unfinished:
        asked = WRITE_COILS if isinstance(request, WriteCoils) else request.function
        if held[at] != request.unit_id:
            return NotHere(f"unit {held[at]}, asked was {request.unit_id}")
        if len(held) - at < 2:
            return MORE
        function = held[at + 1]
        if function == asked | EXCEPTION_BIT:
            length = 5
        elif function != asked:
            return NotHere(f"function {function:02X}, asked was {asked:02X}")
        else:
            length, head = _answer_shape(request)
            given = held[at + 2 : at + 2 + len(head)]
            if given != head[: len(given)]:
                return NotHere(f"begins with {given.hex(' ')}, an answer begins with {head.hex(' ')}")
        adu = held[at : at + length]
        if len(adu) < length:
            return MORE
        if sealed(adu[:-2]) != adu:
            return NotHere(f"check is {adu[-2:].hex(' ')}, computed {sealed(adu[:-2])[-2:].hex(' ')}")
        if function != asked:
            return Whole(length, ExceptionReply(adu[0], asked, adu[2]))
        return Whole(length, _reply(request, adu))

    return look


def tcp_answers_to(request: Request, transaction: int) -> Look[Reply]:
    """As `answers_to`, for Modbus TCP: an answer to any other transaction is no frame."""
    begin = transaction.to_bytes(2) + b"\0\0"

    def look(held: bytes, at: int) -> Whole[Reply] | NotHere | Unfinished:
        head = held[at : at + 8]
        if head[:4] != begin[: len(head)]:
            return NotHere(f"not an answer to transaction {transaction:04X}")
        if len(head) < 8:
            return MORE
        unit, function, size = head[6], head[7], _word(head, 4)
        asked = WRITE_COILS if isinstance(request, WriteCoils) else request.function
        if unit != request.unit_id:
            return NotHere(f"unit {unit}, asked was {request.unit_id}")
        if function == asked | EXCEPTION_BIT:
            length, start = 5, b""
        elif function == asked:
            length, start = _answer_shape(request)
        else:
            return NotHere(f"function {function:02X}, asked was {asked:02X}")
        # the shape counts unit to CRC
        if size != length - 2:
            return NotHere(f"{size} bytes announced, an answer has {length - 2}")
        body = held[at + 6 : at + 6 + size]
        if body[2 : 2 + len(start)] != start[: len(body) - 2]:
            return NotHere(f"begins with {body[2:4].hex(' ')}, an answer begins with {start.hex(' ')}")
        if len(body) < size:
            return MORE
        if function != asked:
            return Whole(6 + size, ExceptionReply(unit, asked, body[2]))
        return Whole(6 + size, _reply(request, sealed(body)))

    return look


def look_for_nothing(held: bytes, at: int) -> Whole[Reply] | NotHere | Unfinished:
    """While nothing is asked, no byte is an answer."""
    return NO_START


def _answer_shape(request: Request) -> tuple[int, bytes]:
    """(length of the whole answer, the bytes that must follow unit and function)."""
    match request:
        case ReadRequest(_, function, _, count):
            size = (count + 7) // 8 if function in (READ_COILS, READ_INPUTS) else 2 * count
            return 5 + size, bytes([size])
        case WriteOne(_, _, address, value):
            return 8, _words(address, value)
        case WriteCoils(_, address, values):
            return 8, _words(address, len(values))


def _reply(request: Request, adu: bytes) -> Reply:
    match request:
        case ReadRequest(unit, function, _, _) if function in (READ_COILS, READ_INPUTS):
            return BitsReply(unit, function, _bits(adu[3:-2]))
        case ReadRequest(unit, function, _, _):
            return RegistersReply(unit, function, tuple(_word(adu, at) for at in range(3, len(adu) - 2, 2)))
        case WriteOne():
            return request
        case WriteCoils(unit, address, values):
            return WriteCoilsReply(unit, address, len(values))


# --- single frames, for looking at a line ---


def look_any(held: bytes, at: int) -> Whole[Message | ReadGarbled] | NotHere | Unfinished:
    """Any request or answer, the shortest that fits: a whole frame and two zero bytes have a right CRC too.

    Where a frame can be read both ways (a read's request, an answer of three bytes) the request is taken if
    its address and count are possible. A frame whose CRC is right and whose content contradicts itself is
    refused whole.
    """
    if len(held) - at < 2:
        return MORE
    contradiction: Whole[Message | ReadGarbled] | None = None
    why = f"function {held[at + 1]:02X} is not one this codec reads"
    for length in _possible_lengths(held[at : at + 7]):
        adu = held[at : at + length]
        if len(adu) < length:
            return MORE
        computed = sealed(adu[:-2])
        if computed != adu:
            why = f"check is {adu[-2:].hex(' ')}, computed {computed[-2:].hex(' ')}"
            continue
        message = _meaning(adu)
        if not isinstance(message, str):
            return Whole(length, message)
        contradiction = contradiction or Whole(length, ReadGarbled(adu, message))
    return contradiction or NotHere(why)


def _possible_lengths(head: bytes) -> tuple[int, ...]:
    """Lengths a frame that starts so may have, shortest first; too long where not enough is known yet."""
    function = head[1]
    if function & EXCEPTION_BIT and function != EXCEPTION_BIT:
        return (5,)
    if function in (READ_COILS, READ_INPUTS, READ_HOLDING, READ_INPUT_REGISTERS):
        return tuple(sorted({8, 5 + head[2]})) if len(head) > 2 else (8,)
    if function in (WRITE_COIL, WRITE_REGISTER):
        return (8,)
    if function == WRITE_COILS:
        return (8, 9 + head[6]) if len(head) > 6 else (8,)
    return ()


def _meaning(adu: bytes) -> Message | str:
    """A frame whose CRC is right; a text where the content contradicts itself."""
    unit, function, length = adu[0], adu[1], len(adu)
    if function & EXCEPTION_BIT:
        return ExceptionReply(unit, function ^ EXCEPTION_BIT, adu[2])
    if function in (READ_COILS, READ_INPUTS, READ_HOLDING, READ_INPUT_REGISTERS):
        bits = function in (READ_COILS, READ_INPUTS)
        if length == 8:
            address, count = _word(adu, 2), _word(adu, 4)
            if 1 <= count <= (2000 if bits else 125) and address + count <= 0x10000:
                return ReadRequest(unit, function, address, count)
        if length != 5 + adu[2] or not adu[2] or (not bits and adu[2] % 2):
            return "neither a possible request nor an answer whose byte count fits"
        if bits:
            return BitsReply(unit, function, _bits(adu[3:-2]))
        return RegistersReply(unit, function, tuple(_word(adu, at) for at in range(3, length - 2, 2)))
    if function in (WRITE_COIL, WRITE_REGISTER):
        return WriteOne(unit, function, _word(adu, 2), _word(adu, 4))
    address, count = _word(adu, 2), _word(adu, 4)
    if not 1 <= count <= 1968:
        return f"{count} coils: 1 to 1968 expected"
    if length == 8:
        return WriteCoilsReply(unit, address, count)
    if adu[6] != (count + 7) // 8:
        return (
            f"function 0F with {count} coils and {adu[6]} bytes: not Modbus; "
            "this is how the vendor lever board's pulse (channel, time) looks, which is not supported"
        )
    return WriteCoils(unit, address, _bits(adu[7:-2])[:count])


@dataclass(frozen=True, slots=True)
class TcpFrame:
    transaction: int
    message: Message


def encode_tcp(message: Message, transaction: int) -> bytes:
    """The frame of Modbus TCP."""
    body = body_of(message)
    return transaction.to_bytes(2) + b"\0\0" + len(body).to_bytes(2) + body


def look_any_tcp(held: bytes, at: int) -> Whole[TcpFrame] | NotHere | Unfinished:
    """Any request or answer of Modbus TCP. It has no check: only whole frames whose lengths, function and
    content agree count."""
    head = held[at : at + 8]
    if head[2:4] != b"\0\0"[: len(head[2:4])]:
        return NO_START
    if len(head) < 8:
        return MORE
    size = _word(head, 4)
    adu_sizes = _possible_lengths(held[at + 6 : at + 13])
    possible = [length - 2 for length in adu_sizes]
    if size not in possible:
        known = len(held) - at >= 13 or not adu_sizes
        return NotHere("the length fits no function this codec reads") if known or size < 3 else MORE
    body = held[at + 6 : at + 6 + size]
    if len(body) < size:
        return MORE
    message = _meaning(sealed(body))
    if isinstance(message, str):
        return NotHere(message)
    return Whole(6 + size, TcpFrame(_word(head, 0), message))
