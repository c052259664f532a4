"""A belt with everything that happens to parcels on it, as events: no station, no picture physics, no bytes.

Written from `docs`' fault rates and from what happens on belts, not from the machine that is tested with it.
Every thing on the belt has a true place at the portal, at the X-ray and at the diverter; eyes are polled, the
encoder is noisy, things push each other and touch. What came of it is judged here too, by where each thing
really went and by what is really in each picture.

Rates (of parcels): no-read 2 %, removed 0.2 %, added 0.2 %, slip of up to 250 mm 0.5 %, split picture 0.3 %,
missing picture 0.1 %, belt stop 0.1 %. Things less than 15 mm apart give one picture. Removals, additions and
slips happen at these rates on the stretch before the X-ray and once more on the stretch behind it.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count, pairwise

from edge.xray_bridge.effects import Analyse, Commit, Effect, LookUp, Pulse
from edge.xray_bridge.events import (
    Analysed,
    BeltRead,
    CodeRead,
    Event,
    EyeSeen,
    GoodsFound,
    Judged,
    OfficerCame,
    PictureTaken,
    Shown,
    WedgeChecked,
)
from edge.xray_bridge.values import (
    Acquisition,
    Analysis,
    Compared,
    Eye,
    Goods,
    Layout,
    Likeness,
    Verdict,
)
from sync.vocabulary.xray_facts import ParcelSorted, ParcelXRayed

SPEED_MM_S = 300.0
POLL_MM = 6.0
"""An eye is looked at every 20 ms."""
NOISE_MM = 8.0
"""Of a parcel against the encoder on each stretch: three sigma about 25 mm."""
TOUCH_MM = 15.0
AIR_MM = 3.0
"""So wide a gap shows as columns of air (0.8 mm each): the analysis counts two things."""
NO_READ, REMOVED, ADDED, SLIP, SPLIT, MISSING, STOP = 0.02, 0.002, 0.002, 0.005, 0.003, 0.001, 0.001
SLIP_MM = 250.0
PULSE_S = 0.5
"""The diverter's pulse; what reaches the gate meanwhile goes where the gate leads."""
DRAGGED = 0.2
"""Of things that touch one that is led away, how many go along."""
TO_OFFICER = 0.14
FLAGGED = 0.05
MISREAD_PLACE = 0.005
"""A code that is read far from where it is: the reader sees wide."""
LAYOUT = Layout(xray_mm=3_000.0, diverter_mm=8_000.0, chute_mm=600.0)
CALIBRATION = "cal"

FEEDS: dict[str, Callable[[random.Random], float]] = {
    "normal": lambda chance: chance.expovariate(1 / 420.0),
    "dense": lambda chance: chance.expovariate(1 / 180.0),
    "singulated": lambda chance: 150.0 + chance.expovariate(1 / 150.0),
}
"""Gap in front of a parcel, millimetres."""


@dataclass(slots=True)
class Thing:
    """Something on the belt. Places are true, in the belt's coordinates at the portal."""

    id: int
    front_mm: float
    length_mm: float
    code: str = ""
    at_portal: bool = True
    gone: bool = False
    passed: bool = False
    """It really is in the pass chute."""
    flagged: bool = False
    ended: bool = False

    def back_mm(self) -> float:
        return self.front_mm + self.length_mm


@dataclass
class Tally:
    """Of things that really went over the belt."""

    things: int = 0
    passed: int = 0
    wrong: int = 0
    """In the pass chute, and what was judged was not exactly its own picture and its own waybill."""
    alongs: int = 0
    """Of those that passed: gone along without a pulse of their own. Wrong only if they had not been judged
    to pass themselves."""
    flagged: int = 0
    recheck: int = 0
    removed: int = 0
    added: int = 0
    why: dict[str, int] = field(default_factory=dict)
    """Reasons of recheck, the first of each parcel."""
    sorted_facts: int = 0
    numbers: int = 0
    examples: list[str] = field(default_factory=list)

    def share(self) -> float:
        return self.wrong / self.passed if self.passed else 0.0


