"""What pages are made from: one SQLite file read out of the archive, in each stream's own order.

It holds nothing that the archive does not: lost, torn or of another version, archive or time zone it is made
anew. One
writer, the tail; any number of readers, each with a connection of its own.
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from sync.hub.engine import Over
from sync.hub.given_up import given_up

VERSION: Final = "9"
"""Of the tables and of what is read into them: another one is made anew."""

_SCHEMA: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE read_to (
  device TEXT NOT NULL, epoch TEXT NOT NULL, stream TEXT NOT NULL, seq INTEGER NOT NULL,
  PRIMARY KEY (device, epoch, stream)
) WITHOUT ROWID;
-- One row a passage, as its facts tell it. epoch: in which it was opened; a lane whose disk was lost counts
-- from an earlier number again. Lists are JSON. day, hour: by the site's clock, of the opening.
-- was_*: ever, whatever came after. *_position: of the fact that said it last, for facts come by two streams.
CREATE TABLE passages (
  device TEXT NOT NULL,
  passage INTEGER NOT NULL,
  epoch TEXT NOT NULL,
  day TEXT NOT NULL DEFAULT '',
  hour INTEGER NOT NULL DEFAULT -1,
  opened_utc TEXT NOT NULL DEFAULT '',
  gated INTEGER NOT NULL DEFAULT 1,
  plate TEXT NOT NULL DEFAULT '',
  direction TEXT NOT NULL DEFAULT '',
  slips TEXT NOT NULL DEFAULT '[]',
  enterprise TEXT NOT NULL DEFAULT '',
  gross_kg TEXT NOT NULL DEFAULT '',
  expected_kg TEXT NOT NULL DEFAULT '',
  verdict TEXT NOT NULL DEFAULT '',
  codes TEXT NOT NULL DEFAULT '[]',
  texts TEXT NOT NULL DEFAULT '[[],[]]',
  owner TEXT NOT NULL DEFAULT '',
  ways TEXT NOT NULL DEFAULT '[]',
  officer TEXT NOT NULL DEFAULT '',
  claim TEXT NOT NULL DEFAULT '',
  ruled_utc TEXT NOT NULL DEFAULT '',
  ruled_position INTEGER NOT NULL DEFAULT 0,
  held_utc TEXT NOT NULL DEFAULT '',
  was_held INTEGER NOT NULL DEFAULT 0,
  was_inspected INTEGER NOT NULL DEFAULT 0,
  was_released INTEGER NOT NULL DEFAULT 0,
  crossed_utc TEXT NOT NULL DEFAULT '',
  outcome TEXT NOT NULL DEFAULT '',
  lane_s REAL,
  closed_utc TEXT NOT NULL DEFAULT '',
  -- first_held_utc stays after the hold; counted_enterprise: for which it stands in tallies; was_drawn: for a
  -- spot check.
  first_held_utc TEXT NOT NULL DEFAULT '',
  counted_enterprise TEXT NOT NULL DEFAULT '',
  was_drawn INTEGER NOT NULL DEFAULT 0,
  -- Of those with this number, in the order they were heard of: the clock may have gone back with the disk.
  nth INTEGER NOT NULL DEFAULT 0,
  -- The arm was ordered up for it to drive on to its inspection: it waits for nobody.
  sent_on INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (device, passage, epoch)
) WITHOUT ROWID;
CREATE INDEX passages_by_time ON passages (opened_utc);
CREATE INDEX passages_by_plate ON passages (plate, opened_utc);
CREATE INDEX passages_of_device ON passages (device, opened_utc);
CREATE INDEX passages_open ON passages (device, passage) WHERE closed_utc = '';
-- Who and what a fact names. what: slip, waybill, plate, officer, enterprise, order, recall, sample, trace (a
-- code that led to a waybill), station_parcel (`DEVICE/PARCEL`).
CREATE TABLE named (
  what TEXT NOT NULL, name TEXT NOT NULL, utc TEXT NOT NULL,
  device TEXT NOT NULL, epoch TEXT NOT NULL, stream TEXT NOT NULL, seq INTEGER NOT NULL,
  kind TEXT NOT NULL, passage INTEGER,
  PRIMARY KEY (what, name, utc, device, epoch, stream, seq)
) WITHOUT ROWID;
-- The last word on a parcel. at: x_ray (passed, flagged, recheck), handheld (release, inspect, hold).
CREATE TABLE parcels (
  waybill_no TEXT NOT NULL, at TEXT NOT NULL, verdict TEXT NOT NULL, by TEXT NOT NULL,
  category TEXT NOT NULL, officer TEXT NOT NULL, device TEXT NOT NULL, parcel INTEGER,
  chute TEXT NOT NULL DEFAULT '', utc TEXT NOT NULL,
  PRIMARY KEY (waybill_no, at)
) WITHOUT ROWID;
-- rowid: in the order they were read, so that new ones are found.
CREATE TABLE alarms (
  device TEXT NOT NULL, epoch TEXT NOT NULL, stream TEXT NOT NULL, seq INTEGER NOT NULL,
  utc TEXT NOT NULL, code TEXT NOT NULL, passage INTEGER, detail TEXT NOT NULL,
  zh TEXT NOT NULL, en TEXT NOT NULL,
  PRIMARY KEY (device, epoch, stream, seq)
);
CREATE INDEX alarms_by_time ON alarms (utc);
-- What stands of each parcel a station has judged. verdict: the last word (passed, flagged, recheck; empty:
-- it was taken back, or nothing was said yet). counted, day, hour, enterprise: how it stands in tallies, so
-- that another word moves it. ordered: where the diverter was told to send it. epoch: of the fact that said
-- something of it last.
CREATE TABLE station_parcels (
  device TEXT NOT NULL, parcel INTEGER NOT NULL, position INTEGER NOT NULL, waybill_no TEXT NOT NULL,
  verdict TEXT NOT NULL, ordered TEXT NOT NULL,
  counted TEXT NOT NULL, day TEXT NOT NULL, hour INTEGER NOT NULL, enterprise TEXT NOT NULL,
  epoch TEXT NOT NULL,
  PRIMARY KEY (device, parcel)
) WITHOUT ROWID;
-- What stands at a device now (`states`). word: empty where it is over. epoch, position: of the fact.
CREATE TABLE states (
  device TEXT NOT NULL, what TEXT NOT NULL, name TEXT NOT NULL, word TEXT NOT NULL,
  utc TEXT NOT NULL, epoch TEXT NOT NULL, position INTEGER NOT NULL,
  PRIMARY KEY (device, what, name)
) WITHOUT ROWID;
-- Counts and sums, for curves and statistics: by day (the site's), hour, whose and what (`TALLIES`). seconds:
-- the sum of times where `what` has one. hour: -1 where only days are asked for.
CREATE TABLE tallies (
  day TEXT NOT NULL, hour INTEGER NOT NULL, by TEXT NOT NULL, name TEXT NOT NULL, what TEXT NOT NULL,
  n INTEGER NOT NULL, seconds REAL NOT NULL DEFAULT 0,
  PRIMARY KEY (day, by, name, what, hour)
) WITHOUT ROWID;
-- Facts of devices that have begun a second epoch, by a number made of device and event id: what is issued
-- again (G4) is the same event and counts once.
CREATE TABLE events (number INTEGER PRIMARY KEY);
CREATE TABLE several_epochs (device TEXT PRIMARY KEY) WITHOUT ROWID;
"""

