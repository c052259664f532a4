"""The engine of an existing PostgreSQL (15 or newer): many hub workers on one database. Connecting, schema
steps, locks and witnesses; no table's meaning.

A commit waits for the disk (`synchronous_commit=on`; a server with `fsync=off` is refused) and for the
standbys the server itself waits for.

A database put back from a backup (G4) is noticed by two signs, since neither sees everything:

- The database says where it lives: system identifier, timeline, and the oids of the database and of its
  `meta` table. A dump restored into another server or database, tables dropped and restored, a recovery to
  a point in time and a promoted standby differ in one of them. A promoted standby that had lost nothing is
  taken for a restored one too: that costs sending again what devices still hold, never facts.
- Witnesses: an opening, and every few seconds in which something was written the worker with the duties,
  leaves a token in the database, and every worker keeps the last it saw in a file of its own. What a worker
  saw must still be there. That finds what the first sign cannot: files of the server copied back under the
  same identity.

Not noticed: the server's files and every worker's witness file put back together, as by rolling back one
machine that holds all of them.
"""

from __future__ import annotations

import contextlib
import re
import time
import weakref
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Self

from sync.hub.engine import (
    ArchiveRefused,
    ArchiveTaken,
    EngineFailed,
    NewId,
    Over,
    Parameters,
    Row,
    Rows,
    TookTooLong,
    begin_anew,
    meta,
    remember,
    remembered,
    schema_steps,
    set_meta,
    statements,
)

if TYPE_CHECKING:
    import psycopg

OPENING_LOCK = 0x4B4B4842
"""Advisory lock of whoever opens the archive: schema steps and identity, one at a time."""
DUTIES_LOCK = 0x4B4B4844
"""Advisory lock of the worker that has the duties; the server frees it with the connection."""
OLDEST_VERSION = 15
CONNECT_WITHIN_S = 10
RECONNECT_EVERY_S = 2.0
"""A server that is away is asked again this often, not with every message."""
LOCKED_AT_MOST_S = 20
"""How long a statement waits for a lock, and how long a worker that stopped in the middle may keep others
waiting."""
SILENT_AT_MOST_S = 60
"""A worker that says nothing for so long loses its connection, and with it the duties. A healthy one speaks
every second."""
WITNESSES_KEPT = 100_000
"""A worker that stayed away for longer than so many renewals (at least five days) is told as a stranger."""

_SETTINGS = {
    "timezone": "UTC",
    "synchronous_commit": "on",
    "default_transaction_isolation": "read committed",
    "lock_timeout": f"{LOCKED_AT_MOST_S}s",
    "idle_in_transaction_session_timeout": f"{LOCKED_AT_MOST_S}s",
}
_AGAIN = ("40001", "40P01", "23505")
"""serialization_failure, deadlock_detected, and unique_violation: another worker has just written the same
row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresPlace:
    """Where the database is, and who we are there."""

    host: str
    """Name, address, or the folder of a local socket."""
    port: int
    database: str
    user: str
    password_file: Path | None
    ca_file: Path | None
    """None: no TLS."""
    witness_file: Path
    """This worker's own; see above."""

    def __str__(self) -> str:
        return f"postgresql://{self.user}@{self.host}:{self.port}/{self.database}"


