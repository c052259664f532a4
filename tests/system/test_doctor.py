"""`kakou doctor` on broken sites: every fault that was put there is found by name, and no other."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import socket
import sqlite3
import ssl
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from typer.testing import CliRunner

from edge.cli import app
from edge.gate.doctor import Finding, examine
from edge.linking import BUILT
from hardware_sims.cast import LANE_IN
from sync.enrolment import desk
from sync.enrolment.register import Kind, Settings
from sync.link.client import BrokerConfig
from sync.link.keys import make_private, public_pem
from sync.link.probing import Probe, probe
from sync.store.journal import Journal
from sync.store.lock import is_held, lock_path
from sync.vocabulary.facts import FactDraft, LaneReset, Stream
from tests.system.conftest import LaneSite, Launcher, kakou

pytestmark = pytest.mark.system

ACCEPTED, BAD_PASSWORD, NOT_AUTHORISED = 0, 4, 5


# --- a broker that answers one word -------------------------------------------------------------------------


@dataclass
class OneWordBroker:
    """Answers every CONNECT of MQTT 3.1.1 with this code; None: says nothing. Keeps what was sent to it."""

    code: int | None = ACCEPTED
    certificate: tuple[Path, Path] | None = None
    heard: list[bytes] = field(default_factory=list)

    def __enter__(self) -> OneWordBroker:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.context: ssl.SSLContext | None = None
        if self.certificate is not None:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*self.certificate)
        threading.Thread(target=self._run, daemon=True).start()
        return self

    def __exit__(self, *why: object) -> None:
        self.listener.close()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            connection.settimeout(10.0)
            line = (
                connection if self.context is None else self.context.wrap_socket(connection, server_side=True)
            )
            with line:
                while data := line.recv(4096):
                    self.heard.append(data)
                    if data[0] >> 4 == 1 and self.code is not None:
                        line.sendall(bytes((0x20, 2, 0, self.code)))


@pytest.fixture
def broker() -> Iterator[OneWordBroker]:
    with OneWordBroker() as made:
        yield made


@pytest.fixture
def examined(lane_site: LaneSite, broker: OneWordBroker) -> LaneSite:
    """A demo site whose ports are there and whose broker accepts; nobody speaks."""
    ports = lane_site.site.folder / "ports"
    ports.mkdir()
    for device in ("io", "weighbridge", "rfid", "scanner", "led"):
        (ports / f"{LANE_IN}-{device}").touch()
    lane_site.change((f"port = {lane_site.site.broker_port}\n", f"port = {broker.port}\n"))
    return lane_site


def say(*args: str | Path) -> tuple[int, list[dict[str, str]]]:
    ended = CliRunner().invoke(app, ["doctor", *(str(arg) for arg in args)])
    if ended.exception is not None and not isinstance(ended.exception, SystemExit):
        raise ended.exception
    return ended.exit_code, [json.loads(line) for line in ended.stdout.splitlines()]


def findings(site: LaneSite, *args: str) -> tuple[int, dict[str, dict[str, str]]]:
    """Exit code, and what was found of each check. The disk of this machine left out."""
    code, told = say(site.config, *args)
    by_check = {line["check"]: line for line in told}
    assert len(by_check) == len(told), "two findings of one name"
    disk = by_check.pop("disk")
    assert disk["level"] in ("good", "bad")
    return (code if disk["level"] == "good" else 0, by_check)


def bad(site: LaneSite, *args: str) -> dict[str, str]:
    """What is bad, and what is said of it. Of each it is said in both languages what to do."""
    code, found = findings(site, *args)
    wrong = {check: line for check, line in found.items() if line["level"] == "bad"}
    assert (code != 0) == (wrong != {})
    assert [check for check, line in wrong.items() if not line["zh"] or not line["en"]] == []
    assert [check for check, line in found.items() if "\n" in line["text"]] == []
    return {check: line["text"] for check, line in wrong.items()}


def test_a_site_in_order_has_nothing_bad(examined: LaneSite) -> None:
    examined.give_records()
    assert bad(examined) == {}
    _, found = findings(examined)
    assert found["records"]["level"] == "good"
    assert found["journal"]["level"] == "good"
    assert found["broker"]["level"] == "good"
    assert "S0" in found["safety"]["text"]
    assert {check for check in found if check.startswith("port ")} == {
        "port io", "port weighbridge", "port rfid", "port scanner", "port board", "port plate_camera",
    }  # fmt: skip


def test_looking_leaves_nothing_behind(examined: LaneSite) -> None:
    before = sorted(str(path) for path in examined.site.folder.rglob("*"))
    bad(examined)
    assert sorted(str(path) for path in examined.site.folder.rglob("*")) == before


# --- config, wiring -----------------------------------------------------------------------------------------


def test_all_errors_of_a_config_are_found_at_once_a_line_each(examined: LaneSite) -> None:
    examined.change(
        ("[timing]\n", "[timing]\nreading_ss = 3\n"),
        ('direction = "in"', 'direction = "inn"'),
        ("arm_loop = { input = 1", "arm_lop = { input = 1"),
    )
    code, told = say(examined.config)
    texts = [line["text"] for line in told]
    assert code == 1
    assert {line["check"] for line in told} == {"config"}
    assert any("timing.reading_ss: unknown key; did you mean `reading_s`?" in text for text in texts)
    assert any("lane.direction" in text for text in texts)
    assert len(texts) >= 2


def test_a_safety_loop_that_is_not_wired_is_found(examined: LaneSite) -> None:
    examined.change(('arm_loop = { input = 1, active = "low" }\n', ""))
    code, (told,) = say(examined.config)
    assert (code, told["text"]) == (1, "inputs.arm_loop: must be wired")
    assert "安全回路未接入" in told["zh"]


def test_swapped_polarity_is_found(examined: LaneSite) -> None:
    examined.change(
        ('photocell = { input = 2, active = "low" }', 'photocell = { input = 2, active = "high" }'),
        ('limit_down = { input = 3, active = "high" }', 'limit_down = { input = 3, active = "low" }'),
    )
    wrong = bad(examined)
    assert set(wrong) == {"wiring photocell", "wiring limit_down"}
    assert "nothing there" in wrong["wiring photocell"]
    assert "a cut wire would prove the arm there" in wrong["wiring limit_down"]


def test_wires_and_relays_the_board_does_not_have_are_found(examined: LaneSite) -> None:
    examined.change(("photocell = { input = 2,", "photocell = { input = 17,"), ("close = 1\n", "close = 8\n"))
    wrong = bad(examined)
    assert set(wrong) == {"wiring photocell", "relay close"}
    assert "16 inputs" in wrong["wiring photocell"]
    assert "8 relays" in wrong["relay close"]


# --- ports --------------------------------------------------------------------------------------------------


def test_a_missing_port_is_found(examined: LaneSite) -> None:
    (examined.site.folder / "ports" / f"{LANE_IN}-rfid").unlink()
    assert set(bad(examined)) == {"port rfid"}
    assert f"{LANE_IN}-rfid: no such port" in bad(examined)["port rfid"]


def test_two_devices_on_one_port_are_found(examined: LaneSite) -> None:
    ports = examined.site.folder / "ports"
    (ports / f"{LANE_IN}-rfid").unlink()
    (ports / f"{LANE_IN}-rfid").symlink_to(ports / f"{LANE_IN}-io")
    assert bad(examined)["port rfid"].endswith("is the port of io too")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
def test_a_port_that_may_not_be_opened_is_found(examined: LaneSite) -> None:
    (examined.site.folder / "ports" / f"{LANE_IN}-rfid").chmod(0o000)
    assert "may not be opened" in bad(examined)["port rfid"]


def test_an_address_somebody_listens_on_already_is_found(examined: LaneSite) -> None:
    port = examined.site.camera_ports[0]
    with socket.create_server(("127.0.0.1", port)):
        assert bad(examined) == {"port plate_camera": f"127.0.0.1 port {port}: Address already in use"}


def test_a_usb_name_that_does_not_last_is_noted(examined: LaneSite) -> None:
    ports = f"{(examined.site.folder / 'ports').resolve()}/{LANE_IN}"
    examined.change((f"{ports}-rfid", "/dev/ttyUSB97"), (f"{ports}-io", "/dev/null"))
    assert "port rfid" in bad(examined)
    assert "/dev/serial/by-id" in findings(examined)[1]["port rfid"]["en"]


# --- records, clock, disk -----------------------------------------------------------------------------------


def no_row_of_the_site(site: LaneSite) -> None:
    site.give_records(without="site")


def six_hours_old(site: LaneSite) -> None:
    site.give_records(age_s=6 * 3600 + 60)


def never_proved(site: LaneSite) -> None:
    site.give_records(age_s=None)


def damaged_records(site: LaneSite) -> None:
    file = site.give_records()
    data = bytearray(file.read_bytes())
    data[100:300] = b"\x55" * 200
    file.write_bytes(data)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (six_hours_old, "too old (S10)"),
        (never_proved, "never proved equal to the centre's"),
        (no_row_of_the_site, "has no row of this site: every vehicle is held"),
        (damaged_records, "fetched again from the centre"),
    ],
)
def test_records_no_ruling_may_stand_on_are_found(
    examined: LaneSite, make: Callable[[LaneSite], None], expected: str
) -> None:
    make(examined)
    wrong = bad(examined)
    assert set(wrong) == {"records"}
    assert expected in wrong["records"]


def test_records_that_are_not_there_yet_are_no_fault(examined: LaneSite) -> None:
    told = findings(examined)[1]["records"]
    assert (told["level"], told["text"]) == (
        "note",
        "no records yet: they come with the first contact to the centre",
    )


@dataclass(frozen=True)
class HandClock:
    utc: str
    uncertainty: int = 3

    def monotonic_s(self) -> float:
        return 0.0

    def utc_text(self) -> str:
        return self.utc

    def boot_id(self) -> str:
        return "boot"

    def uncertainty_ms(self) -> int:
        return self.uncertainty


def utc_in(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def clock_of(site: LaneSite, clock: HandClock) -> Finding:
    (told,) = [each for each in examine(site.config, clock=clock) if each.check == "clock"]
    return told


@pytest.mark.parametrize(
    ("utc", "uncertainty", "expected"),
    [
        ("1970-01-01T00:01:00.000000Z", 3, "not set since the machine was switched on"),
        (BUILT[:5] + "01-01T00:00:00.000000Z", 3, "every vehicle is held (S10)"),
        ("", 5_000, "may be off by 5000 ms"),
    ],
)
def test_a_clock_that_is_off_is_found(examined: LaneSite, utc: str, uncertainty: int, expected: str) -> None:
    told = clock_of(examined, HandClock(utc or utc_in(0), uncertainty))
    assert told.level == "bad"
    assert expected in told.text
    assert told.zh != ""


def test_a_clock_nobody_vouches_for_is_bad_where_it_is_needed(examined: LaneSite) -> None:
    assert clock_of(examined, HandClock(utc_in(0), -1)).level == "note"
    examined.change(("require_synchronised = false", "require_synchronised = true"))
    assert clock_of(examined, HandClock(utc_in(0), -1)).level == "bad"


def test_a_clock_that_went_back_is_found_by_the_journal(examined: LaneSite) -> None:
    with Journal.open(examined.journal, device=LANE_IN) as journal:
        journal.commit([FactDraft("e1", Stream.ROUTINE, utc_in(4_000), "boot", 1, LaneReset(by="key"))])
    wrong = bad(examined)
    assert set(wrong) == {"clock"}
    assert "the journal's last fact is" in wrong["clock"]


def test_a_clock_that_is_slow_is_found_by_the_proof_of_the_records(examined: LaneSite) -> None:
    examined.give_records(age_s=-4_000)
    assert "the proof of the records is" in bad(examined)["clock"]


def test_a_clock_in_order_is_good(examined: LaneSite) -> None:
    examined.give_records()
    assert clock_of(examined, HandClock(utc_in(0))).level == "good"


def test_a_disk_nearly_full_and_one_that_is_full_are_found(examined: LaneSite) -> None:
    for reserve_mb, expected in ((900_000, "below the reserve"), (40_000, "nearly full")):
        text = examined.config.read_text(encoding="utf-8")
        free_mb = 100_000

        def usage(_path: object, free_mb: int = free_mb) -> object:
            return type("Usage", (), {"free": free_mb * 1_000_000})

        examined.config.write_text(
            text.replace("reserve_mb = 16", f"reserve_mb = {reserve_mb}").replace(
                "[page]\n", "[pictures]\nkeep_free_mb = 1_000_000\n\n[page]\n"
            ),
            encoding="utf-8",
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("edge.examining.shutil.disk_usage", usage)
            (told,) = [each for each in examine(examined.config) if each.check == "disk"]
        examined.config.write_text(text, encoding="utf-8")
        assert (told.level, expected in told.text) == ("bad", True), told


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_found(examined: LaneSite) -> None:
    examined.data.chmod(0o500)
    (told,) = [each for each in examine(examined.config) if each.check == "disk"]
    examined.data.chmod(0o700)
    assert "may not be written" in told.text


def test_a_journal_that_was_changed_is_found(examined: LaneSite) -> None:
    with Journal.open(examined.journal, device=LANE_IN):
        pass
    with contextlib.closing(sqlite3.connect(examined.journal)) as database:
        database.execute("""UPDATE facts SET body = replace(body, '"why":"', '"why":"x')""")
        database.commit()
    assert set(bad(examined)) == {"journal"}


# --- keys and certificates ----------------------------------------------------------------------------------


def test_wrong_keys_are_found(examined: LaneSite) -> None:
    keys = examined.site.folder / "keys"
    (keys / f"{LANE_IN}.key").write_bytes(public_pem(make_private().public_key()))
    (keys / "hub.pub").write_bytes((keys / "hub.key").read_bytes())
    (examined.site.folder / "draw.key").write_text("0badc0de")
    wrong = bad(examined)
    assert set(wrong) == {"device key", "hub key", "spot check"}
    assert "expected an unencrypted Ed25519 private key" in wrong["device key"]
    assert "expected an Ed25519 public key" in wrong["hub key"]
    assert "at least 32 hex digits" in wrong["spot check"]


def test_a_key_file_others_may_read_is_found(examined: LaneSite) -> None:
    key = examined.site.folder / "keys" / f"{LANE_IN}.key"
    key.chmod(0o644)
    code, (told,) = say(examined.config)
    assert (code, told["check"]) == (1, "config")
    assert f"keys/{LANE_IN}.key is open to every user of this machine; chmod 600" in told["text"]
    assert "600" in told["zh"]


def test_a_key_file_its_group_may_read_is_found(examined: LaneSite) -> None:
    (examined.site.folder / "draw.key").chmod(0o640)
    assert set(bad(examined)) == {"draw key file"}


def certificate(folder: Path, name: str, days: float, *, from_days: float = -100.0) -> tuple[Path, Path]:
    """Self-signed for 127.0.0.1, valid until in so many days: (certificate, key)."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    import ipaddress

    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) + timedelta(days=from_days))
        .not_valid_after(datetime.now(UTC) + timedelta(days=days))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / f"{name}.pem", folder / f"{name}.key"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    key_file.chmod(0o600)
    return cert_file, key_file


