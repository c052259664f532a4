"""A control in shadow: what it would have done, told before it goes live."""

from __future__ import annotations

from sync.hub.rehearsal import Report, rehearse
from sync.vocabulary.facts import PassageOpened, RulingMade
from sync.vocabulary.rulings import Because, Reason, Ruling, Verdict
from tests.postgres import Place
from tests.unit.test_hub_device import Bench, Device


def ruling(passage: int, verdict: Verdict, controls: tuple[str, ...], would_be: dict[str, str]) -> RulingMade:
    return RulingMade(
        passage=passage,
        ruling=Ruling(verdict, (Because(Reason.RELEASED),)),
        direction="I",
        plate=f"豫A1234{passage}",
        enterprise="4101960001",
        control_versions=controls,
        would_be=would_be,
    )


def told(place: Place, *made: RulingMade, control: str | None = None, since: str = "") -> Report:
    lane = Device()
    bench = Bench(place, lane)
    lane.say(PassageOpened(1))
    for each in made:
        lane.say(each)
    for payload in lane.batches():
        bench.facts(lane, payload)
    return rehearse(bench.archive.facts_of_kind("ruling_made", since), control)


RELEASED, HELD = Verdict.RELEASE, Verdict.HOLD
SHADOW, ADVISORY, LIVE = "BK1@2:shadow", "BK2@1:advisory", "BK3@1:live"


def test_what_would_have_changed_is_counted_and_shown_with_its_passage(place: Place) -> None:
    report = told(
        place,
        ruling(1, RELEASED, (SHADOW,), {"BK1@2": "inspect"}),
        ruling(2, RELEASED, (SHADOW,), {"BK1@2": "inspect"}),
        ruling(3, HELD, (SHADOW,), {"BK1@2": "hold"}),
        ruling(4, RELEASED, (), {}),
    )
    (found,) = report.controls
    assert (report.rulings, found.control, found.mode, found.matched) == (4, "BK1@2", "shadow", 3)
    assert dict(found.changed) == {("release", "inspect"): 2}
    assert dict(found.by_enterprise) == {"4101960001": 2}
    assert [(example.passage, example.plate) for example in found.examples] == [
        (1, "豫A12341"),
        (2, "豫A12342"),
    ]


def test_live_controls_are_no_rehearsal_and_versions_are_kept_apart(place: Place) -> None:
    report = told(
        place,
        ruling(1, RELEASED, (SHADOW, ADVISORY, LIVE), {"BK1@2": "hold", "BK2@1": "inspect"}),
        ruling(2, RELEASED, ("BK1@3:shadow",), {"BK1@3": "release"}),
    )
    assert [(each.control, each.would_stop) for each in report.controls] == [
        ("BK1@2", 1),
        ("BK1@3", 0),
        ("BK2@1", 1),
    ]


def test_one_control_can_be_asked_for(place: Place) -> None:
    made = ruling(1, RELEASED, (SHADOW, ADVISORY), {"BK1@2": "hold", "BK2@1": "inspect"})
    assert [each.control for each in told(place, made, control="BK2").controls] == ["BK2@1"]


def test_what_was_before_the_time_asked_for_is_left_out(place: Place) -> None:
    made = ruling(1, RELEASED, (SHADOW,), {"BK1@2": "hold"})
    assert told(place, made, since="2999-01-01").rulings == 0
