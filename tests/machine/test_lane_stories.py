"""Random stories of a lane: whatever comes in whatever order, the guarantees that move the arm hold.

Half of each story is the event its phase waits for: evenly random events would seldom get a vehicle through.
The stage performs effects as the program does: a commit may fail, then nothing behind it is performed and
`WriteFailed` is what the lane is told next; the power may be cut after any effect.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.gate.effects import (
    AskClaim,
    AskPlatform,
    Commit,
    Effect,
    LookUp,
    LowerArm,
    Memory,
    RaiseArm,
    WakeAfter,
)
from edge.gate.events import (
    CardRead,
    ClaimAnswered,
    CodeRead,
    ContainerRead,
    DeviceSpoke,
    DeviceWentSilent,
    Event,
    Findings,
    Inputs,
    InputsRead,
    LinkChanged,
    OfficerReleased,
    OfficerReset,
    OrderCarriedOut,
    OrderFailed,
    ParcelCodeRead,
    PictureKept,
    PlateRead,
    PlatformOrdered,
    PlatformRuled,
    ReadFailed,
    RecordsChanged,
    RecordsFound,
    ReleaseCodeShown,
    ReleaseRefused,
    ScaleFault,
    SupplementGiven,
    SyncSaid,
    TagRead,
    TimePassed,
    Timer,
    WeightRead,
    WriteFailed,
)
from edge.gate.lane import (
    Claiming,
    Consulting,
    Free,
    Holding,
    Lane,
    LaneSettings,
    Lowering,
    Passing,
    PlatformAddress,
    Raising,
    Reading,
    Shut,
    Waking,
    step,
    wake,
)
from edge.gate.transitions import ALLOWED
from sync.vocabulary.facts import (
    FactData,
    MessageRefused,
    PassageClosed,
    PlatformOrderSeen,
    RaiseOrdered,
    RulingMade,
    Stream,
    UsesReturned,
)
from sync.vocabulary.numbers import ContainerNo, Epc, Plate, WaybillNo
from sync.vocabulary.records import CreditTier, PlatformLost, PlatformRole
from sync.vocabulary.uses import SlipUse, UseState
from tests.machine.plays import (
    CLEAR,
    FINDINGS,
    GONE_UP,
    HERE,
    MOVING,
    ON_SCALE,
    PLATE,
    SETTINGS,
    SLIP,
    TAG,
    UNDER,
    UP,
)

RANK = {UseState.RESERVED: 0, UseState.RAISED: 1, UseState.CROSSED: 2}
OTHER = Plate("苏B67890")
SCENES = (CLEAR, HERE, ON_SCALE, MOVING, UP, UNDER, GONE_UP)
SWITCHES = (True, False, None)
DEVICES = ("io", "weighbridge", "rfid", "plate_camera", "platform")


def site_with(**changes: object) -> Findings:
    assert FINDINGS.site is not None
    return replace(FINDINGS, site=msgspec.structs.replace(FINDINGS.site, **changes))


ANSWERS = (
    *[FINDINGS] * 6,
    replace(FINDINGS, slips=()),
    replace(FINDINGS, age_s=None),
    site_with(offline_release_tiers=(CreditTier.HIGH,)),
    site_with(manual_release_officers=2),
    site_with(platform=PlatformRole.BEFORE),
    site_with(platform=PlatformRole.AFTER, platform_lost=PlatformLost.LOCAL),
    site_with(platform=PlatformRole.INSTEAD, platform_may_raise=True),
    replace(site_with(platform=PlatformRole.BEFORE), slips=()),
)
ASKED = replace(SETTINGS, platform=PlatformAddress("4604", "1", "I"))
OPENS, REFUSES = "0" * 20, "1" * 20
WAITS = {
    Waking: "waking",
    Reading: "reading",
    Consulting: "platform",
    Claiming: "claim",
    Raising: "arm",
    Passing: "passing",
    Lowering: "arm",
    Holding: "hold",
}
"""What ends each phase in which somebody is dealt with, if nothing else does (S9)."""


@dataclass
class Story:
    """One lane, its disk, and what must be true of every step."""

    seed: int
    settings: LaneSettings = ASKED
    at_s: float = 0.0
    moves: Counter[tuple[str, str]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.memory: Memory | None = None
        self.uses: dict[str, SlipUse] = {}
        self.durable: list[FactData] = []
        self.owed: list[FactData] = []
        self.asked: dict[int, set[str]] = {}
        self.timers: dict[Timer, float] = {}
        self.look: LookUp | None = None
        self.question: AskPlatform | None = None
        self.inputs: Inputs | None = None
        self.inputs_s = -1e9
        self.runs = 0
        self.lane: Lane
        self.start()

    # --- the program around the machine -------------------------------------------------------------------

    def start(self) -> None:
        """As after a power cut: only what is on the disk is left."""
        self.runs += 1
        self.owed.clear()
        self.timers.clear()
        self.look, self.inputs, self.question = None, None, None
        open_uses = tuple(u for u in self.uses.values() if u.state in (UseState.RESERVED, UseState.RAISED))
        down_s = self.dice.choice((None, 1.0, 5.0, 5.0, 5.0, 500.0))
        fresh = replace(self.settings, run=f"r{self.runs}")
        self.lane, effects = wake(fresh, self.at_s, self.memory, open_uses, down_s)
        self.perform(effects)

    def tell(self, event: Event) -> None:
        before = self.lane
        if isinstance(event, InputsRead):
            self.inputs, self.inputs_s = event.inputs, self.at_s
        if event == DeviceWentSilent("io", "cut") and "io" not in before.silent:
            self.inputs = None
        self.lane, effects = step(before, self.at_s, event)
        names = type(before.phase).__name__, type(self.lane.phase).__name__
        if names[0] != names[1]:
            self.moves[names] += 1
            assert names in ALLOWED, names
        self.check_orders(before, effects)
        self.perform(effects)

    def perform(self, effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            match effect:
                case Commit():
                    if self.dice.random() < 0.04:
                        self.owed += [t.data for t in effect.facts if t.data not in self.owed]
                        self.forget_what_did_not_happen(effects)
                        self.tell(WriteFailed("disk full"))
                        return
                    self.commit(effect)
                case WakeAfter(timer, seconds):
                    self.timers[timer] = self.at_s + seconds
                case LookUp():
                    self.look = effect
                case AskClaim(claim_id, passage):
                    self.asked.setdefault(passage, set()).add(claim_id)
                case AskPlatform():
                    self.question = effect
                case _:
                    pass
            if self.dice.random() < 0.006:
                self.start()
                return

    def forget_what_did_not_happen(self, effects: tuple[Effect, ...]) -> None:
        """A ruling whose order stood behind the commit that failed is the one fact that is not owed; the
        platform's order that led to it was not obeyed."""
        self.owed = [d for d in self.owed if not isinstance(d, PlatformOrderSeen) or not d.obeyed]
        orders = {effect.order_id for effect in effects if isinstance(effect, RaiseArm)}
        for at, data in reversed(list(enumerate(self.owed))):
            if isinstance(data, RaiseOrdered) and data.order_id in orders and data.purpose != "safety":
                del self.owed[at - 1 : at + 1]

    def commit(self, commit: Commit) -> None:
        facts = [told.data for told in commit.facts]
        self.owed = [data for data in self.owed if data not in facts]
        self.durable += facts
        self.memory = commit.memory
        for use in commit.uses:
            self.check_use(use)
            self.uses[use.use_id] = use
        for data in facts:
            if isinstance(data, PassageClosed):
                self.check_claims(data.passage)

    # --- what must be true --------------------------------------------------------------------------------

    def check_orders(self, before: Lane, effects: tuple[Effect, ...]) -> None:
        assert sum(isinstance(effect, Commit) for effect in effects) <= 1
        for at, effect in enumerate(effects):
            if isinstance(effect, RaiseArm):
                self.check_raise(before, effects, at, effect.order_id)
            if isinstance(effect, LowerArm):
                inputs = self.inputs
                assert inputs is not None
                assert self.at_s - self.inputs_s <= self.settings.io_stale_s
                seen = (inputs.arm_loop, inputs.photocell, inputs.fire, inputs.stop)
                assert seen == (False, False, False, False)

    def check_raise(self, before: Lane, effects: tuple[Effect, ...], at: int, order_id: str) -> None:
        facts = [told.data for effect in effects if isinstance(effect, Commit) for told in effect.facts]
        ordered = next(d for d in facts if isinstance(d, RaiseOrdered) and d.order_id == order_id)
        assert order_id not in {d.order_id for d in self.durable if isinstance(d, RaiseOrdered)}
        if ordered.purpose == "safety":
            assert isinstance(before.phase, Lowering | Passing)
            return
        assert any(isinstance(effect, Commit) for effect in effects[:at])
        assert isinstance(self.lane.phase, Raising)
        ruling = facts[facts.index(ordered) - 1]
        assert isinstance(ruling, RulingMade)
        assert ruling.passage == ordered.passage
        assert ruling.ruling.verdict.value in ("release", "inspect")
        self.check_platform(ruling)
        inputs = self.inputs
        assert inputs is not None
        assert self.at_s - self.inputs_s <= self.settings.io_stale_s
        seen = (inputs.limit_down, inputs.limit_up, inputs.fire, inputs.stop)
        assert seen == (True, False, False, False)

    def check_platform(self, ruling: RulingMade) -> None:
        """Where the site has it asked, nobody is admitted without its word, or the site's for its silence."""
        passage = self.lane.passage
        assert passage is not None
        site = passage.findings.site if passage.findings is not None else None
        if ruling.claim == "manual" or site is None or site.platform is PlatformRole.NONE:
            return
        alone = ["unanswered"] if site.platform_lost is PlatformLost.LOCAL else []
        assert ruling.platform in ["released", *alone]

    def check_waiting(self) -> None:
        """S9: whatever the lane waits for has a time limit; a hold keeps it while it is looked at again."""
        passage = self.lane.passage
        number = passage.number if passage is not None else 0
        armed = {timer.name for timer in self.timers if timer.passage in (number, 0)}
        assert WAITS.get(type(self.lane.phase), "") in {*armed, ""}
        if passage is not None and passage.held is not None and not passage.order_id:
            assert "hold" in armed

    def check_use(self, use: SlipUse) -> None:
        old = self.uses.get(use.use_id)
        if use.state is UseState.RETURNED:
            ordered = {d.passage for d in self.durable if isinstance(d, RaiseOrdered)}
            assert use.passage not in ordered
            return
        if old is None:
            assert use.state is UseState.RESERVED
            return
        assert old.state in RANK
        assert RANK[use.state] >= RANK[old.state]

    def check_claims(self, passage: int) -> None:
        """S4: every claim asked was refused, given back, or stands behind an order of its passage."""
        returned = {d.claim_id for d in self.durable if isinstance(d, UsesReturned)}
        used = {u.claim_id for u in self.uses.values()}
        assert self.asked.pop(passage, set()) - returned - used == set()
        assert used & returned <= {""} | {u.claim_id for u in self.uses.values() if u.state not in RANK}

    def check_nothing_lost(self) -> None:
        waiting = [told.data for told in self.lane.unwritten]
        assert [data for data in self.owed if data not in waiting] == []

    # --- what happens -------------------------------------------------------------------------------------

    def go_on(self) -> None:
        self.at_s += self.dice.choice((0.05, 0.1, 0.1, 0.2, 0.3, 1.0))
        self.let_timers_fire()
        if self.dice.random() < 0.5:
            for event in self.awaited():
                self.tell(event)
                self.at_s += 0.05
        else:
            self.tell(self.anything())
        self.check_nothing_lost()
        self.check_waiting()

    def let_timers_fire(self) -> None:
        for timer, due_s in sorted(self.timers.items(), key=lambda item: item[1]):
            if due_s <= self.at_s and self.timers.get(timer) == due_s:
                del self.timers[timer]
                self.tell(TimePassed(timer))

    def awaited(self) -> Iterator[Event]:
        """What the phase waits for; one story may take another turn in the middle."""
        phase, passage, dice = self.lane.phase, self.lane.passage, self.dice
        number = passage.number if passage is not None else 0
        match phase:
            case Waking() if passage is not None and dice.random() < 0.7:
                yield InputsRead(HERE)
            case Waking():
                yield InputsRead(dice.choice((CLEAR, CLEAR, HERE, GONE_UP, UNDER)))
            case Free():
                yield InputsRead(HERE)
            case Reading():
                yield from self.evidence()
            case Claiming() | Consulting() if dice.random() < 0.1:
                yield from self.backing_out()
            case Consulting():
                yield InputsRead(ON_SCALE)
                yield self.platforms_answer(dice.choice((OPENS, OPENS, REFUSES)))
            case Claiming():
                yield InputsRead(ON_SCALE)
                yield ClaimAnswered(self.claim_id(), True)
            case Raising():
                yield InputsRead(MOVING)
                yield InputsRead(UP)
            case Passing(reopening=str(order)) if order:
                yield InputsRead(UP)
            case Passing() if passage is not None and passage.parts == 0 and not passage.blocked:
                yield InputsRead(UNDER)
            case Passing():
                for _ in range(dice.randint(1, 20)):
                    yield InputsRead(GONE_UP)
                    yield WeightRead(Decimal(0), None)
            case Lowering() if dice.random() < 0.1:
                yield OrderFailed(f"{self.settings.lane_id}-r{self.runs}-{number}-lower", "too late")
            case Lowering():
                yield InputsRead(replace(GONE_UP, limit_up=False))
                yield InputsRead(dice.choice((CLEAR, CLEAR, HERE)))
            case Holding():
                yield from self.out_of_a_hold()
            case Shut():
                scene = dice.choice((CLEAR, GONE_UP, UNDER, HERE))
                yield InputsRead(scene)
                yield InputsRead(replace(scene, reset_key=True))

    def evidence(self) -> Iterator[Event]:
        passage = self.lane.passage
        if passage is None or self.dice.random() < 0.1:
            return
        if not passage.plates:
            yield PlateRead(PLATE)
        if not passage.tags:
            yield TagRead(TAG)
        if self.look is not None:
            yield RecordsFound(self.look.passage, self.look.request, self.dice.choice(ANSWERS))
        kg = self.dice.choice((20_000, 20_000, 20_000, 14_000, 25_000))
        for _ in range(self.dice.randint(0, 16)):
            yield InputsRead(ON_SCALE)
            yield WeightRead(Decimal(kg), None)

    def out_of_a_hold(self) -> Iterator[Event]:
        number = self.lane.passage.number if self.lane.passage is not None else 0
        match self.dice.randrange(6):
            case 0:
                yield InputsRead(ON_SCALE)
                yield OfficerReleased(number, self.dice.choice(("1", "2", "3")), "checked by hand", 1)
            case 1:
                yield RecordsChanged()
            case 2:
                yield LinkChanged(True)
            case 3:
                entered = (("plate", PLATE), ("weight", "20000"), ("slip", SLIP), ("weight", "x"))
                yield SupplementGiven(number, "4604001", *self.dice.choice(entered), "by eye")
            case 4:
                yield OfficerReleased(number, "1", "led aside", 1, aside=True)
            case _:
                yield from self.backing_out()

    def platforms_answer(self, check_result: str) -> Event:
        seq_no = self.question.seq_no if self.question is not None else ""
        return PlatformRuled("4604", "1", "I", seq_no, check_result, "hint")

    def backing_out(self) -> Iterator[Event]:
        for _ in range(30):
            yield InputsRead(CLEAR)
            yield WeightRead(Decimal(0), None)

    def claim_id(self) -> str:
        return self.lane.passage.claim_id if self.lane.passage is not None else ""

    def anything(self) -> Event:
        dice, lane = self.dice, self.lane
        number = lane.passage.number if lane.passage is not None else 0
        order_id = lane.passage.order_id if lane.passage is not None else ""
        makers: tuple[Callable[[], Event], ...] = (
            lambda: InputsRead(dice.choice(SCENES)),
            lambda: InputsRead(dice.choice(SCENES)),
            lambda: InputsRead(self.odd_inputs()),
            lambda: WeightRead(Decimal(dice.choice((0, 300, 14_000, 20_000, 60_000))), dice.choice(SWITCHES)),
            lambda: PlateRead(dice.choice((PLATE, PLATE, OTHER)), 0.9),
            lambda: TagRead(dice.choice((TAG, TAG, Epc("E2004074850A0103163070E2")))),
            lambda: CodeRead(SLIP),
            lambda: CardRead("C1"),
            lambda: ContainerRead(ContainerNo("MSCU6639870"), "front"),
            lambda: ParcelCodeRead(WaybillNo("SF1234567890123")),
            lambda: ScaleFault(dice.choice(("overload", "net_weight"))),
            lambda: PictureKept(number, "arrival", "front", f"{dice.randrange(99):064d}", 1),
            lambda: self.platforms_answer(dice.choice((OPENS, REFUSES, "Y", OPENS[:19]))),
            lambda: PlatformOrdered("4604", "1", "I", dice.choice((OPENS, REFUSES)), "OP1"),
            lambda: DeviceWentSilent(dice.choice(DEVICES), "cut"),
            lambda: DeviceSpoke(dice.choice(DEVICES)),
            lambda: LinkChanged(dice.random() < 0.6),
            RecordsChanged,
            lambda: RecordsFound(number, dice.randint(0, 4), dice.choice(ANSWERS)),
            lambda: self.an_answer(),
            lambda: OrderFailed(dice.choice((order_id, "light-1-red")), "no answer"),
            lambda: OrderCarriedOut(order_id),
            lambda: ReadFailed("rfid", "garbled"),
            lambda: SyncSaid(Stream.ROUTINE, MessageRefused(topic="t", why=f"at {self.at_s}", times=1)),
            lambda: OfficerReset("4604001"),
            lambda: OfficerReleased(number, dice.choice("123"), "checked", None),
            lambda: ReleaseCodeShown("KKR1:x"),
            lambda: ReleaseRefused(number, f"at {self.at_s}"),
            lambda: TimePassed(dice.choice([*self.timers, Timer("again", number), Timer("odd", 7)])),
            self.a_long_wait,
        )
        return dice.choice(makers)()

    def an_answer(self) -> Event:
        """The hub's: a refused claim has no use that could be left over."""
        claim_id, granted = self.claim_id(), self.dice.random() < 0.5
        if not granted and isinstance(self.lane.phase, Claiming) and self.lane.passage is not None:
            self.asked.get(self.lane.passage.number, set()).discard(claim_id)
        return ClaimAnswered(self.dice.choice((claim_id, claim_id)), granted, "used elsewhere")

    def a_long_wait(self) -> Event:
        self.at_s += self.dice.choice((5.0, 30.0, 130.0))
        return TimePassed(Timer("nobody's", 0))

    def odd_inputs(self) -> Inputs:
        odd = self.dice.choice(SCENES)
        names = ("arrival", "arm_loop", "photocell", "limit_down", "limit_up", "stop", "fire", "reset_key")
        change = {name: self.dice.choice(SWITCHES) for name in self.dice.sample(names, k=2)}
        return replace(odd, **change)


def told(seed: int, turns: int = 120) -> Story:
    dice = random.Random(seed + 1)
    way = dice.choice((ASKED, ASKED, replace(ASKED, lowering_on_request=False)))
    story = Story(seed, way)
    for _ in range(turns):
        story.go_on()
    return story


@given(seed=st.integers(0, 2**40))
@settings(max_examples=80)
def test_whatever_happens_the_guarantees_of_the_arm_hold(seed: int) -> None:
    told(seed)


RARE = frozenset[tuple[str, str]]()
"""Rows of the table that stories need not reach."""


def test_the_stories_reach_every_phase_and_every_row_of_the_table() -> None:
    moves: Counter[tuple[str, str]] = Counter()
    for seed in range(80):
        moves += told(seed).moves
    assert {name for move in moves for name in move} == {
        phase.__name__
        for phase in (
            Waking,
            Free,
            Reading,
            Consulting,
            Claiming,
            Raising,
            Passing,
            Lowering,
            Holding,
            Shut,
        )
    }
    assert ALLOWED - set(moves) == RARE
