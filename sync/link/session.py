"""The edge's end of the link as a pure machine: events in, effects out. No clock, no thread, no I/O.

The broker carries no guarantee (DESIGN 5.2): it may lose, double, delay, reorder, forget and invent. What this
session relies on is its own journal, signatures, numbers and timers:

- a fact is sent until the hub's signed acknowledgement covers it; the journal, not this session, decides
  whether an acknowledgement is honest (G3, G4);
- records are taken strictly in order; a gap is pulled, a difference at equal numbers is answered by building
  a new generation beside the old one, which stays until the new one is proved equal (G1, G5);
- whatever is unsigned, of another key, scope or device, older, malformed or too long is refused, counted and
  reported at most once a minute a topic (G11). No payload can make `step` raise.

Times (`at_s`) are monotonic seconds of the caller's clock.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import assert_never

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sync.link.envelope import (
    MAX_NAME,
    MAX_NUMBER,
    FactTooLong,
    Run,
    open_signed,
    pack,
    runs,
    signed_payload,
)
from sync.link.keys import HUB_KID, Forged, Signer
from sync.link.messages import (
    MAX_MISSING_RANGES,
    MAX_PAYLOAD_BYTES,
    Ack,
    Acks,
    ChangeOp,
    Checkpoint,
    ClaimAnswer,
    ClaimRequest,
    ClaimVerdict,
    Context,
    FeedBatch,
    FeedHead,
    Pull,
    Status,
    StreamHead,
    Topics,
)
from sync.vocabulary.codec import Malformed, to_json
from sync.vocabulary.facts import Fact, Stream
from sync.vocabulary.numbers import UtcText

MAX_CLAIMS = 64
"""A lane has one claim at a time; more than this is a fault and the oldest are given up."""
MAX_ACKS = 64
HASH_DIGITS = 64
DIGEST_DIGITS = 32
MAX_WHY = 200


class Connection(enum.StrEnum):
    """Two connections, so that an alarm never waits behind a backlog (G9)."""

    ALARM = "alarm"
    """Alarm facts, claims, and everything small that comes down: acknowledgements, answers, the hub's birth."""
    ROUTINE = "routine"
    """Routine facts, records, status and head."""


CONNECTION_OF: dict[Stream, Connection] = {
    Stream.ALARM: Connection.ALARM,
    Stream.ROUTINE: Connection.ROUTINE,
}


class AckOutcome(enum.StrEnum):
    """What the journal made of an acknowledgement."""

    APPLIED = "applied"
    OLDER = "older"
    OTHER_EPOCH = "other_epoch"
    AHEAD = "ahead"
    DIFFERS = "differs"


class ApplyOutcome(enum.StrEnum):
    """What the records made of a batch."""

    APPLIED = "applied"
    ALREADY = "already"
    GAP = "gap"
    OTHER_EPOCH = "other_epoch"


@dataclass(frozen=True, slots=True)
class FeedSeen:
    """Where one generation of the records stands."""

    generation: int
    epoch: str
    number: int
    rows: int
    digest: str
    """32 hex digits."""
    verified_utc: str = ""
    """`issued` of the last head that was proved equal to it; empty when none was."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What journal and records hold when a session begins."""

    epoch: str
    position: int
    heads: tuple[StreamHead, ...]
    acked: tuple[tuple[Stream, int], ...]
    current: FeedSeen | None = None
    """The generation the journal names."""
    building: FeedSeen | None = None
    """An unfinished generation left by an earlier run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionConfig:
    """Who we are, and every duration (seconds) and size (bytes) of the conversation."""

    device: str
    topics: Topics
    scope: str
    hub_kid: str = HUB_KID
    version: str = ""
    config_digest: str = ""
    boot_id: str = ""
    resend_first_s: float = 5.0
    resend_longest_s: float = 300.0
    missing_patience_s: float = 1.0
    """A range the hub misses is sent again once, when its last sending is at least this old."""
    claim_retry_s: float = 1.0
    pull_first_s: float = 5.0
    pull_longest_s: float = 300.0
    pull_quiet_s: float = 0.5
    """Behind the head and no batch for this long after the last one: ask for the rest."""
    rebuild_first_s: float = 60.0
    rebuild_longest_s: float = 3600.0
    """Between rebuilds of records that will not come out equal."""
    epoch_every_s: float = 60.0
    """At most one new epoch in this time, whatever acknowledgements say."""
    status_every_s: float = 30.0
    status_quiet_s: float = 1.0
    refused_every_s: float = 60.0
    window_bytes: int = 256 * 1024
    """Unacknowledged payload bytes in flight, each stream."""
    payload_bytes: int = MAX_PAYLOAD_BYTES
    read_facts: int = 1000

    def subscriptions(self, connection: Connection) -> tuple[str, ...]:
        """Topics to subscribe before `Connected` is reported."""
        topics = self.topics
        match connection:
            case Connection.ALARM:
                return topics.ack(self.device), topics.claim_answer(self.device), topics.hub_birth()
            case Connection.ROUTINE:
                return topics.feed(self.scope), topics.feed_head(self.scope), topics.batch(self.device)
            case _:
                assert_never(connection)


# --- events -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Connected:
    """Connected and subscribed, with a clean session."""

    connection: Connection


@dataclass(frozen=True, slots=True)
class Disconnected:
    connection: Connection
    why: str = ""


@dataclass(frozen=True, slots=True)
class ConnectionRefused:
    """The broker, or our own TLS check of it, said no: nobody will fix this by waiting."""

    connection: Connection
    why: str


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passed."""


