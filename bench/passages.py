"""The facts of plain passages, as a lane writes them: what drain and ingest move. Measures nothing itself."""

from __future__ import annotations

from collections.abc import Iterator

from bench.durable import a_ruling, draft
from sync.store.journal import Journal
from sync.vocabulary.facts import (
    ArmRaised,
    FactDraft,
    PassageClosed,
    PassageOpened,
    RaiseOrdered,
    VehicleCrossed,
)

DEVICE = "lane-bench-1"
FACTS_A_PASSAGE = 6
PASSAGES_A_COMMIT = 100


def of_passage(number: int) -> Iterator[FactDraft]:
    """A vehicle released on one slip, from its arrival to the closed arm."""
    order_id, use_ids = f"{DEVICE}-r-{number}-1", (f"{DEVICE}-r-{number}-u0",)
    stages = {"identify": 2.1, "weigh": 4.0, "rule": 0.1, "raise": 2.2, "cross": 9.5, "close": 3.1}
    for data in (
        PassageOpened(passage=number),
        a_ruling(number),
        RaiseOrdered(passage=number, order_id=order_id, purpose="admit"),
        ArmRaised(passage=number, order_id=order_id),
        VehicleCrossed(
            passage=number, order_id=order_id, use_ids=use_ids, claim_id=f"{DEVICE}-r-{number}-c1"
        ),
        PassageClosed(passage=number, outcome="crossed", lane_s=21.0, stage_s=stages),
    ):
        yield draft(data)


def journalled(journal: Journal, first: int, passages: int) -> None:
    """Commit the facts of so many passages, `first` and on."""
    for begin in range(first, first + passages, PASSAGES_A_COMMIT):
        end = min(begin + PASSAGES_A_COMMIT, first + passages)
        journal.commit([fact for number in range(begin, end) for fact in of_passage(number)])
