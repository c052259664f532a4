"""The hub's archive: facts, claims, records and their log, in one SQLite file or in a PostgreSQL database.
With `engine*` the only SQL of the hub.

What is committed here is on the disk; an acknowledgement is made only after the commit. No MQTT, no clock,
no signature enters: times come in as UTC text, verified values as arguments. Statements are written in the
subset that `engine` names, so that both engines run the same.

An archive put back from a backup is noticed when it is opened: it gets a new `archive_id` and every scope a
new epoch (G4), so that nobody mistakes old numbers for new ones. How it is noticed, each engine says.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import secrets
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self, assert_never

import msgspec

from sync.hub.engine import STORAGE_ERRORS as STORAGE_ERRORS
from sync.hub.engine import ArchiveRefused as ArchiveRefused
from sync.hub.engine import ArchiveTaken as ArchiveTaken
from sync.hub.engine import Engine, NewId, meta, set_meta
from sync.hub.engine_postgres import PostgresEngine, PostgresPlace
from sync.hub.engine_sqlite import SqliteEngine
from sync.link.messages import Signed
from sync.policy.digests import BUCKETS, MODULUS, from_hex, move_of, to_hex
from sync.vocabulary.blobs import CLASSES, BlobClass
from sync.vocabulary.codec import Malformed, decoder
from sync.vocabulary.facts import GENESIS, Fact, Stream

Place = Path | PostgresPlace
"""Where an archive is: a file of the embedded engine, or a database."""


def place_text(place: Place) -> str:
    """A place as text that `place_of` reads, to hand to another process. Holds no secret."""
    if isinstance(place, Path):
        return f"sqlite:{place}"
    fields = ((name, getattr(place, name)) for name in place.__slots__)
    return "postgresql:" + json.dumps({k: str(v) if isinstance(v, Path) else v for k, v in fields})


def place_of(text: str) -> Place:
    engine, _, rest = text.partition(":")
    if engine == "sqlite":
        return Path(rest)
    fields: dict[str, Any] = json.loads(rest)
    for name in ("password_file", "ca_file", "witness_file"):
        fields[name] = None if fields[name] is None else Path(fields[name])
    return PostgresPlace(**fields)


def _new_id() -> str:
    return secrets.token_hex(16)


MAX_DETAIL = 600
"""Characters of an alarm's detail. It stands in an index, and PostgreSQL takes no entry there beyond 2,704
bytes: what names longer ones could never be stored, nor the fact it is about."""

KEYS_OF = "keys of "
WORD_OF = "word of "
"""In `meta`, before a device's name."""


class Enrolled(NamedTuple):
    public_pem: str
    revoked: bool
    statements: str = ""
    """Of its signing key, where that was replaced since it was pinned (`sync.link.trust`)."""


class Run(NamedTuple):
    """Stored facts `first`..`last` of one stream, chained to one another."""

    first: int
    last: int
    first_prev: str
    last_hash: str


class StreamState(NamedTuple):
    """`contiguous` facts from 1 are stored and chained; `beyond` are stored runs that do not connect yet.

    `branched` is the lowest number under which another fact came than is stored; 0 for none.
    """

    contiguous: int
    head_hash: str
    beyond: tuple[Run, ...]
    branched: int = 0

    def last_seq(self) -> int:
        return self.beyond[-1].last if self.beyond else self.contiguous

    def missing(self, limit: int) -> tuple[tuple[int, int], ...]:
        """Gaps below what is stored, first and last number of each, lowest first."""
        ranges: list[tuple[int, int]] = []
        before = self.contiguous
        for run in self.beyond:
            if run.first > before + 1:
                ranges.append((before + 1, run.first - 1))
                if len(ranges) == limit:
                    break
            before = run.last
        return tuple(ranges)


class Scope(NamedTuple):
    scope: str
    epoch: str
    number: int
    rows: int
    digest: str
    head_issued: str


class LogRow(NamedTuple):
    number: int
    collection: str
    key: str
    op: str
    body: str


class Version(NamedTuple):
    """One version of a record: an entry of its scope's log."""

    epoch: str
    number: int
    op: str
    body: str
    """Empty where it was deleted."""
    at_utc: str


class RecordChange(NamedTuple):
    """One wanted state of a record: its exact JSON, or None where it shall be gone."""

    collection: str
    key: str
    body: str | None


class Applied(NamedTuple):
    """What a set of changes came to: entries written, rows that were already so, the scope's last number."""

    put: int
    deleted: int
    unchanged: int
    number: int


class Epoch(NamedTuple):
    epoch: str
    announced: bool
    old_epoch: str
    old_heads: dict[str, str]
    first_utc: str


class ClaimRow(NamedTuple):
    device: str
    passage: int
    plate: str
    verdict: str
    why: str
    slip_nos: tuple[str, ...]


class OpenGrant(NamedTuple):
    """A claim that was granted and has not ended: its slips wait for a crossing, a return, or an officer."""

    claim_id: str
    device: str
    passage: int
    plate: str
    asked_utc: str
    slip_nos: tuple[str, ...]


class UseTold(NamedTuple):
    """What a ruling says of a use it reserved."""

    slip_no: str
    passage: int
    claim_id: str
    """The grant it stands on; empty where the written policy or an officer decided."""


class OpenUse(NamedTuple):
    """A use that a ruling reserved without a grant that is known here, and that has not ended."""

    device: str
    use_id: str
    slip_no: str
    passage: int
    claim_id: str
    told_utc: str


class CommandRow(NamedTuple):
    """A command as it was given, and how far it got (`sync.vocabulary.commands`)."""

    command_id: str
    device: str
    kind: str
    body: str
    """The act's JSON."""
    officers: tuple[str, ...]
    reason: str
    given_utc: str
    good_until_utc: str
    state: str
    why: str = ""
    nonce: str = ""
    """Under which it was said last."""
    sent_utc: str = ""
    times: int = 0
    answered_utc: str = ""


class CentreAct(NamedTuple):
    """What somebody did at the centre itself."""

    at_utc: str
    act: str
    subject: str
    officers: tuple[str, ...]
    reason: str
    detail: str


class OrderStep(NamedTuple):
    """What a fact said about an inspection order."""

    order_no: str
    step: str
    """`taken`, `inspected`, `found`."""
    device: str
    event_id: str
    officers: tuple[str, ...]
    time: str
    detail: str


class LaneWord(NamedTuple):
    """Which of a lane's facts about its passages is the latest that was heeded."""

    epoch: str
    position: int
    time: str


class CrossedUse(NamedTuple):
    """A slip use whose vehicle crossed, as its facts tell it."""

    device: str
    use_id: str
    slip_no: str
    passage: int


class BlobRow(NamedTuple):
    """A blob that a fact names: `missing`, `stored` or `dropped`."""

    sha256: str
    device: str
    size_bytes: int
    blob_class: str
    state: str
    named_utc: str
    stored_utc: str


_BLOBS = "SELECT sha256, device, size_bytes, class, state, named_utc, stored_utc FROM blobs"


class KeptFact(NamedTuple):
    """A fact as its row has it."""

    seq: int
    position: int
    event_id: str
    kind: str
    passage: int | None
    time: str
    hash: str
    body: str


class ReceiptRow(NamedTuple):
    """A passage receipt: `made` (only here), `ready` (whole on the disk beside the out-folder), `out`."""

    id: int
    device: str
    use_id: str
    slip_no: str
    gate: str
    passed_at: str
    file_name: str
    body: str
    state: str


class UseEnd(NamedTuple):
    """What a fact says of the end of a use or a claim: `crossed` or `returned`."""

    claim_id: str
    passage: int
    state: str
    position: int


class UseCount(NamedTuple):
    """Of one slip: uses given out or taken, and of these the ones whose vehicle crossed."""

    taken: int
    crossed: tuple[str, ...]
    """`device/passage` of each crossing, sorted."""


class _Prev(msgspec.Struct):
    prev: str = ""


_read_prev = decoder(_Prev)

_GRANT_OF_USE = (
    "SELECT 1 FROM claim_slips s JOIN claims c USING (claim_id) "
    "WHERE s.claim_id = u.claim_id AND s.slip_no = u.slip_no AND c.device = u.device"
)

_SHELF = 64
"""Bucket sums to a row of `bucket_sums`."""
_SUM_DIGITS = 32


