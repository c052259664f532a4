"""A handheld's stores at rest: nothing on its disk tells what is in them, and they fail as plain ones do."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import pickle
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard

from sync.hub.archive import RecordChange
from sync.hub.snapshots import make_snapshot
from sync.hub.terms import Limits
from sync.link.pieces import PieceKind, is_piece, read_piece
from sync.store import enciphered
from sync.store.enciphered import RESERVED_BYTES, DataKey, Enciphered
from sync.store.exporting import exported_facts
from sync.store.journal import Journal, JournalFull, StoreRefused, verify_journal
from sync.store.opening import PLAIN, RECORDS, Opener, open_database
from sync.store.records import (
    SNAPSHOT_RESERVED_BYTES,
    Records,
    fill_generation,
    first_page,
    generation_path,
    new_generation,
)
from sync.store.snapshots import left_over
from sync.vocabulary.codec import to_json
from sync.vocabulary.facts import Alarm, AlarmCode, FactDraft, Stream
from sync.vocabulary.records import Waybill
from tests.unit.test_hub_session import Joined

LIMITS = Limits(head_every_s=10, pull_batches=2, snapshot_from=500)
MANY = 1_500
KEY = DataKey(bytes(range(32)))
ENCIPHERED = Enciphered(KEY)


def waybill_no(number: int) -> str:
    return f"YT{880_000_000_000 + 7 * number}"


def waybills(*numbers: int) -> list[RecordChange]:
    made = []
    for number in numbers:
        noise = hashlib.sha512(b"%d" % number).hexdigest()
        body = to_json(Waybill(waybill_no=waybill_no(number), order_no=noise)).decode()  # type: ignore[arg-type]
        made.append(RecordChange("waybills", waybill_no(number), body))
    return made


def draft(n: int) -> FactDraft:
    alarm = Alarm(code=AlarmCode.ARM_FAULT, detail=f"parcel {waybill_no(n)} looked for")
    return FactDraft(f"{n:032x}", Stream.ALARM, "2026-01-01T08:00:00.000000Z", "boot", 5, alarm)


class Handheld:
    """A device whose stores lie on the disk as `opener` has it, far behind a hub that has a snapshot."""

    def __init__(self, folder: Path, opener: Opener) -> None:
        self.joined = Joined(folder, limits=LIMITS, opener=opener)
        self.put(*range(5))
        self.joined.run(3)
        self.joined.disconnect()
        self.put(*range(MANY))
        make_snapshot(self.joined.archive, "site", folder / "snapshots", self.joined.utc())
        self.joined.kill_hub()
        self.folder = folder

    def put(self, *numbers: int) -> None:
        with self.joined.archive.transaction():
            self.joined.archive.apply_changes("site", waybills(*numbers), self.joined.utc())

    def files(self) -> list[Path]:
        """What a device has; the hub's part of the folder is not looked at."""
        return [*self.folder.glob("journal*"), *(self.folder / "records").iterdir()]

    def packed_bytes(self) -> int:
        return max(file.stat().st_size for file in (self.folder / "snapshots").glob("*.zst"))


@pytest.fixture
def handheld(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Handheld]:
    made = Handheld(tmp_path, request.param)
    yield made
    made.joined.close()


on_both = pytest.mark.parametrize(
    ("handheld", "is_read"),
    [pytest.param(PLAIN, True, id="plain"), pytest.param(ENCIPHERED, False, id="enciphered")],
    indirect=["handheld"],
)


def told_by(files: list[Path]) -> bool:
    """Whether any of them gives away a waybill number, packed or not."""
    return any(
        f"YT88000000{digits}".encode() in content
        for file in files
        for content in readings(file)
        for digits in ("0", "1")
    )


def readings(file: Path) -> Iterator[bytes]:
    data = file.read_bytes()
    yield data
    with contextlib.suppress(zstandard.ZstdError):
        yield zstandard.ZstdDecompressor().decompressobj().decompress(data)


@on_both
def test_after_a_whole_fetch_no_file_of_an_enciphered_device_tells_a_waybill_number(
    handheld: Handheld, is_read: bool
) -> None:
    joined = handheld.joined
    joined.journal.commit([draft(1)], lane_state=waybill_no(2).encode())
    handheld.put(MANY + 1, MANY + 2)
    joined.connect()
    joined.run(15)
    assert joined.session.counts["snapshots_taken"] == 1
    assert joined.records_equal()
    names = {file.name for file in handheld.files()}
    assert {"journal.sqlite", "journal.sqlite-wal", "records-2.sqlite", "records-2.sqlite-wal"} <= names
    assert told_by(handheld.files()) == is_read
    joined.close()
    assert told_by(handheld.files()) == is_read


