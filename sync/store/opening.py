"""Opening SQLite files: ours, whole and of an age we know, or refused with what to do. Schema steps run here.

No table of journal or records is named here, and no key: how files lie on the disk is an `Opener`'s matter.
"""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import BinaryIO, Protocol

_STEP_NAME = re.compile(r"(\d{4})_\w+\.sql")


class StoreRefused(Exception):
    """A file cannot be used: corrupt, foreign, too new, or in use. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a database file of ours is."""

    name: str
    """Folder of its steps under `schema/`."""
    application_id: int


JOURNAL = Kind("journal", 0x6B6B4A31)
"""`kkJ1`"""
RECORDS = Kind("records", 0x6B6B5231)
"""`kkR1`"""


class WrongKey(sqlite3.DatabaseError):
    """An enciphered file that this key does not open: of another key, or damaged where it begins."""


class NoCipher(StoreRefused):
    """Enciphered files cannot be opened by this installation."""


class Pieces(Protocol):
    """A packed snapshot as it lies on the disk while it is fetched."""

    def write(self, index: int, data: bytes) -> None:
        """Raises `OSError`."""

    def read(self, index: int) -> bytes:
        """As written; empty where nothing is, anything but the piece where it was not written whole."""

    def flush(self) -> None: ...

    def close(self) -> None: ...


class Unpacked(Protocol):
    """A records file that comes as a stream of bytes and lies on the disk as this device's files do."""

    def write(self, data: bytes) -> None:
        """Durable when it returns. Raises `StoreRefused` for what cannot lie here, and `OSError`."""

    def sha256(self) -> Iterator[str]:
        """Of what was written: nothing while it is being looked at, a slice at a time, then the hex
        digits."""

    def close(self) -> None: ...


class Opener(Protocol):
    """How the files of a store lie on this disk: plain, or enciphered (`sync.store.enciphered`)."""

    @property
    def reserved_bytes(self) -> int:
        """What a snapshot's pages must leave free at their ends to lie here as they are."""

    def connect(self, path: Path, options: str, *, cached_statements: int = 128) -> sqlite3.Connection:
        """In autocommit, for any thread; `options` are those of SQLite's file URI. Whatever library it is,
        its errors are `sqlite3`'s. Raises those and `StoreRefused`."""

    def pieces(self, path: Path, piece_bytes: int, name: str) -> Pieces:
        """Of a file that exists; `name` tells one snapshot from another. Raises `OSError`, `StoreRefused`."""

    def unpacked(self, path: Path) -> Unpacked:
        """A new file in the place of any other. Raises `OSError`, `StoreRefused`."""


class Plain:
    """As they are: a lane's, and the hub's."""

    reserved_bytes = 0

    def connect(self, path: Path, options: str, *, cached_statements: int = 128) -> sqlite3.Connection:
        return sqlite3.connect(
            f"{path.absolute().as_uri()}?{options}",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            timeout=BUSY_TIMEOUT_S,
            cached_statements=cached_statements,
        )

    def pieces(self, path: Path, piece_bytes: int, name: str) -> Pieces:
        return _PlainPieces(path, piece_bytes)

    def unpacked(self, path: Path) -> Unpacked:
        return _PlainFile(path)


class _PlainPieces:
    def __init__(self, path: Path, piece_bytes: int) -> None:
        self._file: BinaryIO = path.open("r+b")
        self._piece_bytes = piece_bytes

    def write(self, index: int, data: bytes) -> None:
        self._file.seek(index * self._piece_bytes)
        self._file.write(data)

    def read(self, index: int) -> bytes:
        self._file.seek(index * self._piece_bytes)
        return self._file.read(self._piece_bytes)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class _PlainFile:
    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("w+b", buffering=0)

    def write(self, data: bytes) -> None:
        write_all(self._file.fileno(), data)
        os.fsync(self._file.fileno())

    def sha256(self) -> Iterator[str]:
        """Read back: what counts is what the disk gives."""
        seen = hashlib.sha256()
        self._file.seek(0)
        while data := self._file.read(SLICE_BYTES):
            seen.update(data)
            yield ""
        yield seen.hexdigest()

    def close(self) -> None:
        self._file.close()


def write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


BUSY_TIMEOUT_S = 10.0
SLICE_BYTES = 4 * 1024 * 1024
"""Unpacked or hashed at once: some 10 ms."""
PLAIN: Opener = Plain()


def steps_of(kind: Kind) -> tuple[str, ...]:
    """The SQL of every step, step 1 first. A gap in the numbers is a broken installation."""
    folder = resources.files("sync.store") / "schema" / kind.name
    found = {
        int(match[1]): entry.read_text(encoding="utf-8")
        for entry in folder.iterdir()
        if (match := _STEP_NAME.fullmatch(entry.name))
    }
    if not found or sorted(found) != list(range(1, len(found) + 1)):
        raise StoreRefused(f"schema steps of {kind.name} are {sorted(found)}, expected 1..n: reinstall kakou")
    return tuple(found[number] for number in sorted(found))


