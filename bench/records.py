"""Records applied from the feed into a large table, against raw `executemany` and `sqlite_utils.upsert_all`.

All three write the same new and changed waybills (half and half, random keys, in the centre's order) into
their own copy of the same file, in WAL mode with SQLite's default `synchronous=FULL`, in turns:

- ours: payloads as the hub cuts them, as many in one transaction as the link gathers (`BATCHES_AT_ONCE`),
  checked, digested, and atomic with their number;
- raw: `sqlite3.connect(path)` and nothing set; for the rows of each of these transactions
  `with connection: connection.executemany("INSERT … ON CONFLICT (key) DO UPDATE …", rows)`;
- sqlite_utils: `Database(path)` and nothing set; for the same rows `table.upsert_all(rows, pk="key")`, which
  makes its own transactions of 100 rows.

A snapshot is measured from its first piece to the journal naming it, through the link's own performer:
pieces hashed and kept, packed and unpacked file hashed, `quick_check`, opened and adopted. Beside it the same
rows as log entries into an empty generation: as the feed brings them, and one change a transaction.
"""

from __future__ import annotations

import gc
import itertools
import random
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import sqlite_utils

from bench.harness import Bench, Figure, Rounds, in_turns
from bench.rows import EPOCH, SCOPE, Rows, fill, waybill_row
from sync.hub.archive import Archive, LogRow, RecordChange
from sync.hub.feeding import FEED_ENVELOPE_BYTES, feed_bytes
from sync.hub.snapshots import make_snapshot
from sync.link.client import BATCHES_AT_ONCE
from sync.link.fetching import BeginSnapshot, KeepPiece, SnapshotWorked, WorkOnSnapshot
from sync.link.messages import (
    MAX_PAYLOAD_BYTES,
    PAGE_HASHES,
    Change,
    ChangeOp,
    FeedBatch,
    SnapshotManifest,
)
from sync.link.performer import LinkPerformer
from sync.link.pieces import Piece, PieceKind, short_name
from sync.link.words import AdoptGeneration, ApplyBatch, BeginGeneration, GenerationBegun
from sync.store.journal import Journal
from sync.store.records import Records

ROUNDS = 7
ROWS_A_ROUND = 10_000
SNAPSHOT_ROUNDS = 3
SNAPSHOT_ROWS = 100_000
MADE = "2026-01-01T00:00:00.000000Z"
ROWS_ONE_BY_ONE = 200
FEWEST_ROWS = 400
UPSERT = "INSERT INTO waybills VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET body = excluded.body"

KeyBody = tuple[str, str]
W = TypeVar("W")


