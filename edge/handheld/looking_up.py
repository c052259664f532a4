"""What the records and the device's own journal say of a code, a slip, an order, an officer. Reads; decides
nothing, writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeVar, assert_never

from edge.handheld.effects import Wanted
from edge.handheld.events import (
    MOST_WAYBILLS,
    DoneHere,
    Findings,
    HeldFindings,
    KeptBack,
    OfficerFindings,
    OrderFindings,
    ParcelFindings,
    RecordsRead,
    RouteFindings,
    SlipFindings,
    StockFindings,
    TraceFindings,
)
from edge.handheld.latest_time import LatestTime
from edge.handheld.rules import RELEASED
from edge.handheld.stores import Stores
from edge.handheld.vault_files import Standing
from edge.runtime.clock import UNKNOWN_MS, Clock
from sync.link.shown_traces import code_on_label
from sync.policy.ages import records_age_s
from sync.policy.draws import parcel_check_due
from sync.store.opening import StoreRefused
from sync.store.records import FeedState, Records
from sync.vocabulary import slip_codes
from sync.vocabulary.codec import Malformed
from sync.vocabulary.facts import FactData, Stream, read_body
from sync.vocabulary.numbers import SlipNo, UtcText, WaybillNo
from sync.vocabulary.records import (
    Enterprise,
    InspectionOrder,
    Officer,
    OfficerState,
    OrderState,
    Reference,
    ReleaseSlip,
    Trace,
    Waybill,
    XRay,
    declared_lines,
)

MOST_ON_A_SLIP: Final = 2_000
MOST_NEAREST: Final = 3
MOST_REFERENCES: Final = 6
FACTS_LOOKED_BACK: Final = 1_000
"""Of this device's own, for a parcel's path."""
R = TypeVar("R")

_NO_RECORDS: Final = (StoreRefused, Malformed)


@dataclass(frozen=True, slots=True)
class Ageing:
    """By what clock records grow old (S10)."""

    clock: Clock
    clock_must_be_known: bool
    not_before_utc: str
    latest: LatestTime
    """Never behind what this device has seen: a clock that is set back makes no record young."""

    def utc(self) -> str:
        return self.latest.utc()

    def age_s(self, verified_utc: str | None) -> float | None:
        known = not self.clock_must_be_known or self.clock.uncertainty_ms() != UNKNOWN_MS
        return records_age_s(
            verified_utc, self.utc(), clock_is_known=known, not_before_utc=self.not_before_utc
        )


class Lookups:
    """For the core's one thread."""

    def __init__(self, stores: Stores, ageing: Ageing, draw_key: bytes | None) -> None:
        self._stores = stores
        self._ageing = ageing
        self._draw_key = draw_key

    def find(self, wanted: Wanted, text: str) -> tuple[Findings, RecordsRead]:
        """An unreadable file is no ground to stand on: as if there were none."""
        utc = UtcText(self._ageing.utc())
        try:
            records = self._stores.records()
            if records is None:
                return _nothing(wanted, text), RecordsRead(utc)
            with records.snapshot() as state:
                return self._found(records, wanted, text), self._read(records, state, utc)
        except _NO_RECORDS:
            return _nothing(wanted, text), RecordsRead(utc)

    def standing(self, officer_no: str) -> Standing:
        """For a PIN that is being checked."""
        utc = self._ageing.utc()
        try:
            records = self._stores.records()
            if records is None:
                return Standing(None, None, utc, None)
            with records.snapshot() as state:
                officer = records.get("officers", officer_no)
                found = officer if isinstance(officer, Officer) else None
                return Standing(found, records.site(), utc, self._ageing.age_s(state.verified_utc))
        except _NO_RECORDS:
            return Standing(None, None, utc, None)

    def _read(self, records: Records, state: FeedState, utc: UtcText) -> RecordsRead:
        return RecordsRead(
            utc=utc,
            site=records.site(),
            scope=state.scope,
            epoch=state.epoch,
            number=state.number,
            age_s=self._ageing.age_s(state.verified_utc),
        )

    def _found(self, records: Records, wanted: Wanted, text: str) -> Findings:
        match wanted:
            case Wanted.PARCEL:
                return self._parcel(records, text)
            case Wanted.SLIP:
                return _slip(records, text)
            case Wanted.ORDERS:
                return _orders(records, text)
            case Wanted.STOCK:
                rows = records.stock_at(text)
                return StockFindings(text, rows) if rows else StockFindings("", records.stock_of(text))
            case Wanted.ROUTES:
                return RouteFindings(records.routes())
            case Wanted.TRACE:
                return self._trace(records, text)
            case Wanted.OFFICER:
                return self._officer(records, text)
            case Wanted.HELD:
                return HeldFindings(records.held_passages())
            case _:
                assert_never(wanted)

    def _parcel(self, records: Records, text: str) -> ParcelFindings:
        code = code_on_label(records.get, text.strip())
        waybills = records.waybills_by_code(code, MOST_WAYBILLS)
        if not waybills and code != code.upper():
            waybills = records.waybills_by_code(code.upper(), MOST_WAYBILLS)
        slips = _each(records, "release_slips", (each.slip_no for each in waybills), ReleaseSlip)
        firms = _each(
            records,
            "enterprises",
            (*(each.enterprise for each in waybills), *(slip.enterprise for slip in slips)),
            Enterprise,
        )
        orders, kept_back = _orders_on(records, waybills)
        return ParcelFindings(
            code=code,
            waybills=waybills,
            slips=slips,
            enterprises=firms,
            controls=records.controls(),
            recalls=records.recalls(),
            orders=orders,
            kept_back=kept_back,
            x_rays=_each(records, "x_rays", (each.waybill_no for each in waybills), XRay),
            references=_references(records, waybills),
            drawn=self._drawn(waybills, firms),
            nearest=() if waybills else _nearest(records, code),
        )

    def _drawn(self, waybills: Iterable[Waybill], firms: Iterable[Enterprise]) -> frozenset[WaybillNo]:
        key = self._draw_key
        if key is None:
            return frozenset()
        by_code = {firm.code: firm for firm in firms}
        return frozenset(
            waybill.waybill_no
            for waybill in waybills
            if waybill.enterprise is not None
            and (firm := by_code.get(waybill.enterprise)) is not None
            and parcel_check_due(key, firm, waybill.waybill_no)
        )

    def _trace(self, records: Records, text: str) -> TraceFindings:
        code = code_on_label(records.get, text.strip())
        parcel = self._parcel(records, code)
        found = [trace for each in parcel.waybills for trace in records.traces_of(each.waybill_no)]
        named = [each.trace_code for each in parcel.waybills if each.trace_code]
        found += _each(records, "traces", (code, *named), Trace)
        traces = tuple({trace.trace_code: trace for trace in found}.values())
        numbers = {code, *(each.waybill_no for each in parcel.waybills)}
        return TraceFindings(parcel, traces, self._done_here(numbers))

    def _done_here(self, numbers: set[str]) -> tuple[DoneHere, ...]:
        journal = self._stores.journal
        if journal is None:
            return ()
        first = journal.heads()[Stream.ROUTINE].seq - FACTS_LOOKED_BACK
        facts = journal.facts_from(
            Stream.ROUTINE, max(1, first), max_facts=FACTS_LOOKED_BACK + 1, max_bytes=8_000_000
        )
        done = []
        for fact in reversed(facts):
            # Decoded only where a number stands in it at all.
            if any(number in fact.body for number in numbers):
                data = read_body(fact.body).data
                if _is_about(data, numbers):
                    done.append(DoneHere(fact.time, data))
        return tuple(done[:50])

    def _officer(self, records: Records, officer_no: str) -> OfficerFindings:
        officer = records.get("officers", officer_no)
        if not isinstance(officer, Officer) or officer.pin is None:
            return OfficerFindings(officer_no, "unknown")
        if officer.state is not OfficerState.ACTIVE:
            return OfficerFindings(officer_no, "revoked")
        if UtcText(self._ageing.utc()) >= officer.valid_until:
            return OfficerFindings(officer_no, "expired")
        return OfficerFindings(officer_no, "active", officer.authorisations, officer.public_key)


