"""A durable ruling (ruling and order facts, slip use, memory: one transaction) against bare `fdatasync`."""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path

from bench.harness import Bench, Figure, in_turns
from sync.store.journal import Journal
from sync.vocabulary.facts import FactData, FactDraft, RaiseOrdered, RulingMade, Stream
from sync.vocabulary.numbers import SlipNo
from sync.vocabulary.rulings import Because, Reason, Ruling, Verdict
from sync.vocabulary.uses import SlipUse, UseState

ROUND_S = 0.6
ROUNDS = 7
PAGE = 4096


def run(folder: Path, scale: float) -> Bench:
    raw = os.open(folder / "raw.bin", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    journal = Journal.open(folder / "durable.sqlite", device="lane-bench-1", reserve_bytes=0)
    count = 0

    def bare() -> float:
        page = secrets.token_bytes(PAGE)
        done, begin = 0, time.perf_counter()
        while time.perf_counter() - begin < ROUND_S:
            os.write(raw, page)
            os.fdatasync(raw)
            done += 1
        return done / (time.perf_counter() - begin)

    def rulings() -> float:
        nonlocal count
        done, begin = 0, time.perf_counter()
        while time.perf_counter() - begin < ROUND_S:
            count += 1
            _commit(journal, count)
            done += 1
        return done / (time.perf_counter() - begin)

    rates = in_turns(ROUNDS, [("bare", bare), ("rulings", rulings)])
    journal.close()
    os.close(raw)
    ratio = rates["rulings"] / rates["bare"]
    return Bench(
        "durable",
        [
            Figure("fdatasync of 4 KiB appended", rates["bare"], "/s"),
            Figure("ruling + use + order, durable", rates["rulings"], "/s", ratio, "fdatasync", at_least=0.6),
        ],
        f"{ROUNDS} rounds of {ROUND_S} s in turn, WAL and synchronous=FULL",
    )


def _commit(journal: Journal, number: int) -> None:
    slip_no = SlipNo(f"Z4604I260101{number:012d}")
    order_id = f"lane-bench-1-r-{number}-1"
    use = SlipUse(f"lane-bench-1-r-{number}-u0", slip_no, number, "claim", UseState.RESERVED)
    ruling = RulingMade(
        passage=number,
        ruling=Ruling(Verdict.RELEASE, (Because(Reason.RELEASED),)),
        direction="I",
        plate="豫A12345",
        slips=(str(slip_no),),
        gross_kg="20000",
        expected_kg="20000",
        claim="granted",
        use_ids=(use.use_id,),
        stage_s={"identify": 1.2, "weigh": 3.4, "rule": 0.1},
        texts_zh=("放行 一路平安",),
        texts_en=("Released, safe journey",),
    )
    ordered = RaiseOrdered(passage=number, order_id=order_id, purpose="admit")
    journal.commit([_draft(ruling), _draft(ordered)], uses=[use], lane_state=b'{"phase":"Raising"}')


def _draft(data: FactData) -> FactDraft:
    return FactDraft(secrets.token_hex(16), Stream.ROUTINE, "2026-01-01T00:00:00.000000Z", "boot", 5, data)
