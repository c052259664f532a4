"""The station's rooms, one thing spoiled at a time: each guard on the way to a pulse matters by itself, also
where another one would have stopped the same parcel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import msgspec
import pytest

from edge.xray_bridge.deciding import codes, diverter, judging, verdicts
from edge.xray_bridge.deciding.state import CodeSeen, Judgement, Over, Parcel, Station, parcel_of, put
from edge.xray_bridge.effects import Analyse, AnswerDesk, CheckWedge, Pulse
from edge.xray_bridge.events import EyeSeen, GoodsFound, Judged, Shown, Timer, TimerRang
from edge.xray_bridge.values import Association, Eye, Verdict
from sync.vocabulary.xray_facts import BeltChanged
from sync.vocabulary.xray_reasons import Because, XRayReason
from tests.machine.xray_plays import (
    LAYOUT,
    SETTINGS,
    WAYBILL,
    Play,
    analysis,
    answers,
    goods,
    of_kind,
    pulses,
)


def changed(station: Station, **fields: Any) -> Station:
    found: Station = msgspec.structs.replace(cast(Any, station), **fields)
    return found


def its(station: Station, **fields: Any) -> Station:
    """The first parcel's, changed."""
    return put(station, msgspec.structs.replace(cast(Any, station.parcels[0]), **fields))


def before_diverter() -> tuple[Station, float, float]:
    """(station, now, the edge): one that may pass, 40 mm before the diverter."""
    play = Play()
    thing = play.put()
    edge_mm = thing.at_mm(LAYOUT.diverter_mm)
    play.roll(edge_mm - 40.0 - play.belt_mm)
    assert play.station.parcels[0].verdict is Verdict.PASSED
    return play.station, play.at_s, edge_mm


def led(station: Station, at_s: float, edge_mm: float) -> tuple[list[Pulse], Parcel]:
    after, effects = diverter.at_diverter(station, at_s, edge_mm, at_s)
    return [effect for effect in effects if isinstance(effect, Pulse)], after.parcels[0]


def test_nothing_spoiled_it_gets_its_pulse() -> None:
    (pulse,), parcel = led(*before_diverter())
    assert (pulse.parcel, pulse.chute.value, parcel.doubt) == (1, "pass", None)


SPOILED: dict[str, tuple[Callable[[Station], Station], XRayReason]] = {
    "closed": (lambda s: changed(s, closed="centre"), XRayReason.CLOSED),
    "fault": (lambda s: changed(s, fault="diverter"), XRayReason.CLOSED),
    "clearing": (lambda s: changed(s, clearing=True), XRayReason.CLEARING),
    "journal": (lambda s: changed(s, journal_ok=False), XRayReason.NOT_RECORDED),
    "unwritten": (lambda s: changed(s, unwritten=(None,)), XRayReason.NOT_RECORDED),
    "belt never seen": (lambda s: changed(s, belt=None), XRayReason.BELT_UNKNOWN),
    "belt unknown": (lambda s: changed(s, belt_mm=None), XRayReason.BELT_UNKNOWN),
    "belt seen long ago": (lambda s: changed(s, belt_s=s.belt_s - 5.0), XRayReason.BELT_UNKNOWN),
    "doubt": (lambda s: its(s, doubt=Because(XRayReason.SPLIT)), XRayReason.SPLIT),
    "not matched": (lambda s: its(s, association=Association.AMBIGUOUS), XRayReason.UNMATCHED),
    "too many of its waybill": (lambda s: its(s, of_waybill=2), XRayReason.WAYBILL_TWICE),
}


@pytest.mark.parametrize("what", SPOILED)
def test_each_doubt_by_itself_leaves_the_diverter_alone(what: str) -> None:
    station, at_s, edge_mm = before_diverter()
    spoil, why = SPOILED[what]
    given, parcel = led(spoil(station), at_s, edge_mm)
    assert given == []
    assert (parcel.verdict, parcel.doubt and parcel.doubt.code) == (Verdict.RECHECK, why)