class Belt:
    """One seed of one feed."""

    def __init__(
        self,
        step: Callable[[float, Event], tuple[Effect, ...]],
        hands: Callable[[], Iterator[tuple[str, str, int, str]]],
        feed: str,
        seed: int,
        parcels: int,
    ) -> None:
        """`step` takes an event and answers the effects; `hands` says what lies in officers' hands: (desk,
        officer, parcel, picture)."""
        self._step, self._hands = step, hands
        self._chance = random.Random(f"{feed}-{seed}")
        self._order = count()
        self._queue: list[tuple[float, int, Event]] = []
        self._in: dict[str, tuple[Thing, ...]] = {}
        """Picture -> everything that is really in it."""
        self._whole: dict[str, bool] = {}
        self._several: dict[str, int] = {}
        """Picture -> things that a gap of air tells apart in it."""
        self._passed_on: set[tuple[str, str]] = set()
        """(picture, waybill) that were ever judged to pass."""
        self._judged: dict[int, ParcelXRayed] = {}
        self._at_eye: dict[float, Thing] = {}
        self._behind: dict[int, Thing] = {}
        """Thing id -> what comes next at the diverter."""
        self._first: Thing | None = None
        self._pulsed: dict[int, str] = {}
        self._desk_busy: dict[str, int] = {}
        self._stops: list[float] = []
        self._late_s = 0.0
        self.tally = Tally()
        self._make(feed, parcels)

    # --- what happens ---------------------------------------------------------------------------------------

    def _make(self, feed: str, parcels: int) -> None:
        chance, gap = self._chance, FEEDS[feed]
        things: list[Thing] = []
        at_mm = 12_000.0
        for n in range(parcels):
            at_mm += gap(chance)
            things.append(Thing(n, at_mm, chance.uniform(120.0, 600.0), f"SF{n:013d}"))
            at_mm = things[-1].back_mm()
        self._portal(things)
        self._next_id = parcels
        things = self._stretch(things, LAYOUT.xray_mm)
        self._pictures(things)
        things = self._stretch(things, LAYOUT.diverter_mm)
        self._diverter(things)
        mm = 0.0
        while mm < at_mm + 12_000.0:
            mm += 150.0
            self._at(mm, self._belt(mm))
        heapq.heapify(self._queue)

    def _at(self, mm: float, event: Event) -> None:
        self._queue.append((mm, next(self._order), event))

    def _belt(self, mm: float, running: bool = True) -> BeltRead:
        return BeltRead(mm, running, True, True, False, True)

    def _polled(self, mm: float) -> float:
        """Where the belt stands at the next look."""
        return (mm // POLL_MM + 1) * POLL_MM

    def _edge(self, eye: Eye, blocked: bool, mm: float) -> float:
        seen_mm = self._polled(mm)
        self._at(seen_mm, EyeSeen(eye, blocked, seen_mm, POLL_MM))
        return seen_mm

    def _portal(self, things: list[Thing]) -> None:
        chance = self._chance
        for group in _touching(things, POLL_MM):
            self._edge(Eye.PORTAL, True, group[0].front_mm)
            self._edge(Eye.PORTAL, False, group[-1].back_mm())
        for thing in things:
            if chance.random() < NO_READ:
                continue
            code_mm = thing.front_mm + chance.uniform(0.1, 0.9) * thing.length_mm
            wide_mm = 100.0 if chance.random() < MISREAD_PLACE else 20.0
            at_mm = code_mm + chance.uniform(-wide_mm, wide_mm)
            self._at(at_mm, CodeRead(thing.code, at_mm, "CODE128"))

    def _stretch(self, things: list[Thing], to_mm: float) -> list[Thing]:
        """The same things at the end of a stretch: fewer, more, elsewhere."""
        chance = self._chance
        there: list[Thing] = []
        for n, thing in enumerate(things):
            if chance.random() < ADDED:
                there.append(self._put_on(things[n : n + 4]))
            if chance.random() < REMOVED:
                self.tally.removed += 1
                thing.gone = True
                continue
            moved_mm = chance.gauss(0.0, NOISE_MM)
            if chance.random() < SLIP:
                moved_mm += chance.choice((1.0, 1.0, 1.0, -1.0)) * chance.uniform(0.0, SLIP_MM)
            if chance.random() < STOP:
                self._stops.append(thing.front_mm + chance.uniform(0.0, to_mm))
                moved_mm += chance.gauss(0.0, 2 * NOISE_MM)
            there.append(replace(thing, front_mm=thing.front_mm + moved_mm))
        return _pushed(chance, there)

    def _put_on(self, near: list[Thing]) -> Thing:
        """By hand, into the widest gap within reach: somewhere in it where it fits, else at its beginning,
        and what comes behind is pushed back."""
        chance, length_mm = self._chance, self._chance.uniform(120.0, 600.0)
        gaps = [(behind.front_mm - before.back_mm(), before.back_mm()) for before, behind in pairwise(near)]
        room_mm, begin_mm = max(gaps, default=(1_000.0, near[0].back_mm()))
        front_mm = begin_mm + chance.uniform(0.0, max(30.0, room_mm - length_mm))
        self._next_id += 1
        self.tally.added += 1
        code = f"YT{self._next_id:013d}"
        return Thing(self._next_id, front_mm, length_mm, code, at_portal=False)

    def _pictures(self, things: list[Thing]) -> None:
        chance = self._chance
        for group in _touching(things, TOUCH_MM):
            front_mm, back_mm = group[0].front_mm, group[-1].back_mm()
            if chance.random() < MISSING:
                continue
            parts = [(front_mm, back_mm)]
            if chance.random() < SPLIT:
                middle_mm = front_mm + chance.uniform(0.1, 0.9) * (back_mm - front_mm)
                parts = [(front_mm, middle_mm), (middle_mm + 5.0, back_mm)]
            for first_mm, last_mm in parts:
                name = f"p{group[0].id}-{first_mm:.0f}-{len(self._in)}"
                self._in[name] = tuple(group)
                self._whole[name] = len(parts) == 1
                self._several[name] = sum(1 for _ in _touching(group, AIR_MM)) if len(parts) == 1 else 1
                taken = PictureTaken(
                    name,
                    first_mm + chance.gauss(0.0, 1.5),
                    last_mm + chance.gauss(0.0, 1.5),
                    800,
                    500,
                    Acquisition.SUCCESSFUL,
                    1,
                    2.0,
                )
                self._at(last_mm + LAYOUT.xray_mm + chance.uniform(20.0, 80.0), taken)

    def _diverter(self, things: list[Thing]) -> None:
        for before, behind in pairwise(things):
            self._behind[before.id] = behind
        self._things = things
        for group in _touching(things, POLL_MM):
            seen_mm = self._edge(Eye.DIVERTER, True, group[0].front_mm + LAYOUT.diverter_mm)
            self._at_eye[seen_mm] = group[0]
            self._edge(Eye.DIVERTER, False, group[-1].back_mm() + LAYOUT.diverter_mm)

    # --- running --------------------------------------------------------------------------------------------

    def run(self) -> Tally:
        chance = self._chance
        self._say(0.0, WedgeChecked(True, "wedge", CALIBRATION))
        for desk in ("d1", "d2"):
            self._say(0.0, OfficerCame(desk, f"officer {desk}", ("x_ray",)))
        stops = sorted(self._stops, reverse=True)
        while self._queue:
            mm, _, event = heapq.heappop(self._queue)
            while stops and stops[-1] <= mm:
                stopped_mm = stops.pop()
                if stopped_mm > 12_000.0:
                    self._say(mm, self._belt(mm, running=False))
                    self._late_s += chance.uniform(2.0, 20.0)
                    self._say(mm, self._belt(mm))
            if isinstance(event, EyeSeen) and event.eye is Eye.DIVERTER:
                self._say(mm, self._belt(mm))
                self._first = self._at_eye.get(mm) if event.blocked else None
            self._say(mm, event)
            self._work(mm)
        return self._reckoned()

    def _say(self, mm: float, event: Event) -> None:
        for effect in self._step(mm / SPEED_MM_S + self._late_s, event):
            match effect:
                case LookUp(parcel, request, text):
                    self._soon(mm + 10.0, GoodsFound(parcel, request, _goods(text)))
                case Analyse(picture, parcel, _):
                    suspicious = self._chance.random() < TO_OFFICER
                    self._soon(
                        mm + 30.0,
                        Analysed(picture, parcel, _analysis(picture, suspicious, self._several[picture])),
                    )
                case Pulse():
                    self._gate(mm, effect)
                case Commit(facts, _):
                    self._hear(mm, facts)
                case _:
                    pass

    def _soon(self, mm: float, event: Event) -> None:
        heapq.heappush(self._queue, (mm, next(self._order), event))

    def _hear(self, mm: float, facts: tuple[object, ...]) -> None:
        for told in facts:
            data = getattr(told, "data", None)
            if isinstance(data, ParcelXRayed):
                self._judged[data.parcel] = data
                if data.verdict == "passed":
                    self._passed_on.add((data.picture, data.waybill_no))
                self.tally.numbers = max(self.tally.numbers, data.parcel)
            elif isinstance(data, ParcelSorted):
                self.tally.sorted_facts += 1
                if data.verdict == "recheck":
                    reasons = self._judged[data.parcel].reasons if data.parcel in self._judged else ()
                    first = reasons[0].split(":")[0] if reasons else "?"
                    self.tally.why[first] = self.tally.why.get(first, 0) + 1

    def _gate(self, mm: float, pulse: Pulse) -> None:
        """One pulse moves what is at the gate, and whatever leans on it."""
        thing = self._first
        if thing is None:
            raise AssertionError(f"a pulse with nothing at the diverter, at {mm} mm")
        self._first = None
        told = self._judged[pulse.parcel]
        if pulse.chute.value != "pass":
            thing.flagged = True
            return
        thing.passed = True
        if not self._is_right(thing, told.picture, told.waybill_no):
            self.tally.wrong += 1
            inside = [each.id for each in self._in.get(told.picture, ())]
            self.tally.examples.append(
                f"thing {thing.id} ({thing.code}) as {told.waybill_no} on {inside}"
                f" whole {self._whole.get(told.picture)}"
            )
        self._pulsed[thing.id] = told.waybill_no
        for other in self._along(thing):
            other.passed = True
            self._pulsed.setdefault(other.id, "")
        eye_mm = mm + LAYOUT.chute_mm
        self._soon(eye_mm, EyeSeen(Eye.PASS_CHUTE, True, eye_mm, POLL_MM))
        self._soon(eye_mm + 50.0, EyeSeen(Eye.PASS_CHUTE, False, eye_mm + 50.0, POLL_MM))

    def _along(self, thing: Thing) -> Iterator[Thing]:
        """What else the open gate leads away: whatever comes while the pulse lasts, and what is dragged."""
        before, opened_mm = thing, thing.front_mm
        while (behind := self._behind.get(before.id)) is not None:
            dragged = behind.front_mm - before.back_mm() < AIR_MM and self._chance.random() < DRAGGED
            if not dragged and behind.front_mm - opened_mm >= PULSE_S * SPEED_MM_S:
                return
            yield behind
            before = behind

    def _is_right(self, thing: Thing, picture: str, waybill_no: str) -> bool:
        """Its own picture, whole and of nothing else, and its own waybill."""
        inside = [each.id for each in self._in.get(picture, ())]
        return inside == [thing.id] and self._whole[picture] and waybill_no == thing.code

    def _was_passed(self, thing: Thing) -> bool:
        own = [name for name, inside in self._in.items() if [each.id for each in inside] == [thing.id]]
        return any(self._whole[name] and (name, thing.code) in self._passed_on for name in own)

    def _work(self, mm: float) -> None:
        """Officers look for two to six seconds."""
        for desk, officer, parcel, picture in self._hands():
            if self._desk_busy.get(desk) == parcel:
                continue
            self._desk_busy[desk] = parcel
            looked_mm = mm + self._chance.uniform(2.0, 6.0) * SPEED_MM_S
            verdict = Verdict.FLAGGED if self._chance.random() < FLAGGED else Verdict.PASSED
            category = "other_goods" if verdict is Verdict.FLAGGED else ""
            self._soon(mm + 1.0, Shown(parcel, picture, desk))
            self._soon(looked_mm, Judged(parcel, picture, officer, desk, verdict, category))

    def _reckoned(self) -> Tally:
        tally = self.tally
        for thing in self._things:
            tally.things += 1
            if thing.passed:
                tally.passed += 1
                if self._pulsed.get(thing.id) == "" and not thing.flagged:
                    tally.alongs += 1
                    tally.wrong += not self._was_passed(thing)
            elif thing.flagged:
                tally.flagged += 1
            else:
                tally.recheck += 1
        return tally


def _touching(things: list[Thing], gap_mm: float) -> Iterator[list[Thing]]:
    """Runs of things nearer to each other than that."""
    group: list[Thing] = []
    for thing in things:
        if group and thing.front_mm - group[-1].back_mm() >= gap_mm:
            yield group
            group = []
        group.append(thing)
    if group:
        yield group


def _pushed(chance: random.Random, things: list[Thing]) -> list[Thing]:
    """Nothing lies inside another thing: what would, touches it and is held up, or is pushed on."""
    there: list[Thing] = []
    for thing in sorted(things, key=lambda each: each.front_mm):
        if there and thing.front_mm < there[-1].back_mm():
            thing = replace(thing, front_mm=there[-1].back_mm() + chance.uniform(0.0, 5.0))
        there.append(thing)
    return there


def _goods(waybill_no: str) -> Goods:
    return Goods(waybill_no=waybill_no, records_epoch="e", records_number=1, records_age_s=1.0)


def _analysis(picture: str, suspicious: bool, things: int) -> Analysis:
    score = 9.0 if suspicious else 0.5
    compared = Compared(Likeness.SKU, references=8, few=False, score=score)
    return Analysis(picture, CALIBRATION, 300.0, 200.0, 1.0, things, False, (), compared)