@dataclass(frozen=True, slots=True)
class FactsWaiting:
    """Something was committed."""


@dataclass(frozen=True, slots=True)
class FactsRead:
    """Answer to `ReadFacts`: facts in order, and the journal's heads read after them."""

    stream: Stream
    epoch: str
    facts: tuple[Fact, ...]
    heads: tuple[StreamHead, ...]
    position: int


@dataclass(frozen=True, slots=True)
class Received:
    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Overflowed:
    """So many messages were dropped unread: they came faster than they could be handled."""

    times: int


@dataclass(frozen=True, slots=True)
class AckApplied:
    ack: Ack
    outcome: AckOutcome


@dataclass(frozen=True, slots=True)
class EpochBegun:
    epoch: str
    heads: tuple[StreamHead, ...]
    position: int
    why: str


@dataclass(frozen=True, slots=True)
class BatchApplied:
    outcome: ApplyOutcome
    state: FeedSeen


@dataclass(frozen=True, slots=True)
class GenerationBegun:
    state: FeedSeen


@dataclass(frozen=True, slots=True)
class GenerationAdopted:
    state: FeedSeen


class Work(enum.StrEnum):
    """What the store was asked to do."""

    READ_FACTS = "read_facts"
    APPLY_ACK = "apply_ack"
    BEGIN_EPOCH = "begin_epoch"
    APPLY_BATCH = "apply_batch"
    BEGIN_GENERATION = "begin_generation"
    ADOPT_GENERATION = "adopt_generation"
    NOTE_VERIFIED = "note_verified"


@dataclass(frozen=True, slots=True)
class StoreFailed:
    """The store could not do it: a full disk, a damaged file. Nothing was changed."""

    work: Work
    why: str
    stream: Stream | None = None


@dataclass(frozen=True, slots=True)
class ClaimAsked:
    request: ClaimRequest


@dataclass(frozen=True, slots=True)
class ClaimWithdrawn:
    claim_id: str


@dataclass(frozen=True, slots=True)
class StatusChanged:
    health: Mapping[str, str]


LinkEvent = (
    Connected
    | Disconnected
    | ConnectionRefused
    | Tick
    | FactsWaiting
    | FactsRead
    | Received
    | Overflowed
    | AckApplied
    | EpochBegun
    | BatchApplied
    | GenerationBegun
    | GenerationAdopted
    | StoreFailed
    | ClaimAsked
    | ClaimWithdrawn
    | StatusChanged
)


# --- notices: what the rest of the program hears ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LinkUp:
    """Both connections stand."""


@dataclass(frozen=True, slots=True)
class LinkDown:
    why: str


@dataclass(frozen=True, slots=True)
class LinkRefused:
    """Wrong credentials, wrong certificate, forbidden: a person must look."""

    connection: Connection
    why: str
    times: int


@dataclass(frozen=True, slots=True)
class ClaimAnswered:
    claim_id: str
    passage: int
    verdict: ClaimVerdict
    why: str


@dataclass(frozen=True, slots=True)
class RecordsMoved:
    """Readers reopen: the journal now names another generation, proved equal to the centre's."""

    scope: str
    epoch: str
    number: int
    generation: int
    why: str


@dataclass(frozen=True, slots=True)
class RecordsDiffer:
    """At the same number our records are not the centre's; a new generation is being built."""

    scope: str
    epoch: str
    number: int
    ours: str
    theirs: str


