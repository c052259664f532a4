"""A lane's ruling, from its last reading to the effects, against point reads of the same records file.

As in a lane, the tag is read first and looked up, then the plate is read and both are looked up: from the
plate's reading to the claim is what is measured, with everything a lane does in it but the hub's answer. The
peer is a `SELECT body … WHERE key = ?` by `sqlite3` on the same file, memory-mapped as the lane has it, in
turn with each ruling. Reads are counted from SQLite's own trace, in the records and in the journal: at the
design's full size one for each `SELECT`; in smaller files, where a point read costs next to nothing, one for
each row that is looked up by its key.
"""

from __future__ import annotations

import random
import re
import sqlite3
import statistics
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from bench.harness import Bench, Figure
from bench.rows import Rows, fill
from edge.gate.config import RelaysPart
from edge.gate.effects import AskClaim, Effect, LookUp
from edge.gate.events import (
    Event,
    Inputs,
    InputsRead,
    LinkChanged,
    PlateRead,
    TagRead,
    Timer,
    WeightRead,
)
from edge.gate.lane import Lane, LaneSettings, Needs, step, wake
from edge.gate.performer import LanePerformer, Things
from edge.gate.rules import LaneRules
from edge.runtime.clock import SystemClock
from sync.store.journal import Journal
from sync.store.records import MMAP_BYTES, Records
from sync.vocabulary.numbers import Epc, Plate, SlipNo
from sync.vocabulary.records import Direction

RULINGS = 500
FULL = 1.0
FEWER = 100
"""The second file has so many times fewer rows."""
ARRIVED_S = 10.0
CLEAR = Inputs(
    arrival=False, arm_loop=False, photocell=False, limit_down=True, limit_up=False, stop=False, fire=False,
    mains=True, reset_key=False, fully_on=True,
)  # fmt: skip


