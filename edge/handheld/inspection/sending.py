"""异常处置: a draft becomes facts in one transaction, comes back where they could not be written, or is
thrown away.
"""

from __future__ import annotations

import msgspec

from edge.handheld.context import Context
from edge.handheld.effects import Commit, Effect, LookUp, Sound, Told, Tone, Wanted
from edge.handheld.inspection.evidence import failed
from edge.handheld.inspection.orders import is_for
from edge.handheld.inspection.readiness import missing
from edge.handheld.inspection.second_officer import officers_needed
from edge.handheld.inspection.state import (
    MOST_COUNTED_BYTES,
    MOST_SAMPLES,
    MOST_SENT,
    Draft,
    Outgoing,
    State,
    Stepped,
    changed,
    draft_of,
    not_done,
    put,
    stopped_words,
)
from sync.vocabulary import handheld_facts as fact
from sync.vocabulary.codec import to_json
from sync.vocabulary.facts import FactData, FindingMade, InspectionMade, Stream
from sync.vocabulary.rulings import Text


def send(state: State, context: Context, order_no: str) -> Stepped:
    """Inspection and finding in one transaction: the order has one end, whenever power goes."""
    draft = draft_of(state, order_no)
    if draft is None or context.officer is None or not is_for(draft.order, context):
        return not_done(state, Text("无此草稿或无授权", "No such draft for you"))
    if draft.stopped:
        return not_done(state, stopped_words(draft))
    lacks = missing(draft, context)
    if draft.step != "ready" or lacks:
        return not_done(state, lacks[0] if lacks else Text("请先确认备好", "Say first that it is ready"))
    officer = context.officer.officer_no
    number = state.request + 1
    out = Outgoing(
        order_no=order_no,
        finding=draft.finding or "",
        handling=draft.handling or "",
        utc=context.utc,
        request=number,
        draft=draft,
    )
    samples = state.samples
    if draft.sample is not None:
        samples = (*samples, msgspec.structs.replace(draft.sample, sent=context.utc))[-MOST_SAMPLES:]
    state = changed(
        state,
        request=number,
        drafts=tuple(each for each in state.drafts if each.order_no != order_no),
        front="" if state.front == order_no else state.front,
        outbox=_trimmed((*state.outbox, out)),
        samples=samples,
        told=None,
    )
    facts = tuple(Told(Stream.ROUTINE, data) for data in _facts_of(draft, officer, context))
    return state, (Commit(facts, request=number), Sound(Tone.RELEASE))


def _facts_of(draft: Draft, officer: str, context: Context) -> tuple[FactData, ...]:
    second = draft.second_officer if officers_needed(draft, context) > 1 else ""
    officers = (officer, second) if second else (officer,)
    waybills = tuple(parcel.waybill_no for parcel in draft.parcels)
    kept = [item for item in draft.evidence if item.state == "kept"]
    counted = _counted(draft)
    made = InspectionMade(
        order_no=draft.order_no,
        officers=officers,
        waybill_nos=waybills,
        method="" if draft.method is None else draft.method.value,
        pictures=tuple(item.sha256 for item in kept if item.kind != "voice"),
        quantities=counted[0],
        parts=len(counted),
        measured=tuple(
            fact.MeasuredValue(what=each.what, value=each.value, unit=each.unit, waybill_no=each.waybill_no)
            for each in draft.measures
        ),
        marked=tuple(item.sha256 for item in kept if item.kind == "marked"),
        voice_notes=tuple(item.sha256 for item in kept if item.kind == "voice"),
        seal_no=draft.seal_no,
        second_officer=second,
        remark=draft.remark,
    )
    further = tuple(
        InspectionMade(
            order_no=draft.order_no,
            officers=officers,
            waybill_nos=tuple(dict.fromkeys(line.waybill_no for line in lines)),
            method=made.method,
            quantities=lines,
            part=part,
            parts=len(counted),
        )
        for part, lines in enumerate(counted[1:], start=2)
    )
    found = FindingMade(
        order_no=draft.order_no,
        officers=officers,
        finding=draft.finding or "",
        handling=draft.handling or "",
        remark=draft.remark,
        waybill_nos=waybills,
        sample_no="" if draft.sample is None else draft.sample.sample_no,
    )
    if draft.sample is None:
        return made, *further, found
    sample = draft.sample
    sent = fact.SampleSent(
        order_no=draft.order_no,
        sample_no=sample.sample_no,
        officers=officers,
        waybill_no=sample.waybill_no,
        sku=sample.sku,
        batch_no=sample.batch_no,
        quantity=sample.quantity,
        unit=sample.unit,
        laboratory=sample.laboratory,
        tests=sample.tests,
    )
    return made, *further, sent, found


def _counted(draft: Draft) -> list[tuple[fact.CountedLine, ...]]:
    """As many at once as one fact can carry beside all else it says."""
    parts: list[tuple[fact.CountedLine, ...]] = [()]
    size_bytes = 0
    for line in draft.lines:
        if not line.counted:
            continue
        told = fact.CountedLine(
            waybill_no=line.waybill_no,
            no=line.no,
            sku=line.sku,
            name=line.name,
            declared=line.declared,
            counted=line.counted,
            unit=line.unit,
            remark=line.remark,
        )
        more_bytes = len(to_json(told))
        if parts[-1] and size_bytes + more_bytes > MOST_COUNTED_BYTES:
            parts.append(())
            size_bytes = 0
        parts[-1] = (*parts[-1], told)
        size_bytes += more_bytes
    return parts


