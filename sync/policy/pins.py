"""An officer's PIN, proved to the handhelds it was set for and to nobody else: the same code at the centre
that sets it and on the device that checks it. Pure: chance and time arrive as arguments, nothing is kept or
logged.

What a device is given is an *entry*: the officer's signing key, closed with a key made of the stretched PIN
and the pepper that only this device and the centre have. It opens for the right PIN and for no other, so that
it is verifier and key in one. `docs/decisions/0016-a-pin-is-proved-to-one-device.md` says why.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sync.vocabulary.numbers import UtcText
from sync.vocabulary.records import OfficerPin

MIN_DIGITS = 6
MAX_DIGITS = 12
SALT_BYTES = 16
NONCE_BYTES = 12
SEED_BYTES = 32
PEPPER_BYTES = 32
PEPPER_PURPOSE = "pin/v1"
"""Of `sync.link.keys.shared_secret`, between a device's signing key and the centre's."""
_STRETCHED_BYTES = 32


class PinRefused(ValueError):
    """It cannot be a PIN, or cannot be set so; the text says what was expected, and never the PIN."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one try costs, of Argon2id with one lane."""

    memory_kib: int = 32 * 1024
    """A handheld has 150 MB in all."""
    passes: int = 4


STANDARD = Cost()


@dataclass(frozen=True, slots=True, repr=False)
class PinSecret:
    """What the centre knows of a PIN: enough to make entries for further devices, and to try guesses on."""

    stretched: bytes
    seed: bytes
    """Of the officer's Ed25519 signing key; empty: this officer signs elsewhere."""

    def __repr__(self) -> str:
        return "PinSecret(...)"


@dataclass(frozen=True, slots=True, repr=False)
class PinProved:
    """The PIN was right."""

    seed: bytes
    """Of the officer's Ed25519 signing key; empty: this officer signs elsewhere."""

    def __repr__(self) -> str:
        return "PinProved(...)"


def must_be_pin(pin: str) -> str:
    """Itself. Raises `PinRefused` for what is none, and for what is tried first by anybody."""
    if not (MIN_DIGITS <= len(pin) <= MAX_DIGITS and pin.isascii() and pin.isdecimal()):
        raise PinRefused(f"expected {MIN_DIGITS} to {MAX_DIGITS} digits")
    steps = {(int(after) - int(before)) % 10 for before, after in pairwise(pin)}
    if len(set(pin)) < 3 or steps in ({1}, {9}):
        raise PinRefused("expected three different digits at least, and no digits in sequence")
    return pin


def must_stretch() -> None:
    """Raises `PinRefused` where this installation can neither set nor check a PIN: before one is called
    wrong."""
    try:
        stretched("", bytes(SALT_BYTES), Cost(64, 1))
    except (ImportError, UnsupportedAlgorithm) as error:
        raise PinRefused(
            f"PINs need Argon2id ({error}): install kakou[handheld] or kakou[hub], or OpenSSL 3.2"
        ) from error


def stretched(pin: str, salt: bytes, cost: Cost) -> bytes:
    """32 bytes of Argon2id: some 0.1 s and `memory_kib` of memory for each try. Call `must_stretch`
    before."""
    # Only where PINs are set or checked: a lane installs nothing for it.
    try:
        from argon2.low_level import Type, hash_secret_raw
    except ImportError:
        return _stretched_by_openssl(pin, salt, cost)
    return hash_secret_raw(pin.encode(), salt, cost.passes, cost.memory_kib, 1, _STRETCHED_BYTES, Type.ID)


def _stretched_by_openssl(pin: str, salt: bytes, cost: Cost) -> bytes:
    """The same 32 bytes where argon2-cffi is not packaged (Android): OpenSSL 3.2 has Argon2id."""
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    kdf = Argon2id(
        salt=salt, length=_STRETCHED_BYTES, iterations=cost.passes, lanes=1, memory_cost=cost.memory_kib
    )
    return kdf.derive(pin.encode())


