"""Facts <-> CloudEvents batches, signed values <-> payloads. Pure: no clock, no port, no database.

A batch is one contiguous run of one stream, at most `MAX_PAYLOAD_BYTES`, ending in a checkpoint the device
signed over the last fact. The chain inside the run carries that signature back to every fact in it, so a
batch proves itself alone: whoever owns the broker can add, drop or change nothing. A fact travels as the
exact text its hash covers; the fields beside it are for routing and must agree with it.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sync.link.keys import Forged, Signer, verify
from sync.link.messages import (
    MAX_PAYLOAD_BYTES,
    BlobChunk,
    Checkpoint,
    CloudEvent,
    Context,
    Signed,
    StreamHead,
)
from sync.link.trust import may_sign
from sync.vocabulary.blobs import MAX_BLOB_BYTES
from sync.vocabulary.bounds import Count, Hash, Name, Number, Time
from sync.vocabulary.codec import Malformed, decoder, strict_decoder, to_json
from sync.vocabulary.facts import (
    GENESIS,
    VERSION,
    Fact,
    FactBody,
    FactTooLong,
    Stream,
    hash_of,
    kind_of,
    read_body,
)

SPEC_VERSION = "1.0"
SOURCE_ROOT = "kakou/edge/"
CHECKPOINT_TYPE = "kakou.checkpoint.v1"
CHECKPOINT_ROOM_BYTES = 2_048
"""Kept free in every batch for the checkpoint event: two heads, names of 200 characters, a signature."""

T = TypeVar("T")


class BatchRefused(ValueError):
    """A payload is not a whole, honest batch; the text names what was expected."""


# --- signed values ----------------------------------------------------------------------------------------

read_signed = strict_decoder(Signed)
"""A signed topic's payload -> what was signed, not yet checked. Raises `Malformed`."""


_readers: dict[Any, Callable[[bytes | str], Any]] = {}


def _reader(kind: Any) -> Callable[[bytes | str], Any]:
    if kind not in _readers:
        _readers[kind] = strict_decoder(kind)
    return _readers[kind]


def signed_payload(signer: Signer, context: Context, value: object) -> bytes:
    """A value as the payload of a signed topic."""
    return to_json(signer.sign(context, to_json(value).decode()))


def reader(kind: type[T]) -> Callable[[bytes | str], T]:
    """The strict reader of one kind of message. Raises `Malformed`."""
    read: Callable[[bytes | str], T] = _reader(kind)
    return read


def open_signed(payload: bytes, keys: Mapping[str, Ed25519PublicKey], context: Context, kind: type[T]) -> T:
    """A signed topic's payload -> its value. Whatever the bytes, raises only `Forged` or `Malformed`."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise Malformed(f"{kind.__name__}: {len(payload)} bytes, expected at most {MAX_PAYLOAD_BYTES}")
    value: T = _reader(kind)(verify(keys, read_signed(payload), context))
    return value


# --- blobs up ---------------------------------------------------------------------------------------------


def chunk_payload(signer: Signer, head: BlobChunk, data: bytes) -> bytes:
    """A chunk's signed line, a line feed, and its bytes as they are."""
    return signed_payload(signer, Context.BLOB_CHUNK, head) + b"\n" + data


def open_chunk(payload: bytes, keys: Mapping[str, Ed25519PublicKey]) -> tuple[BlobChunk, bytes]:
    """A chunk's head and bytes, these proved by that. Whatever comes, raises only `Forged` or `Malformed`."""
    line, feed, data = payload.partition(b"\n")
    if not feed or len(payload) > MAX_PAYLOAD_BYTES:
        raise Malformed(
            f"chunk: expected a signed line, a line feed and at most {MAX_PAYLOAD_BYTES} bytes in all"
        )
    head = open_signed(line, keys, Context.BLOB_CHUNK, BlobChunk)
    if not data or not 0 <= head.offset <= head.size_bytes - len(data) <= MAX_BLOB_BYTES:
        raise Malformed(
            f"chunk: {len(data)} bytes at {head.offset} are not within a blob of {head.size_bytes}"
        )
    if hashlib.sha256(data).hexdigest() != head.chunk_sha256:
        raise Forged("chunk: its bytes are not those that were signed")
    return head, data


# --- facts up ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Run:
    """Facts of one stream, contiguous, that fit one payload; `events` are their encoded CloudEvents."""

    facts: tuple[Fact, ...]
    events: tuple[bytes, ...]

    @property
    def first(self) -> int:
        return self.facts[0].seq

    @property
    def last(self) -> int:
        return self.facts[-1].seq


