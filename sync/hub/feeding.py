"""Records down (G5): signed batches of every scope's log, heads, pulls, and what devices say they hold.
No MQTT, no clock.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sync.hub.archive import Archive, LogRow, Scope
from sync.hub.terms import HubAlarm, Limits, Outgoing, Refused
from sync.link.envelope import read_signed, reader, signed_payload
from sync.link.keys import Signer, verify
from sync.link.messages import (
    MAX_PAYLOAD_BYTES,
    Change,
    ChangeOp,
    Context,
    FeedBatch,
    FeedHead,
    Pull,
    Status,
    Topics,
)
from sync.vocabulary.codec import to_json

FEED_ENVELOPE_BYTES = 1_536
"""Room kept in a feed payload for everything that is not a change."""

_read_pull = reader(Pull)
_read_status = reader(Status)


class Feeding:
    """The log of every scope on its way to the devices."""

    def __init__(self, archive: Archive, signer: Signer, topics: Topics, limits: Limits) -> None:
        self._archive = archive
        self._signer = signer
        self._topics = topics
        self._limits = limits
        self._statuses: dict[str, tuple[str, Status]] = {}
        self._published: dict[str, tuple[str, int]] = {}
        self._head_issued_s: dict[str, float] = {}
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
        whole = pull.epoch != scope.epoch or pull.after > scope.number
        batches = self._batches(scope, 0 if whole else pull.after)
        topic = self._topics.batch(device)
        answers = [Outgoing(topic, payload) for _, payload in _take_first(batches, self._limits.pull_batches)]
        return answers or [self.head(scope, now_s, at_utc)]

    def tick(self, now_s: float, at_utc: str) -> list[Outgoing]:
        outgoing: list[Outgoing] = []
        left = self._limits.feed_batches
        for scope in self._archive.scopes():
            epoch, after = self._published.get(scope.scope, (scope.epoch, 0))
            if epoch != scope.epoch:
                after = 0
            moved = after < scope.number
            for last, payload in _take_first(self._batches(scope, after), left):
                outgoing.append(Outgoing(self._topics.feed(scope.scope), payload))
                after = last
                left -= 1
            self._published[scope.scope] = (scope.epoch, after)
            issued_s = self._head_issued_s.get(scope.scope)
            due = issued_s is None or abs(now_s - issued_s) >= self._limits.head_every_s
            if after == scope.number and (moved or due):
                outgoing.append(self.head(scope, now_s, at_utc))
        return outgoing

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
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _later(issued: str) -> str:
    """One microsecond after the last date, where there is one."""
    if not issued:
        return ""
    moment = datetime.datetime.fromisoformat(issued) + datetime.timedelta(microseconds=1)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
