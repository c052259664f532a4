"""Facts into what is shown: one function a kind of fact. It knows rows of `shown` and words of facts, and
no clock: days and hours are those of the fact's own time at the site.

What is counted, and what each count means: `shown.TALLIES`. The two streams of a device are read one
after the other, so whatever a later word changes is decided by position (G7), never by what was read first.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from sync.hub.archive import KeptFact
from sync.hub.console.pending import Pending
from sync.hub.console.shown import (
    LANE_BANDS_S,
    AlarmRow,
    NamedRow,
    ParcelRow,
    Shown,
    StateKept,
    StationParcelRow,
)
from sync.hub.console.states import LANE, PARCEL, STARTED, State, states_of
from sync.policy.ages import between_s
from sync.vocabulary.codec import Malformed
from sync.vocabulary.facts import (
    Alarm,
    CommandTaken,
    EpochBegan,
    FactBody,
    FindingMade,
    InspectionMade,
    OrderTaken,
    ParcelChecked,
    PassageClosed,
    PassageOpened,
    RaiseOrdered,
    RulingMade,
    SupplementEntered,
    VehicleCrossed,
    read_body,
)
from sync.vocabulary.handheld_facts import (
    ParcelJudged,
    PatrolEnded,
    SlipParcelsChecked,
    StockTakeClosed,
    UnknownScanned,
)
from sync.vocabulary.rulings import Reason, Verdict
from sync.vocabulary.xray_facts import (
    JudgementUndone,
    ParcelGone,
    ParcelSeen,
    ParcelSorted,
    ParcelXRayed,
    RestDue,
)

PASSED: Final = "passed"
RECHECK: Final = "recheck"
LET_GO: Final = "pass"
NO_TIME: Final = "1970-01-01T00:00:00.000000Z"
"""Of a passage that is over and whose end has no time that can be read."""
_VERDICTS: Final = {Verdict.HOLD: "held", Verdict.INSPECT: "inspected", Verdict.RELEASE: "released"}

_COUNTED: Final = slice(
    StationParcelRow._fields.index("counted"), StationParcelRow._fields.index("enterprise") + 1
)
"""How a parcel stands in tallies: its word, day, hour and enterprise."""
KEPT_OVER: Final = 200
"""Parcels of a station that are sorted, before their rows go."""
TURNS: Final = {"desk": "at_desk", "officer": "signed_in"}

Moment = tuple[str, int]
"""Day and hour at the site."""


class Told:
    """A fact that is being read: where it stands, who said it and when."""

    __slots__ = ("body", "device", "epoch", "moment", "seq", "since", "stream", "utc")

    def __init__(
        self,
        device: str,
        epoch: str,
        stream: str,
        seq: int,
        body: FactBody,
        utc: str,
        moment: Moment,
        since: int | None,
    ) -> None:
        self.device = device
        self.epoch = epoch
        self.stream = stream
        self.seq = seq
        self.body = body
        self.utc = utc
        """Empty where the device's clock gave none that can be read."""
        self.moment = moment
        self.since = since
        """The first position of its epoch; None: of a device that has had one epoch alone."""


