"""Readers of simulated lanes: tags heard from next door, cards at the window, the choice of makes."""

from __future__ import annotations

import itertools
import tomllib
from statistics import mean
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.devices.catalogue import decode_frames
from hardware_sims.devices.card_reader import transmission
from hardware_sims.faults import Fault, FaultKind
from hardware_sims.lanes import SERIAL_DEVICES, SimulatedSite
from hardware_sims.scenario import (
    FaultPlan,
    Happening,
    HappeningKind,
    LaneSettings,
    Scenario,
    ScenarioRefused,
    scenario_from,
    scenario_to_toml,
)
from hardware_sims.vehicles import Vehicle

NEAR, FAR = "E28011700000000A", "E28011700000000B"
CARD = "62E3086CED"
HERE = Vehicle(id="here", lane="in", arrives_s=0.0, plate=None, tag=NEAR)
NEXT_DOOR = Vehicle(id="next", lane="out", arrives_s=0.0, plate=None, tag=FAR)
ASK = {
    "r2000": bytes.fromhex("a004018901d1"),
    "uhfreader18": bytes.fromhex("04 00 01 DB 4B"),
    "uhfreader288": bytes.fromhex("0D 00 01 04 00 01 00 00 00 00 80 03 AE 27"),
}


def site(*vehicles: Vehicle, hears: str | None = "out", rfid: str = "r2000") -> SimulatedSite:
    lanes = (
        LaneSettings(name="in", hears_neighbour=hears, rfid=rfid),  # type: ignore[arg-type]
        LaneSettings(name="out", rfid=rfid),  # type: ignore[arg-type]
    )
    return SimulatedSite(Scenario(lanes=lanes, vehicles=vehicles))


def heard(
    world: SimulatedSite,
    lane: str,
    rfid: str = "r2000",
    *,
    between: tuple[float, ...] = (),
    until_s: float = 40.0,
) -> list[dict[str, Any]]:
    """Tags one lane's reader told when asked twice a second, `world` moved at other times too."""
    data = b""
    times = [(0.5 * n, True) for n in range(1, int(until_s * 2))] + [(at_s, False) for at_s in between]
    for at_s, asks in sorted(times):
        if asks:
            world.receive(at_s, lane, "rfid", ASK[rfid])
        data += b"".join(
            sent.data for name, sent in world.advance(at_s) if name == lane and sent.device == "rfid"
        )
    rows = decode_frames(f"rfid.{rfid}", data)
    return [m for row in rows if row["ok"] for m in row["messages"] if m["type"] == "tag"]


def strengths(tags: list[dict[str, Any]], epc: str) -> list[int]:
    return [tag["rssi"] for tag in tags if tag["epc"] == epc]


@pytest.mark.parametrize("rfid", ["r2000", "uhfreader288"])
def test_a_tag_in_the_lane_next_door_is_heard_now_and_then_and_weaker(rfid: str) -> None:
    tags = heard(site(HERE, NEXT_DOOR, rfid=rfid), "in", rfid)
    own, others = strengths(tags, NEAR), strengths(tags, FAR)
    assert 3 <= len(others) < len(own) / 2
    # a tag that passes below the neighbour's antenna can be as strong as one at the end of its own field
    assert mean(own) - mean(others) > 12
    assert max(others) < mean(own)


def test_the_18_hears_it_too_and_tells_no_strength() -> None:
    tags = heard(site(HERE, NEXT_DOOR, rfid="uhfreader18"), "in", "uhfreader18")
    assert strengths(tags, FAR) == [None] * len(strengths(tags, FAR)) != []


def test_the_lane_it_stands_in_hears_only_its_own_tag() -> None:
    tags = heard(site(HERE, NEXT_DOOR), "out")
    assert {tag["epc"] for tag in tags} == {FAR}


def test_without_the_option_nobody_hears_another_lane() -> None:
    tags = heard(site(HERE, NEXT_DOOR, hears=None), "in")
    assert {tag["epc"] for tag in tags} == {NEAR}


def test_an_empty_lane_beside_an_occupied_one_hears_a_tag_that_is_not_its_own() -> None:
    tags = heard(site(NEXT_DOOR), "in")
    assert {tag["epc"] for tag in tags} == {FAR}
    assert heard(site(), "in") == []


@settings(max_examples=15, deadline=None)
@given(between=st.lists(st.floats(0.0, 19.0), max_size=30))
def test_what_is_heard_does_not_depend_on_how_time_is_sliced(between: list[float]) -> None:
    plain = heard(site(HERE, NEXT_DOOR), "in", until_s=20.0)
    assert heard(site(HERE, NEXT_DOOR), "in", between=tuple(between), until_s=20.0) == plain


def test_one_long_step_hears_what_many_short_ones_do() -> None:
    lanes = (
        LaneSettings(name="in", hears_neighbour="out", rfid="uhfreader288", rfid_active=True),
        LaneSettings(name="out"),
    )
    told = []
    for steps in (1, 400):
        world = SimulatedSite(Scenario(lanes=lanes, vehicles=(NEXT_DOOR,)))
        sent = [each for step in range(steps) for each in world.advance((step + 1) * 20.0 / steps)]
        told.append([(lane, each) for lane, each in sent if each.device == "rfid"])
    assert told[0] == told[1] != []


# --- cards --------------------------------------------------------------------------------------------------


