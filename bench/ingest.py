"""What one hub process makes durable: payloads of facts in, checked, stored, acknowledged; no broker.

As many payloads share a commit as the hub takes from its inbox at once. The limit is the design's: the whole
country's busiest hours would be 125 facts a second.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from bench.harness import Bench, Figure, in_turns
from bench.passages import DEVICE, FACTS_A_PASSAGE, journalled
from sync.hub.archive import Archive
from sync.hub.receiver import Receiver
from sync.hub.wiring import TAKE_AT_ONCE_BYTES
from sync.link.envelope import pack, runs
from sync.link.keys import HUB_KID, KeySigner, make_private, public_pem
from sync.link.messages import Checkpoint, Context, StreamHead, Topics
from sync.store.journal import Journal
from sync.vocabulary.codec import to_json
from sync.vocabulary.facts import Stream

ASKED_A_SECOND = 5_000
ROUNDS = 5
PASSAGES_A_ROUND = 1_000
AT = "2026-01-01T00:00:00.000000Z"
MESSAGE = tuple[str, bytes]


def run(folder: Path, scale: float) -> Bench:
    """At scale 0.1 and above: 6,000 facts a round."""
    passages = max(50, int(PASSAGES_A_ROUND * min(1.0, scale * 10)))
    device_key, hub_key = make_private(), make_private()
    archive = Archive.open(folder / "archive.sqlite", own=True)
    with archive.transaction():
        archive.enrol(DEVICE, public_pem(device_key.public_key()).decode())
    receiver = Receiver(archive, KeySigner(hub_key, HUB_KID), site="bench")
    with Journal.open(folder / "ingest.sqlite", device=DEVICE, reserve_bytes=0) as journal:
        journalled(journal, 1, passages * ROUNDS)
        rounds = iter(_cut(journal, KeySigner(device_key, DEVICE), ROUNDS))

    def ingest() -> float:
        messages, before = next(rounds), receiver.counts.facts
        begin = time.perf_counter()
        acknowledged = 0
        for some in _taken_at_once(messages):
            acknowledged += len(receiver.receive_all(some, AT))
        took_s = time.perf_counter() - begin
        if not acknowledged or receiver.counts.refused or receiver.counts.storage_faults:
            raise RuntimeError(f"the hub did not take the bench's facts: {receiver.counts}")
        return (receiver.counts.facts - before) / took_s

    rates = in_turns(ROUNDS, [("hub", ingest)])
    stored = receiver.counts.facts
    archive.close()
    if stored != passages * ROUNDS * FACTS_A_PASSAGE:
        raise RuntimeError(f"the hub stored {stored} of {passages * ROUNDS * FACTS_A_PASSAGE} facts")
    return Bench(
        "ingest",
        [
            Figure(
                "facts durable at the hub", rates.median("hub"), "/s", rates.median("hub") / ASKED_A_SECOND,
                f"{ASKED_A_SECOND:,}/s", at_least=1.0, note=f"{rates.spread('hub')} /s, one process",
            )
        ],
        f"{passages * FACTS_A_PASSAGE:,} facts of passages a round, {ROUNDS} rounds, signed payloads, "
        "WAL and synchronous=FULL",
    )  # fmt: skip


def _cut(journal: Journal, signer: KeySigner, parts: int) -> Iterator[list[MESSAGE]]:
    """The routine stream as payloads on its topic, in so many parts."""
    facts = journal.facts_from(Stream.ROUTINE, 1, max_facts=10**9, max_bytes=10**12)
    messages: list[MESSAGE] = []
    topic = Topics("bench").facts(DEVICE, Stream.ROUTINE)
    for run_ in runs(facts):
        last = run_.facts[-1]
        heads = (StreamHead(Stream.ROUTINE, last.seq, last.hash),)
        checkpoint = Checkpoint(DEVICE, last.epoch, last.position, heads, last.time)
        signed = signer.sign(Context.CHECKPOINT, to_json(checkpoint).decode())
        messages.append((topic, pack(run_, signed, time=last.time)))
    size = -(-len(messages) // parts)
    return (messages[begin : begin + size] for begin in range(0, len(messages), size))


def _taken_at_once(messages: list[MESSAGE]) -> Iterator[list[MESSAGE]]:
    held: list[MESSAGE] = []
    for message in messages:
        held.append(message)
        if sum(len(payload) for _, payload in held) >= TAKE_AT_ONCE_BYTES:
            yield held
            held = []
    if held:
        yield held
