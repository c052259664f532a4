"""The edge's end of the link as a pure machine: events in, effects out. No clock, no thread, no I/O.

The broker carries no guarantee (DESIGN 5.2): it may lose, double, delay, reorder, forget and invent. What
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
import enum
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar, assert_never

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sync.link.envelope import (
    Run,
    open_signed,
    pack,
    read_signed,
    runs,
    signed_payload,
)
from sync.link.fetching import (
    MOST_BUCKETS,
    BeginSnapshot,
    BeginSurvey,
    DropSnapshot,
    Fetch,
    KeepPiece,
    Mend,
    Repair,
    SnapshotSeen,
    SnapshotWorked,
    Stage,
    Surveyed,
    SurveyWorked,
    WorkOnSnapshot,
    WorkOnSurvey,
    fault_of_manifest,
)
from sync.link.keys import HUB_KID, Forged, Signer, verify
from sync.link.messages import (
    MAX_COMMAND_BYTES,
    MAX_PAYLOAD_BYTES,
    Ack,
    Acks,
    BucketRows,
    BucketsAsked,
    BucketSums,
    ChangeOp,
    Checkpoint,
    ClaimAnswer,
    ClaimRequest,
    ClaimVerdict,
    Context,
    FeedBatch,
    FeedHead,
    PiecesAsked,
    Pull,
    SnapshotManifest,
    Status,
    StreamHead,
    Topics,
)
from sync.link.pieces import is_piece, read_piece
from sync.link.trust import Trust
from sync.link.window import Window
from sync.store.journal import AckOutcome
from sync.store.records import ApplyResult
from sync.vocabulary.bounds import MAX_NAME
from sync.vocabulary.codec import Malformed, decoder, strict_decoder, to_json
from sync.vocabulary.commands import Command, CommandResult, Outcome
from sync.vocabulary.facts import Fact, FactTooLong, Stream
from sync.vocabulary.numbers import UtcText

MAX_CLAIMS = 64
"""A lane has one claim at a time; more than this is a fault and the oldest are given up."""
MAX_WHY = 200
MAX_ANSWERED = 256
"""Claims no longer waiting that are remembered, so that a doubled answer is not counted as a stranger's."""
MAX_COMMANDS = 256
"""Commands of one nonce that are remembered. With one more the device takes a new nonce: whatever came before
is void then, and none of it has to be remembered to be known again."""
CLOCKS_APART_S = 10.0
"""The centre's clock may run ahead of ours by so much."""
BODY_SHARE = 0.6
"""Of a payload, about what bodies take before they are carried as strings inside an event."""

_T = TypeVar("_T")


class _Typed(msgspec.Struct, frozen=True):
    type: str = "feed"
    """Batches of the log, older than all else on their topic, say nothing."""


_read_typed = decoder(_Typed)
_read_batch = strict_decoder(FeedBatch)
_read_manifest = strict_decoder(SnapshotManifest)
_read_sums = strict_decoder(BucketSums)
_read_rows = strict_decoder(BucketRows)


class Connection(enum.StrEnum):
    """Connections of their own, so that an alarm never waits behind a backlog, nor a fact behind a picture
    (G9). This session speaks on the first two; blobs have a session of theirs (`blob_session`)."""

    ALARM = "alarm"
    """Alarm facts, claims, and what is small and comes down: acknowledgements, answers, the hub's birth."""
    ROUTINE = "routine"
    """Routine facts, records, status and head."""
    BLOBS = "blobs"
    """Evidence, and what the hub answers to it."""


CONNECTION_OF: dict[Stream, Connection] = {
    Stream.ALARM: Connection.ALARM,
    Stream.ROUTINE: Connection.ROUTINE,
}
_ALL_OURS = frozenset(CONNECTION_OF.values())


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
    trouble: str = ""
    """Why records the journal names could not be opened; they are built anew."""
    archive_id: str = ""
    """The archive whose word counts."""
    left_to_issue: int = 0
    """Facts of epochs that were left, still to be issued again in the current one."""
    fetching: bytes = b""
    """The signed manifest of a snapshot that an earlier run did not fetch to its end."""
    hub_keys: bytes = b""
    """The hub's key statements as last believed (`sync.link.trust`); empty while it has its first key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionConfig:
    """Who we are, and every duration (seconds) and size (bytes) of the conversation."""

    device: str
    topics: Topics
    scope: str
    hub_kid: str = HUB_KID
    key_statements: bytes = b""
    """Of our own signing key, for the hub; empty while it is the one pinned at enrolment."""
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
    pull_quiet_s: float = 0.2
    """Behind the head and no batch for this long after the last one: ask for the rest."""
    rebuild_first_s: float = 60.0
    rebuild_longest_s: float = 3600.0
    """Between rebuilds of records that will not come out equal."""
    snapshots: bool = True
    """Whether to take a snapshot where the hub offers one."""
    snapshot_again_s: float = 3600.0
    """After a snapshot that could not be used, the log alone for this long."""
    mend_patience_s: float = 20.0
    """A difference that is not mended, and nothing comes for this long: everything is built anew."""
    survey_every_s: float = 6 * 3600.0
    """How often the rows are summed up and compared with what the file says of itself."""
    survey_pause_s: float = 0.25
    """Between slices of a survey that nothing waits for."""
    issue_facts: int = 500
    issue_every_s: float = 0.05
    """After an epoch began: so many facts of the one before at once, and so long for others in between."""
    epoch_every_s: float = 60.0
    """At most one new epoch in this time, whatever acknowledgements say."""
    status_every_s: float = 30.0
    status_quiet_s: float = 1.0
    refused_every_s: float = 60.0
    window_bytes: int = 16 * 1024
    """Unacknowledged payload bytes in flight, each stream, to begin with and after a resend. From there on it
    is half a second of what is acknowledged (`sync.link.window`), within the next two."""
    widest_window_bytes: int = 1024 * 1024
    narrowest_window_bytes: int = 8 * 1024
    """On any line this much may be under way, or one fact that is longer."""
    payload_bytes: int = MAX_PAYLOAD_BYTES
    read_facts: int = 1000

    def subscriptions(self, connection: Connection) -> tuple[str, ...]:
        """Topics to subscribe before `Connected` is reported."""
        topics = self.topics
        match connection:
            case Connection.ALARM:
                # On both, and first: what else is retained may be signed by a key these statements bring.
                return (
                    topics.hub_keys(),
                    topics.ack(self.device),
                    topics.claim_answer(self.device),
                    topics.command(self.device),
                    topics.hub_birth(),
                )
            case Connection.ROUTINE:
                return (
                    topics.hub_keys(),
                    topics.feed(self.scope),
                    topics.feed_head(self.scope),
                    topics.batch(self.device),
                )
            case Connection.BLOBS:
                return (topics.blob_answer(self.device),)
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
    """Answer to `ReadFacts` of `from_seq`: facts in order, and the journal's heads read before them."""

    stream: Stream
    from_seq: int
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
    """What the journal made of an acknowledgement, and how far it holds each stream acknowledged since."""

    ack: Ack
    outcome: AckOutcome
    acked: tuple[tuple[Stream, int], ...]


