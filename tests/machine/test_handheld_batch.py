"""Batch and slip check: what is counted is what facts say minus what was undone, whatever comes between."""

from __future__ import annotations

import os
from collections import Counter

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge.handheld import batch
from edge.handheld.batch import (
    BatchCloseAsked,
    BatchDropped,
    BatchView,
    CountBegun,
    LaidAside,
    ScanUndoAsked,
    SlipCheckBegun,
)
from edge.handheld.effects import Commit, LookUp, Tone, Wanted
from edge.handheld.events import EffectFailed, Found, ParcelFindings, Scanned, SlipFindings
from edge.handheld.memory import MOST_BYTES, Memory, write
from edge.handheld.view import Shape, Sign
from tests.machine.handheld_plays import OTHER_SLIP, RECORDS, Play, parcel, slip, struct, waybill, waybill_no


def play() -> Play:
    return Play(batch.State(), batch.step)


def shown(stage: Play) -> BatchView:
    return batch.view(stage.state, stage.context)


def scan(stage: Play, number: int, findings: ParcelFindings | None = None, *, after_s: float = 2.0) -> Play:
    stage.at_s += after_s
    stage.tell(Scanned(str(waybill_no(number)), "Code128", "camera"))
    return stage.found(parcel(waybill(number)) if findings is None else findings)


def slip_check(*numbers: int) -> Play:
    stage = play().tell(SlipCheckBegun(), Scanned("Z3111I240728000000000003"))
    assert stage.only(LookUp).wanted is Wanted.SLIP
    return stage.found(SlipFindings(slip(), tuple(waybill(number) for number in numbers)))


def test_each_parcel_is_counted_once_with_its_own_fact_and_place() -> None:
    stage = play().tell(CountBegun())
    scan(scan(scan(stage, 1), 2), 3)
    assert [(fact.waybill_no, fact.place) for fact in stage.facts("parcel_judged")] == [
        (str(waybill_no(number)), number) for number in (1, 2, 3)
    ]  # fmt: skip
    assert (shown(stage).counted, shown(stage).passed, stage.tones()) == (3, 3, [Tone.RELEASE])
    assert len({fact.batch_id for fact in stage.facts("parcel_judged")}) == 1


def test_the_same_code_again_is_told_and_not_counted() -> None:
    stage = scan(play().tell(CountBegun()), 1)
    stage.at_s += 5.0
    stage.tell(Scanned(str(waybill_no(1)), "Code128", "camera"))
    view = shown(stage)
    assert (view.counted, view.duplicates, stage.tones()) == (1, 1, [Tone.DUPLICATE])
    assert view.told is not None
    assert "Counted already" in view.told.en
    assert len(stage.facts("parcel_judged")) == 1


def test_a_label_that_stays_in_view_says_nothing() -> None:
    stage = scan(play().tell(CountBegun()), 1)
    for _ in range(10):
        stage.at_s += 0.2
        stage.tell(Scanned(str(waybill_no(1)), "Code128", "camera"))
        assert stage.last == ()
    assert shown(stage).duplicates == 0


def test_two_labels_of_one_parcel_are_one_parcel() -> None:
    stage = scan(play().tell(CountBegun()), 1)
    stage.at_s += 2.0
    stage.tell(Scanned("TRACE-1", "QRCode", "camera")).found(parcel(waybill(1), code="TRACE-1"))
    assert (shown(stage).counted, shown(stage).duplicates) == (1, 1)
    assert len(stage.facts("parcel_judged")) == 1


def test_codes_of_four_kilobytes_fill_no_memory_and_two_that_differ_late_stay_two() -> None:
    """Every commit writes every draft: the largest count must stay well within what one may take."""
    stage = play().tell(CountBegun())
    for number in range(20):
        text = "\x01" * 4_000 + str(number)
        for _ in range(2):
            stage.at_s += 2.0
            stage.tell(Scanned(text, "PDF417", "camera"))
            for asked in [each for each in stage.last if isinstance(each, LookUp)]:
                stage.tell(Found(asked.request, ParcelFindings(code=asked.text), RECORDS)).tell(LaidAside())
    assert (shown(stage).counted, shown(stage).duplicates) == (20, 20)
    assert {len(fact.text) for fact in stage.facts("unknown_scanned")} == {4_001, 4_002}
    whole = len(write(Memory(batch=stage.state)))
    assert whole / 20 * batch.MOST_SCANS < MOST_BYTES / 2


def test_for_ten_seconds_a_scan_can_be_undone_and_that_is_a_fact() -> None:
    stage = scan(scan(play().tell(CountBegun()), 1), 2)
    stage.at_s += 9.9
    assert shown(stage).may_undo
    stage.tell(ScanUndoAsked())
    (undone,) = stage.facts("scan_undone")
    assert (undone.place, shown(stage).counted, shown(stage).undone) == (2, 1, 1)
    stage.at_s += 0.2
    stage.tell(ScanUndoAsked())
    view = shown(stage)
    assert (len(stage.facts("scan_undone")), view.counted, view.may_undo) == (1, 1, False)
    assert view.told is not None
    assert "cannot be undone" in view.told.en