LANE_BANDS_S: Final = (10, 15, 20, 25, 30, 40, 50, 60, 90, 120, 180, 300, 600)
"""Upper ends of the bands lane times are counted in; what took longer is `lane_longer`."""

TALLIES: Final[dict[str, dict[str, str]]] = {
    "device": {
        "opened": "passages opened",
        "released": "passages ruled to be released, each once however often it was ruled",
        "inspected": "the same, to be inspected",
        "held": "the same, held",
        "crossed": "vehicles that crossed",
        "closed_OUTCOME": "passages over: crossed, backed_out, ungated, interrupted, false_start; lane time",
        "lane_S": "passages that crossed in at most S seconds and more than the band before (`LANE_BANDS_S`)",
        "lane_longer": "passages that crossed in more",
        "hold_ended": "holds that ended, by a release or the passage's end; time since the first hold",
        "lane_checked": "cartons scanned at the lane (卡口抽核)",
        "lane_checked_RESULT": "of them: on_slip, not_on_slip, unknown",
        "supplemented": "readings entered by an officer (补采)",
        "alarm": "alarms",
        "passed": "parcels of an X-ray line whose last word this is; another word moves them",
        "flagged": "the same",
        "recheck": "the same",
        "x_rayed": "words said on parcels (判图), each of them; an officer's time from picture to key",
        "undone": "words taken back",
        "seen": "parcels seen by the line's portal",
        "no_waybill": "of them: no waybill was read",
        "gone": "parcels that did not come past where they should have",
        "sorted_CHUTE": "parcels sent to pass, flag, recheck",
        "scanned": "parcels judged by a handheld",
        "scanned_VERDICT": "of them: release, inspect, hold",
        "scanned_unknown": "codes that no record knows",
        "inspections": "inspections made (实施查验)",
        "slip_checks": "slips whose parcels were compared (卡口抽核)",
    },
    "officer": {
        "released": "passages released by this officer",
        "inspected": "passages sent to inspection",
        "held": "passages held",
        "supplemented": "readings entered (补采)",
        "judged": "X-ray pictures judged, each word of it; time from picture to key",
        "judged_VERDICT": "of them: passed, flagged, recheck",
        "judged_second": "of them: reviews of another officer's word",
        "undone": "own words taken back",
        "rest_due": "told to rest or that it goes too fast",
        "at_desk": "turns at an X-ray desk, at their end; their time",
        "signed_in": "turns with a handheld, at their end; their time",
        "scanned": "parcels judged by handheld",
        "scanned_VERDICT": "of them: release, inspect, hold",
        "scanned_unknown": "codes that no record knows",
        "orders_taken": "inspection orders taken in hand",
        "inspections": "inspections made (实施查验), by each officer who made it",
        "findings": "findings made (异常处置)",
        "found": "of them: other than nothing",
        "slip_checks": "slips whose parcels were compared (卡口抽核)",
        "commands": "commands of the centre that a device has done",
        "patrols": "patrols ended; their time",
        "stock_takes": "stock-takes closed",
    },
    "enterprise": {
        "ruled": "passages with a ruling on its slips, each once",
        "released": "of them: ruled to be released",
        "inspected": "ruled to be inspected",
        "held": "ruled to be held",
        "spot_checked": "drawn for a spot check (抽核)",
        "crossed": "crossed; time in the lane",
        "slip_checks": "slips whose parcels were compared (卡口抽核)",
        "slip_checks_differing": "of them: not as the records have it",
        "inspections": "inspections of its parcels (实施查验)",
        "found": "findings on them other than nothing",
        "parcels_VERDICT": "its parcels by their last word at the X-ray line, where the waybill was known",
    },
    "reason": {
        "released": "passages ruled to be released with this reason, each once",
        "inspected": "ruled to be inspected",
        "held": "ruled to be held",
    },
    "x_ray_reason": {"VERDICT": "words said on parcels with this reason: passed, flagged, recheck"},
    "scan_reason": {"VERDICT": "parcels judged by handheld with this reason: release, inspect, hold"},
    "category": {"flagged": "parcels flagged as this"},
    "finding": {"made": "findings of this kind"},
    "alarm": {"alarm": "alarms with this code"},
    "stage": {"stage": "passages that crossed and went through this stage; its time"},
}
"""by -> what -> what is counted. A name in capitals stands for each of its kind. Of `device` by the
hour, of all others by the day. A time stands at the day and hour of the fact that ended it."""

