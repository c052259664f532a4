"""A stage for the X-ray station: a moving belt, things on it, events in order. Decides nothing itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from edge.xray_bridge.deciding.state import Parcel, Station, StationSettings
from edge.xray_bridge.effects import (
    Analyse,
    AnswerDesk,
    Commit,
    Effect,
    LookUp,
    Memory,
    PermitFeed,
    Pulse,
)
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
    Timer,
    TimerRang,
    WedgeChecked,
)
from edge.xray_bridge.rules import JUDGE
from edge.xray_bridge.station import step, woken
from edge.xray_bridge.values import (
    Analysis,
    Compared,
    Eye,
    Goods,
    Layout,
    Likeness,
    Material,
    MaterialShare,
    Verdict,
)
from sync.vocabulary.facts import Alarm, FactData, kind_of

Kind = TypeVar("Kind")

LAYOUT = Layout(xray_mm=3_000.0, diverter_mm=8_000.0, chute_mm=600.0)
SETTINGS = StationSettings(station_id="x-ray-1", layout=LAYOUT, version="t", boot_id="b")
CALIBRATION = "cal-1"
SPEED_MM_S = 300.0
LONG_MM = 400.0
WAYBILL = "SF1234567890123"


def goods(waybill_no: str, **changes: object) -> Goods:
    plain = Goods(
        waybill_no=waybill_no, enterprise="4101960001", records_epoch="e", records_number=7, records_age_s=5.0
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def analysis(picture: str, length_mm: float = LONG_MM, **changes: object) -> Analysis:
    """Nothing speaks against it."""
    plain = Analysis(
        picture=picture,
        calibration=CALIBRATION,
        length_mm=length_mm,
        height_mm=200.0,
        mass_kg=1.5,
        objects=1,
        cut=False,
        shares=(MaterialShare(Material.ORGANIC, 1.0, 1.5),),
        compared=Compared(Likeness.SKU, references=8, few=False, score=0.5),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


@dataclass
class Thing:
    """What really lies on the belt. Edges as the belt stood, or would have, at the portal's eye."""

    leading_mm: float
    length_mm: float = LONG_MM
    code: str | None = WAYBILL
    portal: bool = True
    xray: bool = True
    diverter: bool = True
    slipped_mm: float = 0.0
    """Before the X-ray."""
    slipped_later_mm: float = 0.0
    """Between the X-ray and the diverter."""
    picture: str = ""
    chute: Eye | None = None

    def at_mm(self, place_mm: float) -> float:
        return self.leading_mm + place_mm

    def trailing_mm(self) -> float:
        return self.leading_mm + self.length_mm


@dataclass
class Answers:
    """What records and analysis say, unless a play says otherwise."""

    goods: Callable[[str], Goods | None] = field(default=goods)
    analysis: Callable[[str], Analysis | None] = field(default=analysis)


