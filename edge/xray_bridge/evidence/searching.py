"""Finding earlier pictures: by waybill, SKU, enterprise, day, verdict, or by likeness. Reads only; any
thread, but one search at a time is enough for a station."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Literal

import msgspec
import numpy as np
import structlog

from edge.xray_bridge.contract import MOST_FOUND, Found, FoundShown
from edge.xray_bridge.evidence.days import Entry as Parcel
from edge.xray_bridge.evidence.dicos import pixels_of
from edge.xray_bridge.evidence.library import Entry, Library
from edge.xray_bridge.evidence.likes import MOST_LOOKED_AT, looked_through
from edge.xray_bridge.evidence.store import EvidenceStore, Stored
from edge.xray_bridge.imaging.comparing import Kept, alike, unlikeness
from edge.xray_bridge.imaging.describing import Descriptor, DescriptorRefused
from edge.xray_bridge.imaging.pictures import RawPicture
from edge.xray_bridge.values import Verdict

SearchBy = Literal["waybill", "sku", "enterprise", "picture"]

MOST_DAYS: Final = 400
_VERDICTS: Final = frozenset(each.value for each in Verdict)


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """All that is given must fit; texts fit from their beginning, whatever their case."""

    waybill_no: str = ""
    sku: str = ""
    hs_code: str = ""
    enterprise: str = ""
    verdict: str = ""
    category: str = ""
    first_day: str = ""
    last_day: str = "9999-12-31"
    """`yyyy-mm-dd`, both included."""


class Searcher:
    def __init__(
        self,
        store: EvidenceStore,
        library: Library,
        *,
        descriptor_of: Callable[[str], Descriptor | None] = lambda picture: None,
    ) -> None:
        """`descriptor_of(picture)`: of one still in memory."""
        self._store = store
        self._library = library
        self._descriptor_of = descriptor_of

    def search(self, by: SearchBy, text: str, limit: int) -> Found:
        """For a desk's page: the newest, or the likeliest, first. Never raises."""
        limit = max(1, min(limit, MOST_FOUND))
        try:
            match by:
                case "waybill":
                    rows = self.find(Query(waybill_no=text), limit + 1)
                case "sku":
                    rows = self.find(Query(sku=text), limit + 1)
                case "enterprise":
                    rows = self.find(Query(enterprise=text), limit + 1)
                case "picture":
                    rows = self.alike(text, limit + 1)
        except (OSError, ValueError) as error:
            structlog.get_logger("search").warning("a search failed", by=by, why=str(error))
            rows = []
        return Found(rows=tuple(rows[:limit]), more=len(rows) > limit)

    def find(self, query: Query, limit: int) -> list[FoundShown]:
        """The newest first; a picture that is in the library too is one row. Raises `OSError`."""
        found: dict[str, FoundShown] = {}
        for entry in self._library.entries():
            if _fits(query, entry.waybill_no, (entry.sku,), (entry.hs_code,), entry.enterprise) and (
                not query.verdict
                and query.first_day <= entry.saved_utc[:10] <= query.last_day
                and _begins(entry.category, query.category)
            ):
                found.setdefault(entry.picture, _shown_entry(entry))
        for parcel in self._parcels(query):
            known = found.get(parcel.last.picture)
            shown = _shown_parcel(parcel)
            if known is not None:
                shown = msgspec.structs.replace(
                    shown, category=shown.category or known.category, goods=known.goods
                )
            found[parcel.last.picture] = shown
            if len(found) >= 2 * limit:
                break
        return sorted(found.values(), key=lambda row: row.utc, reverse=True)[:limit]

    def alike(self, picture: str, limit: int) -> list[FoundShown]:
        """Entries of the library and past parcels that look like that picture, the likest first; nothing
        where it is not known. A picture of both is its entry. Raises `OSError`."""
        descriptor = self._descriptor_of(picture) or self._kept_descriptor(picture)
        if descriptor is None:
            return []
        entries = {entry.key: entry for entry in self._library.entries() if entry.picture != picture}
        kept = [
            Kept(key, described)
            for key, entry in entries.items()
            if (described := _described(entry.descriptor)) is not None
        ]
        found = [
            msgspec.structs.replace(_shown_entry(entries[each.reference_no]), distance=round(distance, 4))
            for each, distance in alike(descriptor, kept, limit)
        ]
        known = {picture, *(entry.picture for entry in entries.values())}
        found += self._past_alike(descriptor, known, limit)
        return sorted(found, key=lambda row: row.distance or 0.0)[:limit]

    def _past_alike(self, descriptor: Descriptor, but: set[str], limit: int) -> list[FoundShown]:
        """Among the newest, as many as a search may look at; those whose evidence is still there."""
        days, left = self._store.days, MOST_LOOKED_AT
        ranked: list[tuple[float, str, str]] = []
        for day in reversed(days.days()):
            looked = looked_through(days.likes(day), day, descriptor.calibration, left)
            if looked is None:
                continue
            distances = unlikeness(descriptor, looked.shapes)
            nearest = np.argsort(distances, kind="stable")[: limit + len(but)]
            ranked += [(float(distances[n]), day, looked.pictures[int(n)]) for n in nearest]
            left -= len(looked.pictures)
            if left <= 0:
                break
        ranked.sort(key=lambda each: each[0])
        there: dict[str, dict[str, Parcel]] = {}
        found: list[FoundShown] = []
        for distance, day, picture in ranked:
            if picture in but:
                continue
            if day not in there:
                there[day] = days.entries(day)
            parcel = there[day].get(picture)
            if parcel is not None:
                found.append(msgspec.structs.replace(_shown_parcel(parcel), distance=round(distance, 4)))
                if len(found) == limit:
                    break
        return found

    def raw(self, picture: str) -> RawPicture | None:
        """A picture of the past or of the library (by its own id, or an entry's number), to be looked at as a
        live one. None: it is not there any more, or not whole. Never raises."""
        try:
            entry = self._library.get(picture) or self._library.of_picture(picture)
            if entry is not None:
                taken = entry.taken
                low, high = (self._library.file(entry, name) for name in ("low.dcs", "high.dcs"))
            else:
                stored = self._stored(picture)
                if stored is None:
                    return None
                taken = stored.manifest.taken
                low, high = (self._store.file(stored, name) for name in ("low.dcs", "high.dcs"))
            if low is None or high is None:
                return None
            return RawPicture(
                pixels_of(low),
                pixels_of(high),
                taken.air_low,
                taken.air_high,
                taken.column_mm,
                taken.row_mm,
                picture,
            )
        except (OSError, ValueError) as error:
            structlog.get_logger("search").warning("no picture", picture=picture, why=str(error))
            return None

    def _stored(self, picture: str) -> Stored | None:
        stored = self._store.latest(picture)
        if stored is not None:
            return stored
        for day in list(reversed(self._store.days.days()))[:MOST_DAYS]:
            entry = self._store.days.entries(day, holding=picture).get(picture)
            if entry is not None:
                return self._store.stored(entry)
        return None

    def _kept_descriptor(self, picture: str) -> Descriptor | None:
        entry = self._library.get(picture) or self._library.of_picture(picture)
        if entry is not None:
            return _described(entry.descriptor)
        stored = self._stored(picture)
        return None if stored is None else _described(bytes(stored.manifest.said.descriptor))

    def _parcels(self, query: Query) -> Iterator[Parcel]:
        days = [day for day in self._store.days.days() if query.first_day <= day <= query.last_day]
        for day in list(reversed(days))[:MOST_DAYS]:
            entries = self._store.days.entries(day, holding=_needle(query))
            for parcel in reversed(list(entries.values())):
                last = parcel.last
                if (
                    _fits(query, last.waybill_no, last.skus, last.hs_codes, last.enterprise)
                    and query.verdict in ("", last.verdict)
                    and _begins(last.category, query.category)
                ):
                    yield parcel


