"""The edge's end of the link as a pure machine: events in, effects out. No clock, no thread, no I/O.

The broker carries no guarantee (decision 0005): it may lose, double, delay, reorder, forget and invent. What
this session relies on is its own journal, signatures, numbers and timers:

- a fact is sent until the hub's signed acknowledgement covers it; the journal, not this session, decides
  whether an acknowledgement is honest (G3, G4);
- records are taken strictly in order; a gap is pulled; where the log is the longer way a snapshot is fetched.
  A difference at equal numbers is mended bucket by bucket; where that fails, and from a snapshot, a new
  generation is built beside the old one, which stays until the new one is proved equal (G1, G5);
- whatever is unsigned, of another key, scope or device, older, malformed or too long is refused, counted and
  reported at most once a minute a topic (G11). No payload can make `step` raise.

Times (`at_s`) are monotonic seconds of the caller's clock.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar, assert_never

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sync.link.claims import Claims
from sync.link.commands import Commands
from sync.link.downward import Downward
from sync.link.envelope import Run, open_signed, pack, runs, signed_payload
from sync.link.fetching import SnapshotSeen, SnapshotWorked, Surveyed, SurveyWorked
from sync.link.keys import Forged, Signer
from sync.link.messages import (
    MAX_COMMAND_BYTES,
    Ack,
    Acks,
    Checkpoint,
    ClaimAnswer,
    Context,
    FeedBatch,
    FeedHead,
    Status,
    StreamHead,
)
from sync.link.outbox import MAX_WHY, MutedKey, Outbox, Unfit, is_due
from sync.link.trust import Trust
from sync.link.window import Window
from sync.link.words import (
    CONNECTION_OF,
    AckApplied,
    ApplyAck,
    ArchiveMet,
    BatchApplied,
    BeginEpoch,
    ClaimAsked,
    ClaimWithdrawn,
    CommandAnswered,
    Connected,
    Connection,
    ConnectionRefused,
    Disconnected,
    EpochBegan,
    EpochBegun,
    FactsRead,
    FactsWaiting,
    GenerationAdopted,
    GenerationBegun,
    IssueAgain,
    IssuedAgain,
    KeepHubKeys,
    LinkDown,
    LinkEffect,
    LinkEvent,
    LinkRefused,
    LinkUp,
    MeetArchive,
    Opened,
    Overflowed,
    Publish,
    ReadFacts,
    Received,
    RecordsMended,
    ResyncWanted,
    SessionConfig,
    StatusChanged,
    StatusWanted,
    StoreFailed,
    StoreTrouble,
    Tick,
    WakeAt,
    Work,
)
from sync.store.journal import AckOutcome
from sync.vocabulary.bounds import MAX_NAME
from sync.vocabulary.codec import Malformed, to_json
from sync.vocabulary.commands import Command
from sync.vocabulary.facts import Fact, FactTooLong, Stream

BODY_SHARE = 0.6
"""Of a payload, about what bodies take before they are carried as strings inside an event."""

_T = TypeVar("_T")


_ALL_OURS = frozenset(CONNECTION_OF.values())


# --- state ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Flight:
    """A payload that was sent and not yet acknowledged."""

    first: int
    last: int
    size_bytes: int
    sent_at_s: float


@dataclass(slots=True)
class _Upward:
    """One stream of facts on its way up."""

    stream: Stream
    acked: int
    head: int
    next: int
    """First fact not sent since the last connect or resend."""
    wait_s: float
    window: Window
    flights: list[_Flight] = field(default_factory=list)
    again: list[tuple[int, int]] = field(default_factory=list)
    """Ranges to send again, and nothing else of what was sent."""
    missing: tuple[tuple[int, int], ...] = ()
    """As the last acknowledgement said."""
    missing_at_s: float | None = None
    reading: tuple[int, int | None] | None = None
    """From, and (for a range sent again) through."""
    ask: bool = True
    """The journal may hold facts from `next` on."""
    resend_at_s: float | None = None

    @property
    def in_flight_bytes(self) -> int:
        return sum(flight.size_bytes for flight in self.flights)

    def rewind(self) -> None:
        """Everything unacknowledged is unsent again."""
        self.next = self.acked + 1
        self.flights = []
        self.again = []
        self.missing = ()
        self.missing_at_s = None
        self.reading = None
        self.resend_at_s = None
        self.ask = True
        self.window.interrupted()


class EdgeSession:
    """One device's conversation with its hub. Give it every event and perform every effect, in order."""

    def __init__(
        self,
        config: SessionConfig,
        *,
        signer: Signer,
        keys: Mapping[str, Ed25519PublicKey],
        utc_at: Callable[[float], str],
        opened: Opened,
        new_nonce: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        """`keys` hold the hub's pinned key under its name; `utc_at` turns the caller's seconds into UTC;
        `new_nonce` gives 32 hex digits nobody can foretell."""
        self._config = config
        self._out = Outbox(config.refused_every_s)
        self._signer = signer
        self._trust = Trust.of(config.hub_kid, keys[config.hub_kid])
        if opened.hub_keys:
            # Kept for another pinned key, they are nobody's statements any more: the hub's come again.
            with contextlib.suppress(Forged, Malformed):
                self._trust = self._trust.told(opened.hub_keys)
        self._utc_at = utc_at
        self._epoch = opened.epoch
        self._archive_id = opened.archive_id
        self._backup_interval_s = -1.0
        """As the archive last told in this run."""
        self._position = opened.position
        self._heads = {head.stream: head for head in opened.heads}
        acked = dict(opened.acked)
        self._up = {
            stream: _Upward(
                stream,
                acked=acked.get(stream, 0),
                head=self._head_of(stream),
                next=acked.get(stream, 0) + 1,
                wait_s=config.resend_first_s,
                window=Window(
                    first_bytes=config.window_bytes,
                    widest_bytes=config.widest_window_bytes,
                    narrowest_bytes=config.narrowest_window_bytes,
                ),
            )
            for stream in Stream
        }
        self._down = Downward(config, self._out, signer, lambda: self._trust.keys, opened)
        self._trouble = opened.trouble
        self._claims = Claims(
            self._out, signer, device=config.device, topics=config.topics, retry_s=config.claim_retry_s
        )
        self._commands = Commands(
            self._out,
            signer,
            device=config.device,
            topics=config.topics,
            utc_at=utc_at,
            new_nonce=new_nonce,
        )
        self._up_told = False
        self._hub_birth = ""
        self._health: dict[str, str] = {}
        self._status_at_s: float | None = None
        self._status_sent_s = -1e9
        self._epoch_ok_s: float | None = None
        self._epoch_why = ""
        self._beginning_epoch = False
        self._left_to_issue = opened.left_to_issue
        self._issue_at_s: float | None = float("-inf") if opened.left_to_issue else None
        self._wake_at_s: float | None = None

    # --- to look at ---------------------------------------------------------------------------------------

    @property
    def counts(self) -> Mapping[str, int]:
        """How often what happened, by name: refusals, resends, gaps, unknown claims."""
        return dict(self._out.counts)

    @property
    def hub_keys(self) -> Mapping[str, Ed25519PublicKey]:
        """Whose word is the hub's, by key id."""
        return self._trust.keys

    @property
    def in_flight_bytes(self) -> Mapping[Stream, int]:
        return {stream: up.in_flight_bytes for stream, up in self._up.items()}

    @property
    def window_bytes(self) -> Mapping[Stream, int]:
        """How many bytes each stream may have in flight."""
        return {stream: up.window.size_bytes for stream, up in self._up.items()}

    @property
    def backlog(self) -> int:
        """Committed facts without an acknowledgement, as far as heads were read."""
        return sum(max(0, up.head - up.acked) for up in self._up.values())

    def will(self, at_s: float) -> tuple[str, bytes]:
        """Topic and payload of the last will, retained, for the routine connection."""
        return self._config.topics.status(self._config.device), self._status_payload(at_s, online=False)

    # --- the machine --------------------------------------------------------------------------------------

    def step(self, at_s: float, event: LinkEvent) -> tuple[LinkEffect, ...]:
        if self._trouble:
            self._out.mutable(at_s, MutedKey(StoreTrouble, Work.OPEN_RECORDS.value), self._trouble)
            self._trouble = ""
        match event:
            case Connected(connection):
                self._on_connected(at_s, connection)
            case Disconnected(connection, why):
                self._on_disconnected(connection, why)
            case ConnectionRefused(connection, why):
                self._out.mutable(at_s, MutedKey(LinkRefused, connection.value), why)
            case Tick():
                self._down.work(at_s)
            case FactsWaiting():
                for up in self._up.values():
                    up.ask = True
            case FactsRead():
                self._on_facts(at_s, event)
            case Received(topic, payload):
                self._on_message(at_s, topic, payload)
            case Overflowed(times):
                self._out.refuse(at_s, "link", "messages came faster than they could be handled", times=times)
            case AckApplied():
                self._on_ack_applied(at_s, event)
            case ArchiveMet(archive_id, acked):
                self._archive_id = archive_id
                for stream, number in acked:
                    self._move_acked(at_s, self._up[stream], number)
            case EpochBegun():
                self._on_epoch(at_s, event)
            case IssuedAgain(left):
                self._on_issued(at_s, left)
            case BatchApplied(result, state):
                self._down.applied(at_s, result, state)
            case GenerationBegun(state):
                self._down.generation_begun(at_s, state)
            case GenerationAdopted(state):
                self._down.generation_adopted(state)
            case SnapshotSeen():
                self._down.snapshot_seen(at_s, event)
            case SnapshotWorked():
                self._down.snapshot_worked(at_s)
            case SurveyWorked():
                self._down.survey_worked(at_s)
            case Surveyed():
                self._down.surveyed(at_s, event)
            case RecordsMended():
                self._down.mended(at_s, event)
            case StoreFailed():
                self._on_store_failed(at_s, event)
            case ClaimAsked(request):
                self._claims.asked(at_s, request)
            case ClaimWithdrawn(claim_id):
                self._claims.withdrawn(claim_id)
            case CommandAnswered():
                self._commands.answered(event)
            case StatusWanted():
                self._send_status_if_heard(at_s)
            case ResyncWanted():
                self._down.resync()
            case StatusChanged(health):
                self._health = {key[:MAX_NAME]: value[:MAX_NAME] for key, value in health.items()}
                self._status_soon(at_s)
            case _:
                assert_never(event)
        self._run_timers(at_s)
        for up in self._up.values():
            self._pump(up)
        self._ask_to_wake()
        return self._out.take()

    def _on_connected(self, at_s: float, connection: Connection) -> None:
        self._out.connected.add(connection)
        if self._config.key_statements and connection in _ALL_OURS:
            topic = self._config.topics.keys(self._config.device)
            self._out.add(Publish(connection, topic, self._config.key_statements, retain=True))
        for up in self._up.values():
            if CONNECTION_OF[up.stream] is connection:
                up.rewind()
                up.wait_s = self._config.resend_first_s
        match connection:
            case Connection.ALARM:
                self._claims.again(at_s)
                self._commands.begin()
                self._send_status_if_heard(at_s)
            case Connection.ROUTINE:
                self._send_status(at_s)
                self._send_head(at_s)
                self._down.connected(at_s)
            case Connection.BLOBS:
                return
            case _:
                assert_never(connection)
        if not (_ALL_OURS - self._out.connected or self._up_told):
            self._up_told = True
            self._out.notify(LinkUp())

    def _on_disconnected(self, connection: Connection, why: str) -> None:
        if connection is Connection.BLOBS:
            return
        self._out.connected.discard(connection)
        for up in self._up.values():
            if CONNECTION_OF[up.stream] is connection:
                up.rewind()
        match connection:
            case Connection.ALARM:
                self._commands.end()
            case Connection.ROUTINE:
                self._down.disconnected()
                self._status_at_s = None
            case _:
                assert_never(connection)
        if self._up_told:
            self._up_told = False
            self._out.notify(LinkDown(why[:MAX_WHY] or f"the {connection.value} connection was lost"))

    def _on_message(self, at_s: float, topic: str, payload: bytes) -> None:
        config = self._config
        topics, device, scope = config.topics, config.device, config.scope
        if not payload:
            # A broker tells that a retained message was cleared; that is nobody's statement.
            self._out.count("cleared")
            return
        try:
            if topic == topics.ack(device):
                self._on_acks(at_s, self._open(payload, Context.ACK, Acks))
            elif topic == topics.claim_answer(device):
                self._claims.answered(self._open(payload, Context.CLAIM_ANSWER, ClaimAnswer))
            elif topic == topics.command(device):
                if self._commands.came(at_s, self._open_command(payload)):
                    self._send_status_if_heard(at_s)
            elif topic == topics.hub_birth():
                self._on_hub_status(at_s, self._open(payload, Context.STATUS, Status))
            elif topic == topics.feed(scope):
                self._down.fed(at_s, self._open(payload, Context.FEED, FeedBatch))
            elif topic == topics.batch(device):
                self._down.answered(at_s, payload)
            elif topic == topics.feed_head(scope):
                self._down.headed(at_s, self._open(payload, Context.FEED_HEAD, FeedHead))
            elif topic == topics.hub_keys():
                self._on_hub_keys(payload)
            else:
                self._out.refuse(at_s, "unexpected topic", topic)
        except (Forged, Malformed, Unfit) as refusal:
            self._out.refuse(at_s, topic, str(refusal))

    def _open(self, payload: bytes, context: Context, kind: type[_T]) -> _T:
        return open_signed(payload, self._trust.keys, context, kind)

    def _open_command(self, payload: bytes) -> Command:
        if len(payload) > MAX_COMMAND_BYTES:
            raise Unfit(f"{len(payload)} bytes, expected at most {MAX_COMMAND_BYTES}")
        return self._open(payload, Context.COMMAND, Command)

    def _on_hub_keys(self, payload: bytes) -> None:
        trust = self._trust.told(payload)
        if trust is not self._trust:
            self._trust = trust
            self._out.count("hub_keys")
            self._out.add(KeepHubKeys(payload))

    def _on_hub_status(self, at_s: float, status: Status) -> None:
        if status.device != self._config.hub_kid:
            raise Unfit(f"expected the status of {self._config.hub_kid!r}, got {status.device[:40]!r}")
        birth = f"{status.epoch}/{status.boot_id}/{status.time}" if status.online else ""
        if not birth or birth == self._hub_birth:
            return
        self._hub_birth = birth
        self._out.count("hub_births")
        for up in self._up.values():
            up.rewind()
            up.wait_s = self._config.resend_first_s
        self._claims.again(at_s)
        if Connection.ROUTINE in self._out.connected:
            self._send_status(at_s)
            self._send_head(at_s)
            self._down.connected(at_s)

    # --- facts up -----------------------------------------------------------------------------------------

    def _head_of(self, stream: Stream) -> int:
        return self._heads[stream].seq if stream in self._heads else 0

    def _know_heads(self, heads: tuple[StreamHead, ...], position: int) -> None:
        self._heads = {head.stream: head for head in heads}
        self._position = position
        for up in self._up.values():
            up.head = self._head_of(up.stream)

    def _pump(self, up: _Upward) -> None:
        """Ask the journal for what may be sent next, one reading at a time."""
        if CONNECTION_OF[up.stream] not in self._out.connected or up.reading or self._beginning_epoch:
            return
        config = self._config
        while up.again:
            first, last = max(up.again[0][0], up.acked + 1), up.again[0][1]
            if first > last:
                up.again.pop(0)
                continue
            up.reading = (first, last)
            wanted = min(last - first + 1, config.read_facts)
            self._out.add(ReadFacts(up.stream, first, wanted, up.window.size_bytes))
            return
        # Half a window at once: reading for less would cut payloads short, or encode facts twice.
        room = up.window.size_bytes - up.in_flight_bytes
        if up.ask and (not up.flights or 2 * room >= up.window.size_bytes):
            up.reading = (up.next, None)
            max_bytes = max(1, int(room * BODY_SHARE))
            self._out.add(ReadFacts(up.stream, up.next, config.read_facts, max_bytes))

    def _on_facts(self, at_s: float, event: FactsRead) -> None:
        up = self._up[event.stream]
        if event.epoch != self._epoch or up.reading is None or event.from_seq != up.reading[0]:
            return
        (first, through), up.reading = up.reading, None
        self._know_heads(event.heads, event.position)
        facts = event.facts
        if facts:
            up.head = max(up.head, facts[-1].seq)
        if facts and facts[0].seq == first:
            if through is None:
                self._send_next(at_s, up, facts)
            else:
                self._send_again(at_s, up, facts, through)
        elif first <= up.head:
            # The hub lacks a fact that was let go, because it was restored from too old a backup, or the row
            # is lost. The stream cannot go on in this epoch; nothing is skipped without a word (G4).
            self._later(at_s, up)
            self._out.count("facts_gone")
            lacking = f"the hub has {up.stream.value} up to {up.acked}"
            self._epoch_why = f"{lacking}, and fact {first} is no longer in the journal"
        else:
            up.ask = False

    def _later(self, at_s: float, up: _Upward) -> None:
        up.ask = False
        up.again = []
        up.resend_at_s = at_s + up.wait_s

    def _send_next(self, at_s: float, up: _Upward, facts: tuple[Fact, ...]) -> None:
        for run in self._runs(at_s, up, facts):
            if run.first > facts[0].seq and run.last == facts[-1].seq < up.head:
                # The rest of what was read: with what comes after it makes a full payload next time.
                break
            payload = self._payload_of(at_s, up.stream, run)
            if up.flights and up.in_flight_bytes + len(payload) > up.window.size_bytes:
                break
            self._publish_facts(up.stream, payload)
            up.flights.append(_Flight(run.first, run.last, len(payload), at_s))
            up.next = run.last + 1
        if up.next > facts[-1].seq:
            up.ask = up.next <= up.head
        if up.flights:
            up.resend_at_s = up.resend_at_s or at_s + up.wait_s
            self._send_head(at_s)

    def _send_again(self, at_s: float, up: _Upward, facts: tuple[Fact, ...], through: int) -> None:
        last = 0
        for run in self._runs(at_s, up, facts):
            self._publish_facts(up.stream, self._payload_of(at_s, up.stream, run))
            self._out.count("facts_sent_again", len(run.facts))
            last = run.last
            for flight in up.flights:
                if flight.first <= run.last and run.first <= flight.last:
                    flight.sent_at_s = at_s
        if up.again:
            if last and last < through:
                up.again[0] = (last + 1, through)
            else:
                up.again.pop(0)
        if up.flights and up.resend_at_s is None:
            up.resend_at_s = at_s + up.wait_s

    def _runs(self, at_s: float, up: _Upward, facts: tuple[Fact, ...]) -> Iterable[Run]:
        # Two payloads a window at least: while one is acknowledged the other is under way.
        fitting = max(up.window.size_bytes // 2, self._config.narrowest_window_bytes // 2)
        try:
            yield from runs(facts, payload_bytes=self._config.payload_bytes, wanted_bytes=fitting)
        except FactTooLong as error:
            self._later(at_s, up)
            self._out.refuse(at_s, self._config.topics.facts(self._config.device, up.stream), str(error))

    def _payload_of(self, at_s: float, stream: Stream, run: Run) -> bytes:
        last, time = run.facts[-1], self._utc_at(at_s)
        heads = {**self._heads, stream: StreamHead(stream, last.seq, last.hash)}
        checkpoint = Checkpoint(self._config.device, last.epoch, last.position, tuple(heads.values()), time)
        return pack(run, self._signer.sign(Context.CHECKPOINT, to_json(checkpoint).decode()), time=time)

    def _publish_facts(self, stream: Stream, payload: bytes) -> None:
        topic = self._config.topics.facts(self._config.device, stream)
        self._out.add(Publish(CONNECTION_OF[stream], topic, payload))

    def _send_head(self, at_s: float) -> None:
        if Connection.ROUTINE not in self._out.connected:
            return
        config = self._config
        heads = tuple(self._heads.values())
        checkpoint = Checkpoint(config.device, self._epoch, self._position, heads, self._utc_at(at_s))
        payload = signed_payload(self._signer, Context.CHECKPOINT, checkpoint)
        self._out.add(Publish(Connection.ROUTINE, config.topics.head(config.device), payload, retain=True))

    def _on_acks(self, at_s: float, acks: Acks) -> None:
        for ack in acks.acks:
            self._fit(ack)
        if acks.archive_id and self._commands.nonce and acks.nonce == self._commands.nonce:
            # Whoever quotes the nonce of this connection speaks now: a recorded word of any archive cannot.
            if (acks.archive_id, acks.backup_interval_s) != (self._archive_id, self._backup_interval_s):
                counter = max((ack.counter for ack in acks.acks), default=0)
                self._backup_interval_s = acks.backup_interval_s
                self._out.add(MeetArchive(acks.archive_id, counter, acks.backup_interval_s))
        elif any(ack.archive_id != self._archive_id for ack in acks.acks):
            self._out.count("acks_of_another_archive")
            self._status_soon(at_s)
        for ack in acks.acks:
            self._out.add(ApplyAck(ack))

    def _fit(self, ack: Ack) -> None:
        if ack.device != self._config.device:
            raise Unfit(f"expected an acknowledgement for {self._config.device}, got {ack.device[:40]!r}")
        before = ack.contiguous
        for first, last in ack.missing:
            if not before < first <= last:
                raise Unfit("expected missing ranges in order, after the contiguous number")
            before = last

    def _on_ack_applied(self, at_s: float, event: AckApplied) -> None:
        ack, outcome = event.ack, event.outcome
        self._out.count(f"ack_{outcome.value}")
        for stream, acked in event.acked:
            self._move_acked(at_s, self._up[stream], acked)
        match outcome:
            case AckOutcome.APPLIED:
                self._note_missing(at_s, self._up[ack.stream], ack)
                if 0 < ack.branched <= self._up[ack.stream].head:
                    self._epoch_why = f"the hub holds another fact under {ack.stream.value}/{ack.branched}"
            case AckOutcome.AHEAD | AckOutcome.DIFFERS:
                ours = self._up[ack.stream].head
                self._epoch_why = (
                    f"the acknowledgement of {ack.stream.value}/{ack.contiguous} is {outcome.value}; "
                    f"our head is {ours}"
                )
            case AckOutcome.OLDER | AckOutcome.OTHER_EPOCH:
                pass
            case _:
                assert_never(outcome)

    def _move_acked(self, at_s: float, up: _Upward, acked: int) -> None:
        if acked == up.acked:
            return
        progress = acked > up.acked
        up.acked = acked
        if not progress:
            # A hub made anew or restored: what it lacks is owed again (G4).
            self._out.count("acked_moved_back")
            up.rewind()
            up.wait_s = self._config.resend_first_s
            return
        through = [flight for flight in up.flights if flight.last <= acked]
        up.flights = [flight for flight in up.flights if flight.last > acked]
        if through:
            up.window.acknowledged(
                at_s,
                sum(flight.size_bytes for flight in through),
                sent_at_s=through[0].sent_at_s,
                delay_s=at_s - through[-1].sent_at_s,
                full=up.next <= up.head,
                idle=not up.flights,
            )
        if up.next <= acked:
            up.next = acked + 1
        up.wait_s = self._config.resend_first_s
        up.resend_at_s = at_s + up.wait_s if up.flights else None
        if not up.flights:
            up.missing = ()
            up.missing_at_s = None
        up.ask = up.ask or up.next <= up.head

    def _note_missing(self, at_s: float, up: _Upward, ack: Ack) -> None:
        sent = up.next - 1
        up.missing = tuple(
            (first, min(last, sent)) for first, last in ack.missing if up.acked < first <= sent
        )
        touched = [flight.sent_at_s for flight in up.flights if _touches(flight, up.missing)]
        up.missing_at_s = max(at_s, max(touched) + self._config.missing_patience_s) if touched else None

    def _resend_missing(self, at_s: float, up: _Upward) -> None:
        up.missing_at_s = None
        if not up.again:
            self._out.count("missing_resends")
            up.again = list(up.missing)

    def _resend_all(self, at_s: float, up: _Upward) -> None:
        """No progress all the wait: what the hub is not known to hold goes up again, and we wait longer."""
        self._out.count("resends")
        up.window.begin_again()
        missing, sent = up.missing, up.next - 1
        if missing and up.flights:
            tail = missing[-1][1] + 1
            up.again = [*missing, *([(tail, sent)] if tail <= sent else [])]
            up.missing_at_s = None
        else:
            up.rewind()
        up.wait_s = min(up.wait_s * 2, self._config.resend_longest_s)
        up.resend_at_s = at_s + up.wait_s if up.flights else None

    def _on_epoch(self, at_s: float, event: EpochBegun) -> None:
        self._beginning_epoch = False
        self._epoch_why = ""
        self._epoch = event.epoch
        self._know_heads(event.heads, event.position)
        acked = dict(event.acked)
        for up in self._up.values():
            up.acked = acked.get(up.stream, 0)
            up.rewind()
            up.wait_s = self._config.resend_first_s
        self._out.notify(EpochBegan(event.epoch, event.why))
        self._send_head(at_s)
        self._status_soon(at_s)
        self._on_issued(at_s, event.left_to_issue)

    def _on_issued(self, at_s: float, left: int) -> None:
        self._left_to_issue = left
        self._issue_at_s = at_s + self._config.issue_every_s if left else None
        for up in self._up.values():
            up.ask = True

    # --- status -------------------------------------------------------------------------------------------

    def _status_soon(self, at_s: float) -> None:
        if Connection.ROUTINE in self._out.connected:
            soon = max(at_s, self._status_sent_s + self._config.status_quiet_s)
            self._status_at_s = min(soon, self._status_at_s or soon)

    def _send_status_if_heard(self, at_s: float) -> None:
        if Connection.ROUTINE in self._out.connected:
            self._send_status(at_s)

    def _send_status(self, at_s: float) -> None:
        self._status_sent_s = at_s
        self._status_at_s = at_s + self._config.status_every_s
        topic, payload = (
            self._config.topics.status(self._config.device),
            self._status_payload(at_s, online=True),
        )
        self._out.add(Publish(Connection.ROUTINE, topic, payload, retain=True))

    def _status_payload(self, at_s: float, *, online: bool) -> bytes:
        config, current = self._config, self._down.current
        status = Status(
            device=config.device,
            online=online,
            version=config.version,
            config_digest=config.config_digest,
            boot_id=config.boot_id,
            epoch=self._epoch,
            health=self._health,
            records={config.scope: current.number} if current else {},
            digests={config.scope: current.digest} if current else {},
            backlog=self.backlog,
            nonce=self._commands.nonce if online else "",
            time=self._utc_at(at_s),
        )
        return signed_payload(self._signer, Context.STATUS, status)

    # --- failures and refusals ----------------------------------------------------------------------------

    def _on_store_failed(self, at_s: float, event: StoreFailed) -> None:
        config = self._config
        self._out.mutable(at_s, MutedKey(StoreTrouble, event.work.value), event.why)
        match event.work:
            case Work.READ_FACTS:
                for up in self._up.values():
                    if event.stream in (None, up.stream):
                        up.rewind()
                        up.ask = False
                        up.resend_at_s = at_s + up.wait_s
                        up.wait_s = min(up.wait_s * 2, config.resend_longest_s)
            case Work.MEET_ARCHIVE:
                self._backup_interval_s = -1.0
            case Work.ISSUE_AGAIN:
                self._issue_at_s = at_s + config.resend_first_s
            case Work.APPLY_ACK | Work.OPEN_RECORDS | Work.KEEP_HUB_KEYS:
                # Statements are retained at the broker and come again with every connection.
                pass
            case Work.BEGIN_EPOCH:
                self._beginning_epoch = False
            case (
                Work.NOTE_VERIFIED
                | Work.APPLY_BATCH
                | Work.SNAPSHOT
                | Work.SURVEY
                | Work.MEND
                | Work.BEGIN_GENERATION
                | Work.ADOPT_GENERATION
            ):
                self._down.failed(at_s, event.work, event.why)
            case _:
                assert_never(event.work)

    # --- time ---------------------------------------------------------------------------------------------

    def _run_timers(self, at_s: float) -> None:
        for up in self._up.values():
            if CONNECTION_OF[up.stream] in self._out.connected:
                if is_due(up.missing_at_s, at_s):
                    self._resend_missing(at_s, up)
                if is_due(up.resend_at_s, at_s):
                    self._resend_all(at_s, up)
        if Connection.ALARM in self._out.connected:
            self._claims.run(at_s)
        self._down.run(at_s)
        if Connection.ROUTINE in self._out.connected:
            self._down.run_feed(at_s)
            if is_due(self._status_at_s, at_s):
                self._send_status(at_s)
        if (
            self._epoch_why
            and not self._beginning_epoch
            and not self._left_to_issue
            and (self._epoch_ok_s is None or is_due(self._epoch_ok_s, at_s))
        ):
            self._beginning_epoch = True
            self._epoch_ok_s = at_s + self._config.epoch_every_s
            self._out.add(BeginEpoch(self._epoch_why))
        if is_due(self._issue_at_s, at_s):
            self._issue_at_s = None
            self._out.add(IssueAgain(self._config.issue_facts))
        self._out.run(at_s)

    def _ask_to_wake(self) -> None:
        times = self._out.due()
        for up in self._up.values():
            if CONNECTION_OF[up.stream] in self._out.connected:
                times += [up.resend_at_s, up.missing_at_s]
        if Connection.ALARM in self._out.connected:
            times += self._claims.due()
        times += self._down.due()
        if Connection.ROUTINE in self._out.connected:
            times.append(self._status_at_s)
        times.append(self._issue_at_s)
        if self._epoch_why and not self._beginning_epoch and not self._left_to_issue:
            times.append(self._epoch_ok_s)
        wake_at_s = min((time for time in times if time is not None), default=None)
        if wake_at_s != self._wake_at_s:
            self._wake_at_s = wake_at_s
            self._out.add(WakeAt(wake_at_s))


def _touches(flight: _Flight, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(flight.first <= last and first <= flight.last for first, last in ranges)
