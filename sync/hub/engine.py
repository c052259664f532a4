"""What the archive asks of a database engine, and how an archive gets a new identity. SQL that both engines
take, no decision about messages, no MQTT.

The common subset of SQLite >= 3.40 and PostgreSQL 15: `?` and `:name` for values, ON CONFLICT, RETURNING,
row values; no INSERT OR, no `NOT column`, no LIMIT -1, no CROSS JOIN ... USING; in `DO UPDATE ... WHERE`
the old row is written with its table's name. Schema steps (`schema/*.sql`) are written for SQLite with
TEXT, INTEGER and BLOB alone; `engine_postgres` translates them.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib import resources
from pathlib import Path
from typing import Any, Protocol

from sync.store.folders import sync_folder

Row = tuple[Any, ...]
Parameters = Sequence[Any] | Mapping[str, Any]
NewId = Callable[[], str]


class EngineFailed(Exception):
    """A database server failed, refused or went away; nothing was committed. `again`: only others were in
    the way (a deadlock), and the same transaction may be tried at once."""

    def __init__(self, why: str, *, again: bool = False) -> None:
        super().__init__(why)
        self.again = again


STORAGE_ERRORS = (sqlite3.Error, OSError, EngineFailed)
"""What a full, locked or failing disk raises; nothing was committed when one of them comes out."""


class TookTooLong(Exception):
    """A question asked inside `Engine.bounded` was given up; nothing was changed."""


Over = Callable[[], bool]
"""Whether a question is to be given up now. Any thread."""


class ArchiveRefused(Exception):
    """The place cannot be this hub's archive; the text says why and what to do."""


class ArchiveTaken(Exception):
    """The archive is no longer the one that was opened: another hub has opened the same file since, past the
    lock (a shared folder), or its database was put back from a backup. This hub must stop; started again it
    looks anew."""


class Rows(Protocol):
    """What a statement brought."""

    @property
    def rowcount(self) -> int: ...
    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...
    def __iter__(self) -> Iterator[Any]: ...


class Engine(Protocol):
    """One connection, one thread. Every method may raise one of `STORAGE_ERRORS`."""

    @property
    def place(self) -> str:
        """The file, or the database and where it is: for messages. Holds no secret."""

    @property
    def begin(self) -> str:
        """Begins a transaction that writes."""

    @property
    def begin_snapshot(self) -> str:
        """Begins a transaction in which all reads see the same moment."""

    @property
    def many_writers(self) -> bool:
        """Whether others may write at the same time, so that what is read to be changed must be locked."""

    def locking(self, select: str) -> str:
        """The SELECT, its rows nobody else's to change until the transaction ends."""

    def begun(self) -> bool:
        """Whether a transaction is open."""

    def intact(self) -> bool:
        """Whether a transaction is open and could still be committed."""

    def execute(self, sql: str, parameters: Parameters = (), /) -> Rows: ...

    def executemany(self, sql: str, rows: Iterable[Parameters], /) -> Rows: ...

    def fill(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        """Insert whole rows of which none is there yet."""

    def stream(self, sql: str, parameters: Parameters = ()) -> Iterator[Row]:
        """Rows of a long answer, without holding all of it."""

    def bounded(self, within_s: float, over: Over) -> AbstractContextManager[None]:
        """What is asked inside raises `TookTooLong` once `over` holds; a single statement when it has run
        `within_s`, at the latest."""

    def check(self) -> None:
        """At the beginning of a transaction: this is still the archive that was opened. Raises
        `ArchiveTaken`."""

    def renew_token(self, new_id: NewId, *, written: bool) -> bool:
        """`Archive.renew_token`."""

    def hold_duties(self) -> bool:
        """`Archive.hold_duties`."""

    def close(self) -> None: ...


class Executes(Protocol):
    def execute(self, sql: str, parameters: Parameters = (), /) -> Rows: ...


def schema_steps() -> list[tuple[str, str]]:
    """Name and SQL of every schema step, in order."""
    return sorted(
        (entry.name, entry.read_text(encoding="utf-8"))
        for entry in resources.files("sync.hub").joinpath("schema").iterdir()
        if entry.name.endswith(".sql")
    )


def statements(script: str) -> Iterator[str]:
    """Each with the comments before it."""
    waiting = ""
    for line in script.splitlines(keepends=True):
        waiting += line
        if sqlite3.complete_statement(waiting):
            yield waiting
            waiting = ""
    if waiting.strip():
        yield waiting


def meta(db: Executes, key: str) -> str | None:
    row = db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return None if row is None else str(row[0])


def set_meta(db: Executes, key: str, value: str) -> None:
    db.execute(
        "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (key, value),
    )


def begin_anew(db: Executes, new_id: NewId) -> None:
    """A new archive id, and a new epoch of every scope: nobody shall mistake old numbers for new ones
    (G4)."""
    set_meta(db, "archive_id", new_id())
    for scope, epoch in db.execute("SELECT scope, epoch FROM scopes").fetchall():
        _renumber(db, scope, epoch, new_id())


def _renumber(db: Executes, scope: str, old_epoch: str, epoch: str) -> None:
    """Begin a new epoch of a scope from the records as they stand; the old epoch's log stays."""
    (at_utc,) = db.execute(
        "SELECT coalesce(max(at_utc), '') FROM log WHERE scope = ? AND epoch = ? AND number = "
        "(SELECT number FROM scopes WHERE scope = ?)",
        (scope, old_epoch, scope),
    ).fetchone()
    db.execute(
        "INSERT INTO log SELECT scope, ?, row_number() OVER (ORDER BY collection, key),"
        " collection, key, 'put', body, ?"
        " FROM records WHERE scope = ?",
        (epoch, at_utc, scope),
    )
    db.execute(
        "UPDATE records SET number = n.number FROM"
        " (SELECT collection, key, row_number() OVER (ORDER BY collection, key) AS number"
        " FROM records WHERE scope = :scope) n"
        " WHERE records.scope = :scope AND records.collection = n.collection AND records.key = n.key",
        {"scope": scope},
    )
    db.execute("UPDATE scopes SET epoch = ?, number = rows WHERE scope = ?", (epoch, scope))


def remembered(companion: Path) -> list[str]:
    """Tokens by which the archive is recognised; empty where there is no such file."""
    return companion.read_text(encoding="ascii", errors="replace").split() if companion.exists() else []


def remember(companion: Path, *tokens: str) -> None:
    """Tokens by which the archive is recognised: the one before and the new one until the archive is changed
    (killed in between, either will do), then the new one alone."""
    fresh = companion.with_name(companion.name + ".new")
    with fresh.open("w", encoding="ascii") as file:
        file.write("".join(f"{token}\n" for token in tokens))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(companion)
    sync_folder(companion.parent)
