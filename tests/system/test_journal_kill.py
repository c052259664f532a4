"""A program that writes the journal is killed at random instants: what it reported is there, nothing by half.

The kill takes the process, not the page cache: that `synchronous=FULL` reaches the disk is the world test's.
"""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sync.store.journal import AckOutcome, Journal, random_id, utc_now, verify_journal
from sync.vocabulary.facts import (
    Alarm,
    AlarmCode,
    Fact,
    FactData,
    FactDraft,
    PassageOpened,
    Stream,
    VehicleCrossed,
)
from sync.vocabulary.numbers import SlipNo
from sync.vocabulary.uses import SlipUse, UseState

KILLS = 25
SEED = 20260131
SLIP = SlipNo("Z3111I240728000000000003")
ROOT = Path(__file__).resolve().parents[2]


# --- the program that is killed ----------------------------------------------------------------------------


def write_passages(path: Path, passage: int) -> None:
    """Two commits a passage, now and then an acknowledgement or an epoch; reported after each returned."""
    journal = Journal.open(path, device="lane-1")
    journal.meet_archive("archive")
    counter = journal.position()
    report("open", journal.epoch)
    while True:
        passage += 1
        reserved = SlipUse(f"use-{passage}", SLIP, passage, "claim", UseState.RESERVED)
        opened = journal.commit(
            [
                draft(PassageOpened(passage)),
                draft(Alarm(code=AlarmCode.OVERSTAY, passage=passage), Stream.ALARM),
            ],
            uses=[reserved],
            lane_state=str(passage).encode(),
        )
        report_facts(opened)
        crossed = SlipUse(reserved.use_id, SLIP, passage, "claim", UseState.CROSSED)
        report_facts(
            journal.commit([draft(VehicleCrossed(passage, "order", (reserved.use_id,)))], uses=[crossed])
        )
        if passage % 3 == 0:
            counter += 1
            standing = journal.standing()
            head = standing.heads[Stream.ROUTINE]
            outcome = journal.apply_ack(
                archive_id="archive",
                counter=counter,
                epoch=standing.epoch,
                stream=Stream.ROUTINE,
                contiguous=head.seq,
                hash=head.hash,
            )
            report("acked", standing.epoch, head.seq, outcome.value)
        if passage % 17 == 0:
            journal.begin_epoch("now and then")
            report("epoch", journal.epoch)


def draft(data: FactData, stream: Stream = Stream.ROUTINE) -> FactDraft:
    return FactDraft(random_id(), stream, utc_now(), "boot", 5, data)


def report_facts(facts: tuple[Fact, ...]) -> None:
    for fact in facts:
        report("fact", fact.epoch, fact.stream.value, fact.seq, fact.hash)


def report(*words: object) -> None:
    sys.stdout.write(" ".join(str(word) for word in words) + "\n")
    sys.stdout.flush()


# --- the one who kills and looks ---------------------------------------------------------------------------


@dataclass
class Reported:
    """What all killed programs together said was durable."""

    facts: list[tuple[str, str, int, str]] = field(default_factory=list)
    epochs: list[str] = field(default_factory=list)
    acked: dict[str, int] = field(default_factory=dict)

    def take(self, output: str) -> int:
        """Whole lines only: the last one may be cut off by the kill. Answers how many commits they report."""
        lines = output.split("\n")[:-1]
        for line in lines:
            match line.split():
                case ["fact", epoch, stream, seq, hash_]:
                    self.facts.append((epoch, stream, int(seq), hash_))
                case ["acked", epoch, seq, outcome]:
                    assert outcome == AckOutcome.APPLIED.value
                    self.acked[epoch] = int(seq)
                case ["open" | "epoch", epoch]:
                    self.epochs.append(epoch)
        return len(lines)


