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
from edge.xray_bridge.contract import Found, PictureShown, ReferenceShown
from edge.xray_bridge.effects import KeepEvidence, SavePicture
from edge.xray_bridge.evidence.dicos import Scan
from edge.xray_bridge.evidence.keeping import EvidenceKeeper, earlier
from edge.xray_bridge.evidence.library import Entry, Library, goods_key
from edge.xray_bridge.evidence.manifest import Machine, Taken
from edge.xray_bridge.evidence.searching import Searcher
from edge.xray_bridge.imaging.comparing import MOST_REFERENCES, Kept, References
from edge.xray_bridge.imaging.describing import Descriptor, DescriptorRefused
from edge.xray_bridge.imaging.pictures import RawPicture
from edge.xray_bridge.page.ports import SearchBy
from edge.xray_bridge.pictures import Held
from edge.xray_bridge.values import Acquisition, Goods, Likeness
from sync.vocabulary.records import Reference
from sync.vocabulary.rulings import Text

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
        calibrated_utc="" if seen.gain_age_s is None else earlier(held.utc, seen.gain_age_s),
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
    """`keep` and `save` from the station's thread, the rest from any."""

    def __init__(self, keeper: EvidenceKeeper, library: Library, searcher: Searcher) -> None:
        self._keeper = keeper
        self._library = library
        self._searcher = searcher
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
        calibration = "" if held.descriptor is None else held.descriptor.calibration
        self._keeper.save(effect, scan_of(held), calibration=calibration)

    def search(self, by: SearchBy, text: str, limit: int) -> Found:
        return self._searcher.search(by, text, limit)

    def read(self, sha256: str) -> bytes | None:
        return self._keeper.read(sha256)

    def raw(self, picture: str) -> RawPicture | None:
        """A picture of the past or of the library, as it was taken. Waits for a disk; never raises."""
        return self._searcher.raw(picture)

    def reference(self, number: str) -> ReferenceShown | None:
        """Of the library: what stands in the records has no picture at this station."""
        entry = self._library.get(number)
        if entry is None:
            return None
        find = entry.kind == "find"
        taken = entry.taken
        what = f"{entry.key} {entry.goods} {entry.saved_utc[:10]}"
        return ReferenceShown(
            reference_no=entry.key,
            picture=PictureShown(
                picture=entry.picture,
                width_px=taken.width_px,
                height_px=taken.height_px,
                mm_per_column=taken.column_mm,
                mm_per_row=taken.row_mm,
            ),
            words=Text(f"{'查获' if find else '参考'} {what}", f"{'Find' if find else 'Reference'} {what}"),
            find=find,
        )

    def references(
        self, goods: Goods | None, sku: Sequence[Reference], chapter: Sequence[Reference]
    ) -> Callable[[], References]:
        """What the records and this station's library say of the same goods, newest last; made into sets on
        the thread that asks."""
        lines = () if goods is None else goods.lines
        own = self._library.references_of(*goods_key((line.sku, line.hs_code) for line in lines))
        of_sku = _compared_with(sku, own[Likeness.SKU])
        of_chapter = _compared_with(chapter, own[Likeness.CHAPTER])

        def made() -> References:
            key = (*(number for number, _ in of_sku), "", *(number for number, _ in of_chapter))
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


def _compared_with(records: Sequence[Reference], entries: Sequence[Entry]) -> tuple[tuple[str, str], ...]:
    """(number, descriptor): this station's own last, they are of its own machine; and no more than are
    used."""
    found = [(each.reference_no, each.descriptor) for each in records if each.descriptor]
    found += [(entry.key, entry.descriptor) for entry in reversed(entries)]
    return tuple(found[-MOST_REFERENCES:])


def _kept(references: Sequence[tuple[str, str]]) -> tuple[Kept, ...]:
    found = []
    for number, descriptor in references:
        try:
            found.append(Kept(number, Descriptor.read(descriptor)))
        except DescriptorRefused as refused:
            structlog.get_logger("references").warning(
                "a reference cannot be compared with", reference=number, why=str(refused)
            )
    return tuple(found)
