"""查验指令: which orders there are, who has one in hand, and which parcels belong to it."""

from __future__ import annotations

import msgspec

from edge.handheld.context import Context
from edge.handheld.effects import LookUp, Sound, Tone, Wanted
from edge.handheld.events import OrderFindings, ParcelFindings
from edge.handheld.inspection.state import (
    MOST_DRAFTS,
    MOST_LINES,
    MOST_LINES_IN_HAND,
    MOST_ORDERS,
    MOST_PARCELS,
    Draft,
    Line,
    Parcel,
    State,
    Stepped,
    changed,
    commit,
    draft_of,
    not_done,
    put,
)
from sync.vocabulary.facts import OrderTaken
from sync.vocabulary.records import InspectionOrder, OrderStanding, OrderState, Waybill, declared_lines
from sync.vocabulary.rulings import Text


def is_needed(state: State, context: Context) -> bool:
    return context.officer is not None or bool(state.drafts)


def look(state: State, context: Context) -> Stepped:
    if not is_needed(state, context):
        return state, ()
    number = state.request + 1
    return changed(state, request=number, looking=number), (LookUp(number, Wanted.ORDERS),)


def orders_found(state: State, context: Context, request: int, found: OrderFindings) -> Stepped:
    order_no = dict(state.filling).get(request)
    if order_no is not None:
        state = changed(state, filling=tuple(each for each in state.filling if each[0] != request))
        draft = draft_of(state, order_no)
        return (state, ()) if draft is None else (put(state, _with_parcels(draft, found.waybills)), ())
    if request != state.looking:
        return state, ()
    by_no = {order.order_no: order for order in found.orders}
    standings = {each.order_no: each for each in found.standings}
    drafts = tuple(
        draft
        if draft.stopped
        else msgspec.structs.replace(draft, stopped=_why_stopped(draft, by_no, standings, context))
        for draft in state.drafts
    )
    newly = [
        draft.order_no
        for draft, old in zip(drafts, state.drafts, strict=True)
        if draft.stopped and not old.stopped
    ]
    state = changed(
        state,
        looking=0,
        is_listed=True,
        orders=tuple(order for order in found.orders if order.state is OrderState.OPEN)[:MOST_ORDERS],
        standings=tuple(standings[no] for no in by_no if no in standings)[:MOST_ORDERS],
        drafts=drafts,
    )
    wanted, state = state.wanted, changed(state, wanted="")
    if newly:
        nos = " ".join(newly)
        told = Text(f"指令已停止：{nos}", f"Stopped: {nos}")
        return changed(state, told=told), (Sound(Tone.HOLD),)
    return take(state, context, wanted) if wanted else (state, ())


def _why_stopped(
    draft: Draft,
    orders: dict[str, InspectionOrder],
    standings: dict[str, OrderStanding],
    context: Context,
) -> str:
    order, standing = orders.get(draft.order_no), standings.get(draft.order_no)
    if order is not None and order.state is OrderState.WITHDRAWN:
        return "withdrawn"
    if standing is not None and standing.step == "found" and standing.device != context.device:
        return f"{', '.join(standing.officers)} {standing.device}".strip()
    return ""


def in_hand(state: State, order_no: str, context: Context) -> OrderStanding | None:
    """Where somebody else has it, or it is done with."""
    standing = next((each for each in state.standings if each.order_no == order_no), None)
    if standing is None or (standing.not_counted and not standing.officers):
        return None
    mine = context.officer is not None and standing.officers[:1] == (context.officer.officer_no,)
    return None if mine and standing.step != "found" else standing


def is_for(order: InspectionOrder, context: Context) -> bool:
    """Authorised for it, and named in it where it names anybody."""
    if context.officer is None or not context.may(order.authorisation):
        return False
    return not order.officers or context.officer.officer_no in order.officers


def is_over(state: State, order_no: str) -> bool:
    """Sent from here, or found by whoever had it."""
    return any(out.order_no == order_no for out in state.outbox) or any(
        each.order_no == order_no and each.step == "found" for each in state.standings
    )


