"""A PIN set by a centre whose key has rolled over still opens: each key that is believed has its pepper."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.linking import peppers
from sync.link.keys import HUB_KID, make_private, shared_secret
from sync.link.trust import rolled
from sync.policy.pins import PEPPER_PURPOSE

OLD, NEW, STRANGER, DEVICE = make_private(), make_private(), make_private(), make_private()


def shared(hub: Ed25519PrivateKey) -> bytes:
    return shared_secret(DEVICE, hub.public_key(), PEPPER_PURPOSE)


def test_every_key_that_is_believed_has_its_pepper_the_one_in_force_first(tmp_path: Path) -> None:
    statements = tmp_path / "hub-keys.json"
    statements.write_bytes(rolled(HUB_KID, OLD, NEW.public_key(), b"", issued="2026-11-22T08:00:00Z"))
    assert peppers(DEVICE, OLD.public_key(), statements) == (shared(NEW), shared(OLD))


def test_statements_of_strangers_and_no_statements_tell_nothing(tmp_path: Path) -> None:
    statements = tmp_path / "hub-keys.json"
    assert peppers(DEVICE, OLD.public_key(), statements) == (shared(OLD),)
    statements.write_bytes(rolled(HUB_KID, STRANGER, NEW.public_key(), b"", issued="2026-11-22T08:00:00Z"))
    assert peppers(DEVICE, OLD.public_key(), statements) == (shared(OLD),)
    statements.write_bytes(b"\xff")
    assert peppers(DEVICE, OLD.public_key(), statements) == (shared(OLD),)
