"""Bytes of the hot folder's files <-> sidecar and arrays: JSON, PNG, TIFF, raw. No file, folder or clock.

Whatever stands in a file is compared with `Most` before anything is made of it: dimensions, sizes, and how
far compressed data may unpack. A picture is decoded whole or not at all: `Unfinished` may still become one,
`Refused` never will.

Source: docs/devices/xray_folder.md; ISO/IEC 15948 (PNG), TIFF 6.0.
"""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, get_args

import numpy as np
from numpy.typing import NDArray

from edge.devices.fixed_camera.source import cv2
from edge.devices.readings import AcquisitionStatus

Grey = NDArray[np.uint16]
"""(rows, columns)"""

MOST_SIDECAR_BYTES: Final = 65_536
COUNTS: Final = 1 << 32
_STATUSES: Final[tuple[AcquisitionStatus, ...]] = get_args(AcquisitionStatus)
_UTC: Final = re.compile(
    r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?Z"
)
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Most:
    columns: int
    rows: int


class Unfinished(Exception):
    """Not whole, or not right, as it stands: more bytes, or other ones, may make it so. `code` as in
    `XrayPictureFailed`."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code
        self.why = why


class Refused(Exception):
    """Not a picture we read, whatever may still come. The text says what was expected."""


@dataclass(frozen=True, slots=True)
class Sidecar:
    columns: int
    rows: int
    encoder_first: int
    encoder_last: int
    mm_per_count: float
    mm_per_pixel: float
    mm_per_column: float
    begun: str
    ended: str
    air_low: int
    air_high: int
    status: AcquisitionStatus
    sha256: Mapping[str, str]
    """By file name."""
    kilovolts: float | None
    microamperes: int | None
    serial: str

    @property
    def counts(self) -> int:
        """From the first column to the last, forward; below zero where the belt ran back."""
        return (self.encoder_last - self.encoder_first + COUNTS // 2) % COUNTS - COUNTS // 2


# --- the sidecar ---


def read_sidecar(data: bytes, most: Most) -> Sidecar:
    """Raises `Unfinished` where it is cut or no JSON yet, `Refused` where it says what we do not read."""
    if len(data) > MOST_SIDECAR_BYTES:
        raise Refused(f"a sidecar of {len(data)} bytes: at most {MOST_SIDECAR_BYTES}")
    try:
        said = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        raise Unfinished("garbled", "the sidecar is no JSON") from None
    if not isinstance(said, dict):
        raise Refused("a sidecar that is no object")
    version = said.get("version")
    if version != 1 or isinstance(version, bool):
        raise Refused(f"sidecar: version {str(version)[:20]}, 1 expected")
    begun, ended = _time(said, "begun"), _time(said, "ended")
    status = said.get("status")
    if status not in _STATUSES:
        raise Refused(f"sidecar: status {str(status)[:40]!r}, one of {', '.join(_STATUSES)} expected")
    found = Sidecar(
        columns=_whole(said, "columns", 1, most.columns),
        rows=_whole(said, "rows", 1, most.rows),
        encoder_first=_whole(said, "encoder_first", 0, COUNTS - 1),
        encoder_last=_whole(said, "encoder_last", 0, COUNTS - 1),
        mm_per_count=_whole(said, "nanometres_per_count", 1_000, 100_000_000) / 1e6,
        mm_per_pixel=_number(said, "mm_per_pixel", 0.05, 10),
        mm_per_column=_number(said, "mm_per_column", 0.05, 10),
        begun=begun,
        ended=ended,
        air_low=_whole(said, "air_low", 1, 65_535),
        air_high=_whole(said, "air_high", 1, 65_535),
        status=status,
        sha256=_hashes(said.get("sha256")),
        kilovolts=_number(said, "kilovolts", 0, 1_000) if "kilovolts" in said else None,
        microamperes=_whole(said, "microamperes", 0, 1_000_000) if "microamperes" in said else None,
        serial=_serial(said.get("serial", "")),
    )
    _agrees(found)
    return found


def _agrees(sidecar: Sidecar) -> None:
    """A step that is a factor off is a unit that is wrong; a slip is not."""
    if sidecar.columns < 2 or sidecar.counts <= 0:
        return
    step_mm = sidecar.counts * sidecar.mm_per_count / (sidecar.columns - 1)
    if not 0.5 <= step_mm / sidecar.mm_per_column <= 2:
        by = f"{step_mm:.3g} mm by the encoder"
        raise Refused(f"sidecar: a column of {sidecar.mm_per_column:g} mm, and {by}")


def _whole(said: dict[str, Any], key: str, least: int, most: int) -> int:
    value = said.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise Refused(f"sidecar: {key} {str(value)[:20]}, a whole number from {least} to {most} expected")
    return value


def _number(said: dict[str, Any], key: str, least: float, most: float) -> float:
    value = said.get(key)
    # a whole number may be too large for a float: compared first
    if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= most:
        raise Refused(f"sidecar: {key} {str(value)[:20]}, a number from {least:g} to {most:g} expected")
    return float(value)


def _time(said: dict[str, Any], key: str) -> str:
    value = said.get(key)
    if not isinstance(value, str) or not _UTC.fullmatch(value):
        raise Refused(f"sidecar: {key} {str(value)[:40]!r}, UTC such as 2026-11-22T08:15:30.250Z expected")
    return value


def _hashes(value: object) -> dict[str, str]:
    if value is None:
        return {}
    good = isinstance(value, dict) and all(
        isinstance(text, str) and _SHA256.fullmatch(text) for text in value.values()
    )
    if not isinstance(value, dict) or not good or len(value) > 4:
        raise Refused("sidecar: sha256: at most 4 file names with 64 hex digits expected")
    return {str(name): str(text) for name, text in value.items()}


def _serial(value: object) -> str:
    if not isinstance(value, str) or len(value) > 40 or not value.isprintable():
        raise Refused("sidecar: serial: at most 40 printable characters expected")
    return value


# --- pictures ---


def check_size(rows: int, columns: int, most: Most) -> None:
    """Raises `Refused`."""
    if not (1 <= rows <= most.rows and 1 <= columns <= most.columns):
        raise Refused(f"{columns} columns of {rows} rows: at most {most.columns} of {most.rows}")


_PNG: Final = b"\x89PNG\r\n\x1a\n"
_MOST_CHUNKS: Final = 20_000


def read_png(data: bytes, most: Most) -> Grey:
    """Raises `Unfinished`, `Refused`. Only what makes the picture is handed to the library: no text, no
    profile, no colour table."""
    if data[: len(_PNG)] != _PNG[: len(data)]:
        raise Unfinished("garbled", "not a PNG")
    head, packed = _chunks(data)
    columns, rows, bits, colour, compression, filtering, interlace = struct.unpack(">IIBBBBB", head)
    check_size(rows, columns, most)
    if (bits, colour) != (16, 0):
        raise Refused(f"a PNG of {bits} bits, colour type {colour}: 16 bits grey expected")
    if (compression, filtering, interlace) != (0, 0, 0):
        raise Refused("an interlaced PNG, or one packed in an unknown way")
    size = rows * (1 + 2 * columns)
    if len(_unpacked(packed, size)) != size:
        raise Unfinished("cut_off", "the picture's data end before it does")
    plain = _PNG + _chunk(b"IHDR", head) + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")
    values = cv2().imdecode(np.frombuffer(plain, np.uint8), cv2().IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16 or values.shape != (rows, columns):
        raise Unfinished("garbled", "the library makes no picture of it")
    return np.asarray(values, dtype=np.uint16)


def _chunks(data: bytes) -> tuple[bytes, bytes]:
    """(IHDR, all IDAT). Every chunk's CRC is right, up to IEND."""
    at, head, packed = len(_PNG), b"", []
    for number in range(_MOST_CHUNKS):
        if len(data) - at < 12:
            raise Unfinished("cut_off", f"cut off after {len(data)} bytes")
        size, kind = struct.unpack_from(">I4s", data, at)
        if (number == 0) != (kind == b"IHDR") or (kind == b"IHDR" and size != 13):
            raise Refused("a PNG whose first chunk is no header")
        end = at + 8 + size
        if end + 4 > len(data):
            raise Unfinished("cut_off", f"cut off after {len(data)} bytes")
        if zlib.crc32(data[at + 4 : end]) != int.from_bytes(data[end : end + 4]):
            raise Unfinished("garbled", f"the check of a PNG's part at byte {at} is wrong")
        if kind == b"IHDR":
            head = data[at + 8 : end]
        elif kind == b"IDAT":
            packed.append(data[at + 8 : end])
        elif kind == b"IEND":
            return head, b"".join(packed)
        elif not kind[0] & 0x20:
            raise Refused(f"a PNG with {kind!r}, which a grey picture does not have")
        at = end + 4
    raise Refused(f"a PNG of more than {_MOST_CHUNKS} parts")


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _unpacked(packed: bytes, size: int) -> bytes:
    """At most one byte more than `size`. Raises `Unfinished`, `Refused`."""
    unpacker = zlib.decompressobj()
    try:
        values = unpacker.decompress(packed, size + 1)
    except zlib.error:
        raise Unfinished("garbled", "the picture's data do not unpack") from None
    if len(values) > size:
        raise Refused("a picture whose data are more than its size")
    if not unpacker.eof:
        raise Unfinished("cut_off", "the picture's data are cut off")
    return values


