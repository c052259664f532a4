"""The shortest stories of a lane, told as plays: events in, effects out."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from edge.gate.effects import AskClaim, Commit, Effect, LookUp, LowerArm, RaiseArm, SetLights
from edge.gate.events import (
    ClaimAnswered,
    Event,
    Findings,
    Inputs,
    InputsRead,
    LinkChanged,
    PlateRead,
    RecordsFound,
    TagRead,
    WeightRead,
    WriteFailed,
)
from edge.gate.lane import Free, Holding, Lane, LaneSettings, Needs, Passing, Shut, step, wake
from edge.gate.rules import LaneRules
from sync.vocabulary.facts import kind_of
from sync.vocabulary.numbers import EnterpriseCode, Epc, Plate, SlipNo, UtcText
from sync.vocabulary.records import (
    Binding,
    CreditTier,
    Direction,
    Enterprise,
    ReleaseSlip,
    Site,
    SlipKind,
    SlipState,
    Vehicle,
)

PLATE = Plate("豫A12345")
TAG = Epc("E2004074850A0103163070E1")
SLIP = SlipNo("Z4604I260101000000000001")
FIRM = EnterpriseCode("4101960001")
CLEAR = Inputs(
    arrival=False,
    arm_loop=False,
    photocell=False,
    limit_down=True,
    limit_up=False,
    stop=False,
    fire=False,
    mains=True,
    reset_key=False,
    fully_on=False,
)
HERE = replace(CLEAR, arrival=True)
ON_SCALE = replace(CLEAR, fully_on=True)
MOVING = replace(ON_SCALE, limit_down=False)
UP = replace(MOVING, limit_up=True)
UNDER = replace(UP, arm_loop=True, photocell=True, fully_on=False)
GONE_UP = replace(UP, fully_on=False)

SETTINGS = LaneSettings(
    lane_id="lane-in-1",
    run="r1",
    rules=LaneRules(Direction.IN),
    devices={
        "io": Needs(True),
        "weighbridge": Needs(True),
        "plate_camera": Needs(True, ("rfid",)),
        "rfid": Needs(True, ("plate_camera",)),
    },
)
FINDINGS = Findings(
    utc=UtcText("2026-11-22T03:00:00Z"),
    day="2026-11-22",
    by_plate={
        PLATE: Vehicle(
            plate=PLATE, tag_epcs=(TAG,), tare_kg=Decimal(14000), valid_until=UtcText("2027-01-01T00:00:00Z")
        )
    },
    by_tag={
        TAG: Vehicle(
            plate=PLATE, tag_epcs=(TAG,), tare_kg=Decimal(14000), valid_until=UtcText("2027-01-01T00:00:00Z")
        )
    },
    slips=(
        ReleaseSlip(
            slip_no=SLIP,
            direction=Direction.IN,
            kind=SlipKind.SECOND_LINE,
            binding=Binding.ONE_SLIP,
            plate=PLATE,
            vehicle_kg=Decimal(13000),
            frame_kg=Decimal(1000),
            cargo_gross_kg=Decimal(6000),
            total_kg=Decimal(20000),
            enterprise=FIRM,
            state=SlipState.APPROVED,
            valid_from=UtcText("2026-11-01T00:00:00Z"),
            valid_until=UtcText("2026-12-01T00:00:00Z"),
        ),
    ),
    enterprises={
        str(FIRM): Enterprise(code=FIRM, name="某公司", tier=CreditTier.HIGH, spot_check_per_mille=0)
    },
    site=Site(site="demo", name_zh="郑州", name_en="Zhengzhou"),
    age_s=5.0,
)


class Play:
    """Feeds events at set times and keeps what was asked; it decides nothing."""

    def __init__(self, settings: LaneSettings = SETTINGS) -> None:
        self.at_s = 0.0
        self.asked: list[Effect] = []
        self.lane: Lane
        self.lane, effects = wake(settings, 0.0, None)
        self.asked += effects

    def say(self, *events: Event, after_s: float = 0.1) -> list[Effect]:
        new: list[Effect] = []
        for event in events:
            self.at_s += after_s
            self.lane, effects = step(self.lane, self.at_s, event)
            new += effects
        self.asked += new
        return new

    def weigh(self, kg: str, frames: int = 14) -> list[Effect]:
        new: list[Effect] = []
        for _ in range(frames):
            new += self.say(InputsRead(ON_SCALE), WeightRead(Decimal(kg), None), after_s=0.05)
        return new

    def arrive(self, kg: str = "20000", findings: Findings = FINDINGS) -> list[Effect]:
        self.say(InputsRead(CLEAR), LinkChanged(True), InputsRead(HERE))
        new = self.say(PlateRead(PLATE), TagRead(TAG))
        look = [effect for effect in new if isinstance(effect, LookUp)][-1]
        self.say(RecordsFound(look.passage, look.request, findings))
        return self.weigh(kg)


def kinds(effects: list[Effect]) -> list[str]:
    return [kind_of(t.data) for e in effects if isinstance(e, Commit) for t in e.facts]


def test_a_matching_vehicle_is_claimed_recorded_raised_and_lowered_behind() -> None:
    play = Play()
    asked = play.arrive()
    claim = next(e for e in asked if isinstance(e, AskClaim))
    assert claim.slip_nos == (SLIP,)
    granted = play.say(ClaimAnswered(claim.claim_id, True))
    commit = next(e for e in granted if isinstance(e, Commit))
    raising = next(e for e in granted if isinstance(e, RaiseArm))
    assert granted.index(commit) < granted.index(raising)
    assert kinds([commit]) == ["ruling_made", "raise_ordered"]
    assert [u.slip_no for u in commit.uses] == [SLIP]
    up = play.say(InputsRead(MOVING), InputsRead(UP))
    assert kinds(up) == ["arm_raised"]
    assert SetLights(green=True) in up
    play.say(*[InputsRead(UNDER)] * 20, *[WeightRead(Decimal(0), None)])
    down = play.say(*[e for _ in range(12) for e in (InputsRead(GONE_UP), WeightRead(Decimal(0), None))])
    assert kinds(down) == ["vehicle_crossed", "lower_ordered"]
    assert sum(isinstance(e, LowerArm) for e in down) == 1
    end = play.say(InputsRead(replace(GONE_UP, limit_up=False)), InputsRead(CLEAR))
    assert kinds(end) == ["passage_closed"]
    assert isinstance(play.lane.phase, Free)


def test_an_overweight_vehicle_is_held_with_the_difference() -> None:
    play = Play()
    play.arrive(kg="21000")
    assert isinstance(play.lane.phase, Holding)
    assert play.lane.phase.ruling.codes() == ("weight_over",)
    assert play.lane.phase.ruling.reasons[0].detail == "1000 kg"
    assert not [e for e in play.asked if isinstance(e, RaiseArm)]


def test_what_could_not_be_recorded_does_not_move() -> None:
    play = Play()
    claim = next(e for e in play.arrive() if isinstance(e, AskClaim))
    play.say(ClaimAnswered(claim.claim_id, True))
    play.say(WriteFailed("disk full"), after_s=0.0)
    assert isinstance(play.lane.phase, Holding)
    assert play.lane.phase.ruling.codes() == ("journal_full",)
    assert play.lane.unwritten == ()


def test_an_arm_that_moves_without_an_order_closes_the_lane() -> None:
    play = Play()
    play.say(InputsRead(CLEAR))
    alarm = play.say(InputsRead(replace(CLEAR, limit_down=False)))
    assert isinstance(play.lane.phase, Shut)
    assert kinds(alarm) == ["alarm", "lane_closed"]


def test_an_arm_falling_on_something_is_raised_before_anything_is_recorded() -> None:
    play = Play()
    claim = next(e for e in play.arrive() if isinstance(e, AskClaim))
    play.say(ClaimAnswered(claim.claim_id, True), InputsRead(MOVING), InputsRead(UP))
    play.say(*[InputsRead(UNDER)] * 20, WeightRead(Decimal(0), None))
    play.say(*[e for _ in range(12) for e in (InputsRead(GONE_UP), WeightRead(Decimal(0), None))])
    reopened = play.say(InputsRead(replace(UNDER, limit_up=False)))
    assert isinstance(reopened[0], RaiseArm)
    assert isinstance(play.lane.phase, Passing)
