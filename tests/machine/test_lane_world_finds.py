"""What the world test found in the lane machine, each told again as a play."""

from __future__ import annotations

from dataclasses import replace as with_changes

from edge.gate.effects import Commit, LookUp
from edge.gate.events import InputsRead, LinkChanged, PlateRead, RecordsFound, TagRead
from edge.gate.lane import Holding
from sync.vocabulary.facts import RulingMade
from tests.machine.plays import CLEAR, FINDINGS, HERE, PLATE, TAG, Play


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
    """Seed 24: looked up at 149 s of age where 150 are allowed, and ruled on nine seconds later (S10)."""
    assert FINDINGS.site is not None
    play = Play()
    waiting_for_its_weight(play, 9.0, FINDINGS.site.max_age_s - 1.0)
    assert isinstance(play.lane.phase, Holding)
    assert rulings(play)[-1].ruling.codes() == ("records_too_old",)


def test_the_age_in_the_fact_is_the_age_at_the_ruling() -> None:
    play = Play()
    waiting_for_its_weight(play, 9.0, FINDINGS.site.max_age_s + 1.0 if FINDINGS.site else 0.0)
    told_s = rulings(play)[-1].records_age_s
    assert told_s is not None
    assert told_s >= (FINDINGS.site.max_age_s if FINDINGS.site else 0.0) + 10.0
