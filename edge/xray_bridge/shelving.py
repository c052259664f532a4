"""Evidence and references of a station, as its performer, its page and the link need them: one door to the
rooms that keep them. Decides nothing, knows no belt.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Final

import structlog

from edge.xray_bridge.analysing import PREVIEW
from edge.xray_bridge.contract import Found
from edge.xray_bridge.effects import KeepEvidence, SavePicture
from edge.xray_bridge.events import Event, Saved
from edge.xray_bridge.evidence.dicos import Scan
from edge.xray_bridge.evidence.keeping import EvidenceKeeper
from edge.xray_bridge.evidence.manifest import Machine, Taken
from edge.xray_bridge.imaging.comparing import MOST_REFERENCES, Kept, References
from edge.xray_bridge.imaging.describing import Descriptor, DescriptorRefused
from edge.xray_bridge.page.ports import SearchBy
from edge.xray_bridge.pictures import Held
from edge.xray_bridge.values import Acquisition
from sync.vocabulary.records import Reference

SETS_REMEMBERED: Final = 64
"""Each knows its own spread, which takes longer to work out than to use."""


def scan_of(held: Held) -> Scan:
    """A picture in memory, as its evidence is written from."""
    seen = held.seen
    rows, columns = seen.low.shape
    speed = 0.0
    if seen.taken_s:
        speed = abs(float(seen.counts[-1] - seen.counts[0])) * seen.mm_per_count / seen.taken_s
    taken = Taken(
        picture=seen.picture,
        width_px=columns,
        height_px=rows,
        taken_utc=held.utc,
        machine=Machine(
            serial=seen.serial[:200],
            kv_peak=seen.kilovolts or 0.0,
            tube_current_ua=float(seen.microamperes or 0),
        ),
        acquisition=Acquisition.INCOMPLETE if seen.status == "STITCHED" else Acquisition(seen.status.lower()),
        column_mm=seen.mm_per_column,
        row_mm=seen.mm_per_pixel,
        belt_mm_s=round(speed, 1),
        took_ms=0.0 if held.analysis is None else held.analysis.took_ms,
        air_low=seen.air_low,
        air_high=seen.air_high,
    )
    descriptor = b"" if held.descriptor is None else held.descriptor.text().encode()
    return Scan(taken, seen.low, seen.high, held.made.get(PREVIEW), descriptor)


class Shelf:
    """`keep` from the station's thread, `read` from the link's."""

    def __init__(self, keeper: EvidenceKeeper, put: Callable[[Event], None]) -> None:
        self._put = put
        self._keeper = keeper
        self._lock = Lock()
        self._sets: OrderedDict[tuple[str, ...], References] = OrderedDict()

    def start(self) -> None:
        self._keeper.start()

    def close(self) -> None:
        self._keeper.close()

    def keep(self, effect: KeepEvidence, held: Held | None) -> None:
        """None: it is no longer in memory; then it was kept before, and this is a later word on it."""
        self._keeper.keep(effect, None if held is None else scan_of(held))

    def save(self, effect: SavePicture, held: Held) -> None:
        self._put(Saved(effect.parcel, effect.picture, effect.kind, "", "no library"))

    def search(self, by: SearchBy, text: str, limit: int) -> Found:
        return Found()

    def read(self, sha256: str) -> bytes | None:
        return self._keeper.read(sha256)

    def references(self, sku: Sequence[Reference], chapter: Sequence[Reference]) -> Callable[[], References]:
        """What the records say of the same goods, newest last; made into sets on the thread that asks."""
        of_sku = tuple(each for each in sku if each.descriptor)[-MOST_REFERENCES:]
        of_chapter = tuple(each for each in chapter if each.descriptor)[-MOST_REFERENCES:]

        def made() -> References:
            key = (*(each.reference_no for each in of_sku), "", *(each.reference_no for each in of_chapter))
            with self._lock:
                known = self._sets.get(key)
                if known is not None:
                    self._sets.move_to_end(key)
                    return known
            known = References.of(_kept(of_sku), _kept(of_chapter))
            with self._lock:
                self._sets[key] = known
                while len(self._sets) > SETS_REMEMBERED:
                    self._sets.popitem(last=False)
            return known

        return made


def _kept(references: Sequence[Reference]) -> tuple[Kept, ...]:
    found = []
    for each in references:
        try:
            found.append(Kept(each.reference_no, Descriptor.read(each.descriptor)))
        except DescriptorRefused as refused:
            structlog.get_logger("references").warning(
                "a reference cannot be compared with", reference=each.reference_no, why=str(refused)
            )
    return tuple(found)
