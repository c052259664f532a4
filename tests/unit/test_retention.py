"""What a lane lets go of, and what it keeps however old it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest

from edge.gate.retention import USES_A_TURN, Retention
from sync.link.messages import Change, ChangeOp, FeedBatch
from sync.store.journal import Journal, JournalFull
from sync.store.records import Records, new_generation
from sync.vocabulary.codec import to_json
from sync.vocabulary.facts import FactDraft, PassageOpened, Stream
from sync.vocabulary.numbers import EnterpriseCode, SlipNo, UtcText
from sync.vocabulary.records import Binding, Direction, ReleaseSlip, SlipKind, SlipState
from sync.vocabulary.uses import SlipUse, UseState

DAY_S = 86_400.0
EPOCH = "e" * 32


@dataclass
class Clock:
    day: int = 1

    def monotonic_s(self) -> float:
        return self.day * DAY_S

    def utc_text(self) -> str:
        return f"2026-03-{self.day:02d}T00:00:00.000000Z"

    def boot_id(self) -> str:
        return "boot"

    def uncertainty_ms(self) -> int:
        return 1


class Kept:
    """A journal and records, and a lane that lives by days."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.folder = folder
        self.journal = Journal.open(
            folder / "journal.sqlite",
            device="lane-1",
            utc=self.clock.utc_text,
            reserve_bytes=0,
            monotonic_s=self.clock.monotonic_s,
        )
        self.records = Records.open(new_generation(folder, 1, "demo", EPOCH), writable=True)
        self.retention = Retention(self.journal, lambda: self.records, keep_s=2 * DAY_S)
        self._log = 0
        self._acks = 0

    def passage(self, number: int, state: UseState = UseState.CROSSED) -> None:
        """Of the day it is, with one use of the slip of its number."""
        draft = FactDraft(
            f"e{number}", Stream.ROUTINE, self.clock.utc_text(), "boot", 1, PassageOpened(number)
        )
        self.journal.commit([draft], uses=[SlipUse(f"u{number:04d}", slip_no(number), number, "c", state)])

    def record(self, number: int, op: ChangeOp) -> None:
        self._log += 1
        body = to_json(slip(number)).decode() if op is ChangeOp.PUT else ""
        change = Change(self._log, "release_slips", str(slip_no(number)), op, body)
        self.records.apply(FeedBatch("demo", EPOCH, self._log, self._log, (change,)))

    def acknowledge(self, days_ago: int = 5) -> None:
        """What is committed was acknowledged so many days ago, by a lane that has run since."""
        self.journal.meet_archive("a")
        for stream, head in self.journal.heads().items():
            self._acks += 1
            self.journal.apply_ack(
                archive_id="a",
                counter=self._acks,
                epoch=self.journal.epoch,
                stream=stream,
                contiguous=head.seq,
                hash=head.hash,
            )
        self.retention.run()
        self.clock.day += days_ago

    def uses(self) -> list[int]:
        numbers = [slip_no(n) for n in range(1, 1_000)]
        return [use.passage for use in self.journal.uses_of(numbers)]


def slip_no(number: int) -> SlipNo:
    return SlipNo(f"Z4604I260301{number:012d}")


def slip(number: int) -> ReleaseSlip:
    return ReleaseSlip(
        slip_no=slip_no(number),
        direction=Direction.IN,
        kind=SlipKind.SECOND_LINE,
        binding=Binding.ONE_SLIP,
        vehicle_kg=Decimal(1),
        cargo_gross_kg=Decimal(1),
        total_kg=Decimal(2),
        enterprise=EnterpriseCode("4101960001"),
        state=SlipState.APPROVED,
        valid_from=UtcText("2026-01-01T00:00:00Z"),
        valid_until=UtcText("2027-01-01T00:00:00Z"),
    )


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    made = Kept(tmp_path)
    yield made
    made.records.close()
    made.journal.close()


def test_a_use_goes_when_its_facts_are_gone_and_no_record_knows_its_slip(kept: Kept) -> None:
    kept.passage(1)
    kept.clock.day = 5
    kept.passage(2)
    kept.acknowledge()
    kept.retention.run()
    assert kept.uses() == [2]


def test_a_use_stays_while_the_centre_still_has_the_slip(kept: Kept) -> None:
    """Else an old slip, approved still, could be used a second time here without the hub (S4)."""
    kept.record(1, ChangeOp.PUT)
    kept.passage(1)
    kept.clock.day = 5
    kept.passage(2)
    kept.acknowledge()
    kept.retention.run()
    assert kept.uses() == [1, 2]
    kept.record(1, ChangeOp.DELETE)
    kept.retention.run()
    assert kept.uses() == [2]


def test_a_use_that_was_given_back_goes_with_its_facts(kept: Kept) -> None:
    kept.record(1, ChangeOp.PUT)
    kept.passage(1, UseState.RETURNED)
    kept.clock.day = 5
    kept.passage(2)
    kept.acknowledge()
    kept.retention.run()
    assert kept.uses() == [2]


@pytest.mark.parametrize("state", [UseState.RESERVED, UseState.RAISED])
def test_an_open_use_stays_whatever_its_age(kept: Kept, state: UseState) -> None:
    kept.passage(1, state)
    kept.clock.day = 25
    kept.passage(2)
    kept.acknowledge()
    kept.retention.run()
    assert kept.uses() == [1, 2]
    (open_use,) = kept.journal.open_uses()
    kept.journal.forget_uses([open_use])
    assert kept.uses() == [1, 2]


def test_a_use_whose_facts_the_centre_does_not_have_stays(kept: Kept) -> None:
    kept.passage(1)
    kept.clock.day = 25
    kept.passage(2)
    kept.retention.run()
    assert kept.uses() == [1, 2]


def test_a_use_younger_than_the_retention_stays(kept: Kept) -> None:
    kept.passage(1)
    kept.passage(2)
    kept.acknowledge(days_ago=1)
    kept.retention.run()
    assert kept.uses() == [1, 2]


def test_without_records_nothing_is_forgotten(kept: Kept) -> None:
    """A lane whose records are being fetched anew does not know what the centre knows."""
    kept.passage(1)
    kept.clock.day = 5
    kept.passage(2)
    kept.acknowledge()
    Retention(kept.journal, lambda: None, keep_s=2 * DAY_S).run()
    assert kept.uses() == [1, 2]


def test_many_are_looked_at_a_few_at_a_time_and_all_in_the_end(kept: Kept) -> None:
    many = 3 * USES_A_TURN
    for number in range(1, many + 1):
        if number % 3 == 0:
            kept.record(number, ChangeOp.PUT)
        kept.passage(number)
    kept.clock.day = 5
    kept.passage(many + 1)
    kept.acknowledge()
    left = []
    for _ in range(6):
        kept.retention.run()
        left.append(len(kept.uses()))
    assert left[0] >= many - USES_A_TURN
    assert kept.uses() == [n for n in range(1, many + 1) if n % 3 == 0] + [many + 1]


def test_a_journal_that_cannot_be_written_is_said_and_stops_nothing(kept: Kept) -> None:
    kept.passage(1)
    kept.journal.close()
    kept.retention.run()
    assert kept.retention._after is None


def test_a_full_disk_ends_no_lane_when_retention_is_due(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """S9: it runs on the lane's thread, and a full disk is when it is needed most."""

    def full(*_: object) -> int:
        raise JournalFull("the disk is full")

    monkeypatch.setattr(kept.journal, "drop_acknowledged", full)
    facts = kept.journal.position()
    kept.retention.run()
    assert kept.journal.position() == facts
