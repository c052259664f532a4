"""What the world test found in the lane machine, each told again as a play."""

from __future__ import annotations

from dataclasses import replace as with_changes
from decimal import Decimal

from edge.gate.effects import Commit, LookUp
from edge.gate.events import (
    UNKNOWN_INPUTS,
    InputsRead,
    LinkChanged,
    PlateRead,
    RecordsFound,
    TagRead,
    WeightRead,
)
from edge.gate.lane import Claiming, Holding, Passing
from edge.runtime.values import replace as lane_with
from sync.vocabulary.facts import RulingMade
from sync.vocabulary.numbers import Epc
from tests.machine.plays import (
    CLEAR,
    FINDINGS,
    GONE_UP,
    HERE,
    ON_SCALE,
    PLATE,
    TAG,
    UNDER,
    Play,
    alarms,
    codes,
    kinds,
    orders,
)

MAX_AGE_S = 21_600.0
"""What the plays' site allows."""


def rulings(play: Play) -> list[RulingMade]:
    return [
        told.data
        for effect in play.asked
        if isinstance(effect, Commit)
        for told in effect.facts
        if isinstance(told.data, RulingMade)
    ]


def waiting_for_its_weight(play: Play, wait_s: float, age_s: float) -> None:
    """Identified and looked up at once; the weight comes `wait_s` later."""
    play.say(InputsRead(CLEAR), LinkChanged(True), InputsRead(HERE))
    new = play.say(PlateRead(PLATE), TagRead(TAG))
    look = [effect for effect in new if isinstance(effect, LookUp)][-1]
    play.say(RecordsFound(look.passage, look.request, with_changes(FINDINGS, age_s=age_s)))
    play.at_s += wait_s
    play.weigh("20000")


def test_records_that_grew_too_old_between_look_up_and_ruling_are_too_old() -> None:
    """S10: looked up one second before the limit, ruled on nine seconds later."""
    play = Play()
    waiting_for_its_weight(play, 9.0, MAX_AGE_S - 1.0)
    assert isinstance(play.lane.phase, Holding)
    assert codes(play) == ("records_too_old",)


def test_the_age_in_the_fact_is_the_age_at_the_ruling() -> None:
    play = Play()
    waiting_for_its_weight(play, 9.0, MAX_AGE_S + 1.0)
    told_s = rulings(play)[-1].records_age_s
    assert told_s is not None
    assert told_s >= MAX_AGE_S + 10.0


def held_offline() -> Play:
    """Everything in order, but the hub cannot be asked and the policy holds: the link would cure it."""
    play = Play()
    play.arrive(online=False)
    assert codes(play) == ("claim_unanswered",)
    return play


def test_the_next_vehicle_does_not_inherit_a_hold_and_what_was_read_for_it() -> None:
    """S5: it drove in a second after the held one had left; then the link came back."""
    play = held_offline()
    first = play.lane.passage
    play.wait(1.0, CLEAR, "0")
    new = play.say(InputsRead(HERE), InputsRead(HERE))
    assert first is not None
    assert play.lane.passage is not None
    assert play.lane.passage.number == first.number + 1
    assert kinds(new) == ["passage_closed", "passage_opened"]
    again = play.say(LinkChanged(True), InputsRead(ON_SCALE))
    assert not [effect for effect in again if isinstance(effect, LookUp)]


def test_a_signal_that_flickers_does_not_end_a_passage() -> None:
    play = held_offline()
    first = play.lane.passage
    play.say(InputsRead(CLEAR), InputsRead(HERE))
    assert first is not None
    assert play.lane.passage is not None
    assert play.lane.passage.number == first.number


def test_a_hold_is_not_looked_at_again_for_somebody_who_has_left() -> None:
    """S5: the link came back in the two seconds it takes to be sure that the lane is empty."""
    play = held_offline()
    play.wait(1.0, CLEAR, "0")
    assert not [e for e in play.say(LinkChanged(True)) if isinstance(e, LookUp)]
    assert codes(play) == ("claim_unanswered",)