def _nothing(wanted: Wanted, text: str) -> Findings:
    match wanted:
        case Wanted.PARCEL:
            return ParcelFindings(code=text.strip())
        case Wanted.SLIP:
            return SlipFindings(None)
        case Wanted.ORDERS:
            return OrderFindings(())
        case Wanted.STOCK:
            return StockFindings()
        case Wanted.ROUTES:
            return RouteFindings(())
        case Wanted.TRACE:
            return TraceFindings(ParcelFindings(code=text.strip()))
        case Wanted.OFFICER:
            return OfficerFindings(text, "untold")
        case Wanted.HELD:
            return HeldFindings(())
        case _:
            assert_never(wanted)


def _each(records: Records, collection: str, keys: Iterable[str | None], kind: type[R]) -> tuple[R, ...]:
    """Those that are there, each once, in the order of the keys."""
    wanted = dict.fromkeys(key for key in keys if key)
    found = (records.get(collection, key) for key in wanted)
    return tuple(record for record in found if isinstance(record, kind))


def _slip(records: Records, text: str) -> SlipFindings:
    slip_no = _slip_no(text.strip())
    slip = records.get("release_slips", slip_no) if slip_no is not None else None
    if not isinstance(slip, ReleaseSlip):
        return SlipFindings(None)
    waybills = records.waybills_on(slip.slip_no, MOST_ON_A_SLIP + 1)
    return SlipFindings(slip, waybills[:MOST_ON_A_SLIP], len(waybills) > MOST_ON_A_SLIP)