@pytest.mark.parametrize(
    ("days", "from_days", "expected"),
    [(10.5, -100.0, "expires in 10 days"), (-1.0, -100.0, "expired on"), (400.0, 1.0, "valid only from")],
)
def test_a_certificate_that_ends_soon_has_ended_or_not_begun_is_found(
    examined: LaneSite, tmp_path: Path, broker: OneWordBroker, days: float, from_days: float, expected: str
) -> None:
    ca, _ = certificate(tmp_path, "ca", 400.0)
    cert, key = certificate(tmp_path, "lane", days, from_days=from_days)
    examined.change(
        (
            f"port = {broker.port}\n",
            f'port = {broker.port}\nca_file = "{ca}"\ncertificate_file = "{cert}"\ntls_key_file = "{key}"\n',
        )
    )
    told = {
        each.check: each for each in examine(examined.config, greet=lambda config, name: Probe("accepted"))
    }
    assert told["certificate ca"].level == "good"
    assert told["certificate"].level == "bad"
    assert expected in told["certificate"].text
    assert told["certificate"].zh != ""


def test_what_is_no_certificate_is_found(examined: LaneSite, tmp_path: Path, broker: OneWordBroker) -> None:
    (tmp_path / "ca.pem").write_text("hello")
    examined.change((f"port = {broker.port}\n", f'port = {broker.port}\nca_file = "{tmp_path}/ca.pem"\n'))
    wrong = bad(examined)
    assert "no certificate" in wrong["certificate ca"]
    assert "ca_file" in wrong["broker"]


