"""Inspection in three steps: no draft is lost and no order has two ends, whatever comes between."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from edge.handheld import inspection
from edge.handheld.context import Sync
from edge.handheld.effects import (
    CheckPin,
    Commit,
    Effect,
    LookUp,
    MarkPhoto,
    RecordVoice,
    StopVoice,
    TakePhoto,
    Tone,
)
from edge.handheld.events import (
    Committed,
    EffectFailed,
    EvidenceFailed,
    EvidenceKept,
    FactsAcknowledged,
    Found,
    OrderFindings,
    PinChecked,
    Scanned,
    SyncChanged,
)
from edge.handheld.inspection import InspectionView
from edge.handheld.inspection.shown import DraftShown
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
from edge.handheld.memory import MOST_BYTES, Memory, write
from sync.vocabulary.blobs import BlobClass
from sync.vocabulary.facts import FactDraft, InspectionMade, Stream, check_length, seal
from sync.vocabulary.handheld_facts import DraftDropped
from sync.vocabulary.records import (
    InspectionMethod,
    InspectionOrder,
    OrderCause,
    OrderPart,
    OrderStanding,
    OrderState,
)
from sync.vocabulary.rulings import Text
from tests.machine.handheld_plays import OTHER_SLIP, RECORDS, SLIP, UTC, Play, parcel, waybill, waybill_no


def order(order_no: str = "XD-1", **changes: Any) -> InspectionOrder:
    fields: dict[str, Any] = {
        "order_no": order_no,
        "waybill_nos": (waybill_no(1),),
        "cause": OrderCause.SPOT_CHECK,
        "issued": UTC,
        "issued_by": "4604009",
    }
    return InspectionOrder(**{**fields, **changes})


def orders(*found: InspectionOrder, standings: tuple[OrderStanding, ...] = ()) -> Play:
    return (
        Play(inspection.State(), inspection.step).tell(OrdersAsked()).found(OrderFindings(found, standings))
    )


def in_hand(found: InspectionOrder | None = None) -> Play:
    found = order() if found is None else found
    stage = orders(found).tell(OrderTakeAsked(found.order_no))
    return stage.found(OrderFindings((), waybills=(waybill(1),)))


def carrying_out(found: InspectionOrder | None = None) -> Play:
    return in_hand(found).tell(Begun())


def ready(found: InspectionOrder | None = None, finding: Any = "nothing", handling: Any = "released") -> Play:
    stage = carrying_out(found).tell(MethodChosen(InspectionMethod.OPENED), AllAsDeclared(str(waybill_no(1))))
    return stage.tell(FindingChosen(finding), HandlingChosen(handling), ReadyAsked())


def photo(stage: Play, sha256: str = "a" * 64, kind: Any = "photo") -> Play:
    request = stage.last[-1].request  # type: ignore[union-attr]
    return stage.tell(EvidenceKept(request, sha256, 1000, kind, UTC))


def shown(stage: Play) -> InspectionView:
    return inspection.view(stage.state, stage.context)


def draft(stage: Play) -> DraftShown:
    found = shown(stage).draft
    assert found is not None
    return found


def missing(stage: Play) -> list[str]:
    return [text.en for text in draft(stage).missing]


# --- orders -------------------------------------------------------------------------------------------------


def test_only_open_orders_this_officer_may_carry_out_and_is_named_in_are_offered() -> None:
    stage = orders(
        order("XD-1"),
        order("XD-2", state=OrderState.WITHDRAWN),
        order("XD-3", authorisation="quarantine"),
        order("XD-4", officers=("4604001", "4604002")),
        order("XD-5", officers=("4604002",)),
    )
    assert [row.order_no for row in shown(stage).orders] == ["XD-1", "XD-4"]
    for order_no in ("XD-2", "XD-3", "XD-5", "XD-9"):
        assert stage.tell(OrderTakeAsked(order_no)).facts() == []


def test_an_order_somebody_else_has_in_hand_is_shown_and_not_taken() -> None:
    taken = OrderStanding(order_no="XD-1", step="taken", officers=("4604002",), device="handheld-2")
    stage = orders(order(), standings=(taken,)).tell(OrderTakeAsked("XD-1"))
    (row,) = shown(stage).orders
    assert (row.may_take, stage.facts(), stage.tones()) == (False, [], [Tone.ERROR])
    assert row.in_hand is not None
    assert row.in_hand.en == "In hand: 4604002 handheld-2"


def test_an_order_that_was_found_is_offered_to_nobody() -> None:
    ended = OrderStanding(order_no="XD-1", step="found", officers=("4604001",), device="handheld-1")
    stage = orders(order(), standings=(ended,)).tell(OrderTakeAsked("XD-1"))
    assert (shown(stage).orders, stage.facts()) == ((), [])


def test_an_order_this_officer_took_with_another_device_may_be_taken_here() -> None:
    taken = OrderStanding(order_no="XD-1", step="taken", officers=("4604001",), device="handheld-2")
    assert orders(order(), standings=(taken,)).tell(OrderTakeAsked("XD-1")).kinds() == ["order_taken"]


def test_taking_is_a_fact_and_brings_what_was_declared() -> None:
    stage = in_hand()
    (taken,) = stage.facts("order_taken")
    assert (taken.order_no, taken.officers) == ("XD-1", ("4604001",))
    assert [(line.no, line.sku, line.declared, line.counted) for line in draft(stage).lines] == [
        ("1", "SKU-1", "2", ""), ("2", "SKU-2", "0.5", ""),
    ]  # fmt: skip
    stage.tell(OrderTakeAsked("XD-1"))
    assert len(stage.facts("order_taken")) == 1


def test_nothing_is_worked_on_before_it_is_begun() -> None:
    stage = in_hand().tell(RemarkWritten("x"), FindingChosen("nothing"), ReadyAsked())
    assert (draft(stage).remark, draft(stage).step) == ("", "taken")
    stage.tell(Begun(), RemarkWritten("x"))
    assert (draft(stage).remark, stage.kinds()) == ("x", ["order_taken", "inspection_begun"])


def test_records_that_moved_are_looked_at_again() -> None:
    stage = orders(order())
    stage.officer = None
    assert stage.tell(SyncChanged(Sync(records_number=43))).last == ()
    stage.officer = "4604001"
    stage.tell(SyncChanged(Sync(records_number=43)))
    assert isinstance(stage.last[0], LookUp)
    assert stage.tell(SyncChanged(Sync(records_number=43))).last == ()


def test_an_order_a_verdict_named_is_looked_up_and_taken() -> None:
    stage = Play(inspection.State(), inspection.step).tell(OrderTakeAsked("XD-1"))
    stage.found(OrderFindings((order(),)))
    assert (stage.kinds(), draft(stage).order_no) == (["order_taken"], "XD-1")
    stage = Play(inspection.State(), inspection.step).tell(OrderTakeAsked("XD-9"))
    stage.found(OrderFindings((order(),)))
    assert (stage.kinds(), stage.tones()) == ([], [Tone.ERROR])
    assert stage.tell(OrderTakeAsked("XD-9")).tones() == [Tone.ERROR]


# --- carrying out -------------------------------------------------------------------------------------------


def test_quantities_are_compared_with_what_was_declared() -> None:
    stage = carrying_out().tell(
        LineCounted(str(waybill_no(1)), "1", "3", "多一瓶"), LineCounted(str(waybill_no(1)), "2", "0.50")
    )
    assert [(line.counted, line.differs) for line in draft(stage).lines] == [("3", True), ("0.50", False)]
    stage.tell(LineCounted(str(waybill_no(1)), "9", "1", name="手表"))
    assert [(line.name, line.is_extra, line.differs) for line in draft(stage).lines][2:] == [
        ("手表", True, True)
    ]
    stage.tell(LineCounted(str(waybill_no(1)), "9", ""))
    assert len(draft(stage).lines) == 2
    stage.tell(LineCounted(str(waybill_no(1)), "1", "three"))
    assert (draft(stage).lines[0].counted, stage.tones()) == ("3", [Tone.ERROR])


def test_a_photo_is_a_fact_as_soon_as_it_is_on_the_disk_and_owed_as_evidence_of_a_hold() -> None:
    stage = carrying_out().tell(PhotoAsked("外观"))
    assert isinstance(stage.only(TakePhoto), TakePhoto)
    assert [item.state for item in draft(stage).evidence] == ["taking"]
    photo(stage)
    (kept,) = stage.facts("evidence_taken")
    assert (kept.sha256, kept.kind, kept.order_no, kept.officer) == ("a" * 64, "photo", "XD-1", "4604001")
    (owed,) = stage.only(Commit).evidence
    assert (owed.sha256, owed.blob_class) == ("a" * 64, BlobClass.HELD)


def test_marks_are_drawn_on_a_copy_and_name_the_untouched_picture() -> None:
    stage = photo(carrying_out().tell(PhotoAsked())).tell(PhotoMarked("a" * 64, (((0.1, 0.1), (0.5, 0.5)),)))
    assert stage.only(MarkPhoto).sha256 == "a" * 64
    photo(stage, "b" * 64, "marked")
    assert [(fact.kind, fact.of) for fact in stage.facts("evidence_taken")] == [
        ("photo", ""), ("marked", "a" * 64),
    ]  # fmt: skip
    assert stage.tell(PhotoMarked("c" * 64, (((0.1, 0.1),),))).tones() == [Tone.ERROR]


def test_a_voice_note_is_recorded_until_it_is_stopped_and_holds_up_what_is_not_ended() -> None:
    stage = carrying_out(order(parts=(OrderPart.VOICE,))).tell(VoiceBegun())
    request = stage.only(RecordVoice).request
    assert draft(stage).is_recording
    assert "End the voice note" in missing(stage)
    stage.tell(VoiceEnded())
    assert stage.only(StopVoice).request == request
    stage.tell(EvidenceKept(request, "c" * 64, 9, "voice", UTC))
    assert not draft(stage).is_recording
    assert not set(missing(stage)) & {"End the voice note", "Record a voice note"}


def test_a_picture_that_could_not_be_kept_is_said_and_does_not_count() -> None:
    stage = carrying_out(order(parts=(OrderPart.PHOTOS,))).tell(PhotoAsked())
    stage.tell(EvidenceFailed(stage.only(TakePhoto).request, "no camera"))
    assert [(item.state, item.why) for item in draft(stage).evidence] == [("failed", "no camera")]
    assert "Take a photo" in missing(stage)


def test_a_parcel_of_the_order_comes_to_the_front_and_another_one_is_refused() -> None:
    whole_load = order(waybill_nos=(), slip_no=SLIP)
    stage = carrying_out(whole_load)
    stage.tell(Scanned(str(waybill_no(5)))).found(parcel(waybill(5)))
    assert (draft(stage).parcel, len(draft(stage).parcels)) == (str(waybill_no(5)), 2)
    stage.tell(Scanned(str(waybill_no(1))))
    assert (draft(stage).parcel, stage.tones()) == (str(waybill_no(1)), [Tone.RELEASE])
    stage.tell(Scanned(str(waybill_no(6)))).found(parcel(waybill(6, OTHER_SLIP)))
    assert (len(draft(stage).parcels), stage.tones()) == (2, [Tone.ERROR])


def test_measures_are_numbers_with_units() -> None:
    stage = carrying_out().tell(Measured("weight", "1.25", "kg"), Measured("weight", "heavy", "kg"))
    assert [(each.what, each.value, each.unit) for each in draft(stage).measures] == [
        ("weight", "1.25", "kg")
    ]
    assert draft(stage.tell(MeasureTakenBack(1))).measures == ()


# --- ready --------------------------------------------------------------------------------------------------

PARTS = {
    OrderPart.QUANTITIES: "Count every line",
    OrderPart.PHOTOS: "Take a photo",
    OrderPart.MEASUREMENTS: "Measure",
    OrderPart.SEAL: "Note the seal's number",
    OrderPart.SAMPLE: "Take a sample for the laboratory",
    OrderPart.VOICE: "Record a voice note",
}


def test_it_is_not_ready_before_every_part_the_order_asks_for_is_there() -> None:
    stage = carrying_out(order(parts=tuple(OrderPart))).tell(ReadyAsked())
    assert draft(stage).step == "carrying_out"
    assert set(PARTS.values()) <= set(missing(stage))
    assert [part.is_done for part in draft(stage).parts] == [False] * len(OrderPart)
    stage.tell(AllAsDeclared(str(waybill_no(1))), Measured("weight", "1", "kg"), SealNoted("F-1"))
    photo(stage.tell(PhotoAsked()))
    photo(stage.tell(VoiceBegun()), "c" * 64, "voice")
    stage.tell(SampleTaken("S-1", sku="SKU-1"))
    assert set(PARTS.values()) & set(missing(stage)) == set()


@pytest.mark.parametrize(
    ("finding", "handling", "says"),
    [
        ("nothing", "seized", "Nothing was found"),
        ("nothing", "destroyed", "Nothing was found"),
        ("forbidden", "released", "What is forbidden"),
        ("other_goods", "seized", "What was found needs a photo"),
        ("nothing", "sample_sent", "Enter the sample's seal"),
    ],
)
def test_what_contradicts_itself_is_not_ready(finding: Any, handling: Any, says: str) -> None:
    stage = ready(finding=finding, handling=handling)
    assert draft(stage).step == "carrying_out"
    assert any(says in text for text in missing(stage))


def test_a_count_that_differs_is_not_nothing_found() -> None:
    stage = carrying_out().tell(
        MethodChosen(InspectionMethod.OPENED), LineCounted(str(waybill_no(1)), "1", "3")
    )
    stage.tell(FindingChosen("nothing"), HandlingChosen("released"), ReadyAsked())
    assert missing(stage) == ["The count differs: it cannot be nothing found"]


def test_what_is_ready_is_not_changed_and_not_sent_before_the_officer_says_so() -> None:
    stage = ready()
    assert (draft(stage).step, draft(stage).may_send) == ("ready", True)
    assert stage.facts("inspection_made", "finding_made") == []
    stage.tell(RemarkWritten("x"), FindingChosen("damaged"))
    assert draft(stage).remark == ""
    stage.tell(ChangeAsked(), RemarkWritten("x"))
    assert (draft(stage).remark, draft(stage).step) == ("x", "carrying_out")
    assert stage.tell(SendAsked("XD-1")).facts("finding_made") == []


# --- the second officer -------------------------------------------------------------------------------------


def test_where_two_are_needed_a_different_authorised_officer_proves_it_with_the_pin_and_both_are_named() -> (
    None
):
    stage = ready(order(officers_needed=2))
    assert missing(stage) == ["A second officer has to confirm"]
    stage.tell(SecondOfficerCame("4604001", "1111"))
    assert stage.tones() == [Tone.ERROR]
    stage.tell(SecondOfficerCame("4604002", "2222"))
    check = stage.only(CheckPin)
    assert "2222" not in repr(stage.state)
    assert check.purpose == "second"
    stage.tell(PinChecked(check.request, "wrong", tries=1))
    assert [(fact.officer, fact.tries) for fact in stage.facts("sign_in_refused")] == [("4604002", 1)]
    stage.tell(SecondOfficerCame("4604002", "3333"))
    stage.tell(PinChecked(stage.only(CheckPin).request, "right", ("patrol",)))
    assert draft(stage).second_officer == ""
    stage.tell(SecondOfficerCame("4604002", "3333"))
    stage.tell(
        PinChecked(stage.only(CheckPin).request, "right", ("inspect",)), ReadyAsked(), SendAsked("XD-1")
    )
    made, found = stage.facts("inspection_made", "finding_made")
    assert (made.officers, made.second_officer, found.officers) == (
        ("4604001", "4604002"), "4604002", ("4604001", "4604002"),
    )  # fmt: skip


@pytest.mark.parametrize(
    "touch",
    [
        HandlingChosen("released"), FindingChosen("damaged"), SealNoted("F-2"), RemarkWritten("其他"),
        LineCounted(str(waybill_no(1)), "1", "1"), Measured("weight", "3", "kg"),
    ],
)  # fmt: skip
def test_what_the_second_officer_has_confirmed_is_what_is_sent(touch: Any) -> None:
    stage = carrying_out(order(officers_needed=2)).tell(AllAsDeclared(str(waybill_no(1))))
    stage.tell(FindingChosen("nothing"), HandlingChosen("referred"), SecondOfficerCame("4604002", "2222"))
    stage.tell(PinChecked(stage.only(CheckPin).request, "right", ("inspect",)))
    draft = shown(stage).draft
    assert draft is not None
    assert draft.second_officer == "4604002"
    draft = shown(stage.tell(touch)).draft
    assert draft is not None
    assert draft.second_officer == ""


def test_a_second_pin_that_could_not_be_checked_may_be_typed_again() -> None:
    stage = carrying_out().tell(SecondOfficerCame("4604002", "2222"))
    stage.tell(EffectFailed(stage.only(CheckPin), "disk full"))
    assert shown(stage).second_officer_wanted is False
    assert shown(stage).told is not None


@pytest.mark.parametrize(
    ("answer", "zh", "en"),
    [
        (PinChecked(0, "wrong", tries=1), "工号或密码错误", "wrong number or PIN"),
        (PinChecked(0, "wrong", wait_s=3.2), "密码错误，请等待 4 秒", "wrong PIN, wait 4 s"),
        (PinChecked(0, "unknown"), "本机无此关员", "not rostered on this device"),
        (PinChecked(0, "expired"), "授权已到期", "the authorisation has ended"),
    ],
    ids=["wrong", "wait", "unknown", "expired"],
)
def test_who_does_not_count_as_second_officer_reads_why(answer: PinChecked, zh: str, en: str) -> None:
    stage = carrying_out().tell(SecondOfficerCame("4604002", "2222"))
    stage.tell(replace(answer, request=stage.only(CheckPin).request))
    assert shown(stage).told == Text(f"第二位关员：{zh}", f"Second officer: {en}")


def test_an_order_for_two_officers_says_so_before_it_is_taken_and_when_it_is_opened() -> None:
    assert [
        row.officers for row in shown(orders(order("XD-1"), order("XD-2", officers_needed=2))).orders
    ] == [
        None,
        Text("须两名关员", "Two officers needed"),
    ]
    assert "Two officers needed" in [row.value.en for row in draft(in_hand(order(officers_needed=2))).rows]
    assert "Two officers needed" not in [row.value.en for row in draft(in_hand(order())).rows]


def test_the_site_wants_two_for_a_sample_whatever_the_order_says() -> None:
    stage = ready(handling="sample_sent").tell(SampleTaken("S-1", sku="SKU-1"))
    assert missing(stage) == ["A second officer has to confirm"]


def test_the_second_officer_of_the_first_is_not_the_second_of_himself() -> None:
    """Another officer signs in, goes on with the draft, and is the one who had confirmed it."""
    stage = ready(order(officers_needed=2)).tell(SecondOfficerCame("4604002", "2222"))
    stage.tell(PinChecked(stage.only(CheckPin).request, "right", ("inspect",)), ReadyAsked())
    stage.officer = "4604002"
    stage.tell(SendAsked("XD-1"))
    assert stage.facts("finding_made") == []


# --- sent ---------------------------------------------------------------------------------------------------


def states(stage: Play) -> list[str]:
    return [row.state for row in shown(stage).drafts]


def test_draft_ready_sending_sent_are_seen_and_counted() -> None:
    stage = carrying_out()
    assert (states(stage), shown(stage).draft_count) == (["draft"], 1)
    stage = ready()
    assert (states(stage), shown(stage).ready_count) == (["ready"], 1)
    stage.tell(SendAsked("XD-1"))
    commit = stage.only(Commit)
    assert (states(stage), shown(stage).sending_count) == (["sending"], 1)
    stage.tell(FactsAcknowledged(500))
    assert states(stage) == ["sending"]
    stage.tell(Committed(commit.request, 17), FactsAcknowledged(16))
    assert states(stage) == ["sending"]
    stage.tell(FactsAcknowledged(17))
    assert (states(stage), shown(stage).sent_count) == (["sent"], 1)
    assert shown(stage).orders == ()


def test_inspection_and_finding_are_one_transaction() -> None:
    stage = ready().tell(SendAsked("XD-1"))
    assert [told.data.order_no for told in stage.only(Commit).facts] == ["XD-1", "XD-1"]
    made, found = stage.facts("inspection_made", "finding_made")
    assert (made.method, found.finding, found.handling) == ("opened", "nothing", "released")
    assert [(line.no, line.declared, line.counted) for line in made.quantities] == [
        ("1", "2", "2"), ("2", "0.5", "0.5"),
    ]  # fmt: skip


def test_however_much_was_counted_it_can_be_sent() -> None:
    lines = tuple(
        {"no": str(no), "sku": f"SKU-{no}", "name": "保湿面霜礼盒装限量版", "quantity": "2", "unit": "瓶"}
        for no in range(1, 21)
    )
    waybills = tuple(waybill(number, lines=lines) for number in range(1, 31))
    found = order(waybill_nos=tuple(each.waybill_no for each in waybills))
    stage = orders(found).tell(OrderTakeAsked(found.order_no)).found(OrderFindings((), waybills=waybills))
    stage.tell(Begun(), MethodChosen(InspectionMethod.OPENED))
    stage.tell(*(AllAsDeclared(str(each.waybill_no)) for each in waybills))
    stage.tell(FindingChosen("nothing"), HandlingChosen("released"), ReadyAsked(), SendAsked("XD-1"))
    told = [each.data for each in stage.only(Commit).facts]
    for data in told:
        draft = FactDraft("e" * 32, Stream.ROUTINE, UTC, "boot", 5, data)
        check_length(seal(draft, device="handheld-1", epoch="e", seq=1, position=1, prev="0" * 64))
    made = [each for each in told if isinstance(each, InspectionMade)]
    assert [each.part for each in made] == list(range(1, made[0].parts + 1))
    counted = [(line.waybill_no, line.no) for each in made for line in each.quantities]
    assert counted == [(str(each.waybill_no), str(no)) for each in waybills for no in range(1, 21)]


def test_it_is_sent_once_however_often_it_is_touched() -> None:
    stage = ready().tell(SendAsked("XD-1"), SendAsked("XD-1"), OrderTakeAsked("XD-1"), SendAsked("XD-1"))
    assert len(stage.facts("finding_made")) == 1
    assert len(stage.facts("order_taken")) == 1


def test_each_is_sent_by_its_own_place_in_the_journal() -> None:
    stage = orders(order("XD-1"), order("XD-2"))
    commits = []
    for number in ("XD-1", "XD-2"):
        stage.tell(OrderTakeAsked(number)).found(OrderFindings((), waybills=(waybill(1),)))
        stage.tell(Begun(), MethodChosen(InspectionMethod.OPENED), FindingChosen("nothing"))
        stage.tell(HandlingChosen("released"), ReadyAsked(), SendAsked(number))
        commits.append(stage.only(Commit).request)
    stage.tell(Committed(commits[0], 10), FactsAcknowledged(10))
    assert {row.order_no: row.state for row in shown(stage).drafts} == {"XD-1": "sent", "XD-2": "sending"}
    stage.tell(Committed(commits[1], 12), FactsAcknowledged(11))
    assert states(stage).count("sent") == 1
    stage.tell(FactsAcknowledged(12))
    assert states(stage).count("sent") == 2


def test_what_could_not_be_written_is_ready_again_and_nothing_was_sent() -> None:
    stage = ready().tell(SendAsked("XD-1"))
    commit = stage.only(Commit)
    stage.tell(EffectFailed(commit, "disk full"))
    assert (states(stage), stage.tones()) == (["ready"], [Tone.ERROR])
    stage.tell(SendAsked("XD-1"))
    stage.tell(Committed(stage.only(Commit).request, 20), FactsAcknowledged(20))
    assert states(stage) == ["sent"]


def test_after_a_power_cut_what_the_memory_holds_as_told_is_acknowledged_by_the_journals_head() -> None:
    stage = ready().tell(SendAsked("XD-1")).power_cut(head=30).tell(FactsAcknowledged(29))
    assert states(stage) == ["sending"]
    assert states(stage.tell(FactsAcknowledged(30))) == ["sent"]


def test_a_picture_that_was_being_taken_when_the_power_went_is_said_to_have_failed() -> None:
    stage = photo(carrying_out().tell(PhotoAsked())).tell(PhotoAsked()).power_cut()
    assert [item.state for item in draft(stage).evidence] == ["kept", "failed"]


# --- withdrawn, dropped -------------------------------------------------------------------------------------


def withdrawn(stage: Play) -> Play:
    stage.tell(OrdersAsked())
    return stage.found(OrderFindings((order(state=OrderState.WITHDRAWN),)))


@pytest.mark.parametrize("make", [in_hand, carrying_out, ready])
def test_a_withdrawn_order_stops_at_once_and_loses_no_draft(make: Any) -> None:
    stage = make()
    before = stage.state.drafts
    withdrawn(stage)
    assert stage.tones() == [Tone.HOLD]
    told = stage.facts()
    stage.tell(Begun(), RemarkWritten("x"), PhotoAsked(), ReadyAsked(), ChangeAsked(), SendAsked("XD-1"))
    assert stage.facts() == told
    assert [msgspec.structs.replace(each, stopped="") for each in stage.state.drafts] == list(before)
    assert (states(stage), draft(stage).may_send) == (["stopped"], False)


def test_an_order_another_device_has_ended_stops_here() -> None:
    ended = OrderStanding(order_no="XD-1", step="found", officers=("4604002",), device="handheld-2")
    stage = ready().tell(OrdersAsked())
    stage.found(OrderFindings((order(),), (ended,))).tell(SendAsked("XD-1"))
    assert (states(stage), stage.facts("finding_made")) == (["stopped"], [])
    stopped = draft(stage).stopped
    assert stopped is not None
    assert "4604002" in stopped.en


def test_a_draft_is_dropped_only_with_a_reason_and_its_evidence_stays_told() -> None:
    stage = photo(carrying_out().tell(PhotoAsked())).tell(DropAsked("XD-1", " "))
    assert states(stage) == ["draft"]
    stage.tell(DropAsked("XD-1", "误领"))
    (dropped,) = stage.facts("draft_dropped")
    assert (dropped.number, dropped.why, states(stage)) == ("XD-1", "误领", [])
    assert "1 pieces of evidence" in dropped.held
    assert len(stage.facts("evidence_taken")) == 1
    assert [row.order_no for row in shown(stage).orders] == ["XD-1"]


def test_a_drop_that_could_not_be_written_gives_the_draft_back() -> None:
    stage = carrying_out().tell(RemarkWritten("x"), DropAsked("XD-1", "误领"))
    stage.tell(EffectFailed(stage.only(Commit), "disk full"))
    assert [each.remark for each in stage.state.drafts] == ["x"]
    stage.tell(DropAsked("XD-1", "误领"))
    stage.tell(Committed(stage.only(Commit).request, 30))
    assert (stage.state.drafts, stage.state.dropping) == ((), ())


def test_evidence_that_is_left_out_is_not_named_and_stays_told() -> None:
    stage = photo(carrying_out().tell(PhotoAsked())).tell(EvidenceLeftOut("a" * 64))
    assert draft(stage).evidence == ()
    assert len(stage.facts("evidence_taken")) == 1


def test_what_a_memory_keeps_stays_small_whatever_the_records_say() -> None:
    long = tuple({"no": str(no), "sku": "S" * 400, "name": "字" * 400, "quantity": "2"} for no in range(600))
    waybills = tuple(waybill(1, lines=long[place : place + 30]) for place in range(0, 600, 30))
    named = tuple(map(waybill_no, range(2_000)))
    stage = orders(*(order(f"XD-{no}", waybill_nos=named) for no in range(100)))
    for no in range(inspection.state.MOST_DRAFTS):
        stage.tell(OrderTakeAsked(f"XD-{no}"))
        if any(isinstance(effect, LookUp) for effect in stage.last):
            stage.found(OrderFindings((), waybills=waybills)).tell(Begun())
    assert shown(stage).told is not None
    kept = inspection.kept(stage.state)
    assert len(write(Memory(inspection=kept))) < MOST_BYTES
    assert (kept.orders, kept.standings, kept.records_number) == ((), (), -1)


def test_several_drafts_are_kept_apart() -> None:
    stage = orders(order("XD-1"), order("XD-2"))
    for number in ("XD-1", "XD-2"):
        stage.tell(OrderTakeAsked(number)).found(OrderFindings((), waybills=(waybill(1),)))
        stage.tell(Begun(), RemarkWritten(number))
    stage.tell(DraftPutAside(), RemarkWritten("nobody's"), DraftOpened("XD-1"))
    assert (draft(stage).order_no, draft(stage).remark, shown(stage).draft_count) == ("XD-1", "XD-1", 2)


# --- the laboratory -----------------------------------------------------------------------------------------


FAILED = Text("S-1 不合格，已向中心申请召回", "S-1 failed, the centre is asked to recall")


def sampled() -> Play:
    stage = ready(handling="sample_sent").tell(SampleTaken("S-1", sku="SKU-1", tests=("lead",)))
    stage.tell(SecondOfficerCame("4604002", "2222"))
    stage.tell(PinChecked(stage.only(CheckPin).request, "right", ("inspect",)), ReadyAsked())
    return stage.tell(SendAsked("XD-1"))


def test_a_sample_goes_with_the_finding_and_waits_for_the_laboratory() -> None:
    stage = sampled()
    assert stage.kinds()[-3:] == ["inspection_made", "sample_sent", "finding_made"]
    (sent,) = stage.facts("sample_sent")
    assert (sent.sample_no, sent.sku, sent.batch_no, sent.waybill_no) == (
        "S-1",
        "SKU-1",
        "B7",
        str(waybill_no(1)),
    )
    (row,) = shown(stage).samples
    assert [choice.value for choice in row.recall_by] == ["waybill", "sku", "batch", "enterprise"]


def test_a_failed_result_names_what_to_recall_and_is_an_alarm() -> None:
    stage = sampled()
    for wrong in (
        ResultEntered("S-1", passed=False, report_no="L-1", handling="destroyed"),
        ResultEntered("S-1", passed=False, report_no="", handling="destroyed", recall_by=("batch",)),
        ResultEntered("S-1", passed=False, report_no="L-1", handling="released", recall_by=("batch",)),
        ResultEntered("S-9", passed=True, report_no="L-1"),
    ):
        assert stage.tell(wrong).facts("laboratory_result") == []
    right = ResultEntered("S-1", False, "L-1", "铅 0.9", "destroyed", ("batch", "sku"))
    assert shown(stage.tell(right)).told == FAILED
    stage.tell(right)
    (result,) = stage.facts("laboratory_result")
    assert result.recall is not None
    assert (result.recall.batch_nos, result.recall.skus, result.recall.waybill_nos) == (
        ("B7",),
        ("SKU-1",),
        (),
    )
    streams = [
        told.stream
        for effect in stage.effects
        if isinstance(effect, Commit)
        for told in effect.facts
        if told.data is result
    ]
    assert (streams, shown(stage).samples) == ([Stream.ALARM], ())


def test_a_result_that_could_not_be_written_may_be_entered_again() -> None:
    stage = sampled()
    stage.tell(ResultEntered("S-1", False, "L-1", "铅 0.9", "destroyed", ("batch",)))
    commit = stage.only(Commit)
    assert shown(stage).samples == ()
    stage.tell(EffectFailed(commit, "disk full"))
    assert [row.sample_no for row in shown(stage).samples] == ["S-1"]
    stage.tell(ResultEntered("S-1", False, "L-1", "铅 0.9", "destroyed", ("batch",)))
    stage.tell(Committed(stage.only(Commit).request, 7))
    stage.power_cut()
    assert (shown(stage).samples, stage.state.entered) == ((), ())


def test_a_picture_whose_fact_could_not_be_written_is_no_evidence() -> None:
    stage = photo(carrying_out().tell(PhotoAsked("seal")))
    stage.tell(EffectFailed(stage.only(Commit), "disk full"))
    draft = shown(stage).draft
    assert draft is not None
    assert [each.state for each in draft.evidence] == ["failed"]


def test_a_passed_result_recalls_nothing() -> None:
    stage = sampled().tell(ResultEntered("S-1", True, "L-1"))
    (result,) = stage.facts("laboratory_result")
    assert shown(stage).told == Text("S-1 合格，已记录", "S-1 passed, on record")
    assert (result.passed, result.recall, result.handling) == (True, None, "released")


# --- whatever comes between ---------------------------------------------------------------------------------

PLAYS = int(os.environ.get("KAKOU_HANDHELD_PLAYS", "25"))
NUMBERS = ("XD-1", "XD-2", "XD-3")


class Inspecting(RuleBasedStateMachine):
    """Orders taken, worked on, sent, withdrawn, dropped, with answers late or never and the power going."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = Play(inspection.State(), inspection.step)
        self.stage.tell(OrdersAsked()).found(OrderFindings(tuple(map(order, NUMBERS))))
        self.waiting: list[Effect] = []
        self.failed: set[int] = set()
        self.position = 0
        self.written: dict[str, set[str]] = {}
        """Order -> remarks that were written into its draft and are owed back."""

    def tell(self, *events: Any) -> None:
        for event in events:
            self.stage.tell(event)
            self.waiting += self.stage.last

    @rule(order_no=st.sampled_from(NUMBERS))
    def take(self, order_no: str) -> None:
        self.tell(OrderTakeAsked(order_no), DraftOpened(order_no), Begun())

    @rule(text=st.sampled_from(["一", "二", "三"]))
    def write(self, text: str) -> None:
        self.tell(RemarkWritten(text))

    @rule()
    def complete(self) -> None:
        self.tell(MethodChosen(InspectionMethod.SEAL), FindingChosen("nothing"), HandlingChosen("released"))
        self.tell(ReadyAsked())

    @rule(order_no=st.sampled_from(NUMBERS))
    def send(self, order_no: str) -> None:
        self.tell(SendAsked(order_no))

    @rule()
    def take_photo(self) -> None:
        self.tell(PhotoAsked())

    @rule(order_no=st.sampled_from(NUMBERS))
    def withdraw(self, order_no: str) -> None:
        found = tuple(
            order(number, state=OrderState.WITHDRAWN if number == order_no else OrderState.OPEN)
            for number in NUMBERS
        )
        self.stage.tell(OrdersAsked()).found(OrderFindings(found))

    @rule(order_no=st.sampled_from(NUMBERS))
    def drop(self, order_no: str) -> None:
        self.tell(DropAsked(order_no, "误领"))

    @rule(data=st.data(), fails=st.booleans())
    def perform(self, data: st.DataObject, fails: bool) -> None:
        """One of what waits is carried out, in any order."""
        if not self.waiting:
            return
        effect = self.waiting.pop(data.draw(st.integers(0, len(self.waiting) - 1)))
        match effect:
            case LookUp(request):
                self.tell(Found(request, OrderFindings((), waybills=(waybill(1),)), RECORDS))
            case TakePhoto(request):
                kept = EvidenceKept(request, f"{request:064x}", 10, "photo", UTC)
                self.tell(EvidenceFailed(request, "no camera") if fails else kept)
            case Commit(facts=facts, request=request) if request:
                self.position += len(facts)
                if fails:
                    self.failed.add(id(facts))
                    self.tell(EffectFailed(effect, "disk full"))
                else:
                    self.tell(Committed(request, self.position))
            case _:
                pass

    @rule()
    def acknowledge(self) -> None:
        self.tell(FactsAcknowledged(self.position))

    @rule()
    def cut(self) -> None:
        """Commits are durable with the memory that holds them as told: what waited is gone."""
        self.waiting.clear()
        self.position += 10
        self.stage.power_cut(self.position)

    def ended(self) -> list[str]:
        """Orders with a disposal in the journal, one entry for each."""
        return [
            told.data.order_no  # type: ignore[union-attr]
            for effect in self.stage.effects
            if isinstance(effect, Commit) and id(effect.facts) not in self.failed
            for told in effect.facts
            if type(told.data).__name__ == "FindingMade"
        ]

    @invariant()
    def no_order_has_two_disposals(self) -> None:
        ended = self.ended()
        assert len(ended) == len(set(ended))

    @invariant()
    def no_draft_is_lost(self) -> None:
        """Whatever was taken is in hand, told, or was dropped by the officer; never nowhere, never twice."""
        taken = [fact.order_no for fact in self.stage.facts("order_taken")]
        dropped = [
            told.data.number
            for effect in self.stage.effects
            if isinstance(effect, Commit) and id(effect.facts) not in self.failed
            for told in effect.facts
            if isinstance(told.data, DraftDropped)
        ]
        here = [each.order_no for each in self.stage.state.drafts]
        out = [each.order_no for each in self.stage.state.outbox]
        assert sorted(taken) == sorted(here + out + dropped)
        assert len(set(here + out)) == len(here + out)

    @invariant()
    def what_is_said_to_be_sent_has_its_finding(self) -> None:
        rows = inspection.view(self.stage.state, self.stage.context).drafts
        sent = {row.order_no for row in rows if row.state == "sent"}
        assert sent <= set(self.ended())


TestInspecting = Inspecting.TestCase
TestInspecting.settings = settings(max_examples=PLAYS, stateful_step_count=40, deadline=None)
