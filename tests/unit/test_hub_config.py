"""The hub's config file: all errors at once, secrets by file, nothing opened before it is whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from sync.hub.__main__ import run
from sync.hub.config import ConfigRefused, WorkersPart, broker_of, read_hub_config
from sync.hub.engine_postgres import PostgresPlace
from sync.hub.wiring import Mine
from sync.link.keys import make_private, private_pem, public_pem

WHOLE = """
site = "s1"

[store]
archive = "data/archive.sqlite"

[sync]
host = "127.0.0.1"
port = 1884
key_file = "keys/hub.key"
scopes = ["site"]
poll_s = 0.5
head_every_s = 30

[devices]
lane-in = "keys/lane-in.pub"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "keys").mkdir()
    for name in ("hub", "lane-in"):
        private = make_private()
        key = tmp_path / "keys" / f"{name}.key"
        key.write_bytes(private_pem(private))
        key.chmod(0o600)
        (tmp_path / "keys" / f"{name}.pub").write_bytes(public_pem(private.public_key()))
    return tmp_path


def write(folder: Path, text: str) -> Path:
    path = folder / "hub.toml"
    path.write_text(text, encoding="utf-8")
    return path


def told(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigRefused) as refused:
        read_hub_config(write(folder, text))
    return [str(error) for error in refused.value.errors]


def test_a_whole_file_is_read_with_paths_from_its_own_folder(folder: Path) -> None:
    config = read_hub_config(write(folder, WHOLE))
    assert (config.site, config.archive) == ("s1", folder / "data" / "archive.sqlite")
    assert (config.sync.port, config.sync.scopes, config.sync.poll_s, config.sync.head_every_s) == (
        1884,
        ("site",),
        0.5,
        30.0,
    )
    assert config.devices == {"lane-in": (folder / "keys" / "lane-in.pub").read_text()}
    assert broker_of(config.sync).host == "127.0.0.1"
    assert not (folder / "data" / "archive.sqlite").exists()


def test_the_private_key_is_not_shown_with_the_config(folder: Path) -> None:
    assert "Private" not in repr(read_hub_config(write(folder, WHOLE)))


def test_every_error_is_listed_with_its_key(folder: Path) -> None:
    text = """
sit = "s1"
[store]
archive = "nowhere/archive.sqlite"
size = 1
[sync]
port = 70000
host = ""
key_file = "keys/none.key"
scopes = []
poll_s = "often"
head_every_s = true
[devices]
"lane in" = "keys/lane-in.pub"
lane-out = 5
lane-up = "keys/hub.key"
[log]
level = "loud"
"""
    errors = told(folder, text)
    keys = [error.split(":")[0] for error in errors]
    assert keys == [
        "site",
        "store.archive",
        "store.size",
        "sync.key_file",
        "sync.host",
        "sync.port",
        "sync.scopes",
        "sync.poll_s",
        "sync.head_every_s",
        "devices.lane in",
        "devices.lane-out",
        "devices.lane-up",
        "log.level",
        "sit",
    ]
    text = "\n".join(errors)
    assert "sync.port: expected a whole number from 1 to 65535, got 70000" in text
    assert "store.size: unknown key; there are archive" in text
    assert "log.level: expected one of debug, info, warning, error, got 'loud'" in text


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ('site = "s1"', "site = 5", "site: expected a name"),
        ('site = "s1"', 'site = "a/b"', "site: expected a name"),
        ("[store]", "[stores]", "store: missing; expected a table"),
        ('scopes = ["site"]', 'scopes = ["a", "a"]', "sync.scopes: expected a list of different names"),
        ('archive = "data/archive.sqlite"', 'archive = "data"', "store.archive: expected a file"),
        ('host = "127.0.0.1"', 'host = "broker.example"', "sync: allow_plaintext: expected true"),
        ('host = "127.0.0.1"', 'username = "u"\npassword = "x"', "sync.password: unknown key"),
        ('host = "127.0.0.1"', 'ca_file = "keys/ca.pem"', "sync.ca_file: expected a file"),
        ('host = "127.0.0.1"', 'password_file = "keys/hub.key"', "sync: username: expected beside"),
        ("keys/hub.key", "keys/hub.pub", "expected an unencrypted Ed25519 private key"),
        ("keys/lane-in.pub", "keys/lane-in.key", "expected an Ed25519 public key"),
    ],
)
def test_a_wrong_value_is_named(folder: Path, before: str, after: str, expected: str) -> None:
    (folder / "keys" / "hub.pub").chmod(0o600)
    assert any(expected in error for error in told(folder, WHOLE.replace(before, after)))


