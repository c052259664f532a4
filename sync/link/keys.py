"""Ed25519 keys: who said it. Signatures are over `context`, a newline and the exact body text; no JSON here.

A signature made for one purpose is worthless for another, and the body that was checked is the body that is
returned: nobody may read a signed message without passing through `verify`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sync.link.messages import Context, Signed

HUB_KID = "hub"
"""The name the centre's feed key goes by; pinned at enrolment."""

SIGNATURE_BYTES = 64


class KeyRefused(ValueError):
    """A key file is missing, unreadable or of the wrong kind; the text names it and what was expected."""


class Forged(ValueError):
    """A signature is missing, malformed, by an unknown key, or does not fit."""


class KeyUnknown(Forged):
    """Signed by a key nobody vouched for, yet."""

    def __init__(self, kid: str, known: list[str]) -> None:
        super().__init__(f"signed by {kid[:40]!r}, expected one of {known[:8]}")
        self.kid = kid


class Signer(Protocol):
    """Signs in one name. Ed25519 is deterministic: the same body gives the same signature."""

    @property
    def kid(self) -> str: ...

    def sign(self, context: Context, body: str) -> Signed: ...


@dataclass(frozen=True, slots=True)
class KeySigner:
    """A signer that holds its private key."""

    private: Ed25519PrivateKey
    kid: str

    def sign(self, context: Context, body: str) -> Signed:
        return sign(self.private, self.kid, context, body)


def make_private() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


def private_pem(private: Ed25519PrivateKey) -> bytes:
    """PKCS8 PEM, unencrypted: the file's permissions guard it."""
    return private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def public_pem(public: Ed25519PublicKey) -> bytes:
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def key_id(public: Ed25519PublicKey) -> str:
    """32 hex digits that tell one key from another, and nothing else."""
    return hashlib.sha256(public.public_bytes_raw()).hexdigest()[:32]


def read_public(pem: bytes, *, name: str = "public key") -> Ed25519PublicKey:
    """PEM bytes -> key. Raises `KeyRefused`."""
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyRefused(f"{name}: expected an Ed25519 public key as PEM ({error})") from error
    if not isinstance(key, Ed25519PublicKey):
        raise KeyRefused(f"{name}: expected an Ed25519 public key, found {type(key).__name__}")
    return key


def load_private(path: Path) -> Ed25519PrivateKey:
    """An Ed25519 private key from a PKCS8 PEM file. Raises `KeyRefused`."""
    try:
        key = serialization.load_pem_private_key(_read(path), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        # The library's text may quote nothing of the key; the path is enough to find it.
        raise KeyRefused(f"{path}: expected an unencrypted Ed25519 private key as PKCS8 PEM") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyRefused(f"{path}: expected an Ed25519 private key, found {type(key).__name__}")
    return key


def load_public(path: Path) -> Ed25519PublicKey:
    """An Ed25519 public key from a PEM file. Raises `KeyRefused`."""
    return read_public(_read(path), name=str(path))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise KeyRefused(f"{path}: cannot read the key file ({error.strerror})") from error


def _signed_bytes(context: Context, body: str) -> bytes:
    return f"{context.value}\n{body}".encode()


def sign(private: Ed25519PrivateKey, kid: str, context: Context, body: bytes | str) -> Signed:
    """Sign exactly these bytes (UTF-8) in the name of `kid`."""
    text = body.decode() if isinstance(body, bytes) else body
    signature = private.sign(_signed_bytes(context, text))
    return Signed(body=text, kid=kid, sig=base64.b64encode(signature).decode())


def share_group(private: Ed25519PrivateKey) -> str:
    """The group of the hub's shared subscriptions: of one site's workers, which have one key, each message
    goes to one. Nobody else can know it: a broker deals every member of a group its share, also one that may
    not read it, and what he is dealt is gone until it is sent again (measured with mosquitto)."""
    return f"hub-{hashlib.sha256(private.sign(b'kakou/share-group/v1')).hexdigest()[:32]}"


def own_secret(private: Ed25519PrivateKey, purpose: str) -> bytes:
    """32 bytes that whoever has this key can make again, and nobody else."""
    return hashlib.sha256(private.sign(f"kakou/{purpose}".encode())).digest()


def shared_secret(private: Ed25519PrivateKey, theirs: Ed25519PublicKey, purpose: str) -> bytes:
    """32 bytes that the owners of both keys can make, each with its own private one, and nobody else.

    X25519 over the two signing keys, mapped to Montgomery form (RFC 7748 4.1), as `age` does with SSH keys;
    signing and agreeing with one key pair is proved safe together (Thormarker 2021, eprint 2021/509). Raises
    `KeyRefused` for a public key that agrees with nobody.
    """
    seed = private.private_bytes_raw()
    scalar = X25519PrivateKey.from_private_bytes(hashlib.sha512(seed).digest()[:32])
    try:
        agreed = scalar.exchange(X25519PublicKey.from_public_bytes(_montgomery(theirs)))
    except ValueError as error:
        raise KeyRefused("expected a public key of full order") from error
    both = b"".join(sorted((private.public_key().public_bytes_raw(), theirs.public_bytes_raw())))
    about = f"kakou/{purpose}".encode()
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=both, info=about).derive(agreed)


_FIELD = 2**255 - 19


def _montgomery(public: Ed25519PublicKey) -> bytes:
    """u = (1 + y) / (1 - y)"""
    y = int.from_bytes(public.public_bytes_raw(), "little") & ((1 << 255) - 1)
    u = (1 + y) * pow(1 - y, _FIELD - 2, _FIELD) % _FIELD
    return u.to_bytes(32, "little")


def verify(public_keys: Mapping[str, Ed25519PublicKey], signed: Signed, context: Context) -> str:
    """The body, once the signature fits. Raises `Forged`."""
    key = public_keys.get(signed.kid)
    if key is None:
        raise KeyUnknown(signed.kid, sorted(public_keys))
    try:
        signature = base64.b64decode(signed.sig, validate=True)
        covered = _signed_bytes(context, signed.body)
    except (binascii.Error, ValueError) as error:
        raise Forged("the signature is not base64 text") from error
    if len(signature) != SIGNATURE_BYTES:
        raise Forged(f"expected a signature of {SIGNATURE_BYTES} bytes, got {len(signature)}")
    try:
        key.verify(signature, covered)
    except InvalidSignature as error:
        raise Forged(f"the signature of {signed.kid!r} does not fit for {context.value}") from error
    return signed.body


def signed_by(public: Ed25519PublicKey, data: bytes, signature: bytes) -> bool:
    """Whether this key signed `data`."""
    try:
        public.verify(signature, data)
    except InvalidSignature:
        return False
    return True


def signature_holds(public_key_base64: str, data: bytes, signature: bytes) -> bool:
    """Whether an Ed25519 key given as 32 bytes in base64 signed `data`. A key that is none signed nothing."""
    try:
        raw = base64.b64decode(public_key_base64, validate=True)
        Ed25519PublicKey.from_public_bytes(raw).verify(signature, data)
    except (ValueError, InvalidSignature):
        return False
    return True
