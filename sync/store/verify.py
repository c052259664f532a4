"""Proving a journal: every fact in its place, unchanged, after the one it names (G6). Reads only.

Runs beside the program that writes the journal. What it cannot see: facts removed from the end together with
every trace of them in this folder; the centre sees that, by its own copy and the signed checkpoints.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import msgspec

from sync.store.flipping import Flips
from sync.store.lock import remembered_beside
from sync.store.opening import JOURNAL, PLAIN, Opener, StoreRefused, open_database, refused
from sync.store.places import first_place, last_place
from sync.vocabulary.facts import GENESIS, EpochBegan, Stream, kind_of

MAX_PROBLEMS = 1_000
"""A file that is wrong everywhere is named wrong this often."""

_FIRST_KIND = kind_of(EpochBegan(why="", old_epoch="", old_heads={}))


class _Data(msgspec.Struct):
    """As much of any fact's data as its columns repeat; kinds newer than this program are read too."""

    type: str
    passage: int | None = None
    old_epoch: str = ""
    old_heads: dict[str, str] = {}


class _Said(msgspec.Struct):
    """What a body says of its own place."""

    device: str
    epoch: str
    stream: str
    seq: int
    position: int
    prev: str
    event_id: str
    time: str
    data: _Data


_said = msgspec.json.Decoder(_Said)


@dataclass(frozen=True, slots=True)
class _Head:
    epoch_no: int
    epoch: str
    stream: Stream
    seq: int
    hash: str
    position: int
    acked: int
    acked_hash: str
    dropped_seq: int
    dropped_hash: str
    dropped_position: int

    def name(self, first: int, last: int | None = None) -> str:
        numbers = str(first) if last is None or last == first else f"{first}..{last}"
        return f"epoch {self.epoch[:8]} {self.stream.value} {numbers}"


def last_fact_utc(path: Path, *, opener: Opener = PLAIN) -> str | None:
    """When the last routine fact was made, by the clock of its day; None in a new journal. Raises
    `StoreRefused`."""
    try:
        with closing(open_database(path, JOURNAL, create=False, writable=False, opener=opener)) as connection:
            row = connection.execute("SELECT time FROM facts ORDER BY place DESC LIMIT 1").fetchone()
    except sqlite3.Error as error:
        raise refused(path, JOURNAL, error) from error
    return None if row is None else str(row[0])


def verify_journal(path: Path, *, opener: Opener = PLAIN) -> list[str]:
    """Everything wrong with a journal's facts, each named exactly; empty when it is whole.

    A file that cannot be read at all is one problem, not an exception.
    """
    problems: list[str] = []
    try:
        with closing(open_database(path, JOURNAL, create=False, writable=False, opener=opener)) as connection:
            connection.text_factory = _as_stands
            connection.execute("BEGIN")
            for problem in _problems(connection, path):
                problems.append(problem)
                if len(problems) >= MAX_PROBLEMS:
                    problems.append(f"and more: stopped after {MAX_PROBLEMS} problems")
                    break
    except StoreRefused as error:
        problems.append(str(error))
    except (sqlite3.Error, ValueError, TypeError) as error:
        problems.append(f"the file cannot be read further: {error}")
    return problems


@dataclass(frozen=True, slots=True)
class SignedHead:
    """A fact the device signed for, as somebody else keeps it."""

    epoch: str
    stream: Stream
    seq: int
    hash: str


def verify_against(path: Path, heads: Iterable[SignedHead], *, opener: Opener = PLAIN) -> list[str]:
    """What of all that was signed is not in the journal any more, or is another fact now. Retention may have
    let go of it. Raises `StoreRefused`."""
    problems: list[str] = []
    with closing(open_database(path, JOURNAL, create=False, writable=False, opener=opener)) as connection:
        connection.text_factory = _as_stands
        try:
            for head in heads:
                problems += _against(connection, head)
        except sqlite3.Error as error:
            raise refused(path, JOURNAL, error) from error
    return problems


