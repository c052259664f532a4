"""Records on a temporary disk: batches applied in order and whole, found again, proved equal, refused."""

from __future__ import annotations

import random
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync.link.messages import Change, ChangeOp, FeedBatch
from sync.policy.digests import BUCKETS, add_moves, bucket_of, move_of, row_digest, to_hex
from sync.store.journal import Journal
from sync.store.records import (
    ApplyOutcome,
    ApplyResult,
    Records,
    StoreRefused,
    drop_other_generations,
    generation_path,
    new_generation,
    next_generation,
)
from sync.vocabulary.codec import Malformed, to_json
from sync.vocabulary.numbers import EnterpriseCode, Epc, Plate, SlipNo, UtcText, WaybillNo
from sync.vocabulary.records import (
    COLLECTIONS,
    KEY_FIELDS,
    Binding,
    Condition,
    Control,
    ControlAction,
    CreditTier,
    Direction,
    Enterprise,
    Mode,
    Record,
    ReleaseSlip,
    Site,
    SlipKind,
    SlipState,
    Vehicle,
    Waybill,
    key_of,
)

SCOPE, EPOCH = "site-a", "epoch-1"
EARLY, LATE = UtcText("2026-01-01T00:00:00Z"), UtcText("2030-01-01T00:00:00Z")
COLLECTION = {
    Vehicle: "vehicles",
    ReleaseSlip: "release_slips",
    Waybill: "waybills",
    Enterprise: "enterprises",
    Control: "controls",
    Site: "site",
}


def vehicle(plate: str = "豫A12345", *tags: str) -> Vehicle:
    return Vehicle(
        plate=Plate(plate), tag_epcs=tuple(Epc(tag) for tag in tags), tare_kg=Decimal(8000), valid_until=LATE
    )


def slip(number: int, plate: str | None = "豫A12345") -> ReleaseSlip:
    return ReleaseSlip(
        slip_no=SlipNo(f"Z3111I240728{number:012d}"),
        direction=Direction.IN,
        kind=SlipKind.SECOND_LINE,
        binding=Binding.ONE_SLIP,
        plate=None if plate is None else Plate(plate),
        vehicle_kg=Decimal(8000),
        cargo_gross_kg=Decimal("1234.5"),
        total_kg=Decimal("9234.5"),
        enterprise=EnterpriseCode("4101234567"),
        state=SlipState.APPROVED,
        valid_from=EARLY,
        valid_until=LATE,
    )


def waybill(number: int, pieces: int = 1) -> Waybill:
    return Waybill(waybill_no=WaybillNo(f"SF{number:010d}"), pieces=pieces, gross_kg=Decimal("1.250"))


def control(control_id: str, version: int = 1) -> Control:
    return Control(
        control_id=control_id,
        version=version,
        mode=Mode.LIVE,
        condition=Condition(plates=(Plate("豫A12345"),)),
        action=ControlAction.HOLD,
        valid_from=EARLY,
        valid_until=LATE,
        reason_zh="布控",
        reason_en="control",
    )


SITE = Site(site="site-a", name_zh="卡口", name_en="Checkpoint")
ENTERPRISE = Enterprise(
    code=EnterpriseCode("4101234567"), name="某公司", tier=CreditTier.HIGH, spot_check_per_mille=10
)


def put(number: int, record: Record) -> Change:
    return Change(number, COLLECTION[type(record)], key_of(record), ChangeOp.PUT, to_json(record).decode())


def delete(number: int, record: Record) -> Change:
    return Change(number, COLLECTION[type(record)], key_of(record), ChangeOp.DELETE)


def batch(*changes: Change, scope: str = SCOPE, epoch: str = EPOCH) -> FeedBatch:
    return FeedBatch(scope, epoch, changes[0].number, changes[-1].number, changes)


