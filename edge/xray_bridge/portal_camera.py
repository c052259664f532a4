"""A camera above the portal as its barcode reader: newest frame, shared cascade, guard. Decides nothing.

Only a strip across the belt is looked at: a code counts as standing at `layout.reader_mm`, and a picture that
shows half a metre of belt would put it on the parcel before or behind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Literal

from edge.devices.readings import CodeSeen, Reading
from edge.reading.cascade import Plan
from edge.reading.decoders import Decoders, found
from edge.reading.frames import GreyFrame, OpenedCamera
from edge.reading.scans import NotACode, ScanSeen
from edge.reading.worker import ReadingThread

if TYPE_CHECKING:
    from edge.devices.fixed_camera.source import Address
    from edge.reading.decoders import Grey

NAME: Final = "portal_camera"
_SILENT_S: Final = 3.0
_CLOSE_S: Final = 3.0
_FEWEST_DOTS: Final = 16

_WHOLE: Final = Plan(aim=(0.0, 0.0, 1.0, 1.0))
"""Nobody aims: a label lies anywhere across the belt."""

Along = Literal["columns", "rows"]
"""Which way of the picture the belt runs."""


class PortalCamera:
    """`on_reading(at_s, name, reading)` and `on_news(at_s, name, why)` (why empty: there are pictures again)
    are called on the reading thread: they may only enqueue. `at_s` is when the frame was taken."""

    def __init__(
        self,
        address: Address,
        *,
        along: Along,
        strip_share: float,
        monotonic_s: Callable[[], float],
        delay_s: Callable[[int], float],
        on_reading: Callable[[float, str, Reading], None],
        on_news: Callable[[float, str, str], None],
        decoders: Decoders | None = None,
    ) -> None:
        self._camera = OpenedCamera(address, monotonic_s=monotonic_s, delay_s=delay_s, name=NAME)
        self._strip = _Strip(self._camera, along, strip_share, monotonic_s, on_news)
        self._on_reading = on_reading
        self._decoders = decoders
        self._reading: ReadingThread | None = None

    def start(self) -> None:
        self._camera.open()
        self._reading = ReadingThread(self._strip, self._decoders or found(), self._told, plan=_WHOLE)
        self._reading.start()

    def stop(self) -> None:
        """Returns when its threads have ended, or hang in a system call."""
        if self._reading is not None:
            self._reading.stop()
            self._reading.join(_CLOSE_S)
        self._camera.close(_CLOSE_S)

    def _told(self, seen: ScanSeen | NotACode) -> None:
        # that nothing was read on a parcel its own windows tell: a frame without a code says nothing
        if isinstance(seen, ScanSeen):
            self._on_reading(seen.at_s, NAME, CodeSeen(seen.text, seen.aim))


class _Strip:
    """The middle of each frame, across the belt; says when there are none."""

    def __init__(
        self,
        camera: OpenedCamera,
        along: Along,
        share: float,
        monotonic_s: Callable[[], float],
        on_news: Callable[[float, str, str], None],
    ) -> None:
        self._camera = camera
        self._along = along
        self._share = share
        self._monotonic_s = monotonic_s
        self._on_news = on_news
        self._since_s = monotonic_s()
        self._lost: bool | None = None

    def frame(self) -> GreyFrame | None:
        whole = self._camera.frame()
        self._look(whole)
        if whole is None:
            return None
        return GreyFrame(whole.number, strip_of(whole.grey, self._along, self._share), whole.at_s)

    def _look(self, whole: GreyFrame | None) -> None:
        now_s = self._monotonic_s()
        seen_s = self._since_s if whole is None else max(whole.at_s, self._since_s)
        lost = now_s - seen_s > _SILENT_S
        if lost == self._lost or (whole is None and not lost):
            return
        self._lost = lost
        health = self._camera.health()
        why = f" ({health.why})" if health is not None and health.why else ""
        self._on_news(now_s, NAME, f"no picture for {now_s - seen_s:.1f} s{why}" if lost else "")


def strip_of(grey: Grey, along: Along, share: float) -> Grey:
    """The middle `share` of a picture in the belt's direction, over its whole width."""
    length = grey.shape[1] if along == "columns" else grey.shape[0]
    kept = min(length, max(_FEWEST_DOTS, round(length * share)))
    first = (length - kept) // 2
    part: Grey = grey[:, first : first + kept] if along == "columns" else grey[first : first + kept]
    return part
