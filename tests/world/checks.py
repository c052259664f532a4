"""What must be true of a run: every S and G that the world can see, each named. Looks on, changes nothing.

What physically happened is taken from the simulators; what the programs knew, from the bytes that reached them.
"""

from __future__ import annotations

import itertools
import re
import traceback
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from edge.devices.readings import (
    InputsSeen,
    Order,
    OrderDone,
    OrderRefused,
    PlatformCommand,
    PlatformDeviceOrder,
    PulseRelay,
    Reading,
    WeightSeen,
)
from edge.gate.effects import AskPlatform, Commit, Effect, LowerArm, Memory, RaiseArm, SetLights
from edge.gate.events import (
    UNKNOWN_INPUTS,
    DeviceWentSilent,
    Event,
    Inputs,
    InputsRead,
    RecordsFound,
)
from edge.gate.lane import Holding, Lane, Lowering, Shut, Waking
from edge.gate.rules import evidence_of, rule
from edge.gate.transitions import ALLOWED
from hardware_sims.drivers import ARM_X
from hardware_sims.vehicles import Vehicle as Truck
from sync.hub.archive import Archive
from sync.hub.terms import HubAlarm, Outgoing
from sync.link import words as link_words
from sync.link.messages import ClaimAnswer, ClaimVerdict, Signed
from sync.link.words import LinkEffect, LinkEvent
from sync.store.journal import AckOutcome, Journal, verify_journal
from sync.store.records import Records, generation_path
from sync.vocabulary.codec import from_json
from sync.vocabulary.facts import (
    Alarm,
    AlarmCode,
    FactData,
    LaneClosed,
    LaneReset,
    OrderInterrupted,
    PassageClosed,
    PassageOpened,
    RaiseOrdered,
    ReadingKept,
    RulingMade,
    Stream,
    SupplementEntered,
    UsesReturned,
    VehicleCrossed,
    kind_of,
    read_body,
)
from sync.vocabulary.records import (
    ControlAction,
    GateStage,
    Mode,
    PlatformLost,
    PlatformRole,
    RecallState,
    ReleaseSlip,
    Vehicle,
    VehicleState,
)
from sync.vocabulary.rulings import Reason, Ruling, Verdict
from sync.vocabulary.uses import UseState
from tests.world.traffic import DRAWN_FIRM, SCOPE, SiteRules

if TYPE_CHECKING:
    from tests.world.harness import GateProgram, LanePc, World

INPUT_LATENCY_S = 0.7
"""A poll, an answer, a retry: what is under the arm longer than this, the program must have been told."""
BETWEEN_LOOKS_S = 0.2
"""The I/O board is asked every 0.05 s and answers over a serial line."""
ALARM_WITHIN_S = 2.0
UNCOMMANDED_S = 1.5
"""A movement without our order must have closed the lane by then."""

_NOT_OF_RULES = frozenset(
    {
        Reason.CLAIM_REFUSED,
        Reason.CLAIM_UNANSWERED,
        Reason.JOURNAL_FULL,
        Reason.LANE_CLOSED,
        Reason.INTERRUPTED,
        Reason.DEVICE_SILENT,
        Reason.NO_IDENTITY,
        Reason.MANUAL_RELEASE,
        Reason.MANUAL_ASIDE,
        Reason.PLATFORM_REFUSED,
        Reason.PLATFORM_UNANSWERED,
    }
)
"""Holds the lane itself decides on; the rules have no say in them."""

_REFUSALS = frozenset(
    {
        HubAlarm.OVERSIZED,
        HubAlarm.MALFORMED,
        HubAlarm.TOPIC_UNKNOWN,
        HubAlarm.DEVICE_UNKNOWN,
        HubAlarm.FORGED,
        HubAlarm.WRONG_DEVICE,
        HubAlarm.BATCH_REFUSED,
    }
)
"""What a hostile broker may cause at the hub."""


_RESTORED = frozenset(
    {
        HubAlarm.BRANCH,
        HubAlarm.CHAIN_BROKEN,
        HubAlarm.ROLLED_BACK,
        HubAlarm.AFTER_EPOCH_END,
        HubAlarm.OLD_HEAD_DIFFERS,
        HubAlarm.HEAD_DIFFERS,
    }
)
"""How the hub names a device whose disk forgot."""


_NOT_FOR_THE_PLATFORM = frozenset(
    {"vehicle_blocked", "control_hold", "control_inspect", "quarantine_required", "recalled", "weight_jumped"}
)
"""Written out again: not taken from the rules that are looked at."""


@dataclass(frozen=True, slots=True)
class Breach:
    """A guarantee that did not hold."""

    guarantee: str
    at_s: float
    what: str

    def __str__(self) -> str:
        return f"{self.guarantee} at {self.at_s:.3f} s: {self.what}"


@dataclass(slots=True)
class Raising:
    """The arm on its way up and what went under it until it was down again."""

    began_s: float
    cause: str
    order_id: str
    crossed: list[str] = field(default_factory=list)
    unseen: bool = False
    """Somebody crossed while the program was down, or blind to the arm."""
    ended_s: float | None = None


@dataclass(slots=True)
class Stay:
    """A vehicle in a lane."""

    truck: Truck
    arrived_s: float
    left_s: float | None = None


class ToldUse(NamedTuple):
    """A use that a ruling reserved, as the facts at the hub have it."""

    device: str
    passage: int
    slip_no: str
    without_grant: bool
    """And its vehicle has not crossed."""


class LaneWatch:
    """What is known of one lane so far. Times are the world's."""

    def __init__(self) -> None:
        self.inputs: Inputs = UNKNOWN_INPUTS
        self.inputs_s = -1e9
        self.under_s: float | None = None
        self.arm_orders: list[tuple[str, bool]] = []
        """Given to the I/O board and not answered yet: (order id, True to raise)."""
        self.safety_ids: set[str] = set()
        self.last_move: tuple[str, str] = ("", "")
        self.moved_s = -1e9
        self.turned_back: list[tuple[float, float]] = []
        """(when the arm began to come down, when it turned up again)."""
        self.raisings: list[Raising] = []
        self.stays: dict[str, Stay] = {}
        self.queue: dict[str, Truck] = {}
        self.facts: list[tuple[float, FactData]] = []
        """Durable, in order."""
        self.passage_of_order: dict[str, int] = {}
        self.rulings: dict[int, list[RulingMade]] = defaultdict(list)
        self.verified_s: float | None = None
        self.faults: Counter[str] = Counter()
        """`device kind` now in force."""
        self.fault_ends: list[tuple[float, float, str]] = []
        self.fault_since: dict[str, float] = {}
        self.program_down: list[tuple[float, float]] = []
        self.down_since_s: float | None = 0.0
        self.clock_stepped = False
        self.restored = False
        """Its disk was put back to an earlier state: what it forgot it cannot be held to."""
        self.codes: dict[tuple[int, str], set[tuple[str, str, str]]] = {}
        """(passage, action) -> (officer, field, value) of codes shown that hold."""
        self.weights: list[tuple[float, int, Decimal | None, bool]] = []
        """(when, passage, kg read, all wheels on); None where the indicator saw motion."""
        self.supplements: dict[int, list[tuple[str, str]]] = defaultdict(list)
        """Passage -> (field, value) entered."""
        self.asked: dict[int, tuple[float, str]] = {}
        """Passage -> when and under which number the customs platform was asked last."""
        self.answers: list[tuple[float, PlatformCommand]] = []
        self.platform_silent_s = -1e9
        self.blind = False
        self.crossings = 0


