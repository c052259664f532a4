"""Scenario files: what a person may write, what is refused and how, and traffic made from a seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware_sims.barrier import BarrierSettings
from hardware_sims.faults import Fault, FaultKind
from hardware_sims.scenario import (
    FAULTS_OF,
    FaultPlan,
    Happening,
    HappeningKind,
    LaneSettings,
    Scenario,
    ScenarioRefused,
    random_scenario,
    read_scenario,
    scenario_from,
    scenario_to_toml,
)
from hardware_sims.vehicles import PRESETS, Behaviour, Trailer, Vehicle

WRITTEN = """
seed = 7
pauses = [120, 300.5]

[lanes.in]
weighbridge = "toledo_continuous"
division_kg = 10
camera_listener = "127.0.0.1:9001"
barrier = { auto_close = true, raise_s = 1.5 }

[lanes.out]
transport = "socket"

[[vehicles]]
id = "late"
lane = "in"
arrives_s = 12
plate = "豫A12345"
tag = "E28011700000020A"
gross_kg = 32000
axles = 5
length_m = 16.5
trailer = { gap_m = 2.5, length_m = 6 }
slip_codes = ["Z3111I240728000000000003"]
behaviour = { like = "slow", patience_s = 30 }

[[vehicles]]
id = "tail"
lane = "in"
arrives_s = 14.5
behaviour = "tailgates"

[[faults]]
lane = "in"
device = "weighbridge"
kind = "flip"
rate = 0.05
vehicle = "late"

[[faults]]
lane = "out"
device = "camera"
kind = "wrong_plate"
plate = "豫B99999"
at_s = 40
for_s = 20

[[happenings]]
lane = "in"
kind = "fire"
at_s = 100
for_s = 30