def run(folder: Path, scale: float) -> Bench:
    """At scale 1: 200,000 vehicles, 1 M slips, 10 M waybills."""
    rows = Rows(
        vehicles=max(100, int(200_000 * scale)),
        slips=max(500, int(1_000_000 * scale)),
        waybills=max(1_000, int(10_000_000 * scale)),
    )
    few = Rows(
        max(10, rows.vehicles // FEWER), max(50, rows.slips // FEWER), max(100, rows.waybills // FEWER)
    )
    draw = random.Random(7)
    raw_us: list[float] = []
    ruled_us: list[float] = []
    few_us: list[float] = []
    with _bench_lane(folder / "many", rows) as lane, _bench_lane(folder / "few", few) as small:
        statements, looked_up = lane.reads_of_one_ruling()
        with closing(_raw(lane.path)) as point:
            for _ in range(RULINGS):
                key = str(rows.slip_no(draw.randrange(rows.slips)))
                begin = time.perf_counter_ns()
                point.execute("SELECT body FROM release_slips WHERE key = ?", (key,)).fetchone()
                raw_us.append((time.perf_counter_ns() - begin) / 1000)
                ruled_us.append(lane.rule(draw.randrange(rows.vehicles)))
                few_us.append(small.rule(draw.randrange(few.vehicles)))
    read_us, ruling_us, small_us = (statistics.median(found) for found in (raw_us, ruled_us, few_us))
    return Bench(
        "ruling",
        [
            Figure("raw point read", read_us, "µs"),
            Figure(
                "ruling",
                ruling_us,
                "µs",
                ruling_us / read_us,
                "a raw point read",
                at_most=(statements if scale >= FULL else looked_up) + 2,
                note=f"{statements} SELECTs look up {looked_up} rows by key; the hub's claim is apart",
            ),
            Figure(
                f"the same, {FEWER} × the records",
                ruling_us,
                "µs",
                ruling_us / small_us,
                f"that with {few.count:,} rows",
                at_most=2.0,
            ),
        ],
        f"{rows.slips:,} slips, {rows.waybills:,} waybills, {RULINGS} rulings in turn with reads",
    )


def _raw(path: Path) -> sqlite3.Connection:
    point = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    point.execute(f"PRAGMA mmap_size = {MMAP_BYTES}")
    return point


class _NoLink:
    """The hub's time is reported apart."""

    def claim(self, claim_id: str, passage: int, plate: Plate | None, slip_nos: tuple[SlipNo, ...]) -> None:
        pass

    def withdraw(self, claim_id: str) -> None:
        pass

    def facts_waiting(self) -> None:
        pass


@dataclass(slots=True)
class _BenchLane:
    """A lane over one records file, with a vehicle weighed and waiting for its tag and plate."""

    path: Path
    rows: Rows
    records: Records
    journal: Journal
    answers: list[Event] = field(default_factory=list)

    def rule(self, vehicle: int) -> float:
        """Microseconds from the plate's reading, the last one, to the effects."""
        self.answers.clear()
        performer = LanePerformer(_things(self.records, self.journal, self.answers))
        lane = _look_up(performer, self.answers, _waiting_lane(), TagRead(Epc(self.rows.epc(vehicle))))[0]
        plate = Plate(self.rows.plate(vehicle))
        begin = time.perf_counter_ns()
        lane, effects = _look_up(performer, self.answers, lane, PlateRead(plate))
        took_us = (time.perf_counter_ns() - begin) / 1000
        if not any(isinstance(effect, AskClaim) for effect in effects):
            raise RuntimeError(f"the bench's vehicle {plate} was not ruled to pass: {effects}")
        return took_us

    def reads_of_one_ruling(self) -> tuple[int, int]:
        """(SELECTs made from the plate's reading on, rows they looked up by key)."""
        self.rule(1)
        said: list[str] = []
        connections = [self.records._connection, self.journal._reader]  # noqa: SLF001  only SQLite can tell
        performer = LanePerformer(_things(self.records, self.journal, self.answers))
        lane = _look_up(performer, self.answers, _waiting_lane(), TagRead(Epc(self.rows.epc(2))))[0]
        looked_up = statements = 0
        for connection in connections:
            assert connection is not None
            said.clear()
            connection.set_trace_callback(said.append)
            _look_up(performer, self.answers, lane, PlateRead(Plate(self.rows.plate(2))))
            connection.set_trace_callback(None)
            selects = [sql for sql in said if sql.startswith("SELECT")]
            statements += len(selects)
            looked_up += sum(_looked_up(connection, sql) for sql in selects)
        return statements, looked_up


def _looked_up(connection: sqlite3.Connection, sql: str) -> int:
    """Keys the statement looks up: one for each value given to it, one for the only row of a table where none
    is, and one for each row a join then finds in its second table."""
    keys = len(re.findall(r"'(?:[^']|'')*'", sql))
    joined = len(connection.execute(sql).fetchall()) if " JOIN " in sql else 0
    return max(1, keys) + joined


def _look_up(
    performer: LanePerformer, answers: list[Event], lane: Lane, reading: TagRead | PlateRead
) -> tuple[Lane, tuple[Effect, ...]]:
    """The reading, what it asks of the records, and what the lane makes of the answer."""
    lane, effects = step(lane, ARRIVED_S, reading)
    for effect in effects:
        if isinstance(effect, LookUp):
            performer.perform(effect)
    return step(lane, ARRIVED_S, answers[-1])


@contextmanager
def _bench_lane(folder: Path, rows: Rows) -> Iterator[_BenchLane]:
    path = fill(folder, rows)
    with (
        Records.open(path) as records,
        Journal.open(folder / "journal.sqlite", device="lane-bench-1", reserve_bytes=0) as journal,
    ):
        yield _BenchLane(path, rows, records, journal)


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
        clock=_CLOCK,
        relays=RelaysPart(open=0, close=1),
        draw_key=bytes(range(32)),
        clock_must_be_known=False,
        has_board=False,
    )


_CLOCK = SystemClock()


def _waiting_lane() -> Lane:
    """At the stop line, weighed."""
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
    weighed_s = [ARRIVED_S - 1.4 + 0.1 * frame for frame in range(14)]
    lane, _ = wake(settings, 0.0, None)
    events: list[tuple[float, Event]] = [
        (0.1, LinkChanged(True)),
        (0.2, InputsRead(CLEAR)),
        *((at_s, WeightRead(Decimal(20_000), None)) for at_s in weighed_s),
        (ARRIVED_S, InputsRead(CLEAR)),
    ]
    for at_s, event in events:
        lane, _ = step(lane, at_s, event)
    return lane