HOURLY: Final = frozenset({"device"})
DAILY: Final = "device_day"
"""The same as `device`, by the day: long times are added up of these."""


class ReadTo(NamedTuple):
    device: str
    epoch: str
    stream: str
    seq: int


class PassageRow(NamedTuple):
    """Columns of `passages`, in their order. Lists are still JSON text. opened_utc is empty where only later
    facts of it were read yet."""

    device: str
    passage: int
    epoch: str
    day: str
    hour: int
    opened_utc: str
    gated: int
    plate: str
    direction: str
    slips: str
    enterprise: str
    gross_kg: str
    expected_kg: str
    verdict: str
    codes: str
    texts: str
    owner: str
    ways: str
    officer: str
    claim: str
    ruled_utc: str
    ruled_position: int
    held_utc: str
    was_held: int
    was_inspected: int
    was_released: int
    crossed_utc: str
    outcome: str
    lane_s: float | None
    closed_utc: str
    first_held_utc: str
    counted_enterprise: str
    was_drawn: int
    nth: int
    sent_on: int

    @property
    def address(self) -> str:
        """Of its pages, behind `/passage/` and `/desk/hold/`."""
        return f"{self.device}/{self.epoch}/{self.passage}"


class NamedRow(NamedTuple):
    what: str
    name: str
    utc: str
    device: str
    epoch: str
    stream: str
    seq: int
    kind: str
    passage: int | None


