"""What physically happened against what was recorded and stored: the books of a simulated site, compared.

A second pair of eyes: reads files only, writes none, and imports nothing of the programs it checks. Digests,
chains and signatures are computed here once more from the stored bytes. How things are matched, and what
that cannot see, is told in docs/reconciliation.md.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import contextlib
import hashlib
import json
import math
import re
import sqlite3
import sys
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hardware_sims.aligning import align as align
from hardware_sims.xray_books import STATION_KINDS, PhysicalBelt, StationBook, chutes, parcels, pictures

GENESIS = "0" * 64
STREAM_NAMES = {1: "alarm", 2: "routine"}
"""Of the journal's `place`: epoch number, 4 bits of stream, 44 bits of sequence (its schema says so)."""
CHECKPOINT_CONTEXT = b"kakou/checkpoint/v1\n"
MODULUS = 1 << 128
OPEN_RELAY = 0
SAME_MOMENT_S = 0.06
"""A pulse and the movement it causes are logged at one time; the physics' grid is 50 ms."""
UNSEEN_AFTER_S = 30.0
"""A crossing is on record within this many virtual seconds, however loaded the machine. A lane that lost its
eyes sooner may not have recorded it."""
RESTART_S = 0.5
"""A lane's log going back in time by more is a new run of the simulators."""
NAMED = 5
"""Mismatches printed per row; `--json` gives all."""

ROWS = (
    ("raisings", "起杆", "every raising has one earlier durable order, or moved by itself"),
    ("orders", "起杆指令", "every order was followed by its raising, or is named interrupted"),
    ("facts", "记录", "facts in the journals = facts at the hub; gapless, chained, signed"),
    ("records", "底账", "records digest of each lane = the hub's, at equal numbers"),
    ("uses", "核放单使用", "uses per slip ≤ allowed, or listed and alarmed as double use"),
    (
        "crossings",
        "过线",
        "every crossing belongs to one passage, every passage told crossed to one crossing",
    ),
    ("contact", "碰杆", "no vehicle touched by an ordered lowering"),
    ("rulings", "判定在先", "nobody admitted before ruling and slip use were durable"),
    ("claims", "使用申请", "grants per slip ≤ allowed; each ended, or held by a live use"),
    ("alarms", "中心告警", "no broken chain, branch or forgery at the hub; nothing parked"),
    ("parcels", "包裹", "every parcel on the belt is one told parcel, and ends once"),
    ("chutes", "分拣", "every parcel is in the chute its verdict says; one pulse each, judged before"),
    (
        "pictures",
        "机检图像",
        "every picture is told; a matched one shows that parcel alone, as its code says",
    ),
)
"""(name, zh, what is proved) in the order they are printed."""

EXPLAINED_ALARMS = frozenset({"double_use"})
"""Codes of `hub_alarms` that another row accounts for. Every other code is a finding; see the guide."""

LISTED_CAUSES = {
    "safety": "the controller's own reopening",
    "fire": "fire signal",
    "hand": "by hand at the controller",
    "power": "spring, mains failed",
}
"""Causes for which a barrier rises without anybody's order."""

Listing = dict[str, Any]


# --- what is printed --------------------------------------------------------------------------------------


@dataclass(slots=True)
class Row:
    """One line of the table: how many were compared, which do not agree, which are listed exceptions."""

    number: int
    name: str
    zh: str
    proves: str
    checked: int = 0
    mismatches: list[str] = field(default_factory=list)
    listed: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.mismatches

    def wrong(self, text: str) -> None:
        self.mismatches.append(text)

    def note(self, text: str) -> None:
        self.listed.append(text)

    def as_json(self) -> Listing:
        return {
            "event": "reconciliation",
            "row": self.number,
            "name": self.name,
            "checked": self.checked,
            "mismatches": self.mismatches,
            "listed": self.listed,
            "ok": self.ok,
        }


@dataclass(frozen=True, slots=True)
class Report:
    rows: tuple[Row, ...]

    @property
    def ok(self) -> bool:
        return all(row.ok for row in self.rows)

    def failed(self) -> tuple[str, ...]:
        return tuple(row.name for row in self.rows if not row.ok)


class NotASite(Exception):
    """The folder holds no simulated site; the text says what was expected."""


# --- facts ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StoredFact:
    """A row of a journal or of the hub, as it stands. `body` is its exact bytes."""

    seq: int
    position: int
    event_id: str
    kind: str
    passage: int | None
    time: str
    hash: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Told:
    """What a fact says that other rows need."""

    position: int
    kind: str
    passage: int | None
    data: Listing


TOLD_KINDS = frozenset(
    {
        "lane_started",
        "passage_opened",
        "ruling_made",
        "raise_ordered",
        "arm_raised",
        "order_interrupted",
        "vehicle_crossed",
        "uses_returned",
        "passage_closed",
    }
    | STATION_KINDS
)


@dataclass(slots=True)
class Use:
    use_id: str
    slip_no: str
    passage: int
    claim_id: str
    state: str


@dataclass(slots=True)
class Order:
    """A raise order and what the journal says came of it."""

    position: int
    order_id: str
    passage: int
    purpose: str
    raised_position: int | None = None
    interrupted: bool = False
    evidence: frozenset[str] = frozenset()
    """Plates and tags the passage's rulings stand on."""

    @property
    def admits(self) -> bool:
        return self.purpose != "safety"

    def name(self, lane: str) -> str:
        return f"{lane}: order {self.order_id} of passage {self.passage}"


class LaneBook:
    """What one lane's journal tells, in position order, each event once however often it was issued."""

    def __init__(self, lane: str, told: Sequence[Told], uses: Sequence[Use]) -> None:
        self.lane = lane
        self.told = sorted(told, key=lambda fact: fact.position)
        self.uses = {use.use_id: use for use in uses}
        self.restarts = [f.position for f in self.told if f.kind == "lane_started"][1:]
        self.released_by = {
            str(use_id): str(fact.data["officer"])
            for fact in self.of("ruling_made")
            if fact.data.get("claim") == "manual" and fact.data.get("officer")
            for use_id in fact.data.get("use_ids") or ()
        }
        """Use -> the officers who answer for it (S8)."""
        self.evidence: defaultdict[int | None, set[str]] = defaultdict(set)
        """Passage -> plates and tags its rulings stand on."""
        self.orders = self._orders()

    def of(self, kind: str) -> list[Told]:
        return [fact for fact in self.told if fact.kind == kind]

    def _orders(self) -> list[Order]:
        evidence = self.evidence
        orders: list[Order] = []
        by_id: dict[str, Order] = {}
        for fact in self.told:
            match fact.kind:
                case "ruling_made":
                    evidence[fact.passage] |= _identities(fact.data)
                case "raise_ordered":
                    order = Order(
                        fact.position,
                        str(fact.data.get("order_id")),
                        _whole(fact.passage),
                        str(fact.data.get("purpose")),
                        evidence=frozenset(evidence[fact.passage]),
                    )
                    orders.append(order)
                    by_id.setdefault(order.order_id, order)
                case "arm_raised" | "order_interrupted":
                    about = by_id.get(str(fact.data.get("order_id")))
                    if about is not None and fact.kind == "arm_raised":
                        about.raised_position = fact.position
                    elif about is not None:
                        about.interrupted = True
                case _:
                    pass
        return orders

    def restarted_between(self, after: int, before: int | None) -> bool:
        place = bisect_right(self.restarts, after)
        return place < len(self.restarts) and (before is None or self.restarts[place] < before)


def _identities(ruling: Listing) -> set[str]:
    found = {str(ruling["plate"])} if ruling.get("plate") else set()
    for reading in ruling.get("readings") or ():
        if isinstance(reading, dict) and reading.get("kind") in ("plate", "tag"):
            found.add(str(reading.get("value")))
    return found


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


