"""Facts of a journal for others to check: as JSON lines, or by stream for a segment. Reads only."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sync.store.opening import JOURNAL, PLAIN, Opener, StoreRefused, open_database, refused
from sync.store.places import SEQ_BITS, STREAM_BITS, STREAM_NUMBERS, first_place
from sync.vocabulary.facts import Stream


class JournalRun(NamedTuple):
    """Facts of one stream of one epoch without a gap, with the last one's place on the device."""

    epoch: str
    stream: Stream
    last_seq: int
    last_hash: str
    last_position: int
    last_time: str
    bodies: tuple[str, ...]


def exported_facts(
    path: Path, first: int = 1, last: int = 2**62, passage: int | None = None, *, opener: Opener = PLAIN
) -> Iterator[str]:
    """One JSON object a fact, in device-wide order: at positions `first` to `last`, or of one passage. Raises
    `StoreRefused`."""
    where, values = _asked(first, last, passage)
    with _reading(path, opener) as connection:
        for position, kind, hash_hex, body in connection.execute(
            f"SELECT position, kind, hash, body FROM facts WHERE {where} ORDER BY position, place",  # noqa: S608
            values,
        ):
            line = {"position": position, "kind": kind, "hash": hash_hex, "body": body}
            yield json.dumps(line, ensure_ascii=False)


def device_of(path: Path, *, opener: Opener = PLAIN) -> str:
    """Whose journal it is. Raises `StoreRefused`."""
    with _reading(path, opener) as connection:
        row = connection.execute("SELECT device FROM store").fetchone()
    if row is None:
        raise StoreRefused(f"{path}: the store row is missing: the file was never finished")
    return str(row[0])


def journal_runs(
    path: Path, first: int, last: int, passage: int | None, *, opener: Opener = PLAIN
) -> tuple[JournalRun, ...]:
    """The streams' facts at device-wide positions `first` to `last`, or of one passage; where others of the
    same stream stand between them, those too. Raises `StoreRefused`."""
    with _reading(path, opener) as connection:
        connection.execute("BEGIN")
        epochs = dict(connection.execute("SELECT epoch_no, epoch FROM epochs").fetchall())
        where, values = _asked(first, last, passage)
        found = connection.execute(
            f"SELECT place >> {SEQ_BITS} AS part, min(place), max(place) FROM facts WHERE {where} "  # noqa: S608
            "GROUP BY part ORDER BY min(position)",
            values,
        ).fetchall()
        return tuple(
            _run(connection, epochs[part >> STREAM_BITS], part, low, high) for part, low, high in found
        )


def _asked(first: int, last: int, passage: int | None) -> tuple[str, tuple[int, ...]]:
    return ("position BETWEEN ? AND ?", (first, last)) if passage is None else ("passage = ?", (passage,))


_STREAMS = {number: stream for stream, number in STREAM_NUMBERS.items()}


def _run(connection: sqlite3.Connection, epoch: str, part: int, low: int, high: int) -> JournalRun:
    stream = _STREAMS[part & ((1 << STREAM_BITS) - 1)]
    rows = connection.execute(
        "SELECT place, position, time, hash, body FROM facts WHERE place BETWEEN ? AND ? ORDER BY place",
        (low, high),
    ).fetchall()
    place, position, time, hash_hex, _ = rows[-1]
    seq = place - first_place(part >> STREAM_BITS, stream)
    return JournalRun(epoch, stream, seq, hash_hex, position, time, tuple(row[4] for row in rows))


@contextlib.contextmanager
def _reading(path: Path, opener: Opener) -> Iterator[sqlite3.Connection]:
    if not path.exists():
        raise StoreRefused(f"{path} does not exist: check the path")
    connection = open_database(path, JOURNAL, create=False, writable=False, opener=opener)
    with contextlib.closing(connection):
        try:
            yield connection
        except sqlite3.Error as error:
            raise refused(path, JOURNAL, error) from error