def take(state: State, context: Context, order_no: str) -> Stepped:
    order = next((order for order in state.orders if order.order_no == order_no), None)
    if order is None and not state.wanted and context.officer is not None and not state.is_listed:
        looked, effects = look(state, context)
        return changed(looked, wanted=order_no), effects
    if order is None or context.officer is None or not is_for(order, context):
        return not_done(state, Text("无此指令或无授权", "No such order for you"))
    if draft_of(state, order_no) is not None:
        return changed(state, front=order_no), ()
    if is_over(state, order_no):
        return not_done(state, Text("此指令已处置", "This order is done with"))
    standing = in_hand(state, order_no, context)
    if standing is not None:
        who = ", ".join(standing.officers)
        return not_done(state, Text(f"已由 {who} 领取", f"{who} has it in hand"))
    lines = sum(len(draft.lines) for draft in state.drafts)
    if len(state.drafts) >= MOST_DRAFTS or lines >= MOST_LINES_IN_HAND:
        return not_done(state, Text("在办过多，请先处置", "Too many in hand: finish some first"))
    parcels = tuple(Parcel(str(waybill_no)) for waybill_no in order.waybill_nos[:MOST_PARCELS])
    draft = Draft(
        order=order, method=order.method, parcels=parcels, parcel=parcels[0].waybill_no if parcels else ""
    )
    number = state.request + 1
    state = changed(
        state,
        request=number,
        drafts=(*state.drafts, draft),
        front=order_no,
        filling=(*state.filling, (number, order_no))[-MOST_DRAFTS:],
        told=None,
    )
    taken = OrderTaken(order_no=order_no, officers=(context.officer.officer_no,))
    return state, (commit(taken), LookUp(number, Wanted.ORDERS, f"order {order_no}"))


def _with_parcels(draft: Draft, waybills: tuple[Waybill, ...]) -> Draft:
    """What was counted stays as it is."""
    known = {(line.waybill_no, line.no) for line in draft.lines}
    parcels = {parcel.waybill_no: parcel for parcel in draft.parcels}
    lines = list(draft.lines)
    for waybill in waybills:
        number = str(waybill.waybill_no)
        if number not in parcels and len(parcels) >= MOST_PARCELS:
            continue
        parcels[number] = Parcel(number, waybill.trace_code, waybill.enterprise or "", waybill.batch_no)
        for line in declared_lines(waybill):
            if (number, line.no) in known or len(lines) >= MOST_LINES:
                continue
            declared = "" if line.quantity is None else str(line.quantity)
            lines.append(
                Line(
                    number,
                    line.no,
                    line.name,
                    line.sku,
                    line.hs_code,
                    line.origin,
                    declared,
                    line.unit,
                    line.batch_no,
                )
            )
    front = draft.parcel or next(iter(parcels), "")
    return msgspec.structs.replace(draft, parcels=tuple(parcels.values()), lines=tuple(lines), parcel=front)


def scanned(state: State, text: str) -> Stepped:
    """A parcel of the draft comes to the front; another one is looked up: it may be on the order's slip."""
    draft = draft_of(state, state.front)
    if draft is None:
        return not_done(state, Text("请先打开一条指令", "Open an order first"))
    if any(parcel.waybill_no == text for parcel in draft.parcels):
        return put(state, msgspec.structs.replace(draft, parcel=text)), (Sound(Tone.RELEASE),)
    number = state.request + 1
    filling = (*state.filling, (number, draft.order_no))[-MOST_DRAFTS:]
    return changed(state, request=number, filling=filling), (LookUp(number, Wanted.PARCEL, text),)


def parcel_found(state: State, request: int, found: ParcelFindings) -> Stepped:
    order_no = dict(state.filling).get(request)
    if order_no is None:
        return state, ()
    state = changed(state, filling=tuple(each for each in state.filling if each[0] != request))
    draft = draft_of(state, order_no)
    if draft is None:
        return state, ()
    order = draft.order
    its = tuple(
        waybill
        for waybill in found.waybills
        if waybill.waybill_no in order.waybill_nos
        or (not order.waybill_nos and order.slip_no is not None and waybill.slip_no == order.slip_no)
    )
    if len(its) != 1:
        return not_done(state, Text("此包裹不在本指令内", "This parcel is not part of the order"))
    draft = msgspec.structs.replace(_with_parcels(draft, its), parcel=str(its[0].waybill_no))
    return put(state, draft), (Sound(Tone.RELEASE),)
