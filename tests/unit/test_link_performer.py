"""Feed batches that arrive together are applied as one by one, with fewer disk syncs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sync.link.messages import Change, ChangeOp, FeedBatch
from sync.link.performer import LinkPerformer
from sync.link.session import (
    ApplyBatch,
    BatchApplied,
    BeginGeneration,
    GenerationBegun,
    LinkEvent,
    StoreFailed,
    Work,
)
from sync.store.journal import Journal
from sync.store.records import ApplyResult, Records, generation_path
from sync.vocabulary.codec import to_json
from sync.vocabulary.numbers import EnterpriseCode
from sync.vocabulary.records import CreditTier, Enterprise

SCOPE, EPOCH = "site-a", "epoch-1"


@pytest.fixture
def performer(tmp_path: Path) -> Iterator[LinkPerformer]:
    with Journal.open(tmp_path / "journal.sqlite", device="lane-1", reserve_bytes=0) as journal:
        made = LinkPerformer(journal, tmp_path, scope=SCOPE)
        made.opened()
        assert isinstance(made.perform(BeginGeneration(SCOPE, EPOCH))[0], GenerationBegun)
        yield made
        made.close()


def batch(first: int, last: int, *, body: str = "", generation: int = 1) -> ApplyBatch:
    changes = tuple(
        Change(number, "enterprises", f"41019600{number:02d}", ChangeOp.PUT, body or enterprise(number))
        for number in range(first, last + 1)
    )
    return ApplyBatch(generation, FeedBatch(SCOPE, EPOCH, first, last, changes))


def enterprise(number: int) -> str:
    code = EnterpriseCode(f"41019600{number:02d}")
    firm = Enterprise(code=code, name="某公司", tier=CreditTier.HIGH, spot_check_per_mille=number)
    return to_json(firm).decode()


def held(folder: Path) -> tuple[int, int]:
    with Records.open(generation_path(folder, 1)) as records:
        state = records.feed_state()
        assert records.verify() == []
        return state.number, state.rows


def commits_of(performer: LinkPerformer, effects: list[ApplyBatch]) -> tuple[list[LinkEvent], int]:
    """The answers, and how many transactions it took."""
    building = performer._building
    assert building is not None
    said: list[str] = []
    building[1]._connection.set_trace_callback(said.append)
    answers = list(performer.apply_gathered(effects))
    building[1]._connection.set_trace_callback(None)
    return answers, said.count("COMMIT")


def test_batches_that_follow_one_another_share_a_transaction_and_an_answer(
    performer: LinkPerformer, tmp_path: Path
) -> None:
    answers, commits = commits_of(performer, [batch(1, 3), batch(4, 4), batch(5, 9)])
    assert commits == 1
    (applied,) = answers
    assert isinstance(applied, BatchApplied)
    assert (applied.result, applied.state.number, applied.state.rows) == (ApplyResult.APPLIED, 9, 9)
    assert held(tmp_path) == (9, 9)


def test_a_batch_that_cannot_be_applied_costs_none_that_came_before_it(
    performer: LinkPerformer, tmp_path: Path
) -> None:
    answers, commits = commits_of(performer, [batch(1, 3), batch(4, 5, body="{}"), batch(6, 7)])
    assert commits == 1
    first, second, third = answers
    assert isinstance(first, BatchApplied)
    assert first.state.number == 3
    assert isinstance(second, StoreFailed)
    assert second.work is Work.APPLY_BATCH
    assert isinstance(third, BatchApplied)
    assert (third.result, third.state.number) == (ApplyResult.GAP, 3)
    assert held(tmp_path) == (3, 3)


@pytest.mark.parametrize(
    "apart",
    [
        [batch(1, 3), batch(5, 6)],
        [batch(1, 3), batch(1, 3)],
        [batch(1, 3), batch(4, 5, generation=2)],
    ],
    ids=["a gap", "again", "another generation"],
)
def test_batches_that_do_not_follow_are_applied_each_by_itself(
    performer: LinkPerformer, apart: list[ApplyBatch], tmp_path: Path
) -> None:
    answers, commits = commits_of(performer, apart)
    assert (len(answers), commits) == (2, 1)
    assert held(tmp_path) == (3, 3)


def test_batches_gathered_in_bulk_that_were_applied_already_change_nothing(
    performer: LinkPerformer, tmp_path: Path
) -> None:
    performer.apply_gathered([batch(1, 5)])
    (again,) = performer.apply_gathered([batch(1, 2), batch(3, 5)])
    assert isinstance(again, BatchApplied)
    assert again.result is ApplyResult.ALREADY
    (more,) = performer.apply_gathered([batch(4, 5), batch(6, 8)])
    assert isinstance(more, BatchApplied)
    assert (more.result, more.state.number) == (ApplyResult.APPLIED, 8)
    assert held(tmp_path) == (8, 8)