def kill_a_writer(path: Path, passage: int, drawn: random.Random) -> tuple[str, str]:
    """Start a writer and kill it: (where, all it printed). One in five is killed while it starts or opens."""
    writer = subprocess.Popen(
        [sys.executable, str(Path(__file__).resolve()), str(path), str(passage)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert writer.stdout is not None
        first = ""
        if drawn.random() < 0.2:
            wait_s = drawn.uniform(0.1, 0.6)
            where = f"{wait_s:.4f} s after its start"
        else:
            first = writer.stdout.readline()
            wait_s = drawn.uniform(0.0, 0.12)
            where = f"{wait_s:.4f} s after it opened"
        time.sleep(wait_s)
    finally:
        writer.kill()
    rest, errors = writer.communicate(timeout=30)
    assert errors == ""
    return where, first + rest


def check(journal: Journal, path: Path, reported: Reported, seen: dict[str, Fact]) -> int:
    """Everything reported is there; no transaction by halves. Answers the last passage of the file."""
    assert verify_journal(path) == []
    # A program killed while an epoch began has said a thousand of a long backlog again: its next one goes on.
    while journal.issue_again():
        pass
    assert verify_journal(path) == []
    epochs = list(dict.fromkeys(reported.epochs))
    if journal.epoch not in epochs:
        epochs.append(journal.epoch)
    held = {
        (epoch, stream): journal.facts_from(stream, 1, max_facts=10**6, max_bytes=10**9, epoch=epoch)
        for epoch in epochs
        for stream in Stream
    }
    hashes = {
        (fact.epoch, fact.stream.value, fact.seq): fact.hash for facts in held.values() for fact in facts
    }
    lost = [told for told in reported.facts if hashes.get(told[:3]) != told[3]]
    assert lost == []
    assert journal.acked()[Stream.ROUTINE] >= reported.acked.get(journal.epoch, 0)

    for left, entered in itertools.pairwise(epochs):
        for stream in Stream:
            again = {fact.event_id for fact in held[entered, stream]}
            missing = [fact.seq for fact in held[left, stream] if fact.event_id not in again]
            assert missing == list(range(1, len(missing) + 1))
            assert len(missing) <= {Stream.ALARM: 0, Stream.ROUTINE: reported.acked.get(left, 0) + 6}[stream]

    seen |= {fact.event_id: fact for facts in held.values() for fact in facts}
    passages = {
        kind: {fact.passage for fact in seen.values() if fact.kind == kind}
        for kind in ("passage_opened", "alarm", "vehicle_crossed")
    }
    uses = {used.passage: used.state for used in journal.uses_of([SLIP])}
    assert passages["passage_opened"] == passages["alarm"] == set(uses)
    crossed = {passage for passage, state in uses.items() if state is UseState.CROSSED}
    assert passages["vehicle_crossed"] == crossed
    assert set(uses.values()) <= {UseState.RESERVED, UseState.CROSSED}
    last = max(uses, default=0)
    assert (journal.lane_state() or b"0") == str(last).encode()
    return last


@pytest.mark.system
@pytest.mark.timeout(300)
def test_a_writer_killed_at_any_instant_loses_nothing_it_reported(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    drawn = random.Random(SEED)
    reported = Reported()
    seen: dict[str, Fact] = {}
    passage = commits = unfinished = 0
    for kill in range(KILLS):
        where, output = kill_a_writer(path, passage, drawn)
        told = reported.take(output)
        with Journal.open(path, device="lane-1") as journal:
            last = check(journal, path, reported, seen)
            unfinished += len({use.passage for use in journal.open_uses()} & {last})
            reported.epochs.append(journal.epoch)
        print(f"kill {kill + 1}: {where}, {told} lines reported, passages {passage + 1}..{last}")
        passage = last
        commits += told
    assert commits > 10 * KILLS
    assert passage > KILLS
    print(f"{passage} passages, {len(reported.facts)} facts reported, {unfinished} kills in mid-passage")


if __name__ == "__main__":
    write_passages(Path(sys.argv[1]), int(sys.argv[2]))
