"""An archive moved from one engine to another, whole: every row, its identity too, so that no device has to
send anything again. No MQTT, no clock.

One transaction at the target: whatever ends it in the middle, nothing is there. Once all of it is proved
there, the source is told that it was moved, and only then the target is made durable: a hub started on the
source again begins it anew (G4), and two archives never answer under one name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from sync.hub.archive import Archive
from sync.hub.engine import Row, set_meta
from sync.hub.proving import verify_archive

AT_ONCE: Final = 2_000
"""Rows in memory."""
_OF_AN_ENGINE: Final = frozenset({"schema", "opened", "lives"})
"""In `meta`: what an engine knows its own database by."""
_NOT_MOVED: Final = frozenset({"meta", "witnesses"})

Told = Callable[[str, int, int], None]
"""Table, rows done, rows in all."""


class NotMoved(Exception):
    """Nothing was moved; the text says why and what was expected."""


@dataclass(frozen=True, slots=True)
class Moved:
    tables: int
    rows: int
    archive_id: str


def move_archive(source: Archive, target: Archive, told: Told) -> Moved:
    """`source` on SQLite, opened as its hub does (`own`), so that no hub runs on it; `target` on PostgreSQL.
    Raises `NotMoved`."""
    tables = _tables(source)
    if not target.engine.hold_duties():
        raise NotMoved(f"{target.place}: a hub runs there; stop it first")
    known = verify_archive(source)
    rows = 0
    at_source = source.engine
    at_source.execute(at_source.begin)
    try:
        with target.transaction():
            _must_be_empty(target, tables)
            for name, table in tables.items():
                rows += _moved(source, target, name, table, told)
            _numbers_go_on(target)
            _move_meta(source, target)
            wrong = list(_differing(source, target))
            if wrong:
                raise NotMoved(f"what arrived is not what was sent: {'; '.join(wrong[:5])}")
            # Before the target is durable: one of the two at most answers to this name.
            set_meta(at_source, "opened", f"moved to {target.place}")
            at_source.execute("COMMIT")
    except BaseException:
        if at_source.begun():
            at_source.execute("ROLLBACK")
        raise
    # Each row was compared already; read as the hub reads it, chains and signatures are what they were.
    wrong = [each for each in verify_archive(target) if each not in known]
    if wrong:
        raise NotMoved(f"{target.place} does not prove what the source does: {'; '.join(wrong[:5])}")
    return Moved(len(tables), rows, source.archive_id)


@dataclass(frozen=True, slots=True)
class _Table:
    columns: tuple[str, ...]
    key: tuple[str, ...]

    def rows(self, archive: Archive, name: str) -> Iterator[Row]:
        """In the order of the key, which is that of bytes on both engines."""
        columns, key = ", ".join(self.columns), ", ".join(self.key)
        for row in archive.engine.stream(f"SELECT {columns} FROM {name} ORDER BY {key}"):  # noqa: S608  names of ours
            yield tuple(map(_storable, row))


def _storable(value: Any) -> Any:
    """As the target keeps it: it takes no NUL inside a text."""
    return value.replace("\0", "\N{SYMBOL FOR NULL}") if type(value) is str else value


def _tables(source: Archive) -> dict[str, _Table]:
    found = {}
    for (name,) in source.engine.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
    ).fetchall():
        info = source.engine.execute(f"PRAGMA table_info({name})").fetchall()
        key = tuple(each[1] for each in sorted(info, key=lambda each: int(each[5])) if each[5])
        columns = tuple(each[1] for each in info)
        found[name] = _Table(columns, key or columns)
    return {name: table for name, table in found.items() if name not in _NOT_MOVED}


def _must_be_empty(target: Archive, tables: Iterable[str]) -> None:
    full = [name for name in tables if _count(target, name)]
    told = [key for key, _ in _meta(target) if key not in ("archive_id", *_OF_AN_ENGINE)]
    if full or told:
        raise NotMoved(
            f"{target.place}: expected an archive with nothing in it; there is something in "
            f"{', '.join([*full, *(['meta'] if told else [])])}"
        )


def _count(archive: Archive, name: str) -> int:
    (count,) = archive.engine.execute(f"SELECT count(*) FROM {name}").fetchone()  # noqa: S608  names of ours
    return int(count)


def _moved(source: Archive, target: Archive, name: str, table: _Table, told: Told) -> int:
    """How many rows; the target's are asked for again and compared, byte for byte."""
    wanted, done = _count(source, name), 0
    sent = hashlib.sha256()
    rows = table.rows(source, name)
    order = _order_at(target, name)
    places = [table.columns.index(column) for column in order]
    while some := list(islice(rows, AT_ONCE)):
        for row in some:
            sent.update(repr(row).encode())
        target.engine.fill(name, [[row[place] for place in places] for row in some])
        done += len(some)
        told(name, done, wanted)
    arrived, count = hashlib.sha256(), 0
    for row in table.rows(target, name):
        arrived.update(repr(row).encode())
        count += 1
    if (count, arrived.digest()) != (wanted, sent.digest()):
        raise NotMoved(f"{name}: {wanted} rows were sent, {count} arrived, or they are not the same")
    return done


def _order_at(target: Archive, name: str) -> list[str]:
    rows = target.engine.execute(
        "SELECT column_name FROM information_schema.columns "
        "WHERE table_schema = current_schema() AND table_name = ? ORDER BY ordinal_position",
        (name,),
    ).fetchall()
    return [column for (column,) in rows]


def _numbers_go_on(target: Archive) -> None:
    """Numbers the server gives by itself go on behind those that came."""
    rows = target.engine.execute(
        "SELECT table_name, column_name FROM information_schema.columns "
        "WHERE table_schema = current_schema() AND is_identity = 'YES'"
    ).fetchall()
    for name, column in rows:
        target.engine.execute(
            f"SELECT setval(pg_get_serial_sequence('{name}', '{column}'), max({column})) "  # noqa: S608  names of ours
            f"FROM {name} HAVING max({column}) IS NOT NULL"
        )


def _meta(archive: Archive) -> list[tuple[str, str]]:
    return [(key, value) for key, value in archive.engine.execute("SELECT key, value FROM meta").fetchall()]


def _move_meta(source: Archive, target: Archive) -> None:
    for key, value in _meta(source):
        if key not in _OF_AN_ENGINE:
            set_meta(target.engine, key, _storable(value))


def _differing(source: Archive, target: Archive) -> Iterator[str]:
    """Records by their own numbers and digests, besides the rows."""
    for scope in source.scopes():
        if target.scope(scope.scope) != scope:
            yield f"scope {scope.scope}: {target.scope(scope.scope)} is not {scope}"
