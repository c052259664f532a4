"""The demo's parcels: papers that are records, a file that reads back, cases that are what they say."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from hardware_sims.scenario import ScenarioRefused
from hardware_sims.xray_cast import CASES, NEVER_PASSED, WEDGE_CODE, XrayCast, make_xray_cast
from hardware_sims.xray_goods import draw
from hardware_sims.xray_scenario import XrayScenario, xray_scenario_from, xray_scenario_to_toml
from sync.vocabulary.codec import from_json, to_json
from sync.vocabulary.records import COLLECTIONS, key_of

TODAY = datetime(2026, 3, 2, 8, tzinfo=UTC)
FIRMS = ("4101960001", "4101960002")


def cast(seed: int = 3, parcels: int = 40) -> XrayCast:
    return make_xray_cast(seed, parcels, today=TODAY, firms=FIRMS)


def test_every_row_is_a_record_and_every_known_waybill_has_a_judgement() -> None:
    made = cast()
    for collection, rows in made.records.items():
        records = [from_json(to_json(row), COLLECTIONS[collection]) for row in rows]
        assert len({key_of(record) for record in records}) == len(rows) > 0
    assert {row["waybill_no"] for row in made.records["waybills"]} <= set(made.judgements)


def test_the_wedge_goes_first_and_every_case_is_there_once_there_is_room() -> None:
    made = cast()
    parcels = made.scenario.parcels
    assert len(parcels) == 41
    assert parcels[0].labels[0].text == WEDGE_CODE
    assert {each.case for each in parcels} == {case for case, _, _ in CASES} | {"wedge"}
    assert {case for case, _, _ in CASES} | {"wedge"} > NEVER_PASSED
    unknown = next(each for each in parcels if each.case == "unknown")
    assert unknown.waybill_no not in {row["waybill_no"] for row in made.records["waybills"]}


def test_the_same_seed_gives_the_same_parcels_and_the_file_reads_back() -> None:
    first, same, other = cast(), cast(), cast(seed=4)
    assert msgspec.json.encode(first.records) == msgspec.json.encode(same.records)
    assert first.scenario == same.scenario != other.scenario
    told = tomllib.loads(xray_scenario_to_toml(first.scenario))
    assert xray_scenario_from(told) == first.scenario
    folder = replace(first.scenario, pictures="folder", belt=replace(first.scenario.belt, speed_mm_s=200.0))
    assert xray_scenario_from(tomllib.loads(xray_scenario_to_toml(folder))) == folder


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"xray": {"pictures": "film"}}, "xray.pictures: expected one of stream, folder, got 'film'"),
        ({"xray": {"speed": 3}}, "xray.speed: unknown key"),
        ({"xray": {"belt": {"gate_mm": -1.0}}}, "belt.expected 0 < gate_mm < chute_mm"),
        ({"xray": {"belt": {"has_flag_chute": 1}}}, "has_flag_chute: expected true or false, got 1"),
        ({"xray": {}, "parcels": [{"id": "a", "sku": "STONES"}]}, "parcels[0].sku: expected wedge or one of"),
        (
            {"xray": {}, "parcels": [{"id": "a", "sku": "wedge"}, {"id": "a", "sku": "wedge"}]},
            "expected each id once",
        ),
    ],
)
def test_a_file_that_cannot_be_played_says_what_was_expected(document: dict[str, Any], expected: str) -> None:
    with pytest.raises(ScenarioRefused) as refused:
        xray_scenario_from(document)
    assert expected in str(refused.value)


def test_a_waybill_declares_what_its_goods_weigh() -> None:
    made = cast()
    declared = {row["waybill_no"]: float(row["gross_kg"]) for row in made.records["waybills"]}
    off = []
    for parcel in made.scenario.parcels:
        if parcel.case == "ordinary":
            packed = parcel.packed()
            plan = draw(packed.things, packed.length_mm, packed.width_mm, line_mm=4.0, pixel_mm=4.0, seed=1)
            off.append(abs(declared[parcel.waybill_no] / plan.mass_kg - 1))
    assert len(off) >= 10
    assert max(off) < 0.15


def test_nothing_of_a_buyer_is_in_the_papers() -> None:
    told = msgspec.json.encode(cast().records).decode().lower()
    assert [word for word in ("buyer", "consignee", "telephone", "address", "id_card") if word in told] == []
    assert XrayScenario().problems() == []
