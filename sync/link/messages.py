"""Everything that travels over MQTT, as values (DESIGN 4). Bounded, strict, versioned by topic root.

Signed messages travel as `Signed`: the exact JSON text, the key's name and an Ed25519 signature over
`context + "\\n" + body`. Whoever checks the signature reads the same text; nobody re-encodes.
"""

from __future__ import annotations

import enum

import msgspec

from sync.vocabulary.blobs import BlobClass
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


class Signed(msgspec.Struct, frozen=True):
    body: str
    kid: str
    """Which key signed: a device id, or `hub`."""
    sig: str
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
    BLOB_ANSWER = "kakou/blob-answer/v1"
    KEYS = "kakou/keys/v1"
    COMMAND = "kakou/command/v1"
    RESULT = "kakou/result/v1"


# --- up ---------------------------------------------------------------------------------------------------


class StreamHead(msgspec.Struct, frozen=True):
    stream: Stream
    seq: int
    hash: str


class Checkpoint(msgspec.Struct, frozen=True):
    """All stream heads and the device-wide position, signed by the device at every publish (G6)."""

    device: str
    epoch: str
    position: int
    heads: tuple[StreamHead, ...]
    time: str


class CloudEvent(msgspec.Struct, frozen=True, kw_only=True):
    """CloudEvents 1.0, structured JSON. `data` is the fact's exact body, or a `Signed` checkpoint as text."""

    specversion: str = "1.0"
    id: str
    source: str
    type: str
    """`kakou.fact.<kind>.v1` or `kakou.checkpoint.v1`."""
    time: str
    datacontenttype: str = "text/plain"
    subject: str = ""
    hash: str = ""
    data: str


class PiecesAsked(msgspec.Struct, frozen=True):
    """Byte ranges of one snapshot, as first and last index each; at most `MAX_RANGES` of both kinds."""

    snapshot: str
    """`SnapshotManifest.packed_sha256`."""
    pages: tuple[tuple[int, int], ...] = ()
    pieces: tuple[tuple[int, int], ...] = ()


class BucketsAsked(msgspec.Struct, frozen=True):
    """What the centre holds at exactly this number: all bucket sums, or the rows of some buckets."""

    number: int
    buckets: tuple[int, ...] = ()
    """At most `MAX_BUCKETS_ASKED`; none: the sums of all."""


class Pull(msgspec.Struct, frozen=True):
    """Everything of a scope after number `after`; epoch empty when the device has none.

    What stands below `after` came later: a hub that does not know it answers with the log, which is always
    right, if seldom the shortest way.
    """

    scope: str
    epoch: str
    after: int
    snapshots: bool = False
    """The device can take a snapshot where that is shorter than the log."""
    pieces: PiecesAsked | None = None
    buckets: BucketsAsked | None = None


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Birth and death; retained, and the last will carries `online: false`."""

    device: str
    online: bool
    version: str = ""
    config_digest: str = ""
    boot_id: str = ""
    epoch: str = ""
    health: dict[str, str] = {}
    records: dict[str, int] = {}
    """scope -> number."""
    digests: dict[str, str] = {}
    """scope -> digest at that number, hex."""
    backlog: int = 0
    time: str = ""
    nonce: str = ""
    """Of this connection, 32 random hex digits: who quotes it under signature speaks now, and no recording of
    him does. A command must quote it to be obeyed; empty where the device can hear none."""


class BlobOffer(msgspec.Struct, frozen=True):
    """A device has these bytes for the centre: which of them does it lack? Answered with a `BlobAnswer`."""

    device: str
    sha256: str
    size_bytes: int
    blob_class: BlobClass


class BlobChunk(msgspec.Struct, frozen=True):
    """The signed line in front of a chunk's bytes, which follow it after one line feed."""

    device: str
    sha256: str
    """Of the whole blob."""
    size_bytes: int
    """Of the whole blob."""
    offset: int
    chunk_sha256: str


class ClaimRequest(msgspec.Struct, frozen=True):
    """One passage asks for one use of each of its slips. Idempotent by `claim_id`; all or none is granted."""

    claim_id: str
    device: str
    passage: int
    plate: Plate | None
    slip_nos: tuple[SlipNo, ...]


# --- both ways --------------------------------------------------------------------------------------------


class KeyStatement(msgspec.Struct, frozen=True, kw_only=True):
    """ "From now on I sign with this key", signed by the key in force before it (`sync.link.trust`)."""

    name: str
    """Whose keys: a device id, or `hub`."""
    number: int
    """Of the statement: the first, signed by the first key, is 2; they grow by one."""
    replaces: str
    """The key in force before it, which signs it."""
    kid: str
    """Of the key in force after it."""
    public_key: str
    """That key: 32 bytes in base64."""
    revoked: tuple[str, ...] = ()
    """Keys nobody shall believe any more."""
    issued: str


