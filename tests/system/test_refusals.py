"""What cannot run says what is wrong and what to do, with the right exit code, and moves nothing.

Each refusal is made by a real lane program beside simulated devices whose board would have told of any pulse.
Where a program goes on in spite of what is wrong, the vehicle in the lane is treated as the guarantees say.
"""

from __future__ import annotations

import base64
import contextlib
import getpass
import hashlib
import os
import shutil
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from hardware_sims.cast import LANE_IN
from sync.hub.archive import Archive
from sync.store.journal import Journal
from tests.system.conftest import LaneSite, Launcher, Started, kakou, launching, listening, mosquitto, until

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaneSite]:
    """Devices that run and listen, for lanes that never get so far as to speak to them."""
    folder = tmp_path_factory.mktemp("yard")
    with launching(folder / "programs") as launch:
        site = LaneSite.written(folder / "site", launch)
        site.start_sims()
        site.go()
        yield site


@pytest.fixture
def refusing(yard: LaneSite, tmp_path: Path) -> LaneSite:
    return yard.apart(tmp_path)


def refusal(site: LaneSite, code: int) -> str:
    """What a lane says that will not start. Nothing moved."""
    lane = site.launch_lane()
    assert lane.ended() == code, lane.complained()
    said = lane.complained()
    assert "Traceback" not in said
    assert site.physics("relay_pulse") == []
    assert site.physics("arm_moving") == []
    return said


# --- configs ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "missing"),
    [
        ("", {"allow_plaintext", "allow_plaintext_outside_loopback"}),
        ("allow_plaintext = true\n", {"allow_plaintext_outside_loopback"}),
    ],
)
def test_plain_text_outside_this_machine_must_be_allowed_twice(
    refusing: LaneSite, flags: str, missing: set[str]
) -> None:
    refusing.change(('[sync]\nhost = "127.0.0.1"\n', f'[sync]\nhost = "192.0.2.1"\n{flags}'))
    said = refusal(refusing, 2)
    for name in ("allow_plaintext", "allow_plaintext_outside_loopback"):
        assert (f"sync.{name}: expected true, or a ca_file" in said) == (name in missing)
    assert not refusing.journal.exists(), "nothing was opened"


def test_a_bad_config_is_two_and_lists_every_error_by_its_key(refusing: LaneSite) -> None:
    refusing.change(
        ("reading_s = ", "readings_s = "),
        ("baudrate = 38400", 'baudrate = "fast"'),
        ('protocol = "weighbridge.yaohua_tf0"', 'protocol = "weighbridge.yaohua"'),
        ("close = 1\n", ""),
        ('direction = "in"', 'direction = "up"'),
    )
    said = refusal(refusing, 2)
    told = said.splitlines()
    assert told[0] == f"{refusing.config}: 3 errors"
    assert sorted(line.split(":")[0].strip() for line in told[1:]) == [
        "devices.io.serial.baudrate",
        "lane.direction",
        "timing.readings_s",
    ]
    assert "timing.readings_s: unknown key; did you mean `reading_s`?" in said
    assert '"in"' in said


def test_what_does_not_fit_together_is_listed_too(refusing: LaneSite) -> None:
    refusing.change(
        ('protocol = "weighbridge.yaohua_tf0"', 'protocol = "weighbridge.yaohua"'),
        ("close = 1\n", ""),
        ('arm_loop = { input = 1, active = "low" }', 'arm_lop = { input = 0, active = "low" }'),
        ('substitutes = ["rfid"]', 'substitutes = ["scaner"]'),
    )
    said = refusal(refusing, 2)
    keys = {line.split(":")[0].strip() for line in said.splitlines()[1:]}
    assert keys == {
        "devices.weighbridge.settings.protocol",
        "devices.plate_camera.substitutes",
        "relays.close",
        "inputs.arm_lop",
        "inputs.arm_loop",
    }
    assert "weighbridge.yaohua_tf0" in said


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "cannot be read: No such file"),
        (b"[lane\n", "expected TOML"),
    ],
)
def test_what_is_no_config_at_all_is_two(refusing: LaneSite, content: bytes | None, expected: str) -> None:
    refusing.config.unlink()
    if content is not None:
        refusing.config.write_bytes(content)
    said = refusal(refusing, 2)
    assert expected in said
    assert str(refusing.config) in said