def source_of(device: str) -> str:
    return SOURCE_ROOT + device


def _fact_event(fact: Fact) -> bytes:
    return to_json(
        CloudEvent(
            id=fact.event_id,
            source=source_of(fact.device),
            type=_type_of(fact.kind, _version_of(fact.body)),
            time=fact.time,
            subject=_subject_of(fact.epoch, fact.stream, fact.seq),
            hash=fact.hash,
            data=fact.body,
        )
    )


def _type_of(kind: str, version: int) -> str:
    return f"kakou.fact.{kind}.v{version}"


def _version_of(body: str) -> int:
    """A journal may hold facts that an older program wrote."""
    written = _OUR_VERSION.match(body)
    return int(written[1]) if written else VERSION


_OUR_VERSION = re.compile(r'\{"v":([0-9]{1,9}),')


def _subject_of(epoch: str, stream: Stream, seq: int) -> str:
    # Not `.value`, which costs as much as all the rest: a StrEnum formats as its value.
    return f"{epoch}/{stream}/{seq}"


def runs(
    facts: Sequence[Fact], *, payload_bytes: int = MAX_PAYLOAD_BYTES, wanted_bytes: int = MAX_PAYLOAD_BYTES
) -> Iterator[Run]:
    """Cut contiguous facts into runs whose payloads stay within `payload_bytes`, and within `wanted_bytes`
    where more than one fact is in them. Raises `FactTooLong`."""
    room = payload_bytes - CHECKPOINT_ROOM_BYTES
    wanted = min(payload_bytes, wanted_bytes) - CHECKPOINT_ROOM_BYTES
    held: list[Fact] = []
    events: list[bytes] = []
    size = 0
    for fact in facts:
        event = _fact_event(fact)
        if len(event) + 1 > room:
            if held:
                yield Run(tuple(held), tuple(events))
            raise FactTooLong(
                f"fact {fact.stream.value}/{fact.seq} ({fact.kind}) takes {len(event)} bytes, "
                f"at most {room - 1} fit a payload"
            )
        if held and size + len(event) + 1 > wanted:
            yield Run(tuple(held), tuple(events))
            held, events, size = [], [], 0
        held.append(fact)
        events.append(event)
        size += len(event) + 1
    if held:
        yield Run(tuple(held), tuple(events))


def pack(run: Run, checkpoint: Signed, *, time: str) -> bytes:
    """A run and the checkpoint signed over its last fact -> one payload. `time` is UTC text."""
    closing = to_json(
        CloudEvent(
            id=hash_of(checkpoint.sig),
            source=source_of(run.facts[-1].device),
            type=CHECKPOINT_TYPE,
            time=time,
            data=to_json(checkpoint).decode(),
        )
    )
    return b"[" + b",".join((*run.events, closing)) + b"]"


# --- and back ---------------------------------------------------------------------------------------------


class _Tagged(msgspec.Struct, frozen=True):
    type: Name


class BodyHead(msgspec.Struct, frozen=True, kw_only=True):
    """A fact's body without what it says: readable whatever version wrote the rest (docs/contract)."""

    v: Count
    device: Name
    epoch: Name
    stream: Stream
    seq: Number
    position: Number
    prev: Hash
    event_id: Name
    time: Time
    data: _Tagged

    @property
    def kind(self) -> str:
        return self.data.type


read_body_head = decoder(BodyHead)
"""Exact bytes -> `BodyHead`. Raises `Malformed`. Kinds and versions of facts not known here pass."""

_read_events = decoder(tuple[CloudEvent, ...])
# Not strictly: whatever an event says beside a fact must agree with the fact's own body.
_read_checkpoint = strict_decoder(Checkpoint)


class Arrived(msgspec.Struct, frozen=True):
    """One fact of a batch: its hash was computed here from `body`, and `head` was read from `body`."""

    head: BodyHead
    hash: str
    body: str
    said: FactBody | None
    """The whole body; None where it is of a kind or version not known here."""
    is_ours: bool
    """`said` written again gives `body`: no key stands twice, and none is there that is not known here."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A whole batch: contiguous, chained, closed by `signed`, whose body says the same as `checkpoint`.

    The signature itself is not checked here: that takes the device's key (`keys.verify`).
    """

    device: str
    epoch: str
    stream: Stream
    facts: tuple[Arrived, ...]
    signed: Signed
    checkpoint: Checkpoint