def enrolled(examined: LaneSite, folder: Path, port: int, *, days: int | None = None) -> Path:
    """The lane's unpacked bundle, its config pointing at it."""
    now = datetime.now(UTC)
    settings = Settings(site="demo", broker_hosts=("127.0.0.1",), scopes=("demo",))
    desk.init(folder / "office", settings, now)
    desk.enrol_hub(folder / "office", now)
    for name in (LANE_IN, "another"):
        desk.enrol_device(folder / "office", name, Kind.LANE, [], now, days)
        desk.bundle(folder / "office", name, folder / f"{name}.tar", now)
        with tarfile.open(folder / f"{name}.tar") as tar:
            tar.extractall(folder, filter="tar")
    place = folder / LANE_IN
    examined.change(
        (
            f"port = {port}\n",
            f'port = {port}\nca_file = "{place}/ca.pem"\ncertificate_file = "{place}/tls.pem"\n'
            f'tls_key_file = "{place}/tls.key"\n',
        )
    )
    return place


def examined_files(site: LaneSite) -> dict[str, Finding]:
    return {each.check: each for each in examine(site.config, greet=lambda config, name: Probe("accepted"))}


def test_an_enrolled_lane_has_everything_in_order(
    examined: LaneSite, tmp_path: Path, broker: OneWordBroker
) -> None:
    place = enrolled(examined, tmp_path, broker.port)
    told = examined_files(examined)
    for check in ("certificate ca", "certificate", "certificate name"):
        assert told[check].level == "good", told[check].text
    assert str(place / "tls.pem") in told["certificate name"].text


