"""How the key of a handheld's stores is wrapped, and who may unwrap it. Pure: chance, clock and device
secrets arrive as arguments; files and keystores are `vault_files`'s.

One data key at random enciphers everything at rest. It is wrapped by the device's keystore where there is
one, and otherwise for each officer, by the PIN and a secret of this device: any of them opens the same key.
The data key, a PIN and whatever a wrapping opened with never lie on the disk.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Literal, Protocol

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sync.policy.pins import NONCE_BYTES, STANDARD, Cost, stretched
from sync.store.enciphered import KEY_BYTES, DataKey
from sync.vocabulary.bounds import Name, Text
from sync.vocabulary.records import MAX_STRETCH_KIB, MAX_STRETCH_PASSES

MAX_SLOTS = 500


class KeystoreRefused(Exception):
    """The keystore does not wrap or unwrap; the text says why."""


class Keystore(Protocol):
    """The device's own, in hardware where there is some: what it wraps nobody opens elsewhere."""

    def wrap(self, secret: bytes) -> bytes:
        """Raises `KeystoreRefused`."""

    def unwrap(self, wrapped: bytes) -> bytes:
        """Raises `KeystoreRefused`."""

    def destroy(self) -> None:
        """Nothing it ever wrapped is opened any more. Idempotent. Raises `KeystoreRefused`."""


# --- wrapping ---------------------------------------------------------------------------------------------


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """The data key as one officer's PIN opens it, on this device."""

    officer_no: Name
    salt: Text
    memory_kib: int
    passes: int
    sealed: Text
    leaving: bool = False
    """Of an officer who is none any more, kept while no other opens the stores: facts in them may be owed."""

    def __post_init__(self) -> None:
        if not (0 < self.memory_kib <= MAX_STRETCH_KIB and 0 < self.passes <= MAX_STRETCH_PASSES):
            raise ValueError("expected a cost this device can bear")


class WrappedKeys(msgspec.Struct, frozen=True, kw_only=True):
    """All there is of the data key on the disk."""

    version: Literal[1] = 1
    keystore: Text = ""
    """As the keystore wrapped it, base64; empty where there is none."""
    officers: tuple[Slot, ...] = ()

    def slot(self, officer_no: str) -> Slot | None:
        return next((slot for slot in self.officers if slot.officer_no == officer_no), None)

    def with_slot(self, slot: Slot) -> WrappedKeys:
        """One for each officer, the newest at the end; who was leaving goes, and the oldest where there is no
        room."""
        others = tuple(one for one in self.officers if one.officer_no != slot.officer_no and not one.leaving)
        return msgspec.structs.replace(self, officers=(*others[-(MAX_SLOTS - 1) :], slot))

    def without(self, officer_no: str) -> WrappedKeys:
        """Or leaving, where no other officer would be left."""
        others = tuple(one for one in self.officers if one.officer_no != officer_no)
        if not others:
            others = tuple(msgspec.structs.replace(one, leaving=True) for one in self.officers)
        return msgspec.structs.replace(self, officers=others)


def wrapped(
    key: DataKey,
    officer_no: str,
    pin: str,
    *,
    pepper: bytes,
    salt: bytes,
    nonce: bytes,
    cost: Cost = STANDARD,
) -> Slot:
    """`pepper`: 32 bytes that only this device has; `salt` 16 and `nonce` 12, new at random each time."""
    kek = _kek(pin, salt, cost, pepper)
    sealed = nonce + AESGCM(kek).encrypt(nonce, key.for_wrapping(), _about(officer_no))
    return Slot(
        officer_no=officer_no,
        salt=base64.b64encode(salt).decode(),
        memory_kib=cost.memory_kib,
        passes=cost.passes,
        sealed=base64.b64encode(sealed).decode(),
    )


def unwrapped(slot: Slot, pin: str, pepper: bytes) -> DataKey | None:
    """None: this is not the PIN, or not the device, that wrapped it."""
    try:
        salt = base64.b64decode(slot.salt, validate=True)
        sealed = base64.b64decode(slot.sealed, validate=True)
        kek = _kek(pin, salt, Cost(slot.memory_kib, slot.passes), pepper)
        data = AESGCM(kek).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _about(slot.officer_no))
    except (binascii.Error, ValueError, InvalidTag):
        return None
    return DataKey(data) if len(data) == KEY_BYTES else None


def _kek(pin: str, salt: bytes, cost: Cost, pepper: bytes) -> bytes:
    return hmac.new(pepper, b"kakou/vault/v1\n" + stretched(pin, salt, cost), hashlib.sha256).digest()


def _about(officer_no: str) -> bytes:
    return b"kakou/vault/v1\n" + officer_no.encode()
