"""The journal: what a device decided, with slip uses and lane state, durable in one transaction (G1).

Nothing here decides anything and nothing here talks to the centre: it keeps what it is given, in order,
chained and durable, and lets go of a fact only after the centre has named that fact's own hash (G2, G3).
Records are next door (`records.py`).
"""

from __future__ import annotations

import enum
import errno
import heapq
import secrets
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from sync.store.lock import Remembered, StoreLock, lock_path
from sync.store.opening import JOURNAL, PLAIN, Opener, StoreRefused, open_database, refused
from sync.store.places import STREAMS, first_place, last_place
from sync.store.verify import verify_journal
from sync.vocabulary.blobs import BlobClass
from sync.vocabulary.facts import (
    GENESIS,
    EpochBegan,
    Fact,
    FactDraft,
    Stream,
    check_length,
    hash_of,
    seal,
)
from sync.vocabulary.numbers import SlipNo, utc_text
from sync.vocabulary.uses import SlipUse, UseState

__all__ = [
    "AckOutcome",
    "BlobOwed",
    "Journal",
    "JournalFull",
    "SpotCheckPending",
    "Standing",
    "StoreRefused",
    "StreamHeadRow",
    "verify_journal",
]

WAL_AUTOCHECKPOINT_PAGES = 2_000
"""About 8 MB of log between checkpoints, which some 400 commits share. A longer log makes the one commit that
pays for the checkpoint slower than the 50 ms a lane has from last byte to relay; a shorter one costs rate."""

WAL_KEPT_BYTES = 16 * 1024 * 1024
"""The log is reused, not cut, up to this size: writing over allocated blocks syncs faster than growing a
file. Re-issuing a large backlog makes it longer for a while."""

RESERVE_BYTES = 64 * 1024 * 1024
"""Disk that `commit` leaves free. It pays for what must still be written when the disk is full: the end of
passages already begun (`into_reserve`), acknowledgements, and the deletes that make room."""

COMMITS_PER_DISK_CHECK = 16

FACTS_ISSUED_AT_ONCE = 1_000
"""In the transaction in which an epoch begins, and at most in each later one: the lane waits for it."""

_MAKE_ROOM = "make room on this disk; the lane holds until then"
_FULL_CODES = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE})

_INSERT_FACT = "INSERT INTO facts VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_MOVE_HEAD = "UPDATE heads SET seq = ?, hash = ?, position = ? WHERE epoch_no = ? AND stream = ?"
_PUT_USE = (
    "INSERT INTO uses VALUES (?, ?, ?, ?, ?) ON CONFLICT (slip_no, use_id) DO UPDATE SET "
    "passage = excluded.passage, claim_id = excluded.claim_id, state = excluded.state"
)
_PUT_LANE = "INSERT INTO lane VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET state = excluded.state"
_PUT_SPOT_CHECK = (
    "INSERT INTO spot_checks VALUES (?, ?, ?) ON CONFLICT (plate) DO UPDATE SET "
    "enterprise = excluded.enterprise, day = excluded.day"
)
_OWE_BLOB = (
    "INSERT INTO blobs VALUES (?, ?, ?, ?, ?, 'owed') ON CONFLICT (sha256) DO UPDATE SET "
    "class = min(class, excluded.class)"
)
_END_SPOT_CHECK = "DELETE FROM spot_checks WHERE plate = ?"
_USES = "SELECT use_id, slip_no, passage, claim_id, state FROM uses "
_SPOT_CHECKS = "SELECT plate, enterprise, day FROM spot_checks "
_KEYS_AT_ONCE = 50
"""Keys asked for in one statement."""
_ACKED = "UPDATE heads SET acked = ?, acked_hash = ?, ack_counter = ? WHERE epoch_no = ? AND stream = ?"
_STILL_OWED = (
    "SELECT epoch_no, stream, max(issuing_to, acked, dropped_seq) + 1, coalesce(reissued_from, seq + 1) - 1 "
    "FROM heads WHERE issuing_from > 0"
)
"""Epoch, stream, first and last of what is still to be issued again."""
_ISSUED = (
    "UPDATE heads SET reissued_from = min(coalesce(reissued_from, seq + 1), issuing_from), "
    "issuing_from = 0, issuing_to = 0 WHERE issuing_from > 0 "
    "AND max(issuing_to, acked, dropped_seq) + 1 >= coalesce(reissued_from, seq + 1)"
)
"""Where nothing is left of that."""
_FACTS_BETWEEN = (
    "SELECT place, position, event_id, kind, passage, time, hash, body FROM facts "
    "WHERE place BETWEEN ? AND ? ORDER BY place"
)


class JournalFull(Exception):
    """The disk, or its reserve, is full. Nothing of the commit happened; the lane holds and says so (G8)."""


class AckOutcome(enum.StrEnum):
    APPLIED = "applied"
    OLDER = "older"
    """By its counter, or of another archive than the one that is the centre's (`meet_archive`)."""
    OTHER_EPOCH = "other_epoch"
    AHEAD = "ahead"
    """It names facts this journal does not have: restored or cloned. Begin an epoch."""
    DIFFERS = "differs"
    """Its hash is not our row's, or what it lacks is no longer here in this epoch. Begin an epoch."""


@dataclass(frozen=True, slots=True)
class StreamHeadRow:
    """The last fact of a stream in the current epoch; 0 and `GENESIS` before the first."""

    seq: int
    hash: str


@dataclass(frozen=True, slots=True)
class Standing:
    """Epoch, position and heads of one moment, as a checkpoint wants them."""

    epoch: str
    position: int
    heads: Mapping[Stream, StreamHeadRow]


@dataclass(frozen=True, slots=True)
class BlobOwed:
    """A blob the centre is to get: on this disk under its hash, named by a fact."""

    sha256: str
    size_bytes: int
    blob_class: BlobClass
    passage: int | None = None


@dataclass(frozen=True, slots=True)
class SpotCheckPending:
    """A vehicle drawn on a day and not yet checked (S11)."""

    plate: str
    enterprise: str
    day: str


class _Head(msgspec.Struct, frozen=True):
    seq: int
    hash: str
    position: int
    acked: int
    acked_hash: str
    ack_counter: int
    dropped_seq: int
    dropped_hash: str


_EMPTY = _Head(0, GENESIS, 0, 0, GENESIS, 0, 0, GENESIS)


