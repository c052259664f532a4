"""The archive's file: ours, whole, of an age we know; a restored backup is noticed; every version is kept."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from sync.hub.archive import Archive, ArchiveRefused, RecordChange
from sync.vocabulary.facts import GENESIS, Stream
from tests.unit.test_hub_device import AT, Bench, Device, acks, at

CONTRACT = {
    "meta": "key value",
    "devices": "device public_pem revoked",
    "facts": "device epoch stream seq position event_id kind passage time hash body stored_utc",
    "streams": "device epoch stream contiguous head_hash counter",
    "branches": "device epoch stream seq hash event_id body stored_utc",
    "parked": "id topic payload why stored_utc",
    "hub_alarms": "id at_utc device code detail",
    "claims": "claim_id device passage plate verdict why asked_utc",
    "claim_slips": "claim_id slip_no state",
    "log": "scope epoch number collection key op body at_utc",
    "records": "scope collection key body number",
    "checkpoints": "device epoch position body kid sig stored_utc",
    "statuses": "device body received_utc",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "archive.sqlite"


@pytest.mark.parametrize("table", sorted(CONTRACT))
def test_an_independent_checker_finds_the_columns_it_was_promised(path: Path, table: str) -> None:
    Archive.open(path).close()
    db = sqlite3.connect(path)
    columns = " ".join(row[1] for row in db.execute(f"PRAGMA table_info({table})"))
    db.close()
    assert columns == CONTRACT[table]


def test_the_scopes_table_has_what_a_head_says(path: Path) -> None:
    Archive.open(path).close()
    db = sqlite3.connect(path)
    columns = [row[1] for row in db.execute("PRAGMA table_info(scopes)")]
    db.close()
    assert columns[:5] == ["scope", "epoch", "number", "rows", "digest"]


def test_a_commit_is_on_the_disk_when_it_returns(path: Path) -> None:
    archive = Archive.open(path)
    settings = [
        archive._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
    ]
    archive.close()
    assert settings == ["wal", 2]


# --- files that are not ours ------------------------------------------------------------------------------


def test_a_file_that_is_no_database_is_refused_with_what_to_do(path: Path) -> None:
    path.write_bytes(b"hello " * 1000)
    with pytest.raises(ArchiveRefused, match=r"not a database.*last backup"):
        Archive.open(path)
    assert path.read_bytes() == b"hello " * 1000


def test_a_database_of_something_else_is_refused_and_left_alone(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE guests (name TEXT)")
    db.commit()
    db.close()
    with pytest.raises(ArchiveRefused, match="a database of something else"):
        Archive.open(path)
    db = sqlite3.connect(path)
    tables = db.execute("SELECT name FROM sqlite_master").fetchall()
    db.close()
    assert tables == [("guests",)]


def test_an_archive_of_a_newer_kakou_is_refused(path: Path) -> None:
    Archive.open(path).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(ArchiveRefused, match=r"newer kakou \(schema 99"):
        Archive.open(path)


def test_a_damaged_archive_is_refused(path: Path) -> None:
    Archive.open(path).close()
    data = bytearray(path.read_bytes())
    data[100:4096] = bytes(3996)
    path.write_bytes(bytes(data))
    with pytest.raises(ArchiveRefused):
        Archive.open(path)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArchiveRefused, match="its folder does not exist"):
        Archive.open(tmp_path / "nowhere" / "archive.sqlite")


def test_an_archive_another_program_holds_is_refused_with_its_reason(path: Path) -> None:
    Archive.open(path).close()
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(ArchiveRefused, match="locked by another program"):
        Archive.open(path, own=True, busy_timeout_s=0.05)
    holder.execute("ROLLBACK")
    holder.close()


def test_a_second_hub_on_the_same_archive_is_refused_and_the_first_goes_on(path: Path) -> None:
    first = Archive.open(path, own=True)
    with pytest.raises(ArchiveRefused, match="a hub runs on this archive already"):
        Archive.open(path, own=True)
    with first.transaction():
        first.add_alarm(AT, "a", "one", "")
    first.close()
    Archive.open(path, own=True).close()


# --- backups (G4) -----------------------------------------------------------------------------------------


def test_opened_again_it_is_the_same_archive(path: Path) -> None:
    ids = []
    for _ in range(3):
        archive = Archive.open(path, own=True)
        ids.append(archive.archive_id)
        archive.close()
    assert len(set(ids)) == 1


def test_an_importer_between_two_openings_does_not_look_like_a_restored_backup(path: Path) -> None:
    first = Archive.open(path, own=True)
    first.close()
    Archive.open(path).close()
    second = Archive.open(path, own=True)
    second.close()
    assert second.archive_id == first.archive_id


def test_two_archives_have_different_ids(tmp_path: Path) -> None:
    archives = [Archive.open(tmp_path / name, own=True) for name in ("a", "b")]
    for archive in archives:
        archive.close()
    assert archives[0].archive_id != archives[1].archive_id


def _backup(path: Path, to: Path) -> None:
    source, target = sqlite3.connect(path), sqlite3.connect(to)
    source.backup(target)
    source.close()
    target.close()


def test_a_restored_backup_gets_a_new_id_and_new_scope_epochs_and_is_refilled(tmp_path: Path) -> None:
    device = Device()
    bench = Bench(tmp_path, device)
    changes = [RecordChange("enterprises", key, f'{{"code":"{key}"}}') for key in ("b", "a", "c")]
    with bench.archive.transaction():
        bench.archive.apply_changes("site", changes, AT)
        bench.archive.apply_changes("site", [RecordChange("enterprises", "c", None)], AT)
    said = device.chatter(6)
    bench.facts(device, device.batch(said[:3]))
    bench.restart()
    _backup(bench.path, tmp_path / "backup.sqlite")
    bench.receiver.tick(at(10))
    before = bench.archive.scope("site")
    old_id = bench.archive.archive_id
    counter = acks(bench.facts(device, device.batch(said[3:])))[("e" * 32, "routine")].counter
    bench.archive.close()
    for suffix in ("-wal", "-shm"):
        path = bench.path.with_name(bench.path.name + suffix)
        path.unlink(missing_ok=True)
    shutil.copy(tmp_path / "backup.sqlite", bench.path)
    bench.restart()
    after = bench.archive.scope("site")
    assert before is not None
    assert after is not None
    ack = acks(bench.facts(device, device.batch(said)))[("e" * 32, "routine")]
    assert bench.archive.archive_id == ack.archive_id
    assert (ack.contiguous, ack.hash) == (6, said[5].hash)
    assert counter >= 1
    assert (bench.archive.archive_id != old_id, after.epoch != before.epoch) == (True, True)


def test_a_token_written_beside_the_archive_but_not_into_it_is_no_restored_backup(path: Path) -> None:
    archive = Archive.open(path, own=True)
    archive.close()
    companion = path.with_name("archive.sqlite.opened")
    token = companion.read_text().split()[-1]
    companion.write_text(f"{token}\n{'9' * 32}\n")
    again = Archive.open(path, own=True)
    again.close()
    assert again.archive_id == archive.archive_id


def test_cut_off_between_companion_and_archive_an_opening_is_no_restored_backup(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Archive.open(path, own=True)
    first.close()

    def cut(_folder: Path) -> None:
        raise OSError("cut off")

    monkeypatch.setattr("sync.hub.engine.sync_folder", cut)
    with pytest.raises(ArchiveRefused, match="cut off"):
        Archive.open(path, own=True)
    monkeypatch.undo()
    again = Archive.open(path, own=True)
    with again.transaction():
        again.add_alarm(AT, "a", "one", "")
    monkeypatch.setattr("sync.hub.engine.sync_folder", cut)
    with pytest.raises(OSError, match="cut off"):
        again.renew_token()
    monkeypatch.undo()
    again.close()
    last = Archive.open(path, own=True)
    last.close()
    assert {first.archive_id, again.archive_id, last.archive_id} == {first.archive_id}


def test_the_token_is_renewed_only_when_something_was_written_here_or_by_an_importer(path: Path) -> None:
    archive = Archive.open(path, own=True)
    importer = Archive.open(path)
    renewed = [archive.renew_token()]
    with archive.transaction():
        archive.add_alarm(AT, "a", "one", "")
    renewed += [archive.renew_token(), archive.renew_token()]
    with importer.transaction():
        importer.add_alarm(AT, "a", "two", "")
    renewed += [archive.renew_token(), archive.renew_token()]
    assert importer.renew_token() is False
    archive.close()
    importer.close()
    again = Archive.open(path, own=True)
    again.close()
    assert renewed == [False, True, False, True, False]
    assert again.archive_id == archive.archive_id


def test_an_archive_carried_to_another_machine_without_its_companion_counts_as_restored(path: Path) -> None:
    archive = Archive.open(path, own=True)
    archive.close()
    path.with_name("archive.sqlite.opened").unlink()
    again = Archive.open(path, own=True)
    again.close()
    assert again.archive_id != archive.archive_id


def test_a_new_epoch_of_a_scope_begins_with_its_records_and_keeps_the_old_log(path: Path) -> None:
    archive = Archive.open(path, own=True)
    with archive.transaction():
        archive.add_scope("site")
        archive.apply_changes("site", [RecordChange("site", key, "{}") for key in ("b", "a", "c")], AT)
        archive.apply_changes("site", [RecordChange("site", "b", None)], AT)
    before = archive.scope("site")
    archive.close()
    path.with_name("archive.sqlite.opened").unlink()
    archive = Archive.open(path, own=True)
    after = archive.scope("site")
    assert before is not None
    assert after is not None
    assert (after.number, after.rows, after.digest) == (2, 2, before.digest)
    log = [(row.number, row.key, row.op) for row in archive.log_after("site", after.epoch, 0)]
    assert log == [(1, "a", "put"), (2, "c", "put")]
    assert len(list(archive.log_after("site", before.epoch, 0))) == 4
    assert archive._db.execute("SELECT key, number FROM records ORDER BY key").fetchall() == [
        ("a", 1),
        ("c", 2),
    ]
    archive.close()


# --- transactions and records -----------------------------------------------------------------------------


def _fail_after_alarm(archive: Archive, code: str) -> None:
    with archive.transaction():
        archive.add_alarm(AT, "a", code, "")
        raise ValueError("no")


def _fail_after_part(archive: Archive) -> None:
    with archive.transaction():
        with archive.transaction():
            archive.add_alarm(AT, "a", "one", "")
        raise ValueError("no")


def test_a_part_that_fails_leaves_what_the_whole_did_before_it(path: Path) -> None:
    archive = Archive.open(path)
    with archive.transaction():
        archive.add_alarm(AT, "a", "one", "")
        with pytest.raises(ValueError, match="no"):
            _fail_after_alarm(archive, "two")
        archive.add_alarm(AT, "a", "three", "")
    codes = [row[0] for row in archive._db.execute("SELECT code FROM hub_alarms ORDER BY id")]
    archive.close()
    assert codes == ["one", "three"]


def test_a_whole_that_fails_leaves_nothing_of_its_parts(path: Path) -> None:
    archive = Archive.open(path)
    with pytest.raises(ValueError, match="no"):
        _fail_after_part(archive)
    rows = archive._db.execute("SELECT * FROM hub_alarms").fetchall()
    archive.close()
    assert rows == []


def test_the_log_keeps_every_version_and_unchanged_rows_make_no_entry(path: Path) -> None:
    archive = Archive.open(path)
    with archive.transaction():
        archive.add_scope("site")
        first = archive.apply_changes(
            "site", [RecordChange("site", "a", "1"), RecordChange("site", "b", "1")], AT
        )
        second = archive.apply_changes(
            "site",
            [RecordChange("site", "a", "2"), RecordChange("site", "b", "1"), RecordChange("site", "z", None)],
            AT,
        )
        third = archive.apply_changes(
            "site", [RecordChange("site", "a", None), RecordChange("site", "a", "3")], AT
        )
    assert (first.put, first.unchanged, first.number) == (2, 0, 2)
    assert (second.put, second.deleted, second.unchanged, second.number) == (1, 0, 2, 3)
    assert (third.put, third.deleted, third.number) == (1, 1, 5)
    scope = archive.scope("site")
    assert scope is not None
    log = [(row.number, row.key, row.op, row.body) for row in archive.log_after("site", scope.epoch, 0)]
    archive.close()
    assert log == [
        (1, "a", "put", "1"),
        (2, "b", "put", "1"),
        (3, "a", "put", "2"),
        (4, "a", "delete", ""),
        (5, "a", "put", "3"),
    ]
    assert (scope.number, scope.rows) == (5, 2)


def test_adding_a_scope_again_changes_nothing(path: Path) -> None:
    archive = Archive.open(path)
    with archive.transaction():
        archive.add_scope("site")
    before = archive.scope("site")
    with archive.transaction():
        archive.add_scope("site")
    after = archive.scope("site")
    archive.close()
    assert before == after


def test_a_stream_nobody_spoke_on_stands_at_the_beginning(path: Path) -> None:
    archive = Archive.open(path)
    state = archive.stream_state("lane-in", "e", Stream.ROUTINE)
    archive.close()
    assert (state.contiguous, state.head_hash, state.last_seq(), state.missing(64)) == (0, GENESIS, 0, ())
