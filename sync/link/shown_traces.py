"""A trace code's signed label at a device: believed by the key that the records name, or no code at all."""

from __future__ import annotations

import base64
from collections.abc import Callable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sync.vocabulary.codec import Malformed
from sync.vocabulary.records import KeyState, Record, SlipKey
from sync.vocabulary.trace_codes import PREFIX, ShownTrace, parse


def flaw_of(shown: ShownTrace, key: SlipKey | None) -> str:
    """Why it is not to be believed; empty where it is. `key` is what the records hold under its key id."""
    if key is None:
        return f"no key {shown.kid} in the records"
    if key.state is not KeyState.ACTIVE:
        return f"key {key.kid} was revoked"
    if key.issuer != shown.claims.issuer:
        return f"key {key.kid} speaks for {key.issuer}, not for {shown.claims.issuer}"
    try:
        public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key.public_key, validate=True))
        public.verify(shown.signature, shown.signed)
    except (InvalidSignature, ValueError):
        return f"the signature is not key {key.kid}'s"
    return ""


def code_on_label(record: Callable[[str, str], Record | None], text: str) -> str:
    """The trace code of a genuine label; any other text as it is, so that no record answers to a forged one.
    `record` answers by collection and key."""
    if not text.startswith(PREFIX):
        return text
    try:
        shown = parse(text)
    except Malformed:
        return text
    key = record("slip_keys", shown.kid)
    return text if flaw_of(shown, key if isinstance(key, SlipKey) else None) else shown.claims.trace_code