def numbered(first: int, *records: Record) -> FeedBatch:
    return batch(*(put(first + n, record) for n, record in enumerate(records)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return new_generation(tmp_path, 1, SCOPE, EPOCH)


@pytest.fixture
def writer(path: Path) -> Iterator[Records]:
    with Records.open(path, writable=True) as records:
        yield records


@pytest.fixture
def reader(path: Path) -> Iterator[Records]:
    with Records.open(path) as records:
        yield records


# --- what goes in is found again --------------------------------------------------------------------------


def test_every_collection_is_found_by_its_key(writer: Records, reader: Records) -> None:
    records = (vehicle(), slip(1), waybill(1), ENTERPRISE, control("c1"), SITE)
    assert writer.apply(numbered(1, *records)) == ApplyOutcome(ApplyResult.APPLIED, 7)
    found = [reader.get(COLLECTION[type(record)], key_of(record)) for record in records]
    assert found == list(records)
    assert reader.get("vehicles", "豫A99999") is None


def test_a_vehicle_is_found_by_its_tag_until_the_tag_is_taken_off(writer: Records, reader: Records) -> None:
    writer.apply(numbered(1, vehicle("豫A12345", "E2001111", "E2002222")))
    assert reader.vehicle_by_tag("E2002222") == vehicle("豫A12345", "E2001111", "E2002222")
    writer.apply(numbered(2, vehicle("豫A12345", "E2001111")))
    assert reader.vehicle_by_tag("E2002222") is None
    assert reader.vehicle_by_tag("E2001111") == vehicle("豫A12345", "E2001111")
    writer.apply(batch(delete(3, vehicle())))
    assert reader.vehicle_by_tag("E2001111") is None


def test_a_tag_that_two_vehicles_claim_names_neither(writer: Records, reader: Records) -> None:
    writer.apply(numbered(1, vehicle("豫A12345", "E2001111"), vehicle("豫B12345", "E2001111")))
    assert reader.vehicle_by_tag("E2001111") is None
    writer.apply(batch(delete(3, vehicle("豫A12345"))))
    assert reader.vehicle_by_tag("E2001111") == vehicle("豫B12345", "E2001111")


def test_a_tag_that_moves_within_one_batch_stays_found(writer: Records, reader: Records) -> None:
    writer.apply(numbered(1, vehicle("豫A12345", "E2001111")))
    writer.apply(batch(put(2, vehicle("豫B12345", "E2001111")), put(3, vehicle("豫A12345"))))
    assert reader.vehicle_by_tag("E2001111") == vehicle("豫B12345", "E2001111")


def test_slips_are_found_by_plate_and_follow_it(writer: Records, reader: Records) -> None:
    writer.apply(numbered(1, slip(2), slip(1), slip(3, "豫B12345"), slip(4, None)))
    assert reader.slips_for_plate("豫A12345") == (slip(1), slip(2))
    writer.apply(batch(put(5, slip(2, "豫B12345")), delete(6, slip(1))))
    assert reader.slips_for_plate("豫A12345") == ()
    assert reader.slips_for_plate("豫B12345") == (slip(2, "豫B12345"), slip(3, "豫B12345"))
    assert reader.get("release_slips", slip(4).slip_no) == slip(4, None)


def test_controls_and_site_follow_every_change(writer: Records, reader: Records) -> None:
    assert (reader.controls(), reader.site(), writer.site()) == ((), None, None)
    writer.apply(numbered(1, control("b"), control("a"), SITE))
    for records in (reader, writer):
        assert records.controls() == (control("a"), control("b"))
        assert records.controls() is records.controls()
        assert records.site() == SITE
    writer.apply(batch(put(4, control("b", 2)), delete(5, control("a")), delete(6, SITE)))
    for records in (reader, writer):
        assert records.controls() == (control("b", 2),)
        assert records.site() is None


def test_controls_and_site_follow_every_change_inside_snapshots_too(writer: Records, reader: Records) -> None:
    writer.apply(numbered(1, control("a"), SITE))
    with reader.snapshot():
        assert (reader.controls(), reader.site()) == ((control("a"),), SITE)
        writer.apply(batch(put(3, control("a", 2)), delete(4, SITE)))
        assert (reader.controls(), reader.site()) == ((control("a"),), SITE)
    with reader.snapshot():
        assert (reader.controls(), reader.site()) == ((control("a", 2),), None)
    assert (reader.controls(), reader.site()) == ((control("a", 2),), None)


def test_collections_of_a_later_version_are_kept_and_counted(writer: Records, reader: Records) -> None:
    later = Change(1, "weather", "r1", ChangeOp.PUT, '{"anything":[1,2]}')
    writer.apply(batch(later, put(2, SITE)))
    assert list(reader.all_rows())[-1] == ("weather", "r1", '{"anything":[1,2]}')
    assert reader.feed_state().rows == 2
    writer.apply(batch(Change(3, "weather", "r1", ChangeOp.PUT, "[]")))
    assert list(reader.all_rows())[-1] == ("weather", "r1", "[]")
    assert reader.verify() == []
    writer.apply(batch(Change(4, "weather", "r1", ChangeOp.DELETE)))
    assert reader.feed_state().digest == to_hex(row_digest("site", "site-a", to_json(SITE).decode()))


def test_readings_inside_a_snapshot_are_of_one_number(writer: Records, reader: Records) -> None:
    writer.apply(numbered(1, vehicle()))
    with reader.snapshot() as state:
        writer.apply(batch(delete(2, vehicle()), put(3, control("a"))))
        assert (state.number, reader.get("vehicles", "豫A12345")) == (1, vehicle())
        assert reader.controls() == ()
    assert reader.get("vehicles", "豫A12345") is None
    assert reader.controls() == (control("a"),)


# --- order and numbers ------------------------------------------------------------------------------------


def test_a_batch_is_applied_once(writer: Records) -> None:
    first = numbered(1, vehicle(), slip(1))
    assert writer.apply(first).result is ApplyResult.APPLIED
    state = writer.feed_state()
    assert writer.apply(first) == ApplyOutcome(ApplyResult.ALREADY, 3)
    assert writer.feed_state() == state


def test_a_gap_is_seen_and_what_is_wanted_is_named(writer: Records) -> None:
    writer.apply(numbered(1, vehicle()))
    assert writer.apply(numbered(3, slip(1))) == ApplyOutcome(ApplyResult.GAP, 2)
    assert writer.feed_state().number == 1


def test_of_an_overlapping_batch_only_the_new_part_counts(writer: Records, reader: Records) -> None:
    writer.apply(numbered(1, control("a", 1), control("a", 2)))
    assert writer.apply(batch(put(2, control("a", 9)), put(3, control("b")))) == ApplyOutcome(
        ApplyResult.APPLIED, 4
    )
    assert reader.controls() == (control("a", 2), control("b"))
    assert reader.verify() == []


def test_another_epoch_is_told_apart(writer: Records) -> None:
    outcome = writer.apply(batch(put(1, SITE), epoch="epoch-2"))
    assert outcome == ApplyOutcome(ApplyResult.OTHER_EPOCH, 1)
    assert writer.feed_state().rows == 0


def test_the_last_change_of_a_key_in_a_batch_stands(writer: Records, reader: Records) -> None:
    writer.apply(
        batch(
            put(1, waybill(1, 1)),
            delete(2, waybill(1)),
            put(3, waybill(1, 2)),
            put(4, waybill(2)),
            delete(5, waybill(2)),
        )
    )
    assert reader.get("waybills", waybill(1).waybill_no) == waybill(1, 2)
    assert reader.get("waybills", waybill(2).waybill_no) is None
    assert reader.feed_state().rows == 1


def test_deleting_what_is_not_there_only_counts_the_number(writer: Records) -> None:
    assert writer.apply(batch(delete(1, waybill(1)))) == ApplyOutcome(ApplyResult.APPLIED, 2)
    state = writer.feed_state()
    assert (state.number, state.rows, state.digest) == (1, 0, "0" * 32)


# --- malformed --------------------------------------------------------------------------------------------

GOOD = put(1, vehicle())
MALFORMED = {
    "a body that is no JSON": (
        batch(GOOD, Change(2, "waybills", "SF0000000001", ChangeOp.PUT, "{")),
        "truncated",
    ),
    "a body of another collection": (
        batch(GOOD, Change(2, "waybills", "豫A12345", ChangeOp.PUT, to_json(vehicle()).decode())),
        "missing required field `waybill_no`",
    ),
    "a key that is not the body's": (
        batch(GOOD, Change(2, "waybills", "SF0000000009", ChangeOp.PUT, to_json(waybill(1)).decode())),
        "expected the key inside the record, 'SF0000000001'",
    ),
    "a number out of range": (
        batch(
            GOOD,
            Change(
                2, "vehicles", "豫A1", ChangeOp.PUT, to_json(vehicle()).decode().replace("豫A12345", "豫A1")
            ),
        ),
        "expected a vehicle plate",
    ),
    "no key": (batch(GOOD, Change(2, "later", "", ChangeOp.PUT, "{}")), "expected a collection and a key"),
    "no collection": (batch(GOOD, Change(2, "", "k", ChangeOp.PUT, "{}")), "expected a collection and a key"),
    "NUL in a key": (batch(GOOD, Change(2, "later", "a\0b", ChangeOp.PUT, "{}")), "without NUL"),
    "half a character": (batch(GOOD, Change(2, "later", "k", ChangeOp.PUT, "\ud800")), "surrogates"),
    "half a character in a deleted key": (
        batch(GOOD, Change(2, "vehicles", "\ud800", ChangeOp.DELETE)),
        "surrogates",
    ),
    "a jump inside": (
        FeedBatch(SCOPE, EPOCH, 1, 3, (GOOD, put(3, SITE))),
        "expected changes of these numbers",
    ),
    "numbers that are not the batch's": (
        FeedBatch(SCOPE, EPOCH, 1, 5, (GOOD, put(2, SITE))),
        "expected changes of these numbers",
    ),
    "no changes": (FeedBatch(SCOPE, EPOCH, 1, 0, ()), "expected changes of these numbers"),
    "number nought": (FeedBatch(SCOPE, EPOCH, 0, 0, (put(0, SITE),)), "expected changes of these numbers"),
    "another scope": (batch(GOOD, scope="site-b"), "expected 'site-a'"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_batch_is_refused_whole(writer: Records, name: str) -> None:
    before = writer.feed_state()
    malformed, says = MALFORMED[name]
    with pytest.raises(Malformed, match=says):
        writer.apply(malformed)
    assert writer.feed_state() == before
    assert writer.get("vehicles", "豫A12345") is None
    assert writer.apply(batch(GOOD)).result is ApplyResult.APPLIED
    assert writer.verify() == []


def test_a_malformed_record_is_named_by_number_collection_and_key(writer: Records) -> None:
    with pytest.raises(Malformed, match="change 2, 'waybills' 'SF0000000001': Waybill"):
        writer.apply(MALFORMED["a body that is no JSON"][0])


# --- failing disk and other writers -----------------------------------------------------------------------


def test_a_full_disk_leaves_the_file_at_its_number(writer: Records) -> None:
    writer.apply(numbered(1, *(waybill(n) for n in range(50))))
    before = (writer.feed_state(), writer.digest_parts())
    pages = writer._connection.execute("PRAGMA page_count").fetchone()[0]
    writer._connection.execute(f"PRAGMA max_page_count={pages + 1}")
    more = numbered(51, *(waybill(n) for n in range(50, 1_000)))
    with pytest.raises(StoreRefused, match="disk is full"):
        writer.apply(more)
    assert (writer.feed_state(), writer.digest_parts()) == before
    writer._connection.execute("PRAGMA max_page_count=1000000")
    assert writer.apply(more).result is ApplyResult.APPLIED
    assert writer.verify() == []


def test_an_interruption_in_mid_batch_leaves_nothing_of_it(
    writer: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.apply(numbered(1, waybill(1)))

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Records, "_write_collection", interrupted)
        with pytest.raises(KeyboardInterrupt):
            writer.apply(numbered(2, waybill(1, 5), waybill(2)))
    assert writer.feed_state().number == 1
    writer.apply(numbered(2, waybill(1, 6)))
    assert writer.verify() == []


def test_a_second_writer_does_not_confuse_the_digest(path: Path, writer: Records) -> None:
    writer.apply(numbered(1, waybill(1)))
    with Records.open(path, writable=True) as other:
        other.apply(numbered(2, waybill(2), waybill(1, 3)))
    assert writer.apply(numbered(2, waybill(9), waybill(9))).result is ApplyResult.ALREADY
    writer.apply(numbered(4, waybill(3)))
    assert writer.verify() == []


def test_a_reader_beside_the_writer_sees_whole_batches(path: Path, writer: Records) -> None:
    """Each batch moves both waybills to the same count of pieces."""
    troubles: list[str] = []
    done = threading.Event()

    def read() -> None:
        with Records.open(path) as reader:
            while not done.is_set():
                with reader.snapshot() as state:
                    pair = [reader.get("waybills", waybill(n).waybill_no) for n in (1, 2)]
                pieces = {found.pieces for found in pair if isinstance(found, Waybill)}
                if pieces - {state.number // 2}:
                    troubles.append(f"{pieces} at {state.number}")

    thread = threading.Thread(target=read)
    thread.start()
    for n in range(1, 120):
        writer.apply(numbered(2 * n - 1, waybill(1, n), waybill(2, n)))
    done.set()
    thread.join(timeout=60)
    assert troubles == []


# --- equality ---------------------------------------------------------------------------------------------


def test_the_digest_is_the_sum_of_the_rows(writer: Records, reader: Records) -> None:
    records: list[Record] = [vehicle(), slip(1), *(waybill(n) for n in range(100))]
    writer.apply(numbered(1, *records))
    rows = [(COLLECTION[type(record)], key_of(record), to_json(record).decode()) for record in records]
    sums = [0] * BUCKETS
    for collection, key, body in rows:
        sums[bucket_of(collection, key)] += row_digest(collection, key, body)
    assert reader.digest_parts() == tuple(value % 2**128 for value in sums)
    assert reader.feed_state().digest == to_hex(sum(sums))
    assert sorted(reader.all_rows()) == sorted(rows)


KEYS = st.sampled_from(
    [("waybills", n) for n in range(4)]
    + [("vehicles", n) for n in range(3)]
    + [("later", n) for n in range(3)]
)
STEP = st.tuples(KEYS, st.integers(0, 3))


def made(number: int, collection: str, n: int, value: int) -> Change:
    """`value` 0 deletes."""
    if collection == "later":
        op = ChangeOp.PUT if value else ChangeOp.DELETE
        return Change(number, collection, f"k{n}", op, f"[{value}]" if value else "")
    record: Record = (
        waybill(n, value)
        if collection == "waybills"
        else vehicle(f"豫A1234{n}", *(f"E20{v}1111" for v in range(value)))
    )
    return put(number, record) if value else delete(number, record)


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    batches=st.lists(st.lists(STEP, min_size=1, max_size=8), min_size=1, max_size=8),
    reopen=st.sets(st.integers(0, 7)),
)
def test_any_log_in_any_batches_gives_the_rows_and_digest_of_its_end(
    tmp_path_factory: pytest.TempPathFactory,
    batches: list[list[tuple[tuple[str, int], int]]],
    reopen: set[int],
) -> None:
    path = new_generation(tmp_path_factory.mktemp("records"), 1, SCOPE, EPOCH)
    rows: dict[tuple[str, str], str] = {}
    number = 0
    records = Records.open(path, writable=True)
    for at, steps in enumerate(batches):
        changes = []
        for (collection, n), value in steps:
            number += 1
            change = made(number, collection, n, value)
            changes.append(change)
            rows.pop((change.collection, change.key), None)
            if value:
                rows[change.collection, change.key] = change.body
        assert records.apply(batch(*changes)).result is ApplyResult.APPLIED
        if at in reopen:
            records.close()
            records = Records.open(path, writable=True)
    with records:
        assert {(collection, key): body for collection, key, body in records.all_rows()} == rows
        state = records.feed_state()
        assert (state.number, state.rows) == (number, len(rows))
        assert state.digest == to_hex(sum(row_digest(*row, body) for row, body in rows.items()))
        assert records.verify() == []
        tags = {
            epc
            for n in range(3)
            for epc in ("E2001111", "E2011111", "E2021111")
            if epc in rows.get(("vehicles", f"豫A1234{n}"), "")
        }
        stored = {row[0] for row in records._rows("SELECT epc FROM vehicle_tags", ())}
        assert stored == tags


def test_rows_changed_behind_the_digest_are_found(path: Path, writer: Records) -> None:
    writer.apply(numbered(1, *(waybill(n) for n in range(20))))
    assert writer.verify() == []
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "UPDATE waybills SET body = replace(body, '1.250', '9.250') WHERE key = 'SF0000000003'"
        )
        connection.commit()
    bucket = bucket_of("waybills", "SF0000000003")
    assert f"1 of 4096 digest buckets differ from their rows: {bucket}" in writer.verify()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM waybills WHERE key = 'SF0000000004'")
        connection.commit()
    assert writer.verify()[0] == "19 rows are here, the file says 20"


def test_a_verified_head_is_remembered_with_its_time(path: Path, writer: Records, reader: Records) -> None:
    assert reader.feed_state().verified_utc is None
    writer.note_verified("2026-01-31T08:00:00Z")
    assert reader.feed_state().verified_utc == "2026-01-31T08:00:00Z"
    writer.apply(numbered(1, SITE))
    with Records.open(path) as again:
        assert again.feed_state().verified_utc == "2026-01-31T08:00:00Z"


# --- generations and refusals -----------------------------------------------------------------------------


def test_a_new_generation_is_one_whole_file_at_number_nought(tmp_path: Path) -> None:
    path = new_generation(tmp_path, 4, SCOPE, EPOCH)
    assert path == generation_path(tmp_path, 4)
    assert [entry.name for entry in tmp_path.iterdir()] == ["records-4.sqlite"]
    with Records.open(path) as records:
        state = records.feed_state()
    assert (state.scope, state.epoch, state.number, state.rows) == (SCOPE, EPOCH, 0, 0)
    assert next_generation(tmp_path) == 5


def test_a_generation_left_unnamed_is_taken_up_again_but_never_for_another_epoch(tmp_path: Path) -> None:
    path = new_generation(tmp_path, 1, SCOPE, EPOCH)
    with Records.open(path, writable=True) as records:
        records.apply(numbered(1, SITE))
    assert new_generation(tmp_path, 1, SCOPE, EPOCH) == path
    with Records.open(path) as records:
        assert records.feed_state().number == 1
    with pytest.raises(StoreRefused, match="another epoch: make generation 2 instead"):
        new_generation(tmp_path, 1, SCOPE, "epoch-2")


def test_a_half_made_generation_is_swept_away(tmp_path: Path) -> None:
    (tmp_path / "records-1.sqlite.new").write_bytes(b"half a file")
    (tmp_path / "records-1.sqlite.new-wal").write_bytes(b"half a log")
    path = new_generation(tmp_path, 1, SCOPE, EPOCH)
    assert list(tmp_path.iterdir()) == [path]


def test_generations_nobody_names_are_deleted(tmp_path: Path) -> None:
    for n in (1, 2, 3):
        new_generation(tmp_path, n, SCOPE, EPOCH)
    assert drop_other_generations(tmp_path, {2}) == 2
    assert [entry.name for entry in tmp_path.iterdir()] == ["records-2.sqlite"]


def test_a_reader_keeps_its_generation_while_the_next_one_is_built(tmp_path: Path) -> None:
    old = new_generation(tmp_path, 1, SCOPE, EPOCH)
    with Records.open(old, writable=True) as writer, Records.open(old) as reader:
        writer.apply(numbered(1, vehicle()))
        new_generation(tmp_path, 2, SCOPE, "epoch-2")
        assert reader.get("vehicles", "豫A12345") == vehicle()


def _missing(path: Path) -> None:
    path.unlink()


def _text(path: Path) -> None:
    path.write_text("no database\n" * 1000, encoding="utf-8")


def _foreign(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE shop (id INTEGER)")


def _journal(path: Path) -> None:
    path.unlink()
    Journal.open(path, device="lane-1").close()


def _too_new(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version=99")


def _cut_off(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 4096)


def _no_feed_row(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM feed")
        connection.commit()


@pytest.mark.parametrize("writable", [False, True])
@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_missing, "cannot be opened.*check that the file"),
        (_text, "not a records file of kakou.*correct the path"),
        (_foreign, "not a records file of kakou.*correct the path"),
        (_journal, "not a records file of kakou"),
        (_too_new, "newer kakou .schema 99.*install that version"),
        (_cut_off, "damaged.*delete it"),
        (_no_feed_row, "damaged .no feed row.*delete it"),
    ],
)
def test_a_file_that_cannot_be_trusted_is_refused_with_what_to_do(
    path: Path, spoil: Callable[[Path], None], says: str, writable: bool
) -> None:
    spoil(path)
    with pytest.raises(StoreRefused, match=says):
        Records.open(path, writable=writable)


def test_a_row_that_cannot_be_read_is_a_refusal_and_no_crash(
    path: Path, writer: Records, reader: Records
) -> None:
    writer.apply(numbered(1, vehicle("豫A12345", "E2001111"), control("a")))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE vehicles SET body = '{'")
        connection.execute("UPDATE controls SET body = '{}'")
        connection.commit()
    for call in (
        lambda: reader.get("vehicles", "豫A12345"),
        lambda: reader.vehicle_by_tag("E2001111"),
        reader.controls,
    ):
        with pytest.raises(StoreRefused, match=r"this version cannot read.*delete the file"):
            call()


def test_a_reader_cannot_write_and_a_closed_file_cannot_be_read(reader: Records) -> None:
    with pytest.raises(StoreRefused, match="opened for reading"):
        reader.apply(numbered(1, SITE))
    with pytest.raises(StoreRefused, match="opened for reading"):
        reader.note_verified("2026-01-31T08:00:00Z")
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader._connection.execute("DELETE FROM feed")
    reader.close()
    reader.close()
    with pytest.raises(StoreRefused, match="is closed"):
        reader.get("vehicles", "豫A12345")


def test_a_large_random_log_stays_equal_to_its_rows(writer: Records) -> None:
    drawn = random.Random(7)
    number = 0
    for _ in range(6):
        changes = []
        for _ in range(400):
            number += 1
            record = waybill(drawn.randrange(600), drawn.randrange(1, 4))
            changes.append(delete(number, record) if drawn.random() < 0.2 else put(number, record))
        writer.apply(batch(*changes))
    assert writer.verify() == []
    assert writer.feed_state().rows == len(list(writer.all_rows()))


def test_the_fields_that_are_keys_are_those_that_key_of_answers(writer: Records) -> None:
    assert KEY_FIELDS.keys() == COLLECTIONS.keys()
    for name, field in KEY_FIELDS.items():
        assert field in COLLECTIONS[name].__struct_fields__
    for record in (vehicle(), slip(1), waybill(1), control("c1")):
        (name,) = (name for name, kind in COLLECTIONS.items() if isinstance(record, kind))
        assert str(getattr(record, KEY_FIELDS[name])) == key_of(record)


def test_many_moves_at_once_are_the_sum_of_each() -> None:
    rows = [("a", None, b"1"), ("b", b"2", None), ("c", b"3", b"4"), ("a", b"1", b"5")]
    moves: dict[int, int] = {}
    add_moves(moves, "waybills", rows)
    expected: dict[int, int] = {}
    for key, before, after in rows:
        bucket, moved = move_of("waybills", key, before, after)
        expected[bucket] = expected.get(bucket, 0) + moved
    assert moves == expected