_RAW: Final = struct.Struct("<5i")


def read_raw(data: bytes, most: Most) -> tuple[Grey, Grey]:
    """(low, high). Raises `Unfinished`, `Refused`."""
    if len(data) < _RAW.size:
        raise Unfinished("cut_off", f"cut off after {len(data)} bytes")
    channels, rows, columns, value_bytes, largest = _RAW.unpack_from(data)
    if not any(data[: _RAW.size]):
        raise Unfinished("garbled", "nothing but zeros yet")
    if (channels, value_bytes) != (2, 2):
        raise Refused(f"a raw file of {channels} channels of {value_bytes} bytes: 2 of 2 expected")
    check_size(rows, columns, most)
    if not 1 <= largest <= 65_535:
        raise Refused(f"a raw file whose largest value is {largest}")
    size = _RAW.size + 4 * rows * columns
    if len(data) < size:
        raise Unfinished("cut_off", f"{len(data)} of {size} bytes")
    if len(data) > size:
        raise Refused(f"{len(data)} bytes, {size} by its header")
    high, low = np.frombuffer(data, "<u2", offset=_RAW.size).reshape(2, columns, rows)
    if int(high.max()) > largest or int(low.max()) > largest:
        raise Unfinished("garbled", f"values above {largest}, the largest by its header")
    return _grey(low.T), _grey(high.T)