[[happenings]]
lane = "in"
kind = "reset_key"
when_closed_s = 15
"""


def read(text: str, folder: Path) -> Scenario:
    path = folder / "site.toml"
    path.write_text(text, encoding="utf-8")
    return read_scenario(path)


def test_a_written_scenario_is_read_to_its_values(tmp_path: Path) -> None:
    assert read(WRITTEN, tmp_path) == Scenario(
        seed=7,
        pauses=(120.0, 300.5),
        lanes=(
            LaneSettings(
                name="in",
                weighbridge="toledo_continuous",
                division_kg=10,
                camera_listener="127.0.0.1:9001",
                barrier=BarrierSettings(auto_close=True, raise_s=1.5),
            ),
            LaneSettings(name="out", transport="socket"),
        ),
        vehicles=(
            Vehicle(
                id="late",
                lane="in",
                arrives_s=12.0,
                plate="豫A12345",
                tag="E28011700000020A",
                gross_kg=32_000,
                axles=5,
                length_m=16.5,
                trailer=Trailer(gap_m=2.5, length_m=6.0),
                slip_codes=("Z3111I240728000000000003",),
                behaviour=Behaviour(reaction_s=6.0, cruise_m_s=1.2, patience_s=30.0),
            ),
            Vehicle(id="tail", lane="in", arrives_s=14.5, plate=None, behaviour=PRESETS["tailgates"]),
        ),
        faults=(
            FaultPlan(
                lane="in",
                device="weighbridge",
                fault=Fault(kind=FaultKind.FLIP, rate=0.05),
                vehicle="late",
            ),
            FaultPlan(
                lane="out",
                device="camera",
                fault=Fault(kind=FaultKind.WRONG_PLATE, plate="豫B99999"),
                at_s=40.0,
                for_s=20.0,
            ),
        ),
        happenings=(
            Happening(lane="in", kind=HappeningKind.FIRE, at_s=100.0, for_s=30.0),
            Happening(lane="in", kind=HappeningKind.RESET_KEY, when_closed_s=15.0),
        ),
    )


VEHICLE = '[lanes.in]\n[[vehicles]]\nid = "a"\nlane = "in"\narrives_s = 1\n'
FAULT = '[lanes.in]\n[[faults]]\nlane = "in"\nat_s = 1\n'


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("sead = 7", "sead: unknown key"),
        ('seed = "x"', "seed: expected a whole number, got 'x'"),
        ("seed = [", "not TOML"),
        ("[lanes.in]\nspeed = 3", "lanes.in.speed: unknown key"),
        ('[lanes.in]\nweighbridge = "abacus"', "lanes.in.weighbridge: expected one of yaohua_tf0, toledo"),
        ("[lanes.in]\ndivision_kg = 0", "lanes.in.division_kg: expected 1 or more"),
        ("[lanes.in]\nio_unit = 300", "lanes.in.io_unit: expected 1 to 247"),
        ("[lanes.in]\nbarrier = { raise_s = 0 }", "lanes.in.barrier.raise_s: expected a number above 0"),
        (VEHICLE + "colour = 3", "vehicles[0].colour: unknown key"),
        (VEHICLE + "length_m = 99", "vehicles[0].length_m: expected 3 to 25"),
        (VEHICLE + 'tag = "xyz"', "vehicles[0].tag: expected 8 to 124"),
        (VEHICLE + "axles = 1", "vehicles[0].axles: expected 2 to 9"),
        (VEHICLE + "gross_kg = 0", "vehicles[0].gross_kg: expected 1 to"),
        (VEHICLE + 'behaviour = "drunk"', "vehicles[0].behaviour: expected one of normal, tailgates"),
        (VEHICLE + "behaviour = { patient = 1 }", "vehicles[0].behaviour.patient: unknown key"),
        (VEHICLE + "trailer = { gap_m = 5, length_m = 6 }", "vehicles[0].trailer: expected gap_m + length_m"),
        (VEHICLE.replace('lane = "in"', 'lane = "up"'), "vehicles[0].lane: expected one of in, got 'up'"),
        (VEHICLE.replace("arrives_s = 1\n", ""), "vehicles[0].arrives_s: expected a number"),
        (VEHICLE + VEHICLE.replace("[lanes.in]\n", ""), "vehicles[1].id: expected each id once"),
        (FAULT + 'device = "io"\nkind = "melted"', "faults[0].kind: expected one of cut, flip"),
        (FAULT + 'device = "oven"\nkind = "cut"', "faults[0].device: expected one of weighbridge"),
        (FAULT + 'device = "led"\nkind = "wrong_plate"', "faults[0].kind: expected one of chatter, cut"),
        (FAULT + 'device = "io"\nkind = "broken_wire"', "faults[0].input: expected one of arrival_loop"),
        (FAULT + 'device = "io"\nkind = "cut"\nvehicle = "z"', "faults[0].vehicle: expected the id"),
        (
            '[lanes.in]\n[[happenings]]\nlane = "in"\nkind = "flood"\nat_s = 1',
            "happenings[0].kind: expected one of",
        ),
        (
            '[lanes.in]\n[[happenings]]\nlane = "in"\nkind = "fire"\nwhen_closed_s = 1',
            "happenings[0].when_closed_s: expected only with kind reset_key",
        ),
    ],
)
def test_what_cannot_be_simulated_is_refused_with_its_key_and_what_was_expected(
    text: str, wanted: str, tmp_path: Path
) -> None:
    with pytest.raises(ScenarioRefused) as refused:
        read(text, tmp_path)
    assert wanted in str(refused.value)
    assert "site.toml" in str(refused.value)


def test_every_error_is_listed_at_once(tmp_path: Path) -> None:
    with pytest.raises(ScenarioRefused) as refused:
        read("seed = true\nfoo = 1\n" + VEHICLE + "colour = 3\nplate = 7", tmp_path)
    assert len(str(refused.value).splitlines()) == 4


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), odd=st.floats(0, 1), faults=st.integers(0, 12))
def test_a_made_scenario_can_be_simulated_written_and_read_back(seed: int, odd: float, faults: int) -> None:
    import tomllib

    made = random_scenario(seed, 20, odd_share=odd, faults=faults, happenings=faults)
    assert made.problems() == []
    assert len(made.vehicles) == 20
    assert scenario_from(tomllib.loads(scenario_to_toml(made))) == made


def test_the_same_seed_makes_the_same_traffic_and_another_seed_another() -> None:
    assert random_scenario(7, 30) == random_scenario(7, 30)
    assert random_scenario(7, 30) != random_scenario(8, 30)


def test_made_traffic_uses_every_lane_and_every_fault_and_behaviour_comes_up_in_some_seed() -> None:
    scenarios = [random_scenario(seed, 30, faults=6, happenings=3) for seed in range(60)]
    assert {vehicle.lane for vehicle in scenarios[0].vehicles} == {"in", "out"}
    kinds = {(plan.device, plan.fault.kind) for each in scenarios for plan in each.faults}
    assert kinds == {(device, kind) for device, known in FAULTS_OF.items() for kind in known}
    behaviours: set[Any] = {vehicle.behaviour for each in scenarios for vehicle in each.vehicles}
    assert behaviours == set(PRESETS.values())
    assert any(vehicle.trailer for each in scenarios for vehicle in each.vehicles)


def test_text_with_quotes_and_control_characters_survives_writing() -> None:
    import tomllib

    odd = 'a "quoted" \\ back\x1dslash'
    made = Scenario(
        lanes=(LaneSettings(name="north gate"),),
        happenings=(Happening(lane="north gate", kind=HappeningKind.SHOW_CODE, text=odd, at_s=2.0),),
    )
    assert scenario_from(tomllib.loads(scenario_to_toml(made))) == made
