"""Pictures as a desk is shown them: the belt's from memory, references' and past ones from the disk, and the
tables that colour them. For the page's worker threads; the station is never asked.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Final

import numpy

from edge.xray_bridge.analysing import PLANES, PREVIEW, difference_map, planes, preview
from edge.xray_bridge.contract import Looks, ModeShown
from edge.xray_bridge.imaging.calibration import Calibration
from edge.xray_bridge.imaging.differing import NoCommonGround, difference
from edge.xray_bridge.imaging.palettes import MODE_WORDS, PALETTES, Mode, Palette
from edge.xray_bridge.imaging.pictures import PictureRefused, RawPicture, without_silent_rows
from edge.xray_bridge.imaging.tables import packed
from edge.xray_bridge.imaging.views import Developed, develop
from edge.xray_bridge.page.ports import Differs, NotAligned
from edge.xray_bridge.pictures import Pictures
from sync.vocabulary.rulings import Text

MOST_CALIBRATIONS: Final = 4
"""Tables of older ones are still asked for by pages that were open when they changed."""
NOT_ALIGNED: Final = {
    "empty": Text("其中一幅图中无物体", "Nothing lies in one of the two"),
    "size": Text("包装大小不同，无法对齐", "Cartons of another size cannot be laid over one another"),
    "content": Text("内容相差太大，无法对齐", "Too unlike to be laid over one another"),
}


class Shown:
    """Any thread."""

    def __init__(
        self,
        pictures: Pictures,
        *,
        calibration: Callable[[], Calibration],
        palette: Palette,
        kept: Callable[[str], RawPicture | None] = lambda picture: None,
    ) -> None:
        """`kept(picture)`: from the evidence or the library; may wait for a disk, answers None for what is
        not there or not whole."""
        self._pictures = pictures
        self._calibration = calibration
        self._palette = palette
        self._kept = kept
        self._lock = Lock()
        self._known: OrderedDict[str, Calibration] = OrderedDict()

    def planes(self, picture: str) -> bytes | None:
        """PNG: red the low, green the high channel's code."""
        held = self._pictures.get(picture)
        if held is not None:
            made = held.made.get(PLANES)
            if made is None:
                made = held.made[PLANES] = planes(held.developed)
            return made
        raw = self._kept(picture)
        return None if raw is None else planes(develop(raw))

    def preview(self, picture: str) -> bytes | None:
        held = self._pictures.get(picture)
        if held is not None:
            made = held.made.get(PREVIEW)
            if made is None:
                made = held.made[PREVIEW] = preview(held.developed, self._calibration(), self._palette)
            return made
        raw = self._kept(picture)
        return None if raw is None else preview(develop(raw), self._calibration(), self._palette)

    def difference(self, picture: str, reference: str) -> Differs | NotAligned | None:
        """Where the first differs from the second, in the first's frame."""
        one, other = self._developed(picture), self._developed(reference)
        if one is None or other is None:
            return None
        found = difference(one, other, self._calibration())
        if isinstance(found, NoCommonGround):
            return NotAligned(NOT_ALIGNED[found.why])
        return Differs(difference_map(found), found.common)

    def _developed(self, picture: str) -> Developed | None:
        held = self._pictures.get(picture)
        if held is not None:
            return held.developed
        raw = self._kept(picture)
        try:
            return None if raw is None else develop(without_silent_rows(raw)[0])
        except PictureRefused:
            return None

    def looks(self) -> Looks | None:
        calibration = self._calibration()
        name = f"{calibration.id}-{self._palette.name}"
        with self._lock:
            self._known[name] = calibration
            self._known.move_to_end(name)
            while len(self._known) > MOST_CALIBRATIONS:
                self._known.popitem(last=False)
        return Looks(
            table=name,
            modes=tuple(ModeShown(mode=mode.value, words=Text(*MODE_WORDS[mode])) for mode in Mode),
        )

    def table(self, table: str, mode: str) -> bytes | None:
        """65,536 x (red, green, blue, class), the cell of a dot being low x 256 + high."""
        with self._lock:
            calibration = self._known.get(table)
        if calibration is None or mode not in {each.value for each in Mode}:
            return None
        colours = packed(calibration, self._palette, Mode(mode))
        blue_first = colours.astype("<u4").view(numpy.uint8).reshape(-1, 4)
        return blue_first[:, (2, 1, 0, 3)].tobytes()


def palette_of(name: str) -> Palette:
    return PALETTES[name]
