"""Everything that travels over MQTT, as values (docs/contract). Bounded, strict, versioned by topic root.

Signed messages travel as `Signed`: the exact JSON text, the key's name and an Ed25519 signature over
`context + "\\n" + body`. Whoever checks the signature reads the same text; nobody re-encodes.
"""

from __future__ import annotations

import enum
from typing import Annotated

import msgspec
from msgspec import Meta

from sync.vocabulary.blobs import BlobClass
from sync.vocabulary.bounds import (
    MAX_BUCKETS,
    MAX_SECONDS,
    Body,
    Count,
    Digest,
    Hash,
    HashOrNone,
    Name,
    NameOrNone,
    Number,
    Text,
    Time,
)
from sync.vocabulary.facts import Stream
from sync.vocabulary.numbers import Plate, SlipNo

ROOT = "kakou/v1"
MAX_PAYLOAD_BYTES = 64 * 1024
MAX_MISSING_RANGES = 64
PIECE_BYTES = 60 * 1024
"""Of a snapshot, in one message."""
PAGE_HASHES = 1_024
MAX_PAGES = 512
"""Pages of 1,024 pieces of 60 KiB: snapshots of up to 32 GB."""
MAX_RANGES = 64
MAX_BUCKETS_ASKED = 16
SUMS_A_MESSAGE = 1_024
MAX_BUCKET_PAGES = 64
MAX_COMMAND_BYTES = 8 * 1024
"""A command and its result are short; anything longer is refused unread."""
MAX_ACKS = 64
MAX_HEADS = 8
MAX_STATEMENTS = 32
"""Of one name's keys; after so many the key in force is pinned anew."""
MAX_CLAIM_SLIPS = 64
MAX_STATUS_ENTRIES = 256
MAX_CHANGES = 2_000
Bucket = Annotated[int, Meta(ge=0, lt=MAX_BUCKETS)]

Signature = Annotated[str, Meta(max_length=100)]
Ranges = Annotated[tuple[tuple[Count, Count], ...], Meta(max_length=MAX_MISSING_RANGES)]
"""First and last of each, both included."""


class Signed(msgspec.Struct, frozen=True):
    body: Body
    kid: Name
    """Which key signed: a device id, or `hub`."""
    sig: Signature
    """Base64 of the 64-byte Ed25519 signature."""


class Context(enum.StrEnum):
    """What a signature is for: one made for one purpose is worthless for another."""

    FEED = "kakou/feed/v1"
    FEED_HEAD = "kakou/feed-head/v1"
    ACK = "kakou/ack/v1"
    CHECKPOINT = "kakou/checkpoint/v1"
    CLAIM = "kakou/claim/v1"
    CLAIM_ANSWER = "kakou/claim-answer/v1"
    PULL = "kakou/pull/v1"
    SNAPSHOT = "kakou/snapshot/v1"
    BUCKETS = "kakou/buckets/v1"
    STATUS = "kakou/status/v1"
    BLOB = "kakou/blob/v1"
    BLOB_CHUNK = "kakou/blob-chunk/v1"
    BLOB_ANSWER = "kakou/blob-answer/v1"
    KEYS = "kakou/keys/v1"
    COMMAND = "kakou/command/v1"
    RESULT = "kakou/result/v1"
    LIVE = "kakou/live/v1"


# --- up ---------------------------------------------------------------------------------------------------


class StreamHead(msgspec.Struct, frozen=True):
    stream: Stream
    seq: Count
    hash: Hash


class Checkpoint(msgspec.Struct, frozen=True):
    """All stream heads and the device-wide position, signed by the device at every publish (G6)."""

    device: Name
    epoch: Name
    position: Count
    heads: Annotated[tuple[StreamHead, ...], Meta(max_length=MAX_HEADS)]
    time: Time


class CloudEvent(msgspec.Struct, frozen=True, kw_only=True):
    """CloudEvents 1.0, structured JSON. `data` is the fact's exact body, or a `Signed` checkpoint as text."""

    specversion: NameOrNone = "1.0"
    id: Name
    source: Name
    type: Name
    """`kakou.fact.<kind>.v1` or `kakou.checkpoint.v1`."""
    time: Time
    datacontenttype: NameOrNone = "text/plain"
    subject: Text = ""
    hash: HashOrNone = ""
    data: Body


