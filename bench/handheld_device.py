"""A handheld's folder as enrolment and a first sync leave it: keys, config, an enciphered store with an
officer whose PIN opens it. For tests and measures; nothing of it is a default.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.handheld.config import HandheldConfig, read_handheld_config
from edge.handheld.vault_files import Standing, Vault
from edge.runtime.clock import Clock, SystemClock
from sync.link.keys import private_pem, public_pem, shared_secret
from sync.policy import pins
from sync.policy.pins import PEPPER_PURPOSE, Cost, PinSecret
from sync.store.enciphered import Enciphered
from sync.store.journal import Journal
from sync.store.records import Records, generation_path, new_generation
from sync.vocabulary.codec import to_json
from sync.vocabulary.numbers import UtcText
from sync.vocabulary.records import Officer, Record, Site, key_of

DEVICE, SITE = "handheld-1", "zhengzhou"
OFFICER, PIN = "4604001", "493027"
SECOND, SECOND_PIN = "4604002", "820461"
LATER = UtcText("2099-01-01T00:00:00Z")
MAY = ("inspect", "manual_release", "supplement", "patrol", "stock_take")
CHEAP = Cost(1024, 1)
"""Stretching a PIN rightly takes a tenth of a second; tests sign in often."""


@dataclass(frozen=True)
class LaidOut:
    """Where everything is."""

    folder: Path
    config_path: Path
    hub: Ed25519PrivateKey
    device: Ed25519PrivateKey
    seeds: dict[str, bytes]
    """Of the officers' signing keys."""

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def config(self) -> HandheldConfig:
        return read_handheld_config(self.config_path)

    def opener(self) -> tuple[Vault, Enciphered]:
        """As the right PIN opens it, for whoever looks into the store afterwards."""
        clock = SystemClock()
        vault = Vault.open(
            self.store, device=DEVICE, boot_id=clock.boot_id(), at_s=clock.monotonic_s(), cost=CHEAP
        )

        def find() -> Standing:
            return Standing(None, None, clock.utc_text(), None)

        vault.check(OFFICER, PIN, at_s=clock.monotonic_s(), peppers=(self.pepper(),), find=find)
        return vault, Enciphered(vault.key)

    def pepper(self) -> bytes:
        return shared_secret(self.hub, self.device.public_key(), PEPPER_PURPOSE)


def officer(
    number: str, pin: str, pepper: bytes, seed: bytes, cost: Cost = CHEAP, **fields: object
) -> Officer:
    salt = number.encode().ljust(pins.SALT_BYTES, b"s")
    secret = PinSecret(pins.stretched(pin, salt, cost), seed)
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    given: dict[str, object] = {"authorisations": MAY, "valid_until": LATER, **fields}
    return Officer(
        officer_no=number,
        public_key=base64.b64encode(public).decode(),
        pin=pins.made(
            secret,
            officer_no=number,
            salt=salt,
            cost=cost,
            peppers={DEVICE: pepper},
            nonces={DEVICE: os.urandom(12)},
            kept="",
            at_utc="2026-01-01T00:00:00Z",
        ),
        **given,  # type: ignore[arg-type]
    )


def lay_out(
    folder: Path,
    rows: Iterable[tuple[str, str, str]] = (),
    *,
    port: int = 1,
    extra: str = "",
    clock: Clock | None = None,
) -> LaidOut:
    """Files under `folder`, and in `folder/store` the records of `rows` (collection, key, body), a site's
    among them only where they come as a list. Nothing answers at `port`."""
    laid = lay_out_empty(
        folder,
        device=Ed25519PrivateKey.from_private_bytes(b"d" * 32),
        hub=Ed25519PrivateKey.from_private_bytes(b"h" * 32),
        port=port,
        extra=extra,
    )
    _fill(laid, rows, clock or SystemClock())
    return laid


def lay_out_empty(
    folder: Path, *, device: Ed25519PrivateKey, hub: Ed25519PrivateKey, port: int, extra: str = ""
) -> LaidOut:
    """As enrolment leaves it: keys and config, nothing in the store yet."""
    folder.mkdir(parents=True, exist_ok=True)
    _secret(folder / "device.key", private_pem(device))
    (folder / "hub.pub").write_bytes(public_pem(hub.public_key()))
    config_path = folder / "handheld.toml"
    config_path.write_text(
        f"""[device]
id = "{DEVICE}"
site = "{SITE}"
[sync]
host = "127.0.0.1"
port = {port}
scope = "{SITE}"
key_file = "device.key"
hub_key_file = "hub.pub"
allow_plaintext = true
[store]
folder = "store"
reserve_mb = 1
[evidence]
keep_free_mb = 1
[clock]
require_synchronised = false
{extra}""",
        encoding="utf-8",
    )
    return LaidOut(folder, config_path, hub, device, {OFFICER: b"o" * 32, SECOND: b"p" * 32})


def _fill(laid: LaidOut, rows: Iterable[tuple[str, str, str]], clock: Clock) -> None:
    store = laid.store
    store.mkdir(mode=0o700, exist_ok=True)
    vault = Vault.open(store, device=DEVICE, boot_id=clock.boot_id(), at_s=clock.monotonic_s(), cost=CHEAP)
    opener = Enciphered(vault.begin())
    holders = [
        officer(number, pin, laid.pepper(), laid.seeds[number])
        for number, pin in ((OFFICER, PIN), (SECOND, SECOND_PIN))
    ]
    site = Site(site=SITE, name_zh="郑州", name_en="Zhengzhou")
    own = [("officers", each.officer_no, to_json(each).decode()) for each in holders]
    own.append(("site", SITE, to_json(site).decode()))
    given = rows if isinstance(rows, Iterator) else list(rows)
    if isinstance(given, list) and any(collection == "site" for collection, *_ in given):
        own = own[:-1]
    with Journal.open(store / "journal.sqlite", device=DEVICE, opener=opener) as journal:
        new_generation(store, 1, SITE, "e" * 32, opener=opener)
        with Records.open(generation_path(store, 1), writable=True, opener=opener) as written:
            written.fill(1, chain(own, given))
            written.lead_to_parcels()
            written.note_verified(clock.utc_text())
        journal.set_generation(1)
        for holder, pin in zip(holders, (PIN, SECOND_PIN), strict=True):
            standing = Standing(holder, site, clock.utc_text(), 0.0)
            checked = vault.check(
                holder.officer_no,
                pin,
                at_s=clock.monotonic_s(),
                peppers=(laid.pepper(),),
                find=lambda standing=standing: standing,  # type: ignore[misc]
            )
            if checked.outcome != "right":
                raise AssertionError(f"the PIN of {holder.officer_no} was {checked.outcome}")
    vault.close()


def row(collection: str, record: Record) -> tuple[str, str, str]:
    return collection, key_of(record), to_json(record).decode()


def _secret(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o600)
