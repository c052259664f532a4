"""An archive moved from SQLite to PostgreSQL: every row and its identity, or nothing."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from bench.postgres import Postgres
from edge.cli import app
from sync.hub import moving
from sync.hub.archive import Archive, RecordChange
from sync.hub.engine_postgres import PostgresPlace
from sync.hub.moving import NotMoved, move_archive
from sync.hub.proving import verify_archive
from sync.link.keys import private_pem
from tests.postgres import IN_ONE_GROUP, archive_table
from tests.unit.test_centre_cli import HUB_TOML
from tests.unit.test_hub_device import AT, HUB_KEY, Bench, Device, acks

pytestmark = IN_ONE_GROUP


@pytest.fixture
def database(postgres: Postgres, tmp_path: Path) -> PostgresPlace:
    return postgres.place(tmp_path)


def _kept(folder: Path) -> tuple[Bench, Device]:
    """A hub's archive on SQLite with facts, records, alarms, something parked."""
    device = Device()
    bench = Bench(folder / "archive.sqlite", device)
    with bench.archive.transaction():
        changes = [
            RecordChange("enterprises", f"e-{number}", f'{{"code":"e-{number}"}}') for number in range(50)
        ]
        bench.archive.apply_changes("site", changes, AT)
        bench.archive.add_alarm(AT, device.name, "hostile", "a NUL \0 in it")
        bench.archive.park("some/topic", b"\x00\xff", "not JSON", AT)
    bench.facts(device, device.batch(device.chatter(30)))
    return bench, device


def _move(source: Path, target: PostgresPlace) -> tuple[int, list[tuple[str, int, int]]]:
    told: list[tuple[str, int, int]] = []
    with closing(Archive.open(source, own=True)) as old, closing(Archive.open(target)) as new:
        return move_archive(old, new, lambda *each: told.append(each)).rows, told


def test_a_moved_archive_is_the_same_one_and_goes_on_and_the_old_file_is_none_any_more(
    database: PostgresPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "AT_ONCE", 7)
    bench, device = _kept(tmp_path)
    identity, scope = bench.archive.archive_id, bench.archive.scope("site")
    bench.archive.close()
    rows, told = _move(tmp_path / "archive.sqlite", database)
    assert rows == sum(wanted for _, done, wanted in told if done == wanted)
    assert ("facts", 7, 30) in told
    bench.place = database
    bench.open()
    assert (bench.archive.archive_id, bench.archive.scope("site")) == (identity, scope)
    assert verify_archive(bench.archive) == []
    assert "a NUL \N{SYMBOL FOR NULL} in it" in [detail for *_, detail in bench.archive.alarms(10)]
    with bench.archive.transaction():
        bench.archive.add_alarm(AT, "a", "another", "")
    more = device.chatter(3)
    ack = acks(bench.facts(device, device.batch(more)))[("e" * 32, "routine")]
    assert (ack.archive_id, ack.contiguous) == (identity, more[-1].seq)
    bench.archive.close()
    with closing(Archive.open(tmp_path / "archive.sqlite", own=True)) as old:
        assert old.archive_id != identity


def test_a_database_that_is_not_empty_is_refused_and_nothing_changes(
    database: PostgresPlace, tmp_path: Path
) -> None:
    bench, _ = _kept(tmp_path)
    identity = bench.archive.archive_id
    bench.archive.close()
    with closing(Archive.open(database)) as other, other.transaction():
        other.add_alarm(AT, "a", "one", "")
    with pytest.raises(NotMoved, match="nothing in it; there is something in hub_alarms"):
        _move(tmp_path / "archive.sqlite", database)
    with closing(Archive.open(tmp_path / "archive.sqlite", own=True)) as old:
        assert old.archive_id == identity


def test_a_move_that_is_broken_off_has_moved_nothing_and_is_done_again(
    database: PostgresPlace, tmp_path: Path
) -> None:
    bench, _ = _kept(tmp_path)
    identity = bench.archive.archive_id
    bench.archive.close()

    def stop(table: str, done: int, wanted: int) -> None:
        if table == "records":
            raise KeyboardInterrupt

    with (
        closing(Archive.open(tmp_path / "archive.sqlite", own=True)) as old,
        closing(Archive.open(database)) as new,
        pytest.raises(KeyboardInterrupt),
    ):
        move_archive(old, new, stop)
    _move(tmp_path / "archive.sqlite", database)
    with closing(Archive.open(database)) as new:
        assert new.archive_id == identity


def test_a_row_that_arrives_otherwise_ends_the_move(
    database: PostgresPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, _ = _kept(tmp_path)
    bench.archive.close()
    file = tmp_path / "archive.sqlite"
    with closing(Archive.open(file, own=True)) as old, closing(Archive.open(database)) as new:
        fill = new.engine.fill

        def spoilt(table: str, rows: list[list[object]]) -> None:
            fill(table, [[*row[:-1], "x"] if table == "log" else row for row in rows])

        monkeypatch.setattr(new.engine, "fill", spoilt)
        with pytest.raises(NotMoved, match="log: 50 rows were sent, 50 arrived, or they are not the same"):
            move_archive(old, new, lambda *_: None)


def test_the_command_moves_what_the_config_names_and_refuses_what_is_no_archive(
    database: PostgresPlace, tmp_path: Path
) -> None:
    bench, _ = _kept(tmp_path)
    identity = bench.archive.archive_id
    bench.archive.close()
    key, config = tmp_path / "hub.key", tmp_path / "hub.toml"
    key.write_bytes(private_pem(HUB_KEY))
    key.chmod(0o600)
    config.write_text(
        HUB_TOML.replace('[store]\narchive = "archive.sqlite"\n', f"[store]\n{archive_table(database)}")
    )

    def asked(source: str) -> Result:
        return CliRunner().invoke(
            app, ["centre", "move-archive", str(config), str(tmp_path / source), "--json"]
        )

    assert asked("nothing.sqlite").exit_code == 2
    assert not (tmp_path / "nothing.sqlite").exists()
    done = asked("archive.sqlite")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["archive_id"] == identity
    assert "facts: 30 of 30" in done.stderr
    again = asked("archive.sqlite")
    assert (again.exit_code, "expected an archive with nothing in it" in again.stderr) == (1, True)