def test_a_certificate_that_ends_soon_is_named_with_the_command_that_renews_it(
    examined: LaneSite, tmp_path: Path, broker: OneWordBroker
) -> None:
    place = enrolled(examined, tmp_path, broker.port, days=12)
    told = examined_files(examined)["certificate"]
    assert (told.level, str(place / "tls.pem") in told.text) == ("bad", True)
    assert "expires in 11 days" in told.text
    assert "kakou enrol renew" in told.en


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (("tls.pem",), "another key than the one beside it"),
        (("tls.pem", "tls.key"), "common name is 'another'"),
    ],
)
def test_files_of_another_lanes_bundle_are_found(
    examined: LaneSite, tmp_path: Path, broker: OneWordBroker, files: tuple[str, ...], expected: str
) -> None:
    place = enrolled(examined, tmp_path, broker.port)
    for file in files:
        shutil.copy(tmp_path / "another" / file, place / file)
    told = examined_files(examined)["certificate name"]
    assert told.level == "bad"
    assert expected in told.text
    assert told.zh


def test_an_authority_of_another_site_is_found(
    examined: LaneSite, tmp_path: Path, broker: OneWordBroker
) -> None:
    place = enrolled(examined, tmp_path, broker.port)
    settings = Settings(site="north", broker_hosts=("127.0.0.1",), scopes=("north",))
    desk.init(tmp_path / "other", settings, datetime.now(UTC))
    shutil.copy(tmp_path / "other/ca/ca.pem", place / "ca.pem")
    assert "not signed by kakou site authority of north" in examined_files(examined)["certificate name"].text