def test_a_third_that_comes_when_two_were_passed_already_stops_them_before_the_diverter() -> None:
    play = Play()
    play.answers.goods = lambda text: goods(text, pieces=2)
    play.put()
    play.put(behind_mm=900.0)
    play.put(behind_mm=5_000.0)
    play.roll(4_800.0)
    assert [each.verdict for each in play.station.parcels[:2]] == [Verdict.PASSED] * 2
    assert pulses(play.roll(14_000.0)) == []


def test_two_so_near_that_they_go_together_pass_where_both_may() -> None:
    settings = replace(SETTINGS, divert_gap_mm=700.0)
    play = Play(settings)
    play.answers.goods = lambda text: goods(text, pieces=2)
    play.put()
    play.put(behind_mm=900.0)
    assert pulses(play.roll(14_000.0)) == [("pass", 1), ("pass", 2)]


# --- codes ------------------------------------------------------------------------------------------------


def looking_up() -> Station:
    """The records were asked and have not answered."""
    play = Play()
    play.answers.goods = lambda text: None
    play.put()
    play.roll(1_500.0)
    return its(play.station, looked_up=False)


@pytest.mark.parametrize(
    "found", [GoodsFound(99, 1, goods(WAYBILL)), GoodsFound(1, 99, goods(WAYBILL))], ids=["gone", "another"]
)
def test_an_answer_to_another_question_changes_nothing(found: GoodsFound) -> None:
    station = looking_up()
    assert codes.goods_found(station, 10.0, found) == (station, [])


def test_the_records_answer_once() -> None:
    station = looking_up()
    request = station.parcels[0].request
    station, _ = codes.goods_found(station, 10.0, GoodsFound(1, request, goods(WAYBILL)))
    again = codes.goods_found(station, 10.0, GoodsFound(1, request, goods(WAYBILL, pieces=9)))
    assert again == (station, [])


@pytest.mark.parametrize(
    ("text", "symbology", "is_one"),
    [
        (WAYBILL, "CODE128", True),
        ("SF 1234", "CODE128", False),
        ("YT1234567890123", "CODE128", False),
        (WAYBILL, "EAN-13", False),
    ],
)
def test_which_code_is_a_waybill(text: str, symbology: str, is_one: bool) -> None:
    settings = replace(SETTINGS, waybill_shape=r"SF\d{13}", not_waybills=frozenset({"EAN13"}))
    assert codes._is_waybill(settings, CodeSeen(0.0, text, symbology)) is is_one
    assert codes._is_waybill(SETTINGS, CodeSeen(0.0, "SF 1234 / 5")) is False


# --- judging ----------------------------------------------------------------------------------------------


def waiting_for(**fields: Any) -> Station:
    """A matched picture in memory, its waybill looked up; nothing asked yet."""
    play = Play()
    play.answers.analysis = lambda picture: None
    play.put()
    play.roll(3_700.0)
    assert play.station.parcels[0].analyse_asked
    return its(play.station, **{"analyse_asked": False, **fields})


def asked(station: Station, number: int = 1) -> list[str]:
    _, effects = judging.ready(station, 12.0, number)
    return [type(effect).__name__ for effect in effects if isinstance(effect, Analyse | CheckWedge)]


def test_it_is_analysed_when_picture_and_records_are_there() -> None:
    assert asked(waiting_for()) == ["Analyse"]
    assert asked(waiting_for(wedge=True)) == ["CheckWedge"]


@pytest.mark.parametrize(
    "fields",
    [
        {"settled": False},
        {"looked_up": False},
        {"verdict": Verdict.RECHECK},
        {"association": Association.AMBIGUOUS},
        {"picture": "none in memory"},
        {"analyse_asked": True},
        {"wedge": True, "analyse_asked": True},
        {"analysis_failed": "no"},
    ],
    ids=lambda fields: " ".join(fields),
)
def test_what_is_not_ready_or_was_asked_is_not_analysed(fields: dict[str, Any]) -> None:
    station = waiting_for(**fields)
    assert asked(station) == []
    assert asked(station, 99) == []


