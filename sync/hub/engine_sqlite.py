"""The embedded engine: one SQLite file, one hub process. Opening, schema steps, lock and token; no table's
meaning.

What is committed is on the disk (WAL, `synchronous=FULL`). A file put back from a backup is noticed: a hub
writes a fresh token into the archive and into `<archive>.opened` beside it when it opens the archive, and
every few seconds in which something was written. Where the two do not belong together at an opening, the
archive begins anew.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Self

from sync.hub.engine import (
    STORAGE_ERRORS,
    ArchiveRefused,
    ArchiveTaken,
    NewId,
    Over,
    Parameters,
    Row,
    TookTooLong,
    begin_anew,
    meta,
    remember,
    remembered,
    schema_steps,
    set_meta,
    statements,
)
from sync.hub.given_up import given_up
from sync.store.lock import StoreLock
from sync.store.opening import StoreRefused

APPLICATION_ID = 0x4B4B4842
"""`KKHB` in the file's header: says whose file it is."""


_LARGE_TABLES = (
    ("facts", "facts", "10000000 100000 50000 20000 1"),
    ("facts", "facts_of_passages", "1000000 10000 3"),
    ("log", "log", "10000000 5000000 2500000 1"),
    ("log", "log_by_key", "10000000 5000000 500000 3 2 1"),
)
"""Rows in all, and rows that share the first column of the index, the first two, and so on
(sqlite.org/fileformat2.html#stat1tab). Nothing known, SQLite believes in ten rows of one device or one scope
and reads all of them, past the index that would find one record or one passage: seconds a look with
millions, on the thread that alarms wait for."""


class SqliteEngine:
    """`open` it."""

    begin = "BEGIN IMMEDIATE"
    begin_snapshot = "BEGIN"
    many_writers = False

    def __init__(self, db: sqlite3.Connection, path: Path, token: str | None, lock: StoreLock | None) -> None:
        self._db = db
        self._path = path
        self._token = token
        self._lock = lock
        self._seen_version = self._file_version()
        self._over: Over | None = None

    @classmethod
    def open(cls, path: Path, *, own: bool, busy_timeout_s: float, new_id: NewId) -> Self:
        """Raises `ArchiveRefused`."""
        if not path.parent.is_dir():
            raise ArchiveRefused(
                f"{path}: its folder does not exist; make it or correct `archive` in the config"
            )
        db: sqlite3.Connection | None = None
        lock: StoreLock | None = None
        try:
            if own:
                _look_at_a_left_log(path)
            db = sqlite3.connect(
                path,
                isolation_level=None,
                timeout=busy_timeout_s,
                cached_statements=256,
                check_same_thread=False,
            )
            # Before anything is written: the mode is kept in the file, and the file may be somebody else's.
            _check_ours(db, path, len(schema_steps()))
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL")
            db.execute("PRAGMA wal_autocheckpoint=4000")
            db.execute("PRAGMA cache_size=-65536")
            db.execute("PRAGMA temp_store=MEMORY")
            _step_schema(db, path, new_id)
            if own:
                lock = StoreLock.acquire(path.with_name(path.name + ".lock"), guards=path)
            token = _take(db, path, new_id) if own else None
            return cls(db, path, token, lock)
        except (ArchiveRefused, StoreRefused, *STORAGE_ERRORS) as error:
            if db is not None:
                db.close()
            if lock is not None:
                lock.release()
            match error:
                case ArchiveRefused():
                    raise
                case StoreRefused():
                    raise ArchiveRefused(
                        f"{path}: a hub runs on this archive already; stop it first, or name another file"
                    ) from error
                case _:
                    raise ArchiveRefused(_advice(path, error)) from error

    @property
    def place(self) -> str:
        return str(self._path)

    def locking(self, select: str) -> str:
        """A transaction that writes has the whole file."""
        return select

    def begun(self) -> bool:
        return self._db.in_transaction

    def intact(self) -> bool:
        return self._db.in_transaction

    def execute(self, sql: str, parameters: Parameters = (), /) -> sqlite3.Cursor:
        if self._over is not None and self._over():
            raise TookTooLong
        return self._db.execute(sql, parameters)

    def executemany(self, sql: str, rows: Iterable[Parameters], /) -> sqlite3.Cursor:
        return self._db.executemany(sql, rows)

    def fill(self, table: str, rows: Sequence[Sequence[object]]) -> None:
        if rows:
            places = ",".join("?" * len(rows[0]))
            self._db.executemany(f"INSERT INTO {table} VALUES ({places})", rows)  # noqa: S608  our own names

    def stream(self, sql: str, parameters: Parameters = ()) -> Iterator[Row]:
        cursor = self._db.cursor()
        cursor.arraysize = 200
        try:
            cursor.execute(sql, parameters)
            while rows := cursor.fetchmany():
                yield from rows
        finally:
            cursor.close()

    @contextlib.contextmanager
    def bounded(self, within_s: float, over: Over) -> Iterator[None]:
        self._over = over
        try:
            with given_up(self._db, over):
                yield
        finally:
            self._over = None

    def check(self) -> None:
        if self._token is not None and meta(self, "opened") != self._token:
            raise ArchiveTaken(f"{self._path}: another hub has opened this archive; only one may run on it")

    def renew_token(self, new_id: NewId, *, written: bool) -> bool:
        version = self._file_version()
        if self._token is None or not (written or version != self._seen_version):
            return False
        token = new_id()
        remember(_companion(self._path), self._token, token)
        self.execute(self.begin)
        try:
            self.check()
            set_meta(self, "opened", token)
            self.execute("COMMIT")
        except BaseException:
            if self.begun():
                self.execute("ROLLBACK")
            raise
        remember(_companion(self._path), token)
        self._token = token
        self._seen_version = self._file_version()
        return True

    def hold_duties(self) -> bool:
        """There is no other."""
        return True

    def close(self) -> None:
        self._db.close()
        if self._lock is not None:
            self._lock.release()

    def _file_version(self) -> int:
        """Changes when another connection has written."""
        version: int = self._db.execute("PRAGMA data_version").fetchone()[0]
        return version


