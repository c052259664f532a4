"""Files of a store enciphered with this device's data key: a handheld's, always. Databases are SQLCipher 4
files; a snapshot on its way lies here in sealed pieces, and its pages go from the unpacker into the cipher.

What the key is, it is told; who may have it, and how it is kept, is decided elsewhere
(`edge.handheld.vault`). No table is named here. SQLCipher is loaded when the first file is opened: a lane
installs nothing for it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO, NoReturn, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sync.store.opening import (
    BUSY_TIMEOUT_S,
    NoCipher,
    Pieces,
    StoreRefused,
    Unpacked,
    WrongKey,
    write_all,
)

KEY_BYTES = 32
PAGE_BYTES = 4096
RESERVED_BYTES = 80
"""SQLCipher 4: 16 bytes of initial vector and 64 of HMAC-SHA512 end each page."""

_SALT_BYTES = _IV_BYTES = 16
_NONCE_BYTES = 12
_TAG_BYTES = 16
_SHARED_INDEX_BYTES = 32 * 1024
"""What the index of a write-ahead log grows by."""
_MAGIC = b"SQLite format 3\0"
_PLAIN_HEADER_MAGIC = len(_MAGIC)


class DataKey:
    """256 bits at random, from which the keys of all files of a store are made. It never prints itself, is
    never pickled or hashed, and is zeroed when nobody needs it any more.

    Zeroing reaches what this object holds. What Python and SQLCipher made of it in passing (the text of a
    PRAGMA, a page cipher's round keys) is gone when they free it, and from a core dump it may be read.
    """

    __slots__ = ("_data",)

    def __init__(self, data: bytes | bytearray) -> None:
        if len(data) != KEY_BYTES:
            raise ValueError(f"expected a data key of {KEY_BYTES} bytes")
        self._data = bytearray(data)

    @classmethod
    def at_random(cls) -> DataKey:
        return cls(secrets.token_bytes(KEY_BYTES))

    def of(self, purpose: str) -> bytes:
        """32 bytes for one purpose, which tell nothing of the others. Raises `StoreRefused` once it is
        zeroed."""
        if self.is_zeroed:
            raise StoreRefused("the stores of this device are locked: sign in first")
        return hmac.new(self._data, b"kakou/store/v1\n" + purpose.encode(), hashlib.sha256).digest()

    def for_wrapping(self) -> bytes:
        """Itself: to be wrapped, and for nothing else."""
        if self.is_zeroed:
            raise StoreRefused("the stores of this device are locked: sign in first")
        return bytes(self._data)

    @property
    def is_zeroed(self) -> bool:
        return not any(self._data)

    def zero(self) -> None:
        """Idempotent. What is open stays open; nothing more is opened."""
        self._data[:] = bytes(len(self._data))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DataKey) and hmac.compare_digest(self._data, other._data)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "DataKey(...)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a data key is not written down")


class Enciphered:
    """An `Opener` whose files nobody reads without the key."""

    reserved_bytes = RESERVED_BYTES

    def __init__(self, key: DataKey) -> None:
        """The key stays its owner's: zeroed, it opens nothing more."""
        self._key = key

    def __repr__(self) -> str:
        return "Enciphered(...)"

    def connect(self, path: Path, options: str, *, cached_statements: int = 128) -> sqlite3.Connection:
        library = _library()
        key = self._key.of("databases")
        if _begins_plain(path):
            raise StoreRefused(
                f"{path} is not enciphered, and a handheld's files always are: it is another program's, or "
                "from before; move it away"
            )
        try:
            connection = library.dbapi2.connect(
                f"{path.absolute().as_uri()}?{options}",
                uri=True,
                isolation_level=None,
                check_same_thread=False,
                timeout=BUSY_TIMEOUT_S,
                cached_statements=cached_statements,
                factory=library.connection,
            )
        except library.dbapi2.Error as error:
            raise _theirs(error, path) from error
        connection.path = path
        try:
            _prepare(connection, key, path)
        except BaseException:
            connection.close()
            raise
        return cast("sqlite3.Connection", connection)

    def pieces(self, path: Path, piece_bytes: int, name: str) -> Pieces:
        return _SealedPieces(path, piece_bytes, name, self._key.of("pieces"))

    def unpacked(self, path: Path) -> Unpacked:
        return _EncipheredFile(path, self._key.of("databases"))


def _prepare(connection: Any, key: bytes, path: Path) -> None:
    """Give it the key before anything else, and see that it was taken: the same PRAGMA without a cipher is
    silently nothing, and what is then written is plain."""
    # Its own complaints would go to stderr; ours say what to do.
    connection.execute("PRAGMA cipher_log_level = NONE")
    connection.execute(f"PRAGMA key = \"x'{key.hex()}'\"")
    connection.execute("PRAGMA cipher_compatibility = 4")
    connection.execute(f"PRAGMA cipher_page_size = {PAGE_BYTES}")
    # `cipher_memory_security` stays off: wiping all it frees makes a commit cost twice, a read a third more
    # processor time (measured), and Python keeps copies of rows and key text that it cannot reach.
    # Sorting and subqueries must not spill onto the disk: such files are enciphered by nobody.
    connection.execute("PRAGMA temp_store = MEMORY")
    if not connection.execute("PRAGMA cipher_version").fetchone():
        raise NoCipher(f"{path}: the SQLite that was loaded cannot encipher: install sqlcipher3")


def _begins_plain(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


# --- SQLCipher, speaking as sqlite3 -----------------------------------------------------------------------


class _Library:
    """`sqlcipher3` with connections whose errors are those of `sqlite3`: whoever catches one catches both."""

    def __init__(self, dbapi2: ModuleType) -> None:
        self.dbapi2: Any = dbapi2
        self.connection: type[Any] = _connection_of(dbapi2)


_loaded: list[_Library] = []


def _library() -> _Library:
    """Raises `NoCipher`."""
    if not _loaded:
        try:
            from sqlcipher3 import dbapi2
        except ImportError as error:
            raise NoCipher(
                f"enciphered files need sqlcipher3, which cannot be loaded ({error}): install kakou[handheld]"
            ) from error
        _loaded.append(_Library(dbapi2))
    return _loaded[0]


def _theirs(error: Exception, path: Path) -> sqlite3.Error:
    """The same error in the other library's words. It tells primary codes only: that an I/O error is a full
    disk (`SQLITE_IOERR_SHMSIZE`) has to be seen from the disk."""
    code = getattr(error, "sqlite_errorcode", None)
    kind: type[sqlite3.Error] = getattr(sqlite3, type(error).__name__, sqlite3.DatabaseError)
    if code == sqlite3.SQLITE_NOTADB:
        kind = WrongKey
    if code == sqlite3.SQLITE_IOERR and _is_full(path.parent):
        code = sqlite3.SQLITE_FULL
    made = kind(str(error))
    if code is not None:
        made.sqlite_errorcode = code
        made.sqlite_errorname = getattr(error, "sqlite_errorname", "")
    return made


def _is_full(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < 2 * _SHARED_INDEX_BYTES
    except OSError:
        return False


def _connection_of(dbapi2: Any) -> type[Any]:
    fault: type[Exception] = dbapi2.Error

    class SpeakingCursor(dbapi2.Cursor):  # type: ignore[misc]
        def execute(self, *arguments: Any) -> Any:
            try:
                return super().execute(*arguments)
            except fault as error:
                raise _theirs(error, self.connection.path) from error

        def executemany(self, *arguments: Any) -> Any:
            try:
                return super().executemany(*arguments)
            except fault as error:
                raise _theirs(error, self.connection.path) from error

        def fetchone(self) -> Any:
            try:
                return super().fetchone()
            except fault as error:
                raise _theirs(error, self.connection.path) from error

        def fetchall(self) -> Any:
            try:
                return super().fetchall()
            except fault as error:
                raise _theirs(error, self.connection.path) from error

        def fetchmany(self, *arguments: Any) -> Any:
            try:
                return super().fetchmany(*arguments)
            except fault as error:
                raise _theirs(error, self.connection.path) from error

        def __next__(self) -> Any:
            try:
                return super().__next__()
            except fault as error:
                raise _theirs(error, self.connection.path) from error

    class SpeakingConnection(dbapi2.Connection):  # type: ignore[misc]
        path = Path()

        def cursor(self, *arguments: Any, **options: Any) -> Any:
            """What `execute` and its like make their cursors with, too."""
            try:
                return super().cursor(*(arguments or (SpeakingCursor,)), **options)
            except fault as error:
                raise _theirs(error, self.path) from error

        def execute(self, *arguments: Any) -> Any:
            return self.cursor().execute(*arguments)

        def executemany(self, *arguments: Any) -> Any:
            return self.cursor().executemany(*arguments)

        def executescript(self, script: str) -> Any:
            try:
                return super().executescript(script)
            except fault as error:
                raise _theirs(error, self.path) from error

    return SpeakingConnection


# --- a snapshot on its way --------------------------------------------------------------------------------


class _SealedPieces:
    """Each piece sealed by itself (AES-256-GCM), with which snapshot's and which piece it is; 28 bytes
    longer."""

    def __init__(self, path: Path, piece_bytes: int, name: str, key: bytes) -> None:
        self._file: BinaryIO = path.open("r+b")
        self._step = piece_bytes + _NONCE_BYTES + _TAG_BYTES
        self._name = name.encode()
        self._cipher = AESGCM(key)

    def write(self, index: int, data: bytes) -> None:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, data, self._about(index))
        self._file.seek(index * self._step)
        self._file.write(sealed)

    def read(self, index: int) -> bytes:
        self._file.seek(index * self._step)
        sealed = self._file.read(self._step)
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], self._about(index))
        except (InvalidTag, ValueError):
            return b""

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def _about(self, index: int) -> bytes:
        return b"kakou/piece/v1\n%s\n%d" % (self._name, index)