class _Kept(msgspec.Struct, frozen=True):
    """What memory knows of the file; replaced whole after each commit, read again after a failed one."""

    store_id: str
    opens: int
    epoch_no: int
    epoch: str
    position: int
    heads: dict[Stream, _Head]
    archive_no: int
    archive_id: str
    first_counter: int
    backup_interval_s: float
    issuing: dict[Stream, int]
    """Facts of older epochs still to be issued again in this one."""


_Owed = Iterator[tuple[int, Stream, int, tuple[Any, ...]]]
"""(position, stream, number of its epoch, row) in order of position."""


def random_id() -> str:
    """128 random bits as 32 hex digits."""
    return secrets.token_hex(16)


def utc_now() -> str:
    return utc_text(datetime.now(UTC))


class Journal:
    """One writer, any number of reading threads, one process. All methods may be called from any thread.

    Writes take turns under a lock that is held through the disk sync; reads run beside them on a connection
    of their own and see the last finished commit.
    """

    def __init__(
        self,
        path: Path,
        device: str,
        lock: StoreLock,
        *,
        new_id: Callable[[], str],
        utc: Callable[[], str],
        boot_id: str,
        reserve_bytes: int,
        free_bytes: Callable[[], int],
        monotonic_s: Callable[[], float],
        opener: Opener,
    ) -> None:
        """Use `open`."""
        self._path = path
        self._device = device
        self._lock = lock
        self._new_id = new_id
        self._utc = utc
        self._boot_id = boot_id
        self._reserve_bytes = reserve_bytes
        self._free_bytes = free_bytes
        self._monotonic_s = monotonic_s
        self._opener = opener
        self._counted_at_s = monotonic_s()
        self._commits_until_disk_check = 0
        self._writing = threading.RLock()
        self._reading = threading.Lock()
        self._writer: sqlite3.Connection | None = None
        self._noter: sqlite3.Connection | None = None
        """Writes acknowledgements, unsynced. A connection of its own, so that `_writer` never is anything but
        `synchronous=FULL`."""
        self._reader: sqlite3.Connection | None = None
        self._kept: _Kept | None = None
        self._unsettled = False

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        device: str,
        new_id: Callable[[], str] = random_id,
        utc: Callable[[], str] = utc_now,
        boot_id: str = "",
        reserve_bytes: int = RESERVE_BYTES,
        free_bytes: Callable[[], int] | None = None,
        monotonic_s: Callable[[], float] = time.monotonic,
        opener: Opener = PLAIN,
    ) -> Journal:
        """Open, or make, the journal of `device`. Raises `StoreRefused`.

        A new journal begins its first epoch. So does one that the lock file beside it shows to be a copy or a
        restored backup. `free_bytes` tells the free disk; by default that of the journal's folder. `opener`:
        how this and the records beside it lie on the disk.
        """
        lock = StoreLock.acquire(lock_path(path), guards=path)
        journal = cls(
            path,
            device,
            lock,
            new_id=new_id,
            utc=utc,
            boot_id=boot_id,
            reserve_bytes=reserve_bytes,
            free_bytes=free_bytes or (lambda: shutil.disk_usage(path.parent).free),
            monotonic_s=monotonic_s,
            opener=opener,
        )
        try:
            journal._start()
        except BaseException:
            journal._shut()
            raise
        return journal

    # --- what stands where --------------------------------------------------------------------------------

    @property
    def path(self) -> Path:
        return self._path

    @property
    def device(self) -> str:
        return self._device

    @property
    def opener(self) -> Opener:
        """The records of this device lie on the disk as its journal does."""
        return self._opener

    @property
    def reserve_bytes(self) -> int:
        """Of this disk, for the end of what is under way."""
        return self._reserve_bytes

    @property
    def epoch(self) -> str:
        return self._now().epoch

    @property
    def store_id(self) -> str:
        """128 random bits minted with the file."""
        return self._now().store_id

    def standing(self) -> Standing:
        """Epoch, position and heads of the same moment."""
        now = self._now()
        return Standing(now.epoch, now.position, _rows_of(now.heads))

    def heads(self) -> dict[Stream, StreamHeadRow]:
        return _rows_of(self._now().heads)

    def position(self) -> int:
        """Device-wide number of the last fact, over all streams and epochs."""
        return self._now().position

    def acked(self) -> dict[Stream, int]:
        """Per stream of the current epoch, the sequence up to which the centre's newest archive has it."""
        return {stream: head.acked for stream, head in self._now().heads.items()}

    def backlog(self) -> dict[Stream, int]:
        """Facts of the current epoch that are not acknowledged, and those of older ones still to be issued in
        it."""
        now = self._now()
        return {
            stream: head.seq - head.acked + now.issuing.get(stream, 0) for stream, head in now.heads.items()
        }

    # --- the lane's side ----------------------------------------------------------------------------------

    def commit(
        self,
        drafts: Sequence[FactDraft],
        *,
        uses: Sequence[SlipUse] = (),
        lane_state: bytes | None = None,
        spot_checks: Sequence[SpotCheckPending] = (),
        discharged: Sequence[str] = (),
        blobs: Sequence[BlobOwed] = (),
        into_reserve: bool = False,
    ) -> tuple[Fact, ...]:
        """Make all of it durable in one transaction, or none of it. Answers the facts as they now stand.

        `uses` replace those of the same slip and `use_id`, `lane_state` the one before; `discharged` are
        plates whose pending spot check is over, cleared before `spot_checks` are set; `blobs` are owed to the
        centre from now on. `into_reserve` may use the disk's reserve: for the end of what is already under
        way. Raises `JournalFull`, `FactTooLong` or `StoreRefused`; then nothing happened. (Only where the
        disk sync itself failed may a restart find the commit after all.)
        """
        with self._writing:
            now = self._settled()
            if not into_reserve:
                self._keep_reserve()
            heads = dict(now.heads)
            position = now.position
            facts: list[Fact] = []
            rows: list[tuple[object, ...]] = []
            for draft in drafts:
                stream = draft.stream
                head = heads[stream]
                seq = head.seq + 1
                position += 1
                fact = seal(
                    draft, device=self._device, epoch=now.epoch, seq=seq, position=position, prev=head.hash
                )
                check_length(fact)
                heads[stream] = replace(head, seq=seq, hash=fact.hash, position=position)
                facts.append(fact)
                rows.append(_row_of(first_place(now.epoch_no, stream) + seq, fact))
            use_rows = [
                (use.use_id, str(use.slip_no), use.passage, use.claim_id, use.state.value) for use in uses
            ]
            if not (rows or use_rows or spot_checks or discharged or blobs or lane_state is not None):
                return ()
            with self._transaction() as writer:
                if rows:
                    writer.executemany(_INSERT_FACT, rows)
                    self._move_heads(writer, now.epoch_no, now.heads, heads)
                if use_rows:
                    writer.executemany(_PUT_USE, use_rows)
                if lane_state is not None:
                    writer.execute(_PUT_LANE, (lane_state,))
                if discharged:
                    writer.executemany(_END_SPOT_CHECK, [(str(plate),) for plate in discharged])
                if spot_checks:
                    writer.executemany(
                        _PUT_SPOT_CHECK, [(str(s.plate), str(s.enterprise), s.day) for s in spot_checks]
                    )
                if blobs:
                    writer.executemany(
                        _OWE_BLOB,
                        [(b.sha256, position, b.size_bytes, b.blob_class.value, b.passage) for b in blobs],
                    )
            self._settle(replace(now, position=position, heads=heads))
            return tuple(facts)

    def lane_state(self) -> bytes | None:
        """What the last commit that gave one left; None on a new journal."""
        row = self._read_one("SELECT state FROM lane", ())
        return None if row is None else bytes(row[0])

    def uses_of(self, slip_nos: Sequence[str]) -> tuple[SlipUse, ...]:
        """Every use of these slips, by passage."""
        return self.known_of(slip_nos, ())[0]

    def known_of(
        self, slip_nos: Sequence[str], plates: Sequence[str]
    ) -> tuple[tuple[SlipUse, ...], dict[str, SpotCheckPending]]:
        """Every use of these slips, by passage, and spot checks pending on these plates, of one moment."""
        slip_nos = list(dict.fromkeys(str(slip_no) for slip_no in slip_nos))
        plates = list(dict.fromkeys(str(plate) for plate in plates))
        if not slip_nos and not plates:
            return (), {}
        uses: list[SlipUse] = []
        pending: dict[str, SpotCheckPending] = {}
        with self._reading:
            try:
                reader = self._reader_or_refuse()
                # One reading of the file's log for all of them: finding its end costs as much as two reads.
                reader.execute("BEGIN")
                try:
                    for some in _some_of(slip_nos):
                        rows = reader.execute(f"{_USES}WHERE slip_no IN ({_places(some)})", some).fetchall()
                        uses.extend(_use_of(row) for row in rows)
                    for some in _some_of(plates):
                        rows = reader.execute(
                            f"{_SPOT_CHECKS}WHERE plate IN ({_places(some)})", some
                        ).fetchall()
                        pending.update((row[0], SpotCheckPending(*row)) for row in rows)
                finally:
                    if reader.in_transaction:
                        reader.execute("COMMIT")
            except sqlite3.Error as error:
                raise refused(self._path, JOURNAL, error) from error
        return tuple(sorted(uses, key=_by_passage)), pending

    def open_uses(self) -> tuple[SlipUse, ...]:
        """Uses reserved or raised, neither crossed nor returned, by passage."""
        rows = self._read_all(_USES + "WHERE state IN ('reserved', 'raised')", ())
        return tuple(sorted((_use_of(row) for row in rows), key=_by_passage))

    def pending_spot_check(self, plate: str) -> SpotCheckPending | None:
        return self.known_of((), (plate,))[1].get(str(plate))

    # --- the link's side ----------------------------------------------------------------------------------

    def facts_from(
        self, stream: Stream, seq: int, *, max_facts: int, max_bytes: int, epoch: str | None = None
    ) -> tuple[Fact, ...]:
        """Facts `seq` and later of a stream, in order: at most `max_facts`, and bodies of at most `max_bytes`
        together, but one fact in any case, so that a long one cannot stop the stream. Of the current epoch,
        or of an older one that is still held; an unknown epoch has none.
        """
        now = self._now()
        if epoch is None or epoch == now.epoch:
            epoch, epoch_no = now.epoch, now.epoch_no
        else:
            row = self._read_one("SELECT epoch_no FROM epochs WHERE epoch = ?", (epoch,))
            if row is None:
                return ()
            epoch_no = row[0]
        base = first_place(epoch_no, stream)
        facts: list[Fact] = []
        size = 0
        with self._reading:
            reader = self._reader_or_refuse()
            try:
                with closing(
                    reader.execute(
                        f"{_FACTS_BETWEEN} LIMIT ?",
                        (base + max(seq, 1), last_place(epoch_no, stream), max(max_facts, 0)),
                    )
                ) as rows:
                    for row in rows:
                        size += len(row[7].encode())
                        if facts and size > max_bytes:
                            break
                        facts.append(_fact_of(row, self._device, epoch, stream, row[0] - base))
            except sqlite3.Error as error:
                raise refused(self._path, JOURNAL, error) from error
        return tuple(facts)

    def apply_ack(
        self,
        *,
        archive_id: str,
        counter: int,
        epoch: str,
        stream: Stream,
        contiguous: int,
        hash: str,  # noqa: A002  the acknowledgement's own field name
    ) -> AckOutcome:
        """Take the centre's word for what it has, if it is newer and names our own row's hash (G3).

        Only the archive met last is believed. On `ahead` and `differs` nothing is believed; the caller begins
        an epoch.
        """
        with self._writing:
            now = self._settled()
            if archive_id != now.archive_id or not now.archive_no:
                return AckOutcome.OLDER
            if epoch != now.epoch:
                self._note_older_epoch(now, epoch, stream, counter, contiguous, hash)
                return AckOutcome.OTHER_EPOCH
            head = now.heads[stream]
            if counter < head.ack_counter:
                return AckOutcome.OLDER
            if counter == head.ack_counter and counter > 0:
                same = (contiguous, hash) == (head.acked, head.acked_hash)
                return AckOutcome.APPLIED if same else AckOutcome.OLDER
            if contiguous > head.seq:
                return AckOutcome.AHEAD
            ours = self._hash_at(now.epoch_no, stream, head, contiguous)
            if ours != hash:
                if contiguous < head.acked:
                    self._believe(now, stream, replace(head, acked=0, acked_hash=GENESIS))
                return AckOutcome.DIFFERS
            self._believe(now, stream, replace(head, acked=contiguous, acked_hash=hash, ack_counter=counter))
            if now.archive_no > 1 and counter > now.first_counter and self._older_epochs_owe(now.epoch_no):
                return AckOutcome.DIFFERS
            return AckOutcome.APPLIED

    def begin_epoch(self, why: str) -> None:
        """Leave the heads behind: mint an epoch, name the old heads in its first fact (alarm 1), and begin to
        issue again all facts that the centre is not known to have, under their event ids, in device-wide
        order (G4). One transaction, short whatever the backlog: call `issue_again` while it answers that
        something is left; what a lane commits meanwhile comes between. Old rows stay for verification and are
        no longer sent. Raises as `commit` does.
        """
        with self._writing:
            self._finish_issuing()
            now = self._settled()
            with self._transaction() as writer:
                self._begin_epoch(writer, now, why)
            self._settle(self._load())

    def _finish_issuing(self) -> None:
        """Else what an earlier epoch still owes would come after what a later one does."""
        while self._issue_some(FACTS_ISSUED_AT_ONCE):
            pass

    def left_to_issue(self) -> int:
        """Facts of epochs that were left, owed to the centre and not yet issued again."""
        return sum(self._now().issuing.values())

    def issue_again(self, *, max_facts: int = FACTS_ISSUED_AT_ONCE) -> int:
        """The next of them, in one transaction; answers how many are left. Raises as `commit` does: they are
        on this disk already, and no second copy of a backlog is worth the reserve (G8)."""
        with self._writing:
            if self.left_to_issue():
                self._keep_reserve()
            return self._issue_some(max_facts)

    def _issue_some(self, max_facts: int) -> int:
        with self._writing:
            now = self._settled()
            if not any(now.issuing.values()):
                return 0
            with self._transaction() as writer:
                self._issue(writer, now.epoch_no, now.epoch, now.heads, now.position, max_facts)
            self._settle(self._load())
            return sum(self._now().issuing.values())

    def archive_id(self) -> str:
        """The archive whose word counts; empty before the first was met."""
        return self._now().archive_id

    def meet_archive(self, archive_id: str, *, counter: int = 0, backup_interval_s: float = 0.0) -> bool:
        """This archive is the centre's: proved to speak now, not by a recording (the caller's to see to).

        True where another one was before, or none. Then all words of that one are void: what the new one does
        not acknowledge is owed again, facts and blobs, and a new wait begins before any fact may leave (G3).
        `counter` is that of its acknowledgements now.
        """
        with self._writing:
            now = self._settled()
            if archive_id == now.archive_id and now.archive_no:
                if backup_interval_s != now.backup_interval_s:
                    with self._transaction() as writer:
                        writer.execute(
                            "UPDATE archives SET backup_interval_s = ? WHERE archive_no = ?",
                            (backup_interval_s, now.archive_no),
                        )
                    self._settle(replace(now, backup_interval_s=backup_interval_s))
                return False
            with self._transaction() as writer:
                writer.execute("DELETE FROM archives WHERE archive_id = ?", (archive_id,))
                writer.execute(
                    "INSERT INTO archives VALUES (?, ?, ?, ?, ?)",
                    (now.archive_no + 1, archive_id, counter, self._utc(), backup_interval_s),
                )
                writer.execute("UPDATE heads SET acked = 0, acked_hash = ?, ack_counter = 0", (GENESIS,))
                writer.execute("DELETE FROM ack_marks")
                writer.execute("UPDATE blobs SET state = 'owed' WHERE state = 'acknowledged'")
            self._settle(self._load())
            return True

    def drop_acknowledged(self, keep_s: float, *, max_facts: int = 5_000) -> int:
        """Retention: let go of facts that the centre has, or that a later epoch issued again, since `keep_s`
        and since the backup interval of its archive, counted in seconds that this store was open (G3, G7);
        never one that is owed, and never a stream's last. At most `max_facts`, so that the lane waits for one
        short transaction only; answers how many went, call again while it is not 0.

        Call it every few minutes: what it finds acknowledged it remembers as acknowledged now.
        """
        with self._writing:
            now = self._settled()
            left = max_facts
            with self._transaction() as writer:
                counted_s = self._count(writer)
                before_s = counted_s - max(keep_s, now.backup_interval_s)
                rows = writer.execute(
                    "SELECT epoch_no, stream, seq, acked, reissued_from, dropped_seq FROM heads"
                ).fetchall()
                for epoch_no, stream, seq, acked, reissued_from, dropped_seq in rows:
                    owes = reissued_from is None or acked + 1 < reissued_from
                    may = acked if owes else seq
                    if may > dropped_seq:
                        writer.execute(
                            "INSERT OR IGNORE INTO ack_marks VALUES (?, ?, ?, ?)",
                            (epoch_no, stream, may, counted_s),
                        )
                    old = writer.execute(
                        "SELECT coalesce(max(seq), 0) FROM ack_marks "
                        "WHERE epoch_no = ? AND stream = ? AND counted_s <= ?",
                        (epoch_no, stream, before_s),
                    ).fetchone()[0]
                    last = min(old, may, seq - 1, dropped_seq + left)
                    left -= self._drop(writer, epoch_no, Stream(stream), dropped_seq, last)
                    writer.execute(
                        "DELETE FROM ack_marks WHERE epoch_no = ? AND stream = ? AND seq < ?",
                        (epoch_no, stream, min(old, last)),
                    )
            self._settle(self._load())
            return max_facts - left

    def _count(self, writer: sqlite3.Connection) -> float:
        """Adds what has passed since the last time; answers how long this store has been open in all."""
        at_s = self._monotonic_s()
        passed_s = max(0.0, at_s - self._counted_at_s)
        row = writer.execute(
            "UPDATE store SET counted_s = counted_s + ? RETURNING counted_s", (passed_s,)
        ).fetchone()
        self._counted_at_s = at_s
        return float(row[0])

    # --- blobs --------------------------------------------------------------------------------------------

    def owed_blobs(self, most: int) -> tuple[BlobOwed, ...]:
        """Blobs the centre is not known to have: the most urgent class first, and in it the oldest."""
        rows = self._read_all(
            "SELECT sha256, size_bytes, class, passage FROM blobs WHERE state = 'owed' "
            "ORDER BY class, number LIMIT ?",
            (most,),
        )
        return tuple(BlobOwed(row[0], row[1], BlobClass(row[2]), row[3]) for row in rows)

    def blobs_backlog(self) -> tuple[int, int]:
        """How many blobs are owed, and how many bytes they have."""
        row = self._read_one(
            "SELECT count(*), coalesce(sum(size_bytes), 0) FROM blobs WHERE state = 'owed'", ()
        )
        return (0, 0) if row is None else (row[0], row[1])

    def blob_acknowledged(self, sha256: str) -> bool:
        """Whether the centre has signed for it, by the archive that counts. False for what no fact names."""
        row = self._read_one("SELECT state FROM blobs WHERE sha256 = ?", (sha256,))
        return row is not None and row[0] == "acknowledged"

    def blob_named(self, sha256: str) -> bool:
        """Whether a fact named it, and nobody has forgotten it since."""
        return self._read_one("SELECT 1 FROM blobs WHERE sha256 = ?", (sha256,)) is not None

    def blob_class(self, sha256: str) -> BlobClass:
        row = self._read_one("SELECT class FROM blobs WHERE sha256 = ?", (sha256,))
        return BlobClass.ROUTINE if row is None else BlobClass(row[0])

    def acknowledge_blob(self, sha256: str, *, archive_id: str) -> bool:
        """The centre has it whole and durable. False, and nothing changed, on the word of another archive."""
        return self._note_blobs(
            "UPDATE blobs SET state = 'acknowledged' WHERE sha256 = ?", [(sha256,)], archive_id=archive_id
        )

    def urge_blobs(self, passage: int) -> None:
        """What this passage's blobs are evidence of is a hold or an alarm: they go up before others, and the
        centre hears it also of those it has."""
        held = BlobClass.HELD.value
        self._note_blobs(
            "UPDATE blobs SET class = ?, state = 'owed' WHERE passage = ? AND class <> ?",
            [(held, passage, held)],
        )

    def forget_blobs(self, sha256s: Sequence[str]) -> None:
        """They are no longer on this disk."""
        self._note_blobs("DELETE FROM blobs WHERE sha256 = ?", [(sha256,) for sha256 in sha256s])

    def _note_blobs(
        self, sql: str, rows: Sequence[tuple[object, ...]], *, archive_id: str | None = None
    ) -> bool:
        """Not synced: a power cut may take it back, and then the centre is asked once more. No commit of the
        lane waits for a disk on account of a blob."""
        with self._writing:
            now = self._settled()
            if archive_id is not None and (archive_id != now.archive_id or not now.archive_no):
                return False
            with self._unsynced_transaction() as noter:
                noter.executemany(sql, rows)
            self._settle(now)
            return True

    def settled_uses(self, after: SlipUse | None = None, *, most: int = 200) -> tuple[SlipUse, ...]:
        """Uses crossed or returned whose passages have left by retention, by slip: the next `most` behind
        `after`. Whether a slip may be used again the journal does not know; the caller does."""
        now = self._now()
        first = first_place(now.epoch_no, Stream.ROUTINE)
        oldest = self._read_one(
            "SELECT passage FROM facts WHERE place > ? AND passage IS NOT NULL ORDER BY place LIMIT 1",
            (first,),
        )
        if oldest is None:
            return ()
        rows = self._read_all(
            f"{_USES}WHERE (slip_no, use_id) > (?, ?) AND state IN ('crossed', 'returned') AND passage < ? "
            "ORDER BY slip_no, use_id LIMIT ?",
            (*(("", "") if after is None else (str(after.slip_no), after.use_id)), oldest[0], most),
        )
        return tuple(_use_of(row) for row in rows)

    def forget_uses(self, uses: Sequence[SlipUse]) -> None:
        """For good: of slips that can never be used again (S4). Open uses stay whatever is asked."""
        with self._writing:
            now = self._settled()
            with self._transaction() as writer:
                writer.executemany(
                    "DELETE FROM uses WHERE slip_no = ? AND use_id = ? AND state IN ('crossed', 'returned')",
                    [(str(use.slip_no), use.use_id) for use in uses],
                )
            self._settle(now)

    def generation(self) -> int | None:
        """Which `records-<n>.sqlite` is the current one (G1); None before the first."""
        row = self._read_one("SELECT generation FROM store", ())
        value: int | None = None if row is None else row[0]
        return value

    def set_generation(self, n: int) -> None:
        with self._writing:
            now = self._settled()
            with self._transaction() as writer:
                writer.execute("UPDATE store SET generation = ?", (n,))
            self._settle(now)

    def close(self) -> None:
        """Idempotent. Every method but this one raises `StoreRefused` afterwards."""
        with self._writing:
            if self._writer is not None and self._kept is not None:
                now = self._kept
                with suppress(OSError):
                    self._lock.remember(Remembered(now.store_id, now.opens, now.position))
            self._shut()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- opening ------------------------------------------------------------------------------------------

    def _start(self) -> None:
        remembered = self._lock.remembered()
        self._writer = self._open_writer(create=True)
        try:
            known = self._writer.execute("SELECT device FROM store").fetchone()
            if known is None:
                self._make(remembered)
            elif known[0] != self._device:
                raise StoreRefused(
                    f"{self._path} is the journal of device {known[0]!r}, this program is {self._device!r}: "
                    "correct the device or the path in the config; never copy a journal to another device"
                )
            else:
                self._resume(remembered)
            self._noter = self._open_writer(create=False)
            self._noter.execute("PRAGMA synchronous=NORMAL")
            self._reader = self._open_reader()
            now = self._now()
            self._lock.remember(Remembered(now.store_id, now.opens, now.position))
        except sqlite3.Error as error:
            raise refused(self._path, JOURNAL, error) from error
        except JournalFull as error:
            raise StoreRefused(str(error)) from error
        except OSError as error:
            raise StoreRefused(
                f"{lock_path(self._path)} cannot be written ({error}): check the disk"
            ) from error

    def _open_writer(self, *, create: bool) -> sqlite3.Connection:
        writer = open_database(self._path, JOURNAL, create=create, writable=True, opener=self._opener)
        writer.execute(f"PRAGMA wal_autocheckpoint={WAL_AUTOCHECKPOINT_PAGES}")
        writer.execute(f"PRAGMA journal_size_limit={WAL_KEPT_BYTES}")
        return writer

    def _open_reader(self) -> sqlite3.Connection:
        return open_database(self._path, JOURNAL, create=False, writable=False, opener=self._opener)

    def _make(self, remembered: Remembered | None) -> None:
        store_id = self._new_id()
        why = "store made"
        if remembered is not None:
            why += f"; store {remembered.store_id} was here before, up to position {remembered.position}"
        nothing = _Kept(store_id, 1, 0, "", 0, {}, 0, "", 0, 0.0, {})
        with self._transaction() as writer:
            writer.execute(
                "INSERT INTO store VALUES (1, ?, ?, ?, 1, NULL, 0)", (store_id, self._device, self._utc())
            )
            self._begin_epoch(writer, nothing, why)
        self._settle(self._load())

    def _resume(self, remembered: Remembered | None) -> None:
        now = self._load()
        why = _why_not_the_same(now, remembered)
        if why is not None:
            self._finish_issuing()
            now = self._load()
        with self._transaction() as writer:
            writer.execute("UPDATE store SET opens = opens + 1")
            if why is not None:
                self._begin_epoch(writer, now, why)
        self._settle(self._load())

    def _load(self) -> _Kept:
        """What the file says, with its newest facts looked at: they must be what the heads say."""
        writer = self._writer_or_refuse()
        try:
            store_id, opens = writer.execute("SELECT store_id, opens FROM store").fetchone()
            epoch_no, epoch = writer.execute(
                "SELECT epoch_no, epoch FROM epochs ORDER BY epoch_no DESC LIMIT 1"
            ).fetchone()
            rows = writer.execute(
                "SELECT stream, seq, hash, position, acked, acked_hash, ack_counter, dropped_seq, "
                "dropped_hash FROM heads WHERE epoch_no = ?",
                (epoch_no,),
            ).fetchall()
            heads = {Stream(row[0]): _Head(*row[1:]) for row in rows}
            position = writer.execute("SELECT max(position) FROM heads").fetchone()[0]
            archive = writer.execute(
                "SELECT archive_no, archive_id, first_counter, backup_interval_s FROM archives "
                "ORDER BY archive_no DESC LIMIT 1"
            ).fetchone() or (0, "", 0, 0.0)
            issuing: dict[Stream, int] = {}
            for _old_no, name, first, last in writer.execute(_STILL_OWED).fetchall():
                stream = Stream(name)
                issuing[stream] = issuing.get(stream, 0) + max(0, last - first + 1)
            for stream in STREAMS:
                self._look_at_tip(writer, epoch_no, stream, heads[stream])
        except sqlite3.Error as error:
            raise refused(self._path, JOURNAL, error) from error
        except (TypeError, KeyError, ValueError) as error:
            raise self._damaged(f"its own tables contradict each other: {error!r}") from error
        archive_no, archive_id, first_counter, backup_interval_s = archive
        return _Kept(
            store_id,
            opens,
            epoch_no,
            epoch,
            position,
            heads,
            archive_no,
            archive_id,
            first_counter,
            backup_interval_s,
            issuing,
        )

    def _look_at_tip(self, writer: sqlite3.Connection, epoch_no: int, stream: Stream, head: _Head) -> None:
        base = first_place(epoch_no, stream)
        row = writer.execute(
            "SELECT place, hash, body FROM facts WHERE place BETWEEN ? AND ? ORDER BY place DESC LIMIT 1",
            (base, last_place(epoch_no, stream)),
        ).fetchone()
        if row is None and head.seq == 0:
            return
        if row is None or row[0] != base + head.seq or row[1] != head.hash or hash_of(row[2]) != head.hash:
            raise self._damaged(f"its last {stream.value} fact is not the one its head names ({head.seq})")

    def _damaged(self, what: str) -> StoreRefused:
        return StoreRefused(
            f"{self._path} is damaged: {what}. `kakou journal verify` names every place; keep the file for "
            "the centre, move it, its -wal and its .lock away and start again: a new epoch begins"
        )

    # --- writing ------------------------------------------------------------------------------------------

    def _now(self) -> _Kept:
        """As of the last finished commit, without waiting for one under way."""
        now = self._kept
        if now is not None:
            return now
        with self._writing:
            return self._settled()

    def _settled(self) -> _Kept:
        """For writers, under their lock: memory that is known to be what the file says."""
        now = self._kept
        if now is None or self._unsettled:
            now = self._load()
            self._settle(now)
        return now

    def _settle(self, now: _Kept) -> None:
        self._kept = now
        self._unsettled = False

    def _writer_or_refuse(self) -> sqlite3.Connection:
        if self._writer is None:
            raise StoreRefused(f"{self._path} is closed")
        return self._writer

    def _noter_or_refuse(self) -> sqlite3.Connection:
        if self._noter is None:
            raise StoreRefused(f"{self._path} is closed")
        return self._noter

    def _reader_or_refuse(self) -> sqlite3.Connection:
        if self._reader is None:
            raise StoreRefused(f"{self._path} is closed")
        return self._reader

    def _transaction(self) -> _Transaction:
        """Its writer calls `_settle` afterwards; until then, whatever interrupts it, memory is in doubt."""
        self._unsettled = True
        return _Transaction(self, self._writer_or_refuse())

    def _unsynced_transaction(self) -> _Transaction:
        """As `_transaction`, atomic and in order with it, but durable only with the next one of those."""
        self._unsettled = True
        return _Transaction(self, self._noter_or_refuse())

    def _failed(self, writer: sqlite3.Connection, error: BaseException) -> Exception | None:
        """Nothing of a failed transaction stays. Answers what to raise for it; None: the error itself."""
        if writer.in_transaction:
            try:
                writer.execute("ROLLBACK")
            except sqlite3.Error as again:
                return refused(self._path, JOURNAL, again)
        if isinstance(error, sqlite3.Error):
            self._commits_until_disk_check = 0
            if getattr(error, "sqlite_errorcode", 0) in _FULL_CODES:
                return JournalFull(f"{self._path} cannot grow, the disk is full: {_MAKE_ROOM}")
            return refused(self._path, JOURNAL, error)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return JournalFull(f"{self._path} cannot grow ({error.strerror}): {_MAKE_ROOM}")
        return None

    def _keep_reserve(self) -> None:
        if self._commits_until_disk_check > 0:
            self._commits_until_disk_check -= 1
            return
        try:
            free = self._free_bytes()
        except OSError as error:
            raise StoreRefused(f"{self._path}: its disk does not answer ({error}): check the disk") from error
        if free < self._reserve_bytes:
            raise JournalFull(
                f"{free // 2**20} MiB are free where {self._path} lies, {self._reserve_bytes // 2**20} MiB "
                f"are kept in reserve: {_MAKE_ROOM}"
            )
        self._commits_until_disk_check = COMMITS_PER_DISK_CHECK - 1

    @staticmethod
    def _move_heads(
        writer: sqlite3.Connection,
        epoch_no: int,
        before: Mapping[Stream, _Head],
        after: Mapping[Stream, _Head],
    ) -> None:
        writer.executemany(
            _MOVE_HEAD,
            [
                (head.seq, head.hash, head.position, epoch_no, stream.value)
                for stream, head in after.items()
                if head is not before[stream]
            ],
        )

    def _begin_epoch(self, writer: sqlite3.Connection, now: _Kept, why: str) -> None:
        epoch_no, epoch, utc = now.epoch_no + 1, self._new_id(), self._utc()
        writer.execute("INSERT INTO epochs VALUES (?, ?, ?, ?)", (epoch_no, epoch, utc, why))
        writer.executemany(
            "INSERT INTO heads VALUES (?, ?, 0, ?, 0, 0, ?, 0, NULL, 0, ?, 0, 0, 0)",
            [(epoch_no, stream.value, GENESIS, GENESIS, GENESIS) for stream in STREAMS],
        )
        first = seal(
            FactDraft(
                event_id=self._new_id(),
                stream=Stream.ALARM,
                time=utc,
                boot_id=self._boot_id,
                uncertainty_ms=-1,
                data=EpochBegan(
                    why=why,
                    old_epoch=now.epoch,
                    old_heads={stream.value: f"{head.seq}:{head.hash}" for stream, head in now.heads.items()},
                ),
            ),
            device=self._device,
            epoch=epoch,
            seq=1,
            position=now.position + 1,
            prev=GENESIS,
        )
        fresh = dict.fromkeys(STREAMS, _EMPTY)
        heads = dict(fresh)
        heads[Stream.ALARM] = replace(_EMPTY, seq=1, hash=first.hash, position=first.position)
        writer.execute(_INSERT_FACT, _row_of(first_place(epoch_no, Stream.ALARM) + 1, first))
        self._move_heads(writer, epoch_no, fresh, heads)
        writer.execute(
            "UPDATE heads SET issuing_from = acked + 1, issuing_to = max(acked, dropped_seq) "
            "WHERE epoch_no < ? AND max(acked, dropped_seq) + 1 < coalesce(reissued_from, seq + 1)",
            (epoch_no,),
        )
        writer.execute(
            "UPDATE heads SET reissued_from = min(coalesce(reissued_from, seq + 1), acked + 1) "
            "WHERE epoch_no < ? AND issuing_from = 0",
            (epoch_no,),
        )
        self._issue(writer, epoch_no, epoch, heads, first.position, FACTS_ISSUED_AT_ONCE)

    def _issue(
        self,
        writer: sqlite3.Connection,
        epoch_no: int,
        epoch: str,
        heads: dict[Stream, _Head],
        position: int,
        most: int,
    ) -> None:
        """Issue again, in the current epoch, the next of what older ones owe: at most `most`."""
        before, after = heads, dict(heads)
        reached: dict[tuple[int, Stream], int] = {}
        ranges = writer.execute(_STILL_OWED).fetchall()

        def again(owed: _Owed) -> Iterator[tuple[Any, ...]]:
            nonlocal position
            for _position, stream, old_no, row in owed:
                head = after[stream]
                position += 1
                body = _issued_again(row[7], epoch=epoch, seq=head.seq + 1, position=position, prev=head.hash)
                after[stream] = replace(head, seq=head.seq + 1, hash=hash_of(body), position=position)
                reached[old_no, stream] = row[0] - first_place(old_no, stream)
                place = first_place(epoch_no, stream) + head.seq + 1
                yield (place, position, *row[2:6], after[stream].hash, body)

        # Read on a connection of its own: cursors open on the table being filled would cost each insert dear.
        with closing(self._open_reader()) as reader:
            rows = islice(again(self._owed(reader, ranges)), most)
            while some := sorted(islice(rows, FACTS_ISSUED_AT_ONCE)):
                writer.executemany(_INSERT_FACT, some)
        self._move_heads(writer, epoch_no, before, after)
        writer.executemany(
            "UPDATE heads SET issuing_to = ? WHERE epoch_no = ? AND stream = ?",
            [(seq, old_no, stream.value) for (old_no, stream), seq in reached.items()],
        )
        writer.execute(_ISSUED)

    @staticmethod
    def _owed(reader: sqlite3.Connection, ranges: Sequence[tuple[int, str, int, int]]) -> _Owed:
        """Facts of these ranges in device-wide order."""

        def rows(epoch_no: int, stream: Stream, first: int, last: int) -> _Owed:
            base = first_place(epoch_no, stream)
            for row in reader.execute(_FACTS_BETWEEN, (base + first, base + last)):
                yield row[1], stream, epoch_no, row

        return heapq.merge(
            *(
                rows(epoch_no, Stream(stream), first, last)
                for epoch_no, stream, first, last in ranges
                if first <= last
            ),
            key=lambda owed: owed[0],
        )

    @staticmethod
    def _drop(writer: sqlite3.Connection, epoch_no: int, stream: Stream, dropped: int, last: int) -> int:
        base = first_place(epoch_no, stream)
        if last <= dropped:
            return 0
        hash_, position = writer.execute(
            "SELECT hash, position FROM facts WHERE place = ?", (base + last,)
        ).fetchone()
        gone = writer.execute(
            "DELETE FROM facts WHERE place BETWEEN ? AND ?", (base + dropped + 1, base + last)
        ).rowcount
        writer.execute(
            "UPDATE heads SET dropped_seq = ?, dropped_hash = ?, dropped_position = ? "
            "WHERE epoch_no = ? AND stream = ?",
            (last, hash_, position, epoch_no, stream.value),
        )
        return int(gone)

    # --- acknowledgements ---------------------------------------------------------------------------------

    def _hash_at(self, epoch_no: int, stream: Stream, head: _Head, seq: int) -> str | None:
        """Our row's hash; None where retention let go of it: what follows cannot be sent in this epoch."""
        if seq == head.seq:
            return head.hash
        if seq == head.dropped_seq:
            return head.dropped_hash
        row = self._read_one("SELECT hash FROM facts WHERE place = ?", (first_place(epoch_no, stream) + seq,))
        value: str | None = None if row is None else row[0]
        return value

    def _believe(self, now: _Kept, stream: Stream, head: _Head) -> None:
        """Not synced: a power cut may take an acknowledgement back, and then its facts are sent once more;
        what is committed after it is synced with it. The lane never waits for a disk on the hub's account.
        """
        known = now.heads[stream]
        if (head.acked, head.acked_hash) != (known.acked, known.acked_hash):
            with self._unsynced_transaction() as noter:
                noter.execute(
                    _ACKED,
                    (head.acked, head.acked_hash, head.ack_counter, now.epoch_no, stream.value),
                )
        # A counter that says nothing new stays in memory: an older one can only say the same again.
        self._settle(replace(now, heads={**now.heads, stream: head}))

    def _note_older_epoch(
        self, now: _Kept, epoch: str, stream: Stream, counter: int, contiguous: int, hash_: str
    ) -> None:
        """A newer word on an epoch we left: what it has need not be issued again."""
        row = self._read_one(
            "SELECT epoch_no, seq, hash, dropped_seq, dropped_hash FROM heads JOIN epochs USING (epoch_no) "
            "WHERE epoch = ? AND stream = ? AND ack_counter < ? AND acked <> ?",
            (epoch, stream.value, counter, contiguous),
        )
        if row is None or not 0 <= contiguous <= row[1]:
            return
        head = replace(_EMPTY, seq=row[1], hash=row[2], dropped_seq=row[3], dropped_hash=row[4])
        if self._hash_at(row[0], stream, head, contiguous) != hash_:
            return
        with self._unsynced_transaction() as noter:
            noter.execute(
                _ACKED,
                (contiguous, hash_, counter, row[0], stream.value),
            )
            # In the middle of issuing again: what is passed over was not issued, and is owed if this word
            # should become void (another archive).
            noter.execute(
                "UPDATE heads SET issuing_from = ? WHERE epoch_no = ? AND stream = ? "
                "AND issuing_from > 0 AND issuing_to < ?",
                (contiguous + 1, row[0], stream.value, contiguous),
            )
            noter.execute(_ISSUED)
        self._settle(self._load())

    def _older_epochs_owe(self, epoch_no: int) -> bool:
        row = self._read_one(
            "SELECT 1 FROM heads WHERE epoch_no < ? AND issuing_from = 0 "
            "AND max(acked, dropped_seq) + 1 < reissued_from LIMIT 1",
            (epoch_no,),
        )
        return row is not None

    # --- reading ------------------------------------------------------------------------------------------

    def _read_one(self, sql: str, parameters: tuple[object, ...]) -> tuple[Any, ...] | None:
        rows = self._read_all(sql, parameters)
        return rows[0] if rows else None

    def _read_all(self, sql: str, parameters: tuple[object, ...]) -> list[tuple[Any, ...]]:
        with self._reading:
            try:
                return self._reader_or_refuse().execute(sql, parameters).fetchall()
            except sqlite3.Error as error:
                raise refused(self._path, JOURNAL, error) from error

    def _shut(self) -> None:
        with self._reading:
            if self._reader is not None:
                self._reader.close()
                self._reader = None
        if self._noter is not None:
            self._noter.close()
            self._noter = None
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._kept = None
        self._lock.release()


