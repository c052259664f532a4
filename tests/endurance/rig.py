"""A lane that lives for weeks at event level: the real inbox, loop, machine, performer, journal, records,
recording and page, under a hand-made clock; its devices, its link and its drivers are a few lines of memory.

Everything that a lane program keeps is here, so that what grows can be seen to grow.
"""

from __future__ import annotations

import heapq
import itertools
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import msgspec

from edge.devices.readings import Order, PulseRelay, SetRelay, WeightSeen
from edge.gate import wiring
from edge.gate.config import GateConfig, lane_settings
from edge.gate.effects import Effect
from edge.gate.events import (
    CardRead,
    ClaimAnswered,
    DeviceSpoke,
    DeviceWentSilent,
    Event,
    Inputs,
    InputsRead,
    LinkChanged,
    OrderCarriedOut,
    PlateRead,
    ReadFailed,
    TagRead,
    TimePassed,
    Timer,
    WeightRead,
    WriteFailed,
)
from edge.gate.lane import Free, Holding, Lane, Passing, Raising, Shut, step
from edge.gate.performer import LanePerformer, Things
from edge.gate.publishing import Publisher
from edge.gate.recording import LaneScribe, Woken, woken
from edge.gate.retention import Retention
from edge.gate.scrubbing import Scrubber
from edge.runtime.inbox import Inbox
from edge.runtime.loop import Loop
from edge.runtime.ports import OrderNotTaken
from edge.runtime.recording import Recording
from edge.runtime.supervisor import DeviceHealth
from sync.link.messages import Change, ChangeOp, FeedBatch
from sync.store.journal import Journal
from sync.store.records import Records, new_generation
from sync.store.records_in_force import RecordsInForce
from sync.vocabulary.codec import to_json
from sync.vocabulary.facts import Stream
from sync.vocabulary.numbers import EnterpriseCode, Epc, Plate, SlipNo, UtcText
from sync.vocabulary.records import (
    Binding,
    CreditTier,
    Direction,
    Enterprise,
    Record,
    ReleaseSlip,
    Site,
    SlipKind,
    SlipState,
    Vehicle,
    key_of,
)

START = datetime(2026, 3, 2, tzinfo=UTC)
FIRM = EnterpriseCode("4101960001")
FLEET = 400
"""Vehicles that come again and again."""
RECORDING_BYTES = 3_000_000
POLL_S = 0.4
UP_S, DOWN_S = 2.0, 2.5

AT_REST = Inputs(
    arrival=False,
    arm_loop=False,
    photocell=False,
    limit_down=True,
    limit_up=False,
    stop=False,
    fire=False,
    mains=True,
    reset_key=False,
    fully_on=True,
)


