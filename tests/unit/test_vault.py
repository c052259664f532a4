"""The key of a handheld's stores: who opens it, what a wrong PIN costs, and what a wipe leaves."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
import pytest
from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from edge.cli import app
from edge.handheld import vault_files, wiping
from edge.handheld.vault import KeystoreRefused, WrappedKeys, unwrapped, wrapped
from edge.handheld.vault_files import KEYS, PEPPER, TRIES, Checked, Standing, Vault, VaultRefused, VaultState
from edge.handheld.wiping import Belongings
from edge.runtime import wiping as wiping_of_any
from sync.link.keys import own_secret, shared_secret
from sync.policy import pins
from sync.policy.pin_tries import (
    FIRST_WAIT_S,
    FREE_TRIES,
    FREE_TRIES_OF_DEVICE,
    LONGEST_WAIT_S,
    Moment,
    Tries,
    anchored,
    counted,
    left_s,
    wait_after,
)
from sync.policy.pins import PEPPER_PURPOSE, Cost, PinRefused, PinSecret
from sync.store.enciphered import DataKey, Enciphered
from sync.store.journal import Journal, StoreRefused
from sync.store.records import Records, generation_path, new_generation
from sync.vocabulary.codec import to_json
from sync.vocabulary.facts import Stream
from sync.vocabulary.numbers import UtcText
from sync.vocabulary.records import Officer, OfficerPin, OfficerState, Site

CHEAP = Cost(1024, 1)
CENTRE = Ed25519PrivateKey.from_private_bytes(b"c" * 32)
DEVICE = Ed25519PrivateKey.from_private_bytes(b"d" * 32)
PEPPER_OF_H1 = shared_secret(CENTRE, DEVICE.public_key(), PEPPER_PURPOSE)
SALT = b"s" * 16
UTC = "2026-03-01T08:00:00.000000Z"
SITE = Site(site="site-a", name_zh="口岸", name_en="Port", offline_sign_in_h=72)
SEED = b"o" * 32
PIN, OTHER_PIN = "493027", "820461"


def officer(number: str = "4604001", pin: str = PIN, **fields: Any) -> Officer:
    secret = PinSecret(pins.stretched(pin, SALT, CHEAP), SEED)
    made = pins.made(
        secret,
        officer_no=number,
        salt=SALT,
        cost=CHEAP,
        peppers={"h-1": PEPPER_OF_H1, "h-2": b"2" * 32},
        nonces={"h-1": b"1" * 12, "h-2": b"2" * 12},
        kept=pins.keep(secret, number, own_secret(CENTRE, "pins-kept/v1"), b"k" * 12),
        at_utc=UTC,
    )
    return Officer(
        officer_no=number, public_key="", valid_until=UtcText("2027-01-01T00:00:00Z"), pin=made, **fields
    )


@dataclass
class FakeKeystore:
    """Wraps with a key that never leaves it."""

    key: bytes = field(default_factory=lambda: os.urandom(32))
    destroyed: bool = False

    def wrap(self, secret: bytes) -> bytes:
        return b"n" * 12 + AESGCM(self.key).encrypt(b"n" * 12, secret, None)

    def unwrap(self, wrapped: bytes) -> bytes:
        if self.destroyed:
            raise KeystoreRefused("there is no such key")
        try:
            return AESGCM(self.key).decrypt(wrapped[:12], wrapped[12:], None)
        except InvalidTag as error:
            raise KeystoreRefused("not wrapped here") from error

    def destroy(self) -> None:
        self.destroyed = True


class Device:
    """A vault and the records beside it, as a program has them."""

    def __init__(self, folder: Path, keystore: FakeKeystore | None = None) -> None:
        self.folder = folder
        self.keystore = keystore
        self.at_s = 100.0
        self.boot = "boot-1"
        self.roster = {"4604001": officer(), "4604002": officer("4604002", OTHER_PIN)}
        self.age_s: float | None = 60.0
        self.vault = self.started()

    def started(self) -> Vault:
        """As after any end of the program."""
        self.vault = Vault.open(
            self.folder, device="h-1", boot_id=self.boot, at_s=self.at_s, keystore=self.keystore, cost=CHEAP
        )
        return self.vault

    def tries(self, number: str, pin: str) -> Checked:
        def find() -> Standing:
            assert self.vault.key is not None
            return Standing(self.roster.get(number), SITE, UTC, self.age_s)

        return self.vault.check(number, pin, at_s=self.at_s, peppers=[PEPPER_OF_H1], find=find)

    def outcomes(self, number: str, pin: str, times: int) -> list[str]:
        return [self.tries(number, pin).outcome for _ in range(times)]


@pytest.fixture
def device(tmp_path: Path) -> Device:
    made = Device(tmp_path)
    made.vault.begin()
    return made


# --- PINs at the centre and on the device -----------------------------------------------------------------


def test_a_pin_is_proved_to_the_device_it_was_set_for_and_gives_the_officers_key() -> None:
    entries = officer().pin
    assert entries is not None
    right = pins.proved(PIN, "4604001", entries, "h-1", [PEPPER_OF_H1])
    assert right is not None
    assert right.seed == SEED
    assert pins.proved("493028", "4604001", entries, "h-1", [PEPPER_OF_H1]) is None
    assert pins.proved(PIN, "4604002", entries, "h-1", [PEPPER_OF_H1]) is None
    assert pins.proved(PIN, "4604001", entries, "h-1", [b"q" * 32]) is None
    with pytest.raises(PinRefused, match="expected an entry for h-9"):
        pins.proved(PIN, "4604001", entries, "h-9", [PEPPER_OF_H1])


def test_nothing_in_a_record_can_be_guessed_on_without_a_pepper() -> None:
    """Two peppers give two entries of which neither tells whether the other is of the same PIN."""
    entries = officer().pin
    assert entries is not None
    assert entries.devices["h-1"] != entries.devices["h-2"]
    text = to_json(entries)
    for secret in (PIN.encode(), SEED, pins.stretched(PIN, SALT, CHEAP)):
        assert secret not in text
        assert secret.hex().encode() not in text


def test_the_pepper_is_what_both_ends_make_of_their_own_keys() -> None:
    theirs = shared_secret(DEVICE, CENTRE.public_key(), PEPPER_PURPOSE)
    assert theirs == PEPPER_OF_H1
    other = Ed25519PrivateKey.from_private_bytes(b"e" * 32)
    assert shared_secret(other, CENTRE.public_key(), PEPPER_PURPOSE) != theirs
    assert shared_secret(DEVICE, CENTRE.public_key(), "something-else/v1") != theirs


def test_the_centre_makes_entries_for_further_devices_from_what_it_keeps() -> None:
    entries = officer().pin
    assert entries is not None
    secret = pins.kept_open(entries.kept, "4604001", own_secret(CENTRE, "pins-kept/v1"))
    assert secret == PinSecret(pins.stretched(PIN, SALT, CHEAP), SEED)
    with pytest.raises(PinRefused, match="set the PIN again"):
        pins.kept_open(entries.kept, "4604001", own_secret(DEVICE, "pins-kept/v1"))
    with pytest.raises(PinRefused, match="set the PIN again"):
        pins.kept_open(entries.kept, "4604002", own_secret(CENTRE, "pins-kept/v1"))


@pytest.mark.parametrize(
    "pin", ["", "12345", "1234567890123", "49302x", "４９３０２７", "121212", "890123", "987654"]
)
def test_what_is_tried_first_is_no_pin(pin: str) -> None:
    with pytest.raises(PinRefused) as refused:
        pins.must_be_pin(pin)
    assert pin not in str(refused.value) or not pin


@pytest.mark.parametrize("field", ["salt", "devices"])
def test_a_spoiled_entry_opens_for_nobody_and_is_told(field: str) -> None:
    entries = officer().pin
    assert entries is not None
    spoiled: dict[str, Any] = {"salt": "!" * 24, "devices": {"h-1": "AAAA"}}
    made = msgspec.structs.replace(entries, **{field: spoiled[field]})
    with pytest.raises(PinRefused):
        pins.proved(PIN, "4604001", made, "h-1", [PEPPER_OF_H1])


def test_a_record_cannot_ask_a_device_for_more_memory_than_it_has() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(
            b'{"salt":"","memory_kib":4000000,"passes":1,"set_at":"2026-03-01T08:00:00Z"}', type=OfficerPin
        )


def test_an_installation_that_cannot_stretch_says_so_before_a_pin_is_called_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object) -> bytes:
        raise UnsupportedAlgorithm("no Argon2id")

    monkeypatch.setattr(pins, "stretched", missing)
    with pytest.raises(VaultRefused, match=r"PINs need Argon2id .no Argon2id.: install kakou.handheld"):
        Vault.open(tmp_path, device="h-1", boot_id="b", at_s=0.0)


# --- wrapping ---------------------------------------------------------------------------------------------


def test_a_data_key_is_opened_by_the_pin_on_the_device_and_by_nothing_else() -> None:
    key = DataKey.at_random()
    slot = wrapped(key, "4604001", PIN, pepper=b"p" * 32, salt=SALT, nonce=b"n" * 12, cost=CHEAP)
    assert unwrapped(slot, PIN, b"p" * 32) == key
    assert unwrapped(slot, "493028", b"p" * 32) is None
    assert unwrapped(slot, PIN, b"q" * 32) is None
    assert unwrapped(msgspec.structs.replace(slot, officer_no="4604002"), PIN, b"p" * 32) is None
    assert key.for_wrapping() not in msgspec.json.encode(slot)


def test_several_officers_open_the_same_key_and_each_goes_alone(device: Device) -> None:
    key = DataKey(device.vault.key.for_wrapping())
    assert device.outcomes("4604001", PIN, 1) == ["right"]
    assert device.outcomes("4604002", OTHER_PIN, 1) == ["right"]
    for number, pin in (("4604001", PIN), ("4604002", OTHER_PIN)):
        assert device.started().state is VaultState.LOCKED
        assert device.tries(number, pin).opened
        assert device.vault.key == key
    device.vault.forget("4604001")
    device.started()
    assert device.outcomes("4604001", PIN, 1) == ["unknown"]
    assert device.outcomes("4604002", OTHER_PIN, 1) == ["right"]


def test_a_pin_changed_at_the_centre_wraps_the_same_key_anew(device: Device) -> None:
    key = DataKey(device.vault.key.for_wrapping())
    device.tries("4604001", PIN)
    device.roster["4604001"] = officer(pin=OTHER_PIN)
    assert device.outcomes("4604001", PIN, 1) == ["wrong"]
    assert device.outcomes("4604001", OTHER_PIN, 1) == ["right"]
    device.started()
    assert device.outcomes("4604001", PIN, 1) == ["wrong"]
    assert device.vault.state is VaultState.LOCKED
    told = device.tries("4604001", OTHER_PIN)
    assert (told.outcome, told.opened) == ("right", True)
    assert device.vault.key == key


def test_a_keystore_opens_at_the_start_and_no_pin_is_wrapped_with(tmp_path: Path) -> None:
    keystore = FakeKeystore()
    device = Device(tmp_path, keystore)
    key = DataKey(device.vault.begin().for_wrapping())
    assert device.started().state is VaultState.OPEN
    assert device.vault.key == key
    assert device.outcomes("4604001", PIN, 1) == ["right"]
    assert device.vault.officers() == ()
    keystore.destroy()
    with pytest.raises(VaultRefused, match="keystore of this device does not unwrap"):
        device.started()


def test_what_nobody_signed_in_to_has_no_key_on_the_disk(tmp_path: Path) -> None:
    device = Device(tmp_path)
    assert device.vault.state is VaultState.FRESH
    device.vault.begin()
    assert [device.vault.state, device.started().state] == [VaultState.OPEN, VaultState.FRESH]
    with pytest.raises(StoreRefused, match="sign in first"):
        _ = device.vault.key


def test_neither_key_nor_pin_nor_pepper_of_the_centre_ever_lies_on_the_disk(device: Device) -> None:
    secrets = [device.vault.key.for_wrapping(), PIN.encode(), SEED, PEPPER_OF_H1]
    secrets.append(pins.stretched(PIN, SALT, CHEAP))
    device.tries("4604001", "000111")
    device.tries("4604001", PIN)
    files = list(device.folder.iterdir())
    assert {file.name for file in files} == {KEYS, PEPPER, TRIES}
    assert [oct(file.stat().st_mode & 0o777) for file in files] == ["0o600"] * 3
    for file in files:
        content = file.read_bytes()
        for secret in secrets:
            assert secret not in content
            assert secret.hex().encode() not in content


def test_the_last_officer_goes_only_when_another_is_there_since_facts_may_be_owed(device: Device) -> None:
    device.tries("4604001", PIN)
    device.roster["4604001"] = officer(state=OfficerState.REVOKED)
    assert device.outcomes("4604001", PIN, 1) == ["revoked"]
    assert device.started().state is VaultState.LOCKED
    told = device.tries("4604001", PIN)
    assert (told.outcome, told.opened) == ("revoked", True)
    assert device.outcomes("4604002", OTHER_PIN, 1) == ["right"]
    assert device.vault.officers() == ("4604002",)


@pytest.mark.parametrize("name", [KEYS, PEPPER])
def test_damaged_files_of_the_vault_are_refused_with_what_to_do_and_never_begun_anew(
    device: Device, name: str
) -> None:
    device.tries("4604001", PIN)
    (device.folder / name).write_bytes(b"{")
    with pytest.raises(VaultRefused, match="wipe it"):
        device.started()


# --- who may sign in --------------------------------------------------------------------------------------


def test_who_may_not_sign_in_is_told_why(device: Device) -> None:
    device.roster["4604003"] = msgspec.structs.replace(officer("4604003"), pin=None)
    device.roster["4604004"] = officer("4604004", state=OfficerState.REVOKED)
    device.roster["4604005"] = msgspec.structs.replace(
        officer("4604005"), valid_until=UtcText("2026-03-01T08:00:00Z")
    )
    told = [device.tries(number, PIN).outcome for number in ("4604009", "4604003", "4604004", "4604005")]
    assert told == ["unknown", "unknown", "revoked", "expired"]


@pytest.mark.parametrize(
    ("age_s", "outcome"),
    [(72 * 3600.0, "right"), (72 * 3600.0 + 1, "too_long_offline"), (None, "too_long_offline")],
)
def test_signing_in_without_a_network_ends_with_the_sites_hours(
    device: Device, age_s: float | None, outcome: str
) -> None:
    device.age_s = age_s
    assert device.tries("4604001", PIN).outcome == outcome


# --- wrong PINs -------------------------------------------------------------------------------------------


@given(st.integers(0, 10_000), st.integers(1, 20))
def test_the_wait_never_falls_with_more_tries_and_has_an_end(count: int, free: int) -> None:
    assert wait_after(count, free) <= wait_after(count + 1, free) <= LONGEST_WAIT_S


@given(st.integers(0, 50), st.floats(0, 1e9), st.floats(-1e9, 1e9), st.booleans())
def test_no_clock_and_no_start_shortens_a_wait(count: int, at_s: float, later_s: float, new: bool) -> None:
    """Only time that passed in the same boot counts."""
    tries = Tries(count=count, boot_id="a", at_s=at_s)
    now = Moment("b" if new else "a", later_s)
    passed_s = 0.0 if new else max(0.0, later_s - at_s)
    assert left_s(tries, now, FREE_TRIES) >= wait_after(count, FREE_TRIES) - passed_s - 1e-6
    again = anchored(tries, now)
    assert again.count == count
    assert left_s(again, now, FREE_TRIES) >= left_s(tries, now, FREE_TRIES) - 1e-6
    assert left_s(again, now, FREE_TRIES) <= LONGEST_WAIT_S
    over = Moment(now.boot_id, now.at_s + wait_after(count, FREE_TRIES))
    assert left_s(again, over, FREE_TRIES) <= 1e-3


def test_wrong_pins_slow_down_and_the_right_one_ends_it(device: Device) -> None:
    assert device.outcomes("4604001", "111222", FREE_TRIES) == ["wrong"] * FREE_TRIES
    told = device.tries("4604001", PIN)
    assert (told.outcome, told.tries, told.wait_s) == ("wait", FREE_TRIES, FIRST_WAIT_S)
    device.at_s += FIRST_WAIT_S - 0.5
    assert device.tries("4604001", PIN).outcome == "wait"
    device.at_s += 0.5
    told = device.tries("4604001", "111222")
    assert (told.outcome, told.tries, told.wait_s) == ("wrong", FREE_TRIES + 1, 2 * FIRST_WAIT_S)
    assert device.outcomes("4604002", OTHER_PIN, 1) == ["right"]
    device.at_s += 2 * FIRST_WAIT_S
    assert device.tries("4604001", PIN).outcome == "right"
    assert device.outcomes("4604001", "111222", 1) == ["wrong"]


def test_a_wait_survives_restarts_reboots_and_clocks(device: Device) -> None:
    device.outcomes("4604001", "111222", FREE_TRIES)
    device.started()
    device.at_s += 10
    assert device.tries("4604001", PIN).wait_s == FIRST_WAIT_S - 10
    device.boot, device.at_s = "boot-2", 3.0
    device.started()
    assert device.tries("4604001", PIN).wait_s == FIRST_WAIT_S
    device.at_s += 12
    device.started()
    assert device.tries("4604001", PIN).wait_s == FIRST_WAIT_S - 12


def test_trying_one_after_another_of_the_roster_slows_down_too(device: Device) -> None:
    told = [device.tries(f"46050{number:02}", "111222").outcome for number in range(FREE_TRIES_OF_DEVICE + 2)]
    assert told == ["unknown"] * FREE_TRIES_OF_DEVICE + ["wait"] * 2


def test_a_try_is_counted_before_the_pin_is_looked_at(device: Device) -> None:
    """A program killed while it checks has used a try."""

    def killed() -> Standing:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        device.vault.check("4604001", PIN, at_s=device.at_s, peppers=[PEPPER_OF_H1], find=killed)
    device.started()
    assert device.vault._of("4604001").count == 1


def test_a_spoiled_count_frees_nobody(device: Device) -> None:
    device.tries("4604001", PIN)
    (device.folder / TRIES).write_bytes(b"\xff{")
    device.started()
    assert device.tries("4604001", PIN).outcome == "wait"


def test_where_a_try_cannot_be_counted_nobody_tries(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(vault_files, "replace_whole", full)
    with pytest.raises(VaultRefused, match="nobody signs in"):
        device.tries("4604001", PIN)


def test_pins_and_keys_do_not_print_themselves() -> None:
    told = Checked("right", seed=SEED)
    shown = repr((told, PinSecret(SALT, SEED), pins.PinProved(SEED), counted(Tries(), Moment("b", 1.0))))
    assert "ooo" not in shown
    assert "sss" not in shown


# --- wiping -----------------------------------------------------------------------------------------------


class Filled:
    """A device with all a handheld keeps."""

    def __init__(self, folder: Path, *, fill: bool = True) -> None:
        self.folder = folder
        self.store, self.pictures, self.secret = folder / "store", folder / "pictures", folder / "device.pem"
        self.belongings = Belongings(self.store, (self.pictures,), (self.secret,))
        self.device = Device(folder / "vault")
        if fill:
            self.fill()

    def copied(self, folder: Path) -> Filled:
        shutil.copytree(self.folder, folder)
        return Filled(folder, fill=False)

    def fill(self) -> None:
        opener = Enciphered(self.device.vault.begin())
        self.store.mkdir()
        Journal.open(self.store / "journal.sqlite", device="h-1", opener=opener).close()
        new_generation(self.store, 1, "site", "e", opener=opener)
        (self.store / "snapshot.packed").write_bytes(b"half")
        self.pictures.mkdir()
        (self.pictures / "one").write_bytes(b"picture")
        self.secret.write_bytes(b"secret")
        self.device.tries("4604001", PIN)
        self.device.tries("4604002", OTHER_PIN)
        self.device.vault.close()

    def read_from_the_disk(self) -> bool:
        """As somebody does who has the disk and a PIN, and heeds no mark."""
        try:
            keys = msgspec.json.decode((self.folder / "vault" / KEYS).read_bytes(), type=WrappedKeys)
            pepper = (self.folder / "vault" / PEPPER).read_bytes()
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return False
        slots = zip(keys.officers, (PIN, OTHER_PIN), strict=True)
        found = [unwrapped(slot, pin, pepper) for slot, pin in slots]
        key = next((key for key in found if key is not None), None)
        if key is None:
            return False
        with Records.open(generation_path(self.store, 1), opener=Enciphered(key)) as records:
            return records.feed_state().scope == "site"

    def wipe(self) -> None:
        vault = self.device.started()
        wiping.erased(vault, self.belongings)
        wiping.finished(vault, self.belongings)


WHOLE = sorted(
    {"device.pem", "journal.sqlite", "journal.sqlite.lock", "one", "records-1.sqlite", "snapshot.packed"}
    | {KEYS, PEPPER, TRIES}
)
_TRACED = {module.__file__ for module in (vault_files, wiping, wiping_of_any)}


def killed_after(lines: int, work: Callable[[], object]) -> bool:
    """Do it in a child that is killed (-9) before it has run so many lines of the rooms that destroy; whether
    it came to its end."""
    child = os.fork()
    if child == 0:
        left = lines

        def line(frame: FrameType, event: str, _: object) -> Any:
            nonlocal left
            if frame.f_code.co_filename not in _TRACED:
                return None
            if event == "line":
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return line

        sys.settrace(line)
        work()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFEXITED(status)


def test_a_wipe_killed_at_any_instant_leaves_all_to_be_read_or_nothing_and_the_next_start_finishes(
    tmp_path: Path,
) -> None:
    """`KAKOU_KILL_POINTS`: after every line that is run; without it after every few."""
    step = 1 if os.environ.get("KAKOU_KILL_POINTS") else 7
    model = Filled(tmp_path / "model")
    assert model.read_from_the_disk()
    read: list[bool] = []
    ended = False
    while not ended:
        filled = model.copied(tmp_path / str(len(read)))
        ended = killed_after(step * len(read), filled.wipe)
        read.append(filled.read_from_the_disk())
        # Where it can be read, nothing at all is missing: there is but the mark that a wipe began.
        assert not read[-1] or sorted({*all_files(filled.folder)} - {vault_files.WIPING}) == WHOLE
        vault = filled.device.started()
        if vault.state is VaultState.WIPING:
            assert vault.check("4604001", PIN, at_s=0, peppers=[], find=_nothing).outcome == "revoked"
            assert wiping.finished(vault, filled.belongings) == ""
            assert all_files(filled.folder) == []
    assert (read[0], read[-1]) == (True, False)
    assert read == sorted(read, reverse=True)
    assert step * len(read) > 100


def all_files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def _nothing() -> Standing:
    raise AssertionError("nobody is looked up while a device is being wiped")


def test_where_the_key_cannot_be_destroyed_nothing_else_is_and_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled = Filled(tmp_path)
    vault = filled.device.started()

    def refuses(_path: Path) -> str:
        return "vault.keys: Input/output error"

    monkeypatch.setattr(vault_files, "_destroyed", refuses)
    assert "Input/output error" in wiping.erased(vault, filled.belongings)
    assert set(WHOLE) <= set(all_files(filled.folder))


def test_a_wiped_keystore_opens_nothing_even_with_the_file_put_back(tmp_path: Path) -> None:
    keystore = FakeKeystore()
    device = Device(tmp_path, keystore)
    device.vault.begin()
    kept = (tmp_path / KEYS).read_bytes()
    assert device.vault.shred() == ""
    (tmp_path / vault_files.WIPING).unlink()
    (tmp_path / KEYS).write_bytes(kept)
    with pytest.raises(VaultRefused):
        device.started()


def test_stores_without_a_key_go_and_the_next_journal_says_what_was_here(tmp_path: Path) -> None:
    filled = Filled(tmp_path)
    assert wiping.destroyed_stores(filled.belongings) == ""
    assert {*all_files(filled.store)} == {"journal.sqlite.lock"}
    opener = Enciphered(DataKey.at_random())
    with Journal.open(filled.store / "journal.sqlite", device="h-1", opener=opener) as journal:
        (first,) = journal.facts_from(Stream.ALARM, 1, max_facts=1, max_bytes=10_000)
    assert "was here before, up to position 1" in first.body


def test_a_device_that_was_wiped_can_be_set_up_anew(tmp_path: Path) -> None:
    filled = Filled(tmp_path)
    vault = filled.device.started()
    assert wiping.erased(vault, filled.belongings) == ""
    assert vault.state is VaultState.WIPING
    assert wiping.finished(vault, filled.belongings) == ""
    assert filled.device.started().state is VaultState.FRESH


# --- by hand ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("officer", "typed", "code", "told"),
    [
        ("4604001", PIN, 0, '"ok": true'),
        ("4604001", "111222", 1, "wrong PIN"),
        ("4604009", PIN, 1, "unknown PIN"),
        (None, "", 1, "is not a journal file of kakou"),
    ],
)
def test_a_handhelds_journal_is_verified_and_exported_with_an_officers_pin(
    tmp_path: Path, officer: str | None, typed: str, code: int, told: str
) -> None:
    filled = Filled(tmp_path)
    shutil.copytree(tmp_path / "vault", filled.store, dirs_exist_ok=True)
    words = [] if officer is None else ["--officer", officer]
    journal = str(filled.store / "journal.sqlite")
    done = CliRunner().invoke(app, ["journal", "verify", journal, *words, "--json"], input=typed)
    assert (done.exit_code, told in done.stdout + done.stderr) == (code, True)
    exported = CliRunner().invoke(app, ["journal", "export", journal, *words], input=typed)
    assert (exported.exit_code, "epoch_began" in exported.stdout) == (code, code == 0)
