"""`kakou enrol`: a site folder from its first day to a stolen device, and what it refuses (G10)."""

from __future__ import annotations

import json
import os
import re
import stat
import tarfile
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from typer.testing import CliRunner

from edge.cli import app
from edge.gate import wiring
from edge.gate.config import read_gate_config
from hardware_sims.cast import LANE_IN
from hardware_sims.site import write_site
from sync.enrolment import desk
from sync.enrolment.certificates import (
    Usage,
    key_pem,
    make_authority,
    make_certificate,
    make_revocations,
    make_tls_key,
    name_of,
    pem_of,
    read_certificates,
    read_key,
    read_revocations,
)
from sync.enrolment.desk import Done
from sync.enrolment.folder import EnrolmentRefused, alone, read_register, read_settings
from sync.enrolment.register import Kind, Settings
from sync.hub.archive import Archive
from sync.hub.config import read_hub_config
from sync.hub.wiring import Hub
from sync.link.key_files import own_signer
from sync.link.keys import load_private, load_public
from sync.link.trust import Trust, kid_of

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
SITE = "site-a"


def settings(**changes: object) -> Settings:
    given = Settings(site=SITE, broker_hosts=("broker.example", "10.0.0.5"), scopes=(SITE, "north"))
    return msgspec.structs.replace(given, **changes)


@pytest.fixture
def office(tmp_path: Path) -> Path:
    """A site with its hub and two lanes."""
    folder = tmp_path / "office"
    desk.init(folder, settings(), NOW)
    desk.enrol_hub(folder, NOW)
    desk.enrol_device(folder, "lane-1", Kind.LANE, [], NOW)
    desk.enrol_device(folder, "pda-1", Kind.HANDHELD, ["north"], NOW)
    return folder


def certificate(path: Path) -> x509.Certificate:
    return read_certificates(path.read_bytes(), str(path))[0]


def revoked_serials(path: Path) -> set[int]:
    return {each.serial_number for each in read_revocations(path.read_bytes(), str(path))}


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def unpacked(tar: Path, into: Path) -> Path:
    with tarfile.open(tar) as opened:
        opened.extractall(into, filter="tar")
    return into


# --- what is made -----------------------------------------------------------------------------------------


def test_a_certificate_says_whose_it_is_and_what_it_is_for(office: Path) -> None:
    authority, own = certificate(office / "ca/ca.pem"), certificate(office / "devices/lane-1/tls.pem")
    own.verify_directly_issued_by(authority)
    assert name_of(own) == "lane-1"
    purposes = own.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    names = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["lane-1"]
    assert own.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    assert own.not_valid_before_utc < NOW < NOW + timedelta(days=729) < own.not_valid_after_utc
    assert read_key((office / "devices/lane-1/tls.key").read_bytes(), "").public_key() == own.public_key()


def test_the_brokers_certificate_names_its_hosts_and_proves_a_server(office: Path) -> None:
    desk.broker(office, "mosquitto", None, NOW)
    own = certificate(office / "broker/tls.pem")
    names = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["broker.example"]
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.5"]
    purposes = own.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.SERVER_AUTH]


def test_no_certificate_outlives_its_authority(tmp_path: Path) -> None:
    folder = tmp_path / "office"
    desk.init(folder, settings(authority_days=100), NOW)
    later = NOW + timedelta(days=90)
    desk.enrol_hub(folder, later)
    authority = certificate(folder / "ca/ca.pem")
    assert certificate(folder / "hub/tls.pem").not_valid_after_utc == authority.not_valid_after_utc
    with pytest.raises(EnrolmentRefused, match="begin a new site folder"):
        desk.enrol_device(folder, "lane-1", Kind.LANE, [], NOW + timedelta(days=200))


@pytest.mark.skipif(os.name != "posix", reason="permissions of another kind")
def test_every_key_is_its_owners_alone(office: Path) -> None:
    desk.broker(office, "mosquitto", None, NOW)
    desk.bundle(office, "lane-1", None, NOW)
    for path in office.rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        if path.suffix in (".key", ".tar", ".json") or path.name == "site.toml":
            expected = 0o644 if path.name == "keys.json" else 0o600
            assert mode == expected, f"{path}: {mode:o}"
        elif path.is_dir():
            readable = path.is_relative_to(office / "broker" / "mosquitto")
            assert mode == (0o755 if readable else 0o700), f"{path}: {mode:o}"
    assert stat.S_IMODE(office.stat().st_mode) == 0o700


