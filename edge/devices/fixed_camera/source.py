"""Where the frames of a fixed camera come from: stream, local device, file, folder. No retry, no thread.

OpenCV and numpy are loaded when the first source opens, so that a lane without cameras does not carry them.
Every call belongs to the one thread that opened the source, and ends within its time limits.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, Protocol, assert_never
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from numpy import uint8
    from numpy.typing import NDArray

    Pixels = NDArray[uint8]
    """(rows, columns, 3): blue, green, red."""

MOST_FILE_BYTES: Final = 32_000_000
_CATCHING_UP_S: Final = 1.0
_WAITED_S: Final = 0.003
"""In the first second of a stream, frames that were not waited for are of before: a camera or recorder may
begin with its last picture that stands alone. They are passed over."""

_FOLDER_LOOK_S: Final = 0.2
_STILL_EVERY_S: Final = 0.2
_PICTURES: Final = frozenset({".jpg", ".jpeg", ".png"})

_ENVIRONMENT: Final[Mapping[str, str]] = {
    # Threads for matrices nobody multiplies cost memory.
    "OPENBLAS_NUM_THREADS": "1",
    # Both write to stderr on their own, addresses with passwords included.
    "OPENCV_LOG_LEVEL": "SILENT",
    "OPENCV_FFMPEG_LOGLEVEL": "-8",
    # What is needed to know a stream's rate, seconds of it, would be played late as if it were new.
    "OPENCV_FFMPEG_CAPTURE_OPTIONS": "rtsp_flags;prefer_tcp|fflags;nobuffer|fpsprobesize;0",
    # Seconds; 10 where not told.
    "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT": "3",
    "OPENCV_IO_MAX_IMAGE_PIXELS": "50000000",
}


class SourceLost(Exception):
    """Cannot be opened, or gives no more frames. The text names no password."""


@dataclass(frozen=True, slots=True)
class StreamAddress:
    """`rtsp://`, `rtsps://`, `http://` or `https://` (motion JPEG). The password stands where the URL says
    `{password}`, else before the host."""

    url: str
    username: str = ""
    password: str = field(default="", repr=False)

    def whole(self) -> str:
        """With its password: for the library alone, never for a log."""
        password = quote(self.password, safe="")
        if "{password}" in self.url:
            return self.url.replace("{password}", password)
        if not self.username:
            return self.url
        scheme, _, rest = self.url.partition("://")
        return f"{scheme}://{quote(self.username, safe='')}:{password}@{rest}"

    def __str__(self) -> str:
        # Some makes carry the password in the path.
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


@dataclass(frozen=True, slots=True)
class LocalAddress:
    """A camera of this machine: a V4L2 device path, or its number."""

    device: str
    columns: int = 1280
    rows: int = 720
    """What is asked of it; it may answer with another size."""

    def __str__(self) -> str:
        return self.device


@dataclass(frozen=True, slots=True)
class FileAddress:
    """A folder whose newest picture counts; a video, played at its own pace and from the start again; or one
    still picture, which always counts as new."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)


Address = StreamAddress | LocalAddress | FileAddress


class Source(Protocol):
    """Every call may raise `SourceLost`."""

    live: bool
    """Its frames come from a sensor: two alike, to the last dot, are suspicious."""
    pause_s: float
    """Wait so long before the next `advance`; a stream paces itself."""

    def advance(self) -> bool:
        """On to the next frame; blocks no longer than the read time limit. False: no newer frame yet."""

    def frame(self) -> Pixels | None:
        """The frame advanced to, as an array of its own; None where it came cut off or garbled."""

    def age_s(self) -> float:
        """How old that frame is already, where the source can tell; else 0."""

    def close(self) -> None: ...


def open_source(address: Address, *, open_timeout_s: float, read_timeout_s: float) -> Source:
    """Raises `SourceLost`."""
    limits_ms = (round(open_timeout_s * 1000), round(read_timeout_s * 1000))
    match address:
        case StreamAddress():
            opened = _through_ffmpeg(address.whole(), str(address), limits_ms)
            return _Capture(opened, str(address), streamed=True)
        case LocalAddress():
            return _Capture(_local(address), str(address))
        case FileAddress(path) if path.is_dir():
            return _Folder(path)
        case FileAddress(path) if not path.is_file():
            raise SourceLost(f"{path}: no such file or folder")
        case FileAddress(path) if path.suffix.lower() in _PICTURES:
            return _Still(path)
        case FileAddress(path):
            return _Capture(_through_ffmpeg(str(path), str(path), limits_ms), str(path), recorded=True)
        case _:
            assert_never(address)


@cache
def cv2() -> ModuleType:
    """OpenCV, loaded now."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import cv2 as loaded

    # Somebody else may have loaded it before its environment was set.
    loaded.utils.logging.setLogLevel(loaded.utils.logging.LOG_LEVEL_SILENT)
    loaded.setNumThreads(1)
    return loaded


def decode(data: bytes) -> Pixels | None:
    """A picture file's bytes; None where they are no whole picture."""
    import numpy

    library = cv2()
    try:
        pixels: Pixels | None = library.imdecode(numpy.frombuffer(data, numpy.uint8), library.IMREAD_COLOR)
    except library.error:
        return None
    return pixels


def _through_ffmpeg(address: str, said: str, limits_ms: tuple[int, int]) -> Any:
    library = cv2()
    settings = [
        *(library.CAP_PROP_OPEN_TIMEOUT_MSEC, limits_ms[0]),
        *(library.CAP_PROP_READ_TIMEOUT_MSEC, limits_ms[1]),
        # More decoding threads hold more frames back.
        *(library.CAP_PROP_N_THREADS, 1),
    ]
    return _opened(lambda: library.VideoCapture(address, library.CAP_FFMPEG, settings), said)