def _needle(query: Query) -> str:
    """What stands in every line that can fit: most days have none, and need no further look."""
    return query.waybill_no or query.sku or query.enterprise or query.hs_code


def _fits(
    query: Query, waybill_no: str, skus: tuple[str, ...], hs_codes: tuple[str, ...], enterprise: str
) -> bool:
    return (
        _begins(waybill_no, query.waybill_no)
        and any(_begins(sku, query.sku) for sku in skus or ("",))
        and any(_begins(code, query.hs_code) for code in hs_codes or ("",))
        and _begins(enterprise, query.enterprise)
    )


def _begins(text: str, beginning: str) -> bool:
    return text.casefold().startswith(beginning.casefold())


def _described(text: str | bytes) -> Descriptor | None:
    if not text or text == b"null":
        return None
    try:
        return Descriptor.read(text)
    except DescriptorRefused:
        return None


def _shown_entry(entry: Entry) -> FoundShown:
    return FoundShown(
        picture=entry.picture,
        waybill_no=entry.waybill_no,
        category=entry.category,
        sku=entry.sku,
        enterprise=entry.enterprise,
        goods=f"{entry.key} {entry.goods}".strip(),
        utc=entry.saved_utc,
    )


def _shown_parcel(parcel: Parcel) -> FoundShown:
    last = parcel.last
    return FoundShown(
        picture=last.picture,
        waybill_no=last.waybill_no,
        verdict=Verdict(last.verdict) if last.verdict in _VERDICTS else None,
        category=last.category,
        sku=last.skus[0] if last.skus else "",
        enterprise=last.enterprise,
        utc=last.taken_utc,
    )
