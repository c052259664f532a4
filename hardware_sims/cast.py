"""Who comes to the simulated site, and what the centre's records say of them. Values; writes nothing.

The first vehicles are a cast: one of each kind that a lane must know how to treat. The rest is ordinary
traffic. The same seed gives the same people, the same goods and the same papers.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from hardware_sims.barrier import BarrierSettings
from hardware_sims.faults import Fault, FaultKind
from hardware_sims.scenario import (
    FaultPlan,
    Happening,
    HappeningKind,
    LaneSettings,
    Scenario,
    random_plate,
)
from hardware_sims.vehicles import PRESETS, Trailer, Vehicle

LANE_IN = "lane-in-1"
LANE_OUT = "lane-out-1"
SITE = "demo"
SCOPE = "site-demo"
FIRM_HIGH = "4101960001"
FIRM_MEDIUM = "4101960002"
FIRM_LOW = "4101960003"

CASES: tuple[tuple[str, str, str], ...] = (
    ("ordinary", "普通车辆", "ordinary vehicle"),
    ("tailgater", "跟车闯卡", "tailgater"),
    ("no_slip", "无核放单", "without a slip"),
    ("overweight", "超重", "overweight"),
    ("control", "布控查验", "a control to inspect"),
    ("trailer", "全挂车", "drawbar trailer"),
    ("empty", "空车", "empty registered vehicle"),
    ("two_slips", "一车多票", "two slips"),
    ("wrong_plate", "套牌", "wrong plate, right tag"),
    ("reverses_out", "放行后倒车", "released, then reverses out"),
    ("noisy_scale", "地磅线路噪声", "noisy weighbridge line"),
    ("dead_camera", "相机失灵", "dead camera"),
    ("slip_used", "核放单重复使用", "slip used before"),
    ("spot_check", "抽核", "drawn for a spot check"),
)
"""(case, zh, en) in the order they come, ordinary vehicles between them."""


@dataclass(slots=True)
class Cast:
    """Everybody, their papers, and the scenario that brings them."""

    scenario: Scenario
    records: dict[str, list[dict[str, Any]]]
    cases: dict[str, str] = field(default_factory=dict)
    """Vehicle id -> case."""
    break_after_s: float = 0.0
    """Traffic time of the pause in which the broker dies (the first) and comes back (the second)."""


def make_cast(
    seed: int,
    vehicles: int = 30,
    *,
    today: datetime,
    camera_ports: tuple[int, int] = (0, 0),
    mean_gap_s: float = 34.0,
) -> Cast:
    """`today` (UTC) places the validity of the papers. At least one vehicle."""
    return _Maker(seed, today).make(max(1, vehicles), camera_ports, mean_gap_s)


def _lane(name: str, camera_listener: str | None) -> LaneSettings:
    """Two makes of everything, so that a demo shows more than one: the lane out has the others."""
    if name == LANE_IN:
        return LaneSettings(name=name, camera_listener=camera_listener, barrier=BarrierSettings())
    return LaneSettings(
        name=name,
        weighbridge="toledo_continuous",
        rfid="uhfreader18",
        scanner="newland",
        led="ascii",
        camera="hikvision",
        camera_listener=camera_listener,
        barrier=BarrierSettings(auto_close=True),
    )


class _Maker:
    def __init__(self, seed: int, today: datetime) -> None:
        self._draw = random.Random(f"{seed}/cast")
        self._seed = seed
        self._today = today
        self._plates: set[str] = set()
        self._slips = 0
        self._people: list[Vehicle] = []
        self._cases: dict[str, str] = {}
        self._faults: list[FaultPlan] = []
        self._vehicles: list[dict[str, Any]] = []
        self._papers: list[dict[str, Any]] = []
        self._controls: list[dict[str, Any]] = []

    def make(self, count: int, camera_ports: tuple[int, int], mean_gap_s: float) -> Cast:
        order = self._order(count)
        times = {LANE_IN: 2.0, LANE_OUT: 6.0}
        lanes = (LANE_IN, LANE_OUT)
        pauses: list[float] = []
        breaks = {len(order) // 3, (2 * len(order)) // 3} if len(order) >= 6 else {1}
        for index, case in enumerate(order):
            lane = LANE_IN if case == "slip_used" else lanes[index % 2]
            if case == "tailgater":
                # Right behind the vehicle before it in the same lane.
                lane = self._people[-1].lane
                at_s = self._people[-1].arrives_s + 4.0
            else:
                at_s = times[lane]
            self._add(case, lane, at_s)
            times[lane] = max(times[lane], at_s + mean_gap_s * self._draw.uniform(0.85, 1.2))
            if index + 1 in breaks:
                # Both lanes must be idle: nobody is due until the pause is over.
                pause = max(times.values()) + 20.0
                pauses.append(pause)
                times = {name: pause + 2.0 + 4.0 * place for place, name in enumerate(lanes)}
        scenario = Scenario(
            seed=self._seed,
            lanes=tuple(
                _lane(name, f"127.0.0.1:{port}" if port else None)
                for name, port in zip(lanes, camera_ports, strict=True)
            ),
            vehicles=tuple(self._people),
            faults=tuple(self._faults),
            happenings=tuple(
                Happening(lane=name, kind=HappeningKind.RESET_KEY, when_closed_s=10.0) for name in lanes
            ),
            pauses=tuple(pauses),
        )
        return Cast(scenario, self._records(), self._cases, pauses[0] if pauses else 0.0)

    def _order(self, count: int) -> list[str]:
        """Every case once if there is room, ordinary vehicles spread between; a slip is used before again."""
        cases = [case for case, _, _ in CASES][:count]
        ordinary = count - len(cases)
        order: list[str] = []
        for index, case in enumerate(cases):
            order.append(case)
            if ordinary > 0 and index >= 1:
                order.append("ordinary")
                ordinary -= 1
        return order + ["ordinary"] * ordinary

    def _add(self, case: str, lane: str, at_s: float) -> None:
        draw = self._draw
        number = len(self._people) + 1
        semi = draw.random() < 0.6
        tare = draw.randrange(13_000, 17_000, 20) if semi else draw.randrange(6_500, 10_500, 20)
        cargo = draw.randrange(2_000, 12_000, 20)
        vehicle = Vehicle(
            id=f"v{number:03d}",
            lane=lane,
            arrives_s=round(at_s, 1),
            plate=self._plate(),
            tag="E280" + draw.randbytes(10).hex().upper(),
            tare_kg=tare,
            gross_kg=tare + cargo,
            axles=5 if semi else 3,
            length_m=round(draw.uniform(13.0, 16.5) if semi else draw.uniform(8.0, 11.5), 1),
        )
        firm = draw.choice((FIRM_HIGH, FIRM_MEDIUM))
        trailer_plate: str | None = None
        slips: tuple[int, ...] = (cargo,)
        match case:
            case "no_slip":
                slips = ()
            case "overweight":
                vehicle = replace(vehicle, gross_kg=vehicle.gross_kg + 1_500)
            case "empty":
                vehicle, slips = replace(vehicle, gross_kg=tare), ()
            case "two_slips":
                slips = (cargo // 2, cargo - cargo // 2)
            case "trailer":
                trailer_plate = self._plate()[:6] + "挂"
                vehicle = replace(vehicle, length_m=16.5, axles=5, trailer=Trailer(gap_m=1.6, length_m=6.5))
            case "tailgater":
                vehicle = replace(vehicle, behaviour=PRESETS["tailgates"], length_m=9.0)
            case "reverses_out":
                vehicle = replace(vehicle, behaviour=PRESETS["reverses_when_released"])
            case "noisy_scale":
                fault = Fault(kind=FaultKind.FLIP, rate=0.02)
                self._faults.append(
                    FaultPlan(lane=lane, device="weighbridge", fault=fault, vehicle=vehicle.id)
                )
            case "dead_camera":
                fault = Fault(kind=FaultKind.SILENCE)
                self._faults.append(FaultPlan(lane=lane, device="camera", fault=fault, vehicle=vehicle.id))
            case "spot_check":
                firm = FIRM_LOW
            case _:
                pass
        if case == "slip_used":
            first = next(v for v in self._people if self._cases[v.id] == "ordinary" and v.lane == lane)
            vehicle = replace(first, id=vehicle.id, arrives_s=vehicle.arrives_s)
        else:
            self._register(vehicle, trailer_plate)
            for slip_kg in slips:
                self._write_slip(vehicle, slip_kg, firm, many=len(slips) > 1)
        if case == "wrong_plate":
            other = self._plate()
            self._register(replace(vehicle, plate=other, tag=None), None)
            vehicle = replace(vehicle, plate=other)
        if case == "control":
            self._control(str(vehicle.plate))
        self._people.append(vehicle)
        self._cases[vehicle.id] = case

    def _plate(self) -> str:
        while (plate := random_plate(self._draw)) in self._plates:
            continue
        self._plates.add(plate)
        return plate

    def _day(self, days: int) -> str:
        return (self._today + timedelta(days=days)).strftime("%Y-%m-%dT00:00:00Z")

    def _register(self, vehicle: Vehicle, trailer_plate: str | None) -> None:
        self._vehicles.append(
            {
                "plate": vehicle.plate,
                "plate_colour": "yellow",
                "tag_epcs": [vehicle.tag] if vehicle.tag is not None else [],
                "tare_kg": str(vehicle.tare_kg),
                "trailer_plate": trailer_plate,
                "carrier": "中原物流",
                "state": "active",
                "valid_until": self._day(365),
            }
        )

    def _write_slip(self, vehicle: Vehicle, cargo_kg: int, firm: str, *, many: bool) -> None:
        self._slips += 1
        direction = "I" if vehicle.lane == LANE_IN else "E"
        frame_kg = 1_000
        self._papers.append(
            {
                "slip_no": f"Z4604{direction}{self._today:%y%m%d}{self._seed % 1000:03d}{self._slips:09d}",
                "direction": direction,
                "kind": "3",
                "binding": "1" if many else "2",
                "related_type": "1",
                "related_nos": [f"QD4604{self._today:%y}I{self._slips:09d}"],
                "plate": vehicle.plate,
                "vehicle_kg": str(vehicle.tare_kg - frame_kg),
                "frame_kg": str(frame_kg),
                "container_kg": "0",
                "cargo_gross_kg": str(cargo_kg),
                "total_kg": str(vehicle.tare_kg + cargo_kg),
                "enterprise": firm,
                "customs_code": "4604",
                "state": "1",
                "valid_from": self._day(-2),
                "valid_until": self._day(7),
                "uses_allowed": 1,
                "waybill_count": max(1, cargo_kg // 20),
            }
        )

    def _control(self, plate: str) -> None:
        self._controls.append(
            {
                "control_id": f"BK{self._seed % 10_000:04d}{len(self._controls) + 1:02d}",
                "version": 1,
                "mode": "live",
                "condition": {"plates": [plate]},
                "action": "inspect",
                "valid_from": self._day(-1),
                "valid_until": self._day(30),
                "reason_zh": "风险布控：申报与历史不符",
                "reason_en": "Risk control: declaration differs from history",
            }
        )

    def _records(self) -> dict[str, list[dict[str, Any]]]:
        firms = (
            (FIRM_HIGH, "郑州某进出口有限公司", "high", 0),
            (FIRM_MEDIUM, "河南某供应链有限公司", "medium", 0),
            (FIRM_LOW, "某新注册贸易有限公司", "low", 1_000),
        )
        return {
            "vehicles": self._vehicles,
            "release_slips": self._papers,
            "enterprises": [
                {"code": code, "name": name, "tier": tier, "spot_check_per_mille": rate, "x_ray_per_mille": 0}
                for code, name, tier, rate in firms
            ],
            "controls": self._controls,
            "site": [
                {
                    "site": SITE,
                    "name_zh": "郑州经开综合保税区（仿真）",
                    "name_en": "Zhengzhou bonded zone (simulated)",
                    "zone": "Asia/Shanghai",
                    "weight_tolerance_kg": "200",
                    "weight_tolerance_per_mille": 30,
                    "empty_tolerance_kg": "300",
                    "offline_release_tiers": ["high", "medium"],
                    "max_age_s": 21_600,
                    "inspection_beyond_barrier": False,
                    "lanes": [
                        {"lane": LANE_IN, "direction": "I", "name_zh": "进1道", "name_en": "In 1"},
                        {"lane": LANE_OUT, "direction": "E", "name_zh": "出1道", "name_en": "Out 1"},
                    ],
                }
            ],
        }
