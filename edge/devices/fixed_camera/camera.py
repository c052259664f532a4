"""One fixed camera: a thread that keeps its newest frame. It draws nothing, stores nothing, knows no lane.

Its source is opened again when it is lost; `look` says when the camera shows nothing.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

import structlog

from edge.devices.fixed_camera.source import Address, Source, SourceLost, open_source

if TYPE_CHECKING:
    from edge.devices.fixed_camera.source import Pixels

_EVERY: Final = 8
"""One dot in so many of each row and column is looked at to tell whether a picture changes or is dark."""

_BRIGHT_SHARE: Final = 0.98
"""A lit lamp or the camera's own clock do not make a dark picture a bright one."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture; nobody writes to its dots."""

    pixels: Pixels = field(repr=False)
    seen_s: float
    """Monotonic: when it reached us, less what its source knows of its age."""
    number: int
    fault: Literal["", "frozen", "dark"] = ""
    fault_s: float = 0.0
    """For how long it has been so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Seconds, and grey levels from 0 to 255."""

    frame_every_s: float = 0.2
    silent_after_s: float = 5.0
    frozen_after_s: float = 30.0
    """0: a picture that never changes is no fault."""
    dark_below: int = 24
    """0: no picture is too dark."""
    open_timeout_s: float = 3.0
    read_timeout_s: float = 3.0
    """Longest wait for a frame, the first one included: a stream that begins between two of its key frames
    shows nothing before the next. A thread that is told to stop may take so long."""


@dataclass(frozen=True, slots=True)
class CameraNews:
    """`why` empty: it shows something again."""

    why: str


@dataclass(frozen=True, slots=True)
class CameraHealth:
    state: Literal["not opened", "open", "lost"]
    why: str
    """Of the latest loss, or what is wrong with its pictures."""
    age_s: float | None
    """Of the newest frame."""
    frames: int
    spoilt: int
    """Frames that came cut off or garbled."""
    losses: int