def run(folder: Path, scale: float) -> Bench:
    """At scale 1: into 1 M rows. Below 0.1 the rounds are shorter too."""
    share = min(1.0, scale * 10)
    a_round = max(FEWEST_ROWS, int(ROWS_A_ROUND * share))
    rows = Rows(vehicles=1, slips=0, waybills=max(2 * a_round, int(1_000_000 * scale)))
    path = fill(folder / "ours", rows)
    copies = {name: folder / f"{name}.sqlite" for name in ("raw", "utils")}
    for copy in copies.values():
        shutil.copy(path, copy)
    draw = random.Random(11)
    news = [_news(draw, rows.waybills, round_no, a_round) for round_no in range(ROUNDS)]
    at_once = _rows_a_payload() * BATCHES_AT_ONCE
    ours = _Feed(folder / "ours", generation=1)
    raw = sqlite3.connect(copies["raw"])
    utils = sqlite_utils.Database(copies["utils"])

    def by_raw(chosen: Sequence[KeyBody]) -> None:
        for some in _some(chosen, at_once):
            with raw:
                raw.executemany(UPSERT, some)

    def by_utils(chosen: Sequence[KeyBody]) -> None:
        for some in _some(chosen, at_once):
            utils.table("waybills").upsert_all(({"key": key, "body": body} for key, body in some), pk="key")

    # What is prepared here is no part of what is measured: a collector that looks through it would charge it
    # to whoever makes objects.
    gc.freeze()
    rates = in_turns(
        ROUNDS,
        [
            ("feed", _rate(ours.apply, iter([ours.cut(chosen) for chosen in news]), a_round)),
            ("raw", _rate(by_raw, iter(news), a_round)),
            ("utils", _rate(by_utils, iter(news), a_round)),
        ],
    )
    _all_the_same(rows.waybills + ROUNDS * (a_round // 2), ours.path, *copies.values())
    ours.close()
    raw.close()
    utils.close()
    snapshot_rows = max(FEWEST_ROWS, int(SNAPSHOT_ROWS * share))
    built = _snapshots(folder, snapshot_rows)
    return Bench(
        "records",
        [
            Figure("raw executemany", rates.median("raw"), "rows/s", note=f"{rates.spread('raw')} rows/s"),
            Figure("sqlite_utils.upsert_all", rates.median("utils"), "rows/s"),
            Figure(
                "applied from the feed", rates.median("feed"), "rows/s", rates.ratio("feed", "raw"),
                "executemany", at_least=0.75, note=f"{rates.spread('feed')} rows/s, checked and digested",
            ),
            Figure(
                "the same", rates.median("feed"), "rows/s", rates.ratio("feed", "utils"), "upsert_all",
                at_least=2.0,
            ),
            Figure(
                "snapshot", built.median("snapshot"), "rows/s", built.ratio("snapshot", "single"),
                "row by row", at_least=5.0, note=f"{snapshot_rows:,} rows fetched, checked and adopted",
            ),
            Figure(
                "the same", built.median("snapshot"), "rows/s", built.ratio("snapshot", "feed"), "the feed",
                at_least=5.0, note=f"{built.median('feed'):,.0f} rows/s by the feed into an empty generation",
            ),
        ],
        f"{rows.waybills:,} rows there, {a_round:,} a round, half of them new, {at_once:,} a "
        f"transaction, {ROUNDS} rounds in turn",
    )  # fmt: skip


class _Feed:
    """The link's own performer over one generation."""

    def __init__(self, folder: Path, *, generation: int) -> None:
        self._generation = generation
        self._journal = Journal.open(folder / "journal.sqlite", device="lane-bench-1", reserve_bytes=0)
        self._journal.set_generation(generation)
        self._performer = LinkPerformer(self._journal, folder, scope=SCOPE)
        opened = self._performer.opened()
        if opened.current is None:
            raise RuntimeError(f"the bench's records could not be opened: {opened.trouble}")
        self._number = opened.current.number
        self.path = folder / f"records-{generation}.sqlite"

    def cut(self, rows: Sequence[KeyBody]) -> list[ApplyBatch]:
        """These rows as the next batches of the feed."""
        batches = cut_like_the_hub(rows, after=self._number)
        self._number = batches[-1].last
        return [ApplyBatch(self._generation, batch) for batch in batches]

    def apply(self, effects: Sequence[ApplyBatch]) -> None:
        for some in _some(effects, BATCHES_AT_ONCE):
            self._performer.apply_gathered(some)

    def close(self) -> None:
        self._performer.close()
        self._journal.close()


def cut_like_the_hub(rows: Sequence[KeyBody], *, after: int) -> list[FeedBatch]:
    """Batches of the log that fit a signed payload each."""
    batches: list[FeedBatch] = []
    held: list[Change] = []
    size = 0
    for number, (key, body) in enumerate(rows, start=after + 1):
        length = feed_bytes(LogRow(number, "waybills", key, "put", body))
        if held and size + length > MAX_PAYLOAD_BYTES - FEED_ENVELOPE_BYTES:
            batches.append(_batch(held))
            held, size = [], 0
        held.append(Change(number, "waybills", key, ChangeOp.PUT, body))
        size += length
    batches.append(_batch(held))
    return batches


def _batch(changes: list[Change]) -> FeedBatch:
    return FeedBatch(SCOPE, EPOCH, changes[0].number, changes[-1].number, tuple(changes))


def _rows_a_payload() -> int:
    first = cut_like_the_hub([waybill_row(number) for number in range(1_000)], after=0)[0]
    return len(first.changes)


def _rate(write: Callable[[W], None], rounds: Iterator[W], rows: int) -> Callable[[], float]:
    def measured() -> float:
        work = next(rounds)
        begin = time.perf_counter()
        write(work)
        return rows / (time.perf_counter() - begin)

    return measured


def _news(draw: random.Random, there: int, round_no: int, rows: int) -> list[KeyBody]:
    """Half changes of random rows, half new ones, in the order of the centre, not of the keys."""
    half = rows // 2
    chosen = draw.sample(range(there), half)
    chosen += [10**9 + round_no * half + number for number in range(half)]
    draw.shuffle(chosen)
    return [(key, body.replace("matched", f"again{round_no}")) for key, body in map(waybill_row, chosen)]


def _some(rows: Sequence[W], size: int) -> Iterator[Sequence[W]]:
    return (rows[begin : begin + size] for begin in range(0, len(rows), size))


def _all_the_same(expected: int, *paths: Path) -> None:
    """Whoever was faster by doing less is found out."""
    sums = set()
    for path in paths:
        with sqlite3.connect(path) as db:
            sums.add(db.execute("SELECT count(*), sum(length(body)), max(body) FROM waybills").fetchone())
        db.close()
    if len(sums) != 1 or next(iter(sums))[0] != expected:
        raise RuntimeError(f"the three did not write the same {expected} rows: {sums}")


def _snapshots(folder: Path, count: int) -> Rounds:
    """Rows a second of a generation from a snapshot, from the feed, and from one change a transaction."""
    rows = [waybill_row(number) for number in range(count)]
    archive = Archive.open(folder / "archive.sqlite")
    changes = [RecordChange("waybills", key, body) for key, body in rows]
    with archive.transaction():
        archive.add_scope(SCOPE, new_id=lambda: EPOCH)
        archive.apply_changes(SCOPE, changes, MADE)
    manifest = make_snapshot(archive, SCOPE, folder / "shelf", MADE)
    archive.close()
    pieces = _pieces(folder / "shelf", manifest)
    whole = cut_like_the_hub(rows, after=0)
    single = list(_one_by_one(rows[:ROWS_ONE_BY_ONE]))
    numbers = itertools.count()

    def made_of(batches: Sequence[FeedBatch], at_once: int) -> Callable[[], float]:
        return lambda: _generation(folder / f"made-{next(numbers)}", batches, at_once)

    return in_turns(
        SNAPSHOT_ROUNDS,
        [
            ("snapshot", lambda: _from_snapshot(folder / f"made-{next(numbers)}", manifest, pieces)),
            ("feed", made_of(whole, BATCHES_AT_ONCE)),
            ("single", made_of(single, 1)),
        ],
    )


def _pieces(shelf: Path, manifest: SnapshotManifest) -> list[Piece]:
    """As they arrive, pages first."""
    name, made = manifest.packed_sha256, []
    for kind, suffix, size in (
        (PieceKind.PAGE, "pages", PAGE_HASHES * 32), (PieceKind.PIECE, "zst", manifest.piece_bytes)
    ):  # fmt: skip
        data = (shelf / f"{name}.{suffix}").read_bytes()
        made += [
            Piece(short_name(name), kind, index, data[at : at + size])
            for index, at in enumerate(range(0, len(data), size))
        ]
    return made


def _from_snapshot(folder: Path, manifest: SnapshotManifest, pieces: Sequence[Piece]) -> float:
    """Rows a second from the first piece to the journal naming the new file."""
    folder.mkdir()
    with Journal.open(folder / "journal.sqlite", device="lane-bench-1", reserve_bytes=0) as journal:
        performer = LinkPerformer(journal, folder, scope=SCOPE)
        performer.opened()
        begin = time.perf_counter()
        performer.perform(BeginSnapshot(manifest, b"as signed"))
        for piece in pieces:
            performer.perform(KeepPiece(piece))
        answer: object = SnapshotWorked()
        while isinstance(answer, SnapshotWorked):
            (answer,) = performer.perform(WorkOnSnapshot())
        if not isinstance(answer, GenerationBegun):
            raise RuntimeError(f"the bench's snapshot was not taken: {answer}")
        performer.perform(AdoptGeneration(answer.state.generation))
        took_s = time.perf_counter() - begin
        performer.close()
    if answer.state.rows != manifest.rows:
        raise RuntimeError("the bench's snapshot is not whole")
    return manifest.rows / took_s


def _one_by_one(rows: Sequence[KeyBody]) -> Iterator[FeedBatch]:
    for number, (key, body) in enumerate(rows, start=1):
        yield _batch([Change(number, "waybills", key, ChangeOp.PUT, body)])


def _generation(folder: Path, batches: Sequence[FeedBatch], at_once: int) -> float:
    """Rows a second from the first call to the journal naming the new file."""
    folder.mkdir()
    with Journal.open(folder / "journal.sqlite", device="lane-bench-1", reserve_bytes=0) as journal:
        performer = LinkPerformer(journal, folder, scope=SCOPE)
        performer.opened()
        begin = time.perf_counter()
        performer.perform(BeginGeneration(SCOPE, EPOCH))
        for some in _some(batches, at_once):
            performer.apply_gathered([ApplyBatch(1, batch) for batch in some])
        performer.perform(AdoptGeneration(1))
        took_s = time.perf_counter() - begin
        performer.close()
        if journal.generation() != 1:
            raise RuntimeError("the bench's new generation was not adopted")
    with Records.open(folder / "records-1.sqlite") as records:
        if records.feed_state().number != batches[-1].last:
            raise RuntimeError("the bench's new generation is not whole")
    return batches[-1].last / took_s