def test_what_a_bundle_holds_is_what_the_program_needs(office: Path, tmp_path: Path) -> None:
    desk.bundle(office, "lane-1", tmp_path / "lane-1.tar", NOW)
    place = unpacked(tmp_path / "lane-1.tar", tmp_path / "etc") / "lane-1"
    config = tomllib.loads((place / "lane-1.fragment.toml").read_text())
    named = {**config["sync"], **config["spot_check"]}
    for key, value in named.items():
        if key.endswith("_file"):
            assert (tmp_path / "etc" / value).is_file(), key
    assert (config["sync"]["host"], config["sync"]["port"]) == ("broker.example", 8883)
    assert config["sync"]["scope"] == SITE
    assert load_public(place / "hub.pub") == load_private(office / "hub/sign.key").public_key()
    assert bytes.fromhex((place / "draw.key").read_text().strip())
    if os.name == "posix":
        assert stat.S_IMODE((place / "sign.key").stat().st_mode) == 0o600


def test_a_handheld_gets_no_key_of_the_spot_check_and_its_own_scope(office: Path, tmp_path: Path) -> None:
    desk.bundle(office, "pda-1", tmp_path / "pda-1.tar", NOW)
    place = unpacked(tmp_path / "pda-1.tar", tmp_path / "etc") / "pda-1"
    assert not (place / "draw.key").exists()
    assert tomllib.loads((place / "pda-1.fragment.toml").read_text())["sync"]["scope"] == "north"


def test_the_lanes_fragment_takes_its_place_in_a_lanes_config(office: Path, tmp_path: Path) -> None:
    site = write_site(tmp_path / "site", seed=7, vehicles=1, speed=1.0)
    desk.enrol_device(office, LANE_IN, Kind.LANE, [], NOW)
    desk.renew(office, LANE_IN, NOW, signing_key=True)
    desk.bundle(office, LANE_IN, tmp_path / "lane.tar", NOW)
    config = site.lane_config(LANE_IN)
    place = unpacked(tmp_path / "lane.tar", config.parent) / LANE_IN
    text = config.read_text()
    for table in ("sync", "spot_check"):
        text = re.sub(rf"\[{table}\]\n(?:(?!\[).*\n)*", "", text)
    config.write_text(text + (place / f"{LANE_IN}.fragment.toml").read_text())
    read = read_gate_config(config)
    assert (read.sync.host, read.sync.port, read.sync.scope) == ("broker.example", 8883, SITE)
    signer, statements = own_signer(
        read.lane.id, load_private(read.sync.key_file.path), read.sync.key_statements_file
    )
    assert signer.kid.startswith(f"{LANE_IN}-")
    assert statements
    assert wiring.lane_link(read, "", "boot").broker().checked()


def test_the_hubs_bundle_is_a_config_the_hub_reads(office: Path, tmp_path: Path) -> None:
    desk.bundle(office, "hub", tmp_path / "hub.tar", NOW)
    folder = unpacked(tmp_path / "hub.tar", tmp_path / "etc")
    text = (folder / "hub/hub.fragment.toml").read_text()
    (folder / "hub.toml").write_text(text + '[store]\narchive = "archive.sqlite"\n')
    config = read_hub_config(folder / "hub.toml")
    assert (config.site, set(config.devices), config.kid) == (SITE, {"lane-1", "pda-1"}, "hub")
    assert config.records.device_scopes == {"lane-1": (SITE,), "pda-1": ("north",)}


@pytest.mark.parametrize(("days", "told"), [(9, True), (31, False)])
def test_a_hub_says_that_its_own_certificate_ends_soon(tmp_path: Path, days: int, told: bool) -> None:
    folder, now = tmp_path / "office", datetime.now(UTC)
    desk.init(folder, settings(), now)
    desk.enrol_hub(folder, now)
    desk.renew(folder, "hub", now, days=days)
    desk.bundle(folder, "hub", tmp_path / "hub.tar", now)
    etc = unpacked(tmp_path / "hub.tar", tmp_path / "etc")
    text = (etc / "hub/hub.fragment.toml").read_text()
    (etc / "hub.toml").write_text(text + '[store]\narchive = "archive.sqlite"\n')
    hub = Hub(read_hub_config(etc / "hub.toml"))
    archive = Archive.open(etc / "archive.sqlite", own=True)
    for _ in range(3):
        hub._look_at_certificate(archive)
    said = archive._db.execute("SELECT device, code, detail FROM hub_alarms").fetchall()
    archive.close()
    assert len(said) == int(told), "once a day"
    assert [row[:2] for row in said] == [("hub", "certificate_ends")] * int(told)
    assert all(f"{etc}/hub/tls.pem" in row[2] and "8 days left" in row[2] for row in said)


