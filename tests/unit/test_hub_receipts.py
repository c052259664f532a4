"""Passage receipts from facts: one for each slip that crossed, given out once whatever stops the hub."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from sync.hub.archive import Archive, RecordChange
from sync.hub.config import ConfigRefused, read_hub_config
from sync.hub.engine import schema_steps, statements
from sync.hub.receipts import NOT_MADE, READY, ReceiptSettings, Round, give_out
from sync.vocabulary.codec import to_json
from sync.vocabulary.facts import Fact, RulingMade
from sync.vocabulary.numbers import EnterpriseCode, Plate
from sync.vocabulary.records import (
    Binding,
    CreditTier,
    Direction,
    Enterprise,
    GateStage,
    Record,
    ReleaseSlip,
    Site,
    SiteLane,
    key_of,
)
from sync.vocabulary.rulings import Because, Reason, Ruling, Verdict
from sync.vocabulary.sas import read_receipt
from tests.postgres import ON_SQLITE, Place
from tests.unit.test_hub_claims import slip
from tests.unit.test_hub_config import WHOLE, folder, write  # noqa: F401  `folder` is a fixture
from tests.unit.test_hub_device import AT, OTHER_SLIP, SLIP, Bench, Device

FIRST_AT, SECOND_AT = "lane-in", "lane-out"


class Hub:
    """A bench that gives out receipts; `collect` is customs' bridge, which takes files away."""

    def __init__(self, bench: Bench, out: Path) -> None:
        self.bench = bench
        self.out = out
        self.settings = ReceiptSettings(
            folder=out, sender_id="CUS0000", receiver_id="E010000", gate_nos={FIRST_AT: "G-IN"}
        )
        self.collected: list[tuple[str, str]] = []

    def put(self, collection: str, *records: Record) -> None:
        changes = [RecordChange(collection, key_of(one), to_json(one).decode()) for one in records]
        with self.bench.archive.transaction():
            self.bench.archive.apply_changes("site", changes, AT)

    def rule(self, lane: Device, passage: int, slips: tuple[str, ...], gross_kg: str | None = "15.5") -> Fact:
        return lane.say(
            RulingMade(
                passage=passage,
                ruling=Ruling(Verdict.RELEASE, (Because(Reason.RELEASED),)),
                direction="I",
                plate="豫A12345",
                slips=slips,
                use_ids=tuple(f"u{passage}-{number}" for number in range(len(slips))),
                gross_kg=gross_kg,
                expected_kg="30",
            )
        )

    def cross(self, lane: Device, passage: int, *slips: str, gross_kg: str | None = "15.5") -> None:
        uses = [f"u{passage}-{number}" for number in range(len(slips))]
        for fact in (self.rule(lane, passage, slips, gross_kg), lane.crossing(passage, uses)):
            self.bench.facts(lane, lane.batch([fact]))

    def round(self) -> Round:
        return give_out(self.bench.archive, self.settings, AT)

    def collect(self) -> None:
        for path in sorted(self.out.glob("*.SAS")):
            self.collected.append((path.name, path.read_text(encoding="utf-8")))
            path.unlink()

    def receipts(self) -> list[dict[str, str]]:
        """What was collected, leaf by leaf."""
        return [
            {each.tag: each.text or "" for each in ET.fromstring(text).iter() if len(each) == 0}  # noqa: S314
            for _, text in self.collected
        ]


@pytest.fixture
def lane() -> Device:
    return Device(FIRST_AT)


@pytest.fixture
def other() -> Device:
    return Device(SECOND_AT)


@pytest.fixture
def hub(tmp_path: Path, place: Place, lane: Device, other: Device) -> Hub:
    out = tmp_path / "out"
    out.mkdir()
    hub = Hub(Bench(place, lane, other), out)
    hub.put("release_slips", slip(), slip(OTHER_SLIP))
    return hub


# --- what is made -----------------------------------------------------------------------------------------


