"""Facts into what is shown: one function a kind of fact. It knows tables of `shown` and words of facts, and
no clock: days and hours are those of the fact's own time at the site."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from sync.hub.archive import KeptFact
from sync.hub.console.shown import Shown
from sync.hub.console.states import PARCEL, STARTED, State, states_of
from sync.vocabulary.codec import Malformed
from sync.vocabulary.facts import (
    Alarm,
    FactBody,
    PassageClosed,
    PassageOpened,
    RulingMade,
    VehicleCrossed,
    read_body,
)
from sync.vocabulary.rulings import Reason, Verdict
from sync.vocabulary.xray_facts import ParcelSorted, ParcelXRayed

KEPT_OVER: Final = 200
"""Parcels of a station that are sorted, before their rows go."""
Where = tuple[str, str, str, int]
"""Device, epoch, stream, number."""

_STATE: Final = """
INSERT INTO states SELECT :device, :what, :name, :word, :utc, :epoch, :position
WHERE :what = 'lane' OR NOT EXISTS (
  SELECT 1 FROM states AS s WHERE s.device = :device AND s.what = 'started'
  AND (s.epoch = :epoch AND s.position > :position OR s.epoch <> :epoch AND s.utc > :utc))
ON CONFLICT (device, what, name) DO UPDATE
SET word = excluded.word, utc = excluded.utc, epoch = excluded.epoch, position = excluded.position
WHERE states.epoch = excluded.epoch AND states.position < excluded.position
   OR states.epoch <> excluded.epoch AND states.utc <= excluded.utc