def test_statements_that_do_not_fit_the_key_are_found(
    examined: LaneSite, tmp_path: Path, broker: OneWordBroker
) -> None:
    enrolled(examined, tmp_path, broker.port)
    desk.renew(tmp_path / "office", LANE_IN, datetime.now(UTC), signing_key=True)
    statements = tmp_path / "office" / "devices" / LANE_IN / "keys.json"
    examined.change(("hub_key_file", f'key_statements_file = "{statements}"\nhub_key_file'))
    told = examined_files(examined)["key statements"]
    assert (told.level, f"expected {LANE_IN}-" in told.text) == ("bad", True)


# --- the broker ---------------------------------------------------------------------------------------------


def test_nobody_at_the_brokers_address_is_found(lane_site: LaneSite) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        port = deaf.getsockname()[1]
        lane_site.change((f"port = {lane_site.site.broker_port}\n", f"port = {port}\n"))
        assert f"127.0.0.1:{port}: Connection refused" in bad(lane_site)["broker"]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (BAD_PASSWORD, "refused user 'anna'"),
        (NOT_AUTHORISED, "refused user 'anna'"),
        (None, "no broker answers within"),
    ],
)
def test_wrong_credentials_and_what_is_no_broker_are_found(
    examined: LaneSite, broker: OneWordBroker, tmp_path: Path, code: int | None, expected: str
) -> None:
    (tmp_path / "password").write_text("secret\n")
    (tmp_path / "password").chmod(0o600)
    examined.change(
        (
            f"port = {broker.port}\n",
            f'port = {broker.port}\nusername = "anna"\npassword_file = "{tmp_path}/password"\n',
        )
    )
    broker.code = code
    wrong = bad(examined)
    assert set(wrong) == {"broker"}
    assert expected in wrong["broker"]
    assert "secret" not in wrong["broker"]