class FixedCamera:
    """`newest`, `fresher` and `look` may be called by any thread; `look` by one at a time."""

    def __init__(
        self,
        name: str,
        address: Address,
        limits: Limits,
        *,
        monotonic_s: Callable[[], float],
        delay_s: Callable[[int], float],
    ) -> None:
        """`delay_s(failures)`: how long to wait before opening again, after so many failures in a row."""
        self.name = name
        self._address = address
        self._limits = limits
        self._monotonic_s = monotonic_s
        self._delay_s = delay_s
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        """Guards what follows."""
        self._frame: Frame | None = None
        self._frames = 0
        self._spoilt = 0
        self._losses = 0
        self._state: Literal["not opened", "open", "lost"] = "not opened"
        self._why = ""
        self._since_s = monotonic_s()
        self._told = ""
        self._thread = threading.Thread(target=self._keep_open, name=f"camera {name}", daemon=True)

    def start(self) -> None:
        self._since_s = self._monotonic_s()
        self._thread.start()

    def stop(self) -> None:
        """Returns at once; `join` waits."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()

    def join(self, timeout_s: float) -> bool:
        """False where its thread still hangs in a system call."""
        if self._thread.ident is not None:
            self._thread.join(max(0.0, timeout_s))
        return not self._thread.is_alive()

    # --- any thread ---

    def newest(self) -> Frame | None:
        with self._changed:
            return self._frame

    def fresher(self, than_s: float, timeout_s: float) -> Frame | None:
        """The newest frame, waiting for one seen at `than_s` or later; an older one where none comes."""

        def come() -> bool:
            return self._stopping.is_set() or (self._frame is not None and self._frame.seen_s >= than_s)

        with self._changed:
            self._changed.wait_for(come, timeout_s)
            return self._frame

    def look(self) -> CameraNews | None:
        """What changed since the last look: it went silent, dark or frozen, or is well again."""
        now_s = self._monotonic_s()
        with self._changed:
            wrong = self._wrong(now_s)
            if wrong is None or bool(wrong) == bool(self._told):
                return None
            self._told = wrong
        _logger().warning("camera", camera=self.name, why=wrong or "shows something again")
        return CameraNews(wrong)

    def wrong(self) -> str | None:
        """What is wrong with it; empty: nothing, None: not known yet."""
        now_s = self._monotonic_s()
        with self._changed:
            return self._wrong(now_s)

    def health(self) -> CameraHealth:
        now_s = self._monotonic_s()
        with self._changed:
            age_s = None if self._frame is None else max(0.0, now_s - self._frame.seen_s)
            return CameraHealth(
                self._state, self._wrong(now_s) or self._why, age_s, self._frames, self._spoilt, self._losses
            )

    def _wrong(self, now_s: float) -> str | None:
        """Empty: nothing. None: not known yet."""
        frame = self._frame
        heard_s = self._since_s if frame is None else max(frame.seen_s, self._since_s)
        silent_s = now_s - heard_s
        if silent_s >= self._limits.silent_after_s:
            return f"no picture for {silent_s:.1f} s{f' ({self._why})' if self._why else ''}"
        if frame is None:
            return None
        match frame.fault:
            case "frozen":
                return f"the same picture for {frame.fault_s:.0f} s"
            case "dark":
                return "its pictures are dark: is something before its lens?"
            case _:
                return ""

    # --- the camera's own thread ---

    def _keep_open(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            before = self._frames
            try:
                self._read_all()
                return
            except SourceLost as lost:
                why = str(lost)
            except Exception as error:  # noqa: BLE001 - a library's fault must not end the care for its camera
                why = f"fault of the source: {error!r}"[:300]
                _logger().error("a camera's source raised", camera=self.name, exc_info=error)
            failures = 1 if self._frames > before + 1 else failures + 1
            with self._changed:
                again = self._state == "lost" and self._why == why
                self._state, self._why = "lost", why
                self._losses += 1
            if not again:
                _logger().warning("camera lost", camera=self.name, why=why)
            # A source that opens and ends at once is not asked again without a pause.
            self._stopping.wait(max(self._delay_s(failures), 0.05))

    def _read_all(self) -> None:
        limits = self._limits
        source = open_source(
            self._address,
            open_timeout_s=limits.open_timeout_s,
            read_timeout_s=limits.read_timeout_s,
        )
        try:
            with self._changed:
                self._state, self._why = "open", ""
            look = _Look(limits, live=source.live)
            due_s = self._monotonic_s()
            waits = False
            while not self._stopping.is_set():
                # Every frame is taken from the line, so that the next one is new; not every one is kept.
                waits = source.advance() or waits
                now_s = self._monotonic_s()
                if waits and now_s >= due_s:
                    waits, due_s = False, now_s + limits.frame_every_s
                    self._keep(source, look, now_s)
                if source.pause_s:
                    self._stopping.wait(source.pause_s)
        finally:
            source.close()

    def _keep(self, source: Source, look: _Look, now_s: float) -> None:
        pixels = source.frame()
        if pixels is None:
            with self._changed:
                self._spoilt += 1
            return
        fault, fault_s = look.at(pixels, now_s)
        with self._changed:
            self._frames += 1
            self._frame = Frame(pixels, now_s - source.age_s(), self._frames, fault, fault_s)
            self._changed.notify_all()


class _Look:
    """Whether pictures change, and whether there is anything to see."""

    def __init__(self, limits: Limits, *, live: bool) -> None:
        self._limits = limits
        self._live = live
        self._print: int | None = None
        self._since_s = 0.0

    def at(self, pixels: Pixels, now_s: float) -> tuple[Literal["", "frozen", "dark"], float]:
        some = pixels[::_EVERY, ::_EVERY].copy()
        printed = zlib.crc32(some.tobytes())
        if printed != self._print:
            self._print, self._since_s = printed, now_s
        same_s = now_s - self._since_s
        limits = self._limits
        if self._live and 0 < limits.frozen_after_s <= same_s:
            return "frozen", same_s
        if limits.dark_below and self._is_dark(some):
            return "dark", 0.0
        return "", 0.0

    def _is_dark(self, some: Pixels) -> bool:
        dark = int((some.max(axis=2) < self._limits.dark_below).sum())
        return dark >= int(_BRIGHT_SHARE * some.shape[0] * some.shape[1])


def _logger() -> structlog.stdlib.BoundLogger:
    log: structlog.stdlib.BoundLogger = structlog.get_logger("cameras")
    return log
