"""Double-random inspection (双随机): goods and officers drawn by lot, and the orders that come of it.

Who is drawn is authorised, active and has nothing in hand; no parcel is drawn twice for the same cause, and a
spot check, which is no cause of its own, draws none that any order stands for. The seed, and what was in both
urns, stand in every order. No MQTT, no clock; the seed comes in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from sync.hub.archive import Archive, CentreAct
from sync.hub.centre import By, CentreRefused, issue_order
from sync.hub.refusals import expectation
from sync.policy.lots import draw_goods, draw_officers, sha256_of
from sync.vocabulary.codec import Malformed, decoder
from sync.vocabulary.numbers import UtcText, WaybillNo
from sync.vocabulary.records import (
    Draw,
    InspectionMethod,
    InspectionOrder,
    Officer,
    OfficerState,
    OrderCause,
    OrderPart,
    OrderStanding,
    OrderState,
)

MOST = 2_000
"""Lots of one draw."""
OUT_OF_THE_URN = frozenset({"cancelled", "left"})
"""States of a waybill that is not there to be inspected."""

_ONE_CAUSE = frozenset({OrderCause.CREDIT, OrderCause.X_RAY})

_read_order = decoder(InspectionOrder)
_read_officer = decoder(Officer)
_read_standing = decoder(OrderStanding)


class _Goods(msgspec.Struct, frozen=True):
    """Of a waybill, checked as a whole when it came."""

    slip_no: str | None = None
    enterprise: str | None = None
    state: str = "declared"


_read_goods = decoder(_Goods)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be drawn."""

    draw_no: str
    count: int
    officers_each: int = 1
    authorisation: str = "inspect"
    slip_no: str = ""
    """Only parcels of this slip."""
    enterprise: str = ""
    cause: OrderCause = OrderCause.SPOT_CHECK
    parts: tuple[OrderPart, ...] = ()
    method: InspectionMethod | None = None
    due: UtcText | None = None


def draw(
    archive: Archive, scope: str, wish: Wish, by: By, *, seed: str, at_utc: str, issue: bool = True
) -> tuple[InspectionOrder, ...]:
    """The orders, in the order they were drawn; issued in one transaction, or only shown. The same wish and
    seed over the same records give the same. Raises `CentreRefused`."""
    by.checked()
    if not 1 <= wish.count <= MOST or not 1 <= wish.officers_each <= 2:
        raise CentreRefused(
            f"应为 1 至 {MOST} 件包裹，每件 1 或 2 名关员",
            f"expected 1 to {MOST} parcels and 1 or 2 officers each",
        )
    if len(wish.draw_no) > 48:
        raise CentreRefused("抽取编号不超过 48 个字符", "the draw's number: expected at most 48 characters")
    known = tuple(_orders(archive, scope))
    if any(order.draw is not None and order.draw.draw_no == wish.draw_no for order in known):
        raise CentreRefused(
            f"抽取 {wish.draw_no} 已办理，请换编号",
            f"draw {wish.draw_no} was made already: give this one another number",
        )
    drawn_before = {
        str(number)
        for order in known
        if (order.cause is wish.cause or wish.cause is OrderCause.SPOT_CHECK)
        and order.state is not OrderState.WITHDRAWN
        for number in order.waybill_nos
    }
    officers = free_officers(archive, scope, wish.authorisation, known, at_utc)
    try:
        goods = draw_goods(seed, _urn(archive, scope, wish, drawn_before), wish.count)
        lots = draw_officers(seed, goods.lots, officers, wish.officers_each)
    except ValueError as error:
        raise CentreRefused(
            f"{expectation(str(error)).zh}（授权 {wish.authorisation}，手中无指令）",
            f"{error} (authorised for {wish.authorisation}, nothing in hand)",
        ) from error
    if not goods.lots:
        raise CentreRefused(
            "范围内的包裹均已因同一起因抽过",
            "there is nothing to draw from that was not drawn for this cause before",
        )
    officers_sha256 = sha256_of(officers)
    orders = tuple(
        InspectionOrder(
            order_no=f"{wish.draw_no}-{place:04d}",
            waybill_nos=(WaybillNo(number),),
            cause=wish.cause,
            cause_detail=f"{by.reason}; draw {wish.draw_no}"[:400],
            authorisation=wish.authorisation,
            officers=who,
            officers_needed=wish.officers_each,
            parts=wish.parts,
            method=wish.method,
            draw=Draw(
                draw_no=wish.draw_no,
                seed=seed,
                goods=goods.held,
                officers=len(officers),
                goods_sha256=goods.sha256,
                officers_sha256=officers_sha256,
                place=place,
            ),
            issued=UtcText(at_utc),
            issued_by=",".join(by.officers),
            due=wish.due,
        )
        for place, (number, who) in enumerate(zip(goods.lots, lots, strict=True), start=1)
    )
    if issue:
        with archive.transaction():
            # Drawn without keeping the hub from writing: whoever drew or ordered meanwhile was first.
            if tuple(_orders(archive, scope)) != known:
                raise CentreRefused(
                    "抽取期间指令有变化，请再抽一次", "orders were changed while it was drawn: draw again"
                )
            for order in orders:
                issue_order(archive, scope, order, by)
            detail = (
                f"seed {seed}: {len(orders)} of {goods.held} parcels (sha256 {goods.sha256}), "
                f"{len(officers)} officers (sha256 {officers_sha256})"
            )
            archive.add_act(CentreAct(at_utc, "draw", wish.draw_no, by.officers, by.reason, detail))
    return orders