@on_both
def test_nor_does_any_while_it_is_being_fetched_and_unpacked(handheld: Handheld, is_read: bool) -> None:
    joined = handheld.joined
    told = set()
    perform = joined.performer.perform

    def watched(effect: object) -> object:
        answer = perform(effect)  # type: ignore[arg-type]
        told.add(told_by([file for file in handheld.files() if file.name.startswith("snapshot.")]))
        return answer

    joined.performer.perform = watched  # type: ignore[method-assign,assignment]
    joined.connect()
    joined.run(15)
    assert joined.session.counts["snapshots_taken"] == 1
    assert (True in told) == is_read


@pytest.mark.parametrize("handheld", [ENCIPHERED], indirect=True)
def test_an_enciphered_fetch_goes_on_where_it_was_killed(handheld: Handheld) -> None:
    joined = handheld.joined
    joined.passes = first_pieces(2)
    joined.connect()
    joined.run(15)
    assert "snapshots_taken" not in joined.session.counts
    assert left_over(handheld.folder / "records") is not None
    came: list[int] = []

    def noted(message: tuple[str, bytes]) -> bool:
        if is_piece(message[1]):
            came.append(read_piece(message[1]).index)
        return True

    joined.passes = noted
    joined.kill_edge()
    joined.run(15)
    assert joined.session.counts["snapshots_continued"] == 1
    assert joined.session.counts["snapshots_taken"] == 1
    assert joined.records_equal()
    assert 0 not in came


def first_pieces(most: int) -> Callable[[tuple[str, bytes]], bool]:
    let = 0

    def passes(message: tuple[str, bytes]) -> bool:
        nonlocal let
        if not is_piece(message[1]) or read_piece(message[1]).kind is PieceKind.PAGE:
            return True
        let += 1
        return let <= most

    return passes


# --- keys -------------------------------------------------------------------------------------------------


def test_a_data_key_never_prints_itself_and_is_never_written_down() -> None:
    key = DataKey(b"0123456789abcdef" * 2)
    for shown in (repr(key), str(key), f"{key}", repr([key]), repr(Enciphered(key))):
        assert "0123" not in shown
        assert b"0123".hex() not in shown
    for written in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not written down"):
            written(key)
    with pytest.raises(TypeError, match="unhashable"):
        hash(key)
    with pytest.raises(ValueError, match="32 bytes"):
        DataKey(b"short")


def test_a_zeroed_key_opens_nothing_more(tmp_path: Path) -> None:
    key = DataKey.at_random()
    new_generation(tmp_path, 1, "site", "e", opener=Enciphered(key))
    key.zero()
    with pytest.raises(StoreRefused, match="locked: sign in first"):
        Records.open(generation_path(tmp_path, 1), opener=Enciphered(key))


@pytest.mark.parametrize("opener", [Enciphered(DataKey(b"x" * 32)), PLAIN], ids=["another_key", "no_key"])
def test_a_wrong_key_is_refused_with_what_to_do_and_never_taken_for_a_fresh_file(
    tmp_path: Path, opener: Opener
) -> None:
    path = tmp_path / "journal.sqlite"
    with Journal.open(path, device="h-1", opener=ENCIPHERED) as journal:
        journal.commit([draft(1)])
        heads = journal.heads()
    new_generation(tmp_path, 1, "site", "e", opener=ENCIPHERED)
    before = path.read_bytes(), generation_path(tmp_path, 1).read_bytes()
    with pytest.raises(StoreRefused, match=r"journal\.sqlite (does not open with|is not a journal).*move"):
        Journal.open(path, device="h-1", opener=opener)
    with pytest.raises(StoreRefused, match=r"records-1\.sqlite (does not open with|is not a records)"):
        Records.open(generation_path(tmp_path, 1), writable=True, opener=opener)
    with pytest.raises(StoreRefused):
        new_generation(tmp_path, 1, "site", "e", opener=opener)
    assert (path.read_bytes(), generation_path(tmp_path, 1).read_bytes()) == before
    with Journal.open(path, device="h-1", opener=ENCIPHERED) as journal:
        assert journal.heads() == heads
    assert verify_journal(path, opener=ENCIPHERED) == []
    assert len(list(exported_facts(path, opener=ENCIPHERED))) == 2
    assert "does not open with" in verify_journal(path, opener=Enciphered(DataKey(b"x" * 32)))[0]


