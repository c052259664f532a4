"""Records down (G5): signed batches of every scope's log, heads, pulls, and what devices say they hold.
No MQTT, no clock.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sync.hub.archive import Archive, LogRow, Scope
from sync.hub.aside import Aside, Done, MakeSnapshot, MendSums, ReadBuckets, Retire
from sync.hub.snapshots import SnapshotFolder
from sync.hub.terms import HubAlarm, Limits, Outgoing, Refused, storable
from sync.link.envelope import read_signed, reader, signed_payload
from sync.link.keys import Signer, verify
from sync.link.messages import (
    MAX_BUCKET_PAGES,
    MAX_BUCKETS_ASKED,
    MAX_PAYLOAD_BYTES,
    MAX_RANGES,
    SUMS_A_MESSAGE,
    BucketRows,
    BucketsAsked,
    BucketSums,
    Change,
    ChangeOp,
    Context,
    FeedBatch,
    FeedHead,
    PiecesAsked,
    Pull,
    Status,
    Topics,
)
from sync.policy.digests import BUCKETS, MODULUS, move_of, to_hex
from sync.vocabulary.codec import Malformed, to_json
from sync.vocabulary.numbers import utc_text

FEED_ENVELOPE_BYTES = 1_536
"""Room kept in a feed payload for everything that is not a change."""

_read_pull = reader(Pull)
_read_status = reader(Status)


class Feeding:
    """The log of every scope on its way to the devices."""

    def __init__(
        self,
        archive: Archive,
        signer: Signer,
        topics: Topics,
        limits: Limits,
        *,
        aside: Aside | None = None,
        snapshots: SnapshotFolder | None = None,
        keep_days: Mapping[str, int],
    ) -> None:
        """Without `aside` and `snapshots` devices get the log, mend nothing by bucket, and nothing is retired
        by itself. `keep_days`: collection -> days (`sync.hub.retiring`)."""
        self._archive = archive
        self._signer = signer
        self._topics = topics
        self._limits = limits
        self._statuses: dict[str, tuple[str, Status]] = {}
        self._published: dict[str, tuple[str, int]] = {}
        self._head_issued_s: dict[str, float] = {}
        self._aside = aside
        self._snapshots = snapshots
        self._keep_days = tuple(sorted(keep_days.items()))
        self._retire_at_s: float | None = None
        self._look_at_s: float | None = None
        """When the folder of snapshots is looked at next; None: at once."""
        self._waiting: dict[str, Iterator[bytes]] = {}
        """Device -> pieces it has asked for and nobody has sent yet; asking again takes the place of it."""
        self._may_send_bytes = limits.snapshot_bytes_per_s
        self._may_send_s: float | None = None
        self._readers: dict[ReadBuckets, set[str]] = {}
        """What is being read beside us, and which devices wait for it."""
        self.begin()

    def begin(self) -> None:
        """From here on this worker publishes what is new; what came before, devices pull: heads tell."""
        self._published = {scope.scope: (scope.epoch, scope.number) for scope in self._archive.scopes()}
        self._head_issued_s.clear()

    def take(
        self,
        device: str,
        key: Mapping[str, Ed25519PublicKey],
        payload: bytes,
        now_s: float,
        at_utc: str,
    ) -> list[Outgoing]:
        pull = _read_pull(verify(key, read_signed(payload), Context.PULL))
        scope = self._archive.scope(pull.scope)
        if scope is None:
            raise Refused(HubAlarm.SCOPE_UNKNOWN, f"there is no scope {pull.scope[:64]!r} here", device)
        if not self._archive.may_pull(device, scope.scope):
            raise Refused(HubAlarm.SCOPE_FORBIDDEN, f"scope {scope.scope} is not this device's", device)
        if pull.buckets is not None and pull.epoch == scope.epoch:
            sums = self._buckets(device, scope, pull.buckets)
            return [self.head(scope, now_s, at_utc)] if sums is None else sums
        self._look(now_s)
        if pull.pieces is not None and self._snapshots is not None and self._has(pull.pieces):
            self._waiting[device] = self._snapshots.pieces(pull.pieces, now_s)
            return self._send_pieces(now_s)
        offer = self._offer(device, scope, pull)
        if offer is not None:
            return [offer]
        whole = pull.epoch != scope.epoch or pull.after > scope.number
        batches = self._batches(scope, 0 if whole else pull.after)
        topic = self._topics.batch(device)
        answers = [Outgoing(topic, payload) for _, payload in _take_first(batches, self._limits.pull_batches)]
        return answers or [self.head(scope, now_s, at_utc)]

    def tick(self, now_s: float, at_utc: str) -> list[Outgoing]:
        outgoing = self._look_aside(now_s, at_utc) + self._send_pieces(now_s)
        left = self._limits.feed_batches
        for scope in self._archive.scopes():
            epoch, after = self._published.get(scope.scope, (scope.epoch, 0))
            if epoch != scope.epoch:
                after = 0
            moved = after < scope.number
            for last, payload in self._new_batches(scope, after, left) if moved else ():
                outgoing.append(Outgoing(self._topics.feed(scope.scope), payload))
                after = last
                left -= 1
            self._published[scope.scope] = (scope.epoch, after)
            issued_s = self._head_issued_s.get(scope.scope)
            due = issued_s is None or abs(now_s - issued_s) >= self._limits.head_every_s
            if after == scope.number and (moved or due):
                outgoing.append(self.head(scope, now_s, at_utc))
        return outgoing

    def _new_batches(self, scope: Scope, after: int, count: int) -> list[tuple[int, bytes]]:
        # In a transaction: outside of one PostgreSQL copies the whole answer aside before its first row.
        with self._archive.snapshot():
            return list(_take_first(self._batches(scope, after), count))

    def _batches(self, scope: Scope, after: int) -> Iterator[tuple[int, bytes]]:
        """Signed payloads of the scope's log above `after` up to its number, each with its last number."""
        for changes in _cut(self._archive.log_after(scope.scope, scope.epoch, after), scope.number):
            first, last = changes[0].number, changes[-1].number
            batch = FeedBatch(scope.scope, scope.epoch, first, last, tuple(changes))
            yield last, signed_payload(self._signer, Context.FEED, batch)

    def head(self, scope: Scope, now_s: float, at_utc: str) -> Outgoing:
        """Signed and dated. Dates never go back: a device refuses a head older than one it has seen."""
        issued = max(_fixed(at_utc), _later(scope.head_issued)) or "1970-01-01T00:00:00.000000Z"
        with self._archive.transaction():
            self._archive.set_head_issued(scope.scope, issued)
        self._head_issued_s[scope.scope] = now_s
        head = FeedHead(scope.scope, scope.epoch, scope.number, scope.rows, scope.digest, issued)
        payload = signed_payload(self._signer, Context.FEED_HEAD, head)
        return Outgoing(self._topics.feed_head(scope.scope), payload, retain=True)

    # --- snapshots ----------------------------------------------------------------------------------------

    def _offer(self, device: str, scope: Scope, pull: Pull) -> Outgoing | None:
        """A snapshot, where it is there and the shorter way. Where it would be and is not, one is made
        beside us, and the device has the log meanwhile."""
        behind = scope.number - pull.after
        shorter = (
            behind >= self._limits.snapshot_from
            and behind * self._limits.snapshot_rows_an_entry >= scope.rows
        )
        if self._snapshots is None or not (pull.snapshots and pull.epoch == scope.epoch and shorter):
            return None
        newest = self._snapshots.newest(scope)
        late = scope.number if newest is None else scope.number - newest.number
        saves = newest is not None and newest.number > pull.after and late * 4 <= behind
        if self._aside is not None and not saves:
            self._aside.begin(MakeSnapshot(scope.scope))
        if newest is None or not saves:
            return None
        return Outgoing(self._topics.batch(device), signed_payload(self._signer, Context.SNAPSHOT, newest))

    def _has(self, asked: PiecesAsked) -> bool:
        if len(asked.pages) + len(asked.pieces) > MAX_RANGES:
            raise Malformed(f"pull: expected at most {MAX_RANGES} ranges")
        return self._snapshots is not None and self._snapshots.named(asked.snapshot) is not None

    def _send_pieces(self, now_s: float) -> list[Outgoing]:
        """As much as may go out now, to the devices in the order they asked; the rest in a later tick."""
        limit = self._limits.snapshot_bytes_per_s
        since_s = 0.0 if self._may_send_s is None else max(0.0, now_s - self._may_send_s)
        self._may_send_s = now_s
        self._may_send_bytes = min(limit, self._may_send_bytes + since_s * limit)
        outgoing: list[Outgoing] = []
        while self._waiting and self._may_send_bytes > 0:
            device, payloads = next(iter(self._waiting.items()))
            del self._waiting[device]
            try:
                payload = next(payloads, None)
            except OSError:
                # Somebody tidied the folder: see what is left, and have the device ask again.
                self._look_at_s = None
                continue
            if payload is not None:
                # To the end of the queue: a piece for each in turn.
                self._waiting[device] = payloads
                self._may_send_bytes -= len(payload)
                outgoing.append(Outgoing(self._topics.batch(device), payload))
        return outgoing

    # --- buckets ------------------------------------------------------------------------------------------

    def _buckets(self, device: str, scope: Scope, asked: BucketsAsked) -> list[Outgoing] | None:
        """Sums at once, rows when they were read beside us. None: it cannot be said any more."""
        if len(asked.buckets) > MAX_BUCKETS_ASKED or any(not 0 <= one < BUCKETS for one in asked.buckets):
            raise Malformed(f"pull: expected at most {MAX_BUCKETS_ASKED} buckets from 0 to {BUCKETS - 1}")
        if not scope.number - self._limits.buckets_behind <= asked.number <= scope.number or not self._aside:
            return None
        if asked.buckets:
            job = ReadBuckets(scope.scope, scope.epoch, asked.number, tuple(sorted(set(asked.buckets))))
            if self._aside.begin(job):
                self._readers.setdefault(job, set()).add(device)
            return []
        sums = self._archive.bucket_sums(scope.scope)
        if sums is None:
            self._aside.begin(MendSums(scope.scope))
            return []
        then = self._sums_then(scope, list(sums), asked.number)
        outgoing = []
        for first in range(0, BUCKETS, SUMS_A_MESSAGE):
            some = "".join(map(to_hex, then[first : first + SUMS_A_MESSAGE]))
            answer = BucketSums(scope.scope, scope.epoch, asked.number, first, some)
            payload = signed_payload(self._signer, Context.BUCKETS, answer)
            outgoing.append(Outgoing(self._topics.batch(device), payload))
        return outgoing

    def _sums_then(self, scope: Scope, sums: list[int], number: int) -> list[int]:
        """Bucket sums as they were, from what they are and the entries since."""
        both = self._archive.records_now_and_then(scope.scope, scope.epoch, number)
        for collection, key, now, was in both:
            bucket, moved = move_of(
                collection, key, None if now is None else now.encode(), None if was is None else was.encode()
            )
            sums[bucket] = (sums[bucket] + moved) % MODULUS
        return sums

    def _look_aside(self, now_s: float, at_utc: str) -> list[Outgoing]:
        """What was done beside us since the last time."""
        outgoing: list[Outgoing] = []
        for done in self._aside.done() if self._aside is not None else ():
            if isinstance(done.job, MakeSnapshot):
                self._look_at_s = None
            if done.fault:
                with self._archive.transaction():
                    detail = f"{done.job.scope}: {storable(done.fault)}"
                    self._archive.add_alarm_once(at_utc, "", HubAlarm.ASIDE_FAILED, detail)
            outgoing += self._rows_read(done)
        if self._keep_days and self._aside is not None and (self._retire_at_s or now_s) <= now_s:
            self._retire_at_s = now_s + self._limits.retire_every_s
            for scope in self._archive.scopes():
                self._aside.begin(Retire(scope.scope, self._keep_days))
        if self._look_at_s is not None and self._look_at_s <= now_s:
            self._look_at_s = None
        self._look(now_s)
        return outgoing

    def _look(self, now_s: float) -> None:
        if self._snapshots is not None and self._look_at_s is None:
            self._snapshots.look(self._archive.scopes(), now_s)
            self._look_at_s = now_s + self._limits.snapshots_look_s

    def _rows_read(self, done: Done) -> list[Outgoing]:
        job = done.job
        if not isinstance(job, ReadBuckets):
            return []
        devices = self._readers.pop(job, set())
        payloads = []
        for bucket, rows in done.buckets.items():
            pages = list(_pages(rows))
            if len(pages) > MAX_BUCKET_PAGES:
                continue
            for number, page in enumerate(pages):
                answer = BucketRows(job.scope, job.epoch, job.number, bucket, number, len(pages), tuple(page))
                payloads.append(signed_payload(self._signer, Context.BUCKETS, answer))
        topics = [self._topics.batch(device) for device in sorted(devices)]
        return [Outgoing(topic, payload) for topic in topics for payload in payloads]

    # --- statuses of devices ------------------------------------------------------------------------------

    def take_status(self, device: str, key: Mapping[str, Ed25519PublicKey], payload: bytes) -> str:
        """The nonce of a device that is here; empty from one that is going."""
        body = verify(key, read_signed(payload), Context.STATUS)
        status = _read_status(body)
        if status.device != device:
            raise Refused(
                HubAlarm.WRONG_DEVICE, f"a status of {status.device[:64]!r} on the topic of {device}", device
            )
        self._statuses[device] = (body, status)
        return status.nonce if status.online else ""

    def pending_devices(self) -> set[str]:
        return set(self._statuses)

    def write_pending(self, at_utc: str) -> None:
        """Inside a transaction, `pending_devices` locked; `pending_written` when it is durable."""
        for device, (body, status) in self._statuses.items():
            self._archive.set_status(device, body, at_utc)
            self._compare_records(device, status, at_utc)

    def pending_written(self) -> None:
        self._statuses.clear()

    def _compare_records(self, device: str, status: Status, at_utc: str) -> None:
        for scope in self._archive.scopes():
            digest = status.digests.get(scope.scope, "")
            if digest and status.records.get(scope.scope) == scope.number and digest != scope.digest:
                self._archive.add_alarm_once(
                    at_utc,
                    device,
                    HubAlarm.RECORDS_DIFFER,
                    f"{scope.scope} at {scope.number}: "
                    f"the device has digest {digest[:32]}, expected {scope.digest}",
                )