def with_card_reader(**changes: Any) -> Scenario:
    lanes = (LaneSettings(name="in", card_reader="wiegand26"), LaneSettings(name="out"))
    return Scenario(lanes=lanes, **changes)


def sent_by(world: SimulatedSite, until_s: float) -> list[tuple[str, float, bytes]]:
    return [
        (lane, round(sent.at_s, 2), sent.data)
        for lane, sent in world.advance(until_s)
        if sent.device == "card_reader"
    ]


def test_a_driver_at_the_stop_line_holds_the_card_to_the_reader_until_the_board_says_something() -> None:
    vehicle = Vehicle(id="v1", lane="in", arrives_s=0.0, plate=None, card=CARD)
    world = SimulatedSite(with_card_reader(vehicles=(vehicle,)))
    sent = sent_by(world, 60.0)
    assert [data for _, _, data in sent] == [transmission(CARD, "wiegand26")] * 3
    gaps = [later[1] - at_s for (_, at_s, _), later in itertools.pairwise(sent)]
    assert gaps == pytest.approx([10.0, 10.0], abs=0.1)
    world = SimulatedSite(with_card_reader(vehicles=(vehicle,)))
    stood = sent_by(world, 15.0)
    world.lanes["in"].physics.show_board(15.0, ("请等待",), "red")
    assert len(stood) == 1
    assert sent_by(world, 60.0) == []


def test_somebody_may_hold_a_card_to_the_reader() -> None:
    shown = Happening(lane="in", kind=HappeningKind.SHOW_CARD, at_s=3.0, text=CARD)
    world = SimulatedSite(with_card_reader(happenings=(shown,)))
    ((lane, at_s, data),) = sent_by(world, 5.0)
    assert (lane, data) == ("in", transmission(CARD, "wiegand26"))
    assert at_s == pytest.approx(3.12, abs=0.06)


def test_only_a_lane_that_has_one_has_a_line_for_the_card_reader() -> None:
    world = SimulatedSite(with_card_reader())
    assert world.lanes["in"].serial_devices == (*SERIAL_DEVICES, "card_reader")
    assert world.lanes["out"].serial_devices == SERIAL_DEVICES
    assert "card_reader" not in world.lanes["out"].devices


def test_a_card_reader_has_the_faults_of_a_line() -> None:
    shows = tuple(
        Happening(lane="in", kind=HappeningKind.SHOW_CARD, at_s=at_s, text=CARD) for at_s in (1.0, 5.0, 9.0)
    )
    silent = FaultPlan(
        lane="in", device="card_reader", fault=Fault(kind=FaultKind.SILENCE), at_s=4.0, for_s=3.0
    )
    scenario = with_card_reader(happenings=shows, faults=(silent,))
    assert scenario.problems() == []
    assert [at_s for _, at_s, _ in sent_by(SimulatedSite(scenario), 12.0)] == pytest.approx(
        [1.12, 9.12], abs=0.06
    )


# --- in a file ----------------------------------------------------------------------------------------------

WRITTEN = Scenario(
    lanes=(
        LaneSettings(name="in", rfid="uhfreader288", rfid_active=True, hears_neighbour="out"),
        LaneSettings(name="out", rfid="uhfreader18", rfid_address=3, card_reader="em125_binary"),
    ),
    vehicles=(Vehicle(id="v", lane="out", arrives_s=1.0, plate=None, card=CARD),),
    happenings=(Happening(lane="out", kind=HappeningKind.SHOW_CARD, at_s=2.0, text=CARD),),
    faults=(FaultPlan(lane="out", device="card_reader", fault=Fault(kind=FaultKind.STUCK), at_s=3.0),),
)


def test_a_file_says_all_of_it_and_reads_back_the_same() -> None:
    assert scenario_from(tomllib.loads(scenario_to_toml(WRITTEN))) == WRITTEN


HERE_IS = {"lane": "in", "at_s": 1}


@pytest.mark.parametrize(
    ("lane", "more", "says"),
    [
        ({"rfid": "uhf"}, {}, "lanes.in.rfid: expected one of r2000, uhfreader18, uhfreader288"),
        ({"card_reader": "em"}, {}, "lanes.in.card_reader: expected one of em125, em125_crlf"),
        ({"hears_neighbour": "in"}, {}, "lanes.in.hears_neighbour: expected another lane"),
        ({"hears_neighbour": "x"}, {}, "lanes.in.hears_neighbour: expected another lane"),
        (
            {},
            {"faults": [{**HERE_IS, "device": "card_reader", "kind": "cut"}]},
            "faults[0].device: expected lanes.in.card_reader to be set",
        ),
        (
            {},
            {"vehicles": [{"id": "v", "lane": "in", "arrives_s": 1, "card": "62e3"}]},
            "vehicles[0].card: expected 10 upper-case hex digits, got '62e3'",
        ),
        (
            {},
            {"happenings": [{**HERE_IS, "kind": "show_card", "text": "1"}]},
            "happenings[0].text: expected 10 upper-case hex digits, got '1'",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_words(lane: dict[str, Any], more: dict[str, Any], says: str) -> None:
    with pytest.raises(ScenarioRefused) as caught:
        scenario_from({"lanes": {"in": lane}, **more})
    assert any(says in line for line in str(caught.value).splitlines())