def test_the_brokers_lists_follow_every_device(office: Path, tmp_path: Path) -> None:
    places = [tmp_path / "mosquitto", tmp_path / "nats"]
    for kind, place in zip(("mosquitto", "nats"), places, strict=True):
        desk.broker(office, kind, place, NOW)
    lists = [places[0] / "mosquitto.acl", places[1] / "nats.conf"]
    assert ["xray-1" in file.read_text() for file in lists] == [False, False]
    desk.enrol_device(office, "xray-1", Kind.XRAY, [], NOW)
    assert ["xray-1" in file.read_text() for file in lists] == [True, True]
    desk.revoke(office, "xray-1", NOW)
    assert ["xray-1" in file.read_text() for file in lists] == [False, False]


def test_a_brokers_config_is_the_integrators_after_it_was_written(office: Path, tmp_path: Path) -> None:
    desk.broker(office, "mosquitto", tmp_path / "b", NOW)
    (tmp_path / "b/mosquitto.conf").write_text("mine\n")
    with pytest.raises(EnrolmentRefused, match="nothing was overwritten"):
        desk.broker(office, "mosquitto", tmp_path / "b", NOW)
    desk.enrol_device(office, "lane-2", Kind.LANE, [], NOW)
    assert (tmp_path / "b/mosquitto.conf").read_text() == "mine\n"


@pytest.mark.parametrize(
    "line",
    [
        "tls_version tlsv1.2", "require_certificate true", "use_identity_as_username true",
        "allow_anonymous false", "per_listener_settings true", "max_queued_messages 0",
        "max_queued_bytes 67108864", "max_inflight_messages 100", "persistence true", "autosave_interval 1",
        "allow_zero_length_clientid false",
    ],
)  # fmt: skip
def test_the_limits_a_site_needs_are_in_mosquittos_config(office: Path, tmp_path: Path, line: str) -> None:
    desk.broker(office, "mosquitto", tmp_path / "b", NOW)
    assert line in (tmp_path / "b/mosquitto.conf").read_text().splitlines()


def test_an_older_nats_is_not_given_a_setting_it_does_not_know(office: Path, tmp_path: Path) -> None:
    desk.broker(office, "nats-2.9", tmp_path / "old", NOW)
    desk.broker(office, "nats", tmp_path / "new", NOW)
    old, new = ((tmp_path / each / "nats.conf").read_text() for each in ("old", "new"))
    assert ("sync_interval" in old, "$MQTT.sub.>" in old) == (False, True)
    assert ("sync_interval: always" in new, "$MQTT.sub.>" in new) == (True, False)


# --- renewal ----------------------------------------------------------------------------------------------


def test_a_renewal_makes_everything_of_tls_new_and_takes_nothing_away(office: Path) -> None:
    place = office / "devices/lane-1"
    before = certificate(place / "tls.pem")
    signing = (place / "sign.key").read_bytes()
    desk.renew(office, "lane-1", NOW + timedelta(days=700))
    after = certificate(place / "tls.pem")
    assert after.public_key() != before.public_key()
    assert after.not_valid_after_utc > before.not_valid_after_utc
    assert revoked_serials(office / "ca/crl.pem") == set(), "the old one is valid until it ends"
    assert (place / "sign.key").read_bytes() == signing
    assert len(list((place / "old").iterdir())) == 2
    row = read_register(office).find("lane-1")
    assert row is not None
    assert [int(each.number, 16) for each in row.serials] == [before.serial_number, after.serial_number]


