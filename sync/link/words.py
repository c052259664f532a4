"""What an edge's session (`sync.link.session`) is told, what it asks for and what it reports, and its
settings. Values alone: nothing here decides anything.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from sync.link.fetching import (
    BeginSnapshot,
    BeginSurvey,
    DropSnapshot,
    KeepPiece,
    Mend,
    SnapshotSeen,
    SnapshotWorked,
    Surveyed,
    SurveyWorked,
    WorkOnSnapshot,
    WorkOnSurvey,
)
from sync.link.keys import HUB_KID
from sync.link.messages import (
    MAX_PAYLOAD_BYTES,
    Ack,
    ClaimRequest,
    ClaimVerdict,
    FeedBatch,
    StreamHead,
    Topics,
)
from sync.store.journal import AckOutcome
from sync.store.records import ApplyResult
from sync.vocabulary.commands import Command, Outcome
from sync.vocabulary.facts import Fact, Stream


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
