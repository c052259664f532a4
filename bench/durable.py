"""A durable ruling (ruling and order facts, slip use, memory: one transaction) against bare `fdatasync`.

Asked of the harder of the two bare writers: 4 KiB over blocks a file already has, as a log that is reused
writes them. A file that grows syncs its length too and is shown beside it.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from bench.harness import Bench, Figure, in_turns
from sync.store.journal import Journal
from sync.vocabulary.facts import FactData, FactDraft, RaiseOrdered, RulingMade, Stream
from sync.vocabulary.numbers import SlipNo
from sync.vocabulary.rulings import Because, Reason, Ruling, Verdict
from sync.vocabulary.uses import SlipUse, UseState

ROUND_S = 0.6
ROUNDS = 9
WARM_UP = 800
"""Commits until the journal's own log is reused and no longer grows."""
PAGE = 4096
PAGES = 2_000


def run(folder: Path, scale: float) -> Bench:
    """Of a disk, not of a size: `scale` only shortens the rounds below 0.1."""
    round_s = ROUND_S * min(1.0, scale * 10)
    page = secrets.token_bytes(PAGE)
    grown = os.open(folder / "grown.bin", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    laid_out = os.open(folder / "laid-out.bin", os.O_WRONLY | os.O_CREAT)
    os.write(laid_out, bytes(PAGE * PAGES))
    os.fsync(laid_out)
    journal = Journal.open(folder / "durable.sqlite", device="lane-bench-1", reserve_bytes=0)
    for number in range(WARM_UP):
        commit_a_ruling(journal, number)

    def append(_: int) -> None:
        os.write(grown, page)
        os.fdatasync(grown)

    def overwrite(number: int) -> None:
        os.lseek(laid_out, number % PAGES * PAGE, os.SEEK_SET)
        os.write(laid_out, page)
        os.fdatasync(laid_out)

    rates = in_turns(
        ROUNDS,
        [
            ("append", _rate(append, round_s)),
            ("overwrite", _rate(overwrite, round_s)),
            ("rulings", _rate(lambda number: commit_a_ruling(journal, WARM_UP + number), round_s)),
        ],
    )
    journal.close()
    os.close(grown)
    os.close(laid_out)
    return Bench(
        "durable",
        [
            Figure("fdatasync of 4 KiB appended", rates.median("append"), "/s"),
            Figure("fdatasync of 4 KiB laid out", rates.median("overwrite"), "/s"),
            Figure(
                "ruling + use + order", rates.median("rulings"), "/s", rates.ratio("rulings", "overwrite"),
                "fdatasync laid out", at_least=0.6,
                note=f"{rates.ratio('rulings', 'append'):.2f} × appended; one transaction, one sync",
            ),
        ],
        f"{ROUNDS} rounds of {round_s:g} s in turn, WAL and synchronous=FULL",
    )  # fmt: skip


def _rate(work: Callable[[int], None], round_s: float) -> Callable[[], float]:
    number = 0

    def measured() -> float:
        nonlocal number
        first, begin = number, time.perf_counter()
        while time.perf_counter() - begin < round_s:
            work(number)
            number += 1
        return (number - first) / (time.perf_counter() - begin)

    return measured


def commit_a_ruling(journal: Journal, number: int) -> None:
    slip_no = SlipNo(f"Z4604I260101{number:012d}")
    order_id = f"lane-bench-1-r-{number}-1"
    use = SlipUse(f"lane-bench-1-r-{number}-u0", slip_no, number, "claim", UseState.RESERVED)
    ordered = RaiseOrdered(passage=number, order_id=order_id, purpose="admit")
    # Another memory each time, as a lane has it: SQLite does not write a row anew that says the same.
    memory = f'{{"phase":"Raising","passage":{number}}}'.encode()
    journal.commit([draft(a_ruling(number)), draft(ordered)], uses=[use], lane_state=memory)


def a_ruling(number: int) -> RulingMade:
    return RulingMade(
        passage=number,
        ruling=Ruling(Verdict.RELEASE, (Because(Reason.RELEASED),)),
        direction="I",
        plate="豫A12345",
        slips=(f"Z4604I260101{number:012d}",),
        gross_kg="20000",
        expected_kg="20000",
        claim="granted",
        use_ids=(f"lane-bench-1-r-{number}-u0",),
        stage_s={"identify": 1.2, "weigh": 3.4, "rule": 0.1},
        texts_zh=("放行 一路平安",),
        texts_en=("Released, safe journey",),
    )


def draft(data: FactData) -> FactDraft:
    return FactDraft(secrets.token_hex(16), Stream.ROUTINE, "2026-01-01T00:00:00.000000Z", "boot", 5, data)