def test_the_broker_is_greeted_under_another_name_than_the_lanes(
    examined: LaneSite, broker: OneWordBroker
) -> None:
    """With the same one, a working lane would be thrown out of its connection."""
    bad(examined)
    connects = b"".join(broker.heard)
    assert f"{LANE_IN}-doctor".encode() in connects
    assert connects.count(b"MQTT") == 1


def tls_probe(folder: Path, days: float, *, trusted: bool = True) -> Probe:
    pair = certificate(folder, "broker", days)
    other, _ = certificate(folder, "other", 400.0)
    with OneWordBroker(certificate=pair) as made:
        config = BrokerConfig(host="127.0.0.1", port=made.port, ca_file=pair[0] if trusted else other)
        return probe(config, "x-doctor")


def test_a_brokers_own_certificate_is_looked_at(tmp_path: Path) -> None:
    good = tls_probe(tmp_path, 10.5)
    assert good.outcome == "accepted"
    assert good.certificate_until is not None
    assert timedelta(days=10) < good.certificate_until - datetime.now(UTC) < timedelta(days=11)
    expired = tls_probe(tmp_path, -1.0)
    assert (expired.outcome, "expired" in expired.why) == ("untrusted", True)
    assert tls_probe(tmp_path, 400.0, trusted=False).outcome == "untrusted"


def test_a_brokers_certificate_that_ends_soon_is_found(examined: LaneSite) -> None:
    soon = Probe("accepted", "x", datetime.now(UTC) + timedelta(days=3, hours=1))
    told = {each.check: each for each in examine(examined.config, greet=lambda config, name: soon)}
    assert (told["certificate broker"].level, "3 days" in told["certificate broker"].text) == ("bad", True)


def test_tls_towards_a_broker_that_speaks_plainly_is_found(tmp_path: Path, broker: OneWordBroker) -> None:
    ca, _ = certificate(tmp_path, "ca", 400.0)
    broker.code = None
    found = probe(BrokerConfig(host="127.0.0.1", port=broker.port, ca_file=ca), "x-doctor", 1.0)
    assert found.outcome in ("untrusted", "unreachable", "mute")


# --- beside a working lane ----------------------------------------------------------------------------------


def test_beside_a_working_lane_it_looks_and_touches_no_port(examined: LaneSite) -> None:
    with (
        Journal.open(examined.journal, device=LANE_IN),
        socket.create_server(("127.0.0.1", examined.site.camera_ports[0])),
    ):
        assert is_held(lock_path(examined.journal))
        assert bad(examined) == {}
        assert findings(examined)[1]["program"]["level"] == "good"
        began_s = time.monotonic()
        wrong = bad(examined, "--live")
        assert set(wrong) == {"live"}
        assert time.monotonic() - began_s < 5.0
    assert not is_held(lock_path(examined.journal))


# --- listening ----------------------------------------------------------------------------------------------


def listened(site: LaneSite, launch: Launcher) -> dict[str, tuple[str, str]]:
    doctor = launch.run(kakou("doctor", str(site.config), "--live"), 90.0)
    told = {line["check"]: (line["level"], line["text"]) for line in doctor.lines()}
    assert len(told) == len(doctor.lines())
    wrong = [line["check"] for line in doctor.lines() if line["level"] == "bad"]
    assert doctor.process.returncode == (1 if wrong else 0)
    assert [line["check"] for line in doctor.lines() if line["level"] == "bad" and not line["zh"]] == []
    assert site.physics("relay_pulse") == []
    return told


def wrong_of(told: dict[str, tuple[str, str]]) -> set[str]:
    """Bad ones, those of this machine and of the missing broker left out."""
    return {check for check, (level, _) in told.items() if level == "bad"} - {"disk", "broker"}


