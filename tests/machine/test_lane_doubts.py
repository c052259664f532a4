"""Doubts about the lane, each settled by a play: who inherits a raised arm, what a full disk may cost in
memory, a gap between truck and trailer, a relay board that is silent alone."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from edge.gate.effects import Commit
from edge.gate.events import (
    DeviceSpoke,
    DeviceWentSilent,
    InputsRead,
    PlatformOrdered,
    ReadFailed,
    WeightRead,
    WriteFailed,
)
from edge.gate.lane import Needs
from sync.vocabulary.facts import Alarm, AlarmCode, PassageClosed, kind_of
from tests.machine.plays import (
    CLEAR,
    GONE_UP,
    HERE,
    ON_SCALE,
    SETTINGS,
    UP,
    Play,
    alarms,
    codes,
    kinds,
    orders,
)

WAITING = replace(UP, arrival=True, fully_on=False)
EMPTY = Decimal(0)


def reversed_out(play: Play, for_s: float) -> None:
    """The arm is up; who it was raised for drives back over the arrival loop and away."""
    play.say(InputsRead(replace(GONE_UP, arrival=True)), WeightRead(EMPTY, None))
    for _ in range(round(for_s / 0.1)):
        play.say(InputsRead(GONE_UP), WeightRead(EMPTY, None), after_s=0.05)


def test_the_next_vehicle_does_not_inherit_a_raised_arm() -> None:
    """S3, S5: one reversed out under its raised arm, another drove up a second behind it."""
    play = Play()
    play.raised()
    reversed_out(play, 1.0)
    came = play.say(InputsRead(WAITING), InputsRead(WAITING))
    assert orders(came) == ["LowerArm"]
    down = play.say(InputsRead(replace(WAITING, limit_up=False)), InputsRead(HERE))
    assert [k for k in kinds(down) if k.startswith("passage")] == ["passage_closed", "passage_opened"]
    closed = [
        t.data for e in down if isinstance(e, Commit) for t in e.facts if isinstance(t.data, PassageClosed)
    ]
    assert [each.outcome for each in closed] == ["backed_out"]


def test_signals_that_flicker_do_not_take_a_raised_arm_from_who_waits_under_it() -> None:
    play = Play()
    play.raised()
    reversed_out(play, 0.2)
    assert orders(play.say(InputsRead(WAITING), InputsRead(WAITING))) == []


def test_an_arrival_loop_that_cannot_be_read_shows_nobody_for_whom_to_lower() -> None:
    play = Play()
    play.raised()
    reversed_out(play, 1.0)
    assert orders(play.say(InputsRead(replace(GONE_UP, arrival=None)))) == []


def test_an_arm_is_not_lowered_on_whoever_is_under_it_for_somebody_behind() -> None:
    """S2."""
    play = Play()
    play.raised()
    reversed_out(play, 1.0)
    under = replace(WAITING, arm_loop=True, photocell=True)
    assert orders(play.say(InputsRead(under), InputsRead(under))) == []


# --- while nothing can be written ---------------------------------------------------------------------------


def failing(play: Play, event: object) -> None:
    """The event, and the commit it asks for fails."""
    asked = play.say(event)  # type: ignore[arg-type]
    if any(isinstance(effect, Commit) for effect in asked):
        play.say(WriteFailed("disk full"), after_s=0.0)


def order(number: int) -> PlatformOrdered:
    return PlatformOrdered("4604001", "01", "I", "00" + "0" * 18, f"OP{number}", "x", "y")


def test_a_platform_that_chatters_at_a_full_disk_costs_bounded_memory_and_is_counted() -> None:
    """G11: and what the lane itself did is kept beside it."""
    play = Play()
    play.raised()
    for number in range(300):
        failing(play, order(number))
    failing(play, InputsRead(replace(GONE_UP, fire=True)))
    kept = [kind_of(told.data) for told in play.lane.unwritten]
    assert kept.count("platform_order_seen") + kept.count("alarm") <= 201
    assert "lane_closed" in kept
    told = play.say(DeviceWentSilent("rfid", "x"))
    lost = [t.data for e in told if isinstance(e, Commit) for t in e.facts if isinstance(t.data, Alarm)]
    assert lost[0].code is AlarmCode.FACTS_LOST
    assert lost[0].detail == "200 platform_order_seen, 200 alarm"
    assert sum(each.code is AlarmCode.FACTS_LOST for each in lost) == 1


def test_the_number_of_facts_lost_is_told_once_and_only_when_it_is_durable() -> None:
    play = Play()
    for number in range(150):
        failing(play, order(number))
    failing(play, DeviceWentSilent("rfid", "x"))
    # Nothing is written by what changes nothing, and nothing is told by it.
    play.say(ReadFailed("scanner", "x"), ReadFailed("scanner", "y"))
    first = play.say(DeviceWentSilent("board", "x"))
    assert alarms(first).count("facts_lost") == 1
    assert alarms(play.say(DeviceSpoke("rfid"), DeviceWentSilent("scanner", "x"))).count("facts_lost") == 0


def test_a_chattering_input_at_a_full_disk_costs_bounded_memory() -> None:
    play = Play()
    play.say(InputsRead(CLEAR), InputsRead(replace(CLEAR, fire=True)))
    for _ in range(800):
        failing(play, InputsRead(replace(CLEAR, photocell=True)))
        failing(play, InputsRead(CLEAR))
    assert len(play.lane.unwritten) == 2_000
    assert dict(play.lane.unkept).keys() == {"passage_opened", "passage_closed", "alarm"}


# --- the edge of the scale ----------------------------------------------------------------------------------


def test_a_trailer_rolling_on_behind_its_gap_is_no_jump() -> None:
    """The beam looks through between truck and trailer: the truck alone is weighed as if all were on."""
    play = Play()
    play.say(InputsRead(CLEAR), InputsRead(HERE))
    play.weigh("14000")
    for n in range(20):
        # It sets off, and shakes the scale before the trailer breaks the beam.
        play.say(InputsRead(ON_SCALE), WeightRead(Decimal(13_900 + 200 * (n % 2)), None), after_s=0.05)
    for n in range(30):
        play.say(InputsRead(HERE), WeightRead(Decimal(14_000 + 500 * n), None), after_s=0.05)
    assert alarms(play.weigh("30000")) == []


def test_a_hand_before_the_beam_hides_no_jump() -> None:
    play = Play()
    play.say(InputsRead(CLEAR), InputsRead(HERE))
    play.weigh("20000")
    play.say(InputsRead(HERE), InputsRead(HERE), InputsRead(ON_SCALE))
    assert alarms(play.weigh("14000")) == ["weight_jump"]


# --- a relay board of its own -------------------------------------------------------------------------------


def test_nobody_is_ruled_on_who_could_not_be_let_through() -> None:
    """S9: the relay board is silent, the inputs still come."""
    play = Play(replace(SETTINGS, devices={**SETTINGS.devices, "relays": Needs(True)}))
    play.say(InputsRead(CLEAR))
    assert alarms(play.say(DeviceWentSilent("relays", "no answer"))) == ["device_lost"]
    play.arrive()
    assert codes(play) == ("device_silent",)
    again = play.say(InputsRead(ON_SCALE), DeviceSpoke("relays"))
    assert "device_back" in kinds(again)
    assert type(play.lane.phase).__name__ == "Reading"