class _Transaction:
    """BEGIN IMMEDIATE … COMMIT; whatever goes wrong undoes all of it and says which of our errors it is."""

    __slots__ = ("_journal", "_writer")

    def __init__(self, journal: Journal, writer: sqlite3.Connection) -> None:
        self._journal = journal
        self._writer = writer

    def __enter__(self) -> sqlite3.Connection:
        try:
            self._writer.execute("BEGIN IMMEDIATE")
        except BaseException as error:
            self._fail(error)
            raise
        return self._writer

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            self._fail(error)
            return
        try:
            self._writer.execute("COMMIT")
        except BaseException as failed:
            self._fail(failed)
            raise

    def _fail(self, error: BaseException) -> None:
        told = self._journal._failed(self._writer, error)  # noqa: SLF001  the journal's own other half
        if told is not None:
            raise told from error


def _why_not_the_same(now: _Kept, remembered: Remembered | None) -> str | None:
    """Whether this file is the one that was last open here, by the lock file beside it (G4)."""
    if remembered is None:
        return "store copied: no lock file remembers it"
    if remembered.store_id != now.store_id:
        return f"store copied: the lock file remembers store {remembered.store_id}"
    if remembered.opens > now.opens or remembered.position > now.position:
        return (
            f"store restored: it was opened {remembered.opens} times and stood at position "
            f"{remembered.position}, this file at {now.opens} and {now.position}"
        )
    return None


