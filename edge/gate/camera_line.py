"""What a lane and the process of one of its cameras say to one another: bytes <-> messages.

Two little-endian lengths, a JSON header, and what belongs to it (a JPEG). Both ends are of one version and
one machine; the lengths are bounded all the same, since one end is what may go mad (G11).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import IO, Final

import msgspec

from edge.devices.fixed_camera.camera import CameraHealth, Limits
from edge.devices.fixed_camera.source import Address, FileAddress, LocalAddress, StreamAddress
from edge.gate.effects import TakePicture
from edge.gate.pictures_config import PicturesPart
from edge.runtime.log import Level
from edge.runtime.supervisor import BackOff

_LENGTHS: Final = struct.Struct("<II")
MOST_HEADER_BYTES: Final = 65_536
MOST_PICTURE_BYTES: Final = 32_000_000


class LineBroken(Exception):
    """What came is no message of ours."""


class Begin(msgspec.Struct, frozen=True, kw_only=True, tag="begin"):
    """The first message down: which camera, and how its pictures are made. The password stands in it: it is
    no argument of a command line, which anybody can read."""

    name: str
    stream: StreamAddress | None = None
    local: LocalAddress | None = None
    file: str | None = None
    limits: Limits
    settings: PicturesPart
    back_off: BackOff
    lane_id: str
    log_level: Level = "info"

    def address(self) -> Address:
        if self.stream is not None:
            return self.stream
        if self.local is not None:
            return self.local
        if self.file is not None:
            return FileAddress(Path(self.file))
        raise LineBroken("no address")


class Shoot(msgspec.Struct, frozen=True, tag="shoot"):
    """A picture of this moment, please."""

    number: int
    request: TakePicture
    utc: str


class Seen(msgspec.Struct, frozen=True, tag="seen"):
    """Twice a second: how the camera is. `wrong`: empty, what is wrong with it, or None: not known yet."""

    health: CameraHealth
    wrong: str | None


class Shown(msgspec.Struct, frozen=True, tag="shown"):
    """The answer to `Shoot`, with the JPEG; or `why` there is none."""

    number: int
    why: str = ""


Down = Begin | Shoot
Up = Seen | Shown

_ENCODER = msgspec.json.Encoder()
_DOWN = msgspec.json.Decoder(Down)
_UP = msgspec.json.Decoder(Up)


def write(line: IO[bytes], message: Down | Up, data: bytes = b"") -> None:
    """Raises `OSError`, or `ValueError` where the line is closed."""
    header = _ENCODER.encode(message)
    line.write(_LENGTHS.pack(len(header), len(data)) + header + data)
    line.flush()


def read_down(line: IO[bytes]) -> Down | None:
    """None at the end. Raises `LineBroken`."""
    read = _read(line, 0)
    try:
        return None if read is None else _DOWN.decode(read[0])
    except msgspec.MsgspecError as error:
        raise LineBroken(str(error)) from error


def read_up(line: IO[bytes]) -> tuple[Up, bytes] | None:
    """None at the end. Raises `LineBroken`."""
    read = _read(line, MOST_PICTURE_BYTES)
    try:
        return None if read is None else (_UP.decode(read[0]), read[1])
    except msgspec.MsgspecError as error:
        raise LineBroken(str(error)) from error


def _read(line: IO[bytes], most_bytes: int) -> tuple[bytes, bytes] | None:
    lengths = line.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return None
    header_bytes, data_bytes = _LENGTHS.unpack(lengths)
    if not 0 < header_bytes <= MOST_HEADER_BYTES or data_bytes > most_bytes:
        raise LineBroken(f"lengths {header_bytes} and {data_bytes}")
    whole = line.read(header_bytes + data_bytes)
    if len(whole) < header_bytes + data_bytes:
        return None
    return whole[:header_bytes], whole[header_bytes:]