# --- the physical side ------------------------------------------------------------------------------------


@dataclass(slots=True)
class Pulse:
    """The OPEN contact closed by the I/O board. `moved`: the arm began to rise by it."""

    line: int
    t: float
    arm: str
    """Where the arm was: down, rising, up, falling or between."""
    present: frozenset[str]
    """Plates and tags of everybody in the lane."""
    repeats: bool
    """The contact had been closed before, and the arm has not come down since."""
    run: int
    """Which run of the simulators."""
    moved: bool = False


@dataclass(frozen=True, slots=True)
class Crossing:
    line: int
    t: float
    began_t: float
    """When its front passed the arm."""
    vehicle: str
    identities: frozenset[str]
    run: int


@dataclass(slots=True)
class Blindness:
    """While nobody was at the I/O board's line, or the board had a fault."""

    run: int
    from_t: float
    to_t: float = math.inf

    def hides(self, crossing: Crossing) -> bool:
        in_time = self.from_t <= crossing.t + UNSEEN_AFTER_S and crossing.began_t <= self.to_t
        return self.run == crossing.run and in_time


class PhysicalLane:
    """One lane's part of the simulators' log, taken line by line."""

    def __init__(self, lane: str) -> None:
        self.lane = lane
        self.pulses: list[Pulse] = []
        self.crossings: list[Crossing] = []
        self.restarts: list[int] = []
        """Lines at which another run of the simulators begins: arm down, nobody there."""
        self.raisings = 0
        self.lowerings = 0
        self.contacts = 0
        self.moved_otherwise: list[str] = []
        self.unexplained: list[str] = []
        self.touched: list[str] = []
        self.touched_otherwise: list[str] = []
        self.blind: list[Blindness] = []
        self._t = 0.0
        self._arm = "down"
        self._lowered_by = ""
        self._present: dict[str, frozenset[str]] = {}
        self._contact: tuple[float, Pulse | None] | None = None
        self._opened_since_fall = False
        self._fronts: dict[str, float] = {}
        self._hidden: set[str] = set()
        """Why the lane program cannot see its inputs right now."""

    def take(self, line: int, entry: Listing) -> None:
        t = float(entry["t"])
        if t < self._t - RESTART_S:
            self.restarts.append(line)
            self._arm, self._contact, self._opened_since_fall = "down", None, False
            self._present.clear()
            self._fronts.clear()
            self._hidden.clear()
        self._t = t
        match entry["kind"]:
            case "relay_pulse":
                self._pulse(line, t, entry["relay"])
            case "arm_moving" if entry["direction"] == "up":
                self._rises(line, t, str(entry["cause"]))
            case "arm_moving":
                self.lowerings += 1
                self._arm, self._lowered_by = "falling", str(entry["cause"])
                self._opened_since_fall = False
            case "arm_up":
                self._arm = "up"
            case "arm_down":
                self._arm = "down"
            case "arm_stopped":
                self._arm = "between"
            case "vehicle_arrived":
                marks = (entry.get("plate"), entry.get("tag"))
                self._present[str(entry["vehicle"])] = frozenset(str(mark) for mark in marks if mark)
            case "vehicle_left":
                self._present.pop(str(entry["vehicle"]), None)
            case "front_crossed_arm":
                self._fronts.setdefault(str(entry["vehicle"]), t)
            case "vehicle_crossed_arm":
                vehicle = str(entry["vehicle"])
                who = self._present.get(vehicle, frozenset())
                began_t = self._fronts.pop(vehicle, t)
                self.crossings.append(Crossing(line, t, began_t, vehicle, who, len(self.restarts)))
            case "line" if entry["device"] == "io":
                self._sees(t, "line", entry["open"] is True)
            case "fault" if entry["device"] == "io":
                self._sees(t, str(entry["fault"]), entry["on"] is not True)
            case "contact":
                self._touched(line, t, str(entry["vehicle"]))
            case _:
                pass

    def _sees(self, t: float, what: str, well: bool) -> None:
        (self._hidden.discard if well else self._hidden.add)(what)
        run = len(self.restarts)
        open_ended = bool(self.blind) and self.blind[-1].to_t == math.inf and self.blind[-1].run == run
        if self._hidden and not open_ended:
            self.blind.append(Blindness(run, t))
        elif open_ended and not self._hidden:
            self.blind[-1].to_t = t

    def saw(self, crossing: Crossing) -> bool:
        """Somebody could read the inputs while this vehicle crossed, and long enough after to record it."""
        return not any(blindness.hides(crossing) for blindness in self.blind)

    def _at(self, line: int, t: float) -> str:
        return f"{self.lane}: line {line}, t {t:.2f}"

    def _pulse(self, line: int, t: float, relay: object) -> None:
        if relay == "camera":
            self.unexplained.append(f"{self._at(line, t)}: the plate camera's own relay closed OPEN")
            self._contact = (t, None)
        elif relay == OPEN_RELAY:
            everybody: set[str] = set()
            for marks in self._present.values():
                everybody |= marks
            run = len(self.restarts)
            pulse = Pulse(line, t, self._arm, frozenset(everybody), self._opened_since_fall, run)
            self.pulses.append(pulse)
            self._contact = (t, pulse)
            self._opened_since_fall = True

    def _rises(self, line: int, t: float, cause: str) -> None:
        self.raisings += 1
        self._arm = "rising"
        if cause in LISTED_CAUSES:
            self.moved_otherwise.append(f"{self._at(line, t)}: {LISTED_CAUSES[cause]}")
            return
        contact, self._contact = self._contact, None
        if cause != "order":
            self.unexplained.append(f"{self._at(line, t)}: raised by {cause!r}, which nothing explains")
        elif contact is None or abs(t - contact[0]) > SAME_MOMENT_S:
            self.unexplained.append(f"{self._at(line, t)}: raised by an order without a pulse of the relay")
        elif contact[1] is None:
            self.unexplained.append(f"{self._at(line, t)}: raised by the plate camera's relay")
        else:
            contact[1].moved = True

    def _touched(self, line: int, t: float, vehicle: str) -> None:
        self.contacts += 1
        if self._arm == "falling" and self._lowered_by == "order":
            self.touched.append(f"{self._at(line, t)}: an ordered lowering touched {vehicle}")
        else:
            how = f"arm {self._arm}" + (f", lowered by {self._lowered_by}" if self._arm == "falling" else "")
            self.touched_otherwise.append(f"{self._at(line, t)}: {vehicle} and the arm touched ({how})")


# --- everything read --------------------------------------------------------------------------------------


@dataclass(slots=True)
class Books:
    """All that is compared, read once. Rows 3 and 4 are filled in while reading."""

    folder: Path
    rows: dict[str, Row]
    hub: sqlite3.Connection | None = None
    physical: dict[str, PhysicalLane] = field(default_factory=dict)
    belts: dict[str, PhysicalBelt] = field(default_factory=dict)
    lanes: dict[str, LaneBook] = field(default_factory=dict)
    matches: dict[str, list[tuple[int | None, int | None]]] = field(default_factory=dict)
    """Per lane: (pulse, order) by index, each in its order; None where one has no other."""

    def physical_of(self, lane: str) -> PhysicalLane:
        return self.physical.get(lane) or PhysicalLane(lane)

    def stations(self) -> Iterator[StationBook]:
        """Every X-ray line that is told of or has a belt."""
        for name, book in self.lanes.items():
            if name in self.belts or book.of("station_started"):
                yield StationBook(name, book.told, self.belts.get(name) or PhysicalBelt(name))

    def allowed(self, slip_no: str) -> int | None:
        """Uses the hub's records allow, or did when the slip was last among them. None: never known."""
        hub = self.hub
        if hub is None:
            return None
        found = hub.execute(
            "SELECT body FROM records WHERE collection = 'release_slips' AND key = ?", (slip_no,)
        ).fetchone()
        if found is None:
            found = hub.execute(
                "SELECT body FROM log WHERE collection = 'release_slips' AND key = ? AND op = 'put' "
                "ORDER BY at_utc DESC, number DESC LIMIT 1",
                (slip_no,),
            ).fetchone()
        return None if found is None else int(json.loads(found[0]).get("uses_allowed", 1))