class PiecesAsked(msgspec.Struct, frozen=True):
    """Byte ranges of one snapshot, as first and last index each; at most `MAX_RANGES` of both kinds."""

    snapshot: Hash
    """`SnapshotManifest.packed_sha256`."""
    pages: Ranges = ()
    pieces: Ranges = ()


class BucketsAsked(msgspec.Struct, frozen=True):
    """What the centre holds at exactly this number: all bucket sums, or the rows of some buckets."""

    number: Count
    buckets: Annotated[tuple[Bucket, ...], Meta(max_length=MAX_BUCKETS_ASKED)] = ()
    """At most `MAX_BUCKETS_ASKED`; none: the sums of all."""


class Pull(msgspec.Struct, frozen=True):
    """Everything of a scope after number `after`; epoch empty when the device has none.

    What stands below `after` came later: a hub that does not know it answers with the log, which is always
    right, if seldom the shortest way.
    """

    scope: Name
    epoch: NameOrNone
    after: Count
    snapshots: bool = False
    """The device can take a snapshot where that is shorter than the log."""
    pieces: PiecesAsked | None = None
    buckets: BucketsAsked | None = None


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Birth and death; retained, and the last will carries `online: false`."""

    device: Name
    online: bool
    version: NameOrNone = ""
    config_digest: NameOrNone = ""
    boot_id: NameOrNone = ""
    epoch: NameOrNone = ""
    health: Annotated[dict[Name, NameOrNone], Meta(max_length=MAX_STATUS_ENTRIES)] = {}
    records: Annotated[dict[Name, Count], Meta(max_length=MAX_STATUS_ENTRIES)] = {}
    """scope -> number."""
    digests: Annotated[dict[Name, Digest], Meta(max_length=MAX_STATUS_ENTRIES)] = {}
    """scope -> digest at that number, hex."""
    backlog: Count = 0
    time: Time = ""
    nonce: NameOrNone = ""
    """Of this connection, 32 random hex digits: who quotes it under signature speaks now, and no recording of
    him does. A command must quote it to be obeyed; empty where the device can hear none."""


class BlobOffer(msgspec.Struct, frozen=True):
    """A device has these bytes for the centre: which of them does it lack? Answered with a `BlobAnswer`."""

    device: Name
    sha256: Hash
    size_bytes: Count
    blob_class: BlobClass


class BlobChunk(msgspec.Struct, frozen=True):
    """The signed line in front of a chunk's bytes, which follow it after one line feed."""

    device: Name
    sha256: Hash
    """Of the whole blob."""
    size_bytes: Count
    """Of the whole blob."""
    offset: Count
    chunk_sha256: Hash


class ClaimRequest(msgspec.Struct, frozen=True):
    """One passage asks for one use of each of its slips. Idempotent by `claim_id`; all or none is granted."""

    claim_id: Name
    device: Name
    passage: Number
    plate: Plate | None
    slip_nos: Annotated[tuple[SlipNo, ...], Meta(min_length=1, max_length=MAX_CLAIM_SLIPS)]


# --- both ways --------------------------------------------------------------------------------------------


class KeyStatement(msgspec.Struct, frozen=True, kw_only=True):
    """ "From now on I sign with this key", signed by the key in force before it (`sync.link.trust`)."""

    name: Name
    """Whose keys: a device id, or `hub`."""
    number: Number
    """Of the statement: the first, signed by the first key, is 2; they grow by one."""
    replaces: Name
    """The key in force before it, which signs it."""
    kid: Name
    """Of the key in force after it."""
    public_key: Name
    """That key: 32 bytes in base64."""
    revoked: Annotated[tuple[Name, ...], Meta(max_length=MAX_STATEMENTS)] = ()
    """Keys nobody shall believe any more."""
    issued: Time