# --- keys -------------------------------------------------------------------------------------------------


def no_file(path: Path) -> None:
    path.unlink()


def garbage(path: Path) -> None:
    path.write_bytes(b"\xff-----BEGIN NOTHING-----\n")


def open_to_all(path: Path) -> None:
    path.chmod(0o644)


@pytest.mark.parametrize(
    ("key", "spoil", "code", "expected"),
    [
        ("device.key", no_file, 2, "sync.key_file: expected the path of a file with the secret"),
        ("device.key", open_to_all, 2, "chmod 600"),
        ("device.key", garbage, 1, "expected an unencrypted Ed25519 private key as PKCS8 PEM"),
        ("hub.pub", no_file, 1, "cannot read the key file"),
        ("hub.pub", garbage, 1, "expected an Ed25519 public key as PEM"),
        ("draw.key", no_file, 2, "spot_check.key_file: expected the path of a file with the secret"),
        ("draw.key", garbage, 1, "expected at least 32 hex digits"),
    ],
)
def test_a_key_that_cannot_be_read_is_named(
    refusing: LaneSite, tmp_path: Path, key: str, spoil: Callable[[Path], None], code: int, expected: str
) -> None:
    keys = refusing.site.folder / "keys"
    own = tmp_path / key
    originals = {
        "device.key": (keys / f"{LANE_IN}.key", f"../keys/{LANE_IN}.key"),
        "hub.pub": (keys / "hub.pub", "../keys/hub.pub"),
        "draw.key": (refusing.site.folder / "draw.key", "../draw.key"),
    }
    original, named = originals[key]
    shutil.copy(original, own)
    spoil(own)
    refusing.change((f'"{named}"', f'"{own}"'))
    said = refusal(refusing, code)
    assert expected in said
    assert str(own) in said
    assert not refusing.journal.exists()


# --- journals ---------------------------------------------------------------------------------------------


def made(site: LaneSite) -> None:
    with Journal.open(site.journal, device=site.lane):
        pass


def not_a_database(site: LaneSite) -> None:
    site.journal.write_bytes(b"hello, I am no journal\n" * 400)


def damaged_schema(site: LaneSite) -> None:
    made(site)
    data = bytearray(site.journal.read_bytes())
    data[100:300] = b"\x55" * 200
    site.journal.write_bytes(data)


