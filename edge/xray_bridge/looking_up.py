"""What the records say of a code the portal read, as far as an X-ray line needs it. Reads; judges nothing but
whether a person must look, writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from edge.runtime.clock import UNKNOWN_MS, Clock
from edge.xray_bridge.values import DeclaredLine, Goods
from sync.link.shown_traces import code_on_label
from sync.policy.ages import records_age_s
from sync.policy.controls import matching
from sync.policy.draws import x_ray_due
from sync.store.opening import StoreRefused
from sync.store.records import FeedState, Records
from sync.vocabulary.codec import Malformed
from sync.vocabulary.numbers import UtcText
from sync.vocabulary.records import (
    Control,
    CreditTier,
    Direction,
    Enterprise,
    Mode,
    OrderState,
    Recall,
    RecallState,
    Reference,
    ReleaseSlip,
    Site,
    Waybill,
    XRay,
    XRayVerdict,
    declared_lines,
)
from sync.vocabulary.rulings import Reason

MOST_WAYBILLS: Final = 2
"""A code that leads to more than one parcel is nobody's."""
MOST_LINES: Final = 200
MOST_TEXT: Final = 200

_MATCHED: Final = "matched"
_REQUIRED: Final = "required"
_CANCELLED: Final = "cancelled"
_DECLARE_LATER: Final = "declare_later"


@dataclass(frozen=True, slots=True)
class Lookups:
    """For the station's one thread."""

    records: Callable[[], Records | None]
    clock: Clock
    draw_key: bytes | None
    clock_must_be_known: bool
    not_before_utc: str

    def goods(self, code: str) -> Goods | None:
        """Of a waybill number, a trace code or an order number; None where no record, or more than one,
        answers to it. An unreadable file is no ground to stand on: as if there were none."""
        try:
            records = self.records()
            if records is None:
                return None
            with records.snapshot() as state:
                return self._goods(records, state, code.strip())
        except (StoreRefused, Malformed):
            return None

    def _goods(self, records: Records, state: FeedState, text: str) -> Goods | None:
        code = code_on_label(records.get, text)
        found = records.waybills_by_code(code, MOST_WAYBILLS)
        if not found and code != code.upper():
            found = records.waybills_by_code(code.upper(), MOST_WAYBILLS)
        if len(found) != 1:
            return None
        waybill, site, utc = found[0], records.site(), self.clock.utc_text()
        age_s = self._age_s(state, utc)
        firm = _enterprise(records, waybill)
        controls = _controls(records, waybill, UtcText(utc))
        recalls = tuple(each for each in records.recalls() if _stops(each, waybill, code))
        why = [
            *_ordered(records, waybill, controls),
            *_credit(firm, site),
        ]
        return Goods(
            # Plain texts: a desk's view is encoded as it is, and a record's numbers are types of their own.
            waybill_no=str(waybill.waybill_no),
            answers_to=code,
            enterprise=str(waybill.enterprise or ""),
            enterprise_name="" if firm is None else firm.name,
            credit="" if firm is None else firm.tier.value,
            gross_kg=f"{waybill.gross_kg.normalize():f}" if waybill.gross_kg else "",
            pieces=waybill.pieces,
            lines=tuple(
                DeclaredLine(
                    name=each.name,
                    sku=each.sku,
                    hs_code=each.hs_code,
                    quantity="" if each.quantity is None else f"{each.quantity:f}",
                    unit=each.unit,
                )
                for each in declared_lines(waybill)[:MOST_LINES]
            ),
            control="; ".join(why)[:MOST_TEXT],
            control_versions=tuple(f"{each.control_id}@{each.version}"[:MOST_TEXT] for each in controls),
            quarantine=waybill.quarantine == _REQUIRED,
            recalls=tuple(each.recall_no for each in recalls),
            drawn=self._drawn(firm, waybill),
            documents_match=waybill.three_documents in ("", _MATCHED) and _is_declared(waybill),
            records_epoch=state.epoch,
            records_number=state.number,
            records_age_s=age_s,
            # A site without a record of its own has no policy: nothing passes by itself.
            records_most_age_s=0.0 if site is None else float(site.max_age_s),
        )

    def references(self, goods: Goods | None) -> tuple[tuple[Reference, ...], tuple[Reference, ...]]:
        """(of the same SKU, of its HS code and what that begins with), X-ray pictures only. A parcel of
        several kinds of goods looks like none of them."""
        if goods is None or len(goods.lines) != 1:
            return (), ()
        line = goods.lines[0]
        try:
            records = self.records()
            if records is None:
                return (), ()
            of_sku = records.references_of(line.sku) if line.sku else ()
            return _x_rays(of_sku), _x_rays(records.references_of("", line.hs_code))
        except (StoreRefused, Malformed):
            return (), ()

    def _drawn(self, firm: Enterprise | None, waybill: Waybill) -> bool:
        if self.draw_key is None or firm is None:
            return False
        return x_ray_due(self.draw_key, firm, waybill.waybill_no)

    def _age_s(self, state: FeedState, utc: str) -> float | None:
        known = not self.clock_must_be_known or self.clock.uncertainty_ms() != UNKNOWN_MS
        return records_age_s(
            state.verified_utc, utc, clock_is_known=known, not_before_utc=self.not_before_utc
        )