class PostgresEngine:
    """`open` it."""

    begin = "BEGIN"
    begin_snapshot = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    many_writers = True

    def __init__(self, driver: ModuleType, where: PostgresPlace, *, own: bool, new_id: NewId) -> None:
        self._driver = driver
        self._where = where
        self._own = own
        self._new_id = new_id
        self._archive_id = ""
        self._token = ""
        self._seen_changes = ""
        self._has_duties = False
        self._failed_s = float("-inf")
        self._streams = 0
        self._over: Over | None = None
        self._forgotten: weakref.finalize[..., Any] | None = None
        self._db: psycopg.Connection[Row] = self._connect()

    @classmethod
    def open(cls, where: PostgresPlace, *, own: bool, new_id: NewId) -> Self:
        """Raises `ArchiveRefused`."""
        try:
            import psycopg
        except ImportError as error:
            raise ArchiveRefused(
                f"{where}: PostgreSQL needs the library psycopg, which is not installed here; "
                "install kakou with its extra `hub` (pip install 'kakou[hub]')"
            ) from error
        try:
            return cls(psycopg, where, own=own, new_id=new_id)
        except (EngineFailed, OSError) as error:
            raise ArchiveRefused(f"{where}: {error}") from error

    # --- statements ---------------------------------------------------------------------------------------

    @property
    def place(self) -> str:
        return str(self._where)

    def locking(self, select: str) -> str:
        return f"{select} FOR NO KEY UPDATE"

    def begun(self) -> bool:
        states = self._driver.pq.TransactionStatus
        return self._db.info.transaction_status in (states.INTRANS, states.INERROR, states.ACTIVE)

    def intact(self) -> bool:
        return bool(self._db.info.transaction_status == self._driver.pq.TransactionStatus.INTRANS)

    def execute(self, sql: str, parameters: Parameters = (), /) -> Rows:
        if sql == "COMMIT" and not self.intact():
            # The server would answer such a COMMIT with a silent ROLLBACK, and one on a connection that was
            # made anew in the middle with a mere warning.
            raise EngineFailed(
                "a statement of this transaction failed, or its connection was lost: it cannot be committed"
            )
        if self._over is not None and self._over():
            raise TookTooLong
        if self._db.closed:
            self._reconnect()
        with self._told():
            if not parameters:
                return self._db.execute(sql)
            return self._db.execute(_translated(sql), _storable(parameters))

    def executemany(self, sql: str, rows: Iterable[Parameters], /) -> Rows:
        if self._db.closed:
            self._reconnect()
        with self._told():
            cursor = self._db.cursor()
            cursor.executemany(_translated(sql), [_storable(row) for row in rows])
            return cursor

    def fill(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        if not rows:
            return
        if self._db.closed:
            self._reconnect()
        with self._told(), self._db.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN") as copy:
            for row in rows:
                copy.write_row(_storable(row))

    def stream(self, sql: str, parameters: Parameters = ()) -> Iterator[Row]:
        if self._db.closed:
            self._reconnect()
        self._streams += 1
        name = f"kakou_{self._streams}"
        with self._told(), self._db.cursor(name, withhold=not self.begun()) as cursor:
            cursor.itersize = 500
            cursor.execute(_translated(sql), _storable(parameters))
            yield from cursor

    @contextlib.contextmanager
    def bounded(self, within_s: float, over: Over) -> Iterator[None]:
        self._at_most(within_s)
        self._over = over
        try:
            yield
        finally:
            self._over = None
            # A connection that broke meanwhile is made anew without the bound.
            if not self._db.closed and not self.begun():
                with contextlib.suppress(EngineFailed):
                    self._at_most(0.0)

    def _at_most(self, seconds: float) -> None:
        self.execute("SELECT set_config('statement_timeout', ?, false)", (f"{int(1_000 * seconds)}ms",))

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """What the library raises, in our own words."""
        try:
            yield
        except self._driver.DataError as error:
            # About what was to be written, not about the storage.
            raise ValueError(" ".join(str(error).split())) from error
        except self._driver.errors.QueryCanceled as error:
            if self._over is None:
                raise EngineFailed(" ".join(str(error).split())) from error
            raise TookTooLong from error
        except self._driver.Error as error:
            text = " ".join(str(error).split()) or type(error).__name__
            raise EngineFailed(text, again=error.sqlstate in _AGAIN) from error

    # --- opening ------------------------------------------------------------------------------------------

    def _reconnect(self) -> None:
        """The same archive as before, or `ArchiveTaken`."""
        if time.monotonic() - self._failed_s < RECONNECT_EVERY_S:
            raise EngineFailed("the connection to the database is lost")
        self._has_duties = False
        before = self._archive_id
        try:
            self._db = self._connect()
        except ArchiveRefused as error:
            raise EngineFailed(str(error)) from error
        if self._archive_id != before:
            raise ArchiveTaken(f"{self._where}: this is not the archive that was opened; start again")

    def _connect(self) -> psycopg.Connection[Row]:
        where = self._where
        password = None
        if where.password_file is not None:
            password = where.password_file.read_text(encoding="utf-8").rstrip("\r\n")
        self._failed_s = time.monotonic()
        with self._told():
            db: psycopg.Connection[Row] = self._driver.connect(
                host=where.host,
                port=where.port,
                dbname=where.database,
                user=where.user,
                password=password,
                sslmode="disable" if where.ca_file is None else "verify-full",
                sslrootcert=None if where.ca_file is None else str(where.ca_file),
                connect_timeout=CONNECT_WITHIN_S,
                application_name="kakou hub" if self._own else "kakou",
                client_encoding="utf8",
                keepalives_idle=10,
                keepalives_interval=5,
                keepalives_count=3,
                tcp_user_timeout=30_000,
                autocommit=True,
            )
        self._db = db
        try:
            self._check_settings()
            for name, value in _SETTINGS.items():
                db.execute("SELECT set_config(%s, %s, false)", (name, value))
            # Who has no duties may be silent: evidence seldom comes, and a script of the centre waits.
            silent = f"{SILENT_AT_MOST_S}s" if self._own else "0"
            db.execute("SELECT set_config('idle_session_timeout', %s, false)", (silent,))
            with self._told():
                self._enter()
        except BaseException:
            db.close()
            raise
        self._failed_s = float("-inf")
        if self._forgotten is not None:
            self._forgotten.detach()
        # As the embedded engine: an archive that nobody holds any more is closed.
        self._forgotten = weakref.finalize(self, db.close)
        return db

    def _check_settings(self) -> None:
        version = self._db.info.server_version // 10_000
        if version < OLDEST_VERSION:
            raise ArchiveRefused(f"{self._where}: PostgreSQL {version}; expected {OLDEST_VERSION} or newer")
        encoding, fsync, standby = self._db.execute(
            "SELECT current_setting('server_encoding'), current_setting('fsync'), pg_is_in_recovery()"
        ).fetchone() or ("", "", True)
        if encoding != "UTF8":
            raise ArchiveRefused(f"{self._where}: its encoding is {encoding}; make the database with UTF8")
        if fsync != "on":
            raise ArchiveRefused(
                f"{self._where}: the server runs with fsync={fsync} and would lose what was acknowledged; "
                "set fsync = on"
            )
        if standby:
            raise ArchiveRefused(f"{self._where}: a standby, nothing can be written there; name the primary")

    def _enter(self) -> None:
        """Schema, identity and witness, one opener at a time."""
        companion = self._where.witness_file
        self.execute("BEGIN")
        try:
            self.execute("SELECT pg_advisory_xact_lock(?)", (OPENING_LOCK,))
            self._step_schema()
            token = self._sign_in(companion) if self._own else ""
            self.execute("COMMIT")
        except BaseException:
            if self.begun():
                self.execute("ROLLBACK")
            raise
        self._archive_id = meta(self, "archive_id") or ""
        if token:
            remember(companion, token)
            self._token = token

    def _step_schema(self) -> None:
        steps = schema_steps()
        tables = {
            name
            for (name,) in self.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
            ).fetchall()
        }
        if tables and "meta" not in tables:
            raise ArchiveRefused(
                f"{self._where}: a database of something else; make one for this archive alone"
            )
        version = int(meta(self, "schema") or 0) if tables else 0
        if version > len(steps):
            raise ArchiveRefused(
                f"{self._where}: written by a newer kakou (schema {version}, this one knows {len(steps)}); "
                "update kakou"
            )
        if version == len(steps):
            return
        for _, script in steps[version:]:
            for statement in statements(script):
                self.execute(for_postgres(statement))
        if meta(self, "archive_id") is None:
            set_meta(self, "archive_id", self._new_id())
        set_meta(self, "schema", str(len(steps)))

    def _sign_in(self, companion: Path) -> str:
        known = remembered(companion)
        lives = self._lives()
        lived = meta(self, "lives")
        seen = self.execute("SELECT count(*) FROM witnesses WHERE token = ANY(?)", (known,)).fetchone()[0]
        if lived is not None and (lived != lives or (known and not seen)):
            begin_anew(self, self._new_id)
        set_meta(self, "lives", lives)
        token = self._new_id()
        remember(companion, *known[-8:], token)
        self.execute("INSERT INTO witnesses (token) VALUES (?)", (token,))
        return token

    def _lives(self) -> str:
        row = self.execute(
            "SELECT system_identifier::text, left(pg_walfile_name(pg_current_wal_insert_lsn()), 8), "
            "(SELECT oid::text FROM pg_database WHERE datname = current_database()), "
            "'meta'::regclass::oid::text FROM pg_control_system()"
        ).fetchone()
        return "/".join(row)

    # --- what several workers share -----------------------------------------------------------------------

    def check(self) -> None:
        if self._own and meta(self, "archive_id") != self._archive_id:
            raise ArchiveTaken(f"{self._where}: the archive began anew since it was opened; start again")

    def renew_token(self, new_id: NewId, *, written: bool) -> bool:
        if not self._own:
            return False
        companion = self._where.witness_file
        if not self._has_duties:
            last = self.execute("SELECT token FROM witnesses ORDER BY number DESC LIMIT 1").fetchone()
            if last is not None and last[0] != self._token:
                remember(companion, last[0])
                self._token = str(last[0])
            return False
        changes = self._changes()
        if not written and changes == self._seen_changes:
            return False
        token = new_id()
        remember(companion, self._token, token)
        number = self.execute(
            "INSERT INTO witnesses (token) VALUES (?) RETURNING number", (token,)
        ).fetchone()[0]
        if number % 1_000 == 0:
            self.execute("DELETE FROM witnesses WHERE number <= ?", (number - WITNESSES_KEPT,))
        remember(companion, token)
        self._token = token
        self._seen_changes = self._changes()
        return True

    def _changes(self) -> str:
        """Another text whenever a transaction has written since."""
        return str(self.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text").fetchone()[0])

    def hold_duties(self) -> bool:
        if not self._has_duties or self._db.closed:
            row = self.execute("SELECT pg_try_advisory_lock(?)", (DUTIES_LOCK,)).fetchone()
            self._has_duties = bool(row[0])
        return self._has_duties

    def close(self) -> None:
        if self._has_duties and not self._db.closed and not self.begun():
            # At once, not when the server has noticed.
            with contextlib.suppress(EngineFailed):
                self.execute("SELECT pg_advisory_unlock(?)", (DUTIES_LOCK,))
        self._db.close()


_VALUE = re.compile(r"%|\?|(?<![:\w]):([a-z_]+)|\binstr\(")


@lru_cache(maxsize=512)
def _translated(sql: str) -> Any:
    """`?` and `:name` as psycopg writes them. No text of ours has a question mark or a colon inside
    quotes."""

    def value(found: re.Match[str]) -> str:
        match found.group():
            case "%":
                return "%%"
            case "?":
                return "%s"
            case "instr(":
                return "strpos("
            case _:
                return f"%({found.group(1)})s"

    return _VALUE.sub(value, sql)


def _storable(parameters: Parameters) -> Any:
    """PostgreSQL takes no NUL inside a text. What it stood in (a hostile name) gets the sign for it; a
    fact's own bytes are JSON, where none can stand."""
    values = parameters.values() if isinstance(parameters, dict) else parameters
    for value in values:
        if type(value) is str and "\0" in value:
            break
    else:
        return parameters
    if isinstance(parameters, dict):
        return {name: _visible(value) for name, value in parameters.items()}
    return [_visible(value) for value in values]


def _visible(value: Any) -> Any:
    return value.replace("\0", "\N{SYMBOL FOR NULL}") if type(value) is str else value


_DIALECT = (
    (re.compile(r"\bINTEGER PRIMARY KEY\b"), "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY"),
    (re.compile(r"\bINTEGER\b"), "BIGINT"),
    (re.compile(r"\bBLOB\b"), "BYTEA"),
    (re.compile(r"\bTEXT\b"), 'TEXT COLLATE "C"'),
    (re.compile(r"\) WITHOUT ROWID\b"), ")"),
    (re.compile(r"\binstr\("), "strpos("),
)


def for_postgres(statement: str) -> str:
    """A statement of a schema step, as PostgreSQL writes it. Text compares by its bytes on both engines."""
    lines = [line for line in statement.splitlines() if not line.lstrip().startswith("--")]
    text = "\n".join(lines)
    for pattern, instead in _DIALECT:
        text = pattern.sub(instead, text)
    return text