@contextlib.contextmanager
def _database(path: Path) -> Iterator[sqlite3.Connection]:
    """Read-only, one moment for all reads; text that is damaged is still read."""
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)
    try:
        connection.text_factory = lambda raw: raw.decode("utf-8", "backslashreplace")
        connection.execute("PRAGMA query_only = ON")
        connection.execute("BEGIN")
        yield connection
    finally:
        connection.close()


def reconcile(folder: Path) -> Report:
    """Compare everything a site left behind. Raises `NotASite`; whatever cannot be read is a mismatch."""
    archive = folder / "data" / "hub" / "archive.sqlite"
    if not archive.is_file() or not (folder / "physics.jsonl").is_file():
        raise NotASite(f"{folder}: expected physics.jsonl and data/hub/archive.sqlite in it")
    rows = {name: Row(n, name, zh, proves) for n, (name, zh, proves) in enumerate(ROWS, start=1)}
    books = Books(folder, rows)
    _guarded(rows["raisings"], lambda: _read_physics(books, rows["raisings"]))
    with contextlib.ExitStack() as open_files:
        try:
            books.hub = open_files.enter_context(_database(archive))
            lanes = _lanes(books)
        except sqlite3.Error as error:
            for row in rows.values():
                row.wrong(f"{archive} cannot be read: {error}")
            return Report(tuple(rows.values()))
        for lane in lanes:
            _guarded(rows["facts"], lambda lane=lane: _read_lane(books, lane))  # type: ignore[misc]
        _guarded(rows["facts"], lambda: _hub_itself(books, lanes))
        steps: tuple[tuple[str, Callable[[Books, Row], None]], ...] = (
            ("raisings", _raisings),
            ("orders", _orders),
            ("records", _records),
            ("uses", _uses),
            ("crossings", _crossings),
            ("contact", _contact),
            ("rulings", _rulings),
            ("claims", _claims),
            ("alarms", _alarms),
            ("parcels", lambda books, row: _of_stations(books, row, parcels)),
            ("chutes", lambda books, row: _of_stations(books, row, chutes)),
            ("pictures", lambda books, row: _of_stations(books, row, pictures)),
        )
        for name, step in steps:
            _guarded(rows[name], lambda step=step, name=name: step(books, rows[name]))  # type: ignore[misc]
    return Report(tuple(rows.values()))


def _of_stations(books: Books, row: Row, check: Callable[[StationBook, Row], None]) -> None:
    for station in books.stations():
        check(station, row)


def _guarded(row: Row, work: Callable[[], None]) -> None:
    """A row that cannot be checked to its end has failed; it never passes unseen."""
    try:
        work()
    except (sqlite3.Error, OSError, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        row.wrong(f"cannot be checked further: {type(error).__name__}: {error}")


def _read_physics(books: Books, row: Row) -> None:
    with (books.folder / "physics.jsonl").open("rb") as file:
        for number, raw in enumerate(file, start=1):
            try:
                entry = json.loads(raw)
                if "station" in entry:
                    station = str(entry["station"])
                    books.belts.setdefault(station, PhysicalBelt(station)).take(number, entry)
                    continue
                lane = str(entry["lane"])
                books.physical.setdefault(lane, PhysicalLane(lane)).take(number, entry)
            except (ValueError, KeyError, TypeError) as error:
                row.wrong(f"physics.jsonl line {number} cannot be read: {type(error).__name__}: {error}")


def _lanes(books: Books) -> list[str]:
    """Everybody named anywhere: in the folder, in the physics, at the hub."""
    assert books.hub is not None  # noqa: S101  opened just before
    found = {path.parent.name for path in (books.folder / "data").glob("*/journal.sqlite")}
    found |= set(books.physical) | set(books.belts)
    found |= {device for (device,) in books.hub.execute("SELECT device FROM devices")}
    found |= {device for (device,) in books.hub.execute("SELECT DISTINCT device FROM facts")}
    return sorted(found)


# --- row 3: facts -----------------------------------------------------------------------------------------

_HUB_FACTS = (
    "SELECT seq, position, event_id, kind, passage, time, hash, CAST(body AS BLOB) FROM facts "
    "WHERE device = ? AND epoch = ? AND stream = ? ORDER BY seq"
)
_JOURNAL_FACTS = (
    "SELECT place & ((1 << 44) - 1), position, event_id, kind, passage, time, hash, CAST(body AS BLOB) "
    "FROM facts WHERE place >> 44 = ? ORDER BY place"
)
_COLUMNS = ("position", "event_id", "kind", "passage", "time", "hash", "body")


@dataclass(slots=True)
class _Head:
    """A journal's word on one stream of one epoch."""

    epoch_no: int
    epoch: str
    stream: str
    seq: int
    hash: str
    acked: int
    acked_hash: str
    reissued_from: int | None
    dropped_seq: int
    dropped_hash: str


@dataclass(slots=True)
class _Reading:
    """What is gathered while a lane's facts are compared."""

    positions: Counter[int] = field(default_factory=Counter)
    told: dict[str, Told] = field(default_factory=dict)
    stored: set[str] = field(default_factory=set)
    """Event ids at the hub."""
    owed: dict[str, str] = field(default_factory=dict)
    """Event id -> name of a fact left behind in its epoch: it must have been issued again."""
    left: dict[tuple[str, str, int], str] = field(default_factory=dict)
    """(epoch, stream, sequence) -> hash of such a fact: a checkpoint may have signed it."""
    last: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)
    """(epoch, stream) -> last sequence and hash at the hub."""


def _read_lane(books: Books, lane: str) -> None:
    row = books.rows["facts"]
    hub = books.hub
    assert hub is not None  # noqa: S101  opened by the caller
    path = books.folder / "data" / lane / "journal.sqlite"
    reading = _Reading()
    if not path.is_file():
        row.wrong(f"{lane}: no journal in {path.parent}")
        heads: list[_Head] = []
        _compare(books, lane, None, heads, reading)
        books.lanes[lane] = LaneBook(lane, list(reading.told.values()), [])
        return
    with _database(path) as journal:
        for (found,) in journal.execute("PRAGMA quick_check(5)"):
            if found != "ok":
                row.wrong(f"{lane}: journal file: {found}")
        device = journal.execute("SELECT device FROM store").fetchone()
        if device is None or device[0] != lane:
            row.wrong(f"{lane}: the journal says it is of {device and device[0]!r}")
        heads = [
            _Head(*found)
            for found in journal.execute(
                "SELECT epoch_no, epoch, stream, seq, hash, acked, acked_hash, reissued_from, dropped_seq, "
                "dropped_hash FROM heads JOIN epochs USING (epoch_no) ORDER BY epoch_no, stream"
            )
        ]
        uses = [
            Use(*found)
            for found in journal.execute("SELECT use_id, slip_no, passage, claim_id, state FROM uses")
        ]
        _compare(books, lane, journal, heads, reading)
        _acknowledged(row, lane, hub, journal, heads)
    books.lanes[lane] = LaneBook(lane, list(reading.told.values()), uses)


