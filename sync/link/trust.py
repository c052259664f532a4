"""Whose signature is believed: the key pinned at enrolment, and every key it vouches for since. Pure.

A key is replaced by a statement that the key in force signs. Statements of one name make a chain from the
pinned key; what was believed once is never unlearned by an older chain, and a chain that tells another
history is refused, whoever brings it. A thief of the key in force can sign statements too: a stolen key is
answered by pinning a new one by hand (docs/operations.md), not by a statement.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sync.link.keys import Forged, sign, verify
from sync.link.messages import MAX_PAYLOAD_BYTES, MAX_STATEMENTS, Context, KeyChain, KeyStatement
from sync.vocabulary.codec import Malformed, strict_decoder, to_json
from sync.vocabulary.numbers import UtcText

KID_DIGITS = 16
FIRST_NUMBER = 1
"""Of the pinned key, when no statement tells of it."""

_read_chain = strict_decoder(KeyChain)
_read_statement = strict_decoder(KeyStatement)


class RollRefused(ValueError):
    """A key cannot be replaced like this; the text says what to do."""


def kid_of(name: str, key: Ed25519PublicKey) -> str:
    """What a key is called: whose it is, and 16 hex digits of its SHA-256. The first key of a name is called
    by the bare name as well."""
    return f"{name}-{hashlib.sha256(key.public_bytes_raw()).hexdigest()[:KID_DIGITS]}"


def may_sign(name: str, kid: str) -> bool:
    """Whether a key called so can be one of this name at all; whether it is, only `Trust` knows."""
    digits = kid.removeprefix(f"{name}-")
    return kid == name or (
        digits != kid and len(digits) == KID_DIGITS and set(digits) <= set("0123456789abcdef")
    )


@dataclass(frozen=True, slots=True)
class Trust:
    """The keys believed in one name."""

    name: str
    pinned: Ed25519PublicKey
    keys: Mapping[str, Ed25519PublicKey]
    """kid -> key."""
    current: str
    """kid of the key in force."""
    number: int
    bodies: tuple[str, ...] = ()
    """Statements taken, by their exact text, from the one that follows the pinned key."""
    revoked: frozenset[str] = frozenset()

    @classmethod
    def of(cls, name: str, pinned: Ed25519PublicKey) -> Trust:
        kid = kid_of(name, pinned)
        return cls(name, pinned, {name: pinned, kid: pinned}, kid, FIRST_NUMBER)

    def told(self, payload: bytes) -> Trust:
        """This trust after a chain of statements. The same object when it says nothing new.

        Raises `Forged` for an older chain, another history, or a statement the key in force did not sign;
        `Malformed` for what is no chain.
        """
        chain = read_chain(payload)
        statements = [(signed, _read_statement(signed.body)) for signed in chain.statements]
        begin = next(
            (
                index + 1
                for index, (_, each) in enumerate(statements)
                if _raw(each) == self.pinned.public_bytes_raw()
            ),
            0,
        )
        trust = Trust.of(self.name, self.pinned)
        if begin:
            trust = replace(trust, number=statements[begin - 1][1].number)
        for signed, statement in statements[begin:]:
            verify({trust.current: trust.keys[trust.current]} | _bare(trust), signed, Context.KEYS)
            trust = _after(trust, statement, signed.body)
        if len(trust.bodies) < len(self.bodies):
            raise Forged(
                f"keys of {self.name}: {len(trust.bodies)} statements, {len(self.bodies)} are known already"
            )
        if trust.bodies[: len(self.bodies)] != self.bodies:
            raise Forged(f"keys of {self.name}: another history than the one known")
        return self if trust.bodies == self.bodies else trust


def _after(trust: Trust, statement: KeyStatement, body: str) -> Trust:
    key = Ed25519PublicKey.from_public_bytes(_raw(statement))
    kid = kid_of(trust.name, key)
    if (statement.name, statement.kid, statement.replaces) != (trust.name, kid, trust.current):
        raise Malformed(
            f"keys: expected {kid} of {trust.name} after {trust.current}, got {statement.kid[:80]!r} "
            f"of {statement.name[:40]!r} after {statement.replaces[:80]!r}"
        )
    if statement.number != trust.number + 1:
        raise Malformed(f"keys: expected statement {trust.number + 1}, got {statement.number}")
    revoked = trust.revoked | frozenset(statement.revoked)
    if kid in revoked:
        raise Malformed(f"keys: {kid} is revoked and cannot be in force")
    keys = {**trust.keys, kid: key}
    return replace(
        trust,
        keys={known: each for known, each in keys.items() if kid_of(trust.name, each) not in revoked},
        current=kid,
        number=statement.number,
        bodies=(*trust.bodies, body),
        revoked=revoked,
    )


def _bare(trust: Trust) -> dict[str, Ed25519PublicKey]:
    """The bare name, where it still is the key in force."""
    key = trust.keys.get(trust.name)
    return {trust.name: key} if key is not None and kid_of(trust.name, key) == trust.current else {}


def read_chain(payload: bytes) -> KeyChain:
    """Bounds only. Raises `Malformed`."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise Malformed(f"keys: {len(payload)} bytes, expected at most {MAX_PAYLOAD_BYTES}")
    return _read_chain(payload)


