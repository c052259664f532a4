"""Feed batches that arrive together are applied as one by one, with fewer disk syncs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sync.link.client import BATCHES_AT_ONCE, LinkClient, LinkConfig
from sync.link.envelope import signed_payload
from sync.link.keys import HUB_KID, KeySigner, make_private
from sync.link.messages import Change, ChangeOp, Context, FeedBatch, FeedHead, Topics
from sync.link.performer import LinkPerformer
from sync.link.session import EdgeSession
from sync.link.words import (
    ApplyBatch,
    BatchApplied,
    BeginGeneration,
    GenerationBegun,
    LinkEvent,
    Received,
    StoreFailed,
    Work,
)
from sync.policy.digests import row_digest, to_hex
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


class Link:
    """A client whose connections are never begun: it is told what a broker would bring."""

    def __init__(self, journal: Journal, folder: Path) -> None:
        self.hub = KeySigner(make_private(), HUB_KID)
        device = KeySigner(make_private(), "lane-1")
        self.client = LinkClient(
            LinkConfig(device="lane-1", site="site-a", scopes=(SCOPE,), host="127.0.0.1", port=1),
            journal=journal,
            records_folder=folder,
            signer=device,
            hub_key=self.hub.private.public_key(),
            notices=lambda notice: None,
        )
        self.session = EdgeSession(
            self.client._session_config,
            signer=device,
            keys={HUB_KID: self.hub.private.public_key()},
            utc_at=lambda at_s: "2026-01-31T08:00:00.000000Z",
            opened=self.client._performer.opened(),
        )
        self.client._wires = self.client._made_wires()

    def hears(self, *values: FeedHead | FeedBatch) -> None:
        """All of them in one go."""
        topics = Topics("site-a")
        heard = []
        for value in values:
            is_head = isinstance(value, FeedHead)
            context = Context.FEED_HEAD if is_head else Context.FEED
            topic = topics.feed_head(SCOPE) if is_head else topics.feed(SCOPE)
            heard.append(Received(topic, signed_payload(self.hub, context, value)))
        self.client._hear(self.session, heard)

    def close(self) -> None:
        self.client._performer.close()
        for wire in self.client._wires.values():
            wire.join(0.0)


@pytest.fixture
def link(tmp_path: Path) -> Iterator[Link]:
    with Journal.open(tmp_path / "journal.sqlite", device="lane-1", reserve_bytes=0) as journal:
        made = Link(journal, tmp_path)
        yield made
        made.close()


@pytest.mark.parametrize("count", [1, 3, BATCHES_AT_ONCE + 2])
def test_what_arrives_together_is_applied_before_the_link_waits_again(
    link: Link, count: int, tmp_path: Path
) -> None:
    batches = [batch(2 * n + 1, 2 * n + 2).batch for n in range(count)]
    number = batches[-1].last
    digest = sum(
        row_digest(change.collection, change.key, change.body) for one in batches for change in one.changes
    )
    head = FeedHead(SCOPE, EPOCH, number, number, to_hex(digest), "2026-01-31T08:00:00Z")
    link.hears(head)
    link.hears(*batches)
    assert held(tmp_path) == (number, number)
    assert link.client._performer._current is not None, "proved equal, and adopted"