def _compare(
    books: Books, lane: str, journal: sqlite3.Connection | None, heads: list[_Head], reading: _Reading
) -> None:
    """The lane's journal and the hub's facts of it, side by side, in one pass."""
    row, hub = books.rows["facts"], books.hub
    assert hub is not None  # noqa: S101  opened by the caller
    known = {(head.epoch, head.stream): head for head in heads}
    at_hub = [
        (epoch, stream)
        for epoch, stream in hub.execute(
            "SELECT epoch, stream FROM facts WHERE device = ? GROUP BY epoch, stream", (lane,)
        )
    ]
    for epoch, stream in [*known, *(key for key in at_hub if key not in known)]:
        head = known.get((epoch, stream))
        if head is None and journal is not None:
            row.wrong(
                f"{lane}: the hub has facts of epoch {epoch[:8]} {stream}, the journal has no such epoch"
            )
        _compare_stream(row, lane, epoch, stream, head, journal, hub, reading)
    if journal is not None:
        (strays,) = journal.execute("SELECT count(*) FROM facts").fetchone()
        for head in heads:
            strays -= _count_in(journal, head)
        if strays:
            row.wrong(f"{lane}: {strays} facts of the journal stand under no known epoch or stream")
    for event_id, name in reading.owed.items():
        if event_id not in reading.stored:
            row.wrong(f"{name}: left behind in its epoch and never issued again")
    for position, times in sorted(reading.positions.items()):
        if times > 1:
            row.wrong(f"{lane}: position {position} is taken by {times} facts")
    last = max(reading.positions, default=0)
    missing = [n for n in range(1, last + 1) if n not in reading.positions] if reading.positions else []
    if missing:
        row.wrong(f"{lane}: position {_ranges(missing)} missing")
    _checkpoints(books, row, lane, hub, reading)


def _count_in(journal: sqlite3.Connection, head: _Head) -> int:
    (count,) = journal.execute("SELECT count(*) FROM facts WHERE place >> 44 = ?", (_shelf(head),)).fetchone()
    return int(count)


def _shelf(head: _Head) -> int:
    number = next((n for n, name in STREAM_NAMES.items() if name == head.stream), 0)
    return (head.epoch_no << 4) | number


def _compare_stream(
    row: Row,
    lane: str,
    epoch: str,
    stream: str,
    head: _Head | None,
    journal: sqlite3.Connection | None,
    hub: sqlite3.Connection,
    reading: _Reading,
) -> None:
    def name(seq: int) -> str:
        return f"{lane}: {epoch[:8]}/{stream}/{seq}"

    ours: dict[int, StoredFact] = {}
    if journal is not None and head is not None:
        ours = {found[0]: StoredFact(*found) for found in journal.execute(_JOURNAL_FACTS, (_shelf(head),))}
    theirs = {found[0]: StoredFact(*found) for found in hub.execute(_HUB_FACTS, (lane, epoch, stream))}
    dropped = head.dropped_seq if head is not None else 0
    owed_from = head.reissued_from if head is not None else None
    prev, position = GENESIS, 0
    for seq in sorted({*ours, *theirs}):
        row.checked += 1
        mine, stored = ours.get(seq), theirs.get(seq)
        fact = mine or stored
        assert fact is not None  # noqa: S101  the number came from one of the two
        if stored is None:
            if owed_from is None or seq < owed_from:
                row.wrong(f"{name(seq)}: in the journal, not at the hub")
            else:
                reading.owed[fact.event_id] = name(seq)
                reading.left[(epoch, stream, seq)] = fact.hash
        elif mine is None:
            if journal is not None and seq > dropped:
                row.wrong(f"{name(seq)}: at the hub, not in the journal")
        else:
            for column in _COLUMNS:
                if getattr(mine, column) != getattr(stored, column):
                    row.wrong(f"{name(seq)}: {column} differs between journal and hub")
        if stored is not None:
            reading.stored.add(stored.event_id)
        expected_prev = prev if seq == 1 or seq - 1 in ours or seq - 1 in theirs else None
        if seq > 1 and expected_prev is None:
            row.wrong(f"{name(seq)}: fact {seq - 1} before it is missing")
        told = _checked_body(row, name(seq), fact, lane, epoch, stream, expected_prev)
        for other in (mine, stored):
            if other is not None and hashlib.sha256(other.body).hexdigest() != other.hash:
                row.wrong(f"{name(seq)}: {'journal' if other is mine else 'hub'} bytes do not have its hash")
        if fact.position <= position:
            row.wrong(f"{name(seq)}: position {fact.position} is not after {position}")
        prev, position = fact.hash, fact.position
        reading.positions[fact.position] += 1
        if told is not None and fact.event_id not in reading.told and told.kind in TOLD_KINDS:
            reading.told[fact.event_id] = told
        if told is not None and stream == "alarm" and seq == 1:
            _began(row, name(1), told, head, journal)
    last_hub = max(theirs, default=0)
    if last_hub:
        reading.last[(epoch, stream)] = (last_hub, theirs[last_hub].hash)
    claimed = hub.execute(
        "SELECT contiguous, head_hash FROM streams WHERE device = ? AND epoch = ? AND stream = ?",
        (lane, epoch, stream),
    ).fetchone()
    if last_hub and claimed != (last_hub, theirs[last_hub].hash):
        row.wrong(f"{name(last_hub)}: the hub's stream row names {claimed and claimed[0]} as contiguous")
    if head is not None:
        last = max(ours, default=dropped)
        tip = ours[last].hash if last in ours else head.dropped_hash
        if (head.seq, head.hash) != (last, tip):
            row.wrong(f"{name(last)}: the journal's head names {head.seq}")


