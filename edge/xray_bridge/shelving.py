"""Evidence and references of a station, as its performer, its page and the link need them: one door to the
rooms that keep them. Decides nothing, knows no belt.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Final

import msgspec
import structlog

from edge.xray_bridge.analysing import PREVIEW
from edge.xray_bridge.contract import Found, PictureShown, ReferenceShown
from edge.xray_bridge.effects import KeepEvidence, SavePicture
from edge.xray_bridge.evidence.dicos import Scan
from edge.xray_bridge.evidence.keeping import EvidenceKeeper, earlier
from edge.xray_bridge.evidence.library import (
    Entry,
    Library,
    goods_key,
    plain_quantity,
    quantity_in,
)
from edge.xray_bridge.evidence.manifest import Machine, Taken
from edge.xray_bridge.evidence.searching import Searcher
from edge.xray_bridge.imaging.analysis import analyse
from edge.xray_bridge.imaging.calibration import Calibration
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
ANEW_REMEMBERED: Final = 1_000
MOST_ANEW: Final = 8
"""Of one set, while one parcel waits: the others are described anew with the parcels to come."""
PRIOR: Final = Calibration().id
UNNAMED: Final = Machine()


def scan_of(held: Held, plate: Machine) -> Scan:
    """A picture in memory, as its evidence is written from. `plate`: the machine as the config names it."""
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
        machine=msgspec.structs.replace(
            plate,
            serial=seen.serial[:200] or plate.serial,
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

    def __init__(
        self,
        keeper: EvidenceKeeper,
        library: Library,
        searcher: Searcher,
        *,
        calibration: Callable[[], Calibration],
        plate: Machine = UNNAMED,
    ) -> None:
        """`calibration`: the one in force. `plate`: the machine as the config names it."""
        self._keeper = keeper
        self._library = library
        self._searcher = searcher
        self._calibration = calibration
        self._plate = plate
        self._lock = Lock()
        self._sets: OrderedDict[tuple[str, ...], References] = OrderedDict()
        self._anew: OrderedDict[tuple[str, str], Descriptor | None] = OrderedDict()
        """(entry, calibration) -> its picture described by that calibration; None: the picture is gone."""

    def start(self) -> None:
        self._keeper.start()

    def close(self) -> None:
        self._keeper.close()

    def keep(self, effect: KeepEvidence, held: Held | None) -> None:
        """None: it is no longer in memory; then it was kept before, and this is a later word on it."""
        self._keeper.keep(effect, None if held is None else scan_of(held, self._plate))

    def save(self, effect: SavePicture, held: Held) -> None:
        calibration = "" if held.descriptor is None else held.descriptor.calibration
        self._keeper.save(effect, scan_of(held, self._plate), calibration=calibration)

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
        many = f" × {entry.quantity}" if entry.quantity else ""
        what = f"{entry.key} {entry.goods}{many} {entry.saved_utc[:10]}"
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
        quantity = quantity_in(goods)
        of_sku = _compared_with(sku, own[Likeness.SKU], quantity)
        of_chapter = _compared_with(chapter, own[Likeness.CHAPTER])

        def made() -> References:
            calibration = self._calibration()
            key = (
                calibration.id,
                quantity,
                *(each.known_as for each in of_sku),
                "",
                *(each.known_as for each in of_chapter),
            )
            with self._lock:
                known = self._sets.get(key)
                if known is not None:
                    self._sets.move_to_end(key)
                    return known
            sku_set, sku_is_whole = self._described(of_sku, calibration)
            chapter_set, chapter_is_whole = self._described(of_chapter, calibration)
            made_now = References.of(sku_set, chapter_set, quantity)
            if sku_is_whole and chapter_is_whole:
                with self._lock:
                    self._sets[key] = made_now
                    while len(self._sets) > SETS_REMEMBERED:
                        self._sets.popitem(last=False)
            return made_now

        return made

    def _described(
        self, references: Sequence[_Reference], calibration: Calibration
    ) -> tuple[tuple[Kept, ...], bool]:
        """By the calibration in force, as the parcel will be: another one sees other materials in the same
        picture. (What can be compared with, oldest first; False: there will be more the next time.)"""
        found: list[Kept] = []
        left, whole = MOST_ANEW, True
        for each in reversed(references):
            try:
                described = Descriptor.read(each.descriptor)
            except DescriptorRefused as refused:
                _logger().warning(
                    "a reference cannot be compared with", reference=each.number, why=str(refused)
                )
                continue
            if described.calibration != calibration.id and each.in_library:
                known, anew = self._known_anew(each.number, calibration)
                if not known and not left:
                    whole = False
                    continue
                if not known:
                    left -= 1
                    anew = self._describe_anew(each.number, calibration)
                if anew is None:
                    continue
                described = anew
            elif described.calibration == PRIOR and calibration.measured:
                # Of the records, without a picture: made before anything was measured, it says nothing here.
                continue
            found.append(Kept(each.number, described, each.quantity))
        return tuple(reversed(found)), whole

    def _known_anew(self, number: str, calibration: Calibration) -> tuple[bool, Descriptor | None]:
        key = (number, calibration.id)
        with self._lock:
            return key in self._anew, self._anew.get(key)

    def _describe_anew(self, number: str, calibration: Calibration) -> Descriptor | None:
        raw = self._searcher.raw(number)
        described = None if raw is None else analyse(raw, calibration)[1]
        with self._lock:
            self._anew[(number, calibration.id)] = described
            while len(self._anew) > ANEW_REMEMBERED:
                self._anew.popitem(last=False)
        return described


@dataclass(frozen=True, slots=True)
class _Reference:
    number: str
    descriptor: str
    in_library: bool
    """Its picture is at hand."""
    quantity: str

    @property
    def known_as(self) -> str:
        """A record keeps its number when it changes; an entry of the library does not."""
        return f"{self.number}/{self.quantity}/{hash(self.descriptor)}"


def _compared_with(
    records: Sequence[Reference], entries: Sequence[Entry], quantity: str = ""
) -> tuple[_Reference, ...]:
    """Those of the declared number last, and this station's own last of these, they are of its own machine:
    no more than are used, and the first ones are left out first."""
    found = [
        _Reference(each.reference_no, each.descriptor, False, plain_quantity(each.quantity))
        for each in records
        if each.descriptor
    ]
    found += [_Reference(entry.key, entry.descriptor, True, entry.quantity) for entry in reversed(entries)]
    found.sort(key=lambda each: bool(quantity) and each.quantity == quantity)
    return tuple(found[-MOST_REFERENCES:])


def _logger() -> structlog.stdlib.BoundLogger:
    log: structlog.stdlib.BoundLogger = structlog.get_logger("references")
    return log
