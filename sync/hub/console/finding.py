"""What a search finds: by exact numbers through indexes, by similar plates through written-out candidates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sync.hub.archive import Archive
from sync.hub.console.evidence import passages_of, record_somewhere
from sync.hub.console.shown import NamedRow, PassageRow, Shown
from sync.vocabulary.codec import Malformed, from_json
from sync.vocabulary.records import Enterprise, Trace
from sync.vocabulary.similar_plates import meant, similar, spelled

MOST: Final = 100
MOST_NAMES: Final = 20
AT_ONCE: Final = 500
_COLUMNS: Final = ", ".join(PassageRow._fields)
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
    last: PassageRow | None
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
    rows = {row.address: row for row in _of_plates(shown, (plate, *meant(text)))}
    named: list[NamedRow] = []
    for what in ("slip", "waybill", "enterprise", "officer", "order", "trace"):
        for name in dict.fromkeys((text, text.upper())):
            for row in passages_of(shown, what, name, MOST):
                rows[row.address] = row
            named += (row for row in shown.named(what, name, MOST) if row.passage is None)
    passages = sorted(
        (row for row in rows.values() if _fits(row, from_utc, to_utc, lane)),
        key=lambda row: row.opened_utc,
        reverse=True,
    )
    facts = sorted(
        (row for row in set(named) if (from_utc or "0") <= row.utc < (to_utc or "9999")),
        key=lambda row: (row.utc, row.device, row.seq),
        reverse=True,
    )
    return Found(
        text,
        tuple(passages[:MOST]),
        similar_plates(archive, shown, plate),
        tuple(_parcels(archive, shown, text))[:MOST],
        tuple(_records(archive, text)),
        tuple(facts[:MOST]),
    )


def similar_plates(archive: Archive, shown: Shown, plate: str) -> tuple[SimilarPlate, ...]:
    candidates = similar(plate)
    came: dict[str, list[PassageRow]] = {}
    for row in _of_plates(shown, candidates):
        came.setdefault(row.plate, []).append(row)
    registered = set(_keys_among(archive, "vehicles", candidates))
    found = [
        SimilarPlate(
            each,
            len(came.get(each, ())),
            max(came[each], key=lambda row: row.opened_utc) if each in came else None,
            each in registered,
        )
        for each in {*came, *registered}
    ]
    return tuple(sorted(found, key=lambda one: (-one.passages, one.plate))[:MOST_NAMES])


def _of_plates(shown: Shown, plates: Sequence[str]) -> Iterator[PassageRow]:
    for start in range(0, len(plates), AT_ONCE):
        some = plates[start : start + AT_ONCE]
        rows = shown.execute(
            f"SELECT {_COLUMNS} FROM passages WHERE plate IN ({','.join('?' * len(some))}) "  # noqa: S608  only question marks and names of ours
            "ORDER BY opened_utc DESC LIMIT 1000",
            some,
        )
        yield from map(PassageRow._make, rows)


def _in_time(shown: Shown, from_utc: str, to_utc: str, lane: str) -> tuple[PassageRow, ...]:
    rows = shown.execute(
        f"SELECT {_COLUMNS} FROM passages WHERE opened_utc >= ? AND opened_utc < ? "  # noqa: S608
        "AND (? = '' OR device = ?) ORDER BY opened_utc DESC LIMIT ?",
        (from_utc, to_utc, lane, lane, MOST),
    )
    return tuple(map(PassageRow._make, rows))


def _fits(row: PassageRow, from_utc: str, to_utc: str, lane: str) -> bool:
    in_time = (from_utc or "0") <= (row.opened_utc or "0") < (to_utc or "9999")
    return in_time and lane in ("", row.device)


def _keys_among(archive: Archive, collection: str, keys: Sequence[str]) -> Iterator[str]:
    for scope in archive.scopes():
        for start in range(0, len(keys), AT_ONCE):
            some = keys[start : start + AT_ONCE]
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