def _slip_no(text: str) -> SlipNo | None:
    """Of a number, or of a slip's signed code: what it says is looked up, what it claims is not believed."""
    if not text.startswith(slip_codes.PREFIX):
        return SlipNo.parse(text)
    try:
        return slip_codes.parse(text).claims.slip_no
    except Malformed:
        return None


def _orders(records: Records, text: str) -> OrderFindings:
    orders, standings = records.orders(), records.order_standings()
    asked, _, order_no = text.partition(" ")
    if asked != "order":
        return OrderFindings(orders, standings)
    order = next((each for each in orders if each.order_no == order_no), None)
    named = () if order is None else order.waybill_nos[:MOST_ON_A_SLIP]
    waybills = _each(records, "waybills", named, Waybill)
    if order is not None and not named and order.slip_no is not None:
        waybills = records.waybills_on(order.slip_no, MOST_ON_A_SLIP)
    return OrderFindings(orders, standings, waybills)


def _orders_on(
    records: Records, waybills: Iterable[Waybill]
) -> tuple[tuple[InspectionOrder, ...], tuple[KeptBack, ...]]:
    """(open ones that name one of these or its slip, and whose finding nobody has made yet; those whose
    finding keeps a parcel back)"""
    orders = {
        order.order_no: order
        for waybill in waybills
        for order in records.orders_of(waybill.waybill_no, waybill.slip_no or "")
        if order.state is OrderState.OPEN
    }
    if not orders:
        return (), ()
    standings = {each.order_no: each for each in records.order_standings() if each.order_no in orders}
    ended = {number for number, each in standings.items() if each.step == "found"}
    kept_back = (
        # What did not count keeps back all that the order names, whatever parcels were told of.
        KeptBack(orders[number], each.handling, () if each.not_counted else each.waybill_nos)
        for number, each in standings.items()
        if each.not_counted or (number in ended and each.handling != RELEASED)
    )
    return tuple(order for number, order in orders.items() if number not in ended), tuple(kept_back)


def _references(records: Records, waybills: Iterable[Waybill]) -> tuple[Reference, ...]:
    found: dict[str, Reference] = {}
    for waybill in waybills:
        for line in declared_lines(waybill):
            for reference in records.references_of(line.sku, line.hs_code):
                found.setdefault(reference.reference_no, reference)
                if len(found) == MOST_REFERENCES:
                    return tuple(found.values())
    return tuple(found.values())


def _nearest(records: Records, code: str) -> tuple[str, ...]:
    if WaybillNo.parse(code) is None:
        return ()
    return records.nearest_waybills(code, MOST_NEAREST)


def _is_about(data: FactData, numbers: set[str]) -> bool:
    told = {str(getattr(data, name, "")) for name in ("waybill_no", "text")}
    told |= {str(each) for each in getattr(data, "waybill_nos", ())}
    return not numbers.isdisjoint(told)
