"""`python -m tests.world.life FOLDER SEED PASSAGES [LIE]`: some days of a lane and a hub, told on standard output.

Made to be traced by `forgetful_disk`: it commits, drains, imports, changes records, rebuilds them, lets
retention run, is killed and started again. `LIE` makes one promise to the disk empty, to see that somebody
notices: `journal`, `records` or `archive` run with `synchronous=OFF`, `fsync` makes the system's own do nothing.
"""

from __future__ import annotations

import os
import random
import sqlite3
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sync.hub.archive import RecordChange
from sync.vocabulary.facts import Alarm, AlarmCode, PassageOpened, Stream, VehicleCrossed
from sync.vocabulary.numbers import SlipNo
from sync.vocabulary.uses import SlipUse, UseState
from tests.world.two_ends import Site

LANE = "lane-1"
LIES = ("journal", "records", "archive", "fsync")


class _Lying(sqlite3.Connection):
    """Says `synchronous=FULL` and means OFF, whoever asks."""

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if sql.startswith("PRAGMA synchronous="):
            return super().execute("PRAGMA synchronous=OFF")
        if sql == "PRAGMA synchronous":
            return super().execute("SELECT 2")
        return super().execute(sql, parameters)


def lie(about: str) -> None:
    """From now on, in this process."""
    if about == "fsync":
        setattr(os, "fsync", lambda _descriptor: None)  # noqa: B010  mypy would have its true shape
        return
    honest = sqlite3.connect

    def connect(database: Any, *rest: Any, **options: Any) -> Any:
        if f"/{about}" not in str(database):
            return honest(database, *rest, **options)
        made = honest(database, *rest, factory=_Lying, **options)
        made.execute("PRAGMA synchronous=OFF")
        return made

    setattr(sqlite3, "connect", connect)  # noqa: B010


def tell(words: str) -> None:
    os.write(1, words.encode() + b"\n")


def enterprises(numbers: Iterable[int], tier: str) -> list[RecordChange]:
    return [
        RecordChange(
            "enterprises",
            f"{number:010d}",
            f'{{"code":"{number:010d}","name":"n{tier}","tier":"{tier}","spot_check_per_mille":1}}',
        )
        for number in numbers
    ]


def passage(site: Site, number: int, draw: random.Random) -> None:
    """Two commits: what is ruled, and what came of it; now and then an alarm between them."""
    slip = SlipNo(f"Z4604I260302{number:012d}")
    reserved = SlipUse(f"use-{number}", slip, number, "claim", UseState.RESERVED)
    site.commit((PassageOpened(number), Stream.ROUTINE), uses=(reserved,), state=b"raising %d" % number)
    if draw.random() < 0.2:
        site.commit((Alarm(code=AlarmCode.OVERSTAY, passage=number), Stream.ALARM))
    if draw.random() < 0.3:
        site.keep_picture(number, draw.randbytes(draw.choice((200, 6_000))))
    crossed = SlipUse(f"use-{number}", slip, number, "claim", UseState.CROSSED)
    site.commit((VehicleCrossed(number, "order", (f"use-{number}",)), Stream.ROUTINE), uses=(crossed,))


def live(folder: Path, seed: int, passages: int) -> None:
    draw = random.Random(seed)
    site = Site(folder, LANE, random.Random(f"{seed}/ids"), tell)
    site.start_hub()
    site.change_records(enterprises(range(1, 41), "high"))
    site.start_lane()
    site.run(10.0)
    for number in range(1, passages + 1):
        passage(site, number, draw)
        site.run(draw.choice((0.0, 1.0, 7.0)))
        chance = draw.random()
        if chance < 0.08:
            keys = draw.sample(range(1, 61), 6)
            site.change_records(enterprises(keys, draw.choice(("high", "low"))))
        elif chance < 0.13:
            site.stop_lane(politely=draw.random() < 0.5)
            site.start_lane()
        elif chance < 0.18:
            site.stop_hub()
            site.run(draw.choice((0.0, 20.0)))
            site.start_hub()
        elif chance < 0.24:
            site.journal.drop_acknowledged(0.0, max_facts=50)
    site.stop_lane(politely=True)
    site.stop_hub()


def main() -> None:
    folder, seed, passages = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    if len(sys.argv) > 4:
        lie(sys.argv[4])
    live(folder, seed, passages)


if __name__ == "__main__":
    main()