def test_a_new_signing_key_is_vouched_for_by_the_one_before(office: Path, tmp_path: Path) -> None:
    first = load_public(office / "devices/lane-1/sign.pub")
    for days in (1, 2):
        desk.renew(office, "lane-1", NOW + timedelta(days=days), signing_key=True)
    trust = Trust.of("lane-1", first).told((office / "devices/lane-1/keys.json").read_bytes())
    in_force = load_private(office / "devices/lane-1/sign.key").public_key()
    assert (trust.number, trust.current) == (3, kid_of("lane-1", in_force))
    desk.bundle(office, "lane-1", tmp_path / "l.tar", NOW)
    place = unpacked(tmp_path / "l.tar", tmp_path / "etc") / "lane-1"
    assert tomllib.loads((place / "lane-1.fragment.toml").read_text())["sync"]["key_statements_file"]
    assert (place / "keys.json").is_file()


def test_retiring_says_that_no_earlier_key_is_believed(office: Path) -> None:
    with pytest.raises(EnrolmentRefused, match="one key only"):
        desk.retire(office, "hub", NOW)
    desk.renew(office, "hub", NOW, signing_key=True)
    desk.retire(office, "hub", NOW + timedelta(seconds=1))
    trust = Trust.of("hub", load_public(office / "hub/sign.pub")).told(
        (office / "hub/keys.json").read_bytes()
    )
    assert len(trust.keys) == 1


def test_a_device_enrolled_after_a_change_of_the_hubs_key_begins_with_the_new_one(
    office: Path, tmp_path: Path
) -> None:
    desk.renew(office, "hub", NOW, signing_key=True)
    desk.bundle(office, "lane-1", tmp_path / "l.tar", NOW)
    pinned = load_public(unpacked(tmp_path / "l.tar", tmp_path / "etc") / "lane-1/hub.pub")
    assert pinned == load_private(office / "hub/sign.key").public_key()
    trust = Trust.of("hub", pinned).told((office / "hub/keys.json").read_bytes())
    assert trust.current == kid_of("hub", pinned)


# --- revocation -------------------------------------------------------------------------------------------


def test_every_certificate_a_revoked_device_ever_had_is_on_the_list(office: Path, tmp_path: Path) -> None:
    desk.broker(office, "mosquitto", tmp_path / "b", NOW)
    desk.renew(office, "lane-1", NOW + timedelta(days=1))
    row = read_register(office).find("lane-1")
    assert row is not None
    desk.revoke(office, "lane-1", NOW + timedelta(days=2))
    assert len(row.serials) == 2
    assert revoked_serials(tmp_path / "b/crl.pem") == {int(each.number, 16) for each in row.serials}


def test_revoking_twice_changes_nothing_but_the_lists_number(office: Path) -> None:
    desk.revoke(office, "lane-1", NOW)
    first = read_register(office).find("lane-1")
    desk.revoke(office, "lane-1", NOW + timedelta(days=1))
    assert read_register(office).find("lane-1") == first
    assert read_register(office).revocations == 3


def test_a_revocation_list_lasts_as_long_as_its_authority(office: Path) -> None:
    """Brokers let nobody in once their list has run out, and nobody brings them a new one."""
    found = read_revocations((office / "ca/crl.pem").read_bytes(), "crl")
    assert found.next_update_utc == certificate(office / "ca/ca.pem").not_valid_after_utc
    assert found.last_update_utc <= NOW - timedelta(hours=12), "nor does a broker's slow clock shut it"


def test_a_place_that_cannot_be_written_is_told_and_the_others_are_right(
    office: Path, tmp_path: Path
) -> None:
    for name in ("gone", "there"):
        desk.broker(office, "mosquitto", tmp_path / name, NOW)
    (tmp_path / "gone").rename(tmp_path / "moved")
    with pytest.raises(EnrolmentRefused, match="a broker does not know yet"):
        desk.revoke(office, "lane-1", NOW)
    assert "user lane-1\n" not in (tmp_path / "there/mosquitto.acl").read_text()
    (tmp_path / "moved").rename(tmp_path / "gone")
    desk.write_lists(office)
    assert "user lane-1\n" not in (tmp_path / "gone/mosquitto.acl").read_text()


# --- an authority that is somebody else's -----------------------------------------------------------------


