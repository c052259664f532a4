"""Conditions on the way to an order that no play happened to touch: one sentence for each.

`python -m tests.machine.guards` takes every such condition out once and must see a test fail.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import msgspec
import pytest

from edge.gate.events import (
    Findings,
    InputsRead,
    WeightRead,
)
from sync.vocabulary.numbers import Plate
from tests.machine.plays import (
    CLEAR,
    FINDINGS,
    MOVING,
    ON_SCALE,
    PLATE,
    TAG,
    UP,
    Play,
    alarms,
)


def phase(play: Play) -> str:
    return type(play.lane.phase).__name__


def with_trailer() -> Findings:
    registered = FINDINGS.by_plate[PLATE]
    assert registered is not None
    vehicle = msgspec.structs.replace(registered, trailer_plate=Plate("豫A1234挂"))
    return replace(FINDINGS, by_plate={PLATE: vehicle}, by_tag={TAG: vehicle})


def up_with(findings: Findings) -> Play:
    play = Play()
    play.arrive(findings=findings)
    play.granted()
    play.say(InputsRead(MOVING), InputsRead(UP))
    return play


# --- S12: a closed lane, and an arm that moves ------------------------------------------------------------


def test_a_fire_that_goes_on_is_told_once() -> None:
    play = Play()
    fire = InputsRead(replace(CLEAR, fire=True))
    assert alarms(play.say(InputsRead(CLEAR), fire)) == ["safety_input"]
    assert alarms(play.say(fire, fire)) == []


@pytest.mark.parametrize("kg", ["20000", "25000"], ids=["asking the hub", "held"])
def test_an_arm_that_moves_while_somebody_is_dealt_with_closes_the_lane(kg: str) -> None:
    play = Play()
    play.arrive(kg=kg)
    assert phase(play) == {"20000": "Claiming", "25000": "Holding"}[kg]
    moved = play.say(InputsRead(replace(ON_SCALE, limit_down=False)))
    assert alarms(moved) == ["uncommanded_movement"]
    assert phase(play) == "Shut"


# --- S3: who is a part of the vehicle, and who is a stranger ----------------------------------------------


def test_a_third_part_behind_truck_and_trailer_is_a_stranger() -> None:
    play = up_with(with_trailer())
    play.under()
    play.clear(times=3)
    assert alarms(play.under(times=6)) == []
    play.clear(times=3)
    assert alarms(play.under(times=6)) == ["tailgater"]


def back_off(play: Play) -> None:
    play.say(InputsRead(UP), *[WeightRead(Decimal(20_000), None)] * 2)
    play.wait(4.0, UP, kg="20000")
    assert play.lane.passage is not None
    assert play.lane.passage.parts == 0


def test_after_a_stranger_whoever_comes_is_a_stranger_too() -> None:
    play = up_with(with_trailer())
    play.under()
    play.clear(times=2)
    play.at_s += 10.0
    assert alarms(play.under(times=6)) == ["tailgater"]
    back_off(play)
    assert alarms(play.under(times=6)) == ["tailgater"]
    play.say(InputsRead(UP))
    assert alarms(play.under(times=6)) == ["tailgater"]


def test_a_stranger_is_told_once() -> None:
    play = up_with(FINDINGS)
    play.under()
    play.clear(times=2)
    assert alarms(play.under(times=20)) == ["tailgater"]


# --- who is here ------------------------------------------------------------------------------------------


def test_an_old_weight_is_nobody() -> None:
    play = up_with(FINDINGS)
    play.under()
    play.clear()
    assert phase(play) == "Lowering"
    play.say(WeightRead(Decimal(20_000), None))
    play.at_s += 5.0
    play.say(InputsRead(CLEAR))
    assert phase(play) == "Free"
