"""Weeks at event level: nothing a lane keeps grows with time, in memory or on the disk.

`KAKOU_DAYS` says how many days; `make prove` lives thirty, with two thousand vehicles a day.
"""

from __future__ import annotations

import gc
import os
import sys
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge.gate.lane import Free
from edge.gate.replaying import replay
from sync.store.verify import verify_journal
from tests.endurance.rig import RECORDING_BYTES, Rig, rows
from tests.world.harness import _configs, quiet, scratch

DAYS = float(os.environ.get("KAKOU_DAYS", "0.2"))
PER_DAY = 2_000
DAY_S = 86_400.0
PARTS = 10
RECORDS_BYTES = 32_000_000
"""Of a short life: records and their write-ahead log, which is written round at sixteen megabytes. Where a
tenth of the life is a day and more, slips of a whole day lie there from the first look on, and all that
counts is that it stays so."""

pytestmark = pytest.mark.timeout(120 + 120 * DAYS)


@dataclass(frozen=True)
class Look:
    """How large everything is at one moment."""

    passages: int
    blocks: int
    rss_kb: int
    journal: int
    wal: int
    records: int
    recording: int
    facts: int
    uses: int


def rss_kb() -> int:
    """Anonymous memory of this process: what it allocated, not what it mapped."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    return int(status.read_text().split("RssAnon:")[1].split()[0])


def look(rig: Rig) -> Look:
    gc.collect()

    def size(*names: str) -> int:
        return sum(path.stat().st_size for name in names if (path := rig.folder / name).exists())

    return Look(
        passages=rig.counts.passages,
        blocks=sys.getallocatedblocks(),
        rss_kb=rss_kb(),
        journal=size("journal.sqlite"),
        wal=size("journal.sqlite-wal"),
        records=size("records-1.sqlite", "records-1.sqlite-wal"),
        recording=size("inbox.jsonl", "inbox.jsonl.1"),
        facts=rows(rig, "facts"),
        uses=rows(rig, "uses"),
    )


@pytest.fixture
def folder() -> Iterator[Path]:
    with quiet(), scratch() as made:
        yield made


@pytest.fixture
def lived(folder: Path) -> Iterator[tuple[Rig, list[Look]]]:
    """A rig after `DAYS`, and how large everything was at each tenth of them. A fact is kept for a tenth, and
    a tenth of a short life is minutes: the centre forgets slips accordingly sooner."""
    part_s = DAYS * DAY_S / PARTS
    rig = Rig(folder, _configs()[0], per_day=PER_DAY, retention_s=part_s, slips_kept_s=min(part_s, DAY_S))
    looks = []
    for _ in range(PARTS):
        rig.run(part_s)
        looks.append(look(rig))
    yield rig, looks
    rig.close()


def test_days_of_traffic_leave_nothing_behind(lived: tuple[Rig, list[Look]]) -> None:
    rig, looks = lived
    early, late = looks[2:6], looks[6:]
    told = "\n".join(map(str, looks))

    # It was a life: nearly everybody passed, some were held, and it goes on.
    assert rig.counts.passages >= 0.9 * PER_DAY * DAYS
    assert rig.counts.crossed > 0.85 * rig.counts.passages, rig.counts
    assert rig.counts.held > 0
    assert isinstance(rig.loop.state.phase, Free) or rig.loop.state.passage is not None

    # Nothing is lost: the chain of the journal is whole, all but the last minute acknowledged.
    assert verify_journal(rig.journal.path) == []
    assert sum(rig.journal.backlog().values()) < 200

    # The disk: what was kept early is what is kept late, give or take a tenth.
    for name, slack in (("journal", 65_536), ("wal", 262_144), ("facts", 50), ("uses", 20)):
        before, after = max(getattr(each, name) for each in early), max(getattr(each, name) for each in late)
        assert after <= before * 1.1 + slack, f"{name}\n{told}"
    most_bytes = RECORDS_BYTES if DAYS < PARTS else 1.02 * max(each.records for each in early)
    assert max(each.records for each in looks) < most_bytes, told
    assert max(each.recording for each in looks) < 2 * RECORDING_BYTES + 20_000, told

    # Memory.
    assert max(e.blocks for e in late) <= max(e.blocks for e in early) * 1.02, told
    assert max(e.rss_kb for e in late) <= max(e.rss_kb for e in early) + 4_096, told


def test_no_line_of_ours_keeps_what_it_allocates(folder: Path) -> None:
    """By tracemalloc: once bounded caches are full, more passages must not hold more.

    Not scrubbed: the scrubber remembers some thousand stand-ins, which is bounded, and much for so short a
    life. The test above has it.
    """
    rig = Rig(folder, _configs()[0], per_day=PER_DAY, retention_s=600.0, slips_kept_s=600.0, scrub=False)
    tracemalloc.start(1)
    try:
        rig.run(8_000.0)
        gc.collect()
        before = tracemalloc.take_snapshot()
        rig.run(2_500.0)
        gc.collect()
        after = tracemalloc.take_snapshot()
    finally:
        tracemalloc.stop()
    grown = [
        difference
        for difference in after.compare_to(before, "lineno")
        if difference.size_diff > 48_000 and "tracemalloc" not in str(difference.traceback)
    ]
    rig.close()
    assert grown == []


def test_the_recording_of_weeks_is_played_again(folder: Path) -> None:
    """What is left of it is two files, each of which begins where the one before ended."""
    rig = Rig(folder, _configs()[0], per_day=PER_DAY, retention_s=600.0, slips_kept_s=600.0)
    rig.run(14_000.0)
    rig.close()
    older, newer = replay(folder / "inbox.jsonl.1"), replay(folder / "inbox.jsonl")
    assert (older.same, newer.same) == (True, True)
    assert (older.otherwise, newer.otherwise) == (0, 0)
    assert older.events > 10_000
    assert newer.events > 0
