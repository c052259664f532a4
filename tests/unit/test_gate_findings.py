"""What a look-up finds in records and journal, over real files: the values the rules stand on."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from edge.gate.config import RelaysPart
from edge.gate.effects import LookUp
from edge.gate.events import Event, Findings, RecordsFound, SpotCheck
from edge.gate.performer import LanePerformer, Things
from edge.runtime.clock import SystemClock
from sync.link.messages import Change, ChangeOp, FeedBatch
from sync.policy.draws import spot_check_due
from sync.store.journal import Journal, SpotCheckPending
from sync.store.records import Records, new_generation
from sync.vocabulary.codec import to_json
from sync.vocabulary.numbers import EnterpriseCode, Epc, Plate, SlipNo, UtcText
from sync.vocabulary.records import (
    COLLECTIONS,
    Binding,
    CreditTier,
    Direction,
    Enterprise,
    Record,
    ReleaseSlip,
    Site,
    SlipKind,
    SlipState,
    Vehicle,
    key_of,
)
from sync.vocabulary.uses import SlipUse, UseState

KEY = bytes(range(32))
PLATE, OTHER = Plate("豫A12345"), Plate("豫A54321")
TAG = Epc("E2001111")
OFTEN = Enterprise(
    code=EnterpriseCode("4101960001"), name="甲", tier=CreditTier.LOW, spot_check_per_mille=1000
)
NEVER = Enterprise(code=EnterpriseCode("4101960002"), name="乙", tier=CreditTier.HIGH, spot_check_per_mille=0)
SITE = Site(site="site-a", name_zh="卡口", name_en="Checkpoint", zone="Asia/Shanghai")
LATE = UtcText("2099-01-01T00:00:00Z")


class ClockAt:
    """Shortly before midnight in London, next morning in Zhengzhou."""

    def monotonic_s(self) -> float:
        return 0.0

    def utc_text(self) -> str:
        return "2026-01-31T23:30:00.000000Z"

    def boot_id(self) -> str:
        return "boot"

    def uncertainty_ms(self) -> int:
        return 5


class NoLink:
    def claim(
        self, claim_id: str, passage: int, plate: Plate | None, slip_nos: tuple[SlipNo, ...]
    ) -> None: ...
    def withdraw(self, claim_id: str) -> None: ...
    def facts_waiting(self) -> None: ...


def vehicle(plate: Plate, *tags: Epc) -> Vehicle:
    return Vehicle(plate=plate, tag_epcs=tags, tare_kg=Decimal(8000), valid_until=LATE)


def slip(number: int, firm: Enterprise, plate: Plate | None = PLATE) -> ReleaseSlip:
    return ReleaseSlip(
        slip_no=SlipNo(f"Z3111I240728{number:012d}"),
        direction=Direction.IN,
        kind=SlipKind.SECOND_LINE,
        binding=Binding.MANY_SLIPS,
        plate=plate,
        vehicle_kg=Decimal(8000),
        cargo_gross_kg=Decimal(1000),
        total_kg=Decimal(9000),
        enterprise=firm.code,
        state=SlipState.APPROVED,
        valid_from=UtcText("2024-01-01T00:00:00Z"),
        valid_until=LATE,
    )


SLIPS = [slip(1, OFTEN), slip(2, OFTEN), slip(3, NEVER), slip(4, OFTEN, None), slip(5, OFTEN, OTHER)]


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    path = new_generation(tmp_path, 1, "site-a", "e" * 32)
    held: list[Record] = [SITE, OFTEN, NEVER, vehicle(PLATE, TAG), vehicle(OTHER), *SLIPS]
    names = {kind: name for name, kind in COLLECTIONS.items()}
    changes = tuple(
        Change(number, names[type(record)], key_of(record), ChangeOp.PUT, to_json(record).decode())
        for number, record in enumerate(held, start=1)
    )
    with Records.open(path, writable=True) as writer:
        writer.apply(FeedBatch("site-a", "e" * 32, 1, len(changes), changes))
        writer.note_verified("2026-01-31T23:29:00.000000Z")
        yield writer


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "journal.sqlite", device="lane-in-1", reserve_bytes=0) as journal:
        yield journal


def find(records: Records, journal: Journal, look: LookUp, *, key: bytes | None = KEY) -> Findings:
    answers: list[Event] = []
    LanePerformer(
        Things(
            lane_id="lane-in-1",
            journal=journal,
            records=lambda: records,
            link=NoLink(),
            order=lambda device, order_id, order: None,
            put=answers.append,
            wake_after=lambda timer, seconds: None,
            clock=ClockAt(),
            relays=RelaysPart(open=0),
            draw_key=key,
            clock_must_be_known=True,
            has_board=False,
        )
    ).perform(look)
    (found,) = answers
    assert isinstance(found, RecordsFound)
    assert (found.passage, found.request) == (look.passage, look.request)
    return found.findings


def by(
    *, plates: tuple[Plate, ...] = (), tags: tuple[Epc, ...] = (), slips: tuple[SlipNo, ...] = ()
) -> LookUp:
    return LookUp(7, 2, plates, tags, slips)


def test_a_tag_leads_to_the_vehicle_and_its_slips_and_all_they_stand_on(
    records: Records, journal: Journal
) -> None:
    use = SlipUse("u1", SLIPS[1].slip_no, 3, "c", UseState.CROSSED)
    journal.commit([], uses=[use, SlipUse("u2", SLIPS[4].slip_no, 4, "c", UseState.CROSSED)])
    found = find(records, journal, by(tags=(TAG, Epc("E2009999"))))
    assert found.by_tag == {TAG: vehicle(PLATE, TAG), "E2009999": None}
    assert found.slips == tuple(SLIPS[:3])
    assert found.enterprises == {OFTEN.code: OFTEN, NEVER.code: NEVER}
    assert found.uses == (use,)
    assert (found.site, found.number, found.scope, found.age_s) == (SITE, 10, "site-a", 60.0)


def test_a_scanned_slip_is_found_by_its_number_or_named_as_unknown(
    records: Records, journal: Journal
) -> None:
    unknown = SlipNo("Z3111I240728000000000099")
    found = find(records, journal, by(plates=(OTHER,), slips=(SLIPS[3].slip_no, SLIPS[4].slip_no, unknown)))
    assert set(found.slips) == {SLIPS[3], SLIPS[4]}
    assert found.unknown_slip_nos == (unknown,)


def test_a_vehicle_is_drawn_for_each_enterprise_on_the_sites_own_day(
    records: Records, journal: Journal
) -> None:
    found = find(records, journal, by(plates=(PLATE,)))
    assert found.day == "2026-02-01"
    assert spot_check_due(KEY, OFTEN, PLATE, found.day)
    drawn = SpotCheck(True, OFTEN.code, "2026-02-01")
    assert found.spot_checks == {
        SLIPS[0].slip_no: drawn,
        SLIPS[1].slip_no: drawn,
        SLIPS[2].slip_no: SpotCheck(False, NEVER.code, "2026-02-01"),
    }


def test_a_check_that_is_pending_binds_every_slip_of_its_vehicle_and_no_other(
    records: Records, journal: Journal
) -> None:
    journal.commit([], spot_checks=[SpotCheckPending(PLATE, "4101960009", "2026-01-20")])
    pending = SpotCheck(True, "4101960009", "2026-01-20", pending=True)
    found = find(records, journal, by(plates=(PLATE, OTHER)))
    assert {number: found.spot_checks[number] for number in (s.slip_no for s in SLIPS[:3])} == dict.fromkeys(
        (s.slip_no for s in SLIPS[:3]), pending
    )
    assert found.spot_checks[SLIPS[4].slip_no] == SpotCheck(True, OFTEN.code, "2026-02-01")


def test_a_slip_that_names_no_vehicle_is_not_drawn_and_without_a_key_none_is(
    records: Records, journal: Journal
) -> None:
    look = by(plates=(PLATE,), slips=(SLIPS[3].slip_no,))
    assert SLIPS[3].slip_no not in find(records, journal, look).spot_checks
    assert find(records, journal, look, key=None).spot_checks == {}


def test_what_another_look_up_has_read_is_read_anew(records: Records, journal: Journal) -> None:
    before = find(records, journal, by(plates=(PLATE,)))
    longer = Vehicle(plate=PLATE, tag_epcs=(TAG,), tare_kg=Decimal(9000), valid_until=LATE)
    change = Change(11, "vehicles", str(PLATE), ChangeOp.PUT, to_json(longer).decode())
    records.apply(FeedBatch("site-a", "e" * 32, 11, 11, (change,)))
    after = find(records, journal, by(plates=(PLATE,), tags=(TAG,)))
    assert before.by_plate == {PLATE: vehicle(PLATE, TAG)}
    assert after.by_plate == {PLATE: longer}
    assert after.by_tag == {TAG: longer}


def test_the_clock_of_the_program_writes_what_the_rules_compare() -> None:
    assert UtcText.parse(SystemClock().utc_text()) is not None