def cut_in_half(site: LaneSite) -> None:
    made(site)
    data = site.journal.read_bytes()
    site.journal.write_bytes(data[: len(data) // 2])


def changed_last_fact(site: LaneSite) -> None:
    made(site)
    with sqlite3.connect(site.journal) as database:
        database.execute("UPDATE facts SET body = replace(body, 'why', 'wyh')")
    database.close()


def foreign(site: LaneSite) -> None:
    with sqlite3.connect(site.journal) as database:
        database.execute("CREATE TABLE customers (name TEXT)")
    database.close()


def too_new(site: LaneSite) -> None:
    made(site)
    with sqlite3.connect(site.journal) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()


def a_folder(site: LaneSite) -> None:
    site.journal.mkdir()


@pytest.mark.parametrize(
    ("spoil", "expected", "advice"),
    [
        (not_a_database, "not an SQLite file", "move the file away"),
        (damaged_schema, "is damaged", "away and start again: a new epoch begins"),
        (cut_in_half, "is damaged", "away and start again: a new epoch begins"),
        (changed_last_fact, "its last", "away and start again: a new epoch begins"),
        (foreign, "is not a journal file of kakou", "correct the path in the config, or move the file away"),
        (too_new, "written by a newer kakou (schema 99", "install that version again, or move the file away"),
        (a_folder, "is a folder", "correct the path in the config"),
    ],
)
def test_a_journal_that_cannot_be_used_is_left_as_it_is_and_the_way_out_is_told(
    refusing: LaneSite, tmp_path: Path, spoil: Callable[[LaneSite], None], expected: str, advice: str
) -> None:
    spoil(refusing)
    before = refusing.journal.read_bytes() if refusing.journal.is_file() else None
    said = refusal(refusing, 1)
    assert str(refusing.journal) in said
    assert expected in said
    assert advice in said
    assert (refusing.journal.read_bytes() if refusing.journal.is_file() else None) == before


def test_whoever_moves_a_damaged_journal_away_as_told_is_in_service_again(
    refusing: LaneSite, tmp_path: Path
) -> None:
    damaged_schema(refusing)
    refusal(refusing, 1)
    away = tmp_path / "away"
    away.mkdir()
    for file in refusing.data.iterdir():
        file.rename(away / file.name)
    lane = refusing.start_lane()
    lane.process.terminate()
    assert lane.ended() == 0
    assert len(refusing.facts("epoch_began")) > 0
    assert refusing.physics("relay_pulse", name="open") == []


def test_a_second_lane_program_on_the_journal_is_refused_and_the_first_goes_on(lane_site: LaneSite) -> None:
    lane_site.give_records()
    lane_site.start_sims()
    first = lane_site.start_lane()
    second = lane_site.launch_lane()
    assert second.ended() == 1
    said = second.complained()
    assert "journal.sqlite is in use by another program: stop that one" in said
    assert "Traceback" not in said
    assert first.running
    lane_site.go()
    assert lane_site.fact("passage_closed")["outcome"] == "crossed"
    assert lane_site.raise_pulses() == 1
    assert len(lane_site.facts("lane_started")) == 1


def test_nothing_is_raised_before_its_ruling_is_on_the_disk(lane_site: LaneSite) -> None:
    """S1: somebody else holds the journal when the ruling is made. Nothing moves until it is written."""
    lane_site.give_records()
    lane_site.start_sims()
    lane = lane_site.start_lane()
    lane_site.go()
    lane_site.fact("passage_opened", passage=1)
    with contextlib.closing(sqlite3.connect(lane_site.journal, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        lane_site.happened("vehicle_stopped")
        time.sleep(1.5)
        pulses_meanwhile = lane_site.raise_pulses()
        ruled_meanwhile = lane_site.facts("ruling_made")
        other.execute("ROLLBACK")
    assert (pulses_meanwhile, ruled_meanwhile) == (0, [])
    assert lane_site.fact("raise_ordered")["purpose"] == "admit"
    lane_site.happened("relay_pulse", name="open")
    assert lane.running


# --- ports ------------------------------------------------------------------------------------------------


def test_a_port_missing_at_the_start_is_reported_and_holds_whoever_comes(lane_site: LaneSite) -> None:
    lane_site.give_records()
    ports = f"{(lane_site.site.folder / 'ports').resolve()}/{LANE_IN}"
    lane_site.change((f"{ports}-weighbridge", f"{ports}-not-plugged-in"))
    lane_site.start_sims()
    lane = lane_site.start_lane()
    lost = lane_site.fact("device_lost", device="weighbridge")
    assert (lost["role"], "not-plugged-in" in lost["why"]) == ("required", True)
    assert "not-plugged-in" in lane.logged("port lost")[0]["why"]
    assert lane_site.fact("alarm", code="device_lost")["en"] == "Device silent: weighbridge"
    lane_site.go()
    ruling = lane_site.fact("ruling_made")["ruling"]
    assert ruling["verdict"] == "hold"
    assert ruling["reasons"][0] == {"code": "device_silent", "detail": "weighbridge"}
    assert lane_site.fact("passage_closed")["outcome"] == "backed_out"
    assert lane_site.raise_pulses() == 0
    assert lane.running
    assert "Traceback" not in lane.complained()


def test_a_port_that_vanishes_under_a_vehicle_holds_it_and_is_taken_back(lane_site: LaneSite) -> None:
    lane_site.give_records()
    lane_site.start_sims()
    lane = lane_site.start_lane()
    lane_site.go()
    lane_site.fact("passage_opened", passage=1)
    lane_site.vanish("weighbridge", gone=True)
    assert lane_site.fact("device_lost", device="weighbridge")["role"] == "required"
    reasons = lane_site.fact("ruling_made")["ruling"]["reasons"]
    assert reasons[0] == {"code": "device_silent", "detail": "weighbridge"}
    assert lane_site.raise_pulses() == 0
    lane_site.vanish("weighbridge", gone=False)
    lane_site.fact("device_back", device="weighbridge")
    # What it lacked has come: it is weighed, ruled anew and let through (S9: no dead end).
    assert lane_site.fact("passage_closed")["outcome"] == "crossed"
    assert lane_site.raise_pulses() == 1
    assert lane.running
    assert "Traceback" not in lane.complained()


def test_a_board_that_vanishes_under_a_raised_arm_lets_nothing_down_on_the_vehicle(
    lane_site: LaneSite,
) -> None:
    """S2: what is not known counts as occupied; the lane goes on where it was when the board is back."""
    lane_site.give_records()
    lane_site.start_sims()
    lane = lane_site.start_lane()
    lane_site.go()
    entered = lane_site.happened("front_crossed_arm")
    lane_site.vanish("io", gone=True)
    assert lane_site.fact("device_lost", device="io")["role"] == "required"
    lane_site.vanish("io", gone=False)
    lane_site.fact("device_back", device="io")
    left = lane_site.happened("vehicle_crossed_arm")
    assert lane_site.fact("passage_closed", passage=1)["outcome"] in ("crossed", "backed_out", "interrupted")
    moved = [line for line in lane_site.physics("arm_moving") if entered["t"] <= line["t"] <= left["t"]]
    assert moved == []
    assert lane_site.physics("contact") == []
    assert lane_site.raise_pulses() == 1
    assert lane.running
    assert "Traceback" not in lane.complained()


# --- the broker -------------------------------------------------------------------------------------------


def password_line(user: str, password: str) -> str:
    """A line of mosquitto's password file (PBKDF2-SHA512, mosquitto_passwd(1))."""
    salt, rounds = os.urandom(12), 101
    made = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, rounds, 64)
    return f"{user}:$7${rounds}${base64.b64encode(salt).decode()}${base64.b64encode(made).decode()}\n"


@pytest.fixture
def guarded_broker(lane_site: LaneSite, launch: Launcher, tmp_path: Path) -> Started:
    """Lets in one user with one password, nobody else."""
    passwords = tmp_path / "passwords"
    passwords.write_text(password_line(LANE_IN, "right"))
    config = tmp_path / "mosquitto.conf"
    config.write_text(
        f"listener {lane_site.site.broker_port} 127.0.0.1\nallow_anonymous false\n"
        f"user {getpass.getuser()}\npassword_file {passwords}\nset_tcp_nodelay true\npersistence false\n"
    )
    broker = launch((mosquitto(), "-c", str(config)))
    until(lambda: listening(lane_site.site.broker_port) or not broker.running, "the broker listens")
    assert broker.running, broker.complained()
    return broker


def with_password(lane_site: LaneSite, tmp_path: Path, password: str) -> None:
    secret = tmp_path / "password"
    secret.write_text(password + "\n")
    secret.chmod(0o600)
    lane_site.change(("[sync]\n", f'[sync]\nusername = "{LANE_IN}"\npassword_file = "{secret}"\n'))


def test_wrong_credentials_are_a_fact_that_says_so_and_the_lane_goes_on_offline(
    lane_site: LaneSite, guarded_broker: Started, tmp_path: Path
) -> None:
    lane_site.give_records()
    with_password(lane_site, tmp_path, "wrong")
    lane_site.start_sims()
    lane = lane_site.start_lane()
    refused = lane_site.fact("message_refused", topic="broker")
    assert "Not authorized" in refused["why"]
    assert str(lane_site.site.broker_port) in refused["why"]
    assert LANE_IN in refused["why"]
    lane_site.go()
    ruling = lane_site.fact("ruling_made")
    assert (ruling["ruling"]["verdict"], ruling["claim"]) == ("release", "offline")
    assert lane_site.fact("passage_closed")["outcome"] == "crossed"
    assert lane_site.raise_pulses() == 1
    assert lane.running
    assert "Traceback" not in lane.complained()
    assert "wrong" not in lane.complained()
    assert guarded_broker.running


def test_the_right_password_is_let_in(lane_site: LaneSite, guarded_broker: Started, tmp_path: Path) -> None:
    """Without it the test above would only show that the broker lets nobody in."""
    with_password(lane_site, tmp_path, "right")
    lane_site.start_lane()
    until(lambda: f"as {LANE_IN}" in guarded_broker.complained(), "the broker names its new client")
    assert lane_site.facts("message_refused") == []


# --- the hub ----------------------------------------------------------------------------------------------


def hub_not_a_database(archive: Path) -> None:
    archive.write_bytes(b"hello, I am no archive\n" * 400)


def hub_damaged(archive: Path) -> None:
    Archive.open(archive).close()
    data = bytearray(archive.read_bytes())
    data[100:300] = b"\x55" * 200
    archive.write_bytes(data)


def hub_foreign(archive: Path) -> None:
    with sqlite3.connect(archive) as database:
        database.execute("CREATE TABLE customers (name TEXT)")
    database.close()


def hub_too_new(archive: Path) -> None:
    Archive.open(archive).close()
    with sqlite3.connect(archive) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (hub_not_a_database, ("not a database",)),
        (hub_damaged, ("malformed",)),
        (hub_foreign, ("a database of something else", "name another file in `archive`")),
        (hub_too_new, ("written by a newer kakou", "update kakou")),
    ],
)
def test_a_hub_whose_archive_cannot_be_used_says_so_and_leaves_it(
    lane_site: LaneSite, launch: Launcher, spoil: Callable[[Path], None], expected: tuple[str, ...]
) -> None:
    archive = lane_site.site.archive
    spoil(archive)
    before = archive.read_bytes()
    hub = launch.run(kakou("hub", str(lane_site.site.hub_config)))
    said = hub.complained()
    assert hub.process.returncode == 1, said
    assert "data/hub/archive.sqlite" in said
    assert [words for words in expected if words not in said] == []
    assert "Traceback" not in said
    assert archive.read_bytes() == before


def test_a_bad_hub_config_is_two_and_lists_every_error(lane_site: LaneSite, launch: Launcher) -> None:
    config = lane_site.site.hub_config
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("poll_s", "pol_s").replace("lane-out-1.pub", "nobody.pub"), "utf-8")
    hub = launch.run(kakou("hub", str(config)))
    said = hub.complained()
    assert hub.process.returncode == 2
    assert said.startswith(f"{config}: 2 errors\n")
    assert "sync.pol_s: unknown key" in said
    assert "devices.lane-out-1: " in said
    assert "Traceback" not in said


# --- being told to stop -----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_lane_told_to_stop_ends_with_nothing_moved(lane_site: LaneSite, number: signal.Signals) -> None:
    lane_site.start_sims()
    lane = lane_site.start_lane()
    lane_site.fact("lane_started")
    psutil.Process(lane.process.pid).send_signal(number)
    assert lane.ended() == 0
    assert lane_site.raise_pulses() == 0
    assert "Traceback" not in lane.complained()


def test_wrong_use_of_the_programs_is_two(launch: Launcher) -> None:
    gate = launch.run((sys.executable, "-m", "edge.gate"))
    assert (gate.process.returncode, "usage: " in gate.complained()) == (2, True)