def _trimmed(outbox: tuple[Outgoing, ...]) -> tuple[Outgoing, ...]:
    """What the centre does not have is never forgotten."""
    spare = max(0, len(outbox) - MOST_SENT)
    sent = [out for out in outbox if out.is_sent][:spare]
    return tuple(out for out in outbox if out not in sent)


def committed(state: State, request: int, position: int) -> State:
    """Request 0 comes once, at the start: whatever the memory holds as sent stands before this position, and
    no picture is being taken."""
    outbox = tuple(
        msgspec.structs.replace(out, position=position, draft=None)
        if out.position == 0 and request in (0, out.request)
        else out
        for out in state.outbox
    )
    if request:
        dropping = tuple(each for each in state.dropping if each[0] != request)
        entered = tuple(each for each in state.entered if each[0] != request)
        return changed(state, outbox=outbox, dropping=dropping, entered=entered)
    why = "interrupted"
    drafts = tuple(
        msgspec.structs.replace(
            draft,
            recording=0,
            evidence=tuple(
                msgspec.structs.replace(item, state="failed", why=why) if item.state == "taking" else item
                for item in draft.evidence
            ),
        )
        for draft in state.drafts
    )
    return changed(
        state,
        outbox=outbox,
        drafts=drafts,
        dropping=(),
        entered=(),
        checking=None,
        looking=0,
        wanted="",
        is_listed=False,
        filling=(),
    )


def looked_up_again(state: State) -> Stepped:
    """What was declared had not come yet for some when the power went."""
    effects: list[Effect] = []
    for draft in state.drafts:
        if not draft.lines and not draft.stopped:
            number = state.request + 1
            state = changed(state, request=number, filling=(*state.filling, (number, draft.order_no)))
            effects.append(LookUp(number, Wanted.ORDERS, f"order {draft.order_no}"))
    return state, tuple(effects)


def acknowledged(state: State, up_to: int) -> State:
    outbox = tuple(
        msgspec.structs.replace(out, is_sent=True) if 0 < out.position <= up_to else out
        for out in state.outbox
    )
    return changed(state, outbox=outbox)


def not_recorded(state: State, request: int, why: str) -> Stepped:
    """Nothing of that transaction happened: the draft is back, ready as it was."""
    dropped = dict(state.dropping).get(request)
    if dropped is not None:
        dropping = tuple(each for each in state.dropping if each[0] != request)
        state = changed(state, dropping=dropping, drafts=(*state.drafts, dropped))
        return not_done(state, Text(f"未能记录：{why[:80]}", f"Not recorded: {why[:80]}"))
    resulted = dict(state.entered).get(request)
    if resulted is not None:
        entered = tuple(each for each in state.entered if each[0] != request)
        state = changed(state, entered=entered, samples=(*state.samples, resulted))
        return not_done(state, Text(f"未能记录：{why[:80]}", f"Not recorded: {why[:80]}"))
    pictured = next(
        (each for each in state.drafts if any(item.request == request for item in each.evidence)), None
    )
    if pictured is not None:
        told = Text(f"未能保存：{why[:80]}", f"Not kept: {why[:80]}")
        return not_done(put(state, failed(pictured, request, why)), told)
    out = next((each for each in state.outbox if each.request == request and each.position == 0), None)
    if out is None or out.draft is None:
        return state, ()
    sample = out.draft.sample
    state = changed(
        state,
        outbox=tuple(each for each in state.outbox if each is not out),
        drafts=(*state.drafts, out.draft),
        samples=tuple(each for each in state.samples if sample is None or each.sample_no != sample.sample_no),
    )
    return not_done(state, Text(f"未能发送：{why[:80]}", f"Not sent: {why[:80]}"))


def drop(state: State, context: Context, order_no: str, why: str) -> Stepped:
    draft = draft_of(state, order_no)
    if draft is None or context.officer is None:
        return not_done(state, Text("没有此草稿", "There is no such draft"))
    if not why:
        return not_done(state, Text("请说明作废原因", "Say why it is thrown away"))
    counted = sum(bool(line.counted) for line in draft.lines)
    kept = sum(item.state == "kept" for item in draft.evidence)
    dropped = fact.DraftDropped(
        what="inspection",
        number=order_no,
        officer=context.officer.officer_no,
        why=why,
        held=f"{draft.stopped or draft.step}: {counted} of {len(draft.lines)} lines, {kept} pieces of "
        f"evidence, {len(draft.measures)} measures, finding {draft.finding or 'none'}",
    )
    number = state.request + 1
    state = changed(
        state,
        request=number,
        drafts=tuple(each for each in state.drafts if each is not draft),
        dropping=(*state.dropping, (number, draft)),
        front="" if state.front == order_no else state.front,
        told=None,
    )
    return state, (Commit((Told(Stream.ROUTINE, dropped),), request=number),)
