"""What is made of a picture on worker threads: the analysis, the files a screen shows, the wedge check. Puts
events; decides nothing, reads no record, writes no disk.

numpy and OpenCV let other threads work meanwhile, so threads of this process do: measured by
`kakou bench xray-station`.
"""

from __future__ import annotations

import base64
import itertools
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import structlog

from edge.runtime.clock import Clock
from edge.xray_bridge.events import Analysed, AnalysisFailed, Event, WedgeChecked
from edge.xray_bridge.imaging.analysis import analyse_developed
from edge.xray_bridge.imaging.calibration import Calibration
from edge.xray_bridge.imaging.comparing import NO_REFERENCES, References
from edge.xray_bridge.imaging.opencv import cv2
from edge.xray_bridge.imaging.palettes import Palette
from edge.xray_bridge.imaging.views import drawn
from edge.xray_bridge.pictures import Held, Pictures
from edge.xray_bridge.values import Goods

if TYPE_CHECKING:
    from edge.xray_bridge.imaging.differing import Difference
    from edge.xray_bridge.imaging.views import Developed

PLANES: Final = "planes.png"
"""Both codes of every dot in one picture: the page colours it itself."""
PREVIEW: Final = "preview.jpg"
PREVIEW_BYTES: Final = 17_900
"""24,000 characters of base64, as a fact carries them."""
PREVIEW_COLUMNS: Final = 480
PNG_LEVEL: Final = 1

_LAST: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Judge:
    """Everything an analysis needs, gathered on the station's thread."""

    picture: str
    parcel: int
    goods: Goods | None
    references: Callable[[], References] = lambda: NO_REFERENCES
    """Called on the worker's thread."""


@dataclass(frozen=True, slots=True)
class Prepare:
    picture: str


@dataclass(frozen=True, slots=True)
class Check:
    picture: str


@dataclass(frozen=True, slots=True)
class WedgeFound:
    ok: bool
    calibration: str
    why: str = ""


Task = Judge | Prepare | Check


class Analysts:
    """`ask` from any thread: returns at once."""

    def __init__(
        self,
        pictures: Pictures,
        *,
        calibration: Callable[[], Calibration],
        palette: Palette,
        check_wedge: Callable[[Held], WedgeFound],
        clock: Clock,
        put: Callable[[Event], None],
        workers: int,
        prepared: Callable[[str], None] = lambda picture: None,
    ) -> None:
        """`prepared(picture)`: its files are there to be shown."""
        self._pictures = pictures
        self._calibration = calibration
        self._palette = palette
        self._check_wedge = check_wedge
        self._clock = clock
        self._put = put
        self._workers = workers
        self._prepared = prepared
        self._tasks: queue.PriorityQueue[tuple[float, int, Task | None]] = queue.PriorityQueue()
        self._count = itertools.count()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        for number in range(self._workers):
            thread = threading.Thread(target=self._run, name=f"analyst-{number + 1}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        for _ in self._threads:
            self._tasks.put((float("-inf"), next(self._count), None))
        for thread in self._threads:
            thread.join(2.0)

    def ask(self, task: Task) -> None:
        """The parcel nearest to the diverter first; its picture's files before its analysis."""
        held = self._pictures.get(task.picture)
        # Where the belt stood when its edge was at the portal: the smaller, the nearer to the diverter.
        urgency = _LAST if held is None or held.leading_mm is None else held.leading_mm
        self._tasks.put((urgency, next(self._count), task))

    @property
    def waiting(self) -> int:
        return self._tasks.qsize()

    # --- the workers' threads ---

    def _run(self) -> None:
        while True:
            _, _, task = self._tasks.get()
            if task is None:
                return
            try:
                self.do(task)
            except Exception as error:  # noqa: BLE001 - one picture's fault must not end all others
                structlog.get_logger("analysing").error("an analysis failed", exc_info=error)
                self._failed(task, f"fault of the program: {error!r}"[:200])

    def do(self, task: Task) -> None:
        """On the caller's thread. The world test calls it without threads."""
        held = self._pictures.get(task.picture)
        if held is None:
            self._failed(task, "the picture is not in memory any more")
            return
        match task:
            case Prepare(picture):
                held.made[PLANES] = planes(held.developed)
                self._prepared(picture)
            case Check(picture):
                found = self._check_wedge(held)
                self._put(WedgeChecked(found.ok, picture, found.calibration, found.why[:200]))
            case Judge():
                self._judge(held, task)

    def _judge(self, held: Held, task: Judge) -> None:
        began_s = self._clock.monotonic_s()
        declared = () if task.goods is None else task.goods.lines
        analysis, descriptor = analyse_developed(
            held.developed, self._calibration(), task.references(), declared
        )
        held.descriptor = descriptor
        took_ms = (self._clock.monotonic_s() - began_s) * 1000.0
        held.analysis = replace(analysis, picture=task.picture, took_ms=round(took_ms, 3))
        self._put(Analysed(task.picture, task.parcel, held.analysis))
        # After the answer: nobody waits for it.
        if PREVIEW not in held.made:
            held.made[PREVIEW] = preview(held.developed, self._calibration(), self._palette)

    def _failed(self, task: Task, why: str) -> None:
        match task:
            case Judge(picture, parcel):
                self._put(AnalysisFailed(picture, parcel, why))
            case Check(picture):
                self._put(WedgeChecked(False, picture, self._calibration().id, why))
            case Prepare():
                pass


def planes(developed: Developed) -> bytes:
    """PNG of both codes of every dot: red the low channel's, green the high channel's, blue 0."""
    import numpy

    cells = developed.cells
    bgr = numpy.zeros((*cells.shape, 3), numpy.uint8)
    bgr[..., 2] = cells >> 8
    bgr[..., 1] = cells & 0xFF
    return _encoded(".png", bgr, (cv2().IMWRITE_PNG_COMPRESSION, PNG_LEVEL))


def difference_map(found: Difference) -> bytes:
    """PNG: red what the picture has beyond the other, green what it lacks, blue 0."""
    import numpy

    bgr = numpy.dstack([numpy.zeros_like(found.more), found.less, found.more])
    return _encoded(".png", bgr, (cv2().IMWRITE_PNG_COMPRESSION, 6))


def preview(developed: Developed, calibration: Calibration, palette: Palette) -> bytes:
    """A JPEG small enough for a fact."""
    library = cv2()
    shown = drawn(developed, calibration, palette)
    columns = min(PREVIEW_COLUMNS, shown.shape[1])
    while True:
        rows = max(1, round(shown.shape[0] * columns / shown.shape[1]))
        small = library.resize(shown, (columns, rows), interpolation=library.INTER_AREA)
        for quality in (80, 60, 40):
            jpeg = _encoded(".jpg", small, (library.IMWRITE_JPEG_QUALITY, quality))
            if len(jpeg) <= PREVIEW_BYTES:
                return jpeg
        columns //= 2


def in_a_fact(jpeg: bytes | None) -> str:
    """As `ParcelXRayed.preview` carries it; empty where there is none."""
    return "" if jpeg is None else base64.b64encode(jpeg).decode()


def _encoded(kind: str, pixels: object, settings: Sequence[int]) -> bytes:
    done, file = cv2().imencode(kind, pixels, settings)
    if not done:
        raise ValueError(f"{kind}: the picture could not be written")
    return bytes(file)