class AlarmRow(NamedTuple):
    device: str
    epoch: str
    stream: str
    seq: int
    utc: str
    code: str
    passage: int | None
    detail: str
    zh: str
    en: str


class ParcelRow(NamedTuple):
    """Columns of `parcels`, in their order."""

    waybill_no: str
    at: str
    verdict: str
    by: str
    category: str
    officer: str
    device: str
    parcel: int | None
    chute: str
    utc: str


class StationParcelRow(NamedTuple):
    device: str
    parcel: int
    position: int
    waybill_no: str
    verdict: str
    ordered: str
    counted: str
    day: str
    hour: int
    enterprise: str
    epoch: str


class StateRow(NamedTuple):
    device: str
    what: str
    name: str
    word: str
    utc: str


class StateKept(NamedTuple):
    """Columns of `states`, in their order."""

    device: str
    what: str
    name: str
    word: str
    utc: str
    epoch: str
    position: int


class Total(NamedTuple):
    """Of several days."""

    n: int
    seconds: float

    def mean_s(self) -> float | None:
        return self.seconds / self.n if self.n else None


class Tally(NamedTuple):
    day: str
    hour: int
    by: str
    name: str
    what: str
    n: int
    seconds: float


_PASSAGE = ", ".join(PassageRow._fields)