def test_a_secret_that_every_user_may_read_is_refused(folder: Path) -> None:
    (folder / "keys" / "hub.key").chmod(0o644)
    (error,) = told(folder, WHOLE)
    assert error.startswith("sync.key_file: ")
    assert "chmod 600" in error


@pytest.mark.parametrize("text", ["site = ", "\ufeff[[", "a = 1\na = 2"])
def test_a_file_that_is_no_toml_is_refused(folder: Path, text: str) -> None:
    (error,) = told(folder, text)
    assert error.startswith("expected TOML")


def test_a_config_that_is_not_there_ends_the_program_with_wrong_use(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder / "none.toml") == 2
    assert "cannot be read" in capsys.readouterr().err


def test_an_archive_that_cannot_be_used_ends_the_program_with_what_to_do(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "data" / "archive.sqlite").write_text("no database" * 100)
    assert run(write(folder, WHOLE)) == 1
    assert "not a database" in capsys.readouterr().err


# --- the archive on PostgreSQL, and several workers -------------------------------------------------------

POSTGRES = """
[archive]
engine = "postgresql"
host = "127.0.0.1"
database = "kakou"
user = "hub"
password_file = "keys/hub.key"
witness_file = "data/witness"
[workers]
count = 4
spread = "device"
"""


def with_archive(text: str) -> str:
    return WHOLE.replace('archive = "data/archive.sqlite"', "") + text


def test_an_archive_on_postgresql_with_its_workers_is_read(folder: Path) -> None:
    config = read_hub_config(write(folder, with_archive(POSTGRES)))
    assert config.archive == PostgresPlace(
        host="127.0.0.1",
        port=5432,
        database="kakou",
        user="hub",
        password_file=folder / "keys" / "hub.key",
        ca_file=None,
        witness_file=folder / "data" / "witness",
    )
    assert config.workers == WorkersPart(count=4, spread="device")
    assert str(config.archive) == "postgresql://hub@127.0.0.1:5432/kakou"


def test_the_table_may_name_a_file_too(folder: Path) -> None:
    config = read_hub_config(write(folder, with_archive('[archive]\nfile = "data/a.sqlite"\n')))
    assert config.archive == folder / "data" / "a.sqlite"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('[archive]\nengine = "mysql"', "archive.engine: expected one of sqlite, postgresql, got 'mysql'"),
        ('[archive]\nfile = "data/a"\nhost = "x"', "archive.host: unknown key; there are engine, file"),
        (
            POSTGRES.replace("127.0.0.1", "db.example.org"),
            "archive.allow_plaintext: expected true, or a ca_file: "
            "db.example.org would be spoken to in plain text",
        ),
        (
            POSTGRES.replace("count = 4", "count = 0"),
            "workers.count: expected a whole number from 1 to 64, got 0",
        ),
        (
            '[archive]\nfile = "data/a"\n[workers]\ncount = 2',
            "workers: expected an archive of the engine postgresql: one process alone has a SQLite file",
        ),
    ],
)
def test_what_cannot_be_meant_is_said(folder: Path, text: str, error: str) -> None:
    assert error in told(folder, with_archive(text))


def test_a_file_and_a_table_at_once_are_one_too_many(folder: Path) -> None:
    assert "store.archive: expected this or a table [archive], got both" in told(folder, WHOLE + POSTGRES)


def test_each_process_of_several_says_which_it_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    several = write(folder, with_archive(POSTGRES))
    assert [run(several), run(several, 5), run(several, 0)] == [2, 2, 2]
    assert "start it with --worker 1 to --worker 4" in capsys.readouterr().err
    assert run(write(folder, WHOLE), 1) == 2
    assert "--worker needs this table" in capsys.readouterr().err


def test_every_device_belongs_to_one_worker_and_all_have_some() -> None:
    workers = WorkersPart(count=3, spread="device")
    mine = [Mine("s1", workers, number) for number in (1, 2, 3)]
    topics = [f"kakou/v1/s1/edge/lane-{number}/facts/routine" for number in range(60)]
    taken = [[one.takes(topic, on_duty=False) for one in mine] for topic in topics]
    assert [sum(each) for each in taken] == [1] * 60
    assert all(sum(column) >= 10 for column in zip(*taken, strict=True))


