"""A signed text on paper or a screen: a prefix, then base45 of zlib of a COSE_Sign1 (RFC 9052) with EdDSA
(-8) whose payload is a CWT (RFC 8392), as the EU's health certificates did it.

Everything is bounded, and read in one form only. Nothing here says who signed, nor what is said.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping

import base45
import cbor2
import msgspec

from sync.vocabulary import cbor
from sync.vocabulary.codec import Malformed

MAX_TEXT = 1_500
"""Characters. A slip takes about 330; a QR code of version 25 with correction M holds 1,451."""
MAX_INFLATED = 1_024
KID_BYTES = 8
SIGNATURE_BYTES = 64
CWT, COSE_SIGN1 = 61, 18
_ALG, _KID, _EDDSA = 1, 4, -8


class ReadCode(msgspec.Struct, frozen=True):
    """A code as read. Not yet believed."""

    payload: bytes
    kid: str
    """16 hex digits."""
    signed: bytes
    """What the signature covers (Sig_structure)."""
    signature: bytes
    sha256: str
    """Of the whole COSE message, 64 hex digits: the same signed content always has the same one."""


class Unsigned(msgspec.Struct, frozen=True):
    """A code that lacks its signature over `signed`."""

    prefix: str
    protected: bytes
    payload: bytes

    @property
    def signed(self) -> bytes:
        return _sig_structure(self.protected, self.payload)

    def text(self, signature: bytes) -> str:
        message = cbor2.dumps(cbor2.CBORTag(COSE_SIGN1, [self.protected, {}, self.payload, signature]))
        return text_of(self.prefix, message)


def kid_of(public_raw: bytes) -> str:
    """16 hex digits: the beginning of SHA-256 over the 32 bytes of an Ed25519 public key."""
    return hashlib.sha256(public_raw).hexdigest()[: 2 * KID_BYTES]


def unsigned(prefix: str, payload: Mapping[int, object], kid: str) -> Unsigned:
    return Unsigned(prefix, cbor2.dumps({_ALG: _EDDSA, _KID: bytes.fromhex(kid)}), cbor2.dumps(payload))


def text_of(prefix: str, message: bytes) -> str:
    """A COSE message as the text of a code."""
    packed: bytes = base45.b45encode(zlib.compress(message, 9))
    return prefix + packed.decode()


def read_code(prefix: str, text: str, what: str) -> ReadCode:
    """Raises `Malformed` naming what was expected; `what` is what the code is called there."""
    message = _message(prefix, text, what)
    value = cbor.read(message)
    if isinstance(value, cbor.Tagged) and value.tag == CWT:
        # RFC 8392, 6: the CWT tag stands before a COSE tag, never alone.
        value = value.value
    if not isinstance(value, cbor.Tagged) or value.tag != COSE_SIGN1:
        raise Malformed(f"expected a COSE_Sign1 message (tag {COSE_SIGN1}), bare or in a CWT (tag {CWT})")
    match value.value:
        case [bytes(protected), dict(unprotected), bytes(payload), bytes(signature)]:
            pass
        case _:
            raise Malformed("expected protected and unprotected header, payload and signature")
    if len(signature) != SIGNATURE_BYTES:
        raise Malformed(f"expected a signature of {SIGNATURE_BYTES} bytes, got {len(signature)}")
    kid = _kid(protected, unprotected)
    signed = _sig_structure(protected, payload)
    return ReadCode(payload, kid.hex(), signed, signature, hashlib.sha256(message).hexdigest())


def _sig_structure(protected: bytes, payload: bytes) -> bytes:
    return cbor2.dumps(["Signature1", protected, b"", payload])


def _message(prefix: str, text: str, what: str) -> bytes:
    if not text.startswith(prefix) or len(text) > MAX_TEXT:
        raise Malformed(f"expected a {what} beginning with {prefix}, of at most {MAX_TEXT} characters")
    body = text.removeprefix(prefix)
    try:
        packed = base45.b45decode(body.encode("ascii"))
    except ValueError as error:
        raise Malformed("expected base45 behind the prefix") from error
    inflater = zlib.decompressobj()
    try:
        message = inflater.decompress(packed, MAX_INFLATED + 1)
    except zlib.error as error:
        raise Malformed(f"expected zlib data in a {what}") from error
    if len(message) > MAX_INFLATED:
        raise Malformed(f"a {what} holds at most {MAX_INFLATED} bytes")
    if not inflater.eof or inflater.unused_data:
        raise Malformed("zlib data that are cut off, or go on behind their end")
    return message


def _kid(protected: bytes, unprotected: dict[int, cbor.Value]) -> bytes:
    """Which key, by the signed header where it says so: what stands outside the signature never overrules it.

    The rule of the EU's test cases CO22 and CO23. The algorithm must be in the signed header.
    """
    header = cbor.read(protected) if protected else {}
    if not isinstance(header, dict) or header.get(_ALG) != _EDDSA:
        raise Malformed(f"expected EdDSA ({_EDDSA}) in the protected header")
    if not header.keys() <= {_ALG, _KID} or not unprotected.keys() <= {_KID}:
        raise Malformed("expected nothing but algorithm and key id in the headers")
    kid = header.get(_KID, unprotected.get(_KID))
    if not isinstance(kid, bytes) or len(kid) != KID_BYTES:
        raise Malformed(f"expected a key id of {KID_BYTES} bytes")
    return kid