def test_the_arm_is_not_raised_for_somebody_who_left_while_the_hub_was_asked() -> None:
    play = Play()
    play.arrive()
    play.wait(1.0, CLEAR, "0")
    assert orders(play.granted()) == []
    assert codes(play) == ("interrupted",)
    returned = play.wait(4.0, CLEAR, "0")
    assert kinds(returned) == ["uses_returned", "passage_closed"]


def test_a_grant_during_a_flicker_still_raises() -> None:
    play = Play()
    play.arrive()
    play.say(WeightRead(Decimal(0), None), InputsRead(CLEAR))
    assert orders(play.granted()) == ["RaiseArm"]


def released_and_through(play: Play) -> None:
    """The vehicle has passed the beam and is gone; `clear_s` is not over, so nothing was said yet."""
    play.raised()
    play.under()
    assert "vehicle_crossed" not in kinds(play.say(InputsRead(GONE_UP), WeightRead(Decimal(0), None)))


def test_who_had_crossed_when_the_fire_signal_came_has_crossed() -> None:
    """S4, S12: the lane closed within the second it waits before it says so."""
    play = Play()
    released_and_through(play)
    told = kinds(play.say(InputsRead(with_changes(GONE_UP, fire=True))))
    assert told == ["alarm", "lane_closed", "vehicle_crossed", "passage_closed"]
    assert play.lane.passage is None


def nose_in_the_beam(play: Play, lightest_kg: str) -> None:
    """Released, drove into the beam with so much of it left on the scale, and the beam is free again."""
    play.raised()
    play.say(*[InputsRead(UNDER)] * 5, WeightRead(Decimal(lightest_kg), None))
    play.say(WeightRead(Decimal(19800), None), InputsRead(GONE_UP))


def test_who_only_backed_off_the_beam_has_not_crossed_when_the_lane_closes() -> None:
    play = Play()
    nose_in_the_beam(play, "13000")
    told = kinds(play.say(InputsRead(with_changes(GONE_UP, fire=True))))
    assert told == ["alarm", "lane_closed"]
    assert play.lane.passage is not None


def test_who_only_backed_off_the_beam_is_waited_for() -> None:
    play = Play()
    nose_in_the_beam(play, "13000")
    assert "vehicle_crossed" not in kinds(play.wait(3.0, GONE_UP, kg="19800"))
    assert isinstance(play.lane.phase, Passing)


def test_another_of_about_the_same_weight_on_the_scale_is_not_the_first_one_backed_off() -> None:
    """S3: the scale was empty in between, so the first one crossed; the next one is counted under the arm."""
    play = Play()
    nose_in_the_beam(play, "4900")
    assert kinds(play.wait(1.4, GONE_UP, kg="19800")) == ["vehicle_crossed", "lower_ordered"]
    assert alarms(play.say(InputsRead(UNDER))) == ["safety_reopened"]
    assert alarms(play.say(InputsRead(UNDER), InputsRead(UNDER))) == ["tailgater"]


def test_anothers_tag_and_half_the_weight_gone_show_that_it_is_another() -> None:
    """S3: bumper to bumper the scale never empties, but the next one's tag is read."""
    play = Play()
    play.raised()
    play.say(*[InputsRead(UNDER)] * 5, TagRead(Epc("E2004074850A0103163070FF")))
    play.say(WeightRead(Decimal(11000), None), WeightRead(Decimal(19800), None), InputsRead(GONE_UP))
    assert kinds(play.wait(1.4, GONE_UP, kg="19800")) == ["vehicle_crossed", "lower_ordered"]


def test_who_had_crossed_with_another_on_the_scale_has_crossed_when_the_lane_closes() -> None:
    play = Play()
    nose_in_the_beam(play, "4900")
    told = kinds(play.say(InputsRead(with_changes(GONE_UP, fire=True))))
    assert told == ["alarm", "lane_closed", "vehicle_crossed", "passage_closed"]