class KeyChain(msgspec.Struct, frozen=True):
    """Every statement of one name, the oldest first."""

    statements: tuple[Signed, ...]


# --- down -------------------------------------------------------------------------------------------------


class ChangeOp(enum.StrEnum):
    PUT = "put"
    DELETE = "delete"


class Change(msgspec.Struct, frozen=True):
    number: int
    """Gap-free within the scope and epoch, from 1."""
    collection: str
    key: str
    op: ChangeOp
    body: str = ""
    """The record's exact JSON; empty for a delete."""


class FeedBatch(msgspec.Struct, frozen=True):
    """Numbered changes in order: `first` is `changes[0].number`, `last` is `changes[-1].number`."""

    scope: str
    epoch: str
    first: int
    last: int
    changes: tuple[Change, ...]


class FeedHead(msgspec.Struct, frozen=True):
    scope: str
    epoch: str
    number: int
    rows: int
    digest: str
    """32 hex digits: sum over rows mod 2^128 (`sync.policy.digests`)."""
    issued: str
    """UTC text. A head older than one already verified is refused."""


class SnapshotManifest(msgspec.Struct, frozen=True, kw_only=True, tag="snapshot"):
    """A records file made at an exact number of a scope's log, as it is fetched: packed, in pieces.

    The hashes of the pieces, 32 bytes each, stand in pages of at most `PAGE_HASHES`, and the hashes of the
    pages stand here: whatever arrives is known to be right or wrong by itself.
    """

    scope: str
    epoch: str
    number: int
    rows: int
    digest: str
    """Of the rows at that number, as in `FeedHead`."""
    schema: int
    """Version of the records file's schema."""
    size_bytes: int
    sha256: str
    """Of the file unpacked."""
    packed_bytes: int
    packed_sha256: str
    """Of the file packed (zstd); also the snapshot's name."""
    piece_bytes: int
    pages: tuple[str, ...]
    """SHA-256 of each page, hex."""
    made: str
    """UTC text."""


class BucketSums(msgspec.Struct, frozen=True, tag="bucket_sums"):
    """Some of the 4,096 bucket sums of a scope at an exact number."""

    scope: str
    epoch: str
    number: int
    first: int
    sums: str
    """32 hex digits a bucket, `SUMS_A_MESSAGE` buckets."""


class BucketRows(msgspec.Struct, frozen=True, tag="bucket_rows"):
    """All rows of one bucket at an exact number, or one page of them."""

    scope: str
    epoch: str
    number: int
    bucket: int
    page: int
    pages: int
    rows: tuple[tuple[str, str, str], ...]
    """Collection, key, exact JSON."""


class Ack(msgspec.Struct, frozen=True):
    """Contiguous durable facts of one stream. A fact may leave the device only on its own hash (G3)."""

    archive_id: str
    counter: int
    """Grows with every acknowledgement of this archive for this device; older is ignored."""
    device: str
    epoch: str
    stream: Stream
    contiguous: int
    hash: str
    """Hash of fact `contiguous`; `GENESIS` when 0."""
    missing: tuple[tuple[int, int], ...] = ()
    branched: int = 0
    """Lowest number under which the device sent another fact than the hub holds; 0 for none. The stream
    cannot go on in this epoch: the device begins a new one (G4). Needed when a restored disk's first life had
    sent facts beyond a gap: what is contiguous agrees, and what follows never can."""


class Acks(msgspec.Struct, frozen=True):
    """What the retained ack topic of a device carries: every stream of every epoch still of interest."""

    acks: tuple[Ack, ...]
    archive_id: str = ""
    """Of whoever speaks: also an archive that has nothing yet says so."""
    nonce: str = ""
    """The nonce of the device's newest status, where this answers one. Another archive is believed to be the
    centre's by such a word alone: a recording puts none in its place."""
    backup_interval_s: float = 0.0
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

    archive_id: str
    device: str
    sha256: str
    state: BlobState
    missing: tuple[tuple[int, int], ...] = ()
    """First and last byte of each gap, in order; at most `MAX_MISSING_RANGES`, the lowest first."""
    why: str = ""


class ClaimVerdict(enum.StrEnum):
    GRANTED = "granted"
    REFUSED = "refused"


class ClaimAnswer(msgspec.Struct, frozen=True):
    claim_id: str
    device: str
    passage: int
    verdict: ClaimVerdict
    why: str = ""


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
