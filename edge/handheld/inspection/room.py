"""The room of the machine: each event to the one that decides it."""

from __future__ import annotations

from edge.handheld.context import Context
from edge.handheld.effects import CheckPin, Commit
from edge.handheld.events import (
    Committed,
    EffectFailed,
    EvidenceFailed,
    EvidenceKept,
    FactsAcknowledged,
    Found,
    OrderFindings,
    ParcelFindings,
    PinChecked,
    Scanned,
    SyncChanged,
)
from edge.handheld.inspection.carrying_out import work
from edge.handheld.inspection.evidence import evidence_failed, evidence_kept
from edge.handheld.inspection.laboratory import result_entered
from edge.handheld.inspection.orders import is_needed, look, orders_found, parcel_found, scanned, take
from edge.handheld.inspection.second_officer import second_checked
from edge.handheld.inspection.sending import (
    acknowledged,
    committed,
    drop,
    looked_up_again,
    not_recorded,
    send,
)
from edge.handheld.inspection.state import MOST_TEXT, Event, State, Stepped, changed, not_done
from edge.handheld.inspection.wants import (
    AllAsDeclared,
    Begun,
    ChangeAsked,
    DraftOpened,
    DraftPutAside,
    DropAsked,
    EvidenceLeftOut,
    FindingChosen,
    HandlingChosen,
    LineCounted,
    Measured,
    MeasureTakenBack,
    MessagePutAway,
    MethodChosen,
    OrdersAsked,
    OrderTakeAsked,
    PhotoAsked,
    PhotoMarked,
    ReadyAsked,
    RemarkWritten,
    ResultEntered,
    SampleTaken,
    SealNoted,
    SecondOfficerCame,
    SendAsked,
    VoiceBegun,
    VoiceEnded,
)
from sync.vocabulary.rulings import Text


def step(state: State, context: Context, event: Event) -> Stepped:
    match event:
        case OrdersAsked():
            return look(state, context)
        case SyncChanged(sync) if sync.records_number != state.records_number and is_needed(state, context):
            return look(changed(state, records_number=sync.records_number), context)
        case Found(request, OrderFindings() as found):
            return orders_found(state, context, request, found)
        case Found(request, ParcelFindings() as parcels):
            return parcel_found(state, request, parcels)
        case OrderTakeAsked(order_no):
            return take(state, context, order_no)
        case DraftOpened(order_no) if any(draft.order_no == order_no for draft in state.drafts):
            return changed(state, front=order_no, told=None), ()
        case DraftPutAside():
            return changed(state, front="", told=None), ()
        case SendAsked(order_no):
            return send(state, context, order_no)
        case DropAsked(order_no, why):
            return drop(state, context, order_no, why.strip()[:MOST_TEXT])
        case ResultEntered():
            return result_entered(state, context, event)
        case PinChecked():
            return second_checked(state, context, event)
        case EvidenceKept():
            return evidence_kept(state, context, event)
        case EvidenceFailed(request, why):
            return evidence_failed(state, request, why)
        case Committed(0, position):
            return looked_up_again(committed(state, 0, position))
        case Committed(request, position):
            return committed(state, request, position), ()
        case FactsAcknowledged(up_to):
            return acknowledged(state, up_to), ()
        case EffectFailed(Commit(request=request), why) if request:
            return not_recorded(state, request, why)
        case EffectFailed(CheckPin(request=request), why) if state.checking is not None:
            told = Text(f"未能验证：{why[:80]}", f"Not checked: {why[:80]}")
            checking = None if state.checking[0] == request else state.checking
            return not_done(changed(state, checking=checking), told)
        case MessagePutAway():
            return changed(state, told=None), ()
        case Scanned(text):
            return scanned(state, text.strip())
        case (
            Begun() | MethodChosen() | LineCounted() | AllAsDeclared() | PhotoAsked() | PhotoMarked()
            | EvidenceLeftOut() | VoiceBegun() | VoiceEnded() | Measured() | MeasureTakenBack() | SealNoted()
            | RemarkWritten() | SecondOfficerCame() | FindingChosen() | HandlingChosen() | SampleTaken()
            | ReadyAsked() | ChangeAsked()
        ):  # fmt: skip
            return work(state, context, event)
        case _:
            return state, ()