@dataclass(frozen=True, slots=True)
class ArchiveMet:
    """Answer to `MeetArchive`: how far each stream is acknowledged now."""

    archive_id: str
    acked: tuple[tuple[Stream, int], ...]


@dataclass(frozen=True, slots=True)
class EpochBegun:
    epoch: str
    heads: tuple[StreamHead, ...]
    acked: tuple[tuple[Stream, int], ...]
    position: int
    why: str
    left_to_issue: int = 0


@dataclass(frozen=True, slots=True)
class IssuedAgain:
    """Answer to `IssueAgain`: more facts wait, and so many are left."""

    left: int


@dataclass(frozen=True, slots=True)
class BatchApplied:
    result: ApplyResult
    state: FeedSeen


@dataclass(frozen=True, slots=True)
class GenerationBegun:
    state: FeedSeen


@dataclass(frozen=True, slots=True)
class GenerationAdopted:
    state: FeedSeen


@dataclass(frozen=True, slots=True)
class RecordsMended:
    """Buckets were made the centre's; what that changed, and how the file stands now."""

    state: FeedSeen
    put: int
    deleted: int


class Work(enum.StrEnum):
    """What the store was asked to do."""

    OPEN_RECORDS = "open_records"
    READ_FACTS = "read_facts"
    APPLY_ACK = "apply_ack"
    MEET_ARCHIVE = "meet_archive"
    ISSUE_AGAIN = "issue_again"
    BEGIN_EPOCH = "begin_epoch"
    APPLY_BATCH = "apply_batch"
    BEGIN_GENERATION = "begin_generation"
    ADOPT_GENERATION = "adopt_generation"
    NOTE_VERIFIED = "note_verified"
    SNAPSHOT = "snapshot"
    SURVEY = "survey"
    MEND = "mend"
    KEEP_HUB_KEYS = "keep_hub_keys"


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
class CommandAnswered:
    """What became of a command. The last word counts: after `accepted` comes `done` or `refused`."""

    command_id: str
    outcome: Outcome
    why: str = ""


@dataclass(frozen=True, slots=True)
class StatusWanted:
    """Say it now, whatever is due."""


@dataclass(frozen=True, slots=True)
class ResyncWanted:
    """All records anew, beside the ones in force."""


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
    | ArchiveMet
    | EpochBegun
    | IssuedAgain
    | BatchApplied
    | GenerationBegun
    | GenerationAdopted
    | SnapshotSeen
    | SnapshotWorked
    | SurveyWorked
    | Surveyed
    | RecordsMended
    | StoreFailed
    | ClaimAsked
    | ClaimWithdrawn
    | CommandAnswered
    | StatusWanted
    | ResyncWanted
    | StatusChanged
)


# --- notices: what the rest of the program hears ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LinkUp:
    """Both connections of facts and records stand."""


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
class CommandCame:
    """Signed by the centre, for us, for this connection, in its time, and not seen before under this nonce.
    Whether it may be done is the program's to decide; `CommandAnswered` tells what became of it."""

    command: Command


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
    """At the same number our records are not the centre's, or our file's rows are not what it says of them;
    they are being mended or built anew."""

    scope: str
    epoch: str
    number: int
    ours: str
    theirs: str


@dataclass(frozen=True, slots=True)
class RecordsRepaired:
    """A difference was mended in place: these many buckets were fetched, and rows put and deleted."""

    scope: str
    epoch: str
    number: int
    buckets: tuple[int, ...]
    put: int
    deleted: int


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
class CertificateEnds:
    """Our certificate ends soon, or has; told once a day until it is renewed. Then nobody is let in."""

    file: str
    ends: str
    """UTC text."""
    days_left: int
    """Negative when it has ended."""


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
    | CommandCame
    | RecordsMoved
    | RecordsDiffer
    | RecordsRepaired
    | EpochBegan
    | Refused
    | CertificateEnds
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
class MeetArchive:
    """It spoke to us just now, quoting this connection's nonce: its word counts, and no other's."""

    archive_id: str
    counter: int
    backup_interval_s: float


@dataclass(frozen=True, slots=True)
class BeginEpoch:
    why: str


@dataclass(frozen=True, slots=True)
class IssueAgain:
    """A few of the facts that epochs left behind still owe: the lane waits no longer than for these."""

    most: int


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
class KeepHubKeys:
    """The hub has another key, vouched for by the one before: what is believed now must outlive a restart."""

    statements: bytes


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
    | MeetArchive
    | BeginEpoch
    | IssueAgain
    | ApplyBatch
    | BeginGeneration
    | AdoptGeneration
    | NoteVerified
    | BeginSnapshot
    | KeepPiece
    | WorkOnSnapshot
    | DropSnapshot
    | BeginSurvey
    | WorkOnSurvey
    | Mend
    | KeepHubKeys
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
    rebuild_ok_s: float | None = None
    """Not before this; None before the first."""
    why: str = ""
    """Why a generation is being built."""
    rebuild_why: str = ""
    """Why one is to be built at `rebuild_at_s`, whatever the numbers say then."""
    starting: bool = False
    adopting: bool = False
    noted: str = ""
    fetch: Fetch | None = None
    repair: Repair | None = None
    snapshots_ok_s: float | None = None
    """Not before this; None: at once."""
    survey_at_s: float | None = None
    """When the next survey begins, or goes on."""
    surveying: bool = False

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