def test_what_waits_for_an_officer_is_not_triaged_again() -> None:
    station = waiting_for(waits=True, analysis=analysis("p"), reasons=(Because(XRayReason.SPOT_CHECK),))
    assert judging.ready(station, 12.0, 1) == (station, [])


def test_an_analysis_counts_once_for_its_own_picture_of_a_parcel_that_is_there() -> None:
    station = waiting_for(analyse_asked=True)
    picture = station.parcels[0].picture
    unchanged = [
        judging.analysed(station, 12.0, picture, 99, analysis(picture), ""),
        judging.analysed(station, 12.0, "other", 1, analysis("other"), ""),
        judging.analysed(station, 12.0, picture, 1, analysis("other"), ""),
    ]
    assert unchanged == [(station, [])] * 3
    failed, _ = judging.analysed(station, 12.0, picture, 1, None, "no")
    assert failed.parcels[0].analysis_failed == "no"
    had = its(station, analysis=analysis(picture, mass_kg=9.0))
    assert judging.analysed(had, 12.0, picture, 1, analysis(picture), "") == (had, [])


def test_what_has_its_order_or_is_gone_is_not_taken_back_and_the_first_doubt_stands() -> None:
    station, at_s, edge_mm = before_diverter()
    because, later = Because(XRayReason.SPLIT), Because(XRayReason.JAM)
    assert judging.not_to_pass(station, at_s, 99, because) == (station, [])
    ordered, _ = diverter.at_diverter(station, at_s, edge_mm, at_s)
    assert ordered.parcels[0].ordered is not None
    assert judging.not_to_pass(ordered, at_s, 1, because) == (ordered, [])
    stopped, told = judging.not_to_pass(station, at_s, 1, because)
    assert (len(told), stopped.parcels[0].verdict) == (1, Verdict.RECHECK)
    again, told = judging.not_to_pass(stopped, at_s, 1, later)
    assert (told, again.parcels[0].doubt) == ([], because)


# --- desks and eyes ---------------------------------------------------------------------------------------


def test_a_verdict_of_a_desk_nobody_is_at_or_on_a_parcel_that_never_was_is_refused() -> None:
    play = Play()
    play.sign_in()
    play.put()
    play.roll(3_700.0)
    picture = play.station.parcels[0].picture
    nobody = Judged(1, picture, "0017", "desk-9", Verdict.PASSED, took_s=2.0)
    never = Judged(99, picture, "0017", "desk-1", Verdict.PASSED, took_s=2.0)
    assert [answers(play.say(each))[0][0] for each in (nobody, never)] == [False, False]
    assert answers(play.say(TimerRang(Timer.TICK))) == []


def test_an_edge_without_a_place_is_nobodys_and_what_lies_there_passes_no_more() -> None:
    play = Play()
    play.put()
    play.roll(3_700.0)
    new = play.say(EyeSeen(Eye.DIVERTER, True, None))
    assert [each.state for each in of_kind(new, BeltChanged)] == ["unknown"]
    parcel = parcel_of(play.station, 1)
    assert parcel is not None
    assert (parcel.doubt and parcel.doubt.code) == XRayReason.BELT_UNKNOWN


# --- verdicts ---------------------------------------------------------------------------------------------


def in_hand() -> Play:
    """A parcel that waits for an officer, one signed in, its picture on the screen; everything is drawn."""
    play = Play(replace(SETTINGS, second_per_mille=1000, draw_key=b"k" * 32))
    play.answers.goods = lambda text: goods(text, control="C-1")
    play.sign_in()
    play.put(diverter=False)
    play.roll(3_700.0)
    parcel = play.in_hand()
    assert parcel is not None
    play.say(Shown(parcel.number, parcel.picture, "desk-1"))
    return play