def test_a_crossing_with_a_slip_is_one_receipt_of_that_slip(hub: Hub, lane: Device) -> None:
    code = EnterpriseCode("330260A000")
    firm = Enterprise(code=code, name="某物流有限公司", tier=CreditTier.HIGH, spot_check_per_mille=0)
    hub.put("enterprises", firm)
    hub.cross(lane, 1, SLIP)
    assert hub.round().made == 1
    hub.collect()
    (found,) = hub.receipts()
    expected = {
        "message_type": "SAS223", "passportNo": SLIP, "businessId": SLIP, "stucd": "2",
        "vehicleNo": "豫A12345", "passTime": "2026-01-31 16:00:00", "passID": "G-IN", "totalWt": "15",
        "passCollectWt": "15.5",
        "wtError": "-0.5", "areainEtpsno": "330260A000", "areainEtpsNm": "某物流有限公司",
        "sender_id": "CUS0000", "receiver_id": "E010000", "manageDate": "2026-01-31 16:00:00",
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected


def test_every_slip_of_a_vehicle_has_its_own_receipt_with_what_all_should_have_weighed(
    hub: Hub, lane: Device
) -> None:
    hub.cross(lane, 1, SLIP, OTHER_SLIP, gross_kg="31")
    hub.round()
    hub.collect()
    found = [(each["passportNo"], each["passCollectWt"], each["wtError"]) for each in hub.receipts()]
    assert found == [(SLIP, "31", "-1"), (OTHER_SLIP, "31", "-1")]


def test_without_a_weight_the_receipt_says_nought_and_the_total(hub: Hub, lane: Device) -> None:
    hub.cross(lane, 1, SLIP, gross_kg=None)
    hub.round()
    hub.collect()
    assert [(each["passCollectWt"], each["wtError"]) for each in hub.receipts()] == [("0", "15")]


def test_a_slip_for_several_vehicles_has_a_receipt_for_each(hub: Hub, lane: Device) -> None:
    fields = {name: getattr(slip(), name) for name in ReleaseSlip.__struct_fields__}
    shared = ReleaseSlip(**fields | {"binding": Binding.MANY_VEHICLES, "uses_allowed": 3, "plate": None})
    hub.put("release_slips", shared)
    for passage in (1, 2):
        hub.cross(lane, passage, SLIP)
    hub.round()
    hub.collect()
    assert [(each["passportNo"], each["vehicleNo"]) for each in hub.receipts()] == [(SLIP, "豫A12345")] * 2
    assert len({name for name, _ in hub.collected}) == 2


def test_what_did_not_cross_has_no_receipt(hub: Hub, lane: Device) -> None:
    hub.bench.facts(lane, lane.batch([hub.rule(lane, 1, (SLIP,))]))
    hub.cross(lane, 2)
    assert hub.round() == Round(0, (), 0)


def test_a_crossing_whose_ruling_comes_later_waits_for_it(hub: Hub, lane: Device) -> None:
    ruling = hub.rule(lane, 1, (SLIP,))
    crossing = lane.crossing(1, ["u1-0"])
    hub.bench.facts(lane, lane.batch([crossing]))
    assert hub.round().made == 0
    hub.bench.facts(lane, lane.batch([ruling]))
    assert hub.round().made == 1


def test_two_gates_have_a_receipt_each_and_the_second_names_the_first(
    hub: Hub, lane: Device, other: Device
) -> None:
    stages = {FIRST_AT: GateStage.FIRST, SECOND_AT: GateStage.SECOND}
    lanes = tuple(SiteLane(lane=name, direction=Direction.IN, gate=gate) for name, gate in stages.items())
    hub.put("site", Site(site="demo", name_zh="仿真", name_en="Demo", lanes=lanes))
    hub.cross(lane, 1, SLIP)
    hub.cross(other, 1, SLIP)
    hub.round()
    hub.collect()
    found = [(e["stucd"], e["passTime"], e["secdPassTime"], e["passID"]) for e in hub.receipts()]
    time = "2026-01-31 16:00:00"
    assert found == [("3", time, "", "G-IN"), ("4", time, time, "G-IN")]


def test_a_slip_that_was_deleted_meanwhile_still_gets_its_receipt(hub: Hub, lane: Device) -> None:
    hub.cross(lane, 1, SLIP)
    with hub.bench.archive.transaction():
        hub.bench.archive.apply_changes("site", [RecordChange("release_slips", SLIP, None)], AT)
    assert hub.round().made == 1


def test_a_crossing_no_receipt_can_be_made_of_is_one_alarm_and_stops_no_other(hub: Hub, lane: Device) -> None:
    hub.cross(lane, 1, "Z3111I240728000000000009")
    hub.cross(lane, 2, SLIP)
    done = hub.round()
    assert (done.made, done.not_made, len(done.out)) == (1, 1, 1)
    assert hub.round() == Round(0, (), 0)
    assert hub.bench.alarms().count(NOT_MADE) == 1


def test_what_is_written_is_read_as_a_receipt_of_that_slip(hub: Hub, lane: Device) -> None:
    hub.cross(lane, 1, SLIP)
    hub.round()
    hub.collect()
    receipt = read_receipt(hub.collected[0][1].encode())
    assert (receipt.slip_no, receipt.plate) == (SLIP, Plate("豫A12345"))
    assert receipt.collected_kg == Decimal("15.5")


# --- once -------------------------------------------------------------------------------------------------


def test_a_receipt_is_given_out_once_though_the_facts_come_again_and_the_hub_restarts(
    hub: Hub, lane: Device
) -> None:
    hub.cross(lane, 1, SLIP)
    for _ in range(3):
        hub.round()
        hub.collect()
        for payload in lane.batches():
            hub.bench.facts(lane, payload)
        hub.bench.restart()
    lane.begin("f" * 32)
    hub.cross(lane, 1, SLIP)
    hub.round()
    hub.collect()
    assert len(hub.collected) == 1
    assert list((hub.out / READY).iterdir()) == []


class Killed(BaseException):
    pass


STEPS = 40


@pytest.mark.parametrize("at_step", range(STEPS))
def test_killed_at_any_step_each_receipt_is_given_out_once_and_whole(
    hub: Hub, lane: Device, monkeypatch: pytest.MonkeyPatch, at_step: int
) -> None:
    """Every flush and rename is a step; what stands on the disk then is all the next hub finds."""
    hub.cross(lane, 1, SLIP, OTHER_SLIP)
    left = at_step
    flush, replace = os.fsync, Path.replace

    def step() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed

    def flushed(handle: int) -> None:
        step()
        flush(handle)

    def replaced(self: Path, target: Path) -> Path:
        step()
        moved = replace(self, target)
        step()
        return moved

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(Path, "replace", replaced)
    try:
        hub.round()
    except Killed:
        hub.collect()
    monkeypatch.undo()
    hub.bench.restart()
    hub.round()
    hub.collect()
    assert hub.round() == Round(0, (), 0)
    assert [text.count("</Package>") for _, text in hub.collected] == [1, 1]
    assert sorted(each["passportNo"] for each in hub.receipts()) == [SLIP, OTHER_SLIP]
    assert (at_step < STEPS - 1) or left >= 0, "more steps than are tried"


def test_two_that_give_out_at_once_give_out_each_receipt_once(hub: Hub, lane: Device) -> None:
    """The command beside the running hub: both have seen the same receipt waiting."""
    hub.cross(lane, 1, SLIP)
    beside = Archive.open(hub.bench.place)
    first = give_out(beside, hub.settings, AT)
    hub.collect()
    second = hub.round()
    hub.collect()
    beside.close()
    assert (len(first.out), len(second.out), len(hub.collected)) == (1, 0, 1)


def test_a_folder_that_is_gone_is_an_error_and_nothing_is_lost(hub: Hub, lane: Device) -> None:
    hub.cross(lane, 1, SLIP)
    hub.out.rename(hub.out.with_name("away"))
    with pytest.raises(OSError, match=r"\.ready"):
        hub.round()
    hub.out.with_name("away").rename(hub.out)
    assert len(hub.round().out) == 1


def test_a_crossing_at_a_time_no_receipt_can_show_is_an_alarm_and_holds_up_no_other(
    hub: Hub, lane: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as late:
        late.setattr("tests.unit.test_hub_device.AT", "9999-12-31T23:59:59Z")
        hub.cross(lane, 1, SLIP)
    hub.cross(lane, 2, OTHER_SLIP)
    done = hub.round()
    assert (len(done.out), done.not_made, hub.bench.alarms()) == (1, 1, ["receipt_not_made"])
    assert not hub.round().full


def test_a_backlog_is_taken_in_bounded_rounds(
    hub: Hub, lane: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sync.hub.receipts.AT_ONCE", 3)
    for passage in range(1, 8):
        hub.cross(lane, passage, SLIP)
    sizes = [len(hub.round().out) for _ in range(4)]
    assert sizes == [3, 3, 1, 0]


@ON_SQLITE
def test_an_archive_of_the_first_schema_gets_receipts_for_what_had_crossed(hub: Hub, lane: Device) -> None:
    hub.cross(lane, 1, SLIP)
    db = hub.bench.archive._db
    second = schema_steps()[1][1]
    for statement in (
        "DROP TABLE receipts",
        "DROP INDEX uses_without_receipt",
        "DROP INDEX facts_of_passages",
        "ALTER TABLE uses DROP COLUMN receipt",
        *statements(second),
    ):
        db.execute(statement)
    hub.bench.restart()
    assert hub.round().made == 1


# --- config -----------------------------------------------------------------------------------------------


def test_the_config_names_folder_parties_and_gates(folder: Path) -> None:  # noqa: F811
    (folder / "out").mkdir()
    part = '\n[receipts]\nfolder = "out"\nsender_id = "CUS0000"\nreceiver_id = "E010000"\nevery_s = 2\n'
    gates = '[receipts.gate_nos]\nlane-in = "NB"\n'
    config = read_hub_config(write(folder, WHOLE + part + gates))
    assert config.receipts == ReceiptSettings(
        folder=folder / "out", sender_id="CUS0000", receiver_id="E010000", gate_nos={"lane-in": "NB"}
    )
    assert config.receipts_every_s == 2.0
    assert read_hub_config(write(folder, WHOLE)).receipts is None


def test_every_error_of_the_receipts_table_is_listed(folder: Path) -> None:  # noqa: F811
    part = '\n[receipts]\nfolder = "nowhere"\nsender_id = "cus"\nevery_s = 0\ngate_nos = 1\nextra = 1\n'
    with pytest.raises(ConfigRefused) as refused:
        read_hub_config(write(folder, WHOLE + part))
    keys = [error.key for error in refused.value.errors]
    assert keys == [
        "receipts.folder", "receipts.sender_id", "receipts.receiver_id", "receipts.every_s",
        "receipts.gate_nos", "receipts.extra",
    ]  # fmt: skip


def test_the_archives_row_keeps_the_exact_text_that_went_out(hub: Hub, lane: Device) -> None:
    hub.cross(lane, 1, SLIP)
    hub.round()
    hub.collect()
    ((body, state),) = hub.bench.rows("SELECT body, state FROM receipts")
    assert (body, state) == (hub.collected[0][1], "out")
    assert msgspec.json.encode(hub.bench.archive.receipt_counts()) == b'{"out":1}'
