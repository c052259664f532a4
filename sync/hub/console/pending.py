"""What one batch of facts changes in what is shown, gathered in memory and written at its end: a row that
many facts touch is read and written once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from sync.hub.console.shown import (
    DAILY,
    HOURLY,
    AlarmRow,
    NamedRow,
    ParcelRow,
    PassageRow,
    Shown,
    StateKept,
    StationParcelRow,
)


class Pending:
    """Of one batch, inside one transaction of `shown`."""

    def __init__(self, shown: Shown) -> None:
        self._shown = shown
        self._passages: dict[tuple[str, int], dict[str, PassageRow]] = {}
        self._passages_put: dict[tuple[str, int, str], PassageRow] = {}
        self._station_parcels: dict[tuple[str, int], StationParcelRow] = {}
        self._parcels: dict[tuple[str, str], ParcelRow] = {}
        self._states: dict[str, dict[tuple[str, str], StateKept]] = {}
        self._states_put: dict[tuple[str, str, str], StateKept] = {}
        self._states_over: list[tuple[str, str, str]] = []
        self._tallies: dict[tuple[str, int, str, str, str], tuple[int, float]] = {}
        self._named: list[NamedRow] = []
        self._alarms: list[AlarmRow] = []
        self._events: set[int] = set()

    # --- facts of several epochs --------------------------------------------------------------------------

    def is_new_event(self, number: int) -> bool:
        """False: it was here before. It is remembered."""
        if (
            number in self._events
            or self._shown.execute("SELECT 1 FROM events WHERE number = ?", (number,)).fetchone()
        ):
            return False
        self._events.add(number)
        return True

    # --- rows that are changed ----------------------------------------------------------------------------

    def passage(self, device: str, passage: int, epoch: str) -> PassageRow:
        """The one a fact of this epoch is of: opened in it, or the last one that is not over; else a new
        one."""
        known = self._numbered(device, passage)
        open_ones = [row for row in known.values() if not row.closed_utc]
        found = known.get(epoch) or (open_ones[-1] if open_ones else None)
        return found or self.new_passage(device, passage, epoch)

    def new_passage(self, device: str, passage: int, epoch: str) -> PassageRow:
        known = self._numbered(device, passage)
        nth = 1 + max((row.nth for row in known.values()), default=-1)
        return PassageRow._make((device, passage, epoch, *_NEW_PASSAGE, nth, 0))

    def put_passage(self, row: PassageRow) -> None:
        self._numbered(row.device, row.passage)[row.epoch] = row
        self._passages_put[row.device, row.passage, row.epoch] = row

    def open_passages(self, device: str) -> tuple[PassageRow, ...]:
        """Those of this device that are not closed."""
        numbers = {row.passage for row in self._shown.passages_open_of(device)}
        numbers |= {passage for of, passage, _ in self._passages_put if of == device}
        known = (row for passage in sorted(numbers) for row in self._numbered(device, passage).values())
        return tuple(row for row in known if not row.closed_utc)

    def _numbered(self, device: str, passage: int) -> dict[str, PassageRow]:
        """Epoch -> passage of that number, the one opened last at the end."""
        found = self._passages.get((device, passage))
        if found is None:
            found = {row.epoch: row for row in self._shown.passages_numbered(device, passage)}
            self._passages[device, passage] = found
        return found

    def station_parcel(self, device: str, parcel: int) -> StationParcelRow | None:
        return self._station_parcels.get((device, parcel)) or self._shown.station_parcel(device, parcel)

    def put_station_parcel(self, row: StationParcelRow) -> None:
        self._station_parcels[row.device, row.parcel] = row

    def parcel(self, waybill_no: str, at: str) -> ParcelRow | None:
        known = self._parcels.get((waybill_no, at))
        if known is None:
            known = next((row for row in self._shown.parcel(waybill_no) if row.at == at), None)
        return known

    def put_parcel(self, row: ParcelRow) -> None:
        self._parcels[row.waybill_no, row.at] = row

    def states(self, device: str) -> dict[tuple[str, str], StateKept]:
        """(what, name) -> what was last said of it. To be changed by `put_state` and `drop_state`."""
        found = self._states.get(device)
        if found is None:
            found = {(row.what, row.name): row for row in self._shown.states_of(device)}
            self._states[device] = found
        return found

    def put_state(self, row: StateKept) -> None:
        self.states(row.device)[row.what, row.name] = row
        self._states_put[row.device, row.what, row.name] = row

    def drop_state(self, row: StateKept) -> None:
        del self.states(row.device)[row.what, row.name]
        self._states_put.pop((row.device, row.what, row.name), None)
        self._states_over.append((row.device, row.what, row.name))

    # --- rows that are added ------------------------------------------------------------------------------

    def name(self, rows: Iterable[NamedRow]) -> None:
        self._named.extend(rows)

    def alarm(self, row: AlarmRow) -> None:
        self._alarms.append(row)

    def tally(
        self,
        moment: tuple[str, int],
        by: str,
        name: str,
        what: str,
        seconds: float = 0.0,
        n: int = 1,
    ) -> None:
        day, hour = moment
        keys = [(day, hour if by in HOURLY else -1, by, name, what)]
        if by == "device":
            keys.append((day, -1, DAILY, name, what))
        for key in keys:
            count, sum_s = self._tallies.get(key, (0, 0.0))
            self._tallies[key] = (count + n, sum_s + seconds)

    # --- the end ------------------------------------------------------------------------------------------

    def write(self) -> None:
        shown = self._shown
        changed: tuple[tuple[str, Iterable[tuple[Any, ...]]], ...] = (
            (_put("passages", PassageRow), self._passages_put.values()),
            (_put("station_parcels", StationParcelRow), self._station_parcels.values()),
            (_put("parcels", ParcelRow), self._parcels.values()),
            ("DELETE FROM states WHERE device = ? AND what = ? AND name = ?", self._states_over),
            (_put("states", StateKept), self._states_put.values()),
            (_add("named", NamedRow), self._named),
            (_add("alarms", AlarmRow), self._alarms),
        )
        for sql, rows in changed:
            shown.execute_many(sql, rows)
        shown.execute_many(
            "INSERT INTO tallies VALUES (?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (day, by, name, what, hour) DO UPDATE SET "
            "n = n + excluded.n, seconds = seconds + excluded.seconds",
            ((*key, n, seconds) for key, (n, seconds) in sorted(self._tallies.items())),
        )
        shown.execute_many("INSERT INTO events VALUES (?)", ((number,) for number in self._events))


def _put(table: str, row: type[NamedTuple]) -> str:
    return f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * len(row._fields))})"  # noqa: S608


def _add(table: str, row: type[NamedTuple]) -> str:
    return f"INSERT INTO {table} VALUES ({', '.join('?' * len(row._fields))}) ON CONFLICT DO NOTHING"  # noqa: S608


_NEW_PASSAGE: Final = (
    "",  # day
    -1,  # hour
    "",  # opened_utc
    1,  # gated
    *("", "", "[]", "", "", ""),  # plate, direction, slips, enterprise, gross_kg, expected_kg
    *("", "[]", "[[],[]]", "", "[]", "", ""),  # verdict, codes, texts, owner, ways, officer, claim
    "",  # ruled_utc
    0,  # ruled_position
    "",  # held_utc
    *(0, 0, 0),  # was_held, was_inspected, was_released
    "",  # crossed_utc
    "",  # outcome
    None,  # lane_s
    "",  # closed_utc
    "",  # first_held_utc
    "",  # counted_enterprise
    0,  # was_drawn
)