def _rows_of(heads: Mapping[Stream, _Head]) -> dict[Stream, StreamHeadRow]:
    return {stream: StreamHeadRow(head.seq, head.hash) for stream, head in heads.items()}


def _row_of(place: int, fact: Fact) -> tuple[object, ...]:
    return (place, fact.position, fact.event_id, fact.kind, fact.passage, fact.time, fact.hash, fact.body)


def _fact_of(row: tuple[Any, ...], device: str, epoch: str, stream: Stream, seq: int) -> Fact:
    _place, position, event_id, kind, passage, time, hash_, body = row
    return Fact(device, epoch, stream, seq, position, event_id, kind, passage, time, hash_, body)


def _use_of(row: tuple[Any, ...]) -> SlipUse:
    use_id, slip_no, passage, claim_id, state = row
    return SlipUse(use_id, SlipNo(slip_no), passage, claim_id, UseState(state))


def _by_passage(use: SlipUse) -> tuple[int, str]:
    return use.passage, use.use_id


def _some_of(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    return (keys[begin : begin + _KEYS_AT_ONCE] for begin in range(0, len(keys), _KEYS_AT_ONCE))


def _places(keys: Sequence[str]) -> str:
    return ",".join("?" * len(keys))


_envelope = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _issued_again(body: str, *, epoch: str, seq: int, position: int, prev: str) -> str:
    """The same fact in another place: what it says stays byte for byte, known to this version or not."""
    envelope: dict[str, object] = dict(_envelope.decode(body))
    envelope |= {"epoch": epoch, "seq": seq, "position": position, "prev": prev}
    return msgspec.json.encode(envelope).decode()