@pytest.mark.timeout(180)
def test_live_a_lane_in_order_has_nothing_bad(lane_site: LaneSite, launch: Launcher) -> None:
    lane_site.start_sims()
    told = listened(lane_site, launch)
    assert wrong_of(told) == set()
    assert told["arm"] == ("good", "proven down")
    assert "polls" in told["device io"][1]
    assert "kg" in told["device weighbridge"][1]


@pytest.mark.timeout(180)
def test_live_a_dead_loop_a_silent_scale_and_a_gone_port_are_found(
    lane_site: LaneSite, launch: Launcher
) -> None:
    ports = f"{(lane_site.site.folder / 'ports').resolve()}/{LANE_IN}"
    lane_site.change(
        (f"{ports}-rfid", f"{ports}-gone"),
        ('arm_loop = { input = 1, active = "low" }', 'arm_loop = { input = 1, active = "high" }'),
        ("photocell = { input = 2,", "photocell = { input = 12,"),
    )
    lane_site.start_sims()
    lane_site.tell(f"fault {LANE_IN} weighbridge silence on")
    lane_site.happened("fault", device="weighbridge", on=True)
    told = listened(lane_site, launch)
    assert wrong_of(told) == {
        "port rfid", "wiring arm_loop", "device weighbridge", "device rfid", "arm loop", "photocell",
    }  # fmt: skip
    assert "polarity is swapped" in told["arm loop"][1]
    assert "another input" in told["photocell"][1]
    assert "nothing heard in" in told["device weighbridge"][1]
    assert "gone" in told["device rfid"][1]


@pytest.mark.timeout(180)
def test_live_a_wrong_baud_rate_exchanged_wires_and_a_taken_port_are_found(
    lane_site: LaneSite, launch: Launcher
) -> None:
    """A line at another rate gives bytes, and never a whole frame."""
    lane_site.change(
        ("limit_down = { input = 3,", "limit_down = { input = 4,"),
        ("limit_up = { input = 4,", "limit_up = { input = 3,"),
    )
    lane_site.start_sims()
    lane_site.tell(f"fault {LANE_IN} weighbridge cut on")
    lane_site.happened("fault", device="weighbridge", on=True)
    with (lane_site.site.folder / "ports" / f"{LANE_IN}-scanner").open("rb+", buffering=0) as taken:
        fcntl.flock(taken, fcntl.LOCK_EX)
        told = listened(lane_site, launch)
    assert wrong_of(told) == {"device weighbridge", "device scanner", "arm"}
    assert "wrong baud rate, parity or protocol?" in told["device weighbridge"][1]
    assert "in use by another program" in told["device scanner"][1]
    assert "at neither end" in told["arm"][1] or "exchanged" in told["arm"][1]


@pytest.mark.timeout(180)
def test_live_wires_on_inputs_that_nobody_gives_are_found(lane_site: LaneSite, launch: Launcher) -> None:
    lane_site.change(
        ("arrival_loop = { input = 0,", "arrival_loop = { input = 10,"),
        ("limit_up = { input = 4,", "limit_up = { input = 3,"),
        ("limit_down = { input = 3,", "limit_down = { input = 11,"),
        ("mains = { input = 7,", "mains = { input = 12,"),
        ("stop = { input = 5,", "stop = { input = 13,"),
        ("scale_infrared = { input = 9,", "scale_infrared = { input = 14,"),
    )
    lane_site.start_sims()
    told = listened(lane_site, launch)
    assert wrong_of(told) >= {"arrival loop", "mains", "stop", "scale_infrared"}
    assert told["arm"][0] in ("bad", "note")


def test_on_a_terminal_a_finding_is_a_line_with_what_to_do_in_both_languages(
    examined: LaneSite, launch: Launcher
) -> None:
    (examined.site.folder / "ports" / f"{LANE_IN}-rfid").unlink()
    ours, theirs = os.openpty()
    try:
        shown = launch(kakou("doctor", str(examined.config)), stdout=theirs)
        os.close(theirs)
        text = b""
        with contextlib.suppress(OSError):
            while more := os.read(ours, 65_536):
                text += more
        shown.ended()
    finally:
        os.close(ours)
    (line,) = [each for each in text.decode().splitlines() if "port rfid" in each]
    assert "✘" in line
    assert "no such port" in line
    assert "检查 USB 与串口线" in line
    assert "plug it in" in line
