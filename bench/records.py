"""Records applied from the feed into a large table, against raw `executemany` and `sqlite_utils.upsert_all`.

All three write the same new and changed waybills (half and half, random keys) into their own copy of the same
table, with the same transaction size and `synchronous=FULL`, in turns.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import time
from pathlib import Path

import sqlite_utils

from bench.harness import Bench, Figure, in_turns
from bench.rows import EPOCH, SCOPE, Rows, fill, waybill
from sync.link.messages import Change, ChangeOp, FeedBatch
from sync.store.records import Records
from sync.vocabulary.codec import to_json

ROUNDS = 5
ROWS_A_ROUND = 10_000
BATCH = 1_000
SNAPSHOT_ROWS = 50_000


def run(folder: Path, scale: float) -> Bench:
    rows = Rows(vehicles=1, slips=0, waybills=max(20_000, int(1_000_000 * scale)))
    path = fill(folder, rows)
    copies = {name: folder / f"copy-{name}.sqlite" for name in ("many", "utils")}
    for copy in copies.values():
        shutil.copy(path, copy)
    draw = random.Random(11)
    news = [_news(draw, rows.waybills, round_no) for round_no in range(ROUNDS)]
    number = _number(path)
    feed = Records.open(path, writable=True)
    many = sqlite3.connect(copies["many"], isolation_level=None)
    many.execute("PRAGMA journal_mode = WAL")
    many.execute("PRAGMA synchronous = FULL")
    utils = sqlite_utils.Database(copies["utils"])
    utils.enable_wal()
    turns = {"feed": 0, "many": 0, "utils": 0}

    def rate(name: str, write: object) -> float:
        chosen = news[turns[name]]
        turns[name] += 1
        begin = time.perf_counter()
        write(chosen)  # type: ignore[operator]
        return len(chosen) / (time.perf_counter() - begin)

    def by_feed(chosen: list[tuple[str, str]]) -> None:
        nonlocal number
        for begin in range(0, len(chosen), BATCH):
            changes = tuple(
                Change(number + place, "waybills", key, ChangeOp.PUT, body)
                for place, (key, body) in enumerate(chosen[begin : begin + BATCH], start=1)
            )
            number += len(changes)
            feed.apply(FeedBatch(SCOPE, EPOCH, changes[0].number, changes[-1].number, changes))

    def by_many(chosen: list[tuple[str, str]]) -> None:
        for begin in range(0, len(chosen), BATCH):
            many.execute("BEGIN IMMEDIATE")
            many.executemany(
                "INSERT INTO waybills VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET body = excluded.body",
                chosen[begin : begin + BATCH],
            )
            many.execute("COMMIT")

    def by_utils(chosen: list[tuple[str, str]]) -> None:
        for begin in range(0, len(chosen), BATCH):
            part = [{"key": key, "body": body} for key, body in chosen[begin : begin + BATCH]]
            utils.table("waybills").upsert_all(part, pk="key", batch_size=BATCH)

    rates = in_turns(
        ROUNDS,
        [
            ("feed", lambda: rate("feed", by_feed)),
            ("many", lambda: rate("many", by_many)),
            ("utils", lambda: rate("utils", by_utils)),
        ],
    )
    feed.close()
    many.close()
    utils.close()
    return Bench(
        "records",
        [
            Figure("raw executemany", rates["many"], "rows/s"),
            Figure("sqlite_utils.upsert_all", rates["utils"], "rows/s"),
            Figure(
                "applied from the feed", rates["feed"], "rows/s", rates["feed"] / rates["many"],
                "executemany", at_least=0.75, note="digest kept, bodies checked",
            ),
            Figure(
                "the same", rates["feed"], "rows/s", rates["feed"] / rates["utils"],
                "upsert_all", at_least=2.0,
            ),
        ],
        f"{rows.waybills:,} rows there, {ROWS_A_ROUND:,} a round, half of them new, {BATCH:,} a transaction",
    )  # fmt: skip


def _news(draw: random.Random, there: int, round_no: int) -> list[tuple[str, str]]:
    """Half changes of random rows, half new ones, in the order of the centre, not of the keys."""
    half = ROWS_A_ROUND // 2
    chosen = [waybill(n) for n in draw.sample(range(there), half)]
    chosen += [waybill(10**9 + round_no * half + n) for n in draw.sample(range(half), half)]
    draw.shuffle(chosen)
    return [(str(w.waybill_no), to_json(w).decode().replace("matched", f"again{round_no}")) for w in chosen]


def _number(path: Path) -> int:
    with Records.open(path) as records:
        return records.feed_state().number