class Watch:
    """Told of everything; `breaches` is what did not hold, `seen` what was reached."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.breaches: list[Breach] = []
        self.seen: dict[str, Counter[str]] = defaultdict(Counter)
        self.notes: list[str] = []
        self._lanes: dict[str, LaneWatch] = defaultdict(LaneWatch)
        self.hub_clock_stepped = False
        self.rough: list[tuple[float, float]] = []
        """When the way to the hub was not what it should be."""
        self.max_age_s = 0
        self.officers_needed = 1
        self.rules: SiteRules | None = None
        self.slip_of: dict[str, str] = {}
        """Plate -> a slip that names it."""
        self._found_by_end: set[str] = set()
        self._answered: set[str] = set()
        """Claims the hub has answered."""
        self._alarms: list[tuple[float, str, str, int]] = []
        """(when committed, device, epoch, seq) of alarm facts."""

    def of(self, lane: LanePc) -> LaneWatch:
        return self._lanes[lane.name]

    def reached(self, what: str, which: str) -> None:
        self.seen[what][which] += 1

    def note(self, text: str) -> None:
        self.notes.append(f"{self._world.now_s:9.3f} {text}")

    def breach(self, guarantee: str, what: str, cause: BaseException | None = None) -> None:
        if cause is not None:
            what += "\n" + "".join(traceback.format_exception(cause))
        self.breaches.append(Breach(guarantee, self._world.now_s, what))
        self.note(f"BREACH {guarantee}: {what}")

    # --- hardware ---

    def comes(self, lane: LanePc, truck: Truck) -> None:
        self.of(lane).queue[truck.id] = truck

    def physical(self, lane: LanePc, line: dict[str, Any]) -> None:
        watch, now_s = self.of(lane), self._world.now_s
        kind = line["kind"]
        match kind:
            case "relay_pulse":
                self._pulse(lane, watch, str(line["name"]), str(line["relay"]))
            case "arm_moving":
                self._moves(lane, watch, str(line["direction"]), str(line["cause"]))
            case "arm_down":
                if watch.raisings and watch.raisings[-1].ended_s is None:
                    watch.raisings[-1].ended_s = now_s
            case "contact":
                if watch.last_move == ("down", "order"):
                    self.breach(
                        "S0", f"{lane.name}: the arm, lowered by our order, touched {line['vehicle']}"
                    )
                self.reached("physical", "contact " + watch.last_move[1])
            case "vehicle_arrived":
                truck = watch.queue[line["vehicle"]]
                watch.stays[truck.id] = Stay(truck, now_s)
            case "vehicle_left":
                stay = watch.stays.get(line["vehicle"])
                if stay is not None:  # otherwise it gave up before it ever drove in
                    stay.left_s = now_s
                self._world.figures.passages += 1
                self.reached("physical", f"left {line['how']}")
            case "vehicle_crossed_arm":
                self._crossed(lane, watch, str(line["vehicle"]))
            case "platform_answer":
                self.reached("platform answers", str(line["answer"]))
            case "fault":
                self._fault(watch, f"{line['device']} {line['fault']}", bool(line["on"]))
            case _:
                pass
        if kind in ("fault", "fire", "stop", "power", "contact", "arm_moving", "relay_pulse", "vehicle_left"):
            fields = {k: v for k, v in line.items() if k not in ("t", "lane", "kind")}
            self.note(f"{lane.name}   {kind} {fields}")

    def _fault(self, watch: LaneWatch, name: str, on: bool) -> None:
        watch.faults[name] += 1 if on else -1
        if on:
            watch.fault_since.setdefault(name, self._world.now_s)
        elif watch.faults[name] <= 0:
            since = watch.fault_since.pop(name, self._world.now_s)
            watch.fault_ends.append((since, self._world.now_s, name))

    def was_faulty(self, watch: LaneWatch, device: str, since_s: float, *kinds: str) -> bool:
        """Whether `device` had one of these faults (any, where none is named) at some time since."""

        def fits(name: str) -> bool:
            what, _, kind = name.partition(" ")
            return what == device and (not kinds or kind in kinds)

        return any(fits(name) for name, count in watch.faults.items() if count > 0) or any(
            fits(name) for _, end_s, name in watch.fault_ends if end_s >= since_s
        )

    def _pulse(self, lane: LanePc, watch: LaneWatch, name: str, relay: str) -> None:
        if relay == "camera":
            self.breach("S1", f"{lane.name}: the camera's contact opened the barrier")
            return
        if name not in ("open", "close"):
            return
        ours = next((order_id for order_id, up in watch.arm_orders if up == (name == "open")), None)
        program = lane.program
        if ours is None or program is None:
            self.breach("S1", f"{lane.name}: relay {name} without an order of ours")
            return
        self.reached("physical", f"relay {name}")
        if name == "open":
            self._raise_pulse(lane, watch, program, ours)

    def _raise_pulse(self, lane: LanePc, watch: LaneWatch, program: GateProgram, order_id: str) -> None:
        """S1 at the very instant of the relay, against what the journal holds for others to read."""
        journal = program.journal
        head = journal.heads()[Stream.ROUTINE].seq
        recent = journal.facts_from(Stream.ROUTINE, max(1, head - 60), max_facts=100, max_bytes=10_000_000)
        bodies = [read_body(fact.body).data for fact in recent]
        places = [
            place
            for place, data in enumerate(bodies)
            if isinstance(data, RaiseOrdered) and data.order_id == order_id
        ]
        if not places:
            if order_id not in watch.safety_ids:
                self.breach(
                    "S1", f"{lane.name}: relay open for order {order_id}, which is not in the journal"
                )
            return
        ordered = bodies[places[-1]]
        assert isinstance(ordered, RaiseOrdered)
        if ordered.purpose == "safety":
            return
        ruling = bodies[places[-1] - 1] if places[-1] else None
        if not isinstance(ruling, RulingMade) or ruling.passage != ordered.passage:
            self.breach("S1", f"{lane.name}: order {order_id} is durable without its ruling beside it")
            return
        wanted = Verdict.INSPECT if ordered.purpose == "inspect" else Verdict.RELEASE
        if ruling.ruling.verdict is not wanted:
            self.breach(
                "S1", f"{lane.name}: order {order_id} to {ordered.purpose} on {ruling.ruling.codes()}"
            )
        uses = {use.use_id: use for use in journal.uses_of(list(ruling.slips))}
        for use_id in ruling.use_ids:
            use = uses.get(use_id)
            if use is None or use.state is UseState.RETURNED or use.passage != ordered.passage:
                self.breach("S1", f"{lane.name}: order {order_id} without its slip use {use_id} ({use})")
        if len(ruling.use_ids) != len(ruling.slips):
            self.breach("S1", f"{lane.name}: order {order_id}: {ruling.use_ids} uses of slips {ruling.slips}")

    def _moves(self, lane: LanePc, watch: LaneWatch, direction: str, cause: str) -> None:
        now_s = self._world.now_s
        if watch.last_move[0] == "down" and direction == "up":
            watch.turned_back.append((watch.moved_s, now_s))
        watch.last_move, watch.moved_s = (direction, cause), now_s
        self.reached("arm", f"{direction} {cause}")
        if direction == "up":
            if not watch.raisings or watch.raisings[-1].ended_s is not None:
                order_id = next((order for order, up in watch.arm_orders if up), "")
                watch.raisings.append(Raising(now_s, cause, order_id if cause == "order" else ""))
            elif cause == "order":
                # A new order on an arm not yet down (raised again): the same opening.
                pass
        if cause in ("fire", "hand", "power"):
            self._expect_shut(lane, watch, direction, cause)

    def _expect_shut(self, lane: LanePc, watch: LaneWatch, direction: str, cause: str) -> None:
        program = lane.program
        if program is None:
            return
        phase = type(program.loop.state.phase).__name__
        watched: tuple[str, ...] = ("Free", "Reading", "Claiming", "Holding")
        if lane.plan.like == 0 and direction == "down":
            watched = (*watched, "Passing")
        if phase not in watched or (direction == "down" and phase != "Passing"):
            return
        began_s, known = self._world.now_s, len(watch.facts)

        def look() -> None:
            if lane.program is not program or self.was_faulty(watch, "io", began_s - 3.0):
                return
            back_s = next((back_s for down_s, back_s in watch.turned_back if down_s == began_s), None)
            if direction == "down" and back_s is not None and 2 * (back_s - began_s) < BETWEEN_LOOKS_S:
                # Down and up again between two looks: the upper limit switch opened for nobody to see.
                return
            alarms = [data for _, data in watch.facts[known:] if isinstance(data, Alarm)]
            waiting = [told.data for told in program.loop.state.unwritten]
            codes = {data.code for data in [*alarms, *waiting] if isinstance(data, Alarm)}
            told = codes & {AlarmCode.UNCOMMANDED_MOVEMENT, AlarmCode.SAFETY_INPUT, AlarmCode.ARM_FAULT}
            now = type(program.loop.state.phase).__name__
            said = [*(data for _, data in watch.facts[known:]), *waiting]
            reset = any(isinstance(data, LaneReset) for data in said)
            if not told or (now != "Shut" and not reset):
                self.breach(
                    "S12",
                    f"{lane.name}: {UNCOMMANDED_S:g} s after the arm went {direction} by {cause} in {phase} the "
                    f"lane is {now}, alarms {sorted(codes)}",
                )
            self.reached("checked", f"S12 {cause}")

        self._world.at(began_s + UNCOMMANDED_S, look)

    def _crossed(self, lane: LanePc, watch: LaneWatch, vehicle: str) -> None:
        watch.crossings += 1
        if watch.raisings and watch.raisings[-1].ended_s is None:
            raising = watch.raisings[-1]
            raising.crossed.append(vehicle)
            blind = lane.program is None or "io" in lane.program.loop.state.silent
            raising.unseen = raising.unseen or blind or self.was_faulty(watch, "io", raising.began_s)
        else:
            self.reached("physical", "crossed under an arm that is down")

    # --- the program ---

    def power_cut(self, lane: LanePc) -> None:
        watch = self.of(lane)
        watch.arm_orders.clear()
        watch.down_since_s = self._world.now_s
        watch.blind = True
        if watch.raisings and watch.raisings[-1].ended_s is None:
            watch.raisings[-1].unseen = True
        self.note(f"{lane.name} power cut")

    def woke(
        self,
        lane: LanePc,
        program: GateProgram,
        memory: Memory | None,
        state: Lane,
        first: tuple[Effect, ...],
    ) -> None:
        watch = self.of(lane)
        since_s = self._world.now_s if watch.down_since_s is None else watch.down_since_s
        self.rough.append((since_s, self._world.now_s + 5.0))
        watch.inputs, watch.inputs_s, watch.under_s = UNKNOWN_INPUTS, -1e9, None
        watch.weights.clear()
        if watch.down_since_s is not None:
            watch.program_down.append((watch.down_since_s, self._world.now_s))
            watch.down_since_s = None
        if not isinstance(state.phase, Waking | Shut) or first[0] != SetLights(green=False):
            self.breach("S6", f"{lane.name}: woke up as {state.phase} with {first[0]}")
        if any(isinstance(effect, RaiseArm | LowerArm) for effect in first):
            self.breach("S6", f"{lane.name}: waking up moves the arm")
        self.reached("phases", type(state.phase).__name__)
        if memory is not None:
            self.reached("woken from", memory.phase)
        self.note(
            f"{lane.name} woke from {memory.phase if memory else 'nothing'}, run {program.settings.run}"
        )

    def reading(self, lane: LanePc, device: str, reading: Reading) -> None:
        watch = self.of(lane)
        match reading:
            case InputsSeen(values):
                assert lane.program is not None
                watch.inputs = lane.program.wires.read(values)
                watch.inputs_s = self._world.now_s
                barrier = lane.sim.physics.barrier
                under = barrier._loop or barrier._photocell
                if not under:
                    watch.under_s = None
                elif watch.under_s is None:
                    watch.under_s = self._world.now_s
            case WeightSeen():
                self._weight_read(lane, watch, reading)
            case PlatformCommand():
                watch.answers.append((self._world.now_s, reading))
            case PlatformDeviceOrder():
                self._platform_wants(lane, watch, reading)
            case OrderDone(order_id) | OrderRefused(order_id):
                watch.arm_orders = [each for each in watch.arm_orders if each[0] != order_id]
            case _:
                pass

    def _weight_read(self, lane: LanePc, watch: LaneWatch, reading: WeightSeen) -> None:
        assert lane.program is not None
        passage = lane.program.loop.state.passage
        if passage is None:
            watch.weights.clear()
            return
        kg = None if reading.stable is False or reading.out_of_range else Decimal(reading.value_kg)
        watch.weights.append((self._world.now_s, passage.number, kg, watch.inputs.fully_on is True))

    def _platform_wants(self, lane: LanePc, watch: LaneWatch, order: PlatformDeviceOrder) -> None:
        """S8: where the site says so, an order to raise is one officer's; nothing else it says is."""
        assert lane.program is not None
        passage = lane.program.loop.state.passage
        raises = re.fullmatch(r"[0-9]0[0-9]{18}", order.command) is not None
        allowed = self.rules is not None and self.rules.platform_may_raise
        if passage is not None and raises and allowed and self._is_here(lane, order):
            watch.codes.setdefault((passage.number, "release"), set()).add(("platform", "", ""))

    def _is_here(self, lane: LanePc, said: PlatformDeviceOrder | PlatformCommand) -> bool:
        settings = lane.sim.settings
        return (said.area_id, said.channel_no, said.direction) == (
            settings.platform_area_id,
            settings.platform_channel_no,
            settings.platform_direction,
        )

    def not_taken(self, lane: LanePc, order_id: str) -> None:
        watch = self.of(lane)
        watch.arm_orders = [each for each in watch.arm_orders if each[0] != order_id]

    def ordered(self, lane: LanePc, device: str, order_id: str, order: Order) -> None:
        relays = lane.config.relays
        if device == "io" and isinstance(order, PulseRelay) and order.channel in (relays.open, relays.close):
            self.of(lane).arm_orders.append((order_id, order.channel == relays.open))

    def stepped(
        self, lane: LanePc, before: Lane, at_s: float, event: Event, after: Lane, effects: tuple[Effect, ...]
    ) -> None:
        was, now = type(before.phase), type(after.phase)
        if was is not now:
            pair = (was.__name__, now.__name__)
            self.reached("transitions", f"{pair[0]} -> {pair[1]}")
            self.reached("phases", pair[1])
            if isinstance(after.phase, Holding):
                for code in after.phase.ruling.codes():
                    self.reached("reasons", code)
            number = after.passage.number if after.passage else None
            self.note(f"{lane.name} {pair[0]} -> {pair[1]} on {type(event).__name__}, passage {number}")
            if pair not in ALLOWED:
                self.breach("S6", f"{lane.name}: {pair[0]} -> {pair[1]} on {event} is in no table")
        if not effects:
            return
        if was is Lowering:
            self._while_lowering(lane, event, effects)
        for place, effect in enumerate(effects):
            match effect:
                case RaiseArm(order_id):
                    later = [e for e in effects[place + 1 :] if isinstance(e, Commit)]
                    earlier = [e for e in effects[:place] if isinstance(e, Commit)]
                    if not earlier and _orders_safety(later, order_id):
                        self.of(lane).safety_ids.add(order_id)
                case LowerArm():
                    if isinstance(event, DeviceWentSilent):
                        self.breach("S2", f"{lane.name}: the loss of {event.device} lowers the arm")
                case Commit(facts=facts):
                    for told in facts:
                        if isinstance(told.data, RulingMade) and told not in before.unwritten:
                            self._same_again(lane, after, told.data)
                            self._ruled(lane, self.of(lane), told.data)
                case _:
                    pass
        if isinstance(event, DeviceWentSilent) and event.device == "platform":
            self.of(lane).platform_silent_s = self._world.now_s
        if isinstance(event, RecordsFound):
            self.reached("events", "RecordsFound")

    def _while_lowering(self, lane: LanePc, event: Event, effects: tuple[Effect, ...]) -> None:
        """S2: up at once, before anything is recorded."""
        match event:
            case InputsRead(inputs) if inputs.under_arm() and not inputs.proven_down():
                must = inputs.fire is not True
            case DeviceWentSilent("io", _):
                must = True
            case _:
                must = False
        if must:
            self.reached("checked", "S2 reopened")
            if not isinstance(effects[0], RaiseArm):
                self.breach("S2", f"{lane.name}: {event} under a falling arm, first effect {effects[0]}")

    def _same_again(self, lane: LanePc, after: Lane, made: RulingMade) -> None:
        """S11: the rules give the recorded ruling again for the recorded readings and the records of then."""
        passage = after.passage
        codes = {because.code for because in made.ruling.reasons}
        if passage is None or passage.findings is None or codes & _NOT_OF_RULES:
            return
        evidence = evidence_of(made.readings, frozenset(use.use_id for use in passage.uses))
        again = rule(after.settings.rules, evidence, passage.findings)
        self.reached("checked", "S11")
        if self._goes(made) and self._platform_speaks(lane, made, again.ruling):
            # Its word in the local rules' place: checked for itself.
            return
        if again.ruling != made.ruling:
            self.breach(
                "S11",
                f"{lane.name}: ruled {made.ruling.codes()}, the same readings give {again.ruling.codes()}",
            )

    def _goes(self, made: RulingMade) -> bool:
        """Let through, and not only told what comes next on this side of the barrier."""
        beyond = self.rules is not None and self.rules.inspection_beyond_barrier
        return made.ruling.verdict is Verdict.RELEASE or (made.ruling.verdict is Verdict.INSPECT and beyond)

    def _platform_speaks(self, lane: LanePc, made: RulingMade, local: Ruling) -> bool:
        """Nobody goes but by an answer of twenty digits that begins 00, quotes this lane and the question that
        is open, and came in time; without one, only by the site's setting and the lane's own rules; and never
        against a local quarantine, live control, recall or block. Whether the answer stands for the rules."""
        rules, watch = self.rules, self.of(lane)
        if rules is None or rules.platform is PlatformRole.NONE:
            return False
        passes = local.verdict is Verdict.RELEASE or (
            local.verdict is Verdict.INSPECT and rules.inspection_beyond_barrier
        )
        asked_s, number = watch.asked.get(made.passage, (self._world.now_s, ""))
        answer = next(
            (
                said.check_result
                for at_s, said in watch.answers
                if asked_s <= at_s <= asked_s + rules.platform_timeout_s + 0.01
                and said.seq_no == number
                and self._is_here(lane, said)
                and re.fullmatch(r"[0-9]{20}", said.check_result)
            ),
            None,
        )
        if watch.platform_silent_s >= asked_s:
            answer = answer if answer is not None and answer.startswith("00") else None
        where = f"{lane.name}: passage {made.passage} let go, asked under {number or 'no number'}, "
        self.reached("checked", f"platform {rules.platform.value}")
        if answer is None:
            self.reached("checked", "platform lost")
            if rules.platform_lost is PlatformLost.HOLD or not passes:
                self.breach("platform", f"{where}without an answer that counts")
            return False
        if not answer.startswith("00"):
            self.breach("platform", f"{where}answered {answer}")
        if passes:
            return False
        self.reached("checked", "platform instead")
        if rules.platform is not PlatformRole.INSTEAD or set(local.codes()) & _NOT_FOR_THE_PLATFORM:
            self.breach("platform", f"{where}against {local.codes()}")
        return True

    def performing(self, lane: LanePc, effect: Effect) -> None:
        watch = self.of(lane)
        match effect:
            case LowerArm():
                self._lowering(lane, watch)
            case RaiseArm(order_id):
                admits = order_id not in watch.safety_ids
                if admits and not (watch.inputs.proven_down()):
                    self.breach("S6", f"{lane.name}: order {order_id} on an arm not known to be down")
            case _:
                pass

    def _lowering(self, lane: LanePc, watch: LaneWatch) -> None:
        """S2: what was read last, how old it is, and what is physically there."""
        age_s = self._world.now_s - watch.inputs_s
        stale_s = lane.config.timing.io_stale_s
        if watch.inputs.under_arm() or age_s > stale_s + 1e-6:
            self.breach("S2", f"{lane.name}: ordered down on inputs {age_s:.3f} s old: {watch.inputs}")
        if watch.inputs.fire is not False:
            self.breach("S2", f"{lane.name}: ordered down with fire {watch.inputs.fire}")
        lied = self.was_faulty(watch, "io", self._world.now_s - 3.0, "stuck", "slow")
        if watch.under_s is not None and self._world.now_s - watch.under_s > INPUT_LATENCY_S and not lied:
            since_s = self._world.now_s - watch.under_s
            self.breach("S2", f"{lane.name}: ordered down on something that is there for {since_s:.3f} s")
        self.reached("checked", "S2 lowered")

    def performed(self, lane: LanePc, effect: Effect) -> None:
        """It did not fail; a commit is durable now."""
        watch, now_s = self.of(lane), self._world.now_s
        if isinstance(effect, AskPlatform):
            # Its fact may wait for a disk that is full: asked is asked.
            watch.asked[effect.passage] = (now_s, effect.seq_no)
        if not isinstance(effect, Commit):
            return
        ruled: RulingMade | None = None
        if lane.program is not None and any(told.stream is Stream.ALARM for told in effect.facts):
            journal = lane.program.journal
            head = journal.heads()[Stream.ALARM].seq
            self._alarms.append((now_s, lane.name, journal.epoch, head))
        for told in effect.facts:
            data = told.data
            watch.facts.append((now_s, data))
            self.reached("facts", kind_of(data))
            match data:
                case RulingMade():
                    ruled = data
                    watch.rulings[data.passage].append(data)
                    for because in data.ruling.reasons:
                        self.reached("reasons", because.code.value)
                    self.reached("claims", data.claim)
                    self.note(f"{lane.name} ruled {data.ruling.codes()} {data.plate} claim={data.claim}")
                case RaiseOrdered(passage, order_id, purpose):
                    watch.passage_of_order[order_id] = passage
                    self.reached("purposes", purpose)
                    self._admitted_on_evidence(lane, ruled, data)
                case SupplementEntered():
                    self._supplemented(lane, watch, data)
                case Alarm(code=code):
                    self.reached("alarms", code.value)
                    self.note(f"{lane.name} ALARM {code.value}: {data.detail}")
                case PassageClosed(outcome=outcome):
                    self.reached("outcomes", outcome)
                    self.note(f"{lane.name} passage {data.passage} closed: {outcome}")
                case LaneClosed(why=why):
                    self.reached("closed", why)
                case OrderInterrupted(why=why):
                    self.reached("interrupted", why)
                case _:
                    pass

    def _admitted_on_evidence(self, lane: LanePc, ruled: RulingMade | None, ordered: RaiseOrdered) -> None:
        """S6: no admission without somebody having been identified in this very passage and life."""
        if ordered.purpose == "safety":
            return
        if ruled is None or ruled.passage != ordered.passage:
            self.breach("S1", f"{lane.name}: order {ordered.order_id} is not committed with its ruling")
        elif (
            ruled.claim != "manual"
            and not _values(ruled.readings, "plate")
            and not _values(ruled.readings, "tag")
        ):
            self.breach("S6", f"{lane.name}: order {ordered.order_id} without plate or tag read")

    # --- rulings beside the physical world ---

    def _ruled(self, lane: LanePc, watch: LaneWatch, made: RulingMade) -> None:
        now_s = self._world.now_s
        opened_s = next(
            (
                at_s
                for at_s, data in reversed(watch.facts)
                if isinstance(data, PassageOpened) and data.passage == made.passage
            ),
            now_s,
        )
        since_s = opened_s - 5.0
        lied = self.was_faulty(watch, "camera", since_s, "wrong_plate", "stuck") or self.was_faulty(
            watch, "rfid", since_s, "stuck"
        )
        here = [stay for stay in watch.stays.values() if stay.left_s is None or stay.left_s >= opened_s - 1.0]
        if not lied:
            self._evidence_is_of(lane, made, here)
        if made.ruling.verdict is Verdict.HOLD:
            # S9: never a dead end.
            if not made.owner or not made.ways:
                self.breach("S9", f"{lane.name}: passage {made.passage} held {made.ruling.codes()} by nobody")
            self.reached("checked", "S9 owner")
            return
        self._not_forbidden(lane, watch, made)
        if made.claim == "manual":
            self._by_hand(lane, watch, made)
            return
        front = _front(lane, watch)
        if front is None:
            # Without a scale the lane sees who left by a tag that is read no more, and by nothing sooner.
            blind_s = (
                lane.config.timing.gone_blind_s if self.was_faulty(watch, "weighbridge", since_s) else 0.0
            )
            if not any(stay.left_s is not None and now_s - stay.left_s <= blind_s for stay in here):
                self.breach("S5", f"{lane.name}: passage {made.passage} let go with nobody in the lane")
            return
        if not lied and made.plate != front.plate and made.plate not in self._plates_of_tag(lane, front.tag):
            self.breach(
                "S5",
                f"{lane.name}: passage {made.passage} let {made.plate} go, there stands {front.id} "
                f"{front.plate} {front.tag}",
            )
        self._weighed(lane, watch, made, front, since_s)
        self._fresh(lane, watch, made)
        self._drawn(lane, watch, made)
        self.reached("checked", "S5")

    def _evidence_is_of(self, lane: LanePc, made: RulingMade, here: list[Stay]) -> None:
        plates = {stay.truck.plate for stay in here}
        tags = {stay.truck.tag for stay in here}
        neighbour = lane.sim.settings.hears_neighbour
        if neighbour is not None:
            # Its antenna hears that lane too: a reading all the same. Nobody is let go by it (below).
            tags |= {stay.truck.tag for stay in self._lanes[neighbour].stays.values()}
        foreign = [
            kept.value
            for kept in made.readings
            if kept.kind == "plate" and kept.value not in plates and not kept.detail.startswith("officer ")
        ]
        if not self.was_faulty(self.of(lane), "rfid", self._world.now_s - 60.0, "flip", "chatter", "cut"):
            foreign += [value for value in _values(made.readings, "tag") if value not in tags]
        if foreign:
            self.breach(
                "S5",
                f"{lane.name}: passage {made.passage} stands on {foreign}, here were "
                f"{[(stay.truck.id, stay.truck.plate) for stay in here]}",
            )

    def _plates_of_tag(self, lane: LanePc, tag: str | None) -> set[str]:
        program = lane.program
        records = program.records.current() if program is not None and tag is not None else None
        found = records.vehicle_by_tag(tag) if records is not None and tag is not None else None
        return {str(found.plate)} if found is not None else set()

    def _weighed(
        self, lane: LanePc, watch: LaneWatch, made: RulingMade, front: Truck, since_s: float
    ) -> None:
        """S7: only a read becomes a weight."""
        if made.gross_kg is None:
            return
        self._no_jump(lane, watch, made)
        gross_kg = Decimal(made.gross_kg)
        entered = [Decimal(value) for field, value in watch.supplements[made.passage] if field == "weight"]
        if gross_kg in entered:
            return
        if gross_kg not in {kg for _, passage, kg, _ in watch.weights if passage == made.passage}:
            self.breach("S7", f"{lane.name}: passage {made.passage} weighed {gross_kg} kg, never read so")
        # What an indicator truly shows is what it weighs, whoever has been at its cells.
        wrong = ("stuck", "slow", "jump", "no_zero", "drift")
        if self.was_faulty(watch, "weighbridge", since_s, *wrong):
            return
        away_kg = abs(Decimal(made.gross_kg) - Decimal(front.gross_kg) - Decimal(lane.plan.zero_kg))
        if away_kg > 100:
            self.breach(
                "S7",
                f"{lane.name}: passage {made.passage} weighed {made.gross_kg} kg, "
                f"{front.id} has {front.gross_kg} kg",
            )
        self.reached("checked", "S7 weight")

    def _no_jump(self, lane: LanePc, watch: LaneWatch, made: RulingMade) -> None:
        """One steady weight that became another far from it, all wheels on: nobody goes without an officer."""
        if self.was_faulty(watch, "io", self._world.now_s - 60.0):
            return
        steady: list[Decimal] = []
        began_s, first, frames = 0.0, Decimal(0), 0
        for at_s, passage, kg, on in watch.weights:
            if passage != made.passage:
                continue
            if not on:
                steady.clear()
            if not on or kg is None or not frames or abs(kg - first) > 40:
                began_s, first, frames = at_s, kg or Decimal(0), int(on and kg is not None)
                continue
            frames += 1
            if at_s - began_s >= 1.6 and frames >= 10 and (not steady or steady[-1] != first):
                steady.append(first)
        for before_kg, after_kg in itertools.pairwise(steady):
            if abs(after_kg - before_kg) >= 300:
                self.breach(
                    "S7", f"{lane.name}: passage {made.passage} let go, {before_kg} became {after_kg} kg"
                )
        self.reached("checked", "S7 jump")

    def _not_forbidden(self, lane: LanePc, watch: LaneWatch, made: RulingMade) -> None:
        """Whoever says so, customs platform or officer: a block, live hold, recall or quarantine is ended by
        nobody at the lane; an officer may lead it aside (S8)."""
        program = lane.program
        records = program.records.current() if program is not None else None
        aside = any(because.code is Reason.MANUAL_ASIDE for because in made.ruling.reasons)
        if records is None or aside or watch.clock_stepped:
            return
        vehicle = records.get("vehicles", made.plate) if made.plate else None
        against: list[str] = []
        if isinstance(vehicle, Vehicle) and vehicle.state is VehicleState.BLOCKED:
            against.append("blocked")
        against += [
            control.control_id
            for control in records.controls()
            if control.mode is Mode.LIVE
            and control.action is ControlAction.HOLD
            and made.plate in control.condition.plates
        ]
        slips = [records.get("release_slips", slip_no) for slip_no in made.slips]
        against += [
            f"quarantine of {slip.slip_no}"
            for slip in slips
            if isinstance(slip, ReleaseSlip) and slip.quarantine == "required"
        ]
        against += [
            recall.recall_no
            for recall in records.recalls()
            if recall.state is RecallState.ACTIVE and set(made.slips) & set(recall.slip_nos)
        ]
        if against:
            self.breach(
                "S8" if made.claim == "manual" else "S11",
                f"{lane.name}: passage {made.passage} let {made.plate} go by {made.ruling.codes()}, "
                f"platform {made.platform or 'not asked'}, against {against}",
            )
        self.reached("checked", "not forbidden")

    def _supplemented(self, lane: LanePc, watch: LaneWatch, entered: SupplementEntered) -> None:
        """S8: an authorised officer, who meant this passage and this very value."""
        shown = watch.codes.get((entered.passage, "supplement"), set())
        watch.supplements[entered.passage].append((entered.field, entered.value))
        if (entered.officer, entered.field, entered.value) not in shown:
            self.breach("S8", f"{lane.name}: {entered} stands on none of the codes {shown}")
        self.reached("supplements", entered.field)
        self.reached("checked", "S8 supplement")

    def front(self, lane: LanePc) -> Truck | None:
        """Who stands at the stop line, as somebody beside the lane sees it."""
        return _front(lane, self.of(lane))

    def _fresh(self, lane: LanePc, watch: LaneWatch, made: RulingMade) -> None:
        """S10: the age is in the fact, is not too old, and is not younger than it can be."""
        age_s = made.records_age_s
        if age_s is None or age_s > self.max_age_s:
            self.breach("S10", f"{lane.name}: passage {made.passage} let go on records {age_s} s old")
            return
        if watch.verified_s is None:
            self.breach("S10", f"{lane.name}: passage {made.passage} let go on records never proved")
        elif not (watch.clock_stepped or self.hub_clock_stepped):
            least_s = self._world.now_s - watch.verified_s - lane.config.timing.claim_timeout_s
            if age_s < least_s - 1.0:
                self.breach("S10", f"{lane.name}: records {age_s} s old, proved {least_s:.1f} s ago")
        self.reached("checked", "S10")

    def _by_hand(self, lane: LanePc, watch: LaneWatch, made: RulingMade) -> None:
        """S8: authorised officers, as many as the site asks for, who meant this very passage, and a reason."""
        officers = [name for name in made.officer.split(", ") if name]
        aside = made.ruling.reasons[0].code is Reason.MANUAL_ASIDE
        shown = watch.codes.get((made.passage, "aside" if aside else "release"), set())
        allowed = {officer for officer, _, _ in shown}
        if not made.ruling.reasons[0].detail.strip():
            self.breach("S8", f"{lane.name}: passage {made.passage} released by hand without a reason")
        if len(set(officers)) < self.officers_needed or set(officers) - allowed:
            self.breach(
                "S8", f"{lane.name}: passage {made.passage} released by {officers}, valid codes of {allowed}"
            )
        if aside and self.rules is not None and not self.rules.waiting_area_beyond_barrier:
            self.breach("S8", f"{lane.name}: passage {made.passage} led aside out of the gate")
        self.reached("checked", "S8 aside" if aside else "S8")

    def _drawn(self, lane: LanePc, watch: LaneWatch, made: RulingMade) -> None:
        """S11: who was drawn is not let go until the check is discharged."""
        if made.enterprise != str(DRAWN_FIRM) or made.ruling.verdict is Verdict.INSPECT:
            return
        checked = any(
            isinstance(data, RulingMade)
            and data.plate == made.plate
            and data.ruling.verdict is Verdict.INSPECT
            for each in self._lanes.values()
            for _, data in each.facts
        )
        # Where the customs platform rules instead of the lane it lets go whom the lane would inspect: the draw
        # stays, and is asked for again at the next passage.
        instead = self.rules is not None and self.rules.platform is PlatformRole.INSTEAD
        if instead and made.platform == "released":
            self.reached("checked", "S11 released by the platform")
        elif not checked or made.ruling.verdict is Verdict.RELEASE:
            self.breach("S11", f"{lane.name}: {made.plate} was drawn and is let go: {made.ruling.codes()}")

    # --- the link ---

    def noticed(self, lane: LanePc, notice: link_words.Notice) -> None:
        self.reached("notices", type(notice).__name__)

    def hub_says(self, message: Outgoing) -> None:
        said = message.topic.rsplit("/", 1)[-1]
        self.reached("hub says", said)
        if said == "claim_answer":
            self._granted(from_json(from_json(message.payload, Signed).body, ClaimAnswer))

    def _granted(self, answer: ClaimAnswer) -> None:
        """S4: nothing is granted that facts the hub has say is used up, whatever they stand on."""
        hub = self._world.hub.archive
        if hub is None or answer.claim_id in self._answered:
            return
        self._answered.add(answer.claim_id)
        claim = hub.claim(answer.claim_id)
        assert claim is not None
        gate = self._gate(self._world.lanes[answer.device])
        uses = self._uses_told(hub, gate, answer.claim_id)
        for slip_no in claim.slip_nos:
            allowed = self._allowed(slip_no)
            taken = [use for use in uses.values() if use.slip_no == slip_no]
            if answer.verdict is ClaimVerdict.REFUSED and any(use.without_grant for use in taken):
                self.reached("checked", "S4 reserved by policy")
            if len(taken) >= allowed and answer.verdict is ClaimVerdict.GRANTED:
                self.breach(
                    "S4",
                    f"{answer.device}: {answer.claim_id} granted on {slip_no}, {allowed} allowed, although facts "
                    f"told of {taken}",
                )

    def _uses_told(self, hub: Archive, gate: GateStage, but: str) -> dict[tuple[str, str], ToldUse]:
        """By lane and use: every use at this kind of gate that facts at the hub reserve and do not return;
        those on the claim `but` left out."""
        told: dict[tuple[str, str], ToldUse] = {}
        for kind in ("ruling_made", "uses_returned", "vehicle_crossed"):
            for device, body in hub.facts_of_kind(kind):
                match read_body(body).data:
                    case RulingMade() as made if self._gate(self._world.lanes[device]) is gate:
                        for use, slip_no in zip(made.use_ids, made.slips, strict=False):
                            if made.claim_id != but:
                                told[device, use] = ToldUse(device, made.passage, slip_no, not made.claim_id)
                    case UsesReturned() as returned:
                        for use in returned.use_ids:
                            told.pop((device, use), None)
                    case VehicleCrossed() as crossed:
                        for use in crossed.use_ids:
                            if (device, use) in told:
                                told[device, use] = told[device, use]._replace(without_grant=False)
                    case _:
                        pass
        return told

    def link_performed(self, lane: LanePc, effect: LinkEffect, answers: tuple[LinkEvent, ...]) -> None:
        match effect:
            case link_words.NoteVerified() if not answers:
                self.of(lane).verified_s = self._world.now_s
            case link_words.ApplyAck(ack):
                hub = self._world.hub.archive
                applied = [a for a in answers if isinstance(a, link_words.AckApplied)]
                for answer in applied:
                    self.reached("acks", answer.outcome.value)
                if hub is None or hub.archive_id != ack.archive_id or not applied:
                    return
                if applied[0].outcome is AckOutcome.APPLIED:
                    stored = hub._db.execute(
                        "SELECT count(*) FROM facts WHERE device = ? AND epoch = ? AND stream = ? AND seq <= ?",
                        (lane.name, ack.epoch, ack.stream.value, ack.contiguous),
                    ).fetchone()[0]
                    if stored != ack.contiguous:
                        self.breach(
                            "G3",
                            f"{lane.name}: {ack.stream.value} acknowledged to {ack.contiguous}, {stored} stored",
                        )
            case _:
                pass

    # --- after the run ----------------------------------------------------------------------------------------

    def after_traffic(self, settled: bool) -> None:
        """S9: everybody has gone, faults are lifted: every passage is closed, or the lane shut with an alarm."""
        for lane in self._world.lanes.values():
            watch = self.of(lane)
            if lane.program is None:
                self.breach("S9", f"{lane.name}: no program runs at the end")
                continue
            if not settled:
                where = [(each, lane.sim.physics.place(each)) for each in lane.sim.physics.vehicles]
                phase = lane.program.loop.state.phase
                self.breach("S9", f"{lane.name}: not at rest in its time: {phase}, vehicles {where}")
            if watch.restored:
                continue
            state = lane.program.loop.state
            alarmed = any(isinstance(data, Alarm) for _, data in watch.facts)
            shut = isinstance(state.phase, Shut) and alarmed
            opened = {data.passage for _, data in watch.facts if isinstance(data, PassageOpened)}
            closed = Counter(data.passage for _, data in watch.facts if isinstance(data, PassageClosed))
            hanging = sorted(opened - set(closed))
            in_hand = {state.passage.number} if state.passage is not None else set()
            if (hanging and not shut) or set(hanging) - in_hand:
                self.breach("S9", f"{lane.name}: passages {hanging} never closed, lane is {state.phase}")
            twice = sorted(passage for passage, times in closed.items() if times > 1)
            if twice:
                self.breach("S9", f"{lane.name}: passages {twice} closed more than once")
            unknown = sorted(set(closed) - opened)
            if unknown:
                self.breach("S9", f"{lane.name}: passages {unknown} closed and never opened")

    def final(self) -> None:
        """After the link is quiet; hub and lanes still run."""
        for lane in self._world.lanes.values():
            watch = self.of(lane)
            self._one_raising_one_vehicle(lane, watch)
            self._returned_before_raised(lane, watch)
            self._all_crossings_told(lane, watch)
            self._facts_arrived(lane)
            self._records_equal(lane)
        self._uses()
        self._alarms_in_time()
        self._hub_is_calm()

    def _one_raising_one_vehicle(self, lane: LanePc, watch: LaneWatch) -> None:
        """S3"""
        for raising in watch.raisings:
            different = list(dict.fromkeys(raising.crossed))
            if len(different) < 2 or raising.unseen or raising.cause != "order":
                continue
            self.reached("checked", "S3")
            end_s = (raising.ended_s or self._world.now_s) + 10.0
            for full_s, free_s in lane.disk_was_full:
                # What was seen meanwhile is told when the disk takes it.
                if full_s <= end_s and free_s >= raising.began_s:
                    end_s = max(end_s, free_s + 10.0)
            alarms = [
                data.code
                for at_s, data in watch.facts
                if isinstance(data, Alarm)
                and raising.began_s <= at_s <= end_s
                and data.code in (AlarmCode.TAILGATER, AlarmCode.UNGATED_CROSSING)
            ]
            if len(alarms) < len(different) - 1 and not self._was_down(watch, raising.began_s, end_s):
                self.breach(
                    "S3",
                    f"{lane.name}: {different} crossed on one raising at {raising.began_s:.1f} s, "
                    f"alarms {alarms}",
                )

    def _was_down(self, watch: LaneWatch, from_s: float, to_s: float) -> bool:
        return any(begin_s <= to_s and end_s >= from_s for begin_s, end_s in watch.program_down)

    def _returned_before_raised(self, lane: LanePc, watch: LaneWatch) -> None:
        """S4: a use returns only before any raise order of its passage."""
        if watch.restored:
            return
        ordered: set[int] = set()
        for _, data in watch.facts:
            if isinstance(data, RaiseOrdered) and data.purpose != "safety":
                ordered.add(data.passage)
            elif isinstance(data, UsesReturned) and data.passage in ordered and data.use_ids:
                self.breach("S4", f"{lane.name}: {data.use_ids} returned after the raise order")

    def _all_crossings_told(self, lane: LanePc, watch: LaneWatch) -> None:
        """S12, S3: whoever crossed an open lane that could see is in a fact, admitted or ungated."""
        lied = self.was_faulty(watch, "weighbridge", 0.0, "stuck", "slow")
        if watch.blind or lied or watch.restored or self.was_faulty(watch, "io", 0.0):
            return
        told = sum(
            isinstance(data, VehicleCrossed)
            or (isinstance(data, PassageClosed) and data.outcome == "ungated")
            for _, data in watch.facts
        )
        if told < watch.crossings:
            self.breach("S12", f"{lane.name}: {watch.crossings} vehicles crossed, {told} are in facts")
        self.reached("checked", "S12 crossings")

    def _uses(self) -> None:
        """S4: as often as it allows and no more, or listed and alarmed."""
        slips: set[str] = set()
        physical: Counter[tuple[str, GateStage]] = Counter()
        for lane in self._world.lanes.values():
            watch = self.of(lane)
            assert lane.program is not None
            for rulings in [*watch.rulings.values()]:
                for made in rulings:
                    for slip_no in made.slips if made.use_ids else ():
                        slips.add(slip_no)
            for raising in watch.raisings:
                number = watch.passage_of_order.get(raising.order_id)
                if number is None or not raising.crossed or not watch.rulings[number]:
                    continue
                for slip_no in watch.rulings[number][-1].slips:
                    physical[slip_no, self._gate(lane)] += 1
        hub = self._world.hub.archive
        assert hub is not None
        alarmed = [
            str(detail)
            for (detail,) in hub._db.execute(
                "SELECT detail FROM hub_alarms WHERE code = ?", (HubAlarm.DOUBLE_USE.value,)
            )
        ]
        forgotten = {
            slip_no
            for watch in self._lanes.values()
            if watch.restored
            for rulings in watch.rulings.values()
            for made in rulings
            for slip_no in made.slips
        }
        through = {slip_no for slip_no, _ in physical}
        for slip_no, gate in itertools.product((slips | through) - forgotten, GateStage):
            allowed = self._allowed(slip_no)
            crossed = sum(
                use.state is UseState.CROSSED
                for lane in self._world.lanes.values()
                if lane.program is not None and self._gate(lane) is gate
                for use in lane.program.journal.uses_of([slip_no])
            )
            listed = any(slip_no in detail for detail in alarmed)
            if crossed > allowed and not listed:
                self.breach(
                    "S4", f"slip {slip_no} crossed {crossed} times at one gate, {allowed} allowed, no alarm"
                )
            went = physical[slip_no, gate]
            if went > allowed and not listed:
                self.breach("S4", f"slip {slip_no} let {went} vehicles through, {allowed} allowed, no alarm")
            if listed:
                self.reached("checked", "S4 double use listed")
            self.reached("checked", "S4")

    def _gate(self, lane: LanePc) -> GateStage:
        """A slip counts once at each of two gates (一卡, 二卡)."""
        lanes = self.rules.lanes if self.rules is not None else ()
        return next((each.gate for each in lanes if each.lane == lane.name), GateStage.ONLY)

    def _allowed(self, slip_no: str) -> int:
        for lane in self._world.lanes.values():
            records = lane.program.records.current() if lane.program is not None else None
            found = records.get("release_slips", slip_no) if records is not None else None
            if isinstance(found, ReleaseSlip):
                return found.uses_allowed
        return 1

    def _facts_arrived(self, lane: LanePc) -> None:
        """G2, G3, G6: the hub has what the journal has: gapless, chained, each exactly once in effect."""
        hub, program = self._world.hub.archive, lane.program
        assert hub is not None and program is not None  # noqa: PT018
        journal = program.journal
        for stream, head in journal.heads().items():
            ours = {
                fact.seq: fact.hash
                for fact in journal.facts_from(stream, 1, max_facts=100_000, max_bytes=1 << 30)
            }
            theirs = hub.fact_hashes(lane.name, journal.epoch, stream.value, 1, 1 << 60)
            if ours != theirs:
                lost = sorted(set(ours) - set(theirs))[:8]
                self.breach(
                    "G2",
                    f"{lane.name} {stream.value}: {len(ours)} facts here, {len(theirs)} at the hub, "
                    f"missing {lost}",
                )
            if sorted(ours) != list(range(1, head.seq + 1)):
                self.breach("G2", f"{lane.name} {stream.value}: the journal has gaps")
            if journal.acked()[stream] != head.seq:
                self.breach(
                    "G3", f"{lane.name} {stream.value}: acknowledged {journal.acked()[stream]} of {head.seq}"
                )
        for problem in verify_journal(journal.path):
            self.breach("G6", f"{lane.name}: {problem}")
        self._every_event_once(lane, journal)
        self.reached("checked", "G2")

    def _every_event_once(self, lane: LanePc, journal: Journal) -> None:
        hub = self._world.hub.archive
        assert hub is not None and journal._reader is not None  # noqa: PT018
        ours = {str(row[0]) for row in journal._reader.execute("SELECT event_id FROM facts")}
        rows = hub._db.execute(
            "SELECT event_id, count(*), count(DISTINCT epoch) FROM facts WHERE device = ? GROUP BY event_id",
            (lane.name,),
        ).fetchall()
        theirs = {str(event_id) for event_id, _, _ in rows}
        if ours - theirs:
            self.breach("G2", f"{lane.name}: {len(ours - theirs)} events never reached the hub")
        for event_id, times, epochs in rows:
            if times > epochs:
                self.breach("G2", f"{lane.name}: event {event_id} is stored {times} times in {epochs} epochs")
        if self.of(lane).restored:
            return
        told = sum(isinstance(data, VehicleCrossed) for _, data in self.of(lane).facts)
        kept = hub._db.execute(
            "SELECT count(DISTINCT event_id) FROM facts WHERE device = ? AND kind = 'vehicle_crossed'",
            (lane.name,),
        ).fetchone()[0]
        if kept != told:
            self.breach("G2", f"{lane.name}: {told} crossings committed, {kept} at the hub")

    def _records_equal(self, lane: LanePc) -> None:
        """G5"""
        hub, program = self._world.hub.archive, lane.program
        assert hub is not None and program is not None  # noqa: PT018
        scope = hub.scope(SCOPE)
        generation = program.journal.generation()
        assert scope is not None
        if generation is None:
            self.breach("G5", f"{lane.name}: no records at the end")
            return
        with Records.open(generation_path(lane.config.store.folder, generation)) as records:
            state = records.feed_state()
            if (state.epoch, state.number, state.rows, state.digest) != (
                scope.epoch,
                scope.number,
                scope.rows,
                scope.digest,
            ):
                self.breach("G5", f"{lane.name}: records at {state}, the hub at {scope}")
            for problem in records.verify():
                self.breach("G5", f"{lane.name}: {problem}")
        self.reached("checked", "G5")

    def _alarms_in_time(self) -> None:
        """G9, where nothing stood between lane and hub."""
        hub = self._world.hub.archive
        assert hub is not None
        if self.hub_clock_stepped:
            return
        for at_s, device, epoch, seq in self._alarms:
            if any(begin_s - ALARM_WITHIN_S <= at_s <= end_s for begin_s, end_s in self.rough):
                continue
            row = hub._db.execute(
                "SELECT stored_utc FROM facts WHERE device = ? AND epoch = ? AND stream = 'alarm' AND seq = ?",
                (device, epoch, seq),
            ).fetchone()
            late = row is None or str(row[0]) > self._world.utc(0.0, at_s + ALARM_WITHIN_S)
            if late:
                self.breach("G9", f"{device}: alarm {seq} of {at_s:.3f} s was stored {row}")
            self.reached("checked", "G9")

    def _hub_is_calm(self) -> None:
        """G2, G6: nothing of ours looked forged, branched or broken to the hub."""
        hub = self._world.hub.archive
        assert hub is not None
        hostile = self.seen["trouble"]["broker hostile"] > 0
        restored = {name for name, watch in self._lanes.items() if watch.restored}
        for code, device, detail in hub._db.execute("SELECT code, device, detail FROM hub_alarms"):
            self.reached("hub alarms", str(code))
            expected = (
                code == HubAlarm.DOUBLE_USE
                or (hostile and code in _REFUSALS)
                or (device in restored and code in _RESTORED)
            )
            if not expected:
                self.breach("G6", f"the hub alarms {code} of {device}: {detail}")
        for (device,) in hub._db.execute("SELECT DISTINCT device FROM branches"):
            if device not in restored:
                self.breach("G6", f"the hub holds branches of {device}")
        self._forgotten_is_found(restored)

    def must_be_found(self, lane: LanePc) -> None:
        """Its disk forgets facts that the hub has: the hub must say so by the end."""
        self._found_by_end.add(lane.name)

    def _forgotten_is_found(self, restored: set[str]) -> None:
        """G4, G6: a restored disk is found and named."""
        hub = self._world.hub.archive
        assert hub is not None
        named = {
            str(device)
            for code, device in hub._db.execute("SELECT code, device FROM hub_alarms")
            if code in _RESTORED
        }
        for device in sorted(self._found_by_end & restored):
            if device not in named:
                self.breach("G6", f"{device}: its disk was restored and the hub has not noticed")
            self.reached("checked", "G6 restored")


def _orders_safety(commits: list[Commit], order_id: str) -> bool:
    return any(
        isinstance(told.data, RaiseOrdered)
        and told.data.purpose == "safety"
        and told.data.order_id == order_id
        for commit in commits
        for told in commit.facts
    )


def _values(readings: tuple[ReadingKept, ...], kind: str) -> list[str]:
    return [kept.value for kept in readings if kept.kind == kind]


def _front(lane: LanePc, watch: LaneWatch) -> Truck | None:
    """The first vehicle in the lane that has not wholly passed the arm."""
    physics = lane.sim.physics
    for name in physics.vehicles:
        place = physics.place(name)
        truck = watch.queue[name]
        if place is not None and place[2] != "queued" and place[0] - truck.length_m < ARM_X:
            return truck
    return None