class Reading:
    """Of one batch. Inside a transaction of `shown`; `end` writes what was gathered."""

    def __init__(self, shown: Shown, zone: str, enterprises: Mapping[tuple[str, str], str]) -> None:
        """`enterprises`: (`waybills` or `release_slips`, number) -> whose; of all `wanted` asked for."""
        self._pending = Pending(shown)
        self._zone = ZoneInfo(zone)
        self._enterprises = enterprises
        self._moments: dict[str, Moment] = {}

    def read(
        self, device: str, epoch: str, stream: str, fact: KeptFact, body: FactBody, *, since: int | None
    ) -> None:
        """`since`: of a device of several epochs, the first position of this one; else None. A fact that was
        said before, in an earlier epoch (G4), is the same event."""
        if since is not None and not self._pending.is_new_event(event_number(device, fact.event_id)):
            return
        utc, moment = self._at(body.time)
        told = Told(device, epoch, stream, fact.seq, body, utc, moment, since)
        self._pending.name(
            NamedRow(what, name, utc, device, epoch, stream, fact.seq, fact.kind, fact.passage)
            for what, name in _names(device, body)
        )
        for state in states_of(body.data):
            self._state(told, state)
        self._read(told)

    def end(self) -> None:
        self._pending.write()

    def _read(self, told: Told) -> None:
        match told.body.data:
            case PassageOpened() as data:
                self._opened(told, data)
            case RulingMade() as data:
                self._ruled(told, data)
            case RaiseOrdered(purpose="inspect") as data:
                self._sent_on(told, data)
            case VehicleCrossed() as data:
                row = self._pending.passage(told.device, data.passage, told.epoch)
                self._pending.put_passage(row._replace(crossed_utc=told.utc))
                self._tally(told, "crossed")
            case PassageClosed() as data:
                self._closed(told, data)
            case EpochBegan(old_epoch=""):
                self._forgot(told)
            case ParcelChecked() as data:
                self._tally(told, "lane_checked")
                self._tally(told, f"lane_checked_{data.result}")
            case SupplementEntered() as data:
                self._tally(told, "supplemented")
                self._of_officer(told, [data.officer], "supplemented")
            case Alarm() as data:
                self._pending.alarm(
                    AlarmRow(
                        told.device,
                        told.epoch,
                        told.stream,
                        told.seq,
                        told.utc,
                        data.code.value,
                        data.passage,
                        data.detail,
                        data.zh,
                        data.en,
                    )
                )
                self._tally(told, "alarm")
                self._count(told, "alarm", data.code.value, "alarm")
            case CommandTaken() as data if data.outcome == "done":
                self._of_officer(told, data.officers, "commands")
            case OrderTaken() | InspectionMade() | FindingMade() | SlipParcelsChecked() as inspection:
                self._inspection(told, inspection)
            case _:
                self._read_station(told)

    def _read_station(self, told: Told) -> None:
        match told.body.data:
            case ParcelXRayed() as data:
                self._x_rayed(told, data)
            case JudgementUndone() as data:
                self._tally(told, "undone")
                self._of_officer(told, [data.officer], "undone")
                self._stands(told, data.parcel, "", verdict="")
                self._take_back(told.device, data.parcel)
            case ParcelSorted() as data:
                self._sorted(told, data)
            case ParcelSeen() as data:
                self._tally(told, "seen")
                if not data.waybill_no:
                    self._tally(told, "no_waybill")
            case ParcelGone():
                self._tally(told, "gone")
            case RestDue() as data:
                self._of_officer(told, [data.officer], "rest_due")
            case _:
                self._read_handheld(told)

    def _read_handheld(self, told: Told) -> None:
        match told.body.data:
            case ParcelJudged() as data:
                self._scanned(told, data)
            case UnknownScanned() as data:
                self._tally(told, "scanned_unknown")
                self._of_officer(told, [data.officer], "scanned_unknown")
            case PatrolEnded() as data:
                self._of_officer(told, [data.officer], "patrols", data.lasted_s)
            case StockTakeClosed() as data:
                self._of_officer(told, [data.officer], "stock_takes")
            case _:
                pass

    # --- lanes --------------------------------------------------------------------------------------------

    def _opened(self, told: Told, data: PassageOpened) -> None:
        day, hour = told.moment
        row = self._pending.passage(told.device, data.passage, told.epoch)
        if row.opened_utc or row.closed_utc:
            # A lane whose disk was lost or restored counts from an earlier number again (G4): another one.
            row = self._pending.new_passage(told.device, data.passage, told.epoch)
        if told.since is not None:
            # Numbers rise: of what an earlier epoch opened from this one on nothing more will come.
            for old in self._pending.open_passages(told.device):
                if old.epoch != told.epoch and old.passage >= data.passage:
                    self._pending.put_passage(old._replace(closed_utc=told.utc or NO_TIME, held_utc=""))
        self._pending.put_passage(
            row._replace(opened_utc=told.utc, gated=int(data.gated), day=day, hour=hour)
        )
        self._tally(told, "opened")

    def _forgot(self, told: Told) -> None:
        """On a new disk a lane knows of no vehicle that stood in it: of those nothing more will come."""
        for row in self._pending.open_passages(told.device):
            if row.epoch != told.epoch:
                self._pending.put_passage(row._replace(closed_utc=told.utc or NO_TIME, held_utc=""))

    def _ruled(self, told: Told, data: RulingMade) -> None:
        row = self._pending.passage(told.device, data.passage, told.epoch)
        verdict, codes = data.ruling.verdict, data.ruling.codes()
        held_before = row.held_utc
        if told.body.position > row.ruled_position:
            row = row._replace(
                plate=data.plate or "",
                direction=data.direction,
                slips=json.dumps(list(data.slips)),
                enterprise=data.enterprise or "",
                gross_kg=data.gross_kg or "",
                expected_kg=data.expected_kg or "",
                verdict=verdict.value,
                codes=json.dumps(list(codes)),
                texts=json.dumps([list(data.texts_zh), list(data.texts_en)], ensure_ascii=False),
                owner=data.owner,
                ways=json.dumps(list(data.ways)),
                officer=data.officer,
                claim=data.claim,
                ruled_utc=told.utc,
                ruled_position=told.body.position,
                sent_on=0,
                held_utc="" if verdict is Verdict.RELEASE else row.held_utc or told.utc,
                first_held_utc=row.first_held_utc or ("" if verdict is Verdict.RELEASE else told.utc),
            )
        if held_before and not row.held_utc:
            self._tally(told, "hold_ended", lasted_s(held_before, told.utc))
        if data.enterprise and not row.counted_enterprise:
            row = row._replace(counted_enterprise=data.enterprise)
            self._count(told, "enterprise", data.enterprise, "ruled")
            # What was ruled before its enterprise was known.
            for was, what in (
                (row.was_held, "held"),
                (row.was_inspected, "inspected"),
                (row.was_released, "released"),
                (row.was_drawn, "spot_checked"),
            ):
                if was:
                    self._count(told, "enterprise", data.enterprise, what)
        if Reason.SPOT_CHECK.value in codes and not row.was_drawn:
            row = row._replace(was_drawn=1)
            if row.counted_enterprise:
                self._count(told, "enterprise", row.counted_enterprise, "spot_checked")
        match verdict:
            case Verdict.HOLD:
                first, row = not row.was_held, row._replace(was_held=1)
            case Verdict.INSPECT:
                first, row = not row.was_inspected, row._replace(was_inspected=1)
            case Verdict.RELEASE:
                first, row = not row.was_released, row._replace(was_released=1)
        if first:
            what = _VERDICTS[verdict]
            self._tally(told, what)
            if row.counted_enterprise:
                self._count(told, "enterprise", row.counted_enterprise, what)
            self._of_officer(told, [data.officer], what)
            for code in dict.fromkeys(codes):
                self._count(told, "reason", code, what)
        self._pending.put_passage(row)

    def _sent_on(self, told: Told, data: RaiseOrdered) -> None:
        """Inspected beyond the barrier: nobody ends a hold. One that was held before is held no more."""
        row = self._pending.passage(told.device, data.passage, told.epoch)
        if told.body.position < row.ruled_position:
            return
        if row.held_utc and row.held_utc != row.ruled_utc:
            self._tally(told, "hold_ended", lasted_s(row.held_utc, told.utc))
        self._pending.put_passage(row._replace(sent_on=1, held_utc=""))

    def _closed(self, told: Told, data: PassageClosed) -> None:
        row = self._pending.passage(told.device, data.passage, told.epoch)
        self._tally(told, f"closed_{data.outcome}", data.lane_s)
        if row.held_utc:
            self._tally(told, "hold_ended", lasted_s(row.held_utc, told.utc))
        if data.outcome == "crossed":
            place = bisect_left(LANE_BANDS_S, data.lane_s)
            band = str(LANE_BANDS_S[place]) if place < len(LANE_BANDS_S) else "longer"
            self._tally(told, f"lane_{band}")
            for stage, seconds in data.stage_s.items():
                self._count(told, "stage", stage, "stage", seconds)
            if row.counted_enterprise:
                self._count(told, "enterprise", row.counted_enterprise, "crossed", data.lane_s)
        self._pending.put_passage(
            row._replace(
                closed_utc=told.utc or NO_TIME, outcome=data.outcome, lane_s=data.lane_s, held_utc=""
            )
        )

    # --- X-ray lines --------------------------------------------------------------------------------------

    def _x_rayed(self, told: Told, data: ParcelXRayed) -> None:
        took_s = data.took_s or 0.0 if data.officer else 0.0
        self._tally(told, "x_rayed", took_s)
        for code in _codes(data.reasons):
            self._count(told, "x_ray_reason", code, data.verdict)
        if data.category:
            self._count(told, "category", data.category, data.verdict)
        self._of_officer(told, [data.officer], "judged", took_s)
        self._of_officer(told, [data.officer], f"judged_{data.verdict}", took_s)
        if data.second_of:
            self._of_officer(told, [data.officer], "judged_second", took_s)
        if not self._stands(told, data.parcel, data.waybill_no, verdict=data.verdict):
            return
        known = self._pending.parcel(data.waybill_no, "x_ray") if data.waybill_no else None
        same = known is not None and (known.device, known.parcel) == (told.device, data.parcel)
        if data.waybill_no and (known is None or same or told.utc >= known.utc):
            chute = known.chute if known is not None and same else ""
            row = self._pending.station_parcel(told.device, data.parcel)
            self._pending.put_parcel(
                ParcelRow(
                    data.waybill_no,
                    "x_ray",
                    data.verdict if row is None else row.counted,
                    data.by,
                    data.category,
                    data.officer,
                    told.device,
                    data.parcel,
                    chute,
                    told.utc,
                )
            )

    def _sorted(self, told: Told, data: ParcelSorted) -> None:
        self._tally(told, f"sorted_{data.ordered}")
        self._stands(told, data.parcel, data.waybill_no, ordered=data.ordered)
        known = self._pending.parcel(data.waybill_no, "x_ray") if data.waybill_no else None
        if known is not None and (known.device, known.parcel) == (told.device, data.parcel):
            row = self._pending.station_parcel(told.device, data.parcel)
            self._pending.put_parcel(
                known._replace(chute=data.seen, verdict=known.verdict if row is None else row.counted)
            )

    def _take_back(self, device: str, parcel: int) -> None:
        row = self._pending.station_parcel(device, parcel)
        known = self._pending.parcel(row.waybill_no, "x_ray") if row is not None and row.waybill_no else None
        if row is not None and known is not None and (known.device, known.parcel) == (device, parcel):
            self._pending.put_parcel(known._replace(verdict=row.counted))

    def _stands(
        self,
        told: Told,
        parcel: int,
        waybill_no: str,
        *,
        verdict: str | None = None,
        ordered: str | None = None,
    ) -> bool:
        """Whether this is the last word on the parcel. A parcel that was passed on the screen and not let go
        at the diverter was not passed (X2)."""
        if not parcel:
            return True
        known = self._pending.station_parcel(told.device, parcel)
        position = told.body.position
        if known is None or _is_another_parcel(known, told):
            known = StationParcelRow(told.device, parcel, 0, "", "", "", "", "", -1, "", told.epoch)
        is_last = verdict is not None and position > known.position
        row = known._replace(
            position=position if is_last else known.position,
            waybill_no=waybill_no or known.waybill_no,
            verdict=verdict if verdict is not None and is_last else known.verdict,
            ordered=ordered if ordered is not None else known.ordered,
            epoch=told.epoch,
        )
        counts = RECHECK if row.verdict == PASSED and row.ordered not in ("", LET_GO) else row.verdict
        enterprise = self._enterprises.get(("waybills", row.waybill_no), "") or row.enterprise
        day, hour = told.moment if is_last or not known.day else (known.day, known.hour)
        row = row._replace(counted=counts, enterprise=enterprise, day=day, hour=hour)
        if row[_COUNTED] != known[_COUNTED]:
            if known.counted:
                self._move(told.device, known, -1)
            if counts:
                self._move(told.device, row, 1)
        self._pending.put_station_parcel(row)
        return is_last

    def _move(self, device: str, row: StationParcelRow, n: int) -> None:
        moment = (row.day, row.hour)
        self._pending.tally(moment, "device", device, row.counted, n=n)
        if row.enterprise:
            self._pending.tally(moment, "enterprise", row.enterprise, f"parcels_{row.counted}", n=n)

    # --- handhelds and inspections ------------------------------------------------------------------------

    def _scanned(self, told: Told, data: ParcelJudged) -> None:
        for what in ("scanned", f"scanned_{data.verdict}"):
            self._tally(told, what)
            self._of_officer(told, [data.officer], what)
        for code in _codes(data.reasons):
            self._count(told, "scan_reason", code, data.verdict)
        known = self._pending.parcel(data.waybill_no, "handheld") if data.waybill_no else None
        if data.waybill_no and (known is None or told.utc >= known.utc):
            self._pending.put_parcel(
                ParcelRow(
                    data.waybill_no,
                    "handheld",
                    data.verdict,
                    "officer",
                    "",
                    data.officer,
                    told.device,
                    None,
                    "",
                    told.utc,
                )
            )

    def _inspection(
        self, told: Told, data: OrderTaken | InspectionMade | FindingMade | SlipParcelsChecked
    ) -> None:
        match data:
            case OrderTaken():
                self._of_officer(told, data.officers, "orders_taken")
            case InspectionMade():
                if data.part == 1:
                    self._tally(told, "inspections")
                    self._of_officer(told, [*data.officers, data.second_officer], "inspections")
                    self._of_waybills(told, data.waybill_nos, "inspections")
            case FindingMade():
                self._count(told, "finding", data.finding, "made")
                self._of_officer(told, data.officers, "findings")
                if data.finding != "nothing":
                    self._of_officer(told, data.officers, "found")
                    self._of_waybills(told, data.waybill_nos, "found")
            case SlipParcelsChecked():
                self._tally(told, "slip_checks")
                self._of_officer(told, [data.officer], "slip_checks")
                enterprise = self._enterprises.get(("release_slips", data.slip), "")
                if enterprise:
                    self._count(told, "enterprise", enterprise, "slip_checks")
                    if data.extra or data.elsewhere or (data.complete and data.missing):
                        self._count(told, "enterprise", enterprise, "slip_checks_differing")

    def _of_waybills(self, told: Told, waybill_nos: Iterable[str], what: str) -> None:
        for enterprise in {self._enterprises.get(("waybills", number), "") for number in waybill_nos} - {""}:
            self._count(told, "enterprise", enterprise, what)

    # --- all ----------------------------------------------------------------------------------------------

    def _tally(self, told: Told, what: str, seconds: float = 0.0) -> None:
        self._pending.tally(told.moment, "device", told.device, what, seconds)

    def _count(self, told: Told, by: str, name: str, what: str, seconds: float = 0.0) -> None:
        self._pending.tally(told.moment, by, name, what, seconds)

    def _of_officer(self, told: Told, officers: Iterable[str], what: str, seconds: float = 0.0) -> None:
        for officer in dict.fromkeys(officers):
            if officer:
                self._pending.tally(told.moment, "officer", officer, what, seconds)

    def _state(self, told: Told, state: State) -> None:
        """The latest word stands, by the device's own count within an epoch, by its time between two:
        facts come by two streams. What was said before the program started last is over."""
        states = self._pending.states(told.device)
        started = states.get((STARTED, ""))
        if started is not None and state.what not in (STARTED, LANE) and _is_after(started, told):
            return
        known = states.get((state.what, state.name))
        if known is not None and _is_after(known, told):
            return
        tallied = TURNS.get(state.what)
        if tallied is not None and known is not None and known.word not in ("", state.word):
            self._of_officer(told, [known.word], tallied, lasted_s(known.utc, told.utc))
        if tallied is None or known is None or known.word != state.word:
            self._pending.put_state(StateKept(told.device, *state, told.utc, told.epoch, told.body.position))
        if state.what == STARTED:
            for row in tuple(states.values()):
                if row.what not in (STARTED, LANE) and not _is_after(row, told):
                    self._pending.drop_state(row)
        elif state.what == PARCEL and not state.word and int(state.name) % KEPT_OVER == 0:
            # What is over is kept for a while: the other stream may be behind.
            for row in tuple(states.values()):
                if row.what == PARCEL and not row.word and int(row.name) < int(state.name) - KEPT_OVER:
                    self._pending.drop_state(row)

    def _at(self, time: str) -> tuple[str, Moment]:
        """Whatever a device's clock wrote: what is no time is at no moment."""
        minute = time[:16]
        try:
            if not time.endswith("Z"):
                return "", ("", -1)
            datetime.fromisoformat(time)
            moment = self._moments.get(minute)
            if moment is None:
                local = datetime.fromisoformat(f"{minute}:00+00:00").astimezone(self._zone)
                moment = self._moments[minute] = (f"{local:%Y-%m-%d}", local.hour)
        except (ValueError, OverflowError):
            return "", ("", -1)
        return time, moment