def test_what_was_undone_can_be_scanned_again() -> None:
    stage = scan(play().tell(CountBegun()), 1).tell(ScanUndoAsked())
    scan(stage, 1, after_s=0.3)
    assert (shown(stage).counted, [fact.place for fact in stage.facts("parcel_judged")]) == (1, [1, 2])


def test_what_is_not_passed_stops_the_count_until_it_lies_aside() -> None:
    stage = scan(play().tell(CountBegun()), 1, ParcelFindings(code="?"))
    assert stage.tones() == [Tone.UNKNOWN]
    assert shown(stage).phase == "aside"
    stage.at_s += 2.0
    stage.tell(Scanned(str(waybill_no(2)), "Code128", "camera"))
    assert stage.tones() == [Tone.HOLD]
    assert [effect for effect in stage.last if isinstance(effect, LookUp)] == []
    stage.tell(LaidAside())
    scan(stage, 2)
    view = shown(stage)
    assert (view.phase, view.counted, view.unknown, view.passed) == ("scanning", 2, 1, 1)
    (unknown,) = stage.facts("unknown_scanned")
    assert (unknown.place, unknown.batch_id) == (1, stage.facts("parcel_judged")[0].batch_id)


def test_two_that_are_not_passed_are_laid_aside_one_after_the_other() -> None:
    stage = play().tell(CountBegun())
    asked = []
    for number in (1, 2):
        stage.at_s += 2.0
        stage.tell(Scanned(str(waybill_no(number)), "Code128", "camera"))
        asked.append(stage.only(LookUp).request)
    for request in asked:
        stage.tell(Found(request, ParcelFindings(code="?"), RECORDS))
    stage.tell(LaidAside())
    assert shown(stage).phase == "aside"
    assert shown(stage.tell(LaidAside())).phase == "scanning"


def test_a_slip_is_checked_off_and_what_is_missing_extra_or_elsewhere_is_shown() -> None:
    stage = slip_check(1, 2, 3)
    scan(scan(stage, 1), 2)
    scan(stage, 7, parcel(waybill(7, OTHER_SLIP))).tell(LaidAside())
    scan(stage, 8, parcel(waybill(8, None))).tell(LaidAside())
    seen = shown(stage).slip
    assert seen is not None
    assert (seen.listed, seen.found, seen.missing, seen.extra, seen.elsewhere) == (3, 2, 1, 1, 1)
    assert seen.missing_nos == (str(waybill_no(3)),)
    assert seen.elsewhere_nos == (f"{waybill_no(7)} → {OTHER_SLIP}",)
    stage.tell(BatchCloseAsked(complete=True))
    (checked,) = stage.facts("slip_parcels_checked")
    assert struct(checked) | {"batch_id": "", "slip": ""} == {
        **struct(checked),
        "batch_id": "", "slip": "", "listed": 3, "found": 2, "missing": 1, "extra": 1, "elsewhere": 1,
        "complete": True, "missing_nos": (str(waybill_no(3)),), "extra_texts": (str(waybill_no(8)),),
        "elsewhere_nos": (f"{waybill_no(7)}@{OTHER_SLIP}",),
    }  # fmt: skip
    assert stage.kinds()[-2:] == ["batch_closed", "slip_parcels_checked"]


def test_a_parcel_of_another_slip_sounds_like_a_hold_though_it_is_released_itself() -> None:
    stage = scan(slip_check(1), 7, parcel(waybill(7, OTHER_SLIP)))
    assert (stage.tones(), shown(stage).phase) == ([Tone.HOLD], "aside")


def test_a_parcel_of_another_slip_looks_as_it_sounds() -> None:
    seen = shown(scan(slip_check(1), 7, parcel(waybill(7, OTHER_SLIP))))
    assert seen.last is not None
    assert (seen.last.sign, seen.last.shape, seen.passed, seen.flagged) == (Sign.HOLD, Shape.OCTAGON, 0, 1)


def test_a_parcel_of_this_slip_looks_like_a_release() -> None:
    seen = shown(scan(slip_check(1), 1))
    assert seen.last is not None
    assert (seen.last.sign, seen.passed, seen.flagged) == (Sign.RELEASE, 1, 0)


def test_a_slip_that_is_not_in_the_records_begins_nothing() -> None:
    stage = play().tell(SlipCheckBegun(), Scanned("Z3111I240728000000000099")).found(SlipFindings(None))
    assert (shown(stage).phase, stage.tones(), stage.facts()) == ("slip_wanted", [Tone.ERROR], [])


def test_a_list_that_was_cut_is_never_complete() -> None:
    stage = play().tell(SlipCheckBegun(), Scanned("Z3111I240728000000000003"))
    stage.found(SlipFindings(slip(), (waybill(1),), is_cut=True))
    scan(stage, 1).tell(BatchCloseAsked(complete=True))
    (checked,) = stage.facts("slip_parcels_checked")
    assert not checked.complete


def test_nobody_signed_in_counts_nothing() -> None:
    stage = play()
    stage.officer = None
    stage.tell(CountBegun(), SlipCheckBegun(), Scanned(str(waybill_no(1))))
    assert (stage.facts(), stage.state.batch) == ([], None)