class Archive:
    """One connection, one thread. Every write happens inside `transaction()`."""

    def __init__(self, db: Engine) -> None:
        """Use `open`."""
        self._db = db
        self._written = False
        self.archive_id = meta(db, "archive_id") or ""

    # --- opening ------------------------------------------------------------------------------------------

    @classmethod
    def open(
        cls,
        place: Path | PostgresPlace,
        *,
        own: bool = False,
        busy_timeout_s: float = 30.0,
        new_id: NewId = _new_id,
    ) -> Self:
        """Open or make the archive. `own=True` is the hub itself; importers and readers come without.

        Raises `ArchiveRefused`.
        """
        match place:
            case Path():
                return cls(SqliteEngine.open(place, own=own, busy_timeout_s=busy_timeout_s, new_id=new_id))
            case PostgresPlace():
                return cls(PostgresEngine.open(place, own=own, new_id=new_id))
            case _:
                assert_never(place)

    @property
    def place(self) -> str:
        """The file, or the database and where it is: for messages."""
        return self._db.place

    @property
    def engine(self) -> Engine:
        """For rooms of the hub with tables of their own; writes inside `transaction()` all the same."""
        return self._db

    def close(self) -> None:
        self._db.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, durable when the block ended. Raises `ArchiveTaken` or one of `STORAGE_ERRORS`.

        Inside another one it is all or nothing by itself, and durable when the outermost block ended.
        """
        if self._db.begun():
            yield from self._part()
            return
        self._db.execute(self._db.begin)
        try:
            self._db.check()
            yield
            self._db.execute("COMMIT")
            self._written = True
        except BaseException:
            if self._db.begun():
                self._db.execute("ROLLBACK")
            raise

    def intact(self) -> bool:
        """Whether a transaction is open and could still be committed."""
        return self._db.intact()

    def renew_token(self, new_id: NewId = _new_id) -> bool:
        """Write a fresh token if anything was written since the last, here or by another: a backup made
        before is known as one from now on. Only for a hub that owns the archive."""
        if not self._db.renew_token(new_id, written=self._written):
            return False
        self._written = False
        return True

    def _part(self) -> Iterator[None]:
        self._db.execute("SAVEPOINT part")
        try:
            yield
        except BaseException:
            # A full disk may have ended the whole transaction already; then there is nothing to go back to.
            if self._db.begun():
                self._db.execute("ROLLBACK TO part")
                self._db.execute("RELEASE part")
            raise
        self._db.execute("RELEASE part")

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """All reads inside see the same moment."""
        self._db.execute(self._db.begin_snapshot)
        try:
            yield
        finally:
            if self._db.begun():
                self._db.execute("ROLLBACK")

    # --- several workers on one archive -------------------------------------------------------------------

    def hold_duties(self) -> bool:
        """Whether this worker is the one that publishes the feed, heads and births and gives out receipts:
        one at a time, another when it is gone. Ask before each round of them."""
        return self._db.hold_duties()

    @property
    def shared(self) -> bool:
        """Whether other workers write too: what is kept in memory is compared before it decides."""
        return self._db.many_writers

    def lock_devices(self, devices: Iterable[str]) -> None:
        """Until the transaction ends nobody else stores, claims or acknowledges for these devices. Once a
        transaction, all at once, before anything is read that decides."""
        wanted = sorted(set(devices))
        if wanted and self._db.many_writers:
            sql = f"SELECT 1 FROM devices WHERE device IN ({_places(wanted)}) ORDER BY device"  # noqa: S608  only question marks are put in
            self._db.execute(self._db.locking(sql), wanted).fetchall()

    def counters(self, devices: Iterable[str]) -> dict[str, int]:
        """The acknowledgement counter of each device; whatever changed in one of its streams moved it."""
        wanted = sorted(set(devices))
        if not wanted:
            return {}
        sql = f"SELECT device, max(counter) FROM streams WHERE device IN ({_places(wanted)}) GROUP BY device"  # noqa: S608  only question marks are put in
        return dict.fromkeys(wanted, 0) | dict(self._db.execute(sql, wanted).fetchall())

    def lock_slips(self, slip_nos: Iterable[str]) -> None:
        """Until the transaction ends nobody else decides on uses of these slips."""
        if self._db.many_writers:
            self._db.executemany(
                "INSERT INTO slip_locks (slip_no) VALUES (?) "
                "ON CONFLICT (slip_no) DO UPDATE SET slip_no = excluded.slip_no",
                [(slip_no,) for slip_no in sorted(set(slip_nos))],
            )

    # --- devices ------------------------------------------------------------------------------------------

    def enrol(self, device: str, public_pem: str) -> None:
        """Pin a device's public key. A revoked device stays revoked."""
        self._db.execute(
            "INSERT INTO devices VALUES (?, ?, 0) "
            "ON CONFLICT (device) DO UPDATE SET public_pem = excluded.public_pem",
            (device, public_pem),
        )

    def revoke(self, device: str) -> bool:
        """From the next message on nothing of this device is taken. False where it is not enrolled."""
        return self._db.execute("UPDATE devices SET revoked = 1 WHERE device = ?", (device,)).rowcount == 1

    def allow_scopes(self, device: str, scopes: Collection[str]) -> None:
        """The scopes a device may pull from now on; none: every scope. Inside `transaction()`."""
        self._db.execute("DELETE FROM device_scopes WHERE device = ?", (device,))
        self._db.executemany(
            "INSERT INTO device_scopes VALUES (?, ?)", [(device, scope) for scope in sorted(set(scopes))]
        )

    def may_pull(self, device: str, scope: str) -> bool:
        allowed = self._db.execute("SELECT scope FROM device_scopes WHERE device = ?", (device,)).fetchall()
        return not allowed or scope in {row[0] for row in allowed}

    def enrolled(self, device: str) -> Enrolled | None:
        row = self._db.execute(
            "SELECT public_pem, revoked, value FROM devices LEFT JOIN meta ON key = ? WHERE device = ?",
            (KEYS_OF + device, device),
        ).fetchone()
        return None if row is None else Enrolled(row[0], bool(row[1]), row[2] or "")

    def keep_statements(self, device: str, statements: str) -> None:
        """Of a device's signing key (`sync.link.trust`), the whole chain."""
        set_meta(self._db, KEYS_OF + device, statements)

    def devices(self) -> tuple[str, ...]:
        return tuple(
            row[0] for row in self._db.execute("SELECT device FROM devices WHERE revoked = 0 ORDER BY 1")
        )

    # --- facts --------------------------------------------------------------------------------------------

    def stream_state(self, device: str, epoch: str, stream: Stream) -> StreamState:
        """As stored. Reads every row beyond the contiguous part once, so keep the answer."""
        key = (device, epoch, stream.value)
        row = self._db.execute(
            "SELECT contiguous, head_hash FROM streams WHERE device = ? AND epoch = ? AND stream = ?", key
        ).fetchone()
        state = StreamState(0, GENESIS, ()) if row is None else StreamState(row[0], row[1], ())
        runs: list[Run] = []
        for seq, fact_hash, body in self._db.execute(
            "SELECT seq, hash, body FROM facts "
            "WHERE device = ? AND epoch = ? AND stream = ? AND seq > ? ORDER BY seq",
            (*key, state.contiguous),
        ):
            prev = _prev_of(body)
            if runs and runs[-1].last == seq - 1 and runs[-1].last_hash == prev:
                runs[-1] = runs[-1]._replace(last=seq, last_hash=fact_hash)
            else:
                runs.append(Run(seq, seq, prev, fact_hash))
        (branched,) = self._db.execute(
            "SELECT coalesce(min(seq), 0) FROM branches WHERE device = ? AND epoch = ? AND stream = ?", key
        ).fetchone()
        return state._replace(beyond=tuple(runs), branched=branched)

    def fact_hashes(self, device: str, epoch: str, stream: str, first: int, last: int) -> dict[int, str]:
        rows = self._db.execute(
            "SELECT seq, hash FROM facts "
            "WHERE device = ? AND epoch = ? AND stream = ? AND seq BETWEEN ? AND ?",
            (device, epoch, stream, first, last),
        )
        return dict(rows.fetchall())

    def last_fact(self, device: str, epoch: str, stream: str) -> int:
        row = self._db.execute(
            "SELECT max(seq) FROM facts WHERE device = ? AND epoch = ? AND stream = ?",
            (device, epoch, stream),
        ).fetchone()
        return row[0] or 0

    def add_facts(self, facts: Iterable[Fact], stored_utc: str) -> None:
        self._db.fill(
            "facts",
            [
                (
                    f.device,
                    f.epoch,
                    str(f.stream),
                    f.seq,
                    f.position,
                    f.event_id,
                    f.kind,
                    f.passage,
                    f.time,
                    f.hash,
                    f.body,
                    stored_utc,
                )
                for f in facts
            ],
        )

    def add_branches(self, facts: Iterable[Fact], stored_utc: str) -> int:
        """How many of them were not stored before."""
        return self._db.executemany(
            "INSERT INTO branches VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            [
                (f.device, f.epoch, f.stream.value, f.seq, f.hash, f.event_id, f.body, stored_utc)
                for f in facts
            ],
        ).rowcount

    def set_stream(self, device: str, epoch: str, stream: Stream, state: StreamState, counter: int) -> None:
        self._db.execute(
            "INSERT INTO streams VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (device, epoch, stream) DO UPDATE SET "
            "contiguous = excluded.contiguous, head_hash = excluded.head_hash, counter = excluded.counter",
            (device, epoch, stream.value, state.contiguous, state.head_hash, counter),
        )

    def counter(self, device: str) -> int:
        row = self._db.execute("SELECT max(counter) FROM streams WHERE device = ?", (device,)).fetchone()
        return row[0] or 0

    def streams_of_interest(self, device: str, epochs: int) -> tuple[tuple[str, Stream], ...]:
        """Streams of the device's newest `epochs` epochs, older epochs first."""
        rows = self._db.execute(
            "SELECT s.epoch, s.stream FROM streams s JOIN (SELECT epoch, ordinal FROM epochs"
            " WHERE device = :device ORDER BY ordinal DESC LIMIT :epochs) e USING (epoch)"
            " WHERE s.device = :device ORDER BY e.ordinal, s.stream",
            {"device": device, "epochs": epochs},
        )
        return tuple((epoch, Stream(stream)) for epoch, stream in rows)

    def add_checkpoint(
        self, device: str, epoch: str, position: int, body: str, kid: str, sig: str, stored_utc: str
    ) -> None:
        self._db.execute(
            "INSERT INTO checkpoints VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (device, epoch, position, body, kid, sig, stored_utc),
        )

    # --- blobs --------------------------------------------------------------------------------------------

    def name_blob(self, fact: Fact, sha256: str, size_bytes: int, at_utc: str) -> None:
        """A fact that is stored here names this blob."""
        self._db.execute(
            "INSERT INTO blob_names VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (sha256, fact.device, fact.epoch, fact.stream.value, fact.seq, fact.passage, size_bytes),
        )
        self._db.execute(
            "INSERT INTO blobs VALUES (?, ?, ?, ?, 'missing', ?, '') ON CONFLICT DO NOTHING",
            (sha256, fact.device, size_bytes, BlobClass.ROUTINE.value, at_utc),
        )

    def names_blob(self, device: str, sha256: str, size_bytes: int) -> bool:
        """Whether a fact of this device names a blob of this size."""
        row = self._db.execute(
            "SELECT 1 FROM blob_names WHERE sha256 = ? AND device = ? AND size_bytes = ? LIMIT 1",
            (sha256, device, size_bytes),
        ).fetchone()
        return row is not None

    def raise_blob_class(self, sha256: str, blob_class: str) -> None:
        self._db.execute("UPDATE blobs SET class = ? WHERE sha256 = ?", (blob_class, sha256))

    def blob_state(self, sha256: str) -> str:
        """Empty where no fact names it."""
        row = self._db.execute("SELECT state FROM blobs WHERE sha256 = ?", (sha256,)).fetchone()
        return "" if row is None else str(row[0])

    def store_blob(self, sha256: str, stored_utc: str) -> None:
        self._db.execute(
            "UPDATE blobs SET state = 'stored', stored_utc = ? WHERE sha256 = ?", (stored_utc, sha256)
        )

    def blob_stored_last(self) -> str:
        """When the last one came; empty before there is any."""
        found = (
            self._db.execute(
                "SELECT max(stored_utc) FROM blobs WHERE state = 'stored' AND class = ?", (each.value,)
            ).fetchone()
            for each in CLASSES
        )
        return max((str(row[0]) for row in found if row[0] is not None), default="")

    def blob_bytes(self, device: str) -> int:
        """Bytes stored for a device; of all with an empty name."""
        row = self._db.execute(
            "SELECT coalesce(sum(size_bytes), 0) FROM blobs "
            "WHERE state = 'stored' AND (device = ? OR CAST(? AS TEXT) = '')",
            (device, device),
        ).fetchone()
        return int(row[0])

    def old_blobs(self, blob_class: str, before_utc: str, limit: int) -> tuple[str, ...]:
        rows = self._db.execute(
            "SELECT sha256 FROM blobs WHERE state = 'stored' AND class = ? AND stored_utc < ? "
            "ORDER BY stored_utc LIMIT ?",
            (blob_class, before_utc, limit),
        )
        return tuple(row[0] for row in rows)

    def drop_blobs(self, sha256s: Sequence[str]) -> None:
        self._db.executemany(
            "UPDATE blobs SET state = 'dropped' WHERE sha256 = ?", [(sha256,) for sha256 in sha256s]
        )

    def missing_blobs(self, before_utc: str, limit: int, device: str = "") -> tuple[BlobRow, ...]:
        """Blobs that facts named before then and that have not come, the oldest first."""
        rows = self._db.execute(
            f"{_BLOBS} WHERE state = 'missing' AND named_utc < ? AND (device = ? OR CAST(? AS TEXT) = '') "
            "ORDER BY named_utc, sha256 LIMIT ?",
            (before_utc, device, device, limit),
        )
        return tuple(BlobRow(*row) for row in rows)

    def blobs_of_passage(self, device: str, passage: int) -> tuple[BlobRow, ...]:
        rows = self._db.execute(
            "SELECT DISTINCT b.sha256, b.device, b.size_bytes, b.class, b.state, b.named_utc, b.stored_utc "
            "FROM blobs b JOIN blob_names n ON n.sha256 = b.sha256 WHERE n.device = ? AND n.passage = ? "
            "ORDER BY b.named_utc, b.sha256",
            (device, passage),
        )
        return tuple(BlobRow(*row) for row in rows)

    def blob_counts(self) -> tuple[tuple[str, str, str, int, int], ...]:
        """Device, class, state, how many and how many bytes."""
        return tuple(
            self._db.execute(
                "SELECT device, class, state, count(*), sum(size_bytes) FROM blobs "
                "GROUP BY device, class, state ORDER BY device, class, state"
            ).fetchall()
        )

    # --- epochs -------------------------------------------------------------------------------------------

    def epoch(self, device: str, epoch: str) -> Epoch | None:
        row = self._db.execute(
            "SELECT epoch, announced, old_epoch, old_heads, first_utc FROM epochs "
            "WHERE device = ? AND epoch = ?",
            (device, epoch),
        ).fetchone()
        return None if row is None else Epoch(row[0], bool(row[1]), row[2], json.loads(row[3]), row[4])

    def successors(self, device: str, epoch: str) -> tuple[Epoch, ...]:
        """Epochs of the device that name this one as the one they left."""
        rows = self._db.execute(
            "SELECT epoch, announced, old_epoch, old_heads, first_utc FROM epochs "
            "WHERE device = ? AND old_epoch = ?",
            (device, epoch),
        )
        return tuple(Epoch(row[0], bool(row[1]), row[2], json.loads(row[3]), row[4]) for row in rows)

    def note_epoch(self, device: str, epoch: str, first_utc: str) -> None:
        self._db.execute(
            "INSERT INTO epochs (device, epoch, announced, old_epoch, old_heads, why, first_utc) "
            "VALUES (?, ?, 0, '', '{}', '', ?) ON CONFLICT DO NOTHING",
            (device, epoch, first_utc),
        )

    def announce_epoch(
        self, device: str, epoch: str, old_epoch: str, old_heads: dict[str, str], why: str
    ) -> None:
        self._db.execute(
            "UPDATE epochs SET announced = 1, old_epoch = ?, old_heads = ?, why = ? "
            "WHERE device = ? AND epoch = ?",
            (old_epoch, json.dumps(old_heads, sort_keys=True), why, device, epoch),
        )

    def unannounced_epochs(self) -> tuple[tuple[str, str, str], ...]:
        """Device, epoch and when it was first seen."""
        return tuple(
            self._db.execute("SELECT device, epoch, first_utc FROM epochs WHERE announced = 0").fetchall()
        )

    # --- alarms, parked, statuses -------------------------------------------------------------------------

    def add_alarm(self, at_utc: str, device: str, code: str, detail: str) -> None:
        self._db.execute(
            "INSERT INTO hub_alarms (at_utc, device, code, detail) VALUES (?, ?, ?, ?)",
            (at_utc, device, code, detail[:MAX_DETAIL]),
        )

    def add_alarm_once(self, at_utc: str, device: str, code: str, detail: str) -> None:
        """The same finding about the same thing is one alarm, however often it is met again."""
        self._db.execute(
            "INSERT INTO hub_alarms (at_utc, device, code, detail) SELECT :at, :device, :code, :detail "
            "WHERE NOT EXISTS (SELECT 1 FROM hub_alarms"
            " WHERE code = :code AND device = :device AND detail = :detail)",
            {"at": at_utc, "device": device, "code": code, "detail": detail[:MAX_DETAIL]},
        )

    def alarms(self, limit: int, code: str = "") -> tuple[tuple[str, str, str, str], ...]:
        """(time, device, code, detail), the latest first; of one code, where one is given."""
        rows = self._db.execute(
            "SELECT at_utc, device, code, detail FROM hub_alarms WHERE (? = '' OR code = ?) "
            "ORDER BY id DESC LIMIT ?",
            (code, code, limit),
        )
        return tuple((at_utc, device, each, detail) for at_utc, device, each, detail in rows)

    def park(self, topic: str, payload: bytes, why: str, stored_utc: str) -> None:
        self._db.execute(
            "INSERT INTO parked (topic, payload, why, stored_utc) VALUES (?, ?, ?, ?)",
            (topic, payload, why, stored_utc),
        )

    def trim_parked(self, why_prefix: str, keep: int) -> None:
        """Samples of refused messages are bounded; `keep` newest stay. Unreadable facts are never trimmed."""
        self._db.execute(
            "DELETE FROM parked WHERE substr(why, 1, :length) = :prefix AND id <= "
            "(SELECT id FROM parked WHERE substr(why, 1, :length) = :prefix"
            " ORDER BY id DESC LIMIT 1 OFFSET :keep)",
            {"length": len(why_prefix), "prefix": why_prefix, "keep": keep},
        )

    def set_status(self, device: str, body: str, received_utc: str) -> None:
        self._db.execute(
            "INSERT INTO statuses VALUES (?, ?, ?) ON CONFLICT (device) DO UPDATE SET "
            "body = excluded.body, received_utc = excluded.received_utc",
            (device, body, received_utc),
        )

    # --- claims and uses ----------------------------------------------------------------------------------

    def claim(self, claim_id: str) -> ClaimRow | None:
        return self.claims([claim_id]).get(claim_id)

    def claims(self, claim_ids: Iterable[str]) -> dict[str, ClaimRow]:
        """Those of them that are known here."""
        found: dict[str, ClaimRow] = {}
        for some in _some(sorted(set(claim_ids))):
            rows = self._db.execute(
                "SELECT c.claim_id, c.device, c.passage, c.plate, c.verdict, c.why, s.slip_no FROM claims c "  # noqa: S608  only question marks are put in
                f"LEFT JOIN claim_slips s ON s.claim_id = c.claim_id WHERE c.claim_id IN ({_places(some)}) "
                "ORDER BY c.claim_id, s.slip_no",
                some,
            )
            for claim_id, group in itertools.groupby(rows, key=lambda row: row[0]):
                each = list(group)
                slip_nos = tuple(row[6] for row in each if row[6] is not None)
                _, device, passage, plate, verdict, why, _ = each[0]
                found[claim_id] = ClaimRow(device, passage, plate, verdict, why, slip_nos)
        return found

    def add_claim(self, claim_id: str, row: ClaimRow, slip_state: str, asked_utc: str) -> None:
        self._db.execute(
            "INSERT INTO claims VALUES (?, ?, ?, ?, ?, ?, ?)",
            (claim_id, row.device, row.passage, row.plate, row.verdict, row.why, asked_utc),
        )
        self._db.executemany(
            "INSERT INTO claim_slips VALUES (?, ?, ?)",
            [(claim_id, slip, slip_state) for slip in row.slip_nos],
        )

    def claim_end(self, device: str, claim_id: str) -> str | None:
        row = self._db.execute(
            "SELECT state FROM claim_ends WHERE device = ? AND claim_id = ?", (device, claim_id)
        ).fetchone()
        return None if row is None else str(row[0])

    def end_claims(self, device: str, ends: Mapping[str, UseEnd]) -> None:
        """Remember how claims ended and carry it over to their slips; the fact later by position wins."""
        claims = sorted(ends)
        self._db.executemany(
            "INSERT INTO claim_ends VALUES (?, ?, ?, ?) ON CONFLICT (device, claim_id) DO UPDATE SET "
            "state = excluded.state, position = excluded.position "
            "WHERE excluded.position > claim_ends.position",
            [(device, claim_id, ends[claim_id].state, ends[claim_id].position) for claim_id in claims],
        )
        self._db.executemany(
            "UPDATE claim_slips SET state ="
            " (SELECT state FROM claim_ends WHERE device = :device AND claim_id = :claim)"
            " WHERE claim_id = :claim AND EXISTS (SELECT 1 FROM claims c WHERE c.claim_id = :claim AND"
            " c.device = :device AND (c.verdict = 'granted' OR"
            " (SELECT state FROM claim_ends WHERE device = :device AND claim_id = :claim) = 'crossed'))",
            [{"device": device, "claim": claim_id} for claim_id in claims],
        )

    def tell_uses(
        self, device: str, reserved: Mapping[str, UseTold], ends: Mapping[str, UseEnd], at_utc: str
    ) -> set[str]:
        """Of all uses named, the slips of those that are known to have crossed. Of two facts about the end of
        a use the one later by position wins."""
        self._db.executemany(
            "INSERT INTO uses (device, use_id, slip_no, passage, claim_id, told_utc) "
            "VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (device, use_id) DO UPDATE SET slip_no = excluded.slip_no",
            [(device, use_id, *reserved[use_id], at_utc) for use_id in sorted(reserved)],
        )
        self._db.executemany(
            "INSERT INTO uses (device, use_id, claim_id, passage, state, position) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (device, use_id) DO UPDATE SET claim_id = excluded.claim_id, "
            "state = excluded.state, position = excluded.position WHERE excluded.position > uses.position",
            [(device, use_id, *ends[use_id]) for use_id in sorted(ends)],
        )
        crossed: set[str] = set()
        for some in _some(sorted({*reserved, *ends})):
            rows = self._db.execute(
                "SELECT slip_no FROM uses WHERE device = ? AND state = 'crossed' AND slip_no <> '' "  # noqa: S608  only question marks are put in
                f"AND use_id IN ({_places(some)})",
                (device, *some),
            )
            crossed.update(slip_no for (slip_no,) in rows)
        return crossed

    def uses_of(
        self, slip_no: str, among: Callable[[str], bool] = lambda device: True, *, but: str = ""
    ) -> UseCount:
        return self.uses_of_each([slip_no], among, but=but)[slip_no]

    def uses_of_each(
        self,
        slip_nos: Sequence[str],
        among: Callable[[str], bool] = lambda device: True,
        *,
        but: str = "",
    ) -> dict[str, UseCount]:
        """Counted once each: a claim's slip, or a use that facts tell of and that stands on no grant known
        here, reserved or crossed. Only uses of devices of which `among` holds, and none that stands on the
        claim `but`."""
        taken: Counter[str] = Counter()
        crossed: dict[str, list[str]] = {slip_no: [] for slip_no in slip_nos}
        for some in _some(sorted(set(slip_nos))):
            claimed = self._db.execute(
                "SELECT s.slip_no, c.device, c.passage, s.state, c.claim_id "  # noqa: S608  only question marks
                f"FROM claim_slips s JOIN claims c USING (claim_id) WHERE s.slip_no IN ({_places(some)}) "
                "AND s.state IN ('granted', 'crossed')",
                some,
            ).fetchall()
            unclaimed = self._db.execute(
                "SELECT u.slip_no, u.device, u.passage, u.state, u.claim_id FROM uses u "  # noqa: S608  only question marks are put in
                f"WHERE u.slip_no IN ({_places(some)}) AND u.state IN ('', 'crossed') AND NOT EXISTS "
                f"({_GRANT_OF_USE} AND (u.state = 'crossed' OR s.state <> 'refused'))",
                some,
            ).fetchall()
            for slip_no, device, passage, state, claim_id in (*claimed, *unclaimed):
                if among(device) and not (but and claim_id == but):
                    taken[slip_no] += 1
                    if state == "crossed":
                        crossed[slip_no].append(f"{device}/{passage}")
        return {slip_no: UseCount(taken[slip_no], tuple(sorted(crossed[slip_no]))) for slip_no in slip_nos}

    def open_uses(self, before_utc: str = "9999", limit: int = 10_000) -> tuple[OpenUse, ...]:
        """Uses told of before that time, reserved without a grant known here and not ended, the oldest
        first."""
        rows = self._db.execute(
            "SELECT u.device, u.use_id, u.slip_no, u.passage, u.claim_id, u.told_utc FROM uses u "  # noqa: S608  words of ours
            "WHERE u.state = '' AND u.slip_no <> '' AND u.told_utc < ? AND NOT EXISTS "
            f"({_GRANT_OF_USE} AND s.state <> 'refused') ORDER BY u.told_utc, u.device, u.use_id LIMIT ?",
            (before_utc, limit),
        )
        return tuple(OpenUse(*row) for row in rows)

    def return_use(self, device: str, use_id: str) -> OpenUse | None:
        """An officer ends what no fact has ended; None where `open_uses` has no such use. Any fact about its
        end that still comes is later than this, and wins."""
        row = self._db.execute(
            "UPDATE uses AS u SET state = 'returned' WHERE device = ? AND use_id = ? AND state = '' "  # noqa: S608  words of ours
            f"AND slip_no <> '' AND NOT EXISTS ({_GRANT_OF_USE} AND s.state <> 'refused') "
            "RETURNING device, use_id, slip_no, passage, claim_id, told_utc",
            (device, use_id),
        ).fetchone()
        return None if row is None else OpenUse(*row)

    def open_grants(self, before_utc: str = "9999", limit: int = 10_000) -> tuple[OpenGrant, ...]:
        """Claims granted before that time that have not ended, the oldest first."""
        rows = self._db.execute(
            "SELECT c.claim_id, c.device, c.passage, c.plate, c.asked_utc, s.slip_no"
            " FROM claim_slips s JOIN claims c USING (claim_id)"
            " WHERE s.state = 'granted' AND c.asked_utc < ? ORDER BY c.asked_utc, c.claim_id, s.slip_no"
            " LIMIT ?",
            (before_utc, limit),
        ).fetchall()
        grants: list[OpenGrant] = []
        for claim_id, device, passage, plate, asked_utc, slip_no in rows:
            if grants and grants[-1].claim_id == claim_id:
                grants[-1] = grants[-1]._replace(slip_nos=(*grants[-1].slip_nos, slip_no))
            else:
                grants.append(OpenGrant(claim_id, device, passage, plate, asked_utc, (slip_no,)))
        return tuple(grants)

    def return_grant(self, device: str, claim_id: str) -> tuple[str, ...]:
        """An officer ends what no fact has ended: its slips, none where it is not open. Any fact about the
        claim that still comes is later than this, and wins."""
        rows = self._db.execute(
            "UPDATE claim_slips SET state = 'returned' WHERE claim_id = ? AND state = 'granted' "
            "RETURNING slip_no",
            (claim_id,),
        ).fetchall()
        if rows:
            self._db.execute(
                "INSERT INTO claim_ends VALUES (?, ?, 'returned', 0) "
                "ON CONFLICT (device, claim_id) DO NOTHING",
                (device, claim_id),
            )
        return tuple(sorted(slip_no for (slip_no,) in rows))

    # --- commands and what people did ---------------------------------------------------------------------

    def add_command(self, row: CommandRow) -> None:
        self._db.execute(
            "INSERT INTO commands VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            row._replace(officers=json.dumps(row.officers)),  # type: ignore[arg-type]
        )

    def command(self, command_id: str) -> CommandRow | None:
        found = self._commands("WHERE command_id = ?", (command_id,))
        return found[0] if found else None

    def open_commands(self, now_utc: str, limit: int) -> tuple[CommandRow, ...]:
        """Those to be said or given up, the one that ends first first. What was accepted and is past its time
        is neither: its fact will tell."""
        open_ones = (
            "WHERE state IN ('waiting', 'sent', 'accepted') AND (state <> 'accepted' OR good_until_utc > ?)"
            " ORDER BY good_until_utc LIMIT ?"
        )
        return self._commands(open_ones, (now_utc, limit))

    def last_commands(self, limit: int) -> tuple[CommandRow, ...]:
        """The latest first."""
        return self._commands("ORDER BY given_utc DESC, command_id LIMIT ?", (limit,))

    def commands_between(self, device: str, from_utc: str, to_utc: str) -> tuple[CommandRow, ...]:
        """Given to a device in this time, both ends included, the first first."""
        which = "WHERE device = ? AND given_utc BETWEEN ? AND ? ORDER BY given_utc, command_id"
        return self._commands(which, (device, from_utc, to_utc))

    def _commands(self, which: str, values: tuple[Any, ...]) -> tuple[CommandRow, ...]:
        columns = ", ".join(CommandRow._fields)
        rows = self._db.execute(f"SELECT {columns} FROM commands {which}", values).fetchall()  # noqa: S608  names of ours
        return tuple(CommandRow._make(_with_officers(row, 4)) for row in rows)

    def command_said(self, command_id: str, nonce: str, *, before_utc: str, now_utc: str) -> bool:
        """Note that it is said now. False where somebody else has said it since `before_utc`."""
        said = self._db.execute(
            "UPDATE commands SET state = CASE state WHEN 'waiting' THEN 'sent' ELSE state END,"
            " nonce = ?, sent_utc = ?, times = times + 1"
            " WHERE command_id = ? AND (sent_utc <= ? OR nonce <> ?)"
            " AND state IN ('waiting', 'sent', 'accepted')",
            (nonce, now_utc, command_id, before_utc, nonce),
        )
        return said.rowcount == 1

    def settle_command(self, command_id: str, device: str, state: str, why: str, at_utc: str) -> bool:
        """What became of it. The first last word stays; False where nothing changed."""
        settled = self._db.execute(
            "UPDATE commands SET state = ?, why = ?, answered_utc = ? WHERE command_id = ? AND device = ?"
            " AND state NOT IN ('done', 'refused', ?)",
            (state, why, at_utc, command_id, device, state),
        )
        return settled.rowcount == 1

    def add_act(self, act: CentreAct) -> None:
        self._db.execute(
            "INSERT INTO centre_acts (at_utc, act, subject, officers, reason, detail) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (act.at_utc, act.act, act.subject, json.dumps(act.officers), act.reason, act.detail),
        )

    def acts(self, limit: int) -> tuple[CentreAct, ...]:
        """The latest first."""
        rows = self._db.execute(
            "SELECT at_utc, act, subject, officers, reason, detail FROM centre_acts ORDER BY id DESC LIMIT ?",
            (limit,),
        )
        return tuple(
            CentreAct(at, act, subject, tuple(json.loads(officers)), reason, detail)
            for at, act, subject, officers, reason, detail in rows
        )

    def status(self, device: str) -> tuple[str, str] | None:
        """The body of its last status, and when it came."""
        row = self._db.execute(
            "SELECT body, received_utc FROM statuses WHERE device = ?", (device,)
        ).fetchone()
        return None if row is None else (str(row[0]), str(row[1]))

    def last_facts(self, device: str, limit: int) -> tuple[tuple[str, str], ...]:
        """Kind and exact body of the device's last routine facts, the latest first."""
        rows = self._db.execute(
            "SELECT kind, body FROM facts WHERE device = :device AND stream = 'routine' AND epoch ="
            " (SELECT epoch FROM epochs WHERE device = :device ORDER BY ordinal DESC LIMIT 1)"
            " ORDER BY seq DESC LIMIT :most",
            {"device": device, "most": limit},
        )
        return tuple((kind, body) for kind, body in rows)

    # --- inspection orders --------------------------------------------------------------------------------

    def add_order_step(self, step: OrderStep) -> None:
        """The same fact in a later epoch is the same step."""
        self._db.execute(
            "INSERT INTO order_steps VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (device, event_id) DO NOTHING",
            step._replace(officers=json.dumps(step.officers)),  # type: ignore[arg-type]
        )

    def order_steps(self, order_no: str) -> tuple[OrderStep, ...]:
        """In the order of their own times."""
        rows = self._db.execute(
            "SELECT order_no, step, device, event_id, officers, time, detail FROM order_steps "
            "WHERE order_no = ? ORDER BY time, step DESC, event_id",
            (order_no,),
        )
        return tuple(OrderStep._make(_with_officers(row, 4)) for row in rows)

    def facts_of_kind(self, kind: str, since_utc: str = "") -> Iterator[tuple[str, str]]:
        """Device and exact body of every fact of a kind whose own time is not before `since_utc`."""
        yield from self._db.stream(
            "SELECT device, body FROM facts WHERE kind = ? AND time >= ? ORDER BY device, position",
            (kind, since_utc),
        )

    # --- who is held ---------------------------------------------------------------------------------------

    def lane_word(self, device: str) -> LaneWord | None:
        """The last word of a lane about its passages."""
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (WORD_OF + device,)).fetchone()
        return None if row is None else LaneWord._make(json.loads(row[0]))

    def set_lane_word(self, device: str, word: LaneWord) -> None:
        set_meta(self._db, WORD_OF + device, json.dumps(word))

    # --- passage receipts ---------------------------------------------------------------------------------

    def uses_without_receipt(self, limit: int) -> tuple[CrossedUse, ...]:
        rows = self._db.execute(
            "SELECT device, use_id, slip_no, passage FROM uses "
            "WHERE state = 'crossed' AND receipt = 0 AND slip_no <> '' LIMIT ?",
            (limit,),
        )
        return tuple(CrossedUse(*row) for row in rows)

    def fact_body(self, device: str, epoch: str, stream: str, seq: int) -> str | None:
        """The exact body of one fact."""
        row = self._db.execute(
            "SELECT body FROM facts WHERE device = ? AND epoch = ? AND stream = ? AND seq = ?",
            (device, epoch, stream, seq),
        ).fetchone()
        return None if row is None else str(row[0])

    def facts_of_passage(self, device: str, passage: int) -> tuple[str, ...]:
        """Exact bodies of the rulings and crossings of one passage, in order."""
        rows = self._db.execute(
            "SELECT body FROM facts WHERE kind IN ('ruling_made', 'vehicle_crossed') "
            "AND device = ? AND passage = ? ORDER BY position",
            (device, passage),
        )
        return tuple(row[0] for row in rows)

    # --- proving ------------------------------------------------------------------------------------------

    def speakers(self) -> tuple[str, ...]:
        """Every device of which there are facts, enrolled or not."""
        return tuple(row[0] for row in self._db.execute("SELECT DISTINCT device FROM facts ORDER BY 1"))

    def streams_of(self, device: str) -> tuple[tuple[str, Stream], ...]:
        """Every stream of every epoch a device has facts or an acknowledged number in, older epochs first."""
        rows = self._db.execute(
            "SELECT s.epoch, s.stream FROM streams s JOIN epochs e ON e.device = s.device"
            " AND e.epoch = s.epoch WHERE s.device = ? ORDER BY e.ordinal, s.stream",
            (device,),
        )
        return tuple((epoch, Stream(stream)) for epoch, stream in rows)

    def stream_heads(self) -> tuple[tuple[str, str, str, int], ...]:
        """Device, epoch, stream and how far it is gap-free, of every stream."""
        return tuple(self._db.execute("SELECT device, epoch, stream, contiguous FROM streams").fetchall())

    def facts_between(
        self, device: str, epoch: str, stream: Stream, first: int = 1, last: int = 2**62
    ) -> Iterator[KeptFact]:
        """Facts of one stream by number, as they stand."""
        for row in self._db.stream(
            "SELECT seq, position, event_id, kind, passage, time, hash, body FROM facts "
            "WHERE device = ? AND epoch = ? AND stream = ? AND seq BETWEEN ? AND ? ORDER BY seq",
            (device, epoch, stream.value, first, last),
        ):
            yield KeptFact(*row)

    def seqs_of(self, device: str, epoch: str, stream: Stream) -> tuple[int, ...]:
        """Numbers of all facts of one stream, in order."""
        rows = self._db.execute(
            "SELECT seq FROM facts WHERE device = ? AND epoch = ? AND stream = ? ORDER BY seq",
            (device, epoch, stream.value),
        )
        return tuple(row[0] for row in rows)

    def checkpoints_of(self, device: str, epoch: str | None = None) -> tuple[Signed, ...]:
        """What the device signed, oldest first; of one epoch or of all."""
        which, values = ("", (device,)) if epoch is None else (" AND epoch = ?", (device, epoch))
        rows = self._db.execute(
            f"SELECT body, kid, sig FROM checkpoints WHERE device = ?{which} ORDER BY position",  # noqa: S608
            values,
        )
        return tuple(Signed(*row) for row in rows)

    def checkpoints_from(self, device: str, epoch: str, position: int) -> Iterator[Signed]:
        """What the device signed at this position or later, oldest first. Read only as many as you need."""
        # Not as a stream: outside a transaction PostgreSQL makes the whole answer before the first row of it.
        after, sig, most = position, "", 4
        while rows := self._db.execute(
            "SELECT body, kid, sig, position FROM checkpoints WHERE device = ? AND epoch = ? "
            "AND (position, sig) > (?, ?) ORDER BY position, sig LIMIT ?",
            (device, epoch, after, sig, most),
        ).fetchall():
            for row in rows:
                yield Signed(*row[:3])
            after, sig, most = rows[-1][3], rows[-1][2], min(500, 4 * most)

    def epoch_began(self, device: str, epoch: str) -> tuple[str, int]:
        """When the hub heard of it first, and the device's own position then; orders a device's epochs."""
        utc, position = self._db.execute(
            "SELECT min(stored_utc), min(position) FROM facts "
            "WHERE device = ? AND epoch = ? AND stream IN (?, ?) AND seq = 1",
            (device, epoch, *(stream.value for stream in Stream)),
        ).fetchone()
        return utc or "", position or 0

    def all_of_passage(self, device: str, passage: int) -> tuple[tuple[str, str, KeptFact], ...]:
        """Epoch, stream and fact of everything one device told of one passage, in its own order."""
        rows = self._db.execute(
            "SELECT epoch, stream, seq, position, event_id, kind, passage, time, hash, body FROM facts "
            "WHERE device = ? AND passage = ? ORDER BY position",
            (device, passage),
        )
        return tuple((row[0], row[1], KeptFact(*row[2:])) for row in rows)

    def ranges_of(
        self, device: str, first: int, last: int, passage: int | None
    ) -> tuple[tuple[str, Stream, int, int], ...]:
        """Epoch, stream, first and last number of the facts at these positions, or of this passage."""
        where = "position BETWEEN ? AND ?" if passage is None else "passage = ?"
        values: tuple[Any, ...] = (first, last) if passage is None else (passage,)
        rows = self._db.execute(
            f"SELECT epoch, stream, min(seq), max(seq) FROM facts WHERE device = ? AND {where} "  # noqa: S608
            "GROUP BY epoch, stream ORDER BY min(position)",
            (device, *values),
        )
        return tuple((epoch, Stream(stream), low, high) for epoch, stream, low, high in rows)

    def next_receipt_id(self) -> int:
        row = self._db.execute("SELECT coalesce(max(id), 0) + 1 FROM receipts").fetchone()
        return int(row[0])

    def add_receipt(self, row: ReceiptRow, made_utc: str) -> None:
        self._db.execute("INSERT INTO receipts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*row, made_utc))
        self._db.execute(
            "UPDATE uses SET receipt = 1 WHERE device = ? AND use_id = ?", (row.device, row.use_id)
        )

    def give_up_receipt(self, device: str, use_id: str) -> None:
        """No receipt can be made of this use; it is not tried again."""
        self._db.execute("UPDATE uses SET receipt = 2 WHERE device = ? AND use_id = ?", (device, use_id))

    def receipts_not_out(self, limit: int) -> tuple[ReceiptRow, ...]:
        rows = self._db.execute(
            "SELECT id, device, use_id, slip_no, gate, passed_at, file_name, body, state FROM receipts "
            "WHERE state <> 'out' ORDER BY id LIMIT ?",
            (limit,),
        )
        return tuple(ReceiptRow(*row) for row in rows)

    def receipt_state(self, receipt_id: int) -> str:
        """Nobody else changes it until the transaction ends."""
        sql = self._db.locking("SELECT state FROM receipts WHERE id = ?")
        row = self._db.execute(sql, (receipt_id,)).fetchone()
        return "" if row is None else str(row[0])

    def set_receipt_state(self, receipt_id: int, state: str) -> None:
        self._db.execute("UPDATE receipts SET state = ? WHERE id = ?", (state, receipt_id))

    def receipts_of_slip(self, slip_no: str) -> tuple[ReceiptRow, ...]:
        rows = self._db.execute(
            "SELECT id, device, use_id, slip_no, gate, passed_at, file_name, body, state FROM receipts "
            "WHERE slip_no = ? ORDER BY id",
            (slip_no,),
        )
        return tuple(ReceiptRow(*row) for row in rows)

    def receipt_counts(self) -> dict[str, int]:
        return dict(self._db.execute("SELECT state, count(*) FROM receipts GROUP BY state").fetchall())

    # --- records ------------------------------------------------------------------------------------------

    def scopes(self) -> tuple[Scope, ...]:
        rows = self._db.execute(
            "SELECT scope, epoch, number, rows, digest, head_issued FROM scopes ORDER BY scope"
        )
        return tuple(Scope(*row) for row in rows)

    def scope(self, scope: str) -> Scope | None:
        return self._scope(scope, to_change=False)

    def _scope(self, scope: str, *, to_change: bool) -> Scope | None:
        sql = "SELECT scope, epoch, number, rows, digest, head_issued FROM scopes WHERE scope = ?"
        row = self._db.execute(self._db.locking(sql) if to_change else sql, (scope,)).fetchone()
        return None if row is None else Scope(*row)

    def lock_scope(self, scope: str) -> None:
        """Until the transaction ends nobody else changes its records."""
        self._scope(scope, to_change=True)

    def add_scope(self, scope: str, *, new_id: Callable[[], str] = lambda: secrets.token_hex(16)) -> None:
        """Begin the scope's log where there is none; an existing scope stays as it is."""
        self._db.execute(
            "INSERT INTO scopes VALUES (?, ?, 0, 0, ?, '') ON CONFLICT DO NOTHING",
            (scope, new_id(), to_hex(0)),
        )

    def set_head_issued(self, scope: str, issued: str) -> None:
        self._db.execute("UPDATE scopes SET head_issued = ? WHERE scope = ?", (issued, scope))

    def log_after(self, scope: str, epoch: str, after: int) -> Iterator[LogRow]:
        """Entries above `after` in order. Read only as many as you need."""
        for row in self._db.stream(
            "SELECT number, collection, key, op, body FROM log WHERE scope = ? AND epoch = ? AND number > ? "
            "ORDER BY number",
            (scope, epoch, after),
        ):
            yield LogRow(*row)

    def record(self, collection: str, key: str, scope: str | None = None) -> str | None:
        """The exact JSON of a record, in the given scope or in any."""
        in_scope = "SELECT body FROM records WHERE scope = ? AND collection = ? AND key = ?"
        in_any = (
            "SELECT body FROM records WHERE scope IN (SELECT scope FROM scopes) "
            "AND collection = ? AND key = ? ORDER BY scope LIMIT 1"
        )
        row = (
            self._db.execute(in_any, (collection, key)).fetchone()
            if scope is None
            else self._db.execute(in_scope, (scope, collection, key)).fetchone()
        )
        return None if row is None else str(row[0])

    def bodies_of(self, collection: str) -> tuple[str, ...]:
        """The exact JSON of every record of a collection, in all scopes."""
        rows = self._db.execute(
            "SELECT body FROM records WHERE scope IN (SELECT scope FROM scopes) AND collection = ? "
            "ORDER BY scope, key",
            (collection,),
        )
        return tuple(body for (body,) in rows)

    def last_version(self, collection: str, key: str) -> str | None:
        """The last JSON a record that is gone had, in any scope."""
        row = self._db.execute(
            "SELECT body FROM log WHERE scope IN (SELECT scope FROM scopes) AND collection = ? AND key = ? "
            "AND op = 'put' ORDER BY at_utc DESC, number DESC LIMIT 1",
            (collection, key),
        ).fetchone()
        return None if row is None else str(row[0])

    def last_versions(self, collection: str, keys: Collection[str]) -> dict[str, str]:
        """The last JSON of each of these records, whether or not it is gone, in any scope."""
        found: dict[str, tuple[str, int, str]] = {}
        for some in _some(sorted(keys)):
            for key, body, at_utc, number in self._db.execute(
                "SELECT key, body, at_utc, number FROM log WHERE scope IN (SELECT scope FROM scopes) "  # noqa: S608
                f"AND collection = ? AND key IN ({_places(some)}) AND op = 'put'",
                (collection, *some),
            ):
                found[key] = max(found.get(key, ("", 0, "")), (at_utc, number, body))
        return {key: body for key, (_, _, body) in found.items()}

    def record_as_of(
        self, scope: str, collection: str, key: str, number: int, *, epoch: str = ""
    ) -> Version | None:
        """The record as it was at this number of an epoch, today's if none is given; None where there was
        none yet. A version that deletes it is a version."""
        row = self._db.execute(
            "SELECT epoch, number, op, body, at_utc FROM log WHERE scope = ? AND collection = ? AND key = ? "
            "AND epoch = coalesce(nullif(?, ''), (SELECT epoch FROM scopes WHERE scope = ?)) "
            "AND number <= ? ORDER BY number DESC LIMIT 1",
            (scope, collection, key, epoch, scope, number),
        ).fetchone()
        return None if row is None else Version(*row)

    def knows_number(self, scope: str, epoch: str, number: int) -> bool:
        """Whether a scope's log has, or had, this number of this epoch; every epoch has number 0."""
        row = self._db.execute(
            "SELECT 1 FROM log WHERE scope = ? AND epoch = ? AND number = ?", (scope, epoch, number)
        ).fetchone()
        found = self.scope(scope)
        return row is not None or (number == 0 and found is not None)

    def record_at(self, scope: str, collection: str, key: str, at_utc: str) -> Version | None:
        """The record as it was at a time, by the hub's clock when the entry was written."""
        row = self._db.execute(
            "SELECT epoch, number, op, body, at_utc FROM log WHERE scope = ? AND collection = ? AND key = ? "
            "AND at_utc <= ? ORDER BY at_utc DESC, number DESC LIMIT 1",
            (scope, collection, key, at_utc),
        ).fetchone()
        return None if row is None else Version(*row)

    def record_versions(self, scope: str, collection: str, key: str) -> tuple[Version, ...]:
        """Every version there was, in the order they were written; an epoch begun anew repeats the last."""
        rows = self._db.execute(
            "SELECT epoch, number, op, body, at_utc FROM log WHERE scope = ? AND collection = ? AND key = ? "
            "ORDER BY at_utc, number",
            (scope, collection, key),
        )
        return tuple(Version(*row) for row in rows)

    def keys_changed(self, scope: str, epoch: str, after: int) -> tuple[tuple[str, str], ...]:
        """Collection and key of every record that entries above `after` speak of."""
        # Not DISTINCT: for its sake SQLite goes through the whole scope in order of the keys.
        rows = self._db.execute(
            "SELECT collection, key FROM log WHERE scope = ? AND epoch = ? AND number > ? ORDER BY number",
            (scope, epoch, after),
        )
        return tuple(dict.fromkeys((row[0], row[1]) for row in rows))

    def records_now_and_then(
        self, scope: str, epoch: str, number: int
    ) -> Iterator[tuple[str, str, str | None, str | None]]:
        """Of every record that entries above `number` speak of: collection, key, its JSON now and at that
        number, None where there is or was none. One statement: a look for each would keep alarms waiting."""
        seen: set[tuple[str, str]] = set()
        for collection, key, now, then in self._db.stream(
            "SELECT k.collection, k.key, r.body,"
            " (SELECT CASE l.op WHEN 'put' THEN l.body END FROM log l WHERE l.scope = :scope"
            "  AND l.collection = k.collection AND l.key = k.key AND l.epoch = :epoch AND l.number <= :number"
            "  ORDER BY l.number DESC LIMIT 1)"
            " FROM log k LEFT JOIN records r"
            " ON r.scope = :scope AND r.collection = k.collection AND r.key = k.key"
            " WHERE k.scope = :scope AND k.epoch = :epoch AND k.number > :number",
            {"scope": scope, "epoch": epoch, "number": number},
        ):
            if (collection, key) not in seen:
                seen.add((collection, key))
                yield collection, key, now, then

    def keys_unchanged_since(
        self, scope: str, collection: str, number: int, after_key: str, limit: int
    ) -> tuple[tuple[str, str], ...]:
        """Key and body of records whose last change is at or below `number`, by key, from above a key on."""
        rows = self._db.execute(
            "SELECT key, body FROM records WHERE scope = ? AND collection = ? AND key > ? AND number <= ? "
            "ORDER BY key LIMIT ?",
            (scope, collection, after_key, number, limit),
        )
        return tuple((row[0], row[1]) for row in rows)

    def number_at(self, scope: str, at_utc: str) -> int:
        """The last number of today's epoch that was written before a time; 0 when there is none."""
        found = self.scope(scope)
        low, high = 0, 0 if found is None else found.number
        while found is not None and low < high:
            middle = (low + high + 1) // 2
            row = self._db.execute(
                "SELECT at_utc FROM log WHERE scope = ? AND epoch = ? AND number = ?",
                (scope, found.epoch, middle),
            ).fetchone()
            low, high = (middle, high) if row is not None and row[0] < at_utc else (low, middle - 1)
        return low

    def bucket_sums(self, scope: str) -> tuple[int, ...] | None:
        """The 4,096 bucket sums of a scope at its number, mod 2^128, as kept along with the rows; None when
        they do not add up to its digest: then `mend_bucket_sums`."""
        found = self.scope(scope)
        sums = self._kept_sums(scope, range(BUCKETS // _SHELF))
        if found is None or sum(sums) % MODULUS != from_hex(found.digest):
            return None
        return tuple(total % MODULUS for total in sums)

    def mend_bucket_sums(self, scope: str) -> None:
        """Take a scope's bucket sums from its rows. Takes seconds a million rows, but others go on writing:
        only what was wrong is carried over at the end."""
        shelves = range(BUCKETS // _SHELF)
        off = [0] * BUCKETS
        with self.snapshot():
            for bucket, kept in enumerate(self._kept_sums(scope, shelves)):
                off[bucket] -= kept
            for collection, key, body in self.record_rows(scope):
                bucket, digest = move_of(collection, key, None, body.encode())
                off[bucket] += digest
        with self.transaction():
            # Whoever else would change the scope waits until these are written.
            self._db.execute("UPDATE scopes SET rows = rows WHERE scope = ?", (scope,))
            now = self._kept_sums(scope, shelves)
            self._write_sums(scope, [kept + more for kept, more in zip(now, off, strict=True)], shelves)

    def _kept_sums(self, scope: str, shelves: Collection[int]) -> list[int]:
        """All 4,096; zero outside these shelves."""
        sums = [0] * BUCKETS
        rows = self._db.execute(
            "SELECT shelf, sums FROM bucket_sums WHERE scope = ? ORDER BY shelf", (scope,)
        )
        for shelf, text in rows.fetchall():
            if shelf in shelves:
                first = shelf * _SHELF
                sums[first : first + _SHELF] = [
                    int(text[at : at + _SUM_DIGITS], 16) for at in range(0, len(text), _SUM_DIGITS)
                ]
        return sums

    def _write_sums(self, scope: str, sums: Sequence[int], shelves: Iterable[int]) -> None:
        self._db.executemany(
            "INSERT INTO bucket_sums VALUES (?, ?, ?) "
            "ON CONFLICT (scope, shelf) DO UPDATE SET sums = excluded.sums",
            [
                (scope, shelf, "".join(map(to_hex, sums[shelf * _SHELF : (shelf + 1) * _SHELF])))
                for shelf in shelves
            ],
        )

    def record_rows(self, scope: str) -> Iterator[tuple[str, str, str]]:
        """Collection, key and exact JSON of every record of the scope, sorted by both."""
        yield from self._db.stream(
            "SELECT collection, key, body FROM records WHERE scope = ? ORDER BY collection, key", (scope,)
        )

    def record_keys(self, scope: str, collection: str) -> set[str]:
        rows = self._db.execute(
            "SELECT key FROM records WHERE scope = ? AND collection = ?", (scope, collection)
        )
        return {row[0] for row in rows}

    def apply_changes(self, scope: str, changes: Sequence[RecordChange], at_utc: str) -> Applied:
        """Write log entries for what really changes, in the order given; keep rows and digest of the scope.

        To be called inside `transaction()`; numbers are visible to readers only with the whole.
        """
        found = self._scope(scope, to_change=True)
        if found is None:
            raise ValueError(f"scope {scope!r} is not in this archive")
        number, rows = found.number, found.rows
        moves: defaultdict[int, int] = defaultdict(int)
        current = self._current(scope, changes)
        log: list[tuple[str, str, int, str, str, str, str, str]] = []
        put: dict[tuple[str, str], tuple[str, int] | None] = {}
        deleted = unchanged = 0
        for change in changes:
            key = (change.collection, change.key)
            before = current.get(key)
            if before == change.body:
                unchanged += 1
                continue
            number += 1
            bucket, moved = move_of(*key, _utf8(before), _utf8(change.body))
            moves[bucket] += moved
            rows += (change.body is not None) - (before is not None)
            if change.body is None:
                deleted += 1
                put[key] = None
                log.append((scope, found.epoch, number, change.collection, change.key, "delete", "", at_utc))
            else:
                put[key] = (change.body, number)
                log.append(
                    (scope, found.epoch, number, change.collection, change.key, "put", change.body, at_utc)
                )
            current[key] = change.body
        self._db.fill("log", log)
        written = sorted((key, value) for key, value in put.items() if value is not None)
        self._db.executemany(
            "INSERT INTO records VALUES (?, ?, ?, ?, ?) ON CONFLICT (scope, collection, key) DO UPDATE SET "
            "body = excluded.body, number = excluded.number",
            [(scope, *key, *value) for key, value in written],
        )
        self._db.executemany(
            "DELETE FROM records WHERE scope = ? AND collection = ? AND key = ?",
            sorted((scope, *key) for key, value in put.items() if value is None),
        )
        shelves = sorted({bucket // _SHELF for bucket in moves})
        sums = self._kept_sums(scope, shelves)
        for bucket, moved in moves.items():
            sums[bucket] += moved
        self._write_sums(scope, sums, shelves)
        self._db.execute(
            "UPDATE scopes SET number = ?, rows = ?, digest = ? WHERE scope = ?",
            (number, rows, to_hex(from_hex(found.digest) + sum(moves.values())), scope),
        )
        return Applied(len(log) - deleted, deleted, unchanged, number)

    def _current(self, scope: str, changes: Sequence[RecordChange]) -> dict[tuple[str, str], str | None]:
        wanted = sorted({(change.collection, change.key) for change in changes})
        current: dict[tuple[str, str], str | None] = {}
        for collection, pairs in itertools.groupby(wanted, key=lambda pair: pair[0]):
            keys = [key for _, key in pairs]
            for start in range(0, len(keys), 500):
                some = keys[start : start + 500]
                places = ",".join("?" * len(some))
                rows = self._db.execute(
                    f"SELECT key, body FROM records WHERE scope = ? AND collection = ? AND key IN ({places})",  # noqa: S608  only question marks are put in
                    (scope, collection, *some),
                )
                current.update({(collection, key): body for key, body in rows})
        return current


def _with_officers(row: Sequence[Any], place: int) -> list[Any]:
    """A row whose JSON list of officers is read."""
    return [*row[:place], tuple(json.loads(row[place])), *row[place + 1 :]]


AT_ONCE = 512
"""Values of one IN list."""


def _some(values: Sequence[str]) -> Iterator[Sequence[str]]:
    """In lists of 1, 2, 4, 8 … values, the last of them again to fill one up: few statements to prepare."""
    for start in range(0, len(values), AT_ONCE):
        some = list(values[start : start + AT_ONCE])
        yield some + some[-1:] * ((1 << (len(some) - 1).bit_length()) - len(some))


def _places(values: Sequence[str]) -> str:
    return ",".join("?" * len(values))


def _utf8(body: str | None) -> bytes | None:
    return None if body is None else body.encode()


def _prev_of(body: str) -> str:
    try:
        return _read_prev(body).prev
    except Malformed:
        return ""