class Play:
    """Moves the belt in small steps and tells the station what eyes, reader and machine would see."""

    def __init__(
        self,
        settings: StationSettings = SETTINGS,
        *,
        memory: Memory | None = None,
        down_s: float | None = 1.0,
        ready: bool = True,
    ) -> None:
        self.at_s = 0.0
        self.belt_mm = 0.0
        self.asked: list[Effect] = []
        self.answers = Answers()
        self.things: list[Thing] = []
        self.running, self.forward = True, True
        self.station: Station
        self.station, effects = woken(settings, 0.0, memory, down_s)
        self.asked += effects
        if ready:
            self.say(WedgeChecked(True, "wedge-1", CALIBRATION))
            self.roll(12_000.0, step_mm=150.0)

    # --- events -------------------------------------------------------------------------------------------

    def say(self, *events: Event) -> list[Effect]:
        """Events as they are, and the answers to whatever they led the station to ask."""
        new: list[Effect] = []
        for event in events:
            self.station, effects = step(self.station, self.at_s, event)
            new += effects
            for effect in effects:
                new += self._answered(effect)
        self.asked += new
        return new

    def _answered(self, effect: Effect) -> list[Effect]:
        before = len(self.asked)
        match effect:
            case LookUp(parcel, request, text):
                self.say(GoodsFound(parcel, request, self.answers.goods(text)))
            case Analyse(picture, parcel, _):
                found = self.answers.analysis(picture)
                if found is not None:
                    self.say(Analysed(picture, parcel, found))
            case _:
                pass
        new, self.asked = self.asked[before:], self.asked[:before]
        return new

    def belt(self) -> BeltRead:
        return BeltRead(
            self.belt_mm,
            running=self.running,
            forward=self.forward,
            source_on=True,
            emergency=False,
            feeding=True,
        )

    def tick(self, seconds: float = 0.25) -> list[Effect]:
        self.at_s += seconds
        return self.say(TimerRang(Timer.TICK))

    def stand(self, seconds: float) -> list[Effect]:
        """The belt stands."""
        self.running = False
        new: list[Effect] = []
        for _ in range(round(seconds / 0.25)):
            self.at_s += 0.25
            new += self.say(self.belt(), TimerRang(Timer.TICK))
        self.running = True
        return new

    # --- the belt -----------------------------------------------------------------------------------------

    def put(
        self,
        code: str | None = WAYBILL,
        *,
        behind_mm: float = 100.0,
        length_mm: float = LONG_MM,
        **rest: float,
    ) -> Thing:
        """A parcel whose leading edge will reach the portal `behind_mm` from now."""
        thing = Thing(self.belt_mm + behind_mm, length_mm, code, **rest)  # type: ignore[arg-type]
        self.things.append(thing)
        return thing

    def roll(self, millimetres: float, step_mm: float = 50.0) -> list[Effect]:
        """The belt moves; everything on it is seen where it is."""
        new: list[Effect] = []
        end_mm = self.belt_mm + millimetres
        while self.belt_mm < end_mm - 1e-9:
            before_mm = self.belt_mm
            next_mm = min(end_mm, before_mm + step_mm)
            for at_mm, event in self._between(before_mm, next_mm):
                new += self._moved(at_mm)
                new += self.say(event)
            new += self._moved(next_mm)
        return new

    def _moved(self, to_mm: float) -> list[Effect]:
        self.at_s += (to_mm - self.belt_mm) / SPEED_MM_S
        self.belt_mm = to_mm
        return self.say(self.belt())

    def _between(self, before_mm: float, now_mm: float) -> list[tuple[float, Event]]:
        """Everything that passes a place in this stretch, in order."""
        found: list[tuple[float, Event]] = []
        for thing in self.things:
            for at_mm, event in self._of(thing):
                if before_mm < at_mm <= now_mm:
                    found.append((at_mm, event))
        return sorted(found, key=lambda each: each[0])

    def _of(self, thing: Thing) -> list[tuple[float, Event]]:
        events: list[tuple[float, Event]] = []
        first_mm, last_mm = thing.leading_mm, thing.trailing_mm()
        if thing.portal:
            events += [
                (first_mm, EyeSeen(Eye.PORTAL, True, first_mm)),
                (last_mm, EyeSeen(Eye.PORTAL, False, last_mm)),
            ]
            if thing.code is not None:
                middle_mm = (first_mm + last_mm) / 2
                events.append((middle_mm, CodeRead(thing.code, middle_mm)))
        slip_mm = thing.slipped_mm
        if thing.xray:
            thing.picture = thing.picture or f"p{id(thing)}"
            taken = PictureTaken(thing.picture, first_mm + slip_mm, last_mm + slip_mm, 800, 500)
            events.append((last_mm + slip_mm + LAYOUT.xray_mm + 30.0, taken))
        slip_mm += thing.slipped_later_mm
        if thing.diverter:
            front_mm = first_mm + slip_mm + LAYOUT.diverter_mm
            events += [
                (front_mm, EyeSeen(Eye.DIVERTER, True, front_mm)),
                (front_mm + thing.length_mm, EyeSeen(Eye.DIVERTER, False, front_mm + thing.length_mm)),
            ]
            chute_mm = front_mm + LAYOUT.chute_mm
            if self.belt_mm > front_mm + 100.0:
                thing.chute = thing.chute or self._chute(front_mm)
            if thing.chute is not None:
                events.append((chute_mm, EyeSeen(thing.chute, True, chute_mm)))
                events.append((chute_mm + 1.0, EyeSeen(thing.chute, False, chute_mm + 1.0)))
        return events

    def _chute(self, front_mm: float) -> Eye:
        """Where the pulse sent what was at the diverter then."""
        for parcel in self.station.parcels:
            if parcel.diverter_mm == front_mm and parcel.ordered is not None:
                return Eye(f"{parcel.ordered.value}_chute")
        return Eye.RECHECK_CHUTE

    # --- officers -----------------------------------------------------------------------------------------

    def sign_in(self, desk: str = "desk-1", officer: str = "0017") -> list[Effect]:
        return self.say(OfficerCame(desk, officer, (JUDGE,)))

    def in_hand(self, desk: str = "desk-1") -> Parcel | None:
        found = next((d for d in self.station.desks if d.desk == desk), None)
        number = found.parcel if found is not None else 0
        return next((p for p in self.station.parcels if p.number == number), None)

    def judge(
        self,
        verdict: Verdict = Verdict.PASSED,
        *,
        desk: str = "desk-1",
        officer: str = "0017",
        seconds: float = 3.0,
        category: str = "",
    ) -> list[Effect]:
        """What is in hand there: seen, looked at for a while, judged. The belt goes on meanwhile."""
        parcel = self.in_hand(desk)
        if parcel is None:
            return []
        new = self.say(Shown(parcel.number, parcel.picture, desk))
        new += self.roll(seconds * SPEED_MM_S)
        return new + self.say(
            Judged(parcel.number, parcel.picture, officer, desk, verdict, category, took_s=seconds)
        )


# --- what came of it --------------------------------------------------------------------------------------


def facts(effects: list[Effect]) -> list[FactData]:
    return [told.data for effect in effects if isinstance(effect, Commit) for told in effect.facts]


def kinds(effects: list[Effect]) -> list[str]:
    return [kind_of(each) for each in facts(effects)]


def of_kind(effects: list[Effect], kind: type[Kind]) -> list[Kind]:
    return [each for each in facts(effects) if isinstance(each, kind)]


def pulses(effects: list[Effect]) -> list[tuple[str, int]]:
    return [(effect.chute.value, effect.parcel) for effect in effects if isinstance(effect, Pulse)]


def alarms(effects: list[Effect]) -> list[str]:
    return [each.code.value for each in facts(effects) if isinstance(each, Alarm)]


def answers(effects: list[Effect]) -> list[tuple[bool, str]]:
    return [(effect.ok, effect.why) for effect in effects if isinstance(effect, AnswerDesk)]


def permits(effects: list[Effect]) -> list[bool]:
    return [effect.permitted for effect in effects if isinstance(effect, PermitFeed)]