def made(
    secret: PinSecret,
    *,
    officer_no: str,
    salt: bytes,
    cost: Cost,
    peppers: Mapping[str, bytes],
    nonces: Mapping[str, bytes],
    kept: str,
    at_utc: str,
) -> OfficerPin:
    """The record's part: an entry for each device of `peppers`, under a nonce of its own (12 random
    bytes)."""
    return OfficerPin(
        salt=base64.b64encode(salt).decode(),
        memory_kib=cost.memory_kib,
        passes=cost.passes,
        devices={
            device: _closed(
                _entry_key(secret.stretched, pepper), secret.seed, nonces[device], _about(officer_no, device)
            )
            for device, pepper in sorted(peppers.items())
        },
        kept=kept,
        set_at=UtcText(at_utc),
    )


def proved(
    pin: str, officer_no: str, entries: OfficerPin, device: str, peppers: Iterable[bytes]
) -> PinProved | None:
    """Whether this is the officer's PIN, on this device. None: no. Raises `PinRefused` where the record has
    no entry for this device, or one that no PIN could open."""
    entry = entries.devices.get(device)
    if entry is None:
        raise PinRefused(f"expected an entry for {device}: the centre has set officer {officer_no} none")
    try:
        salt = base64.b64decode(entries.salt, validate=True)
        sealed = base64.b64decode(entry, validate=True)
    except (binascii.Error, ValueError) as error:
        raise PinRefused(f"the PIN of officer {officer_no}: expected base64") from error
    if len(salt) != SALT_BYTES or len(sealed) < NONCE_BYTES + 16:
        raise PinRefused(
            f"the PIN of officer {officer_no}: expected a salt of {SALT_BYTES} bytes and an entry"
        )
    stretched_pin = stretched(pin, salt, Cost(entries.memory_kib, entries.passes))
    for pepper in peppers:
        seed = _opened(_entry_key(stretched_pin, pepper), sealed, _about(officer_no, device))
        if seed is not None and len(seed) in (0, SEED_BYTES):
            return PinProved(seed)
    return None


def keep(secret: PinSecret, officer_no: str, centre_key: bytes, nonce: bytes) -> str:
    """For the record's `kept`: `centre_key` is 32 bytes that only the centre has."""
    return _closed(centre_key, secret.stretched + secret.seed, nonce, _about(officer_no, ""))


def kept_open(kept: str, officer_no: str, centre_key: bytes) -> PinSecret:
    """Raises `PinRefused`: the PIN must be set anew."""
    try:
        plain = _opened(centre_key, base64.b64decode(kept, validate=True), _about(officer_no, ""))
    except (binascii.Error, ValueError):
        plain = None
    if plain is None or len(plain) not in (_STRETCHED_BYTES, _STRETCHED_BYTES + SEED_BYTES):
        raise PinRefused(
            f"officer {officer_no}: what the centre keeps of the PIN opens with none of its keys: set the "
            "PIN again"
        )
    return PinSecret(plain[:_STRETCHED_BYTES], plain[_STRETCHED_BYTES:])


def _entry_key(stretched_pin: bytes, pepper: bytes) -> bytes:
    if len(pepper) != PEPPER_BYTES:
        raise PinRefused(f"expected a pepper of {PEPPER_BYTES} bytes")
    return hmac.new(pepper, b"kakou/pin/v1\n" + stretched_pin, hashlib.sha256).digest()


def _about(officer_no: str, device: str) -> bytes:
    """No entry is taken for another officer's or another device's."""
    return f"kakou/pin/v1\n{officer_no}\n{device}".encode()


def _closed(key: bytes, plain: bytes, nonce: bytes, about: bytes) -> str:
    return base64.b64encode(nonce + AESGCM(key).encrypt(nonce, plain, about)).decode()


def _opened(key: bytes, sealed: bytes, about: bytes) -> bytes | None:
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], about)
    except (InvalidTag, ValueError):
        return None