class KeyChain(msgspec.Struct, frozen=True):
    """Every statement of one name, the oldest first."""

    statements: Annotated[tuple[Signed, ...], Meta(max_length=MAX_STATEMENTS)]


# --- down -------------------------------------------------------------------------------------------------


class ChangeOp(enum.StrEnum):
    PUT = "put"
    DELETE = "delete"


class Change(msgspec.Struct, frozen=True, gc=False):
    number: Number
    """Gap-free within the scope and epoch, from 1."""
    collection: Name
    key: Name
    op: ChangeOp
    body: Body = ""
    """The record's exact JSON; empty for a delete."""


class FeedBatch(msgspec.Struct, frozen=True):
    """Numbered changes in order: `first` is `changes[0].number`, `last` is `changes[-1].number`."""

    scope: Name
    epoch: Name
    first: Number
    last: Number
    changes: Annotated[tuple[Change, ...], Meta(min_length=1, max_length=MAX_CHANGES)]


class FeedHead(msgspec.Struct, frozen=True):
    scope: Name
    epoch: Name
    number: Count
    rows: Count
    digest: Digest
    """32 hex digits: sum over rows mod 2^128 (`sync.policy.digests`)."""
    issued: Time
    """UTC text. A head older than one already verified is refused."""


class SnapshotManifest(msgspec.Struct, frozen=True, kw_only=True, tag="snapshot"):
    """A records file made at an exact number of a scope's log, as it is fetched: packed, in pieces.

    The hashes of the pieces, 32 bytes each, stand in pages of at most `PAGE_HASHES`, and the hashes of the
    pages stand here: whatever arrives is known to be right or wrong by itself.
    """

    scope: Name
    epoch: Name
    number: Count
    rows: Count
    digest: Digest
    """Of the rows at that number, as in `FeedHead`."""
    schema: Count
    """Version of the records file's schema."""
    size_bytes: Count
    sha256: Hash
    """Of the file unpacked."""
    packed_bytes: Count
    packed_sha256: Hash
    """Of the file packed (zstd); also the snapshot's name."""
    piece_bytes: Number
    pages: Annotated[tuple[Hash, ...], Meta(max_length=MAX_PAGES)]
    """SHA-256 of each page, hex."""
    made: Time
    """UTC text."""
    reserved_bytes: Annotated[int, Meta(ge=0, le=255)] = 0
    """Free at the end of each page of the file: a handheld enciphers into 80 of them, or takes the log."""


class BucketSums(msgspec.Struct, frozen=True, tag="bucket_sums"):
    """Some of the 4,096 bucket sums of a scope at an exact number."""

    scope: Name
    epoch: Name
    number: Count
    first: Bucket
    sums: Annotated[str, Meta(max_length=32 * SUMS_A_MESSAGE)]
    """32 hex digits a bucket, `SUMS_A_MESSAGE` buckets."""


class BucketRows(msgspec.Struct, frozen=True, tag="bucket_rows"):
    """All rows of one bucket at an exact number, or one page of them."""

    scope: Name
    epoch: Name
    number: Count
    bucket: Bucket
    page: Count
    pages: Annotated[int, Meta(ge=0, le=MAX_BUCKET_PAGES)]
    rows: Annotated[tuple[tuple[Name, Name, Body], ...], Meta(max_length=MAX_CHANGES)]
    """Collection, key, exact JSON."""


class Ack(msgspec.Struct, frozen=True):
    """Contiguous durable facts of one stream. A fact may leave the device only on its own hash (G3)."""

    archive_id: Name
    counter: Count
    """Grows with every acknowledgement of this archive for this device; older is ignored."""
    device: Name
    epoch: Name
    stream: Stream
    contiguous: Count
    hash: Hash
    """Hash of fact `contiguous`; `GENESIS` when 0."""
    missing: Ranges = ()
    branched: Count = 0
    """Lowest number under which the device sent another fact than the hub holds; 0 for none. The stream
    cannot go on in this epoch: the device begins a new one (G4). Needed when a restored disk's first life had
    sent facts beyond a gap: what is contiguous agrees, and what follows never can."""


