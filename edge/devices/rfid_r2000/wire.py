"""Bytes of an Impinj-R2000-style UHF reader <-> messages. No port, no clock, no polling.

Frame: `A0 | len | addr | cmd | data | chk`; len counts the bytes after itself; chk makes the sum of the
whole frame 0 mod 256. 115200 8N1; address FF is everybody. Requests and answers share the frame, so the
meaning of `data` follows from command and length. Real-time inventory (89, 8B; 8A with its own end frame):
tag `freqAnt (bits 0-1 antenna, 2-7 frequency) | PC 2 | EPC | RSSI`, where PC >> 11 is the EPC's length in
words and bit 7 of RSSI says antennas 5 to 8; end `antenna | reads per second 2 | total 4`; one byte alone
is an error.

What the check is worth: one changed byte is always found, also in the length; swapped bytes are not (a sum),
and a byte lost or added passes once in 256, which the session makes up for. A frame whose PC contradicts its
EPC is garbled. Frames are looked for from the byte after a spoilt start, so a spoilt frame whose EPC itself
spells a whole valid frame would yield that inner frame.

Source: command and error lists of IND903 protocol V2.2 and xinxinyun/wms com/reader/base; captured frames
of the IND903 guide; RSSI - 129 = dBm in five independent public drivers.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.devices.framing import MORE, NO_START, Cutter, NotHere, Unfinished, Whole
from edge.devices.readings import ReadGarbled

HEAD = 0xA0
EVERYBODY = 0xFF

RESET = 0x70
FIRMWARE = 0x72
SET_ANTENNA = 0x74
INVENTORY = 0x89
FAST_INVENTORY = 0x8A
SESSION_INVENTORY = 0x8B

COMMANDS = {
    0x60: "read_gpio", 0x61: "write_gpio", 0x70: "reset", 0x71: "set_baud", 0x72: "firmware",
    0x73: "set_address", 0x74: "set_antenna", 0x75: "get_antenna", 0x76: "set_power", 0x77: "get_power",
    0x78: "set_frequency", 0x79: "get_frequency", 0x7A: "set_beeper", 0x7B: "temperature",
    0x80: "buffered_inventory", 0x81: "read_tag", 0x82: "write_tag", 0x83: "lock_tag", 0x84: "kill_tag",
    0x85: "set_match", 0x86: "get_match", 0x89: "real_time_inventory", 0x8A: "fast_switch_inventory",
    0x8B: "session_inventory", 0x90: "get_buffer", 0x91: "get_and_reset_buffer", 0x92: "buffer_count",
    0x93: "reset_buffer", 0x97: "get_power_8",
}  # fmt: skip

SUCCESS = 0x10
ANTENNA_MISSING = 0x22
CODES = {
    0x10: "success", 0x11: "fail", 0x20: "mcu_reset", 0x21: "carrier_on", 0x22: "antenna_missing",
    0x23: "flash_write", 0x24: "flash_read", 0x25: "output_power", 0x31: "tag_inventory", 0x32: "tag_read",
    0x33: "tag_write", 0x34: "tag_lock", 0x35: "tag_kill", 0x36: "no_tag", 0x37: "tag_selected_but_failed",
    0x38: "buffer_empty", 0x40: "access_or_password", 0x41: "parameter", 0x42: "word_count",
    0x43: "memory_bank", 0x44: "lock_region", 0x45: "lock_action", 0x46: "reader_address", 0x47: "antenna_id",
    0x48: "output_power_range", 0x49: "frequency_region", 0x4A: "baud_rate", 0x4B: "beeper_mode",
    0x4C: "epc_match_length", 0x4D: "epc_match", 0x4E: "epc_match_mode", 0x4F: "frequency_range",
    0x50: "rn16_timeout", 0x51: "drm_mode", 0x52: "pll_lock", 0x53: "rf_chip", 0x54: "power_level",
    0x55: "copyright", 0x56: "spectrum", 0x57: "output_level",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tag:
    addr: int
    cmd: int
    antenna: int
    """From 0."""
    freq_index: int
    pc: int
    epc: str
    """Upper-case hex."""
    rssi_raw: int

    @property
    def rssi_dbm(self) -> int:
        return (self.rssi_raw & 0x7F) - 129


@dataclass(frozen=True, slots=True)
class InventoryEnd:
    addr: int
    cmd: int
    antenna: int | None
    read_rate: int | None
    total: int
    duration_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The reader's one-byte answer to any command: success or an error code."""

    addr: int
    cmd: int
    code: int
    antenna: int | None = None

    @property
    def name(self) -> str:
        return CODES.get(self.code, f"code_{self.code:02x}")