"""
_STARTED: Final = """
DELETE FROM states WHERE device = :device AND what NOT IN ('lane', 'started')
AND (epoch = :epoch AND position < :position OR epoch <> :epoch AND utc <= :utc)
"""


class Reading:
    """Of one writer. Inside a transaction of `shown`."""

    def __init__(self, shown: Shown, zone: str) -> None:
        self._shown = shown
        self._zone = ZoneInfo(zone)

    def read(self, device: str, epoch: str, stream: str, fact: KeptFact) -> None:
        """What cannot be read by this version is passed over: the archive has parked or kept it."""
        try:
            body = read_body(fact.body)
        except Malformed:
            return
        where = (device, epoch, stream, fact.seq)
        for what, name in _names(body):
            self._shown.execute(
                "INSERT INTO named VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (what, name, body.time, *where, fact.kind, fact.passage),
            )
        for state in states_of(body.data):
            self._stands(device, body, state)
        match body.data:
            case PassageOpened() as data:
                self._opened(device, body, data)
            case RulingMade() as data:
                self._ruled(device, body, data)
            case VehicleCrossed() as data:
                self._row(device, data.passage)
                self._shown.execute(
                    "UPDATE passages SET crossed_utc = ? WHERE device = ? AND passage = ?",
                    (body.time, device, data.passage),
                )
                self._tally(body, device, "crossed")
            case PassageClosed() as data:
                self._row(device, data.passage)
                self._shown.execute(
                    "UPDATE passages SET closed_utc = ?, outcome = ?, lane_s = ? "
                    "WHERE device = ? AND passage = ?",
                    (body.time, data.outcome, data.lane_s, device, data.passage),
                )
                self._tally(body, device, f"closed_{data.outcome}", data.lane_s)
            case ParcelXRayed() as data:
                self._x_rayed(device, body, data)
            case ParcelSorted() as data:
                self._shown.execute(
                    "UPDATE parcels SET chute = ? "
                    "WHERE waybill_no = ? AND at = 'x_ray' AND device = ? AND parcel = ?",
                    (data.seen, data.waybill_no, device, data.parcel),
                )
            case Alarm() as data:
                self._shown.execute(
                    "INSERT INTO alarms VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                    (*where, body.time, data.code.value, data.passage, data.detail, data.zh, data.en),
                )
                self._tally(body, device, "alarm")
            case _:
                pass

    def _opened(self, device: str, body: FactBody, data: PassageOpened) -> None:
        self._row(device, data.passage)
        day, hour = self._local(body.time)
        self._shown.execute(
            "UPDATE passages SET opened_utc = ?, gated = ?, day = ?, hour = ? "
            "WHERE device = ? AND passage = ?",
            (body.time, int(data.gated), day, hour, device, data.passage),
        )
        self._tally(body, device, "opened")

    def _ruled(self, device: str, body: FactBody, data: RulingMade) -> None:
        self._row(device, data.passage)
        known = self._shown.passage(device, data.passage)
        assert known is not None  # noqa: S101  its row was made a line ago
        verdict = data.ruling.verdict
        if body.position > known.ruled_position:
            self._shown.execute(
                "UPDATE passages SET plate = ?, direction = ?, slips = ?, enterprise = ?, gross_kg = ?,"
                " expected_kg = ?, verdict = ?, codes = ?, texts = ?, owner = ?, ways = ?, officer = ?,"
                " claim = ?, ruled_utc = ?, ruled_position = ?, held_utc = ? "
                "WHERE device = ? AND passage = ?",
                (
                    data.plate or "",
                    data.direction,
                    json.dumps(list(data.slips)),
                    data.enterprise or "",
                    data.gross_kg or "",
                    data.expected_kg or "",
                    verdict.value,
                    json.dumps(list(data.ruling.codes())),
                    json.dumps([list(data.texts_zh), list(data.texts_en)], ensure_ascii=False),
                    data.owner,
                    json.dumps(list(data.ways)),
                    data.officer,
                    data.claim,
                    body.time,
                    body.position,
                    "" if verdict is Verdict.RELEASE else known.held_utc or body.time,
                    device,
                    data.passage,
                ),
            )
        for wanted, column, what, was in (
            (Verdict.HOLD, "was_held", "held", known.was_held),
            (Verdict.INSPECT, "was_inspected", "inspected", known.was_inspected),
            (Verdict.RELEASE, "was_released", "released", known.was_released),
        ):
            if verdict is wanted and not was:
                self._shown.execute(
                    f"UPDATE passages SET {column} = 1 WHERE device = ? AND passage = ?",  # noqa: S608
                    (device, data.passage),
                )
                self._tally(body, device, what)
                if data.enterprise:
                    self._tally(body, data.enterprise, what, by="enterprise")
                if data.officer:
                    self._tally(body, data.officer, what, by="officer")
                for code in data.ruling.codes():
                    self._tally(body, code, what, by="reason")
                if wanted is Verdict.INSPECT and Reason.SPOT_CHECK in data.ruling.codes() and data.enterprise:
                    self._tally(body, data.enterprise, "spot_checked", by="enterprise")
        if known.ruled_position == 0 and data.enterprise:
            self._tally(body, data.enterprise, "ruled", by="enterprise")

    def _x_rayed(self, device: str, body: FactBody, data: ParcelXRayed) -> None:
        self._tally(body, device, data.verdict, data.took_s or 0.0)
        if data.officer:
            self._tally(body, data.officer, f"judged_{data.verdict}", data.took_s or 0.0, by="officer")
        if data.waybill_no:
            self._shown.execute(
                "INSERT INTO parcels VALUES (?, 'x_ray', ?, ?, ?, ?, ?, ?, '', ?) "
                "ON CONFLICT (waybill_no, at) DO UPDATE SET verdict = excluded.verdict, by = excluded.by, "
                "category = excluded.category, officer = excluded.officer, device = excluded.device, "
                "parcel = excluded.parcel, chute = '', utc = excluded.utc WHERE excluded.utc >= parcels.utc",
                (
                    data.waybill_no,
                    data.verdict,
                    data.by,
                    data.category,
                    data.officer,
                    device,
                    data.parcel,
                    body.time,
                ),
            )

    def _stands(self, device: str, body: FactBody, state: State) -> None:
        """The latest word stands, by the device's own count within an epoch, by its time between two:
        facts come by two streams. What was said before the program started last is over."""
        values = {
            "device": device,
            **state._asdict(),
            "utc": body.time,
            "epoch": body.epoch,
            "position": body.position,
        }
        self._shown.named_execute(_STATE, values)
        if state.what == STARTED:
            self._shown.named_execute(_STARTED, values)
        elif state.what == PARCEL and not state.word and int(state.name) % KEPT_OVER == 0:
            # What is over is kept for a while: the other stream may be behind.
            self._shown.execute(
                "DELETE FROM states "
                "WHERE device = ? AND what = ? AND word = '' AND CAST(name AS INTEGER) < ?",
                (device, PARCEL, int(state.name) - KEPT_OVER),
            )

    def _row(self, device: str, passage: int) -> None:
        self._shown.execute(
            "INSERT INTO passages (device, passage) VALUES (?, ?) ON CONFLICT DO NOTHING", (device, passage)
        )

    def _tally(
        self, body: FactBody, name: str, what: str, seconds: float = 0.0, *, by: str = "device"
    ) -> None:
        day, hour = self._local(body.time)
        self._shown.execute(
            "INSERT INTO tallies VALUES (?, ?, ?, ?, ?, 1, ?) "
            "ON CONFLICT (day, by, name, what, hour) DO UPDATE SET "
            "n = n + 1, seconds = seconds + excluded.seconds",
            (day, hour, by, name, what, seconds),
        )

    def _local(self, utc: str) -> tuple[str, int]:
        at = datetime.fromisoformat(utc).astimezone(self._zone)
        return f"{at:%Y-%m-%d}", at.hour


def _names(body: FactBody) -> Iterator[tuple[str, str]]:
    """Who and what a fact names, each once."""
    data = body.data
    found: dict[tuple[str, str], None] = {}
    for what, fields in _FIELDS.items():
        for field in fields:
            for name in _texts(getattr(data, field, None)):
                found[what, name] = None
    yield from found


_FIELDS = {
    "plate": ("plate",),
    "slip": ("slips", "slip", "slip_no"),
    "waybill": ("waybill_no", "waybill_nos"),
    "enterprise": ("enterprise",),
    "officer": ("officer", "officers", "second_officer", "second_of"),
    "order": ("order_no", "order_nos"),
}


def _texts(value: object) -> Iterable[str]:
    match value:
        case str() if value:
            return (value,)
        case tuple():
            return tuple(each for each in value if isinstance(each, str) and each)
        case _:
            return ()
