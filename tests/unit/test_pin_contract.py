"""The contract's recipe of an officer's PIN: followed here with primitives alone, then by our own code."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from pathlib import Path
from typing import Any

import pytest
from argon2.low_level import Type, hash_secret_raw
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sync.link.keys import shared_secret
from sync.policy.pins import PEPPER_PURPOSE, PinProved, proved
from sync.vocabulary.numbers import UtcText
from sync.vocabulary.records import OfficerPin

README = Path(__file__).resolve().parents[2] / "docs" / "contract" / "README.md"


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    section = README.read_text(encoding="utf-8").partition("## Officers' PINs")[2].partition("\n## ")[0]
    found = re.search(r"```json\n(.*?)```", section, re.DOTALL)
    assert found is not None
    numbers: dict[str, Any] = json.loads(found[1])
    return numbers


def test_the_recipe_followed_by_the_letter_gives_the_entry(told: dict[str, Any]) -> None:
    centre = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(told["centre_seed"]))
    device = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(told["device_seed"]))
    field = 2**255 - 19
    y = int.from_bytes(device.public_key().public_bytes_raw(), "little") % 2**255
    u = (1 + y) * pow((1 - y) % field, -1, field) % field
    scalar = X25519PrivateKey.from_private_bytes(
        hashlib.sha512(bytes.fromhex(told["centre_seed"])).digest()[:32]
    )
    agreed = scalar.exchange(X25519PublicKey.from_public_bytes(u.to_bytes(32, "little")))
    publics = sorted([centre.public_key().public_bytes_raw(), device.public_key().public_bytes_raw()])
    pepper = HKDF(hashes.SHA256(), 32, b"".join(publics), b"kakou/pin/v1").derive(agreed)
    assert pepper.hex() == told["pepper"]
    stretched = hash_secret_raw(
        told["pin"].encode(), bytes.fromhex(told["salt"]), told["passes"], told["memory_kib"], 1, 32, Type.ID
    )
    assert stretched.hex() == told["stretched"]
    key = hmac.new(pepper, b"kakou/pin/v1\n" + stretched, hashlib.sha256).digest()
    nonce = bytes.fromhex(told["nonce"])
    about = f"kakou/pin/v1\n{told['officer_no']}\n{told['device']}".encode()
    sealed = AESGCM(key).encrypt(nonce, bytes.fromhex(told["officer_seed"]), about)
    assert base64.b64encode(nonce + sealed).decode() == told["entry"]


def test_a_handheld_takes_what_the_recipe_makes(told: dict[str, Any]) -> None:
    centre = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(told["centre_seed"]))
    device = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(told["device_seed"]))
    entries = OfficerPin(
        salt=base64.b64encode(bytes.fromhex(told["salt"])).decode(),
        memory_kib=told["memory_kib"],
        passes=told["passes"],
        devices={told["device"]: told["entry"]},
        set_at=UtcText("2026-03-01T08:00:00Z"),
    )
    pepper = shared_secret(device, centre.public_key(), PEPPER_PURPOSE)
    right = proved(told["pin"], told["officer_no"], entries, told["device"], [pepper])
    assert right == PinProved(bytes.fromhex(told["officer_seed"]))