def read_batch(payload: bytes) -> Batch:
    """A facts topic's payload -> its batch. Whatever the bytes, raises only `BatchRefused`."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise BatchRefused(f"{len(payload)} bytes, expected at most {MAX_PAYLOAD_BYTES}")
    try:
        events = _read_events(payload)
        if not events or events[-1].type != CHECKPOINT_TYPE:
            raise BatchRefused(f"expected the last event to be {CHECKPOINT_TYPE}")
        signed = read_signed(events[-1].data)
        checkpoint = _read_checkpoint(signed.body)
        facts = tuple(_arrived(event) for event in events[:-1])
    except Malformed as error:
        raise BatchRefused(str(error)) from error
    if not facts:
        raise BatchRefused("expected at least one fact before the checkpoint")
    if events[-1].specversion != SPEC_VERSION or events[-1].source != source_of(checkpoint.device):
        raise BatchRefused("the checkpoint event does not agree with its checkpoint")
    _chained(facts)
    _closed(facts[-1], checkpoint, signed)
    first = facts[0].head
    return Batch(first.device, first.epoch, first.stream, facts, signed, checkpoint)


def open_batch(payload: bytes) -> tuple[list[tuple[str, str]], Signed]:
    """A payload -> (hash, body) of each fact in order, and the signed checkpoint. Raises `BatchRefused`."""
    batch = read_batch(payload)
    return [(fact.hash, fact.body) for fact in batch.facts], batch.signed


def _arrived(event: CloudEvent) -> Arrived:
    try:
        # Read once: a body that can be read whole has its head in it.
        said = read_body(event.data)
        head = _head_of(said)
    except Malformed:
        said = None
        head = read_body_head(event.data)
    kind = head.kind
    if not (head.device + head.epoch + head.event_id + head.time + kind).isprintable():
        raise BatchRefused(f"fact {head.seq}: expected a name and a time that can be printed")
    data = event.data.encode()
    computed = hashlib.sha256(data).hexdigest()
    beside = (event.specversion, event.id, event.source, event.type, event.time, event.subject, event.hash)
    inside = (
        SPEC_VERSION,
        head.event_id,
        source_of(head.device),
        _type_of(kind, head.v),
        head.time,
        _subject_of(head.epoch, head.stream, head.seq),
        computed,
    )
    if beside != inside:
        names = ("specversion", "id", "source", "type", "time", "subject", "hash")
        differing = [name for name, left, right in zip(names, beside, inside, strict=True) if left != right]
        raise BatchRefused(f"fact {head.seq}: {', '.join(differing)} does not agree with the fact's body")
    return Arrived(head, computed, event.data, said, said is not None and to_json(said) == data)


def _head_of(said: FactBody) -> BodyHead:
    return BodyHead(
        v=said.v,
        device=said.device,
        epoch=said.epoch,
        stream=said.stream,
        seq=said.seq,
        position=said.position,
        prev=said.prev,
        event_id=said.event_id,
        time=said.time,
        data=_Tagged(kind_of(said.data)),
    )


def _chained(facts: tuple[Arrived, ...]) -> None:
    first = facts[0].head
    if first.seq == 1 and first.prev != GENESIS:
        raise BatchRefused("fact 1 of a stream must have the genesis hash before it")
    for before, after in itertools.pairwise(facts):
        old, new = before.head, after.head
        if (new.device, new.epoch, new.stream) != (old.device, old.epoch, old.stream):
            raise BatchRefused("a batch carries one stream of one epoch of one device")
        if new.seq != old.seq + 1 or new.position <= old.position:
            raise BatchRefused(f"expected fact {old.seq + 1} after {old.seq}, got {new.seq}")
        if new.prev != before.hash:
            raise BatchRefused(f"fact {new.seq} does not name the hash of fact {old.seq}")


def _closed(last: Arrived, checkpoint: Checkpoint, signed: Signed) -> None:
    head = last.head
    if (checkpoint.device, checkpoint.epoch) != (head.device, head.epoch) or not may_sign(
        head.device, signed.kid
    ):
        raise BatchRefused("the checkpoint is of another device or epoch than the facts")
    if StreamHead(head.stream, head.seq, last.hash) not in checkpoint.heads:
        raise BatchRefused(f"the checkpoint does not cover the last fact, {head.stream.value}/{head.seq}")
