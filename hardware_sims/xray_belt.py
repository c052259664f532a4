"""A belt with its parcels: portal, X-ray plane, diverter, three chutes. What is where, nothing of bytes.

Places are millimetres from the portal's eye in the belt's direction. `belt_mm` is how far the belt has moved;
a parcel's leading edge is at `belt_mm - base`, and `base` changes only when the parcel slips, is held, or is
pushed. Time is virtual and arrives as an argument; inside, a fixed grid of 10 ms is stepped, so the outcome
does not depend on how a caller slices its calls.

The diverter rests, without power, on the recheck chute. The source's interlock, the emergency stop and the
jam switch stop the belt by themselves. Nothing here believes a program.
"""

from __future__ import annotations

import enum
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from hardware_sims.barrier import Log
from hardware_sims.physics import ShownCode

TICKS_PER_S = 100
TICK_S = 1.0 / TICKS_PER_S
INPUT_COUNT = 16

INPUTS = (
    "portal_eye",
    "xray_eye",
    "diverter_eye",
    "pass_chute_eye",
    "recheck_chute_eye",
    "flag_chute_eye",
    "",
    "",
    "belt_running",
    "belt_forward",
    "source_on",
    "emergency_stop",
    "feed_running",
)
"""Digital inputs by number. Eyes are light-switching and the stop is normally closed: free and not pressed
read True."""
PORTAL, XRAY, DIVERTER, PASS_EYE, RECHECK_EYE, FLAG_EYE = range(6)
RUNNING, FORWARD, SOURCE, STOP, FEEDING = range(8, 13)

RELAYS = ("feed_permit", "stop_request", "pass", "flag", "tower_red", "tower_amber", "tower_green", "spare")
PERMIT, STOP_REQUEST, PASS_RELAY, FLAG_RELAY = range(4)

Chute = Literal["pass", "flag", "recheck"]
Feed = Literal["normal", "dense", "singulated"]
FEEDS: tuple[Feed, ...] = ("normal", "dense", "singulated")

JAM_SEEN_S = 1.2
"""So long an eye stays covered over a running belt before the jam switch stops it."""
RESTART_S = 4.0
"""Staff start the belt again so long after the reason for its stop has gone."""


class TroubleKind(enum.StrEnum):
    SLIP = "slip"
    """It lags behind by `mm` from the place on."""
    REMOVED = "removed"
    """Taken off by hand."""
    ADDED = "added"
    """Not fed: put on the belt by hand, its leading edge at the place."""
    BELT_STOP = "belt_stop"
    """The belt stands for `for_s`."""
    EMERGENCY = "emergency"
    """Somebody presses the stop, and lets it go after `for_s`."""
    INTERLOCK = "interlock"
    """A curtain is lifted for `for_s`: source off, belt stands."""
    REVERSAL = "reversal"
    """Staff run the belt back by `mm`, then on."""
    JAM = "jam"
    """It is held at the place for `for_s` while the belt runs under it."""
    SPLIT = "split"
    """The machine ends its picture `mm` behind the leading edge and begins another."""
    MISSED = "missed"
    """The machine makes no picture of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    kind: TroubleKind
    at_mm: float = 0.0
    """Where the parcel's leading edge is when it happens."""
    mm: float = 0.0
    for_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A code the portal's reader sees: `behind_mm` the leading edge when that is before the reader."""

    text: str
    behind_mm: float
    aim: str = "]C0"