class Authority:
    """A customer's own, with an intermediate under its root."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.root_key, self.key = rsa.generate_private_key(65537, 2048), make_tls_key()
        root = make_authority(self.root_key, "the customer", NOW, 3650)
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(make_authority(self.key, "issuing", NOW, 1).subject)
            .issuer_name(root.subject)
            .public_key(self.key.public_key())
            .serial_number(77)
            .not_valid_before(NOW - timedelta(days=1))
            .not_valid_after(NOW + timedelta(days=2000))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self.root_key, hashes.SHA256())
        )
        self.chain = folder / "chain.pem"
        self.chain.write_bytes(pem_of(self.certificate, root))
        self.key_file = folder / "issuing.key"
        self.key_file.write_bytes(key_pem(self.key))
        self.folder = folder

    def signs(self, request: Path, usage: Usage = Usage.CLIENT, name: str = "", days: int = 90) -> Path:
        asked = x509.load_pem_x509_csr(request.read_bytes())
        public = asked.public_key()
        assert isinstance(public, ec.EllipticCurvePublicKey)
        made = make_certificate(
            self.key, self.certificate, public, "the customer", name or name_of(asked), usage,
            ("broker.example", "10.0.0.5"), NOW, days,
        )  # fmt: skip
        out = self.folder / f"{made.serial_number:x}.pem"
        out.write_bytes(pem_of(made))
        return out

    def revokes(self, *serials: int) -> Path:
        out = self.folder / "crl.pem"
        made = make_revocations(self.key, self.certificate, [(each, NOW) for each in serials], 1, NOW)
        out.write_bytes(pem_of(made))
        return out


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "customer")


def test_requests_go_out_and_certificates_come_in(tmp_path: Path, authority: Authority) -> None:
    folder = tmp_path / "office"
    desk.init(folder, settings(), NOW, authority=authority.chain)
    assert not (folder / "ca/ca.key").exists()
    desk.enrol_hub(folder, NOW)
    desk.enrol_device(folder, "lane-1", Kind.LANE, [], NOW)
    with pytest.raises(EnrolmentRefused, match="kakou enrol accept lane-1"):
        desk.bundle(folder, "lane-1", None, NOW)
    request = folder / "devices/lane-1/tls.csr"
    for wrong, why in (
        (authority.signs(request, name="lane-2"), "common name is 'lane-2'"),
        (authority.signs(request, usage=Usage.SERVER), "no extended key usage for a client"),
        (authority.signs(folder / "hub/tls.csr"), "for another key"),
        (authority.chain, "for another key"),
    ):
        with pytest.raises(EnrolmentRefused, match=why):
            desk.accept(folder, "lane-1", wrong, NOW)
    with pytest.raises(EnrolmentRefused, match="ended on"):
        desk.accept(folder, "lane-1", authority.signs(request, days=10), NOW + timedelta(days=20))
    desk.accept(folder, "lane-1", authority.signs(request), NOW)
    assert not request.exists()
    assert len(read_certificates((folder / "devices/lane-1/tls.pem").read_bytes(), "")) == 2, (
        "with its issuer"
    )
    desk.bundle(folder, "lane-1", None, NOW)
    with pytest.raises(EnrolmentRefused, match="waits for no certificate"):
        desk.accept(folder, "lane-1", authority.signs(folder / "hub/tls.csr"), NOW)


def test_the_list_of_another_authority_is_taken_when_it_is_its_own(
    tmp_path: Path, authority: Authority
) -> None:
    folder, other = tmp_path / "office", Authority(tmp_path / "stranger")
    desk.init(folder, settings(), NOW, authority=authority.chain)
    desk.enrol_hub(folder, NOW)
    with pytest.raises(EnrolmentRefused, match="kakou enrol crl FILE"):
        desk.broker(folder, "mosquitto", None, NOW)
    with pytest.raises(EnrolmentRefused, match="not signed by"):
        desk.take_revocations(folder, other.revokes(5), NOW)
    with pytest.raises(EnrolmentRefused, match="fetch a newer one"):
        desk.take_revocations(folder, authority.revokes(5), NOW + timedelta(days=2001))
    desk.take_revocations(folder, authority.revokes(5, 6), NOW)
    assert revoked_serials(folder / "ca/crl.pem") == {5, 6}
    done = desk.broker(folder, "mosquitto", None, NOW)
    assert "then `kakou enrol broker mosquitto` again" in done.todo[-1]
    desk.accept(folder, "broker", authority.signs(folder / "broker/tls.csr", Usage.SERVER), NOW)
    desk.broker(folder, "mosquitto", tmp_path / "b", NOW)
    assert (tmp_path / "b/server.pem").exists()


def test_an_authority_brought_with_its_key_signs_here(tmp_path: Path, authority: Authority) -> None:
    folder = tmp_path / "office"
    desk.init(folder, settings(), NOW, authority=authority.chain, authority_key=authority.key_file)
    desk.enrol_hub(folder, NOW)
    own = certificate(folder / "hub/tls.pem")
    own.verify_directly_issued_by(authority.certificate)
    assert own.issuer == authority.certificate.subject


def test_what_is_no_authority_is_refused(tmp_path: Path, authority: Authority) -> None:
    leaf_key = make_tls_key()
    leaf = make_certificate(
        authority.key, authority.certificate, leaf_key.public_key(), "x", "x", Usage.CLIENT, (), NOW, 5
    )
    stranger_root = make_authority(make_tls_key(), "z", NOW, 5)
    files = {
        "leaf": (pem_of(leaf, authority.certificate), "is no authority"),
        "no root": (pem_of(authority.certificate), "expected a root that signed itself"),
        "strangers": (pem_of(authority.certificate, stranger_root), "not signed by the next"),
        "nothing": (b"", "expected one or several certificates"),
    }  # fmt: skip
    for name, (content, why) in files.items():
        path = tmp_path / f"{name}.pem"
        path.write_bytes(content)
        with pytest.raises(EnrolmentRefused, match=why):
            desk.init(tmp_path / "office", settings(), NOW, authority=path)
    stranger = tmp_path / "stranger.key"
    stranger.write_bytes(key_pem(leaf_key))
    with pytest.raises(EnrolmentRefused, match="is not the key of"):
        desk.init(tmp_path / "office", settings(), NOW, authority=authority.chain, authority_key=stranger)
    with pytest.raises(EnrolmentRefused, match="expected beside --ca"):
        desk.init(tmp_path / "office", settings(), NOW, authority_key=stranger)
    with pytest.raises(EnrolmentRefused, match="ended on"):
        desk.init(tmp_path / "office", settings(), NOW + timedelta(days=3000), authority=authority.chain)
    assert not (tmp_path / "office").exists()


# --- refusals ---------------------------------------------------------------------------------------------

Work = Callable[[Path], Done]
LANE = Kind.LANE


def _device(name: str, kind: Kind = LANE, *scopes: str) -> Work:
    return lambda folder: desk.enrol_device(folder, name, kind, scopes, NOW)


REFUSED: dict[str, tuple[Work, str]] = {
    "a second site": (lambda f: desk.init(f, settings(), NOW), "is a site folder already"),
    "the same device": (_device("lane-1"), "is enrolled already"),
    "the hub again": (lambda f: desk.enrol_hub(f, NOW), "is enrolled already"),
    "the hub's name": (_device("hub"), "a name of the site itself"),
    "a wildcard": (_device("+"), "is no name"),
    "a level": (_device("a/b"), "is no name"),
    "a way out": (_device("../x"), "is no name"),
    "capitals": (_device("Lane-2"), "is no name"),
    "a line": (_device("x\nuser hub"), "is no name"),
    "a line at the end": (_device("x\n"), "is no name"),
    "too long": (_device("x" * 41), "is no name"),
    "a strange scope": (_device("x", LANE, "south"), "expected one of site-a"),
    "a kind that is none": (_device("x", Kind.BROKER), "expected one of lane"),
    "nobody renewed": (lambda f: desk.renew(f, "nobody", NOW), "is not enrolled"),
    "nobody revoked": (lambda f: desk.revoke(f, "nobody", NOW), "is not enrolled"),
    "the hub revoked": (lambda f: desk.revoke(f, "hub", NOW), "is the site's own"),
    "nobody bundled": (lambda f: desk.bundle(f, "nobody", None, NOW), "is not enrolled"),
    "a broker of no kind": (lambda f: desk.broker(f, "rabbit", None, NOW), "expected one of mosquitto"),
    "somebody's list": (lambda f: desk.take_revocations(f, f / "x", NOW), "authority is here"),
    "a file in the way": (
        lambda f: desk.bundle(f, "lane-1", f / "site.toml", NOW),
        "nothing was overwritten",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_refusal_says_why_and_changes_nothing(office: Path, what: str) -> None:
    work, why = REFUSED[what]
    before = everything(office)
    with pytest.raises(EnrolmentRefused, match=why):
        work(office)
    assert everything(office) == before


def test_a_revoked_name_never_comes_back(office: Path) -> None:
    desk.revoke(office, "lane-1", NOW)
    works: tuple[Work, ...] = (
        _device("lane-1"),
        lambda f: desk.renew(f, "lane-1", NOW),
        lambda f: desk.bundle(f, "lane-1", None, NOW),
    )
    for work in works:
        with pytest.raises(EnrolmentRefused, match="was revoked on 2026-03-01"):
            work(office)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"site": "Site A"}, "site"),
        ({"site": "site-a\n"}, "site"),
        ({"broker_hosts": ("broker\n",)}, "broker_hosts"),
        ({"broker_hosts": ()}, "broker_hosts"),
        ({"broker_hosts": ('x"\n[evil]',)}, "broker_hosts"),
        ({"scopes": ("+",)}, "scopes"),
        ({"broker_port": 0}, "broker_port"),
    ],
)
def test_settings_that_would_break_a_topic_or_a_file_are_refused(
    tmp_path: Path, change: dict[str, object], why: str
) -> None:
    with pytest.raises(EnrolmentRefused, match=why):
        desk.init(tmp_path / "office", settings(**change), NOW)
    assert not (tmp_path / "office").exists()


@pytest.mark.parametrize(
    ("text", "why"),
    [("", "missing required field"), ("typo = 1\nsite = \"s\"", "unknown field|missing"), ("[", "site.toml")],
)  # fmt: skip
def test_settings_that_were_edited_wrongly_are_named(office: Path, text: str, why: str) -> None:
    (office / "site.toml").write_text(text)
    with pytest.raises(EnrolmentRefused, match=why):
        desk.renew(office, "lane-1", NOW)


def test_a_damaged_register_stops_everything(office: Path) -> None:
    (office / "register.json").write_bytes(b"{")
    with pytest.raises(EnrolmentRefused, match="put back a copy"):
        desk.revoke(office, "lane-1", NOW)


def test_what_was_stopped_half_way_can_be_done_again(office: Path) -> None:
    """A power cut between the first key and the register: nothing of it was given out."""
    place = office / "devices/lane-2"
    place.mkdir()
    (place / "sign.key").write_bytes(b"half a")
    desk.enrol_device(office, "lane-2", Kind.LANE, [], NOW)
    assert load_private(place / "sign.key")
    assert len(list((office / "devices/old").iterdir())) == 1


def test_a_site_is_begun_in_an_empty_folder_only(tmp_path: Path) -> None:
    (tmp_path / "office").mkdir()
    (tmp_path / "office/mine").write_text("")
    with pytest.raises(EnrolmentRefused, match="is not empty"):
        desk.init(tmp_path / "office", settings(), NOW)
    (tmp_path / "office/mine").unlink()
    assert desk.init(tmp_path / "office", settings(), NOW).said


def test_one_command_at_a_time_has_the_folder(office: Path) -> None:
    before = everything(office)
    with alone(office), pytest.raises(EnrolmentRefused, match="is at work"):
        desk.enrol_device(office, "lane-2", Kind.LANE, [], NOW)
    assert everything(office) == before
    assert desk.enrol_device(office, "lane-2", Kind.LANE, [], NOW).said


def test_settings_written_are_the_settings_read(office: Path) -> None:
    assert read_settings(office) == settings()


# --- looking, and the command line ------------------------------------------------------------------------


def states(office: Path, now: datetime) -> dict[str, str]:
    return {row.name: row.state for row in desk.listing(office, now)}


def test_the_list_says_what_ends_and_when(office: Path) -> None:
    desk.enrol_device(office, "lane-2", Kind.LANE, [], NOW, days=40)
    desk.revoke(office, "pda-1", NOW)
    assert states(office, NOW)["lane-2"] == "enrolled"
    assert states(office, NOW + timedelta(days=20))["lane-2"] == "soon"
    assert states(office, NOW + timedelta(days=50))["lane-2"] == "expired"
    assert states(office, NOW)["pda-1"] == "revoked"
    assert states(office, NOW + timedelta(days=3640))["authority"] == "soon"


def run(*args: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["enrol", *args])
    return done.exit_code, done.stdout, done.stderr


def test_the_command_makes_a_site_and_says_what_is_left_to_do(tmp_path: Path) -> None:
    folder = str(tmp_path / "office")
    for args in (
        ("init", "--site", SITE, "--broker", "broker.example", "--broker", "10.0.0.5", "-C", folder),
        ("hub", "-C", folder),
        ("device", "lane-1", "--kind", "lane", "-C", folder),
        ("broker", "mosquitto", "--into", str(tmp_path / "b"), "-C", folder),
        ("bundle", "lane-1", "-C", folder),
    ):
        code, said, complained = run(*args)
        assert (code, complained) == (0, ""), said
        assert "to do: " in said
    code, said, _ = run("list", "--json", "-C", folder)
    assert code == 0
    assert [json.loads(line)["name"] for line in said.splitlines()] == [
        "authority", "revocations", "hub", "lane-1", "broker",
    ]  # fmt: skip
    code, said, _ = run("revoke", "lane-1", "--json", "-C", folder)
    done = msgspec.convert(json.loads(said), Done)
    assert (code, done.said[0]) == (0, "lane-1 is revoked")
    assert any("--only-at-hub" in line for line in done.todo), "the hub is not on this machine"


def test_a_refusal_of_the_command_goes_to_stderr_with_exit_code_one(tmp_path: Path) -> None:
    code, said, complained = run("device", "lane-1", "--kind", "lane", "-C", str(tmp_path))
    assert (code, said) == (1, "")
    assert "kakou enrol init" in complained
    assert run("revoke", "lane-1", "--only-at-hub")[0] == 2
    assert run("device", "lane-1", "--kind", "toaster")[0] == 2


def test_a_list_with_something_to_do_ends_with_exit_code_one(tmp_path: Path) -> None:
    folder = tmp_path / "office"
    now = datetime.now(UTC)
    desk.init(folder, settings(), now)
    desk.enrol_hub(folder, now)
    assert run("list", "-C", str(folder))[0] == 0
    desk.enrol_device(folder, "lane-1", Kind.LANE, [], now, days=3)
    code, said, _ = run("list", "-C", str(folder))
    assert code == 1
    assert "soon" in said


def test_a_device_is_marked_at_the_hub_in_the_same_step(office: Path, tmp_path: Path) -> None:
    desk.bundle(office, "hub", tmp_path / "hub.tar", NOW)
    config = unpacked(tmp_path / "hub.tar", tmp_path / "etc") / "hub.toml"
    fragment = (config.parent / "hub/hub.fragment.toml").read_text()
    config.write_text(fragment + '[store]\narchive = "archive.sqlite"\n')
    code, said, complained = run("revoke", "lane-1", "--hub", str(config), "-C", str(office))
    assert (code, complained) == (0, "")
    assert "the hub takes nothing of lane-1 any more" in said
    archive = Archive.open(config.parent / "archive.sqlite")
    enrolled = archive.enrolled("lane-1")
    archive.close()
    assert enrolled is not None
    assert enrolled.revoked
    code, said, _ = run("revoke", "pda-1", "--only-at-hub", "--hub", str(config))
    assert (code, said.strip()) == (0, "the hub takes nothing of pda-1 any more")
    code, said, _ = run("revoke", "nobody", "--only-at-hub", "--hub", str(config))
    assert code == 1
    assert "knows no nobody" in said


def test_a_hub_that_cannot_write_the_mark_keeps_no_device_on_the_brokers_lists(
    office: Path, tmp_path: Path
) -> None:
    desk.bundle(office, "hub", tmp_path / "hub.tar", NOW)
    config = unpacked(tmp_path / "hub.tar", tmp_path / "etc") / "hub.toml"
    fragment = (config.parent / "hub/hub.fragment.toml").read_text()
    config.write_text(fragment + '[store]\narchive = "archive.sqlite"\n')
    archive = Archive.open(config.parent / "archive.sqlite")
    archive._db.execute(
        "CREATE TRIGGER full BEFORE INSERT ON devices BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
    )
    archive.close()
    code, said, _ = run("revoke", "lane-1", "--hub", str(config), "-C", str(office))
    assert code == 1
    assert "not marked at the hub: IntegrityError: disk is full; try again" in said.replace("\n", " ")
    row = read_register(office).find("lane-1")
    assert row is not None
    assert row.revoked


def test_a_broker_that_cannot_be_told_is_said_with_exit_code_one(office: Path) -> None:
    code, _, complained = run("revoke", "lane-1", "--broker-pid", "1", "-C", str(office))
    assert code == 1
    assert "is no process to signal" in complained
    row = read_register(office).find("lane-1")
    assert row is not None
    assert row.revoked, "it is revoked all the same"
