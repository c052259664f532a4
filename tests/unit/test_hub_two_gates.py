"""A zone with two gates (一卡, 二卡): one use at each; the second takes what has passed the first (S4)."""

from __future__ import annotations

import json

import msgspec
import pytest

from sync.hub.archive import RecordChange
from sync.link.messages import ClaimVerdict
from sync.vocabulary.codec import to_json
from sync.vocabulary.records import Direction, GateStage, Site, SiteLane, SlipState
from tests.postgres import Place
from tests.unit.test_hub_claims import slip
from tests.unit.test_hub_device import AT, SLIP, Bench, Device

FIRST, SECOND, THIRD = "lane-in", "lane-out", "lane-first-2"


def two_gates() -> Site:
    def lane(name: str, gate: GateStage) -> SiteLane:
        return SiteLane(lane=name, direction=Direction.IN, gate=gate)

    lanes = (lane(FIRST, GateStage.FIRST), lane(SECOND, GateStage.SECOND), lane(THIRD, GateStage.FIRST))
    return Site(site="demo", name_zh="仿真", name_en="Demo", lanes=lanes)


@pytest.fixture
def first() -> Device:
    return Device(FIRST)


@pytest.fixture
def second() -> Device:
    return Device(SECOND)


@pytest.fixture
def third() -> Device:
    return Device(THIRD)


@pytest.fixture
def bench(place: Place, first: Device, second: Device, third: Device) -> Bench:
    bench = Bench(place, first, second, third)
    put(bench, "site", "demo", to_json(two_gates()).decode())
    put(bench, "release_slips", SLIP, with_a_field_of_later(to_json(slip()).decode()))
    return bench


def with_a_field_of_later(body: str) -> str:
    return json.dumps({**json.loads(body), "later": {"kept": True}})


def put(bench: Bench, collection: str, key: str, body: str) -> None:
    with bench.archive.transaction():
        bench.archive.apply_changes("site", [RecordChange(collection, key, body)], AT)


def crosses(bench: Bench, device: Device, claim_id: str, passage: int) -> None:
    assert bench.ask(device, claim_id, passage).verdict is ClaimVerdict.GRANTED
    use_ids = [f"{claim_id}-u"]
    for fact in (
        device.ruling(passage, [SLIP], use_ids, claim_id),
        device.crossing(passage, use_ids, claim_id),
    ):
        assert bench.facts(device, device.batch([fact]))


def state(bench: Bench) -> SlipState:
    body = bench.archive.record("release_slips", SLIP)
    assert body is not None
    return SlipState(json.loads(body)["state"])


def test_the_second_gate_does_not_take_what_has_not_passed_the_first(bench: Bench, second: Device) -> None:
    answer = bench.ask(second, "c1", 1)
    assert (answer.verdict, answer.why) == (ClaimVerdict.REFUSED, f"first_gate_missing {SLIP}")


def test_one_slip_goes_through_both_gates_once_each(bench: Bench, first: Device, second: Device) -> None:
    crosses(bench, first, "c1", 1)
    assert state(bench) is SlipState.PASSED_FIRST
    crosses(bench, second, "c2", 1)
    assert state(bench) is SlipState.PASSED_SECOND
    assert bench.alarms() == []


def test_a_second_time_at_either_gate_is_refused(
    bench: Bench, first: Device, second: Device, third: Device
) -> None:
    assert bench.ask(first, "c1", 1).verdict is ClaimVerdict.GRANTED
    assert bench.ask(third, "c2", 1).why == f"slip_used {SLIP}"
    for fact in (first.ruling(1, [SLIP], ["u"], "c1"), first.crossing(1, ["u"], "c1")):
        bench.facts(first, first.batch([fact]))
    assert bench.ask(third, "c3", 2).verdict is ClaimVerdict.REFUSED
    assert bench.ask(second, "c4", 1).verdict is ClaimVerdict.GRANTED
    assert bench.ask(second, "c5", 2).why == f"slip_used {SLIP}"


def test_two_crossings_at_one_gate_are_an_alarm_and_one_at_each_is_none(
    bench: Bench, first: Device, third: Device
) -> None:
    """The offline policy let it through twice."""
    for device in (first, third):
        for fact in (device.ruling(1, [SLIP], ["u"]), device.crossing(1, ["u"])):
            bench.facts(device, device.batch([fact]))
    assert bench.alarms() == ["double_use"]


def test_what_a_later_version_wrote_into_the_record_stays_in_it(bench: Bench, first: Device) -> None:
    crosses(bench, first, "c1", 1)
    body = bench.archive.record("release_slips", SLIP)
    assert body is not None
    assert json.loads(body)["later"] == {"kept": True}


def test_the_change_goes_down_the_feed(bench: Bench, first: Device) -> None:
    before = bench.archive.scope("site")
    crosses(bench, first, "c1", 1)
    after = bench.archive.scope("site")
    assert before is not None
    assert after is not None
    assert after.number == before.number + 1


def test_of_several_vehicles_as_many_pass_the_second_gate_as_have_passed_the_first(
    bench: Bench, first: Device, second: Device
) -> None:
    twice = msgspec.structs.replace(slip(), uses_allowed=2)
    put(bench, "release_slips", SLIP, to_json(twice).decode())
    assert bench.ask(second, "c0", 1).why == f"first_gate_missing {SLIP}"
    crosses(bench, first, "c1", 1)
    crosses(bench, second, "c2", 2)
    assert bench.ask(second, "c3", 3).why == f"slip_used {SLIP}"
    crosses(bench, first, "c4", 2)
    crosses(bench, second, "c5", 4)
    assert state(bench) is SlipState.PASSED_SECOND


def test_a_slip_for_several_vehicles_is_good_for_the_second_gate_when_all_have_passed_the_first(
    bench: Bench, first: Device
) -> None:
    twice = msgspec.structs.replace(slip(), uses_allowed=2)
    put(bench, "release_slips", SLIP, to_json(twice).decode())
    crosses(bench, first, "c1", 1)
    assert state(bench) is SlipState.APPROVED
    crosses(bench, first, "c2", 2)
    assert state(bench) is SlipState.PASSED_FIRST
