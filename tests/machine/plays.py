"""A stage for the lane machine: events in at set times, effects kept. Decides nothing, asserts nothing."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from edge.gate.effects import AskClaim, Commit, Effect, LookUp, LowerArm, RaiseArm, WakeAfter
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
    TimePassed,
    WeightRead,
)
from edge.gate.lane import Holding, Lane, LaneSettings, Needs, step, wake
from edge.gate.rules import LaneRules
from sync.vocabulary.facts import Alarm, kind_of
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
    site=Site(site="demo", name_zh="郑州", name_en="Zhengzhou", waiting_area_beyond_barrier=True),
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

    def arrive(
        self, kg: str = "20000", findings: Findings = FINDINGS, *, online: bool = True
    ) -> list[Effect]:
        """Loop, plate, tag, records, weight."""
        self.say(InputsRead(CLEAR), LinkChanged(online), InputsRead(HERE))
        self.read(findings)
        new = self.weigh(kg)
        looks = [effect for effect in new if isinstance(effect, LookUp)]
        return new + (self.say(RecordsFound(looks[-1].passage, looks[-1].request, findings)) if looks else [])

    def read(self, findings: Findings = FINDINGS) -> list[Effect]:
        new = self.say(PlateRead(PLATE), TagRead(TAG))
        look = [effect for effect in new if isinstance(effect, LookUp)][-1]
        return self.say(RecordsFound(look.passage, look.request, findings))

    def granted(self) -> list[Effect]:
        """The hub grants what was asked last."""
        claim = [effect for effect in self.asked if isinstance(effect, AskClaim)][-1]
        return self.say(ClaimAnswered(claim.claim_id, True))

    def raised(self) -> list[Effect]:
        """Arrived, granted, and the arm is up."""
        self.arrive()
        self.granted()
        return self.say(InputsRead(MOVING), InputsRead(UP))

    def under(self, times: int = 20, kg: str = "0") -> list[Effect]:
        return self.say(*[InputsRead(UNDER)] * times, WeightRead(Decimal(kg), None))

    def clear(self, times: int = 12) -> list[Effect]:
        """Nothing under the raised arm, nothing on the scale."""
        return self.say(
            *[e for _ in range(times) for e in (InputsRead(GONE_UP), WeightRead(Decimal(0), None))]
        )

    def wait(self, seconds: float, inputs: Inputs | None = None, kg: str | None = None) -> list[Effect]:
        """Time passes with polls going on."""
        new: list[Effect] = []
        for _ in range(round(seconds * 5)):
            new += self.say(InputsRead(inputs if inputs is not None else self.lane.inputs), after_s=0.1)
            if kg is not None:
                new += self.say(WeightRead(Decimal(kg), None), after_s=0.1)
            else:
                self.at_s += 0.1
        return new

    def timer(self, name: str) -> list[Effect]:
        """The last timer of that name fires when it is due."""
        armed = [e for e in self.asked if isinstance(e, WakeAfter) and e.timer.name == name][-1]
        self.at_s += armed.seconds
        return self.say(TimePassed(armed.timer), after_s=0.0)


def kinds(effects: list[Effect]) -> list[str]:
    """Kinds of the facts committed, in order."""
    return [kind_of(told.data) for effect in effects if isinstance(effect, Commit) for told in effect.facts]


def orders(effects: list[Effect]) -> list[str]:
    """Orders that move the arm, in order."""
    return [type(effect).__name__ for effect in effects if isinstance(effect, RaiseArm | LowerArm)]


def codes(play: Play) -> tuple[str, ...]:
    """Reason codes of the hold in force."""
    phase = play.lane.phase
    return phase.ruling.codes() if isinstance(phase, Holding) else ()


def alarms(effects: list[Effect]) -> list[str]:
    return [
        told.data.code.value
        for effect in effects
        if isinstance(effect, Commit)
        for told in effect.facts
        if isinstance(told.data, Alarm)
    ]
