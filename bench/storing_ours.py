"""The journal, committed to by itself: `python -m bench.storing_ours FOLDER TOGETHER rate|kill COUNT`.

The same words and the same two answers as `storing_thingsboard`; a fact is said when its commit returned.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

from bench.durable import draft
from sync.store.journal import Journal
from sync.vocabulary.facts import FactDraft, PassageClosed

STAGES_S = {"identify": 2.1, "weigh": 4.0, "rule": 0.1, "raise": 2.2, "cross": 9.5, "close": 3.1}
"""With them a body has some 500 bytes."""


def kept(folder: Path) -> int:
    """Facts in the journal but for its own first one, by reading it."""
    with closing(sqlite3.connect(folder / "journal.sqlite")) as database:
        (count,) = database.execute("SELECT count(*) FROM facts WHERE kind <> 'epoch_began'").fetchone()
        return int(count)


def a_fact(number: int) -> FactDraft:
    return draft(PassageClosed(passage=number, outcome="crossed", lane_s=21.0, stage_s=STAGES_S))


def main() -> None:
    folder, together, mode, count = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    journal = Journal.open(folder / "journal.sqlite", device="lane-bench-1", reserve_bytes=0)
    begin_s = time.perf_counter()
    done = 0
    while done < count:
        some = range(done + 1, min(done + together, count) + 1)
        facts = [
            PassageClosed(passage=number, outcome="crossed", lane_s=21.0, stage_s=STAGES_S) for number in some
        ]
        journal.commit([draft(fact) for fact in facts])
        done += len(some)
        if mode == "kill":
            sys.stdout.write(f"{done}\n")
            sys.stdout.flush()
    if mode == "kill":
        time.sleep(60)
    took_s = time.perf_counter() - begin_s
    print(json.dumps([took_s, took_s]))
    journal.close()


if __name__ == "__main__":
    main()