def key(station: Station, at_s: float, verdict: Verdict = Verdict.FLAGGED, category: str = "x") -> str:
    """The refusal of desk-1's word on the first parcel; empty where it counts."""
    picture = station.parcels[0].picture if station.parcels else "p"
    said = Judged(1, picture, "0017", "desk-1", verdict, category, took_s=2.0)
    (answer,) = [e for e in verdicts.judged(station, at_s, said)[1] if isinstance(e, AnswerDesk)]
    return answer.why


def at_desk(station: Station, **fields: Any) -> Station:
    return changed(station, desks=(msgspec.structs.replace(cast(Any, station.desks[0]), **fields),))


def test_late_is_only_who_had_it_in_hand_and_what_was_there() -> None:
    play = in_hand()
    station, at_s = play.station, play.at_s
    gone = Over(1, WAYBILL, 0.0, 400.0, "p")
    assert key(station, at_s) == ""
    nobody_was_here = at_desk(changed(station, parcels=(), over=()), last=1, parcel=0)
    assert key(nobody_was_here, at_s) == "parcel_unknown"
    assert (
        key(at_desk(changed(station, parcels=(), over=(gone,)), last=2, parcel=0), at_s) == "parcel_unknown"
    )
    assert key(at_desk(changed(station, parcels=(), over=(gone,)), last=1, parcel=0), at_s) == "late"
    by_default = its(station, verdict=Verdict.RECHECK, by="default")
    assert key(at_desk(by_default, last=2), at_s) == "judged_already"
    assert key(at_desk(by_default, last=1), at_s) == "late"
    by_officer = its(station, verdict=Verdict.RECHECK, by="officer")
    assert key(at_desk(by_officer, last=1), at_s) == "judged_already"


def test_a_word_counts_while_nobody_knows_where_the_belt_is() -> None:
    play = in_hand()
    assert key(changed(play.station, belt_mm=None), play.at_s) == ""


@pytest.mark.parametrize(
    "fields",
    [
        {"association": Association.AMBIGUOUS},
        {"doubt": Because(XRayReason.BELT_REVERSED)},
        {"of_waybill": 2},
    ],
    ids=["ambiguous", "in doubt", "one too many"],
)
def test_what_nobody_may_pass_is_refused_to_an_officer(fields: dict[str, Any]) -> None:
    play = in_hand()
    assert key(play.station, play.at_s, Verdict.PASSED) == ""
    assert key(its(play.station, **fields), play.at_s, Verdict.PASSED) == "may_not_pass"


def test_the_find_that_stands_is_the_flaggers() -> None:
    play = in_hand()
    parcel = play.station.parcels[0]

    def word(officer: str, verdict: Verdict, category: str) -> Judgement:
        return Judgement(officer, "desk-1", verdict, category, "", (), 1.0, play.at_s)

    def of(first: Judgement, second: Judgement) -> str:
        before = its(play.station, first=first)
        after, _ = verdicts._judgement(before, play.at_s, before.parcels[0], second)
        judged = after.parcels[0].judged
        assert judged is not None
        return judged.category

    passed, flagged = word("0017", Verdict.PASSED, ""), word("0018", Verdict.FLAGGED, "knife")
    assert parcel.verdict is None
    assert of(passed, flagged) == "knife"
    assert of(flagged, passed) == "knife"


def test_who_is_drawn_for_a_second_look() -> None:
    play = in_hand()

    def drawn(verdict: Verdict = Verdict.PASSED, **settings: Any) -> bool:
        station = changed(play.station, settings=replace(play.station.settings, **settings))
        word = Judgement("0017", "desk-1", verdict, "", "", (), 1.0, play.at_s)
        return verdicts._drawn_for_second(station, station.parcels[0], word)

    assert drawn()
    assert not drawn(draw_key=b"")
    assert not drawn(verdict=Verdict.RECHECK)
