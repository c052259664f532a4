"""The code an officer shows to a lane's scanner to release a held vehicle, lead it aside, or enter what could
not be read, without a network (S8).

Text: `KKR1:` + body + `.` + signature, both base64url without padding. The body is the exact JSON the Ed25519
signature covers, after the context line. Sixty seconds, one lane, one passage, once.
"""

from __future__ import annotations

import base64
import binascii
from typing import Literal

import msgspec

from sync.vocabulary.bounds import Count, Text
from sync.vocabulary.codec import Malformed, decoder, to_json
from sync.vocabulary.numbers import UtcText

PREFIX = "KKR1:"
CONTEXT = "kakou/release/v1"
VALID_S = 60.0
MAX_TEXT = 1_000
MAX_REASON = 200
MAX_VALUE = 60


class ReleaseCode(msgspec.Struct, frozen=True, kw_only=True):
    lane: Text
    passage: Count
    officer: Text
    """Officer number, key of the `officers` collection."""
    reason: Text
    issued: UtcText
    action: Literal["release", "aside", "supplement"] = "release"
    """Let it go on its journey, let it through to the waiting area (引导待检), or enter a value (补采)."""
    field: Literal["", "plate", "weight", "slip", "container"] = ""
    """What is entered, with `supplement`."""
    value: Text = ""


class ShownCode(msgspec.Struct, frozen=True):
    """A code as read: not yet checked against the officer's key."""

    code: ReleaseCode
    body: str
    signature: bytes


_read = decoder(ReleaseCode)


def signed_bytes(body: str) -> bytes:
    """What the signature covers."""
    return f"{CONTEXT}\n{body}".encode()


def body_of(code: ReleaseCode) -> str:
    return to_json(code).decode()


def text_of(body: str, signature: bytes) -> str:
    return f"{PREFIX}{_pack(body.encode())}.{_pack(signature)}"


def parse(text: str) -> ShownCode:
    """Raises `Malformed` naming what was expected. Says nothing of who signed."""
    if not text.startswith(PREFIX) or len(text) > MAX_TEXT:
        raise Malformed(f"expected a release code beginning with {PREFIX}, of at most {MAX_TEXT} characters")
    body64, dot, signature64 = text[len(PREFIX) :].partition(".")
    if not dot:
        raise Malformed("expected a body and a signature with a dot between them")
    body, signature = _unpack(body64), _unpack(signature64)
    if len(signature) != 64:
        raise Malformed(f"expected a signature of 64 bytes, got {len(signature)}")
    try:
        text_body = body.decode()
    except UnicodeDecodeError as error:
        raise Malformed("expected UTF-8 in the body") from error
    code = _read(text_body)
    if not 0 < len(code.reason.strip()) <= MAX_REASON:
        raise Malformed(f"reason: expected 1 to {MAX_REASON} characters")
    if (code.action == "supplement") != bool(code.field and 0 < len(code.value) <= MAX_VALUE):
        raise Malformed(
            f"expected a field and a value of at most {MAX_VALUE} characters with supplement only"
        )
    return ShownCode(code, text_body, signature)


def _pack(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unpack(text: str) -> bytes:
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed("expected base64url") from error
    if _pack(data) != text:
        # Spare bits of the last character: one code would have several texts, and several hashes.
        raise Malformed("expected base64url without spare bits")
    return data
