"""A live session as a file that any player opens: AVI with MJPEG and G.711. Writes; decides nothing.

AVI has one rate for all pictures: a session's come when they come. Each picture stands in the slot of its own
time, and slots without one are empty, which players show as the picture before (AVI 1.0, "dropped frame").
The sizes in the head are written when the file is closed; most players open one that never was.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

from sync.link.live_wire import SAMPLES_A_S, Codec, Picture, Sound

SLOTS_A_S: Final = 25
MOST_BYTES: Final = 2_000_000_000
"""What 32 bits hold, with room for the index."""
MOST_GAP_S: Final = 60.0
_FORMATS: Final = {Codec.A_LAW: 6, Codec.MU_LAW: 7}
_SILENCE: Final = {Codec.A_LAW: b"\xd5", Codec.MU_LAW: b"\xff"}
_KEY: Final = 0x10


class SavedLive:
    """Begun with the first picture: its size is the file's. Raises `OSError`."""

    def __init__(self, path: Path, *, codec: Codec = Codec.MU_LAW) -> None:
        self._path = path
        self._file = path.open("wb")
        self._codec = codec
        self._size = (0, 0)
        self._index = bytearray()
        self._began_ms: int | None = None
        self._slots = 0
        self._samples = 0
        self._largest = 0
        self._movi = 0
        self.pictures = 0
        self.is_full = False

    def picture(self, picture: Picture) -> None:
        if self._began_ms is None:
            self._began_ms = picture.at_ms
            self._size = (picture.columns, picture.rows)
            self._file.write(self._head())
            self._movi = self._file.tell() - 4
        slot = self._slot(picture.at_ms)
        if slot < self._slots or self._has_no_room(len(picture.jpeg)):
            # Two pictures of one slot: the first stands.
            return
        while self._slots < slot:
            self._chunk(b"00dc", b"")
        self._chunk(b"00dc", picture.jpeg)
        self._largest = max(self._largest, len(picture.jpeg))
        self.pictures += 1

    def sound(self, sound: Sound) -> None:
        if self._began_ms is None or sound.codec is not self._codec:
            return
        due = round((sound.at_ms - self._began_ms) * SAMPLES_A_S / 1000)
        # Jitter of two packets is no gap.
        missing = due - self._samples
        if missing < -len(sound.samples) or self._has_no_room(len(sound.samples)):
            return
        if missing > SAMPLES_A_S // 8:
            self._silence(min(missing, round(MOST_GAP_S * SAMPLES_A_S)))
        self._chunk(b"01wb", sound.samples)

    def close(self) -> None:
        """A file nothing came for is taken away again."""
        if self._began_ms is None:
            self._file.close()
            self._path.unlink(missing_ok=True)
            return
        with self._file:
            movi_bytes = self._file.tell() - self._movi
            self._file.write(b"idx1" + struct.pack("<I", len(self._index)) + self._index)
            whole = self._file.tell()
            self._file.seek(0)
            self._file.write(self._head(whole_bytes=whole - 8, movi_bytes=movi_bytes))

    def _slot(self, at_ms: int) -> int:
        after_ms = max(0, at_ms - (self._began_ms or 0))
        return min(after_ms * SLOTS_A_S // 1000, self._slots + round(MOST_GAP_S * SLOTS_A_S))

    def _has_no_room(self, size: int) -> bool:
        self.is_full = self.is_full or self._file.tell() + len(self._index) + size > MOST_BYTES
        return self.is_full

    def _silence(self, samples: int) -> None:
        self._chunk(b"01wb", _SILENCE[self._codec] * samples)

    def _chunk(self, name: bytes, data: bytes) -> None:
        at = self._file.tell() - self._movi
        self._file.write(name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2))
        if name == b"00dc":
            self._slots += 1
        else:
            self._samples += len(data)
        self._index += struct.pack("<4sIII", name, _KEY if data else 0, at, len(data))

    def _head(self, *, whole_bytes: int = 0, movi_bytes: int = 4) -> bytes:
        columns, rows = self._size
        main = struct.pack(
            "<14I",
            1_000_000 // SLOTS_A_S,
            0,
            0,
            _KEY,
            self._slots,
            0,
            2,
            self._largest,
            columns,
            rows,
            0,
            0,
            0,
            0,
        )
        pictures = struct.pack(
            "<4s4sIHHIIIIIIIIHHHH",
            *(b"vids", b"MJPG", 0, 0, 0, 0, 1, SLOTS_A_S, 0, self._slots, self._largest),
            *(0xFFFFFFFF, 0, 0, 0, columns, rows),
        )
        picture = struct.pack(
            "<IiiHH4sIiiII", 40, columns, rows, 1, 24, b"MJPG", columns * rows * 3, 0, 0, 0, 0
        )
        sounds = struct.pack(
            "<4s4sIHHIIIIIIIIHHHH",
            *(b"auds", b"\0\0\0\0", 0, 0, 0, 0, 1, SAMPLES_A_S, 0, self._samples, SAMPLES_A_S),
            *(0xFFFFFFFF, 1, 0, 0, 0, 0),
        )
        sound = struct.pack("<HHIIHHH", _FORMATS[self._codec], 1, SAMPLES_A_S, SAMPLES_A_S, 1, 8, 0)
        header = _list(
            b"hdrl",
            _named(b"avih", main)
            + _list(b"strl", _named(b"strh", pictures) + _named(b"strf", picture))
            + _list(b"strl", _named(b"strh", sounds) + _named(b"strf", sound)),
        )
        return (
            b"RIFF"
            + struct.pack("<I", whole_bytes)
            + b"AVI "
            + header
            + b"LIST"
            + struct.pack("<I", movi_bytes)
            + b"movi"
        )


def _named(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def _list(name: bytes, data: bytes) -> bytes:
    return _named(b"LIST", name + data)
