"""A program's own signing key and its statements, from their files."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sync.link.keys import KeyRefused, KeySigner
from sync.link.messages import MAX_PAYLOAD_BYTES
from sync.link.trust import RollRefused, signing_kid
from sync.vocabulary.codec import Malformed


def own_signer(
    name: str, private: Ed25519PrivateKey, statements_file: Path | None
) -> tuple[KeySigner, bytes]:
    """Who signs for `name`, and the statements that say so to whoever has pinned an earlier key (empty where
    there are none). Raises `KeyRefused`."""
    if statements_file is None:
        return KeySigner(private, name), b""
    try:
        with statements_file.open("rb") as file:
            statements = file.read(MAX_PAYLOAD_BYTES + 1)
        if not statements:
            raise KeyRefused(f"{statements_file}: is empty; expected the statements `kakou enrol` wrote")
        return KeySigner(private, signing_kid(name, private.public_key(), statements)), statements
    except (OSError, Malformed, RollRefused) as error:
        raise KeyRefused(f"{statements_file}: {error}") from error