def _x_rays(found: tuple[Reference, ...]) -> tuple[Reference, ...]:
    """Each once, by number."""
    by_number = {each.reference_no: each for each in found if each.kind == "x_ray" and each.descriptor}
    return tuple(by_number[number] for number in sorted(by_number))


def _enterprise(records: Records, waybill: Waybill) -> Enterprise | None:
    found = records.get("enterprises", waybill.enterprise) if waybill.enterprise else None
    return found if isinstance(found, Enterprise) else None


def _controls(records: Records, waybill: Waybill, utc: UtcText) -> tuple[Control, ...]:
    """布控 of any mode that bear on it; those on plates by the vehicle its slip names."""
    named = records.get("release_slips", waybill.slip_no) if waybill.slip_no is not None else None
    slip = named if isinstance(named, ReleaseSlip) else None
    firms = [code for code in (waybill.enterprise, None if slip is None else slip.enterprise) if code]
    outward = Direction.OUT if waybill.direction == "export" else Direction.IN
    return matching(
        records.controls(),
        plate=None if slip is None else slip.plate,
        slip_nos=() if waybill.slip_no is None else (waybill.slip_no,),
        enterprises=firms,
        direction=outward if slip is None else slip.direction,
        slip_kinds=() if slip is None else (slip.kind,),
        at=utc,
    )


def _ordered(records: Records, waybill: Waybill, controls: tuple[Control, ...]) -> Iterator[str]:
    """What somebody has said of this very parcel, or of a kind it belongs to."""
    yield from (f"{Reason.CONTROL_INSPECT}:{each.control_id}" for each in controls if each.mode is Mode.LIVE)
    if waybill.control:
        yield f"{Reason.CONTROL_INSPECT}:{waybill.control}"
    yield from (
        f"{Reason.INSPECTION_ORDERED}:{order.order_no}"
        for order in records.orders_of(waybill.waybill_no, waybill.slip_no or "")
        if order.state is OrderState.OPEN
    )
    before = records.get("x_rays", waybill.waybill_no)
    if isinstance(before, XRay) and before.verdict is XRayVerdict.FLAGGED:
        yield Reason.X_RAY_FLAGGED.value


def _is_declared(waybill: Waybill) -> bool:
    """申报: cancelled, or never made, is no document that could match; 先出后报 is declared afterwards."""
    if waybill.state == _CANCELLED:
        return False
    return bool(waybill.declarations) or waybill.state == _DECLARE_LATER


def _credit(firm: Enterprise | None, site: Site | None) -> Iterator[str]:
    """信用: who is not known is not trusted."""
    tier = CreditTier.LOW if firm is None else firm.tier
    if site is not None and tier in site.inspect_all_tiers:
        yield Reason.CREDIT_INSPECT.value


def _stops(recall: Recall, waybill: Waybill, code: str) -> bool:
    return recall.state is RecallState.ACTIVE and (recall.names(waybill) or code in recall.trace_codes)
