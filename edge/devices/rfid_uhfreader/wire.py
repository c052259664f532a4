"""Bytes of UHFReader18 and UHFReader288 tag readers (Chafon and others) <-> messages. No port, no polling.

Frame: `len | addr | cmd | [status] | data | CRC low, high`; len counts the bytes after itself; CRC-16
polynomial 8408 reflected, start FFFF, over everything before it. An answer has a status, a request has none.
Inventory (01) is answered by frames of status 03 and a last one of 01 (all told), 02 (scan time over) or 04
(memory full): the 18 sends `number | (length | EPC)*`, the 288 `antennas | number | (length | EPC | RSSI)*`,
antennas being one bit each, the lowest antenna 1. No tag at all is one of these with number 0, or a bare
status FB. A reader set to scan by itself sends EE: the 18 the EPC alone, the 288
`antennas | length | EPC | RSSI` and, with status 28, heartbeats.

What the check is worth: every change within 16 neighbouring bits is found; longer garbage, or a byte lost or
added, passes once in 65,536, and then address, command, status and the lengths of the EPCs must fit as well.
There is no start byte: a frame may begin at any byte whose address and command a reader of this kind has.

Source: UHFReader18 user's manual V2.0 and its twin ZK-RFID102 V2.0 (p. 9, 14, 35-37), UHFReader288MP user's
manual v1.14 (p. 44-54, 72), tests of wabson/chafon-rfid 05b55f35 (captured frames, request of the 288).
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from edge.devices.framing import MORE, Cutter, NotHere, Unfinished, Whole
from edge.devices.readings import ReadGarbled

EVERYBODY = 0xFF

INVENTORY = 0x01
SINGLE_INVENTORY = 0x0F
EPC_INVENTORY = 0x1A
QT_INVENTORY = 0x1B
INFORMATION = 0x21
REPORT = 0xEE

COMMANDS = {
    0x01: "inventory", 0x02: "read_tag", 0x03: "write_tag", 0x04: "write_epc", 0x05: "kill_tag",
    0x06: "lock_tag", 0x07: "erase_block", 0x08: "read_protect_epc", 0x09: "read_protect",
    0x0A: "unlock_read_protect", 0x0B: "check_read_protect", 0x0C: "eas", 0x0D: "eas_alarm",
    0x0E: "lock_user_block", 0x0F: "single_inventory", 0x10: "write_blocks", 0x15: "read_extended",
    0x16: "write_extended", 0x18: "buffered_inventory", 0x19: "mixed_inventory", 0x1A: "epc_inventory",
    0x1B: "qt_inventory", 0x21: "information", 0x22: "set_frequency", 0x24: "set_address",
    0x25: "set_scan_time", 0x28: "set_baud", 0x2F: "set_power", 0x33: "set_signals", 0x34: "set_wiegand",
    0x35: "set_work_mode", 0x36: "get_work_mode", 0x3F: "set_antennas", 0x40: "set_beeper",
    0x46: "set_outputs", 0x47: "get_inputs", 0x4C: "serial_number", 0x66: "check_antennas",
    0x76: "set_real_time_mode", 0x77: "get_real_time_mode", 0x78: "set_heartbeat", 0xEE: "report",
}  # fmt: skip

SUCCESS, ALL_TOLD, SCAN_TIME_OVER, MORE_FRAMES, MEMORY_FULL = 0x00, 0x01, 0x02, 0x03, 0x04
STATISTICS, HEARTBEAT = 0x26, 0x28
ANTENNA_MISSING, NO_TAG = 0xF8, 0xFB
STATUSES = {
    0x00: "success", 0x01: "all_told", 0x02: "scan_time_over", 0x03: "more_frames", 0x04: "memory_full",
    0x05: "access_password", 0x09: "kill_password", 0x0A: "kill_password_zero", 0x0B: "not_supported_by_tag",
    0x0C: "access_password_zero", 0x0D: "already_protected", 0x0E: "not_protected", 0x10: "locked_bytes",
    0x11: "lock_failed", 0x12: "already_locked", 0x13: "save_failed", 0x14: "cannot_adjust",
    0x26: "statistics", 0x28: "heartbeat", 0xEE: "eas_alarm", 0xF8: "antenna_missing", 0xF9: "execute_failed",
    0xFA: "poor_communication", 0xFB: "no_tag", 0xFC: "tag_error", 0xFD: "length", 0xFE: "illegal_command",
    0xFF: "parameter",
}  # fmt: skip

_INVENTORIES = (INVENTORY, SINGLE_INVENTORY, EPC_INVENTORY, QT_INVENTORY)
_TOLD = (ALL_TOLD, SCAN_TIME_OVER, MORE_FRAMES, MEMORY_FULL)
_REQUEST_BYTES = 9
"""Data of the 288's request: Q, session, mask (memory, address 2, length), target, antenna, time."""
LONGEST_EPC = 62