def free_officers(
    archive: Archive, scope: str, authorisation: str, known: tuple[InspectionOrder, ...], at_utc: str
) -> tuple[str, ...]:
    """Active, authorised, and with no order in hand or waiting for them."""
    standings = {
        standing.order_no: standing
        for key in archive.record_keys(scope, "order_standings")
        if (standing := _standing(archive, scope, key)) is not None
    }
    busy: set[str] = set()
    for order in known:
        standing = standings.get(order.order_no)
        if order.state is OrderState.WITHDRAWN or (standing is not None and standing.step == "found"):
            continue
        busy.update(order.officers)
        busy.update(standing.officers if standing is not None else ())
    free = []
    for key in sorted(archive.record_keys(scope, "officers")):
        try:
            officer = _read_officer(archive.record("officers", key, scope) or "")
        except Malformed:
            continue
        if (
            officer.state is OfficerState.ACTIVE
            and UtcText(at_utc) < officer.valid_until
            and authorisation in officer.authorisations
            and officer.officer_no not in busy
        ):
            free.append(officer.officer_no)
    return tuple(free)


def ordered_before(archive: Archive, scope: str, wanted: InspectionOrder) -> tuple[str, str] | None:
    """A parcel of `wanted` that was inspected or is ordered without a new cause since, and that order's
    number; None where there is none. Another control, recall or officer's word is a new cause; a spot check
    is none."""
    named = set(wanted.waybill_nos)
    for order in _orders(archive, scope):
        same = order.cause is wanted.cause and (
            wanted.cause in _ONE_CAUSE or order.cause_detail == wanted.cause_detail
        )
        same = same or wanted.cause is OrderCause.SPOT_CHECK
        if same and order.state is not OrderState.WITHDRAWN and order.order_no != wanted.order_no:
            for number in order.waybill_nos:
                if number in named:
                    return str(number), order.order_no
    return None


def _urn(archive: Archive, scope: str, wish: Wish, drawn_before: set[str]) -> list[str]:
    """Waybills that can be drawn, in the order of their numbers: an engine may sort otherwise."""
    return sorted(_drawable(archive, scope, wish, drawn_before))


def _drawable(archive: Archive, scope: str, wish: Wish, drawn_before: set[str]) -> Iterator[str]:
    for collection, key, body in archive.record_rows(scope):
        if collection != "waybills" or key in drawn_before:
            continue
        try:
            goods = _read_goods(body)
        except Malformed:
            continue
        if (
            goods.state not in OUT_OF_THE_URN
            and (not wish.slip_no or goods.slip_no == wish.slip_no)
            and (not wish.enterprise or goods.enterprise == wish.enterprise)
        ):
            yield key


def _orders(archive: Archive, scope: str) -> Iterator[InspectionOrder]:
    for key in archive.record_keys(scope, "inspection_orders"):
        try:
            yield _read_order(archive.record("inspection_orders", key, scope) or "")
        except Malformed:
            continue


def _standing(archive: Archive, scope: str, key: str) -> OrderStanding | None:
    try:
        return _read_standing(archive.record("order_standings", key, scope) or "")
    except Malformed:
        return None