class Shown:
    """One connection, one thread at a time."""

    def __init__(self, db: sqlite3.Connection, file: Path, zone: str) -> None:
        self._db = db
        self.zone = zone
        """By whose clock days and hours are; of one who reads, empty."""
        self._file = file
        self._identity = _identity(file)

    @classmethod
    def open(cls, file: Path, archive_id: str = "", zone: str = "", timeout_s: float = 10.0) -> Self:
        """With an archive id: to write; made anew where it is of another archive, version or time zone, or
        torn. Without: to read; raises `sqlite3.Error` where there is none."""
        try:
            db = _opened(file, archive_id, zone, timeout_s)
        except sqlite3.OperationalError:
            # Locked, or the disk fails: that is no reason to throw it away.
            raise
        except sqlite3.DatabaseError:
            if not archive_id:
                raise
            _remove(file)
            db = _opened(file, archive_id, zone, timeout_s)
        return cls(db, file, zone)

    def is_current(self) -> bool:
        """False: the file was deleted or made anew under this connection, which has the old one for ever."""
        return self._identity == _identity(self._file)

    def making(self) -> str:
        """Another one once it was made anew: numbers of rows begin again."""
        row = self._db.execute("SELECT value FROM meta WHERE key = 'made'").fetchone()
        return "" if row is None else str(row[0])

    def close(self) -> None:
        self._db.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def moment(self) -> Iterator[None]:
        """All reads inside see the same moment."""
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            self._db.execute("ROLLBACK")

    def execute(self, sql: str, values: Iterable[Any] = ()) -> sqlite3.Cursor:
        """For the rooms of the console that have their own questions."""
        return self._db.execute(sql, tuple(values))

    def bounded(self, over: Over) -> contextlib.AbstractContextManager[None]:
        """What is asked inside raises `TookTooLong` once `over` holds."""
        return given_up(self._db, over)

    def execute_many(self, sql: str, rows: Iterable[tuple[Any, ...]]) -> None:
        self._db.executemany(sql, rows)

    # --- where the tail is --------------------------------------------------------------------------------

    def read_to(self) -> dict[tuple[str, str, str], int]:
        rows = self._db.execute("SELECT device, epoch, stream, seq FROM read_to")
        return {(device, epoch, stream): seq for device, epoch, stream, seq in rows}

    def set_read_to(self, rows: Iterable[ReadTo]) -> None:
        self._db.executemany(
            "INSERT INTO read_to VALUES (?, ?, ?, ?) "
            "ON CONFLICT (device, epoch, stream) DO UPDATE SET seq = excluded.seq",
            rows,
        )

    def devices_of_several_epochs(self) -> set[str]:
        return {row[0] for row in self._db.execute("SELECT device FROM several_epochs")}

    def note_several_epochs(self, device: str) -> None:
        self._db.execute("INSERT INTO several_epochs VALUES (?) ON CONFLICT DO NOTHING", (device,))

    def add_events(self, numbers: Iterable[int]) -> None:
        self._db.executemany(
            "INSERT INTO events VALUES (?) ON CONFLICT DO NOTHING", ((number,) for number in numbers)
        )

    # --- to look at ---------------------------------------------------------------------------------------

    def passages_numbered(self, device: str, passage: int) -> tuple[PassageRow, ...]:
        """All of that number, the one opened last at the end: a lane that lost its disk counts again."""
        rows = self._db.execute(
            f"SELECT {_PASSAGE} FROM passages WHERE device = ? AND passage = ? "  # noqa: S608
            "ORDER BY nth",
            (device, passage),
        )
        return tuple(map(PassageRow._make, rows))

    def passage(self, device: str, passage: int, epoch: str = "") -> PassageRow | None:
        """The one opened in that epoch; the last one of the number where none is named."""
        found = self.passages_numbered(device, passage)
        return next((row for row in reversed(found) if epoch in ("", row.epoch)), None)

    def passage_then(self, device: str, passage: int, epoch: str, utc: str) -> PassageRow | None:
        """The one a fact of that epoch and time is of: it may be told in a later epoch than it was opened
        in."""
        found = self.passages_numbered(device, passage)
        exact = [row for row in found if row.epoch == epoch]
        before = [row for row in found if row.opened_utc <= utc]
        of_these = exact or before or list(found)
        return of_these[-1] if of_these else None

    def passages_last(self, device: str, limit: int) -> tuple[PassageRow, ...]:
        """Those this lane opened last, the latest first."""
        rows = self._db.execute(
            f"SELECT {_PASSAGE} FROM passages WHERE device = ? ORDER BY opened_utc DESC LIMIT ?",  # noqa: S608
            (device, limit),
        )
        return tuple(map(PassageRow._make, rows))

    def passages_open(self) -> tuple[PassageRow, ...]:
        """Those that are not closed, lane by lane."""
        rows = self._db.execute(
            f"SELECT {_PASSAGE} FROM passages WHERE closed_utc = '' ORDER BY device, passage"  # noqa: S608
        )
        return tuple(map(PassageRow._make, rows))

    def passages_open_of(self, device: str) -> tuple[PassageRow, ...]:
        rows = self._db.execute(
            f"SELECT {_PASSAGE} FROM passages WHERE closed_utc = '' AND device = ? ORDER BY passage",  # noqa: S608
            (device,),
        )
        return tuple(map(PassageRow._make, rows))

    def passages_of_plate(self, plate: str, limit: int) -> tuple[PassageRow, ...]:
        rows = self._db.execute(
            f"SELECT {_PASSAGE} FROM passages WHERE plate = ? ORDER BY opened_utc DESC LIMIT ?",  # noqa: S608
            (plate, limit),
        )
        return tuple(map(PassageRow._make, rows))

    def passages_between(self, from_utc: str, to_utc: str, limit: int) -> tuple[PassageRow, ...]:
        """Latest first."""
        rows = self._db.execute(
            f"SELECT {_PASSAGE} FROM passages WHERE opened_utc >= ? AND opened_utc < ? "  # noqa: S608
            "ORDER BY opened_utc DESC LIMIT ?",
            (from_utc, to_utc, limit),
        )
        return tuple(map(PassageRow._make, rows))

    def vehicle_days(self, from_utc: str) -> dict[str, int]:
        """enterprise -> with how many vehicles on how many days it came: each is drawn for once (S11)."""
        return dict(
            self._db.execute(
                "SELECT enterprise, count(*) FROM (SELECT DISTINCT enterprise, plate, day FROM passages "
                "WHERE opened_utc >= ? AND enterprise <> '') GROUP BY enterprise",
                (from_utc,),
            )
        )

    def named(self, what: str, name: str, limit: int) -> tuple[NamedRow, ...]:
        """Latest first."""
        rows = self._db.execute(
            "SELECT what, name, utc, device, epoch, stream, seq, kind, passage FROM named "
            "WHERE what = ? AND name = ? ORDER BY utc DESC LIMIT ?",
            (what, name, limit),
        )
        return tuple(map(NamedRow._make, rows))

    def alarms_since(self, utc: str, limit: int) -> tuple[AlarmRow, ...]:
        """Latest first."""
        rows = self._db.execute(
            "SELECT device, epoch, stream, seq, utc, code, passage, detail, zh, en FROM alarms "
            "WHERE utc >= ? ORDER BY utc DESC LIMIT ?",
            (utc, limit),
        )
        return tuple(map(AlarmRow._make, rows))

    def parcel(self, waybill_no: str) -> tuple[ParcelRow, ...]:
        """The last words on it, one a place."""
        rows = self._db.execute("SELECT * FROM parcels WHERE waybill_no = ? ORDER BY at", (waybill_no,))
        return tuple(map(ParcelRow._make, rows))

    def station_parcel(self, device: str, parcel: int) -> StationParcelRow | None:
        row = self._db.execute(
            "SELECT * FROM station_parcels WHERE device = ? AND parcel = ?", (device, parcel)
        ).fetchone()
        return None if row is None else StationParcelRow._make(row)

    def states(self) -> tuple[StateRow, ...]:
        """What stands at all devices now."""
        rows = self._db.execute("SELECT device, what, name, word, utc FROM states WHERE word <> ''")
        return tuple(map(StateRow._make, rows))

    def states_of(self, device: str) -> tuple[StateKept, ...]:
        """What was last said of each, over or not."""
        rows = self._db.execute("SELECT * FROM states WHERE device = ?", (device,))
        return tuple(map(StateKept._make, rows))

    def totals(
        self, from_day: str, to_day: str, by: str, name: str | None = None
    ) -> dict[str, dict[str, Total]]:
        """name -> what -> n and seconds, of these days, both included."""
        which, values = ("", ()) if name is None else (" AND name = ?", (name,))
        rows = self._db.execute(
            "SELECT name, what, sum(n), sum(seconds) FROM tallies "  # noqa: S608
            f"WHERE day BETWEEN ? AND ? AND by = ?{which} GROUP BY name, what",
            (from_day, to_day, by, *values),
        )
        found: dict[str, dict[str, Total]] = {}
        for each, what, n, seconds in rows:
            found.setdefault(each, {})[what] = Total(n, seconds)
        return found

    def totals_by_day(self, from_day: str, to_day: str, by: str) -> dict[str, dict[str, Total]]:
        """day -> what -> n and seconds of all names."""
        found: dict[str, dict[str, Total]] = {}
        for day, what, n, seconds in self._db.execute(
            "SELECT day, what, sum(n), sum(seconds) FROM tallies WHERE day BETWEEN ? AND ? AND by = ? "
            "GROUP BY day, what",
            (from_day, to_day, by),
        ):
            found.setdefault(day, {})[what] = Total(n, seconds)
        return found

    def hours_with(self, from_day: str, to_day: str, what: str) -> dict[str, int]:
        """device -> in how many hours this was counted at all."""
        return dict(
            self._db.execute(
                "SELECT name, count(*) FROM tallies "
                "WHERE day BETWEEN ? AND ? AND by = 'device' AND what = ? AND n > 0 GROUP BY name",
                (from_day, to_day, what),
            )
        )

    def tallies_of(
        self, from_day: str, to_day: str, by: str, whats: Sequence[str], names: Sequence[str] | None = None
    ) -> tuple[Tally, ...]:
        """Of these whats alone, and of these names where any are given."""
        which, values = ("", ()) if names is None else (f" AND name IN ({_places(names)})", names)
        rows = self._db.execute(
            "SELECT day, hour, by, name, what, n, seconds FROM tallies "  # noqa: S608
            f"WHERE day BETWEEN ? AND ? AND by = ? AND what IN ({_places(whats)}){which}",
            (from_day, to_day, by, *whats, *values),
        )
        return tuple(map(Tally._make, rows))

    def tallies(
        self, from_day: str, to_day: str, by: str, name: str | None = None, most: int = -1
    ) -> tuple[Tally, ...]:
        """Of these days, both included; at most so many, -1: all."""
        which, values = ("", ()) if name is None else (" AND name = ?", (name,))
        rows = self._db.execute(
            "SELECT day, hour, by, name, what, n, seconds FROM tallies "  # noqa: S608
            f"WHERE day BETWEEN ? AND ? AND by = ?{which} LIMIT ?",
            (from_day, to_day, by, *values, most),
        )
        return tuple(map(Tally._make, rows))