def _grey(values: NDArray[Any]) -> Grey:
    return np.ascontiguousarray(values, dtype=np.uint16)


_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_STRIPS, _SAMPLES, _ROWS_A_STRIP, _STRIP_BYTES, _PREDICTOR = 273, 277, 278, 279, 317
_FORMAT, _TILE = 339, 322
_TAG_BYTES: Final = {1: 1, 3: 2, 4: 4}
_MOST_TAGS: Final = 200
_MOST_VALUES: Final = 20_000
_TAGS: Final = frozenset(
    (
        _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _STRIPS, _SAMPLES, _ROWS_A_STRIP, _STRIP_BYTES,
        _PREDICTOR, _FORMAT, _TILE,
    )
)  # fmt: skip
_DEFLATE: Final = (8, 32946)


def read_tiff(data: bytes, most: Most) -> Grey:
    """Raises `Unfinished`, `Refused`."""
    if len(data) < 8:
        raise Unfinished("cut_off", f"cut off after {len(data)} bytes")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None:
        raise Unfinished("garbled", "not a TIFF")
    tags = _tags(data, order)
    rows, columns = _one(tags, _HEIGHT), _one(tags, _WIDTH)
    check_size(rows, columns, most)
    compression = _one(tags, _COMPRESSION, 1)
    shape = {
        "bits": (_one(tags, _BITS, 1), (16,)),
        "samples": (_one(tags, _SAMPLES, 1), (1,)),
        "compression": (compression, (1, *_DEFLATE)),
        "photometric interpretation": (_one(tags, _PHOTOMETRIC, 1), (1,)),
        "sample format": (_one(tags, _FORMAT, 1), (1,)),
        "predictor": (_one(tags, _PREDICTOR, 1), (1, 2)),
    }
    for name, (value, known) in shape.items():
        if value not in known:
            raise Refused(f"a TIFF with {name} {value}: {' or '.join(str(each) for each in known)} expected")
    if _TILE in tags or _STRIPS not in tags or _STRIP_BYTES not in tags:
        raise Refused("a TIFF without strips")
    rows_a_strip = min(_one(tags, _ROWS_A_STRIP, rows), rows)
    strips, sizes = tags[_STRIPS], tags[_STRIP_BYTES]
    if rows_a_strip < 1 or len(strips) != len(sizes) or len(strips) != -(-rows // rows_a_strip):
        raise Refused("a TIFF whose strips do not make its picture")
    if sum(sizes) > len(data):
        raise Unfinished("cut_off", f"{len(data)} bytes, and strips of {sum(sizes)}")
    parts = []
    for number, (offset, size) in enumerate(zip(strips, sizes, strict=True)):
        wanted = min(rows_a_strip, rows - number * rows_a_strip) * columns * 2
        if offset + size > len(data):
            raise Unfinished("cut_off", f"{len(data)} bytes, and a strip up to {offset + size}")
        part = data[offset : offset + size]
        part = _unpacked(part, wanted) if compression in _DEFLATE else part
        if len(part) != wanted:
            raise Refused(f"a TIFF's strip of {len(part)} bytes, {wanted} expected")
        parts.append(part)
    values = np.frombuffer(b"".join(parts), f"{order}u2").reshape(rows, columns)
    if _one(tags, _PREDICTOR, 1) == 2:
        values = np.add.accumulate(values.astype(np.uint16), axis=1, dtype=np.uint16)
    return _grey(values)


def _tags(data: bytes, order: str) -> dict[int, tuple[int, ...]]:
    """Of the first directory; there must be no other. Raises `Unfinished`, `Refused`."""
    (at,) = struct.unpack_from(f"{order}I", data, 4)
    if at + 2 > len(data):
        raise Unfinished("cut_off", f"{len(data)} bytes, and a directory at {at}")
    (entries,) = struct.unpack_from(f"{order}H", data, at)
    if not 1 <= entries <= _MOST_TAGS:
        raise Refused(f"a TIFF of {entries} tags")
    end = at + 2 + 12 * entries
    if end + 4 > len(data):
        raise Unfinished("cut_off", f"{len(data)} bytes, and a directory up to {end + 4}")
    if struct.unpack_from(f"{order}I", data, end)[0]:
        raise Refused("a TIFF of several pictures")
    tags: dict[int, tuple[int, ...]] = {}
    for place in range(at + 2, end, 12):
        tag, kind, count = struct.unpack_from(f"{order}HHI", data, place)
        size = _TAG_BYTES.get(kind)
        if size is None or tag not in _TAGS:
            continue
        if count > _MOST_VALUES:
            raise Refused(f"a TIFF's tag {tag} of {count} values")
        start = place + 8
        if count * size > 4:
            (start,) = struct.unpack_from(f"{order}I", data, start)
        if start + count * size > len(data):
            raise Unfinished("cut_off", f"{len(data)} bytes, and values up to {start + count * size}")
        code = {1: "B", 3: "H", 4: "I"}[kind]
        tags[tag] = struct.unpack_from(f"{order}{count}{code}", data, start)
    return tags


def _one(tags: dict[int, tuple[int, ...]], tag: int, default: int | None = None) -> int:
    values = tags.get(tag, () if default is None else (default,))
    if len(values) != 1:
        raise Refused(f"a TIFF with {len(values)} values of tag {tag}")
    return values[0]