@dataclass(frozen=True, slots=True)
class EpochBegan:
    """The journal and the hub disagreed; unacknowledged facts go up again in a new epoch (G4)."""

    epoch: str
    why: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A message, or `times` of them since the last such notice, was refused; `why` is the latest reason."""

    topic: str
    why: str
    times: int


@dataclass(frozen=True, slots=True)
class StoreTrouble:
    work: Work
    why: str
    times: int


Notice = (
    LinkUp
    | LinkDown
    | LinkRefused
    | ClaimAnswered
    | RecordsMoved
    | RecordsDiffer
    | EpochBegan
    | Refused
    | StoreTrouble
)


# --- effects ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Publish:
    """QoS 1."""

    connection: Connection
    topic: str
    payload: bytes
    retain: bool = False


@dataclass(frozen=True, slots=True)
class ReadFacts:
    """Answered with `FactsRead` or `StoreFailed`."""

    stream: Stream
    from_seq: int
    max_facts: int
    max_bytes: int


@dataclass(frozen=True, slots=True)
class ApplyAck:
    ack: Ack


@dataclass(frozen=True, slots=True)
class BeginEpoch:
    why: str


@dataclass(frozen=True, slots=True)
class ApplyBatch:
    generation: int
    batch: FeedBatch


@dataclass(frozen=True, slots=True)
class BeginGeneration:
    """Make an empty generation beside the current one; any unfinished one is thrown away."""

    scope: str
    epoch: str


@dataclass(frozen=True, slots=True)
class AdoptGeneration:
    """It is proved equal: the journal shall name it."""

    generation: int


@dataclass(frozen=True, slots=True)
class NoteVerified:
    generation: int
    issued: str
    """UTC text of the head: records are as old as the head that proved them, not as its arrival."""


@dataclass(frozen=True, slots=True)
class Notify:
    notice: Notice


@dataclass(frozen=True, slots=True)
class WakeAt:
    """Send `Tick` at this time; replaces the one before. None: nothing is due."""

    at_s: float | None


LinkEffect = (
    Publish
    | ReadFacts
    | ApplyAck
    | BeginEpoch
    | ApplyBatch
    | BeginGeneration
    | AdoptGeneration
    | NoteVerified
    | Notify
    | WakeAt
)


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


@dataclass(slots=True)
class _Downward:
    """The records of one scope on their way down."""

    current: FeedSeen | None
    building: FeedSeen | None
    handed: int
    """Last number given to the records; ahead of `target.number` until they answer."""
    issued: str
    """Of the newest head accepted; older ones are refused."""
    pull_wait_s: float
    rebuild_wait_s: float
    head: FeedHead | None = None
    heard: int = 0
    """Highest number seen in a signed batch of the target's epoch."""
    pull_at_s: float | None = None
    rebuild_at_s: float | None = None
    rebuild_ok_s: float = 0.0
    why: str = ""
    """Why a generation is being built."""
    starting: bool = False
    adopting: bool = False
    noted: str = ""

    @property
    def target(self) -> FeedSeen | None:
        return self.building or self.current


@dataclass(slots=True)
class _Claim:
    request: ClaimRequest
    payload: bytes
    due_s: float


@dataclass(slots=True)
class _Muted:
    """A kind of notice that was given and waits before it is given again."""

    until_s: float
    times: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class _MutedKey:
    kind: type[Refused] | type[LinkRefused] | type[StoreTrouble]
    name: str


