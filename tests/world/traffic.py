"""Who comes to the world's site, and what the centre's records say of them. Values from a seed; no time passes.

The cast of the demo shows each kind of vehicle once; here every reason a ruling can give has somebody who
earns it, and the order they come in is the seed's.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from hardware_sims.devices.card_reader import Kind as CardReaderKind
from hardware_sims.devices.card_reader import as_read
from hardware_sims.scenario import random_plate
from hardware_sims.vehicles import PRESETS, Behaviour, Trailer
from hardware_sims.vehicles import Vehicle as Truck
from sync.vocabulary.numbers import ContainerNo, EnterpriseCode, Epc, Plate, SlipNo, UtcText, WaybillNo
from sync.vocabulary.records import (
    Binding,
    Condition,
    Control,
    ControlAction,
    CreditTier,
    Direction,
    Enterprise,
    Mode,
    PlatformLost,
    PlatformRole,
    Recall,
    Record,
    ReleaseSlip,
    Site,
    SiteLane,
    SlipKind,
    SlipState,
    Vehicle,
    VehicleState,
    Waybill,
)

SITE = "world"
SCOPE = "site-world"
FIRMS = {
    CreditTier.HIGH: EnterpriseCode("4101960001"),
    CreditTier.MEDIUM: EnterpriseCode("4101960002"),
    CreditTier.LOW: EnterpriseCode("4101960003"),
}
DRAWN_FIRM = EnterpriseCode("4101960004")
"""Every vehicle of this one is drawn for a spot check."""
CUSTOMS_CODE = "4604"
FRAME_KG = 1_000
CONTAINERS = ("CSQU3054383", "TCNU7200794")
WAITS_S = (5.0, 5.0, 5.0, 12.0, 12.0, 45.0)
"""How long drivers wait who are told to wait."""
PATIENT = Behaviour(held_patience_s=70.0, wait_patience_s=90.0, patience_s=150.0)
"""Stays whatever the board says: a hold that time can cure is cured under this one."""


@dataclass(slots=True)
class Traffic:
    """What a seed brings."""

    trucks: list[Truck] = field(default_factory=list)
    """`arrives_s` is virtual seconds of the run."""
    records: list[Record] = field(default_factory=list)
    later: list[tuple[float, Record]] = field(default_factory=list)
    """(when, what the centre's records become)"""
    cases: dict[str, str] = field(default_factory=dict)
    """Vehicle id -> case."""

    @property
    def last_s(self) -> float:
        return max((truck.arrives_s for truck in self.trucks), default=0.0)


@dataclass(frozen=True, slots=True)
class SiteRules:
    """What the seed's site insists on."""

    offline_release_tiers: tuple[CreditTier, ...]
    max_age_s: int
    inspection_beyond_barrier: bool
    manual_release_officers: int
    lanes: tuple[SiteLane, ...] = ()
    inspect_all_tiers: tuple[CreditTier, ...] = ()
    platform: PlatformRole = PlatformRole.NONE
    platform_timeout_s: int = 20
    platform_lost: PlatformLost = PlatformLost.HOLD
    platform_may_raise: bool = False
    waiting_area_beyond_barrier: bool = False
    card_readers: dict[str, CardReaderKind] = field(default_factory=dict)
    """By lane: a number is known by what its reader makes of it."""


def make_traffic(
    draw: random.Random,
    directions: dict[str, Direction],
    rules: SiteRules,
    *,
    today: datetime,
    vehicles: int,
    mean_gap_s: float,
    first: tuple[str, ...] = (),
) -> Traffic:
    """`directions`: by lane. `first`: cases that must be among those who come."""
    return _Maker(draw, directions, today, rules.card_readers).make(rules, vehicles, mean_gap_s, first)


def papers_for(
    draw: random.Random, directions: dict[str, Direction], trucks: Sequence[Truck], today: datetime
) -> Traffic:
    """Everybody of a scenario file, registered and with a slip of its own weight."""
    maker = _Maker(draw, directions, today)
    maker.everybody(trucks)
    return maker.made


NEXT_DOOR_S = 45.0
"""When a slip that was shown in one lane is shown in the next."""
NEXT_DOOR_SLIPS = 900


def shown_next_door(
    draw: random.Random, directions: dict[str, Direction], traffic: Traffic, today: datetime
) -> Truck:
    """After everybody else: one whom the written policy would release is let through in the first lane and
    does not go; his slip comes again in the last lane, while that use is still open. The first of the two."""
    maker = _Maker(draw, directions, today)
    maker.made, maker._slips = traffic, NEXT_DOOR_SLIPS
    lanes = sorted(directions)
    truck = maker._truck(lanes[0], traffic.last_s + 60.0)
    maker.register(truck)
    maker.slip(truck, firm=FIRMS[CreditTier.HIGH])
    stays = Behaviour(creeps_to_m=21.4, creeps_for_s=2 * NEXT_DOOR_S)
    first = maker.come(replace(truck, behaviour=draw.choice((PRESETS["reverses_when_released"], stays))))
    maker.come(
        replace(truck, lane=lanes[-1], arrives_s=truck.arrives_s + NEXT_DOOR_S, behaviour=PRESETS["normal"])
    )
    return first


class _Maker:
    def __init__(
        self,
        draw: random.Random,
        directions: dict[str, Direction],
        today: datetime,
        card_readers: dict[str, CardReaderKind] | None = None,
    ) -> None:
        self._draw = draw
        self._patience = random.Random(draw.getrandbits(64))
        self._card_readers = card_readers or {}
        self._directions = directions
        self._today = today
        self._slips = 0
        self._plates: set[str] = set()
        self.made = Traffic()
        self._alike: dict[str, tuple[Truck, str]] = {}
        """Ordinary vehicles that may come again: id -> (vehicle, lane)."""

    def make(self, rules: SiteRules, vehicles: int, mean_gap_s: float, first: tuple[str, ...]) -> Traffic:
        draw, made = self._draw, self.made
        made.records += self._ground(rules)
        weights = [_OFTEN.get(case, 1) for case in CASES]
        cases = [*first, *draw.choices(list(CASES), weights, k=max(1, vehicles - len(first)))]
        draw.shuffle(cases)
        cases[0] = "ordinary"
        times = {lane: draw.uniform(8.0, 30.0) for lane in self._directions}
        for case in cases:
            lane = min(times, key=lambda each: times[each])
            if draw.random() < 0.2:
                lane = draw.choice(sorted(times))
            self._add(case, lane, times[lane])
            times[lane] += draw.uniform(0.2, 1.8) * mean_gap_s
        made.trucks.sort(key=lambda truck: truck.arrives_s)
        return made

    def _ground(self, rules: SiteRules) -> list[Record]:
        firms: list[Record] = [
            Enterprise(code=code, name=f"某公司 {tier.value}", tier=tier, spot_check_per_mille=0)
            for tier, code in FIRMS.items()
        ]
        drawn = Enterprise(
            code=DRAWN_FIRM, name="某新公司", tier=CreditTier.MEDIUM, spot_check_per_mille=1000
        )
        site = Site(
            site=SITE,
            name_zh="仿真场所",
            name_en="World",
            offline_release_tiers=rules.offline_release_tiers,
            max_age_s=rules.max_age_s,
            inspection_beyond_barrier=rules.inspection_beyond_barrier,
            manual_release_officers=rules.manual_release_officers,
            lanes=rules.lanes,
            inspect_all_tiers=rules.inspect_all_tiers,
            platform=rules.platform,
            platform_timeout_s=rules.platform_timeout_s,
            platform_lost=rules.platform_lost,
            platform_may_raise=rules.platform_may_raise,
            waiting_area_beyond_barrier=rules.waiting_area_beyond_barrier,
            customs_codes=(CUSTOMS_CODE,),
        )
        return [*firms, drawn, site]

    def everybody(self, trucks: Sequence[Truck]) -> None:
        self.made.records += self._ground(SiteRules((CreditTier.HIGH,), 21_600, False, 1))
        known: set[str] = set()
        for truck in trucks:
            self.made.trucks.append(truck)
            self.made.cases[truck.id] = "written"
            if truck.plate is not None and truck.plate not in known:
                known.add(truck.plate)
                self.register(truck)
                self.slip(truck)

    # --- one who comes ---

    def _add(self, case: str, lane: str, at_s: float) -> None:
        truck = self._truck(lane, at_s)
        CASES[case](self, truck)
        self.made.cases[f"v{len(self.made.trucks):03d}"] = case

    def come(self, truck: Truck) -> Truck:
        """The vehicle turns up, under the next id."""
        behaviour = truck.behaviour
        if behaviour == PRESETS["normal"] and self._draw.random() < 0.25:
            behaviour = self._draw.choice([*PRESETS.values(), PATIENT])
        if behaviour is not PATIENT:
            # Standing still costs what moving costs and shows nothing new: few stand their whole time out.
            behaviour = replace(behaviour, wait_patience_s=self._patience.choice(WAITS_S), patience_s=60.0)
        truck = replace(truck, id=f"v{len(self.made.trucks) + 1:03d}", behaviour=behaviour)
        self.made.trucks.append(truck)
        return truck

    def _truck(self, lane: str, at_s: float) -> Truck:
        draw = self._draw
        semi = draw.random() < 0.5
        tare = draw.randrange(13_000, 17_000, 20) if semi else draw.randrange(6_500, 10_500, 20)
        return Truck(
            id="",
            lane=lane,
            arrives_s=round(at_s, 1),
            plate=self._plate(),
            tag="E280" + draw.randbytes(10).hex().upper(),
            tare_kg=tare,
            gross_kg=tare + draw.randrange(2_000, 12_000, 20),
            axles=5 if semi else 3,
            length_m=round(draw.uniform(13.0, 16.5) if semi else draw.uniform(7.0, 11.5), 1),
        )

    def _plate(self) -> str:
        while (plate := random_plate(self._draw)) in self._plates:
            continue
        self._plates.add(plate)
        return plate

    def day(self, days: float) -> UtcText:
        return UtcText((self._today + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ"))

    def register(
        self,
        truck: Truck,
        *,
        state: VehicleState = VehicleState.ACTIVE,
        valid_days: float = 365,
        trailer_plate: str | None = None,
        tag: bool = True,
    ) -> None:
        self.made.records.append(
            Vehicle(
                plate=Plate(truck.plate or ""),
                tag_epcs=(Epc(truck.tag),) if truck.tag is not None and tag else (),
                tare_kg=Decimal(truck.tare_kg),
                trailer_plate=Plate(trailer_plate) if trailer_plate is not None else None,
                state=state,
                valid_until=self.day(valid_days),
            )
        )

    def slip(
        self,
        truck: Truck,
        *,
        cargo_kg: int | None = None,
        firm: EnterpriseCode | None = None,
        state: SlipState = SlipState.APPROVED,
        binding: Binding = Binding.ONE_SLIP,
        direction: Direction | None = None,
        kind: SlipKind = SlipKind.SECOND_LINE,
        days: tuple[float, float] = (-2, 7),
        uses_allowed: int = 1,
        named: bool = True,
        quarantine: str = "",
        customs_code: str = CUSTOMS_CODE,
        containers: tuple[str, ...] = (),
        card_no: str = "",
    ) -> ReleaseSlip:
        """Written for this vehicle and its weight, unless told otherwise; in force at once."""
        self._slips += 1
        way = direction or self._directions[truck.lane]
        cargo = truck.gross_kg - truck.tare_kg if cargo_kg is None else cargo_kg
        made = ReleaseSlip(
            slip_no=SlipNo(f"Z4604{way.value}{self._today:%y%m%d}{self._slips:012d}"),
            direction=way,
            kind=kind,
            binding=binding,
            plate=Plate(truck.plate) if named and truck.plate is not None else None,
            vehicle_kg=Decimal(truck.tare_kg - FRAME_KG),
            frame_kg=Decimal(FRAME_KG),
            cargo_gross_kg=Decimal(cargo),
            total_kg=Decimal(truck.tare_kg + cargo),
            enterprise=firm or self._draw.choice(list(FIRMS.values())),
            customs_code=customs_code,
            container_nos=tuple(ContainerNo(number) for number in containers),
            state=state,
            valid_from=self.day(days[0]),
            valid_until=self.day(days[1]),
            uses_allowed=uses_allowed,
            quarantine=quarantine,
            card_no=card_no,
        )
        self.made.records.append(made)
        return made

    def control(self, truck: Truck, action: ControlAction, mode: Mode = Mode.LIVE) -> None:
        self.made.records.append(
            Control(
                control_id=f"BK{len(self.made.records):06d}",
                version=1,
                mode=mode,
                condition=Condition(plates=(Plate(truck.plate or ""),)),
                action=action,
                valid_from=self.day(-1),
                valid_until=self.day(30),
                reason_zh="风险布控",
                reason_en="Risk control",
            )
        )

    # --- the cases ---

    def ordinary(self, truck: Truck) -> None:
        self.register(truck)
        self.slip(truck)
        self._alike[truck.plate or ""] = (truck, truck.lane)
        self.come(truck)

    def empty(self, truck: Truck) -> None:
        truck = replace(truck, gross_kg=truck.tare_kg)
        self.register(truck)
        self.come(truck)

    def nameless(self, truck: Truck) -> None:
        self.come(replace(truck, plate=None, tag=None))

    def unknown(self, truck: Truck) -> None:
        self.come(replace(truck, tag=truck.tag if self._draw.random() < 0.5 else None))

    def suspended(self, truck: Truck) -> None:
        self.register(truck, state=VehicleState.SUSPENDED)
        self.slip(truck)
        self.come(truck)

    def blocked(self, truck: Truck) -> None:
        self.register(truck, state=VehicleState.BLOCKED)
        self.slip(truck)
        self.come(truck)

    def registration_expired(self, truck: Truck) -> None:
        self.register(truck, valid_days=-1)
        self.slip(truck)
        self.come(truck)

    def no_slip(self, truck: Truck) -> None:
        self.register(truck)
        self.come(truck)

    def not_approved(self, truck: Truck) -> None:
        self.register(truck)
        self.slip(truck, state=SlipState.APPLIED)
        self.come(truck)

    def approved_while_waiting(self, truck: Truck) -> None:
        self.register(truck)
        waiting = self.slip(truck, state=SlipState.APPLIED)
        approved = ReleaseSlip(
            **{name: getattr(waiting, name) for name in waiting.__struct_fields__ if name != "state"},
            state=SlipState.APPROVED,
        )
        self.made.later.append((truck.arrives_s + self._draw.uniform(15, 45), approved))
        self.come(replace(truck, behaviour=PATIENT))

    def cancelled(self, truck: Truck) -> None:
        self.register(truck)
        self.slip(truck, state=self._draw.choice((SlipState.DELETED, SlipState.CANCELLED)))
        self.come(truck)

    def passed_before(self, truck: Truck) -> None:
        self.register(truck)
        self.slip(truck, state=SlipState.PASSED)
        self.come(truck)

    def not_yet_valid(self, truck: Truck) -> None:
        self.register(truck)
        self.slip(truck, days=(2, 7))
        self.come(truck)

    def slip_expired(self, truck: Truck) -> None:
        self.register(truck)
        self.slip(truck, days=(-7, -1))
        self.come(truck)

    def wrong_direction(self, truck: Truck) -> None:
        way = self._directions[truck.lane]
        self.register(truck)
        self.slip(truck, direction=Direction.OUT if way is Direction.IN else Direction.IN)
        self.come(truck)

    def others_slip(self, truck: Truck) -> None:
        other = self._truck(truck.lane, 0.0)
        self.register(other)
        self.register(truck)
        foreign = self.slip(other)
        self.come(replace(truck, slip_codes=(str(foreign.slip_no),)))

    def wrong_area(self, truck: Truck) -> None:
        self.register(truck)
        self.slip(truck, customs_code="3111")
        self.come(truck)

    def containers(self, truck: Truck) -> None:
        """Its container's number, or another one's, is on it for a camera, or shown to the scanner."""
        self.register(truck)
        self.slip(truck, containers=CONTAINERS[:1])
        number = self._draw.choice((*CONTAINERS, ""))
        if self._draw.random() < 0.6:
            self.come(replace(truck, containers=(number,), behaviour=PATIENT))
        else:
            self.come(replace(truck, slip_codes=(number or CONTAINERS[0],)))

    def card(self, truck: Truck) -> None:
        """A slip that goes with a card; the driver holds it to the reader, or somebody else's."""
        self.register(truck)
        kind = self._card_readers.get(truck.lane, "em125")
        mine, other = (self._draw.randbytes(5).hex().upper() for _ in range(2))
        self.slip(truck, card_no=as_read(mine, kind))
        if self._draw.random() < 0.4:
            foreign = self._truck(truck.lane, 0.0)
            self.register(foreign)
            self.slip(foreign, card_no=as_read(other, kind))
        self.come(replace(truck, card=self._draw.choice((mine, mine, other))))

    def other_card_and_slip(self, truck: Truck) -> None:
        """The right slip's code, and a card that is not that slip's."""
        self.register(truck)
        kind = self._card_readers.get(truck.lane, "em125")
        mine, other = (self._draw.randbytes(5).hex().upper() for _ in range(2))
        slip = self.slip(truck, card_no=as_read(mine, kind))
        self.come(replace(truck, card=other, slip_codes=(str(slip.slip_no),)))

    def drifted_tare(self, truck: Truck) -> None:
        """Empty, and heavier than it is registered, though within what passes for empty."""
        self.register(replace(truck, tare_kg=truck.tare_kg))
        self.come(replace(truck, gross_kg=truck.tare_kg + 160))

    def parcels(self, truck: Truck) -> None:
        """A carton of the load is scanned: on the slip, on another's, or unknown to everybody."""
        self.register(truck)
        mine, other = self.slip(truck), self._truck(truck.lane, 0.0)
        self.register(other)
        foreign = self.slip(other)
        numbers = [f"YT{self._draw.randrange(10**12):013d}" for _ in range(3)]
        for number, slip in zip(numbers, (mine, foreign), strict=False):
            self.made.records.append(
                Waybill(waybill_no=WaybillNo(number), slip_no=slip.slip_no, gross_kg=Decimal(2))
            )
        self.come(replace(truck, slip_codes=(self._draw.choice(numbers),)))

    def recalled(self, truck: Truck) -> None:
        self.register(truck)
        slip = self.slip(truck)
        self.made.records.append(
            Recall(
                recall_no=f"ZH{len(self.made.records):06d}",
                slip_nos=(slip.slip_no,),
                reason_zh="质量召回",
                reason_en="Quality recall",
            )
        )
        self.come(truck)

    def both_gates(self, truck: Truck) -> None:
        """In by the first gate, and on to the second, where the site has two."""
        self.register(truck)
        self.slip(truck)
        way = self._directions[truck.lane]
        lanes = sorted(lane for lane, its in self._directions.items() if its is way)
        self.come(replace(truck, lane=lanes[0]))
        self.come(replace(truck, lane=lanes[-1], arrives_s=truck.arrives_s + 70.0, behaviour=PATIENT))

    def conflict(self, truck: Truck) -> None:
        self.register(truck)
        self.slip(truck)
        self.slip(truck)
        self.come(truck)

    def quarantine(self, truck: Truck) -> None:
        self.register(truck)
        self.slip(truck, quarantine="required")
        self.come(truck)

    def overweight(self, truck: Truck) -> None:
        self.register(truck)
        self.slip(truck)
        self.come(replace(truck, gross_kg=truck.gross_kg + 1_500))

    def underweight(self, truck: Truck) -> None:
        self.register(truck)
        self.slip(truck)
        self.come(replace(truck, gross_kg=truck.gross_kg - 1_500))

    def wheel_off(self, truck: Truck) -> None:
        self.register(truck)
        self.slip(truck)
        self.come(replace(truck, length_m=15.5, behaviour=PRESETS["wheel_off"]))

    def to_inspect(self, truck: Truck) -> None:
        self.register(truck)
        self.slip(truck)
        self.control(truck, ControlAction.INSPECT)
        self.come(truck)

    def to_hold(self, truck: Truck) -> None:
        self.register(truck)
        self.slip(truck)
        self.control(truck, ControlAction.HOLD)
        self.come(truck)

    def shadowed(self, truck: Truck) -> None:
        self.register(truck)
        self.slip(truck)
        self.control(truck, ControlAction.HOLD, Mode.SHADOW)
        self.come(truck)

    def drawn(self, truck: Truck) -> None:
        """Drawn for a spot check; backs out and comes again, which must not help."""
        self.register(truck)
        self.slip(truck, firm=DRAWN_FIRM)
        self.come(truck)
        if self._draw.random() < 0.5:
            self.come(replace(truck, arrives_s=truck.arrives_s + 60.0))

    def two_slips(self, truck: Truck) -> None:
        self.register(truck)
        half = (truck.gross_kg - truck.tare_kg) // 2
        self.slip(truck, cargo_kg=half, binding=Binding.MANY_SLIPS)
        self.slip(truck, cargo_kg=truck.gross_kg - truck.tare_kg - half, binding=Binding.MANY_SLIPS)
        self.come(truck)

    def shared_slip(self, truck: Truck) -> None:
        """One slip for several vehicles, shown as a code; one vehicle more than it allows."""
        shared = self.slip(truck, binding=Binding.MANY_VEHICLES, named=False, uses_allowed=2)
        lanes = [lane for lane, way in self._directions.items() if way is self._directions[truck.lane]]
        for number in range(3):
            lane = self._draw.choice(lanes)
            each = replace(
                self._truck(lane, truck.arrives_s + 40.0 * number), slip_codes=(str(shared.slip_no),)
            )
            self.register(each)
            self.come(each)

    def again(self, truck: Truck) -> None:
        """Somebody whose slip was used comes back, in any lane of his direction."""
        if not self._alike:
            self.ordinary(truck)
            return
        before, lane = self._alike[self._draw.choice(sorted(self._alike))]
        way = self._directions[lane]
        lanes = [each for each, its in self._directions.items() if its is way]
        at_s = max(truck.arrives_s, before.arrives_s + self._draw.choice((8.0, 45.0, 90.0)))
        self.come(replace(before, lane=self._draw.choice(lanes), arrives_s=round(at_s, 1)))

    def trailer(self, truck: Truck) -> None:
        truck = replace(
            truck,
            length_m=16.5,
            axles=5,
            trailer=Trailer(gap_m=self._draw.uniform(1.5, 2.5), length_m=6.5),
        )
        registered = self._draw.random() < 0.7
        self.register(truck, trailer_plate=self._plate()[:6] + "挂" if registered else None)
        self.slip(truck)
        self.come(truck)

    def tailgater(self, truck: Truck) -> None:
        """An ordinary vehicle, and one with its own papers or none right behind it."""
        self.register(truck)
        self.slip(truck)
        first = self.come(truck)
        behind = replace(
            self._truck(truck.lane, first.arrives_s + self._draw.uniform(3.0, 20.0)),
            behaviour=PRESETS["tailgates"],
        )
        if self._draw.random() < 0.5:
            self.register(behind)
            self.slip(behind)
        self.come(behind)

    def reverses(self, truck: Truck) -> None:
        self.register(truck)
        self.slip(truck)
        names = ("reverses_out", "reverses_when_released", "creeps_and_reverses")
        self.come(replace(truck, behaviour=PRESETS[self._draw.choice(names)]))

    def stands_under_the_arm(self, truck: Truck) -> None:
        """Released, drives until the arm is above it, stands there, and backs out in the end."""
        self.register(truck)
        self.slip(truck)
        stands_s = self._draw.uniform(5.0, 80.0)
        self.come(replace(truck, behaviour=Behaviour(creeps_to_m=23.5, creeps_for_s=stands_s)))

    def swapped_plates(self, truck: Truck) -> None:
        """Two vehicles wear each other's plates; the tags may be gone besides."""
        other = self._truck(truck.lane, truck.arrives_s + 50.0)
        for each in (truck, other):
            self.register(each)
            self.slip(each)
        tagged = self._draw.random() < 0.5
        self.come(replace(truck, plate=other.plate, tag=truck.tag if tagged else None))
        self.come(replace(other, plate=truck.plate, tag=other.tag if tagged else None))


CASES: dict[str, Callable[[_Maker, Truck], None]] = {
    "ordinary": _Maker.ordinary,
    "empty": _Maker.empty,
    "nameless": _Maker.nameless,
    "unknown": _Maker.unknown,
    "suspended": _Maker.suspended,
    "blocked": _Maker.blocked,
    "registration_expired": _Maker.registration_expired,
    "no_slip": _Maker.no_slip,
    "not_approved": _Maker.not_approved,
    "approved_while_waiting": _Maker.approved_while_waiting,
    "cancelled": _Maker.cancelled,
    "passed_before": _Maker.passed_before,
    "not_yet_valid": _Maker.not_yet_valid,
    "slip_expired": _Maker.slip_expired,
    "wrong_direction": _Maker.wrong_direction,
    "others_slip": _Maker.others_slip,
    "conflict": _Maker.conflict,
    "wrong_area": _Maker.wrong_area,
    "containers": _Maker.containers,
    "card": _Maker.card,
    "other_card_and_slip": _Maker.other_card_and_slip,
    "drifted_tare": _Maker.drifted_tare,
    "parcels": _Maker.parcels,
    "recalled": _Maker.recalled,
    "both_gates": _Maker.both_gates,
    "quarantine": _Maker.quarantine,
    "overweight": _Maker.overweight,
    "underweight": _Maker.underweight,
    "wheel_off": _Maker.wheel_off,
    "to_inspect": _Maker.to_inspect,
    "to_hold": _Maker.to_hold,
    "shadowed": _Maker.shadowed,
    "drawn": _Maker.drawn,
    "two_slips": _Maker.two_slips,
    "shared_slip": _Maker.shared_slip,
    "again": _Maker.again,
    "trailer": _Maker.trailer,
    "tailgater": _Maker.tailgater,
    "reverses": _Maker.reverses,
    "stands_under_the_arm": _Maker.stands_under_the_arm,
    "swapped_plates": _Maker.swapped_plates,
}
"""Case -> what brings it about."""

_OFTEN = {
    "ordinary": 12,
    "empty": 2,
    "two_slips": 2,
    "shared_slip": 2,
    "again": 3,
    "trailer": 3,
    "tailgater": 3,
    "reverses": 3,
    "stands_under_the_arm": 2,
    "approved_while_waiting": 2,
    "swapped_plates": 2,
}
"""What is not named comes once as often: about half of the traffic should pass."""