class Make(enum.Enum):
    UHFREADER18 = "18"
    UHFREADER288 = "288"


@dataclass(frozen=True, slots=True)
class Tag:
    epc: str
    """Upper-case hex."""
    rssi_raw: int | None
    """As the 288 sends it; the 18 sends none."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """One frame of the answer to an inventory."""

    addr: int
    cmd: int
    status: int
    antennas: int | None
    """One bit an antenna, the lowest antenna 1; None where the make does not say."""
    tags: tuple[Tag, ...]

    @property
    def is_last(self) -> bool:
        return self.status != MORE_FRAMES


@dataclass(frozen=True, slots=True)
class Report:
    """A tag told unasked by a reader that scans by itself."""

    addr: int
    antennas: int | None
    tag: Tag


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """No tag for a while, says a 288 that scans by itself."""

    addr: int
    number: int
    total: int


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a 288 adds behind an inventory where it was asked to."""

    addr: int
    cmd: int
    antennas: int
    read_rate: int
    total: int


@dataclass(frozen=True, slots=True)
class Information:
    addr: int
    version: str
    kind: int
    """09 UHFReader18, 0C UHFReader288."""
    power_dbm: int
    scan_ms: int


@dataclass(frozen=True, slots=True)
class Answer:
    """Any other answer: its status says how the command went."""

    addr: int
    cmd: int
    status: int
    data: bytes

    @property
    def name(self) -> str:
        return STATUSES.get(self.status, f"status_{self.status:02x}")


@dataclass(frozen=True, slots=True)
class Command:
    """A request: it carries no status."""

    addr: int
    cmd: int
    data: bytes


Message = Inventory | Report | Heartbeat | Statistics | Information | Answer | Command


def antenna_of(antennas: int | None) -> int | None:
    """The antenna's number from 1; None where none or several are named."""
    if antennas is None or antennas.bit_count() != 1:
        return None
    return antennas.bit_length()


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x8408 if crc & 1 else crc >> 1
        table.append(crc)
    return tuple(table)


_CRC = _crc_table()


def crc16(data: bytes) -> bytes:
    """CRC-16, polynomial 8408 reflected, start FFFF; low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    return crc.to_bytes(2, "little")


def encode(addr: int, cmd: int, data: bytes = b"") -> bytes:
    """A request; with the status in front of `data`, an answer."""
    body = bytes([len(data) + 4, addr, cmd]) + data
    return body + crc16(body)


def inventory_288(addr: int, *, q_value: int, session: int, antenna: int, scan_ms: int) -> bytes:
    """Ask a 288 for the tags at one antenna, counted from 1, for at most `scan_ms`."""
    mask_of_nothing = bytes([1, 0, 0, 0])
    target_a = 0
    ends = bytes([target_a, 0x80 | antenna - 1, scan_ms // 100])
    return encode(addr, INVENTORY, bytes([q_value, session]) + mask_of_nothing + ends)


Look = Callable[[bytes, int], Whole[Message | ReadGarbled] | NotHere | Unfinished]


def look_for(make: Make, addr: int = EVERYBODY) -> Look:
    """Frames of one reader; of any reader where `addr` is everybody's."""

    def look(held: bytes, at: int) -> Whole[Message | ReadGarbled] | NotHere | Unfinished:
        length = held[at]
        if length < 4:
            return NotHere(f"length {length}: at least 4 expected")
        if len(held) - at < 2:
            return MORE
        if EVERYBODY not in (addr, held[at + 1]) and held[at + 1] != addr:
            return NotHere(f"address {held[at + 1]}: reader {addr} expected")
        if len(held) - at < 3:
            return MORE
        if held[at + 2] not in COMMANDS:
            return NotHere(f"no command {held[at + 2]:02X}")
        frame = held[at : at + 1 + length]
        if len(frame) < 1 + length:
            return MORE
        if crc16(frame[:-2]) != frame[-2:]:
            return NotHere(f"CRC is {frame[-2:].hex()}, computed {crc16(frame[:-2]).hex()}")
        return Whole(len(frame), _message(make, frame))

    return look