def test_a_plain_file_is_not_taken_into_an_enciphered_store(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    Journal.open(path, device="h-1").close()
    with pytest.raises(StoreRefused, match="is not enciphered"):
        Journal.open(path, device="h-1", opener=ENCIPHERED)


def test_two_purposes_have_two_keys() -> None:
    assert len({KEY.of("databases"), KEY.of("pieces"), KEY.for_wrapping()}) == 3


def test_a_piece_is_read_only_where_it_was_put_and_of_the_snapshot_it_is_of(tmp_path: Path) -> None:
    path = tmp_path / "pieces"
    path.touch()
    with contextlib.closing(ENCIPHERED.pieces(path, 100, "one")) as pieces:
        pieces.write(0, b"a" * 100)
        pieces.write(1, b"b" * 40)
        pieces.flush()
        assert [pieces.read(index) for index in range(3)] == [b"a" * 100, b"b" * 40, b""]
    data = path.read_bytes()
    path.write_bytes(data[:128] + data[:128])
    with contextlib.closing(ENCIPHERED.pieces(path, 100, "one")) as pieces:
        assert [pieces.read(0), pieces.read(1)] == [b"a" * 100, b""]
    with contextlib.closing(ENCIPHERED.pieces(path, 100, "another")) as pieces:
        assert pieces.read(0) == b""


# --- as SQLite should be ----------------------------------------------------------------------------------


def test_an_enciphered_journal_syncs_its_log_at_every_commit(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite"
    with contextlib.closing(
        open_database(path, RECORDS, create=True, writable=True, opener=ENCIPHERED)
    ) as connection:
        told = {
            name: str(connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("journal_mode", "synchronous", "page_size", "temp_store", "application_id")
        }
        ciphered = {
            name: str(connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("cipher_page_size", "cipher_use_hmac", "cipher_plaintext_header_size")
        }
    assert told == {
        "journal_mode": "wal", "synchronous": "2", "page_size": "4096", "temp_store": "2",
        "application_id": str(RECORDS.application_id),
    }  # fmt: skip
    assert ciphered == {
        "cipher_page_size": "4096",
        "cipher_use_hmac": "1",
        "cipher_plaintext_header_size": "0",
    }


@pytest.mark.parametrize("opener", [PLAIN, ENCIPHERED], ids=["plain", "enciphered"])
def test_faults_of_a_store_are_the_same_enciphered_or_not(tmp_path: Path, opener: Opener) -> None:
    """Every error a store catches is `sqlite3`'s, whichever library it came from."""
    connection = opener.connect(tmp_path / "a.sqlite", "mode=rwc")
    connection.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b)")
    connection.execute("INSERT INTO t VALUES (1, 0)")
    with pytest.raises(sqlite3.IntegrityError) as twice:
        connection.execute("INSERT INTO t VALUES (1, 0)")
    assert twice.value.sqlite_errorcode & 0xFF == sqlite3.SQLITE_CONSTRAINT
    with pytest.raises(sqlite3.IntegrityError):
        connection.executemany("INSERT INTO t VALUES (?, 0)", [(2,), (2,)])
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        connection.execute("SELECT * FROM u")
    connection.execute("PRAGMA max_page_count=2")
    with pytest.raises(sqlite3.OperationalError) as full:
        connection.executemany("INSERT INTO t VALUES (?, zeroblob(900))", ((n,) for n in range(10, 99)))
    assert full.value.sqlite_errorcode == sqlite3.SQLITE_FULL
    other = opener.connect(tmp_path / "a.sqlite", "mode=rw")
    other.execute("PRAGMA busy_timeout=0")
    connection.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError) as busy:
        other.execute("BEGIN IMMEDIATE")
    assert busy.value.sqlite_errorcode == sqlite3.SQLITE_BUSY
    connection.execute("ROLLBACK")
    rows = connection.execute("SELECT abs(-9223372036854775806 - a) FROM t ORDER BY a")
    with pytest.raises(sqlite3.OperationalError, match="overflow"):
        list(rows)
    other.close()
    connection.close()
    with pytest.raises(sqlite3.ProgrammingError):
        connection.execute("SELECT 1")


@pytest.mark.parametrize("opener", [PLAIN, ENCIPHERED], ids=["plain", "enciphered"])
def test_a_full_disk_holds_an_enciphered_journal_as_a_plain_one(tmp_path: Path, opener: Opener) -> None:
    with Journal.open(tmp_path / "journal.sqlite", device="h-1", opener=opener) as journal:
        journal.commit([draft(1)])
        before = journal.heads()
        writer = journal._writer
        assert writer is not None
        pages = writer.execute("PRAGMA page_count").fetchone()[0]
        writer.execute(f"PRAGMA max_page_count={pages}")
        with pytest.raises(JournalFull):
            journal.commit([draft(n) for n in range(2, 400)])
        assert journal.heads() == before
        writer.execute(f"PRAGMA max_page_count={pages + 1_000}")
        journal.commit([draft(999)])
    assert verify_journal(tmp_path / "journal.sqlite", opener=opener) == []


class IoFault(Exception):
    """As the cipher's library reports one: by its primary code."""

    sqlite_errorcode = sqlite3.SQLITE_IOERR


@pytest.mark.parametrize(("free", "code"), [(0, sqlite3.SQLITE_FULL), (1 << 30, sqlite3.SQLITE_IOERR)])
def test_an_io_fault_on_a_full_disk_is_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, code: int
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: usage)
    assert enciphered._theirs(IoFault("disk I/O error"), tmp_path / "a").sqlite_errorcode == code


@pytest.mark.parametrize("opener", [PLAIN, ENCIPHERED], ids=["plain", "enciphered"])
def test_a_damaged_page_is_named_as_damage(tmp_path: Path, opener: Opener) -> None:
    path = tmp_path / "journal.sqlite"
    with Journal.open(path, device="h-1", opener=opener) as journal:
        journal.commit([draft(n) for n in range(400)])
    data = bytearray(path.read_bytes())
    for page in range(1, len(data) // 4096):
        data[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    path.write_bytes(data)
    with pytest.raises(StoreRefused, match=r"is damaged .*keep it"):
        Journal.open(path, device="h-1", opener=opener)


# --- what the centre gives --------------------------------------------------------------------------------


def test_what_the_centre_makes_leaves_in_each_page_what_the_cipher_needs(tmp_path: Path) -> None:
    assert SNAPSHOT_RESERVED_BYTES == RESERVED_BYTES
    rows = ((c.collection, c.key, c.body or "") for c in waybills(*range(2_000)))
    fill_generation(tmp_path, 1, "site", "e", 2_000, rows)
    plain = generation_path(tmp_path, 1).read_bytes()
    assert (plain[20], int.from_bytes(plain[16:18], "big")) == (RESERVED_BYTES, 4096)
    assert all(not any(plain[at - RESERVED_BYTES : at]) for at in range(4096, len(plain) + 1, 4096))
    with Records.open(generation_path(tmp_path, 1)) as records:
        assert records.verify() == []


@pytest.mark.parametrize("step_bytes", [1_000, 4096, 1 << 20])
def test_pages_enciphered_as_they_come_are_a_file_the_cipher_opens(tmp_path: Path, step_bytes: int) -> None:
    rows = ((c.collection, c.key, c.body or "") for c in waybills(*range(700)))
    fill_generation(tmp_path, 1, "site", "e", 700, rows)
    plain = generation_path(tmp_path, 1).read_bytes()
    with contextlib.closing(ENCIPHERED.unpacked(tmp_path / "records-2.sqlite")) as file:
        for at in range(0, len(plain), step_bytes):
            file.write(plain[at : at + step_bytes])
        assert [*file.sha256()][-1] == hashlib.sha256(plain).hexdigest()
    with Records.open(generation_path(tmp_path, 2), writable=True, opener=ENCIPHERED) as records:
        assert records.verify() == []
        assert records.get("waybills", waybill_no(5)) is not None
    with contextlib.closing(ENCIPHERED.connect(generation_path(tmp_path, 2), "mode=rw")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA cipher_integrity_check").fetchall() == []


@pytest.mark.parametrize(
    ("begins", "said"),
    [
        (b"\0" * 4096, "pages of 0 bytes"),
        (first_page(0), "with 0 free"),
        (first_page(80) + b"half a page", "ends inside a page"),
    ],
)
def test_what_cannot_be_enciphered_page_by_page_is_refused(tmp_path: Path, begins: bytes, said: str) -> None:
    def take() -> None:
        with contextlib.closing(ENCIPHERED.unpacked(tmp_path / "a")) as file:
            file.write(begins)
            list(file.sha256())

    with pytest.raises(StoreRefused, match=said):
        take()


def test_a_snapshot_without_room_is_not_taken_and_the_log_is(tmp_path: Path) -> None:
    handheld = Handheld(tmp_path, ENCIPHERED)
    shelf = tmp_path / "snapshots"
    for manifest in shelf.glob("*.json"):
        manifest.write_bytes(manifest.read_bytes().replace(b'"reserved_bytes":80', b'"reserved_bytes":0'))
    joined = handheld.joined
    joined.kill_hub()
    joined.connect()
    joined.run(40)
    assert joined.records_equal()
    assert "snapshots_taken" not in joined.session.counts
    joined.close()