def unweighed_through_the_beam(play: Play, *kgs: str) -> None:
    """Let go before it was weighed; then the scale showed this behind its nose in the beam."""
    play.raised()
    assert play.lane.passage is not None
    play.lane = lane_with(play.lane, passage=lane_with(play.lane.passage, gross_kg=None))
    play.say(WeightRead(Decimal(40), None), *[InputsRead(UNDER)] * 5)
    play.say(*[WeightRead(Decimal(kg), None) for kg in kgs], InputsRead(GONE_UP))


def test_who_was_let_go_unweighed_has_crossed_although_the_next_stands_on_the_scale() -> None:
    """S12: world seed 171: the crossing was in no fact, because its weight was not known."""
    play = Play()
    unweighed_through_the_beam(play, "40", "19800")
    assert kinds(play.wait(1.4, GONE_UP, kg="19800")) == ["vehicle_crossed", "lower_ordered"]


def test_who_was_let_go_unweighed_and_backed_off_the_beam_is_waited_for() -> None:
    """What the scale showed before it drove up is not its leaving."""
    play = Play()
    unweighed_through_the_beam(play, "9000", "19800")
    assert "vehicle_crossed" not in kinds(play.wait(3.0, GONE_UP, kg="19800"))


BLIND = UNKNOWN_INPUTS
"""The I/O board has vanished."""


def held_for_the_centre() -> Play:
    """Weighed, read and held because the claim has no answer, when the I/O board vanishes."""
    play = Play()
    play.arrive()
    assert isinstance(play.lane.phase, Claiming)
    play.timer("claim")
    assert codes(play) == ("claim_unanswered",)
    return play


def test_who_stands_here_after_the_loop_was_blind_and_the_scale_empty_inherits_nothing() -> None:
    """S5: world seed 1555: one left and another came while the board was away; the hold of the first was
    cured by the link's return and let the second go."""
    play = held_for_the_centre()
    told = kinds(play.wait(3.0, BLIND, kg="0"))
    told += kinds(play.wait(2.0, BLIND, kg="26000") + play.wait(2.0, ON_SCALE, kg="26000"))
    assert told.count("passage_closed") == 1
    assert (play.lane.passage is not None and play.lane.passage.number, orders(play.asked)) == (2, [])
    assert not (play.lane.passage and play.lane.passage.plates)


def test_who_stands_on_the_scale_while_the_loop_is_blind_keeps_its_passage() -> None:
    play = held_for_the_centre()
    told = kinds(play.wait(25.0, BLIND, kg="20000") + play.wait(2.0, ON_SCALE, kg="20000"))
    assert "passage_closed" not in told
    assert play.lane.passage is not None


def test_a_board_that_flickers_while_one_drives_up_takes_nothing_from_it() -> None:
    play = Play()
    play.say(InputsRead(CLEAR), LinkChanged(True), InputsRead(HERE))
    play.read()
    told = kinds(play.wait(6.0, BLIND, kg="0") + play.wait(1.0, HERE, kg="0"))
    assert "passage_closed" not in told
    assert play.lane.passage is not None
    assert PLATE in play.lane.passage.plates


def test_a_board_blind_for_long_with_an_empty_scale_shows_perhaps_another() -> None:
    play = Play()
    play.say(InputsRead(CLEAR), LinkChanged(True), InputsRead(HERE))
    play.read()
    told = kinds(play.wait(12.0, BLIND, kg="0") + play.wait(1.0, HERE, kg="0"))
    assert "passage_closed" in told


def test_nothing_is_looked_at_again_for_somebody_nobody_sees() -> None:
    play = held_for_the_centre()
    play.wait(1.0, BLIND, kg="0")
    asked = play.say(LinkChanged(False), LinkChanged(True))
    assert not [effect for effect in asked if isinstance(effect, LookUp)]
