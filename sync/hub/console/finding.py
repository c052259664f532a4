"""What a search finds: by exact numbers through indexes, by similar plates through written-out candidates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from sync.hub.archive import Archive
from sync.hub.console.evidence import record_somewhere
from sync.hub.console.shown import NamedRow, PassageRow, Shown
from sync.vocabulary.codec import Malformed, from_json
from sync.vocabulary.records import Enterprise, Trace
from sync.vocabulary.similar_plates import meant, similar, spelled

MOST: Final = 100
MOST_NAMES: Final = 20
AT_ONCE: Final = 500
_COLUMNS: Final = ", ".join(PassageRow._fields)
_COLUMNS_OF_P: Final = ", ".join(f"p.{name}" for name in PassageRow._fields)
_RECORDS: Final = (
    "release_slips",
    "waybills",
    "vehicles",
    "enterprises",
    "officers",
    "inspection_orders",
    "recalls",
    "controls",
)


@dataclass(frozen=True, slots=True)
class SimilarPlate:
    plate: str
    passages: int
    """How often it came; 0: only registered."""
    last_utc: str
    """When it came last."""
    is_registered: bool


@dataclass(frozen=True, slots=True)
class Found:
    asked: str
    passages: tuple[PassageRow, ...] = ()
    """The latest first."""
    similar: tuple[SimilarPlate, ...] = ()
    parcels: tuple[str, ...] = ()
    records: tuple[tuple[str, str, str], ...] = ()
    """Collection, key, name where it has one."""
    facts: tuple[NamedRow, ...] = ()
    """That name it and are of no passage, the latest first."""

    @property
    def is_empty(self) -> bool:
        return not (self.passages or self.similar or self.parcels or self.records or self.facts)


def find(archive: Archive, shown: Shown, asked: str, from_utc: str, to_utc: str, lane: str) -> Found:
    """Times are UTC text, the latter not included; empty: any. Without words: passages of that time."""
    text = asked.strip()
    if not text:
        return Found("", passages=_in_time(shown, from_utc or "0", to_utc or "9999", lane))
    plate = spelled(text)
    when = _When(from_utc, to_utc or "9999", lane)
    rows = {row.address: row for row in _of_plates(shown, (plate, *meant(text)), when)}
    facts: set[NamedRow] = set()
    for what in ("slip", "waybill", "enterprise", "officer", "order", "trace"):
        for name in dict.fromkeys((text, text.upper())):
            rows.update((row.address, row) for row in _passages_naming(shown, what, name, when))
            facts.update(_facts_naming(shown, what, name, when))
    passages = sorted(rows.values(), key=lambda row: row.opened_utc, reverse=True)
    latest = sorted(facts, key=lambda row: (row.utc, row.device, row.seq), reverse=True)
    return Found(
        text,
        tuple(passages[:MOST]),
        similar_plates(archive, shown, plate),
        tuple(_parcels(archive, shown, text))[:MOST],
        tuple(_records(archive, text)),
        tuple(latest[:MOST]),
    )


def similar_plates(archive: Archive, shown: Shown, plate: str) -> tuple[SimilarPlate, ...]:
    candidates = similar(plate)
    came: dict[str, tuple[int, str]] = {}
    for some in _at_once(candidates):
        counted = shown.execute(
            "SELECT plate, count(*), max(opened_utc) FROM passages "  # noqa: S608  only question marks
            f"WHERE plate IN ({','.join('?' * len(some))}) GROUP BY plate",
            some,
        )
        came.update((found, (count, last_utc)) for found, count, last_utc in counted)
    registered = set(_keys_among(archive, "vehicles", candidates))
    found = [
        SimilarPlate(each, *came.get(each, (0, "")), each in registered) for each in {*came, *registered}
    ]
    return tuple(sorted(found, key=lambda one: (-one.passages, one.plate))[:MOST_NAMES])


class _When(NamedTuple):
    """Opened since and before, both as UTC text; in this lane, or in any."""

    from_utc: str
    to_utc: str
    lane: str

    def has(self, row: PassageRow) -> bool:
        return self.from_utc <= row.opened_utc < self.to_utc and self.lane in ("", row.device)


def _at_once(names: Sequence[str]) -> Iterator[Sequence[str]]:
    return (names[start : start + AT_ONCE] for start in range(0, len(names), AT_ONCE))


def _of_plates(shown: Shown, plates: Sequence[str], when: _When) -> Iterator[PassageRow]:
    """The latest of each some of them."""
    for some in _at_once(plates):
        # The keys first, by the index alone: a plate with two characters unknown stands for a thousand.
        rows = shown.execute(
            f"SELECT {_COLUMNS_OF_P} FROM (SELECT device, passage, epoch FROM passages "  # noqa: S608  only question marks and names of ours
            f"WHERE plate IN ({','.join('?' * len(some))}) AND opened_utc >= ? AND opened_utc < ? "
            "AND (? = '' OR device = ?) ORDER BY opened_utc DESC LIMIT ?) AS k CROSS JOIN passages AS p "
            "ON p.device = k.device AND p.passage = k.passage AND p.epoch = k.epoch",
            (*some, when.from_utc, when.to_utc, when.lane, when.lane, MOST),
        )
        yield from map(PassageRow._make, rows)


def _passages_naming(shown: Shown, what: str, name: str, when: _When) -> tuple[PassageRow, ...]:
    """The latest whose facts name it."""
    which = (
        "SELECT device, passage, epoch, utc FROM named WHERE what = ? AND name = ? "
        "AND passage IS NOT NULL AND (? = '' OR device = ?) "
    )
    those = (what, name, when.lane, when.lane)
    told = shown.execute(
        f"{which} AND utc >= ? AND utc < ? ORDER BY utc DESC LIMIT ?",
        (*those, when.from_utc, when.to_utc, 10 * MOST),
    ).fetchall()
    # What names a passage is told after it was opened: of those opened last, behind the end of that time.
    told += shown.execute(
        f"{which} AND utc >= ? ORDER BY utc LIMIT ?", (*those, when.to_utc, MOST)
    ).fetchall()
    found: dict[str, PassageRow] = {}
    for row in told:
        one = shown.passage_then(*row)
        if one is not None and when.has(one):
            found.setdefault(one.address, one)
    return tuple(sorted(found.values(), key=lambda row: row.opened_utc, reverse=True)[:MOST])


def _facts_naming(shown: Shown, what: str, name: str, when: _When) -> Iterator[NamedRow]:
    """The latest that name it and are of no passage."""
    rows = shown.execute(
        "SELECT what, name, utc, device, epoch, stream, seq, kind, passage FROM named "
        "WHERE what = ? AND name = ? AND utc >= ? AND utc < ? AND passage IS NULL "
        "AND (? = '' OR device = ?) ORDER BY utc DESC LIMIT ?",
        (what, name, when.from_utc, when.to_utc, when.lane, when.lane, MOST),
    )
    yield from map(NamedRow._make, rows)


def _in_time(shown: Shown, from_utc: str, to_utc: str, lane: str) -> tuple[PassageRow, ...]:
    rows = shown.execute(
        f"SELECT {_COLUMNS} FROM passages WHERE opened_utc >= ? AND opened_utc < ? "  # noqa: S608
        "AND (? = '' OR device = ?) ORDER BY opened_utc DESC LIMIT ?",
        (from_utc, to_utc, lane, lane, MOST),
    )
    return tuple(map(PassageRow._make, rows))


def _keys_among(archive: Archive, collection: str, keys: Sequence[str]) -> Iterator[str]:
    for scope in archive.scopes():
        for some in _at_once(keys):
            rows = archive.engine.execute(
                "SELECT key FROM records WHERE scope = ? AND collection = ? "  # noqa: S608  only question marks
                f"AND key IN ({','.join('?' * len(some))})",
                (scope.scope, collection, *some),
            )
            yield from (key for (key,) in rows.fetchall())


def _parcels(archive: Archive, shown: Shown, text: str) -> Iterator[str]:
    """By waybill number, or trace code."""
    found: dict[str, None] = {}
    for number in dict.fromkeys((text, text.upper())):
        if record_somewhere(archive, "waybills", number)[1] is not None or shown.named("waybill", number, 1):
            found[number] = None
        found.update(dict.fromkeys(waybills_of_trace(archive, number)))
    yield from found


def waybills_of_trace(archive: Archive, code: str) -> tuple[str, ...]:
    """Of the parcel this trace code was given to."""
    body = record_somewhere(archive, "traces", code)[1]
    try:
        trace = None if body is None else from_json(body, Trace)
    except Malformed:
        return ()
    return () if trace is None or trace.waybill_no is None else (str(trace.waybill_no),)


def _records(archive: Archive, text: str) -> Iterator[tuple[str, str, str]]:
    keys = tuple(dict.fromkeys((text, text.upper(), spelled(text))))
    for collection in _RECORDS:
        for key in dict.fromkeys(_keys_among(archive, collection, keys)):
            yield collection, key, ""
    if len(text) >= 2:
        yield from _firms_called(archive, text)


def _firms_called(archive: Archive, text: str) -> Iterator[tuple[str, str, str]]:
    """Enterprises whose name has these words in it."""
    told = 0
    for body in archive.bodies_of("enterprises"):
        if text not in body:
            continue
        try:
            firm = from_json(body, Enterprise)
        except Malformed:
            continue
        if text in firm.name and told < MOST_NAMES:
            told += 1
            yield "enterprises", str(firm.code), firm.name
