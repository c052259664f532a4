"""A piece of a device's chain that proves itself: facts by their exact text, and the checkpoint signed over
the last of them. Pure. What `kakou journal export` writes, and what anybody can check without us (G6).

A segment holds, of one or more streams, facts without a gap. The signature covers the last fact's hash, each
fact names the hash of the one before it: nothing in between can be changed, left out, added or moved.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Meta

from sync.link.envelope import read_body_head
from sync.link.keys import Forged, verify
from sync.link.messages import Checkpoint, Context, Signed, StreamHead
from sync.vocabulary.blobs import named_by
from sync.vocabulary.bounds import Body, Count, Hash, Name
from sync.vocabulary.codec import Malformed, strict_decoder, to_json
from sync.vocabulary.facts import Stream, hash_of, read_body

FORMAT: Final = "kakou/segment/v1"
MAX_FACTS = 1_000_000
MAX_STREAMS = 10_000
MAX_SEGMENT_BYTES = 512 * 1024 * 1024

_Bodies = Annotated[tuple[Body, ...], Meta(min_length=1, max_length=MAX_FACTS)]


class Evidence(msgspec.Struct, frozen=True):
    """A blob that one of the facts names: whoever holds the bytes can prove that they are the ones."""

    stream: Stream
    seq: Count
    sha256: Hash
    size_bytes: Count


class SegmentRun(msgspec.Struct, frozen=True):
    """Facts of one stream, without a gap, closed by a checkpoint."""

    epoch: Name
    stream: Stream
    facts: _Bodies
    """Exact bodies."""
    checkpoint: Signed
    evidence: Annotated[tuple[Evidence, ...], Meta(max_length=MAX_FACTS)] = ()


class Segment(msgspec.Struct, frozen=True):
    format: Literal["kakou/segment/v1"]
    device: Name
    public_keys: Annotated[dict[Name, Name], Meta(max_length=64)]
    """kid -> 32 bytes in base64, as whoever exported it knows them: compare with a key you got otherwise."""
    runs: Annotated[tuple[SegmentRun, ...], Meta(max_length=MAX_STREAMS)]


@dataclass(frozen=True, slots=True)
class Proved:
    """What a segment proves once nothing is wrong with it."""

    facts: int
    evidence: int


read_segment = strict_decoder(Segment)
"""Raises `Malformed`."""

_read_checkpoint = strict_decoder(Checkpoint)


def run_of(epoch: str, stream: Stream, bodies: Sequence[str], checkpoint: Signed) -> SegmentRun:
    return SegmentRun(epoch, stream, tuple(bodies), checkpoint, tuple(_evidence(stream, bodies)))


def _evidence(stream: Stream, bodies: Sequence[str]) -> Iterator[Evidence]:
    for body in bodies:
        try:
            said = read_body(body)
        except Malformed:
            continue
        named = named_by(said.data)
        if named is not None:
            yield Evidence(stream, said.seq, named.sha256, named.size_bytes)


def segment_text(device: str, keys: Mapping[str, Ed25519PublicKey], runs: Sequence[SegmentRun]) -> str:
    raw = {kid: base64.b64encode(key.public_bytes_raw()).decode() for kid, key in sorted(keys.items())}
    return to_json(Segment(FORMAT, device, raw, tuple(runs))).decode() + "\n"


def keys_in(segment: Segment) -> dict[str, Ed25519PublicKey]:
    """The keys a segment brings along. Raises `Malformed`."""
    try:
        return {
            kid: Ed25519PublicKey.from_public_bytes(base64.b64decode(raw, validate=True))
            for kid, raw in segment.public_keys.items()
        }
    except ValueError as error:
        raise Malformed("public_keys: expected 32 bytes in base64") from error


def problems_of(segment: Segment, keys: Mapping[str, Ed25519PublicKey]) -> Iterator[str]:
    """Everything wrong with it under these keys, each named exactly."""
    for run in segment.runs:
        yield from _run_problems(segment.device, run, keys)


def _run_problems(device: str, run: SegmentRun, keys: Mapping[str, Ed25519PublicKey]) -> Iterator[str]:
    name = f"epoch {run.epoch[:8]} {run.stream.value}"
    before: tuple[int, str] | None = None
    for body in run.facts:
        try:
            head = read_body_head(body)
        except Malformed as error:
            expected = "its first fact" if before is None else str(before[0] + 1)
            yield f"{name} {expected}: changed, its body is no longer a fact ({error})"
            return
        if (head.device, head.epoch, head.stream) != (device, run.epoch, run.stream):
            yield f"{name} {head.seq}: is a fact of {head.device} {head.epoch[:8]} {head.stream.value}"
        if before is not None and head.seq != before[0] + 1:
            yield f"{name} {before[0] + 1}: expected here, and {head.seq} stands here"
        elif before is not None and head.prev != before[1]:
            yield f"{name} {before[0]} or {head.seq}: changed, the second does not name the hash of the first"
        before = (head.seq, hash_of(body))
    try:
        checkpoint = _read_checkpoint(verify(keys, run.checkpoint, Context.CHECKPOINT))
    except (Forged, Malformed) as error:
        yield f"{name}: its checkpoint does not hold ({error})"
        return
    if run.evidence != tuple(_evidence(run.stream, run.facts)):
        yield f"{name}: the list of evidence is not what its facts name"
    assert before is not None  # noqa: S101  a run has at least one fact
    if (checkpoint.device, checkpoint.epoch) != (device, run.epoch):
        yield f"{name}: its checkpoint is of {checkpoint.device} epoch {checkpoint.epoch[:8]}"
    elif StreamHead(run.stream, *before) not in checkpoint.heads:
        signed = [head for head in checkpoint.heads if head.stream is run.stream]
        numbers = ", ".join(f"{head.seq} with hash {head.hash[:16]}" for head in signed) or "none"
        yield (
            f"{name} {before[0]}: is not what was signed: this one has hash {before[1][:16]}, "
            f"the checkpoint names {numbers}"
        )