def _checked_body(
    row: Row, name: str, fact: StoredFact, lane: str, epoch: str, stream: str, prev: str | None
) -> Told | None:
    try:
        body = json.loads(fact.body)
        data = body["data"]
        said = (
            body["device"],
            body["epoch"],
            body["stream"],
            body["seq"],
            body["position"],
            body["event_id"],
            body["time"],
            data["type"],
            data.get("passage"),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        row.wrong(f"{name}: its body is no fact ({type(error).__name__}: {error})")
        return None
    stands = (
        lane,
        epoch,
        stream,
        fact.seq,
        fact.position,
        fact.event_id,
        fact.time,
        fact.kind,
        fact.passage,
    )
    if said != stands:
        row.wrong(f"{name}: its row and its body say different things")
    if prev is not None and body.get("prev") != prev:
        row.wrong(f"{name}: does not name the hash of the fact before it")
    return Told(fact.position, fact.kind, fact.passage, data)


def _began(row: Row, name: str, told: Told, head: _Head | None, journal: sqlite3.Connection | None) -> None:
    """The first fact of an epoch names the heads it left behind."""
    if told.kind != "epoch_began":
        row.wrong(f"{name}: an epoch begins with {told.kind}, not with epoch_began")
        return
    if head is None or journal is None:
        return
    left: dict[str, str] = {}
    old_epoch = ""
    for epoch, stream, seq, hash_ in journal.execute(
        "SELECT epoch, stream, seq, hash FROM heads JOIN epochs USING (epoch_no) WHERE epoch_no = ?",
        (head.epoch_no - 1,),
    ):
        old_epoch = epoch
        left[stream] = f"{seq}:{hash_}"
    if (told.data.get("old_epoch"), told.data.get("old_heads")) != (old_epoch, left):
        row.wrong(f"{name}: names other heads than the epoch before it has")


def _acknowledged(
    row: Row, lane: str, hub: sqlite3.Connection, journal: sqlite3.Connection, heads: list[_Head]
) -> None:
    """A fact may leave a device only on this archive's word for that very fact (G3)."""
    newest = journal.execute("SELECT archive_id FROM archives ORDER BY archive_no DESC LIMIT 1").fetchone()
    archive = hub.execute("SELECT value FROM meta WHERE key = 'archive_id'").fetchone()
    if newest is None or archive is None or newest[0] != archive[0]:
        return
    for head in heads:
        if not head.acked:
            continue
        found = hub.execute(
            "SELECT hash FROM facts WHERE device = ? AND epoch = ? AND stream = ? AND seq = ?",
            (lane, head.epoch, head.stream, head.acked),
        ).fetchone()
        if found is None or found[0] != head.acked_hash:
            row.wrong(f"{lane}: {head.epoch[:8]}/{head.stream}/{head.acked}: acknowledged, but not stored so")


def _checkpoints(books: Books, row: Row, lane: str, hub: sqlite3.Connection, reading: _Reading) -> None:
    """Signed heads fit the key, name stored facts, and reach the last of each stream."""
    key = _public_key(books.folder / "keys" / f"{lane}.pub")
    if key is None and reading.last:
        row.wrong(f"{lane}: no Ed25519 public key in keys/{lane}.pub")
    covered: dict[tuple[str, str], int] = {}
    found = hub.execute(
        "SELECT epoch, position, body, kid, sig FROM checkpoints WHERE device = ? ORDER BY position", (lane,)
    ).fetchall()
    for epoch, position, body, kid, sig in found:
        row.checked += 1
        name = f"{lane}: checkpoint {epoch[:8]} at position {position}"
        if key is not None and not _signed(key, body, sig):
            row.wrong(f"{name}: its signature does not fit")
            continue
        try:
            said = json.loads(body)
            heads = [(str(h["stream"]), int(h["seq"]), str(h["hash"])) for h in said["heads"]]
            stands = (said["device"], said["epoch"], said["position"], kid)
        except (ValueError, KeyError, TypeError) as error:
            row.wrong(f"{name}: cannot be read ({type(error).__name__})")
            continue
        if stands != (lane, epoch, position, lane):
            row.wrong(f"{name}: its row and its body say different things")
        if position and position not in reading.positions:
            row.wrong(f"{name}: no fact stands at its position")
        for stream, seq, hash_ in heads:
            stored = hub.execute(
                "SELECT hash FROM facts WHERE device = ? AND epoch = ? AND stream = ? AND seq = ?",
                (lane, epoch, stream, seq),
            ).fetchone()
            left = GENESIS if seq == 0 else reading.left.get((epoch, stream, seq))
            is_ = left if stored is None else stored[0]
            if is_ != hash_:
                what = "is not stored" if is_ is None else "has another hash"
                row.wrong(f"{name}: the {stream} fact {seq} it signs {what}")
            else:
                covered[(epoch, stream)] = max(seq, covered.get((epoch, stream), 0))
    for (epoch, stream), (last, _) in reading.last.items():
        if covered.get((epoch, stream), 0) < last:
            row.wrong(f"{lane}: {epoch[:8]}/{stream}/{last}: no signed checkpoint reaches it")


def _public_key(path: Path) -> Ed25519PublicKey | None:
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, Ed25519PublicKey) else None


def _signed(key: Ed25519PublicKey, body: str, sig: str) -> bool:
    try:
        key.verify(base64.b64decode(sig, validate=True), CHECKPOINT_CONTEXT + body.encode())
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def _hub_itself(books: Books, lanes: list[str]) -> None:
    row, hub = books.rows["facts"], books.hub
    assert hub is not None  # noqa: S101  opened by the caller
    for (found,) in hub.execute("PRAGMA quick_check(5)"):
        if found != "ok":
            row.wrong(f"archive file: {found}")
    pinned = dict(hub.execute("SELECT device, public_pem FROM devices").fetchall())
    for lane in lanes:
        file = books.folder / "keys" / f"{lane}.pub"
        if file.is_file() and pinned.get(lane, "").strip() != file.read_text(encoding="ascii").strip():
            row.wrong(f"{lane}: the hub has pinned another key than keys/{lane}.pub")


def _ranges(numbers: Sequence[int]) -> str:
    """Ascending numbers as text, runs closed up, the first few."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    told = [f"{a}" if a == b else f"{a}..{b}" for a, b in parts[:4]]
    return ", ".join(told) + (" …" if len(parts) > 4 else "")


# --- rows 1 and 2: raisings and orders --------------------------------------------------------------------

# What leaving one alone, or pairing two that fit badly, weighs. Only the order of magnitude matters.
_LOST = 100
_UNLIKELY = 30
_POSSIBLE = 3
_PLAIN = 1


def _pulse_alone(pulse: Pulse) -> int:
    if pulse.moved:
        return _LOST
    return _PLAIN if pulse.repeats else _UNLIKELY


def _order_alone(order: Order) -> int:
    if order.raised_position is not None:
        return _LOST
    return _POSSIBLE if order.interrupted or not order.admits else 2 * _UNLIKELY


def _pulse_and_order(pulse: Pulse, order: Order) -> int:
    if not order.admits:
        return 0 if pulse.arm != "down" else _POSSIBLE
    cost = 0
    if pulse.moved:
        cost += 0 if pulse.arm == "down" else _UNLIKELY
    elif pulse.arm in ("rising", "up"):
        cost += _POSSIBLE
    elif order.raised_position is not None:
        cost += _UNLIKELY
    if pulse.present & order.evidence:
        return cost
    return cost + (_UNLIKELY if _strangers(pulse, order) else _PLAIN)


def _raisings(books: Books, row: Row) -> None:
    for lane, book in books.lanes.items():
        physical = books.physical_of(lane)
        pulses, orders = physical.pulses, book.orders
        row.checked += physical.raisings
        for text in physical.unexplained:
            row.wrong(text)
        for text in physical.moved_otherwise:
            row.note(text)
        for order_id, times in Counter(order.order_id for order in orders).items():
            if times > 1:
                row.wrong(f"{lane}: order {order_id} stands {times} times in the journal")
        pairs = align(
            [_pulse_alone(pulse) for pulse in pulses],
            [_order_alone(order) for order in orders],
            lambda i, j, p=pulses, o=orders: _pulse_and_order(p[i], o[j]),  # type: ignore[misc]
        )
        books.matches[lane] = pairs
        last = 0
        for place, (i, j) in enumerate(pairs):
            if j is not None:
                last = orders[j].position
            if i is None:
                continue
            pulse = pulses[i]
            at = f"{lane}: line {pulse.line}, t {pulse.t:.2f}"
            if j is None:
                following = next((orders[k].position for _, k in pairs[place:] if k is not None), None)
                _alone(row, book, pulse, at, last, following)
            elif pulse.moved and _strangers(pulse, orders[j]):
                row.wrong(
                    f"{at}: raised before {_few(pulse.present)}, but order {orders[j].order_id} of "
                    f"passage {orders[j].passage} stands on {_few(orders[j].evidence)}"
                )


def _strangers(pulse: Pulse, order: Order) -> bool:
    """Nobody in the lane is whom the passage's rulings name (S5)."""
    both_known = bool(order.admits and pulse.present and order.evidence)
    return both_known and not pulse.present & order.evidence


def _alone(row: Row, book: LaneBook, pulse: Pulse, at: str, after: int, before: int | None) -> None:
    """A pulse that no order asked for."""
    if not pulse.moved:
        if pulse.repeats:
            row.note(f"{at}: OPEN sent again for the same order, nothing moved")
        else:
            row.wrong(f"{at}: OPEN closed without any order (nothing moved)")
    elif pulse.arm in ("falling", "between") and book.restarted_between(after, before):
        # S2: up at once, the record comes after; the lane was killed in between.
        row.note(f"{at}: raised again while falling; the lane was stopped before it could be recorded")
    else:
        row.wrong(f"{at}: raised without an order in the journal")


