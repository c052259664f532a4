"""Records: what the centre says is true, one file per generation (G1, G5). The link writes it, lanes read it.

A file holds one scope's log, applied in order and atomically with its number, and the additive digest that
proves it equal to the centre's. Nothing of what a device decided is kept here, and no clock is read.
"""

from __future__ import annotations

import enum
import os
import re
import sqlite3
import struct
from collections import defaultdict
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby, islice
from operator import attrgetter, eq, itemgetter
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from sync.policy.digests import BUCKETS, MODULUS, add_moves, bucket_of, move_of, row_digest, to_hex
from sync.store.folders import sync_folder
from sync.store.opening import PLAIN, RECORDS, Opener, StoreRefused, open_database, refused
from sync.vocabulary.codec import Malformed, checker, decoder
from sync.vocabulary.records import (
    COLLECTIONS,
    KEY_FIELDS,
    Control,
    HeldPassage,
    InspectionOrder,
    OrderStanding,
    PatrolRoute,
    Recall,
    Record,
    Reference,
    ReleaseSlip,
    Site,
    StockRow,
    Trace,
    Vehicle,
    Waybill,
    key_of,
)

__all__ = [
    "ApplyOutcome",
    "ApplyResult",
    "Batch",
    "Change",
    "FeedState",
    "Mended",
    "Records",
    "StoreRefused",
    "Survey",
    "drop_other_generations",
    "fill_generation",
    "generation_path",
    "new_generation",
    "next_generation",
    "sync_folder",
]

MMAP_BYTES = 2**31 - 65_536
"""SQLite's own ceiling. Mapped pages are the file's, not the program's: they do not count as its memory."""

PAGE_BYTES = 4096

CACHE_KIB = 16_000
"""Pages a large batch dirties before it commits; the lane's whole budget is 100 MB."""

WAL_AUTOCHECKPOINT_PAGES = 8_000
"""A bulk load rewrites the same pages again and again: fewer checkpoints write each of them fewer times."""

WAL_KEPT_BYTES = 32 * 1024 * 1024

SNAPSHOT_RESERVED_BYTES = 80
"""Left free in each page of what the centre makes, 2 % of it: there a handheld puts what its cipher needs
(`sync.store.enciphered`), and needs no plain copy to encipher from."""

R = TypeVar("R", bound=Record)

_NAME = re.compile(r"records-(\d+)\.sqlite")
_PUT = "put"
_READ_AT_ONCE = 64
_FILL_AT_ONCE = 10_000
_SHELF = 64
"""Bucket sums to a row of `buckets`."""
_SUM_BYTES = 16
_SHELF_BYTES = _SHELF * _SUM_BYTES
_MANY = ",".join("?" * _READ_AT_ONCE)

_DECODERS = {name: decoder(kind) for name, kind in COLLECTIONS.items()}
_CHECKERS: dict[str, Callable[[list[str]], list[str]]] = {
    name: checker(kind, attrgetter(KEY_FIELDS[name])) for name, kind in COLLECTIONS.items()
}
_GET = {name: f'SELECT body FROM "{name}" WHERE key = ?' for name in COLLECTIONS}  # noqa: S608  our own table names
_GET_MANY = {
    name: f'SELECT key, CAST(body AS BLOB) FROM "{name}" WHERE key IN ({_MANY})'  # noqa: S608
    for name in COLLECTIONS
}
_PUT_ROW = {
    name: f'INSERT INTO "{name}" VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET body = excluded.body'  # noqa: S608
    for name in COLLECTIONS
}
_DELETE_ROW = {name: f'DELETE FROM "{name}" WHERE key = ?' for name in COLLECTIONS}  # noqa: S608


_GET_KEYS = f"SELECT key FROM waybills WHERE key IN ({_MANY})"  # noqa: S608
_PARCEL_FIELDS = {name: f"json_extract(body, '$.{name}')" for name in ("slip_no", "trace_code", "order_no")}