class HandClock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic_s(self) -> float:
        return self.now_s

    def utc_text(self) -> str:
        return (START + timedelta(seconds=self.now_s)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def boot_id(self) -> str:
        return "boot"

    def uncertainty_ms(self) -> int:
        return 3


Wait = float
Life = Iterator[Wait]
"""What a vehicle does, and how long it takes until the next."""


@dataclass
class Counts:
    passages: int = 0
    events: int = 0
    facts: int = 0
    crossed: int = 0
    held: int = 0


class Rig:
    """One lane. `run(seconds)` lets virtual time pass; vehicles come `per_day` a day."""

    def __init__(
        self,
        folder: Path,
        config: GateConfig,
        *,
        per_day: int,
        retention_s: float,
        slips_kept_s: float,
        scrub: bool = True,
    ) -> None:
        self.clock = HandClock()
        self.counts = Counts()
        self.folder = folder
        self._draw = random.Random(7)
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._gap_s = 86_400.0 / per_day
        self._ahead = min(int(3 * 3600.0 / self._gap_s) + 2, FLEET - 50)
        self._inputs = AT_REST
        self._slips = self._deleted = 0
        self._slips_kept_s = slips_kept_s
        self._log = 0
        self._acks = 0
        self.journal = Journal.open(
            folder / "journal.sqlite",
            device=config.lane.id,
            utc=self.clock.utc_text,
            reserve_bytes=0,
            monotonic_s=self.clock.monotonic_s,
        )
        self.journal.meet_archive("archive")
        self._path = new_generation(folder, 1, "demo", "e" * 32)
        self.journal.set_generation(1)
        self._feed = Records.open(self._path, writable=True)
        self._feed_now(self._first_records())
        self._records = RecordsInForce(self.journal, folder)
        self._retention = Retention(self.journal, self._records.current, keep_s=retention_s)
        self.inbox: Inbox[Event] = Inbox(self.clock, on_timer=wiring._on_timer, on_lost=wiring._on_lost)
        self.performer = LanePerformer(
            Things(
                lane_id=config.lane.id,
                journal=self.journal,
                records=self._records.current,
                link=self,
                order=self._order,
                put=lambda event: self.inbox.put("lane", event),
                wake_after=self._wake_after,
                clock=self.clock,
                relays=config.relays,
                draw_key=b"a key of the endurance test",
                clock_must_be_known=True,
                has_board=True,
            )
        )
        settings = lane_settings(config, version="x", digest="", boot_id="boot", run="r1")
        begin = Woken(settings, 0.0, None, (), None)
        lane, first = woken(begin)
        self.recording: Recording[Lane, Event, Effect] = Recording(
            folder / "inbox.jsonl",
            LaneScribe(begin, "x", Scrubber(bytes(range(32))) if scrub else None, wiring._HOUSE_KEEPING),
            self.clock,
            most_bytes=RECORDING_BYTES,
        )
        self.page = Publisher(
            config,
            "x",
            self.clock,
            journal=self.journal,
            records=self._records.current,
            health=lambda: {name: DeviceHealth("open", speech="speaking") for name in config.devices},
            not_before_utc="2024-",
        )
        self.loop: Loop[Lane, Event, Effect] = Loop(
            self.inbox,
            lane,
            self._step,
            self.performer.perform,
            on_failed=lambda effect, why: WriteFailed(why),
            make_safe=lambda: None,
            recorder=self.recording,
        )
        for effect in first:
            self.performer.perform(effect)
        for timer, seconds in ((wiring._AGAIN_TIMER, 10.0), (wiring._RETENTION_TIMER, 600.0)):
            self._wake_after(Timer(timer, 0), seconds)
        self.tell("link", LinkChanged(True))
        self.tell("io", InputsRead(AT_REST))
        self._at(60.0, self._acknowledge)
        self._at(3600.0, self._feed_slips)
        self._at(slips_kept_s, self._delete_slips)
        self._at(self._gap_s, self._comes)

    # --- time ---

    def run(self, seconds: float) -> None:
        until_s = self.clock.now_s + seconds
        while True:
            due_s = self._agenda[0][0]
            if due_s > until_s:
                self.clock.now_s = until_s
                return
            self.clock.now_s = max(self.clock.now_s, due_s)
            heapq.heappop(self._agenda)[2]()
            self.counts.events += self.loop.run_waiting()

    def close(self) -> None:
        self.recording.close()
        self._records.close()
        self._feed.close()
        self.journal.close()

    def _at(self, after_s: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (self.clock.now_s + after_s, next(self._numbers), act))

    def _wake_after(self, timer: Timer, seconds: float) -> None:
        self.inbox.wake_after(timer, seconds)
        self._at(seconds, lambda: None)

    def tell(self, source: str, event: Event) -> None:
        self.inbox.put(source, event)

    # --- what the wiring does ---

    def _step(self, lane: Lane, at_s: float, event: Event) -> tuple[Lane, tuple[Effect, ...]]:
        if isinstance(event, TimePassed) and event.timer.name in wiring._HOUSE_KEEPING:
            if event.timer.name == wiring._AGAIN_TIMER:
                self.performer.say_again()
                self._wake_after(event.timer, 10.0)
            else:
                self._retention.run()
                self._wake_after(event.timer, 600.0)
            return lane, ()
        lane, effects = step(lane, at_s, event)
        self.page.stepped(lane, effects)
        return lane, effects

    # --- the cabinet ---

    def _order(self, device: str, order_id: str, order: Order) -> None:
        if device != "io":
            return
        if isinstance(order, PulseRelay) and order.channel == 0:
            self._move(limit_down=False)
            self._at(UP_S, lambda: self._move(limit_up=True))
        elif isinstance(order, PulseRelay) and order.channel == 1:
            self._move(limit_up=False)
            self._at(DOWN_S, lambda: self._move(limit_down=True))
        elif not isinstance(order, PulseRelay | SetRelay):
            raise OrderNotTaken(f"{device}: no such order")
        self.tell("io", OrderCarriedOut(order_id))

    def _move(self, **changes: bool) -> None:
        self._inputs = replace(self._inputs, **changes)
        self.tell("io", InputsRead(self._inputs))

    # --- the link ---

    def claim(self, claim_id: str, passage: int, plate: Plate | None, slip_nos: tuple[SlipNo, ...]) -> None:
        self._at(0.2, lambda: self.tell("link", ClaimAnswered(claim_id, True)))

    def withdraw(self, claim_id: str) -> None: ...

    def facts_waiting(self) -> None:
        self.counts.facts += 1

    def _acknowledge(self) -> None:
        for stream, head in self.journal.heads().items():
            self._acks += 1
            self.journal.apply_ack(
                archive_id="archive",
                counter=self._acks,
                epoch=self.journal.epoch,
                stream=Stream(stream),
                contiguous=head.seq,
                hash=head.hash,
            )
        self._feed.note_verified(self.clock.utc_text())
        self._at(60.0, self._acknowledge)

    # --- records ---

    def _plate(self, number: int) -> Plate:
        return Plate(f"豫A{number:05d}")

    def _tag(self, number: int) -> Epc:
        return Epc(f"E280{number:020X}")

    def _first_records(self) -> list[tuple[ChangeOp, Record]]:
        late = UtcText("2099-01-01T00:00:00Z")
        first: list[Record] = [
            Site(site="demo", name_zh="郑州", name_en="Zhengzhou"),
            Enterprise(code=FIRM, name="某公司", tier=CreditTier.HIGH, spot_check_per_mille=2),
        ]
        first += [
            Vehicle(plate=self._plate(n), tag_epcs=(self._tag(n),), tare_kg=Decimal(14_000), valid_until=late)
            for n in range(FLEET)
        ]
        return [(ChangeOp.PUT, record) for record in (*first, *(self._slip() for _ in range(self._ahead)))]

    def _slip(self) -> ReleaseSlip:
        """One for each coming of each vehicle, in the order in which they come."""
        number, self._slips = self._slips, self._slips + 1
        return ReleaseSlip(
            slip_no=slip_no(number),
            direction=Direction.IN,
            kind=SlipKind.SECOND_LINE,
            binding=Binding.ONE_SLIP,
            plate=self._plate(number % FLEET),
            vehicle_kg=Decimal(14_000),
            cargo_gross_kg=Decimal(6_000),
            total_kg=Decimal(20_000),
            enterprise=FIRM,
            state=SlipState.APPROVED,
            valid_from=UtcText("2026-01-01T00:00:00Z"),
            valid_until=UtcText("2099-01-01T00:00:00Z"),
        )

    def _feed_slips(self) -> None:
        """Every hour: slips for the hours to come, and never so many that a vehicle has two."""
        wanted = self.counts.passages + self._ahead - self._slips
        self._feed_now([(ChangeOp.PUT, self._slip()) for _ in range(wanted)])
        self._at(3600.0, self._feed_slips)

    def _delete_slips(self) -> None:
        """The centre deletes the slips of vehicles that came so long ago."""
        until = self.counts.passages - int(self._slips_kept_s / self._gap_s)
        some = self._slip()
        self._slips -= 1
        gone = [replace_slip_no(some, slip_no(number)) for number in range(self._deleted, until)]
        self._deleted = max(self._deleted, until)
        self._feed_now([(ChangeOp.DELETE, slip) for slip in gone])
        self._at(self._slips_kept_s / 4, self._delete_slips)

    def _cancel(self, number: int) -> None:
        """The slip of a vehicle that did not pass: another one is written for its next coming."""
        slip = self._slip()
        self._slips -= 1
        gone = replace_slip_no(slip, slip_no(number))
        self._feed_now([(ChangeOp.DELETE, gone)])

    def _feed_now(self, changes: list[tuple[ChangeOp, Record]]) -> None:
        collections = {
            Site: "site",
            Enterprise: "enterprises",
            Vehicle: "vehicles",
            ReleaseSlip: "release_slips",
        }
        made = []
        for op, record in changes:
            self._log += 1
            body = to_json(record).decode() if op is ChangeOp.PUT else ""
            made.append(Change(self._log, collections[type(record)], key_of(record), op, body))
        for some in (made[begin : begin + 500] for begin in range(0, len(made), 500)):
            self._feed.apply(FeedBatch("demo", "e" * 32, some[0].number, some[-1].number, tuple(some)))
        self._feed.note_verified(self.clock.utc_text())

    # --- traffic ---

    def _comes(self) -> None:
        number = self.counts.passages
        self.counts.passages += 1
        self._live(self._life(number))
        self._at(self._gap_s * self._draw.uniform(0.9, 1.1), self._comes)

    def _live(self, life: Life) -> None:
        wait_s = next(life, None)
        if wait_s is not None:
            self._at(wait_s, lambda: self._live(life))

    def _phase(self) -> object:
        return self.loop.state.phase

    def _weigh(self, kg: int) -> None:
        self.page.heard("weighbridge", WeightSeen(Decimal(kg), None))
        self.tell("weighbridge", WeightRead(Decimal(kg), None))

    def _poll(self, **changes: bool) -> None:
        self._inputs = replace(self._inputs, **changes)
        self.tell("io", InputsRead(self._inputs))

    def _life(self, number: int) -> Life:
        """One vehicle, from the loop to the far side, or back out again where it is held."""
        if isinstance(self._phase(), Shut):
            self._poll(reset_key=True)
            yield POLL_S
            self._poll(reset_key=False)
        if not isinstance(self._phase(), Free):
            self._cancel(number)
            return
        wrong = number % 53 == 52
        if number % 211 == 210:
            self.tell("weighbridge-report", DeviceWentSilent("weighbridge", "no valid reading for 3.0 s"))
            yield 2.0
            self.tell("weighbridge-report", DeviceSpoke("weighbridge"))
        if number % 97 == 96:
            self.tell("link", LinkChanged(False))
            self.tell("link", LinkChanged(True))
        if number % 31 == 30:
            self.tell("plate_camera", ReadFailed("plate_camera", "not a plate: 豫A1234"))
            self.tell("scanner", CardRead(f"{number:010d}"))
        self._poll(arrival=True)
        yield 1.0
        self._poll()
        self.tell("plate_camera", PlateRead(self._plate(number % FLEET), 0.97))
        self.tell("rfid", TagRead(self._tag((number + wrong) % FLEET), -50))
        yield 1.0
        for _ in range(60):
            self._weigh(20_000)
            self._poll()
            if isinstance(self._phase(), Raising | Passing | Holding):
                break
            yield 0.2
        if isinstance(self._phase(), Holding):
            self.counts.held += 1
            self._cancel(number)
            self._weigh(0)
            self._poll(arrival=False)
            for _ in range(8):
                yield POLL_S
                self._weigh(0)
                self._poll()
            return
        for _ in range(10):
            if isinstance(self._phase(), Passing):
                break
            yield POLL_S
            self._weigh(20_000)
            self._poll()
        self._poll(arrival=False, arm_loop=True, photocell=True)
        self._weigh(4_000)
        yield 2.0
        self._weigh(0)
        self._poll(arm_loop=False, photocell=False)
        self.counts.crossed += 1
        for _ in range(20):
            yield POLL_S
            self._weigh(0)
            self._poll()
            if isinstance(self._phase(), Free):
                return


def slip_no(number: int) -> SlipNo:
    return SlipNo(f"Z4604I260302{number:012d}")


def replace_slip_no(record: Record, number: SlipNo) -> Record:
    assert isinstance(record, ReleaseSlip)
    return msgspec.structs.replace(record, slip_no=number)


def rows(rig: Rig, table: str) -> int:
    with closing(sqlite3.connect(rig.journal.path)) as database:
        count: int = database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608
        return count