def _few(names: frozenset[str]) -> str:
    return " / ".join(sorted(names)[:3])


def _orders(books: Books, row: Row) -> None:
    for lane, book in books.lanes.items():
        pulses, orders = books.physical_of(lane).pulses, book.orders
        row.checked += len(orders)
        known = {order.order_id: order for order in orders}
        for fact in book.told:
            if fact.kind not in ("arm_raised", "order_interrupted", "vehicle_crossed"):
                continue
            order = known.get(str(fact.data.get("order_id")))
            if order is None or order.passage != fact.passage:
                row.wrong(
                    f"{lane}: {fact.kind} at position {fact.position} names an order that was never given"
                )
            elif order.position > fact.position:
                row.wrong(f"{order.name(lane)} stands after the {fact.kind} that followed from it")
        for i, j in books.matches.get(lane, []):
            if j is None:
                continue
            order, pulse = orders[j], None if i is None else pulses[i]
            raised = pulse is not None and (pulse.moved or pulse.arm in ("rising", "up"))
            if raised:
                continue
            if order.raised_position is not None:
                row.wrong(f"{order.name(lane)} is told raised, and the arm did not move")
            elif not order.interrupted:
                row.wrong(f"{order.name(lane)} has neither a raising nor an order_interrupted")
            else:
                row.note(f"{order.name(lane)}: interrupted, no raising")


# --- row 4: records ---------------------------------------------------------------------------------------


def _digest(rows: Iterator[tuple[str, str, bytes]]) -> tuple[int, int]:
    """(number of rows, sum of their digests): as G5 has it, computed from the bytes."""
    count = total = 0
    for collection, key, body in rows:
        told = b"\0".join((collection.encode(), key.encode(), body))
        total += int.from_bytes(hashlib.sha256(told).digest()[:16], "big")
        count += 1
    return count, total % MODULUS


def _records(books: Books, row: Row) -> None:
    hub = books.hub
    assert hub is not None  # noqa: S101  opened by the caller
    scopes: dict[str, tuple[str, int]] = {}
    for scope, epoch, number, count, digest in hub.execute(
        "SELECT scope, epoch, number, rows, digest FROM scopes ORDER BY scope"
    ).fetchall():
        scopes[scope] = (epoch, number)
        held = _digest(_hub_rows(hub, scope))
        row.checked += held[0]
        if held != (count, _hex(digest)):
            row.wrong(
                f"hub: {scope} holds {held[0]} rows {held[1]:032x}, its head says {count} rows {digest}"
            )
        replayed = _digest(_hub_log(hub, scope, epoch, number))
        if replayed != held:
            row.wrong(
                f"hub: {scope} replayed from its log to {number} gives {replayed[0]} rows {replayed[1]:032x}"
            )
    for lane in books.lanes:
        folder = books.folder / "data" / lane
        if (folder / "journal.sqlite").is_file():
            _lane_records(row, lane, folder, hub, scopes)


def _hex(text: str) -> int:
    return int(text, 16)


def _hub_rows(hub: sqlite3.Connection, scope: str) -> Iterator[tuple[str, str, bytes]]:
    yield from hub.execute(
        "SELECT collection, key, CAST(body AS BLOB) FROM records WHERE scope = ?", (scope,)
    )


def _hub_log(
    hub: sqlite3.Connection, scope: str, epoch: str, number: int
) -> Iterator[tuple[str, str, bytes]]:
    """The scope's rows as they stood at `number`. Raises `ValueError` where the log has a gap."""
    rows: dict[tuple[str, str], bytes] = {}
    expected = 1
    for at, collection, key, op, body in hub.execute(
        "SELECT number, collection, key, op, CAST(body AS BLOB) FROM log "
        "WHERE scope = ? AND epoch = ? AND number <= ? ORDER BY number",
        (scope, epoch, number),
    ):
        if at != expected:
            raise ValueError(f"hub: the log of {scope} has {at} where {expected} was expected")
        expected += 1
        if op == "put":
            rows[(collection, key)] = body
        else:
            rows.pop((collection, key), None)
    if expected != number + 1:
        raise ValueError(f"hub: the log of {scope} ends at {expected - 1}, its head says {number}")
    for (collection, key), body in rows.items():
        yield collection, key, body


def _lane_records(
    row: Row, lane: str, folder: Path, hub: sqlite3.Connection, scopes: dict[str, tuple[str, int]]
) -> None:
    with _database(folder / "journal.sqlite") as journal:
        (generation,) = journal.execute("SELECT generation FROM store").fetchone()
    if generation is None:
        if any(number for _, number in scopes.values()):
            row.wrong(f"{lane}: never got any records, the hub has some")
        return
    path = folder / f"records-{generation}.sqlite"
    if not path.is_file():
        row.wrong(f"{lane}: the journal names generation {generation}, {path.name} is not there")
        return
    with _database(path) as records:
        feed = records.execute("SELECT scope, epoch, number, row_count, digest FROM feed").fetchone()
        scope, epoch, number, count, digest = feed
        held = _digest(_lane_rows(records))
        buckets = [0] * 4096
        for collection, key, body in _lane_rows(records):
            place = int.from_bytes(hashlib.sha256(f"{collection}\0{key}".encode()).digest()[:2], "big") >> 4
            buckets[place] = (buckets[place] + _digest(iter(((collection, key, body),)))[1]) % MODULUS
        stored = [0] * 4096
        for shelf, sums in records.execute("SELECT shelf, sums FROM buckets"):
            for place in range(64):
                stored[shelf * 64 + place] = int.from_bytes(sums[16 * place : 16 * place + 16], "big")
    row.checked += held[0]
    if held != (count, int.from_bytes(digest, "big")):
        row.wrong(
            f"{lane}: holds {held[0]} rows {held[1]:032x}, its feed row says {count} rows {digest.hex()}"
        )
    if buckets != stored:
        differing = [place for place in range(4096) if buckets[place] != stored[place]]
        row.wrong(f"{lane}: bucket {_ranges(differing)} does not hold the sum of its rows")
    if scope not in scopes:
        row.wrong(f"{lane}: stands on scope {scope!r}, which the hub does not have")
        return
    hub_epoch, hub_number = scopes[scope]
    if (epoch, number) != (hub_epoch, hub_number):
        row.wrong(
            f"{lane}: stands at {epoch[:8]}/{number} of {scope}, the hub at {hub_epoch[:8]}/{hub_number}"
        )
        if epoch != hub_epoch or number > hub_number:
            return
    if _digest(_hub_log(hub, scope, epoch, number)) != held:
        row.wrong(f"{lane}: {scope} at {number} differs from the hub's")


_NAME = re.compile(r"[a-z_]+")