def _raw(statement: KeyStatement) -> bytes:
    if UtcText.parse(statement.issued) is None:
        raise Malformed("keys: expected a time of issue")
    try:
        raw = base64.b64decode(statement.public_key, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed("keys: expected a key as base64 text") from error
    if len(raw) != 32:
        raise Malformed(f"keys: expected a key of 32 bytes, got {len(raw)}")
    return raw


# --- making statements ------------------------------------------------------------------------------------


def signing_kid(name: str, public: Ed25519PublicKey, chain: bytes) -> str:
    """The kid to sign with: the bare name while the first key is in force. Raises `RollRefused` where the
    chain puts another key in force, `Malformed` where it is none."""
    statements = read_chain(chain).statements if chain else ()
    if not statements:
        return name
    last = _read_statement(statements[-1].body)
    kid = kid_of(name, public)
    if (last.name, last.kid) != (name, kid):
        raise RollRefused(f"the statements end with {last.kid[:80]!r}, expected {kid}: the key of {name}")
    return kid


def rolled(
    name: str,
    old: Ed25519PrivateKey,
    new: Ed25519PublicKey,
    chain: bytes,
    *,
    issued: str,
    revoke: Collection[str] = (),
) -> bytes:
    """The chain with one more statement: `old`, which must be in force, vouches for `new`, and says which
    keys (by `kid_of`) nobody shall believe any more. With `new` equal to `old` it says only that.

    Raises `RollRefused`, `Malformed`.
    """
    statements = read_chain(chain).statements if chain else ()
    if len(statements) >= MAX_STATEMENTS:
        raise RollRefused(f"{name} has {MAX_STATEMENTS} statements: pin its key anew on every machine")
    signer = signing_kid(name, old.public_key(), chain)
    said = [_read_statement(signed.body) for signed in statements]
    kid, old_kid = kid_of(name, new), kid_of(name, old.public_key())
    known = known_kids(name, old.public_key(), chain)
    if kid != old_kid and kid in known:
        raise RollRefused(f"{kid} was in force before: make a new key")
    if kid in revoke or not set(revoke) <= set(known):
        raise RollRefused(f"expected keys of {name} that are no longer in force, got {sorted(revoke)}")
    statement = KeyStatement(
        name=name,
        number=said[-1].number + 1 if said else FIRST_NUMBER + 1,
        replaces=old_kid,
        kid=kid,
        public_key=base64.b64encode(new.public_bytes_raw()).decode(),
        revoked=tuple(sorted({each for before in said for each in before.revoked} | set(revoke))),
        issued=issued,
    )
    return to_json(KeyChain((*statements, sign(old, signer, Context.KEYS, to_json(statement)))))


def known_kids(name: str, public: Ed25519PublicKey, chain: bytes) -> tuple[str, ...]:
    """Every key of a name so far, the first one first and `public`, the one in force, last."""
    statements = read_chain(chain).statements if chain else ()
    said = [_read_statement(signed.body) for signed in statements]
    kids = dict.fromkeys([*(each.replaces for each in said), kid_of(name, public)])
    return tuple(kids)