def _local(address: LocalAddress) -> Any:
    library = cv2()
    settings = [
        # Uncompressed, a USB 2 line carries such pictures a few times a second at most.
        *(library.CAP_PROP_FOURCC, library.VideoWriter.fourcc(*"MJPG")),
        *(library.CAP_PROP_FRAME_WIDTH, address.columns),
        *(library.CAP_PROP_FRAME_HEIGHT, address.rows),
    ]
    device = int(address.device) if address.device.isdecimal() else address.device
    kind = library.CAP_V4L2 if sys.platform.startswith("linux") else library.CAP_ANY
    return _opened(lambda: library.VideoCapture(device, kind, settings), str(address))


def _opened(open_capture: Callable[[], Any], said: str) -> Any:
    try:
        capture = open_capture()
    except cv2().error:
        raise SourceLost(f"{said}: cannot be opened") from None
    if not capture.isOpened():
        capture.release()
        raise SourceLost(f"{said}: cannot be opened, or is no video")
    return capture


class _Capture:
    """What OpenCV opened. `recorded`: a file that is played, at its own pace and from the start again."""

    def __init__(self, capture: Any, said: str, *, streamed: bool = False, recorded: bool = False) -> None:
        library = cv2()
        self._capture = capture
        self._said = said
        self._error = library.error
        self._first = library.CAP_PROP_POS_FRAMES
        self.live = not recorded
        self._behind_until_s = time.monotonic() + _CATCHING_UP_S if streamed else 0.0
        motion_jpeg = int(capture.get(library.CAP_PROP_FOURCC)) == library.VideoWriter.fourcc(*"MJPG")
        # Where frames come as JPEG files they are taken as such: FFmpeg would fill a cut one with what stood
        # there before, and would decode every one of which few are kept.
        self._whole_files = streamed and motion_jpeg and capture.set(library.CAP_PROP_FORMAT, -1)
        rate = capture.get(library.CAP_PROP_FPS) if recorded else 0.0
        self.pause_s = 0.0 if self.live else 1.0 / rate if 1.0 <= rate <= 240.0 else 0.1

    def advance(self) -> bool:
        while True:
            asked_s = time.monotonic()
            if not self._grabbed():
                raise SourceLost(f"{self._said}: gives no more frames")
            now_s = time.monotonic()
            if now_s >= self._behind_until_s or now_s - asked_s >= _WAITED_S:
                self._behind_until_s = 0.0
                return True

    def _grabbed(self) -> bool:
        if self._capture.grab():
            return True
        return not self.live and bool(self._capture.set(self._first, 0) and self._capture.grab())

    def frame(self) -> Pixels | None:
        try:
            whole, found = self._capture.retrieve()
        except self._error:
            return None
        if not whole or found is None:
            return None
        if self._whole_files:
            return decode(found.tobytes())
        pixels: Pixels | None = found if found.ndim == 3 else None
        return pixels

    def age_s(self) -> float:
        return 0.0

    def close(self) -> None:
        self._capture.release()


class _Still:
    """Always new: for trying out."""

    def __init__(self, path: Path) -> None:
        self.live = False
        self.pause_s = _STILL_EVERY_S
        self._path = path
        self._pixels: Pixels | None = None

    def advance(self) -> bool:
        if self._pixels is None:
            self._pixels = decode(_bytes_of(self._path))
        if self._pixels is None:
            raise SourceLost(f"{self._path}: is no whole picture")
        return True

    def frame(self) -> Pixels | None:
        return None if self._pixels is None else self._pixels.copy()

    def age_s(self) -> float:
        return 0.0

    def close(self) -> None:
        pass


class _Folder:
    """The newest whole picture by its time; one that is still being written is looked at again."""

    def __init__(self, path: Path) -> None:
        self.live = True
        self.pause_s = _FOLDER_LOOK_S
        self._path = path
        self._last: tuple[int, str] = (-1, "")
        self._pixels: Pixels | None = None
        self._age_s = 0.0

    def advance(self) -> bool:
        for stamp, name in sorted(self._listed(), reverse=True):
            if (stamp, name) <= self._last:
                return False
            try:
                pixels = decode(_bytes_of(self._path / name))
            except SourceLost:
                # Taken away between the listing and the reading.
                continue
            if pixels is not None:
                self._last, self._pixels = (stamp, name), pixels
                self._age_s = max(0.0, time.time() - stamp / 1e9)
                return True
        return False

    def _listed(self) -> list[tuple[int, str]]:
        found = []
        try:
            with os.scandir(self._path) as entries:
                for entry in entries:
                    if Path(entry.name).suffix.lower() in _PICTURES:
                        with contextlib.suppress(FileNotFoundError):
                            found.append((entry.stat().st_mtime_ns, entry.name))
        except OSError as error:
            raise SourceLost(f"{self._path}: cannot be read: {error.strerror}") from error
        return found

    def frame(self) -> Pixels | None:
        return self._pixels

    def age_s(self) -> float:
        return self._age_s

    def close(self) -> None:
        pass


def _bytes_of(path: Path) -> bytes:
    try:
        if path.stat().st_size > MOST_FILE_BYTES:
            return b""
        return path.read_bytes()
    except OSError as error:
        raise SourceLost(f"{path}: cannot be read: {error.strerror}") from error