class _Unfit(ValueError):
    """A signed message that makes no sense here; the text says what was expected."""


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
        self._trouble = opened.trouble
        self._left_over = opened.fetching
        self._claims: dict[str, _Claim] = {}
        self._answered: dict[str, None] = {}
        self._new_nonce = new_nonce
        self._nonce = ""
        self._commands: dict[str, bytes] = {}
        """Taken under this nonce: the last result's payload, empty before there is one."""
        self._connected: set[Connection] = set()
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
        self._effects = []
        if self._trouble:
            self._mutable(at_s, _MutedKey(StoreTrouble, Work.OPEN_RECORDS.value), self._trouble)
            self._trouble = ""
        match event:
            case Connected(connection):
                self._on_connected(at_s, connection)
            case Disconnected(connection, why):
                self._on_disconnected(connection, why)
            case ConnectionRefused(connection, why):
                self._mutable(at_s, _MutedKey(LinkRefused, connection.value), why)
            case Tick():
                self._work(at_s)
            case FactsWaiting():
                for up in self._up.values():
                    up.ask = True
            case FactsRead():
                self._on_facts(at_s, event)
            case Received(topic, payload):
                self._on_message(at_s, topic, payload)
            case Overflowed(times):
                self._refuse(at_s, "link", "messages came faster than they could be handled", times=times)
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
                self._on_batch_applied(at_s, result, state)
            case GenerationBegun(state):
                self._on_generation_begun(at_s, state)
            case GenerationAdopted(state):
                self._on_generation_adopted(state)
            case SnapshotSeen():
                self._on_snapshot_seen(at_s, event)
            case SnapshotWorked():
                if self._down.fetch is not None:
                    self._down.fetch.work_at_s = at_s
            case SurveyWorked():
                self._on_survey_worked(at_s)
            case Surveyed():
                self._on_surveyed(at_s, event)
            case RecordsMended():
                self._on_mended(at_s, event)
            case StoreFailed():
                self._on_store_failed(at_s, event)
            case ClaimAsked(request):
                self._on_claim_asked(at_s, request)
            case ClaimWithdrawn(claim_id):
                if self._claims.pop(claim_id, None) is not None:
                    self._remember_answered(claim_id)
            case CommandAnswered():
                self._on_command_answered(event)
            case StatusWanted():
                if Connection.ROUTINE in self._connected:
                    self._send_status(at_s)
            case ResyncWanted():
                self._resync(at_s)
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

    def _work(self, at_s: float) -> None:
        """The next slice of what takes long, after whatever else there was to do: all of a snapshot takes
        a minute, and no claim's answer and no alarm may wait for more than a slice (G9)."""
        fetch, repair = self._down.fetch, self._down.repair
        if fetch is not None and _due(fetch.work_at_s, at_s):
            fetch.work_at_s = None
            self._effects.append(WorkOnSnapshot())
        if repair is not None and _due(repair.work_at_s, at_s):
            repair.work_at_s = None
            self._effects.append(WorkOnSurvey())

    def _on_connected(self, at_s: float, connection: Connection) -> None:
        self._connected.add(connection)
        if self._config.key_statements and connection in _ALL_OURS:
            topic = self._config.topics.keys(self._config.device)
            self._effects.append(Publish(connection, topic, self._config.key_statements, retain=True))
        for up in self._up.values():
            if CONNECTION_OF[up.stream] is connection:
                up.rewind()
                up.wait_s = self._config.resend_first_s
        match connection:
            case Connection.ALARM:
                for claim in self._claims.values():
                    claim.due_s = at_s
                self._begin_nonce(at_s)
            case Connection.ROUTINE:
                self._send_status(at_s)
                self._send_head(at_s)
                self._pull_after_reconnect(at_s)
            case Connection.BLOBS:
                return
            case _:
                assert_never(connection)
        if not (_ALL_OURS - self._connected or self._up_told):
            self._up_told = True
            self._notify(LinkUp())

    def _on_disconnected(self, connection: Connection, why: str) -> None:
        if connection is Connection.BLOBS:
            return
        self._connected.discard(connection)
        for up in self._up.values():
            if CONNECTION_OF[up.stream] is connection:
                up.rewind()
        if connection is Connection.ROUTINE:
            self._down.pull_at_s = None
            if self._down.fetch is not None:
                self._down.fetch.ask_at_s = None
            self._status_at_s = None
        match connection:
            case Connection.ALARM:
                # Whatever was commanded over this connection is void with it.
                self._nonce, self._commands = "", {}
            case Connection.ROUTINE:
                self._down.pull_at_s = None
                self._status_at_s = None
            case _:
                assert_never(connection)
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
                self._on_acks(at_s, self._open(payload, Context.ACK, Acks))
            elif topic == topics.claim_answer(device):
                self._on_answer(self._open(payload, Context.CLAIM_ANSWER, ClaimAnswer))
            elif topic == topics.command(device):
                self._on_command(at_s, self._open_command(payload))
            elif topic == topics.hub_birth():
                self._on_hub_status(at_s, self._open(payload, Context.STATUS, Status))
            elif topic == topics.feed(scope):
                self._on_batch(at_s, self._open(payload, Context.FEED, FeedBatch))
            elif topic == topics.batch(device):
                self._on_answer_to_pull(at_s, payload)
            elif topic == topics.feed_head(scope):
                self._on_head(at_s, self._open(payload, Context.FEED_HEAD, FeedHead))
            elif topic == topics.hub_keys():
                self._on_hub_keys(payload)
            else:
                self._refuse(at_s, "unexpected topic", topic)
        except (Forged, Malformed, _Unfit) as refusal:
            self._refuse(at_s, topic, str(refusal))

    def _open(self, payload: bytes, context: Context, kind: type[_T]) -> _T:
        return open_signed(payload, self._trust.keys, context, kind)

    def _on_hub_keys(self, payload: bytes) -> None:
        trust = self._trust.told(payload)
        if trust is not self._trust:
            self._trust = trust
            self._count("hub_keys")
            self._effects.append(KeepHubKeys(payload))

    def _on_hub_status(self, at_s: float, status: Status) -> None:
        if status.device != self._config.hub_kid:
            raise _Unfit(f"expected the status of {self._config.hub_kid!r}, got {status.device[:40]!r}")
        birth = f"{status.epoch}/{status.boot_id}/{status.time}" if status.online else ""
        if not birth or birth == self._hub_birth:
            return
        self._hub_birth = birth
        self._count("hub_births")
        for up in self._up.values():
            up.rewind()
            up.wait_s = self._config.resend_first_s
        for claim in self._claims.values():
            claim.due_s = at_s
        if Connection.ROUTINE in self._connected:
            self._send_status(at_s)
            self._send_head(at_s)
            self._pull_after_reconnect(at_s)

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
        if CONNECTION_OF[up.stream] not in self._connected or up.reading or self._beginning_epoch:
            return
        config = self._config
        while up.again:
            first, last = max(up.again[0][0], up.acked + 1), up.again[0][1]
            if first > last:
                up.again.pop(0)
                continue
            up.reading = (first, last)
            wanted = min(last - first + 1, config.read_facts)
            self._effects.append(ReadFacts(up.stream, first, wanted, up.window.size_bytes))
            return
        # Half a window at once: reading for less would cut payloads short, or encode facts twice.
        room = up.window.size_bytes - up.in_flight_bytes
        if up.ask and (not up.flights or 2 * room >= up.window.size_bytes):
            up.reading = (up.next, None)
            max_bytes = max(1, int(room * BODY_SHARE))
            self._effects.append(ReadFacts(up.stream, up.next, config.read_facts, max_bytes))

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
            self._count("facts_gone")
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
            self._count("facts_sent_again", len(run.facts))
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
            self._refuse(at_s, self._config.topics.facts(self._config.device, up.stream), str(error))

    def _payload_of(self, at_s: float, stream: Stream, run: Run) -> bytes:
        last, time = run.facts[-1], self._utc_at(at_s)
        heads = {**self._heads, stream: StreamHead(stream, last.seq, last.hash)}
        checkpoint = Checkpoint(self._config.device, last.epoch, last.position, tuple(heads.values()), time)
        return pack(run, self._signer.sign(Context.CHECKPOINT, to_json(checkpoint).decode()), time=time)

    def _publish_facts(self, stream: Stream, payload: bytes) -> None:
        topic = self._config.topics.facts(self._config.device, stream)
        self._effects.append(Publish(CONNECTION_OF[stream], topic, payload))

    def _send_head(self, at_s: float) -> None:
        if Connection.ROUTINE not in self._connected:
            return
        config = self._config
        heads = tuple(self._heads.values())
        checkpoint = Checkpoint(config.device, self._epoch, self._position, heads, self._utc_at(at_s))
        payload = signed_payload(self._signer, Context.CHECKPOINT, checkpoint)
        self._effects.append(
            Publish(Connection.ROUTINE, config.topics.head(config.device), payload, retain=True)
        )

    def _on_acks(self, at_s: float, acks: Acks) -> None:
        for ack in acks.acks:
            self._fit(ack)
        if acks.archive_id and self._nonce and acks.nonce == self._nonce:
            # Whoever quotes the nonce of this connection speaks now: a recorded word of any archive cannot.
            if (acks.archive_id, acks.backup_interval_s) != (self._archive_id, self._backup_interval_s):
                counter = max((ack.counter for ack in acks.acks), default=0)
                self._backup_interval_s = acks.backup_interval_s
                self._effects.append(MeetArchive(acks.archive_id, counter, acks.backup_interval_s))
        elif any(ack.archive_id != self._archive_id for ack in acks.acks):
            self._count("acks_of_another_archive")
            self._status_soon(at_s)
        self._effects.extend(ApplyAck(ack) for ack in acks.acks)

    def _fit(self, ack: Ack) -> None:
        if ack.device != self._config.device:
            raise _Unfit(f"expected an acknowledgement for {self._config.device}, got {ack.device[:40]!r}")
        before = ack.contiguous
        for first, last in ack.missing:
            if not before < first <= last:
                raise _Unfit("expected missing ranges in order, after the contiguous number")
            before = last

    def _on_ack_applied(self, at_s: float, event: AckApplied) -> None:
        ack, outcome = event.ack, event.outcome
        self._count(f"ack_{outcome.value}")
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
            self._count("acked_moved_back")
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
            self._count("missing_resends")
            up.again = list(up.missing)

    def _resend_all(self, at_s: float, up: _Upward) -> None:
        """No progress all the wait: what the hub is not known to hold goes up again, and we wait longer."""
        self._count("resends")
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
        self._notify(EpochBegan(event.epoch, event.why))
        self._send_head(at_s)
        self._status_soon(at_s)
        self._on_issued(at_s, event.left_to_issue)

    def _on_issued(self, at_s: float, left: int) -> None:
        self._left_to_issue = left
        self._issue_at_s = at_s + self._config.issue_every_s if left else None
        for up in self._up.values():
            up.ask = True

    # --- records down -------------------------------------------------------------------------------------

    def _on_head(self, at_s: float, head: FeedHead) -> None:
        down, known = self._down, self._down.head
        if head.scope != self._config.scope:
            raise _Unfit(f"expected scope {self._config.scope}, got {head.scope[:40]!r}")
        if UtcText.parse(head.issued) is None:
            raise _Unfit(f"issued: expected {UtcText.expected}")
        if _moment(head.issued) < _moment(down.issued):
            raise _Unfit(f"issued {head.issued}, older than the head of {down.issued}")
        went_back = known is not None and head.epoch == known.epoch and head.number < known.number
        if went_back and _moment(head.issued) == _moment(down.issued):
            raise _Unfit(f"number {head.number} is older than {known.number if known else 0}")
        down.head = head
        down.issued = head.issued
        if went_back:
            self._differ(at_s, "the log of the centre went back")
        else:
            self._settle(at_s)

    def _settle(self, at_s: float) -> None:
        """Compare what we hold with the newest head, and do what follows from it."""
        down, head, target = self._down, self._down.head, self._down.target
        if head is None or down.starting or down.adopting or down.repair is not None:
            return
        if target is None or target.epoch != head.epoch:
            self._rebuild("no records yet" if target is None else f"the centre began epoch {head.epoch}")
            return
        if down.handed > target.number:
            return
        if head.number > target.number:
            if down.pull_at_s is None:
                down.pull_at_s = at_s
        elif head.number == target.number:
            if (head.digest.lower(), head.rows) == (target.digest.lower(), target.rows):
                self._verified(head, target)
            else:
                self._differ(at_s, "records differ from the centre's")

    def _verified(self, head: FeedHead, target: FeedSeen) -> None:
        down = self._down
        down.rebuild_at_s, down.rebuild_why = None, ""
        down.rebuild_wait_s = self._config.rebuild_first_s
        down.pull_wait_s = self._config.pull_first_s
        if down.heard <= target.number:
            down.pull_at_s = None
        if down.fetch is not None and down.fetch.manifest.number <= target.number:
            self._drop_fetch()
        if down.noted != head.issued:
            down.noted = head.issued
            self._effects.append(NoteVerified(target.generation, head.issued))
        if down.building is not None:
            down.adopting = True
            self._effects.append(AdoptGeneration(target.generation))

    def _differ(self, at_s: float, why: str) -> None:
        """Equal numbers, unequal records: start from nothing, but not over and over."""
        down, head, target = self._down, self._down.head, self._down.target
        if head is None or target is None or down.starting:
            return
        if down.rebuild_ok_s is not None and at_s < down.rebuild_ok_s:
            down.rebuild_at_s = down.rebuild_ok_s
            # By its numbers alone a log that went back is only one whose head is late.
            down.rebuild_why = why if head.number < target.number else ""
            self._count("rebuilds_put_off")
            return
        down.rebuild_ok_s = at_s + down.rebuild_wait_s
        down.rebuild_wait_s = min(down.rebuild_wait_s * 2, self._config.rebuild_longest_s)
        self._notify(RecordsDiffer(head.scope, head.epoch, head.number, target.digest, head.digest))
        if (head.epoch, head.number) == (target.epoch, target.number):
            self._begin_repair(at_s, target)
        else:
            self._rebuild(why)

    def _rebuild(self, why: str) -> None:
        down = self._down
        if down.head is None:
            return
        self._count("rebuilds")
        down.why = why
        down.repair = None
        down.surveying = False
        if down.fetch is not None and down.fetch.manifest.epoch != down.head.epoch:
            self._drop_fetch()
        down.starting = True
        down.rebuild_at_s, down.rebuild_why = None, ""
        down.pull_at_s = None
        down.heard = 0
        self._effects.append(BeginGeneration(self._config.scope, down.head.epoch))

    def _on_generation_begun(self, at_s: float, state: FeedSeen) -> None:
        down = self._down
        down.starting = False
        if down.fetch is not None and down.fetch.installing and state.number == down.fetch.manifest.number:
            # Its files are gone already: they became this generation.
            down.fetch = None
            down.why = "snapshot"
            down.repair = None
            self._count("snapshots_taken")
        down.building = state
        down.handed = state.number
        down.noted = ""
        down.pull_wait_s = self._config.pull_first_s
        self._settle(at_s)

    def _on_generation_adopted(self, state: FeedSeen) -> None:
        down = self._down
        down.adopting = False
        down.current = state
        down.building = None
        down.handed = state.number
        self._notify(RecordsMoved(self._config.scope, state.epoch, state.number, state.generation, down.why))

    def _on_batch(self, at_s: float, batch: FeedBatch) -> None:
        down, target = self._down, self._down.target
        self._fit_batch(batch)
        if target is None or down.starting or down.adopting or batch.epoch != target.epoch:
            self._count("feed_other_epoch")
            return
        if down.repair is not None:
            # What is mended is mended at one number; what comes meanwhile is pulled afterwards.
            self._count("feed_held")
            return
        down.heard = max(down.heard, batch.last)
        if batch.last <= down.handed:
            self._count("feed_already")
            return
        if batch.first > down.handed + 1:
            self._count("feed_gap")
            if down.pull_at_s is None:
                down.pull_at_s = at_s
            return
        first = down.handed + 1
        due = FeedBatch(batch.scope, batch.epoch, first, batch.last, batch.changes[first - batch.first :])
        down.handed = batch.last
        self._effects.append(ApplyBatch(target.generation, due))

    def _fit_batch(self, batch: FeedBatch) -> None:
        if batch.scope != self._config.scope:
            raise _Unfit(f"expected scope {self._config.scope}, got {batch.scope[:40]!r}")
        changes = batch.changes
        if len(changes) != batch.last - batch.first + 1:
            raise _Unfit(f"expected {batch.last - batch.first + 1} changes, got {len(changes)}")
        for number, change in enumerate(changes, start=batch.first):
            if change.number != number:
                raise _Unfit(f"expected change {number}, got {change.number}")
            if (change.op is ChangeOp.DELETE) != (change.body == ""):
                raise _Unfit(f"change {number}: expected a body to put, and none to delete")

    def _on_batch_applied(self, at_s: float, result: ApplyResult, state: FeedSeen) -> None:
        down, target, config = self._down, self._down.target, self._config
        if target is None or down.starting or state.generation != target.generation:
            return
        progress = state.number > target.number
        if down.building is not None:
            down.building = state
        else:
            down.current = state
        match result:
            case ApplyResult.APPLIED | ApplyResult.ALREADY:
                down.handed = max(down.handed, state.number)
            case ApplyResult.GAP | ApplyResult.OTHER_EPOCH:
                self._count(f"records_{result.value}")
                down.handed = state.number
            case _:
                assert_never(result)
        wanted = max(down.heard, down.head.number if down.head and down.head.epoch == state.epoch else 0)
        if state.number >= wanted:
            down.pull_at_s = None
            down.pull_wait_s = config.pull_first_s
        elif progress:
            down.pull_wait_s = config.pull_first_s
            down.pull_at_s = at_s + config.pull_quiet_s
        elif down.pull_at_s is None:
            down.pull_at_s = at_s + down.pull_wait_s
        self._settle(at_s)

    def _pull_after_reconnect(self, at_s: float) -> None:
        """What was published while we were away is not coming again by itself."""
        down = self._down
        down.pull_wait_s = self._config.pull_first_s
        if down.target is None or down.starting:
            return
        self._take_up_left_over(down.target)
        if down.fetch is not None:
            down.fetch.wait_s = self._config.pull_first_s
            down.fetch.ask_at_s = at_s
            return
        self._send_pull(at_s, down.target)
        behind = max(down.heard, down.head.number if down.head else 0) > down.target.number
        down.pull_at_s = at_s + down.pull_wait_s if behind else None

    def _send_pull(
        self,
        at_s: float,
        target: FeedSeen,
        *,
        pieces: PiecesAsked | None = None,
        buckets: BucketsAsked | None = None,
    ) -> None:
        config, ok_s = self._config, self._down.snapshots_ok_s
        self._count("pulls")
        takes = config.snapshots and (ok_s is None or ok_s <= at_s)
        pull = Pull(config.scope, target.epoch, target.number, takes, pieces, buckets)
        payload = signed_payload(self._signer, Context.PULL, pull)
        self._effects.append(Publish(Connection.ROUTINE, config.topics.pull(config.device), payload))

    # --- records down: snapshots --------------------------------------------------------------------------

    def _on_answer_to_pull(self, at_s: float, payload: bytes) -> None:
        """Whatever comes on our own topic: a piece, or something signed that says what it is."""
        if is_piece(payload):
            self._on_piece(at_s, payload)
            return
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise Malformed(f"{len(payload)} bytes, expected at most {MAX_PAYLOAD_BYTES}")
        signed = read_signed(payload)
        match _read_typed(signed.body).type:
            case "feed":
                batch = _read_batch(verify(self._trust.keys, signed, Context.FEED))
                self._on_batch(at_s, batch)
                self._answered_by_the_feed(at_s, batch)
            case "snapshot":
                self._on_manifest(
                    at_s, _read_manifest(verify(self._trust.keys, signed, Context.SNAPSHOT)), payload
                )
            case "bucket_sums":
                self._on_sums(at_s, _read_sums(verify(self._trust.keys, signed, Context.BUCKETS)))
            case "bucket_rows":
                self._on_rows(at_s, _read_rows(verify(self._trust.keys, signed, Context.BUCKETS)))
            case other:
                raise Malformed(f"expected a batch, a snapshot or buckets, got {other[:40]!r}")

    def _on_manifest(self, at_s: float, manifest: SnapshotManifest, payload: bytes) -> None:
        down, target, config = self._down, self._down.target, self._config
        fault = fault_of_manifest(manifest)
        if manifest.scope != config.scope:
            fault = f"expected scope {config.scope}, got {manifest.scope[:40]!r}"
        if fault:
            raise _Unfit(f"snapshot: {fault}")
        wanted = config.snapshots and (down.snapshots_ok_s is None or down.snapshots_ok_s <= at_s)
        fits = target is not None and manifest.epoch == target.epoch and target.number < manifest.number
        before = down.fetch.manifest if down.fetch is not None else None
        newer = before is None or before.epoch != manifest.epoch or before.number < manifest.number
        if not (wanted and fits and newer) or down.starting or down.adopting or down.repair is not None:
            self._count("snapshots_not_taken")
            return
        if down.fetch is not None:
            self._drop_fetch()
        self._count("snapshots_begun")
        self._left_over = b""
        down.pull_at_s = None
        down.fetch = Fetch(manifest, payload, config.pull_first_s)
        self._effects.append(BeginSnapshot(manifest, payload))

    def _take_up_left_over(self, target: FeedSeen) -> None:
        """Go on with what an earlier run began to fetch, if the centre's key and our epoch still say so."""
        payload, self._left_over = self._left_over, b""
        if not payload or self._down.fetch is not None:
            return
        try:
            manifest = self._open(payload, Context.SNAPSHOT, SnapshotManifest)
            fits = (manifest.scope, manifest.epoch) == (self._config.scope, target.epoch)
        except (Forged, Malformed):
            fits = False
        if not fits or fault_of_manifest(manifest) or manifest.number <= target.number:
            self._effects.append(DropSnapshot())
            return
        self._count("snapshots_continued")
        self._down.fetch = Fetch(manifest, payload, self._config.pull_first_s)
        self._effects.append(BeginSnapshot(manifest, payload))

    def _on_piece(self, at_s: float, payload: bytes) -> None:
        fetch = self._down.fetch
        piece = read_piece(payload)
        if fetch is None or not fetch.begun or not fetch.is_of(piece):
            self._count("pieces_unasked")
            return
        fetch.asked.discard((piece.kind.value, piece.index))
        fetch.wait_s = self._config.pull_first_s
        fetch.ask_at_s = at_s + fetch.wait_s
        self._effects.append(KeepPiece(piece))

    def _on_snapshot_seen(self, at_s: float, event: SnapshotSeen) -> None:
        fetch = self._down.fetch
        if fetch is None:
            return
        begins, fetch.begun = not fetch.begun, True
        fetch.wanted = event.wanted
        if not event.right:
            topic = self._config.topics.batch(self._config.device)
            self._refuse(at_s, topic, "a piece of the snapshot is not what its hash says")
        if fetch.installing:
            fetch.ask_at_s, fetch.work_at_s = None, at_s
        elif begins or not fetch.asked:
            fetch.ask_at_s = at_s

    def _answered_by_the_feed(self, at_s: float, batch: FeedBatch) -> None:
        """The hub has the snapshot no longer: it answered our asking for pieces with the log."""
        down = self._down
        if down.fetch is not None and down.fetch.asked and batch.epoch == down.fetch.manifest.epoch:
            self._count("snapshots_gone")
            self._drop_fetch()
            self._settle(at_s)

    def _drop_fetch(self) -> None:
        self._down.fetch = None
        self._effects.append(DropSnapshot())

    def _run_fetch(self, at_s: float) -> None:
        fetch, target = self._down.fetch, self._down.target
        if fetch is None or target is None:
            return
        if Connection.ROUTINE in self._connected and _due(fetch.ask_at_s, at_s):
            fetch.ask_at_s = at_s + fetch.wait_s
            fetch.wait_s = min(fetch.wait_s * 2, self._config.pull_longest_s)
            asked = fetch.ask()
            if asked is not None:
                self._send_pull(at_s, target, pieces=asked)

    # --- records down: mending ----------------------------------------------------------------------------

    def _begin_repair(self, at_s: float, target: FeedSeen) -> None:
        down, config = self._down, self._config
        self._count("repairs")
        down.rebuild_at_s = None
        down.pull_at_s = None
        down.surveying = False
        down.survey_at_s = None
        down.repair = Repair(
            target.generation, target.epoch, target.number, at_s + config.mend_patience_s, config.pull_first_s
        )
        down.repair.ask_at_s = at_s

    def _is_for_repair(self, scope: str, epoch: str, number: int) -> bool:
        repair = self._down.repair
        if scope != self._config.scope:
            raise _Unfit(f"expected scope {self._config.scope}, got {scope[:40]!r}")
        if repair is None or (epoch, number) != (repair.epoch, repair.number):
            self._count("buckets_unasked")
            return False
        return True

    def _on_sums(self, at_s: float, sums: BucketSums) -> None:
        repair = self._down.repair
        if not self._is_for_repair(sums.scope, sums.epoch, sums.number) or repair is None:
            return
        try:
            whole = repair.take_sums(sums)
        except ValueError as error:
            raise _Unfit(f"bucket sums: {error}") from error
        repair.give_up_s = at_s + self._config.mend_patience_s
        if whole:
            repair.stage = Stage.SURVEY
            repair.ask_at_s = None
            self._effects.append(BeginSurvey(repair.generation, ()))

    def _on_survey_worked(self, at_s: float) -> None:
        down = self._down
        if down.repair is not None:
            if down.repair.stage is not Stage.SURVEY:
                # Of the survey that was under way when the difference was found: nothing waits for it.
                return
            down.repair.work_at_s = at_s
            down.repair.give_up_s = at_s + self._config.mend_patience_s
        elif down.surveying:
            down.survey_at_s = at_s + self._config.survey_pause_s

    def _on_surveyed(self, at_s: float, surveyed: Surveyed) -> None:
        repair = self._down.repair
        if repair is None:
            self._end_survey(at_s, surveyed)
            return
        if repair.stage is not Stage.SURVEY:
            return
        if (surveyed.generation, surveyed.number) != (repair.generation, repair.number):
            self._give_up_mending(at_s, "its records moved meanwhile")
            return
        differing = repair.differ(surveyed)
        if not differing or len(differing) > MOST_BUCKETS:
            self._give_up_mending(at_s, f"{len(differing)} buckets differ")
        elif differing != repair.collected:
            # Their rows are wanted too, so that what is here and should not be is found.
            repair.collected = differing
            self._effects.append(BeginSurvey(repair.generation, differing))
        else:
            repair.differing = differing
            repair.stage = Stage.ROWS
            repair.ask_at_s = at_s
            repair.give_up_s = at_s + self._config.mend_patience_s

    def _on_rows(self, at_s: float, rows: BucketRows) -> None:
        repair = self._down.repair
        if not self._is_for_repair(rows.scope, rows.epoch, rows.number) or repair is None:
            return
        try:
            whole = repair.take_rows(rows)
        except ValueError as error:
            raise _Unfit(f"bucket rows: {error}") from error
        repair.give_up_s = at_s + self._config.mend_patience_s
        if whole:
            repair.stage = Stage.MEND
            repair.ask_at_s = None
            self._effects.append(Mend(repair.generation, repair.number, repair.rows()))
        elif repair.asked_are_here():
            repair.ask_at_s = at_s

    def _on_mended(self, at_s: float, mended: RecordsMended) -> None:
        down, repair, state = self._down, self._down.repair, mended.state
        if repair is None or state.generation != repair.generation:
            return
        down.repair = None
        if down.building is not None:
            down.building = state
        else:
            down.current = state
        self._notify(
            RecordsRepaired(
                self._config.scope, state.epoch, state.number, repair.differing, mended.put, mended.deleted
            )
        )
        head = down.head
        if head is not None and head.number == state.number and head.digest.lower() != state.digest.lower():
            self._rebuild("mended, and still not the centre's")
            return
        self._settle(at_s)

    def _give_up_mending(self, at_s: float, why: str) -> None:
        down = self._down
        self._count("repairs_given_up")
        down.repair = None
        if down.head is not None:
            self._rebuild(f"records differ from the centre's; {why}")

    def _run_repair(self, at_s: float) -> None:
        repair, target = self._down.repair, self._down.target
        if repair is None or target is None:
            return
        if repair.give_up_s <= at_s and repair.stage in (Stage.SUMS, Stage.ROWS):
            if Connection.ROUTINE in self._connected:
                self._give_up_mending(at_s, "the hub did not say how")
            else:
                repair.give_up_s = at_s + self._config.mend_patience_s
            return
        if Connection.ROUTINE in self._connected and _due(repair.ask_at_s, at_s):
            repair.ask_at_s = at_s + repair.wait_s
            repair.wait_s = min(repair.wait_s * 2, self._config.pull_longest_s)
            asked = repair.ask()
            if asked is not None:
                self._send_pull(at_s, target, buckets=asked)

    # --- records down: looking after them -----------------------------------------------------------------

    def _run_survey(self, at_s: float) -> None:
        """Rows that changed by themselves change no sum: now and then all are summed up, in small slices."""
        down = self._down
        if not self._may_survey() or down.current is None:
            return
        if down.survey_at_s is None and not down.surveying:
            down.survey_at_s = at_s + self._config.survey_every_s
        if _due(down.survey_at_s, at_s):
            down.survey_at_s = None
            if down.surveying:
                self._effects.append(WorkOnSurvey())
            else:
                down.surveying = True
                self._effects.append(BeginSurvey(down.current.generation, ()))

    def _may_survey(self) -> bool:
        down = self._down
        return down.current is not None and down.building is None and down.repair is None

    def _end_survey(self, at_s: float, surveyed: Surveyed) -> None:
        down, current = self._down, self._down.current
        if not down.surveying:
            return
        down.surveying = False
        down.survey_at_s = at_s + self._config.survey_every_s
        self._count("surveys")
        if current is None or surveyed.generation != current.generation or surveyed.sums == surveyed.kept:
            return
        if down.handed != current.number:
            down.survey_at_s = at_s + self._config.rebuild_first_s
            return
        wrong = sum(1 for ours, said in zip(surveyed.sums, surveyed.kept, strict=True) if ours != said)
        self._count("surveys_wrong")
        self._notify(
            RecordsDiffer(
                self._config.scope,
                current.epoch,
                surveyed.number,
                f"{wrong} buckets whose rows are not what the file says",
                current.digest,
            )
        )
        if self._may_survey() and not (down.starting or down.adopting):
            self._begin_repair(at_s, current)

    # --- claims -------------------------------------------------------------------------------------------

    def _on_claim_asked(self, at_s: float, request: ClaimRequest) -> None:
        if request.claim_id in self._claims:
            return
        while len(self._claims) >= MAX_CLAIMS:
            given_up = next(iter(self._claims))
            del self._claims[given_up]
            self._count("claims_given_up")
        payload = signed_payload(self._signer, Context.CLAIM, request)
        self._claims[request.claim_id] = _Claim(request, payload, at_s)

    def _on_answer(self, answer: ClaimAnswer) -> None:
        if answer.device != self._config.device:
            raise _Unfit(f"expected an answer for {self._config.device}, got {answer.device[:40]!r}")
        claim = self._claims.get(answer.claim_id)
        if claim is None:
            self._count("answers_again" if answer.claim_id in self._answered else "answers_unknown")
            return
        if answer.passage != claim.request.passage:
            raise _Unfit(f"expected an answer for passage {claim.request.passage}, got {answer.passage}")
        del self._claims[answer.claim_id]
        self._remember_answered(answer.claim_id)
        self._notify(ClaimAnswered(answer.claim_id, answer.passage, answer.verdict, answer.why[:MAX_WHY]))

    def _remember_answered(self, claim_id: str) -> None:
        self._answered[claim_id] = None
        while len(self._answered) > MAX_ANSWERED:
            del self._answered[next(iter(self._answered))]

    # --- commands -----------------------------------------------------------------------------------------

    def _begin_nonce(self, at_s: float) -> None:
        self._nonce, self._commands = self._new_nonce(), {}
        if Connection.ROUTINE in self._connected:
            self._send_status(at_s)

    def _open_command(self, payload: bytes) -> Command:
        if len(payload) > MAX_COMMAND_BYTES:
            raise _Unfit(f"{len(payload)} bytes, expected at most {MAX_COMMAND_BYTES}")
        return self._open(payload, Context.COMMAND, Command)

    def _on_command(self, at_s: float, command: Command) -> None:
        if command.device != self._config.device:
            raise _Unfit(f"expected a command for {self._config.device}, got {command.device[:40]!r}")
        if not self._nonce or command.nonce != self._nonce:
            self._count("commands_void")
            raise _Unfit(f"command {command.command_id} is of another connection: void")
        known = self._commands.get(command.command_id)
        if known is not None:
            self._count("commands_again")
            if known:
                self._send_result(known)
            return
        self._commands[command.command_id] = b""
        late = self._too_late(at_s, command)
        if late:
            self._count("commands_late")
            self._on_command_answered(CommandAnswered(command.command_id, Outcome.REFUSED, late))
        else:
            self._notify(CommandCame(command))
        if len(self._commands) >= MAX_COMMANDS:
            self._begin_nonce(at_s)

    def _too_late(self, at_s: float, command: Command) -> str:
        """Why its time limit is over; empty while it is not."""
        ours = self._utc_at(at_s)
        age_s = (datetime.fromisoformat(ours) - datetime.fromisoformat(command.issued)).total_seconds()
        if -CLOCKS_APART_S <= age_s <= command.valid_s:
            return ""
        return f"issued at {command.issued} for {command.valid_s} s, it is {ours} here"

    def _on_command_answered(self, answered: CommandAnswered) -> None:
        """Also for a command of an earlier connection: it was done then, and whoever asked may know."""
        result = CommandResult(
            command_id=answered.command_id,
            device=self._config.device,
            outcome=answered.outcome,
            why=answered.why[:MAX_WHY],
        )
        payload = signed_payload(self._signer, Context.RESULT, result)
        if answered.command_id in self._commands:
            self._commands[answered.command_id] = payload
        self._send_result(payload)

    def _send_result(self, payload: bytes) -> None:
        """Not sent again by us: the centre asks again until it has heard (idempotent by command id)."""
        if Connection.ALARM in self._connected:
            self._effects.append(
                Publish(Connection.ALARM, self._config.topics.result(self._config.device), payload)
            )

    def _resync(self, at_s: float) -> None:
        """As when the records differ, only that nobody has to find it out first."""
        if self._down.head is None or self._down.starting or self._down.adopting:
            self._count("resyncs_put_off")
            return
        self._rebuild("the centre asked")

    # --- status -------------------------------------------------------------------------------------------

    def _status_soon(self, at_s: float) -> None:
        if Connection.ROUTINE in self._connected:
            soon = max(at_s, self._status_sent_s + self._config.status_quiet_s)
            self._status_at_s = min(soon, self._status_at_s or soon)

    def _send_status(self, at_s: float) -> None:
        self._status_sent_s = at_s
        self._status_at_s = at_s + self._config.status_every_s
        topic, payload = (
            self._config.topics.status(self._config.device),
            self._status_payload(at_s, online=True),
        )
        self._effects.append(Publish(Connection.ROUTINE, topic, payload, retain=True))

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
            nonce=self._nonce if online else "",
            time=self._utc_at(at_s),
        )
        return signed_payload(self._signer, Context.STATUS, status)

    # --- failures and refusals ----------------------------------------------------------------------------

    def _on_store_failed(self, at_s: float, event: StoreFailed) -> None:
        down, config = self._down, self._config
        self._mutable(at_s, _MutedKey(StoreTrouble, event.work.value), event.why)
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
            case Work.NOTE_VERIFIED:
                down.noted = ""
            case Work.BEGIN_EPOCH:
                self._beginning_epoch = False
            case Work.APPLY_BATCH:
                down.handed = down.target.number if down.target else 0
                down.pull_at_s = at_s + down.pull_wait_s
                down.pull_wait_s = min(down.pull_wait_s * 2, config.pull_longest_s)
            case Work.SNAPSHOT:
                down.snapshots_ok_s = at_s + config.snapshot_again_s
                if down.fetch is not None:
                    self._drop_fetch()
                    self._settle(at_s)
            case Work.SURVEY:
                down.surveying = False
                down.survey_at_s = None
                if down.repair is not None:
                    self._give_up_mending(at_s, event.why)
            case Work.MEND:
                if down.repair is not None:
                    self._give_up_mending(at_s, event.why)
            case Work.BEGIN_GENERATION | Work.ADOPT_GENERATION:
                if event.work is Work.BEGIN_GENERATION:
                    # Its unfinished one is thrown away, and there is no other yet.
                    down.building, down.rebuild_why = None, down.why
                    down.handed = down.current.number if down.current else 0
                down.starting = False
                down.adopting = False
                down.rebuild_at_s = at_s + down.pull_wait_s
                down.pull_wait_s = min(down.pull_wait_s * 2, config.pull_longest_s)
            case _:
                assert_never(event.work)

    def _refuse(self, at_s: float, topic: str, why: str, *, times: int = 1) -> None:
        self._mutable(at_s, _MutedKey(Refused, topic), why, times=times)

    def _mutable(self, at_s: float, key: _MutedKey, why: str, *, times: int = 1) -> None:
        """Tell now; what follows within `refused_every_s` is added up and told once after it (G11)."""
        self._count("refused" if key.kind is Refused else key.name, times)
        muted = self._muted.get(key)
        if muted is not None and at_s < muted.until_s:
            muted.times += times
            muted.why = why
            return
        self._muted[key] = _Muted(at_s + self._config.refused_every_s)
        self._tell(key, why, times + (muted.times if muted else 0))

    def _tell(self, key: _MutedKey, why: str, times: int) -> None:
        why = why[:MAX_WHY]
        if key.kind is Refused:
            self._notify(Refused(key.name, why, times))
        elif key.kind is LinkRefused:
            self._notify(LinkRefused(Connection(key.name), why, times))
        else:
            self._notify(StoreTrouble(Work(key.name), why, times))

    def _notify(self, notice: Notice) -> None:
        self._effects.append(Notify(notice))

    def _count(self, name: str, times: int = 1) -> None:
        self._counts[name] = self._counts.get(name, 0) + times

    # --- time ---------------------------------------------------------------------------------------------

    def _run_timers(self, at_s: float) -> None:
        for up in self._up.values():
            if CONNECTION_OF[up.stream] in self._connected:
                if _due(up.missing_at_s, at_s):
                    self._resend_missing(at_s, up)
                if _due(up.resend_at_s, at_s):
                    self._resend_all(at_s, up)
        if Connection.ALARM in self._connected:
            for claim in self._claims.values():
                if claim.due_s <= at_s:
                    claim.due_s = at_s + self._config.claim_retry_s
                    topic = self._config.topics.claim(self._config.device)
                    self._effects.append(Publish(Connection.ALARM, topic, claim.payload))
        self._run_fetch(at_s)
        self._run_repair(at_s)
        self._run_survey(at_s)
        if Connection.ROUTINE in self._connected:
            self._run_feed_timers(at_s)
            if _due(self._status_at_s, at_s):
                self._send_status(at_s)
        if (
            self._epoch_why
            and not self._beginning_epoch
            and not self._left_to_issue
            and (self._epoch_ok_s is None or _due(self._epoch_ok_s, at_s))
        ):
            self._beginning_epoch = True
            self._epoch_ok_s = at_s + self._config.epoch_every_s
            self._effects.append(BeginEpoch(self._epoch_why))
        if _due(self._issue_at_s, at_s):
            self._issue_at_s = None
            self._effects.append(IssueAgain(self._config.issue_facts))
        for key, muted in list(self._muted.items()):
            if muted.until_s <= at_s:
                del self._muted[key]
                if muted.times:
                    self._muted[key] = _Muted(at_s + self._config.refused_every_s)
                    self._tell(key, muted.why, muted.times)

    def _run_feed_timers(self, at_s: float) -> None:
        down = self._down
        if _due(down.rebuild_at_s, at_s):
            down.rebuild_at_s = None
            if down.rebuild_why and not (down.starting or down.adopting):
                self._rebuild(down.rebuild_why)
            else:
                self._settle(at_s)
        if _due(down.pull_at_s, at_s):
            if down.target is None or down.starting or down.adopting or down.fetch or down.repair:
                down.pull_at_s = None
                return
            down.handed = down.target.number
            down.pull_at_s = at_s + down.pull_wait_s
            down.pull_wait_s = min(down.pull_wait_s * 2, self._config.pull_longest_s)
            self._send_pull(at_s, down.target)

    def _ask_to_wake(self) -> None:
        times: list[float | None] = [muted.until_s for muted in self._muted.values()]
        for up in self._up.values():
            if CONNECTION_OF[up.stream] in self._connected:
                times += [up.resend_at_s, up.missing_at_s]
        if Connection.ALARM in self._connected:
            times += [claim.due_s for claim in self._claims.values()]
        fetch, repair = self._down.fetch, self._down.repair
        if self._may_survey():
            times.append(self._down.survey_at_s)
        if fetch is not None:
            times.append(fetch.work_at_s)
        if repair is not None:
            times.append(repair.work_at_s)
            times.append(repair.give_up_s if repair.stage in (Stage.SUMS, Stage.ROWS) else None)
        if Connection.ROUTINE in self._connected:
            times += [self._down.pull_at_s, self._down.rebuild_at_s, self._status_at_s]
            times.append(fetch.ask_at_s if fetch is not None else None)
            times.append(repair.ask_at_s if repair is not None else None)
        times.append(self._issue_at_s)
        if self._epoch_why and not self._beginning_epoch and not self._left_to_issue:
            times.append(self._epoch_ok_s)
        wake_at_s = min((time for time in times if time is not None), default=None)
        if wake_at_s != self._wake_at_s:
            self._wake_at_s = wake_at_s
            self._effects.append(WakeAt(wake_at_s))


def _due(time_s: float | None, at_s: float) -> bool:
    return time_s is not None and time_s <= at_s


def _touches(flight: _Flight, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(flight.first <= last and first <= flight.last for first, last in ranges)


def _moment(utc: str) -> str:
    """UTC text without its Z, which would sort a whole second after its own fractions."""
    return utc.removesuffix("Z")