def _is_after(row: StateKept, told: Told) -> bool:
    if row.epoch == told.epoch:
        return row.position > told.body.position
    return row.utc > told.utc


def _is_another_parcel(known: StationParcelRow, told: Told) -> bool:
    """A station whose disk was lost or restored counts from an earlier number again (G4): what was said at
    positions this epoch takes anew is not of its past."""
    unjudged = known.position == 0 and known.ordered != ""
    return known.epoch != told.epoch and (unjudged or known.position >= (told.since or 0))


def event_number(device: str, event_id: str) -> int:
    digest = hashlib.blake2b(f"{device}\n{event_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)


def body_of(fact: KeptFact) -> FactBody | None:
    """None: what cannot be read by this version is passed over; the archive has parked or kept it."""
    try:
        return read_body(fact.body)
    except Malformed:
        return None


def wanted(bodies: Iterable[FactBody]) -> tuple[set[str], set[str]]:
    """Waybills and slips whose enterprise has to be known to read these."""
    waybills: set[str] = set()
    slips: set[str] = set()
    for body in bodies:
        match body.data:
            case ParcelXRayed() as data:
                waybills.add(data.waybill_no)
            case InspectionMade() | FindingMade() as data:
                waybills.update(data.waybill_nos)
            case SlipParcelsChecked() as data:
                slips.add(data.slip)
            case _:
                pass
    return waybills - {""}, slips - {""}


def lasted_s(from_utc: str, to_utc: str) -> float:
    """0 where a clock gave no time or went back."""
    return max(0.0, between_s(from_utc, to_utc) or 0.0)


def _codes(reasons: Sequence[str]) -> Collection[str]:
    return dict.fromkeys(reason.partition(":")[0] for reason in reasons)


def _names(device: str, body: FactBody) -> Iterator[tuple[str, str]]:
    """Who and what a fact names, each once."""
    data = body.data
    found: dict[tuple[str, str], None] = {}
    kind = type(data)
    fields = _FIELDS_OF.get(kind)
    if fields is None:
        fields = _FIELDS_OF[kind] = tuple(
            (what, field) for what, fields in _FIELDS.items() for field in fields if hasattr(data, field)
        )
    for what, field in fields:
        for name in _texts(getattr(data, field)):
            found[what, name] = None
    match data:
        case ParcelJudged() if data.text != data.waybill_no and len(data.text) <= _LONGEST_NAME:
            found["trace", data.text] = None
        case SupplementEntered(field="plate"):
            found["plate", data.value[:_LONGEST_NAME]] = None
        case _:
            pass
    parcel = getattr(data, "parcel", 0)
    if parcel:
        found["station_parcel", f"{device}/{parcel}"] = None
    yield from found


_FIELDS_OF: dict[type, tuple[tuple[str, str], ...]] = {}
_LONGEST_NAME: Final = 200
_FIELDS: Final = {
    "plate": ("plate",),
    "slip": ("slips", "slip", "slip_no"),
    "waybill": ("waybill_no", "waybill_nos"),
    "enterprise": ("enterprise",),
    "officer": ("officer", "officers", "second_officer", "second_of"),
    "order": ("order_no", "order_nos"),
    "recall": ("recall_nos",),
    "sample": ("sample_no",),
}


def _texts(value: object) -> Iterable[str]:
    match value:
        case str() if value:
            return (value,)
        case tuple():
            return tuple(each for each in value if isinstance(each, str) and each)
        case _:
            return ()