class EdgeSession:
    """One device's conversation with its hub. Give it every event in order and perform every effect in order."""

    def __init__(
        self,
        config: SessionConfig,
        *,
        signer: Signer,
        keys: Mapping[str, Ed25519PublicKey],
        utc_at: Callable[[float], str],
        opened: Opened,
    ) -> None:
        """`keys` hold the hub's key under its name. `utc_at` turns the caller's seconds into UTC text."""
        self._config = config
        self._signer = signer
        self._keys = {config.hub_kid: keys[config.hub_kid]}
        self._utc_at = utc_at
        self._epoch = opened.epoch
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
            )
            for stream in Stream
        }
        target = opened.building or opened.current
        self._down = _Downward(
            current=opened.current,
            building=opened.building,
            handed=target.number if target else 0,
            issued=opened.current.verified_utc if opened.current else "",
            pull_wait_s=config.pull_first_s,
            rebuild_wait_s=config.rebuild_first_s,
            why="continued" if opened.building else "",
        )
        self._claims: dict[str, _Claim] = {}
        self._answered: dict[str, None] = {}
        self._connected: set[Connection] = set()
        self._up_told = False
        self._hub_birth = ""
        self._health: dict[str, str] = {}
        self._status_at_s: float | None = None
        self._status_sent_s = -1e9
        self._epoch_ok_s: float | None = None
        self._beginning_epoch = False
        self._muted: dict[_MutedKey, _Muted] = {}
        self._counts: dict[str, int] = {}
        self._wake_at_s: float | None = None
        self._effects: list[LinkEffect] = []

    # --- to look at ---------------------------------------------------------------------------------------

    @property
    def counts(self) -> Mapping[str, int]:
        """How often what happened, by name: refusals, resends, gaps, unknown claims."""
        return dict(self._counts)

    @property
    def in_flight_bytes(self) -> Mapping[Stream, int]:
        return {stream: up.in_flight_bytes for stream, up in self._up.items()}

    @property
    def backlog(self) -> int:
        """Committed facts without an acknowledgement, as far as heads were read."""
        return sum(max(0, up.head - up.acked) for up in self._up.values())

    def will(self, at_s: float) -> tuple[str, bytes]:
        """Topic and payload of the last will, retained, for the routine connection."""
        return self._config.topics.status(self._config.device), self._status_payload(at_s, online=False)

    # --- the machine --------------------------------------------------------------------------------------

    def step(self, at_s: float, event: LinkEvent) -> tuple[LinkEffect, ...]:
        self._effects = []
        match event:
            case Connected(connection):
                self._on_connected(at_s, connection)
            case Disconnected(connection, why):
                self._on_disconnected(connection, why)
            case ConnectionRefused(connection, why):
                self._mutable(at_s, _MutedKey(LinkRefused, connection.value), why)
            case Tick():
                pass
            case FactsWaiting():
                for up in self._up.values():
                    up.ask = True
            case FactsRead():
                self._on_facts(at_s, event)
            case Received(topic, payload):
                self._on_message(at_s, topic, payload)
            case Overflowed(times):
                self._refuse(at_s, "link", "messages came faster than they could be handled", times=times)
            case AckApplied(ack, outcome):
                self._on_ack_applied(at_s, ack, outcome)
            case EpochBegun():
                self._on_epoch(event)
            case BatchApplied(outcome, state):
                self._on_batch_applied(at_s, outcome, state)
            case GenerationBegun(state):
                self._on_generation_begun(at_s, state)
            case GenerationAdopted(state):
                self._on_generation_adopted(state)
            case StoreFailed():
                self._on_store_failed(at_s, event)
            case ClaimAsked(request):
                self._on_claim_asked(at_s, request)
            case ClaimWithdrawn(claim_id):
                if self._claims.pop(claim_id, None) is not None:
                    self._remember_answered(claim_id)
            case StatusChanged(health):
                self._health = {key[:MAX_NAME]: value[:MAX_NAME] for key, value in health.items()}
                self._status_soon(at_s)
            case _:
                assert_never(event)
        self._run_timers(at_s)
        for up in self._up.values():
            self._pump(up)
        self._ask_to_wake()
        return tuple(self._effects)

    def _on_connected(self, at_s: float, connection: Connection) -> None:
        self._connected.add(connection)
        for up in self._up.values():
            if CONNECTION_OF[up.stream] is connection:
                up.rewind()
                up.wait_s = self._config.resend_first_s
        match connection:
            case Connection.ALARM:
                for claim in self._claims.values():
                    claim.due_s = at_s
            case Connection.ROUTINE:
                self._send_status(at_s)
                self._send_head(at_s)
                self._pull_after_reconnect(at_s)
            case _:
                assert_never(connection)
        if len(self._connected) == len(Connection) and not self._up_told:
            self._up_told = True
            self._notify(LinkUp())

    def _on_disconnected(self, connection: Connection, why: str) -> None:
        self._connected.discard(connection)
        for up in self._up.values():
            if CONNECTION_OF[up.stream] is connection:
                up.rewind()
        if connection is Connection.ROUTINE:
            self._down.pull_at_s = None
            self._status_at_s = None
        if self._up_told:
            self._up_told = False
            self._notify(LinkDown(why[:MAX_WHY] or f"the {connection.value} connection was lost"))

    def _on_message(self, at_s: float, topic: str, payload: bytes) -> None:
        config = self._config
        topics, device, scope = config.topics, config.device, config.scope
        if not payload:
            # A broker tells that a retained message was cleared; that is nobody's statement.
            self._count("cleared")
            return
        try:
            if topic == topics.ack(device):
                self._on_acks(self._open(payload, Context.ACK, Acks))
            elif topic == topics.claim_answer(device):
                self._on_answer(self._open(payload, Context.CLAIM_ANSWER, ClaimAnswer))
            elif topic == topics.hub_birth():
                self._on_hub_status(at_s, self._open(payload, Context.STATUS, Status))
            elif topic in (topics.feed(scope), topics.batch(device)):
                self._on_batch(at_s, self._open(payload, Context.FEED, FeedBatch))
            elif topic == topics.feed_head(scope):
                self._on_head(at_s, self._open(payload, Context.FEED_HEAD, FeedHead))
            else:
                self._refuse(at_s, "unexpected topic", topic)
        except (Forged, Malformed, _Unfit) as refusal:
            self._refuse(at_s, topic, str(refusal))

    def _open(self, payload: bytes, context: Context, kind: type[_T]) -> _T:
        return open_signed(payload, self._keys, context, kind)
