"""The thread that reads codes: newest frame, cascade, guard, told. Decides nothing, opens no camera.

A frame that came while another was read is passed over, but for the newest. Decoders let other threads run
while they work, so that a screen stays quick beside it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import structlog

from edge.reading.cascade import Plan, read_frame
from edge.reading.guard import GuardSettings
from edge.reading.guarded import Guarded
from edge.reading.scans import NotACode, ScanSeen, Source

if TYPE_CHECKING:
    from edge.reading.decoders import CodeRead, Decoders
    from edge.reading.frames import Frame, FrameSource

_LOOK_EVERY_S: Final = 0.01
"""For a newer frame, while there is none."""


@dataclass(frozen=True, slots=True)
class Looked:
    """The last frame that was read, for a screen to draw over its preview."""

    number: int
    at_s: float
    size: tuple[int, int]
    """Columns, rows."""
    reads: tuple[CodeRead, ...]
    """Before the guard: drawn, never believed."""


@dataclass(frozen=True, slots=True)
class WorkerHealth:
    state: Literal["not started", "reading", "ended"]
    frames: int
    passed_over: int
    faults: int
    """Frames a decoder raised at."""
    last_fault: str
    looked: Looked | None


class ReadingThread:
    """`told` is called on its thread with what passed the guard: it only hands on."""

    def __init__(
        self,
        source: FrameSource,
        decoders: Decoders,
        told: Callable[[ScanSeen | NotACode], None],
        *,
        plan: Plan | None = None,
        settings: GuardSettings | None = None,
    ) -> None:
        self._source = source
        self._decoders = decoders
        self._guarded = Guarded(told, settings)
        self._plan = plan or Plan()
        self._stopping = threading.Event()
        self._last: int | None = None
        self._frames = 0
        self._passed_over = 0
        self._faults = 0
        self._last_fault = ""
        self._looked: Looked | None = None
        self._thread = threading.Thread(target=self._run, name="reading", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns at once; `join` waits. For good: another one is made to go on."""
        self._stopping.set()

    def join(self, timeout_s: float) -> bool:
        """False where it still reads a frame."""
        if self._thread.ident is not None:
            self._thread.join(max(0.0, timeout_s))
        return not self._thread.is_alive()

    def health(self) -> WorkerHealth:
        """Any thread."""
        state: Literal["not started", "reading", "ended"] = "not started"
        if self._thread.ident is not None:
            state = "reading" if self._thread.is_alive() else "ended"
        return WorkerHealth(
            state, self._frames, self._passed_over, self._faults, self._last_fault, self._looked
        )

    # --- its own thread ---

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                frame = self._source.frame()
                is_new = frame is not None and frame.number != self._last
                if frame is not None and is_new:
                    self._read(frame)
            except Exception as error:  # noqa: BLE001 - a frame of any kind must not end the reading (G11)
                is_new = False
                self._failed(error)
            if not is_new:
                self._stopping.wait(_LOOK_EVERY_S)

    def _read(self, frame: Frame) -> None:
        if self._last is not None and frame.number > self._last:
            self._passed_over += frame.number - self._last - 1
        self._last = frame.number
        grey = frame.grey
        reads = read_frame(grey, self._frames, self._plan, self._decoders)
        self._frames += 1
        rows, columns = grey.shape
        self._looked = Looked(frame.number, frame.at_s, (columns, rows), tuple(reads))
        for each in reads:
            self._guarded(ScanSeen(each.text, each.symbology, Source.CAMERA, frame.at_s, each.aim, each.raw))

    def _failed(self, error: Exception) -> None:
        self._faults += 1
        said = repr(error)[:300]
        if said != self._last_fault:
            log: structlog.stdlib.BoundLogger = structlog.get_logger("reading")
            log.error("a frame could not be read", exc_info=error)
        self._last_fault = said