@pytest.mark.parametrize("rest", ["pull", "status", "head", "keys", "result", "blob/offer"])
def test_what_is_not_facts_or_claims_belongs_to_the_worker_with_the_duties(rest: str) -> None:
    mine = Mine("s1", WorkersPart(count=2, spread="share"), 1)
    topic = f"kakou/v1/s1/edge/lane-1/{rest}"
    assert (mine.takes(topic, on_duty=False), mine.takes(topic, on_duty=True)) == (False, True)
    assert mine.takes("kakou/v1/s1/edge/lane-1/claim", on_duty=False)


# --- live picture and sound -------------------------------------------------------------------------------


def test_without_its_table_nobody_can_show_anything_and_with_it_limits_have_defaults(folder: Path) -> None:
    assert read_hub_config(write(folder, WHOLE)).live is None
    live = read_hub_config(write(folder, f"{WHOLE}\n[live]\n")).live
    assert live is not None
    assert (live.host, live.port, live.limits.most_bytes_a_s) == ("127.0.0.1", 8884, 1_000_000)


@pytest.mark.parametrize(
    ("part", "keys"),
    [
        ("port = 0", ["live.port"]),
        ("longest_s = 3600", ["live.longest_s"]),
        ("most_sessions = 0\nmost_kbit_a_s = 5", ["live.most_sessions", "live.most_kbit_a_s"]),
        ('ca_file = "keys/hub.key"', ["live"]),
        ('host = "0.0.0.0"', ["live.allow_plaintext", "live.allow_plaintext_outside_loopback"]),
        ("record = true", ["live.record"]),
    ],
)
def test_a_wrong_live_table_is_named_key_by_key(folder: Path, part: str, keys: list[str]) -> None:
    with pytest.raises(ConfigRefused) as refused:
        read_hub_config(write(folder, f"{WHOLE}\n[live]\n{part}\n"))
    assert [error.key for error in refused.value.errors] == keys


# --- the console ------------------------------------------------------------------------------------------


def test_the_console_is_off_unless_it_is_named_and_then_for_this_machine_alone(folder: Path) -> None:
    assert read_hub_config(write(folder, WHOLE)).console is None
    console = read_hub_config(write(folder, f"{WHOLE}\n[console]\n")).console
    assert console is not None
    assert (console.host, console.port, console.encrypted) == ("127.0.0.1", 8080, False)
    assert console.shown_file == folder / "data" / "archive.sqlite.shown"
    assert (console.lock_s, console.session_s, console.baseline_lane_s) == (1800.0, 43_200.0, None)


def test_a_console_with_a_certificate_is_spoken_to_from_anywhere(folder: Path) -> None:
    tls = 'host = "0.0.0.0"\ncertificate_file = "keys/hub.pub"\ntls_key_file = "keys/hub.key"'
    console = read_hub_config(write(folder, f"{WHOLE}\n[console]\n{tls}\n")).console
    assert console is not None
    assert console.encrypted
    more = "behind_proxy = true\nlock_min = 5\nsession_h = 1\nbaseline_lane_s = 155"
    stations = '[console.stations]\nxray-1 = "https://10.1.2.3:8443"'
    console = read_hub_config(write(folder, f"{WHOLE}\n[console]\n{more}\n{stations}\n")).console
    assert console is not None
    assert (console.encrypted, console.lock_s, console.session_s) == (True, 300.0, 3600.0)
    assert (console.baseline_lane_s, console.stations) == (155.0, {"xray-1": "https://10.1.2.3:8443"})


@pytest.mark.parametrize(
    ("part", "keys"),
    [
        ("port = 70000", ["console.port"]),
        ('certificate_file = "keys/hub.pub"', ["console"]),
        ('host = "0.0.0.0"', ["console.allow_plaintext", "console.allow_plaintext_outside_loopback"]),
        ('host = "0.0.0.0"\nallow_plaintext = true', ["console.allow_plaintext_outside_loopback"]),
        (
            'host = "0.0.0.0"\nallow_plaintext = true\nallow_plaintext_outside_loopback = true\n'
            "behind_proxy = true",
            ["console.behind_proxy"],
        ),
        ("lock_min = 0", ["console.lock_min"]),
        ("session_h = 400", ["console.session_h"]),
        ('stations = { xray-1 = "ftp://x" }', ["console.stations"]),
        ("password = 'x'", ["console.password"]),
    ],
)
def test_what_is_wrong_with_the_console_is_said_at_its_key(folder: Path, part: str, keys: list[str]) -> None:
    with pytest.raises(ConfigRefused) as refused:
        read_hub_config(write(folder, f"{WHOLE}\n[console]\n{part}\n"))
    assert [error.key for error in refused.value.errors] == keys