class _EncipheredFile:
    """Pages of a plain database become those of an SQLCipher 4 file one by one: the plain ones never lie on
    the disk. Their ends must be free for it (`RESERVED_BYTES` in the file's header).

    Of each page: AES-256-CBC over all but the reserved end, then the initial vector, then HMAC-SHA512 over
    both and the page's number; the first sixteen bytes of the file are the salt of the HMAC's key
    (sqlcipher/src/crypto_impl.c, `sqlcipher_page_cipher`).
    """

    def __init__(self, path: Path, key: bytes) -> None:
        self._file: BinaryIO = path.open("wb", buffering=0)
        self._cipher = algorithms.AES(key)
        self._salt = secrets.token_bytes(_SALT_BYTES)
        hmac_salt = bytes(byte ^ 0x3A for byte in self._salt)
        self._mac = hmac.new(
            hashlib.pbkdf2_hmac("sha512", key, hmac_salt, 2, KEY_BYTES), None, hashlib.sha512
        )
        self._seen = hashlib.sha256()
        self._rest = b""
        self._page = 0

    def write(self, data: bytes) -> None:
        self._seen.update(data)
        data = self._rest + data
        whole = len(data) - len(data) % PAGE_BYTES
        self._rest = data[whole:]
        pages = (data[at : at + PAGE_BYTES] for at in range(0, whole, PAGE_BYTES))
        write_all(self._file.fileno(), b"".join(self._enciphered(pages)))
        os.fsync(self._file.fileno())

    def sha256(self) -> Iterator[str]:
        """Of what came. What lies here is checked page by page with its HMAC, by whoever reads it."""
        if self._rest:
            raise StoreRefused(f"the snapshot ends inside a page: expected whole ones of {PAGE_BYTES} bytes")
        yield self._seen.hexdigest()

    def close(self) -> None:
        self._file.close()

    def _enciphered(self, pages: Iterable[bytes]) -> Iterator[bytes]:
        for page in pages:
            self._page += 1
            begin = 0
            if self._page == 1:
                _must_have_room(page)
                begin = _PLAIN_HEADER_MAGIC
                yield self._salt
            vector = secrets.token_bytes(_IV_BYTES)
            cipher = Cipher(self._cipher, modes.CBC(vector)).encryptor()
            body = cipher.update(page[begin:-RESERVED_BYTES]) + cipher.finalize() + vector
            mac = self._mac.copy()
            mac.update(body)
            mac.update(self._page.to_bytes(4, "little"))
            yield body + mac.digest()


def _must_have_room(first_page: bytes) -> None:
    """Raises `StoreRefused` for a file whose pages cannot be enciphered as they are."""
    size, reserved = int.from_bytes(first_page[16:18], "big"), first_page[20]
    if first_page[: len(_MAGIC)] != _MAGIC or (size, reserved) != (PAGE_BYTES, RESERVED_BYTES):
        raise StoreRefused(
            f"the snapshot has pages of {size} bytes with {reserved} free: expected an SQLite file with "
            f"{PAGE_BYTES} and {RESERVED_BYTES}"
        )