@dataclass(frozen=True, slots=True)
class Firmware:
    addr: int
    major: int
    minor: int


@dataclass(frozen=True, slots=True)
class Command:
    """A request, or an answer whose data this codec does not take apart."""

    addr: int
    cmd: int
    data: bytes


Message = Tag | InventoryEnd | Outcome | Firmware | Command


def encode(addr: int, cmd: int, data: bytes = b"") -> bytes:
    body = bytes([HEAD, len(data) + 3, addr, cmd]) + data
    return body + bytes([-sum(body) & 0xFF])


def look(held: bytes, at: int) -> Whole[Message | ReadGarbled] | NotHere | Unfinished:
    if held[at] != HEAD:
        return NO_START
    if len(held) - at < 2:
        return MORE
    length = held[at + 1]
    if length < 3:
        return NotHere(f"length {length}: at least 3 expected")
    frame = held[at : at + 2 + length]
    if len(frame) < 2 + length:
        return MORE
    if sum(frame) & 0xFF:
        return NotHere(f"check is {frame[-1]:02X}, computed {-sum(frame[:-1]) & 0xFF:02X}")
    return Whole(len(frame), _message(frame))


def decoder() -> Cutter[Message | ReadGarbled]:
    return Cutter(look, start=HEAD)


def _message(frame: bytes) -> Message | ReadGarbled:
    addr, cmd, data = frame[2], frame[3], frame[4:-1]
    inventory = cmd in (INVENTORY, FAST_INVENTORY, SESSION_INVENTORY)
    if len(data) == 1 and data[0] in CODES:
        return Outcome(addr, cmd, data[0])
    if cmd == FAST_INVENTORY and len(data) == 2 and data[1] in CODES:
        return Outcome(addr, cmd, data[1], antenna=data[0])
    if cmd == FIRMWARE and len(data) == 2:
        return Firmware(addr, data[0], data[1])
    if cmd == FAST_INVENTORY and len(data) == 7:
        total, duration_ms = int.from_bytes(data[:3]), int.from_bytes(data[3:])
        return InventoryEnd(addr, cmd, None, None, total, duration_ms)
    if inventory and len(data) == 7:
        return InventoryEnd(addr, cmd, data[0], int.from_bytes(data[1:3]), int.from_bytes(data[3:]))
    if inventory and cmd != FAST_INVENTORY and len(data) >= 4:
        return _tag(frame, addr, cmd, data)
    if cmd == FAST_INVENTORY and len(data) >= 6 and (data[1] << 8 | data[2]) >> 11 == (len(data) - 4) / 2:
        return _tag(frame, addr, cmd, data)
    return Command(addr, cmd, data)


def _tag(frame: bytes, addr: int, cmd: int, data: bytes) -> Tag | ReadGarbled:
    pc = data[1] << 8 | data[2]
    epc, rssi = data[3:-1], data[-1]
    if len(epc) != (pc >> 11) * 2:
        return ReadGarbled(frame, f"PC {pc:04X} says {(pc >> 11) * 2} bytes of EPC, the frame has {len(epc)}")
    if not epc:
        return ReadGarbled(frame, "a tag without EPC")
    antenna = (data[0] & 3) + (4 if rssi & 0x80 else 0)
    return Tag(addr, cmd, antenna, data[0] >> 2, pc, epc.hex().upper(), rssi)
