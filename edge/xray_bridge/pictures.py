"""Raw pictures in memory, by id, from the machine until their evidence is on disk. Bounded; tells losses.

On a thread of its own a picture is proved, developed into cells and looked at for edges, so that the station
can tell whose it is; nothing here judges. Nothing is written to a disk.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, assert_never

import structlog

from edge.devices.readings import (
    BeltSeen,
    BeltUnknown,
    EyeEdge,
    XrayPictureFailed,
    XrayPictureSeen,
    XrayStateSeen,
)
from edge.runtime.clock import Clock
from edge.xray_bridge.events import PictureLost, PictureTaken
from edge.xray_bridge.imaging.calibration import Calibration
from edge.xray_bridge.imaging.describing import Descriptor
from edge.xray_bridge.imaging.pictures import PictureRefused, RawPicture, without_silent_rows
from edge.xray_bridge.imaging.segmenting import Outlines, outlined
from edge.xray_bridge.imaging.views import Developed, develop
from edge.xray_bridge.positions import Counters, EyeCounters, Known, Span, led_back
from edge.xray_bridge.values import Acquisition, Analysis

MOST_WAITING: Final = 16
LONGEST_S: Final = 900.0
"""Older ones are needed by nobody: the belt is shorter."""
LATEST_MM: Final = 1_500.0
"""How far the belt may have gone on when a picture comes by way of a folder."""

PictureSays = XrayPictureSeen | XrayPictureFailed | XrayStateSeen | BeltSeen | BeltUnknown | EyeEdge


@dataclass(eq=False)
class Held:
    """One picture and what was made of it so far. What is made later is set once, by one thread."""

    seen: XrayPictureSeen
    developed: Developed
    outlines: Outlines
    at_s: float
    utc: str
    leading_mm: float | None
    trailing_mm: float | None
    size_bytes: int
    analysis: Analysis | None = None
    descriptor: Descriptor | None = None
    made: dict[str, bytes] = field(default_factory=dict)
    """Files shown elsewhere, by name; each a value of this picture, the same whoever makes it."""

    @property
    def picture(self) -> str:
        return self.seen.picture


@dataclass(frozen=True, slots=True)
class _Came:
    at_s: float
    says: PictureSays


class Pictures:
    """`say` from any thread; `get`, `drop` from any."""

    def __init__(
        self,
        *,
        plane_mm: float,
        most_bytes: int,
        calibration: Callable[[], Calibration],
        clock: Clock,
        put: Callable[[PictureTaken | PictureLost], None],
        ready: Callable[[Held], None] = lambda held: None,
    ) -> None:
        """`ready(held)`: it is in memory; called before the station is told."""
        self._plane_mm = plane_mm
        self._most_bytes = most_bytes
        self._calibration = calibration
        self._clock = clock
        self._put = put
        self._ready = ready
        self._lock = threading.Lock()
        self._held: dict[str, Held] = {}
        self._bytes = 0
        self._waiting: queue.SimpleQueue[_Came | None] = queue.SimpleQueue()
        self._pictures_waiting = 0
        self._counters = Counters()
        self._eye = EyeCounters(LATEST_MM)
        self._belt_mm: float | None = None
        self._mm_per_count: float | None = None
        self._thread: threading.Thread | None = None

    # --- any thread ---

    def say(self, at_s: float, says: PictureSays) -> None:
        """In the order it was told by its port. A picture too many is lost, and said to be."""
        if isinstance(says, XrayPictureSeen):
            with self._lock:
                full = self._pictures_waiting >= MOST_WAITING
                self._pictures_waiting += not full
            if full:
                self._put(PictureLost(f"{says.picture}: more pictures than can be looked at"))
                return
        self._waiting.put(_Came(at_s, says))

    def get(self, picture: str) -> Held | None:
        with self._lock:
            return self._held.get(picture)

    def drop(self, picture: str) -> None:
        with self._lock:
            held = self._held.pop(picture, None)
            if held is not None:
                self._bytes -= held.size_bytes

    @property
    def size_bytes(self) -> int:
        with self._lock:
            return self._bytes

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="pictures", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._waiting.put(None)
        if self._thread is not None:
            self._thread.join(2.0)

    # --- the pictures' thread ---

    def _run(self) -> None:
        while (came := self._waiting.get()) is not None:
            try:
                self.take(came.at_s, came.says)
            except Exception as error:  # noqa: BLE001 - one picture's fault must not end all others
                _logger().error("a picture failed", exc_info=error)
                self._put(PictureLost(f"fault of the program: {error!r}"[:200]))

    def take(self, at_s: float, says: PictureSays) -> None:
        """One saying, on the caller's thread. The world test calls it without a thread."""
        match says:
            case BeltSeen(belt_mm, speed_mm_s, origin):
                if self._counters.origin not in (None, origin):
                    self._eye.forget()
                self._belt_mm = belt_mm
                self._counters.saw_board(at_s, belt_mm, speed_mm_s, origin)
            case BeltUnknown():
                self._belt_mm = None
                self._counters.lost_board()
                self._eye.forget()
            case EyeEdge("xray", blocked, belt_mm, within_mm):
                self._eye.saw_eye(blocked=blocked, belt_mm=belt_mm - within_mm / 2)
            case EyeEdge():
                pass
            case XrayStateSeen(count, mm_per_count):
                self._mm_per_count = mm_per_count
                self._counters.saw_state(at_s, count * mm_per_count, says.start, running=says.belt_running)
            case XrayPictureFailed():
                self._failed(says)
            case XrayPictureSeen():
                try:
                    self._picture(at_s, says)
                finally:
                    with self._lock:
                        self._pictures_waiting = max(0, self._pictures_waiting - 1)
            case _:
                assert_never(says)

    def _failed(self, failed: XrayPictureFailed) -> None:
        why = f"{failed.picture}: {failed.code} {failed.why}".strip()[:200]
        known, step = self._counters.known(failed.picture), self._mm_per_count
        if known is None or step is None or failed.first_count is None or failed.last_count is None:
            self._put(PictureLost(why))
            return
        ends = sorted((failed.first_count * step, failed.last_count * step))
        lay = led_back(Span(*ends), known, self._plane_mm)
        self._put(PictureLost(why, lay.leading_mm, lay.trailing_mm))

    def _picture(self, at_s: float, seen: XrayPictureSeen) -> None:
        if self.get(seen.picture) is not None:
            # A machine that uses a name again must not change what is already judged, shown or kept.
            self._put(PictureLost(f"{seen.picture}: a second picture of this name"[:200]))
            return
        size_bytes = 2 * (seen.low.nbytes + seen.high.nbytes)
        if not self._room_for(size_bytes, at_s):
            self._put(PictureLost(f"{seen.picture}: no memory left for pictures"))
            return
        try:
            raw, silent = without_silent_rows(
                RawPicture(
                    seen.low, seen.high, seen.air_low, seen.air_high,
                    seen.mm_per_column, seen.mm_per_pixel, seen.picture,
                )
            )  # fmt: skip
        except PictureRefused as refused:
            self._put(PictureLost(f"{seen.picture}: {refused}"[:200]))
            return
        developed = develop(raw)
        outlines = outlined(developed, self._calibration())
        own = _span(seen, outlines)
        known = None if own is None or seen.before_start else self._known(seen, own)
        span = led_back(own, known, self._plane_mm) if own is not None and known is not None else None
        held = Held(
            seen=seen,
            developed=developed,
            outlines=outlines,
            at_s=at_s,
            utc=self._clock.utc_text(),
            leading_mm=None if span is None else span.leading_mm,
            trailing_mm=None if span is None else span.trailing_mm,
            size_bytes=size_bytes,
        )
        with self._lock:
            self._held[seen.picture] = held
            self._bytes += size_bytes
        if silent:
            _logger().warning("diodes give nothing", rows=silent, picture=seen.picture)
        self._ready(held)
        rows, columns = seen.low.shape
        self._put(
            PictureTaken(
                seen.picture,
                held.leading_mm,
                held.trailing_mm,
                columns,
                rows,
                _acquisition(seen),
                max(1, len(outlines.things)),
                0.0 if known is None else known.within_mm,
                max(0.0, self._clock.monotonic_s() - at_s),
                None if own is None or seen.before_start else own.length_mm,
            )
        )

    def _known(self, seen: XrayPictureSeen, own: Span) -> Known | None:
        """By what the machine says of itself; else by the eye."""
        by_state = self._counters.known(seen.picture)
        by_eye = self._eye.of(own, self._belt_mm)
        return by_state if by_state is not None else by_eye

    def _room_for(self, size_bytes: int, at_s: float) -> bool:
        with self._lock:
            if self._bytes + size_bytes > self._most_bytes:
                for picture in [name for name, held in self._held.items() if at_s - held.at_s > LONGEST_S]:
                    self._bytes -= self._held.pop(picture).size_bytes
            return self._bytes + size_bytes <= self._most_bytes


def _span(seen: XrayPictureSeen, outlines: Outlines) -> Span | None:
    """From the first column on which anything lies to the last, in the machine's own mm."""
    boxes = [each.box for each in outlines.things]
    if not boxes:
        return None
    columns = len(seen.counts)
    first = min(round(min(box.left for box in boxes) * columns), columns - 1)
    last = min(round(max(box.left + box.width for box in boxes) * columns), columns - 1)
    return Span(float(seen.counts[first]) * seen.mm_per_count, float(seen.counts[last]) * seen.mm_per_count)


def _acquisition(seen: XrayPictureSeen) -> Acquisition:
    """A machine that cannot correct its own picture has taken none that passes by itself."""
    if seen.calibration != "good" and seen.status == "SUCCESSFUL":
        return Acquisition.INCOMPLETE
    if seen.status == "STITCHED":
        return Acquisition.INCOMPLETE
    return Acquisition(seen.status.lower())


def _logger() -> structlog.stdlib.BoundLogger:
    found: structlog.stdlib.BoundLogger = structlog.get_logger("pictures")
    return found