@dataclass(frozen=True, slots=True, kw_only=True)
class BeltParcel:
    id: str
    length_mm: float
    gap_mm: float
    """Belt left free between the parcel before and this one."""
    waybill_no: str = ""
    """Whose it truly is, readable or not."""
    labels: tuple[Label, ...] = ()
    """What the reader reads, in the order of their places."""
    troubles: tuple[Trouble, ...] = ()
    case: str = "ordinary"

    def trouble(self, kind: TroubleKind) -> Trouble | None:
        return next((each for each in self.troubles if each.kind is kind), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class BeltSettings:
    speed_mm_s: float = 300.0
    ramp_mm_s2: float = 500.0
    nanometres_per_count: int = 100_000
    first_count: int = 0
    """What the counter shows at the start."""
    infeed_mm: float = -900.0
    reader_mm: float = 60.0
    """The line in which the portal's reader reads a label."""
    xray_eye_mm: float = 3_000.0
    xray_mm: float = 3_000.0
    diverter_mm: float = 8_000.0
    gate_mm: float = 250.0
    """From the diverter's eye to where a parcel's leading edge takes its way."""
    chute_mm: float = 900.0
    """From the diverter's eye to the eyes in the chutes."""
    arm_s: float = 0.25
    has_flag_chute: bool = True

    def problems(self) -> list[str]:
        found = []
        if not self.infeed_mm < 0 < self.xray_eye_mm <= self.xray_mm < self.diverter_mm:
            found.append("expected infeed_mm < 0 < xray_eye_mm <= xray_mm < diverter_mm")
        if not 0 < self.gate_mm < self.chute_mm:
            found.append("expected 0 < gate_mm < chute_mm")
        if not 20 <= self.speed_mm_s <= 2_000:
            found.append(f"speed_mm_s: expected 20 to 2000, got {self.speed_mm_s:g}")
        if not 1_000 <= self.nanometres_per_count <= 100_000_000:
            found.append(f"nanometres_per_count: expected 1000 to 100000000, got {self.nanometres_per_count}")
        return found


@dataclass(slots=True)
class OnBelt:
    """A parcel on the belt, or in a chute and not yet gone from its eye."""

    parcel: BeltParcel
    base: float
    """What `belt_mm` was when its leading edge stood at the portal's eye; less by what it slipped since."""
    furthest: float
    chute: Chute | None = None
    slip_left: float = 0.0
    held_until_s: float = 0.0
    labels_read: int = 0
    portal_edges: int = 0
    waiting: list[Trouble] = field(default_factory=list)

    def leading(self, belt_mm: float) -> float:
        return belt_mm - self.base

    def covers(self, place_mm: float, belt_mm: float) -> bool:
        leading = belt_mm - self.base
        return leading - self.parcel.length_mm < place_mm <= leading


class XrayBelt:
    """Everything that moves on one X-ray line. Times never go back."""

    def __init__(
        self, settings: BeltSettings, parcels: Sequence[BeltParcel], log: Log, *, released: bool = True
    ) -> None:
        self.settings = settings
        self.log = log
        self.now_s = 0.0
        self.belt_mm = 0.0
        self.speed_mm_s = 0.0
        self.on_belt: list[OnBelt] = []
        """The foremost first."""
        self.gone: dict[str, str] = {}
        """Parcel -> the chute it ended in, or `removed`."""
        self.source_on = False
        self.source_wanted = True
        """The machine's own control; the interlock overrides it."""
        self.on_travel: Callable[[float, float, float, float], None] | None = None
        """Called with (from_s, to_s, from_mm, to_mm) for each step of the belt, either way."""
        self._to_feed = deque(parcels)
        self._by_hand: list[BeltParcel] = []
        self._released = released
        self._tick = 0
        self._last_base: float | None = None
        self._relays = [False] * len(RELAYS)
        self._broken: set[int] = set()
        self._inputs = (False,) * INPUT_COUNT
        self._codes: list[ShownCode] = []
        self._stands_until_s: dict[str, float] = {}
        self._restart_s = 0.0
        self._reverse_left = 0.0
        self._arm = 0.0
        """1: the way to the pass chute; -1: to the inspection chute; 0: recheck, where it rests."""
        self._arm_name = "recheck"
        self._covered_since: dict[int, tuple[str, float]] = {}
        self._state = ""
        self._see()

    # --- what devices can read ---

    def inputs(self) -> tuple[bool, ...]:
        """The 16 digital inputs as wired, at `now_s`."""
        return self._inputs

    def count(self) -> int:
        """The encoder's counter, 32 bits, as it wraps."""
        return self.count_at(self.belt_mm)

    def count_at(self, belt_mm: float) -> int:
        counts = int(belt_mm * 1e6 // self.settings.nanometres_per_count)
        return (self.settings.first_count + counts) & 0xFFFF_FFFF

    def input_registers(self) -> tuple[int, ...]:
        count = self.count()
        return count >> 16, count & 0xFFFF

    def take_shown_codes(self) -> list[ShownCode]:
        taken, self._codes = self._codes, []
        return taken

    def at_plane(self, belt_mm: float) -> list[tuple[BeltParcel, float]]:
        """(parcel, mm behind its leading edge) of whatever is in the beam when the belt stands there."""
        plane = self.settings.xray_mm
        return [
            (each.parcel, each.leading(belt_mm) - plane)
            for each in self.on_belt
            if each.covers(plane, belt_mm)
        ]

    # --- what is on it ---

    @property
    def parcels_to_come(self) -> int:
        return len(self._to_feed) + len(self._by_hand)

    def is_free(self, place_mm: float, before_mm: float) -> bool:
        """Nothing lies within `before_mm` in front of a place."""
        return not any(place_mm - before_mm < each.leading(self.belt_mm) < place_mm for each in self.on_belt)

    @property
    def is_idle(self) -> bool:
        return not self.on_belt

    @property
    def is_over(self) -> bool:
        return not self.on_belt and not self.parcels_to_come

    @property
    def emergency(self) -> bool:
        return "emergency" in self._stands_until_s

    @property
    def interlock_open(self) -> bool:
        return "interlock" in self._stands_until_s

    @property
    def jammed(self) -> bool:
        return "jam" in self._stands_until_s

    @property
    def permitted(self) -> bool:
        return self._relays[PERMIT]

    # --- what happens to it ---

    def go(self, at_s: float) -> None:
        self.advance(at_s)
        self._released = True

    def hold(self, at_s: float) -> None:
        self.advance(at_s)
        self._released = False

    def set_relay(self, at_s: float, channel: int, on: bool, for_s: float | None = None) -> None:
        self.advance(at_s)
        if self._relays[channel] == on:
            return
        self._relays[channel] = on
        if channel in (PASS_RELAY, FLAG_RELAY):
            before = next(
                (o.parcel.id for o in self.on_belt if o.chute is None and o.leading(self.belt_mm) > 0), ""
            )
            at_eye = self._at(self.settings.diverter_mm)
            self._note("relay", relay=RELAYS[channel], on=on, for_s=for_s, at_eye=at_eye, foremost=before)
        elif channel in (PERMIT, STOP_REQUEST):
            self._note("relay", relay=RELAYS[channel], on=on)

    def break_wire(self, at_s: float, name: str, broken: bool) -> None:
        self.advance(at_s)
        number = INPUTS.index(name)
        (self._broken.add if broken else self._broken.discard)(number)
        self._see()

    def press_stop(self, at_s: float, for_s: float) -> None:
        """Somebody presses the emergency stop; it is let go after `for_s`."""
        self.advance(at_s)
        self._stand("emergency", at_s + for_s)

    # --- time ---

    def next_event_s(self) -> float:
        return max((self._tick + 1) * TICK_S, self.now_s)

    def advance(self, to_s: float) -> None:
        while (self._tick + 1) * TICK_S <= to_s:
            self._tick += 1
            self._step(self._tick * TICK_S)
        self.now_s = max(self.now_s, to_s)

    def _step(self, now: float) -> None:
        before_s, self.now_s = self.now_s, now
        before_mm = self.belt_mm
        self._drive(now)
        moved = self.speed_mm_s * TICK_S
        self.belt_mm = before_mm + moved
        if self._reverse_left > 0.0 and moved < 0.0:
            self._reverse_left = max(0.0, self._reverse_left + moved)
        self._source(now)
        self._move_arm()
        self._feed()
        for each in tuple(self.on_belt):
            self._carry(each, moved, now)
        self._push()
        if moved and self.on_travel is not None:
            self.on_travel(before_s, now, before_mm, self.belt_mm)
        self._leave()
        self._watch_for_jams(now)
        self._see()

    # --- the drives ---

    def _stand(self, why: str, until_s: float) -> None:
        if why not in self._stands_until_s:
            self._note("stands", why=why)
        self._stands_until_s[why] = max(until_s, self._stands_until_s.get(why, 0.0))

    def _drive(self, now: float) -> None:
        for why, until_s in list(self._stands_until_s.items()):
            if until_s <= now:
                del self._stands_until_s[why]
                if why != "stop":
                    self._restart_s = now + (0.0 if why == "belt_stop" else RESTART_S)
        if self._relays[STOP_REQUEST]:
            self._restart_s = now + RESTART_S
        standing = bool(self._stands_until_s) or now < self._restart_s
        wanted = 0.0
        if not standing:
            wanted = -0.5 * self.settings.speed_mm_s if self._reverse_left > 0 else self.settings.speed_mm_s
        hard = self.emergency or self.interlock_open or self.jammed
        step = self.settings.ramp_mm_s2 * TICK_S * (4.0 if hard else 1.0)
        gap = wanted - self.speed_mm_s
        self.speed_mm_s += max(-step, min(step, gap))
        state = "running" if self.speed_mm_s > 0 else "back" if self.speed_mm_s < 0 else "standing"
        if state != self._state:
            self._state = state
            self._note("belt", state=state)

    def _source(self, now: float) -> None:
        on = self.source_wanted and not self.interlock_open and not self.emergency
        if on != self.source_on:
            self.source_on = on
            self._note("source", on=on)

    def _move_arm(self) -> None:
        to_pass, to_flag = self._relays[PASS_RELAY], self._relays[FLAG_RELAY]
        aim = 0.0
        if to_pass != to_flag:
            aim = 1.0 if to_pass else -1.0 if self.settings.has_flag_chute else 0.0
        step = TICK_S / self.settings.arm_s
        self._arm += max(-step, min(step, aim - self._arm))
        name = self._way()
        if name != self._arm_name:
            self._arm_name = name
            self._note("arm", at=name)

    def _way(self) -> str:
        if self._arm >= 0.999:
            return "pass"
        if self._arm <= -0.999:
            return "flag"
        return "recheck" if abs(self._arm) <= 0.001 else "between"

    # --- parcels ---

    def _feed(self) -> None:
        running = self._feeding()
        self._add_by_hand()
        while self._to_feed:
            parcel = self._to_feed[0]
            if parcel.trouble(TroubleKind.ADDED) is not None:
                self._by_hand.append(self._to_feed.popleft())
                continue
            if not running:
                self._last_base = None
                return
            here = self.belt_mm - self.settings.infeed_mm
            base = here
            if self._last_base is not None:
                base = self._last_base + parcel.gap_mm
                if base > here:
                    return
                # The infeed stood, or waited: nothing is fed into the past.
                if here - base > self.settings.speed_mm_s * 2 * TICK_S:
                    base = here
            elif self.on_belt and not self._room(
                self.settings.infeed_mm, parcel.length_mm, before_mm=parcel.gap_mm
            ):
                return
            self._to_feed.popleft()
            self._put(parcel, base)
            self._last_base = base + parcel.length_mm

    def _add_by_hand(self) -> None:
        """Somebody lays a parcel down where there is room, behind those that were fed before it."""
        for parcel in tuple(self._by_hand):
            trouble = parcel.trouble(TroubleKind.ADDED)
            at_mm = 0.0 if trouble is None else trouble.at_mm
            beyond = any(each.leading(self.belt_mm) > at_mm for each in self.on_belt) or not self._to_feed
            if beyond and self.speed_mm_s > 0 and self._room(at_mm, parcel.length_mm):
                self._by_hand.remove(parcel)
                self._put(parcel, self.belt_mm - at_mm)
                self._note("added", parcel=parcel.id, at_mm=at_mm)

    def _feeding(self) -> bool:
        return self._released and self._relays[PERMIT] and self.speed_mm_s > 0 and not self.emergency

    def _room(self, leading_mm: float, length_mm: float, *, before_mm: float = 120.0) -> bool:
        """Whether belt is free there, and a little more, for something to be laid on it."""
        for each in self.on_belt:
            front = each.leading(self.belt_mm)
            if (
                front > leading_mm - length_mm - 120.0
                and front - each.parcel.length_mm < leading_mm + before_mm
            ):
                return False
        return True

    def _put(self, parcel: BeltParcel, base: float) -> None:
        leading = self.belt_mm - base
        each = OnBelt(
            parcel,
            base,
            leading,
            waiting=[
                trouble
                for trouble in parcel.troubles
                if trouble.kind not in (TroubleKind.ADDED, TroubleKind.SPLIT, TroubleKind.MISSED)
            ],
        )
        if leading > 0:
            each.portal_edges = 2
            each.labels_read = len(parcel.labels)
        self.on_belt.append(each)
        self.on_belt.sort(key=lambda one: one.base)
        self._note(
            "placed",
            parcel=parcel.id,
            waybill=parcel.waybill_no,
            length_mm=parcel.length_mm,
            at_mm=round(leading, 1),
            base_mm=round(base, 1),
            case=parcel.case,
        )

    def _carry(self, each: OnBelt, moved: float, now: float) -> None:
        if each.held_until_s:
            if now < each.held_until_s:
                each.base += max(0.0, moved)
            else:
                each.held_until_s = 0.0
        elif each.slip_left > 0.0 and moved > 0.0:
            lag = min(each.slip_left, 0.8 * moved)
            each.base += lag
            each.slip_left -= lag
        leading = each.leading(self.belt_mm)
        parcel = each.parcel
        if each.portal_edges == 0 and leading >= 0.0:
            each.portal_edges = 1
            self._note("portal", parcel=parcel.id, edge="leading", belt_mm=round(each.base, 1))
        if each.portal_edges == 1 and leading - parcel.length_mm >= 0.0:
            each.portal_edges = 2
            at_mm = round(each.base + parcel.length_mm, 1)
            self._note("portal", parcel=parcel.id, edge="trailing", belt_mm=at_mm)
        while each.labels_read < len(parcel.labels):
            label = parcel.labels[each.labels_read]
            if leading < self.settings.reader_mm + label.behind_mm:
                break
            each.labels_read += 1
            self._codes.append(ShownCode(now, label.text, label.aim))
            self._note("label", parcel=parcel.id, text=label.text)
        while each.waiting and leading >= each.waiting[0].at_mm:
            if not self._befall(each, each.waiting.pop(0), now):
                return
        gate = self.settings.diverter_mm + self.settings.gate_mm
        if each.chute is None and leading >= gate:
            way = self._way()
            each.chute = "pass" if way == "pass" else "flag" if way == "flag" else "recheck"
            self._note("gate", parcel=parcel.id, chute=each.chute, arm=way, base_mm=round(each.base, 1))
        each.furthest = max(each.furthest, leading)

    def _befall(self, each: OnBelt, trouble: Trouble, now: float) -> bool:
        """False: the parcel is no longer on the belt."""
        parcel = each.parcel.id
        match trouble.kind:
            case TroubleKind.SLIP:
                each.slip_left += trouble.mm
                self._note("slip", parcel=parcel, mm=trouble.mm, at_mm=trouble.at_mm)
            case TroubleKind.REMOVED:
                self.on_belt.remove(each)
                self.gone[parcel] = "removed"
                self._note("removed", parcel=parcel, at_mm=round(each.leading(self.belt_mm), 1))
                return False
            case TroubleKind.REVERSAL:
                self._reverse_left += trouble.mm
                self._note("reversal", parcel=parcel, mm=trouble.mm)
            case TroubleKind.JAM:
                each.held_until_s = now + trouble.for_s
                self._note("held", parcel=parcel, at_mm=round(each.leading(self.belt_mm), 1))
            case TroubleKind.BELT_STOP | TroubleKind.EMERGENCY | TroubleKind.INTERLOCK:
                self._stand(trouble.kind.value, now + trouble.for_s)
            case _:
                pass
        return True

    def _push(self) -> None:
        """Nobody drives through the one before: a parcel that lags holds up those behind it."""
        for front, behind in zip(self.on_belt, self.on_belt[1:], strict=False):
            together = front.chute is None or behind.chute == front.chute
            if together and behind.base < front.base + front.parcel.length_mm:
                behind.base = front.base + front.parcel.length_mm

    def _leave(self) -> None:
        past = self.settings.diverter_mm + self.settings.chute_mm + 60.0
        for each in tuple(self.on_belt):
            if each.chute is not None and each.leading(self.belt_mm) - each.parcel.length_mm > past:
                self.on_belt.remove(each)
                self.gone[each.parcel.id] = each.chute
                self._note("chute", parcel=each.parcel.id, chute=each.chute)

    def _watch_for_jams(self, now: float) -> None:
        for each in self.on_belt:
            if each.held_until_s and self.speed_mm_s > 0 and not self.jammed:
                since = self._covered_since.setdefault(0, (each.parcel.id, now))
                if since[0] == each.parcel.id and now - since[1] >= JAM_SEEN_S:
                    self._covered_since.clear()
                    self._stand("jam", each.held_until_s)
                return
        self._covered_since.clear()

    # --- what is seen ---

    def _at(self, place_mm: float) -> str:
        return next((each.parcel.id for each in self.on_belt if each.covers(place_mm, self.belt_mm)), "")

    def _see(self) -> None:
        settings = self.settings
        raw = [False] * INPUT_COUNT
        for number, place in (
            (PORTAL, 0.0),
            (XRAY, settings.xray_eye_mm),
            (DIVERTER, settings.diverter_mm),
        ):
            raw[number] = not any(each.covers(place, self.belt_mm) for each in self.on_belt)
        chute_eye = settings.diverter_mm + settings.chute_mm
        for number, chute in ((PASS_EYE, "pass"), (RECHECK_EYE, "recheck"), (FLAG_EYE, "flag")):
            raw[number] = not any(
                each.chute == chute and each.covers(chute_eye, self.belt_mm) for each in self.on_belt
            )
        raw[RUNNING] = self.speed_mm_s != 0.0
        raw[FORWARD] = self.speed_mm_s >= 0.0 and self._reverse_left <= 0.0
        raw[SOURCE] = self.source_on
        raw[STOP] = not self.emergency
        raw[FEEDING] = self._feeding()
        for number in self._broken:
            raw[number] = False
        self._inputs = tuple(raw)

    def _note(self, kind: str, **fields: Any) -> None:
        self.log(self.now_s, kind, fields)


# --- feeds ------------------------------------------------------------------------------------------------

GAP_MM: dict[Feed, tuple[float, float]] = {
    "normal": (20.0, 380.0),
    "dense": (0.0, 180.0),
    "singulated": (150.0, 230.0),
}
"""Least gap, and the mean of what is added to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Share of parcels something happens to, as `feed` draws it."""

    no_read: float = 0.02
    removed: float = 0.002
    added: float = 0.002
    slip: float = 0.005
    slip_most_mm: float = 250.0
    split: float = 0.003
    missed: float = 0.001
    belt_stop: float = 0.001
    reversal: float = 0.0
    jam: float = 0.0
    two_codes: float = 0.0
    wrong_order: float = 0.0


def feed(
    seed: int,
    lengths_mm: Sequence[float],
    waybills: Sequence[str],
    *,
    kind: Feed = "normal",
    rates: Rates = Rates(),
    settings: BeltSettings = BeltSettings(),
) -> tuple[BeltParcel, ...]:
    """Parcels of these lengths and waybills with gaps, labels and troubles drawn. The same arguments give the
    same feed."""
    draw = random.Random(f"{seed}/feed/{kind}")
    least, mean = GAP_MM[kind]
    made = []
    for number, (length, waybill) in enumerate(zip(lengths_mm, waybills, strict=True), start=1):
        labels: tuple[Label, ...] = ()
        if draw.random() >= rates.no_read:
            labels = (Label(text=waybill, behind_mm=round(draw.uniform(0.1, 0.9) * length, 1)),)
            if draw.random() < rates.two_codes:
                other = f"69{draw.randrange(10**10, 10**11)}"
                labels += (Label(text=other, behind_mm=round(0.95 * length, 1), aim="]E0"),)
        made.append(
            BeltParcel(
                id=f"p{number:05d}",
                length_mm=length,
                gap_mm=round(least + draw.expovariate(1.0 / mean), 1),
                waybill_no=waybill,
                labels=labels,
                troubles=_troubles(draw, rates, settings, length),
            )
        )
    return tuple(made)


def _troubles(
    draw: random.Random, rates: Rates, settings: BeltSettings, length_mm: float
) -> tuple[Trouble, ...]:
    between = (500.0, settings.xray_eye_mm - 200.0)
    chances: tuple[tuple[float, Callable[[], Trouble]], ...] = (
        (rates.removed, lambda: Trouble(kind=TroubleKind.REMOVED, at_mm=draw.uniform(*between))),
        (rates.added, lambda: Trouble(kind=TroubleKind.ADDED, at_mm=draw.uniform(1_000.0, between[1]))),
        (
            rates.slip,
            lambda: Trouble(
                kind=TroubleKind.SLIP, at_mm=draw.uniform(*between), mm=draw.uniform(20, rates.slip_most_mm)
            ),
        ),
        (rates.split, lambda: Trouble(kind=TroubleKind.SPLIT, mm=draw.uniform(0.3, 0.7) * length_mm)),
        (rates.missed, lambda: Trouble(kind=TroubleKind.MISSED)),
        (
            rates.belt_stop,
            lambda: Trouble(
                kind=TroubleKind.BELT_STOP, at_mm=draw.uniform(0, 4_000), for_s=draw.uniform(2, 8)
            ),
        ),
        (
            rates.reversal,
            lambda: Trouble(
                kind=TroubleKind.REVERSAL, at_mm=draw.uniform(500, 7_000), mm=draw.uniform(100, 400)
            ),
        ),
        (rates.jam, lambda: Trouble(kind=TroubleKind.JAM, at_mm=draw.uniform(*between), for_s=6.0)),
    )
    found = [make() for chance, make in chances if draw.random() < chance]
    return tuple(sorted(found, key=lambda each: each.at_mm))