def _places(values: Sequence[str]) -> str:
    return ", ".join("?" * len(values))


def _identity(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
    except OSError:
        return (0, 0)
    return found.st_dev, found.st_ino


def _opened(file: Path, archive_id: str, zone: str, timeout_s: float) -> sqlite3.Connection:
    # A reader makes no file: an empty one would have none of the tables.
    address = f"{file.absolute().as_uri()}?mode={'rwc' if archive_id else 'rw'}"
    db = sqlite3.connect(address, uri=True, isolation_level=None, timeout=timeout_s, check_same_thread=False)
    try:
        if not archive_id:
            db.execute("PRAGMA query_only=ON")
            return db
        tables = {row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        said = dict(db.execute("SELECT key, value FROM meta")) if "meta" in tables else {}
        said.pop("made", None)
        meant = {"version": VERSION, "archive_id": archive_id, "zone": zone}
        if said != meant:
            if tables:
                raise sqlite3.DatabaseError("of another version, archive or time zone")
            db.execute("PRAGMA journal_mode=WAL")
            # One transaction: half of the tables would be another version for ever.
            db.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
            db.executemany("INSERT INTO meta VALUES (?, ?)", [*meant.items(), ("made", secrets.token_hex(8))])
        db.execute("PRAGMA synchronous=NORMAL")
    except BaseException:
        db.close()
        raise
    return db


def _remove(file: Path) -> None:
    for name in (file.name, f"{file.name}-wal", f"{file.name}-shm"):
        file.with_name(name).unlink(missing_ok=True)