def _advice(path: Path, error: Exception) -> str:
    text = str(error)
    match text:
        case "file is not a database" | "database disk image is malformed":
            return (
                f"{path}: damaged, or not a database ({text}); move it and its -wal and -shm files aside and "
                "put the last backup in its place: devices send again what the backup does not hold"
            )
        case "database is locked":
            return f"{path}: locked by another program; stop the hub or importer that has it open"
        case _:
            return f"{path}: cannot be opened ({text}); check that it is a file this user may read and write"


def _check_ours(db: sqlite3.Connection, path: Path, known: int) -> tuple[int, int]:
    """Application id and schema version of a file that is ours or empty. Raises `ArchiveRefused`."""
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION_ID and (tables or application):
        raise ArchiveRefused(f"{path}: a database of something else; name another file in `archive`")
    if version > known:
        raise ArchiveRefused(
            f"{path}: written by a newer kakou (schema {version}, this one knows {known}); update kakou"
        )
    return application, version


def _step_schema(db: sqlite3.Connection, path: Path, new_id: NewId) -> None:
    """Bring the file to this version's schema, forward only, one transaction a step."""
    steps = schema_steps()
    db.execute("BEGIN IMMEDIATE")
    try:
        application, version = _check_ours(db, path, len(steps))
        for number, (_, script) in enumerate(steps[version:], start=version + 1):
            for statement in statements(script):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {number}")
        if application != APPLICATION_ID:
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        if meta(db, "archive_id") is None:
            set_meta(db, "archive_id", new_id())
        if version != len(steps):
            set_meta(db, "schema", str(len(steps)))
        told = _tell_sizes(db)
        db.execute("COMMIT")
        if told:
            # Read again what was just written; whoever opens the file later reads it then.
            db.execute("ANALYZE sqlite_schema")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _tell_sizes(db: sqlite3.Connection) -> bool:
    """Tell SQLite which tables grow large, unless somebody has had it measure them. Whether it was told."""
    if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_stat1'").fetchone() is None:
        # Makes the table of statistics.
        db.execute("ANALYZE meta")
    known = {name for (name,) in db.execute("SELECT DISTINCT tbl FROM sqlite_stat1")}
    rows = [row for row in _LARGE_TABLES if row[0] not in known]
    db.executemany("INSERT INTO sqlite_stat1 VALUES (?, ?, ?)", rows)
    return bool(rows)


def _take(db: sqlite3.Connection, path: Path, new_id: NewId) -> str:
    """Become the archive's hub: see whether the file is the one that was last open here, and sign it in."""
    before = meta(db, "opened") or ""
    restored = bool(before) and before not in remembered(_companion(path))
    token = new_id()
    remember(_companion(path), before, token)
    db.execute("BEGIN IMMEDIATE")
    if restored:
        begin_anew(db, new_id)
    set_meta(db, "opened", token)
    db.execute("COMMIT")
    remember(_companion(path), token)
    return token


def _companion(path: Path) -> Path:
    return path.with_name(path.name + ".opened")


def _look_at_a_left_log(path: Path) -> None:
    """A copy put in the archive's place with the old file's log still beside it: SQLite would write the log's
    pages into the copy, and both would be lost. Raises `ArchiveRefused` with neither touched.

    Looked at only where the file is younger than its log. That is else so after a kill in the middle of a
    checkpoint, and then file and log fit.
    """
    log = path.with_name(path.name + "-wal")
    if not path.exists() or not log.exists() or log.stat().st_size == 0:
        return
    if path.stat().st_ctime_ns <= log.stat().st_mtime_ns:
        return
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as both:
        try:
            (found,) = both.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.DatabaseError as error:
            found = str(error)
    if found != "ok":
        raise ArchiveRefused(
            f"{path}: the log beside it ({log.name}) is not of this file ({' '.join(found.split())[:120]}). "
            "If a backup was put in place, move the old file's -wal and -shm away and start again"
        )