class Change(Protocol):
    """`sync.link.messages.Change`, by shape: this room stands below the link."""

    @property
    def number(self) -> int: ...
    @property
    def collection(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def op(self) -> str:
        """`put` or `delete`"""

    @property
    def body(self) -> str: ...


class Batch(Protocol):
    """`sync.link.messages.FeedBatch`, by shape."""

    @property
    def scope(self) -> str: ...
    @property
    def epoch(self) -> str: ...
    @property
    def first(self) -> int: ...
    @property
    def last(self) -> int: ...
    @property
    def changes(self) -> Sequence[Change]: ...


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A `Change` that came without a number."""

    number: int
    collection: str
    key: str
    op: str
    body: str


class ApplyResult(enum.StrEnum):
    APPLIED = "applied"
    ALREADY = "already"
    GAP = "gap"
    OTHER_EPOCH = "other_epoch"


@dataclass(frozen=True, slots=True)
class ApplyOutcome:
    result: ApplyResult
    expected: int
    """The number this file wants next."""


@dataclass(frozen=True, slots=True)
class FeedState:
    """How far a file's scope is applied, and what it then holds."""

    scope: str
    epoch: str
    number: int
    rows: int
    digest: str
    """32 hex digits, as in `FeedHead`."""
    verified_utc: str | None
    """Issue time of the newest head proved equal; records are as old as this (S10)."""


@dataclass(frozen=True, slots=True)
class Mended:
    """What a repair came to."""

    put: int
    deleted: int


@dataclass(frozen=True, slots=True)
class _Row:
    """The feed row, with the digest as a number."""

    scope: str
    epoch: str
    number: int
    rows: int
    digest: int
    verified_utc: str | None


_Version = int | tuple[str, int]


class _Tagged(msgspec.Struct, frozen=True):
    """Of a vehicle, checked as a whole before."""

    tag_epcs: tuple[str, ...] = ()


class _Plated(msgspec.Struct, frozen=True):
    """Of a slip, checked as a whole before."""

    plate: str | None = None
    card_no: str = ""


class _Sought(msgspec.Struct, frozen=True):
    """Of what officers look for, checked as a whole before."""

    location: str = ""
    sku: str = ""
    hs_code: str = ""
    slip_no: str | None = None
    waybill_no: str | None = None
    waybill_nos: tuple[str, ...] = ()


_read_sought = decoder(_Sought)
_read_tagged = decoder(_Tagged)
_read_plated = decoder(_Plated)

_CARD = "#"
"""Before a card number in `slip_plates`: no plate begins so."""


def _ways_to_slip(body: str | bytes) -> Iterator[str]:
    slip = _read_plated(body)
    if slip.plate:
        yield slip.plate
    if slip.card_no:
        yield _CARD + slip.card_no


def _ways_to_stock(body: str | bytes) -> Iterator[str]:
    row = _read_sought(body)
    yield "S@" + row.location
    if row.sku:
        yield "S#" + row.sku


def _ways_to_reference(body: str | bytes) -> Iterator[str]:
    reference = _read_sought(body)
    if reference.sku:
        yield "R#" + reference.sku
    if reference.hs_code:
        yield "R%" + reference.hs_code


def _ways_to_order(body: str | bytes) -> Iterator[str]:
    order = _read_sought(body)
    yield from ("O/" + waybill_no for waybill_no in order.waybill_nos)
    if order.slip_no:
        yield "O=" + order.slip_no


def _ways_to_trace(body: str | bytes) -> Iterator[str]:
    trace = _read_sought(body)
    if trace.waybill_no:
        yield "T/" + trace.waybill_no


@dataclass(frozen=True, slots=True)
class _WayIn:
    """A table that leads from what a lane reads to a record's key."""

    of: Callable[[str | bytes], Iterable[str]]
    """A record's body -> what is read of it."""
    insert: str
    delete: str


_WAYS_IN = {
    "vehicles": _WayIn(
        lambda body: _read_tagged(body).tag_epcs,
        "INSERT OR IGNORE INTO vehicle_tags VALUES (?, ?)",
        "DELETE FROM vehicle_tags WHERE epc = ? AND plate = ?",
    ),
    "release_slips": _WayIn(
        _ways_to_slip,
        "INSERT OR IGNORE INTO slip_plates VALUES (?, ?)",
        "DELETE FROM slip_plates WHERE plate = ? AND slip_no = ?",
    ),
    **{
        collection: _WayIn(
            of,
            "INSERT OR IGNORE INTO found_by VALUES (?, ?)",
            "DELETE FROM found_by WHERE way = ? AND key = ?",
        )
        for collection, of in (
            ("stock_book", _ways_to_stock),
            ("references", _ways_to_reference),
            ("inspection_orders", _ways_to_order),
            ("traces", _ways_to_trace),
        )
    },
}


class Records:
    """One object per thread. A reader sees each batch whole or not at all."""

    def __init__(self, path: Path, connection: sqlite3.Connection, *, writable: bool) -> None:
        """Use `open`."""
        self._path = path
        self._connection = connection
        self._writable = writable
        self._closed = False
        self._snapshot: FeedState | None = None
        self._buckets: bytearray | None = None
        """The 4,096 sums, 16 bytes each, as of number `_buckets_at`; only a writer keeps them."""
        self._buckets_at = -1
        self._controls: tuple[_Version, tuple[Control, ...]] | None = None
        self._recalls: tuple[_Version, tuple[Recall, ...]] | None = None
        self._orders: tuple[_Version, tuple[InspectionOrder, ...]] | None = None
        self._site: tuple[_Version, Site | None] | None = None

    @classmethod
    def open(cls, path: Path, *, writable: bool = False, opener: Opener = PLAIN) -> Records:
        """Open a generation made by `new_generation`. Raises `StoreRefused`."""
        connection = open_database(path, RECORDS, create=False, writable=writable, opener=opener)
        try:
            connection.execute(f"PRAGMA mmap_size={MMAP_BYTES}")
            if writable:
                connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
                connection.execute(f"PRAGMA wal_autocheckpoint={WAL_AUTOCHECKPOINT_PAGES}")
                connection.execute(f"PRAGMA journal_size_limit={WAL_KEPT_BYTES}")
            records = cls(path, connection, writable=writable)
            records.feed_state()
        except sqlite3.Error as error:
            connection.close()
            raise refused(path, RECORDS, error) from error
        except BaseException:
            connection.close()
            raise
        return records

    @property
    def path(self) -> Path:
        return self._path

    @property
    def closed(self) -> bool:
        return self._closed

    # --- reading ------------------------------------------------------------------------------------------

    def get(self, collection: str, key: str) -> Record | None:
        """One record of a collection of `COLLECTIONS`."""
        rows = self._rows(_GET[collection], (str(key),))
        return self._decoded(collection, rows[0][0]) if rows else None

    def vehicle_by_tag(self, epc: str) -> Vehicle | None:
        """The vehicle that carries this tag; None when there is none, or more than one claims it."""
        rows = self._rows(
            "SELECT body FROM vehicle_tags JOIN vehicles ON key = plate WHERE epc = ? LIMIT 2", (str(epc),)
        )
        if len(rows) != 1:
            return None
        found = self._decoded("vehicles", rows[0][0])
        return found if isinstance(found, Vehicle) else None

    def slips_for_plate(self, plate: str) -> tuple[ReleaseSlip, ...]:
        """Slips that name this plate, by number. Slips that name none are found by their number or card."""
        return self._slips_by(str(plate))

    def slips_for_card(self, card_no: str) -> tuple[ReleaseSlip, ...]:
        """Slips whose card (`vehicleIcNo`) this is, by number."""
        return self._slips_by(_CARD + card_no)

    def _slips_by(self, way: str) -> tuple[ReleaseSlip, ...]:
        rows = self._rows(
            "SELECT body FROM slip_plates JOIN release_slips ON key = slip_no WHERE plate = ? "
            "ORDER BY slip_no",
            (way,),
        )
        found = (self._decoded("release_slips", body) for (body,) in rows)
        return tuple(slip for slip in found if isinstance(slip, ReleaseSlip))

    def stock_at(self, location: str) -> tuple[StockRow, ...]:
        """What the book says lies there, by row number."""
        return self._found("stock_book", StockRow, "S@" + location)

    def stock_of(self, sku: str) -> tuple[StockRow, ...]:
        """Where the book says these goods lie, by row number."""
        return self._found("stock_book", StockRow, "S#" + sku)

    def references_of(self, sku: str, hs_code: str = "") -> tuple[Reference, ...]:
        """Pictures of these goods: of the SKU first, then of the HS code and what it begins with, the most
        exact first; none twice."""
        ways = ["R#" + sku] if sku else []
        ways += ["R%" + hs_code[:length] for length in range(len(hs_code), 1, -1)]
        found = (reference for way in ways for reference in self._found("references", Reference, way))
        return tuple({reference.reference_no: reference for reference in found}.values())

    def orders_of(self, waybill_no: str, slip_no: str = "") -> tuple[InspectionOrder, ...]:
        """Inspection orders that name this parcel or its slip, open or not."""
        ways = ["O/" + waybill_no, *(["O=" + slip_no] if slip_no else [])]
        found = (order for way in ways for order in self._found("inspection_orders", InspectionOrder, way))
        return tuple({order.order_no: order for order in found}.values())

    def orders(self) -> tuple[InspectionOrder, ...]:
        """All inspection orders by number, withdrawn ones too. Decoded once per change of the file."""
        version = self._version()
        if self._orders is None or self._orders[0] != version:
            rows = self._rows("SELECT body FROM inspection_orders ORDER BY key", ())
            found = (self._decoded("inspection_orders", body) for (body,) in rows)
            self._orders = (version, tuple(order for order in found if isinstance(order, InspectionOrder)))
        return self._orders[1]

    def order_standings(self) -> tuple[OrderStanding, ...]:
        """How far orders are, as the hub knows; by order number."""
        rows = self._rows("SELECT body FROM order_standings ORDER BY key", ())
        found = (self._decoded("order_standings", body) for (body,) in rows)
        return tuple(standing for standing in found if isinstance(standing, OrderStanding))

    def held_passages(self) -> tuple[HeldPassage, ...]:
        """Whom lanes hold right now, as the hub knows; by lane."""
        rows = self._rows("SELECT body FROM held_passages ORDER BY key", ())
        found = (self._decoded("held_passages", body) for (body,) in rows)
        return tuple(held for held in found if isinstance(held, HeldPassage))

    def routes(self) -> tuple[PatrolRoute, ...]:
        """All patrol routes by number, over or not."""
        rows = self._rows("SELECT body FROM patrol_routes ORDER BY key", ())
        found = (self._decoded("patrol_routes", body) for (body,) in rows)
        return tuple(route for route in found if isinstance(route, PatrolRoute))

    def traces_of(self, waybill_no: str) -> tuple[Trace, ...]:
        """Paths of what is in this parcel, by trace code."""
        return self._found("traces", Trace, "T/" + waybill_no)

    def _found(self, collection: str, kind: type[R], way: str) -> tuple[R, ...]:
        rows = self._rows(
            f'SELECT body FROM found_by JOIN "{collection}" USING (key) WHERE way = ? ORDER BY key',  # noqa: S608
            (way,),
        )
        found = (self._decoded(collection, body) for (body,) in rows)
        return tuple(record for record in found if isinstance(record, kind))

    def waybills_on(self, slip_no: str, most: int) -> tuple[Waybill, ...]:
        """What is loaded on a slip, by number, `most` of it. Only where `lead_to_parcels` was asked for it is
        found without reading every row."""
        return self._parcels("slip_no", slip_no, most)

    def waybills_by_code(self, code: str, most: int) -> tuple[Waybill, ...]:
        """Of this very number, trace code or order number, whichever leads to any, by number; as
        `waybills_on`."""
        found = self.get("waybills", code)
        if isinstance(found, Waybill):
            return (found,)
        return self._parcels("trace_code", code, most) or self._parcels("order_no", code, most)

    def _parcels(self, field: str, value: str, most: int) -> tuple[Waybill, ...]:
        if not value:
            return ()
        by = _PARCEL_FIELDS[field]
        # The second term is the index's own condition: without it SQLite would not take the index.
        rows = self._rows(
            f"SELECT body FROM waybills WHERE {by} = ? AND {by} > '' ORDER BY key LIMIT ?",  # noqa: S608
            (value, most),
        )
        found = (self._decoded("waybills", body) for (body,) in rows)
        return tuple(waybill for waybill in found if isinstance(waybill, Waybill))

    def nearest_waybills(self, number: str, most: int) -> tuple[str, ...]:
        """Numbers held that differ from this one by one character or by two neighbours swapped, `most` of
        them: point reads of every such number, never a look at the whole table."""
        found: list[str] = []
        for chunk in _chunks(_neighbours(number)):
            wanted = chunk + chunk[-1:] * (_READ_AT_ONCE - len(chunk))
            found += [key for (key,) in self._rows(_GET_KEYS, wanted)]
            if len(found) >= most:
                break
        return tuple(sorted(found)[:most])

    def lead_to_parcels(self) -> None:
        """Index waybills by slip, trace code and order: where officers look parcels up (a lane does not, and
        writes its rows faster without). Once a file; a million rows take some seconds."""
        self._must_write()
        for name, by in _PARCEL_FIELDS.items():
            self._run(f"CREATE INDEX IF NOT EXISTS waybills_by_{name} ON waybills ({by}) WHERE {by} > ''")

    def controls(self) -> tuple[Control, ...]:
        """All controls by id, in force or not. Decoded once per change of the file."""
        version = self._version()
        if self._controls is None or self._controls[0] != version:
            rows = self._rows("SELECT body FROM controls ORDER BY key", ())
            found = (self._decoded("controls", body) for (body,) in rows)
            self._controls = (version, tuple(control for control in found if isinstance(control, Control)))
        return self._controls[1]

    def recalls(self) -> tuple[Recall, ...]:
        """All recalls by number, ended ones too. Decoded once per change of the file."""
        version = self._version()
        if self._recalls is None or self._recalls[0] != version:
            rows = self._rows("SELECT body FROM recalls ORDER BY key", ())
            found = (self._decoded("recalls", body) for (body,) in rows)
            self._recalls = (version, tuple(recall for recall in found if isinstance(recall, Recall)))
        return self._recalls[1]

    def site(self) -> Site | None:
        """The site's row; None before the first feed."""
        version = self._version()
        if self._site is None or self._site[0] != version:
            rows = self._rows("SELECT body FROM site ORDER BY key LIMIT 1", ())
            found = self._decoded("site", rows[0][0]) if rows else None
            self._site = (version, found if isinstance(found, Site) else None)
        return self._site[1]

    def feed_state(self) -> FeedState:
        scope, epoch, number, row_count, digest, verified_utc = self._feed_row()
        return FeedState(scope, epoch, number, row_count, digest.hex(), verified_utc)

    @contextmanager
    def snapshot(self) -> Iterator[FeedState]:
        """All reads inside see the same number, the one of the state given. Keep it short: the file's log
        cannot be reused meanwhile."""
        self._run("BEGIN")
        try:
            self._snapshot = self.feed_state()
            yield self._snapshot
        finally:
            self._snapshot = None
            if self._connection.in_transaction:
                self._run("COMMIT")

    def digest_parts(self) -> tuple[int, ...]:
        """The 4,096 bucket sums mod 2^128, as kept along with the rows."""
        sums = self._read_buckets(self._feed().number)
        return tuple(
            int.from_bytes(sums[at : at + _SUM_BYTES], "big") for at in range(0, len(sums), _SUM_BYTES)
        )

    def all_rows(self) -> Generator[tuple[str, str, str], None, None]:
        """(collection, key, body) of everything held, collections unknown to this version last."""
        for name in COLLECTIONS:
            for key, body in self._each(f'SELECT key, body FROM "{name}" ORDER BY key'):  # noqa: S608
                yield name, key, body
        yield from self._each("SELECT collection, key, body FROM other_records ORDER BY collection, key")

    def verify(self) -> list[str]:
        """Count and digest taken from the rows themselves, compared with what the file says of itself."""
        sums = [0] * BUCKETS
        rows = 0
        problems = []
        try:
            with self.snapshot() as state:
                for collection, key, body in self.all_rows():
                    rows += 1
                    sums[bucket_of(collection, key)] += row_digest(collection, key, body)
                kept = self.digest_parts()
        except (StoreRefused, sqlite3.Error) as error:
            return [str(error)]
        if rows != state.rows:
            problems.append(f"{rows} rows are here, the file says {state.rows}")
        differing = [bucket for bucket in range(BUCKETS) if sums[bucket] % MODULUS != kept[bucket]]
        if differing:
            shown = ", ".join(str(bucket) for bucket in differing[:8])
            problems.append(f"{len(differing)} of {BUCKETS} digest buckets differ from their rows: {shown}")
        if to_hex(sum(sums)) != state.digest:
            problems.append(f"the rows' digest is {to_hex(sum(sums))}, the file says {state.digest}")
        return problems

    # --- writing ------------------------------------------------------------------------------------------

    def apply(self, batch: Batch) -> ApplyOutcome:
        """Apply the part of a batch that is new here, atomically with its number.

        Raises `Malformed` when the batch or one record in it is not what it should be, before anything is
        written, and `StoreRefused` when the file cannot take it; then nothing of it happened.
        """
        self._must_write()
        feed = self._feed()
        self._check_shape(batch, feed.scope)
        early = _without_applying(batch, feed)
        if early is not None:
            return early
        wanted = _sorted_out(batch, feed.number)
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            now = self._feed()
            if now != feed:
                self._connection.execute("ROLLBACK")
                return self.apply(batch)
            self._apply(wanted, feed, batch.last)
            self._connection.execute("COMMIT")
        except BaseException as error:
            self._undo()
            if isinstance(error, sqlite3.Error):
                raise refused(self._path, RECORDS, error) from error
            raise
        self._buckets_at = batch.last
        self._forget_decoded()
        return ApplyOutcome(ApplyResult.APPLIED, batch.last + 1)

    def mend(
        self,
        number: int,
        theirs: Mapping[int, Sequence[tuple[str, str, str]]],
        ours: Mapping[int, Mapping[tuple[str, str], str]],
        counted: int,
    ) -> Mended:
        """Make these buckets what the centre's are at this very number, rows and sums alike (G5).

        `theirs` are all rows of each bucket (collection, key, body), `ours` what a `Survey` found in it here
        and `counted` how many rows it found in all. Atomic; readers see all of it or nothing. Raises
        `Malformed` when a row is not what it should be or in another bucket, and `StoreRefused`.
        """
        self._must_write()
        for bucket, rows in theirs.items():
            _must_be_bucket(bucket, rows)
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            feed = self._feed()
            if feed.number != number:
                raise StoreRefused(f"{self._path} is at number {feed.number}: expected {number} to be mended")
            mended = self._mend(feed, theirs, ours, counted)
            self._connection.execute("COMMIT")
        except BaseException as error:
            self._undo()
            if isinstance(error, sqlite3.Error):
                raise refused(self._path, RECORDS, error) from error
            raise
        self._forget_decoded()
        return mended

    def note_verified(self, utc: str) -> None:
        """A signed head, issued at `utc`, was proved equal at our number: the records' age counts from it."""
        self._must_write()
        if self._feed().verified_utc != utc:
            self._run("UPDATE feed SET verified_utc = ?", (utc,))

    def close(self) -> None:
        """Idempotent."""
        self._closed = True
        self._connection.close()

    def __enter__(self) -> Records:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- inside -------------------------------------------------------------------------------------------

    def _check_shape(self, batch: Batch, scope: str) -> None:
        numbers = [change.number for change in batch.changes]
        if not numbers or numbers != list(range(batch.first, batch.last + 1)) or batch.first < 1:
            raise Malformed(
                f"{batch.first}..{batch.last} of {batch.scope[:40]!r}: expected changes of these numbers"
            )
        if batch.scope != scope:
            raise Malformed(
                f"batch of scope {batch.scope[:40]!r}: expected {scope!r}, as in {self._path.name}"
            )

    def _apply(self, wanted: dict[str, dict[str, str | None]], feed: _Row, number: int) -> None:
        sums = self._buckets = self._read_buckets(feed.number)
        moves: dict[int, int] = {}
        rows = feed.rows
        for collection, ends in wanted.items():
            old = self._old_bodies(collection, list(ends)) if rows else {}
            before = [old.get(key) for key in ends]
            after = [None if body is None else body.encode() for body in ends.values()]
            puts: list[tuple[str, ...]]
            deletes: list[tuple[str, ...]]
            if None not in after and not any(map(eq, before, after)):
                # As nearly always: every row is written.
                puts, deletes = list(ends.items()), []  # type: ignore[arg-type]
                moved_rows: Iterable[tuple[str, bytes | None, bytes | None]] = zip(
                    ends, before, after, strict=True
                )
                rows += before.count(None)
            else:
                changed = [row for row in zip(ends, before, after, strict=True) if row[1] != row[2]]
                puts = [(key, body) for key, _was, _is in changed if (body := ends[key]) is not None]
                deletes = [(key,) for key, _was, now in changed if now is None]
                rows += len(puts) - sum(1 for _key, was, _is in changed if was is not None)
                moved_rows = changed
            add_moves(moves, collection, moved_rows)
            self._write_collection(collection, puts, deletes, old)
        for bucket, moved in moves.items():
            at = bucket * _SUM_BYTES
            total = int.from_bytes(sums[at : at + _SUM_BYTES], "big") + moved
            sums[at : at + _SUM_BYTES] = (total % MODULUS).to_bytes(_SUM_BYTES, "big")
        self._write_shelves(sums, moves)
        total = (feed.digest + sum(moves.values())) % MODULUS
        self._connection.execute(
            "UPDATE feed SET number = ?, row_count = ?, digest = ?",
            (number, rows, total.to_bytes(_SUM_BYTES, "big")),
        )

    def _mend(
        self,
        feed: _Row,
        theirs: Mapping[int, Sequence[tuple[str, str, str]]],
        ours: Mapping[int, Mapping[tuple[str, str], str]],
        counted: int,
    ) -> Mended:
        put = deleted = 0
        rows, total = counted, feed.digest
        self._buckets = None
        sums = self._read_buckets(feed.number)
        for bucket, wanted in theirs.items():
            here = ours.get(bucket, {})
            by_collection: defaultdict[str, tuple[list[tuple[str, ...]], list[tuple[str, ...]]]]
            by_collection = defaultdict(lambda: ([], []))
            right = {(collection, key): body for collection, key, body in wanted}
            for (collection, key), body in right.items():
                if here.get((collection, key)) != body:
                    by_collection[collection][0].append((key, body))
            for collection, key in here.keys() - right.keys():
                by_collection[collection][1].append((key,))
            for collection, (puts, deletes) in by_collection.items():
                old = self._old_bodies(collection, [key for key, *_ in (*puts, *deletes)])
                self._write_collection(collection, puts, deletes, old)
                put += len(puts)
                deleted += len(deletes)
            rows += len(right) - len(here)
            at = bucket * _SUM_BYTES
            now = sum(row_digest(*row) for row in wanted) % MODULUS
            total += now - int.from_bytes(sums[at : at + _SUM_BYTES], "big")
            sums[at : at + _SUM_BYTES] = now.to_bytes(_SUM_BYTES, "big")
        self._write_shelves(sums, theirs)
        self._connection.execute(
            "UPDATE feed SET row_count = ?, digest = ?", (rows, (total % MODULUS).to_bytes(_SUM_BYTES, "big"))
        )
        return Mended(put, deleted)

    def _write_shelves(self, sums: bytearray, buckets: Iterable[int]) -> None:
        self._connection.executemany(
            "REPLACE INTO buckets VALUES (?, ?)",
            [
                (shelf, bytes(sums[shelf * _SHELF_BYTES : (shelf + 1) * _SHELF_BYTES]))
                for shelf in sorted({bucket // _SHELF for bucket in buckets})
            ],
        )

    def fill(self, number: int, rows: Iterable[tuple[str, str, str]]) -> None:
        """Only for `fill_generation`: all rows of an empty file nobody else knows of, not durable."""
        self._must_write()
        for pragma in ("journal_mode=DELETE", "synchronous=OFF", "locking_mode=EXCLUSIVE"):
            self._run(f"PRAGMA {pragma}")
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._fill(number, rows)
            self._connection.execute("COMMIT")
        except BaseException as error:
            self._undo()
            if isinstance(error, sqlite3.Error):
                raise refused(self._path, RECORDS, error) from error
            raise

    def _fill(self, number: int, rows: Iterable[tuple[str, str, str]]) -> None:
        sums = [0] * BUCKETS
        count = 0
        for collection, some in groupby(rows, key=_first):
            while chunk := [(key, body) for _, key, body in islice(some, _FILL_AT_ONCE)]:
                count += len(chunk)
                for key, body in chunk:
                    bucket, moved = move_of(collection, key, None, body.encode())
                    sums[bucket] += moved
                self._write_collection(collection, list(chunk), [], {})
        kept = bytearray(b"".join((total % MODULUS).to_bytes(_SUM_BYTES, "big") for total in sums))
        self._write_shelves(kept, range(BUCKETS))
        self._connection.execute(
            "UPDATE feed SET number = ?, row_count = ?, digest = ?",
            (number, count, (sum(sums) % MODULUS).to_bytes(_SUM_BYTES, "big")),
        )

    def _write_collection(
        self,
        collection: str,
        puts: list[tuple[str, ...]],
        deletes: list[tuple[str, ...]],
        old: dict[str, bytes],
    ) -> None:
        execute_many = self._connection.executemany
        if collection not in COLLECTIONS:
            execute_many(
                "DELETE FROM other_records WHERE collection = ? AND key = ?",
                [(collection, *key) for key in deletes],
            )
            execute_many(
                "INSERT INTO other_records VALUES (?, ?, ?) "
                "ON CONFLICT (collection, key) DO UPDATE SET body = excluded.body",
                [(collection, *put) for put in puts],
            )
            return
        execute_many(_DELETE_ROW[collection], deletes)
        execute_many(_PUT_ROW[collection], puts)
        way_in = _WAYS_IN.get(collection)
        if way_in is None:
            return
        before = {(by, key) for key, *_body in (*puts, *deletes) if key in old for by in way_in.of(old[key])}
        after = {(by, key) for key, body in puts for by in way_in.of(body)}
        execute_many(way_in.delete, sorted(before - after))
        execute_many(way_in.insert, sorted(after - before))

    def _old_bodies(self, collection: str, keys: list[str]) -> dict[str, bytes]:
        """As UTF-8, which is what is compared and hashed."""
        if collection not in COLLECTIONS:
            return dict(
                self._connection.execute(
                    "SELECT key, CAST(body AS BLOB) FROM other_records WHERE collection = ?", (collection,)
                )
            )
        old: dict[str, bytes] = {}
        sql = _GET_MANY[collection]
        some = iter(keys)
        while chunk := list(islice(some, _READ_AT_ONCE)):
            chunk.extend(chunk[-1:] * (_READ_AT_ONCE - len(chunk)))
            old.update(self._connection.execute(sql, chunk).fetchall())
        return old

    def _read_buckets(self, number: int) -> bytearray:
        if self._buckets is not None and self._buckets_at == number:
            return self._buckets
        buckets = bytearray(BUCKETS * _SUM_BYTES)
        for shelf, sums in self._rows("SELECT shelf, sums FROM buckets", ()):
            if not 0 <= shelf < BUCKETS // _SHELF or len(sums) != _SHELF_BYTES:
                raise StoreRefused(
                    f"{self._path} is damaged (digest shelf {shelf}): delete it; it is fetched again"
                )
            buckets[shelf * _SHELF_BYTES : (shelf + 1) * _SHELF_BYTES] = sums
        return buckets

    def _feed(self) -> _Row:
        scope, epoch, number, row_count, digest, verified_utc = self._feed_row()
        return _Row(scope, epoch, number, row_count, int.from_bytes(digest, "big"), verified_utc)

    def _feed_row(self) -> tuple[Any, ...]:
        rows = self._rows("SELECT scope, epoch, number, row_count, digest, verified_utc FROM feed", ())
        if len(rows) != 1 or len(rows[0][4]) != 16:
            raise StoreRefused(f"{self._path} is damaged (no feed row): delete it; it is fetched again")
        return rows[0]

    def _version(self) -> _Version:
        """Changes when another connection changed the file; our own changes forget what was decoded. In a
        snapshot the log's number, just read, says as much: rows change with it and never without."""
        if self._snapshot is not None:
            return self._snapshot.epoch, self._snapshot.number
        value: int = self._rows("PRAGMA data_version", ())[0][0]
        return value

    def _forget_decoded(self) -> None:
        self._controls = None
        self._recalls = None
        self._orders = None
        self._site = None

    def _decoded(self, collection: str, body: str) -> Record:
        try:
            return _decode(collection, body)
        except Malformed as error:
            raise StoreRefused(
                f"{self._path} holds a row of {collection} that this version cannot read ({error}): "
                "delete the file; the records are fetched again"
            ) from error

    def _rows(self, sql: str, parameters: Sequence[object]) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise self._refusal(error) from error

    def _each(self, sql: str) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._connection.execute(sql)
        except sqlite3.Error as error:
            raise self._refusal(error) from error

    def _run(self, sql: str, parameters: Sequence[object] = ()) -> None:
        try:
            self._connection.execute(sql, parameters)
        except sqlite3.Error as error:
            raise self._refusal(error) from error

    def _refusal(self, error: sqlite3.Error) -> StoreRefused:
        if self._closed:
            return StoreRefused(f"{self._path} is closed")
        return refused(self._path, RECORDS, error)

    def _must_write(self) -> None:
        if not self._writable:
            raise StoreRefused(f"{self._path} was opened for reading")

    def _undo(self) -> None:
        self._buckets = None
        self._buckets_at = -1
        self._forget_decoded()
        if self._connection.in_transaction:
            self._run("ROLLBACK")


class Survey:
    """The sums of every bucket taken from the rows themselves, a slice at a time, all at one number.

    It reads through a connection of its own and sees the file as it was when it began; what is applied
    meanwhile is not in its way. Keep it short of hours: the file's log cannot be reused until it ends.
    """

    def __init__(self, path: Path, collect: Collection[int] = (), *, opener: Opener = PLAIN) -> None:
        """`collect`: buckets whose rows are kept. Raises `StoreRefused`."""
        self.rows: dict[int, dict[tuple[str, str], str]] = {bucket: {} for bucket in collect}
        """Bucket -> (collection, key) -> body, of the buckets asked for."""
        self.count = 0
        self.sums = [0] * BUCKETS
        """Whole once `step` has answered False; mod 2^128."""
        self._records = Records.open(path, opener=opener)
        self._inside = self._records.snapshot()
        try:
            self.state = self._inside.__enter__()
            self._rows = self._records.all_rows()
        except BaseException:
            self.close()
            raise

    def step(self, most: int) -> bool:
        """Take the next rows; False when there are none. Raises `StoreRefused`."""
        taken = list(islice(self._rows, most))
        for collection, key, body in taken:
            bucket, digest = move_of(collection, key, None, body.encode())
            self.sums[bucket] = (self.sums[bucket] + digest) % MODULUS
            if bucket in self.rows:
                self.rows[bucket][collection, key] = body
        self.count += len(taken)
        return len(taken) == most

    def kept(self) -> tuple[int, ...]:
        """The sums the file keeps of itself at the same number."""
        return self._records.digest_parts()

    def close(self) -> None:
        """Idempotent."""
        if not self._records.closed:
            self._rows.close()
            with suppress(StoreRefused):
                self._inside.__exit__(None, None, None)
            self._records.close()


def fill_generation(
    folder: Path, n: int, scope: str, epoch: str, number: int, rows: Iterable[tuple[str, str, str]]
) -> FeedState:
    """Make `records-<n>.sqlite` of a scope as it stands at `number`, as one file without a log beside it.

    `rows` come by collection and key. For the centre, which makes snapshots so: a device's own file comes of
    the same code. Until this returns the file is worth nothing; nobody else may know of it. Raises
    `StoreRefused` and `Malformed`.
    """
    path = new_generation(folder, n, scope, epoch, reserved_bytes=SNAPSHOT_RESERVED_BYTES)
    with Records.open(path, writable=True) as records:
        records.fill(number, rows)
        state = records.feed_state()
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return state


def generation_path(folder: Path, n: int) -> Path:
    return folder / f"records-{n}.sqlite"


def next_generation(folder: Path) -> int:
    """A number no file in the folder has."""
    return max((number for number, _path in _generations(folder)), default=0) + 1


def new_generation(
    folder: Path, n: int, scope: str, epoch: str, *, opener: Opener = PLAIN, reserved_bytes: int = 0
) -> Path:
    """Make `records-<n>.sqlite`, empty, at number 0 of a scope's log. Raises `StoreRefused`.

    It gets its name when it is complete, so a file of that name is never half made. One that exists for the
    same scope and epoch (left by a stop before the journal named it) is taken as it is. `reserved_bytes` stay
    free at the end of each page of a plain file.
    """
    path = generation_path(folder, n)
    if path.exists():
        with Records.open(path, opener=opener) as records:
            state = records.feed_state()
        if (state.scope, state.epoch) != (scope, epoch):
            raise StoreRefused(
                f"{path} holds {state.scope!r} in another epoch: make generation {n + 1} instead"
            )
        return path
    half = path.with_name(path.name + ".new")
    for leftover in (half, half.with_name(half.name + "-wal"), half.with_name(half.name + "-shm")):
        leftover.unlink(missing_ok=True)
    if reserved_bytes:
        half.write_bytes(first_page(reserved_bytes))
    connection = open_database(half, RECORDS, create=True, writable=True, opener=opener)
    try:
        connection.execute(
            "INSERT INTO feed VALUES (1, ?, ?, 0, 0, ?, NULL)", (scope, epoch, (0).to_bytes(16, "big"))
        )
    except sqlite3.Error as error:
        raise refused(half, RECORDS, error) from error
    finally:
        connection.close()
    half.rename(path)
    sync_folder(folder)
    return path


def first_page(reserved_bytes: int) -> bytes:
    """Of an empty SQLite file whose pages keep so many bytes free at their ends: what SQLite finds in a
    header it keeps to, and no statement sets it (www.sqlite.org/fileformat2.html, 1.3 and 1.6)."""
    page = bytearray(PAGE_BYTES)
    page[:16] = b"SQLite format 3\0"
    page[16:24] = struct.pack(">HBBBBBB", PAGE_BYTES, 1, 1, reserved_bytes, 64, 32, 32)
    # One page, changed once: else SQLite asks the file's size instead of the header.
    page[24:28] = page[28:32] = page[92:96] = struct.pack(">I", 1)
    page[56:60] = struct.pack(">I", 1)
    page[100:108] = struct.pack(">BHHHB", 0x0D, 0, 0, PAGE_BYTES - reserved_bytes, 0)
    return bytes(page)


def drop_other_generations(folder: Path, keep: Collection[int]) -> int:
    """Delete generations that nothing names any more; answers how many. One still open elsewhere may resist
    on Windows and goes another time."""
    gone = 0
    for number, path in _generations(folder):
        if number in keep:
            continue
        try:
            for file in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
                file.unlink(missing_ok=True)
        except OSError:
            continue
        gone += 1
    return gone


def _generations(folder: Path) -> list[tuple[int, Path]]:
    return [(int(match[1]), path) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))]


def _without_applying(batch: Batch, feed: _Row) -> ApplyOutcome | None:
    if batch.epoch != feed.epoch:
        return ApplyOutcome(ApplyResult.OTHER_EPOCH, feed.number + 1)
    if batch.last <= feed.number:
        return ApplyOutcome(ApplyResult.ALREADY, feed.number + 1)
    if batch.first > feed.number + 1:
        return ApplyOutcome(ApplyResult.GAP, feed.number + 1)
    return None


def _sorted_out(batch: Batch, after: int) -> dict[str, dict[str, str | None]]:
    """Collection -> key -> the body it ends with (None: deleted), keys in order. Raises `Malformed`."""
    ends: defaultdict[str, dict[str, str | None]] = defaultdict(dict)
    for collection, some in groupby(batch.changes, key=_collection_of):
        changes = list(some)
        keys, bodies = [change.key for change in changes], [change.body for change in changes]
        if _are_rows(collection, changes, keys, bodies):
            new = max(0, after + 1 - changes[0].number)
            ends[collection].update(zip(keys[new:], bodies[new:], strict=True))
            continue
        for change in changes:
            _must_be_fit(change)
        ends[collection].update(
            (change.key, change.body if change.op == _PUT else None)
            for change in changes
            if change.number > after
        )
    return {collection: dict(sorted(keys.items())) for collection, keys in ends.items()}


_collection_of = attrgetter("collection")
_first = itemgetter(0)


def _are_rows(collection: str, changes: Sequence[Change], keys: list[str], bodies: list[str]) -> bool:
    """Whether all are whole records under their own keys, as nearly always."""
    check = _CHECKERS.get(collection)
    if check is None or any(change.op != _PUT for change in changes):
        return False
    try:
        told = check(bodies)
    except Malformed:
        return False
    return told == keys and all(keys) and "\0" not in "".join(keys)


def _must_be_fit(change: Change) -> None:
    """Raises `Malformed`, naming the change."""
    collection, key, body = change.collection, change.key, change.body
    try:
        decode = _DECODERS.get(collection) if change.op == _PUT else None
        if decode is not None:
            told = key_of(decode(body))
            if told != key:
                raise Malformed(f"expected the key inside the record, {told!r}")
        else:
            f"{collection}{key}{body}".encode()
        if not key or not collection or "\0" in key or "\0" in collection:
            raise Malformed("expected a collection and a key, both without NUL")
    except (Malformed, UnicodeEncodeError) as error:
        raise Malformed(f"change {change.number}, {collection[:40]!r} {key[:60]!r}: {error}") from error


def _must_be_bucket(bucket: int, rows: Sequence[tuple[str, str, str]]) -> None:
    """Raises `Malformed` when these cannot be all rows of a bucket."""
    if not 0 <= bucket < BUCKETS or len({row[:2] for row in rows}) != len(rows):
        raise Malformed(f"bucket {bucket}: expected 0 to {BUCKETS - 1}, and each row once")
    for collection, key, body in rows:
        _must_be_fit(_Wanted(0, collection, key, _PUT, body))
        if bucket_of(collection, key) != bucket:
            raise Malformed(f"{collection[:40]!r} {key[:60]!r} is not of bucket {bucket}")


def _neighbours(number: str) -> Iterator[str]:
    """Mistakes of eyes and printers first: a swap, then another digit for a digit, then letters."""
    for place in range(len(number) - 1):
        if number[place] != number[place + 1]:
            yield number[:place] + number[place + 1] + number[place] + number[place + 2 :]
    for others, wanted in ((_DIGITS, str.isdecimal), (_LETTERS, str.isalpha)):
        for place, char in enumerate(number):
            if wanted(char):
                yield from (number[:place] + other + number[place + 1 :] for other in others if other != char)
    for place, char in enumerate(number):
        for other in _LOOK_ALIKE.get(char, ""):
            yield number[:place] + other + number[place + 1 :]


_DIGITS, _LETTERS = "0123456789", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LOOK_ALIKE = {
    "0": "OQD",
    "1": "IL",
    "2": "Z",
    "5": "S",
    "8": "B",
    "O": "0",
    "I": "1",
    "Z": "2",
    "S": "5",
    "B": "8",
}


def _chunks(numbers: Iterator[str]) -> Iterator[list[str]]:
    while chunk := list(islice(numbers, _READ_AT_ONCE)):
        yield chunk


@lru_cache(maxsize=256)
def _decode(collection: str, body: str) -> Record:
    """The same bytes are the same value: what a lane reads again and again (a vehicle by its plate and by its
    tag, an enterprise) is decoded once. Raises `Malformed`."""
    return _DECODERS[collection](body)