def _against(connection: sqlite3.Connection, head: SignedHead) -> Iterator[str]:
    name = f"epoch {head.epoch[:8]} {head.stream.value}"
    row = connection.execute(
        "SELECT epoch_no, seq, dropped_seq FROM heads JOIN epochs USING (epoch_no) "
        "WHERE epoch = ? AND stream = ?",
        (head.epoch, head.stream.value),
    ).fetchone()
    if row is None:
        yield f"{name} 1..{head.seq}: missing, the device signed for them: this epoch is not in the journal"
        return
    epoch_no, last, dropped = row
    if head.seq <= dropped:
        return
    found = connection.execute(
        "SELECT hash FROM facts WHERE place = ?", (first_place(epoch_no, head.stream) + head.seq,)
    ).fetchone()
    if found is None:
        first = min(last + 1, head.seq)
        numbers = str(head.seq) if first == head.seq else f"{first}..{head.seq}"
        yield f"{name} {numbers}: missing, removed from the end: the device signed for {head.seq}"
    elif found[0] != head.hash:
        yield f"{name} {head.seq}: is {str(found[0])[:16]}, the device signed for {head.hash[:16]}"


def _as_stands(text: bytes) -> str:
    """A damaged column is still compared, and shown, as far as it can be read."""
    return text.decode("utf-8", "backslashreplace")


def _problems(connection: sqlite3.Connection, path: Path) -> Iterator[str]:
    for (found,) in connection.execute("PRAGMA integrity_check(20)"):
        if found != "ok":
            yield f"the file itself: {found}"
    device = connection.execute("SELECT device FROM store").fetchone()
    if device is None:
        yield "the store row is missing: the file was never finished, or it was removed"
        return
    heads = [
        _Head(row[0], row[1], Stream(row[2]), *row[3:])
        for row in connection.execute(
            "SELECT epoch_no, epoch, stream, seq, hash, position, acked, acked_hash, dropped_seq, "
            "dropped_hash, dropped_position FROM heads JOIN epochs USING (epoch_no) ORDER BY epoch_no, stream"
        )
    ]
    clean, flips = True, Flips()
    for head in heads:
        before = {other.stream.value: other for other in heads if other.epoch_no == head.epoch_no - 1}
        for problem in _stream_problems(connection, device[0], head, before, flips):
            clean = False
            yield problem
    yield from _stray_problems(connection, heads)
    if clean:
        yield from _position_problems(connection, heads)
    remembered = remembered_beside(path)
    position = max((head.position for head in heads), default=0)
    if remembered is not None and remembered.position > position:
        yield (
            f"the lock file remembers position {remembered.position}, the journal ends at {position}: "
            "facts were removed from the end, or an older copy was put back"
        )