def _pages(rows: tuple[tuple[str, str, str], ...]) -> Iterator[list[tuple[str, str, str]]]:
    """Rows in lists that fit a signed payload each; at least one."""
    held: list[tuple[str, str, str]] = []
    size = 0
    for row in rows:
        length = len(to_json(to_json(row).decode()))
        if held and size + length > MAX_PAYLOAD_BYTES - FEED_ENVELOPE_BYTES:
            yield held
            held, size = [], 0
        held.append(row)
        size += length
    yield held


def feed_bytes(row: LogRow) -> int:
    """What one log entry takes in a signed feed payload, where its JSON is carried as a string."""
    return len(to_json(to_json(_change(row)).decode())) - 1


def _change(row: LogRow) -> Change:
    return Change(row.number, row.collection, row.key, ChangeOp(row.op), row.body)


def _cut(rows: Iterator[LogRow], number: int) -> Iterator[list[Change]]:
    """Log entries up to `number` in lists that fit a signed payload each."""
    room = MAX_PAYLOAD_BYTES - FEED_ENVELOPE_BYTES
    held: list[Change] = []
    size = 0
    for row in rows:
        if row.number > number:
            break
        change = _change(row)
        length = feed_bytes(row)
        if held and size + length > room:
            yield held
            held, size = [], 0
        held.append(change)
        size += length
    if held:
        yield held


def _take_first(batches: Iterator[tuple[int, bytes]], count: int) -> Iterator[tuple[int, bytes]]:
    if count <= 0:
        return
    for index, batch in enumerate(batches, start=1):
        yield batch
        if index == count:
            return


def _fixed(at_utc: str) -> str:
    """UTC text with six decimals, so that it compares as text; empty where it is no time."""
    try:
        moment = datetime.datetime.fromisoformat(at_utc)
    except ValueError:
        return ""
    return utc_text(moment)


def _later(issued: str) -> str:
    """One microsecond after the last date, where there is one."""
    if not issued:
        return ""
    moment = datetime.datetime.fromisoformat(issued) + datetime.timedelta(microseconds=1)
    return utc_text(moment)