def statements(sql: str) -> Iterator[str]:
    """The single statements of a step."""
    pending = ""
    for line in sql.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
    if pending.strip():
        yield pending


def open_database(
    path: Path, kind: Kind, *, create: bool, writable: bool, opener: Opener = PLAIN
) -> sqlite3.Connection:
    """A connection in autocommit whose schema is today's. Raises `StoreRefused`.

    A writable one is in WAL mode with `synchronous=FULL`, and both were seen to hold. A reader opens the file
    read-write all the same, since WAL readers keep their marks in the shared index; `query_only` binds it.
    """
    if path.is_dir():
        raise StoreRefused(f"{path} is a folder, expected a {kind.name} file: correct the path in the config")
    try:
        connection = opener.connect(path, f"mode={'rwc' if create else 'rw'}", cached_statements=256)
    except sqlite3.Error as error:
        raise StoreRefused(
            f"{path} cannot be opened ({error}): check that the file and its folder exist and may be written"
        ) from error
    try:
        _check(connection, path, kind, create=create, writable=writable)
    except BaseException as error:
        connection.close()
        if isinstance(error, sqlite3.Error):
            raise refused(path, kind, error) from error
        raise
    return connection


def refused(path: Path, kind: Kind, error: sqlite3.Error) -> StoreRefused:
    """What an SQLite error on this file means to the person at the machine."""
    if isinstance(error, WrongKey):
        return StoreRefused(
            f"{path} does not open with this device's key: it is of another installation, or damaged where "
            f"it begins, and nothing else opens it: {_after_loss(kind)}"
        )
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_NOTADB:
        return StoreRefused(
            f"{path} is not a {kind.name} file of kakou (not an SQLite file): correct the path in the "
            "config, or move the file away"
        )
    if code == sqlite3.SQLITE_CORRUPT:
        return StoreRefused(f"{path} is damaged ({error}): {_after_damage(kind)}")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreRefused(f"{path} is held by another program ({error}): stop that one, then start again")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN):
        return StoreRefused(f"{path} may not be written ({error}): give this user the file and its folder")
    if code == sqlite3.SQLITE_FULL:
        return StoreRefused(f"{path} cannot be written, the disk is full: free space, then start again")
    return StoreRefused(f"{path} failed ({error}): check the disk, then start again")


def _after_damage(kind: Kind) -> str:
    if kind is JOURNAL:
        return (
            "keep it, its -wal and its .lock for the centre (`kakou journal export` saves what can be read), "
            "move them away and start again: a new epoch begins"
        )
    return "delete it; the records are fetched again from the centre"


def _after_loss(kind: Kind) -> str:
    if kind is JOURNAL:
        return (
            "keep it, its -wal and its .lock in case the key is found, move them away and start again: a new "
            "epoch begins, and facts in it that were not sent are lost"
        )
    return "delete it; the records are fetched again from the centre"


def _check(connection: sqlite3.Connection, path: Path, kind: Kind, *, create: bool, writable: bool) -> None:
    application_id = _pragma(connection, "application_id")
    version = _pragma(connection, "user_version")
    steps = steps_of(kind)
    if application_id != kind.application_id:
        objects = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        if not create or application_id != 0 or version != 0 or objects != 0:
            raise StoreRefused(
                f"{path} is not a {kind.name} file of kakou (application id {application_id:#010x}, expected "
                f"{kind.application_id:#010x}): correct the path in the config, or move the file away"
            )
    if version > len(steps):
        raise StoreRefused(
            f"{path} was written by a newer kakou (schema {version}, this program knows {len(steps)}): "
            "install that version again, or move the file away"
        )
    if not writable and version < len(steps):
        raise StoreRefused(
            f"{path} is of an older schema ({version} of {len(steps)}): start the program that writes it once"
        )
    if writable:
        (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
        if mode != "wal":
            raise StoreRefused(
                f"{path} cannot use a write-ahead log (mode {mode!r}): put it on a local disk, not on a "
                "network folder"
            )
        connection.execute("PRAGMA synchronous=FULL")
        if _pragma(connection, "synchronous") != 2:
            raise StoreRefused(f"{path} does not accept synchronous=FULL: this SQLite build cannot be used")
        _migrate(connection, kind, steps, version)
    else:
        connection.execute("PRAGMA query_only=ON")


def _migrate(connection: sqlite3.Connection, kind: Kind, steps: tuple[str, ...], version: int) -> None:
    for number in range(version + 1, len(steps) + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in statements(steps[number - 1]):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id={kind.application_id}")
            connection.execute(f"PRAGMA user_version={number}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _pragma(connection: sqlite3.Connection, text: str) -> int:
    value: int = connection.execute(f"PRAGMA {text}").fetchone()[0]
    return value
