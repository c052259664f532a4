"""The archive on PostgreSQL: what a restored database is told by (G4), what is
refused before it can cost facts."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from bench.postgres import Postgres
from sync.hub.archive import Archive, ArchiveRefused, ArchiveTaken, Place, RecordChange, place_of, place_text
from sync.hub.engine import EngineFailed
from sync.hub.engine_postgres import PostgresPlace, for_postgres
from tests.postgres import IN_ONE_GROUP, binaries
from tests.unit.test_hub_device import AT, Bench, Device, acks, at

pytestmark = IN_ONE_GROUP


@pytest.fixture
def database(postgres: Postgres, tmp_path: Path) -> PostgresPlace:
    return postgres.place(tmp_path)


def opened_id(place: Place) -> str:
    archive = Archive.open(place, own=True)
    archive.close()
    return archive.archive_id


# --- backups (G4) -----------------------------------------------------------------------------------------


def test_opened_again_and_by_another_worker_it_is_the_same_archive(database: PostgresPlace) -> None:
    other = dataclasses.replace(database, witness_file=database.witness_file.with_name("other"))
    assert len({opened_id(place) for place in (database, database, other, database)}) == 1


def test_a_dump_restored_into_a_new_database_gets_a_new_id_and_scope_epochs_and_is_refilled(
    postgres: Postgres, tmp_path: Path
) -> None:
    device = Device()
    bench = Bench(postgres.place(tmp_path), device)
    with bench.archive.transaction():
        bench.archive.apply_changes("site", [RecordChange("enterprises", "a", '{"code":"a"}')], AT)
    said = device.chatter(6)
    bench.facts(device, device.batch(said[:3]))
    before, old_id = bench.archive.scope("site"), bench.archive.archive_id
    assert isinstance(bench.place, PostgresPlace)
    dump = postgres.folder / "dump"
    postgres.client("pg_dump", "--format", "custom", "--file", str(dump), bench.place.database)
    bench.facts(device, device.batch(said[3:]))
    bench.archive.close()
    restored = postgres.new_place(tmp_path)
    postgres.client("pg_restore", "--dbname", restored.database, str(dump))
    bench.place = dataclasses.replace(restored, witness_file=bench.place.witness_file)
    bench.open()
    after = bench.archive.scope("site")
    ack = acks(bench.facts(device, device.batch(said)))[("e" * 32, "routine")]
    assert before is not None
    assert after is not None
    assert (bench.archive.archive_id != old_id, after.epoch != before.epoch) == (True, True)
    assert (ack.archive_id, ack.contiguous, ack.hash) == (bench.archive.archive_id, 6, said[5].hash)
    bench.archive.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Postgres]:
    """One that may be stopped and whose files may be put back."""
    programs = binaries()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt install postgresql)")
    started = Postgres(programs)
    try:
        yield started
    finally:
        started.close()


def test_files_of_the_server_put_back_under_the_same_identity_are_told_by_the_witness(
    server: Postgres, tmp_path: Path
) -> None:
    place = server.place(tmp_path)
    first = opened_id(place)
    server.stop("fast")
    copy = server.folder / "copy"
    server.run("cp", "-a", str(server.cluster), str(copy))
    server.start()
    archive = Archive.open(place, own=True)
    archive.hold_duties()
    with archive.transaction():
        archive.add_alarm(AT, "a", "one", "")
    renewed = [archive.renew_token(), archive.renew_token()]
    archive.close()
    still = opened_id(place)
    server.stop("fast")
    shutil.rmtree(server.cluster)
    server.run("cp", "-a", str(copy), str(server.cluster))
    server.start()
    after = opened_id(place)
    assert renewed == [True, False]
    assert still == first
    assert after != first
    assert opened_id(place) == after


def test_a_worker_beside_the_one_with_the_duties_keeps_the_token_it_saw_last(database: PostgresPlace) -> None:
    holder = Archive.open(database, own=True)
    other_place = dataclasses.replace(database, witness_file=database.witness_file.with_name("other"))
    other = Archive.open(other_place, own=True)
    assert [holder.hold_duties(), other.hold_duties()] == [True, False]
    with other.transaction():
        other.add_alarm(AT, "a", "one", "")
    assert [holder.renew_token(), other.renew_token()] == [True, False]
    assert other_place.witness_file.read_text() == database.witness_file.read_text()
    holder.close()
    other.close()


def test_an_archive_that_began_anew_under_a_running_hub_stops_it(database: PostgresPlace) -> None:
    archive = Archive.open(database, own=True)
    archive._db.execute("UPDATE meta SET value = 'another' WHERE key = 'archive_id'")
    with pytest.raises(ArchiveTaken, match="start again"), archive.transaction():
        archive.add_alarm(AT, "a", "one", "")
    archive.close()


# --- what is refused --------------------------------------------------------------------------------------


def test_a_server_that_would_lose_what_was_acknowledged_is_refused(
    database: PostgresPlace, postgres: Postgres
) -> None:
    with psycopg.connect(postgres.dsn(), autocommit=True) as admin:
        admin.execute("ALTER SYSTEM SET fsync = off")
        admin.execute("SELECT pg_reload_conf()")
        try:
            until(postgres, "off")
            with pytest.raises(ArchiveRefused, match="fsync=off and would lose"):
                Archive.open(database, own=True)
        finally:
            admin.execute("ALTER SYSTEM RESET fsync")
            admin.execute("SELECT pg_reload_conf()")
    until(postgres, "on")


def until(postgres: Postgres, fsync: str) -> None:
    for _ in range(500):
        with psycopg.connect(postgres.dsn()) as db:
            if db.execute("SHOW fsync").fetchone() == (fsync,):
                return
    raise AssertionError(f"fsync did not become {fsync}")


def test_commits_wait_for_the_disk_whatever_the_server_is_set_to(database: PostgresPlace) -> None:
    archive = Archive.open(database)
    assert archive._db.execute("SHOW synchronous_commit").fetchone() == ("on",)
    archive.close()


@pytest.mark.parametrize(("own", "timeout"), [(True, "1min"), (False, "0")])
def test_only_a_worker_that_may_have_the_duties_must_speak_all_the_time(
    database: PostgresPlace, own: bool, timeout: str
) -> None:
    """Whoever takes evidence, or waits in a script of the centre, may be silent for longer than a minute."""
    archive = Archive.open(database, own=own)
    assert archive._db.execute("SHOW idle_session_timeout").fetchone() == (timeout,)
    archive.close()


def test_a_database_of_something_else_is_refused(postgres: Postgres, tmp_path: Path) -> None:
    place = postgres.new_place(tmp_path)
    with psycopg.connect(postgres.dsn(place.database), autocommit=True) as db:
        db.execute("CREATE TABLE theirs (a INTEGER)")
    with pytest.raises(ArchiveRefused, match="a database of something else"):
        Archive.open(place)


def test_an_archive_of_a_newer_kakou_is_refused(database: PostgresPlace, postgres: Postgres) -> None:
    with psycopg.connect(postgres.dsn(database.database), autocommit=True) as db:
        before = db.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
        db.execute("UPDATE meta SET value = '99' WHERE key = 'schema'")
        with pytest.raises(ArchiveRefused, match="written by a newer kakou"):
            Archive.open(database)
        db.execute("UPDATE meta SET value = %s WHERE key = 'schema'", before)


def test_a_server_that_is_not_there_is_said_with_its_address(database: PostgresPlace) -> None:
    nobody = dataclasses.replace(database, port=1)
    with pytest.raises(ArchiveRefused, match=r"postgresql://kakou@127\.0\.0\.1:1/.*refused"):
        Archive.open(nobody)


def test_without_its_library_it_says_what_to_install(
    database: PostgresPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ArchiveRefused, match="extra `hub`"):
        Archive.open(database)


# --- statements -------------------------------------------------------------------------------------------


def test_a_transaction_in_which_a_statement_failed_is_not_committed_silently(database: PostgresPlace) -> None:
    """PostgreSQL answers COMMIT with ROLLBACK there, and with no error."""
    archive = Archive.open(database)
    archive._db.execute("BEGIN")
    with pytest.raises(EngineFailed):
        archive._db.execute("SELECT * FROM nowhere")
    with pytest.raises(EngineFailed, match="cannot be committed"):
        archive._db.execute("COMMIT")
    archive.close()


def test_a_transaction_whose_connection_was_made_anew_in_the_middle_is_not_committed_silently(
    database: PostgresPlace,
) -> None:
    """What was written before is gone; PostgreSQL answers COMMIT without a transaction with a warning."""
    archive, other = Archive.open(database), Archive.open(database)
    (own,) = archive._db.execute("SELECT pg_backend_pid()").fetchone()

    def cut_in_the_middle() -> None:
        with archive.transaction():
            archive.add_alarm(AT, "lane-1", "test", "gone")
            other._db.execute("SELECT pg_terminate_backend(?)", (own,))
            with contextlib.suppress(EngineFailed):
                archive.devices()
            archive.devices()

    with pytest.raises(EngineFailed, match="cannot be committed"):
        cut_in_the_middle()
    assert archive.alarms(1) == ()
    archive.close()
    other.close()


def test_a_nul_in_a_hostile_name_is_stored_as_a_sign_for_it(database: PostgresPlace) -> None:
    archive = Archive.open(database)
    with archive.transaction():
        archive.add_alarm(AT, "a\0b", "one", "50 % of ?")
    assert archive._db.execute("SELECT device, detail FROM hub_alarms").fetchall() == [("a␀b", "50 % of ?")]
    archive.close()


def test_a_long_answer_is_read_while_other_statements_run(database: PostgresPlace) -> None:
    archive = Archive.open(database)
    changes = [RecordChange("vehicles", f"k{number:05}", "{}") for number in range(1_500)]
    with archive.transaction():
        archive.add_scope("site")
        archive.apply_changes("site", changes, AT)
    keys = []
    for _, key, _ in archive.record_rows("site"):
        keys.append(key)
        archive.counters(["nobody"])
    assert keys == [change.key for change in changes]
    archive.close()


def test_a_schema_step_is_written_as_postgresql_writes_it() -> None:
    step = "-- INTEGER\nCREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, s TEXT, b BLOB) WITHOUT ROWID;"
    assert for_postgres(step) == (
        "CREATE TABLE t (id BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, "
        'n BIGINT, s TEXT COLLATE "C", b BYTEA);'
    )


def test_a_place_is_handed_to_another_process_as_text(database: PostgresPlace, tmp_path: Path) -> None:
    for place in (database, tmp_path / "a:b.sqlite"):
        assert place_of(place_text(place)) == place


def test_a_hub_whose_server_was_killed_goes_on_when_it_is_back(
    server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sync.hub.engine_postgres.RECONNECT_EVERY_S", 0.0)
    device = Device()
    bench = Bench(server.place(tmp_path), device)
    said = device.chatter(9)
    bench.facts(device, device.batch(said[:3]))
    server.stop("immediate")
    away = [bench.facts(device, device.batch(said[3:6])), bench.receiver.tick(at(5))]
    server.start()
    back = bench.facts(device, device.batch(said[3:]))
    assert away == [[], []]
    assert acks(back)[("e" * 32, "routine")].contiguous == 9
    assert bench.stored() == [("routine", number) for number in range(1, 10)]
    bench.archive.close()