def decoder(make: Make, addr: int = EVERYBODY) -> Cutter[Message | ReadGarbled]:
    return Cutter(look_for(make, addr))


def _message(make: Make, frame: bytes) -> Message | ReadGarbled:
    addr, cmd = frame[1], frame[2]
    if len(frame) == 5:
        return Command(addr, cmd, b"")
    status, data = frame[3], frame[4:-2]
    if cmd in _INVENTORIES and status in _TOLD:
        return _inventory(make, frame) if data else Inventory(addr, cmd, status, None, ())
    if cmd in _INVENTORIES and status == STATISTICS and len(data) == 7 and make is Make.UHFREADER288:
        return Statistics(addr, cmd, data[0], int.from_bytes(data[1:3]), int.from_bytes(data[3:]))
    if cmd == REPORT and status == SUCCESS:
        return _report(make, frame)
    if cmd == REPORT and status == HEARTBEAT and len(data) == 16 and make is Make.UHFREADER288:
        return Heartbeat(addr, int.from_bytes(data[:4]), int.from_bytes(data[12:]))
    if cmd == INFORMATION and status == SUCCESS and len(data) >= 8:
        return Information(addr, f"{data[0]}.{data[1]}", data[2], data[6], data[7] * 100)
    if status not in STATUSES or (cmd == INVENTORY and len(data) == _REQUEST_BYTES - 1):
        return Command(addr, cmd, frame[3:-2])
    return Answer(addr, cmd, status, data)


def _inventory(make: Make, frame: bytes) -> Message | ReadGarbled:
    addr, cmd, status, data = frame[1], frame[2], frame[3], frame[4:-2]
    antennas, rest = (None, data) if make is Make.UHFREADER18 else (data[0], data[1:])
    tags = _tags(rest[1:], rssi_bytes=0 if antennas is None else 1) if rest else None
    if tags is not None and len(tags) == rest[0]:
        return Inventory(addr, cmd, status, antennas, tags)
    if make is Make.UHFREADER288 and len(data) == _REQUEST_BYTES - 1 and data[-2] & 0xF8 == 0x80:
        # a request whose Q value equals a status
        return Command(addr, cmd, frame[3:-2])
    return ReadGarbled(frame, "the lengths of the EPCs do not add up to the frame's")


def _tags(data: bytes, *, rssi_bytes: int) -> tuple[Tag, ...] | None:
    """`(length | EPC | RSSI)*`; None where lengths contradict each other."""
    tags = []
    at = 0
    while at < len(data):
        end = at + 1 + data[at]
        epc = data[at + 1 : end]
        if end + rssi_bytes > len(data) or not _can_be_epc(epc):
            return None
        tags.append(Tag(epc.hex().upper(), data[end] if rssi_bytes else None))
        at = end + rssi_bytes
    return tuple(tags)


def _report(make: Make, frame: bytes) -> Message | ReadGarbled:
    addr, data = frame[1], frame[4:-2]
    if make is Make.UHFREADER18:
        if _can_be_epc(data):
            return Report(addr, None, Tag(data.hex().upper(), None))
        return ReadGarbled(frame, f"{len(data)} bytes are no EPC")
    tags = _tags(data[1:], rssi_bytes=1)
    if tags is None or len(tags) != 1:
        return ReadGarbled(frame, "the EPC's length does not fit the frame's")
    return Report(addr, data[0], tags[0])


def _can_be_epc(epc: bytes) -> bool:
    return 2 <= len(epc) <= LONGEST_EPC and len(epc) % 2 == 0