def _stream_problems(
    connection: sqlite3.Connection, device: str, head: _Head, before: dict[str, _Head], flips: Flips
) -> Iterator[str]:
    base = first_place(head.epoch_no, head.stream)
    expected = head.dropped_seq + 1
    prev: str | None = head.dropped_hash
    position = head.dropped_position
    misplaced: dict[int, int] = {}
    acked_hash: str | None = {0: GENESIS, head.dropped_seq: head.dropped_hash}.get(head.acked)
    last_hash, last_at = head.dropped_hash, head.dropped_position
    rows = connection.execute(
        "SELECT place, position, event_id, kind, passage, time, hash, CAST(body AS BLOB) FROM facts "
        "WHERE place BETWEEN ? AND ? ORDER BY place",
        (base, last_place(head.epoch_no, head.stream)),
    )
    for place, at, event_id, kind, passage, time, hash_, body in rows:
        seq = place - base
        if seq < expected:
            yield f"{head.name(seq)}: stands here, but retention let go of all up to {head.dropped_seq}"
            continue
        if seq > expected:
            yield f"{head.name(expected, seq - 1)}: missing"
            prev = None
        expected = seq + 1
        last_hash, last_at = hash_, at
        if seq == head.acked:
            acked_hash = hash_
        true_hash = hashlib.sha256(body).hexdigest()
        try:
            said = _said.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            where = flips.where(body, str(hash_))
            yield f"{head.name(seq)}: changed, its body is no longer a fact ({error}){where}"
            prev = None
            continue
        if said.seq != seq and true_hash == hash_:
            misplaced[seq] = said.seq
            prev = None
            continue
        if true_hash != hash_:
            where = flips.where(body, str(hash_))
            yield (
                f"{head.name(seq)}: changed, its bytes hash to {true_hash[:16]}, "
                f"its row says {str(hash_)[:16]}{where}"
            )
            prev = None
            continue
        if prev is not None and said.prev != prev:
            yield (
                f"{head.name(seq)}: does not follow {head.name(seq - 1)}, it names {said.prev[:16]} as the "
                f"fact before it and that one is {prev[:16]}"
            )
        prev = true_hash
        columns = {
            "device": (device, said.device),
            "epoch": (head.epoch, said.epoch),
            "stream": (head.stream.value, said.stream),
            "position": (at, said.position),
            "event_id": (event_id, said.event_id),
            "kind": (kind, said.data.type),
            "passage": (passage, said.data.passage),
            "time": (time, said.time),
        }
        for column, (stored, told) in columns.items():
            if stored != told:
                yield f"{head.name(seq)}: changed, its row says {column} {stored!r} and its body {told!r}"
        if at <= position:
            yield f"{head.name(seq)}: position {at} is not after {position} of the fact before it"
        position = at
        if seq == 1 and head.stream is Stream.ALARM:
            yield from _beginning_problems(head, said.data, before)
    yield from _order_problems(head, misplaced)
    if expected <= head.seq:
        yield f"{head.name(expected, head.seq)}: missing, removed from the end"
    elif expected > head.seq + 1:
        yield f"{head.name(head.seq + 1, expected - 1)}: beyond the head, which names {head.seq} as the last"
    elif last_hash != head.hash:
        yield f"{head.name(head.seq)}: is {last_hash[:16]}, the head row names {head.hash[:16]}"
    elif last_at != head.position:
        yield f"{head.name(head.seq)}: stands at position {last_at}, the head row names {head.position}"
    if head.acked > head.seq:
        yield f"{head.name(head.acked)}: acknowledged by the centre, but the journal ends at {head.seq}"
    elif acked_hash is not None and acked_hash != head.acked_hash:
        yield (
            f"{head.name(head.acked)}: not what the centre acknowledged ({acked_hash[:16]}, "
            f"the centre {head.acked_hash[:16]})"
        )


def _beginning_problems(head: _Head, data: _Data, before: dict[str, _Head]) -> Iterator[str]:
    if data.type != _FIRST_KIND:
        yield f"{head.name(1)}: the first fact of an epoch must be {_FIRST_KIND}, it is {data.type}"
        return
    for name, old in before.items():
        told, is_ = data.old_heads.get(name), f"{old.seq}:{old.hash}"
        if told != is_:
            yield f"{old.name(old.seq)}: the next epoch left {told} behind, its head is {is_}"


def _order_problems(head: _Head, misplaced: dict[int, int]) -> Iterator[str]:
    for seq, told in misplaced.items():
        if misplaced.get(told) != seq:
            yield f"{head.name(seq)}: out of order, the fact standing here says it is {told}"
        elif seq < told:
            yield f"{head.name(seq)} and {told}: swapped"


def _stray_problems(connection: sqlite3.Connection, heads: list[_Head]) -> Iterator[str]:
    (strays,) = connection.execute("SELECT count(*) FROM facts").fetchone()
    for head in heads:
        (held,) = connection.execute(
            "SELECT count(*) FROM facts WHERE place BETWEEN ? AND ?",
            (first_place(head.epoch_no, head.stream), last_place(head.epoch_no, head.stream)),
        ).fetchone()
        strays -= held
    if strays:
        yield f"{strays} facts stand under an epoch or stream that has no head row"


def _position_problems(connection: sqlite3.Connection, heads: list[_Head]) -> Iterator[str]:
    """Device-wide: above what retention let go of, every position once and none missing."""
    floor = max((head.dropped_position for head in heads), default=0)
    last = max((head.position for head in heads), default=0)
    expected = floor + 1
    for (position,) in connection.execute(
        "SELECT position FROM facts WHERE position > ? ORDER BY position", (floor,)
    ):
        if position < expected:
            yield f"position {position}: taken by two facts"
        elif position > expected:
            yield f"position {expected}..{position - 1}: missing, facts were removed and their head changed"
        expected = position + 1
    if expected <= last:
        yield f"position {expected}..{last}: missing"