class Acks(msgspec.Struct, frozen=True):
    """What the retained ack topic of a device carries: every stream of every epoch still of interest."""

    acks: Annotated[tuple[Ack, ...], Meta(max_length=MAX_ACKS)]
    archive_id: NameOrNone = ""
    """Of whoever speaks: also an archive that has nothing yet says so."""
    nonce: NameOrNone = ""
    """The nonce of the device's newest status, where this answers one. Another archive is believed to be the
    centre's by such a word alone: a recording puts none in its place."""
    backup_interval_s: Annotated[float, Meta(ge=0, le=MAX_SECONDS)] = 0.0
    """How long a fact may be here before it is in a backup too (G3)."""


class BlobState(enum.StrEnum):
    WANTED = "wanted"
    """`missing` says what of it."""
    STORED = "stored"
    """Whole, its hash proved, durable."""
    UNNAMED = "unnamed"
    """No fact that is here names it; ask again when the facts are."""
    REFUSED = "refused"
    """`why` says what for; ask again much later."""


class BlobAnswer(msgspec.Struct, frozen=True):
    """What the centre has of one blob."""

    archive_id: Name
    device: Name
    sha256: Hash
    state: BlobState
    missing: Ranges = ()
    """First and last byte of each gap, in order; at most `MAX_MISSING_RANGES`, the lowest first."""
    why: Text = ""


class ClaimVerdict(enum.StrEnum):
    GRANTED = "granted"
    REFUSED = "refused"


class ClaimAnswer(msgspec.Struct, frozen=True):
    claim_id: Name
    device: Name
    passage: Number
    verdict: ClaimVerdict
    why: Text = ""


# --- topics -----------------------------------------------------------------------------------------------


class Topics(msgspec.Struct, frozen=True):
    """Topic names of one site. A device writes only under its own `edge/{device}/`."""

    site: str

    def feed(self, scope: str) -> str:
        return f"{ROOT}/{self.site}/feed/{scope}"

    def feed_head(self, scope: str) -> str:
        return f"{ROOT}/{self.site}/feed/{scope}/head"

    def pull(self, device: str) -> str:
        return f"{ROOT}/{self.site}/edge/{device}/pull"

    def batch(self, device: str) -> str:
        return f"{ROOT}/{self.site}/edge/{device}/batch"

    def facts(self, device: str, stream: Stream) -> str:
        return f"{ROOT}/{self.site}/edge/{device}/facts/{stream.value}"

    def ack(self, device: str) -> str:
        return f"{ROOT}/{self.site}/edge/{device}/ack"

    def head(self, device: str) -> str:
        return f"{ROOT}/{self.site}/edge/{device}/head"

    def status(self, device: str) -> str:
        return f"{ROOT}/{self.site}/edge/{device}/status"

    def blob_offer(self, device: str) -> str:
        return f"{ROOT}/{self.site}/edge/{device}/blob/offer"

    def blob_chunk(self, device: str) -> str:
        return f"{ROOT}/{self.site}/edge/{device}/blob/chunk"

    def blob_answer(self, device: str) -> str:
        return f"{ROOT}/{self.site}/edge/{device}/blob_answer"

    def claim(self, device: str) -> str:
        return f"{ROOT}/{self.site}/edge/{device}/claim"

    def claim_answer(self, device: str) -> str:
        return f"{ROOT}/{self.site}/edge/{device}/claim_answer"

    def command(self, device: str) -> str:
        return f"{ROOT}/{self.site}/edge/{device}/command"

    def result(self, device: str) -> str:
        return f"{ROOT}/{self.site}/edge/{device}/result"

    def hub_birth(self) -> str:
        """The hub's own birth and death, retained, last will: unacknowledged facts are sent again on it."""
        return f"{ROOT}/{self.site}/hub/status"

    def hub_keys(self) -> str:
        """Retained: which keys the hub signs with, each vouched for by the one before."""
        return f"{ROOT}/{self.site}/hub/keys"

    def keys(self, device: str) -> str:
        """Retained: the same of a device."""
        return f"{ROOT}/{self.site}/edge/{device}/keys"