def test_a_count_outlives_a_power_cut_and_its_last_scan_can_no_longer_be_undone() -> None:
    stage = scan(play().tell(CountBegun()), 1)
    stage.at_s += 2.0
    stage.tell(Scanned(str(waybill_no(2)), "Code128", "camera")).power_cut()
    assert (shown(stage).counted, shown(stage).may_undo, shown(stage).may_close) == (1, False, True)
    stage.tell(ScanUndoAsked())
    assert stage.facts("scan_undone") == []
    scan(stage, 2)
    assert shown(stage).counted == 2


def test_a_count_is_dropped_only_with_a_reason_and_its_scans_stay_facts() -> None:
    stage = scan(play().tell(CountBegun()), 1).tell(BatchDropped(" "))
    assert stage.state.batch is not None
    stage.tell(BatchDropped("扫错库"))
    assert stage.kinds() == ["parcel_judged", "draft_dropped"]


def test_the_place_of_a_verdict_is_that_of_the_sign_it_has() -> None:
    stage = scan(play().tell(CountBegun()), 1, parcel(waybill(1, control="hold")))
    last = shown(stage).last
    assert last is not None
    assert (last.sign, last.place, stage.tones()) == (Sign.HOLD, 1, [Tone.HOLD])


def test_what_could_not_be_written_is_not_counted_and_what_it_undid_is() -> None:
    stage = scan(scan(play().tell(CountBegun()), 1), 2)
    stage.tell(EffectFailed(stage.only(Commit), "disk full"))
    assert shown(stage).counted == 1
    scan(stage, 2).tell(ScanUndoAsked())
    assert shown(stage).counted == 1
    stage.tell(EffectFailed(stage.only(Commit), "disk full"))
    assert (shown(stage).counted, [each.place for each in stage.state.batch.scans]) == (2, [1, 3])
    stage.tell(BatchCloseAsked())
    stage.tell(EffectFailed(stage.only(Commit), "disk full"))
    assert (shown(stage).phase, shown(stage).counted) == ("scanning", 2)


PLAYS = int(os.environ.get("KAKOU_HANDHELD_PLAYS", "25"))


class Counting(RuleBasedStateMachine):
    """Any order of scans, answers, undos, asides, closes and power cuts."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = play()
        self.pending: dict[int, int] = {}

    @rule()
    def begin(self) -> None:
        self.stage.tell(CountBegun())

    @rule(number=st.integers(1, 6), after_s=st.sampled_from([0.1, 2.0, 6.0]))
    def scan(self, number: int, after_s: float) -> None:
        self.stage.at_s += after_s
        self.stage.tell(Scanned(str(waybill_no(number)), "Code128", "camera"))
        self.pending |= {effect.request: number for effect in self.stage.last if isinstance(effect, LookUp)}

    @precondition(lambda self: self.pending)
    @rule(data=st.data(), known=st.booleans())
    def answer(self, data: st.DataObject, known: bool) -> None:
        request = data.draw(st.sampled_from(sorted(self.pending)))
        number = self.pending.pop(request)
        findings = parcel(waybill(number)) if known else ParcelFindings(code=str(waybill_no(number)))
        self.stage.tell(Found(request, findings, RECORDS))

    @rule(place=st.integers(0, 4))
    def undo(self, place: int) -> None:
        self.stage.tell(ScanUndoAsked(place))

    @rule()
    def aside(self) -> None:
        self.stage.tell(LaidAside())

    @rule()
    def close(self) -> None:
        self.stage.tell(BatchCloseAsked())

    @rule()
    def cut(self) -> None:
        self.pending.clear()
        self.stage.power_cut()

    @invariant()
    def counts_are_facts_minus_undone(self) -> None:
        scanned: dict[str, set[int]] = {}
        for data in self.stage.facts("parcel_judged", "unknown_scanned"):
            places = scanned.setdefault(data.batch_id, set())
            assert data.place not in places
            places.add(data.place)
        undone = Counter[str]()
        for data in self.stage.facts("scan_undone"):
            assert data.place in scanned[data.batch_id]
            undone[data.batch_id] += 1
        counts = {batch_id: len(places) - undone[batch_id] for batch_id, places in scanned.items()}
        open_batch = self.stage.state.batch
        if open_batch is not None:
            assert shown(self.stage).counted == counts.get(open_batch.batch_id, 0)
            left = [each.number for each in open_batch.scans if not each.undone]
            assert len(set(left)) == len(left)
        for closed in self.stage.facts("batch_closed"):
            assert closed.counted == counts.get(closed.batch_id, 0)


TestCounting = Counting.TestCase
TestCounting.settings = settings(max_examples=PLAYS, stateful_step_count=30, deadline=None)


def test_a_closed_count_is_shown_and_can_no_longer_be_changed() -> None:
    stage = scan(play().tell(CountBegun()), 1)
    view = shown(stage.tell(BatchCloseAsked()))
    assert (view.phase, view.counted, view.may_close, view.may_undo) == ("closed", 1, False, False)
