"""What every topic carries: one table, from which the contract's pages and schemas are made. Pure.

Every method of `Topics` has its row here, every message is in one, and every field of every message has a
bound; otherwise a test fails.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import msgspec

from sync.link.messages import (
    Acks,
    BlobAnswer,
    BlobChunk,
    BlobOffer,
    BucketRows,
    BucketSums,
    Checkpoint,
    ClaimAnswer,
    ClaimRequest,
    Context,
    FeedBatch,
    FeedHead,
    KeyChain,
    KeyStatement,
    Pull,
    SnapshotManifest,
    Status,
)
from sync.vocabulary.commands import Command, CommandResult


class Wrapping(enum.StrEnum):
    """How a payload is put together."""

    SIGNED = "signed"
    """`Signed` as JSON: the message is its `body`, under the context of its kind."""
    FACTS = "facts"
    """A CloudEvents batch: facts, and the signed checkpoint over the last one."""
    CHAIN = "chain"
    """JSON whose statements are signed one by one."""
    LINE_AND_BYTES = "line and bytes"
    """`Signed` as JSON, a line feed, and the bytes it speaks of."""


@dataclass(frozen=True, slots=True)
class Carried:
    """What a topic carries."""

    topic: str
    """The method of `Topics` that names it."""
    wrapping: Wrapping
    kinds: tuple[tuple[type[msgspec.Struct], Context], ...]
    """Messages, and what their signature is for."""
    says: str
    retain: bool = False


CARRIED = (
    Carried("feed", Wrapping.SIGNED, ((FeedBatch, Context.FEED),),
            "numbered batches of record changes, all collections of a scope in one gap-free log"),
    Carried("feed_head", Wrapping.SIGNED, ((FeedHead, Context.FEED_HEAD),),
            "epoch, last number, row count and digest of a scope", retain=True),
    Carried("pull", Wrapping.SIGNED, ((Pull, Context.PULL),),
            "what a device lacks of a scope: the log from a number, pieces of a snapshot, buckets"),
    Carried("batch", Wrapping.SIGNED,
            ((FeedBatch, Context.FEED), (SnapshotManifest, Context.SNAPSHOT), (BucketSums, Context.BUCKETS),
             (BucketRows, Context.BUCKETS)),
            "answers to a pull; pieces of a snapshot come here too, as bytes (`sync.link.fetching`)"),
    Carried("facts", Wrapping.FACTS, ((Checkpoint, Context.CHECKPOINT),),
            "facts of one stream, contiguous, closed by the checkpoint over the last one"),
    Carried("ack", Wrapping.SIGNED, ((Acks, Context.ACK),),
            "what the centre holds of the device's streams; only this lets facts go", retain=True),
    Carried("head", Wrapping.SIGNED, ((Checkpoint, Context.CHECKPOINT),),
            "all stream heads and the device-wide position", retain=True),
    Carried("status", Wrapping.SIGNED, ((Status, Context.STATUS),),
            "a device's birth and death; also its last will", retain=True),
    Carried("hub_birth", Wrapping.SIGNED, ((Status, Context.STATUS),),
            "the centre's birth and death; also its last will", retain=True),
    Carried("claim", Wrapping.SIGNED, ((ClaimRequest, Context.CLAIM),),
            "a passage asks for one use of each of its slips"),
    Carried("claim_answer", Wrapping.SIGNED, ((ClaimAnswer, Context.CLAIM_ANSWER),),
            "granted or refused; the same claim always gets the same answer"),
    Carried("command", Wrapping.SIGNED, ((Command, Context.COMMAND),),
            "what the centre tells a device to do, quoting the nonce of its connection"),
    Carried("result", Wrapping.SIGNED, ((CommandResult, Context.RESULT),),
            "what became of a command"),
    Carried("blob_offer", Wrapping.SIGNED, ((BlobOffer, Context.BLOB),),
            "evidence a device has for the centre, named by its hash"),
    Carried("blob_chunk", Wrapping.LINE_AND_BYTES, ((BlobChunk, Context.BLOB_CHUNK),),
            "a part of that evidence"),
    Carried("blob_answer", Wrapping.SIGNED, ((BlobAnswer, Context.BLOB_ANSWER),),
            "which parts the centre lacks, or that it has all"),
    Carried("keys", Wrapping.CHAIN, ((KeyChain, Context.KEYS), (KeyStatement, Context.KEYS)),
            "which keys a device signs with, each vouched for by the one before", retain=True),
    Carried("hub_keys", Wrapping.CHAIN, ((KeyChain, Context.KEYS), (KeyStatement, Context.KEYS)),
            "which keys the centre signs with", retain=True),
)  # fmt: skip

QOS = 1
"""Of every message: at least once. Nothing relies on more."""
