"""What passes an X-ray line by itself: each case differs from a perfect one in one thing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge.xray_bridge.rules import REFUSALS, Case, TriageRules, Way, bars, triage, whose
from edge.xray_bridge.values import Analysis, Association, Compared, Goods, Likeness, Suspect
from sync.vocabulary.rulings import Text
from sync.vocabulary.xray_reasons import NOBODY_PASSES, TEXTS, TO_AN_OFFICER, XRayReason

RULES = TriageRules(most_score=4.0, least_references=5, most_records_age_s=3_600.0)
GOODS = Goods(waybill_no="SF1234567890123", credit="high", records_age_s=60.0)
COMPARED = Compared(Likeness.SKU, references=5, few=False, score=4.0)
ANALYSIS = Analysis("p", "cal", 400.0, 200.0, 1.0, 1, False, (), COMPARED)
PERFECT = Case(Association.MATCHED, "read", GOODS, ANALYSIS, wedge_valid=True, wedge_calibration="cal")


def with_goods(**changes: object) -> Case:
    return replace(PERFECT, goods=replace(GOODS, **changes))  # type: ignore[arg-type]


def with_analysis(**changes: object) -> Case:
    return replace(PERFECT, analysis=replace(ANALYSIS, **changes))  # type: ignore[arg-type]


def compared(**changes: object) -> Case:
    return with_analysis(compared=replace(COMPARED, **changes))  # type: ignore[arg-type]


SUSPECT = Suspect("heavier", Text("偏重", "heavier"))
OFFICER: dict[str, tuple[Case, str]] = {
    "suspect": (with_analysis(suspects=(SUSPECT,)), "suspect: heavier"),
    "score": (compared(score=4.01), "score_high: 4.0"),
    "score is no number": (compared(score=float("nan")), "score_high: nan"),
    "no references": (compared(on=Likeness.NONE, references=0, score=None), "no_references"),
    "nothing to compare with": (compared(on=Likeness.NONE), "no_references"),
    "no score": (compared(score=None), "no_references"),
    "few references": (compared(references=4), "few_references: 4"),
    "few by their spread": (compared(few=True), "few_references: 5"),
    "few of the declared number": (compared(references=12, few=True, of_quantity=2), "few_references: 2"),
    "chapter only": (compared(on=Likeness.CHAPTER), "chapter_only: 5"),
    "noisy": (with_analysis(noisy=True), "noisy"),
    "cut": (with_analysis(cut=True), "cut"),
    "analysis failed": (replace(PERFECT, analysis=None, analysis_failed="boom"), "analysis_failed: boom"),
    "wedge": (replace(PERFECT, wedge_valid=False), "wedge_invalid"),
    "another calibration": (replace(PERFECT, wedge_calibration="other"), "wedge_invalid: cal"),
    "control": (with_goods(control="C-7"), "control: C-7"),
    "spot check": (with_goods(drawn=True), "spot_check"),
    "records too old": (with_goods(records_age_s=3_601.0), "records_too_old"),
    "age unknown": (with_goods(records_age_s=None), "records_too_old"),
    "older than the site allows": (with_goods(records_most_age_s=59.0), "records_too_old"),
    "recalled": (with_goods(recalls=("R-1",)), "recalled: R-1"),
    "quarantine": (with_goods(quarantine=True), "quarantine"),
    "documents": (with_goods(documents_match=False), "documents_differ"),
    "too close": (replace(PERFECT, too_close=True), "too_close"),
    "composed": (replace(PERFECT, composed=True), "composed"),
}
RECHECK: dict[str, tuple[Case, str]] = {
    "no picture": (replace(PERFECT, association=None), "no_picture"),
    "ambiguous": (replace(PERFECT, association=Association.AMBIGUOUS), "ambiguous"),
    "unmatched": (replace(PERFECT, association=Association.UNMATCHED), "unmatched"),
    "merged": (replace(PERFECT, association=Association.MERGED), "merged"),
    "split": (replace(PERFECT, association=Association.SPLIT), "split"),
    "no read": (replace(PERFECT, read="no_read"), "no_read"),
    "garbled": (replace(PERFECT, read="garbled"), "garbled"),
    "two codes": (replace(PERFECT, read="two_codes"), "two_codes"),
    "no waybill's": (replace(PERFECT, read="not_a_waybill"), "not_a_waybill"),
    "never settled": (replace(PERFECT, read=""), "no_read"),
    "unknown waybill": (replace(PERFECT, goods=None), "waybill_unknown"),
    "the same waybill twice": (replace(PERFECT, twice=True), "waybill_twice"),
    "two things": (with_analysis(objects=2), "two_things"),
    "nothing in it": (with_analysis(objects=0), "two_things"),
    "added": (replace(PERFECT, added=True), "added"),
}


def test_the_perfect_one_passes() -> None:
    assert triage(RULES, PERFECT).way is Way.PASS
    assert triage(RULES, PERFECT).codes() == ("clear",)
    assert whose(PERFECT) == ()


@pytest.mark.parametrize("name", OFFICER)
def test_to_an_officer(name: str) -> None:
    case, reason = OFFICER[name]
    ruled = triage(RULES, case)
    assert ruled.way is Way.OFFICER
    assert [because.words() for because in ruled.reasons] == [reason]


@pytest.mark.parametrize("name", RECHECK)
def test_to_recheck(name: str) -> None:
    case, reason = RECHECK[name]
    ruled = triage(RULES, case)
    assert ruled.way is Way.RECHECK
    assert [because.words() for because in ruled.reasons] == [reason]


def test_automatic_passing_can_be_switched_off() -> None:
    ruled = triage(replace(RULES, automatic=False), PERFECT)
    assert (ruled.way, ruled.codes()) == (Way.OFFICER, ("automatic_off",))


def test_a_site_may_let_the_chapters_references_do() -> None:
    assert triage(replace(RULES, by_chapter=True), OFFICER["chapter only"][0]).way is Way.PASS


@pytest.mark.parametrize("name", ["no references", "few references", "chapter only"])
def test_the_written_policy_lets_trusted_enterprises_pass_on_fewer_references(name: str) -> None:
    policy = replace(RULES, few_references_tiers=("high",))
    assert triage(policy, OFFICER[name][0]).way is Way.PASS
    other = replace(OFFICER[name][0], goods=replace(GOODS, credit="low"))
    assert triage(policy, other).way is Way.OFFICER


def test_a_high_score_is_none_of_that_policy() -> None:
    policy = replace(RULES, few_references_tiers=("high",))
    assert triage(policy, OFFICER["score"][0]).way is Way.OFFICER


def test_every_reason_that_applies_is_told_the_records_first() -> None:
    case = replace(OFFICER["control"][0], wedge_valid=False, too_close=True)
    assert triage(RULES, case).codes() == ("control", "too_close", "wedge_invalid")


def test_what_nobody_at_the_line_may_pass() -> None:
    assert bars(GOODS) == ()
    for changes in ({"control": "C"}, {"drawn": True}, {"records_age_s": None}):
        assert bars(replace(GOODS, **changes)) == ()
    assert [b.code.value for b in bars(replace(GOODS, quarantine=True))] == ["quarantine"]
    assert [b.code.value for b in bars(replace(GOODS, recalls=("R",)))] == ["recalled"]
    assert [b.code.value for b in bars(replace(GOODS, documents_match=False))] == ["documents_differ"]
    assert [b.code.value for b in bars(None)] == ["waybill_unknown"]


def test_where_a_reason_leads_is_what_the_vocabulary_says() -> None:
    told = {code for case, _ in OFFICER.values() for code in triage(RULES, case).codes()}
    told.add(triage(replace(RULES, automatic=False), PERFECT).codes()[0])
    assert told == {code.value for code in TO_AN_OFFICER | NOBODY_PASSES}
    rechecked = {code for case, _ in RECHECK.values() for code in triage(RULES, case).codes()}
    assert rechecked.isdisjoint({code.value for code in TO_AN_OFFICER | NOBODY_PASSES})


def test_every_reason_and_every_refusal_has_words_in_both_languages() -> None:
    assert set(TEXTS) == set(XRayReason)
    for text in (*TEXTS.values(), *REFUSALS.values()):
        assert text.zh
        assert text.en
