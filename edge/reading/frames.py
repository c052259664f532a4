"""Where frames come from: whoever shows its newest one. Never a queue: an old frame is of no use."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

from edge.devices.fixed_camera.camera import CameraHealth, FixedCamera, Limits
from edge.devices.fixed_camera.camera import Frame as ColourFrame
from edge.devices.fixed_camera.source import Address, FileAddress, LocalAddress, StreamAddress
from edge.reading.pictures import grey_of

if TYPE_CHECKING:
    from pathlib import Path

    from edge.reading.decoders import Grey

FRAME_EVERY_S: Final = 0.05
_STREAMS: Final = frozenset({"rtsp", "rtsps", "http", "https"})


class Frame(Protocol):
    @property
    def number(self) -> int:
        """The same number is the same picture."""

    @property
    def grey(self) -> Grey:
        """Nobody writes to it."""

    @property
    def at_s(self) -> float:
        """Monotonic: when it was taken."""


class FrameSource(Protocol):
    """A camera of this machine, a stream, a file, a folder; the camera of a phone, which hands in its grey
    plane."""

    def frame(self) -> Frame | None:
        """The newest; None before the first, and while closed. Called by the reading thread."""


@dataclass(frozen=True, eq=False, slots=True)
class GreyFrame:
    number: int
    grey: Grey = field(repr=False)
    at_s: float


class NewestFrame:
    """For cameras that call us: `put` from their thread, `frame` from ours."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest: GreyFrame | None = None
        self._number = 0

    def put(self, grey: Grey, at_s: float) -> None:
        """The array is handed over."""
        with self._lock:
            self._number += 1
            self._newest = GreyFrame(self._number, grey, at_s)

    def clear(self) -> None:
        with self._lock:
            self._newest = None

    def frame(self) -> GreyFrame | None:
        with self._lock:
            return self._newest


def y_plane(data: bytes | bytearray | memoryview, columns: int, rows: int, stride: int = 0) -> Grey:
    """The grey plane of an NV21, NV12 or I420 frame, without copying it. `stride`: bytes from row to row,
    where that is more than `columns`. Raises `ValueError` where the data is too short."""
    import numpy

    step = stride or columns
    if columns < 1 or rows < 1 or step < columns:
        raise ValueError(f"expected rows of at least one dot, got {columns} × {rows}, {stride} bytes a row")
    if len(data) < step * (rows - 1) + columns:
        raise ValueError(f"expected {step * rows} bytes of brightness, got {len(data)}")
    flat = numpy.frombuffer(data, numpy.uint8, count=min(len(data), step * rows))
    if len(flat) < step * rows:
        flat = numpy.concatenate([flat, numpy.zeros(step * rows - len(flat), numpy.uint8)])
    plane: Grey = flat.reshape(rows, step)[:, :columns]
    return plane


class OpenedCamera:
    """Any source that OpenCV opens, kept open and drained by a thread of its own."""

    def __init__(
        self,
        address: Address,
        *,
        monotonic_s: Callable[[], float],
        delay_s: Callable[[int], float],
        name: str = "reading",
    ) -> None:
        """`delay_s(failures)`: how long to wait before opening again."""
        self._address = address
        self._monotonic_s = monotonic_s
        self._delay_s = delay_s
        self._name = name
        self._camera: FixedCamera | None = None
        self._last: GreyFrame | None = None

    def open(self) -> None:
        """Idempotent."""
        if self._camera is None:
            # A still picture is worth reading once; whether it is dark, its reader finds out.
            limits = Limits(frame_every_s=FRAME_EVERY_S, frozen_after_s=0, dark_below=0)
            self._camera = FixedCamera(
                self._name, self._address, limits, monotonic_s=self._monotonic_s, delay_s=self._delay_s
            )
            self._camera.start()

    def close(self, timeout_s: float = 5.0) -> bool:
        """Idempotent. False where its thread still hangs in a system call."""
        camera, self._camera, self._last = self._camera, None, None
        if camera is None:
            return True
        camera.stop()
        return camera.join(timeout_s)

    def frame(self) -> GreyFrame | None:
        camera = self._camera
        newest = camera.newest() if camera is not None else None
        if newest is None:
            return None
        last = self._last
        if last is None or last.number != newest.number:
            last = GreyFrame(newest.number, grey_of(newest.pixels), newest.seen_s)
            self._last = last
        return last

    def newest(self) -> ColourFrame | None:
        """The same in colour, for whoever keeps or shows it."""
        return None if self._camera is None else self._camera.newest()

    def health(self) -> CameraHealth | None:
        """None while closed."""
        return self._camera.health() if self._camera is not None else None


def address_of(text: str, path: Callable[[str], Path]) -> Address:
    """What a config or a person names: a stream's URL, a device such as `/dev/video0` or its number, else a
    file or folder, which `path` resolves. Raises `ValueError`."""
    if not text:
        raise ValueError("expected a camera: a URL, a device such as /dev/video0 or 0, a file or a folder")
    scheme = urlsplit(text).scheme
    if scheme in _STREAMS:
        return StreamAddress(text)
    if "://" in text:
        raise ValueError(f"expected a URL of {', '.join(sorted(_STREAMS))}, got {scheme}://")
    if text.isdecimal() or text.startswith("/dev/video"):
        return LocalAddress(text)
    return FileAddress(path(text))