def _lane_rows(records: sqlite3.Connection) -> Iterator[tuple[str, str, bytes]]:
    """Every table of (key, body) is a collection of its name; `other_records` names the collection itself."""
    tables = [name for (name,) in records.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    for table in sorted(tables):
        if not _NAME.fullmatch(table):
            continue
        columns = [found[1] for found in records.execute(f'PRAGMA table_info("{table}")')]
        if columns == ["key", "body"]:
            for key, body in records.execute(f'SELECT key, CAST(body AS BLOB) FROM "{table}"'):  # noqa: S608  a plain word
                yield table, key, body
        elif table == "other_records":
            yield from records.execute("SELECT collection, key, CAST(body AS BLOB) FROM other_records")


# --- row 5: uses ------------------------------------------------------------------------------------------

_LIVE = ("reserved", "raised")


def _uses(books: Books, row: Row) -> None:
    hub = books.hub
    assert hub is not None  # noqa: S101  opened by the caller
    taken: defaultdict[str, list[str]] = defaultdict(list)
    by_officers: Counter[str] = Counter()
    for lane, book in books.lanes.items():
        _uses_as_told(row, lane, book)
        for use in book.uses.values():
            if use.state == "crossed" or use.state in _LIVE:
                officer = book.released_by.get(use.use_id)
                by_officers[use.slip_no] += officer is not None
                how = use.state if officer is None else f"{use.state}, released by {officer}"
                taken[use.slip_no].append(f"{lane} passage {use.passage} ({how})")
            elif use.state != "returned":
                row.wrong(f"{lane}: use {use.use_id} is in an unknown state {use.state!r}")
    alarms = [detail for (detail,) in hub.execute("SELECT detail FROM hub_alarms WHERE code = 'double_use'")]
    for slip_no, where in sorted(taken.items()):
        row.checked += 1
        allowed = books.allowed(slip_no)
        if allowed is None:
            row.wrong(f"slip {slip_no} was used and the hub never knew it: {', '.join(where)}")
        elif len(where) > allowed:
            told = f"slip {slip_no}: {len(where)} uses, {allowed} allowed: {', '.join(where)}"
            if any(f"slip {slip_no} " in detail for detail in alarms):
                row.note(f"{told}; alarmed as double use")
            elif len(where) - by_officers[slip_no] <= allowed:
                row.note(told)
            else:
                row.wrong(told)


def _uses_as_told(row: Row, lane: str, book: LaneBook) -> None:
    """The table of uses and the facts must say the same: one of them alone could be bent."""
    slips: dict[str, str] = {}
    state: dict[str, str] = {}
    for fact in book.told:
        ids = [str(use_id) for use_id in fact.data.get("use_ids") or ()]
        match fact.kind:
            case "ruling_made":
                named = fact.data.get("slips") or ()
                if len(named) == len(ids):
                    slips.update(zip(ids, map(str, named), strict=True))
            case "vehicle_crossed":
                state.update(dict.fromkeys(ids, "crossed"))
            case "uses_returned":
                state.update(dict.fromkeys(ids, "returned"))
            case _:
                pass
    for use_id in sorted({*slips, *state} - set(book.uses)):
        row.wrong(f"{lane}: use {use_id} is told in facts and stands in no table of uses")
    for use in book.uses.values():
        told = state.get(use.use_id, "live")
        is_ = "live" if use.state in _LIVE else use.state
        if told != is_:
            row.wrong(f"{lane}: use {use.use_id} of slip {use.slip_no} is {use.state}, its facts say {told}")
        if slips.get(use.use_id) != use.slip_no:
            row.wrong(
                f"{lane}: use {use.use_id} is of slip {use.slip_no}, its ruling says {slips.get(use.use_id)}"
            )


# --- row 6: crossings -------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Window:
    """From the raising for one passage to the raising for the next."""

    line: int
    position: int
    passage: int | None
    new_run: bool = False
    """Another run of the simulators began inside: vehicles vanished."""
    crossings: list[Crossing] = field(default_factory=list)
    crossed: list[Told] = field(default_factory=list)
    ungated: list[Told] = field(default_factory=list)


def _crossings(books: Books, row: Row) -> None:
    for lane, book in books.lanes.items():
        physical = books.physical_of(lane)
        crossed = book.of("vehicle_crossed")
        row.checked += len(physical.crossings) + len(crossed)
        for passage, times in Counter(fact.passage for fact in crossed).items():
            if times > 1:
                row.wrong(f"{lane}: passage {passage} is told crossed {times} times")
        told = {fact.passage for fact in crossed}
        for fact in book.of("passage_closed"):
            if fact.data.get("outcome") == "crossed" and fact.passage not in told:
                row.wrong(f"{lane}: passage {fact.passage} closed as crossed without a vehicle_crossed")
        for window in _windows(books, lane, book, physical):
            _settle(row, lane, book, physical, window)


def _windows(books: Books, lane: str, book: LaneBook, physical: PhysicalLane) -> list[_Window]:
    windows = [_Window(0, 0, None)]
    for i, j in books.matches.get(lane, []):
        if i is None or j is None or not book.orders[j].admits:
            continue
        order = book.orders[j]
        if order.passage != windows[-1].passage:
            windows.append(_Window(physical.pulses[i].line, order.position, order.passage))
    lines = [window.line for window in windows]
    positions = [window.position for window in windows]
    for crossing in physical.crossings:
        windows[bisect_right(lines, crossing.line) - 1].crossings.append(crossing)
    for line in physical.restarts:
        windows[bisect_right(lines, line) - 1].new_run = True
    for fact in book.told:
        window = windows[bisect_right(positions, fact.position) - 1]
        if fact.kind == "vehicle_crossed":
            window.crossed.append(fact)
        elif fact.kind == "passage_opened" and fact.data.get("gated") is False:
            window.ungated.append(fact)
    return windows


def _settle(row: Row, lane: str, book: LaneBook, physical: PhysicalLane, window: _Window) -> None:
    """In one window: the admitted vehicle's crossing first, by its plate or tag, then the ungated ones."""
    left = list(window.crossings)
    for fact in window.crossed:
        evidence = frozenset(book.evidence[fact.passage])
        mine = next((c for c in left if c.identities & evidence), None)
        if mine is None:
            mine = next((c for c in left if not (c.identities and evidence)), None)
        if mine is not None:
            left.remove(mine)
        elif window.new_run:
            row.note(f"{lane}: passage {fact.passage} told crossed as the simulators were started anew")
        else:
            row.wrong(
                f"{lane}: passage {fact.passage} is told crossed, and nobody with "
                f"{_few(evidence) or 'its marks'} crossed the arm"
            )
    # Whoever was seen has an ungated passage; whoever crossed before a blind lane may have none.
    left.sort(key=lambda crossing: (not physical.saw(crossing), crossing.line))
    for fact in window.ungated[len(left) :]:
        row.note(f"{lane}: ungated passage {fact.passage}: the beam was broken, nobody crossed whole")
    for crossing in left[len(window.ungated) :]:
        text = f"{lane}: line {crossing.line}, t {crossing.t:.2f}: {crossing.vehicle} crossed"
        if physical.saw(crossing):
            row.wrong(f"{text} and belongs to no passage")
        else:
            row.note(f"{text} unseen: no lane program, or no I/O board (passage {window.passage})")


# --- row 7: contact ---------------------------------------------------------------------------------------


def _contact(books: Books, row: Row) -> None:
    for physical in books.physical.values():
        row.checked += physical.lowerings
        for text in physical.touched:
            row.wrong(text)
        for text in physical.touched_otherwise:
            row.note(text)


# --- row 8: rulings before raisings -----------------------------------------------------------------------

_VERDICT_FOR = {"admit": "release", "inspect": "inspect"}


def _rulings(books: Books, row: Row) -> None:
    for lane, book in books.lanes.items():
        last_ruling: dict[int | None, Told] = {}
        ordered: set[int | None] = set()
        for fact in book.told:
            if fact.kind == "ruling_made":
                last_ruling[fact.passage] = fact
            elif fact.kind == "uses_returned" and fact.passage in ordered and fact.data.get("use_ids"):
                row.wrong(f"{lane}: passage {fact.passage} gave uses back after its raise order")
            elif fact.kind == "raise_ordered" and fact.data.get("purpose") != "safety":
                row.checked += 1
                ordered.add(fact.passage)
                _ruled_before(row, lane, book, fact, last_ruling.get(fact.passage))


def _ruled_before(row: Row, lane: str, book: LaneBook, order: Told, ruling: Told | None) -> None:
    name = f"{lane}: order {order.data.get('order_id')} of passage {order.passage}"
    wanted = _VERDICT_FOR.get(str(order.data.get("purpose")))
    if wanted is None:
        row.wrong(f"{name}: has an unknown purpose {order.data.get('purpose')!r}")
        return
    if ruling is None:
        row.wrong(f"{name}: no ruling of this passage stands before it")
        return
    verdict = (ruling.data.get("ruling") or {}).get("verdict")
    if verdict != wanted:
        row.wrong(
            f"{name}: the ruling before it says {verdict}, an order to {order.data['purpose']} needs {wanted}"
        )
    ids = {str(use_id) for use_id in ruling.data.get("use_ids") or ()}
    for slip_no in ruling.data.get("slips") or ():
        mine = [
            use
            for use in book.uses.values()
            if use.passage == order.passage and use.slip_no == slip_no and use.use_id in ids
        ]
        if not mine:
            row.wrong(f"{name}: no use of slip {slip_no} was ever reserved for it")
        elif all(use.state == "returned" for use in mine):
            row.wrong(f"{name}: its use of slip {slip_no} was given back")


# --- row 9: claims ----------------------------------------------------------------------------------------


def _claims(books: Books, row: Row) -> None:
    hub = books.hub
    assert hub is not None  # noqa: S101  opened by the caller
    told: dict[tuple[str, str], str] = {}
    live: set[tuple[str, str, str]] = set()
    for lane, book in books.lanes.items():
        for fact in book.told:
            if fact.kind in ("vehicle_crossed", "uses_returned") and fact.data.get("claim_id"):
                how = "crossed" if fact.kind == "vehicle_crossed" else "returned"
                told[(lane, str(fact.data["claim_id"]))] = how
        live |= {
            (lane, use.claim_id, use.slip_no)
            for use in book.uses.values()
            if use.claim_id and use.state in _LIVE
        }
    granted: Counter[str] = Counter()
    known: set[tuple[str, str]] = set()
    for claim_id, device, passage, verdict, slip_no, state in hub.execute(
        "SELECT claim_id, device, passage, verdict, slip_no, state "
        "FROM claims LEFT JOIN claim_slips USING (claim_id) ORDER BY claim_id, slip_no"
    ).fetchall():
        name = f"{device}: claim {claim_id} of passage {passage} on slip {slip_no}"
        ended = told.get((device, claim_id))
        if verdict != "granted":
            if state == "granted" or (state in ("crossed", "returned") and ended != state):
                row.wrong(f"{name}: refused, and yet {state}")
            continue
        row.checked += 1
        known.add((claim_id, slip_no))
        granted[slip_no] += state in ("granted", "crossed")
        if state == "granted" and ended is not None:
            row.wrong(f"{name}: still granted at the hub, {ended} by the lane's facts")
        elif state == "granted" and (device, claim_id, slip_no) not in live:
            row.wrong(f"{name}: granted, never ended, and no use holds it")
        elif state in ("crossed", "returned") and ended != state:
            row.wrong(f"{name}: {state} at the hub, {ended or 'never ended'} by the lane's facts")
        elif state not in ("granted", "crossed", "returned"):
            row.wrong(f"{name}: granted, and its slip is {state}")
    for slip_no, times in sorted(granted.items()):
        allowed = books.allowed(slip_no)
        if allowed is None or times > allowed:
            row.wrong(f"slip {slip_no}: {times} uses granted, {allowed} allowed")
    for lane, book in books.lanes.items():
        for use in book.uses.values():
            if use.claim_id and (use.claim_id, use.slip_no) not in known:
                row.wrong(
                    f"{lane}: use {use.use_id} stands on claim {use.claim_id}, which the hub never granted"
                )


# --- row 10: the hub's alarms -----------------------------------------------------------------------------


def _alarms(books: Books, row: Row) -> None:
    hub = books.hub
    assert hub is not None  # noqa: S101  opened by the caller
    announced = [epoch for (epoch,) in hub.execute("SELECT epoch FROM epochs WHERE announced")]
    for number, device, code, detail in hub.execute(
        "SELECT id, device, code, detail FROM hub_alarms ORDER BY id"
    ).fetchall():
        row.checked += 1
        text = f"hub alarm {number}, {device or 'nobody known'}: {code}: {detail}"
        if code in EXPLAINED_ALARMS:
            row.note(text)
        elif code == "epoch_unannounced" and any(f"epoch {epoch} " in detail for epoch in announced):
            row.note(f"{text}; it was announced later")
        else:
            row.wrong(text)
    for number, topic, why in hub.execute("SELECT id, topic, why FROM parked ORDER BY id").fetchall():
        row.checked += 1
        row.wrong(f"parked message {number} on {topic}: {why}")
    for device, epoch, stream, seq in hub.execute(
        "SELECT device, epoch, stream, seq FROM branches"
    ).fetchall():
        row.checked += 1
        row.wrong(f"branch: {device} {epoch[:8]}/{stream}/{seq} holds another fact")


# --- the table --------------------------------------------------------------------------------------------


def _print(report: Report, console: Console) -> None:
    if console.is_terminal:
        _print_table(report, console)
        return
    for row in report.rows:
        told = f"{'OK  ' if row.ok else 'FAIL'} {row.number:2} {row.name:<10} checked {row.checked:<7}"
        _say(f"{told} mismatches {len(row.mismatches):<4} listed {len(row.listed):<4} {row.proves}")
        for text in _first(row.mismatches):
            _say(f"       - {text}")
        for text in _first(row.listed):
            _say(f"       . {text}")
    _say("reconciled" if report.ok else f"NOT reconciled: {', '.join(report.failed())}")


def _say(text: str) -> None:
    sys.stdout.write(
        text.encode(sys.stdout.encoding or "utf-8", "backslashreplace").decode(sys.stdout.encoding) + "\n"
    )


def _first(texts: Sequence[str]) -> list[str]:
    more = len(texts) - NAMED
    return [*texts[:NAMED], *([f"and {more} more"] if more > 0 else [])]


def _print_table(report: Report, console: Console) -> None:
    title = "对账 reconciliation"
    table = Table(title=title, title_style="bold", header_style="bold", show_lines=False)
    table.add_column("#", justify="right")
    table.add_column("核对 what is proved", ratio=4)
    table.add_column("数 checked", justify="right", no_wrap=True)
    table.add_column("不符 mismatches", justify="right", no_wrap=True)
    table.add_column("列明 listed", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for row in report.rows:
        told = Text(f"{row.zh} {row.name}", "bold")
        told.append(f"\n{row.proves}", "not bold dim")
        for text in _first(row.mismatches):
            told.append(f"\n✗ {text}", "not bold red")
        for text in _first(row.listed):
            told.append(f"\n· {text}", "not bold yellow")
        table.add_row(
            str(row.number),
            told,
            str(row.checked),
            Text(str(len(row.mismatches)), "red" if row.mismatches else ""),
            str(len(row.listed)),
            Text("OK", "bold green") if row.ok else Text("FAIL", "bold white on red"),
        )
    console.print(table)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "site", type=Path, metavar="SITE_FOLDER", help="folder of a simulated site that has ended"
    )
    parser.add_argument(
        "--json", action="store_true", help="one JSON object a row on stdout, all mismatches named"
    )


def run(args: argparse.Namespace) -> int:
    """0 everything agrees, 1 a mismatch, 2 wrong use."""
    try:
        report = reconcile(args.site)
    except NotASite as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if args.json:
        for row in report.rows:
            sys.stdout.write(json.dumps(row.as_json()) + "\n")
        last = {"event": "reconciled", "ok": report.ok, "failed": list(report.failed())}
        sys.stdout.write(json.dumps(last) + "\n")
    else:
        _print(report, Console())
    return 0 if report.ok else 1


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m hardware_sims reconcile", description=__doc__)
    add_arguments(parser)
    return run(parser.parse_args(argv))
