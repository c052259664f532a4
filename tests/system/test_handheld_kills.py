"""`kill -9` of a handheld at random instants of a scripted session: no fact lost or doubled, drafts kept, the
next start comes up. The stores are locked by a PIN, as on a device without a keystore."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.handheld_device import OFFICER, PIN, LaidOut, lay_out
from bench.rows import waybill_row
from sync.store.journal import Journal
from sync.vocabulary.facts import FactData, Stream, read_body
from sync.vocabulary.handheld_facts import BatchClosed, HandheldStarted, ParcelJudged, UnknownScanned
from tests.system.handheld_glass import Handheld

KILLS = int(os.environ.get("KAKOU_KILL_POINTS", "2"))
SCANS_A_LIFE = 12


@contextmanager
def facts_of(laid: LaidOut) -> Iterator[list[FactData]]:
    vault, opener = laid.opener()
    with Journal.open(laid.store / "journal.sqlite", device="handheld-1", opener=opener) as journal:
        facts = journal.facts_from(Stream.ROUTINE, 1, max_facts=100_000, max_bytes=10**9)
        yield [read_body(fact.body).data for fact in facts]
    vault.close()


def test_no_fact_is_lost_or_doubled_and_a_count_goes_on_whenever_it_is_killed(tmp_path: Path) -> None:
    chance = random.Random(20261122)
    codes = [waybill_row(number)[0] for number in range(KILLS * SCANS_A_LIFE + SCANS_A_LIFE)]
    laid = lay_out(tmp_path, [("waybills", *waybill_row(number)) for number in range(len(codes))])
    handheld, left = Handheld(laid.config_path), list(codes)
    said: dict[int, str] = {}
    handheld.start()
    handheld.sign_in(OFFICER, PIN)
    handheld.wait_for(handheld.say(**{"is": "GoTo", "page": "batch"}))
    handheld.wait_for(handheld.say(**{"is": "CountBegun"}))
    for _ in range(KILLS):
        many = chance.randrange(1, SCANS_A_LIFE)
        for code in [left.pop(0) for _ in range(many)]:
            said[handheld.say(**{"is": "Scanned", "text": code, "source": "serial"})] = code
        if chance.random() < 0.7:
            handheld.wait_for(chance.choice(sorted(said)))
        time.sleep(chance.random() * 0.05)
        handheld.kill()
        handheld.start()
        handheld.sign_in(OFFICER, PIN)
        # As the screens' half does: what the core had made durable is not said again.
        unheard = [
            code for number, code in said.items() if number not in handheld.done | _up_to(handheld.found)
        ]
        said.clear()
        handheld.until(lambda shown: shown["page"] == "batch")
        for code in unheard:
            said[handheld.say(**{"is": "Scanned", "text": code, "source": "serial"})] = code
    for code in left:
        said[handheld.say(**{"is": "Scanned", "text": code, "source": "serial"})] = code
    handheld.wait_for(max(said))
    handheld.wait_for(handheld.say(**{"is": "BatchCloseAsked", "complete": False}))
    assert handheld.end() == 0
    with facts_of(laid) as facts:
        judged = Counter(each.text for each in facts if isinstance(each, ParcelJudged | UnknownScanned))
        counted = [each.counted for each in facts if isinstance(each, BatchClosed)]
        starts = sum(1 for each in facts if isinstance(each, HandheldStarted))
    assert judged == Counter(codes)
    assert counted == [len(codes)]
    assert starts == KILLS + 1


def _up_to(number: int) -> set[int]:
    return set(range(number + 1))
