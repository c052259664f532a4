"""Simulated weighbridges: frames as printed, questions answered, cheats at the scale, chosen by scenarios."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hardware_sims.barrier import BarrierSettings
from hardware_sims.devices.weighbridge import PROTOCOLS, Protocol, Weighbridge
from hardware_sims.devices.weighbridge_frames import (
    mt_sics,
    st_gs_ascii,
    yaohua_a12_ascii,
    yaohua_a12e,
    yaohua_a12e_beyond,
    yaohua_command,
    yaohua_tf0,
    yaohua_tf_eq,
)
from hardware_sims.faults import Fault, FaultKind
from hardware_sims.lanes import SimulatedLane
from hardware_sims.physics import LanePhysics, quiet_log
from hardware_sims.scenario import (
    FaultPlan,
    LaneSettings,
    Scenario,
    ScenarioRefused,
    scenario_from,
    scenario_to_toml,
)
from hardware_sims.vehicles import Vehicle

TRUCK = Vehicle(id="v1", lane="in", arrives_s=0.0, plate="豫A12345", gross_kg=20_000, length_m=12.0)


def vectors() -> list[dict[str, Any]]:
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    path = Path(os.environ.get("KAKOU_SHARED_DATA", beside)) / "protocols" / "weighbridge_frames.json"
    if not path.exists():
        pytest.skip("the shared vectors are not here; KAKOU_SHARED_DATA may name their folder")
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["vectors"]
    return found


# --- frames as printed --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "printed"),
    [
        (yaohua_command(b"A", b"A"), bytes.fromhex("02 41 41 30 30 03")),
        (yaohua_command(b"A", b"C"), bytes.fromhex("02 41 43 30 32 03")),
        (yaohua_command(b"A", b"D"), bytes.fromhex("02 41 44 30 35 03")),
        (yaohua_tf_eq(3000, 3), b"=000.3000"),
        (yaohua_tf_eq(-100, 2), b"=00.1000-"),
        (yaohua_tf_eq(3000, 3, backwards=False), b"=0003.000"),
        (yaohua_tf_eq(-100, 2, backwards=False), b"=-0001.00"),
        (yaohua_a12_ascii(0, 3, unit="lb"), b"ww000.000lb\r\n"),
        (yaohua_a12_ascii(-1, 1, kind="n"), b"wn-0000.1kg\r\n"),
        (yaohua_a12_ascii(0, 3, kind="t"), b"wt000.000kg\r\n"),
        (yaohua_a12e(4139, 3), b"WG004.139kg3D\r\n"),
        (yaohua_a12e_beyond(over=True), b"         OL23\r\n"),
        (yaohua_a12e_beyond(over=False), b"         LO23\r\n"),
        (mt_sics("100.00", stable=True, unit="g"), b"S S     100.00 g\r\n"),
        (st_gs_ascii("5.230"), b"ST,GS,+   5.230kg\r\n"),
    ],
)
def test_a_frame_is_the_printed_one(frame: bytes, printed: bytes) -> None:
    assert frame == printed


def test_shared_vectors_of_the_command_mode_and_the_a12_are_reproduced() -> None:
    made = {
        **{f"yh-cmd-{letter}": yaohua_command(b"A", letter.encode()) for letter in "ABCDEF"},
        "yh-eq1-b": yaohua_tf_eq(-100, 2),
        "yh-eq2-a": yaohua_tf_eq(3000, 3, backwards=False),
        "yh-eq2-b": yaohua_tf_eq(-100, 2, backwards=False),
        "yh-a12-wn": yaohua_a12_ascii(-1, 1, kind="n").rstrip(),
        "yh-a12-wt": yaohua_a12_ascii(0, 3, kind="t").rstrip(),
        "yh-a12e-overload": yaohua_a12e_beyond(over=True),
        "yh-a12e-low": yaohua_a12e_beyond(over=False),
        "cas-2": st_gs_ascii("5.230"),
    }
    told = {vector["id"]: bytes.fromhex(vector["hex"]) for vector in vectors()}
    wanted = {name: told[name] for name in made.keys() & told.keys()}
    assert {name: made[name] for name in wanted} == wanted
    assert len(wanted) >= 10


# --- what it sends, what it answers -------------------------------------------------------------------------


def plate(kg: float = 0.0) -> LanePhysics:
    physics = LanePhysics(BarrierSettings(), quiet_log)
    physics.scale.put(0.0, kg)
    physics.advance(20.0)
    return physics


def settled(protocol: Protocol, kg: float = 0.0, **indicator: Any) -> Weighbridge:
    """An indicator at 20 s, with nothing waiting on its line."""
    scale = Weighbridge(plate(kg), protocol=protocol, **indicator)
    scale.advance(20.0)
    return scale


def asked(scale: Weighbridge, request: bytes, at_s: float = 20.01) -> bytes:
    scale.receive(at_s, request)
    return scale.advance(at_s + 0.05)


@pytest.mark.parametrize(
    ("protocol", "frame"),
    [
        ("yaohua_tf0", yaohua_tf0(20_000)),
        ("yaohua_tf_eq", b"=00002000"),
        ("yaohua_tf_eq_2", b"=00020000"),
        ("yaohua_a12_ascii", b"ww020000 kg\r\n"),
        ("yaohua_a12e", yaohua_a12e(20_000)),
        ("st_gs_ascii", b"ST,GS,+   20000kg\r\n"),
    ],
)
def test_an_indicator_that_sends_by_itself_sends_ten_frames_a_second(
    protocol: Protocol, frame: bytes
) -> None:
    assert settled(protocol, 20_000).advance(21.0) == frame * 10


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (yaohua_command(b"A", b"A"), yaohua_command(b"A", b"A")),
        (yaohua_command(b"A", b"B"), yaohua_command(b"A", b"B", 20_000)),
        (yaohua_command(b"A", b"C"), yaohua_command(b"A", b"C", 5_000)),
        (yaohua_command(b"A", b"D"), yaohua_command(b"A", b"D", 15_000)),
        (b"\x02\x02A" + yaohua_command(b"A", b"B"), yaohua_command(b"A", b"B", 20_000)),
        (yaohua_command(b"B", b"B"), b""),
        (yaohua_command(b"A", b"E"), b""),
        (yaohua_command(b"A", b"B").replace(b"03", b"04"), b""),
    ],
)
def test_an_indicator_in_command_mode_answers_what_it_is_asked_and_nothing_else(
    request_: bytes, answer: bytes
) -> None:
    scale = settled("yaohua_command", 20_000, tare_kg=5_000)
    assert scale.advance(20.5) == b""
    assert asked(scale, request_, 20.51) == answer


def test_an_mt_sics_indicator_answers_and_repeats_until_it_is_asked_something_else() -> None:
    scale = settled("mt_sics", 20_000)
    answer = b"S S      20000 kg\r\n"
    assert asked(scale, b"SI\r\n") == answer
    assert scale.advance(21.0) == b""
    scale.receive(21.01, b"SI")
    assert scale.advance(21.05) == b""
    assert asked(scale, b"R\r\n", 21.05) == answer * 2
    assert scale.advance(22.1) == answer * 10
    assert asked(scale, b"SI\r\n", 22.11) == answer
    assert scale.advance(23.0) == b""


@pytest.mark.parametrize(
    ("line", "answer"),
    [(b"@\r\n", b'I4 A "1234567890"\r\n'), (b"HELLO\r\n", b"ES\r\n"), (b"S\xff\r\n", b"ET\r\n")],
)
def test_an_mt_sics_indicator_says_what_it_did_not_understand(line: bytes, answer: bytes) -> None:
    assert asked(settled("mt_sics"), line) == answer


@pytest.mark.parametrize(
    ("protocol", "over", "under"),
    [
        ("yaohua_a12e", yaohua_a12e_beyond(over=True), yaohua_a12e_beyond(over=False)),
        ("st_gs_ascii", b"OL,GS,+ 9999999kg\r\n", b"OL,GS,- 9999999kg\r\n"),
    ],
)
def test_an_indicator_beyond_its_range_says_so_nine_divisions_above_and_twenty_below(
    protocol: Protocol, over: bytes, under: bytes
) -> None:
    def first(kg: float) -> bytes:
        return settled(protocol, kg, capacity_kg=30_000, division_kg=20).advance(20.1)

    assert (first(30_240), first(-440)) == (over, under)
    assert first(30_180) not in (over, under)
    assert first(-400) not in (over, under)


def test_an_indicator_switched_off_has_forgotten_to_repeat() -> None:
    scale = settled("mt_sics")
    asked(scale, b"SIR\r\n")
    scale.set_fault(21.0, Fault(kind=FaultKind.DEAD), True)
    scale.set_fault(22.0, Fault(kind=FaultKind.DEAD), False)
    assert scale.advance(25.0) == b""
    assert asked(scale, b"SI\r\n", 25.01) != b""


# --- cheats and worn plates ---------------------------------------------------------------------------------


def weights_of(vehicle: Vehicle | None, kind: FaultKind, until_s: float = 30.0, **strength: Any) -> list[int]:
    """What a Yaohua indicator shows, tenth by tenth of a second, with a fault from the beginning."""
    physics = LanePhysics(BarrierSettings(), quiet_log)
    if vehicle is not None:
        physics.arrive(0.0, vehicle)
    scale = Weighbridge(physics)
    scale.set_fault(0.0, Fault(kind=kind, **strength), True)
    heard = b""
    for tenth in range(1, int(until_s * 10) + 1):
        physics.advance(tenth / 10)
        heard += scale.advance(tenth / 10)
    return [int(heard[at + 1 : at + 8]) for at in range(0, len(heard), 12)]


def plateaus(weights: list[int]) -> list[int]:
    """Weights shown for a second and more, in order."""
    found: list[int] = []
    for n in range(10, len(weights)):
        if len(set(weights[n - 10 : n])) == 1 and weights[n - 1] not in found[-1:]:
            found.append(weights[n - 1])
    return found


def test_a_jump_adds_its_load_at_once_when_the_vehicle_has_stood_for_its_time() -> None:
    shown = weights_of(TRUCK, FaultKind.JUMP, kg=-3_000.0, delay_s=2.0)
    assert plateaus(shown) == [0, 20_000, 17_000]
    at = next(n for n in range(len(shown)) if shown[n:] and set(shown[n:]) == {17_000})
    assert shown[at - 10 : at] == [20_000] * 10


def test_a_jump_waits_for_a_vehicle_and_has_a_load_of_its_own() -> None:
    assert set(weights_of(None, FaultKind.JUMP)) == {0}
    assert plateaus(weights_of(TRUCK, FaultKind.JUMP, delay_s=2.0)) == [0, 20_000, 22_000]


def test_a_toledo_indicator_takes_a_jump_for_motion() -> None:
    physics = LanePhysics(BarrierSettings(), quiet_log)
    physics.arrive(0.0, TRUCK)
    scale = Weighbridge(physics, protocol="toledo_continuous")
    scale.set_fault(0.0, Fault(kind=FaultKind.JUMP, delay_s=2.0), True)
    moving = []
    for tenth in range(1, 301):
        physics.advance(tenth / 10)
        moving.append(bool(scale.advance(tenth / 10)[2] & 8))
    changes = [a for a, b in itertools.pairwise(moving) if a != b]
    assert changes == [False, True, False, True]


@pytest.mark.parametrize(("kg", "shown"), [(300.0, 300), (-300.0, -300), (None, 300)])
def test_a_plate_that_does_not_return_to_zero_shows_its_residue_when_empty_and_the_truth_when_not(
    kg: float | None, shown: int
) -> None:
    assert set(weights_of(None, FaultKind.NO_ZERO, 5.0, kg=kg)) == {shown}
    assert plateaus(weights_of(TRUCK, FaultKind.NO_ZERO, kg=kg)) == [shown, 20_000]


def test_a_residue_is_what_is_shown_and_not_added_to_what_is_there() -> None:
    scale = settled("yaohua_tf0", 100)
    scale.set_fault(20.0, Fault(kind=FaultKind.NO_ZERO, kg=300.0), True)
    assert scale.advance(20.5) == yaohua_tf0(300) * 5


def test_a_drift_goes_on_with_time_and_ends_with_the_fault() -> None:
    shown = weights_of(None, FaultKind.DRIFT, 120.0, kg=600.0)
    assert [shown[n] for n in (0, 599, 1199)] == [0, 600, 1200]
    scale = settled("yaohua_tf0")
    scale.set_fault(20.0, Fault(kind=FaultKind.DRIFT, kg=60_000.0), True)
    assert scale.advance(30.0)[-12:] == yaohua_tf0(10_000)
    scale.set_fault(30.0, Fault(kind=FaultKind.DRIFT), False)
    assert scale.advance(30.1) == yaohua_tf0(0)


# --- chosen by a scenario -----------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_protocol_is_chosen_by_its_name_and_written_back(protocol: Protocol) -> None:
    scenario = scenario_from({"lanes": {"in": {"weighbridge": protocol, "capacity_kg": 60_000}}})
    assert scenario.lanes == (LaneSettings(name="in", weighbridge=protocol, capacity_kg=60_000),)
    lane = SimulatedLane(scenario.lanes[0])
    ask = {"mt_sics": b"SI\r\n", "yaohua_command": yaohua_command(b"A", b"B")}.get(protocol, b"")
    lane.connect(0.0, "weighbridge")
    lane.receive(1.0, "weighbridge", ask)
    sent = b"".join(each.data for each in lane.advance(2.0) if each.device == "weighbridge")
    assert sent.startswith(
        {
            "yaohua_tf0": b"\x02+", "toledo_continuous": b"\x02*", "yaohua_command": b"\x02AB+",
            "yaohua_tf_eq": b"=0", "yaohua_tf_eq_2": b"=0", "yaohua_a12_ascii": b"ww",
            "yaohua_a12e": b"WG", "mt_sics": b"S S", "st_gs_ascii": b"ST,GS,",
        }[protocol]
    )  # fmt: skip


def test_a_cheat_is_written_in_a_scenario_with_its_kilograms() -> None:
    jump = {"lane": "in", "device": "weighbridge", "kind": "jump", "kg": -2500, "delay_s": 3, "at_s": 5}
    scenario = scenario_from({"lanes": {"in": {}}, "faults": [jump]})
    plan = FaultPlan(
        lane="in",
        device="weighbridge",
        fault=Fault(kind=FaultKind.JUMP, kg=-2500.0, delay_s=3.0),
        at_s=5.0,
    )
    assert scenario == Scenario(lanes=(LaneSettings(name="in"),), faults=(plan,))
    assert "kg = -2500.0" in scenario_to_toml(scenario)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"device": "led"}, "faults[0].kind: expected one of chatter, cut"),
        ({"kg": "much"}, "faults[0].kg: expected a number"),
    ],
)
def test_a_cheat_that_cannot_be_is_refused(changed: dict[str, object], says: str) -> None:
    jump = {"lane": "in", "device": "weighbridge", "kind": "jump", "at_s": 5, **changed}
    with pytest.raises(ScenarioRefused) as refused:
        scenario_from({"lanes": {"in": {}}, "faults": [jump]})
    assert says in str(refused.value)


def test_a_scale_of_no_capacity_is_refused() -> None:
    with pytest.raises(ScenarioRefused, match=r"capacity_kg: expected 1 or more, got 0"):
        scenario_from({"lanes": {"in": {"capacity_kg": 0}}})


REQUESTS: list[Callable[[int], bytes]] = [
    lambda n: b"\x02" * n,
    lambda n: b"SI" * n,
    lambda n: bytes(range(256)),
]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("make", REQUESTS)
def test_no_bytes_stop_an_indicator_for_good(protocol: Protocol, make: Callable[[int], bytes]) -> None:
    scale = settled(protocol)
    for n in range(50):
        asked(scale, make(n), 21.0 + n / 10)
    scale.receive(30.0, b"\r\n")
    scale.advance(31.0)
    ask = {"mt_sics": b"SI\r\n", "yaohua_command": yaohua_command(b"A", b"B")}.get(protocol, b"")
    assert asked(scale, ask, 31.5) or scale.advance(32.0)
