"""`kakou centre officer-pin`: what goes down proves a PIN to the handhelds named, and nothing more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from edge.cli import app
from sync.hub.archive import RecordChange
from sync.hub.centre import By, CentreRefused
from sync.hub.importing import import_files
from sync.hub.pins import Pins
from sync.link.keys import make_private, private_pem, shared_secret, signature_holds
from sync.link.trust import rolled
from sync.policy.pins import PEPPER_PURPOSE, Cost, PinProved, proved
from sync.vocabulary.codec import from_json, to_json
from sync.vocabulary.numbers import UtcText
from sync.vocabulary.records import Officer
from tests.unit.test_centre_cli import HUB_TOML
from tests.unit.test_hub_device import AT, HUB_KEY, Bench, Device

BY = By(("4604000",), "handed out in person")
PIN = "493027"
CHEAP = Cost(1024, 1)
WORDS = ("--officer", "4604000", "--reason", "handed out in person")


class Desk:
    def __init__(self, folder: Path) -> None:
        self.devices = {name: Device(name) for name in ("h-1", "h-2", "h-3")}
        self.bench = Bench(folder, *self.devices.values())
        self.archive = self.bench.archive
        self.pins = Pins(self.archive, HUB_KEY, cost=CHEAP)
        for number in ("4604001", "4604002"):
            record = Officer(
                officer_no=number,
                public_key="old",
                authorisations=("inspect",),
                valid_until=UtcText("2027-01-01T00:00:00Z"),
            )
            body = to_json(record).decode().replace('"old"', '"old","later_field":1')
            with self.archive.transaction():
                self.archive.apply_changes("site", [RecordChange("officers", number, body)], AT)

    def officer(self, number: str = "4604001") -> Officer:
        body = self.archive.record("officers", number, "site")
        assert body is not None
        assert '"later_field":1' in body
        return from_json(body.encode(), Officer)

    def good_on(self, number: str = "4604001") -> set[str]:
        entries = self.officer(number).pin
        return set(entries.devices) if entries is not None else set()

    def is_right(self, device: str, pin: str = PIN, number: str = "4604001") -> PinProved | None:
        """As the device sees it, by its own key."""
        entries = self.officer(number).pin
        assert entries is not None
        pepper = shared_secret(self.devices[device].private, HUB_KEY.public_key(), PEPPER_PURPOSE)
        return proved(pin, number, entries, device, [pepper])


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.archive.close()


def test_a_pin_is_good_on_the_handhelds_named(desk: Desk) -> None:
    desk.pins.set("site", "4604001", PIN, ["h-1", "h-2"], BY, AT)
    assert desk.is_right("h-1") is not None
    assert desk.is_right("h-2") is not None
    assert desk.is_right("h-1", "493028") is None
    assert desk.good_on() == {"h-1", "h-2"}
    assert PIN not in str(desk.archive.record("officers", "4604001", "site"))


def test_a_new_pin_keeps_devices_and_signing_key(desk: Desk) -> None:
    desk.pins.set("site", "4604001", PIN, ["h-1"], BY, AT, new_key=True)
    first, public = desk.is_right("h-1"), desk.officer().public_key
    desk.pins.set("site", "4604001", "820461", [], BY, AT)
    assert desk.is_right("h-1") is None
    assert desk.is_right("h-1", "820461") == first
    assert desk.officer().public_key == public != "old"


def test_the_key_that_comes_with_a_pin_is_the_one_the_lanes_know(desk: Desk) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    desk.pins.set("site", "4604001", PIN, ["h-1"], BY, AT, new_key=True)
    right = desk.is_right("h-1")
    assert right is not None
    signature = Ed25519PrivateKey.from_private_bytes(right.seed).sign(b"code")
    assert signature_holds(desk.officer().public_key, b"code", signature)


def test_a_handheld_enrolled_later_is_given_everybody_without_a_pin_typed(desk: Desk) -> None:
    desk.pins.set("site", "4604001", PIN, ["h-1"], BY, AT)
    desk.pins.set("site", "4604002", "820461", ["h-1", "h-2"], BY, AT)
    desk.archive.revoke("h-2")
    assert desk.pins.refresh("site", ["h-3"], [], BY, AT) == (2, ())
    assert desk.is_right("h-3") is not None
    assert desk.is_right("h-3", "820461", "4604002") is not None
    assert desk.good_on("4604002") == {"h-1", "h-3"}


def test_a_pin_changes_no_other_officers_record_and_is_told_in_the_centres_acts(desk: Desk) -> None:
    before = desk.archive.record("officers", "4604002", "site")
    desk.pins.set("site", "4604001", PIN, ["h-1"], BY, AT)
    assert desk.archive.record("officers", "4604002", "site") == before
    (act,) = desk.archive.acts(1)
    assert (act.act, act.subject, act.officers, act.detail) == ("set_pin", "4604001", BY.officers, "h-1")


def test_a_roster_imported_again_leaves_the_pin_where_it_is(desk: Desk, tmp_path: Path) -> None:
    desk.pins.set("site", "4604001", PIN, ["h-1"], BY, AT, new_key=True)
    public = desk.officer().public_key
    row = {"officer_no": "4604001", "public_key": "", "valid_until": "2028-01-01T00:00:00Z"}
    file = tmp_path / "roster.json"
    file.write_text(json.dumps({"officers": [row]}), encoding="utf-8")
    import_files(desk.archive, "site", [file], AT)
    body = desk.archive.record("officers", "4604001", "site")
    assert body is not None
    officer = from_json(body.encode(), Officer)
    assert (officer.valid_until, officer.public_key) == (UtcText("2028-01-01T00:00:00Z"), public)
    assert officer.pin is not None
    assert set(officer.pin.devices) == {"h-1"}


def test_no_pin_any_more(desk: Desk) -> None:
    desk.pins.set("site", "4604001", PIN, ["h-1"], BY, AT)
    desk.pins.clear("site", "4604001", BY, AT)
    assert desk.officer().pin is None


@pytest.mark.parametrize(
    ("officer_no", "pin", "devices", "why"),
    [
        ("4604009", PIN, ["h-1"], "not on the roster"),
        ("4604001", "123456", ["h-1"], "no digits in sequence"),
        ("4604001", PIN, ["h-9"], "h-9 is not enrolled"),
        ("4604001", PIN, [], "expected --device"),
    ],
)
def test_what_cannot_be_is_refused(
    desk: Desk, officer_no: str, pin: str, devices: list[str], why: str
) -> None:
    with pytest.raises(CentreRefused, match=why) as refused:
        desk.pins.set("site", officer_no, pin, devices, BY, AT)
    assert pin not in str(refused.value)


def test_another_key_of_the_centre_asks_for_the_pin_again(desk: Desk) -> None:
    desk.pins.set("site", "4604001", PIN, ["h-1"], BY, AT)
    other = Pins(desk.archive, make_private(), cost=CHEAP)
    count, (left,) = other.refresh("site", [], [], BY, AT)
    assert (count, "set the PIN again" in left) == (0, True)
    assert desk.is_right("h-1") is not None


def test_a_handheld_with_a_new_signing_key_is_given_entries_for_it(desk: Desk) -> None:
    desk.pins.set("site", "4604001", PIN, ["h-1"], BY, AT)
    device = desk.devices["h-1"]
    new = make_private()
    chain = rolled("h-1", device.private, new.public_key(), b"", issued=AT)
    with desk.archive.transaction():
        desk.archive.keep_statements("h-1", chain.decode())
    desk.pins.refresh("site", [], [], BY, AT)
    assert desk.is_right("h-1") is None
    device.private = new
    assert desk.is_right("h-1") is not None


@pytest.mark.parametrize(("typed", "code"), [("493027\n", 0), ("111111\n", 1), ("", 1)])
def test_the_command_reads_the_pin_from_stdin_and_never_prints_it(
    desk: Desk, tmp_path: Path, typed: str, code: int
) -> None:
    config = tmp_path / "hub.toml"
    config.write_text(HUB_TOML, encoding="utf-8")
    (tmp_path / "hub.key").write_bytes(private_pem(HUB_KEY))
    (tmp_path / "hub.key").chmod(0o600)
    words = ["centre", "officer-pin", str(config), "4604001", "--device", "h-1", *WORDS, "--json"]
    done = CliRunner().invoke(app, words, input=typed)
    assert (done.exit_code, typed.strip() in done.stdout + done.stderr) == (code, not typed)
    assert (desk.officer().pin is not None) == (code == 0)
    again = CliRunner().invoke(app, ["centre", "pin-devices", str(config), "--add", "h-2", *WORDS, "--json"])
    told: dict[str, Any] = json.loads(again.stdout)
    assert told == {"officers": 1 - code, "left": []}
