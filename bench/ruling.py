"""A lane's ruling, last reading in to effects out, against point reads of the same records file."""

from __future__ import annotations

import random
import sqlite3
import statistics
import time
from decimal import Decimal
from pathlib import Path

from bench.harness import Bench, Figure
from bench.rows import FIRM, Rows, fill
from edge.gate.config import RelaysPart
from edge.gate.effects import AskClaim, LookUp
from edge.gate.events import (
    Event,
    Inputs,
    InputsRead,
    LinkChanged,
    PlateRead,
    RecordsFound,
    TagRead,
    Timer,
    WeightRead,
)
from edge.gate.lane import Lane, LaneSettings, Needs, step, wake
from edge.gate.performer import LanePerformer, Things
from edge.gate.rules import LaneRules
from edge.runtime.clock import SystemClock
from sync.store.journal import Journal
from sync.store.records import Records
from sync.vocabulary.numbers import Epc, Plate, SlipNo
from sync.vocabulary.records import Direction

RULINGS = 400
CLEAR = Inputs(
    arrival=False, arm_loop=False, photocell=False, limit_down=True, limit_up=False, stop=False, fire=False,
    mains=True, reset_key=False, fully_on=True,
)  # fmt: skip


class _NoLink:
    def claim(self, claim_id: str, passage: int, plate: Plate | None, slip_nos: tuple[SlipNo, ...]) -> None:
        """The hub's time is reported apart."""

    def withdraw(self, claim_id: str) -> None:
        """Nothing was asked."""

    def facts_waiting(self) -> None:
        """Nobody sends here."""


def run(folder: Path, scale: float) -> Bench:
    rows = Rows(vehicles=int(200_000 * scale), slips=int(1_000_000 * scale), waybills=int(10_000_000 * scale))
    path = fill(folder, rows)
    draw = random.Random(7)
    counted = _reads_made(path, rows)
    raw_us, ruled_us = [], []
    point = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    point.execute("PRAGMA mmap_size = 2147418112")
    records = Records.open(path)
    journal = Journal.open(folder / "ruling-journal.sqlite", device="lane-bench-1", reserve_bytes=0)
    for _ in range(RULINGS):
        number = draw.randrange(rows.slips)
        key = str(rows.slip_no(draw.randrange(rows.slips)))
        begin = time.perf_counter_ns()
        point.execute("SELECT body FROM release_slips WHERE key = ?", (key,)).fetchone()
        raw_us.append((time.perf_counter_ns() - begin) / 1000)
        ruled_us.append(_rule_once(records, journal, rows, number % rows.vehicles))
    records.close()
    journal.close()
    point.close()
    read_us, ruling_us = statistics.median(raw_us), statistics.median(ruled_us)
    return Bench(
        "ruling",
        [
            Figure("raw point read", read_us, "µs"),
            Figure(
                f"ruling: {counted} reads, rules, effects",
                ruling_us,
                "µs",
                ruling_us / read_us,
                "a raw point read",
                at_most=counted + 2,
                note="from the last reading to the claim that asks for the slip's use; the claim is apart",
            ),
        ],
        f"{rows.slips:,} slips, {rows.waybills:,} waybills, {RULINGS} rulings, random keys",
    )


def _rule_once(records: Records, journal: Journal, rows: Rows, vehicle: int) -> float:
    """Microseconds from the evidence that completes the picture to the effects."""
    answers: list[Event] = []
    performer = LanePerformer(_things(records, journal, answers))
    lane = _waiting_lane()
    plate, epc = rows.plate(vehicle), rows.epc(vehicle)
    at_s = 10.0
    for _ in range(14):
        at_s += 0.1
        lane, _ = step(lane, at_s, WeightRead(Decimal(20_000), None))
    lane, effects = step(lane, at_s, TagRead(Epc(epc)))
    begin = time.perf_counter_ns()
    lane, effects = step(lane, at_s, PlateRead(Plate(plate)))
    for effect in effects:
        if isinstance(effect, LookUp):
            performer.perform(effect)
    found = answers[-1]
    lane, effects = step(lane, at_s, found)
    took_us = (time.perf_counter_ns() - begin) / 1000
    if not isinstance(found, RecordsFound) or not any(isinstance(effect, AskClaim) for effect in effects):
        raise RuntimeError(f"the bench's vehicle {plate} was not ruled to pass: {effects}")
    return took_us


def _things(records: Records, journal: Journal, answers: list[Event]) -> Things:
    def refuse(device: str, order_id: str, order: object) -> None:
        raise RuntimeError("no device here")

    def sleep(timer: Timer, seconds: float) -> None:
        """No timer runs here."""

    return Things(
        lane_id="lane-bench-1",
        journal=journal,
        records=lambda: records,
        link=_NoLink(),
        order=refuse,
        put=answers.append,
        wake_after=sleep,
        clock=SystemClock(),
        relays=RelaysPart(open=0, close=1),
        draw_key=bytes(range(32)),
        clock_must_be_known=False,
        has_board=False,
    )


def _waiting_lane() -> Lane:
    settings = LaneSettings(
        lane_id="lane-bench-1",
        run="r",
        rules=LaneRules(Direction.IN),
        devices={
            "io": Needs(True),
            "weighbridge": Needs(True),
            "plate_camera": Needs(True, ("rfid",)),
            "rfid": Needs(True, ("plate_camera",)),
        },
    )
    lane, _ = wake(settings, 0.0, None)
    lane, _ = step(lane, 0.1, LinkChanged(True))
    lane, _ = step(lane, 0.2, InputsRead(CLEAR))
    lane, _ = step(lane, 9.9, WeightRead(Decimal(20_000), None))
    lane, _ = step(lane, 10.0, InputsRead(CLEAR))
    return lane


def _reads_made(path: Path, rows: Rows) -> int:
    """SELECTs one ruling makes on the records file, counted by SQLite's own trace."""
    records = Records.open(path)
    journal_path = path.parent / "count-journal.sqlite"
    journal = Journal.open(journal_path, device="lane-bench-1", reserve_bytes=0)
    _rule_once(records, journal, rows, 1)
    seen: list[str] = []
    records._connection.set_trace_callback(seen.append)  # noqa: SLF001  counting is all it is for
    _rule_once(records, journal, rows, 2)
    records._connection.set_trace_callback(None)  # noqa: SLF001
    records.close()
    journal.close()
    return sum(1 for sql in seen if sql.lstrip().upper().startswith("SELECT"))


__all__ = ["FIRM", "run"]
